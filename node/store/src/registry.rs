//! The replicated registry of one node: log records in, answers out, one atomic batch a chunk.
//!
//! The rules are `carnet_domain::machine`; this is the shell: read, decide, write. After a seal the batch is committed
//! and a view is kept, so that proofs under a published checkpoint are served from exactly the state it speaks of.
//!
//! A panic of the rules is caught: its chunk is dropped whole and applied again record by record, up to the one that
//! panics alone. Before that one this replica stands still until the roots order to skip it. A panic that does not come
//! again is reported, and its record stands as applied alone: the law "same log, same bytes" is stated record by record,
//! chunks are cut by each replica's own timing, and a chunk of one is what any replica may have applied.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::watch;
use tracing::{error, warn};

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical, DecodeError};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::machine::entry::{Answer, Entry, ItemAnswer};
use carnet_domain::machine::order::{self, OrderForEntry, entry_digest};
use carnet_domain::machine::{self, Question};
use carnet_domain::record::ledger::MapChanges;
use carnet_domain::record::peer::Signed;
use carnet_domain::record::registry::{Registry, Sealed};
use carnet_domain::rules::rejection::{Reason, Rejection};

use crate::applied;
use crate::artefact::{StateEngine, StateSink, content_digest_paced};
use crate::compare::{Mark, Marks, Written};
use crate::engine::{Batch, KvRead};
use crate::families::Family;
use crate::fault::StorageFault;
use crate::guard;
use crate::kept::{self, Kept};
use crate::keys;
use crate::log::payload_size;
use crate::machine::{
    Applied, LogPosition, LogRecord, Payload, Snapshot, SnapshotSink, StandsBefore, StateMachine,
};
use crate::membership;
use crate::overlay::{Finished, Overlay, Verified};
#[cfg(feature = "planted")]
use crate::planted::Faults;
use crate::records::{Records, knows_level, to_stored};
use crate::roots;
use crate::run;
use crate::skips::{OrderError, OrderStanding, Orders, Skipped};
use crate::stopwatch::{Now, Stopwatch};

/// The instance of the rules that this program applies entries by: what ships has none of the planted faults.
#[cfg(not(feature = "planted"))]
type Rules = carnet_domain::planted::Sound;
#[cfg(feature = "planted")]
type Rules = Faults;

/// Signatures remembered between ingress and apply.
const VERIFIED_COUNT_MAX: usize = 65_536;
/// Sealed views kept while they wait for their signature.
const SEALED_VIEWS_MAX: usize = 8;
/// How long the state under a published checkpoint is kept once there is a newer one, by log time: whoever took that checkpoint in a
/// moment ago is answered under it.
const RECENT_FOR: DurationMs = DurationMs::from_secs(20);
/// The most of them.
const RECENT_COUNT_MAX: usize = 128;
/// Records applied in one batch at the most.
const CHUNK_COUNT_MAX: usize = 256;
/// Bytes of them after which a batch ends, so that what it writes, about four times as much, lies in the caches of the processor.
const CHUNK_BYTES: usize = 256 << 10;

/// Signatures that this process has verified: first in, first out.
#[derive(Default)]
pub struct VerifiedCache {
    inner: Mutex<(HashSet<Digest>, VecDeque<Digest>)>,
}

impl VerifiedCache {
    /// Notes a signature that verified.
    pub fn note(&self, what: Digest) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0.insert(what) {
            inner.1.push_back(what);
            if VERIFIED_COUNT_MAX < inner.1.len()
                && let Some(oldest) = inner.1.pop_front()
            {
                inner.0.remove(&oldest);
            }
        }
    }
}

impl Verified for VerifiedCache {
    fn knows(&self, what: &Digest) -> bool {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .contains(what)
    }
}

/// How far the registry has come, for those who wait.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Raft index of the last record applied; 0 before the first.
    pub applied: u64,
    /// Tree size.
    pub size: u64,
    /// Newest sealed size; 0 before the first.
    pub sealed: u64,
    /// Newest published size; 0 before the first.
    pub published: u64,
    /// Leaves that wait for a seal.
    pub unsealed: u64,
    /// Of the newest entry applied; it never goes back but by the roots.
    pub log_time: TimeMs,
    /// The latest stamp that is taken.
    pub ceiling: TimeMs,
    /// Log time of the newest seal.
    pub sealed_at: TimeMs,
    /// The level that the registry stands at; none before the genesis.
    pub level: Option<Level>,
}

