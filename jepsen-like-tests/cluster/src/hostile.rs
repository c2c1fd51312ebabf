//! Two who lie, on real ports: a client with valid keys that sends what no client would, and a country whose mailbox says
//! whatever its [`Mouth`] does. Both know only what they would know in the world: certificates, the published schema, their own
//! keys.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carnet_client::tls::{ClientTls, ExpectedServer, Plane};
use carnet_client::wall_time;
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::machine::entry::{Answer, Request, SessionOpening};
use carnet_domain::record::keys::KeyHistory;
use carnet_domain::record::peer::{
    Agreement, Bundle, KeyringKind, RootSignature, Signed, Statement, root_signing_bytes,
};
use carnet_domain::rules::command::Command;
use carnet_wire::federation::v1 as federation;
use carnet_wire::federation::v1::federation_server::{Federation, FederationServer};
use carnet_wire::registry::v1 as registry;
use carnet_wire::registry::v1::registry_client::RegistryClient;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Identity, Server, ServerTlsConfig};
use tonic::{Response, Status};

use crate::jurisdiction::{Jurisdiction, stem};
use crate::patience::Broken;

/// By what somebody reaches a node: read once, used as often as it likes.
pub struct Way {
    who: String,
    prefix: Prefix,
    address: String,
    tls: ClientTls,
    key: Arc<SecretKey>,
    opened: AtomicU64,
}

impl Way {
    /// For somebody of whom the layout has the files.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn of(of: &Jurisdiction, who: &str, node: u64) -> Result<Self, Broken> {
        let file = |ending: &str| of.pki().join(format!("clients/{}.{ending}", stem(who)));
        let roots = of.pki().join("root/roots.crt");
        let tls = ClientTls::from_files(&roots, &file("crt"), &file("key"), Arc::new(wall_time))
            .map_err(Broken::at(who))?;
        let key = carnet_client::keys::read_seed(&file("actor.key")).map_err(Broken::at(who))?;
        Ok(Self {
            who: who.to_owned(),
            prefix: of.prefix(),
            address: of.client_address(node),
            tls,
            key: Arc::new(key),
            opened: AtomicU64::new(0),
        })
    }
}

/// Somebody with valid keys who sends what no client would.
pub struct Attacker {
    client: RegistryClient<Channel>,
    key: Arc<SecretKey>,
    prefix: Prefix,
    session: u64,
    sequence: u64,
}

impl Attacker {
    /// Connects as somebody who was given keys at the start, and opens a session.
    ///
    /// # Errors
    /// The keys cannot be read, or the node refused.
    pub async fn connect(of: &Jurisdiction, who: &str, node: u64) -> Result<Self, Broken> {
        Self::over(&Way::of(of, who, node)?).await
    }

    /// As [`Self::connect`], by what was read before.
    ///
    /// # Errors
    /// The node refused, or did not answer.
    pub async fn over(way: &Way) -> Result<Self, Broken> {
        let who = way.who.as_str();
        let server = ExpectedServer {
            prefix: way.prefix,
            plane: Plane::Client,
            node: None,
        };
        let channel = way
            .tls
            .channel(&way.address, server)
            .map_err(Broken::at(who))?;
        let mut client = RegistryClient::new(channel);
        let key = Arc::clone(&way.key);
        let opened_before = way.opened.fetch_add(1, Ordering::Relaxed);
        let nonce = sha256(&[
            who.as_bytes(),
            way.address.as_bytes(),
            &opened_before.to_be_bytes(),
        ]);
        let asked = client.open_session(registry::OpenSessionRequest::default());
        let asked = asked.await.map_err(Broken::at("ask for a session"))?;
        let opening = SessionOpening {
            prefix: way.prefix,
            incarnation: 0,
            key: key.public().key_id(),
            subject: asked.into_inner().subject,
            nonce: std::array::from_fn(|at| nonce.0[at]),
            not_after: wall_time().saturating_add(DurationMs::from_secs(600)),
        };
        let opening = opening.to_bytes();
        let signature = key.sign(&SessionOpening::signing_bytes(&opening));
        let opened = client
            .open_session(registry::OpenSessionRequest {
                opening: opening.into(),
                signature: signature.0.to_vec().into(),
            })
            .await
            .map_err(Broken::at("open a session"))?;
        Ok(Self {
            client,
            key,
            prefix: way.prefix,
            session: opened.into_inner().session,
            sequence: 0,
        })
    }

    /// The same somebody in the same session, at another node, which need not lead to be asked.
    ///
    /// # Errors
    /// The way leads nowhere.
    pub fn also_over(&self, way: &Way) -> Result<Self, Broken> {
        let server = ExpectedServer {
            prefix: way.prefix,
            plane: Plane::Client,
            node: None,
        };
        let channel = way.tls.channel(&way.address, server);
        let channel = channel.map_err(Broken::at(way.who.as_str()))?;
        Ok(Self {
            client: RegistryClient::new(channel),
            key: Arc::clone(&self.key),
            prefix: self.prefix,
            session: self.session,
            sequence: self.sequence,
        })
    }

