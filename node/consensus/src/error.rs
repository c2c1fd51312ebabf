//! How consensus fails, one enum a boundary.

use std::sync::Arc;

use carnet_store::fault::StorageFault;
use carnet_wire::status::Obstacle;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings contradict themselves.
    #[error("settings: {0}")]
    Settings(String),
    /// Log and state do not fit together, or cannot be read.
    #[error("recovery: {0}")]
    Recovery(String),
    /// The disk failed.
    #[error("storage")]
    Storage(#[source] Arc<StorageFault>),
    /// This store has left its cluster, or its cluster knows this node with another.
    #[error("this store may not take part: {0}")]
    Refused(String),
}

/// Why a node can go on no more. The process must end; only after [`Fatal::Core`], and some of [`Fatal::Storage`], may it help to start it again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Fatal {
    /// This store has left the cluster.
    #[error("node {by} refuses this node: {text}")]
    Retired {
        /// Who said so.
        by: u64,
        /// In its words.
        text: String,
    },
    /// The cluster knows this node with another store.
    #[error("node {by} refuses this node: {text}")]
    OtherStore {
        /// Who said so.
        by: u64,
        /// In its words.
        text: String,
    },
    /// A later process of this store was heard, or the one before answers at this node's address: one of them runs on a copy.
    #[error("node {by} refuses this node: {text}")]
    Copy {
        /// Who said so.
        by: u64,
        /// In its words.
        text: String,
    },
    /// This node lacks a record that it had acknowledged: its disk lost it, or is an older copy. It must not vote.
    #[error(
        "this node's log went back: it acknowledged record {acknowledged} to node {by} and ends at {last:?}; \
         a disk that loses what it has synced, or an older copy of one, cannot take part: join under a new node id"
    )]
    LogWentBack {
        /// The leader that noticed.
        by: u64,
        /// Index of the record that it lacks.
        acknowledged: u64,
        /// Index of the last record that it has.
        last: Option<u64>,
    },
    /// The disk failed, or what is on it: the first fault, with its type.
    #[error("storage")]
    Storage(#[source] Arc<StorageFault>),
    /// The core of consensus ended for another reason.
    #[error("{0}")]
    Core(String),
}

impl Fatal {
    /// Whether this store must not take part again: starting it once more only repeats the refusal.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Fatal::Core(_) | Fatal::Storage(_))
    }

    /// What it says, with its causes, on one line.
    #[must_use]
    pub fn cause(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

/// What became of a proposal that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead; nothing was appended.
    #[error("not the leader")]
    NotLeader {
        /// Node id and client-plane address of the leader, if this node knows one.
        leader: Option<(u64, String)>,
    },
    /// Larger than [`carnet_domain::limits::ENTRY_BYTES_MAX`]; nothing was appended.
    #[error("a proposal of {size} bytes is too large")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Too many proposals are under way; nothing was appended.
    #[error("overloaded")]
    Overloaded,
    /// It may have happened, or may yet happen, or not.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// This node has stopped; nothing was appended.
    #[error("stopped")]
    Stopped,
    /// The leader's [`crate::ForwardHandler`] refused before proposing; nothing was appended.
    #[error("refused: {0}")]
    Refused(String),
    /// The leader's state machine stands still before a record; nothing was appended. Names the record.
    #[error("{0}")]
    StandsStill(String),
}

/// Why a linearizable read could not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader is known, or none could confirm in time that it leads.
    #[error("no leader with a quorum: {0}")]
    NoQuorum(String),
    /// This node could not catch up to the read index in time.
    #[error("this node lags behind")]
    Lagging,
    /// Too many reads wait.
    #[error("overloaded")]
    Overloaded,
    /// This node's state machine stands still before a record. Names the record.
    #[error("{0}")]
    StandsStill(String),
    /// This node has stopped.
    #[error("stopped")]
    Stopped,
}

/// Why an operator's request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Only the leader can do this.
    #[error("not the leader")]
    NotLeader {
        /// Node id and client-plane address of the leader, if this node knows one.
        leader: Option<(u64, String)>,
    },
    /// It would break a rule of membership, or the cluster exists already. Nothing was changed.
    #[error("refused: {1}")]
    Refused(Obstacle, String),
    /// It may have happened, or may yet happen, or not.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// This node has stopped.
    #[error("stopped")]
    Stopped,
}
