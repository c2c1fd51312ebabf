//! The sans-IO core of Carnet: what every sovereign registry must hold the same.
//!
//! Modules stand in reading order. Nothing here knows a clock, a disk, a network, an environment, randomness or a hash
//! map: time, seeds and bytes arrive as values.
//!
//! Nothing here overflows and, in the modules that read what comes from outside, nothing is indexed: the lints below hold,
//! and what is exempt says why in its place. The bounds of what comes in stand in [`limits`].

#![deny(clippy::arithmetic_side_effects)]

#[deny(clippy::indexing_slicing)]
pub mod encoding;
pub mod level;
#[deny(clippy::indexing_slicing)]
pub mod limits;

pub mod code;
pub mod digest;
pub mod signature;
pub mod time;

pub mod accord;
#[deny(clippy::indexing_slicing)]
pub mod command;
#[deny(clippy::indexing_slicing)]
pub mod custody;
#[deny(clippy::indexing_slicing)]
pub mod decide;
#[deny(clippy::indexing_slicing)]
pub mod entry;
pub mod event;
#[deny(clippy::indexing_slicing)]
pub mod foreign;
pub mod ledger;
pub mod lifecycle;
#[deny(clippy::indexing_slicing)]
pub mod machine;
pub mod policy;
pub mod record;
pub mod rejection;
pub mod skip;
pub mod transfer;

pub mod checkpoint;
#[deny(clippy::indexing_slicing)]
pub mod envelope;
pub mod leaf;
pub mod map;
pub mod merkle;
pub mod passport;
pub mod slots;

#[deny(clippy::indexing_slicing)]
pub mod mail;
pub mod memory;
pub mod trail;

#[expect(
    clippy::arithmetic_side_effects,
    reason = "what tests play with: its numbers are its own, and nothing that ships uses it"
)]
pub mod kit;
