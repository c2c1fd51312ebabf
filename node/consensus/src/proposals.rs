//! Proposals: queued by whose they are, batched into one append each time the core is ready for one, and answered in order.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_domain::limits::ENTRY_BYTES_MAX;
use carnet_store::fault::FirstFault;
use carnet_store::machine::{LogPosition, StandsBefore};
use futures::StreamExt;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader};
use tokio::sync::{Notify, Semaphore, oneshot, watch};

use crate::error::{Fatal, ProposeError};
use crate::plane::Raft;
use crate::pool::NoShare;
use crate::queue::{Behalf, Queue, Taken};
use crate::status::status;
use crate::types::{Proposal, Types, position};

/// Proposals handed to the core at once.
const BATCH_COUNT_MAX: usize = 512;
/// Bytes of them, but for one that is larger alone.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How long they may be expected to take, in microseconds: what the node proposes itself waits for two batches at the most.
const BATCH_MICROS_MAX: u64 = 250_000;
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

/// The way in.
pub(crate) struct Proposals {
    way: Arc<Way>,
    still: Still,
    patience: Duration,
}

/// What waits, and who tells that something does.
struct Way {
    queue: Mutex<Queue<Queued>>,
    comes: Notify,
    /// Nobody is left who proposes.
    closed: AtomicBool,
}

struct Queued {
    proposal: Bytes,
    answer: oneshot::Sender<Outcome>,
    /// Until it is handed to the core, whoever proposed it may take it back.
    fate: Arc<Fate>,
}

impl Queued {
    /// Whether nobody waits for it any more.
    fn is_dead(&self) -> bool {
        self.answer.is_closed() || self.fate.0.load(Ordering::Acquire) == TAKEN_BACK
    }
}

/// Whether a proposal is still queued, was handed to the core, or was taken back. It leaves the first once.
#[derive(Default)]
struct Fate(AtomicU8);

const QUEUED: u8 = 0;
const HANDED: u8 = 1;
const TAKEN_BACK: u8 = 2;

impl Fate {
    fn becomes(&self, fate: u8) -> bool {
        let became = self
            .0
            .compare_exchange(QUEUED, fate, Ordering::AcqRel, Ordering::Acquire);
        became.is_ok()
    }
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
        let way = Arc::new(Way {
            queue: Mutex::new(Queue::new(u64::from(kib_max))),
            comes: Notify::new(),
            closed: AtomicBool::new(false),
        });
        let still = Still {
            raft: raft.clone(),
            stands,
        };
        tokio::spawn(hand_over(raft, faults, still.clone(), Arc::clone(&way)));
        Proposals {
            way,
            still,
            patience,
        }
    }

    pub(crate) async fn propose(&self, behalf: Behalf, proposal: Bytes) -> Outcome {
        let size = proposal.len();
        if size > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { size });
        }
        if let Some(refusal) = self.still.refusal() {
            return Err(refusal);
        }
        let (answer, wait) = oneshot::channel();
        let fate = Arc::new(Fate::default());
        let queued = Queued {
            proposal,
            answer,
            fate: Arc::clone(&fate),
        };
        self.way
            .queue()
            .push(behalf, size, queued)
            .map_err(|NoShare| ProposeError::Overloaded)?;
        self.way.comes.notify_one();
        let waited = async {
            tokio::select! {
                biased;
                answered = wait => answered
                    .unwrap_or_else(|_| Err(ProposeError::Unknown("this node stopped".to_owned()))),
                // It is appended, behind the record or at it, or still queued: none of the callers waits for a person.
                named = self.still.begins() => Err(ProposeError::Unknown(named)),
            }
        };
        match tokio::time::timeout(self.patience, waited).await {
            Ok(outcome) => outcome,
            // It never came to its turn, and now never will.
            Err(_) if fate.becomes(TAKEN_BACK) => Err(ProposeError::Overloaded),
            Err(_) => Err(ProposeError::Unknown(format!(
                "no answer in {:?}",
                self.patience
            ))),
        }
    }
}