/// A published checkpoint with the state that it speaks of.
#[derive(Clone)]
pub struct Published {
    /// The registry as it stood when the checkpoint was published.
    pub registry: Registry,
    /// Tree size.
    pub size: u64,
    /// The checkpoint, a signed note.
    pub checkpoint: String,
    /// The state at exactly that size.
    pub view: Arc<dyn KvRead>,
}

/// The whole state at one sealed size, to be digested in the background and given to [`RegistryState::digested`].
pub struct ContentToDigest {
    size: u64,
    index: u64,
    view: Arc<dyn KvRead>,
}

impl ContentToDigest {
    /// Tree size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads everything. `go_on` is called now and then with how many bytes were read since; it may take its time, and
    /// `false` ends the reading without a digest.
    ///
    /// # Errors
    /// The disk failed.
    pub fn digest(
        &self,
        go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<[u8; 32]>, StorageFault> {
        content_digest_paced(self.view.as_ref(), go_on)
    }
}

struct Inner {
    registry: Option<Registry>,
    sealed_views: BTreeMap<u64, Arc<dyn KvRead>>,
    /// The record that panicked alone. Until it is skipped, nothing after it is applied.
    stands: Option<StandsBefore>,
    /// Everything written since the last seal.
    written: Written,
    /// What is not read back.
    kept: Kept,
    /// How far the state has come, as the last batch wrote it.
    applied: Applied,
}

/// What applying a run of records computed. Nothing of it is written yet.
struct Computed {
    answers: Vec<Bytes>,
    batch: Batch,
    registry: Option<Registry>,
    written: Written,
    appended: Vec<MapChanges>,
    pages: Vec<kept::Written>,
}

/// A computation that panicked, or whose invariant broke: what it said. It left nothing behind.
struct Broke(String);

/// The registry of one node.
pub struct RegistryState<E: StateEngine> {
    engine: E,
    inner: Mutex<Inner>,
    published: RwLock<Option<Published>>,
    /// The newest published state, last, and those that were it lately.
    recent: Mutex<VecDeque<Published>>,
    verified: Arc<VerifiedCache>,
    progress: watch::Sender<Progress>,
    /// [`Progress::published`], for those whom nothing else wakes.
    published_size: watch::Sender<u64>,
    /// Set when a snapshot replaced the content: what is cached must be read anew.
    replaced: Arc<AtomicBool>,
    orders: Orders,
    skipped: RwLock<Arc<[Skipped]>>,
    /// A lock of its own: whoever asks must not wait until a run of records is applied.
    marks: Mutex<Marks>,
    /// How often, in log time, the whole content is digested; 0: never.
    content_every_ms: u64,
    content: Mutex<Option<ContentToDigest>>,
    diverged: Mutex<Option<String>>,
    stopwatch: Stopwatch,
    rules: Rules,
    #[cfg(feature = "planted")]
    differs: bool,
}

impl<E: StateEngine> RegistryState<E> {
    /// Over an engine, as far as it has come.
    ///
    /// # Errors
    /// The disk failed, or a newer binary wrote it.
    pub fn open(engine: E) -> Result<Self, StorageFault> {
        // What is on the disk is decoded here for the first time.
        guard::run(|| Self::open_unguarded(engine)).unwrap_or_else(|panic| {
            Err(StorageFault::Corrupt {
                what: "state database",
                detail: format!("what it holds cannot be read: {panic}"),
            })
        })
    }

    fn open_unguarded(engine: E) -> Result<Self, StorageFault> {
        let registry = Records(&engine).registry()?;
        let applied = applied::load(&engine)?;
        let progress = progress_of(registry.as_ref(), &applied);
        let skipped = Records(&engine).all_skipped()?;
        let written = Written::load(&engine)?;
        let kept = Kept::load(&engine, size_of(registry.as_ref()))?;
        let state = Self {
            engine,
            inner: Mutex::new(Inner {
                registry,
                sealed_views: BTreeMap::new(),
                stands: None,
                written,
                kept,
                applied: applied.clone(),
            }),
            published: RwLock::new(None),
            recent: Mutex::default(),
            verified: Arc::default(),
            published_size: watch::Sender::new(progress.published),
            progress: watch::Sender::new(progress),
            replaced: Arc::default(),
            orders: Orders::default(),
            skipped: RwLock::new(skipped.into()),
            marks: Mutex::default(),
            content_every_ms: 0,
            content: Mutex::default(),
            diverged: Mutex::default(),
            stopwatch: Stopwatch::default(),
            rules: Rules::default(),
            #[cfg(feature = "planted")]
            differs: false,
        };
        // A state that stands at a seal serves it at once: nothing may be written for long.
        let mut inner = state.lock()?;
        state.keep_views(&mut inner)?;
        state.mark_what_is_there(&inner, &applied);
        drop(inner);
        Ok(state)
    }

