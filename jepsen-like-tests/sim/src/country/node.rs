//! One node of a simulated country: `carnetd` as it ships, put together over a network, clocks and disks of the simulation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carnet_consensus::{DiskSpace, Member, Space, Work};
use carnet_store::fault::FirstFault;
use carnet_store::home::Owner;
use carnet_store::log::MemoryLog;
use carnet_store::memory::MemoryEngine;
use carnetd::RunError;
use carnetd::assemble::assemble_in;
use carnetd::config::Config;
use carnetd::exit::Exit;
use carnetd::world::{Means, Stores, World};

use crate::country::disk::SimDisk;
use crate::country::drawn::{CountryFault, Drawn};
use crate::country::ground::{ADMIN, CLIENT, FEDERATION, Ground, RAFT, host};
use crate::country::world::{Dice, Keys, MachineClock, SimNetwork};
use crate::history::Shared;
use crate::node::{found, store, sync_disk};
use crate::random::Random;
use crate::registry::recite;
use crate::site::{SiteClock, Victim};

/// A node as it outlives its crashes.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) ground: Arc<Ground>,
    pub(crate) node: u64,
    pub(crate) drawn: Drawn,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) engine: MemoryEngine,
    pub(crate) disk: SimDisk,
    pub(crate) clock: SiteClock,
    pub(crate) history: Shared,
    boots: Arc<AtomicU64>,
    /// How often its disks lost what was not synced.
    pub(crate) crashes: Arc<AtomicU64>,
}

/// A simulated disk has room.
struct Roomy;

impl DiskSpace for Roomy {
    fn read(&self) -> Result<Space, String> {
        Ok(Space {
            free_bytes: 1 << 40,
            watermark_bytes: 0,
            path: "simulated".to_owned(),
        })
    }
}

impl Place {
    pub(crate) fn new(ground: &Arc<Ground>, node: u64, drawn: Drawn, history: &Shared) -> Self {
        let clock = SiteClock::new(history, drawn.seed, node);
        clock.step(i64::try_from(ground.ahead_ms()).unwrap_or(0));
        let engine = MemoryEngine::new();
        let log = match drawn.planted {
            Some(CountryFault::LyingDisks) => MemoryLog::with_lying_sync(),
            _ => MemoryLog::with_manual_sync(),
        };
        // All snapshots are alike; a replica that differs from all others is one alone.
        let planted = drawn.planted.filter(|fault| match fault {
            CountryFault::OneReplicaDiffers => node == 2,
            CountryFault::SnapshotMissesAFamily | CountryFault::LyingDisks => true,
        });
        Self {
            ground: Arc::clone(ground),
            node,
            drawn,
            log: Arc::new(log),
            disk: SimDisk {
                engine: engine.clone(),
                planted,
                received: Arc::default(),
            },
            engine,
            clock,
            history: history.clone(),
            boots: Arc::default(),
            crashes: Arc::default(),
        }
    }

    pub(crate) fn host(&self) -> String {
        host(&self.ground.kit, self.node)
    }

    /// The node as faults meet it.
    pub(crate) fn victim(&self) -> Victim {
        let place = self.clone();
        Victim {
            host: self.host(),
            clock: self.clock.clone(),
            crash: Arc::new(move || {
                place.log.crash();
                place.engine.crash();
                place.crashes.fetch_add(1, Ordering::Relaxed);
            }),
        }
    }

    fn config(&self) -> Result<Config, RunError> {
        let Drawn {
            heartbeat_ms,
            election_ms: [least, most],
            keep_entries,
            seal_ms: [waiting_ms, busy_ms],
            compare_ms,
            ..
        } = self.drawn;
        let (data, pki) = (self.ground.data(self.node), self.ground.pki());
        let text = format!(
            "[node]\nprefix = \"{prefix}\"\nid = {node}\ndata_dir = \"{data}\"\npki_dir = \"{pki}\"\nprofile = \"sandbox\"\n\
             [listen]\nraft = \"0.0.0.0:{RAFT}\"\nclient = \"0.0.0.0:{CLIENT}\"\nadmin = \"0.0.0.0:{ADMIN}\"\n\
             federation = \"0.0.0.0:{FEDERATION}\"\n\
             [raft]\nheartbeat_ms = {heartbeat_ms}\nelection_ms = [{least}, {most}]\nsnapshot_entries = 100\n\
             keep_entries = {keep_entries}\nkeep_for_s = 1\n\
             [seal]\nwaiting_ms = {waiting_ms}\nbusy_ms = {busy_ms}\nunsigned_ms = 3000\n\
             [compare]\nevery_ms = {compare_ms}\ncontent_every_s = 15\n",
            prefix = self.ground.kit.prefix,
            node = self.node,
            data = data.display(),
            pki = pki.display(),
        );
        let path = data.join("carnet.toml");
        Config::parse(&text, &path).map_err(|error| RunError::Config(error.to_string()))
    }

    fn stores(&self, owner: Owner, boot: u64) -> Stores {
        Stores {
            identity: owner.with(store(self.node)),
            join: (1..=self.drawn.founders).collect(),
            count: (boot + 1).into(),
            state: Arc::new(self.disk.clone()),
            damage: FirstFault::default(),
            log: Arc::clone(&self.log) as _,
            space: Arc::new(Roomy),
        }
    }
}

pub(crate) fn member(ground: &Ground, node: u64) -> Member {
    let host = host(&ground.kit, node);
    Member {
        raft: format!("{host}:{RAFT}"),
        api: format!("{host}:{CLIENT}"),
        store: store(node),
    }
}

/// The host's software, from boot to crash.
pub(crate) async fn boot(place: Place) -> turmoil::Result {
    match run(&place).await {
        // Whoever left is told so, and ends for good.
        Err(refused)
            if place.ground.left() == Some(place.node)
                && refused.exit().code() == Exit::Refused.code() =>
        {
            place.history.note(format!("{} has left", place.host()));
            Ok(())
        }
        outcome => Ok(outcome?),
    }
}

async fn run(place: &Place) -> Result<(), RunError> {
    let boot = place.boots.fetch_add(1, Ordering::Relaxed);
    place.history.note(format!("{} boots", place.host()));
    let mut random = Random::new(place.drawn.seed, 1000 * place.node + boot);
    let world = World {
        means: Means {
            clock: Arc::new(MachineClock {
                wall: place.clock.clone(),
                history: place.history.clone(),
            }),
            chance: Arc::new(Dice::new(Random::new(random.next(), 2))),
            work: Work::Inline,
        },
        keyring: Arc::new(Keys {
            ground: Arc::clone(&place.ground),
            node: place.node,
            seed: place.drawn.seed,
            history: place.history.clone(),
        }),
        network: SimNetwork,
    };
    let disk = Random::new(random.next(), 1);
    tokio::spawn(sync_disk(Arc::clone(&place.log), disk));
    let open = |_: &Config, owner| Ok(place.stores(owner, boot));
    let running = assemble_in(world, place.config()?, open).await?;
    let handle = running.raft().clone();
    if place.node == 1 {
        let members: BTreeMap<u64, Member> = (1..=place.drawn.founders)
            .map(|node| (node, member(&place.ground, node)))
            .collect();
        tokio::spawn(found(handle.clone(), members));
    }
    let reciter = Random::new(random.next(), 9);
    let script = Arc::clone(&place.ground.script);
    tokio::spawn(recite(handle, script, place.history.clone(), reciter));
    running.until(std::future::pending()).await
}
