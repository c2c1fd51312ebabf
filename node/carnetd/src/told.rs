//! What callers are told of a fault of this node: fixed words. What failed goes to the log, once, with its causes.

use carnet_store::fault::StorageFault;
use carnet_wire::status::ApiError;

/// A read of the state failed.
pub(crate) fn storage(error: StorageFault) -> ApiError {
    fault("a read of the state failed")(error)
}

/// A fault of this node. What failed is logged here, once, with its cause; callers are told only the fixed words.
pub(crate) fn fault<E: std::error::Error>(words: &'static str) -> impl FnOnce(E) -> ApiError {
    move |error| {
        tracing::error!(error = %chain(&error), "{words}");
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

pub(crate) fn no_genesis() -> ApiError {
    ApiError::unavailable("the registry has no genesis yet")
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
