//! Counts what one entry reads and writes, so that no entry does more than a constant.
//!
//! Every access goes through here, whatever rule asks for it: a rule that is added later is counted without saying so.
//! The count depends on the ledger's content and the entry alone, so it is the same on every replica; what this process
//! remembers of signatures is not counted.

use std::cell::Cell;

use crate::accord::Peer;
use crate::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::command::TransferId;
use crate::digest::Digest;
use crate::entry::{LeafRecord, Movement, Registry, Session, StoredAnswer, Voters};
use crate::ledger::{Ledger, LooseChain};
use crate::limits::{ENTRY_LEAF_BYTES_MAX, ENTRY_ROWS_MAX};
use crate::map::{Page, PagePath};
use crate::merkle::Node;
use crate::record::{Ended, Enterprise, Head, Model, Recall, Robot, Signer};
use crate::signature::KeyId;
use crate::transfer::Transfer;

/// A ledger whose accesses are counted.
pub(crate) struct Metered<'a, L> {
    ledger: &'a mut L,
    rows: Cell<u64>,
    leaf_bytes: Cell<u64>,
}

impl<'a, L> Metered<'a, L> {
    pub(crate) fn new(ledger: &'a mut L) -> Self {
        Self {
            ledger,
            rows: Cell::new(0),
            leaf_bytes: Cell::new(0),
        }
    }

    /// Whether the entry has done as much as one entry may.
    pub(crate) fn is_spent(&self) -> bool {
        self.rows.get() >= ENTRY_ROWS_MAX || self.leaf_bytes.get() >= ENTRY_LEAF_BYTES_MAX
    }

    fn count(&self, rows: usize) {
        add(&self.rows, rows);
    }

    fn counted<T>(&self, rows: Vec<T>) -> Vec<T> {
        // A list without rows costs its search.
        self.count(rows.len().max(1));
        rows
    }
}

fn add(to: &Cell<u64>, more: usize) {
    to.set(to.get().saturating_add(more as u64)); // saturates: what is spent stays spent
}

macro_rules! one_row {
    ($($name:ident ( $($arg:ident : $type:ty),* ) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Result<$out, Self::Fault> {
            self.count(1);
            self.ledger.$name($($arg),*)
        })*
    };
}

macro_rules! many_rows {
    ($($name:ident ( $($arg:ident : $type:ty),* ) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Result<$out, Self::Fault> {
            self.ledger.$name($($arg),*).map(|rows| self.counted(rows))
        })*
    };
}

macro_rules! writes {
    ($($name:ident ( $($arg:ident : $type:ty),* );)*) => {
        $(fn $name(&mut self, $($arg: $type),*) -> Result<(), Self::Fault> {
            self.count(1);
            self.ledger.$name($($arg),*)
        })*
    };
}

impl<L: Ledger> Ledger for Metered<'_, L> {
    type Fault = L::Fault;

    one_row! {
        registry() -> Option<Registry>;
        voters() -> Voters;
        robot(code: &Code) -> Option<Robot>;
        part_holder(identity: &Digest) -> Option<Code>;
        ended(identity: &Digest) -> Option<Ended>;
        enterprise(id: &EnterpriseId) -> Option<Enterprise>;
        model(id: &ModelId) -> Option<Model>;
        signer(id: &KeyId) -> Option<Signer>;
        recall(number: &str) -> Option<Recall>;
        loose_chain(code: &Code) -> Option<LooseChain>;
        transfer(id: &TransferId) -> Option<Transfer>;
        peer(prefix: &Prefix) -> Option<Peer>;
        session(id: u64) -> Option<Session>;
        answer(session: u64, place: u32, first_item: u32) -> Option<StoredAnswer>;
        leaf(index: u64) -> Option<LeafRecord>;
        head_of(key: &Digest) -> Option<Head>;
        page(path: &PagePath) -> Option<Page>;
    }

    many_rows! {
        models_of(id: &EnterpriseId) -> Vec<Model>;
        recalls_of(model: &ModelId) -> Vec<Recall>;
        peers() -> Vec<Peer>;
        sessions_of(subject: &str) -> Vec<Session>;
        leaves(from: u64, to: u64, count_max: usize) -> Vec<LeafRecord>;
    }

    writes! {
        put_registry(registry: Registry);
        put_robot(robot: Robot);
        put_part_holder(identity: &Digest, holder: Option<&Code>);
        put_ended(identity: &Digest, ended: Ended);
        put_enterprise(enterprise: Enterprise);
        put_model(model: Model);
        put_signer(signer: Signer);
        put_loose_chain(code: &Code, chain: Option<LooseChain>);
        put_transfer(transfer: Transfer);
        push_movement(code: &Code, movement: Movement);
        put_peer(peer: Peer);
        post(peer: &Prefix, sequence: u64, leaf_index: u64);
        put_session(session: Session);
        close_session(id: u64);
        put_answer(session: u64, place: u32, first_item: u32, answer: StoredAnswer);
        put_envelope(index: u64, envelope: Vec<u8>);
        put_nodes(index: u64, complete: &[Node]);
        put_page(path: &PagePath, page: Option<Page>);
    }

    fn count_of_model(&self, model: &ModelId, count_max: u32) -> Result<u32, L::Fault> {
        let count = self.ledger.count_of_model(model, count_max)?;
        self.count(count.max(1) as usize);
        Ok(count)
    }

    fn put_recall(&mut self, recall: Recall) -> Result<(), L::Fault> {
        self.count(recall.models.len().max(1));
        self.ledger.put_recall(recall)
    }

    fn append(
        &mut self,
        index: u64,
        key: &Digest,
        seq: u64,
        record: LeafRecord,
    ) -> Result<(), L::Fault> {
        self.count(1);
        let values = record.values.iter().flatten();
        let values = values.map(|value| value.0.len());
        values.for_each(|size| add(&self.leaf_bytes, size));
        add(&self.leaf_bytes, record.leaf.0.len());
        self.ledger.append(index, key, seq, record)
    }

    fn verified_before(&self, what: &Digest) -> bool {
        self.ledger.verified_before(what)
    }
}
