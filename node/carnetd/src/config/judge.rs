//! Whether the settings of a file can be used together.

use std::ops::RangeInclusive;

use super::{Config, Profile, SettingFault};

/// Everything that is wrong, in the order of the tables.
pub(super) fn faults(config: &Config) -> Vec<SettingFault> {
    let mut judge = Judge(Vec::new());
    judge.node(config);
    judge.addresses(config);
    judge.raft(config);
    judge.rest(config);
    judge.0
}

struct Judge(Vec<SettingFault>);

impl Judge {
    fn fault(&mut self, key: &'static str, found: impl ToString, needed: impl Into<String>) {
        self.0.push(SettingFault {
            key,
            found: found.to_string(),
            needed: needed.into(),
        });
    }

    fn range(&mut self, key: &'static str, found: impl Into<u64>, range: RangeInclusive<u64>) {
        let found = found.into();
        if !range.contains(&found) {
            let needed = format!("out of its range, {} to {}", range.start(), range.end());
            self.fault(key, found, needed);
        }
    }

    fn node(&mut self, config: &Config) {
        let node = &config.node;
        if node.profile == Profile::Production && node.prefix.is_sandbox() {
            let needed = "a sandbox prefix needs profile = \"sandbox\"";
            self.fault("node.prefix", node.prefix, needed);
        }
        self.range("node.id", node.id, 1..=u64::MAX);
        let paths = [
            ("node.data_dir", &node.data_dir),
            ("node.pki_dir", &node.pki_dir),
        ];
        for (key, path) in paths {
            if path.as_os_str().is_empty() {
                self.fault(key, "\"\"", "a folder must be named");
            }
        }
    }

    fn addresses(&mut self, config: &Config) {
        let sockets = config.listen.sockets();
        for (at, (key, socket)) in sockets.iter().enumerate() {
            if socket.port() == 0 {
                self.fault(key, socket, "port 0 cannot be found by others");
            }
            if let Some((first, _)) = sockets[..at].iter().find(|(_, other)| other == socket) {
                self.fault(key, socket, format!("is the socket of {first} too"));
            }
        }
    }

    fn raft(&mut self, config: &Config) {
        let raft = &config.raft;
        let [least, most] = raft.election_ms;
        self.range("raft.heartbeat_ms", raft.heartbeat_ms, 10..=10_000);
        let found = format!("[{least}, {most}]");
        if least < raft.heartbeat_ms.saturating_mul(4) {
            let needed = format!(
                "the lower end is below 4 heartbeats of {}",
                raft.heartbeat_ms
            );
            self.fault("raft.election_ms", &found, needed);
        }
        if most.saturating_mul(5) < least.saturating_mul(6) {
            let needed = "the upper end is below 1.2 times the lower";
            self.fault("raft.election_ms", &found, needed);
        }
        if 60_000 < most {
            self.fault("raft.election_ms", &found, "the upper end is above 60000");
        }
        self.range(
            "raft.snapshot_entries",
            raft.snapshot_entries,
            100..=100_000_000,
        );
        self.range("raft.snapshot_mib", raft.snapshot_mib, 1..=1_048_576);
        self.range("raft.keep_entries", raft.keep_entries, 10..=100_000_000);
        self.range("raft.keep_mib", raft.keep_mib, 1..=1_048_576);
        self.range("raft.keep_for_s", raft.keep_for_s, 1..=1_000_000);
        self.range(
            "raft.log_mib_max",
            raft.log_mib_max,
            raft.keep_mib.min(1_048_576)..=1_048_576,
        );
        if config.node.profile == Profile::Production {
            if least < 1000 {
                let needed = "production needs a lower end of 1000 or more";
                self.fault("raft.election_ms", &found, needed);
            }
            if raft.keep_entries < 10_000 {
                let needed = "production needs 10000 or more";
                self.fault("raft.keep_entries", raft.keep_entries, needed);
            }
        }
    }

    fn rest(&mut self, config: &Config) {
        let (storage, seal) = (&config.storage, &config.seal);
        self.range("storage.cache_mib", storage.cache_mib, 8..=1_048_576);
        self.range(
            "storage.write_buffer_mib",
            storage.write_buffer_mib,
            8..=65_536,
        );
        if let Some(free) = storage.free_mib_min {
            self.range("storage.free_mib_min", free, 0..=1_048_576);
        }
        self.range("seal.waiting_ms", seal.waiting_ms, 10..=10_000);
        self.range(
            "seal.busy_ms",
            seal.busy_ms,
            seal.waiting_ms.min(60_000)..=60_000,
        );
        self.range("seal.unsigned_ms", seal.unsigned_ms, 100..=600_000);
        let compare = &config.compare;
        self.range("compare.every_ms", compare.every_ms, 50..=600_000);
        self.range("compare.undecided_ms", compare.undecided_ms, 100..=600_000);
        self.range(
            "compare.content_every_s",
            compare.content_every_s,
            0..=31_536_000,
        );
        self.range(
            "audit.commit_every_s",
            config.audit.commit_every_s,
            0..=86_400,
        );
        let limits = &config.limits;
        self.range("limits.handshake_ms", limits.handshake_ms, 100..=60_000);
        self.range(
            "limits.first_byte_ms",
            limits.first_byte_ms,
            50..=limits.handshake_ms.clamp(50, 60_000),
        );
        self.range(
            "limits.first_request_ms",
            limits.first_request_ms,
            100..=600_000,
        );
        self.range("limits.idle_s", limits.idle_s, 10..=86_400);
        let counts = [
            ("limits.handshakes_max", limits.handshakes_max, 1..=10_000),
            (
                "limits.address_handshakes_max",
                limits.address_handshakes_max,
                1..=10_000,
            ),
            ("limits.address_per_s", limits.address_per_s, 1..=100_000),
            (
                "limits.strangers_per_s",
                limits.strangers_per_s,
                1..=100_000,
            ),
            (
                "limits.connections_max",
                limits.connections_max,
                8..=100_000,
            ),
            (
                "limits.address_connections_max",
                limits.address_connections_max,
                1..=100_000,
            ),
            (
                "limits.certificate_connections_max",
                limits.certificate_connections_max,
                1..=100_000,
            ),
            ("limits.requests_max", limits.requests_max, 8..=1_000_000),
            (
                "limits.certificate_requests_max",
                limits.certificate_requests_max,
                1..=1_000_000,
            ),
            (
                "limits.certificate_requests_per_s",
                limits.certificate_requests_per_s,
                1..=1_000_000,
            ),
        ];
        for (key, found, range) in counts {
            self.range(key, found, range);
        }
        self.range(
            "limits.certificate_mib_per_s",
            limits.certificate_mib_per_s,
            1..=100_000,
        );
        self.range("limits.memory_mib", limits.memory_mib, 16..=1_048_576);
        self.range(
            "limits.certificate_memory_mib",
            limits.certificate_memory_mib,
            16..=1_048_576,
        );
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.filter) {
            self.fault(
                "log.filter",
                format!("{:?}", config.log.filter),
                error.to_string(),
            );
        }
    }
}
