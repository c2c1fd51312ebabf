//! What a node says about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::Instant as _;

use crate::member::Member;
use crate::types::Types;

/// What a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Follows without a vote, or belongs to no cluster yet.
    #[default]
    Learner,
    /// Follows and votes.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Believes that it leads. A cut-off leader believes so too: only a read index proves it.
    Leader,
    /// Takes part in nothing any more.
    Stopped,
}

/// A node's place in the cluster. Published on change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// What it does in the term.
    pub role: Role,
    /// The newest that it knows of; 0 before the first election.
    pub term: u64,
    /// The leader it follows, itself included.
    pub leader: Option<u64>,
}

/// A node's state, for operators and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// This node's id.
    pub node: u64,
    /// Its place in the cluster.
    pub standing: Standing,
    /// Index of the last record in its log.
    pub last: Option<u64>,
    /// Index up to which the cluster has committed, as far as this node knows.
    pub committed: Option<u64>,
    /// Index up to which it has applied.
    pub applied: Option<u64>,
    /// Index its newest snapshot holds.
    pub snapshot: Option<u64>,
    /// Index up to which its log is purged.
    pub purged: Option<u64>,
    /// Voters; in a joint membership those of both.
    pub voters: BTreeSet<u64>,
    /// Whether the membership is joint: a change was begun and is not finished.
    pub joint: bool,
    /// Every member, learners included.
    pub members: BTreeMap<u64, Member>,
    /// On a leader: records that each member still lacks.
    pub lag: BTreeMap<u64, u64>,
    /// On a leader: the last record that each member has acknowledged in this term. A member of which nothing was heard in
    /// it is not here.
    pub acknowledged: BTreeMap<u64, u64>,
    /// On a leader: how long each member has been silent.
    pub silence: BTreeMap<u64, Duration>,
    /// On a leader: since when it has not heard from a quorum.
    pub quorum_silence: Option<Duration>,
}

impl Status {
    /// Node id and client-plane address of the leader, if known.
    #[must_use]
    pub fn leader_address(&self) -> Option<(u64, String)> {
        let leader = self.standing.leader?;
        Some((leader, self.members.get(&leader)?.api.clone()))
    }

    /// On a leader: whether a member has acknowledged, in this term, every record up to `index`.
    #[must_use]
    pub fn has_acknowledged(&self, member: u64, index: Option<u64>) -> bool {
        // Of two options the one without a record is the lesser: an empty log has caught up with nothing but an empty one.
        member == self.node || self.acknowledged.get(&member).copied() >= index
    }
}

type Metrics = openraft::RaftMetrics<Types>;

pub(crate) fn standing(metrics: &Metrics) -> Standing {
    let role = match (&metrics.running_state, metrics.state) {
        (Err(_), _) | (_, ServerState::Shutdown) => Role::Stopped,
        (_, ServerState::Learner) => Role::Learner,
        (_, ServerState::Follower) => Role::Follower,
        (_, ServerState::Candidate) => Role::Candidate,
        (_, ServerState::Leader) => Role::Leader,
    };
    Standing {
        role,
        term: metrics.current_term,
        leader: metrics.current_leader,
    }
}

pub(crate) fn status(metrics: &Metrics) -> Status {
    let membership = metrics.membership_config.membership();
    let next = metrics.last_log_index.map_or(0, |last| last + 1);
    let lag = metrics
        .replication
        .iter()
        .flatten()
        .map(|(node, matching)| {
            (
                *node,
                next.saturating_sub(matching.map_or(0, |matching| matching.index + 1)),
            )
        });
    let acknowledged = metrics
        .replication
        .iter()
        .flatten()
        .filter_map(|(node, matching)| Some((*node, matching.as_ref()?.index)));
    Status {
        node: metrics.id,
        standing: standing(metrics),
        last: metrics.last_log_index,
        committed: metrics.cluster_committed.map(|at| at.index),
        applied: metrics.last_applied.map(|at| at.index),
        snapshot: metrics.snapshot.map(|at| at.index),
        purged: metrics.purged.map(|at| at.index),
        voters: membership.voter_ids().collect(),
        joint: 1 < membership.get_joint_config().len(),
        members: membership
            .nodes()
            .map(|(id, member)| (*id, member.clone()))
            .collect(),
        lag: lag.collect(),
        acknowledged: acknowledged.collect(),
        silence: metrics
            .heartbeat
            .iter()
            .flatten()
            .filter_map(|(node, heard)| Some((*node, heard.as_ref()?.elapsed())))
            .collect(),
        quorum_silence: quorum_silence(metrics),
    }
}

/// How long ago a quorum last answered this node. A leader that is a quorum by itself is asked by nobody and heard at once:
/// the core renews the time only when somebody else answers.
pub(crate) fn quorum_silence(metrics: &Metrics) -> Option<Duration> {
    let configurations = metrics.membership_config.membership().get_joint_config();
    let alone = |voters: &BTreeSet<u64>| voters.len() == 1 && voters.contains(&metrics.id);
    if metrics.state == ServerState::Leader && configurations.iter().all(alone) {
        return Some(Duration::ZERO);
    }
    let acked = metrics.last_quorum_acked.as_ref();
    acked.map(|acked| acked.elapsed())
}
