//! What the rules would answer to commands now, without a request: no session, no number, no signature of a command.
//!
//! Whoever asks hands over nothing that could be executed: a question is signed under a tag of its own. The ledger given is one
//! whose changes are thrown away. The commands are tried one after the other, as the items of one request would be, so that two
//! rows of a file that exclude each other are found. What somebody else does before the command is sent, nobody foresees.

use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Blob, tag};
use crate::bytes::signature::KeyId;
use crate::bytes::time::TimeMs;
use crate::limits::{ITEM_COUNT_MAX, List, Sequence};
use crate::log::leaf::EntrySeed;
use crate::machine::entry::{Answer, ItemAnswer};
use crate::machine::meter::Metered;
use crate::machine::parsed::any_command;
use crate::machine::{Authorised, Run, refused, refused_entry};
use crate::planted::Sound;
use crate::record::ledger::Ledger;
use crate::rules::rejection::{Detail, Reason, Rejection};

/// What an actor asks: the answers that these commands would get from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The registry meant.
    pub prefix: Prefix,
    /// Of that registry, as the question was signed for it.
    pub incarnation: u64,
    /// The key that signs the question, and would sign the commands.
    pub key: KeyId,
    /// Ignored after this log time.
    pub not_after: TimeMs,
    /// Canonical commands, in the order in which they would be sent.
    pub items: Vec<Blob>,
}
crate::canonical_struct!(Question @ 1 {
    prefix,
    incarnation: Sequence,
    key,
    not_after,
    items: List<{ ITEM_COUNT_MAX as usize }>
});

impl Question {
    /// The bytes under the signature, of a question's canonical bytes: never those of a command.
    pub fn signing_bytes(question: &[u8]) -> Vec<u8> {
        [tag::FORESEE.as_bytes(), question].concat()
    }
}

/// What was done, without the leaf: its salts come from a seed that everybody knows, so that its hash would let whoever asks
/// try out what the slots hold that are hidden from them.
fn unsaid(answer: ItemAnswer) -> ItemAnswer {
    match answer {
        ItemAnswer::Done {
            sequence, waits, ..
        } => ItemAnswer::Done {
            leaf_index: 0,
            leaf_hash: Digest::ZERO,
            sequence,
            waits,
        },
        answer => answer,
    }
}

/// Answers a question, whose signature was verified, as if its commands were applied at `at`. Every change is made in `ledger`,
/// which the caller throws away. What finds no room is answered [`Reason::EntryFull`]: it is asked again by itself.
///
/// # Errors
/// The medium failed.
pub fn foresee<L: Ledger>(
    ledger: &mut L,
    question: &Question,
    at: TimeMs,
) -> Result<Option<Answer>, L::Fault> {
    let Some(registry) = ledger.registry()? else {
        return Ok(None);
    };
    let no = |reason, detail| {
        Ok(Some(refused_entry(
            &registry,
            Rejection::new(reason, detail),
        )))
    };
    let Some(signer) = ledger.signer(&question.key)? else {
        return no(Reason::SignerUnknown, Detail::Key { key: question.key });
    };
    if signer.has_ended() {
        return no(Reason::SignerNotActive, Detail::Key { key: question.key });
    }
    let now = registry.log_time.max(at.min(registry.ceiling));
    if question.not_after < now {
        let until = question.not_after;
        return no(Reason::CommandExpired, Detail::ValidUntil { until, now });
    }
    let mut run = Run {
        first_leaf: registry.tree.size(),
        ledger: Metered::new(ledger),
        registry,
        now,
        seed: EntrySeed([0; 32]),
        ordinal: 0,
        told: Vec::new(),
        told_at: None,
        planted: Sound,
    };
    run.registry.log_time = now;
    let standing = run.standing(&signer)?;
    // Nobody sees the leaves that this would authorise.
    let authorised = Authorised {
        class: 0,
        item: 0,
        digest: Digest::ZERO.0.to_vec(),
    };
    let mut items = Vec::new();
    for item in &question.items {
        items.push(if run.is_spent() {
            refused(Reason::EntryFull, Detail::NOTHING)
        } else {
            match any_command(item, run.registry.level) {
                Ok(command) => {
                    unsaid(run.command((&signer, standing), &command, item, &authorised)?)
                }
                Err(rejection) => ItemAnswer::Refused { rejection },
            }
        });
    }
    Ok(Some(Answer {
        at: now,
        size: run.registry.tree.size(),
        session: None,
        items,
    }))
}
