//! The sixteen slots of a record: their root, and how some are shown while the others stay hidden.
//!
//! ```text
//! slot        SHA-256(0x04 ‖ slot u8 ‖ salt16 ‖ CBOR(value or null))
//! group       SHA-256(0x05 ‖ the hashes of its four slots)
//! record_root SHA-256(0x05 ‖ the hashes of the four groups)
//! ```
//! Which slots share a group: [`GROUPS`]. A group of which nothing is shown costs one hash in a disclosure.
//! What a slot means depends on whom the leaf is about: [`slot_names`]. The types of the values are `event.rs`'s business.

use crate::bytes::digest::{Digest, sha256, sha256_four};
use crate::bytes::encoding::{Blob, Canonical, DecodeError, Decoder, Encoder, tag};
use crate::bytes::level::Level;
pub use crate::log::seed::SLOT_COUNT;
use crate::log::seed::{Expansion, LeafSeed};
use crate::log::subject::SubjectType;

const NULL: [u8; 1] = [0xf6];

/// How many groups the slots of a record stand in, and how many slots stand in one.
pub const GROUP_COUNT: usize = 4;

/// The slots of each group, in the order in which they are hashed. Slots that are shown together stand together: those
/// that anybody sees, those that anybody sees of a robot's condition, those for authorities, and the private ones.
pub const GROUPS: [[u8; GROUP_COUNT]; GROUP_COUNT] =
    [[0, 1, 2, 12], [3, 8, 9, 15], [4, 5, 10, 14], [6, 7, 11, 13]];

/// Where each slot stands: group and place.
const PLACES: [(usize, usize); SLOT_COUNT] = {
    let mut places = [(GROUP_COUNT, GROUP_COUNT); SLOT_COUNT];
    let (mut group, mut place) = (0, 0);
    while group < GROUP_COUNT {
        places[GROUPS[group][place] as usize] = (group, place);
        place += 1;
        if place == GROUP_COUNT {
            (group, place) = (group + 1, 0);
        }
    }
    let mut slot = 0;
    while slot < SLOT_COUNT {
        assert!(places[slot].0 < GROUP_COUNT, "every slot stands in a group");
        slot += 1;
    }
    places
};

/// What each slot of a leaf about such a subject holds; `None` is always null. A map head has no slots: its record root
/// is the root of the map.
pub fn slot_names(subject: SubjectType) -> [Option<&'static str>; SLOT_COUNT] {
    let mut names = [None; SLOT_COUNT];
    match subject {
        SubjectType::MapHead => return names,
        SubjectType::Robot => {
            return [
                Some("code"),
                Some("model, approval relied on, clause"),
                Some("body identity"),
                Some("manufacture, declared country of origin, importer's filing"),
                Some("identity parts (root)"),
                Some("robot key"),
                Some("owner, holder of record, importer of record"),
                Some("operator, site, scenario"),
                Some("state, holds, owed recalls"),
                Some("level, safety class, software and AI models"),
                Some("event"),
                Some("personal part of the event"),
                Some("custody"),
                Some("custody secret"),
                Some("foreign evidence"),
                Some("correction, other parts"),
            ];
        }
        SubjectType::Office => {
            names[1] = Some("record after the event");
            names[15] = Some("what was proposed, and the proposal before it");
        }
        SubjectType::Enterprise | SubjectType::Model | SubjectType::Recall => {
            names[1] = Some("record after the event");
        }
        SubjectType::Agreement
        | SubjectType::Peer
        | SubjectType::KeyList
        | SubjectType::DefectCase
        | SubjectType::Jurisdiction => {}
    }
    names[0] = Some("subject name");
    names[10] = Some("event");
    names[11] = Some("personal part of the event");
    names[14] = Some("evidence");
    names
}

fn slot_hash(slot: u8, salt16: &[u8; 16], value: Option<&[u8]>) -> Digest {
    sha256(&[&[tag::SLOT, slot], salt16, value.unwrap_or(&NULL)])
}

