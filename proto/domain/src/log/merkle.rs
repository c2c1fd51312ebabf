//! The RFC 6962 tree: hashes, the right edge that grows, inclusion, consistency and range proofs.
//!
//! Storage is asked through [`Nodes`] for complete subtrees only; what a leaf means is not known here.

use crate::bytes::digest::{Digest, sha256, sha256_pair};
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder, tag};
use crate::canonical_struct;
use crate::limits::{Bound, Index, RANGE_PROOF_COUNT_MAX};

/// `SHA-256(0x00 ‖ bytes)`.
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    sha256(&[&[tag::TREE_LEAF], bytes])
}

/// `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256_pair(tag::TREE_NODE, left, right)
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    sha256(&[])
}

/// The root over leaf hashes.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "indices of a row, which is in memory"
)]
pub fn tree_root(leaves: &[Digest]) -> Digest {
    if leaves.is_empty() {
        return empty_root();
    }
    let mut row = leaves.to_vec();
    while 1 < row.len() {
        let count = row.len();
        for i in 0..count / 2 {
            row[i] = node_hash(&row[2 * i], &row[2 * i + 1]);
        }
        if count % 2 == 1 {
            row[count / 2] = row[count - 1];
        }
        row.truncate(count.div_ceil(2));
    }
    row[0]
}

/// A complete subtree: `2^level` leaves from `index * 2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// 0 is a leaf.
    pub level: u8,
    /// 0-based index among the nodes of the level.
    pub index: u64,
    /// Of all the leaves below it; of a leaf itself at level 0.
    pub hash: Digest,
}

canonical_struct!(Node {
    level,
    index: Index,
    hash
});

/// Gives complete subtrees of a stored tree.
pub trait Nodes {
    /// How the store fails.
    type Fault;

    /// The hash of a complete subtree.
    ///
    /// # Errors
    /// When it cannot be read, or is not there.
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Fault>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    type Fault = N::Fault;
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Fault> {
        (**self).node(level, index)
    }
}

/// Leaf hashes in memory: the naive store, for requests and tests.
impl Nodes for [Digest] {
    type Fault = std::convert::Infallible;
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a complete subtree of leaves in memory"
    )]
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Fault> {
        let start = (index as usize) << level;
        Ok(tree_root(&self[start..start + (1 << level)]))
    }
}

/// The right edge of a tree: enough to append and to know the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Frontier {
    size: u64,
    /// Complete subtrees from left to right: one for each bit of `size`, the highest first.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a stored tree of `size` leaves.
    ///
    /// # Errors
    /// The fault of the store.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the bits of a size add up to it"
    )]
    pub fn load<N: Nodes + ?Sized>(nodes: &N, size: u64) -> Result<Self, N::Fault> {
        let mut peaks = Vec::new();
        let mut start = 0;
        for level in (0..64u8).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(nodes.node(level, start >> level)?);
            start += 1 << level;
        }
        Ok(Self { size, peaks })
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash and gives every subtree that became complete, the leaf itself first.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "one level a bit of the size; the size is asserted below"
    )]
    pub fn append(&mut self, leaf: Digest) -> Vec<Node> {
        let mut node = Node {
            level: 0,
            index: self.size,
            hash: leaf,
        };
        let mut complete = Vec::with_capacity(self.size.trailing_ones() as usize + 1);
        complete.push(node);
        while self.size >> node.level & 1 == 1 {
            let left = self
                .peaks
                .pop()
                .expect("invariant: a peak for each bit of the size");
            let hash = node_hash(&left, &node.hash);
            node = Node {
                level: node.level + 1,
                index: node.index >> 1,
                hash,
            };
            complete.push(node);
        }
        self.peaks.push(node.hash);
        self.size = crate::limits::next_own(self.size);
        complete
    }

    /// Over all leaves so far; of none, the hash of the empty string (RFC 6962, 2.1).
    pub fn root(&self) -> Digest {
        let fold = |right: Digest, left: &Digest| node_hash(left, &right);
        match self.peaks.split_last() {
            None => empty_root(),
            Some((last, lefts)) => lefts.iter().rev().fold(*last, fold),
        }
    }
}

