//! Judges certificates, countries, agreements, keys and verdicts.
//!
//! Pure: no clock, no disk, no network, no randomness. What is judged arrives as bytes, the time arrives as a value,
//! and what passed leaves as a type that nothing else can make.

#![deny(clippy::arithmetic_side_effects)]

mod certificate;
pub mod chain;
pub mod facts;
mod fault;
mod fingerprint;
pub mod identity;
pub mod roots;
pub mod validity;

pub mod bundle;
pub mod evidence;
pub mod known;
pub mod offline;
pub mod pack;
pub mod pins;
pub mod share;
pub mod sieve;
pub mod taken;
pub mod verdict;
