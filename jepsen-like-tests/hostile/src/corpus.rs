//! What the coverage-guided fuzzer found worth keeping, a file a target: an input a line, in hexadecimal.
//!
//! The tests give each of them to its target again. The fuzzer itself is `jepsen-like-tests/fuzz`, which is no member of the
//! workspace: it is built with counters in the code, and on no machine that only ships.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::decoders::{self, Target};
use crate::{applies, decoders::hex};

/// Bytes of one input that is kept: larger ones are the fuzzer's own, on the machine that it runs on.
pub const INPUT_BYTES_MAX: usize = 4 * 1024;
/// Bytes of all inputs that are kept of one target.
pub const CORPUS_BYTES_MAX: usize = 48 * 1024;

/// Everything that is fuzzed: every decoder, and every way to `apply`.
pub fn targets() -> Vec<Target> {
    let mut all = decoders::targets();
    all.extend(applies::targets());
    all
}

/// Where the corpora are kept.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora")
}

/// The file of a target.
pub fn file(target: &str) -> PathBuf {
    folder().join(format!("{}.txt", target.replace(' ', "-")))
}

/// The inputs that are kept of a target.
///
/// # Errors
/// There are none, or a line is not hexadecimal.
pub fn kept(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let lines = fs::read_to_string(file(target))?;
    let inputs = lines.lines().map(|line| {
        hex(line).ok_or_else(|| {
            let words = format!("{}: a line is not hexadecimal", file(target).display());
            io::Error::new(io::ErrorKind::InvalidData, words)
        })
    });
    inputs.collect()
}

/// Writes the samples of a target and what is kept of it into a folder, an input a file: what the fuzzer begins with.
///
/// # Errors
/// The disk.
pub fn unpack(target: &Target, to: &Path) -> io::Result<usize> {
    fs::create_dir_all(to)?;
    let kept = match kept(target.name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        kept => kept?,
    };
    let all = target.samples.iter().chain(&kept);
    for (number, input) in all.clone().enumerate() {
        fs::write(to.join(format!("kept-{number:05}")), input)?;
    }
    Ok(all.count())
}

/// Keeps what a folder of inputs holds, the shortest first, as far as there is room; answers how many.
///
/// # Errors
/// The disk.
pub fn pack(target: &Target, from: &Path) -> io::Result<usize> {
    let mut inputs = Vec::new();
    for file in fs::read_dir(from)? {
        inputs.push(fs::read(file?.path())?);
    }
    inputs.retain(|input| !input.is_empty() && input.len() <= INPUT_BYTES_MAX);
    inputs.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    inputs.dedup();
    let (mut lines, mut bytes, mut count) = (String::new(), 0, 0);
    for input in inputs {
        bytes += input.len();
        if bytes > CORPUS_BYTES_MAX {
            break;
        }
        let digits = input.iter().map(|byte| format!("{byte:02x}"));
        lines.push_str(&digits.collect::<String>());
        lines.push('\n');
        count += 1;
    }
    fs::create_dir_all(folder())?;
    fs::write(file(target.name), lines)?;
    Ok(count)
}
