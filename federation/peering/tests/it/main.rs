//! Two registries in one process: whole ledgers in memory, gRPC over memory, no clock but the tests' own.

#![allow(clippy::unwrap_used)]

mod following;
mod forks;
mod inquiring;
mod restored;
mod serving;
mod world;
