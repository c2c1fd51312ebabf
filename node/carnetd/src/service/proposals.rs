//! What was proposed and needs two people, also after its end: read from the leaves, each of which names the proposal before it.
//!
//! A number is the index of a leaf. What became of it stands in a later leaf of the same key or certificate; of what expired, or
//! made way, no leaf says so.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::authority::SignedHeader;
use carnet_domain::log::leaf::Leaf;
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::Actor;
use carnet_domain::record::denied::Wanted;
use carnet_domain::record::event::{Proposed, slot};
use carnet_domain::record::offices::Change;
use carnet_domain::record::past::{Asked, EndedBy, Fate, PastProposal};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::parties::are_two;
use carnet_store::fault::StorageFault;
use carnet_store::records::{Bound, Part, Records};
use carnet_wire::status::ApiError;

use super::storage;

/// Leaves of one key or certificate that are looked through for what became of a proposal about it.
const LEAVES_OF_PROPOSALS_MAX: u64 = 256;
/// As many of them at once.
const PIECE_COUNT: usize = 32;

/// What was proposed under a number; none where nothing was.
///
/// # Errors
/// The read failed.
pub(super) fn numbered(
    records: &Records<'_>,
    number: u64,
) -> Result<Option<PastProposal>, ApiError> {
    read(records, number).map_err(storage)
}

/// Proposals, the newest first, behind one of them, and whether more follow.
///
/// # Errors
/// The read failed.
pub(super) fn page(
    records: &Records<'_>,
    behind: Option<u64>,
    bound: Bound,
) -> Result<Part<PastProposal>, ApiError> {
    part(records, behind, bound).map_err(storage)
}

fn part(
    records: &Records<'_>,
    behind: Option<u64>,
    bound: Bound,
) -> Result<Part<PastProposal>, StorageFault> {
    let mut next = match behind {
        None => records
            .registry()?
            .and_then(|registry| registry.offices.newest),
        Some(number) => match records.leaf(number)? {
            Some(leaf) => first_word(&leaf).and_then(|(_, first)| first.before),
            None => None,
        },
    };
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(number) = next {
        let Some(one) = read(records, number)? else {
            break;
        };
        let size = one.to_bytes().len();
        if !bound.fits(found.len(), bytes, size) {
            return Ok(Part {
                records: found,
                more: true,
            });
        }
        // They go back: one that names itself or a later one would be walked for ever.
        next = one.before.filter(|before| *before < number);
        bytes += size;
        found.push(one);
    }
    Ok(Part {
        records: found,
        more: false,
    })
}

fn read(records: &Records<'_>, number: u64) -> Result<Option<PastProposal>, StorageFault> {
    let Some(leaf) = records.leaf(number)? else {
        return Ok(None);
    };
    let Some((command, first)) = first_word(&leaf) else {
        return Ok(None);
    };
    let Some((asked, reason)) = asked(&command, &first) else {
        return Ok(None);
    };
    let Ok(plain) = Leaf::from_bytes(&leaf.leaf.0) else {
        return Ok(None);
    };
    let proposal = PastProposal {
        number,
        asked,
        reason,
        by: first.by,
        at: plain.t_ms,
        until: first.until,
        before: first.before,
        fate: Fate::Open,
        end: None,
    };
    ended(records, &plain, proposal).map(Some)
}

/// With what became of it.
fn ended(
    records: &Records<'_>,
    leaf: &Leaf,
    proposal: PastProposal,
) -> Result<PastProposal, StorageFault> {
    let newest = records.head_of(&leaf.key)?;
    let (mut from, mut read) = (leaf.seq.saturating_add(1), 0);
    while read < LEAVES_OF_PROPOSALS_MAX {
        let piece = records.history(newest, from, PIECE_COUNT)?;
        if piece.is_empty() {
            break;
        }
        for (index, record) in &piece {
            let Some((fate, reason)) = became(records, &proposal, record)? else {
                continue;
            };
            let at = Leaf::from_bytes(&record.leaf.0).map_or(TimeMs::EPOCH, |leaf| leaf.t_ms);
            if fate == Fate::Overtaken && proposal.until < at {
                let fate = Fate::Expired;
                return Ok(PastProposal { fate, ..proposal });
            }
            let end = EndedBy {
                leaf: *index,
                at,
                by: author(records, record)?,
                reason,
            };
            return Ok(PastProposal {
                fate,
                end: Some(end),
                ..proposal
            });
        }
        let count = piece.len() as u64;
        (from, read) = (from.saturating_add(count), read.saturating_add(count));
    }
    let fate = silent(records, &proposal)?;
    Ok(PastProposal { fate, ..proposal })
}

/// What became of a proposal of which no leaf says that it ended.
fn silent(records: &Records<'_>, proposal: &PastProposal) -> Result<Fate, StorageFault> {
    let registry = records.registry()?;
    let now = registry
        .as_ref()
        .map_or(TimeMs::EPOCH, |registry| registry.log_time);
    let number = proposal.number;
    let waits = registry.is_some_and(|registry| {
        let offices = &registry.offices;
        let mut leaving = offices.leaving.iter();
        offices.numbered(number).is_some() || leaving.any(|one| one.number == number)
    }) || records.deny_list()?.numbered(number).is_some();
    Ok(match (proposal.until < now, waits) {
        (true, _) => Fate::Expired,
        (false, true) => Fate::Open,
        (false, false) => Fate::Overtaken,
    })
}

