//! The chain of one robot as its steps prove it: each under a head of the registry that wrote it, from the registration on. It
//! travels with an offer, so that a country which knows nothing of the robot, and of its issuer no more than a bundle, need take
//! no epoch and no custodian on trust.
//!
//! ```text
//! [Register 86] [Offer 86] [Depart 86] [Admit 49] ◀─ Offer 49   each names the leaf hash of the one before
//!  └ run under a head of 86 ─────────┘ └ of 49 ┘
//! ```
//! Only what moves custody is a link of it; Accept, Refuse and Detain are not. A chain begins with the registration by the issuer, or
//! with a step that the issuer wrote while it had the robot: it could have registered the robot then. What lies before a step that
//! cannot be proven here is left out, so nobody need know where a robot was before it came home.
//!
//! Its leaves are bound by their hashes: the offer names the last, each names the one before. Heads and paths are not bound, and who
//! showed them need not be who wrote them: of a registry other than the sender no fault of them stops a feed. A head counts under a key
//! that is in use, or as the last good one of a key that ended; of a country with which there is no contact, or whose word is doubted, none does.
//!
//! [`prove_chain`] makes the only [`ProvenChain`]. The issuer itself proves no more than what leads on from what it knows
//! ([`prove_way_home`]): home a robot comes whatever became of an old key. [`way`] reads the steps that are known here, to be shown to the
//! next country. What an offer changes is in `foreign`.

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::code::{Code, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Canonical;
use crate::bytes::level::Level;
use crate::bytes::signature::PublicKey;
use crate::bytes::time::TimeMs;
use crate::custody::chain::{Chain, Doubt, Link, Phase, Step};
use crate::custody::follows::{custodian_after, follows, row};
use crate::custody::movement::EvidenceRef;
use crate::limits::{
    CHAIN_ABROAD_MAX, CHAIN_BYTES_ABROAD_MAX, CHAIN_BYTES_MAX, CHAIN_MAX, CHAIN_STEP_BYTES,
    CHAIN_TRAIL_MAX, NOTE_KEPT_BYTES_MAX,
};
use crate::log::checkpoint::{NoteLine, Origin, peek};
use crate::log::leaf::{Kind, Leaf, Subject, leaf_bytes_hash};
use crate::log::merkle::verify_inclusion;
use crate::log::shown::{ChainRun, ProvenLeaf};
use crate::log::stored::LeafRecord;
use crate::record::crossing::TransferId;
use crate::record::event::slot;
use crate::record::keys::{GoodHead, KeyHistory, KeyRole};
use crate::record::transfer::Transfer;
use crate::rules::rejection::Flaw;

/// A step of a robot, proven under a head of the registry that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenStep {
    /// What it says, of slot 12 of its leaf.
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

/// The steps of a robot from its registration, or from a step that its issuer wrote while it had the robot, each following the one
/// before. Only [`prove_chain`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenChain {
    steps: Vec<ProvenStep>,
    runs: Vec<ChainRun>,
    /// Steps before its beginning that are proven as well.
    before: Vec<ProvenStep>,
}

impl ProvenChain {
    /// The steps, oldest first; there is one at least.
    pub fn steps(&self) -> &[ProvenStep] {
        &self.steps
    }

    /// As they are kept and shown on: of each head the line that was verified, of each leaf slot 12.
    pub fn runs(&self) -> &[ChainRun] {
        &self.runs
    }

    /// Whether it leads on from what is known here of a robot: the newest step known is on it, or its issuer has it by what is known and
    /// by each proven departure since, of whoever had it then, to whom that went. The issuer's word is enough where it has the robot.
    pub fn leads_on(&self, issuer: Prefix, known: &Chain) -> bool {
        if known.newest().is_none() || self.has(known) {
            return true;
        }
        let Some(holder) = known.responsible_abroad() else {
            return false;
        };
        let since = self.before.iter().filter(|it| it.link.epoch > known.epoch);
        since.fold(holder, handed_on) == issuer
    }

    /// Whether the newest step that is known of a robot is one of these.
    pub fn has(&self, known: &Chain) -> bool {
        self.steps.iter().any(|step| step.leaf == known.link)
    }
}

/// Who is responsible after a step, who `holder` was before it: only a departure of the holder, or a return to the exporter by the one who
/// has it, hands it on.
fn handed_on(holder: Prefix, step: &ProvenStep) -> Prefix {
    match (step.link.step, step.link.from) {
        _ if step.origin.prefix != holder => holder,
        (Step::Depart, _) => step.link.to,
        (Step::Return, Some(exporter)) => exporter,
        _ => holder,
    }
}

