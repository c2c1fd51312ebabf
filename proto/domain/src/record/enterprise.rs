//! An accredited enterprise.

use super::{Actor, Daily, FirstWord, Maker};
use crate::bytes::code::EnterpriseId;
use crate::bytes::signature::KeyId;
use crate::bytes::time::TimeMs;
use crate::limits::{FIRST_WORDS_MAX, Index, List, ROLES_MAX, Sequence};
use crate::log::head::Head;
use crate::rules::policy::Role;

/// Whether an enterprise may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnterpriseStatus {
    /// In good standing.
    Active,
    /// It does only what it still must; it may come back.
    Suspended,
    /// Struck off for ever.
    StruckOff,
}
crate::canonical_enum!(EnterpriseStatus { 1 => Active, 2 => Suspended, 3 => StruckOff });

/// A word by which a successor was named. It stands as long as its key: what was signed after that was taken from its holder falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// Whose signature the word was.
    pub key: KeyId,
    /// Index of the leaf by which it counts.
    pub leaf: u64,
}
crate::canonical_struct!(Naming { key, leaf: Index });

/// An accredited enterprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enterprise {
    /// Its code under this registry's prefix.
    pub id: EnterpriseId,
    /// Legal name.
    pub name: String,
    /// World-wide identifier.
    pub maker: Maker,
    /// What it is accredited for.
    pub roles: Vec<Role>,
    /// Accreditation begins.
    pub valid_from: TimeMs,
    /// Accreditation ends.
    pub valid_to: TimeMs,
    /// Whether it may act.
    pub status: EnterpriseStatus,
    /// Who answers for what it made once its accreditation is over.
    pub successor: Option<EnterpriseId>,
    /// Whether it had a key, or was made owner or holder of a robot: from then on its keys take its own word, or two registrars.
    /// Kept here alone, and in no leaf.
    pub engaged: bool,
    /// The registrar on whose word alone its accreditation, or a role of it, stands: until a second one states its accreditation, the
    /// two are one party in what is another's. Who made its keys stands with each of them. Kept here alone, and in no leaf.
    pub vouched_by: Option<Actor>,
    /// Robots of others that it declared ended; kept here alone, and in no leaf.
    pub declared: Daily,
    /// Recalls that it opened; kept here alone, and in no leaf.
    pub recalled: Daily,
    /// Who named the successor; kept here alone, and in no leaf. So is the next.
    pub named_by: Option<Naming>,
    /// Another person who named the same successor again: what it still held goes on only then.
    pub seconded_by: Option<Naming>,
    /// First words for another successor than the one whom two named, for its being struck off, and for a model that takes two. Kept here alone, and in no leaf.
    pub first_words: Vec<FirstWord>,
    /// How many models of it were ever approved. Kept here alone, and in no leaf.
    pub models: u64,
    /// How many keys it has that sign. Kept here alone, and in no leaf.
    pub keys: u64,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Enterprise @ 1 {
    id,
    name,
    maker,
    roles: List<ROLES_MAX>,
    valid_from,
    valid_to,
    status,
    successor,
    engaged,
    vouched_by,
    declared,
    recalled,
    named_by,
    seconded_by,
    first_words: List<FIRST_WORDS_MAX>,
    models: Sequence,
    keys: Sequence,
    head
});

impl Enterprise {
    /// Whether it is over for what it made: struck off, or its period has passed. One that is merely suspended comes back, or is
    /// struck off.
    pub fn is_over(&self, now: TimeMs) -> bool {
        match self.status {
            EnterpriseStatus::Active => self.valid_to <= now,
            EnterpriseStatus::Suspended => false,
            EnterpriseStatus::StruckOff => true,
        }
    }
}
