//! Every way in which a snapshot is refused. Nothing changes then.

use carnet_store::applied;
use carnet_store::artefact::{MANIFEST_NAME, StateEngine};
use carnet_store::engine::KvEngine;
use carnet_store::families::Family;
use carnet_store::rocks::{RocksEngine, RocksShared};
use tempfile::TempDir;

use crate::bench::{
    Disk, Files, content, files_of, install, names, on_each_pair, position, reached, small, step,
    with_manifest,
};

/// Sends altered files to an engine of each kind, and checks the reason, and that nothing changed.
fn refused(alter: impl Fn(Files) -> Files, expected: &str) {
    on_each_pair(|from, to| {
        for index in 0..20 {
            from.write(step(index)).expect("a write");
        }
        to.write(step(100)).expect("a write");
        let before = content(to).expect("a read");
        let files = alter(files_of(&*from.snapshot().expect("a snapshot")));
        let fault = install(to, &files).expect_err("a refusal").to_string();
        assert!(fault.contains(expected), "{fault}");
        assert_eq!(content(to).expect("a read"), before);
    });
}

/// The largest file that is not the manifest.
fn largest(files: &Files) -> usize {
    (1..files.len())
        .max_by_key(|&file| files[file].1.len())
        .expect("a file")
}

#[test]
fn a_snapshot_without_a_manifest_is_refused() {
    refused(|files| files[1..].to_vec(), "the bytes end inside a value");
    refused(|_| Files::new(), "the bytes end inside a value");
}

#[test]
fn a_cut_manifest_is_refused() {
    refused(
        |mut files| {
            files[0].1.pop();
            files
        },
        "the bytes end inside a value",
    );
}

#[test]
fn a_missing_file_is_refused() {
    refused(
        |mut files| {
            let file = largest(&files);
            files.remove(file);
            files
        },
        "corrupt snapshot: file ",
    );
    refused(
        |mut files| {
            // The last one, so that nothing unexpected comes after it.
            let last = files
                .iter()
                .rposition(|(_, body)| !body.is_empty())
                .expect("a file");
            files.truncate(last);
            files
        },
        "is missing",
    );
}

#[test]
fn an_extra_file_is_refused() {
    refused(
        |mut files| {
            files.push(("999999.sst".into(), vec![1]));
            files
        },
        "file 999999.sst was not expected here",
    );
}

#[test]
fn a_file_sent_twice_is_refused() {
    refused(
        |mut files| {
            let file = largest(&files);
            files.insert(file + 1, files[file].clone());
            files
        },
        "expected byte ",
    );
}

#[test]
fn a_cut_file_is_refused() {
    refused(
        |mut files| {
            let file = largest(&files);
            files[file].1.pop();
            files
        },
        "was cut",
    );
}

#[test]
fn a_longer_file_is_refused() {
    refused(
        |mut files| {
            let file = largest(&files);
            files[file].1.push(0);
            files
        },
        "is longer than",
    );
}

#[test]
fn an_altered_file_is_refused_wherever_the_bit_is() {
    for part in 0..8 {
        refused(
            |mut files| {
                let file = largest(&files);
                let body = &mut files[file].1;
                let at = (body.len() - 1) * part / 7;
                body[at] ^= 1 << part;
                files
            },
            "was altered",
        );
    }
}

#[test]
fn a_file_outside_the_folder_is_refused() {
    for name in ["../x", "/x", "", ".x", "a/b", "a\0b", "é"] {
        let in_manifest = match name {
            "a\0b" => "is not allowed in a text",
            _ => "is not a plain file name",
        };
        refused(
            |mut files| {
                let file = largest(&files);
                files[file].0 = name.into();
                files
            },
            "is not a plain file name",
        );
        refused(
            |mut files| {
                let file = largest(&files);
                files[file].0 = name.into();
                with_manifest(files, |_| {})
            },
            in_manifest,
        );
    }
}

#[test]
fn a_manifest_that_misses_a_family_is_refused() {
    for (missing, family) in Family::ALL.iter().enumerate() {
        let lie = |files| {
            with_manifest(files, |manifest| {
                manifest.families.remove(missing);
            })
        };
        // One kind is enough for all but the first: the check comes before any file.
        if missing == 0 {
            refused(lie, &format!("family {} is missing", family.name()));
        } else {
            let engine = carnet_store::memory::MemoryEngine::new();
            let files = lie(files_of(&*engine.snapshot().expect("a snapshot")));
            let fault = install(&engine, &files).expect_err("a refusal").to_string();
            assert_eq!(
                fault,
                format!("corrupt snapshot: family {} is missing", family.name())
            );
        }
    }
}

