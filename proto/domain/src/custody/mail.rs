//! A mailbox handed to its peer: own leaves, opened as far as the peer may see, proven under the newest published
//! checkpoint.
//!
//! Pure: leaves, tree and map are read through [`Reader`](crate::record::reader::Reader). What the receiver makes of it is in `foreign`.

use crate::bytes::code::{Code, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Canonical, DecodeError};
use crate::custody::links::{self, Piece};
use crate::custody::{Link, Step};
use crate::limits::LATER_LEAVES_MAX;
use crate::log::checkpoint::Origin;
use crate::log::leaf::{Disclosure, Kind, Leaf, SLOT_COUNT, Slots, leaf_bytes_hash};
use crate::log::map::{self, MapFault, MapValue, RobotStatus};
use crate::log::merkle::{consistency_proof, inclusion_proof};
use crate::log::stored::LeafRecord;
use crate::machine::entry::{ChainRun, MailBatch, MailItem, NewestProof, ProvenLeaf};
use crate::record::event::slot;
use crate::record::reader::{ReadError, Reader, Whole};
use crate::record::registry::Registry;

/// Why there is no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError<F> {
    /// What it is made from cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError<F>),
    /// No checkpoint was published yet.
    #[error("no checkpoint is published")]
    NothingPublished,
    /// The follower knows a larger log than was ever published here: one of the two was rolled back.
    #[error("the follower knows {known} leaves, published are {published}")]
    FollowerAhead {
        /// What the follower knows.
        known: u64,
        /// Size of the log at the newest head published here, in leaves.
        published: u64,
    },
}

/// Slots of a custody step that its two parties show each other: all.
const PARTIES: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// Slots of a custody step that others see: without owner, operator, personal part and secret, and without the event, whose command names
/// the same parties, what they agreed, and why. Of the step itself the link says all that they need.
const BYSTANDERS: &[u8] = &[0, 1, 2, 3, 4, 5, 8, 9, 12, 14, 15];
/// Slots of an end of life: with what ends with it, the robot's own key too.
const END: &[u8] = &[0, 1, 2, 4, 5, 8, 10, 12, 14];
/// Slots of a hold, a recall, a change of approval or standing.
const NOTICE: &[u8] = &[0, 1, 2, 4, 8, 10, 12, 14];

/// Which slots of a leaf of this kind are shown to a peer. `link` is its slot 12.
pub fn slots_shown(kind: Kind, link: Option<&Link>, to: &Prefix) -> &'static [u8] {
    match (kind, link) {
        (Kind::Custody, Some(link)) if link.to == *to || link.from == Some(*to) => PARTIES,
        (Kind::Custody, _) => BYSTANDERS,
        (Kind::LifeCycle, _) => END,
        _ => NOTICE,
    }
}

