//! Flipped bits, cut and missing files: refused or reported, never served.
//!
//! Three outcomes are lawful. The start is refused; or reading everything reports the damage; or what is read is
//! exactly a state the node had, and the applied position read with it says which. The last is for bits nobody reads.

use std::path::{Path, PathBuf};

use carnet_store::applied;
use carnet_store::artefact::StateEngine;
use carnet_store::engine::{KvEngine, KvRead};
use carnet_store::state::SwappableEngine;

use crate::bench::{Content, Disk, content, copy_folder, names, step};

const STEP_COUNT: u64 = 120;

/// A node that stopped, and every state it ever had, by the number of batches.
struct Stopped {
    disk: Disk,
    states: Vec<Content>,
}

fn stopped() -> Stopped {
    let disk = Disk::new();
    let engine = disk.create();
    let mut states = vec![content(&engine).expect("a read")];
    for index in 0..STEP_COUNT {
        engine.write(step(index)).expect("a write");
        states.push(content(&engine).expect("a read"));
    }
    // Flushes, and notes that everything is durable.
    drop(engine.snapshot().expect("a snapshot"));
    drop(engine);
    Stopped { disk, states }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Refused,
    Reported,
    /// How many batches the state served has.
    Served(usize),
}

impl Stopped {
    fn state_folder(&self) -> PathBuf {
        self.disk.root().join("state-0")
    }

    /// The largest file of a kind.
    fn file(&self, kind: impl Fn(&str) -> bool) -> String {
        let folder = self.state_folder();
        let size = |name: &String| std::fs::metadata(folder.join(name)).expect("a file").len();
        names(&folder)
            .into_iter()
            .filter(|name| kind(name))
            .max_by_key(size)
            .expect("a file of this kind")
    }

    /// Starts on a damaged copy.
    fn after(&self, damage: impl FnOnce(&Path)) -> Outcome {
        let copy = Disk::new();
        copy_folder(&self.disk.root(), &copy.root());
        damage(&copy.root());
        match copy.open() {
            Err(_) => Outcome::Refused,
            Ok(engine) => self.served(&engine),
        }
    }

    fn served(&self, engine: &SwappableEngine) -> Outcome {
        // Reads of the node come first, then the scrub: neither may pass wrong bytes.
        let (Ok(found), Ok(at)) = (content(engine), applied::load(engine)) else {
            return Outcome::Reported;
        };
        let batch_count = at.last.map_or(0, |last| last.index as usize + 1);
        assert!(
            self.states[batch_count] == found,
            "what is served is no state at {batch_count}"
        );
        // Point reads go through filters that scans do not touch.
        for ((family, key), value) in &found {
            match engine.get(*family, key) {
                Ok(read) => assert_eq!(read.as_ref(), Some(value), "a filter hides a key"),
                Err(_) => return Outcome::Reported,
            }
        }
        match engine.current().scrub() {
            Ok(_) => Outcome::Served(batch_count),
            Err(_) => Outcome::Reported,
        }
    }

    /// Flips single bits spread over a file.
    fn flipped(&self, name: &str, sample_count: usize) -> Vec<Outcome> {
        let size = std::fs::metadata(self.disk.root().join(name))
            .expect("a file")
            .len() as usize;
        let stride = (size / sample_count).max(1);
        let mut out = Vec::new();
        for (sample, at) in (0..size).step_by(stride).enumerate() {
            out.push(self.after(|root| flip(&root.join(name), at, sample % 8)));
        }
        out
    }
}

fn flip(path: &Path, at: usize, bit: usize) {
    let mut bytes = std::fs::read(path).expect("a file");
    bytes[at] ^= 1 << bit;
    std::fs::write(path, bytes).expect("a file");
}

fn whole() -> Outcome {
    Outcome::Served(STEP_COUNT as usize)
}

#[test]
fn a_sound_copy_serves_everything() {
    assert_eq!(stopped().after(|_| {}), whole());
}

#[test]
fn any_flipped_bit_in_the_pointer_or_the_identity_is_refused() {
    let stopped = stopped();
    for name in ["CURRENT", "IDENTITY"] {
        let size = std::fs::metadata(stopped.disk.root().join(name))
            .expect("a file")
            .len() as usize;
        for (at, bit) in (0..size).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            // Refused before the database is opened, so no copy is needed.
            let path = stopped.disk.root().join(name);
            flip(&path, at, bit);
            assert!(
                stopped.disk.open().is_err(),
                "{name}: bit {bit} of byte {at}"
            );
            flip(&path, at, bit);
        }
        for cut in 0..size {
            let outcome = stopped_cut(&stopped, name, cut);
            assert_eq!(outcome, Outcome::Refused, "{name} cut to {cut} bytes");
        }
    }
    assert_eq!(stopped.after(|_| {}), whole());
}

