//! What peering asks of the node it runs in.

use std::time::Duration;

use async_trait::async_trait;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::machine::entry::{ItemAnswer, MailBatch};
use carnet_domain::record::peer::Peer;
use tokio::sync::watch;

/// The node, as peering sees it. Time arrives as values.
#[async_trait]
pub trait Home: Send + Sync + 'static {
    /// Prefix and incarnation of the own log; `None` before its genesis.
    fn origin(&self) -> Option<Origin>;

    /// The wall clock.
    fn wall(&self) -> TimeMs;

    /// Time since some fixed moment; it never goes back.
    fn monotonic(&self) -> Duration;

    /// Whether this node leads: only the leader follows others.
    fn leadership(&self) -> watch::Receiver<bool>;

    /// The newest published size whose state this node has; 0 before the first. Changes wake the receiver.
    fn published(&self) -> watch::Receiver<u64>;

    /// All peers, as applied here.
    ///
    /// # Errors
    /// The state cannot be read.
    async fn peers(&self) -> Result<Vec<Peer>, HomeError>;

    /// One peer, as applied here.
    ///
    /// # Errors
    /// The state cannot be read.
    async fn peer(&self, prefix: Prefix) -> Result<Option<Peer>, HomeError>;

    /// A batch of the mailbox kept for a peer, under the newest published checkpoint; `None` before the first.
    ///
    /// # Errors
    /// The peer knows a larger log than this node has published, or the state cannot be read.
    async fn batch(&self, wanted: Wanted) -> Result<Option<Outgoing>, HomeError>;

    /// Proposes what a peer said, with its evidence, and waits until it was applied here.
    ///
    /// # Errors
    /// It was not applied, or nobody knows.
    async fn propose_foreign(&self, batch: MailBatch) -> Result<Vec<ItemAnswer>, HomeError>;

    /// Evidence about a code that `to` may see, under the newest published checkpoint, joined to the head of a size that `to`
    /// knows, and under that head; `None` before the first.
    ///
    /// # Errors
    /// The state cannot be read.
    async fn evidence(
        &self,
        to: Prefix,
        code: Code,
        known_size: u64,
    ) -> Result<Option<Shown>, HomeError>;
}

/// Evidence as it is shown to a peer, in canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Under the newest published checkpoint.
    pub newest: Vec<u8>,
    /// Under the head that the peer knows, as long as the state of that moment is there; `None` where it is the newest.
    pub under_known: Option<Vec<u8>>,
}

/// Which part of a mailbox is wanted, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whose mailbox.
    pub peer: Prefix,
    /// The first sequence wanted.
    pub from_sequence: u64,
    /// The size from which consistency is to be proven; 0 for none.
    pub known_size: u64,
    /// The most items.
    pub item_count_max: usize,
    /// The most bytes of items; one item is always taken.
    pub bytes_max: usize,
}

/// A batch to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Size of the checkpoint in it.
    pub size: u64,
    /// Items that follow what the peer has, with their proofs; there may be none.
    pub batch: MailBatch,
}

/// How the node fails peering.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// The peer knows more of the log than this node has published: this node lags, or the log was rolled back.
    #[error("{known} leaves are known, this node has published {published}")]
    FollowerAhead {
        /// What the peer knows.
        known: u64,
        /// What this node has published.
        published: u64,
    },
    /// This node does not lead; nothing was proposed.
    #[error("this node does not lead")]
    NotLeader,
    /// It was not proposed.
    #[error("not proposed: {0}")]
    NotProposed(String),
    /// Whether it was applied is unknown.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The state cannot be read.
    #[error("the state cannot be read: {0}")]
    State(String),
}