/// `[size, [peak…]]`, a peak for each bit of the size.
impl Canonical for Frontier {
    fn encode(&self, e: &mut Encoder) {
        e.array(2);
        e.uint(self.size);
        self.peaks.encode(e);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.array_of(2)?;
        let size = <Index as Bound<u64>>::read(d)?;
        let peaks = Vec::<Digest>::decode(d)?;
        if peaks.len() != size.count_ones() as usize {
            return Err(d.invalid("a frontier has one peak for each bit of its size"));
        }
        d.leave();
        Ok(Self { size, peaks })
    }
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The positions cannot be: an index past the size, a smaller tree that is larger.
    #[error("positions {first} and {second} do not fit a tree")]
    Positions {
        /// Index or older size.
        first: u64,
        /// Size.
        second: u64,
    },
    /// The proof has too few or too many hashes.
    #[error("the proof has a wrong number of hashes: {0}")]
    Length(usize),
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The hash over leaves `[start, end)`, from complete subtrees; `start` is a multiple of the power of two at or above
/// the length, as it is for every subtree of RFC 6962.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a range of leaves lies below the size of the tree, at most 2^48"
)]
fn subtree<N: Nodes + ?Sized>(nodes: &N, start: u64, end: u64) -> Result<Digest, N::Fault> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros() as u8;
        return nodes.node(level, start >> level);
    }
    let middle = start + split(count);
    Ok(node_hash(
        &subtree(nodes, start, middle)?,
        &subtree(nodes, middle, end)?,
    ))
}

/// The largest power of two below `count`, which is at least 2.
#[expect(clippy::arithmetic_side_effects, reason = "a count of at least 2")]
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root of the first `size` leaves.
///
/// # Errors
/// The fault of the store.
pub fn root_at<N: Nodes + ?Sized>(nodes: &N, size: u64) -> Result<Digest, N::Fault> {
    if size == 0 {
        Ok(empty_root())
    } else {
        subtree(nodes, 0, size)
    }
}

