//! The chain of one robot as its steps prove it: each under a head of the registry that wrote it, from the registration on. It
//! travels with an offer, so that a country which knows nothing of the robot, and of its issuer no more than a bundle, need take
//! no epoch and no custodian on trust.
//!
//! ```text
//! [Register 86] [Offer 86] [Depart 86] [Admit 49] ◀─ Offer 49   each names the leaf hash of the one before
//!  └ run under a head of 86 ─────────┘ └ of 49 ┘
//! ```
//! Only what moves custody is a link of it; Accept, Refuse and Detain are not. A chain begins with the registration by the issuer, or
//! with a step of the issuer that it wrote while it had the robot: it could have registered the robot then, so what lies before adds
//! nothing that it could not claim. So a robot that comes home now and then has a short chain for ever, and nobody need know where it
//! was before.
//!
//! [`prove_chain`] makes the only [`ProvenChain`], for an offer that comes, a verdict and an auditor alike; [`way`] reads the steps that
//! are known here, to be shown to the next country. What an offer changes is in `foreign`.

use std::collections::BTreeSet;

use crate::bytes::code::{Code, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Canonical;
use crate::bytes::level::Level;
use crate::bytes::time::TimeMs;
use crate::custody::chain::{Chain, Doubt, Link, Step};
use crate::custody::follows::{custodian_after, follows, row};
use crate::custody::movement::EvidenceRef;
use crate::limits::{
    CHAIN_ABROAD_MAX, CHAIN_BYTES_ABROAD_MAX, CHAIN_BYTES_MAX, CHAIN_MAX, CHAIN_STEP_BYTES,
};
use crate::log::checkpoint::{NoteError, Origin, peek};
use crate::log::leaf::{Kind, Leaf, Subject, leaf_bytes_hash};
use crate::log::merkle::verify_inclusion;
use crate::log::shown::{ChainRun, ProvenLeaf};
use crate::log::stored::LeafRecord;
use crate::record::crossing::TransferId;
use crate::record::event::slot;
use crate::record::keys::KeyHistory;
use crate::record::transfer::Transfer;
use crate::rules::rejection::Flaw;

/// The most leaves of a trail that are read for a chain: a link has a few side leaves.
const TRAIL_MAX: usize = 4 * CHAIN_MAX;

/// A step of a robot, proven under a head of the registry that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenStep {
    /// The step.
    pub link: Link,
    /// Hash of its leaf.
    pub leaf: Digest,
    /// The log it stands in.
    pub origin: Origin,
    /// Its index there.
    pub index: u64,
    /// When it was written, by that log's time.
    pub at: TimeMs,
}

impl ProvenStep {
    /// As our leaves name it.
    pub fn reference(&self) -> EvidenceRef {
        EvidenceRef {
            origin: self.origin.to_string(),
            index: self.index,
            leaf: self.leaf,
            at: Some(self.at),
            link: Some(self.link.clone()),
        }
    }
}

/// The steps of a robot from its registration, or from where its issuer had it again, each following the one before. Only
/// [`prove_chain`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenChain {
    stands_alone: bool,
    first: ProvenStep,
    others: Vec<ProvenStep>,
}

impl ProvenChain {
    /// The steps, oldest first; there is one at least.
    pub fn steps(&self) -> impl Iterator<Item = &ProvenStep> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The newest step.
    pub fn newest(&self) -> &ProvenStep {
        self.others.last().unwrap_or(&self.first)
    }

    /// Whether it begins with the registration, and not where the issuer had the robot again.
    pub fn is_whole(&self) -> bool {
        self.first.link.step == Step::Register
    }

    /// Whether anybody can prove it: it begins with a step of the issuer, and not with one that only its reader knew before.
    pub fn stands_alone(&self) -> bool {
        self.stands_alone
    }

    /// Registries that wrote a step of it, each once, in the order of their first ones.
    pub fn writers(&self) -> Vec<Prefix> {
        let mut writers = Vec::new();
        for step in self.steps() {
            if !writers.contains(&step.origin.prefix) {
                writers.push(step.origin.prefix);
            }
        }
        writers
    }

    /// What is known here of a robot that is not, led to the newest step of this chain.
    ///
    /// # Errors
    /// What is known here is not on this chain, and not of before it begins.
    pub fn lead(&self, known: &Chain) -> Result<Chain, Doubt> {
        let has = self.has(known);
        let before = !self.is_whole() && known.epoch < self.first.link.epoch;
        if known.newest().is_some() && !has && !before {
            return Err(Doubt::AnotherBefore);
        }
        let newest = self.newest();
        Ok(Chain {
            epoch: newest.link.epoch,
            link: newest.leaf,
            shown: known.shown.clone(),
            followed: Some(newest.link.clone()),
            phase: known.phase.clone(),
        })
    }

