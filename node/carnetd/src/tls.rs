//! The edge of a node: TLS 1.3 on every plane, both sides with certificates, and limits before anything is read.
//!
//! Who is allowed on a plane is decided by `carnet_trust::chain`; this room carries bytes to it and its answer to the
//! handlers, as [`PeerIdentity`] in the extensions of every request. There is no session resumption: each connection
//! proves its certificates again. Keys and roots can be replaced while connections are open; a connection that would be
//! refused now, because a certificate has expired or its root is believed no more, ends.

mod accept;
mod connect;
mod denied;
mod guarded;
pub mod owed;
mod tuning;
mod verify;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::denied::{Bearer, DenyList, Mark};
use carnet_trust::chain::{ChainError, Fault, VerifiedClient, VerifiedNode, VerifiedPeer};
use carnet_trust::facts::Marks;
use carnet_trust::identity::{ClusterId, NodeId, Plane};
use carnet_trust::roots::{Fingerprint, PinnedRoots, RootCertificate};
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroize;

use self::owed::Owed;
use crate::clock::Clock;
use crate::keyring::read_secret;
use crate::share::Holder;
use crate::told::chain as chain_of;

pub(crate) use self::accept::Arrivals;
pub use self::accept::{EdgeLimits, EdgeStream, Incoming, Listen, Patience, accept};
pub use self::connect::{ConnectTuning, Dial, TcpDial, connect};
pub use self::denied::{DENIED_FILE, Denied, read_denied};
pub use self::tuning::ServerTuning;

/// The longest that an open connection is not judged again: an authority may expire before a certificate, and the clock of
/// this machine may be set.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The roots a node believes, replaceable while it runs: its own jurisdiction's, and its peers'.
#[derive(Debug, Default)]
pub struct TrustedRoots {
    own: RwLock<Arc<PinnedRoots>>,
    peers: RwLock<Arc<PinnedRoots>>,
    /// What is refused in spite of its root.
    denied: RwLock<Arc<Denied>>,
    /// Tells open connections that they are to be judged again.
    changes: watch::Sender<()>,
    /// Tells of what was shown though it is refused.
    shown: OnceLock<mpsc::Sender<RevokedShown>>,
}

/// A certificate that somebody showed though it is revoked: whoever has its key, or a copy of the certificate alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedShown {
    /// On which plane.
    pub plane: Plane,
    /// Whose it is.
    pub who: String,
    /// Why it is refused.
    pub why: String,
}

/// Revoked certificates shown that wait to be taken in hand; of more it is not told.
const SHOWN_WAITING_MAX: usize = 64;

impl TrustedRoots {
    /// The own roots, and no peer.
    pub fn new(own: PinnedRoots) -> Self {
        Self {
            own: RwLock::new(Arc::new(own)),
            peers: RwLock::default(),
            denied: RwLock::default(),
            changes: watch::Sender::default(),
            shown: OnceLock::new(),
        }
    }

    /// Tells of every revoked certificate that is shown in a handshake from now on. Whoever asks first is told, and nobody else.
    pub fn revoked_shown(&self) -> mpsc::Receiver<RevokedShown> {
        let (sender, receiver) = mpsc::channel(SHOWN_WAITING_MAX);
        // Whoever comes later has a channel that is closed.
        let _ = self.shown.set(sender);
        receiver
    }

    /// The roots of the own jurisdiction.
    pub fn own(&self) -> Arc<PinnedRoots> {
        read(&self.own)
    }

    /// Those that certificates of other countries must end in, as the bundles in force name them.
    pub fn peers(&self) -> Arc<PinnedRoots> {
        read(&self.peers)
    }

    /// Believes these peers from now on: connections of others end.
    pub fn replace_peers(&self, peers: PinnedRoots) {
        *self.peers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(peers);
        self.changes.send_replace(());
    }

