//! The state machine of one registry: one log entry in, one answer out, the same bytes on every replica.
//!
//! Glue around `decide` and `foreign`: log time, sessions, signatures, and turning each event into one leaf with its
//! slots, its place in the tree, its map value and its mailboxes. No clock, no hash map, no randomness: the leader's
//! stamp is a value in the entry.

mod audited;
mod custody;
mod due;
pub mod entry;
mod foresee;
mod level;
pub mod meter;
pub mod order;
pub mod parsed;
pub mod reading;
mod root;
mod seal;
mod session;
mod skip;
mod time;
mod told;

pub use due::{DUE_RULES, RULES, due_before};
pub use foresee::{Question, foresee};
pub use seal::{Contradiction, contradiction, standing_now};
pub use skip::skip;
pub use time::is_about_time;

use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Blob, Canonical};
use crate::bytes::time::TimeMs;
use crate::limits::{
    ANSWERS_PER_SESSION, CLAIMS_OF_PEER_MAX, REFUSAL_BYTES_MAX, UNSEALED_MAX, next_own,
};
use crate::log::authority::{
    Authority, Envelope, EnvelopeError, SignedHeader, VerifiedItems, verify_header_in_log,
};
use crate::log::head::{Head, Jumps};
use crate::log::leaf::{
    EntrySeed, Expansion, Kind, LEAF_VERSION, Leaf, Subject, leaf_seed, slot_names,
};
use crate::log::map::MapValue;
use crate::log::stored::LeafRecord;
use crate::machine::entry::{Answer, Body, Entry, ItemAnswer, Request};
use crate::planted::{PANIC_MARK, Planted, Sound};
use crate::record::event::{After, Effect, Event, slot, slots};
use crate::record::ledger::{Ledger, LooseChain};
use crate::record::registry::Registry;
use crate::record::session::{Session, StoredAnswer};
use crate::record::{
    Claim, Ended, Ends, Enterprise, Fitted, Holder, Model, Robot, Signer, recalls_digest,
};
use crate::rules::actions::Standing;
use crate::rules::command::Command;
use crate::rules::decide::{Context, Stop, decide, fitting};
use crate::rules::lifecycle::State;
use crate::rules::parties::standing_of_signer;
use crate::rules::rejection::{Detail, Reason, Rejection};
use meter::Metered;
use parsed::command_of;

/// How a leaf was authorised: class and digest D.
#[derive(Clone)]
pub(crate) struct Authorised {
    pub(crate) class: u8,
    /// Class 0: index of the item among all items signed. Else 0.
    pub(crate) item: u32,
    pub(crate) digest: Vec<u8>,
}

impl Authorised {
    /// Item `item` of an envelope, as its authority.
    pub(crate) fn of(authority: &Authority, item: u32) -> Self {
        Self {
            class: authority.class(),
            item,
            digest: authority.as_bytes().to_vec(),
        }
    }

    /// Classes 1 to 3: the whole envelope.
    pub(crate) fn whole(envelope: &Envelope) -> Self {
        let authority = envelope.authority(0);
        let authority = authority.expect("only class 0 is authorised item by item");
        Self::of(&authority, 0)
    }

    /// Class 2: a published rule whose outcome every replica recomputes.
    pub(crate) fn system(rule: u16, cause: &impl Canonical) -> Self {
        Self::whole(&Envelope::System {
            rule,
            cause: Blob(cause.to_bytes()),
        })
    }
}

/// Published rules of class 2.
pub mod rule {
    /// A seal appended the map head.
    pub const MAP_HEAD: u16 = 1;
    /// An exporter's Cancel after the importer's refusal.
    pub const CANCEL_AFTER_REFUSAL: u16 = 2;
    /// The feature level was raised.
    pub const RAISE_LEVEL: u16 = 3;
    /// An item of a peer that waited was taken, or given up. The leaf that tells of its parking stands in the entry that
    /// brought it, with what proves it.
    pub const PARKED: u16 = 4;
    /// A node said where its chains of audit stand.
    pub const AUDIT: u16 = 11;
    pub use crate::record::due::{OFFER_OVER, RELEASE_OVER};
}

/// One entry being applied.
pub(crate) struct Run<'a, L: Ledger, P: Planted> {
    pub(crate) ledger: Metered<'a, L>,
    pub(crate) registry: Registry,
    pub(crate) now: TimeMs,
    seed: EntrySeed,
    ordinal: u32,
    first_leaf: u64,
    /// Items whose bytes stand in slot 10 of a leaf of theirs, ascending.
    told: Vec<u32>,
    /// When a request that is told its answers again was answered.
    told_at: Option<TimeMs>,
    pub(crate) planted: P,
}

/// Applies one entry: changes the ledger and answers. A lawful "no" is an answer.
///
/// # Errors
/// The medium failed; the caller drops every change of the entry.
pub fn apply<L: Ledger>(ledger: &mut L, entry: &Entry) -> Result<Answer, L::Fault> {
    apply_with(ledger, entry, Sound)
}

