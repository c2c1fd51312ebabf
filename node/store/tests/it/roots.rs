//! A received state is held to its roots before it replaces anything.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::record::keys::KeyHistory;
use carnet_domain::record::reader::Reader;
use carnet_domain::record::registry::Registry;
use carnet_kit::Country;
use carnet_store::artefact::{StateEngine, content_digest};
use carnet_store::engine::{Batch, KvEngine, KvRead};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::keys;
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::records::Records;
use carnet_store::registry::RegistryState;

use crate::bench::{Files, files_of};

/// A country that has published, sealed again, and written since.
fn country() -> Country {
    let mut country = Country::with_market("86");
    for serial in 1..=20 {
        let command = country.register(serial);
        country.must("maker", command);
    }
    country.close();
    for serial in 21..=30 {
        let command = country.register(serial);
        country.must("maker", command);
    }
    country.seal();
    for serial in 31..=33 {
        let command = country.register(serial);
        country.must("maker", command);
    }
    country
}

fn records(country: &Country, count: usize) -> Vec<LogRecord> {
    let entries = country.entries.iter().take(count);
    (1..)
        .zip(entries)
        .map(|(index, entry)| LogRecord {
            position: LogPosition {
                term: 1,
                node: 1,
                index,
            },
            payload: Payload::Entry(entry.to_bytes().into()),
        })
        .collect()
}

fn replica(country: &Country, count: usize) -> (MemoryEngine, RegistryState<MemoryEngine>) {
    let engine = MemoryEngine::default();
    let state = RegistryState::open(engine.clone()).expect("opens");
    state.apply(records(country, count)).expect("applies");
    (engine, state)
}

pub(crate) fn receive(
    state: &RegistryState<MemoryEngine>,
    files: &Files,
) -> Result<(), StorageFault> {
    let mut sink = state.receive()?;
    for (name, body) in files {
        for (piece, bytes) in body.chunks(4096).enumerate() {
            sink.write(name, 4096 * piece as u64, bytes)?;
        }
    }
    sink.check()?;
    sink.finish().map(|_| ())
}

/// Sends a state that was altered by `lie` to a node that has nothing, and to one that has the beginning; both must refuse
/// it with these words and stay as they were.
fn refused(words: &str, lie: impl Fn(&MemoryEngine)) {
    let country = country();
    for known in [0, country.entries.len() / 2] {
        let (source, _) = replica(&country, usize::MAX);
        lie(&source);
        let files = files_of(&*source.snapshot().expect("a snapshot"));
        let (engine, state) = replica(&country, known);
        let before = content_digest(&engine).expect("a digest");
        let outcome = receive(&state, &files);
        let why = outcome.expect_err("refused").to_string();
        assert!(why.contains(words), "{why}");
        assert_eq!(content_digest(&engine).expect("a digest"), before);
    }
}

fn put(engine: &MemoryEngine, family: Family, key: Vec<u8>, value: Vec<u8>) {
    let mut batch = Batch::default();
    batch.put(family, key, value);
    engine.write(batch).expect("written");
}

fn row(engine: &MemoryEngine, family: Family, key: &[u8]) -> Vec<u8> {
    engine.get(family, key).expect("a read").expect("a row")
}

fn alter_registry(engine: &MemoryEngine, alter: impl FnOnce(&mut Registry)) {
    let mut registry = Records(engine)
        .registry()
        .expect("a read")
        .expect("a registry");
    alter(&mut registry);
    let version = row(engine, Family::Meta, keys::REGISTRY)[0];
    let value = [&[version][..], &registry.to_bytes()].concat();
    put(engine, Family::Meta, keys::REGISTRY.to_vec(), value);
}

#[test]
fn a_true_state_is_taken() {
    let country = country();
    let (source, _) = replica(&country, usize::MAX);
    let files = files_of(&*source.snapshot().expect("a snapshot"));
    for known in [0, country.entries.len() / 2, country.entries.len()] {
        let (engine, state) = replica(&country, known);
        receive(&state, &files).expect("taken");
        assert_eq!(
            content_digest(&engine).expect("a digest"),
            content_digest(&source).expect("a digest")
        );
        let registry = state.registry().expect("a read").expect("a registry");
        assert_eq!(registry, country.registry());
    }
}

#[test]
fn a_leaf_in_the_place_of_another_is_noticed() {
    refused("the root of size", |engine| {
        let other = row(engine, Family::Entries, &keys::leaf(8));
        put(engine, Family::Entries, keys::leaf(7), other);
    });
}

#[test]
fn a_missing_leaf_is_noticed() {
    refused("leaves are missing", |engine| {
        let mut batch = Batch::default();
        batch.delete(Family::Entries, keys::leaf(9));
        engine.write(batch).expect("written");
    });
}

