//! Bounds that no story reaches by itself: each at its last value, and beyond.

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{
    ARRAY_COUNT_MAX, Blob, Canonical, DEPTH_MAX, Decoder, Encoder,
};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::{Link, Step};
use carnet_domain::limits::{
    ADVANCE_MAX, CLOCKS_AGREE, FORK_STEPS_MAX, ITEM_COUNT_MAX, MAP_PROOF_COUNT_MAX, NOTE_BYTES_MAX,
    NOTE_SIGNATURE_COUNT_MAX, PASSPORT_BYTES_MAX, PROOF_COUNT_MAX, PROPOSED_TIME,
    RANGE_PROOF_COUNT_MAX, READINGS_MAX, RELEASE_MAX, ROUND_TRIP_MAX, SESSIONS_PER_SUBJECT_MAX,
};
use carnet_domain::log::authority::verify_header_in_log;
use carnet_domain::log::checkpoint::{NoteError, peek};
use carnet_domain::log::leaf::Kind;
use carnet_domain::log::map::{MapEnd, MapProof, MapProofError};
use carnet_domain::log::passport::{self, RecordError};
use carnet_domain::machine::entry::{Body, ClockReading, ItemAnswer, ProvenHead, Request};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Asking, PartyName};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::liar::{kinds_since, last_said, lies, link, say};
use carnet_hostile::scene::{act, d, export, offer, robot, two};
use carnet_kit::{Country, VOTERS, samples, text, transfer};

use crate::belief::peer_of;

const ONE: DurationMs = DurationMs(1);

fn reason(answer: &ItemAnswer) -> Option<Reason> {
    match answer {
        ItemAnswer::Refused { rejection } => Some(rejection.reason),
        ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => None,
    }
}

/// A country whose robot 1 the dealer has sold to its own enterprise.
fn sold() -> Country {
    let (mut a, _) = two();
    let code = a.code(1);
    a.must("maker", act(code, samples::stock_at_dealer(&a)));
    let owner = PartyName::Enterprise {
        id: a.enterprise("0002"),
    };
    a.must("dealer", act(code, Action::Sell { owner }));
    a
}

#[test]
fn a_release_stands_for_a_quarter_and_no_longer() {
    for (more, expected) in [(DurationMs(0), None), (ONE, Some(Reason::DeadlinePassed))] {
        let mut a = sold();
        a.session("owner");
        let latest = a.clock.saturating_add(RELEASE_MAX).saturating_add(more);
        let mut command = samples::release(&a, a.code(1), None, Asking::Waits);
        if let Command::Act {
            action: Action::ReleaseOwnership { until, .. },
            ..
        } = &mut command
        {
            *until = latest;
        }
        let answer = a.command("owner", command);
        assert_eq!(reason(&answer), expected, "{}", text(&answer));
    }
}

/// What one registrar says alone waits a week for another.
#[test]
fn the_first_of_two_words_waits_for_a_week_and_no_longer() {
    for (more, expected) in [(DurationMs(0), State::Annulled), (ONE, State::InStock)] {
        let mut a = sold();
        a.enrol_office("registrar-2", "registrar", Role::Registrar);
        let code = a.code(1);
        // It has an owner and stands in stock: one registrar alone does not annul it.
        let mut owned = robot(&a, &code);
        owned.state = State::InStock;
        let Ok(()) = a.ledger.put_robot(owned);
        let annul = act(
            code,
            Action::Annul {
                reason: "why".into(),
            },
        );
        a.session("registrar-2");
        a.must("registrar", annul.clone());
        assert_eq!(robot(&a, &code).state, State::InStock, "one word is none");
        let first = a.registry().log_time;
        a.clock = first.saturating_add(PROPOSED_TIME).saturating_add(more);
        a.must("registrar-2", annul);
        assert_eq!(robot(&a, &code).state, expected);
    }
}

