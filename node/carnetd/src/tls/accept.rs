//! Accepts connections of one port: nobody waits for somebody else, and everything a connection does has its time.
//!
//! Until it has proven who it is, a connection sits in the waiting room of its address: when all places are taken, the
//! oldest of the address with most leaves. So a flood pushes out itself, and the loop that accepts never waits. Afterwards
//! it sits among the connections of its certificate.
//!
//! A connection on its way, and what turns it away at each step ([`Turned`] has a counter for each):
//!
//! 1. It comes: too many a second of its address, or of its network and the port while it proved nothing lately.
//! 2. It sits among the unproven: it makes way for a newcomer when its address holds most places.
//! 3. Its first byte, and then the whole of TLS 1.3, each within a time. A port probe that says nothing is not counted.
//! 4. rustls asks `verify` about its chain *during* the handshake: a chain that is none of this plane's roots gets an alert, and
//!    not a byte of HTTP is read. Here the same chain is judged once more by the same rule, for the proof that the handlers get.
//! 5. It moves to the seats of its address and of its certificate: one more than its share cuts nobody else's connection; on a
//!    full port the holder with most seats gives one up.
//! 6. The HTTP/2 preface, the first request, and any request later, each within a time.
//! 7. It ends when its certificate would be refused by a new handshake: run out, or its root believed no more. So it does when it takes
//!    nothing of what is sent to it.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use carnet_domain::bytes::time::TimeMs;
use carnet_trust::chain::ChainError;
use futures::FutureExt;
use futures::future::{BoxFuture, Fuse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::guarded::{Guard, Guarded};
use super::{ConnectionUse, PeerIdentity, PlaneTls, TlsError};
use crate::edge::seats::{NoSeat, Over, SeatLimits};
use crate::edge::{EdgeCounters, Room, Seat, Turned};
use crate::share::rates::{Rate, Rates, Seen};
use crate::share::{AddressKey, Holder};

/// How long to wait after the operating system refused to accept, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the other end of a handshake that failed may take to hear why, and how much it may say meanwhile.
const HEAR_PATIENCE: Duration = Duration::from_millis(500);
const UNHEARD_BYTES_MAX: usize = 64 * 1024;
/// Connections that are ready and not yet taken by the server.
const READY_COUNT_MAX: usize = 64;
/// What every HTTP/2 connection begins with, in bytes.
const PREFACE_BYTES: usize = 24;

/// What a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeLimits {
    /// The most connections open at a time. Default 1024.
    pub connection_count_max: usize,
    /// The most of them of one certificate. Default 128.
    pub certificate_connection_count_max: usize,
    /// The most of them of one address. Default 512.
    pub address_connection_count_max: usize,
    /// The most connections that have not proven who they are, at a time. Default 256.
    pub handshake_count_max: usize,
    /// The most of those of one address. Default 64.
    pub address_handshake_count_max: usize,
    /// Connections of one address. Default 128 a second, 512 at once.
    pub address_rate: Rate,
    /// Connections of one network, a /24 or a /48, from addresses that proved nothing lately. Default 64 a second, 256 at once.
    pub network_rate: Rate,
    /// Connections of all addresses that proved nothing lately. Default 512 a second, 1024 at once.
    pub port_rate: Rate,
    /// The most addresses that are remembered. Default 4096.
    pub address_count_max: usize,
    /// How long a connection may keep us waiting.
    pub patience: Patience,
}