#[test]
fn a_tile_of_the_tree_that_is_not_over_its_leaves_is_noticed() {
    refused("corrupt", |engine| {
        let mut tile = row(engine, Family::Tree, &keys::tile(0, 0));
        tile[1 + 32 * 5] ^= 1;
        put(engine, Family::Tree, keys::tile(0, 0), tile);
    });
    refused("corrupt", |engine| {
        let mut tile = row(engine, Family::Tree, &keys::tile(0, 0));
        tile.truncate(tile.len() - 32);
        put(engine, Family::Tree, keys::tile(0, 0), tile);
    });
    refused("corrupt", |engine| {
        let mut batch = Batch::default();
        batch.delete(Family::Tree, keys::tile(0, 0));
        engine.write(batch).expect("written");
    });
    refused("it has 2 tiles, and its leaves make 1", |engine| {
        let tile = row(engine, Family::Tree, &keys::tile(0, 0));
        put(engine, Family::Tree, keys::tile(0, 1), tile);
    });
}

#[test]
fn a_tree_of_several_tiles_is_read_as_the_one_in_memory() {
    let mut country = Country::with_market("86");
    let commands: Vec<_> = (1..=600).map(|serial| country.register(serial)).collect();
    for part in commands.chunks(97) {
        let request = country.request("maker", part);
        country.ask(request);
    }
    country.close();
    let (engine, state) = replica(&country, usize::MAX);
    let size = country.registry().tree.size();
    assert!(size > 512, "three tiles");
    let records = Records(&engine);
    for level in 0..12u8 {
        for index in 0..=size >> level {
            let stored = records.subtree(level, index).expect("a read");
            let Ok(known) = Reader::node(&country.ledger, level, index);
            assert_eq!(stored, known, "level {level}, index {index}");
        }
    }
    // Cut into batches in another way, the tiles are the same; and they pass as a snapshot.
    let alone = MemoryEngine::default();
    let one_by_one = RegistryState::open(alone.clone()).expect("opens");
    for record in crate::roots::records(&country, usize::MAX) {
        one_by_one.apply(vec![record]).expect("applies");
    }
    assert_eq!(
        content_digest(&alone).expect("a digest"),
        content_digest(&engine).expect("a digest")
    );
    let files = files_of(&*engine.snapshot().expect("a snapshot"));
    let (_, new) = replica(&country, 0);
    receive(&new, &files).expect("taken");
    drop(state);
}

#[test]
fn every_page_of_the_map_counts() {
    let (source, _) = replica(&country(), usize::MAX);
    let pages = source
        .scan(Family::Map, b"", None, usize::MAX)
        .expect("a scan");
    assert!(pages.len() > 1, "a map of more than one page");
    for (key, _) in pages {
        refused("map", |engine| {
            let mut page = row(engine, Family::Map, &key);
            *page.last_mut().expect("bytes") ^= 1;
            put(engine, Family::Map, key.clone(), page);
        });
        refused("map", |engine| {
            let mut batch = Batch::default();
            batch.delete(Family::Map, key.clone());
            engine.write(batch).expect("written");
        });
    }
}

#[test]
fn a_checkpoint_that_the_log_key_did_not_sign_is_noticed() {
    refused("not signed", |engine| {
        alter_registry(engine, |registry| {
            let published = registry.published.clone().expect("published");
            let checkpoint = Checkpoint {
                origin: Origin {
                    prefix: registry.prefix,
                    incarnation: registry.incarnation,
                },
                size: published.size,
                root: published.root,
            };
            let forger = Country::unborn("99").key("log");
            registry.checkpoint = checkpoint.sign(&forger).into_text();
        });
    });
}

#[test]
fn another_log_key_is_not_the_one_of_the_genesis() {
    let country = country();
    let (source, _) = replica(&country, usize::MAX);
    alter_registry(&source, |registry| {
        let published = registry.published.clone().expect("published");
        let checkpoint = Checkpoint {
            origin: Origin {
                prefix: registry.prefix,
                incarnation: registry.incarnation,
            },
            size: published.size,
            root: published.root,
        };
        let forger = Country::unborn("99").key("log");
        registry.keys = KeyHistory::at_genesis(&registry.roots, forger.public());
        registry.checkpoint = checkpoint.sign(&forger).into_text();
    });
    let files = files_of(&*source.snapshot().expect("a snapshot"));
    for (known, words) in [
        (0, "genesis"),
        (country.entries.len() / 2, "history of keys"),
    ] {
        let (_, state) = replica(&country, known);
        let why = receive(&state, &files).expect_err("refused").to_string();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn another_past_of_the_same_registry_is_noticed_by_who_knew_it() {
    // The same genesis and keys, another order of registrations.
    let mut other = Country::with_market("86");
    for serial in (1..=40).rev() {
        let command = other.register(serial);
        other.must("maker", command);
    }
    other.close();
    let (source, _) = replica(&other, usize::MAX);
    let files = files_of(&*source.snapshot().expect("a snapshot"));
    let country = country();
    let (_, state) = replica(&country, country.entries.len());
    let why = receive(&state, &files).expect_err("refused").to_string();
    assert!(why.contains("the root of size"), "{why}");
}
