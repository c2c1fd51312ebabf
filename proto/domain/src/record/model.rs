//! A type approval, and what the map shows of a model.

use super::{EnterpriseStatus, FirstWord, RecallNotice};
use crate::bytes::code::ModelId;
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Canonical, Encoder};
use crate::bytes::time::TimeMs;
use crate::limits::{Commodity, FIRST_WORDS_MAX, List, RECALLS_OF_MODEL_MAX};
use crate::log::head::Head;
use crate::rules::policy::Role;

/// Shape of a robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Walks on two legs.
    Bipedal,
    /// Rolls on wheels.
    Wheeled,
    /// Anything else, or not known.
    Other,
}
crate::canonical_enum!(Form { 1 => Bipedal, 2 => Wheeled, 3 => Other });

/// Whether a type approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApprovalStatus {
    /// In force.
    Approved,
    /// Not in force now; it may come back.
    Suspended,
    /// Withdrawn for ever.
    Withdrawn,
}
crate::canonical_enum!(ApprovalStatus { 1 => Approved, 2 => Suspended, 3 => Withdrawn });

/// Facts of a model. Zero means "not stated" in every number but the level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// Product name.
    pub name: String,
    /// Certificate number of the approval.
    pub certificate: String,
    /// Shape.
    pub form: Form,
    /// Intelligence level, 1 to 5.
    pub level: u8,
    /// Safety class, 1 to 4.
    pub safety_class: u8,
    /// Standing height in cm.
    pub height_cm: u32,
    /// In kilograms, without load.
    pub mass_kg: u32,
    /// Degrees of freedom, a lower bound.
    pub degrees_of_freedom: u32,
    /// Battery energy in Wh.
    pub battery_wh: u32,
    /// The line of builds that its robots run: an update is of the same one.
    pub firmware_family: String,
    /// Commodity code under which it is declared at borders, 6 to 10 digits, or empty where none is stated.
    pub commodity: String,
}
crate::canonical_struct!(ModelFacts {
    name,
    certificate,
    form,
    level,
    safety_class,
    height_cm,
    mass_kg,
    degrees_of_freedom,
    battery_wh,
    firmware_family,
    commodity: Commodity,
});

/// A type approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its code.
    pub id: ModelId,
    /// As they were filed at its approval.
    pub facts: ModelFacts,
    /// Production may begin.
    pub production_from: TimeMs,
    /// Production must end.
    pub production_to: TimeMs,
    /// Whether it stands.
    pub status: ApprovalStatus,
    /// In which role it was suspended, while it is: what the regulator suspended, a registrar does not reinstate.
    pub suspended_by: Option<Role>,
    /// Digest of the recalls in force that name it, as [`recalls_digest`]; kept here alone, and in no leaf.
    pub recalls: Digest,
    /// First words for its withdrawal, which takes two; kept here alone, and in no leaf.
    pub first_words: Vec<FirstWord>,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Model @ 1 {
    id,
    facts,
    production_from,
    production_to,
    status,
    suspended_by,
    recalls,
    first_words: List<FIRST_WORDS_MAX>,
    head
});

/// What the map shows of a model: its approval, its maker's standing, and every recall in force that touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStanding {
    /// Whether robots of it may be placed on the market.
    pub approval: ApprovalStatus,
    /// Its maker.
    pub enterprise: EnterpriseStatus,
    /// Intelligence level.
    pub level: u8,
    /// As approved, 1 to 4.
    pub safety_class: u8,
    /// Recalls in force, ascending.
    pub recalls: Vec<RecallNotice>,
}
crate::canonical_struct!(ModelStanding {
    approval,
    enterprise,
    level,
    safety_class,
    recalls: List<RECALLS_OF_MODEL_MAX>
});

impl ModelStanding {
    /// The digest that stands in the map.
    pub fn digest(&self) -> Digest {
        let facts = (self.approval, self.enterprise);
        let numbers = (self.level, self.safety_class);
        standing_digest(facts, numbers, &recalls_digest(&self.recalls))
    }
}

/// The recalls in force that name a model, ascending, as its record keeps them.
pub fn recalls_digest(recalls: &[RecallNotice]) -> Digest {
    let mut e = Encoder::new();
    e.array(recalls.len());
    recalls.iter().for_each(|recall| recall.encode(&mut e));
    sha256(&[&e.finish()])
}

/// [`ModelStanding::digest`], of recalls of which the digest alone is known: what changes of a maker is said of all its models
/// without reading any recall. `SHA-256(CBOR[approval, enterprise, level, class, recalls digest])`.
pub fn standing_digest(
    (approval, enterprise): (ApprovalStatus, EnterpriseStatus),
    (level, safety_class): (u8, u8),
    recalls: &Digest,
) -> Digest {
    let mut e = Encoder::new();
    e.array(5);
    approval.encode(&mut e);
    enterprise.encode(&mut e);
    level.encode(&mut e);
    safety_class.encode(&mut e);
    recalls.encode(&mut e);
    sha256(&[&e.finish()])
}

/// Firmware of a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Name of the line of builds; builds of two are not compared.
    pub family: String,
    /// Build number; recalls range over it.
    pub build: u32,
}
crate::canonical_struct!(Firmware { family, build });