/// How long a connection may keep us waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until its first byte. Default 3 s.
    pub first_byte: Duration,
    /// Until the end of the handshake, from the beginning. Default 5 s.
    pub handshake: Duration,
    /// From there until its HTTP/2 preface. Default 5 s.
    pub preface: Duration,
    /// From there until its first request. Default 10 s.
    pub first_request: Duration,
    /// Between requests. Default 10 min.
    pub idle: Duration,
    /// While nothing of what is to be sent is read. Default 30 s.
    pub unread: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connection_count_max: 1024,
            certificate_connection_count_max: 128,
            address_connection_count_max: 512,
            handshake_count_max: 256,
            address_handshake_count_max: 64,
            address_rate: Rate {
                per_second: 128,
                burst: 512,
            },
            network_rate: Rate {
                per_second: 64,
                burst: 256,
            },
            port_rate: Rate {
                per_second: 512,
                burst: 1024,
            },
            address_count_max: 4096,
            patience: Patience::default(),
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(3),
            handshake: Duration::from_secs(5),
            preface: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            unread: Duration::from_secs(30),
        }
    }
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
        // Without it answers are late, not wrong; and a connection that is gone already fails at its first byte.
        let _ = stream.set_nodelay(true);
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
    let (sender, receiver) = mpsc::channel(READY_COUNT_MAX);
    let port = Port {
        acceptor,
        tls: tls.clone(),
        patience: limits.patience,
        counters,
        arrivals: Mutex::new(Arrivals::of(&limits)),
        unproven: Room::new(SeatLimits {
            total: limits.handshake_count_max,
            each: limits.address_handshake_count_max,
            over: Over::OldestLeaves,
        }),
        by_certificate: Room::new(SeatLimits {
            total: limits.connection_count_max,
            each: limits.certificate_connection_count_max,
            over: Over::Refused,
        }),
        by_address: Room::new(SeatLimits {
            // The room above has the total; it may have let in one whose predecessor is still leaving.
            total: usize::MAX,
            each: limits.address_connection_count_max,
            over: Over::Refused,
        }),
        sender,
    };
    tokio::spawn(port.run(listener));
    Ok(ReceiverStream::new(receiver))
}

type Sender<Io> = mpsc::Sender<Result<EdgeStream<Io>, Infallible>>;

struct Port<Io> {
    acceptor: TlsAcceptor,
    tls: PlaneTls,
    patience: Patience,
    counters: Arc<EdgeCounters>,
    arrivals: Mutex<Arrivals>,
    unproven: Room<AddressKey>,
    by_certificate: Room<Holder>,
    by_address: Room<AddressKey>,
    sender: Sender<Io>,
}

/// How often whom was let in.
pub(crate) struct Arrivals {
    by_address: Rates<AddressKey>,
    /// Of strangers: one subscriber may have a whole network of addresses.
    by_network: Rates<AddressKey>,
    strangers: Rates<()>,
    /// Addresses from which somebody proved lately who they are: a flood of others does not slow them.
    known: Seen<AddressKey>,
}

impl Arrivals {
    /// Nobody yet.
    pub(crate) fn of(limits: &EdgeLimits) -> Self {
        Self {
            by_address: Rates::new(limits.address_rate, limits.address_count_max),
            by_network: Rates::new(limits.network_rate, limits.address_count_max),
            strangers: Rates::new(limits.port_rate, 1),
            known: Seen::new(limits.address_count_max),
        }
    }

    /// Notes an address from which somebody proved who they are.
    pub(crate) fn note(&mut self, address: &AddressKey) {
        self.known.note(address);
    }

