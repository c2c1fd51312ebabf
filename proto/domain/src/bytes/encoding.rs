//! Turns values into the bytes that are hashed, signed and stored, and back.
//!
//! The form is deterministic CBOR (RFC 8949 §4.2.1), cut down to what records need: unsigned integers, byte strings,
//! texts, arrays, booleans and null. One value has one byte string and one byte string has one value: the decoder
//! refuses non-shortest integers, maps, floats, tags, negative integers, indefinite lengths, trailing bytes and
//! anything longer than its limits. There is no way to decode and re-encode into something else.
//!
//! It deliberately knows nothing of protobuf, of storage keys or of what a value means.

use std::fmt;

use crate::bytes::level::Level;

/// The most elements an array may have (a bulk request has at most 10,000 items).
pub const ARRAY_COUNT_MAX: u64 = 65_536;

/// How deep arrays may nest before the decoder refuses.
pub const DEPTH_MAX: u32 = 24;

/// Every prefix byte and domain string that separates one hash or signature from another.
///
/// One table, so that two uses never collide; a test checks that all are distinct.
pub mod tag {
    /// RFC 6962 leaf: `SHA-256(0x00 ‖ bytes)`.
    pub const TREE_LEAF: u8 = 0x00;
    /// RFC 6962 inner node: `SHA-256(0x01 ‖ left ‖ right)`.
    pub const TREE_NODE: u8 = 0x01;
    /// Map leaf: `SHA-256(0x02 ‖ key ‖ value)`.
    pub const MAP_LEAF: u8 = 0x02;
    /// Map inner node: `SHA-256(0x03 ‖ left ‖ right)`.
    pub const MAP_NODE: u8 = 0x03;
    /// Slot of a leaf: `SHA-256(0x04 ‖ slot ‖ salt16 ‖ CBOR(value or null))`.
    pub const SLOT: u8 = 0x04;
    /// Inner node of the slot tree: `SHA-256(0x05 ‖ four hashes)`.
    pub const SLOT_NODE: u8 = 0x05;
    /// Commitment to a personal value: `SHA-256(0x06 ‖ salt16 ‖ CBOR(value))`.
    pub const PERSONAL: u8 = 0x06;
    /// Authorisation: `SHA-256(0x07 ‖ class ‖ D ‖ salt16)`.
    pub const AUTH: u8 = 0x07;

    /// Subject key of the tree and the map.
    pub const KEY: &str = "carnet-key/1";
    /// Value of the state map.
    pub const MAP_VALUE: &str = "carnet-map/1";
    /// Identity of a body or part.
    pub const PART: &str = "carnet-part/1";
    /// Signed command header.
    pub const COMMAND: &str = "carnet-command/1";
    /// Signed opening of a session.
    pub const SESSION: &str = "carnet-session/1";
    /// Signed question for what the rules would answer.
    pub const FORESEE: &str = "carnet-foresee/1";
    /// Custody tag sent to all peers.
    pub const CUSTODY_TAG: &str = "carnet-custody-tag/1";
    /// Root-signed statement of a jurisdiction (bundle, agreement, genesis, key event).
    pub const ROOT_STATEMENT: &str = "carnet-root/1";
    /// Order of a jurisdiction's roots to skip one log entry. Not a statement: it never stands in the log.
    pub const SKIP: &str = "carnet-skip/1";
    /// Identifier of a signing key.
    pub const KEY_ID: &str = "carnet-key-id/1";
    /// Signed identity record (COSE external data).
    pub const RECORD: &str = "carnet-record/1";
    /// Identity of a robot's own key.
    pub const ROBOT_KEY: &str = "carnet-robot-key/1";
    /// What a robot's own key signs to be registered as its.
    pub const POSSESSION: &str = "carnet-possession/1";
    /// Commitment to the secret of a release of ownership.
    pub const RELEASE: &str = "carnet-release/1";
    /// What a key signs to be enrolled, and what a key of the same enterprise signs for it.
    pub const ENROLMENT: &str = "carnet-enrolment/1";
    /// Multiples of signatures that are checked together. Never signed or stored.
    pub const TOGETHER: &str = "carnet-together/1";
    /// What a registry knows, signed with its log key for its own verifiers.
    pub const PACK: &str = "carnet-pack/1";
    /// Place of a key in the set that a pack holds.
    pub const SIEVE: &str = "carnet-sieve/1";
    /// That a registry took in a head of another's log, signed with its log key.
    pub const TAKEN: &str = "carnet-taken/1";
    /// What a key of a jurisdiction signs to be added to its history.
    pub const NEW_KEY: &str = "carnet-new-key/1";

