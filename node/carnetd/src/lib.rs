//! The daemon of one node as a library with a thin main: the outside world arrives as values.

pub mod clock;
pub mod config;
pub mod exit;
pub mod keyring;
#[cfg(feature = "planted")]
pub mod planted;
pub mod tls;