/// What is known of a robot, led to the newest step before an offer.
pub fn led(known: &Chain, link: &Link, leaf: Digest) -> Chain {
    let phase = match &known.phase {
        // What leads on from an open transfer shows how it ended.
        Phase::Released { transfer, to, .. } => Phase::Gone {
            transfer: *transfer,
            to: *to,
            admit: leaf,
        },
        Phase::Asked { .. } | Phase::Permitted { .. } => Phase::Elsewhere {},
        phase => phase.clone(),
    };
    Chain {
        epoch: link.epoch,
        link: leaf,
        shown: known.shown.clone(),
        followed: Some(link.clone()),
        phase,
    }
}

/// Steps as they were shown for an offer: the runs, the leaf hash of the newest, and the head of the message. A run without a note
/// stands under that.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'r> {
    /// Each of steps in one log, in the order of the chain.
    pub runs: &'r [ChainRun],
    /// What the offer names as the one before.
    pub end: Digest,
    /// Whose message it is.
    pub origin: Origin,
    /// The size and root that the message is proven under.
    pub under: (u64, Digest),
    /// The note of that head, as it is kept.
    pub note: &'r str,
}

/// What is believed of the heads of a registry.
#[derive(Debug, Clone)]
pub struct Believed {
    /// Each head is judged by those of its size.
    pub keys: KeyHistory,
    /// The largest size of its log that was seen, and its root; size 0 for none.
    pub seen: (u64, Digest),
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

impl Bound<'_> {
    fn step(&self) -> ProvenStep {
        ProvenStep {
            link: self.link.clone(),
            leaf: self.hash,
            origin: self.origin,
            index: self.shown.index,
            at: self.leaf.t_ms,
        }
    }

    fn fault(&self, flaw: Flaw) -> ChainFault {
        ChainFault::Step {
            of: self.link.writer(),
            index: self.shown.index,
            flaw,
        }
    }

    fn is_of(&self, robot: &Digest) -> bool {
        let carries = matches!(self.leaf.kind, Kind::Custody | Kind::Register);
        self.leaf.key == *robot && carries && row(self.link.step).moves
    }
}

/// A head that was opened: size, root, and the note as it is kept.
type Opened = Result<(u64, Digest, String), Flaw>;

/// The heads of a chain: each is verified once.
struct Heads<'r> {
    shown: Shown<'r>,
    opened: BTreeMap<&'r str, Opened>,
}

impl<'r> Heads<'r> {
    fn of(shown: Shown<'r>) -> Self {
        Self {
            shown,
            opened: BTreeMap::new(),
        }
    }

    /// Proves a leaf under its head. The note of that as it is kept.
    fn prove<'k>(
        &mut self,
        one: &Bound<'r>,
        keys: &impl Fn(&Origin) -> Result<&'k Believed, Flaw>,
    ) -> Result<String, Flaw> {
        let (index, path) = (one.shown.index, &one.shown.path);
        let (size, root, note) = if one.checkpoint.is_empty() {
            let (size, root) = self.shown.under;
            (size, root, self.shown.note.to_owned())
        } else {
            let opened = self.opened.entry(one.checkpoint);
            opened
                .or_insert_with(|| open(one.checkpoint, &one.origin, keys))
                .clone()?
        };
        verify_inclusion(&one.hash, index, size, path, &root).map_err(|_| Flaw::Unproven)?;
        Ok(note)
    }
}

/// Opens a head under a key that is in use, or as the last good one of a key that ended.
fn open<'k>(
    text: &str,
    origin: &Origin,
    keys: &impl Fn(&Origin) -> Result<&'k Believed, Flaw>,
) -> Opened {
    let believed = keys(origin)?;
    let (key, head) = believed.keys.opened(text, origin).map_err(|_| Flaw::Head)?;
    let (size, root) = (head.size(), *head.root());
    let end = believed.keys.entry(KeyRole::Log, &key);
    let end = end.and_then(|entry| entry.end);
    // Of an older head of such a key nobody knows here whether its registry signed it, or who has the key now.
    if end.is_some_and(|end| end.last_good != Some(GoodHead { size, root })) {
        return Err(Flaw::Head);
    }
    if believed.seen.0 == size && believed.seen.1 != root {
        return Err(Flaw::Distrusted);
    }
    Ok((size, root, kept_note(text, origin, &key)))
}

