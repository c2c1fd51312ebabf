//! Believes a log head only if it is signed and extends the one seen before.

use std::io;
use std::path::Path;

use carnet_domain::checkpoint::{NoteError, Origin, open};
use carnet_domain::digest::Digest;
use carnet_domain::merkle::{ProofError, verify_consistency};
use carnet_domain::signature::PublicKey;

/// The largest log head of one registry that was verified here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Whose log.
    pub origin: Origin,
    /// Its size in leaves.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// The signed note.
    pub text: String,
}

/// Why a log head is not believed.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Not a signed note of this log.
    #[error("the checkpoint is not signed by the log key")]
    Note(#[from] NoteError),
    /// Two heads of one size: the log was forked. Both texts are evidence.
    #[error("the log is forked: two roots for size {size}")]
    Forked {
        /// The size.
        size: u64,
        /// The head seen before.
        before: String,
        /// The head shown now.
        now: String,
    },
    /// The new head does not extend the old one.
    #[error("the checkpoint of size {now} does not extend the one of size {before} seen before")]
    NotConsistent {
        /// Size seen before.
        before: u64,
        /// Size shown now.
        now: u64,
        /// What is wrong with the proof.
        #[source]
        source: ProofError,
    },
}

/// Verifies a checkpoint and that it extends the one pinned. A smaller one leaves the pin as it is: the server is behind.
///
/// # Errors
/// When it is not signed, not consistent, or shows a fork.
pub fn advance(
    pin: Option<&Pin>,
    origin: &Origin,
    log_key: &PublicKey,
    text: &str,
    consistency: &[Digest],
) -> Result<Pin, PinError> {
    let seen = open(text, log_key, origin)?;
    let fresh = || Pin { origin: *seen.origin(), size: seen.size(), root: *seen.root(), text: text.to_owned() };
    let Some(pin) = pin.filter(|pin| pin.origin == *origin) else { return Ok(fresh()) };
    if pin.size == seen.size() && pin.root != *seen.root() {
        let (before, now) = (pin.text.clone(), text.to_owned());
        return Err(PinError::Forked { size: pin.size, before, now });
    }
    if seen.size() <= pin.size {
        return Ok(pin.clone());
    }
    verify_consistency(pin.size, &pin.root, seen.size(), seen.root(), consistency)
        .map_err(|source| PinError::NotConsistent { before: pin.size, now: seen.size(), source })?;
    Ok(fresh())
}

impl Pin {
    /// Reads a pin kept by [`Pin::save`] and checks it under the log key again. `None` if there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a checkpoint of this log.
    pub fn load(path: &Path, origin: &Origin, log_key: &PublicKey) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        advance(None, origin, log_key, &text, &[])
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Replaces the file with this pin, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let part = path.with_extension("part");
        std::fs::write(&part, &self.text)?;
        std::fs::File::open(&part)?.sync_all()?;
        std::fs::rename(&part, path)
    }
}
