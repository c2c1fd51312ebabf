//! One loader for two systems: signed registrations here, puts of the same bytes at etcd, in interleaved rounds.
//!
//! Throughput is closed loop: every client sends its next request when the last was answered. Rates of a shared machine
//! mean nothing alone; what counts is the ratio of rounds that stood next to each other.

mod edge;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use carnet_client::{Client, wall_time};
use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::{BodyName, Firmware, Maker};
use carnet_domain::rules::command::{Command, Registration};
use carnet_wire::etcd::kv_client::KvClient;
use carnet_wire::etcd::request_op::Request as Op;
use carnet_wire::etcd::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use clap::{Args, Subcommand, ValueEnum};
use hdrhistogram::Histogram;
use rand::Rng;
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};

use crate::Outcome;
use crate::exit::{Failed, chain};
use crate::output::say;
use crate::settings::Settings;

/// Microseconds; a slower answer counts as this.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Resamplings of the bootstrap.
const RESAMPLES: usize = 2_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Registers robots as fast as the cluster takes them.
    Register(Register),
    /// Reads robots as fast as the cluster tells the newest state of them, after registering some.
    LookUp(LookUp),
    /// Measures what a flood of empty connections does to honest reads at half of saturation.
    Edge(edge::Edge),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PeerSystem {
    Etcd,
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// An approved model.
    #[arg(long)]
    model: ModelId,
    /// Registrations under one signature; 1: one a call.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Clients that each wait for their answer.
    #[arg(long, default_value = "64")]
    clients: usize,
    /// Seconds of one round.
    #[arg(long, default_value = "5")]
    seconds: u64,
    /// Rounds of each system, taken in turn.
    #[arg(long, default_value = "5")]
    rounds: usize,
    /// Bytes of one registration, filled up in its site.
    #[arg(long, default_value = "512", value_parser = clap::value_parser!(u32).range(256..=1_024))]
    record_bytes: u32,
    /// In bulk: clients of a third load in turn, single puts at the other system; 0: none.
    #[arg(long, default_value = "0", requires = "peer")]
    peer_single_clients: usize,
    /// The system to compare with.
    #[arg(long, value_enum, requires = "peer_endpoints")]
    peer: Option<PeerSystem>,
    /// Its client endpoints, host:port; the first should be its leader.
    #[arg(long, value_delimiter = ',')]
    peer_endpoints: Vec<String>,
    /// Our processes on this machine, for processor time.
    #[arg(long, value_delimiter = ',')]
    cpu_of: Vec<u32>,
    /// The other system's processes on this machine.
    #[arg(long, value_delimiter = ',')]
    peer_cpu_of: Vec<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct LookUp {
    /// Robots that are registered, and put into the other system, before the first round.
    #[arg(long, default_value = "10000", value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    records: u64,
    #[command(flatten)]
    load: Register,
}

/// A system under load.
#[async_trait]
trait Load: Send + Sync {
    /// Writes the records numbered from `first`; how many were acknowledged.
    async fn write(&self, first: u64) -> Result<u64, String>;
}

/// Makes the same record for both systems.
struct Records {
    model: ModelId,
    maker: Maker,
    base: u64,
    size: usize,
}

impl Records {
    fn new(model: ModelId, maker: Maker, size: usize) -> Self {
        // Serials have 17 digits: a run never meets the codes of the one before.
        Self {
            model,
            maker,
            base: wall_time().as_ms() % 10_000_000_000_000 * 10_000,
            size,
        }
    }

    fn code(&self, number: u64) -> Code {
        let serial = self.base + number;
        let code = Code::parse(&format!("{}{serial:017}", self.model));
        code.unwrap_or_else(|error| unreachable!("a number is a serial: {error}"))
    }

    fn registration(&self, number: u64) -> Registration {
        let code = self.code(number);
        let mut registration = Registration {
            code,
            body: BodyName {
                maker: self.maker.clone(),
                serial: code.serial().to_string(),
            },
            manufactured: TimeMs(wall_time().as_ms() / 86_400_000 * 86_400_000),
            site: String::new(),
            origin: "CN".into(),
            prototype: false,
            importers_filing: false,
            identity_parts: Vec::new(),
            parts: Vec::new(),
            robot_key: None,
            firmware: Firmware {
                family: "main".into(),
                build: 1,
            },
        };
        // A text of more than 255 bytes has two more bytes of length.
        let short = self.size.saturating_sub(registration.to_bytes().len() + 2);
        registration.site = "x".repeat(short.min(carnet_domain::limits::TEXT_BYTES_MAX));
        registration
    }
}

struct Carnet {
    client: Client,
    records: Arc<Records>,
    batch: u64,
}

#[async_trait]
impl Load for Carnet {
    async fn write(&self, first: u64) -> Result<u64, String> {
        let command = |number| Command::Register {
            registration: self.records.registration(number),
        };
        if self.batch == 1 {
            let done = self.client.submit_one(command(first)).await;
            return done.map(|_| 1).map_err(|error| chain(&error));
        }
        let commands = (first..first + self.batch).map(command);
        let report = self
            .client
            .submit_bulk(commands, |_| {})
            .await
            .map_err(|failure| chain(&failure))?;
        if report.refused > 0 {
            return Err(format!(
                "{} of {} were refused",
                report.refused, report.answered
            ));
        }
        Ok(report.done)
    }
}

struct Etcd {
    channels: Vec<Channel>,
    records: Arc<Records>,
    batch: u64,
    turn: AtomicU64,
}

impl Etcd {
    fn new(endpoints: &[String], records: Arc<Records>, batch: u64) -> Result<Self, Failed> {
        let open = |address: &String| {
            let endpoint = Endpoint::from_shared(format!("http://{address}"));
            endpoint
                .map(|endpoint| endpoint.connect_lazy())
                .map_err(|error| Failed::usage(format!("{address}: {error}")))
        };
        let channels = endpoints.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            channels,
            records,
            batch: batch.min(100),
            turn: AtomicU64::new(0),
        })
    }

    fn client(&self) -> KvClient<Channel> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize % self.channels.len();
        KvClient::new(self.channels[turn].clone())
    }

    fn put(&self, number: u64) -> PutRequest {
        let registration = self.records.registration(number);
        let key = Bytes::copy_from_slice(&registration.code.to_key());
        PutRequest {
            key,
            value: registration.to_bytes().into(),
            ..PutRequest::default()
        }
    }
}

