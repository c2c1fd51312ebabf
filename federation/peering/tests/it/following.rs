//! The client side: each item once, whatever breaks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use carnet_domain::limits::NOTE_KEPT_BYTES_MAX;
use carnet_domain::machine::entry::{Body, ChainRun, ItemAnswer, MailItem};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::LogDoubt;
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_kit::{Country, befriend};
use carnet_peering::follower::{MESSAGES_AHEAD, MESSAGES_PER_SECOND};
use carnet_peering::home::{Home as _, HomeError};
use carnet_peering::server::STREAMS_PER_PEER_MAX;

use crate::world::{ENDPOINT, Lines, Running, World, once_each, settle, two, until};

fn contacts_of(running: &Running, peer: carnet_domain::bytes::code::Prefix) -> u64 {
    running.board.of(peer).map_or(0, |peer| peer.contacts)
}

async fn delivered(to: &Arc<World>, from: &Arc<World>, count: u64) {
    let prefix = from.prefix();
    until("delivered", || to.known(prefix).cursor == count).await;
    assert_eq!(to.applied(), once_each(count));
}

#[tokio::test]
async fn items_arrive_once_and_in_order() {
    let (a, b, lines) = two();
    let mut running = Running::follow(&b, &lines);
    a.offer(0..3, b.prefix());
    a.publish();
    delivered(&b, &a, 3).await;
    a.offer(3..5, b.prefix());
    a.publish();
    delivered(&b, &a, 5).await;
    assert!(running.never_paused());
    let status = running.board.of(a.prefix()).unwrap();
    assert_eq!((status.cursor, status.applied, status.pending), (5, 5, 0));
    assert!(status.following && status.last_error.is_none());
    assert_eq!(status.newest.unwrap().size, b.known(a.prefix()).size_seen);
}

/// An inquiry moves on what is known of a log while its mailbox is followed: the mail goes on from there.
#[tokio::test]
async fn a_head_that_was_taken_in_from_elsewhere_breaks_no_mail() {
    let (a, b, lines) = two();
    let mut running = Running::follow(&b, &lines);
    a.offer(0..1, b.prefix());
    a.publish();
    delivered(&b, &a, 1).await;
    for round in 1..4 {
        a.offer(0..0, b.prefix());
        a.country.lock().unwrap().clock.0 += 60_000;
        a.publish();
        let shown = {
            let known = b.known(a.prefix());
            let country = a.country.lock().unwrap();
            let mail = country.mail(&b.prefix(), known.size_seen, known.cursor);
            let mut batch = mail.expect("a closed log");
            batch.items.clear();
            batch
        };
        b.propose_foreign(shown).await.expect("taken in");
        assert_eq!(b.known(a.prefix()).size_seen, *a.published.borrow());
        a.offer(round..round + 1, b.prefix());
        a.publish();
        delivered(&b, &a, u64::from(round) + 1).await;
    }
    assert!(running.never_paused());
    let status = running.board.of(a.prefix()).unwrap();
    assert!(status.last_error.is_none(), "{:?}", status.last_error);
}

#[tokio::test]
async fn nothing_that_is_not_published_arrives() {
    let (a, b, lines) = two();
    let running = Running::follow(&b, &lines);
    until("contact", || running.board.newest(a.prefix()).is_some()).await;
    a.offer(0..1, b.prefix());
    a.published.send_modify(|_| {});
    settle().await;
    assert_eq!(b.proposals(), 0);
    a.publish();
    delivered(&b, &a, 1).await;
}

#[tokio::test]
async fn a_head_without_items_is_shown_and_not_proposed() {
    let (a, b, lines) = two();
    let running = Running::follow(&b, &lines);
    let newest = || running.board.newest(a.prefix()).map(|(head, _)| head.size);
    for _ in 0..3 {
        a.offer(0..0, b.prefix());
        a.country.lock().unwrap().clock.0 += 120_000;
        a.publish();
        let size = *a.published.borrow();
        until("shown", || newest() == Some(size)).await;
    }
    assert_eq!(b.proposals(), 0);
}

