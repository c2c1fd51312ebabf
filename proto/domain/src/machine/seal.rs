//! Sealing and publishing: the map head closes the tree at a size, and a signature of that size is taken up.

use std::collections::BTreeMap;

use super::{Authorised, Run, refused, rule};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Blob;
use crate::log::checkpoint::{Checkpoint, Origin, open};
use crate::log::leaf::{Expansion, Kind, Subject, leaf_seed};
use crate::log::map::{self, MapFault, Page, PagePath, Pages};
use crate::log::stored::LeafRecord;
use crate::machine::entry::{Body, ItemAnswer};
use crate::planted::Planted;
use crate::record::event::{After, Event};
use crate::record::keys::KeySignature;
use crate::record::ledger::Ledger;
use crate::record::registry::{Registry, Sealed};
use crate::record::{
    EnterpriseStatus, Model, ModelStanding, Recall, RecallNotice, standing_digest,
};
use crate::rules::rejection::{Detail, Reason};

/// Leaves whose changes of the map are read at once, so that memory stays bounded however late a seal is.
const CHANGES_READ_MAX: usize = 1_024;

/// The ledger as the map reads it.
struct LedgerPages<'a, L>(&'a L);

impl<L: Ledger> Pages for LedgerPages<'_, L> {
    type Fault = L::Fault;
    fn page(&self, path: &PagePath) -> Result<Option<Page>, L::Fault> {
        self.0.page(path)
    }
}

/// The standing of a model's maker, with the event that is being recorded taken into account.
fn maker<L: Ledger>(
    ledger: &L,
    model: &Model,
    event: Option<&Event>,
) -> Result<EnterpriseStatus, L::Fault> {
    let owner = model.id.enterprise_id();
    if let Some(After::Enterprise(changed)) = event.map(|event| &event.after)
        && changed.id == owner
    {
        return Ok(changed.status);
    }
    let known = ledger.enterprise(&owner)?;
    Ok(known.map_or(EnterpriseStatus::StruckOff, |known| known.status))
}

/// The recalls in force that name a model, ascending, with the event that is being recorded taken into account.
pub(super) fn recalls<L: Ledger>(
    ledger: &L,
    model: &Model,
    event: Option<&Event>,
) -> Result<Vec<RecallNotice>, L::Fault> {
    let mut recalls = ledger.recalls_of(&model.id)?;
    if let Some(After::Recall(recall)) = event.map(|event| &event.after) {
        recalls.retain(|other| other.notice.id != recall.notice.id);
        recalls.push(recall.clone());
    }
    let binds = |recall: &Recall| {
        let (notice, models) = recall.binding()?;
        models.contains(&model.id).then(|| notice.clone())
    };
    let mut recalls: Vec<_> = recalls.iter().filter_map(binds).collect();
    recalls.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(recalls)
}

/// What the map shows of a model as its digest: of its recalls it reads nothing but what the record keeps of them.
pub(super) fn facts<L: Ledger>(
    ledger: &L,
    model: &Model,
    event: Option<&Event>,
) -> Result<Digest, L::Fault> {
    let status = (model.status, maker(ledger, model, event)?);
    let numbers = (model.facts.level, model.facts.safety_class);
    Ok(standing_digest(status, numbers, &model.recalls))
}

/// What the map shows of a model now.
///
/// # Errors
/// The medium failed.
pub fn standing_now<L: Ledger>(ledger: &L, model: &Model) -> Result<ModelStanding, L::Fault> {
    Ok(ModelStanding {
        approval: model.status,
        enterprise: maker(ledger, model, None)?,
        level: model.facts.level,
        safety_class: model.facts.safety_class,
        recalls: recalls(ledger, model, None)?,
    })
}

/// A size of the log that has two roots: the one this replica came to, and the one that the log's key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction {
    /// Tree size.
    pub size: u64,
    /// Root that this replica sealed or published.
    pub own: Digest,
    /// Root that the committed, signed entry names.
    pub named: Digest,
}

/// Whether an entry to be applied proves that this replica's log is not the one that was signed.
///
/// Pure, like everything here: whoever applies entries must stop at `Some` instead of applying the entry. A size that is
/// no longer the newest is an honest latecomer, and a root that the log's key did not sign proves nothing: both are
/// `None` here and refused by `apply`.
pub fn contradiction(registry: &Registry, body: &Body) -> Option<Contradiction> {
    let Body::Publish {
        size,
        root,
        signatures,
    } = body
    else {
        return None;
    };
    let known = [&registry.sealed, &registry.published];
    let mut known = known.into_iter().flatten();
    let own = known.find(|sealed| sealed.size == *size)?.root;
    if own == *root {
        return None;
    }
    signed(registry, *size, root, signatures).map(|_| Contradiction {
        size: *size,
        own,
        named: *root,
    })
}

