//! Puts one node together from values: configuration, clock, keys. The only place that knows all rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carnet_consensus::{
    ConnectError, Connector, Consensus, Handle, Member, PeerNode, Purpose, Settings, SpaceProbe,
};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::record::registry::Registry;
use carnet_store::artefact::NodeEngine;
use carnet_store::fault::{FirstFault, StorageFault};
use carnet_store::home::{self, Home, Owner};
use carnet_store::identity::{Identity, StoreId, read_retired};
use carnet_store::log::DiskLogOptions;
use carnet_store::machine::StateMachine;
use carnet_store::registry::RegistryState;
use carnet_store::rocks::RocksSettings;
use carnet_trust::identity::{NodeId, Plane};
use tokio::runtime::Handle as Threads;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tower::layer::util::Stack;
use tracing::info;

use crate::audited;
use crate::clock::Clock;
use crate::compare::{self, Comparer};
use crate::config::Config;
use crate::denied;
use crate::disk::DataDisk;
use crate::edge::grpc::admin::GrpcAdmin;
use crate::edge::grpc::reflection;
use crate::edge::grpc::registry::GrpcRegistry;
use crate::edge::{Door, DoorLimits, EdgeCounters, Memory, Notes};
use crate::expiry;
use crate::gateway::{self, Gateway};
use crate::keyring::Keyring;
use crate::monitor::health::GrpcHealth;
use crate::monitor::{Monitor, port};
use crate::node::Node;
#[cfg(feature = "planted")]
use crate::planted::Planted;
use crate::process;
use crate::raft_threads::RaftThreads;
use crate::refusal;
use crate::reload::{self, Reload};
use crate::run_error::RunError;
use crate::sequencer;
use crate::service::{ClusterService, RegistryService};
use crate::signer::Signer;
use crate::skip_files::SkipFiles;
use crate::timekeeper;
use crate::tls::{
    ConnectTuning, Dial, ExpectedNode, KeyFiles, PeerIdentity, PlaneTls, ServerTuning, TlsError,
    TrustedRoots, accept, connect, read_denied, read_roots,
};
use crate::verify::Verifier;
use crate::waiting;
use crate::world::{Means, Network, Stores, SystemNetwork, World};

/// What Raft has under way when it has stopped may take so long on the disk.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Certificates of all planes, and whom they believe.
struct Planes {
    roots: Arc<TrustedRoots>,
    raft: PlaneTls,
    client: PlaneTls,
    admin: PlaneTls,
    federation: PlaneTls,
}

