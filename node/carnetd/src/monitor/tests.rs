//! What a monitor is told of a node in this process, and of one with everything wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use carnet_consensus::{ClockVerdict, Role as RaftRole, Space};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::contact::Contact;
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, befriend};
use carnet_trust::identity::Plane;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;

use super::health::GrpcHealth;
use super::port::{self, Guard};
use super::readiness::{
    BEHIND_ENTRIES_MAX, Code, FEED_STOPPED, PEER_SILENT, Whose, hindrances, told,
};
use super::{Monitor, Seen, metrics};
use crate::certificates::Held;
use crate::edge::EdgeCounters;
use crate::forge::{self, Sketch};
use crate::house::House;
use crate::service::cluster::ClusterStatus;
use crate::tls::Listen;
use crate::tls::tests::{careless, node};

/// 86 with a robot, and a peer.
fn country() -> Country {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    let register = a.register(1);
    a.must("maker", register);
    a.close();
    a
}

/// A node that leads, taken in, and what was seen of it.
async fn looked() -> (House, Monitor, Seen) {
    let house = House::of(&country()).await;
    house.node.open_when_taken_in().await;
    let monitor = Monitor::new(house.cluster());
    let seen = monitor.look().await.expect("seen");
    let seen = Seen::clone(&seen);
    (house, monitor, seen)
}

/// A node with nothing wrong: the house has no certificates on a disk, and its peer is nowhere.
fn well(seen: &Seen) -> ClusterStatus {
    let mut status = seen.status.clone();
    status.certificates = vec![Held {
        not_taken: false,
        what: "raft".into(),
        path: "raft.crt".into(),
        not_after: Some(TimeMs::from_ms(2_000)),
    }];
    for relation in &mut status.relations {
        relation.contacts = 1;
        relation.last_contact = DurationMs::from_secs(1);
        relation.stands = None;
    }
    status
}

