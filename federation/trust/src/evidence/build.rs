//! Building evidence from a registry's records, tree and map. Reads; judges nothing.

use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Canonical, DecodeError};
use carnet_domain::custody::Step;
use carnet_domain::custody::mail::{self, disclose, map_value_of};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Leaf, Subject};
use carnet_domain::log::map::{
    self, MapAnswer, MapFault, MapProof, MapValue, Page, PagePath, Pages,
};
use carnet_domain::log::merkle::{Nodes, consistency_proof, inclusion_proof};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::{ProvenHead, ProvenLeaf};
use carnet_domain::record::event::{model_status, slot};
use carnet_domain::record::{Model, ModelStanding};

use super::{EVIDENCE_VERSION, Evidence, Joined, ModelProof, OWN_STEPS_MAX, RobotProof};

/// Slots of an earlier custody leaf: code and link.
const SLOTS_OF_LINKS: &[u8] = &[slot::CODE, slot::CUSTODY];

/// What evidence is built from: a registry's records, tree and map at exactly the published size.
pub trait Reader: mail::Reader {
    /// A model with its standing (`machine::standing_now`).
    ///
    /// # Errors
    /// When it cannot be read.
    fn model(&self, id: &ModelId) -> Result<Option<(Model, ModelStanding)>, Self::Fault>;

