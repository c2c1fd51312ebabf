//! Which files of the folder are read, and what is said of the others.

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::machine::order::Skip;
use carnet_domain::record::peer::Signed;
use carnet_store::memory::MemoryEngine;

use super::*;

fn put(folder: &Path, name: &str, log_index: u64) {
    let order = Skip {
        cluster: [7; 16],
        log_index,
        entry: carnet_domain::bytes::digest::Digest::ZERO,
    };
    let signed = Signed {
        bytes: Blob(order.to_bytes()),
        signatures: Vec::new(),
    };
    std::fs::write(folder.join(name), signed.to_bytes()).expect("written");
}

/// The names of files read when this node has applied so far, and how many are left out.
fn read(files: &SkipFiles, applied: u64) -> (Vec<String>, usize) {
    let (read, left_out) = files.read(applied);
    (read.into_keys().collect(), left_out)
}

#[test]
fn old_orders_hide_no_new_one() {
    let data = tempfile::tempdir().expect("a folder");
    let mut files = SkipFiles::open(data.path()).expect("opened");
    let folder = data.path().join("skip");
    // Sorted before the new ones by name, in their time the only ones, and never taken away.
    for index in 100..300 {
        put(&folder, &format!("entry-{index}.cbor"), index);
    }
    put(&folder, "entry-5000.cbor", 5000);
    put(&folder, "entry-99999.cbor", 99_999);
    put(&folder, "by-hand.cbor", 4999);
    let (names, left_out) = read(&files, 4990);
    assert_eq!((names.len(), left_out), (FILES_MAX, 203 - FILES_MAX));
    for needed in ["entry-5000.cbor", "entry-99999.cbor", "by-hand.cbor"] {
        assert!(names.iter().any(|name| name == needed), "{needed}");
    }
    assert!(
        names.iter().any(|name| name == "entry-299.cbor"),
        "the newest of the old"
    );
    // Far ahead there may be too many as well: the nearest comes first.
    for index in 200_000..200_100 {
        put(&folder, &format!("entry-{index}.cbor"), index);
    }
    let (names, _) = read(&files, 4990);
    assert!(names.iter().any(|name| name == "entry-5000.cbor"));

    let state = RegistryState::open(MemoryEngine::new()).expect("opened");
    files.look(&state);
    let seen = files.seen().borrow().clone();
    let last = seen.last().expect("a line");
    assert_eq!(last.name, format!("{} more", 303 - FILES_MAX));
    assert!(
        last.verdict.starts_with("not read: 64 files are"),
        "{}",
        last.verdict
    );
}

#[test]
fn a_name_tells_its_entry_or_nothing() {
    for (name, expected) in [
        ("entry-12.cbor", Urgency::Ahead(2)),
        ("entry-10.cbor", Urgency::Behind(0)),
        ("entry-3.cbor", Urgency::Behind(7)),
        ("skip.cbor", Urgency::Unnamed),
        ("2026.cbor", Urgency::Unnamed),
        ("entry-.cbor", Urgency::Unnamed),
        ("entry-99999999999999999999.cbor", Urgency::Unnamed),
    ] {
        assert_eq!(Urgency::of(name, 10), expected, "{name}");
    }
}