    /// Whether the newest step that is known of a robot is one of these.
    pub fn has(&self, known: &Chain) -> bool {
        self.steps().any(|step| step.leaf == known.link)
    }
}

/// Why there is no [`ProvenChain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// No step, or more than travel.
    Size,
    /// The leaves are not those that lead to the step they were shown for, by the hashes that each names: whoever carried them may have
    /// put others in their place.
    Unbound,
    /// A step is not proven, or is no link of it.
    Step {
        /// Who wrote it.
        of: Prefix,
        /// Its index there.
        index: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A step does not follow the one before.
    Order(Doubt),
}

/// A leaf of a chain whose bytes and link are those that the leaf behind it names. Its head and its path are not looked at yet.
struct Bound<'r> {
    shown: &'r ProvenLeaf,
    checkpoint: &'r str,
    origin: Origin,
    leaf: Leaf,
    hash: Digest,
    link: Link,
}

/// Proves a chain whose newest step has the leaf hash `end`: every step under a head of the registry that wrote it, by its keys, each
/// following the one before. It may begin with the step of the hash `known`, too: one that whoever asks has proven before.
///
/// What the hashes bind is the word of whoever names the last of them; heads and paths are anybody's to change on the way. A
/// [`ChainFault::Unbound`] and a [`Flaw::Unproven`] are nobody's statement.
///
/// # Errors
/// The first thing that does not hold.
pub fn prove_chain<'k>(
    code: &Code,
    (runs, end): (&[ChainRun], &Digest),
    known: Option<&Digest>,
    keys: impl Fn(&Origin) -> Result<&'k KeyHistory, Flaw>,
    level: Level,
) -> Result<ProvenChain, ChainFault> {
    let count: usize = runs.iter().map(|run| run.leaves.len()).sum();
    // The offer and the departure come behind it.
    if count == 0 || count > CHAIN_MAX - 2 || bytes_of(runs) > CHAIN_BYTES_MAX {
        return Err(ChainFault::Size);
    }
    let bound = bound(runs, end, level).ok_or(ChainFault::Unbound)?;
    let key = Subject::robot(code).key();
    let mut chain: Option<ProvenChain> = None;
    for one in bound {
        let fault = |flaw| ChainFault::Step {
            of: one.link.writer(),
            index: one.shown.index,
            flaw,
        };
        let carries = matches!(one.leaf.kind, Kind::Custody | Kind::Register);
        if one.leaf.key != key || !carries || !row(one.link.step).moves {
            return Err(fault(Flaw::NoStep));
        }
        under_its_head(&one, &keys).map_err(&fault)?;
        let step = ProvenStep {
            link: one.link.clone(),
            leaf: one.hash,
            origin: one.origin,
            index: one.shown.index,
            at: one.leaf.t_ms,
        };
        match &mut chain {
            None if begins(code, &step) || known == Some(&step.leaf) => {
                chain = Some(ProvenChain {
                    stands_alone: begins(code, &step),
                    first: step,
                    others: Vec::new(),
                });
            }
            None => return Err(fault(Flaw::Beginning)),
            Some(chain) => {
                let newest = chain.newest();
                follows(&newest.link, &newest.leaf, &step.link).map_err(ChainFault::Order)?;
                chain.others.push(step);
            }
        }
    }
    chain.ok_or(ChainFault::Size)
}

/// The leaves of runs, where each names the one before by its hash, the last has the hash `end`, and each stands under a head of
/// whoever its link says wrote it.
fn bound<'r>(runs: &'r [ChainRun], end: &Digest, level: Level) -> Option<Vec<Bound<'r>>> {
    let mut all: Vec<Bound<'_>> = Vec::new();
    for run in runs {
        let origin = peek(&run.checkpoint).ok()?.origin;
        for shown in &run.leaves {
            let leaf = Leaf::from_bytes_at(&shown.leaf.0, level).ok()?;
            let slots = shown.disclosed.clone().verify(&leaf.record_root).ok()?;
            let link: Link = slots.at(level).get(slot::CUSTODY).ok()??;
            let before = all.last().is_none_or(|before| link.prev == before.hash);
            if !before || link.writer() != origin.prefix {
                return None;
            }
            all.push(Bound {
                shown,
                checkpoint: &run.checkpoint,
                origin,
                leaf,
                hash: leaf_bytes_hash(&shown.leaf.0),
                link,
            });
        }
    }
    all.last()
        .is_some_and(|last| last.hash == *end)
        .then_some(all)
}

