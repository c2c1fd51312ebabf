//! What a node uses of the machine that it runs on, as values: clocks, chance, threads, the network and its stores.
//!
//! The whole assembly stands on these and reads nothing beside them but the small files of its directories. So a node of the
//! simulation is this program, under clocks, chance and a network drawn from a seed, on one thread.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use carnet_consensus::{DiskSpace, Work};
use carnet_store::artefact::NodeEngine;
use carnet_store::fault::FirstFault;
use carnet_store::identity::{Count, Identity};
use carnet_store::log::RaftLog;
use rand::RngCore;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::keyring::Keyring;
use crate::tls::{Dial, Listen, TcpDial};

/// Where randomness comes from.
pub trait Chance: Send + Sync + 'static {
    /// Fills bytes that nobody can foretell: seeds of salts are made of them.
    fn fill(&self, bytes: &mut [u8]);
}

/// The randomness of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// How connections are made and taken.
pub trait Network: Clone + Send + Sync + 'static {
    /// Makes them.
    type Dial: Dial;
    /// Takes them.
    type Listen: Listen;

    /// What connects to other nodes.
    fn dial(&self) -> Self::Dial;

    /// Opens a port.
    fn listen(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Listen>> + Send + 'static;
}

/// The network of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    type Dial = TcpDial;
    type Listen = TcpListener;

    fn dial(&self) -> TcpDial {
        TcpDial
    }

    fn listen(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<TcpListener>> + Send + 'static {
        TcpListener::bind(address)
    }
}

/// Clocks, chance, and where long work is done: what every room of a node may need.
#[derive(Clone)]
pub struct Means {
    /// Wall clock and monotonic clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub chance: Arc<dyn Chance>,
    /// Where what waits for the disk is done, and whether there are threads at all.
    pub work: Work,
}

impl Means {
    /// Those of the machine, with this clock.
    pub fn of_this_machine(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            chance: Arc::new(SystemChance),
            work: Work::Threads,
        }
    }

    /// Bytes that nobody can foretell.
    pub fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.chance.fill(&mut bytes);
        bytes
    }
}

/// What one node is put together from, beside its settings and its stores.
pub struct World<N> {
    /// Clocks, chance and threads.
    pub means: Means,
    /// The signing keys.
    pub keyring: Arc<dyn Keyring>,
    /// How it reaches others.
    pub network: N,
}

/// What a node keeps, opened and counted as started.
pub struct Stores {
    /// Whose they are.
    pub identity: Identity,
    /// From whom an empty log takes its first configuration.
    pub join: BTreeSet<u64>,
    /// What the others know the log by; it rises with each start.
    pub count: Count,
    /// Where records, leaves and the map are kept.
    pub state: NodeEngine,
    /// The first damage that a read of the state met.
    pub damage: FirstFault,
    /// Where entries are kept before they are applied.
    pub log: Arc<dyn RaftLog>,
    /// How much room there is.
    pub space: Arc<dyn DiskSpace>,
}
