//! Judges what a peer sent before it is proposed: one signature and hash paths. Pure.
//!
//! The replicated state judges all of it again. This keeps what is broken out of the Raft log.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Canonical, DecodeError};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::foreign::{Unproven, prove, prove_map_head};
use carnet_domain::log::checkpoint::{NoteError, Origin};
use carnet_domain::log::merkle::{ProofError, verify_consistency, verify_inclusion};
use carnet_domain::machine::entry::{LargeItem, MailBatch, MailItem, ProvenHead};
use carnet_domain::record::peer::Bundle;
use carnet_wire::limits::FEDERATION_PART_BYTES_MAX;

/// How far a peer's log and mailbox have been applied here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The next sequence of the mailbox.
    pub cursor: u64,
    /// The size of its log under which something was applied; 0 for none.
    pub size: u64,
    /// The root of that size.
    pub root: Digest,
    /// The latest time of its log that was taken in.
    pub time: TimeMs,
}

/// A head of the peer's log, signed by it and consistent with what was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenHead {
    /// Tree size.
    pub size: u64,
    /// Tree root.
    pub root: Digest,
    /// The signed note.
    pub checkpoint: String,
    /// Time of its map head.
    pub log_time: TimeMs,
    /// The last leaf under the checkpoint, proven.
    pub map_head: ProvenHead,
    /// From the head that was applied to this one.
    pub consistency: Vec<Digest>,
}

impl SeenHead {
    /// A message with this head and no items: evidence of it, small enough for one log entry.
    pub fn as_batch(&self, peer: Prefix) -> MailBatch {
        MailBatch {
            peer,
            checkpoint: self.checkpoint.clone(),
            map_head: self.map_head.clone(),
            consistency: self.consistency.clone(),
            items: Vec::new(),
            large: None,
        }
    }
}

/// What a good message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Only a head.
    Head(SeenHead),
    /// Items that all were applied before.
    Repeated(SeenHead),
    /// Items of which some are new, in parts that each fit into one log entry.
    Mail {
        /// The head they stand under.
        head: SeenHead,
        /// The parts, in order.
        parts: Vec<MailBatch>,
        /// The position once all are applied.
        then: Position,
    },
    /// Signed, of a size that is known with another root: the log forked.
    Fork(SeenHead),
}

/// Why a message is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Not a canonical batch.
    #[error("the message is not a canonical batch: {0}")]
    Malformed(#[source] DecodeError),
    /// A batch of somebody else.
    #[error("the batch says it is of {0}")]
    OtherPeer(Prefix),
    /// The checkpoint is not a note signed by the peer's log key.
    #[error("the checkpoint is not believed: {0}")]
    Checkpoint(#[from] NoteError),
    /// The head is smaller than one that was applied.
    #[error("the log has {size} leaves, {seen} were seen: it lags or was rolled back")]
    Backwards {
        /// What is shown now.
        size: u64,
        /// What was applied.
        seen: u64,
    },
    /// A smaller log of a later time: what was published was taken back.
    #[error(
        "a log of {size} leaves of a later time, {seen} were taken in: it was restored from a copy"
    )]
    RolledBack {
        /// What is shown now.
        size: u64,
        /// What was applied.
        seen: u64,
    },
    /// The head does not extend the one that was applied.
    #[error("the log of {size} leaves does not extend that of {seen}: {source}")]
    Inconsistent {
        /// What is shown now.
        size: u64,
        /// What was applied.
        seen: u64,
        /// What does not hold.
        source: ProofError,
    },
    /// The last leaf under it is not shown, or is no map head.
    #[error("{0}")]
    MapHead(String),
    /// The items do not follow each other, or leave some out.
    #[error("item {found} where {expected} was expected")]
    Gap {
        /// The next sequence.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// An item is not proven.
    #[error("item {sequence} is not proven: {fault}")]
    Item {
        /// Its place in the mailbox.
        sequence: u64,
        /// What does not hold.
        fault: String,
    },
}

