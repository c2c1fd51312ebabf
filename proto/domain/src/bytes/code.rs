//! The 29-character code of a robot and the names it is made of.
//!
//! Country 2 · enterprise 4 · model 6 · serial 17, canonical form `0-9A-Z` without separators. This room knows syntax
//! only: whether a prefix has an owner, an enterprise is accredited or a model approved is policy.

use std::fmt;
use std::str::FromStr;

use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder};

/// Characters of a canonical code.
pub const CODE_LEN: usize = 29;
/// Bytes of a code as a key in storage.
pub const CODE_KEY_LEN: usize = 19;
/// The lengths of the four segments, in order.
pub const SEGMENT_LENS: [usize; 4] = [2, 4, 6, 17];

/// The alphabet of a code, decided by its first two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `digits/1`: all 29 characters are digits.
    Digits1,
    /// `alnum/1`: two letters, then digits and letters.
    Alnum1,
}

impl Scheme {
    /// The published name with its version.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digits1 => "digits/1",
            Self::Alnum1 => "alnum/1",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A segment of a code, or what may follow it on a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// The first two characters.
    Country,
    /// The four characters of the manufacturer.
    Enterprise,
    /// The six characters of the product model.
    Model,
    /// The seventeen characters of the unit.
    Serial,
    /// The two check digits of labels and QR text.
    Suffix,
}

impl Segment {
    const CODE: [Self; 4] = [Self::Country, Self::Enterprise, Self::Model, Self::Serial];

    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Enterprise => "enterprise",
            Self::Model => "model",
            Self::Serial => "serial",
            Self::Suffix => "suffix",
        }
    }

    /// How many characters the segment has.
    pub const fn len(self) -> usize {
        match self {
            Self::Country | Self::Suffix => 2,
            Self::Enterprise => 4,
            Self::Model => 6,
            Self::Serial => 17,
        }
    }

    /// Never: every segment has characters.
    pub const fn is_empty(self) -> bool {
        false
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which characters may stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Allowed {
    /// `0-9`.
    Digit,
    /// `A-Z`.
    Letter,
    /// `0-9` or `A-Z`.
    Alnum,
    /// The separator of the display form.
    Hyphen,
    /// Nothing: the text should have ended.
    End,
}

impl Allowed {
    const fn admits(self, byte: u8) -> bool {
        match self {
            Self::Digit => byte.is_ascii_digit(),
            Self::Letter => byte.is_ascii_uppercase(),
            Self::Alnum => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            Self::Hyphen => byte == b'-',
            Self::End => false,
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digit => "a digit 0-9",
            Self::Letter => "a letter A-Z",
            Self::Alnum => "a digit or letter 0-9A-Z",
            Self::Hyphen => "a hyphen",
            Self::End => "the end",
        })
    }
}

/// Why a text is not a code, or not a segment of one, and exactly where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// A character that may not stand there.
    #[error("{segment} segment, position {position}: found {found:?}, allowed is {allowed}")]
    Character {
        /// The segment the position belongs to.
        segment: Segment,
        /// 0-based position in the text given.
        position: usize,
        /// The character found.
        found: char,
        /// What may stand there.
        allowed: Allowed,
    },
    /// The text ends too early.
    #[error("{segment} segment, position {position}: the text ends, allowed is {allowed}")]
    Ended {
        /// The segment that is not complete.
        segment: Segment,
        /// 0-based position where a character is missing: the length of the text.
        position: usize,
        /// What may stand there.
        allowed: Allowed,
    },
    /// The check digits of a label do not belong to the code.
    #[error("suffix segment, position {position}: found {found:02}, the code needs {needed:02}")]
    Suffix {
        /// 0-based position of the first check digit.
        position: usize,
        /// The check digits found.
        found: u8,
        /// The check digits of the code.
        needed: u8,
    },
}

