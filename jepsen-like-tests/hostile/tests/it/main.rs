//! The short run, and every seed that once broke something.

use carnet_hostile::run::{Report, run};

/// Programs of the short run: about twenty seconds on two cores.
const PROGRAMS: u64 = 60;

fn check(seeds: impl Iterator<Item = u64>) -> Report {
    let mut report = Report::default();
    seeds.for_each(|seed| report.add(run(seed)));
    assert!(report.failures.is_empty(), "{report}");
    report
}

#[test]
fn extremes_stop_no_replica_and_part_none() {
    let report = check(0..PROGRAMS);
    assert!(report.is_deep(), "harness broken:\n{report}");
}

#[test]
fn seeds_that_once_broke_something_break_nothing() {
    let seeds = include_str!("../../seeds.txt").lines();
    let seeds = seeds.filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let seeds = seeds.map(|line| {
        let seed = line.split_whitespace().next().unwrap_or_default();
        seed.parse().expect("a seed at the beginning of the line")
    });
    check(seeds);
}
