//! A record that cannot be applied stops what is applied, and nothing else.

use bytes::Bytes;
use carnet_consensus::{AdminError, ProposeError, ReadError, Role, Settings};

use crate::cluster::{Cluster, Node, PATIENCE, member};

const POISON: &[u8] = b"poison=1";
const NAMED: &str = "stopped before log entry";

/// All nodes but these stumble at the poison.
fn poison(cluster: &Cluster, spared: &[u64]) {
    for (id, node) in &cluster.nodes {
        if !spared.contains(id) {
            node.machine.stumble_at(POISON);
        }
    }
}

/// Waits until a node stands still; the index before which it does.
async fn stands(node: &Node) -> u64 {
    let mut stands = node.handle.stands();
    let reached = tokio::time::timeout(PATIENCE, stands.wait_for(Option::is_some));
    let stands = reached.await.expect("it stands still").expect("a node");
    stands.as_ref().expect("a record").position.index
}

/// Waits until a node goes on.
async fn goes_on(node: &Node) {
    let mut stands = node.handle.stands();
    let reached = tokio::time::timeout(PATIENCE, stands.wait_for(Option::is_none));
    reached.await.expect("it goes on").expect("a node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_stands_still_refuses_by_name_votes_and_goes_on_where_it_was() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("kept", "yes").await;
    poison(&cluster, &[]);
    let leader = cluster.leader().await;
    let poisoned = cluster.handle(leader).propose(Bytes::from_static(POISON));
    let outcome = poisoned.await;
    assert!(
        matches!(&outcome, Err(ProposeError::Unknown(why)) if why.starts_with(NAMED)),
        "{outcome:?}"
    );
    for node in cluster.nodes.values() {
        stands(node).await;
    }
    let index = stands(&cluster.nodes[&leader]).await;
    let named = cluster.handle(leader).stands_before().expect("a record");
    assert_eq!(
        named.digest,
        carnet_domain::machine::order::entry_digest(POISON)
    );

    let refused = cluster.handle(leader).propose(Bytes::from_static(b"a=1"));
    let refused = refused.await;
    assert!(
        matches!(&refused, Err(ProposeError::StandsStill(why)) if *why == named.to_string()),
        "{refused:?}"
    );
    let change = cluster.handle(leader).add_learner(4, member(4)).await;
    assert!(matches!(change, Err(AdminError::Refused(_, why)) if why == named.to_string()));
    for (id, node) in &cluster.nodes {
        let read = node.handle.read_index().await;
        assert!(
            matches!(read, Err(ReadError::StandsStill(_))),
            "{id}: {read:?}"
        );
        assert_eq!(node.handle.status().applied, Some(index - 1), "{id}");
        assert_eq!(node.machine.register("kept").as_deref(), Some(&b"yes"[..]));
    }
    let follower = *cluster.followers(leader).first().expect("a follower");
    let elsewhere = cluster.handle(follower).propose(Bytes::from_static(b"a=1"));
    let elsewhere = elsewhere.await;
    assert!(
        matches!(elsewhere, Err(ProposeError::NotLeader { leader: Some((at, _)) }) if at == leader),
        "{elsewhere:?}"
    );

    // Votes and appends go on: the leader stops, another is elected and appends to the logs of all; the stopped one
    // starts again, is not held up by the record, and catches up with the log.
    cluster.stop(leader).await;
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    cluster.start(leader).await;
    let last = cluster.handle(next).status().last;
    let caught_up = cluster
        .handle(leader)
        .wait_status(|status| status.last >= last, PATIENCE);
    caught_up.await.expect("it has the log");
    assert_eq!(stands(&cluster.nodes[&leader]).await, index);

    for node in cluster.nodes.values() {
        node.machine.stumble_no_more();
    }
    for node in cluster.nodes.values() {
        goes_on(node).await;
    }
    let done = cluster.put("after", "yes").await;
    cluster.applied(done.position.index, 1..=3).await;
    let digests = cluster.nodes.values().map(|node| {
        let steps = node.machine.history_from(index);
        steps[&done.position.index].digest
    });
    let digests: Vec<u64> = digests.collect();
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "{digests:?}"
    );
    for (id, node) in &cluster.nodes {
        node.handle.read_index().await.expect("a quorum");
        assert_eq!(
            node.machine.register("poison").as_deref(),
            Some(&b"1"[..]),
            "{id}"
        );
        assert_eq!(node.machine.divergences(), Vec::<u64>::new(), "{id}");
    }
}

/// More commits than openraft queues for a state machine before its core waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_stands_still_alone_keeps_the_log_and_catches_up() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("kept", "yes").await;
    let leader = cluster.leader().await;
    let alone = *cluster.followers(leader).first().expect("a follower");
    let spared: Vec<u64> = (1..=3).filter(|id| *id != alone).collect();
    poison(&cluster, &spared);
    cluster.propose(Bytes::from_static(POISON)).await;
    let index = stands(&cluster.nodes[&alone]).await;
    let mut last = 0;
    for number in 0..1500 {
        let done = cluster
            .handle(leader)
            .propose(Bytes::from(format!("r={number}")));
        last = done.await.expect("the others are enough").position.index;
    }
    let kept = cluster
        .handle(alone)
        .wait_status(|status| Some(last) <= status.last, PATIENCE);
    let kept = kept.await.expect("its log goes on");
    assert_eq!(kept.applied, Some(index - 1));
    assert_eq!(
        kept.standing.leader,
        Some(leader),
        "it heard of no reason to vote"
    );
    assert_eq!(cluster.nodes[&alone].machine.register("r"), None);
    let read = cluster.handle(alone).read_index().await;
    assert!(matches!(read, Err(ReadError::StandsStill(_))), "{read:?}");
    let early = cluster.handle(alone).wait_applied(last, PATIENCE).await;
    assert!(matches!(early, Err(ReadError::StandsStill(_))), "{early:?}");

    cluster.nodes[&alone].machine.stumble_no_more();
    goes_on(&cluster.nodes[&alone]).await;
    cluster.applied(last, [alone]).await;
    assert_eq!(
        cluster.nodes[&alone].machine.register("r").as_deref(),
        Some(&b"1499"[..])
    );
    cluster.handle(alone).read_index().await.expect("a quorum");
}

