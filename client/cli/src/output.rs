//! Prints what a command found: a table for people or JSON for programs. Data on stdout, talk on stderr.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use carnet_domain::bytes::letters::forbidden;
use carnet_domain::bytes::time::TimeMs;
use chrono::{DateTime, Local, Offset, TimeZone, Utc};
use serde_json::{Map, Value, json};

use crate::exit::Failed;

/// How output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: what fits the terminal, and no column that is empty in every row.
    Table,
    /// For people: every column, however wide.
    Wide,
    /// For programs: codes and 64-bit numbers are texts.
    Json,
    /// The same, for people and programs that read YAML.
    Yaml,
}

impl Format {
    /// Whether a person reads it as it is.
    pub(crate) fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Prints a result.
pub(crate) fn print(format: Format, value: &Value) -> io::Result<()> {
    let text = match (format, value) {
        (Format::Json, value) => escaped_json(&serde_json::to_string_pretty(value)?),
        (Format::Yaml, value) => yaml(value),
        // A document of ours, with its lines.
        (Format::Table | Format::Wide, Value::String(text)) => harmless_lines(text),
        (Format::Table, value) => table_within(value, terminal_width()),
        (Format::Wide, value) => table(value),
    };
    match put(&[text.as_bytes(), b"\n"]) {
        // Whoever reads has seen enough, unless it is shown this once.
        Err(error) if has_seen_enough(&error) && shown_once(value).is_empty() => Ok(()),
        other => other,
    }
}

/// Prints bytes of ours as they are.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    match put(&[bytes]) {
        Err(error) if has_seen_enough(&error) => Ok(()),
        other => other,
    }
}

fn put(pieces: &[&[u8]]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for piece in pieces {
        out.write_all(piece)?;
    }
    out.flush()
}

fn has_seen_enough(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// What of an outcome nobody can be shown again, by its name: the secret of a release, the salt of a name.
pub(crate) fn shown_once(value: &Value) -> Vec<(&str, &str)> {
    let below = |value| shown_once(value);
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == "secret" || name.ends_with("_salt") => {
                    vec![(name.as_str(), text.as_str())]
                }
                value => below(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(below).collect(),
        _ => Vec::new(),
    }
}

/// Prints a failure: as JSON on stdout when programs read, else on stderr, and there too where stdout cannot be written.
pub(crate) fn print_failed(format: Format, failed: &Failed) {
    let in_words = || writeln!(io::stderr(), "{}", failure_in_words(failed));
    let printed = match format {
        Format::Json | Format::Yaml => {
            let value = json!({"error": {
                "reason": failed.reason,
                "message": failed.text,
                "took_effect": failed.effect.word(),
                "next": failed.next,
                "exit_code": failed.code,
            }});
            print(format, &value).or_else(|_| in_words())
        }
        Format::Table | Format::Wide => in_words(),
    };
    // If neither stream can be written, the exit code has to say it.
    drop(printed);
}

/// A failure as a person reads it. Names of files stand in what is to be done next, and whoever made a file named it.
fn failure_in_words(failed: &Failed) -> String {
    format!(
        "error: {}\n  took effect: {}\n  next: {}",
        harmless_lines(&failed.text),
        failed.effect.word(),
        harmless_lines(&failed.next)
    )
}

/// Says something to the person, not to the program that reads the output.
pub(crate) fn say(text: impl AsRef<str>) {
    // A person who closed stderr does not want to be told.
    drop(writeln!(io::stderr(), "{}", harmless_lines(text.as_ref())));
}

/// Says that a list goes on behind what is printed.
pub(crate) fn say_more(what: &str, limit: usize) {
    say(format!(
        "more {what} follow: these are the first {limit} (--limit says how many are shown)"
    ));
}

/// Text from elsewhere, as it may be printed: what would move the cursor, change colours, or turn the direction in which
/// the reader reads, stands there as its number.
fn harmless(text: &str) -> Cow<'_, str> {
    if forbidden(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match is_shown(letter) {
            true => out.push(letter),
            false => out.extend(letter.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// As [`harmless`], for a text of ours that has lines.
fn harmless_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(harmless).collect();
    lines.join("\n")
}

/// JSON whose texts a terminal shows as they are: what is left of such letters is inside texts, where a number means the
/// same.
fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter == '\n' || is_shown(letter) {
            out.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            out += &format!("\\u{unit:04x}");
        }
    }
    out
}

/// A value as YAML: maps and lists by lines, all texts that could be read as something else in quotes.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    yaml_below(value, 0, &mut out);
    out.trim_end().to_owned()
}

