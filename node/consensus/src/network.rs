//! The sending side of the Raft plane: openraft's network over tonic.
//!
//! Channels are kept for each peer and purpose and dropped when a peer owes an answer for too long, so that a connection
//! that died without a word is replaced. Every wait has an end.
//!
//! Answers are judged like messages: they must come from the store that is known for the peer, and say something that a
//! peer can say. What openraft would ask again at once (a conflict that was said before or is below what was acknowledged,
//! a stream that ends without its answers) is given to it as unreachable, so that it waits as long as [`Paces`] says.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_domain::limits::ENTRY_BYTES_MAX;
use carnet_store::identity::{Count, Run, StoreId};
use carnet_store::log::{READ_BYTES_MAX, Vote};
use carnet_store::machine::{LogPosition, Snapshot};
use carnet_wire::limits::RAFT_MESSAGE_BYTES_MAX;
use carnet_wire::raft::v1::Envelope;
use carnet_wire::raft::v1::raft_client::RaftClient;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use openraft::base::{BoxFuture, OptionalSend};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RPCTypes, RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::codec::{BODY_VERSION, Body};
use crate::connector::{Connector, Purpose};
use crate::gate::{Belongs, Gate, Refusal, Sender, near};
use crate::member::Member;
use crate::messages::{
    SnapshotPart, TransferAnswer, append_body, append_result_from, transfer_body, vote_answer_from,
    vote_body, went_back_body,
};
use crate::pace::{Conflict, Paces};
use crate::settings::Settings;
use crate::state_machine::{PIECE_BYTES, SnapshotData};
use crate::tied::tied;
use crate::types::{RaftVote, Types, log_id, our_vote, position, raft_vote};

/// Appends to one peer that may wait for an answer.
const APPENDS_OUTSTANDING_MAX: usize = 64;

/// Room for the frame around payloads: up to 4096 record heads, and the envelope.
const HEADS_BYTES_MAX: usize = 4096 * 32 + 4096;
const _: () = assert!(READ_BYTES_MAX + ENTRY_BYTES_MAX + HEADS_BYTES_MAX <= RAFT_MESSAGE_BYTES_MAX);
const _: () = assert!(PIECE_BYTES + HEADS_BYTES_MAX <= RAFT_MESSAGE_BYTES_MAX);

type Client = RaftClient<Channel>;
type RpcError = RPCError<Types>;

/// Every peer of this node, and the channels to them.
pub(crate) struct Peers {
    pub(crate) cluster: [u8; 16],
    pub(crate) group: u64,
    pub(crate) node: u64,
    pub(crate) store: StoreId,
    count: Count,
    pub(crate) nonce: u64,
    connector: Arc<dyn Connector>,
    channels: Mutex<BTreeMap<(u64, Purpose), Kept>>,
    gate: Arc<Gate>,
    pub(crate) paces: Paces,
    append_stall: Duration,
    pub(crate) snapshot_stall: Duration,
    snapshot_install: Duration,
    work: crate::work::Work,
}

/// A channel that is kept.
struct Kept {
    member: Member,
    client: Client,
    /// Since when every answer has been overdue. One late answer says little: a new connection may still be on its way.
    silent_since: Option<Instant>,
}

/// Why a call to a peer brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer in {0:?}")]
    Timeout(Duration),
    #[error("unreachable: {0}")]
    Unreachable(String),
    #[error("refused: {0}")]
    Refused(String),
}

impl Peers {
    pub(crate) fn new(
        settings: &Settings,
        gate: Arc<Gate>,
        connector: Arc<dyn Connector>,
    ) -> Peers {
        Peers {
            gate,
            paces: Paces::new(settings.heartbeat, settings.retry_max),
            cluster: settings.cluster,
            group: settings.group,
            node: settings.node,
            store: settings.store,
            count: settings.count.clone(),
            nonce: settings.nonce,
            connector,
            channels: Mutex::default(),
            append_stall: settings.append_stall,
            snapshot_stall: settings.snapshot_stall,
            snapshot_install: settings.snapshot_install,
            work: settings.work,
        }
    }

