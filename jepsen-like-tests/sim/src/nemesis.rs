//! Breaks things on purpose, by a plan drawn from the seed.

use std::fmt;

use turmoil::Sim;

use crate::history::Shared;
use crate::random::Random;
use crate::site::Victim;

/// How often each fault was installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts {
    /// One node crashed and lost what it had not synced.
    pub crashes: u64,
    /// All nodes crashed at one moment.
    pub power_cuts: u64,
    /// One node was cut off from all others.
    pub isolations: u64,
    /// One direction of one link was cut.
    pub one_way_cuts: u64,
    /// One link became slow.
    pub slow_links: u64,
    /// The wall clock of one node was set far ahead or back.
    pub clock_steps: u64,
}

impl FaultCounts {
    /// Counts those of another country too.
    pub(crate) fn add(&mut self, other: FaultCounts) {
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.isolations += other.isolations;
        self.one_way_cuts += other.one_way_cuts;
        self.slow_links += other.slow_links;
        self.clock_steps += other.clock_steps;
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FaultCounts {
            crashes,
            power_cuts,
            isolations,
            one_way_cuts,
            slow_links,
            clock_steps,
        } = self;
        write!(
            f,
            "{crashes} crashes, {power_cuts} power cuts, {isolations} isolations, {one_way_cuts} one-way cuts, "
        )?;
        write!(f, "{slow_links} slow links, {clock_steps} clock steps")
    }
}

enum Undo {
    Bounce(u64),
    Repair(u64, u64),
    Quicken(u64, u64),
    StepBack(u64, i64),
}

pub(crate) struct Nemesis {
    random: Random,
    /// Clocks have dice of their own, so that they change no other fault of a seed.
    clock_random: Random,
    clock_next_ms: u64,
    /// Until when a clock is bad: one at a time, so that a quorum is honest.
    clock_bad_until: u64,
    history: Shared,
    /// By their numbers, from 1.
    victims: Vec<Victim>,
    next_ms: u64,
    undo: Vec<(u64, Undo)>,
    pub(crate) counts: FaultCounts,
}

/// Latency of a link that is not slowed down, in milliseconds.
pub(crate) const LATENCY_MS: (u64, u64) = (1, 8);

impl Nemesis {
    pub(crate) fn new(seed: u64, history: Shared, victims: Vec<Victim>, start_ms: u64) -> Nemesis {
        let random = Random::new(seed, 77);
        Nemesis {
            random,
            clock_random: Random::new(seed, 78),
            clock_next_ms: start_ms,
            clock_bad_until: 0,
            history,
            victims,
            next_ms: start_ms,
            undo: Vec::new(),
            counts: FaultCounts::default(),
        }
    }

    /// Called once each simulated millisecond.
    pub(crate) fn act(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        let (due, later) = std::mem::take(&mut self.undo)
            .into_iter()
            .partition(|(at, _)| *at <= now_ms);
        self.undo = later;
        self.end(sim, due);
        if self.next_ms <= now_ms {
            self.next_ms = now_ms + self.random.between(300, 1800);
            self.begin(sim, now_ms);
        }
        if self.clock_next_ms <= now_ms {
            self.clock_next_ms = now_ms + self.clock_random.between(500, 3000);
            self.step_a_clock(now_ms);
        }
    }

    /// Sets one node's clock far ahead or back for a while, and then as it was.
    fn step_a_clock(&mut self, now_ms: u64) {
        if now_ms < self.clock_bad_until {
            return;
        }
        let count = self.victims.len() as u64;
        let node = self.clock_random.between(1, count + 1);
        // From a few seconds, which a ceiling alone would let pass, to hours.
        let size_ms = match self.clock_random.between(0, 3) {
            0 => self.clock_random.between(3_000, 15_000),
            1 => self.clock_random.between(15_000, 600_000),
            _ => self.clock_random.between(600_000, 10_000_000),
        };
        let by_ms = match self.clock_random.between(0, 3) {
            0 => -(size_ms as i64),
            _ => size_ms as i64,
        };
        self.history
            .note(format!("the clock of node {node} steps by {by_ms} ms"));
        self.counts.clock_steps += 1;
        let until = now_ms + self.clock_random.between(500, 6000);
        self.clock_bad_until = until;
        self.set_clock(node, by_ms);
        self.undo.push((until, Undo::StepBack(node, by_ms)));
    }

