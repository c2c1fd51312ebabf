//! What the cells of a row say of a robot, in the forms that people and their spreadsheets write.

use carnet_client::identity;
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::country::is_country;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::letters::forbidden;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::TEXT_BYTES_MAX;
use carnet_domain::record::{BodyName, Firmware, IdentifierScheme, Maker};
use carnet_domain::rules::command::{Command, Registration};

use crate::maker::identifier;
use crate::parse;
use crate::part::{firmware, part_text, robot_key, sort_parts};
use crate::sheet::Cells;

/// The columns, and whether each is required.
pub(super) const COLUMNS: &[(&str, bool)] = &[
    ("code", true),
    ("manufactured", true),
    ("body_serial", false),
    ("site", false),
    ("origin", false),
    ("firmware", false),
    ("parts", false),
    ("robot_key", false),
    ("prototype", false),
    ("importers_filing", false),
    ("maker_scheme", false),
    ("maker_country", false),
    ("maker_id", false),
];

/// What rows fall back to.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    pub(super) scheme: IdentifierScheme,
    pub(super) country: Option<String>,
    pub(super) id: Option<String>,
    pub(super) dates: Dates,
}

/// How a file writes its dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Dates {
    /// 2026-05-01, or RFC 3339 with a time.
    #[default]
    Iso,
    /// Year, month, day: 2026/5/1.
    Ymd,
    /// Day, month, year: 1.5.2026.
    Dmy,
    /// Month, day, year: 5/1/2026.
    Mdy,
    /// A spreadsheet's count of days: 46143.
    Excel,
}

/// The robot that a row describes.
///
/// # Errors
/// The column, and what is wrong with its cell.
pub(super) fn registration(cells: &Cells, defaults: &Defaults) -> Result<Registration, String> {
    let cell = |name: &'static str| cells.get(name).map(String::as_str);
    let in_field = |name: &str, fault: String| format!("{name}: {fault}");
    for (name, text) in cells {
        // The parts are a list: each of them is a text.
        let bound = match *name {
            "parts" => text.split_whitespace().map(str::len).max().unwrap_or(0),
            _ => text.len(),
        };
        one_line(text, bound).map_err(|fault| in_field(name, fault))?;
    }
    let code = code(cell("code").unwrap_or_default()).map_err(|fault| in_field("code", fault))?;
    let maker = maker(cells, defaults)?;
    let body_serial = match cell("body_serial") {
        Some(text) => text.to_owned(),
        None => code.serial().to_string(),
    };
    let parts = cell("parts").unwrap_or_default().split_whitespace();
    let parts = parts.map(part_text).collect::<Result<Vec<_>, _>>();
    let (identity_parts, parts) =
        sort_parts(&parts.map_err(|fault| in_field("parts", fault))?, &maker);
    let firmware = match cell("firmware") {
        Some(text) => firmware(text).map_err(|fault| in_field("firmware", fault))?,
        None => Firmware {
            family: "main".into(),
            build: 1,
        },
    };
    let robot_key = match cell("robot_key") {
        None => None,
        Some(text) => Some(robot_key(text).map_err(|fault| in_field("robot_key", fault))?),
    };
    let yes = |name: &'static str| match cell(name) {
        None => Ok(false),
        Some(text) => yes_or_no(text).map_err(|fault| in_field(name, fault)),
    };
    let registration = Registration {
        code,
        body: BodyName {
            maker: maker.clone(),
            serial: identity::canonical(&body_serial)
                .map_err(|fault| in_field("body_serial", fault))?,
        },
        manufactured: date(cell("manufactured").unwrap_or_default(), defaults.dates)
            .map_err(|fault| in_field("manufactured", fault))?,
        site: cell("site").unwrap_or_default().to_owned(),
        origin: match cell("origin") {
            Some(text) => country(text).map_err(|fault| in_field("origin", fault))?,
            None => maker.country,
        },
        prototype: yes("prototype")?,
        importers_filing: yes("importers_filing")?,
        identity_parts,
        parts,
        robot_key,
        firmware,
    };
    let (code, body) = (&registration.code, registration.body.identity());
    if registration
        .robot_key
        .is_some_and(|key| !key.is_of(code, &body))
    {
        let fault = "its proof is not for this code with this body; see `carnet robot prove-key`";
        return Err(in_field("robot_key", fault.to_owned()));
    }
    as_the_registry_reads(registration)
}

