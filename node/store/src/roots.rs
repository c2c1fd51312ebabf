//! A received state is judged by its roots, before it replaces anything.
//!
//! A snapshot comes from whoever leads, file by file, and its manifest only says that nothing was altered on the way.
//! Here the registry in it is held to its own promises: the tree is computed anew from every leaf and the map from every
//! page, and both must be what the registry says it sealed, signed and published. The leaves are read once, a page of them
//! at a time.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Kind, Leaf, leaf_bytes_hash};
use carnet_domain::log::map::{self, MapFault, WalkFault};
use carnet_domain::log::merkle::{Frontier, Node};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::keys::{GoodHead, KeyCause, KeyEnd, KeyHistory};
use carnet_domain::record::peer::{Signed, Statement, signed_by_roots};
use carnet_domain::record::reader::Whole;
use carnet_domain::record::registry::Registry;

use crate::artefact::corrupt;
use crate::engine::KvRead;
use crate::families::Family;
use crate::fault::StorageFault;
use crate::keys;
use crate::leaves;
use crate::records::{Records, fault_of, tile_of_stored};

/// Leaves and tiles read at once.
const PAGE_COUNT: usize = 256;

/// Judges a received state by its roots, and by what this node knew before.
///
/// # Errors
/// It is another registry's, differs from what was published here, or its roots are not what it says; or the disk failed.
pub(crate) fn judge(content: &dyn KvRead, known: Option<&Registry>) -> Result<(), StorageFault> {
    let Some(registry) = Records(content).registry()? else {
        return match known {
            None => Ok(()),
            Some(_) => Err(corrupt(
                "there is no registry in it, and there is one here".into(),
            )),
        };
    };
    if let Some(known) = known {
        same_registry(known, &registry)?;
    }
    // An older state is let through: consensus takes none that is behind what was applied here.
    let ours = known.and_then(|known| known.published.as_ref());
    let ours = ours.filter(|ours| ours.size <= registry.tree.size());
    let sealed = [ours, registry.published.as_ref(), registry.sealed.as_ref()];
    let sealed = sealed.into_iter().flatten().map(|sealed| GoodHead {
        size: sealed.size,
        root: sealed.root,
    });
    let marks: Vec<GoodHead> = sealed.chain(last_of_keys(&registry)).collect();
    born(content, &registry)?;
    tree(content, &registry, &marks)?;
    published(&registry)?;
    sealed_map(content, &registry)
}

/// The heads with which keys were retired: they were sealed here. What the roots said of a stolen key is their word.
fn last_of_keys(registry: &Registry) -> impl Iterator<Item = GoodHead> {
    let ends = registry.keys.all().iter().filter_map(|entry| entry.end);
    let retired = ends.filter(|end: &KeyEnd| end.cause == KeyCause::Retired);
    retired.filter_map(|end| end.last_good)
}

/// What never changes in a registry.
fn same_registry(known: &Registry, received: &Registry) -> Result<(), StorageFault> {
    let of = |registry: &Registry| (registry.prefix, registry.cluster, registry.incarnation);
    // Roots only follow those that stand: what was replaced here already is replaced by the same there.
    let replaced = &known.root_leaves;
    let same_roots = received.root_leaves.get(..replaced.len()) == Some(replaced.as_slice())
        && (replaced.len() < received.root_leaves.len() || known.roots == received.roots);
    let same_keys = known.keys.leads_to(&received.keys);
    if of(known) != of(received) || !same_roots || !same_keys {
        return Err(corrupt(format!(
            "it is of registry {} incarnation {}, or has another history of keys",
            received.prefix, received.incarnation
        )));
    }
    Ok(())
}

