//! A whole country, or two, in one process from one seed: `carnetd` as it ships, assembled by its own code on every host.
//!
//! Requests come over TLS to the client port and pass the door, ingress, consensus, the rules and the sequencer; heads are
//! signed by a keyring that writes down what it signs. Nothing of the program is replaced but what it stands on: its network,
//! clocks, chance and stores are values of `carnetd::world`, here drawn from the seed, on one thread. The few small files of a
//! data directory are real files and outlive a crash; the Raft log and the state lose what was not synced.
//!
//! A run has a phase of faults, one without, one with a random minority down, and one in which everybody comes to the same.
//! What is judged, and when, stands in [`judge`].

mod books;
mod border;
mod clerk;
mod custody;
mod desk;
mod disk;
mod drawn;
#[expect(dead_code, reason = "only some of the forge is needed here")]
#[path = "../../../federation/trust/tests/it/forge.rs"]
mod forge;
mod ground;
mod judge;
mod nation;
mod node;
mod steward;
mod world;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::country::border::Border;
use crate::country::drawn::Drawn;
pub use crate::country::drawn::{CountryFault, CountryOptions};
use crate::country::ground::Ground;
use crate::country::nation::Nation;
use crate::country::node::Place;
use crate::history::Shared;
use crate::nemesis::{FaultCounts, LATENCY_MS};
use crate::random::Random;
use crate::registry;
use crate::run::{RUNNING, align_task_ids};

/// The countries of a simulation, as many as are wanted.
const PREFIXES: [&str; 2] = ["86", "49"];
/// Simulated time in which a country must be founded.
const FOUND_MS: u64 = 60_000;
/// Simulated time after which everything works again once faults have ended.
const CONVERGE_MS: u64 = 60_000;
/// Between two comparisons of whole replicas.
const COMPARE_EVERY_MS: u64 = 500;

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CountryReport {
    /// What was promised and not held; empty is good.
    pub violations: Vec<String>,
    /// Everything that happened, with simulated milliseconds.
    pub trace: Vec<String>,
    /// Faults installed.
    pub faults: FaultCounts,
    /// Robots whose registration was acknowledged.
    pub registered: usize,
    /// Requests sent again after they were answered, and answered the same.
    pub repeated: usize,
    /// Times that an outcome was unknown.
    pub unknown: usize,
    /// Linearizable reads answered.
    pub read: usize,
    /// Sizes of the log that were signed.
    pub signed: usize,
    /// Robots brought from one country to the other.
    pub crossed: usize,
    /// Times that the border was cut.
    pub border_cuts: u64,
    /// Snapshots of others that nodes began to take in.
    pub received: usize,
    /// Nodes that were replaced by new ones.
    pub replaced: usize,
    /// Leaderships handed over and snapshots taken by an administrator.
    pub stewarded: usize,
    /// Simulated time in milliseconds.
    pub simulated_ms: u64,
}

/// Runs one simulation from its seed.
///
/// # Errors
/// This machine gives no folder for the small files of the nodes.
pub fn country(options: CountryOptions) -> std::io::Result<CountryReport> {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    align_task_ids();
    let history = Shared::default();
    let drawn = Drawn::of(options);
    history.note(format!("drawn: {drawn:?}"));
    let mut sim = simulation(options.seed);
    let prefixes = &PREFIXES[..1 + usize::from(options.two)];
    let mut nations = Vec::new();
    for (at, ground) in (0..).zip(Ground::of(prefixes, drawn.nodes())?) {
        // A country of its own has a seed of its own.
        let drawn = Drawn {
            seed: Random::new(options.seed, 70 + at).next(),
            ..drawn
        };
        nations.push(Nation::new(&mut sim, ground, drawn, &history));
    }
    if let [one, other] = &nations[..] {
        for (number, from, to) in [(0, one, other), (1, other, one)] {
            let sides = [from, to].map(|nation| (Arc::clone(&nation.ground), nation.books.clone()));
            let (history, seed) = (history.clone(), options.seed);
            sim.host(format!("border-{number}"), move || {
                let [from, to] = sides.clone();
                let border = Border {
                    from,
                    to,
                    history: history.clone(),
                    random: Random::new(seed, 500 + number),
                };
                border.open()
            });
        }
    }
    let mut stage = Stage {
        sim,
        history: history.clone(),
        nations,
        custody: custody::Custody::default(),
        cuts: Cuts::new(options.seed),
        now_ms: 0,
    };
    if let Err(violation) = stage.play(&mut Random::new(options.seed, 61), options.faulty_ms) {
        history.lock().violations.push(violation);
    }
    Ok(stage.report())
}

