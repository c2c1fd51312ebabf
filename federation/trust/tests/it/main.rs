//! The tests of `carnet-trust`: data in, text out.

mod bundles;
mod cases;
mod chains;
mod evidence;
mod files;
#[expect(dead_code, reason = "the daemon's tests need the rest")]
mod forge;
mod identities;
mod root_certificates;
mod story;
mod subjects;
mod verdicts;
