//! Handshakes over memory and over loopback, with good certificates and wrong ones.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

mod floods;

use super::*;
use crate::edge::{EdgeCounters, Turned};
use crate::forge::{Country, Held, NOW, Sketch, node_uri, pinned};

const DESK: &str = "carnet://86/customs/port-shanghai/desk-4";

/// A clock that stands where a test puts it.
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn wall(&self) -> TimeMs {
        TimeMs::from_ms(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(AtomicU64::new(NOW.as_ms())))
}

fn key(held: &Held) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(held.key.serialized_der().to_vec()).into()
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

/// Node 1 of a country on a plane.
fn node_with(country: &Country, plane: Plane, roots: &Arc<TrustedRoots>) -> PlaneTls {
    node_from(
        country,
        &Sketch::leaf(&node_uri(country.prefix, plane, 1), plane),
        plane,
        roots,
    )
    .expect("a good identity")
}

fn node_from(
    country: &Country,
    sketch: &Sketch,
    plane: Plane,
    roots: &Arc<TrustedRoots>,
) -> Result<PlaneTls, TlsError> {
    let (held, chain) = country.issue(plane, sketch);
    PlaneTls::new(
        country.prefix,
        id(1),
        plane,
        (chain, key(&held)),
        Arc::clone(roots),
        clock(),
    )
}

pub(crate) fn node(country: &Country, plane: Plane) -> PlaneTls {
    node_with(
        country,
        plane,
        &Arc::new(TrustedRoots::new(country.pinned())),
    )
}

/// A client that believes every server, so that only the server's judgement is tested.
pub(crate) fn careless(chain: Vec<CertificateDer<'static>>, held: &Held) -> ClientConfig {
    careless_with(&[&rustls::version::TLS13], Some((chain, key(held))))
}

