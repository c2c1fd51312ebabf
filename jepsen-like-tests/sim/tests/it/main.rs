//! A handful of seeds, each in well under a second or two of real time.

use carnet_sim::{Options, Report, State, elections, run};

fn held(seed: u64) -> Report {
    let report = run(Options {
        faulty_ms: 12_000,
        ..Options::new(seed)
    });
    let last: Vec<&String> = report.trace.iter().rev().take(40).collect();
    assert!(
        report.violations.is_empty(),
        "REPRODUCE: sim --seed {seed} --seconds 12: {:?}\n{last:#?}",
        report.violations
    );
    assert!(
        100 < report.written && 100 < report.read,
        "seed {seed}: too little happened: {report:?}"
    );
    report
}

#[test]
fn every_promise_holds_under_faults() {
    let mut faults = carnet_sim::FaultCounts::default();
    for seed in 1..=6 {
        let seen = held(seed).faults;
        faults.crashes += seen.crashes;
        faults.power_cuts += seen.power_cuts;
        faults.isolations += seen.isolations;
        faults.one_way_cuts += seen.one_way_cuts;
        faults.slow_links += seen.slow_links;
        faults.clock_steps += seen.clock_steps;
    }
    let kinds = [
        faults.crashes,
        faults.power_cuts,
        faults.isolations,
        faults.one_way_cuts,
        faults.slow_links,
        faults.clock_steps,
    ];
    assert!(
        kinds.iter().all(|count| 0 < *count),
        "a fault kind is missing: {faults}"
    );
}

#[test]
fn one_seed_gives_one_trace() {
    let options = Options {
        faulty_ms: 6_000,
        ..Options::new(42)
    };
    assert_eq!(run(options), run(options));
}

#[test]
fn two_seeds_give_two_traces() {
    let traced = |seed| {
        run(Options {
            faulty_ms: 1_000,
            ..Options::new(seed)
        })
        .trace
    };
    assert_ne!(traced(1), traced(2));
}

#[test]
fn a_disk_that_lies_about_syncing_is_noticed() {
    let noticed = (1..=5).any(|seed| {
        !run(Options {
            lying_disks: true,
            ..Options::new(seed)
        })
        .violations
        .is_empty()
    });
    assert!(noticed, "acknowledging before the sync went unnoticed");
}

#[test]
fn the_registry_is_the_same_on_every_replica_and_forgets_no_robot() {
    for seed in 1..=3 {
        let state = State::Registry { robots_count: 60 };
        let report = run(Options {
            state,
            faulty_ms: 10_000,
            ..Options::new(seed)
        });
        assert!(
            report.violations.is_empty(),
            "REPRODUCE: sim --seed {seed} --seconds 10 --robots 60: {:?}",
            report.violations
        );
        assert!(60 < report.written, "seed {seed}: {}", report.written);
        assert!(
            report.compared > 6,
            "seed {seed}: {} seals compared",
            report.compared
        );
    }
}

/// One clock at a time is set ahead or back, by seconds to hours, while leaders stamp.
#[test]
fn log_time_follows_no_bad_clock_and_goes_on() {
    for seed in 1..=4 {
        let report = run(Options {
            state: State::Stamps,
            faulty_ms: 20_000,
            ..Options::new(seed)
        });
        assert!(
            report.violations.is_empty(),
            "REPRODUCE: sim --seed {seed} --seconds 20 --stamps: {:?}",
            report.violations
        );
        assert!(20 < report.written, "seed {seed}: {}", report.written);
        assert!(0 < report.faults.clock_steps, "seed {seed}");
    }
}

/// Two hundred elections among three equal nodes. The leader never stands for the next one: each of the two others has
/// about half a chance, and is passed over fourteen times in a row once in tens of thousands of rounds.
#[test]
fn every_node_comes_to_lead_and_none_is_passed_over_for_long() {
    let led = elections(11, 200).expect("somebody is elected each time");
    for node in 1..=3 {
        let count = led.iter().filter(|leader| **leader == node).count();
        let passed_over = led.split(|leader| *leader == node).map(<[u64]>::len).max();
        assert!((45..=90).contains(&count), "node {node} led {count} times");
        assert!(
            passed_over < Some(14),
            "node {node}: {passed_over:?}: {led:?}"
        );
    }
}
