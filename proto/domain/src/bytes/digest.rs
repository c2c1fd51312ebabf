//! SHA-256, the keystream that one secret is expanded by, and nothing that knows what they are used for.
//!
//! The `sha2` crate uses the processor's SHA instructions and has no call overhead, which counts more than bulk speed:
//! nearly everything hashed here is shorter than 128 bytes.

use std::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use sha2::{Digest as _, Sha256};

use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder};

/// The 32 bytes of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// 32 zero bytes: the empty map, and "no previous leaf".
    pub const ZERO: Self = Self([0; 32]);

    /// As they are hashed again and compared; [`fmt::Display`] writes them in hexadecimal.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits, in any case.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, HexError> {
        hex_bytes(text).map(Self)
    }
}

/// A text that is not exactly the hexadecimal digits expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} hexadecimal digits")]
pub struct HexError {
    /// How many digits there should be.
    pub digits: usize,
}

/// The `N` bytes of `2N` hexadecimal digits.
pub(crate) fn hex_bytes<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the length of a key or digest"
    )]
    let digits = 2 * N;
    let error = HexError { digits };
    if text.len() != digits {
        return Err(error);
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).ok_or(error);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Ok(out)
}

/// Writes bytes in lower-case hexadecimal.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Canonical for Digest {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bytes_of().map(Self)
    }
}

/// SHA-256 of the parts joined.
pub fn sha256(parts: &[&[u8]]) -> Digest {
    if let Some(digest) = sha256_short(parts) {
        return digest;
    }
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    Digest(state.finalize().into())
}

/// The same where parts, padding and length fit into two blocks, as they do for most of what is hashed: without the state that
/// takes parts of any length.
fn sha256_short(parts: &[&[u8]]) -> Option<Digest> {
    let mut blocks = [[0u8; 64]; 2];
    let mut room = blocks.as_flattened_mut();
    let mut size = 0u64;
    for part in parts {
        let (to, rest) = std::mem::take(&mut room).split_at_mut_checked(part.len())?;
        to.copy_from_slice(part);
        size = size.checked_add(part.len() as u64)?;
        room = rest;
    }
    // One byte of padding and eight of length.
    if room.len() < 9 {
        return None;
    }
    *room.first_mut()? = 0x80;
    let count = if size < 56 { 1 } else { 2 };
    let blocks = blocks.get_mut(..count)?;
    let bits = size.checked_mul(8)?;
    *blocks.last_mut()?.last_chunk_mut::<8>()? = bits.to_be_bytes();
    let mut state = SHA256_INITIAL;
    for block in blocks {
        sha2::compress256(&mut state, &[(*block).into()]);
    }
    Some(digest_of(state))
}

/// `SHA-256(tag ‖ left ‖ right)`: every inner node of the binary trees.
pub fn sha256_pair(tag: u8, left: &Digest, right: &Digest) -> Digest {
    sha256_row::<2, 2>(tag, &[*left, *right])
}

/// `SHA-256(tag ‖ four digests)`: every inner node of the slot tree.
pub fn sha256_four(tag: u8, row: &[Digest; 4]) -> Digest {
    sha256_row::<4, 3>(tag, row)
}

/// `SHA-256(tag ‖ digests)`. Length and padding are known beforehand, which saves a third of the time.
fn sha256_row<const COUNT: usize, const BLOCKS: usize>(tag: u8, row: &[Digest; COUNT]) -> Digest {
    const {
        // One byte of padding and eight of length must fit behind the tag and the digests, and no block more.
        assert!(COUNT * 32 + 10 <= BLOCKS * 64 && COUNT * 32 + 10 > (BLOCKS - 1) * 64);
    }
    let mut blocks = [[0u8; 64]; BLOCKS];
    let bytes = blocks.as_flattened_mut();
    let (head, rest) = bytes.split_at_mut(1);
    head[0] = tag;
    let (digests, padding) = rest.split_at_mut(const { COUNT * 32 });
    for (to, from) in digests.chunks_exact_mut(32).zip(row) {
        to.copy_from_slice(&from.0);
    }
    padding[0] = 0x80;
    let bits = const { ((COUNT * 32 + 1) * 8) as u64 };
    if let Some(length) = padding.last_chunk_mut::<8>() {
        *length = bits.to_be_bytes();
    }
    let mut state = SHA256_INITIAL;
    sha2::compress256(&mut state, &blocks.map(Into::into));
    digest_of(state)
}

