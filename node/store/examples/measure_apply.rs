//! Measures `apply` over RocksDB, without a network:
//! `cargo run --release --example measure_apply -- [FOLDER] [THOUSANDS] [bulk]`.
//!
//! Registers robots of 512 bytes singly and in parts of bulk requests, on one replica as a leader (signatures known from
//! ingress) and as a follower (each verified), with a seal every few thousand. Microseconds of one thread a record, what
//! a robot takes on disk, and how often a record allocates, reads and writes. Before that, what checking a signature takes
//! singly and together with others; the least of some rounds, so that what else runs on the machine counts little. Then how
//! long it takes to find a leaf of a robot that has many, and an entry that does nothing and reads as much as it can: every item
//! reads all recalls of a model, and is refused. With `bulk` only the registrations in bulk.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

#[path = "../tests/it/load.rs"]
mod load;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use carnet_domain::bytes::code::Serial;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::verify_cofactored;
use carnet_domain::bytes::together::Together;
use carnet_domain::limits::{RECALLS_OF_MODEL_BY_PARTIES_MAX, TEXT_BYTES_MAX};
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::{Firmware, Predicate, RecallNotice, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::rejection::Reason;
use carnet_kit::Country;
use carnet_kit::samples::recall_id;
use carnet_store::artefact::StateEngine;
use carnet_store::engine::KvRead;
use carnet_store::families::Family;
use carnet_store::identity::{Identity, StoreId};
use carnet_store::records::Records;
use carnet_store::rocks::RocksSettings;
use carnet_store::state::SwappableEngine;

use load::{Asked, Counting, Failure, Load, all_done};

/// Items in one log entry of a bulk request.
const PART_COUNT: usize = 250;
/// Log entries handed to `apply` at once.
const RUN_COUNT: usize = 16;
/// Records between two seals.
const SEAL_COUNT: usize = 4_000;
/// Leaves of the robot about which much is written.
const LEAVES_OF_ROBOT_COUNT: u32 = 20_000;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let thousands: u32 = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let root = folder.join(format!("carnet-measure-{}", std::process::id()));
    let bulk_only = arguments.next().is_some_and(|part| part == "bulk");
    let measured = run(&root, thousands as usize * 1_000, bulk_only);
    std::fs::remove_dir_all(&root)?;
    measured
}

/// A replica whose engine counts what is asked of it.
type Bench = Load<Counting<SwappableEngine>>;

struct Measured<'a> {
    bench: &'a mut Bench,
    asked: Arc<Asked>,
}

