//! gRPC: messages of `carnet_wire` to calls of [`crate::service`] and back.
//!
//! A message is parsed field by field, in the order of the schema; who called stands in the extensions that the acceptor
//! filled in.

pub mod admin;
pub mod reflection;
pub mod registry;
pub mod submitting;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use carnet_domain::rules::policy::Query;
use carnet_wire::registry::v1 as pb;
use carnet_wire::status::ApiError;
use tonic::{Extensions, Request, Response, Status};

use crate::node::Node;
use crate::service::Caller;
use crate::share::RequestId;
use crate::tls::PeerIdentity;

type Answer<T> = Result<Response<T>, Status>;

/// The caller whose certificate the acceptor verified.
///
/// # Errors
/// The connection carried no client certificate of this plane.
fn caller(extensions: &Extensions) -> Result<Caller, ApiError> {
    let identity = extensions.get::<PeerIdentity>();
    let client = identity.and_then(PeerIdentity::client);
    let request = extensions.get::<RequestId>().cloned().unwrap_or_default();
    client
        .cloned()
        .map(|client| Caller::from(client).asking(request))
        .ok_or_else(|| ApiError::Unauthenticated {
            text: "no client certificate of this plane".into(),
        })
}

/// Who calls, and with what.
fn open<T>(request: Request<T>) -> Result<(Caller, T), ApiError> {
    let caller = caller(request.extensions())?;
    Ok((caller, request.into_inner()))
}

/// As [`open`], of a call that is one query whatever it says: nothing of it is read for a caller who may not make it.
fn open_for<T>(request: Request<T>, query: Query) -> Result<(Caller, T), ApiError> {
    let (caller, message) = open(request)?;
    caller.may(query)?;
    Ok((caller, message))
}

fn answer<T>(outcome: Result<T, ApiError>) -> Answer<T> {
    outcome.map(Response::new).map_err(Status::from)
}

/// Where an answer of this node stands.
fn position(node: &Node, log_index: u64) -> Option<pb::Position> {
    Some(pb::Position {
        cluster: Bytes::copy_from_slice(&node.cluster),
        log_index,
        node: node.config.node.id,
    })
}
