//! Takes snapshots and purges the log by our own rules, watches the core, and publishes this node's standing.

use std::sync::Arc;

use carnet_store::fault::FirstFault;
use carnet_store::log::RaftLog;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::error::Fatal;
use crate::gate::Gate;
use crate::plane::Raft;
use crate::settings::Settings;
use crate::status::{Role, Standing, Status, standing, status};

/// Publishes changes of standing until the core is dead, and why it died: the first fault of the storage, if there was
/// one, for the core knows it as text at best.
pub(crate) async fn observe(
    raft: Raft,
    faults: FirstFault,
    standings: watch::Sender<Standing>,
    gate: Arc<Gate>,
) {
    let why = |otherwise: String| match faults.get() {
        Some(fault) => Fatal::Storage(fault),
        None => Fatal::Core(otherwise),
    };
    let mut metrics = raft.metrics();
    loop {
        let (now, stopped) = {
            let seen = metrics.borrow_watched();
            (
                standing(&seen),
                seen.running_state.as_ref().err().map(ToString::to_string),
            )
        };
        publish(&standings, now);
        if let Some(stopped) = stopped {
            gate.end(why(stopped));
            return;
        }
        if metrics.changed().await.is_err() {
            publish(
                &standings,
                Standing {
                    role: Role::Stopped,
                    ..now
                },
            );
            gate.end(why("the core is gone".to_owned()));
            return;
        }
    }
}

fn publish(standings: &watch::Sender<Standing>, now: Standing) {
    standings.send_if_modified(|before| {
        let changed = *before != now;
        if changed {
            tracing::info!(role = ?now.role, term = now.term, leader = ?now.leader, "standing changed");
            *before = now;
        }
        changed
    });
}

