//! What each role is shown, judged on the bytes that leave the node: every call that the schemas know, made by every role.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::Link;
use carnet_domain::custody::mail::slots_shown;
use carnet_domain::log::leaf::{Expansion, Leaf, Slots, Subject};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::Question;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Statement;
use carnet_domain::record::reader::Reader;
use carnet_domain::record::{
    Asking, Desk, EnterpriseStatus, Holder, PartyName, Pending, Robot, Severity,
};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind};
use carnet_domain::rules::policy::{Role, is_authority};
use carnet_kit::forge::Forged;
use carnet_kit::{Country, befriend, samples, transfer};
use carnet_trust::chain::verify_peer;
use carnet_trust::identity::Plane;
use carnet_wire::admin::v1 as admin;
use carnet_wire::federation::v1 as federation;
use carnet_wire::schema::{Method, methods, to_wire};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code as RpcCode, Status};

use super::admin::GrpcAdmin;
use super::registry::GrpcRegistry;
use super::*;
use crate::forge::{self, NOW, Sketch, node_uri};
use crate::house::House;
use crate::tls::Who;

/// A connection whose other end is known.
struct Known(DuplexStream, PeerIdentity);

impl Connected for Known {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.1.clone()
    }
}

impl AsyncRead for Known {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Known {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Messages as the bytes that they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; from.remaining()];
        from.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

/// A connection of somebody to what a house serves them: a person to the client and admin services, a peer to its own.
async fn connect(house: &House, seat: &Seat) -> Channel {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let served = match seat {
        Seat::Person(role, unit) => {
            let client = house.client(*role, unit, Plane::Client);
            let registry = GrpcRegistry {
                service: Arc::clone(&house.registry),
            };
            let admin = GrpcAdmin {
                service: house.cluster(),
            };
            let router = Server::builder()
                .add_service(registry.into_server())
                .add_service(admin.into_server());
            (PeerIdentity::of_client(client), router)
        }
        Seat::Peer(prefix) => {
            let country = forge::Country::new(prefix);
            let uri = node_uri(prefix, Plane::Federation, 1);
            let sketch = Sketch::leaf(&uri, Plane::Federation);
            let (_, chain) = country.issue(Plane::Federation, &sketch);
            let peer = verify_peer(&chain, &country.pinned(), NOW).expect("a good certificate");
            let remote = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let identity = PeerIdentity::new(Who::Peer(peer), remote);
            (identity, house.gateway.service(Server::builder()))
        }
    };
    let (identity, router) = served;
    let incoming = futures::stream::iter([Ok::<_, std::io::Error>(Known(theirs, identity))]);
    tokio::spawn(router.serve_with_incoming(incoming));
    let mut ours = Some(TokioIo::new(ours));
    Endpoint::from_static("http://house")
        .connect_with_connector(tower::service_fn(move |_| {
            let ours = ours.take();
            async move {
                ours.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
            }
        }))
        .await
        .expect("connected")
}

/// One call: the messages sent, and all that came back, also of a refusal.
async fn call(channel: &Channel, method: &Method, sent: Vec<Vec<u8>>) -> (RpcCode, Vec<u8>) {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("the connection stands");
    let path = method.path().parse().expect("a path");
    let mut came = Vec::new();
    let request = Request::new(futures::stream::iter(sent));
    let outcome = async {
        let mut answers = grpc.streaming(request, path, Raw).await?.into_inner();
        while let Some(message) = answers.message().await? {
            came.extend(message);
            // It says everything that waits at once, and then is silent.
            if method.name == "Follow" {
                break;
            }
        }
        Ok::<(), Status>(())
    };
    match outcome.await {
        // Of a stream that goes on, each request has a status of its own.
        Ok(()) if method.name == "SubmitStream" => {
            // Field 3 is a failure, whose field 1 is its code; field 1, the number, stands before it.
            let fields = &came[2..];
            let code = match (fields[0], fields.iter().position(|byte| *byte == 0x08)) {
                (0x1a, Some(at)) => RpcCode::from_i32(i32::from(fields[at + 1])),
                _ => RpcCode::Ok,
            };
            (code, came)
        }
        Ok(()) => (RpcCode::Ok, came),
        Err(status) => {
            came.extend(status.message().as_bytes());
            came.extend(status.details());
            (status.code(), came)
        }
    }
}

fn act(country: &Country, serial: u32, action: Action) -> Command {
    Command::Act {
        code: country.code(serial),
        expected_sequence: None,
        action,
    }
}

/// The person who has something to do with a robot: every robot has another one.
fn person(serial: u32) -> Digest {
    sha256(&[b"somebody", &serial.to_be_bytes()])
}

fn owned_by(serial: u32) -> PartyName {
    PartyName::from(person(serial))
}

/// Robots of the maker.
const ROBOTS: u32 = 8;
/// Who brought in the robot of the other country.
const IMPORTER: u32 = 100;
const WHY_HELD: &str = "why it is held";
const WHAT_WAITS: &[u8] = b"what nobody here can read";

/// 86 with a robot for everything that a record hides: one that a person operates and the regulator stopped (1), one on its way
/// to 44 (2), one released (3), one that a stranger declared the end of (4), one that an office gave a first word about (5), one
/// whose desk the registrar chose (6), one just sold (7) and one in a workshop (8); with two of 44, one on its way and one that
/// was admitted; with a recall, and something of 44 that waits.
fn world() -> Country {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    a.enrol_office("registrar-2", "registrar", Role::Registrar);
    a.enrol_office("customs-2", "customs", Role::Customs);
    a.must("registrar", a.accreditation("0004"));
    let stranger = Holder::Enterprise {
        id: a.enterprise("0004"),
    };
    let enrol = a.enrolment("stranger", stranger, Role::Recycler, "stranger");
    a.must("registrar", enrol);
    a.must("registrar", a.accreditation("0005"));
    for serial in 1..=ROBOTS {
        let register = a.register(serial);
        a.must("maker", register);
        if serial != 2 {
            let stock = act(&a, serial, samples::stock_at_dealer(&a));
            a.must("maker", stock);
            let owner = match serial {
                5 => PartyName::Enterprise {
                    id: a.enterprise("0005"),
                },
                _ => owned_by(serial),
            };
            let sell = act(&a, serial, Action::Sell { owner });
            a.must("dealer", sell);
        }
    }
    let deploy = |serial, scenario: &str| Action::Deploy {
        operator: owned_by(serial),
        scenario: scenario.into(),
    };
    for (serial, scenario) in [(1, "home"), (8, "in the hall of robot 8")] {
        a.must("dealer", act(&a, serial, deploy(serial, scenario)));
    }
    let hold = Command::SetHold {
        code: a.code(1),
        kind: HoldKind::RegulatorStop,
        reason: WHY_HELD.into(),
    };
    a.must("regulator", hold);
    a.must("maker", a.declare(2, transfer(1), &b.prefix));
    let release = samples::release(&a, a.code(3), None, Asking::Waits);
    a.must("dealer", release);
    let declare = Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: sha256(&[b"a certificate of destruction"]),
    };
    a.must("stranger", act(&a, 4, declare));
    // Nobody of its owner's side may act any more.
    let struck = Command::SetEnterpriseStatus {
        id: a.enterprise("0005"),
        status: EnterpriseStatus::StruckOff,
        reason: "over".into(),
    };
    a.must("registrar", struck);
    let export = a.declare(5, transfer(5), &b.prefix);
    let word = a.command("customs-2", export);
    assert_eq!(carnet_kit::text(&word), "done");
    let to = |desk| Action::ChangeDesk {
        person: person(6),
        desk,
        reason: "moved".into(),
    };
    let office = Desk::of(a.prefix, &a.office("registrar"));
    a.must("dealer", act(&a, 6, to(office)));
    let dealer = Desk::Enterprise {
        id: a.enterprise("0002"),
    };
    a.must("registrar-2", act(&a, 6, to(dealer)));
    let maintain = Action::BeginMaintenance {
        note: "worn".into(),
        workshop: Some(a.enterprise("0002")),
    };
    a.must("dealer", act(&a, 8, maintain));
    a.must("maker", samples::recall(&a, "R-1", Severity::Advisory));
    crossings(&mut a, &mut b);
    let mut slots = Slots::new();
    slots.values[0] = Some(Blob(WHAT_WAITS.to_vec()).to_bytes());
    let forged = Forged {
        kind: 28,
        subject: Subject::jurisdiction(&b.prefix),
        slots,
        status: 1,
    };
    b.forge(forged, &a.prefix);
    b.close();
    let Ok(known) = a.ledger.peer(&b.prefix);
    let known = known.expect("a peer");
    let batch = b.lying_mail(&a.prefix, known.size_seen, known.cursor);
    a.apply(Body::Foreign { batch });
    a.close();
    a
}

