//! The registry as a whole: who it is, its time, its tree, what it sealed and published.

use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::bytes::level::Level;
use crate::bytes::signature::PublicKey;
use crate::bytes::time::{DurationMs, TimeMs};
use crate::limits::{
    BUNDLE_LIST_MAX, Index, KEY_ORDERS_MAX, Lines, List, ListOf, NOTE_BYTES_MAX, ROOT_CHANGES_MAX,
    Sequence,
};
use crate::log::head::Head;
use crate::log::merkle::Frontier;
use crate::record::keys::KeyHistory;
use crate::record::offices::Offices;
use crate::record::told::Tellings;

/// A sealed size, waiting for its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Tree size; the last leaf is the map head.
    pub size: u64,
    /// Tree root.
    pub root: Digest,
    /// Root of the state map, over every leaf below the size.
    pub map_root: Digest,
    /// Log time of the seal.
    pub at: TimeMs,
}
crate::canonical_struct!(Sealed {
    size: Index,
    root,
    map_root,
    at
});

/// State of the registry as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Primary prefix.
    pub prefix: Prefix,
    /// ISO 3166-1 alpha-2 country.
    pub country: String,
    /// Incarnation of the log.
    pub incarnation: u64,
    /// Identity of the cluster.
    pub cluster: [u8; 16],
    /// Which sign the statements of this registry.
    pub roots: Vec<PublicKey>,
    /// How many sign.
    pub threshold: u8,
    /// Our leaves in which the roots were replaced, ascending: from those of the genesis on, each by those before.
    pub root_leaves: Vec<u64>,
    /// Every key that it has and had.
    pub keys: KeyHistory,
    /// Our leaves in which the roots ordered something of the keys below them, ascending; the next order has the next number.
    pub key_leaves: Vec<u64>,
    /// Log time: never goes back, but by a statement of the roots.
    pub log_time: TimeMs,
    /// A stamp above it is refused and moves nothing.
    pub ceiling: TimeMs,
    /// How many statements of the roots about time were applied; the next has the next number.
    pub time_statements: u64,
    /// How many orders of the roots about keys of offices were applied; the next has the next number.
    pub office_statements: u64,
    /// Rules end one row an entry: the roots had one that runs a rule skipped, and the next one that is skipped names its row.
    pub due_singly: bool,
    /// Seal after this long without a leaf.
    pub seal_idle: DurationMs,
    /// The right edge of the tree.
    pub tree: Frontier,
    /// The feature level: what this log may hold.
    pub level: Level,
    /// Newest map head leaf.
    pub map_head: Option<Head>,
    /// Newest leaf about the jurisdiction.
    pub own_head: Option<Head>,
    /// The newest sealed size.
    pub sealed: Option<Sealed>,
    /// Leaves other than map heads since then.
    pub unsealed: u64,
    /// The newest published size.
    pub published: Option<Sealed>,
    /// Its checkpoint, a signed note; empty before the first.
    pub checkpoint: String,
    /// The next session number.
    pub next_session: u64,
    /// What all peers were told in the newest minute of log time, and how far what waits is.
    pub told: Tellings,
    /// Who supervises it.
    pub offices: Offices,
    /// Its own bundle, as its roots stated it last; none before they did.
    pub bundle: Option<OwnBundle>,
}
crate::canonical_struct!(Registry @ 1 {
    prefix,
    country,
    incarnation: Sequence,
    cluster,
    roots: List<BUNDLE_LIST_MAX>,
    threshold,
    root_leaves: ListOf<Index, ROOT_CHANGES_MAX>,
    keys,
    key_leaves: ListOf<Index, KEY_ORDERS_MAX>,
    log_time,
    ceiling,
    time_statements,
    office_statements: Sequence,
    due_singly,
    seal_idle,
    tree,
    level,
    map_head,
    own_head,
    sealed,
    unsealed: Sequence,
    published,
    checkpoint: Lines<NOTE_BYTES_MAX>,
    next_session: Sequence,
    told,
    offices,
    bundle,
});

/// Where the own bundle stands, as the roots signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBundle {
    /// Higher than that of every bundle before it.
    pub sequence: u64,
    /// The leaf of the statement.
    pub leaf: u64,
    /// The prefixes that it names: no other country's are any of them.
    pub prefixes: Vec<Prefix>,
}
crate::canonical_struct!(OwnBundle {
    sequence: Sequence,
    leaf: Index,
    prefixes: List<BUNDLE_LIST_MAX>
});
