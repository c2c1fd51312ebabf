//! A tiny replicated state for tests and simulations: named registers, with a digest of the state after every record.
//! Compiled with the feature `testing` only.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use carnet_domain::machine::order::entry_digest;
use carnet_store::compare::{Compared, Mark};
use carnet_store::fault::StorageFault;
use carnet_store::machine::{
    Applied, LogPosition, LogRecord, Payload, Snapshot, SnapshotFile, SnapshotSink, StandsBefore,
    StateMachine,
};

/// Registers in memory. A proposal is `name=value`; its answer is the value before, empty if there was none.
#[derive(Clone, Default)]
pub struct RegisterMachine {
    inner: Arc<Mutex<Inner>>,
    stalled: Arc<(Mutex<bool>, Condvar)>,
}

#[derive(Default)]
struct Inner {
    now: State,
    /// What survives a crash: as of the last snapshot taken or received, as with a database that is not synced.
    durable: State,
    /// What this replica applied itself.
    history: BTreeMap<u64, Step>,
    divergences: Vec<u64>,
    /// The proposal that this replica cannot apply.
    stumbles_at: Option<Bytes>,
    stands: Option<StandsBefore>,
}

/// One record that was applied, and the state after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its place.
    pub position: LogPosition,
    /// The proposal; empty for other records.
    pub proposal: Bytes,
    /// Digest over the whole history up to and including it.
    pub digest: u64,
}

#[derive(Default, Clone)]
struct State {
    registers: BTreeMap<Vec<u8>, Vec<u8>>,
    digest: u64,
    applied: Applied,
}

impl RegisterMachine {
    /// No registers.
    #[must_use]
    pub fn new() -> RegisterMachine {
        RegisterMachine::default()
    }

    /// The value of a register.
    #[must_use]
    pub fn register(&self, name: &str) -> Option<Bytes> {
        self.lock()
            .now
            .registers
            .get(name.as_bytes())
            .map(|value| Bytes::copy_from_slice(value))
    }

    /// The value of a register, and the index up to which this replica had applied when it was read.
    #[must_use]
    pub fn read(&self, name: &str) -> (Option<Bytes>, Option<u64>) {
        let inner = self.lock();
        let value = inner
            .now
            .registers
            .get(name.as_bytes())
            .map(|value| Bytes::copy_from_slice(value));
        (value, inner.now.applied.last.map(|last| last.index))
    }

    /// What this replica applied itself, by index.
    #[must_use]
    pub fn history(&self) -> BTreeMap<u64, Step> {
        self.lock().history.clone()
    }

    /// What this replica applied itself from an index on.
    #[must_use]
    pub fn history_from(&self, index: u64) -> BTreeMap<u64, Step> {
        self.lock()
            .history
            .range(index..)
            .map(|(at, step)| (*at, step.clone()))
            .collect()
    }

    /// Indexes at which this replica, applying again after a crash, came to another state than before.
    #[must_use]
    pub fn divergences(&self) -> Vec<u64> {
        self.lock().divergences.clone()
    }

    /// Stands still before this proposal from now on.
    pub fn stumble_at(&self, proposal: &'static [u8]) {
        self.lock().stumbles_at = Some(Bytes::from_static(proposal));
    }

    /// Can apply every proposal again, as after a repair.
    pub fn stumble_no_more(&self) {
        self.lock().stumbles_at = None;
    }

