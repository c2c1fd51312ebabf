//! The signed identity record: what a registry says about a robot at registration, verifiable with a pinned root alone.
//!
//! ```text
//! COSE_Sign1, tagged 18 = [ protected { 1: -8 (EdDSA), 33: x5chain }, {}, payload, signature ]
//! payload               = canonical CBOR of IdentityRecord
//! external data         = "carnet-record/1"
//! ```
//! The chain is DER, the passport certificate first; whether it ends in a pinned root is `carnet-trust`'s business. The
//! only map in all formats is the COSE header, and it has one encoding: anything else is refused.
//! Sources: RFC 9052, RFC 9360.

use coset::cbor::value::Value;
use coset::iana::{Algorithm, HeaderParameter};
use coset::{CoseSign1, CoseSign1Builder, HeaderBuilder, Label, TaggedCborSerializable};

use crate::bytes::code::{Code, ModelId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Canonical, DecodeError, tag};
use crate::bytes::signature::{BadSignature, PublicKey, SecretKey, Signature, verify};
use crate::bytes::time::TimeMs;
use crate::canonical_struct;
use crate::limits::{PASSPORT_BYTES_MAX, PASSPORT_CHAIN_MAX};

/// The version of identity records.
pub const RECORD_VERSION: u8 = 1;

/// What a registry says about a robot for good.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentityRecord {
    /// Of this form: [`RECORD_VERSION`]; another one is not read.
    pub version: u8,
    /// Of the robot; its prefix is the issuer's.
    pub code: Code,
    /// Whose approval it was made under.
    pub model: ModelId,
    /// Hash over maker and serial of the body: it stays when parts change.
    pub body: Digest,
    /// When it was made.
    pub manufactured: TimeMs,
    /// When it was registered, in log time.
    pub registered: TimeMs,
    /// Primary prefix of the registry.
    pub registry: Prefix,
    /// Hash of the leaf of its registration.
    pub leaf_hash: Digest,
}

canonical_struct!(IdentityRecord {
    version,
    code,
    model,
    body,
    manufactured,
    registered,
    registry,
    leaf_hash
});

/// Why bytes are not a signed record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than allowed.
    #[error("{0} bytes, a signed record has at most {PASSPORT_BYTES_MAX}")]
    TooLong(usize),
    /// Not a COSE_Sign1 of the one form.
    #[error("not a COSE_Sign1 in the one form of a signed record")]
    Form,
    /// No certificate, or too many.
    #[error("{0} certificates, a chain has 1 to {PASSPORT_CHAIN_MAX}")]
    Chain(usize),
    /// The payload is not a canonical identity record.
    #[error("the payload is not a canonical identity record")]
    Payload(#[source] DecodeError),
    /// The version is not known.
    #[error("identity record of version {0}, known is {RECORD_VERSION}")]
    Version(u8),
    /// The payload names a model that the code is not of.
    #[error("the record names model {0}, which is not that of its code")]
    Model(ModelId),
}

/// The bytes that the passport key signs (RFC 9052 §4.4).
pub fn to_be_signed(record: &IdentityRecord, chain: &[Vec<u8>]) -> Vec<u8> {
    unsigned(record.to_bytes(), chain).tbs_data(tag::RECORD.as_bytes())
}

/// Joins record, chain (DER, passport certificate first) and a signature made over [`to_be_signed`]; it is not verified
/// here.
pub fn assemble(record: &IdentityRecord, chain: &[Vec<u8>], signature: &Signature) -> Vec<u8> {
    join(record.to_bytes(), chain, signature).expect("invariant: our own values have a CBOR form")
}

/// Signs with a key at hand.
pub fn sign(record: &IdentityRecord, chain: &[Vec<u8>], key: &SecretKey) -> Vec<u8> {
    assemble(record, chain, &key.sign(&to_be_signed(record, chain)))
}

