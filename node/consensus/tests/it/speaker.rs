//! Somebody with a node's certificate who speaks the Raft plane by hand, in the layout of the wire.

use bytes::{BufMut, Bytes, BytesMut};
use carnet_store::identity::StoreId;
use carnet_store::machine::{Applied, LogPosition, SnapshotFile};
use carnet_wire::raft::v1::Envelope;
use carnet_wire::raft::v1::raft_client::RaftClient;
use futures::StreamExt;
use tonic::Status;
use tonic::transport::Channel;

use crate::cluster::{CLUSTER, Cluster};

/// What a frame shows of its sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    pub(crate) node: u64,
    pub(crate) store: StoreId,
    pub(crate) start: u64,
    pub(crate) nonce: u64,
}

/// Every request of the Raft plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rpc {
    Vote,
    PreVote,
    Append,
    Snapshot,
    TransferLeader,
    ReadIndex,
    Follows,
    Clock,
    Forward,
    Identify,
    WentBack,
    Compare,
    Space,
}

impl Rpc {
    pub(crate) const ALL: [Rpc; 13] = [
        Rpc::Vote,
        Rpc::PreVote,
        Rpc::Append,
        Rpc::Snapshot,
        Rpc::TransferLeader,
        Rpc::ReadIndex,
        Rpc::Follows,
        Rpc::Clock,
        Rpc::Forward,
        Rpc::Identify,
        Rpc::WentBack,
        Rpc::Compare,
        Rpc::Space,
    ];
}

pub(crate) fn put_vote(to: &mut BytesMut, term: u64, node: u64, committed: bool) {
    to.put_u64(term);
    to.put_u64(node);
    to.put_u8(u8::from(committed));
}

/// A vote request of a log that ends at `last`: term, node, index.
pub(crate) fn vote_body(
    term: u64,
    candidate: u64,
    last: Option<(u64, u64, u64)>,
    transfer: bool,
) -> Bytes {
    let mut body = BytesMut::new();
    put_vote(&mut body, term, candidate, false);
    body.put_u8(u8::from(last.is_some()));
    if let Some((term, node, index)) = last {
        body.put_u64(term);
        body.put_u64(node);
        body.put_u64(index);
    }
    body.put_u8(u8::from(transfer));
    body.freeze()
}

/// An append without records, under a committed vote.
pub(crate) fn append_body(term: u64, leader: u64) -> Bytes {
    append_under(term, leader, true)
}

/// An append without records.
pub(crate) fn append_under(term: u64, leader: u64, committed: bool) -> Bytes {
    let mut body = BytesMut::new();
    put_vote(&mut body, term, leader, committed);
    body.put_u8(0);
    body.put_u8(0);
    body.put_u32(0);
    body.freeze()
}

fn put_position(to: &mut BytesMut, position: Option<LogPosition>) {
    to.put_u8(u8::from(position.is_some()));
    if let Some(at) = position {
        to.put_u64(at.term);
        to.put_u64(at.node);
        to.put_u64(at.index);
    }
}

/// The first part of a snapshot: under which vote, what it holds, and the sizes of its files by name.
pub(crate) fn snapshot_header(
    (term, leader, committed): (u64, u64, bool),
    holds: &Applied,
    files: &[SnapshotFile],
) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(0);
    put_vote(&mut body, term, leader, committed);
    put_position(&mut body, holds.last);
    put_position(&mut body, holds.membership.as_ref().map(|(at, _)| *at));
    put_counted(
        &mut body,
        holds.membership.as_ref().map_or(&[], |(_, bytes)| bytes),
    );
    body.put_u32(u32::try_from(files.len()).expect("few"));
    for file in files {
        put_counted(&mut body, file.name.as_bytes());
        body.put_u64(file.size);
    }
    body.freeze()
}

/// The whole of a snapshot's first file.
pub(crate) fn snapshot_piece(bytes: &[u8]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(1);
    body.put_u32(0);
    body.put_u64(0);
    put_counted(&mut body, bytes);
    body.freeze()
}

fn put_counted(to: &mut BytesMut, bytes: &[u8]) {
    to.put_u32(u32::try_from(bytes.len()).expect("short"));
    to.put_slice(bytes);
}

