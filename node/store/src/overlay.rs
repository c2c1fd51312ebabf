//! The ledger of one apply: reads of the engine under writes that are not committed yet.
//!
//! The rules see their own writes at once; the engine sees them as one batch.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::head::Head;
use carnet_domain::log::map::{Page, PagePath};
use carnet_domain::log::merkle::Node;
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::Members;
use carnet_domain::record::audited::AuditAnchors;
use carnet_domain::record::denied::DenyList;
use carnet_domain::record::due::Due;
use carnet_domain::record::ledger::{Ledger, LooseChain, MapChanges};
use carnet_domain::record::peer::Peer;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::session::{Session, StoredAnswer};
use carnet_domain::record::told::{ToldBy, Untold};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{
    Against, ApprovalStatus, Claim, Ends, Enterprise, EnterpriseStatus, Fitting, Holder, Maker,
    Model, Parked, ParkedPlace, Recall, RecallId, Robot, Signer,
};
use carnet_domain::rules::command::TransferId;

use crate::compare::Written;
use crate::engine::{Batch, KvRead, Pair};
use crate::families::Family;
use crate::fault::StorageFault;
use crate::kept::{self, Kept};
use crate::keys;
use crate::leaves;
use crate::records::{self, RECORD_VERSION, Records, plain_to_stored, to_stored};

/// Answers whether this node has verified a signature before.
pub trait Verified: Send + Sync {
    /// `true` only for a digest that was noted after a successful verification in this process.
    fn knows(&self, what: &Digest) -> bool;
}

/// Changes of one family; `None` deletes.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Disjoint ranges of keys: the first of each, and the first after it.
type Ranges = BTreeMap<Vec<u8>, Vec<u8>>;

/// Uncommitted writes over an engine.
pub struct Overlay<'a> {
    base: &'a dyn KvRead,
    verified: &'a dyn Verified,
    /// By family, in the order of [`Family::ALL`].
    changes: Vec<Changes>,
    /// By family, as the changes: what the base holds in it is gone.
    cleared: Vec<Ranges>,
    registry: Option<Registry>,
    registry_changed: bool,
    members: Members,
    seen: Mutex<Seen>,
    written: Written,
    kept: Kept,
    /// What each leaf that was appended changes in the state map.
    appended: Vec<MapChanges>,
    /// Pages of the map that were written and are to be kept.
    pages: Vec<kept::Written>,
    #[cfg(feature = "planted")]
    differs: bool,
}

/// What an overlay leaves behind.
pub struct Finished {
    /// Its writes.
    pub batch: Batch,
    /// The registry after them.
    pub registry: Option<Registry>,
    /// The digest of writes it was given, with its own. The registry is not in it but at seals: how often it is written
    /// depends on how the log was cut.
    pub written: Written,
    /// What each leaf that was appended changes in the state map, in their order.
    pub appended: Vec<MapChanges>,
    /// Pages of the map that are to be kept once the batch is committed.
    pub(crate) pages: Vec<kept::Written>,
}

/// The text in a robot's record at which a planted difference shows itself.
#[cfg(feature = "planted")]
pub const PLANTED_MARK: &str = "planted: differs";

/// What nearly every command asks for again, decoded once for all entries of one overlay.
#[derive(Default)]
struct Seen {
    enterprises: BTreeMap<EnterpriseId, Option<Enterprise>>,
    models: BTreeMap<ModelId, Option<Model>>,
    /// Few at a time come with registrations; the oldest makes way.
    makers: VecDeque<(Maker, Option<EnterpriseId>)>,
    /// As many as sign the entries of one overlay.
    signers: BTreeMap<KeyId, Option<Signer>>,
    /// The session of the newest request: those of one client come in a row.
    session: Option<Session>,
    /// The robot that was read or written last.
    robot: Option<(Code, Before)>,
}

/// What stood of a robot before it is written.
#[derive(Clone, Copy)]
struct Before {
    is_there: bool,
    is_counted: bool,
}

/// The most makers of which the enterprise is remembered.
const MAKERS_SEEN_MAX: usize = 16;

impl<'a> Overlay<'a> {
    /// Nothing written yet; `registry` is the newest one, if there is one. Writes are taken up into no digest.
    pub fn new(
        base: &'a dyn KvRead,
        verified: &'a dyn Verified,
        registry: Option<Registry>,
    ) -> Self {
        Self::noting(base, verified, registry, Written::unknown())
    }

