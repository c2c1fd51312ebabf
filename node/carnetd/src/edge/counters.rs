//! What was turned away at a port, counted, and told to the log now and then.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carnet_trust::identity::Plane;
use tracing::warn;

/// Between two lines of the log about the same reason at one port.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Why a connection or a request was turned away, or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turned {
    /// Too many connections a second from one address.
    AddressRate,
    /// Too many connections a second from one network, from addresses that proved nothing lately.
    NetworkRate,
    /// Too many connections a second, from addresses that proved nothing lately.
    PortRate,
    /// It had proven nothing yet, and another came while all places were taken or its address had its share.
    Displaced,
    /// The handshake failed, mostly for its certificate.
    Handshake,
    /// Not one byte came.
    Silent,
    /// The handshake took too long.
    HandshakeTime,
    /// After the handshake no HTTP/2 came.
    PrefaceTime,
    /// No request came.
    FirstRequestTime,
    /// No request for long.
    Idle,
    /// The certificate has all connections it may have, or the port is full of fair parts.
    Connections,
    /// The address has all connections it may have.
    AddressConnections,
    /// Cut for a certificate with fewer connections.
    Outnumbered,
    /// Its certificate would be refused by now.
    Lapsed,
    /// It took nothing of what was sent to it for too long.
    Unread,
    /// A method that this port does not have.
    Method,
    /// The role may not use the method.
    Role,
    /// The certificate has as many requests in work as it may have, or the port has.
    Requests,
    /// Too many requests a second.
    RequestRate,
    /// Too many bytes in flight, of the certificate or in all.
    Memory,
    /// A request took too long.
    RequestTime,
}

impl Turned {
    /// Every one, in the order declared.
    pub const ALL: [Self; 21] = [
        Self::AddressRate,
        Self::NetworkRate,
        Self::PortRate,
        Self::Displaced,
        Self::Handshake,
        Self::Silent,
        Self::HandshakeTime,
        Self::PrefaceTime,
        Self::FirstRequestTime,
        Self::Idle,
        Self::Connections,
        Self::AddressConnections,
        Self::Outnumbered,
        Self::Lapsed,
        Self::Unread,
        Self::Method,
        Self::Role,
        Self::Requests,
        Self::RequestRate,
        Self::Memory,
        Self::RequestTime,
    ];

    /// The word in the log and for a metric's label.
    pub fn word(self) -> &'static str {
        match self {
            Self::AddressRate => "address_rate",
            Self::NetworkRate => "network_rate",
            Self::PortRate => "port_rate",
            Self::Displaced => "displaced",
            Self::Handshake => "handshake",
            Self::Silent => "silent",
            Self::HandshakeTime => "handshake_time",
            Self::PrefaceTime => "preface_time",
            Self::FirstRequestTime => "first_request_time",
            Self::Idle => "idle",
            Self::Connections => "connections",
            Self::AddressConnections => "address_connections",
            Self::Outnumbered => "outnumbered",
            Self::Lapsed => "lapsed",
            Self::Unread => "unread",
            Self::Method => "method",
            Self::Role => "role",
            Self::Requests => "requests",
            Self::RequestRate => "request_rate",
            Self::Memory => "memory",
            Self::RequestTime => "request_time",
        }
    }
}

/// What happened at a port since it opened.
#[derive(Debug)]
pub struct EdgeCounters {
    plane: Plane,
    accepted: AtomicU64,
    turned: [AtomicU64; Turned::ALL.len()],
    /// When each reason was last told, in milliseconds and one more; 0: never.
    told: [AtomicU64; Turned::ALL.len()],
    /// What the counter was then.
    told_count: [AtomicU64; Turned::ALL.len()],
}

impl EdgeCounters {
    /// Of a port that opens now.
    pub fn new(plane: Plane) -> Self {
        Self {
            plane,
            accepted: AtomicU64::new(0),
            turned: Default::default(),
            told: Default::default(),
            told_count: Default::default(),
        }
    }

    /// Connections that proved who they are and got a place.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How often something was turned away for this reason.
    pub fn turned(&self, why: Turned) -> u64 {
        self.turned[why as usize].load(Ordering::Relaxed)
    }

    /// The port's plane.
    pub fn plane(&self) -> Plane {
        self.plane
    }

    /// Every reason with its count.
    pub fn all(&self) -> impl Iterator<Item = (Turned, u64)> + '_ {
        Turned::ALL.into_iter().map(|why| (why, self.turned(why)))
    }

    /// Counts what nobody has to read of.
    pub(crate) fn count(&self, why: Turned) -> u64 {
        self.turned[why as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts, and tells the log if it was not told lately. `who` is an address or a certificate's name, `detail` says
    /// more where there is more.
    pub(crate) fn turn(
        &self,
        why: Turned,
        now: Duration,
        who: &dyn fmt::Display,
        detail: &dyn fmt::Display,
    ) {
        let count = self.count(why);
        if let Some(since) = self.to_be_told(why as usize, count, now) {
            warn!(plane = %self.plane, reason = why.word(), %who, %detail, count = since, "turned away");
        }
    }

    /// How many there were since the log was last told, if it is time to tell.
    fn to_be_told(&self, at: usize, count: u64, now: Duration) -> Option<u64> {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let told = self.told[at].load(Ordering::Relaxed);
        let pause = u64::try_from(TOLD_EVERY.as_millis()).unwrap_or(u64::MAX);
        if told != 0 && now_ms < (told - 1).saturating_add(pause) {
            return None;
        }
        let stamp = now_ms.saturating_add(1);
        // One of those who come at the same time tells.
        self.told[at]
            .compare_exchange(told, stamp, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        let before = self.told_count[at].swap(count, Ordering::Relaxed);
        Some(count.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_word() {
        let mut words: Vec<&str> = Turned::ALL.iter().map(|why| why.word()).collect();
        for (at, why) in Turned::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Turned::ALL.len());
    }

    #[test]
    fn a_flood_is_counted_whole_and_told_once_in_ten_seconds() {
        let counters = EdgeCounters::new(Plane::Client);
        let told: Vec<Option<u64>> = [0, 1, 9_999, 10_000, 10_001, 30_000]
            .into_iter()
            .map(|at| {
                let count = counters.count(Turned::Silent);
                counters.to_be_told(Turned::Silent as usize, count, Duration::from_millis(at))
            })
            .collect();
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
        assert_eq!(counters.turned(Turned::Silent), 6);
        assert_eq!(counters.all().map(|(_, count)| count).sum::<u64>(), 6);
    }
}