/// A link is held against the last steps of its robot, so many leaves of ours and no more.
#[test]
fn a_fork_is_looked_for_among_the_last_steps_and_no_further() {
    // Each round is three of them: an offer, our refusal, its cancel.
    let most = (FORK_STEPS_MAX / 3) as u8;
    for (rounds, found) in [(1, true), (most, true), (most + 1, false)] {
        let (mut a, mut b) = two();
        let register = b.register(1);
        b.must("maker", register);
        let code = b.code(1);
        export(&mut b, &mut a, code, 1);
        let mut first = None;
        for round in 0..rounds {
            let number = 2 + round;
            let offered = offer(&a, &b, code, number);
            a.must("customs", offered);
            first.get_or_insert_with(|| last_said(&a, &b.prefix));
            a.deliver(&mut b);
            let refuse = Command::RefuseImport {
                transfer: transfer(number),
                reason: "not now".into(),
            };
            b.must("customs", refuse);
            b.deliver(&mut a);
            a.deliver(&mut b);
        }
        let mut slots = first.expect("it was offered");
        let before = slots.values[usize::from(slot::CUSTODY)].as_deref();
        let before = Link::from_bytes(before.expect("shown")).expect("a link");
        let again = link(
            Step::Offer,
            90,
            before.epoch,
            &a.prefix,
            &b.prefix,
            before.prev,
        );
        slots.set(slot::CUSTODY, &again);
        slots.set(slot::EVENT, &offer(&a, &b, code, 90));
        say(&mut a, Kind::Custody, &code, slots, &b.prefix);
        let size = b.registry().tree.size();
        let batch = lies(&mut a, &b);
        b.apply(Body::Foreign { batch });
        let is_evidence = kinds_since(&b, size).contains(&Kind::ForkEvidence);
        assert_eq!(is_evidence, found, "{rounds} rounds");
        assert_eq!(peer_of(&b, &a.prefix).quarantined, found);
    }
}

/// A client that loses its sessions again and again keeps the newest.
#[test]
fn a_subject_has_so_many_sessions_and_the_oldest_makes_way() {
    let mut a = Country::with_market("86");
    let mut opened = Vec::new();
    for number in 0..=SESSIONS_PER_SUBJECT_MAX {
        let opening = a.opening_under("a certificate", "maker", [number as u8; 16]);
        opened.push(a.apply(opening).session.expect("opened"));
        let stands = |id: &u64| {
            let Ok(session) = a.ledger.session(*id);
            session.is_some()
        };
        let is_full = number == SESSIONS_PER_SUBJECT_MAX;
        assert_eq!(stands(&opened[0]), !is_full, "after {}", number + 1);
        assert!(opened[1..].iter().all(stands));
    }
}

/// The clocks of the voters, each `behind` and read within `round_trip`, say that it is `to`; `count` members tell theirs.
fn clocks(to: TimeMs, behind: DurationMs, round_trip: DurationMs, count: usize) -> Body {
    let reading = |node| ClockReading {
        node,
        at: TimeMs(to.0 - behind.0),
        round_trip,
    };
    Body::AdvanceTime {
        to,
        readings: (1..=count as u64).map(reading).collect(),
    }
}

#[test]
fn clocks_move_time_within_their_bounds_and_not_beyond() {
    let voters = VOTERS.len();
    let none = DurationMs(0);
    let more = |bound: DurationMs| DurationMs(bound.0 + ONE.0);
    for (ahead, behind, round_trip, count, expected) in [
        (ADVANCE_MAX, none, none, voters, None),
        (
            more(ADVANCE_MAX),
            none,
            none,
            voters,
            Some(Reason::TimeNeedsRoots),
        ),
        (ADVANCE_MAX, none, none, READINGS_MAX, None),
        (
            ADVANCE_MAX,
            none,
            none,
            READINGS_MAX + 1,
            Some(Reason::Malformed),
        ),
        (ADVANCE_MAX, none, ROUND_TRIP_MAX, voters, None),
        (
            ADVANCE_MAX,
            none,
            more(ROUND_TRIP_MAX),
            voters,
            Some(Reason::ClocksDisagree),
        ),
        (ADVANCE_MAX, CLOCKS_AGREE, none, voters, None),
        (
            ADVANCE_MAX,
            more(CLOCKS_AGREE),
            none,
            voters,
            Some(Reason::ClocksDisagree),
        ),
    ] {
        let mut a = Country::with_market("86");
        let to = a.registry().log_time.saturating_add(ahead);
        let answer = a
            .apply_unrenewed(clocks(to, behind, round_trip, count))
            .items;
        let found = reason(&answer[0]);
        assert_eq!(
            found, expected,
            "{ahead:?} {behind:?} {round_trip:?} {count}"
        );
        assert_eq!(a.registry().log_time == to, expected.is_none());
    }
}

