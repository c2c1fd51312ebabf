//! The configuration of one node: one TOML file, and the only manual of its settings.
//!
//! A [`Config`] that exists was judged as a whole: every number is in its range and no two settings contradict each
//! other. Nothing of the database or the network is touched for that. Unknown tables and settings are refused, so a
//! misspelt one is never ignored. Paths may be relative to the folder of the file. `carnetd --dump-config` prints what
//! is in force, `carnetd --example-config` a file to begin with, and `carnetd --check` judges the file and all it names.
//!
//! The least there must be; everything else has a default:
//! ```toml
//! [node]
//! prefix = "86"
//! id = 1
//! data_dir = "/var/lib/carnet"
//! pki_dir = "/etc/carnet/pki"
//!
//! [listen]
//! raft = "10.0.0.1:7101"
//! client = "10.0.0.1:7102"
//! admin = "127.0.0.1:7103"
//! federation = "10.0.0.1:7104"
//! ```
//! Not here, because it could split the log if two nodes disagreed: everything `apply` depends on (feature level, sealing
//! interval of an idle log, time step limits, policies). That is state of the log, set by commands.

mod explain;
mod judge;
mod paths;
mod socket;
mod text;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use serde::{Deserialize, Serialize};

use crate::edge::DoorLimits;
use crate::share::rates::Rate;
use crate::tls::{EdgeLimits, Patience};
use carnet_consensus::pool::PoolLimits;

pub use self::paths::PkiPaths;

/// Every setting with its default and what it means, as a file to begin with.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// Everything a node is told at start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who the node is and where its files are.
    pub node: NodeConfig,
    /// The sockets it opens.
    pub listen: ListenConfig,
    /// Replication inside the cluster.
    #[serde(default)]
    pub raft: RaftConfig,
    /// The state database.
    #[serde(default)]
    pub storage: StorageConfig,
    /// How often the log is sealed and its head published.
    #[serde(default)]
    pub seal: SealConfig,
    /// How the states of the replicas are compared.
    #[serde(default)]
    pub compare: CompareConfig,
    /// How the node's audit is held to the log of the registry.
    #[serde(default)]
    pub audit: AuditConfig,
    /// What one node takes upon itself at most.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// What is written to standard error.
    #[serde(default)]
    pub log: LogConfig,
    /// The fault planted for a test of the tests; not a setting.
    #[cfg(feature = "planted")]
    #[serde(skip)]
    pub planted: Option<crate::planted::Planted>,
}

/// `[node]`: who the node is and where its files are. No setting has a default but `profile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The jurisdiction: two digits or two letters, as in the certificates. A wrong one is refused by every peer and by
    /// the data directory.
    #[serde(with = "text")]
    pub prefix: Prefix,
    /// The number of this node in its cluster, 1 or more. It is never used again after its disk was lost: a node that
    /// forgot what it voted for could elect two leaders.
    pub id: u64,
    /// Folder of the Raft log, the state and the snapshots; made by `carnetd init`, once. Without it the node does not
    /// start. One process at a time has it open. Its folder `skip` takes orders of the roots to skip a log entry (`*.cbor`,
    /// at most 64 files of 64 KiB), read at the start and once a second: see the runbook `poisoned-entry`. Files stay
    /// there; a node that is made anew from the log needs them again.
    pub data_dir: PathBuf,
    /// Folder that `carnet pki init` made: certificates, authorities and signing keys.
    pub pki_dir: PathBuf,
    /// What the node may be used for; `production` by default.
    #[serde(default)]
    pub profile: Profile,
}

/// What a node may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Refuses sandbox prefixes (`XA`–`XZ`, `ZZ`, `90`–`99`), election timeouts below 1,000 ms and a kept log below
    /// 10,000 entries.
    #[default]
    Production,
    /// Takes any prefix and the short timeouts of demonstrations and tests.
    Sandbox,
}