const NOW: TimeMs = TimeMs::from_ms(1_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_not_to_be_relied_upon_says_why() {
    let (house, _, seen) = looked().await;
    let well = well(&seen);
    assert_eq!(hindrances(&well, NOW), []);
    assert_eq!(told([].iter()), (true, "ready\n".to_owned()));
    let check = |change: &dyn Fn(&mut ClusterStatus), expected: &[Code]| {
        let mut status = well.clone();
        change(&mut status);
        let found = hindrances(&status, NOW);
        let codes: Vec<Code> = found.iter().map(|found| found.code).collect();
        assert_eq!(codes, expected);
        let (ready, text) = told(found.iter());
        assert_eq!(ready, expected.is_empty(), "{text}");
        for code in expected {
            assert!(text.contains(&format!("\n{}: ", code.word())), "{text}");
        }
    };
    check(&|it| it.raft.voters.clear(), &[Code::NoCluster]);
    check(
        &|it| it.unavailable = "why".into(),
        &[Code::NodeUnavailable],
    );
    check(&|it| it.raft.standing.leader = None, &[Code::NoLeader]);
    check(&|it| it.quorum_lost = true, &[Code::NoQuorum]);
    let lags = |by: u64| {
        move |it: &mut ClusterStatus| {
            it.raft.committed = it.raft.applied.map(|applied| applied + by);
        }
    };
    check(&lags(BEHIND_ENTRIES_MAX), &[]);
    check(&lags(BEHIND_ENTRIES_MAX + 1), &[Code::NodeBehind]);
    let disk = |free_bytes: u64| {
        move |it: &mut ClusterStatus| {
            it.room.own = Some(Space {
                free_bytes,
                watermark_bytes: 100,
                path: "data".into(),
            });
        }
    };
    check(&disk(100), &[]);
    check(&disk(99), &[Code::DiskLow]);
    check(
        &|it| it.room.refusal = Some("node 2".into()),
        &[Code::NoRoom],
    );
    let off = ClockVerdict::Off {
        offset_ms: -9_000,
        nearest: 2,
    };
    check(&|it| it.clocks.verdict = off, &[Code::ClockOff]);
    check(
        &|it| it.clocks.verdict = ClockVerdict::Disagreement,
        &[Code::ClockOff],
    );
    check(
        &|it| it.writes_refused = "why".into(),
        &[Code::TimeStandsStill],
    );
    check(&|it| it.unpublished = "no key".into(), &[Code::CannotSign]);
    check(
        &|it| it.compare.unsettled = Some("at 7".into()),
        &[Code::ReplicasDiffer],
    );
    let ends = |at: Option<u64>| {
        move |it: &mut ClusterStatus| {
            it.certificates[0].not_after = at.map(TimeMs::from_ms);
        }
    };
    check(&ends(Some(1_000)), &[]);
    check(&ends(Some(999)), &[Code::CertificateEnded]);
    check(&ends(None), &[Code::OtherCertificateEnded]);
    check(
        &|it| it.log_key_missing = "it does not hold the log key in use".into(),
        &[Code::LogKeyMissing],
    );
    // Nobody is served worse by it yet; the day it hurts, it hurts every node at once.
    check(
        &|it| it.certificates[0].not_taken = true,
        &[Code::CertificateNotTaken],
    );
    check(
        &|it| it.audit[1].failing = "full".into(),
        &[Code::AuditFails],
    );
    check(
        &|it| it.contradicted = "leaf 9 says otherwise".into(),
        &[Code::AuditContradicts],
    );
    // Whoever paused it knows that it is silent.
    check(
        &|it| {
            it.relations[0].contact = Contact::Paused;
            it.relations[0].contacts = 0;
        },
        &[],
    );
    check(&|it| it.relations[0].doubt = "forked", &[Code::PeerDoubted]);
    check(
        &|it| it.relations[0].quarantined = true,
        &[Code::PeerQuarantined],
    );
    check(&|it| it.relations[0].contacts = 0, &[Code::PeerSilent]);
    // One that has no time is there; what it said of that is forgotten as everything else.
    let overloaded = |ms: u64| {
        move |it: &mut ClusterStatus| {
            it.relations[0].contacts = 0;
            it.relations[0].overloaded = Some(DurationMs(ms));
        }
    };
    check(&overloaded(PEER_SILENT.as_ms()), &[Code::PeerOverloaded]);
    check(&overloaded(PEER_SILENT.as_ms() + 1), &[Code::PeerSilent]);
    check(&|it| it.relations[0].overloaded = Some(DurationMs(0)), &[]);
    check(&|it| it.relations[0].last_contact = PEER_SILENT, &[]);
    let later = PEER_SILENT.as_ms() + 1;
    check(
        &|it| it.relations[0].last_contact = DurationMs(later),
        &[Code::PeerSilent],
    );
    let stands = |ms: u64| {
        move |it: &mut ClusterStatus| {
            it.relations[0].stands = Some((7, DurationMs(ms), "refused\nhere".into()));
        }
    };
    check(&stands(FEED_STOPPED.as_ms()), &[]);
    check(&stands(FEED_STOPPED.as_ms() + 1), &[Code::PeerFeedStopped]);
    // A follower follows nobody, and knows of no contacts.
    check(
        &|it| {
            it.raft.standing.role = RaftRole::Follower;
            it.relations[0].contacts = 0;
        },
        &[],
    );
    check(
        &|it| {
            it.quorum_lost = true;
            it.relations[0].quarantined = true;
        },
        &[Code::NoQuorum, Code::PeerQuarantined],
    );
    house.close().await;
}

/// Names of samples, and the labels that they have.
fn samples(page: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        names.insert(line[..end].to_owned());
        let inside = line
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'));
        let inside = inside.map_or("", |(inside, _)| inside);
        let keys = inside.split(',').filter_map(|one| one.split_once('='));
        labels.extend(keys.map(|(key, _)| key.to_owned()));
    }
    (names, labels)
}

/// What a leader of three with a peer that it hears would show: some numbers only it has.
fn whole(mut seen: Seen) -> Seen {
    let raft = &mut seen.status.raft;
    raft.lag.insert(2, 5);
    raft.silence
        .insert(2, std::time::Duration::from_millis(300));
    seen.status.clocks.verdict = ClockVerdict::Off {
        offset_ms: -1_500,
        nearest: 2,
    };
    seen.status.room.own = Some(Space {
        free_bytes: 3,
        watermark_bytes: 2,
        path: "data".into(),
    });
    seen.ports = vec![Arc::new(EdgeCounters::new(Plane::Client))];
    for relation in &mut seen.status.relations {
        relation.contacts = 1;
        relation.checkpoint_age = DurationMs::from_secs(2);
    }
    seen
}

/// Words of a text that begin as our metrics do.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let words = text.split(word).filter(|word| word.starts_with("carnet_"));
    words.map(str::to_owned).collect()
}

