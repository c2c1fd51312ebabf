//! What is acknowledged is everywhere, and stays.

use std::sync::Arc;

use bytes::Bytes;
use carnet_consensus::{
    AdminError, ForwardHandler, Forwarded, Handle, PeerNode, ProposeError, ReadError, Role,
};
use carnet_domain::limits::ENTRY_BYTES_MAX;
use futures::future::BoxFuture;

use crate::cluster::{Cluster, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_reaches_every_node() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let first = cluster.put("color", "red").await;
    let second = cluster.put("color", "blue").await;
    assert_eq!(first.answer, Bytes::new());
    assert_eq!(
        second.answer,
        Bytes::from_static(b"red"),
        "the answer is the state machine's"
    );
    cluster.applied(second.position.index, 1..=3).await;
    for (id, node) in &cluster.nodes {
        assert_eq!(
            node.machine.register("color").as_deref(),
            Some(&b"blue"[..]),
            "node {id}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_proposals_at_once_are_all_answered() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let proposals =
        (0..2000).map(|number| cluster.propose(Bytes::from(format!("r{number}={number}"))));
    let outcomes = futures::future::join_all(proposals).await;
    let last = outcomes
        .iter()
        .map(|done| done.position.index)
        .max()
        .expect("some");
    cluster.applied(last, 1..=3).await;
    let upto = |node: &crate::cluster::Node| {
        node.machine
            .history()
            .range(..=last)
            .map(|(_, step)| step.clone())
            .collect::<Vec<_>>()
    };
    let digests: Vec<_> = cluster.nodes.values().map(upto).collect();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    assert_eq!(
        cluster.nodes[&2].machine.register("r1999").as_deref(),
        Some(&b"1999"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_leads_when_the_leader_stops_and_nothing_is_lost() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    let before = cluster.put("kept", "yes").await;
    let stopped = cluster.leader().await;
    cluster.stop(stopped).await;
    let after = cluster.put("more", "yes").await;
    assert!(before.position.term < after.position.term);
    let leader = cluster.leader().await;
    assert_ne!(leader, stopped);
    assert_eq!(
        cluster.nodes[&leader].machine.register("kept").as_deref(),
        Some(&b"yes"[..])
    );

    cluster.start(stopped).await;
    cluster
        .handle(stopped)
        .wait_for_recovery(PATIENCE)
        .await
        .expect("recovers");
    cluster.applied(after.position.index, [stopped]).await;
    assert_eq!(
        cluster.nodes[&stopped].machine.register("more").as_deref(),
        Some(&b"yes"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_request() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    let heir = *cluster.followers(leader).last().expect("a follower");
    cluster
        .applied(cluster.handle(leader).status().last.expect("a log"), [heir])
        .await;
    let led = cluster.handle(leader).hand_over(heir).await;
    assert_eq!(led.expect("handed over").leader, Some(heir));
    let led = cluster
        .handle(heir)
        .wait_status(|status| status.standing.role == Role::Leader, PATIENCE)
        .await;
    led.expect("the heir leads");
    cluster.put("b", "2").await;
    let again = cluster.handle(heir).hand_over(heir).await;
    assert_eq!(again.expect("it leads").leader, Some(heir));
    let old = cluster.handle(leader).hand_over(heir).await;
    assert!(matches!(old, Err(AdminError::NotLeader { .. })), "{old:?}");
    let stranger = cluster.handle(heir).hand_over(77).await;
    let Err(AdminError::Refused(_, why)) = stranger else {
        panic!("{stranger:?}");
    };
    assert!(why.contains("node 77 is not a voter"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_every_acknowledged_write_on_every_node() {
    let cluster = Cluster::founded(3, |_| ()).await;
    for round in 0..20 {
        let written = cluster.put("x", &round.to_string()).await;
        for (id, node) in &cluster.nodes {
            let permit = node.handle.read_index().await.expect("a quorum is there");
            assert!(written.position.index <= permit.index(), "node {id}");
            assert_eq!(
                node.machine.register("x").as_deref(),
                Some(round.to_string().as_bytes()),
                "node {id}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_a_quorum_neither_reads_nor_writes() {
    let mut cluster = Cluster::founded(3, |settings| {
        settings.propose_timeout = std::time::Duration::from_millis(1500);
        settings.read_timeout = std::time::Duration::from_millis(1500);
    })
    .await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    for follower in cluster.followers(leader) {
        cluster.stop(follower).await;
    }
    assert!(cluster.handle(leader).read_index().await.is_err());
    let outcome = cluster
        .handle(leader)
        .propose(Bytes::from_static(b"x=2"))
        .await;
    assert!(
        matches!(
            outcome,
            Err(ProposeError::Unknown(_) | ProposeError::NotLeader { .. })
        ),
        "{outcome:?}"
    );
}

/// A beat that was missed says nothing of who answers now: the voters are asked all the same, a little later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_asks_whoever_missed_a_beat() {
    let mut cluster = Cluster::founded(3, |settings| {
        settings.heartbeat = std::time::Duration::from_millis(1000);
        settings.election_min = std::time::Duration::from_secs(6);
        settings.election_max = std::time::Duration::from_secs(9);
    })
    .await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let followers = cluster.followers(leader);
    for follower in &followers {
        cluster.stop(*follower).await;
    }
    let read = cluster.handle(leader).read_index().await;
    assert!(matches!(read, Err(ReadError::NoQuorum(_))), "{read:?}");
    for follower in &followers {
        cluster.start(*follower).await;
    }
    let read = cluster.handle(leader).read_index().await;
    read.expect("both are there, and follow it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_names_the_leader() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let follower = *cluster.followers(leader).first().expect("a follower");
    let outcome = cluster
        .handle(follower)
        .propose(Bytes::from_static(b"x=2"))
        .await;
    assert_eq!(
        outcome,
        Err(ProposeError::NotLeader {
            leader: Some((leader, format!("node-{leader}:7001")))
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_entry_replicates_and_a_larger_one_is_refused() {
    let cluster = Cluster::founded(3, |_| ()).await;
    let mut entry = b"big=".to_vec();
    entry.resize(ENTRY_BYTES_MAX, b'x');
    let done = cluster.propose(Bytes::from(entry.clone())).await;
    cluster.applied(done.position.index, 1..=3).await;
    entry.push(b'x');
    let outcome = cluster.handle(1).propose(Bytes::from(entry)).await;
    assert_eq!(
        outcome,
        Err(ProposeError::TooLarge {
            size: ENTRY_BYTES_MAX + 1
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_proposals_are_refused_before_anything_is_appended() {
    let cluster = Cluster::founded(1, |settings| settings.proposals_kib_max = 1).await;
    let leader = cluster.leader().await;
    let outcome = cluster
        .handle(leader)
        .propose(Bytes::from(vec![b'x'; 1025]))
        .await;
    assert_eq!(outcome, Err(ProposeError::Overloaded));
}

struct Echo(Handle);

impl ForwardHandler for Echo {
    fn handle(
        &self,
        from: PeerNode,
        forwarded: Forwarded,
    ) -> BoxFuture<'static, Result<Bytes, ProposeError>> {
        let handle = self.0.clone();
        Box::pin(async move {
            handle.propose(forwarded.request).await?;
            Ok(Bytes::from(format!(
                "node {} for {}",
                from.0,
                String::from_utf8_lossy(&forwarded.identity)
            )))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_request_keeps_the_callers_identity() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let follower = *cluster.followers(leader).first().expect("a follower");
    let asked = Forwarded {
        identity: Bytes::from_static(b"maker ACME"),
        request: Bytes::from_static(b"x=2"),
    };
    let early = cluster.handle(follower).forward(asked.clone()).await;
    assert!(matches!(early, Err(ProposeError::Refused(_))), "{early:?}");
    cluster
        .handle(leader)
        .set_forward_handler(Arc::new(Echo(cluster.handle(leader).clone())));
    let answer = cluster
        .handle(follower)
        .forward(asked.clone())
        .await
        .expect("forwarded");
    assert_eq!(
        answer,
        Bytes::from(format!("node {follower} for maker ACME"))
    );
    assert_eq!(
        cluster.nodes[&leader].machine.register("x").as_deref(),
        Some(&b"2"[..])
    );
    let own = cluster.handle(leader).forward(asked).await;
    assert!(
        matches!(own, Err(ProposeError::NotLeader { .. })),
        "a leader passes nothing on: {own:?}"
    );
}

/// Who cannot lead would hand over at once again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_to_stop_leaves_its_office_to_one_that_can_sign() {
    let cluster = Cluster::founded(3, |_| ()).await;
    for turn in [0, 1, 0, 1] {
        let leader = cluster.leader().await;
        let last = cluster.put("x", "1").await.position.index;
        cluster.applied(last, 1..=3).await;
        // Turn by turn, so that neither the number of a node nor its lag chooses it.
        let followers: Vec<u64> = cluster.followers(leader).into_iter().collect();
        let (fit, unfit) = (followers[turn], followers[1 - turn]);
        cluster.handle(unfit).cannot_sign();
        cluster.handle(leader).leave_office().await;
        cluster.leader_of(fit).await;
        cluster.handle(unfit).can_sign();
    }
}

/// Without that a country waits for an election whenever its leader's machine is maintained.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_to_stop_sees_to_it_that_another_leads() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    let last = cluster.put("x", "1").await.position.index;
    cluster.applied(last, 1..=3).await;
    let leader = cluster.leader().await;
    // Of the others one is away: it is no heir.
    let away = *cluster.followers(leader).first().expect("a follower");
    let heir = *cluster.followers(leader).last().expect("a follower");
    cluster.stop(away).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let term = cluster.handle(leader).status().standing.term;
    // It is not known at once that it is away, and it holds as much of the log.
    while cluster.handle(leader).status().standing.leader == Some(leader) {
        assert!(tokio::time::Instant::now() < deadline, "it leads still");
        cluster.put("x", "2").await;
        cluster.handle(leader).leave_office().await;
    }
    cluster.leader_of(heir).await;
    let led = cluster.handle(heir).status().standing;
    assert_eq!(led.term, term + 1, "without an election that failed");
    // One that does not lead has nothing to leave, and one alone nobody to leave it to.
    cluster.handle(leader).leave_office().await;
    assert_eq!(cluster.handle(heir).status().standing, led);
    let single = Cluster::founded(1, |_| ()).await;
    single.leader_of(1).await;
    single.handle(1).leave_office().await;
    assert_eq!(single.handle(1).status().standing.role, Role::Leader);
}
