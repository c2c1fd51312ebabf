//! A node's directory as a whole: made by one word, opened by another, and refused when any part is not what it was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use carnet_store::applied;
use carnet_store::engine::{Batch, KvEngine};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::home::{self, Home, Owner};
use carnet_store::identity::{Identity, StoreId};
use carnet_store::log::{DiskLogOptions, RaftLog, Vote};
use carnet_store::machine::{LogPosition, LogRecord, Payload};
use carnet_store::registry::RegistryState;
use tempfile::TempDir;

use crate::bench::{copy_folder, names, reached, small};

const OWNER: Owner = Owner {
    cluster: [7; 16],
    node: 3,
    incarnation: 0,
};

fn identity() -> Identity {
    OWNER.with(StoreId([0x5a; 16]))
}

fn join() -> BTreeSet<u64> {
    BTreeSet::from([1, 2, 3])
}

fn make(root: &Path, identity: Identity) -> Result<(), StorageFault> {
    home::make(root, identity, &join(), small())
}

fn open(root: &Path, owner: Owner) -> Result<Home, StorageFault> {
    home::open(root, owner, small(), DiskLogOptions::default())
}

fn scratch() -> TempDir {
    TempDir::new().expect("a scratch directory")
}

/// A refusal by name, after which everything is as it was.
fn refused(root: &Path, owner: Owner, expected: &str) {
    let before = root.exists().then(|| names(root));
    let fault = open(root, owner).err().expect("a refusal");
    let text = fault.to_string();
    assert!(text.contains(expected), "{text}");
    assert_eq!(root.exists().then(|| names(root)), before);
}

fn refused_to_make(root: &Path, expected: &str) {
    let before = names(root);
    let fault = make(root, identity()).expect_err("a refusal");
    assert!(matches!(fault, StorageFault::Foreign(_)), "{fault:?}");
    assert!(fault.to_string().contains(expected), "{fault}");
    assert_eq!(names(root), before);
}

#[test]
fn what_was_made_opens_and_counts_its_starts() {
    let folder = scratch();
    let root = folder.path().join("data");
    make(&root, identity()).expect("made");
    assert_eq!(names(&root), ["identity", "log", "state"]);
    for start in 1..=3 {
        let home = open(&root, OWNER).expect("opened");
        assert_eq!(home.identity, identity());
        assert_eq!(home.join, join());
        assert_eq!(home.log.count().now(), start);
        refused(&root, OWNER, "is open in another process");
    }
}

#[test]
fn opening_makes_nothing() {
    let folder = scratch();
    let root = folder.path().join("data");
    let advice = "holds no data of node 3: run `carnetd init` if this is a new node under an id that was never used";
    refused(&root, OWNER, advice);
    assert!(!root.exists());
    std::fs::create_dir_all(root.join("lost+found")).expect("a directory");
    refused(&root, OWNER, advice);
    std::fs::write(root.join("thesis.tex"), b"years of work").expect("a file");
    refused(
        &root,
        OWNER,
        "is not the data directory of a node (it has `thesis.tex`)",
    );
}

#[test]
fn a_store_is_made_in_an_empty_directory_only() {
    let folder = scratch();
    let root = folder.path().join("data");
    std::fs::create_dir_all(root.join("lost+found")).expect("a directory");
    make(&root, identity()).expect("the root of a file system is as good as empty");
    refused_to_make(
        &root,
        "is already the data directory of node 3 (store 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a, cluster 0707",
    );
    drop(open(&root, OWNER).expect("it is as it was"));
    for name in ["thesis.tex", "state", "log", "identity", "MAKING.new"] {
        let folder = scratch();
        std::fs::write(folder.path().join(name), b"years of work").expect("a file");
        refused_to_make(folder.path(), &format!("is not empty (it has `{name}`)"));
    }
}

