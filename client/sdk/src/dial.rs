//! How a channel to an endpoint is made.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_trust::identity::{NodeId, Plane};
use carnet_wire::limits::CONNECT_TIMEOUT;
use tonic::transport::Channel;

use crate::clock::wall_time;
use crate::error::ClientError;
use crate::tls::{ClientTls, ExpectedServer, TlsError};

/// Makes channels. [`Identity`] is the one for mutual TLS; tests bring their own.
pub trait Dial: Send + Sync {
    /// A channel to `host:port` that connects when it is first used.
    ///
    /// # Errors
    /// When the address is malformed.
    fn dial(&self, address: &str) -> Result<Channel, TlsError>;
}

/// Who we are, whom we believe, and which registry and plane we mean.
#[derive(Debug, Clone)]
pub struct Identity {
    tls: ClientTls,
    expected: ExpectedServer,
    connect_within: Duration,
}

impl Identity {
    /// For the client plane, from PEM files: roots, certificate with its authority, key. Without a prefix, the roots must
    /// be those of one jurisdiction.
    ///
    /// # Errors
    /// When a file cannot be read, key and certificate do not match, or the jurisdiction is not clear.
    pub fn from_files(
        roots: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
        prefix: Option<Prefix>,
    ) -> Result<Self, ClientError> {
        let (roots, certificate, key) = (roots.as_ref(), certificate.as_ref(), key.as_ref());
        let tls = ClientTls::from_files(roots, certificate, key, Arc::new(wall_time))?;
        let prefix = match prefix {
            Some(prefix) => prefix,
            None => match tls.roots().jurisdictions().collect::<Vec<_>>().as_slice() {
                [one] => *one,
                _ => {
                    let text =
                        "the root file is not of exactly one jurisdiction: say which one is meant";
                    return Err(ClientError::Usage(text.into()));
                }
            },
        };
        Ok(Self::new(
            tls,
            ExpectedServer {
                prefix,
                plane: Plane::Client,
                node: None,
            },
        ))
    }

    /// From values.
    pub fn new(tls: ClientTls, expected: ExpectedServer) -> Self {
        Self {
            tls,
            expected,
            connect_within: CONNECT_TIMEOUT,
        }
    }

    /// The same for the admin plane; the certificate must be one of that plane.
    pub fn admin(mut self) -> Self {
        self.expected.plane = Plane::Admin;
        self
    }

    /// The same, for one node alone: whoever answers has to prove that it is that one.
    pub fn of_node(mut self, node: NodeId) -> Self {
        self.expected.node = Some(node);
        self
    }

    /// The longest that a connection may take to stand, handshake included: a server that takes it and stays silent is there for
    /// nobody. Default 3 s.
    pub fn connect_within(mut self, patience: Duration) -> Self {
        self.connect_within = patience;
        self
    }

    /// The registry meant.
    pub fn prefix(&self) -> Prefix {
        self.expected.prefix
    }
}

impl Dial for Identity {
    fn dial(&self, address: &str) -> Result<Channel, TlsError> {
        self.tls
            .channel_within(address, self.expected, self.connect_within)
    }
}