    /// As [`Self::new`]; writes are taken up into `written`.
    pub fn noting(
        base: &'a dyn KvRead,
        verified: &'a dyn Verified,
        registry: Option<Registry>,
        written: Written,
    ) -> Self {
        Self {
            base,
            verified,
            changes: vec![Changes::new(); Family::ALL.len()],
            cleared: vec![Ranges::new(); Family::ALL.len()],
            registry,
            registry_changed: false,
            members: Members::default(),
            seen: Mutex::default(),
            written,
            kept: Kept::default(),
            appended: Vec::new(),
            pages: Vec::new(),
            #[cfg(feature = "planted")]
            differs: false,
        }
    }

    /// With what is kept of the base.
    #[must_use]
    pub(crate) fn keeping(self, kept: Kept) -> Self {
        Self { kept, ..self }
    }

    /// With the planted fault of a replica that writes one byte of a marked record differently.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn differing(self, differs: bool) -> Self {
        Self { differs, ..self }
    }

    /// The registry as changed so far.
    pub(crate) fn known_registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// Says who votes, and who is a member, at the entries that are applied from here on.
    pub fn set_members(&mut self, members: Members) {
        self.members = members;
    }

    /// The record that was applied is complete.
    pub(crate) fn end_record(&mut self) {
        self.written.end_record();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writes as a batch, and what comes with them.
    pub fn finish(mut self) -> Finished {
        if let (true, Some(registry)) = (self.registry_changed, &self.registry) {
            let stored = to_stored(registry);
            self.changes[Family::Meta as usize].insert(keys::REGISTRY.to_vec(), Some(stored));
        }
        let changes = Family::ALL
            .iter()
            .zip(self.changes)
            .flat_map(|(family, changes)| {
                let of_family = changes.into_iter();
                of_family.map(|(key, value)| (*family, key, value))
            })
            .collect();
        let cleared = Family::ALL
            .iter()
            .zip(self.cleared)
            .flat_map(|(family, ranges)| {
                let of_family = ranges.into_iter();
                of_family.map(|(from, to)| (*family, from, to))
            })
            .collect();
        Finished {
            batch: Batch { cleared, changes },
            registry: self.registry,
            written: self.written,
            appended: self.appended,
            pages: self.pages,
        }
    }

    fn set(&mut self, family: Family, key: Vec<u8>, value: Option<Vec<u8>>) {
        #[cfg(feature = "planted")]
        let value = match self.differs && family == Family::Robots {
            true => value.map(differently),
            false => value,
        };
        self.written.note(family, &key, value.as_deref());
        self.kept.note(family, &key);
        self.changes[family as usize].insert(key, value);
    }

    /// Removes a range of keys without reading the base. No two ranges of an overlay may overlap in part.
    fn clear(&mut self, family: Family, from: Vec<u8>, to: Vec<u8>) {
        self.written.note(family, &from, None);
        // Bounded by what this overlay wrote.
        self.changes[family as usize]
            .extract_if(from.clone()..to.clone(), |_, _| true)
            .for_each(drop);
        self.cleared[family as usize].insert(from, to);
    }

    /// Whether the base's value of a key does not count any more.
    fn is_cleared(&self, family: Family, key: &[u8]) -> bool {
        self.cleared_from(family, key)
            .is_some_and(|to| key < to.as_slice())
    }

    /// The end of the last cleared range that begins at or before a key.
    fn cleared_from(&self, family: Family, key: &[u8]) -> Option<&Vec<u8>> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        let mut ranges = self.cleared[family as usize].range::<[u8], _>(upto);
        ranges.next_back().map(|(_, to)| to)
    }

    /// What is left of `from <= key < to` between the cleared ranges, ascending.
    fn uncleared<'k>(
        &'k self,
        family: Family,
        from: &'k [u8],
        to: Option<&'k [u8]>,
    ) -> Vec<(&'k [u8], Option<&'k [u8]>)> {
        let mut left = Vec::new();
        let mut next = self
            .cleared_from(family, from)
            .map_or(from, |to| from.max(to));
        let above = (Bound::Excluded(from), Bound::Unbounded);
        for (low, high) in self.cleared[family as usize].range::<[u8], _>(above) {
            if to.is_some_and(|to| to <= low.as_slice()) {
                break;
            }
            if next < low.as_slice() {
                left.push((next, Some(low.as_slice())));
            }
            next = next.max(high);
        }
        left.push((next, to));
        left
    }

    /// As [`KvRead::scan`] of the base, without what was cleared.
    fn scan_base(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        let mut found = Vec::new();
        for (from, to) in self.uncleared(family, from, to) {
            found.extend(self.base.scan(family, from, to, count_max - found.len())?);
        }
        Ok(found)
    }

    /// As [`KvRead::last`] of the base, without what was cleared.
    fn last_base(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        for (from, to) in self.uncleared(family, from, to).into_iter().rev() {
            if let Some(found) = self.base.last(family, from, to)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn changed(&self, family: Family, from: &[u8]) -> Range<'_, Vec<u8>, Option<Vec<u8>>> {
        self.changes[family as usize].range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
    }

    /// Puts the hash of a subtree into its place at the end of its tile. The tile grows where it stands: it is neither read
    /// from the base nor written again for every leaf. Only the hash is noted, since where a batch ends is each replica's
    /// own business.
    fn put_in_tile(&mut self, node: &Node) -> Result<(), StorageFault> {
        let level = node.level / keys::TILE_LEVELS;
        let (tile, place) = (node.index / keys::TILE_COUNT, node.index % keys::TILE_COUNT);
        let key = keys::tile(level, tile);
        let position = keys::tile(level, node.index);
        self.written
            .note(Family::Tree, &position, Some(&node.hash.0));
        if !matches!(self.changes[Family::Tree as usize].get(&key), Some(Some(_))) {
            let before = match place {
                0 => plain_to_stored(&[]),
                _ => self.base.get(Family::Tree, &key)?.unwrap_or_default(),
            };
            self.changes[Family::Tree as usize].insert(key.clone(), Some(before));
        }
        let Some(Some(grown)) = self.changes[Family::Tree as usize].get_mut(&key) else {
            return Err(StorageFault::Invariant("a tile was put and is gone".into()));
        };
        // The version, and the hashes before this one.
        if grown.len() as u64 != 1 + 32 * place {
            let detail = format!("a tile that does not end before place {place}");
            let fault = records::corrupt(Family::Tree, &key, detail);
            self.base.damaged(&fault);
            return Err(fault);
        }
        grown.extend(node.hash.0);
        Ok(())
    }

    /// What stands of a robot that is to be written.
    fn before(&self, key: &[u8], robot: &Robot) -> Result<Before, StorageFault> {
        let code = robot.identity.code;
        let seen = self.seen().robot.filter(|(seen, _)| *seen == code);
        // Only what came over a border can have had a record that did not count: the others are not read for it.
        let is_domestic = robot.custody.epoch == 0;
        let before = match seen {
            Some((_, before)) => before,
            None if is_domestic => Before {
                is_there: self.get(Family::Robots, key)?.is_some(),
                is_counted: false,
            },
            None => {
                let stored = Records(self).robot(&code)?;
                Before {
                    is_there: stored.is_some(),
                    is_counted: stored.is_some_and(|before| before.is_counted()),
                }
            }
        };
        Ok(Before {
            is_counted: before.is_counted || (is_domestic && before.is_there),
            ..before
        })
    }

    /// Notes how a robot's record speaks against it. Most records never do: a row is looked for only where there was a record
    /// before, and written only where it differs.
    fn put_against(
        &mut self,
        code: &Code,
        against: Option<Against>,
        had_record: bool,
    ) -> Result<(), StorageFault> {
        let key = keys::against(code);
        let before = match had_record {
            true => self.get(Family::Index, &key)?,
            false => None,
        };
        let now = against.as_ref().map(to_stored);
        if before != now {
            self.set(Family::Index, key, now);
        }
        Ok(())
    }

    /// Enters something in a list of the index, or takes it out; written only where that changes.
    fn list(&mut self, key: Vec<u8>, is_in: bool) -> Result<(), StorageFault> {
        let was_in = self.get(Family::Index, &key)?.is_some();
        if was_in != is_in {
            let place = is_in.then(|| plain_to_stored(&[]));
            self.set(Family::Index, key, place);
        }
        Ok(())
    }

    fn put(&mut self, family: Family, key: Vec<u8>, record: &impl Canonical) {
        self.set(family, key, Some(to_stored(record)));
    }
}

