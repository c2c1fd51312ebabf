//! What each role is shown, judged on the bytes that leave the node: every call that the schemas know, made by every role.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::log::leaf::Expansion;
use carnet_domain::machine::Question;
use carnet_domain::record::PartyName;
use carnet_domain::record::peer::Statement;
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::policy::{Role, is_authority};
use carnet_kit::{Country, befriend, samples, transfer};
use carnet_trust::identity::Plane;
use carnet_wire::admin::v1 as admin;
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
use crate::house::House;

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

/// A connection of somebody to the client and admin services of a house.
async fn connect(house: &House, client: carnet_trust::chain::VerifiedClient) -> Channel {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let known = Known(theirs, PeerIdentity::of_client(client));
    let registry = GrpcRegistry {
        service: Arc::clone(&house.registry),
    };
    let admin = GrpcAdmin {
        service: house.cluster(),
    };
    let incoming = futures::stream::iter([Ok::<_, std::io::Error>(known)]);
    tokio::spawn(
        Server::builder()
            .add_service(registry.into_server())
            .add_service(admin.into_server())
            .serve_with_incoming(incoming),
    );
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
        }
        Ok::<(), Status>(())
    };
    match outcome.await {
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

fn person() -> Digest {
    sha256(&[b"somebody"])
}

/// 86 with a robot that a person owns and operates, one on its way to 44, and one that comes from there.
fn world() -> Country {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    let register = a.register(1);
    a.must("maker", register);
    a.must("maker", act(&a, 1, samples::stock_at_dealer(&a)));
    let owner = PartyName::from(person());
    a.must(
        "dealer",
        act(
            &a,
            1,
            Action::Sell {
                owner: owner.clone(),
            },
        ),
    );
    let deploy = Action::Deploy {
        operator: owner,
        scenario: "home".into(),
    };
    a.must("dealer", act(&a, 1, deploy));
    let register = a.register(2);
    a.must("maker", register);
    let declare = a.declare(2, transfer(1), &b.prefix);
    a.must("maker", declare);
    let register = b.register(1);
    b.must("maker", register);
    let declare = b.declare(1, transfer(2), &a.prefix);
    b.must("maker", declare);
    b.deliver(&mut a);
    a.close();
    a
}

/// Bytes that only some may find in an answer.
struct Secret {
    name: String,
    bytes: Vec<u8>,
    may_see: fn(&Seat) -> bool,
}

fn nobody(_: &Seat) -> bool {
    false
}

fn authorities(seat: &Seat) -> bool {
    is_authority(seat.0)
}

fn authorities_and_the_maker(seat: &Seat) -> bool {
    is_authority(seat.0) || *seat == (Role::Manufacturer, "0001")
}

fn secrets(country: &Country) -> Vec<Secret> {
    let secret = |name: &str, bytes: &[u8], may_see| Secret {
        name: name.into(),
        bytes: bytes.to_vec(),
        may_see,
    };
    let mut found = vec![secret(
        "a person's commitment",
        &person().0,
        authorities_and_the_maker,
    )];
    for name in ["admin-2", "regulator"] {
        let key = country.key(name).public().key_id();
        found.push(secret(name, &key.0, authorities));
    }
    let mut custody: Vec<Digest> = country
        .ledger
        .robots()
        .map(|robot| robot.custody_secret)
        .collect();
    custody.extend(
        country
            .ledger
            .transfers()
            .filter_map(|transfer| transfer.robot.as_ref().map(|robot| robot.custody_secret)),
    );
    custody.sort_unstable();
    custody.dedup();
    custody.retain(|secret| *secret != Digest::ZERO);
    assert!(custody.len() >= 3, "robots of two countries have one each");
    for digest in &custody {
        found.push(secret("a custody secret", &digest.0, nobody));
    }
    for index in 0..country.registry().tree.size() {
        let Ok(leaf) = carnet_domain::custody::mail::Reader::leaf(&country.ledger, index);
        let leaf = leaf.expect("a leaf");
        found.push(secret(
            &format!("the seed of leaf {index}"),
            &leaf.seed,
            nobody,
        ));
        let expansion = Expansion::of(&leaf.seed);
        // Slots of a robot that nobody is shown: owner, operator and what is personal.
        if leaf.class == 0 {
            for slot in [6, 7, 11, 13] {
                let name = format!("the salt of slot {slot} of leaf {index}");
                found.push(secret(
                    &name,
                    &expansion.salts()[slot],
                    authorities_and_the_maker,
                ));
            }
        }
    }
    found
}

/// Role and unit of a certificate.
type Seat = (Role, &'static str);

const SEATS: &[Seat] = &[
    (Role::Registrar, "hq"),
    (Role::Manufacturer, "0001"),
    (Role::Manufacturer, "0003"),
    (Role::Importer, "0003"),
    (Role::Dealer, "0003"),
    (Role::ServiceProvider, "0003"),
    (Role::Recycler, "0003"),
    (Role::Operator, "0003"),
    (Role::Owner, "0003"),
    (Role::Declarant, "0003"),
    (Role::Customs, "port"),
    (Role::Regulator, "market"),
    (Role::ForeignRegulator, "abroad"),
    (Role::Auditor, "audit"),
    (Role::Admin, "hq"),
];

/// Every call of one method that is worth making: each a list of the messages sent.
fn calls(country: &mut Country, method: &Method) -> Vec<Vec<Vec<u8>>> {
    let codes: Vec<Code> = vec![
        country.code(1),
        country.code(2),
        Country::unborn("44").code(1),
        country.code(99),
    ];
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
                    (pb::RecordKind::Recall, "86/1".into()),
                    (pb::RecordKind::Transfer, hex::encode(transfer(1).0)),
                    (pb::RecordKind::Transfer, hex::encode(transfer(2).0)),
                    (pb::RecordKind::Peer, "44".into()),
                    (pb::RecordKind::Registry, String::new()),
                    (pb::RecordKind::Pack, String::new()),
                    (pb::RecordKind::DenyList, String::new()),
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
            ["acts", "denied"]
                .iter()
                .flat_map(|chain| ask(chain))
                .collect()
        }
        // Of countries and of nodes, not of roles: their certificates are of other planes.
        ("carnet.federation.v1.Federation", "Follow" | "Inquire") => Vec::new(),
        (
            "carnet.raft.v1.Raft",
            "StreamAppend" | "Vote" | "PreVote" | "TransferLeader" | "Snapshot" | "ReadIndex"
            | "Clock" | "Compare" | "Space" | "Forward" | "Identify" | "WentBack",
        ) => Vec::new(),
        (service, name) => panic!("{service}/{name} is a new call: what may each role see of it?"),
    }
}

