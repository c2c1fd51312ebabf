//! The trail of a robot: the custody steps that its leaves in this log tell of, own and foreign. It is read from the
//! leaves; nothing is stored for it but where the one before stands.

use std::ops::ControlFlow;

use crate::bytes::code::Prefix;
use crate::bytes::encoding::{Canonical, DecodeError};
use crate::custody::movement::{EvidenceRef, Movement};
use crate::custody::{Link, Step};
use crate::log::checkpoint::Origin;
use crate::log::leaf::{Kind, leaf_bytes_hash};
use crate::log::stored::LeafRecord;
use crate::record::event::slot;
use crate::record::reader::{ReadError, Reader, Whole};
use crate::rules::command::Command;

/// Why a trail cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailError<F> {
    /// What it is read from cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError<F>),
    /// A leaf of the trail tells of no custody step.
    #[error("leaf {0} is not a custody step")]
    NoStep(u64),
}

/// The custody steps from leaf `newest` ([`crate::log::head::Head::step`]) backwards, at most `count_max` of them, oldest
/// first. `me` is the primary prefix of this registry.
///
/// # Errors
/// The log cannot be read.
pub fn trail<R: Reader>(
    reader: &R,
    me: Prefix,
    newest: Option<u64>,
    count_max: usize,
) -> Result<Vec<Movement>, TrailError<R::Fault>> {
    let mut found = Vec::new();
    walk(reader, me, newest, |movement| {
        if found.len() < count_max {
            found.push(movement);
        }
        match found.len() < count_max {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    found.reverse();
    Ok(found)
}

/// Shows the custody steps from leaf `newest` backwards, newest first, until `see` has seen enough.
///
/// # Errors
/// The log cannot be read.
pub fn walk<R: Reader>(
    reader: &R,
    me: Prefix,
    newest: Option<u64>,
    mut see: impl FnMut(Movement) -> ControlFlow<()>,
) -> Result<(), TrailError<R::Fault>> {
    let mut next = newest;
    while let Some(index) = next {
        let record = Whole(reader).leaf(index)?;
        if see(movement(reader, me, index, &record)?).is_break() {
            break;
        }
        // Only what is earlier, so that this ends.
        next = record.step_before.filter(|earlier| *earlier < index);
    }
    Ok(())
}

fn movement<R: Reader>(
    reader: &R,
    me: Prefix,
    index: u64,
    record: &LeafRecord,
) -> Result<Movement, TrailError<R::Fault>> {
    let damaged = |source| ReadError::LeafDamaged { index, source };
    let leaf = Whole(reader).decoded(index, &record.leaf)?;
    let foreign = value::<Vec<EvidenceRef>>(record, slot::EVIDENCE).map_err(damaged)?;
    let foreign = foreign.and_then(|mut all| all.pop());
    if let (Kind::Foreign, Some(foreign)) = (leaf.kind, foreign) {
        let (Some(link), Some(at)) = (foreign.link, foreign.at) else {
            return Err(TrailError::NoStep(index));
        };
        let origin = Origin::parse(&foreign.origin);
        // What is no command that this binary knows names no place.
        let command = value::<Command>(record, slot::EVENT).ok().flatten();
        return Ok(Movement {
            step: link.step,
            transfer: link.transfer,
            epoch: link.epoch,
            from: link.from,
            to: link.to,
            writer: origin.map_or(link.writer(), |origin| origin.prefix),
            at,
            seen: leaf.t_ms,
            place: command.as_ref().and_then(place_of).unwrap_or_default(),
            leaf: foreign.leaf,
            leaf_index: foreign.index,
        });
    }
    let command = value::<Command>(record, slot::EVENT).map_err(damaged)?;
    let link = value::<Link>(record, slot::CUSTODY).map_err(damaged)?;
    let link = link.ok_or(TrailError::NoStep(index))?;
    let place = match (link.step, &link.transfer) {
        // The permit names no place: the papers of the transfer do.
        (Step::Accept, Some(id)) => {
            let transfer = reader.transfer(id).map_err(ReadError::Store)?;
            transfer.map(|transfer| transfer.papers.office_of_entry)
        }
        _ => command.as_ref().and_then(place_of),
    };
    Ok(Movement {
        step: link.step,
        transfer: link.transfer,
        epoch: link.epoch,
        from: link.from,
        to: link.to,
        writer: me,
        at: leaf.t_ms,
        seen: leaf.t_ms,
        place: place.unwrap_or_default(),
        leaf: leaf_bytes_hash(&record.leaf.0),
        leaf_index: index,
    })
}

/// The place that a custody command names.
pub(crate) fn place_of(command: &Command) -> Option<String> {
    match command {
        Command::Register { registration } => Some(registration.site.clone()),
        Command::DeclareExport { papers, .. } => Some(papers.office_of_export.clone()),
        Command::Depart { place, .. } | Command::Admit { place, .. } => Some(place.clone()),
        _ => None,
    }
}

fn value<T: Canonical>(record: &LeafRecord, slot: u8) -> Result<Option<T>, DecodeError> {
    match record.values.get(usize::from(slot)) {
        // level: a leaf of our own.
        Some(Some(bytes)) => T::from_bytes(&bytes.0).map(Some),
        _ => Ok(None),
    }
}