/// Robot 1 of 44 is offered to 86, and robot 2 admitted there.
fn crossings(a: &mut Country, b: &mut Country) {
    for (serial, number) in [(1, 2), (2, 3)] {
        b.must("maker", b.register(serial));
        b.must("maker", b.declare(serial, transfer(number), &a.prefix));
    }
    b.deliver(a);
    let permit = Command::PermitImport {
        transfer: transfer(3),
        depart_by: a.clock.saturating_add(DurationMs::from_days(1)),
        conditions: Vec::new(),
    };
    a.must("customs", permit);
    a.deliver(b);
    let depart = Command::Depart {
        transfer: transfer(3),
        place: "port".into(),
    };
    b.must("customs", depart);
    b.deliver(a);
    let admit = Command::Admit {
        transfer: transfer(3),
        place: "harbour".into(),
        importer: owned_by(IMPORTER),
        documents: Vec::new(),
        countersignature: None,
    };
    a.must("customs", admit);
}

/// Bytes that only some may find in an answer.
struct Secret {
    name: String,
    bytes: Vec<u8>,
    may_see: Box<dyn Fn(&Seat) -> bool>,
}

fn nobody(_: &Seat) -> bool {
    false
}

fn peers(seat: &Seat) -> bool {
    matches!(seat, Seat::Peer(_))
}