impl Planes {
    fn load(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, RunError> {
        let pki = config.pki();
        let roots = Arc::new(TrustedRoots::new(read_roots(&pki.roots())?));
        let node = NodeId::new(config.node.id)
            .ok_or_else(|| RunError::Config("node.id must be 1 or more".into()))?;
        let load = |plane| {
            let files = KeyFiles {
                certificate: pki.certificate(plane),
                key: pki.key(plane),
            };
            PlaneTls::load(
                config.node.prefix,
                node,
                plane,
                &files,
                Arc::clone(&roots),
                Arc::clone(clock),
            )
        };
        Ok(Self {
            raft: load(Plane::Raft)?,
            client: load(Plane::Client)?,
            admin: load(Plane::Admin)?,
            federation: load(Plane::Federation)?,
            roots,
        })
    }

    /// Whom the data directory must belong to: the certificates say of which cluster the node is, all of them the same.
    fn owner(&self, config: &Config) -> Result<Owner, TlsError> {
        let expected = self.raft.life();
        for tls in [&self.client, &self.admin, &self.federation] {
            let found = tls.life();
            if found != expected {
                let plane = tls.plane();
                return Err(TlsError::OtherCluster {
                    plane,
                    expected,
                    found,
                });
            }
        }
        Ok(Owner {
            cluster: expected.cluster.bytes(),
            node: config.node.id,
            incarnation: expected.incarnation,
        })
    }
}

/// Makes the data directory of a new node, whose empty log takes its first configuration from the nodes in `join`. Its
/// store id. Those with an address are asked while the node waits.
///
/// # Errors
/// Certificates cannot be used, there is something in the directory already, or the disk failed.
pub fn init(
    config: &Config,
    clock: &Arc<dyn Clock>,
    join: &BTreeMap<u64, Option<String>>,
) -> Result<StoreId, RunError> {
    let owner = Planes::load(config, clock)?.owner(config)?;
    let store = StoreId(rand::random());
    let root = &config.node.data_dir;
    let nodes: BTreeSet<u64> = join.keys().copied().collect();
    home::make(root, owner.with(store), &nodes, rocks_settings(config))?;
    process::close_directory(root)?;
    let addressed = join
        .iter()
        .filter_map(|(node, at)| Some((*node, at.clone()?)));
    waiting::keep(root, &addressed.collect())?;
    Ok(store)
}

fn rocks_settings(config: &Config) -> RocksSettings {
    let mib = |count: u64| usize::try_from(count << 20).unwrap_or(usize::MAX);
    RocksSettings {
        cache_bytes: mib(config.storage.cache_mib),
        write_buffers_bytes: mib(config.storage.write_buffer_mib),
        #[cfg(feature = "planted")]
        snapshot_misses_a_column_family: config.planted
            == Some(Planted::SnapshotMissesAColumnFamily),
        ..RocksSettings::default()
    }
}

fn open_home(config: &Config, owner: Owner) -> Result<Stores, RunError> {
    let options = DiskLogOptions {
        #[cfg(feature = "planted")]
        acknowledge_before_fsync: config.planted == Some(Planted::AcknowledgeBeforeFsync),
        ..DiskLogOptions::default()
    };
    let root = &config.node.data_dir;
    let Home {
        identity,
        join,
        state,
        log,
    } = home::open(root, owner, rocks_settings(config), options)?;
    Ok(Stores {
        identity,
        join,
        count: log.count(),
        damage: state.damage().clone(),
        state: Arc::new(state),
        log: Arc::new(log),
        space: Arc::new(DataDisk::new(config)),
    })
}

/// The third that must agree with certificates and data directory: the genesis, once it was applied.
fn judge_genesis(registry: Option<&Registry>, identity: Identity) -> Result<(), StorageFault> {
    match registry {
        Some(registry)
            if (registry.cluster, registry.incarnation)
                != (identity.cluster, identity.incarnation) =>
        {
            Err(StorageFault::Foreign(format!(
                "the genesis in the state names cluster {} incarnation {}, the certificates name cluster {} incarnation {}",
                hex::encode(registry.cluster),
                registry.incarnation,
                hex::encode(identity.cluster),
                identity.incarnation
            )))
        }
        _ => Ok(()),
    }
}

/// How this node reaches the others of its cluster.
struct RaftConnector<D> {
    dial: D,
    tls: PlaneTls,
    prefix: Prefix,
    /// What drives the connections.
    threads: Threads,
}

impl<D: Dial> Connector for RaftConnector<D> {
    fn channel(&self, node: u64, member: &Member, _: Purpose) -> Result<Channel, ConnectError> {
        let node =
            NodeId::new(node).ok_or_else(|| ConnectError("a member without a node id".into()))?;
        let expected = ExpectedNode {
            prefix: self.prefix,
            node: Some(node),
        };
        // Streams live as long as the connection; every call has its own deadline.
        let tuning = ConnectTuning {
            request_timeout: None,
            connect_timeout: Duration::from_secs(2),
            ..ConnectTuning::default()
        };
        // Whoever asks for a channel may be on other threads, and a channel stays where it was made.
        let _on = self.threads.enter();
        connect(self.dial.clone(), &member.raft, &self.tls, expected, tuning)
            .map_err(|error| ConnectError(error.to_string()))
    }
}

struct RaftClock(Arc<dyn Clock>);

impl carnet_consensus::Clock for RaftClock {
    fn now_ms(&self) -> u64 {
        self.0.wall().as_ms()
    }
}

fn raft_settings(
    config: &Config,
    stores: &Stores,
    means: &Means,
) -> Result<Settings, StorageFault> {
    let Identity {
        cluster,
        node,
        store,
        ..
    } = stores.identity;
    let draw = || u64::from_be_bytes(means.draw());
    let mut settings = Settings::new(cluster, node, draw());
    settings.work = means.work;
    settings.store = store;
    settings.count = stores.count.clone();
    settings.nonce = draw();
    settings.join.clone_from(&stores.join);
    settings.join.remove(&node);
    settings.retired = read_retired(&config.node.data_dir)?;
    let [election_min, election_max] = config.raft.election();
    settings.heartbeat = config.raft.heartbeat();
    settings.election_min = election_min;
    settings.election_max = election_max;
    settings.snapshot_records = config.raft.snapshot_entries;
    settings.snapshot_bytes = config.raft.snapshot_mib << 20;
    settings.log_keep_records = config.raft.keep_entries;
    settings.log_keep_bytes = config.raft.keep_mib << 20;
    settings.log_wait = Duration::from_secs(config.raft.keep_for_s);
    settings.log_bytes_max = config.raft.log_mib_max << 20;
    settings.space = SpaceProbe::new(Arc::clone(&stores.space));
    Ok(settings)
}

/// Puts the node id that the certificate proved where consensus looks for it.
fn peer_node(mut request: Request<()>) -> Result<Request<()>, Status> {
    let node = request
        .extensions()
        .get::<PeerIdentity>()
        .and_then(PeerIdentity::node)
        .map(|node| node.node().value());
    let node =
        node.ok_or_else(|| Status::unauthenticated("no certificate of this cluster's raft plane"))?;
    request.extensions_mut().insert(PeerNode(node));
    Ok(request)
}

/// Refuses everything until the others have taken this process in.
fn only_if_open(node: &Node, request: Request<()>) -> Result<Request<()>, Status> {
    match node.refusal() {
        None => Ok(request),
        Some(refusal) => Err(refusal.to_status()),
    }
}

/// What runs for as long as the node does.
pub struct Running {
    node: Arc<Node>,
    reload: Arc<Reload>,
    tasks: JoinSet<Result<(), RunError>>,
    stop: watch::Sender<bool>,
    damage: FirstFault,
    raft_threads: RaftThreads,
}

/// Puts a node of this machine together and opens its ports.
///
/// # Errors
/// Certificates, disk, log or a socket cannot be used.
pub async fn assemble(
    config: Config,
    clock: Arc<dyn Clock>,
    keyring: Arc<dyn Keyring>,
    hangup: Arc<Notify>,
) -> Result<Running, RunError> {
    let world = World {
        means: Means::of_this_machine(clock),
        keyring,
        network: SystemNetwork,
    };
    let mut running = assemble_in(world, config, open_home).await?;
    let (reload, node) = (Arc::clone(&running.reload), Arc::clone(&running.node));
    running.tasks.spawn(async move {
        reload::watch(reload, node, hangup).await;
        // A service that ends would end the node.
        std::future::pending::<Result<(), RunError>>().await
    });
    let expiring = Arc::clone(&running.node);
    running.tasks.spawn(async move {
        expiry::watch(expiring).await;
        std::future::pending::<Result<(), RunError>>().await
    });
    Ok(running)
}

/// Puts a node of any world together, and opens its ports there. Whose the stores must be is known from its certificates.
///
/// # Errors
/// As [`assemble`].
pub async fn assemble_in<N: Network>(
    world: World<N>,
    config: Config,
    open: impl FnOnce(&Config, Owner) -> Result<Stores, RunError>,
) -> Result<Running, RunError> {
    let World {
        means,
        keyring,
        network,
    } = world;
    let clock = Arc::clone(&means.clock);
    compare::refuse_diverged(&config.node.data_dir)?;
    refusal::judge(&config.node.data_dir)?;
    let planes = Planes::load(&config, &clock)?;
    let prefix = config.node.prefix;
    let stores = open(&config, planes.owner(&config)?)?;
    let settings = raft_settings(&config, &stores, &means)?;
    let Stores {
        identity,
        join,
        state,
        damage,
        log,
        ..
    } = stores;
    info!(store = %identity.store, count = settings.count.now(), ?join, "data directory opened");
    let cluster = identity.cluster;
    let signer = Signer::open(&config, cluster, Arc::clone(&keyring))?;
    let monotonic = Arc::clone(&clock);
    let state = RegistryState::<NodeEngine>::open(state)?
        .content_every(config.compare.content_every_ms())
        .measured(Arc::new(move || monotonic.monotonic()));
    judge_genesis(state.registry()?.as_ref(), identity)?;
    #[cfg(feature = "planted")]
    let state = state
        .plant(config.planted.map(Planted::of_rules).unwrap_or_default())
        .differing(config.planted == Some(Planted::OneReplicaDiffers));
    let state = Arc::new(state);
    // Before consensus applies anything: an order counts for an entry only if it is there first.
    let mut skip_files = SkipFiles::open(&config.node.data_dir)?;
    skip_files.look(&state);
    // Before anybody is heard: a revoked node of a log that lags behind is one of an old majority.
    let denied_file = read_denied(&config.node.data_dir)?;
    planes.roots.refuse(denied::applied(&state, &denied_file)?);
    let no_threads = |source| RunError::Io {
        what: "the threads of Raft".into(),
        source,
    };
    let raft_threads = RaftThreads::start(means.work).map_err(no_threads)?;
    let connector = Arc::new(RaftConnector {
        dial: network.dial(),
        tls: planes.raft.clone(),
        prefix,
        threads: raft_threads.handle().clone(),
    });
    let raft = raft_threads.run(Consensus::start(
        settings,
        log,
        Arc::clone(&state) as Arc<dyn StateMachine>,
        connector,
        Arc::new(RaftClock(Arc::clone(&clock))),
    ));
    let raft = raft.await.map_err(no_threads)?;
    // What was in the log already is applied by the start.
    if let Some(found) = state.diverged() {
        compare::alarm(&config.node.data_dir, &found);
        return Err(RunError::Diverged(found));
    }
    let raft = raft?;
    let node = Arc::new(Node::new(
        config,
        (cluster, identity.incarnation),
        join.contains(&identity.node),
        state,
        raft.clone(),
        (means, Arc::clone(&keyring)),
    ));
    let places = audited::begins(&node).await;
    node.audit.start(env!("CARGO_PKG_VERSION"), places).await;
    let gateway = Gateway::start(gateway::Parts {
        dial: network.dial(),
        node: Arc::clone(&node),
        tls: planes.federation.clone(),
        roots: Arc::clone(&planes.roots),
    });
    let passport_chain = node.config.pki().passport_certificate();
    let verifier = Arc::new(Verifier::new(
        Arc::clone(&node),
        Arc::clone(&gateway),
        keyring,
        &passport_chain,
    )?);

    let comparer = Arc::new(Comparer::new(Arc::clone(&node)));
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut edge = Edge {
        network,
        node: &node,
        memory: Memory::new(node.config.limits.memory()),
        tasks: &mut tasks,
        stopping,
        raft: raft_threads.handle().clone(),
    };
    let raft_service = InterceptedService::new(raft.service().into_server(), peer_node);
    let unbounded = ServerTuning {
        request_count_max: 4096,
        stream_count_max: 4096,
        stream_window_bytes: 1024 * 1024,
        connection_window_bytes: 4 * 1024 * 1024,
        ..ServerTuning::default()
    };
    edge.open(
        node.config.listen.raft,
        &planes.raft,
        unbounded,
        |mut server| server.add_service(raft_service),
    )
    .await?;
    let of_cluster = ClusterService {
        node: Arc::clone(&node),
        gateway: Arc::clone(&gateway),
        skips: skip_files.seen(),
        comparer: Arc::clone(&comparer),
    };
    let monitor = Monitor::new(of_cluster.clone());
    let service = Arc::new(RegistryService {
        node: Arc::clone(&node),
        verifier,
    });
    let registry = GrpcRegistry { service }.into_server();
    let client = ServerTuning {
        stream_count_max: 1024,
        request_count_max: 1024,
        ..ServerTuning::default()
    };
    let health = GrpcHealth {
        monitor: monitor.clone(),
    };
    let health = health.into_server();
    let opening = Arc::clone(&node);
    let registry =
        InterceptedService::new(registry, move |request| only_if_open(&opening, request));
    edge.open(
        node.config.listen.client,
        &planes.client,
        client,
        |mut server| {
            let router = server.add_service(registry).add_service(health);
            match reflection::service(Plane::Client) {
                Some(schema) => router.add_service(schema),
                None => router,
            }
        },
    )
    .await?;
    let admin = GrpcAdmin {
        service: of_cluster,
    }
    .into_server();
    edge.open(
        node.config.listen.admin,
        &planes.admin,
        ServerTuning::default(),
        |mut server| {
            let router = server.add_service(admin);
            match reflection::service(Plane::Admin) {
                Some(schema) => router.add_service(schema),
                None => router,
            }
        },
    )
    .await?;
    edge.open(
        node.config.listen.federation,
        &planes.federation,
        ServerTuning::default(),
        |server| gateway.service(server),
    )
    .await?;
    if let Some(address) = node.config.listen.metrics {
        edge.open_to_monitors(address, &planes.admin, monitor)
            .await?;
    }

    let opening = Arc::clone(&node);
    tasks.spawn(async move {
        opening.open_when_taken_in().await;
        // A service that ends would end the node.
        std::future::pending::<Result<(), RunError>>().await
    });
    let keeping = Arc::clone(&node);
    tasks.spawn(async move {
        timekeeper::run(keeping).await;
        Ok(())
    });
    let (sequencing, confirming) = (Arc::clone(&node), Arc::clone(&comparer));
    tasks.spawn(async move {
        sequencer::run(sequencing, signer, confirming).await;
        Ok(())
    });
    let (refusing, refused) = (Arc::clone(&node), Arc::clone(&planes.roots));
    tasks.spawn(async move {
        denied::follow(refusing, refused).await;
        // A service that ends would end the node.
        std::future::pending::<Result<(), RunError>>().await
    });
    let (noting, shown) = (Arc::clone(&node), planes.roots.revoked_shown());
    tasks.spawn(async move {
        denied::note(noting, shown).await;
        // A service that ends would end the node.
        std::future::pending::<Result<(), RunError>>().await
    });
    let audited = Arc::clone(&node);
    tasks.spawn(async move {
        audited::run(audited).await;
        // A service that ends would end the node.
        std::future::pending::<Result<(), RunError>>().await
    });
    let looked_for = Arc::clone(&node);
    tasks.spawn(async move {
        skip_files.watch(looked_for).await;
        Ok(())
    });
    let waiting = Arc::clone(&node);
    // Its end says nothing: most nodes are taken in at once.
    tokio::spawn(async move { waiting::run(waiting).await });
    let comparing = stop.subscribe();
    tasks.spawn(async move { comparer.run(comparing).await });
    info!(%prefix, node = node.config.node.id, cluster = %hex::encode(cluster), "ready to serve");
    let all = [
        &planes.raft,
        &planes.client,
        &planes.admin,
        &planes.federation,
    ];
    node.shows(all.into_iter().cloned().collect());
    let reload = Reload::new(
        node.config.clone(),
        planes.roots,
        vec![planes.raft, planes.client, planes.admin, planes.federation],
        Arc::clone(&node.keyring),
    );
    Ok(Running {
        node,
        reload: Arc::new(reload),
        tasks,
        stop,
        damage,
        raft_threads,
    })
}

/// Services behind a door.
type Behind = Stack<Door, tower::layer::util::Identity>;

/// Opens the ports of a node.
struct Edge<'a, N> {
    network: N,
    node: &'a Node,
    /// One budget for all planes but Raft's, which cannot be shared with strangers.
    memory: Memory,
    tasks: &'a mut JoinSet<Result<(), RunError>>,
    stopping: watch::Receiver<bool>,
    /// What the Raft plane is served by; the other ports are served by whoever opens them.
    raft: Threads,
}