/// The simulated network.
fn simulation(seed: u64) -> turmoil::Sim<'static> {
    turmoil::Builder::new()
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(LATENCY_MS.0))
        .max_message_latency(Duration::from_millis(LATENCY_MS.1))
        .tcp_capacity(1 << 16)
        .simulation_duration(Duration::from_secs(86_400))
        .build()
}

/// When the border is cut, and until when.
struct Cuts {
    random: Random,
    next_ms: u64,
    until_ms: Option<u64>,
    count: u64,
}

impl Cuts {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, 62),
            next_ms: 0,
            until_ms: None,
            count: 0,
        }
    }

    fn act(&mut self, sim: &mut turmoil::Sim<'_>, nations: &[Nation], now_ms: u64) {
        let [one, other] = nations else {
            return;
        };
        if self.until_ms.is_some_and(|until| until <= now_ms) {
            self.heal(sim, nations);
        }
        if self.until_ms.is_none() && self.next_ms <= now_ms {
            let until = now_ms + self.random.between(200, 4_000);
            self.until_ms = Some(until);
            self.next_ms = until + self.random.between(500, 4_000);
            self.count += 1;
            pairs(one, other).for_each(|(one, other)| sim.partition(one, other));
        }
    }

    fn heal(&mut self, sim: &mut turmoil::Sim<'_>, nations: &[Nation]) {
        if let [one, other] = nations
            && self.until_ms.take().is_some()
        {
            pairs(one, other).for_each(|(one, other)| sim.repair(one, other));
        }
    }
}

/// Every node of one country with every node of another.
fn pairs(one: &Nation, other: &Nation) -> impl Iterator<Item = (String, String)> {
    one.places.iter().flat_map(|place| {
        let there = other.places.iter().map(Place::host);
        there.map(|there| (place.host(), there)).collect::<Vec<_>>()
    })
}

struct Stage {
    sim: turmoil::Sim<'static>,
    history: Shared,
    nations: Vec<Nation>,
    custody: custody::Custody,
    cuts: Cuts,
    now_ms: u64,
}

impl Stage {
    fn play(&mut self, random: &mut Random, faulty_ms: u64) -> Result<(), String> {
        self.until(FOUND_MS, "every desk has registered", |stage| {
            stage.works_since(0)
        })?;
        let end = self.now_ms + faulty_ms;
        while self.now_ms < end {
            for nation in &mut self.nations {
                nation.nemesis.act(&mut self.sim, self.now_ms);
            }
            self.cuts.act(&mut self.sim, &self.nations, self.now_ms);
            self.step()?;
        }
        for nation in &mut self.nations {
            nation.nemesis.heal(&mut self.sim);
        }
        self.cuts.heal(&mut self.sim, &self.nations);
        self.history.lock().calm = true;
        let healed = self.now_ms;
        self.until(CONVERGE_MS, "every desk registers again", |stage| {
            stage.works_since(healed)
        })?;
        self.until(CONVERGE_MS, "robots cross the border again", |stage| {
            stage.crosses_since(healed)
        })?;
        self.until(CONVERGE_MS, "members are replaced", |stage| {
            stage.nations.iter().all(Nation::has_its_members)
        })?;
        self.with_a_majority_only(random)?;
        self.history.lock().closing = true;
        let what = "everybody is answered, everything is published, and all replicas hold the same";
        self.until(CONVERGE_MS, what, |stage| {
            stage.nations.iter().all(Nation::is_settled)
        })?;
        self.until(
            CONVERGE_MS,
            "both sides of the border know who came",
            |stage| {
                custody::have_arrived(&stage.nations)
                    && stage.nations.iter().all(Nation::is_settled)
            },
        )
    }

