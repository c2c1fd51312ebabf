//! One rule for Ed25519: crafted keys and signatures on which verifiers are known to differ, and both back ends on all.

use carnet_domain::bytes::signature::{
    Backend, BadSignature, KeyError, ParsedKey, PublicKey, SecretKey, Signature, verify,
    verify_cofactored, verify_with,
};
use carnet_domain::bytes::together::Together;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

use crate::values::{d, flips, key};

/// `(2^255 - 19) - 1 … ` and beyond: encodings of y at or above p have a second, canonical form.
fn second_encodings(point: &EdwardsPoint) -> Vec<[u8; 32]> {
    let bytes = point.compress().0;
    let (sign, mut y) = (bytes[31] & 0x80, bytes);
    y[31] &= 0x7f;
    let mut out = Vec::new();
    // y + p fits into 255 bits only for y below 19.
    if y[1..].iter().all(|b| *b == 0) && y[0] < 19 {
        let mut high = [0xff; 32];
        high[0] = 0xed + y[0];
        high[31] = 0x7f | sign;
        out.push(high);
    }
    // A sign bit on x = 0 is a second form too.
    if *point == EdwardsPoint::identity() || y[0] == 0xec {
        let mut signed = bytes;
        signed[31] ^= 0x80;
        out.push(signed);
    }
    out
}

/// `S` for which `S·B = k·A`, as if `R` were nothing: what a holder of the key can make with any small-order `R`.
fn signature_with_r(seed: &[u8; 32], r: [u8; 32], nonce: Scalar, message: &[u8]) -> Signature {
    let secret = ExpandedSecretKey::from(seed);
    let public = SecretKey::from_seed(seed).public();
    let mut hash = Sha512::new();
    hash.update(r);
    hash.update(public.as_bytes());
    hash.update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let s = nonce + k * secret.scalar;
    Signature::of_slice(&[r, s.to_bytes()].concat()).expect("64 bytes")
}

/// The answer, which must be the same from every entrance.
fn answer(public: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    let found = verify(public, message, signature);
    assert_eq!(
        verify_with(Backend::AwsLc, public, message, signature),
        found,
        "{signature}"
    );
    assert_eq!(
        verify_with(Backend::Dalek, public, message, signature),
        found,
        "{signature}"
    );
    assert_eq!(
        ParsedKey::new(*public).verify(message, signature),
        found,
        "{signature}"
    );
    // What the strict rule takes, the rule of the log takes.
    if found.is_ok() {
        assert_eq!(verify_cofactored(public, message, signature), Ok(()));
    }
    found
}

#[test]
fn published_vectors_of_rfc_8032_hold() {
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ];
    for (seed, public, message, signature) in vectors {
        let bytes = |text| hex::decode(text).expect("hex");
        let secret = SecretKey::from_seed(&bytes(seed).try_into().expect("32 bytes"));
        assert_eq!(secret.public().to_string(), public);
        assert_eq!(secret.sign(&bytes(message)).to_string(), signature);
        assert_eq!(
            answer(
                &secret.public(),
                &bytes(message),
                &secret.sign(&bytes(message))
            ),
            Ok(())
        );
    }
}

#[test]
fn a_small_order_r_is_refused_by_both_back_ends() {
    let seed = d("key").0;
    let public = SecretKey::from_seed(&seed).public();
    for point in EIGHT_TORSION {
        let canonical = point.compress().0;
        for r in second_encodings(&point).into_iter().chain([canonical]) {
            let signature = signature_with_r(&seed, r, Scalar::ZERO, b"message");
            assert_eq!(answer(&public, b"message", &signature), Err(BadSignature));
        }
    }
    // Without our rule the one with R = identity would pass: the equation holds.
    let identity = EdwardsPoint::identity().compress().0;
    let signature = signature_with_r(&seed, identity, Scalar::ZERO, b"message");
    let dalek = ed25519_dalek::VerifyingKey::from_bytes(public.as_bytes()).expect("a key");
    let lax = ed25519_dalek::Signature::from_bytes(&signature.0);
    assert!(ed25519_dalek::Verifier::verify(&dalek, b"message", &lax).is_ok());
}

