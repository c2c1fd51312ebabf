//! A set of digests in a few bits each: whoever is in it is always found, and who is not is found now and then.
//!
//! ```text
//! place of a key   the first `depth` bits of SHA-256(tag ‖ salt ‖ key)
//! data             the places ascending, as the gaps between them in a Rice code: the gap's high part in ones, a zero,
//!                  its `depth − log2(count)` low bits
//! ```
//! What is found by mistake is asked again elsewhere, and never believed. How often that is, the count and the depth say:
//! one key in `2^depth / count`. The salt changes with every set, so that nobody is found by mistake for ever.

use std::sync::Arc;

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, tag};

/// The most keys in a set.
pub const SIEVE_COUNT_MAX: u64 = 1 << 23;
/// The most bytes of a set.
pub const SIEVE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Bits that a set has for a key beyond those that tell its keys apart, where there is room for them: one key in a million
/// is then found by mistake.
pub const SIEVE_BITS_MAX: u8 = 20;
/// The fewest: below, too many would be found by mistake, and there is no such set.
pub const SIEVE_BITS_MIN: u8 = 6;

/// A set as it travels, nothing of it read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedSieve {
    /// How many keys.
    pub count: u64,
    /// How many bits of a key's digest say its place.
    pub depth: u8,
    /// The places.
    pub data: Blob,
}
carnet_domain::canonical_struct!(PackedSieve { count, depth, data });

/// Why bytes are not such a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SieveError {
    /// Too many keys, or a depth that no set has.
    #[error("{count} keys at depth {depth}: there is no such set")]
    Shape {
        /// How many keys.
        count: u64,
        /// Bits of a place.
        depth: u8,
    },
    /// Fewer or more bits than its keys take.
    #[error("the places end before or after the last of the keys")]
    Length,
    /// A place that is none.
    #[error("a place lies outside")]
    Outside,
}

/// The places of all keys, ascending. Only [`Sieve::open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sieve {
    salt: u64,
    depth: u8,
    places: Arc<[u64]>,
}

/// A set being made: eight bytes a key.
#[derive(Debug, Clone)]
pub struct Keys {
    salt: u64,
    hashes: Vec<u64>,
}

impl Keys {
    /// None yet.
    pub fn salted(salt: u64) -> Self {
        let hashes = Vec::new();
        Self { salt, hashes }
    }

    /// Adds a key. One that is added twice counts once.
    pub fn add(&mut self, key: &Digest) {
        self.hashes.push(hash(self.salt, key));
    }

    /// How many were added.
    pub fn added(&self) -> usize {
        self.hashes.len()
    }

    /// The set, as exact as there is room for in so many bytes; `None` when there are too many.
    pub fn pack(mut self, bytes_max: usize) -> Option<PackedSieve> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let count = u64::try_from(self.hashes.len()).ok()?;
        let low = bits_for(count, bytes_max)?;
        let depth = width(count).checked_add(low)?;
        let mut out = Bits::default();
        let mut before = 0_u64;
        for hash in self.hashes {
            let place = place(hash, depth);
            let gap = place.checked_sub(before)?;
            before = place;
            for _ in 0..gap.checked_shr(u32::from(low))? {
                out.push(true);
            }
            out.push(false);
            for bit in (0..low).rev() {
                out.push(gap.checked_shr(u32::from(bit))? & 1 == 1);
            }
        }
        let data = Blob(out.bytes);
        Some(PackedSieve { count, depth, data })
    }
}

impl Sieve {
    /// Reads a set.
    ///
    /// # Errors
    /// It is not one.
    pub fn open(salt: u64, packed: &PackedSieve) -> Result<Self, SieveError> {
        let PackedSieve { count, depth, data } = packed;
        let shape = || SieveError::Shape {
            count: *count,
            depth: *depth,
        };
        let low = low_bits(*count, *depth).ok_or_else(shape)?;
        // Each key takes a bit at least: nothing is made room for that is not there.
        let bits = u64::try_from(data.0.len()).unwrap_or(u64::MAX);
        if *count > SIEVE_COUNT_MAX || data.0.len() > SIEVE_BYTES_MAX {
            return Err(shape());
        }
        if bits.checked_mul(8).is_none_or(|bits| bits < *count) {
            return Err(SieveError::Length);
        }
        let mut bits = data.0.iter().flat_map(|byte| {
            let bits = (0..8_u32).rev();
            bits.map(move |at| byte.checked_shr(at).unwrap_or(0) & 1 == 1)
        });
        let mut places = Vec::with_capacity(usize::try_from(*count).unwrap_or(0));
        let mut before = 0_u64;
        for _ in 0..*count {
            let mut high = 0_u64;
            while bits.next().ok_or(SieveError::Length)? {
                high = high.checked_add(1).ok_or(SieveError::Outside)?;
            }
            let mut gap = high;
            for _ in 0..low {
                let bit = bits.next().ok_or(SieveError::Length)?;
                let twice = gap.checked_mul(2).ok_or(SieveError::Outside)?;
                gap = twice | u64::from(bit);
            }
            let place = before.checked_add(gap).ok_or(SieveError::Outside)?;
            if place.checked_shr(u32::from(*depth)).unwrap_or(0) != 0 {
                return Err(SieveError::Outside);
            }
            places.push(place);
            before = place;
        }
        // Of the last byte, at most seven bits are left, and none of them is set.
        let left: Vec<bool> = bits.take(8).collect();
        if left.len() > 7 || left.contains(&true) {
            return Err(SieveError::Length);
        }
        Ok(Self {
            salt,
            depth: *depth,
            places: places.into(),
        })
    }

