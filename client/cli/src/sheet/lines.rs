//! The lines of a file as they stand: numbered, with the place of their bytes, ended by LF, CR LF or CR.

use std::collections::VecDeque;
use std::io::BufRead;
use std::ops::Range;

use carnet_domain::bytes::digest::{Digest, sha256};

use super::Unreadable;
use super::encoding::Encoding;

/// The longest line that is read; a longer one is no row of any table.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// 1-based.
    pub(super) number: u64,
    /// Where it stands in the file, its end included.
    pub(super) bytes: Range<u64>,
    /// Its text without its end, or why it has none.
    pub(super) text: Result<String, String>,
}

/// The lines of a file, in order.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    encoding: Encoding,
    cut: VecDeque<Vec<u8>>,
    next: u64,
    at: u64,
    digest: Digest,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead>, encoding: Encoding, mark: Vec<u8>) -> Self {
        Self {
            reader,
            encoding,
            cut: VecDeque::new(),
            next: 1,
            at: mark.len() as u64,
            digest: sha256(&[&mark]),
        }
    }

    /// A digest of all lines given so far.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Where the next line begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next line; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read on, or a line has no end in sight.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Unreadable> {
        if self.cut.is_empty() {
            let read = self.read()?;
            cut(self.encoding, read, &mut self.cut);
        }
        let Some(bytes) = self.cut.pop_front() else {
            return Ok(None);
        };
        self.digest = sha256(&[&self.digest.0, &bytes]);
        let from = self.at;
        let number = self.next;
        self.at += bytes.len() as u64;
        self.next += 1;
        let text = self.encoding.decode(self.without_end(&bytes));
        Ok(Some(Line {
            number,
            bytes: from..self.at,
            text,
        }))
    }

    /// Bytes up to a line feed or the end of the file.
    fn read(&mut self) -> Result<Vec<u8>, Unreadable> {
        let unit = self.encoding.unit();
        let mut line = Vec::new();
        loop {
            let before = line.len();
            let read = match unit {
                1 => take_until(&mut self.reader, b'\n', &mut line),
                _ => take_unit(&mut self.reader, &mut line),
            };
            read.map_err(|error| Unreadable::at(self.next, format!("cannot be read: {error}")))?;
            let last = line.len().saturating_sub(unit);
            let ended = self
                .encoding
                .is(line.get(last..).unwrap_or_default(), b'\n');
            if ended || line.len() == before {
                return Ok(line);
            }
            if line.len() > LINE_BYTES_MAX {
                let fault = format!("longer than {LINE_BYTES_MAX} bytes: no row of a table");
                return Err(Unreadable::at(self.next, fault));
            }
        }
    }

    fn without_end<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let unit = self.encoding.unit();
        let mut text = bytes;
        for end in [b'\n', b'\r'] {
            let last = text.len().saturating_sub(unit);
            let (rest, unit) = text.split_at(last);
            if self.encoding.is(unit, end) {
                text = rest;
            }
        }
        text
    }
}

/// At most a buffer at a time, so that a line without an end is not read whole before it is refused.
fn take_until(reader: &mut dyn BufRead, end: u8, line: &mut Vec<u8>) -> std::io::Result<()> {
    let buffer = reader.fill_buf()?;
    let taken = match buffer.iter().position(|byte| *byte == end) {
        Some(at) => at + 1,
        None => buffer.len(),
    };
    line.extend_from_slice(buffer.get(..taken).unwrap_or_default());
    reader.consume(taken);
    Ok(())
}

/// Two bytes, or the last one.
fn take_unit(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> std::io::Result<()> {
    for _ in 0..2 {
        let Some(byte) = reader.fill_buf()?.first().copied() else {
            return Ok(());
        };
        line.push(byte);
        reader.consume(1);
    }
    Ok(())
}

/// Cuts at each carriage return that no line feed follows.
fn cut(encoding: Encoding, read: Vec<u8>, out: &mut VecDeque<Vec<u8>>) {
    let unit = encoding.unit();
    let mut line = Vec::new();
    let mut units = read.chunks(unit).peekable();
    while let Some(one) = units.next() {
        line.extend_from_slice(one);
        let ends =
            encoding.is(one, b'\r') && units.peek().is_none_or(|next| !encoding.is(next, b'\n'));
        if ends {
            out.push_back(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        out.push_back(line);
    }
}