/// A transfer of leadership to a node.
pub(crate) fn transfer_body(term: u64, leader: u64, to: u64) -> Bytes {
    let mut body = BytesMut::new();
    put_vote(&mut body, term, leader, true);
    body.put_u64(to);
    body.put_u8(0);
    body.freeze()
}

impl Speaker {
    /// A node as the cluster started it last.
    pub(crate) fn of(cluster: &Cluster, node: u64) -> Speaker {
        let start = cluster.starts.get(&node).copied().unwrap_or(1);
        Speaker {
            node,
            store: cluster.store(node),
            start,
            nonce: 1000 * node + start,
        }
    }

    pub(crate) fn envelope(&self, to: u64, body: Bytes) -> Envelope {
        Envelope {
            group: 0,
            from: self.node,
            to,
            cluster: Bytes::from_static(&CLUSTER),
            version: 1,
            body,
            store: Bytes::copy_from_slice(&self.store.0),
            to_store: Bytes::new(),
            start: self.start,
            nonce: self.nonce,
        }
    }

    fn body(&self, rpc: Rpc, term: u64) -> Bytes {
        match rpc {
            Rpc::Vote | Rpc::PreVote => {
                vote_body(term, self.node, Some((term, self.node, 1 << 40)), true)
            }
            Rpc::Append => append_body(term, self.node),
            Rpc::Snapshot => snapshot_header((term, self.node, true), &Applied::default(), &[]),
            Rpc::TransferLeader => transfer_body(term, self.node, self.node),
            Rpc::Forward => Bytes::from_static(&[0; 8]),
            Rpc::Compare => Bytes::from_static(&[0; 16]),
            Rpc::WentBack => {
                let mut body = BytesMut::new();
                put_vote(&mut body, term, self.node, true);
                body.put_u64(term);
                body.put_u64(self.node);
                body.put_u64(1 << 40);
                body.freeze()
            }
            Rpc::ReadIndex | Rpc::Follows | Rpc::Clock | Rpc::Identify | Rpc::Space => Bytes::new(),
        }
    }

    /// Sends one request, of this term where it has one.
    pub(crate) async fn ask(
        &self,
        channel: Channel,
        to: u64,
        rpc: Rpc,
        term: u64,
    ) -> Result<Bytes, Status> {
        let envelope = self.envelope(to, self.body(rpc, term));
        self.send(channel, rpc, envelope).await
    }

    /// Begins to send a snapshot, says these frames, and then nothing more for as long as it is asked.
    pub(crate) async fn begin_snapshot(
        channel: Channel,
        frames: Vec<Envelope>,
    ) -> Result<Bytes, Status> {
        let mut client = RaftClient::new(channel);
        let then_silence = futures::stream::iter(frames).chain(futures::stream::pending());
        let answer = client.snapshot(then_silence).await?;
        Ok(answer.into_inner().body)
    }

    pub(crate) async fn send(
        &self,
        channel: Channel,
        rpc: Rpc,
        envelope: Envelope,
    ) -> Result<Bytes, Status> {
        let mut client = RaftClient::new(channel);
        let answer = match rpc {
            Rpc::Vote => client.vote(envelope).await,
            Rpc::PreVote => client.pre_vote(envelope).await,
            Rpc::Append => {
                let answers = client.stream_append(tokio_stream::iter([envelope])).await?;
                let first = answers.into_inner().message().await?;
                return Ok(first.map(|answer| answer.body).unwrap_or_default());
            }
            Rpc::Snapshot => client.snapshot(tokio_stream::iter([envelope])).await,
            Rpc::TransferLeader => client.transfer_leader(envelope).await,
            Rpc::ReadIndex => client.read_index(envelope).await,
            Rpc::Follows => client.follows(envelope).await,
            Rpc::Clock => client.clock(envelope).await,
            Rpc::Forward => client.forward(envelope).await,
            Rpc::Identify => client.identify(envelope).await,
            Rpc::WentBack => client.went_back(envelope).await,
            Rpc::Compare => client.compare(envelope).await,
            Rpc::Space => client.space(envelope).await,
        };
        Ok(answer?.into_inner().body)
    }
}
