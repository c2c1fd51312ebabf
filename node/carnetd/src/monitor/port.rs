//! The port for monitors: four answers over HTTP/1.1, and nothing else.
//!
//! One request a connection, few connections at once, a short time for each. When all places are taken the oldest of the address with
//! most leaves: whoever floods it pushes out itself, and an answer takes less time than it takes to push it out. On a loopback address it speaks in the clear; on any other it asks for a certificate of the admin plane.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_domain::rules::policy::Query;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::readiness::{Hindrance, hindrances, told};
use super::{Monitor, metrics};
use crate::edge::{Over, Room, SeatLimits};
use crate::service::Caller;
use crate::share::AddressKey;
use crate::share::rates::{Rate, Rates};
use crate::tls::{Arrivals, EdgeLimits, Listen, PlaneTls, TlsError, Who};

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 64;
/// Of them of one address.
pub const ADDRESS_CONNECTIONS_MAX: usize = 32;
/// Connections of one address a second, where each costs a handshake, and at once: more than a scraper makes in a minute.
pub const ADDRESS_RATE: Rate = Rate {
    per_second: 8,
    burst: 64,
};
/// The same of all addresses that proved nothing lately.
const STRANGERS_RATE: Rate = Rate {
    per_second: 32,
    burst: 128,
};
/// Lines of the log about connections that came too often.
const LINES: Rate = Rate {
    per_second: 1,
    burst: 1,
};
/// Until the handshake is done, and then until the request is there: a scraper has nothing to think about.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// For one connection, from its first byte to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const REQUEST_HEAD_BYTES_MAX: usize = 8_192;
/// How long to wait after the operating system refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const TEXT: &str = "text/plain; charset=utf-8";

/// Whom the port answers.
#[derive(Clone)]
pub enum Guard {
    /// Everybody who reaches it: it listens on a loopback address.
    Loopback,
    /// Whoever proves a role that may ask how the cluster is.
    Certificate(Box<PlaneTls>, TlsAcceptor),
}

impl Guard {
    /// As the address needs it; `tls` is the node's identity on the admin plane.
    ///
    /// # Errors
    /// rustls does not accept it.
    pub fn of(address: SocketAddr, tls: &PlaneTls) -> Result<Self, TlsError> {
        if address.ip().is_loopback() {
            return Ok(Self::Loopback);
        }
        let mut config = tls.server_config()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self::Certificate(Box::new(tls.clone()), acceptor))
    }
}

/// Answers monitors until it is dropped.
pub async fn serve<L: Listen>(mut listener: L, guard: Guard, monitor: Monitor) {
    let room = Room::new(SeatLimits {
        total: CONNECTIONS_MAX,
        each: ADDRESS_CONNECTIONS_MAX,
        over: Over::OldestLeaves,
    });
    let arrivals = Arc::new(Mutex::new(Arrivals::of(&EdgeLimits {
        address_rate: ADDRESS_RATE,
        network_rate: STRANGERS_RATE,
        port_rate: STRANGERS_RATE,
        ..EdgeLimits::default()
    })));
    let mut lines = Rates::new(LINES, 1);
    loop {
        let (io, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "connection to the port for monitors not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let address = AddressKey::of(remote.ip());
        // Without a handshake an answer costs less than to count it.
        if let Guard::Certificate(tls, _) = &guard {
            let now = tls.monotonic();
            if let Err(why) = locked(&arrivals).take(&address, now) {
                if lines.take(&(), now).is_ok() {
                    warn!(%remote, reason = why.word(), "connections to the port for monitors come too often");
                }
                continue;
            }
        }
        // Whoever sits makes way, so there is always a place.
        let Ok(seat) = room.enter(&address) else {
            continue;
        };
        let (guard, monitor) = (guard.clone(), monitor.clone());
        let arrivals = Arc::clone(&arrivals);
        tokio::spawn(async move {
            let served = tokio::time::timeout(PATIENCE, connection(io, guard, monitor));
            let served = tokio::select! {
                () = seat.exit().cancelled() => {
                    debug!(%remote, "a connection to the port for monitors made way");
                    return;
                }
                served = served => served,
            };
            match served {
                Ok(Ok(())) => locked(&arrivals).note(&address),
                Ok(Err(error)) => debug!(%remote, error, "a monitor was not answered"),
                Err(_) => debug!(%remote, "a monitor took too long"),
            }
        });
    }
}

fn locked(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    // Every change is whole when it is made, so a poisoned lock holds a whole value.
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one connection to its end.
pub(super) async fn connection<Io>(io: Io, guard: Guard, monitor: Monitor) -> Result<(), String>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match guard {
        Guard::Loopback => http(io, true, monitor).await,
        Guard::Certificate(tls, acceptor) => {
            let stream = tokio::time::timeout(FIRST_PATIENCE, acceptor.accept(io)).await;
            let stream = stream.map_err(|_| "the handshake took too long".to_owned())?;
            let stream = stream.map_err(|error| error.to_string())?;
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let who = tls.who(chain).map_err(|error| error.to_string())?;
            let may = match who {
                Who::Client(client) => Caller::from(client).may(Query::ClusterStatus).is_ok(),
                Who::Node(_) | Who::Peer(_) => false,
            };
            http(stream, may, monitor).await
        }
    }
}

async fn http<Io>(io: Io, may: bool, monitor: Monitor) -> Result<(), String>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answering = service_fn(move |request: Request<Incoming>| {
        let monitor = monitor.clone();
        async move {
            let (method, path) = (request.method(), request.uri().path());
            Ok::<_, Infallible>(answer(method, path, may, &monitor).await)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(FIRST_PATIENCE)
        .keep_alive(false)
        .max_buf_size(REQUEST_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(io), answering)
        .await
        .map_err(|error| error.to_string())
}

/// What one request is answered.
async fn answer(method: &Method, path: &str, may: bool, monitor: &Monitor) -> Response<String> {
    if !may {
        let text = "this role may not ask how the cluster is\n";
        return response(StatusCode::FORBIDDEN, TEXT, text.to_owned());
    }
    if method != Method::GET && method != Method::HEAD {
        let text = "only GET is answered here\n";
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, text.to_owned());
    }
    match path {
        // Of this process alone: whoever is restarted for it would come back to the same cluster.
        "/livez" => response(StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/readyz" => ready(monitor, |found| found.code.is_of_callers()).await,
        "/readyz/federation" => ready(monitor, |found| found.code.is_of_callers_or_peers()).await,
        "/metrics" => match monitor.look().await {
            Ok(seen) => {
                let text = metrics::text(&seen, monitor.now());
                response(StatusCode::OK, metrics::CONTENT_TYPE, text)
            }
            Err(error) => unseen(&error),
        },
        _ => {
            let text = "there are /livez, /readyz, /readyz/federation and /metrics\n";
            response(StatusCode::NOT_FOUND, TEXT, text.to_owned())
        }
    }
}

async fn ready(monitor: &Monitor, counts: impl Fn(&Hindrance) -> bool) -> Response<String> {
    match monitor.look().await {
        Ok(seen) => {
            let found = hindrances(&seen.status, monitor.now());
            let (is, text) = told(found.iter().filter(|found| counts(found)));
            let code = match is {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            response(code, TEXT, text)
        }
        Err(error) => unseen(&error),
    }
}

fn unseen(error: &carnet_wire::status::ApiError) -> Response<String> {
    let text = format!("not ready\nUNREADABLE: {error}\n");
    response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
}

fn response(code: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = code;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
