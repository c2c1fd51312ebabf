//! A row that is missing is damage of this disk: it ends the process as such, and is never taken for an entry that cannot be
//! applied, nor for another state.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::Body;
use carnet_kit::Country;
use carnet_store::engine::{Batch, KvEngine, KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::RegistryState;

/// A country, and how many of its entries stand before the one that repeats a request, after which it seals.
fn country() -> (Country, usize) {
    let mut country = Country::with_market("86");
    let commands: Vec<_> = (1..=300).map(|serial| country.register(serial)).collect();
    let request = country.request("maker", &commands);
    country.ask(request.clone());
    country.close();
    let late = country.register(301);
    country.must("maker", late);
    let before = country.entries.len();
    country.ask(request);
    country.seal();
    (country, before)
}

fn records(country: &Country) -> Vec<LogRecord> {
    let entries = (1..).zip(&country.entries);
    let records = entries.map(|(index, entry)| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index,
        },
        payload: Payload::Entry(entry.to_bytes().into()),
    });
    records.collect()
}

/// The same rows, but one.
fn without(engine: &MemoryEngine, missing: (Family, &[u8])) -> MemoryEngine {
    let mut batch = Batch::default();
    for family in Family::ALL {
        for (key, value) in rows(engine, *family) {
            if (*family, &key[..]) != missing {
                batch.put(*family, key, value);
            }
        }
    }
    let copy = MemoryEngine::default();
    copy.write(batch).expect("written");
    copy
}

fn rows(engine: &MemoryEngine, family: Family) -> Vec<Pair> {
    let rows = engine.scan(family, &[], None, usize::MAX);
    rows.expect("a read")
}

#[test]
fn a_missing_tile_or_page_ends_the_process_as_damage() {
    let (country, before) = country();
    assert!(matches!(
        country.entries.last().map(|entry| &entry.body),
        Some(Body::Seal {})
    ));
    let records = records(&country);
    let engine = MemoryEngine::default();
    let state = RegistryState::open(engine.clone()).expect("opens");
    state.apply(records[..before].to_vec()).expect("applies");
    for (family, step) in [(Family::Tree, 1), (Family::Map, 13)] {
        let keys: Vec<_> = rows(&engine, family)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert!(keys.len() > 1, "{family:?}");
        // The first is the tile of the first leaves, or the page at the root.
        for (at, key) in keys.iter().enumerate().step_by(step) {
            let state = RegistryState::open(without(&engine, (family, key))).expect("opens");
            match state.apply(records[before..].to_vec()) {
                Err(StorageFault::Corrupt { .. }) => {}
                Err(other) => panic!("{family:?} {key:?}: {other}"),
                Ok(_) => {
                    assert!(at > 0, "{family:?} {key:?} is asked for");
                    let stands = state.stands_before();
                    assert!(
                        stands.is_none(),
                        "{family:?} {key:?}: taken for the entry's fault"
                    );
                }
            }
        }
    }
}
