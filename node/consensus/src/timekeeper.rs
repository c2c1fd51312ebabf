//! What the voters' clocks say, so that one bad clock can neither move log time nor stay leader.
//!
//! Every node asks the voters for their clocks every few seconds, whether or not anybody writes. A leader whose clock is
//! not the one that a quorum agrees on hands leadership over; another node with such a clock does not campaign while
//! somebody leads. What the registry makes of the readings is not known here, but when two clocks agree is the
//! registry's own word: what it would not take is not proposed. With its clock a voter says whether anything
//! else keeps it from leading well (`fitness`), and the same is done about that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connector::Purpose;
use crate::fitness::{Fitness, Hindrance, NEARLY_UP_TO_DATE, better};
use crate::member::Member;
use crate::network::CallError;
use crate::plane::Plane;
use crate::settings::Settings;
use crate::status::{Role, Status, status};
use carnet_domain::limits::{CLOCKS_AGREE, ROUND_TRIP_MAX};

/// One voter's clock, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// The voter.
    pub node: u64,
    /// Its clock minus ours, in milliseconds, taken at the middle of the round trip. Ours is 0.
    pub offset_ms: i64,
    /// The round trip in milliseconds; the offset is wrong by at most half of it.
    pub round_trip_ms: u64,
    /// Whether the voter said that it leads.
    pub leads: bool,
}

/// What a node should make of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockVerdict {
    /// Too few voters answered to say.
    #[default]
    Unknown,
    /// A quorum of voters agrees, and with it this node.
    Agreed {
        /// What the quorum reads, minus our clock, in milliseconds.
        offset_ms: i64,
    },
    /// A quorum of voters agrees, and this node's clock is off.
    Off {
        /// What the quorum reads, minus our clock, in milliseconds.
        offset_ms: i64,
        /// The voter whose clock is nearest to it.
        nearest: u64,
    },
    /// A quorum answered, and no quorum agrees.
    Disagreement,
}

/// The voters' clocks when they were last compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clocks {
    /// Those that answered, ascending by node; this node's included if it votes.
    pub offsets: Vec<ClockOffset>,
    /// What to make of them.
    pub verdict: ClockVerdict,
}

/// A time that a quorum of voters confirms, and what each voter's clock read then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedTime {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Node, its clock in milliseconds since 1970, and the round trip in milliseconds; ascending by node.
    pub readings: Vec<(u64, u64, u64)>,
}

/// Judges this node's clock by those of the voters that answered, itself included. `voters` is one set, or both while a
/// change of members is under way.
#[must_use]
pub fn judge(offsets: &[ClockOffset], voters: &[BTreeSet<u64>]) -> ClockVerdict {
    let answered = offsets.iter().map(|clock| clock.node).collect();
    if !have_quorum(voters, &answered) {
        return ClockVerdict::Unknown;
    }
    let Some(offset_ms) = agreed(offsets, voters) else {
        return ClockVerdict::Disagreement;
    };
    let nearest = offsets
        .iter()
        .filter(|clock| clock.round_trip_ms <= ROUND_TRIP_MAX.as_ms())
        .min_by_key(|clock| (clock.offset_ms.abs_diff(offset_ms), clock.node));
    match nearest {
        Some(nearest) if offset_ms.unsigned_abs() > CLOCKS_AGREE.as_ms() => ClockVerdict::Off {
            offset_ms,
            nearest: nearest.node,
        },
        _ => ClockVerdict::Agreed { offset_ms },
    }
}