/// The checkpoint of a size, if these are the signatures of the log's keys under it: while one follows another, of both, so that
/// whoever knows one of them believes it.
fn signed(
    registry: &Registry,
    size: u64,
    root: &Digest,
    signatures: &[KeySignature],
) -> Option<String> {
    let origin = Origin {
        prefix: registry.prefix,
        incarnation: registry.incarnation,
    };
    let checkpoint = Checkpoint {
        origin,
        size,
        root: *root,
    };
    let named: Vec<_> = signatures.iter().map(|signed| signed.key).collect();
    if named.is_empty() || named != registry.keys.signers_of(size) {
        return None;
    }
    let lines = signatures.iter().map(|one| (&one.key, &one.signature));
    let text = checkpoint.assemble_all(lines).into_text();
    let mut keys = named.iter();
    keys.all(|key| open(&text, key, &origin).is_ok())
        .then_some(text)
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Appends the map head and closes the tree, if there is something new or the idle interval passed.
    pub(super) fn seal(&mut self) -> Result<ItemAnswer, L::Fault> {
        let from = self
            .registry
            .sealed
            .as_ref()
            .map_or(0, |sealed| sealed.size);
        let idle = self
            .registry
            .sealed
            .as_ref()
            // saturates: an idle time beyond the last instant never passes
            .is_none_or(|sealed| sealed.at.saturating_add(self.registry.seal_idle) <= self.now);
        if self.registry.unsealed == 0 && !idle {
            return Ok(ItemAnswer::Nothing {});
        }
        let mut changes = BTreeMap::new();
        let (mut from, to) = (from, self.registry.tree.size());
        while from < to {
            let leaves = self.ledger.map_changes(from, to, CHANGES_READ_MAX)?;
            assert!(
                !leaves.is_empty(),
                "leaf {from} of {to} is missing on this replica"
            );
            from = from
                .checked_add(leaves.len() as u64)
                .expect("leaves lie below the size of the tree");
            changes.extend(leaves.into_iter().flatten());
        }
        let mut map_root = self.update_map(&changes)?;
        if self.planted.has_other_root() {
            map_root.0[0] ^= 1;
        }
        let subject = Subject::map_head(&self.registry.prefix);
        let seed = leaf_seed(&self.seed, self.ordinal);
        let authorised = Authorised::system(rule::MAP_HEAD, &self.registry.tree.size());
        let before = self.registry.map_head;
        let auth = Expansion::of(&seed).auth(authorised.class, &authorised.digest);
        let (head, leaf) = self.leaf(Kind::MapHead, &subject, before, map_root, auth);
        self.append(
            head,
            LeafRecord {
                leaf: Blob(leaf),
                seed,
                values: Vec::new(),
                map: Vec::new(),
                class: authorised.class,
                envelope: head.leaf_index,
                item: 0,
                before: before.map(|head| head.leaf_index),
                jump: head.jumps.nearest(),
                step_before: None,
            },
        )?;
        self.registry.map_head = Some(head);
        self.registry.unsealed = 0;
        self.registry.sealed = Some(Sealed {
            size: self.registry.tree.size(),
            root: self.registry.tree.root(),
            map_root,
            at: self.now,
        });
        Ok(ItemAnswer::Done {
            leaf_index: head.leaf_index,
            leaf_hash: head.leaf_hash,
            sequence: head.seq,
            waits: false,
        })
    }

    fn update_map(&mut self, changes: &BTreeMap<Digest, Digest>) -> Result<Digest, L::Fault> {
        let (root, pages) = match map::update(&LedgerPages(&self.ledger), changes) {
            Ok(updated) => updated,
            Err(MapFault::Store(fault)) => return Err(fault),
            Err(MapFault::Missing(path)) => {
                panic!("the state map on this replica is broken: no page at {path:?}")
            }
        };
        for (path, page) in pages {
            self.ledger.put_page(&path, Some(page))?;
        }
        Ok(root)
    }

    /// Takes up the signature of a sealed size.
    pub(super) fn publish(
        &mut self,
        size: u64,
        root: &Digest,
        signatures: &[KeySignature],
    ) -> Result<ItemAnswer, L::Fault> {
        let sealed = self
            .registry
            .sealed
            .clone()
            .filter(|sealed| sealed.size == size && sealed.root == *root);
        let newer = self
            .registry
            .published
            .as_ref()
            .is_none_or(|published| published.size < size);
        let Some(sealed) = sealed.filter(|_| newer) else {
            return Ok(refused(Reason::NotSealed, Detail::Size { size }));
        };
        let Some(text) = signed(&self.registry, size, root, signatures) else {
            return Ok(refused(Reason::BadSignature, Detail::Size { size }));
        };
        self.registry.published = Some(sealed);
        self.registry.checkpoint = text;
        Ok(ItemAnswer::Nothing {})
    }
}
