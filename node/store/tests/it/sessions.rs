//! A closed session leaves no answer behind, and closing it costs the same however many it had.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Blob;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::Holder;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::session::{Session, StoredAnswer};
use carnet_domain::rules::command::Command;
use carnet_kit::Country;
use carnet_store::artefact::{StateEngine, content_digest};
use carnet_store::compare::Mark;
use carnet_store::engine::{Batch, KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::keys;
use carnet_store::machine::{LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::overlay::{Overlay, Verified};
use carnet_store::records::{Records, to_stored};
use carnet_store::registry::RegistryState;

use crate::bench::{Disk, files_of, install, on_each, position};

struct Nothing;

impl Verified for Nothing {
    fn knows(&self, _: &Digest) -> bool {
        false
    }
}

/// An engine whose answers may be looked up one by one, but neither scanned nor searched.
struct Unscanned<'a>(&'a dyn StateEngine);

impl KvRead for Unscanned<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.0.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        _: Option<&[u8]>,
        _: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        panic!("{} is scanned from {from:?}", family.name());
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        _: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        panic!("{} is searched from {from:?}", family.name());
    }
}

fn session(id: u64) -> Session {
    Session {
        id,
        subject: "maker".into(),
        party: Holder::Office {
            name: "registrar/hq".into(),
        },
        nonce: [7; 16],
        opened: TimeMs::EPOCH,
        highest: 9,
    }
}

fn answer(sequence: u64) -> StoredAnswer {
    StoredAnswer {
        sequence,
        request: Digest::ZERO,
        at: TimeMs::EPOCH,
        count: 1,
        runs: vec![(0, 0)],
        sequences: vec![(0, 1)],
        done: Blob(vec![0x80]),
        refused: Vec::new(),
        waiting: Vec::new(),
    }
}

/// An answer that is held: its session, place and first item.
type Held = (u64, u32, u32);

/// The answers held, ascending.
fn held(read: &dyn KvRead) -> Vec<Held> {
    let pairs = read.scan(Family::Sessions, b"a", Some(b"b"), usize::MAX);
    let keys = pairs.expect("a scan").into_iter().map(|(key, _)| {
        let number = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| key[at + i]));
        let id = u64::from_be_bytes(std::array::from_fn(|i| key[1 + i]));
        (id, number(9), number(13))
    });
    keys.collect()
}

/// The borders of neighbours lie where a carry passes through the bytes of the number.
const CLOSED: u64 = 0x2ff;
const BESIDE: [Held; 4] = [
    (CLOSED - 1, 0, 0),
    (CLOSED - 1, u32::MAX, u32::MAX),
    (CLOSED + 1, 0, 0),
    (CLOSED + 1, u32::MAX, u32::MAX),
];

/// Three sessions; the middle one has 50,000 answers and the others two each, at their ends.
fn fill(engine: &dyn StateEngine) {
    let mut batch = Batch::default();
    for id in [CLOSED - 1, CLOSED, CLOSED + 1] {
        let record = to_stored(&session(id));
        let of_subject = keys::session_of("maker", id);
        batch.put(Family::Sessions, keys::session(id), record);
        batch.put(Family::Sessions, of_subject, Vec::new());
    }
    let mut put = |(id, place, item)| {
        let (key, value) = (keys::answer(id, place, item), to_stored(&answer(3)));
        batch.put(Family::Sessions, key, value);
    };
    (0..49_998).for_each(|at| put((CLOSED, at % 1_000, at / 1_000)));
    put((CLOSED, u32::MAX, 0));
    put((CLOSED, u32::MAX, u32::MAX));
    BESIDE.into_iter().for_each(&mut put);
    engine.write(batch).expect("a write");
    assert_eq!(held(engine).len(), 50_004);
}

#[test]
fn closing_a_session_of_50_000_answers_reads_none_and_writes_three_changes() {
    on_each(|engine| {
        fill(engine);
        let before = engine.view().expect("a view");
        let base = Unscanned(engine);
        let mut overlay = Overlay::new(&base, &Nothing, None);
        // What the same overlay put there goes as well.
        overlay
            .put_answer(CLOSED, 5, 1_000, answer(5))
            .expect("put");
        overlay.close_session(CLOSED).expect("closed");
        for (place, item) in [(0, 0), (5, 1_000), (999, 3), (u32::MAX, u32::MAX)] {
            assert_eq!(overlay.answer(CLOSED, place, item).expect("a read"), None);
        }
        for (id, place, item) in BESIDE {
            let found = overlay.answer(id, place, item).expect("a read");
            assert_eq!(found, Some(answer(3)));
        }
        let batch = overlay.finish().batch;
        assert_eq!((batch.cleared.len(), batch.changes.len()), (1, 2));
        engine.write(batch).expect("a write");
        assert_eq!(held(engine), BESIDE);
        assert_eq!(Records(engine).session(CLOSED).expect("a read"), None);
        assert_eq!(held(&*before).len(), 50_004, "a view does not move");
        // A snapshot carries what was forgotten no further, before and after a sync.
        for _ in 0..2 {
            let files = files_of(&*engine.snapshot().expect("a snapshot"));
            install(engine, &files).expect("installed");
            assert_eq!(held(engine), BESIDE);
            engine.sync().expect("a sync");
        }
    });
}

