//! The log that a client believes, and the largest head of it that the client saw.

use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::checkpoint::{Origin, open};
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::verdict::OWN_AGE_MAX;

use crate::clock::wall_time;
use crate::error::ClientError;
use crate::pin::{Pin, PinError};

/// The default age of a head beyond which nothing is believed under it.
pub(crate) const AGE_MAX: DurationMs = OWN_AGE_MAX;

/// The log that a client believes: what is pinned of the registry it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    prefix: Prefix,
    incarnation: Option<u64>,
    key: PublicKey,
}

impl Log {
    /// The log of a country under its log key. Which life of its cluster it is, the first answer tells, and the signature is
    /// over it; a client keeps to that one.
    pub fn new(prefix: Prefix, key: PublicKey) -> Self {
        Self {
            prefix,
            incarnation: None,
            key,
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

    /// As a bundle that the country's roots signed names it.
    pub fn of_bundle(bundle: &PinnedBundle) -> Self {
        let origin = bundle.origin();
        Self::new(origin.prefix, bundle.bundle().log_key).of_life(origin.incarnation)
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
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
        let note = open(&seen.text, &self.key, &origin).map_err(PinError::Note)?;
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
    wrote: Mutex<Vec<Wrote>>,
}

/// What a node said of a write: no proof, until a head covers it.
#[derive(Debug, Clone, Copy)]
struct Wrote {
    size: u64,
    at: TimeMs,
}

/// A head of so much later than a write that does not cover it shows that the write never had that size.
const DISPROVED_AFTER: DurationMs = DurationMs::from_secs(10);
/// How far a node's clock is believed to go before this machine's.
const AHEAD_MAX: DurationMs = DurationMs::from_secs(600);
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
        let now = wall_time();
        // saturates: nothing is later than the last instant
        let at = at.min(now.saturating_add(AHEAD_MAX)).max(now);
        let mut wrote = self.writes();
        if wrote.len() >= WROTE_MAX {
            wrote.remove(0);
        }
        wrote.push(Wrote { size, at });
    }

    /// The tree size after the largest write that was acknowledged and that no head covers yet.
    pub(crate) fn wrote(&self) -> u64 {
        let wrote = self.writes();
        wrote.iter().map(|wrote| wrote.size).max().unwrap_or(0)
    }

    /// Forgets what a proven head covers, and what it disproves: a node said something that is not so.
    pub(crate) fn settle(&self, size: u64, time: TimeMs) {
        self.writes().retain(|wrote| {
            // saturates: nothing is later than the last instant
            let disproved = wrote.at.saturating_add(DISPROVED_AFTER) < time;
            size < wrote.size && !disproved
        });
    }

    fn writes(&self) -> MutexGuard<'_, Vec<Wrote>> {
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
