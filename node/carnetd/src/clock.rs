//! The only place that reads a clock.
//!
//! Time reaches everything else as a value: the wall clock stamps commands and judges certificates, the monotonic clock
//! measures how long something took. Nothing here waits, and nothing here decides whether a time is plausible.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carnet_domain::bytes::time::TimeMs;

/// Where time comes from: the machine in production, a test's own numbers elsewhere.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, milliseconds since 1970. It may jump, in both directions.
    fn wall(&self) -> TimeMs;

    /// Time since some fixed moment of this process. It never goes back.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    /// A machine that believes it is before 1970 reads as 1970: the voters' median then finds it out.
    fn wall(&self) -> TimeMs {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        TimeMs::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_reads_a_time_after_this_was_written() {
        let written = TimeMs::parse("2026-01-01T00:00:00Z").expect("a time");
        assert!(written < SystemClock::new().wall());
    }

    #[test]
    fn monotonic_time_never_goes_back() {
        let clock = SystemClock::new();
        let mut last = Duration::ZERO;
        for _ in 0..10_000 {
            let now = clock.monotonic();
            assert!(last <= now, "{last:?} then {now:?}");
            last = now;
        }
    }
}