    /// With faults planted by a test of the tests.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn plant(self, rules: Faults) -> Self {
        Self { rules, ..self }
    }

    /// With the planted fault of a replica that writes one byte of a marked record differently.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn differing(self, differs: bool) -> Self {
        Self { differs, ..self }
    }

    /// Digests its whole content at the first seal of every so many milliseconds of log time; 0: never. Replicas with
    /// other numbers choose other sizes, and have nothing to compare.
    #[must_use]
    pub fn content_every(self, ms: u64) -> Self {
        Self {
            content_every_ms: ms,
            ..self
        }
    }

    /// Measures by a clock what each record takes.
    #[must_use]
    pub fn measured(self, now: Now) -> Self {
        Self {
            stopwatch: Stopwatch::of(now),
            ..self
        }
    }

    /// The state to be digested, if a size for it was passed since the last call.
    pub fn take_content(&self) -> Option<ContentToDigest> {
        locked(&self.content).take()
    }

    /// Takes up the digest of a state that [`Self::take_content`] gave.
    pub fn digested(&self, content: &ContentToDigest, digest: [u8; 32]) {
        locked(&self.marks).content(content.size, content.index, digest);
    }

    /// Why this replica's state is known to be another than the one that was signed. It applies nothing since.
    pub fn diverged(&self) -> Option<String> {
        locked(&self.diverged).clone()
    }

    /// The engine: reads of the newest applied state.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Where ingress notes signatures that verified.
    pub fn verified(&self) -> &Arc<VerifiedCache> {
        &self.verified
    }

    /// How far it has come; changes wake the receiver.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The newest published size; 0 before the first. Changes wake the receiver, and nothing else does.
    pub fn published_size(&self) -> watch::Receiver<u64> {
        self.published_size.subscribe()
    }

    /// Tells how far it has come.
    fn tell(&self, next: Progress) {
        self.published_size
            .send_if_modified(|size| std::mem::replace(size, next.published) != next.published);
        self.progress.send_if_modified(|progress| {
            let changed = *progress != next;
            *progress = next;
            changed
        });
    }

    /// The newest published checkpoint whose state this node has. `None` after a start from a state beyond its newest
    /// seal, until the next one is published; that leaves wait for it is why there will be one.
    pub fn published(&self) -> Option<Published> {
        self.published
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A published checkpoint of exactly this size with its state: the newest, or one that was it a moment ago.
    pub fn published_at(&self, size: u64) -> Option<Published> {
        let recent = locked(&self.recent);
        let mut newest_first = recent.iter().rev();
        newest_first
            .find(|published| published.size == size)
            .cloned()
    }

    /// The registry as applied.
    ///
    /// # Errors
    /// The disk failed.
    pub fn registry(&self) -> Result<Option<Registry>, StorageFault> {
        Ok(self.lock()?.registry.clone())
    }

    /// Puts these in the place of all orders to skip an entry that this node has.
    pub fn set_orders(&self, orders: Vec<Signed>) {
        self.orders.replace(orders);
    }

    /// Judges an order to skip an entry, by the registry as applied.
    ///
    /// # Errors
    /// Why this node does not follow it.
    pub fn judge_order(&self, signed: &Signed) -> Result<OrderStanding, OrderError> {
        let inner = self.lock()?;
        let order = order::judge(signed, inner.registry.as_ref())?;
        let log_index = order.skip().log_index;
        let applied = applied::load(&self.engine)?.last;
        if applied.is_some_and(|last| log_index <= last.index) {
            return match Records(&self.engine).skipped(log_index)? {
                Some(skipped) if skipped.order == *order.skip() => Ok(OrderStanding::Followed),
                _ => Err(OrderError::AppliedOtherwise { log_index }),
            };
        }
        match &inner.stands {
            Some(stands) if stands.position.index == log_index => {
                order.for_entry(log_index, &stands.digest)?;
            }
            _ => {}
        }
        Ok(OrderStanding::Waits)
    }

    /// The index of the skipped entry whose body this is: proposed again, it would stop every replica again. `body` gives
    /// its canonical bytes, and is asked only where an entry was skipped at all.
    pub fn was_skipped(&self, body: impl FnOnce() -> Vec<u8>) -> Option<u64> {
        let skipped = Arc::clone(&self.skipped.read().unwrap_or_else(PoisonError::into_inner));
        if skipped.is_empty() {
            return None;
        }
        let body = body();
        let same = skipped.iter().find(|skipped| skipped.repeats(&body));
        same.map(|skipped| skipped.order.log_index)
    }

    /// The index of the newest skipped entry that was mail of this peer. The peer serves the same item again under its
    /// next checkpoint, in other bytes, which [`Self::was_skipped`] does not know: ask [`Self::breaks_on`].
    pub fn skipped_mail_of(&self, peer: Prefix) -> Option<u64> {
        let skipped = Arc::clone(&self.skipped.read().unwrap_or_else(PoisonError::into_inner));
        let newest = skipped.iter().rev().find(|s| s.peer() == Some(peer));
        newest.map(|skipped| skipped.order.log_index)
    }

    /// Whether the rules of this program panic at an entry, tried on the state as it is; nothing is written. Blocks for
    /// as long as applying it takes, and applying waits meanwhile.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn breaks_on(&self, entry: &Entry) -> Result<bool, StorageFault> {
        let inner = self.lock()?;
        let applied = applied::load(&self.engine)?;
        let record = LogRecord {
            position: applied.last.unwrap_or_default(),
            payload: Payload::Entry(entry.to_bytes().into()),
        };
        let membership = applied.membership.as_ref().map(|(_, bytes)| bytes);
        let computed = guarded(|| self.compute(&inner, membership, std::slice::from_ref(&record)))?;
        Ok(computed.is_err())
    }

    /// What the rules would answer to a question on the state that is read: tried, and thrown away. Nothing waits for it. Of no
    /// genesis, none.
    ///
    /// # Errors
    /// The state cannot be read, or the rules of this program panic at it.
    pub fn foresee(
        &self,
        reads: &dyn KvRead,
        question: &Question,
        at: TimeMs,
    ) -> Result<Option<Answer>, StorageFault> {
        let registry = Records(reads).registry()?;
        let tried = || {
            let mut overlay = Overlay::new(reads, self.verified.as_ref(), registry);
            machine::foresee(&mut overlay, question, at)
        };
        guard::run(tried).unwrap_or_else(|panic| Err(StorageFault::Invariant(panic)))
    }

    fn reread_skipped(&self) -> Result<(), StorageFault> {
        let skipped = Records(&self.engine).all_skipped()?;
        *self.skipped.write().unwrap_or_else(PoisonError::into_inner) = skipped.into();
        Ok(())
    }

    /// What is cached, read anew if a snapshot replaced the content.
    fn lock(&self) -> Result<MutexGuard<'_, Inner>, StorageFault> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.replaced.swap(false, Ordering::AcqRel) {
            inner.registry = Records(&self.engine).registry()?;
            inner.sealed_views.clear();
            locked(&self.recent).clear();
            inner.stands = None;
            self.reread_skipped()?;
            inner.written = Written::load(&self.engine)?;
            inner.kept = Kept::load(&self.engine, size_of(inner.registry.as_ref()))?;
            self.keep_views(&mut inner)?;
            let applied = applied::load(&self.engine)?;
            inner.applied = applied.clone();
            *locked(&self.marks) = Marks::default();
            self.mark_what_is_there(&inner, &applied);
            self.tell(progress_of(inner.registry.as_ref(), &applied));
        }
        Ok(inner)
    }

    /// Applies a run of records: all of them, or, when the rules panic, those before the record that panics alone.
    /// Gives their answers.
    fn apply_run(
        &self,
        inner: &mut Inner,
        records: &[LogRecord],
        applied: &mut Applied,
    ) -> Result<Vec<Bytes>, StorageFault> {
        let broke = if records.len() > 1 {
            match self.apply_chunk(inner, records, applied)? {
                Ok(answers) => return Ok(answers),
                Err(broke) => Some(broke),
            }
        } else {
            None
        };
        let mut answers = Vec::with_capacity(records.len());
        for record in records {
            let Some(answer) = self.apply_alone(inner, record, applied)? else {
                return Ok(answers);
            };
            answers.push(answer);
        }
        if let Some(Broke(why)) = broke {
            let (from, to) = (
                first_index(records),
                records.last().map(|r| r.position.index),
            );
            error!(from, to, %why, "a run of log entries panicked, and none of them did alone: they stand as applied alone; have the program and this machine's memory examined");
        }
        Ok(answers)
    }

    /// Applies one record, or skips it by order; `None` when this replica stands still before it.
    fn apply_alone(
        &self,
        inner: &mut Inner,
        record: &LogRecord,
        applied: &mut Applied,
    ) -> Result<Option<Bytes>, StorageFault> {
        let Payload::Entry(bytes) = &record.payload else {
            return match self.apply_chunk(inner, std::slice::from_ref(record), applied)? {
                Ok(answers) => Ok(answers.into_iter().next()),
                Err(Broke(why)) => Err(StorageFault::Invariant(why)),
            };
        };
        let broke = match self.order_for(inner, record, bytes) {
            Some(order) => self.skip(inner, record, &order, bytes, applied)?,
            // It panicked before, and nothing has changed since.
            None if self.stands_at(inner, record) => return Ok(None),
            None => self.apply_chunk(inner, std::slice::from_ref(record), applied)?,
        };
        match broke {
            Ok(answers) => {
                inner.stands = None;
                Ok(answers.into_iter().next())
            }
            Err(Broke(why)) => {
                let stands = StandsBefore {
                    position: record.position,
                    digest: entry_digest(bytes),
                    why,
                };
                error!(
                    log_index = stands.position.index,
                    digest = %stands.digest,
                    why = %stands.why,
                    "this node stands still before a log entry that it cannot apply: see the runbook poisoned-entry"
                );
                inner.stands = Some(stands);
                Ok(None)
            }
        }
    }

    fn stands_at(&self, inner: &Inner, record: &LogRecord) -> bool {
        let stands = inner.stands.as_ref();
        stands.is_some_and(|stands| stands.position == record.position)
    }

    /// The order of the roots to skip this entry, if this node has one. Orders that are wrong are reported by whoever
    /// reads the files.
    fn order_for(&self, inner: &Inner, record: &LogRecord, entry: &[u8]) -> Option<OrderForEntry> {
        let index = record.position.index;
        let orders = self.orders.at(index);
        let digest = if orders.is_empty() {
            return None;
        } else {
            entry_digest(entry)
        };
        orders.iter().find_map(|signed| {
            let order = order::judge(signed, inner.registry.as_ref()).ok()?;
            order.for_entry(index, &digest).ok()
        })
    }

    fn skip(
        &self,
        inner: &mut Inner,
        record: &LogRecord,
        order: &OrderForEntry,
        entry: &[u8],
        applied: &mut Applied,
    ) -> Result<Result<Vec<Bytes>, Broke>, StorageFault> {
        let index = record.position.index;
        let computed = guarded(|| {
            let mut overlay = overlay_over(&self.engine, self.verified.as_ref(), inner);
            machine::skip(&mut overlay, order, entry)?;
            overlay.end_record();
            let Finished {
                mut batch,
                registry,
                written,
                appended,
                pages,
            } = overlay.finish();
            let skipped = Skipped {
                order: order.skip().clone(),
                entry: Blob(entry.to_vec()),
            };
            batch.put(Family::Meta, keys::skipped(index), to_stored(&skipped));
            Ok(Computed {
                answers: vec![Bytes::new()],
                batch,
                registry,
                written,
                appended,
                pages,
            })
        })?;
        let done = self.commit(inner, std::slice::from_ref(record), computed, applied)?;
        if done.is_ok() {
            warn!(log_index = index, digest = %order.skip().entry, "log entry skipped by order of the roots");
            self.reread_skipped()?;
        }
        Ok(done)
    }

    /// Computes a run of records and writes it in one batch; nothing is written or changed when it broke.
    fn apply_chunk(
        &self,
        inner: &mut Inner,
        records: &[LogRecord],
        applied: &mut Applied,
    ) -> Result<Result<Vec<Bytes>, Broke>, StorageFault> {
        let membership = applied
            .membership
            .as_ref()
            .map(|(_, membership)| membership);
        let computed = guarded(|| self.compute(inner, membership, records))?;
        self.commit(inner, records, computed, applied)
    }

    fn compute(
        &self,
        inner: &Inner,
        membership: Option<&Bytes>,
        records: &[LogRecord],
    ) -> Result<Computed, StorageFault> {
        let level = inner.registry.as_ref().map_or(Level::FIRST, |it| it.level);
        let (entries, known) = run::read(&self.engine, self.verified.as_ref(), level, records)?;
        let mut overlay = overlay_over(&self.engine, &known, inner);
        #[cfg(feature = "planted")]
        {
            overlay = overlay.differing(self.differs);
        }
        if let Some(membership) = membership {
            overlay.set_members(membership::members(membership));
        }
        let mut answers = Vec::with_capacity(records.len());
        for (record, read) in records.iter().zip(entries) {
            let overlay = &mut overlay;
            let answer = self.stopwatch.lap(|| match &record.payload {
                Payload::Blank => Ok(Bytes::new()),
                Payload::Membership(bytes) => {
                    overlay.set_members(membership::members(bytes));
                    Ok(Bytes::new())
                }
                Payload::Entry(bytes) => {
                    let now = overlay.known_registry().map_or(Level::FIRST, |it| it.level);
                    let entry = match read {
                        Some(entry) if now == level => entry,
                        _ => Entry::from_bytes_at(bytes, now),
                    };
                    let answer = self.apply_entry(overlay, record.position, entry)?;
                    Ok(Bytes::from(answer.to_bytes()))
                }
            });
            answers.push(answer?);
            overlay.end_record();
        }
        let Finished {
            batch,
            registry,
            written,
            appended,
            pages,
        } = overlay.finish();
        Ok(Computed {
            answers,
            batch,
            registry,
            written,
            appended,
            pages,
        })
    }

    /// Writes what was computed. Outside the guard: a panic here stops the process.
    fn commit(
        &self,
        inner: &mut Inner,
        records: &[LogRecord],
        computed: Result<Computed, Broke>,
        applied: &mut Applied,
    ) -> Result<Result<Vec<Bytes>, Broke>, StorageFault> {
        let mut computed = match computed {
            Ok(computed) => computed,
            Err(broke) => return Ok(Err(broke)),
        };
        for record in records {
            assert!(
                applied.last < Some(record.position),
                "records are applied in order"
            );
            applied.last = Some(record.position);
            if let Payload::Membership(bytes) = &record.payload {
                applied.membership = Some((record.position, bytes.clone()));
            }
        }
        applied::store(&mut computed.batch, applied);
        let sealed = newly_sealed(inner.registry.as_ref(), computed.registry.as_ref());
        if let (Some(_), Some(registry)) = (&sealed, &computed.registry) {
            let registry = to_stored(registry);
            computed.written.seal(&registry);
        }
        computed.written.store(&mut computed.batch);
        self.engine.write(computed.batch)?;
        let before = std::mem::replace(&mut inner.registry, computed.registry);
        inner.applied = applied.clone();
        inner.written = computed.written;
        let size = sealed.as_ref().map(|sealed| sealed.size);
        inner.kept.grew(computed.appended, size);
        inner.kept.wrote(computed.pages);
        if let Some(sealed) = sealed {
            self.mark_seal(before.as_ref(), &sealed, inner, applied)?;
        }
        self.keep_views(inner)?;
        Ok(Ok(computed.answers))
    }

    /// How many of these records go into one batch: up to a seal, and never together with one that an order names, or
    /// that panicked before.
    fn run_length(&self, inner: &Inner, records: &[LogRecord]) -> usize {
        if inner.stands.is_some() {
            return 1;
        }
        let mut bytes = 0;
        let is_last = |record: &LogRecord| {
            bytes += payload_size(&record.payload);
            bytes >= CHUNK_BYTES || ends_batch(record)
        };
        let last = records.iter().position(is_last).map(|at| at + 1);
        let count = last.unwrap_or(records.len()).min(CHUNK_COUNT_MAX);
        let Some(ordered) = first_index(records).and_then(|first| self.orders.next(first)) else {
            return count;
        };
        let named = records
            .iter()
            .position(|record| record.position.index == ordered);
        match named {
            Some(0) => 1,
            Some(at) => count.min(at),
            None => count,
        }
    }

    /// Notes what there is to compare, after a batch that ended with a seal.
    fn mark_seal(
        &self,
        before: Option<&Registry>,
        sealed: &Sealed,
        inner: &Inner,
        applied: &Applied,
    ) -> Result<(), StorageFault> {
        let index = applied.last.map_or(0, |position| position.index);
        let writes = inner.written.at_seal();
        locked(&self.marks).seal(sealed.size, index, sealed.root.0, writes);
        let before = before.and_then(|registry| registry.sealed.as_ref());
        if content_is_due(before, sealed, self.content_every_ms) {
            let content = ContentToDigest {
                size: sealed.size,
                index,
                view: self.engine.view()?,
            };
            *locked(&self.content) = Some(content);
        }
        Ok(())
    }

    /// After a start or a snapshot: the newest seal is known.
    fn mark_what_is_there(&self, inner: &Inner, applied: &Applied) {
        let sealed = inner.registry.as_ref().and_then(|it| it.sealed.as_ref());
        if let Some(sealed) = sealed {
            let index = applied.last.map_or(0, |position| position.index);
            let writes = inner.written.at_seal();
            locked(&self.marks).seal(sealed.size, index, sealed.root.0, writes);
        }
    }

    fn apply_entry(
        &self,
        overlay: &mut Overlay<'_>,
        at: LogPosition,
        entry: Result<Entry, DecodeError>,
    ) -> Result<Answer, StorageFault> {
        if let (Ok(entry), Some(registry)) = (&entry, overlay.known_registry())
            && let Some(found) = machine::contradiction(registry, &entry.body)
        {
            let why = format!(
                "the signed checkpoint of size {} at log index {} has root {}, this replica came to {}",
                found.size, at.index, found.named, found.own
            );
            *locked(&self.diverged) = Some(why.clone());
            return Err(StorageFault::Diverged(why));
        }
        let answer = match entry {
            Ok(entry) => machine::apply_with(overlay, &entry, self.rules)?,
            Err(_) => malformed(),
        };
        // Nothing of the batch is written: a newer binary goes on before this entry.
        overlay.known_registry().map_or(Ok(()), knows_level)?;
        Ok(answer)
    }

    /// After a batch: keeps the view of a new seal, and serves proofs from the view that was published.
    fn keep_views(&self, inner: &mut Inner) -> Result<(), StorageFault> {
        let Some(registry) = &inner.registry else {
            return Ok(());
        };
        let sealed = registry.sealed.as_ref().map_or(0, |sealed| sealed.size);
        if 0 < sealed && sealed == registry.tree.size() && !inner.sealed_views.contains_key(&sealed)
        {
            inner.sealed_views.insert(sealed, self.engine.view()?);
            if SEALED_VIEWS_MAX < inner.sealed_views.len() {
                inner.sealed_views.pop_first();
            }
        }
        let size = registry
            .published
            .as_ref()
            .map_or(0, |published| published.size);
        if let Some(view) = inner.sealed_views.remove(&size) {
            inner.sealed_views.retain(|other, _| size < *other);
            let published = Published {
                registry: registry.clone(),
                size,
                checkpoint: registry.checkpoint.clone(),
                view,
            };
            keep_recent(&mut locked(&self.recent), published.clone());
            *self
                .published
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(published);
        }
        Ok(())
    }
}

