//! Instants and durations of the log, in milliseconds, and their RFC 3339 text.
//!
//! There is no clock here: an instant always arrives as a value.

use std::fmt;
use std::str::FromStr;

use crate::bytes::encoding::{Canonical, DecodeError, DecodeFault, Decoder, Encoder};

const MS_PER_DAY: u64 = 86_400_000;

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DurationMs(pub u64);

impl DurationMs {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// That many milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// That many seconds; the longest duration if they are too many.
    pub const fn from_secs(secs: u64) -> Self {
        // saturates: an instant or length beyond the last is the last
        Self(secs.saturating_mul(1000))
    }

    /// That many days; the longest duration if they are too many.
    pub const fn from_days(days: u64) -> Self {
        // saturates: an instant or length beyond the last is the last
        Self(days.saturating_mul(MS_PER_DAY))
    }

    /// Milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// An instant: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeMs(pub u64);

/// A text that is not an RFC 3339 instant between 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 instant between 1970 and 9999, at position {position}")]
pub struct TimeError {
    /// 0-based position of the first character that is wrong.
    pub position: usize,
}

impl TimeMs {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The last instant with a date of four digits, 9999-12-31T23:59:59.999Z; also "without end". Bytes that say a later
    /// one are refused.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// That many milliseconds after 1970.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The instant `by` later, or the largest one.
    // saturates: its name says so
    pub const fn saturating_add(self, by: DurationMs) -> Self {
        // saturates: an instant or length beyond the last is the last
        let ms = self.0.saturating_add(by.0);
        if ms > Self::MAX.0 {
            return Self::MAX;
        }
        Self(ms)
    }

    /// The instant `by` earlier, or 1970.
    // saturates: its name says so
    pub const fn saturating_sub(self, by: DurationMs) -> Self {
        // saturates: an instant or length beyond the last is the last
        Self(self.0.saturating_sub(by.0))
    }

    /// The instant `by` later, if there is one.
    pub const fn checked_add(self, by: DurationMs) -> Option<Self> {
        match self.0.checked_add(by.0) {
            Some(ms) if ms <= Self::MAX.0 => Some(Self(ms)),
            _ => None,
        }
    }

    /// The instant `by` earlier, if there is one.
    pub const fn checked_sub(self, by: DurationMs) -> Option<Self> {
        match self.0.checked_sub(by.0) {
            Some(ms) => Some(Self(ms)),
            None => None,
        }
    }

    /// How long this is after `earlier`; zero if it is not.
    pub const fn since(self, earlier: Self) -> DurationMs {
        // saturates: what is not after is no time after
        DurationMs(self.0.saturating_sub(earlier.0))
    }

    /// Days since 1970, in UTC.
    pub const fn day(self) -> u64 {
        self.0 / MS_PER_DAY
    }