impl<N: Network> Edge<'_, N> {
    async fn open(
        &mut self,
        address: SocketAddr,
        tls: &PlaneTls,
        tuning: ServerTuning,
        with_service: impl FnOnce(Server<Behind>) -> Router<Behind>,
    ) -> Result<(), RunError> {
        let io = |source| RunError::Io {
            what: format!("listen on {address} ({} plane)", tls.plane()),
            source,
        };
        let plane = tls.plane();
        let threads = match plane {
            Plane::Raft => self.raft.clone(),
            Plane::Client | Plane::Admin | Plane::Federation => Threads::current(),
        };
        // A socket is watched by the threads that it was opened on.
        let listener = threads.spawn(self.network.listen(address)).await;
        let listener = listener.map_err(|error| io(std::io::Error::other(error)))?;
        let listener = listener.map_err(io)?;
        let limits = &self.node.config.limits;
        let counters = Arc::new(EdgeCounters::new(plane));
        self.node.note_port(Arc::clone(&counters));
        let (requests, memory) = match plane {
            // What a node may use of another is bounded by what consensus sends.
            Plane::Raft => (DoorLimits::unbounded(), None),
            Plane::Client | Plane::Admin | Plane::Federation => {
                (limits.requests(), Some(self.memory.clone()))
            }
        };
        let clock = Arc::clone(&self.node.clock);
        let notes = Notes {
            audit: Arc::clone(&self.node.audit),
            requests: self.node.requests.clone(),
        };
        let door = Door::new(plane, requests, memory, Arc::clone(&counters), clock, notes);
        let router = with_service(tuning.server().layer(door));
        let mut edge = limits.edge();
        if plane == Plane::Raft {
            // A node may have connected for a call that it gave up meanwhile; the next one needs the connection.
            edge.patience.first_request = edge.patience.idle;
        }
        let incoming = {
            let _on = threads.enter();
            accept(listener, tls, edge, counters)?
        };
        let mut stopping = self.stopping.clone();
        let serving = async move {
            let stop = async move {
                // An error means that the sender is gone, which is a stop as well.
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            router
                .serve_with_incoming_shutdown(incoming, stop)
                .await
                .map_err(|source| RunError::Serve {
                    plane: plane.to_string(),
                    source,
                })
        };
        self.tasks.spawn_on(serving, &threads);
        Ok(())
    }
}