/// Items of the mailbox for the peer `to`, proven under the published checkpoint of `registry`.
///
/// `items` are mailbox sequence and own leaf index, ascending; `known_size` is the largest size of this log that the
/// peer verified (0 for none). The batch ends before the first item that is not yet published, before a departure
/// while the map stands at a size that is not yet published, once `bytes_max` is reached, and with an item that is too large
/// to be carried; its first item is always taken. `registry` and what `reader` reads must be of one moment.
///
/// # Errors
/// Nothing is published, the follower is ahead, or the log cannot be read.
pub fn batch<R: Reader>(
    reader: &R,
    registry: &Registry,
    to: &Prefix,
    known_size: u64,
    items: impl IntoIterator<Item = (u64, u64)>,
    bytes_max: usize,
) -> Result<MailBatch, MailError<R::Fault>> {
    let published = registry
        .published
        .as_ref()
        .ok_or(MailError::NothingPublished)?;
    let size = published.size;
    if size < known_size {
        return Err(MailError::FollowerAhead {
            known: known_size,
            published: size,
        });
    }
    let map_is_published = registry.sealed.as_ref().map(|sealed| sealed.size) == Some(size);
    let stored = Whole(reader);
    let mut out = MailBatch {
        peer: registry.prefix,
        checkpoint: registry.checkpoint.clone(),
        map_head: stored.map_head(size)?.ok_or(MailError::NothingPublished)?,
        consistency: consistency_proof(&stored, known_size, size)?,
        items: Vec::new(),
        large: None,
    };
    let mut bytes_left = bytes_max;
    for (sequence, index) in items {
        if size <= index {
            break;
        }
        let record = stored.leaf(index)?;
        let leaf = stored.decoded(index, &record.leaf)?;
        let link = link_of(&record).map_err(|source| ReadError::LeafDamaged { index, source })?;
        let newest = match departs(&leaf, link.as_ref(), registry.prefix) {
            true if !map_is_published => break,
            true => Some(newest(&stored, (&record, &leaf, index), size)?),
            false => None,
        };
        let offers = leaf.kind == Kind::Custody;
        let offer = link.as_ref();
        let offer = offer.filter(|link| offers && link.step == Step::Offer && link.to == *to);
        let chain = match offer {
            Some(offer) => chain(&stored, registry, (&record, offer), size)?,
            None => Vec::new(),
        };
        let proven = ProvenLeaf {
            index,
            path: inclusion_proof(&stored, index, size)?,
            disclosed: disclose(&record, slots_shown(leaf.kind, link.as_ref(), to)),
            leaf: record.leaf,
        };
        let item = MailItem {
            sequence,
            proven,
            newest,
            chain,
        };
        // Whoever reads this takes nothing behind it, and can say why.
        if item.is_large() {
            out.large = Some(item.in_short());
            break;
        }
        match bytes_left.checked_sub(item.to_bytes().len()) {
            Some(left) => bytes_left = left,
            None if out.items.is_empty() => bytes_left = 0,
            None => break,
        }
        out.items.push(item);
    }
    Ok(out)
}

/// The steps of a robot that lead to an offer of it: our own under the published checkpoint of `size` leaves, those of others as they
/// were proven to us.
///
/// # Errors
/// The log cannot be read.
pub fn chain<R: Reader>(
    stored: &Whole<'_, R>,
    registry: &Registry,
    (record, offer): (&LeafRecord, &Link),
    size: u64,
) -> Result<Vec<ChainRun>, ReadError<R::Fault>> {
    let me = registry.prefix;
    let origin = Origin {
        prefix: me,
        incarnation: registry.incarnation,
    };
    let way = links::way(
        me,
        (record.step_before, offer.prev),
        |index| stored.0.leaf(index),
        |id| stored.0.transfer(id),
    );
    let mut way = way.map_err(ReadError::Store)?;
    let issuer = code_of(record).map(|code| code.prefix());
    if issuer == Some(me) || issuer == Some(offer.to) {
        way = way.shortened(me);
    }
    let mut runs = Vec::new();
    for piece in way.pieces {
        match piece {
            Piece::Shown(run) => {
                let ours = links::is_of(&run, &origin);
                for leaf in &run.leaves {
                    // Of our own log, as somebody showed it to us: it stands under the head of today too, whatever became of the key
                    // of then.
                    let own = match ours && leaf.index < size {
                        true => stored.0.leaf(leaf.index).map_err(ReadError::Store)?,
                        false => None,
                    };
                    match own.is_some_and(|own| own.leaf == leaf.leaf) {
                        true => own_step(stored, leaf.index, size, &mut runs)?,
                        false => links::add(&mut runs, &run.checkpoint, leaf),
                    }
                }
            }
            Piece::Own { index, .. } => own_step(stored, index, size, &mut runs)?,
        }
    }
    Ok(runs)
}

/// Adds a step of our own, under the head of the message.
fn own_step<R: Reader>(
    stored: &Whole<'_, R>,
    index: u64,
    size: u64,
    runs: &mut Vec<ChainRun>,
) -> Result<(), ReadError<R::Fault>> {
    let record = stored.leaf(index)?;
    let step = ProvenLeaf {
        index,
        path: inclusion_proof(stored, index, size)?,
        disclosed: disclose(&record, &[slot::CUSTODY]),
        leaf: record.leaf,
    };
    links::add(runs, "", &step);
    Ok(())
}

