//! The threads that read the state for callers, shared by whoever asks.
//!
//! A read may take long: a page of a thousand records, a robot's evidence. None is done on the threads that serve ports, and
//! no more at once than leave a processor to everything else. Who has read least so far is next, by the time that its reads
//! took; and what a caller's reads took from the disk counts against a rate of its own, whatever was sent of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_consensus::{Turns, Work};
use carnet_store::engine::{KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_wire::status::ApiError;
use tokio::sync::oneshot;

use super::holder::Holder;
use super::rates::{HOLDER_COUNT_MAX, Paces};
use crate::clock::Clock;

/// Bytes a second that are read for one holder.
pub const READ_BYTES_PER_SECOND: u64 = 32 << 20;
/// Bytes that a holder may be ahead of that.
pub const READ_BYTES_AHEAD: u64 = 4 * READ_BYTES_PER_SECOND;
/// What a pair counts for beside its bytes.
const PAIR_BYTES: u64 = 128;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. Cheap to clone.
#[derive(Clone)]
pub struct Readers(Arc<Inside>);

struct Inside {
    clock: Arc<dyn Clock>,
    work: Work,
    /// So many at once.
    width: usize,
    queue: Mutex<Queue>,
    paces: Mutex<Paces<Holder>>,
    counted: Counted,
}

#[derive(Default)]
struct Queue {
    turns: Turns<Holder, Job>,
    at_work: usize,
}

/// What the readers have had to do since the node started.
#[derive(Default)]
struct Counted {
    asked: AtomicU64,
    begun: AtomicU64,
    waited_micros: AtomicU64,
}

/// How busy the readers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Busy {
    /// Reads that have not begun: callers that left while they waited are among them until their turn.
    pub waiting: u64,
    /// Reads that have begun since the node started.
    pub begun: u64,
    /// How long they waited for their turn, together.
    pub waited: Duration,
}

/// What one read took from the disk.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Meter {
    /// The same reads, counted.
    pub fn over<'a>(&'a self, reads: &'a dyn KvRead) -> Metered<'a> {
        Metered { reads, meter: self }
    }

    /// Bytes so far, and something for each pair.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn count(&self, pair: &[&[u8]]) {
        let bytes: usize = pair.iter().map(|part| part.len()).sum();
        self.0
            .fetch_add(bytes as u64 + PAIR_BYTES, Ordering::Relaxed);
    }
}

/// Reads that are counted.
pub struct Metered<'a> {
    reads: &'a dyn KvRead,
    meter: &'a Meter,
}

impl KvRead for Metered<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        let found = self.reads.get(family, key)?;
        self.meter
            .count(&[key, found.as_deref().unwrap_or_default()]);
        Ok(found)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        let found = self.reads.scan(family, from, to, count_max)?;
        for (key, value) in &found {
            self.meter.count(&[key, value]);
        }
        Ok(found)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        let found = self.reads.last(family, from, to)?;
        if let Some((key, value)) = &found {
            self.meter.count(&[key, value]);
        }
        Ok(found)
    }

    fn damaged(&self, fault: &StorageFault) {
        self.reads.damaged(fault);
    }
}

impl Readers {
    /// So many threads, of those on which the runtime lets one wait.
    ///
    /// # Panics
    /// When there is none.
    pub fn new(width: usize, clock: Arc<dyn Clock>, work: Work) -> Self {
        assert!(0 < width, "there is a thread");
        let paces = Paces::new(READ_BYTES_PER_SECOND, READ_BYTES_AHEAD, HOLDER_COUNT_MAX);
        Self(Arc::new(Inside {
            clock,
            work,
            width,
            queue: Mutex::default(),
            paces: Mutex::new(paces),
            counted: Counted::default(),
        }))
    }

    /// As many as leave one processor free; one, where there are no threads.
    pub fn of_this_machine(clock: Arc<dyn Clock>, work: Work) -> Self {
        if work == Work::Inline {
            return Self::new(1, clock, work);
        }
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        Self::new(processors.checked_sub(1).unwrap_or(1).max(1), clock, work)
    }

