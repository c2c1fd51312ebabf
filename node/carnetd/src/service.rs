//! What a node can be asked for: use cases over domain types, whatever the transport.
//!
//! No message of a wire format comes in here, and none goes out: an edge has parsed what it was sent, and knows who sent it.
//! What may be asked is `domain::rules::policy`, what is shown of it [`views`]; what happens is decided in `apply`.

pub mod bulk;
pub mod caller;
pub mod cluster;
pub mod cursor;
pub mod query;
pub mod records;
pub mod registry;
#[cfg(test)]
mod tests;
pub mod views;

use carnet_domain::machine::entry::ItemAnswer;
use carnet_store::fault::StorageFault;
use carnet_wire::status::ApiError;

pub use self::caller::Caller;
pub use self::cluster::ClusterService;
pub use self::registry::RegistryService;

use crate::ingress;
use crate::node::Committed;

/// An answer, and the log index that it holds at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The answer.
    pub value: T,
    /// Raft log index of the entry, or the applied index that a read was served at.
    pub log_index: u64,
}

/// A read of the state failed.
pub(crate) fn storage(error: StorageFault) -> ApiError {
    fault("a read of the state failed")(error)
}

/// A fault of this node. What failed is logged here, once, with its cause; callers are told only the fixed words.
pub(crate) fn fault<E: std::error::Error>(words: &'static str) -> impl FnOnce(E) -> ApiError {
    move |error| {
        tracing::error!(error = %crate::check::chain(&error), "{words}");
        ApiError::internal(words)
    }
}

/// A read of the state failed before anything was proposed: nothing happened, and another node may do it.
pub(crate) fn storage_before(error: StorageFault) -> ApiError {
    tracing::error!(%error, "a read of the state failed");
    ApiError::DidNotHappen {
        text: "this node cannot read its state".to_owned(),
    }
}

/// The refusal that an answer of one item holds.
pub(crate) fn refusal(committed: &Committed) -> ApiError {
    match committed.answer.items.first() {
        Some(ItemAnswer::Refused { rejection }) => ingress::rejected(rejection),
        _ => ApiError::internal("an answer without an outcome"),
    }
}

pub(crate) fn no_genesis() -> ApiError {
    ApiError::unavailable("the registry has no genesis yet")
}
