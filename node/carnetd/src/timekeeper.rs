//! Keeps log time going: lifts its ceiling while this node leads, on the evidence of a quorum of voters' clocks.
//!
//! The registry refuses a stamp above its ceiling. A leader has the ceiling lifted once after its election, before its
//! first stamp, and from then on ahead of need while it writes, so that a write waits for it only after idle time. A
//! leader whose own clock stands above what a quorum confirms stamps nothing; consensus takes leadership from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carnet_consensus::{ClockOffset, ClockVerdict, Clocks, ConfirmedTime, Role};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{CEILING_AHEAD, CLOCKS_AGREE};
use carnet_domain::machine::entry::{Body, ClockReading, ItemAnswer};
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_wire::status::{ApiError, Effect};
use tokio::sync::Mutex as AsyncMutex;
use tracing::{debug, info, warn};

use crate::node::Node;

/// Longest wait for the voters' clocks before a write is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// For so long a failure to lift the ceiling answers all who ask: they do not queue for the voters' clocks one by one.
const FAILURE_STANDS: Duration = Duration::from_millis(500);
/// How often the ceiling is looked at.
const PAUSE: Duration = Duration::from_secs(1);
/// The ceiling is lifted when it stands less than this above the time.
const AHEAD_MIN: DurationMs = DurationMs(CEILING_AHEAD.0 / 2);
/// Without a write for so long, the ceiling is not lifted ahead of need.
const WRITING: Duration = Duration::from_secs(10);
/// Log time that nobody moved for so long is moved, far from the hour beyond which it needs the roots.
const STANDSTILL_MAX: DurationMs = DurationMs(300_000);

/// What a node remembers about log time.
#[derive(Debug, Default)]
pub struct Timekeeper {
    /// The ceiling is lifted once at a time. Why it was not the last time, and when by monotonic time.
    lifting: AsyncMutex<Option<(Duration, ApiError)>>,
    /// The term in which this leader last had it lifted.
    lifted_term: AtomicU64,
    /// Monotonic milliseconds of the last write.
    wrote_at: AtomicU64,
    /// Why the ceiling cannot be lifted, so that writes are refused; empty while they are not.
    refusal: Mutex<String>,
}

impl Timekeeper {
    fn refuses(&self) -> bool {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        !refusal.is_empty()
    }

    fn refuse(&self, why: String) -> String {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if *refusal != why {
            if why.is_empty() {
                info!("log time goes on");
            } else {
                warn!(%why, "log time cannot go on: writes are refused");
            }
            refusal.clone_from(&why);
        }
        why
    }
}

/// Why this node is not to be written to because of its clock or the voters'; empty while it may be.
pub fn refusal(node: &Node) -> String {
    let refusal = node.time.refusal.lock();
    let refusal = refusal.unwrap_or_else(PoisonError::into_inner).clone();
    match node.raft.clocks().borrow().verdict {
        ClockVerdict::Off { offset_ms, .. } if node.seems_leader() && refusal.is_empty() => {
            format!(
                "a quorum of voters reads {offset_ms:+} ms beside this node's clock; it hands leadership over"
            )
        }
        _ => refusal,
    }
}

/// The time with which this node stamps a proposal now.
///
/// # Errors
/// This node leads and no quorum confirms its clock. Nothing was proposed.
pub async fn stamp(node: &Node, body: &Body) -> Result<TimeMs, ApiError> {
    let wall = node.clock.wall();
    // The proposal of a node that does not lead goes nowhere, and before the genesis there is no ceiling.
    if !node.seems_leader() || node.progress().log_time == TimeMs::EPOCH || is_about_time(body) {
        return Ok(wall);
    }
    let now = node.clock.monotonic().as_millis();
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    node.time.wrote_at.store(now, Ordering::Relaxed);
    if must_lift_now(node) {
        lift(node, must_lift_now).await?;
    }
    let (wall, ceiling) = (node.clock.wall(), node.progress().ceiling);
    if wall > ceiling {
        let ahead = wall.since(ceiling).as_ms() + CEILING_AHEAD.as_ms();
        let text = format!(
            "the clock of node {} is about {ahead} ms ahead of what a quorum of voters reads; another node is to lead",
            node.config.node.id
        );
        return Err(ApiError::TimeStandsStill { text });
    }
    Ok(wall)
}

fn is_about_time(body: &Body) -> bool {
    // Only which stamp this leader puts on it: what the entry does is decided by the level that the registry stands at.
    carnet_domain::machine::is_about_time(body, Level::KNOWN)
}

/// Whether this leader has not yet had its voters' clocks compared in its term.
fn must_lift(node: &Node) -> bool {
    let term = node.raft.standing().borrow().term;
    node.time.lifted_term.load(Ordering::Relaxed) != term
}

/// What a write needs: a ceiling of this term, above its clock.
fn must_lift_now(node: &Node) -> bool {
    must_lift(node) || node.clock.wall() > node.progress().ceiling
}