/// What a later leaf of the same key or certificate makes of a proposal, and why; none: nothing.
fn became(
    records: &Records<'_>,
    proposal: &PastProposal,
    record: &LeafRecord,
) -> Result<Option<(Fate, String)>, StorageFault> {
    let Some(command) = value::<Command>(record, slot::EVENT) else {
        // The roots ordered something about the key.
        return Ok(Some((Fate::Overtaken, String::new())));
    };
    let waits = value::<Proposed>(record, slot::OTHER).is_some();
    let is_its_own = || -> Result<bool, StorageFault> {
        let by = author(records, record)?;
        Ok(by.is_some_and(|by| !are_two(&by, &proposal.by)))
    };
    if let Command::RejectProposal { number, reason } = command {
        if number != proposal.number {
            return Ok(None);
        }
        let fate = match is_its_own()? {
            true => Fate::TakenBack,
            false => Fate::Rejected,
        };
        return Ok(Some((fate, reason)));
    }
    let (same, reason) = match same(&proposal.asked, &command) {
        Some(said) => said,
        None => return Ok(Some((Fate::Overtaken, String::new()))),
    };
    Ok(match (same, waits) {
        // Given anew: what stood there before counts no more.
        (true, true) => Some((Fate::Overtaken, reason)),
        (true, false) => Some((Fate::Done, reason)),
        (false, true) => None,
        // All that is asked of the members stands under one name.
        (false, false) if matches!(proposal.asked, Asked::Members { .. }) => None,
        (false, false) => {
            let of_certificate = matches!(proposal.asked, Asked::Certificate { .. });
            let fate = match of_certificate && is_its_own()? {
                true => Fate::TakenBack,
                false => Fate::Overtaken,
            };
            Some((fate, reason))
        }
    })
}

/// Whether a command asks for the same as a proposal, and its reason; none of one that is about no key and no certificate.
fn same(asked: &Asked, command: &Command) -> Option<(bool, String)> {
    match (asked, command) {
        (
            Asked::Key { change, .. },
            Command::AddSigner {
                enrolment,
                proof,
                instead,
                reason,
                ..
            },
        ) => {
            let said = Change::Add {
                enrolment: enrolment.clone(),
                proof: *proof,
                instead: *instead,
            };
            Some((*change == said, reason.clone()))
        }
        (
            Asked::Key { change, .. },
            Command::RetireSigner {
                public,
                compromised_after,
                reason,
            },
        ) => {
            let said = Change::Retire {
                public: *public,
                compromised_after: *compromised_after,
            };
            Some((*change == said, reason.clone()))
        }
        (Asked::Certificate { wanted }, Command::RevokeCertificate { refused, reason }) => {
            let said = Wanted::Revoke {
                refused: refused.clone(),
            };
            Some((*wanted == said, reason.clone()))
        }
        (
            Asked::Certificate { wanted },
            Command::UnrevokeCertificate {
                certificate,
                reason,
            },
        ) => {
            let said = Wanted::Unrevoke {
                certificate: certificate.clone(),
            };
            Some((*wanted == said, reason.clone()))
        }
        (
            Asked::Members { change },
            Command::ChangeMembers {
                change: said,
                reason,
            },
        ) => Some((change == said, reason.clone())),
        _ => None,
    }
}

/// The command of a leaf that says that something was proposed, and what else it says; none of any other leaf.
fn first_word(record: &LeafRecord) -> Option<(Command, Proposed)> {
    let first = value::<Proposed>(record, slot::OTHER)?;
    Some((value::<Command>(record, slot::EVENT)?, first))
}

fn asked(command: &Command, first: &Proposed) -> Option<(Asked, String)> {
    let key = |change: Change| {
        let about = first.about.clone()?;
        Some(Asked::Key { change, about })
    };
    Some(match command {
        Command::AddSigner {
            enrolment,
            proof,
            instead,
            reason,
            ..
        } => {
            let change = Change::Add {
                enrolment: enrolment.clone(),
                proof: *proof,
                instead: *instead,
            };
            (key(change)?, reason.clone())
        }
        Command::RetireSigner {
            public,
            compromised_after,
            reason,
        } => {
            let change = Change::Retire {
                public: *public,
                compromised_after: *compromised_after,
            };
            (key(change)?, reason.clone())
        }
        Command::RevokeCertificate { refused, reason } => {
            let wanted = Wanted::Revoke {
                refused: refused.clone(),
            };
            (Asked::Certificate { wanted }, reason.clone())
        }
        Command::UnrevokeCertificate {
            certificate,
            reason,
        } => {
            let wanted = Wanted::Unrevoke {
                certificate: certificate.clone(),
            };
            (Asked::Certificate { wanted }, reason.clone())
        }
        Command::ChangeMembers { change, reason } => {
            let change = change.clone();
            (Asked::Members { change }, reason.clone())
        }
        _ => return None,
    })
}

/// Who signed what a leaf says; none where the roots did.
fn author(records: &Records<'_>, record: &LeafRecord) -> Result<Option<Actor>, StorageFault> {
    let Some(envelope) = records.envelope(record.envelope)? else {
        return Ok(None);
    };
    let Ok(Body::Actor { request, .. }) = Body::from_bytes(&envelope) else {
        return Ok(None);
    };
    let Ok(header) = SignedHeader::from_bytes(&request.header.0) else {
        return Ok(None);
    };
    let signer = records.signer(&header.key)?;
    Ok(signer.map(|signer| signer.side()))
}

/// What stands in a slot of a leaf, if it is that.
fn value<T: Canonical>(record: &LeafRecord, slot: u8) -> Option<T> {
    let bytes = record.values.get(usize::from(slot))?.as_ref()?;
    T::from_bytes(&bytes.0).ok()
}