/// The record with the last byte of the mark in it changed, if the mark is in it.
#[cfg(feature = "planted")]
fn differently(mut record: Vec<u8>) -> Vec<u8> {
    let mark = PLANTED_MARK.as_bytes();
    if let Some(at) = record.windows(mark.len()).position(|text| text == mark) {
        record[at + mark.len() - 1] ^= 1;
    }
    record
}

impl KvRead for Overlay<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        match self.changes[family as usize].get(key) {
            Some(changed) => Ok(changed.clone()),
            None if self.is_cleared(family, key) || self.kept.lacks(family, key) => Ok(None),
            None => self.base.get(family, key),
        }
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        let within = |key: &Vec<u8>| to.is_none_or(|to| key.as_slice() < to);
        let changed: Vec<(&Vec<u8>, &Option<Vec<u8>>)> = self
            .changed(family, from)
            .take_while(|(key, _)| within(key))
            .collect();
        if changed.is_empty() {
            return self.scan_base(family, from, to, count_max);
        }
        // Deletions can hide as many pairs as there are changes, so that many more are read below.
        let below_max = count_max.saturating_add(changed.len());
        let below = self.scan_base(family, from, to, below_max)?;
        let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> = below
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        merged.extend(
            changed
                .into_iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        Ok(merged
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .take(count_max)
            .collect())
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        let below = self.last_base(family, from, to)?;
        let below =
            below.filter(|(key, _)| !matches!(self.changes[family as usize].get(key), Some(None)));
        let within = |key: &Vec<u8>| to.is_none_or(|to| key.as_slice() < to);
        let above = self
            .changed(family, from)
            .take_while(|(key, _)| within(key))
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .last();
        // Nothing that `last` serves is ever deleted, so the newest of both is the answer.
        Ok(match (below, above) {
            (Some(below), Some(above)) => Some(if below.0 < above.0 { above } else { below }),
            (one, other) => one.or(other),
        })
    }

    fn damaged(&self, fault: &StorageFault) {
        self.base.damaged(fault);
    }
}