#[test]
fn an_overlay_reads_around_what_it_cleared() {
    on_each(|engine| {
        fill(engine);
        let mut overlay = Overlay::new(engine, &Nothing, None);
        overlay.close_session(CLOSED).expect("closed");
        assert_eq!(held(&overlay), BESIDE);
        let (from, to) = keys::answers(CLOSED);
        let family = Family::Sessions;
        let inside = keys::answer(CLOSED, 7, 7);
        let last = |overlay: &Overlay<'_>, from: &[u8], to: &[u8]| {
            let found = overlay.last(family, from, Some(to)).expect("a read");
            found.map(|(key, _)| key)
        };
        let scan = |overlay: &Overlay<'_>, from: &[u8], to: &[u8], count_max| {
            let found = overlay.scan(family, from, Some(to), count_max);
            found.expect("a scan").len()
        };
        assert_eq!(last(&overlay, &from, &to), None);
        assert_eq!(last(&overlay, &inside, &to), None);
        let below = keys::answer(CLOSED - 1, u32::MAX, u32::MAX);
        assert_eq!(last(&overlay, b"a", &inside), Some(below));
        assert_eq!(scan(&overlay, &inside, b"b", 9), 2);
        assert_eq!(scan(&overlay, b"a", &inside, 9), 2);
        assert_eq!(scan(&overlay, b"a", b"b", 3), 3);
        overlay.put_answer(CLOSED, 7, 7, answer(7)).expect("put");
        assert_eq!(last(&overlay, &from, &to), Some(inside.clone()));
        assert_eq!(scan(&overlay, b"a", b"b", 9), 5);
        overlay.close_session(CLOSED - 1).expect("closed");
        assert_eq!(scan(&overlay, b"a", b"b", 9), 3);
        engine.write(overlay.finish().batch).expect("a write");
        let expected = [(CLOSED, 7, 7), BESIDE[2], BESIDE[3]];
        assert_eq!(held(engine), expected);
    });
}

/// A log of one subject that opens twice as many sessions as it may have, and uses each.
fn records() -> Vec<LogRecord> {
    let mut country = Country::with_market("86");
    for n in 0..32 {
        let open = country.opening("maker", [n; 16]);
        let session = country.apply(open).session.expect("a session");
        for serial in [1, 2] {
            let commands: [Command; 1] = [country.register(u32::from(n) * 10 + serial)];
            let mut header = country.header("maker", &commands);
            header.session = session;
            let request = country.part("maker", &header, &commands, 0, 1);
            country.ask(request);
        }
        if n % 10 == 9 {
            country.advance(DurationMs::from_ms(60_000));
            country.seal();
        }
    }
    let entries = country.entries.iter().zip(1..);
    let records = entries.map(|(entry, index)| LogRecord {
        position: position(index),
        payload: Payload::Entry(entry.to_bytes().into()),
    });
    records.collect()
}

/// Applies a log in runs of so many records: the marks, the content, and the answers held.
fn applied<E: StateEngine + Clone>(
    engine: E,
    records: &[LogRecord],
    run: usize,
) -> (Vec<Mark>, [u8; 32], Vec<Held>) {
    let state = RegistryState::open(engine.clone()).expect("opens");
    for run in records.chunks(run) {
        state.apply(run.to_vec()).expect("applied");
    }
    let marks = state.marks(0).expect("marks");
    (marks, content_digest(&engine).expect("read"), held(&engine))
}

#[test]
fn the_same_log_forgets_the_same_answers_however_it_is_cut_and_kept() {
    let records = records();
    let one = applied(MemoryEngine::new(), &records, 1);
    let (marks, _, answers) = &one;
    assert!(marks.iter().all(|mark| mark.digest.is_some()), "{marks:?}");
    // The newest 16 sessions have their two; of the first 16, and of the one before them, there is nothing.
    let newest = answers.last().expect("an answer").0;
    let recent = answers.iter().filter(|(id, ..)| *id > newest - 16);
    assert_eq!(recent.count(), 32);
    let opened = answers.iter().filter(|(id, ..)| *id > newest - 32);
    assert_eq!(opened.count(), 32);
    for run in [2, 3, 5, 17, 40, records.len()] {
        let memory = applied(MemoryEngine::new(), &records, run);
        assert_eq!(memory, one, "runs of {run}");
        let disk = Disk::new();
        let disk = applied(disk.create(), &records, run);
        assert_eq!(disk, one, "runs of {run}, on disk");
    }
}
