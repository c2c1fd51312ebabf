//! Makes canonical bytes extreme: one integer, length or repetition at a time, at the level of the encoding, so that
//! every type that there is or will be is walked without being named.

use carnet_domain::bytes::encoding::{Encoder, well_formed};
use carnet_domain::limits::{
    AGREEMENTS_OF_PEER_MAX, AI_MODELS_MAX, BUNDLE_LIST_MAX, CLAUSES_MAX, CONDITIONS_MAX,
    DOCUMENTS_MAX, EPOCH_FIRST_MAX, EPOCH_FOREIGN_MAX, EPOCH_MAX, EPOCH_STEP_MAX,
    FIRST_SIGNERS_MAX, HOLDS_MAX, IDENTITY_PARTS_MAX, INDEX_MAX, LATER_LEAVES_MAX, LIST_COUNT_MAX,
    MAIL_ITEMS_MAX, MAP_CHANGES_MAX, MODELS_OF_RECALL_MAX, NAME_BYTES_MAX, PARTS_MAX,
    RECALLS_OF_MODEL_MAX, RECALLS_OF_ROBOT_MAX, ROLES_MAX, ROOT_SIGNATURES_MAX, SEQUENCE_MAX,
    TEXT_BYTES_MAX,
};

use crate::seeded::Seeded;

/// Bounds of numbers: each is tried, and what lies beside it.
const NUMBERS: &[u64] = &[
    0,
    1,
    23,
    255,
    65_535,
    1_024,
    10_000,
    EPOCH_STEP_MAX,
    EPOCH_FIRST_MAX,
    EPOCH_FOREIGN_MAX,
    EPOCH_MAX,
    u32::MAX as u64,
    INDEX_MAX,
    SEQUENCE_MAX,
    i64::MAX as u64,
    u64::MAX,
];

/// Bounds of lists and texts.
const LENGTHS: &[usize] = &[
    0,
    1,
    IDENTITY_PARTS_MAX,
    BUNDLE_LIST_MAX,
    AGREEMENTS_OF_PEER_MAX,
    AI_MODELS_MAX,
    HOLDS_MAX,
    ROLES_MAX,
    DOCUMENTS_MAX,
    CONDITIONS_MAX,
    PARTS_MAX,
    CLAUSES_MAX,
    ROOT_SIGNATURES_MAX,
    FIRST_SIGNERS_MAX,
    NAME_BYTES_MAX,
    RECALLS_OF_MODEL_MAX,
    RECALLS_OF_ROBOT_MAX,
    MODELS_OF_RECALL_MAX,
    TEXT_BYTES_MAX,
    LATER_LEAVES_MAX,
    MAP_CHANGES_MAX,
    LIST_COUNT_MAX,
    MAIL_ITEMS_MAX,
    10_000,
];

/// Texts that are well formed and awkward.
const TEXTS: &[&str] = &[
    "",
    "\0",
    "\u{202e}x\r\n",
    "\u{1f916}\u{301}",
    "'\"\\;--",
    "9999999999999999999999",
];

/// The most bytes of an attack: a log entry is not larger.
const BYTES_MAX: usize = 400 * 1024;

/// One canonical value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An unsigned integer.
    Uint(u64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// An array.
    Array(Vec<Value>),
    /// False, true or null, by its byte.
    Simple(u8),
}

impl Value {
    /// The value of canonical bytes; `None` when they are not one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        well_formed(bytes).ok()?;
        let mut rest = bytes;
        Self::take(&mut rest)
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        let (&first, after) = rest.split_first()?;
        *rest = after;
        if matches!(first, 0xf4..=0xf6) {
            return Some(Self::Simple(first));
        }
        let size = match first & 0x1f {
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => 0,
        };
        let number = if size == 0 {
            u64::from(first & 0x1f)
        } else {
            let (head, after) = rest.split_at_checked(size)?;
            *rest = after;
            head.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        match first >> 5 {
            0 => Some(Self::Uint(number)),
            2 | 3 => {
                let (body, after) = rest.split_at_checked(usize::try_from(number).ok()?)?;
                *rest = after;
                match first >> 5 {
                    2 => Some(Self::Bytes(body.to_vec())),
                    _ => String::from_utf8(body.to_vec()).ok().map(Self::Text),
                }
            }
            _ => (0..number)
                .map(|_| Self::take(rest))
                .collect::<Option<Vec<_>>>()
                .map(Self::Array),
        }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        self.write(&mut e);
        e.finish()
    }

    fn write(&self, e: &mut Encoder) {
        match self {
            Self::Uint(number) => e.uint(*number),
            Self::Bytes(bytes) => e.bytes(bytes),
            Self::Text(text) => e.text(text),
            Self::Array(list) => {
                e.array(list.len());
                list.iter().for_each(|one| one.write(e));
            }
            Self::Simple(byte) => e.raw(&[*byte]),
        }
    }

    /// How many places can be changed: this value, and what is in it.
    fn count(&self) -> usize {
        match self {
            Self::Array(list) => list.iter().map(Self::count).sum::<usize>() + 1,
            _ => 1,
        }
    }

