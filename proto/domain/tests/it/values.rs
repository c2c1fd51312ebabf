//! Values to test with: strategies for proptest, and the one check of the canonical form.

use std::fmt::Debug;

use carnet_domain::bytes::code::{Code, ModelId, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{KeyId, SecretKey, Signature};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::authority::{Envelope, SignedHeader};
use carnet_domain::log::leaf::{Kind, Leaf, Slots};
use carnet_domain::log::passport::IdentityRecord;
use proptest::prelude::*;

/// A digest that names itself.
pub(crate) fn d(name: impl std::fmt::Display) -> Digest {
    sha256(&[name.to_string().as_bytes()])
}

pub(crate) fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(&d(name).0)
}

/// Asserts that a value has one byte string, and that no string one bit, one byte shorter or longer away has it too.
pub(crate) fn one_form<T: Canonical + Debug + PartialEq>(value: &T) {
    let bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
    assert_eq!(carnet_domain::bytes::encoding::well_formed(&bytes), Ok(()));
    for other in neighbours(&bytes) {
        if let Ok(found) = T::from_bytes(&other) {
            assert_ne!(found, *value, "two byte strings for one value");
            assert_eq!(
                found.to_bytes(),
                other,
                "a value is not written as it was read"
            );
        }
    }
}

/// Every string one bit away, every beginning, and some with a byte more.
pub(crate) fn neighbours(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let flips = flips(bytes);
    let cuts = (0..bytes.len()).map(|end| bytes[..end].to_vec());
    let longer = [0x00, 0xf6, 0x80].map(|byte| [bytes, &[byte]].concat());
    flips.chain(cuts).chain(longer)
}

/// Every string one bit away.
pub(crate) fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..8 * bytes.len()).map(|i| {
        let mut other = bytes.to_vec();
        other[i / 8] ^= 1 << (i % 8);
        other
    })
}

pub(crate) fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

pub(crate) fn prefix() -> impl Strategy<Value = Prefix> {
    "([0-9]{2}|[A-Z]{2})".prop_map(|text| Prefix::new(&text).expect("a prefix"))
}

pub(crate) fn code_text() -> impl Strategy<Value = String> {
    "([0-9]{29}|[A-Z]{2}[0-9A-Z]{27})"
}

pub(crate) fn code() -> impl Strategy<Value = Code> {
    code_text().prop_map(|text| Code::parse(&text).expect("a code"))
}

pub(crate) fn uint() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..=0x1_00ffu64,
        0xffff_fff0..=0x1_0000_0010u64,
        any::<u64>()
    ]
}

/// An index, a size, a sequence: 0 to 2^48.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    uint().prop_map(|value| value % ((1 << 48) + 1))
}

pub(crate) fn time() -> impl Strategy<Value = TimeMs> {
    prop_oneof![
        uint().prop_map(|ms| TimeMs(ms.min(TimeMs::MAX.as_ms()))),
        (0..=TimeMs::MAX.as_ms()).prop_map(TimeMs),
    ]
}

pub(crate) fn kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(Kind::ALL)
}

pub(crate) fn signature() -> impl Strategy<Value = Signature> {
    (any::<[u8; 32]>(), any::<[u8; 32]>())
        .prop_map(|(r, s)| Signature::of_slice(&[r, s].concat()).expect("64 bytes"))
}

pub(crate) fn leaf() -> impl Strategy<Value = Leaf> {
    let ids = (digest(), number(), digest(), time());
    (any::<u8>(), kind(), ids, digest(), digest()).prop_map(
        |(version, kind, (key, seq, prev, t_ms), record_root, auth)| Leaf {
            version,
            kind,
            key,
            seq,
            prev,
            t_ms,
            record_root,
            auth,
        },
    )
}

/// Canonical bytes of some value.
pub(crate) fn item() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        uint().prop_map(|v| v.to_bytes()),
        any::<bool>().prop_map(|v| v.to_bytes()),
        "[a-zß]{0,12}".prop_map(|v| v.to_bytes()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|v| Blob(v).to_bytes()),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(|parts| {
            let mut e = carnet_domain::bytes::encoding::Encoder::new();
            e.array(parts.len());
            parts.iter().for_each(|part| e.raw(part));
            e.finish()
        })
    })
}

pub(crate) fn slots() -> impl Strategy<Value = Slots> {
    proptest::collection::vec(proptest::option::of(item()), 16).prop_map(|values| Slots {
        values: values.try_into().expect("sixteen"),
    })
}

pub(crate) fn header() -> impl Strategy<Value = SignedHeader> {
    let numbers = (
        number(),
        number(),
        number(),
        time(),
        any::<u16>(),
        any::<u32>(),
        any::<u32>(),
    );
    (prefix(), any::<[u8; 16]>(), numbers, digest()).prop_map(|(prefix, key, n, item_root)| {
        let (incarnation, session, sequence, not_after, kind, item_count, part_items) = n;
        SignedHeader {
            prefix,
            incarnation,
            key: KeyId(key),
            session,
            sequence,
            not_after,
            kind,
            item_count,
            part_items,
            item_root,
        }
    })
}

pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    let blob = || proptest::collection::vec(any::<u8>(), 0..30).prop_map(Blob);
    let path = || proptest::collection::vec(digest(), 0..4);
    let items = proptest::collection::vec(item().prop_map(Blob), 0..3);
    prop_oneof![
        (header(), signature(), 0..10_000u32, items, path()).prop_map(
            |(header, signature, first_item, items, range_proof)| Envelope::Actor {
                header: Blob(header.to_bytes()),
                signature,
                first_item,
                items,
                range_proof,
            }
        ),
        (
            "[a-z/0-9]{0,12}",
            blob(),
            number(),
            leaf(),
            path(),
            slots(),
            any::<u16>()
        )
            .prop_map(|(origin, checkpoint, index, leaf, path, slots, mask)| {
                let shown: Vec<u8> = (0..16).filter(|i| mask >> i & 1 == 1).collect();
                Envelope::Foreign {
                    origin,
                    checkpoint,
                    index,
                    leaf: (mask != 0).then(|| Blob(leaf.to_bytes())),
                    path,
                    disclosed: (mask != 0).then(|| slots.disclose(&[7; 32], &shown)),
                }
            }),
        (any::<u16>(), blob()).prop_map(|(rule, cause)| Envelope::System { rule, cause }),
        (
            blob(),
            proptest::collection::vec((any::<[u8; 16]>().prop_map(KeyId), signature()), 0..3)
        )
            .prop_map(|(statement, signatures)| Envelope::Root {
                statement,
                signatures
            }),
    ]
}

pub(crate) fn identity() -> impl Strategy<Value = IdentityRecord> {
    (code(), digest(), time(), time(), prefix(), digest()).prop_map(
        |(code, body, manufactured, registered, registry, leaf_hash)| IdentityRecord {
            version: 1,
            code,
            model: code.model_id(),
            body,
            manufactured,
            registered,
            registry,
            leaf_hash,
        },
    )
}

pub(crate) fn model() -> impl Strategy<Value = ModelId> {
    code().prop_map(|code| code.model_id())
}
