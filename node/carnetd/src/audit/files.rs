//! The files of a chain: where it ends, what a crash left behind that, and what is written after it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::audit::{AuditHead, AuditWalk, next_line};
use tracing::{info, warn};

use super::{Chain, Kind, Note, text};

/// A file is followed by the next above so many bytes.
pub(super) const AUDIT_FILE_BYTES_MAX: u64 = 16 << 20;
/// The most that a power cut leaves behind the last whole record of a file: what was being written at once, with blocks that the
/// disk had not written yet.
const TORN_BYTES_MAX: usize = 1 << 20;

/// The files of a chain.
pub(super) struct Files {
    folder: PathBuf,
    chain: Chain,
    /// The newest, when it is known to end with a whole record.
    open: Option<File>,
    /// Number of its first record.
    first: u64,
    pub(super) bytes: u64,
    head: AuditHead,
    /// Where it begins when there is no file of it.
    begins: AuditHead,
    /// Bytes that were cut off and that no record tells of yet.
    cut: u64,
    /// What went wrong last, and nothing since.
    failed: Option<Failed>,
}

/// Why a chain is not gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) why: String,
    /// What lies there is no whole chain: it stays so until somebody changes it.
    of_chain: bool,
}

struct Failed {
    at: Duration,
    /// What lay there.
    print: Print,
    fault: Fault,
}

/// What the newest files of a chain are recognised by without being read.
#[derive(Debug, PartialEq, Eq)]
struct Print(Result<Vec<(PathBuf, [i128; 5])>, String>);

/// What was written.
pub(super) struct Written {
    /// Number of the first record of its file.
    pub(super) first: u64,
    /// Numbers and places in the file.
    pub(super) records: Vec<(u64, u64)>,
    /// First numbers of files that have gone.
    pub(super) gone: Vec<u64>,
}

impl Files {
    pub(super) fn of(folder: PathBuf, chain: Chain) -> Self {
        Self {
            folder,
            chain,
            open: None,
            first: 0,
            bytes: 0,
            head: AuditHead::default(),
            begins: AuditHead::default(),
            cut: 0,
            failed: None,
        }
    }

    /// Has a chain of which there is no file go on behind a place that it had.
    pub(super) fn begin_behind(&mut self, place: AuditHead) {
        self.begins = place;
    }

    /// The newest record.
    pub(super) fn head(&self) -> AuditHead {
        self.head
    }

    /// Where the chain stands, once that is on the disk.
    pub(super) fn settle(&self) -> Result<AuditHead, String> {
        if let Some(file) = &self.open {
            let synced = file.sync_data();
            synced.map_err(|error| format!("{}: {error}", self.folder.display()))?;
        }
        Ok(self.head)
    }

