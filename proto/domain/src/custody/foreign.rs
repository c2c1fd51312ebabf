//! What another registry said, proven: whether it is believed here, and what it changes.
//!
//! A foreign registry is believed only for custody of robots it is responsible for, and for identity, approval and
//! recall of codes of its own prefix; within the limits of a clause in force. A statement that changes nothing appends
//! nothing; one that changes something appends one leaf of ours that names it in slot 14.

use std::collections::BTreeMap;

use crate::bytes::code::{Code, ModelId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Blob, Canonical, DecodeError, DecodeFault};
use crate::bytes::level::Level;
use crate::bytes::signature::PublicKey;
use crate::bytes::time::TimeMs;
use crate::custody::admission::{detained, forget_lifted, provisional, sent_back};
use crate::custody::follows::{follows, row};
use crate::custody::links::{
    self, Believed, ChainFault, ProvenStep, Shown, kept_note, led, over, prove_chain,
    prove_way_home, steps_kept,
};
use crate::custody::movement::EvidenceRef;
pub use crate::custody::proven::{
    Proven, Since, Unproven, prove, prove_at, prove_map_head, prove_newest,
};
use crate::custody::{Chain, Doubt, Folded, Link, Phase, Step, Written, fold, follow};
use crate::limits::{
    EPOCH_FIRST_MAX, EPOCH_FOREIGN_MAX, EPOCH_STEP_MAX, FORK_STEPS_MAX, HOLDS_OF_OTHERS_MAX,
    HOLDS_OF_PEER_MAX, Index, LATER_LEAVES_MAX, Lines, MAIL_ITEM_BYTES_MAX, NOTE_KEPT_BYTES_MAX,
    OFFERS_OF_PEER_MAX, RECALL_BINDS_MAX, RECALLS_OF_MODEL_MAX, next_epoch,
};
use crate::log::authority::Envelope;
use crate::log::checkpoint::{Origin, peek};
use crate::log::leaf::{Kind, SlotError, Subject, SubjectType};
use crate::log::map::RobotStatus;
use crate::log::merkle::{verify_consistency, verify_inclusion};
use crate::machine::entry::{ChainRun, ItemAnswer, LargeItem, MailBatch, MailItem};
use crate::machine::{Authorised, Run, refused, rule};
use crate::planted::Planted;
use crate::record::contact::Contact;
use crate::record::event::{
    After, Effect, Event, IdentityParts, Other, Standing, robot_of_slots, slot,
};
use crate::record::keys::KeyHistory;
use crate::record::ledger::Ledger;
use crate::record::peer::{
    Heard, LogDoubt, OpenFork, Peer, Repaired, Statement, Suspension, TakenHead,
};
use crate::record::transfer::{Ending, Transfer};
use crate::record::{
    Ended, Fitted, Fitting, Hold, Parked, Recall, RecallStatus, Robot, RobotKey, Stay,
};
use crate::rules::command::{Command, Purpose, TransferId};
use crate::rules::decide::{
    Held, OrFault as _, Stop, bound_elsewhere, cancel_after_refusal, fitting, held, newest,
    step_event, touched,
};
use crate::rules::lifecycle::{HoldKind, State};
use crate::rules::rejection::{Counted, Detail, Flaw, Lacking, Reason, Rejection};

/// Body, identity parts in whichever list, and key, as far as disclosed.
fn part_identity_list<F>(proven: &Proven) -> Result<Vec<Digest>, Stop<F>> {
    let body = said::<Digest, F>(proven, slot::BODY)?;
    let parts = said::<IdentityParts, F>(proven, slot::IDENTITY_PARTS)?;
    let parts = parts.map(|parts| parts.0).unwrap_or_default();
    let others = said::<Other, F>(proven, slot::OTHER)?;
    let others = others.map(|other| other.parts).unwrap_or_default();
    let hidden = others
        .into_iter()
        .filter(|part| part.kind.carries_identity());
    let key = said::<RobotKey, F>(proven, slot::ROBOT_KEY)?;
    // A copy of another robot's key is nothing that ends.
    let code = shown_code(proven);
    let key = key.filter(|key| {
        let of = code.as_ref().zip(body.as_ref());
        of.is_some_and(|(code, body)| key.is_of(code, body))
    });
    Ok(body
        .into_iter()
        .chain(parts.into_iter().chain(hidden).map(|part| part.identity))
        .chain(key.as_ref().map(RobotKey::identity))
        .collect())
}

/// What a proven leaf says in a slot, as far as it is shown and of the type that this version knows. A value beyond a
/// bound is not passed over: its sender is told.
fn said<T: Canonical, F>(proven: &Proven, slot: u8) -> Result<Option<T>, Stop<F>> {
    match proven.slots.get::<T>(slot) {
        Ok(value) => Ok(value),
        Err(SlotError::Decode { source, .. }) if has_value_out_of_bounds(&source) => {
            no(Reason::Malformed, Detail::Slot { slot })
        }
        // Passed over, it would be lost: a theft, an end of life.
        Err(SlotError::Decode { source, .. }) if is_of_later_level(&source) => {
            no(Reason::Parked, Detail::Slot { slot })
        }
        Err(_) => Ok(None),
    }
}

/// What is known of a robot up to an offer of it.
struct Led {
    chain: Chain,
    /// The chain that is kept.
    runs: Vec<ChainRun>,
    /// By which step of that the transfer that is open here was over; nothing was heard of it yet.
    over: Option<ProvenStep>,
}

impl Led {
    /// Where it is known to be, by nothing that came with the offer.
    fn at(known: &Chain) -> Self {
        Self {
            chain: known.clone(),
            runs: Vec::new(),
            over: None,
        }
    }
}

/// What is believed of heads, by their origins.
type Heads = BTreeMap<Origin, Result<Believed, Flaw>>;

fn keys_of<'k>(known: &'k Heads) -> impl Fn(&Origin) -> Result<&'k Believed, Flaw> {
    move |origin| match known.get(origin) {
        Some(Ok(believed)) => Ok(believed),
        Some(Err(flaw)) => Err(*flaw),
        None => Err(Flaw::Stranger),
    }
}

/// The chain that came with an offer, as it was shown.
fn shown_chain<'r>(
    (from, item): (&'r Sender, &'r MailItem),
    under: (u64, Digest),
    link: &Link,
) -> Shown<'r> {
    Shown {
        runs: &item.chain,
        end: link.prev,
        origin: from.origin,
        under,
        note: &from.note,
    }
}

/// Whether a fault of a chain is one that its carrier alone makes: leaves that the offer does not name, or a path of the sender under
/// the head of its own message.
fn is_of_carrier(fault: &ChainFault, sender: Prefix, item: &MailItem) -> bool {
    match fault {
        ChainFault::Unbound => !item.chain.is_empty(),
        ChainFault::Step { of, index, flaw } => {
            let mut own = item.chain.iter().filter(|run| run.checkpoint.is_empty());
            let under = own.any(|run| run.leaves.iter().any(|leaf| leaf.index == *index));
            *flaw == Flaw::Unproven && *of == sender && under
        }
        ChainFault::Order(_) | ChainFault::Size => false,
    }
}

/// Whether a head that was believed when a chain was kept is so still, by the keys of whoever wrote it as they are known now.
fn stands(keys: &KeyHistory, note: &str) -> bool {
    let head = peek(note);
    head.is_ok_and(|head| keys.opened(note, &head.origin).is_ok())
}

/// The steps of a robot that are known here, the newest first.
struct KnownSteps {
    /// Hash of the newest link.
    newest: Digest,
    told: Vec<Told>,
}

/// What one leaf of ours about a robot tells of its steps.
struct Told {
    /// Of our leaf.
    index: u64,
    /// What it names.
    named: Vec<EvidenceRef>,
    /// What led to the offer that it names, each under its head.
    kept: Vec<(String, Vec<EvidenceRef>)>,
}

impl Told {
    fn names(&self, step: &EvidenceRef) -> bool {
        let kept = self.kept.iter().flat_map(|(_, steps)| steps);
        let mut all = self.named.iter().chain(kept);
        all.any(|told| told.leaf == step.leaf && told.origin == step.origin)
    }

    /// A step of the same registry that excludes `second`. What a thief may have said in its name is evidence against nobody.
    fn first(&self, peer: &Peer, link: &Link, second: &EvidenceRef) -> Option<&EvidenceRef> {
        let excludes_it = |first: &&EvidenceRef| {
            let its = first.link.as_ref();
            its.is_some_and(|its| excludes(its, link))
                && first.leaf != second.leaf
                && first.origin == second.origin
        };
        let mut named = self.named.iter();
        let named = named.find(|first| excludes_it(first) && !peer.is_given_up(self.index));
        named.or_else(|| {
            let mut kept = self.kept.iter();
            kept.find_map(|(note, steps)| {
                let first = steps.iter().find(excludes_it)?;
                stands(&peer.bundle.keys, note).then_some(first)
            })
        })
    }
}