    /// Signs with a key from here on that nobody enrolled.
    pub fn takes_another_key(&mut self) {
        self.key = Arc::new(SecretKey::from_seed(&[0xee; 32]));
    }

    /// The header of a request as an honest client would sign it.
    pub fn header(&mut self, commands: &[Command]) -> SignedHeader {
        self.sequence += 1;
        let items: Vec<Vec<u8>> = commands.iter().map(Canonical::to_bytes).collect();
        SignedHeader {
            prefix: self.prefix,
            incarnation: 0,
            key: self.key.public().key_id(),
            session: self.session,
            sequence: self.sequence,
            not_after: wall_time().saturating_add(DurationMs::from_secs(600)),
            kind: commands
                .first()
                .map_or(0, |command| command.kind().number() as u16),
            item_count: items.len() as u32,
            part_items: items.len() as u32,
            item_root: item_root(items.iter().map(Vec::as_slice)),
        }
    }

    /// The request of a header, signed.
    pub fn request(&self, header: &SignedHeader, commands: &[Command]) -> Request {
        Request {
            header: Blob(header.to_bytes()),
            signature: self.key.sign(&header.signing_bytes()),
            first_item: 0,
            items: commands
                .iter()
                .map(|command| Blob(command.to_bytes()))
                .collect(),
            range_proof: Vec::new(),
        }
    }

    /// As [`Self::request`], of items that need not be commands, under a header that is made to hold them.
    pub fn request_of(&self, header: SignedHeader, items: Vec<Blob>) -> Request {
        let header = SignedHeader {
            item_count: items.len() as u32,
            part_items: items.len() as u32,
            item_root: item_root(items.iter().map(|item| item.0.as_slice())),
            ..header
        };
        Request {
            header: Blob(header.to_bytes()),
            signature: self.key.sign(&header.signing_bytes()),
            first_item: 0,
            items,
            range_proof: Vec::new(),
        }
    }

    /// Sends a request as it is: the answer that was committed, or what the node refused it with.
    ///
    /// # Errors
    /// The node did not answer, or with bytes that are no answer.
    pub async fn send(&mut self, request: &Request) -> Result<Result<Answer, String>, Broken> {
        match self.tell(request.to_bytes()).await? {
            Ok(answer) => Ok(Ok(answer)),
            Err(status)
                if matches!(
                    status.code(),
                    tonic::Code::InvalidArgument
                        | tonic::Code::FailedPrecondition
                        | tonic::Code::PermissionDenied
                ) =>
            {
                Ok(Err(status.message().to_owned()))
            }
            Err(status) => Err(Broken::new(format!("the node did not answer: {status}"))),
        }
    }

    /// Sends bytes where a request belongs: the answer that was committed, or the status in its place.
    ///
    /// # Errors
    /// Bytes came back that are no answer.
    pub async fn tell(&mut self, request: Vec<u8>) -> Result<Result<Answer, Status>, Broken> {
        let message = registry::SubmitRequest {
            request: request.into(),
            wait_published: false,
        };
        match self.client.submit(message).await {
            Ok(response) => Answer::from_bytes(&response.into_inner().answer)
                .map(Ok)
                .map_err(Broken::at("answer")),
            Err(status) => Ok(Err(status)),
        }
    }
}

/// What a country says to whoever follows it.
pub trait Mouth: Send + Sync + 'static {
    /// What it says next to somebody who has everything below the sequence `cursor` and knows its log up to `known_size` leaves;
    /// `None` while it has nothing to say.
    fn next(&self, known_size: u64, cursor: u64) -> Option<Said>;
}

/// A batch, and where whoever took it stands.
#[derive(Debug, Clone)]
pub struct Said {
    /// Canonical bytes of a `MailBatch`, or whatever it says instead.
    pub batch: Vec<u8>,
    /// Leaves of its log that are known then.
    pub size: u64,
    /// The next sequence then.
    pub cursor: u64,
}

/// Says the same to everybody once a stream.
struct Once(Vec<u8>);

impl Mouth for Once {
    fn next(&self, _: u64, cursor: u64) -> Option<Said> {
        // Whoever was told stands where nobody begins.
        (cursor != u64::MAX).then(|| Said {
            batch: self.0.clone(),
            size: 0,
            cursor: u64::MAX,
        })
    }
}

/// A country that exists only as keys and one endpoint, which answers every `Follow` with what its mouth says.
#[derive(Debug)]
pub struct HostilePeer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for HostilePeer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl HostilePeer {
    /// Serves `batch`, and nothing else, to whoever follows the country of these keys.
    ///
    /// # Errors
    /// The keys cannot be read, or the port not be bound.
    pub async fn serve(keys: &Jurisdiction, batch: Vec<u8>) -> Result<Self, Broken> {
        Self::speak(keys, Arc::new(Once(batch))).await
    }

