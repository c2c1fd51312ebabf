//! The sans-IO core of Carnet: what every sovereign registry must hold the same.
//!
//! Modules stand in reading order. Nothing here knows a clock, a disk, a network, an environment, randomness or a hash
//! map: time, seeds and bytes arrive as values.

pub mod encoding;

pub mod code;
pub mod digest;
pub mod signature;
pub mod time;

pub mod accord;
pub mod command;
pub mod custody;
pub mod decide;
pub mod entry;
pub mod event;
pub mod foreign;
pub mod ledger;
pub mod lifecycle;
pub mod machine;
pub mod policy;
pub mod record;
pub mod rejection;
pub mod skip;
pub mod transfer;

pub mod checkpoint;
pub mod envelope;
pub mod leaf;
pub mod map;
pub mod merkle;
pub mod passport;
pub mod slots;

pub mod mail;
pub mod memory;

pub mod kit;