    /// Believes these own roots from now on: connections of others end.
    pub fn replace_own(&self, own: PinnedRoots) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own);
        self.changes.send_replace(());
    }

    /// As [`Self::replace_own`], unless they are the same as before; whether they are others.
    pub fn take_own(&self, own: PinnedRoots) -> bool {
        let fingerprints = |roots: &PinnedRoots| -> Vec<Fingerprint> {
            let all = roots.jurisdictions().flat_map(|prefix| roots.of(prefix));
            all.map(RootCertificate::fingerprint).collect()
        };
        if fingerprints(&self.own()) == fingerprints(&own) {
            return false;
        }
        self.replace_own(own);
        true
    }

    /// The certificates that are refused.
    pub fn denied(&self) -> Arc<Denied> {
        read(&self.denied)
    }

    /// Refuses these certificates from now on: their connections end. Whether they are others than before.
    pub fn refuse(&self, denied: Denied) -> bool {
        self.change_denied(|now| *now = denied)
    }

    /// Refuses what this list of the registry names, beside the operator's file; as [`Self::refuse`].
    pub fn refuse_list(&self, list: DenyList) -> bool {
        self.change_denied(|now| now.list = list)
    }

    /// Refuses what the operator's file names, beside the list of the registry; as [`Self::refuse`].
    pub fn refuse_file(&self, file: BTreeSet<Mark>) -> bool {
        self.change_denied(|now| now.file = file)
    }

    /// List and file are followed by two who know nothing of each other: neither puts back what the other has changed.
    fn change_denied(&self, change: impl FnOnce(&mut Denied)) -> bool {
        let mut cell = self.denied.write().unwrap_or_else(PoisonError::into_inner);
        let mut denied = (**cell).clone();
        change(&mut denied);
        if **cell == denied {
            return false;
        }
        *cell = Arc::new(denied);
        drop(cell);
        self.changes.send_replace(());
        true
    }

    /// Tells of every replacement from now on.
    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

fn read<T>(cell: &RwLock<Arc<T>>) -> Arc<T> {
    // A writer only ever swaps a pointer, so a poisoned lock still holds a whole value.
    Arc::clone(&cell.read().unwrap_or_else(PoisonError::into_inner))
}

/// The files of a node's TLS identity on one plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// The certificate followed by its authority, PEM.
    pub certificate: PathBuf,
    /// The private key, PKCS #8 in PEM.
    pub key: PathBuf,
}

/// Why a TLS identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("{}: {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong; never the content.
        fault: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not used.
    #[error("the certificate and key of the {plane} plane cannot be used")]
    Key {
        /// Which of its certificates.
        plane: Plane,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Everybody would refuse the certificate.
    #[error("the own certificate of the {plane} plane would be refused")]
    Refused {
        /// Which of its certificates.
        plane: Plane,
        /// Why.
        #[source]
        source: ChainError,
    },
    /// The certificate is of another node than the one configured.
    #[error(
        "the own certificate of the {plane} plane is of node {found}, configured is node {expected}"
    )]
    OtherNode {
        /// Which of its certificates.
        plane: Plane,
        /// The node in the configuration.
        expected: NodeId,
        /// The node in the certificate.
        found: NodeId,
    },
    /// The certificate is of another cluster of the jurisdiction, or of another life of it, than the one it should be of.
    #[error("the own certificate of the {plane} plane is of {found}, expected was {expected}")]
    OtherCluster {
        /// Which of its certificates.
        plane: Plane,
        /// The cluster of the certificates in use.
        expected: Life,
        /// The cluster in the certificate.
        found: Life,
    },
    /// rustls does not accept the configuration.
    #[error("the TLS configuration is not accepted")]
    Config(#[from] rustls::Error),
    /// An address is not `host:port`.
    #[error("{0:?} is not an address of the form host:port")]
    Address(String),
}

