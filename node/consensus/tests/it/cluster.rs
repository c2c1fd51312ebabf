//! A cluster in one process. Nodes are found through a directory, so that a restarted node may change its port; a
//! client's user agent stands for its certificate.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::testing::RegisterMachine;
use carnet_consensus::{
    Clock, ConnectError, Connector, Consensus, Handle, Member, PeerNode, ProposeError, Proposed,
    Purpose, Role, Settings, StartError, Status,
};
use carnet_store::identity::{Count, StoreId};
use carnet_store::log::MemoryLog;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status as RpcStatus};

pub(crate) const CLUSTER: [u8; 16] = *b"one test cluster";
/// Long enough for a busy machine; only a failure waits it out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

type Directory = Arc<Mutex<BTreeMap<u64, SocketAddr>>>;
/// Nodes that are spoken to, and get neither records nor snapshots.
type Starved = Arc<Mutex<BTreeSet<u64>>>;

pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) machine: RegisterMachine,
    pub(crate) clock: SetClock,
    pub(crate) log: Arc<MemoryLog>,
    /// What it shows of its store.
    pub(crate) count: Count,
    stop: Option<oneshot::Sender<()>>,
}

pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<u64, Node>,
    /// Stores of nodes that are not in their first life.
    pub(crate) stores: BTreeMap<u64, StoreId>,
    /// How often each node was started.
    pub(crate) starts: BTreeMap<u64, u64>,
    /// What the next node to start finds in its file of retired stores.
    pub(crate) retired: BTreeSet<(u64, StoreId)>,
    pub(crate) starved: Starved,
    directory: Directory,
    tweak: fn(&mut Settings),
}

/// A clock that stands where a test sets it, whatever time passes.
#[derive(Clone)]
pub(crate) struct SetClock(Arc<AtomicU64>);

impl SetClock {
    pub(crate) fn at(ms: u64) -> SetClock {
        SetClock(Arc::new(AtomicU64::new(ms)))
    }

    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where every clock stands at first.
pub(crate) const NOON_MS: u64 = 1_780_000_000_000;

struct Loopback {
    from: u64,
    directory: Directory,
    starved: Starved,
}

impl Connector for Loopback {
    fn channel(&self, node: u64, _: &Member, purpose: Purpose) -> Result<Channel, ConnectError> {
        let address = self.directory.lock().expect("no panic").get(&node).copied();
        let address = address.ok_or_else(|| ConnectError(format!("node {node} is down")))?;
        let starves = self.starved.lock().expect("no panic").contains(&node);
        if starves && matches!(purpose, Purpose::Append | Purpose::Snapshot) {
            return Err(ConnectError(format!("node {node} gets no records")));
        }
        Ok(endpoint(self.from, address, &format!("{purpose:?}")).connect_lazy())
    }
}

fn endpoint(from: u64, address: SocketAddr, purpose: &str) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent(format!("node-{from} {purpose}")))
        .expect("an endpoint")
        .connect_timeout(Duration::from_secs(1))
}

/// What an acceptor with mutual TLS does: says who the peer has proven to be.
fn prove(mut request: Request<()>) -> Result<Request<()>, RpcStatus> {
    let agent = request
        .metadata()
        .get("user-agent")
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    let node = agent
        .split(' ')
        .next()
        .and_then(|name| name.strip_prefix("node-")?.parse().ok());
    if let Some(node) = node {
        request.extensions_mut().insert(PeerNode(node));
    }
    Ok(request)
}

/// The store of a node's first life.
pub(crate) fn store(node: u64) -> StoreId {
    StoreId([0x50 + u8::try_from(node).expect("few nodes"); 16])
}

pub(crate) fn member(node: u64) -> Member {
    Member {
        raft: format!("node-{node}:7000"),
        api: format!("node-{node}:7001"),
        store: store(node),
    }
}

impl Cluster {
    /// No nodes yet.
    pub(crate) fn unfounded(tweak: fn(&mut Settings)) -> Cluster {
        Cluster {
            nodes: BTreeMap::new(),
            stores: BTreeMap::new(),
            starts: BTreeMap::new(),
            retired: BTreeSet::new(),
            starved: Starved::default(),
            directory: Directory::default(),
            tweak,
        }
    }

