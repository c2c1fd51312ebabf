//! What a node of the Raft cluster is told at its start.

use std::collections::BTreeSet;
use std::time::Duration;

use carnet_store::identity::{Count, StoreId};

use crate::disk::SpaceProbe;
use crate::error::StartError;
use crate::work::Work;

/// Settings of one node. Durations are real time in production and simulated time in a simulation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Uuid of the cluster, in every envelope. No default: a wrong one splits the cluster.
    pub cluster: [u8; 16],
    /// Raft group; 0 is the only one at first.
    pub group: u64,
    /// This node's id; never reused.
    pub node: u64,
    /// This node's store, as its data directory says. [`StoreId::NONE`] is refused at start.
    pub store: StoreId,
    /// The count of this store: at least 1, higher at each start, and on stable storage before it is shown. It may rise while
    /// the process runs.
    pub count: Count,
    /// Drawn at each start of the process: two processes on copies of one store may share a count, not this.
    pub nonce: u64,
    /// Nodes from which this store, while it knows no configuration, takes its first append or snapshot.
    pub join: BTreeSet<u64>,
    /// Stores that have left for good, by node: what the operator knows before this node's log says it.
    pub retired: BTreeSet<(u64, StoreId)>,
    /// Seed of election timeouts. Nodes of one cluster must not share it; draw it from the operating system.
    pub seed: u64,
    /// Interval of heartbeats.
    pub heartbeat: Duration,
    /// Shortest election timeout; must be several heartbeats.
    pub election_min: Duration,
    /// Longest election timeout.
    pub election_max: Duration,
    /// Longest silence of a peer that owes an answer to an append, before its connection is given up.
    pub append_stall: Duration,
    /// Longest pause between two attempts to reach a peer that refuses, breaks off, or answers nonsense. Pauses begin
    /// at a heartbeat and double.
    pub retry_max: Duration,
    /// Longest standstill of a snapshot on its way.
    pub snapshot_stall: Duration,
    /// Longest time a peer may take to check and swap a snapshot it has received.
    pub snapshot_install: Duration,
    /// Longest wait for the answer to a proposal; what was not begun by then is taken back, of what was the outcome is unknown.
    pub propose_timeout: Duration,
    /// Longest wait for a read to become linearizable.
    pub read_timeout: Duration,
    /// Largest sum of proposals under way, in KiB; each counts for at least one.
    pub proposals_kib_max: u32,
    /// Most reads that wait for a read index.
    pub reads_max: usize,
    /// How often snapshots and purging are looked after.
    pub keep_interval: Duration,
    /// How often a state machine that stands still before a record tries it again.
    pub go_on_interval: Duration,
    /// Records after which a snapshot is taken.
    pub snapshot_records: u64,
    /// Log size in bytes after which a snapshot is taken, if it grew by that much since the last.
    pub snapshot_bytes: u64,
    /// Records kept in the log although a snapshot holds them.
    pub log_keep_records: u64,
    /// Bytes of them; whichever is less.
    pub log_keep_bytes: u64,
    /// How long a member that is silent still keeps the log from being purged past what it has.
    pub log_wait: Duration,
    /// Log size in bytes above which records are purged even if a member still needs them.
    pub log_bytes_max: u64,
    /// How often the voters' clocks are compared.
    pub clock_interval: Duration,
    /// Longest wait for a voter's clock.
    pub clock_patience: Duration,
    /// Where the room on this node's disk is read; without, there is always enough.
    pub space: SpaceProbe,
    /// Where blocking work runs.
    pub work: Work,
}

impl Settings {
    /// Settings for production: heartbeats each 250 ms, elections after 1.5 to 3 s, up to 10^6 records or 4 GiB of log.
    #[must_use]
    pub fn new(cluster: [u8; 16], node: u64, seed: u64) -> Settings {
        Settings {
            cluster,
            group: 0,
            node,
            store: StoreId::NONE,
            count: Count::from(1),
            nonce: seed,
            join: BTreeSet::new(),
            retired: BTreeSet::new(),
            seed,
            heartbeat: Duration::from_millis(250),
            election_min: Duration::from_millis(1500),
            election_max: Duration::from_millis(3000),
            append_stall: Duration::from_secs(5),
            retry_max: Duration::from_secs(2),
            snapshot_stall: Duration::from_secs(30),
            snapshot_install: Duration::from_secs(600),
            propose_timeout: carnet_wire::limits::PROPOSE_TIMEOUT,
            read_timeout: Duration::from_secs(5),
            proposals_kib_max: 64 * 1024,
            reads_max: 16 * 1024,
            keep_interval: Duration::from_secs(1),
            go_on_interval: Duration::from_secs(1),
            snapshot_records: 500_000,
            snapshot_bytes: 2 * 1024 * 1024 * 1024,
            log_keep_records: 1_000_000,
            log_keep_bytes: 4 * 1024 * 1024 * 1024,
            log_wait: Duration::from_secs(3600),
            log_bytes_max: 16 * 1024 * 1024 * 1024,
            clock_interval: Duration::from_secs(3),
            clock_patience: Duration::from_secs(1),
            space: SpaceProbe::default(),
            work: Work::Threads,
        }
    }

    /// Settings for tests, demos and simulations: elections after 300 to 600 ms.
    #[must_use]
    pub fn quick(cluster: [u8; 16], node: u64, seed: u64) -> Settings {
        Settings {
            heartbeat: Duration::from_millis(60),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            append_stall: Duration::from_millis(1000),
            retry_max: Duration::from_millis(500),
            snapshot_stall: Duration::from_secs(5),
            snapshot_install: Duration::from_secs(30),
            keep_interval: Duration::from_millis(100),
            go_on_interval: Duration::from_millis(100),
            clock_interval: Duration::from_millis(500),
            clock_patience: Duration::from_millis(500),
            ..Settings::new(cluster, node, seed)
        }
    }

    pub(crate) fn raft_config(&self) -> Result<openraft::Config, StartError> {
        let config = openraft::Config {
            cluster_name: "carnet".to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: millis(self.snapshot_install),
            // An append is cut by bytes when it is read; this bounds it by records.
            max_payload_entries: 4096,
            // How far behind a learner may be and still count as caught up.
            replication_lag_threshold: 1000,
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            purge_batch_size: 50_000,
            enable_pre_vote: Some(true),
            quorum_loss_probe_interval: Some(2 * millis(self.election_max)),
            allow_log_reversion: Some(false),
            enable_leader_restore: Some(false),
            ..Default::default()
        };
        config
            .validate()
            .map_err(|cause| StartError::Settings(cause.to_string()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