    /// Reads for a holder, when it is its turn. A caller that left is not read for.
    ///
    /// # Errors
    /// What the read said.
    pub async fn read<T: Send + 'static>(
        &self,
        holder: &Holder,
        job: impl FnOnce(&Meter) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let wait = self.came(holder, 0);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let (answer, answered) = oneshot::channel();
        let (this, of) = (self.clone(), holder.clone());
        let asked_at = self.0.clock.monotonic();
        self.0.counted.asked.fetch_add(1, Ordering::Relaxed);
        let job: Job = Box::new(move || {
            this.0.begins(asked_at);
            if answer.is_closed() {
                return;
            }
            let meter = Meter::default();
            let done = job(&meter);
            this.came(&of, meter.bytes());
            // Whoever asked may have left meanwhile.
            let _ = answer.send(done);
        });
        if self.queue(holder, job) {
            let at_work = AtWork(Arc::clone(&self.0));
            self.0.work.begin(move || at_work.until_nothing_waits());
        }
        let stopped = |_| ApiError::unavailable("this node stops");
        answered.await.map_err(stopped)?
    }

    /// How busy they are.
    pub fn busy(&self) -> Busy {
        let counted = &self.0.counted;
        // In this order: what begins in between is missed, and nothing is counted as waiting that never asked.
        let begun = counted.begun.load(Ordering::Relaxed);
        let asked = counted.asked.load(Ordering::Relaxed);
        Busy {
            waiting: asked.saturating_sub(begun),
            begun,
            waited: Duration::from_micros(counted.waited_micros.load(Ordering::Relaxed)),
        }
    }

    /// Whether one more is to begin to work.
    fn queue(&self, holder: &Holder, job: Job) -> bool {
        let mut queue = self.0.queue();
        queue.turns.push(holder, job);
        let begins = queue.at_work < self.0.width;
        queue.at_work += usize::from(begins);
        begins
    }

    fn came(&self, holder: &Holder, bytes: u64) -> Duration {
        let now = self.0.clock.monotonic();
        let mut paces = self.0.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.came(holder, bytes, now)
    }
}