fn authorities(seat: &Seat) -> bool {
    matches!(seat, Seat::Person(role, _) if is_authority(*role))
}

/// Authorities, and who made every robot of the world.
fn makers(seat: &Seat) -> bool {
    authorities(seat) || matches!(seat, Seat::Person(_, "0001"))
}

/// These, and the dealer that is the desk of the person who owns a robot.
fn concerned(seat: &Seat) -> bool {
    makers(seat) || matches!(seat, Seat::Person(_, "0002"))
}

/// Robots of the maker that no person owns.
const OF_NO_PERSON: [u32; 2] = [2, 5];

/// What stands in the records of robots, and who is told of it. Where a value is not one of a kind, its neighbours are.
fn secrets_of_records(country: &Country, found: &mut Vec<Secret>) {
    let mut add = |name: String, bytes: Vec<u8>, may_see: fn(&Seat) -> bool| {
        let may_see = Box::new(may_see);
        found.push(Secret {
            name,
            bytes,
            may_see,
        });
    };
    let robot = |serial: u32| -> Robot {
        let Ok(robot) = country.ledger.robot(&country.code(serial));
        robot.expect("registered")
    };
    for serial in (1..=ROBOTS).filter(|serial| !OF_NO_PERSON.contains(serial)) {
        let name = format!("who owns robot {serial}");
        add(name, person(serial).0.to_vec(), concerned);
    }
    let importer = |seat: &Seat| authorities(seat) || peers(seat);
    // Who gave the robot away is told all of its admission.
    add("who imported".into(), person(IMPORTER).0.to_vec(), importer);
    add(
        "why it is held".into(),
        WHY_HELD.as_bytes().to_vec(),
        concerned,
    );
    let Pending::Released { release } = robot(3).pending else {
        panic!("released")
    };
    add(
        "what waits".into(),
        release.commitment.0.to_vec(),
        concerned,
    );
    let due = robot(3).due.expect("it ends by itself");
    assert!(due > TimeMs(u64::from(u32::MAX)), "nine bytes of its own");
    add("when it ends".into(), due.to_bytes(), concerned);
    let declared = robot(4).declared[0].clone();
    add(
        "an end that a stranger declared".into(),
        declared.certificate.0.to_vec(),
        concerned,
    );
    add(
        "who declared it".into(),
        declared.by.key.0.to_vec(),
        concerned,
    );
    let word = robot(5).first_words[0].clone();
    add("a first word".into(), word.act.0.to_vec(), makers);
    add("who gave it".into(), word.by.key.0.to_vec(), makers);
    let chose = robot(6).desk_set_by.expect("the registrar chose");
    add("who chose the desk".into(), chose.key.0.to_vec(), concerned);
    let kept = robot(8);
    assert!(kept.workshop.is_some(), "it is in a workshop");
    let workshop = [kept.scenario.to_bytes(), kept.workshop.to_bytes()].concat();
    add("the workshop".into(), workshop, concerned);
    add("an item that waits".into(), WHAT_WAITS.to_vec(), nobody);
    for name in ["admin-2", "regulator"] {
        let key = country.key(name).public().key_id();
        add(name.into(), key.0.to_vec(), authorities);
    }
    let crossing = |robot: &Robot| {
        let mut transfers = country.ledger.transfers();
        transfers.any(|transfer| transfer.code == robot.identity.code)
    };
    let own = country.ledger.robots();
    let offered = country
        .ledger
        .transfers()
        .filter_map(|one| one.robot.as_ref());
    let mut known = BTreeMap::new();
    for robot in own.chain(offered) {
        // It goes with the robot to the country that takes over.
        let may_see = if crossing(robot) { peers } else { nobody };
        known.insert(robot.custody_secret, may_see);
    }
    known.remove(&Digest::ZERO);
    assert!(known.len() as u32 > ROBOTS, "every robot has its own");
    for (secret, may_see) in known {
        add(
            format!("a custody secret, {secret}"),
            secret.0.to_vec(),
            may_see,
        );
    }
}

