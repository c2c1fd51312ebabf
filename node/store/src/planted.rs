//! The instance of the rules that has faults, compiled only with the feature `planted`. A release applies entries by
//! [`carnet_domain::planted::Sound`] and has nothing to switch.

use carnet_domain::planted::Planted;

/// The faults of the rules that a process can be told to have; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// A request that was answered before is executed again.
    pub no_dedup: bool,
    /// A command that carries a certain text panics.
    pub panic_at_mark: bool,
    /// A seal appends another map head than the map has.
    pub other_root: bool,
    /// `epoch >=` where `>` is right.
    pub epoch_not_strict: bool,
    /// A cancelled offer does not burn its epoch.
    pub cancel_keeps_epoch: bool,
}

impl Planted for Faults {
    fn forgets_answers(self) -> bool {
        self.no_dedup
    }

    fn panics_at_mark(self) -> bool {
        self.panic_at_mark
    }

    fn has_other_root(self) -> bool {
        self.other_root
    }

    fn repeats_epochs(self) -> bool {
        self.epoch_not_strict
    }

    fn cancels_without_burning(self) -> bool {
        self.cancel_keeps_epoch
    }
}
