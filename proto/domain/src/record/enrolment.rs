//! What stands behind the enrolment of a key: its own signature, and that of one which its enterprise has already.
//!
//! Nobody enrols a key that he does not have, so nobody uses up the key of another; and an enterprise that may act is asked.

use crate::bytes::code::Prefix;
use crate::bytes::encoding::{Canonical, Encoder, tag};
use crate::bytes::signature::{KeyId, PublicKey, SecretKey, Signature, verify};
use crate::limits::Name;
use crate::record::Holder;
use crate::rules::policy::Role;

/// A key that is to be enrolled: whose, as what, in whose hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The half that signatures are checked by; the other one stays with its holder.
    pub public: PublicKey,
    /// Whose.
    pub holder: Holder,
    /// The one role that it signs in.
    pub role: Role,
    /// Whose hand it is in: a name or a commitment; of an office never empty.
    pub person: String,
}
crate::canonical_struct!(Enrolment {
    public,
    holder,
    role,
    person: Name
});

impl Enrolment {
    /// The bytes that are signed for it: `"carnet-enrolment/1" ‖ CBOR[prefix, enrolment]`, so that it is good in one registry, for
    /// one holder, role and person.
    pub fn signing_bytes(&self, registry: &Prefix) -> Vec<u8> {
        let mut e = Encoder::new();
        e.array(2);
        registry.encode(&mut e);
        self.encode(&mut e);
        [tag::ENROLMENT.as_bytes(), &e.finish()].concat()
    }

    /// The signature of a key for it: of the key itself, or of another one of the same enterprise.
    pub fn sign(&self, registry: &Prefix, key: &SecretKey) -> Signature {
        key.sign(&self.signing_bytes(registry))
    }

    /// Whether a key signed for it.
    pub fn is_signed(&self, registry: &Prefix, key: &PublicKey, signature: &Signature) -> bool {
        verify(key, &self.signing_bytes(registry), signature).is_ok()
    }
}

/// The word of an enterprise for a further key of its own: by one that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The key that signs.
    pub key: KeyId,
    /// Over the enrolment.
    pub signature: Signature,
}
crate::canonical_struct!(Word { key, signature });
