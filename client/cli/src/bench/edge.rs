//! What a flood does to honest calls: reads at half of saturation, without the flood and with it, in one run.
//!
//! The flood is empty TCP connections, as many a second as asked for, each held until it is closed or a hundred newer ones
//! of its task are open. Honest reads come at fixed moments, and a late one counts from the moment it was due.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use carnet_client::{Client, HeldBulk};
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::limits::TEXT_BYTES_MAX;
use carnet_domain::rules::command::Command;
use carnet_wire::limits::ITEMS_MAX;
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::empty;
use crate::Outcome;
use crate::exit::{Failed, chain};
use crate::output::say;
use crate::settings::Settings;

/// Connections that one task of the flood holds.
const HELD_COUNT_MAX: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct Edge {
    /// Ports to flood with empty connections, host:port; of any plane.
    #[arg(long, value_delimiter = ',', required = true)]
    flood: Vec<SocketAddr>,
    /// Connections a second at each port.
    #[arg(long, default_value = "1280", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    flood_per_s: u32,
    /// Addresses they come from, of 127.1.0.0/16; 0: the machine's own. More than 0 only for ports on loopback.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(0..=10_000))]
    flood_addresses: u16,
    /// Bulk requests of some 5 MiB that are begun before the flood and never ended; the key that signs must be enrolled.
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    held: u16,
    /// Clients that look for saturation, each waiting for its answer.
    #[arg(long, default_value = "64")]
    clients: usize,
    /// Seconds of each of the three parts.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

/// What became of honest calls.
struct Heard {
    latency: Histogram<u64>,
    failed: u64,
    first_failure: Option<String>,
}

impl Heard {
    fn new() -> Self {
        Self {
            latency: empty(),
            failed: 0,
            first_failure: None,
        }
    }

    fn note(&mut self, since: Instant, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.latency.saturating_record(us);
            }
            Err(error) => {
                self.failed += 1;
                self.first_failure.get_or_insert(error);
            }
        }
    }

    fn shown(&self) -> Value {
        json!({
            "answered": self.latency.len().to_string(),
            "failed": self.failed.to_string(),
            "first_failure": self.first_failure,
            "p50_us": self.latency.value_at_quantile(0.5),
            "p99_us": self.latency.value_at_quantile(0.99),
            "max_us": self.latency.max(),
        })
    }
}

pub(super) async fn run(args: Edge, settings: &Settings) -> Result<Outcome, Failed> {
    if args.flood_addresses > 0 && args.flood.iter().any(|port| !port.ip().is_loopback()) {
        let text = "--flood-addresses: other addresses than the machine's own reach only ports on loopback";
        return Err(Failed::usage(text.to_owned()));
    }
    let client = settings.long_lived_client()?;
    // A failure shows here, not as a rate of zero.
    client.unverified().registry().await?;
    let patience = Duration::from_secs(args.seconds);
    let saturation = saturation(&client, args.clients, patience).await;
    say(format!("saturation: {saturation:.0} reads/s"));
    let half = (saturation / 2.0).max(1.0);
    let quiet = at_rate(&client, half, patience).await;
    say(format!(
        "half of it, quiet: p99 {} us",
        quiet.latency.value_at_quantile(0.99)
    ));
    let held = hold(&client, args.held).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let flood = flood(&args, &sent);
    let flooded = at_rate(&client, half, patience).await;
    drop((flood, held));
    say(format!(
        "half of it, flooded: p99 {} us",
        flooded.latency.value_at_quantile(0.99)
    ));
    let p99 = |heard: &Heard| heard.latency.value_at_quantile(0.99) as f64;
    let value = json!({
        "reads_per_second_at_saturation": saturation.round(),
        "reads_per_second_offered": half.round(),
        "quiet": quiet.shown(),
        "flooded": flooded.shown(),
        "p99_ratio": p99(&flooded) / p99(&quiet).max(1.0),
        "flood_connections": sent.load(Ordering::Relaxed).to_string(),
        "flood_addresses": args.flood_addresses,
        "held_requests": args.held,
        "load_average": std::fs::read_to_string("/proc/loadavg").ok().map(|text| text.trim().to_owned()),
    });
    Ok(value.into())
}

