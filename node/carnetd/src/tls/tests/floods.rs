//! Floods of each port, at a limit less one, at one more and at ten times as many, from one address and from many: the
//! honest call is answered, whoever is over its share is turned away, and it is counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::net::TcpSocket;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Endpoint, Uri};

use carnet_domain::record::Actor;
use carnet_domain::record::denied::{Certificate, DenyList, Refused, Revocation};
use carnet_trust::facts::Facts;

use super::*;
use crate::share::rates::Rate;

const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const FLOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Small, so that ten times a limit is soon reached.
fn limits() -> EdgeLimits {
    EdgeLimits {
        connection_count_max: 12,
        certificate_connection_count_max: 8,
        address_connection_count_max: 10,
        handshake_count_max: 24,
        address_handshake_count_max: 8,
        ..EdgeLimits::default()
    }
}

/// A port of a plane, and somebody who may come in there.
struct Scene {
    port: Port,
    plane: Plane,
    ours: Country,
    theirs: Country,
}

impl Scene {
    async fn new(plane: Plane, limits: EdgeLimits) -> Self {
        let (ours, theirs) = (Country::new("86"), Country::new("49"));
        let roots = Arc::new(TrustedRoots::new(ours.pinned()));
        roots.replace_peers(pinned(&[&theirs]));
        let port = port(&node_with(&ours, plane, &roots), limits).await;
        Self {
            port,
            plane,
            ours,
            theirs,
        }
    }

    /// A certificate for this plane; each number is another holder, but for peers.
    fn somebody(&self, number: u64) -> ClientConfig {
        let country = match self.plane {
            Plane::Federation => &self.theirs,
            _ => &self.ours,
        };
        let prefix = match self.plane {
            Plane::Federation => 49,
            _ => 86,
        };
        let name = match self.plane {
            Plane::Raft | Plane::Federation => node_uri(prefix, self.plane, number),
            Plane::Client | Plane::Admin => format!("{DESK}{number}"),
        };
        let (held, chain) = country.issue(self.plane, &Sketch::leaf(&name, self.plane));
        careless(chain, &held)
    }

    fn turned(&self, why: Turned) -> u64 {
        self.port.counters.turned(why)
    }

    /// Waits until the port has accepted so many. A client that has done its part of a handshake may be refused yet.
    async fn accepted(&self, count: u64) {
        while self.port.counters.accepted() < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn dial(from: Ipv4Addr, to: &str) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to.parse().expect("an address")).await
}