fn holds(answer: &[u8], secret: &[u8]) -> bool {
    answer.windows(secret.len()).any(|bytes| bytes == secret)
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
        let client = house.client(seat.0, seat.1, Plane::Client);
        let channel = connect(&house, client).await;
        let mut allowed = Vec::new();
        for method in methods() {
            let mut answered = false;
            for sent in calls(&mut country, &method) {
                let (code, answer) = call(&channel, &method, sent).await;
                answered |= !matches!(code, RpcCode::PermissionDenied | RpcCode::Unauthenticated);
                for secret in secrets.iter().filter(|one| holds(&answer, &one.bytes)) {
                    *seen.entry(secret.name.as_str()).or_default() += 1;
                    if !(secret.may_see)(seat) {
                        leaks.push(format!("{seat:?} {}: {}", method.name, secret.name));
                    }
                }
            }
            if answered {
                allowed.push(method.name);
            }
        }
        table += &format!("{} {}: {}\n", seat.0.word(), seat.1, allowed.join(" "));
    }
    assert_eq!(leaks, Vec::<String>::new());
    // The search finds what is there: authorities and the maker were shown it.
    for name in ["a person's commitment", "regulator"] {
        assert!(
            seen.contains_key(name),
            "{name} was shown to nobody: {seen:?}"
        );
    }
    assert_eq!(table, include_str!("roles.txt"));
    house.close().await;
}