    /// A frame for a node, and for exactly this store of it unless that is [`StoreId::NONE`].
    pub(crate) fn envelope(&self, to: u64, to_store: StoreId, body: Bytes) -> Envelope {
        let to_store: &[u8] = if to_store.is_none() { &[] } else { &to_store.0 };
        Envelope {
            group: self.group,
            from: self.node,
            to,
            cluster: Bytes::copy_from_slice(&self.cluster),
            version: BODY_VERSION,
            body,
            store: Bytes::copy_from_slice(&self.store.0),
            to_store: Bytes::copy_from_slice(to_store),
            start: self.count.now(),
            nonce: self.nonce,
        }
    }

    /// The body of an answer, if it is the asked store's, of a process that is believed.
    pub(crate) fn opened_answer(
        &self,
        to: u64,
        member: &Member,
        envelope: Envelope,
    ) -> Result<(Sender, Bytes), CallError> {
        let sender = self.answering(to, member, &envelope)?;
        match self.gate.hear_answer(&sender) {
            Ok(()) => Ok((sender, envelope.body)),
            Err(refusal) if refusal.passes() => Err(CallError::Unreachable(refusal.to_string())),
            Err(refusal) => Err(self.not_taken(to, refusal.to_string())),
        }
    }

    fn not_taken(&self, to: u64, text: String) -> CallError {
        self.gate.refusals.note(to, "answer not taken", &text);
        CallError::Refused(text)
    }

    /// Who answered, if it is the asked store.
    fn answering(
        &self,
        to: u64,
        member: &Member,
        envelope: &Envelope,
    ) -> Result<Sender, CallError> {
        let refused = |text: String| self.not_taken(to, text);
        let ours = envelope.cluster[..] == self.cluster
            && envelope.group == self.group
            && envelope.version == BODY_VERSION
            && envelope.from == to
            && envelope.to == self.node
            && envelope.to_store[..] == self.store.0;
        let sender = Sender::of(envelope)
            .filter(|_| ours)
            .ok_or_else(|| refused("the answer is not one of that node to this".to_owned()))?;
        if !member.store.is_none() && sender.store != member.store {
            let other = Refusal::OtherStore {
                node: to,
                known: member.store,
                shown: sender.store,
            };
            return Err(refused(other.to_string()));
        }
        Ok(sender)
    }

    /// The process that answers where a member is, believed or not.
    pub(crate) async fn run_at(
        &self,
        to: u64,
        member: &Member,
        patience: Duration,
    ) -> Result<Run, CallError> {
        let envelope = self.envelope(to, member.store, Bytes::new());
        let mut client = self.client(to, member, Purpose::Control)?;
        match tokio::time::timeout(patience, client.identify(envelope)).await {
            Ok(Ok(response)) => {
                let sender = self.answering(to, member, &response.into_inner())?;
                Ok(sender.run)
            }
            Ok(Err(status)) => Err(self.failed(to, Purpose::Control, &status)),
            Err(_) => {
                self.forget(to, Purpose::Control);
                Err(CallError::Timeout(patience))
            }
        }
    }

    /// Tells a follower that it lacks a record that it had acknowledged; it stops when it finds that this is so.
    fn tell_went_back(
        self: &Arc<Self>,
        to: u64,
        member: &Member,
        leader: Vote,
        acked: LogPosition,
    ) {
        if !self.paces.tell(to) {
            return;
        }
        let (peers, member) = (Arc::clone(self), member.clone());
        let body = went_back_body(leader, acked);
        let envelope = self.envelope(to, member.store, body);
        tokio::spawn(async move {
            let told = peers.call(
                to,
                &member,
                Purpose::Control,
                peers.append_stall,
                |mut client| async move { client.went_back(envelope).await },
            );
            if let Err(error) = told.await {
                tracing::debug!(to, %error, "could not tell a follower that its log went back");
            }
        });
    }