/// What opens the slots of a leaf: the salts of those which a robot's strangers are not shown, and the seed of all.
fn secrets_of_leaves(country: &Country, found: &mut Vec<Secret>) {
    let peer = Prefix::parse("44").expect("a prefix");
    let told: Vec<u64> = country
        .ledger
        .mailbox(&peer, 0)
        .into_iter()
        .map(|(_, index)| index)
        .collect();
    for index in 0..country.registry().tree.size() {
        let Ok(record) = Reader::leaf(&country.ledger, index);
        let record: LeafRecord = record.expect("a leaf");
        found.push(Secret {
            name: format!("the seed of leaf {index}"),
            bytes: record.seed.to_vec(),
            may_see: Box::new(nobody),
        });
        let leaf = Leaf::from_bytes(&record.leaf.0).expect("a leaf");
        let stands = |slot: u8| record.values.get(usize::from(slot))?.as_ref();
        let code = stands(slot::CODE).and_then(|bytes| String::from_bytes(&bytes.0).ok());
        let Some(code) = code.and_then(|code| Code::parse(&code).ok()) else {
            continue;
        };
        let of_no_person = OF_NO_PERSON
            .iter()
            .any(|serial| country.code(*serial) == code);
        let may_see = match code.prefix() == country.prefix {
            true if of_no_person => makers,
            true => concerned,
            false => authorities,
        };
        let link = stands(slot::CUSTODY);
        let link = link.and_then(|bytes| Link::from_bytes(&bytes.0).ok());
        let mailed: &[u8] = match told.contains(&index) {
            true => slots_shown(leaf.kind, link.as_ref(), &peer),
            false => &[],
        };
        let expansion = Expansion::of(&record.seed);
        for hidden in [slot::OWNER, slot::USE, slot::EVENT, 11, slot::SECRET] {
            let is_mailed = mailed.contains(&hidden);
            let is_secret = hidden == slot::SECRET;
            found.push(Secret {
                name: format!("the salt of slot {hidden} of leaf {index}"),
                bytes: expansion.salts()[usize::from(hidden)].to_vec(),
                may_see: Box::new(move |seat| match seat {
                    Seat::Peer(_) => is_mailed,
                    Seat::Person(..) => !is_secret && may_see(seat),
                }),
            });
        }
    }
}