impl Drop for Proposals {
    fn drop(&mut self) {
        self.way.closed.store(true, Ordering::Release);
        self.way.comes.notify_one();
    }
}

impl Way {
    fn queue(&self) -> MutexGuard<'_, Queue<Queued>> {
        // Every change is whole when it is made, so a poisoned lock holds a whole value.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is handed to the core next. Whatever nobody waits for any more is not: who left was told that the outcome is
    /// unknown, or that there was none.
    fn batch(&self) -> Vec<Taken<Queued>> {
        let mut queue = self.queue();
        let mut batch = Vec::new();
        let (mut bytes, mut micros) = (0_usize, 0_u64);
        while batch.len() < BATCH_COUNT_MAX {
            // Before they are counted: whose proposals die while they wait would wait ever longer for them.
            queue.skip(Queued::is_dead);
            let Some(next) = queue.next() else {
                break;
            };
            let fits =
                bytes + next.size <= BATCH_BYTES_MAX && micros + next.micros <= BATCH_MICROS_MAX;
            if !fits && !batch.is_empty() {
                break;
            }
            let Some(taken) = queue.take() else {
                break;
            };
            if taken.item.is_dead() || !taken.item.fate.becomes(HANDED) {
                queue.undone(&taken);
                continue;
            }
            bytes += next.size;
            micros += next.micros;
            batch.push(taken);
        }
        batch
    }
}

/// The next batch, when there is one; `None` when nobody is left who proposes.
async fn next_batch(way: &Way) -> Option<Vec<Taken<Queued>>> {
    loop {
        let closed = way.closed.load(Ordering::Acquire);
        let batch = way.batch();
        if !batch.is_empty() {
            return Some(batch);
        }
        if closed {
            return None;
        }
        // A notice that came since the look is kept.
        way.comes.notified().await;
    }
}

async fn hand_over(raft: Raft, faults: FirstFault, still: Still, way: Arc<Way>) {
    let under_way = Arc::new(Semaphore::new(BATCHES_UNDER_WAY));
    // The semaphore is never closed.
    while let Ok(turn) = Arc::clone(&under_way).acquire_owned().await
        && let Some(batch) = next_batch(&way).await
    {
        if let Some(refusal) = still.refusal() {
            for one in batch {
                way.queue().undone(&one);
                let _ = one.item.answer.send(Err(refusal.clone()));
            }
            continue;
        }
        let proposals: Vec<Proposal> = batch
            .iter()
            .map(|one| Proposal(one.item.proposal.clone()))
            .collect();
        match raft.client_write_many(proposals).await {
            Ok(results) => {
                let (faults, way) = (faults.clone(), Arc::clone(&way));
                tokio::spawn(async move {
                    let _until_answered = turn;
                    // A core that dies answers one with an error and ends the stream, which must not be asked again.
                    let mut results = results.fuse();
                    for one in batch {
                        let (outcome, took) = match results.next().await {
                            Some(Ok(Ok(written))) => {
                                let proposed = Proposed {
                                    position: position(&written.log_id),
                                    answer: written.response.bytes,
                                };
                                (Ok(proposed), written.response.micros)
                            }
                            Some(Ok(Err(refused))) => (Err(refusal(refused)), None),
                            Some(Err(fatal)) => (Err(lost(&faults, &fatal.to_string())), None),
                            None => (Err(lost(&faults, "no answer from the core")), None),
                        };
                        match &outcome {
                            Ok(_) => way.queue().done(&one, took),
                            Err(_) => way.queue().undone(&one),
                        }
                        // Whoever proposed may have left; the proposal stands all the same.
                        let _ = one.item.answer.send(outcome);
                    }
                });
            }
            Err(_) => {
                for one in batch {
                    way.queue().undone(&one);
                    let _ = one.item.answer.send(Err(ProposeError::Stopped));
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
