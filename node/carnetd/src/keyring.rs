//! The signing keys of the jurisdiction, as far as a node holds them.
//!
//! Signing is asynchronous from the start, so that a hardware module or a threshold of nodes can stand behind the same
//! trait. What may be signed is not judged here: its rules stand in `signer`. No key is ever printed or copied out.
//!
//! Of the log there may be several keys: `log.seed`, and each that is to follow it as `log-<words of its public half>.seed`. Which of
//! them signs a head is the registry's history to say; the files are read anew while the node runs.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};
use carnet_domain::record::keys::KeySignature;
use futures::future::BoxFuture;
use zeroize::Zeroizing;

use crate::config::PkiPaths;

/// A key file longer than this is not one.
const SEED_FILE_BYTES_MAX: u64 = 4096;

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
    /// The public half of the key of a role; of the log's, that which came first.
    fn public(&self, role: KeyRole) -> PublicKey;

    /// Every log key that it can sign with.
    fn log_keys(&self) -> Vec<PublicKey> {
        vec![self.public(KeyRole::Log)]
    }

    /// Files beside that of the first log key of which no key can be read, and why; in words.
    fn unread(&self) -> Vec<String> {
        Vec::new()
    }

    /// Signs bytes exactly as given; the caller has put their domain in front.
    ///
    /// # Errors
    /// The key cannot be used now; nothing was signed.
    fn sign<'a>(
        &'a self,
        role: KeyRole,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>>;

    /// As [`Keyring::sign`], with one of the log keys.
    ///
    /// # Errors
    /// It is none of them, or cannot be used now; nothing was signed.
    fn sign_log<'a>(
        &'a self,
        key: &'a PublicKey,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        if self.public(KeyRole::Log) == *key {
            return self.sign(KeyRole::Log, bytes);
        }
        Box::pin(std::future::ready(Err(not_held(key))))
    }

    /// Reads its keys anew. Whether there are others than before.
    ///
    /// # Errors
    /// A key cannot be used; those that were in use stay.
    fn reload(&self) -> Result<bool, KeyringError> {
        Ok(false)
    }
}

/// Signs bytes with each log key that is in use, in the order of the history.
///
/// # Errors
/// One of them is not held here, or cannot be used now.
pub async fn sign_with_all(
    keyring: &dyn Keyring,
    keys: &[PublicKey],
    bytes: &[u8],
) -> Result<Vec<KeySignature>, SignError> {
    let mut signatures = Vec::with_capacity(keys.len());
    for key in keys {
        let signature = keyring.sign_log(key, bytes).await?;
        let key = *key;
        signatures.push(KeySignature { key, signature });
    }
    Ok(signatures)
}

fn not_held(key: &PublicKey) -> SignError {
    SignError {
        role: KeyRole::Log,
        reason: format!("this node does not hold the log key {key}"),
    }
}

/// The key of a role cannot be used now.
#[derive(Debug, thiserror::Error)]
#[error("the {role} key cannot be used: {reason}")]
pub struct SignError {
    /// For what the key is kept.
    pub role: KeyRole,
    /// Why, in words.
    pub reason: String,
}

/// Keys in files: for demonstrations, tests and jurisdictions whose verifiers ask for a witness quorum.
///
/// Every node holds the whole key; the trust bundle says so and verdicts show it.
pub struct FileKeyring {
    pki: PkiPaths,
    log: RwLock<Arc<LogKeys>>,
    passport: SecretKey,
    witness: SecretKey,
}

/// The log keys: that of `log.seed`, and those that are to follow it or came before.
struct LogKeys {
    first: SecretKey,
    others: Vec<SecretKey>,
    /// Files of others that cannot be read, and why. Whether one of them is needed is the registry's history to say: a stray file keeps
    /// no node from its start.
    unread: Vec<String>,
}

