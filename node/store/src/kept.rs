//! What a replica keeps in memory of its base so as not to read it back. None of it is state: a replica that keeps nothing comes
//! to the same bytes, and whatever is not known here is read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use carnet_domain::log::map::{Page, PagePath};
use carnet_domain::record::ledger::MapChanges;
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::KvRead;
use crate::families::Family;
use crate::fault::StorageFault;
use crate::keys;

/// The most leaves whose map changes are kept, about 120 bytes each. The seal reads back what is more.
pub(crate) const UNSEALED_KEPT_MAX: usize = 65_536;
/// The most rows of a rare kind that are told from those that are not there: beyond them too many would be taken for another.
pub(crate) const RARE_COUNT_MAX: usize = 100_000;
/// Pages of the map down to here are kept, 4,369 at most, about 2 KiB each with the hashes inside them: nearly every seal asks for
/// each.
const MAP_DEPTH_KEPT_MAX: u8 = 3;
/// Bits of a filter: ten a row.
const BITS: u64 = 1 << 20;
/// Rows read at once.
const PIECE_COUNT: usize = 1_024;

/// What is kept. A clone shares it.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) unsealed: Option<Unsealed>,
    rare: Option<Arc<Rare>>,
    pages: Arc<Mutex<BTreeMap<PagePath, Page>>>,
}

/// A page of the map that a batch writes.
pub(crate) type Written = (PagePath, Page);

impl Kept {
    /// Of an engine that holds a tree of `size` leaves.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn load(read: &(impl KvRead + ?Sized), size: u64) -> Result<Self, StorageFault> {
        Ok(Self {
            unsealed: Some(Unsealed::from(size)),
            rare: Some(Arc::new(Rare::load(read)?)),
            pages: Arc::default(),
        })
    }

    /// Whether the base cannot hold a key. Never `true` of one that it holds.
    pub(crate) fn lacks(&self, family: Family, key: &[u8]) -> bool {
        let rare = self.rare.as_ref();
        let filter = rare.and_then(|rare| rare.of(family, key));
        filter.is_some_and(|filter| !filter.may_hold(key))
    }

    /// The key is written. It may be before that is committed: a key too many is only looked for.
    pub(crate) fn note(&self, family: Family, key: &[u8]) {
        let rare = self.rare.as_ref();
        if let Some(filter) = rare.and_then(|rare| rare.of(family, key)) {
            filter.add(key);
        }
    }

    /// Whether a page is one of those that are kept once they were written.
    pub(crate) fn keeps(path: &PagePath) -> bool {
        path.depth() <= MAP_DEPTH_KEPT_MAX
    }

    /// A page of the base; `None` if it is not known here.
    pub(crate) fn page(&self, path: &PagePath) -> Option<Page> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.get(path).filter(|_| Self::keeps(path)).cloned()
    }

    /// After a batch was committed that wrote these.
    pub(crate) fn wrote(&self, written: Vec<Written>) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.extend(written);
    }

    /// After a batch was committed that appended leaves with these changes; `sealed`: it ended with a seal of that size.
    pub(crate) fn grew(&mut self, appended: Vec<MapChanges>, sealed: Option<u64>) {
        if let Some(size) = sealed {
            self.unsealed = Some(Unsealed::from(size));
            return;
        }
        let unsealed = self.unsealed.take();
        self.unsealed = unsealed.and_then(|unsealed| unsealed.and(appended));
    }
}

/// What the leaves from one on change in the state map.
#[derive(Clone)]
pub(crate) struct Unsealed {
    /// Index of the first.
    from: u64,
    changes: Arc<Vec<MapChanges>>,
}

impl Unsealed {
    /// Of no leaf, at the end of a tree.
    fn from(size: u64) -> Self {
        Self {
            from: size,
            changes: Arc::default(),
        }
    }

    fn and(mut self, appended: Vec<MapChanges>) -> Option<Self> {
        if self.changes.len() + appended.len() > UNSEALED_KEPT_MAX {
            return None;
        }
        Arc::make_mut(&mut self.changes).extend(appended);
        Some(self)
    }

    /// Of the leaves `from <= index < to`, at most `count_max`, where those in `appended` follow on these; `None` if not all of them
    /// are kept.
    pub(crate) fn changes(
        &self,
        appended: &[MapChanges],
        (from, to): (u64, u64),
        count_max: usize,
    ) -> Option<Vec<MapChanges>> {
        let place = |index: u64| usize::try_from(index.checked_sub(self.from)?).ok();
        let (low, high) = (place(from)?, place(to)?);
        let all = self.changes.len() + appended.len();
        if high > all {
            return None;
        }
        let kept = self.changes.iter().chain(appended);
        let count = high.saturating_sub(low).min(count_max); // saturates: no leaf lies between
        Some(kept.skip(low).take(count).cloned().collect())
    }
}

/// Filters of what is asked for with every registration and hardly ever there.
struct Rare {
    /// Robots without a record.
    loose: Filter,
    /// Identities that ended, or that somebody says ended.
    ended: Filter,
}

impl Rare {
    fn load(read: &(impl KvRead + ?Sized)) -> Result<Self, StorageFault> {
        Ok(Self {
            loose: Filter::load(read, Family::Transfers, keys::LOOSE)?,
            ended: Filter::load(read, Family::Ended, keys::ENDS)?,
        })
    }

    fn of(&self, family: Family, key: &[u8]) -> Option<&Filter> {
        match family {
            Family::Transfers if key.starts_with(keys::LOOSE) => Some(&self.loose),
            Family::Ended if key.starts_with(keys::ENDS) => Some(&self.ended),
            _ => None,
        }
    }
}

