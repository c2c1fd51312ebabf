//! Seals, signs and publishes: what the leader does between a committed leaf and a published checkpoint.
//!
//! The signer rules of every keyring stand here: re-read from disk the leaves since the last signed size, fold them on
//! the edge stored then, compare with the sealed root; the last leaf is our own map head; the size is above our own
//! last signed one, which is synced to disk before the signature leaves. A size that was sealed and not signed is
//! skipped for ever once a newer one is signed.
//!
//! The head signed last may be signed again, and no other of its size: a crash may have come before its signature left,
//! and every node may have had that crash. It would stay unpublished until somebody writes.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::checkpoint::{Checkpoint, Origin};
use carnet_domain::encoding::Canonical;
use carnet_domain::entry::{Body, ItemAnswer, Registry, Sealed};
use carnet_domain::leaf::{Kind, Leaf, leaf_bytes_hash};
use carnet_domain::merkle::Frontier;
use carnet_store::directory::Replacement;
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use carnet_wire::status::ApiError;
use tracing::{debug, warn};

use crate::compare::Comparer;
use crate::config::Config;
use crate::keyring::{KeyRole, Keyring};
use crate::node::{Committed, Node};
#[cfg(feature = "planted")]
use crate::planted::Planted;

/// A point at which a test may end the process: nothing at all without the feature `planted`.
macro_rules! crash_point {
    ($planted:expr, $point:ident) => {
        #[cfg(feature = "planted")]
        Planted::$point.crash($planted);
    };
}

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
    cluster: [u8; 16],
    keyring: Arc<dyn Keyring>,
    #[cfg(feature = "planted")]
    planted: Option<Planted>,
}

impl Signer {
    /// Signs for a cluster, and keeps its last signed size in the data directory.
    pub fn new(config: &Config, cluster: [u8; 16], keyring: Arc<dyn Keyring>) -> Self {
        Self {
            path: config.node.data_dir.join("last-signed"),
            cluster,
            keyring,
            #[cfg(feature = "planted")]
            planted: config.planted,
        }
    }

    fn last(&self) -> Result<Frontier, SignRefused> {
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
        if last.cluster != self.cluster {
            return Err(SignRefused::Rule(
                "the last signed size is another cluster's".into(),
            ));
        }
        Ok(last.tree)
    }

    /// Keeps what is about to be signed, durably.
    fn keep(&self, tree: Frontier) -> Result<(), StorageFault> {
        let signed = LastSigned {
            cluster: self.cluster,
            tree,
        };
        let replacement = Replacement::write(&self.path, &signed.to_bytes())?;
        crash_point!(self.planted, CrashInSizeKept);
        replacement.put_in_place()
    }

    /// Judges a sealed size by the signer rules and signs it.
    ///
    /// # Errors
    /// A rule does not hold, or disk or keyring failed.
    pub async fn sign(
        &self,
        records: Records<'_>,
        registry: &Registry,
        sealed: &Sealed,
    ) -> Result<Body, SignRefused> {
        let last = self.last()?;
        let tree = judge(&records, &last, sealed)?;
        crash_point!(self.planted, CrashBeforeSizeKept);
        if tree != last {
            self.keep(tree)?;
        }
        crash_point!(self.planted, CrashBeforeSignature);
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
        crash_point!(self.planted, CrashBeforePublish);
        Ok(Body::Publish {
            size: sealed.size,
            root: sealed.root,
            signature,
        })
    }
}