impl Measured<'_> {
    /// Microseconds a record: applying, sealing.
    fn measure(&mut self, count: usize, items: usize, known: bool) -> Result<(), Failure> {
        let (mut applying, mut sealing, mut unsealed, mut done) =
            (Duration::ZERO, Duration::ZERO, 0, 0);
        while done < count {
            let entries = self.bench.registrations(RUN_COUNT, items, known)?;
            let (took, answers) = self.bench.apply(entries)?;
            applying += took;
            all_done(&answers)?;
            done += RUN_COUNT * items;
            unsealed += RUN_COUNT * items;
            if SEAL_COUNT <= unsealed {
                unsealed = 0;
                let seal = self.bench.entry(Body::Seal {});
                sealing += self.bench.apply(vec![seal])?.0;
            }
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / done as f64;
        println!(
            "{items:>4} items under a signature, {}: {:>7.1} µs a record applied, {:>5.1} µs sealed",
            if known { "known   " } else { "verified" },
            each(applying),
            each(sealing),
        );
        Ok(())
    }

    /// What a record asks of the engine and the allocator, applied and sealed.
    fn calls(&mut self, items: usize) -> Result<(), Failure> {
        let robots = RUN_COUNT * items;
        let entries = self.bench.registrations(RUN_COUNT, items, true)?;
        let applied = self.bench.calls(&self.asked, entries)?;
        let seal = self.bench.entry(Body::Seal {});
        let sealed = self.bench.calls(&self.asked, vec![seal])?;
        for (what, calls) in [("applied", applied), ("sealed", sealed)] {
            let each = |count: u64| count as f64 / robots as f64;
            println!(
                "{items:>4} items under a signature, a record {what}: {:.1} allocations of {:.0} bytes; {:.2} keys read that are there, {:.2} that are not, {:.3} ranges; {:.2} keys written of {:.0} bytes",
                each(calls.allocations),
                each(calls.allocated),
                each(calls.asked.found),
                each(calls.asked.absent),
                each(calls.asked.scans),
                each(calls.asked.puts),
                each(calls.asked.bytes),
            );
        }
        Ok(())
    }

    fn reads_much(&mut self) -> Result<(), Failure> {
        let already = self.bench.country.entries.len();
        self.bench
            .country
            .must("maker", self.bench.country.register(0));
        let code = self.bench.country.code(0);
        for number in 0..RECALLS_OF_MODEL_BY_PARTIES_MAX {
            let number = format!("{number:064}");
            let predicate = Predicate {
                serial_from: Serial::parse(&"Z".repeat(17)).ok(),
                serial_to: Serial::parse(&"Z".repeat(17)).ok(),
                part_lot: number.clone(),
                ..Predicate::all()
            };
            let notice = RecallNotice {
                id: recall_id(&self.bench.country, &number),
                severity: Severity::Advisory,
                predicate,
            };
            let models = vec![code.model_id()];
            let remedy = "x".repeat(TEXT_BYTES_MAX);
            let open = Command::OpenRecall {
                notice,
                models,
                remedy,
            };
            self.bench.country.must("maker", open);
        }
        let remedied = Command::RemedyRecall {
            code,
            recall: recall_id(&self.bench.country, "X"),
            report: Digest::ZERO,
        };
        let request = self.bench.country.request("maker", &vec![remedied; 4_100]);
        let prepared = self.bench.country.entries[already..].iter();
        let prepared = prepared.map(Canonical::to_bytes).collect();
        self.bench.apply(prepared)?;
        let body = self.bench.country.client_body(request);
        let entry = self.bench.entry(body);
        let size = entry.len();
        let (took, answers) = self.bench.apply(vec![entry])?;
        let full = |item: &&ItemAnswer| matches!(item, ItemAnswer::Refused { rejection } if rejection.reason == Reason::EntryFull);
        let items = || answers.iter().flat_map(|answer| &answer.items);
        println!(
            "one entry of {size} bytes, {} items that are refused: {:.0} ms, {} found no room",
            items().count(),
            took.as_secs_f64() * 1e3,
            items().filter(full).count(),
        );
        Ok(())
    }

    /// Bytes a robot: of keys and values by family, and of files after everything was written out.
    fn sizes(&self, root: &Path, robots: u32) -> Result<(), Failure> {
        let engine = &self.bench.state.engine().engine;
        engine.sync()?;
        let each = |bytes: u64| bytes as f64 / f64::from(robots);
        for family in Family::ALL {
            let (mut from, mut bytes) = (Vec::new(), 0);
            loop {
                let page = engine.scan(*family, &from, None, 1_000)?;
                let sizes = page.iter().map(|(key, value)| key.len() + value.len());
                bytes += sizes.sum::<usize>() as u64;
                match page.into_iter().next_back() {
                    Some((last, _)) => from = [&last[..], &[0]].concat(),
                    None => break,
                }
            }
            if each(bytes) >= 1.0 {
                println!("{:>8.1} bytes a robot in {}", each(bytes), family.name());
            }
        }
        println!("{:>8.1} bytes a robot in files", each(size_of(root)?));
        Ok(())
    }
}

