//! The sixteen slots of a record: their root, and how some are shown while the others stay hidden.
//!
//! ```text
//! slot        SHA-256(0x04 ‖ slot u8 ‖ salt16 ‖ CBOR(value or null))
//! record_root root over 16 slots, inner node SHA-256(0x05 ‖ left ‖ right)
//! ```
//! What a slot means depends on the kind of the leaf: [`slot_names`]. The types of the values are `record.rs`'s business.

use crate::digest::{Digest, HmacKey, sha256, sha256_pair};
use crate::encoding::{Blob, Canonical, DecodeError, Decoder, Encoder, tag};
use crate::leaf::{Kind, LeafSeed, salt};

/// How many slots a record has.
pub const SLOT_COUNT: usize = 16;

const NULL: [u8; 1] = [0xf6];

/// What each slot of a leaf of this kind holds; `None` is always null. A map head has no slots: its record root is the
/// root of the map.
pub fn slot_names(kind: Kind) -> [Option<&'static str>; SLOT_COUNT] {
    match kind {
        Kind::MapHead => [None; SLOT_COUNT],
        Kind::Register
        | Kind::LifeCycle
        | Kind::Ownership
        | Kind::Hold
        | Kind::Custody
        | Kind::Incident => [
            Some("code"),
            Some("model, approval relied on, clause"),
            Some("body identity"),
            Some("manufacture, declared country of origin, importer's filing"),
            Some("identity parts (root)"),
            Some("robot key"),
            Some("owner"),
            Some("operator, site, scenario"),
            Some("state, holds, owed recalls"),
            Some("level, safety class, software and AI models"),
            Some("event"),
            Some("personal part of the event"),
            Some("custody"),
            Some("custody secret"),
            Some("foreign evidence"),
            Some("correction, other parts"),
        ],
        _ => {
            let mut names = [None; SLOT_COUNT];
            names[0] = Some("subject name");
            names[10] = Some("event");
            names[11] = Some("personal part of the event");
            names[14] = Some("evidence");
            names
        }
    }
}

fn slot_hash(slot: u8, salt16: &[u8; 16], value: Option<&[u8]>) -> Digest {
    sha256(&[&[tag::SLOT, slot], salt16, value.unwrap_or(&NULL)])
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "indices of a row of sixteen"
)]
fn slots_root(mut row: [Digest; SLOT_COUNT]) -> Digest {
    let mut width = SLOT_COUNT;
    while 1 < width {
        width /= 2;
        for i in 0..width {
            row[i] = sha256_pair(tag::SLOT_NODE, &row[2 * i], &row[2 * i + 1]);
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
