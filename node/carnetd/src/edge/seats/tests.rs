//! Holders that take all they can get, and one that wants one seat.

use super::*;

fn seats(total: usize, each: usize, over: Over) -> Seats<&'static str> {
    Seats::new(SeatLimits { total, each, over })
}

fn fill(seats: &mut Seats<&'static str>, holder: &'static str, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| match seats.take(&holder) {
            Ok(Taken { leaves: None, .. }) => "seat".to_owned(),
            Ok(Taken {
                leaves: Some(seat), ..
            }) => format!("instead of {seat}"),
            Err(why) => why.to_string(),
        })
        .collect()
}

#[test]
fn a_holder_gets_its_share_and_not_one_more() {
    let mut kept = seats(8, 3, Over::Refused);
    assert_eq!(
        fill(&mut kept, "a", 4),
        ["seat", "seat", "seat", "the share is used up"]
    );
    let mut fleeting = seats(8, 3, Over::OldestLeaves);
    assert_eq!(
        fill(&mut fleeting, "a", 5),
        ["seat", "seat", "seat", "instead of 0", "instead of 1"]
    );
    assert_eq!((kept.of(&"a"), fleeting.of(&"a")), (3, 3));
}

#[test]
fn when_all_are_taken_the_newcomer_gets_one_of_the_holder_with_most() {
    for over in [Over::Refused, Over::OldestLeaves] {
        let mut seats = seats(6, 6, over);
        fill(&mut seats, "few", 2);
        fill(&mut seats, "many", 4);
        assert_eq!(fill(&mut seats, "new", 1), ["instead of 2"], "{over:?}");
        assert_eq!(
            (seats.of(&"few"), seats.of(&"many"), seats.of(&"new")),
            (2, 3, 1)
        );
    }
}

#[test]
fn among_equals_what_is_proven_stays_and_what_is_not_makes_way() {
    let mut kept = seats(2, 2, Over::Refused);
    fill(&mut kept, "a", 1);
    fill(&mut kept, "b", 1);
    assert_eq!(fill(&mut kept, "c", 1), ["all places are taken"]);
    // Two for one: after a swap it would only be the other way round.
    let mut kept = seats(2, 2, Over::Refused);
    fill(&mut kept, "a", 2);
    assert_eq!(
        fill(&mut kept, "b", 2),
        ["instead of 0", "all places are taken"]
    );
    let mut fleeting = seats(2, 2, Over::OldestLeaves);
    fill(&mut fleeting, "a", 1);
    fill(&mut fleeting, "b", 1);
    assert_eq!(
        fill(&mut fleeting, "c", 2),
        // The second is its own: b has no more than c.
        ["instead of 0", "instead of 2"]
    );
}

/// Whatever a thousand requests of seven greedy holders do, an eighth that never has a seat gets one.
#[test]
fn no_crowd_of_greedy_holders_keeps_a_newcomer_out() {
    for over in [Over::Refused, Over::OldestLeaves] {
        let mut seats: Seats<u64> = Seats::new(SeatLimits {
            total: 16,
            each: 8,
            over,
        });
        let mut drawn = 7_u64;
        for _ in 0..1_000 {
            drawn = drawn
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Refused or not, it has no more than its share.
            let _ = seats.take(&(drawn >> 33).rem_euclid(7));
            assert!(seats.taken() <= 16);
            let newcomer = seats.take(&8).expect("a seat for the newcomer");
            seats.give_back(newcomer.seat);
        }
        for holder in 0..7 {
            assert!(seats.of(&holder) <= 8, "{holder}");
        }
    }
}

#[test]
fn a_seat_that_was_left_is_not_given_back_twice() {
    let mut seats = seats(1, 1, Over::OldestLeaves);
    let first = seats.take(&"a").expect("a seat").seat;
    let second = seats.take(&"b").expect("a seat");
    assert_eq!(second.leaves, Some(first));
    seats.give_back(first);
    assert_eq!((seats.taken(), seats.of(&"b")), (1, 1));
    seats.give_back(second.seat);
    assert_eq!(seats.taken(), 0);
}