#[async_trait]
impl Load for Etcd {
    async fn write(&self, first: u64) -> Result<u64, String> {
        let mut client = self.client();
        if self.batch == 1 {
            return client
                .put(self.put(first))
                .await
                .map(|_| 1)
                .map_err(|status| status.to_string());
        }
        let op = |number| RequestOp {
            request: Some(Op::RequestPut(self.put(number))),
        };
        let txn = TxnRequest {
            success: (first..first + self.batch).map(op).collect(),
            ..TxnRequest::default()
        };
        client
            .txn(txn)
            .await
            .map(|_| self.batch)
            .map_err(|status| status.to_string())
    }
}

/// Reads of what was written before, in turn: the record numbered `first` modulo how many there are.
struct CarnetReads {
    client: Client,
    records: Arc<Records>,
    count: u64,
}

#[async_trait]
impl Load for CarnetReads {
    async fn write(&self, first: u64) -> Result<u64, String> {
        let code = self.records.code(first % self.count);
        let told = self.client.unverified().robot(&code).await;
        let told = told.map_err(|error| chain(&error))?;
        match told.value.identity.code == code {
            true => Ok(1),
            false => Err(format!("another robot than {code}")),
        }
    }
}

/// As [`CarnetReads`], by linearizable ranges of one key.
struct EtcdReads {
    etcd: Arc<Etcd>,
    count: u64,
}

#[async_trait]
impl Load for EtcdReads {
    async fn write(&self, first: u64) -> Result<u64, String> {
        let code = self.etcd.records.code(first % self.count);
        let range = RangeRequest {
            key: Bytes::copy_from_slice(&code.to_key()),
            ..RangeRequest::default()
        };
        let found = self.etcd.client().range(range).await;
        let found = found.map_err(|status| status.to_string())?.into_inner();
        match found.kvs.len() {
            1 => Ok(1),
            _ => Err(format!("{} values of {code}", found.kvs.len())),
        }
    }
}

/// One round of one system.
struct Round {
    written: u64,
    failed: u64,
    first_failure: Option<String>,
    seconds: f64,
    latency: Histogram<u64>,
    cpu_us: Option<u64>,
}

impl Round {
    fn rate(&self) -> f64 {
        self.written as f64 / self.seconds.max(1e-9)
    }

    fn shown(&self) -> Value {
        let per = |total: u64| {
            if self.written == 0 {
                Value::Null
            } else {
                json!(total as f64 / self.written as f64)
            }
        };
        json!({
            "written": self.written.to_string(),
            "failed": self.failed.to_string(),
            "first_failure": self.first_failure,
            "seconds": self.seconds,
            "per_second": self.rate().round(),
            "p50_us": self.latency.value_at_quantile(0.5),
            "p99_us": self.latency.value_at_quantile(0.99),
            "max_us": self.latency.max(),
            "cpu_us_each": self.cpu_us.map_or(Value::Null, per),
        })
    }
}

/// A load of the other system, taken in turn with ours.
struct Other {
    name: &'static str,
    load: Arc<dyn Load>,
    batch: u64,
    clients: usize,
    rounds: Vec<Value>,
    ratios: Vec<f64>,
}

