//! Orders of the roots to skip a log entry, as this node has them in files, and the entries that were skipped by one.
//!
//! A file is local: only what a skip wrote is replicated. So the order is judged when its entry is reached, by the
//! registry as it stands there, and a node that is past that entry refuses it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::machine::entry::{Body, Entry};
use carnet_domain::machine::order::{Skip, SkipError};
use carnet_domain::record::peer::Signed;

use crate::fault::StorageFault;
use crate::guard;

/// A log entry that the roots had skipped, as kept in the state database on every replica alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which entry is skipped, as the roots signed it.
    pub order: Skip,
    /// Bytes of the entry that was not read: they name a repetition of it, and are evidence for whoever repairs the
    /// program.
    pub entry: Blob,
}
carnet_domain::canonical_struct!(Skipped { order, entry });

/// Largest difference in size between an entry and its body: framing and stamp.
const STAMP_BYTES_MAX: usize = 64;

impl Skipped {
    /// Whether a proposal's body (canonical bytes) is that of the entry. Nothing of the entry is decoded, which may be
    /// what broke: its body is where its bytes end.
    pub fn repeats(&self, body: &[u8]) -> bool {
        let entry = &self.entry.0;
        entry.ends_with(body) && entry.len() - body.len() <= STAMP_BYTES_MAX
    }

    /// The peer whose mail the entry was, if it can be read.
    pub(crate) fn peer(&self) -> Option<Prefix> {
        // Decoding may be what broke.
        match guard::run(|| Entry::from_bytes(&self.entry.0)) {
            Ok(Ok(Entry {
                body: Body::Foreign { batch },
                ..
            })) => Some(batch.peer),
            _ => None,
        }
    }
}

/// What an order means on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderStanding {
    /// Its entry is not reached yet, or is the one before which this node stands still: it will be followed there.
    Waits,
    /// Its entry was skipped here.
    Followed,
}

/// Why this node does not follow an order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The order itself is wrong.
    #[error(transparent)]
    Order(#[from] SkipError),
    /// The entry was applied here. Following the order now would make this replica's past another than it was.
    #[error(
        "log entry {log_index} was applied here and not skipped: this node and those that skip it differ"
    )]
    AppliedOtherwise {
        /// The Raft index of the entry that is skipped.
        log_index: u64,
    },
    /// The disk failed.
    #[error("the state cannot be read")]
    Storage(#[from] StorageFault),
}

/// The orders that this node has, by the index each names. Not judged yet.
#[derive(Default)]
pub(crate) struct Orders(Mutex<BTreeMap<u64, Vec<Signed>>>);

impl Orders {
    /// Puts these in the place of all.
    pub(crate) fn replace(&self, orders: Vec<Signed>) {
        let mut by_index: BTreeMap<u64, Vec<Signed>> = BTreeMap::new();
        for signed in orders {
            if let Ok(skip) = Skip::from_bytes(&signed.bytes.0) {
                by_index.entry(skip.log_index).or_default().push(signed);
            }
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = by_index;
    }

    /// Those that name an index.
    pub(crate) fn at(&self, log_index: u64) -> Vec<Signed> {
        let orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get(&log_index).cloned().unwrap_or_default()
    }

    /// The first index from `from` on that an order names.
    pub(crate) fn next(&self, from: u64) -> Option<u64> {
        let orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.range(from..).next().map(|(index, _)| *index)
    }
}