/// Whether a step of a registry may be the second of two that exclude each other. Once is enough: the evidence is kept, and the peer
/// quarantined.
fn may_exclude(peer: &Peer, link: &Link) -> bool {
    !peer.quarantined && can_exclude(link.step) && peer.bundle.primary().is_some()
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Applies items of a peer's mailbox: each exactly once, in order, with its evidence.
    pub(crate) fn foreign(&mut self, batch: &MailBatch) -> Result<Vec<ItemAnswer>, L::Fault> {
        let all = |reason, detail: Detail| {
            vec![refused(reason, detail); batch.sequences().count().max(1)]
        };
        let Some(peer) = self.ledger.peer(&batch.peer)? else {
            return Ok(all(
                Reason::PeerUnknown,
                Detail::Prefix { prefix: batch.peer },
            ));
        };
        let origin = Origin {
            prefix: batch.peer,
            incarnation: peer.bundle.incarnation,
        };
        let (key, checkpoint) = match peer.bundle.keys.opened_now(&batch.checkpoint, &origin) {
            Ok(opened) => opened,
            Err(_) => return Ok(all(Reason::EvidenceBroken, Detail::Checkpoint {})),
        };
        let (size, root) = (checkpoint.size(), *checkpoint.root());
        if size == peer.size_seen && root != peer.root_seen {
            return self.fork(peer, batch, (&origin, &key), size, root);
        }
        // What it said before the fork is known; which of two histories the rest is of, nobody knows.
        if peer.split {
            let prefix = batch.peer;
            return Ok(all(Reason::PeerQuarantined, Detail::Prefix { prefix }));
        }
        if peer.contact != Contact::Open {
            let prefix = batch.peer;
            return Ok(all(Reason::ContactPaused, Detail::Prefix { prefix }));
        }
        if !peer.is_valid(self.now) {
            let (peer, until) = (batch.peer, peer.bundle.valid_to);
            return Ok(all(
                Reason::BundleExpired,
                Detail::BundleUntil { peer, until },
            ));
        }
        if size < peer.size_seen {
            return Ok(all(
                Reason::EvidenceBroken,
                Detail::Smaller {
                    size,
                    seen: peer.size_seen,
                },
            ));
        }
        if 0 < peer.size_seen && peer.size_seen < size {
            let (old, old_root) = (peer.size_seen, peer.root_seen);
            if verify_consistency(old, &old_root, size, &root, &batch.consistency).is_err() {
                let detail = Detail::Inconsistent {
                    from: old,
                    to: size,
                };
                return Ok(all(Reason::EvidenceBroken, detail));
            }
        }
        let level = self.registry.level;
        let Ok(head) = prove_map_head(&batch.map_head, (size, &root), level) else {
            return Ok(all(Reason::EvidenceBroken, Detail::Checkpoint {}));
        };
        let (mut time_seen, mut shown_at) = (peer.time_seen, peer.shown_at);
        if peer.size_seen < size {
            // After its clock was set back, what is of before is of a later time, and no news: only what is later than all that it
            // ever showed is.
            time_seen = time_seen.max(head.t_ms);
            // A head alone is one that an inquiry showed. What mail brings does not make the next of those wait.
            if batch.items.is_empty() && batch.large.is_none() {
                shown_at = self.now;
            }
        }
        // That no way was found to its heads, which nobody signed, is over with the first one that goes on.
        let goes_on = 0 < peer.size_seen && peer.size_seen < size;
        let stays = |doubt: &LogDoubt| !(goes_on && *doubt == LogDoubt::OtherHistory);
        let doubted = peer.doubted.filter(stays);
        // A head to go back to is one under which something was taken.
        let head_taken = TakenHead {
            size,
            cursor: peer.cursor,
            at: self.now,
            key,
            leaf: self.registry.tree.size(),
        };
        let is_new = peer.size_seen < size;
        self.ledger.put_peer(Peer {
            doubted,
            size_seen: size,
            root_seen: root,
            time_seen,
            shown_at,
            note_seen: kept_note(&batch.checkpoint, &origin, &key),
            ..peer
        })?;
        self.try_at_level(&batch.peer)?;
        let mut answers = Vec::with_capacity(batch.items.len());
        let large = batch.large.iter().map(Sent::Large);
        for sent in batch.items.iter().map(Sent::Item).chain(large) {
            if self.is_spent() {
                // The cursor stays before what is left; the follower sends it again.
                answers.push(refused(Reason::EntryFull, Detail::NOTHING));
                break;
            }
            let answer = self.mail_item(batch, &origin, sent, size, &root)?;
            let stop = matches!(&answer, ItemAnswer::Refused { rejection } if rejection.reason != Reason::EvidenceGap);
            answers.push(answer);
            if stop {
                break;
            }
        }
        if let Some(mut peer) = self.ledger.peer(&batch.peer)?
            && is_new
            && peer.cursor != head_taken.cursor
        {
            peer.note_head(head_taken);
            self.ledger.put_peer(peer)?;
        }
        Ok(answers)
    }

    /// Doubts a peer's log on the word of a node here: it is no evidence, so no leaf is written, and what was doubted once stays
    /// so until the roots state a newer bundle than the one under which it was seen. A graver doubt takes the place of a milder one.
    pub(crate) fn doubt(
        &mut self,
        prefix: &Prefix,
        sequence: u64,
        doubt: LogDoubt,
    ) -> Result<ItemAnswer, L::Fault> {
        let Some(peer) = self.ledger.peer(prefix)? else {
            let prefix = *prefix;
            return Ok(refused(Reason::PeerUnknown, Detail::Prefix { prefix }));
        };
        if peer.bundle.sequence == sequence && peer.doubted < Some(doubt) {
            self.ledger.put_peer(Peer {
                doubted: Some(doubt),
                ..peer
            })?;
        }
        Ok(ItemAnswer::Nothing {})
    }

    /// Two notes of one size with different roots, both signed: evidence, kept for ever, and quarantine.
    fn fork(
        &mut self,
        peer: Peer,
        batch: &MailBatch,
        (origin, key): (&Origin, &PublicKey),
        size: u64,
        root: Digest,
    ) -> Result<Vec<ItemAnswer>, L::Fault> {
        let fork = Fork {
            peer: batch.peer,
            size,
            seen: peer.root_seen,
            shown: root,
            seen_note: peer.note_seen.clone(),
            shown_note: kept_note(&batch.checkpoint, origin, key),
        };
        if !peer.split {
            let what = fork.clone();
            let event = Event::new(
                Kind::ForkEvidence,
                &what,
                After::Peer(Box::new(Peer {
                    quarantined: true,
                    split: true,
                    split_note: fork.shown_note.clone(),
                    ..peer
                })),
            )
            .effect(Effect::TellAll);
            let authorised = Authorised::whole(&Envelope::Foreign {
                origin: origin.to_string(),
                checkpoint: Blob(batch.checkpoint.clone().into_bytes()),
                index: size,
                leaf: None,
                path: Vec::new(),
                disclosed: None,
            });
            self.record(event, &authorised)?;
        }
        let detail = Detail::TwoRoots {
            peer: fork.peer,
            size,
            seen: fork.seen,
            shown: root,
        };
        Ok(vec![refused(Reason::PeerQuarantined, detail)])
    }

    fn mail_item(
        &mut self,
        batch: &MailBatch,
        origin: &Origin,
        sent: Sent<'_>,
        size: u64,
        root: &Digest,
    ) -> Result<ItemAnswer, L::Fault> {
        let Some(peer) = self.ledger.peer(&batch.peer)? else {
            return Ok(refused(
                Reason::PeerUnknown,
                Detail::Prefix { prefix: batch.peer },
            ));
        };
        let sequence = sent.sequence();
        if sequence < peer.cursor {
            return Ok(ItemAnswer::Nothing {});
        }
        if peer.cursor < sequence {
            return Ok(refused(
                Reason::EvidenceGap,
                Detail::ItemExpected {
                    item: sequence,
                    expected: peer.cursor,
                },
            ));
        }
        let Some(cursor) = sequence.checked_add(1) else {
            let detail = Detail::NoSuccessor { item: sequence };
            return Ok(refused(Reason::EvidenceBroken, detail));
        };
        let item = match sent {
            Sent::Large(large) => {
                return Ok(too_large(large, size, root));
            }
            Sent::Item(item) if item.is_large() => {
                return Ok(too_large(&item.in_short(), size, root));
            }
            Sent::Item(item) => item,
        };
        let from = Sender {
            prefix: batch.peer,
            origin: *origin,
            note: peer.note_seen.clone(),
            peer,
            gives_up: None,
        };
        let proven = match prove_at(&item.proven, size, root, self.registry.level) {
            Ok(proven) => Ok(proven),
            Err(Unproven::Unreadable { hash, index, .. }) => Err((index, hash)),
            Err(Unproven::Broken(_)) => {
                let index = item.proven.index;
                return Ok(refused(Reason::EvidenceBroken, Detail::NotProven { index }));
            }
        };
        let believed = match &proven {
            Ok(proven) => self.believe(&from, proven, item, size, root),
            Err((index, _)) => no(Reason::Parked, Detail::Unreadable { index: *index }),
        };
        let mut parked = None;
        let mut events = match believed.and_then(fitting) {
            Ok(events) => events,
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Refused(rejection))
                if matches!(
                    rejection.reason,
                    Reason::EvidenceBroken | Reason::PeerPaused
                ) =>
            {
                return Ok(ItemAnswer::Refused { rejection });
            }
            // Proven, so its registry says nothing else later: it is answered with a number, and the feed goes on.
            Err(Stop::Refused(rejection)) => {
                let evidence = match &proven {
                    Ok(proven) => from.reference(proven),
                    Err((index, hash)) => from.unread(*index, *hash),
                };
                if rejection.reason == Reason::Parked {
                    let subject = proven.as_ref().map(|proven| proven.leaf.key);
                    let bytes = item.to_bytes();
                    parked = Some(Parked {
                        peer: from.prefix,
                        item: item.sequence,
                        evidence: evidence.clone(),
                        subject: subject.unwrap_or(Digest::ZERO),
                        code: proven.as_ref().ok().and_then(shown_code),
                        why: rejection.detail.clone(),
                        since: self.now,
                        size,
                        root: *root,
                        note: from.note.clone(),
                        length: bytes.len() as u64,
                        bytes: Some(Blob(bytes)),
                    });
                }
                doubt(&from, evidence, &rejection)
            }
        };
        let read = Heard {
            items: 1,
            bytes: item.to_bytes().len() as u64,
            ..Heard::default()
        };
        let with = |events: &[Event]| Heard {
            items: read.items,
            bytes: read.bytes,
            ..amount(events, self.registry.level)
        };
        let allowed = from.peer.allowed(self.now);
        let heard = match from.peer.heard.and(&with(&events), &allowed, self.now) {
            Ok(heard) => heard,
            Err((what, max)) => {
                let peer = from.prefix;
                let paused =
                    Rejection::new(Reason::PeerPaused, Detail::InAMinute { peer, what, max });
                // A claim binds nothing, and whoever could prove it says it too: it is left out, and what stands behind it
                // in the mailbox, a theft or a departure, is read.
                let claims = events.iter().all(|event| event.kind == Kind::Incident);
                if what != Counted::Claims || !claims {
                    return Ok(ItemAnswer::Refused { rejection: paused });
                }
                let evidence = match &proven {
                    Ok(proven) => from.reference(proven),
                    Err((index, hash)) => from.unread(*index, *hash),
                };
                events = doubt(&from, evidence, &paused);
                let answered = from.peer.heard.and(&with(&events), &allowed, self.now);
                let heard = match answered {
                    // Nor is it answered, once enough was.
                    Err((Counted::Nacks, _)) => {
                        events = Vec::new();
                        from.peer.heard.and(&read, &allowed, self.now)
                    }
                    answered => answered,
                };
                match heard {
                    Ok(heard) => heard,
                    Err((what, max)) => {
                        let detail = Detail::InAMinute { peer, what, max };
                        return Ok(refused(Reason::PeerPaused, detail));
                    }
                }
            }
        };
        if let Some(now) = self.ledger.peer(&batch.peer)? {
            // What it showed before its clock was set back is of a later time than what follows, seen here or not.
            let at = self.now;
            let repaired = proven.as_ref().ok().and_then(|it| repaired(&from, it, at));
            let time_seen = repaired.map_or(now.time_seen, |it| now.time_seen.max(it.from));
            let me = self.registry.prefix;
            let suspended = proven.as_ref().ok().and_then(|it| suspended(&me, it));
            let mut now = now;
            if let Some(said) = suspended {
                now.suspended_by_it(said);
            }
            self.ledger.put_peer(Peer {
                heard,
                time_seen,
                repaired: repaired.or(now.repaired),
                ..now
            })?;
        }
        let authorised = Authorised::whole(&Envelope::Foreign {
            origin: origin.to_string(),
            checkpoint: Blob(batch.checkpoint.clone().into_bytes()),
            index: item.proven.index,
            leaf: Some(item.proven.leaf.clone()),
            path: item.proven.path.clone(),
            disclosed: Some(item.proven.disclosed.clone()),
        });
        let answer = self.record_all(events, &authorised)?;
        if let Some(peer) = self.ledger.peer(&batch.peer)? {
            self.ledger.put_peer(Peer { cursor, ..peer })?;
        }
        if let Ok(proven) = &proven {
            self.cancel_refused(proven)?;
        }
        match parked {
            Some(parked) => self.park(parked)?,
            // A step of ours, or of a third one, may be what others of the robot wait for.
            None => {
                if let (Ok(proven), ItemAnswer::Done { .. }) = (&proven, &answer) {
                    self.try_behind(&proven.leaf.key)?;
                }
            }
        }
        Ok(answer)
    }

    /// The importer refused: our own Cancel follows at once, by a published rule.
    pub(super) fn cancel_refused(&mut self, proven: &Proven) -> Result<(), L::Fault> {
        let Ok(Some(link)) = proven.slots.get::<Link>(slot::CUSTODY) else {
            return Ok(());
        };
        let Some(id) = link.transfer.filter(|_| link.step == Step::Refuse) else {
            return Ok(());
        };
        let Some(transfer) = self
            .ledger
            .transfer(&id)?
            .filter(|t| t.refused.is_some() && t.ending.is_none())
        else {
            return Ok(());
        };
        let code = transfer.code;
        let here = match held(&self.ledger, &code) {
            Ok(here) => here,
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Refused(_)) => return Ok(()),
        };
        let Some(cancel) = cancel_after_refusal(self.registry.prefix, &here.chain, self.now) else {
            return Ok(());
        };
        let what = Command::CancelExport {
            transfer: id,
            reason: transfer.refused.clone().unwrap_or_default(),
        };
        let after = here.after(&code);
        let event = step_event(&what, after, cancel, TimeMs(0), "", transfer, self.now);
        self.record(event, &Authorised::system(rule::CANCEL_AFTER_REFUSAL, &id))
            .map(drop)
    }

    pub(super) fn believe(
        &self,
        from: &Sender,
        proven: &Proven,
        item: &MailItem,
        size: u64,
        root: &Digest,
    ) -> Result<Vec<Event>, Stop<L::Fault>> {
        match proven.leaf.kind {
            Kind::Custody => self.custody_step(from, proven, item, size, root),
            Kind::LifeCycle | Kind::Hold if self.waits_for_custody(from, proven, item)? => {
                // Its own admission waits here: who has the robot is not known yet.
                let behind = self.parked_before(from, proven, item.sequence)?;
                let item = behind.unwrap_or(item.sequence);
                no(Reason::Parked, Detail::Behind { item })
            }
            Kind::LifeCycle | Kind::Foreign => self.end_of_life(from, proven),
            Kind::Hold => self.reported_hold(from, proven),
            Kind::Recall => self.recall(from, proven),
            _ => Ok(Vec::new()),
        }
    }

    pub(super) fn subject_code(proven: &Proven) -> Result<Option<Code>, Stop<L::Fault>> {
        let Ok(Some(text)) = proven.slots.get::<String>(slot::CODE) else {
            return Ok(None);
        };
        match Code::parse(&text) {
            // Only as it is written everywhere: another spelling would be another text under the same key.
            Ok(code) if code.as_str() != text => lacks(Lacking::Code),
            Ok(code) if Subject::robot(&code).key() == proven.leaf.key => Ok(Some(code)),
            Ok(_) => lacks(Lacking::Subject),
            Err(_) => Ok(None),
        }
    }

    fn custody_step(
        &self,
        from: &Sender,
        proven: &Proven,
        item: &MailItem,
        size: u64,
        root: &Digest,
    ) -> Result<Vec<Event>, Stop<L::Fault>> {
        let Some(code) = Self::subject_code(proven)? else {
            shown::<String, _>(proven, slot::CODE)?;
            return lacks(Lacking::Code);
        };
        let Some(link) = shown::<Link, _>(proven, slot::CUSTODY)? else {
            return lacks(Lacking::Link);
        };
        let here = held(&self.ledger, &code)?;
        let written = Written {
            writer: from.prefix,
            link: link.clone(),
            leaf: proven.hash,
            at: proven.leaf.t_ms,
            deadline: TimeMs(0),
        };
        // Which of two leaves its later steps rest on, the roots here have not said: neither does whoever fills the places here,
        // nor a registrar who gives one up.
        let forked = from
            .peer
            .fork
            .as_ref()
            .is_some_and(|fork| fork.code == code);
        // A step that is another's to write is nobody's, forked or not.
        if forked && link.epoch >= here.chain.epoch && link.writer() == from.prefix {
            return no(Reason::Parked, Detail::Forked { code });
        }
        let followed = match code.prefix() == self.registry.prefix {
            true => follow(self.registry.prefix, &here.chain, &written),
            false => None,
        };
        let under = (item, size, root);
        let taken = self.taken_step(from, proven, under, &code, written);
        let Some(chain) = followed else {
            let contradicted = match &taken {
                Ok(events) => events.is_empty(),
                Err(Stop::Refused(rejection)) => rejection.reason != Reason::EvidenceBroken,
                Err(Stop::Fault(_)) => false,
            };
            if contradicted {
                if let Some(fork) = self.custody_fork(from, proven, &code, &link)? {
                    return Ok(vec![fork]);
                }
                // Of an offer under no agreement not even the chain is read.
                let is_agreed = !matches!(
                    &taken,
                    Err(Stop::Refused(rejection)) if rejection.reason == Reason::NoAgreement
                );
                if link.step == Step::Offer
                    && is_agreed
                    && let Some(fork) =
                        self.fork_in_chain((from, item), &code, ((size, *root), &link))?
                {
                    return Ok(vec![fork]);
                }
            }
            let me = self.registry.prefix;
            let ours = link.from == Some(me) || link.to == me;
            let idle = contradicted
                && !matches!(&taken, Err(Stop::Refused(rejection)) if rejection.reason == Reason::Parked);
            let moves = (ours || row(link.step).moves) && link.epoch >= here.chain.epoch;
            if idle
                && moves
                && from.gives_up.is_none()
                && let Some(item) = self.parked_before(from, proven, item.sequence)?
            {
                return no(Reason::Parked, Detail::Behind { item });
            }
            return taken;
        };
        let waits =
            matches!(&taken, Err(Stop::Refused(rejection)) if rejection.reason == Reason::Parked);
        let between_others =
            link.from != Some(self.registry.prefix) && link.to != self.registry.prefix;
        // An offer to us that cannot be read yet is not passed over: its departure would find nothing to follow.
        if waits && !between_others && from.gives_up.is_none() {
            return taken;
        }
        // The link stands whatever becomes of the step here: the next one names it.
        let mut events = match taken {
            Ok(events) if events.is_empty() => Vec::new(),
            // Between two others its link is all that is needed of it.
            Err(Stop::Refused(_)) if waits && between_others => Vec::new(),
            Err(Stop::Refused(rejection)) if rejection.reason != Reason::EvidenceBroken => {
                doubt(from, from.reference(proven), &rejection)
            }
            taken => return taken,
        };
        let after = Held { chain, ..here }.after(&code);
        let mut event = match proven.slots.get::<Command>(slot::EVENT) {
            Ok(Some(command)) if !between_others => Event::new(Kind::Foreign, &command, after),
            // Between two others, or by a command of a later level: what is known of it is the link.
            _ => Event::new(Kind::Foreign, &link, after),
        };
        event.evidence = vec![from.reference(proven)];
        event.foreign_step = true;
        events.insert(0, event);
        Ok(events)
    }

    /// Two leaves of one registry of which one alone can be: it released a robot twice, or took it in and sent it back. Both
    /// are proven, so no new offer or permit of it is taken; its log is one, and what it proves of the rest is read on. Both
    /// are kept with what proves them: the first in the entry that wrote our leaf about it, the second in this one.
    fn custody_fork(
        &self,
        from: &Sender,
        proven: &Proven,
        code: &Code,
        link: &Link,
    ) -> Result<Option<Event>, Stop<L::Fault>> {
        if link.writer() != from.prefix {
            return Ok(None);
        }
        if !may_exclude(&from.peer, link) {
            return Ok(None);
        }
        let known = self.known_of(code)?;
        let second = (link, from.reference(proven));
        Ok(self.fork_with(&from.peer, code, second, &known))
    }

    /// As [`Self::custody_fork`], where the second leaf is one of those that lead to an offer: who wrote it need be neither the
    /// exporter nor anybody from whom anything was heard of the robot. So a double release is seen by whoever meets both robots.
    fn fork_in_chain(
        &self,
        (from, item): (&Sender, &MailItem),
        code: &Code,
        (under, link): ((u64, Digest), &Link),
    ) -> Result<Option<Event>, Stop<L::Fault>> {
        let shown = shown_chain((from, item), under, link);
        let believed = self.believed(&item.chain)?;
        let Ok(chain) = prove_chain(code, shown, keys_of(&believed), self.registry.level) else {
            return Ok(None);
        };
        let mut peers: BTreeMap<Prefix, Option<Peer>> = BTreeMap::new();
        let mut known = None;
        for step in chain.steps() {
            let prefix = step.origin.prefix;
            let peer = match peers.get(&prefix) {
                Some(peer) => peer.clone(),
                None => {
                    let peer = self.ledger.peer(&prefix).or_fault()?;
                    peers.insert(prefix, peer.clone());
                    peer
                }
            };
            let Some(peer) = peer.filter(|peer| may_exclude(peer, &step.link)) else {
                continue;
            };
            // One reading serves all steps: a chain has many, and each mail item its own.
            let known = match &mut known {
                Some(known) => known,
                None => known.insert(self.known_of(code)?),
            };
            if let Some(fork) = self.fork_with(&peer, code, (&step.link, step.reference()), known) {
                return Ok(Some(fork));
            }
        }
        Ok(None)
    }

    /// What is known here of the steps of a robot: what our newest leaves about it name, and what led to the offers among those.
    fn known_of(&self, code: &Code) -> Result<KnownSteps, Stop<L::Fault>> {
        let here = held(&self.ledger, code)?;
        let mut known = KnownSteps {
            newest: here.chain.link,
            told: Vec::new(),
        };
        let mut next = here.head.and_then(|head| head.step);
        for _ in 0..FORK_STEPS_MAX {
            let Some(index) = next else { break };
            let Some(record) = self.ledger.leaf(index).or_fault()? else {
                break;
            };
            next = record.step_before.filter(|earlier| *earlier < index);
            let evidence = record.values.get(usize::from(slot::EVIDENCE));
            let evidence = evidence.and_then(Option::as_ref);
            // level: a leaf of our own.
            let evidence = evidence.and_then(|bytes| Vec::from_bytes(&bytes.0).ok());
            // Our own steps name it too, as what they rest on.
            let named: Vec<EvidenceRef> = evidence.unwrap_or_default();
            let offered = named.iter().filter_map(|one| one.link.as_ref());
            let offered = offered.filter(|its| its.step == Step::Offer);
            let offered = offered.filter_map(|its| its.transfer).next();
            // What led to an offer was shown with it.
            let transfer = match offered {
                Some(id) => self.ledger.transfer(&id).or_fault()?,
                None => None,
            };
            let chain = transfer.map(|transfer| transfer.chain).unwrap_or_default();
            let kept = chain.into_iter().map(|run| {
                let steps = steps_kept(std::slice::from_ref(&run));
                (run.checkpoint, steps)
            });
            known.told.push(Told {
                index,
                named,
                kept: kept.collect(),
            });
        }
        Ok(known)
    }

    /// Evidence against the registry that wrote a second step, if one of it that is known here excludes that.
    fn fork_with(
        &self,
        peer: &Peer,
        code: &Code,
        (link, second): (&Link, EvidenceRef),
        known: &KnownSteps,
    ) -> Option<Event> {
        // What was settled is settled, and what is known already contradicts nothing.
        if peer.settled.contains(&second.leaf) || known.newest == second.leaf {
            return None;
        }
        for told in &known.told {
            if told.names(&second) {
                return None;
            }
            let Some(first) = told.first(peer, link, &second) else {
                continue;
            };
            let what = CustodyFork {
                peer: peer.bundle.primary()?,
                code: *code,
                recorded: told.index,
            };
            let after = After::Peer(Box::new(Peer {
                quarantined: true,
                fork: Some(OpenFork {
                    recorded: self.registry.tree.size(),
                    code: *code,
                    first: first.leaf,
                    second: second.leaf,
                    beyond_first: None,
                    beyond_second: None,
                }),
                ..peer.clone()
            }));
            let mut event = Event::new(Kind::ForkEvidence, &what, after);
            event.evidence = vec![first.clone(), second];
            return Some(event.effect(Effect::TellAll));
        }
        None
    }

    /// What is believed here of the heads in a chain, by their origins.
    fn believed(&self, runs: &[ChainRun]) -> Result<Heads, Stop<L::Fault>> {
        let mut known = Heads::new();
        for run in runs {
            let Ok(head) = peek(&run.checkpoint) else {
                continue;
            };
            let origin = head.origin;
            if known.contains_key(&origin) {
                continue;
            }
            let own = self.registry.prefix == origin.prefix
                && self.registry.incarnation == origin.incarnation;
            let believed = match self.ledger.peer(&origin.prefix).or_fault()? {
                _ if own => Ok(Believed {
                    keys: self.registry.keys.clone(),
                    seen: (0, Digest::ZERO),
                }),
                None => Err(Flaw::Stranger),
                Some(peer) if !self.is_heard(&peer) => Err(Flaw::Distrusted),
                Some(peer) if peer.bundle.incarnation != origin.incarnation => Err(Flaw::Head),
                Some(peer) => Ok(Believed {
                    seen: (peer.size_seen, peer.root_seen),
                    keys: peer.bundle.keys,
                }),
            };
            known.insert(origin, believed);
        }
        Ok(known)
    }

    /// Whether what a registry wrote counts where it is shown by another one.
    fn is_heard(&self, peer: &Peer) -> bool {
        let clear = !peer.split && !peer.quarantined && peer.doubted.is_none();
        clear && peer.contact == Contact::Open && peer.is_valid(self.now)
    }

    /// What is known here of a robot that is offered to us, led to the newest step before the offer by the chain that came with it;
    /// and that chain, as far as it is kept.
    fn led_to_offer(
        &self,
        (from, item): (&Sender, &MailItem),
        code: &Code,
        (under, link): ((u64, Digest), &Link),
        known: &Chain,
    ) -> Result<Led, Stop<L::Fault>> {
        let (peer, code, me) = (from.prefix, *code, self.registry.prefix);
        let doubtful = |doubt| no(Reason::TransferEnded, Detail::Doubtful { doubt });
        // What is open here answers by itself: what ended it comes by a mailbox of its own, and may be on the chain.
        let is_open = known.open_between(me).is_some();
        let shown = shown_chain((from, item), under, link);
        let believed = self.believed(&item.chain)?;
        let level = self.registry.level;
        if code.prefix() == me {
            let way = prove_way_home(&code, shown, &known.link, keys_of(&believed), level);
            return match way {
                // It shows what became of our release, whatever is heard of whoever took it in.
                Ok(way) if is_open && over(known, &way.next).is_none() => no(
                    Reason::Parked,
                    Detail::Doubtful {
                        doubt: Doubt::AnotherBefore,
                    },
                ),
                Ok(way) => match follows(&way.newest.link, &way.newest.leaf, link) {
                    Ok(()) => Ok(Led {
                        over: over(known, &way.next).cloned(),
                        chain: led(known, &way.newest.link, way.newest.leaf),
                        runs: way.runs,
                    }),
                    Err(doubt) => doubtful(doubt),
                },
                Err(_) if is_open => Ok(Led::at(known)),
                Err(fault) => self.no_chain((peer, &code), fault, item),
            };
        }
        let issuer = from.peer.bundle.prefixes.contains(&code.prefix());
        let chain = match prove_chain(&code, shown, keys_of(&believed), level) {
            Ok(chain) => chain,
            // Its own offer is a beginning: of a robot that is with it by what is known here, or not known.
            Err(fault) if issuer && !is_of_carrier(&fault, peer, item) => {
                let holder = known.responsible_abroad();
                let may = known.newest().is_none() || holder == Some(peer) || is_open;
                return match may {
                    true => Ok(Led::at(known)),
                    false => doubtful(Doubt::AnotherBefore),
                };
            }
            Err(_) if is_open => return Ok(Led::at(known)),
            Err(fault) => return self.no_chain((peer, &code), fault, item),
        };
        let Some(newest) = chain.steps().last() else {
            return doubtful(Doubt::AnotherBefore);
        };
        if let Err(doubt) = follows(&newest.link, &newest.leaf, link) {
            return doubtful(doubt);
        }
        let over = over(known, chain.steps()).cloned();
        if is_open && over.is_none() {
            if chain.has(known) {
                let doubt = Doubt::AnotherBefore;
                return no(Reason::Parked, Detail::Doubtful { doubt });
            }
            return Ok(Led::at(known));
        }
        if !chain.leads_on(code.prefix(), known) {
            return doubtful(Doubt::AnotherBefore);
        }
        Ok(Led {
            chain: led(known, &newest.link, newest.leaf),
            runs: chain.runs().to_vec(),
            over,
        })
    }

    /// Why an offer is not taken by the chain that came with it: only what whoever carried it may have changed is asked for again.
    fn no_chain(
        &self,
        (peer, code): (Prefix, &Code),
        fault: ChainFault,
        item: &MailItem,
    ) -> Result<Led, Stop<L::Fault>> {
        let code = *code;
        let broken = is_of_carrier(&fault, peer, item);
        match fault {
            ChainFault::Order(doubt) => no(Reason::TransferEnded, Detail::Doubtful { doubt }),
            ChainFault::Step { of, index, flaw } => {
                let reason = match broken {
                    true => Reason::EvidenceBroken,
                    false => Reason::NotInCustody,
                };
                no(reason, Detail::ChainStep { of, index, flaw })
            }
            ChainFault::Unbound => no(Reason::EvidenceBroken, Detail::ChainUnbound { code }),
            ChainFault::Size => no(
                Reason::NotInCustody,
                Detail::OffersWithoutChain { peer, code },
            ),
        }
    }

    /// The events of a custody step whose link is read.
    fn taken_step(
        &self,
        from: &Sender,
        proven: &Proven,
        (item, size, root): (&MailItem, u64, &Digest),
        code: &Code,
        written: Written,
    ) -> Result<Vec<Event>, Stop<L::Fault>> {
        let (code, link) = (*code, written.link.clone());
        let me = self.registry.prefix;
        // Between two others the link says all that is needed of it; whose it is there, and why, is not the issuer's to see.
        let is_ours = link.from == Some(me) || link.to == me;
        let command = match is_ours {
            true => shown::<Command, _>(proven, slot::EVENT)?,
            false => None,
        };
        if is_ours && command.is_none() {
            return lacks(Lacking::Event);
        }
        if link.epoch > EPOCH_FOREIGN_MAX {
            return no(
                Reason::Malformed,
                Detail::EpochAbove {
                    epoch: link.epoch,
                    max: EPOCH_FOREIGN_MAX,
                },
            );
        }
        let Some(id) = link.transfer else {
            return Ok(Vec::new());
        };
        let here = held(&self.ledger, &code)?;
        if here.chain == Chain::unknown() {
            if link.epoch > EPOCH_FIRST_MAX {
                return no(
                    Reason::Malformed,
                    Detail::EpochFirst {
                        epoch: link.epoch,
                        max: EPOCH_FIRST_MAX,
                    },
                );
            }
        } else if too_far_ahead(link.epoch, here.chain.epoch) {
            return no(
                Reason::Malformed,
                Detail::EpochAhead {
                    epoch: link.epoch,
                    known: here.chain.epoch,
                    max: EPOCH_STEP_MAX,
                },
            );
        }
        let Some(command) = command else {
            return self.third_party(&code, &here, &written);
        };
        if !tells_of(&command, &link, &code) {
            return no(Reason::Malformed, Detail::Slot { slot: slot::EVENT });
        }
        let (deadline, place) = terms(&command);
        let written = Written {
            deadline,
            ..written
        };
        // What was offered and permitted before goes on to its end, by whatever is proven.
        if from.peer.quarantined && matches!(link.step, Step::Offer | Step::Accept) {
            let prefix = from.prefix;
            return no(Reason::PeerQuarantined, Detail::Prefix { prefix });
        }
        // What nothing here would permit takes no record, no place among what is open, and no proof of its chain.
        if let Command::DeclareExport { agreement, .. } = &command
            && self.ledger.transfer(&id).or_fault()?.is_none()
        {
            newest(&from.peer, agreement, self.now)?;
        }
        // Nor does anybody offer what it said itself to have ended.
        let key = Subject::robot(&code).key();
        if link.step == Step::Offer
            && (self.has_proven_end(&key)? || self.says_it_ended(&from.prefix, &key)?)
        {
            return no(Reason::IdentityEnded, Detail::Code { code });
        }
        // It is detained already: said again and again, it would fill the trail of the robot.
        if link.step == Step::Detain {
            let known = self.ledger.transfer(&id).or_fault()?;
            if known.is_some_and(|known| known.stopped.is_some()) {
                return Ok(Vec::new());
            }
        }
        let mut before = Led::at(&here.chain);
        let comes = link.step == Step::Offer && link.epoch > here.chain.epoch;
        // Who is responsible here answers by that alone. What a planted fault lets pass proves no chain.
        if comes && !here.chain.is_responsible() && !self.planted.breaks_custody() {
            let under = ((size, *root), &link);
            before = self.led_to_offer((from, item), &code, under, &here.chain)?;
        }
        if link.step == Step::Depart {
            let Some(newest) = &item.newest else {
                return broken(Detail::Lacks {
                    what: Lacking::NewestProof,
                });
            };
            let since = prove_newest(
                newest,
                (&proven.leaf, &proven.hash),
                (size, root),
                self.registry.level,
            );
            let index = proven.index;
            match since.or_else(|_| broken(Detail::NotNewest { index }))? {
                Since::NoStep(status) if u64::from(status) == RobotStatus::Departed.number() => {}
                Since::NoStep(status) => {
                    return no(Reason::NotReleased, Detail::MapStatus { status });
                }
                Since::Step => return no(Reason::NotReleased, Detail::StepFollows {}),
                Since::Buried(leaves) => {
                    let max = LATER_LEAVES_MAX as u64;
                    return no(Reason::RecordFull, Detail::Buried { leaves, max });
                }
            }
        }
        let chain = match fold(me, &before.chain, &written, self.planted) {
            Folded::Moved(chain) => chain,
            // An offer below what is known, and none that was heard before: whoever waits for an answer has one.
            Folded::Replay
                if link.step == Step::Offer
                    && link.to == me
                    && self.ledger.transfer(&id).or_fault()?.is_none() =>
            {
                let doubt = Doubt::EpochOff;
                return no(Reason::TransferEnded, Detail::Doubtful { doubt });
            }
            Folded::Replay => return Ok(Vec::new()),
            Folded::Doubtful(doubt) => {
                return no(Reason::TransferEnded, Detail::Doubtful { doubt });
            }
        };
        let transfer = self.transfer_after(from, proven, &code, &link, &command, &place)?;
        let Some(transfer) = transfer else {
            return no(Reason::TransferUnknown, Detail::Transfer { transfer: id });
        };
        let (mut here, mut transfer) = (Held { chain, ..here }, transfer);
        let (mut effects, mut evidence) = (Vec::new(), Vec::new());
        if let Some(step) = before.over {
            evidence.push(step.reference());
            effects.push(self.ended_by(&step, here.robot.as_mut())?);
        }
        match link.step {
            Step::Offer => {
                let sides = [me, from.prefix, code.prefix()];
                let mut passed = links::writers_of(&before.runs);
                passed.retain(|one| !sides.contains(one));
                transfer.passed = passed.into_iter().collect();
                transfer.chain = before.runs;
                links::add(&mut transfer.chain, &from.note, &item.proven);
            }
            Step::Depart | Step::Return => {
                links::add(&mut transfer.chain, &from.note, &item.proven);
            }
            // It goes no further by this transfer.
            Step::Cancel => transfer.chain.clear(),
            _ => {}
        }
        match (link.step, &transfer.robot) {
            // What is reported of it from here on stands in a record, and binds.
            (Step::Offer, Some(disclosed)) => {
                here.robot = Some(Robot {
                    head: here.head,
                    ..provisional(self.registry.prefix, here.robot.take(), disclosed.clone())
                });
            }
            (Step::Depart, Some(disclosed)) => {
                if let Some(record) = &mut here.robot {
                    let me = self.registry.prefix;
                    transfer.detained = match detained(me, record, disclosed) {
                        None => self.fitted_elsewhere(disclosed)?,
                        detained => detained,
                    };
                    forget_lifted(from.prefix, record, &disclosed.holds);
                }
            }
            (Step::Admit, _) => admitted_abroad(transfer.purpose, here.robot.as_mut()),
            (Step::Return, _) => {
                if let Some(robot) = &mut here.robot {
                    robot
                        .holds
                        .retain(|hold| hold.kind != HoldKind::EndOfLifePending);
                    // Whatever else it shows, the robot is here again.
                    let theirs = proven.slots.get::<Standing>(slot::STATE);
                    if let Ok(Some(theirs)) = theirs {
                        sent_back(me, from.prefix, robot, &theirs.holds);
                    }
                    for part in &robot.parts {
                        // What was fitted elsewhere meanwhile stays there.
                        let fitting = self.ledger.part_holder(&part.identity).or_fault()?;
                        if fitting.is_none() {
                            let fitting = Fitting::shown(code);
                            effects.push(Effect::Part(part.identity, Some(fitting)));
                        }
                    }
                }
            }
            _ => {}
        }
        let doubted = transfer.detained.clone();
        effects.push(Effect::Transfer(Box::new(transfer)));
        let mut event = Event::new(Kind::Foreign, &command, here.after(&code));
        evidence.push(from.reference(proven));
        event.evidence = evidence;
        event.foreign_step = true;
        event.effects = effects;
        let mut events = vec![event];
        // It departed, and we are responsible for it; that it is not admitted as it is shown, its sender is told.
        if let (Step::Depart, Some(rejection)) = (link.step, doubted) {
            events.extend(doubt(from, from.reference(proven), &rejection));
        }
        Ok(events)
    }

    /// Whether a leaf tells what another country wrote that is known here: it names that leaf, and whether there is one can be asked there.
    fn names_another(&self, from: &Sender, proven: &Proven) -> Result<bool, Stop<L::Fault>> {
        if proven.leaf.kind != Kind::Foreign {
            return Ok(false);
        }
        let named = said::<Vec<EvidenceRef>, _>(proven, slot::EVIDENCE)?;
        for one in named.unwrap_or_default() {
            let Ok(origin) = Origin::parse(&one.origin) else {
                continue;
            };
            let prefix = origin.prefix;
            if from.peer.bundle.prefixes.contains(&prefix) {
                continue;
            }
            if prefix == self.registry.prefix || self.ledger.peer(&prefix).or_fault()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The transfer of a step that the chain of a later offer shows is over by it. What its country says of that itself comes later, and
    /// changes nothing more.
    fn ended_by(
        &self,
        step: &ProvenStep,
        robot: Option<&mut Robot>,
    ) -> Result<Effect, Stop<L::Fault>> {
        let known = match step.link.transfer {
            Some(id) => self.ledger.transfer(&id).or_fault()?,
            None => None,
        };
        let Some(mut transfer) = known else {
            return no(Reason::TransferUnknown, Detail::NOTHING);
        };
        match step.link.step {
            Step::Admit => admitted_abroad(transfer.purpose, robot),
            // It goes no further by this transfer.
            _ => transfer.chain.clear(),
        }
        let ending = Ending {
            step: step.link.step,
            place: String::new(),
            at: step.at,
            leaf: step.leaf,
        };
        Ok(Effect::Transfer(Box::new(Transfer {
            step: step.link.step,
            step_at: step.at,
            evidence: Some(step.reference()),
            ending: Some(ending),
            ..transfer
        })))
    }

    /// A step between two others, about a code of ours. One that moves the chain is followed by who calls this; of one that
    /// does not, nothing is kept; all else is contradicted.
    fn third_party(
        &self,
        code: &Code,
        here: &Held,
        written: &Written,
    ) -> Result<Vec<Event>, Stop<L::Fault>> {
        if code.prefix() != self.registry.prefix || here.robot.is_none() {
            return Ok(Vec::new());
        }
        // The permit that it rests on comes by another mailbox, which may be slower.
        if let Some(offer) = here.chain.newest().filter(|it| it.step == Step::Offer)
            && written.link.step == Step::Depart
            && written.writer == written.link.writer()
            && follows(offer, &here.chain.link, &written.link).is_ok()
        {
            let doubt = Doubt::OutOfOrder;
            return no(Reason::Parked, Detail::Doubtful { doubt });
        }
        // So does what leads to it.
        if may_follow_later(self.registry.prefix, &here.chain, code, &written.link)
            && written.writer == written.link.writer()
        {
            let doubt = Doubt::AnotherBefore;
            return no(Reason::Parked, Detail::Doubtful { doubt });
        }
        // Each step that is followed is a leaf of the robot, and a departure is read with the leaves behind it: while it is
        // under way, nobody else adds to them.
        if let Phase::Released { .. } = here.chain.phase {
            return no(Reason::NotInCustody, Detail::UnderWay { code: *code });
        }
        let (chain, link) = (&here.chain, &written.link);
        let aside = !row(link.step).moves
            && written.writer == link.writer()
            && chain
                .newest()
                .is_some_and(|newest| follows(newest, &chain.link, link).is_ok());
        if follow(self.registry.prefix, chain, written).is_none() && !aside {
            return no(Reason::NotInCustody, Detail::NeitherHas { code: *code });
        }
        Ok(Vec::new())
    }

    fn transfer_after(
        &self,
        from: &Sender,
        proven: &Proven,
        code: &Code,
        link: &Link,
        command: &Command,
        place: &str,
    ) -> Result<Option<Transfer>, Stop<L::Fault>> {
        let Some(id) = link.transfer else {
            return Ok(None);
        };
        let known = self.ledger.transfer(&id).or_fault()?;
        let evidence = Some(from.reference(proven));
        let ending = || {
            Some(Ending {
                step: link.step,
                place: place.to_owned(),
                at: proven.leaf.t_ms,
                leaf: proven.hash,
            })
        };
        let transfer = match (link.step, known) {
            (Step::Offer, None) => {
                let Command::DeclareExport {
                    purpose,
                    offer_until,
                    agreement,
                    papers,
                    ..
                } = command
                else {
                    return lacks(Lacking::Declaration);
                };
                let robot = disclosed_robot(code, proven)?;
                if robot.state.is_final() || robot.state == State::Reserved {
                    let (code, state) = (*code, robot.state);
                    return no(Reason::StateFinal, Detail::RobotIs { code, state });
                }
                // A record has no key but one that is proven.
                let body = robot.identity.body;
                if robot.robot_key.is_some_and(|key| !key.is_of(code, &body)) {
                    return no(Reason::KeyNotProven, Detail::KeyUnsigned { code: *code });
                }
                // Never a pause: what makes room stands in the same mailbox, behind this.
                if from.peer.offers_open >= OFFERS_OF_PEER_MAX {
                    let (what, max) = (Counted::Offers, OFFERS_OF_PEER_MAX);
                    return no(Reason::RecordFull, Detail::Full { what, max });
                }
                Some(Transfer {
                    id,
                    code: *code,
                    from: from.prefix,
                    to: self.registry.prefix,
                    purpose: *purpose,
                    epoch: link.epoch,
                    agreement: agreement.clone(),
                    clause: None,
                    offer_until: *offer_until,
                    papers: papers.clone(),
                    conditions: Vec::new(),
                    depart_by: TimeMs(0),
                    refused: None,
                    step: Step::Offer,
                    step_at: proven.leaf.t_ms,
                    robot: Some(robot),
                    evidence,
                    chain: Vec::new(),
                    passed: Vec::new(),
                    detained: None,
                    declared_by: None,
                    ends_at: TimeMs(0),
                    lapsed: false,
                    stopped: None,
                    ending: None,
                })
            }
            (Step::Offer, Some(_)) | (_, None) => None,
            (step, Some(transfer)) => {
                let mut transfer = Transfer {
                    step,
                    step_at: proven.leaf.t_ms,
                    evidence,
                    ..transfer
                };
                match command {
                    Command::PermitImport {
                        depart_by,
                        conditions,
                        ..
                    } => {
                        transfer.depart_by = *depart_by;
                        transfer.conditions.clone_from(conditions);
                    }
                    Command::RefuseImport { reason, .. } => transfer.refused = Some(reason.clone()),
                    Command::Detain { reason, .. } => transfer.stopped = Some(reason.clone()),
                    _ => {}
                }
                match step {
                    Step::Depart => transfer.robot = Some(disclosed_robot(code, proven)?),
                    Step::Admit | Step::Return | Step::Cancel => {
                        // What we refused ended here already; the cancel only answers it.
                        transfer.ending = transfer.ending.or_else(ending);
                    }
                    _ => {}
                }
                Some(transfer)
            }
        };
        Ok(transfer)
    }

    /// End of life abroad: final for the code if the sender proved its custody, or is its issuer and tells what another country
    /// wrote; the issuer's word where that did it itself, elsewhere than the robot is known to be; else a claim.
    fn end_of_life(&self, from: &Sender, proven: &Proven) -> Result<Vec<Event>, Stop<L::Fault>> {
        let Some(code) = Self::subject_code(proven)? else {
            return Ok(Vec::new());
        };
        let Some(standing) = said::<Standing, _>(proven, slot::STATE)? else {
            return Ok(Vec::new());
        };
        if !standing.state.is_end_of_life() {
            return Ok(Vec::new());
        }
        let code_key = Subject::robot(&code).key();
        if self.has_proven_end(&code_key)? {
            return Ok(Vec::new());
        }
        let here = held(&self.ledger, &code)?;
        let issuer = from.peer.bundle.prefixes.contains(&code.prefix());
        let held_there = here.chain.responsible_abroad() == Some(from.prefix);
        if here.chain.is_responsible() {
            return no(
                Reason::NotInCustody,
                Detail::EndedOurs {
                    peer: from.prefix,
                    code,
                },
            );
        }
        if code.prefix() == self.registry.prefix && here.robot.is_none() {
            // Nobody else can know of a code of ours that was never registered, and nobody else may burn one.
            return no(Reason::RobotUnknown, Detail::Code { code });
        }
        // Without a clause in force what an issuer says of a robot that it has not is shown, and binds nothing.
        let bound = issuer && from.peer.has_clause(self.registry.prefix, self.now);
        let weight = match (held_there, bound) {
            (true, _) => Weight::Proven,
            (false, true) if self.names_another(from, proven)? => Weight::Proven,
            (false, true) => Weight::Word,
            (false, false) => Weight::Claim,
        };
        let claim = weight == Weight::Claim;
        // What another country only heard is nothing that it claims.
        if proven.leaf.kind == Kind::Foreign && !issuer && !held_there {
            return Ok(Vec::new());
        }
        // One alarm says as much as many. Each would be a leaf of the robot, and a departure travels with a bounded number
        // of leaves behind it: whoever repeats claims would keep somebody else's robot from arriving.
        let before = self.ledger.claim(&from.prefix, &code_key).or_fault()?;
        let is_known = match weight {
            Weight::Claim => before.is_some(),
            Weight::Word => {
                before.is_some_and(|before| before.cleared)
                    || self.says_it_ended(&from.prefix, &code_key)?
            }
            Weight::Proven => false,
        };
        if is_known {
            return Ok(Vec::new());
        }
        let said = Box::new(Ended {
            code,
            state: standing.state,
            by: from.prefix,
            at: proven.leaf.t_ms,
            leaf: proven.hash,
        });
        let ended = |identity, weight| match weight {
            Weight::Proven => Effect::Ended(identity, said.clone()),
            Weight::Word => Effect::EndedOnWord(identity, said.clone()),
            Weight::Claim => Effect::Claim(identity, said.clone()),
        };
        let mut effects = vec![ended(code_key, weight)];
        for identity in part_identity_list(proven)? {
            if self.has_proven_end(&identity)? {
                continue;
            }
            // A body or part ends by another's word only as one of this very robot, as it is known here: any registry could
            // write any body under a code of its own.
            let fitting = self.ledger.part_holder(&identity).or_fault()?;
            effects.push(match fitting.and_then(|fitting| fitting.of(&code)) {
                Some(Fitted::Word) if !claim => Effect::EndedOnWord(identity, said.clone()),
                Some(Fitted::Here) => ended(identity, weight),
                None | Some(Fitted::Word | Fitted::Shown | Fitted::Cleared) => {
                    ended(identity, Weight::Claim)
                }
            });
        }
        let what = standing.state;
        let after = match here.robot {
            Some(robot) if weight == Weight::Proven => {
                // Who heard it from its custodian alone may not know that one; the issuer everybody knows. Who is neither
                // tells nobody: it would use up what it may say itself.
                if code.prefix() == self.registry.prefix {
                    effects.push(Effect::TellAll);
                }
                After::Robot(Box::new(Robot {
                    state: standing.state,
                    pending: crate::record::Pending::Nothing {},
                    custody: here.chain,
                    ..robot
                }))
            }
            robot => Held { robot, ..here }.after(&code),
        };
        let kind = if claim { Kind::Incident } else { Kind::Foreign };
        let mut event = Event::new(kind, &what, after);
        event.evidence = vec![from.reference(proven)];
        event.effects = effects;
        Ok(vec![event])
    }

    /// Why a robot is not admitted whose body, key or identity part another one here has.
    fn fitted_elsewhere(&self, disclosed: &Robot) -> Result<Option<Rejection>, Stop<L::Fault>> {
        let elsewhere = bound_elsewhere(&self.ledger, disclosed)?;
        Ok(elsewhere.map(|code| Rejection::new(Reason::BodyExists, Detail::BodyOrPartOf { code })))
    }

    /// Whether it stands here that an identity ended by the word of a peer.
    fn says_it_ended(&self, peer: &Prefix, identity: &Digest) -> Result<bool, Stop<L::Fault>> {
        let ends = self.ledger.ends(identity).or_fault()?;
        let said = ends.and_then(|ends| ends.said);
        Ok(said.is_some_and(|said| said.by == *peer))
    }

    fn has_proven_end(&self, identity: &Digest) -> Result<bool, Stop<L::Fault>> {
        let ends = self.ledger.ends(identity).or_fault()?;
        Ok(ends.is_some_and(|ends| ends.proven.is_some()))
    }

    /// A theft, a loss or an order not to use it that the issuer reports of a robot, or the country that is responsible for it,
    /// and that whoever set a hold lifts it: wherever the robot is, as long as it has a record here.
    fn reported_hold(&self, from: &Sender, proven: &Proven) -> Result<Vec<Event>, Stop<L::Fault>> {
        let Some(code) = Self::subject_code(proven)? else {
            return Ok(Vec::new());
        };
        let known = self.ledger.robot(&code).or_fault()?;
        let Some(mut robot) = known.filter(|robot| !robot.state.is_final()) else {
            return Ok(Vec::new());
        };
        let issuer = from.peer.bundle.prefixes.contains(&code.prefix());
        let responsible = robot.custody.responsible_abroad() == Some(from.prefix);
        let clause = from.peer.has_clause(self.registry.prefix, self.now);
        let Some(command) = said::<Command, _>(proven, slot::EVENT)? else {
            return Ok(Vec::new());
        };
        // Where its custodian says it is stolen it is. What it orders, it orders at home: here that counts by a clause alone.
        let (Command::SetHold { kind, .. } | Command::LiftHold { kind, .. }) = &command else {
            return Ok(Vec::new());
        };
        let kind = *kind;
        let binds = clause || (responsible && kind != HoldKind::RegulatorStop);
        // Its departure is read with the leaves behind it: only who reads it may report, take back and report again.
        let others = matches!(robot.custody.phase, Phase::Released { .. }) && !responsible;
        let Some(theirs) = said::<Standing, _>(proven, slot::STATE)? else {
            return Ok(Vec::new());
        };
        // The leaf shows the holds after it: those of this kind that were set there, and no others of theirs, stand here too, under
        // their setters. Whichever command wrote it: one that waited to be told took the place of those before it.
        let said = |hold: &&Hold| hold.kind == kind && hold.setter.prefix == from.prefix;
        let said: Vec<&Hold> = theirs.holds.iter().filter(said).collect();
        let is_set = |hold: &Hold| said.iter().any(|set| set.setter == hold.setter);
        let before = robot.clone();
        // No agreement is needed, and nobody need be the issuer: a country takes back its own word.
        robot.holds.retain(|hold| {
            let theirs_once = hold.kind == kind && hold.setter.prefix == from.prefix;
            others || !theirs_once || is_set(hold)
        });
        let taken_back = Robot {
            holds: robot.holds.clone(),
            ..before.clone()
        };
        let is_reported = |kind| {
            matches!(
                kind,
                HoldKind::Theft | HoldKind::Lost | HoldKind::RegulatorStop
            )
        };
        let counts = is_reported(kind) && (issuer || responsible) && (binds || !others);
        let is_new = |hold: &&&Hold| {
            let mut known = before.holds.iter();
            counts && !known.any(|here| here.kind == hold.kind && here.setter == hold.setter)
        };
        let new: Vec<Hold> = said
            .iter()
            .filter(is_new)
            .map(|hold| (*hold).clone())
            .collect();
        let (adds, takes_back) = (!new.is_empty(), taken_back.holds != before.holds);
        if !adds && !takes_back {
            return Ok(Vec::new());
        }
        robot.holds.extend(new);
        // A country that shows many setters must not use up what the offices here may need.
        let reported = |hold: &&Hold| hold.setter.prefix == from.prefix && is_reported(hold.kind);
        if adds && robot.holds.iter().filter(reported).count() > HOLDS_OF_PEER_MAX {
            let (what, max) = (Counted::Holds, HOLDS_OF_PEER_MAX as u64);
            return no(Reason::RecordFull, Detail::Full { what, max });
        }
        // Nor must several countries together.
        let of_others = |hold: &&Hold| hold.setter.prefix != self.registry.prefix;
        if adds && robot.holds.iter().filter(of_others).count() > HOLDS_OF_OTHERS_MAX {
            let (what, max) = (Counted::Holds, HOLDS_OF_OTHERS_MAX as u64);
            return no(Reason::RecordFull, Detail::Full { what, max });
        }
        // Of a robot that it has not, it alarms without a clause in force, and binds nothing; what it takes back, it takes back.
        let (kind, robot) = match (binds, takes_back) {
            (true, _) => (Kind::Foreign, robot),
            (false, true) => (Kind::Foreign, taken_back),
            (false, false) => (Kind::Incident, before),
        };
        let mut event = Event::new(kind, &command, After::Robot(Box::new(robot)));
        event.evidence = vec![from.reference(proven)];
        Ok(vec![event])
    }

    /// A recall of the sender's own models: binds by itself within the clause's limits, else waits for the regulator.
    fn recall(&self, from: &Sender, proven: &Proven) -> Result<Vec<Event>, Stop<L::Fault>> {
        let Some(theirs) = said::<Recall, _>(proven, slot::MODEL)? else {
            return Ok(Vec::new());
        };
        let prefixes = &from.peer.bundle.prefixes;
        let own = theirs.notice.id.issuer == from.prefix
            && theirs
                .models
                .iter()
                .all(|model| prefixes.contains(&model.prefix()));
        if !own {
            return no(
                Reason::PrefixNotOurs,
                Detail::NotItsModels { peer: from.prefix },
            );
        }
        let in_order = theirs
            .models
            .iter()
            .zip(theirs.models.iter().skip(1))
            .all(|(a, b)| a < b);
        if !in_order || theirs.models.is_empty() {
            return no(Reason::Malformed, Detail::ModelsInOrder {});
        }
        if let Some(what) = theirs.notice.predicate.inverted() {
            return no(Reason::RangeInverted, Detail::Inverted { what });
        }
        let known = self.ledger.recall(&theirs.notice.id).or_fault()?;
        // Counted under a model when it comes there, and when one that had ended comes again.
        let counted = known.as_ref().filter(|known| !known.status.has_ended());
        let counts = |model: &ModelId| counted.is_some_and(|it| it.found_under().contains(model));
        if !theirs.status.has_ended() {
            for model in theirs.models.iter().filter(|model| !counts(model)) {
                if self.ledger.recalls_of(model).or_fault()?.len() >= RECALLS_OF_MODEL_MAX {
                    return no(
                        Reason::RecordFull,
                        Detail::RecallsOfModel {
                            model: *model,
                            max: RECALLS_OF_MODEL_MAX as u64,
                        },
                    );
                }
            }
        }
        // What was decided here of these very words stands; of others it is asked anew.
        let decided = known.as_ref().and_then(|known| known.decided);
        let of_these = decided.filter(|decided| decided.words == theirs.words());
        let is_decided = known
            .as_ref()
            .is_some_and(|known| known.status.is_decided());
        let status = match (theirs.status, of_these) {
            (RecallStatus::Withdrawn, _) => RecallStatus::Withdrawn,
            (RecallStatus::InForce, Some(decided))
                if is_decided || !self.binds(from, &theirs)? =>
            {
                decided.status
            }
            (RecallStatus::InForce, _) if self.binds(from, &theirs)? => RecallStatus::InForce,
            // Nor does another country decide for the regulator here.
            _ => RecallStatus::Proposed,
        };
        // What bound goes on binding until the graver form of it is decided: a word more takes nothing back.
        let bound = match (status, &known) {
            (RecallStatus::Proposed, Some(known)) => known.bound(),
            (RecallStatus::Declined, Some(known)) if known.status.is_decided() => {
                known.bound.clone()
            }
            // Its mail is read again, and these words were decided before.
            (RecallStatus::Declined, Some(known)) => known.bound(),
            // All of an accepted one binds.
            _ => None,
        };
        let found_before = known.as_ref().map_or_else(Vec::new, Recall::found_under);
        let recall = Recall {
            status,
            bound,
            decided,
            // Since when it is known here: what is said of it later changes nothing about that.
            opened: known.as_ref().map_or(self.now, |known| known.opened),
            head: known.as_ref().and_then(|known| known.head),
            ..theirs
        };
        // Said again, it is nothing new.
        let says_so = |known: &Recall| {
            let (opened, recall) = (known.opened, recall.clone());
            *known == Recall { opened, ..recall }
        };
        if known.as_ref().is_some_and(says_so) {
            return Ok(Vec::new());
        }
        let what = recall.notice.clone();
        // It is found by the models that it names now, and by those that it named before no more.
        let before = known.map(|known| known.models).unwrap_or_default();
        let models = touched(&touched(&before, &found_before), &recall.models);
        let mut event = Event::new(Kind::Foreign, &what, After::Recall(recall));
        event.evidence = vec![from.reference(proven)];
        event.effects = vec![Effect::Standing(models)];
        Ok(vec![event])
    }

    fn binds(&self, from: &Sender, recall: &Recall) -> Result<bool, Stop<L::Fault>> {
        let in_force = from.peer.in_force(self.now);
        let clauses = in_force.flat_map(|agreement| &agreement.clauses);
        let bound = clauses.filter(|clause| {
            clause.recogniser == self.registry.prefix
                && clause.issuer == from.prefix
                && recall.notice.severity <= clause.recall_severity_max
        });
        // Whichever clause lets it bind further.
        let Some(clause) = bound.max_by_key(|clause| clause.recall_count_max) else {
            return Ok(false);
        };
        let mut left = u64::from(clause.recall_count_max.min(RECALL_BINDS_MAX));
        for model in &recall.models {
            let count = self.ledger.count_of_model(model).or_fault()?;
            let Some(rest) = left.checked_sub(count) else {
                return Ok(false);
            };
            left = rest;
        }
        Ok(true)
    }
}

/// How much an end counts that another country tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// For good.
    Proven,
    /// As its issuer's word: every verdict shows it and nobody takes the robot in, until a registrar here clears it.
    Word,
    /// It is an alarm.
    Claim,
}

