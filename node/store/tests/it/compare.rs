//! What replicas compare: the same log gives the same marks however it is cut and wherever it is kept, and a replica that
//! holds one byte differently has others.

use std::sync::Arc;

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::machine::entry::{Answer, Body, ItemAnswer};
use carnet_domain::record::Firmware;
use carnet_domain::record::keys::KeySignature;
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::rejection::Reason;
use carnet_kit::{Country, text};
use carnet_store::artefact::{StateEngine, StateSink, content_digest};
use carnet_store::compare::{Compared, Mark};
use carnet_store::engine::{Batch, KvEngine, KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::keys;
use carnet_store::machine::{LogRecord, Payload, Snapshot, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::records::to_stored;
use carnet_store::registry::RegistryState;

use crate::bench::{Disk, files_of, position};

fn update(country: &Country, serial: u32, build: u32) -> Command {
    let firmware = Firmware {
        family: "fw".into(),
        build,
    };
    Command::Act {
        code: country.code(serial),
        expected_sequence: None,
        action: Action::UpdateSoftware { firmware },
    }
}

/// A market, and three rounds of registrations and updates, each sealed and all but the last published.
fn country() -> Country {
    let mut country = Country::with_market("86");
    for round in 0..3 {
        for serial in 1..=5 {
            let register = country.register(10 * round + serial);
            country.command("maker", register);
            // Written twice between two seals, and in an entry with others.
            let updates = [1, 2].map(|build| update(&country, 10 * round + serial, build));
            let request = country.request("maker", &updates);
            country.ask(request);
        }
        let first = update(&country, 1, 100 + round);
        country.command("maker", first);
        country.advance(DurationMs::from_ms(60_000));
        country.seal();
        if round < 2 {
            country.publish();
        }
    }
    country
}

fn records(country: &Country) -> Vec<LogRecord> {
    let entries = country.entries.iter().zip(1..);
    let records = entries.map(|(entry, index)| LogRecord {
        position: position(index),
        payload: Payload::Entry(entry.to_bytes().into()),
    });
    records.collect()
}

fn apply<E: StateEngine>(
    state: &RegistryState<E>,
    records: &[LogRecord],
    run: usize,
) -> Vec<Answer> {
    let runs = records.chunks(run);
    let answers = runs.flat_map(|run| state.apply(run.to_vec()).expect("applied"));
    let answers = answers.map(|bytes| Answer::from_bytes(&bytes).expect("an answer"));
    answers.collect()
}

/// The marks of a new replica that applies this log in runs of so many records.
fn marks<E: StateEngine>(engine: E, records: &[LogRecord], run: usize) -> Vec<Mark> {
    let state = RegistryState::open(engine).expect("opens");
    apply(&state, records, run);
    state.marks(0).expect("marks")
}

/// The digests of one kind, by size.
fn of(what: Compared, marks: &[Mark]) -> Vec<(u64, Option<Vec<u8>>)> {
    let marks = marks.iter().filter(|mark| mark.what == what);
    let digests = marks.map(|mark| (mark.size, mark.digest.as_ref().map(|it| it.to_vec())));
    digests.collect()
}

#[test]
fn the_same_log_has_the_same_marks_however_it_is_cut_and_kept() {
    let records = records(&country());
    let one = marks(MemoryEngine::new(), &records, 1);
    assert_eq!(of(Compared::Root, &one).len(), 3);
    assert!(one.iter().all(|mark| mark.digest.is_some()), "{one:?}");
    for run in [2, 3, 7, records.len()] {
        assert_eq!(
            marks(MemoryEngine::new(), &records, run),
            one,
            "runs of {run}"
        );
        let disk = Disk::new();
        assert_eq!(
            marks(disk.create(), &records, run),
            one,
            "runs of {run}, on disk"
        );
    }
}

#[test]
fn an_interval_in_which_nothing_differs_has_the_same_digest_whatever_was_before_it() {
    let mut one = country();
    let mut other = country();
    // Told apart by one leaf, and alike again as far as writes go: the tree never is.
    let build = |country: &mut Country, build| {
        let update = update(country, 2, build);
        country.command("maker", update);
        country.seal();
    };
    build(&mut one, 1_000);
    build(&mut other, 1_001);
    let (one, other) = (records(&one), records(&other));
    let one = marks(MemoryEngine::new(), &one, 5);
    let other = marks(MemoryEngine::new(), &other, 9);
    for what in [Compared::Root, Compared::Writes] {
        let (one, other) = (of(what, &one), of(what, &other));
        assert_eq!(one.len(), 4);
        assert_eq!(one[..3], other[..3], "{what:?}");
        assert_eq!(one[3].0, other[3].0);
        assert_ne!(one[3].1, other[3].1, "{what:?}");
    }
}

/// An engine that gives back one byte of one session differently from what was written.
#[derive(Clone)]
struct Worn {
    sound: MemoryEngine,
    key: Vec<u8>,
}

impl KvRead for Worn {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        let mut found = self.sound.get(family, key)?;
        if let (Family::Sessions, true, Some(record)) = (family, key == self.key, &mut found) {
            // Once it was written again, the difference is there to stay. Of the session's nonce: no rule reads it again.
            let nonce = sha256(&[b"maker"]).0;
            if let Some(at) = record.windows(16).position(|bytes| bytes == &nonce[..16]) {
                record[at] ^= 1;
            }
        }
        Ok(found)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        self.sound.scan(family, from, to, count_max)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        self.sound.last(family, from, to)
    }
}

impl KvEngine for Worn {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        self.sound.write(batch)
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        self.sound.view()
    }
}