/// The genesis, signed by the roots it names, names the keys that the registry goes by.
fn born(content: &dyn KvRead, registry: &Registry) -> Result<(), StorageFault> {
    let envelope = Records(content).envelope(0)?;
    let body = envelope.and_then(|bytes| Body::from_bytes(&bytes).ok());
    let Some(Body::Root { signed }) = body else {
        return Err(corrupt("it does not begin with a genesis".into()));
    };
    let Ok(Statement::Genesis { genesis }) = Statement::from_bytes(&signed.bytes.0) else {
        return Err(corrupt("it does not begin with a genesis".into()));
    };
    let by_roots = signed_by_roots(
        &genesis.roots,
        genesis.threshold,
        &signed.bytes.0,
        &signed.signatures,
    );
    let mut keys = Keys {
        roots: genesis.roots.clone(),
        threshold: genesis.threshold,
        history: KeyHistory::at_genesis(&genesis.roots, genesis.log_key),
    };
    let mut leaves = [registry.root_leaves.as_slice(), &registry.key_leaves].concat();
    leaves.sort_unstable();
    for leaf in leaves {
        let envelope = Records(content).envelope(leaf)?;
        let body = envelope.and_then(|bytes| Body::from_bytes(&bytes).ok());
        let stored = Records(content).leaf(leaf)?;
        let stored = stored.and_then(|record| Leaf::from_bytes(&record.leaf.0).ok());
        let after = match (&body, stored) {
            (Some(Body::Root { signed }), Some(stored)) => {
                keys.after(signed, (leaf, stored.t_ms), registry)
            }
            _ => None,
        };
        keys = after.ok_or_else(|| {
            corrupt(format!(
                "leaf {leaf} does not change the keys by the word of the roots before"
            ))
        })?;
    }
    let named = (
        genesis.prefix,
        genesis.cluster,
        genesis.incarnation,
        &keys.roots,
        keys.threshold,
        &keys.history,
    );
    let goes_by = (
        registry.prefix,
        registry.cluster,
        registry.incarnation,
        &registry.roots,
        registry.threshold,
        &registry.keys,
    );
    if !by_roots || named != goes_by {
        return Err(corrupt(
            "its registry is not the one of its genesis, or no root signed that".into(),
        ));
    }
    Ok(())
}

/// Every leaf, in order; the tree over them, tile by tile; and its root at each of the sizes that were promised.
fn tree(content: &dyn KvRead, registry: &Registry, marks: &[GoodHead]) -> Result<(), StorageFault> {
    let size = registry.tree.size();
    let mut grown = Frontier::new();
    let mut tiles = Tiles::default();
    while grown.size() < size {
        let from = grown.size();
        let to = size.min(from + PAGE_COUNT as u64);
        let (low, high) = (keys::leaf(from), keys::leaf(to));
        let leaves = content.scan(Family::Entries, &low, Some(&high), PAGE_COUNT)?;
        if leaves.len() != (to - from) as usize {
            return Err(corrupt(format!("leaves are missing from index {from} on")));
        }
        for (index, leaf) in (from..).zip(&leaves) {
            if leaf.0 != keys::leaf(index) {
                return Err(corrupt(format!("leaf {index} is missing")));
            }
            let record = leaves::of_stored(&Records(content), index, &leaf.1)?;
            tiles.take(content, &grown.append(leaf_bytes_hash(&record.leaf.0)))?;
            for mark in marks {
                if mark.size == grown.size() && mark.root != grown.root() {
                    return Err(corrupt(format!(
                        "the root of size {} is not the one that was sealed",
                        mark.size
                    )));
                }
            }
        }
    }
    tiles.end(content)?;
    if grown != registry.tree {
        return Err(corrupt(
            "the tree's edge is not the one over its leaves".into(),
        ));
    }
    if let Some(mark) = marks.iter().find(|mark| mark.size > size) {
        return Err(corrupt(format!(
            "size {} was sealed, and it has {size} leaves",
            mark.size
        )));
    }
    Ok(())
}

/// The tiles over the leaves so far: of each level the one that grows, with its index.
#[derive(Default)]
struct Tiles(Vec<(u64, Vec<[u8; 32]>)>);

impl Tiles {
    /// Takes the subtrees that a leaf completed; compares each tile that is full with the one received.
    fn take(&mut self, content: &dyn KvRead, complete: &[Node]) -> Result<(), StorageFault> {
        for node in complete {
            if !node.level.is_multiple_of(keys::TILE_LEVELS) {
                continue;
            }
            let level = usize::from(node.level / keys::TILE_LEVELS);
            if self.0.len() <= level {
                self.0.push((0, Vec::new()));
            }
            let (index, hashes) = &mut self.0[level];
            hashes.push(node.hash.0);
            if hashes.len() as u64 == keys::TILE_COUNT {
                compare(content, level, *index, hashes)?;
                *index += 1;
                hashes.clear();
            }
        }
        Ok(())
    }

    /// Compares the tiles that are not full, and finds none beyond them.
    fn end(&self, content: &dyn KvRead) -> Result<(), StorageFault> {
        let mut expected = 0;
        for (level, (index, hashes)) in self.0.iter().enumerate() {
            expected += *index as usize;
            if !hashes.is_empty() {
                expected += 1;
                compare(content, level, *index, hashes)?;
            }
        }
        let (mut from, mut found) = (Vec::new(), 0);
        loop {
            let page = content.scan(Family::Tree, &from, None, PAGE_COUNT)?;
            found += page.len();
            match page.last() {
                Some((last, _)) => from = [&last[..], &[0]].concat(),
                None => break,
            }
        }
        match found == expected {
            true => Ok(()),
            false => Err(corrupt(format!(
                "it has {found} tiles, and its leaves make {expected}"
            ))),
        }
    }
}

