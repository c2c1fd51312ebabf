//! Whose turn it is: what waits, waits behind its holder's own, and whoever had the least is next. Pure.
//!
//! Start-time fair queueing. A holder has had what its work cost, and what that is may be known only afterwards. Whoever
//! comes when others are served already begins where they stand: nobody saves up by staying away, and nobody is paid back
//! for what it did while there was nobody else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Holders that are remembered while they wait for nothing: what they had, and what their work costs.
pub(crate) const REMEMBERED_MAX: usize = 4_096;

/// What waits, by holder.
#[derive(Debug)]
pub struct Turns<K, T> {
    /// What the holder that was served last had had before.
    now: u64,
    rows: BTreeMap<K, Row<T>>,
    /// Those for whom something waits, by what they had.
    next: BTreeSet<(u64, K)>,
    waiting: usize,
}

#[derive(Debug)]
struct Row<T> {
    had: u64,
    waiting: VecDeque<T>,
}

impl<K: Ord + Clone, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self {
            now: 0,
            rows: BTreeMap::new(),
            next: BTreeSet::new(),
            waiting: 0,
        }
    }
}

impl<K: Ord + Clone, T> Turns<K, T> {
    /// Something more waits for a holder's turn.
    pub fn push(&mut self, holder: &K, item: T) {
        let now = self.now;
        let row = self.row(holder);
        if row.waiting.is_empty() {
            row.had = row.had.max(now);
            let place = (row.had, holder.clone());
            row.waiting.push_back(item);
            self.next.insert(place);
        } else {
            row.waiting.push_back(item);
        }
        self.waiting += 1;
    }

    /// What is next, and whose it is. It counts for as much as `cost` says, and for one at least; what it turns out to
    /// cost more is charged later.
    pub fn pop(&mut self, cost: impl FnOnce(&T) -> u64) -> Option<(K, T)> {
        let (had, holder) = self.next.pop_first()?;
        self.now = self.now.max(had);
        let row = self.rows.get_mut(&holder)?;
        let item = row.waiting.pop_front()?;
        // saturates: after 2^64 of a cost all are equal, which is first come, first served.
        row.had = row.had.saturating_add(cost(&item).max(1));
        if !row.waiting.is_empty() {
            self.next.insert((row.had, holder.clone()));
        }
        self.waiting -= 1;
        Some((holder, item))
    }

    /// The next one, as [`Self::pop`] would give it.
    pub fn peek(&self) -> Option<(&K, &T)> {
        let (_, holder) = self.next.first()?;
        let item = self.rows.get(holder)?.waiting.front()?;
        Some((holder, item))
    }

    /// A holder had so much more than it was counted for.
    pub fn charge(&mut self, holder: &K, cost: u64) {
        let row = self.row(holder);
        let had = row.had;
        // saturates: as in `pop`.
        row.had = had.saturating_add(cost);
        let now = row.had;
        if self.next.remove(&(had, holder.clone())) {
            self.next.insert((now, holder.clone()));
        }
    }

    /// A holder had so much less than it was counted for. While nothing of it waits, that is no credit: see [`Self::push`].
    pub fn refund(&mut self, holder: &K, cost: u64) {
        let Some(row) = self.rows.get_mut(holder) else {
            return;
        };
        let had = row.had;
        // saturates: no more is given back than was counted.
        row.had = had.saturating_sub(cost);
        let now = row.had;
        if self.next.remove(&(had, holder.clone())) {
            self.next.insert((now, holder.clone()));
        }
    }

