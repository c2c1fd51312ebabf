//! Typed reads over the engine: every record of a registry by its key.
//!
//! A value is a version byte and what belongs to the family, nearly always a record in canonical bytes. A newer version
//! than this binary knows stops the node, by name.

use std::ops::ControlFlow;

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Canonical, Decoder};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Step;
use carnet_domain::custody::movement::Movement;
use carnet_domain::custody::trail::{TrailError, trail, walk};
use carnet_domain::log::head::{Head, jump_from};
use carnet_domain::log::map::{Page, PagePath};
use carnet_domain::log::merkle::tree_root;
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::record::audited::AuditAnchors;
use carnet_domain::record::denied::DenyList;
use carnet_domain::record::due::Due;
use carnet_domain::record::ledger::{LooseChain, MapChanges};
use carnet_domain::record::peer::Peer;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::session::{Session, StoredAnswer};
use carnet_domain::record::told::{ToldBy, Untold};
use carnet_domain::record::transfer::{Stage, Transfer};
use carnet_domain::record::{
    Against, Claim, Ended, Ends, Enterprise, Fitting, Holder, Maker, Model, Parked, ParkedPlace,
    Recall, RecallId, Robot, Signer,
};
use carnet_domain::rules::command::TransferId;

use crate::engine::{KvRead, Pair};
use crate::families::Family;
use crate::fault::StorageFault;
use crate::keys::{self, Facet};
use crate::leaves::{self, Earlier};
use crate::skips::Skipped;
pub(crate) use crate::stored::corrupt;
pub use crate::stored::{
    RECORD_VERSION, fault_of, of_stored, plain_of_stored, plain_to_stored, to_stored,
};

/// The version of the registry's record in its own bytes: the one record that is read before the level is known.
const REGISTRY_VERSION: u64 = 1;
/// The most movements of one robot that are read at once.
pub const MOVEMENTS_MAX: usize = 1_000;
/// Steps of a trail that are looked through for those that crossed a border.
pub const STEPS_READ_MAX: usize = 10_000;

/// Custody steps of a robot, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trail {
    /// The newest of them.
    pub movements: Vec<Movement>,
    /// Whether there are older ones.
    pub older_left_out: bool,
}

/// The most skipped entries that a node compares proposals with.
pub const SKIPPED_MAX: usize = 16;

/// Pairs that are read at once while records are looked through: so many may lie in memory beside what is kept of them.
const PIECE_COUNT: usize = 16;

/// How much one read gives: it ends at whichever is reached first, and gives at least one record if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The most records.
    pub count: usize,
    /// The most bytes of them, as they are stored.
    pub bytes: usize,
}

impl Bound {
    /// So many, of any size.
    #[must_use]
    pub fn count(count: usize) -> Self {
        Self {
            count,
            bytes: usize::MAX,
        }
    }

    /// Whether one more of a size fits behind so many of so many bytes.
    #[must_use]
    pub fn fits(&self, count: usize, bytes: usize, one: usize) -> bool {
        let room = self.bytes.checked_sub(bytes);
        count == 0 || (count < self.count && room.is_some_and(|room| one <= room))
    }
}

/// Some records in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// Some of a list, ascending by key.
    pub records: Vec<T>,
    /// Whether others follow them.
    pub more: bool,
}

/// What transfers are looked for under, and since when they stand where they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Under {
    /// What kind of value.
    pub facet: Facet,
    /// Its bytes, as [`Facet`] says.
    pub value: Vec<u8>,
    /// From this time on.
    pub since: TimeMs,
    /// Before this time; none for any.
    pub before: Option<TimeMs>,
}

/// The version that a record names in its own bytes: the first of its elements.
fn version_of(bytes: &[u8]) -> Option<u64> {
    let mut decoder = Decoder::new(bytes);
    decoder.array().ok()?;
    decoder.uint().ok()
}

/// Whether this binary knows the feature level that a registry stands at.
///
/// # Errors
/// [`StorageFault::Newer`]: it must not serve, nor apply what comes.
pub fn knows_level(registry: &Registry) -> Result<(), StorageFault> {
    match registry.level {
        level if level <= Level::KNOWN => Ok(()),
        level => Err(StorageFault::Newer(format!(
            "the registry stands at feature level {level}, this binary knows {}; use a newer binary",
            Level::KNOWN
        ))),
    }
}

/// Of an index entry, whose key says everything.
fn nothing_of_stored(family: Family, key: &[u8], bytes: &[u8]) -> Result<(), StorageFault> {
    match plain_of_stored(family, key, bytes)? {
        [] => Ok(()),
        rest => Err(corrupt(
            family,
            key,
            format!("{} bytes too many", rest.len()),
        )),
    }
}

/// Where to go on in [`Records::recalls_by_model`].
#[derive(Debug, Clone)]
pub enum BehindRecalls {
    /// At the first.
    Nothing,
    /// At the first of this enterprise's models.
    AllBefore(EnterpriseId),
    /// At the one after this recall of this model.
    Recall(ModelId, RecallId),
    /// Behind all of this enterprise's models.
    Maker(EnterpriseId),
    /// Behind all of this registry's models.
    Registry(Prefix),
}