#[test]
fn an_r_with_torsion_is_refused_by_both_back_ends() {
    let seed = d("key").0;
    let public = SecretKey::from_seed(&seed).public();
    let nonce = Scalar::from(12_345u64);
    let plain = signature_with_r(&seed, (B * nonce).compress().0, nonce, b"message");
    assert_eq!(answer(&public, b"message", &plain), Ok(()));
    for torsion in EIGHT_TORSION
        .iter()
        .filter(|t| **t != EdwardsPoint::identity())
    {
        // The equation with cofactor holds here, the one without does not.
        let r = (B * nonce + torsion).compress().0;
        let signature = signature_with_r(&seed, r, nonce, b"message");
        assert_eq!(answer(&public, b"message", &signature), Err(BadSignature));
    }
}

/// A signature, and what becomes of it: by the strict rule, and by the one of the log.
pub(crate) struct Crafted {
    pub(crate) name: String,
    pub(crate) signature: Signature,
    pub(crate) strict: bool,
    pub(crate) in_log: bool,
}

/// What a holder of the key can make on which verifiers are known to differ.
pub(crate) fn crafted(seed: &[u8; 32], message: &[u8]) -> Vec<Crafted> {
    let nonce = Scalar::from(12_345u64);
    let r = B * nonce;
    let sign = |r: [u8; 32], nonce| signature_with_r(seed, r, nonce, message);
    let case = |name: &str, signature, strict, in_log| Crafted {
        name: name.to_owned(),
        signature,
        strict,
        in_log,
    };
    let plain = sign(r.compress().0, nonce);
    let mut all = vec![case("plain", plain, true, true)];
    for (at, torsion) in EIGHT_TORSION.iter().enumerate().skip(1) {
        let name = format!("R plus point {at} of small order");
        all.push(case(
            &name,
            sign((r + torsion).compress().0, nonce),
            false,
            true,
        ));
    }
    for (at, torsion) in EIGHT_TORSION.iter().enumerate() {
        let name = format!("R is point {at} of small order");
        let canonical = torsion.compress().0;
        all.push(case(&name, sign(canonical, Scalar::ZERO), false, false));
        for second in second_encodings(torsion) {
            let name = format!("{name}, in a second encoding");
            all.push(case(&name, sign(second, Scalar::ZERO), false, false));
        }
    }
    let mut high = plain;
    high.0[32..].copy_from_slice(&plus_order(&plain.0[32..], 1));
    all.push(case("S plus the order of the group", high, false, false));
    let wrong = sign((B * Scalar::from(12_346u64)).compress().0, nonce);
    all.push(case("R of another nonce", wrong, false, false));
    let other = signature_with_r(&d("another key").0, r.compress().0, nonce, message);
    all.push(case("of another key", other, false, false));
    all
}