/// `[listen]`: the sockets, one a plane, each with its own certificate authority, and one for monitors. No defaults. Port 0 is refused: the
/// other nodes would not find it. Each is an IP address or `localhost`, with a port. The addresses that others are told stand in the membership, which `carnet cluster init`
/// and `carnet member add` write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// Between the nodes of this cluster.
    #[serde(with = "socket")]
    pub raft: SocketAddr,
    /// For enterprises, offices and owners.
    #[serde(with = "socket")]
    pub client: SocketAddr,
    /// For operators of the cluster. Best a loopback or management address.
    #[serde(with = "socket")]
    pub admin: SocketAddr,
    /// For other jurisdictions.
    #[serde(with = "socket")]
    pub federation: SocketAddr,
    /// For monitors: `/livez`, `/readyz`, `/readyz/federation` and `/metrics` over HTTP/1.1. None: no such port. On a loopback
    /// address in the clear; on any other with the node's certificate of the admin plane, for clients of that plane whose
    /// role may ask how the cluster is.
    #[serde(
        default,
        with = "socket::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub metrics: Option<SocketAddr>,
}

/// `[raft]`: replication. The same on every node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaftConfig {
    /// Milliseconds between two heartbeats of an idle leader; 250, range 10 to 10,000. Lower finds a dead leader sooner
    /// and costs wake-ups.
    pub heartbeat_ms: u64,
    /// Milliseconds without a heartbeat after which a follower asks for votes, drawn anew each time from this range;
    /// 1500 to 3000. The lower end is at least 4 heartbeats and well above the slowest disk sync, or a busy leader is
    /// deposed; the upper at least 1.2 times the lower, or nodes ask at the same time and nobody wins; at most 60,000.
    pub election_ms: [u64; 2],
    /// Entries applied since the last snapshot after which the next is taken; 500,000, range 100 to 100,000,000. Lower
    /// shortens restarts and costs disk traffic.
    pub snapshot_entries: u64,
    /// MiB by which the log grows until the next snapshot is taken, if entries do not come first; 2048, range 1 to
    /// 1,048,576.
    pub snapshot_mib: u64,
    /// Entries kept below a snapshot, for followers that were away; 1,000,000, range 10 to 100,000,000. A node that
    /// was away longer is sent the whole state.
    pub keep_entries: u64,
    /// MiB of log kept below a snapshot, if they are less than `keep_entries` entries; 4096, range 1 to 1,048,576. Space
    /// comes back in segments of 64 MiB.
    pub keep_mib: u64,
    /// Seconds of silence after which the leader's log no longer waits for a member that is behind; 3600, range 1 to
    /// 1,000,000. Until then nothing is purged that the member lacks, up to `log_mib_max`.
    pub keep_for_s: u64,
    /// MiB of log above which the leader waits for no member; 16,384, from `keep_mib` to 1,048,576.
    pub log_mib_max: u64,
}

/// `[storage]`: memory of the state database, for the whole process, and the room that must be left on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// MiB of block cache; 256, range 8 to 1,048,576. Lower makes reads slower, never wrong.
    pub cache_mib: u64,
    /// MiB of all write buffers together; 128, range 8 to 65,536. Lower flushes smaller files more often.
    pub write_buffer_mib: u64,
    /// MiB that must be free on the file systems of `data_dir`, log and state: the watermark. Range 0 (never low) to 1,048,576; if it
    /// is not set, a tenth of the file system, at most 2048 in production and 64 in a sandbox. A node below it says so in
    /// its status; when the voters that have room are no quorum, the leader refuses commands and mail, which did not
    /// happen, until there is room again. Purging, snapshots, reads, seals and membership go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_mib_min: Option<u64>,
}

