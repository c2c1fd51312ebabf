//! A recall: its name in the world, whom it matches, whether it binds.

use super::{Holder, Part};
use crate::bytes::code::{Code, ModelId, Prefix, Serial};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Canonical, Encoder};
use crate::bytes::time::TimeMs;
use crate::limits::{Identifier, List, Lot, MODELS_OF_RECALL_MAX, is_identifier};
use crate::log::head::Head;
use crate::log::leaf::{Subject, SubjectType};
use crate::rules::rejection::Ranged;

/// How grave a recall is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information.
    Advisory,
    /// A remedy is owed; no transfer and no export before it.
    Remedy,
    /// No operation before the remedy.
    StopUse,
}
crate::canonical_enum!(Severity { 1 => Advisory, 2 => Remedy, 3 => StopUse });

/// Which robots of the models named a recall matches. Bounds are inclusive.
///
/// A serial bound is a whole serial. Serials are compared character by character, digits before letters: of serials in
/// digits, and of all that were written shorter and filled with zeros from the left, that is the order of the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// First serial, if there is a bound.
    pub serial_from: Option<Serial>,
    /// Last serial, if there is a bound.
    pub serial_to: Option<Serial>,
    /// First firmware build.
    pub build_from: u32,
    /// Last firmware build.
    pub build_to: u32,
    /// First manufacture date.
    pub made_from: TimeMs,
    /// Last manufacture date.
    pub made_to: TimeMs,
    /// Part lot, or empty for any; looked for among all parts, those that carry identity too.
    pub part_lot: String,
}
crate::canonical_struct!(Predicate {
    serial_from,
    serial_to,
    build_from,
    build_to,
    made_from,
    made_to,
    part_lot: Lot
});

impl Predicate {
    /// Matches every robot of the models.
    pub fn all() -> Self {
        Self {
            serial_from: None,
            serial_to: None,
            build_from: 0,
            build_to: u32::MAX,
            made_from: TimeMs(0),
            made_to: TimeMs::MAX,
            part_lot: String::new(),
        }
    }

    /// The first range that ends before it begins: such a recall would match nothing, and nobody would be told.
    pub fn inverted(&self) -> Option<Ranged> {
        let serials = (self.serial_from.zip(self.serial_to)).is_some_and(|(from, to)| to < from);
        let builds = self.build_to < self.build_from;
        let dates = self.made_to < self.made_from;
        let all = [
            (serials, Ranged::Serials),
            (builds, Ranged::Builds),
            (dates, Ranged::Dates),
        ];
        all.into_iter()
            .find_map(|(inverted, range)| inverted.then_some(range))
    }

    /// Whether a robot with these attributes is matched, as far as its parts do not matter.
    pub fn matches_but_for_parts(&self, code: &Code, build: u32, made: TimeMs) -> bool {
        let serial = code.serial();
        self.serial_from.is_none_or(|from| from <= serial)
            && self.serial_to.is_none_or(|to| serial <= to)
            && (self.build_from..=self.build_to).contains(&build)
            && self.made_from <= made
            && made <= self.made_to
    }

    /// Whether the part lot, if it names one, is that of one of these parts.
    pub fn names_lot_of<'a>(&self, parts: impl IntoIterator<Item = &'a Part>) -> bool {
        self.part_lot.is_empty() || parts.into_iter().any(|part| part.lot == self.part_lot)
    }
}

/// Which recall, in the world: the registry that issued it, and its number there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecallId {
    /// The registry that issued it.
    pub issuer: Prefix,
    /// Its number there.
    pub number: String,
}
crate::canonical_struct!(RecallId {
    issuer,
    number: Identifier
});

impl RecallId {
    /// From `issuer/number`, in their one written form.
    pub fn parse(text: &str) -> Option<Self> {
        let (issuer, number) = text.split_once('/')?;
        let prefix = Prefix::parse(issuer).ok()?;
        (prefix.as_str() == issuer && is_identifier(number)).then(|| Self {
            issuer: prefix,
            number: number.to_owned(),
        })
    }

    /// The subject of its leaves.
    pub fn subject(&self) -> Subject {
        Subject::new(SubjectType::Recall, self.to_string())
    }
}

impl std::fmt::Display for RecallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.issuer, self.number)
    }
}

/// A recall as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallNotice {
    /// Which.
    pub id: RecallId,
    /// How grave.
    pub severity: Severity,
    /// Which robots.
    pub predicate: Predicate,
}
crate::canonical_struct!(RecallNotice {
    id,
    severity,
    predicate
});

