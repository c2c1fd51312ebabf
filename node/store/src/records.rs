//! Typed reads over the engine: every record of a registry by its key.
//!
//! A value is a version byte and canonical bytes. A newer version than this binary knows stops the node, by name.

use carnet_domain::accord::Peer;
use carnet_domain::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::command::TransferId;
use carnet_domain::digest::Digest;
use carnet_domain::encoding::{Canonical, Encoder};
use carnet_domain::entry::{LeafRecord, Movement, Registry, Session, StoredAnswer};
use carnet_domain::leaf::leaf_bytes_hash;
use carnet_domain::ledger::LooseChain;
use carnet_domain::map::{Page, PagePath, Pages};
use carnet_domain::merkle::Nodes;
use carnet_domain::record::{
    Ended, Ends, Enterprise, Head, Model, Recall, RecallId, Robot, Signer,
};
use carnet_domain::signature::KeyId;
use carnet_domain::transfer::Transfer;

use crate::engine::KvRead;
use crate::families::Family;
use crate::fault::StorageFault;
use crate::keys;
use crate::skips::Skipped;

/// Version byte of every record.
pub const RECORD_VERSION: u8 = 1;
/// The most movements of one robot that are read at once.
pub const MOVEMENTS_MAX: usize = 10_000;

/// The most skipped entries that a node compares proposals with.
pub const SKIPPED_MAX: usize = 16;

/// The stored form of a record.
pub fn to_stored(record: &impl Canonical) -> Vec<u8> {
    let mut e = Encoder::with_capacity(1_024);
    e.raw(&[RECORD_VERSION]);
    record.encode(&mut e);
    e.finish()
}

/// The record of its stored form.
///
/// # Errors
/// A newer version, or bytes that are not canonical.
pub fn of_stored<T: Canonical>(family: Family, bytes: &[u8]) -> Result<T, StorageFault> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, rest)) => {
            T::from_bytes(rest).map_err(|error| StorageFault::Corrupt {
                what: family.name(),
                detail: error.to_string(),
            })
        }
        Some((version, _)) => Err(StorageFault::Foreign(format!(
            "a record in {} has version {version}, this binary knows {RECORD_VERSION}; use a newer binary",
            family.name()
        ))),
        None => Err(StorageFault::Corrupt {
            what: family.name(),
            detail: "an empty record".into(),
        }),
    }
}

/// Typed reads of one moment.
pub struct Records<'a>(pub &'a dyn KvRead);

impl<'a> Records<'a> {
    fn one<T: Canonical>(&self, family: Family, key: &[u8]) -> Result<Option<T>, StorageFault> {
        self.0
            .get(family, key)?
            .map(|bytes| of_stored(family, &bytes))
            .transpose()
    }

    fn all<T: Canonical>(
        &self,
        family: Family,
        prefix: &[u8],
        count_max: usize,
    ) -> Result<Vec<T>, StorageFault> {
        let end = keys::after_prefix(prefix);
        let pairs = self.0.scan(family, prefix, end.as_deref(), count_max)?;
        pairs
            .iter()
            .map(|(_, value)| of_stored(family, value))
            .collect()
    }