/// A cluster and the life it is in, counted by restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Drawn when it was founded; a restore keeps it.
    pub cluster: ClusterId,
    /// 0 in the first life.
    pub incarnation: u64,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cluster {} incarnation {}",
            self.cluster, self.incarnation
        )
    }
}

/// One plane of one node: its certificate and key, whom it believes, and the time it judges by.
#[derive(Clone)]
pub struct PlaneTls {
    plane: Plane,
    prefix: Prefix,
    node: NodeId,
    life: Life,
    key: Arc<KeyCell>,
    roots: Arc<TrustedRoots>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for PlaneTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PlaneTls({} node {} {})",
            self.prefix, self.node, self.plane
        )
    }
}

impl PlaneTls {
    /// Time since some fixed moment; it never goes back.
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Reads the identity of a node on a plane and judges it as others will.
    ///
    /// # Errors
    /// When the files cannot be used, or the certificate would be refused or is of another node.
    pub fn load(
        prefix: Prefix,
        node: NodeId,
        plane: Plane,
        files: &KeyFiles,
        roots: Arc<TrustedRoots>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let (chain, key) = files.read()?;
        Self::new(prefix, node, plane, (chain, key), roots, clock)
    }

    /// The same from values.
    ///
    /// # Errors
    /// When certificate and key cannot be used, or the certificate would be refused or is of another node.
    pub fn new(
        prefix: Prefix,
        node: NodeId,
        plane: Plane,
        (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
        roots: Arc<TrustedRoots>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let certified = certified(plane, chain, key)?;
        let own = judge_own(
            &certified,
            &roots.own(),
            (prefix, node, plane),
            clock.wall(),
        )?;
        Ok(Self {
            plane,
            prefix,
            node,
            life: life_of(&own),
            key: Arc::new(KeyCell(RwLock::new(certified))),
            roots,
            clock,
        })
    }

    /// Replaces certificate and key from the next handshake on.
    ///
    /// # Errors
    /// As [`PlaneTls::load`]; what was in use stays in use.
    pub fn reload(&self, files: &KeyFiles) -> Result<(), TlsError> {
        let (chain, key) = files.read()?;
        let certified = certified(self.plane, chain, key)?;
        self.judge_own(&certified)?;
        *self.key.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    /// As [`Self::reload`]; whether it is another certificate than the one in use.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub fn take(&self, files: &KeyFiles) -> Result<bool, TlsError> {
        let (chain, key) = files.read()?;
        let new = certified(self.plane, chain, key)?;
        if read(&self.key.0).cert == new.cert {
            return Ok(false);
        }
        self.reload(files).map(|()| true)
    }

    /// Whether this node is believed below these roots: by the certificate in use, or by what lies in its files.
    ///
    /// # Errors
    /// Neither of them is.
    pub fn goes_on_below(&self, roots: &PinnedRoots, files: &KeyFiles) -> Result<(), TlsError> {
        let who = (self.prefix, self.node, self.plane);
        let of = |certified: &CertifiedKey| {
            judge_own(certified, roots, who, self.clock.wall()).map(drop)
        };
        let Err(refused) = of(&read(&self.key.0)) else {
            return Ok(());
        };
        let new = files.read();
        let new = new.and_then(|(chain, key)| certified(self.plane, chain, key));
        new.and_then(|new| of(&new)).map_err(|_| refused)
    }

    /// On which port it serves, or as what it calls.
    pub fn plane(&self) -> Plane {
        self.plane
    }

    /// The cluster the certificate is of, and its life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The certificate in use, with its authority.
    pub fn shown(&self) -> Vec<CertificateDer<'static>> {
        read(&self.key.0).cert.clone()
    }

    /// The last instant of the certificate in use.
    ///
    /// # Errors
    /// When the certificate would by now be refused.
    pub fn not_after(&self) -> Result<TimeMs, TlsError> {
        self.judge_own(&read(&self.key.0))
    }

