//! The sans-IO core of Carnet: what every sovereign registry must hold the same.
//!
//! Modules stand in reading order. Nothing here knows a clock, a disk, a network, an environment, randomness or a hash
//! map: time, seeds and bytes arrive as values.
//!
//! Nothing here overflows and, in the modules that read what comes from outside, nothing is indexed: the lints below hold,
//! and what is exempt says why in its place. The bounds of what comes in stand in [`limits`].

#![deny(clippy::arithmetic_side_effects)]

pub mod bytes;
#[deny(clippy::indexing_slicing)]
pub mod limits;

pub mod planted;

pub mod log;

#[deny(clippy::indexing_slicing)]
pub mod custody;
pub mod record;
pub mod rules;

#[deny(clippy::indexing_slicing)]
pub mod machine;