impl Other {
    fn new(name: &'static str, load: &Arc<dyn Load>, batch: u64, clients: usize) -> Self {
        Self {
            name,
            load: Arc::clone(load),
            batch,
            clients,
            rounds: Vec::new(),
            ratios: Vec::new(),
        }
    }
}

async fn round(
    load: &Arc<dyn Load>,
    next: &Arc<AtomicU64>,
    batch: u64,
    (clients, seconds): (usize, u64),
    pids: &[u32],
) -> Round {
    let cpu_before = cpu_us(pids);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..clients.max(1) {
        let (load, next) = (Arc::clone(load), Arc::clone(next));
        running.spawn(async move {
            let mut mine = empty();
            let (mut written, mut failed, mut first_failure) = (0, 0, None);
            while Instant::now() < end {
                let first = next.fetch_add(batch, Ordering::Relaxed);
                let sent = Instant::now();
                match load.write(first).await {
                    Ok(count) => {
                        written += count;
                        mine.saturating_record(sent.elapsed().as_micros() as u64);
                    }
                    Err(error) => {
                        failed += 1;
                        first_failure.get_or_insert(error);
                    }
                }
            }
            (written, failed, first_failure, mine)
        });
    }
    let mut round = Round {
        written: 0,
        failed: 0,
        first_failure: None,
        seconds: 0.0,
        latency: empty(),
        cpu_us: None,
    };
    while let Some(joined) = running.join_next().await {
        let Ok((written, failed, first_failure, latency)) = joined else {
            round.failed += 1;
            continue;
        };
        round.written += written;
        round.failed += failed;
        round.first_failure = round.first_failure.or(first_failure);
        if round.latency.add(latency).is_err() {
            round.failed += 1;
        }
    }
    round.seconds = begun.elapsed().as_secs_f64();
    round.cpu_us = cpu_before
        .zip(cpu_us(pids))
        .map(|(before, after)| after.saturating_sub(before));
    round
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)
        .unwrap_or_else(|error| unreachable!("constant bounds: {error}"))
}

/// Processor time of processes on this machine; none if one of them is gone or the system does not tell.
fn cpu_us(pids: &[u32]) -> Option<u64> {
    if pids.is_empty() {
        return None;
    }
    let ticks = pids.iter().map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything; the fields after its closing bracket do not.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    });
    // Linux counts in hundredths of a second on every platform that Rust supports.
    ticks.sum::<Option<u64>>().map(|ticks| ticks * 10_000)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// The median and its 95 % interval by bootstrap.
fn interval(ratios: &[f64], mut draw: impl FnMut(usize) -> usize) -> (f64, f64, f64) {
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            median(
                &mut ratios
                    .iter()
                    .map(|_| ratios[draw(ratios.len())])
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let middle = median(&mut ratios.to_vec());
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians[((medians.len() - 1) as f64 * share) as usize];
    (at(0.025), middle, at(0.975))
}

pub(crate) async fn run(verb: Bench, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Bench::Register(args) => register(args, settings).await,
        Bench::LookUp(args) => look_up(args, settings).await,
        Bench::Edge(args) => edge::run(args, settings).await,
    }
}

async fn records_of(args: &Register, settings: &Settings) -> Result<Arc<Records>, Failed> {
    // A maker registers its own bodies.
    let maker = settings.client()?;
    let maker = maker
        .unverified()
        .enterprise(&args.model.enterprise_id())
        .await?;
    let size = args.record_bytes as usize;
    Ok(Arc::new(Records::new(args.model, maker.value.maker, size)))
}

fn failed(system: &str) -> impl Fn(String) -> Failed + '_ {
    move |error| Failed::local(format!("{system}: {error}"))
}

async fn register(args: Register, settings: &Settings) -> Result<Outcome, Failed> {
    let batch = u64::from(args.batch);
    let records = records_of(&args, settings).await?;
    let next = Arc::new(AtomicU64::new(0));
    let ours: Arc<dyn Load> = Arc::new(Carnet {
        client: settings.long_lived_client()?,
        records: Arc::clone(&records),
        batch,
    });
    let etcd = |batch| Etcd::new(&args.peer_endpoints, Arc::clone(&records), batch);
    let mut others = Vec::new();
    if let Some(PeerSystem::Etcd) = args.peer {
        let load: Arc<dyn Load> = Arc::new(etcd(batch)?);
        others.push(Other::new("etcd", &load, batch, args.clients));
        if args.peer_single_clients > 0 {
            let load: Arc<dyn Load> = Arc::new(etcd(1)?);
            let clients = args.peer_single_clients;
            others.push(Other::new("etcd_singly", &load, 1, clients));
        }
    }
    // A failure shows here, not as a rate of zero.
    let first = || next.fetch_add(batch, Ordering::Relaxed);
    ours.write(first()).await.map_err(failed("registering"))?;
    for other in &others {
        let written = other.load.write(first()).await;
        written.map_err(failed(other.name))?;
    }
    Ok(rounds(&ours, others, &next, &args, &records).await.into())
}