/// Proves a chain: every step under a head of the registry that wrote it, by its keys, each following the one before. It begins behind
/// the last step that cannot be proven here.
///
/// # Errors
/// What does not hold of the last such step, where no beginning follows it.
pub fn prove_chain<'k>(
    code: &Code,
    shown: Shown<'_>,
    keys: impl Fn(&Origin) -> Result<&'k Believed, Flaw>,
    level: Level,
) -> Result<ProvenChain, ChainFault> {
    let robot = Subject::robot(code).key();
    let (mut steps, mut runs): (Vec<ProvenStep>, Vec<ChainRun>) = (Vec::new(), Vec::new());
    let mut before = Vec::new();
    let (mut heads, mut why) = (Heads::of(shown), ChainFault::Size);
    for one in bound(shown, level)? {
        let proven = match one.is_of(&robot) {
            true => heads.prove(&one, &keys).map_err(|flaw| one.fault(flaw)),
            false => Err(one.fault(Flaw::NoStep)),
        };
        let step = one.step();
        let is_proven = proven.is_ok();
        let placed = proven.and_then(|note| match steps.last() {
            Some(newest) => follows(&newest.link, &newest.leaf, &step.link)
                .map_err(ChainFault::Order)
                .map(|()| note),
            None if begins(code, &step) => Ok(note),
            None => Err(one.fault(Flaw::Beginning)),
        });
        match placed {
            Ok(note) => {
                add(&mut runs, &note, one.shown);
                steps.push(step);
            }
            Err(fault) => {
                // That it is no beginning says less than why there is none before it.
                let is_first = matches!(
                    fault,
                    ChainFault::Step {
                        flaw: Flaw::Beginning,
                        ..
                    }
                );
                if !is_first || why == ChainFault::Size {
                    why = fault;
                }
                before.append(&mut steps);
                runs.clear();
                if is_proven {
                    before.push(step);
                }
            }
        }
    }
    match steps.is_empty() {
        true => Err(why),
        false => Ok(ProvenChain {
            steps,
            runs,
            before,
        }),
    }
}

/// What leads home, as the issuer of the robot reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayHome {
    /// On which a further step would build.
    pub newest: ProvenStep,
    /// The step right behind the one that is known, if there is one.
    pub next: Option<ProvenStep>,
    /// The steps up to it that are proven, as they are kept.
    pub runs: Vec<ChainRun>,
}

/// Reads a way home: behind `known`, the hash of the newest step that the issuer knows, each follows the one before and is proven. What
/// lies before is known already, whatever became of the keys that it was signed with; it is kept where it is proven.
///
/// # Errors
/// What does not hold, or that nothing known leads there.
pub fn prove_way_home<'k>(
    code: &Code,
    shown: Shown<'_>,
    known: &Digest,
    keys: impl Fn(&Origin) -> Result<&'k Believed, Flaw>,
    level: Level,
) -> Result<WayHome, ChainFault> {
    let robot = Subject::robot(code).key();
    let bound = bound(shown, level)?;
    let (mut heads, mut runs) = (Heads::of(shown), Vec::new());
    let (mut newest, mut next): (Option<ProvenStep>, Option<ProvenStep>) = (None, None);
    for one in &bound {
        let proven = match one.is_of(&robot) {
            true => heads.prove(one, &keys),
            false => Err(Flaw::NoStep),
        };
        let is_known = newest.is_none();
        match &proven {
            Ok(note) => add(&mut runs, note, one.shown),
            Err(_) if is_known => runs.clear(),
            Err(flaw) => return Err(one.fault(*flaw)),
        }
        if let Some(newest) = &newest {
            follows(&newest.link, &newest.leaf, &one.link).map_err(ChainFault::Order)?;
            next.get_or_insert_with(|| one.step());
        }
        if !is_known || one.hash == *known {
            newest = Some(one.step());
        }
    }
    let newest = newest.ok_or(ChainFault::Order(Doubt::AnotherBefore))?;
    Ok(WayHome { newest, next, runs })
}

/// The step by which a transfer that is open here was over, where it is one of these and nothing was heard of it yet: the admission of
/// what we released, or the end of an offer to us.
pub fn over<'s>(
    known: &Chain,
    steps: impl IntoIterator<Item = &'s ProvenStep>,
) -> Option<&'s ProvenStep> {
    let (ends, transfer, before) = match &known.phase {
        Phase::Released {
            transfer, depart, ..
        } => (Step::Admit, transfer, depart),
        Phase::Asked {
            transfer, offer, ..
        }
        | Phase::Permitted {
            transfer, offer, ..
        } => (Step::Cancel, transfer, offer),
        _ => return None,
    };
    steps.into_iter().find(|step| {
        let link = &step.link;
        link.step == ends && link.transfer == Some(*transfer) && link.prev == *before
    })
}