fn digest_of(state: [u32; 8]) -> Digest {
    let mut out = [[0; 4]; 8];
    for (bytes, word) in out.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    let mut digest = Digest::ZERO;
    digest.0.copy_from_slice(out.as_flattened());
    digest
}

/// The initial hash value of SHA-256 (FIPS 180-4 §5.3.3).
const SHA256_INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// `N` bytes of the ChaCha20 keystream (RFC 8439 §2.4, zero nonce) under a key, from a 64-byte block on.
///
/// The crate calls the keystream a generator of random numbers. Nothing here is random: same key, same bytes.
pub fn keystream<const N: usize>(key: &[u8; 32], from_block: u32) -> [u8; N] {
    let mut out = [0; N];
    let mut stream = ChaCha20Rng::from_seed(*key);
    stream.set_block_pos(u64::from(from_block));
    stream.fill_bytes(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_pair_is_sha_256() {
        for i in 0..=255 {
            let (left, right) = (sha256(&[&[i]]), sha256(&[&[i, i]]));
            assert_eq!(
                sha256_pair(i, &left, &right),
                sha256(&[&[i], &left.0, &right.0])
            );
        }
    }

    #[test]
    fn the_hash_of_four_is_sha_256() {
        for i in 0..=255 {
            let row = [0u8, 1, 2, 3].map(|n| sha256(&[&[i, n]]));
            let parts = [&[i][..], &row[0].0, &row[1].0, &row[2].0, &row[3].0];
            assert_eq!(sha256_four(i, &row), sha256(&parts));
        }
    }

    /// Of every length around one, two and three blocks, however it is cut.
    #[test]
    fn the_hash_of_what_is_short_is_sha_256() {
        let bytes: Vec<u8> = (0..=200).collect();
        for size in 0..bytes.len() {
            let whole = &bytes[..size];
            let expected = Digest(Sha256::digest(whole).into());
            for cut in [0, 1, size / 2, size] {
                let (one, other) = whole.split_at(cut.min(size));
                assert_eq!(sha256(&[one, other]), expected, "{size} cut at {cut}");
                assert_eq!(sha256(&[one, &[], other]), expected, "{size} cut at {cut}");
            }
        }
        assert_eq!(sha256(&[]), sha256(&[b""]));
    }

    #[test]
    fn published_keystreams_of_rfc_8439_hold() {
        let published = |text: &str| hex_bytes::<64>(text).expect("hex");
        // Appendix A.1, test vectors 1 and 2: key zero, nonce zero, block counters 0 and 1.
        let first = published(
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
        );
        let second = published(
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
        );
        let both: [u8; 128] = keystream(&[0; 32], 0);
        assert_eq!(both[..64], first);
        assert_eq!(both[64..], second);
        assert_eq!(keystream::<64>(&[0; 32], 1), second);
        // Test vector 4: key 00 ff 00 …, block counter 2.
        let mut key = [0; 32];
        key[1] = 0xff;
        let third = published(
            "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca\
             13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
        );
        assert_eq!(keystream::<64>(&key, 2), third);
    }

    #[test]
    fn a_keystream_is_the_same_wherever_it_is_entered() {
        let key = sha256(&[b"key"]).0;
        let whole: [u8; 1024] = keystream(&key, 0);
        for block in 0..16u32 {
            let at = block as usize * 64;
            assert_eq!(keystream::<64>(&key, block), whole[at..at + 64]);
        }
        let long: [u8; 320] = keystream(&key, 0);
        assert_eq!(long, whole[..320]);
    }

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = sha256(&[b"x"]);
        assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
        assert_eq!(
            Digest::parse(&digest.to_string().to_uppercase()),
            Ok(digest)
        );
        for text in ["", "0x", &"g".repeat(64), &"ß".repeat(32)] {
            assert_eq!(Digest::parse(text), Err(HexError { digits: 64 }), "{text}");
        }
    }
}
