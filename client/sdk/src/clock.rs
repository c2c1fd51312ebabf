//! The one place of the client that reads the wall clock: certificate validity and the time limit of signed commands.

use std::time::{SystemTime, UNIX_EPOCH};

use carnet_domain::bytes::time::TimeMs;

/// The time of this machine.
pub fn wall_time() -> TimeMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