    /// Whether a key is in it; of those that are not, about one in [`Sieve::one_in`] is said to be.
    pub fn may_hold(&self, key: &Digest) -> bool {
        let place = place(hash(self.salt, key), self.depth);
        self.places.binary_search(&place).is_ok()
    }

    /// Of so many keys that are not in it, about one is found by mistake.
    pub fn one_in(&self) -> u64 {
        let all = 1_u64.checked_shl(u32::from(self.depth)).unwrap_or(u64::MAX);
        let count = u64::try_from(self.places.len()).unwrap_or(u64::MAX);
        all.checked_div(count).unwrap_or(u64::MAX)
    }

    /// How many keys are in it.
    pub fn count(&self) -> usize {
        self.places.len()
    }
}

fn hash(salt: u64, key: &Digest) -> u64 {
    let hash = sha256(&[tag::SIEVE.as_bytes(), &salt.to_be_bytes(), &key.0]);
    let first: [u8; 8] = std::array::from_fn(|at| hash.0.get(at).copied().unwrap_or(0));
    u64::from_be_bytes(first)
}

fn place(hash: u64, depth: u8) -> u64 {
    let spare = 64_u32.checked_sub(u32::from(depth));
    spare.and_then(|spare| hash.checked_shr(spare)).unwrap_or(0)
}

/// The low bits of a gap in a set of so many keys, in so many bytes: one in about two to their number is found by mistake.
pub fn bits_for(count: u64, room: usize) -> Option<u8> {
    let mut bits = (SIEVE_BITS_MIN..=SIEVE_BITS_MAX).rev();
    let fitting = bits.find(|bits| bytes_max(count, *bits) <= room.min(SIEVE_BYTES_MAX));
    fitting.filter(|_| count <= SIEVE_COUNT_MAX)
}

/// Bits that count so many.
fn width(count: u64) -> u8 {
    let bits = u64::BITS.checked_sub(count.max(1).saturating_sub(1).leading_zeros()); // saturates: count is at least one
    bits.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0)
}

/// The low bits of a gap, which stand as they are.
fn low_bits(count: u64, depth: u8) -> Option<u8> {
    let low = depth.checked_sub(width(count))?;
    (depth <= 63 && (SIEVE_BITS_MIN..=SIEVE_BITS_MAX).contains(&low)).then_some(low)
}

/// The most bytes of a set of so many keys: for each its low bits and a zero, and ones for the high parts of all gaps, which
/// together are no more than the places there are.
fn bytes_max(count: u64, bits: u8) -> usize {
    let ones = 1_u64.checked_shl(u32::from(width(count)));
    let each = u64::from(bits).checked_add(1);
    let all = each.and_then(|each| each.checked_mul(count));
    let all = all.zip(ones).and_then(|(all, ones)| all.checked_add(ones));
    all.and_then(|bits| usize::try_from(bits.div_ceil(8)).ok())
        .unwrap_or(usize::MAX)
}