/// Three nodes of which the leader alone stands before a record: the leader, and the others.
async fn leader_alone_stands() -> (Cluster, u64, Vec<u64>) {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("kept", "yes").await;
    let leader = cluster.leader().await;
    let spared: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    poison(&cluster, &spared);
    let under_way = cluster
        .handle(leader)
        .propose(Bytes::from_static(POISON))
        .await;
    assert!(
        matches!(under_way, Err(ProposeError::Unknown(_))),
        "{under_way:?}"
    );
    (cluster, leader, spared)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_alone_can_hand_over_and_what_was_under_way_is_applied() {
    let (cluster, leader, spared) = leader_alone_stands().await;
    let heir = spared[0];
    let asked = cluster.handle(leader).transfer_leadership(heir).await;
    asked.expect("asked");
    let led = cluster
        .handle(heir)
        .wait_status(|status| status.standing.role == Role::Leader, PATIENCE);
    led.await.expect("the heir leads");
    let done = cluster.put("after", "yes").await;
    assert_eq!(
        cluster.nodes[&heir].machine.register("poison").as_deref(),
        Some(&b"1"[..])
    );
    let refused = cluster
        .handle(leader)
        .propose(Bytes::from_static(b"a=1"))
        .await;
    assert!(
        matches!(refused, Err(ProposeError::NotLeader { .. })),
        "{refused:?}"
    );
    cluster.nodes[&leader].machine.stumble_no_more();
    goes_on(&cluster.nodes[&leader]).await;
    cluster.applied(done.position.index, [leader]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_alone_hands_over_by_itself() {
    let (cluster, leader, spared) = leader_alone_stands().await;
    let unseated = cluster
        .handle(leader)
        .wait_status(|status| status.standing.role != Role::Leader, PATIENCE);
    unseated.await.expect("it hands over");
    let done = cluster.put("after", "yes").await;
    let next = cluster.leader().await;
    assert!(spared.contains(&next));
    cluster.applied(done.position.index, spared).await;
    assert!(cluster.handle(leader).stands_before().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_does_not_answer_hands_over() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("kept", "yes").await;
    let leader = cluster.leader().await;
    let slow = &cluster.nodes[&leader];
    slow.machine.stall();
    let proposing = slow.handle.clone();
    let under_way =
        tokio::spawn(async move { proposing.propose(Bytes::from_static(b"a=1")).await });
    let unseated = slow
        .handle
        .wait_status(|status| status.standing.role != Role::Leader, PATIENCE);
    let unseated = unseated.await;
    if unseated.is_ok() {
        // The others took it; they only have to be asked.
        let done = cluster.put("after", "yes").await;
        let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
        cluster.applied(done.position.index, others).await;
        for node in cluster.followers(leader) {
            let taken = cluster.nodes[&node].machine.register("a");
            assert_eq!(taken.as_deref(), Some(&b"1"[..]));
        }
    }
    slow.machine.stall_no_more();
    unseated.expect("it hands over");
    under_way
        .await
        .expect("no panic")
        .expect("applied here at last");
}

/// Snapshots come often, and no voter that is away keeps the log.
fn often(settings: &mut Settings) {
    settings.snapshot_records = 20;
    settings.log_keep_records = 5;
    settings.log_bytes_max = 0;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_brings_a_node_past_the_record_before_which_it_stood() {
    let mut cluster = Cluster::founded(3, often).await;
    cluster.put("kept", "yes").await;
    let leader = cluster.leader().await;
    let alone = *cluster.followers(leader).first().expect("a follower");
    let spared: Vec<u64> = (1..=3).filter(|id| *id != alone).collect();
    poison(&cluster, &spared);
    cluster.propose(Bytes::from_static(POISON)).await;
    let index = stands(&cluster.nodes[&alone]).await;
    cluster.stop(alone).await;
    let mut last = 0;
    for number in 0..60 {
        last = cluster.put("r", &number.to_string()).await.position.index;
    }
    let purged = cluster.handle(leader).wait_status(
        |status| status.purged.is_some_and(|at| index + 20 < at),
        PATIENCE,
    );
    purged.await.expect("the log is purged");
    cluster.start(alone).await;
    goes_on(&cluster.nodes[&alone]).await;
    cluster.applied(last, [alone]).await;
    assert_eq!(
        cluster.nodes[&alone].machine.register("r").as_deref(),
        Some(&b"59"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_sign_hands_over_and_leads_again_once_it_can() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("kept", "yes").await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = cluster.followers(leader).into_iter().collect();
    cluster.handle(leader).cannot_sign();
    cluster.handle(others[0]).cannot_sign();
    // One voter alone can.
    cluster.leader_of(others[1]).await;
    cluster.put("after", "yes").await;
    cluster.handle(leader).can_sign();
    cluster.handle(others[1]).cannot_sign();
    cluster.leader_of(leader).await;
    cluster.put("after", "again").await;
}