impl StateEngine for Worn {
    fn sync(&self) -> Result<(), StorageFault> {
        self.sound.sync()
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        self.sound.snapshot()
    }

    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault> {
        self.sound.receive()
    }
}

/// The tree does not show it: no leaf tells of sessions.
#[test]
fn one_byte_that_comes_back_differently_differs_at_the_seal_after_it_is_written_again() {
    let mut country = country();
    let key = keys::session(country.session("maker"));
    let records = records(&country);
    let sound = marks(MemoryEngine::new(), &records, 1);
    let worn = Worn {
        sound: MemoryEngine::new(),
        key,
    };
    let worn = marks(worn, &records, 1);
    assert_eq!(of(Compared::Root, &worn), of(Compared::Root, &sound));
    assert_ne!(of(Compared::Writes, &worn), of(Compared::Writes, &sound));
}

/// Once, a replica that had just started did not know what it wrote, and with one odd replica there was no majority.
#[test]
fn a_restart_between_any_two_records_changes_no_mark() {
    let records = records(&country());
    let whole = marks(MemoryEngine::new(), &records, 1);
    let seals: Vec<u64> = whole
        .iter()
        .filter(|mark| mark.what == Compared::Root)
        .map(|mark| mark.index)
        .collect();
    for at in 0..=records.len() {
        let (before, after) = records.split_at(at);
        let engine = MemoryEngine::new();
        apply(
            &RegistryState::open(engine.clone()).expect("opens"),
            before,
            4,
        );
        let state = RegistryState::open(engine).expect("opens again");
        // The newest seal is known at once, those before it are not.
        let passed = seals.iter().filter(|seal| **seal <= at as u64).count();
        let known = passed.saturating_sub(1);
        let at_start = state.marks(0).expect("marks");
        apply(&state, after, 4);
        let then = state.marks(0).expect("marks");
        for what in [Compared::Root, Compared::Writes] {
            let whole = of(what, &whole);
            assert_eq!(of(what, &at_start), whole[known..passed], "{what:?}, {at}");
            assert_eq!(of(what, &then), whole[known..], "{what:?}, {at}");
        }
    }
}