    /// Counts a connection that comes.
    ///
    /// # Errors
    /// Why it is not let in.
    pub(crate) fn take(&mut self, address: &AddressKey, now: Duration) -> Result<(), Turned> {
        self.by_address
            .take(address, now)
            .map_err(|_| Turned::AddressRate)?;
        if self.known.knows(address) {
            return Ok(());
        }
        self.by_network
            .take(&address.network(), now)
            .map_err(|_| Turned::NetworkRate)?;
        self.strangers.take(&(), now).map_err(|_| Turned::PortRate)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Port<Io> {
    async fn run<L: Listen<Io = Io>>(self, mut listener: L) {
        let this = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = this.sender.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((io, remote)) => this.arrived(io, remote),
                // Of a connection that was gone before it was accepted; there may be others.
                Err(error) if is_of_the_other_side(&error) => {
                    debug!(plane = %this.tls.plane(), %error, "connection gone before it was accepted");
                }
                Err(error) => {
                    warn!(plane = %this.tls.plane(), %error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Never waits: the next connection may be an honest one.
    fn arrived(self: &Arc<Self>, io: Io, remote: SocketAddr) {
        let address = AddressKey::of(remote.ip());
        let taken = {
            let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            arrivals.take(&address, self.tls.clock.monotonic())
        };
        if let Err(why) = taken {
            return self.turn(why, &remote, &"");
        }
        // Whoever is unproven makes way, so there is always a place.
        let Ok(waiting) = self.unproven.enter(&address) else {
            return self.turn(Turned::Displaced, &remote, &"");
        };
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let proven = tokio::select! {
                () = waiting.exit().cancelled() => {
                    this.turn(Turned::Displaced, &remote, &"");
                    None
                }
                proven = this.handshake(io, remote) => proven,
            };
            if let Some(stream) = proven.and_then(|proven| this.seated(proven, &address)) {
                drop(waiting);
                // Nobody receives any more when the port is closing.
                let _ = this.sender.send(Ok(stream)).await;
            }
        });
    }

    /// The connection and who is at its other end.
    async fn handshake(&self, io: Io, remote: SocketAddr) -> Option<Proven<Io>> {
        let traffic = Arc::new(Traffic::default());
        let begun = Instant::now();
        let io = Noticed {
            io,
            traffic: Arc::clone(&traffic),
        };
        let mut accepting = pin!(self.acceptor.accept(io).into_fallible());
        let first = tokio::time::timeout(self.patience.first_byte, &mut accepting).await;
        let finished = match first {
            Ok(finished) => Ok(finished),
            Err(_) if !traffic.spoke.load(Ordering::Relaxed) => {
                self.turn(Turned::Silent, &remote, &"");
                return None;
            }
            Err(_) => tokio::time::timeout_at(begun + self.patience.handshake, accepting).await,
        };
        let stream = match finished {
            Err(_) => {
                self.turn(Turned::HandshakeTime, &remote, &"");
                return None;
            }
            // A probe of whoever watches whether the port is open.
            Ok(Err(_)) if !traffic.spoke.load(Ordering::Relaxed) => {
                debug!(plane = %self.tls.plane(), %remote, "left without a word");
                return None;
            }
            Ok(Err((error, io))) => {
                self.turn(Turned::Handshake, &remote, &error);
                let_hear(io).await;
                return None;
            }
            Ok(Ok(stream)) => stream,
        };
        // rustls has judged the chain during the handshake; this makes the proof that the handlers get.
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let changes = self.tls.roots.changes();
        match self.tls.judge(chain, self.tls.clock.wall()) {
            Ok(who) => {
                let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
                let tls = self.tls.clone();
                let judge = move |at| tls.judge(&chain, at).map(drop);
                let lapse = Lapse::of(self.tls.clone(), judge, who.not_after(), changes);
                Some((stream, PeerIdentity::new(who, remote), lapse))
            }
            Err(error) => {
                self.turn(Turned::Handshake, &remote, &error);
                None
            }
        }
    }

    /// A place among the connections of its certificate, if there is one.
    fn seated(
        &self,
        (stream, identity, lapse): Proven<Io>,
        address: &AddressKey,
    ) -> Option<EdgeStream<Io>> {
        let of_address = self.by_address.enter(address).map_err(|_| {
            let remote = identity.remote();
            self.turn(Turned::AddressConnections, &identity, &remote);
        });
        let of_address = of_address.ok()?;
        let seat = self.by_certificate.enter(identity.holder());
        let seat = seat.map_err(|why: NoSeat| self.turn(Turned::Connections, &identity, &why));
        let seat = seat.ok()?;
        self.counters.accept();
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.note(address);
        drop(arrivals);
        let guard = Edge {
            traffic: Arc::clone(&stream.get_ref().0.traffic),
            exit: Box::pin(seat.exit().clone().cancelled_owned()),
            lapse,
            watch: Watch::new(self.patience, Arc::clone(identity.connection())),
            over: None,
            unread: None,
            unread_max: self.patience.unread,
            looked: Box::pin(tokio::time::sleep(LOOK_EVERY)),
            identity,
            counters: Arc::clone(&self.counters),
            tls: self.tls.clone(),
            _seat: seat,
            _of_address: of_address,
        };
        Some(Guarded::new(stream, guard))
    }

    fn turn(&self, why: Turned, who: &dyn fmt::Display, detail: &dyn fmt::Display) {
        let now = self.tls.clock.monotonic();
        self.counters.turn(why, now, who, detail);
    }
}

/// Closes a connection of which the handshake failed, so that its other end hears why. In TLS 1.3 that one believes itself done and
/// speaks: closed with its words unread, the connection would be reset, and the alert with it. It would try everywhere, in vain.
async fn let_hear<Io: AsyncRead + AsyncWrite + Unpin>(mut io: Io) {
    let read = async {
        // The alert is written; nothing follows it.
        let _ = io.shutdown().await;
        let (mut unheard, mut left) = ([0; 1_024], UNHEARD_BYTES_MAX);
        while let Ok(count) = io.read(&mut unheard).await {
            // saturates: the last read may be more than is left
            left = left.saturating_sub(count);
            if count == 0 || left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(HEAR_PATIENCE, read).await;
}

/// Whether accepting failed because of the connection, and not for want of anything here.
fn is_of_the_other_side(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// How often a connection looks whether what it was given to send is let out.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a connection carried.
#[derive(Debug, Default)]
struct Traffic {
    /// Whether anything came.
    spoke: AtomicBool,
    /// Bytes that went out: the other end, or what lies between, has taken them.
    written: AtomicU64,
}

impl Traffic {
    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = polled {
            self.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
    }
}

/// A connection that notices what it carries.
#[derive(Debug)]
pub struct Noticed<Io> {
    io: Io,
    traffic: Arc<Traffic>,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Noticed<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.traffic.spoke.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Noticed<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.traffic.wrote(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.traffic.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// A connection with a verified identity. While it lives it counts as open; it ends when it keeps us waiting too long or
/// its place is needed.
pub type EdgeStream<Io> = Guarded<TlsStream<Noticed<Io>>, Edge>;

/// What ends a connection that was accepted.
#[derive(Debug)]
pub struct Edge {
    traffic: Arc<Traffic>,
    exit: Pin<Box<WaitForCancellationFutureOwned>>,
    lapse: Lapse,
    watch: Watch,
    /// Why it ended.
    over: Option<Turned>,
    /// Since when nothing of what is to be sent is taken, and what was written by then.
    unread: Option<(u64, Pin<Box<Sleep>>)>,
    unread_max: Duration,
    /// When it is looked at next whether all that it was given is let out.
    looked: Pin<Box<Sleep>>,
    identity: PeerIdentity,
    counters: Arc<EdgeCounters>,
    tls: PlaneTls,
    _seat: Seat<Holder>,
    _of_address: Seat<AddressKey>,
}

/// A connection that has proven who is at its other end, and until when.
type Proven<Io> = (TlsStream<Noticed<Io>>, PeerIdentity, Lapse);

/// Ends when the certificate of a connection would be refused.
pub(super) struct Lapse(Fuse<BoxFuture<'static, ChainError>>);

impl Lapse {
    /// `judge` says whether it is refused at an instant.
    pub(super) fn of(
        tls: PlaneTls,
        judge: impl Fn(TimeMs) -> Result<(), ChainError> + Send + Sync + 'static,
        not_after: TimeMs,
        changes: watch::Receiver<()>,
    ) -> Self {
        let lapses = async move { tls.lapses(judge, not_after, changes).await };
        Self(lapses.boxed().fuse())
    }

    /// Why, once it is.
    pub(super) fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<ChainError> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lapse")
    }
}

/// What is waited for on a connection, and until when.
#[derive(Debug)]
struct Watch {
    patience: Patience,
    connection: Arc<ConnectionUse>,
    waits_for: WaitsFor,
    timer: Pin<Box<Sleep>>,
}

#[derive(Debug, Clone, Copy)]
enum WaitsFor {
    /// So many bytes of the preface are missing.
    Preface(usize),
    FirstRequest,
    /// So many requests had begun when the wait began.
    Request(u64),
}

impl Watch {
    fn new(patience: Patience, connection: Arc<ConnectionUse>) -> Self {
        Self {
            patience,
            connection,
            waits_for: WaitsFor::Preface(PREFACE_BYTES),
            timer: Box::pin(tokio::time::sleep(patience.preface)),
        }
    }

    fn came(&mut self, bytes: usize) {
        if let WaitsFor::Preface(missing) = self.waits_for {
            match missing.checked_sub(bytes).filter(|missing| 0 < *missing) {
                Some(missing) => self.waits_for = WaitsFor::Preface(missing),
                None => self.wait(WaitsFor::FirstRequest, self.patience.first_request),
            }
        }
    }

    fn wait(&mut self, waits_for: WaitsFor, patience: Duration) {
        self.waits_for = waits_for;
        self.timer.as_mut().reset(Instant::now() + patience);
    }

    /// What did not come in time; asked again whenever nothing comes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turned> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let (begun, in_work) = self.connection.begun_and_in_work();
            match self.waits_for {
                WaitsFor::Preface(_) => return Poll::Ready(Turned::PrefaceTime),
                WaitsFor::FirstRequest if begun == 0 => {
                    return Poll::Ready(Turned::FirstRequestTime);
                }
                WaitsFor::Request(before) if begun == before && in_work == 0 => {
                    return Poll::Ready(Turned::Idle);
                }
                WaitsFor::FirstRequest | WaitsFor::Request(_) => {
                    self.wait(WaitsFor::Request(begun), self.patience.idle);
                }
            }
        }
        Poll::Pending
    }
}

impl<Io> EdgeStream<Io> {
    /// Who is at the other end.
    pub fn identity(&self) -> &PeerIdentity {
        &self.guard().identity
    }
}

impl Guard for Edge {
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Some(why) = self.over {
            return Poll::Ready(ended(why));
        }
        if self.exit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.end(Turned::Outnumbered));
        }
        if self.lapse.poll_refused(cx).is_ready() {
            return Poll::Ready(self.end(Turned::Lapsed));
        }
        Poll::Pending
    }

    fn poll_came(&mut self, cx: &mut Context<'_>, bytes: Poll<usize>) -> Poll<io::Error> {
        match bytes {
            Poll::Ready(bytes) => {
                self.watch.came(bytes);
                Poll::Pending
            }
            Poll::Pending => {
                // Whoever opens no window for an answer reads all that is written, and lets none of it out.
                while self.looked.as_mut().poll(cx).is_ready() {
                    if self.identity.connection().owed().is_overdue() {
                        return Poll::Ready(self.end(Turned::Unread));
                    }
                    self.looked.as_mut().reset(Instant::now() + LOOK_EVERY);
                }
                self.watch.poll(cx).map(|why| self.end(why))
            }
        }
    }

    /// Whoever takes nothing for too long is not waited for.
    fn poll_written(&mut self, cx: &mut Context<'_>, done: Poll<()>) -> Poll<io::Error> {
        if done.is_ready() {
            self.unread = None;
            return Poll::Pending;
        }
        let written = self.traffic.written.load(Ordering::Relaxed);
        let since = self.unread.take().filter(|(before, _)| *before == written);
        let (_, timer) = self.unread.insert(since.unwrap_or_else(|| {
            let timer = Box::pin(tokio::time::sleep(self.unread_max));
            (written, timer)
        }));
        timer.as_mut().poll(cx).map(|()| self.end(Turned::Unread))
    }
}

impl Edge {
    /// Counts why the connection ends.
    fn end(&mut self, why: Turned) -> io::Error {
        self.over = Some(why);
        let now = self.tls.clock.monotonic();
        let remote = self.identity.remote();
        // Quiet connections end every day; nobody has to read of them.
        if why == Turned::Idle {
            self.counters.count(why);
        } else {
            self.counters.turn(why, now, &self.identity, &remote);
        }
        ended(why)
    }
}

fn ended(why: Turned) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why.word())
}

impl<Io> Connected for EdgeStream<Io> {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.identity().clone()
    }
}
