//! An entry at which the rules panic: its chunk is dropped whole, everything before it stands, and the roots can have it
//! skipped. The panic comes from the engine under the rules, when a marked key is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::{Body, Entry};
use carnet_domain::machine::order::{Skip, entry_digest};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Signed;
use carnet_kit::{Country, befriend, transfer};
use carnet_store::artefact::{StateEngine, StateSink, content_digest};
use carnet_store::engine::{Batch, KvEngine, KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::keys;
use carnet_store::machine::{Applied, LogPosition, LogRecord, Payload, Snapshot, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::records::Records;
use carnet_store::registry::RegistryState;
use carnet_store::skips::{OrderError, OrderStanding};

use crate::bench::Disk;

/// An engine that panics when the record of a marked robot is read, so many times.
#[derive(Clone)]
struct Poisoned<E> {
    engine: Arc<E>,
    key: Vec<u8>,
    panics_left: Arc<AtomicU32>,
}

impl<E: StateEngine> KvRead for Poisoned<E> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        if family == Family::Robots && key == self.key {
            let left = self.panics_left.load(Ordering::Relaxed);
            self.panics_left
                .store(left.saturating_sub(1), Ordering::Relaxed);
            assert!(left == 0, "the marked robot");
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

impl<E: StateEngine> KvEngine for Poisoned<E> {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        self.engine.write(batch)
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        self.engine.view()
    }
}

impl<E: StateEngine> StateEngine for Poisoned<E> {
    fn sync(&self) -> Result<(), StorageFault> {
        self.engine.sync()
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        self.engine.snapshot()
    }

    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault> {
        self.engine.receive()
    }
}

/// A log in which one registration is marked, and where.
struct Story {
    country: Country,
    records: Vec<LogRecord>,
    at: usize,
}

const MARKED: u32 = 5;
const ALWAYS: u32 = u32::MAX;

impl Story {
    fn new() -> Self {
        let mut country = Country::with_market("86");
        let mut at = 0;
        for serial in 1..=8 {
            if serial == MARKED {
                // The session of the maker is open since its first command, so this is the registration itself.
                at = country.entries.len();
            }
            country.must("maker", country.register(serial));
        }
        country.seal();
        let records = (3..).zip(&country.entries).map(|(index, entry)| LogRecord {
            position: LogPosition {
                term: 2,
                node: 1,
                index,
            },
            payload: Payload::Entry(entry.to_bytes().into()),
        });
        let records = records.collect();
        Self {
            country,
            records,
            at,
        }
    }

    fn entry(&self) -> &[u8] {
        match &self.records[self.at].payload {
            Payload::Entry(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn index(&self) -> u64 {
        self.records[self.at].position.index
    }

    fn skip(&self) -> Skip {
        Skip {
            cluster: self.country.registry().cluster,
            log_index: self.index(),
            entry: entry_digest(self.entry()),
        }
    }

    fn signed(&self, skip: &Skip, roots: [&str; 2]) -> Signed {
        let signatures = roots.map(|root| skip.sign(&self.country.key(root)));
        Signed {
            signatures: signatures.to_vec(),
            ..skip.unsigned()
        }
    }

    fn poisoned<E: StateEngine>(&self, engine: E, panics: u32) -> RegistryState<Poisoned<E>> {
        let engine = Poisoned {
            engine: Arc::new(engine),
            key: keys::robot(&self.country.code(MARKED)),
            panics_left: Arc::new(AtomicU32::new(panics)),
        };
        RegistryState::open(engine).expect("it opens")
    }
}

fn applied<E: StateEngine>(state: &RegistryState<E>) -> Applied {
    state.applied().expect("a read")
}

fn digest<E: StateEngine>(state: &RegistryState<E>) -> [u8; 32] {
    content_digest(state.engine()).expect("a digest")
}

/// The digest of a replica that never panics and applies these records, with these orders.
fn sound(story: &Story, records: &[LogRecord], orders: Vec<Signed>) -> [u8; 32] {
    let state = story.poisoned(MemoryEngine::new(), 0);
    state.set_orders(orders);
    for record in records {
        state.apply(vec![record.clone()]).expect("a write");
    }
    digest(&state)
}

/// Runs a check over both engines.
fn on_each(check: impl Fn(&Story, &dyn Fn(u32) -> Box<dyn Replica>)) {
    let story = Story::new();
    check(&story, &|panics| {
        Box::new(story.poisoned(MemoryEngine::new(), panics))
    });
    let disks = std::cell::RefCell::new(Vec::new());
    check(&story, &|panics| {
        let disk = Disk::new();
        let state = story.poisoned(disk.create(), panics);
        disks.borrow_mut().push(disk);
        Box::new(state)
    });
}

/// What the checks ask of a replica, whatever its engine.
trait Replica: StateMachine {
    fn digest(&self) -> [u8; 32];
    fn at(&self) -> Option<u64>;
    fn orders(&self, orders: Vec<Signed>);
    fn judge(&self, signed: &Signed) -> Result<OrderStanding, OrderError>;
    fn repeated(&self, body: &[u8]) -> Option<u64>;
    fn has(&self, story: &Story, serial: u32) -> bool;
}

impl<E: StateEngine> Replica for RegistryState<Poisoned<E>> {
    fn digest(&self) -> [u8; 32] {
        digest(self)
    }

    fn at(&self) -> Option<u64> {
        applied(self).last.map(|last| last.index)
    }

    fn orders(&self, orders: Vec<Signed>) {
        self.set_orders(orders);
    }

    fn judge(&self, signed: &Signed) -> Result<OrderStanding, OrderError> {
        self.judge_order(signed)
    }

    fn repeated(&self, body: &[u8]) -> Option<u64> {
        self.was_skipped(|| body.to_vec())
    }

    fn has(&self, story: &Story, serial: u32) -> bool {
        let code = story.country.code(serial);
        let robot = Records(&*self.engine().engine).robot(&code);
        robot.expect("a read").is_some()
    }
}

#[test]
fn a_run_that_panics_is_applied_up_to_the_entry_that_panics_alone() {
    on_each(|story, replica| {
        let state = replica(ALWAYS);
        let answers = state.apply(story.records.clone()).expect("no fault");
        assert_eq!(answers.len(), story.at, "nothing from the poisoned one on");
        let stands = state.stands_before().expect("it stands still");
        assert_eq!(stands.position, story.records[story.at].position);
        assert_eq!(stands.digest, entry_digest(story.entry()));
        assert_eq!(stands.why, "the marked robot");
        assert_eq!(
            stands.to_string(),
            format!(
                "stopped before log entry {}, digest {}: see the runbook poisoned-entry",
                story.index(),
                stands.digest
            )
        );
        assert_eq!(state.at(), Some(story.index() - 1));
        let before = sound(story, &story.records[..story.at], Vec::new());
        assert_eq!(state.digest(), before, "every byte as of the entry before");
        assert!(state.has(story, MARKED - 1) && !state.has(story, MARKED + 1));

        // Asked again, it stands where it stood, and a snapshot of it is sound.
        let again = state.apply(story.records[story.at..].to_vec());
        assert_eq!(again.expect("no fault"), Vec::<bytes::Bytes>::new());
        assert_eq!(state.digest(), before);
        let snapshot = state.snapshot().expect("a snapshot");
        let last = snapshot.applied().last.map(|last| last.index);
        assert_eq!(last, Some(story.index() - 1));
    });
}

#[test]
fn a_panic_that_does_not_come_again_leaves_the_bytes_of_every_other_replica() {
    on_each(|story, replica| {
        let state = replica(1);
        let answers = state.apply(story.records.clone()).expect("no fault");
        assert_eq!(answers.len(), story.records.len());
        assert_eq!(state.stands_before(), None);
        assert_eq!(state.digest(), sound(story, &story.records, Vec::new()));
    });
}

#[test]
fn an_order_of_the_roots_leaves_the_same_bytes_on_every_replica() {
    on_each(|story, replica| {
        let skip = story.skip();
        let early = story.signed(&skip, ["root-0", "root-1"]);
        let late = story.signed(&skip, ["root-2", "root-0"]);

        // Two replicas stood still and were given the order afterwards, signed by different roots; one that would not
        // have panicked had it before; a fourth did not stop at all.
        let first = replica(ALWAYS);
        first.apply(story.records.clone()).expect("no fault");
        assert_eq!(first.judge(&early).expect("it waits"), OrderStanding::Waits);
        first.orders(vec![early.clone()]);
        let answers = first.apply(story.records[story.at..].to_vec());
        let answers = answers.expect("no fault");
        assert_eq!(answers.len(), story.records.len() - story.at);
        assert!(answers[0].is_empty(), "nobody is told that it was done");
        assert_eq!(first.stands_before(), None);
        assert!(!first.has(story, MARKED) && first.has(story, MARKED + 1));

        let second = replica(ALWAYS);
        second.orders(vec![early.clone(), late.clone()]);
        second.apply(story.records.clone()).expect("no fault");
        let healthy = replica(0);
        healthy.orders(vec![late.clone()]);
        healthy.apply(story.records.clone()).expect("no fault");
        let expected = sound(story, &story.records, vec![late.clone()]);
        for state in [&first, &second, &healthy] {
            assert_eq!(state.digest(), expected);
            for order in [&early, &late] {
                let standing = state.judge(order).expect("it was followed");
                assert_eq!(standing, OrderStanding::Followed);
            }
        }
        assert_ne!(expected, sound(story, &story.records, Vec::new()));

        // The same request again is known, under whichever stamp; another is not.
        let body = story.country.entries[story.at].body.to_bytes();
        assert_eq!(first.repeated(&body), Some(story.index()));
        let other = story.country.entries[story.at + 1].body.to_bytes();
        assert_eq!(first.repeated(&other), None);
        assert_eq!(first.repeated(&[]), None);
    });
}

#[test]
fn a_replica_that_applied_the_entry_refuses_the_order_and_changes_nothing() {
    on_each(|story, replica| {
        let state = replica(0);
        state.apply(story.records.clone()).expect("no fault");
        let before = state.digest();
        let signed = story.signed(&story.skip(), ["root-0", "root-1"]);
        state.orders(vec![signed.clone()]);
        let refused = state.judge(&signed).expect_err("it is past that");
        assert!(
            matches!(refused, OrderError::AppliedOtherwise { log_index } if log_index == story.index()),
            "{refused}"
        );
        assert_eq!(state.apply(Vec::new()).expect("no fault").len(), 0);
        assert_eq!(state.digest(), before);
    });
}

#[test]
fn an_order_that_is_wrong_moves_nothing() {
    on_each(|story, replica| {
        let skip = story.skip();
        let one_root = Signed {
            signatures: vec![skip.sign(&story.country.key("root-0"))],
            ..skip.unsigned()
        };
        let other_entry = Skip {
            entry: entry_digest(b"another"),
            ..skip.clone()
        };
        let other_cluster = Skip {
            cluster: [9; 16],
            ..skip.clone()
        };
        let state = replica(ALWAYS);
        state.apply(story.records.clone()).expect("no fault");
        let before = state.digest();
        let cases = [
            (one_root, "not signed by 2 of the 3 roots"),
            (
                story.signed(&other_entry, ["root-0", "root-1"]),
                "has digest",
            ),
            (
                story.signed(&other_cluster, ["root-0", "root-1"]),
                "meant for cluster",
            ),
        ];
        for (signed, why) in cases {
            let refused = state.judge(&signed).expect_err(why).to_string();
            assert!(refused.contains(why), "{refused}");
            state.orders(vec![signed]);
            let answers = state.apply(story.records[story.at..].to_vec());
            assert!(answers.expect("no fault").is_empty());
            assert_eq!(state.digest(), before);
        }
        let unborn = replica(ALWAYS);
        let signed = story.signed(&skip, ["root-0", "root-1"]);
        let refused = unborn.judge(&signed).expect_err("no roots").to_string();
        assert!(refused.starts_with("no roots are known"), "{refused}");
    });
}

/// What was skipped is replicated state: a replica that came by a snapshot knows it without a file.
#[test]
fn a_replica_that_came_by_a_snapshot_needs_no_file() {
    let story = Story::new();
    let signed = story.signed(&story.skip(), ["root-0", "root-1"]);
    let state = story.poisoned(MemoryEngine::new(), ALWAYS);
    state.set_orders(vec![signed.clone()]);
    state.apply(story.records.clone()).expect("no fault");
    let files = crate::bench::files_of(&*state.snapshot().expect("a snapshot"));
    let fresh = story.poisoned(MemoryEngine::new(), ALWAYS);
    crate::bench::install_into(fresh.receive().expect("a sink"), &files).expect("an install");
    assert_eq!(digest(&fresh), digest(&state));
    let standing = fresh.judge_order(&signed).expect("it was followed");
    assert_eq!(standing, OrderStanding::Followed);
    let body = story.country.entries[story.at].body.to_bytes();
    assert_eq!(fresh.was_skipped(|| body), Some(story.index()));
}

/// The same item comes again under the peer's next checkpoint, in other bytes.
#[test]
fn skipped_mail_in_other_bytes_is_known_to_break_until_the_program_is_repaired() {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut a, &mut b);
    a.must("maker", a.register(1));
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let cursor = peer.expect("a peer").cursor;
    let stamp = b.entries.last().expect("entries").stamp.clone();
    let mail = |a: &mut Country| {
        a.close();
        let batch = a.mail(&b.prefix, 0, cursor).expect("mail");
        Entry {
            stamp: stamp.clone(),
            body: Body::Foreign { batch },
        }
    };
    let panics_left = Arc::new(AtomicU32::new(ALWAYS));
    let state = RegistryState::open(Poisoned {
        engine: Arc::new(MemoryEngine::new()),
        key: keys::robot(&a.code(1)),
        panics_left: Arc::clone(&panics_left),
    })
    .expect("it opens");
    let mut index = 2;
    let mut record = |entry: &Entry| {
        index += 1;
        LogRecord {
            position: LogPosition {
                term: 2,
                node: 1,
                index,
            },
            payload: Payload::Entry(entry.to_bytes().into()),
        }
    };
    for entry in &b.entries {
        let answers = state.apply(vec![record(entry)]).expect("no fault");
        assert_eq!(answers.len(), 1);
    }
    assert_eq!(state.skipped_mail_of(a.prefix), None);

    let first = mail(&mut a);
    let poisoned = record(&first);
    let answers = state.apply(vec![poisoned.clone()]).expect("no fault");
    assert!(answers.is_empty() && state.stands_before().is_some());
    let skip = Skip {
        cluster: b.registry().cluster,
        log_index: poisoned.position.index,
        entry: entry_digest(&first.to_bytes()),
    };
    let signatures = ["root-0", "root-1"].map(|root| skip.sign(&b.key(root)));
    state.set_orders(vec![Signed {
        signatures: signatures.to_vec(),
        ..skip.unsigned()
    }]);
    let answers = state.apply(vec![poisoned]).expect("no fault");
    assert!(answers.len() == 1 && state.stands_before().is_none());

    // The peer goes on writing, and nothing of it is for us.
    a.must("maker", a.register(10));
    let second = mail(&mut a);
    assert_eq!(state.was_skipped(|| second.body.to_bytes()), None);
    assert_eq!(state.skipped_mail_of(a.prefix), Some(skip.log_index));
    assert_eq!(state.skipped_mail_of(b.prefix), None);
    let before = digest(&state);
    assert!(state.breaks_on(&second).expect("a read"));
    assert_eq!(digest(&state), before, "nothing is written");
    assert_eq!(state.stands_before(), None, "and it does not stand");

    // A repaired program takes it.
    panics_left.store(0, Ordering::Relaxed);
    assert!(!state.breaks_on(&second).expect("a read"));
    assert_eq!(digest(&state), before, "nothing is written");
    let answers = state.apply(vec![record(&second)]).expect("no fault");
    assert_eq!(answers.len(), 1);
}