    /// `year * 12 + month`, the month 0-based, in UTC.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a year below 2^32 and a month from 1"
    )]
    pub const fn month(self) -> u64 {
        let (year, month, _) = civil(self.day());
        year * 12 + month - 1
    }

    /// Midnight UTC of a calendar day; `None` if there is no such day between 1970 and 9999.
    #[expect(clippy::arithmetic_side_effects, reason = "a year is at most 9999")]
    pub const fn of_date(year: u64, month: u64, day: u64) -> Option<Self> {
        if year < 1970 || 9999 < year || month < 1 || 12 < month {
            return None;
        }
        if day < 1 || days_in(year, month) < day {
            return None;
        }
        Some(Self(days_from_civil(year, month, day) * MS_PER_DAY))
    }

    /// Reads an RFC 3339 instant with seconds, at most nine digits of a fraction (cut to milliseconds) and `Z` or an
    /// offset.
    ///
    /// # Errors
    /// The first position that is wrong, or 0 when the instant lies before 1970.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a year is at most 9999, an offset at most a day"
    )]
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let mut r = Reader {
            bytes: text.as_bytes(),
            position: 0,
        };
        let year = r.number(4)?;
        r.literal(b"-")?;
        let month = r.number(2)?;
        r.literal(b"-")?;
        let day = r.number(2)?;
        let Some(midnight) = Self::of_date(year, month, day) else {
            return Err(TimeError { position: 0 });
        };
        r.literal(b"Tt")?;
        let hour = r.below(24)?;
        r.literal(b":")?;
        let minute = r.below(60)?;
        r.literal(b":")?;
        let second = r.below(60)?;
        let ms = r.fraction_ms()?;
        let offset = r.offset_minutes()?;
        if r.position != text.len() {
            return Err(TimeError {
                position: r.position,
            });
        }
        let local = midnight.0 + ((hour * 60 + minute) * 60 + second) * 1000 + ms;
        // An offset of +02:00 means the clock on the wall is two hours ahead of UTC.
        local
            .checked_add_signed(-offset * 60_000)
            .map(Self)
            .ok_or(TimeError { position: 0 })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a position lies below the length of the text"
    )]
    fn next(&mut self, admits: impl Fn(u8) -> bool) -> Result<u8, TimeError> {
        let byte = self
            .bytes
            .get(self.position)
            .copied()
            .filter(|byte| admits(*byte));
        let byte = byte.ok_or(TimeError {
            position: self.position,
        })?;
        self.position += 1;
        Ok(byte)
    }

    fn literal(&mut self, any_of: &[u8]) -> Result<u8, TimeError> {
        self.next(|byte| any_of.contains(&byte))
    }

    #[expect(clippy::arithmetic_side_effects, reason = "at most four digits")]
    fn number(&mut self, digits: usize) -> Result<u64, TimeError> {
        let mut out = 0;
        for _ in 0..digits {
            out = out * 10 + u64::from(self.next(|byte| byte.is_ascii_digit())? - b'0');
        }
        Ok(out)
    }

    fn below(&mut self, end: u64) -> Result<u64, TimeError> {
        let position = self.position;
        Some(self.number(2)?)
            .filter(|n| *n < end)
            .ok_or(TimeError { position })
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "at most nine digits, of which three count"
    )]
    fn fraction_ms(&mut self) -> Result<u64, TimeError> {
        if self.bytes.get(self.position) != Some(&b'.') {
            return Ok(0);
        }
        self.position += 1;
        let mut ms = 0;
        let mut digits = 0;
        while digits < 9
            && self
                .bytes
                .get(self.position)
                .is_some_and(u8::is_ascii_digit)
        {
            let digit = self.number(1)?;
            ms += if digits < 3 {
                digit * [100, 10, 1][digits]
            } else {
                0
            };
            digits += 1;
        }
        if digits == 0 {
            Err(TimeError {
                position: self.position,
            })
        } else {
            Ok(ms)
        }
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "hours below 24 and minutes below 60"
    )]
    fn offset_minutes(&mut self) -> Result<i64, TimeError> {
        let sign = match self.literal(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Ok(0),
        };
        let hours = self.below(24)? as i64;
        self.literal(b":")?;
        Ok(sign * (hours * 60 + self.below(60)? as i64))
    }
}

impl FromStr for TimeMs {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse(text)
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for TimeMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.day());
        let ms = self.0 % MS_PER_DAY;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let text = format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
            ms % 1000
        );
        f.pad(&text)
    }
}

/// Year, month and day (both 1-based) of a day since 1970; years begin in March here, so a leap day comes last.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a day is at most 2^64 / 86,400,000"
)]
const fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The day since 1970 of a calendar day from 1970 on.
#[expect(clippy::arithmetic_side_effects, reason = "a year is at most 9999")]
const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

impl Canonical for TimeMs {
    fn encode(&self, e: &mut Encoder) {
        e.uint(self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = d.clone();
        let ms = d.uint()?;
        if ms > Self::MAX.0 {
            return Err(at.fault(DecodeFault::Length {
                expected: Self::MAX.0,
                found: ms,
            }));
        }
        Ok(Self(ms))
    }
}

impl Canonical for DurationMs {
    fn encode(&self, e: &mut Encoder) {
        e.uint(self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.uint().map(Self)
    }
}
