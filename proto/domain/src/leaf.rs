//! Leaves of the transparency log: the leaf itself, its sixteen slots, the salts that hide them.
//!
//! ```text
//! leaf        [ v, kind, key:bytes32, seq, prev:bytes32, t_ms, record_root:bytes32, auth:bytes32 ]
//! leaf hash   SHA-256(0x00 ‖ leaf bytes)
//! key         SHA-256("carnet-key/1" ‖ subject letter ‖ subject name)
//! leaf seed   HMAC-SHA-256(entry seed, ordinal u32be)
//! salt16      HMAC-SHA-256(leaf seed, slot u8)[..16]
//! slot        SHA-256(0x04 ‖ slot u8 ‖ salt16 ‖ CBOR(value or null))
//! record_root root over 16 slots, inner node SHA-256(0x05 ‖ left ‖ right)
//! auth        SHA-256(0x07 ‖ class u8 ‖ D ‖ HMAC-SHA-256(leaf seed, 0x10)[..16])
//! ```
//! What the slots of a kind mean is a table in `proto/vectors/slots.json`; this room only commits to them.

use crate::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::digest::{Digest, HmacKey, hmac_sha256, sha256};
use crate::encoding::{Blob, Canonical, DecodeError, Decoder, Encoder, tag};
use crate::time::TimeMs;
use crate::{canonical_enum, canonical_struct};

/// The largest leaf in bytes: entry bundles have u16 length prefixes.
pub const LEAF_BYTES_MAX: usize = 65_535;
/// The version of leaves that carry no promise yet.
pub const LEAF_VERSION: u8 = 0;
/// How many slots a record has.
pub const SLOT_COUNT: usize = 16;

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
    /// Feature level, settings, proposals that need two admins.
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
    seq,
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
const NULL: [u8; 1] = [0xf6];

fn salt(key: &HmacKey, slot: u8) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&key.mac(&[&[slot]]).0[..16]);
    out
}

fn slot_hash(slot: u8, salt16: &[u8; 16], value: Option<&[u8]>) -> Digest {
    sha256(&[&[tag::SLOT, slot], salt16, value.unwrap_or(&NULL)])
}

fn slots_root(mut row: [Digest; SLOT_COUNT]) -> Digest {
    let mut width = SLOT_COUNT;
    while 1 < width {
        width /= 2;
        for i in 0..width {
            row[i] = sha256(&[&[tag::SLOT_NODE], &row[2 * i].0, &row[2 * i + 1].0]);
        }
    }
    row[0]
}

/// The sixteen values of a record, each canonical bytes or null.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Slots {
    /// Canonical bytes of each slot; `None` is null.
    pub values: [Option<Vec<u8>>; SLOT_COUNT],
}

impl Slots {
    /// All null.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value into a slot. A value whose canonical form is null leaves the slot null.
    ///
    /// # Panics
    /// When `slot` is not below 16: slots are constants of our own tables.
    pub fn set(&mut self, slot: u8, value: &impl Canonical) {
        let bytes = value.to_bytes();
        self.values[usize::from(slot)] = (bytes != NULL).then_some(bytes);
    }

    /// The root that the leaf commits to.
    pub fn root(&self, leaf_seed: &LeafSeed) -> Digest {
        let key = HmacKey::new(leaf_seed);
        slots_root(std::array::from_fn(|i| {
            let slot = i as u8;
            slot_hash(slot, &salt(&key, slot), self.values[i].as_deref())
        }))
    }

    /// Shows the slots named and hides the others behind their hashes.
    pub fn disclose(&self, leaf_seed: &LeafSeed, slots: &[u8]) -> Disclosure {
        let key = HmacKey::new(leaf_seed);
        Disclosure {
            slots: Box::new(std::array::from_fn(|i| {
                let slot = i as u8;
                let salt = salt(&key, slot);
                if slots.contains(&slot) {
                    SlotView::Shown {
                        salt,
                        value: self.values[i].clone(),
                    }
                } else {
                    SlotView::Hidden(slot_hash(slot, &salt, self.values[i].as_deref()))
                }
            })),
        }
    }
}

/// An array of sixteen byte strings or nulls.
impl Canonical for Slots {
    fn encode(&self, e: &mut Encoder) {
        e.array(SLOT_COUNT);
        for value in &self.values {
            match value {
                Some(bytes) => e.bytes(bytes),
                None => e.null(),
            }
        }
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.array_of(SLOT_COUNT)?;
        let mut out = Self::default();
        for value in &mut out.values {
            let at = d.clone();
            *value = Option::<Blob>::decode(d)?.map(|blob| blob.0);
            if let Some(bytes) = value {
                well_formed(&at, bytes)?;
                if *bytes == NULL {
                    return Err(at.invalid("null inside a byte string"));
                }
            }
        }
        d.leave();
        Ok(out)
    }
}

/// Refuses bytes that are not one canonical value; `at` is where they stood.
fn well_formed(at: &Decoder<'_>, bytes: &[u8]) -> Result<(), DecodeError> {
    crate::encoding::well_formed(bytes).map_err(|error| at.fault(error.fault))
}