fn careless_with(
    versions: &[&'static rustls::SupportedProtocolVersion],
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .expect("versions of rustls")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless));
    let mut config = match identity {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .expect("key and certificate"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A handshake over memory: what the server says, and what the client says.
async fn handshake(server: &PlaneTls, client: ClientConfig) -> (String, String) {
    let acceptor = TlsAcceptor::from(Arc::new(server.server_config().expect("a configuration")));
    let connector = TlsConnector::from(Arc::new(client));
    let (here, there) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("unused.example").expect("a name");
    let (ours, theirs) = tokio::join!(acceptor.accept(here), connector.connect(name, there));
    let text =
        |result: Result<(), io::Error>| result.map_or_else(|e| e.to_string(), |()| "ok".to_owned());
    (text(ours.map(drop)), text(theirs.map(drop)))
}

/// What the client plane of 86 says of a desk whose certificate has something changed.
async fn desk(change: impl FnOnce(&mut Sketch)) -> String {
    let country = Country::new("86");
    let mut sketch = Sketch::leaf(DESK, Plane::Client);
    change(&mut sketch);
    let (held, chain) = country.issue(Plane::Client, &sketch);
    handshake(&node(&country, Plane::Client), careless(chain, &held))
        .await
        .0
}

#[tokio::test]
async fn a_good_certificate_is_accepted() {
    assert_eq!(desk(|_| ()).await, "ok");
}

#[tokio::test]
async fn wrong_certificates_are_refused_with_their_reasons() {
    for (answer, expected) in [
        (
            desk(|sketch| sketch.until = (2026, 5, 1)).await,
            "Presenter, fault: Expired",
        ),
        (
            desk(|sketch| sketch.from = (2026, 7, 1)).await,
            "Presenter, fault: NotYetValid",
        ),
        (
            desk(|sketch| sketch.usages.clear()).await,
            "Presenter, fault: WrongPlane",
        ),
        (desk(|sketch| sketch.uris.clear()).await, "NoName"),
        (
            desk(|sketch| sketch.uris = vec!["carnet://49/customs/a/b".to_owned()]).await,
            "Country",
        ),
        (
            desk(|sketch| sketch.uris = vec![node_uri(86, Plane::Client, 1)]).await,
            "Kind",
        ),
    ] {
        assert!(
            !answer.starts_with("ok") && answer.contains(expected),
            "{expected}: {answer}"
        );
    }
}

#[tokio::test]
async fn certificates_of_others_are_refused() {
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let server = node(&ours, Plane::Client);
    let (held, chain) = theirs.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    let (answer, _) = handshake(&server, careless(chain, &held)).await;
    assert!(answer.contains("UnknownIssuer"), "{answer}");
    let alone = Sketch::leaf(DESK, Plane::Client).alone();
    let (answer, _) = handshake(&server, careless(alone.under(&[]), &alone)).await;
    assert!(answer.contains("UnknownIssuer"), "{answer}");
    let (held, chain) = ours.issue(Plane::Admin, &Sketch::leaf(DESK, Plane::Admin));
    let (answer, _) = handshake(&server, careless(chain, &held)).await;
    assert!(answer.contains("WrongPlane"), "{answer}");
}

#[tokio::test]
async fn nobody_comes_in_without_a_certificate_or_without_its_key() {
    let country = Country::new("86");
    let server = node(&country, Plane::Client);
    let (answer, _) = handshake(&server, careless_with(&[&rustls::version::TLS13], None)).await;
    assert_eq!(answer, "peer sent no certificates");
    let (_, chain) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    let (thief, _) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    let signer = provider()
        .key_provider
        .load_private_key(key(&thief))
        .expect("a key");
    let stolen = Arc::new(CertifiedKey::new(chain, signer));
    let mut config = careless_with(&[&rustls::version::TLS13], None);
    config.client_auth_cert_resolver = Arc::new(KeyCell(RwLock::new(stolen)));
    let (answer, _) = handshake(&server, config).await;
    assert_eq!(answer, "invalid peer certificate: BadSignature");
}

#[tokio::test]
async fn tls_1_2_is_not_spoken() {
    let country = Country::new("86");
    let (held, chain) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    let old = careless_with(&[&rustls::version::TLS12], Some((chain, key(&held))));
    let (answer, _) = handshake(&node(&country, Plane::Client), old).await;
    assert!(answer.contains("incompatible"), "{answer}");
}

#[tokio::test]
async fn a_node_connects_only_to_the_node_it_means() {
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let (server, client) = (node(&ours, Plane::Raft), node(&ours, Plane::Raft));
    let to = |prefix, node| {
        client
            .client_config(ExpectedNode { prefix, node })
            .expect("a configuration")
    };
    assert_eq!(
        handshake(&server, to(ours.prefix, Some(id(1)))).await,
        ("ok".to_owned(), "ok".to_owned())
    );
    assert_eq!(handshake(&server, to(ours.prefix, None)).await.1, "ok");
    let (_, answer) = handshake(&server, to(ours.prefix, Some(id(2)))).await;
    assert!(
        answer.contains("Node { expected: NodeId(2), found: NodeId(1) }"),
        "{answer}"
    );
    let (_, answer) = handshake(&server, to(theirs.prefix, None)).await;
    assert!(answer.contains("UnknownIssuer"), "{answer}");
    let (_, answer) = handshake(&node(&theirs, Plane::Raft), to(ours.prefix, None)).await;
    assert!(answer.contains("UnknownIssuer"), "{answer}");
    let (_, answer) = handshake(&node(&ours, Plane::Client), to(ours.prefix, None)).await;
    assert!(answer.contains("WrongPlane"), "{answer}");
}

#[tokio::test]
async fn a_node_of_another_cluster_or_life_is_refused_on_both_sides() {
    let country = Country::new("86");
    let roots = Arc::new(TrustedRoots::new(country.pinned()));
    let of = |uri: &str, plane| {
        node_from(&country, &Sketch::leaf(uri, plane), plane, &roots).expect("a good identity")
    };
    let meant = ExpectedNode {
        prefix: country.prefix,
        node: Some(id(1)),
    };
    let ours = of(&node_uri(86, Plane::Raft, 1), Plane::Raft);
    let strangers = [
        (
            "carnet://86/node/raft/1/ffffffffffffffffffffffffffffffff".to_owned(),
            "Cluster {",
        ),
        (
            format!("{}/1", node_uri(86, Plane::Raft, 1)),
            "Incarnation {",
        ),
    ];
    for (uri, fault) in strangers {
        let stranger = of(&uri, Plane::Raft);
        // Each side judges by itself, so the other one believes everybody here.
        let (held, chain) = country.issue(Plane::Raft, &Sketch::leaf(&uri, Plane::Raft));
        let (answer, _) = handshake(&ours, careless(chain, &held)).await;
        assert!(answer.contains(fault), "{answer}");
        let config = ours.client_config(meant).expect("a configuration");
        let (_, answer) = handshake(&stranger, config).await;
        assert!(answer.contains(fault), "{answer}");
    }
}

#[tokio::test]
async fn a_peer_is_believed_from_the_moment_it_is_pinned() {
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let our_roots = Arc::new(TrustedRoots::new(ours.pinned()));
    let their_roots = Arc::new(TrustedRoots::new(theirs.pinned()));
    their_roots.replace_peers(pinned(&[&ours]));
    let server = node_with(&ours, Plane::Federation, &our_roots);
    let client = node_with(&theirs, Plane::Federation, &their_roots);
    let meant = ExpectedNode {
        prefix: ours.prefix,
        node: Some(id(1)),
    };
    let config = || client.client_config(meant).expect("a configuration");
    let (answer, _) = handshake(&server, config()).await;
    assert!(answer.contains("UnknownIssuer"), "{answer}");
    our_roots.replace_peers(pinned(&[&theirs]));
    assert_eq!(handshake(&server, config()).await.0, "ok");
    our_roots.replace_peers(PinnedRoots::new());
    let (answer, _) = handshake(&server, config()).await;
    assert!(answer.contains("UnknownIssuer"), "{answer}");
}

#[test]
fn an_own_certificate_that_others_would_refuse_is_noticed_at_the_start() {
    let country = Country::new("86");
    let roots = Arc::new(TrustedRoots::new(country.pinned()));
    let check = |sketch: Sketch| match node_from(&country, &sketch, Plane::Raft, &roots) {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            std::error::Error::source(&error).map_or(error.to_string(), |e| format!("{error}: {e}"))
        }
    };
    let good = Sketch::leaf(&node_uri(86, Plane::Raft, 1), Plane::Raft);
    assert_eq!(check(good.clone()), "ok");
    assert!(
        check(Sketch { until: (2026, 5, 1), ..good.clone() })
            .starts_with("the own certificate of the raft plane would be refused: the certificate presented: expired")
    );
    assert_eq!(
        check(Sketch::leaf(&node_uri(86, Plane::Raft, 2), Plane::Raft)),
        "the own certificate of the raft plane is of node 2, configured is node 1"
    );
    let (_, chain) = country.issue(Plane::Raft, &good);
    let (other, _) = country.issue(Plane::Raft, &good);
    let mismatch = PlaneTls::new(
        country.prefix,
        id(1),
        Plane::Raft,
        (chain, key(&other)),
        roots,
        clock(),
    );
    assert_eq!(
        mismatch.expect_err("another key").to_string(),
        "the certificate and key of the raft plane cannot be used"
    );
}

#[tokio::test]
async fn certificate_and_key_are_replaced_without_a_restart() {
    let country = Country::new("86");
    let directory = tempfile::tempdir().expect("a directory");
    let files = KeyFiles::in_directory(directory.path(), Plane::Client);
    let write = |sketch: &Sketch| {
        let (held, _) = country.issue(Plane::Client, sketch);
        let pem = held.pem.clone() + &country.authority(Plane::Client).pem;
        std::fs::write(&files.certificate, pem).expect("written");
        std::fs::write(&files.key, held.key.serialize_pem()).expect("written");
        let owners = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&files.key, owners).expect("a mode");
    };
    let good = Sketch::leaf(&node_uri(86, Plane::Client, 1), Plane::Client);
    write(&good);
    let roots = Arc::new(TrustedRoots::new(country.pinned()));
    let time = clock();
    let load = || {
        let clock: Arc<dyn Clock> = time.clone();
        PlaneTls::load(
            country.prefix,
            id(1),
            Plane::Client,
            &files,
            Arc::clone(&roots),
            clock,
        )
    };
    let server = load().expect("loaded");
    let until = server.not_after().expect("valid");
    write(&Sketch {
        until: (2028, 1, 1),
        ..good.clone()
    });
    server.reload(&files).expect("reloaded");
    assert!(until < server.not_after().expect("valid"));
    write(&Sketch {
        until: (2026, 5, 1),
        ..good
    });
    assert!(server.reload(&files).is_err());
    write(&Sketch::leaf(
        "carnet://86/node/client/1/ffffffffffffffffffffffffffffffff",
        Plane::Client,
    ));
    let fault = server.reload(&files).expect_err("another cluster");
    assert_eq!(
        fault.to_string(),
        "the own certificate of the client plane is of cluster ffffffffffffffffffffffffffffffff incarnation 0, expected \
         was cluster 0123456789abcdef0123456789abcdef incarnation 0"
    );
    assert!(until < server.not_after().expect("what was in use stays in use"));
    std::fs::write(&files.key, "nonsense").expect("written");
    assert!(
        load()
            .expect_err("no key")
            .to_string()
            .ends_with("cannot be read as a private key in PEM")
    );
}

