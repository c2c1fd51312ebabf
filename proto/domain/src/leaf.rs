//! Leaves of the transparency log: the leaf itself, whom it is about, the seeds and salts that hide its slots.
//!
//! ```text
//! leaf        [ v, kind, key:bytes32, seq, prev:bytes32, t_ms, record_root:bytes32, auth:bytes32 ]
//! leaf hash   SHA-256(0x00 ‖ leaf bytes)
//! key         SHA-256("carnet-key/1" ‖ subject letter ‖ subject name)
//! leaf seed   HMAC-SHA-256(entry seed, ordinal u32be)
//! salt16      HMAC-SHA-256(leaf seed, slot u8)[..16]
//! auth        SHA-256(0x07 ‖ class u8 ‖ D ‖ HMAC-SHA-256(leaf seed, 0x10)[..16])
//! ```
//! The slots themselves are next door, in `slots.rs`.

use crate::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::digest::{Digest, HmacKey, hmac_sha256, sha256};
use crate::encoding::{Canonical, DecodeError, Decoder, Encoder, tag};
use crate::limits::Sequence;
use crate::time::TimeMs;
use crate::{canonical_enum, canonical_struct};

pub use crate::slots::{
    DisclosedSlots, Disclosure, DisclosureError, SLOT_COUNT, SlotError, SlotView, Slots, slot_names,
};

/// The largest leaf in bytes: entry bundles have u16 length prefixes.
pub const LEAF_BYTES_MAX: usize = 65_535;
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
    /// A defect case.
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

/// What a key of the tree and the map stands for. Its number is its ASCII letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectType {
    /// `R`, named by the canonical code.
    Robot,
    /// `E`, named by prefix and enterprise code.
    Enterprise,
    /// `M`, named by prefix, enterprise and model code.
    Model,
    /// `C`, a recall campaign.
    Recall,
    /// `A`, an agreement.
    Agreement,
    /// `P`, a peer.
    Peer,
    /// `K`, a key list.
    KeyList,
    /// `O`, an office.
    Office,
    /// `D`, a defect case.
    DefectCase,
    /// `J`, the jurisdiction itself.
    Jurisdiction,
    /// `H`, the map head: the only subject that is never in the map.
    MapHead,
}

canonical_enum!(SubjectType {
    0x52 => Robot,
    0x45 => Enterprise,
    0x4d => Model,
    0x43 => Recall,
    0x41 => Agreement,
    0x50 => Peer,
    0x4b => KeyList,
    0x4f => Office,
    0x44 => DefectCase,
    0x4a => Jurisdiction,
    0x48 => MapHead,
});

impl SubjectType {
    /// The ASCII letter of the type.
    pub fn letter(self) -> char {
        char::from(self.number() as u8)
    }

    /// The type of a letter.
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::from_number(u64::from(u32::from(letter)))
    }
}

/// Whom a leaf is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The type.
    pub kind: SubjectType,
    /// The name inside the type.
    pub name: String,
}

canonical_struct!(Subject { kind, name });

impl Subject {
    /// A subject of any type.
    pub fn new(kind: SubjectType, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// A robot.
    pub fn robot(code: &Code) -> Self {
        Self::new(SubjectType::Robot, code.as_str())
    }

    /// An enterprise.
    pub fn enterprise(id: &EnterpriseId) -> Self {
        Self::new(SubjectType::Enterprise, id.as_str())
    }

    /// A model.
    pub fn model(id: &ModelId) -> Self {
        Self::new(SubjectType::Model, id.as_str())
    }

    /// The jurisdiction itself.
    pub fn jurisdiction(prefix: &Prefix) -> Self {
        Self::new(SubjectType::Jurisdiction, prefix.as_str())
    }

    /// The map head of a jurisdiction.
    pub fn map_head(prefix: &Prefix) -> Self {
        Self::new(SubjectType::MapHead, prefix.as_str())
    }

    /// The key in tree and map.
    pub fn key(&self) -> Digest {
        sha256(&[
            tag::KEY.as_bytes(),
            &[self.kind.number() as u8],
            self.name.as_bytes(),
        ])
    }
}

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

/// The secret that the leader draws once for an entry and replicates with it; auditors see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntrySeed(pub [u8; 32]);

impl std::fmt::Debug for EntrySeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntrySeed(..)")
    }
}

impl Canonical for EntrySeed {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bytes_of().map(Self)
    }
}

/// The seed of one leaf: all salts of the leaf come from it.
pub type LeafSeed = [u8; 32];

/// The seed of the leaf with this 0-based ordinal in the entry.
pub fn leaf_seed(entry_seed: &EntrySeed, ordinal: u32) -> LeafSeed {
    hmac_sha256(&entry_seed.0, &[&ordinal.to_be_bytes()]).0
}

/// The salt of one slot.
pub fn slot_salt(leaf_seed: &LeafSeed, slot: u8) -> [u8; 16] {
    salt(&HmacKey::new(leaf_seed), slot)
}

/// The commitment of a leaf to its authorisation; `d` is the digest D of the envelope (68 bytes for class 0, else 32).
pub fn auth(class: u8, d: impl AsRef<[u8]>, leaf_seed: &LeafSeed) -> Digest {
    let salt = slot_salt(leaf_seed, AUTH_SALT_SLOT);
    sha256(&[&[tag::AUTH, class], d.as_ref(), &salt])
}

/// The secret by which custody of a robot is tagged towards all peers; `leaf_seed` is that of its registration.
pub fn custody_secret(leaf_seed: &LeafSeed) -> Digest {
    hmac_sha256(leaf_seed, &[tag::CUSTODY_SECRET.as_bytes()])
}

/// What stands in place of a personal value: `SHA-256(0x06 ‖ salt16 ‖ CBOR(value))`.
pub fn personal_commitment(salt16: &[u8; 16], value: &impl Canonical) -> Digest {
    sha256(&[&[tag::PERSONAL], salt16, &value.to_bytes()])
}

const AUTH_SALT_SLOT: u8 = 0x10;

/// The salt of a slot under a prepared leaf seed.
pub(crate) fn salt(key: &HmacKey, slot: u8) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&key.mac(&[&[slot]]).0[..16]);
    out
}
