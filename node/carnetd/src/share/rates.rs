//! So many a second for each holder, in a table that cannot grow: whoever was not seen for longest is forgotten first.
//!
//! Forgetting a holder gives it a full bucket. To gain by that, somebody needs more holders than the table has rows, and
//! those are what the total beside this table is for.

use std::collections::BTreeMap;
use std::time::Duration;

use carnet_peering::bucket::Bucket;
use carnet_peering::pace::Pace;

/// Holders that are remembered in each table of a port.
pub const HOLDER_COUNT_MAX: usize = 4_096;

/// A rate and the burst that it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many a second, 1 or more.
    pub per_second: u32,
    /// So many at once, 1 or more.
    pub burst: u32,
}

/// Something for each holder, at most so many rows.
#[derive(Debug)]
struct Table<K, V> {
    rows_max: usize,
    turn: u64,
    rows: BTreeMap<K, (V, u64)>,
    by_turn: BTreeMap<u64, K>,
}

impl<K: Ord + Clone, V> Table<K, V> {
    fn new(rows_max: usize) -> Self {
        assert!(0 < rows_max, "there is a row");
        Self {
            rows_max,
            turn: 0,
            rows: BTreeMap::new(),
            by_turn: BTreeMap::new(),
        }
    }

    /// What there is for a holder, or what `make` makes; it counts as seen now.
    fn of(&mut self, holder: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.rows.contains_key(holder)
            && self.rows.len() >= self.rows_max
            && let Some((_, forgotten)) = self.by_turn.pop_first()
        {
            self.rows.remove(&forgotten);
        }
        self.turn += 1;
        let turn = self.turn;
        let (value, seen) = self
            .rows
            .entry(holder.clone())
            .or_insert_with(|| (make(), turn));
        if *seen != turn {
            self.by_turn.remove(seen);
            *seen = turn;
        }
        self.by_turn.insert(turn, holder.clone());
        value
    }
}

/// Buckets by holder.
#[derive(Debug)]
pub struct Rates<K> {
    rate: Rate,
    /// Of how many this is one, who have that rate together.
    parts: u32,
    table: Table<K, Bucket>,
}

impl<K: Ord + Clone> Rates<K> {
    /// An empty table of at most so many rows.
    ///
    /// # Panics
    /// When there may be no row.
    pub fn new(rate: Rate, rows_max: usize) -> Self {
        Self::part_of(1, rate, rows_max)
    }

    /// As [`Rates::new`], one of so many that have the rate together.
    ///
    /// # Panics
    /// When there may be no row.
    pub fn part_of(parts: u32, rate: Rate, rows_max: usize) -> Self {
        Self {
            rate,
            parts,
            table: Table::new(rows_max),
        }
    }

    /// Takes one for a holder.
    ///
    /// # Errors
    /// After how long there will be one.
    pub fn take(&mut self, holder: &K, now: Duration) -> Result<(), Duration> {
        let Rate { per_second, burst } = self.rate;
        let full = || Bucket::part_of(self.parts, burst, per_second, now);
        self.table.of(holder, full).take(now)
    }

    /// How many holders are known.
    pub fn rows(&self) -> usize {
        self.table.rows.len()
    }
}

/// How fast each holder may send: it is not refused, it waits.
#[derive(Debug)]
pub struct Paces<K> {
    per_second: u64,
    ahead: u64,
    table: Table<K, Pace>,
}

impl<K: Ord + Clone> Paces<K> {
    /// So many a second and so many ahead of that, for at most so many holders.
    ///
    /// # Panics
    /// When nothing may come, or there may be no row.
    pub fn new(per_second: u64, ahead: u64, rows_max: usize) -> Self {
        assert!(0 < per_second, "something may come");
        Self {
            per_second,
            ahead,
            table: Table::new(rows_max),
        }
    }

    /// Counts what came of a holder; how long it waits before more is taken.
    pub fn came(&mut self, holder: &K, count: u64, now: Duration) -> Duration {
        let (per_second, ahead) = (self.per_second, self.ahead);
        let fresh = || Pace::new(per_second, ahead);
        self.table.of(holder, fresh).came(count, now)
    }
}

/// Holders that were seen lately, at most so many.
#[derive(Debug)]
pub struct Seen<K>(Table<K, ()>);

impl<K: Ord + Clone> Seen<K> {
    /// Nobody.
    pub fn new(rows_max: usize) -> Self {
        Self(Table::new(rows_max))
    }

    /// Whether a holder was noted and not forgotten.
    pub fn knows(&self, holder: &K) -> bool {
        self.0.rows.contains_key(holder)
    }

    /// Notes a holder as seen now.
    pub fn note(&mut self, holder: &K) {
        self.0.of(holder, || ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 5,
    };

    fn taken(rates: &mut Rates<u32>, holder: u32, count: usize, at_ms: u64) -> usize {
        let now = Duration::from_millis(at_ms);
        (0..count)
            .filter(|_| rates.take(&holder, now).is_ok())
            .count()
    }

    #[test]
    fn below_the_rate_all_pass_above_it_the_rate_passes_and_others_do_not_notice() {
        let mut rates = Rates::new(RATE, 100);
        // A limit less one, the limit, one more, and ten times as many, each by somebody else.
        for (holder, asked, expected) in [(1, 4, 4), (2, 5, 5), (3, 6, 5), (4, 50, 5)] {
            assert_eq!(taken(&mut rates, holder, asked, 0), expected, "{holder}");
        }
        assert_eq!(taken(&mut rates, 4, 100, 1_000), 5);
        assert_eq!(taken(&mut rates, 5, 5, 1_000), 5);
        // Nine a second for ten seconds are never refused.
        let steady: usize = (0..90)
            .map(|n| taken(&mut rates, 6, 1, 2_000 + n * 1_000 / 9))
            .sum();
        assert_eq!(steady, 90);
    }

    #[test]
    fn one_that_sends_too_fast_waits_and_another_does_not() {
        let mut paces = Paces::new(100, 50, 10);
        let at = Duration::from_millis;
        let waits: Vec<Duration> = [49, 1, 1, 500]
            .into_iter()
            .map(|count| paces.came(&1, count, at(0)))
            .collect();
        assert_eq!(waits, [at(0), at(0), at(10), at(5_010)]);
        assert_eq!(paces.came(&2, 50, at(0)), at(0));
        assert_eq!(paces.came(&1, 1, at(10_000)), at(0));
    }

    #[test]
    fn the_table_does_not_grow_and_whoever_is_active_is_not_forgotten() {
        let mut rates = Rates::new(RATE, 10);
        assert_eq!(taken(&mut rates, 0, 50, 0), 5);
        for holder in 1..1_000 {
            taken(&mut rates, holder, 1, 0);
            assert_eq!(taken(&mut rates, 0, 1, 0), 0, "{holder}");
            assert!(rates.rows() <= 10);
        }
        let mut seen = Seen::new(2);
        for holder in [1, 2, 1, 3] {
            seen.note(&holder);
        }
        assert_eq!(
            [1, 2, 3].map(|holder| seen.knows(&holder)),
            [true, false, true]
        );
    }
}