/// `[seal]`: how long an answer waits for its published proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SealConfig {
    /// Milliseconds between two seals while a caller waits for a proof; 200, range 10 to 10,000. Lower makes more
    /// map-head leaves, which stay for ever.
    pub waiting_ms: u64,
    /// Milliseconds between two seals while there are new leaves and nobody waits; 2000, from `waiting_ms` to 60,000.
    pub busy_ms: u64,
    /// Milliseconds after which a leader that could not sign and publish what is sealed says so in its status and hands
    /// leadership over, as long as the keyring may take for one signature; 10,000, range 100 to 600,000. Lower moves
    /// leadership because of a slow disk or hardware module.
    pub unsigned_ms: u64,
}

/// `[compare]`: how a replica whose state came out differently is found. It stops, with exit code 7.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompareConfig {
    /// Milliseconds between two rounds of questions to the other voters while something is not compared yet; 500, range
    /// 50 to 600,000. Higher finds a difference later, and above some 60 seals one may go unseen until the daily digest.
    pub every_ms: u64,
    /// Milliseconds after which a node that differs from another answers no linearizable reads while no majority is known;
    /// 10,000, range 100 to 600,000. It stops for good only when a majority is against it.
    pub undecided_ms: u64,
    /// Seconds of log time between two digests of the whole content; 86,400, the first seal after each midnight UTC; 0:
    /// never; at most 31,536,000. The same on every node, or their digests are of other sizes and say nothing. It reads
    /// the whole database in the background, a quarter of the time.
    pub content_every_s: u64,
}

/// `[audit]`: how the node's audit is held to the log of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Seconds between two looks at whether the chains of this node's audit have grown; where they have, their heads are entered in
    /// the log. 600, range 1 to 86,400; 0: never. What was noted since the last entry, whoever has the node can still cut off unseen.
    pub commit_every_s: u64,
}

/// `[limits]`: what one node takes upon itself at most. Beyond a limit callers are told to come back, at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Milliseconds a TLS handshake may take; 5000, range 100 to 60,000.
    pub handshake_ms: u64,
    /// Milliseconds until the first byte of a connection; 3000, range 50 to `handshake_ms`.
    pub first_byte_ms: u64,
    /// Milliseconds after the handshake until HTTP/2 begins, and after that until the first request, which nodes of the own
    /// cluster need not send; 10,000, range 100 to 600,000.
    pub first_request_ms: u64,
    /// Seconds without a request after which a connection is closed; 600, range 10 to 86,400.
    pub idle_s: u64,
    /// Connections at once on one plane that have not proven who they are; 256, range 1 to 10,000. When there are so many,
    /// the oldest of the address with most makes way.
    pub handshakes_max: u32,
    /// As many of them of one address (an IPv6 /64 is one); 64, range 1 to 10,000. Above it the address's own oldest makes
    /// way.
    pub address_handshakes_max: u32,
    /// Connections a second of one address on one plane, and four times as many at once; 128, range 1 to 100,000. More are
    /// closed unread. Lower shuts out offices behind one address.
    pub address_per_s: u32,
    /// Connections a second on one plane from all addresses from which nobody proved lately who they are, and twice as
    /// many at once; 512, range 1 to 100,000. More are closed unread.
    pub strangers_per_s: u32,
    /// Connections open at once on one plane; 1024, range 8 to 100,000. Needs as many file descriptors. When there are so
    /// many, whoever has fewer than another certificate gets a place of that one.
    pub connections_max: u32,
    /// Connections open at once of one address on one plane; 512, range 1 to 100,000.
    pub address_connections_max: u32,
    /// Connections open at once of one certificate on one plane; 128, range 1 to 100,000.
    pub certificate_connections_max: u32,
    /// Requests in work at once on one plane; 2048, range 8 to 1,000,000. One certificate has at most half of them, two a
    /// third each, and so on.
    pub requests_max: u32,
    /// Of them of one certificate; 1024, range 1 to 1,000,000.
    pub certificate_requests_max: u32,
    /// Requests a second of one certificate on one plane, and twice as many at once; 20,000, range 1 to 1,000,000.
    pub certificate_requests_per_s: u32,
    /// MiB a second in the requests of one certificate, four times as many at once; 64, range 1 to 100,000. What is faster
    /// is read later.
    pub certificate_mib_per_s: u64,
    /// MiB of requests and answers in flight on the client, admin and federation planes together; 256, range 16 to
    /// 1,048,576. One certificate has at most half of them, two a third each, and so on.
    pub memory_mib: u64,
    /// Of them of one certificate (of one peer, of all its nodes); 64, range 16 to 1,048,576.
    pub certificate_memory_mib: u64,
}

