//! Seats with people in them: whoever has to leave is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::seats::{NoSeat, SeatLimits, Seats};

/// Shared seats. Cheap to clone.
#[derive(Debug)]
pub struct Room<K>(Arc<Mutex<Inside<K>>>);

impl<K> Clone for Room<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inside<K> {
    seats: Seats<K>,
    exits: BTreeMap<u64, CancellationToken>,
}

/// A seat, until it is dropped.
#[derive(Debug)]
pub struct Seat<K: Ord + Clone> {
    room: Room<K>,
    seat: u64,
    exit: CancellationToken,
}

impl<K: Ord + Clone> Room<K> {
    /// An empty room.
    ///
    /// # Panics
    /// When there is no seat in it.
    pub fn new(limits: SeatLimits) -> Self {
        Self(Arc::new(Mutex::new(Inside {
            seats: Seats::new(limits),
            exits: BTreeMap::new(),
        })))
    }

    /// Takes a seat; somebody else may have to leave for it and is told.
    ///
    /// # Errors
    /// See [`Seats::take`].
    pub fn enter(&self, holder: &K) -> Result<Seat<K>, NoSeat> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = inside.seats.take(holder)?;
        if let Some(leaves) = taken.leaves
            && let Some(exit) = inside.exits.remove(&leaves)
        {
            exit.cancel();
        }
        let exit = CancellationToken::new();
        inside.exits.insert(taken.seat, exit.clone());
        Ok(Seat {
            room: self.clone(),
            seat: taken.seat,
            exit,
        })
    }

    /// How many sit.
    pub fn taken(&self) -> usize {
        let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.seats.taken()
    }
}

impl<K: Ord + Clone> Seat<K> {
    /// Cancelled when the seat has to be left.
    pub fn exit(&self) -> &CancellationToken {
        &self.exit
    }
}

impl<K: Ord + Clone> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut inside = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.seats.give_back(self.seat);
        inside.exits.remove(&self.seat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::seats::Over;

    #[test]
    fn whoever_has_to_leave_is_told_and_a_seat_is_free_when_it_is_dropped() {
        let room = Room::new(SeatLimits {
            total: 2,
            each: 2,
            over: Over::Refused,
        });
        let first = room.enter(&"a").expect("a seat");
        let second = room.enter(&"a").expect("a seat");
        let third = room.enter(&"b").expect("a seat of the holder with two");
        assert_eq!(
            [&first, &second, &third].map(|seat| seat.exit().is_cancelled()),
            [true, false, false]
        );
        drop(first);
        assert_eq!(room.taken(), 2);
        drop(second);
        assert_eq!(room.taken(), 1);
    }
}
