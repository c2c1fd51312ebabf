//! A recall: its name in the world, whom it matches, whether it binds.

use super::Part;
use crate::bytes::code::{Code, ModelId, Prefix};
use crate::bytes::time::TimeMs;
use crate::limits::{List, MODELS_OF_RECALL_MAX, Name};
use crate::log::head::Head;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// First serial, or empty for no bound.
    pub serial_from: String,
    /// Last serial, or empty for no bound.
    pub serial_to: String,
    /// First firmware build.
    pub build_from: u32,
    /// Last firmware build.
    pub build_to: u32,
    /// First manufacture date.
    pub made_from: TimeMs,
    /// Last manufacture date.
    pub made_to: TimeMs,
    /// Part lot, or empty for any.
    pub part_lot: String,
}
crate::canonical_struct!(Predicate {
    serial_from: Name,
    serial_to: Name,
    build_from,
    build_to,
    made_from,
    made_to,
    part_lot: Name
});

impl Predicate {
    /// Matches every robot of the models.
    pub fn all() -> Self {
        Self {
            serial_from: String::new(),
            serial_to: String::new(),
            build_from: 0,
            build_to: u32::MAX,
            made_from: TimeMs(0),
            made_to: TimeMs::MAX,
            part_lot: String::new(),
        }
    }

    /// Whether a robot with these attributes is matched.
    pub fn matches(&self, code: &Code, build: u32, made: TimeMs, parts: &[Part]) -> bool {
        let serial = &code.as_str()[12..];
        let from = self.serial_from.is_empty() || serial >= self.serial_from.as_str();
        let to = self.serial_to.is_empty() || serial <= self.serial_to.as_str();
        from && to
            && (self.build_from..=self.build_to).contains(&build)
            && self.made_from <= made
            && made <= self.made_to
            && (self.part_lot.is_empty() || parts.iter().any(|part| part.lot == self.part_lot))
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
    number: Name
});

impl RecallId {
    /// From `issuer/number`.
    pub fn parse(text: &str) -> Option<Self> {
        let (issuer, number) = text.split_once('/')?;
        Some(Self {
            issuer: Prefix::parse(issuer).ok()?,
            number: number.to_owned(),
        })
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
    /// Withdrawn.
    Withdrawn,
}
crate::canonical_enum!(RecallStatus { 1 => InForce, 2 => Proposed, 3 => Withdrawn });

impl RecallStatus {
    /// Whether it binds nobody any more, and counts towards no limit.
    pub fn has_ended(self) -> bool {
        match self {
            Self::InForce | Self::Proposed => false,
            Self::Withdrawn => true,
        }
    }
}

/// A recall campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Number, severity and predicate.
    pub notice: RecallNotice,
    /// The models it touches, ascending.
    pub models: Vec<ModelId>,
    /// What to do.
    pub remedy: String,
    /// Log time it was opened (here, for a foreign one: applied).
    pub opened: TimeMs,
    /// Whether it binds.
    pub status: RecallStatus,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Recall @ 1 {
    notice,
    models: List<MODELS_OF_RECALL_MAX>,
    remedy,
    opened,
    status,
    head
});
