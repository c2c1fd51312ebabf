//! How a cluster begins: alone, then with the others, each asked for its store.

use carnet_consensus::AdminError;

use crate::cluster::{Cluster, PATIENCE, member};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_founded_while_a_member_does_not_answer() {
    let mut cluster = Cluster::unfounded(|_| ());
    cluster.start(1).await;
    cluster.start(2).await;
    let members = || (1..=3).map(|node| (node, member(node))).collect();
    let outcome = cluster.handle(1).initialize(members()).await;
    let Err(AdminError::Refused(_, why)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(why.contains("node 3"), "{why}");
    for node in 1..=2 {
        let status = cluster.handle(node).status();
        assert!(status.members.is_empty(), "node {node}: {status:?}");
    }
    cluster.start(3).await;
    cluster
        .handle(1)
        .initialize(members())
        .await
        .expect("founded");
    cluster
        .handle(1)
        .initialize(members())
        .await
        .expect("done already");
    let led = cluster
        .handle(3)
        .wait_status(|status| status.voters.len() == 3 && !status.joint, PATIENCE)
        .await
        .expect("a voter");
    for node in 1..=3 {
        assert_eq!(led.members[&node].store, cluster.store(node), "node {node}");
    }
    cluster.put("x", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founding_that_was_interrupted_goes_on_when_it_is_repeated() {
    let mut cluster = Cluster::unfounded(|_| ());
    for node in 1..=3 {
        cluster.start(node).await;
    }
    // As far as it may have come: founded alone, one learner.
    let alone = [(1, member(1))].into();
    cluster.handle(1).initialize(alone).await.expect("founded");
    cluster.leader_of(1).await;
    cluster
        .handle(1)
        .add_learner(2, member(2))
        .await
        .expect("added");
    cluster.stop(1).await;
    cluster.start(1).await;
    let members = (1..=3).map(|node| (node, member(node))).collect();
    cluster
        .handle(1)
        .initialize(members)
        .await
        .expect("founded");
    cluster.put("x", "1").await;
    let status = cluster.handle(1).status();
    assert_eq!(status.voters, (1..=3).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_another_address_is_another_cluster() {
    let cluster = Cluster::founded(2, |_| ()).await;
    let mut members: std::collections::BTreeMap<_, _> =
        (1..=2).map(|node| (node, member(node))).collect();
    members.entry(2).and_modify(|member| {
        member.raft = "elsewhere:7000".to_owned();
    });
    let outcome = cluster.handle(1).initialize(members).await;
    assert!(
        matches!(outcome, Err(AdminError::Refused(..))),
        "{outcome:?}"
    );
}
