//! What is known of every relation, for people and gauges. Volatile: it begins anew with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_trust::known::{Doubt, KnownHead};

use crate::judge::SeenHead;

/// How long no way may be found from the head taken in before that is no server's fault: a disk is repaired, an upgrade ends, and any
/// other server of the peer that answers meanwhile ends it.
const UNJOINED_FOR: DurationMs = DurationMs::from_secs(60);

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
    /// When it last answered that it is overloaded, by our wall clock.
    pub overloaded: Option<TimeMs>,
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
    /// The largest head that evidence of it stood under, the time of its map head, and the incarnation of its log.
    pub shown: Option<(u64, KnownHead)>,
    /// Why its word is doubted, by what this node saw of it: no answer of it lifts that again.
    pub doubt: Option<Doubt>,
    /// When a head was shown first, and last, to which no way was found, by our wall clock.
    pub unjoined: Option<(TimeMs, TimeMs)>,
    /// What went wrong last, and when. It stays until the next error.
    pub last_error: Option<(TimeMs, String)>,
    /// Errors since something was last believed or, while its feed stands at an item, since that item first came.
    pub errors_in_a_row: u64,
    /// The item at which its feed stands: it was sent, and was not taken. Another contact changes nothing about that, only
    /// that the item was taken does.
    pub stands: Option<Stands>,
    /// Streams on which it follows our mailbox from this node.
    pub served_streams: u64,
    /// The next sequence it wanted last of our mailbox: everything below is acknowledged. One that was restored wants again
    /// what it had.
    pub served_acknowledged: u64,
    /// The next sequence to send it.
    pub served_next: u64,
}

