//! Connections between simulated hosts: no TLS, the peer's identity comes as a value.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use carnet_consensus::{ConnectError, Connector, Member, PeerNode, Purpose};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};
use turmoil::net::TcpStream;

/// Port of the Raft plane on every host.
pub(crate) const PORT: u16 = 7000;

pub(crate) fn host(node: u64) -> String {
    format!("node-{node}")
}

/// Opens simulated connections from one node.
pub(crate) struct SimConnector(pub(crate) u64);

impl Connector for SimConnector {
    fn channel(&self, node: u64, _: &Member, _: Purpose) -> Result<Channel, ConnectError> {
        let name = host(node);
        let endpoint = Endpoint::from_shared(format!("http://{name}:{PORT}"))
            .and_then(|endpoint| endpoint.user_agent(host(self.0)))
            .map_err(|error| ConnectError(error.to_string()))?
            .connect_timeout(Duration::from_millis(500));
        let connect = tower::service_fn(move |_: Uri| {
            let name = name.clone();
            async move {
                Ok::<_, io::Error>(TokioIo::new(
                    TcpStream::connect((name.as_str(), PORT)).await?,
                ))
            }
        });
        Ok(endpoint.connect_with_connector_lazy(connect))
    }
}

/// The user agent stands for the certificate.
pub(crate) fn prove(mut request: Request<()>) -> Result<Request<()>, Status> {
    let agent = request
        .metadata()
        .get("user-agent")
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    let node = agent
        .split(' ')
        .next()
        .and_then(|name| name.strip_prefix("node-")?.parse().ok());
    if let Some(node) = node {
        request.extensions_mut().insert(PeerNode(node));
    }
    Ok(request)
}

/// An accepted connection, as tonic wants it.
pub(crate) struct Accepted(pub(crate) TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
