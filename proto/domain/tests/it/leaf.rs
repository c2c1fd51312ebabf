//! Leaves and slots: the formulas of the design, written out a second time; hiding, showing, tampering.

use carnet_domain::digest::{Digest, hmac_sha256, sha256};
use carnet_domain::encoding::Canonical;
use carnet_domain::leaf::{
    Disclosure, EntrySeed, Kind, SlotError, SlotView, Slots, Subject, auth, custody_secret,
    leaf_seed, personal_commitment, slot_names, slot_salt,
};
use proptest::prelude::*;

use crate::values::{self, d, flips};

/// The root of sixteen slots as the design draws it.
fn naive_root(slots: &Slots, seed: &[u8; 32]) -> Digest {
    fn tree(row: &[Digest]) -> Digest {
        match row {
            [one] => *one,
            _ => {
                let (left, right) = row.split_at(row.len() / 2);
                sha256(&[&[0x05], &tree(left).0, &tree(right).0])
            }
        }
    }
    let row: Vec<Digest> = (0u8..16)
        .map(|slot| {
            let salt = hmac_sha256(seed, &[&[slot]]);
            let value = slots.values[usize::from(slot)]
                .clone()
                .unwrap_or(vec![0xf6]);
            sha256(&[&[0x04], &[slot], &salt.0[..16], &value])
        })
        .collect();
    tree(&row)
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
    let seed = leaf_seed(&EntrySeed(d("entry").0), 3);
    assert_eq!(seed, hmac_sha256(&d("entry").0, &[&[0, 0, 0, 3]]).0);
    let salt = hmac_sha256(&seed, &[&[0x10]]).0;
    let expected = sha256(&[&[0x07, 2], &d("D").0, &salt[..16]]);
    assert_eq!(auth(2, d("D"), &seed), expected);
    assert_eq!(
        custody_secret(&seed),
        hmac_sha256(&seed, &[b"carnet-custody-secret/1"])
    );
    let value = "a name".to_owned();
    let expected = sha256(&[&[0x06], &[9; 16], &value.to_bytes()]);
    assert_eq!(personal_commitment(&[9; 16], &value), expected);
    let subject = Subject::new(carnet_domain::leaf::SubjectType::Robot, "86");
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
    let view = |name: &str| slots.disclose(&d(name).0, &[]).slots[1].clone();
    assert_ne!(view("one"), view("other"));
    assert!(matches!(view("one"), SlotView::Hidden(hash) if hash != Digest::ZERO));
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
        assert_ne!(carnet_domain::leaf::leaf_bytes_hash(&other), hash);
    }
}

#[test]
fn robot_kinds_use_every_slot_and_a_map_head_uses_none() {
    let used = |kind| slot_names(kind).iter().flatten().count();
    assert_eq!(used(Kind::Register), 16);
    assert_eq!(used(Kind::Custody), 16);
    assert_eq!(used(Kind::Model), 4);
    assert_eq!(used(Kind::MapHead), 0);
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
        for (slot, view) in (0u8..).zip(slots.disclose(&seed, &shown).slots.iter()) {
            if let SlotView::Shown { salt, .. } = view {
                prop_assert_eq!(*salt, slot_salt(&seed, slot));
            }
        }
    }
}