/// `S` plus a multiple of the order of the group, little-endian.
fn plus_order(s: &[u8], times: u8) -> [u8; 32] {
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        .expect("hex");
    let mut out: [u8; 32] = s.try_into().expect("32 bytes");
    for _ in 0..times {
        let mut carry = 0u16;
        for (byte, add) in out.iter_mut().zip(&order) {
            carry += u16::from(*byte) + u16::from(*add);
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(carry, 0, "it fits into 32 bytes");
    }
    out
}

#[test]
fn the_rule_of_the_log_takes_what_the_strict_one_takes_and_torsion_in_r() {
    let seed = d("key").0;
    let public = SecretKey::from_seed(&seed).public();
    for case in crafted(&seed, b"message") {
        let strict = answer(&public, b"message", &case.signature).is_ok();
        let in_log = verify_cofactored(&public, b"message", &case.signature).is_ok();
        let found = (strict, in_log);
        assert_eq!(found, (case.strict, case.in_log), "{}", case.name);
    }
}

type Member = (PublicKey, Vec<u8>, Signature);

/// Signatures of three keys over messages of their own.
fn honest(count: u8) -> Vec<Member> {
    let keys = [key("one"), key("two"), key("three")];
    (0..count)
        .map(|at| {
            let (secret, message) = (&keys[usize::from(at % 3)], vec![at; usize::from(at) * 7]);
            let signature = secret.sign(&message);
            (secret.public(), message, signature)
        })
        .collect()
}

fn together(members: &[Member]) -> bool {
    let mut together = Together::default();
    for (key, message, signature) in members {
        together.add(key, message, signature);
    }
    together.hold()
}

#[test]
fn signatures_checked_together_and_singly_by_the_rule_of_the_log_agree() {
    let seed = d("key").0;
    let public = SecretKey::from_seed(&seed).public();
    for case in crafted(&seed, b"message") {
        let member = (public, b"message".to_vec(), case.signature);
        assert_eq!(
            together(std::slice::from_ref(&member)),
            case.in_log,
            "{} alone",
            case.name
        );
        // The same once more, and among honest ones, of few (one way to multiply) and of many (the other).
        for (count, at) in [(5, 0), (5, 5), (40, 17), (250, 200)] {
            let mut members = honest(count);
            members.insert(at, member.clone());
            members.push(member.clone());
            assert_eq!(
                together(&members),
                case.in_log,
                "{} at {at} of {count}",
                case.name
            );
        }
    }
}

/// Of others' making: what every verifier has to take or refuse, and what verifiers are known to differ on.
#[test]
fn signatures_made_by_others_are_judged_the_same_singly_and_together() {
    let mut seen = std::collections::BTreeMap::<(&str, bool), usize>::new();
    let lines = include_str!("ed25519.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(' ').collect();
        let [name, public, message, signature, said] = parts[..] else {
            panic!("{line}")
        };
        let bytes = |text: &str| match text {
            "-" => Vec::new(),
            text => hex::decode(text).expect("hex"),
        };
        let (public, message) = (PublicKey::enroll_slice(&bytes(public)), bytes(message));
        let taken = match (public, Signature::of_slice(&bytes(signature))) {
            (Ok(public), Some(signature)) => {
                let strict = answer(&public, &message, &signature).is_ok();
                let in_log = verify_cofactored(&public, &message, &signature).is_ok();
                assert_eq!(strict, in_log, "{name}");
                let member = (public, message, signature);
                for count in [0, 3, 40, 200] {
                    let mut members = honest(count);
                    members.insert(usize::from(count / 2), member.clone());
                    assert_eq!(together(&members), in_log, "{name} among {count}");
                }
                in_log
            }
            _ => false,
        };
        assert_eq!(taken, said == "valid", "{name}");
        *seen.entry((said, taken)).or_default() += 1;
    }
    let seen: Vec<_> = seen.into_iter().collect();
    assert_eq!(
        seen,
        [
            (("disputed", false), 12),
            (("invalid", false), 63),
            (("valid", true), 88)
        ]
    );
}

proptest! {
    #[test]
    fn a_key_and_its_signatures_are_those_of_the_standard(seed: [u8; 32], message: Vec<u8>) {
        use ed25519_dalek::Signer as _;
        let (ours, theirs) = (SecretKey::from_seed(&seed), ed25519_dalek::SigningKey::from_bytes(&seed));
        prop_assert_eq!(*ours.public().as_bytes(), theirs.verifying_key().to_bytes());
        prop_assert_eq!(ours.sign(&message).0, theirs.sign(&message).to_bytes());
    }
}

#[test]
fn of_signatures_checked_together_none_stands_for_another() {
    assert!(together(&[]));
    let members = honest(30);
    assert!(together(&members));
    let with = |change: &dyn Fn(&mut Vec<Member>)| {
        let mut members = members.clone();
        change(&mut members);
        together(&members)
    };
    assert!(with(&|them| them.reverse()));
    assert!(with(&|them| them.extend_from_within(..)));
    assert!(!with(&|them| {
        let signature = them[3].2;
        them[3].2 = them[4].2;
        them[4].2 = signature;
    }));
    assert!(!with(&|them| them[7].1.push(0)));
    assert!(!with(&|them| them[7].0 = them[8].0));
    // Two errors that cancel each other where every equation counts once.
    let shift = |signature: &mut Signature, by: Scalar| {
        let s: [u8; 32] = signature.0[32..].try_into().expect("32 bytes");
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).expect("reduced");
        signature.0[32..].copy_from_slice((s + by).as_bytes());
    };
    let by = Scalar::from(5u64);
    assert!(!with(&|them| {
        shift(&mut them[0].2, by);
        shift(&mut them[3].2, -by);
    }));
    for at in [0, 31, 32, 63] {
        assert!(!with(&|them| them[29].2.0[at] ^= 1), "byte {at}");
    }
}

