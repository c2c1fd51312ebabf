//! Instants: RFC 3339 both ways, the calendar over its whole range, arithmetic that never wraps.

use carnet_domain::bytes::time::{DurationMs, TimeMs};
use proptest::prelude::*;

fn check(text: &str, expected: &str) {
    let found = match TimeMs::parse(text) {
        Ok(time) => time.to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn instants_are_read_and_written() {
    check("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z");
    check("2026-05-20T08:30:15.5Z", "2026-05-20T08:30:15.500Z");
    check("2026-05-20t08:30:15.123456789z", "2026-05-20T08:30:15.123Z");
    check("2024-02-29T23:59:59+02:00", "2024-02-29T21:59:59.000Z");
    check("2024-02-29T23:59:59-02:30", "2024-03-01T02:29:59.000Z");
    check("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
}

#[test]
fn what_is_no_instant_is_refused_at_its_place() {
    let at = |position: usize| {
        format!("not an RFC 3339 instant between 1970 and 9999, at position {position}")
    };
    check("", &at(0));
    check("2026-05-20", &at(10));
    check("2026-05-20 08:30:15Z", &at(10));
    check("2026-02-29T00:00:00Z", &at(0));
    check("2100-02-29T00:00:00Z", &at(0));
    check("1969-12-31T23:59:59Z", &at(0));
    check("1970-01-01T00:00:00+01:00", &at(0));
    check("2026-05-20T24:00:00Z", &at(11));
    check("2026-05-20T08:60:00Z", &at(14));
    check("2026-05-20T08:30:60Z", &at(17));
    check("2026-05-20T08:30:15", &at(19));
    check("2026-05-20T08:30:15.Z", &at(20));
    check("2026-05-20T08:30:15Zx", &at(20));
}

#[test]
fn every_day_until_2200_follows_the_one_before() {
    let mut expected = 0;
    for year in 1970..2200 {
        for month in 1..=12 {
            for day in 1..=31 {
                let Some(time) = TimeMs::of_date(year, month, day) else {
                    continue;
                };
                assert_eq!(time.day(), expected);
                assert_eq!(time.month(), year * 12 + month - 1);
                assert_eq!(
                    &time.to_string()[..10],
                    format!("{year:04}-{month:02}-{day:02}")
                );
                expected += 1;
            }
        }
    }
    assert_eq!(expected, 84_006);
}

#[test]
fn arithmetic_never_wraps() {
    assert_eq!(TimeMs::MAX.saturating_add(DurationMs(1)), TimeMs::MAX);
    assert_eq!(TimeMs::MAX.checked_add(DurationMs(1)), None);
    assert_eq!(TimeMs::EPOCH.saturating_sub(DurationMs(1)), TimeMs::EPOCH);
    assert_eq!(TimeMs::EPOCH.checked_sub(DurationMs(1)), None);
    assert_eq!(TimeMs(5).since(TimeMs(9)), DurationMs::ZERO);
    assert_eq!(DurationMs::from_days(u64::MAX).as_ms(), u64::MAX);
    assert_eq!(TimeMs::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    assert_eq!(TimeMs::parse("9999-12-31T23:59:59.999Z"), Ok(TimeMs::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(ms in 0u64..253_402_300_800_000) {
        prop_assert_eq!(TimeMs::parse(&TimeMs(ms).to_string()), Ok(TimeMs(ms)));
    }
}
