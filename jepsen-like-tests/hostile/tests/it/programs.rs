//! The short run, and every seed that once broke something.

use carnet_hostile::program::{Attack, Manner};
use carnet_hostile::run::{Report, run};

/// Programs of the short run: about twenty seconds on two cores.
const PROGRAMS: u64 = 60;

/// Programs of lies of the short run.
const PROGRAMS_OF_LIES: u64 = 20;

fn check(seeds: impl Iterator<Item = u64>, manner: Manner) -> Report {
    let mut report = Report::default();
    seeds.for_each(|seed| report.add(run(seed, manner)));
    assert!(report.failures.is_empty(), "{report}");
    report
}

#[test]
fn extremes_stop_no_replica_and_part_none() {
    let report = check(0..PROGRAMS, Manner::Extremes);
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
    check(seeds, Manner::Extremes);
}

#[test]
fn lies_stop_no_replica_and_part_none() {
    let report = check(0..PROGRAMS_OF_LIES, Manner::Lies);
    assert!(report.is_deep(), "harness broken:\n{report}");
    // Each way of lying came, and came to what it is meant for.
    for (attack, reason) in [
        (Attack::Replay, "Done"),
        (Attack::Replay, "Nothing"),
        (Attack::Reorder, "EvidenceGap"),
        (Attack::Equivocate, "PeerQuarantined"),
        (Attack::Flood, "Done"),
    ] {
        let count = report.answered(attack, reason);
        assert!(count > 0, "harness broken: {attack:?} {reason}\n{report}");
    }
}