    fn judge_own(&self, certified: &CertifiedKey) -> Result<TimeMs, TlsError> {
        let who = (self.prefix, self.node, self.plane);
        let own = judge_own(certified, &self.roots.own(), who, self.clock.wall())?;
        let found = life_of(&own);
        if found != self.life {
            return Err(TlsError::OtherCluster {
                plane: self.plane,
                expected: self.life,
                found,
            });
        }
        Ok(own.not_after())
    }

    /// Ends when a chain that was accepted, until an instant, would be accepted no more. `changes` began before it was judged,
    /// so that none is missed.
    async fn lapses(
        &self,
        judge: impl Fn(TimeMs) -> Result<(), ChainError>,
        not_after: TimeMs,
        mut changes: watch::Receiver<()>,
    ) -> ChainError {
        loop {
            let left = Duration::from_millis(not_after.since(self.clock.wall()).as_ms());
            let pause = left
                .saturating_add(Duration::from_millis(1))
                .min(LOOK_EVERY);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The sender lives as long as this.
                _ = changes.changed() => {}
            }
            if let Err(refused) = judge(self.clock.wall()) {
                return refused;
            }
        }
    }

    /// Who showed a chain in a handshake, judged now.
    ///
    /// # Errors
    /// It would be refused.
    pub fn who(&self, chain: &[CertificateDer<'_>]) -> Result<Who, ChainError> {
        self.judge(chain, self.clock.wall())
    }

    /// As [`Self::judge`], of a chain that is shown now: that one was revoked is told.
    fn judge_shown(&self, chain: &[CertificateDer<'_>], at: TimeMs) -> Result<Who, ChainError> {
        let judged = self.judge(chain, at);
        if let Err(refused) = &judged
            && matches!(refused.fault, Fault::Revoked { .. } | Fault::RevokedHere)
            && let (Some(told), Ok(who)) = (self.roots.shown.get(), self.verify(chain, at))
        {
            // A handshake waits for nobody.
            let _ = told.try_send(RevokedShown {
                plane: self.plane,
                who: who.bearer().to_string(),
                why: refused.fault.to_string(),
            });
        }
        judged
    }

    fn judge(&self, chain: &[CertificateDer<'_>], at: TimeMs) -> Result<Who, ChainError> {
        let who = self.verify(chain, at)?;
        self.roots.denied().judge(&who.marks(), &who.bearer())?;
        Ok(who)
    }

    fn verify(&self, chain: &[CertificateDer<'_>], at: TimeMs) -> Result<Who, ChainError> {
        match self.plane {
            Plane::Raft => {
                verify::node(chain, &self.roots.own(), self.prefix, self.life, at).map(Who::Node)
            }
            Plane::Federation => verify::peer(chain, &self.roots.peers(), at).map(Who::Peer),
            Plane::Client | Plane::Admin => {
                verify::client(chain, &self.roots.own(), self.prefix, self.plane, at)
                    .map(Who::Client)
            }
        }
    }

    /// The rustls configuration of this plane's port.
    ///
    /// # Errors
    /// When rustls does not accept it.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(provider());
        let verifier = verify::EdgeVerifier::new(self.clone(), Arc::clone(&provider));
        let mut config = ServerConfig::builder_with_details(provider, self.time())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&self.key) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// The rustls configuration for connections from this node to another.
    ///
    /// # Errors
    /// When rustls does not accept it.
    pub fn client_config(&self, expected: ExpectedNode) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(provider());
        let verifier = verify::NodeVerifier::new(self.clone(), expected, Arc::clone(&provider));
        let mut config = ClientConfig::builder_with_details(provider, self.time())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&self.key) as Arc<dyn ResolvesClientCert>);
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    fn time(&self) -> Arc<dyn TimeProvider> {
        Arc::new(ClockTime(Arc::clone(&self.clock)))
    }
}

