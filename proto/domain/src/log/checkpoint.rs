//! Checkpoints: the head of a log as a C2SP signed note.
//!
//! ```text
//! carnet/<prefix>/<incarnation>\n      origin
//! <size>\n                             decimal, no leading zeros
//! <root>\n                             base64
//! \n
//! — <name> <base64(key hash 4 ‖ signature 64)>\n
//! ```
//! Extension lines are refused. Signature lines of other keys (witnesses, other algorithms) are kept and not judged.
//! Sources: C2SP signed-note, C2SP tlog-checkpoint.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::bytes::code::{CodeError, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::signature::{PublicKey, SecretKey, Signature, verify};
use crate::canonical_struct;
use crate::limits::{
    INDEX_MAX, Index, NOTE_BYTES_MAX, NOTE_SIGNATURE_COUNT_MAX, SEQUENCE_MAX, Sequence,
};

/// C2SP algorithm byte of a plain Ed25519 note signature.
const ALG_ED25519: u8 = 0x01;
const SIGNATURE_START: &str = "\u{2014} ";

/// The name of a log: `carnet/<prefix>/<incarnation>`. A restored registry has a new incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Primary prefix of the registry.
    pub prefix: Prefix,
    /// Counts restores; 0-based.
    pub incarnation: u64,
}

canonical_struct!(Origin {
    prefix,
    incarnation: Sequence
});

/// Why a text is not an origin line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not of the form `carnet/<prefix>/<incarnation>`.
    #[error("an origin has the form carnet/<prefix>/<incarnation>")]
    Form,
    /// The prefix is none.
    #[error("the origin has no prefix")]
    Prefix(#[source] CodeError),
}

impl Origin {
    /// Reads an origin line.
    ///
    /// # Errors
    /// When the text is not the one text of an origin.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let rest = text.strip_prefix("carnet/").ok_or(OriginError::Form)?;
        let (prefix, incarnation) = rest.split_once('/').ok_or(OriginError::Form)?;
        let prefix = Prefix::parse(prefix).map_err(OriginError::Prefix)?;
        let incarnation = decimal(incarnation)
            .filter(|incarnation| *incarnation <= SEQUENCE_MAX)
            .ok_or(OriginError::Form)?;
        let origin = Self {
            prefix,
            incarnation,
        };
        if origin.to_string() == text {
            Ok(origin)
        } else {
            Err(OriginError::Form)
        }
    }

    /// The key hash in signature lines: `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)[..4]`.
    pub fn key_hash(&self, key: &PublicKey) -> [u8; 4] {
        note_key_hash(&self.to_string(), key)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "carnet/{}/{}", self.prefix, self.incarnation)
    }
}

impl std::str::FromStr for Origin {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse(text)
    }
}

fn note_key_hash(name: &str, key: &PublicKey) -> [u8; 4] {
    let digest = sha256(&[name.as_bytes(), &[0x0a, ALG_ED25519], key.as_bytes()]);
    let mut out = [0; 4];
    out.copy_from_slice(&digest.0[..4]);
    out
}

/// A number in the one decimal form: no sign, no leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let canonical =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok())?
}

/// The head of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checkpoint {
    /// The log.
    pub origin: Origin,
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

canonical_struct!(Checkpoint {
    origin,
    size: Index,
    root
});