#[tokio::test]
async fn heads_without_end_are_read_as_fast_as_a_peer_may_send_and_not_faster() {
    let (a, b, lines) = two();
    let mut running = Running::follow(&b, &lines);
    let publish = || {
        a.offer(0..0, b.prefix());
        a.country.lock().unwrap().clock.0 += 120_000;
        a.publish();
    };
    // What was published before comes first.
    until("contact", || contacts_of(&running, a.prefix()) == 1).await;
    for count in 2..=MESSAGES_AHEAD {
        publish();
        until("read", || contacts_of(&running, a.prefix()) == count).await;
    }
    assert_eq!(running.board.of(a.prefix()).unwrap().held_back, 0);
    // One more is read, and whatever comes then waits.
    publish();
    until("read", || {
        contacts_of(&running, a.prefix()) == MESSAGES_AHEAD + 1
    })
    .await;
    publish();
    let wait = running.paused().await;
    assert_eq!(wait, Duration::from_secs(1) / MESSAGES_PER_SECOND as u32);
    settle().await;
    assert_eq!(contacts_of(&running, a.prefix()), MESSAGES_AHEAD + 1);
    assert_eq!(running.board.of(a.prefix()).unwrap().held_back, 1);
    // A pause that was too short is not enough.
    running.go_on();
    assert_eq!(running.paused().await, wait);
    b.time_ms.fetch_add(60_000, Ordering::SeqCst);
    running.go_on();
    until("read", || {
        contacts_of(&running, a.prefix()) == MESSAGES_AHEAD + 2
    })
    .await;
}

#[tokio::test]
async fn a_full_mailbox_comes_in_parts_that_fit_into_entries() {
    let (a, b, lines) = two();
    a.offer(0..300, b.prefix());
    a.publish();
    let _running = Running::follow(&b, &lines);
    delivered(&b, &a, 300).await;
    // 256 items are one batch, and more than one entry.
    assert!(3 <= b.proposals(), "{}", b.proposals());
}

#[tokio::test]
async fn a_broken_connection_costs_nothing_but_time() {
    let (a, b, lines) = two();
    let mut running = Running::follow(&b, &lines);
    for round in 0..4_u32 {
        a.offer(round..round + 1, b.prefix());
        a.publish();
        delivered(&b, &a, u64::from(round) + 1).await;
        lines.break_all(ENDPOINT);
        // What was believed on the stream resets the pause.
        assert_eq!(running.paused().await, Duration::from_secs(1));
        running.go_on();
    }
}

#[tokio::test]
async fn pauses_double_up_to_half_a_minute() {
    let (a, b, lines) = two();
    lines.cut(ENDPOINT, true);
    let mut running = Running::follow(&b, &lines);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        pauses.push(running.paused().await.as_secs());
        running.go_on();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    assert!(running.last_error(a.prefix()).starts_with("refused: "));
    let status = running.board.of(a.prefix()).unwrap();
    assert!(7 <= status.errors_in_a_row && status.contacts == 0);
    lines.cut(ENDPOINT, false);
    running.go_on();
    a.offer(0..1, b.prefix());
    a.publish();
    delivered(&b, &a, 1).await;
}

/// One that has no time is there: it counted as one error after the other, and was called dead.
#[tokio::test]
async fn a_peer_that_is_overloaded_is_asked_again_and_not_called_dead() {
    let (a, b, lines) = two();
    // As many streams as it gives one peer at a time.
    let mut others: Vec<Running> = Vec::new();
    for _ in 0..STREAMS_PER_PEER_MAX {
        let other = Running::follow(&b, &lines);
        until("followed", || contacts_of(&other, a.prefix()) == 1).await;
        others.push(other);
    }
    let mut running = Running::follow(&b, &lines);
    for expected in [1, 2, 4] {
        assert_eq!(running.paused().await, Duration::from_secs(expected));
        let status = running.board.of(a.prefix()).unwrap();
        assert_eq!((status.errors_in_a_row, status.last_error), (0, None));
        assert_eq!(status.overloaded, Some(b.wall()));
        b.time_ms.fetch_add(expected * 1_000, Ordering::SeqCst);
        if expected < 4 {
            running.go_on();
        }
    }
    // It has time again.
    for other in &others {
        other.stop.cancel();
    }
    settle().await;
    running.go_on();
    until("followed", || contacts_of(&running, a.prefix()) == 1).await;
}

/// A server that took the connection and said nothing was waited for ten seconds, at every turn.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_says_nothing_is_left_for_the_next() {
    let (a, b, lines) = two();
    let silent = "silent.example:1";
    lines.silent(silent);
    let at = vec![silent.to_owned(), ENDPOINT.to_owned()];
    b.endpoints.lock().unwrap().insert(a.prefix(), at);
    a.offer(0..1, b.prefix());
    a.publish();
    let begun = tokio::time::Instant::now();
    let mut running = Running::follow(&b, &lines);
    running.paused().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert_eq!(running.last_error(a.prefix()), "no answer in 3 s");
    running.go_on();
    delivered(&b, &a, 1).await;
}

