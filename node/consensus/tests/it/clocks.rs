//! Clocks of voters: a leader whose clock is off hands over, and a node whose clock is off does not take leadership.

use carnet_consensus::{ClockVerdict, Clocks, Role};

use crate::cluster::{Cluster, NOON_MS, PATIENCE};

const HOUR_MS: u64 = 3_600_000;

/// Waits until a node has compared clocks with this outcome.
async fn judged(cluster: &Cluster, node: u64, wished: impl Fn(&Clocks) -> bool) {
    let mut clocks = cluster.handle(node).clocks();
    let judged = tokio::time::timeout(PATIENCE, clocks.wait_for(|clocks| wished(clocks))).await;
    assert!(
        judged.is_ok(),
        "node {node}: {:?}",
        cluster.handle(node).clocks().borrow()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_tell_their_clocks() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let leader = cluster.leader().await;
    let follower = *cluster.followers(leader).first().expect("a follower");
    cluster.nodes[&follower].clock.set(NOON_MS + HOUR_MS);
    let clocks = cluster.handle(leader).voter_clocks(PATIENCE).await;
    let nodes: Vec<u64> = clocks.iter().map(|clock| clock.node).collect();
    assert_eq!(nodes, [1, 2, 3]);
    for clock in clocks {
        let expected = if clock.node == follower {
            HOUR_MS as i64
        } else {
            0
        };
        // The clocks of this test stand still, the machine's time goes on: what a round trip takes is in the offset.
        let error = clock.offset_ms.abs_diff(expected);
        assert!(error <= PATIENCE.as_millis() as u64, "{clock:?}");
    }
}

async fn hands_over(leaders_clock_ms: u64) {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    judged(&cluster, leader, |clocks| {
        matches!(clocks.verdict, ClockVerdict::Agreed { .. })
    })
    .await;
    cluster.nodes[&leader].clock.set(leaders_clock_ms);
    let unseated = cluster
        .handle(leader)
        .wait_status(|status| status.standing.role == Role::Follower, PATIENCE)
        .await;
    unseated.expect("the leader hands over");
    cluster.put("b", "2").await;
    assert_ne!(cluster.leader().await, leader);
    judged(&cluster, leader, |clocks| {
        matches!(clocks.verdict, ClockVerdict::Off { .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_ahead_hands_over() {
    hands_over(NOON_MS + HOUR_MS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_behind_hands_over() {
    hands_over(NOON_MS - HOUR_MS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_all_differ_confirm_nothing_and_unseat_nobody() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let leader = cluster.leader().await;
    for node in 1..=3 {
        cluster.nodes[&node].clock.set(NOON_MS + node * HOUR_MS);
    }
    judged(&cluster, leader, |clocks| {
        clocks.verdict == ClockVerdict::Disagreement
    })
    .await;
    let refused = cluster.handle(leader).confirmed_time(PATIENCE).await;
    let seen = refused.expect_err("no quorum agrees");
    assert_eq!(seen.offsets.len(), 3, "it says who reads what: {seen:?}");
    assert_eq!(cluster.handle(leader).status().standing.role, Role::Leader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_our_own_clock_shifts_no_confirmed_time() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let leader = cluster.leader().await;
    cluster.nodes[&leader].clock.set(NOON_MS + HOUR_MS);
    let confirmed = cluster.handle(leader).confirmed_time(PATIENCE).await;
    let confirmed = confirmed.expect("the two others agree");
    let beside = confirmed.at_ms.abs_diff(NOON_MS);
    assert!(beside < HOUR_MS / 2, "{confirmed:?}");
    assert!(2 <= confirmed.readings.len());
}

/// Of two clocks that answer and differ nobody knows which is right: the node with the newest record leads all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_knows_which_clock_is_right_somebody_leads() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    let followers = cluster.followers(leader);
    let behind = *followers.first().expect("a follower");
    let ahead = *followers.last().expect("a follower");
    cluster.stop(behind).await;
    let newest = cluster.put("b", "2").await;
    cluster.applied(newest.position.index, [ahead]).await;
    cluster.nodes[&ahead].clock.set(NOON_MS + HOUR_MS);
    cluster.stop(leader).await;
    cluster.start(behind).await;
    // Whoever leads by then: the newest record is not lost, so the one that has it led first.
    let last = cluster.put("c", "3").await;
    cluster.applied(last.position.index, [ahead, behind]).await;
    let newest = cluster.nodes[&behind].machine.register("b");
    assert_eq!(newest.as_deref(), Some(&b"2"[..]));
}
