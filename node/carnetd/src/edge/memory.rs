//! The bytes of all requests and answers in flight, in one budget for the whole node.
//!
//! A request's bytes count until its answer is whole; an answer's until the transport has sent them, so that a client that
//! does not read pays for what waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::share::holder::Holder;
use carnet_consensus::pool::{NoShare, Pool, PoolLimits};

/// The budget. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Mutex<Pool<Holder>>>);

/// Bytes that a holder has in flight, given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    memory: Memory,
    holder: Holder,
    bytes: AtomicU64,
}

impl Memory {
    /// Of so many bytes, of which one holder may have so many.
    pub fn new(limits: PoolLimits) -> Self {
        Self(Arc::new(Mutex::new(Pool::new(limits))))
    }

    /// Nothing yet, for a holder.
    pub fn hold(&self, holder: Holder) -> Held {
        Held {
            memory: self.clone(),
            holder,
            bytes: AtomicU64::new(0),
        }
    }

    /// The same bytes, counted until the last part of them is dropped, whether or not there is room: whoever asks next finds
    /// less.
    pub fn charged(&self, holder: &Holder, bytes: Bytes) -> Bytes {
        let held = self.hold(holder.clone());
        let size = bytes.len() as u64;
        self.with(|pool| pool.charge(holder, size));
        held.bytes.store(size, Ordering::Relaxed);
        Bytes::from_owner(Charged { bytes, _held: held })
    }

    /// The same, if there is room.
    ///
    /// # Errors
    /// The holder has its share, or nothing is free.
    pub fn fitted(&self, holder: &Holder, bytes: Bytes) -> Result<Bytes, NoShare> {
        let held = self.hold(holder.clone());
        held.grow(bytes.len())?;
        Ok(Bytes::from_owner(Charged { bytes, _held: held }))
    }

    /// Bytes in flight.
    pub fn used(&self) -> u64 {
        self.with(|pool| pool.used())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pool<Holder>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    /// Takes so many more.
    ///
    /// # Errors
    /// The holder has its share, or nothing is free.
    pub fn grow(&self, bytes: usize) -> Result<(), NoShare> {
        let bytes = bytes as u64;
        self.memory.with(|pool| pool.take(&self.holder, bytes))?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Held {
    /// Counts so many more, whether or not there is room.
    pub fn charge(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.memory.with(|pool| pool.charge(&self.holder, bytes));
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Parts with so many of its bytes, or with all if it has fewer: they are given back when the part is dropped.
    pub fn part(&self, bytes: usize) -> Self {
        let wanted = bytes as u64;
        let left = |had: u64| Some(had.saturating_sub(wanted)); // saturates: it parts with all it has
        let had = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .unwrap_or_else(|had| had);
        Self {
            memory: self.memory.clone(),
            holder: self.holder.clone(),
            bytes: AtomicU64::new(had.min(wanted)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.memory.with(|pool| pool.give_back(&self.holder, bytes));
    }
}

struct Charged {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_given_back_by_itself_and_is_never_more_than_the_whole() {
        let memory = Memory::new(PoolLimits {
            total: 100,
            each: 100,
        });
        let held = memory.hold(Holder::new("a"));
        held.grow(60).expect("room");
        let (first, second) = (held.part(25), held.part(50));
        let of = |held: &Held| held.bytes.load(Ordering::Relaxed);
        assert_eq!((of(&first), of(&second), of(&held)), (25, 35, 0));
        assert_eq!(memory.used(), 60);
        drop(first);
        assert_eq!(memory.used(), 35);
        drop(held);
        assert_eq!(memory.used(), 35);
        drop(second);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn an_answer_counts_until_its_last_part_is_sent() {
        let memory = Memory::new(PoolLimits {
            total: 100,
            each: 100,
        });
        let mut answer = memory.charged(&Holder::new("a"), Bytes::from(vec![7; 90]));
        let held = memory.hold(Holder::new("b"));
        assert_eq!(held.grow(20), Err(NoShare));
        let first = answer.split_to(40);
        drop(answer);
        assert_eq!((memory.used(), first.len()), (90, 40));
        drop(first);
        assert_eq!(held.grow(20), Ok(()));
        drop(held);
        assert_eq!(memory.used(), 0);
    }
}
