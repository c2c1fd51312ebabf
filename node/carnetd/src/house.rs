//! A node that leads a cluster of one, in this process and without ports, with the log of a country of the kit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{
    ConnectError, Connector, Consensus, Member, Purpose, Role as RaftRole, Settings, Work,
};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::{PublicKey, Signature};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::rules::policy::Role;
use carnet_kit::Country;
use carnet_store::artefact::NodeEngine;
use carnet_store::identity::{Identity, StoreId};
use carnet_store::log::MemoryLog;
use carnet_store::machine::StateMachine;
use carnet_store::registry::RegistryState;
use carnet_store::rocks::RocksSettings;
use carnet_store::state::SwappableEngine;
use carnet_trust::chain::{VerifiedClient, verify_client};
use carnet_trust::identity::{NodeId, Plane};
use futures::future::BoxFuture;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::clock::Clock;
use crate::compare::Comparer;
use crate::config::Config;
use crate::forge::{self, NOW, Sketch, node_uri};
use crate::gateway::{Gateway, Parts};
use crate::keyring::{KeyRole, Keyring, SignError};
use crate::node::Node;
use crate::raft_threads::RaftThreads;
use crate::service::{ClusterService, RegistryService};
use crate::tls::{PlaneTls, TcpDial, TrustedRoots};
use crate::verify::Verifier;
use crate::world::Means;

/// Longer than anything here takes; only a failure waits it out.
const PATIENCE: Duration = Duration::from_secs(60);

/// The node and what serves it.
pub(crate) struct House {
    pub(crate) node: Arc<Node>,
    pub(crate) registry: Arc<RegistryService>,
    pub(crate) gateway: Arc<Gateway>,
    certificates: forge::Country,
    raft_threads: RaftThreads,
    _data: TempDir,
}

/// A clock that stands at a time of the country's.
struct Stands(TimeMs);