impl Checkpoint {
    /// The note text: what is signed.
    pub fn body(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0)
        )
    }

    /// Reads exactly three lines.
    fn parse(body: &str) -> Result<Self, NoteError> {
        let lines: Vec<&str> = body
            .strip_suffix('\n')
            .ok_or(NoteError::Form)?
            .split('\n')
            .collect();
        let [origin, size, root] = lines[..] else {
            return Err(if lines.len() > 3 {
                NoteError::Extension
            } else {
                NoteError::Form
            });
        };
        let origin = Origin::parse(origin).map_err(NoteError::Origin)?;
        let size = decimal(size)
            .filter(|size| *size <= INDEX_MAX)
            .ok_or(NoteError::Size)?;
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| root.try_into().ok());
        let root = Digest(root.ok_or(NoteError::Root)?);
        Ok(Self { origin, size, root })
    }

    /// As its log: the text of the note ends with the signature of this key.
    pub fn sign(&self, key: &SecretKey) -> SignedCheckpoint {
        self.assemble(&key.public(), &key.sign(self.body().as_bytes()))
    }

    /// Joins the checkpoint and a signature made elsewhere over [`Checkpoint::body`]; it is not verified here.
    pub fn assemble(&self, key: &PublicKey, signature: &Signature) -> SignedCheckpoint {
        self.assemble_all([(key, signature)])
    }

    /// As [`Checkpoint::assemble`], with a line for each key, in the order given.
    pub fn assemble_all<'a>(
        &self,
        signatures: impl IntoIterator<Item = (&'a PublicKey, &'a Signature)>,
    ) -> SignedCheckpoint {
        let lines = signatures.into_iter().map(|(key, signature)| {
            let hash = self.origin.key_hash(key);
            let blob = STANDARD.encode([&hash[..], &signature.0].concat());
            format!("{SIGNATURE_START}{} {blob}\n", self.origin)
        });
        let lines: String = lines.collect();
        SignedCheckpoint(format!("{}\n{lines}", self.body()))
    }
}

/// The text of a signed note, not verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedCheckpoint(String);

impl SignedCheckpoint {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, taken out.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Adds the line of another signer (a witness); see [`NoteLine::parse`] for its form.
    ///
    /// # Errors
    /// When the line has not the form of a signature line.
    pub fn with_line(mut self, line: &str) -> Result<Self, NoteError> {
        NoteLine::parse(line)?;
        self.0.push_str(line);
        self.0.push('\n');
        Ok(self)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a checkpoint signed by the key and of the log expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than allowed.
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8, or with control characters.
    #[error("the note has bytes that a note may not have")]
    Text,
    /// The parts of a note are not there.
    #[error("the text has not the form of a signed note with three lines")]
    Form,
    /// Lines follow the root.
    #[error("the checkpoint has extension lines")]
    Extension,
    /// The first line is not an origin.
    #[error("the origin line is not one of ours")]
    Origin(#[source] OriginError),
    /// The second line is not a size.
    #[error("the size line is not a decimal number without leading zeros")]
    Size,
    /// The third line is not a root.
    #[error("the root line is not the base64 of 32 bytes")]
    Root,
    /// A signature line is malformed, or there are too many.
    #[error("a signature line is malformed, or there are more than {NOTE_SIGNATURE_COUNT_MAX}")]
    Line,
    /// Another log than the one asked for.
    #[error("the checkpoint is of {found}, not of {expected}")]
    OtherLog {
        /// The log asked for.
        expected: Origin,
        /// The log of the note.
        found: Origin,
    },
    /// No line, or more than one, is of the key.
    #[error("the note has {0} lines of the log key, not one")]
    Unsigned(usize),
    /// The log key that signed it was not in use yet.
    #[error("the log key that signed it was not in use yet at size {size}")]
    KeyTooNew {
        /// Size of the head.
        size: u64,
    },
    /// The log key that signed it had been retired.
    #[error(
        "the log key that signed it was retired with the head of size {last}, and this one, of size {size}, is none of its time"
    )]
    KeyRetired {
        /// Size of the head.
        size: u64,
        /// Size of the last head of the key's time.
        last: u64,
    },
    /// The log key that signed it was stolen.
    #[error(
        "the log key that signed it was compromised: of its heads that of size {last} alone is believed, and this one has size {size}"
    )]
    KeyCompromised {
        /// Size of the head.
        size: u64,
        /// Size of the last head that its country stands by.
        last: u64,
    },
    /// The line of the key does not verify.
    #[error("the signature of the log key does not verify")]
    Signature,
}

