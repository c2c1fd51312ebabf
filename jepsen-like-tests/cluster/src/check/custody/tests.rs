//! Histories written by hand: a good one, and bad ones that must be refused.

mod story;

use carnet_domain::custody::Phase;
use carnet_domain::custody::movement::Movement;
use carnet_domain::rules::rejection::Reason;

use self::story::{ROBOT, Story, id, leaf};
use super::*;
use crate::check::Coverage;

#[test]
fn a_robot_that_was_refused_and_then_admitted_is_held_by_one_country() {
    Story::admitted().check(&[]);
}

#[test]
fn a_robot_that_never_left_is_at_home() {
    Story::begun().check(&[]);
}

#[test]
fn a_robot_that_was_sent_back_is_at_home_an_epoch_later() {
    let mut story = Story::begun();
    story.step(Side::A, Step::Offer, 2, 1, 1);
    story.step(Side::B, Step::Accept, 2, 1, 2);
    story.step(Side::A, Step::Depart, 2, 1, 2);
    story.step(Side::B, Step::Return, 2, 2, 4);
    story.over(2, Step::Return, Step::Return);
    story.chain(Side::A, 2, Phase::Here {});
    story.check(&[]);
}

#[test]
fn a_permit_that_came_after_the_cancel_need_not_be_in_the_exporters_trail() {
    let mut story = Story::begun();
    story.step(Side::A, Step::Offer, 2, 1, 1);
    story.step(Side::A, Step::Cancel, 2, 1, 2);
    story.step(Side::B, Step::Accept, 2, 1, 2);
    story.over(2, Step::Cancel, Step::Cancel);
    story.chain(Side::A, 1, Phase::Here {});
    story
        .kept(Side::A)
        .trail
        .retain(|movement| movement.step != Step::Accept);
    story.check(&[]);
    story
        .kept(Side::B)
        .trail
        .retain(|movement| movement.step != Step::Accept);
    story.check(&["C4: R: not in the trail of XB: Accept of T2 at epoch 1 by XB"]);
}

#[test]
fn two_ends_of_one_offer_are_found() {
    let mut story = Story::admitted();
    story.step(Side::A, Step::Cancel, 2, 2, 5);
    let found = custody_holds(&story.run);
    assert!(
        found
            .iter()
            .any(|v| v.invariant == "C1" && v.text.contains("Depart") && v.text.contains("Cancel")),
        "{found:?}"
    );
}

#[test]
fn a_step_written_twice_is_found() {
    let mut story = Story::admitted();
    // A second offer of the same transfer, upon the robot's admission: the chain itself has no gap.
    let found = {
        story.step(Side::B, Step::Admit, 2, 2, 7);
        custody_holds(&story.run)
    };
    let twice = "R: written twice: Admit of T2 at epoch 2 by XB";
    let says = |v: &Violation| v.text.replace(ROBOT, "R").replace(&id(2).to_string(), "T2");
    assert!(
        found
            .iter()
            .any(|v| v.invariant == "C4" && says(v) == twice),
        "{found:?}"
    );
}

#[test]
fn an_epoch_used_again_is_found() {
    let mut story = Story::admitted();
    for own in &mut story.kept(Side::A).own {
        if own.link.transfer == Some(id(2)) {
            own.link.epoch = 1;
        }
    }
    let found = custody_holds(&story.run);
    let gap = "after epoch 1: Offer of T2 at epoch 1 by XA";
    let says = |v: &Violation| v.text.replace(&id(2).to_string(), "T2");
    assert!(
        found
            .iter()
            .any(|v| v.invariant == "C3" && says(v).ends_with(gap)),
        "{found:?}"
    );
}

#[test]
fn a_departure_without_a_permit_is_found() {
    let mut story = Story::admitted();
    for side in Side::BOTH {
        let kept = story.kept(side);
        kept.own.retain(|own| own.link.step != Step::Accept);
        kept.trail.retain(|movement| movement.step != Step::Accept);
    }
    story.run.asked.retain(|asked| asked.step != Step::Accept);
    story.check(&["C3: R: without a permit: Depart of T2 at epoch 2 by XA"]);
}

