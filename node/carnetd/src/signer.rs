//! The signer rules of every keyring, and what a node remembers of the heads it signed.
//!
//! Before a head is signed, the leaves since the last judged size are read from disk, folded on the edge known there and
//! compared with the sealed root; the last leaf is our own map head; the size is not below the one signed last, which is
//! synced to disk before the signature leaves. A size that was sealed and not signed is skipped for ever once a newer one
//! is signed.
//!
//! The head signed last may be signed again, and no other of its size: a crash may have come before its signature left,
//! and every node may have had that crash. It would stay unpublished until somebody writes.
//!
//! A node that does not lead judges the published heads in the same way, so that its first signature after an election
//! does not wait until the whole log was read again.

#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::log::leaf::{Kind, Leaf};
use carnet_domain::log::merkle::Frontier;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::registry::{Registry, Sealed};
use carnet_store::directory::{Replacement, with_check, without_check};
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;

use crate::config::Config;
use crate::keyring::{Keyring, sign_with_all};
#[cfg(feature = "planted")]
use crate::planted::Planted;

/// A point at which a test may end the process: nothing at all without the feature `planted`.
macro_rules! crash_point {
    ($planted:expr, $point:ident) => {
        #[cfg(feature = "planted")]
        Planted::$point.crash($planted);
    };
}
pub(crate) use crash_point;