fn stopped_cut(stopped: &Stopped, name: &str, size: usize) -> Outcome {
    let path = stopped.disk.root().join(name);
    let bytes = std::fs::read(&path).expect("a file");
    std::fs::write(&path, &bytes[..size]).expect("a file");
    let refused = stopped.disk.open().is_err();
    std::fs::write(&path, &bytes).expect("a file");
    if refused {
        Outcome::Refused
    } else {
        Outcome::Reported
    }
}

#[test]
fn a_flipped_bit_in_a_table_is_never_served() {
    let stopped = stopped();
    let table = stopped.file(|name| name.ends_with(".sst"));
    let outcomes = stopped.flipped(&format!("state-0/{table}"), 60);
    let noticed = outcomes
        .iter()
        .filter(|outcome| **outcome != whole())
        .count();
    assert!(
        outcomes
            .iter()
            .all(|outcome| !matches!(outcome, Outcome::Served(n) if *n != STEP_COUNT as usize))
    );
    // The rest are bits that change no answer (filters, padding, statistics).
    assert!(
        outcomes.len() * 3 / 4 <= noticed,
        "{noticed} of {} noticed",
        outcomes.len()
    );
}

#[test]
fn a_flipped_bit_in_the_manifest_of_the_database_is_never_served() {
    let stopped = stopped();
    let manifest = stopped.file(|name| name.starts_with("MANIFEST-"));
    let name = format!("state-0/{manifest}");
    let mut outcomes = stopped.flipped(&name, 60);
    // The last record too, byte for byte.
    let size = std::fs::metadata(stopped.disk.root().join(&name))
        .expect("a file")
        .len() as usize;
    outcomes.extend(
        (size - 40..size).map(|at| stopped.after(|root| flip(&root.join(&name), at, at % 8))),
    );
    assert!(
        outcomes.iter().all(|outcome| *outcome == Outcome::Refused),
        "{outcomes:?}"
    );
    let pointer = stopped.flipped("state-0/CURRENT", 200);
    assert!(
        pointer.iter().all(|outcome| *outcome == Outcome::Refused),
        "{pointer:?}"
    );
}

/// Where records begin in a MANIFEST file (its layout is drawn in `rocks/framing.rs`).
fn records(path: &Path) -> Vec<usize> {
    const BLOCK: usize = 32 << 10;
    let bytes = std::fs::read(path).expect("a file");
    let (mut at, mut out) = (0, Vec::new());
    while at + 7 <= bytes.len() {
        if BLOCK - at % BLOCK < 7 {
            at += BLOCK - at % BLOCK;
            continue;
        }
        out.push(at);
        at += 7 + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
    }
    out
}

#[test]
fn a_record_that_claims_another_kind_ends_nothing_in_silence_and_hangs_nothing() {
    // The seventh byte of a record is its kind. Some kinds made RocksDB loop for ever, or skip the whole log.
    let stopped = stopped();
    let name = stopped.file(|name| name.starts_with("MANIFEST-"));
    let records = records(&stopped.state_folder().join(&name));
    assert!(20 < records.len(), "{name} has {} records", records.len());
    let chosen = records
        .iter()
        .step_by(records.len() / 10)
        .chain(records.last());
    for (&at, bit) in chosen.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let outcome = stopped.after(|root| flip(&root.join("state-0").join(&name), at + 6, bit));
        assert_eq!(
            outcome,
            Outcome::Refused,
            "{name}: bit {bit} of the record at {at}"
        );
    }
}

#[test]
fn a_damaged_length_in_the_manifest_of_the_database_does_not_rewind_it() {
    // RocksDB takes a record that passes the end of the file for a torn write, and forgets all that follow.
    let stopped = stopped();
    let name = stopped.file(|name| name.starts_with("MANIFEST-"));
    for at in records(&stopped.state_folder().join(&name)) {
        let outcome = stopped.after(|root| flip(&root.join("state-0").join(&name), at + 5, 5));
        assert_eq!(outcome, Outcome::Refused, "{name}: the record at {at}");
    }
}

#[test]
fn a_missing_file_is_refused() {
    let stopped = stopped();
    let table = stopped.file(|name| name.ends_with(".sst"));
    let manifest = stopped.file(|name| name.starts_with("MANIFEST-"));
    for name in [table, manifest, "CURRENT".into()] {
        let outcome = stopped.after(|root| {
            std::fs::remove_file(root.join("state-0").join(&name)).expect("a file");
        });
        assert!(
            matches!(outcome, Outcome::Refused | Outcome::Reported),
            "without {name}: {outcome:?}"
        );
    }
}

#[test]
fn a_cut_table_is_refused() {
    let stopped = stopped();
    let table = stopped.file(|name| name.ends_with(".sst"));
    let size = std::fs::metadata(stopped.state_folder().join(&table))
        .expect("a file")
        .len();
    for kept in [0, size / 2, size - 1] {
        let outcome = stopped.after(|root| {
            let file = std::fs::File::options()
                .write(true)
                .open(root.join("state-0").join(&table))
                .expect("a file");
            file.set_len(kept).expect("a cut");
        });
        assert_eq!(outcome, Outcome::Refused, "cut to {kept}");
    }
}
