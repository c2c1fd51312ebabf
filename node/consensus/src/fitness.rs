//! Whether another voter would lead better, for a reason other than the clock.
//!
//! A leader that cannot apply what is committed, cannot sign what is sealed, or whose disk is nearly full, still has its
//! quorum: Raft keeps it. Each voter says with its clock what hinders it, and how far it has applied. A leader that is hindered more than another voter hands
//! over to that one; whoever is hindered does not campaign while such a voter is there.

use std::collections::BTreeMap;

use crate::status::Status;

/// What keeps a node from leading well. The worse is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Hindrance {
    /// Nothing.
    #[default]
    None,
    /// Its disk is nearly full.
    LowDisk,
    /// It cannot sign what is sealed: writes are taken, and none gets a proof.
    CannotSign,
    /// For a whole round it has applied nothing of what is committed.
    Slow,
    /// Its state machine stands still before a record.
    Stands,
}

impl Hindrance {
    pub(crate) fn to_byte(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Hindrance> {
        [
            Hindrance::None,
            Hindrance::LowDisk,
            Hindrance::CannotSign,
            Hindrance::Slow,
            Hindrance::Stands,
        ]
        .into_iter()
        .find(|one| one.to_byte() == byte)
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Hindrance::None => "nothing",
            Hindrance::LowDisk => "its disk is nearly full",
            Hindrance::CannotSign => "it cannot sign what is sealed",
            Hindrance::Slow => "it applies nothing of what is committed",
            Hindrance::Stands => "its state machine stands still before a record",
        }
    }
}

/// What a voter says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fitness {
    pub(crate) hindrance: Hindrance,
    /// One more than the index up to which it has applied; 0 for nothing.
    pub(crate) applied_next: u64,
}

/// Records that a node may lack and still get a vote, or be handed leadership.
pub(crate) const NEARLY_UP_TO_DATE: u64 = 10_000;

/// The voter that would lead better than this node: hindered less, and with nearly all of the log. One that is behind a record
/// before which this node stands still has yet to come to it, and is no better.
pub(crate) fn better(
    known: &Status,
    own: Fitness,
    others: &BTreeMap<u64, Fitness>,
    allowed: impl Fn(u64) -> bool,
) -> Option<u64> {
    let candidates = others.iter().filter(|(node, other)| {
        let near = known
            .lag
            .get(node)
            .is_none_or(|lag| *lag <= NEARLY_UP_TO_DATE);
        let past = own.hindrance != Hindrance::Stands || other.applied_next > own.applied_next;
        other.hindrance < own.hindrance && near && past && allowed(**node)
    });
    candidates
        .min_by_key(|(node, other)| {
            let lag = known.lag.get(node).copied().unwrap_or(0);
            (other.hindrance, lag, **node)
        })
        .map(|(node, _)| *node)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::status::{Role, Standing};

    fn status(lag: &[(u64, u64)]) -> Status {
        Status {
            node: 1,
            standing: Standing {
                role: Role::Leader,
                term: 1,
                leader: Some(1),
            },
            last: Some(50_000),
            committed: Some(50_000),
            applied: Some(50_000),
            snapshot: None,
            purged: None,
            voters: BTreeSet::from([1, 2, 3]),
            joint: false,
            members: BTreeMap::new(),
            lag: lag.iter().copied().collect(),
            acknowledged: BTreeMap::new(),
            silence: BTreeMap::new(),
            quorum_silence: None,
        }
    }

    fn check(
        own: (Hindrance, u64),
        others: &[(u64, Hindrance, u64)],
        lag: &[(u64, u64)],
        heir: Option<u64>,
    ) {
        let fitness = |(hindrance, applied_next)| Fitness {
            hindrance,
            applied_next,
        };
        let others_of = others
            .iter()
            .map(|(node, hindrance, applied)| (*node, fitness((*hindrance, *applied))))
            .collect();
        let found = better(&status(lag), fitness(own), &others_of, |_| true);
        assert_eq!(found, heir, "{own:?} among {others:?}");
    }

    #[test]
    fn leadership_goes_to_whoever_is_hindered_less_and_has_the_log() {
        use Hindrance::{CannotSign, LowDisk, None as Nothing, Slow, Stands};
        check((Nothing, 9), &[(2, Nothing, 9), (3, Nothing, 9)], &[], None);
        check(
            (LowDisk, 9),
            &[(2, LowDisk, 9), (3, Nothing, 9)],
            &[],
            Some(3),
        );
        check((LowDisk, 9), &[(2, LowDisk, 9), (3, LowDisk, 9)], &[], None);
        check((LowDisk, 9), &[(2, Stands, 9), (3, Slow, 9)], &[], None);
        check(
            (CannotSign, 9),
            &[(2, LowDisk, 9), (3, Nothing, 9)],
            &[],
            Some(3),
        );
        check((CannotSign, 9), &[(2, LowDisk, 9)], &[], Some(2));
        check(
            (CannotSign, 9),
            &[(2, CannotSign, 9), (3, Slow, 9)],
            &[],
            None,
        );
        check((LowDisk, 9), &[(2, CannotSign, 9)], &[], None);
        check((Slow, 9), &[(2, Stands, 9), (3, LowDisk, 9)], &[], Some(3));
        check(
            (LowDisk, 9),
            &[(2, Nothing, 9), (3, Nothing, 9)],
            &[(2, 5), (3, 1)],
            Some(3),
        );
        check((LowDisk, 9), &[(2, Nothing, 9)], &[(2, 10_001)], None);
        // Whoever has yet to come to the record may stand before it too.
        check((Stands, 7), &[(2, Nothing, 7), (3, Stands, 7)], &[], None);
        check(
            (Stands, 7),
            &[(2, Nothing, 8), (3, Stands, 7)],
            &[],
            Some(2),
        );
        check((Stands, 7), &[], &[], None);
    }

    #[test]
    fn a_hindrance_survives_the_wire() {
        for byte in 0..=255 {
            let read = Hindrance::from_byte(byte);
            assert_eq!(read.map(Hindrance::to_byte), read.map(|_| byte));
        }
        assert_eq!(Hindrance::from_byte(4), Some(Hindrance::Stands));
        assert_eq!(Hindrance::from_byte(5), None);
    }
}