/// What the leaf of a fork says: two roots of one size, both signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// Whose log.
    pub peer: Prefix,
    /// Of its log, in leaves.
    pub size: u64,
    /// The root that was seen before.
    pub seen: Digest,
    /// The root that was shown.
    pub shown: Digest,
    /// The signed note with the one.
    pub seen_note: String,
    /// The signed note with the other.
    pub shown_note: String,
}
crate::canonical_struct!(Fork {
    peer,
    size: Index,
    seen,
    shown,
    seen_note: Lines<NOTE_KEPT_BYTES_MAX>,
    shown_note: Lines<NOTE_KEPT_BYTES_MAX>
});

/// What the leaf of a custody fork says; slot 14 names the two leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodyFork {
    /// Whose log.
    pub peer: Prefix,
    /// The robot.
    pub code: Code,
    /// Our leaf that tells of the first, or rests on it.
    pub recorded: u64,
}
crate::canonical_struct!(CustodyFork {
    peer,
    code,
    recorded: Index
});

/// Whether no registry writes both of two links of one robot: both offers of one epoch, both of cancel and depart in one
/// epoch, or both of admit and return that name one departure. Side leaves never exclude another.
fn excludes(first: &Link, second: &Link) -> bool {
    let ends = |link: &Link| matches!(link.step, Step::Cancel | Step::Depart);
    let arrives = |link: &Link| matches!(link.step, Step::Admit | Step::Return);
    let offers = |link: &Link| link.step == Step::Offer;
    let one_epoch = first.epoch == second.epoch;
    first.writer() == second.writer()
        && ((offers(first) && offers(second) && one_epoch)
            || (ends(first) && ends(second) && one_epoch)
            || (arrives(first) && arrives(second) && first.prev == second.prev))
}

