//! What replicas compare, so that a state that came out differently is found and not served.
//!
//! At every seal a replica notes two [`Mark`]s: the root of its tree, and a digest of everything it ever wrote. Now and then it adds one of everything it holds. Who asks whom, and what follows from a difference, is decided
//! elsewhere; the enemy here is an accident (a cosmic ray, a compiler, a map that iterates in another order), not a liar.
//!
//! The digest of writes takes every write in the order in which the rules make it, overwritten ones included. So it does
//! not depend on how the log was cut into batches (the overlay of a batch would merge two writes of one key only if both
//! fell into the same one), and it sees a difference that was overwritten since. It is a chain with one link for each
//! record, so that sixteen bytes are all of it between two records: they are written in the batch of the record and come
//! with a snapshot, and a replica that was restarted, was away, or took a snapshot goes on where it was. A chain that
//! differs once differs at every later seal. What belongs to the node or to Raft is written past it: the applied position
//! and the membership.

use std::collections::VecDeque;

use bytes::Bytes;
use carnet_domain::canonical_struct;
use xxhash_rust::xxh3::Xxh3;

use crate::engine::{Batch, KvRead};
use crate::families::Family;
use crate::fault::StorageFault;
use crate::keys;
use crate::records::{of_stored, to_stored};

/// Seals remembered, and their marks.
pub const SEALS_MAX: usize = 64;
/// Digests of the whole content remembered.
pub const CONTENTS_MAX: usize = 4;
/// Most bytes of a digest in a [`Mark`].
pub const DIGEST_SIZE_MAX: usize = 32;

/// What a mark is a digest of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compared {
    /// The tree at a sealed size: its root, 32 bytes.
    Root,
    /// Everything written up to this seal, by XXH3, 16 bytes: [`Written`].
    Writes,
    /// Everything held at a sealed size, by SHA-256, 32 bytes: [`crate::artefact::content_digest`].
    Content,
}

impl Compared {
    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root of the tree",
            Self::Writes => "digest of the writes",
            Self::Content => "digest of the content",
        }
    }
}

/// What a replica says of its state at one sealed size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What the digest is of.
    pub what: Compared,
    /// The sealed tree size.
    pub size: u64,
    /// Raft index of the seal; after a restart, of the last record applied. For people only.
    pub index: u64,
    /// The digest; `None` is *unknown*, which never counts.
    pub digest: Option<Bytes>,
}

/// The digest of everything written.
///
/// The link of a record is XXH3 of `link before 16 ‖ its writes`, and the first link follows on sixteen zeros. A record
/// without a write has none. Its writes, one after the other: `family u8 ‖ len(key) u32 ‖ len(value) u32 ‖ key ‖ value`,
/// little-endian, where a deletion has a length of all ones and no value. A range that is cleared counts once, as a deletion
/// of the key it begins with: what lay in it is not read, and every write that put it there was taken up when it was made.
#[derive(Clone)]
pub struct Written(Option<Chain>);

/// Where a chain stands.
#[derive(Clone, Default)]
struct Chain {
    links: Links,
    /// The writes so far of the record that is being applied.
    record: Option<Xxh3>,
}

/// What is kept of a chain: family `meta`, key `written`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Links {
    newest: [u8; 16],
    /// The newest when the newest seal was made.
    sealed: [u8; 16],
}
canonical_struct!(Links { newest, sealed });

impl Written {
    /// Of an empty state.
    pub fn nothing() -> Self {
        Self(Some(Chain::default()))
    }

    /// Takes up no write, and knows no digest.
    pub fn unknown() -> Self {
        Self(None)
    }

    /// As it was when the state of `read` was written.
    ///
    /// # Errors
    /// The disk failed, or the value is not canonical.
    pub(crate) fn load(read: &(impl KvRead + ?Sized)) -> Result<Self, StorageFault> {
        let links = match read.get(Family::Meta, keys::WRITTEN)? {
            Some(bytes) => of_stored(Family::Meta, keys::WRITTEN, &bytes)?,
            None => Links::default(),
        };
        let record = None;
        Ok(Self(Some(Chain { links, record })))
    }

    /// Adds it to the batch of the writes it is the digest of. Its own write is not among them.
    pub(crate) fn store(&self, batch: &mut Batch) {
        if let Some(chain) = &self.0 {
            let stored = to_stored(&chain.links);
            batch.put(Family::Meta, keys::WRITTEN.to_vec(), stored);
        }
    }

    /// The writes of a record are complete.
    pub(crate) fn end_record(&mut self) {
        let Some(chain) = &mut self.0 else {
            return;
        };
        if let Some(record) = chain.record.take() {
            chain.links.newest = record.digest128().to_be_bytes();
        }
    }

    /// The record was a seal, and this is the registry that is written with it.
    pub(crate) fn seal(&mut self, registry: &[u8]) {
        self.note(Family::Meta, keys::REGISTRY, Some(registry));
        self.end_record();
        if let Some(chain) = &mut self.0 {
            chain.links.sealed = chain.links.newest;
        }
    }

    /// The digest up to the newest seal.
    pub(crate) fn at_seal(&self) -> Option<Bytes> {
        let chain = self.0.as_ref()?;
        Some(Bytes::copy_from_slice(&chain.links.sealed))
    }

