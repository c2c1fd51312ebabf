//! The clock, given as a value. Consensus itself never reads one; it only asks the voters for theirs.

/// A wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970, UTC.
    fn now_ms(&self) -> u64;
}
