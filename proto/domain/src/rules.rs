//! Who may do what, what may follow what, and why not: commands, roles, the life cycle, decisions, refusals.

pub mod actions;
#[deny(clippy::indexing_slicing)]
pub mod command;
pub mod lifecycle;
pub mod parties;
pub mod policy;
pub mod rejection;

#[deny(clippy::indexing_slicing)]
pub mod decide;
