//! Connects to a node: TLS 1.3 with the client's certificate, and the node's identity verified against pinned roots.
//!
//! Host names play no part: a server is believed because its chain ends in the jurisdiction's root and names a node of
//! the plane asked for. The time comes from the caller.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use carnet_trust::chain::{ChainError, verify_node};
pub use carnet_trust::identity::{NodeId, Plane};
use carnet_trust::roots::PinnedRoots;
use carnet_wire::limits::{CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::AlertDescription as Alert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::keys::{self, KeyFileError};

/// The largest header list accepted in an answer, in bytes.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// How much of what a server says first is looked at, in bytes; the rest stays where it is.
const FIRST_WORDS_BYTES_MAX: usize = 1024;

/// Where the time comes from that certificates are judged at.
pub type Clock = Arc<dyn Fn() -> TimeMs + Send + Sync>;

/// A TLS identity, the roots it believes, and the time.
#[derive(Clone)]
pub struct ClientTls {
    roots: Arc<PinnedRoots>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    clock: Clock,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("roots", &self.roots.jurisdictions().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Which server a connection must end at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedServer {
    /// Its jurisdiction.
    pub prefix: Prefix,
    /// Its plane: client or admin.
    pub plane: Plane,
    /// Which node, when only one will do.
    pub node: Option<NodeId>,
}

/// Why a connection cannot even be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate, key or root file.
    #[error("cannot read the TLS files")]
    Files(#[from] KeyFileError),
    /// The private key file.
    #[error("{file}: not a private key in PEM")]
    Key {
        /// Its path, as it was given.
        file: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not used.
    #[error("the certificate and key cannot be used")]
    Config(#[from] rustls::Error),
    /// The address is not `host:port`.
    #[error("{0:?} is not an address of the form host:port")]
    Address(String),
}

impl ClientTls {
    /// From a file of root certificates, the client's certificate with its authority, and its key, all PEM.
    ///
    /// # Errors
    /// When a file cannot be read or certificate and key do not belong together.
    pub fn from_files(
        roots: &Path,
        certificate: &Path,
        key: &Path,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let chain = keys::read_chain(certificate)?;
        let file = key.display().to_string();
        let key = PrivateKeyDer::from_pem_file(key).map_err(|_| TlsError::Key { file })?;
        Self::new(keys::read_roots(roots)?, chain, key, clock)
    }

    /// From values.
    ///
    /// # Errors
    /// When certificate and key do not belong together.
    pub fn new(
        roots: PinnedRoots,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let signer = provider().key_provider.load_private_key(key.clone_key())?;
        rustls::sign::CertifiedKey::new(chain.clone(), signer).keys_match()?;
        Ok(Self {
            roots: Arc::new(roots),
            chain,
            key: Arc::new(key),
            clock,
        })
    }

    /// The roots it believes.
    pub fn roots(&self) -> &PinnedRoots {
        &self.roots
    }

    /// The rustls configuration for connections to one server.
    ///
    /// # Errors
    /// When certificate and key do not belong together.
    pub fn config(&self, expected: ExpectedServer) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(provider());
        let verifier = NodeVerifier {
            roots: Arc::clone(&self.roots),
            expected,
            provider: Arc::clone(&provider),
        };
        let time = Arc::new(ClockTime(Arc::clone(&self.clock)));
        let mut config = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// A channel to `host:port` that connects when it is first used and again whenever it must.
    ///
    /// # Errors
    /// When the address is malformed or the identity cannot be used.
    pub fn channel(&self, address: &str, expected: ExpectedServer) -> Result<Channel, TlsError> {
        self.channel_within(address, expected, CONNECT_TIMEOUT)
    }

    /// As [`ClientTls::channel`], whose connection takes no longer than this to stand.
    pub(crate) fn channel_within(
        &self,
        address: &str,
        expected: ExpectedServer,
        patience: Duration,
    ) -> Result<Channel, TlsError> {
        let connector = TlsConnector::from(Arc::new(self.config(expected)?));
        let wrong = || TlsError::Address(address.to_owned());
        let uri: Uri = format!("http://{address}").parse().map_err(|_| wrong())?;
        if uri.port().is_none() || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong());
        }
        let target = address.to_owned();
        let dial = tower::service_fn(move |_: Uri| {
            let (connector, target) = (connector.clone(), target.clone());
            let connecting = async move {
                let tcp = TcpStream::connect(target).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
                let tls = connector.connect(name, tcp).await;
                let (spoken, tls) = first_words(tls.map_err(broken_off)?).await?;
                let (reads, writes) = tokio::io::split(tls);
                let reads = std::io::Cursor::new(spoken).chain(reads);
                Ok::<_, std::io::Error>(TokioIo::new(tokio::io::join(reads, writes)))
            };
            // Here and not by the transport, whose timeout looks like the answer of a server that was reached.
            async move {
                let connected = tokio::time::timeout(patience, connecting).await;
                connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            }
        });
        Ok(Endpoint::from(uri)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .connect_with_connector_lazy(dial))
    }
}

/// Waits for what a server says first: its HTTP/2 settings, or that it refuses this side's certificate, which in TLS 1.3 it judges after
/// the handshake has ended here. A connection on which requests were sent before that broke in one of several ways, of which most
/// looked like an answer that was lost.
async fn first_words<S: AsyncRead + Unpin>(mut stream: S) -> std::io::Result<(Vec<u8>, S)> {
    let mut spoken = vec![0; FIRST_WORDS_BYTES_MAX];
    let count = stream.read(&mut spoken).await?;
    if count == 0 {
        return Err(std::io::Error::new(
            std::io::ErrorKind::ConnectionAborted,
            "the server closed the connection before it said anything",
        ));
    }
    spoken.truncate(count);
    Ok((spoken, stream))
}

/// Finds the reason for which a chain was refused inside a transport error, if that is why a connection failed.
pub fn refused_chain<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e ChainError> {
    causes(error).find_map(|error| match error.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            other.0.downcast_ref()
        }
        _ => error.downcast_ref::<ChainError>(),
    })
}

/// A handshake that was ended by an alert: the server had not seen this side's certificate then, nor shown its own, and whoever is on the
/// way can send one. It is not to be taken for a refusal.
fn broken_off(error: std::io::Error) -> std::io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => std::io::Error::new(
            std::io::ErrorKind::ConnectionAborted,
            format!(
                "the handshake was broken off, and the server did not show who it is ({alert:?})"
            ),
        ),
        _ => error,
    }
}

