//! Whose a data directory is, who may open it, and what a crash in the middle leaves.

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_store::applied;
use carnet_store::artefact::StateEngine;
use carnet_store::directory::{Current, Directory, LAYOUT_VERSION, write_atomically};
use carnet_store::engine::KvEngine;
use carnet_store::fault::StorageFault;
use carnet_store::identity::{Identity, StoreId};
use carnet_store::state::SwappableEngine;

use crate::bench::{
    Disk, IDENTITY, content, copy_folder, files_of, install, names, reached, small, step,
};

fn refused(disk: &Disk, identity: Identity, expected: &str) {
    let before = disk.root().exists().then(|| disk.names());
    let fault = SwappableEngine::open(&disk.root(), identity, small())
        .err()
        .expect("a refusal")
        .to_string();
    assert!(fault.contains(expected), "{fault}");
    assert_eq!(
        disk.root().exists().then(|| disk.names()),
        before,
        "a refusal removes nothing"
    );
}

#[test]
fn an_empty_directory_under_a_known_id_is_refused() {
    let disk = Disk::new();
    refused(
        &disk,
        IDENTITY,
        "has no IDENTITY of node 3: a wiped disk is a new node and needs a new id",
    );
    std::fs::create_dir(disk.root()).expect("a directory");
    refused(&disk, IDENTITY, "has no IDENTITY of node 3");
    drop(disk.create());
    disk.open().expect("a directory that opens");
}

#[test]
fn a_directory_of_another_cluster_node_incarnation_or_store_is_refused() {
    let disk = Disk::new();
    drop(disk.create());
    refused(
        &disk,
        Identity {
            cluster: [8; 16],
            ..IDENTITY
        },
        "belongs to cluster 07070707070707070707070707070707, not to cluster 08080808080808080808080808080808",
    );
    refused(
        &disk,
        Identity {
            node: 4,
            ..IDENTITY
        },
        "belongs to node 3, not to node 4",
    );
    refused(
        &disk,
        Identity {
            incarnation: 1,
            ..IDENTITY
        },
        "belongs to incarnation 0, not to incarnation 1",
    );
    refused(
        &disk,
        Identity {
            store: StoreId([0x5b; 16]),
            ..IDENTITY
        },
        "belongs to store 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a, not to store 5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b",
    );
}

/// Neither a newer one nor an older one, for which there are no migrations.
#[test]
fn another_layout_is_refused_by_name() {
    for layout in [1, LAYOUT_VERSION - 1, LAYOUT_VERSION + 1] {
        let disk = Disk::new();
        drop(disk.create());
        let mut bytes = (layout, Blob(vec![9, 9, 9])).to_bytes();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        std::fs::write(disk.root().join("IDENTITY"), bytes).expect("a file");
        let expected = format!("has layout {layout}; this binary knows {LAYOUT_VERSION}");
        refused(&disk, IDENTITY, &expected);
    }
}

#[test]
fn two_processes_do_not_open_one_directory() {
    let disk = Disk::new();
    let open = disk.create();
    refused(&disk, IDENTITY, "is open in another process");
    drop(open);
    let open = disk.open().expect("a directory that opens");
    refused(&disk, IDENTITY, "is open in another process");
    drop(open);
    disk.open().expect("a directory that opens");
}

#[test]
fn a_directory_is_not_made_twice_nor_over_something_else() {
    let disk = Disk::new();
    drop(disk.create());
    let fault = SwappableEngine::create(&disk.root(), IDENTITY, small())
        .err()
        .expect("a refusal")
        .to_string();
    assert!(
        fault.ends_with("a new node needs an empty data directory"),
        "{fault}"
    );
    disk.open().expect("a directory that opens");

    let other = Disk::new();
    std::fs::create_dir(other.root()).expect("a directory");
    std::fs::write(other.root().join("thesis.tex"), b"years of work").expect("a file");
    let fault = SwappableEngine::create(&other.root(), IDENTITY, small())
        .err()
        .expect("a refusal")
        .to_string();
    assert!(
        fault.contains("is not empty (it has `thesis.tex`)"),
        "{fault}"
    );
}

#[test]
fn a_making_that_was_cut_short_is_made_again() {
    let whole = Disk::new();
    drop(whole.create());
    // What may be there when the process dies, in the order of writing.
    let steps: [&[&str]; 4] = [
        &[],
        &["state-0"],
        &["state-0", "CURRENT"],
        &["state-0", "CURRENT", "IDENTITY"],
    ];
    for there in steps {
        let disk = Disk::new();
        std::fs::create_dir(disk.root()).expect("a directory");
        std::fs::write(disk.root().join("CREATING"), b"").expect("a file");
        std::fs::write(disk.root().join("CURRENT.new"), b"stat").expect("a file");
        for name in there {
            let (from, to) = (whole.root().join(name), disk.root().join(name));
            if from.is_dir() {
                copy_folder(&from, &to);
                std::fs::remove_file(to.join("CURRENT")).expect("a file of the database");
            } else {
                std::fs::copy(from, to).expect("a copy");
            }
        }
        refused(&disk, IDENTITY, "its making was cut short; make it again");
        let engine = disk.create();
        engine.write(step(1)).expect("a write");
        drop(engine);
        assert_eq!(
            applied::load(&disk.open().expect("a directory that opens")).expect("a read"),
            reached(1)
        );
    }
}

#[test]
fn a_making_whose_state_fails_is_not_a_directory() {
    let disk = Disk::new();
    let broken = |_: &std::path::Path| Err(StorageFault::Invariant("planted".into()));
    let fault = Directory::create(&disk.root(), IDENTITY, broken)
        .expect_err("a refusal")
        .to_string();
    assert_eq!(fault, "invariant broken: planted");
    refused(&disk, IDENTITY, "its making was cut short");
    disk.create();
}

