//! The real registry under the same faults: a script of signed entries, proposed by whoever leads until each is
//! acknowledged. An entry whose outcome is unknown is proposed again, so the registry's own answer to repetition is
//! tested too: every robot is registered once, and all replicas hold the same bytes.

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
    let mut seen: Vec<(u64, Option<u64>, &MemoryEngine)> = Vec::new();
    for (node, engine) in replicas {
        let Ok(applied) = applied::load(*engine) else {
            violations.push(format!("node {node} cannot say how far it is"));
            return false;
        };
        seen.push((*node, applied.last.map(|last| last.index), *engine));
    }
    let mut equal = true;
    for pair in seen.windows(2) {
        let [(one, at, left), (other, other_at, right)] = pair else {
            continue;
        };
        if at != other_at {
            equal = false;
        } else if contents(left) != contents(right) {
            violations.push(format!("nodes {one} and {other} differ at index {at:?}"));
        }
    }
    equal
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
