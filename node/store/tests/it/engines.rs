//! What both engines promise.

use carnet_domain::bytes::encoding::Canonical;
use carnet_store::applied;
use carnet_store::artefact::{StateEngine, content_digest};
use carnet_store::engine::{Batch, KvEngine};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::machine::{Applied, LogPosition};
use carnet_store::memory::MemoryEngine;
use carnet_store::rocks::{RocksEngine, RocksShared};

use crate::bench::{Disk, content, names, on_each, on_each_pair, position, reached, small, step};

fn put(engine: &dyn StateEngine, keys: &[&str]) {
    let mut batch = Batch::default();
    for key in keys {
        batch.put(
            Family::Robots,
            key.as_bytes().to_vec(),
            key.to_uppercase().into_bytes(),
        );
    }
    engine.write(batch).expect("a write");
}

fn scanned(engine: &dyn StateEngine, from: &str, to: Option<&str>, count_max: usize) -> String {
    let pairs = engine
        .scan(
            Family::Robots,
            from.as_bytes(),
            to.map(str::as_bytes),
            count_max,
        )
        .expect("a scan");
    let keys: Vec<_> = pairs
        .into_iter()
        .map(|(key, _)| String::from_utf8(key).expect("UTF-8"))
        .collect();
    keys.join(" ")
}

fn last(engine: &dyn StateEngine, from: &str, to: Option<&str>) -> Option<String> {
    let pair = engine
        .last(Family::Robots, from.as_bytes(), to.map(str::as_bytes))
        .expect("a read");
    pair.map(|(key, value)| {
        assert_eq!(
            key.to_ascii_uppercase(),
            value,
            "the value belongs to the key"
        );
        String::from_utf8(key).expect("UTF-8")
    })
}

#[test]
fn the_last_change_of_a_key_in_a_batch_counts() {
    on_each(|engine| {
        let mut batch = Batch::default();
        batch.put(Family::Robots, b"a".to_vec(), b"1".to_vec());
        batch.delete(Family::Robots, b"a".to_vec());
        batch.delete(Family::Robots, b"b".to_vec());
        batch.put(Family::Robots, b"b".to_vec(), b"2".to_vec());
        engine.write(batch).expect("a write");
        assert_eq!(engine.get(Family::Robots, b"a").expect("a read"), None);
        assert_eq!(
            engine.get(Family::Robots, b"b").expect("a read"),
            Some(b"2".to_vec())
        );
    });
}

#[test]
fn a_cleared_range_keeps_what_its_own_batch_puts_into_it() {
    on_each(|engine| {
        put(engine, &["a", "b", "ba", "bz", "c"]);
        let view = engine.view().expect("a view");
        let mut batch = Batch::default();
        batch.put(Family::Robots, b"bb".to_vec(), b"BB".to_vec());
        batch.clear(Family::Robots, b"b".to_vec(), b"c".to_vec());
        batch.clear(Family::Robots, b"c".to_vec(), b"c".to_vec());
        batch.clear(Family::Robots, b"c".to_vec(), b"a".to_vec());
        batch.clear(Family::Index, b"a".to_vec(), b"z".to_vec());
        engine.write(batch).expect("a write");
        assert_eq!(scanned(engine, "", None, 100), "a bb c");
        assert_eq!(last(engine, "a", Some("c")).as_deref(), Some("bb"));
        assert_eq!(engine.get(Family::Robots, b"ba").expect("a read"), None);
        let before = view.scan(Family::Robots, b"", None, 100).expect("a scan");
        assert_eq!(before.len(), 5, "a view does not move");
    });
}

#[test]
fn a_family_does_not_see_the_keys_of_another() {
    on_each(|engine| {
        for &family in Family::ALL {
            let mut batch = Batch::default();
            batch.put(family, b"key".to_vec(), family.name().into());
            engine.write(batch).expect("a write");
        }
        for &family in Family::ALL {
            let pairs = engine.scan(family, b"", None, 10).expect("a scan");
            assert_eq!(
                pairs,
                [(b"key".to_vec(), family.name().as_bytes().to_vec())],
                "{}",
                family.name()
            );
        }
    });
}

#[test]
fn an_empty_key_and_an_empty_value_are_kept() {
    on_each(|engine| {
        let mut batch = Batch::default();
        batch.put(Family::Audit, Vec::new(), Vec::new());
        engine.write(batch).expect("a write");
        assert_eq!(
            engine.get(Family::Audit, b"").expect("a read"),
            Some(Vec::new())
        );
        assert_eq!(
            engine.last(Family::Audit, b"", None).expect("a read"),
            Some((Vec::new(), Vec::new()))
        );
    });
}

