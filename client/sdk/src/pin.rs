//! The largest log head of a registry that was verified here: what the next one is held to.

use std::io;
use std::path::Path;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::checkpoint::{NoteError, Origin};
use carnet_domain::log::leaf::SlotError;
use carnet_domain::log::merkle::{ProofError, verify_consistency};
use carnet_domain::record::keys::KeyHistory;
use carnet_trust::evidence::EvidenceError;
use carnet_trust::offline::FileError;
use carnet_trust::pack::PackError;

/// The largest log head of one registry that was verified here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Whose log.
    pub origin: Origin,
    /// Its size in leaves.
    pub size: u64,
    /// Root of the log at `size`.
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
        /// Leaves that it said it had.
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
    /// The evidence does not hold.
    #[error("the evidence does not hold")]
    Evidence(#[from] EvidenceError),
    /// The evidence file cannot be read, or is about something else.
    #[error("the evidence cannot be read")]
    File(#[from] FileError),
    /// The pack of the own registry cannot be read, or is not signed by the log key that is pinned.
    #[error("the pack is not used")]
    Pack(#[from] PackError),
    /// The evidence is about something else than was asked for.
    #[error("the evidence is about {found}, asked was {asked}")]
    OtherSubject {
        /// The log that was asked for, as its origin.
        asked: String,
        /// Shown.
        found: String,
    },
    /// The head that was shown does not cover what was written or seen before.
    #[error("the head shown has {shown} leaves, one of at least {wanted} was asked for")]
    Older {
        /// Size of the head shown.
        shown: u64,
        /// The size it must have at least.
        wanted: u64,
    },
    /// The head that was shown is older than this client takes.
    #[error("the head of size {size} is of {time}, heads before {oldest} are not believed")]
    Stale {
        /// Leaves under it.
        size: u64,
        /// Log time of its map head.
        time: TimeMs,
        /// The oldest time taken.
        oldest: TimeMs,
    },
    /// Nothing shows that the head goes on from the one seen before.
    #[error("nothing shows that the head goes on from the one seen before")]
    NotJoined {
        /// The head seen before.
        before: String,
        /// The head shown now.
        now: String,
    },
    /// Two histories of one log. Both texts are evidence.
    #[error("the log is forked: the head shown does not go on from the one seen before")]
    OtherHistory {
        /// The head seen before.
        before: String,
        /// The head shown now.
        now: String,
    },
    /// A leaf of the robot is proven, and not that there is no newer one.
    #[error("the leaf shown is not proven to be the newest")]
    NotNewest,
    /// Leaves that are said to be a history do not name each other.
    #[error("leaf {leaf} of the history: {why}")]
    History {
        /// Its number.
        leaf: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The record is not shown, or not in a form that is known.
    #[error("the record is not shown")]
    Record(#[source] SlotError),
}

/// Verifies a checkpoint and that it extends the one pinned. A smaller one leaves the pin as it is: the server is behind.
///
/// # Errors
/// When it is not signed, not consistent, or shows a fork.
pub fn advance(
    pin: Option<&Pin>,
    origin: &Origin,
    keys: &KeyHistory,
    text: &str,
    consistency: &[Digest],
) -> Result<Pin, PinError> {
    let seen = keys.open(text, origin)?;
    let fresh = || Pin {
        origin: *seen.origin(),
        size: seen.size(),
        root: *seen.root(),
        text: text.to_owned(),
    };
    let Some(pin) = pin.filter(|pin| pin.origin == *origin) else {
        return Ok(fresh());
    };
    if pin.size == seen.size() && pin.root != *seen.root() {
        let (before, now) = (pin.text.clone(), text.to_owned());
        return Err(PinError::Forked {
            size: pin.size,
            before,
            now,
        });
    }
    if seen.size() <= pin.size {
        return Ok(pin.clone());
    }
    verify_consistency(pin.size, &pin.root, seen.size(), seen.root(), consistency).map_err(
        |source| PinError::NotConsistent {
            before: pin.size,
            now: seen.size(),
            source,
        },
    )?;
    Ok(fresh())
}

impl Pin {
    /// Reads a pin kept by [`Pin::save`] and checks it under the log keys again: what is known since of the one that signed it makes it
    /// no other head. `None` if there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a checkpoint of this log.
    pub fn load(path: &Path, origin: &Origin, keys: &KeyHistory) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let seen = keys
            .open_seen(&text, origin)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(Self {
            origin: *seen.origin(),
            size: seen.size(),
            root: *seen.root(),
            text,
        }))
    }

    /// Replaces the file with this pin, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            crate::session::private_folder(folder)?;
        }
        let part = path.with_extension("part");
        std::fs::write(&part, &self.text)?;
        std::fs::File::open(&part)?.sync_all()?;
        std::fs::rename(&part, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::code::Prefix;
    use carnet_domain::bytes::signature::SecretKey;
    use carnet_domain::log::checkpoint::Checkpoint;
    use carnet_domain::log::merkle::{leaf_hash, node_hash};

    fn key() -> SecretKey {
        SecretKey::from_seed(&[3; 32])
    }

    fn keys() -> KeyHistory {
        KeyHistory::of_log_keys([key().public()])
    }

    fn origin() -> Origin {
        Origin {
            prefix: Prefix::new("86").expect("a prefix"),
            incarnation: 0,
        }
    }

    fn note(size: u64, root: Digest) -> String {
        Checkpoint {
            origin: origin(),
            size,
            root,
        }
        .sign(&key())
        .into_text()
    }

    /// Heads of sizes 1 and 2, and the proof from one to the other.
    fn heads() -> (String, String, Vec<Digest>) {
        let (one, other) = (leaf_hash(b"a"), leaf_hash(b"b"));
        (note(1, one), note(2, node_hash(&one, &other)), vec![other])
    }

    fn pin(text: &str) -> Pin {
        advance(None, &origin(), &keys(), text, &[]).expect("a signed head")
    }

    fn check(pin: &Pin, text: &str, proof: &[Digest]) -> Result<u64, PinError> {
        advance(Some(pin), &origin(), &keys(), text, proof).map(|pin| pin.size)
    }

    #[test]
    fn a_head_that_extends_the_pinned_one_is_pinned() {
        let (one, two, proof) = heads();
        assert_eq!(check(&pin(&one), &two, &proof).expect("consistent"), 2);
    }

    #[test]
    fn a_smaller_head_leaves_the_pin() {
        let (one, two, _) = heads();
        assert_eq!(
            check(&pin(&two), &one, &[]).expect("the server is behind"),
            2
        );
    }

    #[test]
    fn two_roots_of_one_size_are_a_fork() {
        let (_, two, _) = heads();
        let forked = check(&pin(&two), &note(2, leaf_hash(b"x")), &[]);
        assert!(matches!(forked, Err(PinError::Forked { size: 2, .. })));
    }

    #[test]
    fn a_rewritten_history_is_not_believed() {
        let (one, _, proof) = heads();
        let rewritten = note(2, node_hash(&leaf_hash(b"x"), &leaf_hash(b"b")));
        assert!(matches!(
            check(&pin(&one), &rewritten, &proof),
            Err(PinError::NotConsistent { .. })
        ));
    }

    #[test]
    fn another_key_signs_nothing() {
        let (one, ..) = heads();
        let other = KeyHistory::of_log_keys([SecretKey::from_seed(&[4; 32]).public()]);
        assert!(matches!(
            advance(None, &origin(), &other, &one, &[]),
            Err(PinError::Note(_))
        ));
    }

    #[test]
    fn a_pin_survives_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pins/86-0.checkpoint");
        let (one, ..) = heads();
        assert!(
            Pin::load(&path, &origin(), &keys())
                .expect("no file")
                .is_none()
        );
        pin(&one).save(&path).expect("written");
        assert_eq!(
            Pin::load(&path, &origin(), &keys()).expect("read"),
            Some(pin(&one))
        );
        std::fs::write(&path, one.replace("\n1\n", "\n9\n")).expect("written");
        assert!(
            Pin::load(&path, &origin(), &keys()).is_err(),
            "an edited pin is refused"
        );
    }
}
