//! The way into the log is shared: one that floods it keeps neither the node's own proposals nor other callers from it.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{Behalf, Handle, ProposeError, Proposed};

use crate::cluster::{Cluster, PATIENCE};

type Outcome = Result<Proposed, ProposeError>;
type Proposing<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

const KIB: usize = 1024;

fn caller(name: &str) -> Behalf {
    Behalf::Caller(name.into())
}

/// Queues `name=xxx…`, on somebody's behalf; what is answered at once is the error.
async fn begin<'a>(
    handle: &'a Handle,
    behalf: Behalf,
    name: &str,
    size: usize,
) -> Result<Proposing<'a>, Outcome> {
    let mut proposal = format!("{name}=").into_bytes();
    proposal.resize(size.max(proposal.len()), b'x');
    let mut proposing: Proposing<'a> = Box::pin(handle.propose_for(behalf, Bytes::from(proposal)));
    match futures::poll!(&mut proposing) {
        Poll::Pending => Ok(proposing),
        Poll::Ready(outcome) => Err(outcome),
    }
}

/// A leader alone whose machine does not answer. All batches that may be under way are: what comes now waits in the queue.
async fn plugged(handle: &Handle) -> Vec<Proposing<'_>> {
    let mut plugs = Vec::new();
    for number in 1..=2 {
        let before = handle.status().last;
        let name = format!("plug{number}");
        plugs.push(begin(handle, Behalf::Own, &name, 10).await.expect("queued"));
        let appended = handle.wait_status(move |status| status.last > before, PATIENCE);
        appended.await.expect("appended");
    }
    plugs
}

/// Two hundred large proposals of one caller; those that find room, and how many do not.
async fn flood(handle: &Handle) -> (Vec<Proposing<'_>>, usize) {
    let (mut queued, mut refused) = (Vec::new(), 0);
    for number in 0..200 {
        let name = format!("f{number}");
        match begin(handle, caller("flood"), &name, 256 * KIB).await {
            Ok(proposing) => queued.push(proposing),
            Err(outcome) => {
                assert_eq!(outcome, Err(ProposeError::Overloaded));
                refused += 1;
            }
        }
    }
    (queued, refused)
}

fn index(outcome: Outcome) -> u64 {
    outcome.expect("answered").position.index
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_caller_has_half_of_the_room_and_no_more_than_its_turn() {
    let cluster = Cluster::founded(1, |_| ()).await;
    let handle = cluster.handle(1);
    cluster.nodes[&1].machine.stall();
    let plugs = plugged(handle).await;
    let (flood, refused) = flood(handle).await;
    assert_eq!((flood.len(), refused), (128, 72), "half of 64 MiB");
    let mut others = Vec::new();
    for (behalf, name) in [
        (Behalf::Own, "own"),
        (Behalf::Peer("44".into()), "mail"),
        (caller("other"), "other"),
    ] {
        others.push(begin(handle, behalf, name, 10).await.expect("room"));
    }
    cluster.nodes[&1].machine.stall_no_more();
    let all = async {
        tokio::join!(
            futures::future::join_all(plugs),
            futures::future::join_all(others),
            futures::future::join_all(flood),
        )
    };
    let all = tokio::time::timeout(PATIENCE, all).await;
    let (plugs, others, flood) = all.expect("in time");
    let plugs: Vec<u64> = plugs.into_iter().map(index).collect();
    let flood: Vec<u64> = flood.into_iter().map(index).collect();
    for (at, outcome) in others.into_iter().enumerate() {
        let index = index(outcome);
        let before = flood.iter().filter(|other| **other < index).count();
        // The node's own before all of it; mail and the other caller after one of the flood at the most.
        assert!(
            before <= at.min(1),
            "{at}: {before} of the flood stand before it"
        );
        assert!(plugs.iter().all(|plug| *plug < index));
    }
    assert!(flood.is_sorted(), "one caller's own stay in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_came_to_its_turn_is_said_not_to_have_happened_and_does_not() {
    let cluster = Cluster::founded(1, |settings| {
        settings.propose_timeout = Duration::from_millis(300);
    })
    .await;
    let handle = cluster.handle(1);
    cluster.nodes[&1].machine.stall();
    let plugs = plugged(handle).await;
    let left = begin(handle, caller("left"), "left", 10).await;
    // Whoever waited for it has gone.
    drop(left.expect("room"));
    let late = begin(handle, caller("late"), "late", 10).await;
    let late = late.expect("room").await;
    assert_eq!(late, Err(ProposeError::Overloaded));
    for plug in plugs {
        let outcome = plug.await;
        assert!(
            matches!(outcome, Err(ProposeError::Unknown(_))),
            "{outcome:?}"
        );
    }
    let machine = &cluster.nodes[&1].machine;
    machine.stall_no_more();
    let last = loop {
        // The plugs are applied first.
        match handle.propose(Bytes::from_static(b"last=1")).await {
            Ok(done) => break done.position.index,
            Err(error) => assert!(matches!(error, ProposeError::Unknown(_)), "{error}"),
        }
    };
    cluster.applied(last, [1]).await;
    let there = |name: &str| machine.register(name).is_some();
    assert!(there("plug1") && there("plug2") && there("last"));
    assert!(!there("left") && !there("late"));
}
