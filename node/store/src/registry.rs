//! The replicated registry of one node: log records in, answers out, one atomic batch a chunk.
//!
//! The rules are `carnet_domain::machine`; this is the shell: read, decide, write. After a seal the batch is committed
//! and a view is kept, so that proofs under a published checkpoint are served from exactly the state it speaks of.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::watch;

use carnet_domain::digest::Digest;
use carnet_domain::encoding::{Canonical, DecodeError};
use carnet_domain::entry::{Answer, Entry, ItemAnswer, Registry};
use carnet_domain::machine;
use carnet_domain::rejection::{Reason, Rejection};
use carnet_domain::time::TimeMs;

use crate::applied;
use crate::artefact::{StateEngine, StateSink};
use crate::engine::KvRead;
use crate::fault::StorageFault;
use crate::machine::{Applied, LogRecord, Payload, Snapshot, SnapshotSink, StateMachine};
use crate::overlay::{Overlay, Verified};
use crate::records::Records;
use crate::roots;

/// Signatures remembered between ingress and apply.
const VERIFIED_COUNT_MAX: usize = 65_536;
/// Sealed views kept while they wait for their signature.
const SEALED_VIEWS_MAX: usize = 8;
/// Records applied in one batch at the most.
const CHUNK_COUNT_MAX: usize = 256;

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
    /// Log time.
    pub log_time: TimeMs,
    /// Log time of the newest seal.
    pub sealed_at: TimeMs,
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

struct Inner {
    registry: Option<Registry>,
    sealed_views: BTreeMap<u64, Arc<dyn KvRead>>,
}

/// The registry of one node.
pub struct RegistryState<E: StateEngine> {
    engine: E,
    inner: Mutex<Inner>,
    published: RwLock<Option<Published>>,
    verified: Arc<VerifiedCache>,
    progress: watch::Sender<Progress>,
    /// Set when a snapshot replaced the content: what is cached must be read anew.
    replaced: Arc<AtomicBool>,
    #[cfg(feature = "planted")]
    planted: machine::Planted,
}

impl<E: StateEngine> RegistryState<E> {
    /// Over an engine, as far as it has come.
    ///
    /// # Errors
    /// The disk failed, or a newer binary wrote it.
    pub fn open(engine: E) -> Result<Self, StorageFault> {
        let registry = Records(&engine).registry()?;
        let applied = applied::load(&engine)?;
        let progress = progress_of(registry.as_ref(), &applied);
        let state = Self {
            engine,
            inner: Mutex::new(Inner {
                registry,
                sealed_views: BTreeMap::new(),
            }),
            published: RwLock::new(None),
            verified: Arc::default(),
            progress: watch::Sender::new(progress),
            replaced: Arc::default(),
            #[cfg(feature = "planted")]
            planted: machine::Planted::default(),
        };
        // A state that stands at a seal serves it at once: nothing may be written for long.
        state.keep_views(&mut *state.lock()?)?;
        Ok(state)
    }

    /// With faults planted by a test of the tests.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn plant(self, planted: machine::Planted) -> Self {
        Self { planted, ..self }
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

    /// The newest published checkpoint whose state this node has. `None` after a start from a state beyond its newest
    /// seal, until the next one is published; that leaves wait for it is why there will be one.
    pub fn published(&self) -> Option<Published> {
        self.published
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The registry as applied.
    ///
    /// # Errors
    /// The disk failed.
    pub fn registry(&self) -> Result<Option<Registry>, StorageFault> {
        Ok(self.lock()?.registry.clone())
    }

    /// What is cached, read anew if a snapshot replaced the content.
    fn lock(&self) -> Result<MutexGuard<'_, Inner>, StorageFault> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.replaced.swap(false, Ordering::AcqRel) {
            inner.registry = Records(&self.engine).registry()?;
            inner.sealed_views.clear();
            self.keep_views(&mut inner)?;
            let applied = applied::load(&self.engine)?;
            self.progress
                .send_replace(progress_of(inner.registry.as_ref(), &applied));
        }
        Ok(inner)
    }

    fn apply_chunk(
        &self,
        inner: &mut Inner,
        records: &[LogRecord],
        applied: &mut Applied,
    ) -> Result<Vec<Bytes>, StorageFault> {
        let mut overlay =
            Overlay::new(&self.engine, self.verified.as_ref(), inner.registry.clone());
        let mut answers = Vec::with_capacity(records.len());
        for record in records {
            assert!(
                applied.last < Some(record.position),
                "records are applied in order"
            );
            applied.last = Some(record.position);
            answers.push(match &record.payload {
                Payload::Blank => Bytes::new(),
                Payload::Membership(bytes) => {
                    applied.membership = Some((record.position, bytes.clone()));
                    Bytes::new()
                }
                Payload::Entry(bytes) => {
                    Bytes::from(self.apply_entry(&mut overlay, bytes)?.to_bytes())
                }
            });
        }
        let (mut batch, registry) = overlay.finish();
        applied::store(&mut batch, applied);
        self.engine.write(batch)?;
        inner.registry = registry;
        Ok(answers)
    }

    fn apply_entry(&self, overlay: &mut Overlay<'_>, bytes: &[u8]) -> Result<Answer, StorageFault> {
        match Entry::from_bytes(bytes) {
            #[cfg(feature = "planted")]
            Ok(entry) => machine::apply_with(overlay, &entry, self.planted),
            #[cfg(not(feature = "planted"))]
            Ok(entry) => machine::apply(overlay, &entry),
            Err(error) => Ok(malformed(&error)),
        }
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
            *self
                .published
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(published);
        }
        Ok(())
    }
}

/// An entry that is not canonical is answered alike on every replica and changes nothing.
fn malformed(error: &DecodeError) -> Answer {
    let rejection = Rejection::new(Reason::Malformed, format!("log entry: {error}"));
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
        sealed_at: registry
            .sealed
            .as_ref()
            .map_or(TimeMs(0), |sealed| sealed.at),
    }
}

/// Whether a record ends its batch: a seal's state must be viewed before anything follows.
fn ends_batch(record: &LogRecord) -> bool {
    // The body of an entry is the second element of the array; a seal's is `[6]`.
    matches!(&record.payload, Payload::Entry(bytes) if bytes.ends_with(&[0x81, 0x06]))
}

impl<E: StateEngine> StateMachine for RegistryState<E> {
    fn applied(&self) -> Result<Applied, StorageFault> {
        applied::load(&self.engine)
    }

    fn apply(&self, records: Vec<LogRecord>) -> Result<Vec<Bytes>, StorageFault> {
        let mut inner = self.lock()?;
        let mut applied = applied::load(&self.engine)?;
        let mut answers = Vec::with_capacity(records.len());
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let seal = rest
                .iter()
                .position(ends_batch)
                .map_or(rest.len(), |at| at + 1);
            let (chunk, later) = rest.split_at(seal.min(CHUNK_COUNT_MAX));
            answers.extend(self.apply_chunk(&mut inner, chunk, &mut applied)?);
            self.keep_views(&mut inner)?;
            rest = later;
        }
        let next = progress_of(inner.registry.as_ref(), &applied);
        self.progress.send_if_modified(|progress| {
            let changed = *progress != next;
            *progress = next;
            changed
        });
        Ok(answers)
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
