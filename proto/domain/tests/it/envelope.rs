//! Envelopes: one signature over thousands of items, one item shown alone, nothing exchanged unnoticed.

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::Signature;
use carnet_domain::log::authority::{Envelope, SignedHeader, item_root, verify_header_in_log};
use carnet_domain::log::leaf::{Expansion, leaf_bytes_hash};
use carnet_domain::log::merkle::range_proof;

use crate::values::{d, flips, key};

fn items(count: u64) -> Vec<Blob> {
    (0..count)
        .map(|i| Blob((i, format!("item {i}")).to_bytes()))
        .collect()
}

fn header(items: &[Blob]) -> SignedHeader {
    SignedHeader {
        prefix: carnet_domain::bytes::code::Prefix::new("86").expect("a prefix"),
        incarnation: 0,
        key: key("maker").public().key_id(),
        session: 7,
        sequence: 1,
        not_after: carnet_domain::bytes::time::TimeMs(1_800_000_000_000),
        kind: 4,
        item_count: items.len() as u32,
        part_items: items.len() as u32,
        item_root: item_root(items.iter().map(|item| &item.0[..])),
    }
}

fn signed(header: &SignedHeader) -> (Vec<u8>, Signature) {
    (
        header.to_bytes(),
        key("maker").sign(&header.signing_bytes()),
    )
}

/// What becomes of items `first..end` of a request of `count`.
fn check(count: u64, first: usize, end: usize, expected: &str) {
    let all = items(count);
    let mut header = header(&all);
    header.part_items = (end - first) as u32;
    let (bytes, signature) = signed(&header);
    let hashes: Vec<Digest> = all.iter().map(|item| leaf_bytes_hash(&item.0)).collect();
    let proof = range_proof(&hashes[..], first as u64, (end - first) as u64, count);
    let proof = proof.expect("in memory");
    let part = all[first..end].to_vec();
    let header =
        verify_header_in_log(&bytes, &signature, &key("maker").public(), false).expect("signed");
    let found = match header.items(first as u32, part.clone(), &proof) {
        Ok(found) => format!("{} items from {}", found.items().len(), found.first_item()),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected);
    // The same items one place further, or one item exchanged, are refused.
    assert!(
        header
            .items(first as u32 + 1, part.clone(), &proof)
            .is_err()
    );
    let mut exchanged = part;
    exchanged[0] = Blob(9u64.to_bytes());
    assert!(header.items(first as u32, exchanged, &proof).is_err());
}

#[test]
fn items_are_proven_at_their_place() {
    check(1, 0, 1, "1 items from 0");
    check(5, 0, 5, "5 items from 0");
    check(5, 4, 5, "1 items from 4");
    check(1000, 256, 512, "256 items from 256");
    check(1000, 999, 1000, "1 items from 999");
}

#[test]
fn all_items_need_no_proof() {
    let all = items(77);
    let hashes: Vec<Digest> = all.iter().map(|item| leaf_bytes_hash(&item.0)).collect();
    assert_eq!(range_proof(&hashes[..], 0, 77, 77), Ok(vec![]));
}

#[test]
fn the_signed_bytes_are_domain_separated() {
    let header = header(&items(1));
    let expected = [b"carnet-command/1", &header.to_bytes()[..]].concat();
    assert_eq!(header.signing_bytes(), expected);
    let bare = key("maker").sign(&header.to_bytes());
    let found = verify_header_in_log(&header.to_bytes(), &bare, &key("maker").public(), false);
    assert_eq!(
        found.map_err(|e| e.to_string()).err().as_deref(),
        Some("the command signature does not verify")
    );
}

#[test]
fn every_flipped_bit_of_header_or_signature_is_refused() {
    let (bytes, signature) = signed(&header(&items(3)));
    let public = key("maker").public();
    assert!(verify_header_in_log(&bytes, &signature, &public, false).is_ok());
    for other in flips(&bytes) {
        assert!(verify_header_in_log(&other, &signature, &public, false).is_err());
    }
    for other in flips(&signature.0) {
        let other = Signature::of_slice(&other).expect("64 bytes");
        assert!(verify_header_in_log(&bytes, &other, &public, false).is_err());
    }
    assert!(verify_header_in_log(&bytes, &signature, &key("other").public(), false).is_err());
}

#[test]
fn a_header_over_no_items_or_too_many_is_refused() {
    for count in [0, 10_001] {
        let mut header = header(&items(1));
        header.item_count = count;
        let (bytes, signature) = signed(&header);
        let found = verify_header_in_log(&bytes, &signature, &key("maker").public(), false);
        let found = found.map_err(|e| e.to_string()).err();
        assert_eq!(
            found,
            Some(format!("{count} items, allowed are 1 to 10000"))
        );
    }
}

#[test]
fn the_digest_of_an_item_is_that_of_the_design() {
    let all = items(3);
    let (bytes, signature) = signed(&header(&all));
    let envelope = Envelope::Actor {
        header: Blob(bytes.clone()),
        signature,
        first_item: 1,
        items: all[1..].to_vec(),
        range_proof: vec![],
    };
    let expected = [
        &sha256(&[&bytes, &signature.0]).0[..],
        &[0, 0, 0, 2],
        &leaf_bytes_hash(&all[2].0).0,
    ]
    .concat();
    let authority = envelope.authority(2).expect("there");
    assert_eq!(authority.as_bytes(), expected);
    assert_eq!(
        authority.auth(&[1; 32]),
        Expansion::of(&[1; 32]).auth(0, expected)
    );
    for absent in [0, 3] {
        let found = envelope.authority(absent).map_err(|e| e.to_string());
        assert_eq!(found, Err(format!("the envelope has no item {absent}")));
    }
    let system = Envelope::System {
        rule: 1,
        cause: Blob(d("cause").to_bytes()),
    };
    let authority = system.authority(0).expect("there");
    assert_eq!(authority.as_bytes(), &sha256(&[&system.to_bytes()]).0);
    assert_eq!(authority.class(), 2);
}