    /// All prefix bytes, in order.
    pub const BYTES: [u8; 8] = [
        TREE_LEAF, TREE_NODE, MAP_LEAF, MAP_NODE, SLOT, SLOT_NODE, PERSONAL, AUTH,
    ];
    /// All domain strings.
    pub const STRINGS: [&str; 20] = [
        KEY,
        MAP_VALUE,
        PART,
        COMMAND,
        SESSION,
        FORESEE,
        CUSTODY_TAG,
        ROOT_STATEMENT,
        SKIP,
        KEY_ID,
        RECORD,
        ROBOT_KEY,
        POSSESSION,
        RELEASE,
        ENROLMENT,
        TOGETHER,
        PACK,
        SIEVE,
        TAKEN,
        NEW_KEY,
    ];
}

/// Why bytes are not the canonical form of a value, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {fault}")]
pub struct DecodeError {
    /// 0-based position in the bytes given.
    pub offset: usize,
    /// What is wrong there.
    pub fault: DecodeFault,
}

/// What is wrong with bytes that are not canonical.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value")]
    Truncated,
    /// An integer or length is not in its shortest form.
    #[error("an integer or length is not in its shortest form")]
    NotShortest,
    /// The type is not one of the allowed ones (map, float, tag, negative, indefinite length).
    #[error("initial byte {0:#04x} is not allowed in canonical form")]
    Forbidden(u8),
    /// Another type was expected.
    #[error("expected {expected}, found initial byte {found:#04x}")]
    Unexpected {
        /// What the schema says.
        expected: &'static str,
        /// The initial byte found.
        found: u8,
    },
    /// A length or number is outside what the field allows.
    #[error("expected {expected}, found {found}")]
    Length {
        /// What the schema says.
        expected: u64,
        /// What the bytes say.
        found: u64,
    },
    /// A number, the bytes of a text or the elements of a list are above the field's bound.
    #[error("at most {max} is allowed here, found {found}")]
    Above {
        /// The bound.
        max: u64,
        /// What the bytes say.
        found: u64,
    },
    /// A text contains a code point that no text may contain.
    #[error("the code point U+{:04X} is not allowed in a text", *.0 as u32)]
    Letter(char),
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// Bytes follow the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// Arrays nest too deep.
    #[error("arrays nest deeper than {DEPTH_MAX}")]
    TooDeep,
    /// The value is well formed but not one of the type.
    #[error("{0}")]
    Invalid(String),
}

/// Writes canonical bytes.
#[derive(Default, Clone)]
pub struct Encoder {
    buf: Vec<u8>,
}

impl Encoder {
    /// An empty encoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty encoder with room for so many bytes.
    pub fn with_capacity(size: usize) -> Self {
        Self {
            buf: Vec::with_capacity(size),
        }
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        match value {
            0..=23 => self.buf.push(major | value as u8),
            24..=0xff => self.buf.extend([major | 24, value as u8]),
            0x100..=0xffff => {
                self.buf.push(major | 25);
                self.buf.extend((value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.buf.push(major | 26);
                self.buf.extend((value as u32).to_be_bytes());
            }
            _ => {
                self.buf.push(major | 27);
                self.buf.extend(value.to_be_bytes());
            }
        }
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) {
        self.head(0, value);
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.head(2, value.len() as u64);
        self.buf.extend_from_slice(value);
    }

    /// A UTF-8 text.
    pub fn text(&mut self, value: &str) {
        self.head(3, value.len() as u64);
        self.buf.extend_from_slice(value.as_bytes());
    }

    /// The head of an array of `count` elements; the elements follow.
    pub fn array(&mut self, count: usize) {
        self.head(4, count as u64);
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.buf.push(if value { 0xf5 } else { 0xf4 });
    }

    /// Writes `null`, one byte: a value that is not there.
    pub fn null(&mut self) {
        self.buf.push(0xf6);
    }

    /// Bytes that are canonical already, for example an item that was signed.
    pub fn raw(&mut self, canonical: &[u8]) {
        self.buf.extend_from_slice(canonical);
    }

    /// How many bytes a value has. What was written before is forgotten, the room that it took is used again.
    pub fn size_of(&mut self, value: &impl Canonical) -> usize {
        self.buf.clear();
        value.encode(self);
        self.buf.len()
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.buf
    }
}

/// Reads canonical bytes and refuses anything else.
#[derive(Clone)]
pub struct Decoder<'a> {
    all: &'a [u8],
    at: usize,
    depth: u32,
    level: Level,
}

impl<'a> Decoder<'a> {
    /// Reads from the first byte everything that this binary knows: at the edges, and what this registry wrote itself.
    pub fn new(all: &'a [u8]) -> Self {
        Self::at(all, Level::KNOWN)
    }

