//! What clients asked and what came back, with the times it happened at: the only thing checkers believe.
//!
//! A robot is a register: registration and every software update write a value that is used once in a run (the build
//! number), each write makes the next version (the record's sequence), and a read sees a version and its value.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use carnet_domain::bytes::digest::Digest;
use serde::{Deserialize, Serialize};

/// Nanoseconds since the run began, on the monotonic clock of the harness.
pub type Moment = u64;

/// What a client asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// Registers the robot with this value.
    Register {
        /// The value.
        value: u32,
    },
    /// Updates it to this value, whatever the version or only upon the one named.
    Update {
        /// The value.
        value: u32,
        /// The version it must have.
        expected: Option<u64>,
    },
    /// Reads it through the leader's log.
    Read,
}

impl Asked {
    /// The value written, if it writes.
    pub const fn value(self) -> Option<u32> {
        match self {
            Self::Register { value } | Self::Update { value, .. } => Some(value),
            Self::Read => None,
        }
    }
}

/// A version of a robot, as an answer shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Writes before it.
    pub number: u64,
    /// The leaf that wrote it.
    #[serde(with = "digest_text")]
    pub leaf: Digest,
}

/// A lawful "no" that says something of the robot's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The code is taken.
    Exists,
    /// The code is not registered.
    Unknown,
    /// The record has another version than the one named.
    OtherVersion,
    /// It was executed after the time that it names. Says nothing of the register.
    Late,
    /// Any other reason: nothing in the load gives cause for one.
    Other,
}

/// What came of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The write took effect.
    Written {
        /// The version it made.
        version: Version,
        /// Log index of the entry that was answered.
        log_index: u64,
    },
    /// The read saw this; `None`: not registered.
    Seen {
        /// Version and value.
        found: Option<(Version, u32)>,
        /// Log index the read was served at, if the answer says so.
        log_index: Option<u64>,
    },
    /// A lawful "no".
    Refused(Refusal),
    /// It certainly did not happen.
    Failed,
    /// It may have happened, once or not at all, at any time after it was asked.
    Unknown,
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Which client; a client asks one thing at a time.
    pub client: u32,
    /// Which robot.
    pub robot: String,
    /// What was asked.
    pub asked: Asked,
    /// When it was asked.
    pub began: Moment,
    /// When the outcome was known.
    pub ended: Moment,
    /// What came of it.
    pub outcome: Outcome,
}

/// One leaf of a robot, read from its history at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalVersion {
    /// The leaf.
    #[serde(with = "digest_text")]
    pub leaf: Digest,
    /// The value it wrote.
    pub value: u32,
}

/// Every robot's versions at the end of a run, after all faults are healed; position = number. A robot that is not
/// registered has none.
pub type FinalState = BTreeMap<String, Vec<FinalVersion>>;

/// Collects operations from many clients.
#[derive(Debug)]
pub struct Recorder {
    started: Instant,
    operations: Mutex<Vec<Operation>>,
    unexplained: Mutex<Vec<String>>,
}

impl Recorder {
    /// An empty history that begins now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            operations: Mutex::new(Vec::new()),
            unexplained: Mutex::new(Vec::new()),
        }
    }

    /// Notes an answer that no fault explains.
    pub fn unexplained(&self, text: String) {
        lock(&self.unexplained).push(text);
    }

    /// The time of the run.
    pub fn now(&self) -> Moment {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(Moment::MAX)
    }

    /// Adds an operation whose outcome is known to be what it says.
    pub fn add(&self, operation: Operation) {
        self.lock().push(operation);
    }

    /// How many operations ended with an answer.
    pub fn answered(&self) -> usize {
        let is_answer = |o: &&Operation| !matches!(o.outcome, Outcome::Failed | Outcome::Unknown);
        self.lock().iter().filter(is_answer).count()
    }

    /// How many writes took effect.
    pub fn written(&self) -> usize {
        let is_written = |o: &&Operation| matches!(o.outcome, Outcome::Written { .. });
        self.lock().iter().filter(is_written).count()
    }

    /// How many operations ended without anybody knowing whether they took effect.
    pub fn unknown(&self) -> usize {
        let is_unknown = |o: &&Operation| matches!(o.outcome, Outcome::Unknown);
        self.lock().iter().filter(is_unknown).count()
    }

    /// Everything recorded, by the time it began.
    pub fn operations(&self) -> Vec<Operation> {
        let mut operations = self.lock().clone();
        operations.sort_by_key(|operation| operation.began);
        operations
    }

    /// Every answer that no fault explains.
    pub fn all_unexplained(&self) -> Vec<String> {
        lock(&self.unexplained).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Operation>> {
        lock(&self.operations)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

/// A digest as hexadecimal text.
mod digest_text {
    use carnet_domain::bytes::digest::Digest;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        Digest::parse(&text).map_err(D::Error::custom)
    }
}
