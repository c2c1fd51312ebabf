//! The daemon of one node as a library with a thin main: the outside world arrives as values.

use std::sync::Arc;

use tokio::sync::Notify;

pub mod assemble;
pub mod audit;
pub mod audited;
pub mod certificates;
pub mod check;
pub mod clock;
pub mod compare;
pub mod config;
pub mod denied;
mod disk;
pub mod edge;
pub mod exit;
pub mod expiry;
pub mod gateway;
pub mod ingress;
pub mod keyring;
pub mod monitor;
pub mod node;
pub mod outcomes;
#[cfg(feature = "planted")]
pub mod planted;
pub mod process;
pub mod publication;
pub mod raft_threads;
pub mod reader;
pub mod refusal;
pub mod reload;
pub mod run_error;
pub mod sequencer;
pub mod service;
pub mod share;
pub mod signatures;
pub mod signer;
pub mod skip_files;
pub mod timekeeper;
pub mod tls;
pub mod told;
pub mod verify;
pub mod waiting;
pub mod world;

// The same certificates that `carnet-trust` is tested with, wrong ones above all.
#[cfg(test)]
#[expect(dead_code, reason = "only some of the forge is needed here")]
#[path = "../../../federation/trust/tests/it/forge.rs"]
mod forge;

// A whole node in one process, for the tests of what it answers.
#[cfg(test)]
mod house;

pub use run_error::RunError;

/// Runs one node until `stop` ends or it fails. At each `hangup` it reads its certificates anew; see [`reload`].
///
/// # Errors
/// It did not start, or stopped by itself; [`RunError::exit`] is the code to end with.
pub async fn run(
    config: config::Config,
    clock: Arc<dyn clock::Clock>,
    keyring: Arc<dyn keyring::Keyring>,
    stop: impl Future<Output = ()>,
    hangup: Arc<Notify>,
) -> Result<(), RunError> {
    assemble::assemble(config, clock, keyring, hangup)
        .await?
        .until(stop)
        .await
}