/// As [`apply`], by rules with faults that a test of the tests planted.
///
/// # Errors
/// As [`apply`].
pub fn apply_with<L: Ledger>(
    ledger: &mut L,
    entry: &Entry,
    planted: impl Planted,
) -> Result<Answer, L::Fault> {
    let Some(registry) = ledger.registry()? else {
        return root::genesis(ledger, entry);
    };
    let log_time = registry.log_time;
    // What moves the ceiling cannot be held down by it; its stamp counts for nothing.
    let now = if time::is_about_time(&entry.body, registry.level) {
        log_time
    } else if entry.stamp.at > registry.ceiling {
        let detail = Detail::Stamp {
            stamp: entry.stamp.at,
            ceiling: registry.ceiling,
        };
        return Ok(refused_entry(
            &registry,
            Rejection::new(Reason::ClockAhead, detail),
        ));
    } else {
        log_time.max(entry.stamp.at)
    };
    let first_leaf = registry.tree.size();
    let mut run = Run {
        ledger: Metered::new(ledger),
        registry,
        now,
        seed: entry.stamp.seed,
        ordinal: 0,
        first_leaf,
        told: Vec::new(),
        told_at: None,
        planted,
    };
    run.registry.log_time = now;
    let (session, items) = match &entry.body {
        Body::Root { signed } => (None, vec![run.root_statement(signed)?]),
        Body::AdvanceTime { to, readings } => (None, vec![run.advance_time(*to, readings)?]),
        Body::OpenSession {
            subject,
            opening,
            signature,
        } => run.open_session(subject, opening, signature)?,
        Body::Actor { subject, request } => (None, run.request(subject, request)?),
        Body::Foreign { batch } => (None, run.foreign(batch)?),
        Body::Seal {} => (None, vec![run.seal()?]),
        Body::Publish {
            size,
            root,
            signatures,
        } => (None, vec![run.publish(*size, root, signatures)?]),
        Body::Rule { number, cursor } => (None, vec![run.rule(*number, *cursor)?]),
        Body::RaiseLevel { to, seen } => (None, vec![run.raise_level(*to, seen)?]),
        Body::Audit { node, heads } => (None, vec![run.audit(*node, heads)?]),
        Body::Doubt {
            peer,
            sequence,
            doubt,
        } => (None, vec![run.doubt(peer, *sequence, *doubt)?]),
    };
    let grew = first_leaf < run.registry.tree.size();
    if grew && !matches!(entry.body, Body::Seal {}) {
        let kept = kept_envelope(&entry.body, &run.told);
        run.ledger.put_envelope(first_leaf, kept)?;
    }
    let answer = Answer {
        at: run.told_at.unwrap_or(run.now),
        size: run.registry.tree.size(),
        session,
        items,
    };
    let Run {
        mut ledger,
        registry,
        ..
    } = run;
    ledger.put_registry(registry)?;
    Ok(answer)
}

fn refused_entry(registry: &Registry, rejection: Rejection) -> Answer {
    Answer {
        at: registry.log_time,
        size: registry.tree.size(),
        session: None,
        items: vec![ItemAnswer::Refused { rejection }],
    }
}

