//! The keys of a jurisdiction through time: which is in which role, since when, until when, and what it signed is still believed.
//!
//! ```text
//! history  [ [ role, key, added, activated or null, end or null ] … ]     in the order in which they were added
//! end      [ cause, leaf, at, last_good or null ]                         cause 1 retired, 2 compromised; at: log time of that leaf
//! last_good [ size, root ]
//! ```
//! `added`, `activated` and `leaf` are leaves of the log of the same incarnation: there stands who ordered it, when and why. Nothing is
//! ever removed. Whoever orders is in [`KeysOrder`] for all keys but the roots, which replace one another in
//! [`RootsChange`](super::peer::RootsChange); the history has both.
//!
//! A head is held to the keys of its time: a log key signs heads that cover the leaf that activated it, up to its `last_good`. Of a
//! key that was stolen its `last_good` alone is believed: whoever has it signs heads of any size, and of none is it known who did.

use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Canonical, tag};
use crate::bytes::signature::{PublicKey, Signature, verify};
use crate::bytes::time::TimeMs;
use crate::limits::{
    Index, KEY_STEPS_MAX, KEYS_MAX, KEYS_OF_ORDERS_MAX, LOG_KEYS_ACTIVE_MAX, List, Maybe, Sequence,
};
use crate::log::checkpoint::{Checkpoint, NoteError, Origin, VerifiedCheckpoint, open, peek};
use crate::rules::rejection::{Counted, Detail, Reason, Rejection, refuse};

/// What a key of a jurisdiction is for. One key never has two roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyRole {
    /// Signs statements of the jurisdiction.
    Root,
    /// Signs heads of the log, packs, and that a head was taken in.
    Log,
    /// Signs cosignatures on heads of other logs.
    Witness,
    /// Signs identity records.
    Passport,
}
crate::canonical_enum!(KeyRole { 1 => Root, 2 => Log, 3 => Witness, 4 => Passport });

impl KeyRole {
    /// The lower-case name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Log => "log",
            Self::Witness => "witness",
            Self::Passport => "passport",
        }
    }
}

/// A head of the own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoodHead {
    /// Its size in leaves.
    pub size: u64,
    /// Of the tree of that size.
    pub root: Digest,
}
crate::canonical_struct!(GoodHead { size: Index, root });

/// Why a key is no longer used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyCause {
    /// It made way for another: what it signed in its time stays good.
    Retired,
    /// Somebody else may have it.
    Compromised,
}
crate::canonical_enum!(KeyCause { 1 => Retired, 2 => Compromised });

/// Why and from where on a key is believed no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEnd {
    /// Why.
    pub cause: KeyCause,
    /// Our leaf that says so.
    pub leaf: u64,
    /// Its log time: what is of later is not of the key's time, whatever size it names.
    pub at: TimeMs,
    /// The last head of its time. None for a root that was replaced: it signs no heads.
    pub last_good: Option<GoodHead>,
}
crate::canonical_struct!(KeyEnd {
    cause,
    leaf: Index,
    at,
    last_good
});

/// One key in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEntry {
    /// What for.
    pub role: KeyRole,
    /// The public half.
    pub key: PublicKey,
    /// Our leaf that named it first.
    pub added: u64,
    /// Our leaf from which on it is used. None: it waits.
    pub activated: Option<u64>,
    /// None while it is in use, or waits to be.
    pub end: Option<KeyEnd>,
}
crate::canonical_struct!(KeyEntry {
    role,
    key,
    added: Index,
    activated: Maybe<Index>,
    end
});

impl KeyEntry {
    /// Whether it is used now.
    pub fn is_active(&self) -> bool {
        self.activated.is_some() && self.end.is_none()
    }

    /// Whether a key that the genesis or a statement names is used from its leaf on.
    fn at_once(role: KeyRole, key: PublicKey, leaf: u64) -> Self {
        Self {
            role,
            key,
            added: leaf,
            activated: Some(leaf),
            end: None,
        }
    }

