//! Who makes packs: a task that no caller owns, one at a time. Whoever asks only waits, and may leave at any time: what was begun
//! for it goes on, counts, and is there for the next.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_wire::status::ApiError;
use tokio::sync::watch;
use tokio::time::Instant;

/// While nothing was written, a pack is made anew when it is this much older than log time.
const AGE_MAX: DurationMs = DurationMs::from_secs(10);
/// After a pack was begun, at least so long passes before the next is: whoever asks meanwhile shares that one.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two packs at least so many times as long as the newest took: anybody may ask, and making one costs a processor that
/// long.
const PAUSE_FOR_WORK: u32 = 4;
/// How long a caller waits for a pack that covers its question. Then it is given the newest there is, which says of when it is: a
/// pack that takes long to make would be too late for everybody.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pack, the published size that it names as the head of the own log, and the log time at which it was made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) size: u64,
    pub(super) at: TimeMs,
    pub(super) bytes: Vec<u8>,
}

type Outcome = Option<Result<(), ApiError>>;

/// The newest pack, and who waits for the next.
#[derive(Default)]
pub(super) struct Maker(Mutex<State>);

#[derive(Default)]
struct State {
    newest: Option<Made>,
    /// Before this none is begun.
    rests_until: Option<Instant>,
    /// How the one under way ends, while there is one.
    under_way: Option<watch::Receiver<Outcome>>,
}

impl State {
    /// The newest pack, if it covers a size and is not much older than a log time.
    fn covering(&self, size: u64, now: TimeMs) -> Option<Vec<u8>> {
        let made = self.newest.as_ref()?;
        (size <= made.size && now.since(made.at) <= AGE_MAX).then(|| made.bytes.clone())
    }
}

impl Maker {
    /// The published size that the newest pack names as the head of the own log.
    pub(super) fn size(&self) -> Option<u64> {
        self.state().newest.as_ref().map(|made| made.size)
    }

