//! Replicas in one process, and what each makes of the others' marks.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::Entry;
use carnet_kit::Country;
use carnet_store::engine::{Batch, KvEngine};
use carnet_store::families::Family;
use carnet_store::keys;
use carnet_store::machine::{LogPosition, LogRecord, Payload};
use carnet_store::memory::MemoryEngine;
use carnet_store::records::to_stored;
use carnet_store::registry::RegistryState;

use super::*;

fn records(entries: &[Entry], from: usize) -> Vec<LogRecord> {
    let fresh = entries.iter().enumerate().skip(from);
    let record = |(at, entry): (usize, &Entry)| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index: at as u64 + 1,
        },
        payload: Payload::Entry(entry.to_bytes().into()),
    };
    fresh.map(record).collect()
}

fn open(engine: &MemoryEngine) -> RegistryState<MemoryEngine> {
    RegistryState::open(engine.clone()).expect("memory does not fail")
}

/// Once, the second did not know what it wrote: one word stood against one until the next day's digest.
#[test]
fn who_was_just_restarted_knows_and_the_odd_replica_is_found_at_the_next_seal() {
    let mut country = Country::with_market("86");
    let register = country.register(1);
    country.must("maker", register);
    country.seal();
    // What the restarted node applied since its newest seal it must know as well.
    let register = country.register(2);
    country.must("maker", register);
    let engines = [(); 3].map(|()| MemoryEngine::new());
    let mut states: Vec<_> = engines.iter().map(open).collect();
    for state in &states {
        let log = records(&country.entries, 0);
        state.apply(log).expect("memory does not fail");
    }
    let done = country.entries.len();
    states[1] = open(&engines[1]);
    // A byte in the memory of the third errs where no leaf tells of it.
    let mut worn = Batch::default();
    let key = keys::count_of_model(&country.model("0001", "100002"));
    worn.put(Family::Index, key, to_stored(&999_u64));
    engines[2].write(worn).expect("memory does not fail");
    let register = country.register(3);
    country.must("maker", register);
    country.seal();
    for state in &states {
        let log = records(&country.entries, done);
        state.apply(log).expect("memory does not fail");
    }
    let marks = |at: usize| states[at].marks(0).expect("memory does not fail");
    let voters = BTreeSet::from([1, 2, 3]);
    let size = country.registry().sealed.expect("sealed").size;
    for own in 0..3 {
        let mut ballots = Ballots::new(own as u64 + 1);
        ballots.hear_own(&marks(own));
        for other in (0..3).filter(|other| *other != own) {
            ballots.hear(other as u64 + 1, &marks(other));
        }
        let root = ballots.verdict((size, Compared::Root), &voters);
        assert_eq!(root, Verdict::Agreed, "the tree does not tell");
        let expected = match own {
            2 => Verdict::Minority,
            _ => Verdict::Agreed,
        };
        let writes = ballots.verdict((size, Compared::Writes), &voters);
        assert_eq!(writes, expected, "node {}", own + 1);
        assert_eq!(ballots.unsettled(&voters), None);
    }
}
