//! Seals, signs and publishes: what the leader does between a committed leaf and a published checkpoint.
//!
//! The signer rules of every keyring stand here: re-read from disk the leaves since the last signed size, fold them on
//! the edge stored then, compare with the sealed root; the last leaf is our own map head; the size is above our own
//! last signed one, which is synced to disk before the signature leaves. A size that was sealed and not signed is
//! skipped for ever once a newer one is signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::checkpoint::{Checkpoint, Origin};
use carnet_domain::encoding::Canonical;
use carnet_domain::entry::{Body, ItemAnswer, Registry, Sealed};
use carnet_domain::leaf::{Kind, Leaf, leaf_bytes_hash};
use carnet_domain::merkle::Frontier;
use carnet_store::directory::write_atomically;
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use tracing::{debug, info, warn};

use crate::keyring::{KeyRole, Keyring};
use crate::node::Node;

/// Leaves read at once, so that memory stays bounded however much is to be signed.
const LEAVES_READ_MAX: usize = 1_024;

/// The largest size that this node signed, and the right edge of the tree there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LastSigned {
    cluster: [u8; 16],
    tree: Frontier,
}
carnet_domain::canonical_struct!(LastSigned { cluster, tree });

/// Why a sealed size is not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignRefused {
    /// The disk failed.
    #[error("the leaves cannot be read")]
    Storage(#[from] StorageFault),
    /// A rule of the signer does not hold: never sign, call a person.
    #[error("not signed: {0}")]
    Rule(String),
    /// The keyring refused.
    #[error("the keyring refused")]
    Keyring(#[from] crate::keyring::SignError),
}

/// The signer of checkpoints on one node.
pub struct Signer {
    path: PathBuf,
    keyring: Arc<dyn Keyring>,
}

impl Signer {
    /// Keeps its last signed size in `data_dir`.
    pub fn new(data_dir: &Path, keyring: Arc<dyn Keyring>) -> Self {
        Self {
            path: data_dir.join("last-signed"),
            keyring,
        }
    }

    fn last(&self, cluster: [u8; 16]) -> Result<Frontier, SignRefused> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Frontier::new());
            }
            Err(error) => {
                return Err(SignRefused::Rule(format!(
                    "{}: {error}",
                    self.path.display()
                )));
            }
        };
        let last = LastSigned::from_bytes(&bytes)
            .map_err(|error| SignRefused::Rule(format!("{}: {error}", self.path.display())))?;
        if last.cluster != cluster {
            return Err(SignRefused::Rule(
                "the last signed size is another cluster's".into(),
            ));
        }
        Ok(last.tree)
    }

    /// Judges a sealed size by the signer rules and signs it.
    ///
    /// # Errors
    /// A rule does not hold, or disk or keyring failed.
    pub async fn sign(
        &self,
        node: &Node,
        registry: &Registry,
        sealed: &Sealed,
    ) -> Result<Body, SignRefused> {
        let mut tree = self.last(node.cluster)?;
        if sealed.size <= tree.size() {
            return Err(SignRefused::Rule(format!(
                "size {} is not above the last signed {}",
                sealed.size,
                tree.size()
            )));
        }
        let records = Records(node.state.engine());
        let mut newest = None;
        while tree.size() < sealed.size {
            let leaves = records.leaves(tree.size(), sealed.size, LEAVES_READ_MAX)?;
            if leaves.is_empty() {
                let index = tree.size();
                return Err(SignRefused::Rule(format!("leaf {index} is not on disk")));
            }
            for leaf in &leaves {
                tree.append(leaf_bytes_hash(&leaf.leaf.0));
            }
            newest = leaves.into_iter().next_back();
        }
        let head = newest.and_then(|leaf| Leaf::from_bytes(&leaf.leaf.0).ok());
        if !head
            .is_some_and(|head| head.kind == Kind::MapHead && head.record_root == sealed.map_root)
        {
            return Err(SignRefused::Rule(
                "the last leaf is not the sealed map head".into(),
            ));
        }
        if tree.root() != sealed.root {
            return Err(SignRefused::Rule(format!(
                "the leaves on disk have root {}, sealed is {}",
                tree.root(),
                sealed.root
            )));
        }
        let signed = LastSigned {
            cluster: node.cluster,
            tree,
        };
        write_atomically(&self.path, &signed.to_bytes())?;
        let origin = Origin {
            prefix: registry.prefix,
            incarnation: registry.incarnation,
        };
        let body = Checkpoint {
            origin,
            size: sealed.size,
            root: sealed.root,
        }
        .body();
        let signature = self.keyring.sign(KeyRole::Log, body.as_bytes()).await?;
        Ok(Body::Publish {
            size: sealed.size,
            root: sealed.root,
            signature,
        })
    }
}