async fn handshaken(
    from: Ipv4Addr,
    to: &str,
    config: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = dial(from, to).await?;
    let name = ServerName::try_from("unused.example").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// One whole call on a connection of its own, which stays open with the channel.
async fn call(
    from: Ipv4Addr,
    to: &str,
    config: ClientConfig,
) -> Result<tonic::transport::Channel, String> {
    let address = to.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let (address, config) = (address.clone(), config.clone());
        async move { handshaken(from, &address, config).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_shared(format!("http://{to}"))
        .expect("a URI")
        .connect_with_connector(connector)
        .await
        .map_err(|error| format!("{error:?}"))?;
    HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await
        .map_err(|status| format!("{status:?}"))?;
    Ok(channel)
}

/// Until the server closes it. What it says before does not matter.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
}

#[tokio::test]
async fn empty_connections_from_one_address_close_no_port() {
    let share = limits().address_handshake_count_max;
    for plane in Plane::ALL {
        for (count, displaced) in [(share - 1, 0), (share + 1, 1), (10 * share, 9 * share)] {
            let scene = Scene::new(*plane, limits()).await;
            let mut flood = Vec::new();
            for _ in 0..count {
                let stream = dial(FLOOD, &scene.port.address).await.expect("connected");
                flood.push(stream);
            }
            // From elsewhere, and from the same address.
            for from in [HONEST, FLOOD] {
                call(from, &scene.port.address, scene.somebody(2))
                    .await
                    .unwrap_or_else(|error| panic!("{plane} {count} {from}: {error}"));
            }
            for stream in flood.iter_mut().take(displaced) {
                closed(stream).await;
            }
            // The call from the flooded address takes the place of one more.
            let more = u64::from(count >= share);
            assert_eq!(
                scene.turned(Turned::Displaced),
                displaced as u64 + more,
                "{plane} {count}"
            );
            assert_eq!(scene.port.counters.accepted(), 2, "{plane} {count}");
        }
    }
}

#[tokio::test]
async fn empty_connections_from_many_addresses_close_no_port() {
    let all = limits().handshake_count_max;
    for plane in Plane::ALL {
        for (count, displaced) in [(all - 1, 0), (all + 1, 1), (10 * all, 9 * all)] {
            let scene = Scene::new(*plane, limits()).await;
            let mut flood = Vec::new();
            for n in 0..count {
                let from = Ipv4Addr::new(127, 1, (n / 200) as u8, (n % 200 + 1) as u8);
                let stream = dial(from, &scene.port.address).await.expect("connected");
                flood.push(stream);
            }
            call(HONEST, &scene.port.address, scene.somebody(2))
                .await
                .unwrap_or_else(|error| panic!("{plane} {count}: {error}"));
            for stream in flood.iter_mut().take(displaced) {
                closed(stream).await;
            }
            let more = u64::from(count >= all);
            assert_eq!(
                scene.turned(Turned::Displaced),
                displaced as u64 + more,
                "{plane} {count}"
            );
        }
    }
}

#[tokio::test]
async fn a_flood_that_goes_on_meanwhile_keeps_no_honest_call_out() {
    let scene = Scene::new(Plane::Raft, limits()).await;
    let address = scene.port.address.clone();
    let flood = tokio::spawn(async move {
        let mut open = std::collections::VecDeque::new();
        loop {
            match dial(FLOOD, &address).await {
                Ok(stream) => open.push_back(stream),
                // Its own ports are used up for now.
                Err(_) => tokio::task::yield_now().await,
            }
            if open.len() > 200 {
                open.pop_front();
            }
        }
    });
    for round in 0..20 {
        call(HONEST, &scene.port.address, scene.somebody(2))
            .await
            .unwrap_or_else(|error| panic!("{round}: {error}"));
    }
    flood.abort();
    assert_eq!(scene.port.counters.accepted(), 20);
}

#[tokio::test]
async fn an_address_above_its_rate_is_closed_unread_and_others_are_not() {
    let burst = 20;
    let limits = EdgeLimits {
        address_rate: Rate {
            per_second: 1,
            burst,
        },
        ..limits()
    };
    for plane in Plane::ALL {
        for (count, refused) in [
            (burst - 1, 0),
            (burst, 0),
            (burst + 1, 1),
            (10 * burst, 9 * burst),
        ] {
            let scene = Scene::new(*plane, limits).await;
            for _ in 0..count {
                let mut stream = dial(FLOOD, &scene.port.address).await.expect("connected");
                stream.write_all(b"nonsense").await.unwrap_or_default();
                // Refused at once or for what it said; either way it was judged when it is closed.
                closed(&mut stream).await;
            }
            assert_eq!(
                scene.turned(Turned::AddressRate),
                u64::from(refused),
                "{plane} {count}"
            );
            call(HONEST, &scene.port.address, scene.somebody(2))
                .await
                .unwrap_or_else(|error| panic!("{plane} {count}: {error}"));
        }
    }
}

#[tokio::test]
async fn strangers_above_the_rate_of_the_port_do_not_slow_whoever_is_known() {
    let limits = EdgeLimits {
        port_rate: Rate {
            per_second: 1,
            burst: 30,
        },
        ..limits()
    };
    let scene = Scene::new(Plane::Client, limits).await;
    call(HONEST, &scene.port.address, scene.somebody(1))
        .await
        .expect("an answer");
    for n in 0..60 {
        let from = Ipv4Addr::new(127, 1, 0, n + 1);
        let mut stream = dial(from, &scene.port.address).await.expect("connected");
        stream.write_all(b"nonsense").await.unwrap_or_default();
        closed(&mut stream).await;
    }
    assert_eq!(scene.turned(Turned::PortRate), 31);
    call(HONEST, &scene.port.address, scene.somebody(1))
        .await
        .expect("an answer");
}

#[tokio::test]
async fn a_network_of_strangers_uses_up_its_own_part_of_the_port() {
    let limits = EdgeLimits {
        network_rate: Rate {
            per_second: 1,
            burst: 20,
        },
        port_rate: Rate {
            per_second: 1,
            burst: 30,
        },
        ..limits()
    };
    let scene = Scene::new(Plane::Client, limits).await;
    for n in 0..200 {
        // What was turned away of the network before this one comes: nothing up to its share, and everything after it.
        let turned = u64::from(n).saturating_sub(20); // saturates: below its share
        assert_eq!(scene.turned(Turned::NetworkRate), turned, "{n}");
        let from = Ipv4Addr::new(127, 1, 0, n + 1);
        let mut stream = dial(from, &scene.port.address).await.expect("connected");
        stream.write_all(b"nonsense").await.unwrap_or_default();
        closed(&mut stream).await;
    }
    // Another network, of which nobody has proven anything yet.
    call(HONEST, &scene.port.address, scene.somebody(1))
        .await
        .expect("an answer");
    assert_eq!(scene.turned(Turned::PortRate), 0);
}

#[tokio::test]
async fn an_open_connection_ends_when_its_root_is_believed_no_more() {
    for plane in Plane::ALL {
        let (ours, theirs) = (Country::new("86"), Country::new("49"));
        let roots = Arc::new(TrustedRoots::new(ours.pinned()));
        roots.replace_peers(pinned(&[&theirs]));
        let scene = Scene {
            port: port(&node_with(&ours, *plane, &roots), limits()).await,
            plane: *plane,
            ours,
            theirs,
        };
        let mut open = handshaken(HONEST, &scene.port.address, scene.somebody(2))
            .await
            .expect("a handshake");
        let mut other = handshaken(HONEST, &scene.port.address, scene.somebody(3))
            .await
            .expect("a handshake");
        // The same roots, written anew: nobody is cut.
        match plane {
            Plane::Federation => roots.replace_peers(pinned(&[&scene.theirs])),
            _ => roots.replace_own(scene.ours.pinned()),
        }
        other
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .expect("sent");
        scene.accepted(2).await;
        assert_eq!(scene.turned(Turned::Lapsed), 0, "{plane}");
        match plane {
            Plane::Federation => roots.replace_peers(PinnedRoots::new()),
            _ => roots.replace_own(scene.theirs.pinned()),
        }
        closed(&mut open).await;
        closed(&mut other).await;
        assert_eq!(scene.turned(Turned::Lapsed), 2, "{plane}");
    }
}

/// Refuses the certificate that a configuration shows, of whoever has it.
fn denied(chain: &[CertificateDer<'static>], replaced: Bearer) -> Denied {
    let facts = Facts::of(&chain[0]).expect("a certificate");
    let certificate = Certificate {
        mark: facts.marks.serial.expect("a number"),
        bearer: replaced,
    };
    let by = Actor {
        holder: carnet_domain::record::Holder::Office {
            name: "admin/hq".into(),
        },
        person: "anna".into(),
        key: carnet_domain::bytes::signature::KeyId([1; 16]),
    };
    let entry = Revocation {
        refused: Refused {
            certificate,
            not_after: TimeMs::MAX,
            instead: None,
        },
        reason: "stolen".into(),
        at: NOW,
        by,
        second: None,
    };
    let list = DenyList {
        entries: vec![entry],
        waiting: Vec::new(),
    };
    Denied {
        list,
        ..Denied::default()
    }
}

#[tokio::test]
async fn an_open_connection_ends_when_its_certificate_is_revoked_and_no_other() {
    for plane in Plane::ALL {
        let (ours, theirs) = (Country::new("86"), Country::new("49"));
        let roots = Arc::new(TrustedRoots::new(ours.pinned()));
        roots.replace_peers(pinned(&[&theirs]));
        let country = match plane {
            Plane::Federation => &theirs,
            _ => &ours,
        };
        let name = match plane {
            Plane::Raft | Plane::Federation => node_uri(country.prefix, *plane, 2),
            Plane::Client | Plane::Admin => DESK.to_owned(),
        };
        // Two certificates of one holder.
        let of = || {
            let (held, chain) = country.issue(*plane, &Sketch::leaf(&name, *plane));
            (careless(chain.clone(), &held), chain)
        };
        let ((stolen, chain), (kept, _)) = (of(), of());
        let bearer = match plane {
            Plane::Federation => Bearer::Peer {
                prefix: theirs.prefix,
                node: 2,
            },
            Plane::Raft => Bearer::Node { node: 2 },
            Plane::Client | Plane::Admin => Bearer::Client { name },
        };
        let port = port(&node_with(&ours, *plane, &roots), limits()).await;
        let mut open = handshaken(HONEST, &port.address, stolen.clone())
            .await
            .expect("a handshake");
        let going_on = call(HONEST, &port.address, kept).await.expect("an answer");
        while port.counters.accepted() < 2 {
            tokio::task::yield_now().await;
        }
        // An entry for somebody else with this number is none for this one.
        let another = Bearer::Node { node: 77 };
        assert!(roots.refuse(denied(&chain, another)));
        assert!(roots.refuse(denied(&chain, bearer.clone())));
        assert!(!roots.refuse(denied(&chain, bearer)), "nothing new");
        closed(&mut open).await;
        assert_eq!(port.counters.turned(Turned::Lapsed), 1, "{plane}");
        // It is told why, whatever it had said by then.
        for _ in 0..8 {
            let refused = call(HONEST, &port.address, stolen.clone()).await;
            let refused = refused.map(drop).expect_err("revoked");
            assert!(refused.contains("CertificateRevoked"), "{refused}");
        }
        let answer = HealthClient::new(going_on)
            .check(HealthCheckRequest::default())
            .await;
        answer.expect("another certificate of the same holder");
        // Taken back, it is as before.
        assert!(roots.refuse(Denied::default()));
        call(HONEST, &port.address, stolen.clone())
            .await
            .expect("an answer");
        // What an operator says of this machine needs no list.
        let facts = Facts::of(&chain[0]).expect("a certificate");
        let file = Denied {
            file: [facts.marks.key].into(),
            ..Denied::default()
        };
        assert!(roots.refuse(file));
        call(HONEST, &port.address, stolen)
            .await
            .expect_err("revoked");
    }
}

/// Connections through memory, so that it is known what was read.
struct Memory(mpsc::UnboundedReceiver<DuplexStream>);

impl Listen for Memory {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(io) => Ok((io, (HONEST, 1).into())),
            None => std::future::pending().await,
        }
    }
}

