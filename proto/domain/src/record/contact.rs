//! Whether there is contact with a peer, and how much of it is read: what offices here decide about it.

use crate::limits::{
    CLAIMS_A_MINUTE_MAX, LEAVES_A_MINUTE_MAX, MAIL_BYTES_A_MINUTE_MAX, MAIL_ITEMS_A_MINUTE_MAX,
    NACKS_A_MINUTE_MAX, OFFERS_A_MINUTE_MAX, REPORTS_A_MINUTE_MAX, UpTo,
};

/// Whether there is contact with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// There is.
    Open,
    /// An office here paused it: nothing is sent, read or asked, and no offer or permit begins. What is under way goes on when it is
    /// resumed; mail waits on both sides.
    Paused,
    /// The roots here ended it: as paused, and no agreement stands. A newer bundle that the roots state begins it anew.
    Ended,
}
crate::canonical_enum!(Contact { 1 => Open, 2 => Paused, 3 => Ended });

/// How much of a peer is read within a minute of log time, by kind: at most what `limits` says for everybody. One item is always read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Robots offered.
    pub offers: u64,
    /// Reports of theft and loss, and their end.
    pub holds: u64,
    /// Statements that are answered with a nack.
    pub nacks: u64,
    /// Claims and ends of identities.
    pub claims: u64,
    /// Leaves of any kind.
    pub leaves: u64,
    /// Items, whatever comes of them.
    pub items: u64,
    /// Canonical bytes of those items.
    pub bytes: u64,
}
crate::canonical_struct!(Allowed {
    offers: UpTo<OFFERS_A_MINUTE_MAX>,
    holds: UpTo<REPORTS_A_MINUTE_MAX>,
    nacks: UpTo<NACKS_A_MINUTE_MAX>,
    claims: UpTo<CLAIMS_A_MINUTE_MAX>,
    leaves: UpTo<LEAVES_A_MINUTE_MAX>,
    items: UpTo<MAIL_ITEMS_A_MINUTE_MAX>,
    bytes: UpTo<MAIL_BYTES_A_MINUTE_MAX>
});

impl Default for Allowed {
    /// As much as of anybody.
    fn default() -> Self {
        Self {
            offers: OFFERS_A_MINUTE_MAX,
            holds: REPORTS_A_MINUTE_MAX,
            nacks: NACKS_A_MINUTE_MAX,
            claims: CLAIMS_A_MINUTE_MAX,
            leaves: LEAVES_A_MINUTE_MAX,
            items: MAIL_ITEMS_A_MINUTE_MAX,
            bytes: MAIL_BYTES_A_MINUTE_MAX,
        }
    }
}
