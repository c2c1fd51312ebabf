//! The state map: a sparse Merkle map that proves "this is the newest state" and "there is no such thing".
//!
//! ```text
//! leaf   SHA-256(0x02 ‖ key ‖ value)      inner  SHA-256(0x03 ‖ left ‖ right)      empty  32 zero bytes
//! ```
//! The most significant bit of the key decides first. Leaves are hoisted: a subtree with exactly one leaf has the hash of
//! that leaf. Nothing is ever removed from the map, so neither is anything here.
//!
//! It is stored in pages of four bit levels, so that sealing a batch reads and writes each page it touches once.

use std::collections::BTreeMap;

use crate::bytes::digest::{Digest, sha256, sha256_pair};
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder, tag};
use crate::limits::{Index, MAP_PROOF_COUNT_MAX, Sequence};
use crate::{canonical_enum, canonical_struct};

/// Status of a robot in the map: the first that holds, in the order 5, 6, 3, 7, 4, 8, 9, 2, 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RobotStatus {
    /// Nothing else holds.
    InForce,
    /// The code is reserved; no robot bears it yet.
    Reserved,
    /// Registered in error.
    Annulled,
    /// The end of life is declared and not yet confirmed.
    EndOfLifePending,
    /// Scrapped: final.
    Scrapped,
    /// Recycled: final.
    Recycled,
    /// In custody elsewhere.
    Departed,
    /// A hold stops it.
    Stopped,
    /// Released to this registry, not yet admitted.
    Released,
}

canonical_enum!(RobotStatus {
    1 => InForce,
    2 => Reserved,
    3 => Annulled,
    4 => EndOfLifePending,
    5 => Scrapped,
    6 => Recycled,
    7 => Departed,
    8 => Stopped,
    9 => Released,
});

/// Status of any other subject in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectStatus {
    /// May be relied on.
    InForce,
    /// Suspended: may come back.
    Suspended,
    /// For good: struck off, withdrawn, retired, over.
    Ended,
}

canonical_enum!(SubjectStatus { 1 => InForce, 2 => Suspended, 3 => Ended });

/// What the map says about a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapValue {
    /// Number of a [`RobotStatus`] or a [`SubjectStatus`].
    pub status: u8,
    /// `seq` of the newest leaf of the subject.
    pub seq: u64,
    /// 0-based index of that leaf in the log.
    pub leaf_index: u64,
    /// By which whoever was shown the value knows the leaf.
    pub leaf_hash: Digest,
    /// Zero but for models: digest of approval, enterprise status and recalls in force.
    pub facts: Digest,
}

canonical_struct!(MapValue {
    status,
    seq: Sequence,
    leaf_index: Index,
    leaf_hash,
    facts
});

impl MapValue {
    /// `SHA-256("carnet-map/1" ‖ status u8 ‖ seq u64be ‖ leaf index u64be ‖ leaf hash ‖ facts)`.
    pub fn digest(&self) -> Digest {
        sha256(&[
            tag::MAP_VALUE.as_bytes(),
            &[self.status],
            &self.seq.to_be_bytes(),
            &self.leaf_index.to_be_bytes(),
            &self.leaf_hash.0,
            &self.facts.0,
        ])
    }
}

/// `SHA-256(0x02 ‖ key ‖ value)`.
pub fn map_leaf_hash(key: &Digest, value: &Digest) -> Digest {
    sha256_pair(tag::MAP_LEAF, key, value)
}

/// `SHA-256(0x03 ‖ left ‖ right)`.
pub fn map_node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256_pair(tag::MAP_NODE, left, right)
}

const FANOUT: usize = 16;
const PAGE_DEPTH_MAX: u8 = 64;

/// Where a page stands: the nibbles of the keys below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PagePath {
    /// How many nibbles; below 64.
    depth: u8,
    /// The nibbles, then zeros.
    nibbles: [u8; 32],
}

impl PagePath {
    /// The page at the top.
    pub const ROOT: Self = Self {
        depth: 0,
        nibbles: [0; 32],
    };