/// Judges an own certificate as others will.
fn judge_own(
    certified: &CertifiedKey,
    roots: &PinnedRoots,
    (prefix, node, plane): (Prefix, NodeId, Plane),
    at: TimeMs,
) -> Result<VerifiedNode, TlsError> {
    let own = carnet_trust::chain::verify_node(&certified.cert, roots, prefix, plane, at)
        .map_err(|source| TlsError::Refused { plane, source })?;
    if own.node() != node {
        return Err(TlsError::OtherNode {
            plane,
            expected: node,
            found: own.node(),
        });
    }
    Ok(own)
}

fn life_of(node: &VerifiedNode) -> Life {
    Life {
        cluster: node.name().cluster,
        incarnation: node.name().life(),
    }
}

/// The node a connection must end at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedNode {
    /// Its jurisdiction: our own on the raft plane, a peer's on the federation plane.
    pub prefix: Prefix,
    /// Which node; `None` when any of that jurisdiction will do.
    pub node: Option<NodeId>,
}

/// Who is at the other end of a connection that was accepted. Handlers find it in the extensions of the request.
#[derive(Debug, Clone)]
pub struct PeerIdentity {
    who: Arc<Who>,
    holder: Holder,
    remote: SocketAddr,
    connection: Arc<ConnectionUse>,
}

/// What a connection is used for, so that one of no use can be closed.
#[derive(Debug, Default)]
pub struct ConnectionUse {
    begun: AtomicU64,
    in_work: AtomicUsize,
    owed: Owed,
}

/// A request in work on a connection, until it is dropped.
#[derive(Debug)]
pub struct InWork(Arc<ConnectionUse>);

impl ConnectionUse {
    /// Notes that a request begins.
    pub fn begin(self: &Arc<Self>) -> InWork {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_work.fetch_add(1, Ordering::Relaxed);
        InWork(Arc::clone(self))
    }

    /// How many requests have begun since the connection was made, and how many are in work.
    pub fn begun_and_in_work(&self) -> (u64, usize) {
        let begun = self.begun.load(Ordering::Relaxed);
        (begun, self.in_work.load(Ordering::Relaxed))
    }

    /// What it has been given to send and has not sent.
    pub fn owed(&self) -> &Owed {
        &self.owed
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was verified; the plane decides which of them it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A node of our own cluster, on the raft plane.
    Node(VerifiedNode),
    /// A node of another jurisdiction, on the federation plane.
    Peer(VerifiedPeer),
    /// A person or desk, on the client or admin plane.
    Client(VerifiedClient),
}

impl Who {
    /// By what its certificate is known again.
    fn marks(&self) -> Marks {
        match self {
            Self::Node(node) => node.marks(),
            Self::Peer(peer) => peer.marks(),
            Self::Client(client) => client.marks(),
        }
    }

    /// Whose it is, for the list of what is refused.
    fn bearer(&self) -> Bearer {
        match self {
            Self::Node(node) => node.bearer(),
            Self::Peer(peer) => peer.bearer(),
            Self::Client(client) => client.bearer(),
        }
    }

    /// The last instant of the certificate.
    fn not_after(&self) -> TimeMs {
        match self {
            Self::Node(node) => node.not_after(),
            Self::Peer(peer) => peer.not_after(),
            Self::Client(client) => client.not_after(),
        }
    }
}

impl PeerIdentity {
    pub(crate) fn new(who: Who, remote: SocketAddr) -> Self {
        let holder = Holder::new(&match &who {
            Who::Node(node) => node.name().to_string(),
            // All nodes of a registry share what the registry may use.
            Who::Peer(peer) => peer.prefix().to_string(),
            Who::Client(client) => client.name().to_string(),
        });
        Self {
            who: Arc::new(who),
            holder,
            remote,
            connection: Arc::default(),
        }
    }

    /// To whom its shares belong.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// What its connection is used for.
    pub fn connection(&self) -> &Arc<ConnectionUse> {
        &self.connection
    }