    /// Takes up one write.
    pub(crate) fn note(&mut self, family: Family, key: &[u8], value: Option<&[u8]>) {
        let Some(chain) = &mut self.0 else {
            return;
        };
        let state = chain.record.get_or_insert_with(|| {
            let mut state = Xxh3::new();
            state.update(&chain.links.newest);
            state
        });
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1);
        let mut head = [0; 9 + SHORT_KEY_SIZE_MAX];
        head[0] = family as u8;
        head[1..5].copy_from_slice(&length(key).to_le_bytes());
        head[5..9].copy_from_slice(&value.map_or(u32::MAX, length).to_le_bytes());
        // Nearly all keys are short: one call less for each write.
        match head.get_mut(9..9 + key.len()) {
            Some(place) => {
                place.copy_from_slice(key);
                state.update(&head[..9 + key.len()]);
            }
            None => {
                state.update(&head[..9]);
                state.update(key);
            }
        }
        if let Some(value) = value {
            state.update(value);
        }
    }
}

/// Keys up to this size are hashed together with the head of their write.
const SHORT_KEY_SIZE_MAX: usize = 55;

/// The newest marks of a replica, oldest first.
#[derive(Default)]
pub(crate) struct Marks {
    seals: VecDeque<[Mark; 2]>,
    contents: VecDeque<Mark>,
}

impl Marks {
    /// Notes a seal.
    pub(crate) fn seal(&mut self, size: u64, index: u64, root: [u8; 32], writes: Option<Bytes>) {
        let root = Some(Bytes::copy_from_slice(&root));
        let mark = |what, digest| Mark {
            what,
            size,
            index,
            digest,
        };
        let marks = [mark(Compared::Root, root), mark(Compared::Writes, writes)];
        keep(&mut self.seals, marks, SEALS_MAX);
    }

    /// Notes a digest of the whole content.
    pub(crate) fn content(&mut self, size: u64, index: u64, digest: [u8; 32]) {
        let mark = Mark {
            what: Compared::Content,
            size,
            index,
            digest: Some(Bytes::copy_from_slice(&digest)),
        };
        keep(&mut self.contents, mark, CONTENTS_MAX);
    }

    /// All of the content, and those of seals above a size.
    pub(crate) fn above(&self, size: u64) -> Vec<Mark> {
        let seals = self.seals.iter().flatten();
        let seals = seals.filter(|mark| mark.size > size);
        seals.chain(&self.contents).cloned().collect()
    }
}

fn keep<T>(marks: &mut VecDeque<T>, mark: T, count_max: usize) {
    marks.push_back(mark);
    if marks.len() > count_max {
        marks.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of these writes, one letter a family and `-` for a deletion.
    fn digest(writes: &[(Family, &str, Option<&str>)]) -> Option<Bytes> {
        let mut written = Written::nothing();
        for (family, key, value) in writes {
            written.note(*family, key.as_bytes(), value.map(str::as_bytes));
        }
        written.seal(b"");
        written.at_seal()
    }

    #[test]
    fn every_part_of_a_write_and_its_borders_count() {
        let long = "k".repeat(SHORT_KEY_SIZE_MAX + 1);
        let all = [
            digest(&[]),
            digest(&[(Family::Robots, "ab", Some("c"))]),
            digest(&[(Family::Index, "ab", Some("c"))]),
            digest(&[(Family::Robots, "a", Some("bc"))]),
            digest(&[(Family::Robots, "ab", Some("d"))]),
            digest(&[(Family::Robots, "ab", Some(""))]),
            digest(&[(Family::Robots, "ab", None)]),
            digest(&[
                (Family::Robots, "ab", Some("d")),
                (Family::Robots, "ab", Some("c")),
            ]),
            digest(&[(Family::Robots, &long, Some("c"))]),
            digest(&[(Family::Robots, &long[1..], Some("c"))]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(one.is_some());
            assert!(!all[..at].contains(one), "number {at} is as one before it");
        }
    }

    #[test]
    fn every_record_is_a_link_and_one_without_writes_is_none() {
        let chain = |records: &[&[&str]]| {
            let mut written = Written::nothing();
            for record in records {
                for key in *record {
                    written.note(Family::Robots, key.as_bytes(), None);
                }
                written.end_record();
            }
            written.0.expect("a chain").links.newest
        };
        let all = [
            chain(&[]),
            chain(&[&["a"]]),
            chain(&[&["a", "b"]]),
            chain(&[&["a"], &["b"]]),
            chain(&[&["b"], &["a"]]),
            chain(&[&["a"], &["b"], &["b"]]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "number {at} is as one before it");
        }
        assert_eq!(chain(&[&[], &["a"], &[], &["b"], &[]]), all[3]);
    }

    #[test]
    fn a_chain_that_takes_up_nothing_knows_no_digest() {
        let mut written = Written::unknown();
        written.note(Family::Robots, b"a", Some(b"b"));
        written.seal(b"c");
        assert_eq!(written.at_seal(), None);
        let mut batch = Batch::default();
        written.store(&mut batch);
        assert!(batch.changes.is_empty());
    }

    #[test]
    fn the_oldest_mark_makes_way() {
        let mut marks = Marks::default();
        for size in 1..=SEALS_MAX as u64 + 1 {
            marks.seal(size, size, [0; 32], None);
            marks.content(size, size, [0; 32]);
        }
        let all = marks.above(0);
        assert_eq!(all.len(), 2 * SEALS_MAX + CONTENTS_MAX);
        assert_eq!(all.first().map(|mark| mark.size), Some(2));
        let seals = |above| {
            let marks = marks.above(above).into_iter();
            marks.filter(|mark| mark.what != Compared::Content).count()
        };
        assert_eq!(seals(SEALS_MAX as u64), 2);
        assert_eq!(seals(u64::MAX), 0);
    }
}