fn secrets(country: &Country) -> Vec<Secret> {
    let mut found = Vec::new();
    secrets_of_records(country, &mut found);
    secrets_of_leaves(country, &mut found);
    found
}

/// Who asks.
#[derive(Debug, PartialEq, Eq)]
enum Seat {
    /// Role and unit of a certificate of this country.
    Person(Role, &'static str),
    /// A node of another country.
    Peer(&'static str),
}

const SEATS: &[Seat] = &[
    Seat::Person(Role::Registrar, "hq"),
    Seat::Person(Role::Manufacturer, "0001"),
    Seat::Person(Role::Dealer, "0002"),
    Seat::Person(Role::Manufacturer, "0003"),
    Seat::Person(Role::Importer, "0003"),
    Seat::Person(Role::Dealer, "0003"),
    Seat::Person(Role::ServiceProvider, "0003"),
    Seat::Person(Role::Recycler, "0003"),
    Seat::Person(Role::Operator, "0003"),
    Seat::Person(Role::Owner, "0003"),
    Seat::Person(Role::Declarant, "0003"),
    Seat::Person(Role::Customs, "port"),
    Seat::Person(Role::Regulator, "market"),
    Seat::Person(Role::ForeignRegulator, "abroad"),
    Seat::Person(Role::Auditor, "audit"),
    Seat::Person(Role::Admin, "hq"),
    Seat::Peer("44"),
];

impl std::fmt::Display for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(role, unit) => write!(f, "{} {unit}", role.word()),
            Self::Peer(prefix) => write!(f, "peer {prefix}"),
        }
    }
}