    /// Whether a later state of the same key can follow this one: what was said of it stands, and its end is only ever a graver one
    /// with less that is believed.
    fn goes_on_as(&self, later: &Self) -> bool {
        let same = (self.role, self.key, self.added) == (later.role, later.key, later.added);
        let activated = self.activated.is_none() || self.activated == later.activated;
        let ended = match (&self.end, &later.end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(now), Some(later)) if now == later => true,
            (Some(now), Some(later)) => {
                let size = |end: &KeyEnd| end.last_good.map_or(0, |head| head.size);
                let unbounded = now.last_good.is_none();
                later.cause == KeyCause::Compromised && (unbounded || size(later) <= size(now))
            }
        };
        same && activated && ended
    }
}

/// Every key of a jurisdiction, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyHistory {
    keys: Vec<KeyEntry>,
}
crate::canonical_struct!(KeyHistory { keys: List<KEYS_MAX> });

impl KeyHistory {
    /// That of a registry at its beginning: the keys of its genesis, from its first leaf on.
    pub fn at_genesis(roots: &[PublicKey], log: PublicKey) -> Self {
        let roots = roots.iter().map(|root| (KeyRole::Root, *root));
        let keys = roots.chain([(KeyRole::Log, log)]);
        Self {
            keys: keys
                .map(|(role, key)| KeyEntry::at_once(role, key, 0))
                .collect(),
        }
    }

    /// What is known of a country of which nobody compared more than log keys: each is believed for every head.
    pub fn of_log_keys(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let keys = keys.into_iter();
        Self {
            keys: keys
                .map(|key| KeyEntry::at_once(KeyRole::Log, key, 0))
                .collect(),
        }
    }

    /// Every key, the oldest first.
    pub fn all(&self) -> &[KeyEntry] {
        &self.keys
    }

    /// The keys of a role that are used now, the newest last.
    pub fn active(&self, role: KeyRole) -> impl Iterator<Item = &KeyEntry> {
        let of_role = move |entry: &&KeyEntry| entry.role == role && entry.is_active();
        self.keys.iter().filter(of_role)
    }

    /// The log key that was activated last and is in use.
    pub fn log_key(&self) -> Option<PublicKey> {
        let newest = self
            .active(KeyRole::Log)
            .max_by_key(|entry| entry.activated);
        newest.map(|entry| entry.key)
    }

    /// The newest entry of a key in a role: a root that comes back has more than one.
    pub fn entry(&self, role: KeyRole, key: &PublicKey) -> Option<&KeyEntry> {
        let mut newest_first = self.keys.iter().rev();
        newest_first.find(|entry| entry.role == role && entry.key == *key)
    }

    /// The log keys by which a head of a size is signed, all of them: while one follows another, both are.
    pub fn signers_of(&self, size: u64) -> Vec<PublicKey> {
        let signs = |entry: &&KeyEntry| {
            let last = entry
                .end
                .map(|end| end.last_good.map_or(0, |head| head.size));
            entry.role == KeyRole::Log
                && entry.activated.is_some_and(|leaf| leaf < size)
                && last.is_none_or(|last| size <= last)
        };
        self.keys
            .iter()
            .filter(signs)
            .map(|entry| entry.key)
            .collect()
    }

    /// Whether a key may have signed a head, as far as whoever has this history believes.
    ///
    /// # Errors
    /// It is no log key, not one of the head's time, or was stolen.
    pub fn judge(&self, key: &PublicKey, head: &Checkpoint) -> Result<(), NoteError> {
        let entry = self
            .entry(KeyRole::Log, key)
            .ok_or(NoteError::Unsigned(0))?;
        let size = head.size;
        if entry.activated.is_none_or(|leaf| leaf >= size) {
            return Err(NoteError::KeyTooNew { size });
        }
        let Some(end) = &entry.end else {
            return Ok(());
        };
        let last = end.last_good.map_or(0, |good| good.size);
        let is_last = end.last_good
            == Some(GoodHead {
                size,
                root: head.root,
            });
        match end.cause {
            KeyCause::Retired if size < last || is_last => Ok(()),
            KeyCause::Retired => Err(NoteError::KeyRetired { size, last }),
            KeyCause::Compromised if is_last => Ok(()),
            KeyCause::Compromised => Err(NoteError::KeyCompromised { size, last }),
        }
    }

