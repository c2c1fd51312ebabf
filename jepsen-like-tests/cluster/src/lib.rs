//! Real processes, real disks, real faults: lays out jurisdictions, breaks them under load, and judges what clients saw.
//!
//! Sees the product only through its programs and `carnet-client`. No time limit here says that the product is slow: the
//! one limit is the harness's patience, and its passing means that something never happened.

pub mod address;
pub mod border;
pub mod check;
pub mod clocks;
pub mod crash;
pub mod custody;
pub mod figures;
pub mod history;
pub mod hostile;
pub mod jurisdiction;
pub mod links;
pub mod observe;
pub mod patience;
pub mod power;
pub mod process;
pub mod proxy;
pub mod run;
pub mod skip;
pub mod workload;

pub use patience::Broken;
pub use skip::{planted_programs, programs, skip};