/// At least the bytes of a leaf that is shown with all its slots.
fn shown_size(leaf: &LeafRecord) -> usize {
    let values = leaf.values.iter().flatten();
    let values: usize = values.map(|value| value.0.len()).sum();
    // A digest or a salt and some framing for each slot.
    leaf.leaf.0.len() + values + leaf.values.len() * 48
}

/// The first key that begins with a prefix and stands behind another.
fn low_after(prefix: &[u8], after: Option<Vec<u8>>) -> Vec<u8> {
    prefix
        .to_vec()
        .max(after.map(keys::next).unwrap_or_default())
}

/// Typed reads of one moment.
pub struct Records<'a>(pub &'a dyn KvRead);

impl<'a> Records<'a> {
    fn one<T: Canonical>(&self, family: Family, key: &[u8]) -> Result<Option<T>, StorageFault> {
        self.0
            .get(family, key)?
            .map(|bytes| self.told(of_stored(family, key, &bytes)))
            .transpose()
    }

    /// Tells of damage before it is answered.
    fn told<T>(&self, found: Result<T, StorageFault>) -> Result<T, StorageFault> {
        if let Err(fault) = &found {
            self.0.damaged(fault);
        }
        found
    }

    fn all<T: Canonical>(
        &self,
        family: Family,
        prefix: &[u8],
        count_max: usize,
    ) -> Result<Vec<T>, StorageFault> {
        let end = keys::after_prefix(prefix);
        let pairs = self.0.scan(family, prefix, end.as_deref(), count_max)?;
        let records = pairs
            .iter()
            .map(|(key, value)| self.told(of_stored(family, key, value)));
        records.collect()
    }

    /// Shows records with `low <= key < end`, each with its stored size, until told to stop. Whether it came to the end.
    ///
    /// They are read a few at a time: what is shown and not kept does not add up.
    fn walk<T: Canonical>(
        &self,
        family: Family,
        mut low: Vec<u8>,
        end: Option<&[u8]>,
        mut show: impl FnMut(usize, T) -> ControlFlow<()>,
    ) -> Result<bool, StorageFault> {
        loop {
            let pairs = self.0.scan(family, &low, end, PIECE_COUNT)?;
            let whole = pairs.len() < PIECE_COUNT;
            for (key, value) in pairs {
                let record = self.told(of_stored(family, &key, &value))?;
                if show(value.len(), record).is_break() {
                    return Ok(false);
                }
                low = keys::next(key);
            }
            if whole {
                return Ok(true);
            }
        }
    }

    fn part<T: Canonical>(
        &self,
        family: Family,
        low: Vec<u8>,
        end: Option<&[u8]>,
        bound: Bound,
    ) -> Result<Part<T>, StorageFault> {
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        let whole = self.walk(family, low, end, |size, record| {
            if !bound.fits(records.len(), bytes, size) {
                return ControlFlow::Break(());
            }
            bytes += size;
            records.push(record);
            ControlFlow::Continue(())
        })?;
        Ok(Part {
            records,
            more: !whole,
        })
    }

    /// Records whose keys begin with a prefix, after the key of one of them, ascending.
    fn part_after<T: Canonical>(
        &self,
        family: Family,
        prefix: &[u8],
        after: Option<Vec<u8>>,
        bound: Bound,
    ) -> Result<Part<T>, StorageFault> {
        let end = keys::after_prefix(prefix);
        self.part(family, low_after(prefix, after), end.as_deref(), bound)
    }

    /// The registry; `None` before its genesis.
    pub fn registry(&self) -> Result<Option<Registry>, StorageFault> {
        let Some(bytes) = self.0.get(Family::Meta, keys::REGISTRY)? else {
            return Ok(None);
        };
        let plain = plain_of_stored(Family::Meta, keys::REGISTRY, &bytes)?;
        let version = version_of(plain);
        if version.is_some_and(|version| version > REGISTRY_VERSION) {
            return Err(StorageFault::Newer(format!(
                "the registry's record has version {}, this binary knows {REGISTRY_VERSION}; use a newer binary",
                version.unwrap_or_default()
            )));
        }
        let read = Registry::from_bytes(plain);
        let read = read.map_err(|error| corrupt(Family::Meta, keys::REGISTRY, error));
        let registry = self.told(read)?;
        knows_level(&registry)?;
        Ok(Some(registry))
    }

    /// A log entry that the roots had skipped.
    pub fn skipped(&self, log_index: u64) -> Result<Option<Skipped>, StorageFault> {
        self.one(Family::Meta, &keys::skipped(log_index))
    }

    /// The newest log entries that the roots had skipped, at most [`SKIPPED_MAX`] of them.
    pub fn all_skipped(&self) -> Result<Vec<Skipped>, StorageFault> {
        let mut all: Vec<Skipped> = self.all(Family::Meta, keys::SKIPPED, usize::MAX)?;
        Ok(all.split_off(all.len().saturating_sub(SKIPPED_MAX)))
    }