    /// Looks for the end again before the next record.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.open = None;
    }

    /// What went wrong a moment ago, and would again: what lies there is as it was, and is not read again for everybody who asks.
    pub(super) fn failed_before(&self, now: Duration, pause: Duration) -> Option<Fault> {
        let failed = self.failed.as_ref()?;
        let lasts = failed.fault.of_chain || now.saturating_sub(failed.at) < pause;
        (lasts && failed.print == self.print()).then(|| failed.fault.clone())
    }

    /// Notes what came of an attempt to write.
    pub(super) fn came_to(&mut self, outcome: Result<(), Fault>, at: Duration) {
        self.failed = outcome.err().map(|fault| {
            // What was begun may be there in part: the end is looked for again.
            self.open = None;
            let print = self.print();
            Failed { at, print, fault }
        });
    }

    fn print(&self) -> Print {
        let found = of_chain(&self.folder, self.chain).and_then(|files| {
            let newest = files.iter().skip(files.len().saturating_sub(2));
            let print = newest.map(|(_, path)| {
                let meta = std::fs::metadata(path);
                let meta = meta.map_err(|error| format!("{}: {error}", path.display()))?;
                let (size, inode) = (i128::from(meta.size()), i128::from(meta.ino()));
                let (changed, nanos) = (i128::from(meta.mtime()), i128::from(meta.mtime_nsec()));
                Ok((
                    path.clone(),
                    [size, inode, changed, nanos, i128::from(meta.mode())],
                ))
            });
            print.collect()
        });
        Print(found)
    }

    /// Writes records behind the chain; without any, looks where it ends. What was cut off there is told first.
    pub(super) fn append(&mut self, texts: Vec<&str>, now: TimeMs) -> Result<Written, Fault> {
        let mut written = Written {
            first: self.first,
            records: Vec::new(),
            gone: Vec::new(),
        };
        if texts.is_empty() {
            self.look()?;
            if self.cut == 0 {
                return Ok(written);
            }
        }
        self.opened(&mut written.gone)?;
        written.first = self.first;
        let mut head = self.head;
        let mut lines = String::new();
        let goes_on =
            self.open.is_some() && self.bytes == 0 && head.number > 0 && head == self.begins;
        let goes_on = goes_on.then(|| goes_on_behind(head.number, now));
        let told = (self.cut > 0).then(|| cut_off(self.cut, now));
        let told = goes_on.iter().chain(&told).map(String::as_str);
        for text in told.chain(texts) {
            let (line, next) = next_line(&head, text).ok_or_else(no_number)?;
            let place = self.bytes + lines.len() as u64;
            written.records.push((next.number, place));
            lines.push_str(&line);
            head = next;
        }
        let shown = |error: std::io::Error| self.fault(&error);
        let mut file = self
            .open
            .as_ref()
            .ok_or_else(|| Fault::of_disk("no file is open"))?;
        file.write_all(lines.as_bytes()).map_err(shown)?;
        // Of a refusal nothing follows; and whoever is refused could keep the disk busy with it.
        if self.chain != Chain::Denied {
            file.sync_data().map_err(shown)?;
        }
        self.bytes += lines.len() as u64;
        self.head = head;
        self.cut = 0;
        Ok(written)
    }

    fn fault(&self, error: &std::io::Error) -> Fault {
        Fault::of_disk(format!("{}: {error}", self.folder.display()))
    }

    /// Finds where the chain ends, and cuts off what a crash left unfinished behind that: it was never answered, so that what it stood
    /// for did not happen here.
    fn look(&mut self) -> Result<(), Fault> {
        let Some(end) = newest(&self.folder, self.chain)? else {
            if self.head.number == 0 {
                self.head = self.begins;
            }
            let number = self.head.number;
            return match number {
                _ if self.head == self.begins => Ok(()),
                _ => Err(Fault::of_chain(format!(
                    "record {number} was written and is gone"
                ))),
            };
        };
        if end.head.number < self.head.number {
            return Err(Fault::of_chain(format!(
                "record {} was written and is gone: {} ends with {}",
                self.head.number,
                end.path.display(),
                end.head.number
            )));
        }
        let file = OpenOptions::new().append(true).open(&end.path);
        let file = file.map_err(|error| self.fault(&error))?;
        if end.torn > 0 {
            warn!(path = %end.path.display(), bytes = end.torn, "an unfinished record is cut off");
            file.set_len(end.bytes)
                .and_then(|()| file.sync_data())
                .map_err(|error| self.fault(&error))?;
            self.cut += end.torn;
        }
        self.head = end.head;
        self.bytes = end.bytes;
        self.first = end.first;
        self.open = Some(file);
        Ok(())
    }

    /// Opens the file that the next record goes to; first numbers of files that make way are added to `gone`.
    fn opened(&mut self, gone: &mut Vec<u64>) -> Result<(), Fault> {
        if self.open.is_none() {
            let made = std::fs::create_dir_all(&self.folder);
            made.map_err(|error| self.fault(&error))?;
            self.look()?;
        }
        if self.open.is_some() && self.bytes <= AUDIT_FILE_BYTES_MAX {
            return Ok(());
        }
        self.open = None;
        let number = self.head.number.checked_add(1).ok_or_else(no_number)?;
        let path = self.folder.join(name(self.chain, number));
        let made = OpenOptions::new().append(true).create_new(true).open(&path);
        self.open = Some(made.map_err(|error| self.fault(&error))?);
        self.bytes = 0;
        self.first = number;
        // Without it a power cut could take the file with what was told.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.fault(&error))?;
        let all = of_chain(&self.folder, self.chain).map_err(Fault::of_disk)?;
        let many = all.len().saturating_sub(self.chain.files_max());
        for (first, path) in all.into_iter().take(many) {
            info!(
                chain = self.chain.word(),
                first, "the oldest file of the audit goes"
            );
            std::fs::remove_file(&path).map_err(|error| self.fault(&error))?;
            gone.push(first);
        }
        Ok(())
    }
}