impl Inside {
    /// A read has its turn.
    fn begins(&self, asked_at: Duration) {
        let waited = self.clock.monotonic().saturating_sub(asked_at);
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.counted.begun.fetch_add(1, Ordering::Relaxed);
        let waited = &self.counted.waited_micros;
        waited.fetch_add(micros, Ordering::Relaxed);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is whole when it is made, so a poisoned lock holds a whole value.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the threads, counted for as long as it is at work.
struct AtWork(Arc<Inside>);

impl AtWork {
    fn until_nothing_waits(self) {
        while let Some((holder, job)) = self.next() {
            let began = self.0.clock.monotonic();
            job();
            let took = self.0.clock.monotonic().saturating_sub(began);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.0.queue().turns.charge(&holder, micros);
        }
    }

    /// The next read. With none this thread is at work no more, in the same moment: what is queued after that begins another.
    fn next(&self) -> Option<(Holder, Job)> {
        let mut queue = self.0.queue();
        let next = queue.turns.pop(|_| 1);
        if next.is_none() {
            queue.at_work -= 1;
        }
        next
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue().at_work -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use carnet_domain::bytes::time::TimeMs;
    use carnet_store::engine::{Batch, KvEngine};
    use carnet_store::memory::MemoryEngine;

    use super::*;

    /// A clock that reads move.
    #[derive(Default)]
    struct Moved(AtomicU64);

    impl Clock for Moved {
        fn wall(&self) -> TimeMs {
            TimeMs::from_ms(0)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    /// Begins to read for these in order, each so long, behind one that waits until all are queued. Whose was read when.
    async fn order(asked: &[(&'static str, u64)]) -> Vec<&'static str> {
        let clock = Arc::new(Moved::default());
        let readers = Readers::new(1, Arc::clone(&clock) as Arc<dyn Clock>, Work::Threads);
        let (go, wait) = mpsc::channel::<()>();
        let (note, noted) = mpsc::channel();
        let holder = Holder::new("first");
        let first = readers.read(&holder, move |_| Ok(wait.recv().is_ok()));
        let mut all: Vec<std::pin::Pin<Box<dyn Future<Output = bool>>>> = Vec::new();
        for (name, micros) in asked.iter().copied() {
            let (clock, note, readers) = (Arc::clone(&clock), note.clone(), readers.clone());
            all.push(Box::pin(async move {
                let holder = Holder::new(name);
                let read = readers.read(&holder, move |_| {
                    clock.0.fetch_add(micros, Ordering::Relaxed);
                    note.send(name).expect("noted");
                    Ok(())
                });
                read.await.is_ok()
            }));
        }
        let go = async {
            go.send(()).expect("it waits");
            true
        };
        // Polled in this order: all are queued before the first goes on.
        let all = futures::future::join_all(all);
        let (first, all, _) = tokio::join!(biased; first, all, go);
        assert_eq!(first, Ok(true));
        assert!(all.into_iter().all(|read| read));
        drop(note);
        noted.into_iter().collect()
    }

    #[tokio::test]
    async fn whoever_reads_much_waits_for_whoever_reads_little() {
        let mut asked = vec![("long", 1_000); 8];
        asked.extend(vec![("short", 10); 8]);
        let order = order(&asked).await;
        // One long one is as much as a hundred short ones.
        assert_eq!(order[..2], ["long", "short"]);
        assert_eq!(order[2..9], ["short"; 7]);
        assert_eq!(order[9..], ["long"; 7]);
    }

    #[tokio::test]
    async fn nobody_is_read_for_who_has_left() {
        let readers = Readers::new(1, Arc::new(Moved::default()), Work::Threads);
        let (go, wait) = mpsc::channel::<()>();
        let (note, noted) = mpsc::channel();
        let holder = Holder::new("a");
        let first = readers.read(&holder, move |_| Ok(wait.recv().is_ok()));
        let left = readers.read(&holder, move |_| {
            note.send(()).expect("noted");
            Ok(())
        });
        let leaves = async {
            let left = std::pin::pin!(left);
            assert!(futures::poll!(left).is_pending());
        };
        let (first, ()) = tokio::join!(biased; first, async {
            leaves.await;
            go.send(()).expect("it waits");
        });
        assert_eq!(first, Ok(true));
        // A third is read after it would have been.
        assert_eq!(readers.read(&holder, |_| Ok(3)).await, Ok(3));
        assert!(noted.try_recv().is_err());
    }

    #[tokio::test]
    async fn what_was_read_counts_whatever_is_answered() {
        let clock = Arc::new(Moved::default());
        let readers = Readers::new(2, Arc::clone(&clock) as Arc<dyn Clock>, Work::Threads);
        let engine = Arc::new(MemoryEngine::default());
        let mut batch = Batch::default();
        for key in 0..8_u8 {
            batch.put(Family::Robots, vec![key], vec![7; 1 << 20]);
        }
        engine.write(batch).expect("written");
        let (reader, other) = (Holder::new("reader"), Holder::new("other"));
        let scan = |count| {
            let engine = Arc::clone(&engine);
            readers.read(&reader, move |meter| {
                let found = meter
                    .over(engine.as_ref())
                    .scan(Family::Robots, &[], None, count);
                // Nothing of it is shown.
                Ok(found.expect("read").len())
            })
        };
        // As much as it may be ahead.
        for _ in 0..16 {
            assert_eq!(scan(8).await, Ok(8));
        }
        let ahead = readers.came(&reader, 0);
        assert!(
            !ahead.is_zero() && ahead < Duration::from_millis(1),
            "{ahead:?}"
        );
        clock
            .0
            .fetch_add(ahead.as_micros() as u64 + 1, Ordering::Relaxed);
        let more = (0..4).map(|_| scan(8));
        let more = futures::future::join_all(more).await;
        assert!(more.into_iter().all(|read| read == Ok(8)));
        let wait = readers.came(&reader, 0);
        assert!(
            Duration::from_secs(1) < wait + Duration::from_millis(1),
            "{wait:?}"
        );
        assert_eq!(readers.came(&other, 0), Duration::ZERO);
    }
}
