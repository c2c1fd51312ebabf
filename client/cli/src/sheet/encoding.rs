//! In which encoding a file is: by its mark, or by what the person says. Nothing is guessed from the letters.

use std::io::BufRead;

use encoding_rs::Encoding as Standard;

use super::Unreadable;

/// How bytes become text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Utf8,
    Utf16 {
        little: bool,
    },
    /// One in which the ends of lines are the bytes of ASCII.
    Other(&'static Standard),
}

/// What to say where bytes are not UTF-8.
const NOT_UTF8: &str = "not UTF-8; say how the file was saved, as with --encoding gb18030, big5, shift_jis, euc-kr or \
                        windows-1252";

/// Beginnings of files that hold no text at all.
const OTHER_KINDS: &[(&[u8], &str)] = &[
    (
        b"PK\x03\x04",
        "a ZIP archive; of a spreadsheet, save the sheet as CSV",
    ),
    (
        b"\xd0\xcf\x11\xe0",
        "an old spreadsheet file; save the sheet as CSV",
    ),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"(\xb5/\xfd", "compressed with zstd; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"%PDF", "a PDF document"),
    (b"\xff\xfe\0\0", "in UTF-32; save it as UTF-8"),
    (b"\0\0\xfe\xff", "in UTF-32; save it as UTF-8"),
];

/// The encoding of a file, the bytes of its mark, and what stands behind the mark.
pub(super) type Begun = (Encoding, Vec<u8>, Box<dyn BufRead>);

/// What a file is by its ending, where that says that it has to be unpacked.
pub(super) fn packed(ending: &str) -> Option<&'static str> {
    let magic: &[u8] = match ending {
        "gz" => b"\x1f\x8b",
        "zst" => b"(\xb5/\xfd",
        "bz2" => b"BZh",
        "xz" => b"\xfd7zXZ",
        "zip" => b"PK\x03\x04",
        _ => return None,
    };
    let found = OTHER_KINDS.iter().find(|(begins, _)| *begins == magic);
    found.map(|(_, kind)| *kind)
}

/// What is said of a file without a byte.
const EMPTY: &str = "the file is empty";

/// Whether a fault is that the file holds no text at all: nothing that is said beside it would help.
pub(crate) fn holds_no_text(fault: &str) -> bool {
    let of_kind = |(_, kind): &(&[u8], &str)| fault.ends_with(&format!("the file is {kind}"));
    fault.ends_with(EMPTY) || OTHER_KINDS.iter().any(of_kind)
}

impl Encoding {
    /// The encoding of a file, the bytes of its mark, and the reader behind the mark.
    ///
    /// # Errors
    /// When it is no text, or the encoding said is not one that can be read.
    pub(super) fn of<R: BufRead + 'static>(
        mut reader: R,
        said: Option<&str>,
    ) -> Result<Begun, Unreadable> {
        let begins = reader
            .fill_buf()
            .map_err(|error| Unreadable(error.to_string()))?;
        if begins.is_empty() {
            return Err(Unreadable(EMPTY.into()));
        }
        let kind = OTHER_KINDS
            .iter()
            .find(|(magic, _)| begins.starts_with(magic));
        if let Some((_, kind)) = kind {
            return Err(Unreadable(format!("the file is {kind}")));
        }
        let (marked, mark) = match begins {
            [0xef, 0xbb, 0xbf, ..] => (Some(Self::Utf8), 3),
            [0xff, 0xfe, ..] => (Some(Self::Utf16 { little: true }), 2),
            [0xfe, 0xff, ..] => (Some(Self::Utf16 { little: false }), 2),
            _ => (None, 0),
        };
        let mark = begins.get(..mark).unwrap_or_default().to_vec();
        let unmarked = said.is_none() && marked.is_none();
        if unmarked && begins.iter().take(64).any(|byte| *byte == 0) {
            let text = "the file holds zero bytes: is it UTF-16 without its mark? Say --encoding utf-16le or utf-16be";
            return Err(Unreadable(text.into()));
        }
        let encoding = match (marked, said.map(Self::named).transpose()?) {
            (Some(marked), Some(said)) if marked.name() != said.name() => {
                return Err(Unreadable(format!(
                    "the file begins with the mark of {}, and --encoding says {}",
                    marked.name(),
                    said.name()
                )));
            }
            (Some(encoding), _) | (None, Some(encoding)) => encoding,
            (None, None) => Self::Utf8,
        };
        reader.consume(mark.len());
        Ok((encoding, mark, Box::new(reader)))
    }

    fn named(name: &str) -> Result<Self, Unreadable> {
        let unknown = || {
            Unreadable(format!(
                "--encoding {name}: not one that is read here; names are those of the web: utf-8, utf-16le, utf-16be, \
                 gb18030, big5, shift_jis, euc-jp, euc-kr, windows-1252, iso-8859-2, …"
            ))
        };
        let standard = Standard::for_label(name.as_bytes()).ok_or_else(unknown)?;
        match standard.name() {
            "UTF-8" => Ok(Self::Utf8),
            "UTF-16LE" => Ok(Self::Utf16 { little: true }),
            "UTF-16BE" => Ok(Self::Utf16 { little: false }),
            // Escapes would reach over the ends of lines.
            _ if !standard.is_ascii_compatible() => Err(unknown()),
            _ => Ok(Self::Other(standard)),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 { little: true } => "UTF-16LE",
            Self::Utf16 { little: false } => "UTF-16BE",
            Self::Other(standard) => standard.name(),
        }
    }

    /// The text of one line.
    ///
    /// # Errors
    /// When a byte of it belongs to no letter: nothing is replaced.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<String, String> {
        let other = || format!("not {}", self.name());
        match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => Err(NOT_UTF8.to_owned()),
            },
            Self::Utf16 { little } => {
                let (pairs, rest) = bytes.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(other());
                }
                let units = pairs.iter().map(|pair| match little {
                    true => u16::from_le_bytes(*pair),
                    false => u16::from_be_bytes(*pair),
                });
                let text: Result<String, _> = char::decode_utf16(units).collect();
                text.map_err(|_| other())
            }
            Self::Other(standard) => standard
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(String::from)
                .ok_or_else(other),
        }
    }

    /// How many bytes the end of a line has at least.
    pub(super) fn unit(self) -> usize {
        match self {
            Self::Utf16 { .. } => 2,
            Self::Utf8 | Self::Other(_) => 1,
        }
    }

    /// Whether one unit is this letter of ASCII.
    pub(super) fn is(self, unit: &[u8], letter: u8) -> bool {
        match (self, unit) {
            (Self::Utf16 { little: true }, [low, high]) => *high == 0 && *low == letter,
            (Self::Utf16 { little: false }, [high, low]) => *high == 0 && *low == letter,
            (Self::Utf8 | Self::Other(_), [byte]) => *byte == letter,
            _ => false,
        }
    }
}
