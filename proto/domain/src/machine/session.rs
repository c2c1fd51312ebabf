//! Sessions: opened by a signed word, and what is kept of their answers.

use super::{Run, place, refused};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Blob, Canonical};
use crate::bytes::signature::{Signature, verify};
use crate::bytes::time::TimeMs;
use crate::limits::{SESSIONS_PER_SUBJECT_MAX, next_own};
use crate::machine::entry::{ItemAnswer, SessionOpening};
use crate::planted::Planted;
use crate::record::ledger::Ledger;
use crate::record::session::{Session, StoredAnswer};
use crate::rules::rejection::{Detail, Reason};

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Opens a session for the certificate's subject and the party of the key that signed. Repeated with one nonce it is
    /// the same session.
    pub(super) fn open_session(
        &mut self,
        subject: &str,
        opening: &Blob,
        signature: &Signature,
    ) -> Result<(Option<u64>, Vec<ItemAnswer>), L::Fault> {
        let no = |reason, detail| Ok((None, vec![refused(reason, detail)]));
        let Ok(said) = SessionOpening::from_bytes_at(&opening.0, self.registry.level) else {
            return no(Reason::Malformed, Detail::NOTHING);
        };
        let (here, incarnation_here) = (self.registry.prefix, self.registry.incarnation);
        let (prefix, incarnation) = (said.prefix, said.incarnation);
        if prefix != here || incarnation != incarnation_here {
            let detail = Detail::MeantFor {
                prefix,
                incarnation,
                here,
                incarnation_here,
            };
            return no(Reason::WrongAudience, detail);
        }
        if said.not_after < self.now {
            let (until, now) = (said.not_after, self.now);
            return no(Reason::CommandExpired, Detail::ValidUntil { until, now });
        }
        let key = said.key;
        let Some(signer) = self.ledger.signer(&key)? else {
            return no(Reason::SignerUnknown, Detail::Key { key });
        };
        if signer.has_ended() {
            return no(Reason::SignerNotActive, Detail::Key { key });
        }
        let message = SessionOpening::signing_bytes(&opening.0);
        if verify(&signer.public, &message, signature).is_err() {
            return no(Reason::BadSignature, Detail::NOTHING);
        }
        if said.subject != subject {
            return no(Reason::SessionNotYours, Detail::NOTHING);
        }
        let open = self.ledger.sessions_of(subject)?;
        let same =
            |session: &&Session| session.nonce == said.nonce && session.party == signer.holder;
        if let Some(session) = open.iter().find(same) {
            return Ok((Some(session.id), vec![ItemAnswer::Nothing {}]));
        }
        if open.len() >= SESSIONS_PER_SUBJECT_MAX {
            // The oldest makes way: a client that lost its session cannot be locked out for ever.
            if let Some(oldest) = open.iter().min_by_key(|session| session.id) {
                self.ledger.close_session(oldest.id)?;
            }
        }
        let id = self.registry.next_session;
        self.registry.next_session = next_own(id);
        let session = Session {
            id,
            subject: subject.to_owned(),
            party: signer.holder,
            nonce: said.nonce,
            opened: self.now,
            highest: 0,
        };
        self.ledger.put_session(session)?;
        Ok((Some(id), vec![ItemAnswer::Nothing {}]))
    }

    pub(super) fn remember(
        &mut self,
        session: Session,
        first_item: u32,
        stored: StoredAnswer,
    ) -> Result<(), L::Fault> {
        let sequence = stored.sequence;
        self.ledger
            .put_answer(session.id, place(sequence), first_item, stored)?;
        if session.highest < sequence {
            self.ledger.put_session(Session {
                highest: sequence,
                ..session
            })?;
        }
        Ok(())
    }

    /// The items of a stored answer, as they were given.
    pub(super) fn told_before(&self, stored: &StoredAnswer) -> Result<Vec<ItemAnswer>, L::Fault> {
        let mut runs = stored.runs.iter().peekable();
        let mut sequences = stored.sequences.iter().peekable();
        let mut refused = stored.refused.iter().peekable();
        let mut waiting = stored.waiting.iter().peekable();
        let (mut last, mut sequence) = (None, None);
        let mut answers = Vec::new();
        for item in 0..stored.count {
            if is_done(&stored.done.0, item) {
                let begun = runs.next_if(|(at, _)| *at == item).map(|(_, leaf)| *leaf);
                let leaf = begun.or(last.map(next_own));
                let leaf_index = leaf.expect("the first item done begins a run");
                last = Some(leaf_index);
                let named = sequences.next_if(|(at, _)| *at == item);
                sequence = named.map(|(_, sequence)| *sequence).or(sequence);
                let leaf_hash = self.ledger.leaf_hash(leaf_index)?;
                answers.push(ItemAnswer::Done {
                    leaf_index,
                    leaf_hash: leaf_hash.expect("a leaf that an answer names is in the tree"),
                    sequence: sequence.expect("the first item done names its sequence"),
                    waits: waiting.next_if(|at| **at == item).is_some(),
                });
            } else if let Some((_, rejection)) = refused.next_if(|(at, _)| *at == item) {
                let rejection = rejection.clone();
                answers.push(ItemAnswer::Refused { rejection });
            } else {
                answers.push(ItemAnswer::Nothing {});
            }
        }
        Ok(answers)
    }
}

/// The bit of an item within its byte.
fn bit(item: u32) -> u8 {
    0x80_u8.checked_shr(item % 8).unwrap_or(0)
}

fn is_done(bits: &[u8], item: u32) -> bool {
    let byte = bits.get(item as usize / 8).copied().unwrap_or(0);
    byte & bit(item) != 0
}

/// What is kept of the answers to a request's items.
pub(super) fn stored(
    (sequence, request, at): (u64, Digest, TimeMs),
    answers: &[ItemAnswer],
) -> StoredAnswer {
    let mut done = vec![0; answers.len().div_ceil(8)];
    let (mut runs, mut sequences, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = Vec::new();
    let (mut last, mut last_sequence) = (None, None);
    for (item, answer) in (0u32..).zip(answers) {
        match answer {
            ItemAnswer::Done {
                leaf_index,
                sequence,
                waits,
                ..
            } => {
                if *waits {
                    waiting.push(item);
                }
                if let Some(byte) = done.get_mut(item as usize / 8) {
                    *byte |= bit(item);
                }
                if last.map(next_own) != Some(*leaf_index) {
                    runs.push((item, *leaf_index));
                }
                last = Some(*leaf_index);
                if last_sequence.replace(*sequence) != Some(*sequence) {
                    sequences.push((item, *sequence));
                }
            }
            ItemAnswer::Refused { rejection } => refused.push((item, rejection.clone())),
            ItemAnswer::Nothing {} => {}
        }
    }
    StoredAnswer {
        sequence,
        request,
        at,
        count: u32::try_from(answers.len()).expect("a request has at most 10,000 items"),
        runs,
        sequences,
        done: Blob(done),
        refused,
        waiting,
    }
}