impl LogKeys {
    fn read(pki: &PkiPaths) -> Result<Self, KeyringError> {
        let first = read_key(&pki.seed(KeyRole::Log.word()))?;
        let others = pki.other_log_seeds().map_err(|source| KeyringError::Read {
            path: pki.keys(),
            source,
        })?;
        let mut read = Vec::new();
        let mut unread = Vec::new();
        for path in others {
            match read_key(&path) {
                Ok(key) => read.push(key),
                Err(error) => unread.push(error.to_string()),
            }
        }
        let others = read;
        Ok(Self {
            first,
            others,
            unread,
        })
    }

    fn all(&self) -> impl Iterator<Item = &SecretKey> {
        [&self.first].into_iter().chain(&self.others)
    }

    fn publics(&self) -> Vec<PublicKey> {
        let mut keys: Vec<_> = self.all().map(SecretKey::public).collect();
        let mut seen = std::collections::BTreeSet::new();
        keys.retain(|key| seen.insert(*key));
        keys
    }
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
        /// What the first file's key is for.
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
        let log = LogKeys::read(pki)?;
        let keyring = Self {
            passport: read(KeyRole::Passport)?,
            witness: read(KeyRole::Witness)?,
            log: RwLock::new(Arc::new(log)),
            pki: pki.clone(),
        };
        keyring.judge(&keyring.log())?;
        say(&keyring.unread());
        Ok(keyring)
    }

    fn log(&self) -> Arc<LogKeys> {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&log)
    }

    /// One key never has two roles.
    fn judge(&self, log: &LogKeys) -> Result<(), KeyringError> {
        let shared = |role: KeyRole, first: KeyRole| {
            let path = self.pki.seed(role.word());
            Err(KeyringError::Shared { path, first })
        };
        let (passport, witness) = (self.passport.public(), self.witness.public());
        for log in log.publics() {
            if log == passport {
                return shared(KeyRole::Passport, KeyRole::Log);
            }
            if log == witness {
                return shared(KeyRole::Witness, KeyRole::Log);
            }
        }
        if passport == witness {
            return shared(KeyRole::Witness, KeyRole::Passport);
        }
        Ok(())
    }
}

impl Keyring for FileKeyring {
    fn public(&self, role: KeyRole) -> PublicKey {
        match role {
            KeyRole::Log => self.log().first.public(),
            KeyRole::Passport => self.passport.public(),
            KeyRole::Witness => self.witness.public(),
        }
    }

    fn log_keys(&self) -> Vec<PublicKey> {
        self.log().publics()
    }

    fn unread(&self) -> Vec<String> {
        self.log().unread.clone()
    }

    fn sign<'a>(
        &'a self,
        role: KeyRole,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        let signature = match role {
            KeyRole::Log => self.log().first.sign(bytes),
            KeyRole::Passport => self.passport.sign(bytes),
            KeyRole::Witness => self.witness.sign(bytes),
        };
        Box::pin(std::future::ready(Ok(signature)))
    }

    fn sign_log<'a>(
        &'a self,
        key: &'a PublicKey,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        let held = self.log();
        let held = held.all().find(|held| held.public() == *key);
        let signature = held.map(|held| held.sign(bytes));
        Box::pin(std::future::ready(signature.ok_or_else(|| not_held(key))))
    }

    fn reload(&self) -> Result<bool, KeyringError> {
        let log = LogKeys::read(&self.pki)?;
        self.judge(&log)?;
        let others = log.publics() != self.log_keys();
        if log.unread != self.unread() {
            say(&log.unread);
        }
        *self.log.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(log);
        Ok(others)
    }
}

/// Once, when it is found: until it is mended it stands in the status.
fn say(unread: &[String]) {
    for why in unread {
        tracing::error!(why, "a log key beside the first is not used");
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
    if SEED_FILE_BYTES_MAX < status.len() {
        return Err(KeyringError::Format {
            path: path.to_owned(),
            reason: "the file is too long",
        });
    }
    // Room for everything at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(SEED_FILE_BYTES_MAX as usize));
    file.by_ref()
        .take(SEED_FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(read)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