    /// Reads from the first byte what a registry at a feature level knows: whatever comes in through its log.
    pub fn at(all: &'a [u8], level: Level) -> Self {
        Self {
            all,
            at: 0,
            depth: 0,
            level,
        }
    }

    /// Whether a variant or version that exists since a level is known here.
    pub fn knows(&self, since: Level) -> bool {
        since <= self.level
    }

    /// The position of the next byte.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// An error at the current position.
    pub fn fault(&self, fault: DecodeFault) -> DecodeError {
        DecodeError {
            offset: self.at,
            fault,
        }
    }

    /// An error at the current position: well formed, but not a value of the type.
    pub fn invalid(&self, what: impl fmt::Display) -> DecodeError {
        self.fault(DecodeFault::Invalid(what.to_string()))
    }

    /// What was not read yet.
    fn rest(&self) -> &'a [u8] {
        self.all.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Result<u8, DecodeError> {
        self.all
            .get(self.at)
            .copied()
            .ok_or_else(|| self.fault(DecodeFault::Truncated))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(count);
        let slice = end.and_then(|end| Some((end, self.all.get(self.at..end)?)));
        let (end, slice) = slice.ok_or_else(|| self.fault(DecodeFault::Truncated))?;
        self.at = end;
        Ok(slice)
    }

    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, DecodeError> {
        let first = self.peek()?;
        if first >> 5 != major {
            let fault = match first {
                0xf4..=0xf6 => DecodeFault::Unexpected {
                    expected,
                    found: first,
                },
                _ if matches!(first >> 5, 1 | 5 | 6 | 7) || first & 0x1f > 27 => {
                    DecodeFault::Forbidden(first)
                }
                _ => DecodeFault::Unexpected {
                    expected,
                    found: first,
                },
            };
            return Err(self.fault(fault));
        }
        let start = self.at;
        self.take(1)?;
        let (value, least) = match first & 0x1f {
            short @ 0..=23 => (u64::from(short), 0),
            24 => (u64::from(u8::from_be_bytes(self.fixed()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.fixed()?)), 0x100),
            26 => (u64::from(u32::from_be_bytes(self.fixed()?)), 0x1_0000),
            27 => (u64::from_be_bytes(self.fixed()?), 0x1_0000_0000),
            _ => {
                self.at = start;
                return Err(self.fault(DecodeFault::Forbidden(first)));
            }
        };
        if value < least {
            self.at = start;
            return Err(self.fault(DecodeFault::NotShortest));
        }
        Ok(value)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let slice = self.take(N)?;
        let mut out = [0; N];
        out.copy_from_slice(slice);
        Ok(out)
    }

    /// An unsigned integer.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        self.head(0, "an unsigned integer")
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = self.head(2, "a byte string")?;
        let count = usize::try_from(count).map_err(|_| self.fault(DecodeFault::Truncated))?;
        self.take(count)
    }