    /// As [`KeyHistory::judge`], of the time of the head's last leaf: a key that ended signs nothing of later.
    ///
    /// # Errors
    /// The key had ended then.
    pub fn judge_time(&self, key: &PublicKey, size: u64, time: TimeMs) -> Result<(), NoteError> {
        let end = self.entry(KeyRole::Log, key).and_then(|entry| entry.end);
        match end {
            Some(end) if end.at < time => {
                let last = end.last_good.map_or(0, |good| good.size);
                Err(NoteError::KeyRetired { size, last })
            }
            _ => Ok(()),
        }
    }

    /// Opens a signed head of a log under the keys of its time.
    ///
    /// # Errors
    /// What is wrong with the text, or that no key of its time signed it.
    pub fn open(&self, text: &str, origin: &Origin) -> Result<VerifiedCheckpoint, NoteError> {
        self.opened(text, origin).map(|(_, opened)| opened)
    }

    /// As [`KeyHistory::open`], with the key that signed: of several, the newest.
    ///
    /// # Errors
    /// As [`KeyHistory::open`].
    pub fn opened(
        &self,
        text: &str,
        origin: &Origin,
    ) -> Result<(PublicKey, VerifiedCheckpoint), NoteError> {
        let head = peek(text)?;
        self.first_of(text, origin, |key| self.judge(key, &head))
    }

    /// As [`KeyHistory::opened`], of a head that is shown as the newest: by a key that is in use. One that made way signed heads of its time,
    /// and has none to show now.
    ///
    /// # Errors
    /// As [`KeyHistory::open`], or that no key in use signed it.
    pub fn opened_now(
        &self,
        text: &str,
        origin: &Origin,
    ) -> Result<(PublicKey, VerifiedCheckpoint), NoteError> {
        let head = peek(text)?;
        self.first_of(text, origin, |key| {
            self.judge(key, &head)?;
            let entry = self.entry(KeyRole::Log, key);
            match entry.and_then(|entry| entry.end) {
                None => Ok(()),
                Some(end) => {
                    let (size, last) = (head.size, end.last_good.map_or(0, |good| good.size));
                    Err(NoteError::KeyRetired { size, last })
                }
            }
        })
    }

    /// The last good head of a log key that a later history says was stolen, or was stolen earlier than was thought: of several, the
    /// smallest. Heads of that key beyond it were anybody's.
    pub fn stolen_in(&self, later: &Self) -> Option<GoodHead> {
        let is_log = |entry: &&KeyEntry| entry.role == KeyRole::Log;
        let stolen = |entry: &KeyEntry| {
            let end = entry.end.filter(|end| end.cause == KeyCause::Compromised)?;
            let before = self.entry(KeyRole::Log, &entry.key);
            let is_new = before.is_some_and(|before| before.end != Some(end));
            end.last_good.filter(|_| is_new)
        };
        let found = later.keys.iter().filter(is_log).filter_map(stolen);
        found.min_by_key(|good| good.size)
    }

    /// Opens a head that was seen or published before: what is found of its key since makes it no other head.
    ///
    /// # Errors
    /// What is wrong with the text, or that no log key of this history signed it.
    pub fn open_seen(&self, text: &str, origin: &Origin) -> Result<VerifiedCheckpoint, NoteError> {
        let opened = self.first_of(text, origin, |_| Ok(()));
        opened.map(|(_, opened)| opened)
    }