impl Fault {
    fn of_disk(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            of_chain: false,
        }
    }

    fn of_chain(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            of_chain: true,
        }
    }
}

fn no_number() -> Fault {
    Fault::of_chain("there is no further number")
}

/// What a chain says of what is no more in it.
fn cut_off(bytes: u64, now: TimeMs) -> String {
    let about =
        format!("{bytes} bytes that a crash left unfinished were cut off before this record");
    let note = Note {
        kind: Kind::Start,
        who: "",
        what: "carnetd",
        about: &about,
        request: "",
    };
    text(&note, now, 0)
}

/// What a chain says whose files were moved aside.
fn goes_on_behind(number: u64, now: TimeMs) -> String {
    let about = format!(
        "there was no file of this chain: it goes on behind record {number}, where the log of the registry has it"
    );
    let note = Note {
        kind: Kind::Start,
        who: "",
        what: "carnetd",
        about: &about,
        request: "",
    };
    text(&note, now, 0)
}

/// Names sort as their numbers do.
pub(super) fn name(chain: Chain, first: u64) -> String {
    format!("{}-{first:020}.log", chain.word())
}

/// The files of a chain by the number of their first record.
pub(super) fn of_chain(folder: &Path, chain: Chain) -> Result<Vec<(u64, PathBuf)>, String> {
    let shown = |error: std::io::Error| format!("{}: {error}", folder.display());
    let there = match std::fs::read_dir(folder) {
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(shown(error)),
    };
    let mut found = Vec::new();
    for entry in there {
        let entry = entry.map_err(shown)?;
        let file = entry.file_name();
        let number = file
            .to_str()
            .and_then(|file| file.strip_prefix(chain.word())?.strip_prefix('-'))
            .and_then(|file| file.strip_suffix(".log")?.parse().ok());
        if let Some(number) = number {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// How the newest file of a chain ends.
struct End {
    path: PathBuf,
    first: u64,
    head: AuditHead,
    /// Bytes of its whole records.
    bytes: u64,
    /// Bytes behind them.
    torn: u64,
}

/// Follows the newest file to its end. One without a whole record stands where the one before it ends.
fn newest(folder: &Path, chain: Chain) -> Result<Option<End>, Fault> {
    let files = of_chain(folder, chain).map_err(Fault::of_disk)?;
    let mut end: Option<End> = None;
    // One file back is enough: a file is made only when there is a record for it.
    for (first, path) in files.iter().skip(files.len().saturating_sub(2)) {
        let bytes = std::fs::read(path);
        let bytes =
            bytes.map_err(|error| Fault::of_disk(format!("{}: {error}", path.display())))?;
        let mut walk = match &end {
            Some(end) => AuditWalk::after(end.head),
            None => AuditWalk::anywhere(),
        };
        let mut whole = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else {
                break;
            };
            let text = std::str::from_utf8(line).map_err(|error| error.to_string());
            let taken = text.and_then(|text| walk.take(text).map_err(|broken| broken.to_string()));
            let record = match taken {
                Ok(record) => record,
                Err(_) if is_unwritten(&bytes[whole..]) => break,
                Err(why) => return Err(Fault::of_chain(format!("{}: {why}", path.display()))),
            };
            if whole == 0 && record.head.number != *first {
                let found = record.head.number;
                let why = format!("{}: it begins with record {found}", path.display());
                return Err(Fault::of_chain(why));
            }
            whole += line.len() + 1;
        }
        let head = match (walk.head(), first) {
            (Some(head), _) => head,
            (None, 1) => AuditHead::default(),
            (None, first) => {
                let why = "it is empty, and so is what was before it";
                let why = format!("{}: record {first}: {why}", path.display());
                return Err(Fault::of_chain(why));
            }
        };
        end = Some(End {
            path: path.clone(),
            first: *first,
            head,
            bytes: whole as u64,
            torn: (bytes.len() - whole) as u64,
        });
    }
    Ok(end)
}

/// Whether what lies behind the last good record was being written when the power went: blocks that the disk had not written are
/// zeroes, of which no record has any.
fn is_unwritten(rest: &[u8]) -> bool {
    rest.len() <= TORN_BYTES_MAX && rest.contains(&0)
}