    /// How much waits, of all.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    fn row(&mut self, holder: &K) -> &mut Row<T> {
        if self.rows.len() >= REMEMBERED_MAX && !self.rows.contains_key(holder) {
            let now = self.now;
            let waits = |row: &Row<T>| !row.waiting.is_empty();
            self.rows.retain(|_, row| waits(row) || row.had > now);
            if self.rows.len() >= REMEMBERED_MAX {
                // Forgotten is what they had too much. To gain by it, somebody needs more names than there are rows.
                self.rows.retain(|_, row| waits(row));
            }
        }
        let had = self.now;
        self.rows.entry(holder.clone()).or_insert_with(|| Row {
            had,
            waiting: VecDeque::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves so many, and says whose they were.
    fn served(turns: &mut Turns<char, u64>, count: usize) -> String {
        let next = |_| turns.pop(|cost| *cost).map(|(holder, _)| holder);
        (0..count).filter_map(next).collect()
    }

    fn pushed(turns: &mut Turns<char, u64>, holder: char, cost: u64, count: usize) {
        (0..count).for_each(|_| turns.push(&holder, cost));
    }

    #[test]
    fn whoever_waits_behind_a_thousand_of_another_is_second() {
        let mut turns = Turns::default();
        pushed(&mut turns, 'a', 1, 1_000);
        pushed(&mut turns, 'b', 1, 2);
        assert_eq!(served(&mut turns, 6), "ababaa");
        assert_eq!(turns.waiting(), 996);
    }

    #[test]
    fn what_is_large_counts_for_more() {
        let mut turns = Turns::default();
        pushed(&mut turns, 'a', 10, 10);
        pushed(&mut turns, 'b', 1, 100);
        let order = served(&mut turns, 44);
        assert_eq!(order.chars().filter(|holder| *holder == 'a').count(), 4);
    }

    #[test]
    fn what_it_turned_out_to_cost_counts_too() {
        let mut turns = Turns::default();
        pushed(&mut turns, 'a', 1, 10);
        pushed(&mut turns, 'b', 1, 10);
        assert_eq!(served(&mut turns, 2), "ab");
        turns.charge(&'a', 5);
        // Five that `a` had too much are served to `b`, and then one each.
        assert_eq!(served(&mut turns, 9), "bbbbbabab");
    }

    #[test]
    fn what_it_cost_less_than_expected_is_given_back() {
        let mut turns = Turns::default();
        pushed(&mut turns, 'a', 100, 10);
        pushed(&mut turns, 'b', 1, 200);
        assert_eq!(served(&mut turns, 1), "a");
        turns.refund(&'a', 100);
        // Nothing was done for it: it is next again.
        assert_eq!(served(&mut turns, 1), "a");
        assert!(!served(&mut turns, 100).contains('a'));
        // Of what is given back while nothing waits, nothing is left.
        let mut turns = Turns::default();
        pushed(&mut turns, 'a', 100, 1);
        pushed(&mut turns, 'b', 100, 1);
        assert_eq!(served(&mut turns, 2), "ab");
        pushed(&mut turns, 'b', 100, 1);
        assert_eq!(served(&mut turns, 1), "b");
        turns.refund(&'a', 1_000);
        pushed(&mut turns, 'a', 1, 1_000);
        pushed(&mut turns, 'b', 1, 1_000);
        let order = served(&mut turns, 300);
        assert!(order.contains('b'), "{order}");
    }

    #[test]
    fn nobody_saves_up_by_staying_away_and_nobody_is_made_to_pay_for_being_alone() {
        let mut turns = Turns::default();
        for _ in 0..1_000 {
            pushed(&mut turns, 'a', 7, 1);
            assert_eq!(served(&mut turns, 1), "a");
            turns.charge(&'a', 7);
        }
        pushed(&mut turns, 'a', 1, 3);
        pushed(&mut turns, 'b', 1, 30);
        // What `a` had last is its only debt.
        let order = served(&mut turns, 20);
        assert!(order.contains('a'), "{order}");
    }

    #[test]
    fn names_are_forgotten_and_what_waits_is_not() {
        let mut turns = Turns::default();
        turns.push(&0_u64, 1_u64);
        for name in 1..20_000_u64 {
            turns.charge(&name, 1_000);
            assert!(turns.rows.len() <= REMEMBERED_MAX, "{name}");
        }
        assert_eq!(turns.pop(|cost| *cost), Some((0, 1)));
        assert_eq!((turns.pop(|cost| *cost), turns.waiting()), (None, 0));
    }
}
