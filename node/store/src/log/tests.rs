//! The log on disk against restarts and damage: what was synced comes back, or the node refuses to start.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use bytes::Bytes;

use super::sentinel::Sentinel;
use super::*;
use crate::identity::StoreId;

const STORE: StoreId = StoreId([0x5a; 16]);

const SMALL: DiskLogOptions = DiskLogOptions {
    #[cfg(feature = "planted")]
    acknowledge_before_fsync: false,
    segment_bytes_max: 1500,
    cache_bytes_max: 600,
    queue_bytes_max: 1024 * 1024,
};

fn open(directory: &Path) -> Result<DiskLog, StorageFault> {
    DiskLog::open(directory, STORE, SMALL)
}

fn position(term: u64, index: u64) -> LogPosition {
    LogPosition {
        term,
        node: 1,
        index,
    }
}

fn record(term: u64, index: u64) -> LogRecord {
    let payload = Payload::Entry(Bytes::from(format!(
        "entry {index} of term {term}, with some length to it"
    )));
    LogRecord {
        position: position(term, index),
        payload,
    }
}

/// Runs one write and waits until it is synced.
fn synced(write: impl FnOnce(Synced) -> Result<(), StorageFault>) -> Result<(), StorageFault> {
    let (done, wait) = sync_channel(1);
    write(Box::new(move |result| {
        let _ = done.send(result);
    }))?;
    wait.recv().expect("the log answers every write")
}

/// A log with 60 records in several segments, a vote and a commit note, closed.
fn written(directory: &Path) {
    DiskLog::create(directory, STORE).expect("made");
    let log = open(directory).expect("opens");
    synced(|done| {
        log.save_vote(
            Vote {
                term: 2,
                node: 1,
                committed: true,
            },
            done,
        )
    })
    .expect("voted");
    for start in (0..60).step_by(5) {
        synced(|done| {
            log.append(
                (start..start + 5).map(|index| record(2, index)).collect(),
                done,
            )
        })
        .expect("appended");
    }
    log.save_committed(position(2, 40)).expect("noted");
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory.join("wal"))
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    found.sort();
    found
}

fn contents(log: &DiskLog) -> Vec<LogRecord> {
    log.read(0, u64::MAX, usize::MAX).expect("readable")
}

#[test]
fn everything_synced_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    assert!(
        3 <= segments(directory.path()).len(),
        "the test wants several segments"
    );
    let log = open(directory.path()).expect("opens");
    let state = log.state();
    assert_eq!(
        state.vote,
        Some(Vote {
            term: 2,
            node: 1,
            committed: true
        })
    );
    assert_eq!(state.last, Some(position(2, 59)));
    assert_eq!(
        contents(&log),
        (0..60).map(|index| record(2, index)).collect::<Vec<_>>()
    );
}

#[test]
fn a_truncated_tail_stays_away_and_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    {
        let log = open(directory.path()).expect("opens");
        synced(|done| log.truncate_after(Some(position(2, 49)), done)).expect("truncated");
    }
    let log = open(directory.path()).expect("a shorter log is no lost tail");
    assert_eq!(log.state().last, Some(position(2, 49)));
    synced(|done| log.append(vec![record(3, 50)], done)).expect("appended");
    drop(log);
    let log = open(directory.path()).expect("opens");
    assert_eq!(contents(&log).last(), Some(&record(3, 50)));
}

#[test]
fn neither_log_cuts_what_is_committed() {
    let directory = tempfile::tempdir().expect("a directory");
    DiskLog::create(directory.path(), STORE).expect("made");
    let on_disk: Box<dyn RaftLog> = Box::new(open(directory.path()).expect("opens"));
    for log in [on_disk, Box::new(MemoryLog::new())] {
        let records: Vec<LogRecord> = (0..10).map(|index| record(2, index)).collect();
        synced(|done| log.append(records.clone(), done)).expect("appended");
        log.save_committed(position(2, 6)).expect("noted");
        for below in [None, Some(position(2, 0)), Some(position(2, 5))] {
            let refused = synced(|done| log.truncate_after(below, done));
            let why = refused.expect_err("it is committed").to_string();
            assert!(why.contains("record 6 is committed"), "{why}");
        }
        assert_eq!(log.read(0, 99, usize::MAX).expect("readable"), records);
        synced(|done| log.truncate_after(Some(position(2, 6)), done)).expect("not committed");
        assert_eq!(log.state().last, Some(position(2, 6)));
        synced(|done| log.append(vec![record(3, 7)], done)).expect("appended");
    }
}

