//! A robot's own key, with its signature for the one robot that it is the key of.
//!
//! A public key is seen by everybody who is shown the robot. Only whoever has the key itself gives it to a robot, here or abroad: so
//! nobody registers another robot under it, and nobody ends it with a robot of his own.

use crate::bytes::code::Code;
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Canonical, Encoder, tag};
use crate::bytes::signature::{PublicKey, SecretKey, Signature, verify_cofactored};
use crate::record::ids::key_identity;

/// A robot's own key and what proves that it is in the robot: `[public, proof]`.
///
/// That it is proven is asked of [`RobotKey::is_of`], wherever one is taken in; a record has none that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RobotKey {
    /// The public half; the other one never leaves the robot.
    pub public: PublicKey,
    /// Its signature over [`RobotKey::signing_bytes`].
    pub proof: Signature,
}
crate::canonical_struct!(RobotKey { public, proof });

impl RobotKey {
    /// The bytes that the key signs: `"carnet-possession/1" ‖ CBOR[code, body, public]`, body the identity of the body, 32 bytes. The
    /// code names registry and enterprise, so that it is good for one robot of one registrant.
    pub fn signing_bytes(code: &Code, body: &Digest, public: &PublicKey) -> Vec<u8> {
        let mut e = Encoder::new();
        e.array(3);
        code.encode(&mut e);
        body.encode(&mut e);
        public.encode(&mut e);
        [tag::POSSESSION.as_bytes(), &e.finish()].concat()
    }

    /// A key signs for the robot that it is in.
    pub fn prove(code: &Code, body: &Digest, key: &SecretKey) -> Self {
        let public = key.public();
        Self {
            public,
            proof: key.sign(&Self::signing_bytes(code, body, &public)),
        }
    }

    /// Whether the key signed for this code with this body, by the rule of what stands in the log.
    pub fn is_of(&self, code: &Code, body: &Digest) -> bool {
        let bytes = Self::signing_bytes(code, body, &self.public);
        verify_cofactored(&self.public, &bytes, &self.proof).is_ok()
    }

    /// Under which it stands in the index of parts.
    pub fn identity(&self) -> Digest {
        key_identity(&self.public)
    }
}