/// Proves a leaf under its head.
fn under_its_head<'k>(
    one: &Bound<'_>,
    keys: impl Fn(&Origin) -> Result<&'k KeyHistory, Flaw>,
) -> Result<(), Flaw> {
    let opened = keys(&one.origin)?.opened(one.checkpoint, &one.origin);
    let (_, head) = opened.map_err(|error| match error {
        // It was signed with a key that tells of it no more, or by one that is not known here yet.
        NoteError::KeyTooNew { .. }
        | NoteError::KeyRetired { .. }
        | NoteError::KeyCompromised { .. } => Flaw::Head,
        NoteError::Unsigned(_) => Flaw::Stranger,
        _ => Flaw::Unproven,
    })?;
    let (index, path) = (one.shown.index, &one.shown.path);
    verify_inclusion(&one.hash, index, head.size(), path, head.root()).map_err(|_| Flaw::Unproven)
}

/// Whether a chain may begin with a step: the issuer registered the robot by it, has it again, or offers it.
fn begins(code: &Code, step: &ProvenStep) -> bool {
    let issuer = code.prefix();
    let by_issuer = step.origin.prefix == issuer && step.link.writer() == issuer;
    let registers = step.link == Link::register(issuer);
    let has = match step.link.step {
        Step::Offer => step.link.from == Some(issuer),
        Step::Admit | Step::Cancel => custodian_after(&step.link) == Some(issuer),
        _ => registers,
    };
    by_issuer && has
}

/// How many bytes runs have as they travel.
pub fn bytes_of(runs: &[ChainRun]) -> usize {
    runs.iter().map(|run| run.to_bytes().len()).sum()
}

/// Adds a step to runs: to the last one where that is of the same head. Of the leaf nothing but the link is kept.
pub fn add(runs: &mut Vec<ChainRun>, checkpoint: &str, step: &ProvenLeaf) {
    let step = ProvenLeaf {
        disclosed: step.disclosed.narrowed(&[slot::CUSTODY]),
        ..step.clone()
    };
    match runs.last_mut() {
        Some(run) if run.checkpoint == checkpoint => run.leaves.push(step),
        _ => runs.push(ChainRun {
            checkpoint: checkpoint.to_owned(),
            leaves: vec![step],
        }),
    }
}

/// The steps of runs that were proven when they were taken in, as our leaves name them.
pub fn steps_kept(runs: &[ChainRun]) -> Vec<EvidenceRef> {
    let mut steps = Vec::new();
    for run in runs {
        let Ok(head) = peek(&run.checkpoint) else {
            continue;
        };
        for kept in &run.leaves {
            // level: proven when it came.
            let Ok(leaf) = Leaf::from_bytes(&kept.leaf.0) else {
                continue;
            };
            let slots = kept.disclosed.clone().verify(&leaf.record_root);
            let link = slots.ok().and_then(|slots| slots.get(slot::CUSTODY).ok());
            steps.push(EvidenceRef {
                origin: head.origin.to_string(),
                index: kept.index,
                leaf: leaf_bytes_hash(&kept.leaf.0),
                at: Some(leaf.t_ms),
                link: link.flatten(),
            });
        }
    }
    steps
}

/// A piece of the way of a robot, as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A step of our own.
    Own {
        /// Index of its leaf.
        index: u64,
        /// The step.
        link: Link,
    },
    /// Steps of others, as they were proven.
    Shown(ChainRun),
}

/// The steps of a robot that is here, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Way {
    /// The steps.
    pub pieces: Vec<Piece>,
    /// How many offers of ours were cancelled since it was registered here or arrived.
    pub cancels: usize,
}