/// Whether a step is one of which another can be excluded: of a side leaf none is.
fn can_exclude(step: Step) -> bool {
    match step {
        Step::Offer | Step::Cancel | Step::Depart | Step::Admit | Step::Return => true,
        Step::Register | Step::Accept | Step::Refuse | Step::Detain => false,
    }
}

/// The robot that a leaf is about, if it shows it.
fn shown_code(proven: &Proven) -> Option<Code> {
    let text = proven.slots.get::<String>(slot::CODE).ok().flatten()?;
    let code = Code::parse(&text).ok()?;
    (Subject::robot(&code).key() == proven.leaf.key).then_some(code)
}

/// One item of a batch, whole or in short.
#[derive(Clone, Copy)]
enum Sent<'a> {
    Item(&'a MailItem),
    Large(&'a LargeItem),
}

impl Sent<'_> {
    fn sequence(&self) -> u64 {
        match self {
            Self::Item(item) => item.sequence,
            Self::Large(large) => large.sequence,
        }
    }
}

/// Who sent a batch.
pub(super) struct Sender {
    pub(super) prefix: Prefix,
    pub(super) origin: Origin,
    pub(super) peer: Peer,
    /// The head that its item is proven under, as it signed it.
    pub(super) note: String,
    /// What an item is answered with that would wait, and waits no longer.
    pub(super) gives_up: Option<Rejection>,
}

