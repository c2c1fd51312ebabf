//! The ordered key-value engine under the state machine: RocksDB on a node, a map in memory in the simulation.
//!
//! Both run the same `apply`. The engine knows families and bytes; what a key means is in `keys`.

use std::sync::Arc;

use crate::families::Family;
use crate::fault::StorageFault;

/// Changes that take effect together or not at all.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// Ranges that lose every key `from <= key < to`, before any of [`Self::changes`] takes effect.
    pub cleared: Vec<(Family, Vec<u8>, Vec<u8>)>,
    /// In order; the last change of a key counts. `None` deletes.
    pub changes: Vec<(Family, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, family: Family, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((family, key, Some(value)));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.changes.push((family, key, None));
    }

    /// Removes every key `from <= key < to` that was there before this batch. The engine on disk writes one record for
    /// it, whatever lies in the range; a range without keys is lawful.
    pub fn clear(&mut self, family: Family, from: Vec<u8>, to: Vec<u8>) {
        self.cleared.push((family, from, to));
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Reads of one moment.
pub trait KvRead: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// The disk failed or a checksum did not match.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault>;

    /// Up to `count_max` pairs with `from <= key < to` (to the end of the family without `to`), ascending.
    ///
    /// # Errors
    /// As [`KvRead::get`].
    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault>;

    /// The last pair with `from <= key < to`.
    ///
    /// # Errors
    /// As [`KvRead::get`].
    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault>;

    /// Told of a value read here that is not what was written: whoever reads may answer an error and go on, the process
    /// must not.
    fn damaged(&self, fault: &StorageFault) {
        let _ = fault;
    }
}

/// An engine: reads of the newest state, atomic writes, and views that do not move.
pub trait KvEngine: KvRead + 'static {
    /// Writes a batch atomically. Not durable before a sync or a snapshot: the Raft log replays a lost tail.
    ///
    /// # Errors
    /// The disk failed.
    fn write(&self, batch: Batch) -> Result<(), StorageFault>;

    /// A view of this moment that later writes do not change.
    ///
    /// # Errors
    /// The disk failed.
    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault>;
}