/// Looks after snapshots and purging until the core is dead.
pub(crate) async fn keep(raft: Raft, log: Arc<dyn RaftLog>, settings: Settings) {
    let mut ticks = tokio::time::interval(settings.keep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bytes_at_snapshot = log.size();
    loop {
        ticks.tick().await;
        let now = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            status(&metrics)
        };
        if now.standing.role == Role::Stopped {
            return;
        }
        let size = log.size();
        // What was purged since is not growth that was undone.
        bytes_at_snapshot = bytes_at_snapshot.min(size);
        if snapshot_due(&now, &settings, size.saturating_sub(bytes_at_snapshot)) {
            bytes_at_snapshot = size;
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
        if let Some(upto) = purge_due(&now, &settings, size)
            && raft.trigger().purge_log(upto).await.is_err()
        {
            return;
        }
    }
}

fn snapshot_due(now: &Status, settings: &Settings, grown: u64) -> bool {
    let applied = now.applied.map_or(0, |at| at + 1);
    let held = now.snapshot.map_or(0, |at| at + 1);
    let fresh = applied.saturating_sub(held);
    settings.snapshot_records <= fresh || (settings.snapshot_bytes <= grown && 0 < fresh)
}

/// The index up to which to purge: in a snapshot, not among the last records that are kept (by count and by bytes,
/// whichever is less), and needed by no member that this leader replicates to and has heard from lately, unless the log
/// has grown past its limit.
fn purge_due(now: &Status, settings: &Settings, size: u64) -> Option<u64> {
    let last = now.last?;
    let first = now.purged.map_or(0, |at| at + 1);
    let kept = kept_records(settings, last + 1 - first.min(last + 1), size);
    let mut upto = last.checked_sub(kept)?.min(now.snapshot?);
    if size <= settings.log_bytes_max {
        let slowest = now
            .lag
            .iter()
            .filter(|(member, _)| lately(now, settings, **member))
            .map(|(_, lag)| *lag)
            .max()
            .unwrap_or(0);
        upto = upto.min((last + 1).checked_sub(slowest + 1)?);
    }
    (first <= upto).then_some(upto)
}

/// How many records stay. The log knows its bytes as a whole, so records count as of one size.
fn kept_records(settings: &Settings, count: u64, size: u64) -> u64 {
    if size <= settings.log_keep_bytes {
        return settings.log_keep_records;
    }
    let by_bytes = u128::from(count) * u128::from(settings.log_keep_bytes) / u128::from(size);
    u64::try_from(by_bytes)
        .unwrap_or(u64::MAX)
        .min(settings.log_keep_records)
}

/// Whether a member was heard from within the time that the log waits. One that never was has only just been added.
fn lately(now: &Status, settings: &Settings, member: u64) -> bool {
    now.silence
        .get(&member)
        .is_none_or(|silence| *silence <= settings.log_wait)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;

    fn settings() -> Settings {
        Settings {
            snapshot_records: 100,
            snapshot_bytes: 1000,
            log_keep_records: 50,
            log_keep_bytes: 5_000,
            log_wait: Duration::from_secs(60),
            log_bytes_max: 10_000,
            ..Settings::new([0; 16], 1, 1)
        }
    }

    fn at(last: u64, snapshot: Option<u64>, purged: Option<u64>, slowest: u64) -> Status {
        Status {
            node: 1,
            standing: Standing {
                role: Role::Leader,
                term: 1,
                leader: Some(1),
            },
            last: Some(last),
            committed: Some(last),
            applied: Some(last),
            snapshot,
            purged,
            voters: BTreeSet::from([1, 2]),
            joint: false,
            members: BTreeMap::new(),
            lag: BTreeMap::from([(1, 0), (2, slowest)]),
            acknowledged: BTreeMap::new(),
            silence: BTreeMap::new(),
            quorum_silence: None,
        }
    }

    #[test]
    fn snapshots_come_by_records_or_by_bytes() {
        assert!(!snapshot_due(&at(98, None, None, 0), &settings(), 0));
        assert!(snapshot_due(&at(99, None, None, 0), &settings(), 0));
        assert!(snapshot_due(&at(10, None, None, 0), &settings(), 1000));
        assert!(!snapshot_due(&at(10, Some(10), None, 0), &settings(), 1000));
    }

    #[test]
    fn nothing_is_purged_that_somebody_needs() {
        assert_eq!(
            purge_due(&at(200, None, None, 0), &settings(), 0),
            None,
            "no snapshot"
        );
        assert_eq!(
            purge_due(&at(200, Some(180), None, 0), &settings(), 0),
            Some(150)
        );
        assert_eq!(
            purge_due(&at(200, Some(120), None, 0), &settings(), 0),
            Some(120)
        );
        assert_eq!(
            purge_due(&at(200, Some(180), None, 101), &settings(), 0),
            Some(99),
            "a slow voter"
        );
        assert_eq!(
            purge_due(&at(200, Some(180), None, 101), &settings(), 20_000),
            Some(150),
            "the log is too big"
        );
        assert_eq!(
            purge_due(&at(200, Some(180), Some(150), 0), &settings(), 0),
            None,
            "done already"
        );
        assert_eq!(
            purge_due(&at(40, Some(40), None, 0), &settings(), 0),
            None,
            "short log"
        );
    }

    #[test]
    fn records_are_kept_by_count_or_by_bytes_whichever_is_less() {
        let now = at(200, Some(190), Some(100), 0);
        assert_eq!(
            purge_due(&now, &settings(), 5_000),
            Some(150),
            "the last 50, although there is room for all 100"
        );
        assert_eq!(
            purge_due(&now, &settings(), 20_000),
            Some(175),
            "100 records in 20,000 bytes: 25 in 5,000"
        );
        assert_eq!(
            purge_due(&now, &settings(), u64::MAX),
            Some(190),
            "never beyond the snapshot"
        );
        let all_purged = at(200, Some(200), Some(200), 0);
        assert_eq!(purge_due(&all_purged, &settings(), 20_000), None);
    }

    #[test]
    fn a_member_that_is_silent_for_long_keeps_nothing() {
        let mut now = at(200, Some(180), None, 150);
        assert_eq!(purge_due(&now, &settings(), 0), Some(50));
        now.silence = BTreeMap::from([(2, Duration::from_secs(60))]);
        assert_eq!(purge_due(&now, &settings(), 0), Some(50));
        now.silence = BTreeMap::from([(2, Duration::from_secs(61))]);
        assert_eq!(purge_due(&now, &settings(), 0), Some(150));
    }
}
