//! The log that a client believes, and the largest head of it that the client saw.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::record::keys::{KeyHistory, KeyRole};
use carnet_trust::bundle::PinnedBundle;

use crate::clock::{now, wall_time};
use crate::error::ClientError;
use crate::pin::{Pin, PinError};

/// The log that a client believes: what is pinned of the registry it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    prefix: Prefix,
    incarnation: Option<u64>,
    keys: KeyHistory,
}

impl Log {
    /// The log of a country under its log key. Which life of its cluster it is, the first answer tells, and the signature is
    /// over it; a client keeps to that one.
    pub fn new(prefix: Prefix, key: PublicKey) -> Self {
        Self::of_keys(prefix, [key])
    }

    /// As [`Log::new`], where one log key follows another: a head is believed that any of them signed. Whoever knows both before the
    /// registry retires the old one notices nothing of it.
    pub fn of_keys(prefix: Prefix, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self {
            prefix,
            incarnation: None,
            keys: KeyHistory::of_log_keys(keys),
        }
    }

    /// The log of one life of a cluster: a registry that was restored since is refused until this is told.
    #[must_use]
    pub fn of_life(self, incarnation: u64) -> Self {
        Self {
            incarnation: Some(incarnation),
            ..self
        }
    }

    /// As a bundle that the country's roots signed names it: each head is held to the keys of its time.
    pub fn of_bundle(bundle: &PinnedBundle) -> Self {
        let origin = bundle.origin();
        Self {
            prefix: origin.prefix,
            incarnation: Some(origin.incarnation),
            keys: bundle.bundle().keys.clone(),
        }
    }

    /// The log of one life of a cluster whose keys through time are known: each head is held to those of its time.
    pub fn of_history(prefix: Prefix, incarnation: u64, keys: KeyHistory) -> Self {
        Self {
            prefix,
            incarnation: Some(incarnation),
            keys,
        }
    }

    pub(crate) fn keys(&self) -> &KeyHistory {
        &self.keys
    }

    /// Whether it is the log that a bundle names: one of its keys is in use there.
    pub(crate) fn is_of(&self, bundle: &PinnedBundle) -> bool {
        let mut theirs = bundle.bundle().keys.active(KeyRole::Log);
        let ours = |key: &PublicKey| self.keys.entry(KeyRole::Log, key).is_some();
        self.prefix == bundle.primary() && theirs.any(|entry| ours(&entry.key))
    }

    /// Which log an answer must be of: of the life that is pinned, or of that of the head seen before.
    pub(crate) fn origin(&self, seen: Option<&Pin>, shown: &Origin) -> Origin {
        let life = self
            .incarnation
            .or(seen.map(|seen| seen.origin.incarnation));
        Origin {
            prefix: self.prefix,
            incarnation: life.unwrap_or(shown.incarnation),
        }
    }

    /// What every head of it proves: an enterprise, or that there is none of that number.
    pub(crate) fn anybody(&self) -> String {
        format!("{}0000", self.prefix)
    }

    /// A head that was kept, verified under the key again. None when it is of an earlier life than the one pinned: that log ended.
    fn kept(&self, seen: Pin) -> Result<Option<Pin>, ClientError> {
        let life = self.incarnation.unwrap_or(seen.origin.incarnation);
        if life < seen.origin.incarnation {
            let text = "the head seen before is of a later life of the log than the one pinned";
            return Err(ClientError::Usage(text.into()));
        }
        let origin = Origin {
            prefix: self.prefix,
            incarnation: seen.origin.incarnation,
        };
        let note = self
            .keys
            .open_seen(&seen.text, &origin)
            .map_err(PinError::Note)?;
        let pin = Pin {
            origin,
            size: note.size(),
            root: *note.root(),
            text: seen.text,
        };
        Ok((life == origin.incarnation).then_some(pin))
    }
}

/// What a client knows of the log it believes.
pub(crate) struct Heads {
    pub(crate) log: Option<Log>,
    pub(crate) age_max: DurationMs,
    seen: Mutex<Option<Pin>>,
    /// Tree sizes after writes that were acknowledged to this client and that no head it saw covers.
    wrote: Mutex<Writes>,
}

/// Writes that no head covers yet, and what is known of the registry's time.
#[derive(Debug, Default)]
struct Writes {
    open: Vec<Wrote>,
    /// The latest time of a head that was proven, and when that was here.
    latest: Option<(TimeMs, Instant)>,
}

/// What a node said of a write: no proof, until a head covers it.
#[derive(Debug, Clone, Copy)]
struct Wrote {
    size: u64,
    /// By the registry's clock, as the node said.
    at: TimeMs,
    /// By the clock of this machine.
    here: TimeMs,
    /// The latest that `at` is believed to be, once a head of the registry was proven: this machine's clock may be far behind.
    most: Option<TimeMs>,
}

impl Writes {
    fn acknowledged(&mut self, (size, at): (u64, TimeMs), here: TimeMs, passed: DurationMs) {
        if self.open.len() >= WROTE_MAX {
            self.open.remove(0);
        }
        // saturates: nothing is later than the last instant
        let expected = self.latest.map(|(time, _)| time.saturating_add(passed));
        self.open.push(Wrote {
            size,
            at: at.max(here),
            here,
            most: expected.map(|expected| ahead_of(expected.max(here))),
        });
    }