impl Sender {
    pub(super) fn reference(&self, proven: &Proven) -> EvidenceRef {
        let link = match proven.leaf.kind {
            Kind::Custody => proven.slots.get(slot::CUSTODY).unwrap_or_default(),
            _ => None,
        };
        EvidenceRef {
            at: Some(proven.leaf.t_ms),
            link,
            ..self.unread(proven.index, proven.hash)
        }
    }

    /// To a leaf whose bytes say nothing here.
    pub(super) fn unread(&self, index: u64, leaf: Digest) -> EvidenceRef {
        EvidenceRef {
            origin: self.origin.to_string(),
            index,
            leaf,
            at: None,
            link: None,
        }
    }
}

/// Why an item that has more bytes than are read is not taken, and nothing behind it. What the peer's log proves of it is its leaf: that
/// it is so large, one server says, or made it so. No registry of a level that is known here writes one, so nothing is passed over for
/// that, whichever node of ours proposes it.
fn too_large(large: &LargeItem, size: u64, root: &Digest) -> ItemAnswer {
    let (index, bytes) = (large.index, large.length);
    if verify_inclusion(&large.leaf, index, size, &large.path, root).is_err() {
        return refused(Reason::EvidenceBroken, Detail::NotProven { index });
    }
    let max = MAIL_ITEM_BYTES_MAX as u64;
    let detail = Detail::ItemBytes { index, bytes, max };
    refused(Reason::ItemTooLarge, detail)
}

