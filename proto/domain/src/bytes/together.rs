//! Many signatures checked together, by the rule of what stands in the log ([`verify_cofactored`]).
//!
//! One equation stands for all: the sum of multiples of every single equation, times the cofactor. The multiples are
//! drawn from a digest of everything that is checked, so nobody who makes a signature can choose them, and the answer is
//! a function of the bytes. Where it is yes, every signature holds singly but with a chance of 2^-128; where it is no, at
//! least one does not, and the caller asks singly.
//!
//! [`verify_cofactored`]: super::signature::verify_cofactored

use std::collections::BTreeMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest as _, Sha512};

use super::digest::sha256;
use super::encoding::tag;
use super::signature::{PublicKey, Signature, is_canonical_y, is_small_order_encoding};

/// Signatures that wait to be checked together.
#[derive(Debug, Default)]
pub struct Together {
    members: Vec<Member>,
    /// A member breaks the rule by its bytes alone.
    broken: bool,
    /// Everything that is checked, in order.
    transcript: Sha512,
}

#[derive(Debug)]
struct Member {
    key: PublicKey,
    r: [u8; 32],
    s: Scalar,
    /// The hash of `R`, key and message, as a scalar.
    k: Scalar,
}

impl Together {
    /// One more. What is added says nothing of its message after this: it is hashed here.
    pub fn add(&mut self, key: &PublicKey, message: &[u8], signature: &Signature) {
        let (r, s_bytes) = signature.halves();
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes));
        let Some(s) = s.filter(|_| is_canonical_y(&r) && !is_small_order_encoding(&r)) else {
            self.broken = true;
            return;
        };
        let mut hash = Sha512::new();
        hash.update(r);
        hash.update(key.as_bytes());
        hash.update(message);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        for part in [&r, &s_bytes, key.as_bytes(), k.as_bytes()] {
            self.transcript.update(part);
        }
        self.members.push(Member { key: *key, r, s, k });
    }

    /// How many were added and are not broken by their bytes alone.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && !self.broken
    }

    /// Whether every signature that was added holds. Of none it does.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "points and scalars of a finite group: nothing overflows"
    )]
    pub fn hold(self) -> bool {
        if self.broken {
            return false;
        }
        let drawn = self.transcript.finalize();
        let mut of_base = Scalar::ZERO;
        let mut of_keys = BTreeMap::<PublicKey, Scalar>::new();
        let mut scalars = Vec::with_capacity(self.members.len());
        let mut points = Vec::with_capacity(self.members.len());
        for (member, at) in self.members.iter().zip(0_u64..) {
            let z = multiple(&drawn, at);
            let Some(r) = CompressedEdwardsY(member.r).decompress() else {
                return false;
            };
            of_base += z * member.s;
            *of_keys.entry(member.key).or_insert(Scalar::ZERO) += z * member.k;
            scalars.push(z);
            points.push(-r);
        }
        for (key, scalar) in &of_keys {
            let Some(a) = CompressedEdwardsY(*key.as_bytes()).decompress() else {
                return false;
            };
            scalars.push(*scalar);
            points.push(-a);
        }
        scalars.push(of_base);
        points.push(ED25519_BASEPOINT_POINT);
        EdwardsPoint::vartime_multiscalar_mul(scalars, points)
            .mul_by_cofactor()
            .is_identity()
    }
}

/// The multiple of one equation: 128 bits of `SHA-256(tag ‖ transcript ‖ place)`.
fn multiple(drawn: &[u8], at: u64) -> Scalar {
    let digest = sha256(&[tag::TOGETHER.as_bytes(), drawn, &at.to_be_bytes()]);
    let mut half = [0; 16];
    half.copy_from_slice(&digest.0[..16]);
    Scalar::from(u128::from_be_bytes(half))
}
