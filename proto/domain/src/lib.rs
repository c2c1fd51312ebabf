//! (in progress)
pub mod encoding;
