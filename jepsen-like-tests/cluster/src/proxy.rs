//! A border between jurisdictions: TCP through the harness, which can be cut and slowed down.
//!
//! Bytes pass unchanged: what runs inside is TLS, and a cut looks to both sides as a cut cable with a reset, or as
//! silence.

use std::net::SocketAddr;
use std::sync::Arc;
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
}

/// One listening address that leads to another. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on `from` and leads to `to`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(from: SocketAddr, to: SocketAddr) -> Result<Self, Broken> {
        let listener = TcpListener::bind(from)
            .await
            .map_err(Broken::at(format!("bind {from}")))?;
        let address = listener.local_addr().map_err(Broken::at("local address"))?;
        let (weather, now) = watch::channel(Weather::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, to, now));
        Ok(Self {
            address,
            weather: Arc::new(weather),
            _tasks: tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                if *weather.borrow() != Weather::Cut {
                    open.spawn(connect(near, to, weather.clone()));
                }
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connect(near: TcpStream, to: SocketAddr, mut weather: watch::Receiver<Weather>) {
    if !passable(Way::Asked, &mut weather).await {
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
        () = carry(near_in, far_out, Way::Asked, weather.clone()) => {}
        () = carry(far_in, near_out, Way::Answered, weather) => {}
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
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut watch = weather.clone();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = cut(&mut watch) => return,
        };
        let Ok(count @ 1..) = read else { return };
        if !passable(way, &mut weather).await {
            return;
        }
        let delay = match *weather.borrow() {
            Weather::Slow(delay) => delay,
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
async fn passable(way: Way, weather: &mut watch::Receiver<Weather>) -> bool {
    let seen = weather
        .wait_for(|weather| match weather {
            Weather::Open | Weather::Slow(_) | Weather::Cut => true,
            Weather::Silent => false,
            Weather::Unanswered => way == Way::Asked,
        })
        .await;
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

    async fn proxy() -> (Proxy, TcpStream) {
        let proxy = Proxy::start("127.0.0.1:0".parse().expect("an address"), echo().await)
            .await
            .expect("a proxy");
        let stream = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        (proxy, stream)
    }

    async fn says(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        stream.write_all(&[byte]).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn an_open_border_lets_everything_pass() {
        let (_proxy, mut stream) = proxy().await;
        assert_eq!(says(&mut stream, 7).await.expect("an echo"), 7);
    }

    #[tokio::test]
    async fn a_cut_border_ends_open_connections_and_takes_no_new_ones() {
        let (proxy, mut stream) = proxy().await;
        says(&mut stream, 7).await.expect("an echo");
        proxy.set(Weather::Cut);
        assert!(says(&mut stream, 8).await.is_err());
        let mut second = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        assert!(says(&mut second, 9).await.is_err());
        proxy.set(Weather::Open);
        let mut third = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        assert_eq!(says(&mut third, 10).await.expect("an echo"), 10);
    }

    #[tokio::test]
    async fn what_is_asked_arrives_while_the_answer_waits() {
        let (to, mut heard) = echo_heard().await;
        let proxy = Proxy::start("127.0.0.1:0".parse().expect("an address"), to)
            .await
            .expect("a proxy");
        proxy.set(Weather::Unanswered);
        let mut stream = TcpStream::connect(proxy.address())
            .await
            .expect("a connection");
        stream.write_all(&[7]).await.expect("written");
        assert_eq!(heard.recv().await, Some(7), "the question did not arrive");
        let early = timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
        proxy.set(Weather::Open);
        assert_eq!(stream.read_u8().await.expect("an echo"), 7);
    }

    #[tokio::test]
    async fn what_was_sent_into_silence_arrives_when_it_ends() {
        let (proxy, mut stream) = proxy().await;
        says(&mut stream, 7).await.expect("an echo");
        proxy.set(Weather::Silent);
        let silent = timeout(Duration::from_millis(50), says(&mut stream, 8)).await;
        assert!(silent.is_err(), "{silent:?}");
        proxy.set(Weather::Open);
        assert_eq!(stream.read_u8().await.expect("an echo"), 8);
    }
}