/// How long it takes to find leaves of a robot with many.
fn finds_leaves(bench: &mut Bench) -> Result<(), Failure> {
    let already = bench.country.entries.len();
    let serial = u32::MAX;
    bench.country.must("maker", bench.country.register(serial));
    let code = bench.country.code(serial);
    let update = |build| Command::Act {
        code,
        expected_sequence: None,
        action: Action::UpdateSoftware {
            firmware: Firmware {
                family: "fw".into(),
                build,
            },
        },
    };
    let updates: Vec<Command> = (1..LEAVES_OF_ROBOT_COUNT).map(update).collect();
    for part in updates.chunks(PART_COUNT) {
        let request = bench.country.request("maker", part);
        bench.country.ask(request);
    }
    let entries = bench.country.entries[already..].iter();
    let entries = entries.map(Canonical::to_bytes).collect();
    bench.apply(entries)?;
    let records = Records(bench.state.engine());
    let newest = records.head_of_robot(&code)?;
    let mut took = Vec::new();
    for seq in 0..LEAVES_OF_ROBOT_COUNT {
        let begun = Instant::now();
        let page = records.history(newest, u64::from(seq), 1)?;
        took.push(begun.elapsed());
        if page.len() != 1 {
            return Err("no such leaf".into());
        }
    }
    let first = took[0];
    took.sort_unstable();
    println!(
        "one of {LEAVES_OF_ROBOT_COUNT} leaves of a robot: first {:.0} µs, half of them within {:.0} µs, the last {:.0} µs",
        first.as_secs_f64() * 1e6,
        took[took.len() / 2].as_secs_f64() * 1e6,
        took[took.len() - 1].as_secs_f64() * 1e6,
    );
    Ok(())
}

/// What checking one signature takes: singly, and together with others of as many keys.
fn signatures(country: &Country) {
    const ROUNDS: usize = 20;
    let makers = [
        "maker",
        "dealer",
        "registrar",
        "customs",
        "regulator",
        "recycler",
    ];
    let keys: Vec<_> = makers.iter().map(|name| country.key(name)).collect();
    for (count, of_keys) in [(16, 1), (64, 1), (256, 1), (16, 6), (64, 6)] {
        let members: Vec<_> = (0..count)
            .map(|at| {
                let (key, message) = (&keys[at % of_keys], vec![at as u8; 200]);
                (key.public(), key.sign(&message), message)
            })
            .collect();
        let least = |check: &dyn Fn() -> bool| {
            let took = (0..ROUNDS).map(|_| {
                let begun = Instant::now();
                assert!(check(), "every signature is good");
                begun.elapsed().as_secs_f64() * 1e6 / count as f64
            });
            took.fold(f64::INFINITY, f64::min)
        };
        let singly = least(&|| {
            let mut all = members.iter();
            all.all(|(key, signature, message)| verify_cofactored(key, message, signature).is_ok())
        });
        let at_once = least(&|| {
            let mut together = Together::default();
            for (key, signature, message) in &members {
                together.add(key, message, signature);
            }
            together.hold()
        });
        println!(
            "{count:>4} signatures of {of_keys} keys: {singly:>5.1} µs each singly, {at_once:>5.1} together"
        );
    }
}

fn size_of(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => size_of(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

fn run(root: &Path, count: usize, bulk_only: bool) -> Result<(), Failure> {
    let identity = Identity {
        cluster: [1; 16],
        node: 1,
        incarnation: 0,
        store: StoreId([1; 16]),
    };
    let engine = SwappableEngine::create(root, identity, RocksSettings::default())?;
    let counting = Counting::of(engine);
    let asked = Arc::clone(&counting.asked);
    let mut bench = Load::open(counting)?;
    let robots_before = bench.serial;
    let mut measured = Measured {
        bench: &mut bench,
        asked,
    };
    if bulk_only {
        measured.measure(count, PART_COUNT, true)?;
        return measured.sizes(root, measured.bench.serial - robots_before);
    }
    signatures(&measured.bench.country);
    measured.measure(count, PART_COUNT, true)?;
    measured.measure(count / 4, 1, true)?;
    measured.measure(count / 4, 1, false)?;
    measured.measure(count, PART_COUNT, false)?;
    measured.sizes(root, measured.bench.serial - robots_before)?;
    measured.calls(PART_COUNT)?;
    measured.calls(1)?;
    finds_leaves(measured.bench)?;
    measured.reads_much()
}