    /// A byte string of exactly `N` bytes.
    pub fn bytes_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.at;
        let slice = self.bytes()?;
        <[u8; N]>::try_from(slice).map_err(|_| DecodeError {
            offset: start,
            fault: DecodeFault::Length {
                expected: N as u64,
                found: slice.len() as u64,
            },
        })
    }

    /// A UTF-8 text.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.at;
        let count = self.head(3, "a text")?;
        let count = usize::try_from(count).map_err(|_| self.fault(DecodeFault::Truncated))?;
        let slice = self.take(count)?;
        std::str::from_utf8(slice).map_err(|_| DecodeError {
            offset: start,
            fault: DecodeFault::NotUtf8,
        })
    }

    /// The head of an array; the caller reads that many elements and then calls [`Decoder::leave`].
    pub fn array(&mut self) -> Result<usize, DecodeError> {
        if self.depth >= DEPTH_MAX {
            return Err(self.fault(DecodeFault::TooDeep));
        }
        let start = self.at;
        let count = self.head(4, "an array")?;
        // An element takes at least one byte, so a count past the end cannot make the caller allocate.
        if count > ARRAY_COUNT_MAX || count > self.rest().len() as u64 {
            return Err(DecodeError {
                offset: start,
                fault: DecodeFault::Truncated,
            });
        }
        let deeper = self.depth.checked_add(1);
        self.depth = deeper.ok_or_else(|| self.fault(DecodeFault::TooDeep))?;
        Ok(count as usize)
    }

    /// The head of an array of exactly `expected` elements.
    pub fn array_of(&mut self, expected: usize) -> Result<(), DecodeError> {
        let start = self.at;
        let found = self.array()?;
        if found != expected {
            return Err(DecodeError {
                offset: start,
                fault: DecodeFault::Length {
                    expected: expected as u64,
                    found: found as u64,
                },
            });
        }
        Ok(())
    }

    /// Ends the array entered last.
    pub fn leave(&mut self) {
        if let Some(outer) = self.depth.checked_sub(1) {
            self.depth = outer;
        }
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let found = self.peek()?;
        let value = match found {
            0xf4 => false,
            0xf5 => true,
            _ => {
                return Err(self.fault(DecodeFault::Unexpected {
                    expected: "a boolean",
                    found,
                }));
            }
        };
        self.take(1)?;
        Ok(value)
    }

    /// Whether the next value is null; consumes it if so.
    pub fn take_null(&mut self) -> Result<bool, DecodeError> {
        let null = self.peek()? == 0xf6;
        if null {
            self.take(1)?;
        }
        Ok(null)
    }

    /// Passes over one value of any type and gives its bytes.
    ///
    /// # Errors
    /// The first byte that is not canonical.
    pub fn skip(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.at;
        match self.peek()? {
            0x00..=0x1f => drop(self.uint()?),
            0x40..=0x5f => drop(self.bytes()?),
            0x60..=0x7f => drop(self.text()?),
            0x80..=0x9f => {
                for _ in 0..self.array()? {
                    self.skip()?;
                }
                self.leave();
            }
            0xf4..=0xf6 => drop(self.take(1)?),
            other => return Err(self.fault(DecodeFault::Forbidden(other))),
        }
        let passed = self.all.get(start..self.at);
        passed.ok_or_else(|| self.fault(DecodeFault::Truncated))
    }

    /// Ends the reading: nothing may follow.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest().len() {
            0 => Ok(()),
            count => Err(self.fault(DecodeFault::Trailing(count))),
        }
    }
}

/// Checks that the bytes are exactly one canonical value, of whatever type.
///
/// # Errors
/// The first byte that is not canonical, or that follows the value.
pub fn well_formed(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut d = Decoder::new(bytes);
    d.skip()?;
    d.finish()
}

/// A value with exactly one canonical byte string.
pub trait Canonical: Sized {
    /// Writes the value.
    fn encode(&self, e: &mut Encoder);

    /// Reads the value.
    ///
    /// # Errors
    /// The first byte that is not canonical, or not a value of this type.
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// The canonical bytes of the value.
    fn to_bytes(&self) -> Vec<u8> {
        // Most values are shorter; growing from nothing would copy each of them several times.
        let mut e = Encoder::with_capacity(128);
        self.encode(&mut e);
        e.finish()
    }

    /// The value of exactly these bytes, by everything that this binary knows.
    ///
    /// # Errors
    /// As [`Canonical::decode`], and when bytes follow the value.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_bytes_at(bytes, Level::KNOWN)
    }

    /// The value of exactly these bytes, by what a feature level knows.
    ///
    /// # Errors
    /// As [`Canonical::from_bytes`]; what came with a higher level is as unknown as what nobody knows.
    fn from_bytes_at(bytes: &[u8], level: Level) -> Result<Self, DecodeError> {
        let mut d = Decoder::at(bytes, level);
        let value = Self::decode(&mut d)?;
        d.finish()?;
        Ok(value)
    }
}

/// A byte string (a `Vec<u8>` of its own type, because a `Vec` of anything else is an array).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Canonical for Blob {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self(d.bytes()?.to_vec()))
    }
}

macro_rules! canonical_uint {
    ($($t:ty),*) => {$(
        impl Canonical for $t {
            fn encode(&self, e: &mut Encoder) {
                e.uint(u64::from(*self));
            }
            fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let at = d.clone();
                let value = d.uint()?;
                <$t>::try_from(value).map_err(|_| at.fault(DecodeFault::Length {
                    expected: <$t>::MAX as u64,
                    found: value,
                }))
            }
        }
    )*};
}
canonical_uint!(u8, u16, u32, u64);

