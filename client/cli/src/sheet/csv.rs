//! Cells between delimiters, quoted as RFC 4180 says. Our own, because a reader that is lenient with a quote that is
//! never closed swallows every row behind it, and because a row's own bytes and its line are wanted.

use super::lines::{Line, Lines};
use super::{Meaning, Reading, Row, Table, Unreadable};

/// The most bytes between two quotes: more is a quote that somebody forgot.
const QUOTED_BYTES_MAX: usize = 1024 * 1024;
/// What may stand between cells.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

pub(super) struct Csv {
    delimiter: char,
    meanings: Vec<Meaning>,
    /// By column: it has no name, and nobody said that it may be passed over.
    unnamed: Vec<bool>,
    begins_row: Option<fn(&str) -> bool>,
    head_ends: u64,
}

/// What a text is between delimiters.
enum Split {
    Cells(Vec<String>),
    /// A quote is open at the end; how many line ends stand before it.
    Open {
        lines_before: u64,
    },
    /// Something follows a closed quote; likewise.
    AfterQuote {
        lines_before: u64,
    },
}

impl Csv {
    /// Reads the header.
    pub(super) fn begin(lines: &mut Lines, reading: &Reading) -> Result<Self, Unreadable> {
        let mut delimiter = reading.delimiter;
        let header = loop {
            let Some(line) = lines.next()? else {
                return Err(Unreadable("the file holds no line with text".into()));
            };
            let text = line
                .text
                .clone()
                .map_err(|fault| Unreadable::at(line.number, fault))?;
            // What some spreadsheets write before the header.
            let said = text.strip_prefix("sep=").and_then(|rest| {
                let mut letters = rest.chars();
                letters.next().filter(|_| letters.next().is_none())
            });
            match said {
                Some(said) => delimiter = delimiter.or(Some(said)),
                None if text.trim().is_empty() => {}
                None => break (line.number, text),
            }
        };
        let (number, text) = header;
        let delimiter = delimiter.unwrap_or_else(|| most_frequent(&text));
        let cells = match split(&text, delimiter) {
            Split::Cells(cells) => cells,
            Split::Open { .. } | Split::AfterQuote { .. } => {
                return Err(Unreadable::at(
                    number,
                    "the quotes of the header do not pair",
                ));
            }
        };
        let mut csv = Self {
            delimiter,
            meanings: Vec::new(),
            unnamed: Vec::new(),
            begins_row: reading.begins_row,
            head_ends: lines.at(),
        };
        if cells.iter().any(|cell| csv.is_a_row(cell)) {
            let names = reading.names();
            let fault = format!(
                "there is no header: this is a row already. The first line names the columns: {names}"
            );
            return Err(Unreadable::at(number, fault));
        }
        for cell in &cells {
            // Spreadsheets write a delimiter too many: of a column without a name every cell must be empty.
            let meaning = reading.meaning(cell);
            csv.unnamed.push(cell.is_empty() && meaning.is_err());
            let meaning = match meaning {
                Err(_) if cell.is_empty() => None,
                meaning => meaning.map_err(|fault| Unreadable::at(number, fault))?,
            };
            if meaning.is_some() && csv.meanings.contains(&meaning) {
                return Err(Unreadable::at(
                    number,
                    format!("two columns mean {}", meaning.unwrap_or_default()),
                ));
            }
            csv.meanings.push(meaning);
        }
        for (name, required) in reading.columns {
            if *required && !csv.meanings.contains(&Some(*name)) {
                let shown: Vec<String> = cells.iter().map(|cell| format!("{cell:?}")).collect();
                let fault = format!(
                    "the column {name} is missing; the header read here, between {:?}, is {}",
                    csv.delimiter,
                    shown.join(", ")
                );
                return Err(Unreadable::at(number, fault));
            }
        }
        Ok(csv)
    }

    fn is_a_row(&self, cell: &str) -> bool {
        self.begins_row.is_some_and(|begins| begins(cell))
    }

