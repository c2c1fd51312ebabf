//! A file of rows, as people have it: CSV or one JSON object a line, in the encoding and with the columns that their
//! programs wrote.
//!
//! What this room promises: every row of the file comes out once, with the line it begins in, its bytes as they stand
//! in the file, and either its cells or what is wrong with it. Where rows end is never guessed: a file whose quotes do
//! not pair is refused as a whole; a line whose own quotes pair is one row, well written or not. It does not know what the cells mean, beyond the names of their columns.

mod codes;
mod csv;
mod encoding;
mod json;
mod lines;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use carnet_domain::bytes::digest::Digest;

use self::encoding::Encoding;
use self::lines::Lines;

pub(crate) use self::encoding::holds_no_text;
use self::encoding::packed;

/// Which column of ours a header means; `None` is a column that is passed over.
type Meaning = Option<&'static str>;

/// How a file is to be read, as far as the person said it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// The names of our columns, and whether each is required.
    pub(crate) columns: &'static [(&'static str, bool)],
    /// `--encoding`, a name of the WHATWG Encoding Standard.
    pub(crate) encoding: Option<String>,
    /// `--delimiter`.
    pub(crate) delimiter: Option<char>,
    /// `--map HEADER=COLUMN`, the column `-` for one that is passed over; the header `*` for all that are not known.
    pub(crate) map: Vec<(String, String)>,
    /// Whether a cell begins a row of the subject: what a quote that was never closed swallows is known by it.
    pub(crate) begins_row: Option<fn(&str) -> bool>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line it begins in, 1-based.
    pub(crate) line: u64,
    /// Where its bytes stand in the file, the end of the line included.
    pub(crate) bytes: Range<u64>,
    /// Its cells that are not empty, or what is wrong with it.
    pub(crate) cells: Result<Cells, String>,
}

/// The cells of a row that are not empty, trimmed, by column.
pub(crate) type Cells = BTreeMap<&'static str, String>;

/// Why a file cannot be read as rows. Nothing of it may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