    /// How many nibbles lead to the page.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// The key in storage: the depth, then the nibbles, two a byte. Pages of one depth lie together.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = usize::from(self.depth).div_ceil(2);
        [&[self.depth], &self.nibbles[..count]].concat()
    }

    /// The path of a key in storage.
    ///
    /// # Errors
    /// When the bytes are the path of no page.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "an odd depth has at least one byte of nibbles"
    )]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PageError> {
        let (&depth, rest) = bytes.split_first().ok_or(PageError::Path)?;
        if depth >= PAGE_DEPTH_MAX || rest.len() != usize::from(depth).div_ceil(2) {
            return Err(PageError::Path);
        }
        let mut nibbles = [0; 32];
        nibbles[..rest.len()].copy_from_slice(rest);
        if depth % 2 == 1 && nibbles[rest.len() - 1] & 0x0f != 0 {
            return Err(PageError::Path);
        }
        Ok(Self { depth, nibbles })
    }

    /// Whether a key lies below this page.
    fn leads_to(&self, key: &Digest) -> bool {
        let mut page = Self::ROOT;
        while page.depth < self.depth {
            page = page.child(page.nibble_of(key));
        }
        page == *self
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a path is at most 64 nibbles: keys differ before"
    )]
    fn child(&self, nibble: usize) -> Self {
        let mut nibbles = self.nibbles;
        let shift = if self.depth.is_multiple_of(2) { 4 } else { 0 };
        nibbles[usize::from(self.depth / 2)] |= (nibble as u8) << shift;
        Self {
            depth: self.depth + 1,
            nibbles,
        }
    }

    /// The nibble of a key that decides inside this page.
    fn nibble_of(&self, key: &Digest) -> usize {
        let byte = key.0[usize::from(self.depth / 2)];
        usize::from(if self.depth.is_multiple_of(2) {
            byte >> 4
        } else {
            byte & 0x0f
        })
    }
}

/// Why bytes from storage are not a page or its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not a path.
    #[error("the bytes are not the path of a map page")]
    Path,
    /// Not a page.
    #[error("the bytes are not a map page")]
    Page,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Child {
    Empty,
    Leaf(Digest, Digest),
    /// Hash of a subtree with at least two leaves, which has a page of its own.
    Sub(Digest),
}

/// Four bit levels of the map: sixteen children, each nothing, one leaf, or the hash of the page below.
#[derive(Debug, Clone)]
pub struct Page {
    children: Box<[Child; FANOUT]>,
    /// What its inner nodes amount to, where that was computed. It follows from the children, is not stored, and spares a page that
    /// stays in memory the hashes beside which nothing changed.
    inner: Option<Box<[Sum; FANOUT]>>,
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        self.children == other.children
    }
}

impl Eq for Page {}

impl Page {
    fn empty() -> Self {
        Self {
            children: Box::new([Child::Empty; FANOUT]),
            inner: None,
        }
    }

    /// The bytes in storage: which children are leaves (u16be), which are pages (u16be), then in order key ‖ value of a
    /// leaf or the hash of a page.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// As [`Self::to_bytes`], behind what is there.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "at most 32 hashes, and an index below 16 in 16 bits"
    )]
    pub fn write(&self, to: &mut Vec<u8>) {
        let (mut leaves, mut subs) = (0u16, 0u16);
        for (i, child) in self.children.iter().enumerate() {
            match child {
                Child::Empty => {}
                Child::Leaf(..) => leaves |= 1 << i,
                Child::Sub(_) => subs |= 1 << i,
            }
        }
        let hashes = 2 * leaves.count_ones() + subs.count_ones();
        to.reserve(4 + 32 * hashes as usize);
        to.extend(leaves.to_be_bytes());
        to.extend(subs.to_be_bytes());
        for child in self.children.iter() {
            match child {
                Child::Empty => {}
                Child::Leaf(key, value) => {
                    to.extend_from_slice(&key.0);
                    to.extend_from_slice(&value.0);
                }
                Child::Sub(hash) => to.extend_from_slice(&hash.0),
            }
        }
    }

    /// The page of bytes in storage.
    ///
    /// # Errors
    /// When the bytes are no page.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "at most 32 hashes, and an index below 16 in 16 bits"
    )]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PageError> {
        let (head, body) = bytes.split_first_chunk::<4>().ok_or(PageError::Page)?;
        let leaves = u16::from_be_bytes([head[0], head[1]]);
        let subs = u16::from_be_bytes([head[2], head[3]]);
        let (hashes, rest) = body.as_chunks::<32>();
        let count = 2 * leaves.count_ones() + subs.count_ones();
        if leaves & subs != 0 || !rest.is_empty() || hashes.len() != count as usize {
            return Err(PageError::Page);
        }
        let mut next = hashes.iter().map(|hash| Digest(*hash));
        let mut page = Self::empty();
        for (i, child) in page.children.iter_mut().enumerate() {
            let mut take = || next.next().ok_or(PageError::Page);
            if leaves >> i & 1 == 1 {
                *child = Child::Leaf(take()?, take()?);
            } else if subs >> i & 1 == 1 {
                *child = Child::Sub(take()?);
            }
        }
        Ok(page)
    }
}

