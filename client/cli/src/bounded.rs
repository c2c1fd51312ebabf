//! Files of others, read whole and within a bound.

use std::path::Path;

use crate::exit::Failed;

/// Hands out the lines of a text file one after the other, without their ends, until `each` wants no more: a file of any size is read
/// in the room of one line.
///
/// # Errors
/// It is no regular file, cannot be read, is not text, or a line has more than `line_bytes_max` bytes.
pub(crate) fn each_line(
    path: &Path,
    line_bytes_max: usize,
    mut each: impl FnMut(&str) -> bool,
) -> Result<(), Failed> {
    use std::io::{BufRead as _, Read as _};
    let wrong = |text: String| Failed::unreadable(format!("{}: {text}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let about = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if !about.is_file() {
        return Err(wrong("it is not a regular file".into()));
    }
    let mut reader = std::io::BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut within = (&mut reader).take(line_bytes_max as u64 + 2);
        let read = within.read_until(b'\n', &mut line);
        if read.map_err(|error| wrong(error.to_string()))? == 0 {
            return Ok(());
        }
        // The two letters of an end are no part of it.
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > line_bytes_max {
            return Err(wrong(format!(
                "a line has more than {line_bytes_max} bytes"
            )));
        }
        let text = std::str::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
        if !each(text) {
            return Ok(());
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    /// Once, an audit was read whole, whatever its size, and a line of gigabytes with it.
    #[test]
    fn a_file_is_read_line_by_line_and_a_line_has_a_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lines");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).expect("written");
            let mut lines = Vec::new();
            let read = each_line(&path, 4, |line| {
                lines.push(line.to_owned());
                lines.len() < 3
            });
            read.map(|()| lines).map_err(|failed| failed.code)
        };
        assert_eq!(read(b"").expect("none"), Vec::<String>::new());
        assert_eq!(read(b"abcd\r\nb").expect("two"), ["abcd", "b"]);
        assert_eq!(read(b"1\n2\n3\nabcdefg").expect("three"), ["1", "2", "3"]);
        assert_eq!(read(b"1\nabcdefg\n"), Err(exit::UNREADABLE));
        assert_eq!(read(&[b'1', b'\n', 0xff]), Err(exit::UNREADABLE));
        let folder = each_line(folder.path(), 4, |_| true).map_err(|failed| failed.code);
        assert_eq!(folder, Err(exit::UNREADABLE));
    }
}
