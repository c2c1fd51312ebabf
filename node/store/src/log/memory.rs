//! The log in memory, for the simulation and for tests: what was not synced is gone after a crash.
//!
//! With [`MemoryLog::new`] every write is synced at once; with [`MemoryLog::with_manual_sync`] a write waits until
//! somebody calls [`MemoryLog::sync`], and [`MemoryLog::crash`] throws away what still waits.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{LogState, RaftLog, Synced, Vote, next_index, payload_size, refuse_below_committed};
use crate::fault::StorageFault;
use crate::identity::{Run, StoreId};
use crate::machine::{LogPosition, LogRecord, Payload};

/// A Raft log in memory.
pub struct MemoryLog {
    inner: Mutex<Inner>,
    /// Durable at once: nothing is lost with them by a crash.
    starts: Mutex<BTreeMap<(u64, StoreId), Run>>,
    dirty: Notify,
    manual: bool,
    lies: bool,
}

#[derive(Default)]
struct Inner {
    volatile: Contents,
    durable: Contents,
    waiting: Vec<(Change, Synced)>,
}

#[derive(Default, Clone)]
struct Contents {
    state: LogState,
    records: BTreeMap<u64, (LogPosition, Payload)>,
}

#[derive(Clone)]
enum Change {
    Vote(Vote),
    Append(Vec<LogRecord>),
    Truncate(Option<LogPosition>),
    Purge(LogPosition),
}

impl Default for MemoryLog {
    fn default() -> Self {
        MemoryLog::new()
    }
}

impl MemoryLog {
    /// A log that syncs every write at once.
    #[must_use]
    pub fn new() -> MemoryLog {
        MemoryLog {
            inner: Mutex::default(),
            starts: Mutex::default(),
            dirty: Notify::new(),
            manual: false,
            lies: false,
        }
    }

    /// A log that syncs when told to.
    #[must_use]
    pub fn with_manual_sync() -> MemoryLog {
        MemoryLog {
            manual: true,
            ..MemoryLog::new()
        }
    }

    /// A log that reports every write as synced before it is, to show that a simulation notices such a log.
    #[must_use]
    pub fn with_lying_sync() -> MemoryLog {
        MemoryLog {
            manual: true,
            lies: true,
            ..MemoryLog::new()
        }
    }

    /// Waits until a write waits to be synced.
    pub async fn wait_dirty(&self) {
        loop {
            let written = self.dirty.notified();
            if !self.lock().waiting.is_empty() {
                return;
            }
            written.await;
        }
    }

    /// Makes everything written so far durable and reports it.
    pub fn sync(&self) {
        let reports = {
            let mut inner = self.lock();
            let waiting = std::mem::take(&mut inner.waiting);
            let mut reports = Vec::with_capacity(waiting.len());
            for (change, synced) in waiting {
                inner.durable.take(change);
                reports.push(synced);
            }
            inner.durable.state.committed = inner.volatile.state.committed;
            reports
        };
        for synced in reports {
            synced(Ok(()));
        }
    }

    /// The log as it is on the disk, on another disk.
    #[must_use]
    pub fn copy(&self) -> MemoryLog {
        let durable = self.lock().durable.clone();
        MemoryLog {
            inner: Mutex::new(Inner {
                volatile: durable.clone(),
                durable,
                waiting: Vec::new(),
            }),
            starts: Mutex::new(self.starts()),
            ..MemoryLog::new()
        }
    }

    /// Loses everything that was not synced, as a power cut does. Nobody hears of the writes that were lost.
    pub fn crash(&self) {
        let mut inner = self.lock();
        inner.waiting.clear();
        inner.volatile = inner.durable.clone();
    }

