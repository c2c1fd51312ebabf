//! One simulated host: a node of the cluster, the disk under it, and clients that ask it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{
    AdminError, Consensus, ForwardHandler, Forwarded, Handle, Member, PeerNode, ProposeError, Role,
    Settings, Work,
};
use carnet_store::fault::StorageFault;
use carnet_store::identity::StoreId;
use carnet_store::log::MemoryLog;
use carnet_store::machine::{LogPosition, StateMachine};
use carnet_store::registry::RegistryState;
use futures::future::BoxFuture;
use futures::stream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use turmoil::net::TcpListener;

use crate::clocks;
use crate::compare::compare;
use crate::history::{Action, Outcome};
use crate::network::{Accepted, PORT, SimConnector, host, prove};
use crate::random::Random;
use crate::registry::recite;
use crate::site::Site;

const CLUSTER: [u8; 16] = *b"simulatedcluster";
/// Few keys, so that operations meet.
const KEYS: u64 = 4;
const CLIENTS_PER_NODE: u64 = 2;

/// Weak, because the handle keeps its handler: a crashed host must leave nothing behind.
struct Proposer(Weak<Handle>);

impl ForwardHandler for Proposer {
    fn handle(
        &self,
        _: PeerNode,
        forwarded: Forwarded,
    ) -> BoxFuture<'static, Result<Bytes, ProposeError>> {
        let handle = self.0.upgrade();
        Box::pin(async move {
            let handle = handle.ok_or(ProposeError::Stopped)?;
            let LogPosition { term, node, index } =
                handle.propose(forwarded.request).await?.position;
            Ok(Bytes::from(format!("{term} {node} {index}")))
        })
    }
}

/// The host's software, from boot to crash.
pub(crate) async fn boot(site: Site) -> turmoil::Result {
    let boot = site.boots.fetch_add(1, Ordering::Relaxed);
    let mut random = Random::new(site.seed, 1000 * site.node + boot);
    site.history.note(format!("node {} boots", site.node));
    let settings = Settings {
        append_stall: Duration::from_millis(400),
        snapshot_stall: Duration::from_millis(800),
        snapshot_install: Duration::from_millis(2000),
        propose_timeout: Duration::from_millis(2000),
        read_timeout: Duration::from_millis(2000),
        keep_interval: Duration::from_millis(200),
        snapshot_records: 40,
        log_keep_records: 15,
        work: Work::Inline,
        store: store(site.node),
        count: (boot + 1).into(),
        join: (1..=site.nodes).collect(),
        ..Settings::quick(CLUSTER, site.node, random.next())
    };
    let connector = Arc::new(SimConnector(site.node));
    let clock = Arc::new(site.clock.clone());
    let state = state(&site)?;
    let machine = Arc::clone(&state);
    let handle = Consensus::start(settings, site.log.clone(), machine, connector, clock).await?;
    let handle = Arc::new(handle);
    handle.set_forward_handler(Arc::new(Proposer(Arc::downgrade(&handle))));

    tokio::spawn(sync_disk(
        Arc::clone(&site.log),
        Random::new(random.next(), 1),
    ));
    tokio::spawn(watch(Handle::clone(&handle), site.clone()));
    if site.node == 1 {
        let members = (1..=site.nodes).map(|node| (node, member(node))).collect();
        tokio::spawn(found(Handle::clone(&handle), members));
    }
    if let Some(script) = &site.script {
        tokio::spawn(compare(Handle::clone(&handle), state, site.clone()));
        let reciter = Random::new(random.next(), 9);
        tokio::spawn(recite(
            Handle::clone(&handle),
            Arc::clone(script),
            site.history.clone(),
            reciter,
        ));
    } else if let Some(stamps) = &site.stamps {
        let stamping = clocks::stamp(
            Handle::clone(&handle),
            site.clone(),
            Arc::clone(stamps),
            Random::new(random.next(), 10),
        );
        tokio::spawn(stamping);
    } else {
        for client in 0..CLIENTS_PER_NODE {
            let client = Random::new(random.next(), client);
            tokio::spawn(ask(Handle::clone(&handle), site.clone(), client));
        }
    }

    let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    let incoming = stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
        Some((accepted, listener))
    });
    let service = InterceptedService::new(handle.service().into_server(), prove);
    let serving = Server::builder()
        .add_service(service)
        .serve_with_incoming(Box::pin(incoming));
    tokio::select! {
        biased;
        why = handle.fatal() => Err(format!("node {} died: {}", site.node, why.cause()).into()),
        served = serving => Ok(served?),
    }
}

