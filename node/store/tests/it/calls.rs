//! How often a registration allocates, reads and writes. The counts are the same on every machine, so that a step that makes
//! each of them dearer is seen wherever the tests run.

use carnet_domain::machine::entry::Body;
use carnet_store::artefact::StateEngine;

use crate::bench::Disk;
use crate::load::{Calls, Counting, Load};

/// Robots registered by one measurement.
const COUNT: usize = 1_000;

/// What is counted, as a name, of one measurement, by a robot.
type Counted = (&'static str, fn(&Calls) -> u64);

const COUNTED: [Counted; 7] = [
    ("allocations", |calls| calls.allocations),
    ("bytes allocated", |calls| calls.allocated),
    ("keys read that are there", |calls| calls.asked.found),
    ("keys read that are not", |calls| calls.asked.absent),
    ("ranges searched", |calls| calls.asked.scans),
    ("keys written", |calls| calls.asked.puts),
    ("bytes written", |calls| calls.asked.bytes),
];

/// The most of each in the order of [`COUNTED`], in hundredths a robot: applied in bulk, 250 under one signature; singly, of
/// which the follower that verifies has as many; sealed after the former.
const BOUNDS: [(&str, [u64; 7]); 3] = [
    ("in bulk", [8_200, 2_250_000, 5, 205, 0, 310, 228_000]),
    ("singly", [15_600, 2_900_000, 5, 210, 0, 510, 255_000]),
    ("sealed", [640, 250_000, 40, 0, 10, 80, 21_000]),
];

fn measure<E: StateEngine>(engine: E) -> [Calls; 3] {
    let engine = Counting::of(engine);
    let asked = std::sync::Arc::clone(&engine.asked);
    let mut load = Load::open(engine).expect("a market");
    let mut of = |count: usize, items: usize| {
        let entries = load.registrations(count, items, true);
        load.calls(&asked, entries.expect("entries"))
            .expect("applied")
    };
    // What is asked for once in a while is not a robot's.
    of(1, 250);
    let bulk = of(COUNT / 250, 250);
    let singly = of(COUNT, 1);
    let seal = load.entry(Body::Seal {});
    load.calls(&asked, vec![seal]).expect("sealed");
    let entries = load.registrations(COUNT / 250, 250, true).expect("entries");
    load.calls(&asked, entries).expect("applied");
    let seal = load.entry(Body::Seal {});
    let sealed = load.calls(&asked, vec![seal]).expect("sealed");
    [bulk, singly, sealed]
}

/// A bound is stated for each, and none is more than a quarter above what is counted: whoever makes a registration cheaper says so
/// here.
#[test]
fn a_registration_asks_no_more_than_is_stated() {
    let disk = Disk::new();
    let measured = measure(disk.create());
    let mut wrong = Vec::new();
    for ((when, bounds), calls) in BOUNDS.iter().zip(&measured) {
        for ((what, count), bound) in COUNTED.iter().zip(bounds) {
            let found = count(calls) * 100 / COUNT as u64;
            if found > *bound || *bound > found + found / 4 + 100 {
                wrong.push(format!("{when}: {what}: {found} of {bound}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "in hundredths a robot:\n{}",
        wrong.join("\n")
    );
}
