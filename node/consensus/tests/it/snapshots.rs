//! How a node that lacks records gets them: from the log, or from a snapshot.

use std::collections::BTreeSet;

use carnet_consensus::{AdminError, Retired, Settings};

use crate::cluster::{Cluster, PATIENCE, member};

fn often(settings: &mut Settings) {
    settings.snapshot_records = 20;
    settings.log_keep_records = 5;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_node_catches_up_from_a_snapshot_and_becomes_a_voter() {
    let mut cluster = Cluster::founded(3, often).await;
    let mut last = 0;
    for number in 0..60 {
        last = cluster
            .put(&format!("r{number}"), "there")
            .await
            .position
            .index;
    }
    let leader = cluster.leader().await;
    let purged = cluster
        .handle(leader)
        .wait_status(|status| status.purged.is_some_and(|at| 20 < at), PATIENCE)
        .await;
    purged.expect("the log is purged");

    cluster.start(4).await;
    cluster
        .handle(leader)
        .add_learner(4, member(4))
        .await
        .expect("added");
    cluster.applied(last, [4]).await;
    assert!(
        cluster.nodes[&4].machine.history().len() < 60,
        "the beginning came as a snapshot"
    );
    for number in 0..60 {
        assert_eq!(
            cluster.nodes[&4]
                .machine
                .register(&format!("r{number}"))
                .as_deref(),
            Some(&b"there"[..])
        );
    }

    cluster
        .handle(leader)
        .change_membership(BTreeSet::from([1, 2, 3, 4]), Retired::Leave)
        .await
        .expect("changed");
    let voter = cluster
        .handle(4)
        .wait_status(
            |status| status.voters.contains(&4) && !status.joint,
            PATIENCE,
        )
        .await;
    assert_eq!(voter.expect("a voter").members.len(), 4);
    cluster.put("after", "yes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up_from_the_log() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("first", "1").await;
    let leader = cluster.leader().await;
    let away = *cluster.followers(leader).first().expect("a follower");
    cluster.stop(away).await;
    let mut last = 0;
    for number in 0..200 {
        last = cluster
            .put(&format!("r{number}"), "there")
            .await
            .position
            .index;
    }
    cluster.start(away).await;
    cluster.applied(last, [away]).await;
    let (there, other) = (
        cluster.nodes[&away].machine.history(),
        cluster.nodes[&leader].machine.history(),
    );
    assert_eq!(there, other, "every record came through the log, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_state_is_rebuilt_under_a_new_id() {
    let mut cluster = Cluster::founded(3, often).await;
    for number in 0..50 {
        cluster.put(&format!("r{number}"), "there").await;
    }
    let leader = cluster.leader().await;
    let wiped = *cluster.followers(leader).first().expect("a follower");
    cluster.stop(wiped).await;
    cluster.forget(wiped);
    cluster.start(9).await;
    cluster
        .handle(leader)
        .add_learner(9, member(9))
        .await
        .expect("added");
    let voters: BTreeSet<u64> = [1, 2, 3, 9]
        .into_iter()
        .filter(|node| *node != wiped)
        .collect();
    cluster
        .handle(leader)
        .change_membership(voters.clone(), Retired::Leave)
        .await
        .expect("changed");
    let last = cluster.put("after", "yes").await.position.index;
    cluster.applied(last, voters).await;
    assert_eq!(
        cluster.nodes[&9].machine.register("r0").as_deref(),
        Some(&b"there"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_founded_once() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.leader().await;
    for node in 1..=3 {
        let again = cluster
            .handle(node)
            .initialize([(node, member(node))].into())
            .await;
        assert!(
            matches!(again, Err(AdminError::Refused(..))),
            "node {node}: {again:?}"
        );
    }
}