/// The writes of a run of records over what was applied before.
fn overlay_over<'a>(
    base: &'a dyn KvRead,
    verified: &'a dyn Verified,
    inner: &Inner,
) -> Overlay<'a> {
    let (registry, written) = (inner.registry.clone(), inner.written.clone());
    Overlay::noting(base, verified, registry, written).keeping(inner.kept.clone())
}

/// Leaves of a registry.
fn size_of(registry: Option<&Registry>) -> u64 {
    registry.map_or(0, |registry| registry.tree.size())
}

/// Keeps the newest published state beside those that were the newest a moment ago.
fn keep_recent(recent: &mut VecDeque<Published>, newest: Published) {
    let now = newest.registry.log_time;
    recent.push_back(newest);
    // The first was the newest until the second was there.
    let is_over = |recent: &VecDeque<Published>| {
        let second = recent.get(1).filter(|_| recent.len() > 2);
        second.is_some_and(|second| now.since(second.registry.log_time) > RECENT_FOR)
    };
    while recent.len() > RECENT_COUNT_MAX || is_over(recent) {
        recent.pop_front();
    }
}

/// Runs a computation that a panic may end. A broken invariant that it noticed itself counts as one: it would be found
/// again by every replica and at every start.
fn guarded(
    job: impl FnOnce() -> Result<Computed, StorageFault>,
) -> Result<Result<Computed, Broke>, StorageFault> {
    match guard::run(job) {
        Ok(Ok(computed)) => Ok(Ok(computed)),
        Ok(Err(StorageFault::Invariant(why))) | Err(why) => Ok(Err(Broke(why))),
        Ok(Err(fault)) => Err(fault),
    }
}

