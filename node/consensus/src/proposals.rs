//! Proposals: bounded, batched into one append each time the core is ready for one, and answered in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carnet_domain::limits::ENTRY_BYTES_MAX;
use carnet_store::fault::FirstFault;
use carnet_store::machine::{LogPosition, StandsBefore};
use futures::StreamExt;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::error::{Fatal, ProposeError};
use crate::plane::Raft;
use crate::status::status;
use crate::types::{Proposal, Types, position};

/// Proposals handed to the core at once.
const BATCH_MAX: usize = 512;
/// Batches under way at once. What arrives meanwhile is one larger batch, with one append, one sync and one apply on every
/// node: without a bound 64 callers made batches of ten, with it of twenty. Two, so that one is synced while the other is
/// applied.
const BATCHES_UNDER_WAY: usize = 2;

/// A proposal that was committed and applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its place in the log.
    pub position: LogPosition,
    /// What the state machine answered.
    pub answer: Bytes,
}

type Outcome = Result<Proposed, ProposeError>;

struct Queued {
    proposal: Bytes,
    answer: oneshot::Sender<Outcome>,
    _room: OwnedSemaphorePermit,
}

/// The way in.
pub(crate) struct Proposals {
    queue: mpsc::UnboundedSender<Queued>,
    /// Bounds the queue and everything under way, in KiB.
    room: Arc<Semaphore>,
    still: Still,
    patience: Duration,
}

/// Whether this node can apply what it would propose.
#[derive(Clone)]
struct Still {
    raft: Raft,
    stands: watch::Receiver<Option<StandsBefore>>,
}

impl Still {
    /// What a proposal is refused with, nothing appended, while this node stands still before a record.
    fn refusal(&self) -> Option<ProposeError> {
        let named = self.stands.borrow().as_ref()?.to_string();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state == ServerState::Leader {
            return Some(ProposeError::StandsStill(named));
        }
        let leader = status(&metrics).leader_address();
        Some(ProposeError::NotLeader { leader })
    }

    /// Ends when this node begins to stand still, and names the record.
    async fn begins(&self) -> String {
        let mut stands = self.stands.clone();
        let reached = stands.wait_for(Option::is_some).await.ok();
        match reached.and_then(|record| record.as_ref().map(ToString::to_string)) {
            Some(named) => named,
            // The node is stopping, and what waits hears so by itself.
            None => std::future::pending().await,
        }
    }
}

impl Proposals {
    pub(crate) fn start(
        raft: Raft,
        stands: watch::Receiver<Option<StandsBefore>>,
        faults: FirstFault,
        kib_max: u32,
        patience: Duration,
    ) -> Proposals {
        let (queue, waiting) = mpsc::unbounded_channel();
        let still = Still {
            raft: raft.clone(),
            stands,
        };
        tokio::spawn(batch(raft, faults, still.clone(), waiting));
        Proposals {
            queue,
            still,
            room: Arc::new(Semaphore::new(kib_max as usize)),
            patience,
        }
    }

    pub(crate) async fn propose(&self, proposal: Bytes) -> Outcome {
        let size = proposal.len();
        if size > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { size });
        }
        if let Some(refusal) = self.still.refusal() {
            return Err(refusal);
        }
        let kib = u32::try_from(size.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(kib)
            .map_err(|_| ProposeError::Overloaded)?;
        let (answer, wait) = oneshot::channel();
        self.queue
            .send(Queued {
                proposal,
                answer,
                _room: room,
            })
            .map_err(|_| ProposeError::Stopped)?;
        let waited = async {
            tokio::select! {
                biased;
                answered = wait => answered
                    .unwrap_or_else(|_| Err(ProposeError::Unknown("this node stopped".to_owned()))),
                // It is appended, behind the record or at it, or still queued: none of the callers waits for a person.
                named = self.still.begins() => Err(ProposeError::Unknown(named)),
            }
        };
        tokio::time::timeout(self.patience, waited)
            .await
            .unwrap_or_else(|_| {
                Err(ProposeError::Unknown(format!(
                    "no answer in {:?}",
                    self.patience
                )))
            })
    }
}

async fn batch(
    raft: Raft,
    faults: FirstFault,
    still: Still,
    mut waiting: mpsc::UnboundedReceiver<Queued>,
) {
    let mut queued = Vec::with_capacity(BATCH_MAX);
    let under_way = Arc::new(Semaphore::new(BATCHES_UNDER_WAY));
    // The semaphore is never closed.
    while let Ok(turn) = Arc::clone(&under_way).acquire_owned().await
        && waiting.recv_many(&mut queued, BATCH_MAX).await != 0
    {
        if let Some(refusal) = still.refusal() {
            for one in queued.drain(..) {
                let _ = one.answer.send(Err(refusal.clone()));
            }
            continue;
        }
        let proposals: Vec<Proposal> = queued
            .iter()
            .map(|one| Proposal(one.proposal.clone()))
            .collect();
        let batch = std::mem::replace(&mut queued, Vec::with_capacity(BATCH_MAX));
        match raft.client_write_many(proposals).await {
            Ok(results) => {
                let faults = faults.clone();
                tokio::spawn(async move {
                    let _until_answered = turn;
                    // A core that dies answers one with an error and ends the stream, which must not be asked again.
                    let mut results = results.fuse();
                    for one in batch {
                        let outcome = match results.next().await {
                            Some(Ok(Ok(written))) => Ok(Proposed {
                                position: position(&written.log_id),
                                answer: written.response.0,
                            }),
                            Some(Ok(Err(refused))) => Err(refusal(refused)),
                            Some(Err(fatal)) => Err(lost(&faults, &fatal.to_string())),
                            None => Err(lost(&faults, "no answer from the core")),
                        };
                        // Whoever proposed may have left; the proposal stands all the same.
                        let _ = one.answer.send(outcome);
                    }
                });
            }
            Err(_) => {
                for one in batch {
                    let _ = one.answer.send(Err(ProposeError::Stopped));
                }
            }
        }
    }
}

/// The core died over it: it may be in the log or not. The caller is told what the core died of.
fn lost(faults: &FirstFault, otherwise: &str) -> ProposeError {
    let why = match faults.get() {
        Some(fault) => Fatal::Storage(fault),
        None => Fatal::Core(otherwise.to_owned()),
    };
    ProposeError::Unknown(format!("this node stopped: {}", why.cause()))
}

fn refusal(error: ClientWriteError<Types>) -> ProposeError {
    match error {
        ClientWriteError::ForwardToLeader(forward) => ProposeError::NotLeader {
            leader: leader_of(&forward),
        },
        other => ProposeError::Unknown(other.to_string()),
    }
}

pub(crate) fn leader_of(forward: &ForwardToLeader<Types>) -> Option<(u64, String)> {
    Some((
        forward.leader_id?,
        forward.leader_node.as_ref()?.api.clone(),
    ))
}