#[test]
fn a_restart_on_disk_changes_no_mark() {
    let records = records(&country());
    let whole = marks(MemoryEngine::new(), &records, 1);
    let (before, after) = records.split_at(records.len() - 3);
    let disk = Disk::new();
    let state = RegistryState::open(disk.create()).expect("opens");
    apply(&state, before, 4);
    state.engine().sync().expect("synced");
    drop(state);
    let engine = disk.open().expect("the directory");
    let state = RegistryState::open(engine).expect("opens again");
    apply(&state, after, 4);
    let then = state.marks(0).expect("marks");
    let newest = |marks: &[Mark]| of(Compared::Writes, marks).pop().expect("a seal");
    assert_eq!(newest(&then), newest(&whole));
}

/// One more seal, and the records since the first so many.
fn records_after(country: &mut Country, count: usize) -> Vec<LogRecord> {
    let register = country.register(1_000 + count as u32);
    country.command("maker", register);
    country.seal();
    records(country).split_off(count)
}

#[test]
fn a_snapshot_brings_the_digest_of_all_writes() {
    let mut country = country();
    let log = records(&country);
    let giver = RegistryState::open(MemoryEngine::new()).expect("opens");
    apply(&giver, &log, 3);
    let taker = RegistryState::open(MemoryEngine::new()).expect("opens");
    apply(&taker, &log[..20], 3);
    let files = files_of(&*giver.snapshot().expect("a snapshot"));
    let mut sink = taker.receive().expect("a sink");
    for (name, body) in &files {
        sink.write(name, 0, body).expect("a piece");
    }
    sink.finish().expect("whole");
    let newest = |state: &RegistryState<MemoryEngine>| {
        let marks = state.marks(0).expect("marks");
        [Compared::Root, Compared::Writes].map(|what| of(what, &marks).pop().expect("a seal"))
    };
    assert_eq!(newest(&taker), newest(&giver));
    assert_eq!(taker.marks(0).expect("marks").len(), 2);
    let more = records_after(&mut country, log.len());
    apply(&giver, &more, 1);
    apply(&taker, &more, 1);
    assert_eq!(newest(&taker), newest(&giver));
    assert!(newest(&taker).iter().all(|(_, digest)| digest.is_some()));
}

/// What differed once differs at every later seal, although nothing more is written differently.
#[test]
fn a_difference_is_seen_at_every_later_seal() {
    let mut country = country();
    let log = records(&country);
    let states = [(); 2].map(|()| RegistryState::open(MemoryEngine::new()).expect("opens"));
    let [sound, odd] = &states;
    let (before, after) = log.split_at(log.len() - 20);
    states
        .iter()
        .for_each(|state| drop(apply(state, before, 3)));
    // How many robots of the model there are: no leaf tells of it.
    let key = keys::count_of_model(&country.model("0001", "100002"));
    let count = odd.engine().get(Family::Index, &key).expect("read");
    assert!(count.is_some());
    let mut worn = Batch::default();
    worn.put(Family::Index, key.clone(), to_stored(&999_u64));
    odd.engine().write(worn).expect("written");
    states.iter().for_each(|state| drop(apply(state, after, 3)));
    // Sound again.
    let mut mended = Batch::default();
    let right = sound.engine().get(Family::Index, &key).expect("read");
    mended.put(Family::Index, key, right.expect("a count"));
    odd.engine().write(mended).expect("written");
    for _ in 0..2 {
        let done = country.entries.len();
        let more = records_after(&mut country, done);
        states.iter().for_each(|state| drop(apply(state, &more, 1)));
        let newest = |what| {
            let of_state = |state| of(what, &RegistryState::marks(state, 0).expect("marks")).pop();
            [of_state(sound), of_state(odd)]
        };
        let [sound, odd] = newest(Compared::Root);
        assert_eq!(sound, odd);
        let [sound, odd] = newest(Compared::Writes);
        assert_ne!(sound, odd);
    }
}

// ---- a signed head with another root ----

/// Appends the publication of a size with a root, signed by the log.
fn publish(country: &mut Country, size: u64, root: Digest) {
    let registry = country.registry();
    let origin = Origin {
        prefix: registry.prefix,
        incarnation: registry.incarnation,
    };
    let body = Checkpoint { origin, size, root }.body();
    let signature = country.key("log").sign(body.as_bytes());
    country.apply(Body::Publish {
        size,
        root,
        signatures: vec![KeySignature {
            key: country.key("log").public(),
            signature,
        }],
    });
}

