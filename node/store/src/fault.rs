//! How storage fails: the world's fault, never a lawful "no".

use std::path::PathBuf;

/// A failure of the disk, or of what is on it. A node that sees one stops serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageFault {
    /// The operating system refused.
    #[error("{what} at {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("state database: {what}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// Why, in the database's words.
        detail: String,
    },
    /// Bytes on disk are not what was written.
    #[error("corrupt {what}: {detail}")]
    Corrupt {
        /// Which thing.
        what: &'static str,
        /// How it was noticed.
        detail: String,
    },
    /// The directory belongs to another cluster or node, or to a newer binary.
    #[error("{0}")]
    Foreign(String),
    /// This replica's state is not the one that the others signed: stop, and never serve it again.
    #[error("diverged: {0}")]
    Diverged(String),
    /// Our own invariant is broken: stop before diverging.
    #[error("invariant broken: {0}")]
    Invariant(String),
}
