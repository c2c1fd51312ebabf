//! Why a chain is refused, and who has to put it right.
//!
//! The texts are for people: they go into logs and to the holder of the certificate, and never decide anything.

use std::fmt;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;

use crate::fingerprint::Fingerprint;
use crate::identity::{ClusterId, IdentityError, NodeId, Plane};

/// The most certificates in a chain that is presented: leaf, authority of the plane, and perhaps the root.
pub const CERTIFICATES_MAX: usize = 3;
/// The longest certificate, in bytes of DER.
pub const CERTIFICATE_BYTES_MAX: usize = 4_096;

/// Whose certificate is at fault, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{whose}: {fault}")]
pub struct ChainError {
    /// Who has to put it right.
    pub whose: Whose,
    /// What is wrong.
    pub fault: Fault,
}

/// Who has to put a fault right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Whoever presented the chain: a wrong, old or foreign certificate.
    Presenter,
    /// The authority of that jurisdiction, which issued what it must not.
    Issuer(Prefix),
    /// The jurisdiction whose pinned root is no longer, or not yet, valid.
    Root(Prefix),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presenter => f.write_str("the certificate presented"),
            Self::Issuer(prefix) => write!(f, "the authority of {prefix}"),
            Self::Root(prefix) => write!(f, "the pinned root of {prefix}"),
        }
    }
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No certificate at all.
    #[error("no certificate was presented")]
    NoCertificate,
    /// More than [`CERTIFICATES_MAX`].
    #[error("{count} certificates were presented, the most is {CERTIFICATES_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// One longer than [`CERTIFICATE_BYTES_MAX`].
    #[error("a certificate has {bytes} bytes, the most is {CERTIFICATE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a certificate, or one with something that is not accepted.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Too old.
    #[error("expired at {until}, now {at}")]
    Expired {
        /// Its last instant.
        until: TimeMs,
        /// The time given.
        at: TimeMs,
    },
    /// Too new.
    #[error("not valid before {from}, now {at}")]
    NotYetValid {
        /// Its first instant.
        from: TimeMs,
        /// The time given.
        at: TimeMs,
    },
    /// A signature in the chain does not verify.
    #[error("a signature in the chain does not verify")]
    Signature,
    /// Signed with an algorithm that is not Ed25519, nor, on the client plane, ECDSA P-256.
    #[error(
        "a signature in the chain is not Ed25519, nor, on the client plane, ECDSA P-256 with SHA-256"
    )]
    Algorithm,
    /// The chain ends in no root that is pinned.
    #[error("the chain ends in no pinned root of {pinned}")]
    UnknownIssuer {
        /// The jurisdictions that were possible.
        pinned: String,
    },
    /// The leaf lacks the key usage of the plane.
    #[error("it is for {found}, expected the {expected} plane")]
    WrongPlane {
        /// The plane of the connection.
        expected: Plane,
        /// What the certificate is for.
        found: String,
    },
    /// The leaf lacks the key usage of passports.
    #[error("it is for {found}, expected passports")]
    NotForPassports {
        /// What the certificate is for.
        found: String,
    },
    /// More than one of Carnet's key usages, or the one for any purpose.
    #[error("it is for several purposes, expected exactly one")]
    SeveralPurposes,
    /// An authority's certificate stands where a leaf must.
    #[error("it is the certificate of an authority, expected that of a holder")]
    AuthorityAsLeaf,
    /// A leaf's certificate stands where an authority's must.
    #[error("it was issued with a certificate that is not an authority's")]
    LeafAsAuthority,
    /// More authorities between leaf and root than allowed.
    #[error("there are more authorities in the chain than allowed")]
    PathTooLong,
    /// Not exactly the authorities between leaf and root that the shape asks for.
    #[error("{found} authorities stand between the certificate and the root, expected {expected}")]
    Shape {
        /// How many must.
        expected: usize,
        /// How many do.
        found: usize,
    },
    /// The authority of the plane is not in the list that the roots signed.
    #[error("it was issued by an authority that its roots do not list ({0})")]
    UnlistedAuthority(Fingerprint),
    /// No URI in the subject alternative name.
    #[error("it names nobody: there is no URI in the subject alternative name")]
    NoName,
    /// More than one URI.
    #[error("it has {count} URIs in the subject alternative name, expected one")]
    SeveralNames {
        /// How many.
        count: usize,
    },
    /// Names of kinds that its holder must not have.
    #[error("it has {count} names beside the URI that its holder must not have")]
    OtherNames {
        /// How many.
        count: usize,
    },
    /// The URI is not an identity.
    #[error("the name {uri:?} is not an identity: {source}")]
    Name {
        /// The URI, cut to 200 characters.
        uri: String,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// The name is of another jurisdiction than the root.
    #[error("it names jurisdiction {found}, but the chain ends in the root of {expected}")]
    Country {
        /// Whose root it is.
        expected: Prefix,
        /// Whose name it is.
        found: Prefix,
    },
    /// The name is of another kind.
    #[error("it is of {found}, expected {expected}")]
    Kind {
        /// What must be.
        expected: &'static str,
        /// What is.
        found: String,
    },
    /// Another node than the one meant.
    #[error("it is of node {found}, expected node {expected}")]
    Node {
        /// The node meant.
        expected: NodeId,
        /// The node that the certificate names.
        found: NodeId,
    },
    /// Another cluster of the same jurisdiction.
    #[error("it is of cluster {found}, expected cluster {expected}")]
    Cluster {
        /// The cluster meant.
        expected: ClusterId,
        /// The cluster that the certificate names.
        found: ClusterId,
    },
    /// Another life of the same cluster, before or after a restore.
    #[error("it is of incarnation {found}, expected incarnation {expected}")]
    Incarnation {
        /// The life meant.
        expected: u64,
        /// The life found.
        found: u64,
    },
    /// The registry refuses it before its time is over.
    #[error("it was revoked on {at}: {reason}")]
    Revoked {
        /// When.
        at: TimeMs,
        /// Why.
        reason: String,
    },
    /// An operator's file on this machine refuses it.
    #[error("the list of revoked certificates on this machine names it")]
    RevokedHere,
    /// The key is not acceptable.
    #[error("its key is not acceptable: {0}")]
    Key(String),
}
