//! Which types openraft is run with, and how ours turn into its own. None of this leaves the crate.

use std::fmt;

use bytes::Bytes;
use carnet_store::log::Vote;
use carnet_store::machine::LogPosition;
use openraft::impls::leader_id_adv::LeaderId;
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;

use crate::member::Member;

/// Tokio, with the random numbers of elections drawn from a seed that is given as a value: a simulation replays, and a
/// node in production is given a seed by its operating system.
pub(crate) type Runtime = DeterministicRng<TokioRuntime>;

openraft::declare_raft_types!(
    /// The types openraft is run with.
    pub(crate) Types:
        D = Proposal,
        R = Answer,
        NodeId = u64,
        Node = Member,
        AsyncRuntime = Runtime,
);

pub(crate) type RaftVote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type RaftLogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type RaftEntry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type RaftMembership = openraft::Membership<u64, Member>;
pub(crate) type RaftStoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type RaftSnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;

/// An opaque proposal.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposal(pub(crate) Bytes);

/// What this node's state machine made of a record. It goes to nobody else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    /// Opaque.
    pub(crate) bytes: Bytes,
    /// How long it took here, in microseconds, where the machine measures it.
    pub(crate) micros: Option<u64>,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(crate) fn position(id: &RaftLogId) -> LogPosition {
    LogPosition {
        term: id.leader_id.term,
        node: id.leader_id.node_id,
        index: id.index,
    }
}

pub(crate) fn log_id(position: LogPosition) -> RaftLogId {
    RaftLogId::new(
        LeaderId {
            term: position.term,
            node_id: position.node,
        },
        position.index,
    )
}

pub(crate) fn our_vote(vote: &RaftVote) -> Vote {
    Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.node_id,
        committed: vote.committed,
    }
}

pub(crate) fn raft_vote(vote: Vote) -> RaftVote {
    RaftVote {
        leader_id: LeaderId {
            term: vote.term,
            node_id: vote.node,
        },
        committed: vote.committed,
    }
}
