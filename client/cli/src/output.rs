//! Prints what a command found: a table for people or JSON for programs. Data on stdout, talk on stderr.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::exit::Failed;

/// How output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs: codes and 64-bit numbers are texts.
    Json,
}

/// Prints a result.
pub(crate) fn print(format: Format, value: &Value) -> io::Result<()> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(value)?,
        Format::Table => table(value),
    };
    let mut out = io::stdout().lock();
    match out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
    {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a failure: as JSON on stdout when programs read, else on stderr.
pub(crate) fn print_failed(format: Format, failed: &Failed) {
    let printed = match format {
        Format::Json => {
            let value = json!({"error": {
                "reason": failed.reason,
                "message": failed.text,
                "took_effect": failed.effect.word(),
                "next": failed.next,
                "exit_code": failed.code,
            }});
            print(format, &value)
        }
        Format::Table => writeln!(
            io::stderr(),
            "error: {}\n  took effect: {}\n  next: {}",
            failed.text,
            failed.effect.word(),
            failed.next
        ),
    };
    // If neither stream can be written, the exit code has to say it.
    drop(printed);
}

/// Says something to the person, not to the program that reads the output.
pub(crate) fn say(text: impl AsRef<str>) {
    // A person who closed stderr does not want to be told.
    drop(writeln!(io::stderr(), "{}", text.as_ref()));
}

/// A list of objects becomes rows, an object becomes lines of name and value.
pub(crate) fn table(value: &Value) -> String {
    match value {
        Value::Array(rows) => rows_table(rows),
        Value::Object(fields) => lines(fields, 0).join("\n"),
        other => cell(other),
    }
}

fn rows_table(rows: &[Value]) -> String {
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
    let width = |at: usize| {
        grid.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!("{text:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    grid.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn lines(fields: &Map<String, Value>, indent: usize) -> Vec<String> {
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
                out.extend(lines(inner, indent + 2));
            }
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                out.push(format!("{pad}{name}"));
                out.extend(
                    rows_table(rows)
                        .lines()
                        .map(|line| format!("{pad}  {line}")),
                );
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

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn nothing_is_said_to_be_nothing() {
        assert_eq!(table(&json!([])), "(none)");
    }
}
