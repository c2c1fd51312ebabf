//! Repeated refusals in the log: the first in full, then counted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a refusal that goes on is named again, with how often it came.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Refusals told apart at once. Node ids come from certificates of this cluster, so this is far more than there are.
const REFUSALS_MAX: usize = 1024;

/// Refusals, by node and kind.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<(u64, &'static str), Counted>>);

struct Counted {
    since_said: u64,
    said: Instant,
}

/// What to write about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    First,
    Again(u64),
    Nothing,
}

impl Refusals {
    /// This node refused another, or was refused by it.
    pub(crate) fn note(&self, node: u64, kind: &'static str, text: &dyn Display) {
        match self.count(node, kind, Instant::now()) {
            Say::First => tracing::warn!(node, "{kind}: {text}"),
            Say::Again(times) => tracing::warn!(node, times, "{kind} again and again: {text}"),
            Say::Nothing => {}
        }
    }

    fn count(&self, node: u64, kind: &'static str, now: Instant) -> Say {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = known.get_mut(&(node, kind)) {
            counted.since_said += 1;
            if now.duration_since(counted.said) < SAY_AGAIN {
                return Say::Nothing;
            }
            counted.said = now;
            return Say::Again(std::mem::take(&mut counted.since_said));
        }
        if known.len() >= REFUSALS_MAX {
            known.clear();
        }
        let counted = Counted {
            since_said: 0,
            said: now,
        };
        known.insert((node, kind), counted);
        Say::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_goes_on_is_said_once_and_then_counted() {
        let refusals = Refusals::default();
        let first = Instant::now();
        let count = |node, after| refusals.count(node, "refused", first + after);
        assert_eq!(count(3, Duration::ZERO), Say::First);
        for _ in 0..1000 {
            assert_eq!(count(3, SAY_AGAIN / 2), Say::Nothing);
        }
        assert_eq!(count(4, Duration::ZERO), Say::First, "another node");
        assert_eq!(count(3, SAY_AGAIN), Say::Again(1001));
        assert_eq!(count(3, SAY_AGAIN), Say::Nothing);
    }
}