/// Runs until the node stops: seals and publishes while this node leads.
pub async fn run(node: Arc<Node>, signer: Signer) {
    let mut progress = node.state.progress();
    let mut sealed_at = node.clock.monotonic();
    let mut signed_size = 0;
    let pause = node.config.seal.waiting();
    loop {
        // Woken by what was applied; the interval only bounds how late a seal may be.
        let _ = tokio::time::timeout(pause, progress.changed()).await;
        if node.raft.standing().borrow().role == carnet_consensus::Role::Stopped {
            return;
        }
        if !node.seems_leader() {
            continue;
        }
        if let Err(error) = advance_time(&node).await {
            debug!(%error, "log time not advanced");
            continue;
        }
        let registry = match node.state.registry() {
            Ok(Some(registry)) => registry,
            Ok(None) => continue,
            Err(error) => {
                warn!(%error, "the registry cannot be read");
                continue;
            }
        };
        publish(&node, &signer, &registry, &mut signed_size).await;
        let now = node.clock.monotonic();
        if seal_is_due(&node, &registry, now.saturating_sub(sealed_at)) {
            match node.propose(Body::Seal {}).await {
                Ok(_) => sealed_at = now,
                Err(error) => debug!(%error, "not sealed"),
            }
        }
    }
}

fn seal_is_due(node: &Node, registry: &Registry, since: Duration) -> bool {
    let config = &node.config.seal;
    if registry.unsealed == 0 {
        let idle = Duration::from_millis(registry.seal_idle.as_ms());
        let sealed_at = registry
            .sealed
            .as_ref()
            .map_or(registry.log_time, |sealed| sealed.at);
        return Duration::from_millis(node.clock.wall().since(sealed_at).as_ms()) >= idle
            && since >= config.waiting();
    }
    let wanted = node.waiting() > 0 || registry.sealed.is_none() || has_peers(node);
    since
        >= if wanted {
            config.waiting()
        } else {
            config.busy()
        }
}

/// A country that has peers does not keep them waiting: mail goes out only under a published checkpoint.
fn has_peers(node: &Node) -> bool {
    Records(node.state.engine())
        .peers()
        .is_ok_and(|peers| !peers.is_empty())
}

async fn publish(node: &Node, signer: &Signer, registry: &Registry, signed_size: &mut u64) {
    let published = registry
        .published
        .as_ref()
        .map_or(0, |published| published.size);
    let Some(sealed) = registry
        .sealed
        .clone()
        .filter(|sealed| published < sealed.size && *signed_size < sealed.size)
    else {
        return;
    };
    match signer.sign(node, registry, &sealed).await {
        Ok(body) => {
            *signed_size = sealed.size;
            match node.propose(body).await {
                Ok(committed) => {
                    if let Some(ItemAnswer::Refused { rejection }) = committed.answer.items.first()
                    {
                        warn!(size = sealed.size, %rejection, "checkpoint not published");
                    }
                }
                // The size may never be published; a newer one will be sealed and signed.
                Err(error) => debug!(size = sealed.size, %error, "checkpoint not published"),
            }
        }
        Err(error) => warn!(size = sealed.size, %error, "checkpoint not signed"),
    }
}

/// After a pause longer than a stamp may jump, log time moves only when a quorum of voters agrees with our clock.
async fn advance_time(node: &Node) -> Result<(), String> {
    let log_time = node.progress().log_time;
    let wall = node.clock.wall();
    let half = Duration::from_millis(carnet_domain::entry::STAMP_AHEAD_MAX.as_ms() / 2);
    if log_time.as_ms() == 0 || Duration::from_millis(wall.since(log_time).as_ms()) < half {
        return Ok(());
    }
    match node.raft.clock_verdict(Duration::from_secs(2)).await {
        carnet_consensus::ClockVerdict::Agreed => {
            let committed = node
                .propose(Body::AdvanceTime { to: wall })
                .await
                .map_err(|error| error.to_string())?;
            info!(from = %log_time, to = %committed.answer.at, "log time advanced");
            Ok(())
        }
        verdict => Err(format!("voters' clocks: {verdict:?}")),
    }
}