/// How much one item has us write, by kind.
pub(super) fn amount(events: &[Event], level: Level) -> Heard {
    let count = |what: fn(&Event) -> bool| events.iter().filter(|event| what(event)).count() as u64;
    let offers = |event: &Event| {
        let mut steps = event.evidence.iter().filter_map(|of| of.link.as_ref());
        event.kind == Kind::Foreign && steps.any(|link| link.step == Step::Offer)
    };
    // Of an end that is proven nobody need be spared: it is a leaf like any other.
    let ends = |event: &Event| {
        let mut effects = event.effects.iter();
        event.kind == Kind::Incident && effects.any(|effect| matches!(effect, Effect::Claim(..)))
    };
    let reports = events.iter().filter(|event| {
        let command = Command::from_bytes_at(&event.what, level);
        matches!(
            command,
            Ok(Command::SetHold { .. } | Command::LiftHold { .. })
        )
    });
    Heard {
        minute: 0,
        offers: count(offers),
        holds: reports.count() as u64,
        nacks: count(|event| event.kind == Kind::Nack),
        claims: count(ends),
        leaves: events.len() as u64,
        // What is tried again was read when it came.
        items: 0,
        bytes: 0,
    }
}

/// A statement that contradicts what is known here changes nothing but is kept, and shown to its sender.
pub(super) fn doubt(from: &Sender, evidence: EvidenceRef, rejection: &Rejection) -> Vec<Event> {
    let given_up = from.gives_up.as_ref();
    let rejection = given_up
        .filter(|_| rejection.reason == Reason::Parked)
        .unwrap_or(rejection);
    let after = After::Peer(Box::new(from.peer.clone()));
    let mut event = Event::new(Kind::Nack, rejection, after);
    event.evidence = vec![evidence];
    event.effects = vec![Effect::Tell(from.prefix)];
    vec![event]
}

