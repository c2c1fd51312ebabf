//! Linearizable reads by read index: one round of the quorum serves every read that was asked for before it began.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use tokio::sync::{mpsc, oneshot};

use crate::codec::Body;
use crate::connector::Purpose;
use crate::error::ReadError;
use crate::messages::ReadIndexAnswer;
use crate::plane::Plane;

/// Permission to read this node's state: it holds everything that was acknowledged before the read was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPermit {
    index: u64,
}

impl ReadPermit {
    /// The index up to which this node had applied at least.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }
}

type Waiting = oneshot::Sender<Result<ReadPermit, ReadError>>;

/// The way in.
pub(crate) struct Reads {
    queue: mpsc::Sender<Waiting>,
    plane: Arc<Plane>,
    patience: Duration,
}

impl Reads {
    pub(crate) fn start(plane: Arc<Plane>, waiting_max: usize, patience: Duration) -> Reads {
        let (queue, waiting) = mpsc::channel(waiting_max.max(1));
        tokio::spawn(serve(Arc::clone(&plane), waiting, patience));
        Reads {
            queue,
            plane,
            patience,
        }
    }

    pub(crate) async fn read_index(&self) -> Result<ReadPermit, ReadError> {
        not_standing(&self.plane)?;
        let (permit, wait) = oneshot::channel();
        self.queue.try_send(permit).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => ReadError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ReadError::Stopped,
        })?;
        match tokio::time::timeout(self.patience, wait).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::NoQuorum(format!(
                "no answer in {:?}",
                self.patience
            ))),
        }
    }
}

/// Waits until this process was taken for a member by a leader with a quorum, and has what that leader had committed: in the
/// log if the machine stands still before a record of it, and applied otherwise.
pub(crate) async fn taken_in(plane: &Plane, patience: Duration) -> Result<(), ReadError> {
    let index = tokio::time::timeout(patience, obtain(plane, patience)).await;
    let index =
        index.unwrap_or_else(|_| Err(ReadError::NoQuorum("no quorum in time".to_owned())))?;
    let reached = plane
        .raft
        .wait(Some(patience))
        .applied_index_at_least(Some(index), "taken in")
        .await;
    // What is kept back while the machine stands still counts as applied here, which is what is meant.
    reached.map(|_| ()).map_err(|_| ReadError::Lagging)
}

fn not_standing(plane: &Plane) -> Result<(), ReadError> {
    match &*plane.machine.stands().borrow() {
        Some(stands) => Err(ReadError::StandsStill(stands.to_string())),
        None => Ok(()),
    }
}

async fn serve(plane: Arc<Plane>, mut waiting: mpsc::Receiver<Waiting>, patience: Duration) {
    let mut asked = Vec::new();
    while waiting.recv_many(&mut asked, usize::MAX).await != 0 {
        let round = std::mem::take(&mut asked);
        let index = tokio::time::timeout(patience, obtain(&plane, patience)).await;
        let index =
            index.unwrap_or_else(|_| Err(ReadError::NoQuorum("no quorum in time".to_owned())));
        let plane = Arc::clone(&plane);
        tokio::spawn(async move {
            let outcome = match index {
                Ok(index) => {
                    let applied = plane
                        .raft
                        .wait(Some(patience))
                        .applied_index_at_least(Some(index), "read")
                        .await;
                    // What openraft takes for applied is kept back while the machine stands still.
                    let stands = not_standing(&plane);
                    let applied = applied.map_err(|_| ReadError::Lagging);
                    stands.and(applied.map(|_| ReadPermit { index }))
                }
                Err(error) => Err(error),
            };
            for permit in round {
                let _ = permit.send(outcome.clone());
            }
        });
    }
}

/// Asks the leader, which may be this node, from which index a read is linearizable.
async fn obtain(plane: &Plane, patience: Duration) -> Result<u64, ReadError> {
    let (leader, member) = {
        let metrics = plane.raft.metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics
            .current_leader
            .ok_or_else(|| ReadError::NoQuorum("no leader known".to_owned()))?;
        (
            leader,
            metrics
                .membership_config
                .membership()
                .get_node(&leader)
                .cloned(),
        )
    };
    let answer = if leader == plane.peers.node {
        plane.read_index().await.map_err(|()| ReadError::Stopped)?
    } else {
        let member = member.ok_or_else(|| {
            ReadError::NoQuorum("the leader is not a member that this node knows".to_owned())
        })?;
        let envelope = plane
            .peers
            .envelope(leader, member.store, bytes::Bytes::new());
        let asked = plane.peers.call(
            leader,
            &member,
            Purpose::Control,
            patience,
            |mut client| async move { client.read_index(envelope).await },
        );
        let body = asked
            .await
            .map_err(|error| ReadError::NoQuorum(error.to_string()))?;
        ReadIndexAnswer::from_body(body).map_err(|error| ReadError::NoQuorum(error.to_string()))?
    };
    match answer {
        ReadIndexAnswer::Index(index) => Ok(index),
        ReadIndexAnswer::NotLeader => Err(ReadError::NoQuorum(
            "the leader known leads no more".to_owned(),
        )),
        ReadIndexAnswer::NoQuorum => Err(ReadError::NoQuorum(
            "the leader reaches no quorum".to_owned(),
        )),
    }
}
