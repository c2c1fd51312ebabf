//! The world that a simulated `carnetd` is given: a network, clocks, chance and keys, all of them drawn from the seed.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carnet_consensus::Clock as _;
use carnet_domain::bytes::signature::{PublicKey, Signature};
use carnet_domain::bytes::time::TimeMs;
use carnetd::clock::Clock;
use carnetd::keyring::{KeyRole, Keyring, SignError};
use carnetd::tls::{Dial, Listen};
use carnetd::world::{Chance, Network};
use futures::TryFutureExt;
use futures::future::BoxFuture;
use turmoil::net::{TcpListener, TcpStream};

use crate::country::ground::Ground;
use crate::history::Shared;
use crate::random::Random;
use crate::site::SiteClock;

/// So long a keyring is out of reach at a time,
const OUT_FOR_MS: u64 = 4_000;
/// and once in so many times.
const OUT_ONE_IN: u64 = 8;

/// The simulated network.
#[derive(Clone, Copy)]
pub(crate) struct SimNetwork;

impl Network for SimNetwork {
    type Dial = SimDial;
    type Listen = SimListener;

    fn dial(&self) -> SimDial {
        SimDial
    }

    fn listen(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<SimListener>> + Send + 'static {
        TcpListener::bind(address).map_ok(SimListener)
    }
}

/// Connects to a host by its name.
#[derive(Clone, Copy)]
pub(crate) struct SimDial;

impl Dial for SimDial {
    type Io = TcpStream;

    async fn dial(&self, address: &str) -> io::Result<TcpStream> {
        TcpStream::connect(address.to_owned()).await
    }
}

/// A port of a simulated host.
pub(crate) struct SimListener(TcpListener);

impl Listen for SimListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

/// Chance from the seed.
pub(crate) struct Dice(Mutex<Random>);

impl Dice {
    pub(crate) fn new(random: Random) -> Self {
        Self(Mutex::new(random))
    }
}

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.chunks_mut(8) {
            let drawn = random.next().to_be_bytes();
            piece.copy_from_slice(&drawn[..piece.len()]);
        }
    }
}

/// The clocks of one machine: the wall clock may be set, the other one goes with the simulation.
pub(crate) struct MachineClock {
    pub(crate) wall: SiteClock,
    pub(crate) history: Shared,
}

impl Clock for MachineClock {
    fn wall(&self) -> TimeMs {
        TimeMs::from_ms(self.wall.now_ms())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.history.lock().now_ms)
    }
}

/// The keys of the country in one node. What the log key signs is written down, whatever becomes of the signature.
pub(crate) struct Keys {
    pub(crate) ground: Arc<Ground>,
    pub(crate) node: u64,
    pub(crate) seed: u64,
    pub(crate) history: Shared,
}

impl Keys {
    /// Whether its keys are out of reach now, as those of a hardware module are at times. Not when faults are over.
    fn is_out(&self, now_ms: u64) -> bool {
        let window = now_ms / OUT_FOR_MS;
        let purpose = 100_000 + self.node * 10_000 + window;
        !self.history.lock().calm && Random::new(self.seed, purpose).between(0, OUT_ONE_IN) == 0
    }
}

impl Keyring for Keys {
    fn public(&self, role: KeyRole) -> PublicKey {
        self.ground.kit.key(role.word()).public()
    }

    fn sign<'a>(
        &'a self,
        role: KeyRole,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        let now_ms = self.history.lock().now_ms;
        if self.is_out(now_ms) {
            let reason = "it does not answer".to_owned();
            return Box::pin(std::future::ready(Err(SignError { role, reason })));
        }
        if role == KeyRole::Log {
            self.ground.signs(self.node, bytes, &self.history);
        }
        let signature = self.ground.kit.key(role.word()).sign(bytes);
        Box::pin(std::future::ready(Ok(signature)))
    }
}