impl Way {
    /// Other registries that wrote a step of it.
    pub fn others(&self) -> BTreeSet<Prefix> {
        let runs = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Own { .. } => None,
            Piece::Shown(run) => peek(&run.checkpoint).ok(),
        });
        runs.map(|head| head.origin.prefix).collect()
    }

    /// Whether it is too long to go on to anybody but the issuer of the code.
    pub fn is_long(&self) -> bool {
        let (mut steps, mut bytes) = (0_usize, 0_usize);
        for piece in &self.pieces {
            let (count, size) = match piece {
                Piece::Own { .. } => (1, CHAIN_STEP_BYTES),
                Piece::Shown(run) => (run.leaves.len(), run.to_bytes().len()),
            };
            // saturates: it is compared with a bound that is far below.
            (steps, bytes) = (steps.saturating_add(count), bytes.saturating_add(size));
        }
        steps > CHAIN_ABROAD_MAX || bytes > CHAIN_BYTES_ABROAD_MAX
    }

    /// The way as the issuer of the robot shows it: what it wrote itself since it has it, and nothing where somebody else sent it back.
    #[must_use]
    pub fn of_issuer(mut self, me: Prefix) -> Self {
        let last = self
            .pieces
            .iter()
            .rposition(|piece| matches!(piece, Piece::Shown(_)));
        self.pieces
            .drain(..last.map_or(0, |last| last.saturating_add(1))); // saturates: a place in a list
        let rests = |piece: &Piece| matches!(piece, Piece::Own { link, .. } if custodian_after(link) == Some(me));
        let first = self.pieces.iter().position(rests);
        self.pieces.drain(..first.unwrap_or(self.pieces.len()));
        if self.is_long() {
            self.shortened(me)
        } else {
            self
        }
    }

    /// The way as it is shown to the issuer: a long one begins with the newest step by which this registry has the robot, of which the
    /// issuer was told in the mailbox before the offer.
    #[must_use]
    pub fn shortened(mut self, me: Prefix) -> Self {
        if !self.is_long() {
            return self;
        }
        let rests = |piece: &Piece| match piece {
            Piece::Own { link, .. } => custodian_after(link) == Some(me),
            Piece::Shown(_) => false,
        };
        if let Some(at) = self.pieces.iter().rposition(rests) {
            self.pieces.drain(..at);
        }
        self
    }
}

/// Reads the way of a robot back from one of its steps, by what each names as the one before. What is not known ends it.
///
/// `newest` is the newest leaf of its trail to be looked at, `step` the hash of the newest link wanted.
///
/// # Errors
/// What it is read from cannot be read.
pub fn way<F>(
    me: Prefix,
    (newest, step): (Option<u64>, Digest),
    leaf_at: impl Fn(u64) -> Result<Option<LeafRecord>, F>,
    transfer_of: impl Fn(&TransferId) -> Result<Option<Transfer>, F>,
) -> Result<Way, F> {
    let mut way = Way::default();
    let (mut next, mut wanted, mut resting) = (newest, step, true);
    for _ in 0..TRAIL_MAX {
        let Some(index) = next else { break };
        let Some(record) = leaf_at(index)? else { break };
        next = record.step_before.filter(|earlier| *earlier < index);
        let Some((own, hash, link)) = told(&record) else {
            continue;
        };
        if hash != wanted {
            continue;
        }
        wanted = link.prev;
        if own {
            resting &= matches!(link.step, Step::Offer | Step::Cancel);
            if resting && link.step == Step::Cancel {
                // saturates: one a leaf, and few are read.
                way.cancels = way.cancels.saturating_add(1);
            }
            way.pieces.push(Piece::Own { index, link });
            continue;
        }
        resting = false;
        let transfer = match link.transfer {
            Some(id) => transfer_of(&id)?,
            None => None,
        };
        let mut runs = transfer.map(|transfer| transfer.chain).unwrap_or_default();
        let came = link.step == Step::Depart && link.to == me;
        let returned = link.step == Step::Return && link.from == Some(me);
        if !came && !returned {
            break;
        }
        runs.reverse();
        way.pieces.extend(runs.into_iter().map(Piece::Shown));
        if came {
            break;
        }
    }
    way.pieces.reverse();
    Ok(way)
}

/// Whether a leaf of the trail is our own step, the hash of the leaf that carries the step, and the step.
fn told(record: &LeafRecord) -> Option<(bool, Digest, Link)> {
    let value = |slot: u8| record.values.get(usize::from(slot))?.as_ref();
    // level: a leaf of our own.
    let leaf = Leaf::from_bytes(&record.leaf.0).ok()?;
    if matches!(leaf.kind, Kind::Custody | Kind::Register) {
        // level: a leaf of our own.
        let link = Option::<Link>::from_bytes(&value(slot::CUSTODY)?.0).ok()?;
        return link.map(|link| (true, leaf_bytes_hash(&record.leaf.0), link));
    }
    // level: a leaf of our own.
    let evidence = Vec::<EvidenceRef>::from_bytes(&value(slot::EVIDENCE)?.0).ok()?;
    let last = evidence.into_iter().next_back()?;
    Some((false, last.leaf, last.link?))
}
