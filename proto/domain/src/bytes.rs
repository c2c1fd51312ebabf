//! Bytes, and the values that everything else is made of: canonical encoding and the feature level that decides what it
//! reads, digests, signatures, codes, times.

#[deny(clippy::indexing_slicing)]
pub mod encoding;
pub mod level;

pub mod country;
pub mod letters;

pub mod code;
pub mod digest;
pub mod signature;
pub mod time;
pub mod together;
