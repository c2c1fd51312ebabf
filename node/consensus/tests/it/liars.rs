//! Peers that refuse, break off, or answer nonsense: the leader's attempts stay few, whatever ends them.
//!
//! Counted against heartbeats, which come at their own pace whatever the answers are: no clock is asked.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use carnet_consensus::ReadError;
use carnet_wire::raft::v1::Envelope;
use carnet_wire::raft::v1::raft_server::{Raft, RaftServer};
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::cluster::Cluster;
use crate::speaker::{Speaker, put_vote};

/// What a liar answers to appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Refuses the call.
    Refuses,
    /// Takes the call, and ends the stream before it answers.
    EndsAtOnce,
    /// Answers what is no answer.
    Nonsense,
    /// Has lost the record before the first one sent.
    ConflictBefore,
    /// Has lost the first record of the log.
    ConflictAtZero,
    /// Has never acknowledged anything, and ends.
    NothingMatches,
    /// Has a higher vote, which is a lower one.
    LowerVote,
    /// Acknowledges what it was not sent.
    TooMuch,
    /// Answers as another store.
    OtherStore,
    /// Acknowledges what the leader believes it to have, as an answer of before a pause would, and follows another.
    AcknowledgesAndFollowsALaterLeader,
    /// The same, and does not say whom it follows.
    AcknowledgesAndIsSilent,
    /// The same, and follows the leader.
    AcknowledgesAndFollows,
}

struct Liar {
    lie: Lie,
    /// Term and node of the leader that it lies to.
    leader: (u64, u64),
    speaker: Speaker,
    appends: AtomicU64,
    heartbeats: AtomicU64,
    /// Streams of appends that have not ended.
    open: AtomicU64,
    beat: Notify,
}

/// One stream of appends.
struct Open(Arc<Liar>);

impl Open {
    fn of(liar: &Arc<Liar>) -> Open {
        liar.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(liar))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Envelope, Status>> + Send + 'static>>;

impl Liar {
    fn answer(&self, to: &Envelope, body: Bytes) -> Envelope {
        let mut answer = self.speaker.envelope(to.from, body);
        answer.to_store = to.store.clone();
        if self.lie == Lie::OtherStore {
            answer.store = Bytes::from_static(&[0xee; 16]);
        }
        answer
    }

    fn lied(&self, to: &Envelope) -> Option<Envelope> {
        // The vote comes first in an append, then the position before its records, if there is one.
        let vote = to.body.slice(..17);
        let prev = (to.body[17] == 1).then(|| to.body.slice(18..42));
        let mut body = BytesMut::new();
        match self.lie {
            Lie::Refuses | Lie::EndsAtOnce => return None,
            Lie::Nonsense => body.put_slice(b"nonsense"),
            Lie::ConflictBefore => {
                body.put_u8(1);
                body.put_slice(&prev.unwrap_or_else(|| Bytes::from_static(&[0; 24])));
            }
            Lie::ConflictAtZero => {
                body.put_u8(1);
                body.put_slice(&[0; 24]);
            }
            Lie::NothingMatches | Lie::OtherStore => body.put_slice(&[0, 0]),
            Lie::AcknowledgesAndFollowsALaterLeader
            | Lie::AcknowledgesAndIsSilent
            | Lie::AcknowledgesAndFollows => match prev {
                Some(prev) => {
                    body.put_slice(&[0, 1]);
                    body.put_slice(&prev);
                }
                None => body.put_slice(&[0, 0]),
            },
            Lie::LowerVote => {
                body.put_u8(2);
                body.put_u64(0);
                body.put_slice(&vote[8..]);
            }
            Lie::TooMuch => {
                body.put_slice(&[0, 1]);
                body.put_slice(&vote[..16]);
                body.put_u64(1 << 40);
            }
        }
        Some(self.answer(to, body.freeze()))
    }
}

#[derive(Clone)]
struct Service(Arc<Liar>);

fn nothing<T>() -> Result<Response<T>, Status> {
    Err(Status::permission_denied("nothing for you"))
}

#[tonic::async_trait]
impl Raft for Service {
    type StreamAppendStream = Answers;

