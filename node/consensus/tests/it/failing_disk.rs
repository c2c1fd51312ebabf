//! A disk that fails under a running node: every caller is answered, and the node says what it died of.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use carnet_consensus::testing::RegisterMachine;
use carnet_consensus::{
    ConnectError, Connector, Consensus, Fatal, Handle, Member, ProposeError, Purpose, Settings,
};
use carnet_store::compare::Mark;
use carnet_store::fault::StorageFault;
use carnet_store::identity::{Run, StoreId};
use carnet_store::log::{LogState, MemoryLog, RaftLog, Synced, Vote};
use carnet_store::machine::{
    Applied, LogPosition, LogRecord, Payload, Snapshot, SnapshotSink, StateMachine,
};
use futures::future::join_all;
use tonic::transport::Channel;

use crate::cluster::{CLUSTER, NOON_MS, PATIENCE, SetClock, member, store};

/// Proposals that wait together, so that several stand in one batch.
const CALLERS: usize = 20;

type Fault = fn() -> StorageFault;

fn full() -> StorageFault {
    StorageFault::Io {
        what: "write to the raft log",
        path: "/data/log/wal".into(),
        source: io::Error::from_raw_os_error(28),
    }
}

fn damaged() -> StorageFault {
    StorageFault::Corrupt {
        what: "state database",
        detail: "read: block checksum mismatch".to_owned(),
    }
}

/// Where the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Place {
    /// The call returns the fault.
    Append = 1,
    /// The call returns, the sync fails.
    Sync,
    /// The state machine.
    Apply,
}

/// A disk that is sound until it is told to fail.
struct Disk {
    failing: AtomicU8,
    fault: Fault,
}

impl Disk {
    fn check(&self, place: Place) -> Result<(), StorageFault> {
        if self.failing.load(Ordering::SeqCst) == place as u8 {
            return Err((self.fault)());
        }
        Ok(())
    }
}

struct FailingLog(MemoryLog, Arc<Disk>);

impl RaftLog for FailingLog {
    fn state(&self) -> LogState {
        self.0.state()
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<LogRecord>, StorageFault> {
        self.0.read(from, to, bytes_max)
    }

    fn save_vote(&self, vote: Vote, synced: Synced) -> Result<(), StorageFault> {
        self.0.save_vote(vote, synced)
    }

    fn save_committed(&self, committed: LogPosition) -> Result<(), StorageFault> {
        self.0.save_committed(committed)
    }

    fn append(&self, records: Vec<LogRecord>, synced: Synced) -> Result<(), StorageFault> {
        self.1.check(Place::Append)?;
        match self.1.check(Place::Sync) {
            Ok(()) => self.0.append(records, synced),
            Err(fault) => {
                synced(Err(fault));
                Ok(())
            }
        }
    }

    fn truncate_after(
        &self,
        last: Option<LogPosition>,
        synced: Synced,
    ) -> Result<(), StorageFault> {
        self.0.truncate_after(last, synced)
    }

    fn purge(&self, upto: LogPosition, synced: Synced) -> Result<(), StorageFault> {
        self.0.purge(upto, synced)
    }

    fn starts(&self) -> BTreeMap<(u64, StoreId), Run> {
        self.0.starts()
    }

    fn note_start(&self, node: u64, store: StoreId, run: Run) -> Result<(), StorageFault> {
        self.0.note_start(node, store, run)
    }

    fn size(&self) -> u64 {
        self.0.size()
    }
}

struct FailingMachine(RegisterMachine, Arc<Disk>);

impl StateMachine for FailingMachine {
    fn applied(&self) -> Result<Applied, StorageFault> {
        self.0.applied()
    }

    fn apply(&self, records: Vec<LogRecord>) -> Result<Vec<Bytes>, StorageFault> {
        self.1.check(Place::Apply)?;
        self.0.apply(records)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        self.0.snapshot()
    }

    fn receive(&self) -> Result<Box<dyn SnapshotSink>, StorageFault> {
        self.0.receive()
    }

