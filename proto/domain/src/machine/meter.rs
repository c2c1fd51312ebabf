//! Counts what one entry reads and writes, so that no entry does more than a constant.
//!
//! Every access goes through here, whatever rule asks for it: a rule that is added later is counted without saying so.
//! The count depends on the ledger's content and the entry alone, so it is the same on every replica; what this process
//! remembers of signatures is not counted.

use std::cell::{Cell, RefCell};

use crate::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Encoder;
use crate::bytes::signature::KeyId;
use crate::bytes::time::TimeMs;
use crate::limits::{ENTRY_LEAF_BYTES_MAX, ENTRY_READ_BYTES_MAX, ENTRY_ROWS_MAX, INDEX_ROWS_MAX};
use crate::log::head::Head;
use crate::log::map::{Page, PagePath};
use crate::log::merkle::Node;
use crate::log::stored::LeafRecord;
use crate::machine::entry::Members;
use crate::record::audited::AuditAnchors;
use crate::record::denied::DenyList;
use crate::record::due::Due;
use crate::record::ledger::{Ledger, LooseChain, MapChanges};
use crate::record::peer::Peer;
use crate::record::registry::Registry;
use crate::record::session::{Session, StoredAnswer};
use crate::record::told::{ToldBy, Untold};
use crate::record::transfer::Transfer;
use crate::record::{
    Claim, Ends, Enterprise, Fitting, Holder, Maker, Model, Parked, ParkedPlace, Recall, RecallId,
    Robot, Signer,
};
use crate::rules::command::TransferId;

/// A ledger whose accesses are counted.
pub struct Metered<'a, L> {
    ledger: &'a mut L,
    rows: Cell<u64>,
    read_bytes: Cell<u64>,
    leaf_bytes: Cell<u64>,
    /// Room in which records are measured, one after the other.
    room: RefCell<Encoder>,
}

impl<'a, L> Metered<'a, L> {
    /// Nothing counted yet.
    pub fn new(ledger: &'a mut L) -> Self {
        Self {
            ledger,
            rows: Cell::new(0),
            read_bytes: Cell::new(0),
            leaf_bytes: Cell::new(0),
            room: RefCell::default(),
        }
    }

    /// Rows read, searched and written so far.
    pub fn rows(&self) -> u64 {
        self.rows.get()
    }

    /// Bytes read so far, of what can be large.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.get()
    }

    /// Whether the entry has done as much as one entry may.
    pub(crate) fn is_spent(&self) -> bool {
        self.rows.get() >= ENTRY_ROWS_MAX
            || self.read_bytes.get() >= ENTRY_READ_BYTES_MAX
            || self.leaf_bytes.get() >= ENTRY_LEAF_BYTES_MAX
    }

    fn count(&self, rows: usize) {
        add(&self.rows, rows);
    }

    fn counted<R: Row>(&self, rows: Vec<R>) -> Vec<R> {
        // A list without rows costs its search.
        self.count(rows.len().max(1));
        rows.iter().for_each(|row| self.read(row));
        rows
    }

    fn read(&self, row: &impl Row) {
        add(&self.read_bytes, row.bytes(&mut self.room.borrow_mut()));
    }
}

/// What was read: about how many bytes it has in store. Only what can be large is measured.
trait Row {
    fn bytes(&self, _: &mut Encoder) -> usize {
        64
    }
}

macro_rules! small {
    ($($type:ty),*) => { $(impl Row for $type {})* };
}

/// Measured by its own bytes: encoding a record is a small part of reading one.
macro_rules! encoded {
    ($($type:ty),*) => {
        $(impl Row for $type {
            fn bytes(&self, room: &mut Encoder) -> usize {
                room.size_of(self)
            }
        })*
    };
}

small!(
    Registry,
    Members,
    Fitting,
    ParkedPlace,
    Due,
    Digest,
    TransferId,
    EnterpriseId,
    Claim,
    Signer,
    Session,
    LooseChain,
    Head
);
encoded!(
    Robot,
    Enterprise,
    Model,
    Recall,
    Transfer,
    Peer,
    Parked,
    Ends,
    Untold,
    StoredAnswer,
    AuditAnchors,
    DenyList
);

impl Row for ToldBy {
    fn bytes(&self, _: &mut Encoder) -> usize {
        self.size()
    }
}

impl Row for LeafRecord {
    fn bytes(&self, _: &mut Encoder) -> usize {
        leaf_bytes(self)
    }
}

fn leaf_bytes(record: &LeafRecord) -> usize {
    let values = record.values.iter().flatten().map(|value| value.0.len());
    // saturates: what is spent stays spent
    values.fold(record.leaf.0.len(), usize::saturating_add)
}

impl Row for MapChanges {
    /// A key and a digest each.
    fn bytes(&self, _: &mut Encoder) -> usize {
        self.len().saturating_mul(64) // saturates: what is spent stays spent
    }
}

impl Row for Page {
    /// Sixteen hashes, or keys and values.
    fn bytes(&self, _: &mut Encoder) -> usize {
        1_024
    }
}

impl<R: Row> Row for Option<R> {
    fn bytes(&self, room: &mut Encoder) -> usize {
        self.as_ref().map_or(0, |row| row.bytes(room))
    }
}

fn add(to: &Cell<u64>, more: usize) {
    to.set(to.get().saturating_add(more as u64)); // saturates: what is spent stays spent
}

