//! The protocol holds in every order of steps, and each planted fault is found.

use carnet_kit::world::{Fault, Rules, World};
use carnet_model::{Explored, counterexample, holds, holds_against_a_liar};

const TWO: Rules = Rules {
    registries: 2,
    epoch_max: 4,
    in_order: true,
    clocks: true,
    restore: false,
    lies_max: 0,
    planted: Fault::Nothing,
};
const THREE: Rules = Rules {
    registries: 3,
    epoch_max: 4,
    clocks: false,
    ..TWO
};

#[expect(
    clippy::print_stdout,
    reason = "what was explored is part of the result"
)]
fn say(what: &str, explored: Explored) {
    let Explored { states, depth } = explored;
    println!("{what}: {states} states, {depth} steps deep, all properties hold");
    assert!(1_000 < states, "the exploration is not empty");
}

#[expect(
    clippy::print_stdout,
    reason = "the counterexample is part of the result"
)]
fn breaks(what: &str, rules: Rules, property: fn(&World) -> bool, length: usize) {
    let steps = counterexample(rules, property).expect("the planted fault is found");
    println!("{what}: {} steps: {steps:?}", steps.len());
    assert_eq!(steps.len(), length, "{what}: {steps:?}");
}

#[test]
fn two_registries_in_every_order() {
    say("two registries", holds(TWO));
}

#[test]
fn two_registries_with_mail_in_any_order() {
    let rules = Rules {
        in_order: false,
        clocks: false,
        epoch_max: 6,
        ..TWO
    };
    say("two registries, mail in any order", holds(rules));
}

#[test]
fn three_registries_in_every_order() {
    say("three registries", holds(THREE));
}

#[test]
fn four_registries_in_every_order() {
    let rules = Rules {
        registries: 4,
        epoch_max: 3,
        ..THREE
    };
    say("four registries", holds(rules));
}

#[test]
fn three_registries_with_mail_in_any_order() {
    let rules = Rules {
        in_order: false,
        ..THREE
    };
    say("three registries, mail in any order", holds(rules));
}

/// Whatever a registry signs that never was given the robot: nobody takes it over, gives it up or admits it by a lie.
#[test]
fn three_registries_of_which_one_lies() {
    let rules = Rules {
        epoch_max: 3,
        lies_max: 1,
        ..THREE
    };
    say("three registries, one lies", holds_against_a_liar(rules));
}

#[test]
fn two_registries_of_which_one_lies() {
    let rules = Rules {
        epoch_max: 3,
        lies_max: 2,
        clocks: false,
        ..TWO
    };
    say(
        "two registries, one lies twice",
        holds_against_a_liar(rules),
    );
}

const CUSTODIANS: fn(&World) -> bool = World::at_most_one_custodian;
const RESPONSIBLE: fn(&World) -> bool = World::only_the_responsible_claims;
const CHAIN: fn(&World) -> bool = World::nothing_is_broken;
const REPLAY: fn(&World) -> bool = World::a_replay_changes_nothing;

#[test]
fn an_admission_under_a_held_accept_is_found() {
    let rules = Rules {
        planted: Fault::AdmitWithoutRelease,
        ..TWO
    };
    breaks("admit without release, C2", rules, RESPONSIBLE, 3);
    breaks("admit without release, C1", rules, CUSTODIANS, 4);
}

#[test]
fn a_cancel_that_keeps_its_epoch_is_found() {
    let rules = Rules {
        planted: Fault::CancelKeepsEpoch,
        ..TWO
    };
    breaks("cancel keeps epoch, C6", rules, CHAIN, 2);
}

#[test]
fn an_epoch_that_is_not_strict_is_found() {
    let rules = Rules {
        planted: Fault::EpochNotStrict,
        ..TWO
    };
    breaks("epoch not strict, C4", rules, REPLAY, 3);
}

#[test]
fn a_restore_without_a_fence_is_found() {
    let rules = Rules {
        restore: true,
        ..TWO
    };
    breaks("restore without a fence, C2", rules, RESPONSIBLE, 6);
    breaks("restore without a fence, C1", rules, CUSTODIANS, 8);
}
