//! A token bucket that is told the time.

use std::time::Duration;

/// So many at once, and so many a second after that.
#[derive(Debug, Clone)]
pub struct Bucket {
    burst: u32,
    every: Duration,
    tokens: u32,
    /// The moment up to which tokens were given.
    counted: Duration,
}

impl Bucket {
    /// A full bucket.
    ///
    /// # Panics
    /// When `burst` or `per_second` is zero.
    pub fn new(burst: u32, per_second: u32, now: Duration) -> Self {
        assert!(0 < burst, "a bucket holds a token");
        assert!(0 < per_second, "a bucket is filled");
        Self {
            burst,
            every: Duration::from_secs(1) / per_second,
            tokens: burst,
            counted: now,
        }
    }

    /// A full bucket that is one of so many: all together give no more than one that is whole, but for the one token that each
    /// holds at the least.
    ///
    /// # Panics
    /// As [`Bucket::new`].
    pub fn part_of(parts: u32, burst: u32, per_second: u32, now: Duration) -> Self {
        let whole = Self::new(burst, per_second, now);
        let burst = (burst / parts.max(1)).max(1);
        Self {
            burst,
            tokens: burst,
            every: whole.every * parts.max(1),
            ..whole
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// After how long there will be one.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.take_above(0, now)
    }

    /// Takes a token, if so many are left after it.
    ///
    /// # Errors
    /// After how long there will be one too many, if nobody else takes any.
    pub fn take_above(&mut self, left: u32, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.counted);
        let earned = passed.as_nanos() / self.every.as_nanos();
        let room = self.burst - self.tokens;
        match u32::try_from(earned).ok().filter(|earned| *earned < room) {
            Some(earned) => {
                self.tokens += earned;
                self.counted += self.every * earned;
            }
            None => {
                self.tokens = self.burst;
                self.counted = now;
            }
        }
        if self.tokens <= left {
            let missing = left + 1 - self.tokens;
            return Err((self.counted + self.every * missing).saturating_sub(now));
        }
        self.tokens -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, at_ms: u64) -> usize {
        let now = Duration::from_millis(at_ms);
        std::iter::repeat_with(|| bucket.take(now))
            .take_while(Result::is_ok)
            .count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(5, 10, Duration::ZERO);
        let counts: Vec<usize> = [0, 99, 100, 250, 300, 100_000, 100_000]
            .into_iter()
            .map(|at| taken(&mut bucket, at))
            .collect();
        assert_eq!(counts, [5, 0, 1, 1, 1, 5, 0]);
    }

    #[test]
    fn what_is_to_be_left_is_left() {
        let mut bucket = Bucket::new(5, 10, Duration::ZERO);
        let at = Duration::from_millis;
        let counts = (0..9).filter(|_| bucket.take_above(3, at(0)).is_ok());
        assert_eq!(counts.count(), 2);
        assert_eq!(bucket.take(at(0)), Ok(()), "for whoever may have that");
        assert_eq!(bucket.take_above(3, at(0)), Err(at(200)));
        assert_eq!(bucket.take_above(3, at(200)), Ok(()));
    }

    #[test]
    fn the_wait_it_names_is_enough() {
        let mut bucket = Bucket::new(1, 4, Duration::ZERO);
        assert_eq!(bucket.take(Duration::ZERO), Ok(()));
        let now = Duration::from_millis(60);
        let wait = bucket.take(now).expect_err("it is empty");
        assert_eq!(wait, Duration::from_millis(190));
        assert_eq!(bucket.take(now + wait), Ok(()));
    }
}
