//! What the parts of a running node share: its core, what it reads, and what it says of itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use carnet_store::log::RaftLog;
use openraft::async_runtime::WatchReceiver;

use crate::clock::Clock;
use crate::confirming::Confirming;
use crate::disk::SpaceProbe;
use crate::error::AdminError;
use crate::forward::ForwardHandler;
use crate::gate::Gate;
use crate::network::Peers;
use crate::receiving::Receiving;
use crate::state_machine::Machine;
use crate::types::{RaftLogId, Types, our_vote};

pub(crate) type Raft = openraft::Raft<Types, Machine>;

/// What the service of the Raft plane and those who look after a node share.
pub(crate) struct Plane {
    pub(crate) raft: Raft,
    pub(crate) machine: Machine,
    pub(crate) peers: Arc<Peers>,
    pub(crate) gate: Arc<Gate>,
    /// Whom the voters follow, asked for every read.
    pub(crate) confirming: Arc<Confirming>,
    pub(crate) log: Arc<dyn RaftLog>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where the room on this node's disk is read.
    pub(crate) space: SpaceProbe,
    /// Set once the process can answer; until then forwarded requests are refused.
    pub(crate) forward: OnceLock<Arc<dyn ForwardHandler>>,
    /// Seeds for the tasks that openraft starts from a request.
    pub(crate) seeds: AtomicU64,
    /// One snapshot is taken in at a time.
    pub(crate) receiving: Receiving,
    /// Whether this node asks for votes when it loses its leader.
    pub(crate) campaigns: AtomicBool,
    pub(crate) progress: Mutex<Progress>,
    /// Whether this node says that it could not sign what is sealed.
    pub(crate) cannot_sign: AtomicBool,
}

/// How far this node had applied at the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) applied_next: u64,
    /// Nothing was applied since the look before it, and there was something to apply.
    pub(crate) slow: bool,
}

impl Plane {
    /// Whether this node asks for votes when it loses its leader.
    pub(crate) fn campaigns(&self) -> bool {
        self.campaigns.load(Ordering::Relaxed)
    }

    /// Looks whether anything was applied since the last look.
    pub(crate) fn look_at_progress(&self) {
        let (applied_next, committed_next) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let next =
                |at: &Option<RaftLogId>| at.as_ref().map_or(0, |at| at.index.saturating_add(1));
            (
                next(&metrics.last_applied),
                next(&metrics.cluster_committed),
            )
        };
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let slow = applied_next == progress.applied_next && applied_next < committed_next;
        *progress = Progress { applied_next, slow };
    }

    /// Hands leadership to another voter.
    pub(crate) async fn hand_over(&self, to: u64) -> Result<(), AdminError> {
        // This node is asked for its vote too.
        let own = our_vote(&self.raft.metrics().borrow_watched().vote);
        self.gate.note_transfer(own, to);
        let asked = self.raft.trigger().transfer_leader(to).await;
        asked.map_err(|_| AdminError::Stopped)
    }

    pub(crate) fn set_campaigns(&self, campaigns: bool) {
        self.campaigns.store(campaigns, Ordering::Relaxed);
        self.raft.runtime_config().elect(campaigns);
    }
}