/// The registry's own decoder has the last word: what it would not read is never sent.
fn as_the_registry_reads(registration: Registration) -> Result<Registration, String> {
    let command = Command::Register { registration };
    match Command::from_bytes(&command.to_bytes()) {
        Ok(Command::Register { registration }) => Ok(registration),
        Ok(_) => Err("not a registration".into()),
        Err(error) => Err(format!("the row as a whole: {}", error.fault)),
    }
}

fn maker(cells: &Cells, defaults: &Defaults) -> Result<Maker, String> {
    let scheme = match cells.get("maker_scheme") {
        Some(text) => {
            parse::identifier_scheme(text).map_err(|fault| format!("maker_scheme: {fault}"))?
        }
        None => defaults.scheme,
    };
    let place = required(cells, "maker_country", &defaults.country)?;
    let id = required(cells, "maker_id", &defaults.id)?;
    Ok(Maker {
        scheme,
        country: country(place).map_err(|fault| format!("maker_country: {fault}"))?,
        identifier: identifier(scheme, id).map_err(|fault| format!("maker_id: {fault}"))?,
    })
}

fn required<'a>(
    cells: &'a Cells,
    name: &'static str,
    default: &'a Option<String>,
) -> Result<&'a str, String> {
    let given = cells.get(name).or(default.as_ref());
    given
        .map(String::as_str)
        .ok_or_else(|| format!("{name}: missing; give it in the row, or for all rows as an option"))
}

/// What every text of a registry must be: one line, not too long, and without letters that do not show. `bytes` is the length
/// that counts.
fn one_line(text: &str, bytes: usize) -> Result<(), String> {
    if text.contains(['\n', '\r']) {
        return Err("a line break inside a cell".into());
    }
    if let Some(letter) = forbidden(text) {
        return Err(format!(
            "the code point U+{:04X} is not allowed",
            letter as u32
        ));
    }
    if bytes > TEXT_BYTES_MAX {
        return Err(format!(
            "{bytes} bytes, at most {TEXT_BYTES_MAX} are allowed"
        ));
    }
    Ok(())
}

fn code(text: &str) -> Result<Code, String> {
    parse::code(text).map_err(|fault| match is_scientific(text) {
        true => format!(
            "a spreadsheet turned the code {text:?} into a number, and its last digits are lost: format the column as text, \
             and enter the codes again"
        ),
        false => fault,
    })
}

/// `8.60001E+28`, with either decimal mark.
fn is_scientific(text: &str) -> bool {
    let Some((number, exponent)) = text.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(exponent.trim_start_matches('+')) && digits(&number.replace([',', '.'], ""))
}

fn country(text: &str) -> Result<String, String> {
    let country = text.to_ascii_uppercase();
    match is_country(&country) {
        true => Ok(country),
        false => Err(format!(
            "{text:?} is not a country; write two letters of ISO 3166-1, as CN"
        )),
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "1" => Ok(true),
        "false" | "no" | "n" | "0" => Ok(false),
        _ => Err(format!(
            "{text:?}: write true or false (yes, no, 1 and 0 are taken too)"
        )),
    }
}

/// An instant, in the form said. Only days that exist; no 24:00, whose day is the next one, and no second 60, which log
/// time does not have.
fn date(text: &str, dates: Dates) -> Result<TimeMs, String> {
    let read = match dates {
        Dates::Iso => parse::instant(text).ok(),
        Dates::Ymd => {
            numbers(text).and_then(|[year, month, day]| TimeMs::of_date(year, month, day))
        }
        Dates::Dmy => {
            numbers(text).and_then(|[day, month, year]| TimeMs::of_date(year, month, day))
        }
        Dates::Mdy => {
            numbers(text).and_then(|[month, day, year]| TimeMs::of_date(year, month, day))
        }
        Dates::Excel => excel(text),
    };
    read.ok_or_else(|| match dates {
        Dates::Iso => not_iso(text),
        Dates::Ymd => {
            format!("{text:?}: expected year, month, day of a day that exists, as 2026/5/1")
        }
        Dates::Dmy => {
            format!("{text:?}: expected day, month, year of a day that exists, as 1.5.2026")
        }
        Dates::Mdy => {
            format!("{text:?}: expected month, day, year of a day that exists, as 5/1/2026")
        }
        Dates::Excel => {
            format!("{text:?}: expected a spreadsheet's count of days since 1900, as 46143")
        }
    })
}

