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
//! The slots themselves are next door, in `slots.rs`.

use crate::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::{Digest, keystream, sha256};
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder, tag};
use crate::bytes::time::TimeMs;
use crate::limits::Sequence;
use crate::record::RecallId;
use crate::{canonical_enum, canonical_struct};

pub use crate::log::slots::{
    DisclosedSlots, Disclosure, DisclosureError, GROUP_COUNT, GROUPS, GroupView, SLOT_COUNT,
    SlotError, SlotView, Slots, slot_names,
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

    /// A recall.
    pub fn recall(id: &RecallId) -> Self {
        Self::new(SubjectType::Recall, id.to_string())
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
    // Two seeds to a block of 64 bytes.
    let pair: [[u8; 32]; 2] = split(keystream::<64>(&entry_seed.0, ordinal >> 1));
    pair[(ordinal & 1) as usize]
}

/// What a leaf seed expands to: the salts that hide the slots and the authorisation, and the custody secret.
#[derive(Clone)]
pub struct Expansion {
    salts: [[u8; 16]; SLOT_COUNT],
    auth: [u8; 16],
    custody_secret: Digest,
}

/// Bytes of the keystream that an [`Expansion`] takes.
const EXPANSION_BYTES: usize = 320;

impl Expansion {
    /// Expands a leaf seed.
    pub fn of(leaf_seed: &LeafSeed) -> Self {
        let rows: [[u8; 16]; EXPANSION_BYTES / 16] =
            split(keystream::<EXPANSION_BYTES>(leaf_seed, 0));
        let [salts @ .., auth, _, one, other] = rows;
        Self {
            salts,
            auth,
            custody_secret: Digest(split::<32, 1>([one, other].as_flattened())[0]),
        }
    }

    /// The salts of the sixteen slots.
    pub fn salts(&self) -> &[[u8; 16]; SLOT_COUNT] {
        &self.salts
    }

    /// The salt of `auth`.
    pub fn auth_salt(&self) -> &[u8; 16] {
        &self.auth
    }

    /// The secret by which custody of a robot is tagged towards all peers, where this is the leaf of its registration.
    pub fn custody_secret(&self) -> Digest {
        self.custody_secret
    }

    /// The commitment of the leaf to its authorisation; `d` is the digest D of the envelope (68 bytes for class 0, else
    /// 32).
    pub fn auth(&self, class: u8, d: impl AsRef<[u8]>) -> Digest {
        sha256(&[&[tag::AUTH, class], d.as_ref(), &self.auth])
    }
}

/// Bytes as rows of `N`.
fn split<const N: usize, const ROWS: usize>(bytes: impl AsRef<[u8]>) -> [[u8; N]; ROWS] {
    let mut rows = [[0; N]; ROWS];
    rows.as_flattened_mut().copy_from_slice(bytes.as_ref());
    rows
}

/// What stands in place of a personal value: `SHA-256(0x06 ‖ salt16 ‖ CBOR(value))`.
pub fn personal_commitment(salt16: &[u8; 16], value: &impl Canonical) -> Digest {
    sha256(&[&[tag::PERSONAL], salt16, &value.to_bytes()])
}
