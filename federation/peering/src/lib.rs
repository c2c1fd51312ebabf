//! Sessions with other registries: the mailbox kept for them, theirs followed here, and inquiries both ways.
//!
//! Carries evidence and counts; believes nothing. What a peer said takes effect only when this node's replicated state
//! has checked the proofs again. No store, no consensus, no certificate is known here: the node is asked through
//! [`home::Home`], connections come from a [`follower::Dialer`], and who calls is said by the wiring ([`server::Caller`]).

pub mod home;

pub mod bucket;
pub mod judge;
pub mod pace;
mod round;
pub mod status;

pub mod follower;
pub mod inquirer;
pub mod server;
