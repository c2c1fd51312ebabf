//! A log that shows two histories.

use carnet_kit::Country;
use carnet_kit::befriend;

use crate::world::{ENDPOINT, Lines, Running, World, settle, until};

/// 44, followed 86 up to one item, and two histories of 86 after that.
struct Split {
    one: std::sync::Arc<World>,
    other: std::sync::Arc<World>,
    b: std::sync::Arc<World>,
    lines: Lines,
}

fn split(before: u32) -> Split {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    let b = World::new(b);
    b.publish();
    let one = World::new(a);
    one.offer(0..before, b.prefix());
    one.publish();
    let other = World::new(one.country.lock().unwrap().clone());
    let lines = Lines::default();
    lines.serve(ENDPOINT, &one, Some(b.prefix()));
    let at = vec![ENDPOINT.to_owned()];
    b.endpoints.lock().unwrap().insert(one.prefix(), at);
    Split {
        one,
        other,
        b,
        lines,
    }
}

/// Behind the endpoint stands another log from now on; it is asked twice.
async fn now_shows(lines: &Lines, other: &std::sync::Arc<World>, b: &World, running: &mut Running) {
    lines.break_all(ENDPOINT);
    lines.serve(ENDPOINT, other, Some(b.prefix()));
    running.paused().await;
    running.go_on();
    running.paused().await;
}

fn register(world: &World, serial: u32) {
    let mut country = world.country.lock().unwrap();
    let command = country.register(serial);
    country.must("maker", command);
}

#[tokio::test]
async fn another_root_of_a_size_that_was_applied_quarantines_the_peer() {
    let Split {
        one,
        other,
        b,
        lines,
    } = split(0);
    one.offer(1..2, b.prefix());
    one.publish();
    other.offer(2..3, b.prefix());
    other.publish();
    let mut running = Running::follow(&b, &lines);
    let prefix = one.prefix();
    until("applied", || b.known(prefix).cursor == 1).await;
    assert_eq!(*one.published.borrow(), *other.published.borrow());

    now_shows(&lines, &other, &b, &mut running).await;
    assert!(running.last_error(prefix).starts_with("the log forked"));
    assert!(b.known(prefix).quarantined);
    assert_eq!(b.known(prefix).cursor, 1);

    // Once is enough: the log of this registry does not grow by being shown it again.
    let proposals = b.proposals();
    running.go_on();
    running.paused().await;
    assert_eq!(b.proposals(), proposals);
}

#[tokio::test]
async fn two_heads_without_items_are_evidence_too() {
    let Split {
        one,
        other,
        b,
        lines,
    } = split(1);
    let mut running = Running::follow(&b, &lines);
    let prefix = one.prefix();
    until("applied", || b.known(prefix).cursor == 1).await;
    register(&one, 7);
    one.publish();
    register(&other, 8);
    other.publish();
    let size = *one.published.borrow();
    assert_eq!(size, *other.published.borrow());
    until("shown", || {
        running
            .board
            .newest(prefix)
            .is_some_and(|(head, _)| head.size == size)
    })
    .await;
    let seen = b.known(prefix).size_seen;
    assert!(seen < size);

    now_shows(&lines, &other, &b, &mut running).await;
    let text = running.last_error(prefix);
    assert!(text.starts_with("the log forked"), "{text}");
    assert!(b.known(prefix).quarantined);
}

#[tokio::test]
async fn a_longer_log_that_does_not_extend_what_was_applied_is_not_proposed() {
    let Split {
        one,
        other,
        b,
        lines,
    } = split(0);
    one.offer(1..2, b.prefix());
    one.publish();
    let mut running = Running::follow(&b, &lines);
    let prefix = one.prefix();
    until("applied", || b.known(prefix).cursor == 1).await;
    let proposals = b.proposals();

    other.offer(2..6, b.prefix());
    other.publish();
    now_shows(&lines, &other, &b, &mut running).await;
    let text = running.last_error(prefix);
    assert!(text.contains("does not extend"), "{text}");
    assert_eq!((b.proposals(), b.known(prefix).cursor), (proposals, 1));
}

#[tokio::test]
async fn a_log_that_was_rolled_back_is_refused_by_itself_and_shown() {
    let Split {
        one,
        other,
        b,
        lines,
    } = split(0);
    one.offer(1..2, b.prefix());
    one.publish();
    other.publish();
    let mut running = Running::follow(&b, &lines);
    let prefix = one.prefix();
    until("applied", || b.known(prefix).cursor == 1).await;
    now_shows(&lines, &other, &b, &mut running).await;
    let text = running.last_error(prefix);
    assert!(
        text.contains("leaves are known, this node has published"),
        "{text}"
    );
    settle().await;
    assert_eq!(b.known(prefix).cursor, 1);
}
