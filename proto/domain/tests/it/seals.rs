//! Which entries end a batch, told from their bytes.

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{SecretKey, Signature};
use carnet_domain::machine::entry::{Body, Entry, Request};
use carnet_domain::record::keys::KeySignature;
use carnet_kit::{Country, befriend, transfer};

fn country() -> Country {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    let register = a.register(1);
    a.must("maker", register);
    let register = b.register(1);
    b.must("maker", register);
    let declare = b.declare(1, transfer(1), &a.prefix);
    b.must("maker", declare);
    b.deliver(&mut a);
    a.close();
    a
}

#[test]
fn an_entry_seals_by_its_bytes_as_by_its_body() {
    let country = country();
    let seals = country.entries.iter().filter(|entry| entry.body.is_seal());
    assert!(seals.count() > 0, "there is a seal");
    for entry in &country.entries {
        let bytes = entry.to_bytes();
        assert_eq!(
            Entry::seals(&bytes),
            entry.body.is_seal(),
            "{:?}",
            entry.body
        );
        // Cut anywhere it is no entry, and says so without a panic.
        for end in 0..bytes.len().min(64) {
            let cut = Entry::seals(&bytes[..end]);
            assert!(
                !cut || entry.body.is_seal(),
                "{end} bytes of {:?}",
                entry.body
            );
        }
    }
}

/// The last bytes of an entry are whoever's who sent it.
#[test]
fn an_entry_that_ends_like_a_seal_is_none() {
    let country = country();
    let last = country.entries.last().expect("an entry");
    let mut signature = [7; 64];
    signature[62..].copy_from_slice(&[0x81, 0x06]);
    let request = Request {
        header: Blob(Vec::new()),
        signature: Signature(signature),
        first_item: 0,
        items: vec![Blob(vec![0x81, 0x06])],
        range_proof: Vec::new(),
    };
    let bodies = [
        Body::Publish {
            size: 1,
            root: carnet_domain::bytes::digest::Digest::ZERO,
            signatures: vec![KeySignature {
                key: SecretKey::from_seed(&[1; 32]).public(),
                signature: Signature(signature),
            }],
        },
        Body::OpenSession {
            subject: "somebody".into(),
            opening: Blob(vec![0x81, 0x06]),
            signature: Signature(signature),
        },
        Body::Actor {
            subject: "somebody".into(),
            request,
        },
    ];
    for body in bodies {
        let entry = Entry {
            body,
            ..last.clone()
        };
        assert!(!Entry::seals(&entry.to_bytes()), "{:?}", entry.body);
    }
}
