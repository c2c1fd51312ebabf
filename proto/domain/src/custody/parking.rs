//! What a peer said, proven, that cannot be taken yet: kept, tried again, and given up in the end.
//!
//! An item waits when it holds a kind, command or value of a later feature level; when it is a step of a robot of ours
//! whose link before has not arrived, which comes by another mailbox; and when it stands behind such a one. Its registry
//! is told by a nack with [`Reason::Parked`], and its feed goes on. It is tried again when the record of its robot moves,
//! when the level is raised, and when a registrar asks for it. What gets too much makes way, the oldest first, and a
//! registrar gives up what never will be taken, with a nack each; its link is followed then as far as it can be read, so
//! that what comes later finds it. Behind a fork it is followed from both leaves, until the roots have said which counts.

use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Canonical;
use crate::custody::foreign::{Sender, amount, doubt, no};
use crate::custody::proven::{Proven, Unproven, prove_at};
use crate::limits::{PARKED_BEHIND_MAX, PARKED_OF_PEER_MAX, PARKED_OF_ROBOT_MAX};
use crate::log::checkpoint::Origin;
use crate::log::leaf::Subject;
use crate::machine::entry::{ItemAnswer, MailItem};
use crate::machine::{Authorised, Run, rule};
use crate::planted::Planted;
use crate::record::contact::Contact;
use crate::record::event::Event;
use crate::record::ledger::Ledger;
use crate::record::peer::{Heard, Peer};
use crate::record::{Parked, ParkedPlace};
use crate::rules::decide::{OrFault as _, Stop, fitting, held};
use crate::rules::rejection::{Counted, Detail, Reason, Rejection};

/// What an item that waits has us write now, with its leaf if that can be read.
type Attempt = (Option<Proven>, Vec<Event>);