fn first_index(records: &[LogRecord]) -> Option<u64> {
    records.first().map(|record| record.position.index)
}

/// An entry that is not canonical is answered alike on every replica and changes nothing.
fn malformed() -> Answer {
    let rejection = Rejection::from(Reason::Malformed);
    Answer {
        at: TimeMs(0),
        size: 0,
        session: None,
        items: vec![ItemAnswer::Refused { rejection }],
    }
}

fn progress_of(registry: Option<&Registry>, applied: &Applied) -> Progress {
    let applied = applied.last.map_or(0, |position| position.index);
    let Some(registry) = registry else {
        return Progress {
            applied,
            ..Progress::default()
        };
    };
    Progress {
        applied,
        size: registry.tree.size(),
        sealed: registry.sealed.as_ref().map_or(0, |sealed| sealed.size),
        published: registry
            .published
            .as_ref()
            .map_or(0, |published| published.size),
        unsealed: registry.unsealed,
        log_time: registry.log_time,
        ceiling: registry.ceiling,
        level: Some(registry.level),
        sealed_at: registry
            .sealed
            .as_ref()
            .map_or(TimeMs(0), |sealed| sealed.at),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The seal with which a batch ended, if it did.
fn newly_sealed(before: Option<&Registry>, after: Option<&Registry>) -> Option<Sealed> {
    let size = |registry: Option<&Registry>| Some(registry?.sealed.as_ref()?.size);
    let sealed = after?.sealed.as_ref()?;
    (size(before) != Some(sealed.size)).then(|| sealed.clone())
}

/// Whether a seal is the first of a period of log time. Every replica with the same period says the same of it.
fn content_is_due(before: Option<&Sealed>, sealed: &Sealed, every_ms: u64) -> bool {
    let period = |sealed: &Sealed| sealed.at.as_ms().checked_div(every_ms);
    match (before.and_then(period), period(sealed)) {
        (Some(before), Some(now)) => before < now,
        _ => false,
    }
}

/// Whether a record ends its batch: a seal's state must be viewed before anything follows.
fn ends_batch(record: &LogRecord) -> bool {
    matches!(&record.payload, Payload::Entry(bytes) if Entry::seals(bytes))
}

impl<E: StateEngine> StateMachine for RegistryState<E> {
    fn applied(&self) -> Result<Applied, StorageFault> {
        applied::load(&self.engine)
    }

    fn apply(&self, records: Vec<LogRecord>) -> Result<Vec<Bytes>, StorageFault> {
        let mut inner = self.lock()?;
        self.stopwatch.reset();
        let mut applied = inner.applied.clone();
        let mut answers = Vec::with_capacity(records.len());
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (run, later) = rest.split_at(self.run_length(&inner, rest));
            let apply = || self.apply_run(&mut inner, run, &mut applied);
            let answered = self.stopwatch.run(run, apply)?;
            let stands = answered.len() < run.len();
            answers.extend(answered);
            if stands {
                break;
            }
            rest = later;
        }
        self.tell(progress_of(inner.registry.as_ref(), &applied));
        Ok(answers)
    }

    fn took(&self) -> Vec<u64> {
        self.stopwatch.took()
    }

    fn stands_before(&self) -> Option<StandsBefore> {
        // A node whose disk failed stops for that reason.
        self.lock().ok()?.stands.clone()
    }

    fn marks(&self, size: u64) -> Result<Vec<Mark>, StorageFault> {
        if self.replaced.load(Ordering::Acquire) {
            drop(self.lock()?);
        }
        Ok(locked(&self.marks).above(size))
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        let _still = self.lock()?;
        self.engine.snapshot()
    }

    fn receive(&self) -> Result<Box<dyn SnapshotSink>, StorageFault> {
        Ok(Box::new(Replacing {
            sink: self.engine.receive()?,
            known: self.lock()?.registry.clone(),
            judged: false,
            replaced: Arc::clone(&self.replaced),
        }))
    }
}

/// A sink that tells the registry when its content was replaced.
struct Replacing {
    sink: Box<dyn StateSink>,
    /// The registry when the sink was made.
    known: Option<Registry>,
    judged: bool,
    replaced: Arc<AtomicBool>,
}

impl SnapshotSink for Replacing {
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageFault> {
        self.sink.write(name, offset, bytes)
    }

    fn check(&mut self) -> Result<Applied, StorageFault> {
        let applied = self.sink.check()?;
        let content = self.sink.content();
        let content = content
            .ok_or_else(|| StorageFault::Invariant("a checked snapshot can be read".into()))?;
        roots::judge(content, self.known.as_ref())?;
        self.judged = true;
        Ok(applied)
    }

    fn finish(mut self: Box<Self>) -> Result<Applied, StorageFault> {
        if !self.judged {
            self.check()?;
        }
        let applied = self.sink.finish()?;
        self.replaced.store(true, Ordering::Release);
        Ok(applied)
    }
}
