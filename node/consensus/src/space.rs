//! Room on the disks of the voters: when the leader takes no more load, and why.
//!
//! A full disk stops a node; full disks of a majority stop a country, at a moment nobody chose, with writes under way
//! whose outcome is unknown. So each node has a watermark, the leader asks the voters how far above it they are, and
//! refuses load *before* anything is appended once the voters that have room are no quorum. Purging, snapshots, reads and
//! what keeps the log alive (elections, seals, membership) go on: they are what makes room. A single low follower is a
//! warning: the others are a quorum, and if it does fill up, it alone stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::codec::Body as _;
use crate::connector::Purpose;
pub use crate::disk::{DiskSpace, Space, SpaceProbe};
use crate::plane::Plane;
use crate::status::Role;

/// How long the last answer of a voter counts. Longer than a restart, so that a node that is restarted while another one
/// is low does not stop the writes of a country.
const ANSWER_COUNTS: Duration = Duration::from_secs(10);

/// What is known about room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Room {
    /// On this node's own disk.
    pub own: Option<Space>,
    /// On the leader: why it takes no load, naming nodes, disks and amounts.
    pub refusal: Option<String>,
    /// Voters that are low, this node included; others than itself only the leader knows.
    pub low: BTreeMap<u64, Space>,
}

/// When a voter's answer came, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    space: Space,
    at: Instant,
}

/// Why load is refused, if it is: in one of the configurations the voters with room are no quorum, and one at least is
/// low. Voters that are gone are Raft's business for as long as nobody is low.
fn refusal(
    configs: &[BTreeSet<u64>],
    low: &BTreeMap<u64, Space>,
    gone: &BTreeSet<u64>,
) -> Option<String> {
    let starved = configs.iter().any(|voters| {
        let with_room = voters
            .iter()
            .filter(|voter| !low.contains_key(voter) && !gone.contains(voter))
            .count();
        with_room < voters.len() / 2 + 1 && voters.iter().any(|voter| low.contains_key(voter))
    });
    if !starved {
        return None;
    }
    let low = low
        .iter()
        .map(|(node, space)| format!("node {node}: {space}"));
    let gone = gone.iter().map(|node| format!("node {node}: no answer"));
    let causes: Vec<String> = low.chain(gone).collect();
    Some(format!(
        "{}: nothing is written until there is room",
        causes.join("; ")
    ))
}

/// Reads this node's disk now.
pub(crate) async fn own(plane: &Plane) -> Option<Space> {
    let disk = Arc::clone(plane.space.0.as_ref()?);
    match plane.machine.work().run(move || disk.read()).await {
        Ok(Ok(space)) => Some(space),
        Ok(Err(why)) => {
            tracing::warn!(%why, "the room on the disk is not known");
            None
        }
        Err(_) => None,
    }
}

/// Looks after the room until the core is dead.
pub(crate) async fn watch(plane: Arc<Plane>, interval: Duration, rooms: watch::Sender<Room>) {
    if plane.space.0.is_none() {
        return;
    }
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let me = plane.peers.node;
    let mut heard: BTreeMap<u64, Heard> = BTreeMap::new();
    let mut leads_since: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let (role, configs, members) = {
            let metrics = plane.raft.metrics();
            let metrics = metrics.borrow_watched();
            let membership = metrics.membership_config.membership();
            let members: Vec<_> = membership
                .voter_ids()
                .filter(|voter| *voter != me)
                .filter_map(|voter| Some((voter, membership.get_node(&voter)?.clone())))
                .collect();
            (
                crate::status::standing(&metrics).role,
                membership.get_joint_config().clone(),
                members,
            )
        };
        if role == Role::Stopped {
            return;
        }
        let own = own(&plane).await;
        let mut low: BTreeMap<u64, Space> = BTreeMap::new();
        low.extend(own.clone().filter(Space::is_low).map(|space| (me, space)));
        let mut why = None;
        if role == Role::Leader {
            let since = *leads_since.get_or_insert_with(Instant::now);
            let asked = members.iter().map(|(voter, member)| {
                let envelope = plane.peers.envelope(*voter, member.store, Bytes::new());
                let plane = &plane;
                async move {
                    let asked = plane.peers.call(
                        *voter,
                        member,
                        Purpose::Control,
                        interval,
                        |mut client| async move { client.space(envelope).await },
                    );
                    let space = Space::from_body(asked.await.ok()?).ok()?;
                    Some((*voter, space))
                }
            });
            let answers = futures::future::join_all(asked).await;
            let now = Instant::now();
            for (voter, space) in answers.into_iter().flatten() {
                heard.insert(voter, Heard { space, at: now });
            }
            heard.retain(|_, heard| now.duration_since(heard.at) < ANSWER_COUNTS);
            for (voter, heard) in &heard {
                if heard.space.is_low() && members.iter().any(|(id, _)| id == voter) {
                    low.insert(*voter, heard.space.clone());
                }
            }
            // A new leader has asked nobody yet.
            let settled = now.duration_since(since) >= ANSWER_COUNTS;
            let gone = members
                .iter()
                .map(|(voter, _)| *voter)
                .filter(|voter| settled && !heard.contains_key(voter))
                .collect();
            why = refusal(&configs, &low, &gone);
        } else {
            heard.clear();
            leads_since = None;
        }
        let room = Room {
            own,
            refusal: why,
            low,
        };
        tell(&rooms.borrow(), &room);
        rooms.send_replace(room);
    }
}