#[test]
fn a_making_that_was_cut_short_is_refused_and_made_again() {
    let whole = scratch();
    make(whole.path(), identity()).expect("made");
    let steps: [&[&str]; 4] = [
        &[],
        &["state"],
        &["state", "log"],
        &["state", "log", "identity"],
    ];
    for there in steps {
        let folder = scratch();
        for name in there {
            let (from, to) = (whole.path().join(name), folder.path().join(name));
            if from.is_dir() {
                copy_folder(&from, &to);
            } else {
                std::fs::copy(from, to).expect("a copy");
            }
        }
        std::fs::write(folder.path().join("MAKING"), b"").expect("a file");
        std::fs::write(folder.path().join("identity.new"), b"carn").expect("a file");
        refused(folder.path(), OWNER, "was cut short; run it again");
        let other = OWNER.with(StoreId([0x77; 16]));
        make(folder.path(), other).expect("made again");
        let home = open(folder.path(), OWNER).expect("opened");
        assert_eq!(
            (home.identity, home.log.count().now()),
            (other, 1),
            "{there:?}"
        );
    }
}

#[test]
fn the_directory_of_another_cluster_node_or_incarnation_is_refused() {
    let folder = scratch();
    make(folder.path(), identity()).expect("made");
    let strangers = [
        (
            Owner {
                cluster: [8; 16],
                ..OWNER
            },
            "belongs to cluster 07070707070707070707070707070707, not to cluster 0808",
        ),
        (
            Owner { node: 4, ..OWNER },
            "belongs to node 3, not to node 4",
        ),
        (
            Owner {
                incarnation: 1,
                ..OWNER
            },
            "belongs to incarnation 0, not to incarnation 1",
        ),
    ];
    for (stranger, expected) in strangers {
        refused(folder.path(), stranger, expected);
    }
    let home = open(folder.path(), OWNER).expect("opened");
    assert_eq!(home.log.count().now(), 1, "a refusal is no start");
}

#[test]
fn whatever_is_missing_is_named() {
    let table = [
        ("identity", "has data, but no file `identity`"),
        (
            "log",
            "the Raft log of node 3 (log) is gone, its state is there",
        ),
        (
            "state",
            "the state of node 3 (state) is gone, its log is there",
        ),
        ("log/sentinel", "sentinel is missing"),
        ("log/wal", "wal is missing"),
        ("state/IDENTITY", "has no IDENTITY of node 3"),
        ("state/CURRENT", "CURRENT"),
        ("state/state-0", "which is not there"),
    ];
    for (name, expected) in table {
        let folder = scratch();
        make(folder.path(), identity()).expect("made");
        let path = folder.path().join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(path).expect("removed");
        } else {
            std::fs::remove_file(path).expect("removed");
        }
        refused(folder.path(), OWNER, expected);
        // Nor is what is missing made by another start or by making the store anew.
        refused(folder.path(), OWNER, expected);
        refused_to_make(folder.path(), "nothing was changed");
    }
}

#[test]
fn parts_of_two_stores_are_no_store() {
    let (ours, other) = (scratch(), scratch());
    make(ours.path(), identity()).expect("made");
    make(other.path(), OWNER.with(StoreId([0x77; 16]))).expect("made");
    let table = [
        (
            "log",
            "belongs to store 77777777777777777777777777777777, not to store 5a5a",
        ),
        (
            "state",
            "belongs to store 77777777777777777777777777777777, not to store 5a5a",
        ),
        (
            "identity",
            "belongs to store 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a, not to store 7777",
        ),
    ];
    for (part, expected) in table {
        let mixed = scratch();
        for name in ["log", "state", "identity"] {
            let from = if name == part { &other } else { &ours }.path().join(name);
            if from.is_dir() {
                copy_folder(&from, &mixed.path().join(name));
            } else {
                std::fs::copy(from, mixed.path().join(name)).expect("a copy");
            }
        }
        refused(mixed.path(), OWNER, expected);
    }
}

/// Panics that no guard catches: in the daemon each of them is an abort.
static ABORTS: AtomicUsize = AtomicUsize::new(0);

