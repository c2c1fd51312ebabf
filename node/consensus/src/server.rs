//! The receiving side of the Raft plane.
//!
//! Every frame is checked before it is read: cluster, group, version, addressee with its store, and that its sender is the
//! node the connection has proven. Votes must come from the candidate they name, appends and snapshots from the leader they
//! name, and all from whom the gate lets in; only then does the core see them. The first frame that is refused ends its
//! stream.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_domain::machine::entry::Voters;
use carnet_store::identity::StoreId;
use carnet_store::log::Vote;
use carnet_store::machine::{LogPosition, SnapshotFile, SnapshotSink};
use carnet_wire::limits::RAFT_MESSAGE_BYTES_MAX;
use carnet_wire::raft::v1::Envelope;
use carnet_wire::raft::v1::raft_server::{Raft as RaftPlane, RaftServer};
use futures::{Stream, StreamExt, future, stream};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderError;
use openraft::{RaftState, ServerState};
use tonic::{Request, Response, Status, Streaming};

use crate::codec::{BODY_VERSION, Body, Undecodable};
use crate::compare::{MarksAnswer, MarksQuestion};
use crate::confirming::Confirmed;
use crate::connector::PeerNode;
use crate::error::{Fatal, ProposeError};
use crate::fitness::{Fitness, Hindrance};
use crate::forward::Forwarded;
use crate::gate::{Ask, Ground, Refusal, Sender};
use crate::member::Member;
use crate::messages::{
    ForwardAnswer, ReadIndexAnswer, SnapshotPart, TransferAnswer, append_from, append_result_body,
    is_of, snapshot_meta, transfer_from, vote_answer_body, vote_from, went_back_from,
};
use crate::plane::Plane;
use crate::space;
use crate::state_machine::SnapshotData;
use crate::timekeeper;
use crate::types::{
    RaftLogId, RaftSnapshotMeta, RaftVote, Runtime, Types, our_vote, position, raft_vote,
};

/// The gRPC service of the Raft plane; whoever serves it puts a [`PeerNode`] into each request's extensions.
#[derive(Clone)]
pub struct RaftService(pub(crate) Arc<Plane>);

impl RaftService {
    /// The service with its message limits set.
    #[must_use]
    pub fn into_server(self) -> RaftServer<RaftService> {
        RaftServer::new(self)
            .max_decoding_message_size(RAFT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(RAFT_MESSAGE_BYTES_MAX)
    }
}

impl Plane {
    fn opened(&self, peer: PeerNode, envelope: Envelope) -> Result<(Sender, Bytes), Status> {
        if envelope.cluster[..] != self.peers.cluster {
            return Err(Status::failed_precondition("another cluster"));
        }
        if envelope.group != self.peers.group {
            return Err(Status::failed_precondition("another group"));
        }
        if envelope.version != BODY_VERSION {
            return Err(Status::unimplemented("body version"));
        }
        if envelope.to != self.peers.node {
            return Err(Status::failed_precondition("another node"));
        }
        if envelope.from != peer.0 {
            return Err(Status::permission_denied(
                "sender is not the node of the certificate",
            ));
        }
        let founded = self.ground().is_founded();
        let judged = self
            .gate
            .addressed(peer.0, &envelope.to_store, founded)
            .and_then(|()| Sender::of(&envelope).ok_or(Refusal::Nameless));
        match judged {
            Ok(sender) => Ok((sender, envelope.body)),
            Err(refusal) => {
                self.gate.refusals.note(peer.0, "refused", &refusal);
                Err(refusal.to_status())
            }
        }
    }

    fn unary(&self, request: Request<Envelope>) -> Result<(Sender, Bytes), Status> {
        let peer = peer_of(&request)?;
        self.opened(peer, request.into_inner())
    }

    /// How well this node would lead.
    pub(crate) async fn fitness(&self) -> Fitness {
        let stands = self
            .machine
            .stands()
            .borrow()
            .as_ref()
            .map(|stands| stands.position.index);
        if let Some(index) = stands {
            return Fitness {
                hindrance: Hindrance::Stands,
                applied_next: index,
            };
        }
        let low = space::own(self).await.is_some_and(|space| space.is_low());
        let applied = self.raft.metrics().borrow_watched().last_applied;
        let slow = self
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .slow;
        Fitness {
            hindrance: match (slow, self.cannot_sign.load(Ordering::Relaxed), low) {
                (true, _, _) => Hindrance::Slow,
                (_, true, _) => Hindrance::CannotSign,
                (_, _, true) => Hindrance::LowDisk,
                _ => Hindrance::None,
            },
            applied_next: applied.map_or(0, |applied| applied.index.saturating_add(1)),
        }
    }