/// The offset that a quorum agrees on: of all read, the one that most voters confirm, and of several the nearest to ours.
#[must_use]
pub fn agreed(offsets: &[ClockOffset], voters: &[BTreeSet<u64>]) -> Option<i64> {
    let confirming = |offset_ms: i64| -> BTreeSet<u64> {
        let confirms = |clock: &&ClockOffset| {
            clock.round_trip_ms <= ROUND_TRIP_MAX.as_ms()
                && clock
                    .offset_ms
                    .abs_diff(offset_ms)
                    .saturating_add(clock.round_trip_ms / 2)
                    <= CLOCKS_AGREE.as_ms()
        };
        let confirming = offsets.iter().filter(confirms);
        confirming.map(|clock| clock.node).collect()
    };
    offsets
        .iter()
        .map(|clock| (confirming(clock.offset_ms), clock.offset_ms))
        .filter(|(nodes, _)| have_quorum(voters, nodes))
        .max_by_key(|(nodes, offset_ms)| {
            let distance = std::cmp::Reverse(offset_ms.unsigned_abs());
            (nodes.len(), distance, *offset_ms)
        })
        .map(|(_, offset_ms)| offset_ms)
}

fn have_quorum(voters: &[BTreeSet<u64>], nodes: &BTreeSet<u64>) -> bool {
    let majority = |set: &BTreeSet<u64>| set.len() / 2 < set.intersection(nodes).count();
    !voters.is_empty() && voters.iter().all(majority)
}

/// The voters of the newest membership: one set, or both while a change is under way.
pub(crate) fn voter_sets(plane: &Plane) -> Vec<BTreeSet<u64>> {
    let metrics = plane.raft.metrics();
    let metrics = metrics.borrow_watched();
    let sets = metrics.membership_config.membership().get_joint_config();
    sets.iter().filter(|set| !set.is_empty()).cloned().collect()
}

/// Our clock, read once. All that is measured after it is measured by monotonic time, so that a step of our clock in
/// between cannot shift what the others read.
struct Anchor {
    wall_ms: u64,
    since: Instant,
}

