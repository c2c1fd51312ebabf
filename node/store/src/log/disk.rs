//! The log on disk: raft-log 0.4 behind our own trait, plus the checks it leaves to its user.
//!
//! raft-log gives group commit, checksums and a flush callback. Ours to add: the sentinel (a lost tail), the hole check
//! (a lost head), poisoning after the first failed write, and an order between votes and sentinel.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{Callback, Config, RaftLog as Engine, Types};

use super::codec::{DiskPayload, DiskPosition, DiskVote};
use super::sentinel::{Mark, Sentinel, fault};
use super::starts::Starts;
use super::{
    LogState, RaftLog, Synced, Vote, next_index, payload_checksum, payload_size,
    refuse_below_committed,
};
use crate::directory::{names, sync_directory};
use crate::fault::StorageFault;
use crate::guard;
use crate::identity::{Count, Run, StoreId};
use crate::machine::{LogPosition, LogRecord};

const SEGMENTS: &str = "wal";
const SENTINEL: &str = "sentinel";

const SENTINEL_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Syncs of a sentinel that had changed, after which the count rises.
const RISES_AFTER: u32 = 60;

/// Sizes of the log on disk.
#[derive(Debug, Clone, Copy)]
pub struct DiskLogOptions {
    /// Largest size of one segment in bytes; space is given back in whole segments.
    pub segment_bytes_max: usize,
    /// Bytes of the newest records kept in memory.
    pub cache_bytes_max: usize,
    /// Bytes waiting for the disk before an append has to wait too.
    pub queue_bytes_max: usize,
    /// A planted fault: an append is reported as synced when it is written. Only every hundredth is synced, with
    /// everything before it.
    #[cfg(feature = "planted")]
    pub acknowledge_before_fsync: bool,
}

impl Default for DiskLogOptions {
    fn default() -> Self {
        DiskLogOptions {
            segment_bytes_max: 64 * 1024 * 1024,
            cache_bytes_max: 64 * 1024 * 1024,
            queue_bytes_max: 64 * 1024 * 1024,
            #[cfg(feature = "planted")]
            acknowledge_before_fsync: false,
        }
    }
}

/// A Raft log in a directory of its own: `wal/` (raft-log's segments), `sentinel`, and `starts` (the last process of each
/// other store). [`DiskLog::create`] makes it once.
pub struct DiskLog {
    engine: RwLock<Held>,
    shared: Arc<Shared>,
    starts: Starts,
    /// Appends since the log was opened, if most of them are reported too early.
    #[cfg(feature = "planted")]
    early: Option<std::sync::atomic::AtomicU64>,
    /// Dropped with the log; ends the thread that syncs the sentinel.
    _until_dropped: SyncSender<()>,
}

/// The engine, until the log is dropped. One whose writer failed is left as it is: to close it asks that writer again.
struct Held(Option<Engine<Kinds>>);

impl Deref for Held {
    type Target = Engine<Kinds>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("taken by the drop alone")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect("taken by the drop alone")
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        if self.shared.lock().poisoned.is_some() {
            let engine = self.engine.get_mut();
            std::mem::forget(engine.unwrap_or_else(PoisonError::into_inner).0.take());
        }
    }
}

/// What the flush thread and the callers share.
struct Shared {
    sentinel: Mutex<Guarded>,
    /// Where the segments are, for messages.
    path: PathBuf,
    count: Count,
}

struct Guarded {
    sentinel: Sentinel,
    /// Counts truncations, so that a late callback of an append cannot raise the mark above one.
    epoch: u64,
    poisoned: Option<FailedWrite>,
}

/// The write after which the log takes no more; every later one fails with its cause.
#[derive(Clone)]
struct FailedWrite {
    what: &'static str,
    path: PathBuf,
    kind: io::ErrorKind,
    cause: String,
}

impl FailedWrite {
    fn of(fault: &StorageFault, path: &Path) -> Self {
        match fault {
            StorageFault::Io { what, path, source } => Self {
                what,
                path: path.clone(),
                kind: source.kind(),
                cause: source.to_string(),
            },
            other => Self {
                what: "write to the raft log",
                path: path.to_owned(),
                kind: io::ErrorKind::Other,
                cause: other.to_string(),
            },
        }
    }

