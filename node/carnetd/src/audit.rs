//! Who read what is not theirs, who was refused, and who changed the cluster, on this node: written before it is answered.
//!
//! Three chains of lines ([`carnet_domain::log::audit`]) in the folder `audit` of the data directory: `acts` (changes of the cluster),
//! `reads` (by those who may read everybody's) and `denied`. They are apart so that nobody pushes out what others did by what it may do
//! itself; within a chain a certificate has a rate: a read beyond it is refused, a refusal beyond it is counted, and the next record
//! says how many. Each chain is cut into files named by the number of their first record; beyond the bound the oldest file goes, and
//! the chain goes on. What is told of `acts` and `reads` is synced first; callers at the same time share a sync. When `reads` cannot be
//! written, the read is refused; a change of the cluster goes on, with a line in the log, because it may be what makes room; a
//! refusal is a refusal all the same.
//!
//! What the rules decide is not here: it stands in the log of the registry with its signature.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_consensus::Work;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::AUDIT_TEXT_BYTES_MAX;
use carnet_domain::log::audit::{AuditHead, AuditWalk, next_line};
use carnet_domain::rules::policy::Query;
use carnet_wire::status::ApiError;
use serde_json::json;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::share::holder::Holder;
use crate::share::rates::{HOLDER_COUNT_MAX, Rate, Rates};

/// The folder in a data directory.
const FOLDER: &str = "audit";
/// A file is followed by the next above so many bytes.
const AUDIT_FILE_BYTES_MAX: u64 = 16 << 20;
/// Files of changes; beyond it the oldest goes.
const ACTS_FILES_MAX: usize = 8;
/// Files of reads.
const READS_FILES_MAX: usize = 48;
/// Files of refusals.
const DENIED_FILES_MAX: usize = 8;
/// Reads of one certificate that are noted: what is more is told to come back. At this rate it takes hours to fill the chain.
const READS_RATE: Rate = Rate {
    per_second: 100,
    burst: 2_000,
};
/// Refusals of one certificate that are noted one by one.
const DENIED_RATE: Rate = Rate {
    per_second: 5,
    burst: 100,
};
/// Refusals that wait to be written; more are counted, and the next record says how many.
const DENIED_WAITING_MAX: usize = 1_024;
/// Bytes of what a caller can make long, in a record.
const ABOUT_BYTES_MAX: usize = 512;
/// Records in one answer.
pub const PAGE_RECORDS_MAX: usize = 500;

/// Which chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// Changes of the cluster, and starts of the node.
    Acts,
    /// Privileged reads.
    Reads,
    /// Refusals.
    Denied,
}

impl Chain {
    /// Every one, in the order declared.
    pub const ALL: [Self; 3] = [Self::Acts, Self::Reads, Self::Denied];

    /// The word in files, queries and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Reads => "reads",
            Self::Denied => "denied",
        }
    }

    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chain| chain.word() == word)
    }

    fn files_max(self) -> usize {
        match self {
            Self::Acts => ACTS_FILES_MAX,
            Self::Reads => READS_FILES_MAX,
            Self::Denied => DENIED_FILES_MAX,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The node started: what comes after it is of another process.
    Start,
    /// Somebody who may read everybody's read.
    Read,
    /// Somebody changes the cluster.
    Act,
    /// Somebody was refused.
    Denied,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Read => "read",
            Self::Act => "act",
            Self::Denied => "denied",
        }
    }
}

/// What a query that is noted is.
pub fn kind(query: Query) -> Kind {
    match query {
        Query::ClusterChange => Kind::Act,
        _ => Kind::Read,
    }
}

/// One thing to note.
#[derive(Debug, Clone)]
pub struct Note<'a> {
    /// What happened.
    pub kind: Kind,
    /// The name in the certificate.
    pub who: &'a str,
    /// What was called, or asked.
    pub what: &'a str,
    /// About what; cut where it is long.
    pub about: &'a str,
    /// The request's id.
    pub request: &'a str,
}

/// The chains of a node.
pub struct Audit {
    clock: Arc<dyn Clock>,
    work: Work,
    acts: Arc<Writer>,
    reads: Arc<Writer>,
    denied: Arc<Writer>,
    reads_of: Mutex<Rates<Holder>>,
    denied_of: Mutex<Rates<Holder>>,
}

/// How a chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stands {
    /// Which.
    pub chain: Chain,
    /// Its newest record.
    pub head: AuditHead,
    /// Why it cannot be written; empty: it can.
    pub failing: String,
}

/// Some records of a chain, as they lie in the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Lines in their order, without breaks.
    pub lines: Vec<String>,
    /// Whether there are more behind them.
    pub more: bool,
}