/// Gives stored pages.
pub trait Pages {
    /// How the store fails.
    type Fault;

    /// The page at a path; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault>;
}

impl<P: Pages + ?Sized> Pages for &P {
    type Fault = P::Fault;
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault> {
        (**self).page(path)
    }
}

/// Pages in memory, or those that a batch changed.
pub type PageMap = BTreeMap<PagePath, Page>;

impl Pages for PageMap {
    type Fault = std::convert::Infallible;
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault> {
        Ok(self.get(path).cloned())
    }
}

/// Why the stored map cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapFault<F> {
    /// The page above says that there is a page, the store says that there is none.
    #[error("the map page at {0:?} is missing")]
    Missing(PagePath),
    /// The store failed.
    #[error("the store of map pages failed")]
    Store(#[source] F),
}

/// What a range of children amounts to.
#[derive(Debug, Clone, Copy)]
enum Sum {
    Empty,
    /// Exactly one leaf: hoisted.
    Leaf(Digest, Digest),
    Inner(Digest),
}

impl Sum {
    fn hash(self) -> Digest {
        match self {
            Self::Empty => Digest::ZERO,
            Self::Leaf(key, value) => map_leaf_hash(&key, &value),
            Self::Inner(hash) => hash,
        }
    }

    fn join(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Empty, Self::Leaf(key, value)) | (Self::Leaf(key, value), Self::Empty) => {
                Self::Leaf(key, value)
            }
            (left, right) => Self::Inner(map_node_hash(&left.hash(), &right.hash())),
        }
    }
}

impl From<Child> for Sum {
    fn from(child: Child) -> Self {
        match child {
            Child::Empty => Self::Empty,
            Child::Leaf(key, value) => Self::Leaf(key, value),
            Child::Sub(hash) => Self::Inner(hash),
        }
    }
}

impl Page {
    /// What the page amounts to, after the children of the bits in `changed` were set. Of the tree of [`sums`] only what lies above
    /// them is computed, where the rest is known.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "indices of a tree of 32 nodes"
    )]
    fn sum_after(&mut self, changed: u16) -> Sum {
        let known = self.inner.is_some();
        let inner = self
            .inner
            .get_or_insert_with(|| Box::new([Sum::Empty; FANOUT]));
        for at in (1..FANOUT).rev() {
            // Node 1 covers all sixteen children, 2 and 3 eight each, and so on.
            let level = at.ilog2();
            let width = FANOUT >> level;
            let from = (at << (4 - level)) - FANOUT;
            let covered = (u32::MAX >> (32 - width)) << from;
            if known && u32::from(changed) & covered == 0 {
                continue;
            }
            let below = |node: usize| match node.checked_sub(FANOUT) {
                Some(child) => Sum::from(self.children[child]),
                None => inner[node],
            };
            inner[at] = Sum::join(below(2 * at), below(2 * at + 1));
        }
        inner[1]
    }
}

/// The binary tree inside a page: 1 is all of it, the children of `i` are `2i` and `2i + 1`, 16 to 31 are the children
/// of the page; 0 is not used.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "indices of a tree of 32 nodes"
)]
fn sums(page: &Page) -> [Sum; 2 * FANOUT] {
    let mut sums = [Sum::Empty; 2 * FANOUT];
    for (sum, child) in sums[FANOUT..].iter_mut().zip(page.children.iter()) {
        *sum = Sum::from(*child);
    }
    for i in (1..FANOUT).rev() {
        sums[i] = Sum::join(sums[2 * i], sums[2 * i + 1]);
    }
    sums
}

fn stored<P: Pages + ?Sized>(pages: &P, path: &PagePath) -> Result<Page, MapFault<P::Fault>> {
    pages
        .page(path)
        .map_err(MapFault::Store)?
        .ok_or(MapFault::Missing(*path))
}

/// The root of the stored map; zero when it is empty.
///
/// # Errors
/// The fault of the store.
pub fn root<P: Pages + ?Sized>(pages: &P) -> Result<Digest, MapFault<P::Fault>> {
    let page = pages.page(&PagePath::ROOT).map_err(MapFault::Store)?;
    Ok(page.map_or(Digest::ZERO, |page| sums(&page)[1].hash()))
}

/// Why the stored map is not what its pages say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkFault<F> {
    /// A page cannot be read.
    #[error(transparent)]
    Map(MapFault<F>),
    /// A page does not have the hash that the page above says, or holds a leaf that does not belong there.
    #[error("the map page at {0:?} is not what the page above says")]
    Broken(PagePath),
}