    /// A robot by its code, provisional records too; `None` if nothing is recorded of it here.
    pub fn robot(&self, code: &Code) -> Result<Option<Robot>, StorageFault> {
        self.one(Family::Robots, &keys::robot(code))
    }

    /// Robots under a prefix of the code, after one of them, in order.
    pub fn robots_under(
        &self,
        text: &str,
        after: Option<&Code>,
        bound: Bound,
    ) -> Result<Part<Robot>, StorageFault> {
        let Some((low, high)) = keys::robots_under(text) else {
            return Ok(Part {
                records: Vec::new(),
                more: false,
            });
        };
        let end = keys::after_prefix(&high);
        let low = low.max(
            after
                .map(|code| keys::next(keys::robot(code)))
                .unwrap_or_default(),
        );
        self.part(Family::Robots, low, end.as_deref(), bound)
    }

    /// The robot that a body or part is fitted in.
    pub fn part_holder(&self, identity: &Digest) -> Result<Option<Fitting>, StorageFault> {
        self.one(Family::Index, &keys::part(identity))
    }

    /// How many robots of a model have a record.
    pub fn count_of_model(&self, model: &ModelId) -> Result<u64, StorageFault> {
        let count = self.one(Family::Index, &keys::count_of_model(model))?;
        Ok(count.unwrap_or(0))
    }

    /// What is known of the end of an identity.
    pub fn ends(&self, identity: &Digest) -> Result<Option<Ends>, StorageFault> {
        self.one(Family::Ended, &keys::ends(identity))
    }

    /// Identities whose end is known or claimed, after one of them, in order, with the end that every verdict shows.
    pub fn ends_after(
        &self,
        after: Option<&Digest>,
        count_max: usize,
    ) -> Result<Vec<(Digest, Option<Ended>)>, StorageFault> {
        let all = keys::ENDS;
        let end = keys::after_prefix(all);
        let low = after.map_or_else(|| all.to_vec(), |after| keys::next(keys::ends(after)));
        let pairs = self
            .0
            .scan(Family::Ended, &low, end.as_deref(), count_max)?;
        let row = |(key, bytes): &Pair| {
            let ends: Ends = of_stored(Family::Ended, key, bytes)?;
            let identity = key.get(all.len()..).and_then(|key| key.try_into().ok());
            let identity =
                identity.ok_or_else(|| corrupt(Family::Ended, key, "a key of another length"))?;
            Ok((Digest(identity), ends.shown().cloned()))
        };
        self.told(pairs.iter().map(row).collect())
    }

    /// Robots whose records speak against them, and how, after one of them, in order.
    pub fn against_after(
        &self,
        after: Option<&Code>,
        count_max: usize,
    ) -> Result<Vec<(Code, Against)>, StorageFault> {
        let end = keys::after_prefix(keys::AGAINST);
        let low = match after {
            Some(code) => keys::next(keys::against(code)),
            None => keys::AGAINST.to_vec(),
        };
        let pairs = self
            .0
            .scan(Family::Index, &low, end.as_deref(), count_max)?;
        let row = |(key, bytes): &Pair| {
            let code = key.get(keys::AGAINST.len()..).unwrap_or_default();
            let code = code.try_into().ok().map(|code| Code::from_key(&code));
            let code = code.and_then(Result::ok);
            let code = code.ok_or_else(|| corrupt(Family::Index, key, "it names no code"))?;
            Ok((code, of_stored(Family::Index, key, bytes)?))
        };
        self.told(pairs.iter().map(row).collect())
    }

    /// A peer's claim that an identity ended.
    pub fn claim(&self, peer: &Prefix, identity: &Digest) -> Result<Option<Claim>, StorageFault> {
        self.one(Family::Ended, &keys::claim(peer, identity))
    }

    /// How many claims of a peer were ever kept.
    pub fn claims_of(&self, peer: &Prefix) -> Result<u64, StorageFault> {
        let count = self.one(Family::Ended, &keys::claims_of(peer))?;
        Ok(count.unwrap_or(0))
    }

    /// The identity of the claim in a place of the ring of a peer's claims.
    pub fn claim_at(&self, peer: &Prefix, place: u32) -> Result<Option<Digest>, StorageFault> {
        self.one(Family::Ended, &keys::claim_at(peer, place))
    }

    /// An enterprise by prefix and code; `None` if it was never accredited here.
    pub fn enterprise(&self, id: &EnterpriseId) -> Result<Option<Enterprise>, StorageFault> {
        self.one(Family::Enterprises, &keys::enterprise(id))
    }

    /// The enterprise that was accredited last as a maker.
    pub fn enterprise_of(&self, maker: &Maker) -> Result<Option<EnterpriseId>, StorageFault> {
        self.one(Family::Index, &keys::enterprise_of(maker))
    }

    /// Enterprises whose id begins with a text, after one of them, ascending.
    pub fn enterprises_under(
        &self,
        text: &str,
        after: Option<&EnterpriseId>,
        bound: Bound,
    ) -> Result<Part<Enterprise>, StorageFault> {
        let after = after.map(keys::enterprise);
        self.part_after(Family::Enterprises, text.as_bytes(), after, bound)
    }

