//! Accepts connections of one port: so many open, so many in a handshake, each handshake within its time.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::{PeerIdentity, PlaneTls, TlsError};

/// How long to wait after the operating system refused to accept, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeLimits {
    /// The most connections open at a time. One more is closed unread. Default 1024.
    pub connection_count_max: usize,
    /// The most connections in a handshake at a time. More wait in the queue of the operating system. Default 64.
    pub handshake_count_max: usize,
    /// The longest a handshake may take. Default 5 s.
    pub handshake_timeout: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connection_count_max: 1024,
            handshake_count_max: 64,
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

/// What happened at a port since it opened.
#[derive(Debug, Default)]
pub struct EdgeCounters {
    accepted: AtomicU64,
    over_limit: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
}

impl EdgeCounters {
    /// Connections whose handshake succeeded.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections closed because too many were open.
    pub fn over_limit(&self) -> u64 {
        self.over_limit.load(Ordering::Relaxed)
    }

    /// Handshakes that failed, mostly for their certificates.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Handshakes that took too long.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where connections come from: the machine's TCP, or a simulated network.
pub trait Listen: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection and where it comes from.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;
}

impl Listen for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, remote) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, remote))
    }
}

/// The connections of a port that passed their handshake, for tonic's `serve_with_incoming`.
pub type Incoming<Io> = ReceiverStream<Result<EdgeStream<Io>, Infallible>>;

/// Accepts connections until the stream is dropped. Every connection it yields has a verified identity.
///
/// # Errors
/// When the TLS configuration of the plane is not accepted.
pub fn accept<L: Listen>(
    listener: L,
    tls: &PlaneTls,
    limits: EdgeLimits,
    counters: Arc<EdgeCounters>,
) -> Result<Incoming<L::Io>, TlsError> {
    let acceptor = TlsAcceptor::from(Arc::new(tls.server_config()?));
    let (sender, receiver) = mpsc::channel(limits.handshake_count_max.max(1));
    let port = Port {
        acceptor,
        tls: tls.clone(),
        limits,
        counters,
        sender,
    };
    tokio::spawn(port.run(listener));
    Ok(ReceiverStream::new(receiver))
}

type Sender<Io> = mpsc::Sender<Result<EdgeStream<Io>, Infallible>>;

struct Port<Io> {
    acceptor: TlsAcceptor,
    tls: PlaneTls,
    limits: EdgeLimits,
    counters: Arc<EdgeCounters>,
    sender: Sender<Io>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Port<Io> {
    async fn run<L: Listen<Io = Io>>(self, mut listener: L) {
        let connections = Arc::new(Semaphore::new(self.limits.connection_count_max));
        let handshakes = Arc::new(Semaphore::new(self.limits.handshake_count_max));
        let this = Arc::new(self);
        loop {
            let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                () = this.sender.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let (io, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(plane = %this.tls.plane(), %error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(open) = Arc::clone(&connections).try_acquire_owned() else {
                count(&this.counters.over_limit);
                debug!(plane = %this.tls.plane(), %remote, "connection closed, too many are open");
                continue;
            };
            let this = Arc::clone(&this);
            tokio::spawn(async move {
                if let Some(stream) = this.handshake(io, remote, open).await {
                    // Nobody receives any more when the port is closing.
                    let _ = this.sender.send(Ok(stream)).await;
                }
                drop(handshake);
            });
        }
    }

    async fn handshake(
        &self,
        io: Io,
        remote: SocketAddr,
        open: OwnedSemaphorePermit,
    ) -> Option<EdgeStream<Io>> {
        let plane = self.tls.plane();
        let finished =
            tokio::time::timeout(self.limits.handshake_timeout, self.acceptor.accept(io));
        let stream = match finished.await {
            Err(_) => {
                count(&self.counters.timed_out);
                debug!(%plane, %remote, "handshake timed out");
                return None;
            }
            Ok(Err(error)) => {
                count(&self.counters.refused);
                debug!(%plane, %remote, %error, "handshake refused");
                return None;
            }
            Ok(Ok(stream)) => stream,
        };
        // rustls has judged the chain during the handshake; this makes the proof that the handlers get.
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        match self.tls.judge(chain, self.tls.clock.wall()) {
            Ok(who) => {
                count(&self.counters.accepted);
                let identity = PeerIdentity {
                    who: Arc::new(who),
                    remote,
                };
                Some(EdgeStream {
                    stream,
                    identity,
                    _open: open,
                })
            }
            Err(error) => {
                count(&self.counters.refused);
                debug!(%plane, %remote, %error, "certificate refused after the handshake");
                None
            }
        }
    }
}

/// A connection with a verified identity. While it lives it counts as open.
#[derive(Debug)]
pub struct EdgeStream<Io> {
    stream: TlsStream<Io>,
    identity: PeerIdentity,
    _open: OwnedSemaphorePermit,
}

impl<Io> EdgeStream<Io> {
    /// Who is at the other end.
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }
}

impl<Io> Connected for EdgeStream<Io> {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.identity.clone()
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for EdgeStream<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EdgeStream<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
