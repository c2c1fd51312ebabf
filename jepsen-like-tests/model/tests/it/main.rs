//! The protocol holds in every order of steps, and each planted fault is found.

use carnet_kit::world::{Fault, Rules, World};
use carnet_model::countries::{Bounds, Mail};
use carnet_model::{Explored, counterexample, countries, holds, holds_against_a_liar};

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

/// The same in whole registries: what is believed of another is decided by `foreign`, and mail is what was posted.
const WHOLE: Bounds = Bounds {
    registries: 2,
    epoch_max: 2,
    clocks: false,
    mail: Mail::AsWritten,
    lies_max: 0,
    planted: Fault::Nothing,
};

#[expect(
    clippy::print_stdout,
    reason = "what was explored is part of the result"
)]
fn say_whole(what: &str, bounds: Bounds) {
    let (Explored { states, depth }, applied) = countries::holds(bounds);
    println!("{what}: {states} states, {depth} steps deep, {applied} applied, all properties hold");
    assert!(100 < states, "the exploration is not empty");
}

#[test]
fn two_whole_registries_in_every_order() {
    say_whole("two whole registries", WHOLE);
}

/// What the reduced world says of two registries is what whole ones do: what it repeats of `foreign` is no rule of its own.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "what was compared is part of the result"
)]
fn two_whole_registries_do_what_the_reduced_world_does() {
    let rules = Rules {
        epoch_max: WHOLE.epoch_max,
        clocks: false,
        ..TWO
    };
    let states = countries::side_by_side(rules, WHOLE).expect("they go one way");
    println!("{states} states compared");
    assert!(1_000 < states, "{states} states compared");
    // A world of other rules parts from them, at the first step that shows it.
    for planted in [Fault::AdmitWithoutRelease, Fault::CancelKeepsEpoch] {
        let apart = countries::side_by_side(Rules { planted, ..rules }, WHOLE);
        let parted = apart.expect_err("their rules differ");
        println!("{planted:?}: {parted}");
    }
}

#[test]
fn two_whole_registries_with_all_mail_at_once() {
    let bounds = Bounds {
        epoch_max: 1,
        clocks: true,
        mail: Mail::Late,
        ..WHOLE
    };
    say_whole("two whole registries, all mail at once", bounds);
}

#[test]
fn three_whole_registries_in_every_order() {
    let bounds = Bounds {
        registries: 3,
        ..WHOLE
    };
    say_whole("three whole registries", bounds);
}

#[test]
fn two_whole_registries_of_which_one_lies() {
    let bounds = Bounds {
        epoch_max: 1,
        lies_max: 1,
        ..WHOLE
    };
    say_whole("two whole registries, one lies", bounds);
}

#[test]
fn three_whole_registries_of_which_one_lies() {
    let bounds = Bounds {
        registries: 3,
        epoch_max: 1,
        lies_max: 1,
        ..WHOLE
    };
    say_whole("three whole registries, one lies", bounds);
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

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the counterexample is part of the result"
)]
fn a_fault_of_whole_registries_is_found() {
    // An epoch that is not strict is none: no item is read twice, and so no registry comes to fold one again.
    for planted in [Fault::AdmitWithoutRelease, Fault::CancelKeepsEpoch] {
        let (property, steps) = countries::breaks(Bounds { planted, ..WHOLE })
            .unwrap_or_else(|| panic!("{planted:?} is found"));
        println!("{planted:?}: {property}: {steps:?}");
        assert!(steps.len() > 1, "{planted:?}: {property}: {steps:?}");
    }
}
