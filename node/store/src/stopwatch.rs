//! How long each record of a run took, told to whoever decides who is served next. It is nothing of the state: a replica
//! without a stopwatch comes to the same bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::log::payload_size;
use crate::machine::LogRecord;

/// Reads a clock that never goes back. Which one is the node's to say.
pub type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Measures, if it was given a clock.
#[derive(Default)]
pub(crate) struct Stopwatch {
    now: Option<Now>,
    laps: Mutex<Laps>,
}

#[derive(Default)]
struct Laps {
    /// Of the run that is under way: how long the rules took for each record.
    rules: Vec<Duration>,
    /// Microseconds of each record since the last reset.
    took: Vec<u64>,
}

impl Stopwatch {
    pub(crate) fn of(now: Now) -> Self {
        Self {
            now: Some(now),
            laps: Mutex::default(),
        }
    }

    fn laps(&self) -> MutexGuard<'_, Laps> {
        self.laps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing was measured yet.
    pub(crate) fn reset(&self) {
        *self.laps() = Laps::default();
    }

    /// The microseconds of each record since then.
    pub(crate) fn took(&self) -> Vec<u64> {
        std::mem::take(&mut self.laps().took)
    }

    /// Runs the rules over one record.
    pub(crate) fn lap<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(now) = &self.now else {
            return work();
        };
        let began = now();
        let done = work();
        let took = now().saturating_sub(began); // saturates: the clock never goes back
        self.laps().rules.push(took);
        done
    }

    /// Applies a run of records, of which it gives as many answers as it applied. What is done for all of them together is
    /// shared out by their size.
    pub(crate) fn run<T, E>(
        &self,
        records: &[LogRecord],
        work: impl FnOnce() -> Result<Vec<T>, E>,
    ) -> Result<Vec<T>, E> {
        let Some(now) = &self.now else {
            return work();
        };
        self.laps().rules.clear();
        let began = now();
        let answers = work()?;
        let whole = now().saturating_sub(began); // saturates: the clock never goes back
        let applied = records.get(..answers.len()).unwrap_or(records);
        let mut laps = self.laps();
        let mut rules = std::mem::take(&mut laps.rules);
        // A run that panicked was tried record by record, and all of it is shared.
        if rules.len() != applied.len() {
            rules = vec![Duration::ZERO; applied.len()];
        }
        let sizes = applied.iter().map(|record| payload_size(&record.payload));
        let sizes: Vec<u128> = sizes.map(|size| size as u128 + 64).collect();
        let all: u128 = sizes.iter().sum::<u128>().max(1);
        let ruled: Duration = rules.iter().sum();
        let shared = whole.saturating_sub(ruled).as_micros(); // saturates: a part is not more than the whole
        for (lap, size) in rules.iter().zip(sizes) {
            let micros = lap.as_micros() + shared * size / all;
            laps.took.push(u64::try_from(micros).unwrap_or(u64::MAX));
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::machine::{LogPosition, Payload};

    fn records(sizes: &[usize]) -> Vec<LogRecord> {
        let record = |size: &usize| LogRecord {
            position: LogPosition::default(),
            payload: Payload::Entry(Bytes::from(vec![0; *size])),
        };
        sizes.iter().map(record).collect()
    }

    #[test]
    fn a_record_took_what_the_rules_took_and_its_part_of_the_rest() {
        let micros = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&micros);
        let now = move || Duration::from_micros(read.load(Ordering::Relaxed));
        let watch = Stopwatch::of(Arc::new(now));
        let passes = |count| micros.fetch_add(count, Ordering::Relaxed);
        let records = records(&[1_000 - 64, 3_000 - 64]);
        let run = |count: usize| -> Result<Vec<u8>, ()> {
            for lap in 0..count as u64 {
                watch.lap(|| passes(10 * (lap + 1)));
            }
            // Read, written and synced together.
            passes(400);
            Ok(vec![0; count])
        };
        assert_eq!(watch.run(&records, || run(2)), Ok(vec![0, 0]));
        assert_eq!(watch.took(), [110, 320]);
        // The second stands still: what there was is of the first.
        assert_eq!(watch.run(&records, || run(1)), Ok(vec![0]));
        assert_eq!(watch.took(), [410]);
        // Tried twice.
        let twice = || {
            let _ = run(2);
            run(2)
        };
        assert_eq!(watch.run(&records, twice), Ok(vec![0, 0]));
        assert_eq!(watch.took(), [215, 645]);
        watch.reset();
        assert_eq!(watch.took(), [0_u64; 0]);
        // Without a clock nothing is measured, and the work is done.
        let none = Stopwatch::default();
        assert_eq!(none.run(&records, || run(2)), Ok(vec![0, 0]));
        assert_eq!(none.took(), [0_u64; 0]);
    }
}