/// Reads characters of a text one by one and remembers where it is.
struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl Cursor<'_> {
    const fn peek(&self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        if self.position < bytes.len() {
            Some(bytes[self.position])
        } else {
            None
        }
    }

    /// The next character in upper case, if it is allowed.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a position lies below the length of the text"
    )]
    const fn next(&mut self, segment: Segment, allowed: Allowed) -> Result<u8, CodeError> {
        let position = self.position;
        let Some(byte) = self.peek() else {
            return Err(CodeError::Ended {
                segment,
                position,
                allowed,
            });
        };
        let upper = byte.to_ascii_uppercase();
        if !allowed.admits(upper) {
            let found = char_at(self.text, position);
            return Err(CodeError::Character {
                segment,
                position,
                found,
                allowed,
            });
        }
        self.position += 1;
        Ok(upper)
    }

    const fn end(&self, segment: Segment) -> Result<(), CodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(CodeError::Character {
                segment,
                position: self.position,
                found: char_at(self.text, self.position),
                allowed: Allowed::End,
            }),
        }
    }
}

/// The character that begins at byte `at`; everything before it is ASCII, so `at` is a border.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a position lies below the length of the text"
)]
const fn char_at(text: &str, at: usize) -> char {
    let bytes = text.as_bytes();
    let first = bytes[at];
    let (count, mut value) = match first {
        0..=0x7f => return first as char,
        0x80..=0xdf => (1, (first & 0x1f) as u32),
        0xe0..=0xef => (2, (first & 0x0f) as u32),
        _ => (3, (first & 0x07) as u32),
    };
    let mut i = 1;
    while i <= count && at + i < bytes.len() {
        value = value << 6 | (bytes[at + i] & 0x3f) as u32;
        i += 1;
    }
    match char::from_u32(value) {
        Some(found) => found,
        None => char::REPLACEMENT_CHARACTER,
    }
}

/// Reads one segment that stands alone.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "an index of a segment, which has at most 17 characters"
)]
const fn alone<const N: usize>(
    text: &str,
    segment: Segment,
    allowed: Allowed,
) -> Result<[u8; N], CodeError> {
    let mut cursor = Cursor { text, position: 0 };
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = match cursor.next(segment, allowed) {
            Ok(byte) => byte,
            Err(error) => return Err(error),
        };
        i += 1;
    }
    match cursor.end(segment) {
        Ok(()) => Ok(out),
        Err(error) => Err(error),
    }
}

/// Reads the country segment: its first character decides what the second may be.
const fn country(cursor: &mut Cursor<'_>) -> Result<[u8; 2], CodeError> {
    let first = match cursor.next(Segment::Country, Allowed::Alnum) {
        Ok(byte) => byte,
        Err(error) => return Err(error),
    };
    let allowed = if first.is_ascii_digit() {
        Allowed::Digit
    } else {
        Allowed::Letter
    };
    match cursor.next(Segment::Country, allowed) {
        Ok(second) => Ok([first, second]),
        Err(error) => Err(error),
    }
}

/// What may stand in the segments after this prefix.
const fn rest_of(first: u8) -> Allowed {
    if first.is_ascii_digit() {
        Allowed::Digit
    } else {
        Allowed::Alnum
    }
}

/// Reads `segments` segments, hyphenated or not; `out` has as many characters.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a position of a code, which has 29 characters"
)]
fn segments(cursor: &mut Cursor<'_>, count: usize, out: &mut [u8]) -> Result<(), CodeError> {
    out[..2].copy_from_slice(&country(cursor)?);
    let allowed = rest_of(out[0]);
    let hyphens = cursor.peek() == Some(b'-');
    let mut at = 2;
    for segment in &Segment::CODE[1..count] {
        if hyphens {
            cursor.next(*segment, Allowed::Hyphen)?;
        }
        for _ in 0..segment.len() {
            out[at] = cursor.next(*segment, allowed)?;
            at += 1;
        }
    }
    Ok(())
}

/// The text of bytes that are ASCII by invariant.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("invariant: a code is ASCII")
}

