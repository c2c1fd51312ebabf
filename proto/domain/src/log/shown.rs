//! Leaves of one log as another registry is shown them, and as it keeps them: bytes, proofs, and the slots that are opened.
//!
//! Nothing is verified here: that is `custody::proven`.

use crate::bytes::digest::Digest;
use crate::bytes::encoding::Blob;
use crate::limits::{CHAIN_MAX, Index, Lines, List, NOTE_KEPT_BYTES_MAX, PROOF_COUNT_MAX};
use crate::log::leaf::Disclosure;

/// A leaf of a peer with what proves and opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenLeaf {
    /// Its index in the peer's log.
    pub index: u64,
    /// Its bytes.
    pub leaf: Blob,
    /// Inclusion path under the checkpoint it came with.
    pub path: Vec<Digest>,
    /// Its slots, as far as disclosed.
    pub disclosed: Disclosure,
}
crate::canonical_struct!(ProvenLeaf {
    index: Index,
    leaf,
    path: List<PROOF_COUNT_MAX>,
    disclosed
});

/// Custody steps of one robot in a row that one registry wrote, under one of its heads; of each slot 12 alone is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRun {
    /// The head, a signed note; its origin line names the registry.
    pub checkpoint: String,
    /// The steps, oldest first.
    pub leaves: Vec<ProvenLeaf>,
}
crate::canonical_struct!(ChainRun {
    checkpoint: Lines<NOTE_KEPT_BYTES_MAX>,
    leaves: List<CHAIN_MAX>
});
