//! A leaf as its own registry keeps it.

use crate::bytes::digest::Digest;
use crate::bytes::encoding::Blob;
use crate::limits::{Index, List, MAP_CHANGES_MAX, Maybe};
use crate::log::leaf::SLOT_COUNT;

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