    fn first_of(
        &self,
        text: &str,
        origin: &Origin,
        judged: impl Fn(&PublicKey) -> Result<(), NoteError>,
    ) -> Result<(PublicKey, VerifiedCheckpoint), NoteError> {
        let mut why = NoteError::Unsigned(0);
        for entry in self.keys.iter().rev() {
            if entry.role != KeyRole::Log {
                continue;
            }
            match open(text, &entry.key, origin) {
                Ok(opened) => match judged(&entry.key) {
                    Ok(()) => return Ok((entry.key, opened)),
                    Err(error) => why = error,
                },
                // Another key's line: the next one is asked, and the gravest that was found is answered.
                Err(NoteError::Unsigned(0)) => {}
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Whether a signature over something else than a head, made when the log had a size and a time, is that of a key in use then.
    ///
    /// A key that made way proves nothing of later than its end: whoever finds its seed names what size it likes, and what it
    /// dates back is old. A key that was stolen says nothing any more.
    pub fn is_signed(
        &self,
        message: &[u8],
        signatures: &[KeySignature],
        (size, at): (u64, TimeMs),
    ) -> bool {
        let in_use = |signed: &&KeySignature| {
            let entry = self.entry(KeyRole::Log, &signed.key);
            entry.is_some_and(|entry| match (entry.activated, &entry.end) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(_), Some(end)) => {
                    let last = end.last_good.map_or(0, |head| head.size);
                    end.cause == KeyCause::Retired && size <= last && at <= end.at
                }
            })
        };
        let mut signatures = signatures.iter().filter(in_use);
        signatures.any(|signed| verify(&signed.key, message, &signed.signature).is_ok())
    }

    /// Whether a later history goes on from this one: everything that is said here is said there.
    pub fn leads_to(&self, later: &Self) -> bool {
        let mut pairs = self.keys.iter().zip(&later.keys);
        self.keys.len() <= later.keys.len() && pairs.all(|(now, then)| now.goes_on_as(then))
    }

    /// Whether it is one that a registry can have: the active roots are those named, there is a log key in use, and each entry is in
    /// order.
    pub fn is_sound(&self, roots: &[PublicKey]) -> bool {
        let mut active: Vec<_> = self.active(KeyRole::Root).map(|entry| entry.key).collect();
        let mut named = roots.to_vec();
        active.sort_unstable();
        named.sort_unstable();
        let log_keys = self.active(KeyRole::Log).count();
        let in_order = |entry: &KeyEntry| {
            let activated = entry.activated.unwrap_or(entry.added);
            let ended = entry.end.is_none_or(|end| activated <= end.leaf);
            entry.added <= activated && ended
        };
        let ascend = self.keys.is_sorted_by_key(|entry| entry.added);
        active == named
            && (1..=LOG_KEYS_ACTIVE_MAX).contains(&log_keys)
            && ascend
            && self.keys.iter().all(in_order)
    }

    /// With other roots from a leaf on. Those that stay are not named anew.
    ///
    /// # Errors
    /// There is no room, or one of them was stolen before or has another role.
    pub fn with_roots(
        &self,
        roots: &[PublicKey],
        (leaf, at): (u64, TimeMs),
    ) -> Result<Self, Rejection> {
        let mut after = self.clone();
        for entry in &mut after.keys {
            if entry.role == KeyRole::Root && entry.is_active() && !roots.contains(&entry.key) {
                entry.end = Some(KeyEnd {
                    cause: KeyCause::Retired,
                    leaf,
                    at,
                    last_good: None,
                });
            }
        }
        for root in roots {
            if after.active(KeyRole::Root).any(|entry| entry.key == *root) {
                continue;
            }
            let key = root.key_id();
            let stolen = |entry: &KeyEntry| {
                let cause = entry.end.map(|end| end.cause);
                entry.role != KeyRole::Root || cause == Some(KeyCause::Compromised)
            };
            if self
                .keys
                .iter()
                .any(|entry| entry.key == *root && stolen(entry))
            {
                return refuse(Reason::SignerNotActive, Detail::Key { key });
            }
            after.add(KeyEntry::at_once(KeyRole::Root, *root, leaf), KEYS_MAX)?;
        }
        Ok(after)
    }

    /// With the steps of an order, in the leaf that it becomes and at its time, under the newest sealed head. That a last good head
    /// is one of this log is for who has its tree to say.
    ///
    /// # Errors
    /// A step that cannot be taken: nothing of the order is.
    pub fn with_steps(
        &self,
        order: &KeysOrder,
        place: (u64, TimeMs),
        sealed: impl Fn(&PublicKey) -> Option<GoodHead>,
    ) -> Result<Self, Rejection> {
        let mut after = self.clone();
        for step in &order.steps {
            after.step(order, step, place, sealed(step.key()))?;
        }
        Ok(after)
    }

    fn step(
        &mut self,
        order: &KeysOrder,
        step: &KeyStep,
        place: (u64, TimeMs),
        sealed: Option<GoodHead>,
    ) -> Result<(), Rejection> {
        let leaf = place.0;
        match step {
            KeyStep::Add { role, key, proof } => self.add_waiting(order, *role, key, proof, leaf),
            KeyStep::Activate { key } => self.activate(key, leaf),
            KeyStep::Retire { key } => self.retire(key, place, sealed),
            KeyStep::Compromise { key, last_good } => {
                self.compromise(key, place, *last_good, sealed)
            }
        }
    }

    fn add_waiting(
        &mut self,
        order: &KeysOrder,
        role: KeyRole,
        key: &PublicKey,
        proof: &Signature,
        leaf: u64,
    ) -> Result<(), Rejection> {
        let id = key.key_id();
        // Roots replace one another by a statement that both sign.
        if role == KeyRole::Root {
            return refuse(Reason::Malformed, Detail::Key { key: id });
        }
        if self.keys.iter().any(|entry| entry.key == *key) {
            return refuse(Reason::SignerExists, Detail::Key { key: id });
        }
        if verify(key, &order.proof_message(role, key), proof).is_err() {
            return refuse(Reason::BadSignature, Detail::NotSignedBy { key: id });
        }
        let entry = KeyEntry {
            role,
            key: *key,
            added: leaf,
            activated: None,
            end: None,
        };
        self.add(entry, KEYS_OF_ORDERS_MAX)
    }

    fn activate(&mut self, key: &PublicKey, leaf: u64) -> Result<(), Rejection> {
        let (at, entry) = self.place_of(key)?;
        if entry.activated.is_some() || entry.end.is_some() {
            let key = key.key_id();
            return refuse(Reason::SignerNotActive, Detail::Key { key });
        }
        let active = self.active(entry.role).count();
        if entry.role == KeyRole::Log && active >= LOG_KEYS_ACTIVE_MAX {
            let (what, max) = (Counted::Keys, LOG_KEYS_ACTIVE_MAX as u64);
            return refuse(Reason::RecordFull, Detail::Full { what, max });
        }
        self.put(
            at,
            KeyEntry {
                activated: Some(leaf),
                ..entry
            },
        )
    }

    fn retire(
        &mut self,
        key: &PublicKey,
        place: (u64, TimeMs),
        sealed: Option<GoodHead>,
    ) -> Result<(), Rejection> {
        let (at, entry) = self.place_of(key)?;
        if entry.end.is_some() || entry.role == KeyRole::Root {
            let key = key.key_id();
            return refuse(Reason::SignerNotActive, Detail::Key { key });
        }
        let Some(last_good) = sealed else {
            return refuse(Reason::NotSealed, Detail::Size { size: place.0 });
        };
        self.put(at, entry.ended(KeyCause::Retired, place, last_good))
    }

    fn compromise(
        &mut self,
        key: &PublicKey,
        place: (u64, TimeMs),
        last_good: GoodHead,
        sealed: Option<GoodHead>,
    ) -> Result<(), Rejection> {
        let (at, entry) = self.place_of(key)?;
        // It may come out that it was stolen earlier than was thought.
        let is_earlier = |end: &KeyEnd| {
            end.last_good
                .is_some_and(|known| last_good.size < known.size)
        };
        let is_known = entry
            .end
            .is_some_and(|end| end.cause == KeyCause::Compromised && !is_earlier(&end));
        // A root in force is replaced first.
        let is_root = entry.role == KeyRole::Root && entry.end.is_none();
        if is_known || is_root {
            let key = key.key_id();
            return refuse(Reason::SignerNotActive, Detail::Key { key });
        }
        let latest = entry.end.and_then(|end| end.last_good).or(sealed);
        if latest.is_none_or(|latest| latest.size < last_good.size) {
            let size = last_good.size;
            return refuse(Reason::NotSealed, Detail::Size { size });
        }
        self.put(at, entry.ended(KeyCause::Compromised, place, last_good))
    }

    /// Where the newest entry of a key stands, and that entry.
    fn place_of(&self, key: &PublicKey) -> Result<(usize, KeyEntry), Rejection> {
        let mut newest_first = self.keys.iter().copied().enumerate().rev();
        let found = newest_first.find(|(_, entry)| entry.key == *key);
        let unknown = Detail::Key { key: key.key_id() };
        found.ok_or(Rejection::new(Reason::SignerUnknown, unknown))
    }

    /// Changes an entry. The last log key in use does not end: nothing would ever be published again.
    fn put(&mut self, at: usize, changed: KeyEntry) -> Result<(), Rejection> {
        let others = self.active(KeyRole::Log);
        let others = others.filter(|entry| entry.key != changed.key).count();
        if changed.role == KeyRole::Log && changed.end.is_some() && others == 0 {
            let key = changed.key.key_id();
            return refuse(Reason::LastOfRole, Detail::Key { key });
        }
        if let Some(entry) = self.keys.get_mut(at) {
            *entry = changed;
        }
        Ok(())
    }

    fn add(&mut self, entry: KeyEntry, max: usize) -> Result<(), Rejection> {
        let is_root = |entry: &&KeyEntry| entry.role == KeyRole::Root;
        let of_kind = match entry.role {
            KeyRole::Root => self.keys.len(),
            _ => self.keys.iter().filter(|other| !is_root(other)).count(),
        };
        if of_kind >= max || self.keys.len() >= KEYS_MAX {
            let (what, max) = (Counted::Keys, max as u64);
            return refuse(Reason::RecordFull, Detail::Full { what, max });
        }
        self.keys.push(entry);
        Ok(())
    }
}

impl KeyEntry {
    fn ended(self, cause: KeyCause, (leaf, at): (u64, TimeMs), last_good: GoodHead) -> Self {
        let end = KeyEnd {
            cause,
            leaf,
            at,
            last_good: Some(last_good),
        };
        Self {
            end: Some(end),
            ..self
        }
    }
}

/// One signature under a head: two stand there while one log key follows the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySignature {
    /// Of the registry whose head it is.
    pub key: PublicKey,
    /// Over the text of the note.
    pub signature: Signature,
}
crate::canonical_struct!(KeySignature { key, signature });

