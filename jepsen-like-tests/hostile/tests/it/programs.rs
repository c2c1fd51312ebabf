//! The short run, and every seed that once broke something.

use carnet_domain::rules::rejection::{Counted, Reason};
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

/// The reasons that the short run of extremes is answered with again and again, a line each: a run that misses one has lost the
/// attack that led to it, whatever else it says. `CARNET_VECTORS=write` writes it anew.
const REACHED: &str = include_str!("reached.txt");
/// The bounds that it meets again and again.
const FULL: &str = include_str!("full.txt");
/// So often something is met that is pinned: rarer ones come and go with any change of bytes.
const AGAIN_AND_AGAIN: u64 = 8;
/// What is met so often has to be pinned: an attack that is new is not lost later.
const PINNED_FROM: u64 = 4 * AGAIN_AND_AGAIN;
/// At least so many reasons are.
const REACHED_MIN: usize = 20;

/// Compares what a run met with what is pinned, both ways.
fn is_pinned(file: &str, pinned: &str, met: &[(&str, u64)], report: &Report) {
    if std::env::var("CARNET_VECTORS").as_deref() == Ok("write") {
        let often = met.iter().filter(|(_, count)| *count >= AGAIN_AND_AGAIN);
        let lines: String = often.map(|(name, _)| format!("{name}\n")).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/");
        std::fs::write(format!("{folder}{file}"), lines).expect("it can be written");
        return;
    }
    let pinned: Vec<&str> = pinned.lines().collect();
    let count = |name: &str| met.iter().find(|(one, _)| *one == name).map(|(_, n)| *n);
    let missed: Vec<&&str> = pinned
        .iter()
        .filter(|name| count(name) == Some(0))
        .collect();
    let gone: Vec<&&str> = pinned.iter().filter(|name| count(name).is_none()).collect();
    let free = met.iter().filter(|(_, count)| *count >= PINNED_FROM);
    let free: Vec<&str> = free
        .map(|(name, _)| *name)
        .filter(|name| !pinned.contains(name))
        .collect();
    assert!(
        missed.is_empty() && gone.is_empty() && free.is_empty(),
        "harness broken: missed {missed:?}, unknown {gone:?}, not pinned in {file} {free:?}\n{report}"
    );
}

#[test]
fn extremes_stop_no_replica_and_part_none() {
    let report = check(0..PROGRAMS, Manner::Extremes);
    assert!(report.is_deep(), "harness broken:\n{report}");
    let reasons = Reason::ALL.iter();
    let reasons: Vec<_> = reasons
        .map(|one| (one.name(), report.answered_at_all(*one)))
        .collect();
    is_pinned("reached.txt", REACHED, &reasons, &report);
    assert!(REACHED.lines().count() >= REACHED_MIN, "too few are pinned");
    let bounds = Counted::ALL.iter().map(|one| one.name());
    let full = |name| report.limits.get(name).copied().unwrap_or(0);
    let bounds: Vec<_> = bounds.map(|name| (name, full(name))).collect();
    is_pinned("full.txt", FULL, &bounds, &report);
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

/// A campaign leaves a line, and a second one another: who reads the record adds up attacks and not times.
#[test]
fn a_campaign_says_in_its_record_how_many_attacks_there_were() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("campaigns.txt");
    for seed in ["0", "1"] {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_carnet-hostile"))
            .args(["extremes", "--seed", seed, "--count", "1", "--record"])
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .status();
        // One program may be too few to come deep enough; it is recorded all the same.
        status.expect("it runs");
    }
    let record = std::fs::read_to_string(&file).expect("a record");
    let lines: Vec<&str> = record.lines().collect();
    assert_eq!(lines.len(), 2, "{record}");
    for (seed, line) in lines.into_iter().enumerate() {
        let said = format!(" extremes --seed {seed} to {seed}: ");
        let (_, rest) = line.split_once(&said).expect("its seeds");
        let attacks = rest.split(' ').next().and_then(|n| n.parse::<u64>().ok());
        assert!(attacks.is_some_and(|attacks| attacks > 10), "{line}");
        assert!(line.ends_with("failed: []"), "{line}");
    }
}