    /// Forgets what a proven head covers, and what it disproves.
    fn settle(&mut self, size: u64, time: TimeMs) {
        self.open.retain_mut(|wrote| {
            let most = *wrote.most.get_or_insert(ahead_of(time.max(wrote.here)));
            // saturates: nothing is later than the last instant
            let disproved = wrote.at.min(most).saturating_add(DISPROVED_AFTER) < time;
            size < wrote.size && !disproved
        });
    }
}

/// The latest that a node is believed of a time.
fn ahead_of(time: TimeMs) -> TimeMs {
    // saturates: nothing is later than the last instant
    time.saturating_add(TOLD_AHEAD_MAX)
}

/// A head of so much later than a write that does not cover it shows that the write never had that size.
const DISPROVED_AFTER: DurationMs = DurationMs::from_secs(10);
/// How far a node's word of a time is believed to go before what is known of the registry's.
const TOLD_AHEAD_MAX: DurationMs = DurationMs::from_secs(600);
/// Writes that are remembered; of more, the newest.
const WROTE_MAX: usize = 64;

impl Heads {
    /// Begins from a head that was kept, if there is one.
    ///
    /// # Errors
    /// It is not of the log that is believed.
    pub(crate) fn new(
        log: Option<Log>,
        seen: Option<Pin>,
        age_max: DurationMs,
    ) -> Result<Self, ClientError> {
        let seen = match (&log, seen) {
            (Some(log), Some(seen)) => log.kept(seen)?,
            // Without a log nothing is believed.
            (None, _) | (_, None) => None,
        };
        Ok(Self {
            log,
            age_max,
            seen: Mutex::new(seen),
            wrote: Mutex::default(),
        })
    }

    /// Reads that follow cover a write that was acknowledged, at a time of the registry.
    pub(crate) fn acknowledged(&self, size: u64, at: TimeMs) {
        let mut wrote = self.writes();
        let passed = wrote.latest.map_or(Duration::ZERO, |(_, when)| {
            now().saturating_duration_since(when)
        });
        let passed = DurationMs(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        wrote.acknowledged((size, at), wall_time(), passed);
    }

    /// The tree size after the largest write that was acknowledged and that no head covers yet.
    pub(crate) fn wrote(&self) -> u64 {
        let wrote = self.writes();
        wrote.open.iter().map(|wrote| wrote.size).max().unwrap_or(0)
    }

    /// Forgets what a proven head covers, and what it disproves: a node said something that is not so.
    pub(crate) fn settle(&self, size: u64, time: TimeMs) {
        let mut wrote = self.writes();
        wrote.settle(size, time);
        if wrote.latest.is_none_or(|(latest, _)| latest < time) {
            wrote.latest = Some((time, now()));
        }
    }

    /// The latest time of a head that was proven; the first instant before there is one.
    pub(crate) fn time_proven(&self) -> TimeMs {
        let latest = self.writes().latest;
        latest.map_or(TimeMs(0), |(time, _)| time)
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.wrote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> Result<&Log, ClientError> {
        self.log.as_ref().ok_or(ClientError::NotPinned)
    }

    pub(crate) fn seen(&self) -> Option<Pin> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// Takes a head that goes on from `before`. False when another call saw a larger head since: nothing joins the two yet.
    pub(crate) fn take(&self, before: Option<&Pin>, now: &Pin) -> Result<bool, PinError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref() == before {
            *seen = Some(now.clone());
            return Ok(true);
        }
        match seen.as_ref() {
            Some(seen) if seen.size == now.size && seen.root == now.root => Ok(true),
            Some(seen) if seen.size == now.size => Err(PinError::OtherHistory {
                before: seen.text.clone(),
                now: now.text.clone(),
            }),
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    /// Whether a write of size 100, acknowledged at a time of the registry, is still waited for after a head that does not cover it.
    fn waits(latest: Option<u64>, (at, here): (u64, u64), heads: &[u64]) -> Vec<bool> {
        let mut writes = Writes {
            latest: latest.map(|time| (TimeMs(time), now())),
            ..Writes::default()
        };
        writes.acknowledged((100, TimeMs(at)), TimeMs(here), DurationMs(0));
        let settle = |head: &u64| {
            writes.settle(99, TimeMs(*head));
            !writes.open.is_empty()
        };
        heads.iter().map(settle).collect()
    }

    /// A head of before a write never disproves it, however far this machine's clock is behind the registry's.
    #[test]
    fn a_write_is_disproved_by_later_heads_alone() {
        let at = 10 * HOUR;
        let (before, after) = (at - 1_000, at + 11_000);
        for here in [at, at - HOUR, HOUR] {
            for latest in [None, Some(before - 60_000)] {
                let found = waits(latest, (at, here), &[before, after]);
                assert_eq!(found, [true, false], "{here} {latest:?}");
            }
        }
        // What a node says of a time far ahead is not waited for longer than clocks differ.
        let lie = u64::MAX / 2;
        for latest in [None, Some(at - 1_000)] {
            let found = waits(latest, (lie, at), &[at, at + 500_000, at + 611_000]);
            assert_eq!(found, [true, true, false], "{latest:?}");
        }
    }
}