macro_rules! segment_type {
    ($(#[$doc:meta])* $name:ident, $len:literal, $segment:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Reads the segment alone; lower case is taken.
            ///
            /// # Errors
            /// The first position that is wrong.
            pub const fn new(text: &str) -> Result<Self, CodeError> {
                match alone(text, Segment::$segment, Allowed::Alnum) {
                    Ok(bytes) => Ok(Self(bytes)),
                    Err(error) => Err(error),
                }
            }

            /// As [`Self::new`].
            ///
            /// # Errors
            /// The first position that is wrong.
            pub const fn parse(text: &str) -> Result<Self, CodeError> {
                Self::new(text)
            }

            /// The decimal number, padded with zeros; `None` if it has too many digits.
            pub fn of_number(number: u64) -> Option<Self> {
                let text = format!("{number:0width$}", width = $len);
                <[u8; $len]>::try_from(text.as_bytes()).ok().map(Self)
            }

            /// Whether all characters are digits.
            pub fn is_digits(&self) -> bool {
                self.0.iter().all(u8::is_ascii_digit)
            }
        }
        text_type!($name);
    };
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The canonical text.
            pub fn as_str(&self) -> &str {
                ascii(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = CodeError;
            fn from_str(text: &str) -> Result<Self, CodeError> {
                Self::parse(text)
            }
        }

        /// Canonical bytes: the canonical text, nothing else.
        impl Canonical for $name {
            fn encode(&self, e: &mut Encoder) {
                e.text(self.as_str());
            }
            fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let at = d.clone();
                let text = d.text()?;
                match Self::parse(text) {
                    Ok(value) if value.as_str() == text => Ok(value),
                    Ok(_) => Err(at.invalid("the text is not in canonical form")),
                    Err(error) => Err(at.invalid(error)),
                }
            }
        }
    };
}

/// The two characters of a jurisdiction: two digits or two letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix([u8; 2]);
text_type!(Prefix);

impl Prefix {
    /// Reads the segment alone; lower case is taken.
    ///
    /// # Errors
    /// The first position that is wrong.
    pub const fn new(text: &str) -> Result<Self, CodeError> {
        let mut cursor = Cursor { text, position: 0 };
        let bytes = match country(&mut cursor) {
            Ok(bytes) => bytes,
            Err(error) => return Err(error),
        };
        match cursor.end(Segment::Country) {
            Ok(()) => Ok(Self(bytes)),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    /// The first position that is wrong.
    pub const fn parse(text: &str) -> Result<Self, CodeError> {
        Self::new(text)
    }

    /// The alphabet of every code under this prefix.
    pub const fn scheme(&self) -> Scheme {
        if self.0[0].is_ascii_digit() {
            Scheme::Digits1
        } else {
            Scheme::Alnum1
        }
    }

    /// Whether the prefix is set aside for tests and sandboxes: `XA`–`XZ`, `ZZ`, `90`–`99`.
    pub const fn is_sandbox(&self) -> bool {
        matches!(
            self.0,
            [b'X', b'A'..=b'Z'] | [b'Z', b'Z'] | [b'9', b'0'..=b'9']
        )
    }
}

segment_type!(
    /// The four characters that name a manufacturer inside one country.
    ///
    /// Invariant: four of `0-9A-Z`. Whether the enterprise is accredited is policy, not syntax.
    EnterpriseCode, 4, Enterprise
);
segment_type!(
    /// The six characters that name a product model of one manufacturer.
    ModelCode, 6, Model
);
segment_type!(
    /// The seventeen characters that name one unit of a model.
    Serial, 17, Serial
);

/// A manufacturer in the world: prefix and enterprise code, 6 characters of one scheme.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnterpriseId([u8; 6]);
text_type!(EnterpriseId);

impl EnterpriseId {
    /// Joins the two segments.
    ///
    /// # Errors
    /// The first character that the scheme of the prefix does not allow; positions count over the joined text.
    pub fn new(prefix: Prefix, enterprise: EnterpriseCode) -> Result<Self, CodeError> {
        Self::parse(&format!("{prefix}{enterprise}"))
    }

    /// Reads canonical or hyphenated text, in any case.
    ///
    /// # Errors
    /// The first position that is wrong.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut cursor = Cursor { text, position: 0 };
        let mut out = [0; 6];
        segments(&mut cursor, 2, &mut out)?;
        cursor.end(Segment::Enterprise)?;
        Ok(Self(out))
    }

    /// The jurisdiction.
    pub fn prefix(&self) -> Prefix {
        Prefix(part(&self.0, 0))
    }

    /// The code inside the jurisdiction.
    pub fn enterprise(&self) -> EnterpriseCode {
        EnterpriseCode(part(&self.0, 2))
    }
}

/// A product model in the world: prefix, enterprise and model code, 12 characters of one scheme.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId([u8; 12]);
text_type!(ModelId);

impl ModelId {
    /// Joins enterprise and model code.
    ///
    /// # Errors
    /// The first character that the scheme of the prefix does not allow; positions count over the joined text.
    pub fn new(enterprise: EnterpriseId, model: ModelCode) -> Result<Self, CodeError> {
        Self::parse(&format!("{enterprise}{model}"))
    }