fn unsigned(payload: Vec<u8>, chain: &[Vec<u8>]) -> CoseSign1 {
    // RFC 9360: one certificate stands alone, several stand in an array.
    let x5chain = match chain {
        [one] => Value::Bytes(one.clone()),
        several => Value::Array(several.iter().cloned().map(Value::Bytes).collect()),
    };
    let protected = HeaderBuilder::new()
        .algorithm(Algorithm::EdDSA)
        .value(HeaderParameter::X5Chain as i64, x5chain)
        .build();
    CoseSign1Builder::new()
        .protected(protected)
        .payload(payload)
        .build()
}

fn join(payload: Vec<u8>, chain: &[Vec<u8>], signature: &Signature) -> Option<Vec<u8>> {
    let mut sign1 = unsigned(payload, chain);
    sign1.signature = signature.0.to_vec();
    sign1.to_tagged_vec().ok()
}

/// A signed record as it was received. Its signature is not verified: see [`ParsedRecord::verify_with`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedRecord {
    record: IdentityRecord,
    payload: Vec<u8>,
    chain: Vec<Vec<u8>>,
    signature: Signature,
    signed: Vec<u8>,
}

/// Reads a signed record.
///
/// # Errors
/// When the bytes are not the one form of a signed record.
pub fn parse(bytes: &[u8]) -> Result<ParsedRecord, RecordError> {
    if bytes.len() > PASSPORT_BYTES_MAX {
        return Err(RecordError::TooLong(bytes.len()));
    }
    let sign1 = CoseSign1::from_tagged_slice(bytes).map_err(|_| RecordError::Form)?;
    let chain = chain_of(&sign1)?;
    let signature = Signature::of_slice(&sign1.signature).ok_or(RecordError::Form)?;
    let signed = sign1.tbs_data(tag::RECORD.as_bytes());
    let payload = sign1.payload.ok_or(RecordError::Form)?;
    // One record has one byte string: a second encoding of the header, or anything beside, does not come out again.
    if join(payload.clone(), &chain, &signature).as_deref() != Some(bytes) {
        return Err(RecordError::Form);
    }
    // level: read by whoever holds the robot, never by `apply`.
    let record = IdentityRecord::from_bytes(&payload).map_err(RecordError::Payload)?;
    if record.version != RECORD_VERSION {
        return Err(RecordError::Version(record.version));
    }
    if record.model != record.code.model_id() {
        return Err(RecordError::Model(record.model));
    }
    Ok(ParsedRecord {
        record,
        payload,
        chain,
        signature,
        signed,
    })
}

fn chain_of(sign1: &CoseSign1) -> Result<Vec<Vec<u8>>, RecordError> {
    let label = Label::Int(HeaderParameter::X5Chain as i64);
    let header = &sign1.protected.header.rest;
    let value = header
        .iter()
        .find(|(found, _)| *found == label)
        .map(|(_, value)| value);
    let chain = match value.ok_or(RecordError::Chain(0))? {
        Value::Bytes(one) => vec![one.clone()],
        Value::Array(several) => several
            .iter()
            .map(|der| der.as_bytes().cloned().ok_or(RecordError::Form))
            .collect::<Result<_, _>>()?,
        _ => return Err(RecordError::Form),
    };
    match chain.len() {
        1..=PASSPORT_CHAIN_MAX => Ok(chain),
        count => Err(RecordError::Chain(count)),
    }
}

impl ParsedRecord {
    /// The canonical payload, as received.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The certificates in DER, the passport certificate first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// By the key of the issuer, over the canonical bytes of the record. Not judged yet.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What the record claims, before anything is verified.
    pub fn claimed(&self) -> &IdentityRecord {
        &self.record
    }

    /// Verifies the signature under the key of the passport certificate.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_with(&self, key: &PublicKey) -> Result<SignedRecord, BadSignature> {
        verify(key, &self.signed, &self.signature)?;
        Ok(SignedRecord {
            record: self.record.clone(),
            key: *key,
        })
    }
}

/// An identity record whose signature verified under a key. Only [`ParsedRecord::verify_with`] makes one; it says
/// nothing about whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    record: IdentityRecord,
    key: PublicKey,
}

impl SignedRecord {
    /// What was signed.
    pub fn record(&self) -> &IdentityRecord {
        &self.record
    }

    /// The one that the signature holds under; whether it is a registry's is not judged here.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}
