//! The exit codes of `carnetd`: what a supervisor may do about each.

use std::process::ExitCode;

/// How the process ended.
///
/// | code | name | what a supervisor does |
/// |---|---|---|
/// | 0 | [`Exit::Stopped`] | nothing: a signal asked for it |
/// | 1 | [`Exit::Failed`] | start again, after a while: a socket, the disk (full, too) or Raft failed; helps when the world is better |
/// | 2 | [`Exit::Usage`] | call a person: the command line or the configuration is wrong |
/// | 3 | [`Exit::Keys`] | call a person: a key or certificate is missing, readable by others, or not what it should be |
/// | 4 | [`Exit::Refused`] | call a person: the data directory is empty, incomplete, or another node's, cluster's, store's or program's, or the cluster refuses it |
/// | 5 | [`Exit::Corrupt`] | never start again on this disk: stored bytes are not what was written |
/// | 6 | [`Exit::Invariant`] | call a person: the program found itself in a state that must not exist |
/// | 7 | [`Exit::Diverged`] | never start again on this disk: this replica's state differs from the majority's; replace it under a new node id |
/// | 8 | [`Exit::Outdated`] | call a person: the registry stands at a feature level that this program does not know; start a newer program on the same disk |
///
/// A fault has the same code at the start and while the node runs: `RunError::exit`. The last line on standard error says
/// what failed, where, and why.
///
/// A panic aborts the process (signal 6, 134 in a shell) after one line in the log, and means the same as code 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Stopped by a signal, in good order.
    Stopped,
    /// The world failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// A key or certificate cannot be used.
    Keys,
    /// The data directory is nobody's or somebody else's, or its cluster refuses it.
    Refused,
    /// Stored bytes are not what was written.
    Corrupt,
    /// An invariant of ours is broken.
    Invariant,
    /// This replica's state differs from the majority's.
    Diverged,
    /// The registry stands at a feature level of a newer program.
    Outdated,
}

impl Exit {
    /// The number the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Keys => 3,
            Self::Refused => 4,
            Self::Corrupt => 5,
            Self::Invariant => 6,
            Self::Diverged => 7,
            Self::Outdated => 8,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
