//! Handing a state over: what arrives is equal, and nothing is left lying about.

use carnet_store::applied;
use carnet_store::artefact::{MANIFEST_NAME, StateEngine};
use carnet_store::engine::{KvEngine, KvRead};
use carnet_store::families::Family;
use carnet_store::machine::LogPosition;

use crate::bench::{
    Disk, IDENTITY, content, files_of, install, names, on_each_pair, reached, step,
};

#[test]
fn the_side_that_takes_in_is_equal_over_all_families() {
    on_each_pair(|from, to| {
        for index in 0..150 {
            from.write(step(index)).expect("a write");
        }
        to.write(step(900)).expect("a write");
        let snapshot = from.snapshot().expect("a snapshot");
        let expected = content(from).expect("a read");
        // Written after the snapshot: not in it.
        from.write(step(151)).expect("a write");
        assert_eq!(snapshot.applied(), &reached(149));
        assert_eq!(snapshot.files()[0].name, MANIFEST_NAME);

        let taken = install(to, &files_of(&*snapshot)).expect("an install");
        assert_eq!(taken, reached(149));
        assert_eq!(content(to).expect("a read"), expected);
        to.write(step(150)).expect("a write after the install");
        assert_eq!(applied::load(to).expect("a read"), reached(150));
    });
}

#[test]
fn an_empty_state_can_be_handed_over() {
    on_each_pair(|from, to| {
        to.write(step(1)).expect("a write");
        let files = files_of(&*from.snapshot().expect("a snapshot"));
        assert_eq!(install(to, &files).expect("an install"), Default::default());
        assert!(content(to).expect("a read").is_empty());
    });
}

#[test]
fn what_was_taken_in_counts_after_a_restart() {
    let (from, to) = (Disk::new(), Disk::new());
    let (source, target) = (from.create(), to.create());
    for index in 0..50 {
        source.write(step(index)).expect("a write");
    }
    let files = files_of(&*source.snapshot().expect("a snapshot"));
    install(&target, &files).expect("an install");
    target.write(step(50)).expect("a write");
    let expected = content(&target).expect("a read");
    drop(target);
    let target = to.open().expect("a directory that opens");
    assert_eq!(content(&target).expect("a read"), expected);
    // And again, so that the numbers of databases do not collide.
    install(&target, &files).expect("an install");
    assert_eq!(
        content(&target).expect("a read"),
        content(&source).expect("a read")
    );
}

#[test]
fn the_replaced_database_goes_when_its_last_view_does() {
    let (from, to) = (Disk::new(), Disk::new());
    let (source, target) = (from.create(), to.create());
    source.write(step(5)).expect("a write");
    target.write(step(2)).expect("a write");
    let view = target.view().expect("a view");
    let before = content(&target).expect("a read");
    let files = files_of(&*source.snapshot().expect("a snapshot"));
    install(&target, &files).expect("an install");
    assert!(
        to.names().contains(&"state-0".to_owned()),
        "a view still reads it"
    );
    assert_eq!(content(&*view).expect("a read"), before);
    drop(view);
    assert!(!to.names().contains(&"state-0".to_owned()));
    assert_eq!(applied::load(&target).expect("a read"), reached(5));
}

#[test]
fn a_snapshot_goes_when_its_last_holder_does() {
    let disk = Disk::new();
    let engine = disk.create();
    engine.write(step(8)).expect("a write");
    let (first, second) = (
        engine.snapshot().expect("a snapshot"),
        engine.snapshot().expect("a snapshot"),
    );
    let folder = disk.root().join("snapshots");
    assert_eq!(names(&folder).len(), 2);
    drop(first);
    assert_eq!(names(&folder).len(), 1);
    assert_eq!(
        files_of(&*second),
        files_of(&*second),
        "the other one can still be read, twice"
    );
    drop(second);
    assert_eq!(names(&folder).len(), 0);
}

#[test]
fn a_snapshot_holds_only_files_of_the_database() {
    let disk = Disk::new();
    let engine = disk.create();
    engine.write(step(8)).expect("a write");
    let snapshot = engine.snapshot().expect("a snapshot");
    drop(files_of(&*snapshot));
    let listed: Vec<_> = snapshot.files()[1..]
        .iter()
        .map(|file| file.name.clone())
        .collect();
    let folder = disk.root().join("snapshots");
    let there = names(&folder.join(&names(&folder)[0]));
    assert_eq!(
        listed, there,
        "reading its position and its files added nothing to it"
    );
    for name in listed {
        let known = name == "CURRENT"
            || ["MANIFEST-", "OPTIONS-"]
                .iter()
                .any(|start| name.starts_with(start))
            || [".sst", ".log"].iter().any(|end| name.ends_with(end));
        assert!(known, "{name}");
    }
}

#[test]
fn a_reading_outside_a_snapshot_is_refused_or_empty() {
    on_each_pair(|engine, _| {
        engine.write(step(1)).expect("a write");
        let snapshot = engine.snapshot().expect("a snapshot");
        let count = snapshot.files().len();
        assert!(snapshot.read(count, 0, 1).is_err());
        for file in 0..count {
            let size = snapshot.files()[file].size;
            assert!(
                snapshot
                    .read(file, size, 10)
                    .expect("an empty reading")
                    .is_empty()
            );
            assert!(
                snapshot
                    .read(file, u64::MAX, 10)
                    .expect("an empty reading")
                    .is_empty()
            );
        }
    });
}

#[test]
fn a_sink_that_is_dropped_leaves_nothing() {
    let (from, to) = (Disk::new(), Disk::new());
    let (source, target) = (from.create(), to.create());
    source.write(step(1)).expect("a write");
    target.write(step(2)).expect("a write");
    let before = to.names();
    let files = files_of(&*source.snapshot().expect("a snapshot"));
    for sent in 0..files.len() {
        let mut sink = target.receive().expect("a sink");
        for (name, body) in &files[..sent] {
            sink.write(name, 0, body).expect("a piece");
        }
        drop(sink);
        assert_eq!(to.names(), before);
    }
    assert_eq!(applied::load(&target).expect("a read"), reached(2));
}

#[test]
fn the_identity_of_a_directory_stays_when_its_state_is_replaced() {
    let (from, to) = (Disk::new(), Disk::new());
    let (source, target) = (from.create(), to.create());
    source.write(step(1)).expect("a write");
    install(&target, &files_of(&*source.snapshot().expect("a snapshot"))).expect("an install");
    assert_eq!(target.directory().identity(), IDENTITY);
    let value = target
        .get(Family::Meta, applied::APPLIED_KEY)
        .expect("a read");
    assert_eq!(
        value,
        source
            .get(Family::Meta, applied::APPLIED_KEY)
            .expect("a read")
    );
    assert_eq!(
        applied::load(&target).expect("a read").last,
        Some(LogPosition {
            term: 2,
            node: 3,
            index: 1
        })
    );
}
