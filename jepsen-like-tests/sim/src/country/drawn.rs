//! What is simulated, and what the seed draws for it.

use crate::random::Random;

/// What to simulate.
#[derive(Debug, Clone, Copy)]
pub struct CountryOptions {
    /// Everything random comes from it, the settings of the nodes too.
    pub seed: u64,
    /// Length of the phase of faults in simulated milliseconds.
    pub faulty_ms: u64,
    /// Two countries that are peers, with robots that cross the border.
    pub two: bool,
    /// A planted fault, which a run should find.
    pub planted: Option<CountryFault>,
}

/// What can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountryFault {
    /// The disks of the Raft logs report a sync before it is done.
    LyingDisks,
    /// One replica writes a byte of every robot differently.
    OneReplicaDiffers,
    /// The family of secondary keys is empty in every snapshot.
    SnapshotMissesAFamily,
}

/// What a seed draws for a country.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawn {
    pub(crate) seed: u64,
    /// Nodes that found the cluster.
    pub(crate) founders: u64,
    /// Which of them is replaced by a new one, if any is.
    pub(crate) leaver: Option<u64>,
    pub(crate) heartbeat_ms: u64,
    pub(crate) election_ms: [u64; 2],
    pub(crate) keep_entries: u64,
    pub(crate) seal_ms: [u64; 2],
    pub(crate) compare_ms: u64,
    pub(crate) planted: Option<CountryFault>,
}

impl Drawn {
    pub(crate) fn of(CountryOptions { seed, planted, .. }: CountryOptions) -> Self {
        let mut random = Random::new(seed, 60);
        let heartbeat_ms = random.between(30, 200);
        let least = heartbeat_ms * random.between(5, 10);
        let waiting_ms = random.between(30, 300);
        let founders = if random.between(0, 4) == 0 { 5 } else { 3 };
        let leaver = random.between(1, founders + 1);
        Self {
            seed,
            founders,
            leaver: (random.between(0, 2) == 0).then_some(leaver),
            heartbeat_ms,
            election_ms: [least, least * random.between(13, 25) / 10],
            keep_entries: random.between(10, 80),
            seal_ms: [waiting_ms, waiting_ms * random.between(1, 6)],
            compare_ms: random.between(100, 600),
            planted,
        }
    }

    /// Nodes there are in all: the founders, and whoever is to replace one of them.
    pub(crate) fn nodes(&self) -> u64 {
        self.founders + u64::from(self.leaver.is_some())
    }
}
