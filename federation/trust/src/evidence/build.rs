//! Building evidence from a registry's records, tree and map. Reads; judges nothing.

use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::Step;
use carnet_domain::custody::mail::{disclose, map_value_of};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::Subject;
use carnet_domain::log::map::{self, MapAnswer, MapFault, MapProof, MapValue};
use carnet_domain::log::merkle::{consistency_proof, inclusion_proof};
use carnet_domain::machine::entry::{ProvenHead, ProvenLeaf};
use carnet_domain::record::event::{model_status, slot};
use carnet_domain::record::reader::{ReadError, Reader, Whole};

use super::{EVIDENCE_VERSION, Evidence, Frame, Joined, ModelProof, OWN_STEPS_MAX, RobotProof};

/// Slots of an earlier custody leaf: code and link.
const SLOTS_OF_LINKS: &[u8] = &[slot::CODE, slot::CUSTODY];

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError<F> {
    /// What it is made from cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError<F>),
    /// The checkpoint has no leaves.
    #[error("nothing is published")]
    NothingPublished,
    /// The records read are of another moment than the checkpoint.
    #[error("the {0} read is not of the published size")]
    Moved(&'static str),
}

/// The published head that evidence is built under.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The log.
    pub origin: Origin,
    /// The checkpoint, a signed note.
    pub checkpoint: &'a str,
    /// Leaves under it.
    pub size: u64,
}

impl Published<'_> {
    /// The frame of what is shown under it, joined to no other head.
    pub(super) fn frame(&self, map_head: ProvenHead) -> Frame {
        Frame {
            version: EVIDENCE_VERSION,
            origin: self.origin,
            checkpoint: self.checkpoint.to_owned(),
            map_head,
            joined: None,
        }
    }
}

/// Builds evidence about a code under the published checkpoint, with these slots of the robot shown.
///
/// # Errors
/// The log cannot be read, or `reader` reads another moment than `published`.
pub fn build<R: Reader>(
    reader: &R,
    published: &Published<'_>,
    code: &Code,
    shown: &[u8],
) -> Result<Evidence, BuildError<R::Fault>> {
    let size = published.size;
    let stored = Whole(reader);
    let (map_head, map_root) = map_head(&stored, size)?;
    let robot = robot_proof(&stored, code, &map_root, size, shown)?;
    let model = model_proof(&stored, &code.model_id(), &map_root)?;
    let newest = match &robot {
        RobotProof::Present { proven, .. } => Some(proven.index),
        _ => None,
    };
    let mut chain = Vec::new();
    // One more than is shown: the newest may be the robot's own leaf.
    let wanted = const { OWN_STEPS_MAX + 1 };
    let steps = reader.own_steps(code, wanted).map_err(ReadError::Store)?;
    let moves = steps.iter().rev().filter(|(step, index)| {
        matches!(step, Step::Depart | Step::Admit | Step::Return)
            && *index < size
            && Some(*index) != newest
    });
    for (_, index) in moves.take(OWN_STEPS_MAX) {
        chain.push(proven(&stored, *index, size, SLOTS_OF_LINKS)?);
    }
    chain.reverse();
    Ok(Evidence {
        frame: published.frame(map_head),
        code: *code,
        robot,
        model,
        chain,
    })
}

/// That the published log extends the one of a size that the asker knows; nothing when it does not know a smaller one.
///
/// # Errors
/// The log cannot be read.
pub fn join<R: Reader>(
    reader: &R,
    published: &Published<'_>,
    known_size: u64,
) -> Result<Option<Joined>, BuildError<R::Fault>> {
    if known_size == 0 || published.size <= known_size {
        return Ok(None);
    }
    let path = consistency_proof(&Whole(reader), known_size, published.size)?;
    let size = known_size;
    Ok(Some(Joined { size, path }))
}

fn robot_proof<R: Reader>(
    stored: &Whole<'_, R>,
    code: &Code,
    map_root: &Digest,
    size: u64,
    shown: &[u8],
) -> Result<RobotProof, BuildError<R::Fault>> {
    let key = Subject::robot(code).key();
    let (proof, answer) = map_proof(stored, map_root, &key, "map")?;
    let MapAnswer::Present(digest) = answer else {
        return Ok(RobotProof::Absent { proof });
    };
    let index = match stored.0.newest_of(code).map_err(ReadError::Store)? {
        Some(index) if index < size => index,
        _ => return Err(BuildError::Moved("robot")),
    };
    let record = stored.leaf(index)?;
    let leaf = stored.decoded(index, &record.leaf)?;
    let value = map_value_of(&record, &leaf, index)
        .filter(|value| value.digest() == digest)
        .ok_or(BuildError::Moved("robot"))?;
    Ok(RobotProof::Present {
        proven: proven(stored, index, size, shown)?,
        value,
        proof,
    })
}

fn model_proof<R: Reader>(
    stored: &Whole<'_, R>,
    id: &ModelId,
    map_root: &Digest,
) -> Result<Option<ModelProof>, BuildError<R::Fault>> {
    let found = stored.0.model(id).map_err(ReadError::Store)?;
    let key = Subject::model(id).key();
    let (proof, answer) = map_proof(stored, map_root, &key, "map")?;
    let MapAnswer::Present(digest) = answer else {
        return Ok(None);
    };
    let (model, standing) = found.ok_or(BuildError::Moved("model"))?;
    let head = model.head.ok_or(BuildError::Moved("model"))?;
    let value = MapValue {
        status: u8::try_from(model_status(model.status).number()).unwrap_or(u8::MAX),
        seq: head.seq,
        leaf_index: head.leaf_index,
        leaf_hash: head.leaf_hash,
        facts: standing.digest(),
    };
    if value.digest() != digest {
        return Err(BuildError::Moved("model"));
    }
    Ok(Some(ModelProof {
        standing,
        value,
        proof,
    }))
}

/// The map head of a log of this size, and the root of its map.
pub(super) fn map_head<R: Reader>(
    stored: &Whole<'_, R>,
    size: u64,
) -> Result<(ProvenHead, Digest), BuildError<R::Fault>> {
    let head = stored.map_head(size)?.ok_or(BuildError::NothingPublished)?;
    let map_root = stored.decoded(head.index, &head.leaf)?.record_root;
    Ok((head, map_root))
}

/// A leaf under the checkpoint of a size, with these slots shown.
pub(super) fn proven<R: Reader>(
    stored: &Whole<'_, R>,
    index: u64,
    size: u64,
    shown: &[u8],
) -> Result<ProvenLeaf, BuildError<R::Fault>> {
    let record = stored.leaf(index)?;
    Ok(ProvenLeaf {
        index,
        path: inclusion_proof(stored, index, size)?,
        disclosed: disclose(&record, shown),
        leaf: record.leaf,
    })
}

/// What the stored map says of a key, if it is the map of this root.
pub(super) fn map_proof<R: Reader>(
    stored: &Whole<'_, R>,
    root: &Digest,
    key: &Digest,
    what: &'static str,
) -> Result<(MapProof, MapAnswer), BuildError<R::Fault>> {
    let proof = map::prove(stored, key).map_err(|fault| match fault {
        MapFault::Store(error) => error,
        MapFault::Missing(path) => ReadError::PageMissing(path),
    })?;
    match proof.verify(root, key) {
        Ok(answer) => Ok((proof, answer)),
        Err(_) => Err(BuildError::Moved(what)),
    }
}
