//! The tree against the definition of RFC 6962, exhaustively for small sizes; and every way to bend a proof.

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::log::merkle::{
    Frontier, Node, Nodes, consistency_proof, inclusion_proof, leaf_hash, range_proof, root_at,
    tree_root, verify_consistency, verify_inclusion, verify_range,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::values::d;

/// MTH of RFC 6962 §2.1, word for word.
fn naive(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        _ => {
            let mut k = 1;
            while 2 * k < leaves.len() {
                k *= 2;
            }
            let (left, right) = leaves.split_at(k);
            sha256(&[&[0x01], &naive(left).0, &naive(right).0])
        }
    }
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// Complete subtrees as `append` gives them, kept as a store would.
struct Stored(BTreeMap<(u8, u64), Digest>);

impl Nodes for Stored {
    type Fault = (u8, u64);
    fn node(&self, level: u8, index: u64) -> Result<Digest, (u8, u64)> {
        self.0.get(&(level, index)).copied().ok_or((level, index))
    }
}

fn stored(leaves: &[Digest]) -> (Stored, Frontier) {
    let mut frontier = Frontier::new();
    let complete = leaves.iter().flat_map(|leaf| frontier.append(*leaf));
    let nodes = complete
        .map(|Node { level, index, hash }| ((level, index), hash))
        .collect();
    (Stored(nodes), frontier)
}

const SIZE: u64 = 70;

#[test]
fn published_roots_of_rfc_6962_test_data_hold() {
    // The test data of the Certificate Transparency project.
    let data = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let hashes: Vec<Digest> = data
        .iter()
        .map(|hex| leaf_hash(&hex::decode(hex).expect("hex")))
        .collect();
    let root = |count: usize| tree_root(&hashes[..count]).to_string();
    assert_eq!(
        root(0),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        root(1),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
    assert_eq!(
        root(2),
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    );
    assert_eq!(
        root(8),
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
}

#[test]
fn roots_are_those_of_the_definition_at_every_size() {
    let all = leaves(SIZE);
    let (nodes, _) = stored(&all);
    for size in 0..=SIZE {
        let expected = naive(&all[..size as usize]);
        let (_, frontier) = stored(&all[..size as usize]);
        assert_eq!(tree_root(&all[..size as usize]), expected);
        assert_eq!(frontier.root(), expected);
        assert_eq!(frontier.size(), size);
        assert_eq!(root_at(&nodes, size), Ok(expected));
        assert_eq!(Frontier::load(&nodes, size), Ok(frontier));
    }
}

#[test]
fn every_inclusion_proof_verifies_and_no_other() {
    let all = leaves(SIZE);
    let (nodes, _) = stored(&all);
    for size in 1..=SIZE {
        let root = naive(&all[..size as usize]);
        for index in 0..size {
            let leaf = &all[index as usize];
            let proof = inclusion_proof(&nodes, index, size).expect("stored");
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()));
            assert!(verify_inclusion(&d("other"), index, size, &proof, &root).is_err());
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(verify_inclusion(leaf, other, size, &proof, &root).is_err());
            }
            bend(&proof, |bent| {
                verify_inclusion(leaf, index, size, bent, &root).is_err()
            });
        }
    }
}

#[test]
fn every_consistency_proof_verifies_and_no_other() {
    let all = leaves(SIZE);
    let (nodes, _) = stored(&all);
    let roots: Vec<Digest> = (0..=SIZE)
        .map(|size| naive(&all[..size as usize]))
        .collect();
    for new in 0..=SIZE {
        for old in 0..=new {
            let (old_root, new_root) = (&roots[old as usize], &roots[new as usize]);
            let proof = consistency_proof(&nodes, old, new).expect("stored");
            let verify = |old_root: &Digest, new_root: &Digest, proof: &[Digest]| {
                verify_consistency(old, old_root, new, new_root, proof)
            };
            assert_eq!(verify(old_root, new_root, &proof), Ok(()));
            assert!(verify(&d("other"), new_root, &proof).is_err());
            assert!(old == 0 || verify(old_root, &d("other"), &proof).is_err());
            bend(&proof, |bent| verify(old_root, new_root, bent).is_err());
        }
    }
}

