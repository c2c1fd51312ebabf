//! One simulated node as it outlives its crashes: its disks, its wall clock, and what it is fed with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use carnet_consensus::Clock;
use carnet_consensus::testing::RegisterMachine;
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_kit::beginning;
use carnet_store::log::MemoryLog;
use carnet_store::memory::MemoryEngine;

use crate::history::Shared;
use crate::network::host;
use crate::random::Random;

/// How far honest clocks are apart at the most, in milliseconds; drift included.
pub(crate) const SKEW_MS: i64 = 400;

/// What outlives a crash of the host.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) node: u64,
    pub(crate) nodes: u64,
    pub(crate) seed: u64,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) machine: RegisterMachine,
    pub(crate) engine: MemoryEngine,
    /// Its wall clock.
    pub(crate) clock: SiteClock,
    /// What is stamped, if the registry is fed with stamps.
    pub(crate) stamps: Option<Arc<Stamps>>,
    /// With a script or stamps the state is the real registry, over `engine`; without, it is `machine`.
    pub(crate) script: Option<Arc<Script>>,
    pub(crate) history: Shared,
    pub(crate) boots: Arc<AtomicU64>,
}

/// A node as faults meet it.
#[derive(Clone)]
pub(crate) struct Victim {
    pub(crate) host: String,
    pub(crate) clock: SiteClock,
    /// What its disks lose when it crashes.
    pub(crate) crash: Arc<dyn Fn()>,
}

impl Site {
    /// The node as faults meet it.
    pub(crate) fn victim(&self) -> Victim {
        let site = self.clone();
        Victim {
            host: host(self.node),
            clock: self.clock.clone(),
            crash: Arc::new(move || {
                site.log.crash();
                site.machine.crash();
                site.engine.crash();
            }),
        }
    }
}

/// What is to be proposed, and how far it has come.
pub(crate) struct Script {
    pub(crate) entries: Vec<Bytes>,
    pub(crate) codes: Vec<Code>,
    pub(crate) next: AtomicUsize,
}

/// The wall clock of one node. It outlives a crash.
#[derive(Clone)]
pub(crate) struct SiteClock {
    history: Shared,
    /// Beside honest time.
    offset_ms: Arc<AtomicI64>,
    /// What it gains, in parts of a million.
    drift_ppm: i64,
}

impl SiteClock {
    /// An honest clock with an offset and drift of its own.
    pub(crate) fn new(history: &Shared, seed: u64, node: u64) -> SiteClock {
        let mut random = Random::new(seed, 5000 + node);
        let mut within = |most: i64| {
            let width = most.unsigned_abs() * 2 + 1;
            i64::try_from(random.between(0, width)).unwrap_or(0) - most
        };
        SiteClock {
            history: history.clone(),
            offset_ms: Arc::new(AtomicI64::new(within(SKEW_MS / 2))),
            drift_ppm: within(500),
        }
    }

    /// Steps it by so many milliseconds.
    pub(crate) fn step(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SiteClock {
    fn now_ms(&self) -> u64 {
        let now_ms = self.history.lock().now_ms;
        let drift_ms = i64::try_from(now_ms).unwrap_or(0) * self.drift_ppm / 1_000_000;
        let beside_ms = self.offset_ms.load(Ordering::Relaxed) + drift_ms;
        honest(now_ms).as_ms().saturating_add_signed(beside_ms)
    }
}

/// What a perfect clock reads at a moment of the simulation.
pub(crate) fn honest(now_ms: u64) -> TimeMs {
    beginning().saturating_add(DurationMs::from_ms(now_ms))
}

/// What leaders stamped.
#[derive(Default)]
pub(crate) struct Stamps {
    pub(crate) taken: AtomicU64,
    /// Simulated milliseconds at which the last one was proposed that was taken.
    pub(crate) last_ms: AtomicU64,
}

impl Stamps {
    /// How many were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// When the last one that was taken was proposed.
    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }
}
