//! A border between jurisdictions: TCP through the harness, which can be cut and slowed down.
//!
//! Bytes pass unchanged: what runs inside is TLS, and a cut looks to both sides as a cut cable with a reset, or as
//! silence.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::patience::Broken;

/// What the border does to traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Open,
    /// Every chunk of bytes waits so long, in each direction.
    Slow(Duration),
    /// Open connections are reset and new ones closed at once.
    Cut,
    /// Nothing passes and nobody is told: connections stay open and silent.
    Silent,
    /// What is asked passes; what is answered waits until this ends.
    Unanswered,
    /// What is answered passes; what is asked waits until this ends.
    Unasked,
    /// Of so many chunks of bytes one is lost and arrives as late as a kernel sends it again.
    Lossy {
        /// How many.
        one_in: u64,
    },
    /// At one of so many chunks of bytes the connection is reset.
    Resets {
        /// How many.
        one_in: u64,
    },
}

/// Linux waits so long at least before it sends again what was lost.
const RESENT_AFTER: Duration = Duration::from_millis(200);

/// One way through a proxy: its weather, and how often that did something to traffic.
#[derive(Debug)]
pub struct Route {
    weather: watch::Sender<Weather>,
    chunks: AtomicU64,
    felt: AtomicU64,
}

impl Route {
    /// An open one.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            weather: watch::Sender::new(Weather::Open),
            chunks: AtomicU64::new(0),
            felt: AtomicU64::new(0),
        })
    }

    /// Changes the weather, for open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How often bytes were kept back, delayed or lost, or a connection was cut or refused.
    pub fn felt(&self) -> u64 {
        self.felt.load(Ordering::Relaxed)
    }

    fn feels(&self) {
        self.felt.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the next chunk is one of those that are lost.
    fn loses(&self, one_in: u64) -> bool {
        let chunk = self.chunks.fetch_add(1, Ordering::Relaxed);
        let lost = chunk.is_multiple_of(one_in.max(1));
        if lost {
            self.feels();
        }
        lost
    }
}

/// Which route a connection takes, by where it comes from; `None`: it is refused.
type Choose = dyn Fn(SocketAddr) -> Option<Arc<Route>> + Send + Sync;

