//! Files of others, read whole and within a bound.

use std::path::Path;

use crate::exit::Failed;

/// Reads a file of at most that many bytes; of a larger one nothing is read.
pub(crate) fn read_bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failed> {
    use std::io::Read as _;
    let wrong = |text: String| Failed::unreadable(format!("{}: {text}", path.display()));
    let absent = |error: std::io::Error| Failed::usage(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(absent)?;
    let about = file.metadata().map_err(absent)?;
    if !about.is_file() {
        return Err(wrong("it is not a regular file".into()));
    }
    let too_long = |bytes: u64| wrong(format!("it has {bytes} bytes, allowed are {bytes_max}"));
    if about.len() > bytes_max as u64 {
        return Err(too_long(about.len()));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let read = file.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    match bytes.len() {
        0 => Err(wrong("it is empty".into())),
        read if read > bytes_max => Err(too_long(read as u64)),
        _ if bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"PK") => {
            Err(wrong("it is compressed: unpack it first".into()))
        }
        _ => Ok(bytes),
    }
}
