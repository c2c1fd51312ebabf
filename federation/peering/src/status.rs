//! What is known of every relation, for people and gauges. Volatile: it begins anew with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;

use crate::judge::SeenHead;

/// What is known of the relation with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerStatus {
    /// Whether its mailbox is being followed from this node right now.
    pub following: bool,
    /// The endpoint last tried.
    pub endpoint: Option<String>,
    /// When it last sent something that was believed, by our wall clock.
    pub last_contact: Option<TimeMs>,
    /// How many believed messages it sent.
    pub contacts: u64,
    /// The newest head it showed, signed by it and consistent with what was applied.
    pub newest: Option<SeenHead>,
    /// When that head arrived, by our wall clock.
    pub newest_at: Option<TimeMs>,
    /// How often it was made to wait because it sent more than it may.
    pub held_back: u64,
    /// Items received and not yet applied.
    pub pending: u64,
    /// Items applied since the process began.
    pub applied: u64,
    /// The next sequence that is expected, as applied here.
    pub cursor: u64,
    /// How long the last item waited here from its arrival to its application.
    pub apply_time: Option<Duration>,
    /// What went wrong last, and when. It stays until the next error.
    pub last_error: Option<(TimeMs, String)>,
    /// Errors since something was last believed.
    pub errors_in_a_row: u64,
    /// Streams on which it follows our mailbox from this node.
    pub served_streams: u64,
    /// The next sequence it wants of our mailbox: everything below is acknowledged.
    pub served_acknowledged: u64,
    /// The next sequence to send it.
    pub served_next: u64,
}

/// The statuses of all peers.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<Prefix, PeerStatus>>);

impl Board {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of everything, in order.
    pub fn all(&self) -> BTreeMap<Prefix, PeerStatus> {
        self.lock().clone()
    }

    /// One peer.
    pub fn of(&self, peer: Prefix) -> Option<PeerStatus> {
        self.lock().get(&peer).cloned()
    }

    /// The newest head of a peer and when it arrived, for freshness.
    pub fn newest(&self, peer: Prefix) -> Option<(SeenHead, TimeMs)> {
        let known = self.lock();
        let status = known.get(&peer)?;
        Some((status.newest.clone()?, status.newest_at?))
    }

    pub(crate) fn change(&self, peer: Prefix, change: impl FnOnce(&mut PeerStatus)) {
        change(self.lock().entry(peer).or_default());
    }

    pub(crate) fn error(&self, peer: Prefix, at: TimeMs, text: String) {
        self.change(peer, |status| {
            status.errors_in_a_row += 1;
            status.last_error = Some((at, text));
        });
    }

    pub(crate) fn contact(&self, peer: Prefix, at: TimeMs, head: &SeenHead) {
        self.change(peer, |status| {
            status.contacts += 1;
            status.errors_in_a_row = 0;
            status.last_contact = Some(at);
            match &mut status.newest {
                // The same head again: only its time may be new.
                Some(known) if same_log(known, head) && known.size == head.size => {
                    known.log_time = known.log_time.or(head.log_time);
                    status.newest_at = Some(at);
                }
                Some(known) if same_log(known, head) && head.size < known.size => {}
                _ => {
                    status.newest = Some(head.clone());
                    status.newest_at = Some(at);
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Prefix, PeerStatus>> {
        // Every change is whole when it is made, so a poisoned lock holds whole values.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two heads have one origin line; a restored registry begins another log.
fn same_log(a: &SeenHead, b: &SeenHead) -> bool {
    a.checkpoint.lines().next() == b.checkpoint.lines().next()
}
