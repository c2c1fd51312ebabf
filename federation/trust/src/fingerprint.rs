//! The fingerprint of a certificate or of a root's key: what people compare before they trust it.

use std::fmt;
use std::str::FromStr;

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::signature::PublicKey;
use rustls_pki_types::CertificateDer;

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo`.
const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// SHA-256 of a certificate's DER bytes, or of a root's key: what people compare before they trust it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(sha256(&[certificate.as_ref()]).0)
    }

    /// The fingerprint of a key, as it stands under a statement: of its `SubjectPublicKeyInfo` in DER (RFC 8410), so that
    /// common tools show the same of the root's certificate.
    pub fn of_key(key: &PublicKey) -> Self {
        Self(sha256(&[&ED25519_SPKI, key.as_bytes()]).0)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// 64 hexadecimal digits in groups of four, as people read them to each other.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.chunks(2).enumerate() {
            if at != 0 {
                f.write_str("-")?;
            }
            for byte in pair {
                write!(f, "{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads 64 hexadecimal digits; hyphens, colons and spaces between them do not matter.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut bytes = [0; 32];
        let digits = text.chars().filter(|c| !matches!(c, '-' | ':' | ' '));
        let count = digits.clone().count();
        for (at, c) in digits.enumerate() {
            let digit = c.to_digit(16).ok_or(FingerprintError::Character(c))?;
            if let Some(byte) = bytes.get_mut(at / 2) {
                *byte = (*byte << 4) | digit as u8;
            }
        }
        if count == 64 {
            Ok(Self(bytes))
        } else {
            Err(FingerprintError::Count(count))
        }
    }
}

/// Why a text is not a [`Fingerprint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// Neither a hexadecimal digit nor a separator.
    #[error("{0:?} is not a hexadecimal digit")]
    Character(char),
    /// Too few or too many digits.
    #[error("{0} hexadecimal digits, expected 64")]
    Count(usize),
}
