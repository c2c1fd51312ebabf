//! A request that reached a follower and is passed on to the leader, once.
//!
//! The follower has authenticated the caller; whom it found goes along, so that authorisation is the leader's and no
//! identity is lost on the way. The leader never passes a request on again.

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;

use crate::codec::{Body, Undecodable};
use crate::connector::PeerNode;
use crate::error::ProposeError;

/// What is passed on. Both parts are opaque here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// Whom the follower authenticated.
    pub identity: Bytes,
    /// What was asked.
    pub request: Bytes,
}

/// Takes requests that followers pass on. It authorises, stamps and proposes as if the caller had come directly.
pub trait ForwardHandler: Send + Sync + 'static {
    /// The answer for the follower to give, or what became of the proposal.
    fn handle(
        &self,
        from: PeerNode,
        forwarded: Forwarded,
    ) -> BoxFuture<'static, Result<Bytes, ProposeError>>;
}

impl Body for Forwarded {
    fn encode(&self, to: &mut BytesMut) {
        self.identity.encode(to);
        self.request.encode(to);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        Ok(Forwarded {
            identity: Bytes::decode(from)?,
            request: Bytes::decode(from)?,
        })
    }
}
