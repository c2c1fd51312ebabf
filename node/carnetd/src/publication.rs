//! Since when a node has not been able to publish, and why: pure, fed with the monotonic clock.
//!
//! A log that grows and is not published looks healthy from inside: writes are acknowledged. So a leader that has not
//! published for too long says so in its status, and as a hindrance to the other voters if the cause is its own: consensus
//! then finds another leader. A node that follows and finds that it could not sign says that too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A keyring that failed is tried again after so many doublings of the patience at first,
const DOUBLINGS_MIN: u32 = 2;
/// and at the most: if every keyring fails, a country is not to change its leader for ever.
const DOUBLINGS_MAX: u32 = 6;

/// Whose fault it is that nothing is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This node's: another may do better. Following what is published shows whether it is over.
    Node,
    /// This node's keyring's: another may do better. Only a signature shows whether it is over.
    Keyring,
    /// The cluster's.
    Cluster,
}

/// What keeps a node from publishing.
#[derive(Debug, Default)]
pub struct Publication(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waits: Option<Waits>,
    /// Times that the keyring failed for too long since this node last published.
    failures: u32,
    /// Until when this node lets others lead because of its keyring, and what that said.
    barred: Option<(Duration, String)>,
}

#[derive(Debug)]
struct Waits {
    since: Duration,
    size: u64,
    cause: Option<(Whose, String)>,
    logged_at: Option<Duration>,
    /// Counted among the failures.
    counted: bool,
}

impl Publication {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is to be published, or nothing by this node.
    pub fn rests(&self) {
        self.inner().waits = None;
    }

    /// This node published.
    pub fn succeeded(&self) {
        *self.inner() = Inner::default();
    }

    /// A size is to be published.
    pub fn waits(&self, now: Duration, size: u64) {
        let mut inner = self.inner();
        let waits = inner.waits.get_or_insert(Waits {
            since: now,
            size,
            cause: None,
            logged_at: None,
            counted: false,
        });
        waits.size = size;
    }

    /// An attempt failed. Whether a line in the log is due: one every `patience`.
    pub fn failed(&self, now: Duration, patience: Duration, whose: Whose, cause: String) -> bool {
        let mut inner = self.inner();
        let Some(waits) = &mut inner.waits else {
            return false;
        };
        waits.cause = Some((whose, cause));
        let due = waits
            .logged_at
            .is_none_or(|at| now.saturating_sub(at) >= patience);
        if due {
            waits.logged_at = Some(now);
        }
        due
    }

    /// For the status: what is wrong, if it has been wrong for longer than `patience`.
    pub fn said(&self, now: Duration, patience: Duration) -> String {
        let inner = self.inner();
        if let Some(waits) = &inner.waits
            && now.saturating_sub(waits.since) >= patience
        {
            let cause = match &waits.cause {
                Some((_, cause)) => cause.as_str(),
                None => "the leaves since the last signed size are being read again",
            };
            let seconds = now.saturating_sub(waits.since).as_secs();
            let size = waits.size;
            return format!(
                "size {size} could not be signed and published for {seconds} s: {cause}"
            );
        }
        match &inner.barred {
            Some((until, cause)) if now < *until => {
                let seconds = until.saturating_sub(now).as_secs();
                format!(
                    "it could not sign when it led, and lets others lead for {seconds} s more: {cause}"
                )
            }
            _ => String::new(),
        }
    }

    /// Whether another voter is to lead: a cause of this node's own has lasted for longer than `patience`, or its keyring
    /// failed not long ago.
    pub fn hinders(&self, now: Duration, patience: Duration) -> bool {
        let mut inner = self.inner();
        let Inner {
            waits,
            failures,
            barred,
        } = &mut *inner;
        let lasting = waits
            .as_mut()
            .filter(|waits| now.saturating_sub(waits.since) >= patience);
        if let Some(waits) = lasting
            && let Some((whose, cause)) = &waits.cause
        {
            match whose {
                Whose::Cluster => {}
                Whose::Node => return true,
                Whose::Keyring => {
                    if !waits.counted {
                        waits.counted = true;
                        *failures = failures.saturating_add(1);
                    }
                    let doublings = failures
                        .saturating_add(DOUBLINGS_MIN - 1)
                        .min(DOUBLINGS_MAX);
                    let until = now.saturating_add(patience.saturating_mul(1 << doublings));
                    *barred = Some((until, cause.clone()));
                    return true;
                }
            }
        }
        barred.as_ref().is_some_and(|(until, _)| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failing(publication: &Publication, seconds: u64, whose: Whose) -> bool {
        publication.waits(at(seconds), 7);
        publication.failed(at(seconds), PATIENCE, whose, "no key".into())
    }

    #[test]
    fn a_failure_is_logged_once_in_a_while() {
        let publication = Publication::default();
        let logged: Vec<u64> = (0..=25)
            .filter(|s| failing(&publication, *s, Whose::Node))
            .collect();
        assert_eq!(logged, [0, 10, 20]);
    }

    #[test]
    fn a_failure_that_lasts_is_said_and_hinders_until_it_is_over() {
        let publication = Publication::default();
        for second in 0..=80 {
            failing(&publication, second, Whose::Node);
            let said = publication.said(at(second), PATIENCE);
            assert_eq!(said.is_empty(), second < 10, "{second}: {said}");
            let hinders = publication.hinders(at(second), PATIENCE);
            assert_eq!(hinders, second >= 10, "{second}");
        }
        let said = publication.said(at(80), PATIENCE);
        let expected = "size 7 could not be signed and published for 80 s: no key";
        assert_eq!(said, expected);
        publication.rests();
        assert_eq!(publication.said(at(81), PATIENCE), "");
        assert!(!publication.hinders(at(81), PATIENCE));
    }

    /// Once it follows, nothing shows whether its keyring would sign.
    #[test]
    fn a_keyring_that_failed_hinders_for_a_while_and_ever_longer() {
        let publication = Publication::default();
        let mut now = 0;
        for expected in [40, 80, 160, 320, 640, 640] {
            failing(&publication, now, Whose::Keyring);
            assert!(!publication.hinders(at(now), PATIENCE), "{now}");
            now += 10;
            for _ in 0..2 {
                failing(&publication, now, Whose::Keyring);
                assert!(publication.hinders(at(now), PATIENCE), "{now}");
            }
            publication.rests();
            assert!(publication.hinders(at(now + expected - 1), PATIENCE));
            let said = publication.said(at(now + expected - 1), PATIENCE);
            assert!(said.ends_with("for 1 s more: no key"), "{said}");
            now += expected;
            assert!(!publication.hinders(at(now), PATIENCE), "{now}");
            assert_eq!(publication.said(at(now), PATIENCE), "");
        }
        failing(&publication, now, Whose::Keyring);
        failing(&publication, now + 10, Whose::Keyring);
        assert!(publication.hinders(at(now + 10), PATIENCE));
        publication.succeeded();
        assert!(!publication.hinders(at(now + 10), PATIENCE));
    }

    #[test]
    fn what_another_leader_would_meet_too_hinders_nobody() {
        let publication = Publication::default();
        failing(&publication, 0, Whose::Cluster);
        assert!(!publication.hinders(at(60), PATIENCE));
        assert!(publication.said(at(60), PATIENCE).ends_with("no key"));
    }

    #[test]
    fn an_attempt_that_does_not_end_is_said_too() {
        let publication = Publication::default();
        publication.waits(at(0), 7);
        let said = publication.said(at(60), PATIENCE);
        assert!(said.ends_with("are being read again"), "{said}");
        assert!(!publication.hinders(at(60), PATIENCE));
    }
}