/// A port on loopback that answers health checks and tells who asked.
struct Port {
    address: String,
    counters: Arc<EdgeCounters>,
    asked: mpsc::UnboundedReceiver<String>,
}

async fn port(tls: &PlaneTls, limits: EdgeLimits) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let counters = Arc::new(EdgeCounters::new(tls.plane()));
    let incoming = accept(listener, tls, limits, Arc::clone(&counters)).expect("a configuration");
    let (tell, asked) = mpsc::unbounded_channel();
    let (_, health) = tonic_health::server::health_reporter();
    let who = move |request: tonic::Request<()>| {
        let identity = request
            .extensions()
            .get::<PeerIdentity>()
            .map(ToString::to_string);
        tell.send(identity.unwrap_or_default())
            .expect("the test listens");
        Ok(request)
    };
    let layer = tonic::service::InterceptorLayer::new(who);
    let server = ServerTuning::default()
        .server()
        .layer(layer)
        .add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    Port {
        address,
        counters,
        asked,
    }
}

fn raft_channel(country: &Country, port: &Port, node_id: u64) -> tonic::transport::Channel {
    let tls = node(country, Plane::Raft);
    let meant = ExpectedNode {
        prefix: country.prefix,
        node: Some(id(node_id)),
    };
    connect(
        TcpDial,
        &port.address,
        &tls,
        meant,
        ConnectTuning::default(),
    )
    .expect("a channel")
}