/// The path from leaf `index` to the root of the first `size` leaves, nearest first (RFC 6962 §2.1.1).
///
/// # Errors
/// The fault of the store.
///
/// # Panics
/// When `index` is not below `size`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a range of leaves lies below the size of the tree, at most 2^48"
)]
pub fn inclusion_proof<N: Nodes + ?Sized>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Vec<Digest>, N::Fault> {
    assert!(index < size, "a proof is for a leaf of the tree");
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while 1 < end - start {
        let middle = start + split(end - start);
        if index < middle {
            path.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 6962 §2.1.2); empty when
/// `old` is 0 or `new`.
///
/// # Errors
/// The fault of the store.
///
/// # Panics
/// When `old` is above `new`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a range of leaves lies below the size of the tree, at most 2^48"
)]
pub fn consistency_proof<N: Nodes + ?Sized>(
    nodes: &N,
    old: u64,
    new: u64,
) -> Result<Vec<Digest>, N::Fault> {
    assert!(old <= new, "an older tree is not larger");
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    let (mut start, mut end) = (0, new);
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    // The verifier knows the old root already when the old tree is complete.
    if start != 0 {
        path.push(subtree(nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// The hashes beside leaves `[first, first + count)` that lead to the root of `size` leaves, from left to right; empty
/// when they are all.
///
/// # Errors
/// The fault of the store.
///
/// # Panics
/// When the range is empty or does not lie in the tree.
pub fn range_proof<N: Nodes + ?Sized>(
    nodes: &N,
    first: u64,
    count: u64,
    size: u64,
) -> Result<Vec<Digest>, N::Fault> {
    let end = first
        .checked_add(count)
        .filter(|end| *end <= size && 0 < count);
    let end = end.expect("a range proof is for leaves of the tree");
    let mut out = Vec::new();
    range_beside(nodes, (first, end), (0, size), &mut out)?;
    Ok(out)
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "a range of leaves lies below the size of the tree, at most 2^48"
)]
fn range_beside<N: Nodes + ?Sized>(
    nodes: &N,
    range: (u64, u64),
    tree: (u64, u64),
    out: &mut Vec<Digest>,
) -> Result<(), N::Fault> {
    if tree.1 <= range.0 || range.1 <= tree.0 {
        out.push(subtree(nodes, tree.0, tree.1)?);
        return Ok(());
    }
    if range.0 <= tree.0 && tree.1 <= range.1 {
        return Ok(());
    }
    let middle = tree.0 + split(tree.1 - tree.0);
    range_beside(nodes, range, (tree.0, middle), out)?;
    range_beside(nodes, range, (middle, tree.1), out)
}

/// Verifies that `leaves` (leaf hashes) stand from index `first` in the tree of `size` leaves with this root.
///
/// # Errors
/// Why the proof proves nothing.
pub fn verify_range(
    leaves: &[Digest],
    first: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    let end = first
        .checked_add(leaves.len() as u64)
        .filter(|end| *end <= size);
    let Some(end) = end.filter(|end| first < *end) else {
        return Err(ProofError::Positions {
            first,
            second: size,
        });
    };
    if RANGE_PROOF_COUNT_MAX < proof.len() {
        return Err(ProofError::Length(proof.len()));
    }
    let mut rest = proof.iter();
    let found = range_root(leaves, (first, end), (0, size), &mut rest);
    let found = found
        .filter(|_| rest.len() == 0)
        .ok_or(ProofError::Length(proof.len()))?;
    if found == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// The hash of `tree`; `None` when the proof is too short.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the range was compared with the size: both lie below it, and one in the other"
)]
fn range_root<'a>(
    leaves: &[Digest],
    range: (u64, u64),
    tree: (u64, u64),
    proof: &mut impl Iterator<Item = &'a Digest>,
) -> Option<Digest> {
    if tree.1 <= range.0 || range.1 <= tree.0 {
        return proof.next().copied();
    }
    if range.0 <= tree.0 && tree.1 <= range.1 {
        let (start, end) = ((tree.0 - range.0) as usize, (tree.1 - range.0) as usize);
        return Some(tree_root(&leaves[start..end]));
    }
    let middle = tree.0 + split(tree.1 - tree.0);
    let left = range_root(leaves, range, (tree.0, middle), proof)?;
    let right = range_root(leaves, range, (middle, tree.1), proof)?;
    Some(node_hash(&left, &right))
}

/// Verifies that a leaf hash stands at `index` in the tree of `size` leaves with this root (RFC 9162 §2.1.3.2).
///
/// # Errors
/// Why the proof proves nothing.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    let Some(last) = size.checked_sub(1).filter(|last| index <= *last) else {
        return Err(ProofError::Positions {
            first: index,
            second: size,
        });
    };
    let (mut at, mut last) = (index, last);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length(proof.len()));
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(proof.len()));
    }
    if hash == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Verifies that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 9162 §2.1.4.2). The tree
/// without leaves begins every tree.
///
/// # Errors
/// Why the proof proves nothing.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if new < old {
        return Err(ProofError::Positions {
            first: old,
            second: new,
        });
    }
    if old == 0 || old == new {
        return match proof.len() {
            0 if old == new && old_root != new_root => Err(ProofError::Root),
            0 if old == 0 && *old_root != empty_root() => Err(ProofError::Root),
            0 => Ok(()),
            count => Err(ProofError::Length(count)),
        };
    }
    let (Some(mut at), Some(mut last)) = (old.checked_sub(1), new.checked_sub(1)) else {
        return Err(ProofError::Positions {
            first: old,
            second: new,
        });
    };
    let complete = old.is_power_of_two().then_some(old_root);
    let mut path = complete.into_iter().chain(proof);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let seed = *path.next().ok_or(ProofError::Length(proof.len()))?;
    let (mut old_hash, mut new_hash) = (seed, seed);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Length(proof.len()));
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(proof.len()));
    }
    if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}