impl Anchor {
    fn new(plane: &Plane) -> Anchor {
        Anchor {
            wall_ms: plane.clock.now_ms(),
            since: Instant::now(),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn now_ms(&self) -> u64 {
        self.wall_ms.saturating_add(self.elapsed_ms())
    }
}

/// Asks the voters for their clocks, all at once, until `enough` says so or all have answered.
async fn ask(
    plane: &Plane,
    anchor: &Anchor,
    known: &Status,
    patience: Duration,
    enough: impl Fn(&[ClockOffset]) -> bool,
) -> (Vec<ClockOffset>, BTreeMap<u64, Fitness>) {
    let mut asked: FuturesUnordered<_> = known
        .voters
        .iter()
        .filter_map(|voter| Some((*voter, known.members.get(voter)?)))
        .map(|(voter, member)| clock_of(plane, anchor, known, voter, member, patience))
        .collect();
    let mut offsets: Vec<ClockOffset> = Vec::new();
    let mut fitness = BTreeMap::new();
    while let Some(answer) = asked.next().await {
        let Some((clock, fit)) = answer else {
            continue;
        };
        fitness.insert(clock.node, fit);
        offsets.push(clock);
        offsets.sort_by_key(|clock| clock.node);
        if enough(&offsets) {
            break;
        }
    }
    (offsets, fitness)
}

/// All voters' clocks that answer in time.
pub(crate) async fn voter_clocks(plane: &Plane, patience: Duration) -> Vec<ClockOffset> {
    round(plane, patience).await.0
}

/// The voters that answer in time: their clocks, and how fit they are to lead.
pub(crate) async fn round(
    plane: &Plane,
    patience: Duration,
) -> (Vec<ClockOffset>, BTreeMap<u64, Fitness>) {
    let known = known(plane);
    ask(plane, &Anchor::new(plane), &known, patience, |_| false).await
}

/// The time that a quorum of voters reads now, or what was read and does not agree.
pub(crate) async fn confirmed_time(
    plane: &Plane,
    patience: Duration,
) -> Result<ConfirmedTime, Clocks> {
    let known = known(plane);
    let voters = voter_sets(plane);
    let anchor = Anchor::new(plane);
    let (offsets, _) = ask(plane, &anchor, &known, patience, |offsets| {
        agreed(offsets, &voters).is_some()
    })
    .await;
    let Some(offset_ms) = agreed(&offsets, &voters) else {
        let verdict = judge(&offsets, &voters);
        return Err(Clocks { offsets, verdict });
    };
    let now_ms = anchor.now_ms();
    Ok(ConfirmedTime {
        at_ms: now_ms.saturating_add_signed(offset_ms),
        readings: offsets
            .iter()
            .map(|clock| {
                let at_ms = now_ms.saturating_add_signed(clock.offset_ms);
                (clock.node, at_ms, clock.round_trip_ms)
            })
            .collect(),
    })
}

fn known(plane: &Plane) -> Status {
    let metrics = plane.raft.metrics();
    let metrics = metrics.borrow_watched();
    status(&metrics)
}

async fn clock_of(
    plane: &Plane,
    anchor: &Anchor,
    known: &Status,
    voter: u64,
    member: &Member,
    patience: Duration,
) -> Option<(ClockOffset, Fitness)> {
    let peers = &plane.peers;
    if voter == peers.node {
        let own = ClockOffset {
            node: voter,
            offset_ms: 0,
            round_trip_ms: 0,
            leads: known.standing.role == Role::Leader,
        };
        return Some((own, plane.fitness().await));
    }
    let envelope = peers.envelope(voter, member.store, Bytes::new());
    let sent_ms = anchor.elapsed_ms();
    let asked: Result<Bytes, CallError> = peers
        .call(
            voter,
            member,
            Purpose::Control,
            patience,
            |mut client| async move { client.clock(envelope).await },
        )
        .await;
    let (theirs_ms, leads, fitness) = answer_from(asked.ok()?)?;
    let round_trip_ms = anchor.elapsed_ms().saturating_sub(sent_ms);
    let ours_ms = anchor.wall_ms.saturating_add(sent_ms);
    let clock = ClockOffset {
        leads,
        ..offset(voter, ours_ms, theirs_ms, round_trip_ms)
    };
    Some((clock, fitness))
}

/// Bytes of an answer: clock u64 | leads u8 | hindrance u8 | applied u64.
const ANSWER_BYTES: usize = 18;

/// What a node answers who asks for its clock: milliseconds since 1970, whether it leads, and how well it would.
pub(crate) fn answer(now_ms: u64, leads: bool, fitness: Fitness) -> Bytes {
    let mut body = BytesMut::with_capacity(ANSWER_BYTES);
    body.put_u64(now_ms);
    body.put_u8(u8::from(leads));
    body.put_u8(fitness.hindrance.to_byte());
    body.put_u64(fitness.applied_next);
    body.freeze()
}

fn answer_from(mut body: Bytes) -> Option<(u64, bool, Fitness)> {
    if body.len() != ANSWER_BYTES {
        return None;
    }
    let (now_ms, leads) = (body.get_u64(), body.get_u8() == 1);
    let fitness = Fitness {
        hindrance: Hindrance::from_byte(body.get_u8())?,
        applied_next: body.get_u64(),
    };
    Some((now_ms, leads, fitness))
}

/// The offset of a clock that read `theirs_ms` in a round trip that began when ours read `sent_ms`.
fn offset(node: u64, sent_ms: u64, theirs_ms: u64, round_trip_ms: u64) -> ClockOffset {
    let middle = i128::from(sent_ms) + i128::from(round_trip_ms / 2);
    let difference = i128::from(theirs_ms) - middle;
    let offset_ms = i64::try_from(difference).unwrap_or(if difference < 0 {
        i64::MIN + 1
    } else {
        i64::MAX
    });
    ClockOffset {
        node,
        offset_ms,
        round_trip_ms,
        leads: false,
    }
}

/// Compares clocks until the core is dead, publishes what they say, and acts on it.
pub(crate) async fn watch(plane: Arc<Plane>, settings: Settings, clocks: watch::Sender<Clocks>) {
    // Without a leader for so long, a node with a bad clock campaigns after all: it may be the only one that can win, and
    // hands over once the others have its log.
    let grace = settings.election_max * 4;
    let mut led_at = Instant::now();
    let mut said = false;
    let mut hand_over = HandOver::default();
    loop {
        tokio::time::sleep(settings.clock_interval).await;
        let before = known(&plane);
        if before.standing.role == Role::Stopped {
            return;
        }
        plane.look_at_progress();
        let (offsets, fitness) = round(&plane, settings.clock_patience).await;
        let verdict = judge(&offsets, &voter_sets(&plane));
        if offsets.iter().any(|clock| clock.leads) {
            led_at = Instant::now();
        }
        clocks.send_replace(Clocks {
            offsets: offsets.clone(),
            verdict,
        });
        let off = matches!(verdict, ClockVerdict::Off { .. });
        let better = better_voter(&plane, &offsets, verdict, fitness);
        let campaigns = (!off && better.is_none()) || led_at.elapsed() > grace;
        plane.set_campaigns(campaigns);
        if let Some(heir) = hand_over.due(better.filter(|_| !off))
            && known(&plane).standing.role == Role::Leader
        {
            let hindrance = plane.fitness().await.hindrance.words();
            tracing::warn!(
                heir,
                hindrance,
                "another voter does better: leadership is handed over"
            );
            if plane.hand_over(heir).await.is_err() {
                return;
            }
        }
        match verdict {
            ClockVerdict::Off { offset_ms, .. } => {
                let leads = known(&plane).standing.role == Role::Leader;
                if leads && let Some(heir) = heir(&plane, &offsets, offset_ms) {
                    tracing::warn!(
                        behind_ms = offset_ms,
                        heir,
                        "this node's clock is off what a quorum of voters reads: leadership is handed over"
                    );
                    if plane.hand_over(heir).await.is_err() {
                        return;
                    }
                } else if !said {
                    tracing::warn!(
                        behind_ms = offset_ms,
                        "this node's clock is off what a quorum of voters reads: it does not lead"
                    );
                }
                said = true;
            }
            ClockVerdict::Disagreement if !said => {
                tracing::warn!(?offsets, "no quorum of the voters' clocks agrees");
                said = true;
            }
            ClockVerdict::Agreed { .. } if said => {
                tracing::info!("this node's clock agrees with a quorum of voters again");
                said = false;
            }
            _ => {}
        }
    }
}

/// Who leads next: of the voters whose clock a quorum confirms the one that lags least, then the one nearest to it.
fn heir(plane: &Plane, offsets: &[ClockOffset], offset_ms: i64) -> Option<u64> {
    let known = known(plane);
    offsets
        .iter()
        .filter(|clock| clock.node != known.node)
        .filter(|clock| clock.offset_ms.abs_diff(offset_ms) <= CLOCKS_AGREE.as_ms())
        .min_by_key(|clock| {
            // A follower that is merely a few records behind has them before it asks for votes.
            let lag = known.lag.get(&clock.node).copied().unwrap_or(u64::MAX);
            let far = lag > NEARLY_UP_TO_DATE;
            (far, clock.offset_ms.abs_diff(offset_ms), clock.node)
        })
        .map(|clock| clock.node)
}

/// A voter that is hindered less than this node, and whose clock agrees with a quorum as far as that is known.
fn better_voter(
    plane: &Plane,
    offsets: &[ClockOffset],
    verdict: ClockVerdict,
    mut fitness: BTreeMap<u64, Fitness>,
) -> Option<u64> {
    let known = known(plane);
    let own = fitness.remove(&known.node)?;
    let agrees = |node: u64| match verdict {
        ClockVerdict::Agreed { offset_ms } => offsets.iter().any(|clock| {
            clock.node == node && clock.offset_ms.abs_diff(offset_ms) <= CLOCKS_AGREE.as_ms()
        }),
        _ => true,
    };
    better(&known, own, &fitness, agrees)
}

/// Hands over only when the same was found twice in a row: what hinders for a moment passes, and what one voter meets now the
/// others meet in the next.
#[derive(Default)]
struct HandOver {
    found: bool,
}

impl HandOver {
    fn due(&mut self, better: Option<u64>) -> Option<u64> {
        let before = std::mem::replace(&mut self.found, better.is_some());
        better.filter(|_| before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offsets: &[i64], voters: u64, expected: ClockVerdict) {
        let clocks: Vec<ClockOffset> = (1..)
            .zip(offsets)
            .map(|(node, offset_ms)| ClockOffset {
                node,
                offset_ms: *offset_ms,
                round_trip_ms: 1,
                leads: false,
            })
            .collect();
        let sets = [(1..=voters).collect()];
        assert_eq!(judge(&clocks, &sets), expected, "{offsets:?} of {voters}");
    }

    fn off(offset_ms: i64, nearest: u64) -> ClockVerdict {
        ClockVerdict::Off { offset_ms, nearest }
    }

    const AGREED: ClockVerdict = ClockVerdict::Agreed { offset_ms: 0 };

    #[test]
    fn a_clock_is_judged_by_what_a_quorum_agrees_on() {
        check(&[0, 5, -7], 3, AGREED);
        check(&[0, 100_000, 3], 3, AGREED);
        check(&[0, 100_000, 100_000], 3, off(100_000, 2));
        check(&[0, -3_600_000, -3_600_900], 3, off(-3_600_000, 2));
        check(&[0, -5_000, -5_010, 4, -5_020], 5, off(-5_000, 2));
        check(&[0, 400_000, 800_000], 3, ClockVerdict::Disagreement);
        check(&[0, 400_000], 3, ClockVerdict::Disagreement);
        check(&[0, 1_000], 2, AGREED);
        check(&[0], 3, ClockVerdict::Unknown);
        check(&[0], 1, AGREED);
        check(&[], 0, ClockVerdict::Unknown);
    }

    #[test]
    fn a_slow_answer_confirms_nothing_that_its_error_leaves_open() {
        let clock = |node, offset_ms, round_trip_ms| ClockOffset {
            node,
            offset_ms,
            round_trip_ms,
            leads: false,
        };
        let three = [BTreeSet::from([1, 2, 3])];
        let quick = [clock(1, 0, 0), clock(2, 1_600, 700)];
        assert_eq!(agreed(&quick, &three), Some(0));
        // It may be right at 1,600; that it is within two seconds of ours is not certain.
        let slow = [clock(1, 0, 0), clock(2, 1_600, 900)];
        assert_eq!(agreed(&slow, &three), Some(1_600));
        let slow_and_far = [clock(1, 0, 0), clock(2, 2_001, 900)];
        assert_eq!(agreed(&slow_and_far, &three), None);
        let too_slow = [clock(1, 0, 0), clock(2, 0, 1_001)];
        assert_eq!(agreed(&too_slow, &three), None);
    }

    #[test]
    fn a_change_of_members_needs_both_quorums() {
        let clock = |node, offset_ms| ClockOffset {
            node,
            offset_ms,
            round_trip_ms: 1,
            leads: false,
        };
        let clocks = [clock(1, 0), clock(2, 0), clock(4, 9_000), clock(5, 9_000)];
        let old = BTreeSet::from([1, 2, 3]);
        let new = BTreeSet::from([1, 4, 5]);
        assert_eq!(agreed(&clocks, std::slice::from_ref(&old)), Some(0));
        assert_eq!(agreed(&clocks, &[old, new]), None);
    }

    #[test]
    fn an_offset_is_taken_at_the_middle_of_the_round_trip() {
        let read = offset(2, 1000, 1550, 100);
        assert_eq!((read.offset_ms, read.round_trip_ms), (500, 100));
        assert_eq!(offset(2, 1000, u64::MAX, 0).offset_ms, i64::MAX);
    }

    #[test]
    fn an_answer_of_another_size_says_nothing() {
        let fitness = Fitness {
            hindrance: Hindrance::Slow,
            applied_next: 12,
        };
        let sent = answer(7, true, fitness);
        assert_eq!(answer_from(sent.clone()), Some((7, true, fitness)));
        assert_eq!(answer_from(sent.slice(..ANSWER_BYTES - 1)), None);
    }
}