    async fn stream_append(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        let liar = Arc::clone(&self.0);
        let agent = request.metadata().get("user-agent");
        let heartbeat = agent
            .and_then(|agent| agent.to_str().ok())
            .is_some_and(|agent| agent.contains("Control"));
        if heartbeat {
            liar.heartbeats.fetch_add(1, Ordering::Relaxed);
            liar.beat.notify_one();
        } else {
            liar.appends.fetch_add(1, Ordering::Relaxed);
        }
        if liar.lie == Lie::Refuses {
            return nothing();
        }
        let once = liar.lie == Lie::NothingMatches;
        let open = Open::of(&liar);
        let answers = request
            .into_inner()
            .map(move |frame| Some(Ok(open.0.lied(&frame.ok()?)?)))
            .take_while(|answer| std::future::ready(answer.is_some()))
            .filter_map(std::future::ready);
        Ok(Response::new(if once {
            Box::pin(answers.take(1))
        } else {
            Box::pin(answers)
        }))
    }

    async fn vote(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn pre_vote(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn transfer_leader(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn snapshot(
        &self,
        _: Request<Streaming<Envelope>>,
    ) -> Result<Response<Envelope>, Status> {
        self.0.appends.fetch_add(1, Ordering::Relaxed);
        nothing()
    }
    async fn read_index(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn follows(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let leader = self.0.leader;
        let (term, node) = match self.0.lie {
            Lie::AcknowledgesAndFollowsALaterLeader => (1 << 20, self.0.speaker.node),
            Lie::AcknowledgesAndFollows => leader,
            _ => return nothing(),
        };
        let mut body = BytesMut::new();
        put_vote(&mut body, term, node, true);
        let answer = self.0.answer(&request.into_inner(), body.freeze());
        Ok(Response::new(answer))
    }
    async fn clock(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn space(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn compare(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn forward(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn identify(&self, _: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        nothing()
    }
    async fn went_back(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        // It does not care.
        let answer = self.0.answer(&request.into_inner(), Bytes::new());
        Ok(Response::new(answer))
    }
}

/// Heartbeats to wait for.
const HEARTBEATS: u64 = 25;
/// Attempts before the pauses have grown to a heartbeat and more, and those under way.
const ATTEMPTS_AT_FIRST: u64 = 12;

/// Streams that may be open at a time: one of replication, one heartbeat, and one of each that is ending.
const OPEN_AT_ONCE: u64 = 4;

/// A liar where a node was that has stopped.
async fn take_the_place(cluster: &Cluster, lost: u64, leader: u64, lie: Lie) -> Arc<Liar> {
    let liar = Arc::new(Liar {
        lie,
        leader: (cluster.handle(leader).status().standing.term, leader),
        speaker: Speaker {
            start: 100,
            ..Speaker::of(cluster, lost)
        },
        appends: AtomicU64::new(0),
        heartbeats: AtomicU64::new(0),
        open: AtomicU64::new(0),
        beat: Notify::new(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    cluster.replace(lost, listener.local_addr().expect("an address"));
    let service = RaftServer::new(Service(Arc::clone(&liar)));
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    liar
}

/// A cluster of three loses a follower to a liar. Until the liar has had many heartbeats, the others write; then the
/// attempts at replication are counted.
async fn attempts_stay_few(lie: Lie) {
    let mut cluster = Cluster::founded(3, |settings| {
        settings.retry_max = std::time::Duration::from_millis(300);
    })
    .await;
    for number in 0..20 {
        cluster.put(&format!("r{number}"), "there").await;
    }
    let leader = cluster.leader().await;
    let lost = *cluster.followers(leader).first().expect("a follower");
    let last = cluster.handle(leader).status().last.expect("a log");
    cluster.applied(last, 1..=3).await;
    cluster.stop(lost).await;
    let liar = take_the_place(&cluster, lost, leader, lie).await;
    while liar.heartbeats.load(Ordering::Relaxed) < HEARTBEATS {
        let handle = cluster.handle(leader);
        let written = handle.propose(Bytes::from_static(b"more=1")).await;
        written.expect("the others are a majority");
        liar.beat.notified().await;
    }
    let (appends, heartbeats) = (
        liar.appends.load(Ordering::Relaxed),
        liar.heartbeats.load(Ordering::Relaxed),
    );
    assert!(appends > 0, "{lie:?}: nobody tries to replicate to it");
    assert!(
        appends <= heartbeats + ATTEMPTS_AT_FIRST,
        "{lie:?}: {appends} attempts in {heartbeats} heartbeats"
    );
    let open = liar.open.load(Ordering::Relaxed);
    assert!(
        open <= OPEN_AT_ONCE,
        "{lie:?}: {open} streams are still sent to"
    );
    let standing = cluster.handle(leader).status().standing;
    assert_eq!(standing.leader, Some(leader), "{lie:?}: it leads still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_refuses_is_left_in_peace() {
    attempts_stay_few(Lie::Refuses).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_breaks_off_is_left_in_peace() {
    attempts_stay_few(Lie::EndsAtOnce).await;
    attempts_stay_few(Lie::NothingMatches).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_nonsense_is_left_in_peace() {
    attempts_stay_few(Lie::Nonsense).await;
    attempts_stay_few(Lie::LowerVote).await;
    attempts_stay_few(Lie::TooMuch).await;
    attempts_stay_few(Lie::OtherStore).await;
}

/// The loop that once took most of a core: openraft takes a conflict below what was acknowledged for impossible, and
/// asks again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_lost_what_it_acknowledged_is_left_in_peace() {
    attempts_stay_few(Lie::ConflictBefore).await;
    attempts_stay_few(Lie::ConflictAtZero).await;
}

/// Every read asks the voters. A peer that is gone is knocked at once a beat, not once a read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_gone_is_not_knocked_at_by_every_read() {
    const READS: u64 = 500;
    // Far more than reads take, on a busy machine too: a beat is not a read.
    let mut cluster = Cluster::founded(3, |settings| {
        settings.heartbeat = std::time::Duration::from_secs(1);
        settings.retry_max = std::time::Duration::from_secs(4);
        settings.election_min = std::time::Duration::from_secs(4);
        settings.election_max = std::time::Duration::from_secs(8);
    })
    .await;
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    let gone = *cluster.followers(leader).first().expect("a follower");
    cluster.stop(gone).await;
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    cluster.replace(gone, door.local_addr().expect("an address"));
    let knocks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&knocks);
    tokio::spawn(async move {
        while door.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut reads = 0;
    // It is tried, sooner or later.
    while reads < READS || knocks.load(Ordering::Relaxed) == 0 {
        let read = cluster.handle(leader).read_index().await;
        read.expect("the other two are a quorum");
        reads += 1;
    }
    let knocks = knocks.load(Ordering::Relaxed);
    assert!(knocks < reads / 2, "{knocks} knocks in {reads} reads");
}

/// An acknowledgement that was under way before the leader stood still looks like one of after it. What the voters follow
/// now is asked for every read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_acknowledged_and_followed_by_nobody_serves_no_reads() {
    for (lie, served) in [
        (Lie::AcknowledgesAndFollowsALaterLeader, false),
        (Lie::AcknowledgesAndIsSilent, false),
        (Lie::AcknowledgesAndFollows, true),
    ] {
        let mut cluster = Cluster::founded(3, |_| {}).await;
        let written = cluster.put("a", "1").await;
        let leader = cluster.leader().await;
        cluster.applied(written.position.index, 1..=3).await;
        let followers: Vec<u64> = cluster.followers(leader).into_iter().collect();
        for follower in &followers {
            cluster.stop(*follower).await;
        }
        let liar = take_the_place(&cluster, followers[0], leader, lie).await;
        // It is heard: what acknowledges keeps the leader in its office.
        while liar.heartbeats.load(Ordering::Relaxed) < HEARTBEATS {
            liar.beat.notified().await;
        }
        let read = cluster.handle(leader).read_index().await;
        match read {
            Ok(permit) => assert!(
                served && permit.index() >= written.position.index,
                "{lie:?}"
            ),
            Err(refused) => assert!(
                !served && matches!(refused, ReadError::NoQuorum(_)),
                "{lie:?}: {refused}"
            ),
        }
    }
}
