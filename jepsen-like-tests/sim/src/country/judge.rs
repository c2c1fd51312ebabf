//! What must hold, and when it is looked at.
//!
//! After every simulated millisecond, of every node: a head that is published was signed by the log key, of each size there is
//! one root, log time stands no further above an honest clock than it may, a node that did not crash never publishes less, and
//! whoever comes to an applied index has written what all had written who were there before.
//! Twice a second: replicas that have come equally far hold the same bytes. At the end: every acknowledged robot is on every
//! node, under the published head, and every head that was ever signed or shown is one of the tree that all of them hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::{CEILING_AHEAD, CLOCKS_AGREE};
use carnet_domain::log::checkpoint::Checkpoint;
use carnet_domain::log::leaf::leaf_bytes_hash;
use carnet_domain::log::merkle::Frontier;
use carnet_domain::record::registry::{Registry, Sealed};
use carnet_store::memory::MemoryEngine;
use carnet_store::records::Records;

use crate::country::books::Pages;
use crate::country::ground::Ground;
use crate::country::node::Place;
use crate::registry::Chains;
use crate::site::{SKEW_MS, honest};

/// How far log time may stand above an honest clock.
const AHEAD_MAX: DurationMs =
    DurationMs(CEILING_AHEAD.as_ms() + CLOCKS_AGREE.as_ms() + 2 * SKEW_MS.unsigned_abs());
/// Leaves read at once.
const LEAVES_READ_MAX: usize = 1_024;

pub(crate) struct Judge {
    ground: Arc<Ground>,
    /// By size, the root that a node sealed.
    roots: BTreeMap<u64, Digest>,
    /// By node, what it had published, and after how many crashes.
    published: BTreeMap<u64, (u64, u64)>,
    chains: Chains,
}

impl Judge {
    pub(crate) fn new(ground: &Arc<Ground>) -> Self {
        Self {
            ground: Arc::clone(ground),
            roots: BTreeMap::new(),
            published: BTreeMap::new(),
            chains: Chains::default(),
        }
    }

    pub(crate) fn look(&mut self, places: &[Place], now_ms: u64, violations: &mut Vec<String>) {
        self.chains.look(&replicas(places), violations);
        for place in places {
            let Some(registry) = registry(place) else {
                continue;
            };
            let ahead = registry
                .log_time
                .since(honest(now_ms + self.ground.ahead_ms()));
            if ahead > AHEAD_MAX {
                violations.push(format!(
                    "log time of node {} is {ahead} ahead of an honest clock",
                    place.node
                ));
            }
            for sealed in [&registry.sealed, &registry.published]
                .into_iter()
                .flatten()
            {
                self.one_root(place, sealed, violations);
            }
            if let Some(published) = &registry.published {
                self.was_signed(place, published, violations);
                self.goes_on(place, published, violations);
            }
        }
    }

    fn one_root(&mut self, place: &Place, sealed: &Sealed, violations: &mut Vec<String>) {
        let known = self.roots.entry(sealed.size).or_insert(sealed.root);
        if *known != sealed.root {
            violations.push(format!(
                "node {} sealed size {} with root {}, another with {known}",
                place.node, sealed.size, sealed.root
            ));
        }
    }

    fn goes_on(&mut self, place: &Place, published: &Sealed, violations: &mut Vec<String>) {
        let now = (place.crashes.load(Ordering::Relaxed), published.size);
        let before = self.published.insert(place.node, now).unwrap_or(now);
        if now.0 == before.0 && now.1 < before.1 {
            violations.push(format!(
                "node {} had published size {}, and now {}",
                place.node, before.1, now.1
            ));
        }
    }

    fn was_signed(&self, place: &Place, published: &Sealed, violations: &mut Vec<String>) {
        let text = head(&self.ground, published.size, published.root);
        let signed = self.ground.signed();
        if signed.get(&published.size) != Some(&text) {
            violations.push(format!(
                "node {} has published size {}, which was not signed",
                place.node, published.size
            ));
        }
    }
}

fn head(ground: &Ground, size: u64, root: Digest) -> String {
    let origin = ground.origin();
    Checkpoint { origin, size, root }.body()
}

fn registry(place: &Place) -> Option<Registry> {
    Records(&place.engine).registry().ok().flatten()
}

/// The state of every node.
pub(crate) fn replicas(places: &[Place]) -> Vec<(u64, &MemoryEngine)> {
    places
        .iter()
        .map(|place| (place.node, &place.engine))
        .collect()
}

/// Whether every leaf is under the published head, on every node.
pub(crate) fn is_published(places: &[Place]) -> bool {
    places.iter().all(|place| {
        registry(place).is_some_and(|registry| {
            let published = registry.published.map(|published| published.size);
            registry.unsealed == 0 && published == registry.sealed.map(|sealed| sealed.size)
        })
    })
}

/// What is judged when everybody has come to the same.
pub(crate) fn at_the_end(
    ground: &Ground,
    places: &[Place],
    pages: &Pages,
    violations: &mut Vec<String>,
) {
    for place in places {
        let published = registry(place).and_then(|registry| registry.published);
        let published = published.map_or(0, |published| published.size);
        for (code, leaf) in &pages.acknowledged {
            if !matches!(Records(&place.engine).robot(code), Ok(Some(_))) {
                violations.push(format!("robot {code} is not on node {}", place.node));
            }
            if published <= *leaf {
                violations.push(format!(
                    "robot {code} has leaf {leaf}, node {} has published {published}",
                    place.node
                ));
            }
        }
    }
    let mut roots = match places.first().map_or(Ok(BTreeMap::new()), tree) {
        Ok(roots) => roots,
        Err(why) => return violations.push(format!("the log cannot be read: {why}")),
    };
    let signed = ground.signed().clone();
    let shown = pages.heads.values().map(|head| (head.size, head.body()));
    for (size, text) in signed.into_iter().chain(shown) {
        let root = roots.entry(size).or_insert(Digest::ZERO);
        if head(ground, size, *root) != text {
            violations.push(format!(
                "the head of size {size} is of no tree that anybody holds"
            ));
        }
    }
}

/// The root of the log at every size.
fn tree(place: &Place) -> Result<BTreeMap<u64, Digest>, String> {
    let mut roots = BTreeMap::new();
    let mut frontier = Frontier::new();
    loop {
        let from = frontier.size();
        let leaves = Records(&place.engine)
            .leaves(from, u64::MAX, LEAVES_READ_MAX)
            .map_err(|error| error.to_string())?;
        if leaves.is_empty() {
            return Ok(roots);
        }
        for leaf in leaves {
            frontier.append(leaf_bytes_hash(&leaf.leaf.0));
            roots.insert(frontier.size(), frontier.root());
        }
    }
}
