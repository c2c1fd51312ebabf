//! One run: safety, then liveness, then judgement.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carnet_consensus::testing::RegisterMachine;
use carnet_store::log::MemoryLog;
use carnet_store::memory::MemoryEngine;

use crate::check;
use crate::clocks;
use crate::history::{History, Outcome, Shared};
use crate::nemesis::{FaultCounts, LATENCY_MS, Nemesis};
use crate::network::host;
use crate::node::boot;
use crate::registry::{self, Chains};
use crate::site::{Script, Site, SiteClock, Stamps};

/// Simulated time after which every node must write and read again once all faults have ended, and every replica must
/// hold the same.
const CONVERGE_MS: u64 = 15_000;
/// Simulated time in which a cluster must be founded.
const FOUND_MS: u64 = 10_000;

/// What to simulate.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Everything random comes from it.
    pub seed: u64,
    /// Nodes of the cluster.
    pub nodes: u64,
    /// Length of the safety phase in simulated milliseconds.
    pub faulty_ms: u64,
    /// What is replicated.
    pub state: State,
    /// A planted fault: disks report a sync before it is done. Every run should fail.
    pub lying_disks: bool,
}

impl Options {
    /// Three nodes, 20 simulated seconds of faults.
    #[must_use]
    pub fn new(seed: u64) -> Options {
        Options {
            seed,
            nodes: 3,
            faulty_ms: 20_000,
            state: State::Registers,
            lying_disks: false,
        }
    }
}

/// What is replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Named registers, written and read by clients on every node; checked for linearizability.
    Registers,
    /// The real registry, fed a script that registers robots; checked for equal bytes and completeness.
    Registry {
        /// Robots to register.
        robots_count: u32,
    },
    /// The real registry, fed with stamps of the leaders' clocks; checked for log time that follows no bad clock.
    Stamps,
}

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was promised and not held; empty is good.
    pub violations: Vec<String>,
    /// Everything that happened, with simulated milliseconds.
    pub trace: Vec<String>,
    /// Faults installed.
    pub faults: FaultCounts,
    /// Writes acknowledged.
    pub written: usize,
    /// Reads answered.
    pub read: usize,
    /// Operations whose outcome stayed unknown.
    pub unknown: usize,
    /// Seals at which a node found that a majority wrote what it wrote; of the real registry only.
    pub compared: usize,
    /// Simulated time in milliseconds.
    pub simulated_ms: u64,
}

/// Runs are one after the other, whatever the number of threads: tokio numbers its tasks for the whole process.
pub(crate) static RUNNING: Mutex<()> = Mutex::new(());

/// Runs one simulation from its seed.
#[must_use]
pub fn run(options: Options) -> Report {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    align_task_ids();
    let history = Shared::default();
    let script = match options.state {
        State::Registers | State::Stamps => None,
        State::Registry { robots_count } => Some(Arc::new(registry::script(robots_count))),
    };
    let stamps = (options.state == State::Stamps).then(Arc::<Stamps>::default);
    let sites = sites(&options, &history, script.clone(), stamps.clone());
    let sim = simulation(options.seed, &sites);

    let victims = sites.iter().map(Site::victim).collect();
    let nemesis = Nemesis::new(options.seed, history.clone(), victims, 0);
    let mut stage = Stage {
        sim,
        history: history.clone(),
        nemesis,
        engines: sites
            .iter()
            .map(|site| (site.node, site.engine.clone()))
            .collect(),
        chains: Chains::default(),
        now_ms: 0,
    };
    let played = match (&script, &stamps) {
        (Some(script), _) => stage.recite(&sites, script, options.faulty_ms),
        (None, Some(stamps)) => stage.stamp(&sites, stamps, options.faulty_ms),
        (None, None) => stage.play(&sites, options.faulty_ms),
    };
    if let Err(violation) = played {
        history.lock().violations.push(violation);
    }
    let mut report = judge(&history, &sites, stage.nemesis.counts, stage.now_ms);
    if let Some(script) = script {
        registry::complete(&sites, &script, &mut report.violations);
        report.written = script.done();
    }
    if let Some(stamps) = stamps {
        report.written = usize::try_from(stamps.taken()).unwrap_or(usize::MAX);
    }
    report
}