/// Where a feed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stands {
    /// The sequence of the item that is not taken.
    pub item: u64,
    /// When it was first not taken, by our wall clock.
    pub since: TimeMs,
    /// Why not, the last time.
    pub why: String,
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

    /// Doubts a peer's word from now on, or more gravely than before; tells whether that is new.
    pub fn doubt(&self, peer: Prefix, doubt: Doubt) -> bool {
        let mut known = self.lock();
        let status = known.entry(peer).or_default();
        // What it signed is not hidden by what nobody did.
        let new = status.doubt < Some(doubt);
        status.doubt = status.doubt.max(Some(doubt));
        new
    }

    /// Notes that no way was found from the head taken in to one that is shown. That is nobody's word, and may be a disk of one server,
    /// whatever names it is reached by: the peer is doubted once there is still none [`UNJOINED_FOR`] later, and no head went on
    /// meanwhile. Where nobody looked for so long, it begins anew: two bad answers a day apart are two. Tells whether that is new.
    pub fn unjoined(&self, peer: Prefix, at: TimeMs) -> bool {
        let first = {
            let mut known = self.lock();
            let status = known.entry(peer).or_default();
            let before = status.unjoined;
            let lasts = before.filter(|(_, last)| at.since(*last) <= UNJOINED_FOR);
            let first = lasts.map_or(at, |(first, _)| first);
            status.unjoined = Some((first, at));
            first
        };
        at.since(first) >= UNJOINED_FOR && self.doubt(peer, Doubt::OtherHistory)
    }

    /// A head was shown that goes on from the one taken in: that no way was found before was a server's fault.
    pub fn joined(&self, peer: Prefix) {
        self.change(peer, |status| {
            status.unjoined = None;
            status.doubt = status.doubt.filter(|doubt| *doubt != Doubt::OtherHistory);
        });
    }

    /// Compares a head that evidence stood under with the largest one before: a smaller one of a later time shows that what was
    /// published was taken back, another root of the same size that there are two histories. What is no later than `time_seen`, the
    /// latest that the log here knows of it, is none of a later time: its clock was set back. Tells whether that is new.
    pub fn showed(
        &self,
        peer: Prefix,
        incarnation: u64,
        head: KnownHead,
        time_seen: TimeMs,
    ) -> Option<Doubt> {
        let doubt = {
            let mut known = self.lock();
            let status = known.entry(peer).or_default();
            match status.shown {
                // Another life of its log is another log.
                Some((life, before)) if life == incarnation && head.size < before.size => {
                    (head.time > before.time.max(time_seen)).then_some(Doubt::RolledBack)
                }
                Some((life, before)) if life == incarnation && head.size == before.size => {
                    (head.root != before.root).then_some(Doubt::Fork)
                }
                Some((life, _)) if incarnation < life => None,
                Some((life, before)) if life == incarnation => {
                    // As in the record of the peer: the latest time of all, whatever its clock was set back to since.
                    let time = before.time.max(head.time);
                    status.shown = Some((incarnation, KnownHead { time, ..head }));
                    None
                }
                _ => {
                    status.shown = Some((incarnation, head));
                    None
                }
            }
        };
        doubt.filter(|doubt| self.doubt(peer, *doubt))
    }

    /// Doubts a peer no more: its roots stated a newer bundle, and ours took it.
    pub fn settled(&self, peer: Prefix) {
        self.change(peer, |status| {
            status.doubt = None;
            status.unjoined = None;
        });
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

    /// Notes that it answered that it is overloaded: it is there, and no error.
    pub(crate) fn overloaded(&self, peer: Prefix, at: TimeMs) {
        self.change(peer, |status| status.overloaded = Some(at));
    }

    /// Notes that an item was sent and not taken.
    pub(crate) fn stands_at(&self, peer: Prefix, item: u64, at: TimeMs, why: String) {
        self.change(peer, |status| {
            let before = status.stands.take().filter(|before| before.item == item);
            let since = before.map_or(at, |before| before.since);
            status.stands = Some(Stands { item, since, why });
        });
    }

    /// Notes that everything below `cursor` was taken.
    pub(crate) fn reached(&self, peer: Prefix, cursor: u64) {
        self.change(peer, |status| {
            status.cursor = cursor;
            if status.stands.as_ref().is_some_and(|it| it.item < cursor) {
                status.stands = None;
                status.errors_in_a_row = 0;
            }
        });
    }

    pub(crate) fn contact(&self, peer: Prefix, at: TimeMs, head: &SeenHead) {
        self.change(peer, |status| {
            status.contacts += 1;
            // A peer whose item is refused is heard at every try.
            if status.stands.is_none() {
                status.errors_in_a_row = 0;
            }
            status.last_contact = Some(at);
            match &status.newest {
                // The same head again.
                Some(known) if same_log(known, head) && known.size == head.size => {
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

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::digest::Digest;

    use super::*;

    fn head(size: u64, root: u8, time: u64) -> KnownHead {
        KnownHead {
            size,
            root: Digest([root; 32]),
            time: TimeMs(time),
        }
    }

    #[test]
    fn a_smaller_head_of_a_later_time_was_rolled_back() {
        let peer = Prefix::parse("49").expect("a prefix");
        let after = |heads: &[KnownHead]| {
            let board = Board::new();
            let told = heads
                .iter()
                .map(|head| board.showed(peer, 0, *head, TimeMs(0)));
            let told: Vec<_> = told.collect();
            let doubt = board.of(peer).and_then(|status| status.doubt);
            (told.last().copied().flatten(), doubt)
        };
        let (larger, lagging) = (head(9, 1, 900), head(5, 2, 500));
        assert_eq!(after(&[lagging, larger]), (None, None), "it grew");
        assert_eq!(after(&[larger, lagging]), (None, None), "a server lags");
        let restored = head(5, 2, 901);
        let rolled_back = Some(Doubt::RolledBack);
        assert_eq!(after(&[larger, restored]), (rolled_back, rolled_back));
        // Said once; and whatever it shows later, the doubt stays.
        assert_eq!(after(&[larger, restored, restored]), (None, rolled_back));
        assert_eq!(
            after(&[larger, restored, head(20, 3, 990)]),
            (None, rolled_back)
        );
        let fork = Some(Doubt::Fork);
        assert_eq!(after(&[larger, head(9, 7, 900)]), (fork, fork));
        // Its clock was set back: what is of before has a later time, and was shown by a server that lags.
        let (set_back, before) = (head(12, 4, 300), head(5, 2, 880));
        assert_eq!(after(&[larger, set_back, before]), (None, None));
        assert_eq!(
            after(&[larger, set_back, restored]),
            (rolled_back, rolled_back)
        );
        // Another life of its log begins anew, and nothing of the life before is held against it.
        let board = Board::new();
        assert_eq!(board.showed(peer, 0, larger, TimeMs(0)), None);
        assert_eq!(board.showed(peer, 1, restored, TimeMs(0)), None);
        assert_eq!(
            board.showed(peer, 0, head(3, 3, 999), TimeMs(0)),
            None,
            "of the life before"
        );
        assert_eq!(
            board.showed(peer, 1, head(4, 4, 999), TimeMs(0)),
            rolled_back
        );
        board.settled(peer);
        assert_eq!(board.of(peer).and_then(|status| status.doubt), None);
    }

    /// A path that does not verify is nobody's word: a disk of one server, which may have several names, until it lasts.
    #[test]
    fn one_server_without_a_way_is_no_other_history() {
        let peer = Prefix::parse("49").expect("a prefix");
        let after = |shown_s: &[u64]| {
            let board = Board::new();
            let at = |s: &u64| TimeMs(5_000 + s * 1_000);
            let told = shown_s.iter().map(|s| board.unjoined(peer, at(s)));
            let told: Vec<bool> = told.collect();
            let doubt = board.of(peer).and_then(|status| status.doubt);
            (told.last().copied(), doubt, board)
        };
        let other = Some(Doubt::OtherHistory);
        let (told, doubt, _) = after(&[0, 0, 1, 59]);
        assert_eq!((told, doubt), (Some(false), None), "by whatever names");
        let (told, doubt, board) = after(&[0, 30, 60]);
        assert_eq!((told, doubt), (Some(true), other), "still none");
        let (told, doubt, _) = after(&[0, 61]);
        assert_eq!((told, doubt), (Some(false), None), "nobody looked");
        let (told, doubt, _) = after(&[0, 61, 121]);
        assert_eq!((told, doubt), (Some(true), other), "from then on");
        board.joined(peer);
        assert!(!board.unjoined(peer, TimeMs(90_000)), "it begins anew");
        assert_eq!(board.of(peer).and_then(|status| status.doubt), None);
        // What it signed is not taken back by a later head.
        board.doubt(peer, Doubt::RolledBack);
        board.joined(peer);
        let doubt = board.of(peer).and_then(|status| status.doubt);
        assert_eq!(doubt, Some(Doubt::RolledBack));
    }
}
