//! Leaves of the transparency log: the leaf itself, whom it is about, the seeds and salts that hide its slots.
//!
//! ```text
//! leaf        [ v, kind, key:bytes32, seq, prev:bytes32, t_ms, record_root:bytes32, auth:bytes32 ]
//! leaf hash   SHA-256(0x00 ‖ leaf bytes)
//! key         SHA-256("carnet-key/1" ‖ subject letter ‖ subject name)
//! leaf seed   bytes 32·ordinal .. 32·ordinal + 32 of the keystream under the entry seed
//! expansion   the first 320 bytes of the keystream under the leaf seed (keystream: ChaCha20, RFC 8439, zero nonce)
//!             0..256    the salts of slots 0 to 15, 16 bytes each
//!             256..272  the salt of auth
//!             288..320  the custody secret, where the leaf is a registration
//! auth        SHA-256(0x07 ‖ class u8 ‖ D ‖ its salt)
//! ```
//! The slots themselves are next door, in `slots.rs`, seeds and salts in `seed.rs`, whom a leaf is about in `subject.rs`.

use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Canonical, tag};
use crate::bytes::time::TimeMs;
use crate::limits::Sequence;
use crate::{canonical_enum, canonical_struct};

pub use crate::log::seed::{EntrySeed, Expansion, LeafSeed, leaf_seed};
pub use crate::log::slots::{
    DisclosedSlots, Disclosure, DisclosureError, GROUP_COUNT, GROUPS, GroupView, SLOT_COUNT,
    SlotError, SlotView, Slots, slot_names,
};
pub use crate::log::subject::{Subject, SubjectType};

/// The version of leaves that carry no promise yet.
pub const LEAF_VERSION: u8 = 0;
/// What a leaf records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The first leaf: the jurisdiction and its first keys.
    Genesis,
    /// A key of the jurisdiction added, activated, retired or compromised.
    KeyEvent,
    /// A foreign key list accepted.
    TrustList,
    /// A recognition agreement signed, amended, suspended.
    Agreement,
    /// An enterprise accredited or changed, with its signer keys.
    Enterprise,
    /// A model approved or changed.
    Model,
    /// A robot registered.
    Register,
    /// A life-cycle event of a robot.
    LifeCycle,
    /// A change of owner.
    Ownership,
    /// A hold set or lifted.
    Hold,
    /// A recall issued, amended or withdrawn.
    Recall,
    /// A custody step.
    Custody,
    /// The root over a day of telemetry.
    TelemetryDay,
    /// An incident or alarm.
    Incident,
    /// A foreign statement that changed local state.
    Foreign,
    /// A foreign statement refused.
    Nack,
    /// Proof that a peer showed two histories.
    ForkEvidence,
    /// Two registries compared their accounts.
    Reconcile,
    /// A dispute settled by both roots.
    Settlement,
    /// A personal value erased.
    Erasure,
    /// The digest of a list for the border.
    BorderList,
    /// The root of the state map.
    MapHead,
    /// Heads of the audit chains.
    AuditHeads,
    /// An office (registrar, customs, regulator, admin) and its keys.
    Office,
    /// Feature level, settings, proposals that need two admins, a log entry that the roots had skipped.
    Policy,
    /// A fault of a make of robot that is looked into. No command writes one yet.
    DefectCase,
    /// A safeguard notice, its answer, recall counts.
    Notice,
}

canonical_enum!(Kind {
    1 => Genesis,
    2 => KeyEvent,
    3 => TrustList,
    4 => Agreement,
    5 => Enterprise,
    6 => Model,
    7 => Register,
    8 => LifeCycle,
    9 => Ownership,
    10 => Hold,
    11 => Recall,
    12 => Custody,
    13 => TelemetryDay,
    14 => Incident,
    15 => Foreign,
    16 => Nack,
    17 => ForkEvidence,
    18 => Reconcile,
    19 => Settlement,
    20 => Erasure,
    21 => BorderList,
    22 => MapHead,
    23 => AuditHeads,
    24 => Office,
    25 => Policy,
    26 => DefectCase,
    27 => Notice,
});

/// One leaf of the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// The format: 0 carries no promise.
    pub version: u8,
    /// What is recorded.
    pub kind: Kind,
    /// [`Subject::key`].
    pub key: Digest,
    /// How many leaves of this log have the same key before this one.
    pub seq: u64,
    /// Hash of the leaf before under the same key; zero for the first.
    pub prev: Digest,
    /// When it was recorded, in log time.
    pub t_ms: TimeMs,
    /// Root of the sixteen slots; in a map head the root of the map.
    pub record_root: Digest,
    /// Commitment to who authorised it.
    pub auth: Digest,
}

canonical_struct!(Leaf {
    version,
    kind,
    key,
    seq: Sequence,
    prev,
    t_ms,
    record_root,
    auth
});

impl Leaf {
    /// `SHA-256(0x00 ‖ bytes)`.
    pub fn hash(&self) -> Digest {
        leaf_bytes_hash(&self.to_bytes())
    }
}

/// The leaf hash of bytes as received: hash what was received, never what was decoded.
pub fn leaf_bytes_hash(bytes: &[u8]) -> Digest {
    sha256(&[&[tag::TREE_LEAF], bytes])
}

/// What stands in place of a personal value: `SHA-256(0x06 ‖ salt16 ‖ CBOR(value))`.
pub fn personal_commitment(salt16: &[u8; 16], value: &impl Canonical) -> Digest {
    sha256(&[&[tag::PERSONAL], salt16, &value.to_bytes()])
}