fn yaml_below(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let entry = |head: String, value: &Value, out: &mut String| match value {
        Value::Object(fields) if !fields.is_empty() => {
            *out += &format!("{head}\n");
            yaml_below(value, indent + 2, out);
        }
        Value::Array(items) if !items.is_empty() => {
            *out += &format!("{head}\n");
            yaml_below(value, indent + 2, out);
        }
        value => *out += &format!("{head} {}\n", yaml_scalar(value)),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                entry(format!("{pad}{}:", yaml_text(name)), value, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                entry(format!("{pad}-"), item, out);
            }
        }
        value => *out += &format!("{pad}{}\n", yaml_scalar(value)),
    }
}

fn yaml_scalar(value: &Value) -> String {
    match value {
        Value::String(text) => yaml_text(text),
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        other => other.to_string(),
    }
}

/// A word as it is; anything else, and what some reader takes for no text, in quotes.
fn yaml_text(text: &str) -> String {
    const OTHERWISE: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let word = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'))
        && !OTHERWISE.contains(&text.to_ascii_lowercase().as_str());
    if word {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            letter if is_shown(letter) && !letter.is_control() => out.push(letter),
            letter => out += &format!("\\U{:08x}", u32::from(letter)),
        }
    }
    out + "\""
}

fn is_shown(letter: char) -> bool {
    let mut bytes = [0; 4];
    forbidden(letter.encode_utf8(&mut bytes)).is_none()
}

/// Columns of the terminal that stdout is; none where it is none: whoever reads a pipe or a file has all of it.
fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(width.0))
}

/// A list of objects becomes rows, an object becomes lines of name and value.
pub(crate) fn table(value: &Value) -> String {
    table_within(value, None)
}

/// What people ask a list for. In rows that do not fit the terminal these columns stay, and others make way.
const LOOKED_FOR: &[&str] = &[
    "days_left",
    "warning",
    "revoked",
    "state",
    "stands",
    "contact",
    "agreements",
    "doubted",
    "disk_free",
    "clock",
    "certificate_days",
    "lag",
    "found",
    "outcome",
];

/// The same, in rows no wider than the terminal: of a wider table columns are left out by name, the last first and those that people
/// look for never before others; and a single row is read line by line.
fn table_within(value: &Value, width: Option<usize>) -> String {
    match value {
        Value::Array(rows) => rows_table(rows, width),
        Value::Object(fields) => lines(fields, 0, width).join("\n"),
        other => cell(other),
    }
}

/// Which columns of these widths, two blanks apart, fit, in their order: the first, then those that are looked for, then the others as
/// they stand; two at the least.
fn fitting(columns: &[&str], widths: &[usize], width: usize) -> Vec<usize> {
    let is_looked_for = |at: &usize| columns.get(*at).is_some_and(|it| LOOKED_FOR.contains(it));
    let behind = || 1..widths.len();
    let wanted = behind().filter(|at| is_looked_for(at));
    let others = behind().filter(|at| !is_looked_for(at));
    let (mut taken, mut shown) = (0, Vec::new());
    // Once another column has no room, none behind it has: a table with holes in it is not read.
    let mut full = false;
    for at in (0..widths.len().min(1)).chain(wanted).chain(others) {
        let one = widths.get(at).copied().unwrap_or_default() + 2;
        let fits = taken + one <= width + 2;
        full |= !fits && !is_looked_for(&at);
        if (fits && !full) || shown.len() < 2 {
            taken += one;
            shown.push(at);
        }
    }
    shown.sort_unstable();
    shown
}