#[test]
fn purged_records_are_gone_and_the_rest_opens() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    let before = segments(directory.path()).len();
    {
        let log = open(directory.path()).expect("opens");
        synced(|done| log.purge(position(2, 44), done)).expect("purged");
        synced(|done| log.append(vec![record(2, 60)], done)).expect("appended");
    }
    let log = open(directory.path()).expect("opens");
    assert_eq!(log.state().purged, Some(position(2, 44)));
    assert_eq!(
        contents(&log),
        (45..=60).map(|index| record(2, index)).collect::<Vec<_>>()
    );
    assert!(
        segments(directory.path()).len() < before,
        "space is given back"
    );
}

#[test]
fn a_snapshot_beyond_a_void_tail_of_a_higher_term_leaves_an_appendable_log() {
    let directory = tempfile::tempdir().expect("a directory");
    DiskLog::create(directory.path(), STORE).expect("made");
    let log = open(directory.path()).expect("opens");
    synced(|done| log.append(vec![record(1, 0), record(5, 1)], done)).expect("appended");
    synced(|done| log.purge(position(3, 10), done)).expect("purged");
    synced(|done| log.append(vec![record(6, 11)], done)).expect("appended after the snapshot");
    drop(log);
    let log = open(directory.path()).expect("opens");
    assert_eq!(contents(&log), vec![record(6, 11)]);
}

#[test]
fn a_vote_never_goes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    let log = open(directory.path()).expect("opens");
    assert!(
        log.save_vote(
            Vote {
                term: 1,
                node: 3,
                committed: false
            },
            Box::new(|_| ())
        )
        .is_err()
    );
}

/// Damages a copy of the log and says what opening it gives.
fn opens_after(damage: impl Fn(&Path)) -> Result<Vec<LogRecord>, StorageFault> {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    damage(directory.path());
    open(directory.path()).and_then(|log| log.read(0, u64::MAX, usize::MAX))
}

#[test]
fn a_missing_segment_is_refused() {
    let count = {
        let directory = tempfile::tempdir().expect("a directory");
        written(directory.path());
        segments(directory.path()).len()
    };
    for at in 0..count {
        let outcome =
            opens_after(|directory| fs::remove_file(&segments(directory)[at]).expect("removed"));
        assert!(
            outcome.is_err(),
            "segment {at} of {count} was missing: {outcome:?}"
        );
    }
}

#[test]
fn a_log_without_any_segment_is_refused() {
    let outcome = opens_after(|directory| {
        for segment in segments(directory) {
            fs::remove_file(segment).expect("removed");
        }
    });
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn a_missing_sentinel_is_refused() {
    let outcome =
        opens_after(|directory| fs::remove_file(directory.join("sentinel")).expect("removed"));
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn the_log_of_another_store_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    let other = StoreId([0x5b; 16]);
    let fault = DiskLog::open(directory.path(), other, SMALL).err();
    let text = fault.expect("a refusal").to_string();
    assert!(
        text.ends_with(&format!("belongs to store {STORE}, not to store {other}")),
        "{text}"
    );
}

#[test]
fn a_log_that_was_never_made_is_not_made_by_opening_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let fault = open(directory.path()).err().expect("a refusal");
    assert!(
        fault.to_string().ends_with("sentinel is missing"),
        "{fault}"
    );
    assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
    DiskLog::create(directory.path(), STORE).expect("made");
    assert!(
        DiskLog::create(directory.path(), STORE).is_err(),
        "made twice"
    );
}

#[test]
fn every_opening_and_every_vote_is_counted_and_a_copy_of_before_falls_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    DiskLog::create(directory.path(), STORE).expect("made");
    for term in 1..=4 {
        let log = open(directory.path()).expect("opens");
        let count = log.count();
        assert_eq!(count.now(), 3 * term - 2);
        let copy = std::fs::read(directory.path().join("sentinel")).expect("readable");
        for committed in [false, true] {
            let vote = Vote {
                term,
                node: 1,
                committed,
            };
            synced(|done| log.save_vote(vote, done)).expect("voted");
        }
        assert_eq!(count.now(), 3 * term);
        // What was shown is on the disk.
        let whole = std::fs::read(directory.path().join("sentinel")).expect("readable");
        assert_ne!(copy, whole);
        let path = directory.path().join("copied");
        std::fs::write(&path, &whole).expect("written");
        let kept = Sentinel::open(&path).expect("opens").life().start;
        assert_eq!(kept, 3 * term);
        std::fs::write(&path, &copy).expect("written");
        let older = Sentinel::open(&path).expect("opens").life().start;
        // Its start would show one more, which the others have seen of the running process already.
        assert!(older < kept, "{older}");
        std::fs::remove_file(path).expect("removed");
    }
}

