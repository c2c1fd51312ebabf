//! How a peer is reached, given as a value: mutual TLS in a node, simulated sockets in a simulation.

use tonic::transport::Channel;

use crate::member::Member;

/// What a connection is for. Heartbeats and votes must not wait behind appends, nor appends behind snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Heartbeats, votes, read indexes, clocks.
    Control,
    /// Log replication.
    Append,
    /// Files of a snapshot, which would hold up the rest.
    Snapshot,
    /// Questions about the state, which may wait for a node that lags.
    Compare,
    /// Requests passed on to the leader.
    Forward,
}

/// Opens connections to peers. The channel connects lazily and must prove, both ways, the node ids at its ends.
pub trait Connector: Send + Sync + 'static {
    /// A channel to a peer. Asked once for a peer and purpose, and again after the old channel stopped answering.
    ///
    /// # Errors
    /// The member's address makes no sense.
    fn channel(
        &self,
        node: u64,
        member: &Member,
        purpose: Purpose,
    ) -> Result<Channel, ConnectError>;
}

/// A member's address makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect: {0}")]
pub struct ConnectError(pub String);

/// The node id that the connection's peer has proven, put into each request's extensions by whoever accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerNode(pub u64);