    /// A type approval by the first 12 characters of a code, in force or not.
    pub fn model(&self, id: &ModelId) -> Result<Option<Model>, StorageFault> {
        self.one(Family::Models, &keys::model(id))
    }

    /// Models whose id begins with a text, after one of them, ascending.
    pub fn models_under(
        &self,
        text: &str,
        after: Option<&ModelId>,
        bound: Bound,
    ) -> Result<Part<Model>, StorageFault> {
        let after = after.map(keys::model);
        self.part_after(Family::Models, text.as_bytes(), after, bound)
    }

    /// Models of an enterprise.
    pub fn models_of(&self, id: &EnterpriseId) -> Result<Vec<Model>, StorageFault> {
        let all = self.models_under(id.as_str(), None, Bound::count(usize::MAX))?;
        Ok(all.records)
    }

    /// A signing key.
    pub fn signer(&self, id: &KeyId) -> Result<Option<Signer>, StorageFault> {
        self.one(Family::Offices, &keys::signer(id))
    }

    /// The certificates that are refused.
    pub fn deny_list(&self) -> Result<DenyList, StorageFault> {
        let list = self.one(Family::Meta, keys::DENIED)?;
        Ok(list.unwrap_or_default())
    }

    /// Where the nodes' chains of audit stood.
    pub fn audit_anchors(&self) -> Result<AuditAnchors, StorageFault> {
        let anchors = self.one(Family::Meta, keys::AUDITED)?;
        Ok(anchors.unwrap_or_default())
    }

    /// A recall by issuer and number, of this registry or told by a peer.
    pub fn recall(&self, id: &RecallId) -> Result<Option<Recall>, StorageFault> {
        self.one(Family::Recalls, &keys::recall(id))
    }

    /// All recalls after one of them, ascending.
    pub fn recalls(
        &self,
        after: Option<&RecallId>,
        bound: Bound,
    ) -> Result<Part<Recall>, StorageFault> {
        self.part_after(Family::Recalls, b"n", after.map(keys::recall), bound)
    }

    /// Recalls that have not ended, each under every model for which it is found, in the order of the models.
    pub fn recalls_by_model(
        &self,
        behind: &BehindRecalls,
        count_max: usize,
    ) -> Result<Vec<(ModelId, RecallId)>, StorageFault> {
        let beyond = |text: &str| keys::after_prefix(&keys::recalls_under(text));
        let low = match behind {
            BehindRecalls::Nothing => Some(keys::recalls_under("")),
            BehindRecalls::AllBefore(maker) => Some(keys::recalls_under(maker.as_str())),
            BehindRecalls::Recall(model, recall) => {
                Some(keys::next(keys::recall_of(model, recall)))
            }
            BehindRecalls::Maker(maker) => beyond(maker.as_str()),
            BehindRecalls::Registry(prefix) => beyond(prefix.as_str()),
        };
        let (Some(low), Some(end)) = (low, beyond("")) else {
            return Ok(Vec::new());
        };
        let pairs = self.0.scan(Family::Recalls, &low, Some(&end), count_max)?;
        let row = |(key, value): &Pair| {
            nothing_of_stored(Family::Recalls, key, value)?;
            keys::recall_of_in(key)
                .ok_or_else(|| corrupt(Family::Recalls, key, "it names no recall of a model"))
        };
        self.told(pairs.iter().map(row).collect())
    }

    /// Models that are not approved, after one of them, in order.
    pub fn fallen_models(
        &self,
        after: Option<&ModelId>,
        count_max: usize,
    ) -> Result<Vec<ModelId>, StorageFault> {
        let read = |text: &str| ModelId::parse(text).ok();
        let after = after.map(keys::fallen_model);
        self.listed(keys::FALLEN_MODELS, after, count_max, read)
    }

    /// Enterprises that are not active, after one of them, in order.
    pub fn inactive_enterprises(
        &self,
        after: Option<&EnterpriseId>,
        count_max: usize,
    ) -> Result<Vec<EnterpriseId>, StorageFault> {
        let read = |text: &str| EnterpriseId::parse(text).ok();
        let after = after.map(keys::inactive);
        self.listed(keys::INACTIVE, after, count_max, read)
    }