    /// The newest steps by which this registry itself let a robot go or took it over (Depart, Admit, Return), with their leaf
    /// indices, oldest first: at least [`OWN_STEPS_MAX`] and one more, if there were so many. Other steps may be among them.
    ///
    /// # Errors
    /// When it cannot be read.
    fn own_steps(&self, code: &Code) -> Result<Vec<(Step, u64)>, Self::Fault>;
}

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError<F> {
    /// The medium failed.
    #[error("the log cannot be read")]
    Store(#[source] F),
    /// A leaf below the published size is not stored.
    #[error("leaf {0} is missing")]
    LeafMissing(u64),
    /// A subtree below the published size is not stored.
    #[error("node {1} of level {0} is missing")]
    NodeMissing(u8, u64),
    /// A page of the map is not stored.
    #[error("the map page at {0:?} is missing")]
    PageMissing(PagePath),
    /// A stored leaf does not decode.
    #[error("leaf {index} is damaged")]
    LeafDamaged {
        /// Its index.
        index: u64,
        /// Where and why.
        #[source]
        source: DecodeError,
    },
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
    /// Its size.
    pub size: u64,
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
    let stored = Stored(reader);
    let (map_head, map_root) = stored.map_head(size)?;
    let robot = robot_proof(&stored, code, &map_root, size, shown)?;
    let model = model_proof(&stored, &code.model_id(), &map_root)?;
    let newest = match &robot {
        RobotProof::Present { proven, .. } => Some(proven.index),
        _ => None,
    };
    let mut chain = Vec::new();
    let steps = reader.own_steps(code).map_err(BuildError::Store)?;
    let moves = steps.iter().rev().filter(|(step, index)| {
        matches!(step, Step::Depart | Step::Admit | Step::Return)
            && *index < size
            && Some(*index) != newest
    });
    for (_, index) in moves.take(OWN_STEPS_MAX) {
        chain.push(stored.proven(*index, size, SLOTS_OF_LINKS)?);
    }
    chain.reverse();
    Ok(Evidence {
        version: EVIDENCE_VERSION,
        code: *code,
        origin: published.origin,
        checkpoint: published.checkpoint.to_owned(),
        map_head,
        robot,
        model,
        chain,
        joined: None,
    })
}

/// That the published log extends the one of a size that the asker knows; nothing when it does not know a smaller one.
///
/// # Errors
/// The log cannot be read.
pub fn join<R: mail::Reader>(
    reader: &R,
    published: &Published<'_>,
    known_size: u64,
) -> Result<Option<Joined>, BuildError<R::Fault>> {
    if known_size == 0 || published.size <= known_size {
        return Ok(None);
    }
    let path = consistency_proof(&Stored(reader), known_size, published.size)?;
    let size = known_size;
    Ok(Some(Joined { size, path }))
}

fn robot_proof<R: Reader>(
    stored: &Stored<'_, R>,
    code: &Code,
    map_root: &Digest,
    size: u64,
    shown: &[u8],
) -> Result<RobotProof, BuildError<R::Fault>> {
    let key = Subject::robot(code).key();
    let (proof, answer) = stored.map_proof(map_root, &key, "map")?;
    let MapAnswer::Present(digest) = answer else {
        return Ok(RobotProof::Absent { proof });
    };
    let index = match stored.0.newest_of(code).map_err(BuildError::Store)? {
        Some(index) if index < size => index,
        _ => return Err(BuildError::Moved("robot")),
    };
    let record = stored.leaf(index)?;
    let leaf = stored.decoded(index, &record)?;
    let value = map_value_of(&record, &leaf, index)
        .filter(|value| value.digest() == digest)
        .ok_or(BuildError::Moved("robot"))?;
    Ok(RobotProof::Present {
        proven: stored.proven(index, size, shown)?,
        value,
        proof,
    })
}

fn model_proof<R: Reader>(
    stored: &Stored<'_, R>,
    id: &ModelId,
    map_root: &Digest,
) -> Result<Option<ModelProof>, BuildError<R::Fault>> {
    let found = stored.0.model(id).map_err(BuildError::Store)?;
    let key = Subject::model(id).key();
    let (proof, answer) = stored.map_proof(map_root, &key, "map")?;
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

/// The reader as tree and map ask it, with what must be there insisted on.
pub(super) struct Stored<'a, R>(pub(super) &'a R);

impl<R: mail::Reader> Stored<'_, R> {
    /// The map head of a log of this size, and the root of its map.
    pub(super) fn map_head(&self, size: u64) -> Result<(ProvenHead, Digest), BuildError<R::Fault>> {
        let last = size.checked_sub(1).ok_or(BuildError::NothingPublished)?;
        let head = self.leaf(last)?;
        let map_root = self.decoded(last, &head)?.record_root;
        let map_head = ProvenHead {
            index: last,
            leaf: head.leaf,
            path: inclusion_proof(self, last, size)?,
        };
        Ok((map_head, map_root))
    }

    pub(super) fn leaf(&self, index: u64) -> Result<LeafRecord, BuildError<R::Fault>> {
        let found = self.0.leaf(index).map_err(BuildError::Store)?;
        found.ok_or(BuildError::LeafMissing(index))
    }

    pub(super) fn decoded(
        &self,
        index: u64,
        record: &LeafRecord,
    ) -> Result<Leaf, BuildError<R::Fault>> {
        Leaf::from_bytes(&record.leaf.0).map_err(|source| BuildError::LeafDamaged { index, source })
    }

    pub(super) fn proven(
        &self,
        index: u64,
        size: u64,
        shown: &[u8],
    ) -> Result<ProvenLeaf, BuildError<R::Fault>> {
        let record = self.leaf(index)?;
        Ok(ProvenLeaf {
            index,
            path: inclusion_proof(self, index, size)?,
            disclosed: disclose(&record, shown),
            leaf: record.leaf,
        })
    }

    /// What the stored map says of a key, if it is the map of this root.
    pub(super) fn map_proof(
        &self,
        root: &Digest,
        key: &Digest,
        what: &'static str,
    ) -> Result<(MapProof, MapAnswer), BuildError<R::Fault>> {
        let proof = map::prove(self, key).map_err(|fault| match fault {
            MapFault::Store(error) => error,
            MapFault::Missing(path) => BuildError::PageMissing(path),
        })?;
        match proof.verify(root, key) {
            Ok(answer) => Ok((proof, answer)),
            Err(_) => Err(BuildError::Moved(what)),
        }
    }
}

impl<R: mail::Reader> Nodes for Stored<'_, R> {
    type Fault = BuildError<R::Fault>;
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Fault> {
        let found = self.0.node(level, index).map_err(BuildError::Store)?;
        found.ok_or(BuildError::NodeMissing(level, index))
    }
}

impl<R: mail::Reader> Pages for Stored<'_, R> {
    type Fault = BuildError<R::Fault>;
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault> {
        self.0.page(path).map_err(BuildError::Store)
    }
}
