//! History and trail of a robot are read from its leaves, and are those of the ledger in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::custody::Step;
use carnet_domain::log::head::Head;
use carnet_domain::log::leaf::{Kind, Leaf, Subject, SubjectType};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::record::Firmware;
use carnet_domain::rules::command::{Action, Command, TransferId};
use carnet_kit::{Country, befriend, transfer};
use carnet_store::engine::{KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::records::{Bound, Records};
use carnet_store::registry::RegistryState;

/// A robot of `86` that went to `49`, and one that was refused there.
pub(crate) fn travels() -> [Country; 2] {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    a.must("maker", a.register(1));
    a.must("maker", a.register(2));
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.must("customs", a.declare(2, transfer(2), &b.prefix));
    a.deliver(&mut b);
    let permit = Command::PermitImport {
        transfer: transfer(1),
        depart_by: b.clock.saturating_add(DurationMs::from_days(1)),
        conditions: Vec::new(),
    };
    b.must("customs", permit);
    let refuse = Command::RefuseImport {
        transfer: transfer(2),
        reason: "no papers".into(),
    };
    b.must("customs", refuse);
    b.deliver(&mut a);
    let depart = Command::Depart {
        transfer: transfer(1),
        place: "port".into(),
    };
    a.must("customs", depart);
    a.deliver(&mut b);
    let admit = Command::Admit {
        transfer: transfer(1),
        place: "harbour".into(),
        importer: sha256(&[b"importer of record"]).into(),
        documents: Vec::new(),
        countersignature: None,
    };
    b.must("customs", admit);
    b.deliver(&mut a);
    a.close();
    b.close();
    [a, b]
}

pub(crate) fn replica(country: &Country) -> MemoryEngine {
    let engine = MemoryEngine::default();
    let state = RegistryState::open(engine.clone()).expect("opens");
    let records = (1..).zip(&country.entries).map(|(index, entry)| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index,
        },
        payload: Payload::Entry(entry.to_bytes().into()),
    });
    state.apply(records.collect()).expect("applies");
    engine
}

#[test]
fn the_trail_of_a_robot_is_read_from_its_leaves() {
    let issuer = Country::unborn("86");
    for (country, expected) in travels().iter().zip([
        [
            "Register, Offer, Accept, Depart, Admit",
            "Register, Offer, Refuse, Cancel",
        ],
        ["Offer, Accept, Depart, Admit", "Offer, Refuse, Cancel"],
    ]) {
        let engine = replica(country);
        for (serial, expected) in (1..).zip(expected) {
            let code = issuer.code(serial);
            let trail = |wanted| {
                let found = Records(&engine).movements(&code, wanted);
                found.expect("a trail")
            };
            let found = trail(99).movements;
            let steps: Vec<&str> = found.iter().map(|step| step.step.name()).collect();
            assert_eq!(steps.join(", "), expected, "{serial} in {}", country.prefix);
            assert_eq!(found, country.ledger.movements(&code));
            // As many as there are leave nothing out; of one less, the oldest is left out, and that is said.
            let all = found.len();
            for wanted in 0..=all {
                let part = trail(wanted);
                assert_eq!(part.movements, found[all - wanted..]);
                assert_eq!(part.older_left_out, wanted < all, "{wanted} of {all}");
            }
            for step in &found {
                assert!(step.writer != country.prefix || step.at == step.seen);
                assert_ne!(step.leaf, carnet_domain::bytes::digest::Digest::ZERO);
            }
        }
    }
}

/// By count and by bytes, whatever the bound: every leaf once, each part with at least one, and never more than fit.
fn parts_add_up_to_the_history(records: &Records<'_>, newest: Option<Head>, all: &[u64]) {
    let leaf = |index: &u64| records.leaf(*index).expect("a read").expect("a leaf");
    let whole: Vec<LeafRecord> = all.iter().map(leaf).collect();
    let size = |leaf: &LeafRecord| {
        leaf.values
            .iter()
            .flatten()
            .map(|v| v.0.len())
            .sum::<usize>()
    };
    for (count, bytes) in [
        (1, usize::MAX),
        (3, usize::MAX),
        (usize::MAX, 0),
        (99, 1),
        (99, 4_000),
    ] {
        let bound = Bound { count, bytes };
        let (mut found, mut parts) = (Vec::new(), 0);
        loop {
            let part = records
                .history_part(newest, found.len() as u64, bound)
                .expect("a part");
            assert!(
                !part.records.is_empty() && part.records.len() <= count,
                "{bound:?}"
            );
            let shown: usize = part.records.iter().map(size).sum();
            assert!(
                part.records.len() == 1 || shown <= bytes,
                "{bound:?}: {shown}"
            );
            found.extend(part.records);
            parts += 1;
            if !part.more {
                break;
            }
        }
        assert_eq!(found, whole, "{bound:?}");
        assert!(bytes > 1 || parts == all.len(), "{bound:?}: {parts} parts");
    }
    let end = all.len() as u64;
    let past = records
        .history_part(newest, end, Bound::count(9))
        .expect("a part");
    assert_eq!((past.records.len(), past.more), (0, false));
}