    /// As if a client had connected, from nowhere.
    #[cfg(test)]
    pub(crate) fn of_client(client: VerifiedClient) -> Self {
        Self::new(Who::Client(client), SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// As its certificate says, which was verified.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The node of our own cluster, if it is one.
    pub fn node(&self) -> Option<&VerifiedNode> {
        match &*self.who {
            Who::Node(node) => Some(node),
            Who::Peer(_) | Who::Client(_) => None,
        }
    }

    /// The node of another jurisdiction, if it is one.
    pub fn peer(&self) -> Option<&VerifiedPeer> {
        match &*self.who {
            Who::Peer(peer) => Some(peer),
            Who::Node(_) | Who::Client(_) => None,
        }
    }

    /// The person or desk, if it is one.
    pub fn client(&self) -> Option<&VerifiedClient> {
        match &*self.who {
            Who::Client(client) => Some(client),
            Who::Node(_) | Who::Peer(_) => None,
        }
    }

    /// Where the connection comes from.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }
}

/// The URI of the identity.
impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.who {
            Who::Node(node) => node.name().fmt(f),
            Who::Peer(peer) => peer.name().fmt(f),
            Who::Client(client) => client.name().fmt(f),
        }
    }
}

impl KeyFiles {
    /// `<directory>/<plane>.crt` and `<directory>/<plane>.key`, as `carnet pki init` lays them out.
    pub fn in_directory(directory: &Path, plane: Plane) -> Self {
        Self {
            certificate: directory.join(format!("{plane}.crt")),
            key: directory.join(format!("{plane}.key")),
        }
    }

    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let fault = |path: &Path, fault: String| TlsError::File {
            path: path.to_owned(),
            fault,
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
            .map_err(|e| fault(&self.certificate, format!("cannot be read as PEM: {e}")))?;
        if chain.is_empty() {
            return Err(fault(
                &self.certificate,
                "there is no certificate in it".to_owned(),
            ));
        }
        // As at the start: what a restart would refuse is not taken up while it runs.
        let text = read_secret(&self.key).map_err(|error| fault(&self.key, chain_of(&error)))?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            fault(
                &self.key,
                "cannot be read as a private key in PEM".to_owned(),
            )
        })?;
        Ok((chain, key))
    }
}

/// Reads and pins every root certificate of a PEM file.
///
/// # Errors
/// When the file cannot be read or a certificate in it is not a root.
pub fn read_roots(path: &Path) -> Result<PinnedRoots, TlsError> {
    let fault = |fault: String| TlsError::File {
        path: path.to_owned(),
        fault,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|e| fault(format!("cannot be read as PEM: {e}")))?;
    let mut roots = PinnedRoots::new();
    for der in &certificates {
        let root = carnet_trust::roots::RootCertificate::from_der(der)
            .map_err(|e| fault(e.to_string()))?;
        roots
            .pin(root.prefix(), root.fingerprint(), root)
            .map_err(|e| fault(e.to_string()))?;
    }
    if roots.jurisdictions().next().is_none() {
        return Err(fault("there is no root certificate in it".to_owned()));
    }
    Ok(roots)
}

/// The certificate and key in use, replaceable while connections are being made.
#[derive(Debug)]
struct KeyCell(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for KeyCell {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(read(&self.0))
    }
}

impl ResolvesClientCert for KeyCell {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(read(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

struct ClockTime(Arc<dyn Clock>);

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(
            self.0.wall().as_ms(),
        )))
    }
}

/// The bytes of the key are cleared: what signs holds its own, and clears that at the end.
fn certified(
    plane: Plane,
    chain: Vec<CertificateDer<'static>>,
    mut key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let signer = aws_lc_rs::sign::any_supported_type(&key);
    key.zeroize();
    let fault = |source| TlsError::Key { plane, source };
    let certified = CertifiedKey::new(chain, signer.map_err(fault)?);
    certified.keys_match().map_err(fault)?;
    Ok(Arc::new(certified))
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
