//! The real registry under the same faults: a script of signed entries, proposed by whoever leads until each is
//! acknowledged. An entry whose outcome is unknown is proposed again, so the registry's own answer to repetition is
//! tested too: every robot is registered once, and all replicas hold the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{Handle, ProposeError, Role};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::Answer;
use carnet_kit::Country;
use carnet_store::applied;
use carnet_store::engine::{KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::keys;
use carnet_store::memory::MemoryEngine;
use carnet_store::records::Records;

use crate::history::Shared;
use crate::random::Random;
use crate::site::{Script, Site};

/// A country with a market, then robots of one maker; every tenth one closes the tree.
pub(crate) fn script(robots_count: u32) -> Script {
    let mut country = Country::with_market("86");
    let mut codes = Vec::new();
    for serial in 1..=robots_count {
        let registration = country.register(serial);
        country.command("maker", registration);
        codes.push(country.code(serial));
        if serial % 10 == 0 {
            country.seal();
        }
    }
    let entries = country
        .entries
        .iter()
        .map(|entry| Bytes::from(entry.to_bytes()))
        .collect();
    Script {
        entries,
        codes,
        next: AtomicUsize::new(0),
    }
}

impl Script {
    /// Entries acknowledged.
    pub(crate) fn done(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// Entries left.
    pub(crate) fn left(&self) -> usize {
        self.entries.len() - self.done()
    }
}

/// Proposes the script for as long as this node leads.
pub(crate) async fn recite(
    handle: Handle,
    script: Arc<Script>,
    history: Shared,
    mut random: Random,
) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(5, 120))).await;
        let at = script.done();
        let Some(entry) = script.entries.get(at) else {
            return;
        };
        if handle.status().standing.role != Role::Leader {
            continue;
        }
        match handle.propose(entry.clone()).await {
            Ok(done) => {
                let readable = Answer::from_bytes(&done.answer).is_ok();
                if script
                    .next
                    .compare_exchange(at, at + 1, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                {
                    history.note(format!("entry {at} at {:?}", done.position));
                }
                if !readable {
                    history
                        .lock()
                        .violations
                        .push(format!("the answer to entry {at} cannot be read"));
                }
            }
            Err(ProposeError::NotLeader { .. } | ProposeError::Unknown(_)) => {}
            Err(error) => history.note(format!("entry {at}: {error}")),
        }
    }
}

/// Replicas that have applied equally far must hold the same bytes. True if all have.
pub(crate) fn agree(replicas: &[(u64, &MemoryEngine)], violations: &mut Vec<String>) -> bool {
    // By applied index, whoever was seen there first.
    let mut seen: BTreeMap<Option<u64>, (u64, &MemoryEngine)> = BTreeMap::new();
    for (node, engine) in replicas {
        let Ok(applied) = applied::load(*engine) else {
            violations.push(format!("node {node} cannot say how far it is"));
            return false;
        };
        let at = applied.last.map(|last| last.index);
        let (first, other) = *seen.entry(at).or_insert((*node, *engine));
        if first != *node && contents(other) != contents(engine) {
            violations.push(format!("nodes {first} and {node} differ at index {at:?}"));
        }
    }
    seen.len() <= 1
}

/// By applied index, the digest of everything written up to there, and who was seen there first: cheap enough to be looked at
/// after every millisecond, and it holds whoever comes to that index against whoever was there before, however long ago.
#[derive(Debug, Default)]
pub(crate) struct Chains(BTreeMap<u64, (Vec<u8>, u64)>);

impl Chains {
    /// Looks where every replica stands.
    pub(crate) fn look(&mut self, replicas: &[(u64, &MemoryEngine)], violations: &mut Vec<String>) {
        for (node, engine) in replicas {
            let (Ok(applied), Ok(written)) = (
                applied::load(*engine),
                engine.get(Family::Meta, keys::WRITTEN),
            ) else {
                violations.push(format!("node {node} cannot say how far it is"));
                continue;
            };
            let Some(at) = applied.last.map(|last| last.index) else {
                continue;
            };
            let written = written.unwrap_or_default();
            let first = self.0.entry(at);
            let (known, other) = first.or_insert_with(|| (written.clone(), *node));
            if *known != written {
                violations.push(format!(
                    "nodes {other} and {node} have not written the same up to index {at}"
                ));
            }
        }
    }
}

/// Every acknowledged robot is there, on every replica.
pub(crate) fn complete(sites: &[Site], script: &Script, violations: &mut Vec<String>) {
    for site in sites {
        for code in &script.codes {
            if !matches!(Records(&site.engine).robot(code), Ok(Some(_))) {
                violations.push(format!("robot {code} is not on node {}", site.node));
            }
        }
    }
}

fn contents(engine: &MemoryEngine) -> Vec<Option<Vec<Pair>>> {
    Family::ALL
        .iter()
        .map(|family| engine.scan(*family, &[], None, usize::MAX).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_store::engine::{Batch, KvEngine};
    use carnet_store::machine::{Applied, LogPosition};

    /// A replica that has applied up to an index, with a digest of what it wrote and a robot.
    fn replica(index: u64, written: &[u8], robot: &[u8]) -> MemoryEngine {
        let engine = MemoryEngine::new();
        let mut batch = Batch::default();
        let last = LogPosition {
            term: 1,
            node: 1,
            index,
        };
        let position = Applied {
            last: Some(last),
            membership: None,
        };
        applied::store(&mut batch, &position);
        batch.put(Family::Meta, keys::WRITTEN.to_vec(), written.to_vec());
        batch.put(Family::Robots, b"robot".to_vec(), robot.to_vec());
        engine.write(batch).expect("in memory");
        engine
    }

    fn numbered(replicas: &[MemoryEngine]) -> Vec<(u64, &MemoryEngine)> {
        (1..).zip(replicas).collect()
    }

    /// Whoever stands between two in the order of their ids hides no difference of theirs.
    #[test]
    fn replicas_are_compared_by_where_they_stand_and_not_by_their_neighbours() {
        let replicas = [(5, b"a"), (6, b"b"), (5, b"c")];
        let replicas = replicas.map(|(index, robot)| replica(index, b"w", robot));
        let mut violations = Vec::new();
        assert!(!agree(&numbered(&replicas), &mut violations));
        assert_eq!(violations, ["nodes 1 and 3 differ at index Some(5)"]);
    }

    /// A difference is found when one comes to where another was, although that one has gone on since.
    #[test]
    fn a_replica_is_held_against_whoever_was_there_before() {
        let mut chains = Chains::default();
        let mut violations = Vec::new();
        let before = [replica(5, b"a", b""), replica(4, b"z", b"")];
        chains.look(&numbered(&before), &mut violations);
        assert_eq!(violations, Vec::<String>::new());
        let after = [replica(6, b"c", b""), replica(5, b"b", b"")];
        chains.look(&numbered(&after), &mut violations);
        let expected = "nodes 1 and 2 have not written the same up to index 5";
        assert_eq!(violations, [expected]);
    }
}
