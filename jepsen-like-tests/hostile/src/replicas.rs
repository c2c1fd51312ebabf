//! Two replicas of one log that differ in everything that must not matter.
//!
//! The first applies its log as one chunk on the engine in memory and has verified every good signature before. The other
//! applies it record by record on RocksDB, has verified nothing, is restarted on the way, and continues on another disk
//! that took its snapshot in. Beside them the rules alone run over ordered maps, so that a fault of the store shows.

use std::path::Path;

use bytes::Bytes;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::limits::ROBOT_BYTES_MAX;
use carnet_domain::log::authority::{SignedHeader, verify_header_in_log};
use carnet_domain::machine;
use carnet_domain::machine::entry::{Answer, Body, Entry};
use carnet_kit::VOTERS;
use carnet_kit::memory::MemoryLedger;
use carnet_store::artefact::{StateEngine, content_digest};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::identity::{Identity, StoreId};
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::RegistryState;
use carnet_store::rocks::RocksSettings;
use carnet_store::state::SwappableEngine;

use crate::program::Program;

/// The most bytes of one stored value: no record, leaf or envelope outgrows what one entry brings.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// What came of a log on one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer to each entry, as bytes.
    pub answers: Vec<Vec<u8>>,
    /// Digest over everything stored; none of the rules alone.
    pub content: Option<[u8; 32]>,
}

/// Why a replica is not as it must be.
#[derive(Debug)]
pub enum Fault {
    /// The store failed.
    Store(StorageFault),
    /// A value outgrew its bound.
    Grown {
        /// Which family.
        family: &'static str,
        /// Bytes of the value.
        size: usize,
    },
}

impl From<StorageFault> for Fault {
    fn from(fault: StorageFault) -> Self {
        Self::Store(fault)
    }
}

fn records(program: &Program) -> Vec<LogRecord> {
    let entries = program.log.iter().zip(1..);
    let records = entries.map(|(logged, index)| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index,
        },
        payload: Payload::Entry(Bytes::from(logged.bytes.clone())),
    });
    // Who votes, first: only they confirm a time. The beginning of a membership record is all that a state reads of it.
    let mut voters = vec![3, 0, 0, 0, 1, 0, 0, 0, VOTERS.len() as u8];
    voters.extend(VOTERS.iter().flat_map(|voter| voter.to_be_bytes()));
    voters.extend([0, 0, 0, VOTERS.len() as u8]);
    voters.extend(VOTERS.iter().flat_map(|member| member.to_be_bytes()));
    let founding = LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index: 0,
        },
        payload: Payload::Membership(Bytes::from(voters)),
    };
    std::iter::once(founding).chain(records).collect()
}

/// The rules over ordered maps; an entry that is not canonical has no answer of theirs.
pub fn rules_alone(program: &Program) -> Vec<Option<Vec<u8>>> {
    let mut ledger = MemoryLedger::new();
    let answers = program.log.iter().map(|logged| {
        let entry = Entry::from_bytes(&logged.bytes).ok()?;
        let Ok(answer) = machine::apply(&mut ledger, &entry);
        Some(answer.to_bytes())
    });
    answers.collect()
}

/// In memory, one chunk, with every good signature known.
///
/// # Errors
/// The replica is not as it must be.
pub fn at_once(program: &Program) -> Result<Outcome, Fault> {
    let state = RegistryState::open(MemoryEngine::new())?;
    for logged in &program.log {
        if let Ok(entry) = Entry::from_bytes(&logged.bytes) {
            note(&state, &program.keys, &entry);
        }
    }
    let answers = state.apply(records(program))?;
    outcome(&state, answers)
}

/// What ingress does with a request whose signature is good.
fn note<E: StateEngine>(state: &RegistryState<E>, keys: &[PublicKey], entry: &Entry) {
    let Body::Actor { request, .. } = &entry.body else {
        return;
    };
    let Ok(header) = SignedHeader::from_bytes(&request.header.0) else {
        return;
    };
    let Some(key) = keys.iter().find(|key| key.key_id() == header.key) else {
        return;
    };
    if verify_header_in_log(&request.header.0, &request.signature, key, false).is_ok() {
        let signed = sha256(&[&request.header.0, &request.signature.0]);
        // As `machine::signature_digest`, which asks for the signer's record.
        state.verified().note(sha256(&[&header.key.0, &signed.0]));
    }
}

/// On RocksDB below `folder`, record by record, restarted and continued from a snapshot.
///
/// # Errors
/// The replica is not as it must be.
pub fn apart(program: &Program, folder: &Path) -> Result<Outcome, Fault> {
    let (first, second) = (folder.join("first"), folder.join("second"));
    let records = records(program);
    let (third, half) = (records.len() / 3, records.len() / 2);
    let mut answers = Vec::with_capacity(records.len());
    let mut apply = |state: &RegistryState<SwappableEngine>, part: &[LogRecord]| {
        for record in part {
            answers.extend(state.apply(vec![record.clone()])?);
        }
        Ok::<(), StorageFault>(())
    };
    let state = RegistryState::open(create(&first)?)?;
    apply(&state, &records[..third])?;
    state.engine().sync()?;
    drop(state);
    let state = RegistryState::open(SwappableEngine::open(&first, IDENTITY, settings())?)?;
    apply(&state, &records[third..half])?;
    let snapshot = state.snapshot()?;
    let fresh = RegistryState::open(create(&second)?)?;
    let mut sink = fresh.receive()?;
    for (index, file) in snapshot.files().iter().enumerate() {
        let size = usize::try_from(file.size).unwrap_or(usize::MAX);
        let body = snapshot.read(index, 0, size)?;
        sink.write(&file.name, 0, &body)?;
    }
    sink.finish()?;
    drop(state);
    apply(&fresh, &records[half..])?;
    outcome(&fresh, answers)
}

const IDENTITY: Identity = Identity {
    cluster: [7; 16],
    node: 1,
    incarnation: 0,
    store: StoreId([7; 16]),
};

fn create(folder: &Path) -> Result<SwappableEngine, StorageFault> {
    SwappableEngine::create(folder, IDENTITY, settings())
}

/// Small, so that a program flushes and compacts.
fn settings() -> RocksSettings {
    RocksSettings {
        cache_bytes: 2 << 20,
        write_buffers_bytes: 2 << 20,
        open_files_max: 64,
        ..RocksSettings::default()
    }
}

fn outcome<E: StateEngine>(
    state: &RegistryState<E>,
    answers: Vec<Bytes>,
) -> Result<Outcome, Fault> {
    let engine = state.engine();
    for &family in Family::ALL {
        let most = match family {
            Family::Robots => ROBOT_BYTES_MAX,
            _ => VALUE_BYTES_MAX,
        };
        for (_, value) in engine.scan(family, b"", None, usize::MAX)? {
            if value.len() > most {
                return Err(Fault::Grown {
                    family: family.name(),
                    size: value.len(),
                });
            }
        }
    }
    Ok(Outcome {
        // The membership has no answer.
        answers: answers
            .iter()
            .skip(1)
            .map(|answer| answer.to_vec())
            .collect(),
        content: Some(content_digest(engine)?),
    })
}

/// The answer of bytes, for reports.
pub fn answer(bytes: &[u8]) -> Option<Answer> {
    Answer::from_bytes(bytes).ok()
}
