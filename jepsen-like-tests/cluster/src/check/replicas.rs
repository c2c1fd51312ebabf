//! Equal applied index, equal state: on every replica, at every time it was looked at.

use std::collections::BTreeMap;

use super::{Findings, Violation};

/// What one look at a replica showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// The node.
    pub node: u64,
    /// Its applied index.
    pub applied: u64,
    /// Digest over every record.
    pub state: Vec<u8>,
    /// Leaves of its tree.
    pub tree_size: u64,
}

/// Compares every look with every other at the same applied index, and each node with its own past.
pub fn replicas_equal(looks: &[Digests]) -> Vec<Violation> {
    let mut findings = Findings::default();
    let mut first_at: BTreeMap<u64, &Digests> = BTreeMap::new();
    for look in looks {
        let first = *first_at.entry(look.applied).or_insert(look);
        if first.state != look.state || first.tree_size != look.tree_size {
            findings.add(
                "I5",
                format!(
                    "at applied index {} node {} has state {} and {} leaves, node {} has state {} and {} leaves",
                    look.applied,
                    first.node,
                    hex(&first.state),
                    first.tree_size,
                    look.node,
                    hex(&look.state),
                    look.tree_size
                ),
            );
        }
        if look.state.is_empty() {
            findings.add(
                "I5",
                format!(
                    "node {} shows no digest at applied index {}",
                    look.node, look.applied
                ),
            );
        }
    }
    findings.0
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(looks: &[(u64, u64, u8, u64)], expected: &[&str]) {
        let looks: Vec<Digests> = looks
            .iter()
            .map(|(node, applied, state, tree_size)| Digests {
                node: *node,
                applied: *applied,
                state: vec![*state; 2],
                tree_size: *tree_size,
            })
            .collect();
        let found: Vec<String> = replicas_equal(&looks)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_replicas_are_equal() {
        check(
            &[(1, 7, 1, 3), (2, 7, 1, 3), (3, 8, 2, 4), (1, 8, 2, 4)],
            &[],
        );
    }

    #[test]
    fn another_digest_at_the_same_index_is_found() {
        check(
            &[(1, 7, 1, 3), (2, 8, 2, 4), (3, 7, 9, 3)],
            &[
                "I5: at applied index 7 node 1 has state 0101 and 3 leaves, node 3 has state 0909 and 3 leaves",
            ],
        );
    }

    #[test]
    fn another_tree_at_the_same_index_is_found() {
        check(
            &[(1, 7, 1, 3), (2, 7, 1, 4)],
            &[
                "I5: at applied index 7 node 1 has state 0101 and 3 leaves, node 2 has state 0101 and 4 leaves",
            ],
        );
    }

    #[test]
    fn a_node_that_changes_its_past_is_found() {
        check(
            &[(1, 7, 1, 3), (1, 7, 2, 3)],
            &[
                "I5: at applied index 7 node 1 has state 0101 and 3 leaves, node 1 has state 0202 and 3 leaves",
            ],
        );
    }
}