#[test]
fn a_page_of_the_history_is_found_from_the_newest_leaf() {
    for country in &travels() {
        let engine = replica(country);
        let records = Records(&engine);
        let code = Country::unborn("86").code(1);
        let all = country.ledger.history(&Subject::robot(&code).key());
        assert!(all.len() > 3, "{all:?}");
        let newest = records.head_of_robot(&code).expect("a read");
        for from in 0..=all.len() {
            for count in 1..=all.len() {
                let page = records.history(newest, from as u64, count).expect("a page");
                let page: Vec<u64> = page.iter().map(|(index, _)| *index).collect();
                let expected: Vec<u64> = all.iter().skip(from).take(count).copied().collect();
                assert_eq!(page, expected, "{count} from {from}");
            }
        }
        parts_add_up_to_the_history(&records, newest, &all);
        // Of a peer, whose record names no leaf. Its trail is what the roots stated of it, the newest first.
        for other in ["49", "86"] {
            let key = Subject::new(SubjectType::Peer, other).key();
            let newest = records.head_of(&key).expect("a read");
            let page = records.history(newest, 0, usize::MAX).expect("a page");
            let page: Vec<u64> = page.iter().map(|(index, _)| *index).collect();
            assert_eq!(page, country.ledger.history(&key), "peer {other}");
            let stated = records.trail_back(newest, usize::MAX).expect("a trail");
            let stated = stated
                .iter()
                .map(|leaf| Leaf::from_bytes(&leaf.leaf.0).expect("a leaf"));
            let stated: Vec<Kind> = stated.map(|leaf| leaf.kind).collect();
            match *other == *country.prefix.as_str() {
                true => assert!(stated.is_empty(), "{stated:?}"),
                false => assert_eq!(stated, [Kind::Agreement, Kind::TrustList]),
            }
        }
    }
}

/// Counts the leaves that are read.
struct Counted<'a> {
    engine: &'a MemoryEngine,
    leaves: AtomicUsize,
}

impl KvRead for Counted<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        if family == Family::Entries {
            self.leaves.fetch_add(1, Ordering::Relaxed);
        }
        self.engine.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        self.engine.scan(family, from, to, count_max)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        self.engine.last(family, from, to)
    }
}

#[test]
fn a_long_history_is_not_read_to_find_a_page_of_it() {
    let mut country = Country::with_market("86");
    country.must("maker", country.register(1));
    let code = country.code(1);
    let update = |build| Command::Act {
        code,
        expected_sequence: None,
        action: Action::UpdateSoftware {
            firmware: Firmware {
                family: "fw".into(),
                build,
            },
        },
    };
    let updates: Vec<Command> = (1..=1_100).map(update).collect();
    for part in updates.chunks(100) {
        let request = country.request("maker", part);
        country.ask(request);
    }
    let engine = replica(&country);
    let all = country.ledger.history(&Subject::robot(&code).key());
    assert!(all.len() > 0x400, "{} leaves", all.len());
    let read = Counted {
        engine: &engine,
        leaves: AtomicUsize::new(0),
    };
    let newest = Records(&read).head_of_robot(&code).expect("a read");
    for seq in 0..all.len() {
        read.leaves.store(0, Ordering::Relaxed);
        let page = Records(&read)
            .history(newest, seq as u64, 3)
            .expect("a page");
        let page: Vec<u64> = page.iter().map(|(index, _)| *index).collect();
        let expected: Vec<u64> = all.iter().skip(seq).take(3).copied().collect();
        assert_eq!(page, expected, "from {seq}");
        // Three digits: 15 jumps and steps back in the first, twice as many in the second, three times in the third.
        let count = read.leaves.load(Ordering::Relaxed);
        assert!(count <= 90 + 3, "{count} leaves read from {seq}");
    }
}

/// Offers that come to nothing cost nobody anything: however many there are, the step that crossed the border is found.
#[test]
fn an_admission_is_found_however_often_the_robot_is_offered() {
    let [a, mut b] = travels();
    let code = a.code(1);
    for number in 0u16..600 {
        let mut id = [0xee; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let mut offer = b.declare(1, TransferId(id), &a.prefix);
        if let Command::DeclareExport { code: named, .. } = &mut offer {
            *named = code;
        }
        b.must("customs", offer);
        let cancel = Command::CancelExport {
            transfer: TransferId(id),
            reason: "x".into(),
        };
        b.must("customs", cancel);
    }
    let engine = replica(&b);
    let steps = Records(&engine).border_steps(&code, 9).expect("a trail");
    let steps: Vec<Step> = steps.into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [Step::Admit]);
    let none = Records(&engine).border_steps(&code, 0).expect("a trail");
    assert!(none.len() <= 1);
}
