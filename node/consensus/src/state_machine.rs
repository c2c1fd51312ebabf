//! openraft's state machine over [`StateMachine`]: applies in chunks, answers after the write, streams snapshots.
//!
//! When the machine stands still before a record, openraft is told that what follows is applied, and it is kept back: how
//! far openraft went is remembered, and read from the log again when the machine goes on. openraft must not wait: its core
//! blocks when a thousand calls of `apply` are queued, and votes and appends would stop with it; at a start it applies
//! before it serves. So whoever asks "is this applied?" asks [`Machine::stands`] too. What was proposed and stands behind
//! that record keeps its place in line and is answered when it is applied.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use carnet_store::compare::Mark;
use carnet_store::fault::{FirstFault, StorageFault};
use carnet_store::log::{RaftLog, payload_size};
use carnet_store::machine::{
    Applied, LogRecord, Payload, Snapshot, SnapshotSink, StandsBefore, StateMachine,
};
use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncGuard, watch};

use crate::codec::{Body, Undecodable, record_of};
use crate::error::StartError;
use crate::log_store::noted;
use crate::messages::snapshot_meta;
use crate::roster::Roster;
use crate::types::{
    Answer, RaftLogId, RaftMembership, RaftSnapshotMeta, RaftStoredMembership, Types,
};
use crate::work::Work;

type Responder = openraft::storage::ApplyResponder<Types>;
type RaftSnapshot = openraft::type_config::alias::SnapshotOf<Types, SnapshotData>;

/// Records applied in one batch at most.
const CHUNK_RECORDS_MAX: usize = 1024;
/// Payload bytes after which a batch is closed.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Piece in which a snapshot is copied from one place of this node to another.
pub(crate) const PIECE_BYTES: usize = 512 * 1024;

/// A snapshot on its way through openraft.
pub(crate) enum SnapshotData {
    /// One of ours, to be read.
    Held(Arc<dyn Snapshot>),
    /// One that was received whole and waits to be checked and swapped in.
    Received(Box<dyn SnapshotSink>),
}

/// The state machine as openraft sees it.
#[derive(Clone)]
pub(crate) struct Machine {
    machine: Arc<dyn StateMachine>,
    log: Arc<dyn RaftLog>,
    faults: FirstFault,
    work: Work,
    newest: Arc<Mutex<Option<Arc<dyn Snapshot>>>>,
    /// The roster as applied: membership records are handed to the state with it in them.
    roster: Arc<RwLock<Roster>>,
    /// Held by whoever applies or replaces the state.
    behind: Arc<AsyncMutex<Behind>>,
    stands: Arc<watch::Sender<Option<StandsBefore>>>,
}

/// What openraft takes for applied and the machine has not applied, because it stands still.
#[derive(Default)]
struct Behind {
    /// The last index of it; `None` while the machine does not stand still.
    last: Option<u64>,
    /// Who waits for the answer to a record of it, by index.
    waiting: BTreeMap<u64, Responder>,
}

impl Behind {
    fn add(&mut self, index: u64, responder: Option<Responder>) {
        self.last = self.last.max(Some(index));
        if let Some(responder) = responder {
            self.waiting.insert(index, responder);
        }
    }
}

impl Machine {
    /// Over a state, as far as it has come, and the log from which it goes on after standing still.
    pub(crate) fn open(
        machine: Arc<dyn StateMachine>,
        log: Arc<dyn RaftLog>,
        faults: FirstFault,
        work: Work,
    ) -> Result<Machine, StartError> {
        let applied = machine
            .applied()
            .map_err(|fault| StartError::Storage(faults.note(fault)))?;
        let roster =
            roster_of(&applied).map_err(|cause| StartError::Recovery(cause.to_string()))?;
        Ok(Machine {
            machine,
            log,
            faults,
            work,
            newest: Arc::default(),
            roster: Arc::new(RwLock::new(roster)),
            behind: Arc::default(),
            stands: Arc::new(watch::Sender::new(None)),
        })
    }

    /// The roster as applied, now and later.
    pub(crate) fn roster(&self) -> Arc<RwLock<Roster>> {
        Arc::clone(&self.roster)
    }

