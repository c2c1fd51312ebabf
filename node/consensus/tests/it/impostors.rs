//! Members that say what they may not: records and snapshots in another's name, or other ones than announced.

use std::collections::BTreeSet;

use bytes::Bytes;
use carnet_consensus::{AdminError, Retired};
use carnet_store::identity::StoreId;
use carnet_store::log::RaftLog;
use carnet_store::machine::{Applied, SnapshotFile, StateMachine};
use carnet_wire::raft::v1::Envelope;
use carnet_wire::raft::v1::raft_client::RaftClient;
use carnet_wire::status::Obstacle;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::cluster::{Cluster, PATIENCE, member};
use crate::speaker::{Rpc, Speaker, append_body, append_under, snapshot_header, snapshot_piece};

/// Three nodes with a record: the leader and its followers.
async fn three() -> (Cluster, u64, [u64; 2]) {
    let cluster = Cluster::founded(3, |_| ()).await;
    let last = cluster.put("x", "1").await.position.index;
    cluster.applied(last, 1..=3).await;
    let leader = cluster.leader().await;
    let followers: Vec<u64> = cluster.followers(leader).into_iter().collect();
    (cluster, leader, [followers[0], followers[1]])
}

fn term(cluster: &Cluster, node: u64) -> u64 {
    cluster.handle(node).status().standing.term
}

fn refused(outcome: Result<Bytes, Status>, code: Code, words: &str) {
    match outcome {
        Err(status) if status.code() == code && status.message().contains(words) => {}
        other => panic!("{other:?}, expected {code:?} with {words:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leads_in_anothers_name_or_before_it_is_elected() {
    let (cluster, leader, [liar, asked]) = three().await;
    let speaker = Speaker::of(&cluster, liar);
    let term = term(&cluster, asked);
    let before = cluster.nodes[&asked].log.state();
    for (named, committed) in [(leader, true), (liar, false), (asked, true)] {
        for (rpc, body) in [
            (Rpc::Append, append_under(term + 1, named, committed)),
            (
                Rpc::Snapshot,
                snapshot_header((term + 1, named, committed), &Applied::default(), &[]),
            ),
        ] {
            let envelope = speaker.envelope(asked, body);
            let sent = speaker.send(cluster.channel(liar, asked), rpc, envelope);
            refused(sent.await, Code::PermissionDenied, "of somebody else");
        }
    }
    assert_eq!(cluster.nodes[&asked].log.state(), before);
}

/// The answers go to the store that began the stream: another one would be told what was never sent to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_of_one_store() {
    let mut cluster = Cluster::unfounded(|_| ());
    cluster.start(1).await;
    // Not yet in a cluster, a node takes whoever it was told to join, with the store that it shows.
    let first = Speaker::of(&cluster, 2);
    let second = Speaker {
        store: StoreId([0xee; 16]),
        ..first
    };
    let frames = [first, second].map(|speaker| speaker.envelope(1, append_body(1, 2)));
    let mut client = RaftClient::new(cluster.channel(2, 1));
    let answers = client.stream_append(tokio_stream::iter(frames)).await;
    let mut answers = answers.expect("answered").into_inner();
    let taken = answers.message().await.expect("taken").expect("an answer");
    assert_eq!(taken.to_store[..], first.store.0);
    let ended = answers.message().await.map(|_| Bytes::new());
    refused(ended, Code::PermissionDenied, "a stream of two stores");
}

/// What a node's state is as a snapshot: what it holds, and its only file.
fn snapshot_of(cluster: &Cluster, node: u64) -> (Applied, Vec<SnapshotFile>, Bytes) {
    let snapshot = cluster.nodes[&node].machine.snapshot().expect("held");
    let files = snapshot.files().to_vec();
    let bytes = snapshot.read(0, 0, usize::MAX).expect("read");
    (snapshot.applied().clone(), files, bytes)
}

async fn sent_whole(
    cluster: &Cluster,
    speaker: Speaker,
    asked: u64,
    header: Bytes,
    file: &[u8],
) -> Result<Bytes, Status> {
    let parts = [header, snapshot_piece(file)].map(|body| speaker.envelope(asked, body));
    let mut client = RaftClient::new(cluster.channel(speaker.node, asked));
    let answer = client.snapshot(tokio_stream::iter(parts)).await?;
    Ok(answer.into_inner().body)
}

/// openraft takes it for impossible, and would stop the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_contradicts_what_is_committed_is_refused() {
    let (cluster, leader, [asked, _]) = three().await;
    let speaker = Speaker::of(&cluster, leader);
    let (mut holds, files, file) = snapshot_of(&cluster, leader);
    let term = term(&cluster, leader) + 1;
    let last = holds.last.as_mut().expect("records");
    (last.term, last.node) = (term, leader);
    let header = snapshot_header((term, leader, true), &holds, &files);
    let sent = sent_whole(&cluster, speaker, asked, header, &file).await;
    refused(sent, Code::InvalidArgument, "contradicts what is committed");
    let last = cluster.put("x", "2").await.position.index;
    cluster.applied(last, 1..=3).await;
}

