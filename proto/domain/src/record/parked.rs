//! Items of a peer's mailbox that are proven and cannot be taken yet: what is kept of each until it can be.

use crate::bytes::code::{Code, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Blob;
use crate::bytes::level::Level;
use crate::bytes::time::TimeMs;
use crate::custody::movement::EvidenceRef;
use crate::limits::{Index, Lines, NOTE_KEPT_BYTES_MAX, Sequence};
use crate::rules::rejection::Detail;

/// An item that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Whose mailbox it came from.
    pub peer: Prefix,
    /// Its place in that mailbox.
    pub item: u64,
    /// The leaf: origin, index and hash, and its link as far as it can be read.
    pub evidence: EvidenceRef,
    /// Key of the leaf's subject; zero where its bytes cannot be read.
    pub subject: Digest,
    /// The robot, where its leaf shows one.
    pub code: Option<Code>,
    /// What it waits for.
    pub why: Detail,
    /// Since when, by log time.
    pub since: TimeMs,
    /// Size of the log that it is proven under.
    pub size: u64,
    /// Root under that size.
    pub root: Digest,
    /// The head of that size and root, as its registry signed it: an offer that is taken later is shown under it.
    pub note: String,
    /// How many bytes the item has.
    pub length: u64,
    /// The item as it came; `None` in lists.
    pub bytes: Option<Blob>,
}
crate::canonical_struct!(Parked @ 1 {
    peer,
    item: Sequence,
    evidence,
    subject,
    code,
    why,
    since,
    size: Index,
    root,
    note: Lines<NOTE_KEPT_BYTES_MAX>,
    length: Sequence,
    bytes
});

/// Where an item waits: one row of the lists by peer and by robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkedPlace {
    /// Whose mailbox.
    pub peer: Prefix,
    /// Its place there.
    pub item: u64,
    /// Key of the leaf's subject, or zero.
    pub subject: Digest,
    /// The feature level at which it was tried last.
    pub level: Level,
}
crate::canonical_struct!(ParkedPlace {
    peer,
    item: Sequence,
    subject,
    level
});