    /// Waits until a node leads.
    pub(crate) async fn leader_of(&self, node: u64) {
        let led = self
            .handle(node)
            .wait_status(|status| status.standing.role == Role::Leader, PATIENCE)
            .await;
        led.expect("it leads");
    }

    /// Nodes 1 to `count`, founded by node 1.
    pub(crate) async fn founded(count: u64, tweak: fn(&mut Settings)) -> Cluster {
        let mut cluster = Cluster::unfounded(tweak);
        for node in 1..=count {
            cluster.start(node).await;
        }
        let members = (1..=count).map(|node| (node, member(node))).collect();
        cluster.nodes[&1]
            .handle
            .initialize(members)
            .await
            .expect("founded");
        cluster
    }

    /// Starts a new node, or one that was stopped, with what it held.
    pub(crate) async fn start(&mut self, node: u64) {
        self.try_start(node).await.expect("started");
    }

    pub(crate) fn store(&self, node: u64) -> StoreId {
        self.stores.get(&node).copied().unwrap_or(store(node))
    }

    pub(crate) async fn try_start(&mut self, node: u64) -> Result<(), StartError> {
        let (log, machine) = match self.nodes.remove(&node) {
            Some(stopped) => (stopped.log, stopped.machine),
            None => (Arc::new(MemoryLog::new()), RegisterMachine::new()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        self.directory
            .lock()
            .expect("no panic")
            .insert(node, listener.local_addr().expect("an address"));
        let mut settings = Settings::quick(CLUSTER, node, 7 * node);
        let start = self.starts.entry(node).or_default();
        *start += 1;
        settings.count = (*start).into();
        settings.nonce = 1000 * node + *start;
        settings.store = self.stores.get(&node).copied().unwrap_or(store(node));
        settings.join = (1..=9).collect();
        settings.retired = self.retired.clone();
        (self.tweak)(&mut settings);
        let count = settings.count.clone();
        let connector = Arc::new(Loopback {
            from: node,
            directory: Arc::clone(&self.directory),
            starved: Arc::clone(&self.starved),
        });
        let clock = SetClock::at(NOON_MS);
        let handle = Consensus::start(
            settings,
            log.clone(),
            Arc::new(machine.clone()),
            connector,
            Arc::new(clock.clone()),
        )
        .await?;
        let (stop, stopped) = oneshot::channel();
        let service = InterceptedService::new(handle.service().into_server(), prove);
        tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let until = async move {
                let _ = stopped.await;
            };
            Server::builder()
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, until)
                .await
        });
        self.nodes.insert(
            node,
            Node {
                handle,
                machine,
                clock,
                log,
                count,
                stop: Some(stop),
            },
        );
        Ok(())
    }

    /// A second process, on a copy of a node's disk, somewhere else: it finds everybody, and nobody finds it.
    pub(crate) async fn start_copy(&self, node: u64) -> Handle {
        let mut settings = Settings::quick(CLUSTER, node, 1000 + node);
        settings.count = (self.starts[&node] + 1).into();
        settings.nonce = 1_000_000 + node;
        settings.store = self.store(node);
        settings.join = (1..=9).collect();
        let connector = Arc::new(Loopback {
            from: node,
            directory: Arc::clone(&self.directory),
            starved: Arc::clone(&self.starved),
        });
        let started = Consensus::start(
            settings,
            Arc::new(self.nodes[&node].log.copy()),
            Arc::new(RegisterMachine::new()),
            connector,
            Arc::new(SetClock::at(NOON_MS)),
        );
        started.await.expect("it cannot know")
    }

    pub(crate) async fn stop(&mut self, node: u64) {
        self.directory.lock().expect("no panic").remove(&node);
        let stopping = self.nodes.get_mut(&node).expect("a node");
        stopping.handle.shutdown().await;
        if let Some(stop) = stopping.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Stops a node and loses its log and state.
    pub(crate) fn forget(&mut self, node: u64) {
        self.nodes.remove(&node);
    }

    fn running(&self) -> impl Iterator<Item = (&u64, &Node)> {
        self.nodes.iter().filter(|(_, node)| node.stop.is_some())
    }

    pub(crate) fn handle(&self, node: u64) -> &Handle {
        &self.nodes[&node].handle
    }

    /// A node that leads, by its own word and by that of every running node.
    pub(crate) async fn leader(&self) -> u64 {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            assert!(
                tokio::time::Instant::now() < deadline,
                "no leader: {:?}",
                self.statuses()
            );
            let (_, first) = self.running().next().expect("a running node");
            let led = first
                .handle
                .wait_status(|status| status.standing.leader.is_some(), PATIENCE)
                .await;
            let led = led.expect("a leader");
            let leader = led.standing.leader.expect("a leader");
            if self.running().any(|(id, _)| *id == leader) {
                let term = led.standing.term;
                let mut agreed = true;
                for (_, node) in self.running() {
                    let followed = |status: &Status| {
                        term <= status.standing.term && status.standing.leader.is_some()
                    };
                    let status = node
                        .handle
                        .wait_status(followed, PATIENCE)
                        .await
                        .expect("a leader");
                    agreed &= status.standing.leader == Some(leader);
                }
                let role = self.handle(leader).status().standing.role;
                if agreed && role == Role::Leader {
                    return leader;
                }
            } else {
                let other = first
                    .handle
                    .wait_status(|status| status.standing.leader != Some(leader), PATIENCE)
                    .await;
                other.expect("another leader");
            }
        }
    }

    fn statuses(&self) -> Vec<Status> {
        self.nodes
            .values()
            .map(|node| node.handle.status())
            .collect()
    }

    /// Sets a register, through whoever leads.
    pub(crate) async fn put(&self, name: &str, value: &str) -> Proposed {
        self.propose(Bytes::from(format!("{name}={value}"))).await
    }

    /// Proposes to whoever leads until it is done.
    pub(crate) async fn propose(&self, proposal: Bytes) -> Proposed {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let leader = self.leader().await;
            match self.handle(leader).propose(proposal.clone()).await {
                Ok(done) => return done,
                Err(error) => {
                    assert!(
                        matches!(
                            error,
                            ProposeError::NotLeader { .. } | ProposeError::Unknown(_)
                        ),
                        "{error}"
                    );
                    assert!(tokio::time::Instant::now() < deadline, "{error}");
                }
            }
        }
    }

    /// Proposes to one node until it has taken it: a node that was elected just now leads before it can write.
    pub(crate) async fn propose_at(&self, node: u64, proposal: &'static str) -> Proposed {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let outcome = self.handle(node).propose(Bytes::from(proposal)).await;
            match outcome {
                Ok(done) => return done,
                Err(ProposeError::NotLeader { leader: None })
                    if tokio::time::Instant::now() < deadline =>
                {
                    self.leader_of(node).await;
                }
                Err(error) => panic!("node {node}: {error}"),
            }
        }
    }

    /// Waits until these nodes have applied a record.
    pub(crate) async fn applied(&self, index: u64, nodes: impl IntoIterator<Item = u64>) {
        for node in nodes {
            let caught_up = self.handle(node).wait_applied(index, PATIENCE).await;
            assert!(
                caught_up.is_ok(),
                "node {node} stays behind {index}: {:?}",
                self.handle(node).status()
            );
        }
    }

    pub(crate) fn followers(&self, leader: u64) -> BTreeSet<u64> {
        self.running()
            .map(|(id, _)| *id)
            .filter(|id| *id != leader)
            .collect()
    }

    /// Puts something else in the place of a node.
    pub(crate) fn replace(&self, node: u64, address: SocketAddr) {
        self.directory
            .lock()
            .expect("no panic")
            .insert(node, address);
    }

    /// A channel that proves to be `from`.
    pub(crate) fn channel(&self, from: u64, to: u64) -> Channel {
        let address = self.directory.lock().expect("no panic")[&to];
        endpoint(from, address, "Test").connect_lazy()
    }
}
