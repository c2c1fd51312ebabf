//! Who takes part: node ids, the store each keeps its promises in, and where they are reached.

use carnet_store::identity::StoreId;

/// A member of the cluster. Its identity is its node id, its certificate and its store, never an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Address of its Raft plane, `host:port`.
    pub raft: String,
    /// Address of its client plane, given to clients that ask the wrong node.
    pub api: String,
    /// The data directory that holds its vote and its log. The same node id with another store is not this member.
    pub store: StoreId,
}
