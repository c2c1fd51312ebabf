//! Catches a panic in a pure computation, while a disk is read at the start, or in a write after which the log takes no more,
//! and lets the process's panic hook tell it from every other.
//!
//! Everywhere else a panic stops the process before this replica diverges. Inside the guard nothing is written and no
//! lock is held, so dropping what was computed is enough. At a start nothing was promised yet, and a library that panics at
//! damaged bytes says the same as one that returns an error: they are not what was written. A write of the log that panics is a
//! write that failed. Memory that ran out and a stack that overflowed end the
//! process all the same: neither is a panic.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the panic that this thread is in will be caught. For the panic hook, which runs before the stack unwinds.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Marks this thread for as long as it lives.
struct Guard {
    before: bool,
}

impl Guard {
    fn set() -> Self {
        Self {
            before: GUARDED.replace(true),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.set(self.before);
    }
}

/// What `job` computes, or what its panic said.
///
/// `job` must leave nothing half-changed behind that is used after it: it reads, and changes only what it returns or what
/// nobody writes to again.
pub(crate) fn run<T>(job: impl FnOnce() -> T) -> Result<T, String> {
    let guard = Guard::set();
    let outcome = catch_unwind(AssertUnwindSafe(job));
    drop(guard);
    outcome.map_err(|panic| words(panic.as_ref()))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_words_and_the_mark_is_taken_back() {
        assert!(!is_guarded());
        assert_eq!(run(is_guarded), Ok(true));
        let caught = run(|| {
            assert!(is_guarded());
            panic!("number {}", 7);
        });
        let caught: Result<(), String> = caught;
        assert_eq!(caught, Err("number 7".to_owned()));
        assert!(!is_guarded());
    }
}
