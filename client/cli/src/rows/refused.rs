//! Rows that were not taken, as a file that can be imported again: the header and the rows as they stand in the file that
//! was read, byte for byte. Why each was refused stands in a second file beside it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use carnet_domain::bytes::code::Code;
use carnet_domain::rules::rejection::Rejection;
use serde_json::{Value, json};

use crate::exit::Failed;
use crate::output::say;
use crate::sheet::Sheet;

/// Rows that are shown one by one; more are counted.
pub(crate) const SHOWN_MAX: usize = 20;

/// Why one row was not taken.
pub(crate) struct Why {
    pub(crate) line: u64,
    /// The robot's code, where the row has one that can be read.
    pub(crate) code: Option<String>,
    /// A stable word.
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) next: String,
}

impl Why {
    pub(crate) fn malformed(line: u64, fault: &str) -> Self {
        Self {
            line,
            code: None,
            reason: "MALFORMED_ROW".into(),
            message: fault.to_owned(),
            next: "Correct the row.".into(),
        }
    }

    /// The registry said no.
    pub(crate) fn refused(line: u64, code: &Code, rejection: &Rejection) -> Self {
        Self {
            line,
            code: Some(code.to_string()),
            reason: rejection.reason.name().to_owned(),
            message: rejection.to_string(),
            next: rejection.next(),
        }
    }

    /// The registry said no, and whether that is because it was done before cannot be read.
    pub(crate) fn not_compared(line: u64, code: &Code, fault: &str) -> Self {
        Self {
            line,
            code: Some(code.to_string()),
            reason: "NOT_COMPARED".into(),
            message: format!("refused, and its record could not be read: {fault}"),
            next: "Run it again with --resume.".into(),
        }
    }

    pub(crate) fn shown(&self) -> Value {
        json!({
            "line": self.line.to_string(),
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "next": self.next,
        })
    }
}

/// What becomes of a file of rows that an earlier run did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It is somebody's, and nothing is written over it.
    Stays,
    /// A run that is repeated judges the same rows anew: it is moved aside.
    MovesAside,
}

/// Whether a run is repeated.
impl From<bool> for Before {
    fn from(resume: bool) -> Self {
        match resume {
            true => Self::MovesAside,
            false => Self::Stays,
        }
    }
}

/// The rows not taken: the first are shown, all are counted, and all are written if a file was named.
pub(crate) struct Refused {
    pub(crate) count: u64,
    pub(crate) shown: Vec<Value>,
    /// How many for each reason.
    pub(crate) by_reason: BTreeMap<String, u64>,
    files: Option<Files>,
    /// The first fault in writing them: then the file is not whole.
    fault: Option<String>,
}

struct Files {
    rows: Out,
    why: Out,
    line_end: Vec<u8>,
}

struct Out {
    path: PathBuf,
    /// Whether it was made here, and so may be removed again.
    made: bool,
    file: BufWriter<File>,
}

impl Refused {
    /// Nothing is written before the first row.
    pub(crate) fn nowhere() -> Self {
        Self {
            count: 0,
            shown: Vec::new(),
            by_reason: BTreeMap::new(),
            files: None,
            fault: None,
        }
    }

    /// Into new files: `path` and, beside it, `path` with `.why.ndjson`.
    ///
    /// # Errors
    /// When one is there already and stays, or is the file that is read, or cannot be made.
    pub(crate) fn into(
        path: &Path,
        sheet: &Sheet,
        head: &Range<u64>,
        before: Before,
    ) -> Result<Self, Failed> {
        if sheet.is(path) {
            return Err(Failed::usage(format!(
                "{}: that is the file that is read; name another for refused rows",
                path.display()
            )));
        }
        let fault = |error: io::Error| Failed::local(format!("{}: {error}", path.display()));
        let head = sheet.bytes(head).map_err(fault)?;
        let mut why = path.as_os_str().to_owned();
        why.push(".why.ndjson");
        if before == Before::MovesAside {
            move_aside(path)?;
            move_aside(Path::new(&why))?;
        }
        let mut files = Files {
            rows: Out::make(path)?,
            why: Out::make(Path::new(&why))?,
            line_end: line_end(&head),
        };
        files.rows.file.write_all(&head).map_err(fault)?;
        Ok(Self {
            files: Some(files),
            ..Self::nowhere()
        })
    }

