//! Log time: its ceiling, what lifts it, and what the roots alone may do.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{CEILING_AHEAD, LOG_TIME_MAX, READINGS_MAX};
use carnet_domain::log::leaf::{EntrySeed, Kind, Leaf};
use carnet_domain::machine;
use carnet_domain::machine::entry::{Body, ClockReading, Entry, ItemAnswer, Stamp, Voters};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Statement, TimeChange};
use carnet_domain::rules::rejection::Reason;
use carnet_kit::{Country, text};

use crate::rules::market;

const HOUR: u64 = 3_600_000;

/// A market whose ceiling a quorum has set, and the time it confirmed.
fn confirmed() -> (Country, TimeMs) {
    let mut x = market();
    x.advance(DurationMs(0));
    let now = x.registry().log_time;
    assert_eq!(x.registry().ceiling, now.saturating_add(CEILING_AHEAD));
    (x, now)
}

#[test]
fn a_quorum_is_more_than_half_of_every_set_of_voters() {
    let nodes = |ids: &[u64]| ids.iter().copied().collect();
    let quorum = |sets: &[&[u64]], ids: &[u64]| {
        Voters(sets.iter().map(|set| nodes(set)).collect()).have_quorum(&nodes(ids))
    };
    for count in 1..=7_u64 {
        let all: Vec<u64> = (1..=count).collect();
        for present in 0..=all.len() {
            let expected = present * 2 > all.len();
            assert_eq!(
                quorum(&[&all], &all[..present]),
                expected,
                "{present} of {count}"
            );
        }
    }
    assert!(!quorum(&[], &[1, 2, 3]), "nobody votes");
    assert!(!quorum(&[&[1, 2, 3]], &[3, 4, 5]), "others do not count");
    assert!(!quorum(&[&[1, 2, 3], &[1, 4, 5]], &[1, 2]));
    assert!(quorum(&[&[1, 2, 3], &[1, 4, 5]], &[1, 2, 4]));
}

/// Readings as (node, milliseconds beside `to`, round trip).
fn advance(to: TimeMs, readings: &[(u64, i64, u64)]) -> Body {
    let reading = |(node, beside, round_trip): &(u64, i64, u64)| ClockReading {
        node: *node,
        at: TimeMs(to.as_ms().saturating_add_signed(*beside)),
        round_trip: DurationMs(*round_trip),
    };
    Body::AdvanceTime {
        to,
        readings: readings.iter().map(reading).collect(),
    }
}

