//! Measures the state engine on the disk it is given: `cargo run --release --example measure_engine -- [FOLDER] [BATCHES]`.
//!
//! Writes small batches as `apply` does (four families and the applied position), then reads, views, scans, takes a
//! snapshot and hands it over. Figures are of this machine at this moment: compare only runs made side by side.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use carnet_store::applied;
use carnet_store::artefact::StateEngine;
use carnet_store::engine::Batch;
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::identity::{Identity, StoreId};
use carnet_store::machine::{Applied, LogPosition};
use carnet_store::memory::MemoryEngine;
use carnet_store::rocks::RocksSettings;
use carnet_store::state::SwappableEngine;

/// Bytes of a value: about a robot record.
const VALUE_SIZE: usize = 300;
/// Bytes a snapshot is read and written in.
const PIECE_SIZE: usize = 1 << 20;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let batch_count: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let root = folder.join(format!("carnet-measure-{}", std::process::id()));
    let measured = run(&root, batch_count);
    std::fs::remove_dir_all(&root)?;
    measured
}

fn run(root: &std::path::Path, batch_count: u64) -> Result<(), Failure> {
    let create = |name: &str, node| {
        let identity = Identity {
            cluster: [1; 16],
            node,
            incarnation: 0,
            store: StoreId([1; 16]),
        };
        SwappableEngine::create(&root.join(name), identity, RocksSettings::default())
    };
    println!("{batch_count} batches of 4 records of {VALUE_SIZE} bytes and the applied position");
    measure_engine("memory", &MemoryEngine::new(), batch_count)?;
    let (from, to) = (create("from", 1)?, create("to", 2)?);
    measure_engine("rocksdb", &from, batch_count)?;
    measure_hand_over(&from, &to)?;
    let scrub = timed(|| to.current().scrub())?;
    println!(
        "rocksdb  scrub      {:>10.1} ms  {} MiB of pairs",
        millis(scrub.1),
        scrub.0.size >> 20
    );
    Ok(())
}

fn measure_engine(
    name: &str,
    engine: &dyn StateEngine,
    batch_count: u64,
) -> Result<(), StorageFault> {
    let mut each = Vec::new();
    let all = Instant::now();
    for index in 0..batch_count {
        let batch = batch(index);
        let begun = Instant::now();
        engine.write(batch)?;
        each.push(begun.elapsed());
    }
    show(name, "write", all.elapsed(), &mut each);
    let synced = timed(|| engine.sync())?;
    println!("{name:<8} sync       {:>10.1} ms", millis(synced.1));

    let read_count = batch_count.min(100_000);
    let mut each = Vec::new();
    let all = Instant::now();
    for turn in 0..read_count {
        let index = scattered(turn) % batch_count;
        let begun = Instant::now();
        let found = engine.get(Family::Robots, &key(index))?;
        each.push(begun.elapsed());
        assert!(found.is_some(), "every key written is there");
    }
    show(name, "get", all.elapsed(), &mut each);

    let mut each = Vec::new();
    let all = Instant::now();
    for turn in 0..read_count / 10 {
        let index = scattered(turn) % batch_count;
        let begun = Instant::now();
        let view = engine.view()?;
        let page = view.scan(Family::Robots, &key(index), None, 50)?;
        each.push(begun.elapsed());
        assert!(!page.is_empty(), "a scan from a key finds it");
    }
    show(name, "scan of 50", all.elapsed(), &mut each);
    Ok(())
}

fn measure_hand_over(from: &SwappableEngine, to: &SwappableEngine) -> Result<(), StorageFault> {
    let (snapshot, taken) = timed(|| from.snapshot())?;
    println!(
        "rocksdb  snapshot   {:>10.1} ms  while apply stands still",
        millis(taken)
    );
    let size: u64 = snapshot.files().iter().map(|file| file.size).sum();
    let (_, hashed) = timed(|| snapshot.read(0, 0, 1))?;
    println!(
        "rocksdb  hashing    {:>10.1} ms  {} MiB in {} files",
        millis(hashed),
        size >> 20,
        snapshot.files().len()
    );
    let mut sink = to.receive()?;
    let (_, received) = timed(|| {
        for (index, file) in snapshot.files().iter().enumerate() {
            let mut offset = 0;
            while offset < file.size {
                let piece = snapshot.read(index, offset, PIECE_SIZE)?;
                sink.write(&file.name, offset, &piece)?;
                offset += piece.len() as u64;
            }
        }
        Ok(())
    })?;
    println!(
        "rocksdb  receiving  {:>10.1} ms  read, hashed, written, synced",
        millis(received)
    );
    let (reached, swapped) = timed(|| sink.finish())?;
    println!(
        "rocksdb  finish     {:>10.1} ms  opened, scrubbed, swapped",
        millis(swapped)
    );
    assert_eq!(
        reached,
        *snapshot.applied(),
        "the receiver is where the sender was"
    );
    Ok(())
}

fn batch(index: u64) -> Batch {
    let mut batch = Batch::default();
    let value: Vec<u8> = (0..VALUE_SIZE as u64 / 8)
        .flat_map(|word| scattered(index ^ word << 32).to_le_bytes())
        .collect();
    for family in [Family::Robots, Family::Entries, Family::Tree, Family::Map] {
        batch.put(family, key(index), value.clone());
    }
    let last = LogPosition {
        term: 1,
        node: 1,
        index,
    };
    applied::store(
        &mut batch,
        &Applied {
            last: Some(last),
            membership: None,
        },
    );
    batch
}

/// Keys as codes have them: 19 bytes, not in order of time.
fn key(index: u64) -> Vec<u8> {
    let mut key = b"86ABCD".to_vec();
    key.extend(scattered(index).to_be_bytes());
    key.resize(19, b'0');
    key
}

/// A fixed mixing of bits (splitmix64), so that every run writes the same.
fn scattered(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn timed<T>(act: impl FnOnce() -> Result<T, StorageFault>) -> Result<(T, Duration), StorageFault> {
    let begun = Instant::now();
    let value = act()?;
    Ok((value, begun.elapsed()))
}

fn show(name: &str, what: &str, all: Duration, each: &mut [Duration]) {
    each.sort_unstable();
    let at = |share: f64| {
        each.get((each.len() as f64 * share) as usize)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{name:<8} {what:<10} {:>10.2} µs/op  p50 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.0}",
        micros(all) / each.len().max(1) as f64,
        micros(at(0.5)),
        micros(at(0.99)),
        micros(at(0.999)),
        micros(each.last().copied().unwrap_or_default()),
    );
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
