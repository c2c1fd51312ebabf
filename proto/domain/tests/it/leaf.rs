//! Leaves and slots: the formulas of the design, written out a second time; hiding, showing, tampering.

use carnet_domain::bytes::digest::{Digest, keystream, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::leaf::{
    Disclosure, EntrySeed, Expansion, GROUPS, GroupView, SlotError, SlotView, Slots, Subject,
    SubjectType, leaf_seed, personal_commitment, slot_names,
};
use proptest::prelude::*;

use crate::values::{self, d, flips};

/// The root of sixteen slots as the design draws it.
fn naive_root(slots: &Slots, seed: &[u8; 32]) -> Digest {
    let stream: [u8; 256] = keystream(seed, 0);
    let row: Vec<Digest> = (0u8..16)
        .map(|slot| {
            let salt = &stream[16 * usize::from(slot)..][..16];
            let value = slots.values[usize::from(slot)]
                .clone()
                .unwrap_or(vec![0xf6]);
            sha256(&[&[0x04], &[slot], salt, &value])
        })
        .collect();
    let four = |hashes: [Digest; 4]| {
        let joined: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        sha256(&[&[0x05], &joined])
    };
    let groups = [[0, 1, 2, 12], [3, 8, 9, 15], [4, 5, 10, 14], [6, 7, 11, 13]];
    four(groups.map(|group| four(group.map(|slot: usize| row[slot]))))
}

fn sample() -> Slots {
    let mut slots = Slots::new();
    slots.set(0, &"86000110000200000000000000042".to_owned());
    slots.set(2, &d("body"));
    slots.set(5, &None::<u64>);
    slots.set(10, &7u64);
    slots
}

#[test]
fn the_formulas_are_those_of_the_design() {
    let stream: [u8; 128] = keystream(&d("entry").0, 0);
    for ordinal in 0u32..4 {
        let seed = leaf_seed(&EntrySeed(d("entry").0), ordinal);
        assert_eq!(seed, stream[32 * ordinal as usize..][..32]);
    }
    let last = keystream::<64>(&d("entry").0, u32::MAX / 2);
    assert_eq!(leaf_seed(&EntrySeed(d("entry").0), u32::MAX), last[32..]);
    let seed = leaf_seed(&EntrySeed(d("entry").0), 3);
    let (expansion, stream) = (Expansion::of(&seed), keystream::<320>(&seed, 0));
    let expected = sha256(&[&[0x07, 2], &d("D").0, &stream[256..272]]);
    assert_eq!(expansion.auth(2, d("D")), expected);
    assert_eq!(expansion.custody_secret().0, stream[288..]);
    let value = "a name".to_owned();
    let expected = sha256(&[&[0x06], &[9; 16], &value.to_bytes()]);
    assert_eq!(personal_commitment(&[9; 16], &value), expected);
    let subject = Subject::new(carnet_domain::log::leaf::SubjectType::Robot, "86");
    assert_eq!(subject.key(), sha256(&[b"carnet-key/1R86"]));
}

#[test]
fn a_shown_slot_has_its_value_and_a_hidden_one_has_none() {
    let seed = d("seed").0;
    let slots = sample();
    let root = slots.root(&seed);
    let disclosed = slots
        .disclose(&seed, &[0, 5, 10])
        .verify(&root)
        .expect("the same record");
    let code: Option<String> = disclosed.get(0).expect("shown");
    assert_eq!(code.as_deref(), Some("86000110000200000000000000042"));
    assert_eq!(disclosed.get::<u64>(5), Ok(None));
    assert_eq!(disclosed.get::<u64>(10), Ok(Some(7)));
    assert_eq!(disclosed.get::<Digest>(2), Err(SlotError::Hidden(2)));
    assert_eq!(disclosed.get::<u64>(16), Err(SlotError::NoSuchSlot(16)));
    let wrong = disclosed.get::<u64>(0).map_err(|e| e.to_string());
    assert_eq!(wrong, Err("slot 0 is not of the expected type".to_owned()));
    assert_eq!(disclosed.shown().collect::<Vec<_>>(), [0, 5, 10]);
}

#[test]
fn null_slots_of_two_leaves_look_different() {
    let slots = Slots::new();
    let hidden = |name: &str| slots.disclose(&d(name).0, &[]).groups.clone();
    for (one, other) in hidden("one").iter().zip(&hidden("other")) {
        assert_ne!(one, other);
        assert!(matches!(one, GroupView::Hidden(hash) if *hash != Digest::ZERO));
    }
    let beside = |name: &str| slots.disclose(&d(name).0, &[0]).view(1).cloned();
    assert_ne!(beside("one"), beside("other"));
    assert!(matches!(beside("one"), Some(SlotView::Hidden(hash)) if hash != Digest::ZERO));
}

/// What is handed on with less shown is what would have been disclosed so in the first place.
#[test]
fn a_disclosure_is_narrowed_without_the_seed() {
    let seed = d("seed").0;
    let slots = sample();
    let all: Vec<u8> = (0..16).collect();
    for less in [&[][..], &[0, 1, 2, 3, 8, 9, 12, 15], &[6], &[4, 5, 10, 14]] {
        let narrowed = slots.disclose(&seed, &all).narrowed(less);
        assert_eq!(narrowed, slots.disclose(&seed, less), "{less:?}");
    }
    // What was hidden stays so.
    let few = slots.disclose(&seed, &[0, 5]);
    assert_eq!(few.narrowed(&all), few);
    assert_eq!(few.narrowed(&[5, 10]), slots.disclose(&seed, &[5]));
}

#[test]
fn a_group_that_shows_nothing_is_one_hash_and_has_no_other_form() {
    let seed = d("seed").0;
    let disclosed = sample().disclose(&seed, &[3, 8, 9, 15]);
    let open = |view: &GroupView| matches!(view, GroupView::Open(_));
    let groups: Vec<bool> = disclosed.groups.iter().map(open).collect();
    assert_eq!(groups, [false, true, false, false]);
    // The same four slots, each behind its own hash: the root is the same, the bytes are not taken.
    let mut other = disclosed.clone();
    let shown = sample().disclose(&seed, &GROUPS[0]);
    let hidden = GROUPS[0].map(|slot| match shown.view(slot) {
        Some(SlotView::Shown { salt, value }) => {
            let value = value.clone().unwrap_or(vec![0xf6]);
            SlotView::Hidden(sha256(&[&[0x04, slot], salt, &value]))
        }
        hidden => panic!("slot {slot} is not shown: {hidden:?}"),
    });
    other.groups[0] = GroupView::Open(Box::new(hidden));
    assert_eq!(other.root(), disclosed.root());
    let refused = Disclosure::from_bytes(&other.to_bytes()).map_err(|error| error.to_string());
    let refused = refused.expect_err("a second form");
    assert!(
        refused.contains("a group that shows nothing is not one hash"),
        "{refused}"
    );
}

#[test]
fn every_flipped_bit_of_a_disclosure_is_refused() {
    let seed = d("seed").0;
    let root = sample().root(&seed);
    let bytes = sample().disclose(&seed, &[0, 2, 5]).to_bytes();
    for other in flips(&bytes) {
        if let Ok(disclosure) = Disclosure::from_bytes(&other) {
            assert!(disclosure.verify(&root).is_err());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_leaf_changes_its_hash() {
    let leaf = crate::vectors::sample_leaf();
    let hash = leaf.hash();
    for other in flips(&leaf.to_bytes()) {
        assert_ne!(carnet_domain::log::leaf::leaf_bytes_hash(&other), hash);
    }
}

#[test]
fn a_robots_leaf_uses_every_slot_and_a_map_head_uses_none() {
    let used = |subject| slot_names(subject).iter().flatten().count();
    assert_eq!(used(SubjectType::Robot), 16);
    assert_eq!(used(SubjectType::Model), 5);
    assert_eq!(used(SubjectType::Peer), 4);
    assert_eq!(used(SubjectType::MapHead), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_root_is_that_of_the_design_whatever_is_shown(
        slots in values::slots(), seed in any::<[u8; 32]>(), mask in any::<u16>(),
    ) {
        let root = naive_root(&slots, &seed);
        prop_assert_eq!(slots.root(&seed), root);
        let shown: Vec<u8> = (0..16).filter(|i| mask >> i & 1 == 1).collect();
        let disclosed = slots.disclose(&seed, &shown).verify(&root).expect("the same record");
        for slot in 0u8..16 {
            let value = &slots.values[usize::from(slot)];
            let expected = if shown.contains(&slot) { Ok(value.as_deref()) } else { Err(SlotError::Hidden(slot)) };
            prop_assert_eq!(disclosed.bytes(slot), expected);
        }
        prop_assert_eq!(disclosed.shown().collect::<Vec<_>>(), shown);
    }
}