#[test]
fn an_s_that_is_not_reduced_is_refused_by_both_back_ends() {
    // The order of the group, little-endian.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        .expect("hex");
    let secret = key("key");
    let mut signature = secret.sign(b"message");
    for _ in 0..15 {
        let mut carry = 0u16;
        for (byte, add) in signature.0[32..].iter_mut().zip(&order) {
            carry += u16::from(*byte) + u16::from(*add);
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            break;
        }
        assert_eq!(
            answer(&secret.public(), b"message", &signature),
            Err(BadSignature)
        );
    }
}

#[test]
fn keys_on_which_verifiers_differ_are_not_enrolled() {
    let point = B * Scalar::from(7u64);
    assert!(PublicKey::enroll(point.compress().0).is_ok());
    for torsion in EIGHT_TORSION {
        let weak = torsion.compress().0;
        assert_eq!(PublicKey::enroll(weak), Err(KeyError::Weak));
        for second in second_encodings(&torsion) {
            let found = PublicKey::enroll(second);
            assert!(
                matches!(found, Err(KeyError::NotCanonical | KeyError::NotAPoint)),
                "{found:?}"
            );
        }
        if torsion != EdwardsPoint::identity() {
            assert_eq!(
                PublicKey::enroll((point + torsion).compress().0),
                Err(KeyError::Torsion)
            );
        }
    }
    let mut no_point = [0; 32];
    no_point[0] = 2;
    assert_eq!(PublicKey::enroll(no_point), Err(KeyError::NotAPoint));
    assert_eq!(PublicKey::enroll_slice(&[1; 31]), Err(KeyError::Length(31)));
}

#[test]
fn decoding_enrolls_every_time_it_matters() {
    use carnet_domain::bytes::encoding::Canonical;
    // Two keys that share the place in the memory of enrolled keys, a weak one between them.
    let good = key("key").public();
    let encode = |bytes: [u8; 32]| bytes.to_bytes();
    let torsion = EIGHT_TORSION[1];
    let point = curve25519_dalek::edwards::CompressedEdwardsY(*good.as_bytes()).decompress();
    let bad = (point.expect("a point") + torsion).compress().0;
    for _ in 0..3 {
        assert_eq!(PublicKey::from_bytes(&good.to_bytes()), Ok(good));
        assert!(PublicKey::from_bytes(&encode(bad)).is_err());
        assert!(PublicKey::from_bytes(&encode([0; 32])).is_err());
    }
}

#[test]
fn every_flipped_bit_is_refused_by_both_back_ends() {
    let secret = key("key");
    let signature = secret.sign(b"message");
    for other in flips(&signature.0) {
        let other = Signature::of_slice(&other).expect("64 bytes");
        assert_eq!(
            answer(&secret.public(), b"message", &other),
            Err(BadSignature)
        );
    }
    for other in flips(b"message") {
        assert_eq!(
            answer(&secret.public(), &other, &signature),
            Err(BadSignature)
        );
    }
}

#[test]
fn key_ids_are_those_of_the_design() {
    let public = key("key").public();
    let digest = carnet_domain::bytes::digest::sha256(&[b"carnet-key-id/1", public.as_bytes()]);
    assert_eq!(public.key_id().0, digest.0[..16]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_signed_verifies_and_back_ends_agree_on_anything(
        seed in any::<[u8; 32]>(),
        message in proptest::collection::vec(any::<u8>(), 0..200),
        r in any::<[u8; 32]>(),
        s in any::<[u8; 32]>(),
    ) {
        let secret = SecretKey::from_seed(&seed);
        prop_assert_eq!(answer(&secret.public(), &message, &secret.sign(&message)), Ok(()));
        let junk = Signature::of_slice(&[r, s].concat()).expect("64 bytes");
        prop_assert_eq!(answer(&secret.public(), &message, &junk), Err(BadSignature));
        let mut reduced = s;
        reduced[31] &= 0x0f;
        let junk = Signature::of_slice(&[r, reduced].concat()).expect("64 bytes");
        prop_assert_eq!(answer(&secret.public(), &message, &junk), Err(BadSignature));
    }
}