impl Canonical for bool {
    fn encode(&self, e: &mut Encoder) {
        e.bool(*self);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bool()
    }
}

impl<const N: usize> Canonical for [u8; N] {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(self);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bytes_of()
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Some(value) => value.encode(e),
            None => e.null(),
        }
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        if d.take_null()? {
            Ok(None)
        } else {
            T::decode(d).map(Some)
        }
    }
}

impl Canonical for Level {
    fn encode(&self, e: &mut Encoder) {
        e.uint(u64::from(self.number()));
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = d.clone();
        let found = d.uint()?;
        let level = u16::try_from(found).ok().and_then(Self::new);
        level.ok_or_else(|| {
            at.fault(DecodeFault::Length {
                expected: u64::from(u16::MAX),
                found,
            })
        })
    }
}

impl<T: Canonical> Canonical for Box<T> {
    fn encode(&self, e: &mut Encoder) {
        T::encode(self, e);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::decode(d).map(Box::new)
    }
}

impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn encode(&self, e: &mut Encoder) {
        e.array(2);
        self.0.encode(e);
        self.1.encode(e);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.array_of(2)?;
        let out = (A::decode(d)?, B::decode(d)?);
        d.leave();
        Ok(out)
    }
}

/// Reads one field: by the bound that its schema names, or as its type reads itself.
#[doc(hidden)]
#[macro_export]
macro_rules! canonical_field {
    ($d:ident) => {
        $crate::bytes::encoding::Canonical::decode($d)?
    };
    ($d:ident, $bound:ty) => {
        <$bound as $crate::limits::Bound<_>>::read($d)?
    };
}

/// Reads the version that a value begins with, if its schema names one.
#[doc(hidden)]
pub fn version(d: &mut Decoder<'_>, name: &str, known: &[u64]) -> Result<(), DecodeError> {
    for version in known {
        let at = d.clone();
        let found = d.uint()?;
        if found != *version {
            return Err(at.invalid(format_args!("{found} is not a version of {name}")));
        }
    }
    Ok(())
}

/// The version of a schema as a list: none, or the one it names.
#[doc(hidden)]
#[macro_export]
macro_rules! canonical_version {
    () => {
        &[]
    };
    ($version:literal) => {
        &[$version]
    };
}

/// Implements [`Canonical`] for a struct as an array of its fields in the order listed. A field may name its bound, a type
/// of [`crate::limits`], after a colon. With `@ 1` after the name the array begins with that version.
#[macro_export]
macro_rules! canonical_struct {
    ($name:ident $(@ $version:literal)? { $($field:ident $(: $bound:ty)?),* $(,)? }) => {
        impl $crate::bytes::encoding::Canonical for $name {
            fn encode(&self, e: &mut $crate::bytes::encoding::Encoder) {
                const FIELDS: &[&str] = &[$(stringify!($field)),*];
                const VERSION: &[u64] = $crate::canonical_version!($($version)?);
                const COUNT: usize = VERSION.len() + FIELDS.len();
                e.array(COUNT);
                VERSION.iter().for_each(|version| e.uint(*version));
                $( $crate::bytes::encoding::Canonical::encode(&self.$field, e); )*
            }
            fn decode(
                d: &mut $crate::bytes::encoding::Decoder<'_>,
            ) -> Result<Self, $crate::bytes::encoding::DecodeError> {
                const FIELDS: &[&str] = &[$(stringify!($field)),*];
                const VERSION: &[u64] = $crate::canonical_version!($($version)?);
                const COUNT: usize = VERSION.len() + FIELDS.len();
                d.array_of(COUNT)?;
                $crate::bytes::encoding::version(d, stringify!($name), VERSION)?;
                $( let $field = $crate::canonical_field!(d $(, $bound)?); )*
                d.leave();
                Ok(Self { $($field),* })
            }
        }
    };
}