    fn listed<T>(
        &self,
        list: &[u8],
        after: Option<Vec<u8>>,
        count_max: usize,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, StorageFault> {
        let end = keys::after_prefix(list);
        let low = after.map_or_else(|| list.to_vec(), keys::next);
        let pairs = self
            .0
            .scan(Family::Index, &low, end.as_deref(), count_max)?;
        let row = |(key, value): &Pair| {
            nothing_of_stored(Family::Index, key, value)?;
            let text = key.get(list.len()..);
            let text = text.and_then(|text| std::str::from_utf8(text).ok());
            text.and_then(&read)
                .ok_or_else(|| corrupt(Family::Index, key, "it names nothing that is listed there"))
        };
        self.told(pairs.iter().map(row).collect())
    }

    /// Recalls that name a model and have not ended.
    pub fn recalls_of(&self, model: &ModelId) -> Result<Vec<Recall>, StorageFault> {
        let prefix = keys::recalls_of(model);
        let end = keys::after_prefix(&prefix);
        let mut out = Vec::new();
        for (key, value) in self
            .0
            .scan(Family::Recalls, &prefix, end.as_deref(), usize::MAX)?
        {
            self.told(nothing_of_stored(Family::Recalls, &key, &value))?;
            let named = keys::recall_named(&key[prefix.len()..]);
            out.extend(self.one(Family::Recalls, &named)?);
        }
        Ok(out)
    }

    /// Custody of a robot without a record.
    pub fn loose_chain(&self, code: &Code) -> Result<Option<LooseChain>, StorageFault> {
        self.one(Family::Transfers, &keys::loose(code))
    }

    /// A transfer by its number, going on or ended.
    pub fn transfer(&self, id: &TransferId) -> Result<Option<Transfer>, StorageFault> {
        self.one(Family::Transfers, &keys::transfer(id))
    }

    /// A transfer of a consignment that one country declared: rows stand by stage, so one that is open comes first.
    pub fn consignment(
        &self,
        from: &Prefix,
        ucr: &str,
    ) -> Result<Option<TransferId>, StorageFault> {
        let under = keys::found_under(Facet::Consignment, &keys::of_consignment(from, ucr));
        let end = keys::after_prefix(&under);
        let first = self.0.scan(Family::Transfers, &under, end.as_deref(), 1)?;
        let mut rows = first.iter().map(|(key, value)| self.index_row(key, value));
        Ok(rows.next().transpose()?.map(|(_, id)| id))
    }

    /// Transfers found under a value that stand at a stage, by since when: those from a time on and before another, behind one of
    /// them; at most so many.
    pub fn found_under(
        &self,
        under: &Under,
        stage: Stage,
        behind: Option<(TimeMs, TransferId)>,
        count_max: usize,
    ) -> Result<Vec<(TimeMs, TransferId)>, StorageFault> {
        let prefix = keys::found_under(under.facet, &under.value);
        let at =
            |since: TimeMs| [&prefix[..], &[stage.number() as u8], &since.0.to_be_bytes()].concat();
        let low = at(under.since);
        let low = match behind {
            None => low,
            Some((since, id)) => low.max(keys::next([at(since), id.0.to_vec()].concat())),
        };
        let end = match under.before {
            Some(before) => Some(at(before)),
            None => keys::after_prefix(&[&prefix[..], &[stage.number() as u8]].concat()),
        };
        if end.as_ref().is_some_and(|end| *end <= low) {
            return Ok(Vec::new());
        }
        let rows = self
            .0
            .scan(Family::Transfers, &low, end.as_deref(), count_max)?;
        let rows = rows.iter().map(|(key, value)| self.index_row(key, value));
        rows.collect()
    }

    fn index_row(&self, key: &[u8], value: &[u8]) -> Result<(TimeMs, TransferId), StorageFault> {
        self.told(nothing_of_stored(Family::Transfers, key, value))?;
        let row = keys::index_row(key);
        let damaged = || corrupt(Family::Transfers, key, "it names no transfer");
        self.told(row.ok_or_else(damaged))
    }

    /// How many robots an enterprise offers a peer that wait.
    pub fn offers_of(&self, peer: &Prefix, enterprise: &EnterpriseId) -> Result<u64, StorageFault> {
        let count = self.one(Family::Transfers, &keys::offers_of(peer, enterprise))?;
        Ok(count.unwrap_or(0))
    }

    /// What a holder of keys told peers in the newest minute in which it told anything.
    pub fn told_by(&self, holder: &Holder) -> Result<Option<ToldBy>, StorageFault> {
        self.one(Family::Transfers, &keys::told_by(holder))
    }

    /// What waits to be told of something.
    pub fn untold(&self, about: &Digest) -> Result<Option<Untold>, StorageFault> {
        self.one(Family::Transfers, &keys::untold(about))
    }

    /// Deadlines that a rule ends and that lie before a time, the earliest first.
    pub fn due(
        &self,
        rule: u16,
        before: TimeMs,
        count_max: usize,
    ) -> Result<Vec<Due>, StorageFault> {
        let (from, to) = keys::due_before(rule, before);
        let rows = self
            .0
            .scan(Family::Transfers, &from, Some(&to), count_max)?;
        let mut found = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            self.told(nothing_of_stored(Family::Transfers, &key, &value))?;
            let due = keys::due_of(&key);
            let damaged = || corrupt(Family::Transfers, &key, "it names no deadline");
            found.push(self.told(due.ok_or_else(damaged))?);
        }
        Ok(found)
    }

    /// Shows transfers after one of them, by number, each with its stored size, until told to stop. Whether it came to the
    /// end. There is no index by whose they are.
    pub fn walk_transfers(
        &self,
        after: Option<&TransferId>,
        show: impl FnMut(usize, Transfer) -> ControlFlow<()>,
    ) -> Result<bool, StorageFault> {
        let low = low_after(b"t", after.map(keys::transfer));
        let end = keys::after_prefix(b"t");
        self.walk(Family::Transfers, low, end.as_deref(), show)
    }

