//! A leaf as its own registry keeps it.

use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Blob, Canonical, DecodeError};
use crate::limits::{Index, List, MAP_CHANGES_MAX, Maybe};
use crate::log::leaf::{DisclosedSlots, Disclosure, DisclosureError, Leaf, SLOT_COUNT};

/// A leaf as this registry keeps it: its bytes and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRecord {
    /// Canonical bytes of the leaf.
    pub leaf: Blob,
    /// Seed of its salts.
    pub seed: [u8; 32],
    /// Canonical values of its sixteen slots; `None` stands for null.
    pub values: Vec<Option<Blob>>,
    /// What it changes in the state map: key and value digest.
    pub map: Vec<(Digest, Digest)>,
    /// Class of its authorisation.
    pub class: u8,
    /// Index of the first leaf of its entry: where the envelope is kept.
    pub envelope: u64,
    /// Class 0: 0-based index of its item among all items signed. Else 0.
    pub item: u32,
    /// Index of the leaf before it of the same subject.
    pub before: Option<u64>,
    /// Index of the leaf that it jumps to ([`crate::log::head::jump_from`]).
    pub jump: Option<u64>,
    /// Index of the newest leaf of the subject's trail before this one ([`crate::log::head::Head::step`]).
    pub step_before: Option<u64>,
}
crate::canonical_struct!(LeafRecord {
    leaf,
    seed,
    values: List<SLOT_COUNT>,
    map: List<MAP_CHANGES_MAX>,
    class,
    envelope: Index,
    item,
    before: Maybe<Index>,
    jump: Maybe<Index>,
    step_before: Maybe<Index>
});

/// A leaf as somebody may see it: its bytes, the slots that are for them, and nothing that opens another. What a
/// [`LeafRecord`] has besides, the seed of its salts above all, never leaves its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLeaf {
    /// Canonical bytes of the leaf.
    pub leaf: Blob,
    /// Its slots, as far as they are shown.
    pub disclosed: Disclosure,
}
crate::canonical_struct!(ShownLeaf { leaf, disclosed });

/// Why a leaf that was shown is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShownError {
    /// The leaf is not canonical.
    #[error("not a leaf")]
    Leaf(#[from] DecodeError),
    /// Its slots are another's.
    #[error("the slots are not of this leaf")]
    Slots(#[from] DisclosureError),
}

impl ShownLeaf {
    /// The leaf, and its slots held to the root in it.
    ///
    /// # Errors
    /// It is not a leaf, or the slots are not its own.
    pub fn open(self) -> Result<OpenedLeaf, ShownError> {
        // level: a leaf of our own.
        let leaf = Leaf::from_bytes(&self.leaf.0)?;
        let slots = self.disclosed.verify(&leaf.record_root)?;
        Ok(OpenedLeaf {
            bytes: self.leaf,
            leaf,
            slots,
        })
    }
}

/// A leaf whose slots belong to it. Only [`ShownLeaf::open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedLeaf {
    bytes: Blob,
    leaf: Leaf,
    slots: DisclosedSlots,
}

impl OpenedLeaf {
    /// Its canonical bytes, which its hash is over.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes.0
    }

    /// As its bytes were read, once.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// Its slots, as far as they are shown.
    pub fn slots(&self) -> &DisclosedSlots {
        &self.slots
    }
}