/// One listening address that leads to another. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on `from` and leads to `to`, by one route.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(
        from: SocketAddr,
        to: SocketAddr,
        route: Arc<Route>,
    ) -> Result<Self, Broken> {
        Self::choosing(from, to, Arc::new(move |_| Some(Arc::clone(&route)))).await
    }

    /// Listens on `from` and leads to `to`, each connection by the route that is chosen for where it comes from.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn choosing(
        from: SocketAddr,
        to: SocketAddr,
        choose: Arc<Choose>,
    ) -> Result<Self, Broken> {
        let listener = TcpListener::bind(from)
            .await
            .map_err(Broken::at(format!("bind {from}")))?;
        let address = listener.local_addr().map_err(Broken::at("local address"))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, to, choose));
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, choose: Arc<Choose>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, whence)) = accepted else { continue };
                let Some(route) = choose(whence) else { continue };
                if *route.weather.borrow() == Weather::Cut {
                    route.feels();
                } else {
                    open.spawn(connect(near, to, route));
                }
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connect(near: TcpStream, to: SocketAddr, route: Arc<Route>) {
    let mut weather = route.weather.subscribe();
    if !passable(Way::Asked, &route, &mut weather).await {
        return;
    }
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    // Small frames are the point of what runs inside.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = carry(near_in, far_out, Way::Asked, &route) => {}
        () = carry(far_in, near_out, Way::Answered, &route) => {}
    }
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To where the proxy leads.
    Asked,
    /// Back.
    Answered,
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    way: Way,
    route: &Route,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut weather = route.weather.subscribe();
    let mut watch = route.weather.subscribe();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = cut(&mut watch) => {
                route.feels();
                return;
            }
        };
        let Ok(count @ 1..) = read else { return };
        if !passable(way, route, &mut weather).await {
            return;
        }
        let now = *weather.borrow();
        let delay = match now {
            Weather::Slow(delay) => {
                route.feels();
                delay
            }
            Weather::Lossy { one_in } if route.loses(one_in) => RESENT_AFTER,
            Weather::Resets { one_in } if route.loses(one_in) => return,
            _ => Duration::ZERO,
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Waits while nothing passes this way; whether anything passes now.
async fn passable(way: Way, route: &Route, weather: &mut watch::Receiver<Weather>) -> bool {
    let passes = |weather: &Weather| match weather {
        Weather::Open
        | Weather::Slow(_)
        | Weather::Cut
        | Weather::Lossy { .. }
        | Weather::Resets { .. } => true,
        Weather::Silent => false,
        Weather::Unanswered => way == Way::Asked,
        Weather::Unasked => way == Way::Answered,
    };
    if !passes(&weather.borrow()) {
        route.feels();
    }
    let seen = weather.wait_for(passes).await;
    seen.is_ok_and(|weather| *weather != Weather::Cut)
}

async fn cut(weather: &mut watch::Receiver<Weather>) {
    // An end of the channel is an end of the proxy.
    let _ = weather.wait_for(|weather| *weather == Weather::Cut).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    /// An address that answers every byte with the same byte, and says here what it was asked.
    async fn echo_heard() -> (SocketAddr, mpsc::UnboundedReceiver<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let hears = hears.clone();
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        // Most tests do not listen.
                        let _ = hears.send(byte);
                        if stream.write_all(&[byte]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (address, heard)
    }

    async fn echo() -> SocketAddr {
        echo_heard().await.0
    }

    async fn proxy_to(to: SocketAddr) -> (Proxy, Arc<Route>) {
        let route = Route::new();
        let from = "127.0.0.1:0".parse().expect("an address");
        let proxy = Proxy::start(from, to, Arc::clone(&route)).await;
        (proxy.expect("a proxy"), route)
    }

    async fn proxy() -> (Proxy, Arc<Route>, TcpStream) {
        let (proxy, route) = proxy_to(echo().await).await;
        let stream = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        (proxy, route, stream)
    }

    async fn says(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        stream.write_all(&[byte]).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn an_open_border_lets_everything_pass() {
        let (_proxy, route, mut stream) = proxy().await;
        assert_eq!(says(&mut stream, 7).await.expect("an echo"), 7);
        assert_eq!(route.felt(), 0);
    }

    #[tokio::test]
    async fn a_cut_border_ends_open_connections_and_takes_no_new_ones() {
        let (proxy, route, mut stream) = proxy().await;
        says(&mut stream, 7).await.expect("an echo");
        route.set(Weather::Cut);
        assert!(says(&mut stream, 8).await.is_err());
        let mut second = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        assert!(says(&mut second, 9).await.is_err());
        route.set(Weather::Open);
        let mut third = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        assert_eq!(says(&mut third, 10).await.expect("an echo"), 10);
    }

    #[tokio::test]
    async fn what_is_asked_arrives_while_the_answer_waits() {
        let (to, mut heard) = echo_heard().await;
        let (proxy, route) = proxy_to(to).await;
        route.set(Weather::Unanswered);
        let mut stream = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        stream.write_all(&[7]).await.expect("written");
        assert_eq!(heard.recv().await, Some(7), "the question did not arrive");
        let early = timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
        route.set(Weather::Open);
        assert_eq!(stream.read_u8().await.expect("an echo"), 7);
    }

    #[tokio::test]
    async fn what_was_sent_into_silence_arrives_when_it_ends() {
        let (_proxy, route, mut stream) = proxy().await;
        says(&mut stream, 7).await.expect("an echo");
        route.set(Weather::Silent);
        let silent = timeout(Duration::from_millis(50), says(&mut stream, 8)).await;
        assert!(silent.is_err(), "{silent:?}");
        route.set(Weather::Open);
        assert_eq!(stream.read_u8().await.expect("an echo"), 8);
    }

    #[tokio::test]
    async fn a_connection_that_is_reset_can_be_made_again() {
        let (proxy, route, mut stream) = proxy().await;
        route.set(Weather::Resets { one_in: 1 });
        assert!(says(&mut stream, 8).await.is_err());
        assert_eq!(route.felt(), 1);
        route.set(Weather::Open);
        let mut second = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        assert_eq!(says(&mut second, 9).await.expect("an echo"), 9);
    }

    #[tokio::test]
    async fn what_is_lost_arrives_later() {
        let (_proxy, route, mut stream) = proxy().await;
        route.set(Weather::Lossy { one_in: 2 });
        for byte in 0..4 {
            assert_eq!(says(&mut stream, byte).await.expect("an echo"), byte);
        }
        assert_eq!(route.felt(), 4, "of eight chunks, every second");
    }

    #[tokio::test]
    async fn who_has_no_route_is_refused() {
        let from = "127.0.0.1:0".parse().expect("an address");
        let proxy = Proxy::choosing(from, echo().await, Arc::new(|_| None)).await;
        let proxy = proxy.expect("a proxy");
        let mut stream = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        assert!(says(&mut stream, 7).await.is_err());
    }
}
