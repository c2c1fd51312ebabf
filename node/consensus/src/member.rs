//! Who takes part: node ids and where they are reached.

/// Where a member of the cluster is reached. Its identity is its node id and its certificate, never an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Address of its Raft plane, `host:port`.
    pub raft: String,
    /// Address of its client plane, given to clients that ask the wrong node.
    pub api: String,
}
