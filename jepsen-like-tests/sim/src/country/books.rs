//! What people outside were told: what is judged goes by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_domain::bytes::code::Code;
use carnet_domain::log::checkpoint::Checkpoint;

/// Crossings that are looked at after every step.
const CROSSINGS_LOOKED_AT: usize = 4;

/// What desks were told.
#[derive(Clone, Default)]
pub(crate) struct Books(Arc<Mutex<Pages>>);

/// A robot that crosses the border.
#[derive(Debug, Clone)]
pub(crate) struct Crossing {
    pub(crate) code: Code,
}

#[derive(Default)]
pub(crate) struct Pages {
    /// By code, the leaf of each acknowledged registration.
    pub(crate) acknowledged: BTreeMap<Code, u64>,
    /// Serial numbers of them, in that order.
    pub(crate) serials: Vec<u32>,
    /// By desk, when the last work was begun that is done.
    pub(crate) last_begun_ms: BTreeMap<u32, u64>,
    /// When the last crossing was begun that is done.
    pub(crate) last_crossing_ms: Option<u64>,
    /// Robots that set out, in that order.
    pub(crate) crossings: Vec<Crossing>,
    pub(crate) crossed: usize,
    /// Heads that were shown to desks.
    pub(crate) heads: BTreeMap<u64, Checkpoint>,
    /// Desks that wait for an answer.
    pub(crate) under_way: usize,
    /// The node that was to be replaced is.
    pub(crate) replaced: bool,
    pub(crate) unknown: usize,
    pub(crate) repeated: usize,
    pub(crate) read: usize,
    pub(crate) stewarded: usize,
}

impl Pages {
    /// The newest crossings, which may be under way.
    pub(crate) fn last_crossings(&self) -> &[Crossing] {
        // saturates: there may be fewer
        &self.crossings[self.crossings.len().saturating_sub(CROSSINGS_LOOKED_AT)..]
    }
}

impl Books {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, code: Code, serial: u32, leaf: u64) {
        let mut pages = self.lock();
        pages.acknowledged.insert(code, leaf);
        pages.serials.push(serial);
    }

    pub(crate) fn worked(&self, desk: u32, began_ms: u64) {
        self.lock().last_begun_ms.insert(desk, began_ms);
    }

    /// The serial number of the robot that is to cross after so many others.
    pub(crate) fn next_to_cross(&self, count: u64) -> Option<u32> {
        self.lock().serials.get(count as usize).copied()
    }

    pub(crate) fn sets_out(&self, crossing: Crossing) {
        self.lock().crossings.push(crossing);
    }

    pub(crate) fn crossed(&self, began_ms: u64) {
        let mut pages = self.lock();
        pages.crossed += 1;
        pages.last_crossing_ms = Some(began_ms);
    }

    /// A desk begins to wait for an answer.
    pub(crate) fn begin(&self) {
        self.lock().under_way += 1;
    }

    /// A desk waits no more.
    pub(crate) fn end(&self) {
        self.lock().under_way -= 1;
    }

    pub(crate) fn head(&self, head: &Checkpoint) {
        self.lock().heads.insert(head.size, *head);
    }

    pub(crate) fn unknown(&self) {
        self.lock().unknown += 1;
    }

    pub(crate) fn repeated(&self) {
        self.lock().repeated += 1;
    }

    pub(crate) fn read(&self) {
        self.lock().read += 1;
    }

    pub(crate) fn stewarded(&self) {
        self.lock().stewarded += 1;
    }
}
