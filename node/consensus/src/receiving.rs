//! The one place in which a snapshot is received: a sender that leads later pushes out one that led before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_store::log::Vote;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};

/// The place.
#[derive(Default)]
pub(crate) struct Receiving {
    place: Arc<AsyncMutex<()>>,
    /// Who has it, and how it is told to leave.
    taken: Mutex<Option<(Vote, Arc<Notify>)>>,
}

/// The place, until it is dropped.
pub(crate) struct Alone {
    _place: OwnedMutexGuard<()>,
    leave: Arc<Notify>,
}

impl Receiving {
    fn taken(&self) -> MutexGuard<'_, Option<(Vote, Arc<Notify>)>> {
        // Every change is whole when it is made.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place under a vote that this node follows. Whoever has it under an earlier one has so long to leave it.
    pub(crate) async fn enter(&self, vote: Vote, patience: Duration) -> Option<Alone> {
        let place = match Arc::clone(&self.place).try_lock_owned() {
            Ok(place) => place,
            Err(_) => {
                match &*self.taken() {
                    Some((earlier, leave)) if *earlier < vote => leave.notify_one(),
                    _ => return None,
                }
                let leaving = Arc::clone(&self.place).lock_owned();
                tokio::time::timeout(patience, leaving).await.ok()?
            }
        };
        let leave = Arc::new(Notify::new());
        *self.taken() = Some((vote, Arc::clone(&leave)));
        Some(Alone {
            _place: place,
            leave,
        })
    }
}

impl Alone {
    /// Ends when a later leader needs the place.
    pub(crate) async fn pushed_out(&self) {
        self.leave.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(term: u64) -> Vote {
        Vote {
            term,
            node: 1,
            committed: true,
        }
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn only_who_leads_later_pushes_out() {
        let receiving = Receiving::default();
        let first = receiving.enter(vote(5), PATIENCE).await.expect("the place");
        for same_or_earlier in [vote(5), vote(4)] {
            assert!(receiving.enter(same_or_earlier, PATIENCE).await.is_none());
        }
        let leaves = async {
            first.pushed_out().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(receiving.enter(vote(6), PATIENCE), leaves);
        let second = second.expect("the place");
        // Who was there before does not come back.
        assert!(receiving.enter(vote(5), PATIENCE).await.is_none());
        drop(second);
        assert!(receiving.enter(vote(4), PATIENCE).await.is_some());
    }
}