/// Logs what changed, once.
fn tell(before: &Room, now: &Room) {
    match (&before.refusal, &now.refusal) {
        (None, Some(why)) => tracing::error!(%why, "load is refused"),
        (Some(_), None) => tracing::info!("load is taken again"),
        _ => {}
    }
    for (node, space) in &now.low {
        if !before.low.contains_key(node) {
            tracing::warn!(node, %space, "a disk is nearly full");
        }
    }
    for node in before.low.keys() {
        if !now.low.contains_key(node) {
            tracing::info!(node, "the disk is no longer known to be nearly full");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn space(free_mib: u64) -> Space {
        Space {
            free_bytes: free_mib * MIB,
            watermark_bytes: 2048 * MIB,
            path: "/data".to_owned(),
        }
    }

    fn nodes(ids: &[u64]) -> BTreeSet<u64> {
        ids.iter().copied().collect()
    }

    fn refused(configs: &[&[u64]], low: &[u64], gone: &[u64]) -> bool {
        let configs: Vec<_> = configs.iter().map(|ids| nodes(ids)).collect();
        let low = low.iter().map(|id| (*id, space(1331))).collect();
        refusal(&configs, &low, &nodes(gone)).is_some()
    }

    #[test]
    fn load_is_refused_when_those_with_room_are_no_quorum() {
        for (configs, low, gone, expected) in [
            (&[&[1, 2, 3][..]][..], &[][..], &[][..], false),
            (&[&[1, 2, 3]], &[2], &[], false),
            (&[&[1, 2, 3]], &[1], &[], false),
            (&[&[1, 2, 3]], &[1, 2], &[], true),
            (&[&[1, 2, 3]], &[2], &[3], true),
            // Without a low one Raft decides by itself.
            (&[&[1, 2, 3]], &[], &[2, 3], false),
            (&[&[1]], &[1], &[], true),
            (&[&[1, 2]], &[2], &[], true),
            (&[&[1, 2, 3, 4, 5]], &[1, 2], &[], false),
            (&[&[1, 2, 3, 4, 5]], &[1, 2], &[3], true),
            // A joint membership needs a quorum of both.
            (&[&[1, 2, 3], &[1, 4, 5]], &[4, 5], &[], true),
            (&[&[1, 2, 3], &[1, 4, 5]], &[3, 5], &[], false),
            // One that is low and no voter counts for nothing.
            (&[&[1, 2, 3]], &[7], &[], false),
        ] {
            assert_eq!(
                refused(configs, low, gone),
                expected,
                "{configs:?} low {low:?} gone {gone:?}"
            );
        }
    }

    #[test]
    fn a_refusal_names_nodes_disks_and_amounts() {
        let low = BTreeMap::from([(2, space(1331)), (1, space(12))]);
        assert_eq!(
            refusal(&[nodes(&[1, 2, 3])], &low, &nodes(&[])).as_deref(),
            Some(
                "node 1: 12.0 MiB free on /data, below the watermark of 2.0 GiB; \
                 node 2: 1.2 GiB free on /data, below the watermark of 2.0 GiB: \
                 nothing is written until there is room"
            )
        );
    }

    #[test]
    fn room_survives_the_wire() {
        let sent = space(7);
        assert_eq!(Space::from_body(sent.to_body()), Ok(sent));
    }
}
