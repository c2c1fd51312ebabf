//! How replication to a peer goes on: what it acknowledged, what it lacks, and how long to wait before the next attempt.
//!
//! openraft's replication asks again at once after some answers (a conflict, above all a conflict below what was
//! acknowledged, which it takes for impossible): against a peer that always answers so it never ends and never sleeps.
//! Here each session that brought nothing new lengthens the pause before the next, whatever ended it.
//!
//! Heartbeats have no back-off in openraft: one is sent at each beat; and each linearizable read asks the voters. To a peer
//! that cannot be reached, the next is tried only a beat after the last, however many reads there are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use carnet_store::identity::StoreId;
use carnet_store::machine::LogPosition;
use tokio::time::Instant;

use crate::connector::Purpose;

/// The paces of all peers.
pub(crate) struct Paces {
    /// Pause after the first session that brought nothing.
    pub(crate) retry_min: Duration,
    /// Longest pause.
    pub(crate) retry_max: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    failures: BTreeMap<(u64, Purpose), u32>,
    /// When the last heartbeat to a peer failed.
    missed: BTreeMap<u64, Instant>,
    progress: BTreeMap<u64, Progress>,
}

/// What a peer has said to one leader in one term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Progress {
    store: StoreId,
    term: u64,
    acked: Option<LogPosition>,
    /// The lowest index at which its log differed.
    conflict: Option<u64>,
    told: Option<Instant>,
}

/// What a conflict means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The search for the last common record goes on.
    Search,
    /// It lacks a record that it had acknowledged.
    WentBack(LogPosition),
    /// It was said before: the search goes in circles.
    Repeats,
}

impl Paces {
    pub(crate) fn new(retry_min: Duration, retry_max: Duration) -> Paces {
        Paces {
            retry_min,
            retry_max,
            inner: Mutex::default(),
        }
    }

    /// A leader of `term` begins a session. What was said to another leader, or by another store, counts no more.
    pub(crate) fn begin(&self, node: u64, store: StoreId, term: u64) {
        let mut inner = self.lock();
        let progress = inner.progress.entry(node).or_default();
        if (progress.store, progress.term) != (store, term) {
            *progress = Progress {
                store,
                term,
                ..Progress::default()
            };
        }
    }

    /// The peer acknowledged everything up to `at`.
    pub(crate) fn matched(&self, node: u64, purpose: Purpose, at: Option<LogPosition>) {
        let mut inner = self.lock();
        let progress = inner.progress.entry(node).or_default();
        if at > progress.acked {
            progress.acked = at;
            if progress.conflict <= at.map(|at| at.index) {
                progress.conflict = None;
            }
            inner.failures.remove(&(node, purpose));
        }
    }

    /// The peer's log differs at `at`.
    pub(crate) fn conflicted(&self, node: u64, at: LogPosition) -> Conflict {
        let mut inner = self.lock();
        let progress = inner.progress.entry(node).or_default();
        if let Some(acked) = progress.acked.filter(|acked| at.index <= acked.index) {
            return Conflict::WentBack(acked);
        }
        if progress.conflict.is_some_and(|lowest| at.index >= lowest) {
            return Conflict::Repeats;
        }
        progress.conflict = Some(at.index);
        Conflict::Search
    }

    /// What the peer acknowledged to this leader.
    pub(crate) fn acked(&self, node: u64) -> Option<LogPosition> {
        self.lock().progress.get(&node)?.acked
    }

    /// Whether it is time to tell the peer that its log went back.
    pub(crate) fn tell(&self, node: u64) -> bool {
        let mut inner = self.lock();
        let progress = inner.progress.entry(node).or_default();
        let due = progress
            .told
            .is_none_or(|told| told.elapsed() >= self.retry_max);
        if due {
            progress.told = Some(Instant::now());
        }
        due
    }

    /// A session brought nothing.
    pub(crate) fn failed(&self, node: u64, purpose: Purpose) {
        let mut inner = self.lock();
        let failures = inner.failures.entry((node, purpose)).or_default();
        *failures = failures.saturating_add(1);
    }

    /// A heartbeat did not arrive.
    pub(crate) fn missed(&self, node: u64) {
        self.lock().missed.insert(node, Instant::now());
    }

    /// A heartbeat arrived.
    pub(crate) fn beaten(&self, node: u64) {
        self.lock().missed.remove(&node);
    }

    /// Whether to try another heartbeat.
    pub(crate) fn may_beat(&self, node: u64) -> bool {
        self.until_beat(node).is_zero()
    }

    /// How long not to try another heartbeat, or another question about a read. A little early is right: beats are not
    /// that even.
    pub(crate) fn until_beat(&self, node: u64) -> Duration {
        let missed = self.lock().missed.get(&node).copied();
        missed.map_or(Duration::ZERO, |at| {
            (self.retry_min * 3 / 4).saturating_sub(at.elapsed())
        })
    }

    /// How long to wait before the next session.
    pub(crate) fn pause(&self, node: u64, purpose: Purpose) -> Duration {
        let failures = self.lock().failures.get(&(node, purpose)).copied();
        // 2^16 heartbeats are beyond any longest pause.
        let doublings = failures.unwrap_or(0).saturating_sub(1).min(16);
        self.retry_min
            .saturating_mul(1 << doublings)
            .min(self.retry_max)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId([1; 16]);

    fn paces() -> Paces {
        let paces = Paces::new(Duration::from_millis(10), Duration::from_millis(100));
        paces.begin(2, STORE, 5);
        paces
    }

    fn at(index: u64) -> LogPosition {
        LogPosition {
            term: 5,
            node: 1,
            index,
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_progress() {
        let paces = paces();
        let pauses: Vec<u128> = (0..6)
            .map(|_| {
                paces.failed(2, Purpose::Append);
                paces.pause(2, Purpose::Append).as_millis()
            })
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 100, 100]);
        for _ in 0..100_000 {
            paces.failed(2, Purpose::Append);
        }
        assert_eq!(paces.pause(2, Purpose::Append), paces.retry_max);
        paces.matched(2, Purpose::Append, Some(at(7)));
        assert_eq!(paces.pause(2, Purpose::Append), paces.retry_min);
        paces.failed(2, Purpose::Append);
        paces.failed(2, Purpose::Append);
        paces.matched(2, Purpose::Append, Some(at(7)));
        assert_eq!(
            paces.pause(2, Purpose::Append).as_millis(),
            20,
            "the same answer again is no progress"
        );
    }

    #[test]
    fn a_search_goes_down_and_never_below_what_was_acknowledged() {
        let paces = paces();
        assert_eq!(paces.conflicted(2, at(90)), Conflict::Search);
        assert_eq!(paces.conflicted(2, at(40)), Conflict::Search);
        assert_eq!(paces.conflicted(2, at(40)), Conflict::Repeats);
        assert_eq!(paces.conflicted(2, at(60)), Conflict::Repeats);
        paces.matched(2, Purpose::Append, Some(at(20)));
        assert_eq!(paces.conflicted(2, at(30)), Conflict::Search);
        assert_eq!(paces.conflicted(2, at(20)), Conflict::WentBack(at(20)));
        assert_eq!(paces.conflicted(2, at(3)), Conflict::WentBack(at(20)));
        paces.begin(2, STORE, 6);
        assert_eq!(paces.conflicted(2, at(3)), Conflict::Search, "a new leader");
    }
}
