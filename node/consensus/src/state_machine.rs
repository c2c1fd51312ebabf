//! openraft's state machine over [`StateMachine`]: applies in chunks, answers after the write, streams snapshots.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use carnet_store::log::payload_size;
use carnet_store::machine::{Applied, LogRecord, Payload, Snapshot, SnapshotSink, StateMachine};
use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};

use crate::codec::{Body, Undecodable, record_of};
use crate::error::StartError;
use crate::messages::snapshot_meta;
use crate::roster::Roster;
use crate::types::{
    Answer, RaftLogId, RaftMembership, RaftSnapshotMeta, RaftStoredMembership, Types,
};
use crate::work::Work;

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
    work: Work,
    newest: Arc<Mutex<Option<Arc<dyn Snapshot>>>>,
    /// The roster as applied: membership records are handed to the state with it in them.
    roster: Arc<RwLock<Roster>>,
}

impl Machine {
    /// Over a state, as far as it has come.
    pub(crate) fn open(machine: Arc<dyn StateMachine>, work: Work) -> Result<Machine, StartError> {
        let roster = roster_of(&machine.applied()?)
            .map_err(|cause| StartError::Recovery(cause.to_string()))?;
        Ok(Machine {
            machine,
            work,
            newest: Arc::default(),
            roster: Arc::new(RwLock::new(roster)),
        })
    }

    /// The roster as applied, now and later.
    pub(crate) fn roster(&self) -> Arc<RwLock<Roster>> {
        Arc::clone(&self.roster)
    }

    fn enter(&self, roster: Roster) {
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = roster;
    }

    /// Puts the roster in the place of each membership; says what it is after the last of them.
    fn with_roster(&self, records: &mut [LogRecord]) -> io::Result<Option<Roster>> {
        let mut last = None;
        for record in records {
            let Payload::Membership(bytes) = &mut record.payload else {
                continue;
            };
            let next = RaftMembership::from_body(bytes.clone()).map_err(io::Error::other)?;
            let roster = match &last {
                Some(before) => Roster::follow(before, next),
                None => self
                    .roster
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .follow(next),
            };
            *bytes = roster.to_body();
            last = Some(roster);
        }
        Ok(last)
    }

    pub(crate) fn receive(&self) -> io::Result<Box<dyn SnapshotSink>> {
        self.machine.receive().map_err(io::Error::other)
    }

    pub(crate) fn work(&self) -> Work {
        self.work
    }

    fn keep(&self, snapshot: Arc<dyn Snapshot>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    async fn take_snapshot(&self) -> io::Result<Arc<dyn Snapshot>> {
        let machine = Arc::clone(&self.machine);
        self.work
            .run(move || machine.snapshot())
            .await?
            .map_err(io::Error::other)
    }

    async fn apply_chunk(
        &self,
        mut records: Vec<LogRecord>,
        waiting: Vec<Option<openraft::storage::ApplyResponder<Types>>>,
    ) -> io::Result<()> {
        let count = records.len();
        let roster = self.with_roster(&mut records)?;
        let machine = Arc::clone(&self.machine);
        let answers = self
            .work
            .run(move || machine.apply(records))
            .await?
            .map_err(io::Error::other)?;
        if answers.len() != count {
            return Err(io::Error::other(format!(
                "{} answers to {count} records",
                answers.len()
            )));
        }
        if let Some(roster) = roster {
            self.enter(roster);
        }
        for (answer, responder) in answers.into_iter().zip(waiting) {
            if let Some(responder) = responder {
                responder.send(Answer(answer));
            }
        }
        Ok(())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<RaftLogId>, RaftStoredMembership)> {
        let meta = meta_of(self.machine.applied().map_err(io::Error::other)?)?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(first) = entries.next().await {
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
            self.apply_chunk(records, waiting).await?;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        Some(self.get_snapshot_builder().await)
    }

    /// Called between two applies, so the snapshot is of one moment; reading it comes later.
    async fn get_snapshot_builder(&mut self) -> Builder {
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
                let sink = self.receive()?;
                self.work.run(move || copy(&*held, sink)).await??
            }
        };
        let applied = self
            .work
            .run(move || sink.finish())
            .await?
            .map_err(io::Error::other)?;
        let roster = roster_of(&applied).map_err(io::Error::other)?;
        let installed = meta_of(applied)?;
        if installed != *meta {
            return Err(io::Error::other(format!(
                "snapshot {installed} was announced as {meta}"
            )));
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
        newest.map(raft_snapshot).transpose()
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
        raft_snapshot(taken)
    }
}

fn raft_snapshot(snapshot: Arc<dyn Snapshot>) -> io::Result<RaftSnapshot> {
    let meta = meta_of(snapshot.applied().clone())?;
    Ok(RaftSnapshot {
        meta,
        snapshot: SnapshotData::Held(snapshot),
    })
}

fn meta_of(applied: Applied) -> io::Result<RaftSnapshotMeta> {
    snapshot_meta(applied.last, applied.membership).map_err(io::Error::other)
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
    use carnet_store::log::{DiskLog, DiskLogOptions, MemoryLog, RaftLog};
    use openraft::testing::log::{StoreBuilder, Suite};

    use super::*;
    use crate::log_store::LogStore;
    use crate::testing::RegisterMachine;

    struct OnDisk;
    struct InMemory;

    fn machine() -> Machine {
        Machine::open(Arc::new(RegisterMachine::new()), Work::Threads).expect("opens")
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
            Ok((directory, LogStore(log), machine()))
        }
    }

    impl StoreBuilder<Types, LogStore, Machine, ()> for InMemory {
        async fn build(&self) -> Result<((), LogStore, Machine), openraft::StorageError<Types>> {
            Ok(((), LogStore(Arc::new(MemoryLog::new())), machine()))
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
}