macro_rules! one_row {
    ($($name:ident ( $($arg:ident : $type:ty),* ) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Result<$out, Self::Fault> {
            self.count(1);
            let row = self.ledger.$name($($arg),*)?;
            self.read(&row);
            Ok(row)
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
        members() -> Members;
        robot(code: &Code) -> Option<Robot>;
        part_holder(identity: &Digest) -> Option<Fitting>;
        subtree(level: u8, index: u64) -> Option<Digest>;
        ends(identity: &Digest) -> Option<Ends>;
        claim(peer: &Prefix, identity: &Digest) -> Option<Claim>;
        claim_at(peer: &Prefix, place: u32) -> Option<Digest>;
        enterprise(id: &EnterpriseId) -> Option<Enterprise>;
        enterprise_of(maker: &Maker) -> Option<EnterpriseId>;
        model(id: &ModelId) -> Option<Model>;
        signer(id: &KeyId) -> Option<Signer>;
        deny_list() -> DenyList;
        audit_anchors() -> AuditAnchors;
        recall(id: &RecallId) -> Option<Recall>;
        loose_chain(code: &Code) -> Option<LooseChain>;
        transfer(id: &TransferId) -> Option<Transfer>;
        consignment(from: &Prefix, ucr: &str) -> Option<TransferId>;
        told_by(holder: &Holder) -> Option<ToldBy>;
        untold(about: &Digest) -> Option<Untold>;
        peer(prefix: &Prefix) -> Option<Peer>;
        parked(peer: &Prefix, item: u64) -> Option<Parked>;
        session(id: u64) -> Option<Session>;
        answer(session: u64, place: u32, first_item: u32) -> Option<StoredAnswer>;
        leaf(index: u64) -> Option<LeafRecord>;
        head_of(key: &Digest) -> Option<Head>;
        leaf_hash(index: u64) -> Option<Digest>;
        page(path: &PagePath) -> Option<Page>;
    }

    many_rows! {
        models_of(id: &EnterpriseId) -> Vec<Model>;
        recalls_of(model: &ModelId) -> Vec<Recall>;
        peers() -> Vec<Peer>;
        parked_of(peer: &Prefix) -> Vec<ParkedPlace>;
        parked_behind(subject: &Digest) -> Vec<ParkedPlace>;
        due(rule: u16, before: TimeMs, count_max: usize) -> Vec<Due>;
        sessions_of(subject: &str) -> Vec<Session>;
        leaves(from: u64, to: u64, count_max: usize) -> Vec<LeafRecord>;
        map_changes(from: u64, to: u64, count_max: usize) -> Vec<MapChanges>;
    }

    writes! {
        put_registry(registry: Registry);
        put_robot(robot: Robot);
        drop_robot(code: &Code);
        put_part_holder(identity: &Digest, holder: Option<&Fitting>);
        put_ends(identity: &Digest, ends: Ends);
        put_claim(peer: &Prefix, identity: &Digest, claim: Option<Claim>);
        put_claims_of(peer: &Prefix, count: u64);
        put_claim_at(peer: &Prefix, place: u32, identity: &Digest);
        put_enterprise(enterprise: Enterprise);
        put_model(model: Model);
        put_signer(signer: Signer);
        put_deny_list(list: DenyList);
        put_audit_anchors(anchors: AuditAnchors);
        put_loose_chain(code: &Code, chain: Option<LooseChain>);
        put_offers_of(peer: &Prefix, enterprise: &EnterpriseId, count: u64);
        put_told_by(holder: &Holder, told: ToldBy);
        put_untold(about: &Digest, news: Option<Untold>);
        put_due(due: &Due, stands: bool);
        put_peer(peer: Peer);
        put_parked(peer: &Prefix, item: u64, parked: Option<Parked>);
        put_parked_of(peer: &Prefix, places: Vec<ParkedPlace>);
        put_parked_behind(subject: &Digest, places: Vec<ParkedPlace>);
        put_head(key: &Digest, head: Head);
        post(peer: &Prefix, sequence: u64, leaf_index: u64);
        put_session(session: Session);
        close_session(id: u64);
        put_answer(session: u64, place: u32, first_item: u32, answer: StoredAnswer);
        put_envelope(index: u64, envelope: Vec<u8>);
        put_nodes(index: u64, complete: &[Node]);
        put_page(path: &PagePath, page: Option<Page>);
    }

    /// With the rows of the index that it takes away and writes.
    fn put_transfer(&mut self, transfer: Transfer) -> Result<(), L::Fault> {
        self.count(2 + 2 * INDEX_ROWS_MAX);
        self.ledger.put_transfer(transfer)
    }

    fn offers_of(&self, peer: &Prefix, enterprise: &EnterpriseId) -> Result<u64, L::Fault> {
        self.count(1);
        self.ledger.offers_of(peer, enterprise)
    }

    fn claims_of(&self, peer: &Prefix) -> Result<u64, L::Fault> {
        self.count(1);
        self.ledger.claims_of(peer)
    }

    fn count_of_model(&self, model: &ModelId) -> Result<u64, L::Fault> {
        self.count(1);
        self.ledger.count_of_model(model)
    }

    fn put_recall(&mut self, recall: Recall) -> Result<(), L::Fault> {
        let found_under = recall.found_under().len();
        self.count(recall.models.len().max(found_under).max(1));
        self.ledger.put_recall(recall)
    }

    fn append(&mut self, index: u64, record: LeafRecord) -> Result<(), L::Fault> {
        self.count(1);
        add(&self.leaf_bytes, leaf_bytes(&record));
        self.ledger.append(index, record)
    }

    fn verified_before(&self, what: &Digest) -> bool {
        self.ledger.verified_before(what)
    }
}