#[test]
fn a_scan_keeps_its_bounds_and_its_count() {
    on_each(|engine| {
        put(engine, &["a", "ab", "b", "ba", "c"]);
        assert_eq!(scanned(engine, "", None, 100), "a ab b ba c");
        assert_eq!(scanned(engine, "ab", Some("ba"), 100), "ab b");
        assert_eq!(scanned(engine, "aa", Some("bb"), 2), "ab b");
        assert_eq!(scanned(engine, "ba", None, 100), "ba c");
        assert_eq!(scanned(engine, "d", None, 100), "");
        assert_eq!(scanned(engine, "b", Some("b"), 100), "");
        assert_eq!(scanned(engine, "c", Some("a"), 100), "");
        assert_eq!(scanned(engine, "", None, 0), "");
    });
}

#[test]
fn the_last_pair_keeps_both_bounds() {
    on_each(|engine| {
        assert_eq!(last(engine, "", None), None);
        put(engine, &["a", "ab", "b", "ba", "c"]);
        assert_eq!(last(engine, "", None).as_deref(), Some("c"));
        assert_eq!(last(engine, "", Some("c")).as_deref(), Some("ba"));
        assert_eq!(last(engine, "ba", Some("bb")).as_deref(), Some("ba"));
        assert_eq!(last(engine, "bb", Some("c")), None);
        assert_eq!(last(engine, "b", Some("b")), None);
        assert_eq!(last(engine, "c", Some("a")), None);
        assert_eq!(last(engine, "d", None), None);
    });
}

#[test]
fn a_view_does_not_move() {
    on_each(|engine| {
        for index in 0..5 {
            engine.write(step(index)).expect("a write");
        }
        let (view, before) = (
            engine.view().expect("a view"),
            content(engine).expect("a read"),
        );
        engine.write(step(5)).expect("a write");
        let mut batch = Batch::default();
        for (family, key) in before.keys() {
            batch.delete(*family, key.clone());
        }
        engine.write(batch).expect("a write");
        engine.sync().expect("a sync");
        assert_eq!(content(&*view).expect("a read"), before);
        let key = b"key-000002-robots";
        assert!(view.get(Family::Robots, key).expect("a read").is_some());
        assert_eq!(
            view.last(Family::Robots, b"", None)
                .expect("a read")
                .map(|(key, _)| key),
            Some(b"key-000004-robots".to_vec())
        );
        assert!(engine.get(Family::Robots, key).expect("a read").is_none());
    });
}

