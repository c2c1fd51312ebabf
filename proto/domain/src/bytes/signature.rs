//! Ed25519 with one rule for everybody, key identifiers, and deterministic signing.
//!
//! The rule of [`verify`]: the key was enrolled by the strict check (canonical, not weak, torsion-free), `S` is
//! canonical, `R` is not the encoding of a small-order point, and the equation holds without cofactor. Two back ends
//! (aws-lc-rs on servers, ed25519-dalek elsewhere) give the same answer on all bytes.
//!
//! What the log keeps of an actor is judged by [`verify_cofactored`] instead: the same, but the equation holds times the
//! cofactor, and `R` is canonical. That is the rule that checking many signatures at once can keep, and it takes whatever
//! [`verify`] takes.

use std::cell::RefCell;
use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest as _, Sha512};

use crate::bytes::digest::{HexError, hex_bytes, sha256, write_hex};
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder, tag};

/// A public key that passed the strict check; there is no other way to have one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// Why bytes are not a public key that may be enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The number of bytes is not 32.
    #[error("a key has 32 bytes, not {0}")]
    Length(usize),
    /// The bytes are not a point of the curve.
    #[error("the key is not a point of the curve")]
    NotAPoint,
    /// The bytes are a second encoding of a point.
    #[error("the key is not in its canonical encoding")]
    NotCanonical,
    /// The point has small order: it verifies signatures nobody made.
    #[error("the key has small order")]
    Weak,
    /// The point has a torsion component: verifiers disagree about it.
    #[error("the key is not torsion-free")]
    Torsion,
}

impl PublicKey {
    /// Takes a key in after the strict check.
    ///
    /// # Errors
    /// Which part of the check failed.
    pub fn enroll(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let point = CompressedEdwardsY(bytes)
            .decompress()
            .ok_or(KeyError::NotAPoint)?;
        if point.compress().0 != bytes {
            return Err(KeyError::NotCanonical);
        }
        if point.is_small_order() {
            return Err(KeyError::Weak);
        }
        if !point.is_torsion_free() {
            return Err(KeyError::Torsion);
        }
        Ok(Self(bytes))
    }

    /// As [`PublicKey::enroll`], for bytes of unknown length.
    ///
    /// # Errors
    /// Which part of the check failed.
    pub fn enroll_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes = bytes
            .try_into()
            .map_err(|_| KeyError::Length(bytes.len()))?;
        Self::enroll(bytes)
    }

    /// As [`PublicKey::enroll`]; a key that this thread enrolled lately costs nothing.
    ///
    /// The answer is a function of the bytes alone. Records are decoded far more often than keys are added, and the
    /// check for torsion costs as much as a signature.
    fn enroll_remembered(bytes: [u8; 32]) -> Result<Self, KeyError> {
        thread_local! {
            static SEEN: RefCell<Vec<[u8; 32]>> = RefCell::new(vec![[0; 32]; 256]);
        }
        // All zeros is a point of small order, so an empty place never answers for a key.
        SEEN.with_borrow_mut(|seen| {
            let place = &mut seen[usize::from(bytes[0])];
            if *place == bytes && bytes != [0; 32] {
                return Ok(Self(bytes));
            }
            let key = Self::enroll(bytes)?;
            *place = bytes;
            Ok(key)
        })
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The identifier that headers and notes name the key by.
    pub fn key_id(&self) -> KeyId {
        let digest = sha256(&[tag::KEY_ID.as_bytes(), &self.0]);
        let mut id = [0; 16];
        id.copy_from_slice(&digest.0[..16]);
        KeyId(id)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Canonical for PublicKey {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = d.clone();
        Self::enroll_remembered(d.bytes_of()?).map_err(|error| at.invalid(error))
    }
}

/// The name of a key: the first 16 bytes of `SHA-256("carnet-key-id/1" ‖ public key)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    /// Reads 32 hexadecimal digits, in any case.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, HexError> {
        hex_bytes(text).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Canonical for KeyId {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bytes_of().map(Self)
    }
}

/// The 64 bytes of a signature, believed by nobody until verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// `R` and `S`.
    pub(super) fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&self.0[..32]);
        s.copy_from_slice(&self.0[32..]);
        (r, s)
    }

    /// A signature of bytes of unknown length; `None` unless they are 64.
    pub fn of_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl Canonical for Signature {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bytes_of().map(Self)
    }
}

/// The signature does not belong to the key and the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// Verifies one signature by the one rule.
///
/// # Errors
/// [`BadSignature`], without a reason: there is nothing a caller may do differently.
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    verify_with(Backend::OF_TARGET, key, message, signature)
}

/// Verifies one signature by the rule of actor signatures in the log: the key is enrolled, `S` is canonical, `R` is the
/// canonical encoding of a point that is not of small order, and `8·S·B = 8·R + 8·k·A`.
///
/// An answer is the same whether signatures are checked singly or many at once, on every replica and by every auditor.
///
/// # Errors
/// [`BadSignature`].
pub fn verify_cofactored(
    key: &PublicKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    // The equation without cofactor, over the encoding that it computes itself, implies all of the above. It is several
    // times as fast, and nearly every signature satisfies it.
    if verify(key, message, signature).is_ok() {
        return Ok(());
    }
    by_the_cofactored_equation(key, message, signature)
}

