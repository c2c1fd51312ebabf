//! Two leaves of one robot of which one alone can be: the roots here say which counts, and the peer is out of quarantine.
//!
//! The leaf that was taken first counts without more. The other one takes its place only while nothing rests on the first,
//! and never brings a robot here or takes one away: what was not looked at when it came is not admitted.

use crate::bytes::code::{Code, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Canonical as _;
use crate::bytes::time::TimeMs;
use crate::custody::foreign::no;
use crate::custody::movement::EvidenceRef;
use crate::custody::{Chain, Folded, Link, Phase, Step, Written, fold, follow};
use crate::limits::SETTLED_OF_PEER_MAX;
use crate::log::leaf::Kind;
use crate::machine::Run;
use crate::planted::Planted;
use crate::record::event::{After, Effect, Event, slot};
use crate::record::ledger::Ledger;
use crate::record::peer::{Beyond, OpenFork, Peer, Statement};
use crate::record::transfer::{Ending, Transfer};
use crate::rules::decide::{Held, OrFault as _, Stop, held};
use crate::rules::rejection::{Detail, Reason};

/// A robot whose fork is settled, and the events of it.
type Settled = (Code, Vec<Event>);

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Settles the fork that our leaf `recorded` has the evidence of: the leaf `counts`, the other one never does.
    pub(crate) fn settle(
        &self,
        statement: &Statement,
        prefix: &Prefix,
        recorded: u64,
        counts: &Digest,
    ) -> Result<Settled, Stop<L::Fault>> {
        let prefix = *prefix;
        let Some(peer) = self.ledger.peer(&prefix).or_fault()? else {
            return no(Reason::PeerUnknown, Detail::Prefix { prefix });
        };
        // Of two histories of a whole log nobody can say which robot the one or the other is of.
        if peer.split {
            return no(Reason::PeerQuarantined, Detail::Prefix { prefix });
        }
        let open = peer.fork.clone();
        let Some(fork) = open.filter(|fork| fork.recorded == recorded) else {
            let leaf = peer.fork.as_ref().map(|fork| fork.recorded);
            return no(
                Reason::StatementStale,
                Detail::ForkAt { peer: prefix, leaf },
            );
        };
        let OpenFork { first, second, .. } = fork;
        let (lost, moved) = if *counts == first {
            (second, self.go_on(statement, &fork)?)
        } else if *counts == second {
            (first, Some(self.put_in_its_place(statement, &fork)?))
        } else {
            return no(Reason::Malformed, Detail::NeitherLeaf { first, second });
        };
        let mut settled = peer.settled.clone();
        if settled.len() >= SETTLED_OF_PEER_MAX {
            settled.remove(0);
        }
        settled.push(lost);
        let after = After::Peer(Box::new(Peer {
            quarantined: false,
            fork: None,
            settled,
            ..peer
        }));
        let event = Event::new(Kind::Policy, statement, after).effect(Effect::TellAll);
        Ok((
            fork.code,
            [Some(event), moved].into_iter().flatten().collect(),
        ))
    }

    /// Goes on from the first leaf of a fork by the links of what waited and made way.
    fn go_on(
        &self,
        statement: &Statement,
        fork: &OpenFork,
    ) -> Result<Option<Event>, Stop<L::Fault>> {
        let here = held(&self.ledger, &fork.code)?;
        let beyond = fork.beyond_first.clone();
        // What a third country said meanwhile may have led further.
        let beyond = beyond
            .filter(|it| here.chain.epoch <= it.chain.epoch && here.chain.link != it.newest.leaf);
        match beyond {
            Some(Beyond { chain, newest }) => {
                let event = self.moved_to(statement, (fork, here), chain, newest)?;
                Ok(Some(event))
            }
            None => Ok(None),
        }
    }

    /// The second leaf of a fork in the place of the first. The transfer that the first one opened is over.
    fn put_in_its_place(
        &self,
        statement: &Statement,
        fork: &OpenFork,
    ) -> Result<Event, Stop<L::Fault>> {
        let second = self.second_of(fork).or_fault()?;
        let Some((second, link)) = second.and_then(|it| it.link.clone().map(|link| (it, link)))
        else {
            return no(Reason::EvidenceBroken, Detail::NOTHING);
        };
        let here = held(&self.ledger, &fork.code)?;
        let (me, step) = (self.registry.prefix, link.step);
        let Some(chain) = replaced(me, &here.chain, fork, link) else {
            return no(Reason::NotSettled, Detail::SettledBy { step });
        };
        match fork.beyond_second.clone() {
            Some(Beyond { chain, newest }) => self.moved_to(statement, (fork, here), chain, newest),
            None => self.moved_to(statement, (fork, here), chain, second),
        }
    }

    /// The robot of a fork with another chain, whose newest leaf is `newest`. A transfer that is open no more by it is over.
    fn moved_to(
        &self,
        statement: &Statement,
        (fork, here): (&OpenFork, Held),
        chain: Chain,
        newest: EvidenceRef,
    ) -> Result<Event, Stop<L::Fault>> {
        let mut effects = Vec::new();
        if let Some(open) = here.chain.open_transfer() {
            let known = self.ledger.transfer(&open).or_fault()?;
            let over =
                |known: &Transfer| known.ending.is_none() && chain.open_transfer() != Some(open);
            if let Some(mut transfer) = known.filter(over) {
                transfer.ending = Some(Ending {
                    step: Step::Cancel,
                    place: String::new(),
                    at: self.now,
                    leaf: newest.leaf,
                });
                effects.push(Effect::Transfer(Box::new(transfer)));
            }
        }
        let after = Held { chain, ..here }.after(&fork.code);
        let mut event = Event::new(Kind::Foreign, statement, after);
        event.evidence = vec![newest];
        event.foreign_step = true;
        event.effects = effects;
        Ok(event)
    }

    /// Follows a step that waits behind a fork and makes way, by its link alone, from whichever of the two leaves it leads: so
    /// that what comes after it is no step of an unknown chain, whichever counts.
    pub(super) fn follow_beyond(
        &mut self,
        known: Peer,
        evidence: &EvidenceRef,
    ) -> Result<Peer, L::Fault> {
        let (Some(fork), Some(link)) = (known.fork.clone(), evidence.link.clone()) else {
            return Ok(known);
        };
        let here = match held(&self.ledger, &fork.code) {
            Ok(here) => here.chain,
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Refused(_)) => return Ok(known),
        };
        let me = self.registry.prefix;
        let second = self.second_of(&fork)?;
        let second = second.and_then(|of| replaced(me, &here, &fork, of.link?));
        // It stood in the log of the peer that forked, whatever its link says.
        let Some(writer) = known.bundle.primary() else {
            return Ok(known);
        };
        let written = Written {
            writer,
            link,
            leaf: evidence.leaf,
            at: evidence.at.unwrap_or(self.now),
            deadline: TimeMs(0),
        };
        let further = |beyond: &Option<Beyond>, from: Option<&Chain>| {
            let chain = beyond.as_ref().map(|it| &it.chain).or(from)?;
            let chain = led(me, chain, &written, self.planted)?;
            let newest = evidence.clone();
            Some(Beyond { chain, newest })
        };
        let beyond_first = further(&fork.beyond_first, Some(&here));
        let beyond_second = further(&fork.beyond_second, second.as_ref());
        let fork = OpenFork {
            beyond_first: beyond_first.or(fork.beyond_first),
            beyond_second: beyond_second.or(fork.beyond_second),
            ..fork
        };
        let fork = Some(fork);
        let peer = Peer { fork, ..known };
        self.ledger.put_peer(peer.clone())?;
        Ok(peer)
    }

    /// The second leaf of a fork, as our leaf with the evidence names it.
    fn second_of(&self, fork: &OpenFork) -> Result<Option<EvidenceRef>, L::Fault> {
        let record = self.ledger.leaf(fork.recorded)?;
        let slot =
            record.and_then(|record| record.values.get(usize::from(slot::EVIDENCE)).cloned());
        let evidence = slot
            .flatten()
            // level: a leaf of our own.
            .and_then(|bytes| Vec::from_bytes(&bytes.0).ok());
        let evidence: Vec<EvidenceRef> = evidence.unwrap_or_default();
        Ok(evidence.into_iter().find(|one| one.leaf == fork.second))
    }
}

