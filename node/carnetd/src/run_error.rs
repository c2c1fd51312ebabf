//! Why a node stopped or did not start, and with which exit code.

use std::sync::Arc;

use carnet_consensus::{Fatal, StartError};
use carnet_store::fault::StorageFault;

use crate::exit::Exit;
use crate::keyring::KeyringError;
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
    /// Signing keys cannot be used.
    #[error("signing keys")]
    Keyring(#[from] KeyringError),
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
    /// The disk, or what is on it, failed while the node ran.
    #[error("storage")]
    Fault(#[source] Arc<StorageFault>),
    /// The core of consensus or a service ended: let the supervisor start anew.
    #[error("stopped by itself: {0}")]
    Fatal(String),
    /// This store must not take part any more.
    #[error("stopped for good: {why}. {out}", why = .0, out = way_out(.0))]
    Refused(Fatal),
}

impl From<Fatal> for RunError {
    fn from(fatal: Fatal) -> Self {
        match fatal {
            Fatal::Storage(fault) => Self::Fault(fault),
            refused if refused.is_final() => Self::Refused(refused),
            other => Self::Fatal(other.cause()),
        }
    }
}

impl RunError {
    /// What the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Usage,
            Self::Tls(_) | Self::Keyring(_) => Exit::Keys,
            Self::Storage(fault) => of_storage(fault),
            Self::Fault(fault) | Self::Start(StartError::Storage(fault)) => of_storage(fault),
            Self::Start(StartError::Refused(_)) => Exit::Refused,
            Self::Refused(Fatal::LogWentBack { .. }) => Exit::Corrupt,
            Self::Refused(_) => Exit::Refused,
            Self::Diverged(_) => Exit::Diverged,
            Self::Start(_) | Self::Io { .. } | Self::Serve { .. } | Self::Fatal(_) => Exit::Failed,
        }
    }
}

/// What an operator does about a store that must not take part any more.
fn way_out(why: &Fatal) -> &'static str {
    match why {
        Fatal::Retired { .. } | Fatal::OtherStore { .. } => {
            "Make a new node under an id that was never used, with certificates of its own, on an empty directory: runbook \
             replace-a-node"
        }
        Fatal::Copy { .. } => {
            "This process has stopped; another runs, or ran, on the same store. Only if you know that this directory is the \
             copy: delete it, and the other goes on. Otherwise stop the other too, retire the id, and make a new node: one \
             of the two has forgotten what the other promised"
        }
        Fatal::LogWentBack { .. } => "Runbook copies-and-exit-code-4",
        // No other is kept as a refusal.
        _ => "See the lines above",
    }
}

fn of_storage(fault: &StorageFault) -> Exit {
    match fault {
        StorageFault::Corrupt { .. } => Exit::Corrupt,
        StorageFault::Foreign(_) => Exit::Refused,
        StorageFault::Newer(_) => Exit::Outdated,
        StorageFault::Diverged(_) => Exit::Diverged,
        StorageFault::Invariant(_) => Exit::Invariant,
        // A full disk too: when there is room again, a start helps. And a process that has not ended yet will.
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn check(fault: fn() -> StorageFault, expected: u8) {
        let shared = || Arc::new(fault());
        assert_eq!(RunError::Storage(fault()).exit().code(), expected);
        assert_eq!(
            RunError::from(Fatal::Storage(shared())).exit().code(),
            expected,
            "while it runs"
        );
        assert_eq!(
            RunError::Start(StartError::Storage(shared())).exit().code(),
            expected,
            "while it recovers"
        );
    }

    /// Once, it said that one of two runs on a copy, and not what to do with which.
    #[test]
    fn a_refusal_for_good_says_the_way_out() {
        let text = |fatal: Fatal| RunError::from(fatal).to_string();
        let by = 2;
        let why = || "because".to_owned();
        let copy = text(Fatal::Copy { by, text: why() });
        for words in [
            "delete it, and the other goes on",
            "stop the other too",
            "retire the id",
        ] {
            assert!(copy.contains(words), "{copy}");
        }
        for fatal in [
            Fatal::Retired { by, text: why() },
            Fatal::OtherStore { by, text: why() },
        ] {
            let text = text(fatal);
            assert!(text.contains("runbook replace-a-node"), "{text}");
        }
    }

    #[test]
    fn a_fault_has_one_exit_code_whenever_it_comes() {
        check(
            || StorageFault::Io {
                what: "write to the raft log",
                path: "/data/log/wal".into(),
                source: io::Error::from(io::ErrorKind::StorageFull),
            },
            1,
        );
        check(
            || StorageFault::Database {
                what: "write",
                detail: "No space left on device".into(),
            },
            1,
        );
        check(
            || StorageFault::Received {
                what: "snapshot",
                detail: "a file was altered".into(),
            },
            1,
        );
        check(|| StorageFault::Busy("data/state".into()), 1);
        check(|| StorageFault::Foreign("another cluster".into()), 4);
        check(|| StorageFault::Newer("use a newer binary".into()), 8);
        check(
            || StorageFault::Corrupt {
                what: "state database",
                detail: "checksum".into(),
            },
            5,
        );
        check(|| StorageFault::Invariant("order".into()), 6);
    }
}