    /// What this node knows of the cluster now.
    fn ground(&self) -> Ground {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        Ground::of(&metrics)
    }

    fn admit(&self, sender: &Sender, ask: Ask) -> Result<(), Status> {
        self.gate.admit(&self.ground(), sender, ask)
    }

    fn answer(&self, sender: &Sender, body: Bytes) -> Response<Envelope> {
        Response::new(self.peers.envelope(sender.node, sender.store, body))
    }

    async fn vote_answer(
        &self,
        request: Request<Envelope>,
        pre: bool,
    ) -> Result<Response<Envelope>, Status> {
        let (sender, body) = self.unary(request)?;
        let mut vote = vote_from(body).map_err(unreadable)?;
        if vote.vote.leader_id.node_id != sender.node {
            return Err(Status::permission_denied("a vote for somebody else"));
        }
        let ground = self.ground();
        self.gate
            .admit(&ground, &sender, Ask::Vote(our_vote(&vote.vote)))?;
        // The flag disarms the lease that keeps a leader in office: anybody could set it. Only the leader's own word counts.
        vote.leadership_transfer &= self.gate.transferred_to(&ground, sender.node);
        let voted = if pre {
            self.raft.pre_vote(vote).await
        } else {
            self.raft.vote(vote).await
        };
        let voted = voted.map_err(|_| stopped())?;
        Ok(self.answer(&sender, vote_answer_body(&voted)))
    }

    /// The index from which a read that begins now is linearizable: of what this node, which leads, knows to be committed,
    /// once a majority of the voters has said, asked after this began, that it follows this leader and no later one.
    /// openraft has such a round too, but takes an acknowledgement that was under way before it for one of its own.
    pub(crate) async fn read_index(&self) -> Result<ReadIndexAnswer, ()> {
        let lead = self.raft.with_raft_state(lead).await.map_err(|_| ())?;
        let Some(lead) = lead else {
            return Ok(ReadIndexAnswer::NotLeader);
        };
        let confirmed = self
            .confirming
            .round(lead.vote, &lead.voters, &lead.members);
        Ok(match confirmed.await {
            Confirmed::Followed => ReadIndexAnswer::Index(lead.index),
            Confirmed::Superseded => ReadIndexAnswer::NotLeader,
            Confirmed::NoQuorum => ReadIndexAnswer::NoQuorum,
        })
    }

    /// The vote that this node has promised or follows, as its core has it now, before any later answer of it.
    async fn promised(&self) -> Result<Vote, Status> {
        let vote = self
            .raft
            .with_raft_state(|state| our_vote(state.vote_ref()));
        vote.await.map_err(|_| stopped())
    }

    /// The vote this node follows; a sender with a lower one is no longer the leader.
    fn followed(&self) -> RaftVote {
        self.raft.metrics().borrow_watched().vote
    }

    async fn take_in(
        &self,
        peer: PeerNode,
        mut parts: Streaming<Envelope>,
    ) -> Result<(Sender, Vote), Status> {
        // Nobody is alone here before it has said who it is: silence would keep every other snapshot out.
        let first = self
            .next_part(&mut parts)
            .await?
            .ok_or_else(|| Status::invalid_argument("no snapshot header"))?;
        let (sender, body) = self.opened(peer, first)?;
        let part = SnapshotPart::from_body(body).map_err(unreadable)?;
        let SnapshotPart::Header {
            vote,
            last,
            membership,
            files,
        } = part
        else {
            return Err(Status::invalid_argument("no snapshot header"));
        };
        if vote.node != peer.0 || !vote.committed {
            return Err(Status::permission_denied("a snapshot of somebody else"));
        }
        if last.is_some_and(|last| !is_of(last, vote)) {
            return Err(Status::invalid_argument("a snapshot of a later leader"));
        }
        // openraft takes both for impossible, and would stop this node.
        let committed = self.raft.metrics().borrow_watched().local_committed;
        if let (Some(last), Some(committed)) = (last, committed.as_ref().map(position))
            && last > committed
            && last.index <= committed.index
        {
            return Err(Status::invalid_argument(
                "a snapshot that contradicts what is committed",
            ));
        }
        self.admit(&sender, Ask::Lead(vote))?;
        let followed = our_vote(&self.followed());
        if vote < followed {
            return Ok((sender, followed));
        }
        let at: (Option<LogPosition>, Bytes) = membership;
        let meta =
            snapshot_meta(last, at.0.map(|position| (position, at.1))).map_err(unreadable)?;
        let alone = self.receiving.enter(vote, self.peers.snapshot_stall).await;
        let alone = alone
            .ok_or_else(|| Status::resource_exhausted("another snapshot is being received"))?;
        let taking = async {
            let sink = self
                .machine
                .receive()
                .map_err(|cause| Status::internal(cause.to_string()))?;
            let sink = self.receive_files(peer, parts, files, sink).await?;
            self.checked(&meta, sink).await
        };
        let sink = tokio::select! {
            sink = taking => sink?,
            () = alone.pushed_out() => {
                return Err(Status::aborted("a later leader sends its snapshot"));
            }
        };
        // Long after the first frame: the sender may have left since.
        self.admit(&sender, Ask::Lead(vote))?;
        let snapshot = openraft::Snapshot {
            meta,
            snapshot: SnapshotData::Received(sink),
        };
        let installed = self
            .raft
            .install_full_snapshot(raft_vote(vote), snapshot)
            .await
            .map_err(|_| stopped())?;
        Ok((sender, our_vote(&installed.vote)))
    }