/// The rule itself, step by step.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "points of a finite group: nothing overflows"
)]
fn by_the_cofactored_equation(
    key: &PublicKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let (r_bytes, s_bytes) = signature.halves();
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes)).ok_or(BadSignature)?;
    let r = canonical_point(r_bytes).ok_or(BadSignature)?;
    if r.is_small_order() {
        return Err(BadSignature);
    }
    let a = canonical_point(key.0).ok_or(BadSignature)?;
    let mut hash = Sha512::new();
    hash.update(r_bytes);
    hash.update(key.0);
    hash.update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let found = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-a, &s);
    if (found - r).mul_by_cofactor().is_identity() {
        Ok(())
    } else {
        Err(BadSignature)
    }
}

/// The point of its canonical encoding.
fn canonical_point(bytes: [u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(bytes).decompress()?;
    (point.compress().0 == bytes).then_some(point)
}

/// Who evaluates the equation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// aws-lc-rs: fast, needs its C library.
    AwsLc,
    /// ed25519-dalek: pure Rust.
    Dalek,
}

impl Backend {
    /// The back end that [`verify`] uses on this target.
    pub const OF_TARGET: Self = if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        Self::AwsLc
    } else {
        Self::Dalek
    };
}

/// As [`verify`], by a named back end; for the test that both agree, and for measurements.
///
/// # Errors
/// [`BadSignature`].
pub fn verify_with(
    backend: Backend,
    key: &PublicKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    if is_small_order_encoding(&signature.0[..32]) {
        return Err(BadSignature);
    }
    match backend {
        Backend::AwsLc => {
            use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
            UnparsedPublicKey::new(&ED25519, &key.0)
                .verify(message, &signature.0)
                .map_err(|_| BadSignature)
        }
        Backend::Dalek => {
            use ed25519_dalek::Verifier;
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0).map_err(|_| BadSignature)?;
            let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
            key.verify(message, &signature).map_err(|_| BadSignature)
        }
    }
}

/// A key parsed once for many signatures; verifies exactly as [`verify`] does.
#[derive(Clone)]
pub struct ParsedKey {
    key: PublicKey,
    parsed: aws_lc_rs::signature::ParsedPublicKey,
}

impl ParsedKey {
    /// Parses an enrolled key.
    pub fn new(key: PublicKey) -> Self {
        use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
        let parsed = ParsedPublicKey::new(&ED25519, key.0);
        Self {
            key,
            parsed: parsed.expect("invariant: an enrolled key is 32 bytes of a point"),
        }
    }

    /// As its bytes were read.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }

    /// Verifies one signature.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        if is_small_order_encoding(&signature.0[..32]) {
            return Err(BadSignature);
        }
        self.parsed
            .verify_sig(message, &signature.0)
            .map_err(|_| BadSignature)
    }
}

impl fmt::Debug for ParsedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParsedKey({})", self.key)
    }
}

/// The y-coordinates, sign bit cleared, of the eight points of small order, with their non-canonical forms.
const SMALL_ORDER_Y: [[u8; 32]; 7] = {
    const fn near_p(last: u8) -> [u8; 32] {
        let mut y = [0xff; 32];
        y[0] = last;
        y[31] = 0x7f;
        y
    }
    const fn small(first: u8) -> [u8; 32] {
        let mut y = [0; 32];
        y[0] = first;
        y
    }
    [
        small(0),
        small(1),
        near_p(0xec),
        near_p(0xed),
        near_p(0xee),
        // The two y of order 8: the second is p minus the first.
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

/// Whether 32 bytes encode a point of small order, canonically or not, whatever the sign bit.
pub(super) fn is_small_order_encoding(r: &[u8]) -> bool {
    let mut y = [0; 32];
    y.copy_from_slice(r);
    y[31] &= 0x7f;
    SMALL_ORDER_Y.contains(&y)
}

/// Whether the y-coordinate of an encoding, sign bit cleared, is below the order of the field. With
/// [`is_small_order_encoding`] answering no, the encoding of a point is then its canonical one: the only points with a second
/// sign bit have `x = 0`, and small order.
pub(super) fn is_canonical_y(y: &[u8; 32]) -> bool {
    let high = y[31] & 0x7f == 0x7f && y[1..31].iter().all(|byte| *byte == 0xff);
    !(high && y[0] >= 0xed)
}

/// A signing key. It is never printed, compared, cloned or encoded; aws-lc-rs holds it, and clears its memory at the end.
pub struct SecretKey(Ed25519KeyPair);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032 private key).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        Self(pair.expect("invariant: any 32 bytes are a private key"))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        // A clamped scalar times the base point is canonical, not weak and torsion-free.
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs deterministically (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(message).as_ref());
        Signature(bytes)
    }
}
