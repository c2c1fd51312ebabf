//! What a monitor sees of a node: whether it lives, whether it can be relied upon and why not, and numbers.
//!
//! Everything is read when it is asked for, from the same status that operators get; nothing here changes anything, and
//! nothing that the node does waits for it. [`readiness`] decides, [`metrics`] writes the numbers down, [`port`] answers.

pub mod health;
pub mod metrics;
pub mod port;
pub mod readiness;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_wire::status::ApiError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::readiness::Whose;
use crate::edge::EdgeCounters;
use crate::node::Node;
use crate::outcomes::Outcome;
use crate::service::ClusterService;
use crate::service::cluster::{ClusterStatus, Digested};
use crate::share::Holder;
use crate::share::readers::Busy;
use crate::told::fault;

/// Whose the reads of a monitor are.
const HOLDER: &str = "monitor";
/// Folders below a folder of data that are looked into: a database has none below its own.
const FOLDER_DEPTH_MAX: usize = 4;

/// A look is good for so long: whoever asks how often, the node is read once in it.
const LOOK_COUNTS: Duration = Duration::from_secs(1);

/// When a node was looked at, and what was seen.
type Look = (Instant, Arc<Seen>);

/// What looks into a node. Cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    service: ClusterService,
    last: Arc<Mutex<Option<Look>>>,
}

/// What was seen at one moment.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What the node says of itself and its cluster.
    pub status: ClusterStatus,
    /// How long ago the newest seal was made, by the node's clock; none before the first.
    pub sealed_ago: Option<DurationMs>,
    /// How old the newest published head is; none before the first.
    pub published_ago: Option<DurationMs>,
    /// Bytes of the log and of the state on the disk.
    pub bytes: Bytes,
    /// Memory that the process holds, in bytes; none where the system does not say.
    pub resident_bytes: Option<u64>,
    /// Proposals by what became of them.
    pub proposals: Vec<(Outcome, u64)>,
    /// Items that the rules took, and that they refused.
    pub items: (u64, u64),
    /// How busy the readers are.
    pub readers: Busy,
    /// Callers that wait for a published proof.
    pub waiting: usize,
    /// What came to each port.
    pub ports: Vec<Arc<EdgeCounters>>,
    /// How long the process has run.
    pub up: Duration,
}

/// What lies on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// Of the Raft log.
    pub log: u64,
    /// Of the state database.
    pub state: u64,
}

impl Monitor {
    /// Of the node that a service is of.
    pub fn new(service: ClusterService) -> Self {
        Self {
            service,
            last: Arc::default(),
        }
    }

    fn node(&self) -> &Arc<Node> {
        &self.service.node
    }

    /// Whether callers are better served by another node: by what is wrong with this one alone. What all nodes have in common leaves
    /// a balancer nobody to turn to.
    pub async fn is_ready(&self) -> bool {
        let Ok(seen) = self.look().await else {
            return false;
        };
        let found = readiness::hindrances(&seen.status, self.now());
        found.iter().all(|found| found.code.whose() != Whose::Node)
    }

    fn now(&self) -> TimeMs {
        self.node().clock.wall()
    }

    /// What was seen, at most a second ago. Who asks at the same time waits for one look.
    ///
    /// # Errors
    /// A read failed, or the node stops.
    pub async fn look(&self) -> Result<Arc<Seen>, ApiError> {
        let mut last = self.last.lock().await;
        if let Some((at, seen)) = &*last
            && at.elapsed() < LOOK_COUNTS
        {
            return Ok(Arc::clone(seen));
        }
        let seen = Arc::new(self.look_now().await?);
        *last = Some((Instant::now(), Arc::clone(&seen)));
        Ok(seen)
    }

    async fn look_now(&self) -> Result<Seen, ApiError> {
        let holder = Holder::new(HOLDER);
        let status = self.service.look(&holder, Digested::No).await?;
        let node = self.node();
        let folder = node.config.node.data_dir.clone();
        let measured = move || {
            let bytes = Bytes {
                log: bytes_below(&folder.join("log"), FOLDER_DEPTH_MAX),
                state: bytes_below(&folder.join("state"), FOLDER_DEPTH_MAX),
            };
            (bytes, resident_bytes())
        };
        let measured = node.work.run(measured).await;
        let (bytes, resident_bytes) = measured.map_err(fault("the disk was not measured"))?;
        let now = node.clock.wall();
        let ago = |at: TimeMs| (at != TimeMs::EPOCH).then(|| now.since(at));
        let published = node.state.published();
        Ok(Seen {
            sealed_ago: ago(status.progress.sealed_at),
            published_ago: published.and_then(|published| ago(published.registry.log_time)),
            bytes,
            resident_bytes,
            proposals: node.outcomes.proposals().collect(),
            items: node.outcomes.items(),
            readers: node.readers.busy(),
            waiting: node.waiting(),
            ports: node.ports(),
            up: node.clock.monotonic(),
            status,
        })
    }
}

/// What the files of a folder take; what cannot be read counts nothing, as what was removed meanwhile.
fn bytes_below(folder: &Path, depth: usize) -> u64 {
    let Ok(there) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() && depth > 0 => bytes_below(&entry.path(), depth - 1),
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    };
    there.filter_map(Result::ok).map(size).sum()
}

/// From the line `VmRSS` that Linux keeps, in KiB.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests;