    /// The registry.
    pub fn registry(&self) -> Result<Option<Registry>, StorageFault> {
        self.one(Family::Meta, keys::REGISTRY)
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

    /// A robot.
    pub fn robot(&self, code: &Code) -> Result<Option<Robot>, StorageFault> {
        self.one(Family::Robots, &keys::robot(code))
    }

    /// Robots under a prefix of the code, from a key, in order.
    pub fn robots_under(
        &self,
        text: &str,
        from: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Robot>, StorageFault> {
        let Some((low, high)) = keys::robots_under(text) else {
            return Ok(Vec::new());
        };
        let end = keys::after_prefix(&high);
        let low = from.map_or(low.clone(), |from| low.max(from.to_vec()));
        let pairs = self
            .0
            .scan(Family::Robots, &low, end.as_deref(), count_max)?;
        pairs
            .iter()
            .map(|(_, value)| of_stored(Family::Robots, value))
            .collect()
    }

    /// The robot that a body or part is fitted in.
    pub fn part_holder(&self, identity: &Digest) -> Result<Option<Code>, StorageFault> {
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

    /// A peer's claim that an identity ended.
    pub fn claim(&self, peer: &Prefix, identity: &Digest) -> Result<Option<Ended>, StorageFault> {
        self.one(Family::Ended, &keys::claim(peer, identity))
    }

    /// An enterprise.
    pub fn enterprise(&self, id: &EnterpriseId) -> Result<Option<Enterprise>, StorageFault> {
        self.one(Family::Enterprises, &keys::enterprise(id))
    }

    /// Enterprises, ascending.
    pub fn enterprises(&self, count_max: usize) -> Result<Vec<Enterprise>, StorageFault> {
        self.all(Family::Enterprises, b"", count_max)
    }

    /// A model.
    pub fn model(&self, id: &ModelId) -> Result<Option<Model>, StorageFault> {
        self.one(Family::Models, &keys::model(id))
    }

    /// Models under an enterprise or prefix, ascending.
    pub fn models_under(&self, text: &str, count_max: usize) -> Result<Vec<Model>, StorageFault> {
        self.all(Family::Models, text.as_bytes(), count_max)
    }

    /// Models of an enterprise.
    pub fn models_of(&self, id: &EnterpriseId) -> Result<Vec<Model>, StorageFault> {
        self.models_under(id.as_str(), usize::MAX)
    }

    /// A signing key.
    pub fn signer(&self, id: &KeyId) -> Result<Option<Signer>, StorageFault> {
        self.one(Family::Offices, &keys::signer(id))
    }

    /// A recall.
    pub fn recall(&self, id: &RecallId) -> Result<Option<Recall>, StorageFault> {
        self.one(Family::Recalls, &keys::recall(id))
    }

    /// All recalls, ascending.
    pub fn recalls(&self, count_max: usize) -> Result<Vec<Recall>, StorageFault> {
        self.all(Family::Recalls, b"n", count_max)
    }

    /// Recalls that name a model and have not ended.
    pub fn recalls_of(&self, model: &ModelId) -> Result<Vec<Recall>, StorageFault> {
        let prefix = keys::recalls_of(model);
        let end = keys::after_prefix(&prefix);
        let mut out = Vec::new();
        for (key, _) in self
            .0
            .scan(Family::Recalls, &prefix, end.as_deref(), usize::MAX)?
        {
            let named = keys::recall_named(&key[prefix.len()..]);
            out.extend(self.one(Family::Recalls, &named)?);
        }
        Ok(out)
    }

    /// Custody of a robot without a record.
    pub fn loose_chain(&self, code: &Code) -> Result<Option<LooseChain>, StorageFault> {
        self.one(Family::Transfers, &keys::loose(code))
    }

    /// A transfer.
    pub fn transfer(&self, id: &TransferId) -> Result<Option<Transfer>, StorageFault> {
        self.one(Family::Transfers, &keys::transfer(id))
    }

    /// Transfers, by number, from a number on.
    pub fn transfers(
        &self,
        from: Option<&TransferId>,
        count_max: usize,
    ) -> Result<Vec<Transfer>, StorageFault> {
        let low = from.map_or(b"t".to_vec(), keys::transfer);
        let end = keys::after_prefix(b"t");
        let pairs = self
            .0
            .scan(Family::Transfers, &low, end.as_deref(), count_max)?;
        pairs
            .iter()
            .map(|(_, value)| of_stored(Family::Transfers, value))
            .collect()
    }

    /// The trail of a robot, oldest first.
    pub fn movements(&self, code: &Code) -> Result<Vec<Movement>, StorageFault> {
        let prefix = keys::movement(code, 0);
        self.all(
            Family::Transfers,
            &prefix[..prefix.len() - 4],
            MOVEMENTS_MAX,
        )
    }

    /// A peer.
    pub fn peer(&self, prefix: &Prefix) -> Result<Option<Peer>, StorageFault> {
        self.one(Family::Peers, &keys::peer(prefix))
    }

    /// All peers.
    pub fn peers(&self) -> Result<Vec<Peer>, StorageFault> {
        self.all(Family::Peers, b"", usize::MAX)
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
            .map(|(key, value)| Ok((number(&key[2..])?, number(value)?)))
            .collect()
    }

    /// A session.
    pub fn session(&self, id: u64) -> Result<Option<Session>, StorageFault> {
        self.one(Family::Sessions, &keys::session(id))
    }

    /// Sessions of a subject.
    pub fn sessions_of(&self, subject: &str) -> Result<Vec<Session>, StorageFault> {
        let key = keys::session_of(subject, 0);
        let prefix = &key[..key.len() - 8];
        let end = keys::after_prefix(prefix);
        let mut out = Vec::new();
        for (key, _) in self
            .0
            .scan(Family::Sessions, prefix, end.as_deref(), usize::MAX)?
        {
            out.extend(self.session(number(&key[key.len() - 8..])?)?);
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

    /// A leaf.
    pub fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, StorageFault> {
        self.one(Family::Entries, &keys::leaf(index))
    }

    /// Up to `count_max` leaves with `from <= index < to`, ascending. A hole ends them early.
    pub fn leaves(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
    ) -> Result<Vec<LeafRecord>, StorageFault> {
        let end = keys::leaf(to);
        let pairs = self
            .0
            .scan(Family::Entries, &keys::leaf(from), Some(&end), count_max)?;
        (from..)
            .zip(&pairs)
            .take_while(|(index, (key, _))| *key == keys::leaf(*index))
            .map(|(_, (_, value))| of_stored(Family::Entries, value))
            .collect()
    }

    /// Index of a leaf of a subject.
    pub fn leaf_of(&self, key: &Digest, seq: u64) -> Result<Option<u64>, StorageFault> {
        self.0
            .get(Family::History, &keys::history(key, seq))?
            .map(|value| number(&value))
            .transpose()
    }

    /// The newest leaf of a subject.
    pub fn head_of(&self, key: &Digest) -> Result<Option<Head>, StorageFault> {
        let from = keys::history(key, 0);
        let end = keys::after_prefix(&from[..from.len() - 8]);
        let Some((found, value)) = self.0.last(Family::History, &from, end.as_deref())? else {
            return Ok(None);
        };
        let (seq, leaf_index) = (number(&found[found.len() - 8..])?, number(&value)?);
        let Some(leaf) = self.leaf(leaf_index)? else {
            return Err(StorageFault::Corrupt {
                what: "entries",
                detail: format!("no leaf {leaf_index}"),
            });
        };
        Ok(Some(Head {
            seq,
            leaf_index,
            leaf_hash: leaf_bytes_hash(&leaf.leaf.0),
        }))
    }

    /// The hash of a complete subtree; `None` if the tree has not got so far.
    pub fn subtree(&self, level: u8, index: u64) -> Result<Option<Digest>, StorageFault> {
        let Some(leaf) = keys::completing_leaf(level, index) else {
            return Ok(None);
        };
        let Some(bytes) = self.0.get(Family::Tree, &keys::completed(leaf))? else {
            return Ok(None);
        };
        let (hashes, _) = bytes.as_chunks::<32>();
        let hash = hashes
            .get(usize::from(level))
            .ok_or_else(|| StorageFault::Corrupt {
                what: "tree",
                detail: format!("leaf {leaf} completes no subtree of level {level}"),
            })?;
        Ok(Some(Digest(*hash)))
    }

    /// The envelope of the entry whose first leaf is at `index`.
    pub fn envelope(&self, index: u64) -> Result<Option<Vec<u8>>, StorageFault> {
        self.0.get(Family::Envelopes, &keys::envelope(index))
    }
}

/// A big-endian number.
fn number(bytes: &[u8]) -> Result<u64, StorageFault> {
    let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| StorageFault::Corrupt {
        what: "index",
        detail: format!("{} bytes for a number", bytes.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

impl Nodes for Records<'_> {
    type Fault = StorageFault;

    fn node(&self, level: u8, index: u64) -> Result<Digest, StorageFault> {
        self.subtree(level, index)?
            .ok_or_else(|| StorageFault::Corrupt {
                what: "tree",
                detail: format!("no node at level {level}, index {index}"),
            })
    }
}

impl Pages for Records<'_> {
    type Fault = StorageFault;

    fn page(&self, path: &PagePath) -> Result<Option<Page>, StorageFault> {
        let found = self.0.get(Family::Map, &path.to_bytes())?;
        found
            .map(|bytes| {
                Page::from_bytes(&bytes).map_err(|error| StorageFault::Corrupt {
                    what: "map",
                    detail: error.to_string(),
                })
            })
            .transpose()
    }
}