    /// A pack that covers a size and is of about this log time; when making one takes longer than a caller waits, the newest.
    ///
    /// # Errors
    /// Making one failed.
    pub(super) async fn pack<F, W>(
        self: &Arc<Self>,
        (size, now): (u64, TimeMs),
        make: F,
    ) -> Result<Vec<u8>, ApiError>
    where
        F: Fn() -> W,
        W: Future<Output = Result<Made, ApiError>> + Send + 'static,
    {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut under_way = {
                let mut state = self.state();
                if let Some(bytes) = state.covering(size, now) {
                    return Ok(bytes);
                }
                self.under_way(&mut state, &make)
            };
            let ended = match tokio::time::timeout_at(until, under_way.changed()).await {
                Ok(ended) => ended,
                Err(_) => {
                    let newest = self.state().newest.clone();
                    if let Some(made) = newest {
                        return Ok(made.bytes);
                    }
                    // The first of all: there is nothing else to give.
                    under_way.changed().await
                }
            };
            let outcome = under_way.borrow_and_update().clone();
            match (ended, outcome) {
                (Ok(()), Some(Ok(()))) => {}
                (_, Some(Err(error))) => return Err(error),
                (_, None) | (Err(_), _) => return Err(ApiError::internal("no pack was made")),
            }
        }
    }

    /// The one that is being made, or is next.
    fn under_way<F, W>(self: &Arc<Self>, state: &mut State, make: &F) -> watch::Receiver<Outcome>
    where
        F: Fn() -> W,
        W: Future<Output = Result<Made, ApiError>> + Send + 'static,
    {
        // One whose task died with its sender is not under way.
        let going_on = |one: &&watch::Receiver<Outcome>| one.has_changed().is_ok();
        if let Some(one) = state.under_way.as_ref().filter(going_on) {
            return one.clone();
        }
        let (told, under_way) = watch::channel(None);
        state.under_way = Some(under_way.clone());
        let (this, rests_until, making) = (Arc::clone(self), state.rests_until, make());
        tokio::spawn(async move {
            if let Some(until) = rests_until {
                tokio::time::sleep_until(until).await;
            }
            let begun = Instant::now();
            // However it ends: nobody makes another at once.
            this.state().rests_until = Some(begun + PAUSE);
            let made = making.await;
            let outcome = {
                let mut state = this.state();
                state.under_way = None;
                let pause = begun.elapsed() * PAUSE_FOR_WORK;
                state.rests_until = Some((begun + PAUSE).max(Instant::now() + pause));
                made.map(|made| state.newest = Some(made))
            };
            let _ = told.send(Some(outcome));
        });
        under_way
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole when it is made, so a poisoned lock holds a whole value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;

    use super::*;

    /// Packs that take so long, and how many were begun, are being made, and were made at once at the most.
    #[derive(Default)]
    struct Work {
        begun: AtomicUsize,
        at_once: AtomicUsize,
        at_once_max: AtomicUsize,
    }

    /// So long on the clock of the test, which stands still while anything can be done.
    async fn passes(time: Duration) {
        let never = tokio::time::timeout(time, std::future::pending::<()>()).await;
        assert!(never.is_err());
    }

    async fn made(work: Arc<Work>, took: Duration) -> Result<Made, ApiError> {
        let size = work.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let at_once = work.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        work.at_once_max.fetch_max(at_once, Ordering::SeqCst);
        passes(took).await;
        work.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(Made {
            size: size as u64,
            at: TimeMs(0),
            bytes: vec![u8::try_from(size).unwrap_or(u8::MAX)],
        })
    }

    fn begun(work: &Work) -> usize {
        work.begun.load(Ordering::SeqCst)
    }

    /// Callers that leave, each after another time: what was begun for one is made once, and is there for the next.
    #[tokio::test(start_paused = true)]
    async fn a_pack_whose_caller_leaves_is_made_all_the_same() {
        const TOOK: Duration = Duration::from_secs(3);
        let (maker, work) = (Arc::new(Maker::default()), Arc::new(Work::default()));
        let ask = |size| {
            let work = Arc::clone(&work);
            let make = move || made(Arc::clone(&work), TOOK);
            let maker = Arc::clone(&maker);
            async move { maker.pack((size, TimeMs(0)), make).await }
        };
        let start = Instant::now();
        // 64 callers in each fifth of a second, for about a minute; none stays for longer than a fifth.
        for _ in 0..299 {
            let leaving = (0..64).map(|_| ask(u64::MAX).boxed());
            let all = futures::future::join_all(leaving);
            let left = tokio::time::timeout(Duration::from_millis(200), all).await;
            assert!(left.is_err(), "none was answered");
        }
        assert_eq!(start.elapsed(), Duration::from_millis(59_800));
        assert_eq!(work.at_once_max.load(Ordering::SeqCst), 1);
        // Three seconds of work and twelve of rest.
        assert_eq!(begun(&work), 4);
        let found = ask(2).await.expect("what was made for those who left");
        assert_eq!(found, [4]);
        assert_eq!(begun(&work), 4, "none was made for it");
    }

    /// Whoever stays is given the newest pack when one that covers its question would be too late, and the very first when it
    /// is there.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_and_the_first_pack_is_waited_for() {
        const TOOK: Duration = Duration::from_secs(8);
        let (maker, work) = (Arc::new(Maker::default()), Arc::new(Work::default()));
        let ask = |size| {
            let work = Arc::clone(&work);
            maker.pack((size, TimeMs(0)), move || made(Arc::clone(&work), TOOK))
        };
        let start = Instant::now();
        assert_eq!(ask(1).await.expect("the first"), [1]);
        assert_eq!(start.elapsed(), TOOK);
        assert_eq!(ask(2).await.expect("the one before"), [1]);
        assert_eq!(start.elapsed(), TOOK + PATIENCE);
        // Eight seconds of work, and four times as long of rest: then it is there.
        passes(TOOK * 5).await;
        assert_eq!(ask(2).await.expect("made meanwhile"), [2]);
    }

    /// A task that fails or dies is no pack, and the next is not made at once.
    #[tokio::test(start_paused = true)]
    async fn one_that_fails_is_told_and_rested_after() {
        let maker = Arc::new(Maker::default());
        let fails = || async { Err(ApiError::unavailable("the keyring is away")) };
        let start = Instant::now();
        let answered = maker.pack((1, TimeMs(0)), fails).await;
        assert!(answered.is_err());
        let work = Arc::new(Work::default());
        let make = || made(Arc::clone(&work), Duration::ZERO);
        let found = maker.pack((1, TimeMs(0)), make).await;
        assert_eq!(found.expect("the next"), [1]);
        assert_eq!(start.elapsed(), PAUSE);
        // What is in hand and covers the question is given at once.
        let found = maker.pack((1, TimeMs(0)), fails).now_or_never();
        assert!(found.is_some_and(|found| found.is_ok()));
    }
}