    /// Checks a received snapshot from the first to the last byte, and that it holds what was announced, before openraft
    /// is told of it: a snapshot that fails later stops the node.
    async fn checked(
        &self,
        meta: &RaftSnapshotMeta,
        mut sink: Box<dyn SnapshotSink>,
    ) -> Result<Box<dyn SnapshotSink>, Status> {
        let checked = self
            .machine
            .work()
            .run(move || sink.check().map(|applied| (sink, applied)))
            .await
            .map_err(|cause| Status::internal(cause.to_string()))?;
        let (sink, applied) = checked.map_err(|cause| {
            tracing::error!(%cause, "a received snapshot is not taken");
            Status::data_loss(format!("the snapshot is not taken: {cause}"))
        })?;
        let found = snapshot_meta(applied.last, applied.membership).map_err(unreadable)?;
        if found != *meta {
            return Err(Status::data_loss(
                "the snapshot holds another position or membership than announced",
            ));
        }
        Ok(sink)
    }

    /// The next part, unless the sender stands still: a dead connection must not keep other snapshots out.
    async fn next_part(&self, parts: &mut Streaming<Envelope>) -> Result<Option<Envelope>, Status> {
        let patience = self.peers.snapshot_stall;
        match tokio::time::timeout(patience, parts.message()).await {
            Ok(part) => part,
            Err(_) => Err(Status::deadline_exceeded("the sender stands still")),
        }
    }

