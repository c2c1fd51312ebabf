//! The switchboard of planted faults, compiled only with the feature `planted`; a release has neither flag nor code.
//!
//! A suite that finds no fault proves something only if it finds those put there on purpose.

/// One fault, switched on for the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Planted {
    /// A follower answers a linearizable read from its own state without asking the leader.
    FollowerServesLocalRead,
}