fn state(site: &Site) -> Result<Arc<dyn StateMachine>, StorageFault> {
    let is_registry = site.script.is_some() || site.stamps.is_some();
    Ok(if is_registry {
        Arc::new(RegistryState::open(site.engine.clone())?)
    } else {
        Arc::new(site.machine.clone())
    })
}

/// Founds the cluster, or goes on where the founding was interrupted, until it is done.
pub(crate) async fn found(handle: Handle, members: BTreeMap<u64, Member>) {
    loop {
        match handle.initialize(members.clone()).await {
            Ok(()) | Err(AdminError::Stopped) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A simulated disk is never replaced: one store a node.
pub(crate) fn store(node: u64) -> StoreId {
    let mut store = [0x51; 16];
    store[8..].copy_from_slice(&node.to_be_bytes());
    StoreId(store)
}

fn member(node: u64) -> Member {
    Member {
        raft: format!("{}:{PORT}", host(node)),
        api: host(node),
        store: store(node),
    }
}

/// A disk that syncs all that was written while the last sync ran, after a while.
pub(crate) async fn sync_disk(log: Arc<MemoryLog>, mut random: Random) {
    loop {
        log.wait_dirty().await;
        tokio::time::sleep(Duration::from_micros(random.between(100, 8000))).await;
        log.sync();
    }
}

async fn watch(handle: Handle, site: Site) {
    let mut standing = handle.standing();
    loop {
        let now = *standing.borrow_and_update();
        if now.role == Role::Leader {
            // Terms are pairs of number and node here: two nodes may lead under one number, one after the other.
            let mut history = site.history.lock();
            history.note(format!("node {} leads term {}", site.node, now.term));
            if history.leaders.last() != Some(&site.node) {
                history.leaders.push(site.node);
            }
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}

/// A client next to the node: writes and reads, one after the other.
async fn ask(handle: Handle, site: Site, mut random: Random) {
    while !site.history.lock().closing {
        tokio::time::sleep(Duration::from_millis(random.between(5, 80))).await;
        let key = format!("key{}", random.between(0, KEYS));
        if random.between(0, 2) == 0 {
            let op = site
                .history
                .begin(site.node, Action::Write { key: key.clone() });
            let outcome = write(&handle, Bytes::from(format!("{key}={op}"))).await;
            site.history.end(op, outcome);
        } else {
            let op = site
                .history
                .begin(site.node, Action::Read { key: key.clone() });
            let outcome = match handle.read_index().await {
                Ok(_) => {
                    let (value, applied) = site.machine.read(&key);
                    let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
                    Outcome::Read {
                        value,
                        applied: applied.unwrap_or(0),
                    }
                }
                Err(error) => Outcome::Failed(error.to_string()),
            };
            site.history.end(op, outcome);
        }
    }
}

async fn write(handle: &Handle, proposal: Bytes) -> Outcome {
    let leads = handle.status().standing.role == Role::Leader;
    let position = if leads {
        handle
            .propose(proposal)
            .await
            .map(|done| Some(done.position))
    } else {
        let forwarded = Forwarded {
            identity: Bytes::new(),
            request: proposal,
        };
        handle
            .forward(forwarded)
            .await
            .map(|answer| position_of(&answer))
    };
    match position {
        Ok(Some(position)) => Outcome::Written(position),
        Ok(None) | Err(ProposeError::Unknown(_)) => Outcome::Unknown,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn position_of(answer: &[u8]) -> Option<LogPosition> {
    let mut fields = std::str::from_utf8(answer).ok()?.split(' ').map(str::parse);
    let mut next = || fields.next()?.ok();
    Some(LogPosition {
        term: next()?,
        node: next()?,
        index: next()?,
    })
}
