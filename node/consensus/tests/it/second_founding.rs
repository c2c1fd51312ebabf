//! A country that is there is not founded a second time, and no word of a stranger or slip of an operator takes its log, its
//! leader or its quorum away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::BufMut;
use carnet_consensus::{AdminError, Member, Retired};
use carnet_store::identity::StoreId;
use tonic::Code;

use crate::cluster::{Cluster, member};
use crate::speaker::{Rpc, Speaker};

/// Longer than any node of a test waits for a leader.
const ELECTION_AND_MORE: Duration = Duration::from_millis(1_000);

fn members(nodes: std::ops::RangeInclusive<u64>) -> BTreeMap<u64, Member> {
    nodes.map(|node| (node, member(node))).collect()
}

fn refused(outcome: Result<(), AdminError>, words: &str) {
    match outcome {
        Err(AdminError::Refused(_, why)) if why.contains(words) => {}
        other => panic!("{other:?}, expected a refusal with {words:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_founds_nothing_over_a_country() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    for number in 0..20 {
        cluster.put("x", &number.to_string()).await;
    }
    let last = cluster.put("x", "last").await.position.index;
    cluster.applied(last, 1..=3).await;
    cluster.start(4).await;
    let founding = cluster.handle(4).initialize(members(1..=4)).await;
    refused(founding, "belongs to a cluster already");
    assert!(
        cluster.handle(4).status().voters.is_empty(),
        "node 4 founded nothing"
    );
    cluster.stop(4).await;
    let next = cluster.put("x", "on").await.position.index;
    assert!(next > last);
    cluster.applied(next, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founding_that_was_interrupted_goes_on_at_its_node_only() {
    let mut cluster = Cluster::unfounded(|_| ());
    for node in 1..=3 {
        cluster.start(node).await;
    }
    let founder = cluster.handle(1).clone();
    founder
        .initialize(members(1..=1))
        .await
        .expect("as far as it came");
    let second = cluster.handle(2).initialize(members(1..=3)).await;
    refused(second, "node 1 belongs to a cluster already");
    founder.initialize(members(1..=3)).await.expect("repeated");
    let last = cluster.put("x", "1").await.position.index;
    cluster.applied(last, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_deposes_no_leader_that_is_heard() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let term = cluster.handle(leader).status().standing.term;
    a_stranger_is_refused(&cluster, leader, term).await;
    let now = cluster.handle(leader).status().standing;
    assert_eq!((now.term, now.leader), (term, Some(leader)));
}

/// A follower is no leader that hears its quorum: what keeps the stranger out is that it noted its leader's heartbeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_leads_no_follower_that_hears_its_leader() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let term = cluster.handle(leader).status().standing.term;
    for follower in cluster.followers(leader) {
        a_stranger_is_refused(&cluster, follower, term).await;
        let now = cluster.handle(follower).status().standing;
        assert_eq!((now.term, now.leader), (term, Some(leader)));
    }
}

/// Nobody else answers the only voter, so nothing renews what it last heard of its quorum: it is that quorum. With learners
/// it is heard, but not by a quorum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_deposes_no_only_voter() {
    for learners in [0, 2] {
        let mut cluster = Cluster::founded(1, |_| ()).await;
        for node in 2..2 + learners {
            cluster.start(node).await;
            let added = cluster.handle(1).add_learner(node, member(node)).await;
            added.expect("added");
        }
        // What it heard when it was elected counts no more then, and no write renews it.
        let begun = Instant::now();
        while begun.elapsed() < ELECTION_AND_MORE {
            cluster.put("x", "1").await;
        }
        let term = cluster.handle(1).status().standing.term;
        a_stranger_is_refused(&cluster, 1, term).await;
        let status = cluster.handle(1).status();
        assert_eq!(status.quorum_silence, Some(Duration::ZERO));
        let now = status.standing;
        assert_eq!(
            (now.term, now.leader),
            (term, Some(1)),
            "{learners} learners"
        );
        cluster.put("x", "2").await;
    }
}

/// A node refuses an append of somebody it does not know: it has a leader.
async fn a_stranger_is_refused(cluster: &Cluster, asked: u64, term: u64) {
    let stranger = Speaker {
        node: 9,
        store: StoreId([0x99; 16]),
        start: 1,
        nonce: 9,
    };
    for term in [term, term + 1] {
        let mut body = bytes::BytesMut::new();
        body.put_u64(term);
        body.put_u64(9);
        body.put_u8(1);
        body.put_u8(0);
        body.put_u8(0);
        body.put_u32(0);
        let envelope = stranger.envelope(asked, body.freeze());
        let sent = stranger
            .send(cluster.channel(9, asked), Rpc::Append, envelope)
            .await;
        let refused = sent.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(
            refused.message().contains("hears its leader"),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_of_whom_a_quorum_is_down_are_refused() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    cluster.start(4).await;
    let handle = cluster.handle(leader).clone();
    handle.add_learner(4, member(4)).await.expect("added");
    cluster.stop(4).await;
    let wanted = BTreeSet::from([leader, 4]);
    refused(
        handle.change_membership(wanted, Retired::Leave).await,
        "node 4, which is to get a vote, does not answer",
    );
    let away = *cluster.followers(leader).first().expect("a follower");
    cluster.stop(away).await;
    let wanted = BTreeSet::from([leader, away]);
    refused(
        handle.change_membership(wanted, Retired::Leave).await,
        &format!("node {away} does not answer"),
    );
    assert!(!handle.status().joint, "nothing was begun");
    cluster.put("x", "2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_added_again_elsewhere_is_refused() {
    let mut cluster = Cluster::founded(2, |_| ()).await;
    let leader = cluster.leader().await;
    cluster.start(3).await;
    let handle = cluster.handle(leader).clone();
    handle.add_learner(3, member(3)).await.expect("added");
    let moved = Member {
        raft: "elsewhere:9000".to_owned(),
        ..member(3)
    };
    refused(
        handle.add_learner(3, moved).await,
        "the address of a member",
    );
    assert_eq!(handle.status().members[&3].raft, member(3).raft);
}