fn is_read<T: Canonical>(value: &T) -> bool {
    T::from_bytes(&value.to_bytes()).is_ok()
}

#[test]
fn proofs_and_parts_are_read_up_to_their_bounds() {
    let path = |count| ProvenHead {
        index: 1,
        leaf: Blob(vec![1]),
        path: vec![Digest::ZERO; count],
    };
    assert!(is_read(&path(PROOF_COUNT_MAX)) && !is_read(&path(PROOF_COUNT_MAX + 1)));
    let mut a = Country::with_market("86");
    let commands = [a.register(1)];
    let honest = a.request("maker", &commands);
    let range = |count| Request {
        range_proof: vec![Digest::ZERO; count],
        ..honest.clone()
    };
    assert!(is_read(&range(RANGE_PROOF_COUNT_MAX)) && !is_read(&range(RANGE_PROOF_COUNT_MAX + 1)));
    let many = ITEM_COUNT_MAX as usize;
    let items = |count| Request {
        items: vec![Blob(vec![1]); count],
        ..honest.clone()
    };
    assert!(is_read(&items(many)) && !is_read(&items(many + 1)));
    let key = a.key("maker").public();
    let header = a.header("maker", &commands);
    let is_good = |item_count| {
        let mut header = header.clone();
        (header.item_count, header.part_items) = (item_count, 1);
        let signature = a.key("maker").sign(&header.signing_bytes());
        verify_header_in_log(&header.to_bytes(), &signature, &key, false).is_ok()
    };
    assert!(is_good(ITEM_COUNT_MAX) && !is_good(ITEM_COUNT_MAX + 1) && !is_good(0));
}

#[test]
fn the_form_of_bytes_has_bounds_of_its_own() {
    let nested = |depth: u32| {
        let mut e = Encoder::new();
        (0..depth).for_each(|_| e.array(1));
        e.uint(1);
        let bytes = e.finish();
        let mut decoder = Decoder::new(&bytes);
        (0..depth).all(|_| decoder.array().is_ok())
    };
    assert!(nested(DEPTH_MAX) && !nested(DEPTH_MAX + 1));
    let list = |count: u64| {
        let mut e = Encoder::new();
        e.array(count as usize);
        (0..count).for_each(|_| e.uint(1));
        let bytes = e.finish();
        Decoder::new(&bytes).array().is_ok()
    };
    assert!(list(ARRAY_COUNT_MAX) && !list(ARRAY_COUNT_MAX + 1));
}

#[test]
fn a_note_and_a_record_are_read_up_to_their_bounds() {
    let mut a = Country::with_market("86");
    a.close();
    let note = a.registry().checkpoint;
    let line = note.lines().last().expect("a signature").to_owned();
    let with = |count: usize| {
        let more: Vec<&str> = std::iter::repeat_n(line.as_str(), count - 1).collect();
        peek(&format!("{note}{}\n", more.join("\n")))
    };
    assert!(with(NOTE_SIGNATURE_COUNT_MAX).is_ok());
    assert!(matches!(
        with(NOTE_SIGNATURE_COUNT_MAX + 1),
        Err(NoteError::Line)
    ));
    let too_long = |length| matches!(peek(&"x".repeat(length)), Err(NoteError::TooLong));
    assert!(!too_long(NOTE_BYTES_MAX) && too_long(NOTE_BYTES_MAX + 1));
    let too_long = |length| {
        let read = passport::parse(&vec![0; length]);
        matches!(read, Err(RecordError::TooLong(_)))
    };
    assert!(!too_long(PASSPORT_BYTES_MAX) && too_long(PASSPORT_BYTES_MAX + 1));
}

#[test]
fn a_proof_of_the_map_has_a_hash_for_each_bit_and_no_more() {
    let key = sha256(&[b"key"]);
    let verified = |count| {
        let proof = MapProof {
            siblings: vec![d("beside"); count],
            end: MapEnd::Empty,
        };
        proof.verify(&Digest::ZERO, &key)
    };
    let long = verified(MAP_PROOF_COUNT_MAX + 1);
    assert_eq!(long, Err(MapProofError::Length(MAP_PROOF_COUNT_MAX + 1)));
    assert_eq!(verified(MAP_PROOF_COUNT_MAX), Err(MapProofError::Root));
}