#[tokio::test]
async fn a_handler_knows_who_asks() {
    let country = Country::new("86");
    let mut port = port(&node(&country, Plane::Raft), EdgeLimits::default()).await;
    let mut client = HealthClient::new(raft_channel(&country, &port, 1));
    client
        .check(HealthCheckRequest::default())
        .await
        .expect("an answer");
    assert_eq!(
        port.asked.recv().await.as_deref(),
        Some(node_uri(86, Plane::Raft, 1).as_str())
    );
    assert_eq!(port.counters.accepted(), 1);
}

#[tokio::test]
async fn a_channel_to_another_node_than_meant_never_sends_anything() {
    let country = Country::new("86");
    let mut port = port(&node(&country, Plane::Raft), EdgeLimits::default()).await;
    let mut client = HealthClient::new(raft_channel(&country, &port, 2));
    let error = client
        .check(HealthCheckRequest::default())
        .await
        .expect_err("another node");
    assert_eq!(error.code(), tonic::Code::Unavailable, "{error:?}");
    assert!(
        format!("{error:?}").contains("found: NodeId(1)"),
        "{error:?}"
    );
    assert!(port.asked.try_recv().is_err());
}

#[tokio::test]
async fn a_revoked_certificate_that_is_shown_is_told() {
    let ours = Country::new("86");
    let roots = Arc::new(TrustedRoots::new(ours.pinned()));
    let node = node_with(&ours, Plane::Client, &roots);
    let desk = Sketch::leaf(DESK, Plane::Client);
    let (held, chain) = ours.issue(Plane::Client, &desk);
    let mark = node.who(&chain).expect("good").marks().key;
    let mut told = roots.revoked_shown();
    roots.refuse_file(BTreeSet::from([mark]));
    let port = port(&node, EdgeLimits::default()).await;
    let mut stream = TcpStream::connect(&port.address).await.expect("connected");
    let connector = TlsConnector::from(Arc::new(careless(chain, &held)));
    let name = ServerName::try_from("unused.example").expect("a name");
    let refused = match connector.connect(name, &mut stream).await {
        Ok(mut stream) => stream.read_u8().await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    let one = told.recv().await.expect("told");
    assert_eq!(one.plane, Plane::Client);
    assert!(
        DESK.ends_with(one.who.rsplit('/').next().unwrap_or_default()),
        "{one:?}"
    );
    assert!(told.try_recv().is_err(), "once");
}

#[tokio::test]
async fn wrong_certificates_do_not_get_through_a_port() {
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let mut port = port(&node(&ours, Plane::Client), EdgeLimits::default()).await;
    let desk = Sketch::leaf(DESK, Plane::Client);
    let old = Sketch {
        until: (2026, 5, 1),
        ..desk.clone()
    };
    let raft = Sketch::leaf(DESK, Plane::Raft);
    let wrong = [
        ours.issue(Plane::Client, &old),
        theirs.issue(Plane::Client, &desk),
        ours.issue(Plane::Raft, &raft),
    ];
    for (held, chain) in wrong {
        let mut stream = TcpStream::connect(&port.address).await.expect("connected");
        let connector = TlsConnector::from(Arc::new(careless(chain, &held)));
        let name = ServerName::try_from("unused.example").expect("a name");
        // In TLS 1.3 the client is done before the server has judged it; the refusal comes with the first read.
        let refused = match connector.connect(name, &mut stream).await {
            Ok(mut stream) => stream.read_u8().await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    assert_eq!(port.counters.accepted(), 0);
    assert_eq!(port.counters.turned(Turned::Handshake), 3);
    let (held, chain) = ours.issue(Plane::Client, &desk);
    let stream = TcpStream::connect(&port.address).await.expect("connected");
    let connector = TlsConnector::from(Arc::new(careless(chain, &held)));
    let name = ServerName::try_from("unused.example").expect("a name");
    let mut stream = connector.connect(name, stream).await.expect("accepted");
    // The server's HTTP/2 preface: the connection is in use.
    let mut first = [0; 9];
    stream.read_exact(&mut first).await.expect("settings");
    assert_eq!(port.counters.accepted(), 1);
    assert!(port.asked.try_recv().is_err());
}

#[tokio::test]
async fn whoever_says_nothing_is_cut_off() {
    let country = Country::new("86");
    let limits = EdgeLimits {
        patience: Patience {
            first_byte: Duration::from_millis(20),
            ..Patience::default()
        },
        ..EdgeLimits::default()
    };
    let port = port(&node(&country, Plane::Client), limits).await;
    let mut silent = TcpStream::connect(&port.address).await.expect("connected");
    assert_eq!(silent.read(&mut [0; 16]).await.expect("closed"), 0);
    assert_eq!(
        (
            port.counters.turned(Turned::Silent),
            port.counters.turned(Turned::Handshake),
            port.counters.accepted()
        ),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn whoever_does_not_speak_tls_is_cut_off() {
    let country = Country::new("86");
    // With time enough, so that it is what was said that ends it.
    let port = port(&node(&country, Plane::Client), EdgeLimits::default()).await;
    let mut noisy = TcpStream::connect(&port.address).await.expect("connected");
    noisy
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    // Either an alert or a reset, and then nothing.
    let _ = noisy.read_to_end(&mut answer).await;
    assert_eq!(
        (
            port.counters.turned(Turned::Silent),
            port.counters.turned(Turned::Handshake),
            port.counters.accepted()
        ),
        (0, 1, 0)
    );
}

#[tokio::test]
async fn a_header_list_over_the_limit_is_refused() {
    let country = Country::new("86");
    let mut port = port(&node(&country, Plane::Raft), EdgeLimits::default()).await;
    let mut client = HealthClient::new(raft_channel(&country, &port, 1));
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    let long = "x".repeat(9 * 1024).parse().expect("metadata");
    request.metadata_mut().insert("long", long);
    assert!(client.check(request).await.is_err());
    assert!(port.asked.try_recv().is_err());
    client
        .check(HealthCheckRequest::default())
        .await
        .expect("the connection is still of use");
}
