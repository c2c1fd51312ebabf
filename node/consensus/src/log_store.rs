//! openraft's log storage over [`RaftLog`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use carnet_store::fault::{FirstFault, StorageFault};
use carnet_store::log::{READ_BYTES_MAX, RaftLog, Synced};
use futures::{Stream, TryStreamExt, stream};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use crate::codec::{entry_of, record_of};
use crate::types::{RaftEntry, RaftLogId, RaftVote, Types, log_id, our_vote, position, raft_vote};

/// Records read at once: those without payload have no bytes to be counted.
const PIECE_RECORDS_MAX: u64 = 4096;

/// The log, shared by the core, the replication tasks and the state machine. openraft makes text of an error and stops;
/// what the error was is kept in `faults` before it gets there.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Arc<dyn RaftLog>,
    faults: FirstFault,
}

/// Remembers a fault and wraps it for openraft.
pub(crate) fn noted(faults: &FirstFault) -> impl Fn(StorageFault) -> io::Error + use<> {
    let faults = faults.clone();
    move |fault| io::Error::other(faults.note(fault))
}

impl LogStore {
    pub(crate) fn new(log: Arc<dyn RaftLog>, faults: FirstFault) -> LogStore {
        LogStore { log, faults }
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<RaftEntry>> {
        let records = self
            .log
            .read(from, to, bytes_max)
            .map_err(noted(&self.faults))?;
        records
            .into_iter()
            .map(|record| {
                entry_of(record).map_err(|cause| {
                    noted(&self.faults)(StorageFault::Corrupt {
                        what: "record of the raft log",
                        detail: cause.to_string(),
                    })
                })
            })
            .collect()
    }

    /// The first of these records: at most [`PIECE_RECORDS_MAX`], and [`READ_BYTES_MAX`] of payload or one record.
    fn piece(&self, from: u64, to: u64) -> io::Result<Vec<RaftEntry>> {
        let to = to.min(from.saturating_add(PIECE_RECORDS_MAX));
        self.read(from, to, READ_BYTES_MAX)
    }

    /// Runs a write and waits until it is on stable storage.
    async fn synced(
        &self,
        write: impl FnOnce(&dyn RaftLog, Synced) -> Result<(), StorageFault>,
    ) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        let report: Synced = Box::new(move |result| {
            // Nobody waits any more only when the node is stopping.
            let _ = done.send(result);
        });
        write(&*self.log, report).map_err(noted(&self.faults))?;
        match wait.await {
            Ok(result) => result.map_err(noted(&self.faults)),
            Err(_) => Err(io::Error::other(
                "the log stopped before a write was synced",
            )),
        }
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<RaftEntry>> {
        // All of it, as openraft demands: it asks for 64 records at a time, and for the rest by the streams.
        let (from, to) = bounds(&range);
        self.read(from, to, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVote>> {
        Ok(self.log.state().vote.map(raft_vote))
    }

    /// What is to be applied, read piece by piece: after a long stand or at a start it may be the whole log.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<RaftEntry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        let log = self.clone();
        let pieces = stream::try_unfold((log, from), move |(log, next)| async move {
            let entries = log.piece(next, to)?;
            let read = entries
                .last()
                .map(|last| last.log_id.index.saturating_add(1));
            let entries = stream::iter(entries.into_iter().map(Ok));
            Ok::<_, io::Error>(read.map(|next| (entries, (log, next))))
        });
        pieces.try_flatten()
    }

    /// What one append carries: at most [`READ_BYTES_MAX`] of payload, at least one entry.
    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> io::Result<Vec<RaftEntry>> {
        self.piece(start, end)
    }
}

/// First index, and the one behind the last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(log_id),
            last_log_id: state.last.map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> io::Result<()> {
        let vote = our_vote(vote);
        self.synced(|log, done| log.save_vote(vote, done)).await
    }

    async fn save_committed(&mut self, committed: Option<RaftLogId>) -> io::Result<()> {
        match committed {
            Some(committed) => self
                .log
                .save_committed(position(&committed))
                .map_err(noted(&self.faults)),
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<RaftLogId>> {
        Ok(self.log.state().committed.map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records = entries.into_iter().map(record_of).collect();
        let wrap = noted(&self.faults);
        let report: Synced = Box::new(move |result| callback.io_completed(result.map_err(wrap)));
        self.log
            .append(records, report)
            .map_err(noted(&self.faults))
    }

    async fn truncate_after(&mut self, last: Option<RaftLogId>) -> io::Result<()> {
        let last = last.as_ref().map(position);
        self.synced(|log, done| log.truncate_after(last, done))
            .await
    }

    async fn purge(&mut self, upto: RaftLogId) -> io::Result<()> {
        self.synced(|log, done| log.purge(position(&upto), done))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use carnet_store::identity::{Run, StoreId};
    use carnet_store::log::{LogState as Held, MemoryLog, Vote, payload_size};
    use carnet_store::machine::{LogPosition, LogRecord, Payload};

    use super::*;

    /// A log that remembers the largest read.
    #[derive(Default)]
    struct Watched {
        log: MemoryLog,
        records_max: AtomicUsize,
        bytes_max: AtomicUsize,
    }

    impl RaftLog for Watched {
        fn state(&self) -> Held {
            self.log.state()
        }

        fn read(&self, from: u64, to: u64, most: usize) -> Result<Vec<LogRecord>, StorageFault> {
            let read = self.log.read(from, to, most)?;
            let bytes = read
                .iter()
                .map(|record| payload_size(&record.payload))
                .sum();
            self.records_max.fetch_max(read.len(), Ordering::Relaxed);
            self.bytes_max.fetch_max(bytes, Ordering::Relaxed);
            Ok(read)
        }

        fn save_vote(&self, vote: Vote, synced: Synced) -> Result<(), StorageFault> {
            self.log.save_vote(vote, synced)
        }

        fn save_committed(&self, committed: LogPosition) -> Result<(), StorageFault> {
            self.log.save_committed(committed)
        }

        fn append(&self, records: Vec<LogRecord>, synced: Synced) -> Result<(), StorageFault> {
            self.log.append(records, synced)
        }

        fn truncate_after(
            &self,
            last: Option<LogPosition>,
            synced: Synced,
        ) -> Result<(), StorageFault> {
            self.log.truncate_after(last, synced)
        }

        fn purge(&self, upto: LogPosition, synced: Synced) -> Result<(), StorageFault> {
            self.log.purge(upto, synced)
        }

        fn starts(&self) -> BTreeMap<(u64, StoreId), Run> {
            self.log.starts()
        }

        fn note_start(&self, node: u64, store: StoreId, run: Run) -> Result<(), StorageFault> {
            self.log.note_start(node, store, run)
        }

        fn size(&self) -> u64 {
            self.log.size()
        }
    }

    async fn streams_in_pieces(count: u64, payload: fn() -> Payload) {
        let watched = Arc::new(Watched::default());
        let record = |index| LogRecord {
            position: LogPosition {
                term: 1,
                node: 1,
                index,
            },
            payload: payload(),
        };
        let appended = watched.append((0..count).map(record).collect(), Box::new(|_| ()));
        appended.expect("appended");
        let mut log = LogStore::new(watched.clone(), FirstFault::default());
        let read: Vec<RaftEntry> = log
            .entries_stream(3..count + 9)
            .await
            .try_collect()
            .await
            .expect("readable");
        let indices = read.iter().map(|entry| entry.log_id.index);
        assert!(indices.eq(3..count), "each once, in order");
        let records_max = watched.records_max.load(Ordering::Relaxed) as u64;
        assert!(records_max <= PIECE_RECORDS_MAX, "{records_max}");
        let bytes_max = watched.bytes_max.load(Ordering::Relaxed);
        assert!(bytes_max <= READ_BYTES_MAX, "{bytes_max}");
        let nothing: Vec<RaftEntry> = log
            .entries_stream(count..)
            .await
            .try_collect()
            .await
            .expect("readable");
        assert!(nothing.is_empty());
    }

    #[tokio::test]
    async fn what_is_to_be_applied_is_read_in_pieces() {
        streams_in_pieces(300, || Payload::Entry(vec![7; 100_000].into())).await;
        streams_in_pieces(20_000, || Payload::Blank).await;
    }
}