/// Three numbers between `/`, `.` or `-`; none where that is not what the text is.
fn numbers(text: &str) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut pieces = text.split(['/', '.', '-']);
    for number in &mut numbers {
        let piece = pieces.next()?.trim();
        let digits =
            (1..=4).contains(&piece.len()) && piece.bytes().all(|byte| byte.is_ascii_digit());
        *number = piece.parse().ok().filter(|_| digits)?;
    }
    pieces.next().is_none().then_some(numbers)
}

/// Days since 30 December 1899, from 1970 on: there the two counts of days that spreadsheets have begin to agree.
fn excel(text: &str) -> Option<TimeMs> {
    const UNIX_DAY: u64 = 25_569;
    let days: u64 = text.parse().ok()?;
    let days = days
        .checked_sub(UNIX_DAY)
        .filter(|days| *days < 3_000_000)?;
    TimeMs::EPOCH.checked_add(DurationMs::from_days(days))
}

/// Why a text is not a date in the form that needs no explanation, and how to say that it is in another.
fn not_iso(text: &str) -> String {
    let wanted = "dates are written 2026-05-01, or 2026-05-01T10:00:00Z with a time";
    let lower = text.to_ascii_lowercase();
    let (day, time) = lower.split_once(['t', ' ']).unwrap_or((&lower, ""));
    if text.bytes().all(|byte| byte.is_ascii_digit()) && (1..=6).contains(&text.len()) {
        return format!(
            "{text:?}: a spreadsheet's count of days; format the column as a date (2026-05-01), or say --dates excel"
        );
    }
    match numbers(day) {
        Some([year, month, number]) if year >= 1_000 => {
            if TimeMs::of_date(year, month, number).is_none() {
                return format!("{text:?}: there is no such day between 1970 and 9999");
            }
            if day.len() != 10 || day.contains(['/', '.']) {
                return format!(
                    "{text:?}: {wanted}; for year, month, day otherwise say --dates ymd"
                );
            }
        }
        Some([_, _, year]) if year >= 1_000 => {
            return format!(
                "{text:?}: {wanted}; for day, month, year say --dates dmy, for month, day, year --dates mdy"
            );
        }
        _ => {}
    }
    if time.starts_with("24:") {
        return format!("{text:?}: there is no hour 24; write 00:00:00 of the next day");
    }
    if time.get(5..8) == Some(":60") {
        return format!(
            "{text:?}: there is no second 60 here; write the one before or after a leap second"
        );
    }
    if time.len() >= 5 && !time.contains(['z', '+', '-']) {
        return format!("{text:?}: a time needs its zone; write Z behind it for UTC, or as +08:00");
    }
    format!("{text:?}: {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_form_said_only() {
        let day = TimeMs::of_date(2026, 5, 1).expect("a day");
        for (text, dates) in [
            ("2026-05-01", Dates::Iso),
            ("2026/5/1", Dates::Ymd),
            ("20.5.2026", Dates::Dmy),
            ("5/20/2026", Dates::Mdy),
            ("46143", Dates::Excel),
        ] {
            assert!(date(text, dates).is_ok(), "{text} as {dates:?}");
            let others = [Dates::Iso, Dates::Ymd, Dates::Dmy, Dates::Mdy, Dates::Excel];
            for other in others.into_iter().filter(|other| *other != dates) {
                // A date that every form of numbers reads the same way is one in the form of ISO.
                let same =
                    date(text, other).is_err() || (text, other) == ("2026-05-01", Dates::Ymd);
                assert!(same, "{text} as {other:?}");
            }
        }
        assert_eq!(date("46143", Dates::Excel), Ok(day));
        assert_eq!(date("01/05/2026", Dates::Dmy), Ok(day));
    }

    #[test]
    fn a_number_that_was_a_code_is_known() {
        for text in ["8.60001E+28", "8,60001E+28", "8e28"] {
            assert!(is_scientific(text), "{text}");
        }
        assert!(!is_scientific("86E0110000200000000000000001X"));
    }
}
