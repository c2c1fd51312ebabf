//! A custody movement as it is shown, and the leaf of another log that it rests on.

use super::{Link, Step};
use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::bytes::time::TimeMs;
use crate::limits::{Epoch, Index};
use crate::rules::command::TransferId;

/// A custody movement, as shown in the trail of a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// What was done.
    pub step: Step,
    /// Which both countries number alike; none at registration.
    pub transfer: Option<TransferId>,
    /// After it: how often custody had changed hands.
    pub epoch: u64,
    /// Exporter.
    pub from: Option<Prefix>,
    /// Importer.
    pub to: Prefix,
    /// Who wrote it.
    pub writer: Prefix,
    /// Log time of the writer.
    pub at: TimeMs,
    /// When it was seen here.
    pub seen: TimeMs,
    /// Office, or empty.
    pub place: String,
    /// Hash of the writer's leaf.
    pub leaf: Digest,
    /// Index of that leaf in the writer's log.
    pub leaf_index: u64,
}
crate::canonical_struct!(Movement {
    step,
    transfer,
    epoch: Epoch,
    from,
    to,
    writer,
    at,
    seen,
    place,
    leaf,
    leaf_index: Index
});

/// A leaf of another log, for slot 14 and for evidence lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRef {
    /// Origin line of the log.
    pub origin: String,
    /// Leaf index there.
    pub index: u64,
    /// Leaf hash.
    pub leaf: Digest,
    /// When that log recorded it; `None` where its bytes cannot be read here.
    pub at: Option<TimeMs>,
    /// The custody link that it carries, if it is a custody step.
    pub link: Option<Link>,
}
crate::canonical_struct!(EvidenceRef {
    origin,
    index: Index,
    leaf,
    at,
    link
});