    /// Takes a row that was not taken.
    pub(crate) fn add(&mut self, sheet: &Sheet, bytes: &Range<u64>, why: Why) {
        self.count += 1;
        let shown = why.shown();
        *self.by_reason.entry(why.reason).or_default() += 1;
        if let Some(files) = &mut self.files
            && let Err(error) = files.write(sheet, bytes, &shown)
            && self.fault.is_none()
        {
            self.fault = Some(error.to_string());
        }
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(shown);
        }
    }

    /// Brings everything to the disk; without a row, the files go. How many rows there were, the first of them, and the file
    /// that holds them, or the first fault: then it does not hold every row.
    pub(crate) fn finish(mut self) -> (u64, Vec<Value>, Result<Option<String>, String>) {
        let ended = match self.files.take() {
            None => Ok(None),
            Some(files) if self.count == 0 => {
                files.remove();
                Ok(None)
            }
            Some(mut files) => match files.flush() {
                Ok(()) => Ok(Some(files.rows.path.display().to_string())),
                Err(error) => Err(error.to_string()),
            },
        };
        let ended = match self.fault {
            Some(fault) => Err(fault),
            None => ended,
        };
        (self.count, self.shown, ended)
    }
}

impl Files {
    fn write(&mut self, sheet: &Sheet, bytes: &Range<u64>, why: &Value) -> io::Result<()> {
        let row = sheet.bytes(bytes)?;
        self.rows.file.write_all(&row)?;
        // The last row of a file may lack its end.
        if !row.ends_with(&self.line_end) && !row.ends_with(b"\r") && !row.ends_with(b"\r\0") {
            self.rows.file.write_all(&self.line_end)?;
        }
        writeln!(self.why.file, "{why}")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.rows.file.flush()?;
        self.why.file.flush()
    }

    fn remove(self) {
        for out in [self.rows, self.why] {
            if out.made {
                // An empty file left behind does no harm.
                drop(std::fs::remove_file(&out.path));
            }
        }
    }
}

impl Out {
    fn make(path: &Path) -> Result<Self, Failed> {
        let fault = |error: io::Error| match error.kind() {
            ErrorKind::AlreadyExists => Failed::usage(format!(
                "{}: exists already; name a new file for refused rows",
                path.display()
            )),
            _ => Failed::local(format!("{}: {error}", path.display())),
        };
        // A device or a pipe may be written to; a file that somebody keeps may not.
        // One that is empty holds nobody's rows: an import that was killed left it.
        let special = std::fs::metadata(path).is_ok_and(|kind| !kind.is_file());
        let empty = std::fs::metadata(path).is_ok_and(|kind| kind.is_file() && kind.len() == 0);
        let mut options = OpenOptions::new();
        options.write(true);
        if !special && !empty {
            options.create_new(true);
        }
        Ok(Self {
            path: path.to_owned(),
            made: !special,
            file: BufWriter::new(options.open(path).map_err(fault)?),
        })
    }
}

/// Moves a file that an earlier run filled to a name of its own: a script repeats its call, and no row is lost.
fn move_aside(path: &Path) -> Result<(), Failed> {
    let filled = std::fs::metadata(path).is_ok_and(|kind| kind.is_file() && kind.len() > 0);
    if !filled {
        return Ok(());
    }
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".before-{number}"));
        PathBuf::from(name)
    };
    let free = (1..=u32::MAX).map(named).find(|name| !name.exists());
    let Some(aside) = free else {
        return Ok(());
    };
    std::fs::rename(path, &aside)
        .map_err(|error| Failed::local(format!("{}: {error}", path.display())))?;
    say(format!(
        "{}: of an earlier run, is {} now",
        path.display(),
        aside.display()
    ));
    Ok(())
}

/// How lines end in the file whose header this is.
fn line_end(head: &[u8]) -> Vec<u8> {
    match head {
        [0xff, 0xfe, ..] => b"\n\0".to_vec(),
        [0xfe, 0xff, ..] => b"\0\n".to_vec(),
        _ => b"\n".to_vec(),
    }
}
