//! Hands the chains of a handshake to `carnet_trust` and its refusals back to rustls.

use std::sync::Arc;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use carnet_trust::chain::{
    self, ChainError, Fault, VerifiedClient, VerifiedNode, VerifiedPeer, Whose,
};
use carnet_trust::facts::bearer_of_peer;
use carnet_trust::identity::Plane;
use carnet_trust::roots::PinnedRoots;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::{ExpectedNode, Life, PlaneTls};

pub(super) fn node(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    prefix: Prefix,
    life: Life,
    at: TimeMs,
) -> Result<VerifiedNode, ChainError> {
    chain::verify_node(chain, roots, prefix, Plane::Raft, at)?
        .expect_cluster(life.cluster, life.incarnation)
}

pub(super) fn peer(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    at: TimeMs,
) -> Result<VerifiedPeer, ChainError> {
    chain::verify_peer(chain, roots, at)
}

pub(super) fn client(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    prefix: Prefix,
    plane: Plane,
    at: TimeMs,
) -> Result<VerifiedClient, ChainError> {
    chain::verify_client(chain, roots, prefix, plane, at)
}

/// Judges whoever connects to a port.
#[derive(Debug)]
pub(super) struct EdgeVerifier {
    edge: PlaneTls,
    provider: Arc<CryptoProvider>,
}

impl EdgeVerifier {
    pub(super) fn new(edge: PlaneTls, provider: Arc<CryptoProvider>) -> Self {
        Self { edge, provider }
    }
}

impl ClientCertVerifier for EdgeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.edge
            .judge_shown(&joined(end_entity, intermediates), instant(now))
            .map_err(refused)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(self.edge.plane)
    }
}

/// Judges the node at the other end of a connection that this node opens.
#[derive(Debug, Clone)]
pub(super) struct NodeVerifier {
    edge: PlaneTls,
    expected: ExpectedNode,
    provider: Arc<CryptoProvider>,
}

impl NodeVerifier {
    pub(super) fn new(
        edge: PlaneTls,
        expected: ExpectedNode,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self {
            edge,
            expected,
            provider,
        }
    }

    /// Until when the chain is good.
    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        at: TimeMs,
    ) -> Result<TimeMs, ChainError> {
        let ExpectedNode { prefix, node } = self.expected;
        let plane = self.edge.plane;
        let ours = prefix == self.edge.prefix;
        let roots = if ours {
            self.edge.roots.own()
        } else {
            self.edge.roots.peers()
        };
        let mut found = chain::verify_node(chain, &roots, prefix, plane, at)?;
        let bearer = match ours {
            true => found.bearer(),
            false => bearer_of_peer(&found.name()),
        };
        self.edge.roots.denied().judge(&found.marks(), &bearer)?;
        if ours {
            let Life {
                cluster,
                incarnation,
            } = self.edge.life;
            found = found.expect_cluster(cluster, incarnation)?;
        }
        match node {
            Some(expected) if found.node() != expected => Err(ChainError {
                whose: Whose::Presenter,
                fault: Fault::Node {
                    expected,
                    found: found.node(),
                },
            }),
            Some(_) | None => Ok(found.not_after()),
        }
    }
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(&joined(end_entity, intermediates), instant(now))
            .map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(self.edge.plane)
    }
}

/// With which a plane's callers and nodes sign their handshakes.
fn schemes(plane: Plane) -> Vec<SignatureScheme> {
    match plane {
        Plane::Client => vec![
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ],
        Plane::Raft | Plane::Admin | Plane::Federation => vec![SignatureScheme::ED25519],
    }
}

fn joined<'a>(
    end_entity: &CertificateDer<'a>,
    intermediates: &[CertificateDer<'a>],
) -> Vec<CertificateDer<'a>> {
    std::iter::once(end_entity)
        .chain(intermediates)
        .cloned()
        .collect()
}

fn instant(now: UnixTime) -> TimeMs {
    TimeMs::from_ms(now.as_secs().saturating_mul(1000))
}

/// Keeps our reason inside rustls' error, so that the log of the node that refuses says why.
fn refused(error: ChainError) -> Error {
    // With an alert of its own: whoever has it is told at once, and tries no other node.
    if matches!(error.fault, Fault::Revoked { .. } | Fault::RevokedHere) {
        return Error::InvalidCertificate(CertificateError::Revoked);
    }
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3 is spoken here".to_owned())
}