/// Judges a message from the peer of a bundle, of which `at` was applied.
///
/// # Errors
/// Why it is not believed.
pub fn judge(bundle: &Bundle, at: &Position, bytes: &[u8]) -> Result<Incoming, Doubt> {
    let batch = MailBatch::from_bytes(bytes).map_err(Doubt::Malformed)?;
    if bundle.primary() != Some(batch.peer) {
        return Err(Doubt::OtherPeer(batch.peer));
    }
    let origin = Origin {
        prefix: batch.peer,
        incarnation: bundle.incarnation,
    };
    let checkpoint = bundle.keys.open(&batch.checkpoint, &origin)?;
    let (size, root) = (checkpoint.size(), *checkpoint.root());
    let map_head = prove_map_head(&batch.map_head, (size, &root), Level::KNOWN);
    let map_head = map_head.map_err(Doubt::MapHead)?;
    let head = SeenHead {
        size,
        root,
        checkpoint: batch.checkpoint.clone(),
        log_time: map_head.t_ms,
        map_head: batch.map_head.clone(),
        consistency: batch.consistency.clone(),
    };
    if 0 < at.size && size == at.size && root != at.root {
        return Ok(Incoming::Fork(head));
    }
    if size < at.size {
        let seen = at.size;
        return Err(match head.log_time > at.time {
            true => Doubt::RolledBack { size, seen },
            false => Doubt::Backwards { size, seen },
        });
    }
    if 0 < at.size && at.size < size {
        verify_consistency(at.size, &at.root, size, &root, &batch.consistency).map_err(
            |source| Doubt::Inconsistent {
                size,
                seen: at.size,
                source,
            },
        )?;
    }
    let Some(first) = batch.sequences().next() else {
        return Ok(Incoming::Head(head));
    };
    if at.cursor < first {
        return Err(Doubt::Gap {
            expected: at.cursor,
            found: first,
        });
    }
    for (found, expected) in batch.sequences().zip(first..) {
        if found != expected {
            return Err(Doubt::Gap { expected, found });
        }
    }
    for item in &batch.items {
        let found = item.sequence;
        // Said in short from here on.
        if item.is_large() {
            included(&item.in_short(), size, &root)?;
            continue;
        }
        match prove(&item.proven, size, &root) {
            // What cannot be read is the peer's own word as well, and is answered like everything that it says.
            Ok(_) | Err(Unproven::Unreadable { .. }) => {}
            Err(broken @ Unproven::Broken(_)) => {
                return Err(Doubt::Item {
                    sequence: found,
                    fault: broken.to_string(),
                });
            }
        }
    }
    if let Some(large) = &batch.large {
        included(large, size, &root)?;
    }
    let cursor = first + batch.sequences().count() as u64;
    if cursor <= at.cursor {
        return Ok(Incoming::Repeated(head));
    }
    let then = Position {
        cursor,
        size,
        root,
        time: at.time.max(head.log_time),
    };
    let parts = parts(batch);
    Ok(Incoming::Mail { head, parts, then })
}

/// Holds an item in short to the tree.
fn included(large: &LargeItem, size: u64, root: &Digest) -> Result<(), Doubt> {
    let LargeItem {
        sequence, index, ..
    } = *large;
    verify_inclusion(&large.leaf, index, size, &large.path, root).map_err(|error| Doubt::Item {
        sequence,
        fault: format!("inclusion of leaf {index}: {error}"),
    })
}

/// Splits a batch so that each part fits into one log entry. An item that is too large for any ends its part, in short. The first carries it from the old head to the new one; for
/// the others the head is known by then, and the proof is not looked at.
fn parts(batch: MailBatch) -> Vec<MailBatch> {
    let MailBatch {
        peer,
        checkpoint,
        map_head,
        consistency,
        items,
        large,
    } = batch;
    let mut groups: Vec<(Vec<MailItem>, Option<LargeItem>)> = Vec::new();
    let mut bytes = 0;
    for item in items {
        if item.is_large() {
            end(&mut groups, item.in_short());
            continue;
        }
        let more = item.to_bytes().len();
        match groups.last_mut() {
            Some((group, None)) if bytes + more <= FEDERATION_PART_BYTES_MAX => {
                bytes += more;
                group.push(item);
            }
            _ => {
                bytes = more;
                groups.push((vec![item], None));
            }
        }
    }
    if let Some(large) = large {
        end(&mut groups, large);
    }
    let part = |(items, large)| MailBatch {
        peer,
        checkpoint: checkpoint.clone(),
        map_head: map_head.clone(),
        consistency: consistency.clone(),
        items,
        large,
    };
    groups.into_iter().map(part).collect()
}

/// Ends the last part with an item in short, or makes one of it alone.
fn end(groups: &mut Vec<(Vec<MailItem>, Option<LargeItem>)>, large: LargeItem) {
    match groups.last_mut() {
        Some((_, ended @ None)) => *ended = Some(large),
        _ => groups.push((Vec::new(), Some(large))),
    }
}