#[tokio::test]
async fn endpoints_are_tried_in_turn() {
    let (a, b, lines) = two();
    let at = vec!["nobody.example:1".to_owned(), ENDPOINT.to_owned()];
    b.endpoints.lock().unwrap().insert(a.prefix(), at);
    a.offer(0..1, b.prefix());
    a.publish();
    let mut running = Running::follow(&b, &lines);
    running.paused().await;
    assert_eq!(lines.dials(ENDPOINT), 0);
    running.go_on();
    delivered(&b, &a, 1).await;
}

#[tokio::test]
async fn a_lost_answer_is_found_out_from_the_state() {
    let (a, b, lines) = two();
    *b.instead.lock().unwrap() = Some(Box::new(|number, country, batch| {
        (number == 0).then(|| {
            let body = Body::Foreign {
                batch: batch.clone(),
            };
            country.apply(body);
            Err(HomeError::Unknown("the leader stepped down".into()))
        })
    }));
    a.offer(0..2, b.prefix());
    a.publish();
    let mut running = Running::follow(&b, &lines);
    running.paused().await;
    assert_eq!(
        running.last_error(a.prefix()),
        "not applied: the outcome is unknown: the leader stepped down"
    );
    assert_eq!(b.known(a.prefix()).cursor, 2);
    a.offer(2..3, b.prefix());
    a.publish();
    running.go_on();
    until("the third", || b.known(a.prefix()).cursor == 3).await;
    // The first two were applied by the proposal whose answer was lost, and never again.
    assert_eq!(b.applied(), [(2, 1)]);
}

#[tokio::test]
async fn a_gap_on_the_wire_is_not_proposed() {
    let (a, b, lines) = two();
    *a.tamper.lock().unwrap() = Some(Box::new(|batch| {
        if 1 < batch.items.len() {
            batch.items.remove(0);
        }
    }));
    a.offer(0..2, b.prefix());
    a.publish();
    let mut running = Running::follow(&b, &lines);
    running.paused().await;
    assert_eq!(
        running.last_error(a.prefix()),
        "not believed: item 1 where 0 was expected"
    );
    assert_eq!(b.proposals(), 0);
    *a.tamper.lock().unwrap() = None;
    running.go_on();
    delivered(&b, &a, 2).await;
}

#[tokio::test]
async fn a_gap_in_the_state_begins_anew_from_its_cursor() {
    let (a, b, lines) = two();
    // Another leader applied the first item meanwhile; this proposal comes too late and is refused.
    *b.instead.lock().unwrap() = Some(Box::new(|number, country, batch| {
        (number == 0).then(|| {
            let mut first = batch.clone();
            first.items.truncate(1);
            country.apply(Body::Foreign { batch: first });
            let rejection = Rejection::from(Reason::EvidenceGap);
            Ok(vec![ItemAnswer::Refused { rejection }; batch.items.len()])
        })
    }));
    a.offer(0..3, b.prefix());
    a.publish();
    let mut running = Running::follow(&b, &lines);
    until("delivered", || b.known(a.prefix()).cursor == 3).await;
    assert_eq!(b.applied(), [(1, 1), (2, 1)]);
    assert!(running.never_paused(), "progress was made, so at once");
}

#[tokio::test]
async fn a_refusal_without_progress_waits() {
    let (a, b, lines) = two();
    *b.instead.lock().unwrap() = Some(Box::new(|_, _, batch| {
        let rejection = Rejection::from(Reason::EvidenceBroken);
        Some(Ok(vec![
            ItemAnswer::Refused { rejection };
            batch.items.len()
        ]))
    }));
    a.offer(0..1, b.prefix());
    a.publish();
    let mut running = Running::follow(&b, &lines);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        pauses.push(running.paused().await.as_secs());
        running.go_on();
    }
    assert_eq!(pauses, [1, 2, 4, 8]);
    assert!(running.last_error(a.prefix()).starts_with("refused here: "));
    assert_eq!(b.applied(), []);
}