    fn enter(&self, roster: Roster) {
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = roster;
    }

    /// Puts the roster in the place of each membership; says what it is after each of them, by place among the records.
    fn with_roster(&self, records: &mut [LogRecord]) -> io::Result<Vec<(usize, Roster)>> {
        let mut rosters: Vec<(usize, Roster)> = Vec::new();
        for (place, record) in records.iter_mut().enumerate() {
            let Payload::Membership(bytes) = &mut record.payload else {
                continue;
            };
            let next = RaftMembership::from_body(bytes.clone()).map_err(io::Error::other)?;
            let roster = match rosters.last() {
                Some((_, before)) => Roster::follow(before, next),
                None => self
                    .roster
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .follow(next),
            };
            *bytes = roster.to_body();
            rosters.push((place, roster));
        }
        Ok(rosters)
    }

    /// A place for a snapshot from another node. That there is none is told to the sender: this node goes on.
    pub(crate) fn receive(&self) -> Result<Box<dyn SnapshotSink>, StorageFault> {
        self.machine.receive()
    }

    pub(crate) fn marks(&self, above: u64) -> Result<Vec<Mark>, StorageFault> {
        self.machine.marks(above)
    }

    pub(crate) fn work(&self) -> Work {
        self.work
    }

    /// The record before which the machine stands still, if it does; now and on every change. It is set before openraft
    /// hears that a record behind it is applied, and taken back after all of them are.
    pub(crate) fn stands(&self) -> watch::Receiver<Option<StandsBefore>> {
        self.stands.subscribe()
    }

    /// Tries the record before which the machine stands still, and everything that openraft takes for applied behind it.
    pub(crate) async fn go_on(&self) -> io::Result<()> {
        let mut behind = self.behind.lock().await;
        while let Some(last) = behind.last {
            let applied = self.machine.applied().map_err(noted(&self.faults))?.last;
            let next = applied.map_or(0, |position| position.index + 1);
            if last < next {
                self.goes_on(&mut behind);
                break;
            }
            let log = Arc::clone(&self.log);
            let records = self
                .work
                .run(move || log.read(next, last + 1, CHUNK_BYTES))
                .await?
                .map_err(noted(&self.faults))?;
            if records.first().map(|record| record.position.index) != Some(next) {
                return Err(io::Error::other(format!(
                    "log entry {next} is committed, not applied, and not in the log"
                )));
            }
            if !self.apply_behind(&mut behind, records).await? {
                break;
            }
        }
        Ok(())
    }

    /// Applies records that openraft takes for applied; whether the machine applied them all.
    async fn apply_behind(
        &self,
        behind: &mut AsyncGuard<'_, Behind>,
        records: Vec<LogRecord>,
    ) -> io::Result<bool> {
        let indices: Vec<u64> = records.iter().map(|record| record.position.index).collect();
        let answers = self.apply_records(records).await?;
        let all = answers.len() == indices.len();
        for (index, answer) in indices.into_iter().zip(answers) {
            if let Some(responder) = behind.waiting.remove(&index) {
                responder.send(answer);
            }
        }
        if !all {
            self.stands.send_replace(Some(self.stands_before()?));
        }
        Ok(all)
    }

    fn goes_on(&self, behind: &mut Behind) {
        tracing::info!("everything behind the log entry is applied: this node goes on");
        *behind = Behind::default();
        self.stands.send_replace(None);
    }

    fn stands_before(&self) -> io::Result<StandsBefore> {
        let stands = self.machine.stands_before();
        stands.ok_or_else(|| io::Error::other("fewer answers than records"))
    }