fn in_deploy(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_dashboard_name_only_metrics_that_a_node_shows() {
    let (house, _, seen) = looked().await;
    let page = metrics::text(&whole(seen), NOW);
    assert!(page.ends_with("# EOF\n"), "{page}");
    let (names, labels) = samples(&page);
    for file in ["monitoring/carnet.rules.yml", "monitoring/dashboard.json"] {
        let named = named(&in_deploy(file));
        let missing: Vec<&String> = named.difference(&names).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{file}: {names:?}");
        assert!(named.len() > 10, "{file} was read");
    }
    // No code, no address, no person: what a registry holds any number of is no label.
    let closed = [
        "answer",
        "certificate",
        "chain",
        "code",
        "node",
        "outcome",
        "peer",
        "plane",
        "reason",
        "role",
        "version",
    ];
    assert_eq!(
        labels.iter().map(String::as_str).collect::<Vec<_>>(),
        closed
    );
    assert!(
        names.iter().all(|name| name.starts_with("carnet_")),
        "{names:?}"
    );
    assert!(
        page.contains("carnet_clock_offset_seconds -1.5\n"),
        "{page}"
    );
    assert!(
        page.contains("carnet_hindrance{code=\"CLOCK_OFF\"} 1.0\n"),
        "{page}"
    );
    assert!(
        page.contains("carnet_hindrance{code=\"NO_QUORUM\"} 0.0\n"),
        "{page}"
    );
    assert!(page.contains("carnet_ready 0.0\n"), "{page}");
    assert!(
        page.contains("carnet_raft_role{role=\"leader\"} 1.0\n"),
        "{page}"
    );
    assert!(
        page.contains("carnet_peer_parked_items{peer=\"44\"} 0.0\n"),
        "{page}"
    );
    house.close().await;
}

#[test]
fn every_alert_has_a_page_that_says_what_to_do() {
    let rules = in_deploy("monitoring/carnet.rules.yml");
    let alerts = rules
        .lines()
        .filter(|line| line.trim().starts_with("- alert: "));
    let alerts = alerts.count();
    let pages: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: "))
        .collect();
    assert_eq!(pages.len(), alerts, "a page an alert");
    assert!(alerts > 15, "the rules were read");
    for page in pages {
        let text = in_deploy(page.strip_prefix("deploy/").expect("below deploy"));
        assert!(text.starts_with("# "), "{page}");
    }
    // A word that no node says would never fire.
    let words = rules.split("code=\"").skip(1);
    for word in words.filter_map(|rest| rest.split('"').next()) {
        let known = Code::ALL.iter().any(|code| code.word() == word);
        assert!(known, "{word}");
    }
}

/// The targets of the links of a page.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1);
    targets.filter_map(|rest| rest.split([')', '#']).next())
}

#[test]
fn the_operators_guide_leads_to_every_page_and_no_link_leads_nowhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = root.join("node/README.md");
    let text = std::fs::read_to_string(&guide).expect("the guide");
    let mut linked = BTreeSet::new();
    for target in links(&text) {
        let path = root.join("node").join(target);
        assert!(path.exists(), "{target}");
        linked.extend(path.file_name().map(std::ffi::OsStr::to_owned));
    }
    let pages = std::fs::read_dir(root.join("deploy/runbooks")).expect("runbooks");
    let pages: Vec<_> = pages.map(|page| page.expect("a page")).collect();
    assert!(pages.len() > 15, "they were read");
    for page in pages {
        let name = page.file_name();
        assert!(linked.contains(&name), "the guide does not name {name:?}");
        let text = std::fs::read_to_string(page.path()).expect("a page");
        for target in links(&text).filter(|target| !target.contains("://")) {
            let path = root.join("deploy/runbooks").join(target);
            assert!(path.exists(), "{name:?}: {target}");
        }
    }
}

/// Once, a passport's certificate that ended took a whole country from its callers.
#[test]
fn only_what_is_of_one_node_makes_a_balancer_turn_to_another() {
    let of = |whose: Whose| -> Vec<&str> {
        let codes = Code::ALL.iter().filter(|code| code.whose() == whose);
        codes.map(|code| code.word()).collect()
    };
    assert_eq!(
        of(Whose::Cluster),
        [
            "NO_LEADER",
            "NO_QUORUM",
            "NO_ROOM",
            "TIME_STANDS_STILL",
            "CANNOT_SIGN"
        ]
    );
    assert_eq!(
        of(Whose::Nobody),
        [
            "OTHER_CERTIFICATE_ENDED",
            "LOG_KEY_MISSING",
            "CERTIFICATE_NOT_TAKEN",
            "AUDIT_FAILS",
            "PEER_OVERLOADED",
            "AUDIT_CONTRADICTS"
        ]
    );
    assert_eq!(of(Whose::Node).len() + of(Whose::Peers).len(), 12);
}

