//! One JSON object a line. Every name in it counts: one that stands twice, or is not known, is said.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::lines::Lines;
use super::{Cells, Reading, Row, Table, Unreadable};

pub(super) struct Ndjson {
    reading: Reading,
    head_ends: u64,
}

/// The members of an object, in order, repeated ones too.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one JSON object a line")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Ndjson {
    pub(super) fn begin(lines: &mut Lines, reading: &Reading) -> Result<Self, Unreadable> {
        Ok(Self {
            reading: reading.clone(),
            head_ends: lines.at(),
        })
    }

    fn cells(&self, text: &str) -> Result<Cells, String> {
        let Members(members) =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let mut out = Cells::new();
        let mut seen = Vec::new();
        for (name, value) in members {
            let Some(column) = self.reading.meaning(&name)? else {
                continue;
            };
            if seen.contains(&column) {
                return Err(format!("{column}: stands twice"));
            }
            seen.push(column);
            let cell = match value {
                Value::Null => continue,
                Value::String(text) => text.trim().to_owned(),
                Value::Bool(yes) => yes.to_string(),
                // Long numbers lose their last digits on the way through many programs.
                Value::Number(_) => return Err(format!("{column}: a number; write it in quotes")),
                Value::Array(_) | Value::Object(_) => {
                    return Err(format!("{column}: a list or object; write it as one text"));
                }
            };
            if !cell.is_empty() {
                out.insert(column, cell);
            }
        }
        let missing = self
            .reading
            .columns
            .iter()
            .find(|(name, required)| *required && !out.contains_key(name));
        match missing {
            Some((name, _)) => Err(format!("{name}: missing")),
            None => Ok(out),
        }
    }
}

impl Table for Ndjson {
    fn head_ends(&self) -> u64 {
        self.head_ends
    }

    fn next(&mut self, lines: &mut Lines) -> Result<Option<Row>, Unreadable> {
        loop {
            let Some(line) = lines.next()? else {
                return Ok(None);
            };
            let cells = match line.text {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => self.cells(&text),
                Err(fault) => Err(fault),
            };
            return Ok(Some(Row {
                line: line.number,
                bytes: line.bytes,
                cells,
            }));
        }
    }
}
