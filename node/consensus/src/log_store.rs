//! openraft's log storage over [`RaftLog`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use carnet_store::fault::{FirstFault, StorageFault};
use carnet_store::log::{READ_BYTES_MAX, RaftLog, Synced};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use crate::codec::{entry_of, record_of};
use crate::types::{RaftEntry, RaftLogId, RaftVote, Types, log_id, our_vote, position, raft_vote};

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
        self.read(from, to, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVote>> {
        Ok(self.log.state().vote.map(raft_vote))
    }

    /// What one append carries: at most [`READ_BYTES_MAX`] of payload, at least one entry.
    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> io::Result<Vec<RaftEntry>> {
        self.read(start, end, READ_BYTES_MAX)
    }
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
        let committed = self.log.state().committed;
        // Two leaders of one term, which only a second founding or a copied store brings about. The log stays whole.
        if last.map(|last| last.index) < committed.map(|committed| committed.index) {
            let cut = last.map_or(0, |last| last.index + 1);
            let kept = committed.map_or(0, |committed| committed.index);
            return Err(noted(&self.faults)(StorageFault::Invariant(format!(
                "a leader asks to cut the log from record {cut} on, and record {kept} is committed: another cluster was \
                 founded with this one's identity, or a store was copied. Nothing was cut; stop the other before this node \
                 is started again"
            ))));
        }
        self.synced(|log, done| log.truncate_after(last, done))
            .await
    }

    async fn purge(&mut self, upto: RaftLogId) -> io::Result<()> {
        self.synced(|log, done| log.purge(position(&upto), done))
            .await
    }
}
