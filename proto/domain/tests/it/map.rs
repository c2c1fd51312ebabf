//! The map against its definition: any batches give the same root, presence and absence are proven, nothing else is.

use std::collections::BTreeMap;

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::map::{
    MapAnswer, MapEnd, MapFault, MapProof, MapValue, Page, PageMap, PagePath, WalkFault, prove,
    recompute, root, update,
};
use proptest::prelude::*;

use crate::values::{self, d, flips};

/// The root by the definition: empty, one leaf, or two halves.
fn naive(entries: &[(Digest, Digest)], depth: usize) -> Digest {
    match entries {
        [] => Digest([0; 32]),
        [(key, value)] => sha256(&[&[0x02], &key.0, &value.0]),
        _ => {
            let middle =
                entries.partition_point(|(key, _)| key.0[depth / 8] >> (7 - depth % 8) & 1 == 0);
            let (left, right) = entries.split_at(middle);
            sha256(&[
                &[0x03],
                &naive(left, depth + 1).0,
                &naive(right, depth + 1).0,
            ])
        }
    }
}

fn naive_root(all: &BTreeMap<Digest, Digest>) -> Digest {
    naive(&all.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>(), 0)
}

/// Keys that share long beginnings: three bits decide early, one byte in the middle, two bits at the very end.
fn close_key() -> impl Strategy<Value = Digest> {
    (0u8..8, 0u8..3, 0u8..4).prop_map(|(first, middle, last)| {
        let mut key = [0; 32];
        (key[0], key[17], key[31]) = (first << 5, middle, last);
        Digest(key)
    })
}

fn any_key() -> impl Strategy<Value = Digest> {
    prop_oneof![close_key(), values::digest(), (0u8..40).prop_map(d)]
}

type Batch = BTreeMap<Digest, Digest>;

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let batch = proptest::collection::btree_map(any_key(), values::digest(), 0..12);
    proptest::collection::vec(batch, 0..6)
}