    /// Changes the place with this number, counted from the outside in.
    fn change(&mut self, place: &mut usize, random: &mut Seeded) {
        if *place == 0 {
            self.make_extreme(random);
        }
        *place = place.wrapping_sub(1);
        if let Self::Array(list) = self {
            for one in list {
                // Past the place nothing is changed: the counter has gone round.
                if *place > usize::MAX / 2 {
                    return;
                }
                one.change(place, random);
            }
        }
    }

    fn make_extreme(&mut self, random: &mut Seeded) {
        // One in sixteen is of another kind: null where a value stands, a value where null does.
        if random.one_in(16) {
            *self = match random.below(4) {
                0 => Self::Simple(0xf6),
                1 => Self::Uint(near(*random.pick(NUMBERS), random)),
                2 => Self::Array(Vec::new()),
                _ => Self::Text(String::new()),
            };
            return;
        }
        match self {
            Self::Uint(number) => {
                *number = match random.below(4) {
                    0 => near(*number, random),
                    _ => near(*random.pick(NUMBERS), random),
                };
            }
            Self::Bytes(bytes) => make_bytes_extreme(bytes, random),
            Self::Text(text) => {
                *text = match random.below(4) {
                    0 => (*random.pick(TEXTS)).to_owned(),
                    1 => format!("{text}{text}"),
                    _ => "x".repeat(length(random)),
                };
            }
            Self::Array(list) => make_list_extreme(list, random),
            Self::Simple(byte) => *byte = *random.pick(&[0xf4, 0xf5, 0xf6]),
        }
    }
}

fn near(number: u64, random: &mut Seeded) -> u64 {
    match random.below(3) {
        0 => number,
        1 => number.wrapping_add(1),
        _ => number.wrapping_sub(1),
    }
}

fn length(random: &mut Seeded) -> usize {
    let length = *random.pick(LENGTHS);
    match random.below(3) {
        0 => length,
        1 => length + 1,
        _ => length.saturating_sub(1),
    }
}

fn make_bytes_extreme(bytes: &mut Vec<u8>, random: &mut Seeded) {
    // Bytes that hold a value are walked as well: an item, a header, a slot.
    if random.below(4) != 0
        && bytes.len() > 2
        && let Some(inner) = Value::read(bytes)
        && matches!(inner, Value::Array(_) | Value::Uint(_) | Value::Text(_))
    {
        *bytes = extreme(&inner, random).to_bytes();
        return;
    }
    match random.below(6) {
        0 => bytes.clear(),
        1 => bytes.fill(0),
        2 => bytes.fill(0xff),
        3 => bytes.extend_from_within(..),
        4 => drop(bytes.pop()),
        _ if bytes.is_empty() => bytes.push(0),
        _ => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
    }
}

fn make_list_extreme(list: &mut Vec<Value>, random: &mut Seeded) {
    if list.is_empty() {
        list.push(Value::Uint(0));
        return;
    }
    let at = random.below(list.len());
    match random.below(6) {
        0 => list.clear(),
        1 => drop(list.remove(at)),
        2 => list.extend_from_within(..),
        3 => {
            let other = random.below(list.len());
            list.swap(at, other);
        }
        _ => {
            let one = list[at].clone();
            let size = one.to_bytes().len();
            let room = BYTES_MAX / size.max(1);
            let count = length(random).min(room);
            while list.len() < count {
                list.push(one.clone());
            }
            list.truncate(count.max(1));
        }
    }
}

/// A value that differs in one place. An array's own length is one place among many: the shorter lists, which carry the
/// meaning, come up as often as they are long.
pub fn extreme(value: &Value, random: &mut Seeded) -> Value {
    let mut out = value.clone();
    let mut place = random.below(value.count());
    out.change(&mut place, random);
    out
}

/// Canonical bytes that differ in one place; those given when they are not canonical.
pub fn extreme_bytes(bytes: &[u8], random: &mut Seeded) -> Vec<u8> {
    match Value::read(bytes) {
        Some(value) => extreme(&value, random).to_bytes(),
        None => bytes.to_vec(),
    }
}

/// As [`extreme_bytes`] of something that `accepts` what came of it, if one of a few tries does: an attack that the
/// decoder lets through.
pub fn extreme_that<T>(
    bytes: &[u8],
    random: &mut Seeded,
    accepts: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    (0..12).find_map(|_| accepts(&extreme_bytes(bytes, random)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::encoding::Canonical;
    use carnet_kit::Country;

    #[test]
    fn a_value_is_written_as_it_was_read() {
        let bytes = Country::unborn("86").register(1).to_bytes();
        let value = Value::read(&bytes).expect("canonical bytes");
        assert_eq!(value.to_bytes(), bytes);
    }

    #[test]
    fn every_change_is_canonical_and_every_place_is_reached() {
        let bytes = Country::unborn("86").register(1).to_bytes();
        let value = Value::read(&bytes).expect("canonical bytes");
        let mut random = Seeded::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            let changed = extreme_bytes(&bytes, &mut random);
            assert!(well_formed(&changed).is_ok());
            seen.insert(changed);
        }
        assert!(
            seen.len() > value.count() * 4,
            "{} of {}",
            seen.len(),
            value.count()
        );
    }
}
