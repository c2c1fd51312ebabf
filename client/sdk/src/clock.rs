//! The one place of the client that reads the wall clock: certificate validity and the time limit of signed commands.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use carnet_domain::bytes::time::TimeMs;

/// The time of this machine.
pub fn wall_time() -> TimeMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The clock of deadlines and rests: tokio's, as that of the time-outs, so that a test may stop it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
