//! How fast something may come, told how much came and what time it is. It refuses nothing: it says how long to wait.

use std::time::Duration;

/// So many a second, and so many ahead of that.
#[derive(Debug, Clone)]
pub struct Pace {
    per_second: u64,
    ahead: Duration,
    /// When all that came would have come at this rate.
    due: Duration,
}

impl Pace {
    /// Nothing came yet.
    ///
    /// # Panics
    /// When `per_second` is zero.
    pub fn new(per_second: u64, ahead: u64) -> Self {
        assert!(0 < per_second, "something may come");
        Self {
            per_second,
            ahead: time_of(ahead, per_second),
            due: Duration::ZERO,
        }
    }

    /// Counts what came; how long to wait before the next may.
    pub fn came(&mut self, count: u64, now: Duration) -> Duration {
        let cost = time_of(count, self.per_second);
        self.due = self.due.max(now).saturating_add(cost);
        self.due.saturating_sub(now).saturating_sub(self.ahead)
    }
}

fn time_of(count: u64, per_second: u64) -> Duration {
    let nanos = u128::from(count) * 1_000_000_000 / u128::from(per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_to_the_rate_never_waits_and_ten_times_as_much_waits_for_the_rest() {
        let at = Duration::from_millis;
        let mut steady = Pace::new(10, 5);
        assert!((0..1_000).all(|n| steady.came(1, at(n * 100)).is_zero()));
        let mut flood = Pace::new(10, 5);
        let waits: Vec<u64> = (0..7)
            .map(|_| flood.came(1, at(0)).as_millis() as u64)
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200]);
        assert_eq!(flood.came(93, at(0)), at(9_500));
        assert_eq!(flood.came(1, at(20_000)), Duration::ZERO);
        // As much as a number can say, without overflow.
        assert!(at(1) < flood.came(u64::MAX, at(20_000)));
    }
}
