//! A row of the index of deadlines.

use crate::bytes::code::Code;
use crate::bytes::digest::Digest;
use crate::bytes::time::TimeMs;
use crate::record::crossing::TransferId;

/// The published rule by which an offer or a permit is over.
pub const OFFER_OVER: u16 = 5;
/// The published rule by which a release from ownership is over.
pub const RELEASE_OVER: u16 = 6;

/// What a deadline is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DueSubject {
    /// A transfer: its offer, or its permit.
    Transfer {
        /// Which.
        id: TransferId,
    },
    /// A robot: its release from ownership, or the request that answers it.
    Robot {
        /// Which.
        code: Code,
    },
    /// News that waits to be told: its row has no time but a place in its line, see [`crate::record::told::Line`].
    News {
        /// Key of the subject whose newest leaf is told.
        about: Digest,
    },
}
crate::canonical_variants!(DueSubject @ 1 { 1 => Transfer { id }, 2 => Robot { code }, 3 => News { about } });

/// A deadline that a rule ends: due at the first log time after it. Rows are ordered by rule, then by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// The published rule.
    pub rule: u16,
    /// The last instant at which it stands.
    pub at: TimeMs,
    /// Of what.
    pub subject: DueSubject,
}
crate::canonical_struct!(Due @ 1 { rule, at, subject });