/// The nodes of a simulation, none of them started.
pub(crate) fn sites(
    options: &Options,
    history: &Shared,
    script: Option<Arc<Script>>,
    stamps: Option<Arc<Stamps>>,
) -> Vec<Site> {
    let site = |node| Site {
        node,
        nodes: options.nodes,
        seed: options.seed,
        log: Arc::new(if options.lying_disks {
            MemoryLog::with_lying_sync()
        } else {
            MemoryLog::with_manual_sync()
        }),
        machine: RegisterMachine::new(),
        engine: MemoryEngine::new(),
        clock: SiteClock::new(history, options.seed, node),
        stamps: stamps.clone(),
        script: script.clone(),
        history: history.clone(),
        boots: Arc::new(AtomicU64::new(0)),
    };
    (1..=options.nodes).map(site).collect()
}

/// The simulated network, with a host for each node.
pub(crate) fn simulation(seed: u64, sites: &[Site]) -> turmoil::Sim<'static> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(LATENCY_MS.0))
        .max_message_latency(Duration::from_millis(LATENCY_MS.1))
        .tcp_capacity(1 << 16)
        .simulation_duration(Duration::from_secs(86_400))
        .build();
    for site in sites {
        let site = site.clone();
        sim.host(host(site.node), move || boot(site.clone()));
    }
    sim
}

/// Makes the next task's number divisible by 64. When a host crashes, tokio drops its tasks shard by shard, and a task's
/// shard is its number modulo a small power of two; without this, a second run in one process would take another course.
pub(crate) fn align_task_ids() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        return;
    };
    runtime.block_on(async {
        loop {
            let task = tokio::spawn(async {});
            let number: Option<u64> = task.id().to_string().parse().ok();
            // Its end is of no interest.
            let _ = task.await;
            if number.is_none_or(|number| (number + 1) % 64 == 0) {
                return;
            }
        }
    });
}

struct Stage<'a> {
    sim: turmoil::Sim<'a>,
    history: Shared,
    nemesis: Nemesis,
    /// The state of every node, and what is known of who wrote what.
    engines: Vec<(u64, MemoryEngine)>,
    chains: Chains,
    now_ms: u64,
}