    /// Applies nothing from now on, as on a disk that does not answer, until [`Self::stall_no_more`].
    pub fn stall(&self) {
        *self
            .stalled
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Applies again.
    pub fn stall_no_more(&self) {
        *self
            .stalled
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = false;
        self.stalled.1.notify_all();
    }

    fn wait_for_the_disk(&self) {
        let (stalled, changed) = &*self.stalled;
        let mut waits = stalled.lock().unwrap_or_else(PoisonError::into_inner);
        while *waits {
            waits = changed.wait(waits).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Loses what a power cut loses.
    pub fn crash(&self) {
        let mut inner = self.lock();
        inner.now = inner.durable.clone();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateMachine for RegisterMachine {
    fn applied(&self) -> Result<Applied, StorageFault> {
        Ok(self.lock().now.applied.clone())
    }

    fn apply(&self, records: Vec<LogRecord>) -> Result<Vec<Bytes>, StorageFault> {
        self.wait_for_the_disk();
        let mut inner = self.lock();
        let mut answers = Vec::with_capacity(records.len());
        for record in records {
            if let Payload::Entry(proposal) = &record.payload
                && inner.stumbles_at.as_ref() == Some(proposal)
            {
                inner.stands = Some(StandsBefore {
                    position: record.position,
                    digest: entry_digest(proposal),
                    why: "it stumbles there".to_owned(),
                });
                return Ok(answers);
            }
            inner.stands = None;
            answers.push(inner.now.apply(&record));
            let proposal = match record.payload {
                Payload::Entry(bytes) => bytes,
                Payload::Blank | Payload::Membership(_) => Bytes::new(),
            };
            let step = Step {
                position: record.position,
                proposal,
                digest: inner.now.digest,
            };
            let before = inner.history.insert(record.position.index, step.clone());
            if before.is_some_and(|before| before != step) {
                inner.divergences.push(record.position.index);
            }
        }
        Ok(answers)
    }

    fn stands_before(&self) -> Option<StandsBefore> {
        self.lock().stands.clone()
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        let mut inner = self.lock();
        inner.durable = inner.now.clone();
        let bytes = inner.now.to_file();
        let files = vec![SnapshotFile {
            name: "registers".to_owned(),
            size: bytes.len() as u64,
        }];
        Ok(Arc::new(Held {
            applied: inner.now.applied.clone(),
            files,
            bytes,
        }))
    }

    /// One of the whole history, at the index that was applied.
    fn marks(&self, size: u64) -> Result<Vec<Mark>, StorageFault> {
        let inner = self.lock();
        let applied = inner.now.applied.last.map(|last| last.index);
        let newer = applied.filter(|index| *index > size);
        let marks = newer.map(|index| Mark {
            what: Compared::Writes,
            size: index,
            index,
            digest: Some(Bytes::copy_from_slice(&inner.now.digest.to_be_bytes())),
        });
        Ok(marks.into_iter().collect())
    }

    fn receive(&self) -> Result<Box<dyn SnapshotSink>, StorageFault> {
        Ok(Box::new(Sink {
            machine: self.clone(),
            bytes: Vec::new(),
            checked: None,
        }))
    }
}

impl State {
    fn apply(&mut self, record: &LogRecord) -> Bytes {
        self.applied.last = Some(record.position);
        let mut answer = Bytes::new();
        match &record.payload {
            Payload::Blank => self.mix(&[0]),
            Payload::Membership(bytes) => {
                self.applied.membership = Some((record.position, bytes.clone()));
                self.mix(bytes);
            }
            Payload::Entry(bytes) => {
                self.mix(bytes);
                let mut parts = bytes.splitn(2, |byte| *byte == b'=');
                if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                    answer = self
                        .registers
                        .insert(name.to_vec(), value.to_vec())
                        .map(Bytes::from)
                        .unwrap_or_default();
                }
            }
        }
        answer
    }

    /// FNV-1a over the digest so far and these bytes: a chain over the whole history.
    fn mix(&mut self, bytes: &[u8]) {
        let mut digest = self.digest ^ 0xcbf2_9ce4_8422_2325;
        for byte in bytes {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.digest = digest;
    }

    fn to_file(&self) -> Bytes {
        let mut file = Vec::new();
        let mut put = |bytes: &[u8]| {
            file.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            file.extend_from_slice(bytes);
        };
        put(&self.digest.to_be_bytes());
        put(&position_bytes(self.applied.last));
        put(&position_bytes(
            self.applied.membership.as_ref().map(|(at, _)| *at),
        ));
        put(self
            .applied
            .membership
            .as_ref()
            .map_or(&[], |(_, bytes)| bytes));
        for (name, value) in &self.registers {
            put(name);
            put(value);
        }
        Bytes::from(file)
    }

    fn from_file(mut file: &[u8]) -> Option<State> {
        let mut fields = Vec::new();
        while !file.is_empty() {
            let (length, rest) = file.split_first_chunk::<4>()?;
            let length = u32::from_be_bytes(*length) as usize;
            fields.push(rest.get(..length)?.to_vec());
            file = rest.get(length..)?;
        }
        let mut fields = fields.into_iter();
        let digest = u64::from_be_bytes(fields.next()?.try_into().ok()?);
        let last = position_from(&fields.next()?);
        let membership_at = position_from(&fields.next()?);
        let membership_bytes = fields.next()?;
        let membership = membership_at.map(|at| (at, Bytes::from(membership_bytes)));
        let mut registers = BTreeMap::new();
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            registers.insert(name, value);
        }
        Some(State {
            registers,
            digest,
            applied: Applied { last, membership },
        })
    }
}

fn position_bytes(position: Option<LogPosition>) -> Vec<u8> {
    position.map_or_else(Vec::new, |at| {
        [at.term, at.node, at.index]
            .iter()
            .flat_map(|f| f.to_be_bytes())
            .collect()
    })
}

fn position_from(bytes: &[u8]) -> Option<LogPosition> {
    let mut fields = bytes
        .chunks_exact(8)
        .map(|field| field.try_into().map(u64::from_be_bytes));
    let mut next = || fields.next()?.ok();
    Some(LogPosition {
        term: next()?,
        node: next()?,
        index: next()?,
    })
}

struct Held {
    applied: Applied,
    files: Vec<SnapshotFile>,
    bytes: Bytes,
}

impl Snapshot for Held {
    fn applied(&self) -> &Applied {
        &self.applied
    }

    fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    fn read(&self, file: usize, offset: u64, size: usize) -> Result<Bytes, StorageFault> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if file != 0 || self.bytes.len() < offset {
            return Err(StorageFault::Invariant(format!(
                "no byte {offset} in file {file}"
            )));
        }
        Ok(self
            .bytes
            .slice(offset..self.bytes.len().min(offset.saturating_add(size))))
    }
}

struct Sink {
    machine: RegisterMachine,
    bytes: Vec<u8>,
    checked: Option<State>,
}

impl SnapshotSink for Sink {
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageFault> {
        if name != "registers" || offset != self.bytes.len() as u64 {
            return Err(StorageFault::Invariant(format!(
                "{name} does not continue at {offset}"
            )));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn check(&mut self) -> Result<Applied, StorageFault> {
        let corrupt = || StorageFault::Corrupt {
            what: "snapshot",
            detail: "registers".to_owned(),
        };
        let state = State::from_file(&self.bytes).ok_or_else(corrupt)?;
        let applied = state.applied.clone();
        self.checked = Some(state);
        Ok(applied)
    }

    fn finish(mut self: Box<Self>) -> Result<Applied, StorageFault> {
        let applied = self.check()?;
        if let Some(state) = self.checked.take() {
            let mut inner = self.machine.lock();
            inner.durable = state.clone();
            inner.now = state;
            inner.stands = None;
        }
        Ok(applied)
    }
}
