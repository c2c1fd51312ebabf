//! Who signs commands: asynchronous, because the key may be in a module or far away.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};

use crate::clock::now;
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

    /// As [`Signer::sign`], with the key that [`Signer::public`] named before, which stands in the message: another may have taken its
    /// place meanwhile.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    async fn sign_as(&self, key: &PublicKey, message: &[u8]) -> Result<Signature, SignerError> {
        let _ = key;
        self.sign(message).await
    }
}

/// Between two looks at a key file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A key in a file of 64 hexadecimal digits, as `carnet-pki` writes it. Where another key takes its place in the file, that one
/// signs within a second: a program that runs needs not be started anew for `carnet key rotate`.
pub struct FileSigner {
    path: Option<PathBuf>,
    held: Mutex<Held>,
}

/// The keys of a file.
struct Held {
    now: Arc<SecretKey>,
    /// The one before: what was begun with it is signed with it.
    before: Option<Arc<SecretKey>>,
    modified: Option<SystemTime>,
    looked: Option<Instant>,
}

impl FileSigner {
    /// Reads the file, and again when it has changed; what cannot be read then leaves the key that was read before.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SignerError> {
        let path = path.as_ref();
        let modified = modified(path);
        let key = keys::read_seed(path)?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..Self::of(key, modified)
        })
    }

    /// From a key in memory.
    pub fn new(key: SecretKey) -> Self {
        Self::of(key, None)
    }

    fn of(key: SecretKey, modified: Option<SystemTime>) -> Self {
        let held = Held {
            now: Arc::new(key),
            before: None,
            modified,
            looked: None,
        };
        Self {
            path: None,
            held: Mutex::new(held),
        }
    }

    /// The key that signs now.
    fn key(&self) -> Arc<SecretKey> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.path {
            held.look(path, now());
        }
        Arc::clone(&held.now)
    }
}

impl Held {
    fn look(&mut self, path: &Path, now: Instant) {
        let due = self
            .looked
            .is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY);
        if !due {
            return;
        }
        self.looked = Some(now);
        let found = modified(path);
        if found.is_none() || found == self.modified {
            return;
        }
        // In the middle of being replaced it may be no key: it is read at the next look.
        let Ok(key) = keys::read_seed(path) else {
            return;
        };
        self.modified = found;
        if key.public() != self.now.public() {
            self.before = Some(std::mem::replace(&mut self.now, Arc::new(key)));
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|it| it.modified()).ok()
}

impl std::fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "FileSigner({})", held.now.public())
    }
}

#[async_trait]
impl Signer for FileSigner {
    fn public(&self) -> PublicKey {
        self.key().public()
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(self.key().sign(message))
    }

    async fn sign_as(&self, key: &PublicKey, message: &[u8]) -> Result<Signature, SignerError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [Some(&held.now), held.before.as_ref()];
        let found = keys
            .into_iter()
            .flatten()
            .find(|held| held.public() == *key);
        let gone = || SignerError::Refused("the key has been replaced twice meanwhile".into());
        Ok(found.ok_or_else(gone)?.sign(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, seed: u8) {
        std::fs::write(path, hex::encode([seed; 32])).expect("written");
    }

    #[test]
    fn a_key_that_takes_anothers_place_in_its_file_signs_and_what_was_begun_is_finished() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.actor.key");
        write(&path, 1);
        let signer = FileSigner::open(&path).expect("a key");
        let first = signer.public();
        write(&path, 2);
        let then = now();
        let mut held = signer.held.lock().expect("nobody else");
        // As if it had been written a moment later, whatever the file system's clock resolves.
        held.modified = None;
        held.look(&path, then);
        assert_eq!(
            held.now.public(),
            first,
            "not looked at again within a second"
        );
        held.look(&path, then + LOOK_EVERY);
        let second = held.now.public();
        assert_ne!(second, first);
        let before = held.before.as_ref().map(|key| key.public());
        assert_eq!(before, Some(first));
        // What is no key leaves the one that was read.
        std::fs::write(&path, "no key").expect("written");
        held.modified = None;
        held.look(&path, then + 2 * LOOK_EVERY);
        assert_eq!(held.now.public(), second);
    }
}