    fn write(&self, change: Change, mut synced: Synced) {
        if self.lies {
            let report = std::mem::replace(&mut synced, Box::new(|_| ()));
            report(Ok(()));
        }
        {
            let mut inner = self.lock();
            inner.volatile.take(change.clone());
            inner.waiting.push((change, synced));
        }
        if self.manual {
            self.dirty.notify_one();
        } else {
            self.sync();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLog for MemoryLog {
    fn state(&self) -> LogState {
        self.lock().volatile.state
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<LogRecord>, StorageFault> {
        let inner = self.lock();
        let mut records = Vec::new();
        let mut size = 0;
        if to <= from {
            return Ok(records);
        }
        for (position, payload) in inner
            .volatile
            .records
            .range(from..to)
            .map(|(_, record)| record)
        {
            size += payload_size(payload);
            if bytes_max < size && !records.is_empty() {
                break;
            }
            records.push(LogRecord {
                position: *position,
                payload: payload.clone(),
            });
        }
        Ok(records)
    }

    fn save_vote(&self, vote: Vote, synced: Synced) -> Result<(), StorageFault> {
        let held = self.lock().volatile.state.vote;
        if Some(vote) < held {
            return Err(StorageFault::Invariant(format!(
                "vote goes back from {held:?} to {vote:?}"
            )));
        }
        self.write(Change::Vote(vote), synced);
        Ok(())
    }

    fn save_committed(&self, committed: LogPosition) -> Result<(), StorageFault> {
        let mut inner = self.lock();
        let state = &mut inner.volatile.state;
        if Some(committed) <= state.last {
            state.committed = state.committed.max(Some(committed));
        }
        Ok(())
    }

    fn append(&self, records: Vec<LogRecord>, synced: Synced) -> Result<(), StorageFault> {
        let mut last = self.lock().volatile.state.last;
        for record in &records {
            if last.is_some() && record.position.index != next_index(last) {
                return Err(StorageFault::Invariant(format!(
                    "{:?} does not follow {last:?}",
                    record.position
                )));
            }
            last = Some(record.position);
        }
        self.write(Change::Append(records), synced);
        Ok(())
    }

    fn truncate_after(
        &self,
        last: Option<LogPosition>,
        synced: Synced,
    ) -> Result<(), StorageFault> {
        refuse_below_committed(last, self.state().committed)?;
        self.write(Change::Truncate(last), synced);
        Ok(())
    }

    fn purge(&self, upto: LogPosition, synced: Synced) -> Result<(), StorageFault> {
        self.write(Change::Purge(upto), synced);
        Ok(())
    }

    fn starts(&self) -> BTreeMap<(u64, StoreId), Run> {
        self.starts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note_start(&self, node: u64, store: StoreId, run: Run) -> Result<(), StorageFault> {
        self.starts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((node, store), run);
        Ok(())
    }

    fn size(&self) -> u64 {
        let inner = self.lock();
        inner
            .volatile
            .records
            .values()
            .map(|(_, payload)| payload_size(payload) as u64 + 64)
            .sum()
    }
}

impl Contents {
    fn take(&mut self, change: Change) {
        match change {
            Change::Vote(vote) => self.state.vote = Some(vote),
            Change::Append(records) => {
                for record in records {
                    self.state.last = Some(record.position);
                    self.records
                        .insert(record.position.index, (record.position, record.payload));
                }
            }
            Change::Truncate(last) => {
                if next_index(last) < next_index(self.state.last) {
                    self.records.split_off(&next_index(last));
                    self.state.last = last.max(self.state.purged);
                }
            }
            Change::Purge(upto) => {
                self.records = self.records.split_off(&next_index(Some(upto)));
                self.state.purged = self.state.purged.max(Some(upto));
                if next_index(self.state.last) <= next_index(Some(upto)) {
                    self.state.last = Some(upto);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(index: u64) -> LogRecord {
        LogRecord {
            position: LogPosition {
                term: 1,
                node: 1,
                index,
            },
            payload: Payload::Blank,
        }
    }

    #[test]
    fn a_crash_loses_what_was_not_synced() {
        let log = MemoryLog::with_manual_sync();
        log.append(vec![record(0), record(1)], Box::new(|_| ()))
            .expect("appended");
        log.sync();
        log.append(vec![record(2)], Box::new(|_| ()))
            .expect("appended");
        assert_eq!(log.state().last.map(|last| last.index), Some(2));
        log.crash();
        assert_eq!(log.state().last.map(|last| last.index), Some(1));
        assert_eq!(log.read(0, 10, usize::MAX).expect("readable").len(), 2);
    }
}