fn slots_root(slot: impl Fn(u8) -> Digest) -> Digest {
    let group = |slots: [u8; GROUP_COUNT]| sha256_four(tag::SLOT_NODE, &slots.map(&slot));
    sha256_four(tag::SLOT_NODE, &GROUPS.map(group))
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
        self.root_under(&Expansion::of(leaf_seed))
    }

    /// As [`Slots::root`], of a seed that is expanded already.
    pub fn root_under(&self, expansion: &Expansion) -> Digest {
        slots_root(|slot| self.hash(slot, expansion))
    }

    fn hash(&self, slot: u8, expansion: &Expansion) -> Digest {
        let (at, salts) = (usize::from(slot), expansion.salts());
        slot_hash(slot, &salts[at], self.values[at].as_deref())
    }

    /// Shows the slots named and hides the others behind their hashes, those of a whole group behind one.
    pub fn disclose(&self, leaf_seed: &LeafSeed, slots: &[u8]) -> Disclosure {
        let expansion = Expansion::of(leaf_seed);
        let groups = GROUPS.map(|group| {
            if group.iter().any(|slot| slots.contains(slot)) {
                GroupView::Open(Box::new(group.map(|slot| {
                    if slots.contains(&slot) {
                        SlotView::Shown {
                            salt: expansion.salts()[usize::from(slot)],
                            value: self.values[usize::from(slot)].clone(),
                        }
                    } else {
                        SlotView::Hidden(self.hash(slot, &expansion))
                    }
                })))
            } else {
                let hashes = group.map(|slot| self.hash(slot, &expansion));
                GroupView::Hidden(sha256_four(tag::SLOT_NODE, &hashes))
            }
        });
        Disclosure { groups }
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
    crate::bytes::encoding::well_formed(bytes).map_err(|error| at.fault(error.fault))
}

/// One slot in a disclosure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotView {
    /// Its salt and its canonical bytes (`None` is null).
    Shown {
        /// Of this slot alone, from the expansion of the leaf's seed: it opens no other.
        salt: [u8; 16],
        /// Canonical bytes of the value.
        value: Option<Vec<u8>>,
    },
    /// Its hash only.
    Hidden(Digest),
}

/// One group of slots in a disclosure, in the order of [`GROUPS`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupView {
    /// Something of it is shown.
    Open(Box<[SlotView; GROUP_COUNT]>),
    /// Nothing of it is shown: its hash only.
    Hidden(Digest),
}

/// A record with some slots shown and the others hidden, as it was received; see [`Disclosure::verify`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disclosure {
    /// The four groups in order.
    pub groups: [GroupView; GROUP_COUNT],
}

/// Each group is its 32-byte hash when nothing of it is shown, else an array of its four slots. A slot is
/// `[salt16, bytes]` when shown (the bytes hold the canonical value or null), else its 32-byte hash.
impl Canonical for Disclosure {
    fn encode(&self, e: &mut Encoder) {
        e.array(GROUP_COUNT);
        for group in &self.groups {
            match group {
                GroupView::Hidden(hash) => e.bytes(&hash.0),
                GroupView::Open(views) => {
                    e.array(GROUP_COUNT);
                    views.iter().for_each(|view| view.encode(e));
                }
            }
        }
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.array_of(GROUP_COUNT)?;
        let mut groups = [const { GroupView::Hidden(Digest::ZERO) }; GROUP_COUNT];
        for group in &mut groups {
            if d.clone().bytes_of::<32>().is_ok() {
                *group = GroupView::Hidden(Digest::decode(d)?);
                continue;
            }
            d.array_of(GROUP_COUNT)?;
            let at = d.clone();
            let mut views = Box::new([const { SlotView::Hidden(Digest::ZERO) }; GROUP_COUNT]);
            for view in views.iter_mut() {
                *view = SlotView::decode(d)?;
            }
            d.leave();
            // One form: what shows nothing is one hash.
            if views.iter().all(|view| matches!(view, SlotView::Hidden(_))) {
                return Err(at.invalid("a group that shows nothing is not one hash"));
            }
            *group = GroupView::Open(views);
        }
        d.leave();
        Ok(Self { groups })
    }
}

