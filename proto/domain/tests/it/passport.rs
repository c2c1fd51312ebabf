//! Signed records: one encoding, every flipped bit refused, other COSE objects refused.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::PASSPORT_CHAIN_MAX;
use carnet_domain::log::passport::{IdentityRecord, assemble, parse, sign, to_be_signed};
use proptest::prelude::*;

use crate::values::{self, d, key, neighbours};

pub(crate) fn record() -> IdentityRecord {
    let code = Code::parse("86000110000200000000000000042").expect("a code");
    IdentityRecord {
        version: 1,
        code,
        model: code.model_id(),
        body: d("body"),
        manufactured: TimeMs(1_767_225_600_000),
        registered: TimeMs(1_779_264_000_000),
        registry: code.prefix(),
        leaf_hash: d("leaf"),
    }
}

pub(crate) fn chain() -> Vec<Vec<u8>> {
    vec![
        b"DER of the passport certificate".to_vec(),
        b"DER of the sub-CA".to_vec(),
    ]
}

fn check(bytes: &[u8], expected: &str) {
    let found = match parse(bytes) {
        Ok(parsed) => match parsed.verify_with(&key("passport").public()) {
            Ok(signed) => signed.record().code.to_string(),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected);
}

#[test]
fn a_signed_record_is_read_and_verified() {
    for chain in [chain(), chain()[..1].to_vec()] {
        let bytes = sign(&record(), &chain, &key("passport"));
        check(&bytes, "86000110000200000000000000042");
        let parsed = parse(&bytes).expect("signed");
        assert_eq!(*parsed.claimed(), record());
        assert_eq!(parsed.chain(), chain);
        let signature = key("passport").sign(&to_be_signed(&record(), &chain));
        assert_eq!(assemble(&record(), &chain, &signature), bytes);
        assert!(parsed.verify_with(&key("other").public()).is_err());
    }
}

#[test]
fn every_neighbour_of_a_signed_record_is_refused() {
    let bytes = sign(&record(), &chain(), &key("passport"));
    for other in neighbours(&bytes) {
        if let Ok(parsed) = parse(&other) {
            assert!(parsed.verify_with(&key("passport").public()).is_err());
        }
    }
}

#[test]
fn what_has_not_the_one_form_is_refused() {
    let form = "not a COSE_Sign1 in the one form of a signed record";
    let bytes = sign(&record(), &chain(), &key("passport"));
    check(&[], form);
    check(&bytes[1..], form);
    // The same object with an indefinite-length array, or with the tag in two bytes.
    assert_eq!(&bytes[..2], [0xd2, 0x84]);
    check(&[&[0xd2, 0x9f], &bytes[2..], &[0xff]].concat(), form);
    check(&[&[0xd8, 0x12], &bytes[1..]].concat(), form);
    check(
        &[0; 40_000],
        "40000 bytes, a signed record has at most 32768",
    );
    check(
        &sign(&record(), &[], &key("passport")),
        "0 certificates, a chain has 1 to 8",
    );
    check(
        &sign(&record(), &vec![vec![1]; 9], &key("passport")),
        "9 certificates, a chain has 1 to 8",
    );
    let mut other = record();
    other.version = 2;
    check(
        &sign(&other, &chain(), &key("passport")),
        "identity record of version 2, known is 1",
    );
    let mut other = record();
    other.model = Code::parse("86000110000300000000000000042")
        .expect("a code")
        .model_id();
    check(
        &sign(&other, &chain(), &key("passport")),
        "the record names model 860001100003, which is not that of its code",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_comes_back(record in values::identity(), der in proptest::collection::vec(any::<u8>(), 1..200)) {
        let bytes = sign(&record, &[der], &key("passport"));
        let parsed = parse(&bytes).expect("signed");
        let signed = parsed.verify_with(&key("passport").public()).expect("signed");
        prop_assert_eq!(signed.record(), &record);
    }
}

#[test]
fn a_chain_has_one_certificate_at_least_and_eight_at_most() {
    let of = |count| {
        let chain = vec![b"DER".to_vec(); count];
        parse(&sign(&record(), &chain, &key("passport"))).is_ok()
    };
    assert!(of(1) && !of(0));
    assert!(of(PASSPORT_CHAIN_MAX) && !of(PASSPORT_CHAIN_MAX + 1));
}
