//! What was asked and answered, in the order in which it happened.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_store::machine::LogPosition;

/// Number of an operation; also the value it writes.
pub(crate) type OpId = usize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Write { key: String },
    Read { key: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged, at this place of the log.
    Written(LogPosition),
    /// The value, and the index up to which the node had applied when it read.
    Read { value: Option<String>, applied: u64 },
    /// Certainly not done.
    Failed(String),
    /// May have been done.
    Unknown,
}

#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) node: u64,
    pub(crate) action: Action,
    pub(crate) begun: u64,
    pub(crate) begun_ms: u64,
    /// Order of the answer, and the answer. None: the node crashed first, or the run ended.
    pub(crate) ended: Option<(u64, Outcome)>,
}

/// Everything the checks need, and the trace.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) now_ms: u64,
    order: u64,
    pub(crate) ops: Vec<Op>,
    pub(crate) trace: Vec<String>,
    pub(crate) violations: Vec<String>,
    /// Node and size of every seal at which a majority was found to have written the same.
    pub(crate) compared: BTreeSet<(u64, u64)>,
    /// Every node that came to lead, in order.
    pub(crate) leaders: Vec<u64>,
    /// Faults are over.
    pub(crate) calm: bool,
    /// No more operations begin.
    pub(crate) closing: bool,
}

/// The history, shared by all hosts of one simulation.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<History>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, node: u64, action: Action) -> OpId {
        let mut history = self.lock();
        history.order += 1;
        let (begun, begun_ms) = (history.order, history.now_ms);
        history.ops.push(Op {
            node,
            action,
            begun,
            begun_ms,
            ended: None,
        });
        history.ops.len() - 1
    }

    pub(crate) fn end(&self, op: OpId, outcome: Outcome) {
        let mut history = self.lock();
        history.order += 1;
        let order = history.order;
        let Some(asked) = history.ops.get_mut(op) else {
            return;
        };
        let event = format!("node {} op {op}: {outcome:?}", asked.node);
        asked.ended = Some((order, outcome));
        history.note(event);
    }

    pub(crate) fn note(&self, event: String) {
        self.lock().note(event);
    }
}

impl History {
    pub(crate) fn note(&mut self, event: String) {
        let line = format!("{:>7} {event}", self.now_ms);
        self.trace.push(line);
    }
}