    /// Adds lines until every quote is closed. A line whose own quotes pair ends where it ends, whatever stands behind one of
    /// them: it is one bad row, and no other is part of it.
    fn whole(
        &self,
        first: &Line,
        mut text: String,
        lines: &mut Lines,
    ) -> Result<(Line, Result<Vec<String>, String>), Unreadable> {
        let mut last = first.clone();
        loop {
            let opened = match split(&text, self.delimiter) {
                Split::Cells(cells) => return Ok((last, Ok(cells))),
                Split::AfterQuote { lines_before } => {
                    let fault = "text follows the quote that ends a cell; write a quote inside quotes twice";
                    if last.number == first.number && text.matches('"').count().is_multiple_of(2) {
                        return Ok((last, Err(fault.to_owned())));
                    }
                    return Err(Unreadable::at(first.number + lines_before, fault));
                }
                Split::Open { lines_before } => first.number + lines_before,
            };
            let Some(next) = lines.next()? else {
                return Err(Unreadable::at(opened, "a quote is opened and never closed"));
            };
            let more = next
                .text
                .clone()
                .map_err(|fault| Unreadable::at(next.number, fault))?;
            // A quote that some later quote closes by chance would take the rows between into one cell.
            let swallowed = more
                .split(self.delimiter)
                .any(|cell| self.is_a_row(cell.trim().trim_matches('"')));
            if swallowed || QUOTED_BYTES_MAX < text.len() {
                let fault = format!(
                    "a quote is opened and never closed: line {}, a row of its own, would be part of this one",
                    next.number
                );
                return Err(Unreadable::at(opened, fault));
            }
            text.push('\n');
            text += &more;
            last = next;
        }
    }

    fn cells(&self, cells: Vec<String>) -> Result<super::Cells, String> {
        let filled = cells
            .iter()
            .rposition(|cell| !cell.is_empty())
            .map_or(0, |at| at + 1);
        if cells.len() < self.meanings.len() || self.meanings.len() < filled {
            return Err(format!(
                "{} columns, the header has {}",
                cells.len(),
                self.meanings.len()
            ));
        }
        let mut under = cells.iter().zip(&self.unnamed);
        if let Some(at) = under.position(|(cell, unnamed)| *unnamed && !cell.is_empty()) {
            let column = at + 1;
            return Err(format!(
                "column {column} has no name in the header and a value here: name it, or leave it empty"
            ));
        }
        let mut out = super::Cells::new();
        for (cell, meaning) in cells.into_iter().zip(&self.meanings) {
            if let Some(column) = meaning
                && !cell.is_empty()
            {
                out.insert(column, cell);
            }
        }
        Ok(out)
    }
}

impl Table for Csv {
    fn head_ends(&self) -> u64 {
        self.head_ends
    }

    fn next(&mut self, lines: &mut Lines) -> Result<Option<Row>, Unreadable> {
        loop {
            let Some(first) = lines.next()? else {
                return Ok(None);
            };
            let text = match &first.text {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => text.clone(),
                Err(fault) => {
                    let cells = Err(fault.clone());
                    let (line, bytes) = (first.number, first.bytes);
                    return Ok(Some(Row { line, bytes, cells }));
                }
            };
            let (last, cells) = self.whole(&first, text, lines)?;
            if let Ok(cells) = &cells
                && cells.iter().all(String::is_empty)
            {
                continue; // A row of delimiters alone, as spreadsheets leave them behind.
            }
            return Ok(Some(Row {
                line: first.number,
                bytes: first.bytes.start..last.bytes.end,
                cells: cells.and_then(|cells| self.cells(cells)),
            }));
        }
    }
}

fn most_frequent(header: &str) -> char {
    let count = |delimiter: char| header.matches(delimiter).count();
    let mut best = ',';
    for delimiter in DELIMITERS {
        if count(best) < count(delimiter) {
            best = delimiter;
        }
    }
    best
}

/// Cells, trimmed where they are not quoted.
fn split(text: &str, delimiter: char) -> Split {
    let mut cells = Vec::new();
    let mut rest = text;
    let lines_before = |rest: &str| {
        let read = text.len().saturating_sub(rest.len());
        text.get(..read).unwrap_or_default().matches('\n').count() as u64
    };
    loop {
        // The delimiter may be white space itself.
        let blank = |letter: char| letter.is_whitespace() && letter != delimiter;
        let trimmed = rest.trim_start_matches(blank);
        if let Some(inside) = trimmed.strip_prefix('"') {
            let opened = trimmed;
            let mut cell = String::new();
            let mut inside = inside;
            loop {
                let Some((before, after)) = inside.split_once('"') else {
                    return Split::Open {
                        lines_before: lines_before(opened),
                    };
                };
                cell += before;
                match after.strip_prefix('"') {
                    Some(more) => {
                        cell.push('"');
                        inside = more;
                    }
                    None => {
                        inside = after.trim_start_matches(blank);
                        break;
                    }
                }
            }
            cells.push(cell.trim().to_owned());
            match inside.strip_prefix(delimiter) {
                Some(more) => rest = more,
                None if inside.is_empty() => return Split::Cells(cells),
                None => {
                    return Split::AfterQuote {
                        lines_before: lines_before(opened),
                    };
                }
            }
        } else {
            match rest.split_once(delimiter) {
                Some((cell, more)) => {
                    cells.push(cell.trim().to_owned());
                    rest = more;
                }
                None => {
                    cells.push(rest.trim().to_owned());
                    return Split::Cells(cells);
                }
            }
        }
    }
}