pub(crate) fn refused(reason: Reason, detail: Detail) -> ItemAnswer {
    ItemAnswer::Refused {
        rejection: Rejection::new(reason, detail),
    }
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Whether nothing more may be done in this entry: it did enough, or enough leaves wait for a seal.
    pub(crate) fn is_spent(&self) -> bool {
        self.ledger.is_spent() || self.registry.unsealed >= UNSEALED_MAX
    }

    /// A request of an actor: exactly once per session and number.
    fn request(&mut self, subject: &str, request: &Request) -> Result<Vec<ItemAnswer>, L::Fault> {
        let all = |rejection: Rejection| {
            vec![ItemAnswer::Refused { rejection }; request.items.len().max(1)]
        };
        let header = match SignedHeader::from_bytes_at(&request.header.0, self.registry.level) {
            Ok(header) => header,
            // Which byte is wrong depends on what this binary knows: said at the edge, not in what is committed.
            Err(_) => return Ok(all(Reason::Malformed.into())),
        };
        let (me, incarnation) = (self.registry.prefix, self.registry.incarnation);
        if header.prefix != me || header.incarnation != incarnation {
            let detail = Detail::MeantFor {
                prefix: header.prefix,
                incarnation: header.incarnation,
                here: me,
                incarnation_here: incarnation,
            };
            return Ok(all(Rejection::new(Reason::WrongAudience, detail)));
        }
        let Some(session) = self.ledger.session(header.session)? else {
            return Ok(all(Rejection::new(
                Reason::SessionUnknown,
                Detail::Session {
                    session: header.session,
                },
            )));
        };
        // Before anything of it is told: its answers are its subject's.
        if session.subject != subject {
            let session = session.id;
            return Ok(all(Rejection::new(
                Reason::SessionNotYours,
                Detail::Session { session },
            )));
        }
        let digest = sha256(&[&request.header.0, &request.signature.0]);
        let request_number = Detail::Request {
            request: header.sequence,
        };
        let mismatch = || Rejection::new(Reason::IdempotencyMismatch, request_number.clone());
        // A number is one request's, whichever of its parts came before.
        for first_item in [0, OF_PARTS]
            .into_iter()
            .filter(|it| *it != request.first_item)
        {
            let other = self.answered(&session, &header, first_item)?;
            if other.is_some_and(|other| other.request != digest) {
                return Ok(all(mismatch()));
            }
        }
        let stored = self.answered(&session, &header, request.first_item)?;
        let mut done = Vec::new();
        if let Some(stored) = stored {
            // Of the same part only: one item could ask for the answers of thousands.
            if stored.request != digest || stored.count as usize != request.items.len() {
                return Ok(all(mismatch()));
            }
            done = self.told_before(&stored)?;
            let Some(executed) = done.iter().position(found_no_room) else {
                self.told_at = Some(stored.at);
                return Ok(done);
            };
            // What found no room in its entry was not executed, and has no answer yet.
            done.truncate(executed);
        }
        let rest = request.items.len().saturating_sub(done.len()).max(1); // saturates: compared above
        match self.execute(session, (subject, request), (&header, digest), &mut done)? {
            Ok(()) => {}
            Err(rejection) => done.extend(vec![ItemAnswer::Refused { rejection }; rest]),
        }
        Ok(done)
    }

    /// What is kept under the number of a request, of the part that begins at `first_item`.
    fn answered(
        &self,
        session: &Session,
        header: &SignedHeader,
        first_item: u32,
    ) -> Result<Option<StoredAnswer>, L::Fault> {
        // Whatever is kept of a number was kept when the session had come to it.
        if header.sequence > session.highest {
            return Ok(None);
        }
        let (session, place) = (header.session, place(header.sequence));
        let stored = self.ledger.answer(session, place, first_item)?;
        Ok(stored
            .filter(|stored| stored.sequence == header.sequence && !self.planted.forgets_answers()))
    }

    /// Executes the items of a request that `done` does not answer yet, answers them there, and keeps the answers. Of a
    /// rejection nothing is kept: the signature was not verified.
    fn execute(
        &mut self,
        session: Session,
        (subject, request): (&str, &Request),
        (header, digest): (&SignedHeader, Digest),
        done: &mut Vec<ItemAnswer>,
    ) -> Result<Result<(), Rejection>, L::Fault> {
        let no = |reason, detail: Detail| Ok(Err(Rejection::new(reason, detail)));
        let window = session.highest.checked_sub(ANSWERS_PER_SESSION);
        if window.is_some_and(|below| header.sequence <= below) {
            let detail = Detail::RequestBelow {
                request: header.sequence,
                newest: session.highest,
            };
            return no(Reason::SessionExpired, detail);
        }
        if header.not_after < self.now {
            let detail = Detail::ValidUntil {
                until: header.not_after,
                now: self.now,
            };
            return no(Reason::CommandExpired, detail);
        }
        let Some(signer) = self.ledger.signer(&header.key)? else {
            return no(Reason::SignerUnknown, Detail::Key { key: header.key });
        };
        if signer.has_ended() {
            return no(Reason::SignerNotActive, Detail::Key { key: header.key });
        }
        if session.subject != subject || session.party != signer.holder {
            let session = session.id;
            return no(Reason::SessionNotYours, Detail::Session { session });
        }
        let known = self
            .ledger
            .verified_before(&signature_digest(&signer, &digest));
        let verified =
            verify_header_in_log(&request.header.0, &request.signature, &signer.public, known)
                .and_then(|header| {
                    header.items(
                        request.first_item,
                        request.items.as_slice(),
                        &request.range_proof,
                    )
                });
        let items = match verified {
            Ok(items) => items,
            Err(error) => {
                return Ok(Err(match error {
                    EnvelopeError::Signature(_) => Reason::BadSignature.into(),
                    EnvelopeError::Items(_) | EnvelopeError::Part { .. } => {
                        Rejection::new(Reason::Malformed, Detail::Items {})
                    }
                    _ => Reason::Malformed.into(),
                }));
            }
        };
        self.items(&signer, header, &items, done)?;
        let kept = |answers: &[_]| session::stored((header.sequence, digest, self.now), answers);
        let whole = request.first_item == 0 && items.items().len() == header.item_count as usize;
        if !whole && self.answered(&session, header, OF_PARTS)?.is_none() {
            let of_parts = place(header.sequence);
            self.ledger
                .put_answer(session.id, of_parts, OF_PARTS, kept(&[]))?;
        }
        self.remember(session, request.first_item, kept(done))?;
        Ok(Ok(()))
    }

    /// Answers every item after those that have an answer. Over [`REFUSAL_BYTES_MAX`] a refusal keeps its reason alone.
    fn items(
        &mut self,
        signer: &Signer,
        header: &SignedHeader,
        items: &VerifiedItems<'_>,
        answers: &mut Vec<ItemAnswer>,
    ) -> Result<(), L::Fault> {
        let standing = self.standing(signer)?;
        let all = (items.first_item()..).zip(items.items().iter().zip(items.authorities()));
        let mut said: usize = answers.iter().map(refusal_bytes).sum();
        for (index, (item, authority)) in all.skip(answers.len()) {
            let mut answer = self.item(
                (signer, standing),
                header,
                item,
                &Authorised::of(&authority, index),
            )?;
            if let ItemAnswer::Refused { rejection } = &mut answer {
                *rejection = rejection.clone().readable();
                said = said.saturating_add(rejection.to_bytes().len()); // saturates: a sum of short texts
                if said > REFUSAL_BYTES_MAX {
                    rejection.detail = Detail::NOTHING;
                }
            }
            answers.push(answer);
        }
        Ok(())
    }

    fn item(
        &mut self,
        by: (&Signer, Standing),
        header: &SignedHeader,
        item: &Blob,
        authorised: &Authorised,
    ) -> Result<ItemAnswer, L::Fault> {
        if self.is_spent() {
            return Ok(refused(Reason::EntryFull, Detail::NOTHING));
        }
        match command_of(item, header, self.registry.level) {
            Ok(command) => self.command(by, &command, item, authorised),
            Err(rejection) => Ok(ItemAnswer::Refused { rejection }),
        }
    }

    /// Whether the signer's enterprise may act in the signer's role. Once for a request: no item of it changes its own signer's standing.
    fn standing(&self, signer: &Signer) -> Result<Standing, L::Fault> {
        let enterprise = match &signer.holder {
            Holder::Enterprise { id } => self.ledger.enterprise(id)?,
            Holder::Office { .. } => None,
        };
        Ok(standing_of_signer(signer, enterprise.as_ref(), self.now))
    }

    fn command(
        &mut self,
        (signer, standing): (&Signer, Standing),
        command: &Command,
        item: &Blob,
        authorised: &Authorised,
    ) -> Result<ItemAnswer, L::Fault> {
        if self.planted.panics_at_mark() {
            let marked = item.0.windows(PANIC_MARK.len()).any(|at| at == PANIC_MARK);
            assert!(!marked, "planted: panic-at-a-marked-entry");
        }
        let context = Context {
            registry: &self.registry,
            now: self.now,
            signer,
            standing,
            next_leaf: self.registry.tree.size(),
        };
        match decide(&self.ledger, &context, command).and_then(fitting) {
            Ok(mut events) => {
                match command {
                    Command::RetryParked { peer, item } => return self.retry(peer, *item),
                    Command::DiscardParked { peer, item, reason } => {
                        return self.discard(peer, *item, reason, authorised);
                    }
                    _ => {}
                }
                if let Err(rejection) = self.tells(&signer.holder, command, &mut events)? {
                    return Ok(ItemAnswer::Refused { rejection });
                }
                if events.iter().any(|event| event.what == item.0) {
                    self.told.push(authorised.item);
                }
                let first_word = events.last().is_some_and(Event::is_first_word);
                let mut answer = self.record_all(events, authorised)?;
                if let ItemAnswer::Done { waits, .. } = &mut answer {
                    *waits = first_word;
                }
                Ok(answer)
            }
            Err(Stop::Refused(rejection)) => Ok(ItemAnswer::Refused { rejection }),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    /// Records events in order; answers with the last leaf.
    pub(crate) fn record_all(
        &mut self,
        events: Vec<Event>,
        authorised: &Authorised,
    ) -> Result<ItemAnswer, L::Fault> {
        let mut answer = ItemAnswer::Nothing {};
        for event in events {
            let head = self.record(event, authorised)?;
            answer = ItemAnswer::Done {
                leaf_index: head.leaf_index,
                leaf_hash: head.leaf_hash,
                sequence: head.seq,
                waits: false,
            };
        }
        Ok(answer)
    }

    /// Turns one event into one leaf and all its writes.
    pub(crate) fn record(
        &mut self,
        mut event: Event,
        authorised: &Authorised,
    ) -> Result<Head, L::Fault> {
        let seed = leaf_seed(&self.seed, self.ordinal);
        let expansion = Expansion::of(&seed);
        if let (Kind::Register, After::Robot(robot)) = (event.kind, &mut event.after) {
            robot.custody_secret = expansion.custody_secret();
        }
        let before = match &event.after {
            After::Robot(robot) => robot.head,
            After::Loose(_, _, head) => *head,
            After::Enterprise(enterprise) => enterprise.head,
            After::Model(model) => model.head,
            After::Recall(recall) => recall.head,
            After::Signer(_)
            | After::Proposal(_)
            | After::Withdrawn(_)
            | After::Denied(_)
            | After::Members(_)
            | After::Audited(_)
            | After::Peer(_) => None,
            After::Jurisdiction(_) => self.registry.own_head,
        };
        let subject = event.subject();
        let before = match &event.after {
            After::Signer(_)
            | After::Proposal(_)
            | After::Withdrawn(_)
            | After::Denied(_)
            | After::Members(_)
            | After::Audited(_)
            | After::Peer(_) => self.ledger.head_of(&subject.key())?,
            _ => before,
        };
        let slots = slots(&event);
        for (name, value) in slot_names(subject.kind).iter().zip(&slots.values) {
            assert!(
                name.is_some() || value.is_none(),
                "a slot that the published table calls null is null"
            );
        }
        let (mut head, leaf) = self.leaf(
            event.kind,
            &subject,
            before,
            slots.root_under(&expansion),
            expansion.auth(authorised.class, &authorised.digest),
        );
        if event.is_of_trail() {
            head.step = Some(head.leaf_index);
        }
        let values = slots
            .values
            .into_iter()
            .map(|value| value.map(Blob))
            .collect();
        self.take_custody(&mut event, &head);
        let map = self.after_effects(&event, &subject, &head)?;
        self.put_after(event.after, &subject, head)?;
        self.append(
            head,
            LeafRecord {
                leaf: Blob(leaf),
                seed,
                values,
                map,
                class: authorised.class,
                envelope: self.first_leaf,
                item: authorised.item,
                before: before.map(|head| head.leaf_index),
                jump: head.jumps.nearest(),
                step_before: before.and_then(|head| head.step),
            },
        )?;
        self.registry.unsealed = next_own(self.registry.unsealed);
        Ok(head)
    }

    /// The next leaf: its head and its bytes. Nothing is written yet.
    pub(crate) fn leaf(
        &mut self,
        kind: Kind,
        subject: &Subject,
        before: Option<Head>,
        record_root: Digest,
        auth: Digest,
    ) -> (Head, Vec<u8>) {
        let leaf = Leaf {
            version: LEAF_VERSION,
            kind,
            key: subject.key(),
            seq: before.map_or(0, |head| next_own(head.seq)),
            prev: before.map_or(Digest::ZERO, |head| head.leaf_hash),
            t_ms: self.now,
            record_root,
            auth,
        };
        // At most one leaf a row, and rows are bounded far below.
        self.ordinal = self
            .ordinal
            .checked_add(1)
            .expect("leaves of one entry fit into 32 bits");
        let bytes = leaf.to_bytes();
        let head = Head {
            seq: leaf.seq,
            leaf_index: self.registry.tree.size(),
            leaf_hash: crate::log::leaf::leaf_bytes_hash(&bytes),
            step: before.and_then(|head| head.step),
            jumps: before.map_or_else(Jumps::default, |head| {
                head.jumps.after(head.seq, head.leaf_index)
            }),
        };
        (head, bytes)
    }

    /// Appends the leaf to the tree.
    pub(crate) fn append(&mut self, head: Head, record: LeafRecord) -> Result<(), L::Fault> {
        assert!(
            head.leaf_index == self.registry.tree.size(),
            "a leaf is appended at the edge of the tree"
        );
        let complete = self.registry.tree.append(head.leaf_hash);
        self.ledger.put_nodes(head.leaf_index, &complete)?;
        self.ledger.append(head.leaf_index, record)
    }

    fn put_after(&mut self, after: After, subject: &Subject, head: Head) -> Result<(), L::Fault> {
        let newest = Some(head);
        match after {
            After::Robot(mut robot) => {
                robot.head = newest;
                self.note_release(&mut robot)?;
                self.ledger.put_loose_chain(&robot.identity.code, None)?;
                self.ledger.put_robot(*robot)
            }
            After::Loose(code, chain, _) => {
                // A record that was only provisional goes with what it was kept for.
                if self.ledger.robot(&code)?.is_some() {
                    self.ledger.drop_robot(&code)?;
                }
                self.ledger.put_loose_chain(
                    &code,
                    Some(LooseChain {
                        chain,
                        head: newest,
                    }),
                )
            }
            After::Enterprise(mut enterprise) => {
                enterprise.head = newest;
                self.ledger.put_enterprise(enterprise)
            }
            After::Model(mut model) => {
                model.head = newest;
                self.ledger.put_model(model)
            }
            After::Recall(mut recall) => {
                recall.head = newest;
                self.ledger.put_recall(recall)
            }
            After::Signer(signer) => {
                self.ledger.put_head(&subject.key(), head)?;
                self.registry.offices.follow(&signer);
                self.count_key(&signer)?;
                self.ledger.put_signer(signer)
            }
            After::Withdrawn(proposal) => {
                self.registry.offices.close(proposal.number);
                self.ledger.put_head(&subject.key(), head)
            }
            After::Proposal(proposal) => {
                self.registry.offices.newest = Some(proposal.number);
                self.registry.offices.propose(*proposal, self.now);
                self.ledger.put_head(&subject.key(), head)
            }
            After::Denied(denied) => {
                // Numbers ascend: where nothing was asked, the last one that waits is known.
                let last = denied.list.waiting.last().map(|one| one.number);
                self.registry.offices.newest = self.registry.offices.newest.max(last);
                self.ledger.put_deny_list(denied.list)?;
                self.ledger.put_head(&subject.key(), head)
            }
            After::Members(members) => {
                let last = members.leaving.last().map(|one| one.number);
                self.registry.offices.newest = self.registry.offices.newest.max(last);
                self.registry.offices.leaving = members.leaving;
                self.ledger.put_head(&subject.key(), head)
            }
            After::Audited(audited) => {
                self.ledger.put_audit_anchors(audited.anchors)?;
                self.ledger.put_head(&subject.key(), head)
            }
            After::Peer(peer) => {
                self.ledger.put_head(&subject.key(), head)?;
                // Mailboxes and counters may have moved since it was read: only what the event is about is replaced.
                let known = match peer.bundle.primary() {
                    Some(prefix) => self.ledger.peer(&prefix)?,
                    None => None,
                };
                let now = known.unwrap_or_else(|| (*peer).clone());
                self.ledger.put_peer(crate::record::peer::Peer {
                    outbox: now.outbox,
                    heard: now.heard,
                    offers_open: now.offers_open,
                    offers_made: now.offers_made,
                    under_way: now.under_way,
                    told: now.told,
                    ..*peer
                })
            }
            After::Jurisdiction(_) => {
                self.registry.own_head = newest;
                Ok(())
            }
        }
    }

    /// Effects beside the record; returns the map values that the leaf changes.
    fn after_effects(
        &mut self,
        event: &Event,
        subject: &Subject,
        head: &Head,
    ) -> Result<Vec<(Digest, Digest)>, L::Fault> {
        let mut models = Vec::new();
        let mut made = Vec::new();
        for effect in &event.effects {
            match effect {
                Effect::Part(identity, Some(fitting)) => {
                    self.ledger.put_part_holder(identity, Some(fitting))?
                }
                Effect::Part(identity, None) => {
                    if let After::Robot(robot) = &event.after {
                        self.free(robot, identity)?;
                    }
                }
                Effect::End(state) => {
                    if let After::Robot(robot) = &event.after {
                        let ended = Ended {
                            code: robot.identity.code,
                            state: *state,
                            by: self.registry.prefix,
                            at: self.now,
                            leaf: head.leaf_hash,
                        };
                        self.end(&subject.key(), ended.clone())?;
                        for identity in robot.identities() {
                            // A record that came from abroad may name what is another robot's here, or was never made.
                            let fitting = self.ledger.part_holder(&identity)?;
                            let by = fitting.map(|fitting| fitting.of(&ended.code));
                            match by {
                                Some(Some(Fitted::Here)) => self.end(&identity, ended.clone())?,
                                Some(Some(Fitted::Word)) => self.end_on_word(&identity, &ended)?,
                                None | Some(Some(Fitted::Shown)) => {
                                    self.keep_claim(&identity, &ended)?;
                                }
                                Some(None | Some(Fitted::Cleared)) => {}
                            }
                        }
                    }
                }
                Effect::Ended(identity, ended) => self.end(identity, (**ended).clone())?,
                Effect::EndedOnWord(identity, ended) => self.end_on_word(identity, ended)?,
                Effect::Claim(identity, claim) => self.keep_claim(identity, claim)?,
                Effect::ClaimCleared(peer, identity) => {
                    let own = *peer == self.registry.prefix;
                    let ends = self.ledger.ends(identity)?.unwrap_or_default();
                    if let Some(said) = ends.said.clone().filter(|said| own || said.by == *peer) {
                        self.ledger
                            .put_ends(identity, Ends { said: None, ..ends })?;
                        // Kept as a claim that was cleared: it does not say it again.
                        if !own && self.ledger.claim(peer, identity)?.is_none() {
                            let claim = Claim {
                                said,
                                cleared: true,
                            };
                            self.ledger.put_claim(peer, identity, Some(claim))?;
                        }
                    }
                    if let Some(claim) = self.ledger.claim(peer, identity)? {
                        let cleared = Claim {
                            cleared: true,
                            ..claim
                        };
                        self.ledger.put_claim(peer, identity, Some(cleared))?;
                        self.unclaim(peer, identity)?;
                    }
                }
                Effect::Declared(id) => {
                    if let Some(enterprise) = self.ledger.enterprise(id)? {
                        let declared = enterprise.declared.and(self.now);
                        self.ledger.put_enterprise(Enterprise {
                            declared,
                            ..enterprise
                        })?;
                    }
                }
                Effect::EndSaid(key) => {
                    if let Some(signer) = self.ledger.signer(key)? {
                        let ends = signer.ends.and(self.now);
                        self.ledger.put_signer(Signer { ends, ..signer })?;
                    }
                }
                Effect::Recalled(id) => {
                    if let Some(enterprise) = self.ledger.enterprise(id)? {
                        let recalled = enterprise.recalled.and(self.now);
                        self.ledger.put_enterprise(Enterprise {
                            recalled,
                            ..enterprise
                        })?;
                    }
                }
                Effect::Approved(id) => {
                    if let Some(enterprise) = self.ledger.enterprise(id)? {
                        let models = next_own(enterprise.models);
                        self.ledger.put_enterprise(Enterprise {
                            models,
                            ..enterprise
                        })?;
                    }
                }
                Effect::Engaged(id) => {
                    if let Some(enterprise) = self.ledger.enterprise(id)? {
                        let engaged = true;
                        self.ledger.put_enterprise(Enterprise {
                            engaged,
                            ..enterprise
                        })?;
                    }
                }
                Effect::Transfer(transfer) => {
                    let mut transfer = (**transfer).clone();
                    self.end_transfer(&mut transfer, event, head);
                    self.note_deadline(&mut transfer)?;
                    self.count_offer(&transfer)?;
                    self.ledger.put_transfer(transfer)?;
                }
                Effect::Tell(peer) => self.tell(peer, head.leaf_index)?,
                Effect::TellAll => {
                    for peer in self.ledger.peers()? {
                        self.post(peer, head.leaf_index)?;
                    }
                }
                Effect::TellNever(about) => self.tell_never(about)?,
                Effect::TellLater(about, news) => self.tell_later(about, news, head.leaf_index)?,
                Effect::Standing(ids) => models.extend(ids.iter().copied()),
                Effect::StandingOf(id) => made.extend(self.ledger.models_of(id)?),
            }
        }
        self.end_with_its_robot(event, subject, head)?;
        let mut map = vec![(subject.key(), self.map_value(event, head)?.digest())];
        for id in models {
            let Some(model) = self.ledger.model(&id)? else {
                continue;
            };
            let recalls = seal::recalls(&self.ledger, &model, Some(event))?;
            let model = Model {
                recalls: recalls_digest(&recalls),
                ..model
            };
            map.extend(self.model_value(&model, event)?);
            self.ledger.put_model(model)?;
        }
        for model in &made {
            map.extend(self.model_value(model, event)?);
        }
        Ok(map)
    }

    /// Counts the keys of an enterprise that sign, as one of them is put in the place of what is known of it.
    fn count_key(&mut self, signer: &Signer) -> Result<(), L::Fault> {
        let Holder::Enterprise { id } = &signer.holder else {
            return Ok(());
        };
        let before = self.ledger.signer(&signer.id)?;
        let signed = before.is_some_and(|before| !before.has_ended());
        if signed != signer.has_ended() {
            return Ok(());
        }
        if let Some(enterprise) = self.ledger.enterprise(id)? {
            let keys = match signed {
                // saturates: what signed was counted
                true => enterprise.keys.saturating_sub(1),
                false => next_own(enterprise.keys),
            };
            self.ledger
                .put_enterprise(Enterprise { keys, ..enterprise })?;
        }
        Ok(())
    }

    /// Frees a part for other robots: only one that this robot holds by the index, and never its body, a part that carries
    /// identity or its key, unless it was registered in error.
    fn free(&mut self, robot: &Robot, identity: &Digest) -> Result<(), L::Fault> {
        let code = robot.identity.code;
        let bound = robot.state != State::Annulled && robot.identities().contains(identity);
        let fitting = self.ledger.part_holder(identity)?;
        // What was cleared from it is not in it: that stays, whatever becomes of the robot.
        let frees = |by: Fitted| !bound && by != Fitted::Cleared;
        let by = fitting.and_then(|fitting| fitting.of(&code));
        if by.is_some_and(frees) {
            self.ledger.put_part_holder(identity, None)?;
        }
        Ok(())
    }

    fn end(&mut self, identity: &Digest, ended: Ended) -> Result<(), L::Fault> {
        let mut ends = self.ledger.ends(identity)?.unwrap_or_default();
        ends.proven = Some(ended);
        self.ledger.put_ends(identity, ends)
    }

    fn end_on_word(&mut self, identity: &Digest, ended: &Ended) -> Result<(), L::Fault> {
        let ends = self.ledger.ends(identity)?.unwrap_or_default();
        let said = Some(ended.clone());
        self.ledger.put_ends(identity, Ends { said, ..ends })
    }

    /// Keeps the first claim of a peer about an identity. When there are as many as are kept of one peer, the oldest makes way.
    fn keep_claim(&mut self, identity: &Digest, said: &Ended) -> Result<(), L::Fault> {
        let peer = said.by;
        if self.ledger.claim(&peer, identity)?.is_some() {
            return Ok(());
        }
        let count = self.ledger.claims_of(&peer)?;
        let place = (count % CLAIMS_OF_PEER_MAX) as u32;
        if let Some(oldest) = self.ledger.claim_at(&peer, place)? {
            self.ledger.put_claim(&peer, &oldest, None)?;
            self.unclaim(&peer, &oldest)?;
        }
        self.ledger.put_claim_at(&peer, place, identity)?;
        self.ledger.put_claims_of(&peer, next_own(count))?;
        let claim = Claim {
            said: said.clone(),
            cleared: false,
        };
        self.ledger.put_claim(&peer, identity, Some(claim))?;
        let mut ends = self.ledger.ends(identity)?.unwrap_or_default();
        if let Err(place) = ends.claimed_by.binary_search(&peer) {
            ends.claimed_by.insert(place, peer);
            self.ledger.put_ends(identity, ends)?;
        }
        Ok(())
    }

    /// A peer is none of those any more that claim the end of an identity.
    fn unclaim(
        &mut self,
        peer: &crate::bytes::code::Prefix,
        identity: &Digest,
    ) -> Result<(), L::Fault> {
        let Some(mut ends) = self.ledger.ends(identity)? else {
            return Ok(());
        };
        ends.claimed_by.retain(|other| other != peer);
        self.ledger.put_ends(identity, ends)
    }

    /// Puts a leaf into a peer's mailbox, if it is a peer.
    fn tell(
        &mut self,
        prefix: &crate::bytes::code::Prefix,
        leaf_index: u64,
    ) -> Result<(), L::Fault> {
        match self.ledger.peer(prefix)? {
            Some(peer) => self.post(peer, leaf_index),
            None => Ok(()),
        }
    }

    fn post(
        &mut self,
        mut peer: crate::record::peer::Peer,
        leaf_index: u64,
    ) -> Result<(), L::Fault> {
        let Some(primary) = peer.bundle.primary() else {
            return Ok(());
        };
        self.ledger.post(&primary, peer.outbox, leaf_index)?;
        peer.outbox = next_own(peer.outbox);
        self.ledger.put_peer(peer)
    }

    fn map_value(&self, event: &Event, head: &Head) -> Result<MapValue, L::Fault> {
        use crate::record::event::{
            enterprise_status, loose_status, model_status, recall_status, robot_status,
        };
        let (status, facts) = match &event.after {
            After::Robot(robot) => (robot_status(robot).number(), Digest::ZERO),
            After::Loose(_, chain, _) => (loose_status(chain).number(), Digest::ZERO),
            After::Enterprise(enterprise) => {
                (enterprise_status(enterprise.status).number(), Digest::ZERO)
            }
            After::Model(model) => (
                model_status(model.status).number(),
                seal::facts(&self.ledger, model, Some(event))?,
            ),
            After::Recall(recall) => (recall_status(recall.status).number(), Digest::ZERO),
            After::Signer(signer) => (signer_status(signer), Digest::ZERO),
            After::Proposal(proposal) => {
                // What is proposed for addition is not in force yet. What has a record is as that says, whatever is proposed.
                let known = self.ledger.signer(&proposal.change.key())?;
                (known.as_ref().map_or(2, signer_status), Digest::ZERO)
            }
            After::Withdrawn(proposal) => {
                let key = proposal.change.key();
                let mut left = self.registry.offices.proposals.iter();
                let others =
                    left.any(|one| one.number != proposal.number && one.change.key() == key);
                // A key that nobody proposes any more was never in force.
                let unknown = if others { 2 } else { 3 };
                let known = self.ledger.signer(&key)?;
                (known.as_ref().map_or(unknown, signer_status), Digest::ZERO)
            }
            After::Denied(denied) => (denied.status, Digest::ZERO),
            After::Members(members) => (members.status, Digest::ZERO),
            After::Audited(_) => (1, Digest::ZERO),
            After::Peer(peer) => (if peer.quarantined { 2 } else { 1 }, Digest::ZERO),
            After::Jurisdiction(_) => (1, Digest::ZERO),
        };
        Ok(MapValue {
            status: u8::try_from(status).unwrap_or(u8::MAX),
            seq: head.seq,
            leaf_index: head.leaf_index,
            leaf_hash: head.leaf_hash,
            facts,
        })
    }

    /// Key and digest of the map value of a model whose standing changed by an event about something else.
    fn model_value(
        &self,
        model: &Model,
        event: &Event,
    ) -> Result<Option<(Digest, Digest)>, L::Fault> {
        let Some(head) = model.head else {
            return Ok(None);
        };
        let facts = seal::facts(&self.ledger, model, Some(event))?;
        let status = crate::record::event::model_status(model.status).number();
        let value = MapValue {
            status: u8::try_from(status).unwrap_or(u8::MAX),
            seq: head.seq,
            leaf_index: head.leaf_index,
            leaf_hash: head.leaf_hash,
            facts,
        };
        Ok(Some((Subject::model(&model.id).key(), value.digest())))
    }
}

/// What the map shows of a key that has a record.
fn signer_status(signer: &Signer) -> u64 {
    if signer.retired.is_some() { 3 } else { 1 }
}

/// Bytes of a refusal; of anything else none.
fn refusal_bytes(answer: &ItemAnswer) -> usize {
    match answer {
        ItemAnswer::Refused { rejection } => rejection.to_bytes().len(),
        ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => 0,
    }
}

/// Whether an item was not executed for lack of room in its entry: its only answer that is not its last.
fn found_no_room(answer: &ItemAnswer) -> bool {
    matches!(answer, ItemAnswer::Refused { rejection } if rejection.reason == Reason::EntryFull)
}

/// Where it is kept which request a number is of, once a part of it came: no part begins there.
const OF_PARTS: u32 = u32::MAX;

/// Where in the ring of its session a request's answer is kept. Two requests that share a place are so far apart that the
/// older one is refused by its number before its answer could be missed.
fn place(sequence: u64) -> u32 {
    (sequence % ANSWERS_PER_SESSION) as u32
}

/// Whether a request has an answer already, in whole or in part: that one is told again, whatever its signer may do by now.
/// `kept` reads what a session keeps at a place, of the part that begins at an item.
///
/// # Errors
/// As `kept`.
pub fn is_answered<F>(
    header: &SignedHeader,
    request: &Digest,
    kept: impl Fn(u64, u32, u32) -> Result<Option<StoredAnswer>, F>,
) -> Result<bool, F> {
    for first_item in [0, OF_PARTS] {
        let stored = kept(header.session, place(header.sequence), first_item)?;
        let is_its = |stored: &StoredAnswer| {
            stored.sequence == header.sequence && stored.request == *request
        };
        if stored.as_ref().is_some_and(is_its) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The bytes kept of an entry's authorisation: its body, where an item that stands in slot 10 of a leaf of its own is not
/// kept a second time, but as no bytes at all. [`whole_envelope`] puts it back.
fn kept_envelope(body: &Body, told: &[u32]) -> Vec<u8> {
    let Body::Actor { subject, request } = body else {
        return body.to_bytes();
    };
    let items = (request.first_item..).zip(&request.items);
    let items = items.map(|(index, item)| match told.binary_search(&index) {
        Ok(_) => Blob(Vec::new()),
        Err(_) => item.clone(),
    });
    let request = Request {
        items: items.collect(),
        header: request.header.clone(),
        signature: request.signature,
        first_item: request.first_item,
        range_proof: request.range_proof.clone(),
    };
    let subject = subject.clone();
    Body::Actor { subject, request }.to_bytes()
}

/// The body of an entry as it was proposed, of what is kept of it and the leaves that it wrote; `None` when a leaf is
/// missing.
pub fn whole_envelope(mut kept: Body, leaves: &[LeafRecord]) -> Option<Body> {
    if let Body::Actor { request, .. } = &mut kept {
        for (index, item) in (request.first_item..).zip(&mut request.items) {
            // No command has no bytes.
            if item.0.is_empty() {
                let leaf = leaves.iter().find(|leaf| leaf.item == index)?;
                *item = leaf.values.get(usize::from(slot::EVENT))?.clone()?;
            }
        }
    }
    Some(kept)
}

/// What a node remembers when it has verified a request's signature: the key, and header with signature.
pub fn signature_digest(signer: &Signer, request: &Digest) -> Digest {
    sha256(&[&signer.id.0, &request.0])
}