impl Audit {
    /// The chains in a data directory; nothing is written before there is something to note. The ends of the files are read.
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>, work: Work) -> Self {
        let folder = data_dir.join(FOLDER);
        let writer = |chain| Arc::new(Writer::new(folder.clone(), chain));
        Self {
            clock,
            work,
            acts: writer(Chain::Acts),
            reads: writer(Chain::Reads),
            denied: writer(Chain::Denied),
            reads_of: Mutex::new(Rates::new(READS_RATE, HOLDER_COUNT_MAX)),
            denied_of: Mutex::new(Rates::new(DENIED_RATE, HOLDER_COUNT_MAX)),
        }
    }

    fn writer(&self, chain: Chain) -> &Arc<Writer> {
        match chain {
            Chain::Acts => &self.acts,
            Chain::Reads => &self.reads,
            Chain::Denied => &self.denied,
        }
    }

    /// Notes that the node starts.
    pub async fn start(&self, version: &str) {
        let note = Note {
            kind: Kind::Start,
            who: "",
            what: "carnetd",
            about: version,
            request: "",
        };
        // Whoever reads or changes later is told, if it still cannot be written.
        let _ = self.note(&note).await;
    }

    /// Notes a change or a privileged read; when this returns it is on the disk.
    ///
    /// # Errors
    /// It cannot be written, or the caller reads faster than its reads are noted: what was to be noted must not be answered.
    pub async fn note(&self, note: &Note<'_>) -> Result<(), ApiError> {
        let writer = match note.kind {
            Kind::Start | Kind::Act => &self.acts,
            Kind::Read => {
                let holder = Holder::new(note.who);
                let taken = lock(&self.reads_of).take(&holder, self.clock.monotonic());
                taken.map_err(|retry_after| ApiError::Overloaded { retry_after })?;
                &self.reads
            }
            Kind::Denied => &self.denied,
        };
        let text = text(note, self.clock.wall(), 0);
        let written = writer.written(text, self.work).await;
        written.map_err(|why| {
            ApiError::unavailable(format!(
                "what is asked has to be noted in this node's audit first, which cannot be written: {why} (runbook audit)"
            ))
        })
    }

    /// Notes a refusal. It is answered whether it was written or not.
    pub async fn denied(&self, note: &Note<'_>) {
        let writer = &self.denied;
        let holder = Holder::new(note.who);
        let taken = lock(&self.denied_of).take(&holder, self.clock.monotonic());
        if taken.is_err() {
            writer.leave_out();
            return;
        }
        let Some(uncounted) = writer.enters(DENIED_WAITING_MAX) else {
            return;
        };
        let text = text(note, self.clock.wall(), uncounted);
        // Why not is in the log and in the status.
        let _ = writer.written(text, self.work).await;
    }

    /// Looks for the ends of the files again before the next record, as after a failure.
    #[cfg(test)]
    pub(crate) fn look_again(&self) {
        for writer in [&self.acts, &self.reads, &self.denied] {
            lock(&writer.files).open = None;
        }
    }

    /// How all stand.
    pub fn stands(&self) -> Vec<Stands> {
        let stands = |chain: Chain| self.writer(chain).stands();
        Chain::ALL.into_iter().map(stands).collect()
    }

    /// Records after one of them, as many as there are or `count`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn page(&self, chain: Chain, after: u64, count: usize) -> Result<Page, ApiError> {
        let writer = Arc::clone(self.writer(chain));
        let count = count.min(PAGE_RECORDS_MAX);
        let read = self.work.run(move || writer.read(after, count)).await;
        let read = read.map_err(|error| ApiError::unavailable(error.to_string()))?;
        read.map_err(|error| ApiError::unavailable(format!("the audit cannot be read: {error}")))
    }
}

