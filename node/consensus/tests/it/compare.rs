//! Nodes ask each other for their marks.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use carnet_consensus::{Ballots, Verdict};
use carnet_store::compare::Compared;
use carnet_store::machine::StateMachine;
use tonic::Code;

use crate::cluster::{Cluster, PATIENCE};
use crate::speaker::{Rpc, Speaker};

#[tokio::test]
async fn replicas_that_applied_the_same_log_agree() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let index = cluster.put("x", "1").await.position.index;
    cluster.applied(index, 1..=3).await;
    let voters = BTreeSet::from([1, 2, 3]);
    for own in 1..=3 {
        let mut ballots = Ballots::new(own);
        let marks = cluster.nodes[&own].machine.marks(0).expect("marks");
        ballots.hear_own(&marks);
        let at = (marks[0].size, Compared::Writes);
        for other in voters.iter().filter(|other| **other != own) {
            let marks = cluster
                .handle(own)
                .marks_of(*other, 0, index, PATIENCE)
                .await;
            ballots.hear(*other, &marks.expect("an answer"));
        }
        assert_eq!(
            ballots.verdict(at, &voters),
            Verdict::Agreed,
            "{}",
            ballots.describe(at)
        );
        assert_eq!(ballots.agreeing(at, &voters), [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_node_answers_when_it_has_applied_what_is_asked_about() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let leader = cluster.leader().await;
    let follower = cluster.followers(leader).pop_first().expect("a follower");
    for round in 0..20 {
        let index = cluster.put("x", &round.to_string()).await.position.index;
        let asked = cluster
            .handle(leader)
            .marks_of(follower, 0, index, PATIENCE);
        let marks = asked.await.expect("an answer");
        assert!(marks[0].index >= index, "{marks:?} was asked at {index}");
    }
}

#[tokio::test]
async fn a_node_that_is_down_or_no_member_says_nothing() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    let leader = cluster.leader().await;
    let down = cluster.followers(leader).pop_first().expect("a follower");
    cluster.stop(down).await;
    let handle = cluster.handle(leader);
    assert_eq!(handle.marks_of(down, 0, 0, PATIENCE).await, None);
    assert_eq!(handle.marks_of(9, 0, 0, PATIENCE).await, None);
    assert_eq!(
        handle.marks_of(leader, 0, 0, PATIENCE).await,
        None,
        "itself"
    );
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    let cluster = Cluster::founded(2, |_| ()).await;
    let leader = cluster.leader().await;
    let other = 3 - leader;
    let ask = async |body: Bytes| {
        let speaker = Speaker::of(&cluster, other);
        let envelope = speaker.envelope(leader, body);
        let asked = speaker.send(cluster.channel(other, leader), Rpc::Compare, envelope);
        asked.await.map_err(|status| status.code())
    };
    assert_eq!(
        ask(Bytes::from_static(&[1; 15])).await.err(),
        Some(Code::InvalidArgument)
    );
    assert_eq!(
        ask(Bytes::from_static(&[1; 17])).await.err(),
        Some(Code::InvalidArgument)
    );
    // About an index it will never have: it says what it has.
    let mut far = BytesMut::new();
    far.put_u64(0);
    far.put_u64(u64::MAX);
    assert!(ask(far.freeze()).await.is_ok());
}