impl Clock for Stands {
    fn wall(&self) -> TimeMs {
        self.0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl carnet_consensus::Clock for Stands {
    fn now_ms(&self) -> u64 {
        self.0.as_ms()
    }
}

/// There is nobody to reach.
struct Alone;

impl Connector for Alone {
    fn channel(&self, _: u64, _: &Member, _: Purpose) -> Result<Channel, ConnectError> {
        Err(ConnectError("there is nobody else".into()))
    }
}

/// The keys of the country.
struct Keys(Country);

impl Keys {
    fn key(&self, role: KeyRole) -> carnet_domain::bytes::signature::SecretKey {
        self.0.key(role.word())
    }
}

impl Keyring for Keys {
    fn public(&self, role: KeyRole) -> PublicKey {
        self.key(role).public()
    }

    fn sign<'a>(
        &'a self,
        role: KeyRole,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        let signature = self.key(role).sign(bytes);
        Box::pin(std::future::ready(Ok(signature)))
    }
}

fn config(prefix: &str, data: &Path) -> Config {
    let text = format!(
        "[node]\nprefix = \"{prefix}\"\nid = 1\ndata_dir = \"{0}/data\"\npki_dir = \"{0}/pki\"\n\
         [listen]\nraft = \"127.0.0.1:7101\"\nclient = \"127.0.0.1:7102\"\nadmin = \"127.0.0.1:7103\"\n\
         federation = \"127.0.0.1:7104\"\n",
        data.display()
    );
    Config::parse(&text, &data.join("carnet.toml")).expect("a configuration")
}

impl House {
    /// Starts it, founds the cluster, and writes every entry of the country into its log.
    pub(crate) async fn of(country: &Country) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let prefix = country.prefix.to_string();
        let config = config(&prefix, data.path());
        let genesis = country.genesis();
        let identity = Identity {
            cluster: genesis.cluster,
            node: 1,
            incarnation: 0,
            store: StoreId([1; 16]),
        };
        let engine = SwappableEngine::create(
            &data.path().join("data"),
            identity,
            RocksSettings::default(),
        );
        let engine: NodeEngine = Arc::new(engine.expect("a database"));
        let state = RegistryState::open(engine).expect("a state");
        let state = Arc::new(state);
        let mut settings = Settings::quick(genesis.cluster, 1, 7);
        settings.store = identity.store;
        let clock = Arc::new(Stands(country.clock));
        let raft_threads = RaftThreads::start(Work::Threads).expect("threads");
        let raft = raft_threads.run(Consensus::start(
            settings,
            Arc::new(MemoryLog::new()),
            Arc::clone(&state) as Arc<dyn StateMachine>,
            Arc::new(Alone),
            Arc::clone(&clock) as Arc<dyn carnet_consensus::Clock>,
        ));
        let raft = raft.await.expect("it ends").expect("started");
        let member = Member {
            raft: "node-1:7101".into(),
            api: "node-1:7102".into(),
            store: identity.store,
        };
        raft.initialize(BTreeMap::from([(1, member)]))
            .await
            .expect("founded");
        raft.wait_status(|status| status.standing.role == RaftRole::Leader, PATIENCE)
            .await
            .expect("it leads");
        for entry in &country.entries {
            let bytes = Bytes::from(entry.to_bytes());
            raft.propose(bytes).await.expect("applied");
        }
        let node = Arc::new(Node::new(
            config,
            (genesis.cluster, 0),
            true,
            state,
            raft,
            (
                Means::of_this_machine(Arc::clone(&clock) as Arc<dyn Clock>),
                Arc::new(Keys(country.clone())),
            ),
        ));
        node.open_when_taken_in().await;
        let certificates = forge::Country::new(&prefix);
        let roots = Arc::new(TrustedRoots::new(certificates.pinned()));
        let sketch = Sketch::leaf(&node_uri(&prefix, Plane::Federation, 1), Plane::Federation);
        let (held, chain) = certificates.issue(Plane::Federation, &sketch);
        let passport = data.path().join("passport.pem");
        std::fs::write(&passport, &held.pem).expect("written");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(held.key.serialized_der().to_vec()));
        let tls = PlaneTls::new(
            country.prefix,
            NodeId::new(1).expect("not zero"),
            Plane::Federation,
            (chain, key),
            Arc::clone(&roots),
            clock,
        )
        .expect("an identity");
        let gateway = Gateway::start(Parts {
            dial: TcpDial,
            node: Arc::clone(&node),
            tls,
            roots,
        });
        let verifier = Verifier::new(
            Arc::clone(&node),
            Arc::clone(&gateway),
            Arc::new(Keys(country.clone())),
            &passport,
        );
        Self {
            registry: Arc::new(RegistryService {
                node: Arc::clone(&node),
                verifier: Arc::new(verifier.expect("a chain")),
            }),
            node,
            gateway,
            certificates,
            raft_threads,
            _data: data,
        }
    }

    /// Its cluster service, without files to skip entries.
    pub(crate) fn cluster(&self) -> ClusterService {
        let (_, skips) = watch::channel(Vec::new());
        ClusterService {
            node: Arc::clone(&self.node),
            gateway: Arc::clone(&self.gateway),
            skips,
            comparer: Arc::new(Comparer::new(Arc::clone(&self.node))),
        }
    }

    /// Somebody with a certificate of a plane.
    pub(crate) fn client(&self, role: Role, unit: &str, plane: Plane) -> VerifiedClient {
        let prefix = self.certificates.prefix;
        let uri = format!("carnet://{prefix}/{}/{unit}/desk", role.word());
        let (_, chain) = self.certificates.issue(plane, &Sketch::leaf(&uri, plane));
        verify_client(&chain, &self.certificates.pinned(), prefix, plane, NOW)
            .expect("a good certificate")
    }

    /// Ends its consensus.
    pub(crate) async fn close(self) {
        self.gateway.stop();
        self.node.raft.shutdown().await;
        self.raft_threads.end(PATIENCE).await;
    }
}
