//! Prints what the hot operations of the formats cost on this machine: `cargo run --release --example measure_formats`.
//!
//! Figures for orientation, not a test: nothing depends on them.
#![expect(
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a measurement reads a clock and talks"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::{Digest, sha256, sha256_four, sha256_pair};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::{Backend, ParsedKey, PublicKey, SecretKey, verify_with};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::leaf::{EntrySeed, Expansion, Kind, Leaf, Slots, Subject, leaf_seed};
use carnet_domain::log::map::{PageMap, prove, update};
use carnet_domain::log::merkle::{Frontier, inclusion_proof, verify_inclusion};

fn main() {
    let code = Code::parse("86000110000200000000000000042").expect("a code");
    let seed = EntrySeed([7; 32]);
    let mut slots = Slots::new();
    slots.set(0, &code);
    slots.set(1, &code.model_id());
    (2..13).for_each(|slot| slots.set(slot, &Digest([slot; 32])));

    print("SHA-256 of 64 bytes", 1_000_000, |i| {
        sha256(&[&i.to_be_bytes(), &[0; 56]])
    });
    print("leaf seed", 1_000_000, |i| leaf_seed(&seed, i as u32));
    print("leaf seed expanded", 1_000_000, |i| {
        Expansion::of(&[i as u8; 32]).custody_secret()
    });
    let row = [1, 2, 3, 4].map(|n| Digest([n; 32]));
    print("hash of two", 1_000_000, |i| {
        sha256_pair(i as u8, &row[0], &row[1])
    });
    print("hash of four", 1_000_000, |i| sha256_four(i as u8, &row));
    print("slots of a leaf: expansion, 21 hashes", 100_000, |i| {
        slots.root(&leaf_seed(&seed, i as u32))
    });
    let build = |i: u64| {
        let expansion = Expansion::of(&leaf_seed(&seed, i as u32));
        Leaf {
            version: 0,
            kind: Kind::Register,
            key: Subject::robot(&code).key(),
            seq: i,
            prev: Digest::ZERO,
            t_ms: TimeMs(1_779_264_000_000),
            record_root: slots.root_under(&expansion),
            auth: expansion.auth(0, [0; 68]),
        }
    };
    print("leaf with slots, key, auth, bytes, hash", 100_000, |i| {
        build(i).hash()
    });
    let leaf = build(0).to_bytes();
    print("leaf decoded", 1_000_000, |_| Leaf::from_bytes(&leaf));
    let mut frontier = Frontier::new();
    print("tree append", 1_000_000, |i| {
        frontier.append(Digest([i as u8; 32])).len()
    });
    print("code to key", 1_000_000, |_| black_box(&code).to_key());
    print("code parsed", 1_000_000, |_| {
        Code::parse(black_box("86000110000200000000000000042"))
    });

    let secret = SecretKey::from_seed(&[1; 32]);
    let (public, message) = (secret.public(), [0; 150]);
    let signature = secret.sign(&message);
    print("Ed25519 sign", 10_000, |_| secret.sign(&message));
    print("Ed25519 verify, aws-lc", 10_000, |_| {
        verify_with(Backend::AwsLc, &public, &message, &signature)
    });
    print("Ed25519 verify, dalek", 5_000, |_| {
        verify_with(Backend::Dalek, &public, &message, &signature)
    });
    let parsed = ParsedKey::new(public);
    print("Ed25519 verify, parsed key", 10_000, |_| {
        parsed.verify(&message, &signature)
    });
    print("Ed25519 key enrolled", 5_000, |_| {
        PublicKey::enroll(*public.as_bytes())
    });

    tree(1 << 20);
    map(1_000_000, 10_000);
}

fn tree(size: u64) {
    let leaves: Vec<Digest> = (0..size).map(|i| sha256(&[&i.to_be_bytes()])).collect();
    let root = carnet_domain::log::merkle::tree_root(&leaves);
    let proof = inclusion_proof(&leaves[..], 12_345, size).expect("in memory");
    print("inclusion in 2^20 verified", 100_000, |_| {
        verify_inclusion(&leaves[12_345], 12_345, size, &proof, &root)
    });
}

fn map(count: u64, batch: u64) {
    let mut pages = PageMap::new();
    let mut took = u64::MAX;
    for start in (0..count + 20 * batch).step_by(batch as usize) {
        let values: BTreeMap<_, _> = (start..start + batch)
            .map(|i| (sha256(&[&i.to_be_bytes()]), Digest([1; 32])))
            .collect();
        let from = Instant::now();
        let (_, changed) = update(&pages, &values).expect("in memory");
        if count <= start {
            took = took.min(from.elapsed().as_nanos() as u64);
        }
        pages.extend(changed);
    }
    println!(
        "{:>9} ns  map insert, {batch} at once into {count} keys",
        took / batch
    );
    let root = carnet_domain::log::map::root(&pages).expect("in memory");
    let key = sha256(&[&7u64.to_be_bytes()]);
    print("map proof made", 20_000, |_| prove(&pages, &key));
    let proof = prove(&pages, &key).expect("in memory");
    print("map proof verified", 100_000, |_| proof.verify(&root, &key));
}

/// The best of ten rounds, so that a busy machine shows less.
fn print<T>(what: &str, count: u64, mut run: impl FnMut(u64) -> T) {
    let round = |_| {
        let from = Instant::now();
        for i in 0..count / 10 {
            black_box(run(i));
        }
        from.elapsed().as_nanos() as u64 * 10 / count
    };
    let best = (0..10).map(round).min().expect("ten rounds");
    println!("{best:>9} ns  {what}");
}