/// The leaves of runs, where each names the one before by its hash, the last is the one that the offer names, and each stands under a
/// head of whoever its link says wrote it.
fn bound(shown: Shown<'_>, level: Level) -> Result<Vec<Bound<'_>>, ChainFault> {
    let runs = shown.runs;
    let count: usize = runs.iter().map(|run| run.leaves.len()).sum();
    // The offer and the departure come behind it.
    if count == 0 || count > CHAIN_MAX - 2 || bytes_of(runs) > CHAIN_BYTES_MAX {
        return Err(ChainFault::Size);
    }
    let mut all: Vec<Bound<'_>> = Vec::new();
    for run in runs {
        let origin = match run.checkpoint.is_empty() {
            true => shown.origin,
            false => {
                peek(&run.checkpoint)
                    .map_err(|_| ChainFault::Unbound)?
                    .origin
            }
        };
        // So there are no more runs than leaves.
        if run.leaves.is_empty() {
            return Err(ChainFault::Unbound);
        }
        for shown in &run.leaves {
            let one = opened_leaf(shown, (run.checkpoint.as_str(), origin), level);
            let one = one.ok_or(ChainFault::Unbound)?;
            let before = all.last().is_none_or(|before| one.link.prev == before.hash);
            if !before || one.link.writer() != origin.prefix {
                return Err(ChainFault::Unbound);
            }
            all.push(one);
        }
    }
    match all.last() {
        Some(last) if last.hash == shown.end => Ok(all),
        _ => Err(ChainFault::Unbound),
    }
}

/// A leaf with the link that its own bytes bind.
fn opened_leaf<'r>(
    shown: &'r ProvenLeaf,
    (checkpoint, origin): (&'r str, Origin),
    level: Level,
) -> Option<Bound<'r>> {
    let leaf = Leaf::from_bytes_at(&shown.leaf.0, level).ok()?;
    let slots = shown.disclosed.clone().verify(&leaf.record_root).ok()?;
    let link: Link = slots.at(level).get(slot::CUSTODY).ok()??;
    Some(Bound {
        shown,
        checkpoint,
        origin,
        leaf,
        hash: leaf_bytes_hash(&shown.leaf.0),
        link,
    })
}

/// What is kept of a signed note, so that it can be shown later: its body, and the one signature line that was verified. Lines
/// beside it under the same name and another key are nobody's, and would fill what is kept.
pub(super) fn kept_note(note: &str, origin: &Origin, key: &PublicKey) -> String {
    let (name, hash) = (origin.to_string(), origin.key_hash(key));
    let (body, signatures) = note.split_once("\n\n").unwrap_or((note, ""));
    let own = signatures.lines().find(|line| {
        let line = NoteLine::parse(line);
        line.is_ok_and(|line| line.name() == name && line.key_hash() == hash)
    });
    let kept = format!("{body}\n\n{}\n", own.unwrap_or_default());
    match kept.len() > NOTE_KEPT_BYTES_MAX {
        // Its registry wrote more into it than a checkpoint has: the digest in the record says what it was.
        true => String::new(),
        false => kept,
    }
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

/// Registries that wrote steps of runs.
pub fn writers_of<'r>(runs: impl IntoIterator<Item = &'r ChainRun>) -> BTreeSet<Prefix> {
    let heads = runs
        .into_iter()
        .filter_map(|run| peek(&run.checkpoint).ok());
    heads.map(|head| head.origin.prefix).collect()
}

/// Whether a run stands under a head of this log.
pub fn is_of(run: &ChainRun, origin: &Origin) -> bool {
    peek(&run.checkpoint).is_ok_and(|head| head.origin == *origin)
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
}

impl Way {
    /// Other registries that wrote a step of it.
    pub fn others(&self) -> BTreeSet<Prefix> {
        let runs = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Own { .. } => None,
            Piece::Shown(run) => Some(run),
        });
        writers_of(runs)
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

    /// The way as the issuer shows it, or is shown it: a long one begins with the newest step of our own by which the robot is here.
    /// The issuer may begin a chain with that; and of any other one it was told in the mailbox before the offer.
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
    let (mut next, mut wanted) = (newest, step);
    for _ in 0..CHAIN_TRAIL_MAX {
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
            way.pieces.push(Piece::Own { index, link });
            continue;
        }
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