impl Canonical for SlotView {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Hidden(hash) => e.bytes(&hash.0),
            Self::Shown { salt, value } => {
                e.array(2);
                e.bytes(salt);
                e.bytes(value.as_deref().unwrap_or(&NULL));
            }
        }
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        if d.clone().bytes_of::<32>().is_ok() {
            return Digest::decode(d).map(Self::Hidden);
        }
        d.array_of(2)?;
        let salt = d.bytes_of()?;
        let at = d.clone();
        let bytes = d.bytes()?;
        well_formed(&at, bytes)?;
        d.leave();
        let value = (bytes != NULL).then(|| bytes.to_vec());
        Ok(Self::Shown { salt, value })
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
        let hashes: [Digest; GROUP_COUNT] =
            std::array::from_fn(|group| match &self.groups[group] {
                GroupView::Hidden(hash) => *hash,
                GroupView::Open(views) => {
                    let hashes = std::array::from_fn(|place| match &views[place] {
                        SlotView::Hidden(hash) => *hash,
                        SlotView::Shown { salt, value } => {
                            slot_hash(GROUPS[group][place], salt, value.as_deref())
                        }
                    });
                    sha256_four(tag::SLOT_NODE, &hashes)
                }
            });
        sha256_four(tag::SLOT_NODE, &hashes)
    }

    /// How a slot stands here; `None` when its whole group is hidden, or there is no such slot.
    pub fn view(&self, slot: u8) -> Option<&SlotView> {
        let (group, place) = *PLACES.get(usize::from(slot))?;
        match self.groups.get(group)? {
            GroupView::Hidden(_) => None,
            GroupView::Open(views) => views.get(place),
        }
    }

    /// The same record with nothing shown but these of the slots that it shows.
    #[must_use]
    pub fn narrowed(&self, slots: &[u8]) -> Self {
        let mut narrowed = self.clone();
        for (group, numbers) in narrowed.groups.iter_mut().zip(GROUPS) {
            let GroupView::Open(views) = group else {
                continue;
            };
            for (view, slot) in views.iter_mut().zip(numbers) {
                if let SlotView::Shown { salt, value } = view
                    && !slots.contains(&slot)
                {
                    *view = SlotView::Hidden(slot_hash(slot, salt, value.as_deref()));
                }
            }
            let hashes = views.each_ref().map(|view| match view {
                SlotView::Hidden(hash) => Some(*hash),
                SlotView::Shown { .. } => None,
            });
            if let [Some(a), Some(b), Some(c), Some(d)] = hashes {
                *group = GroupView::Hidden(sha256_four(tag::SLOT_NODE, &[a, b, c, d]));
            }
        }
        narrowed
    }

    /// The numbers of the slots that are shown, ascending.
    pub fn shown(&self) -> impl Iterator<Item = u8> + '_ {
        let shown = |slot: &u8| matches!(self.view(*slot), Some(SlotView::Shown { .. }));
        (0u8..SLOT_COUNT as u8).filter(shown)
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
        Ok(DisclosedSlots(self, Level::KNOWN))
    }
}

/// Slots that belong to the record root they were verified against. Only [`Disclosure::verify`] makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisclosedSlots(Disclosure, Level);

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
        /// Its number, 0 to 15.
        slot: u8,
        /// Where and why.
        #[source]
        source: DecodeError,
    },
}

impl DisclosedSlots {
    /// The same slots, read by what a feature level knows.
    #[must_use]
    pub fn at(self, level: Level) -> Self {
        Self(self.0, level)
    }

    /// The value of a slot; `None` when the slot was disclosed and is null.
    ///
    /// # Errors
    /// When the slot is hidden, or holds another type.
    pub fn get<T: Canonical>(&self, slot: u8) -> Result<Option<T>, SlotError> {
        self.bytes(slot)?
            .map(|bytes| T::from_bytes_at(bytes, self.1))
            .transpose()
            .map_err(|source| SlotError::Decode { slot, source })
    }

    /// The canonical bytes of a slot; `None` when the slot was disclosed and is null.
    ///
    /// # Errors
    /// When the slot is hidden.
    pub fn bytes(&self, slot: u8) -> Result<Option<&[u8]>, SlotError> {
        match self.0.view(slot) {
            Some(SlotView::Shown { value, .. }) => Ok(value.as_deref()),
            None if usize::from(slot) >= SLOT_COUNT => Err(SlotError::NoSuchSlot(slot)),
            Some(SlotView::Hidden(_)) | None => Err(SlotError::Hidden(slot)),
        }
    }

    /// The numbers of the slots that are shown, ascending.
    pub fn shown(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.shown()
    }

    /// The disclosure as it was received.
    pub fn disclosure(&self) -> &Disclosure {
        &self.0
    }
}
