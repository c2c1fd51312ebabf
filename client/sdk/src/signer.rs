//! Who signs commands: asynchronous, because the key may be in a module or far away.

use std::path::Path;

use async_trait::async_trait;
use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};

use crate::keys::{self, KeyFileError};

/// Why a command was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The key file.
    #[error("the key file cannot be used")]
    File(#[from] KeyFileError),
    /// A module or service refused.
    #[error("the key holder refused: {0}")]
    Refused(String),
}

/// Signs with one key.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The key that others verify with.
    fn public(&self) -> PublicKey;

    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// When the holder of the key cannot or will not.
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError>;
}

/// A key in a file of 64 hexadecimal digits, as `carnet-pki` writes it.
pub struct FileSigner(SecretKey);

impl FileSigner {
    /// Reads the file once.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SignerError> {
        Ok(Self(keys::read_seed(path.as_ref())?))
    }

    /// From a key in memory.
    pub fn new(key: SecretKey) -> Self {
        Self(key)
    }
}

impl std::fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileSigner({})", self.0.public())
    }
}

#[async_trait]
impl Signer for FileSigner {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(self.0.sign(message))
    }
}
