//! Connects to another node: the own certificate shown, the other's identity verified, host names ignored.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::accept::Lapse;
use super::guarded::{Guard, Guarded};
use super::verify::NodeVerifier;
use super::{ExpectedNode, PlaneTls, TlsError, provider};

/// How a channel to another node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectTuning {
    /// The longest a connection may take, from the first packet to the end of the handshake. Default 5 s.
    pub connect_timeout: Duration,
    /// The longest until an answer begins; `None` for channels that carry streams. Default 10 s.
    pub request_timeout: Option<Duration>,
    /// How often a connection is probed. Default 10 s.
    pub keepalive_interval: Duration,
    /// How long a probe may stay unanswered. Default 5 s.
    pub keepalive_timeout: Duration,
    /// The largest header list accepted in an answer, in bytes. Default 8 KiB.
    pub header_bytes_max: u32,
    /// How much may be in flight to us on one stream and on the connection, in bytes. Default 4 MiB.
    pub window_bytes: u32,
}

impl Default for ConnectTuning {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Some(Duration::from_secs(10)),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            header_bytes_max: 8 * 1024,
            window_bytes: 4 * 1024 * 1024,
        }
    }
}

/// How bytes get to another node: the machine's TCP, or a simulated network.
pub trait Dial: Clone + Send + Sync + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects to `host:port`.
    fn dial(&self, address: &str) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// The machine's TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDial;

impl Dial for TcpDial {
    type Io = TcpStream;

    async fn dial(&self, address: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A channel to the node at `host:port` that connects when it is first used and again whenever it must.
///
/// # Errors
/// When the address is malformed or the TLS configuration is not accepted.
pub fn connect<D: Dial>(
    dial: D,
    address: &str,
    tls: &PlaneTls,
    expected: ExpectedNode,
    tuning: ConnectTuning,
) -> Result<Channel, TlsError> {
    let connector = TlsConnector::from(Arc::new(tls.client_config(expected)?));
    let verifier = NodeVerifier::new(tls.clone(), expected, Arc::new(provider()));
    let wrong = || TlsError::Address(address.to_owned());
    // tonic would add its own TLS to https; ours is below it.
    let uri: Uri = format!("http://{address}").parse().map_err(|_| wrong())?;
    if uri.port().is_none() || uri.path() != "/" || uri.query().is_some() {
        return Err(wrong());
    }
    let address: Arc<str> = address.into();
    let tls = tls.clone();
    let service = tower::service_fn(move |_: Uri| {
        let (dial, connector, address) = (dial.clone(), connector.clone(), Arc::clone(&address));
        let (tls, verifier) = (tls.clone(), verifier.clone());
        async move {
            let io = dial.dial(&address).await?;
            let unused = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
            let stream = connector.connect(unused, io).await?;
            let stream = dialled(stream, tls, verifier)?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let mut endpoint = Endpoint::from(uri)
        .connect_timeout(tuning.connect_timeout)
        .http2_keep_alive_interval(tuning.keepalive_interval)
        .keep_alive_timeout(tuning.keepalive_timeout)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(tuning.header_bytes_max)
        .initial_stream_window_size(tuning.window_bytes)
        .initial_connection_window_size(tuning.window_bytes);
    if let Some(timeout) = tuning.request_timeout {
        endpoint = endpoint.timeout(timeout);
    }
    Ok(endpoint.connect_with_connector_lazy(service))
}

/// Ends a connection when the node at its other end would be refused now, as one that was accepted does.
struct Refused {
    lapse: Lapse,
    over: bool,
}

fn dialled<Io>(
    stream: TlsStream<Io>,
    tls: PlaneTls,
    verifier: NodeVerifier,
) -> io::Result<Guarded<TlsStream<Io>, Refused>> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
    let changes = tls.roots.changes();
    // The handshake has judged it; what has changed since is seen here.
    let not_after = verifier.judge(&chain, tls.clock.wall());
    let not_after = not_after.map_err(io::Error::other)?;
    let judge = move |at| verifier.judge(&chain, at).map(drop);
    let guard = Refused {
        lapse: Lapse::of(tls, judge, not_after, changes),
        over: false,
    };
    Ok(Guarded::new(stream, guard))
}

impl Guard for Refused {
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.over {
            return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
        }
        let refused = self.lapse.poll_refused(cx);
        self.over = refused.is_ready();
        refused.map(io::Error::other)
    }
}
