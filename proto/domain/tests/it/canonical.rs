//! One value ⇔ one byte string, for every type of the formats; and bytes that are refused, with the reason.

use carnet_domain::bytes::encoding::{Blob, Canonical, well_formed};
use carnet_domain::bytes::letters::forbidden;
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::log::leaf::{EntrySeed, Kind, Subject, SubjectType};
use carnet_domain::log::map::{MapEnd, MapProof, MapValue, RobotStatus, SubjectStatus};
use carnet_domain::log::merkle::Frontier;
use proptest::prelude::*;

use crate::values::{self, one_form};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_have_one_form(n in values::uint(), small in any::<u8>(), yes in any::<bool>()) {
        one_form(&n);
        one_form(&small);
        one_form(&yes);
        one_form(&Some(n));
        one_form(&None::<u64>);
    }

    #[test]
    fn texts_and_bytes_have_one_form(text in ".{0,30}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        // A table says which code points no text may contain.
        let text: String = text.chars().filter(|c| forbidden(&c.to_string()).is_none()).collect();
        one_form(&text);
        one_form(&Blob(bytes));
    }

    #[test]
    fn code_types_have_one_form(code in values::code(), model in values::model()) {
        one_form(&code);
        one_form(&code.prefix());
        one_form(&code.enterprise_id());
        one_form(&code.enterprise_id().enterprise());
        one_form(&code.serial());
        one_form(&model);
        one_form(&model.model());
    }

    #[test]
    fn leaves_have_one_form(leaf in values::leaf(), seed in any::<[u8; 32]>(), t in values::uint()) {
        one_form(&leaf);
        one_form(&EntrySeed(seed));
        one_form(&leaf.t_ms);
        one_form(&DurationMs(t));
        // Bundles of entries have length prefixes of 16 bits.
        prop_assert!(leaf.to_bytes().len() <= usize::from(u16::MAX));
    }

    #[test]
    fn slots_and_disclosures_have_one_form(slots in values::slots(), seed in any::<[u8; 32]>(), mask in any::<u16>()) {
        let shown: Vec<u8> = (0..16).filter(|i| mask >> i & 1 == 1).collect();
        one_form(&slots);
        one_form(&slots.disclose(&seed, &shown));
    }

    #[test]
    fn headers_and_envelopes_have_one_form(header in values::header(), envelope in values::envelope()) {
        one_form(&header);
        one_form(&header.key);
        one_form(&envelope);
    }

    #[test]
    fn keys_and_signatures_have_one_form(seed in any::<[u8; 32]>(), signature in values::signature()) {
        one_form(&SecretKey::from_seed(&seed).public());
        one_form(&signature);
    }

    #[test]
    fn tree_and_map_types_have_one_form(
        count in 0u64..40,
        value in (any::<u8>(), values::number(), values::number(), values::digest(), values::digest()),
        siblings in proptest::collection::vec(values::digest(), 0..5),
        end in proptest::option::of((values::digest(), values::digest())),
    ) {
        let mut frontier = Frontier::new();
        for i in 0..count {
            for node in frontier.append(values::d(i)) {
                one_form(&node);
            }
        }
        one_form(&frontier);
        let (status, seq, leaf_index, leaf_hash, facts) = value;
        one_form(&MapValue { status, seq, leaf_index, leaf_hash, facts });
        let end = end.map_or(MapEnd::Empty, |(key, value)| MapEnd::Leaf { key, value });
        one_form(&MapProof { siblings, end });
    }

    #[test]
    fn checkpoints_and_records_have_one_form(
        prefix in values::prefix(), n in values::number(), root in values::digest(), record in values::identity(),
    ) {
        let origin = Origin { prefix, incarnation: n };
        one_form(&origin);
        one_form(&Checkpoint { origin, size: n, root });
        one_form(&record);
    }

    #[test]
    fn no_bytes_at_all_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if well_formed(&bytes).is_ok() {
            prop_assert!(!bytes.is_empty());
        }
        let _ = carnet_domain::log::leaf::Leaf::from_bytes(&bytes);
        let _ = carnet_domain::log::leaf::Disclosure::from_bytes(&bytes);
        let _ = carnet_domain::log::authority::Envelope::from_bytes(&bytes);
        let _ = carnet_domain::log::map::Page::from_bytes(&bytes);
        let _ = carnet_domain::log::map::PagePath::from_bytes(&bytes);
        let _ = carnet_domain::log::passport::parse(&bytes);
        let _ = carnet_domain::log::checkpoint::peek(&String::from_utf8_lossy(&bytes));
        let _ = PublicKey::from_bytes(&bytes);
    }
}