    /// Says to whoever follows the country of these keys what `mouth` does.
    ///
    /// # Errors
    /// The keys cannot be read, or the port not be bound.
    pub async fn speak(keys: &Jurisdiction, mouth: Arc<dyn Mouth>) -> Result<Self, Broken> {
        let at = keys.federation_address(1);
        let listener = TcpListener::bind(at).await.map_err(Broken::at("bind"))?;
        let address = listener.local_addr().map_err(Broken::at("address"))?;
        let read = |ending: &str| {
            let path = keys.pki().join(format!("nodes/1/federation.{ending}"));
            std::fs::read(&path).map_err(Broken::at(path.display().to_string()))
        };
        let identity = Identity::from_pem(read("crt")?, read("key")?);
        let server = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .map_err(Broken::at("TLS"))?
            .add_service(FederationServer::new(Mailbox(mouth)));
        let serving = tokio::spawn(async move {
            // It ends when it is dropped.
            let _ = server
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await;
        });
        Ok(Self { address, serving })
    }

    /// The statement by which `victim` recognises the country of these keys, whose log is signed with `log_key`.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn recognition(
        &self,
        victim: &Jurisdiction,
        keys: &Jurisdiction,
        log_key: PublicKey,
    ) -> Result<Signed, Broken> {
        let roots = carnet_client::keys::read_roots(&keys.pki().join("root/roots.crt"))
            .map_err(Broken::at("roots"))?;
        let certificates = roots.of(keys.prefix()).iter();
        let theirs = root_of(keys)?;
        let bundle = Bundle {
            name: "a country that lies".into(),
            prefixes: vec![keys.prefix()],
            sequence: 1,
            incarnation: 0,
            keyring: KeyringKind::File,
            roots: vec![theirs.public()],
            threshold: 1,
            keys: KeyHistory::at_genesis(&[theirs.public()], log_key),
            profile: carnet_domain::record::offices::Profile::Sandbox,
            certificates: certificates.map(|root| Blob(root.der().to_vec())).collect(),
            endpoints: vec![self.address.to_string()],
            refresh: DurationMs::from_secs(3_600),
            valid_to: TimeMs::parse("2100-01-01T00:00:00Z").map_err(Broken::at("a date"))?,
        };
        let statement = Statement::Recognise {
            changes: Vec::new(),
            fingerprint: bundle.fingerprint(),
            bundle: signed_by(&[&theirs], bundle.to_bytes()),
        };
        Ok(signed_by(&[&root_of(victim)?], statement.to_bytes()))
    }

    /// The statement by which `victim` enters an agreement with the country of these keys, signed by both.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn agreement(
        victim: &Jurisdiction,
        keys: &Jurisdiction,
        agreement: &Agreement,
    ) -> Result<Signed, Broken> {
        let (ours, theirs) = (root_of(victim)?, root_of(keys)?);
        let agreement = signed_by(&[&ours, &theirs], agreement.to_bytes());
        let statement = Statement::Agree { agreement };
        Ok(signed_by(&[&ours], statement.to_bytes()))
    }
}

/// The only root key of a country that was laid out with one.
fn root_of(of: &Jurisdiction) -> Result<SecretKey, Broken> {
    carnet_client::keys::read_seed(&of.pki().join("root/root-1.seed"))
        .map_err(Broken::at("root key"))
}

fn signed_by(roots: &[&SecretKey], bytes: Vec<u8>) -> Signed {
    let message = root_signing_bytes(&bytes);
    let signatures = roots.iter().map(|root| RootSignature {
        root: root.public(),
        signature: root.sign(&message),
    });
    Signed {
        signatures: signatures.collect(),
        bytes: Blob(bytes),
    }
}

struct Mailbox(Arc<dyn Mouth>);

/// How long a mouth that has nothing to say is not asked again.
const SILENCE: Duration = Duration::from_millis(20);

type Batches =
    Pin<Box<dyn tokio_stream::Stream<Item = Result<federation::FollowResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Federation for Mailbox {
    type FollowStream = Batches;

    async fn follow(
        &self,
        request: tonic::Request<federation::FollowRequest>,
    ) -> Result<Response<Batches>, Status> {
        let asked = request.into_inner();
        let mouth = Arc::clone(&self.0);
        let (messages, stream) = mpsc::channel(1);
        let speaking = async move {
            let (mut size, mut cursor) = (asked.known_size, asked.cursor);
            while !messages.is_closed() {
                let Some(said) = mouth.next(size, cursor) else {
                    tokio::time::sleep(SILENCE).await;
                    continue;
                };
                (size, cursor) = (said.size, said.cursor);
                let batch = said.batch.into();
                // Nobody listens any more.
                let Ok(()) = messages
                    .send(Ok(federation::FollowResponse { batch }))
                    .await
                else {
                    return;
                };
            }
        };
        tokio::spawn(speaking);
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn inquire(
        &self,
        _: tonic::Request<federation::InquireRequest>,
    ) -> Result<Response<federation::InquireResponse>, Status> {
        Err(Status::unavailable("nobody is at home"))
    }
}