    fn fault(self) -> StorageFault {
        StorageFault::Io {
            what: self.what,
            path: self.path,
            source: io::Error::new(self.kind, self.cause),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Kinds;

/// When a write is reported as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Report {
    /// When it is on stable storage.
    Synced,
    /// When the operating system has it: a planted fault.
    #[cfg(feature = "planted")]
    Written,
}

struct Done(Box<dyn FnOnce(io::Result<()>) + Send + 'static>);

impl Callback for Done {
    fn send(self, result: Result<(), io::Error>) {
        (self.0)(result);
    }
}

impl Types for Kinds {
    type LogId = DiskPosition;
    type LogPayload = DiskPayload;
    type Vote = DiskVote;
    type Callback = Done;
    type UserData = u64;

    fn log_index(position: &DiskPosition) -> u64 {
        position.0.index
    }

    fn payload_size(payload: &DiskPayload) -> u64 {
        payload_size(&payload.0) as u64 + 64
    }
}

impl DiskLog {
    /// Makes an empty log of a store in `directory`, which must hold none.
    ///
    /// # Errors
    /// Something is there already, or the disk failed.
    pub fn create(directory: &Path, store: StoreId) -> Result<(), StorageFault> {
        let segments = directory.join(SEGMENTS);
        fs::create_dir_all(&segments)
            .map_err(|source| fault("create log directory", &segments, source))?;
        drop(engine(&segments, DiskLogOptions::default())?);
        for name in names(&segments)? {
            let path = segments.join(name);
            let synced = fs::File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|source| fault("sync log", &path, source))?;
        }
        sync_directory(&segments)?;
        Sentinel::create(&directory.join(SENTINEL), store)?;
        sync_directory(directory)
    }

    /// Opens the log of a store in `directory`, and counts its start.
    ///
    /// # Errors
    /// It is another store's, something that was written and synced is missing or altered, or the disk failed. Nothing
    /// is repaired.
    pub fn open(
        directory: &Path,
        store: StoreId,
        options: DiskLogOptions,
    ) -> Result<DiskLog, StorageFault> {
        // raft-log 0.4.6 panics on some damage (an emptied segment, a record of another kind where one is read): here it is
        // a refusal like any other.
        guard::run(|| Self::open_unguarded(directory, store, options)).unwrap_or_else(|panic| {
            let detail = format!("{}: unreadable: {panic}", directory.display());
            Err(corrupt("raft log", detail))
        })
    }

    fn open_unguarded(
        directory: &Path,
        store: StoreId,
        options: DiskLogOptions,
    ) -> Result<DiskLog, StorageFault> {
        let segments = directory.join(SEGMENTS);
        let sentinel_path = directory.join(SENTINEL);
        let there = [
            (SENTINEL, sentinel_path.exists()),
            // There is one from the making on, and never none.
            (SEGMENTS, segments.is_dir() && holds_segments(&segments)?),
        ];
        if let Some((name, _)) = there.iter().find(|(_, there)| !there) {
            let detail = format!("{} is missing", directory.join(name).display());
            return Err(corrupt("raft log", detail));
        }
        let mut sentinel = Sentinel::open(&sentinel_path)?;
        let owner = sentinel.life().store;
        if owner != store {
            return Err(StorageFault::Foreign(format!(
                "the log in {} belongs to store {owner}, not to store {store}",
                directory.display()
            )));
        }
        let engine = engine(&segments, options)?;
        sync_directory(&segments)?;

        check_end(&engine, &sentinel.mark(), &segments)?;
        let starts = Starts::open(directory)?;
        sentinel.rise()?;
        let count = Count::from(sentinel.life().start);
        let shared = Arc::new(Shared {
            sentinel: Mutex::new(Guarded {
                sentinel,
                epoch: 0,
                poisoned: None,
            }),
            path: segments,
            count,
        });
        let (until_dropped, dropped) = sync_channel(1);
        let syncing = Arc::clone(&shared);
        thread::Builder::new()
            .name("log-sentinel".to_owned())
            .spawn(move || sync_while_open(&syncing, &dropped))
            .map_err(|source| fault("start sentinel thread", directory, source))?;
        Ok(DiskLog {
            engine: RwLock::new(Held(Some(engine))),
            shared,
            starts,
            #[cfg(feature = "planted")]
            early: options.acknowledge_before_fsync.then(Default::default),
            _until_dropped: until_dropped,
        })
    }

    /// The count of the store, which this log raises: by one at its opening, at every vote, and with every minute in which
    /// it was written.
    pub fn count(&self) -> Count {
        self.shared.count.clone()
    }

    fn write(
        &self,
        report: Report,
        act: impl FnOnce(&mut Engine<Kinds>) -> io::Result<()>,
        after: impl FnOnce(&mut Guarded, u64) -> Result<(), StorageFault> + Send + 'static,
        synced: Synced,
    ) -> Result<(), StorageFault> {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        let epoch = {
            let guarded = self.shared.lock();
            guarded.refuse_if_poisoned()?;
            guarded.epoch
        };
        self.attempt(&mut engine, "write to the raft log", act)?;
        let shared = Arc::clone(&self.shared);
        let done = Done(Box::new(move |result| {
            let outcome = match result {
                Ok(()) if report == Report::Synced => {
                    let outcome = after(&mut shared.lock(), epoch);
                    outcome.map_err(|fault| shared.poison_with(&fault))
                }
                Ok(()) => Ok(()),
                Err(cause) => Err(shared.poison("sync of the raft log", &cause)),
            };
            synced(outcome);
        }));
        let sync = report == Report::Synced;
        self.attempt(&mut engine, "flush of the raft log", |engine| {
            engine.flush(sync, Some(done))
        })
    }

    /// Does something with the engine, and takes no more writes once it failed.
    ///
    /// When the writer of raft-log is gone (after a write that failed a moment ago, or a segment that could not be made), all
    /// that it says is that it is, and it may panic of its own count of bytes: what it went of is asked from it.
    fn attempt(
        &self,
        engine: &mut Engine<Kinds>,
        what: &'static str,
        act: impl FnOnce(&mut Engine<Kinds>) -> io::Result<()>,
    ) -> Result<(), StorageFault> {
        let outcome =
            guard::run(|| act(engine)).unwrap_or_else(|panic| Err(io::Error::other(panic)));
        outcome.map_err(|cause| {
            // An error of the disk has a kind; what raft-log says of itself has none.
            let first = match cause.kind() {
                io::ErrorKind::Other => engine.wait_worker_idle().err(),
                _ => None,
            };
            self.shared.poison(what, first.as_ref().unwrap_or(&cause))
        })
    }

    fn read_unguarded(
        &self,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StorageFault> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        let mut size = 0;
        if to <= from {
            return Ok(records);
        }
        for found in engine.read(from, to) {
            let (position, payload) =
                found.map_err(|cause| unreadable("read the raft log", &self.shared.path, cause))?;
            size += payload_size(&payload.0);
            if bytes_max < size && !records.is_empty() {
                break;
            }
            records.push(LogRecord {
                position: position.0,
                payload: payload.0,
            });
        }
        Ok(records)
    }

    #[cfg(not(feature = "planted"))]
    fn append_report(&self) -> Report {
        Report::Synced
    }

    #[cfg(feature = "planted")]
    fn append_report(&self) -> Report {
        const SYNCED_EVERY: u64 = 100;
        let count = |early: &std::sync::atomic::AtomicU64| {
            early.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
        };
        match self.early.as_ref().map(count) {
            Some(count) if !count.is_multiple_of(SYNCED_EVERY) => Report::Written,
            _ => Report::Synced,
        }
    }
}

impl RaftLog for DiskLog {
    fn state(&self) -> LogState {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        state_of(&engine)
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<LogRecord>, StorageFault> {
        guard::run(|| self.read_unguarded(from, to, bytes_max)).unwrap_or_else(|panic| {
            let detail = format!("{}: unreadable: {panic}", self.shared.path.display());
            Err(corrupt("raft log", detail))
        })
    }

    fn save_vote(&self, vote: Vote, synced: Synced) -> Result<(), StorageFault> {
        let count = self.count();
        self.write(
            Report::Synced,
            |engine| engine.save_vote(DiskVote(vote)).map(|_| ()),
            move |guarded, _| {
                let mark = Mark {
                    vote: Some(vote),
                    ..guarded.sentinel.mark()
                };
                guarded.sentinel.write(mark)?;
                guarded.rise(&count)
            },
            synced,
        )
    }

    fn save_committed(&self, committed: LogPosition) -> Result<(), StorageFault> {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        self.shared.lock().refuse_if_poisoned()?;
        let state = state_of(&engine);
        if Some(committed) <= state.committed || state.last < Some(committed) {
            return Ok(());
        }
        // Nobody waits for it; that it failed is known to the next write.
        let shared = Arc::clone(&self.shared);
        let failed = Done(Box::new(move |result| {
            if let Err(cause) = result {
                shared.poison("note of the commit", &cause);
            }
        }));
        self.attempt(&mut engine, "note of the commit", |engine| {
            engine.commit(DiskPosition(committed))?;
            engine.flush(false, Some(failed))
        })
    }

    fn append(&self, records: Vec<LogRecord>, synced: Synced) -> Result<(), StorageFault> {
        let Some(last) = records
            .last()
            .map(|record| (record.position, payload_checksum(&record.payload)))
        else {
            synced(Ok(()));
            return Ok(());
        };
        self.write(
            self.append_report(),
            move |engine| {
                let entries = records
                    .into_iter()
                    .map(|record| (DiskPosition(record.position), DiskPayload(record.payload)));
                engine.append(entries).map(|_| ())
            },
            move |guarded, epoch| guarded.raise(last, epoch),
            synced,
        )
    }

    fn truncate_after(
        &self,
        last: Option<LogPosition>,
        synced: Synced,
    ) -> Result<(), StorageFault> {
        let state = self.state();
        refuse_below_committed(last, state.committed)?;
        if next_index(state.last) <= next_index(last) {
            synced(Ok(()));
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        self.write(
            Report::Synced,
            move |engine| cut(engine, &shared, last),
            |_, _| Ok(()),
            synced,
        )
    }

    fn purge(&self, upto: LogPosition, synced: Synced) -> Result<(), StorageFault> {
        let shared = Arc::clone(&self.shared);
        self.write(
            Report::Synced,
            move |engine| {
                let state = state_of(engine);
                // A snapshot may end above our last index and yet below its term: that tail is void, and raft-log would
                // keep its position as the end of the log.
                if state
                    .last
                    .is_some_and(|last| last.index <= upto.index && upto < last)
                {
                    cut(engine, &shared, state.committed.max(state.purged))?;
                }
                engine.purge(DiskPosition(upto)).map(|_| ())
            },
            |_, _| Ok(()),
            synced,
        )
    }

    fn starts(&self) -> BTreeMap<(u64, StoreId), Run> {
        self.starts.all()
    }

    fn note_start(&self, node: u64, store: StoreId, run: Run) -> Result<(), StorageFault> {
        self.starts.note(node, store, run)
    }

    fn size(&self) -> u64 {
        self.engine
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .on_disk_size()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.sentinel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poison(&self, what: &'static str, cause: &io::Error) -> StorageFault {
        self.poison_with(&StorageFault::Io {
            what,
            path: self.path.clone(),
            source: io::Error::new(cause.kind(), cause.to_string()),
        })
    }

    /// Gives the fault back as the first that this log had.
    fn poison_with(&self, fault: &StorageFault) -> StorageFault {
        let failed = FailedWrite::of(fault, &self.path);
        self.lock().poisoned.get_or_insert(failed).clone().fault()
    }
}

impl Guarded {
    fn refuse_if_poisoned(&self) -> Result<(), StorageFault> {
        match &self.poisoned {
            Some(failed) => Err(failed.clone().fault()),
            None => Ok(()),
        }
    }

    /// Raises the count and shows it.
    fn rise(&mut self, count: &Count) -> Result<(), StorageFault> {
        self.sentinel.rise()?;
        count.show(self.sentinel.life().start);
        Ok(())
    }

    /// Syncs the sentinel. When it had changed so many times since the count last rose, the count rises.
    fn look_after(&mut self, written: &mut u32, count: &Count) -> Result<(), StorageFault> {
        *written += u32::from(self.sentinel.is_dirty());
        if *written < RISES_AFTER {
            return self.sentinel.sync();
        }
        *written = 0;
        self.rise(count)
    }

    /// Raises the mark after a sync, unless the log was truncated since.
    fn raise(&mut self, last: (LogPosition, u32), epoch: u64) -> Result<(), StorageFault> {
        if epoch != self.epoch {
            return Ok(());
        }
        let mark = Mark {
            last: Some(last),
            ..self.sentinel.mark()
        };
        self.sentinel.write(mark)
    }
}

/// Truncates the engine; the sentinel is lowered and synced first, so that it never names what is about to go.
fn cut(engine: &mut Engine<Kinds>, shared: &Shared, last: Option<LogPosition>) -> io::Result<()> {
    let index = next_index(last).max(next_index(state_of(engine).purged));
    let kept = index
        .checked_sub(1)
        .and_then(|kept| engine.read(kept, index).next())
        .transpose()?;
    let kept = kept.map(|(position, payload)| (position.0, payload_checksum(&payload.0)));
    {
        let mut guarded = shared.lock();
        guarded.epoch += 1;
        let mark = guarded.sentinel.mark();
        if mark.last.is_some_and(|(marked, _)| index <= marked.index) {
            let lowered = Mark { last: kept, ..mark };
            guarded
                .sentinel
                .write(lowered)
                .and_then(|()| guarded.sentinel.sync())
                .map_err(io::Error::other)?;
        }
    }
    engine.truncate(index).map(|_| ())
}

fn engine(segments: &Path, options: DiskLogOptions) -> Result<Engine<Kinds>, StorageFault> {
    let mut config = Config::new(segments.display());
    config.wal.flush_batch_wait = Some(Duration::ZERO);
    config.wal.chunk_max_size = Some(options.segment_bytes_max);
    config.wal.flush_queue_max_bytes = Some(options.queue_bytes_max);
    config.wal.read_buffer_size = Some(1024 * 1024);
    config.log_cache_capacity = Some(options.cache_bytes_max);
    Engine::<Kinds>::open(Arc::new(config))
        .map_err(|cause| unreadable("open the raft log", segments, cause))
}

fn state_of(engine: &Engine<Kinds>) -> LogState {
    let state = engine.log_state();
    LogState {
        purged: state.purged().map(|position| position.0),
        last: state.last().map(|position| position.0),
        committed: state.committed().map(|position| position.0),
        vote: state.vote().map(|vote| vote.0),
    }
}

/// The hole check, and the comparison with the sentinel.
fn check_end(engine: &Engine<Kinds>, mark: &Mark, segments: &Path) -> Result<(), StorageFault> {
    let state = state_of(engine);
    let record_at = |index: u64| -> Result<Option<(LogPosition, u32)>, StorageFault> {
        let found = engine
            .read(index, index.saturating_add(1))
            .next()
            .transpose();
        let found = found.map_err(|cause| unreadable("read the raft log", segments, cause))?;
        Ok(found.map(|(position, payload)| (position.0, payload_checksum(&payload.0))))
    };
    let first = next_index(state.purged);
    if first < next_index(state.last) && record_at(first)?.is_none() {
        return Err(corrupt(
            "raft log",
            format!("records from index {first} are missing"),
        ));
    }
    if let Some(last) = state.last.filter(|last| first <= last.index) {
        let found = record_at(last.index)?.map(|(position, _)| position);
        if found != Some(last) {
            return Err(corrupt(
                "raft log",
                format!("ends at {last:?}, but {found:?} stands there"),
            ));
        }
    }
    if let Some((marked, checksum)) = mark.last {
        let purged = state
            .purged
            .is_some_and(|purged| marked.index <= purged.index);
        if !purged && record_at(marked.index)? != Some((marked, checksum)) {
            let detail = format!("was synced up to {marked:?}, ends at {:?}", state.last);
            return Err(corrupt("raft log", detail));
        }
    }
    if state.vote < mark.vote {
        let detail = format!(
            "vote {:?} was synced, the log holds {:?}",
            mark.vote, state.vote
        );
        return Err(corrupt("raft log", detail));
    }
    Ok(())
}

fn sync_while_open(shared: &Shared, dropped: &Receiver<()>) {
    let mut written = 0;
    while let Err(RecvTimeoutError::Timeout) = dropped.recv_timeout(SENTINEL_SYNC_INTERVAL) {
        let mut guarded = shared.lock();
        if let Err(cause) = guarded.look_after(&mut written, &shared.count) {
            let failed = FailedWrite::of(&cause, &shared.path);
            guarded.poisoned.get_or_insert(failed);
        }
    }
}

fn holds_segments(segments: &Path) -> Result<bool, StorageFault> {
    let entries =
        fs::read_dir(segments).map_err(|source| fault("list log directory", segments, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| fault("list log directory", segments, source))?;
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "wal")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells damage from a disk that refused: only the former means that this disk must never be started on again. raft-log
/// keeps the kind of an error of the operating system, and gives damage kinds of its own.
fn unreadable(what: &'static str, path: &Path, cause: io::Error) -> StorageFault {
    match cause.kind() {
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotFound
        | io::ErrorKind::Other => corrupt("raft log", format!("{}: {cause}", path.display())),
        _ => fault(what, path, cause),
    }
}

fn corrupt(what: &'static str, detail: String) -> StorageFault {
    StorageFault::Corrupt { what, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_rises_with_every_minute_of_writing_and_not_without() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(SENTINEL);
        let sentinel = Sentinel::create(&path, StoreId([7; 16])).expect("made");
        let mut guarded = Guarded {
            sentinel,
            epoch: 0,
            poisoned: None,
        };
        let (count, mut written) = (Count::from(0), 0);
        for _ in 0..10 * RISES_AFTER {
            guarded.look_after(&mut written, &count).expect("synced");
        }
        assert_eq!(count.now(), 0, "nothing was written");
        for second in 1..=3 * RISES_AFTER {
            let mark = guarded.sentinel.mark();
            guarded.sentinel.write(mark).expect("written");
            guarded.look_after(&mut written, &count).expect("synced");
            assert_eq!(count.now(), u64::from(second / RISES_AFTER));
        }
        let kept = Sentinel::open(&path).expect("opens").life().start;
        assert_eq!(kept, count.now(), "what is shown is on the disk");
    }

    fn position(index: u64) -> LogPosition {
        LogPosition {
            term: 1,
            node: 1,
            index,
        }
    }

    fn record(index: u64) -> LogRecord {
        LogRecord {
            position: position(index),
            payload: crate::machine::Payload::Blank,
        }
    }

    /// What a failed sync left on the disk is unknown: a later one that succeeds would report it as written.
    #[test]
    fn after_a_write_that_failed_nothing_is_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = StoreId([7; 16]);
        DiskLog::create(directory.path(), store).expect("made");
        let open = DiskLog::open(directory.path(), store, DiskLogOptions::default());
        let log = open.expect("opens");
        let (done, wait) = sync_channel(1);
        let report: Synced =
            Box::new(move |result| SyncSender::send(&done, result).expect("waited for"));
        let records = (0..9).map(record).collect();
        log.append(records, report).expect("taken");
        wait.recv().expect("answered").expect("synced");
        let before = log.state();
        let full = io::Error::from(io::ErrorKind::StorageFull);
        log.shared.poison("sync of the raft log", &full);
        log.shared.poison("a later one", &io::Error::other("later"));

        let unheard = || -> Synced { Box::new(|result| panic!("reported: {result:?}")) };
        let vote = Vote {
            term: 2,
            node: 1,
            committed: false,
        };
        let outcomes = [
            log.append(vec![record(9)], unheard()),
            log.save_vote(vote, unheard()),
            log.save_committed(position(5)),
            log.truncate_after(Some(position(6)), unheard()),
            log.purge(position(3), unheard()),
        ];
        for outcome in outcomes {
            match outcome {
                Err(StorageFault::Io { what, source, .. }) => {
                    assert_eq!(what, "sync of the raft log", "the first cause");
                    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(log.state(), before);
    }

    #[test]
    fn a_sync_that_ends_after_a_truncation_names_nothing_that_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(SENTINEL);
        let mut guarded = Guarded {
            sentinel: Sentinel::create(&path, StoreId([7; 16])).expect("made"),
            epoch: 1,
            poisoned: None,
        };
        guarded.raise((position(9), 99), 0).expect("nothing to do");
        assert_eq!(guarded.sentinel.mark().last, None);
        guarded.raise((position(4), 44), 1).expect("written");
        assert_eq!(guarded.sentinel.mark().last, Some((position(4), 44)));
    }
}
