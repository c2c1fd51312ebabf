//! Where the chains of audit of each node stood when that was entered in the log: what lies on the node's own disk can be written anew
//! by whoever has the node, and this cannot.
//!
//! Values only: what may be entered is in `machine::audited`.

use crate::bytes::time::TimeMs;
use crate::limits::{
    AUDIT_ANCHORS_MAX, AUDIT_PLACES_IN_ALL_MAX, AUDIT_PLACES_MAX, Index, List, Sequence,
};
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
    /// By its number in the cluster.
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

/// Places of each node, by node and leaf ascending: the newest, and some of those before it. A place that only the newest
/// replaced would be gone with it, and a chain that was written anew would be held to nothing but itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditAnchors {
    /// Up to [`AUDIT_PLACES_MAX`] a node.
    pub nodes: Vec<AuditAnchor>,
}
crate::canonical_struct!(AuditAnchors @ 2 { nodes: List<AUDIT_PLACES_IN_ALL_MAX> });

impl AuditAnchors {
    /// The newest of a node.
    pub fn of(&self, node: u64) -> Option<&AuditAnchor> {
        self.nodes.iter().rfind(|one| one.node == node)
    }

    /// All of a node, the oldest first.
    pub fn places_of(&self, node: u64) -> impl Iterator<Item = &AuditAnchor> {
        self.nodes.iter().filter(move |one| one.node == node)
    }

    /// Takes one up. Of a node with as many as are kept, one between the oldest and the newest makes way; where there is no room for a
    /// node, all of the one that said nothing for the longest: it left long ago.
    pub fn put(&mut self, anchor: AuditAnchor) {
        if self.of(anchor.node).is_none() {
            self.make_room();
        }
        let places: Vec<&AuditAnchor> = self.places_of(anchor.node).collect();
        if places.len() >= AUDIT_PLACES_MAX {
            let leaf = spared(&places, anchor.leaf);
            self.nodes
                .retain(|one| one.node != anchor.node || Some(one.leaf) != leaf);
        }
        self.nodes.push(anchor);
        self.nodes.sort_by_key(|one| (one.node, one.leaf));
    }

    fn make_room(&mut self) {
        let newest = |one: &&AuditAnchor| self.of(one.node).map(|of| of.leaf) == Some(one.leaf);
        let newest: Vec<&AuditAnchor> = self.nodes.iter().filter(newest).collect();
        if newest.len() < AUDIT_ANCHORS_MAX {
            return;
        }
        let oldest = newest.iter().min_by_key(|one| one.leaf);
        if let Some(node) = oldest.map(|one| one.node) {
            self.nodes.retain(|one| one.node != node);
        }
    }
}

/// The leaf of the place that is missed least by one that looks back from a leaf: it stands closest between its neighbours for its age.
/// Neither the oldest nor the newest.
fn spared(places: &[&AuditAnchor], now: u64) -> Option<u64> {
    let of_age = |three: &[&AuditAnchor]| match three {
        [before, one, after] => {
            // saturates: leaves stand in their order
            let gap = u128::from(after.leaf.saturating_sub(before.leaf));
            // saturates: it is an earlier leaf
            let age = u128::from(now.saturating_sub(one.leaf));
            Some((gap, age, one.leaf))
        }
        _ => None,
    };
    let between = places.windows(3).filter_map(of_age);
    // As fractions gap/age, without dividing.
    let less = |(gap, age, _): &(u128, u128, u64), (than, of, _): &(u128, u128, u64)| {
        // saturates: never, all are below 2^64
        gap.saturating_mul(*of).cmp(&than.saturating_mul(*age))
    };
    between.min_by(less).map(|(_, _, leaf)| leaf)
}