#[test]
fn a_signed_head_with_another_root_ends_a_replica_at_every_start() {
    let mut country = country();
    let sealed = country.registry().sealed.expect("sealed");
    let good = records(&country);
    publish(&mut country, sealed.size, sha256(&[b"another"]));
    let register = country.register(77);
    country.command("maker", register);
    let rest = records(&country).split_off(good.len());
    let engine = MemoryEngine::new();
    let state = RegistryState::open(engine.clone()).expect("opens");
    apply(&state, &good, 5);
    assert_eq!(state.diverged(), None);
    for start in 0..3 {
        let state = RegistryState::open(engine.clone()).expect("opens");
        let before = content_digest(&engine).expect("a digest");
        let outcome = state.apply(rest.clone());
        let Err(StorageFault::Diverged(why)) = outcome else {
            panic!("start {start}: {outcome:?}");
        };
        let index = good.len() as u64 + 1;
        let place = format!("size {} at log index {index}", sealed.size);
        assert!(why.contains(&place), "{why}");
        assert!(why.contains(&sealed.root.to_string()), "{why}");
        assert_eq!(state.diverged(), Some(why));
        assert_eq!(
            content_digest(&engine).expect("a digest"),
            before,
            "nothing was written"
        );
    }
}

#[test]
fn a_late_or_unsigned_head_ends_nobody() {
    let mut country = country();
    let old = country.registry().published.expect("published");
    let sealed = country.registry().sealed.expect("sealed");
    country.publish();
    // Neither sealed nor published last by now: late, whatever it says.
    publish(&mut country, old.size, old.root);
    publish(&mut country, old.size, sha256(&[b"another"]));
    // The newest one again, as a leader that heard no answer proposes it.
    publish(&mut country, sealed.size, sealed.root);
    let state = RegistryState::open(MemoryEngine::new()).expect("opens");
    let answers = apply(&state, &records(&country), 6);
    for answer in &answers[answers.len() - 3..] {
        let [ItemAnswer::Refused { rejection }] = &answer.items[..] else {
            panic!("{}", text(&answer.items[0]));
        };
        assert_eq!(rejection.reason, Reason::NotSealed);
    }
    assert_eq!(state.diverged(), None);
}

// ---- the whole content ----

#[test]
fn the_whole_content_is_due_at_the_first_seal_of_each_period_on_every_replica() {
    let mut country = country();
    let mut sizes = Vec::new();
    for day in 0..3 {
        for seal in 0..2 {
            let register = country.register(200 + 10 * day + seal);
            country.command("maker", register);
            country.seal();
            if day > 0 && seal == 0 {
                sizes.push(country.registry().tree.size());
            }
        }
        country.advance(DurationMs::from_days(1));
    }
    let digests = |run: usize| {
        let engine = MemoryEngine::new();
        let state = RegistryState::open(engine.clone()).expect("opens");
        let state = state.content_every(86_400_000);
        // Days go by only where somebody may confirm the time.
        let voters = LogRecord {
            position: position(0),
            payload: crate::voters::membership(&[&carnet_kit::VOTERS]),
        };
        state.apply(vec![voters]).expect("applied");
        let mut found = Vec::new();
        for run in records(&country).chunks(run) {
            apply(&state, run, run.len());
            if let Some(content) = state.take_content() {
                found.push(content.size());
                let mut pages = 0;
                let stopped = content.digest(|_| {
                    pages += 1;
                    pages < 3
                });
                assert_eq!(stopped.expect("read"), None, "asked to end");
                let digest = content.digest(|_| true).expect("read").expect("whole");
                if run.len() == 1 {
                    // Nothing was written since.
                    assert_eq!(digest, content_digest(&engine).expect("read"));
                }
                state.digested(&content, digest);
            }
        }
        assert_eq!(found, sizes);
        of(Compared::Content, &state.marks(u64::MAX).expect("marks"))
    };
    let one = digests(1);
    assert_eq!(one.len(), 2);
    assert_eq!(digests(2), one);
}
