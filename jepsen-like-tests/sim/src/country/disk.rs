//! The state database of a simulated node: the one in memory, with the faults that a run plants in it, and what is counted of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carnet_store::artefact::{StateEngine, StateSink};
use carnet_store::engine::{Batch, KvEngine, KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::machine::Snapshot;
use carnet_store::memory::MemoryEngine;

use crate::country::drawn::CountryFault;

#[derive(Clone)]
pub(crate) struct SimDisk {
    pub(crate) engine: MemoryEngine,
    pub(crate) planted: Option<CountryFault>,
    /// Snapshots of others that it began to take in.
    pub(crate) received: Arc<AtomicUsize>,
}

impl KvRead for SimDisk {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.engine.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        self.engine.scan(family, from, to, count_max)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        self.engine.last(family, from, to)
    }
}

impl KvEngine for SimDisk {
    fn write(&self, mut batch: Batch) -> Result<(), StorageFault> {
        if self.planted == Some(CountryFault::OneReplicaDiffers) {
            let robots = batch.changes.iter_mut();
            let values = robots.filter(|(family, ..)| *family == Family::Robots);
            for byte in values.filter_map(|(_, _, value)| value.as_mut()?.last_mut()) {
                *byte ^= 1;
            }
        }
        self.engine.write(batch)
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        self.engine.view()
    }
}

impl StateEngine for SimDisk {
    fn sync(&self) -> Result<(), StorageFault> {
        self.engine.sync()
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        if self.planted != Some(CountryFault::SnapshotMissesAFamily) {
            return self.engine.snapshot();
        }
        self.engine.sync()?;
        let (copy, mut batch) = (MemoryEngine::new(), Batch::default());
        for family in Family::ALL
            .iter()
            .copied()
            .filter(|one| *one != Family::Index)
        {
            for (key, value) in self.engine.scan(family, &[], None, usize::MAX)? {
                batch.put(family, key, value);
            }
        }
        copy.write(batch)?;
        copy.snapshot()
    }

    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault> {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.engine.receive()
    }
}