    /// Reads canonical or hyphenated text, in any case.
    ///
    /// # Errors
    /// The first position that is wrong.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut cursor = Cursor { text, position: 0 };
        let mut out = [0; 12];
        segments(&mut cursor, 3, &mut out)?;
        cursor.end(Segment::Model)?;
        Ok(Self(out))
    }

    /// The jurisdiction.
    pub fn prefix(&self) -> Prefix {
        Prefix(part(&self.0, 0))
    }

    /// The manufacturer.
    pub fn enterprise_id(&self) -> EnterpriseId {
        EnterpriseId(part(&self.0, 0))
    }

    /// The code of the model inside the enterprise.
    pub fn model(&self) -> ModelCode {
        ModelCode(part(&self.0, 6))
    }
}

/// The 29-character code of a robot.
///
/// Invariant: one scheme throughout, upper case, no separators. Once registered it never changes and is never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code([u8; CODE_LEN]);
text_type!(Code);

/// Why 19 bytes are not the key of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeKeyError {
    /// The number has more than 29 base-36 digits.
    #[error("the key is larger than any code")]
    TooLarge,
    /// The 29 characters are no code.
    #[error("the key is not a robot's code: {0}")]
    Code(#[from] CodeError),
}

impl Code {
    /// Joins model and serial.
    ///
    /// # Errors
    /// The first character that the scheme of the prefix does not allow; positions count over the joined text.
    pub fn new(model: ModelId, serial: Serial) -> Result<Self, CodeError> {
        Self::parse(&format!("{model}{serial}"))
    }