/// What the core is told of a snapshot before it is installed must be what is in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_holds_something_else_than_announced_is_refused() {
    let (cluster, leader, [asked, _]) = three().await;
    let speaker = Speaker::of(&cluster, leader);
    let (holds, files, file) = snapshot_of(&cluster, leader);
    let before = cluster.nodes[&asked].log.state();
    let term = term(&cluster, leader);
    let mut later = holds.clone();
    later.last.as_mut().expect("records").index += 1;
    let mut elsewhere = holds.clone();
    elsewhere.membership.as_mut().expect("members").0.index += 1;
    let mut nobody = holds.clone();
    nobody.membership = None;
    for announced in [later, elsewhere, nobody] {
        let header = snapshot_header((term, leader, true), &announced, &files);
        let sent = sent_whole(&cluster, speaker, asked, header, &file).await;
        refused(sent, Code::DataLoss, "than announced");
    }
    assert_eq!(cluster.nodes[&asked].log.state(), before);
    // As it is, it is taken.
    let header = snapshot_header((term, leader, true), &holds, &files);
    let sent = sent_whole(&cluster, speaker, asked, header, &file).await;
    sent.expect("taken");
    let last = cluster.put("x", "2").await.position.index;
    cluster.applied(last, 1..=3).await;
}

/// A snapshot takes long. Who sends it may have left when its last byte comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_leader_that_left_while_it_was_sent_is_refused() {
    let (cluster, leader, [asked, other]) = three().await;
    let speaker = Speaker::of(&cluster, leader);
    let (holds, files, file) = snapshot_of(&cluster, leader);
    let vote = (term(&cluster, leader), leader, true);
    let header = snapshot_header(vote, &holds, &files);
    let (parts, taken) = mpsc::channel::<Envelope>(1);
    let mut client = RaftClient::new(cluster.channel(leader, asked));
    let sending = tokio::spawn(async move { client.snapshot(ReceiverStream::new(taken)).await });
    parts
        .send(speaker.envelope(asked, header))
        .await
        .expect("open");
    // There is room for a second one when the first was taken: the header was judged, its sender led.
    let whole = snapshot_piece(&file);
    let place = parts.reserve().await.expect("open");
    let rest = BTreeSet::from([asked, other]);
    let changed = cluster
        .handle(leader)
        .change_membership(rest.clone(), Retired::Leave);
    changed.await.expect("changed");
    let gone = |status: &carnet_consensus::Status| {
        status.voters == rest && !status.members.contains_key(&leader)
    };
    let seen = cluster.handle(asked).wait_status(gone, PATIENCE).await;
    let last = seen.expect("it left").last.expect("a log");
    cluster.applied(last, [asked]).await;
    place.send(speaker.envelope(asked, whole));
    drop(parts);
    let sent = sending.await.expect("no panic");
    let sent = sent.map(|answer| answer.into_inner().body);
    refused(sent, Code::PermissionDenied, "was retired");
}

