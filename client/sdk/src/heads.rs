//! The log that a client believes, and the largest head of it that the client saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::log::checkpoint::Origin;
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::verdict::OWN_AGE_MAX;

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

    /// Which log an answer must be of: that of the head seen before, or as pinned.
    pub(crate) fn origin(&self, seen: Option<&Pin>, shown: &Origin) -> Origin {
        match seen {
            Some(seen) => seen.origin,
            None => Origin {
                prefix: self.prefix,
                incarnation: self.incarnation.unwrap_or(shown.incarnation),
            },
        }
    }
}

/// What a client knows of the log it believes.
pub(crate) struct Heads {
    pub(crate) log: Option<Log>,
    pub(crate) age_max: DurationMs,
    seen: Mutex<Option<Pin>>,
    /// The tree size after the newest write that was acknowledged to this client.
    wrote: AtomicU64,
}

impl Heads {
    pub(crate) fn new(log: Option<Log>, seen: Option<Pin>, age_max: DurationMs) -> Self {
        Self {
            log,
            age_max,
            seen: Mutex::new(seen),
            wrote: AtomicU64::new(0),
        }
    }

    /// Reads that follow cover a write that was acknowledged.
    pub(crate) fn acknowledged(&self, size: u64) {
        self.wrote.fetch_max(size, Ordering::Relaxed);
    }

    /// The tree size after the newest write that was acknowledged.
    pub(crate) fn wrote(&self) -> u64 {
        self.wrote.load(Ordering::Relaxed)
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
