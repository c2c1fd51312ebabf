//! What stands in the state database, value by value: none is read when it is damaged, each is sent to a new replica, and each
//! counts when replicas compare.

use std::ops::ControlFlow;

use carnet_domain::bytes::code::{Code, EnterpriseId, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::map::PagePath;
use carnet_domain::record::session::Session;
use carnet_domain::record::transfer::Stage;
use carnet_domain::record::{Holder, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::EndOfLife;
use carnet_kit::{Country, samples};
use carnet_store::artefact::{StateEngine, content_digest};
use carnet_store::engine::{Batch, KvEngine, KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::keys::{self, Facet};
use carnet_store::machine::{LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::records::{BehindRecalls, Bound, Records, Under};
use carnet_store::registry::RegistryState;

use crate::bench::{Disk, files_of, position};
use crate::trail::{replica, travels};

/// A country that has something in every family that the rules write.
fn country() -> Country {
    let [mut country, _] = travels();
    country.must("maker", country.register(3));
    let act = |action| Command::Act {
        code: Country::unborn("86").code(3),
        expected_sequence: None,
        action,
    };
    let declared = Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: sha256(&[b"certificate"]),
    };
    country.must("recycler", act(declared));
    country.must(
        "registrar",
        act(Action::ConfirmEndOfLife {
            certificate: sha256(&[b"certificate"]),
        }),
    );
    let recall = samples::recall(&country, "R-1", Severity::Advisory);
    country.must("maker", recall);
    country.close();
    country
}

/// Families that nothing is written into yet.
const UNUSED: &[Family] = &[
    Family::Inboxes,
    Family::Foreign,
    Family::Telemetry,
    Family::Audit,
];

fn rows(read: &dyn KvRead, family: Family) -> Vec<Pair> {
    read.scan(family, &[], None, usize::MAX).expect("a read")
}

fn copy(engine: &MemoryEngine) -> MemoryEngine {
    let mut batch = Batch::default();
    for family in Family::ALL {
        for (key, value) in rows(engine, *family) {
            batch.put(*family, key, value);
        }
    }
    let copy = MemoryEngine::new();
    copy.write(batch).expect("a write");
    copy
}

fn put(engine: &dyn KvEngine, family: Family, key: &[u8], value: Vec<u8>) {
    let mut batch = Batch::default();
    batch.put(family, key.to_vec(), value);
    engine.write(batch).expect("a write");
}

/// Values that cannot be what was written: none, of another version, cut, and with a byte too many.
fn damaged(value: &[u8]) -> Vec<Vec<u8>> {
    let rest = &value[1..];
    let mut all = vec![
        Vec::new(),
        [&[0], rest].concat(),
        [&[2], rest].concat(),
        [&[0xff], rest].concat(),
        [value, &[0]].concat(),
    ];
    if !rest.is_empty() {
        all.push(value[..value.len() - 1].to_vec());
        // Within a hash: a tile with fewer hashes is one of a smaller tree, until the next is put into it.
        all.push(value[..2 + rest.len() / 2].to_vec());
    }
    all.retain(|other| *other != value);
    all
}

/// Reads all there is of a family, in every way there is to read it.
fn read_all(
    records: &Records<'_>,
    family: Family,
    sound: &[Pair],
    country: &Country,
) -> Vec<StorageFault> {
    let mut faults = Vec::new();
    let mut note = |outcome: Result<(), StorageFault>| faults.extend(outcome.err());
    let codes: Vec<Code> = (1..=3).map(|serial| country.code(serial)).collect();
    let size = country.registry().tree.size();
    let model = codes[0].model_id();
    match family {
        Family::Meta => note(records.registry().map(drop)),
        Family::Robots => {
            note(records.robots_under("86", None, Bound::count(9)).map(drop));
            codes
                .iter()
                .for_each(|code| note(records.robot(code).map(drop)));
        }
        Family::Index => {
            note(records.count_of_model(&model).map(drop));
            note(records.against_after(None, 99).map(drop));
            note(records.fallen_models(None, 99).map(drop));
            note(records.inactive_enterprises(None, 99).map(drop));
            for (key, _) in sound.iter().filter(|(key, _)| key[0] == b'p') {
                let identity = key[1..].try_into().expect("32 bytes");
                let identity = Digest(identity);
                note(records.part_holder(&identity).map(drop));
            }
            let enterprises = records
                .enterprises_under("", None, Bound::count(99))
                .expect("not of this family");
            for enterprise in enterprises.records {
                note(records.enterprise_of(&enterprise.maker).map(drop));
            }
        }
        Family::Enterprises => note(
            records
                .enterprises_under("", None, Bound::count(99))
                .map(drop),
        ),
        Family::Models => note(records.models_under("86", None, Bound::count(99)).map(drop)),
        Family::Offices => {
            for (key, _) in sound {
                let id = key[..].try_into().expect("16 bytes");
                let id = KeyId(id);
                note(records.signer(&id).map(drop));
            }
        }
        Family::Recalls => {
            note(records.recalls(None, Bound::count(99)).map(drop));
            note(records.recalls_of(&model).map(drop));
            note(
                records
                    .recalls_by_model(&BehindRecalls::Nothing, 99)
                    .map(drop),
            );
        }
        Family::Transfers => {
            note(
                records
                    .walk_transfers(None, |_, _| ControlFlow::Continue(()))
                    .map(drop),
            );
            for (key, _) in sound.iter().filter(|(key, _)| key[0] == b'd') {
                let due = keys::due_of(key).expect("a deadline");
                note(records.due(due.rule, TimeMs::MAX, 99).map(drop));
            }
            for (key, _) in sound.iter().filter(|(key, _)| key[0] == b'o') {
                let (peer, enterprise) = key[1..].split_at(2);
                let text = |bytes| std::str::from_utf8(bytes).expect("a text");
                let peer = Prefix::parse(text(peer)).expect("a prefix");
                let enterprise = EnterpriseId::parse(text(enterprise)).expect("an enterprise");
                note(records.offers_of(&peer, &enterprise).map(drop));
            }
            for (key, _) in sound.iter().filter(|(key, _)| key[0] == b'h') {
                let holder = Holder::from_bytes(&key[1..]).expect("a holder");
                note(records.told_by(&holder).map(drop));
            }
            for (key, _) in sound.iter().filter(|(key, _)| key[0] == b'i') {
                let (rest, _) = key.split_at(key.len() - 8 - 16);
                let (stage, value) = rest[2..].split_last().expect("a stage");
                let facets = [
                    Facet::All,
                    Facet::Lane,
                    Facet::Office,
                    Facet::Robot,
                    Facet::Model,
                    Facet::Declarant,
                    Facet::Consignment,
                ];
                let facet = facets.into_iter().find(|facet| *facet as u8 == key[1]);
                let stage = Stage::from_number(u64::from(*stage)).expect("a stage");
                let under = Under {
                    facet: facet.expect("a facet"),
                    value: value.to_vec(),
                    since: TimeMs(0),
                    before: None,
                };
                note(records.found_under(&under, stage, None, 99).map(drop));
            }
            for (key, _) in sound.iter().filter(|(key, _)| key[0] == b'u') {
                let about = Digest(key[1..].try_into().expect("a digest"));
                note(records.untold(&about).map(drop));
            }
            for (key, _) in sound.iter().filter(|(key, _)| key[0] == b'c') {
                let code = Code::from_key(key[1..].try_into().expect("19 bytes")).expect("a code");
                note(records.loose_chain(&code).map(drop));
            }
        }
        Family::Sessions => {
            for (key, value) in sound {
                let number =
                    |at: usize| u64::from_be_bytes(key[at..at + 8].try_into().expect("8 bytes"));
                let short =
                    |at: usize| u32::from_be_bytes(key[at..at + 4].try_into().expect("4 bytes"));
                match key[0] {
                    b's' => {
                        note(records.session(number(1)).map(drop));
                        let subject = Session::from_bytes(&value[1..]);
                        let subject = subject.expect("a session").subject;
                        note(records.sessions_of(&subject).map(drop));
                    }
                    b'a' => note(records.answer(number(1), short(9), short(13)).map(drop)),
                    _ => {}
                }
            }
        }
        Family::Entries => {
            (0..size).for_each(|index| note(records.leaf(index).map(drop)));
            note(records.leaves(0, size, 99).map(drop));
            note(records.map_changes(0, size, usize::MAX).map(drop));
            for code in &codes {
                note(records.movements(code, 99).map(drop));
                let newest = records.head_of_robot(code).expect("not of this family");
                note(records.history(newest, 0, 99).map(drop));
            }
        }
        Family::Envelopes => (0..size).for_each(|index| note(records.envelope(index).map(drop))),
        Family::Tree => (0..size).for_each(|index| note(records.subtree(0, index).map(drop))),
        Family::Map => {
            for (key, _) in sound {
                let path = PagePath::from_bytes(key).expect("a path");
                note(records.page(&path).map(drop));
            }
        }
        Family::Heads => {
            for (key, _) in sound {
                let key = Digest(key[..].try_into().expect("32 bytes"));
                note(records.head_of(&key).map(drop));
            }
        }
        Family::Mailboxes => {
            let peers = records.peers().expect("not of this family");
            let peers = peers.iter().filter_map(|peer| peer.bundle.primary());
            peers.for_each(|peer| note(records.mail(&peer, 0, 99).map(drop)));
        }
        Family::Peers => note(records.peers().map(drop)),
        Family::Ended => {
            for (key, _) in sound {
                let identity = || Digest(key[key.len() - 32..].try_into().expect("32 bytes"));
                let peer = || {
                    let peer = std::str::from_utf8(&key[1..3]).expect("a prefix");
                    Prefix::parse(peer).expect("a prefix")
                };
                match key[0] {
                    b'i' => note(records.ends(&identity()).map(drop)),
                    b'c' => note(records.claim(&peer(), &identity()).map(drop)),
                    b'n' => note(records.claims_of(&peer()).map(drop)),
                    _ => {
                        let place = u32::from_be_bytes(key[3..].try_into().expect("4 bytes"));
                        note(records.claim_at(&peer(), place).map(drop));
                    }
                }
            }
        }
        Family::Inboxes => {
            for (key, _) in sound {
                let peer = || {
                    let peer = std::str::from_utf8(&key[1..3]).expect("a prefix");
                    Prefix::parse(peer).expect("a prefix")
                };
                match key[0] {
                    b'p' => {
                        let item = u64::from_be_bytes(key[3..].try_into().expect("8 bytes"));
                        note(records.parked(&peer(), item).map(drop));
                    }
                    b'l' => note(records.parked_of(&peer()).map(drop)),
                    _ => {
                        let subject = Digest(key[1..].try_into().expect("32 bytes"));
                        note(records.parked_behind(&subject).map(drop));
                    }
                }
            }
        }
        Family::Foreign | Family::Telemetry | Family::Audit => {}
    }
    faults
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Damage by name: where, and which key.
fn names(fault: &StorageFault, family: Family, key: &[u8]) -> bool {
    match fault {
        StorageFault::Corrupt { what, detail } => {
            *what == family.name() && detail.contains(&hex(key))
        }
        _ => false,
    }
}

#[test]
fn every_family_is_written_by_the_rules_but_the_unused() {
    let engine = replica(&country());
    for family in Family::ALL {
        let is_unused = UNUSED.contains(family);
        assert_eq!(rows(&engine, *family).is_empty(), is_unused, "{family:?}");
    }
}

#[test]
fn every_damaged_value_is_reported_with_its_family_and_key_when_it_is_read() {
    let country = country();
    let engine = replica(&country);
    for family in Family::ALL {
        let sound = rows(&engine, *family);
        let nothing = read_all(&Records(&engine), *family, &sound, &country);
        assert!(nothing.is_empty(), "{family:?}: {nothing:?}");
        for (key, value) in &sound {
            // How far Raft has come is not read through records.
            if *family == Family::Meta && key != keys::REGISTRY {
                continue;
            }
            for other in damaged(value) {
                let newer = *family == Family::Meta && other.first() > value.first();
                put(&engine, *family, key, other.clone());
                let faults = read_all(&Records(&engine), *family, &sound, &country);
                let told = faults.iter().all(|fault| match newer {
                    true => matches!(fault, StorageFault::Newer(_)),
                    false => names(fault, *family, key),
                });
                assert!(
                    !faults.is_empty() && told,
                    "{family:?}, key {}, {} bytes in the place of {}: {faults:?}",
                    hex(key),
                    other.len(),
                    value.len()
                );
            }
            put(&engine, *family, key, value.clone());
        }
    }
}

/// The entries after the first `count`, as records of the log.
fn records_after(country: &Country, count: usize) -> Vec<LogRecord> {
    let entries = (1..).zip(&country.entries).skip(count);
    let records = entries.map(|(index, entry)| LogRecord {
        position: position(index),
        payload: Payload::Entry(entry.to_bytes().into()),
    });
    records.collect()
}

/// No damage is taken for a fault of the rules: the replica stops for its disk, and not before an entry.
#[test]
fn damage_that_applying_meets_is_damage_and_no_panic() {
    let mut country = country();
    let count = country.entries.len();
    country.must("maker", country.register(4));
    country.must("maker", country.register(5));
    country.close();
    let engine = {
        let mut before = country.clone();
        before.entries.truncate(count);
        replica(&before)
    };
    let later = records_after(&country, count);
    let run = |engine: MemoryEngine| -> Result<(), StorageFault> {
        let state = RegistryState::open(engine)?;
        let answers = state.apply(later.clone())?;
        assert_eq!(state.stands_before(), None, "a panic of the rules");
        assert_eq!(answers.len(), later.len());
        Ok(())
    };
    run(copy(&engine)).expect("sound");
    let mut met = Vec::new();
    for family in Family::ALL {
        for (key, value) in rows(&engine, *family) {
            if *family == Family::Meta && key != keys::REGISTRY {
                continue;
            }
            for other in damaged(&value) {
                let engine = copy(&engine);
                put(&engine, *family, &key, other.clone());
                match run(engine) {
                    Ok(()) => {}
                    Err(StorageFault::Newer(_)) if *family == Family::Meta => {}
                    Err(fault) => {
                        assert!(names(&fault, *family, &key), "{family:?}: {fault}");
                        met.push(family.name());
                    }
                }
            }
            // A page, a tile, a leaf that others speak of, and that is gone.
            if [Family::Map, Family::Tree].contains(family) && key != PagePath::ROOT.to_bytes() {
                let engine = copy(&engine);
                let mut batch = Batch::default();
                batch.delete(*family, key.clone());
                engine.write(batch).expect("a write");
                if let Err(fault) = run(engine) {
                    assert!(names(&fault, *family, &key), "{family:?}: {fault}");
                }
            }
        }
    }
    met.dedup();
    assert_eq!(
        met,
        [
            "meta",
            "index",
            "enterprises",
            "models",
            "offices",
            "sessions",
            "tree",
            "map"
        ],
    );
}

#[test]
fn a_leaf_that_waits_for_a_seal_and_is_gone_is_damage() {
    let mut country = country();
    let size = country.registry().tree.size();
    country.must("maker", country.register(4));
    let count = country.entries.len();
    country.close();
    let mut before = country.clone();
    before.entries.truncate(count);
    let engine = replica(&before);
    let mut batch = Batch::default();
    batch.delete(Family::Entries, keys::leaf(size));
    engine.write(batch).expect("a write");
    let state = RegistryState::open(engine).expect("opens");
    let fault = state
        .apply(records_after(&country, count))
        .expect_err("damage");
    assert!(names(&fault, Family::Entries, &keys::leaf(size)), "{fault}");
    assert_eq!(state.stands_before(), None);
}

/// Whoever asked may get an error and go on; the process is told, and must not.
#[test]
fn the_process_is_told_of_damage_that_any_read_meets() {
    let country = country();
    let sound = replica(&country);
    let key = keys::robot(&country.code(1));
    for by in ["engine", "view"] {
        let disk = Disk::new();
        let engine = disk.create();
        for family in Family::ALL {
            for (key, value) in rows(&sound, *family) {
                put(&engine, *family, &key, value);
            }
        }
        put(&engine, Family::Robots, &key, vec![1, 0x80]);
        assert!(engine.damage().get().is_none());
        let view = engine.view().expect("a view");
        let found = match by {
            "engine" => Records(&engine).robot(&country.code(1)),
            _ => Records(view.as_ref()).robot(&country.code(1)),
        };
        assert!(names(&found.expect_err("damage"), Family::Robots, &key));
        let told = engine.damage().get().expect("told");
        assert!(names(&told, Family::Robots, &key), "{told}");
    }
}

/// What another node sent is not this disk's damage.
#[test]
fn a_new_replica_is_sent_every_value_and_a_damaged_one_is_not_taken_for_its_own() {
    let country = country();
    let sound = replica(&country);
    let disk = Disk::new();
    let state = RegistryState::open(disk.create()).expect("opens");
    let sender = Disk::new();
    let from = sender.create();
    for family in Family::ALL {
        for (key, value) in rows(&sound, *family) {
            put(&from, *family, &key, value);
        }
    }
    let receive = |state: &RegistryState<carnet_store::state::SwappableEngine>| {
        let files = files_of(&*from.snapshot().expect("a snapshot"));
        let mut sink = state.receive()?;
        for (name, body) in &files {
            for (piece, bytes) in body.chunks(4096).enumerate() {
                sink.write(name, 4096 * piece as u64, bytes)?;
            }
        }
        sink.check()?;
        sink.finish().map(drop)
    };
    let tile = keys::tile(0, 0);
    let whole = from
        .get(Family::Tree, &tile)
        .expect("a read")
        .expect("a tile");
    put(&from, Family::Tree, &tile, whole[..40].to_vec());
    receive(&state).expect_err("damaged");
    assert!(state.engine().damage().get().is_none());

    put(&from, Family::Tree, &tile, whole);
    receive(&state).expect("taken");
    for family in Family::ALL {
        assert_eq!(
            rows(state.engine(), *family),
            rows(&sound, *family),
            "{family:?}"
        );
    }
    // And it goes on as the others do.
    let mut country = country;
    let count = country.entries.len();
    country.must("maker", country.register(4));
    country.close();
    state
        .apply(records_after(&country, count))
        .expect("applies");
    let whole = replica(&country);
    let without_position = |read: &dyn KvRead| -> Vec<(Family, Vec<Pair>)> {
        let families = Family::ALL.iter().filter(|family| **family != Family::Meta);
        families
            .map(|family| (*family, rows(read, *family)))
            .collect()
    };
    assert_eq!(without_position(state.engine()), without_position(&whole));
    let registry = state.registry().expect("a read");
    assert_eq!(registry, Some(country.registry()));
}

#[test]
fn the_digest_of_the_content_tells_every_value_from_any_other() {
    let country = country();
    let engine = replica(&country);
    let digest = content_digest(&engine).expect("a digest");
    for family in Family::ALL {
        let all = rows(&engine, *family);
        let last = all.len().saturating_sub(1);
        for (key, value) in [all.first(), all.get(last / 2), all.get(last)]
            .into_iter()
            .flatten()
        {
            let mut other = value.clone();
            *other.last_mut().expect("a version") ^= 1;
            put(&engine, *family, key, other);
            assert_ne!(content_digest(&engine).expect("a digest"), digest);
            put(&engine, *family, key, value.clone());
            assert_eq!(content_digest(&engine).expect("a digest"), digest);
        }
    }
}
