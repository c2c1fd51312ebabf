//! Which endpoint to ask next: the leader if one is known, else one that is up, else the one that was down longest.
//!
//! Pure: the instant and the random number are arguments. tonic's own balancing is not used, because it keeps dead
//! endpoints in rotation.

use std::time::{Duration, Instant};

/// How long an endpoint is left alone after its first failure; doubles up to [`REST_MAX`].
pub(crate) const REST_MIN: Duration = Duration::from_millis(200);
/// The longest an endpoint is left alone.
pub(crate) const REST_MAX: Duration = Duration::from_secs(5);
/// How many endpoints may be learned from hints beyond those configured.
pub(crate) const LEARNED_MAX: usize = 16;

/// What came of asking an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It answered.
    Served,
    /// It is up but does not lead; the leader's address, if it knew.
    NotLeader(Option<String>),
    /// It is up but wants rest.
    Busy(Duration),
    /// It did not answer.
    Failed,
}

#[derive(Debug, Clone)]
struct Endpoint {
    address: String,
    failures: u32,
    rests_until: Option<Instant>,
}

/// The endpoints of one registry and what is known of them.
#[derive(Debug, Clone)]
pub struct Picker {
    endpoints: Vec<Endpoint>,
    configured: usize,
    leader: Option<usize>,
    next: usize,
}

impl Picker {
    /// From the addresses configured, in any order; `random` spreads clients over them.
    pub fn new(addresses: impl IntoIterator<Item = String>, random: u64) -> Self {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for address in addresses {
            if !endpoints.iter().any(|e| e.address == address) {
                endpoints.push(Endpoint {
                    address,
                    failures: 0,
                    rests_until: None,
                });
            }
        }
        let count = endpoints.len();
        let next = if count == 0 {
            0
        } else {
            (random % count as u64) as usize
        };
        Self {
            endpoints,
            configured: count,
            leader: None,
            next,
        }
    }

    /// How many endpoints are known.
    pub fn count(&self) -> usize {
        self.endpoints.len()
    }

    /// The endpoint to ask now; `None` without endpoints.
    pub fn pick(&mut self, now: Instant) -> Option<&str> {
        let count = self.endpoints.len();
        if count == 0 {
            return None;
        }
        let rests = |e: &Endpoint| e.rests_until.is_some_and(|until| now < until);
        let chosen = match self.leader.filter(|at| !rests(&self.endpoints[*at])) {
            Some(leader) => leader,
            None => {
                let ring = || (0..count).map(|step| (self.next + step) % count);
                let up = ring().find(|at| !rests(&self.endpoints[*at]));
                up.or_else(|| ring().min_by_key(|at| self.endpoints[*at].rests_until))
                    .unwrap_or(0)
            }
        };
        Some(&self.endpoints[chosen].address)
    }

    /// Learns from an attempt.
    pub fn report(&mut self, address: &str, seen: &Seen, now: Instant) {
        let Some(at) = self.endpoints.iter().position(|e| e.address == address) else {
            return;
        };
        match seen {
            Seen::Served => {
                self.endpoints[at].failures = 0;
                self.endpoints[at].rests_until = None;
                self.leader = Some(at);
            }
            Seen::NotLeader(hint) => {
                self.endpoints[at].failures = 0;
                self.endpoints[at].rests_until = None;
                self.next = (at + 1) % self.endpoints.len();
                self.leader = hint
                    .as_deref()
                    .filter(|hint| *hint != address)
                    .and_then(|hint| self.learn(hint));
            }
            Seen::Busy(rest) => {
                self.endpoints[at].rests_until = Some(now + (*rest).min(REST_MAX));
                self.move_on(at);
            }
            Seen::Failed => {
                let endpoint = &mut self.endpoints[at];
                let rest = REST_MIN
                    .saturating_mul(1 << endpoint.failures.min(8))
                    .min(REST_MAX);
                endpoint.failures = endpoint.failures.saturating_add(1);
                endpoint.rests_until = Some(now + rest);
                self.move_on(at);
            }
        }
    }

    fn move_on(&mut self, at: usize) {
        if self.leader == Some(at) {
            self.leader = None;
        }
        self.next = (at + 1) % self.endpoints.len();
    }

    /// A hint is only an address: whoever answers there must still show the certificate of a node of the registry.
    fn learn(&mut self, address: &str) -> Option<usize> {
        let at = match self.endpoints.iter().position(|e| e.address == address) {
            Some(at) => at,
            None if self.endpoints.len() < self.configured + LEARNED_MAX => {
                self.endpoints.push(Endpoint {
                    address: address.to_owned(),
                    failures: 0,
                    rests_until: None,
                });
                self.endpoints.len() - 1
            }
            None => return None,
        };
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker() -> (Picker, Instant) {
        (
            Picker::new(["a", "b", "c", "a"].map(String::from), 0),
            Instant::now(),
        )
    }

    #[test]
    fn an_endpoint_counts_once() {
        assert_eq!(picker().0.count(), 3);
    }

    #[test]
    fn whoever_served_is_asked_again() {
        let (mut p, now) = picker();
        p.report("b", &Seen::Served, now);
        assert_eq!(p.pick(now), Some("b"));
        assert_eq!(p.pick(now), Some("b"));
    }

    #[test]
    fn a_hint_is_followed_at_once_even_to_an_address_not_configured() {
        let (mut p, now) = picker();
        p.report("a", &Seen::NotLeader(Some("d".into())), now);
        assert_eq!(p.pick(now), Some("d"));
        p.report("d", &Seen::Failed, now);
        assert_ne!(p.pick(now), Some("d"));
    }

    #[test]
    fn without_a_hint_the_next_is_asked() {
        let (mut p, now) = picker();
        p.report("a", &Seen::NotLeader(None), now);
        assert_eq!(p.pick(now), Some("b"));
        p.report("b", &Seen::NotLeader(Some("b".into())), now);
        assert_eq!(p.pick(now), Some("c"));
    }

    #[test]
    fn the_dead_rest_longer_every_time_and_come_back() {
        let (mut p, now) = picker();
        p.report("a", &Seen::Failed, now);
        assert_eq!(p.pick(now), Some("b"));
        p.report("b", &Seen::Failed, now);
        p.report("c", &Seen::Busy(Duration::from_secs(1)), now);
        // All rest: the one that comes back first is asked all the same.
        assert_eq!(p.pick(now), Some("a"));
        p.report("a", &Seen::Failed, now);
        assert_eq!(p.pick(now), Some("b"));
        let later = now + REST_MIN;
        assert_eq!(p.pick(later), Some("b"));
    }

    #[test]
    fn hints_cannot_fill_the_memory() {
        let (mut p, now) = picker();
        for n in 0..1_000 {
            p.report("a", &Seen::NotLeader(Some(format!("h{n}"))), now);
        }
        assert_eq!(p.count(), 3 + LEARNED_MAX);
    }
}