#[test]
fn what_a_crash_left_behind_is_removed_at_the_start() {
    let disk = Disk::new();
    let engine = disk.create();
    for index in 0..40 {
        engine.write(step(index)).expect("a write");
    }
    let expected = content(&engine).expect("a read");
    drop(engine);
    // Killed in the middle of an install, of a snapshot, and of the renaming of CURRENT; the log of the node stays.
    let root = disk.root();
    std::fs::create_dir(root.join("state-7")).expect("a directory");
    std::fs::write(root.join("state-7/000012.sst"), b"half a tab").expect("a file");
    copy_folder(&root.join("state-0"), &root.join("state-8"));
    copy_folder(&root.join("state-0"), &root.join("snapshots/39.4"));
    std::fs::write(root.join("CURRENT.new"), b"state-8 39 0123").expect("a file");
    std::fs::create_dir(root.join("log")).expect("a directory");

    let engine = disk.open().expect("a directory that opens");
    assert_eq!(content(&engine).expect("a read"), expected);
    assert_eq!(
        disk.names(),
        ["CURRENT", "IDENTITY", "LOCK", "log", "state-0"]
    );
}

#[test]
fn a_crash_on_either_side_of_the_swap_leaves_a_whole_state() {
    let disk = Disk::new();
    let engine = disk.create();
    engine.write(step(1)).expect("a write");
    drop(engine);
    let root = disk.root();
    copy_folder(&root.join("state-0"), &root.join("state-1"));
    // Before: the new one is there, and the pointer still names the old one.
    assert_eq!(
        applied::load(&disk.open().expect("a directory that opens")).expect("a read"),
        reached(1)
    );
    assert!(!root.join("state-1").exists());
    // After: the pointer names the new one, and the old one is still there.
    copy_folder(&root.join("state-0"), &root.join("state-1"));
    let directory = Directory::open(&root, IDENTITY);
    drop(directory);
    copy_folder(&root.join("state-0"), &root.join("state-5"));
    let line = format!("state-5 1 {:08x}\n", crc32fast::hash(b"state-5 1"));
    write_atomically(&root.join("CURRENT"), line.as_bytes()).expect("a pointer");
    assert_eq!(
        applied::load(&disk.open().expect("a directory that opens")).expect("a read"),
        reached(1)
    );
    assert_eq!(disk.names(), ["CURRENT", "IDENTITY", "LOCK", "state-5"]);
}

#[test]
fn a_pointer_to_nothing_is_refused() {
    let disk = Disk::new();
    drop(disk.create());
    std::fs::rename(disk.root().join("state-0"), disk.root().join("state-1")).expect("a rename");
    refused(&disk, IDENTITY, "corrupt CURRENT: it names ");
    assert_eq!(
        names(&disk.root()),
        ["CURRENT", "IDENTITY", "LOCK", "state-1"],
        "the only copy was not removed"
    );
    std::fs::remove_file(disk.root().join("CURRENT")).expect("a file");
    refused(&disk, IDENTITY, "read at ");
}

#[test]
fn an_atomic_write_replaces_the_whole_file() {
    let disk = Disk::new();
    std::fs::create_dir(disk.root()).expect("a directory");
    let path = disk.root().join("file");
    for text in ["a long first text", "short", ""] {
        write_atomically(&path, text.as_bytes()).expect("a write");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), text);
        assert_eq!(disk.names(), ["file"]);
    }
}

#[test]
fn a_state_that_lost_what_was_durable_is_refused() {
    let disk = Disk::new();
    let engine = disk.create();
    for index in 0..30 {
        engine.write(step(index)).expect("a write");
    }
    engine.sync().expect("a sync");
    let early = Disk::new();
    copy_folder(&disk.root(), &early.root());
    engine.write(step(30)).expect("a write");
    engine.sync().expect("a sync");
    drop(engine);
    disk.open().expect("a directory that opens");
    // The database of a moment ago in the place of the one that was synced.
    let folder = disk.root().join("state-0");
    std::fs::remove_dir_all(&folder).expect("a directory");
    copy_folder(&early.root().join("state-0"), &folder);
    refused(
        &disk,
        IDENTITY,
        "record 30 was durable in it, and it has come to record 29",
    );
    early.open().expect("a floor that was not raised there");
}

#[test]
fn a_floor_is_of_one_database_and_never_sinks() {
    let disk = Disk::new();
    let engine = disk.create();
    let floor = || engine.directory().current();
    assert_eq!(
        floor(),
        Current {
            number: 0,
            floor: None
        }
    );
    engine.write(step(5)).expect("a write");
    engine.sync().expect("a sync");
    assert_eq!(
        floor(),
        Current {
            number: 0,
            floor: Some(5)
        }
    );
    engine
        .directory()
        .raise_floor(0, Some(4))
        .expect("no effect");
    engine
        .directory()
        .raise_floor(1, Some(9))
        .expect("no effect");
    assert_eq!(
        floor(),
        Current {
            number: 0,
            floor: Some(5)
        }
    );
    engine.write(step(6)).expect("a write");
    let snapshot = engine.snapshot().expect("a snapshot");
    assert_eq!(
        floor(),
        Current {
            number: 0,
            floor: Some(6)
        }
    );

    // A received state has a floor of its own.
    let other = Disk::new();
    let target = other.create();
    target.write(step(900)).expect("a write");
    target.sync().expect("a sync");
    install(&target, &files_of(&*snapshot)).expect("an install");
    assert_eq!(
        target.directory().current(),
        Current {
            number: 1,
            floor: Some(6)
        }
    );
    drop(target);
    other.open().expect("a directory that opens");
}