/// Implements [`Canonical`] for an enum without payload as an unsigned integer, and gives it `number` and `ALL`. A variant
/// may say from which feature level on it exists: `9 => New since 2`.
#[macro_export]
macro_rules! canonical_enum {
    ($name:ident { $($number:literal => $variant:ident $(since $level:literal)?),* $(,)? }) => {
        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The number in canonical bytes; never reused.
            pub fn number(self) -> u64 {
                match self { $(Self::$variant => $number),* }
            }

            /// The name as it is written in code.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }

            /// The value of a number.
            pub fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The value of a name, in any case and with or without hyphens.
            pub fn from_name(name: &str) -> Option<Self> {
                let plain = |s: &str| s.replace(['-', '_'], "").to_ascii_lowercase();
                Self::ALL.iter().copied().find(|v| plain(v.name()) == plain(name))
            }
        }
        impl $crate::bytes::encoding::Canonical for $name {
            fn encode(&self, e: &mut $crate::bytes::encoding::Encoder) {
                e.uint(self.number());
            }
            fn decode(
                d: &mut $crate::bytes::encoding::Decoder<'_>,
            ) -> Result<Self, $crate::bytes::encoding::DecodeError> {
                let at = d.clone();
                let number = d.uint()?;
                match number {
                    $($number if d.knows($crate::bytes::level::Level::since(&[$($level)?])) => {
                        Ok(Self::$variant)
                    })*
                    _ => Err(at.invalid(format_args!(
                        "{number} is not a valid {}", stringify!($name)
                    ))),
                }
            }
        }
    };
}

/// Implements [`Canonical`] for an enum whose variants have named fields, as an array `[number, fields…]`. A field may name
/// its bound, the enum its version, as in [`canonical_struct`]; a variant may say from which feature level on it exists:
/// `9 => New { … } since 2`.
#[macro_export]
macro_rules! canonical_variants {
    ($name:ident @ $version:literal { $($variants:tt)* }) => {
        $crate::canonical_variants!(&[$version], $name { $($variants)* });
    };
    ($name:ident { $($variants:tt)* }) => {
        $crate::canonical_variants!(&[], $name { $($variants)* });
    };
    ($version:expr, $name:ident {
        $($number:literal => $variant:ident { $($field:ident $(: $bound:ty)?),* $(,)? } $(since $level:literal)?),* $(,)?
    }) => {
        impl $name {
            /// The number of the variant in canonical bytes; never reused.
            pub fn number(&self) -> u64 {
                match self { $(Self::$variant { .. } => $number),* }
            }

            /// The name of the variant.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),* }
            }
        }
        impl $crate::bytes::encoding::Canonical for $name {
            fn encode(&self, e: &mut $crate::bytes::encoding::Encoder) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        const FIELDS: &[&str] = &[$(stringify!($field)),*];
                        const VERSION: &[u64] = $version;
                        const COUNT: usize = 1 + VERSION.len() + FIELDS.len();
                        e.array(COUNT);
                        VERSION.iter().for_each(|version| e.uint(*version));
                        e.uint($number);
                        $( $crate::bytes::encoding::Canonical::encode($field, e); )*
                    })*
                }
            }
            fn decode(
                d: &mut $crate::bytes::encoding::Decoder<'_>,
            ) -> Result<Self, $crate::bytes::encoding::DecodeError> {
                let at = d.clone();
                let count = d.array()?;
                const VERSION: &[u64] = $version;
                $crate::bytes::encoding::version(d, stringify!($name), VERSION)?;
                let number = d.uint()?;
                let value = match number {
                    $($number if d.knows($crate::bytes::level::Level::since(&[$($level)?])) => {
                        const FIELDS: &[&str] = &[$(stringify!($field)),*];
                        const COUNT: usize = 1 + VERSION.len() + FIELDS.len();
                        if count != COUNT {
                            return Err(at.fault($crate::bytes::encoding::DecodeFault::Length {
                                expected: COUNT as u64,
                                found: count as u64,
                            }));
                        }
                        $( let $field = $crate::canonical_field!(d $(, $bound)?); )*
                        Self::$variant { $($field),* }
                    })*
                    _ => return Err(at.invalid(format_args!(
                        "{number} is not a valid {}", stringify!($name)
                    ))),
                };
                d.leave();
                Ok(value)
            }
        }
    };
}

/// Implements [`Canonical`] for a newtype as the value inside it.
#[macro_export]
macro_rules! canonical_struct_of_one {
    ($name:ident) => {
        impl $crate::bytes::encoding::Canonical for $name {
            fn encode(&self, e: &mut $crate::bytes::encoding::Encoder) {
                $crate::bytes::encoding::Canonical::encode(&self.0, e);
            }
            fn decode(
                d: &mut $crate::bytes::encoding::Decoder<'_>,
            ) -> Result<Self, $crate::bytes::encoding::DecodeError> {
                $crate::bytes::encoding::Canonical::decode(d).map(Self)
            }
        }
    };
}