/// The tree at a sealed size, if it may be signed after the one signed last.
fn judge(records: &Records<'_>, last: &Frontier, sealed: &Sealed) -> Result<Frontier, SignRefused> {
    let refuse = |why: String| Err(SignRefused::Rule(why));
    if sealed.size < last.size() {
        let (size, last) = (sealed.size, last.size());
        return refuse(format!("size {size} is below the last signed {last}"));
    }
    let mut tree = last.clone();
    while tree.size() < sealed.size {
        let leaves = records.leaves(tree.size(), sealed.size, LEAVES_READ_MAX)?;
        if leaves.is_empty() {
            return refuse(format!("leaf {} is not on disk", tree.size()));
        }
        for leaf in &leaves {
            tree.append(leaf_bytes_hash(&leaf.leaf.0));
        }
    }
    // Read by itself: it may be the head signed last, and no leaf new.
    let newest = records.leaf(sealed.size.saturating_sub(1))?;
    let head = newest.and_then(|leaf| Leaf::from_bytes(&leaf.leaf.0).ok());
    if !head.is_some_and(|head| head.kind == Kind::MapHead && head.record_root == sealed.map_root) {
        return refuse("the last leaf is not the sealed map head".into());
    }
    if tree.root() != sealed.root {
        let (found, root) = (tree.root(), sealed.root);
        return refuse(format!(
            "the leaves on disk have root {found}, sealed is {root}"
        ));
    }
    Ok(tree)
}

/// Runs until the node stops: seals and publishes while this node leads.
pub async fn run(node: Arc<Node>, signer: Signer, comparer: Arc<Comparer>) {
    let mut progress = node.state.progress();
    let mut sealed_at = node.clock.monotonic();
    let mut answered = 0;
    let mut doubted = 0;
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
        let registry = match node.state.registry() {
            Ok(Some(registry)) => registry,
            Ok(None) => continue,
            Err(error) => {
                warn!(%error, "the registry cannot be read");
                continue;
            }
        };
        if let Some(sealed) = to_publish(&registry, answered) {
            if !comparer.confirms(&sealed).await {
                if doubted < sealed.size {
                    doubted = sealed.size;
                    warn!(
                        size = doubted,
                        "not signed yet: no majority of the voters has come to this root"
                    );
                }
                // Not sealed anew meanwhile: followers that lag would never have come to the newest size in time.
                continue;
            }
            publish(&node, &signer, &registry, sealed, &mut answered).await;
        }
        let now = node.clock.monotonic();
        if seal_is_due(&node, &registry, now.saturating_sub(sealed_at)) {
            match node.propose(Body::Seal {}).await {
                Ok(_) => {
                    sealed_at = now;
                    crash_point!(node.config.planted, CrashAfterSeal);
                }
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

/// The newest sealed size, unless it is published or `answered` says that the log answered that already.
fn to_publish(registry: &Registry, answered: u64) -> Option<Sealed> {
    let published = registry
        .published
        .as_ref()
        .map_or(0, |published| published.size);
    registry
        .sealed
        .clone()
        .filter(|sealed| published < sealed.size && answered < sealed.size)
}

/// Signs and publishes a sealed size.
async fn publish(
    node: &Node,
    signer: &Signer,
    registry: &Registry,
    sealed: Sealed,
    answered: &mut u64,
) {
    let size = sealed.size;
    let records = Records(node.state.engine());
    let body = match signer.sign(records, registry, &sealed).await {
        Ok(body) => body,
        Err(error) => {
            warn!(size, %error, "checkpoint not signed");
            return;
        }
    };
    match propose(node, body).await {
        Ok(committed) => {
            *answered = size;
            if let Some(ItemAnswer::Refused { rejection }) = committed.answer.items.first() {
                warn!(size, %rejection, "checkpoint not published");
            }
        }
        // Proposed again while it is the newest, unless it turns out to be published.
        Err(error) => debug!(size, %error, "checkpoint not published"),
    }
}

async fn propose(node: &Node, body: Body) -> Result<Committed, ApiError> {
    #[cfg(feature = "planted")]
    if node.config.planted == Some(Planted::CrashInPublish) {
        let before = node.raft.status().last;
        let in_log = async {
            while node.raft.status().last <= before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = node.propose(body.clone()) => {}
            () = in_log => {}
        }
        Planted::CrashInPublish.crash(node.config.planted);
    }
    let committed = node.propose(body).await?;
    crash_point!(node.config.planted, CrashAfterPublish);
    Ok(committed)
}
