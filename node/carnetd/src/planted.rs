//! The switchboard of planted faults, compiled only with the feature `planted`; a release has neither flag nor code.
//!
//! A suite that finds no fault proves something only if it finds those put there on purpose.

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// One fault, switched on for the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Planted {
    /// A follower answers a linearizable read from its own state without asking the leader.
    FollowerServesLocalRead,
    /// The process ends when its seal is committed, before the signer reads it.
    CrashAfterSeal,
    /// The process ends when the leaves of a seal were read again, before its size is kept as the last signed one.
    CrashBeforeSizeKept,
    /// The process ends in the middle of keeping the size: the new file is whole and not yet in its place.
    CrashInSizeKept,
    /// The process ends when the size is kept, before the signature is made.
    CrashBeforeSignature,
    /// The process ends with the signature in hand, before the checkpoint is proposed.
    CrashBeforePublish,
    /// The process ends when the checkpoint to publish is in its log, before it knows whether it was committed.
    CrashInPublish,
    /// The process ends when the checkpoint is published, before it hears so.
    CrashAfterPublish,
}

impl Planted {
    /// Ends the process on the spot if this is what was planted.
    #[expect(
        clippy::print_stderr,
        reason = "the harness tells a planted end from another"
    )]
    pub fn crash(self, planted: Option<Self>) {
        if planted == Some(self) {
            let name = self.to_possible_value();
            let name = name.as_ref().map_or("?", PossibleValue::get_name);
            eprintln!("planted: {name}");
            std::process::abort();
        }
    }
}