impl<N: Network> Edge<'_, N> {
    /// Opens the port for monitors, which no plane of gRPC is behind.
    async fn open_to_monitors(
        &mut self,
        address: SocketAddr,
        tls: &PlaneTls,
        monitor: Monitor,
    ) -> Result<(), RunError> {
        let guard = port::Guard::of(address, tls)?;
        let listener = self.network.listen(address).await;
        let listener = listener.map_err(|source| RunError::Io {
            what: format!("listen on {address} (monitors)"),
            source,
        })?;
        info!(%address, "monitors are answered");
        let mut stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = port::serve(listener, guard, monitor) => {}
                // An error means that the sender is gone, which is a stop as well.
                _ = stopping.wait_for(|stop| *stop) => {}
            }
            Ok(())
        });
        Ok(())
    }
}

impl Running {
    /// Consensus of the node.
    pub fn raft(&self) -> &Handle {
        &self.node.raft
    }

    /// Runs until `stop` ends or something fails, then closes ports and stops in good order.
    ///
    /// # Errors
    /// A port or the core of consensus failed.
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        let raft = self.node.raft.clone();
        let damage = self.damage.clone();
        // Whatever is found while leadership is handed over counts as what is found before.
        let leaving = async {
            stop.await;
            raft.leave_office().await;
        };
        let outcome = tokio::select! {
            biased;
            () = leaving => Ok(()),
            fatal = raft.fatal() => Err(fatal.into()),
            // A read that met damage was answered with an error; nothing that comes after it can be believed.
            damage = damage.noted() => Err(RunError::Fault(damage)),
            ended = self.tasks.join_next() => match ended {
                Some(Ok(outcome)) => outcome.and(Err(RunError::Fatal("a service ended".into()))),
                Some(Err(panicked)) => Err(RunError::Fatal(panicked.to_string())),
                None => Ok(()),
            },
        };
        // The rules end consensus when they find it, and consensus knows only that they failed.
        let outcome = match self.node.state.diverged() {
            Some(found) => Err(RunError::Diverged(found)),
            None => outcome,
        };
        self.stop.send_replace(true);
        if let Err(RunError::Refused(why)) = &outcome {
            refusal::keep(&self.node.config.node.data_dir, &why.to_string());
        }
        if let Err(RunError::Diverged(found)) = &outcome {
            // Not one more answer: what is under way ends with the process.
            self.tasks.abort_all();
            compare::alarm(&self.node.config.node.data_dir, found);
        }
        // Streams that peers hold open would keep the ports for ever: what was acknowledged is synced, so they are cut.
        let patience = Duration::from_secs(1);
        let _ = tokio::time::timeout(patience, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        self.tasks.abort_all();
        raft.shutdown().await;
        self.raft_threads.end(STOP_PATIENCE).await;
        outcome
    }
}
