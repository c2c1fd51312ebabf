//! What the nodes say of themselves: equal applied index, equal state; and no node forgets how far it had come.

use std::collections::BTreeMap;

use super::{Findings, Violation};

/// What one look at a node showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The node.
    pub node: u64,
    /// Its term.
    pub term: u64,
    /// The last entry of its log.
    pub last_log: u64,
    /// The last entry in its state.
    pub applied: u64,
    /// The last entry in its snapshot.
    pub snapshot: u64,
    /// The last entry that left its log.
    pub purged: u64,
    /// Digest over every record and number of leaves, from a look while nothing was written.
    pub state: Option<(Vec<u8>, u64)>,
}

/// Compares every look with every other at the same applied index, and each node with its own past. Looks are in the
/// order they were taken.
pub fn replicas_equal(looks: &[Look]) -> Vec<Violation> {
    let mut findings = Findings::default();
    let mut first_at: BTreeMap<u64, &Look> = BTreeMap::new();
    let mut before: BTreeMap<u64, &Look> = BTreeMap::new();
    for look in looks {
        if let Some(state) = &look.state {
            let first = *first_at.entry(look.applied).or_insert(look);
            if first.state.as_ref() != Some(state) {
                findings.add(
                    "I5",
                    format!(
                        "at applied index {} node {} has {}, node {} has {}",
                        look.applied,
                        first.node,
                        words(first),
                        look.node,
                        words(look)
                    ),
                );
            }
        }
        if look.snapshot < look.purged
            || look.applied < look.snapshot
            || look.last_log < look.applied
        {
            let (purged, snapshot, applied, last) =
                (look.purged, look.snapshot, look.applied, look.last_log);
            let text = format!(
                "node {}: purged {purged}, snapshot {snapshot}, applied {applied}, last {last}",
                look.node
            );
            findings.add("I6", text);
        }
        if let Some(before) = before.insert(look.node, look)
            && look.term < before.term
        {
            findings.add(
                "I7",
                format!(
                    "node {} went back from term {} to {}",
                    look.node, before.term, look.term
                ),
            );
        }
    }
    findings.0
}

fn words(look: &Look) -> String {
    match &look.state {
        Some((digest, leaves)) => {
            let start: String = digest
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("state {start} and {leaves} leaves")
        }
        None => "no digest".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(node: u64, applied: u64, state: u8, tree_size: u64) -> Look {
        Look {
            node,
            term: 1,
            last_log: applied,
            applied,
            snapshot: 0,
            purged: 0,
            state: Some((vec![state; 2], tree_size)),
        }
    }

    fn check(looks: &[Look], expected: &[&str]) {
        let found: Vec<String> = replicas_equal(looks)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_replicas_are_equal() {
        check(
            &[
                look(1, 7, 1, 3),
                look(2, 7, 1, 3),
                look(3, 8, 2, 4),
                look(1, 8, 2, 4),
            ],
            &[],
        );
    }

    #[test]
    fn another_digest_at_the_same_index_is_found() {
        check(
            &[look(1, 7, 1, 3), look(2, 8, 2, 4), look(3, 7, 9, 3)],
            &[
                "I5: at applied index 7 node 1 has state 0101 and 3 leaves, node 3 has state 0909 and 3 leaves",
            ],
        );
    }

    #[test]
    fn another_tree_at_the_same_index_is_found() {
        check(
            &[look(1, 7, 1, 3), look(2, 7, 1, 4)],
            &[
                "I5: at applied index 7 node 1 has state 0101 and 3 leaves, node 2 has state 0101 and 4 leaves",
            ],
        );
    }

    #[test]
    fn a_node_that_changes_its_past_is_found() {
        check(
            &[look(1, 7, 1, 3), look(1, 7, 2, 3)],
            &[
                "I5: at applied index 7 node 1 has state 0101 and 3 leaves, node 1 has state 0202 and 3 leaves",
            ],
        );
    }

    #[test]
    fn looks_without_digest_are_not_compared() {
        let blind = Look {
            state: None,
            ..look(2, 7, 1, 3)
        };
        check(&[look(1, 7, 1, 3), blind], &[]);
    }

    #[test]
    fn a_log_purged_past_its_snapshot_is_found() {
        let purged = Look {
            purged: 6,
            snapshot: 5,
            ..look(1, 7, 1, 3)
        };
        check(
            &[purged],
            &["I6: node 1: purged 6, snapshot 5, applied 7, last 7"],
        );
    }

    #[test]
    fn a_term_that_goes_back_is_found() {
        let later = Look {
            term: 4,
            ..look(1, 7, 1, 3)
        };
        let earlier = Look {
            term: 3,
            ..look(1, 7, 1, 3)
        };
        check(
            &[later, earlier],
            &["I7: node 1 went back from term 4 to 3"],
        );
    }
}
