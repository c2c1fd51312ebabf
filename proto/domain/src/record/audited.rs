//! Where the chains of audit of each node stood when that was entered in the log: what lies on the node's own disk can be written anew
//! by whoever has the node, and this cannot.
//!
//! Values only: what may be entered is in `machine::audited`.

use crate::bytes::time::TimeMs;
use crate::limits::{AUDIT_ANCHORS_MAX, Index, List, Sequence};
use crate::log::audit::AuditHead;

/// The places of a node's chains: `acts`, `reads`, `denied`. A chain without a record has number 0 and the hash of zeroes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditHeads {
    /// Changes of the cluster.
    pub acts: AuditHead,
    /// Reads by those who may read everybody's.
    pub reads: AuditHead,
    /// Refusals.
    pub denied: AuditHead,
}
crate::canonical_struct!(AuditHeads {
    acts,
    reads,
    denied
});

impl AuditHeads {
    /// The three, in their order.
    pub fn all(&self) -> [AuditHead; 3] {
        [self.acts, self.reads, self.denied]
    }

    /// Whether chains that stood at `before` can stand here: no number fell, and none that stayed has another hash.
    pub fn follow(&self, before: &Self) -> bool {
        let mut pairs = self.all().into_iter().zip(before.all());
        pairs.all(|(now, then)| now.number > then.number || now == then)
    }
}

/// Where the chains of one node stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditAnchor {
    /// The node.
    pub node: u64,
    /// Where.
    pub heads: AuditHeads,
    /// When that was entered, by log time.
    pub at: TimeMs,
    /// The leaf that says so.
    pub leaf: u64,
}
crate::canonical_struct!(AuditAnchor {
    node: Sequence,
    heads,
    at,
    leaf: Index
});

/// The newest of each node, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditAnchors {
    /// One a node.
    pub nodes: Vec<AuditAnchor>,
}
crate::canonical_struct!(AuditAnchors @ 1 { nodes: List<AUDIT_ANCHORS_MAX> });

impl AuditAnchors {
    /// That of a node.
    pub fn of(&self, node: u64) -> Option<&AuditAnchor> {
        self.nodes.iter().find(|one| one.node == node)
    }

    /// Takes one up in the place of the one before. Where there is no room, the oldest makes way: of a node that left long ago.
    pub fn put(&mut self, anchor: AuditAnchor) {
        self.nodes.retain(|one| one.node != anchor.node);
        if self.nodes.len() >= AUDIT_ANCHORS_MAX {
            let oldest = self
                .nodes
                .iter()
                .enumerate()
                .min_by_key(|(_, one)| one.leaf);
            if let Some((oldest, _)) = oldest {
                self.nodes.remove(oldest);
            }
        }
        self.nodes.push(anchor);
        self.nodes.sort_by_key(|one| one.node);
    }
}
