//! SHA-256 and HMAC-SHA-256, and nothing that knows what is hashed.
//!
//! The `sha2` crate uses the processor's SHA instructions and has no call overhead, which counts more than bulk speed:
//! nearly everything hashed here is shorter than 128 bytes.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};

use crate::encoding::{Canonical, DecodeError, Decoder, Encoder};

/// The 32 bytes of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// 32 zero bytes: the empty map, and "no previous leaf".
    pub const ZERO: Self = Self([0; 32]);

    /// The bytes.
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
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    Digest(state.finalize().into())
}

/// `SHA-256(tag ‖ left ‖ right)`: every inner node of every tree. The padding of 65 bytes is known beforehand, which
/// saves a third of the time.
pub fn sha256_pair(tag: u8, left: &Digest, right: &Digest) -> Digest {
    const BITS: u16 = 65 * 8;
    let mut blocks = [[0u8; 64]; 2];
    let bytes = blocks.as_flattened_mut();
    bytes[0] = tag;
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..65].copy_from_slice(&right.0);
    bytes[65] = 0x80;
    bytes[126..].copy_from_slice(&BITS.to_be_bytes());
    let mut state = SHA256_INITIAL;
    sha2::compress256(&mut state, &blocks.map(Into::into));
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

/// HMAC-SHA-256 of the parts joined. For several messages under one key, prepare an [`HmacKey`] once.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Digest {
    HmacKey::new(key).mac(parts)
}

/// The state of HMAC-SHA-256 after its key: two compressions saved for every message.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    /// Prepares a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// The code of the parts joined.
    pub fn mac(&self, parts: &[&[u8]]) -> Digest {
        let mut state = self.0.clone();
        for part in parts {
            state.update(part);
        }
        Digest(state.finalize().into_bytes().into())
    }
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
    fn published_codes_of_rfc_4231_hold() {
        let code = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let published = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(code.to_string(), published);
        let long_key = [0xaa; 131];
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let published = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(HmacKey::new(&long_key).mac(&[text]).to_string(), published);
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