    /// The trail of a robot, oldest first: its newest `wanted` custody steps, and whether there are older ones.
    pub fn movements(&self, code: &Code, wanted: usize) -> Result<Trail, StorageFault> {
        let mut found = Trail::default();
        let Some(registry) = self.registry()? else {
            return Ok(found);
        };
        let newest = self.head_of_robot(code)?.and_then(|head| head.step);
        // One more than is shown tells whether there is one.
        let walked = trail(self, registry.prefix, newest, wanted.saturating_add(1));
        found.movements = self.told(walked.map_err(of_trail))?;
        if found.movements.len() > wanted {
            found.movements.remove(0);
            found.older_left_out = true;
        }
        Ok(found)
    }

    /// The newest steps by which this registry let a robot go or took it over: which, and its leaf; oldest first, at most
    /// `wanted` of them. Offers and what becomes of them may be many more; of all steps the newest [`STEPS_READ_MAX`] are
    /// looked through.
    pub fn border_steps(
        &self,
        code: &Code,
        wanted: usize,
    ) -> Result<Vec<(Step, u64)>, StorageFault> {
        let Some(registry) = self.registry()? else {
            return Ok(Vec::new());
        };
        let newest = self.head_of_robot(code)?.and_then(|head| head.step);
        let (mut found, mut read) = (Vec::new(), 0);
        let walked = walk(self, registry.prefix, newest, |movement| {
            read += 1;
            let crosses = matches!(movement.step, Step::Depart | Step::Admit | Step::Return);
            if crosses && movement.writer == registry.prefix {
                found.push((movement.step, movement.leaf_index));
            }
            match found.len() < wanted && read < STEPS_READ_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        self.told(walked.map_err(of_trail))?;
        found.reverse();
        Ok(found)
    }

    /// A peer by its primary prefix.
    pub fn peer(&self, prefix: &Prefix) -> Result<Option<Peer>, StorageFault> {
        self.one(Family::Peers, &keys::peer(prefix))
    }

    /// All peers.
    pub fn peers(&self) -> Result<Vec<Peer>, StorageFault> {
        self.all(Family::Peers, b"", usize::MAX)
    }

    /// Peers after one of them, by their first prefix.
    pub fn peers_after(
        &self,
        after: Option<&Prefix>,
        bound: Bound,
    ) -> Result<Part<Peer>, StorageFault> {
        self.part_after(Family::Peers, b"", after.map(keys::peer), bound)
    }

    /// Whether there is a peer.
    pub fn has_peers(&self) -> Result<bool, StorageFault> {
        Ok(!self.0.scan(Family::Peers, b"", None, 1)?.is_empty())
    }

    /// Mailbox items of a peer from a sequence on: sequence and leaf index.
    pub fn mail(
        &self,
        peer: &Prefix,
        from: u64,
        count_max: usize,
    ) -> Result<Vec<(u64, u64)>, StorageFault> {
        let end = keys::after_prefix(peer.as_str().as_bytes());
        let pairs = self.0.scan(
            Family::Mailboxes,
            &keys::mail(peer, from),
            end.as_deref(),
            count_max,
        )?;
        pairs
            .iter()
            .map(|(key, value)| {
                let found = plain_of_stored(Family::Mailboxes, key, value);
                let found = found.and_then(|index| number(Family::Mailboxes, key, index));
                Ok((
                    number(Family::Mailboxes, key, &key[2..])?,
                    self.told(found)?,
                ))
            })
            .collect()
    }

    /// An item of a peer's mailbox that waits.
    pub fn parked(&self, peer: &Prefix, item: u64) -> Result<Option<Parked>, StorageFault> {
        self.one(Family::Inboxes, &keys::parked(peer, item))
    }

    /// Which items of a peer wait, the oldest first.
    pub fn parked_of(&self, peer: &Prefix) -> Result<Vec<ParkedPlace>, StorageFault> {
        let places = self.one(Family::Inboxes, &keys::parked_of(peer))?;
        Ok(places.unwrap_or_default())
    }

    /// Which items wait for the record of a robot to move.
    pub fn parked_behind(&self, subject: &Digest) -> Result<Vec<ParkedPlace>, StorageFault> {
        let places = self.one(Family::Inboxes, &keys::parked_behind(subject))?;
        Ok(places.unwrap_or_default())
    }

    /// A session that is open, by its number.
    pub fn session(&self, id: u64) -> Result<Option<Session>, StorageFault> {
        self.one(Family::Sessions, &keys::session(id))
    }

    /// Sessions of a subject.
    pub fn sessions_of(&self, subject: &str) -> Result<Vec<Session>, StorageFault> {
        let key = keys::session_of(subject, 0);
        let prefix = &key[..key.len() - 8];
        let end = keys::after_prefix(prefix);
        let mut out = Vec::new();
        for (key, value) in self
            .0
            .scan(Family::Sessions, prefix, end.as_deref(), usize::MAX)?
        {
            self.told(nothing_of_stored(Family::Sessions, &key, &value))?;
            let id = number(Family::Sessions, &key, &key[key.len() - 8..])?;
            out.extend(self.session(id)?);
        }
        Ok(out)
    }

    /// A stored answer.
    pub fn answer(
        &self,
        session: u64,
        place: u32,
        first_item: u32,
    ) -> Result<Option<StoredAnswer>, StorageFault> {
        self.one(Family::Sessions, &keys::answer(session, place, first_item))
    }

    /// A leaf of this log with its slots, by its index from 0.
    pub fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, StorageFault> {
        let stored = self.stored_leaf(index)?;
        let record = stored.map(|stored| self.told(leaves::of_stored(self, index, &stored)));
        record.transpose()
    }

    /// A leaf that something stored speaks of.
    fn leaf_there(&self, index: u64) -> Result<LeafRecord, StorageFault> {
        let found = self.leaf(index)?;
        self.told(found.ok_or_else(|| leaves::corrupt(index, "it is missing")))
    }

    /// Up to `count_max` leaves with `from <= index < to`, ascending. A hole ends them early.
    pub fn leaves(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
    ) -> Result<Vec<LeafRecord>, StorageFault> {
        self.each_leaf(from, to, count_max, |index, stored| {
            leaves::of_stored(self, index, stored)
        })
    }

    /// As [`Self::leaves`], of each only its hash, computed from what is stored of it.
    pub fn leaf_hashes(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
    ) -> Result<Vec<Digest>, StorageFault> {
        self.each_leaf(from, to, count_max, |index, stored| {
            leaves::hash_of_stored(self, index, stored)
        })
    }

    /// As [`Self::leaves`], of each only what it changes in the state map; a hole is damage.
    pub fn map_changes(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
    ) -> Result<Vec<MapChanges>, StorageFault> {
        let found = self.each_leaf(from, to, count_max, leaves::map_of_stored)?;
        let missing = from.saturating_add(found.len() as u64);
        match missing < to && found.len() < count_max {
            true => self.told(Err(leaves::corrupt(missing, "it is missing"))),
            false => Ok(found),
        }
    }

    fn each_leaf<T>(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
        of: impl Fn(u64, &[u8]) -> Result<T, StorageFault>,
    ) -> Result<Vec<T>, StorageFault> {
        let end = keys::leaf(to);
        let pairs = self
            .0
            .scan(Family::Entries, &keys::leaf(from), Some(&end), count_max)?;
        (from..)
            .zip(&pairs)
            .take_while(|(index, (key, _))| *key == keys::leaf(*index))
            .map(|(index, (_, value))| self.told(of(index, value)))
            .collect()
    }

    /// The newest leaf of a signing key or a peer, by the subject's key; all other records name their own.
    pub fn head_of(&self, key: &Digest) -> Result<Option<Head>, StorageFault> {
        self.one(Family::Heads, &keys::head(key))
    }

    /// The newest leaf of a robot, with or without a record here.
    pub fn head_of_robot(&self, code: &Code) -> Result<Option<Head>, StorageFault> {
        if let Some(head) = self.robot(code)?.and_then(|robot| robot.head) {
            return Ok(Some(head));
        }
        Ok(self.loose_chain(code)?.and_then(|loose| loose.head))
    }

    /// Leaves of a subject from its `seq` on, by its newest: at most `count_max`, ascending, each with its index.
    pub fn history(
        &self,
        newest: Option<Head>,
        from_seq: u64,
        count_max: usize,
    ) -> Result<Vec<(u64, LeafRecord)>, StorageFault> {
        let newest = newest.filter(|newest| from_seq <= newest.seq);
        let (Some(newest), Some(further)) = (newest, count_max.checked_sub(1)) else {
            return Ok(Vec::new());
        };
        let mut seq = newest.seq.min(from_seq.saturating_add(further as u64));
        let mut index = self.index_of(&newest, seq)?;
        let mut found = Vec::new();
        loop {
            let record = self.leaf_there(index)?;
            let before = record.before;
            found.push((index, record));
            if seq == from_seq {
                break;
            }
            seq -= 1;
            index = self.earlier(index, before)?;
        }
        found.reverse();
        Ok(found)
    }

    /// As [`Records::history`], within a bound; whether later leaves follow. It is read from the oldest on, a few at a time.
    pub fn history_part(
        &self,
        newest: Option<Head>,
        from_seq: u64,
        bound: Bound,
    ) -> Result<Part<LeafRecord>, StorageFault> {
        let (mut records, mut bytes, mut from) = (Vec::new(), 0_usize, from_seq);
        loop {
            let piece = self.history(newest, from, PIECE_COUNT)?;
            let Some(read) = u64::try_from(piece.len()).ok().filter(|read| *read != 0) else {
                return Ok(Part {
                    records,
                    more: false,
                });
            };
            for (_, leaf) in piece {
                let size = shown_size(&leaf);
                if !bound.fits(records.len(), bytes, size) {
                    return Ok(Part {
                        records,
                        more: true,
                    });
                }
                bytes += size;
                records.push(leaf);
            }
            let Some(next) = from.checked_add(read) else {
                return Ok(Part {
                    records,
                    more: false,
                });
            };
            from = next;
        }
    }

    /// Index of a subject's leaf by its `seq`, which is not above that of its newest: by jumps, and by steps back where a
    /// jump leads too far.
    fn index_of(&self, newest: &Head, seq: u64) -> Result<u64, StorageFault> {
        let (mut at, mut index) = (newest.seq, newest.leaf_index);
        while at > seq {
            let stored = self.stored_leaf(index)?;
            let stored = stored.ok_or_else(|| leaves::corrupt(index, "it is missing"));
            let links = stored.and_then(|stored| leaves::links_of_stored(index, &stored));
            let links = self.told(links)?;
            let (to, earlier) = match jump_from(at) {
                Some(to) if to >= seq => (to, links.jump),
                _ => (at - 1, links.before),
            };
            index = self.earlier(index, earlier)?;
            at = to;
        }
        Ok(index)
    }

    fn earlier(&self, index: u64, earlier: Option<u64>) -> Result<u64, StorageFault> {
        let missing = || leaves::corrupt(index, "it names no leaf before it");
        self.told(earlier.ok_or_else(missing))
    }

    /// Leaves of a subject's trail from the newest backwards, at most `count_max`.
    pub fn trail_back(
        &self,
        newest: Option<Head>,
        count_max: usize,
    ) -> Result<Vec<LeafRecord>, StorageFault> {
        let mut next = newest.and_then(|newest| newest.step);
        let mut found = Vec::new();
        while let Some(index) = next.filter(|_| found.len() < count_max) {
            let record = self.leaf_there(index)?;
            next = record.step_before;
            found.push(record);
        }
        Ok(found)
    }

    /// A page of the map; `None` if there is none.
    pub fn page(&self, path: &PagePath) -> Result<Option<Page>, StorageFault> {
        let key = path.to_bytes();
        let found = self.0.get(Family::Map, &key)?;
        found
            .map(|bytes| {
                let page = plain_of_stored(Family::Map, &key, &bytes);
                self.told(page.and_then(|page| {
                    Page::from_bytes(page).map_err(|error| corrupt(Family::Map, &key, error))
                }))
            })
            .transpose()
    }

    /// The hash of a complete subtree; `None` if the tree has not got so far.
    pub fn subtree(&self, level: u8, index: u64) -> Result<Option<Digest>, StorageFault> {
        let Some((level, tile, place, count)) = keys::hashes_under(level, index) else {
            return Ok(None);
        };
        let Some(stored) = self.0.get(Family::Tree, &keys::tile(level, tile))? else {
            return Ok(None);
        };
        let hashes = self.told(tile_of_stored(level, tile, &stored))?;
        let under = hashes.get(place..).and_then(|rest| rest.get(..count));
        Ok(under.map(|hashes| {
            let hashes: Vec<Digest> = hashes.iter().map(|hash| Digest(*hash)).collect();
            tree_root(&hashes)
        }))
    }

    /// The envelope of the entry whose first leaf is at `index`.
    pub fn envelope(&self, index: u64) -> Result<Option<Vec<u8>>, StorageFault> {
        let key = keys::envelope(index);
        let found = self.0.get(Family::Envelopes, &key)?;
        found
            .map(|bytes| {
                let envelope = plain_of_stored(Family::Envelopes, &key, &bytes);
                self.told(envelope.and_then(|envelope| {
                    // Not decoded here, but whole.
                    let mut d = Decoder::new(envelope);
                    let whole = d.skip().and_then(|_| d.finish());
                    whole.map_err(|error| corrupt(Family::Envelopes, &key, error))?;
                    Ok(envelope.to_vec())
                }))
            })
            .transpose()
    }
}

/// The hashes of a stored tile.
///
/// # Errors
/// A newer version, or bytes that are no tile.
pub(crate) fn tile_of_stored(
    level: u8,
    index: u64,
    stored: &[u8],
) -> Result<&[[u8; 32]], StorageFault> {
    let key = keys::tile(level, index);
    let (hashes, rest) = plain_of_stored(Family::Tree, &key, stored)?.as_chunks::<32>();
    if rest.is_empty() && !hashes.is_empty() && hashes.len() as u64 <= keys::TILE_COUNT {
        return Ok(hashes);
    }
    let detail = format!("a tile of {} bytes", stored.len());
    Err(corrupt(Family::Tree, &key, detail))
}

/// A big-endian number.
fn number(family: Family, key: &[u8], bytes: &[u8]) -> Result<u64, StorageFault> {
    let bytes = <[u8; 8]>::try_from(bytes);
    let bytes = bytes.map_err(|_| corrupt(family, key, "not a number of 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn of_trail(error: TrailError<StorageFault>) -> StorageFault {
    match error {
        TrailError::Read(error) => fault_of(error),
        other @ TrailError::NoStep(_) => StorageFault::Corrupt {
            what: Family::Entries.name(),
            detail: other.to_string(),
        },
    }
}

impl Earlier for Records<'_> {
    fn stored_leaf(&self, index: u64) -> Result<Option<Vec<u8>>, StorageFault> {
        self.0.get(Family::Entries, &keys::leaf(index))
    }

    fn hash_of(&self, index: u64) -> Result<Option<Digest>, StorageFault> {
        self.subtree(0, index)
    }
}