/// Where a link leads that nobody looked at but for itself. It opens nothing here, and brings no robot here: an offer to us among
/// them is followed as one that was not taken.
fn led(me: Prefix, chain: &Chain, written: &Written, planted: impl Planted) -> Option<Chain> {
    if let Some(chain) = follow(me, chain, written) {
        return Some(chain);
    }
    match fold(me, chain, written, planted) {
        Folded::Moved(next) if next.open_transfer().is_none() && !next.in_custody() => Some(next),
        _ => None,
    }
}

/// The chain with the second leaf of a fork as its newest link; `None` where something rests on the first, or where the
/// robot would come to us or leave us by it.
fn replaced(me: Prefix, chain: &Chain, fork: &OpenFork, link: Link) -> Option<Chain> {
    let (transfer, from) = (link.transfer?, link.from?);
    if chain.link != fork.first || from == me {
        return None;
    }
    let has = |to| Phase::Gone {
        transfer,
        to,
        admit: fork.second,
    };
    let phase = match link.step {
        // Who wrote it has the robot, and goes on from there.
        Step::Offer | Step::Cancel => Phase::Elsewhere {},
        Step::Depart | Step::Admit if link.to != me => has(link.to),
        Step::Return => has(from),
        _ => return None,
    };
    Some(Chain {
        epoch: link.epoch,
        link: fork.second,
        shown: Some(link),
        followed: None,
        phase,
    })
}
