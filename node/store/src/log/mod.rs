//! The Raft log of one node: votes, records, and the proof at start that none of them went missing.
//!
//! The log is not in the state database: a write stall there would stall votes. It speaks [`LogRecord`]s; what a record
//! means is not known here, and no type of openraft or raft-log crosses this line.

mod codec;
mod disk;
mod memory;
mod sentinel;
mod starts;
#[cfg(test)]
mod tests;

pub use disk::{DiskLog, DiskLogOptions};
pub use memory::MemoryLog;

use std::collections::BTreeMap;

use carnet_domain::limits::ENTRY_BYTES_MAX;

use crate::fault::StorageFault;
use crate::identity::{Run, StoreId};
use crate::machine::{LogPosition, LogRecord, Payload};

/// Largest sum of payloads in one read meant for the network, in bytes; a single record may reach [`ENTRY_BYTES_MAX`].
pub const READ_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(ENTRY_BYTES_MAX <= READ_BYTES_MAX);

/// A vote: whom this node follows, and in which term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Vote {
    /// The term of its leader: a number that only rises.
    pub term: u64,
    /// Candidate or leader.
    pub node: u64,
    /// Whether a quorum granted it, so that the candidate leads.
    pub committed: bool,
}

/// What the log holds, as of its last write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogState {
    /// The last record removed from the front.
    pub purged: Option<LogPosition>,
    /// The last record, or `purged` if there is none.
    pub last: Option<LogPosition>,
    /// The last record known to be committed when it was saved; a hint, not synced by itself.
    pub committed: Option<LogPosition>,
    /// The last vote.
    pub vote: Option<Vote>,
}

/// Called once when a write is on stable storage, or cannot get there.
pub type Synced = Box<dyn FnOnce(Result<(), StorageFault>) + Send + 'static>;

/// A Raft log. Writes take effect in the order of their calls, votes and records through one queue; a read sees every
/// write that has returned. After any failed write the log takes no more: a retried sync may lie.
pub trait RaftLog: Send + Sync + 'static {
    /// What the log holds.
    fn state(&self) -> LogState;

    /// Records with `from <= index < to` that are there, ascending, cut after about `bytes_max` bytes of payload but
    /// never before the first record.
    ///
    /// # Errors
    /// The disk failed or a checksum did not match.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<LogRecord>, StorageFault>;

    /// Stores a vote. Until `synced` is called it may be lost.
    ///
    /// # Errors
    /// The log is poisoned, or the vote goes back.
    fn save_vote(&self, vote: Vote, synced: Synced) -> Result<(), StorageFault>;

    /// Notes how far the log is committed, as a hint for the next start. Not synced by itself.
    ///
    /// # Errors
    /// The log is poisoned.
    fn save_committed(&self, committed: LogPosition) -> Result<(), StorageFault>;

    /// Appends records; they must follow the last one without a hole. Until `synced` is called they may be lost.
    ///
    /// # Errors
    /// The log is poisoned, or the records do not follow.
    fn append(&self, records: Vec<LogRecord>, synced: Synced) -> Result<(), StorageFault>;

    /// Removes every record after `last`; all of them with `None`.
    ///
    /// # Errors
    /// The log is poisoned, `last` is not in it, or what is known to be committed would go: nothing is removed then.
    fn truncate_after(&self, last: Option<LogPosition>, synced: Synced)
    -> Result<(), StorageFault>;

    /// Removes every record up to and including `upto`, which may lie beyond the end.
    ///
    /// # Errors
    /// The log is poisoned.
    fn purge(&self, upto: LogPosition, synced: Synced) -> Result<(), StorageFault>;

    /// The last process of each store, by node and store, that this node has heard.
    fn starts(&self) -> BTreeMap<(u64, StoreId), Run>;

    /// Notes the process of a store; on stable storage when it returns. It lies beside vote and records because it is a
    /// promise like a vote: a copy that was refused once is refused after a restart too.
    ///
    /// # Errors
    /// The disk failed: the process must not be believed yet.
    fn note_start(&self, node: u64, store: StoreId, run: Run) -> Result<(), StorageFault>;

    /// Space used in bytes.
    fn size(&self) -> u64;
}

/// Size of a record's payload in bytes.
#[must_use]
pub fn payload_size(payload: &Payload) -> usize {
    match payload {
        Payload::Blank => 0,
        Payload::Membership(bytes) | Payload::Entry(bytes) => bytes.len(),
    }
}

/// Checksum that ties the sentinel to the record it names.
fn payload_checksum(payload: &Payload) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    match payload {
        Payload::Blank => hasher.update(&[0]),
        Payload::Membership(bytes) => {
            hasher.update(&[1]);
            hasher.update(bytes);
        }
        Payload::Entry(bytes) => {
            hasher.update(&[2]);
            hasher.update(bytes);
        }
    }
    hasher.finalize()
}

/// Only a second founding or a copied store brings a leader about that asks for this: two leaders of one term.
fn refuse_below_committed(
    last: Option<LogPosition>,
    committed: Option<LogPosition>,
) -> Result<(), StorageFault> {
    let (cut, kept) = (next_index(last), next_index(committed));
    if cut >= kept {
        return Ok(());
    }
    Err(StorageFault::Invariant(format!(
        "a leader asks to cut the log from record {cut} on, and record {} is committed: another cluster was founded with this \
         one's identity, or a store was copied. Nothing was cut; stop the other before this node is started again",
        kept.saturating_sub(1)
    )))
}

fn next_index(position: Option<LogPosition>) -> u64 {
    position.map_or(0, |position| position.index + 1)
}
