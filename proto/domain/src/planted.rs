//! Faults that a test of the tests can plant in the rules: a type that `apply` and `fold` are given. What ships gives
//! [`Sound`], which has none and no room for any; the types that have some live outside of this crate.

/// What a command contains that [`Planted::panics_at_mark`] panics at.
pub const PANIC_MARK: &[u8] = b"planted poison";

/// The faults of one instance of the rules. Every answer is "no" unless a type says otherwise.
pub trait Planted: Copy {
    /// A request that was answered before is executed again.
    fn forgets_answers(self) -> bool {
        false
    }

    /// A command whose bytes contain [`PANIC_MARK`] panics.
    fn panics_at_mark(self) -> bool {
        false
    }

    /// A seal appends another map head than the map has: the tree of this replica gets roots of its own.
    fn has_other_root(self) -> bool {
        false
    }

    /// Custody: `epoch >=` where `>` is right.
    fn repeats_epochs(self) -> bool {
        false
    }

    /// Custody: a cancelled offer does not burn its epoch.
    fn cancels_without_burning(self) -> bool {
        false
    }

    /// Custody: admits under an accept that is held, without a release.
    fn admits_without_release(self) -> bool {
        false
    }

    /// Whether a rule of custody is broken: the table of what may follow what would hide it.
    fn breaks_custody(self) -> bool {
        self.repeats_epochs() || self.cancels_without_burning() || self.admits_without_release()
    }
}

/// The rules as they are: what ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sound;

impl Planted for Sound {}

const _: () = assert!(size_of::<Sound>() == 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_that_ship_have_no_fault() {
        let faults = [
            Sound.forgets_answers(),
            Sound.panics_at_mark(),
            Sound.has_other_root(),
            Sound.repeats_epochs(),
            Sound.cancels_without_burning(),
            Sound.admits_without_release(),
            Sound.breaks_custody(),
        ];
        assert_eq!(faults, [false; 7]);
    }
}