/// Begins bulk requests that are as large as their items may be many, and are never whole.
async fn hold(client: &Client, count: u16) -> Result<Vec<HeldBulk>, Failed> {
    let retire = Command::RetireSigner {
        // A key like any other: nothing is executed.
        public: SecretKey::from_seed(&[7; 32]).public(),
        compromised_after: None,
        reason: "x".repeat(TEXT_BYTES_MAX),
    };
    let commands = vec![retire; ITEMS_MAX as usize];
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(client.hold_bulk(&commands).await?);
    }
    Ok(held)
}

async fn read(client: &Client) -> Result<(), String> {
    client
        .unverified()
        .registry()
        .await
        .map(drop)
        .map_err(|error| chain(&error))
}

/// Reads a second when every client sends its next call once the last was answered.
async fn saturation(client: &Client, clients: usize, patience: Duration) -> f64 {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..clients.max(1) {
        let client = client.clone();
        running.spawn(async move {
            let mut answered = 0_u64;
            while begun.elapsed() < patience {
                answered += u64::from(read(&client).await.is_ok());
            }
            answered
        });
    }
    let mut answered = 0;
    while let Some(joined) = running.join_next().await {
        answered += joined.unwrap_or(0);
    }
    answered as f64 / begun.elapsed().as_secs_f64()
}

/// Calls that come at fixed moments, whatever became of those before.
async fn at_rate(client: &Client, per_second: f64, patience: Duration) -> Heard {
    let heard = Arc::new(Mutex::new(Heard::new()));
    let mut running = JoinSet::new();
    let begun = Instant::now();
    let count = (per_second * patience.as_secs_f64()) as u64;
    for number in 0..count {
        let due = begun + Duration::from_secs_f64(number as f64 / per_second);
        tokio::time::sleep_until(due.into()).await;
        let (client, heard) = (client.clone(), Arc::clone(&heard));
        running.spawn(async move {
            let outcome = read(&client).await;
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.note(due, outcome);
        });
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *heard, Heard::new())
}

/// Floods until it is dropped.
fn flood(args: &Edge, sent: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for port in &args.flood {
        let (port, sent) = (*port, Arc::clone(sent));
        let (per_second, addresses) = (args.flood_per_s, args.flood_addresses);
        running.spawn(async move {
            let mut held: VecDeque<TcpStream> = VecDeque::new();
            let mut tick = interval(Duration::from_millis(10));
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut owed = 0.0;
            let mut number = 0_u32;
            loop {
                tick.tick().await;
                owed += f64::from(per_second) / 100.0;
                while owed >= 1.0 {
                    owed -= 1.0;
                    number = number.wrapping_add(1);
                    if let Ok(stream) = dial(port, source(addresses, number)).await {
                        sent.fetch_add(1, Ordering::Relaxed);
                        held.push_back(stream);
                    }
                    if held.len() > HELD_COUNT_MAX {
                        held.pop_front();
                    }
                }
            }
        });
    }
    running
}

/// The address that a connection of the flood comes from.
fn source(addresses: u16, number: u32) -> Option<IpAddr> {
    let at = number.checked_rem(u32::from(addresses))?;
    let [_, _, high, low] = (at + 256).to_be_bytes();
    Some(IpAddr::V4(Ipv4Addr::new(127, 1, high, low)))
}

async fn dial(port: SocketAddr, from: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = match port {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    socket.connect(port).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_so_many_addresses_has_so_many() {
        for addresses in [1_u16, 2, 300, 10_000] {
            let found: std::collections::BTreeSet<_> = (0..u32::from(addresses) * 2)
                .filter_map(|number| source(addresses, number))
                .collect();
            assert_eq!(found.len(), usize::from(addresses));
            assert!(found.iter().all(IpAddr::is_loopback));
        }
        assert_eq!(source(0, 7), None);
    }
}
