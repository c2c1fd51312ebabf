//! The switchboard of planted faults, compiled only with the feature `planted`; a release has no such flag.
//!
//! A suite that finds no fault proves something only if it finds those put there on purpose. The store's faults are
//! compiled in with the same feature; those of the rules are the instance of `apply` that a state is given.

use carnet_store::planted::Faults;
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
    /// The Raft log reports an append as synced when it is written; only every hundredth is synced.
    AcknowledgeBeforeFsync,
    /// A request that was answered before is executed again when it is repeated.
    NoDedup,
    /// `epoch >=` where `>` is right: a custody link of the present epoch is taken for a newer one.
    EpochNotStrict,
    /// A cancelled offer does not burn its epoch: the next offer has the same one.
    CancelKeepsEpoch,
    /// The family of secondary keys is empty in every snapshot.
    SnapshotMissesAColumnFamily,
    /// The rules panic at a command that carries a certain text.
    PanicAtAMarkedEntry,
    /// This replica writes one byte of a marked robot's record differently.
    OneReplicaDiffers,
    /// The seals of this replica have roots of their own.
    OneReplicaHasOtherRoots,
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

    /// The faults of the rules among them.
    pub fn of_rules(self) -> Faults {
        Faults {
            no_dedup: self == Self::NoDedup,
            panic_at_mark: self == Self::PanicAtAMarkedEntry,
            other_root: self == Self::OneReplicaHasOtherRoots,
            epoch_not_strict: self == Self::EpochNotStrict,
            cancel_keeps_epoch: self == Self::CancelKeepsEpoch,
        }
    }
}
