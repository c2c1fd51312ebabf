//! The log head that evidence stands under: signed, ended by the map head, and compared with a head that was seen before.

use std::cmp::Ordering;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::{Index, Lines, List, NOTE_BYTES_MAX, RANGE_PROOF_COUNT_MAX};
use carnet_domain::log::checkpoint::{Origin, VerifiedCheckpoint};
use carnet_domain::log::leaf::{Kind, Leaf, Subject, leaf_bytes_hash};
use carnet_domain::log::merkle::{verify_consistency, verify_inclusion};
use carnet_domain::machine::entry::ProvenHead;
use carnet_domain::record::keys::KeyHistory;

use super::{EvidenceError, known_version};

/// That the log under the checkpoint extends an older one of its heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Size of the older head, in leaves: the one that whoever asked knew.
    pub size: u64,
    /// Consistency proof from there to the checkpoint.
    pub path: Vec<Digest>,
}
carnet_domain::canonical_struct!(Joined { size: Index, path: List<RANGE_PROOF_COUNT_MAX> });

/// What evidence of every kind begins with: the head of the log that all of it is shown under, as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// [`super::EVIDENCE_VERSION`].
    pub version: u8,
    /// The log.
    pub origin: Origin,
    /// The checkpoint, a signed note.
    pub checkpoint: String,
    /// The map head: the last leaf under the checkpoint.
    pub map_head: ProvenHead,
    /// That the log extends the head that the asker knew, if that was asked.
    pub joined: Option<Joined>,
}
carnet_domain::canonical_struct!(Frame {
    version,
    origin,
    checkpoint: Lines<NOTE_BYTES_MAX>,
    map_head,
    joined
});

impl Frame {
    /// Verifies the note under the log key of its time, and that the map head is the last leaf under it.
    pub(super) fn verify(
        &self,
        keys: &KeyHistory,
        origin: &Origin,
    ) -> Result<LogHead, EvidenceError> {
        if self.origin != *origin {
            return Err(EvidenceError::OtherLog {
                expected: *origin,
                found: self.origin,
            });
        }
        let opened = keys.opened(&self.checkpoint, origin);
        let (log_key, checkpoint) = opened.map_err(EvidenceError::Checkpoint)?;
        let last = last_leaf(&self.map_head, origin, &checkpoint)?;
        let in_time = keys.judge_time(&log_key, checkpoint.size(), last.t_ms);
        in_time.map_err(EvidenceError::Checkpoint)?;
        Ok(LogHead {
            log_key,
            checkpoint,
            time: last.t_ms,
            map_root: last.record_root,
            joined: self.joined.clone(),
        })
    }
}

/// A log head that the log key signed, with its map root. Only the verification of evidence makes one.
#[derive(Debug, Clone)]
pub struct LogHead {
    log_key: PublicKey,
    checkpoint: VerifiedCheckpoint,
    time: TimeMs,
    map_root: Digest,
    joined: Option<Joined>,
}

impl LogHead {
    /// Whether it is a head of this log by these keys too: it may have been verified under others, or before one was stolen.
    pub fn is_of(&self, keys: &KeyHistory, origin: &Origin) -> bool {
        let checkpoint = self.checkpoint.checkpoint();
        keys.judge(&self.log_key, checkpoint).is_ok()
            && keys
                .judge_time(&self.log_key, checkpoint.size, self.time)
                .is_ok()
            && self.checkpoint.origin() == origin
    }

    /// The signed size and root.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// Its size in leaves.
    pub fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// The `t_ms` of its map head.
    pub fn time(&self) -> TimeMs {
        self.time
    }

    /// Root of the state map under it.
    pub fn map_root(&self) -> &Digest {
        &self.map_root
    }

    /// How it goes with a head of the same log that was seen before, of that size and root and, as far as known, with a map
    /// head of that time.
    pub fn against(&self, size: u64, root: &Digest, time: TimeMs) -> HeadOrder {
        let (now, now_root) = (self.size(), self.checkpoint.root());
        match now.cmp(&size) {
            Ordering::Less if self.time > time => HeadOrder::RolledBack,
            Ordering::Less => HeadOrder::Older,
            Ordering::Equal if now_root == root => HeadOrder::Same,
            Ordering::Equal => HeadOrder::OtherHistory,
            // The empty log is the beginning of every other.
            Ordering::Greater if size == 0 => HeadOrder::Extends,
            Ordering::Greater => match &self.joined {
                Some(joined) if joined.size == size => {
                    match verify_consistency(size, root, now, now_root, &joined.path) {
                        Ok(()) => HeadOrder::Extends,
                        Err(_) => HeadOrder::OtherHistory,
                    }
                }
                _ => HeadOrder::NotJoined,
            },
        }
    }
}

/// A log head that was verified, with what it was shown by. Only the verification of evidence makes one.
#[derive(Debug, Clone)]
pub struct SeenHead {
    /// Joined to nothing: that is proven for each asker.
    frame: Frame,
    head: LogHead,
}

impl SeenHead {
    pub(super) fn of(frame: &Frame, head: &LogHead) -> Self {
        Self {
            frame: Frame {
                joined: None,
                ..frame.clone()
            },
            head: LogHead {
                joined: None,
                ..head.clone()
            },
        }
    }

    /// The head of a frame that shows the same by the same bytes, if these keys take it.
    pub(super) fn again(
        &self,
        frame: &Frame,
        keys: &KeyHistory,
        origin: &Origin,
    ) -> Option<LogHead> {
        let Frame {
            version,
            origin: named,
            checkpoint,
            map_head,
            joined,
        } = frame;
        let same = *version == self.frame.version
            && *named == self.frame.origin
            && *checkpoint == self.frame.checkpoint
            && *map_head == self.frame.map_head;
        (same && self.head.is_of(keys, origin)).then(|| LogHead {
            joined: joined.clone(),
            ..self.head.clone()
        })
    }
}

/// How a head goes with one of the same log that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeadOrder {
    /// Size and root are equal.
    Same,
    /// Larger, and proven to extend it.
    Extends,
    /// Smaller, and of no later time: a server that lags.
    Older,
    /// Larger, and nothing shows that it extends it.
    NotJoined,
    /// Smaller, and of a later time: what was published was taken back.
    RolledBack,
    /// Of the same size with another root, or larger with a proof that does not hold: two histories.
    OtherHistory,
}

/// The map head: the last leaf under the checkpoint.
fn last_leaf(
    map_head: &ProvenHead,
    origin: &Origin,
    checkpoint: &VerifiedCheckpoint,
) -> Result<Leaf, EvidenceError> {
    let broken = |detail: String| Err(EvidenceError::MapHead(detail));
    let (size, root) = (checkpoint.size(), checkpoint.root());
    let index = map_head.index;
    if index.checked_add(1) != Some(size) {
        return broken(format!("leaf {index} is not the last of {size}"));
    }
    let hash = leaf_bytes_hash(&map_head.leaf.0);
    if let Err(error) = verify_inclusion(&hash, index, size, &map_head.path, root) {
        return broken(format!("inclusion: {error}"));
    }
    let leaf = match Leaf::from_bytes(&map_head.leaf.0) {
        Ok(leaf) => leaf,
        Err(error) => return broken(error.to_string()),
    };
    known_version(&leaf)?;
    if leaf.kind != Kind::MapHead || leaf.key != Subject::map_head(&origin.prefix).key() {
        return broken("the last leaf under the checkpoint is not a map head".into());
    }
    Ok(leaf)
}