#[test]
fn every_range_proof_verifies_and_no_other() {
    let all = leaves(33);
    let (nodes, _) = stored(&all);
    for size in [1, 2, 3, 7, 8, 13, 16, 33] {
        let root = naive(&all[..size as usize]);
        for first in 0..size {
            for count in 1..=size - first {
                let part = &all[first as usize..(first + count) as usize];
                let proof = range_proof(&nodes, first, count, size).expect("stored");
                assert_eq!(proof.is_empty(), count == size);
                assert_eq!(verify_range(part, first, size, &proof, &root), Ok(()));
                assert!(verify_range(part, first + 1, size, &proof, &root).is_err());
                assert!(
                    count == 1 || verify_range(&part[1..], first, size, &proof, &root).is_err()
                );
                bend(&proof, |bent| {
                    verify_range(part, first, size, bent, &root).is_err()
                });
            }
        }
    }
}

/// Flips a bit of each hash, leaves each out, doubles each, exchanges neighbours, adds one: all must be refused.
fn bend(proof: &[Digest], refused: impl Fn(&[Digest]) -> bool) {
    for i in 0..proof.len() {
        let mut bent = proof.to_vec();
        bent[i].0[i % 32] ^= 1 << (i % 8);
        assert!(refused(&bent), "flipped hash {i}");
        let mut bent = proof.to_vec();
        bent.remove(i);
        assert!(refused(&bent), "left out hash {i}");
        let mut bent = proof.to_vec();
        bent.insert(i, proof[i]);
        assert!(refused(&bent), "doubled hash {i}");
        if i + 1 < proof.len() && proof[i] != proof[i + 1] {
            let mut bent = proof.to_vec();
            bent.swap(i, i + 1);
            assert!(refused(&bent), "exchanged hash {i}");
        }
    }
    let mut bent = proof.to_vec();
    bent.push(d("one more"));
    assert!(refused(&bent), "one more hash");
    assert!(refused(&vec![d("long"); 1000]), "a thousand hashes");
}

#[test]
fn positions_that_no_tree_has_are_refused() {
    let root = d("root");
    let text = |found: Result<(), carnet_domain::log::merkle::ProofError>| {
        found.map_err(|e| e.to_string())
    };
    let why = |a: u64, b: u64| Err(format!("positions {a} and {b} do not fit a tree"));
    assert_eq!(text(verify_inclusion(&root, 0, 0, &[], &root)), why(0, 0));
    assert_eq!(text(verify_inclusion(&root, 5, 5, &[], &root)), why(5, 5));
    assert_eq!(text(verify_consistency(5, &root, 4, &root, &[])), why(5, 4));
    assert_eq!(text(verify_range(&[], 0, 5, &[], &root)), why(0, 5));
    assert_eq!(
        text(verify_range(&[root, root], u64::MAX, u64::MAX, &[], &root)),
        why(u64::MAX, u64::MAX)
    );
    assert!(verify_inclusion(&root, u64::MAX - 1, u64::MAX, &[root; 64], &root).is_err());
    assert!(verify_range(&[root], u64::MAX - 1, u64::MAX, &[root; 64], &root).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn larger_trees_prove_too(size in 1u64..3000, at in any::<proptest::sample::Index>(), older in any::<proptest::sample::Index>()) {
        let all = leaves(size);
        let (nodes, frontier) = stored(&all);
        let root = frontier.root();
        let index = at.index(size as usize) as u64;
        let proof = inclusion_proof(&nodes, index, size).expect("stored");
        prop_assert_eq!(verify_inclusion(&all[index as usize], index, size, &proof, &root), Ok(()));
        let old = older.index(size as usize) as u64;
        let proof = consistency_proof(&nodes, old, size).expect("stored");
        let old_root = root_at(&nodes, old).expect("stored");
        prop_assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
    }
}