/// Name of the file in the data directory.
const FILE: &str = "last-signed";
/// Leaves read at once, so that memory stays bounded however much is to be signed.
const LEAVES_READ_MAX: usize = 1_024;
/// Leaves folded in one go: some hundredths of a second, after which others are let onto the thread.
const LEAVES_FOLDED_MAX: usize = 4_096;
/// A node that does not lead syncs what it judged this often: it bounds what is read again after a restart, and a disk
/// that has the log to sync is spared.
const KEPT_EVERY: Duration = Duration::from_secs(2);

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
    /// The leaves cannot be read.
    #[error("the leaves cannot be read")]
    Leaves(#[source] StorageFault),
    /// What is about to be signed cannot be kept, so it must not be signed.
    #[error("the size to be signed cannot be kept")]
    Keep(#[source] StorageFault),
    /// A rule of the signer does not hold: never sign, call a person.
    #[error("not signed: {0}")]
    Rule(String),
    /// The key cannot be used now: to be tried again.
    #[error("the keyring refused")]
    Keyring(#[from] crate::keyring::SignError),
    /// The keyring says nothing.
    #[error("the keyring did not answer within {} ms", .0.as_millis())]
    Silent(Duration),
}

/// The signer of checkpoints on one node.
pub struct Signer {
    path: PathBuf,
    cluster: [u8; 16],
    keyring: Arc<dyn Keyring>,
    /// How long the keyring may take.
    patience: Duration,
    /// [`LEAVES_FOLDED_MAX`].
    fold_count_max: usize,
    /// What the file says. Read once, at the start: what rots in it later is replaced, never believed.
    kept: Frontier,
    /// The file could not be written: whether it can be is to be shown by a write before this node leads again.
    unwritable: bool,
    /// The newest tree that was signed here or judged to be the published one; never below what is kept.
    last: Frontier,
    /// Leaves read on from there, not compared with any root yet.
    folded: Frontier,
    /// When the file was last written for a head that this node followed, on the monotonic clock.
    kept_at: Option<Duration>,
    #[cfg(feature = "planted")]
    planted: Option<Planted>,
}

impl Signer {
    /// Signs for a cluster, from where the data directory says that this node stopped.
    ///
    /// # Errors
    /// [`StorageFault::Corrupt`] if the file is damaged, [`StorageFault::Foreign`] if it is another cluster's, or the disk
    /// failed.
    pub fn open(
        config: &Config,
        cluster: [u8; 16],
        keyring: Arc<dyn Keyring>,
    ) -> Result<Self, StorageFault> {
        let path = config.node.data_dir.join(FILE);
        let signer = Self::open_file(path, cluster, keyring, config.seal.unsigned())?;
        #[cfg(feature = "planted")]
        let signer = Self {
            planted: config.planted,
            ..signer
        };
        Ok(signer)
    }

    fn open_file(
        path: PathBuf,
        cluster: [u8; 16],
        keyring: Arc<dyn Keyring>,
        patience: Duration,
    ) -> Result<Self, StorageFault> {
        let kept = read(&path, cluster)?;
        Ok(Self {
            path,
            cluster,
            keyring,
            patience,
            fold_count_max: LEAVES_FOLDED_MAX,
            last: kept.clone(),
            folded: kept.clone(),
            kept,
            unwritable: false,
            kept_at: None,
            #[cfg(feature = "planted")]
            planted: None,
        })
    }

    /// Writes what is to be kept beside the file, durably.
    fn write(&mut self, tree: &Frontier) -> Result<Replacement, StorageFault> {
        // Until it is in place: after a failure the file may say either, and the next attempt must write it again.
        self.unwritable = true;
        let signed = LastSigned {
            cluster: self.cluster,
            tree: tree.clone(),
        };
        Replacement::write(&self.path, &with_check(signed.to_bytes()))
    }

    /// Makes it the file.
    fn put(&mut self, written: Replacement, tree: &Frontier) -> Result<(), StorageFault> {
        written.put_in_place()?;
        self.kept = tree.clone();
        self.unwritable = false;
        Ok(())
    }

    /// Judges a sealed size by the signer rules and signs it.
    ///
    /// # Errors
    /// A rule does not hold, or disk or keyring failed.
    pub async fn sign(
        &mut self,
        records: Records<'_>,
        registry: &Registry,
        sealed: &Sealed,
    ) -> Result<Body, SignRefused> {
        while !self.fold(&records, sealed)? {
            tokio::task::yield_now().await;
        }
        let tree = self.judge(&records, sealed)?;
        crash_point!(self.planted, CrashBeforeSizeKept);
        if self.unwritable || tree != self.kept {
            let written = self.write(&tree).map_err(SignRefused::Keep)?;
            crash_point!(self.planted, CrashInSizeKept);
            self.put(written, &tree).map_err(SignRefused::Keep)?;
        }
        self.last = tree;
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
        // A hardware module that hangs must not look like a log in which nothing is to be signed.
        let keys = registry.keys.signers_of(sealed.size);
        if keys.is_empty() {
            let why = format!("no log key was in use at size {}", sealed.size);
            return Err(SignRefused::Rule(why));
        }
        let signing = sign_with_all(self.keyring.as_ref(), &keys, body.as_bytes());
        let signatures = tokio::time::timeout(self.patience, signing)
            .await
            .map_err(|_| SignRefused::Silent(self.patience))??;
        crash_point!(self.planted, CrashBeforePublish);
        Ok(Body::Publish {
            size: sealed.size,
            root: sealed.root,
            signatures,
        })
    }

    /// Judges a published head by the same rules, a bounded piece of the work at a time, so that this node can sign the
    /// next one at once. `true`: there is more to do. `now` is the monotonic clock.
    ///
    /// # Errors
    /// This node could not sign if it led.
    pub fn follow(
        &mut self,
        records: &Records<'_>,
        published: &Sealed,
        now: Duration,
    ) -> Result<bool, SignRefused> {
        if published.size > self.last.size() {
            if !self.fold(records, published)? {
                return Ok(true);
            }
            self.last = self.judge(records, published)?;
        }
        let due = self
            .kept_at
            .is_none_or(|at| now.saturating_sub(at) >= KEPT_EVERY);
        if self.unwritable || (self.kept != self.last && due) {
            let last = self.last.clone();
            let written = self.write(&last).map_err(SignRefused::Keep)?;
            self.put(written, &last).map_err(SignRefused::Keep)?;
            self.kept_at = Some(now);
        }
        Ok(false)
    }

    /// Reads and folds leaves up to a sealed size, so many at the most. Whether all were.
    fn fold(&mut self, records: &Records<'_>, sealed: &Sealed) -> Result<bool, SignRefused> {
        let (size, last) = (sealed.size, self.last.size());
        if size < last {
            let why = format!("size {size} is below the last signed {last}");
            return Err(SignRefused::Rule(why));
        }
        if self.folded.size() < last || size < self.folded.size() {
            self.folded = self.last.clone();
        }
        let mut count = 0;
        while self.folded.size() < size {
            let left = self.fold_count_max.saturating_sub(count);
            if left == 0 {
                return Ok(false);
            }
            let from = self.folded.size();
            let hashes = records
                .leaf_hashes(from, size, LEAVES_READ_MAX.min(left))
                .map_err(SignRefused::Leaves)?;
            if hashes.is_empty() {
                return Err(SignRefused::Rule(format!("leaf {from} is not on disk")));
            }
            count += hashes.len();
            for hash in hashes {
                self.folded.append(hash);
            }
        }
        Ok(true)
    }

    /// The tree at a sealed size to which all leaves are folded, if it is the sealed one. Otherwise they are read anew
    /// next time.
    fn judge(&mut self, records: &Records<'_>, sealed: &Sealed) -> Result<Frontier, SignRefused> {
        let judged = judge(&self.folded, records, sealed);
        if judged.is_err() {
            self.folded = self.last.clone();
        }
        judged.map(|()| self.folded.clone())
    }
}

/// Whether a tree is the one that was sealed.
fn judge(tree: &Frontier, records: &Records<'_>, sealed: &Sealed) -> Result<(), SignRefused> {
    // Read by itself: it may be the head signed last, and no leaf new.
    let newest = records
        .leaf(sealed.size.saturating_sub(1))
        .map_err(SignRefused::Leaves)?;
    let head = newest.and_then(|leaf| Leaf::from_bytes(&leaf.leaf.0).ok());
    if !head.is_some_and(|head| head.kind == Kind::MapHead && head.record_root == sealed.map_root) {
        let why = "the last leaf is not the sealed map head";
        return Err(SignRefused::Rule(why.into()));
    }
    if tree.size() != sealed.size || tree.root() != sealed.root {
        let (found, root) = (tree.root(), sealed.root);
        let why = format!("the leaves on disk have root {found}, sealed is {root}");
        return Err(SignRefused::Rule(why));
    }
    Ok(())
}

/// Judges the file in a data directory.
///
/// # Errors
/// As [`Signer::open`].
pub(crate) fn look(data: &Path, cluster: [u8; 16]) -> Result<(), StorageFault> {
    read(&data.join(FILE), cluster).map(drop)
}

/// The tree that this node signed last, by the file; none is the tree without leaves.
fn read(path: &Path, cluster: [u8; 16]) -> Result<Frontier, StorageFault> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Frontier::new()),
        Err(source) => {
            return Err(StorageFault::Io {
                what: "read the last signed size",
                path: path.to_owned(),
                source,
            });
        }
    };
    let corrupt = |detail: String| StorageFault::Corrupt {
        what: "last signed size",
        detail: format!(
            "{}: {detail}. It says below which size this node never signs again, so a start does not go on without it: \
             retire the node and make a new one under an id that was never used (runbook replace-a-node)",
            path.display()
        ),
    };
    let body =
        without_check(&bytes).ok_or_else(|| corrupt("its check does not match".to_owned()))?;
    let last = LastSigned::from_bytes(body).map_err(|error| corrupt(error.to_string()))?;
    if last.cluster != cluster {
        return Err(StorageFault::Foreign(format!(
            "{}: the last signed size is another cluster's",
            path.display()
        )));
    }
    Ok(last.tree)
}
