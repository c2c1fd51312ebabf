//! The signing keys of the jurisdiction, as far as a node holds them.
//!
//! Signing is asynchronous from the start, so that a hardware module or a threshold of nodes can stand behind the same
//! trait. What may be signed is not judged here: its rules stand in `signer`. No key is ever printed, copied
//! out or compared.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};
use futures::future::BoxFuture;
use zeroize::Zeroizing;

use crate::config::PkiPaths;

/// A key file longer than this is not one.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// What a key signs; one key never has two roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRole {
    /// Checkpoints of this jurisdiction's log.
    Log,
    /// Signed records and compact passports.
    Passport,
    /// Cosignatures on checkpoints of other jurisdictions.
    Witness,
}

impl KeyRole {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Log, Self::Passport, Self::Witness];

    /// The lower-case name, also that of the key's file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Passport => "passport",
            Self::Witness => "witness",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Signs with keys it does not give away.
pub trait Keyring: Send + Sync + 'static {
    /// The public half of the key of a role.
    fn public(&self, role: KeyRole) -> PublicKey;

    /// Signs bytes exactly as given; the caller has put their domain in front.
    ///
    /// # Errors
    /// The key cannot be used now; nothing was signed.
    fn sign<'a>(
        &'a self,
        role: KeyRole,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>>;
}

/// The key of a role cannot be used now.
#[derive(Debug, thiserror::Error)]
#[error("the {role} key cannot be used: {reason}")]
pub struct SignError {
    /// Whose key.
    pub role: KeyRole,
    /// Why, in words.
    pub reason: String,
}

/// Keys in files: for demonstrations, tests and jurisdictions whose verifiers ask for a witness quorum.
///
/// Every node holds the whole key; the trust bundle says so and verdicts show it.
pub struct FileKeyring {
    log: SecretKey,
    passport: SecretKey,
    witness: SecretKey,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else on this machine could read or replace the key.
    #[error("{} has mode {mode:04o}, a key needs 0600 or 0400", .path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not 64 hexadecimal digits.
    #[error("{} holds no seed of a key: {reason}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, without anything of the content.
        reason: &'static str,
    },
    /// Two roles have the same key.
    #[error("{} holds the {first} key too: one key never has two roles", .path.display())]
    Shared {
        /// The second file.
        path: PathBuf,
        /// The role of the first.
        first: KeyRole,
    },
}

impl FileKeyring {
    /// Reads the keys of one node.
    ///
    /// # Errors
    /// A file is missing, open to others, not a key, or the key of another role too.
    pub fn open(pki: &PkiPaths) -> Result<Self, KeyringError> {
        let read = |role: KeyRole| read_key(&pki.seed(role.word()));
        let keyring = Self {
            log: read(KeyRole::Log)?,
            passport: read(KeyRole::Passport)?,
            witness: read(KeyRole::Witness)?,
        };
        for (at, role) in KeyRole::ALL.into_iter().enumerate() {
            for first in &KeyRole::ALL[..at] {
                if keyring.public(*first) == keyring.public(role) {
                    return Err(KeyringError::Shared {
                        path: pki.seed(role.word()),
                        first: *first,
                    });
                }
            }
        }
        Ok(keyring)
    }

    fn key(&self, role: KeyRole) -> &SecretKey {
        match role {
            KeyRole::Log => &self.log,
            KeyRole::Passport => &self.passport,
            KeyRole::Witness => &self.witness,
        }
    }
}

impl Keyring for FileKeyring {
    fn public(&self, role: KeyRole) -> PublicKey {
        self.key(role).public()
    }

    fn sign<'a>(
        &'a self,
        role: KeyRole,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        let signature = self.key(role).sign(bytes);
        Box::pin(std::future::ready(Ok(signature)))
    }
}

/// Reads one Ed25519 private key; the file is open to its owner only.
///
/// # Errors
/// The file is missing, open to others, or not a key.
pub fn read_key(path: &Path) -> Result<SecretKey, KeyringError> {
    let text = read_secret(path)?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii(), seed.as_mut_slice()).map_err(|_| {
        KeyringError::Format {
            path: path.to_owned(),
            reason: "it is not 64 hexadecimal digits",
        }
    })?;
    Ok(SecretKey::from_seed(&seed))
}

/// Reads a file whose content is secret, after a look at who may open it.
///
/// # Errors
/// The file cannot be read, is too long for a key, or is open to others.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let read = |source| KeyringError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(read)?;
    let status = file.metadata().map_err(read)?;
    let mode = status.mode() & 0o7777;
    if mode & !0o600 != 0 {
        return Err(KeyringError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    if KEY_FILE_BYTES_MAX < status.len() {
        return Err(KeyringError::Format {
            path: path.to_owned(),
            reason: "the file is too long",
        });
    }
    // Room for everything at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize));
    file.by_ref()
        .take(KEY_FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(read)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
