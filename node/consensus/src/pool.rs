//! Something that is used up and given back (requests in work, bytes in flight), shared by holders. Pure.
//!
//! A holder may have as much as is free: one alone gets at most half, two a third each, and so on. So whoever comes next
//! always finds something, without anybody being cut.

use std::collections::BTreeMap;

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// In all.
    pub total: u64,
    /// Of one holder, however much is free.
    pub each: u64,
}

/// What is in use, and whose it is.
#[derive(Debug)]
pub struct Pool<K> {
    limits: PoolLimits,
    used: u64,
    by_holder: BTreeMap<K, u64>,
}

/// The holder has its share, or nothing is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoShare;

impl<K: Ord + Clone> Pool<K> {
    /// Unused.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            used: 0,
            by_holder: BTreeMap::new(),
        }
    }

    /// How much there is.
    pub fn limits(&self) -> PoolLimits {
        self.limits
    }

    /// How much is in use, by all.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// How much of it is a holder's.
    pub fn of(&self, holder: &K) -> u64 {
        self.by_holder.get(holder).copied().unwrap_or(0)
    }

    /// Takes so much for a holder.
    ///
    /// # Errors
    /// It would have more than its share, or more than is free.
    pub fn take(&mut self, holder: &K, amount: u64) -> Result<(), NoShare> {
        // More may be in use than there is, by what was charged.
        let free = self.limits.total.saturating_sub(self.used);
        let share = free.min(self.limits.each);
        let wanted = self.of(holder).checked_add(amount).ok_or(NoShare)?;
        if wanted > share {
            return Err(NoShare);
        }
        self.charge(holder, amount);
        Ok(())
    }

    /// Counts what is there already, whatever the limits say: the next one that asks finds less.
    pub fn charge(&mut self, holder: &K, amount: u64) {
        if amount == 0 {
            return;
        }
        self.used += amount;
        *self.by_holder.entry(holder.clone()).or_insert(0) += amount;
    }

    /// Gives back so much of what a holder has.
    pub fn give_back(&mut self, holder: &K, amount: u64) {
        if amount == 0 {
            return;
        }
        let has = self.of(holder);
        assert!(amount <= has, "nobody gives back more than it has");
        self.used -= amount;
        if has == amount {
            self.by_holder.remove(holder);
        } else {
            self.by_holder.insert(holder.clone(), has - amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pool: &mut Pool<u32>, holder: u32, count: usize) -> usize {
        (0..count).filter(|_| pool.take(&holder, 1).is_ok()).count()
    }

    #[test]
    fn a_holder_gets_its_share_and_at_most_half() {
        let limits = PoolLimits {
            total: 100,
            each: 20,
        };
        for (asked, expected) in [(19, 19), (20, 20), (21, 20), (200, 20)] {
            assert_eq!(takes(&mut Pool::new(limits), 1, asked), expected);
        }
        let limits = PoolLimits {
            total: 100,
            each: 100,
        };
        assert_eq!(takes(&mut Pool::new(limits), 1, 1_000), 50);
    }

    #[test]
    fn however_many_are_greedy_the_next_one_finds_something() {
        let mut pool = Pool::new(PoolLimits {
            total: 64,
            each: 64,
        });
        for holder in 0..6 {
            takes(&mut pool, holder, 1_000);
            assert!(pool.take(&100, 1).is_ok(), "after {holder}");
            pool.give_back(&100, 1);
        }
        assert!(pool.used() < 64);
    }

    #[test]
    fn what_was_charged_above_the_limit_is_missing_until_it_is_given_back() {
        let mut pool = Pool::new(PoolLimits {
            total: 10,
            each: 10,
        });
        pool.charge(&1, 25);
        assert_eq!(pool.take(&2, 1), Err(NoShare));
        pool.give_back(&1, 20);
        assert_eq!((pool.take(&2, 1), pool.used()), (Ok(()), 6));
        assert_eq!(pool.take(&2, u64::MAX), Err(NoShare));
        pool.give_back(&1, 5);
        pool.give_back(&2, 1);
        assert_eq!((pool.used(), pool.of(&1), pool.of(&2)), (0, 0, 0));
    }
}