#[test]
fn enumerations_have_one_form() {
    Kind::ALL.iter().for_each(one_form);
    SubjectType::ALL.iter().for_each(one_form);
    RobotStatus::ALL.iter().for_each(one_form);
    SubjectStatus::ALL.iter().for_each(one_form);
    assert_eq!(Kind::ALL.len(), 27);
    let letters: String = SubjectType::ALL.iter().map(|t| t.letter()).collect();
    assert_eq!(letters, "REMCAPKODJH");
    one_form(&Subject::new(SubjectType::Recall, "86-2026-0001"));
}

/// What the decoder says about bytes, as a value of any type.
fn check(hex: &str, expected: &str) {
    let bytes = hex::decode(hex).expect("hex");
    let found = match well_formed(&bytes) {
        Ok(()) => "canonical".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{hex}");
}

#[test]
fn bytes_that_are_not_canonical_are_refused_with_their_place() {
    check("00", "canonical");
    check("1b0000000100000000", "canonical");
    check("8301820203f6", "canonical");
    check("", "byte 0: the bytes end inside a value");
    check(
        "1817",
        "byte 0: an integer or length is not in its shortest form",
    );
    check(
        "1900ff",
        "byte 0: an integer or length is not in its shortest form",
    );
    check(
        "1a0000ffff",
        "byte 0: an integer or length is not in its shortest form",
    );
    check(
        "1b00000000ffffffff",
        "byte 0: an integer or length is not in its shortest form",
    );
    check(
        "581700",
        "byte 0: an integer or length is not in its shortest form",
    );
    check(
        "20",
        "byte 0: initial byte 0x20 is not allowed in canonical form",
    );
    check(
        "a0",
        "byte 0: initial byte 0xa0 is not allowed in canonical form",
    );
    check(
        "c11a00000000",
        "byte 0: initial byte 0xc1 is not allowed in canonical form",
    );
    check(
        "f97c00",
        "byte 0: initial byte 0xf9 is not allowed in canonical form",
    );
    check(
        "fb0000000000000000",
        "byte 0: initial byte 0xfb is not allowed in canonical form",
    );
    check(
        "f7",
        "byte 0: initial byte 0xf7 is not allowed in canonical form",
    );
    check(
        "f817",
        "byte 0: initial byte 0xf8 is not allowed in canonical form",
    );
    check(
        "5f4100ff",
        "byte 0: initial byte 0x5f is not allowed in canonical form",
    );
    check(
        "7f6161ff",
        "byte 0: initial byte 0x7f is not allowed in canonical form",
    );
    check(
        "9f00ff",
        "byte 0: initial byte 0x9f is not allowed in canonical form",
    );
    check(
        "81ff",
        "byte 1: initial byte 0xff is not allowed in canonical form",
    );
    check("61ff", "byte 0: a text is not UTF-8");
    check("62c328", "byte 0: a text is not UTF-8");
    check("0000", "byte 1: 1 bytes follow the value");
    check("4201", "byte 1: the bytes end inside a value");
    check("8200", "byte 0: the bytes end inside a value");
    check("5bffffffffffffffff", "byte 9: the bytes end inside a value");
    check("9bffffffffffffffff", "byte 0: the bytes end inside a value");
    check("9a00ffffff", "byte 0: the bytes end inside a value");
    check(&format!("{}00", "81".repeat(24)), "canonical");
    check(
        &format!("{}00", "81".repeat(25)),
        "byte 24: arrays nest deeper than 24",
    );
}

#[test]
fn slots_refuse_a_second_form_of_null() {
    let mut bytes = vec![0x90, 0x41, 0xf6];
    bytes.extend([0xf6; 15]);
    let found = carnet_domain::log::leaf::Slots::from_bytes(&bytes).map_err(|e| e.to_string());
    assert_eq!(found, Err("byte 1: null inside a byte string".to_owned()));
}