/// The slots of a stored leaf, some shown, the others behind their hashes.
pub fn disclose(record: &LeafRecord, shown: &[u8]) -> Disclosure {
    let mut slots = Slots::new();
    for (slot, value) in slots.values.iter_mut().zip(&record.values) {
        *slot = value.as_ref().map(|value| value.0.clone());
    }
    debug_assert!(record.values.len() <= SLOT_COUNT, "a leaf has 16 slots");
    slots.disclose(&record.seed, shown)
}

/// What the map shows of a stored leaf's subject while the leaf is its newest; `None` when the leaf changed no value of
/// that form (only models have facts).
pub fn map_value_of(record: &LeafRecord, leaf: &Leaf, index: u64) -> Option<MapValue> {
    let (_, digest) = record.map.iter().find(|(key, _)| *key == leaf.key)?;
    let leaf_hash = leaf_bytes_hash(&record.leaf.0);
    RobotStatus::ALL
        .iter()
        .map(|status| MapValue {
            status: status.number() as u8,
            seq: leaf.seq,
            leaf_index: index,
            leaf_hash,
            facts: Digest::ZERO,
        })
        .find(|value| value.digest() == *digest)
}

fn link_of(record: &LeafRecord) -> Result<Option<Link>, DecodeError> {
    match record.values.get(usize::from(slot::CUSTODY)) {
        // level: a leaf of our own.
        Some(Some(bytes)) => Link::from_bytes(&bytes.0).map(Some),
        _ => Ok(None),
    }
}

/// The code of the robot that a leaf is about.
fn code_of(record: &LeafRecord) -> Option<Code> {
    let value = record.values.get(usize::from(slot::CODE))?.as_ref()?;
    // level: a leaf of our own.
    Code::parse(&String::from_bytes(&value.0).ok()?).ok()
}

/// Whether a leaf is our own departure of a robot.
fn departs(leaf: &Leaf, link: Option<&Link>, me: Prefix) -> bool {
    let depart = |link: &Link| link.step == Step::Depart && link.from == Some(me);
    leaf.kind == Kind::Custody && link.is_some_and(depart)
}

/// The proof that no custody step follows the departure of a robot; leaves after it (corrections, alarms) are shown.
fn newest<R: Reader>(
    stored: &Whole<'_, R>,
    departure: (&LeafRecord, &Leaf, u64),
    size: u64,
) -> Result<NewestProof, MailError<R::Fault>> {
    let (mut record, mut leaf, mut index) = (departure.0.clone(), departure.1.clone(), departure.2);
    let mut later = Vec::new();
    // From the newest leaf back to the departure. A ledger in memory may hold more than is published, a view does not.
    let mut next = match code_of(&record) {
        Some(code) => stored.0.newest_of(&code).map_err(ReadError::Store)?,
        None => None,
    };
    while let Some(at) = next.filter(|at| *at >= size) {
        next = stored.leaf(at)?.before;
    }
    if let Some(at) = next.filter(|at| *at > departure.2) {
        index = at;
        record = stored.leaf(at)?;
        leaf = stored.decoded(at, &record.leaf)?;
    }
    let behind = leaf.seq.checked_sub(departure.1.seq);
    // Where there are too many to show, the map's value alone says how many.
    if behind.is_some_and(|behind| behind <= LATER_LEAVES_MAX as u64) {
        let mut shown = (record.clone(), index);
        while shown.1 > departure.2 {
            let before = shown.0.before.filter(|before| *before < shown.1);
            let before = before.ok_or(ReadError::LeafMissing(shown.1))?;
            later.push(shown.0.leaf);
            shown = (stored.leaf(before)?, before);
        }
        later.reverse();
    }
    let proof = map::prove(stored, &leaf.key).map_err(|fault| match fault {
        MapFault::Store(error) => error,
        MapFault::Missing(path) => ReadError::PageMissing(path),
    })?;
    Ok(NewestProof {
        later,
        value: map_value_of(&record, &leaf, index).ok_or(ReadError::LeafMissing(index))?,
        proof,
        map_head: stored.map_head(size)?.ok_or(MailError::NothingPublished)?,
    })
}