    /// Takes a node down until [`Self::bring_up`].
    pub(crate) fn take_down(&mut self, sim: &mut Sim<'_>, node: u64) {
        self.crash(sim, node, u64::MAX);
        self.undo.pop();
    }

    /// Starts a node again.
    pub(crate) fn bring_up(&mut self, sim: &mut Sim<'_>, node: u64) {
        sim.bounce(self.host(node));
    }

    fn set_clock(&self, node: u64, by_ms: i64) {
        self.victim(node).clock.step(by_ms);
    }

    fn victim(&self, node: u64) -> &Victim {
        &self.victims[node as usize - 1]
    }

    fn host(&self, node: u64) -> String {
        self.victim(node).host.clone()
    }

    /// Ends every fault.
    pub(crate) fn heal(&mut self, sim: &mut Sim<'_>) {
        let due = std::mem::take(&mut self.undo);
        self.end(sim, due);
        self.history.note("all healed".to_owned());
    }

    fn begin(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        let count = self.victims.len() as u64;
        let (one, other) = {
            let one = self.random.between(1, count + 1);
            (one, (one + self.random.between(0, count - 1)) % count + 1)
        };
        let until = now_ms + self.random.between(200, 3500);
        match self.random.between(0, 10) {
            0..=2 => self.crash(sim, one, until),
            3 => {
                self.history.note("power cut".to_owned());
                self.counts.power_cuts += 1;
                for node in 1..=count {
                    let until = now_ms + self.random.between(100, 1500);
                    self.crash(sim, node, until);
                }
            }
            4..=5 => {
                self.history.note(format!("node {one} is cut off"));
                self.counts.isolations += 1;
                for peer in (1..=count).filter(|peer| *peer != one) {
                    sim.partition(self.host(one), self.host(peer));
                    self.undo.push((until, Undo::Repair(one, peer)));
                }
            }
            6..=7 => {
                self.history
                    .note(format!("nothing goes from {one} to {other}"));
                self.counts.one_way_cuts += 1;
                sim.partition_oneway(self.host(one), self.host(other));
                self.undo.push((until, Undo::Repair(one, other)));
            }
            _ => {
                let latency_ms = self.random.between(30, 400);
                self.history
                    .note(format!("{latency_ms} ms between {one} and {other}"));
                self.counts.slow_links += 1;
                sim.set_link_latency(
                    self.host(one),
                    self.host(other),
                    std::time::Duration::from_millis(latency_ms),
                );
                self.undo.push((until, Undo::Quicken(one, other)));
            }
        }
    }

    fn crash(&mut self, sim: &mut Sim<'_>, node: u64, until: u64) {
        if !sim.is_host_running(self.host(node)) {
            return;
        }
        self.history.note(format!("node {node} crashes"));
        self.counts.crashes += 1;
        sim.crash(self.host(node));
        (self.victim(node).crash)();
        self.undo.push((until, Undo::Bounce(node)));
    }

    fn end(&mut self, sim: &mut Sim<'_>, due: Vec<(u64, Undo)>) {
        for (_, undo) in due {
            match undo {
                Undo::StepBack(node, by_ms) => self.set_clock(node, -by_ms),
                Undo::Bounce(node) => sim.bounce(self.host(node)),
                Undo::Repair(one, other) => sim.repair(self.host(one), self.host(other)),
                Undo::Quicken(one, other) => {
                    let (least, most) = LATENCY_MS;
                    sim.set_link_latency(
                        self.host(one),
                        self.host(other),
                        std::time::Duration::from_millis(least),
                    );
                    let most = std::time::Duration::from_millis(most);
                    sim.set_link_max_message_latency(self.host(one), self.host(other), most);
                }
            }
        }
    }
}