/// What the background does ahead of need.
fn should_lift(node: &Node) -> bool {
    // While writes are refused it is tried again although nobody writes: whoever looks at the status is told what is so now,
    // not what was when somebody last wrote.
    if must_lift(node) || node.time.refuses() {
        return true;
    }
    let Some(time) = agreed_time(node) else {
        return false;
    };
    let progress = node.progress();
    let wrote_at = Duration::from_millis(node.time.wrote_at.load(Ordering::Relaxed));
    let writing = node.clock.monotonic().saturating_sub(wrote_at) < WRITING;
    let short = time.saturating_add(AHEAD_MIN) > progress.ceiling;
    (short && writing) || time.since(progress.log_time) > STANDSTILL_MAX
}

/// What a quorum of voters reads now, by the last comparison and this node's clock.
fn agreed_time(node: &Node) -> Option<TimeMs> {
    match node.raft.clocks().borrow().verdict {
        ClockVerdict::Agreed { offset_ms } | ClockVerdict::Off { offset_ms, .. } => {
            let ms = node.clock.wall().as_ms().saturating_add_signed(offset_ms);
            Some(TimeMs::from_ms(ms))
        }
        ClockVerdict::Unknown | ClockVerdict::Disagreement => None,
    }
}

/// Has the ceiling lifted, unless somebody else did while this waited.
async fn lift(node: &Node, needed: fn(&Node) -> bool) -> Result<(), ApiError> {
    let mut failed = node.time.lifting.lock().await;
    if !needed(node) {
        return Ok(());
    }
    if let Some((at, why)) = &*failed
        && node.clock.monotonic().saturating_sub(*at) < FAILURE_STANDS
    {
        return Err(why.clone());
    }
    let outcome = lift_now(node).await;
    let now = node.clock.monotonic();
    *failed = outcome.as_ref().err().map(|why| (now, why.clone()));
    outcome
}

async fn lift_now(node: &Node) -> Result<(), ApiError> {
    let stands = |why| {
        let text = node.time.refuse(why);
        Err(ApiError::TimeStandsStill { text })
    };
    let term = node.raft.standing().borrow().term;
    let confirmed = match node.raft.confirmed_time(PATIENCE).await {
        Ok(confirmed) => confirmed,
        // Nothing is known of clocks then: voters are missing, and it is they who have to come back.
        Err(clocks) if clocks.verdict == ClockVerdict::Unknown => {
            return Err(ApiError::unavailable(node.time.refuse(absence(&clocks))));
        }
        Err(clocks) => return stands(disagreement(&clocks)),
    };
    let committed = match node
        .propose_stamped(evidence(confirmed), node.clock.wall())
        .await
    {
        Ok(committed) => committed,
        // Not a matter of clocks. And whatever became of the lift, nothing became of what waits for it.
        Err(error) if error.effect() == Effect::Unknown => {
            return Err(ApiError::unavailable(error));
        }
        Err(error) => return Err(error),
    };
    match committed.answer.items.first() {
        Some(ItemAnswer::Refused { rejection }) => stands(refused(rejection)),
        _ => {
            node.time.lifted_term.store(term, Ordering::Relaxed);
            node.time.refuse(String::new());
            Ok(())
        }
    }
}

fn evidence(confirmed: ConfirmedTime) -> Body {
    let reading = |(node, at_ms, round_trip_ms)| ClockReading {
        node,
        at: TimeMs::from_ms(at_ms),
        round_trip: DurationMs::from_ms(round_trip_ms),
    };
    Body::AdvanceTime {
        to: TimeMs::from_ms(confirmed.at_ms),
        readings: confirmed.readings.into_iter().map(reading).collect(),
    }
}

fn absence(clocks: &Clocks) -> String {
    format!(
        "no quorum of the voters answers: {} did, in time for their clocks to be compared",
        listed(clocks)
    )
}

fn disagreement(clocks: &Clocks) -> String {
    format!(
        "no quorum of voters' clocks agrees within {CLOCKS_AGREE}; beside this node's clock: {}",
        listed(clocks)
    )
}

fn listed(clocks: &Clocks) -> String {
    let one = |clock: &ClockOffset| {
        let ClockOffset {
            node,
            offset_ms,
            round_trip_ms,
            ..
        } = clock;
        format!("node {node} ({offset_ms:+} ms over {round_trip_ms} ms)")
    };
    let seen: Vec<String> = clocks.offsets.iter().map(one).collect();
    seen.join(", ")
}

fn refused(rejection: &Rejection) -> String {
    match rejection.reason {
        Reason::TimeNeedsRoots => format!("{rejection}. {}", rejection.reason.remedy()),
        _ => rejection.to_string(),
    }
}

/// Runs until the node stops.
pub async fn run(node: Arc<Node>) {
    let mut clocks = node.raft.clocks();
    let mut standing = node.raft.standing();
    loop {
        let woken = async {
            tokio::select! {
                changed = clocks.changed() => changed,
                changed = standing.changed() => changed,
            }
        };
        // Whatever ended the wait, the ceiling is looked at again.
        let _ = tokio::time::timeout(PAUSE, woken).await;
        match standing.borrow_and_update().role {
            Role::Stopped => return,
            Role::Leader => {}
            _ => {
                node.time.refuse(String::new());
                continue;
            }
        }
        if node.progress().log_time == TimeMs::EPOCH || !should_lift(&node) {
            continue;
        }
        if let Err(error) = lift(&node, should_lift).await {
            debug!(%error, "the ceiling of log time is not lifted");
            // A refusal that stays is asked for again, but not as fast as the network allows.
            tokio::time::sleep(PAUSE).await;
        }
    }
}
