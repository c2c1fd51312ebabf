//! What was proposed under a number, and what became of it, as a node reads it from the leaves of its log.
//!
//! Values only, and no record that is kept: what waits is in `offices` and `denied`, what ended stands in leaves alone.

use crate::bytes::time::TimeMs;
use crate::limits::{Index, Maybe, Name};
use crate::record::Actor;
use crate::record::denied::Wanted;
use crate::record::offices::{Change, MembersChange};

/// What was proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A change of a key.
    Key {
        /// Which.
        change: Change,
        /// The key, and whose it is.
        about: Actor,
    },
    /// That a certificate be refused, or be refused no more.
    Certificate {
        /// Which.
        wanted: Wanted,
    },
    /// That nodes leave the cluster for good.
    Members {
        /// Which, and who votes then.
        change: MembersChange,
    },
}
crate::canonical_variants!(Asked {
    1 => Key { change, about },
    2 => Certificate { wanted },
    3 => Members { change },
});

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Open,
    /// A second person gave the same word.
    Done,
    /// Another person said no.
    Rejected,
    /// Who proposed it took it back.
    TakenBack,
    /// Nobody said anything in time.
    Expired,
    /// Something else was decided of the same key or certificate, or it made way for others that were proposed.
    Overtaken,
}
crate::canonical_enum!(Fate {
    1 => Open, 2 => Done, 3 => Rejected, 4 => TakenBack, 5 => Expired, 6 => Overtaken,
});

/// The leaf by which it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedBy {
    /// Its index.
    pub leaf: u64,
    /// When, by log time.
    pub at: TimeMs,
    /// Who said so; none where the roots did.
    pub by: Option<Actor>,
    /// Why, where the command says it; else empty.
    pub reason: String,
}
crate::canonical_struct!(EndedBy {
    leaf: Index,
    at,
    by,
    reason: Name
});

/// What was proposed under a number, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastProposal {
    /// Its number: the index of the leaf that says it was proposed.
    pub number: u64,
    /// What.
    pub asked: Asked,
    /// Why, where the command says it; else empty.
    pub reason: String,
    /// Who proposed.
    pub by: Actor,
    /// When, by log time.
    pub at: TimeMs,
    /// Until when it waited for a second person.
    pub until: TimeMs,
    /// The number of the proposal before it, of whatever kind.
    pub before: Option<u64>,
    /// What became of it.
    pub fate: Fate,
    /// The leaf by which it ended, if it was one.
    pub end: Option<EndedBy>,
}
crate::canonical_struct!(PastProposal @ 1 {
    number: Index,
    asked,
    reason: Name,
    by,
    at,
    until,
    before: Maybe<Index>,
    fate,
    end
});
