//! A whole cluster in one process from one seed: real consensus, real gRPC, simulated network, clock and disk.
//!
//! A run has a *safety* phase, in which nodes crash (losing what was not synced), links break, one way or both, and slow
//! down, and a *liveness* phase without faults, in which everything must work again within a bound of simulated time.
//! Two runs of one seed give one trace.

mod check;
mod clocks;
mod compare;
mod country;
mod elections;
mod history;
mod nemesis;
mod network;
mod node;
mod random;
mod registry;
mod run;
mod site;

pub use country::{CountryFault, CountryOptions, CountryReport, country};
pub use elections::elections;
pub use nemesis::FaultCounts;
pub use run::{Options, Report, State, run};