/// `[log]`: what is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Levels by module, as `info,carnet_consensus=debug`; `info` by default.
    pub filter: String,
    /// `text` for people, `json` for collectors; `text` by default.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not the TOML that is asked for; names line, column and setting.
    #[error("{}: {source}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// Settings are out of their range or contradict each other: all of them, in the order of the file's tables.
    #[error("{}: {}", .path.display(), join(.faults))]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong, never empty.
        faults: Vec<SettingFault>,
    },
}

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {found}: {needed}")]
pub struct SettingFault {
    /// The path of the setting, `table.name`.
    pub key: &'static str,
    /// Its value.
    pub found: String,
    /// What it should be.
    pub needed: String,
}

impl Config {
    /// Reads and judges a file.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML of this shape, or has settings that cannot be used.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Judges a text; `path` names it in errors, and relative paths in it start from the folder of `path`.
    ///
    /// # Errors
    /// The text is not TOML of this shape, or has settings that cannot be used.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let (config, faults) = Self::parse_all(text, path)?;
        if faults.is_empty() {
            return Ok(config);
        }
        Err(ConfigError::Settings {
            path: path.to_owned(),
            faults,
        })
    }

    /// What a file says, with the settings in it that cannot be used: to judge the rest too.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML of this shape.
    pub(crate) fn read(path: &Path) -> Result<(Self, Vec<SettingFault>), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse_all(&text, path)
    }

    fn parse_all(text: &str, path: &Path) -> Result<(Self, Vec<SettingFault>), ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let faults = judge::faults(&config);
        let folder = path.parent().unwrap_or(Path::new(""));
        config.node.data_dir = folder.join(&config.node.data_dir);
        config.node.pki_dir = folder.join(&config.node.pki_dir);
        Ok((config, faults))
    }

    /// What is in force, as a file that [`Config::parse`] takes.
    pub fn dump(&self) -> String {
        toml::to_string(self).expect("invariant: every setting has a TOML form")
    }

    /// The files of this node under `node.pki_dir`.
    pub fn pki(&self) -> PkiPaths {
        PkiPaths::new(&self.node.pki_dir, self.node.id)
    }
}

fn join(faults: &[SettingFault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

impl ListenConfig {
    /// Every socket with its setting.
    pub fn sockets(&self) -> Vec<(&'static str, SocketAddr)> {
        let planes = [
            ("listen.raft", self.raft),
            ("listen.client", self.client),
            ("listen.admin", self.admin),
            ("listen.federation", self.federation),
        ];
        let metrics = self.metrics.map(|socket| ("listen.metrics", socket));
        planes.into_iter().chain(metrics).collect()
    }
}

impl RaftConfig {
    /// As a duration.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    /// Both ends of the range, as durations.
    pub fn election(&self) -> [Duration; 2] {
        self.election_ms.map(Duration::from_millis)
    }
}

impl SealConfig {
    /// As a duration.
    pub fn waiting(&self) -> Duration {
        Duration::from_millis(self.waiting_ms)
    }

    /// As a duration.
    pub fn busy(&self) -> Duration {
        Duration::from_millis(self.busy_ms)
    }

    /// As a duration.
    pub fn unsigned(&self) -> Duration {
        Duration::from_millis(self.unsigned_ms)
    }
}

impl AuditConfig {
    /// As a duration; none: never.
    pub fn commit_every(&self) -> Option<Duration> {
        (self.commit_every_s > 0).then(|| Duration::from_secs(self.commit_every_s))
    }
}

impl CompareConfig {
    /// As a duration.
    pub fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms)
    }

    /// As a duration.
    pub fn undecided(&self) -> Duration {
        Duration::from_millis(self.undecided_ms)
    }

    /// Milliseconds of log time; 0: never.
    pub fn content_every_ms(&self) -> u64 {
        self.content_every_s.saturating_mul(1_000)
    }
}

