//! Two who lie, on real ports: a client with valid keys that sends what no client would, and a country whose mailbox holds
//! one poisoned item. Both know only what they would know in the world: certificates, the published schema, their own keys.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use carnet_client::tls::{ClientTls, ExpectedServer, Plane};
use carnet_client::wall_time;
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::machine::entry::{Answer, Request, SessionOpening};
use carnet_domain::record::peer::{
    Bundle, KeyringKind, RootSignature, Signed, Statement, root_signing_bytes,
};
use carnet_domain::rules::command::Command;
use carnet_wire::federation::v1 as federation;
use carnet_wire::federation::v1::federation_server::{Federation, FederationServer};
use carnet_wire::registry::v1 as registry;
use carnet_wire::registry::v1::registry_client::RegistryClient;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Identity, Server, ServerTlsConfig};
use tonic::{Response, Status};

use crate::jurisdiction::{Jurisdiction, stem};
use crate::patience::Broken;

/// Somebody with valid keys who sends what no client would.
pub struct Attacker {
    client: RegistryClient<Channel>,
    key: SecretKey,
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
        let file = |ending: &str| of.pki().join(format!("clients/{}.{ending}", stem(who)));
        let roots = of.pki().join("root/roots.crt");
        let tls = ClientTls::from_files(&roots, &file("crt"), &file("key"), Arc::new(wall_time))
            .map_err(Broken::at(who))?;
        let server = ExpectedServer {
            prefix: of.prefix(),
            plane: Plane::Client,
            node: None,
        };
        let channel = tls
            .channel(&of.client_address(node), server)
            .map_err(Broken::at(who))?;
        let mut client = RegistryClient::new(channel);
        let key = carnet_client::keys::read_seed(&file("actor.key")).map_err(Broken::at(who))?;
        let nonce = sha256(&[who.as_bytes(), &node.to_be_bytes()]);
        let asked = client.open_session(registry::OpenSessionRequest::default());
        let asked = asked.await.map_err(Broken::at("ask for a session"))?;
        let opening = SessionOpening {
            prefix: of.prefix(),
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
            prefix: of.prefix(),
            session: opened.into_inner().session,
            sequence: 0,
        })
    }

    /// Signs with a key from here on that nobody enrolled.
    pub fn takes_another_key(&mut self) {
        self.key = SecretKey::from_seed(&[0xee; 32]);
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

    /// Sends a request as it is: the answer that was committed, or what the node refused it with.
    ///
    /// # Errors
    /// The node did not answer, or with bytes that are no answer.
    pub async fn send(&mut self, request: &Request) -> Result<Result<Answer, String>, Broken> {
        let message = registry::SubmitRequest {
            request: request.to_bytes().into(),
            wait_published: false,
        };
        match self.client.submit(message).await {
            Ok(response) => Answer::from_bytes(&response.into_inner().answer)
                .map(Ok)
                .map_err(Broken::at("answer")),
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
}

/// A country that exists only as keys and one endpoint, which answers every `Follow` with the same bytes.
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
    /// Serves `batch` to whoever follows the country of these keys.
    ///
    /// # Errors
    /// The keys cannot be read, or the port not be bound.
    pub async fn serve(keys: &Jurisdiction, batch: Vec<u8>) -> Result<Self, Broken> {
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
            .add_service(FederationServer::new(Mailbox(batch)));
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
        let root = |of: &Jurisdiction| {
            carnet_client::keys::read_seed(&of.pki().join("root/root-1.seed"))
                .map_err(Broken::at("root key"))
        };
        let roots = carnet_client::keys::read_roots(&keys.pki().join("root/roots.crt"))
            .map_err(Broken::at("roots"))?;
        let certificates = roots.of(keys.prefix()).iter();
        let theirs = root(keys)?;
        let bundle = Bundle {
            name: "a country that lies".into(),
            prefixes: vec![keys.prefix()],
            sequence: 1,
            incarnation: 0,
            keyring: KeyringKind::File,
            roots: vec![theirs.public()],
            threshold: 1,
            log_key,
            profile: carnet_domain::record::offices::Profile::Sandbox,
            certificates: certificates.map(|root| Blob(root.der().to_vec())).collect(),
            endpoints: vec![self.address.to_string()],
            refresh: DurationMs::from_secs(3_600),
            valid_to: TimeMs::parse("2100-01-01T00:00:00Z").map_err(Broken::at("a date"))?,
        };
        let sign = |key: &SecretKey, bytes: Vec<u8>| Signed {
            signatures: vec![RootSignature {
                root: key.public(),
                signature: key.sign(&root_signing_bytes(&bytes)),
            }],
            bytes: Blob(bytes),
        };
        let statement = Statement::Recognise {
            changes: Vec::new(),
            fingerprint: bundle.fingerprint(),
            bundle: sign(&theirs, bundle.to_bytes()),
        };
        Ok(sign(&root(victim)?, statement.to_bytes()))
    }
}

struct Mailbox(Vec<u8>);

type Batches =
    Pin<Box<dyn tokio_stream::Stream<Item = Result<federation::FollowResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Federation for Mailbox {
    type FollowStream = Batches;

    async fn follow(
        &self,
        _: tonic::Request<federation::FollowRequest>,
    ) -> Result<Response<Batches>, Status> {
        let message = federation::FollowResponse {
            batch: self.0.clone().into(),
        };
        let first = tokio_stream::once(Ok(message));
        let then = tokio_stream::StreamExt::chain(first, tokio_stream::pending());
        Ok(Response::new(Box::pin(then)))
    }

    async fn inquire(
        &self,
        _: tonic::Request<federation::InquireRequest>,
    ) -> Result<Response<federation::InquireResponse>, Status> {
        Err(Status::unavailable("nobody is at home"))
    }
}
