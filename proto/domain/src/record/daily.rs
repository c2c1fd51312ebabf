//! What is counted by the day.

use crate::bytes::time::{DurationMs, TimeMs};
use crate::limits::{Sequence, next_own};

/// How often something was done within a day of log time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Daily {
    /// Which day, since the epoch.
    pub day: u64,
    /// How often.
    pub count: u64,
}
crate::canonical_struct!(Daily {
    day: Sequence,
    count: Sequence
});

impl Daily {
    /// How often it was done on the day of a time.
    pub fn on(&self, at: TimeMs) -> u64 {
        match self.day == at.0 / DAY_MS {
            true => self.count,
            false => 0,
        }
    }

    /// With once more.
    #[must_use]
    pub fn and(&self, at: TimeMs) -> Self {
        Self {
            day: at.0 / DAY_MS,
            count: next_own(self.on(at)),
        }
    }
}

const DAY_MS: u64 = DurationMs::from_days(1).0;
