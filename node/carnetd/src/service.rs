//! What a node can be asked for: use cases over domain types, whatever the transport.
//!
//! No message of a wire format comes in here, and none goes out: an edge has parsed what it was sent, and knows who sent it.
//! What may be asked is `domain::rules::policy`, what is shown of it [`views`]; what happens is decided in `apply`.

pub mod bulk;
pub mod caller;
pub mod cluster;
pub mod cursor;
pub mod movements;
mod proposals;
pub mod query;
pub mod records;
pub mod registry;
#[cfg(test)]
mod tests;
pub mod views;

use carnet_domain::machine::entry::ItemAnswer;
use carnet_wire::status::ApiError;

pub use self::caller::Caller;
pub use self::cluster::ClusterService;
pub use self::registry::RegistryService;

use crate::ingress;
use crate::node::Committed;
pub(crate) use crate::told::{fault, no_genesis, storage};

/// An answer, and the log index that it holds at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The answer.
    pub value: T,
    /// Raft log index of the entry, or the applied index that a read was served at.
    pub log_index: u64,
}

/// The refusal that an answer of one item holds.
pub(crate) fn refusal(committed: &Committed) -> ApiError {
    match committed.answer.items.first() {
        Some(ItemAnswer::Refused { rejection }) => ingress::rejected(rejection),
        _ => ApiError::internal("an answer without an outcome"),
    }
}
