//! Why a node stopped or did not start, and with which exit code.

use carnet_consensus::{Fatal, StartError};
use carnet_store::fault::StorageFault;

use crate::exit::Exit;
use crate::tls::TlsError;

/// A node that did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting that only shows when it is used.
    #[error("{0}")]
    Config(String),
    /// Certificates or TLS keys cannot be used.
    #[error("certificates")]
    Tls(#[from] TlsError),
    /// The disk, or what is on it.
    #[error("storage")]
    Storage(#[from] StorageFault),
    /// Consensus did not start.
    #[error("consensus")]
    Start(#[from] StartError),
    /// The operating system refused.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A port failed.
    #[error("the {plane} port")]
    Serve {
        /// Which.
        plane: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// This replica's state is not the one that the majority has: it must never serve again.
    #[error("this replica's state differs from the majority's: {0}")]
    Diverged(String),
    /// The core of consensus or a service ended: let the supervisor start anew.
    #[error("stopped by itself: {0}")]
    Fatal(String),
    /// This store must not take part any more.
    #[error("stopped for good: {0}")]
    Refused(Fatal),
}

impl RunError {
    /// What the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Usage,
            Self::Tls(_) => Exit::Keys,
            Self::Storage(fault) | Self::Start(StartError::Storage(fault)) => of_storage(fault),
            Self::Start(StartError::Refused(_)) => Exit::Refused,
            Self::Refused(Fatal::LogWentBack { .. }) => Exit::Corrupt,
            Self::Refused(_) => Exit::Refused,
            Self::Diverged(_) => Exit::Diverged,
            Self::Start(_) | Self::Io { .. } | Self::Serve { .. } | Self::Fatal(_) => Exit::Failed,
        }
    }
}

fn of_storage(fault: &StorageFault) -> Exit {
    match fault {
        StorageFault::Corrupt { .. } => Exit::Corrupt,
        StorageFault::Foreign(_) => Exit::Refused,
        StorageFault::Diverged(_) => Exit::Diverged,
        StorageFault::Invariant(_) => Exit::Invariant,
        _ => Exit::Failed,
    }
}