    fn marks(&self, size: u64) -> Result<Vec<Mark>, StorageFault> {
        self.0.marks(size)
    }
}

/// A cluster of one needs no peers.
struct Nobody;

impl Connector for Nobody {
    fn channel(&self, node: u64, _: &Member, _: Purpose) -> Result<Channel, ConnectError> {
        Err(ConnectError(format!("there is no node {node}")))
    }
}

fn settings() -> Settings {
    Settings {
        store: store(1),
        ..Settings::quick(CLUSTER, 1, 1)
    }
}

async fn founded(disk: &Arc<Disk>) -> Handle {
    let handle = Consensus::start(
        settings(),
        Arc::new(FailingLog(MemoryLog::new(), Arc::clone(disk))),
        Arc::new(FailingMachine(RegisterMachine::new(), Arc::clone(disk))),
        Arc::new(Nobody),
        Arc::new(SetClock::at(NOON_MS)),
    )
    .await
    .expect("started");
    let members = BTreeMap::from([(1, member(1))]);
    handle.initialize(members).await.expect("founded");
    let led = |status: &carnet_consensus::Status| status.standing.leader == Some(1);
    handle.wait_status(led, PATIENCE).await.expect("a leader");
    handle
        .propose(Bytes::from_static(b"a=1"))
        .await
        .expect("a sound disk");
    handle
}

/// What every caller is told, and what the node died of, once the disk fails at a place.
async fn check(place: Place, fault: Fault, told: &str, died_of: fn(&StorageFault) -> bool) {
    let disk = Arc::new(Disk {
        failing: AtomicU8::new(0),
        fault,
    });
    let handle = founded(&disk).await;
    disk.failing.store(place as u8, Ordering::SeqCst);
    let proposed = (0..CALLERS).map(|n| handle.propose(Bytes::from(format!("b={n}"))));
    for outcome in join_all(proposed).await {
        match outcome {
            Err(ProposeError::Unknown(why)) => assert!(why.contains(told), "{place:?}: {why}"),
            other => panic!("{place:?}: {other:?}"),
        }
    }
    match handle.fatal().await {
        Fatal::Storage(fault) => assert!(died_of(&fault), "{place:?}: {fault:?}"),
        other => panic!("{place:?}: {other:?}"),
    }
    let later = handle.propose(Bytes::from_static(b"c=1")).await;
    assert!(
        matches!(later, Err(ProposeError::Stopped)),
        "{place:?}: {later:?}"
    );
}

#[tokio::test]
async fn a_full_disk_is_named_to_every_caller() {
    let of_space = |fault: &StorageFault| match fault {
        StorageFault::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
        _ => false,
    };
    let told = "write to the raft log at /data/log/wal: No space left on device";
    for place in [Place::Append, Place::Sync, Place::Apply] {
        check(place, full, told, of_space).await;
    }
}

#[tokio::test]
async fn damage_keeps_its_type_on_its_way_out() {
    let of_damage = |fault: &StorageFault| matches!(fault, StorageFault::Corrupt { .. });
    let told = "corrupt state database: read: block checksum mismatch";
    for place in [Place::Append, Place::Sync, Place::Apply] {
        check(place, damaged, told, of_damage).await;
    }
}

/// A log whose first read fails, as at a start on damaged bytes.
#[tokio::test]
async fn a_fault_met_while_recovering_keeps_its_type() {
    let disk = Arc::new(Disk {
        failing: AtomicU8::new(0),
        fault: damaged,
    });
    let machine = RegisterMachine::new();
    let log = Arc::new(MemoryLog::new());
    let records = (0..3).map(|index| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index,
        },
        payload: Payload::Blank,
    });
    log.append(records.collect(), Box::new(|_| {}))
        .expect("appended");
    log.save_committed(LogPosition {
        term: 1,
        node: 1,
        index: 2,
    })
    .expect("noted");
    disk.failing.store(Place::Apply as u8, Ordering::SeqCst);
    let started = Consensus::start(
        settings(),
        log,
        Arc::new(FailingMachine(machine, disk)),
        Arc::new(Nobody),
        Arc::new(SetClock::at(NOON_MS)),
    )
    .await;
    match started {
        Err(carnet_consensus::StartError::Storage(fault)) => {
            assert!(matches!(&*fault, StorageFault::Corrupt { .. }), "{fault:?}");
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("started on damaged bytes"),
    }
}
