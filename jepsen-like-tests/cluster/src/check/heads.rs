//! All heads of a log ever seen by anybody are heads of one log.

use std::collections::BTreeMap;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::log::merkle::verify_consistency;

use super::{Findings, Violation};

/// A published head whose signature was verified when it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Leaves under it.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
    /// The client that saw it, for messages.
    pub client: u32,
    /// When its call began.
    pub began: u64,
    /// When it was seen.
    pub ended: u64,
}

/// Consistency proofs to the last head of a run, by the smaller size.
pub type Proofs = BTreeMap<u64, Vec<Digest>>;

/// Checks that equal sizes have equal roots, that the last head of the run extends every head seen (then they all are
/// heads of one log, because a root fixes its whole tree), and that the published size never goes back for a client.
pub fn heads_consistent(heads: &[Head], last: &Head, proofs: &Proofs) -> Vec<Violation> {
    let mut findings = Findings::default();
    let mut by_size: BTreeMap<u64, Head> = BTreeMap::new();
    for head in heads.iter().chain([last]) {
        let first = by_size.entry(head.size).or_insert(*head);
        if first.root != head.root {
            findings.add(
                "L1",
                format!(
                    "size {} has root {} for client {} and {} for client {}",
                    head.size, first.root, first.client, head.root, head.client
                ),
            );
        }
    }
    for head in by_size.into_values().filter(|head| head.size != last.size) {
        let (small, large) = (head.size, last.size);
        let Some(proof) = proofs.get(&small) else {
            findings.add(
                "L1",
                format!("no proof that size {large} extends size {small}"),
            );
            continue;
        };
        if verify_consistency(small, &head.root, large, &last.root, proof).is_err() {
            findings.add("L1", format!("size {large} does not extend size {small}"));
        }
    }
    never_back(heads, &mut findings);
    findings.0
}

/// Sizes in real time: whoever asks after an answer ended sees at least as much as the same client saw before.
fn never_back(heads: &[Head], findings: &mut Findings) {
    let mut last: BTreeMap<u32, Head> = BTreeMap::new();
    let mut by_end: Vec<&Head> = heads.iter().collect();
    by_end.sort_by_key(|head| head.ended);
    for head in by_end {
        if let Some(before) = last.get(&head.client)
            && before.ended <= head.began
            && head.size < before.size
        {
            let text = format!(
                "client {} saw size {} after size {}",
                head.client, head.size, before.size
            );
            findings.add("L4", text);
        }
        last.insert(head.client, *head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::log::merkle::{leaf_hash, node_hash, tree_root};

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn head(size: u64, client: u32, at: u64) -> Head {
        Head {
            size,
            root: tree_root(&leaves(size)),
            client,
            began: at,
            ended: at + 1,
        }
    }

    /// To three leaves, from one and from two: proofs short enough to write by hand.
    fn proofs() -> Proofs {
        let l = leaves(3);
        Proofs::from([(1, vec![l[1], l[2]]), (2, vec![l[2]])])
    }

    fn check(heads: &[Head], last: &Head, expected: &[&str]) {
        let found: Vec<String> = heads_consistent(heads, last, &proofs())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn heads_of_one_log_are_consistent() {
        check(
            &[
                head(1, 0, 0),
                head(2, 1, 10),
                head(3, 0, 20),
                head(2, 1, 30),
            ],
            &head(3, 2, 40),
            &[],
        );
    }

    #[test]
    fn two_roots_of_one_size_are_a_fork() {
        let l = leaves(2);
        let forked = Head {
            root: node_hash(&l[1], &l[0]),
            ..head(2, 1, 10)
        };
        let found = heads_consistent(&[head(2, 0, 0), forked], &head(3, 2, 40), &proofs());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].text.starts_with("size 2 has root "), "{found:?}");
    }

    #[test]
    fn a_last_head_that_rewrites_history_is_found() {
        let l = leaves(3);
        let rewritten = Head {
            root: node_hash(&node_hash(&l[1], &l[0]), &l[2]),
            ..head(3, 1, 10)
        };
        check(
            &[head(2, 0, 0)],
            &rewritten,
            &["L1: size 3 does not extend size 2"],
        );
    }

    #[test]
    fn a_head_that_the_last_one_forgot_is_found() {
        let forgotten = Head {
            size: 2,
            root: node_hash(&leaves(3)[2], &leaves(3)[1]),
            ..head(2, 0, 0)
        };
        check(
            &[forgotten],
            &head(3, 2, 40),
            &["L1: size 3 does not extend size 2"],
        );
    }

    #[test]
    fn a_head_larger_than_the_last_is_lost_history() {
        check(
            &[head(4, 0, 0)],
            &head(3, 2, 40),
            &["L1: no proof that size 3 extends size 4"],
        );
    }

    #[test]
    fn a_log_that_shrinks_for_a_client_is_found() {
        check(
            &[head(3, 0, 0), head(2, 0, 10)],
            &head(3, 2, 40),
            &["L4: client 0 saw size 2 after size 3"],
        );
    }
}