/// Bits one after the other, the first the highest of its byte.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        let place = 0b1000_0000_u8.checked_shr(self.used).unwrap_or(0);
        if let (true, Some(last)) = (bit, self.bytes.last_mut()) {
            *last |= place;
        }
        self.used = match self.used {
            7 => 0,
            used => used.checked_add(1).unwrap_or(0),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(from: u64, count: u64) -> Vec<Digest> {
        let count = usize::try_from(count).expect("few");
        let all = (from..).take(count);
        all.map(|number| sha256(&[&number.to_be_bytes()])).collect()
    }

    fn packed(salt: u64, count: u64) -> PackedSieve {
        let mut all = Keys::salted(salt);
        keys(0, count).iter().for_each(|key| all.add(key));
        all.pack(SIEVE_BYTES_MAX).expect("room for them")
    }

    #[test]
    fn whoever_is_in_it_is_found() {
        for count in [0, 1, 2, 3, 4, 5, 255, 256, 257, 4_096, 10_000] {
            let packed = packed(7, count);
            let sieve = Sieve::open(7, &packed).expect("a set");
            let missed = keys(0, count)
                .iter()
                .filter(|key| !sieve.may_hold(key))
                .count();
            assert_eq!(missed, 0, "of {count}");
            assert_eq!(sieve.count() as u64, count);
            assert!(
                packed.data.0.len() <= bytes_max(count, SIEVE_BITS_MAX),
                "{count}"
            );
        }
    }

    #[test]
    fn who_is_not_in_it_is_found_as_seldom_as_it_says() {
        // The fewest bits there can be, so that mistakes are many enough to be counted.
        let (count, salt) = (50_000, 3);
        let low = SIEVE_BITS_MIN;
        let mut coarse = packed(salt, count);
        let fine = Sieve::open(salt, &coarse).expect("a set");
        assert!(fine.one_in() >= 1 << SIEVE_BITS_MAX);
        let depth = width(count) + low;
        let mut places: Vec<u64> = keys(0, count)
            .iter()
            .map(|key| place(hash(salt, key), depth))
            .collect();
        places.sort_unstable();
        let mut out = Bits::default();
        let mut before = 0;
        for place in places {
            let gap = place - before;
            before = place;
            (0..gap >> low).for_each(|_| out.push(true));
            out.push(false);
            (0..low).rev().for_each(|bit| out.push(gap >> bit & 1 == 1));
        }
        coarse.depth = depth;
        coarse.data = Blob(out.bytes);
        let coarse = Sieve::open(salt, &coarse).expect("a set");
        let others = keys(count, 200_000);
        let found = others.iter().filter(|key| coarse.may_hold(key)).count() as u64;
        let said = 200_000 / coarse.one_in();
        assert!(
            (said / 2..=said * 2).contains(&found),
            "{found}, said {said}"
        );
        // With another salt others are found.
        assert_ne!(packed(salt + 1, count).data, packed(salt, count).data);
    }

    #[test]
    fn a_million_scrapped_robots_have_room() {
        // Code, body, key and a part.
        // One key in 1,073 is asked again.
        assert_eq!(bits_for(4 * 1_000_000, SIEVE_BYTES_MAX), Some(10));
        assert_eq!(bits_for(4 * 100_000, SIEVE_BYTES_MAX), Some(SIEVE_BITS_MAX));
        assert_eq!(bits_for(SIEVE_COUNT_MAX + 1, usize::MAX), None);
        // With less room, more are found by mistake.
        assert_eq!(bits_for(4 * 1_000_000, 5 * 1024 * 1024), Some(8));
        assert_eq!(bits_for(4 * 1_000_000, 3 * 1024 * 1024), None);
        // Made and read: 5.8 MB.
        let packed = packed(7, 4 * 1_000_000);
        let bytes = packed.data.0.len();
        assert!((5_700_000..=5_900_000).contains(&bytes), "{bytes}");
        let sieve = Sieve::open(7, &packed).expect("a set");
        assert_eq!((sieve.count(), sieve.one_in()), (4_000_000, 1_073));
    }

    #[test]
    fn no_other_bytes_are_a_set() {
        let good = packed(1, 300);
        let open = |change: &dyn Fn(&mut PackedSieve)| {
            let mut changed = good.clone();
            change(&mut changed);
            Sieve::open(1, &changed).map(|sieve| sieve.count())
        };
        assert_eq!(open(&|_| {}), Ok(300));
        assert_eq!(open(&|it| it.data.0.push(0)), Err(SieveError::Length));
        assert_eq!(
            open(&|it| it.data.0.truncate(it.data.0.len() - 1)),
            Err(SieveError::Length)
        );
        assert_eq!(open(&|it| it.count += 1), Err(SieveError::Length));
        assert_eq!(open(&|it| it.count = u64::MAX).ok(), None);
        assert_eq!(open(&|it| it.depth = 64).ok(), None);
        assert_eq!(open(&|it| it.depth = 0).ok(), None);
        let ones = open(&|it| it.data.0.fill(0xff));
        assert_eq!(ones, Err(SieveError::Length));
        let many = PackedSieve {
            count: SIEVE_COUNT_MAX + 1,
            depth: 40,
            data: Blob(vec![0; SIEVE_BYTES_MAX + 1]),
        };
        assert!(Sieve::open(1, &many).is_err());
    }
}