/// One slot in a disclosure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotView {
    /// Its salt and its canonical bytes (`None` is null).
    Shown {
        /// The salt of the slot.
        salt: [u8; 16],
        /// Canonical bytes of the value.
        value: Option<Vec<u8>>,
    },
    /// Its hash only.
    Hidden(Digest),
}

/// A record with some slots shown and the others hidden, as it was received; see [`Disclosure::verify`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disclosure {
    /// The sixteen slots in order.
    pub slots: Box<[SlotView; SLOT_COUNT]>,
}

/// Each slot is `[salt16, bytes]` when shown (the bytes hold the canonical value or null), else the 32-byte hash.
impl Canonical for Disclosure {
    fn encode(&self, e: &mut Encoder) {
        e.array(SLOT_COUNT);
        for view in self.slots.iter() {
            match view {
                SlotView::Hidden(hash) => e.bytes(&hash.0),
                SlotView::Shown { salt, value } => {
                    e.array(2);
                    e.bytes(salt);
                    e.bytes(value.as_deref().unwrap_or(&NULL));
                }
            }
        }
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.array_of(SLOT_COUNT)?;
        let mut slots = Box::new([const { SlotView::Hidden(Digest::ZERO) }; SLOT_COUNT]);
        for view in slots.iter_mut() {
            *view = match d.clone().bytes_of::<32>() {
                Ok(_) => SlotView::Hidden(Digest::decode(d)?),
                Err(_) => {
                    d.array_of(2)?;
                    let salt = d.bytes_of()?;
                    let at = d.clone();
                    let bytes = d.bytes()?;
                    well_formed(&at, bytes)?;
                    d.leave();
                    let value = (bytes != NULL).then(|| bytes.to_vec());
                    SlotView::Shown { salt, value }
                }
            };
        }
        d.leave();
        Ok(Self { slots })
    }
}

/// Why a disclosure does not belong to a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the slots have root {found}, the leaf says {expected}")]
pub struct DisclosureError {
    /// The record root of the leaf.
    pub expected: Digest,
    /// The root of the slots disclosed.
    pub found: Digest,
}

impl Disclosure {
    /// The root that these slots have.
    pub fn root(&self) -> Digest {
        slots_root(std::array::from_fn(|i| match &self.slots[i] {
            SlotView::Hidden(hash) => *hash,
            SlotView::Shown { salt, value } => slot_hash(i as u8, salt, value.as_deref()),
        }))
    }

    /// Compares the slots with the record root of a leaf that is proven already.
    ///
    /// # Errors
    /// Both roots, when they differ.
    pub fn verify(self, record_root: &Digest) -> Result<DisclosedSlots, DisclosureError> {
        let found = self.root();
        if found != *record_root {
            return Err(DisclosureError {
                expected: *record_root,
                found,
            });
        }
        Ok(DisclosedSlots(self))
    }
}

/// Slots that belong to the record root they were verified against. Only [`Disclosure::verify`] makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisclosedSlots(Disclosure);

/// Why a slot has no value to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The slot was not disclosed: nothing is known about it.
    #[error("slot {0} is hidden")]
    Hidden(u8),
    /// There is no such slot.
    #[error("there is no slot {0}")]
    NoSuchSlot(u8),
    /// The value is not of the type asked for.
    #[error("slot {slot} is not of the expected type")]
    Decode {
        /// The slot.
        slot: u8,
        /// Where and why.
        #[source]
        source: DecodeError,
    },
}

impl DisclosedSlots {
    /// The value of a slot; `None` when the slot was disclosed and is null.
    ///
    /// # Errors
    /// When the slot is hidden, or holds another type.
    pub fn get<T: Canonical>(&self, slot: u8) -> Result<Option<T>, SlotError> {
        self.bytes(slot)?
            .map(T::from_bytes)
            .transpose()
            .map_err(|source| SlotError::Decode { slot, source })
    }

    /// The canonical bytes of a slot; `None` when the slot was disclosed and is null.
    ///
    /// # Errors
    /// When the slot is hidden.
    pub fn bytes(&self, slot: u8) -> Result<Option<&[u8]>, SlotError> {
        match self.0.slots.get(usize::from(slot)) {
            Some(SlotView::Shown { value, .. }) => Ok(value.as_deref()),
            Some(SlotView::Hidden(_)) => Err(SlotError::Hidden(slot)),
            None => Err(SlotError::NoSuchSlot(slot)),
        }
    }

    /// The numbers of the slots that are shown.
    pub fn shown(&self) -> impl Iterator<Item = u8> + '_ {
        let shown = |view: &SlotView| matches!(view, SlotView::Shown { .. });
        (0u8..)
            .zip(self.0.slots.iter())
            .filter(move |(_, view)| shown(view))
            .map(|(slot, _)| slot)
    }

    /// The disclosure as it was received.
    pub fn disclosure(&self) -> &Disclosure {
        &self.0
    }
}