fn rows_table(rows: &[Value], width_max: Option<usize>) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for row in rows {
        for name in row.as_object().into_iter().flat_map(Map::keys) {
            if !columns.contains(&name.as_str()) {
                columns.push(name);
            }
        }
    }
    if columns.is_empty() {
        let texts: Vec<String> = rows.iter().map(cell).collect();
        return if rows.is_empty() {
            "(none)".into()
        } else {
            texts.join("\n")
        };
    }
    let mut grid = vec![
        columns
            .iter()
            .map(|name| name.to_uppercase())
            .collect::<Vec<_>>(),
    ];
    for row in rows {
        grid.push(
            columns
                .iter()
                .map(|name| cell(row.get(*name).unwrap_or(&Value::Null)))
                .collect(),
        );
    }
    // Where there is not room for all, what says nothing of any row goes first.
    if width_max.is_some() && rows.len() > 1 {
        let blank = |at: usize| {
            grid.iter()
                .skip(1)
                .all(|row| matches!(row[at].as_str(), "-" | ""))
        };
        let said: Vec<usize> = (0..columns.len()).filter(|at| !blank(*at)).collect();
        let whole: usize = (0..columns.len())
            .map(|at| {
                grid.iter()
                    .map(|row| row[at].chars().count())
                    .max()
                    .unwrap_or(0)
                    + 2
            })
            .sum();
        if !said.is_empty() && width_max.is_some_and(|max| whole > max + 2) {
            columns = said.iter().map(|at| columns[*at]).collect();
            for row in &mut grid {
                *row = said.iter().map(|at| row[*at].clone()).collect();
            }
        }
    }
    let width = |at: usize| {
        grid.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let shown = match width_max {
        Some(max) => fitting(&columns, &widths, max),
        None => (0..widths.len()).collect(),
    };
    if let ([Value::Object(fields)], true) = (rows, shown.len() < widths.len()) {
        return lines(fields, 0, width_max).join("\n");
    }
    let line = |row: &Vec<String>| {
        let padded = shown.iter().map(|at| {
            let width = widths[*at];
            format!("{:width$}", row[*at])
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut all: Vec<String> = grid.iter().map(line).collect();
    let left_out = columns.iter().enumerate();
    let left_out = left_out.filter(|(at, _)| !shown.contains(at));
    let left_out: Vec<&str> = left_out.map(|(_, name)| *name).collect();
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        all.push(format!(
            "(not wide enough for {names}: --output wide has them)"
        ));
    }
    all.join("\n")
}

fn lines(fields: &Map<String, Value>, indent: usize, width_max: Option<usize>) -> Vec<String> {
    let width = fields
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let pad = " ".repeat(indent);
    let mut out = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push(format!("{pad}{name}"));
                out.extend(lines(inner, indent + 2, width_max));
            }
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                out.push(format!("{pad}{name}"));
                // saturates: a terminal may be narrower than what stands before
                let left = width_max.map(|max| max.saturating_sub(indent + 2));
                out.extend(
                    rows_table(rows, left)
                        .lines()
                        .map(|line| format!("{pad}  {line}")),
                );
            }
            // Sentences, a line each: what comes first is done first.
            Value::Array(items) if items.iter().any(is_sentence) => {
                out.push(format!("{pad}{name}"));
                let numbered = (1..).zip(items);
                out.extend(numbered.map(|(at, one)| format!("{pad}  {at}. {}", cell(one))));
            }
            other => out.push(
                format!("{pad}{name:width$}  {}", cell(other))
                    .trim_end()
                    .to_owned(),
            ),
        }
    }
    out
}

/// A text of so many letters is a sentence, and no name or number.
const SENTENCE_LETTERS: usize = 60;