async fn look_up(args: LookUp, settings: &Settings) -> Result<Outcome, Failed> {
    /// Under one signature, and under one transaction there.
    const AT_ONCE: [u64; 2] = [1_000, 100];
    let count = args.records.next_multiple_of(AT_ONCE[0]);
    let args = Register {
        batch: 1,
        ..args.load
    };
    let records = records_of(&args, settings).await?;
    let client = settings.long_lived_client()?;
    let written = Carnet {
        client: client.clone(),
        records: Arc::clone(&records),
        batch: AT_ONCE[0],
    };
    for first in (0..count).step_by(AT_ONCE[0] as usize) {
        written.write(first).await.map_err(failed("registering"))?;
    }
    let mut others = Vec::new();
    if let Some(PeerSystem::Etcd) = args.peer {
        let etcd = Etcd::new(&args.peer_endpoints, Arc::clone(&records), AT_ONCE[1])?;
        for first in (0..count).step_by(AT_ONCE[1] as usize) {
            etcd.write(first).await.map_err(failed("etcd"))?;
        }
        let etcd = Arc::new(etcd);
        let load: Arc<dyn Load> = Arc::new(EtcdReads { etcd, count });
        others.push(Other::new("etcd", &load, 1, args.clients));
    }
    let ours: Arc<dyn Load> = Arc::new(CarnetReads {
        client,
        records: Arc::clone(&records),
        count,
    });
    let next = Arc::new(AtomicU64::new(0));
    for load in [&ours].into_iter().chain(others.iter().map(|it| &it.load)) {
        load.write(0).await.map_err(failed("reading"))?;
    }
    Ok(rounds(&ours, others, &next, &args, &records).await.into())
}

/// Rounds of ours and of every other system in turn, and the ratios of neighbours.
async fn rounds(
    ours: &Arc<dyn Load>,
    mut others: Vec<Other>,
    next: &Arc<AtomicU64>,
    args: &Register,
    records: &Records,
) -> Value {
    let batch = u64::from(args.batch);
    let mut rounds = Vec::new();
    for number in 1..=args.rounds.max(1) {
        let load = (args.clients, args.seconds);
        let mine = round(ours, next, batch, load, &args.cpu_of).await;
        say(format!("round {number}: carnet {:.0}/s", mine.rate()));
        for other in &mut others {
            let load = (other.clients, args.seconds);
            let theirs = round(&other.load, next, other.batch, load, &args.peer_cpu_of).await;
            say(format!(
                "round {number}: {} {:.0}/s",
                other.name,
                theirs.rate()
            ));
            if theirs.rate() > 0.0 {
                other.ratios.push(mine.rate() / theirs.rate());
            }
            other.rounds.push(theirs.shown());
        }
        rounds.push(mine.shown());
    }
    let record = records.registration(0).to_bytes();
    let mut value = json!({
        "record_bytes": record.len(),
        "record_sha256": Digest::to_string(&sha256(&[&record])),
        "batch": args.batch,
        "clients": args.clients,
        "load_average": std::fs::read_to_string("/proc/loadavg").ok().map(|text| text.trim().to_owned()),
        "carnet": rounds,
    });
    for other in others {
        let ratios = &other.ratios;
        if !ratios.is_empty() {
            let (low, middle, high) = interval(ratios, |count| rand::rng().random_range(0..count));
            value[format!("ratio_to_{}", other.name)] =
                json!({"median": middle, "low_95": low, "high_95": high, "pairs": ratios.len()});
        }
        value[other.name] = other.rounds.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_systems_get_records_of_the_size_asked_for() {
        let model = ModelId::parse("860001100002").expect("a model");
        let maker = Maker {
            scheme: carnet_domain::record::IdentifierScheme::Name,
            country: "CN".into(),
            identifier: "BENCH-ROBOTICS".into(),
        };
        let records = Records::new(model, maker, 512);
        assert_eq!(records.registration(7).to_bytes().len(), 512);
        assert_ne!(records.registration(7).code, records.registration(8).code);
    }

    #[test]
    fn the_interval_holds_the_median() {
        let ratios = [1.0, 2.0, 3.0, 4.0, 100.0];
        let mut at = 0;
        let (low, middle, high) = interval(&ratios, |count| {
            at += 7;
            at % count
        });
        assert_eq!(middle, 3.0);
        assert!(low <= middle && middle <= high, "{low} {middle} {high}");
    }
}