/// What a proven leaf says in a slot that its registry must show. Hidden, it is not proven what is there; whatever is
/// there was said for good.
fn shown<T: Canonical, F>(proven: &Proven, slot: u8) -> Result<Option<T>, Stop<F>> {
    match proven.slots.get::<T>(slot) {
        Ok(value) => Ok(value),
        Err(SlotError::Decode { source, .. }) if is_of_later_level(&source) => {
            no(Reason::Parked, Detail::Slot { slot })
        }
        Err(SlotError::Decode { .. }) => no(Reason::Malformed, Detail::Slot { slot }),
        Err(_) => broken(Detail::Hidden { slot }),
    }
}

/// That the roots of a peer set its log time back, of the leaf that says so.
fn repaired(from: &Sender, proven: &Proven, at: TimeMs) -> Option<Repaired> {
    let its = Subject::jurisdiction(&from.prefix).key();
    if proven.leaf.kind != Kind::Policy || proven.leaf.key != its {
        return None;
    }
    match proven.slots.get::<Statement>(slot::EVENT) {
        Ok(Some(Statement::RepairTime { change })) => Some(Repaired {
            from: change.from,
            to: change.to,
            at,
        }),
        _ => None,
    }
}

/// What becomes of a robot that another country took in.
fn admitted_abroad(purpose: Purpose, robot: Option<&mut Robot>) {
    let Some(robot) = robot else { return };
    robot.admitted_abroad = true;
    if purpose == Purpose::PermanentExport {
        robot.stay = Stay::Left {};
    }
}

