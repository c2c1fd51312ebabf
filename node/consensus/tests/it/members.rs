//! The Raft plane obeys members, and refuses everybody else before anything is persisted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use carnet_consensus::{AdminError, Fatal, Retired, Role, StartError};
use carnet_store::identity::StoreId;
use carnet_store::log::{LogState, RaftLog};
use carnet_store::machine::{Applied, SnapshotFile};
use carnet_wire::status::Obstacle;
use tonic::Code;

use crate::cluster::{Cluster, PATIENCE, member};
use crate::speaker::{Rpc, Speaker, append_body, snapshot_header, vote_body};

/// A term far ahead of a test's, and near enough to be believed of a member.
const AHEAD: u64 = 1000;

/// What a node keeps: vote and log, and how far it has applied.
fn kept(cluster: &Cluster, node: u64) -> (LogState, Option<u64>) {
    let applied = cluster.nodes[&node].machine.history();
    (
        cluster.nodes[&node].log.state(),
        applied.keys().last().copied(),
    )
}

/// Waits until no node has anything left to say to another.
async fn quiet(cluster: &Cluster, nodes: &[u64]) {
    let leader = cluster.leader().await;
    let last = cluster.handle(leader).status().last.expect("a log");
    cluster.applied(last, nodes.iter().copied()).await;
    for node in nodes {
        let committed = |status: &carnet_consensus::Status| status.committed >= Some(last);
        let settled = cluster.handle(*node).wait_status(committed, PATIENCE).await;
        settled.expect("settled");
    }
}

/// Every request of a speaker to a node is refused with this code and these words, and the node keeps what it kept.
async fn nothing_is_taken(cluster: &Cluster, speaker: Speaker, to: u64, words: &str) {
    let before = kept(cluster, to);
    let term = cluster.handle(to).status().standing.term;
    for rpc in Rpc::ALL {
        for term in [term, term + AHEAD] {
            let outcome = speaker
                .ask(cluster.channel(speaker.node, to), to, rpc, term)
                .await;
            let refused = outcome.expect_err("refused");
            assert_eq!(
                refused.code(),
                Code::PermissionDenied,
                "{rpc:?}: {refused:?}"
            );
            assert!(refused.message().contains(words), "{rpc:?}: {refused:?}");
        }
    }
    assert_eq!(kept(cluster, to), before, "nothing was persisted");
}