/// Whether a recall binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecallStatus {
    /// It binds.
    InForce,
    /// A foreign recall beyond what a clause lets bind by itself: waits for the regulator here.
    Proposed,
    /// By its issuer; nothing is owed by it.
    Withdrawn,
    /// A foreign recall beyond what a clause lets bind, which the regulator here lets bind.
    Accepted,
    /// One that the regulator here lets not bind beyond what bound before.
    Declined,
}
crate::canonical_enum!(RecallStatus {
    1 => InForce, 2 => Proposed, 3 => Withdrawn, 4 => Accepted, 5 => Declined,
});

/// What the regulator decides of a foreign recall beyond what a clause lets bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecallDecision {
    /// It binds here.
    Accept,
    /// It does not.
    Decline,
}
crate::canonical_enum!(RecallDecision { 1 => Accept, 2 => Decline });

impl RecallStatus {
    /// Whether it binds nobody any more, and counts towards no limit.
    pub fn has_ended(self) -> bool {
        match self {
            Self::InForce | Self::Proposed | Self::Accepted | Self::Declined => false,
            Self::Withdrawn => true,
        }
    }

    /// Whether the regulator here decided it.
    pub fn is_decided(self) -> bool {
        matches!(self, Self::Accepted | Self::Declined)
    }
}

/// Whom a recall binds, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundRecall {
    /// Number, severity and predicate.
    pub notice: RecallNotice,
    /// The models it touches, ascending.
    pub models: Vec<ModelId>,
}
crate::canonical_struct!(BoundRecall {
    notice,
    models: List<MODELS_OF_RECALL_MAX>
});

/// What the regulator here decided of some words of a foreign recall. It stands when those words come again, whatever came between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedRecall {
    /// [`Recall::words`] of what was decided.
    pub words: Digest,
    /// Accepted or declined.
    pub status: RecallStatus,
}
crate::canonical_struct!(DecidedRecall { words, status });

/// A recall campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Number, severity and predicate.
    pub notice: RecallNotice,
    /// The models it touches, ascending.
    pub models: Vec<ModelId>,
    /// What to do.
    pub remedy: String,
    /// Who opened it at its issuer: an enterprise amends and withdraws its own, the regulator what an office ordered.
    pub by: Holder,
    /// Log time it was opened (here, for a foreign one: applied).
    pub opened: TimeMs,
    /// Whether it binds.
    pub status: RecallStatus,
    /// While a foreign one waits for the regulator, and once it decided: as it bound before, and binds still unless it was accepted.
    /// Kept here alone, and in no leaf.
    pub bound: Option<BoundRecall>,
    /// The newest decision here of a foreign one. Kept here alone, and in no leaf.
    pub decided: Option<DecidedRecall>,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Recall @ 1 {
    notice,
    models: List<MODELS_OF_RECALL_MAX>,
    remedy,
    by,
    opened,
    status,
    bound,
    decided,
    head
});

impl Recall {
    /// Its words, as a regulator decides on them: SHA-256 of number, severity, predicate, models and remedy.
    pub fn words(&self) -> Digest {
        let mut e = Encoder::new();
        self.notice.encode(&mut e);
        self.models.encode(&mut e);
        self.remedy.encode(&mut e);
        sha256(&[b"carnet-recall-words/1", &e.finish()])
    }

    /// What of it binds: all of it in force or accepted; nothing that only waits or was declined, but what bound before.
    pub fn binding(&self) -> Option<(&RecallNotice, &[ModelId])> {
        match self.status {
            RecallStatus::InForce | RecallStatus::Accepted => Some((&self.notice, &self.models)),
            RecallStatus::Proposed | RecallStatus::Declined => {
                let bound = self.bound.as_ref()?;
                Some((&bound.notice, &bound.models))
            }
            RecallStatus::Withdrawn => None,
        }
    }

    /// As what of it binds.
    pub fn bound(&self) -> Option<BoundRecall> {
        let (notice, models) = self.binding()?;
        Some(BoundRecall {
            notice: notice.clone(),
            models: models.to_vec(),
        })
    }

    /// The models under which it is found, ascending: those that it names, and those that it binds still. None once it has ended.
    pub fn found_under(&self) -> Vec<ModelId> {
        if self.status.has_ended() {
            return Vec::new();
        }
        let bound = self.binding().map_or(&[][..], |(_, models)| models);
        let mut all: Vec<ModelId> = self.models.iter().chain(bound).copied().collect();
        all.sort();
        all.dedup();
        all
    }
}