fn text(note: &Note<'_>, at: TimeMs, uncounted: u64) -> String {
    let mut value = json!({
        "at": at.to_string(),
        "at_ms": at.as_ms().to_string(),
        "kind": note.kind.word(),
        "who": cut(note.who),
        "what": cut(note.what),
        "about": cut(note.about),
        "request": note.request,
    });
    if uncounted > 0 {
        value["left_out_before"] = uncounted.to_string().into();
    }
    let text = value.to_string();
    if text.len() > AUDIT_TEXT_BYTES_MAX {
        // Escapes made it long: who and what are names of certificates and methods, so it was about something odd.
        value["about"] = "(left out)".into();
        return value.to_string();
    }
    text
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(ABOUT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Writes one chain.
struct Writer {
    folder: PathBuf,
    chain: Chain,
    queue: Mutex<Queue>,
    /// Refusals that found no place in the queue since the last that did.
    left_out: AtomicU64,
    files: Mutex<Files>,
    seen: Mutex<Stands>,
}

/// Records that are to be written. One thread at a time writes a chain, however many callers wait for it.
#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    writing: bool,
}

/// A record that is to be written, and who waits for it.
struct Waiting {
    text: String,
    told: oneshot::Sender<Result<(), String>>,
}

/// The files of a chain.
#[derive(Default)]
struct Files {
    /// The newest, when it is known to end with a whole record.
    open: Option<File>,
    bytes: u64,
    head: AuditHead,
}

fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole when it is made, so a poisoned lock holds a whole value.
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    fn new(folder: PathBuf, chain: Chain) -> Self {
        let mut files = Files::default();
        let failing = match newest(&folder, chain).and_then(|end| {
            end.map_or(Ok(()), |end| {
                files.head = end.head;
                Ok(())
            })
        }) {
            Ok(()) => String::new(),
            Err(why) => why,
        };
        if !failing.is_empty() {
            error!(
                chain = chain.word(),
                why = failing,
                "the audit cannot be gone on with"
            );
        }
        let seen = Stands {
            chain,
            head: files.head,
            failing,
        };
        Self {
            folder,
            chain,
            queue: Mutex::default(),
            left_out: AtomicU64::new(0),
            files: Mutex::new(files),
            seen: Mutex::new(seen),
        }
    }

    fn stands(&self) -> Stands {
        lock(&self.seen).clone()
    }

    /// Whether one more may wait; with it, how many were left out before it.
    fn enters(&self, waiting_max: usize) -> Option<u64> {
        if lock(&self.queue).waiting.len() >= waiting_max {
            self.leave_out();
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }

    /// Counts what is not written; the next record says how many.
    fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Has a record written, with those of whoever comes at the same time.
    async fn written(self: &Arc<Self>, text: String, work: Work) -> Result<(), String> {
        let (written, begins) = self.queue(text);
        if begins {
            let writing = Writing(Arc::clone(self));
            work.begin(move || writing.until_nothing_waits());
        }
        let stopped = |_| Err("this node stops".to_owned());
        written.await.unwrap_or_else(stopped)
    }

    /// What a record's caller waits for, and whether somebody must begin to write.
    fn queue(&self, text: String) -> (oneshot::Receiver<Result<(), String>>, bool) {
        let (told, written) = oneshot::channel();
        let mut queue = lock(&self.queue);
        queue.waiting.push(Waiting { text, told });
        let begins = !queue.writing;
        queue.writing = true;
        (written, begins)
    }

    /// What waits; with nothing the writer writes no more, in the same moment: what is queued after that begins another.
    fn next(&self) -> Vec<Waiting> {
        let mut queue = lock(&self.queue);
        queue.writing = !queue.waiting.is_empty();
        std::mem::take(&mut queue.waiting)
    }

    fn write(&self, batch: Vec<Waiting>) {
        let mut files = lock(&self.files);
        let outcome = self.append(&mut files, &batch);
        {
            let mut seen = lock(&self.seen);
            let chain = self.chain.word();
            match &outcome {
                Err(why) if seen.failing.is_empty() => {
                    error!(chain, %why, "the audit cannot be written")
                }
                Ok(()) if !seen.failing.is_empty() => info!(chain, "the audit is written again"),
                Ok(()) | Err(_) => {}
            }
            seen.head = files.head;
            seen.failing = outcome.clone().err().unwrap_or_default();
        }
        if outcome.is_err() {
            // What was begun may be there in part: the end is looked for again.
            files.open = None;
        }
        for one in batch {
            // Whoever waited may have left meanwhile.
            let _ = one.told.send(outcome.clone());
        }
    }

    fn append(&self, files: &mut Files, batch: &[Waiting]) -> Result<(), String> {
        let mut head = self.opened(files)?;
        let mut lines = String::new();
        for one in batch {
            let (line, next) = next_line(&head, &one.text).ok_or("there is no further number")?;
            lines.push_str(&line);
            head = next;
        }
        let shown = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        let file = files.open.as_mut().ok_or("no file is open")?;
        file.write_all(lines.as_bytes()).map_err(shown)?;
        // Of a refusal nothing follows; and whoever is refused could keep the disk busy with it.
        if self.chain != Chain::Denied {
            file.sync_data().map_err(shown)?;
        }
        files.bytes += lines.len() as u64;
        files.head = head;
        Ok(())
    }

    /// The place that the next record comes after, with a file open behind it.
    fn opened(&self, files: &mut Files) -> Result<AuditHead, String> {
        if files.open.is_some() && files.bytes <= AUDIT_FILE_BYTES_MAX {
            return Ok(files.head);
        }
        let shown = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        if files.open.take().is_none() {
            std::fs::create_dir_all(&self.folder).map_err(shown)?;
            if let Some(end) = newest(&self.folder, self.chain)? {
                if end.head.number < files.head.number {
                    return Err(format!(
                        "record {} was written and is gone: {} ends with {}",
                        files.head.number,
                        end.path.display(),
                        end.head.number
                    ));
                }
                let file = OpenOptions::new().append(true).open(&end.path);
                let file = file.map_err(shown)?;
                if end.torn > 0 {
                    // It was never answered: what it stood for did not happen here.
                    warn!(path = %end.path.display(), bytes = end.torn, "an unfinished record is cut off");
                    file.set_len(end.bytes).map_err(shown)?;
                }
                files.head = end.head;
                files.bytes = end.bytes;
                if end.bytes <= AUDIT_FILE_BYTES_MAX {
                    files.open = Some(file);
                    return Ok(files.head);
                }
            } else if files.head.number > 0 {
                return Err(format!(
                    "record {} was written and is gone",
                    files.head.number
                ));
            }
        }
        let number = files
            .head
            .number
            .checked_add(1)
            .ok_or("there is no further number")?;
        let path = self.folder.join(name(self.chain, number));
        let made = OpenOptions::new().append(true).create_new(true).open(&path);
        files.open = Some(made.map_err(shown)?);
        files.bytes = 0;
        // Without it a power cut could take the file with what was told.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(shown)?;
        let all = of_chain(&self.folder, self.chain)?;
        let many = all.len().saturating_sub(self.chain.files_max());
        for (first, path) in all.into_iter().take(many) {
            info!(
                chain = self.chain.word(),
                first, "the oldest file of the audit goes"
            );
            std::fs::remove_file(&path).map_err(shown)?;
        }
        Ok(files.head)
    }

    fn read(&self, after: u64, count: usize) -> Result<Page, String> {
        let mut page = Page::default();
        let files = of_chain(&self.folder, self.chain)?;
        let behind = files
            .iter()
            .skip(1)
            .map(|(first, _)| Some(*first))
            .chain([None]);
        for ((_, path), next) in files.iter().zip(behind) {
            // All of it stands before what is asked for.
            if next.is_some_and(|next| next <= after.saturating_add(1)) {
                continue;
            }
            let file = match File::open(path) {
                Ok(file) => file,
                // It has gone meanwhile, as the oldest does.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.to_string()),
            };
            for line in BufReader::new(file).lines() {
                let line = line.map_err(|error| error.to_string())?;
                if number_of(&line).is_some_and(|number| number <= after) {
                    continue;
                }
                if page.lines.len() >= count {
                    page.more = true;
                    return Ok(page);
                }
                page.lines.push(line);
            }
        }
        Ok(page)
    }
}

/// The one that writes a chain, until nothing waits.
struct Writing(Arc<Writer>);

impl Writing {
    fn until_nothing_waits(self) {
        loop {
            let batch = self.0.next();
            if batch.is_empty() {
                return;
            }
            self.0.write(batch);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // A panic, or a runtime that stops: the next to note something begins again.
        if std::thread::panicking() {
            lock(&self.0.queue).writing = false;
        }
    }
}

fn number_of(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}

/// Names sort as their numbers do.
fn name(chain: Chain, first: u64) -> String {
    format!("{}-{first:020}.log", chain.word())
}

/// The files of a chain by the number of their first record.
fn of_chain(folder: &Path, chain: Chain) -> Result<Vec<(u64, PathBuf)>, String> {
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
    head: AuditHead,
    /// Bytes of its whole records.
    bytes: u64,
    /// Bytes behind them.
    torn: u64,
}

/// Follows the newest file to its end. One without a whole record stands where the one before it ends.
fn newest(folder: &Path, chain: Chain) -> Result<Option<End>, String> {
    let files = of_chain(folder, chain)?;
    let mut end: Option<End> = None;
    // One file back is enough: a file is made only when there is a record for it.
    for (first, path) in files.iter().skip(files.len().saturating_sub(2)) {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
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
            let record = taken.map_err(|why| format!("{}: {why}", path.display()))?;
            if whole == 0 && record.head.number != *first {
                let found = record.head.number;
                return Err(format!("{}: it begins with record {found}", path.display()));
            }
            whole += line.len() as u64 + 1;
        }
        let head = match (walk.head(), first) {
            (Some(head), _) => head,
            (None, 1) => AuditHead::default(),
            (None, first) => {
                let why = "it is empty, and so is what was before it";
                return Err(format!("{}: record {first}: {why}", path.display()));
            }
        };
        end = Some(End {
            path: path.clone(),
            head,
            bytes: whole,
            torn: bytes.len() as u64 - whole,
        });
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