/// Compares the tile received with the one over the leaves.
fn compare(
    content: &dyn KvRead,
    level: usize,
    index: u64,
    hashes: &[[u8; 32]],
) -> Result<(), StorageFault> {
    let key = keys::tile(level as u8, index);
    let stored = content.get(Family::Tree, &key)?.unwrap_or_default();
    if stored.is_empty() || tile_of_stored(level as u8, index, &stored)? != hashes {
        return Err(corrupt(format!(
            "tile {index} of level {level} of the tree is not the one over its leaves"
        )));
    }
    Ok(())
}

/// The keys of a registry at one of its leaves.
struct Keys {
    roots: Vec<PublicKey>,
    threshold: u8,
    history: KeyHistory,
}

impl Keys {
    /// Those after a leaf that changes them, if the roots before stated it. With which head a key ended, a leaf does not say: the
    /// registry does, and its tree has that head.
    fn after(&self, signed: &Signed, place: (u64, TimeMs), registry: &Registry) -> Option<Self> {
        match Statement::from_bytes(&signed.bytes.0).ok()? {
            Statement::Roots { change } => {
                let follows = change.follows(&self.roots, self.threshold, signed);
                let history = self.history.with_roots(&change.roots, place).ok()?;
                follows.then_some(Self {
                    roots: change.roots,
                    threshold: change.threshold,
                    history,
                })
            }
            Statement::Keys { order } => {
                let (bytes, signatures) = (&signed.bytes.0, &signed.signatures);
                let by_roots = signed_by_roots(&self.roots, self.threshold, bytes, signatures);
                let last_good = |key: &PublicKey| {
                    let mut keys = registry.keys.all().iter();
                    keys.find(|entry| entry.key == *key)?.end?.last_good
                };
                let history = self.history.with_steps(&order, place, last_good).ok()?;
                by_roots.then(|| Self {
                    roots: self.roots.clone(),
                    history,
                    ..*self
                })
            }
            _ => None,
        }
    }
}

/// The signature under the published size.
fn published(registry: &Registry) -> Result<(), StorageFault> {
    let Some(published) = &registry.published else {
        return match registry.checkpoint.is_empty() {
            true => Ok(()),
            false => Err(corrupt(
                "it has a checkpoint of a size that was not published".into(),
            )),
        };
    };
    let origin = Origin {
        prefix: registry.prefix,
        incarnation: registry.incarnation,
    };
    let opened = registry
        .keys
        .open_seen(&registry.checkpoint, &origin)
        .map_err(|error| corrupt(format!("its checkpoint is not signed: {error}")))?;
    let checkpoint = opened.checkpoint();
    if (checkpoint.size, checkpoint.root) != (published.size, published.root) {
        return Err(corrupt(format!(
            "its checkpoint is of size {}, and size {} was published",
            checkpoint.size, published.size
        )));
    }
    Ok(())
}

/// The map, as of the newest seal: its last leaf is the map head, which names the map's root.
fn sealed_map(content: &dyn KvRead, registry: &Registry) -> Result<(), StorageFault> {
    let root = map::recompute(&Whole(&Records(content))).map_err(|fault| match fault {
        WalkFault::Map(MapFault::Store(fault)) => fault_of(fault),
        other => corrupt(other.to_string()),
    })?;
    let Some(sealed) = &registry.sealed else {
        return match root == Digest::ZERO {
            true => Ok(()),
            false => Err(corrupt("it has a map, and nothing was sealed".into())),
        };
    };
    if root != sealed.map_root {
        return Err(corrupt(format!(
            "the map's root at size {} is not the one that was sealed",
            sealed.size
        )));
    }
    let head = sealed
        .size
        .checked_sub(1)
        .map(|at| Records(content).leaf(at));
    let head = head.transpose()?.flatten();
    let head = head.and_then(|record| Leaf::from_bytes(&record.leaf.0).ok());
    if head.is_none_or(|leaf| leaf.kind != Kind::MapHead || leaf.record_root != root) {
        return Err(corrupt(format!(
            "the last leaf of size {} is not the head of the map",
            sealed.size
        )));
    }
    Ok(())
}
