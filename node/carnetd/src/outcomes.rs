//! What became of a node's proposals, counted: a monitor sees from it whether a registry takes writes.

use std::sync::atomic::{AtomicU64, Ordering};

use carnet_domain::machine::entry::{Answer, ItemAnswer};
use carnet_wire::status::ApiError;

/// What became of a proposal, or of one item of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log and applied.
    Committed,
    /// It was not taken: this node does not lead.
    NotLeader,
    /// It was not taken: too much waits.
    Overloaded,
    /// It was not taken: disks are nearly full.
    NoRoom,
    /// It was not taken: log time cannot go on.
    TimeStandsStill,
    /// It was not taken: the node stands still before an entry.
    StandsStill,
    /// It was not taken, for another reason.
    NotTaken,
    /// Nobody knows.
    Unknown,
    /// The program is at fault.
    Internal,
}

impl Outcome {
    /// Every one, in the order declared.
    pub const ALL: [Self; 9] = [
        Self::Committed,
        Self::NotLeader,
        Self::Overloaded,
        Self::NoRoom,
        Self::TimeStandsStill,
        Self::StandsStill,
        Self::NotTaken,
        Self::Unknown,
        Self::Internal,
    ];

    /// The word for a metric's label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::NotLeader => "not_leader",
            Self::Overloaded => "overloaded",
            Self::NoRoom => "no_room",
            Self::TimeStandsStill => "time_stands_still",
            Self::StandsStill => "stands_still",
            Self::NotTaken => "not_taken",
            Self::Unknown => "unknown",
            Self::Internal => "internal",
        }
    }

    fn of(error: &ApiError) -> Self {
        match error {
            ApiError::NotLeader { .. } => Self::NotLeader,
            ApiError::Overloaded { .. } => Self::Overloaded,
            ApiError::NoRoom { .. } => Self::NoRoom,
            ApiError::TimeStandsStill { .. } => Self::TimeStandsStill,
            ApiError::StandsStill { .. } => Self::StandsStill,
            ApiError::UnknownOutcome { .. } => Self::Unknown,
            ApiError::Internal { .. } => Self::Internal,
            ApiError::InvalidArgument { .. }
            | ApiError::Unauthenticated { .. }
            | ApiError::PermissionDenied { .. }
            | ApiError::NotFound { .. }
            | ApiError::DidNotHappen { .. }
            | ApiError::ChangeRefused { .. }
            | ApiError::Rejected { .. }
            | ApiError::Unavailable { .. }
            | ApiError::TooLarge { .. } => Self::NotTaken,
        }
    }
}

/// Counters since the node started.
#[derive(Debug, Default)]
pub struct Outcomes {
    proposals: [AtomicU64; Outcome::ALL.len()],
    done: AtomicU64,
    refused: AtomicU64,
}

impl Outcomes {
    /// Counts what a proposal was answered.
    pub fn committed(&self, answer: &Answer) {
        self.add(Outcome::Committed);
        let refused = |item: &&ItemAnswer| matches!(item, ItemAnswer::Refused { .. });
        let refused = answer.items.iter().filter(refused).count();
        self.refused.fetch_add(refused as u64, Ordering::Relaxed);
        let done = answer.items.len() - refused;
        self.done.fetch_add(done as u64, Ordering::Relaxed);
    }

    /// Counts one that was not answered.
    pub fn failed(&self, error: &ApiError) {
        self.add(Outcome::of(error));
    }

    fn add(&self, outcome: Outcome) {
        self.proposals[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Proposals by what became of them.
    pub fn proposals(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        let count = |outcome: Outcome| self.proposals[outcome as usize].load(Ordering::Relaxed);
        Outcome::ALL
            .into_iter()
            .map(move |outcome| (outcome, count(outcome)))
    }

    /// Items of committed proposals that the rules took, and those that they refused.
    pub fn items(&self) -> (u64, u64) {
        (
            self.done.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_place_and_word() {
        let mut words: Vec<&str> = Outcome::ALL.iter().map(|one| one.word()).collect();
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Outcome::ALL.len());
    }
}