/// Once, whoever asked for answers and read none kept its connections, revoked or not: nothing looked for their end while it was being
/// written to. The holder's new certificate found no place.
#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_read_ends_as_others_do() {
    for plane in Plane::ALL {
        let scene = Scene::new(*plane, limits()).await;
        let roots = Arc::new(TrustedRoots::new(scene.ours.pinned()));
        roots.replace_peers(pinned(&[&scene.theirs]));
        let (comes, visitors) = mpsc::unbounded_channel();
        let counters = Arc::new(EdgeCounters::new(*plane));
        let tls = node_with(&scene.ours, *plane, &roots);
        let incoming = accept(Memory(visitors), &tls, limits(), Arc::clone(&counters));
        let mut incoming = incoming.expect("a configuration");
        let full = async |incoming: &mut Incoming<DuplexStream>| {
            let (ours, theirs) = tokio::io::duplex(256);
            comes.send(theirs).expect("it listens");
            let name = ServerName::try_from("unused.example").expect("a name");
            let connector = TlsConnector::from(Arc::new(scene.somebody(2)));
            let (reader, accepted) = tokio::join!(connector.connect(name, ours), incoming.next());
            let Ok(mut stream) = accepted.expect("a connection");
            // As much as has room on the way, and one more.
            while futures::poll!(std::pin::pin!(stream.write(&[0; 1_024]))).is_ready() {}
            (stream, reader.expect("a handshake"))
        };
        // As an answer that waits for room would be woken.
        let (mut stream, reader) = full(&mut incoming).await;
        let mut flush = Box::pin(stream.flush());
        assert!(futures::poll!(&mut flush).is_pending());
        match plane {
            Plane::Federation => roots.replace_peers(PinnedRoots::new()),
            _ => roots.replace_own(scene.theirs.pinned()),
        }
        let ended = flush.await.expect_err("its root is believed no more");
        assert_eq!(ended.to_string(), Turned::Lapsed.word(), "{plane}");
        assert_eq!(counters.turned(Turned::Lapsed), 1);
        // It stays so, whatever is asked of it.
        stream.write(b"x").await.expect_err("over");
        drop((stream, reader));
        // Nobody waits for ever for who is believed and does not read.
        match plane {
            Plane::Federation => roots.replace_peers(pinned(&[&scene.theirs])),
            _ => roots.replace_own(scene.ours.pinned()),
        }
        let (mut stream, mut reader) = full(&mut incoming).await;
        let begun = tokio::time::Instant::now();
        let ended = stream.flush().await.expect_err("nothing is read");
        assert_eq!(ended.to_string(), Turned::Unread.word(), "{plane}");
        assert_eq!(begun.elapsed(), limits().patience.unread);
        drop(stream);
        reader.read_to_end(&mut Vec::new()).await.expect_err("cut");
        // Who reads slowly is waited for.
        let (mut stream, mut reader) = full(&mut incoming).await;
        let slowly = async {
            let mut some = [0; 1_024];
            loop {
                tokio::time::sleep(limits().patience.unread / 2).await;
                if reader.read(&mut some).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            flushed = stream.flush() => flushed.expect("all of it"),
            () = slowly => panic!("cut off"),
        }
        assert_eq!(counters.turned(Turned::Unread), 1);
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

/// Reads all that comes on a connection and answers its pings, for a day at most; what became of it.
async fn attentive(mut near: impl AsyncReadExt + AsyncWriteExt + Unpin) -> Duration {
    let begun = tokio::time::Instant::now();
    let (pings, settings) = (6, 4);
    let mut head = [0; 9];
    let listening = async {
        while near.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut body = vec![0; length as usize];
            if near.read_exact(&mut body).await.is_err() {
                return;
            }
            let said = match (head[3], head[4]) {
                (kind, 0) if kind == pings => near.write_all(&frame(pings, 1, 0, &body)).await,
                (kind, 0) if kind == settings => near.write_all(&frame(settings, 1, 0, &[])).await,
                _ => Ok(()),
            };
            if said.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(86_400), listening).await;
    begun.elapsed()
}

/// Once, whoever opened no window of HTTP/2 for its answers held them, their places and its seat for as long as its certificate lived:
/// it read all that was written and answered each ping.
#[tokio::test(start_paused = true)]
async fn answers_that_are_not_let_out_end_their_connection() {
    // None of an answer, and all but its last byte.
    for window in [0_u32, 12 * 1024 - 1] {
        let scene = Scene::new(Plane::Client, limits()).await;
        let roots = Arc::new(TrustedRoots::new(scene.ours.pinned()));
        let (comes, visitors) = mpsc::unbounded_channel();
        let counters = Arc::new(EdgeCounters::new(Plane::Client));
        let tls = node_with(&scene.ours, Plane::Client, &roots);
        let incoming = accept(Memory(visitors), &tls, limits(), Arc::clone(&counters));
        let mut incoming = incoming.expect("a configuration");
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        comes.send(theirs).expect("it listens");
        let name = ServerName::try_from("unused.example").expect("a name");
        let connector = TlsConnector::from(Arc::new(scene.somebody(2)));
        let (near, accepted) = tokio::join!(connector.connect(name, ours), incoming.next());
        let (mut near, Ok(stream)) = (near.expect("a handshake"), accepted.expect("a connection"));
        let connection = Arc::clone(stream.identity().connection());
        let serving = tokio::spawn({
            let connection = Arc::clone(&connection);
            async move {
                let service = hyper::service::service_fn(move |_| {
                    let connection = Arc::clone(&connection);
                    async move {
                        let in_work = connection.begin();
                        let piece = connection.owed().owe(vec![7; 12 * 1024].into());
                        let body = tonic::body::Body::new(Once(Some(piece), in_work));
                        Ok::<_, std::convert::Infallible>(http::Response::new(body))
                    }
                });
                let mut server =
                    hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
                server
                    .timer(hyper_util::rt::TokioTimer::new())
                    .keep_alive_interval(Some(Duration::from_secs(10)))
                    .keep_alive_timeout(Duration::from_secs(5));
                server.serve_connection(TokioIo::new(stream), service).await
            }
        });
        let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let window = window.to_be_bytes();
        said.extend(frame(4, 0, 0, &[&[0, 4][..], &window].concat()));
        for stream in [1, 3, 5] {
            let path = [&[0x04, 2][..], b"/x"].concat();
            let authority = [&[0x01, 1][..], b"x"].concat();
            let head = [&[0x83, 0x86][..], &path, &authority].concat();
            said.extend(frame(1, 5, stream, &head));
        }
        near.write_all(&said).await.expect("said");
        let lasted = attentive(near).await;
        let ended = serving.await.expect("no panic");
        assert!(ended.is_err());
        assert!(lasted < Duration::from_secs(120), "{lasted:?}");
        assert_eq!(counters.turned(Turned::Unread), 1);
        assert_eq!(connection.begun_and_in_work(), (3, 0));
        assert!(!connection.owed().is_overdue(), "nothing is held");
    }
}

/// A body of one piece, in work until it is sent.
struct Once(
    Option<bytes::Bytes>,
    #[expect(dead_code, reason = "it is dropped with the body")] InWork,
);

impl http_body::Body for Once {
    type Data = bytes::Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, tonic::Status>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

/// A node with a stolen certificate is not spoken to either: neither on a connection that is open, nor on a new one.
#[tokio::test]
async fn a_connection_to_a_node_ends_when_its_certificate_is_revoked() {
    let country = Country::new("86");
    let (held, chain) = country.issue(
        Plane::Raft,
        &Sketch::leaf(&node_uri(86, Plane::Raft, 2), Plane::Raft),
    );
    let stolen = PlaneTls::new(
        country.prefix,
        id(2),
        Plane::Raft,
        (chain.clone(), key(&held)),
        Arc::new(TrustedRoots::new(country.pinned())),
        clock(),
    );
    let port = port(&stolen.expect("an identity"), limits()).await;
    let roots = Arc::new(TrustedRoots::new(country.pinned()));
    let tls = node_with(&country, Plane::Raft, &roots);
    let meant = ExpectedNode {
        prefix: country.prefix,
        node: Some(id(2)),
    };
    let tuning = ConnectTuning::default();
    let channel = connect(TcpDial, &port.address, &tls, meant, tuning).expect("a channel");
    let mut client = HealthClient::new(channel);
    client
        .check(HealthCheckRequest::default())
        .await
        .expect("an answer");
    // One call that is open, and would be for ever.
    let mut watching = client
        .watch(HealthCheckRequest::default())
        .await
        .expect("a stream")
        .into_inner();
    watching.message().await.expect("a first answer");
    assert!(roots.refuse(denied(&chain, Bearer::Node { node: 2 })));
    watching.message().await.expect_err("the connection ended");
    let refused = client.check(HealthCheckRequest::default()).await;
    let refused = format!("{:?}", refused.expect_err("revoked"));
    assert!(refused.contains("Revoked"), "{refused}");
}

#[tokio::test]
async fn an_open_connection_ends_with_its_certificate() {
    // The midnight that ends all certificates of a sketch, but for a moment.
    const END_MS: u64 = 1_798_761_600_000;
    let clock = Arc::new(TestClock(AtomicU64::new(END_MS - 20)));
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let sketch = Sketch::leaf(&node_uri(86, Plane::Client, 1), Plane::Client);
    let (held, chain) = ours.issue(Plane::Client, &sketch);
    let tls = PlaneTls::new(
        ours.prefix,
        id(1),
        Plane::Client,
        (chain, key(&held)),
        Arc::new(TrustedRoots::new(ours.pinned())),
        Arc::clone(&clock) as Arc<dyn Clock>,
    );
    let scene = Scene {
        port: port(&tls.expect("an identity"), limits()).await,
        plane: Plane::Client,
        ours,
        theirs,
    };
    let mut open = handshaken(HONEST, &scene.port.address, scene.somebody(2))
        .await
        .expect("a handshake");
    open.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .expect("sent");
    scene.accepted(1).await;
    assert_eq!(scene.turned(Turned::Lapsed), 0);
    clock.0.store(END_MS + 1_000, Ordering::SeqCst);
    closed(&mut open).await;
    let all: Vec<_> = Turned::ALL
        .into_iter()
        .filter(|why| scene.turned(*why) > 0)
        .collect();
    assert_eq!(all, [Turned::Lapsed]);
}

#[tokio::test]
async fn one_certificate_does_not_take_all_connections() {
    let (each, all) = (
        limits().certificate_connection_count_max,
        limits().connection_count_max,
    );
    for plane in [Plane::Raft, Plane::Client, Plane::Admin] {
        for count in [each - 1, each + 1, 10 * each] {
            let scene = Scene::new(plane, limits()).await;
            let greedy = scene.somebody(2);
            let mut open = Vec::new();
            let mut refused = 0;
            for _ in 0..count {
                match call(FLOOD, &scene.port.address, greedy.clone()).await {
                    Ok(channel) => open.push(channel),
                    Err(_) => refused += 1,
                }
            }
            assert_eq!(refused, count.saturating_sub(each), "{plane} {count}");
            assert_eq!(scene.turned(Turned::Connections), refused as u64);
            // Two more holders fill the port; then each newcomer gets a place of the one with most.
            for number in 3..=(all as u64) {
                let channel = call(HONEST, &scene.port.address, scene.somebody(number))
                    .await
                    .unwrap_or_else(|error| panic!("{plane} {count} {number}: {error}"));
                open.push(channel);
                if open.len() >= all {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn an_address_with_many_certificates_leaves_places_to_others() {
    let scene = Scene::new(Plane::Client, limits()).await;
    let mut open = Vec::new();
    for number in 0..10 {
        let channel = call(FLOOD, &scene.port.address, scene.somebody(number)).await;
        open.push(channel.expect("within the share of the address"));
    }
    for refused in 1..=90 {
        call(FLOOD, &scene.port.address, scene.somebody(9 + refused))
            .await
            .expect_err("the address has its share");
        assert_eq!(scene.turned(Turned::AddressConnections), refused);
    }
    call(HONEST, &scene.port.address, scene.somebody(10))
        .await
        .expect("another address has its own");
}

#[tokio::test]
async fn whoever_is_silent_after_the_handshake_or_asks_nothing_is_cut_off() {
    let limits = EdgeLimits {
        patience: Patience {
            preface: Duration::from_millis(40),
            first_request: Duration::from_millis(40),
            ..Patience::default()
        },
        ..limits()
    };
    for plane in Plane::ALL {
        let scene = Scene::new(*plane, limits).await;
        let mut silent = handshaken(HONEST, &scene.port.address, scene.somebody(2))
            .await
            .expect("a handshake");
        closed(&mut silent).await;
        assert_eq!(scene.turned(Turned::PrefaceTime), 1, "{plane}");
        let mut idle = handshaken(HONEST, &scene.port.address, scene.somebody(2))
            .await
            .expect("a handshake");
        // The preface and empty settings.
        let begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
        idle.write_all(begin).await.expect("sent");
        closed(&mut idle).await;
        assert_eq!(scene.turned(Turned::FirstRequestTime), 1, "{plane}");
    }
}

#[tokio::test]
async fn a_preface_byte_by_byte_has_no_more_time_than_a_whole_one() {
    let limits = EdgeLimits {
        patience: Patience {
            preface: Duration::from_millis(40),
            ..Patience::default()
        },
        ..limits()
    };
    let scene = Scene::new(Plane::Client, limits).await;
    let mut slow = handshaken(HONEST, &scene.port.address, scene.somebody(2))
        .await
        .expect("a handshake");
    slow.write_all(b"PRI * HTTP/").await.expect("sent");
    closed(&mut slow).await;
    assert_eq!(scene.turned(Turned::PrefaceTime), 1);
}