    fn client(&self, to: u64, member: &Member, purpose: Purpose) -> Result<Client, CallError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = channels.get(&(to, purpose))
            && kept.member == *member
        {
            return Ok(kept.client.clone());
        }
        let channel = self
            .connector
            .channel(to, member, purpose)
            .map_err(|cause| CallError::Unreachable(cause.to_string()))?;
        let client = RaftClient::new(channel)
            .max_decoding_message_size(RAFT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(RAFT_MESSAGE_BYTES_MAX);
        let kept = Kept {
            member: member.clone(),
            client: client.clone(),
            silent_since: None,
        };
        channels.insert((to, purpose), kept);
        Ok(client)
    }

    /// A peer answered in time.
    fn answered(&self, to: u64, purpose: Purpose) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = channels.get_mut(&(to, purpose)) {
            kept.silent_since = None;
        }
    }

    /// An answer is overdue. A channel that has brought none for `append_stall` is dropped.
    fn overdue(&self, to: u64, purpose: Purpose) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = channels.get_mut(&(to, purpose)) else {
            return;
        };
        let since = *kept.silent_since.get_or_insert_with(Instant::now);
        if self.append_stall <= since.elapsed() {
            channels.remove(&(to, purpose));
        }
    }

    /// Drops a channel; the next call opens a new one.
    fn forget(&self, to: u64, purpose: Purpose) {
        self.channels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(to, purpose));
    }

    /// One request, one answer, within `patience`.
    pub(crate) async fn call<F, Fut>(
        &self,
        to: u64,
        member: &Member,
        purpose: Purpose,
        patience: Duration,
        rpc: F,
    ) -> Result<Bytes, CallError>
    where
        F: FnOnce(Client) -> Fut,
        Fut: Future<Output = Result<Response<Envelope>, Status>>,
    {
        let client = self.client(to, member, purpose)?;
        match tokio::time::timeout(patience, rpc(client)).await {
            Ok(Ok(response)) => {
                self.answered(to, purpose);
                let (_, body) = self.opened_answer(to, member, response.into_inner())?;
                Ok(body)
            }
            Ok(Err(status)) => Err(self.failed(to, purpose, &status)),
            Err(_) => {
                self.overdue(to, purpose);
                Err(CallError::Timeout(patience))
            }
        }
    }

    /// Asks a node which store it has, and whether it belongs to a cluster.
    pub(crate) async fn identify(
        &self,
        to: u64,
        member: &Member,
        patience: Duration,
    ) -> Result<(StoreId, Belongs), CallError> {
        let envelope = self.envelope(to, member.store, Bytes::new());
        let mut client = self.client(to, member, Purpose::Control)?;
        let answer = tokio::time::timeout(patience, client.identify(envelope));
        match answer.await {
            Ok(Ok(response)) => {
                let (sender, body) = self.opened_answer(to, member, response.into_inner())?;
                let belongs = Belongs::from_body(body)
                    .map_err(|cause| CallError::Refused(cause.to_string()))?;
                Ok((sender.store, belongs))
            }
            Ok(Err(status)) => Err(self.failed(to, Purpose::Control, &status)),
            Err(_) => {
                self.forget(to, Purpose::Control);
                Err(CallError::Timeout(patience))
            }
        }
    }

    /// What a status means. A channel whose peer is gone is dropped too: the peer may come back elsewhere.
    fn failed(&self, to: u64, purpose: Purpose, status: &Status) -> CallError {
        let detail = format!("{:?}: {}", status.code(), status.message());
        if status.code() == Code::Unavailable {
            self.forget(to, purpose);
            CallError::Unreachable(detail)
        } else {
            self.gate.refused_by(to, status);
            self.gate.refusals.note(to, "refused by", &detail);
            CallError::Refused(detail)
        }
    }
}

