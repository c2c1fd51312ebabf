//! What a voter's clock read, and when two clocks agree.

use crate::bytes::time::{DurationMs, TimeMs};
use crate::limits::{CLOCKS_AGREE, ROUND_TRIP_MAX};

/// What one voter's clock read, as of the moment that an [`Body::AdvanceTime`](super::entry::Body::AdvanceTime) names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The voter.
    pub node: u64,
    /// What its clock read when it was asked, in milliseconds since 1970.
    pub at: TimeMs,
    /// The round trip over which it was read; the reading is wrong by at most half of it.
    pub round_trip: DurationMs,
}
crate::canonical_struct!(ClockReading {
    node,
    at,
    round_trip
});

impl ClockReading {
    /// Whether the clock, wherever in its error it stands, agrees with `to`.
    pub fn confirms(&self, to: TimeMs) -> bool {
        let apart = self.at.since(to).as_ms().max(to.since(self.at).as_ms());
        let error = self.round_trip.as_ms() / 2;
        self.round_trip <= ROUND_TRIP_MAX
            && apart
                .checked_add(error)
                .is_some_and(|apart| apart <= CLOCKS_AGREE.as_ms())
    }
}