/// A Bloom filter of keys, which are only ever added.
struct Filter {
    bits: Box<[AtomicU64]>,
    /// More keys than it tells apart: each may be there.
    is_full: AtomicBool,
    count: AtomicU64,
}

impl Filter {
    fn empty() -> Self {
        Self {
            bits: (0..BITS / 64).map(|_| AtomicU64::new(0)).collect(),
            is_full: AtomicBool::new(false),
            count: AtomicU64::new(0),
        }
    }

    /// Of the keys that begin with a prefix.
    fn load(
        read: &(impl KvRead + ?Sized),
        family: Family,
        prefix: &[u8],
    ) -> Result<Self, StorageFault> {
        let filter = Self::empty();
        let end = keys::after_prefix(prefix);
        let mut low = prefix.to_vec();
        while !filter.is_full.load(Ordering::Relaxed) {
            let pairs = read.scan(family, &low, end.as_deref(), PIECE_COUNT)?;
            pairs.iter().for_each(|(key, _)| filter.add(key));
            match pairs.into_iter().nth(PIECE_COUNT - 1) {
                Some((last, _)) => low = keys::next(last),
                None => break,
            }
        }
        Ok(filter)
    }

    fn add(&self, key: &[u8]) {
        if self.count.fetch_add(1, Ordering::Relaxed) >= RARE_COUNT_MAX as u64 {
            self.is_full.store(true, Ordering::Relaxed);
        }
        for (word, bit) in places(key) {
            if let Some(word) = self.bits.get(word) {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    fn may_hold(&self, key: &[u8]) -> bool {
        let is_set = |(word, bit): (usize, u64)| {
            let word = self.bits.get(word);
            word.is_none_or(|word| word.load(Ordering::Relaxed) & bit != 0)
        };
        self.is_full.load(Ordering::Relaxed) || places(key).into_iter().all(is_set)
    }
}

/// Word and bit of the places of a key.
fn places(key: &[u8]) -> [(usize, u64); 4] {
    let hash = xxh3_64(key);
    let step = (hash >> 32) | 1;
    [0, 1, 2, 3].map(|turn: u64| {
        let bit = hash.wrapping_add(step.wrapping_mul(turn)) % BITS;
        ((bit / 64) as usize, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Batch, KvEngine};
    use crate::memory::MemoryEngine;
    use carnet_domain::bytes::digest::{Digest, sha256};

    fn identity(number: u32) -> Vec<u8> {
        keys::ends(&sha256(&[&number.to_be_bytes()]))
    }

    fn holding(count: u32) -> Kept {
        let engine = MemoryEngine::new();
        let mut batch = Batch::default();
        (0..count).for_each(|number| batch.put(Family::Ended, identity(number), vec![1]));
        engine.write(batch).expect("a write");
        Kept::load(&engine, 0).expect("a read")
    }

    #[test]
    fn what_is_there_is_never_taken_for_absent_and_what_is_not_nearly_always() {
        let kept = holding(20_000);
        let lacks = |number| kept.lacks(Family::Ended, &identity(number));
        assert!((0..20_000).all(|number| !lacks(number)));
        assert!((20_000..40_000).filter(|number| lacks(*number)).count() > 19_900);
        kept.note(Family::Ended, &identity(20_000));
        assert!(!lacks(20_000));
        // Nothing is said of what is not asked for with every registration.
        let other = keys::claims_of(&carnet_domain::bytes::code::Prefix::parse("86").expect("one"));
        assert!(!kept.lacks(Family::Ended, &other));
        assert!(!Kept::default().lacks(Family::Ended, &identity(0)));
    }

    #[test]
    fn more_than_a_filter_tells_apart_may_all_be_there() {
        let kept = holding(RARE_COUNT_MAX as u32 + 1);
        assert!(!kept.lacks(Family::Ended, &identity(u32::MAX)));
        let kept = holding(RARE_COUNT_MAX as u32 - 1);
        assert!(kept.lacks(Family::Ended, &identity(u32::MAX)));
    }

    #[test]
    fn changes_are_told_where_all_of_them_are_kept() {
        let change = |number: u8| vec![(Digest([number; 32]), Digest::ZERO)];
        let mut kept = Kept {
            unsealed: Some(Unsealed::from(10)),
            ..Kept::default()
        };
        kept.grew(vec![change(0), change(1)], None);
        let later = [change(2)];
        let told = |kept: &Kept, from, to, count_max| {
            let unsealed = kept.unsealed.as_ref().expect("kept");
            unsealed.changes(&later, (from, to), count_max)
        };
        let all = vec![change(0), change(1), change(2)];
        assert_eq!(told(&kept, 10, 13, 9), Some(all.clone()));
        assert_eq!(told(&kept, 11, 13, 9), Some(all[1..].to_vec()));
        assert_eq!(told(&kept, 10, 13, 2), Some(all[..2].to_vec()));
        assert_eq!(told(&kept, 13, 13, 9), Some(Vec::new()));
        // Before the first, or behind the last.
        assert_eq!(told(&kept, 9, 13, 9), None);
        assert_eq!(told(&kept, 10, 14, 9), None);
        kept.grew(vec![change(3)], Some(14));
        assert_eq!(told(&kept, 10, 13, 9), None);
        assert_eq!(told(&kept, 14, 15, 9), Some(later.to_vec()));
        kept.grew(vec![Vec::new(); UNSEALED_KEPT_MAX + 1], None);
        assert!(kept.unsealed.is_none(), "too many to keep");
        kept.grew(Vec::new(), None);
        assert!(kept.unsealed.is_none(), "what was lost is not known again");
    }
}