macro_rules! reads {
    ($($name:ident ( $($arg:ident : $type:ty),* ) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Result<$out, StorageFault> {
            Records(self).$name($($arg),*)
        })*
    };
}

impl Overlay<'_> {
    /// That a row is missing which what else is there speaks of.
    fn missing(&self, family: Family, key: &[u8]) -> StorageFault {
        let fault = records::corrupt(family, key, "it is missing");
        self.base.damaged(&fault);
        fault
    }
}

impl Ledger for Overlay<'_> {
    type Fault = StorageFault;

    fn registry(&self) -> Result<Option<Registry>, StorageFault> {
        Ok(self.registry.clone())
    }

    fn put_registry(&mut self, registry: Registry) -> Result<(), StorageFault> {
        self.registry = Some(registry);
        self.registry_changed = true;
        Ok(())
    }

    fn members(&self) -> Result<Members, StorageFault> {
        Ok(self.members.clone())
    }

    reads! {
        part_holder(identity: &Digest) -> Option<Fitting>;
        count_of_model(model: &ModelId) -> u64;
        ends(identity: &Digest) -> Option<Ends>;
        claim(peer: &Prefix, identity: &Digest) -> Option<Claim>;
        claims_of(peer: &Prefix) -> u64;
        claim_at(peer: &Prefix, place: u32) -> Option<Digest>;
        models_of(id: &EnterpriseId) -> Vec<Model>;
        deny_list() -> DenyList;
        audit_anchors() -> AuditAnchors;
        recall(id: &RecallId) -> Option<Recall>;
        recalls_of(model: &ModelId) -> Vec<Recall>;
        loose_chain(code: &Code) -> Option<LooseChain>;
        transfer(id: &TransferId) -> Option<Transfer>;
        consignment(from: &Prefix, ucr: &str) -> Option<TransferId>;
        peer(prefix: &Prefix) -> Option<Peer>;
        peers() -> Vec<Peer>;
        parked(peer: &Prefix, item: u64) -> Option<Parked>;
        parked_of(peer: &Prefix) -> Vec<ParkedPlace>;
        parked_behind(subject: &Digest) -> Vec<ParkedPlace>;
        offers_of(peer: &Prefix, enterprise: &EnterpriseId) -> u64;
        told_by(holder: &Holder) -> Option<ToldBy>;
        untold(about: &Digest) -> Option<Untold>;
        due(rule: u16, before: TimeMs, count_max: usize) -> Vec<Due>;
        sessions_of(subject: &str) -> Vec<Session>;
        answer(session: u64, place: u32, first_item: u32) -> Option<StoredAnswer>;
        leaf(index: u64) -> Option<LeafRecord>;
        leaves(from: u64, to: u64, count_max: usize) -> Vec<LeafRecord>;
        head_of(key: &Digest) -> Option<Head>;
    }

    fn robot(&self, code: &Code) -> Result<Option<Robot>, StorageFault> {
        let found = Records(self).robot(code)?;
        let before = Before {
            is_there: found.is_some(),
            is_counted: found.as_ref().is_some_and(Robot::is_counted),
        };
        self.seen().robot = Some((*code, before));
        Ok(found)
    }

    fn map_changes(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
    ) -> Result<Vec<MapChanges>, StorageFault> {
        let unsealed = self.kept.unsealed.as_ref();
        let kept = unsealed.and_then(|kept| kept.changes(&self.appended, (from, to), count_max));
        match kept {
            Some(changes) => Ok(changes),
            None => Records(self).map_changes(from, to, count_max),
        }
    }

    fn enterprise_of(&self, maker: &Maker) -> Result<Option<EnterpriseId>, StorageFault> {
        let of_maker = |seen: &&(Maker, Option<EnterpriseId>)| seen.0 == *maker;
        if let Some((_, known)) = self.seen().makers.iter().find(of_maker) {
            return Ok(*known);
        }
        let found = Records(self).enterprise_of(maker)?;
        let makers = &mut self.seen().makers;
        makers.truncate(MAKERS_SEEN_MAX - 1);
        makers.push_front((maker.clone(), found));
        Ok(found)
    }

    fn enterprise(&self, id: &EnterpriseId) -> Result<Option<Enterprise>, StorageFault> {
        if let Some(known) = self.seen().enterprises.get(id) {
            return Ok(known.clone());
        }
        let found = Records(self).enterprise(id)?;
        self.seen().enterprises.insert(*id, found.clone());
        Ok(found)
    }

    fn signer(&self, id: &KeyId) -> Result<Option<Signer>, StorageFault> {
        if let Some(known) = self.seen().signers.get(id) {
            return Ok(known.clone());
        }
        let found = Records(self).signer(id)?;
        self.seen().signers.insert(*id, found.clone());
        Ok(found)
    }

    fn session(&self, id: u64) -> Result<Option<Session>, StorageFault> {
        if let Some(known) = &self.seen().session
            && known.id == id
        {
            return Ok(Some(known.clone()));
        }
        let found = Records(self).session(id)?;
        self.seen().session = found.clone();
        Ok(found)
    }

    fn model(&self, id: &ModelId) -> Result<Option<Model>, StorageFault> {
        if let Some(known) = self.seen().models.get(id) {
            return Ok(known.clone());
        }
        let found = Records(self).model(id)?;
        self.seen().models.insert(*id, found.clone());
        Ok(found)
    }

    fn put_robot(&mut self, robot: Robot) -> Result<(), StorageFault> {
        let code = robot.identity.code;
        let key = keys::robot(&code);
        let before = self.before(&key, &robot)?;
        let own = self.registry.as_ref().map(|registry| registry.prefix);
        // Without a registry there is no other.
        let me = own.unwrap_or(code.prefix());
        self.put_against(&code, robot.against(&me), before.is_there)?;
        let is_counted = robot.is_counted();
        if is_counted && !before.is_counted {
            let model = code.model_id();
            let count = Records(self).count_of_model(&model)? + 1;
            self.put(Family::Index, keys::count_of_model(&model), &count);
        }
        self.put(Family::Robots, key, &robot);
        let now = Before {
            is_there: true,
            is_counted,
        };
        self.seen().robot = Some((code, now));
        Ok(())
    }

    fn drop_robot(&mut self, code: &Code) -> Result<(), StorageFault> {
        self.set(Family::Robots, keys::robot(code), None);
        self.seen().robot = None;
        self.put_against(code, None, true)
    }

    fn put_part_holder(
        &mut self,
        identity: &Digest,
        holder: Option<&Fitting>,
    ) -> Result<(), StorageFault> {
        self.set(Family::Index, keys::part(identity), holder.map(to_stored));
        Ok(())
    }

    fn put_ends(&mut self, identity: &Digest, ends: Ends) -> Result<(), StorageFault> {
        self.put(Family::Ended, keys::ends(identity), &ends);
        Ok(())
    }

    fn put_claim(
        &mut self,
        peer: &Prefix,
        identity: &Digest,
        claim: Option<Claim>,
    ) -> Result<(), StorageFault> {
        let claim = claim.as_ref().map(to_stored);
        self.set(Family::Ended, keys::claim(peer, identity), claim);
        Ok(())
    }

    fn put_claims_of(&mut self, peer: &Prefix, count: u64) -> Result<(), StorageFault> {
        self.put(Family::Ended, keys::claims_of(peer), &count);
        Ok(())
    }

    fn put_claim_at(
        &mut self,
        peer: &Prefix,
        place: u32,
        identity: &Digest,
    ) -> Result<(), StorageFault> {
        self.put(Family::Ended, keys::claim_at(peer, place), identity);
        Ok(())
    }

    fn put_enterprise(&mut self, enterprise: Enterprise) -> Result<(), StorageFault> {
        self.seen().makers.clear();
        let inactive = enterprise.status != EnterpriseStatus::Active;
        self.list(keys::inactive(&enterprise.id), inactive)?;
        self.put(
            Family::Index,
            keys::enterprise_of(&enterprise.maker),
            &enterprise.id,
        );
        self.put(
            Family::Enterprises,
            keys::enterprise(&enterprise.id),
            &enterprise,
        );
        self.seen()
            .enterprises
            .insert(enterprise.id, Some(enterprise));
        Ok(())
    }

    fn put_model(&mut self, model: Model) -> Result<(), StorageFault> {
        let fallen = model.status != ApprovalStatus::Approved;
        self.list(keys::fallen_model(&model.id), fallen)?;
        self.put(Family::Models, keys::model(&model.id), &model);
        self.seen().models.insert(model.id, Some(model));
        Ok(())
    }

    fn put_signer(&mut self, signer: Signer) -> Result<(), StorageFault> {
        self.put(Family::Offices, keys::signer(&signer.id), &signer);
        self.seen().signers.insert(signer.id, Some(signer));
        Ok(())
    }

    fn put_audit_anchors(&mut self, anchors: AuditAnchors) -> Result<(), StorageFault> {
        self.put(Family::Meta, keys::AUDITED.to_vec(), &anchors);
        Ok(())
    }

    fn put_deny_list(&mut self, list: DenyList) -> Result<(), StorageFault> {
        self.put(Family::Meta, keys::DENIED.to_vec(), &list);
        Ok(())
    }

    fn put_recall(&mut self, recall: Recall) -> Result<(), StorageFault> {
        let before = self.recall(&recall.notice.id)?;
        let before = before.map_or_else(Vec::new, |before| before.found_under());
        let after = recall.found_under();
        let key = |model| keys::recall_of(model, &recall.notice.id);
        for model in before.iter().filter(|model| !after.contains(model)) {
            self.set(Family::Recalls, key(model), None);
        }
        for model in after.iter().filter(|model| !before.contains(model)) {
            self.set(Family::Recalls, key(model), Some(plain_to_stored(&[])));
        }
        self.put(Family::Recalls, keys::recall(&recall.notice.id), &recall);
        Ok(())
    }

    fn put_loose_chain(
        &mut self,
        code: &Code,
        chain: Option<LooseChain>,
    ) -> Result<(), StorageFault> {
        let key = keys::loose(code);
        match chain {
            Some(chain) => self.put(Family::Transfers, key, &chain),
            // Most robots never had one: a deletion is written only where there is something to delete.
            None if self.get(Family::Transfers, &key)?.is_some() => {
                self.set(Family::Transfers, key, None)
            }
            None => {}
        }
        Ok(())
    }

    fn put_transfer(&mut self, transfer: Transfer) -> Result<(), StorageFault> {
        let before = Records(self).transfer(&transfer.id)?;
        let before = before.as_ref().map_or_else(Vec::new, keys::index_of);
        let after = keys::index_of(&transfer);
        for key in before.iter().filter(|key| !after.contains(key)) {
            self.set(Family::Transfers, key.clone(), None);
        }
        for key in after.into_iter().filter(|key| !before.contains(key)) {
            self.set(Family::Transfers, key, Some(plain_to_stored(&[])));
        }
        self.put(Family::Transfers, keys::transfer(&transfer.id), &transfer);
        Ok(())
    }

    fn put_offers_of(
        &mut self,
        peer: &Prefix,
        enterprise: &EnterpriseId,
        count: u64,
    ) -> Result<(), StorageFault> {
        let kept = (count > 0).then(|| to_stored(&count));
        self.set(Family::Transfers, keys::offers_of(peer, enterprise), kept);
        Ok(())
    }

    fn put_told_by(&mut self, holder: &Holder, told: ToldBy) -> Result<(), StorageFault> {
        self.put(Family::Transfers, keys::told_by(holder), &told);
        Ok(())
    }

    fn put_untold(&mut self, about: &Digest, news: Option<Untold>) -> Result<(), StorageFault> {
        let kept = news.as_ref().map(to_stored);
        self.set(Family::Transfers, keys::untold(about), kept);
        Ok(())
    }

    fn put_due(&mut self, due: &Due, stands: bool) -> Result<(), StorageFault> {
        let row = stands.then(|| plain_to_stored(&[]));
        self.set(Family::Transfers, keys::due(due), row);
        Ok(())
    }

    fn put_peer(&mut self, peer: Peer) -> Result<(), StorageFault> {
        let Some(primary) = peer.bundle.primary() else {
            return Err(StorageFault::Invariant("a peer without a prefix".into()));
        };
        self.put(Family::Peers, keys::peer(&primary), &peer);
        Ok(())
    }

    fn post(&mut self, peer: &Prefix, sequence: u64, leaf_index: u64) -> Result<(), StorageFault> {
        self.set(
            Family::Mailboxes,
            keys::mail(peer, sequence),
            Some(plain_to_stored(&leaf_index.to_be_bytes())),
        );
        Ok(())
    }

    fn put_parked(
        &mut self,
        peer: &Prefix,
        item: u64,
        parked: Option<Parked>,
    ) -> Result<(), StorageFault> {
        let parked = parked.as_ref().map(to_stored);
        self.set(Family::Inboxes, keys::parked(peer, item), parked);
        Ok(())
    }

    fn put_parked_of(
        &mut self,
        peer: &Prefix,
        places: Vec<ParkedPlace>,
    ) -> Result<(), StorageFault> {
        self.put(Family::Inboxes, keys::parked_of(peer), &places);
        Ok(())
    }

    fn put_parked_behind(
        &mut self,
        subject: &Digest,
        places: Vec<ParkedPlace>,
    ) -> Result<(), StorageFault> {
        let places = (!places.is_empty()).then(|| to_stored(&places));
        self.set(Family::Inboxes, keys::parked_behind(subject), places);
        Ok(())
    }

    fn put_session(&mut self, session: Session) -> Result<(), StorageFault> {
        // It enters the list of its subject when it is opened, and stays there.
        if session.highest == 0 {
            self.set(
                Family::Sessions,
                keys::session_of(&session.subject, session.id),
                Some(plain_to_stored(&[])),
            );
        }
        self.put(Family::Sessions, keys::session(session.id), &session);
        self.seen().session = Some(session);
        Ok(())
    }

    fn close_session(&mut self, id: u64) -> Result<(), StorageFault> {
        self.seen().session = None;
        let Some(session) = Records(self).session(id)? else {
            return Ok(());
        };
        self.set(
            Family::Sessions,
            keys::session_of(&session.subject, id),
            None,
        );
        self.set(Family::Sessions, keys::session(id), None);
        // Not one by one: a session may hold more answers than memory does, and this is a part of `apply`. What runs
        // out of memory here would do so on every replica, at every start.
        let (from, to) = keys::answers(id);
        self.clear(Family::Sessions, from, to);
        Ok(())
    }

    fn put_answer(
        &mut self,
        session: u64,
        place: u32,
        first_item: u32,
        answer: StoredAnswer,
    ) -> Result<(), StorageFault> {
        self.put(
            Family::Sessions,
            keys::answer(session, place, first_item),
            &answer,
        );
        Ok(())
    }

    fn append(&mut self, index: u64, record: LeafRecord) -> Result<(), StorageFault> {
        let stored = leaves::to_stored(index, &record);
        self.appended.push(record.map);
        self.set(Family::Entries, keys::leaf(index), Some(stored));
        Ok(())
    }

    fn put_head(&mut self, key: &Digest, head: Head) -> Result<(), StorageFault> {
        self.put(Family::Heads, keys::head(key), &head);
        Ok(())
    }

    fn put_envelope(&mut self, index: u64, envelope: Vec<u8>) -> Result<(), StorageFault> {
        let stored = Some(plain_to_stored(&envelope));
        self.set(Family::Envelopes, keys::envelope(index), stored);
        Ok(())
    }

    fn put_nodes(&mut self, _: u64, complete: &[Node]) -> Result<(), StorageFault> {
        let of_tiles = |node: &&Node| node.level.is_multiple_of(keys::TILE_LEVELS);
        for node in complete.iter().filter(of_tiles) {
            self.put_in_tile(node)?;
        }
        Ok(())
    }

    fn leaf_hash(&self, index: u64) -> Result<Option<Digest>, StorageFault> {
        let found = Records(self).subtree(0, index)?;
        let of_tree = |registry: &Registry| index < registry.tree.size();
        if found.is_none() && self.registry.as_ref().is_some_and(of_tree) {
            let key = keys::tile(0, index / keys::TILE_COUNT);
            return Err(self.missing(Family::Tree, &key));
        }
        Ok(found)
    }

    fn subtree(&self, level: u8, index: u64) -> Result<Option<Digest>, StorageFault> {
        Records(self).subtree(level, index)
    }

    fn page(&self, path: &PagePath) -> Result<Option<Page>, StorageFault> {
        // What is kept is the base's: a seal ends its batch, so that no page is asked for after it was written.
        if self.pages.is_empty()
            && let Some(known) = self.kept.page(path)
        {
            return Ok(Some(known));
        }
        let found = Records(self).page(path)?;
        // The rules ask only for what the page above speaks of, and for the root, which the first seal writes.
        let sealed = || {
            let registry = self.registry.as_ref();
            registry.is_some_and(|registry| registry.sealed.is_some())
        };
        if found.is_none() && (*path != PagePath::ROOT || sealed()) {
            return Err(self.missing(Family::Map, &path.to_bytes()));
        }
        Ok(found)
    }

    fn put_page(&mut self, path: &PagePath, page: Option<Page>) -> Result<(), StorageFault> {
        let stored = page.as_ref().map(|page| {
            let mut stored = vec![RECORD_VERSION];
            page.write(&mut stored);
            stored
        });
        self.set(Family::Map, path.to_bytes(), stored);
        if let Some(page) = page.filter(|_| Kept::keeps(path)) {
            self.pages.push((*path, page));
        }
        Ok(())
    }

    fn verified_before(&self, what: &Digest) -> bool {
        self.verified.knows(what)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::memory::MemoryEngine;

    struct NothingVerified;

    impl Verified for NothingVerified {
        fn knows(&self, _: &Digest) -> bool {
            false
        }
    }

    /// The digest of what is written by this.
    fn digest(act: impl FnOnce(&mut Overlay<'_>)) -> Bytes {
        let engine = MemoryEngine::new();
        let mut overlay = Overlay::noting(&engine, &NothingVerified, None, Written::nothing());
        act(&mut overlay);
        let mut written = overlay.finish().written;
        written.seal(b"registry");
        written.at_seal().expect("everything was seen")
    }

    /// The first `count` leaves of a tree, the one at `other` with another hash; put into tiles.
    fn tree(count: u64, other: Option<u64>) -> Bytes {
        digest(|overlay| {
            let mut frontier = carnet_domain::log::merkle::Frontier::new();
            for index in 0..count {
                let hash = Digest([u8::from(other == Some(index)); 32]);
                let complete = frontier.append(hash);
                overlay.put_nodes(index, &complete).expect("a write");
            }
        })
    }

    #[test]
    fn a_difference_in_any_family_differs_in_the_digest_of_writes() {
        let mut all = vec![digest(|_| {})];
        for family in Family::ALL {
            let value = |value: u8| Some(vec![1, value]);
            all.push(digest(|it| it.set(*family, b"key".to_vec(), value(1))));
            all.push(digest(|it| it.set(*family, b"key".to_vec(), value(2))));
            all.push(digest(|it| it.set(*family, b"kez".to_vec(), value(1))));
            all.push(digest(|it| it.set(*family, b"key".to_vec(), None)));
            let both = (b"kex".to_vec(), b"key".to_vec());
            all.push(digest(|it| it.clear(*family, both.0, both.1)));
        }
        // The hash of any leaf, and with it that of the subtree of 256 that it is in.
        all.extend([None, Some(0), Some(255), Some(256)].map(|other| tree(257, other)));
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "number {at} is as one before it");
        }
    }
}