/// A directory of a node that voted, appended and applied, closed.
fn used(root: &Path) {
    make(root, identity()).expect("made");
    let home = open(root, OWNER).expect("opened");
    let (done, wait) = sync_channel(1);
    let vote = Vote {
        term: 2,
        node: 3,
        committed: true,
    };
    let told = done.clone();
    let voted = home.log.save_vote(
        vote,
        Box::new(move |synced| {
            let _ = told.send(synced);
        }),
    );
    voted.expect("taken");
    wait.recv().expect("an answer").expect("synced");
    let record = |index| LogRecord {
        position: LogPosition {
            term: 2,
            node: 3,
            index,
        },
        payload: Payload::Entry(format!("entry {index}, with some length to it").into()),
    };
    let records = (0..40).map(record).collect();
    let appended = home.log.append(
        records,
        Box::new(move |synced| {
            let _ = done.send(synced);
        }),
    );
    appended.expect("taken");
    wait.recv().expect("an answer").expect("synced");
    let run = carnet_store::identity::Run {
        start: 4,
        nonce: 77,
    };
    home.log
        .note_start(1, StoreId([9; 16]), run)
        .expect("noted");
    for index in 0..40 {
        let mut batch = Batch::default();
        let key = format!("key-{index:06}").into_bytes();
        batch.put(Family::Entries, key, vec![0x5a; 200]);
        applied::store(&mut batch, &reached(index));
        home.state.write(batch).expect("written");
    }
}

/// Every file below a folder, but the lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.metadata().expect("a file").len() > 0 {
            found.push(path);
        }
    }
    found
}

/// What a start reads, all of it.
fn start(root: &Path) -> Result<(), StorageFault> {
    let home = open(root, OWNER)?;
    home.log.read(0, u64::MAX, usize::MAX)?;
    RegistryState::open(home.state).map(drop)
}

#[test]
fn damage_anywhere_is_told_as_such_and_never_aborts() {
    std::panic::set_hook(Box::new(|panic| {
        if !carnet_store::guard::is_guarded() {
            eprintln!("{panic}");
            ABORTS.fetch_add(1, Ordering::SeqCst);
        }
    }));
    let folder = scratch();
    let whole = folder.path().join("whole");
    used(&whole);
    let (mut refused, mut tried) = (0, 0);
    for path in files(&whole) {
        let name = path.strip_prefix(&whole).expect("below").to_owned();
        let bytes = std::fs::read(&path).expect("readable");
        // The files of the database have tests of their own (`damage`), and opening one takes its time.
        let places = if name.starts_with("state") { 6 } else { 25 };
        let cuts = (0..places).map(|part| bytes.len() * part / places);
        let cut = cuts.map(|at| (format!("cut at {at}"), bytes[..at].to_vec()));
        let flips = (0..places).map(|part| (bytes.len() - 1) * part / (places - 1));
        let flipped = flips.map(|at| {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << (at % 8);
            // The highest bit of a text makes it no text.
            broken[at] ^= 0x80;
            (format!("flipped at {at}"), broken)
        });
        for (how, broken) in cut.chain(flipped) {
            let copy = scratch();
            let root = copy.path().join("data");
            copy_folder(&whole, &root);
            std::fs::write(root.join(&name), broken).expect("written");
            let outcome = std::panic::catch_unwind(|| start(&root));
            let outcome = outcome.unwrap_or_else(|_| panic!("{name:?} {how}: a panic"));
            assert_eq!(ABORTS.load(Ordering::SeqCst), 0, "{name:?} {how}: an abort");
            tried += 1;
            match outcome {
                Ok(()) => {}
                Err(StorageFault::Corrupt { .. } | StorageFault::Foreign(_)) => refused += 1,
                Err(other) => panic!("{name:?} {how}: {other:?}"),
            }
        }
    }
    assert!(tried > 200 && refused > tried / 2, "{refused} of {tried}");
}