/// Applies a batch as a store does, with pages going through their bytes.
fn apply(pages: &mut PageMap, batch: &Batch) -> Digest {
    let (root, changed) = update(pages, batch).expect("in memory");
    for (path, page) in changed {
        let path = PagePath::from_bytes(&path.to_bytes()).expect("a path");
        let page = Page::from_bytes(&page.to_bytes()).expect("a page");
        pages.insert(path, page);
    }
    root
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batches_give_the_root_of_the_definition(batches in batches()) {
        let (mut pages, mut all) = (PageMap::new(), Batch::new());
        for batch in &batches {
            let found = apply(&mut pages, batch);
            all.extend(batch.iter().map(|(k, v)| (*k, *v)));
            prop_assert_eq!(found, naive_root(&all));
            prop_assert_eq!(root(&pages), Ok(found));
            prop_assert_eq!(recompute(&pages), Ok(found));
        }
        let mut at_once = PageMap::new();
        prop_assert_eq!(apply(&mut at_once, &all), naive_root(&all));
        prop_assert_eq!(at_once, pages);
    }

    #[test]
    fn presence_and_absence_are_proven(batches in batches(), asked in proptest::collection::vec(any_key(), 8)) {
        let (mut pages, mut all) = (PageMap::new(), Batch::new());
        for batch in &batches {
            apply(&mut pages, batch);
            all.extend(batch.iter().map(|(k, v)| (*k, *v)));
        }
        let root = naive_root(&all);
        for key in asked.iter().chain(all.keys()) {
            let proof = prove(&pages, key).expect("in memory");
            let expected = all.get(key).map_or(MapAnswer::Absent, |value| MapAnswer::Present(*value));
            prop_assert_eq!(proof.verify(&root, key), Ok(expected));
            prop_assert!(proof.verify(&d("another root"), key).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pages that stay in memory know what is beside a change, pages that were stored do not: both come to the same.
    #[test]
    fn a_page_that_stayed_in_memory_sums_up_as_one_that_was_stored(batches in batches()) {
        let (mut stay, mut stored) = (PageMap::new(), PageMap::new());
        for batch in &batches {
            let (root, changed) = update(&stay, batch).expect("in memory");
            stay.extend(changed);
            prop_assert_eq!(apply(&mut stored, batch), root);
            prop_assert_eq!(&stay, &stored);
            prop_assert_eq!(recompute(&stay), Ok(root));
        }
    }
}

fn filled(count: u64) -> (PageMap, Digest) {
    let mut pages = PageMap::new();
    let root = apply(
        &mut pages,
        &(0..count)
            .map(|i| (d(i), d(format!("value {i}"))))
            .collect(),
    );
    (pages, root)
}

#[test]
fn every_flipped_bit_of_a_proof_is_refused() {
    let (pages, root) = filled(100);
    let absent: Vec<Digest> = (1000..1020).map(d).collect();
    let ends: Vec<MapEnd> = absent
        .iter()
        .map(|key| prove(&pages, key).expect("in memory").end)
        .collect();
    assert!(ends.contains(&MapEnd::Empty) && ends.iter().any(|end| *end != MapEnd::Empty));
    for key in absent.iter().chain([&d(0), &d(99)]) {
        let proof = prove(&pages, key).expect("in memory");
        assert!(proof.verify(&root, key).is_ok());
        for other in flips(&proof.to_bytes()) {
            if let Ok(other) = MapProof::from_bytes(&other) {
                assert!(other.verify(&root, key).is_err());
            }
        }
        for i in 0..proof.siblings.len() {
            let mut shorter = proof.clone();
            shorter.siblings.remove(i);
            assert!(shorter.verify(&root, key).is_err());
        }
    }
}

#[test]
fn a_proof_for_one_key_says_nothing_of_another() {
    let (pages, root) = filled(50);
    let keys: Vec<Digest> = (0..60).map(d).collect();
    for proven in &keys {
        let proof = prove(&pages, proven).expect("in memory");
        for key in keys.iter().filter(|key| *key != proven) {
            // Where two ways end in the same place, the proof is one for both; then it must tell the truth of both.
            let index = keys
                .iter()
                .position(|k| k == key)
                .expect("a key of the list");
            let truth = if index < 50 {
                MapAnswer::Present(d(format!("value {index}")))
            } else {
                MapAnswer::Absent
            };
            match proof.verify(&root, key) {
                Ok(answer) => assert_eq!(answer, truth),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn a_leaf_off_the_way_proves_no_absence() {
    let (pages, root) = filled(50);
    let mut proof = prove(&pages, &d(3)).expect("in memory");
    proof.end = MapEnd::Leaf {
        key: d(4),
        value: d("value 4"),
    };
    let found = proof.verify(&root, &d(3)).map_err(|e| e.to_string());
    assert_eq!(
        found,
        Err("the leaf shown does not lie on the way to the key".to_owned())
    );
    proof.siblings = vec![d(0); 257];
    let found = proof.verify(&root, &d(3)).map_err(|e| e.to_string());
    assert_eq!(
        found,
        Err("the map proof has 257 siblings, a key has 256 bits".to_owned())
    );
}

#[test]
fn the_empty_map_and_a_single_leaf_prove_too() {
    let mut pages = PageMap::new();
    let proof = prove(&pages, &d(1)).expect("in memory");
    assert_eq!(
        proof,
        MapProof {
            siblings: vec![],
            end: MapEnd::Empty
        }
    );
    assert_eq!(proof.verify(&Digest::ZERO, &d(1)), Ok(MapAnswer::Absent));
    let root = apply(&mut pages, &Batch::from([(d(1), d("v"))]));
    assert_eq!(root, sha256(&[&[0x02], &d(1).0, &d("v").0]));
    let proof = prove(&pages, &d(2)).expect("in memory");
    assert_eq!(proof.verify(&root, &d(2)), Ok(MapAnswer::Absent));
    assert_eq!(proof.verify(&root, &d(1)), Ok(MapAnswer::Present(d("v"))));
}

#[test]
fn a_batch_touches_each_page_once_and_only_its_own() {
    let (pages, _) = filled(5000);
    let (_, changed) = update(&pages, &Batch::from([(d(7), d("new"))])).expect("in memory");
    let depths: Vec<u8> = changed.keys().map(PagePath::depth).collect();
    assert_eq!(depths, (0..depths.len() as u8).collect::<Vec<_>>());
    assert!(depths.len() <= 6, "{depths:?}");
    let (root_before, changed) = update(&pages, &Batch::new()).expect("in memory");
    assert_eq!(Ok(root_before), root(&pages));
    assert!(changed.is_empty());
}

#[test]
fn a_missing_page_is_a_fault_and_not_an_absence() {
    let (mut pages, _) = filled(5000);
    let lost = *pages
        .keys()
        .find(|path| path.depth() == 2)
        .expect("a page at depth 2");
    pages.remove(&lost);
    let faults: Vec<_> = (0..5000)
        .filter_map(|i| prove(&pages, &d(i)).err())
        .collect();
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|fault| *fault == MapFault::Missing(lost)));
}

#[test]
fn every_page_takes_part_in_the_root_that_is_computed_anew() {
    let (pages, expected) = filled(300);
    assert_eq!(recompute(&pages), Ok(expected));
    assert_eq!(recompute(&PageMap::new()), Ok(Digest([0; 32])));
    for path in pages.keys().filter(|path| **path != PagePath::ROOT) {
        let mut without = pages.clone();
        without.remove(path);
        assert_eq!(
            recompute(&without),
            Err(WalkFault::Map(MapFault::Missing(*path)))
        );
        let mut bytes = pages[path].to_bytes();
        *bytes.last_mut().expect("bytes") ^= 1;
        let mut altered = pages.clone();
        altered.insert(*path, Page::from_bytes(&bytes).expect("a page"));
        assert!(
            matches!(recompute(&altered), Err(WalkFault::Broken(_))),
            "{path:?}"
        );
        // Hashes alone do not say where a page stands: its keys do.
        let other = pages.keys().find(|other| {
            other.depth() == path.depth() && *other != path && **other != PagePath::ROOT
        });
        if let Some(other) = other {
            let mut swapped = pages.clone();
            swapped.insert(*path, pages[other].clone());
            assert!(
                matches!(recompute(&swapped), Err(WalkFault::Broken(_))),
                "{path:?}"
            );
        }
    }
}

#[test]
fn pages_and_paths_from_storage_have_one_form() {
    let (pages, _) = filled(300);
    for (path, page) in pages.iter().take(8) {
        for other in values::neighbours(&page.to_bytes()) {
            if let Ok(found) = Page::from_bytes(&other) {
                assert_eq!(found.to_bytes(), other);
            }
        }
        for other in values::neighbours(&path.to_bytes()) {
            if let Ok(found) = PagePath::from_bytes(&other) {
                assert_eq!(found.to_bytes(), other);
                assert_ne!(found, *path);
            }
        }
    }
}

#[test]
fn the_digest_of_a_value_is_that_of_the_design() {
    let value = MapValue {
        status: 5,
        seq: 2,
        leaf_index: 258,
        leaf_hash: d("leaf"),
        facts: Digest::ZERO,
    };
    let numbers = [5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2];
    let expected = sha256(&[b"carnet-map/1", &numbers, &d("leaf").0, &[0; 32]]);
    assert_eq!(value.digest(), expected);
}
