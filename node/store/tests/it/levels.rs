//! A binary that does not know the feature level of a registry serves nothing of it, and commits nothing after it.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::level::Level;
use carnet_domain::machine::entry::{Body, Entry, Knows};
use carnet_kit::{Country, VOTERS};
use carnet_store::artefact::{StateEngine, content_digest};
use carnet_store::engine::{Batch, KvEngine, KvRead};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::keys;
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::RegistryState;

use crate::bench::files_of;
use crate::roots::receive;
use crate::voters::membership;

const NEWER: &str = "use a newer binary";

fn unknown() -> Level {
    Level::KNOWN.next().expect("a next level")
}

fn records(country: &Country) -> Vec<LogRecord> {
    let entries = country.entries.iter();
    let entries = entries.map(|entry| Payload::Entry(entry.to_bytes().into()));
    let payloads = std::iter::once(membership(&[&VOTERS])).chain(entries);
    let records = (1..).zip(payloads).map(|(index, payload)| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index,
        },
        payload,
    });
    records.collect()
}

fn raise(country: &Country) -> Entry {
    let knows = |node: &u64| Knows {
        node: *node,
        level: unknown(),
    };
    let body = Body::RaiseLevel {
        to: unknown(),
        seen: VOTERS.iter().map(knows).collect(),
    };
    let stamp = country.entries.last().expect("entries").stamp.clone();
    Entry { stamp, body }
}

fn newer(fault: StorageFault) {
    assert!(
        matches!(&fault, StorageFault::Newer(why) if why.contains(NEWER)),
        "{fault}"
    );
}

fn alter(engine: &MemoryEngine, alter: impl FnOnce(&mut Vec<u8>)) {
    let stored = engine.get(Family::Meta, keys::REGISTRY).expect("a read");
    let mut stored = stored.expect("a registry");
    alter(&mut stored);
    let mut batch = Batch::default();
    batch.put(Family::Meta, keys::REGISTRY.to_vec(), stored);
    engine.write(batch).expect("written");
}

#[test]
fn the_log_is_applied_up_to_the_entry_that_raises_the_level_and_not_further() {
    let country = Country::with_market("86");
    let mut log = records(&country);
    let engine = MemoryEngine::default();
    let state = RegistryState::open(engine.clone()).expect("opens");
    state.apply(log.clone()).expect("applies");
    let before = content_digest(&engine).expect("a digest");
    let index = log.len() as u64 + 1;
    log.clear();
    log.push(LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index,
        },
        payload: Payload::Entry(raise(&country).to_bytes().into()),
    });
    for _ in 0..2 {
        newer(state.apply(log.clone()).expect_err("stops"));
        assert_eq!(content_digest(&engine).expect("a digest"), before);
        let stands = state.stands_before().is_some();
        assert!(!stands, "no order of the roots helps: a newer binary does");
    }
}

#[test]
fn neither_a_state_nor_a_snapshot_of_a_newer_level_is_opened() {
    let country = Country::with_market("86");
    let registry = country.registry();
    let mut raised = registry.clone();
    raised.level = unknown();
    let another_level = |stored: &mut Vec<u8>| {
        let version = stored[0];
        *stored = [&[version][..], &raised.to_bytes()].concat();
    };
    let another_form = |stored: &mut Vec<u8>| {
        // A list of more than 23 has its length in the byte behind.
        let form = match stored[1] {
            0x80..0x98 => 2,
            _ => 3,
        };
        assert!((0x80..0x99).contains(&stored[1]) && stored[form] == 1);
        stored[form] = 2;
    };
    let another_byte = |stored: &mut Vec<u8>| stored[0] += 1;
    type Lie<'a> = &'a dyn Fn(&mut Vec<u8>);
    for lie in [&another_level as Lie<'_>, &another_form, &another_byte] {
        let engine = MemoryEngine::default();
        let state = RegistryState::open(engine.clone()).expect("opens");
        state.apply(records(&country)).expect("applies");
        drop(state);
        alter(&engine, lie);
        newer(RegistryState::open(engine.clone()).err().expect("refused"));
        let files = files_of(&*engine.snapshot().expect("a snapshot"));
        let empty = RegistryState::open(MemoryEngine::default()).expect("opens");
        newer(receive(&empty, &files).expect_err("refused"));
        assert_eq!(empty.registry().expect("a read"), None);
    }
}
