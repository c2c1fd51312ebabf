//! Two leaves of one robot of which one alone can be: the roots here say which counts, and the peer is out of quarantine.
//!
//! The leaf that was taken first counts without more. The other one takes its place only while nothing rests on the first,
//! and never brings a robot here or takes one away: what was not looked at when it came is not admitted.

use crate::bytes::code::{Code, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Canonical as _;
use crate::custody::foreign::no;
use crate::custody::movement::EvidenceRef;
use crate::custody::{Chain, Link, Phase, Step};
use crate::limits::SETTLED_OF_PEER_MAX;
use crate::log::leaf::Kind;
use crate::machine::Run;
use crate::planted::Planted;
use crate::record::event::{After, Effect, Event, slot};
use crate::record::ledger::Ledger;
use crate::record::peer::{OpenFork, Peer, Statement};
use crate::record::transfer::Ending;
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
            (second, None)
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

    /// The second leaf of a fork in the place of the first. The transfer that the first one opened is over.
    fn put_in_its_place(
        &self,
        statement: &Statement,
        fork: &OpenFork,
    ) -> Result<Event, Stop<L::Fault>> {
        let record = self.ledger.leaf(fork.recorded).or_fault()?;
        let slot =
            record.and_then(|record| record.values.get(usize::from(slot::EVIDENCE)).cloned());
        let evidence = slot
            .flatten()
            // level: a leaf of our own.
            .and_then(|bytes| Vec::from_bytes(&bytes.0).ok());
        let evidence: Vec<EvidenceRef> = evidence.unwrap_or_default();
        let second = evidence.into_iter().find(|one| one.leaf == fork.second);
        let Some((second, link)) = second.and_then(|it| it.link.clone().map(|link| (it, link)))
        else {
            return no(Reason::EvidenceBroken, Detail::NOTHING);
        };
        let here = held(&self.ledger, &fork.code)?;
        let (me, step) = (self.registry.prefix, link.step);
        let Some(chain) = replaced(me, &here.chain, fork, link) else {
            return no(Reason::NotSettled, Detail::SettledBy { step });
        };
        let mut effects = Vec::new();
        if let Some(open) = here.chain.open_transfer() {
            let known = self.ledger.transfer(&open).or_fault()?;
            if let Some(mut transfer) = known.filter(|known| known.ending.is_none()) {
                transfer.ending = Some(Ending {
                    step: Step::Cancel,
                    place: String::new(),
                    at: self.now,
                    leaf: fork.second,
                });
                effects.push(Effect::Transfer(Box::new(transfer)));
            }
        }
        let after = Held { chain, ..here }.after(&fork.code);
        let mut event = Event::new(Kind::Foreign, statement, after);
        event.evidence = vec![second];
        event.foreign_step = true;
        event.effects = effects;
        Ok(event)
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