fn is_sentence(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.chars().count() >= SENTENCE_LETTERS)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => match local_time(text) {
            Some(local) => format!("{text} ({local})"),
            None => harmless(text).into_owned(),
        },
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, value)| format!("{name}={}", cell(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

/// The same instant by the clock on this machine's wall, if it shows another hour; the date where it is another day.
fn local_time(text: &str) -> Option<String> {
    let instant = TimeMs::parse(text)
        .ok()
        .filter(|at| at.to_string() == text)?;
    let utc = DateTime::from_timestamp_millis(i64::try_from(instant.as_ms()).ok()?)?;
    let local = utc.with_timezone(&Local);
    in_words(&utc, &local)
}

fn in_words(
    utc: &DateTime<Utc>,
    local: &DateTime<impl TimeZone<Offset: Display>>,
) -> Option<String> {
    if local.offset().fix().local_minus_utc() == 0 {
        return None;
    }
    let form = match local.date_naive() == utc.date_naive() {
        true => "%H:%M%:z",
        false => "%Y-%m-%d %H:%M%:z",
    };
    Some(local.format(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, a file that was named with escapes moved the cursor of whoever was told what to do with it.
    #[test]
    fn nothing_of_a_failure_moves_the_cursor() {
        let failed = Failed {
            next: "sign \u{1b}[2Jx.csr\nor \u{202e}not".into(),
            ..Failed::usage("a \u{1b}[2Jname")
        };
        let shown = failure_in_words(&failed);
        assert_eq!(shown.lines().count(), 4, "{shown:?}");
        let moves = |line: &str| forbidden(line).is_some();
        assert!(!shown.lines().any(moves), "{shown:?}");
    }

    /// Once, rows were broken anywhere by the terminal, and nobody could tell which value was whose.
    #[test]
    fn a_table_is_no_wider_than_the_terminal_and_says_what_it_leaves_out() {
        let row = |code: &str| json!({"code": code, "state": "in-force", "why": "x".repeat(60)});
        let rows = json!([row("86-1"), row("86-2")]);
        let whole = table(&rows);
        assert_eq!(table_within(&rows, Some(200)), whole);
        let widest = whole.lines().map(str::len).max().expect("lines");
        assert_eq!(table_within(&rows, Some(widest)), whole);
        let narrow = table_within(&rows, Some(widest - 1));
        let lines: Vec<&str> = narrow.lines().collect();
        assert_eq!(
            lines,
            [
                "CODE  STATE",
                "86-1  in-force",
                "86-2  in-force",
                "(not wide enough for why: --output wide has them)"
            ]
        );
        // Within an answer that has other things too, and however narrow it is.
        let inside = table_within(&json!({"state": "ok", "nodes": rows}), Some(0));
        assert!(inside.contains("  CODE  STATE\n"), "{inside}");
        // One row has room below itself.
        let one = table_within(&json!([row("86-1")]), Some(40));
        assert!(
            one.contains("code   86-1\n") && one.contains(&"x".repeat(60)),
            "{one}"
        );
    }
    use chrono::FixedOffset;

    /// Once, a status had 24 columns of which 18 said nothing, and the ceremony of the first day was one line of 1,100 letters.
    #[test]
    fn columns_that_say_nothing_make_way_and_sentences_have_lines() {
        let row = |node: &str| json!({"node": node, "refuses": "", "warnings": [], "error": null, "lag": "0"});
        let rows = json!([row("1"), row("2")]);
        assert!(
            table(&rows).contains("WARNINGS"),
            "all of it, where it is wide"
        );
        let narrow = table_within(&rows, Some(12));
        assert_eq!(narrow, "NODE  LAG\n1     0\n2     0");
        let long = "x".repeat(SENTENCE_LETTERS);
        let shown = table(&json!({"prefix": "86", "ceremony": [long, "then found it"]}));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[1..],
            ["ceremony", &format!("  1. {long}"), "  2. then found it"]
        );
        let short = table(&json!({"nodes": ["1", "2"]}));
        assert_eq!(short, "nodes  1, 2");
    }

    #[test]
    fn text_from_elsewhere_never_reaches_the_terminal_raw() {
        let evil = "a\u{1b}[2Jb\u{202e}c\u{9b}d\u{e0041}e\r\n";
        let shown = table(&json!([{"site": evil}, {"site": [evil]}, {"site": {"x": evil}}]));
        let raw = |text: &str| {
            text.chars()
                .any(|letter| letter != '\n' && !is_shown(letter))
        };
        assert!(!raw(&shown), "{shown:?}");
        assert!(shown.contains("\\u{1b}[2Jb\\u{202e}c"), "{shown}");
        let printed =
            escaped_json(&serde_json::to_string_pretty(&json!({"site": evil})).expect("JSON"));
        assert!(!raw(&printed), "{printed:?}");
        let back: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(back["site"], evil, "and means the same");
        assert_eq!(harmless_lines("x\n\u{7}y"), "x\n\\u{7}y");
        assert_eq!(harmless("Köln 武汉"), "Köln 武汉");
    }

    #[test]
    fn the_hour_of_the_wall_stands_beside_utc() {
        let utc = DateTime::parse_from_rfc3339("2026-05-01T20:00:00Z")
            .expect("an instant")
            .to_utc();
        let east = |hours: i32| {
            let offset = FixedOffset::east_opt(hours * 3_600).expect("an offset");
            in_words(&utc, &utc.with_timezone(&offset))
        };
        assert_eq!(east(0), None);
        assert_eq!(east(2).as_deref(), Some("22:00+02:00"));
        assert_eq!(east(8).as_deref(), Some("2026-05-02 04:00+08:00"));
        assert_eq!(local_time("Wuhan"), None);
    }

    #[test]
    fn rows_are_aligned_under_their_columns() {
        let value = json!([{"code": "86", "state": "Sold"}, {"code": "49-0001", "holds": ["theft", "lost"]}]);
        assert_eq!(
            table(&value),
            "CODE     STATE  HOLDS\n86       Sold   -\n49-0001  -      theft, lost"
        );
    }

    #[test]
    fn an_object_is_one_value_a_line() {
        let value = json!({"code": "86", "custody": {"phase": "Here"}, "open": false, "moves": [{"step": "Offer"}]});
        let expected = "code     86\ncustody\n  phase  Here\nopen     no\nmoves\n  STEP\n  Offer";
        assert_eq!(table(&value), expected);
    }

    #[test]
    fn yaml_says_what_json_says() {
        let value = json!({
            "code": "8600", "state": "in-stock", "open": false, "holds": [], "at": "2026-05-01T20:00:00Z", "none": null,
            "rows": [{"line": "2", "why": "no: \"x\"\n#y"}, ["a", 1]], "reason": "no", "evil": "\u{1b}\u{e0041}",
        });
        let expected = r#"code: "8600"
state: in-stock
open: false
holds: []
at: "2026-05-01T20:00:00Z"
none: null
rows:
  -
    line: "2"
    why: "no: \"x\"\n#y"
  -
    - a
    - 1
reason: "no"
evil: "\U0000001b\U000e0041""#;
        assert_eq!(yaml(&value), expected);
        assert_eq!(yaml(&json!([])), "[]");
        assert_eq!(yaml(&json!("x y")), "\"x y\"");
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        assert_eq!(table(&json!([])), "(none)");
    }
}