impl Stage<'_> {
    fn play(&mut self, sites: &[Site], faulty_ms: u64) -> Result<(), String> {
        self.until(FOUND_MS, "the cluster is founded", |history| {
            every_node_works(history, sites, 0)
        })?;
        let end = self.now_ms + faulty_ms;
        while self.now_ms < end {
            self.nemesis.act(&mut self.sim, self.now_ms);
            self.step()?;
        }
        self.nemesis.heal(&mut self.sim);
        let healed = self.now_ms;
        self.until(CONVERGE_MS, "every node works again", |history| {
            every_node_works(history, sites, healed)
        })?;
        self.history.lock().closing = true;
        self.until(CONVERGE_MS, "all replicas hold the same", |history| {
            let ended = history
                .ops
                .iter()
                .filter(|op| healed < op.begun_ms)
                .all(|op| op.ended.is_some());
            let mut states = sites
                .iter()
                .map(|site| site.machine.history().pop_last().map(|last| last.1));
            let first = states.next();
            ended && states.all(|state| Some(state) == first)
        })
    }

    /// The same phases, for the registry and its script.
    fn recite(&mut self, sites: &[Site], script: &Script, faulty_ms: u64) -> Result<(), String> {
        self.until(FOUND_MS, "the cluster is founded", |_| 0 < script.done())?;
        let end = self.now_ms + faulty_ms;
        while self.now_ms < end {
            self.nemesis.act(&mut self.sim, self.now_ms);
            self.step()?;
            if self.now_ms.is_multiple_of(500) {
                registry::agree(&replicas(sites), &mut self.history.lock().violations);
            }
        }
        self.nemesis.heal(&mut self.sim);
        let patience_ms = CONVERGE_MS + 150 * script.left() as u64;
        self.until(patience_ms, "the script is recited", |_| script.left() == 0)?;
        self.until(CONVERGE_MS, "all replicas hold the same", |_| {
            let mut differing = Vec::new();
            registry::agree(&replicas(sites), &mut differing) && differing.is_empty()
        })
    }

    /// The same phases, for the registry and the stamps of its leaders.
    fn stamp(&mut self, sites: &[Site], stamps: &Stamps, faulty_ms: u64) -> Result<(), String> {
        self.until(FOUND_MS, "the cluster is founded", |_| 0 < stamps.taken())?;
        let end = self.now_ms + faulty_ms;
        while self.now_ms < end {
            self.nemesis.act(&mut self.sim, self.now_ms);
            self.step()?;
            if self.now_ms.is_multiple_of(100) {
                clocks::bounded(sites, self.now_ms, &mut self.history.lock().violations);
            }
        }
        self.nemesis.heal(&mut self.sim);
        let healed = self.now_ms;
        self.until(
            CONVERGE_MS,
            "stamps are taken and log time goes on",
            |history| healed < stamps.last_ms() && clocks::goes_on(sites, history.now_ms),
        )?;
        clocks::bounded(sites, self.now_ms, &mut self.history.lock().violations);
        self.until(CONVERGE_MS, "all replicas hold the same", |_| {
            let mut differing = Vec::new();
            registry::agree(&replicas(sites), &mut differing) && differing.is_empty()
        })
    }

    fn until(
        &mut self,
        patience_ms: u64,
        what: &str,
        reached: impl Fn(&History) -> bool,
    ) -> Result<(), String> {
        let deadline = self.now_ms + patience_ms;
        while !reached(&self.history.lock()) {
            if deadline <= self.now_ms {
                return Err(format!("after {patience_ms} ms not yet: {what}"));
            }
            for _ in 0..20 {
                self.step()?;
            }
        }
        self.history.note(format!("reached: {what}"));
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        self.now_ms += 1;
        self.history.lock().now_ms = self.now_ms;
        self.sim.step().map_err(|error| error.to_string())?;
        let engines = self.engines.iter();
        let engines: Vec<_> = engines.map(|(node, engine)| (*node, engine)).collect();
        self.chains
            .look(&engines, &mut self.history.lock().violations);
        Ok(())
    }
}

/// The state of every node.
fn replicas(sites: &[Site]) -> Vec<(u64, &MemoryEngine)> {
    sites.iter().map(|site| (site.node, &site.engine)).collect()
}

/// Whether every node has both written and read what was begun after a moment.
fn every_node_works(history: &History, sites: &[Site], since_ms: u64) -> bool {
    sites.iter().all(|site| {
        let done = |wanted: fn(&Outcome) -> bool| {
            history
                .ops
                .iter()
                .rev()
                .take_while(|op| since_ms <= op.begun_ms)
                .any(|op| {
                    op.node == site.node
                        && since_ms < op.begun_ms
                        && op
                            .ended
                            .as_ref()
                            .is_some_and(|(_, outcome)| wanted(outcome))
                })
        };
        done(|outcome| matches!(outcome, Outcome::Written(_)))
            && done(|outcome| matches!(outcome, Outcome::Read { .. }))
    })
}

fn judge(shared: &Shared, sites: &[Site], faults: FaultCounts, simulated_ms: u64) -> Report {
    let mut history = shared.lock();
    let mut violations = std::mem::take(&mut history.violations);
    let log = check::committed(sites, &mut violations);
    check::writes(&history, &log, &mut violations);
    check::order(&history, &log, &mut violations);
    let count = |wanted: fn(Option<&Outcome>) -> bool| {
        history
            .ops
            .iter()
            .filter(|op| wanted(op.ended.as_ref().map(|(_, outcome)| outcome)))
            .count()
    };
    Report {
        written: count(|outcome| matches!(outcome, Some(Outcome::Written(_)))),
        read: count(|outcome| matches!(outcome, Some(Outcome::Read { .. }))),
        unknown: count(|outcome| matches!(outcome, None | Some(Outcome::Unknown))),
        compared: history.compared.len(),
        violations,
        trace: std::mem::take(&mut history.trace),
        faults,
        simulated_ms,
    }
}
