//! What proofs are made from: leaves, tree, map and records of one moment. The store implements [`Reader`] over its records, once;
//! tests over a ledger in memory. Mail ([`crate::custody::mail`]), trails ([`crate::custody::trail`]) and evidence ask nothing else.
//!
//! Nothing is judged or written here. The algorithms of tree and map know no records: they ask through [`Nodes`] and [`Pages`], and
//! [`Whole`] answers them for every reader.

use crate::bytes::code::{Code, ModelId};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Blob, Canonical, DecodeError};
use crate::custody::Step;
use crate::log::leaf::Leaf;
use crate::log::map::{Page, PagePath, Pages};
use crate::log::merkle::{Nodes, inclusion_proof};
use crate::log::stored::LeafRecord;
use crate::machine::entry::ProvenHead;
use crate::record::transfer::Transfer;
use crate::record::{Model, ModelStanding};
use crate::rules::command::TransferId;

/// A registry at one moment, usually that of its published checkpoint. Every answer is of that moment.
pub trait Reader {
    /// How the medium fails.
    type Fault;

    /// A leaf of this log; `None` if it is not stored.
    ///
    /// # Errors
    /// When it cannot be read.
    fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, Self::Fault>;

    /// The index of the newest leaf about a robot; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn newest_of(&self, code: &Code) -> Result<Option<u64>, Self::Fault>;

    /// The hash of a complete subtree of the tree; `None` if it is not stored.
    ///
    /// # Errors
    /// When it cannot be read.
    fn node(&self, level: u8, index: u64) -> Result<Option<Digest>, Self::Fault>;

    /// A page of the map; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault>;

    /// A transfer.
    ///
    /// # Errors
    /// When it cannot be read.
    fn transfer(&self, id: &TransferId) -> Result<Option<Transfer>, Self::Fault>;

    /// A model with its standing ([`crate::machine::standing_now`]).
    ///
    /// # Errors
    /// When it cannot be read.
    fn model(&self, id: &ModelId) -> Result<Option<(Model, ModelStanding)>, Self::Fault>;

    /// The newest steps by which this registry itself let a robot go or took it over (Depart, Admit, Return), with their leaf
    /// indices, oldest first: at least `wanted` of them, if there were so many. Other steps may be among them.
    ///
    /// # Errors
    /// When it cannot be read.
    fn own_steps(&self, code: &Code, wanted: usize) -> Result<Vec<(Step, u64)>, Self::Fault>;
}

/// Why a proof cannot be made of what is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<F> {
    /// The medium failed.
    #[error("the log cannot be read")]
    Store(#[source] F),
    /// A leaf below the size is not stored.
    #[error("leaf {0} is missing")]
    LeafMissing(u64),
    /// A subtree below the size is not stored.
    #[error("node {1} of level {0} is missing")]
    NodeMissing(u8, u64),
    /// A page of the map is not stored.
    #[error("the map page at {0:?} is missing")]
    PageMissing(PagePath),
    /// A stored leaf does not decode.
    #[error("leaf {index} is damaged")]
    LeafDamaged {
        /// In the log, from 0.
        index: u64,
        /// Where and why.
        #[source]
        source: DecodeError,
    },
}

/// A reader of which what must be there is insisted on: so the tree and the map ask it.
#[derive(Debug)]
pub struct Whole<'a, R>(pub &'a R);

impl<R: Reader> Whole<'_, R> {
    /// A leaf that must be there.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub fn leaf(&self, index: u64) -> Result<LeafRecord, ReadError<R::Fault>> {
        let found = self.0.leaf(index).map_err(ReadError::Store)?;
        found.ok_or(ReadError::LeafMissing(index))
    }

    /// The leaf in its stored bytes.
    ///
    /// # Errors
    /// It does not decode.
    pub fn decoded(&self, index: u64, leaf: &Blob) -> Result<Leaf, ReadError<R::Fault>> {
        // level: a leaf of our own.
        Leaf::from_bytes(&leaf.0).map_err(|source| ReadError::LeafDamaged { index, source })
    }

    /// The last leaf of a log of this size, proven under its checkpoint: the head of its map. `None` of an empty log.
    ///
    /// # Errors
    /// What it is made from is missing, or cannot be read.
    pub fn map_head(&self, size: u64) -> Result<Option<ProvenHead>, ReadError<R::Fault>> {
        let Some(index) = size.checked_sub(1) else {
            return Ok(None);
        };
        Ok(Some(ProvenHead {
            index,
            leaf: self.leaf(index)?.leaf,
            path: inclusion_proof(self, index, size)?,
        }))
    }
}

impl<R: Reader> Nodes for Whole<'_, R> {
    type Fault = ReadError<R::Fault>;
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Fault> {
        let found = self.0.node(level, index).map_err(ReadError::Store)?;
        found.ok_or(ReadError::NodeMissing(level, index))
    }
}

impl<R: Reader> Pages for Whole<'_, R> {
    type Fault = ReadError<R::Fault>;
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault> {
        self.0.page(path).map_err(ReadError::Store)
    }
}