/// What became of an item that was tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// It waits no longer.
    Over,
    /// What it needs is not there yet.
    Waits,
    /// Nothing of its registry is taken now.
    NotNow,
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// The oldest item that waits of the same peer, about the same robot, from before `item`.
    pub(super) fn parked_before(
        &self,
        from: &Sender,
        proven: &Proven,
        item: u64,
    ) -> Result<Option<u64>, Stop<L::Fault>> {
        let behind = self.ledger.parked_behind(&proven.leaf().key).or_fault()?;
        let mut before = behind
            .iter()
            .filter(|place| place.peer == from.prefix && place.item < item);
        Ok(before.next().map(|place| place.item))
    }

    /// Whether a report on a robot waits for a step by which its sender got it. The issuer is heard anyway, and so is who has
    /// the robot.
    pub(super) fn waits_for_custody(
        &self,
        from: &Sender,
        proven: &Proven,
        item: &MailItem,
    ) -> Result<bool, Stop<L::Fault>> {
        let Some(code) = Self::subject_code(proven)? else {
            return Ok(false);
        };
        let issuer = from.peer.bundle.prefixes.contains(&code.prefix());
        if from.gives_up.is_some() || issuer {
            return Ok(false);
        }
        let waits = self.parked_before(from, proven, item.sequence)?.is_some();
        Ok(waits && held(&self.ledger, &code)?.chain.responsible_abroad() != Some(from.prefix))
    }

    /// Keeps an item. Over what is kept of one peer, or of one peer about one robot, the oldest makes way.
    pub(super) fn park(&mut self, parked: Parked) -> Result<(), L::Fault> {
        let (peer, item, subject) = (parked.peer, parked.item, parked.subject);
        // Of an earlier incarnation of its log.
        if self.ledger.parked(&peer, item)?.is_some() {
            self.give_up(&peer, item, made_way(PARKED_OF_PEER_MAX), None)?;
        }
        let place = ParkedPlace {
            peer,
            item,
            subject,
            level: self.registry.level,
        };
        let mut of_peer = self.ledger.parked_of(&peer)?;
        of_peer.push(place);
        self.ledger.put_parked(&peer, item, Some(parked))?;
        self.ledger.put_parked_of(&peer, of_peer.clone())?;
        if subject != Digest::ZERO {
            let mut behind = self.ledger.parked_behind(&subject)?;
            if behind.len() < PARKED_BEHIND_MAX {
                behind.push(place);
                self.ledger.put_parked_behind(&subject, behind)?;
            }
        }
        let of_robot = || of_peer.iter().filter(|other| other.subject == subject);
        if subject != Digest::ZERO && of_robot().count() > PARKED_OF_ROBOT_MAX {
            let oldest = of_robot().next().expect("it was counted");
            let why = made_way(PARKED_OF_ROBOT_MAX);
            return self.give_up(&peer, oldest.item, why, None).map(drop);
        }
        if of_peer.len() > PARKED_OF_PEER_MAX {
            let oldest = of_peer.first().expect("it was counted");
            let why = made_way(PARKED_OF_PEER_MAX);
            return self.give_up(&peer, oldest.item, why, None).map(drop);
        }
        Ok(())
    }

    /// Answers an item that waits for good, by a rule or by somebody's command. Where its link can be read it is followed, and
    /// what waits for that is tried.
    fn give_up(
        &mut self,
        peer: &Prefix,
        item: u64,
        why: Rejection,
        by: Option<&Authorised>,
    ) -> Result<ItemAnswer, L::Fault> {
        let (Some(parked), Some(known)) =
            (self.ledger.parked(peer, item)?, self.ledger.peer(peer)?)
        else {
            return Ok(ItemAnswer::Nothing {});
        };
        let mut from = Sender {
            prefix: *peer,
            origin: Origin {
                prefix: *peer,
                incarnation: known.bundle.incarnation,
            },
            peer: known,
            note: parked.note.clone(),
            gives_up: None,
        };
        let forked = from.peer.fork.as_ref();
        let forked = forked.map(|fork| Subject::robot(&fork.code).key());
        let said_now = parked.evidence.origin == from.origin.to_string();
        if said_now && forked == Some(parked.subject) {
            from.peer = self.follow_beyond(from.peer, &parked.evidence)?;
        }
        let events = match self.attempt(&parked, Some(why.clone()))? {
            Ok((_, events)) if !events.is_empty() => events,
            // Nothing of it can be read, or nothing of its registry is read now; or it is overtaken. It is told all the same.
            Ok(_) | Err(_) => doubt(&from, parked.evidence.clone(), &why),
        };
        self.unpark(&parked)?;
        let system = Authorised::system(rule::PARKED, &parked.evidence);
        let answer = self.record_all(events, by.unwrap_or(&system))?;
        self.try_behind(&parked.subject)?;
        Ok(answer)
    }

    /// A registrar has an item tried once more. What still cannot be taken is refused with what it waits for.
    pub(crate) fn retry(&mut self, peer: &Prefix, item: u64) -> Result<ItemAnswer, L::Fault> {
        let Some(parked) = self.ledger.parked(peer, item)? else {
            return Ok(ItemAnswer::Nothing {});
        };
        let answer = match self.take_parked(&parked)? {
            Ok(answer) => answer,
            Err(rejection) => return Ok(ItemAnswer::Refused { rejection }),
        };
        self.try_behind(&parked.subject)?;
        Ok(answer)
    }

    /// A registrar gives up an item, and its sender is told why. What can be taken after all is taken: it is proven, and no
    /// office passes over another country's word.
    pub(crate) fn discard(
        &mut self,
        peer: &Prefix,
        item: u64,
        reason: &str,
        by: &Authorised,
    ) -> Result<ItemAnswer, L::Fault> {
        match self.retry(peer, item)? {
            // What is taken in the next minute, under the next bundle, or when the roots have settled a fork is nobody's to give up.
            ItemAnswer::Refused { rejection } if !waits_for_others(&rejection) => {}
            answer => return Ok(answer),
        }
        let reason = reason.to_owned();
        let why = Rejection::new(Reason::Discarded, Detail::GivenUp { item, reason });
        self.give_up(peer, item, why, Some(by))
    }

    /// Tries an item that waits: what it says is taken or contradicted now, or it waits on.
    fn try_parked(&mut self, peer: &Prefix, item: u64) -> Result<Tried, L::Fault> {
        let Some(parked) = self.ledger.parked(peer, item)? else {
            return Ok(Tried::Over);
        };
        Ok(match self.take_parked(&parked)? {
            Ok(_) => Tried::Over,
            Err(rejection) if rejection.reason == Reason::Parked => Tried::Waits,
            Err(_) => Tried::NotNow,
        })
    }

    /// Takes an item that waits, or says why not now.
    fn take_parked(&mut self, parked: &Parked) -> Result<Result<ItemAnswer, Rejection>, L::Fault> {
        let (proven, events) = match self.attempt(parked, None)? {
            Ok(attempt) => attempt,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let peer = parked.peer;
        let Some(known) = self.ledger.peer(&peer)? else {
            let prefix = peer;
            let unknown = Rejection::new(Reason::PeerUnknown, Detail::Prefix { prefix });
            return Ok(Err(unknown));
        };
        // One of those of the minute: or each were the first, which is read whatever it is.
        let more = Heard {
            items: 1,
            ..amount(&events, self.registry.level)
        };
        let heard = match known.heard.and(&more, &known.allowed(self.now), self.now) {
            Ok(heard) => heard,
            Err((what, max)) => {
                let detail = Detail::InAMinute { peer, what, max };
                return Ok(Err(Rejection::new(Reason::PeerPaused, detail)));
            }
        };
        self.ledger.put_peer(Peer { heard, ..known })?;
        self.unpark(parked)?;
        let system = Authorised::system(rule::PARKED, &parked.evidence);
        let answer = self.record_all(events, &system)?;
        if let Some(proven) = &proven {
            self.cancel_refused(proven)?;
        }
        Ok(Ok(answer))
    }

    /// Tries what waits for the record of a robot, which has moved, again from the oldest whenever one was taken.
    pub(crate) fn try_behind(&mut self, subject: &Digest) -> Result<(), L::Fault> {
        for _ in 0..2 * PARKED_OF_ROBOT_MAX {
            let mut taken = false;
            for place in self.ledger.parked_behind(subject)? {
                if self.is_spent() {
                    return Ok(());
                }
                taken = self.try_parked(&place.peer, place.item)? == Tried::Over;
                if taken {
                    break;
                }
            }
            if !taken {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tries what waits of a peer since before the feature level was raised, each once a level.
    pub(crate) fn try_at_level(&mut self, peer: &Prefix) -> Result<(), L::Fault> {
        let level = self.registry.level;
        let places = self.ledger.parked_of(peer)?;
        for place in places.into_iter().filter(|place| place.level < level) {
            if self.is_spent() {
                return Ok(());
            }
            match self.try_parked(peer, place.item)? {
                Tried::Over => self.try_behind(&place.subject)?,
                Tried::NotNow => return Ok(()),
                Tried::Waits => {
                    let same = |one: &&mut ParkedPlace| (one.peer, one.item) == (*peer, place.item);
                    let at_level = |mut places: Vec<ParkedPlace>| {
                        let waits = places.iter_mut().filter(same);
                        waits.for_each(|one| one.level = level);
                        places
                    };
                    let of_peer = self.ledger.parked_of(peer)?;
                    self.ledger.put_parked_of(peer, at_level(of_peer))?;
                    let behind = self.ledger.parked_behind(&place.subject)?;
                    self.ledger
                        .put_parked_behind(&place.subject, at_level(behind))?;
                }
            }
        }
        Ok(())
    }

    /// Forgets what waits of a peer and is read again: whoever had stolen its key may have said it.
    pub(crate) fn forget_parked(&mut self, peer: &Peer) -> Result<(), L::Fault> {
        let Some(prefix) = peer.bundle.primary() else {
            return Ok(());
        };
        let origin = Origin {
            prefix,
            incarnation: peer.bundle.incarnation,
        };
        let origin = origin.to_string();
        for place in self.ledger.parked_of(&prefix)? {
            if let Some(parked) = self.ledger.parked(&prefix, place.item)?
                && parked.item >= peer.cursor
                && parked.evidence.origin == origin
            {
                self.unpark(&parked)?;
            }
        }
        Ok(())
    }

    fn unpark(&mut self, parked: &Parked) -> Result<(), L::Fault> {
        let other = |place: &ParkedPlace| (place.peer, place.item) != (parked.peer, parked.item);
        self.ledger.put_parked(&parked.peer, parked.item, None)?;
        let mut of_peer = self.ledger.parked_of(&parked.peer)?;
        of_peer.retain(other);
        self.ledger.put_parked_of(&parked.peer, of_peer)?;
        let mut behind = self.ledger.parked_behind(&parked.subject)?;
        behind.retain(other);
        self.ledger.put_parked_behind(&parked.subject, behind)
    }

    /// What an item that waits has us write now, or why it waits on. It was proven when it came, under a checkpoint of its
    /// registry that every later one is consistent with.
    fn attempt(
        &self,
        parked: &Parked,
        gives_up: Option<Rejection>,
    ) -> Result<Result<Attempt, Rejection>, L::Fault> {
        match self.attempted(parked, gives_up) {
            Ok(attempt) => Ok(Ok(attempt)),
            Err(Stop::Refused(rejection)) => Ok(Err(rejection)),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    fn attempted(
        &self,
        parked: &Parked,
        gives_up: Option<Rejection>,
    ) -> Result<Attempt, Stop<L::Fault>> {
        let prefix = parked.peer;
        let waits = || no(Reason::Parked, parked.why.clone());
        let Some(peer) = self.ledger.peer(&prefix).or_fault()? else {
            return no(Reason::PeerUnknown, Detail::Prefix { prefix });
        };
        // Neither what comes of it is read, nor what came before.
        if peer.contact != Contact::Open {
            return no(Reason::ContactPaused, Detail::Prefix { prefix });
        }
        if peer.split {
            return no(Reason::PeerQuarantined, Detail::Prefix { prefix });
        }
        if !peer.is_valid(self.now) {
            let (peer, until) = (prefix, peer.bundle.valid_to);
            return no(Reason::BundleExpired, Detail::BundleUntil { peer, until });
        }
        let origin = Origin {
            prefix,
            incarnation: peer.bundle.incarnation,
        };
        // Another incarnation answers for nothing that this one said.
        if parked.evidence.origin != origin.to_string() {
            return waits();
        }
        let level = self.registry.level;
        let bytes = parked.bytes.as_ref();
        let item = bytes.and_then(|bytes| MailItem::from_bytes_at(&bytes.0, level).ok());
        let Some(item) = item else { return waits() };
        let from = Sender {
            prefix,
            origin,
            peer,
            note: parked.note.clone(),
            gives_up,
        };
        let proven = match prove_at(&item.proven, parked.size, &parked.root, level) {
            Ok(proven) => proven,
            Err(Unproven::Unreadable { .. }) => return waits(),
            // Its leaf can be read now, and its slots are not those of the leaf.
            Err(Unproven::Broken(_)) => {
                let index = item.proven.index;
                let broken = Rejection::new(Reason::EvidenceBroken, Detail::NotProven { index });
                return Ok((None, doubt(&from, parked.evidence.clone(), &broken)));
            }
        };
        let (size, root) = (parked.size, &parked.root);
        let believed = self.believe(&from, &proven, &item, size, root);
        let events = match believed.and_then(fitting) {
            Err(Stop::Refused(rejection))
                if rejection.reason != Reason::Parked || from.gives_up.is_some() =>
            {
                doubt(&from, from.reference(&proven), &rejection)
            }
            believed => believed?,
        };
        Ok((Some(proven), events))
    }
}

/// What an item is answered with that makes way.
fn made_way(max: usize) -> Rejection {
    let detail = Detail::Full {
        what: Counted::Parked,
        max: max as u64,
    };
    Rejection::new(Reason::ParkedOver, detail)
}

/// Whether an item that was tried waits for what somebody else will do.
fn waits_for_others(rejection: &Rejection) -> bool {
    let of_a_fork = matches!(rejection.detail, Detail::Forked { .. });
    of_a_fork || matches!(rejection.reason, Reason::PeerPaused | Reason::BundleExpired)
}