/// Once, connections that said nothing kept every monitor of the node away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_says_nothing_makes_way_for_whoever_asks() {
    let (house, monitor, _) = looked().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(port::serve(listener, Guard::Loopback, monitor));
    let mut held = Vec::new();
    for _ in 0..port::CONNECTIONS_MAX + port::ADDRESS_CONNECTIONS_MAX {
        held.push(TcpStream::connect(address).await.expect("connected"));
    }
    let io = TcpStream::connect(address).await.expect("connected");
    let answer = ask(io, &get("/livez")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The first that came has made way.
    let mut first = held.remove(0);
    let mut byte = [0];
    assert!(matches!(first.read(&mut byte).await, Ok(0) | Err(_)));
    serving.abort();
    house.close().await;
}

#[test]
fn every_code_has_its_own_word_and_place() {
    let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    assert_eq!(words.len(), Code::ALL.len());
    assert!(Code::ALL.is_sorted());
}

/// Sends a request and reads until the other side closes.
async fn ask<Io: AsyncReadExt + AsyncWriteExt + Unpin>(mut io: Io, request: &str) -> String {
    // A connection that is cut has said what it had to say.
    let _ = io.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = io.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_answers_four_questions_and_nothing_else() {
    let (house, monitor, _) = looked().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(port::serve(listener, Guard::Loopback, monitor));
    let asked = |request: String| async move {
        let io = TcpStream::connect(address).await.expect("connected");
        ask(io, &request).await
    };
    let alive = asked(get("/livez")).await;
    assert!(alive.starts_with("HTTP/1.1 200 "), "{alive}");
    assert!(alive.ends_with("alive\n"), "{alive}");
    // Its certificates are on no disk and its peer is nowhere: both are no caller's trouble.
    let ready = asked(get("/readyz")).await;
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let federation = asked(get("/readyz/federation")).await;
    assert!(federation.starts_with("HTTP/1.1 503 "), "{federation}");
    assert!(federation.contains("\nPEER_SILENT: 44 "), "{federation}");
    assert!(!federation.contains("CERTIFICATE"), "{federation}");
    let metrics = asked(get("/metrics")).await;
    assert!(metrics.contains("openmetrics-text"), "{metrics}");
    assert!(metrics.contains("\ncarnet_raft_term "), "{metrics}");
    let other = asked(get("/metrics/../etc/passwd")).await;
    assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
    let post = get("/metrics").replace("GET", "POST");
    let post = asked(post).await;
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    let long = asked(get(&"x".repeat(100_000))).await;
    assert!(!long.starts_with("HTTP/1.1 200 "), "{long}");
    let noise = asked("\u{0}\u{1}PRI * HTTP/2.0\r\n\r\n".to_owned()).await;
    assert!(!noise.starts_with("HTTP/1.1 200 "), "{noise}");
    // One answer a connection.
    let twice = asked(get("/livez").repeat(2)).await;
    assert_eq!(twice.matches("HTTP/1.1 ").count(), 1, "{twice}");
    serving.abort();
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_is_told_by_grpc_what_readyz_says() {
    let (house, monitor, _) = looked().await;
    let asked_of = async |monitor: &Monitor, service: &str| {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let health = GrpcHealth {
            monitor: monitor.clone(),
        };
        let answer = health.check(tonic::Request::new(request)).await;
        answer
            .map(|answer| answer.into_inner().status())
            .map_err(|error| error.code())
    };
    // Its peer is nowhere, its files as well, and callers are served all the same.
    let asked = async |service| asked_of(&monitor, service).await;
    assert_eq!(asked("").await, Ok(ServingStatus::Serving));
    assert_eq!(
        asked("carnet.registry.v1.Registry").await,
        Ok(ServingStatus::Serving)
    );
    assert_eq!(
        asked("carnet.admin.v1.Admin").await,
        Err(tonic::Code::NotFound)
    );
    // A look counts for a second; one that looks anew sees the certificate for callers that has ended.
    let path = house.node.config.pki().certificate(Plane::Client);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let country = forge::Country::new("86");
    let uri = forge::node_uri("86", Plane::Client, 1);
    let sketch = Sketch {
        from: (2001, 1, 1),
        until: (2002, 1, 1),
        ..Sketch::leaf(&uri, Plane::Client)
    };
    let (held, _) = country.issue(Plane::Client, &sketch);
    std::fs::write(path, &held.pem).expect("written");
    let anew = Monitor::new(house.cluster());
    assert_eq!(asked_of(&anew, "").await, Ok(ServingStatus::NotServing));
    let health = GrpcHealth { monitor };
    let request = tonic::Request::new(HealthCheckRequest::default());
    let watched = health.watch(request).await.map(drop);
    assert_eq!(
        watched.expect_err("no stream").code(),
        tonic::Code::Unimplemented
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_loopback_the_port_asks_who_it_is() {
    let (house, monitor, _) = looked().await;
    let country = forge::Country::new("86");
    let tls = node(&country, Plane::Admin);
    let loopback = ["127.0.0.1:7004", "[::1]:7004"];
    for address in loopback.map(|text| text.parse().expect("an address")) {
        let guard = Guard::of(address, &tls).expect("a guard");
        assert!(matches!(guard, Guard::Loopback), "{address}");
    }
    let address = "0.0.0.0:7004".parse().expect("an address");
    let guard = Guard::of(address, &tls).expect("a guard");
    let asked = |role: Role, plane: Plane| {
        let uri = format!("carnet://86/{}/hq/anna", role.word());
        let (held, chain) = country.issue(plane, &Sketch::leaf(&uri, plane));
        let mut config = careless(chain, &held);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (guard, monitor) = (guard.clone(), monitor.clone());
        async move {
            let (here, there) = tokio::io::duplex(1 << 16);
            let serving = tokio::spawn(port::connection(there, guard, monitor));
            let connector = TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from("unused.example").expect("a name");
            let answer = match connector.connect(name, here).await {
                Ok(io) => ask(io, &get("/metrics")).await,
                Err(error) => error.to_string(),
            };
            (answer, serving.await.expect("no panic"))
        }
    };
    let (admin, served) = asked(Role::Admin, Plane::Admin).await;
    assert!(admin.starts_with("HTTP/1.1 200 "), "{admin} {served:?}");
    let (customs, _) = asked(Role::Customs, Plane::Admin).await;
    assert!(customs.starts_with("HTTP/1.1 403 "), "{customs}");
    assert!(!customs.contains("carnet_"), "{customs}");
    // A certificate of another plane is nobody's here.
    let (client, served) = asked(Role::Admin, Plane::Client).await;
    assert!(!client.contains("HTTP/1.1"), "{client}");
    assert!(served.is_err(), "{served:?}");
    // Nor does anybody get an answer in the clear.
    let (here, there) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(port::connection(there, guard.clone(), monitor.clone()));
    let plain = ask(here, &get("/metrics")).await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
    assert!(serving.await.expect("no panic").is_err());
    house.close().await;
}

/// Connections through memory, from one address.
struct Memory(mpsc::UnboundedReceiver<DuplexStream>);

impl Listen for Memory {
    type Io = DuplexStream;

    async fn accept(&mut self) -> std::io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(io) => Ok((io, ([192, 0, 2, 1], 1).into())),
            None => std::future::pending().await,
        }
    }
}

/// Each cost a handshake of the node, as many a second as anybody liked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_loopback_a_handshake_is_made_as_often_as_an_address_may() {
    let (house, monitor, _) = looked().await;
    let country = forge::Country::new("86");
    let tls = node(&country, Plane::Admin);
    let address = "0.0.0.0:7004".parse().expect("an address");
    let guard = Guard::of(address, &tls).expect("a guard");
    let (comes, visitors) = mpsc::unbounded_channel();
    let serving = tokio::spawn(port::serve(Memory(visitors), guard, monitor));
    let uri = "carnet://86/admin/hq/anna";
    let (held, chain) = country.issue(Plane::Admin, &Sketch::leaf(uri, Plane::Admin));
    let mut answered = 0;
    // Its clock stands: as many as there may be at once, and then none.
    for _ in 0..port::ADDRESS_RATE.burst * 2 {
        let (here, there) = tokio::io::duplex(1 << 16);
        comes.send(there).expect("it listens");
        let mut config = careless(chain.clone(), &held);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("unused.example").expect("a name");
        if let Ok(io) = connector.connect(name, here).await {
            let answer = ask(io, &get("/livez")).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            answered += 1;
        }
    }
    assert_eq!(answered, port::ADDRESS_RATE.burst);
    serving.abort();
    house.close().await;
}