/// That the roots of a peer suspended a version of an agreement with us, or that they resumed it, of the leaf that says so.
fn suspended(me: &Prefix, proven: &Proven) -> Option<Suspension> {
    let of_us = Subject::new(SubjectType::Peer, me.as_str()).key();
    if proven.leaf.kind != Kind::Agreement || proven.leaf.key != of_us {
        return None;
    }
    match proven.slots.get::<Statement>(slot::EVENT) {
        Ok(Some(Statement::Suspend {
            agreement,
            number,
            until,
            ..
        })) => Some(Suspension {
            agreement,
            number,
            until,
        }),
        _ => None,
    }
}

/// Whether a step lies further above what is known of a robot than a chain that was followed can.
fn too_far_ahead(epoch: u64, known: u64) -> bool {
    epoch
        .checked_sub(known)
        .is_some_and(|ahead| ahead > EPOCH_STEP_MAX)
}

/// Whether bytes are of the expected type but for a number, text or list above its bound, or a text's code point.
fn has_value_out_of_bounds(error: &DecodeError) -> bool {
    matches!(
        error.fault,
        DecodeFault::Above { .. } | DecodeFault::Letter(_)
    )
}

/// Whether bytes are in canonical form but for a variant or version that the feature level does not know.
fn is_of_later_level(error: &DecodeError) -> bool {
    matches!(error.fault, DecodeFault::Invalid(_))
}

/// Whether a link of a robot of ours that is abroad may follow later: it names one before it that is not known here, and
/// there is room for that one between them. It comes by one mailbox, what leads to it by another.
fn may_follow_later(me: Prefix, chain: &Chain, code: &Code, link: &Link) -> bool {
    let Some(newest) = chain.newest() else {
        return false;
    };
    let at_rest = row(Step::Offer).after.contains(&newest.step);
    let room = match link.step {
        Step::Offer | Step::Return if at_rest => Some(link.epoch) > next_epoch(chain.epoch),
        Step::Admit if matches!(newest.step, Step::Offer | Step::Accept) => {
            link.epoch >= chain.epoch
        }
        _ => link.epoch > chain.epoch,
    };
    code.prefix() == me
        && (row(link.step).moves || link.step == Step::Accept)
        && !chain.is_responsible()
        && link.prev != chain.link
        && room
}

/// A proven leaf without what one of its kind has: its registry says nothing else later.
fn lacks<T, F>(what: Lacking) -> Result<T, Stop<F>> {
    no(Reason::Malformed, Detail::Lacks { what })
}

fn broken<T, F>(detail: Detail) -> Result<T, Stop<F>> {
    no(Reason::EvidenceBroken, detail)
}

pub(super) fn no<T, F>(reason: Reason, detail: Detail) -> Result<T, Stop<F>> {
    Err(Stop::Refused(Rejection::new(reason, detail)))
}

fn disclosed_robot<F>(code: &Code, proven: &Proven) -> Result<Robot, Stop<F>> {
    robot_of_slots(code, &proven.slots).or_else(|error| match error {
        SlotError::Decode { slot, ref source } if is_of_later_level(source) => {
            no(Reason::Parked, Detail::Slot { slot })
        }
        // Proven bytes: their registry says nothing else later.
        SlotError::Decode { slot, .. } => no(Reason::Malformed, Detail::Slot { slot }),
        // Shown to be null is not hidden.
        SlotError::Hidden(slot) if matches!(proven.slots.get::<Digest>(slot), Ok(None)) => {
            no(Reason::Malformed, Detail::NullSlot { slot })
        }
        _ => broken(Detail::NotDisclosed {}),
    })
}

/// Whether the event of a custody leaf is that of its link: slots 10 and 12 are signed together and say one thing.
fn tells_of(command: &Command, link: &Link, code: &Code) -> bool {
    let of = |id: &TransferId| link.transfer == Some(*id);
    match (link.step, command) {
        (
            Step::Offer,
            Command::DeclareExport {
                code: what,
                transfer,
                to,
                agreement,
                ..
            },
        ) => {
            of(transfer)
                && what == code
                && *to == link.to
                && link.agreement.as_ref() == Some(agreement)
        }
        (Step::Accept, Command::PermitImport { transfer, .. })
        | (Step::Refuse, Command::RefuseImport { transfer, .. })
        | (Step::Cancel, Command::CancelExport { transfer, .. })
        | (Step::Depart, Command::Depart { transfer, .. })
        | (Step::Admit, Command::Admit { transfer, .. })
        | (Step::Return, Command::Return { transfer, .. })
        | (Step::Detain, Command::Detain { transfer, .. }) => of(transfer),
        // No command writes it into another country's mailbox.
        (Step::Register, _) => true,
        _ => false,
    }
}

/// The deadline and the place that a custody step's event names.
fn terms(command: &Command) -> (TimeMs, String) {
    match command {
        Command::DeclareExport {
            offer_until,
            papers,
            ..
        } => (*offer_until, papers.office_of_export.clone()),
        Command::PermitImport { depart_by, .. } => (*depart_by, String::new()),
        Command::Depart { place, .. } | Command::Admit { place, .. } => (TimeMs(0), place.clone()),
        _ => (TimeMs(0), String::new()),
    }
}