/// Once, each try began with a head that was believed, and the peer counted as well.
#[tokio::test]
async fn a_feed_that_stands_at_an_item_says_so_until_the_item_is_taken() {
    let (a, b, lines) = two();
    *b.instead.lock().unwrap() = Some(Box::new(|_, _, batch| {
        // The first is taken by others, as it were; the second is refused.
        let mut answers = vec![ItemAnswer::Nothing {}; batch.items.len()];
        *answers.last_mut()? = ItemAnswer::Refused {
            rejection: Rejection::from(Reason::EvidenceBroken),
        };
        Some(Ok(answers))
    }));
    a.offer(0..2, b.prefix());
    a.publish();
    let mut running = Running::follow(&b, &lines);
    let status = |running: &Running| running.board.of(a.prefix()).unwrap();
    running.paused().await;
    let first = status(&running).stands.expect("it stands");
    assert_eq!(first.item, 1);
    assert!(first.why.starts_with("refused here: "), "{}", first.why);
    b.time_ms.fetch_add(61_000, Ordering::SeqCst);
    for _ in 0..3 {
        running.go_on();
        running.paused().await;
    }
    let now = status(&running);
    assert_eq!(now.stands.as_ref().map(|it| it.since), Some(first.since));
    assert_eq!((now.errors_in_a_row, now.contacts), (4, 4));
    // A broken connection is no progress either.
    lines.cut(ENDPOINT, true);
    running.go_on();
    running.paused().await;
    lines.cut(ENDPOINT, false);
    assert_eq!(status(&running).stands, now.stands);
    *b.instead.lock().unwrap() = None;
    running.go_on();
    delivered(&b, &a, 2).await;
    until("noted", || status(&running).stands.is_none()).await;
    assert_eq!(status(&running).errors_in_a_row, 0);
}

/// More bytes than an item may have, which its registry's log says nothing about.
fn swell(item: &mut MailItem) {
    let leaf = ChainRun {
        checkpoint: "x".repeat(NOTE_KEPT_BYTES_MAX),
        leaves: vec![item.proven.clone(); 8],
    };
    while !item.is_large() {
        item.chain.push(leaf.clone());
    }
}

/// Whoever stands at one of its servers, or at a name before all of them, could have any item passed over.
#[tokio::test]
async fn what_is_shown_as_too_large_is_never_passed_over() {
    for endpoints in [1, 2] {
        let (a, b, lines) = two();
        let second = "second.example:1";
        lines.serve(second, &a, Some(b.prefix()));
        let at = [ENDPOINT.to_owned(), second.to_owned()];
        let at = at[..endpoints].to_vec();
        b.endpoints.lock().unwrap().insert(a.prefix(), at);
        *a.tamper.lock().unwrap() = Some(Box::new(|batch| {
            let first = batch.items.iter_mut().find(|item| item.sequence == 1);
            first.into_iter().for_each(swell);
        }));
        a.offer(0..3, b.prefix());
        a.publish();
        let mut running = Running::follow(&b, &lines);
        // Every name shows it so, more than once.
        for tried in 0..5 {
            if tried > 0 {
                running.go_on();
            }
            running.paused().await;
            let stands = running.board.of(a.prefix()).unwrap().stands;
            let stands = stands.expect("it stands");
            assert_eq!(stands.item, 1, "{}", stands.why);
            assert!(stands.why.contains("too large"), "{}", stands.why);
            assert_eq!((b.applied(), nacks(&b)), (vec![(0, 1)], 0));
        }
        // One server that shows it whole is enough.
        *a.tamper.lock().unwrap() = None;
        running.go_on();
        until("the rest", || b.known(a.prefix()).cursor == 3).await;
        assert_eq!((b.applied(), nacks(&b)), (once_each(3), 0));
        until("noted", || {
            running.board.of(a.prefix()).unwrap().stands.is_none()
        })
        .await;
    }
}

/// That no way was found ended only when the peer next had an item for this country, of a quiet one weeks later.
#[tokio::test]
async fn a_head_without_mail_ends_a_doubt_that_nobody_signed() {
    let (a, b, lines) = two();
    a.offer(0..1, b.prefix());
    a.publish();
    let _running = Running::follow(&b, &lines);
    delivered(&b, &a, 1).await;
    let known = b.known(a.prefix());
    b.country.lock().unwrap().apply(Body::Doubt {
        peer: a.prefix(),
        sequence: known.bundle.sequence,
        doubt: LogDoubt::OtherHistory,
    });
    let doubted = b.known(a.prefix()).doubted;
    assert_eq!(doubted, Some(LogDoubt::OtherHistory));
    {
        let mut country = a.country.lock().unwrap();
        let register = country.register(900);
        country.must("maker", register);
    }
    a.publish();
    until("over", || b.known(a.prefix()).doubted.is_none()).await;
    let after = b.known(a.prefix());
    assert!(after.size_seen > known.size_seen);
    assert_eq!(after.cursor, known.cursor);
    // Its mail goes on from there.
    a.offer(1..2, b.prefix());
    a.publish();
    delivered(&b, &a, 2).await;
}

