//! An accredited enterprise.

use super::Maker;
use crate::bytes::code::EnterpriseId;
use crate::bytes::time::TimeMs;
use crate::limits::{List, ROLES_MAX};
use crate::log::head::Head;
use crate::rules::policy::Role;

/// Whether an enterprise may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnterpriseStatus {
    /// In good standing.
    Active,
    /// Suspended.
    Suspended,
    /// Struck off for ever.
    StruckOff,
}
crate::canonical_enum!(EnterpriseStatus { 1 => Active, 2 => Suspended, 3 => StruckOff });

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
    head
});
