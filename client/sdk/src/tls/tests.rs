//! Handshakes of the SDK with nodes: right ones and wrong ones.

use std::path::PathBuf;

use carnet_domain::rules::policy::Role;
use carnet_pki::{NodeSpec, PkiPlan, init};
use carnet_trust::identity::ClientName;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::client::Client;
use crate::dial::Identity;
use crate::error::ClientError;
use crate::keys::{read_chain, read_roots};

const NOW: TimeMs = match TimeMs::of_date(2026, 6, 1) {
    Some(time) => time,
    None => TimeMs::EPOCH,
};

struct Country {
    _outer: tempfile::TempDir,
    directory: PathBuf,
    prefix: Prefix,
}

fn country(prefix: &str) -> Country {
    let outer = tempfile::tempdir().expect("a directory");
    let directory = outer.path().join(prefix);
    let prefix = Prefix::parse(prefix).expect("a prefix");
    let mut plan = PkiPlan::new(prefix);
    plan.nodes = vec![NodeSpec {
        id: NodeId::new(1).expect("not zero"),
        hosts: Vec::new(),
    }];
    plan.clients =
        vec![ClientName::from_words(prefix, Role::Customs, "port", "desk").expect("a name")];
    init(&directory, &plan, NOW).expect("made");
    Country {
        _outer: outer,
        directory,
        prefix,
    }
}

impl Country {
    fn client(&self, at: TimeMs) -> ClientTls {
        let stem = self.directory.join("clients/customs-port-desk");
        let roots = self.directory.join("root/roots.crt");
        let (certificate, key) = (stem.with_extension("crt"), stem.with_extension("key"));
        ClientTls::from_files(&roots, &certificate, &key, Arc::new(move || at))
            .expect("an identity")
    }

    fn expected(&self, plane: Plane, node: Option<u64>) -> ExpectedServer {
        ExpectedServer {
            prefix: self.prefix,
            plane,
            node: node.and_then(NodeId::new),
        }
    }

    /// A server that shows the certificate of node 1 on a plane and asks for one in return.
    fn server(&self, plane: Plane) -> ServerConfig {
        self.server_at(plane, NOW)
    }

    fn server_at(&self, plane: Plane, now: TimeMs) -> ServerConfig {
        let stem = self.directory.join(format!("nodes/1/{plane}"));
        let chain = read_chain(&stem.with_extension("crt")).expect("a chain");
        let key = PrivateKeyDer::from_pem_file(stem.with_extension("key")).expect("a key");
        let mut anchors = rustls::RootCertStore::empty();
        let roots = read_roots(&self.directory.join("root/roots.crt")).expect("roots");
        anchors
            .add(roots.of(self.prefix)[0].der().clone())
            .expect("a root");
        let provider = Arc::new(provider());
        let time = Arc::new(ClockTime(Arc::new(move || now)));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(&provider));
        ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("a version")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("key and certificate")
    }
}

async fn handshake(server: ServerConfig, client: &ClientTls, expected: ExpectedServer) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let connector = TlsConnector::from(Arc::new(client.config(expected).expect("a configuration")));
    let (here, there) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("unused.example").expect("a name");
    let (theirs, ours) = tokio::join!(acceptor.accept(here), connector.connect(name, there));
    match (theirs, ours) {
        (Ok(_), Ok(_)) => "ok".to_owned(),
        (_, Err(error)) => match refused_chain(&error) {
            Some(reason) => reason.to_string(),
            None => format!("client: {error}"),
        },
        (Err(error), Ok(_)) => format!("server: {error}"),
    }
}

#[tokio::test]
async fn a_node_of_the_registry_meant_is_believed() {
    let ours = country("86");
    let client = ours.client(NOW);
    for node in [None, Some(1)] {
        let expected = ours.expected(Plane::Client, node);
        assert_eq!(
            handshake(ours.server(Plane::Client), &client, expected).await,
            "ok"
        );
    }
}