/// Nacks that a country wrote within the minute.
fn nacks(of: &World) -> u64 {
    let country = of.country.lock().unwrap();
    let Ok(peers) = country.ledger.peers();
    peers.iter().map(|peer| peer.heard.nacks).sum()
}

#[tokio::test]
async fn a_tampered_leaf_is_refused_and_shown() {
    let (a, b, lines) = two();
    *a.tamper.lock().unwrap() = Some(Box::new(|batch| {
        for item in &mut batch.items {
            *item.proven.leaf.0.last_mut().unwrap() ^= 1;
        }
    }));
    a.offer(0..1, b.prefix());
    a.publish();
    let mut running = Running::follow(&b, &lines);
    running.paused().await;
    let error = running.last_error(a.prefix());
    assert!(
        error.starts_with("not believed: item 0 is not proven"),
        "{error}"
    );
    assert_eq!(b.proposals(), 0);
    *a.tamper.lock().unwrap() = None;
    running.go_on();
    delivered(&b, &a, 1).await;
}

#[tokio::test]
async fn a_checkpoint_of_another_key_is_refused_and_shown() {
    let (a, b, lines) = two();
    *a.tamper.lock().unwrap() = Some(Box::new(|batch| {
        let head = carnet_domain::log::checkpoint::peek(&batch.checkpoint).unwrap();
        let stranger = Country::unborn("86").key("stranger");
        batch.checkpoint = head.sign(&stranger).into_text();
    }));
    let mut running = Running::follow(&b, &lines);
    running.paused().await;
    let error = running.last_error(a.prefix());
    assert!(error.starts_with("not believed: the checkpoint"), "{error}");
    assert!(running.board.newest(a.prefix()).is_none());
}

#[tokio::test]
async fn a_follower_stops_with_leadership_and_begins_again_with_it() {
    let (a, b, lines) = two();
    let running = Running::follow(&b, &lines);
    a.offer(0..1, b.prefix());
    a.publish();
    delivered(&b, &a, 1).await;
    b.leading.send_replace(false);
    let following = || running.board.of(a.prefix()).unwrap().following;
    until("stopped", || !following()).await;
    a.offer(1..2, b.prefix());
    a.publish();
    settle().await;
    assert_eq!(b.known(a.prefix()).cursor, 1);
    b.leading.send_replace(true);
    delivered(&b, &a, 2).await;
    running.stop.cancel();
    until("stopped", || !following()).await;
}

#[tokio::test]
async fn a_dead_peer_does_not_touch_the_others() {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut b);
    befriend(&mut c, &mut b);
    let (a, b) = (World::new(a), World::new(b));
    b.publish();
    let lines = Lines::default();
    lines.serve(ENDPOINT, &a, Some(b.prefix()));
    for (peer, at) in [(a.prefix(), ENDPOINT), (c.prefix, "nobody.example:1")] {
        b.endpoints
            .lock()
            .unwrap()
            .insert(peer, vec![at.to_owned()]);
    }
    let mut running = Running::follow(&b, &lines);
    running.paused().await;
    assert!(!running.last_error(c.prefix).is_empty());
    a.offer(0..2, b.prefix());
    a.publish();
    delivered(&b, &a, 2).await;
    assert_eq!(running.last_error(a.prefix()), "");
}

#[tokio::test]
async fn a_new_peer_is_followed_once_its_recognition_is_published() {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    let mut later = (a.clone(), b.clone());
    befriend(&mut later.0, &mut later.1);
    a = later.0;
    let befriended = later.1;
    b.close();
    let (a, b) = (World::new(a), World::new(b));
    b.publish();
    let lines = Lines::default();
    lines.serve(ENDPOINT, &a, Some(b.prefix()));
    let at = vec![ENDPOINT.to_owned()];
    b.endpoints.lock().unwrap().insert(a.prefix(), at);
    let _running = Running::follow(&b, &lines);
    a.offer(0..1, b.prefix());
    a.publish();
    settle().await;
    assert_eq!((b.proposals(), a.batches.load(Ordering::SeqCst)), (0, 0));
    *b.country.lock().unwrap() = befriended;
    b.publish();
    delivered(&b, &a, 1).await;
}