/// Why a server refuses this side's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// By the server's clock.
    Expired,
    /// It is on the registry's list of those that are refused, or on that of the node.
    Revoked,
    /// It ends in no root that the server believes.
    UnknownRoot,
    /// The server saw none.
    NoneShown,
    /// It is of another plane, registry or life of it, or malformed.
    OtherKind,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "it is expired, or not valid yet",
            Self::Revoked => "it is revoked",
            Self::UnknownRoot => "it ends in no root that is known there",
            Self::NoneShown => "none was shown",
            Self::OtherKind => "it is not of a kind that is let in there",
        })
    }
}

/// What a server said when it refused this side's certificate, if that is why a connection failed. It then took no request.
pub fn refused_by_server(error: &(dyn std::error::Error + 'static)) -> Option<Refusal> {
    causes(error).find_map(|error| match error.downcast_ref() {
        Some(rustls::Error::AlertReceived(alert)) => why_refused(*alert),
        Some(_) => None,
        // HTTP/2 keeps the text alone of what ended its connection.
        None => {
            let text = error.to_string();
            ALERTS.into_iter().find_map(|alert| {
                let said = rustls::Error::AlertReceived(alert).to_string();
                (text == said).then(|| why_refused(alert)).flatten()
            })
        }
    })
}

/// What is said of a certificate.
const ALERTS: [Alert; 8] = [
    Alert::CertificateExpired,
    Alert::CertificateRevoked,
    Alert::UnknownCA,
    Alert::CertificateRequired,
    Alert::BadCertificate,
    Alert::UnsupportedCertificate,
    Alert::CertificateUnknown,
    Alert::AccessDenied,
];

fn why_refused(alert: Alert) -> Option<Refusal> {
    match alert {
        Alert::CertificateExpired => Some(Refusal::Expired),
        Alert::CertificateRevoked => Some(Refusal::Revoked),
        Alert::UnknownCA => Some(Refusal::UnknownRoot),
        Alert::CertificateRequired => Some(Refusal::NoneShown),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateUnknown
        | Alert::AccessDenied => Some(Refusal::OtherKind),
        _ => None,
    }
}

/// An error, and what it came from; through errors of the operating system too, which hide it.
fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

struct ClockTime(Clock);

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(
            (self.0)().as_ms(),
        )))
    }
}

/// Believes exactly the nodes of one jurisdiction and plane.
#[derive(Debug)]
struct NodeVerifier {
    roots: Arc<PinnedRoots>,
    expected: ExpectedServer,
    provider: Arc<CryptoProvider>,
}

impl NodeVerifier {
    fn judge(&self, chain: &[CertificateDer<'_>], at: TimeMs) -> Result<(), ChainError> {
        let ExpectedServer {
            prefix,
            plane,
            node,
        } = self.expected;
        let found = verify_node(chain, &self.roots, prefix, plane, at)?;
        match node {
            Some(node) => found.expect(node).map(drop),
            None => Ok(()),
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain: Vec<CertificateDer<'_>> = std::iter::once(end_entity)
            .chain(intermediates)
            .cloned()
            .collect();
        let at = TimeMs(now.as_secs().saturating_mul(1000));
        self.judge(&chain, at).map_err(|e| {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(e))))
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(
            "only TLS 1.3 is spoken here".to_owned(),
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // Which plane takes which, its chain is held to.
        vec![
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ]
    }
}
