//! The record of campaigns: what was run for how long and what it found, a line each, in a file that is kept.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use carnet_domain::bytes::time::TimeMs;

/// Adds a line to a file, with the date before it.
///
/// # Errors
/// The file cannot be written.
pub fn record(path: &Path, line: &str) -> io::Result<()> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    let date = TimeMs::from_ms(u64::try_from(ms).unwrap_or(u64::MAX));
    let mut file = File::options().create(true).append(true).open(path)?;
    writeln!(file, "{date} {line}")
}