#[tokio::test]
async fn every_other_server_is_refused_with_its_reason() {
    let (ours, theirs) = (country("86"), country("49"));
    let client = ours.client(NOW);
    assert_eq!(
        handshake(
            theirs.server(Plane::Client),
            &client,
            ours.expected(Plane::Client, None)
        )
        .await,
        "the certificate presented: the chain ends in no pinned root of 86"
    );
    assert_eq!(
        handshake(
            ours.server(Plane::Raft),
            &client,
            ours.expected(Plane::Client, None)
        )
        .await,
        "the certificate presented: it is for the raft plane, expected the client plane"
    );
    assert_eq!(
        handshake(
            ours.server(Plane::Client),
            &client,
            ours.expected(Plane::Client, Some(2))
        )
        .await,
        "the certificate presented: it is of node 1, expected node 2"
    );
    assert_eq!(
        handshake(
            ours.server(Plane::Client),
            &client,
            theirs.expected(Plane::Client, None)
        )
        .await,
        "the certificate presented: the chain ends in no pinned root of anybody (none is pinned)"
    );
    let late = ours.client(TimeMs::of_date(2027, 7, 1).expect("a date"));
    let answer = handshake(
        ours.server(Plane::Client),
        &late,
        ours.expected(Plane::Client, None),
    )
    .await;
    assert!(
        answer.starts_with("the certificate presented: expired at 2027-06-01"),
        "{answer}"
    );
}

/// With TLS 1.3 a client is connected before its certificate is judged: it learns of it with its first read. Once, that was
/// an answer that was lost.
#[tokio::test]
async fn a_certificate_that_the_server_refuses_is_no_lost_answer() {
    use tokio::io::AsyncReadExt;

    let ours = country("86");
    let config = ours
        .client(NOW)
        .config(ours.expected(Plane::Client, None))
        .expect("a configuration");
    let late = TimeMs::of_date(2027, 7, 1).expect("a date");
    let acceptor = TlsAcceptor::from(Arc::new(ours.server_at(Plane::Client, late)));
    let connector = TlsConnector::from(Arc::new(config));
    let (here, there) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("unused.example").expect("a name");
    let (theirs, connected) = tokio::join!(acceptor.accept(here), connector.connect(name, there));
    theirs.expect_err("it is expired");
    let mut connected = connected.expect("not judged yet");
    let error = connected.read(&mut [0]).await.expect_err("refused");
    assert_eq!(refused_by_server(&error), Some(Refusal::Expired));
    assert!(refused_chain(&error).is_none(), "the server's is good");
    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    assert_eq!(refused_by_server(&lost), None);
}