#[test]
fn any_cut_of_any_segment_loses_nothing_silently() {
    let whole: Vec<LogRecord> = (0..60).map(|index| record(2, index)).collect();
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    for segment in segments(directory.path()) {
        let bytes = fs::read(&segment).expect("readable");
        for length in (0..bytes.len()).step_by(41) {
            fs::write(&segment, &bytes[..length]).expect("written");
            let outcome = opens_copy(directory.path());
            assert!(
                outcome.as_ref().map_or(true, |found| *found == whole),
                "{segment:?} cut at {length}: {outcome:?}"
            );
        }
        fs::write(&segment, &bytes).expect("written");
    }
}

#[test]
fn any_flipped_bit_loses_nothing_silently() {
    let whole: Vec<LogRecord> = (0..60).map(|index| record(2, index)).collect();
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    for segment in segments(directory.path()) {
        let bytes = fs::read(&segment).expect("readable");
        for at in (0..bytes.len()).step_by(13) {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << (at % 8);
            fs::write(&segment, &broken).expect("written");
            let outcome = opens_copy(directory.path());
            assert!(
                outcome.as_ref().map_or(true, |found| *found == whole),
                "{segment:?} flipped at {at}: {outcome:?}"
            );
        }
        fs::write(&segment, &bytes).expect("written");
    }
}

/// Opens a copy, so that a repair by the opening does not heal the damage for the next case.
fn opens_copy(directory: &Path) -> Result<Vec<LogRecord>, StorageFault> {
    let copy = tempfile::tempdir().expect("a directory");
    fs::create_dir(copy.path().join("wal")).expect("created");
    fs::copy(directory.join("sentinel"), copy.path().join("sentinel")).expect("copied");
    for segment in segments(directory) {
        let name = segment.file_name().expect("a name");
        fs::copy(&segment, copy.path().join("wal").join(name)).expect("copied");
    }
    open(copy.path()).and_then(|log| log.read(0, u64::MAX, usize::MAX))
}

/// A disk that forgot its last write of the log, and not of the sentinel beside it.
#[test]
fn a_synced_vote_that_is_gone_is_missed() {
    let directory = tempfile::tempdir().expect("a directory");
    written(directory.path());
    let before: Vec<(PathBuf, Vec<u8>)> = segments(directory.path())
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("read")))
        .collect();
    let log = open(directory.path()).expect("opens");
    let later = Vote {
        term: 3,
        node: 1,
        committed: false,
    };
    synced(|done| log.save_vote(later, done)).expect("voted");
    drop(log);
    for path in segments(directory.path()) {
        fs::remove_file(path).expect("removed");
    }
    for (path, bytes) in before {
        fs::write(path, bytes).expect("written");
    }
    match open(directory.path()) {
        Err(StorageFault::Corrupt { detail, .. }) => {
            assert!(detail.starts_with("vote"), "{detail}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it would vote twice in term 3"),
    }
}

const LIMITED: &str = "CARNET_LOG_UNDER_A_FILE_LIMIT";

/// Nobody waits for the note of a commit, so its failure is heard of at the next write: that one names the disk's own words.
/// The limit on the size of a file, which stands for a full disk, holds for a process, so the log is written in one of its own.
#[test]
fn a_write_after_one_that_nobody_waited_for_says_why_that_one_failed() {
    if let Some(directory) = std::env::var_os(LIMITED) {
        return until_a_file_is_too_large(Path::new(&directory));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let this = "log::tests::a_write_after_one_that_nobody_waited_for_says_why_that_one_failed";
    let out = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", this, "--nocapture"])
        .env(LIMITED, directory.path())
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    let told: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("told: "))
        .collect();
    assert_eq!(told.len(), 2, "a note, and a write after it: {said}");
    for line in told {
        assert!(line.contains("File too large"), "{line}");
    }
}

fn until_a_file_is_too_large(directory: &Path) {
    let limits = fs::read_to_string("/proc/self/limits").expect("limits");
    let size = limits
        .lines()
        .find(|line| line.starts_with("Max file size"));
    let limit: u64 = size
        .and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
        .expect("a limit in bytes");
    DiskLog::create(directory, STORE).expect("made");
    let one_segment = DiskLogOptions {
        segment_bytes_max: 64 * 1024 * 1024,
        ..SMALL
    };
    let log = DiskLog::open(directory, STORE, one_segment).expect("opens");
    let mut last = 0;
    while log.size() < limit - 32 * 1024 {
        let records = (last + 1..=last + 50).map(|index| record(1, index));
        synced(|done| log.append(records.collect(), done)).expect("there is room");
        last += 50;
    }
    let cause = |fault: StorageFault| match fault {
        StorageFault::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let noted = (1..=last).find_map(|index| log.save_committed(position(1, index)).err());
    eprintln!(
        "told: {}",
        cause(noted.expect("the notes outgrow the file"))
    );
    let later = synced(|done| log.append(vec![record(1, last + 1)], done));
    eprintln!("told: {}", cause(later.expect_err("the log takes no more")));
}