#[test]
fn a_link_that_hangs_in_the_air_is_found() {
    let mut story = Story::admitted();
    let admit = &mut story.kept(Side::B).own[2];
    assert_eq!(admit.link.step, Step::Admit);
    admit.link.prev = leaf(99);
    let found = custody_holds(&story.run);
    let says = |v: &Violation| v.text.replace(&id(2).to_string(), "T2");
    assert!(
        found.iter().any(|v| v.invariant == "C3"
            && says(v).ends_with("not of the one chain: Admit of T2 at epoch 2 by XB")),
        "{found:?}"
    );
}

#[test]
fn a_country_that_offers_what_it_does_not_have_is_found() {
    let mut story = Story::admitted();
    story.step(Side::A, Step::Offer, 3, 3, 8);
    story.over(3, Step::Cancel, Step::Cancel);
    let found = custody_holds(&story.run);
    assert!(
        found
            .iter()
            .any(|v| v.invariant == "C1" && v.text.contains("XB was responsible: Offer")),
        "{found:?}"
    );
}

#[test]
fn two_countries_that_are_both_responsible_are_found() {
    let mut story = Story::admitted();
    story.chain(Side::A, 2, Phase::Here {});
    story.check(&[
        "C2: R: XB is responsible at epoch 2, XA says XA at epoch 2",
        "C2: R: 2 countries say that they are responsible",
    ]);
}

#[test]
fn a_robot_that_nobody_is_responsible_for_is_found() {
    let mut story = Story::admitted();
    story.chain(Side::B, 2, Phase::Elsewhere {});
    story.check(&[
        "C2: R: XB is responsible at epoch 2, XB says nobody at epoch 2",
        "C2: R: 0 countries say that they are responsible",
    ]);
}

#[test]
fn a_movement_that_is_told_twice_is_found() {
    let mut story = Story::admitted();
    let told = story
        .kept(Side::A)
        .trail
        .last()
        .cloned()
        .expect("a movement");
    story.kept(Side::A).trail.push(told);
    story.check(&["C4: R: 2 times in the trail of XA: Admit of T2 at epoch 2 by XB"]);
}

#[test]
fn a_movement_that_was_never_written_is_found() {
    let mut story = Story::admitted();
    let made_up = Movement {
        leaf: leaf(99),
        ..story.kept(Side::A).trail[1].clone()
    };
    story.kept(Side::A).trail.push(made_up);
    story.check(&["C4: R: the trail of XA shows a Offer that XA does not have"]);
}

#[test]
fn an_acknowledged_step_that_is_gone_is_found() {
    let mut story = Story::admitted();
    story.ask(Side::A, Step::Cancel, 2, Came::Written(leaf(77)));
    let lost = format!(
        "I2: Cancel of T2 at A was acknowledged as leaf {} and is not there",
        leaf(77)
    );
    story.check(&[&lost]);
}

#[test]
fn a_step_that_was_only_ever_refused_is_found() {
    let mut story = Story::admitted();
    for asked in &mut story.run.asked {
        if asked.step == Step::Admit {
            asked.came = Came::Refused(Reason::NotReleased);
        }
    }
    story.check(&["I3: Admit of T2 at B is there, and nobody was told so"]);
}

#[test]
fn a_step_whose_answer_was_lost_may_be_there() {
    let mut story = Story::admitted();
    for asked in &mut story.run.asked {
        asked.came = Came::Unknown;
    }
    story.check(&[]);
}

#[test]
fn a_transfer_that_ends_otherwise_abroad_is_found() {
    let mut story = Story::admitted();
    story.ended(Side::B).transfers[1].ending = None;
    story.check(&["C2: transfer T2 ended Some(Admit) in A and None in B"]);
}

#[test]
fn claims_that_follow_the_chain_hold() {
    let mut story = Story::admitted();
    for (side, place) in [
        (Side::A, 2),
        (Side::A, 4),
        (Side::A, 8),
        (Side::B, 9),
        (Side::B, 10),
    ] {
        story.claim(side, place);
    }
    story.check(&[]);
}

