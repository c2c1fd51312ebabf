//! A client's session, and what is kept of its answers.

use super::Holder;
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Blob;
use crate::bytes::time::TimeMs;
use crate::limits::{ITEM_COUNT_MAX, List, Sequence};
use crate::rules::rejection::Rejection;

/// A client's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: u64,
    /// Subject of the certificate that opened it; requests come under no other.
    pub subject: String,
    /// Whose key opened it; requests are signed by no other party's.
    pub party: Holder,
    /// The nonce it was opened with.
    pub nonce: [u8; 16],
    /// When.
    pub opened: TimeMs,
    /// The highest request number seen.
    pub highest: u64,
}
crate::canonical_struct!(Session @ 1 {
    id: Sequence,
    subject,
    party,
    nonce,
    opened,
    highest: Sequence
});

/// What is kept of an answer, by which it is given again: which items were done is a bit each, where their leaves stand and
/// with which sequence is said where it changes, and the leaves' hashes are read from the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Number of the request in its session.
    pub sequence: u64,
    /// SHA-256 of header and signature.
    pub request: Digest,
    /// Log time of the entry that answered it.
    pub at: TimeMs,
    /// How many items were answered.
    pub count: u32,
    /// Where the leaves of the items done stand: from an item done on, the index of its last leaf; the next one done has the
    /// next, and so on to the next run. One entry makes one run.
    pub runs: Vec<(u32, u64)>,
    /// The sequences of the items' subjects: that of an item done, and of those after it up to the next that is named.
    pub sequences: Vec<(u32, u64)>,
    /// One bit an item, set when it was done; the first item is the highest bit of the first byte.
    pub done: Blob,
    /// Items refused: the item's place and why. What was neither done nor refused changed nothing.
    pub refused: Vec<(u32, Rejection)>,
    /// Items done that are the first of two words.
    pub waiting: Vec<u32>,
}
crate::canonical_struct!(StoredAnswer @ 1 {
    sequence: Sequence,
    request,
    at,
    count,
    runs: List<{ ITEM_COUNT_MAX as usize }>,
    sequences: List<{ ITEM_COUNT_MAX as usize }>,
    done,
    refused: List<{ ITEM_COUNT_MAX as usize }>,
    waiting: List<{ ITEM_COUNT_MAX as usize }>
});