    /// Reads canonical text or display form, in any case, ASCII only.
    ///
    /// # Errors
    /// The first position that is wrong, with its segment, what was found and what is allowed.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut cursor = Cursor { text, position: 0 };
        let code = Self::read(&mut cursor)?;
        cursor.end(Segment::Serial)?;
        Ok(code)
    }

    /// Reads the text of a label: a code in either form, then its two check digits, after a hyphen or not.
    ///
    /// # Errors
    /// As [`Code::parse`], and when the check digits are not those of the code.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a position of a text that was read so far, and two decimal digits"
    )]
    pub fn parse_with_suffix(text: &str) -> Result<Self, CodeError> {
        let mut cursor = Cursor { text, position: 0 };
        let code = Self::read(&mut cursor)?;
        if cursor.peek() == Some(b'-') {
            cursor.position += 1;
        }
        let position = cursor.position;
        let digits = [
            cursor.next(Segment::Suffix, Allowed::Digit)?,
            cursor.next(Segment::Suffix, Allowed::Digit)?,
        ];
        cursor.end(Segment::Suffix)?;
        let number = |[tens, units]: [u8; 2]| (tens - b'0') * 10 + units - b'0';
        let needed = code.check_suffix();
        if digits != needed {
            let (found, needed) = (number(digits), number(needed));
            return Err(CodeError::Suffix {
                position,
                found,
                needed,
            });
        }
        Ok(code)
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, CodeError> {
        let mut out = [0; CODE_LEN];
        segments(cursor, 4, &mut out)?;
        Ok(Self(out))
    }

    /// The jurisdiction that issued the code.
    pub fn prefix(&self) -> Prefix {
        Prefix(part(&self.0, 0))
    }

    /// The manufacturer (or the importer who filed it).
    pub fn enterprise_id(&self) -> EnterpriseId {
        EnterpriseId(part(&self.0, 0))
    }

    /// The product model.
    pub fn model_id(&self) -> ModelId {
        ModelId(part(&self.0, 0))
    }

    /// The unit.
    pub fn serial(&self) -> Serial {
        Serial(part(&self.0, 12))
    }

    /// The segments joined by hyphens, as people read it.
    pub fn display_form(&self) -> String {
        let text = self.as_str();
        format!(
            "{}-{}-{}-{}",
            &text[..2],
            &text[2..6],
            &text[6..12],
            &text[12..]
        )
    }

    /// The key in storage: the characters as one base-36 number, big-endian, so the order of codes is kept.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a product of 64 and 6 bits fits into 128"
    )]
    pub fn to_key(&self) -> [u8; CODE_KEY_LEN] {
        let mut limbs = [0u64; 3];
        for byte in self.0 {
            let mut carry = u64::from(value_of(byte));
            for limb in &mut limbs {
                let wide = u128::from(*limb) * 36 + u128::from(carry);
                *limb = wide as u64;
                carry = (wide >> 64) as u64;
            }
        }
        let mut wide = [0; 24];
        for (chunk, limb) in wide.chunks_exact_mut(8).zip(limbs.iter().rev()) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        part(&wide, 24 - CODE_KEY_LEN)
    }

    /// The code of a key in storage.
    ///
    /// # Errors
    /// When the bytes are the key of no code.
    pub fn from_key(key: &[u8; CODE_KEY_LEN]) -> Result<Self, CodeKeyError> {
        let mut number = *key;
        let mut out = [0; CODE_LEN];
        for place in out.iter_mut().rev() {
            let mut rest = 0u32;
            for byte in &mut number {
                let value = rest << 8 | u32::from(*byte);
                *byte = (value / 36) as u8;
                rest = value % 36;
            }
            *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest as usize];
        }
        if number != [0; CODE_KEY_LEN] {
            return Err(CodeKeyError::TooLarge);
        }
        Ok(Self::parse(ascii(&out))?)
    }

    /// The two check digits of labels and QR text: ISO/IEC 7064 MOD 97-10 over the code with letters as 10–35.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a rest below 97, its hundredfold, and a number of two digits"
    )]
    pub fn check_suffix(&self) -> [u8; 2] {
        let mut rest = 0u32;
        for byte in self.0 {
            let value = u32::from(value_of(byte));
            rest = (rest * if value < 10 { 10 } else { 100 } + value) % 97;
        }
        let check = (98 - rest * 100 % 97) as u8;
        [b'0' + check / 10, b'0' + check % 10]
    }

    /// The canonical text followed by its check digits, as a label carries it.
    pub fn with_suffix(&self) -> String {
        let [tens, units] = self.check_suffix();
        format!("{self}{}{}", char::from(tens), char::from(units))
    }
}

/// The base-36 value of a character.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the characters of a code are digits and capital letters"
)]
fn value_of(byte: u8) -> u8 {
    if byte.is_ascii_digit() {
        byte - b'0'
    } else {
        byte - b'A' + 10
    }
}

/// `N` bytes from `start`.
fn part<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[start..][..N]);
    out
}