/// One step in the life of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStep {
    /// It is known from now on, and not used yet.
    Add {
        /// What for.
        role: KeyRole,
        /// The public half; it waits until it is activated.
        key: PublicKey,
        /// Its own signature over [`KeysOrder::proof_message`]: whoever adds it has it.
        proof: Signature,
    },
    /// It is used from the leaf of the order on; of log keys two at the most are, and every head has the signatures of both.
    Activate {
        /// Which was added before.
        key: PublicKey,
    },
    /// It is not used any more: its last head is the newest one that is sealed.
    Retire {
        /// Which is in use.
        key: PublicKey,
    },
    /// Somebody else may have it, or have had it. Of what it signed its last good head alone is believed.
    Compromise {
        /// In use, or retired before.
        key: PublicKey,
        /// The last head that is known to be ours.
        last_good: GoodHead,
    },
}
crate::canonical_variants!(KeyStep {
    1 => Add { role, key, proof },
    2 => Activate { key },
    3 => Retire { key },
    4 => Compromise { key, last_good },
});

impl KeyStep {
    /// Whose life it is a step of.
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Add { key, .. }
            | Self::Activate { key }
            | Self::Retire { key }
            | Self::Compromise { key, .. } => key,
        }
    }
}

/// What the roots order of the keys below them. Applied once: the number is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysOrder {
    /// The cluster it is meant for.
    pub cluster: [u8; 16],
    /// One above the number of such statements applied so far.
    pub number: u64,
    /// The steps, one after the other: all of them, or none.
    pub steps: Vec<KeyStep>,
    /// Why.
    pub reason: String,
}
crate::canonical_struct!(KeysOrder {
    cluster,
    number: Sequence,
    steps: List<KEY_STEPS_MAX>,
    reason
});

impl KeysOrder {
    /// What a key that is added signs: `"carnet-new-key/1" ‖ [cluster, role, key]`.
    pub fn proof_message(&self, role: KeyRole, key: &PublicKey) -> Vec<u8> {
        proof_message(&self.cluster, role, key)
    }
}

/// As [`KeysOrder::proof_message`], before there is an order.
pub fn proof_message(cluster: &[u8; 16], role: KeyRole, key: &PublicKey) -> Vec<u8> {
    let named = NewKey {
        cluster: *cluster,
        role,
        key: *key,
    };
    [tag::NEW_KEY.as_bytes(), &named.to_bytes()].concat()
}

struct NewKey {
    cluster: [u8; 16],
    role: KeyRole,
    key: PublicKey,
}
crate::canonical_struct!(NewKey { cluster, role, key });