/// Computes the root anew from every page of the stored map, from the leaves up; zero when it is empty. Holds one page a
/// level, of which there are at most 64.
///
/// # Errors
/// A page is missing or is not what the page above says, or the fault of the store.
pub fn recompute<P: Pages + ?Sized>(pages: &P) -> Result<Digest, WalkFault<P::Fault>> {
    let top = pages.page(&PagePath::ROOT).map_err(MapFault::Store);
    match top.map_err(WalkFault::Map)? {
        None => Ok(Digest::ZERO),
        Some(page) => Ok(walk(pages, PagePath::ROOT, &page)?.hash()),
    }
}

/// What the page at `path` amounts to, with every page below it checked.
fn walk<P: Pages + ?Sized>(
    pages: &P,
    path: PagePath,
    page: &Page,
) -> Result<Sum, WalkFault<P::Fault>> {
    for (nibble, child) in page.children.iter().enumerate() {
        match child {
            Child::Empty => {}
            Child::Leaf(key, _) => {
                if !path.leads_to(key) || path.nibble_of(key) != nibble {
                    return Err(WalkFault::Broken(path));
                }
            }
            Child::Sub(hash) => {
                // A key ends at depth 64: nothing can lie below.
                if usize::from(path.depth) + 1 >= usize::from(PAGE_DEPTH_MAX) {
                    return Err(WalkFault::Broken(path));
                }
                let below = path.child(nibble);
                let found = stored(pages, &below).map_err(WalkFault::Map)?;
                match walk(pages, below, &found)? {
                    Sum::Inner(sum) if sum == *hash => {}
                    _ => return Err(WalkFault::Broken(below)),
                }
            }
        }
    }
    Ok(sums(page)[1])
}

/// Sets values; gives the new root and every page that changed, to be written in the same batch.
///
/// # Errors
/// The fault of the store; nothing has changed then.
pub fn update<P: Pages + ?Sized>(
    pages: &P,
    values: &BTreeMap<Digest, Digest>,
) -> Result<(Digest, PageMap), MapFault<P::Fault>> {
    let mut changed = BTreeMap::new();
    if values.is_empty() {
        return Ok((root(pages)?, changed));
    }
    let values: Vec<(Digest, Digest)> = values.iter().map(|(k, v)| (*k, *v)).collect();
    let top = pages
        .page(&PagePath::ROOT)
        .map_err(MapFault::Store)?
        .unwrap_or_else(Page::empty);
    let root = set(pages, PagePath::ROOT, top, &values, &mut changed)?.hash();
    Ok((root, changed))
}

/// Sets sorted `values` in the page at `path`, and gives what the page amounts to.
fn set<P: Pages + ?Sized>(
    pages: &P,
    path: PagePath,
    mut page: Page,
    values: &[(Digest, Digest)],
    changed: &mut PageMap,
) -> Result<Sum, MapFault<P::Fault>> {
    let mut touched = 0u16;
    for group in values.chunk_by(|a, b| path.nibble_of(&a.0) == path.nibble_of(&b.0)) {
        let nibble = path.nibble_of(&group[0].0);
        touched |= 1 << nibble;
        let child = &mut page.children[nibble];
        let below = path.child(nibble);
        *child = match (*child, group) {
            (Child::Empty, [(key, value)]) => Child::Leaf(*key, *value),
            (Child::Leaf(old, _), [(key, value)]) if old == *key => Child::Leaf(*key, *value),
            (Child::Empty, _) => sub(set(pages, below, Page::empty(), group, changed)?),
            (Child::Leaf(key, value), _) => {
                // The leaf that stood here goes down one page with the new ones.
                let mut fresh = Page::empty();
                fresh.children[below.nibble_of(&key)] = Child::Leaf(key, value);
                sub(set(pages, below, fresh, group, changed)?)
            }
            (Child::Sub(_), _) => sub(set(pages, below, stored(pages, &below)?, group, changed)?),
        };
    }
    let sum = page.sum_after(touched);
    changed.insert(path, page);
    Ok(sum)
}

fn sub(sum: Sum) -> Child {
    match sum {
        Sum::Inner(hash) => Child::Sub(hash),
        Sum::Empty | Sum::Leaf(..) => panic!("invariant: a page below another has two leaves"),
    }
}

/// Where the way to a key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapEnd {
    /// In an empty subtree.
    Empty,
    /// In a subtree with exactly one leaf.
    Leaf {
        /// Key of the leaf; need not be the key asked for.
        key: Digest,
        /// Of the [`MapValue`] that stands there.
        value: Digest,
    },
}

