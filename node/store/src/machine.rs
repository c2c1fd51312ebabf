//! What consensus asks of a state machine, in this crate's own words: no type of openraft crosses this line.
//!
//! A state machine takes committed log records in order, answers each, and can hand over or take in its whole state as
//! a set of files. It deliberately knows nothing of terms beyond carrying them, and nothing of networks.

use std::sync::Arc;

use bytes::Bytes;
use carnet_domain::bytes::digest::Digest;

use crate::compare::Mark;
use crate::fault::StorageFault;

/// Where a record stands in the Raft log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition {
    /// Term of the leader that appended the record.
    pub term: u64,
    /// Node id of that leader.
    pub node: u64,
    /// 0-based index in the log.
    pub index: u64,
}

/// What a log record carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A leader's first record of its term.
    Blank,
    /// A new membership, in the encoding of the consensus crate.
    Membership(Bytes),
    /// A registry entry: canonical bytes of `carnet_domain`'s log entry.
    Entry(Bytes),
}

/// A committed record, to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its place.
    pub position: LogPosition,
    /// What it carries.
    pub payload: Payload,
}

/// The record before which a state machine stands still: applying it panicked, and would again on every replica and at
/// every start. It goes on when the roots ordered to skip it, or under a program that can apply it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stopped before log entry {}, digest {digest}: see the runbook poisoned-entry", position.index)]
pub struct StandsBefore {
    /// Its place.
    pub position: LogPosition,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// What the panic said.
    pub why: String,
}

/// How far a state machine has come. Written in the same batch as the data it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The last record applied.
    pub last: Option<LogPosition>,
    /// The place of the last membership applied, if any, and its bytes.
    pub membership: Option<(LogPosition, Bytes)>,
}

/// As a manifest lists it and a receiver asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// File name, without folder.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
}

/// A finished snapshot: immutable, readable until dropped.
pub trait Snapshot: Send + Sync + 'static {
    /// How far the state in it had come, read from the snapshot itself.
    fn applied(&self) -> &Applied;

    /// Its files. The first is the manifest: name, size and SHA-256 of every other.
    fn files(&self) -> &[SnapshotFile];

    /// Up to `size` bytes of a file from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// The disk failed, or `file` is out of range.
    fn read(&self, file: usize, offset: u64, size: usize) -> Result<Bytes, StorageFault>;
}

/// Takes in the files of a snapshot and replaces the state with it.
pub trait SnapshotSink: Send + 'static {
    /// Writes bytes of a file; files come in order, each from its beginning.
    ///
    /// # Errors
    /// The disk failed, or the name is not a plain file name.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageFault>;

    /// Checks that every file is there and right, and what they hold, without changing the state. Called once, when all
    /// were written; says how far the received state has come.
    ///
    /// # Errors
    /// A file is missing, cut or altered, what they hold is not a state of this cluster, or the disk failed.
    fn check(&mut self) -> Result<Applied, StorageFault>;

    /// Checks, unless that was done, and swaps the state. Nothing changes if it fails.
    ///
    /// # Errors
    /// As [`SnapshotSink::check`].
    fn finish(self: Box<Self>) -> Result<Applied, StorageFault>;
}

/// The replicated state of one node.
pub trait StateMachine: Send + Sync + 'static {
    /// How far it has come.
    ///
    /// # Errors
    /// The disk failed.
    fn applied(&self) -> Result<Applied, StorageFault>;

    /// Applies a run of committed records in one atomic batch, together with [`Applied`]; one answer a record, in
    /// order (empty for blank and membership records, and for one that was skipped by order). A lawful "no" is an
    /// answer, never an error.
    ///
    /// Fewer answers than records say that it stands still before the first record without one: see
    /// [`Self::stands_before`]. Called again from that record on, it goes on if it can.
    ///
    /// # Errors
    /// The disk failed or our own invariant broke: this replica must stop.
    fn apply(&self, records: Vec<LogRecord>) -> Result<Vec<Bytes>, StorageFault>;

    /// How long each record of the last run took that was applied, in microseconds, in order; empty where that is not
    /// measured. Only for who is served next: it is nothing of the state, and differs between replicas.
    fn took(&self) -> Vec<u64> {
        Vec::new()
    }

    /// The record before which it stands still, if it does.
    fn stands_before(&self) -> Option<StandsBefore> {
        None
    }

    /// Takes a snapshot. Called while no `apply` runs; cheap (hard links), the reading happens later.
    ///
    /// # Errors
    /// The disk failed.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault>;

    /// Begins to take in a snapshot from another node.
    ///
    /// # Errors
    /// The disk failed.
    fn receive(&self) -> Result<Box<dyn SnapshotSink>, StorageFault>;

    /// What this replica's state was at its newest sealed sizes above `size`, to be compared with the others'.
    ///
    /// # Errors
    /// The disk failed.
    fn marks(&self, size: u64) -> Result<Vec<Mark>, StorageFault>;
}
