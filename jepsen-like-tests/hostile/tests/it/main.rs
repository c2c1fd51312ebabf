//! Attacks, from seeds and by hand.

mod admission;
mod belief;
mod chains;
mod custody;
mod decoders;
mod extremes;
mod forks;
mod formats;
mod identities;
mod limits;
mod offices;
mod order;
mod parking;
mod peers;
mod programs;
mod reached;
mod reasons;
mod recalls;
mod records;
mod sessions;
mod table;
mod verdicts;
mod ways;
