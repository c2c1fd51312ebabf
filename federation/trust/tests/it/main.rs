//! The tests of `carnet-trust`: data in, text out.

mod chains;
#[expect(dead_code, reason = "the daemon's tests need the rest")]
mod forge;
mod identities;
mod root_certificates;