#[test]
fn a_claim_by_both_countries_at_one_place_is_found() {
    let mut story = Story::admitted();
    story.claim(Side::B, 10);
    story.claim(Side::A, 10);
    story.check(&["C1: R: both countries claim it at epoch 2"]);
}

#[test]
fn a_claim_by_the_exporter_after_the_admission_is_found() {
    let mut story = Story::admitted();
    story.claim(Side::B, 10);
    story.claim(Side::A, 8);
    story.check(&["C1: R: A claims it at place 8 after B was seen to have it at place 10"]);
}

#[test]
fn claims_that_were_read_at_the_same_time_say_nothing_of_their_order() {
    let mut story = Story::admitted();
    story.claim(Side::B, 10);
    story.claim(Side::A, 8);
    story.run.claims[1].began = story.run.claims[0].began;
    story.check(&[]);
}

fn covered(change: impl FnOnce(&mut Story, &mut Coverage), expected: &[&str]) {
    let mut story = Story::admitted();
    story.ask(
        Side::B,
        Step::Admit,
        2,
        Came::Refused(Reason::AlreadyAdmitted),
    );
    let mut coverage = Coverage::default();
    change(&mut story, &mut coverage);
    let needed = Crossed {
        both_ways: 0,
        endings: BTreeMap::from([(Step::Admit, 1), (Step::Cancel, 1)]),
        repeated: 1,
        lost_answers: 0,
        faults: BTreeMap::from([("border cut", 1)]),
    };
    assert_eq!(custody_covered(&story.run, &coverage, &needed), expected);
}

#[test]
fn enough_is_enough() {
    covered(
        |story, coverage| {
            story.step(Side::B, Step::Admit, 3, 3, 0);
            // Between the two admissions.
            coverage.fault("border cut", 77);
            coverage.effect("border cut");
        },
        &[],
    );
}

#[test]
fn a_run_without_its_fault_is_no_run() {
    covered(|_, _| {}, &["0 times border cut with its effect, 1 needed"]);
}

#[test]
fn a_fault_after_which_nobody_was_admitted_is_none() {
    covered(
        |_, coverage| {
            coverage.fault("border cut", 1000);
            coverage.effect("border cut");
        },
        &["no robot was admitted after the fault at 1000 ns"],
    );
}

#[test]
fn a_run_in_which_too_little_ended_is_no_run() {
    covered(
        |story, coverage| {
            story.run.asked.pop();
            story.ended(Side::A).transfers.clear();
            story.step(Side::B, Step::Admit, 3, 3, 0);
            coverage.fault("border cut", 77);
            coverage.effect("border cut");
        },
        &[
            "0 transfers ended with Cancel, 1 needed",
            "0 transfers ended with Admit, 1 needed",
            "0 steps refused for the second time, 1 needed",
        ],
    );
}

#[test]
fn a_step_that_nobody_was_told_of_is_a_lost_answer() {
    let mut story = Story::admitted();
    for asked in &mut story.run.asked {
        if asked.step == Step::Depart {
            asked.came = Came::Unknown;
        }
    }
    let needed = |lost_answers| Crossed {
        both_ways: 0,
        endings: BTreeMap::new(),
        repeated: 0,
        lost_answers,
        faults: BTreeMap::new(),
    };
    let check = |least, expected: &[&str]| {
        let missing = custody_covered(&story.run, &Coverage::default(), &needed(least));
        assert_eq!(missing, expected);
    };
    check(1, &[]);
    check(2, &["1 steps written whose answer was lost, 2 needed"]);
}

#[test]
fn a_refusal_that_nothing_gives_cause_for_is_found() {
    let mut story = Story::admitted();
    story.ask(
        Side::B,
        Step::Admit,
        2,
        Came::Refused(Reason::AlreadyAdmitted),
    );
    story.check(&[]);
    story.ask(Side::B, Step::Admit, 2, Came::Refused(Reason::RobotUnknown));
    story.check(&["I11: Admit of T2 at B was refused with RobotUnknown"]);
}