/// A signature line of a note, not judged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteLine {
    name: String,
    key_hash: [u8; 4],
    signature: Vec<u8>,
}

impl NoteLine {
    /// Reads `— <name> <base64>` without its line end.
    ///
    /// # Errors
    /// [`NoteError::Line`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let rest = line.strip_prefix(SIGNATURE_START).ok_or(NoteError::Line)?;
        let (name, blob) = rest.split_once(' ').ok_or(NoteError::Line)?;
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
        {
            return Err(NoteError::Line);
        }
        let blob = STANDARD.decode(blob).map_err(|_| NoteError::Line)?;
        let (key_hash, signature) = blob.split_first_chunk::<4>().ok_or(NoteError::Line)?;
        if signature.is_empty() {
            return Err(NoteError::Line);
        }
        Ok(Self {
            name: name.to_owned(),
            key_hash: *key_hash,
            signature: signature.to_vec(),
        })
    }

    /// The name of the signer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of name and key.
    pub fn key_hash(&self) -> [u8; 4] {
        self.key_hash
    }

    /// The bytes after the key hash; their form depends on the algorithm of the key.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// A checkpoint whose log key signature verified. Only [`open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    text: String,
    others: Vec<NoteLine>,
}

impl VerifiedCheckpoint {
    /// Which is believed from here on: size, root and origin.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        &self.checkpoint.origin
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root over them.
    pub fn root(&self) -> &Digest {
        &self.checkpoint.root
    }

    /// The text as it was received.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines of other signers, not judged.
    pub fn others(&self) -> &[NoteLine] {
        &self.others
    }
}

/// Reads the head of a note without judging any signature: to choose the key with, never to believe.
///
/// # Errors
/// What is wrong with the text.
pub fn peek(text: &str) -> Result<Checkpoint, NoteError> {
    split(text).map(|(_, checkpoint, _)| checkpoint)
}

/// Opens a signed checkpoint of a log.
///
/// # Errors
/// What is wrong with the text, or that the key did not sign it.
pub fn open(text: &str, key: &PublicKey, origin: &Origin) -> Result<VerifiedCheckpoint, NoteError> {
    let (body, checkpoint, lines) = split(text)?;
    if checkpoint.origin != *origin {
        return Err(NoteError::OtherLog {
            expected: *origin,
            found: checkpoint.origin,
        });
    }
    let (name, hash) = (origin.to_string(), origin.key_hash(key));
    let ours = |line: &NoteLine| line.name == name && line.key_hash == hash;
    let (mine, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(ours);
    let [line] = &mine[..] else {
        return Err(NoteError::Unsigned(mine.len()));
    };
    let signature = Signature::of_slice(&line.signature).ok_or(NoteError::Signature)?;
    verify(key, body.as_bytes(), &signature).map_err(|_| NoteError::Signature)?;
    Ok(VerifiedCheckpoint {
        checkpoint,
        text: text.to_owned(),
        others,
    })
}

/// Body, checkpoint and signature lines of a note.
fn split(text: &str) -> Result<(&str, Checkpoint, Vec<NoteLine>), NoteError> {
    if text.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLong);
    }
    if text.contains(|c: char| c != '\n' && c.is_control()) {
        return Err(NoteError::Text);
    }
    // The last empty line ends the body, which keeps its own line end.
    let border = text.rfind("\n\n").ok_or(NoteError::Form)?;
    let end = border.checked_add(1).ok_or(NoteError::Form)?;
    let (body, rest) = text.split_at_checked(end).ok_or(NoteError::Form)?;
    let signatures = rest.strip_prefix('\n').ok_or(NoteError::Form)?;
    let checkpoint = Checkpoint::parse(body)?;
    let lines = signatures.strip_suffix('\n').ok_or(NoteError::Form)?;
    let lines = lines
        .split('\n')
        .map(NoteLine::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if lines.len() > NOTE_SIGNATURE_COUNT_MAX {
        return Err(NoteError::Line);
    }
    Ok((body, checkpoint, lines))
}