/// The judge restarts while the store is away: nobody but its disk remembers which process it heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_start_is_refused_by_a_node_that_heard_a_later_one_before_it_restarted() {
    let (mut cluster, _, _) = three().await;
    let older = Speaker::of(&cluster, 3);
    cluster.stop(3).await;
    cluster.start(3).await;
    let last = cluster.put("x", "2").await.position.index;
    cluster.applied(last, 1..=3).await;
    let now = Speaker::of(&cluster, 3);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // While it is doubted it is asked about.
    while let Err(doubted) = now.ask(cluster.channel(3, 1), 1, Rpc::Clock, 0).await {
        assert!(tokio::time::Instant::now() < deadline, "{doubted:?}");
    }
    cluster.stop(3).await;
    cluster.stop(1).await;
    cluster.start(1).await;
    let asked = older.ask(cluster.channel(3, 1), 1, Rpc::Clock, 0).await;
    refused(asked, Code::PermissionDenied, "runs on a copy");
}

fn not_done(outcome: Result<(), AdminError>, obstacle: Obstacle, words: &str) {
    match outcome {
        Err(AdminError::Refused(why, text)) if why == obstacle && text.contains(words) => {}
        other => panic!("{other:?}, expected {obstacle:?} with {words:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_not_handed_to_whom_nobody_may_elect() {
    let (mut cluster, leader, _) = three().await;
    cluster.start(4).await;
    let handle = cluster.handle(leader).clone();
    handle.add_learner(4, member(4)).await.expect("added");
    for heir in [4, 9] {
        let outcome = handle.hand_over(heir).await.map(|_| ());
        not_done(outcome, Obstacle::Rule, "is not a voter");
    }
    assert_eq!(cluster.leader().await, leader);
}

/// More records than a follower may lack and still count as nearly up to date.
const FAR: u64 = 10_200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_far_behind_is_no_heir_and_no_half_of_a_quorum() {
    let (mut cluster, leader, [behind, _]) = three().await;
    cluster.stop(behind).await;
    cluster.starved.lock().expect("no panic").insert(behind);
    cluster.start(behind).await;
    let handle = cluster.handle(leader).clone();
    let written = stream::iter(0..FAR)
        .map(|number| handle.propose(Bytes::from(format!("r={number}"))))
        .buffer_unordered(256);
    let refused: Vec<_> = written
        .filter_map(async |outcome| outcome.err())
        .collect()
        .await;
    assert!(refused.is_empty(), "{:?}", refused.first());
    let lag = handle.status().lag;
    assert!(lag[&behind] > 10_000, "{lag:?}");

    let deadline = tokio::time::Instant::now() + PATIENCE;
    let outcome = loop {
        match handle.hand_over(behind).await {
            // It has just started, elsewhere.
            Err(AdminError::Refused(Obstacle::NotThere, why)) => {
                assert!(tokio::time::Instant::now() < deadline, "{why}");
            }
            other => break other.map(|_| ()),
        }
    };
    not_done(outcome, Obstacle::Behind, "far behind in the log");
    let pair = BTreeSet::from([leader, behind]);
    let outcome = handle.change_membership(pair, Retired::Leave).await;
    not_done(
        outcome,
        Obstacle::NoQuorum,
        &format!("node {behind} does not answer or is far"),
    );
    assert!(!handle.status().joint, "nothing was begun");
    assert_eq!(cluster.leader().await, leader);

    // With the records it is as good as any.
    cluster.stop(behind).await;
    cluster.starved.lock().expect("no panic").clear();
    cluster.start(behind).await;
    let last = cluster.put("x", "2").await.position.index;
    cluster.applied(last, [behind]).await;
    let leader = cluster.leader().await;
    if leader != behind {
        let handle = cluster.handle(leader);
        // Another may lead: what it has heard of the others it has heard since.
        let near = |status: &carnet_consensus::Status| {
            let lag = status.lag.get(&behind);
            lag.is_some_and(|lag| *lag < 100)
        };
        handle.wait_status(near, PATIENCE).await.expect("heard");
        handle.hand_over(behind).await.expect("handed over");
    }
    cluster.leader_of(behind).await;
}