/// Every call of one method that is worth making: each a list of the messages sent.
fn calls(country: &mut Country, seat: &Seat, method: &Method) -> Vec<Vec<Vec<u8>>> {
    // A port serves the services of its plane and no others.
    let of_peers = method.service == "carnet.federation.v1.Federation";
    if of_peers != matches!(seat, Seat::Peer(_)) {
        return Vec::new();
    }
    let abroad = Country::unborn("44");
    let own = (1..=ROBOTS).chain([99]).map(|serial| country.code(serial));
    let codes: Vec<Code> = own.chain([abroad.code(1), abroad.code(2)]).collect();
    let one = |message: Vec<u8>| vec![message];
    let of_each = |to: &dyn Fn(String) -> Vec<u8>| -> Vec<Vec<Vec<u8>>> {
        codes.iter().map(|code| one(to(code.to_string()))).collect()
    };
    match (method.service.as_str(), method.name.as_str()) {
        ("carnet.registry.v1.Registry", "OpenSession") => {
            vec![one(Vec::new())]
        }
        ("carnet.registry.v1.Registry", "Submit") => {
            let inspect = Action::Inspect {
                report: Digest::ZERO,
                passed: true,
            };
            let command = act(country, 1, inspect);
            let request = country.request("maker", &[command]);
            let message = pb::SubmitRequest {
                request: request.to_bytes().into(),
                wait_published: false,
            };
            vec![one(to_wire(&message))]
        }
        ("carnet.registry.v1.Registry", "SubmitStream") => {
            let inspect = Action::Inspect {
                report: Digest::ZERO,
                passed: true,
            };
            let command = act(country, 3, inspect);
            let request = country.request("maker", &[command]);
            let message = pb::SubmitStreamRequest {
                request: request.to_bytes().into(),
            };
            vec![one(to_wire(&message))]
        }
        ("carnet.registry.v1.Registry", "Foresee") => {
            let inspect = Action::Inspect {
                report: Digest::ZERO,
                passed: true,
            };
            let command = act(country, 1, inspect);
            let question = Question {
                prefix: country.prefix,
                incarnation: 0,
                key: country.key("maker").public().key_id(),
                not_after: country.clock.saturating_add(DurationMs::from_days(1)),
                items: vec![Blob(command.to_bytes())],
            };
            let question = question.to_bytes();
            let signed = Question::signing_bytes(&question);
            let signature = country.key("maker").sign(&signed);
            let message = pb::ForeseeRequest {
                question: question.into(),
                signature: Bytes::copy_from_slice(&signature.0),
            };
            vec![one(to_wire(&message))]
        }
        ("carnet.registry.v1.Registry", "SubmitBulk") => {
            let inspect = Action::Inspect {
                report: Digest::ZERO,
                passed: true,
            };
            let command = act(country, 2, inspect);
            let request = country.request("maker", &[command]);
            let bytes = |blob: &Blob| Bytes::from(blob.0.clone());
            let message = pb::BulkRequest {
                header: bytes(&request.header),
                signature: Bytes::copy_from_slice(&request.signature.0),
                items: request.items.iter().map(bytes).collect(),
            };
            vec![one(to_wire(&message))]
        }
        ("carnet.registry.v1.Registry", "GetRecord") => {
            let names: Vec<(pb::RecordKind, String)> = codes
                .iter()
                .flat_map(|code| {
                    [pb::RecordKind::Robot, pb::RecordKind::SignedRecord]
                        .map(|kind| (kind, code.to_string()))
                })
                .chain([
                    (pb::RecordKind::Enterprise, "860001".into()),
                    (pb::RecordKind::Model, "860001100002".into()),
                    (pb::RecordKind::Recall, "86/R-1".into()),
                    (pb::RecordKind::Transfer, hex::encode(transfer(1).0)),
                    (pb::RecordKind::Transfer, hex::encode(transfer(2).0)),
                    (pb::RecordKind::Transfer, hex::encode(transfer(3).0)),
                    (pb::RecordKind::Peer, "44".into()),
                    (pb::RecordKind::Registry, String::new()),
                    (pb::RecordKind::Pack, String::new()),
                    (pb::RecordKind::DenyList, String::new()),
                    (pb::RecordKind::Proposal, "1".into()),
                ])
                .collect();
            let get = |stale_ok| {
                names.iter().map(move |(kind, name)| {
                    let message = pb::GetRecordRequest {
                        kind: (*kind).into(),
                        name: name.clone(),
                        stale_ok,
                    };
                    vec![to_wire(&message)]
                })
            };
            get(false).chain(get(true)).collect()
        }
        ("carnet.registry.v1.Registry", "ListRecords") => {
            let kinds = [
                pb::RecordKind::Robot,
                pb::RecordKind::Enterprise,
                pb::RecordKind::Model,
                pb::RecordKind::Recall,
                pb::RecordKind::Transfer,
                pb::RecordKind::Peer,
                pb::RecordKind::Registry,
                pb::RecordKind::Parked,
                pb::RecordKind::Proposal,
            ];
            let list = |filter: &'static str| {
                kinds.map(|kind| {
                    let message = pb::ListRecordsRequest {
                        kind: kind.into(),
                        filter: filter.into(),
                        page_size: 0,
                        page_token: String::new(),
                    };
                    vec![to_wire(&message)]
                })
            };
            [list(""), list("860001"), list("44")].concat()
        }
        ("carnet.registry.v1.Registry", "ListHistory") => of_each(&|code| {
            to_wire(&pb::ListHistoryRequest {
                code,
                from_sequence: 0,
                page_size: 0,
            })
        }),
        ("carnet.registry.v1.Registry", "ListMovements") => {
            of_each(&|code| to_wire(&pb::ListMovementsRequest { code }))
        }
        ("carnet.registry.v1.Registry", "QueryMovements") => {
            let ask = |query: pb::MovementQuery| {
                one(to_wire(&pb::QueryMovementsRequest {
                    query: Some(query),
                    page_size: 0,
                    page_token: String::new(),
                }))
            };
            let all = pb::MovementQuery::default();
            let from = |prefix: &str| pb::MovementQuery {
                from: prefix.into(),
                ..all.clone()
            };
            vec![ask(all.clone()), ask(from("86")), ask(from("44"))]
        }
        ("carnet.registry.v1.Registry", "CountMovements") => {
            let query = Some(pb::MovementQuery::default());
            let page_token = String::new();
            vec![one(to_wire(&pb::CountMovementsRequest {
                query,
                page_token,
            }))]
        }
        ("carnet.registry.v1.Registry", "GetCheckpoint") => {
            let message = pb::GetCheckpointRequest {
                pinned_size: 1,
                wait_above_size: 0,
            };
            vec![one(to_wire(&message))]
        }
        ("carnet.registry.v1.Registry", "Prove") => {
            let prove = |kind: pb::RecordKind, name: String| {
                to_wire(&pb::ProveRequest {
                    exact: false,
                    kind: kind.into(),
                    name,
                    size_min: 0,
                    known_size: 1,
                })
            };
            let of_robots = of_each(&|code| prove(pb::RecordKind::Robot, code));
            let of_others = [
                (pb::RecordKind::Enterprise, "860001"),
                (pb::RecordKind::Model, "860001100002"),
                (pb::RecordKind::Recall, "86/R-1"),
                (pb::RecordKind::Peer, "44"),
            ];
            let of_others = of_others.map(|(kind, name)| one(prove(kind, name.to_owned())));
            [of_robots, of_others.to_vec()].concat()
        }
        ("carnet.registry.v1.Registry", "Verify") => of_each(&|code| {
            to_wire(&pb::VerifyRequest {
                code,
                purpose: "operation".into(),
            })
        }),
        ("carnet.admin.v1.Admin", "Initialize") => {
            let genesis = Statement::Genesis {
                genesis: country.genesis(),
            };
            let message = admin::InitializeRequest {
                genesis: country.sign_statement(&genesis).to_bytes().into(),
                members: vec![admin::Member {
                    node: 1,
                    raft_address: "node-1:7101".into(),
                    client_address: "node-1:7102".into(),
                }],
            };
            vec![one(to_wire(&message))]
        }
        ("carnet.admin.v1.Admin", "GetStatus") => {
            let message = admin::GetStatusRequest { with_digest: true };
            vec![one(to_wire(&message)), one(Vec::new())]
        }
        // What they answer is a log index or a leader; an empty one is refused for what it lacks.
        (
            "carnet.admin.v1.Admin",
            "SubmitStatement" | "AddLearner" | "ChangeMembers" | "TransferLeadership",
        ) => vec![one(Vec::new())],
        ("carnet.admin.v1.Admin", "TakeSnapshot") => vec![one(Vec::new())],
        ("carnet.admin.v1.Admin", "QueryAudit") => {
            let ask = |chain: &str| {
                let message = admin::QueryAuditRequest {
                    chain: chain.into(),
                    after: 0,
                    count: 0,
                };
                let all = admin::QueryAuditRequest {
                    count: u32::MAX,
                    ..message.clone()
                };
                [one(to_wire(&message)), one(to_wire(&all))]
            };
            ["acts", "reads", "denied"]
                .iter()
                .flat_map(|chain| ask(chain))
                .collect()
        }
        ("carnet.federation.v1.Federation", "Follow") => {
            let message = federation::FollowRequest {
                prefix: "44".into(),
                to: country.prefix.to_string(),
                incarnation: 0,
                cursor: 0,
                known_size: 0,
            };
            vec![one(to_wire(&message))]
        }
        ("carnet.federation.v1.Federation", "Inquire") => {
            let inquire = |for_authority| {
                of_each(&|code| {
                    to_wire(&federation::InquireRequest {
                        prefix: "44".into(),
                        to: country.prefix.to_string(),
                        code,
                        purpose: "operation".into(),
                        known_size: 0,
                        for_authority,
                    })
                })
            };
            [inquire(false), inquire(true)].concat()
        }
        // Of the nodes of this registry alone, which have the whole log between them: nothing in it is hidden from a replica.
        (
            "carnet.raft.v1.Raft",
            "StreamAppend" | "Vote" | "PreVote" | "TransferLeader" | "Snapshot" | "ReadIndex"
            | "Follows" | "Clock" | "Compare" | "Space" | "Forward" | "Identify" | "WentBack",
        ) => Vec::new(),
        (service, name) => panic!("{service}/{name} is a new call: what may each role see of it?"),
    }
}

