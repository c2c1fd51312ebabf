//! Evidence about a subject of a log that is no robot: an enterprise, a type approval, a recall.
//!
//! ```text
//! [ frame, subject, found ]
//! found   [1, proven leaf, map value, map proof]   the newest leaf of the subject, proven to be the newest
//!         [2, map proof]                           there is no such subject in this log
//! ```
//! The record stands in slot 1 of the newest leaf. What is not part of what a registry signs is not in it: where its leaf
//! stands ([`ProvenSubject::leaf`] says that), and the daily counts of an enterprise.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::foreign::{Proven, prove};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{SlotError, Subject};
use carnet_domain::log::map::{MapAnswer, MapProof, MapValue, SubjectStatus};
use carnet_domain::machine::entry::ProvenLeaf;
use carnet_domain::record::event::slot;
use carnet_domain::record::keys::KeyHistory;
use carnet_domain::record::reader::{Reader, Whole};

use super::build::{BuildError, Published, map_head, map_proof, proven};
use super::{EvidenceError, Frame, LogHead, framed, known_version, newest_by_map};

/// Slots of a subject's leaf that evidence shows: its name and its record.
const SLOTS: &[u8] = &[slot::CODE, slot::MODEL];

/// What the log says of a subject.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it at a time, and it is read at once"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectProof {
    /// Its newest leaf, and the proof that it is the newest.
    Present {
        /// Its slots as far as they are shown, and its place in the log.
        proven: ProvenLeaf,
        /// What the map says of it.
        value: MapValue,
        /// The way from there to the map root.
        proof: MapProof,
    },
    /// There is no such subject.
    Absent {
        /// Proof of absence.
        proof: MapProof,
    },
}
carnet_domain::canonical_variants!(SubjectProof {
    1 => Present { proven, value, proof },
    2 => Absent { proof },
});

/// Evidence as it was received: nothing of it is believed before [`SubjectEvidence::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectEvidence {
    /// Under which head of which log.
    pub frame: Frame,
    /// The subject asked for.
    pub subject: Subject,
    /// What stands of it under that head, or that nothing does.
    pub found: SubjectProof,
}
carnet_domain::canonical_struct!(SubjectEvidence {
    frame,
    subject,
    found
});

/// What is proven of a subject. Only [`SubjectEvidence::verify`] makes one.
#[derive(Debug, Clone)]
pub struct ProvenSubject {
    subject: Subject,
    head: LogHead,
    leaf: Option<Proven>,
}

impl ProvenSubject {
    /// Of whom it is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The log head it is proven under.
    pub fn head(&self) -> &LogHead {
        &self.head
    }

    /// Its newest leaf; `None` when it is proven that this log has no such subject.
    pub fn leaf(&self) -> Option<&Proven> {
        self.leaf.as_ref()
    }

    /// Its record as of the newest leaf; `None` when there is no such subject.
    ///
    /// # Errors
    /// The record is not shown, or of another form.
    pub fn record<T: Canonical>(&self) -> Result<Option<T>, SlotError> {
        let Some(leaf) = &self.leaf else {
            return Ok(None);
        };
        let record = leaf.slots().get(slot::MODEL)?;
        record.map(Some).ok_or(SlotError::Hidden(slot::MODEL))
    }
}

/// Reads evidence about a subject.
///
/// # Errors
/// Too many bytes, not canonical, or of a version not known.
pub fn parse_subject(bytes: &[u8]) -> Result<SubjectEvidence, EvidenceError> {
    framed(bytes, |evidence: &SubjectEvidence| &evidence.frame)
}

impl SubjectEvidence {
    /// Verifies everything that is shown under the log's keys.
    ///
    /// # Errors
    /// The first field that does not hold.
    pub fn verify(
        &self,
        keys: &KeyHistory,
        origin: &Origin,
    ) -> Result<ProvenSubject, EvidenceError> {
        let head = self.frame.verify(keys, origin)?;
        let key = self.subject.key();
        let broken = |detail: &str| Err(EvidenceError::Subject(detail.to_owned()));
        let leaf = match &self.found {
            SubjectProof::Absent { proof } => match proof.verify(head.map_root(), &key) {
                Ok(MapAnswer::Absent) => None,
                Ok(MapAnswer::Present(_)) => return broken("said to be absent, the map has it"),
                Err(error) => return Err(EvidenceError::SubjectMap(error)),
            },
            SubjectProof::Present {
                proven,
                value,
                proof,
            } => {
                let checkpoint = head.checkpoint();
                let leaf = prove(proven, checkpoint.size(), checkpoint.root())
                    .map_err(|why| EvidenceError::Subject(why.to_string()))?;
                known_version(leaf.leaf())?;
                if leaf.leaf().key != key {
                    return broken("the leaf is of another subject");
                }
                match proof.verify(head.map_root(), &key) {
                    Ok(MapAnswer::Present(digest)) if digest == value.digest() => {}
                    Ok(_) => return broken("the map has another value"),
                    Err(error) => return Err(EvidenceError::SubjectMap(error)),
                }
                if !newest_by_map(value, &leaf) {
                    return broken("the map shows another leaf as the newest");
                }
                Some(leaf)
            }
        };
        Ok(ProvenSubject {
            subject: self.subject.clone(),
            head,
            leaf,
        })
    }
}

/// Where the newest leaf of a subject stands, and what else the map says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Its index in the log.
    pub index: u64,
    /// Digest of the standing of a model; of anything else zero.
    pub facts: Digest,
}

/// Builds evidence about a subject under the published checkpoint. `newest` is none when there is no record of it.
///
/// # Errors
/// The log cannot be read, or what was read is of another moment than `published`.
pub fn build_subject<R: Reader>(
    reader: &R,
    published: &Published<'_>,
    subject: Subject,
    newest: Option<Newest>,
) -> Result<SubjectEvidence, BuildError<R::Fault>> {
    let stored = Whole(reader);
    let (map_head, map_root) = map_head(&stored, published.size)?;
    let (proof, answer) = map_proof(&stored, &map_root, &subject.key(), "map")?;
    let found = match (answer, newest) {
        (MapAnswer::Absent, _) => SubjectProof::Absent { proof },
        (MapAnswer::Present(digest), Some(newest)) if newest.index < published.size => {
            let proven = proven(&stored, newest.index, published.size, SLOTS)?;
            let value = value_of(&stored, &newest, digest)?;
            SubjectProof::Present {
                proven,
                value,
                proof,
            }
        }
        (MapAnswer::Present(_), _) => return Err(BuildError::Moved("subject")),
    };
    Ok(SubjectEvidence {
        frame: published.frame(map_head),
        subject,
        found,
    })
}

/// The value whose digest the map has, of the newest leaf.
fn value_of<R: Reader>(
    stored: &Whole<'_, R>,
    newest: &Newest,
    digest: Digest,
) -> Result<MapValue, BuildError<R::Fault>> {
    let record = stored.leaf(newest.index)?;
    let leaf = stored.decoded(newest.index, &record.leaf)?;
    let of_status = |status: &SubjectStatus| MapValue {
        status: status.number() as u8,
        seq: leaf.seq,
        leaf_index: newest.index,
        leaf_hash: carnet_domain::log::leaf::leaf_bytes_hash(&record.leaf.0),
        facts: newest.facts,
    };
    let values = SubjectStatus::ALL.iter().map(of_status);
    let mut fitting = values.filter(|value| value.digest() == digest);
    fitting.next().ok_or(BuildError::Moved("subject"))
}
