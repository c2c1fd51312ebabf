//! Whether the settings of a file can be used together.

use std::net::SocketAddr;
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
        let listen = &config.listen;
        let named = [
            ("listen.raft", Some(listen.raft)),
            ("listen.client", Some(listen.client)),
            ("listen.admin", Some(listen.admin)),
            ("listen.federation", Some(listen.federation)),
            ("listen.http", listen.http),
        ];
        let sockets: Vec<(&'static str, SocketAddr)> = named
            .into_iter()
            .filter_map(|(key, socket)| Some((key, socket?)))
            .collect();
        for (at, (key, socket)) in sockets.iter().enumerate() {
            if socket.port() == 0 {
                self.fault(key, socket, "port 0 cannot be found by others");
            }
            if let Some((first, _)) = sockets[..at].iter().find(|(_, other)| other == socket) {
                self.fault(key, socket, format!("is the socket of {first} too"));
            }
        }
        let advertise = &config.advertise;
        let told = [
            ("advertise.raft", &advertise.raft, listen.raft),
            ("advertise.client", &advertise.client, listen.client),
            (
                "advertise.federation",
                &advertise.federation,
                listen.federation,
            ),
        ];
        for (key, address, socket) in told {
            match address {
                Some(address) if !is_host_and_port(address) => {
                    self.fault(key, format!("{address:?}"), "not host:port");
                }
                None if socket.ip().is_unspecified() => {
                    let needed = format!("needed, because the socket is {socket}");
                    self.fault(key, "(not set)", needed);
                }
                _ => {}
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
        self.range("raft.keep_entries", raft.keep_entries, 10..=100_000_000);
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
        self.range("seal.waiting_ms", seal.waiting_ms, 10..=10_000);
        self.range(
            "seal.busy_ms",
            seal.busy_ms,
            seal.waiting_ms.min(60_000)..=60_000,
        );
        let limits = &config.limits;
        self.range("limits.handshake_ms", limits.handshake_ms, 100..=60_000);
        self.range("limits.handshakes_max", limits.handshakes_max, 1..=10_000);
        self.range(
            "limits.connections_max",
            limits.connections_max,
            8..=100_000,
        );
        self.range("limits.streams_max", limits.streams_max, 1..=1000);
        self.range("limits.requests_max", limits.requests_max, 1..=100_000);
        self.range("limits.request_ms", limits.request_ms, 100..=300_000);
        let clock = &config.clock;
        self.range("clock.offset_max_ms", clock.offset_max_ms, 100..=60_000);
        self.range("clock.compare_ms", clock.compare_ms, 100..=600_000);
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.filter) {
            self.fault(
                "log.filter",
                format!("{:?}", config.log.filter),
                error.to_string(),
            );
        }
    }
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let is_host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}