impl LimitsConfig {
    /// As a duration.
    pub fn handshake(&self) -> Duration {
        Duration::from_millis(self.handshake_ms)
    }

    /// How many files a node with these limits may have open: its connections on four planes, its database and log.
    pub fn open_files(&self) -> u64 {
        let connections = u64::from(self.connections_max) + u64::from(self.handshakes_max);
        connections * 4 + 1_024
    }

    /// What a port takes of requests.
    pub fn requests(&self) -> DoorLimits {
        DoorLimits {
            requests: PoolLimits {
                total: u64::from(self.requests_max),
                each: u64::from(self.certificate_requests_max),
            },
            rate: Rate {
                per_second: self.certificate_requests_per_s,
                burst: self.certificate_requests_per_s * 2,
            },
            bytes_per_second: self.certificate_mib_per_s << 20,
        }
    }

    /// What may be in flight, in bytes.
    pub fn memory(&self) -> PoolLimits {
        PoolLimits {
            total: self.memory_mib << 20,
            each: self.certificate_memory_mib << 20,
        }
    }

    /// What a port takes of connections.
    pub fn edge(&self) -> EdgeLimits {
        let first_request = Duration::from_millis(self.first_request_ms);
        let default = EdgeLimits::default();
        EdgeLimits {
            connection_count_max: self.connections_max as usize,
            certificate_connection_count_max: self.certificate_connections_max as usize,
            address_connection_count_max: self.address_connections_max as usize,
            handshake_count_max: self.handshakes_max as usize,
            address_handshake_count_max: self.address_handshakes_max as usize,
            address_rate: Rate {
                per_second: self.address_per_s,
                burst: self.address_per_s * 4,
            },
            network_rate: Rate {
                per_second: (self.strangers_per_s / 8).max(1),
                burst: (self.strangers_per_s / 2).max(1),
            },
            port_rate: Rate {
                per_second: self.strangers_per_s,
                burst: self.strangers_per_s * 2,
            },
            patience: Patience {
                first_byte: Duration::from_millis(self.first_byte_ms),
                handshake: self.handshake(),
                preface: first_request,
                first_request,
                idle: Duration::from_secs(self.idle_s),
                ..default.patience
            },
            ..default
        }
    }
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 250,
            election_ms: [1500, 3000],
            snapshot_entries: 500_000,
            snapshot_mib: 2048,
            keep_entries: 1_000_000,
            keep_mib: 4096,
            keep_for_s: 3600,
            log_mib_max: 16_384,
        }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            cache_mib: 256,
            write_buffer_mib: 128,
            free_mib_min: None,
        }
    }
}

impl Default for SealConfig {
    fn default() -> Self {
        Self {
            waiting_ms: 200,
            busy_ms: 2000,
            unsigned_ms: 10_000,
        }
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            commit_every_s: 600,
        }
    }
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self {
            every_ms: 500,
            undecided_ms: 10_000,
            content_every_s: 86_400,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            handshake_ms: 5000,
            first_byte_ms: 3000,
            first_request_ms: 10_000,
            idle_s: 600,
            handshakes_max: 256,
            address_handshakes_max: 64,
            address_per_s: 128,
            strangers_per_s: 512,
            connections_max: 1024,
            address_connections_max: 512,
            certificate_connections_max: 128,
            requests_max: 2048,
            certificate_requests_max: 1024,
            certificate_requests_per_s: 20_000,
            certificate_mib_per_s: 64,
            memory_mib: 256,
            certificate_memory_mib: 64,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

#[cfg(test)]
mod tests;