    /// Writes pieces as they come; they must fill the announced files in order and to the byte.
    async fn receive_files(
        &self,
        peer: PeerNode,
        mut parts: Streaming<Envelope>,
        files: Vec<SnapshotFile>,
        mut sink: Box<dyn SnapshotSink>,
    ) -> Result<Box<dyn SnapshotSink>, Status> {
        let work = self.machine.work();
        for (at, file) in files.into_iter().enumerate() {
            let mut written = 0;
            while written < file.size || file.size == 0 {
                let bytes = if file.size == 0 {
                    Bytes::new()
                } else {
                    let envelope = self
                        .next_part(&mut parts)
                        .await?
                        .ok_or_else(|| Status::data_loss("the snapshot is incomplete"))?;
                    let (_, body) = self.opened(peer, envelope)?;
                    let part = SnapshotPart::from_body(body).map_err(unreadable)?;
                    match part {
                        SnapshotPart::Piece {
                            file: number,
                            offset,
                            bytes,
                        } if number as usize == at
                            && offset == written
                            && !bytes.is_empty()
                            && bytes.len() as u64 <= file.size - written =>
                        {
                            bytes
                        }
                        _ => return Err(Status::data_loss("a piece out of order")),
                    }
                };
                let (name, offset) = (file.name.clone(), written);
                written += bytes.len() as u64;
                let wrote = work
                    .run(move || sink.write(&name, offset, &bytes).map(|()| sink))
                    .await;
                sink = wrote
                    .and_then(|wrote| wrote.map_err(io::Error::other))
                    .map_err(|cause| {
                        tracing::error!(%cause, "cannot write a received snapshot");
                        Status::internal("cannot write the snapshot")
                    })?;
                if file.size == 0 {
                    break;
                }
            }
        }
        match self.next_part(&mut parts).await? {
            None => Ok(sink),
            Some(_) => Err(Status::data_loss("more than the announced files")),
        }
    }
}

/// The longest that a question about the state waits for this node to have applied what it asks about.
const COMPARE_WAIT: Duration = Duration::from_secs(1);

type Answers = Pin<Box<dyn Stream<Item = Result<Envelope, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl RaftPlane for RaftService {
    type StreamAppendStream = Answers;

    async fn stream_append(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Answers>, Status> {
        let peer = peer_of(&request)?;
        let plane = Arc::clone(&self.0);
        let asking = Arc::new(OnceLock::new());
        let heard = Arc::clone(&asking);
        // What ended the input, told after the answers to what came before it.
        let ended = Arc::new(Mutex::new(None));
        let note = Arc::clone(&ended);
        let reading = Arc::clone(&self.0);
        let appends = request.into_inner().scan((), move |(), frame| {
            let read = frame.and_then(|envelope| {
                let (sender, body) = reading.opened(peer, envelope)?;
                let append = append_from(body).map_err(unreadable)?;
                if append.vote.leader_id.node_id != peer.0 || !append.vote.committed {
                    return Err(Status::permission_denied("an append of somebody else"));
                }
                reading.admit(&sender, Ask::Lead(our_vote(&append.vote)))?;
                // One stream, one store: the answers go to the one that began it.
                if heard.get_or_init(|| sender.store) != &sender.store {
                    return Err(Status::permission_denied("a stream of two stores"));
                }
                Ok(append)
            });
            future::ready(match read {
                Ok(append) => Some(append),
                Err(status) => {
                    *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                    None
                }
            })
        });
        let seed = self
            .0
            .seeds
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let raft = self.0.raft.clone();
        let results =
            Runtime::scope(seed, async move { raft.stream_append(appends).boxed() }).await;
        let answers = results.map(move |result| match result {
            Ok(result) => {
                // There is no answer before a frame was taken.
                let store = asking.get().copied().unwrap_or(StoreId::NONE);
                Ok(plane
                    .peers
                    .envelope(peer.0, store, append_result_body(&result)))
            }
            Err(_) => Err(stopped()),
        });
        let last =
            stream::once(
                async move { ended.lock().unwrap_or_else(PoisonError::into_inner).take() },
            );
        Ok(Response::new(Box::pin(answers.chain(
            last.filter_map(|status| future::ready(status.map(Err))),
        ))))
    }

    async fn vote(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        self.0.vote_answer(request, false).await
    }

    async fn pre_vote(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        self.0.vote_answer(request, true).await
    }

    async fn transfer_leader(
        &self,
        request: Request<Envelope>,
    ) -> Result<Response<Envelope>, Status> {
        let (sender, body) = self.0.unary(request)?;
        let transfer = transfer_from(body).map_err(unreadable)?;
        if transfer.from_leader().leader_id.node_id != sender.node {
            return Err(Status::permission_denied("leadership of somebody else"));
        }
        let leader = our_vote(transfer.from_leader());
        self.0.admit(&sender, Ask::Follow(leader))?;
        self.0.gate.note_transfer(leader, *transfer.to_node_id());
        let answer = match self
            .0
            .raft
            .handle_transfer_leader(transfer)
            .await
            .map_err(|_| stopped())?
        {
            Ok(()) => TransferAnswer::Accepted,
            Err(TransferLeaderError::VoteChanged { actual, .. }) => {
                TransferAnswer::VoteChanged(our_vote(&actual))
            }
            Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
                TransferAnswer::LogNotFlushed(actual.as_ref().map(position))
            }
        };
        Ok(self.0.answer(&sender, answer.to_body()))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Envelope>, Status> {
        let peer = peer_of(&request)?;
        let (sender, vote) = self.0.take_in(peer, request.into_inner()).await?;
        Ok(self.0.answer(&sender, vote.to_body()))
    }

    async fn read_index(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, _) = self.0.unary(request)?;
        self.0.admit(&sender, Ask::Member)?;
        let answer = self.0.read_index().await.map_err(|()| stopped())?;
        Ok(self.0.answer(&sender, answer.to_body()))
    }

    async fn follows(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, _) = self.0.unary(request)?;
        self.0.admit(&sender, Ask::Member)?;
        let vote = self.0.promised().await?;
        Ok(self.0.answer(&sender, vote.to_body()))
    }

