//! Who may confirm a time at an entry: the voters of the membership that stands before it in the log.

use std::collections::BTreeSet;

use bytes::Bytes;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::leaf::EntrySeed;
use carnet_domain::machine::entry::{Answer, Body, ClockReading, Entry, Stamp};
use carnet_kit::{Country, beginning, text};
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::RegistryState;

/// A membership record as the consensus crate begins it, of voters alone.
pub(crate) fn membership(sets: &[&[u64]]) -> Payload {
    let mut bytes = vec![1];
    bytes.extend((sets.len() as u32).to_be_bytes());
    for set in sets {
        bytes.extend((set.len() as u32).to_be_bytes());
        bytes.extend(set.iter().flat_map(|voter| voter.to_be_bytes()));
    }
    let members: BTreeSet<u64> = sets.iter().flat_map(|set| set.iter().copied()).collect();
    bytes.extend((members.len() as u32).to_be_bytes());
    bytes.extend(members.iter().flat_map(|member| member.to_be_bytes()));
    Payload::Membership(Bytes::from(bytes))
}

fn confirmed(seconds: u64, nodes: &[u64]) -> Payload {
    let to = beginning().saturating_add(DurationMs::from_secs(seconds));
    let reading = |node: &u64| ClockReading {
        node: *node,
        at: to,
        round_trip: DurationMs(3),
    };
    let body = Body::AdvanceTime {
        to,
        readings: nodes.iter().map(reading).collect(),
    };
    let stamp = Stamp {
        at: TimeMs::MAX,
        seed: EntrySeed([0; 32]),
    };
    Payload::Entry(Entry { stamp, body }.to_bytes().into())
}

struct Log {
    state: RegistryState<MemoryEngine>,
    index: u64,
}

impl Log {
    /// Applies payloads as one run and says what became of each; nothing for a membership.
    fn apply(&mut self, payloads: Vec<Payload>) -> Vec<String> {
        let records = payloads.into_iter().map(|payload| {
            self.index += 1;
            LogRecord {
                position: LogPosition {
                    term: 1,
                    node: 1,
                    index: self.index,
                },
                payload,
            }
        });
        let records = records.collect();
        let answers = self.state.apply(records).expect("memory does not fail");
        let said = answers.into_iter().map(|bytes| {
            let Ok(answer) = Answer::from_bytes(&bytes) else {
                return String::new();
            };
            let said = answer.items.first().map(text).unwrap_or_default();
            said.split(':').next().unwrap_or_default().to_owned()
        });
        said.collect()
    }
}

#[test]
fn the_voters_at_an_entry_confirm_its_time_and_no_others() {
    let engine = MemoryEngine::new();
    let mut log = Log {
        state: RegistryState::open(engine.clone()).expect("memory does not fail"),
        index: 0,
    };
    let genesis = Country::new("86").entries.swap_remove(0);
    let said = log.apply(vec![
        Payload::Entry(genesis.to_bytes().into()),
        confirmed(60, &[1, 2]),
        membership(&[&[1, 2, 3]]),
        confirmed(60, &[1, 2]),
        confirmed(120, &[1]),
        membership(&[&[1, 2, 3], &[3, 4, 5]]),
        confirmed(180, &[1, 2, 3]),
        confirmed(180, &[2, 3, 4]),
        membership(&[&[3, 4, 5]]),
        confirmed(240, &[1, 2]),
        confirmed(240, &[4, 5]),
    ]);
    let (no, yes, change) = ("ClocksDisagree", "nothing", "");
    assert_eq!(
        said,
        [
            "done", no, change, yes, no, change, no, yes, change, no, yes
        ]
    );

    // A restart, or another chunk, knows the voters from the state.
    log.state = RegistryState::open(engine).expect("memory does not fail");
    assert_eq!(log.apply(vec![confirmed(300, &[1, 2])]), [no]);
    assert_eq!(log.apply(vec![confirmed(300, &[3, 4])]), [yes]);
}
