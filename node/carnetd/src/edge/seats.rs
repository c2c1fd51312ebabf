//! Seats that are shared fairly: so many in all, so many a holder. Pure: it knows no clock and closes nothing itself.
//!
//! When all are taken, whoever has fewer than the holder with most gets that one's oldest. So a holder can lose a seat only
//! while it has more than a fair part, and no number of seats that others hold keeps a newcomer out.

use std::collections::{BTreeMap, BTreeSet};

/// What is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatLimits {
    /// Seats in all.
    pub total: usize,
    /// Seats of one holder.
    pub each: usize,
    /// What happens to a holder that asks for more than its part.
    pub over: Over,
}

/// What happens to a holder that asks for more than its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It is refused: what sits is worth keeping.
    Refused,
    /// Its own oldest leaves: what sits has proven nothing yet, and the newest may be the honest one.
    OldestLeaves,
}

/// A seat that was given.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its number, never given twice.
    pub seat: u64,
    /// The seat that has to be left for it. It counts as free already.
    pub leaves: Option<u64>,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSeat {
    /// The holder has its share.
    #[error("the share is used up")]
    Share,
    /// All are taken, and nobody has more than its part.
    #[error("all places are taken")]
    Full,
}

/// Seats and who sits where.
#[derive(Debug)]
pub struct Seats<K> {
    limits: SeatLimits,
    next: u64,
    /// Oldest first: numbers rise.
    by_holder: BTreeMap<K, BTreeSet<u64>>,
    by_seat: BTreeMap<u64, K>,
}

impl<K: Ord + Clone> Seats<K> {
    /// Empty seats.
    ///
    /// # Panics
    /// When there is none, or none for a holder.
    pub fn new(limits: SeatLimits) -> Self {
        assert!(0 < limits.total, "there is a seat");
        assert!(0 < limits.each, "a holder may have a seat");
        Self {
            limits,
            next: 0,
            by_holder: BTreeMap::new(),
            by_seat: BTreeMap::new(),
        }
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.by_seat.len()
    }

    /// How many a holder has.
    pub fn of(&self, holder: &K) -> usize {
        self.by_holder.get(holder).map_or(0, BTreeSet::len)
    }

    /// Takes a seat.
    ///
    /// # Errors
    /// The holder has its share, or all are taken and nobody has more than its part.
    pub fn take(&mut self, holder: &K) -> Result<Taken, NoSeat> {
        let mine = self.of(holder);
        let leaves = if mine >= self.limits.each {
            Some(self.own_oldest(holder).ok_or(NoSeat::Share)?)
        } else if self.by_seat.len() >= self.limits.total {
            let leaving = self.of_the_heaviest(mine);
            let leaving = leaving.or_else(|| self.own_oldest(holder));
            Some(leaving.ok_or(NoSeat::Full)?)
        } else {
            None
        };
        if let Some(seat) = leaves {
            self.give_back(seat);
        }
        let seat = self.next;
        self.next += 1;
        self.by_seat.insert(seat, holder.clone());
        self.by_holder
            .entry(holder.clone())
            .or_default()
            .insert(seat);
        assert!(
            self.by_seat.len() <= self.limits.total,
            "no more sit than there are seats"
        );
        Ok(Taken { seat, leaves })
    }

    /// Gives a seat back; one that was left before counts as given back.
    pub fn give_back(&mut self, seat: u64) {
        let Some(holder) = self.by_seat.remove(&seat) else {
            return;
        };
        if let Some(seats) = self.by_holder.get_mut(&holder) {
            seats.remove(&seat);
            if seats.is_empty() {
                self.by_holder.remove(&holder);
            }
        }
    }

    fn own_oldest(&self, holder: &K) -> Option<u64> {
        match self.limits.over {
            Over::Refused => None,
            Over::OldestLeaves => self.by_holder.get(holder)?.first().copied(),
        }
    }

    /// The oldest seat of the holder with most, if it has more than somebody with `mine` seats will have then. Among
    /// equals, whoever sits longest leaves.
    fn of_the_heaviest(&self, mine: usize) -> Option<u64> {
        let heaviest = self.by_holder.values().map(BTreeSet::len).max()?;
        let part = match self.limits.over {
            Over::Refused => mine + 1,
            Over::OldestLeaves => mine,
        };
        if heaviest <= part {
            return None;
        }
        self.by_holder
            .values()
            .filter(|seats| seats.len() == heaviest)
            .filter_map(BTreeSet::first)
            .min()
            .copied()
    }
}

#[cfg(test)]
mod tests;
