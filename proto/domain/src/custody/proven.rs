//! A leaf of another registry's log under a signed head: the only way to a [`Proven`], and what that log shows of the time after it.
//!
//! Whether it is believed, and what it changes, is in `foreign`.

use crate::bytes::digest::Digest;
use crate::bytes::encoding::Canonical;
use crate::bytes::level::Level;
use crate::limits::LATER_LEAVES_MAX;
use crate::log::leaf::{DisclosedSlots, Kind, Leaf, leaf_bytes_hash};
use crate::log::map::MapAnswer;
use crate::log::merkle::verify_inclusion;
use crate::machine::entry::{NewestProof, ProvenHead, ProvenLeaf};

/// A leaf that is included under a peer's checkpoint, with its slots opened. Only [`prove`] makes one.
#[derive(Debug, Clone)]
pub struct Proven {
    pub(super) leaf: Leaf,
    pub(super) hash: Digest,
    pub(super) index: u64,
    pub(super) slots: DisclosedSlots,
}

impl Proven {
    /// As it stands in the peer's log.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// By which the peer's next leaf about the subject names it.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// In the peer's log, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What the peer discloses of it; the others are hidden, and their hashes proven with these.
    pub fn slots(&self) -> &DisclosedSlots {
        &self.slots
    }
}

/// Why there is no [`Proven`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproven {
    /// The proof does not hold: nobody's statement. Another node of the peer may prove it.
    Broken(String),
    /// The registry's own bytes under its own checkpoint, and not a leaf that is known here. It says nothing else later.
    Unreadable {
        /// Hash of the bytes.
        hash: Digest,
        /// Index of the leaf.
        index: u64,
        /// What is wrong with them.
        why: String,
    },
}

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::Unreadable { index, why, .. } => write!(f, "leaf {index}: {why}"),
        }
    }
}

/// Proves a leaf under a checkpoint's size and root, and reads it by everything that this binary knows.
///
/// # Errors
/// What does not hold, in words.
pub fn prove(leaf: &ProvenLeaf, size: u64, root: &Digest) -> Result<Proven, Unproven> {
    prove_at(leaf, size, root, Level::KNOWN)
}

/// Proves a leaf under a checkpoint's size and root, and reads it by what a feature level knows.
///
/// # Errors
/// As [`prove`].
pub fn prove_at(
    leaf: &ProvenLeaf,
    size: u64,
    root: &Digest,
    level: Level,
) -> Result<Proven, Unproven> {
    let index = leaf.index;
    let hash = leaf_bytes_hash(&leaf.leaf.0);
    verify_inclusion(&hash, index, size, &leaf.path, root)
        .map_err(|error| Unproven::Broken(format!("inclusion of leaf {index}: {error}")))?;
    let decoded =
        Leaf::from_bytes_at(&leaf.leaf.0, level).map_err(|error| Unproven::Unreadable {
            hash,
            index,
            why: error.to_string(),
        })?;
    let slots = leaf
        .disclosed
        .clone()
        .verify(&decoded.record_root)
        .map_err(|error| Unproven::Broken(format!("slots of leaf {index}: {error}")))?;
    Ok(Proven {
        leaf: decoded,
        hash,
        index,
        slots: slots.at(level),
    })
}

/// What a registry's own log shows of the time after a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// No custody step follows; the map shows this status.
    NoStep(u8),
    /// A custody step follows.
    Step,
    /// So many leaves follow that they are not shown: more than [`LATER_LEAVES_MAX`].
    Buried(u64),
}

/// Proves what follows a leaf of a subject under the checkpoint. A correction or an alarm may follow; the leaves in between
/// are shown, unless they are too many.
///
/// # Errors
/// What does not hold, in words. Nothing is proven then.
pub fn prove_newest(
    proof: &NewestProof,
    (leaf, hash): (&Leaf, &Digest),
    (size, root): (u64, &Digest),
    level: Level,
) -> Result<Since, String> {
    let decoded = prove_map_head(&proof.map_head, (size, root), level)?;
    let (key, value) = (&leaf.key, &proof.value);
    match proof.proof.verify(&decoded.record_root, key) {
        Ok(MapAnswer::Present(shown)) if shown == value.digest() => {}
        Ok(_) => return Err("the map shows another value".into()),
        Err(error) => return Err(format!("map proof: {error}")),
    }
    let after = value.seq.checked_sub(leaf.seq);
    if let Some(after) = after.filter(|after| *after > LATER_LEAVES_MAX as u64)
        && proof.later.is_empty()
    {
        return Ok(Since::Buried(after));
    }
    let (mut newest, mut steps) = (*hash, false);
    for bytes in &proof.later {
        let later =
            Leaf::from_bytes_at(&bytes.0, level).map_err(|error| format!("later leaf: {error}"))?;
        if later.key != *key || later.prev != newest {
            return Err("a leaf after it does not follow".into());
        }
        steps |= later.kind == Kind::Custody;
        newest = leaf_bytes_hash(&bytes.0);
    }
    if value.leaf_hash != newest {
        return Err("the map shows another newest leaf".into());
    }
    Ok(if steps {
        Since::Step
    } else {
        Since::NoStep(value.status)
    })
}

/// The map head of a log of this size and root: its last leaf.
///
/// # Errors
/// What does not hold, in words.
pub fn prove_map_head(
    head: &ProvenHead,
    (size, root): (u64, &Digest),
    level: Level,
) -> Result<Leaf, String> {
    if head.index.checked_add(1) != Some(size) {
        return Err("the map head is not the last leaf under the checkpoint".into());
    }
    let hash = leaf_bytes_hash(&head.leaf.0);
    verify_inclusion(&hash, head.index, size, &head.path, root)
        .map_err(|error| format!("inclusion of the map head: {error}"))?;
    let decoded =
        Leaf::from_bytes_at(&head.leaf.0, level).map_err(|error| format!("map head: {error}"))?;
    match decoded.kind {
        Kind::MapHead => Ok(decoded),
        _ => Err("the last leaf under the checkpoint is not a map head".into()),
    }
}