/// Proof of what the map says about a key, as it was received; see [`MapProof::verify`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapProof {
    /// Hashes beside the way, from the root downwards, one for each bit of the key.
    pub siblings: Vec<Digest>,
    /// Where the way ends.
    pub end: MapEnd,
}

/// `[[sibling…], null or [key, value]]`.
impl Canonical for MapProof {
    fn encode(&self, e: &mut Encoder) {
        e.array(2);
        self.siblings.encode(e);
        match self.end {
            MapEnd::Empty => e.null(),
            MapEnd::Leaf { key, value } => (key, value).encode(e),
        }
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.array_of(2)?;
        let at = d.clone();
        let siblings = Vec::<Digest>::decode(d)?;
        if siblings.len() > MAP_PROOF_COUNT_MAX {
            return Err(at.invalid("a map proof has at most 256 siblings"));
        }
        let end = match Option::<(Digest, Digest)>::decode(d)? {
            None => MapEnd::Empty,
            Some((key, value)) => MapEnd::Leaf { key, value },
        };
        d.leave();
        Ok(Self { siblings, end })
    }
}

/// What the map says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapAnswer {
    /// The digest of its value.
    Present(Digest),
    /// There is no such key.
    Absent,
}

/// Why a map proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapProofError {
    /// More siblings than a key has bits.
    #[error("the map proof has {0} siblings, a key has {MAP_PROOF_COUNT_MAX} bits")]
    Length(usize),
    /// The leaf at the end of the way does not lie on the way to the key.
    #[error("the leaf shown does not lie on the way to the key")]
    OffTheWay,
    /// The hashes lead to another root.
    #[error("the map proof leads to another root")]
    Root,
}

/// The proof of what the stored map says about a key.
///
/// # Errors
/// The fault of the store.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "indices of a tree of 32 nodes of four levels"
)]
pub fn prove<P: Pages + ?Sized>(pages: &P, key: &Digest) -> Result<MapProof, MapFault<P::Fault>> {
    let mut siblings = Vec::new();
    let mut path = PagePath::ROOT;
    let top = pages.page(&path).map_err(MapFault::Store)?;
    let mut page = top.unwrap_or_else(Page::empty);
    loop {
        let nibble = path.nibble_of(key);
        let sums = sums(&page);
        let mut at = 1;
        loop {
            match sums[at] {
                Sum::Empty => {
                    return Ok(MapProof {
                        siblings,
                        end: MapEnd::Empty,
                    });
                }
                Sum::Leaf(key, value) => {
                    return Ok(MapProof {
                        siblings,
                        end: MapEnd::Leaf { key, value },
                    });
                }
                Sum::Inner(_) if FANOUT <= at => break,
                Sum::Inner(_) => {}
            }
            let level = at.ilog2();
            at = 2 * at + (nibble >> (3 - level) & 1);
            siblings.push(sums[at ^ 1].hash());
        }
        path = path.child(nibble);
        page = stored(pages, &path)?;
    }
}

impl MapProof {
    /// What the map with this root says about a key.
    ///
    /// # Errors
    /// Why the proof proves nothing.
    pub fn verify(&self, root: &Digest, key: &Digest) -> Result<MapAnswer, MapProofError> {
        let depth = self.siblings.len();
        if depth > MAP_PROOF_COUNT_MAX {
            return Err(MapProofError::Length(depth));
        }
        let (mut hash, answer) = match &self.end {
            MapEnd::Empty => (Digest::ZERO, MapAnswer::Absent),
            MapEnd::Leaf { key: found, value } if found == key => {
                (map_leaf_hash(found, value), MapAnswer::Present(*value))
            }
            MapEnd::Leaf { key: found, value } => {
                // Another leaf proves absence only where the key itself would have to stand.
                if (0..depth).any(|i| bit(found, i) != bit(key, i)) {
                    return Err(MapProofError::OffTheWay);
                }
                (map_leaf_hash(found, value), MapAnswer::Absent)
            }
        };
        for (i, sibling) in self.siblings.iter().enumerate().rev() {
            hash = match bit(key, i) {
                0 => map_node_hash(&hash, sibling),
                _ => map_node_hash(sibling, &hash),
            };
        }
        if hash == *root {
            Ok(answer)
        } else {
            Err(MapProofError::Root)
        }
    }
}

/// Bit `i` of a key, the most significant first.
#[expect(clippy::arithmetic_side_effects, reason = "bit numbers of a byte")]
fn bit(key: &Digest, i: usize) -> u8 {
    key.0[i / 8] >> (7 - i % 8) & 1
}