#[test]
fn equal_content_has_an_equal_digest_on_both_engines() {
    let memory = MemoryEngine::new();
    let empty = content_digest(&memory).expect("a digest");
    on_each(|engine| {
        assert_eq!(content_digest(engine).expect("a digest"), empty);
        // More than one page of the digest.
        for index in 0..1_200 {
            engine.write(step(index)).expect("a write");
        }
    });
    let digests = std::cell::RefCell::new(Vec::new());
    on_each(|engine| {
        for index in 0..1_001 {
            engine.write(step(index)).expect("a write");
        }
        let whole = content_digest(engine).expect("a digest");
        let mut batch = Batch::default();
        batch.delete(Family::Telemetry, b"key-001000-telemetry".to_vec());
        engine.write(batch).expect("a write");
        assert_ne!(
            content_digest(engine).expect("a digest"),
            whole,
            "a pair of the second page counts"
        );
        digests.borrow_mut().push(whole);
    });
    let digests = digests.into_inner();
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn the_applied_position_is_read_as_it_was_written() {
    on_each(|engine| {
        assert_eq!(applied::load(engine).expect("a read"), Applied::default());
        engine.write(step(9)).expect("a write");
        assert_eq!(applied::load(engine).expect("a read"), reached(9));
        let mut batch = Batch::default();
        let bare = Applied {
            last: Some(position(10)),
            membership: None,
        };
        applied::store(&mut batch, &bare);
        engine.write(batch).expect("a write");
        assert_eq!(applied::load(engine).expect("a read"), bare);
    });
}

#[test]
fn an_applied_position_that_no_binary_of_this_version_wrote_stops_the_node() {
    let check = |value: Vec<u8>, expected: &str| {
        let engine = MemoryEngine::new();
        let mut batch = Batch::default();
        batch.put(Family::Meta, applied::APPLIED_KEY.to_vec(), value);
        engine.write(batch).expect("a write");
        let fault = applied::load(&engine).expect_err("a refusal");
        assert_eq!(fault.to_string(), expected);
    };
    let newer = (2_u8, (1_u64, 2_u64)).to_bytes();
    check(
        newer,
        "`applied` in the state database has version 2; this binary knows 1: run a newer one",
    );
    let older = (0_u8, Some(LogPosition::default())).to_bytes();
    check(
        older,
        "corrupt applied position: version 0 was never written",
    );
    check(
        Vec::new(),
        "corrupt applied position: byte 0: the bytes end inside a value",
    );
}

#[test]
fn memory_loses_exactly_what_was_not_synced() {
    let engine = MemoryEngine::new();
    engine.write(step(1)).expect("a write");
    engine.sync().expect("a sync");
    let durable = content(&engine).expect("a read");
    engine.write(step(2)).expect("a write");
    engine.crash();
    assert_eq!(content(&engine).expect("a read"), durable);
    engine.write(step(3)).expect("a write");
    drop(engine.snapshot().expect("a snapshot"));
    engine.crash();
    assert_eq!(
        applied::load(&engine).expect("a read"),
        reached(3),
        "a snapshot makes its state durable"
    );
}

#[test]
fn what_was_taken_in_survives_a_crash_of_memory() {
    on_each_pair(|left, right| {
        left.write(step(4)).expect("a write");
        let files = crate::bench::files_of(&*left.snapshot().expect("a snapshot"));
        crate::bench::install(right, &files).expect("an install");
        assert_eq!(applied::load(right).expect("a read"), reached(4));
    });
    let (left, right) = (MemoryEngine::new(), MemoryEngine::new());
    left.write(step(4)).expect("a write");
    let files = crate::bench::files_of(&*left.snapshot().expect("a snapshot"));
    crate::bench::install(&right, &files).expect("an install");
    right.crash();
    assert_eq!(applied::load(&right).expect("a read"), reached(4));
}

#[test]
fn what_was_written_is_there_after_a_restart_and_whole_batches_after_a_kill() {
    let disk = Disk::new();
    let engine = disk.create();
    let mut states = vec![content(&engine).expect("a read")];
    for index in 0..300 {
        engine.write(step(index)).expect("a write");
        states.push(content(&engine).expect("a read"));
        if index == 199 {
            engine.sync().expect("a sync");
        }
    }
    // The files as a killed process leaves them: nothing was closed or flushed.
    let killed = Disk::new();
    crate::bench::copy_folder(&disk.root(), &killed.root());
    let after = killed.open().expect("a directory that opens");
    let reached = applied::load(&after).expect("a read").last;
    let batch_count = reached.map_or(0, |last| last.index as usize + 1);
    assert!((200..=300).contains(&batch_count), "{batch_count}");
    assert!(content(&after).expect("a read") == states[batch_count]);
    // What the Raft log holds is applied again.
    for index in batch_count..300 {
        after.write(step(index as u64)).expect("a write");
    }
    assert!(content(&after).expect("a read") == states[300]);
    drop(engine);
    let closed = disk.open().expect("a directory that opens");
    assert!(content(&closed).expect("a read") == states[300]);
}

#[test]
fn a_database_keeps_no_logs() {
    let disk = Disk::new();
    let engine = disk.create();
    let mut batch_count = 0;
    // Ten times the write buffers.
    while batch_count * 4_096 * 4 < 10 * small().write_buffers_bytes {
        let mut batch = Batch::default();
        for part in 0..4_u32 {
            let key = (batch_count as u32 * 4 + part).to_be_bytes();
            batch.put(Family::Entries, key.to_vec(), vec![part as u8; 4_096]);
        }
        engine.write(batch).expect("a write");
        batch_count += 1;
    }
    let state = disk.root().join("state-0");
    let names = names(&state);
    assert!(
        !names.iter().any(|name| name.starts_with("LOG")),
        "{names:?}"
    );
    assert!(
        names.iter().any(|name| name.ends_with(".sst")),
        "the write buffers were flushed: {names:?}"
    );
    for name in names.iter().filter(|name| name.ends_with(".log")) {
        let size = std::fs::metadata(state.join(name)).expect("a file").len();
        assert_eq!(size, 0, "{name}: there is no write-ahead log");
    }
    let scrubbed = engine.current().scrub().expect("a sound database");
    assert_eq!(scrubbed.pair_count, batch_count as u64 * 4);
}

#[test]
fn nothing_is_written_after_a_write_failed() {
    let disk = Disk::new();
    drop(disk.create());
    let shared = RocksShared::new(small());
    // Opened for reading only, the database refuses to write, as a broken disk would.
    let engine = RocksEngine::open_read_only(&disk.root().join("state-0"), &shared, Family::ALL)
        .expect("a database");
    let first = engine.write(step(1)).expect_err("a refusal").to_string();
    let second = engine.write(step(1)).expect_err("a refusal");
    assert!(first.starts_with("state database: write: "), "{first}");
    assert!(
        matches!(&second, StorageFault::Database { detail, .. } if detail.starts_with("an earlier write failed: ")),
        "{second:?}"
    );
    let third = engine.sync().expect_err("a refusal");
    assert!(
        matches!(third, StorageFault::Database { what: "sync", .. }),
        "{third:?}"
    );
}
