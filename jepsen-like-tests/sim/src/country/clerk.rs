//! Somebody outside: a connection over TLS as a person's program makes it, and a session in which commands are numbered.
//!
//! A clerk repeats one request until it is answered, whatever became of it before. So an answer that says that something was
//! done already tells of a request that was executed twice.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::log::checkpoint;
use carnet_domain::machine::entry::{Answer, Body, ItemAnswer};
use carnet_domain::rules::command::Command;
use carnet_trust::identity::Plane;
use carnet_wire::registry::v1 as pb;
use carnet_wire::registry::v1::registry_client::RegistryClient;
use carnet_wire::status::{ApiError, Effect};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};
use turmoil::net::TcpStream;

use crate::country::books::Books;
use crate::country::ground::{CLIENT, Ground, host};
use crate::history::Shared;
use crate::random::Random;
use crate::site::honest;

/// The longest that a desk waits for one answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// Whoever has a certificate of a plane, and where to show it.
pub(crate) struct Person {
    ground: Arc<Ground>,
    config: Arc<ClientConfig>,
    port: u16,
}

impl Person {
    pub(crate) fn new(
        ground: &Arc<Ground>,
        uri: &str,
        plane: Plane,
        port: u16,
    ) -> Result<Self, rustls::Error> {
        let held = ground.issue(uri, plane);
        let chain = held.under(&[ground.certificates.authority(plane)]);
        let key = PrivatePkcs8KeyDer::from(held.key.serialized_der().to_vec());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
        let mut config = config.with_client_auth_cert(chain, key.into())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            ground: Arc::clone(ground),
            config: Arc::new(config),
            port,
        })
    }

    /// A channel to a node, which connects when it is used.
    pub(crate) fn channel(&self, node: u64) -> Result<Channel, tonic::transport::Error> {
        let address = format!("{}:{}", host(&self.ground.kit, node), self.port);
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(Duration::from_secs(1))
            .timeout(PATIENCE);
        let connect = tower::service_fn(move |_: Uri| {
            let (address, connector) = (address.clone(), connector.clone());
            async move {
                let io = TcpStream::connect(address).await?;
                let unused = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
                let stream = connector.connect(unused, io).await?;
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        Ok(endpoint.connect_with_connector_lazy(connect))
    }
}

/// Believes every server: whom a client may believe is tested elsewhere, and answers are judged by their signatures.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Who somebody is, and what they sign with.
pub(crate) struct Who {
    /// The name of their key in the kit.
    pub(crate) key: &'static str,
    /// The name in their certificate.
    pub(crate) uri: String,
}

/// Somebody with a session.
pub(crate) struct Clerk {
    pub(crate) ground: Arc<Ground>,
    who: Who,
    channels: Vec<Channel>,
    session: u64,
    sequence: u64,
    books: Books,
    history: Shared,
    pub(crate) random: Random,
}

/// What one request came to.
pub(crate) struct Told {
    request: Bytes,
    answer: Bytes,
    checkpoint: String,
}

impl Clerk {
    /// Waits until the country is founded, and opens a session there.
    pub(crate) async fn begin(
        ground: Arc<Ground>,
        who: Who,
        books: Books,
        history: Shared,
        random: Random,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let person = Person::new(&ground, &who.uri, Plane::Client, CLIENT)?;
        let channels: Result<Vec<Channel>, _> = (1..=ground.nodes)
            .map(|node| person.channel(node))
            .collect();
        let mut clerk = Self {
            ground,
            who,
            channels: channels?,
            session: 0,
            sequence: 0,
            books,
            history,
            random,
        };
        while 0 < clerk.ground.script.left() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        clerk.session = clerk.session().await;
        Ok(clerk)
    }

    /// One of the nodes.
    fn any(&mut self) -> RegistryClient<Channel> {
        let at = self.random.between(0, self.ground.nodes) as usize;
        RegistryClient::new(self.channels[at].clone())
    }

    pub(crate) async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let pause = self.random.between(from_ms, to_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    pub(crate) fn violated(&self, why: &str) {
        let why = format!("{}: {why}", self.who.uri);
        self.history.lock().violations.push(why);
    }

    /// Notes a refusal, and whether it may have happened all the same. Under faults some are lawful, others are not.
    fn refused(&self, what: &str, status: &Status) -> Effect {
        let error = ApiError::of_status(status);
        let lawful = matches!(
            error,
            ApiError::NotLeader { .. }
                | ApiError::Overloaded { .. }
                | ApiError::UnknownOutcome { .. }
                | ApiError::DidNotHappen { .. }
                | ApiError::TimeStandsStill { .. }
                | ApiError::Unavailable { .. }
        );
        if !lawful {
            self.violated(&format!("{what}: no fault explains: {error}"));
        }
        error.effect()
    }

    async fn session(&mut self) -> u64 {
        let nonce = std::array::from_fn(|_| (self.random.next() & 0xff) as u8);
        let kit = &self.ground.kit;
        let Body::OpenSession {
            opening, signature, ..
        } = kit.opening_under(&self.who.uri, self.who.key, nonce)
        else {
            return 0;
        };
        loop {
            let request = pb::OpenSessionRequest {
                opening: opening.0.clone().into(),
                signature: Bytes::copy_from_slice(&signature.0),
            };
            match self.any().open_session(request).await {
                Ok(answer) => return answer.into_inner().session,
                Err(status) => {
                    self.refused("open a session", &status);
                    self.pause(20, 300).await;
                }
            }
        }
    }

    /// Has one command executed, under the next number of the session.
    pub(crate) async fn execute(&mut self, command: Command, waits: bool) -> Told {
        self.sequence += 1;
        let request = self.signed(&[command]);
        self.tell(request, waits).await
    }

    fn signed(&self, commands: &[Command]) -> Bytes {
        let kit = &self.ground.kit;
        let items: Vec<Vec<u8>> = commands.iter().map(Canonical::to_bytes).collect();
        let now_ms = self.history.lock().now_ms;
        let now = honest(now_ms + self.ground.ahead_ms());
        let header = SignedHeader {
            prefix: kit.prefix,
            incarnation: 0,
            key: kit.key(self.who.key).public().key_id(),
            session: self.session,
            sequence: self.sequence,
            // saturates: a time of the simulation
            not_after: now.saturating_add(DurationMs::from_days(1)),
            kind: commands[0].kind().number() as u16,
            item_count: commands.len() as u32,
            part_items: commands.len() as u32,
            item_root: item_root(items.iter().map(Vec::as_slice)),
        };
        let request = kit.part(self.who.key, &header, commands, 0, commands.len());
        request.to_bytes().into()
    }

    /// Sends one request until it is answered.
    async fn tell(&mut self, request: Bytes, waits: bool) -> Told {
        loop {
            let message = pb::SubmitRequest {
                request: request.clone(),
                wait_published: waits,
            };
            match self.any().submit(message).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    return Told {
                        request,
                        answer: answer.answer,
                        checkpoint: answer.checkpoint,
                    };
                }
                Err(status) => {
                    if self.refused("submit", &status) == Effect::Unknown {
                        self.books.unknown();
                    }
                    self.pause(20, 300).await;
                }
            }
        }
    }

    /// The one item of an answer, and its checkpoint judged.
    pub(crate) fn judge(&self, told: &Told) -> Option<ItemAnswer> {
        let mut answer = match Answer::from_bytes(&told.answer) {
            Ok(answer) => answer,
            Err(error) => {
                self.violated(&format!("an answer cannot be read: {error}"));
                return None;
            }
        };
        let item = answer.items.pop()?;
        if let ItemAnswer::Done { leaf_index, .. } = &item
            && !told.checkpoint.is_empty()
        {
            let key = self.ground.kit.key("log").public();
            match checkpoint::open(&told.checkpoint, &key, &self.ground.origin()) {
                Ok(head) if *leaf_index < head.size() => self.books.head(head.checkpoint()),
                Ok(head) => {
                    let size = head.size();
                    self.violated(&format!("leaf {leaf_index} is not under size {size}"));
                }
                Err(error) => self.violated(&format!("a checkpoint is none: {error}")),
            }
        }
        Some(item)
    }

    /// The same request once more: the same is told of it, and of the same time.
    pub(crate) async fn ask_again(&mut self, before: &Told) {
        let again = self.tell(before.request.clone(), false).await;
        self.books.repeated();
        let told = |told: &Told| Answer::from_bytes(&told.answer).map(|one| (one.at, one.items));
        if told(&again) != told(before) {
            self.violated("one request has two answers");
        }
    }

    /// What was acknowledged is seen from then on, wherever it is asked for.
    pub(crate) async fn read(&mut self, code: &Code) {
        let request = pb::GetRecordRequest {
            kind: pb::RecordKind::Robot.into(),
            name: code.to_string(),
            stale_ok: false,
        };
        match self.any().get_record(request).await {
            Ok(_) => self.books.read(),
            Err(status) => {
                self.refused("read what was acknowledged", &status);
            }
        }
    }
}