    /// A random minority of every country is down, and everybody is served by the others.
    fn with_a_majority_only(&mut self, random: &mut Random) -> Result<(), String> {
        let mut down = Vec::new();
        for (at, nation) in self.nations.iter_mut().enumerate() {
            let members = nation.members();
            let first = random.between(0, members.len() as u64) as usize;
            let minority = members.iter().cycle().skip(first);
            for place in minority.take((members.len() - 1) / 2) {
                let node = place.node;
                nation.nemesis.take_down(&mut self.sim, node);
                down.push((at, node));
            }
        }
        let since = self.now_ms;
        let what = format!("everything goes on without nodes {down:?}");
        self.until(CONVERGE_MS, &what, |stage| {
            stage.works_since(since) && stage.crosses_since(since)
        })?;
        for (at, node) in down {
            self.nations[at].nemesis.bring_up(&mut self.sim, node);
        }
        Ok(())
    }

    fn works_since(&self, since_ms: u64) -> bool {
        self.nations
            .iter()
            .all(|nation| nation.works_since(since_ms))
    }

    /// Whether a robot crossed in each direction that set out after a moment.
    fn crosses_since(&self, since_ms: u64) -> bool {
        self.nations.len() < 2
            || self.nations.iter().all(|nation| {
                let last = nation.books.lock().last_crossing_ms;
                last.is_some_and(|begun| since_ms <= begun)
            })
    }

    fn until(
        &mut self,
        patience_ms: u64,
        what: &str,
        reached: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let deadline = self.now_ms + patience_ms;
        while !reached(self) {
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

    /// One millisecond, and what is judged after each.
    fn step(&mut self) -> Result<(), String> {
        self.now_ms += 1;
        self.history.lock().now_ms = self.now_ms;
        self.sim.step().map_err(|error| error.to_string())?;
        let mut violations = Vec::new();
        for nation in &mut self.nations {
            nation
                .judge
                .look(&nation.places, self.now_ms, &mut violations);
            if self.now_ms.is_multiple_of(COMPARE_EVERY_MS) {
                registry::agree(&judge::replicas(&nation.places), &mut violations);
            }
        }
        if let [_, _] = self.nations[..] {
            self.custody.look(&self.nations, &mut violations);
        }
        let mut history = self.history.lock();
        history.violations.append(&mut violations);
        match history.violations.is_empty() {
            true => Ok(()),
            false => Err("it ends here".to_owned()),
        }
    }

    fn report(self) -> CountryReport {
        let mut history = self.history.lock();
        let mut report = CountryReport {
            violations: std::mem::take(&mut history.violations),
            trace: std::mem::take(&mut history.trace),
            border_cuts: self.cuts.count,
            simulated_ms: self.now_ms,
            ..CountryReport::default()
        };
        for nation in &self.nations {
            let (members, pages) = (nation.members(), nation.books.lock());
            if report.violations.is_empty() {
                let found = &mut report.violations;
                judge::at_the_end(&nation.ground, &members, &pages, found);
            }
            report.faults.add(nation.nemesis.counts);
            report.replaced += usize::from(nation.ground.left().is_some());
            report.registered += pages.acknowledged.len();
            report.repeated += pages.repeated;
            report.unknown += pages.unknown;
            report.read += pages.read;
            report.crossed += pages.crossed;
            report.stewarded += pages.stewarded;
            for place in &nation.places {
                report.received += place.disk.received.load(Ordering::Relaxed);
            }
            report.signed += nation.ground.signed().len();
        }
        report
    }
}
