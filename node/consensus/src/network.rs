//! The sending side of the Raft plane: openraft's network over tonic.
//!
//! Channels are kept for each peer and purpose and dropped when a peer owes an answer for too long, so that a connection
//! that died without a word is replaced. Every wait has an end.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_store::identity::StoreId;
use carnet_store::log::{ENTRY_BYTES_MAX, READ_BYTES_MAX, Vote};
use carnet_store::machine::Snapshot;
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
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::codec::{BODY_VERSION, Body};
use crate::connector::{Connector, Purpose};
use crate::member::Member;
use crate::messages::{
    SnapshotPart, TransferAnswer, append_body, append_result_from, transfer_body, vote_answer_from,
    vote_body,
};
use crate::settings::Settings;
use crate::state_machine::{PIECE_BYTES, SnapshotData};
use crate::types::{RaftVote, Types, log_id, our_vote, raft_vote};

/// Largest message on the Raft plane in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Appends to one peer that may wait for an answer.
const APPENDS_OUTSTANDING_MAX: usize = 64;

/// Room for the frame around payloads: up to 4096 record heads, and the envelope.
const FRAME_BYTES_MAX: usize = 4096 * 32 + 4096;
const _: () = assert!(READ_BYTES_MAX + ENTRY_BYTES_MAX + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX);
const _: () = assert!(PIECE_BYTES + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX);

type Client = RaftClient<Channel>;
type RpcError = RPCError<Types>;

/// Every peer of this node, and the channels to them.
pub(crate) struct Peers {
    pub(crate) cluster: [u8; 16],
    pub(crate) group: u64,
    pub(crate) node: u64,
    pub(crate) store: StoreId,
    pub(crate) start: u64,
    pub(crate) nonce: u64,
    connector: Arc<dyn Connector>,
    channels: Mutex<BTreeMap<(u64, Purpose), Kept>>,
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
    pub(crate) fn new(settings: &Settings, connector: Arc<dyn Connector>) -> Peers {
        Peers {
            cluster: settings.cluster,
            group: settings.group,
            node: settings.node,
            store: settings.store,
            start: settings.start,
            nonce: settings.nonce,
            connector,
            channels: Mutex::default(),
            append_stall: settings.append_stall,
            snapshot_stall: settings.snapshot_stall,
            snapshot_install: settings.snapshot_install,
            work: settings.work,
        }
    }

    pub(crate) fn envelope(&self, to: u64, body: Bytes) -> Envelope {
        Envelope {
            group: self.group,
            from: self.node,
            to,
            cluster: Bytes::copy_from_slice(&self.cluster),
            version: BODY_VERSION,
            body,
            store: Bytes::copy_from_slice(&self.store.0),
            to_store: Bytes::new(),
            start: self.start,
            nonce: self.nonce,
        }
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
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
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
                Ok(response.into_inner().body)
            }
            Ok(Err(status)) => Err(self.failed(to, purpose, &status)),
            Err(_) => {
                self.overdue(to, purpose);
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
        let envelope = self.peers.envelope(self.node, vote_body(&request));
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
        vote_answer_from(body).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }
}

impl NetBackoff<Types> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        None
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
        let envelope = self.peers.envelope(self.node, transfer_body(&request));
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
            TransferAnswer::VoteChanged(vote) => Err(TransferLeaderError::VoteChanged {
                expected: *request.from_leader(),
                actual: raft_vote(vote),
            }),
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
            // The first item before the call: openraft sleeps its back-off inside this stream, and opening first would
            // knock at a dead peer without pause.
            let Some(first) = input.next().await else {
                return Ok(stream::empty().boxed());
            };
            let flight = Arc::new(Flight::default());
            let sending = Arc::clone(&flight);
            let peers = Arc::clone(&self.peers);
            let node = self.node;
            let requests = stream::iter([first]).chain(input).then(move |request| {
                let (sending, peers) = (Arc::clone(&sending), Arc::clone(&peers));
                async move {
                    sending.depart().await;
                    peers.envelope(node, append_body(request))
                }
            });
            let mut client = self
                .peers
                .client(self.node, &self.member, self.purpose)
                .map_err(|error| self.rpc_error(error, RPCTypes::AppendEntries))?;
            let answers =
                match tokio::time::timeout(patience, client.stream_append(Request::new(requests)))
                    .await
                {
                    Ok(Ok(response)) => response.into_inner(),
                    Ok(Err(status)) => {
                        return Err(self.rpc_error(
                            self.peers.failed(self.node, self.purpose, &status),
                            RPCTypes::AppendEntries,
                        ));
                    }
                    Err(_) => {
                        self.peers.forget(self.node, self.purpose);
                        return Err(
                            self.rpc_error(CallError::Timeout(patience), RPCTypes::AppendEntries)
                        );
                    }
                };
            let state = Some((self, answers, flight));
            let results = stream::unfold(state, move |state| async move {
                let (peer, mut answers, flight) = state?;
                let result = peer.next_answer(&mut answers, &flight, patience).await?;
                let going_on = matches!(result, Ok(Ok(_)));
                Some((result, going_on.then_some((peer, answers, flight))))
            });
            Ok(results.boxed())
        })
    }
}

/// Appends on their way: bounded, and counted so that silence with debts is told from silence without.
struct Flight {
    sent: AtomicU64,
    answered: AtomicU64,
    room: Semaphore,
}

impl Default for Flight {
    fn default() -> Self {
        Flight {
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            room: Semaphore::new(APPENDS_OUTSTANDING_MAX),
        }
    }
}

impl Flight {
    async fn depart(&self) {
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
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
            match tokio::time::timeout(patience, answers.message()).await {
                Ok(Ok(Some(envelope))) => {
                    flight.arrive();
                    self.peers.answered(self.node, self.purpose);
                    let result = append_result_from(envelope.body);
                    return Some(
                        result.map_err(|error| RPCError::Network(NetworkError::new(&error))),
                    );
                }
                Ok(Ok(None)) => return None,
                Ok(Err(status)) => {
                    return Some(Err(self.rpc_error(
                        self.peers.failed(self.node, self.purpose, &status),
                        RPCTypes::AppendEntries,
                    )));
                }
                Err(_) if flight.answered.load(Ordering::Relaxed) < owed => {
                    self.peers.overdue(self.node, self.purpose);
                    return Some(Err(
                        self.rpc_error(CallError::Timeout(patience), RPCTypes::AppendEntries)
                    ));
                }
                Err(_) => {}
            }
        }
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
        let requests = self.snapshot_stream(our_vote(&vote), held, Arc::clone(&progress));
        let mut client = self
            .peers
            .client(self.node, &self.member, Purpose::Snapshot)
            .map_err(|error| self.rpc_error(error, RPCTypes::InstallSnapshot))?;
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
        let body = outcome
            .map_err(|error| self.rpc_error(error, RPCTypes::InstallSnapshot))?
            .into_inner()
            .body;
        let vote = Vote::from_body(body)
            .map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
        Ok(SnapshotResponse::new(raft_vote(vote)))
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
        let (peers, node) = (Arc::clone(&self.peers), self.node);
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
        let first = peers.envelope(node, header.to_body());
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
                    Some((peers.envelope(node, piece.to_body()), (held, file, next)))
                }
            },
        );
        stream::iter([first]).chain(pieces)
    }
}