/// openraft's factory of peers.
pub(crate) struct Network(pub(crate) Arc<Peers>);

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &Member) -> Peer {
        self.peer(target, node, Purpose::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Member) -> Peer {
        self.peer(target, node, Purpose::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Member) -> Peer {
        self.peer(target, node, Purpose::Snapshot)
    }
}

impl Network {
    fn peer(&self, node: u64, member: &Member, purpose: Purpose) -> Peer {
        Peer {
            peers: Arc::clone(&self.0),
            node,
            member: member.clone(),
            purpose,
        }
    }
}

/// One peer, for one purpose.
pub(crate) struct Peer {
    peers: Arc<Peers>,
    node: u64,
    member: Member,
    purpose: Purpose,
}

impl Peer {
    fn envelope(&self, body: Bytes) -> Envelope {
        self.peers.envelope(self.node, self.member.store, body)
    }

    /// A session brought nothing, and the next one must wait.
    fn failed(&self, error: CallError, action: RPCTypes) -> RpcError {
        self.peers.paces.failed(self.node, self.purpose);
        if self.purpose == Purpose::Control {
            self.peers.paces.missed(self.node);
        }
        self.rpc_error(error, action)
    }

    fn rpc_error(&self, error: CallError, action: RPCTypes) -> RpcError {
        match error {
            CallError::Timeout(timeout) => RPCError::Timeout(Timeout {
                action,
                id: self.peers.node,
                target: self.node,
                timeout,
            }),
            // A refusal will not change by asking again at once, so both are backed off from.
            error => RPCError::Unreachable(Unreachable::new(&error)),
        }
    }

    async fn vote_call(
        &self,
        request: VoteRequest<Types>,
        pre: bool,
        patience: Duration,
    ) -> Result<VoteResponse<Types>, RpcError> {
        let mine = our_vote(&request.vote);
        let envelope = self.envelope(vote_body(&request));
        let asked = self.peers.call(
            self.node,
            &self.member,
            Purpose::Control,
            patience,
            |mut client| async move {
                if pre {
                    client.pre_vote(envelope).await
                } else {
                    client.vote(envelope).await
                }
            },
        );
        let body = asked
            .await
            .map_err(|error| self.rpc_error(error, RPCTypes::Vote))?;
        let answer =
            vote_answer_from(body).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        near(our_vote(&answer.vote), mine)
            .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        Ok(answer)
    }
}

impl NetBackoff<Types> for Peer {
    /// openraft begins a new row of pauses after each answer; ours goes on until there is progress.
    fn backoff(&self) -> Option<Backoff> {
        let (peers, node, purpose) = (Arc::clone(&self.peers), self.node, self.purpose);
        Some(Backoff::new(std::iter::from_fn(move || {
            Some(peers.paces.pause(node, purpose))
        })))
    }
}

impl NetVote<Types> for Peer {
    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RpcError> {
        self.vote_call(request, false, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RpcError> {
        self.vote_call(request, true, option.soft_ttl()).await
    }
}

impl NetTransferLeader<Types> for Peer {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RpcError> {
        let envelope = self.envelope(transfer_body(&request));
        let asked = self.peers.call(
            self.node,
            &self.member,
            Purpose::Control,
            option.soft_ttl(),
            |mut client| async move { client.transfer_leader(envelope).await },
        );
        let body = asked
            .await
            .map_err(|error| self.rpc_error(error, RPCTypes::TransferLeader))?;
        let answer = TransferAnswer::from_body(body)
            .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        Ok(match answer {
            TransferAnswer::Accepted => Ok(()),
            TransferAnswer::VoteChanged(vote) => {
                near(vote, our_vote(request.from_leader()))
                    .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
                Err(TransferLeaderError::VoteChanged {
                    expected: *request.from_leader(),
                    actual: raft_vote(vote),
                })
            }
            TransferAnswer::LogNotFlushed(last) => Err(TransferLeaderError::LogNotFlushed {
                expected: request.last_log_id().copied(),
                actual: last.map(log_id),
            }),
        })
    }
}

impl NetStreamAppend<Types> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Types>, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let patience = if self.purpose == Purpose::Control {
            option.soft_ttl()
        } else {
            self.peers.append_stall
        };
        Box::pin(async move {
            if self.purpose == Purpose::Control && !self.peers.paces.may_beat(self.node) {
                let text = "the last heartbeat failed just now".to_owned();
                return Err(self.rpc_error(CallError::Unreachable(text), RPCTypes::AppendEntries));
            }
            // The first item before the call: openraft sleeps its back-off inside this stream, and opening first would
            // knock at a dead peer without pause.
            let Some(first) = input.next().await else {
                return Ok(stream::empty().boxed());
            };
            let leader = our_vote(&first.vote);
            if self.purpose == Purpose::Append {
                self.peers
                    .paces
                    .begin(self.node, self.member.store, leader.term);
            }
            let flight = Arc::new(Flight::new(leader));
            let sending = Arc::clone(&flight);
            let (peers, node, store) = (Arc::clone(&self.peers), self.node, self.member.store);
            let requests = stream::iter([first]).chain(input).then(move |request| {
                let (sending, peers) = (Arc::clone(&sending), Arc::clone(&peers));
                async move {
                    sending.depart(&request).await;
                    peers.envelope(node, store, append_body(request))
                }
            });
            // Whatever ends this session ends its requests: the next one draws from the same source.
            let (requests, tie) = tied(requests);
            let mut client = self
                .peers
                .client(self.node, &self.member, self.purpose)
                .map_err(|error| self.failed(error, RPCTypes::AppendEntries))?;
            let answers =
                match tokio::time::timeout(patience, client.stream_append(Request::new(requests)))
                    .await
                {
                    Ok(Ok(response)) => response.into_inner(),
                    Ok(Err(status)) => {
                        return Err(self.failed(
                            self.peers.failed(self.node, self.purpose, &status),
                            RPCTypes::AppendEntries,
                        ));
                    }
                    Err(_) => {
                        self.peers.forget(self.node, self.purpose);
                        return Err(
                            self.failed(CallError::Timeout(patience), RPCTypes::AppendEntries)
                        );
                    }
                };
            let state = Some((self, answers, flight, tie));
            let results = stream::unfold(state, move |state| async move {
                let (peer, mut answers, flight, tie) = state?;
                let result = peer.next_answer(&mut answers, &flight, patience).await?;
                let going_on = matches!(result, Ok(Ok(_)));
                Some((result, going_on.then_some((peer, answers, flight, tie))))
            });
            // Asked once more after its end, an unfold panics.
            Ok(results.fuse().boxed())
        })
    }
}

/// Appends on their way: bounded, and counted so that silence with debts is told from silence without.
struct Flight {
    /// The leader that sends.
    leader: Vote,
    sent: AtomicU64,
    answered: AtomicU64,
    /// One more than the highest index that an answer can acknowledge; 0 if it is none.
    sent_next: AtomicU64,
    room: Semaphore,
}

impl Flight {
    fn new(leader: Vote) -> Flight {
        Flight {
            leader,
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            sent_next: AtomicU64::new(0),
            room: Semaphore::new(APPENDS_OUTSTANDING_MAX),
        }
    }

    async fn depart(&self, request: &AppendEntriesRequest<Types>) {
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        let last = request
            .entries
            .last()
            .map(|entry| entry.log_id)
            .or(request.prev_log_id);
        let next = last.map_or(0, |last| last.index.saturating_add(1));
        self.sent_next.fetch_max(next, Ordering::Relaxed);
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn owes(&self) -> bool {
        self.answered.load(Ordering::Relaxed) < self.sent.load(Ordering::Relaxed)
    }

    fn arrive(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.room.add_permits(1);
    }
}

impl Peer {
    /// The next answer; `None` when the peer has closed the stream in order.
    async fn next_answer(
        &self,
        answers: &mut Streaming<Envelope>,
        flight: &Flight,
        patience: Duration,
    ) -> Option<Result<StreamAppendResult<Types>, RpcError>> {
        loop {
            let owed = flight.sent.load(Ordering::Relaxed);
            let error = match tokio::time::timeout(patience, answers.message()).await {
                Ok(Ok(Some(envelope))) => match self.read_answer(flight, envelope) {
                    Ok(result) => return Some(Ok(result)),
                    Err(error) => error,
                },
                Ok(Ok(None)) if flight.owes() => {
                    CallError::Refused("the stream ended before its answers".to_owned())
                }
                Ok(Ok(None)) => return None,
                Ok(Err(status)) => self.peers.failed(self.node, self.purpose, &status),
                Err(_) if flight.answered.load(Ordering::Relaxed) < owed => {
                    self.peers.overdue(self.node, self.purpose);
                    CallError::Timeout(patience)
                }
                Err(_) => continue,
            };
            return Some(Err(self.failed(error, RPCTypes::AppendEntries)));
        }
    }

    /// An answer that says something a follower can say, and something new.
    fn read_answer(
        &self,
        flight: &Flight,
        envelope: Envelope,
    ) -> Result<StreamAppendResult<Types>, CallError> {
        let (_, body) = self
            .peers
            .opened_answer(self.node, &self.member, envelope)?;
        if !flight.owes() {
            return Err(self.nonsense("an answer to nothing"));
        }
        flight.arrive();
        self.peers.answered(self.node, self.purpose);
        let result = append_result_from(body).map_err(|error| self.nonsense(&error.to_string()))?;
        match &result {
            Ok(matching) => {
                let at = matching.as_ref().map(position);
                let next = at.map_or(0, |at| at.index.saturating_add(1));
                if next > flight.sent_next.load(Ordering::Relaxed) {
                    return Err(self.nonsense("it acknowledges what it was not sent"));
                }
                if self.purpose == Purpose::Control {
                    self.peers.paces.beaten(self.node);
                }
                if self.purpose == Purpose::Append {
                    self.peers.paces.matched(self.node, self.purpose, at);
                }
            }
            Err(StreamAppendError::Conflict(at)) => {
                self.judge_conflict(flight.leader, position(at))?
            }
            Err(StreamAppendError::HigherVote(vote)) => {
                let vote = our_vote(vote);
                if vote <= flight.leader || near(vote, flight.leader).is_err() {
                    return Err(self.nonsense("a higher vote that is not, or is too high"));
                }
            }
        }
        Ok(result)
    }

    /// Lets a conflict through while it narrows the search. A heartbeat asks for what was acknowledged, so that its
    /// conflicts never do.
    fn judge_conflict(&self, leader: Vote, at: LogPosition) -> Result<(), CallError> {
        let paces = &self.peers.paces;
        let conflict = if self.purpose == Purpose::Append {
            paces.conflicted(self.node, at)
        } else {
            Conflict::WentBack(paces.acked(self.node).unwrap_or(at))
        };
        match conflict {
            Conflict::Search => Ok(()),
            Conflict::Repeats => Err(self.nonsense("the same conflict again")),
            Conflict::WentBack(acked) => {
                let text = format!(
                    "its log went back: it acknowledged record {} and lacks record {}",
                    acked.index, at.index
                );
                self.peers
                    .gate
                    .refusals
                    .note(self.node, "not replicated to", &text);
                self.peers
                    .tell_went_back(self.node, &self.member, leader, acked);
                Err(CallError::Refused(text))
            }
        }
    }

    fn nonsense(&self, text: &str) -> CallError {
        self.peers
            .gate
            .refusals
            .note(self.node, "answer not taken", &text);
        CallError::Refused(text.to_owned())
    }
}

impl NetSnapshot<Types> for Peer {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: openraft::type_config::alias::SnapshotOf<Types, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let SnapshotData::Held(held) = snapshot.snapshot else {
            let text = "a snapshot that was only just received cannot be sent";
            return Err(StreamingError::Network(NetworkError::from_string(text)));
        };
        let progress = Arc::new(AtomicU64::new(0));
        let (leader, last) = (our_vote(&vote), held.applied().last);
        let requests = self.snapshot_stream(leader, held, Arc::clone(&progress));
        let mut client = self
            .peers
            .client(self.node, &self.member, Purpose::Snapshot)
            .map_err(|error| self.failed(error, RPCTypes::InstallSnapshot))?;
        let outcome = tokio::select! {
            biased;
            closed = cancel => return Err(StreamingError::Closed(closed)),
            outcome = client.snapshot(Request::new(requests)) => {
                outcome.map_err(|status| self.peers.failed(self.node, Purpose::Snapshot, &status))
            }
            patience = self.snapshot_standstill(&progress) => Err(CallError::Timeout(patience)),
        };
        if matches!(outcome, Err(CallError::Timeout(_))) {
            self.peers.forget(self.node, Purpose::Snapshot);
        }
        let answer = outcome.and_then(|response| {
            let envelope = response.into_inner();
            let (_, body) = self
                .peers
                .opened_answer(self.node, &self.member, envelope)?;
            let answer =
                Vote::from_body(body).map_err(|error| self.nonsense(&error.to_string()))?;
            // Anything below the leader's own vote is no consent, and openraft would take it for one.
            if answer < leader || near(answer, leader).is_err() {
                return Err(self.nonsense("a vote that no follower has"));
            }
            Ok(answer)
        });
        let answer = answer.map_err(|error| self.failed(error, RPCTypes::InstallSnapshot))?;
        if answer == leader {
            self.peers
                .paces
                .begin(self.node, self.member.store, leader.term);
            self.peers.paces.matched(self.node, Purpose::Snapshot, last);
        }
        Ok(SnapshotResponse::new(raft_vote(answer)))
    }
}

/// Progress value that says that everything was handed to the connection.
const ALL_SENT: u64 = u64::MAX;

impl Peer {
    /// Ends when the transfer has stood still for too long.
    async fn snapshot_standstill(&self, progress: &AtomicU64) -> Duration {
        loop {
            let before = progress.load(Ordering::Relaxed);
            let patience = if before == ALL_SENT {
                self.peers.snapshot_install
            } else {
                self.peers.snapshot_stall
            };
            tokio::time::sleep(patience).await;
            if progress.load(Ordering::Relaxed) == before {
                return patience;
            }
        }
    }

    fn snapshot_stream(
        &self,
        vote: Vote,
        held: Arc<dyn Snapshot>,
        progress: Arc<AtomicU64>,
    ) -> impl Stream<Item = Envelope> + Send + 'static {
        let (peers, node, store) = (Arc::clone(&self.peers), self.node, self.member.store);
        let applied = held.applied().clone();
        let membership = match applied.membership {
            Some((at, bytes)) => (Some(at), bytes),
            None => (None, Bytes::new()),
        };
        let header = SnapshotPart::Header {
            vote,
            last: applied.last,
            membership,
            files: held.files().to_vec(),
        };
        let first = peers.envelope(node, store, header.to_body());
        // A read that fails ends the stream early; the peer then refuses the snapshot as incomplete.
        let pieces = stream::unfold(
            (held, 0_usize, 0_u64),
            move |(held, mut file, mut offset)| {
                let (peers, progress) = (Arc::clone(&peers), Arc::clone(&progress));
                async move {
                    let size = loop {
                        let size = held.files().get(file).map(|file| file.size);
                        match size {
                            None => {
                                progress.store(ALL_SENT, Ordering::Relaxed);
                                return None;
                            }
                            Some(size) if size <= offset => (file, offset) = (file + 1, 0),
                            Some(size) => break size,
                        }
                    };
                    let wanted = usize::try_from(size - offset)
                        .unwrap_or(PIECE_BYTES)
                        .min(PIECE_BYTES);
                    let reading = Arc::clone(&held);
                    let read = peers
                        .work
                        .run(move || reading.read(file, offset, wanted))
                        .await;
                    let bytes = match read {
                        Ok(Ok(bytes)) if bytes.len() == wanted => bytes,
                        other => {
                            tracing::error!(file, offset, outcome = ?other.map(|read| read.map(|bytes| bytes.len())), "snapshot unreadable");
                            return None;
                        }
                    };
                    progress.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    let next = offset + bytes.len() as u64;
                    let piece = SnapshotPart::Piece {
                        file: u32::try_from(file).unwrap_or(u32::MAX),
                        offset,
                        bytes,
                    };
                    Some((
                        peers.envelope(node, store, piece.to_body()),
                        (held, file, next),
                    ))
                }
            },
        );
        stream::iter([first]).chain(pieces)
    }
}