/// Once, who had such a certificate asked for the whole of its time, at each server anew, and was told that the outcome is unknown.
#[tokio::test]
async fn a_client_that_every_server_refuses_is_told_so_at_once() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let ours = country("86");
    let late = TimeMs::of_date(2027, 7, 1).expect("a date");
    let acceptor = TlsAcceptor::from(Arc::new(ours.server_at(Plane::Client, late)));
    let mut addresses = Vec::new();
    for _ in 0..3 {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let port = port.expect("a port");
        addresses.push(port.local_addr().expect("an address").to_string());
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = port.accept().await {
                let Err((_, mut tcp)) = acceptor.accept(tcp).into_fallible().await else {
                    continue;
                };
                // As a node's port does: the alert is heard before the connection is closed.
                let _ = tcp.shutdown().await;
                let _ = tcp.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    let identity = Identity::new(ours.client(NOW), ours.expected(Plane::Client, None));
    // What came first, the alert or the request, was a matter of chance, and so was what was told.
    for _ in 0..32 {
        let client = Client::builder(addresses.clone(), identity.clone()).build();
        let client = client.expect("a client");
        let error = client.unverified().registry().await;
        let error = error.expect_err("refused by all");
        let ClientError::CertificateRefused { why } = &error else {
            panic!("{error}");
        };
        assert_eq!(*why, Refusal::Expired);
        assert_eq!(error.effect(), carnet_wire::status::Effect::None);
        assert!(!error.is_retryable());
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_before_connecting() {
    let ours = country("86");
    let file = |name: &str| ours.directory.join(name);
    let roots = file("root/roots.crt");
    let check = |certificate: &str, key: &str| {
        ClientTls::from_files(&roots, &file(certificate), &file(key), Arc::new(|| NOW))
            .map(drop)
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        check("clients/customs-port-desk.crt", "nodes/1/client.key"),
        "the certificate and key cannot be used"
    );
    assert!(
        check("clients/customs-port-desk.crt", "keys/log.seed")
            .ends_with("not a private key in PEM")
    );
    assert_eq!(
        check("clients/nobody.crt", "nodes/1/client.key"),
        "cannot read the TLS files"
    );
}

#[tokio::test]
async fn an_address_is_a_host_and_a_port() {
    let ours = country("86");
    let client = ours.client(NOW);
    let check = |address: &str| {
        client
            .channel(address, ours.expected(Plane::Client, None))
            .is_ok()
    };
    assert!(check("127.0.0.1:7102") && check("[::1]:7102") && check("node-1.example:7102"));
    for wrong in [
        "",
        "127.0.0.1",
        "https://127.0.0.1:7102",
        "a b:1",
        "127.0.0.1:7102/path",
        "h:99999",
    ] {
        assert!(!check(wrong), "{wrong}");
    }
}

/// Three servers that take a connection and say nothing, as a stopped process does, were told after three times three seconds.
#[tokio::test(start_paused = true)]
async fn servers_that_take_a_connection_and_stay_silent_are_said_to_be_unreachable_early() {
    let ours = country("86");
    let silent = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let addresses = silent
        .each_ref()
        .map(|port| port.local_addr().expect("an address").to_string());
    let identity = Identity::new(ours.client(NOW), ours.expected(Plane::Client, None));
    let (early, deadline) = (Duration::from_secs(3), Duration::from_secs(30));
    let client = Client::builder(addresses, identity.connect_within(early / 3))
        .unreachable_after(early)
        .deadline(deadline)
        .build();
    let begun = tokio::time::Instant::now();
    let error = client.expect("a client").unverified().registry().await;
    let error = error.expect_err("nobody says anything");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    // By the clock of the runtime, which stands while somebody works.
    let took = begun.elapsed();
    assert!(took < early * 2, "{took:?}");
}

/// Seven bytes from anybody on the way were taken for the word of the registry: that this certificate is revoked.
#[tokio::test]
async fn an_alert_from_before_the_server_showed_itself_is_no_refusal() {
    let ours = country("86");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 5];
            if stream.read_exact(&mut hello).await.is_ok() {
                // A fatal alert in plain text: certificate_revoked.
                let alert = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x2c];
                let _ = stream.write_all(&alert).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    });
    let identity = Identity::new(ours.client(NOW), ours.expected(Plane::Client, None));
    let client = Client::builder([address], identity)
        .deadline(Duration::from_millis(500))
        .build();
    let error = client.expect("a client").unverified().registry().await;
    let error = error.expect_err("no registry").to_string();
    assert!(error.contains("handshake was broken off"), "{error}");
    assert!(!error.contains("refuses this certificate"), "{error}");
}

/// A connection that breaks under a question was an unknown outcome, of a call that has none.
#[tokio::test]
async fn a_question_whose_connection_breaks_has_no_outcome_to_be_unknown() {
    let ours = country("86");
    let acceptor = TlsAcceptor::from(Arc::new(ours.server(Plane::Client)));
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let port = port.expect("a port");
    let address = port.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = port.accept().await {
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                // Empty settings of HTTP/2, and the end when something is asked.
                let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
                let _ = tls.write_all(&settings).await;
                let _ = tls.read(&mut [0; 64]).await;
            }
        }
    });
    let identity = Identity::new(ours.client(NOW), ours.expected(Plane::Client, None));
    let client = Client::builder([address], identity)
        .deadline(Duration::from_millis(500))
        .build();
    let error = client.expect("a client").unverified().registry().await;
    let error = error.expect_err("nobody answers");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert_eq!(error.effect(), carnet_wire::status::Effect::None);
}