#[test]
fn a_manifest_with_an_unknown_family_or_format_is_refused() {
    refused(
        |files| with_manifest(files, |manifest| manifest.families.push("zebra".into())),
        "a family that this binary does not know",
    );
    refused(
        |files| with_manifest(files, |manifest| manifest.families.push("meta".into())),
        "a family that this binary does not know",
    );
    refused(
        |files| with_manifest(files, |manifest| manifest.version = 2),
        "the snapshot has format 2; this binary knows 1",
    );
}

#[test]
fn a_manifest_that_names_a_file_twice_is_refused() {
    refused(
        |files| {
            with_manifest(files, |manifest| {
                manifest.files.push(manifest.files[0].clone())
            })
        },
        "is named twice",
    );
}

#[test]
fn a_manifest_with_another_position_than_its_database_is_refused() {
    refused(
        |files| with_manifest(files, |manifest| manifest.last = Some(position(20))),
        "has come to another position than the manifest says",
    );
    refused(
        |files| with_manifest(files, |manifest| manifest.membership = None),
        "has come to another position than the manifest says",
    );
}

#[test]
fn a_database_that_misses_a_family_is_refused_though_the_manifest_names_it() {
    let scratch = TempDir::new().expect("a scratch directory");
    let path = scratch.path().join("short");
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let short = Family::ALL
        .iter()
        .filter(|family| **family != Family::Sessions)
        .map(|family| family.name());
    drop(rocksdb::DB::open_cf(&options, &path, short).expect("a database"));

    let disk = Disk::new();
    let engine = disk.create();
    engine.write(step(3)).expect("a write");
    let before = content(&engine).expect("a read");
    let mut files = files_of(&*engine.snapshot().expect("a snapshot"));
    files.truncate(1);
    for name in names(&path)
        .into_iter()
        .filter(|name| name != "LOCK" && !name.starts_with("LOG"))
    {
        let body = std::fs::read(path.join(&name)).expect("a file");
        files.push((name, body));
    }
    let files = with_manifest(files, |manifest| {
        manifest.last = None;
        manifest.membership = None;
    });
    let fault = install(&engine, &files).expect_err("a refusal").to_string();
    assert_eq!(fault, "corrupt state database: family sessions is missing");
    assert_eq!(content(&engine).expect("a read"), before);
    assert!(
        !disk.names().contains(&"state-2".to_owned()),
        "{:?}",
        disk.names()
    );

    // Nor does a node start on such a database.
    let fault = RocksEngine::open(&path, &RocksShared::new(small()))
        .expect_err("a refusal")
        .to_string();
    assert_eq!(fault, "corrupt state database: family sessions is missing");
}

#[test]
fn damage_on_the_disk_of_the_sender_does_not_spread() {
    let (from, to) = (Disk::new(), Disk::new());
    let (source, target) = (from.create(), to.create());
    for index in 0..200 {
        source.write(step(index)).expect("a write");
    }
    target.write(step(7)).expect("a write");
    // A bit of a table went bad before it was hashed: the manifest is right about wrong bytes.
    let files = files_of(&*source.snapshot().expect("a snapshot"));
    let files = with_manifest(
        {
            let mut files = files;
            let table = (1..files.len())
                .filter(|&f| files[f].0.ends_with(".sst"))
                .max_by_key(|&f| files[f].1.len());
            let table = table.expect("a table");
            files[table].1[100] ^= 4;
            files
        },
        |_| {},
    );
    let fault = install(&target, &files).expect_err("a refusal").to_string();
    assert!(fault.starts_with("corrupt state database"), "{fault}");
    assert_eq!(applied::load(&target).expect("a read"), reached(7));
}

#[test]
fn nothing_is_believed_after_a_refused_piece() {
    on_each_pair(|from, to| {
        from.write(step(1)).expect("a write");
        let files = files_of(&*from.snapshot().expect("a snapshot"));
        let mut sink = to.receive().expect("a sink");
        sink.write(&files[0].0, 0, &files[0].1)
            .expect("the manifest");
        sink.write("../x", 0, b"x").expect_err("a refusal");
        for (name, body) in &files[1..] {
            sink.write(name, 0, body).expect_err("a refusal");
        }
        let fault = sink.finish().expect_err("a refusal").to_string();
        assert_eq!(fault, "corrupt snapshot: a piece of it was refused before");
    });
}

#[test]
fn a_manifest_without_end_is_refused() {
    on_each_pair(|_, to| {
        let mut sink = to.receive().expect("a sink");
        let piece = vec![0x80; 1 << 20];
        let taken = (0..100_u64)
            .take_while(|at| sink.write(MANIFEST_NAME, at << 20, &piece).is_ok())
            .count();
        assert_eq!(taken, 16);
    });
}