    fn keep(&self, snapshot: Arc<dyn Snapshot>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    async fn take_snapshot(&self) -> io::Result<Arc<dyn Snapshot>> {
        let machine = Arc::clone(&self.machine);
        self.work
            .run(move || machine.snapshot())
            .await?
            .map_err(noted(&self.faults))
    }

    async fn apply_records(&self, mut records: Vec<LogRecord>) -> io::Result<Vec<Answer>> {
        let count = records.len();
        let rosters = self.with_roster(&mut records)?;
        let machine = Arc::clone(&self.machine);
        let answers = self
            .work
            .run(move || {
                let answers = machine.apply(records)?;
                Ok((answers, machine.took()))
            })
            .await?
            .map_err(noted(&self.faults));
        let (answers, took) = answers?;
        if answers.len() > count {
            let broken = format!("{} answers to {count} records", answers.len());
            return Err(noted(&self.faults)(StorageFault::Invariant(broken)));
        }
        // Only as far as the machine came: what it stands still before has changed nobody's membership yet.
        let reached = rosters
            .into_iter()
            .take_while(|(place, _)| *place < answers.len())
            .last();
        if let Some((_, roster)) = reached {
            self.enter(roster);
        }
        let mut took = took.into_iter();
        let measured = answers.into_iter().map(|bytes| Answer {
            bytes,
            micros: took.next(),
        });
        Ok(measured.collect())
    }

    async fn apply_chunk(
        &self,
        behind: &mut Behind,
        records: Vec<LogRecord>,
        waiting: Vec<Option<Responder>>,
    ) -> io::Result<()> {
        let indices: Vec<u64> = records.iter().map(|record| record.position.index).collect();
        let mut answers = self.apply_records(records).await?.into_iter();
        let mut stands = None;
        for (index, responder) in indices.into_iter().zip(waiting) {
            match answers.next() {
                Some(answer) => {
                    if let Some(responder) = responder {
                        responder.send(answer);
                    }
                }
                None => {
                    if stands.is_none() {
                        stands = Some(self.stands_before()?);
                    }
                    behind.add(index, responder);
                }
            }
        }
        if stands.is_some() {
            self.stands.send_replace(stands);
        }
        Ok(())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<RaftLogId>, RaftStoredMembership)> {
        let applied = self.machine.applied().map_err(noted(&self.faults))?;
        let meta = meta_of(applied).map_err(noted(&self.faults))?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        // The inner loop may see the end; not every stream may be asked again after it.
        let mut entries = entries.fuse();
        let mut behind = self.behind.lock().await;
        while let Some(first) = entries.next().await {
            if behind.last.is_some() {
                let (entry, responder) = first?;
                behind.add(record_of(entry).position.index, responder);
                continue;
            }
            let mut next = Some(first);
            let (mut records, mut waiting, mut size) = (Vec::new(), Vec::new(), 0);
            while let Some(item) = next.take() {
                let (entry, responder) = item?;
                let record = record_of(entry);
                size += payload_size(&record.payload);
                records.push(record);
                waiting.push(responder);
                if records.len() < CHUNK_RECORDS_MAX && size < CHUNK_BYTES {
                    next = entries.next().now_or_never().flatten();
                }
            }
            self.apply_chunk(&mut behind, records, waiting).await?;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        Some(self.get_snapshot_builder().await)
    }

    /// Called between two applies, so the snapshot is of one moment; reading it comes later.
    async fn get_snapshot_builder(&mut self) -> Builder {
        let _still = self.behind.lock().await;
        Builder {
            machine: self.clone(),
            taken: Some(self.take_snapshot().await),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &RaftSnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let sink = match snapshot {
            SnapshotData::Received(sink) => sink,
            SnapshotData::Held(held) => {
                let sink = self.receive().map_err(noted(&self.faults))?;
                self.work.run(move || copy(&*held, sink)).await??
            }
        };
        let mut behind = self.behind.lock().await;
        let applied = self
            .work
            .run(move || sink.finish())
            .await?
            .map_err(received)
            .map_err(noted(&self.faults))?;
        let roster = roster_of(&applied).map_err(io::Error::other)?;
        // A snapshot from beyond the record before which this machine stood still brings it past it.
        let reached = applied.last.map(|position| position.index);
        if behind.last.is_some() && behind.last <= reached {
            self.goes_on(&mut behind);
        }
        let installed = meta_of(applied)
            .map_err(received)
            .map_err(noted(&self.faults))?;
        if installed != *meta {
            return Err(noted(&self.faults)(StorageFault::Received {
                what: "snapshot",
                detail: format!("{installed} was announced as {meta}"),
            }));
        }
        self.enter(roster);
        let ours = self.take_snapshot().await?;
        self.keep(ours);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        let newest = self
            .newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        newest
            .map(raft_snapshot)
            .transpose()
            .map_err(noted(&self.faults))
    }
}

/// Holds a snapshot that was taken, until openraft asks for it.
pub(crate) struct Builder {
    machine: Machine,
    taken: Option<io::Result<Arc<dyn Snapshot>>>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        let taken = self
            .taken
            .take()
            .unwrap_or_else(|| Err(io::Error::other("a snapshot is built once")))?;
        self.machine.keep(Arc::clone(&taken));
        raft_snapshot(taken).map_err(noted(&self.machine.faults))
    }
}

fn raft_snapshot(snapshot: Arc<dyn Snapshot>) -> Result<RaftSnapshot, StorageFault> {
    let meta = meta_of(snapshot.applied().clone())?;
    Ok(RaftSnapshot {
        meta,
        snapshot: SnapshotData::Held(snapshot),
    })
}

fn meta_of(applied: Applied) -> Result<RaftSnapshotMeta, StorageFault> {
    snapshot_meta(applied.last, applied.membership).map_err(|cause| StorageFault::Corrupt {
        what: "membership in the state",
        detail: cause.to_string(),
    })
}

/// Damage in what another node sent says nothing about this node's disk.
fn received(fault: StorageFault) -> StorageFault {
    match fault {
        StorageFault::Corrupt { what, detail } => StorageFault::Received { what, detail },
        other => other,
    }
}

fn roster_of(applied: &Applied) -> Result<Roster, Undecodable> {
    match &applied.membership {
        Some((_, bytes)) => Roster::from_body(bytes.clone()),
        None => Ok(Roster::default()),
    }
}

fn copy(from: &dyn Snapshot, mut to: Box<dyn SnapshotSink>) -> io::Result<Box<dyn SnapshotSink>> {
    for (at, file) in from.files().iter().enumerate() {
        let mut offset = 0;
        loop {
            let bytes: Bytes = from
                .read(at, offset, PIECE_BYTES)
                .map_err(io::Error::other)?;
            to.write(&file.name, offset, &bytes)
                .map_err(io::Error::other)?;
            offset += bytes.len() as u64;
            if bytes.is_empty() || file.size <= offset {
                break;
            }
        }
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use carnet_store::identity::StoreId;
    use carnet_store::log::{DiskLog, DiskLogOptions, MemoryLog};
    use carnet_store::machine::LogPosition;
    use openraft::testing::log::{StoreBuilder, Suite};

    use super::*;
    use crate::codec::entry_of;
    use crate::log_store::LogStore;
    use crate::testing::RegisterMachine;

    struct OnDisk;
    struct InMemory;

    fn machine(log: &Arc<dyn RaftLog>) -> Machine {
        let machine = Arc::new(RegisterMachine::new());
        let faults = FirstFault::default();
        Machine::open(machine, Arc::clone(log), faults, Work::Threads).expect("opens")
    }

    impl StoreBuilder<Types, LogStore, Machine, tempfile::TempDir> for OnDisk {
        async fn build(
            &self,
        ) -> Result<(tempfile::TempDir, LogStore, Machine), openraft::StorageError<Types>> {
            let directory = tempfile::tempdir().expect("a directory");
            let store = StoreId([1; 16]);
            DiskLog::create(directory.path(), store).expect("made");
            let log = DiskLog::open(directory.path(), store, DiskLogOptions::default());
            let log: Arc<dyn RaftLog> = Arc::new(log.expect("opens"));
            let machine = machine(&log);
            let log = LogStore::new(log, FirstFault::default());
            Ok((directory, log, machine))
        }
    }

    impl StoreBuilder<Types, LogStore, Machine, ()> for InMemory {
        async fn build(&self) -> Result<((), LogStore, Machine), openraft::StorageError<Types>> {
            let log: Arc<dyn RaftLog> = Arc::new(MemoryLog::new());
            let machine = machine(&log);
            let log = LogStore::new(log, FirstFault::default());
            Ok(((), log, machine))
        }
    }

    #[tokio::test]
    async fn the_log_on_disk_passes_the_suite_of_openraft() {
        Suite::test_all(OnDisk).await.expect("passes");
    }

    #[tokio::test]
    async fn the_log_in_memory_passes_the_suite_of_openraft() {
        Suite::test_all(InMemory).await.expect("passes");
    }

    fn record(index: u64, proposal: &'static str) -> LogRecord {
        LogRecord {
            position: LogPosition {
                term: 1,
                node: 1,
                index,
            },
            payload: Payload::Entry(Bytes::from(proposal)),
        }
    }

    const POISON: &str = "poison=1";

    /// Six records of which the third is one that a machine may stumble at.
    fn six() -> Vec<LogRecord> {
        let proposals = ["a=0", "a=1", POISON, "a=3", "a=4", "a=5"];
        (0..)
            .zip(proposals)
            .map(|(at, one)| record(at, one))
            .collect()
    }

    /// A machine that stands before the third of five records, of which the log holds all.
    async fn stands() -> (Machine, RegisterMachine) {
        let log = Arc::new(MemoryLog::new());
        log.append(six(), Box::new(|_| ())).expect("appended");
        let registers = RegisterMachine::new();
        registers.stumble_at(POISON.as_bytes());
        let state = Arc::new(registers.clone());
        let opened = Machine::open(state, log, FirstFault::default(), Work::Threads);
        let mut machine = opened.expect("opens");
        apply(&mut machine, 0..5).await;
        let before = machine
            .stands()
            .borrow()
            .as_ref()
            .map(|stands| stands.position.index);
        assert_eq!(before, Some(2));
        (machine, registers)
    }

    async fn apply(machine: &mut Machine, indices: std::ops::Range<usize>) {
        let entries = six().into_iter().skip(indices.start).take(indices.len());
        let entries = entries.map(|record| Ok((entry_of(record).expect("readable"), None)));
        let applied = machine.apply(futures::stream::iter(entries)).await;
        applied.expect("applied, or kept back");
    }

    /// The snapshot of a machine that applied so many of the six.
    fn snapshot_of(count: usize) -> Arc<dyn Snapshot> {
        let other = RegisterMachine::new();
        let applied = other.apply(six().into_iter().take(count).collect());
        applied.expect("applied");
        other.snapshot().expect("held")
    }

    async fn install(machine: &mut Machine, snapshot: Arc<dyn Snapshot>) {
        let meta = meta_of(snapshot.applied().clone()).expect("readable");
        let installed = machine.install_snapshot(&meta, SnapshotData::Held(snapshot));
        installed.await.expect("installed");
    }

    #[tokio::test]
    async fn a_snapshot_that_holds_all_that_was_kept_back_brings_a_machine_on() {
        let (mut machine, registers) = stands().await;
        install(&mut machine, snapshot_of(5)).await;
        assert!(machine.stands().borrow().is_none(), "it goes on");
        apply(&mut machine, 5..6).await;
        assert_eq!(registers.register("a").as_deref(), Some(&b"5"[..]));
    }

    #[tokio::test]
    async fn what_was_kept_back_and_is_not_in_a_snapshot_is_applied_after_it() {
        let (mut machine, registers) = stands().await;
        // It holds the record before which the machine stood, and not the two behind it.
        install(&mut machine, snapshot_of(3)).await;
        apply(&mut machine, 5..6).await;
        machine.go_on().await.expect("applied");
        assert!(machine.stands().borrow().is_none(), "it goes on");
        assert_eq!(registers.register("a").as_deref(), Some(&b"5"[..]));
        let applied: Vec<u64> = registers.history_from(3).into_keys().collect();
        assert_eq!(applied, [3, 4, 5], "each once, in order");
    }

    #[tokio::test]
    async fn a_snapshot_of_something_else_than_announced_is_not_installed_as_that() {
        let (mut machine, _) = stands().await;
        let announced = meta_of(snapshot_of(6).applied().clone()).expect("readable");
        let held = SnapshotData::Held(snapshot_of(5));
        let refused = machine.install_snapshot(&announced, held).await;
        let refused = refused.expect_err("another position");
        assert!(
            refused.to_string().contains("was announced as"),
            "{refused}"
        );
    }
}
