//! Both engines against an ordered map, over random operations.

use std::sync::Arc;

use carnet_store::artefact::StateEngine;
use carnet_store::engine::{Batch, KvRead};
use carnet_store::families::Family;
use carnet_store::memory::MemoryEngine;
use proptest::prelude::*;

use crate::bench::{Content, Disk, content, files_of, install};

type Cleared = Vec<(Family, Vec<u8>, Vec<u8>)>;
type Changes = Vec<(Family, Vec<u8>, Option<Vec<u8>>)>;

#[derive(Debug, Clone)]
enum Operation {
    Write(Cleared, Changes),
    Read(Family, Vec<u8>, Option<Vec<u8>>, usize),
    View,
    Sync,
    /// Hand the state to itself, through a snapshot.
    Reinstall,
    /// Close and open; a sync and a crash in memory.
    Restart,
}

fn family() -> impl Strategy<Value = Family> {
    prop::sample::select(vec![Family::Robots, Family::Index, Family::Audit])
}

/// Few and close keys, some a prefix of others.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0_u8, 1, 0x7f, 0xff]), 0..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40));
    let change = (family(), key(), value);
    prop_oneof![
        8 => (
            prop::collection::vec((family(), key(), key()), 0..3),
            prop::collection::vec(change, 0..12),
        ).prop_map(|(cleared, changes)| Operation::Write(cleared, changes)),
        8 => (family(), key(), prop::option::of(key()), 0..6_usize).prop_map(|(f, from, to, n)| Operation::Read(f, from, to, n)),
        1 => Just(Operation::View),
        1 => Just(Operation::Sync),
        1 => Just(Operation::Reinstall),
        1 => Just(Operation::Restart),
    ]
}

fn check_read(
    engine: &dyn StateEngine,
    model: &Content,
    family: Family,
    from: &[u8],
    to: Option<&[u8]>,
    count_max: usize,
) {
    let expected: Vec<_> = model
        .iter()
        .filter(|((f, key), _)| {
            *f == family && from <= &key[..] && to.is_none_or(|to| &key[..] < to)
        })
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .collect();
    let found = engine.scan(family, from, to, count_max).expect("a scan");
    assert_eq!(found, expected[..expected.len().min(count_max)]);
    assert_eq!(
        engine.last(family, from, to).expect("a read"),
        expected.last().cloned()
    );
    let got = engine.get(family, from).expect("a read");
    assert_eq!(got.as_ref(), model.get(&(family, from.to_vec())));
}

fn run(
    operations: &[Operation],
    mut engine: Box<dyn StateEngine>,
    restart: impl Fn(Box<dyn StateEngine>) -> Box<dyn StateEngine>,
) {
    let mut model = Content::new();
    let mut views: Vec<(Arc<dyn KvRead>, Content)> = Vec::new();
    for operation in operations {
        match operation {
            Operation::Write(cleared, changes) => {
                engine
                    .write(Batch {
                        cleared: cleared.clone(),
                        changes: changes.clone(),
                    })
                    .expect("a write");
                for (family, from, to) in cleared {
                    model.retain(|(of, key), _| of != family || key < from || to <= key);
                }
                for (family, key, value) in changes {
                    match value {
                        Some(value) => model.insert((*family, key.clone()), value.clone()),
                        None => model.remove(&(*family, key.clone())),
                    };
                }
            }
            Operation::Read(family, from, to, count_max) => {
                check_read(&*engine, &model, *family, from, to.as_deref(), *count_max);
            }
            Operation::View => views.push((engine.view().expect("a view"), model.clone())),
            Operation::Sync => engine.sync().expect("a sync"),
            Operation::Reinstall => {
                let files = files_of(&*engine.snapshot().expect("a snapshot"));
                install(&*engine, &files).expect("an install");
            }
            Operation::Restart => {
                check_views(&mut views);
                engine = restart(engine);
            }
        }
    }
    assert_eq!(content(&*engine).expect("a read"), model);
    check_views(&mut views);
}

fn check_views(views: &mut Vec<(Arc<dyn KvRead>, Content)>) {
    for (view, model) in views.drain(..) {
        assert_eq!(content(&*view).expect("a read"), model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_an_ordered_map(operations in prop::collection::vec(operation(), 0..60)) {
        let engine = MemoryEngine::new();
        let same = engine.clone();
        run(&operations, Box::new(engine), |running| {
            running.sync().expect("a sync");
            same.crash();
            running
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rocksdb_is_an_ordered_map(operations in prop::collection::vec(operation(), 0..60)) {
        let disk = Disk::new();
        run(&operations, Box::new(disk.create()), |running| {
            drop(running);
            Box::new(disk.open().expect("a directory that opens"))
        });
    }
}
