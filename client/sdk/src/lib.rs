//! The client of a registry: finds the node that answers, asks exactly once, and believes proofs instead of servers.
//!
//! What this room is for: connections, retries, sessions, signatures, and the check of what came back. What it does not
//! do: decide anything about robots. Every error says whether the write took effect.
//!
//! ```no_run
//! use std::sync::Arc;
//! use carnet_client::{Client, FileSigner, Identity, Log, keys};
//! # async fn example() -> Result<(), carnet_client::ClientError> {
//! let identity = Identity::from_files("roots.crt", "me.crt", "me.key", None)?;
//! let signer = FileSigner::open("me.actor.key")?;
//! let client = Client::builder(["10.0.0.1:7102", "10.0.0.2:7102", "10.0.0.3:7102"], identity)
//!     .signer(Arc::new(signer))
//!     .log(Log::new("86".parse().expect("a prefix"), keys::read_public_key("log.pub".as_ref())?))
//!     .build()?;
//! # let code = "86-0001-100002-00000000000000042".parse().expect("a code");
//! let proven = client.robot(&code).await?;
//! let status = proven.value().robot().and_then(|robot| robot.status());
//! println!("{status:?} under the head of size {}", proven.value().size());
//! # Ok(())
//! # }
//! ```
//!
//! Every read of [`Client`] is proven on this machine and comes as [`Verified`]: under the log key that is pinned, under a head that
//! covers what this client wrote and goes on from what it saw; a verdict from [`Client::verify_here`] under pinned roots. What no
//! leaf holds, and whatever needs no proof, is the word of a node: [`Client::unverified`]. `examples/register_and_verify.rs`
//! shows both ends.

pub mod admin;
mod bulk;
mod call;
mod client;
mod clock;
mod dial;
mod error;
mod foresee;
mod heads;
pub mod identity;
pub mod keys;
mod learn;
mod picker;
mod pin;
mod proven;
mod release;
mod retry;
mod session;
mod signer;
mod stream;
mod submit;
pub mod tls;
pub mod types;
mod unverified;
mod verify;

pub use bulk::{BulkEvent, BulkFailure, BulkReport, HeldBulk};
pub use carnet_wire::status::{ApiError, Effect, Obstacle};
pub use client::{Client, ClientBuilder, Position};
pub use clock::wall_time;
pub use dial::{Dial, Identity};
pub use error::ClientError;
pub use foresee::Foreseen;
pub use heads::Log;
pub use learn::Trace;
pub use picker::{Picker, Seen};
pub use pin::{Pin, PinError, advance};
pub use release::{ReleaseTerms, release_ownership};
pub use retry::{Backoff, Failure, Intent, Next, judge};
pub use session::{FileSessions, MemorySessions, OpenSession, Sessions, private_folder};
pub use signer::{FileSigner, Signer, SignerError};
pub use submit::{Done, Submitted, Wait};
pub use unverified::{MovementCount, MovementQuery, Page, Told, Trail, Unverified};
pub use verify::{JudgedFile, VERDICTS_AT_ONCE, Verified};
