//! One code a line, and nothing else.

use super::lines::Lines;
use super::{Cells, Row, Table, Unreadable};

/// The column that a line is.
const CODE: &str = "code";

pub(super) struct Codes {
    head_ends: u64,
}

impl Codes {
    /// There is no header.
    pub(super) fn begin(lines: &Lines) -> Self {
        Self {
            head_ends: lines.at(),
        }
    }
}

impl Table for Codes {
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
                Ok(text) => Ok(Cells::from([(CODE, text.trim().to_owned())])),
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
