//! What the voters' clocks say, so that one bad clock can neither advance log time nor stay leader.

/// Largest difference in milliseconds at which two clocks agree.
pub const TOLERANCE_MS: i64 = 2000;

/// One voter's clock, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// The voter.
    pub node: u64,
    /// Its clock minus ours, in milliseconds, taken at the middle of the round trip. Ours is 0.
    pub offset_ms: i64,
    /// The round trip in milliseconds; the offset is wrong by at most half of it.
    pub round_trip_ms: u64,
}

/// What a leader should make of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockVerdict {
    /// A quorum of voters agrees with it: it may stamp, and may propose to advance log time.
    Agreed,
    /// Too few voters answered to say.
    Unknown,
    /// It is away from the voters' median: hand leadership over and drop readiness.
    HandOver {
        /// The median of the voters' offsets in milliseconds.
        median_ms: i64,
    },
}

/// Judges this node's clock by those of the voters that answered, itself included.
#[must_use]
pub fn judge(offsets: &[ClockOffset], voters_count: usize) -> ClockVerdict {
    let quorum = voters_count / 2 + 1;
    if offsets.len() < quorum {
        return ClockVerdict::Unknown;
    }
    let mut sorted: Vec<i64> = offsets.iter().map(|clock| clock.offset_ms).collect();
    sorted.sort_unstable();
    let median_ms = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let agreeing = sorted
        .iter()
        .filter(|offset| offset.abs() <= TOLERANCE_MS)
        .count();
    if TOLERANCE_MS < median_ms.abs() {
        ClockVerdict::HandOver { median_ms }
    } else if quorum <= agreeing {
        ClockVerdict::Agreed
    } else {
        ClockVerdict::Unknown
    }
}

/// The offset of a clock that read `theirs_ms` while ours went from `sent_ms` to `received_ms`.
pub(crate) fn offset(node: u64, sent_ms: u64, theirs_ms: u64, received_ms: u64) -> ClockOffset {
    let round_trip_ms = received_ms.saturating_sub(sent_ms);
    let middle = i128::from(sent_ms) + i128::from(round_trip_ms / 2);
    let difference = i128::from(theirs_ms) - middle;
    let offset_ms = i64::try_from(difference).unwrap_or(if difference < 0 {
        i64::MIN + 1
    } else {
        i64::MAX
    });
    ClockOffset {
        node,
        offset_ms,
        round_trip_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offsets: &[i64], voters: usize, expected: ClockVerdict) {
        let clocks: Vec<ClockOffset> = (1..)
            .zip(offsets)
            .map(|(node, offset_ms)| ClockOffset {
                node,
                offset_ms: *offset_ms,
                round_trip_ms: 1,
            })
            .collect();
        assert_eq!(judge(&clocks, voters), expected, "{offsets:?} of {voters}");
    }

    #[test]
    fn a_clock_is_judged_by_the_median() {
        check(&[0, 5, -7], 3, ClockVerdict::Agreed);
        check(&[0, 100_000, 3], 3, ClockVerdict::Agreed);
        check(
            &[0, 100_000, 100_000],
            3,
            ClockVerdict::HandOver { median_ms: 100_000 },
        );
        check(
            &[0, -5_000, -5_010, 4, -5_020],
            5,
            ClockVerdict::HandOver { median_ms: -5_000 },
        );
        check(&[0], 3, ClockVerdict::Unknown);
        check(&[0], 1, ClockVerdict::Agreed);
    }

    #[test]
    fn an_offset_is_taken_at_the_middle_of_the_round_trip() {
        assert_eq!(
            offset(2, 1000, 1550, 1100),
            ClockOffset {
                node: 2,
                offset_ms: 500,
                round_trip_ms: 100
            }
        );
        assert_eq!(offset(2, 1000, u64::MAX, 1000).offset_ms, i64::MAX);
    }
}