fn answered(x: &mut Country, body: Body) -> String {
    let answer = x.apply_unrenewed(body);
    answer.items.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// Applies and expects a refusal that moves nothing.
fn refused(x: &mut Country, body: Body, expected: &str) {
    let before = x.registry();
    let said = answered(x, body);
    assert!(said.starts_with(expected), "{said}, expected {expected}");
    assert_eq!(x.registry(), before, "{expected}");
}

#[test]
fn a_stamp_above_the_ceiling_is_refused_and_moves_nothing() {
    let (mut x, now) = confirmed();
    let ceiling = now.saturating_add(CEILING_AHEAD);
    x.clock = ceiling.saturating_add(DurationMs(1));
    refused(&mut x, Body::Seal {}, "ClockAhead: stamp ");
    x.clock = TimeMs::MAX;
    refused(&mut x, Body::Seal {}, "ClockAhead: stamp ");
    x.clock = ceiling;
    answered(&mut x, Body::Seal {});
    assert_eq!(x.registry().log_time, ceiling);
}

/// The fault: four steps of the leader's clock, with a write each, moved log time half an hour.
#[test]
fn steps_of_one_clock_move_nothing_more_than_the_ceiling() {
    let (mut x, now) = confirmed();
    for step in 1..=4 {
        x.clock = now.saturating_add(DurationMs(step * 400_000));
        let register = x.register(step as u32 + 1);
        let request = x.request_unrenewed("maker", &[register]);
        let body = x.client_body(request);
        refused(&mut x, body, "ClockAhead");
        // A minority confirms nothing, however often.
        let alone = advance(x.clock, &[(1, 0, 0), (2, -400_000, 1), (3, -400_000, 1)]);
        refused(&mut x, alone, "ClocksDisagree");
    }
    assert!(x.registry().log_time <= now.saturating_add(CEILING_AHEAD));
}

/// The fault: three nodes a year ahead set log time to next year for good.
#[test]
fn all_clocks_together_move_an_hour_at_the_most() {
    let (mut x, now) = confirmed();
    let year = now.saturating_add(DurationMs::from_days(365));
    refused(&mut x, Country::confirmation(year), "TimeNeedsRoots: ");
    let beyond = now.saturating_add(DurationMs(HOUR + 1));
    refused(&mut x, Country::confirmation(beyond), "TimeNeedsRoots: ");
    let hour = now.saturating_add(DurationMs(HOUR));
    assert_eq!(answered(&mut x, Country::confirmation(hour)), "nothing");
    assert_eq!(x.registry().log_time, hour);
}

/// The fault: one command of time set it to the end of all dates.
#[test]
fn no_command_ends_the_registry() {
    let (mut x, now) = confirmed();
    refused(&mut x, Country::confirmation(TimeMs::MAX), "Malformed");
    let after = LOG_TIME_MAX.saturating_add(DurationMs(1));
    refused(&mut x, Country::confirmation(after), "Malformed");
    let none = Body::AdvanceTime {
        to: now,
        readings: Vec::new(),
    };
    refused(&mut x, none, "ClocksDisagree");
    // A date after all dates is no date.
    let bytes = Entry {
        stamp: Stamp {
            at: TimeMs(u64::MAX),
            seed: EntrySeed([0; 32]),
        },
        body: Body::Seal {},
    }
    .to_bytes();
    assert!(Entry::from_bytes(&bytes).is_err());
}

#[test]
fn the_evidence_is_a_quorum_of_the_voters_within_two_seconds() {
    let (mut x, now) = confirmed();
    let to = now.saturating_add(DurationMs(5_000));
    for (readings, expected) in [
        (&[(1, 0, 0)][..], "ClocksDisagree"),
        (&[(1, 0, 0), (4, 0, 0)], "ClocksDisagree"),
        (&[(1, 0, 0), (2, 2_001, 0)], "ClocksDisagree"),
        (&[(1, 0, 0), (2, -2_001, 0)], "ClocksDisagree"),
        (&[(1, 0, 0), (2, 1_900, 202)], "ClocksDisagree"),
        (&[(1, 0, 0), (2, 0, 1_001)], "ClocksDisagree"),
        (&[(1, 0, 0), (2, 0, u64::MAX)], "ClocksDisagree"),
        (&[(1, 0, 0), (1, 0, 0)], "Malformed"),
        (&[(2, 0, 0), (1, 0, 0)], "Malformed"),
    ] {
        refused(&mut x, advance(to, readings), expected);
    }
    let many: Vec<(u64, i64, u64)> = (1..=READINGS_MAX as u64 + 1).map(|n| (n, 0, 0)).collect();
    refused(&mut x, advance(to, &many), "Malformed");
    for readings in [
        [(1, 0, 0), (3, 2_000, 0)],
        [(1, 1_900, 200), (2, -2_000, 0)],
        [(2, 0, 1_000), (3, 1_500, 1_000)],
    ] {
        assert_eq!(answered(&mut x, advance(to, &readings)), "nothing");
        assert_eq!(x.registry().log_time, to);
    }
}

#[test]
fn while_members_change_both_halves_confirm() {
    let (mut x, now) = confirmed();
    let sets = [[1, 2, 3], [3, 4, 5]].map(|set| set.into_iter().collect());
    x.ledger.set_voters(Voters(sets.to_vec()));
    let to = now.saturating_add(DurationMs(5_000));
    refused(
        &mut x,
        advance(to, &[(1, 0, 0), (2, 0, 0), (3, 0, 0)]),
        "ClocksDisagree",
    );
    let both = advance(to, &[(2, 0, 0), (3, 0, 0), (4, 0, 0)]);
    assert_eq!(answered(&mut x, both), "nothing");
    x.ledger.set_voters(Voters::default());
    let nobody = advance(to, &[(1, 0, 0), (2, 0, 0), (3, 0, 0)]);
    refused(&mut x, nobody, "ClocksDisagree");
}

fn change(x: &Country, number: u64, from: TimeMs, to: TimeMs) -> TimeChange {
    TimeChange {
        cluster: x.registry().cluster,
        number,
        from,
        to,
    }
}

fn repair(x: &mut Country, number: u64, from: TimeMs, to: TimeMs) -> String {
    let change = change(x, number, from, to);
    text(&x.state_unrenewed(&Statement::RepairTime { change }))
}

fn advance_by_roots(x: &mut Country, number: u64, from: TimeMs, to: TimeMs) -> String {
    let change = change(x, number, from, to);
    text(&x.state_unrenewed(&Statement::AdvanceTime { change }))
}

#[test]
fn after_a_long_outage_the_roots_move_time_on() {
    let (mut x, now) = confirmed();
    let later = now.saturating_add(DurationMs::from_days(2));
    x.clock = later;
    refused(&mut x, Body::Seal {}, "ClockAhead");
    refused(&mut x, Country::confirmation(later), "TimeNeedsRoots");
    assert_eq!(advance_by_roots(&mut x, 1, now, later), "done");
    assert_eq!(x.registry().log_time, later);
    assert_eq!(x.registry().ceiling, later.saturating_add(CEILING_AHEAD));
    let again = advance_by_roots(&mut x, 1, now, later);
    assert!(
        again.starts_with("StatementStale: time statement 1"),
        "{again}"
    );
    let soon = later.saturating_add(DurationMs(HOUR));
    assert_eq!(answered(&mut x, Country::confirmation(soon)), "nothing");
}

#[test]
fn the_roots_set_back_a_clock_that_ran_ahead() {
    let (mut x, now) = confirmed();
    let ahead = now.saturating_add(DurationMs(3_000_000));
    assert_eq!(answered(&mut x, Country::confirmation(ahead)), "nothing");
    x.clock = now.saturating_add(DurationMs(60_000));
    x.seal();
    assert_eq!(
        x.registry().log_time,
        ahead,
        "healed clocks do not set it back"
    );
    let size = x.registry().tree.size();

    let to = x.clock;
    assert_eq!(repair(&mut x, 1, ahead, to), "done");
    assert_eq!(x.registry().log_time, to);
    assert_eq!(x.registry().ceiling, to.saturating_add(CEILING_AHEAD));
    assert_eq!(x.registry().tree.size(), size + 1, "one leaf");
    let Ok(leaf) = x.ledger.leaf(size);
    let leaf = Leaf::from_bytes(&leaf.expect("a leaf").leaf.0).expect("a leaf");
    assert_eq!((leaf.kind, leaf.t_ms), (Kind::Policy, to));

    let register = x.register(2);
    x.must("maker", register);
    let seal = x.seal();
    assert!(
        matches!(seal.items[..], [ItemAnswer::Done { .. }]),
        "{seal:?}"
    );
    assert_eq!(
        x.registry().sealed.map(|sealed| sealed.at),
        Some(x.registry().log_time)
    );
    assert!(x.registry().log_time < ahead);
}

#[test]
fn a_repair_is_good_once_and_only_near_its_time() {
    let (mut x, now) = confirmed();
    let ahead = now.saturating_add(DurationMs(3_000_000));
    answered(&mut x, Country::confirmation(ahead));
    let far = ahead.saturating_add(DurationMs(HOUR + 1));
    let untouched = x.registry();
    for (said, expected) in [
        (
            repair(&mut x, 2, ahead, now),
            "StatementStale: time statement 2",
        ),
        (repair(&mut x, 1, far, now), "StatementStale: from"),
        (repair(&mut x, 1, ahead, ahead), "StatementStale: from"),
        (repair(&mut x, 1, ahead, far), "StatementStale: from"),
        (
            advance_by_roots(&mut x, 1, ahead, now),
            "StatementStale: from",
        ),
        (
            advance_by_roots(&mut x, 1, ahead, LOG_TIME_MAX.saturating_add(DurationMs(1))),
            "Malformed",
        ),
    ] {
        assert!(said.starts_with(expected), "{said}, expected {expected}");
    }
    let elsewhere = TimeChange {
        cluster: [9; 16],
        ..change(&x, 1, ahead, now)
    };
    let said = text(&x.state_unrenewed(&Statement::RepairTime { change: elsewhere }));
    assert!(said.starts_with("WrongAudience"), "{said}");
    assert_eq!(x.registry(), untouched);
    assert_eq!(repair(&mut x, 1, ahead, now), "done");
    // An hour later log time stands there again; the old statement is still used up.
    answered(&mut x, Country::confirmation(ahead));
    let said = repair(&mut x, 1, ahead, now);
    assert!(said.starts_with("StatementStale"), "{said}");
}

#[test]
fn a_statement_about_time_takes_the_threshold_of_the_roots() {
    let (mut x, now) = confirmed();
    let change = change(&x, 1, now, now.saturating_sub(DurationMs(1)));
    let mut signed = x.sign_statement(&Statement::RepairTime { change });
    signed.signatures.truncate(1);
    refused(&mut x, Body::Root { signed }, "StatementUnsigned");
}

#[test]
fn a_repair_is_no_error_for_a_peer() {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    carnet_kit::befriend(&mut a, &mut b);
    a.deliver(&mut b);
    a.advance(DurationMs(3_000_000));
    let ahead = a.registry().log_time;
    a.close();
    let to = ahead.saturating_sub(DurationMs(2_000_000));
    a.clock = to;
    assert_eq!(repair(&mut a, 1, ahead, to), "done");
    let answers = a.deliver(&mut b);
    let said: Vec<String> = answers.iter().map(text).collect();
    assert_eq!(said, ["nothing"], "taken, and nothing to do");
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let peer = peer.expect("a peer");
    assert!(!peer.quarantined);
    // What is left of it is a note.
    let at = b.registry().log_time;
    let note = carnet_domain::record::peer::Repaired {
        from: ahead,
        to,
        at,
    };
    assert_eq!(peer.repaired, Some(note));
    let register = a.register(9);
    a.must("maker", register);
    let declared = a.declare(9, carnet_kit::transfer(9), &b.prefix);
    a.must("customs", declared);
    a.deliver(&mut b);
    let Ok(peer) = b.ledger.peer(&a.prefix);
    assert_eq!(peer.expect("a peer").repaired, Some(note), "it stays");
    let register = a.register(1);
    a.must("maker", register);
}

#[test]
fn time_is_replayed_to_the_same_bytes() {
    let (mut x, now) = confirmed();
    let ahead = now.saturating_add(DurationMs(1_000_000));
    answered(&mut x, Country::confirmation(ahead));
    x.clock = now;
    repair(&mut x, 1, ahead, now);
    x.advance(DurationMs::from_days(1));
    x.seal();
    let mut other = Country::unborn("86").ledger;
    for entry in &x.entries {
        let again = Entry::from_bytes(&entry.to_bytes()).expect("canonical");
        let Ok(_) = machine::apply(&mut other, &again);
    }
    assert_eq!(other.digest(), x.ledger.digest());
}

#[test]
fn the_reasons_say_what_to_do() {
    assert!(
        Reason::TimeNeedsRoots
            .remedy()
            .contains("have the roots move log time")
    );
}