    async fn clock(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, _) = self.0.unary(request)?;
        self.0.admit(&sender, Ask::Member)?;
        let leads = self.0.raft.metrics().borrow_watched().state == ServerState::Leader;
        let fitness = self.0.fitness().await;
        let answer = timekeeper::answer(self.0.clock.now_ms(), leads, fitness);
        Ok(self.0.answer(&sender, answer))
    }

    async fn compare(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, body) = self.0.unary(request)?;
        self.0.admit(&sender, Ask::Member)?;
        let asked = MarksQuestion::from_body(body).map_err(unreadable)?;
        let reached = self.0.raft.wait(Some(COMPARE_WAIT));
        // Who has not come so far says what it has.
        let _ = reached
            .applied_index_at_least(Some(asked.index), "compare")
            .await;
        let marks = self.0.machine.marks(asked.above);
        let marks = marks.map_err(|cause| Status::internal(cause.to_string()))?;
        Ok(self.0.answer(&sender, MarksAnswer(marks).to_body()))
    }

    async fn space(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, _) = self.0.unary(request)?;
        self.0.admit(&sender, Ask::Member)?;
        let space = space::own(&self.0).await;
        let space = space.ok_or_else(|| Status::unavailable("the room is not known"))?;
        Ok(self.0.answer(&sender, space.to_body()))
    }

    async fn forward(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, body) = self.0.unary(request)?;
        self.0.admit(&sender, Ask::Member)?;
        let forwarded = Forwarded::from_body(body).map_err(unreadable)?;
        let outcome = match self.0.forward.get() {
            Some(handler) => handler.handle(PeerNode(sender.node), forwarded).await,
            None => Err(ProposeError::Refused(
                "this node takes no forwarded requests".to_owned(),
            )),
        };
        Ok(self.0.answer(&sender, ForwardAnswer(outcome).to_body()))
    }

    async fn identify(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, body) = self.0.unary(request)?;
        self.0.admit(&sender, Ask::Identify)?;
        if !body.is_empty() {
            return Err(Status::invalid_argument("a body where none is expected"));
        }
        // The frame around the answer says which store; the body, to whom it belongs.
        let belongs = self.0.gate.belongs(&self.0.ground(), &sender);
        Ok(self.0.answer(&sender, belongs.to_body()))
    }

    async fn went_back(&self, request: Request<Envelope>) -> Result<Response<Envelope>, Status> {
        let (sender, body) = self.0.unary(request)?;
        let (leader, acknowledged) = went_back_from(body).map_err(unreadable)?;
        if leader.node != sender.node {
            return Err(Status::permission_denied("leadership of somebody else"));
        }
        self.0.admit(&sender, Ask::Follow(leader))?;
        // Believed only if it is so. Under one leader a log never ends before what was acknowledged to it.
        let last = self.0.log.state().last;
        if last < Some(acknowledged) {
            self.0.gate.stop(Fatal::LogWentBack {
                by: sender.node,
                acknowledged: acknowledged.index,
                last: last.map(|last| last.index),
            });
        }
        Ok(self.0.answer(&sender, Bytes::new()))
    }
}

/// What a leader has when it is asked for a read index.
struct Lead {
    vote: Vote,
    index: u64,
    voters: Voters,
    members: BTreeMap<u64, Member>,
}

/// `None`: this node does not lead. What was committed under an earlier leader is known for certain only once a record of
/// this one is committed; until then the read waits for its newest record, which lies above all of them.
fn lead(state: &RaftState<Types>) -> Option<Lead> {
    if state.server_state != ServerState::Leader {
        return None;
    }
    let vote = our_vote(state.vote_ref());
    let own = |at: &&RaftLogId| (at.leader_id.term, at.leader_id.node_id) == (vote.term, vote.node);
    let at = state
        .local_committed()
        .filter(own)
        .or_else(|| state.log_ids.last().filter(own))?;
    let membership = state.membership_state.effective().membership();
    let ids = membership.voter_ids();
    Some(Lead {
        vote,
        index: at.index,
        voters: Voters(membership.get_joint_config().clone()),
        members: ids
            .filter_map(|voter| Some((voter, membership.get_node(&voter)?.clone())))
            .collect(),
    })
}

fn peer_of<T>(request: &Request<T>) -> Result<PeerNode, Status> {
    let proven = request.extensions().get::<PeerNode>().copied();
    proven.ok_or_else(|| Status::unauthenticated("the connection proves no node"))
}

fn unreadable(cause: Undecodable) -> Status {
    Status::invalid_argument(cause.to_string())
}

fn stopped() -> Status {
    Status::unavailable("this node has stopped")
}