impl Unreadable {
    fn at(line: u64, fault: impl std::fmt::Display) -> Self {
        Self(format!("line {line}: {fault}"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Ndjson,
    Codes,
}

/// A file that is read twice: once to judge it, once to use it.
#[derive(Debug)]
pub(crate) struct Sheet {
    path: PathBuf,
    file: File,
    form: Form,
    reading: Reading,
}

impl Sheet {
    /// Opens a regular file; its ending says which form it has.
    ///
    /// # Errors
    /// A directory, a pipe (it cannot be read twice), another ending, or what the system says.
    pub(crate) fn open(path: &Path, reading: Reading) -> Result<Self, Unreadable> {
        Self::open_as(form_of(path)?, path, reading)
    }

    /// As [`Self::open`]; a file that ends in .txt is one code a line.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_or_codes(path: &Path, reading: Reading) -> Result<Self, Unreadable> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let codes = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
        let form = match codes {
            true => Form::Codes,
            false => form_of(path)?,
        };
        Self::open_as(form, path, reading)
    }

    fn open_as(form: Form, path: &Path, reading: Reading) -> Result<Self, Unreadable> {
        let fault = |fault: &str| Unreadable(format!("{}: {fault}", path.display()));
        let io = |error: io::Error| fault(&error.to_string());
        let kind = std::fs::metadata(path).map_err(io)?;
        if kind.is_dir() {
            return Err(fault("is a directory"));
        }
        if !kind.is_file() {
            return Err(fault(
                "is a pipe or a device, which cannot be read twice: save it as a file first",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            file: File::open(path).map_err(io)?,
            form,
            reading,
        })
    }

    /// Whether another path names the same file.
    pub(crate) fn is(&self, other: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let place = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        match (self.file.metadata(), std::fs::metadata(other)) {
            (Ok(own), Ok(other)) => place(own) == place(other),
            _ => false,
        }
    }

    /// The bytes of a row.
    ///
    /// # Errors
    /// When they cannot be read any more.
    pub(crate) fn bytes(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or_default();
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }

    /// Reads the rows from the beginning.
    ///
    /// # Errors
    /// When the file is of another kind, in an encoding that has to be named, or its header does not fit.
    pub(crate) fn rows(&self) -> Result<Rows, Unreadable> {
        let named = |Unreadable(fault)| Unreadable(format!("{}: {fault}", self.path.display()));
        let io = |error: io::Error| named(Unreadable(error.to_string()));
        let file = self.file.try_clone().map_err(io)?;
        rows(
            self.form,
            BufReader::new(FromStart { file, at: 0 }),
            &self.reading,
        )
        .map_err(named)
    }
}

/// A pass over a file with a place of its own: passes share the file.
struct FromStart {
    file: File,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn form_of(path: &Path) -> Result<Form, Unreadable> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("csv" | "tsv") => Ok(Form::Csv),
        Some("ndjson" | "jsonl") => Ok(Form::Ndjson),
        Some("xlsx" | "xls" | "ods") => Err(Unreadable(format!(
            "{}: a spreadsheet's own file is not read; save it as CSV",
            path.display()
        ))),
        Some(ending) if packed(ending).is_some() => Err(Unreadable(format!(
            "{}: the file is {}",
            path.display(),
            packed(ending).unwrap_or_default()
        ))),
        _ => Err(Unreadable(format!(
            "{}: the ending must be .csv, .tsv, .ndjson or .jsonl",
            path.display()
        ))),
    }
}

fn rows(form: Form, reader: impl BufRead + 'static, reading: &Reading) -> Result<Rows, Unreadable> {
    let (encoding, mark, reader) = Encoding::of(reader, reading.encoding.as_deref())?;
    let mut lines = Lines::new(reader, encoding, mark);
    let table: Box<dyn Table> = match form {
        Form::Csv => Box::new(csv::Csv::begin(&mut lines, reading)?),
        Form::Ndjson => Box::new(json::Ndjson::begin(&mut lines, reading)?),
        Form::Codes => Box::new(codes::Codes::begin(&lines)),
    };
    Ok(Rows {
        head: 0..table.head_ends(),
        lines,
        table,
        ended: false,
    })
}

/// One of the two forms.
trait Table {
    /// Where the rows begin: what stands before belongs before the rows of any file made of this one.
    fn head_ends(&self) -> u64;

    /// The next row that is not empty.
    fn next(&mut self, lines: &mut Lines) -> Result<Option<Row>, Unreadable>;
}

/// The rows of a file, lazily: a file may be larger than memory.
pub(crate) struct Rows {
    lines: Lines,
    table: Box<dyn Table>,
    head: Range<u64>,
    ended: bool,
}

impl Rows {
    /// Where the bytes stand that come before the first row: the mark of the encoding, and the header.
    pub(crate) fn head(&self) -> Range<u64> {
        self.head.clone()
    }

    /// The digest of everything read so far; the file's when all rows were taken.
    pub(crate) fn digest(&self) -> Digest {
        self.lines.digest()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.table.next(&mut self.lines) {
            Ok(Some(row)) => Some(Ok(row)),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

impl Reading {
    /// What a header means.
    ///
    /// # Errors
    /// When it is none of ours and nothing was said of it.
    fn meaning(&self, header: &str) -> Result<Meaning, String> {
        let said = |wanted: &str| {
            let same = |(name, _): &&(String, String)| plain(name) == plain(wanted);
            self.map
                .iter()
                .find(same)
                .map(|(_, column)| column.as_str())
        };
        if let Some(column) = said(header) {
            return self
                .column(column)
                .map_err(|fault| format!("--map {header}={column}: {fault}"));
        }
        if let Ok(Some(column)) = self.column(&plain(header)) {
            return Ok(Some(column));
        }
        if said("*") == Some("-") {
            return Ok(None);
        }
        Err(format!(
            "the column {header:?} is not known; rename it to one of {}, or say --map '{header}=COLUMN', or \
             --map '{header}=-' to pass it over",
            self.names()
        ))
    }

    fn column(&self, name: &str) -> Result<Meaning, String> {
        if name == "-" {
            return Ok(None);
        }
        let known = self.columns.iter().find(|(column, _)| *column == name);
        match known {
            Some((column, _)) => Ok(Some(column)),
            None => Err(format!(
                "there is no column {name:?}; there are {}",
                self.names()
            )),
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

/// `Body Serial` and `body-serial` as `body_serial`.
fn plain(header: &str) -> String {
    let letters = header.trim().chars().map(|letter| match letter {
        ' ' | '-' if header.trim() != "-" => '_',
        letter => letter.to_ascii_lowercase(),
    });
    letters.collect()
}
