//! What one node keeps on disk: the Raft log, the state database, and their formats.
//!
//! Nothing here decides: rules are in `carnet_domain`. RocksDB's and raft-log's types stop here.

pub mod applied;
pub mod artefact;
pub mod compare;
pub mod directory;
pub mod engine;
pub mod families;
pub mod fault;
pub mod guard;
pub mod home;
pub mod identity;
pub mod log;
pub mod machine;
pub mod membership;
pub mod memory;
pub mod rocks;
pub mod state;

mod kept;
pub mod keys;
mod leaves;
pub mod overlay;
#[cfg(feature = "planted")]
pub mod planted;
mod reader;
pub mod records;
pub mod registry;
mod roots;
mod run;
pub mod skips;
pub mod stopwatch;
mod stored;
