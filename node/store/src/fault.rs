//! How storage fails: the world's fault, never a lawful "no".

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

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
    #[error("state database: {what}: {detail}")]
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
    /// The directory belongs to another cluster or node, or its layout is that of another binary.
    #[error("{0}")]
    Foreign(String),
    /// The registry stands at a feature level that this binary does not know, in its log, its records or a snapshot: a newer
    /// binary goes on from here, on the same disk.
    #[error("{0}")]
    Newer(String),
    /// Another process has the directory open: one that has not ended yet, or one too many.
    #[error("{0} is open in another process")]
    Busy(String),
    /// This replica's state is not the one that the others signed: stop, and never serve it again.
    #[error("diverged: {0}")]
    Diverged(String),
    /// What another node sent is not what it said it would send. Nothing of it was taken over; this disk is sound.
    #[error("received {what}: {detail}")]
    Received {
        /// Which thing.
        what: &'static str,
        /// How it was noticed.
        detail: String,
    },
    /// Our own invariant is broken: stop before diverging.
    #[error("invariant broken: {0}")]
    Invariant(String),
}

impl StorageFault {
    /// What the operating system refused. Bytes that are no text where a text was written are damage, whoever noticed it.
    pub(crate) fn of_io(
        what: &'static str,
        path: &std::path::Path,
        source: std::io::Error,
    ) -> Self {
        match source.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => Self::Corrupt {
                what,
                detail: format!("{}: {source}", path.display()),
            },
            _ => Self::Io {
                what,
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// Remembers the first fault that a node cannot go on with, with its type: on its way through consensus an error becomes
/// text, and the exit code of the process depends on which it was. Clones share what is remembered.
#[derive(Debug, Clone)]
pub struct FirstFault(watch::Sender<Option<Arc<StorageFault>>>);

impl Default for FirstFault {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl FirstFault {
    /// Remembers a fault, unless there was one before, and hands it on.
    pub fn note(&self, fault: StorageFault) -> Arc<StorageFault> {
        let fault = Arc::new(fault);
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(Arc::clone(&fault));
            }
            is_first
        });
        fault
    }

    /// As [`Self::note`], of damage; no other fault is remembered.
    pub(crate) fn note_damage(&self, fault: &StorageFault) {
        if let StorageFault::Corrupt { what, detail } = fault {
            let detail = detail.clone();
            self.note(StorageFault::Corrupt { what, detail });
        }
    }

    /// The first fault, if there was one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<StorageFault>> {
        self.0.borrow().clone()
    }

    /// Waits for the first fault.
    pub async fn noted(&self) -> Arc<StorageFault> {
        let mut seen = self.0.subscribe();
        loop {
            if let Some(fault) = &*seen.borrow_and_update() {
                return Arc::clone(fault);
            }
            if seen.changed().await.is_err() {
                // This value holds a sender itself.
                std::future::pending::<()>().await;
            }
        }
    }
}