/// Three nodes of which 3 was removed, and the two that stay.
async fn without_node_3() -> Cluster {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    if cluster.leader().await == 3 {
        let asked = cluster.handle(3).transfer_leadership(1).await;
        asked.expect("asked");
        cluster.leader_of(1).await;
    }
    let leader = cluster.leader().await;
    cluster
        .handle(leader)
        .change_membership(BTreeSet::from([1, 2]), Retired::Leave)
        .await
        .expect("changed");
    cluster.stop(3).await;
    cluster.put("x", "2").await;
    quiet(&cluster, &[1, 2]).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_node_is_refused_with_every_message() {
    let cluster = without_node_3().await;
    let old = Speaker::of(&cluster, 3);
    for to in [1, 2] {
        nothing_is_taken(&cluster, old, to, "node 3 was retired").await;
        let new_disk = Speaker {
            store: StoreId([0xee; 16]),
            ..old
        };
        nothing_is_taken(&cluster, new_disk, to, "node 3 was retired").await;
    }
    cluster.put("x", "3").await;
}

/// A node takes one snapshot at a time. Who says nothing, or may say nothing, keeps no other out; nor does a leader of before
/// that stops in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_keeps_a_leaders_snapshot_out() {
    let cluster = without_node_3().await;
    let leader = cluster.leader().await;
    let to = if leader == 1 { 2 } else { 1 };
    let term = cluster.handle(to).status().standing.term;
    let retired = cluster.channel(3, to);
    let silent = tokio::spawn(Speaker::begin_snapshot(retired, Vec::new()));
    let sender = Speaker::of(&cluster, leader);
    for _ in 0..50 {
        // What is announced is not sent, which is found only by who takes it in.
        let channel = cluster.channel(leader, to);
        let refused = sender.ask(channel, to, Rpc::Snapshot, term).await;
        let refused = refused.expect_err("it holds nothing");
        assert_eq!(refused.code(), Code::DataLoss, "{refused:?}");
    }
    silent.abort();

    let file = SnapshotFile {
        name: "a".to_owned(),
        size: 10,
    };
    let header = |term| {
        snapshot_header(
            (term, leader, true),
            &Applied::default(),
            std::slice::from_ref(&file),
        )
    };
    let begun = sender.envelope(to, header(term));
    let asked = async |term| {
        let channel = cluster.channel(leader, to);
        let refused = sender.ask(channel, to, Rpc::Snapshot, term).await;
        refused.expect_err("it holds nothing").code()
    };
    // Under the same vote others wait for its end, once it has the place.
    let stalled = 'has_the_place: loop {
        let channel = cluster.channel(leader, to);
        let begun = Speaker::begin_snapshot(channel, vec![begun.clone()]);
        let begun = tokio::spawn(begun);
        while !begun.is_finished() {
            if asked(term).await == Code::ResourceExhausted {
                break 'has_the_place begun;
            }
        }
    };
    assert_eq!(asked(term + 1).await, Code::DataLoss);
    let ended = stalled.await.expect("it ends");
    assert_eq!(ended.expect_err("pushed out").code(), Code::Aborted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_node_does_not_come_back() {
    let mut cluster = without_node_3().await;
    let leader = cluster.leader().await;
    let outcome = cluster.handle(leader).add_learner(3, member(3)).await;
    assert!(
        matches!(&outcome, Err(AdminError::Refused(_, why)) if why.contains("retired")),
        "{outcome:?}"
    );
    // With the log it had, whether or not it knows that it was removed.
    match cluster.try_start(3).await {
        Err(StartError::Refused(why)) => assert!(why.contains("node 3 was retired"), "{why}"),
        Err(other) => panic!("{other}"),
        Ok(()) => {
            let outcome = cluster.handle(3).read_index().await;
            assert!(outcome.is_err(), "{outcome:?}");
        }
    }
    cluster.put("x", "3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_is_known_after_a_restart_and_from_a_snapshot() {
    let mut cluster = without_node_3().await;
    for node in [1, 2] {
        cluster.stop(node).await;
        cluster.start(node).await;
    }
    cluster.put("x", "3").await;
    let leader = cluster.leader().await;
    let handle = cluster.handle(leader).clone();
    handle.trigger_snapshot().await.expect("asked");
    let last = handle.status().last.expect("a log");
    let held = handle
        .wait_status(|status| status.snapshot >= Some(last), PATIENCE)
        .await;
    held.expect("a snapshot");
    handle.purge(last).await.expect("asked");
    let purged = handle
        .wait_status(|status| status.purged >= Some(last), PATIENCE)
        .await;
    purged.expect("purged");
    cluster.start(4).await;
    handle.add_learner(4, member(4)).await.expect("added");
    cluster.applied(last, [4]).await;
    let old = Speaker::of(&cluster, 3);
    for to in [1, 2, 4] {
        nothing_is_taken(&cluster, old, to, "node 3 was retired").await;
    }
}

/// Together with a removed server, a node that lags behind the removal is an old majority: the log of neither says so,
/// the operator's file does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_node_refuses_whom_its_file_names() {
    let mut cluster = Cluster::founded(4, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = cluster.followers(leader).into_iter().collect();
    let [lagging, removed, third] = others[..] else {
        panic!("three followers");
    };
    quiet(&cluster, &[1, 2, 3, 4]).await;
    cluster.stop(lagging).await;
    cluster
        .handle(leader)
        .change_membership(BTreeSet::from([leader, lagging, third]), Retired::Leave)
        .await
        .expect("changed");
    for node in [leader, removed, third] {
        cluster.stop(node).await;
    }
    cluster.retired = BTreeSet::from([(removed, cluster.store(removed))]);
    cluster.start(lagging).await;
    let old = Speaker::of(&cluster, removed);
    nothing_is_taken(
        &cluster,
        old,
        lagging,
        &format!("node {removed} was retired"),
    )
    .await;
    // Its own file may name itself.
    cluster.retired = BTreeSet::from([(third, cluster.store(third))]);
    let outcome = cluster.try_start(third).await;
    assert!(
        matches!(outcome, Err(StartError::Refused(_))),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_removes_itself() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let rest = cluster.followers(leader);
    cluster
        .handle(leader)
        .change_membership(rest.clone(), Retired::Leave)
        .await
        .expect("changed");
    let old = Speaker::of(&cluster, leader);
    for node in &rest {
        let gone = |status: &carnet_consensus::Status| {
            status.voters == rest && status.standing.leader.is_some_and(|led| led != leader)
        };
        let settled = cluster.handle(*node).wait_status(gone, PATIENCE).await;
        settled.expect("another leader");
    }
    let new = *rest
        .iter()
        .find(|node| cluster.handle(**node).status().standing.role == Role::Leader)
        .expect("one of the rest leads");
    let done = cluster.propose_at(new, "x=2").await;
    cluster.applied(done.position.index, rest.clone()).await;
    for node in &rest {
        nothing_is_taken(&cluster, old, *node, &format!("node {leader} was retired")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_node_learns_a_leader_it_does_not_know() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let away = *cluster.followers(leader).first().expect("a follower");
    quiet(&cluster, &[1, 2, 3]).await;
    cluster.stop(away).await;
    cluster.start(4).await;
    let handle = cluster.handle(leader).clone();
    handle.add_learner(4, member(4)).await.expect("added");
    handle
        .change_membership(BTreeSet::from([1, 2, 3, 4]), Retired::Leave)
        .await
        .expect("changed");
    let last = cluster.put("x", "2").await.position.index;
    cluster.applied(last, [4]).await;
    handle.transfer_leadership(4).await.expect("asked");
    cluster.leader_of(4).await;
    let last = cluster.propose_at(4, "x=3").await.position.index;
    cluster.start(away).await;
    cluster.applied(last, [away]).await;
    let status = cluster.handle(away).status();
    assert!(status.members.contains_key(&4), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_behind_its_own_promotion_votes_and_elects() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    cluster.start(4).await;
    let handle = cluster.handle(leader).clone();
    handle.add_learner(4, member(4)).await.expect("added");
    quiet(&cluster, &[1, 2, 3, 4]).await;
    cluster.stop(4).await;
    // It fell silent between the moment it was asked and the change.
    handle
        .change_membership_unseen(BTreeSet::from([1, 2, 3, 4]), Retired::Leave)
        .await
        .expect("changed");
    let last = cluster.put("x", "2").await.position.index;
    cluster.applied(last, [1, 2, 3]).await;
    // Three of four must vote: the learner that does not know of its promotion is one of them.
    cluster.stop(leader).await;
    cluster.start(4).await;
    let last = cluster.put("x", "3").await.position.index;
    cluster.applied(last, [4]).await;
    assert!(cluster.handle(4).status().voters.contains(&4));
}

/// One voter, node 1, and some who follow it.
async fn one_voter(learners: &[u64]) -> Cluster {
    let mut cluster = Cluster::unfounded(|_| ());
    cluster.start(1).await;
    let only = BTreeMap::from([(1, member(1))]);
    cluster.handle(1).initialize(only).await.expect("founded");
    for node in learners {
        add_learner(&mut cluster, *node).await;
    }
    quiet(&cluster, learners).await;
    cluster
}

async fn add_learner(cluster: &mut Cluster, node: u64) {
    cluster.start(node).await;
    let added = cluster.handle(1).add_learner(node, member(node)).await;
    added.expect("added");
}

/// The founder is gone; of the other two voters one was away when both got their votes.
async fn the_other_two_elect(mut cluster: Cluster) {
    let voters = BTreeSet::from([1, 2, 3]);
    let handle = cluster.handle(1);
    let changed = handle.change_membership_unseen(voters, Retired::Leave);
    changed.await.expect("changed");
    let last = cluster.put("x", "1").await.position.index;
    cluster.applied(last, [2]).await;
    cluster.stop(1).await;
    cluster.start(3).await;
    let last = cluster.put("x", "2").await.position.index;
    cluster.applied(last, [2, 3]).await;
    assert_eq!(cluster.leader().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_node_votes_for_whom_it_knows_as_a_learner() {
    let mut cluster = one_voter(&[2, 3]).await;
    cluster.stop(3).await;
    the_other_two_elect(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_node_votes_for_whom_it_does_not_know_when_nobody_leads() {
    let mut cluster = one_voter(&[3]).await;
    cluster.stop(3).await;
    add_learner(&mut cluster, 2).await;
    the_other_two_elect(cluster).await;
}

/// Once, a lag of less than ten thousand records counted as caught up, and the whole log of a young registry is less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_holds_nothing_gets_no_vote() {
    let mut cluster = Cluster::founded(3, |settings| {
        settings.propose_timeout = std::time::Duration::from_millis(500);
    })
    .await;
    for number in 0..20 {
        cluster.put("x", &number.to_string()).await;
    }
    let leader = cluster.leader().await;
    let handle = cluster.handle(leader).clone();
    cluster.starved.lock().expect("no panic").insert(4);
    cluster.start(4).await;
    let added = handle.add_learner(4, member(4)).await;
    assert!(
        matches!(&added, Err(AdminError::Unknown(why)) if why.contains("acknowledged nothing")),
        "{added:?}"
    );
    let four = BTreeSet::from([1, 2, 3, 4]);
    for voters in [four.clone(), BTreeSet::from([leader, 4])] {
        let outcome = handle.change_membership(voters, Retired::Leave).await;
        assert!(
            matches!(&outcome, Err(AdminError::Refused(Obstacle::Behind, why)) if why.contains("node 4")),
            "{outcome:?}"
        );
    }
    // One that is away gets none either, though three of the four are a quorum.
    cluster.stop(4).await;
    let outcome = handle.change_membership(four.clone(), Retired::Leave).await;
    assert!(
        matches!(&outcome, Err(AdminError::Refused(Obstacle::NotThere, _))),
        "{outcome:?}"
    );
    let stranger = BTreeSet::from([1, 2, 3, 5]);
    let outcome = handle.change_membership(stranger, Retired::Leave).await;
    assert!(
        matches!(&outcome, Err(AdminError::Refused(Obstacle::NotMember, _))),
        "{outcome:?}"
    );
    assert_eq!(handle.status().voters, BTreeSet::from([1, 2, 3]));
    cluster.starved.lock().expect("no panic").clear();
    cluster.start(4).await;
    let last = cluster.put("x", "last").await.position.index;
    cluster.applied(last, [4]).await;
    handle
        .change_membership(four.clone(), Retired::Leave)
        .await
        .expect("changed");
    assert_eq!(handle.status().voters, four);
}

/// Once, it became a member that refused every record, and the caller was told half a minute later that nobody knew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_made_to_join_others_is_not_taken_in() {
    let mut cluster = Cluster::founded(3, |settings| {
        if settings.node == 4 {
            settings.join = BTreeSet::from([9]);
        }
    })
    .await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let handle = cluster.handle(leader).clone();
    cluster.start(4).await;
    let before = cluster.nodes[&leader].log.state().last;
    let added = handle.add_learner(4, member(4)).await;
    assert!(
        matches!(&added, Err(AdminError::Refused(Obstacle::NotJoined, why)) if why.contains("made to join others")),
        "{added:?}"
    );
    assert!(!handle.status().members.contains_key(&4));
    assert_eq!(cluster.nodes[&leader].log.state().last, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joint_change_that_was_interrupted_is_finished_by_whoever_leads() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let handle = cluster.handle(leader).clone();
    for node in [4, 5] {
        cluster.start(node).await;
        handle.add_learner(node, member(node)).await.expect("added");
    }
    quiet(&cluster, &[1, 2, 3, 4, 5]).await;
    for node in [4, 5] {
        cluster.stop(node).await;
    }
    let wanted = BTreeSet::from([leader, 4, 5]);
    // Of voters that are not there a change is refused; these go after it has begun.
    let refused = handle
        .change_membership(wanted.clone(), Retired::Leave)
        .await;
    assert!(
        matches!(refused, Err(AdminError::Refused(..))),
        "{refused:?}"
    );
    let changing = handle.change_membership_unseen(wanted.clone(), Retired::Leave);
    // The second half has no majority: the change begins and cannot end.
    let begun = handle.wait_status(|status| status.joint, PATIENCE);
    tokio::select! {
        outcome = changing => panic!("it cannot end: {outcome:?}"),
        joint = begun => { joint.expect("joint"); }
    }
    cluster.stop(leader).await;
    for node in [4, 5] {
        cluster.start(node).await;
    }
    // Votes of both halves count: those that are to leave elect with those that came.
    let led = cluster.leader().await;
    cluster.start(leader).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut led = led;
    while let Err(error) = cluster
        .handle(led)
        .change_membership(wanted.clone(), Retired::Leave)
        .await
    {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        led = cluster.leader().await;
    }
    for node in &wanted {
        let done = |status: &carnet_consensus::Status| status.voters == wanted && !status.joint;
        let settled = cluster.handle(*node).wait_status(done, PATIENCE).await;
        settled.expect("changed");
    }
    // Who left is known until a node knows that the change is committed.
    quiet(&cluster, &wanted.iter().copied().collect::<Vec<_>>()).await;
    let left = (1..=3).filter(|node| !wanted.contains(node));
    for node in left {
        let old = Speaker::of(&cluster, node);
        let words = format!("node {node} was retired");
        let retired = |to: u64| {
            let channel = cluster.channel(node, to);
            async move { old.ask(channel, to, Rpc::Clock, 0).await }
        };
        for to in &wanted {
            let refused = retired(*to).await.expect_err("refused");
            assert!(
                refused.message().contains(&words) || refused.message().contains("not a member"),
                "{refused:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_another_store_is_refused() {
    let cluster = Cluster::founded(3, |_| ()).await;
    quiet(&cluster, &[1, 2, 3]).await;
    let other = Speaker {
        store: StoreId([0xee; 16]),
        start: 1 << 30,
        ..Speaker::of(&cluster, 3)
    };
    nothing_is_taken(&cluster, other, 1, "needs a new node id").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_start_of_a_store_is_a_copy_and_a_restart_does_not_forget_it() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.stop(3).await;
    cluster.start(3).await;
    quiet(&cluster, &[1, 2, 3]).await;
    let now = Speaker::of(&cluster, 3);
    let believed = asked_until_judged(&cluster, now, 1).await;
    believed.expect("it answers at its address");
    let copies = [
        Speaker {
            start: now.start - 1,
            nonce: now.nonce - 1,
            ..now
        },
        Speaker {
            nonce: now.nonce + 1,
            ..now
        },
    ];
    for restarted in [false, true] {
        if restarted {
            cluster.stop(1).await;
            cluster.start(1).await;
            quiet(&cluster, &[1, 2, 3]).await;
        }
        for copy in copies {
            nothing_is_taken(&cluster, copy, 1, "runs on a copy").await;
        }
        let asked = now.ask(cluster.channel(3, 1), 1, Rpc::Clock, 0).await;
        asked.expect("the last start is no copy");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_running_node_learns_that_it_is_one_and_the_node_goes_on() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    quiet(&cluster, &[1, 2, 3]).await;
    // Of a follower, and of the leader itself.
    for copied in [
        *cluster.followers(leader).first().expect("a follower"),
        leader,
    ] {
        let copy = cluster.start_copy(copied).await;
        let why = tokio::time::timeout(PATIENCE, copy.fatal()).await;
        let why = why.expect("it learns of it");
        assert!(
            matches!(&why, Fatal::Copy { .. }) && why.is_final(),
            "{why}"
        );
        assert!(why.to_string().contains("runs on a copy"), "{why}");
        copy.shutdown().await;
        let done = cluster.put("x", "2").await;
        cluster.applied(done.position.index, 1..=3).await;
        for node in 1..=3 {
            let read = cluster.handle(node).read_index().await;
            read.expect("everybody takes part");
        }
    }
}

/// Asks again while the process is only doubted.
async fn asked_until_judged(
    cluster: &Cluster,
    speaker: Speaker,
    to: u64,
) -> Result<(), tonic::Status> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let channel = cluster.channel(speaker.node, to);
        match speaker.ask(channel, to, Rpc::Clock, 0).await {
            Err(doubted) if doubted.code() == Code::Unavailable => {
                assert!(tokio::time::Instant::now() < deadline, "{doubted:?}");
                tokio::task::yield_now().await;
            }
            other => return other.map(|_| ()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_while_the_process_ran_is_behind_it_when_the_process_is_gone() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    quiet(&cluster, &[1, 2, 3]).await;
    let leader = cluster.leader().await;
    let gone = *cluster.followers(leader).first().expect("a follower");
    let copied = Speaker::of(&cluster, gone);
    // Votes and minutes of writing pass; the leader hears of them.
    cluster.nodes[&gone].count.show(copied.start + 5);
    cluster.handle(gone).read_index().await.expect("a quorum");
    cluster.stop(gone).await;
    let older = Speaker {
        start: copied.start + 1,
        nonce: copied.nonce + 1,
        ..copied
    };
    let refused = asked_until_judged(&cluster, older, leader).await;
    let refused = refused.expect_err("it is behind");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    assert!(refused.message().contains("runs on a copy"), "{refused:?}");
    assert!(
        refused.message().contains("copies-and-exit-code-4"),
        "{refused:?}"
    );
    // The disk itself begins above what it showed, and nobody else answers at its address.
    let restarted = Speaker {
        start: copied.start + 6,
        ..older
    };
    let believed = asked_until_judged(&cluster, restarted, leader).await;
    believed.expect("a restart");
}

/// Until then what it holds may be years old, and nobody has told it so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_taken_in_only_by_a_quorum() {
    let mut cluster = Cluster::founded(3, |settings| {
        settings.propose_timeout = Duration::from_secs(2);
    })
    .await;
    cluster.put("x", "1").await;
    quiet(&cluster, &[1, 2, 3]).await;
    for node in 1..=3 {
        let taken = cluster.handle(node).taken_in().await;
        taken.expect("it runs with the others");
    }
    for node in 1..=3 {
        cluster.stop(node).await;
    }
    cluster.start(1).await;
    let alone = cluster.handle(1).taken_in().await;
    assert!(alone.is_err(), "nobody is there: {alone:?}");
    cluster.start(2).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while let Err(error) = cluster.handle(1).taken_in().await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
    }
    assert_eq!(
        cluster.nodes[&1].machine.register("x").as_deref(),
        Some(&b"1"[..])
    );
    // A copy is never taken in.
    let copy = cluster.start_copy(2).await;
    let taken = copy.taken_in().await;
    assert!(taken.is_err(), "{taken:?}");
    copy.shutdown().await;

    let single = Cluster::founded(1, |_| ()).await;
    single.leader_of(1).await;
    let taken = single.handle(1).taken_in().await;
    taken.expect("it is the quorum");
}

/// Whoever holds a certificate and not the disk may claim any count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_count_is_believed_that_would_lock_the_store_out() {
    let cluster = Cluster::founded(3, |_| ()).await;
    quiet(&cluster, &[1, 2, 3]).await;
    let leader = cluster.leader().await;
    let named = *cluster.followers(leader).first().expect("a follower");
    let store = Speaker::of(&cluster, named);
    for start in [store.start + (1 << 20) + 1, 1 << 48, u64::MAX] {
        let far = Speaker {
            start,
            nonce: 7,
            ..store
        };
        let refused = asked_until_judged(&cluster, far, leader).await;
        let refused = refused.expect_err("too far");
        assert!(refused.details().is_empty(), "not for good: {refused:?}");
    }
    // Within the step it is asked for, and the store answers.
    for start in [store.start + 1, store.start + (1 << 20)] {
        let near = Speaker {
            start,
            nonce: start,
            ..store
        };
        let refused = asked_until_judged(&cluster, near, leader).await;
        let refused = refused.expect_err("the store runs");
        assert!(refused.message().contains("another process"), "{refused:?}");
    }
    let believed = asked_until_judged(&cluster, store, leader).await;
    believed.expect("nothing was believed of the others");
    cluster
        .handle(named)
        .read_index()
        .await
        .expect("it takes part");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_may_only_lead_and_only_under_a_term_that_is_not_below() {
    let cluster = Cluster::founded(3, |_| ()).await;
    quiet(&cluster, &[1, 2, 3]).await;
    let stranger = Speaker::of(&cluster, 7);
    let term = cluster.handle(1).status().standing.term;
    let before = kept(&cluster, 1);
    for rpc in Rpc::ALL {
        // What a lagging node's new leader sends; and who it is may be asked by anybody of the cluster.
        if matches!(rpc, Rpc::Append | Rpc::Snapshot | Rpc::Identify) {
            continue;
        }
        let outcome = stranger
            .ask(cluster.channel(7, 1), 1, rpc, term + AHEAD)
            .await;
        let refused = outcome.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{rpc:?}");
    }
    for rpc in [Rpc::Append, Rpc::Snapshot] {
        let outcome = stranger.ask(cluster.channel(7, 1), 1, rpc, term - 1).await;
        let refused = outcome.expect_err("refused");
        assert!(refused.message().contains("below"), "{refused:?}");
    }
    assert_eq!(kept(&cluster, 1), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_term_is_taken_that_leaves_no_room_for_elections() {
    let cluster = Cluster::founded(3, |_| ()).await;
    quiet(&cluster, &[1, 2, 3]).await;
    let voter = Speaker::of(&cluster, 3);
    let term = cluster.handle(1).status().standing.term;
    let before = kept(&cluster, 1);
    for far in [term + (1 << 20) + 1, 1 << 48, (1 << 48) + 1, u64::MAX] {
        for rpc in [Rpc::Vote, Rpc::PreVote, Rpc::Append, Rpc::Snapshot] {
            let outcome = voter.ask(cluster.channel(3, 1), 1, rpc, far).await;
            let refused = outcome.expect_err("refused");
            assert!(
                matches!(
                    refused.code(),
                    Code::PermissionDenied | Code::InvalidArgument
                ),
                "{rpc:?} {far}: {refused:?}"
            );
        }
    }
    assert_eq!(kept(&cluster, 1), before);
    cluster.put("x", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_configuration_votes_for_nobody_and_joins_only_whom_it_was_told() {
    let mut cluster = Cluster::unfounded(|_| ());
    cluster.start(1).await;
    let before = kept(&cluster, 1);
    // 12 is not among those that the test's nodes join.
    for (from, rpc) in [
        (2, Rpc::Vote),
        (2, Rpc::PreVote),
        (12, Rpc::Vote),
        (12, Rpc::Append),
        (12, Rpc::Snapshot),
    ] {
        let speaker = Speaker::of(&cluster, from);
        let outcome = speaker.ask(cluster.channel(from, 1), 1, rpc, 1).await;
        let refused = outcome.expect_err("refused");
        assert_eq!(
            refused.code(),
            Code::PermissionDenied,
            "{from} {rpc:?}: {refused:?}"
        );
    }
    assert_eq!(kept(&cluster, 1), before);
    let named = Speaker::of(&cluster, 2);
    let taken = named.ask(cluster.channel(2, 1), 1, Rpc::Append, 1).await;
    taken.expect("taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flag_of_a_transfer_counts_only_with_the_leaders_word() {
    let cluster = Cluster::founded(3, |_| ()).await;
    quiet(&cluster, &[1, 2, 3]).await;
    let leader = cluster.leader().await;
    let followers: Vec<u64> = cluster.followers(leader).into_iter().collect();
    let [asked, candidate] = followers[..] else {
        panic!("two followers");
    };
    let term = cluster.handle(asked).status().standing.term;
    let speaker = Speaker::of(&cluster, candidate);
    let body = vote_body(term + 1, candidate, Some((term, leader, 1 << 20)), true);
    let envelope = speaker.envelope(asked, body);
    let before = kept(&cluster, asked);
    let answer = speaker
        .send(cluster.channel(candidate, asked), Rpc::Vote, envelope)
        .await
        .expect("answered");
    assert_eq!(
        answer.last(),
        Some(&0),
        "not granted: the leader is in office"
    );
    // A transfer in the name of somebody who does not lead changes nothing.
    let envelope = speaker.envelope(
        asked,
        crate::speaker::transfer_body(term, candidate, candidate),
    );
    let outcome = speaker
        .send(
            cluster.channel(candidate, asked),
            Rpc::TransferLeader,
            envelope,
        )
        .await;
    let refused = outcome.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    assert_eq!(kept(&cluster, asked), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_another_store_is_refused() {
    let cluster = Cluster::founded(1, |_| ()).await;
    cluster.leader().await;
    let speaker = Speaker::of(&cluster, 2);
    let mut envelope = speaker.envelope(1, append_body(AHEAD, 2));
    envelope.to_store = Bytes::from_static(&[9; 16]);
    let before = kept(&cluster, 1);
    let outcome = speaker
        .send(cluster.channel(2, 1), Rpc::Append, envelope)
        .await;
    let refused = outcome.expect_err("refused");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert_eq!(kept(&cluster, 1), before);
}

/// An emptied disk that was set up again under the old node id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_disk_under_a_known_node_id_is_no_member_and_says_why() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    let leader = cluster.leader().await;
    let wiped = *cluster.followers(leader).first().expect("a follower");
    quiet(&cluster, &[1, 2, 3]).await;
    cluster.stop(wiped).await;
    cluster.forget(wiped);
    cluster.stores.insert(wiped, StoreId([0xee; 16]));
    cluster.start(wiped).await;
    let why = tokio::time::timeout(PATIENCE, cluster.handle(wiped).fatal()).await;
    let why = why.expect("it learns of it");
    assert!(matches!(&why, Fatal::OtherStore { .. }), "{why}");
    assert!(why.to_string().contains("needs a new node id"), "{why}");
    let done = cluster
        .handle(leader)
        .propose(Bytes::from_static(b"x=2"))
        .await;
    done.expect("the others serve");
    let state = cluster.nodes[&wiped].log.state();
    assert_eq!((state.vote.map(|vote| vote.node), state.last), (None, None));
}

/// A disk that lost what it had synced, or an older copy of it: the same store, and less in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_went_back_is_told_so_and_takes_part_no_more() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    let leader = cluster.leader().await;
    let wiped = *cluster.followers(leader).first().expect("a follower");
    quiet(&cluster, &[1, 2, 3]).await;
    cluster.stop(wiped).await;
    cluster.forget(wiped);
    cluster.start(wiped).await;
    let why = tokio::time::timeout(PATIENCE, cluster.handle(wiped).fatal()).await;
    let why = why.expect("it is told");
    assert!(matches!(&why, Fatal::LogWentBack { .. }), "{why}");
    let speaker = Speaker::of(&cluster, leader);
    let term = cluster.handle(leader).status().standing.term;
    let asked = speaker
        .ask(cluster.channel(leader, wiped), wiped, Rpc::Vote, term + 1)
        .await;
    assert!(asked.is_err(), "it votes no more: {asked:?}");
    let done = cluster
        .handle(leader)
        .propose(Bytes::from_static(b"x=2"))
        .await;
    done.expect("the others serve");
}

/// The leader's word alone ends no follower: it looks at its log first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_did_not_go_back_goes_on_whatever_it_is_told() {
    let cluster = Cluster::founded(3, |_| ()).await;
    cluster.put("x", "1").await;
    quiet(&cluster, &[1, 2, 3]).await;
    let leader = cluster.leader().await;
    let told = *cluster.followers(leader).first().expect("a follower");
    let last = cluster.nodes[&told].log.state().last.expect("a log");
    let speaker = Speaker::of(&cluster, leader);
    let mut body = BytesMut::new();
    // The vote of the leader, and the last record that it says was acknowledged: exactly the last there is.
    body.put_u64(cluster.handle(leader).status().standing.term);
    body.put_u64(leader);
    body.put_u8(1);
    body.put_u64(last.term);
    body.put_u64(last.node);
    body.put_u64(last.index);
    let envelope = speaker.envelope(told, body.freeze());
    let channel = cluster.channel(leader, told);
    let answer = speaker.send(channel, Rpc::WentBack, envelope).await;
    answer.expect("it was heard");
    let asked = speaker.ask(cluster.channel(leader, told), told, Rpc::Clock, 0);
    asked
        .await
        .expect("it takes part: who has stopped answers nobody");
    let done = cluster.put("x", "2").await;
    cluster.applied(done.position.index, [told]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_the_cluster_knows_otherwise_does_not_start() {
    let mut cluster = Cluster::founded(3, |_| ()).await;
    quiet(&cluster, &[1, 2, 3]).await;
    cluster.stop(3).await;
    cluster.stores.insert(3, StoreId([0xee; 16]));
    let outcome = tokio::time::timeout(Duration::from_secs(20), cluster.try_start(3)).await;
    let outcome = outcome.expect("in time");
    assert!(
        matches!(outcome, Err(StartError::Refused(_))),
        "{outcome:?}"
    );
}