fn holds(answer: &[u8], secret: &[u8]) -> bool {
    answer.windows(secret.len()).any(|bytes| bytes == secret)
}

/// Whether everything that waits for the peer stands in one message.
fn is_whole(country: &Country, message: &[u8]) -> bool {
    let peer = Prefix::parse("44").expect("a prefix");
    let waiting = country.ledger.mailbox(&peer, 0);
    assert!(!waiting.is_empty(), "there is mail");
    waiting.iter().all(|(_, index)| {
        let Ok(record) = Reader::leaf(&country.ledger, *index);
        holds(message, &record.expect("a leaf").leaf.0)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_role_finds_in_any_answer_what_is_not_for_it() {
    let mut country = world();
    let secrets = secrets(&country);
    let house = House::of(&country).await;
    let mut leaks = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut table = String::new();
    for seat in SEATS {
        let channel = connect(&house, seat).await;
        let mut allowed = Vec::new();
        for method in methods() {
            let mut answered = false;
            for sent in calls(&mut country, seat, &method) {
                let (code, answer) = call(&channel, &method, sent).await;
                if method.name == "Follow" && !is_whole(&country, &answer) {
                    let said = String::from_utf8_lossy(&answer);
                    leaks.push(format!("{seat}, Follow: not all mail: {code:?} {said}"));
                }
                answered |= !matches!(code, RpcCode::PermissionDenied | RpcCode::Unauthenticated);
                for secret in secrets.iter().filter(|one| holds(&answer, &one.bytes)) {
                    *seen.entry(secret.name.as_str()).or_default() += 1;
                    if !(secret.may_see)(seat) {
                        leaks.push(format!("{seat}, {}: {}", method.name, secret.name));
                    }
                }
            }
            if answered {
                allowed.push(method.name);
            }
        }
        table += &format!("{seat}: {}\n", allowed.join(" "));
    }
    leaks.sort();
    leaks.dedup();
    assert_eq!(leaks, Vec::<String>::new());
    // The search finds what is there: whoever may see something of a record was shown it.
    for secret in &secrets {
        let of_a_leaf = secret.name.contains(" of leaf ") || secret.name.contains("custody secret");
        let is_for_some = SEATS.iter().any(|seat| (secret.may_see)(seat));
        assert!(
            of_a_leaf || !is_for_some || seen.contains_key(secret.name.as_str()),
            "{} was shown to nobody",
            secret.name
        );
    }
    let custody = seen.keys().filter(|name| name.contains("custody secret"));
    assert!(
        custody.count() > 0,
        "a country is handed that of what it takes over"
    );
    assert_eq!(table, include_str!("roles.txt"));
    house.close().await;
}
