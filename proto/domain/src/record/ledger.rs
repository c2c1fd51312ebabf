//! What the rules read and write, as a trait: the store implements it over its engine, tests over maps.
//!
//! No rule is here and no key layout: a `Ledger` fetches and carries.

use crate::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::signature::KeyId;
use crate::bytes::time::TimeMs;
use crate::custody::Chain;
use crate::log::map::{Page, PagePath};
use crate::log::merkle::Node;
use crate::log::stored::LeafRecord;
use crate::machine::entry::Members;
use crate::record::audited::AuditAnchors;
use crate::record::denied::DenyList;
use crate::record::due::Due;
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

/// Read and write access to the records of one registry. Writes are seen by later reads and committed together.
pub trait Ledger {
    /// How the medium fails; never a lawful "no".
    type Fault;

    /// The registry, or `None` before its genesis.
    fn registry(&self) -> Result<Option<Registry>, Self::Fault>;
    /// Replaces the registry.
    fn put_registry(&mut self, registry: Registry) -> Result<(), Self::Fault>;
    /// Who votes, and who is a member, at this entry, by the memberships that stand before it in the log.
    fn members(&self) -> Result<Members, Self::Fault>;

    /// What is recorded of a robot; none where only its custody is known, or nothing.
    fn robot(&self, code: &Code) -> Result<Option<Robot>, Self::Fault>;
    /// Replaces a robot, and its secondary keys. It counts towards its model as [`Robot::is_counted`] says.
    fn put_robot(&mut self, robot: Robot) -> Result<(), Self::Fault>;
    /// Forgets a provisional record: one that does not count.
    fn drop_robot(&mut self, code: &Code) -> Result<(), Self::Fault>;
    /// The robot that a body or part is fitted in.
    fn part_holder(&self, identity: &Digest) -> Result<Option<Fitting>, Self::Fault>;
    /// Notes or frees a body or part.
    fn put_part_holder(
        &mut self,
        identity: &Digest,
        holder: Option<&Fitting>,
    ) -> Result<(), Self::Fault>;
    /// How many robots of a model have a record here: kept as a number, not counted each time.
    fn count_of_model(&self, model: &ModelId) -> Result<u64, Self::Fault>;

    /// What is known of the end of a code (by its subject key), body or part.
    fn ends(&self, identity: &Digest) -> Result<Option<Ends>, Self::Fault>;
    /// Replaces it.
    fn put_ends(&mut self, identity: &Digest, ends: Ends) -> Result<(), Self::Fault>;
    /// The claim of a peer that a code, body or part has ended.
    fn claim(&self, peer: &Prefix, identity: &Digest) -> Result<Option<Claim>, Self::Fault>;
    /// Replaces or removes it.
    fn put_claim(
        &mut self,
        peer: &Prefix,
        identity: &Digest,
        claim: Option<Claim>,
    ) -> Result<(), Self::Fault>;
    /// How many claims of a peer were ever kept; those before the newest ones made way.
    fn claims_of(&self, peer: &Prefix) -> Result<u64, Self::Fault>;
    /// Replaces it.
    fn put_claims_of(&mut self, peer: &Prefix, count: u64) -> Result<(), Self::Fault>;
    /// The identity of the claim in a place of the ring of a peer's claims.
    fn claim_at(&self, peer: &Prefix, place: u32) -> Result<Option<Digest>, Self::Fault>;
    /// Replaces it.
    fn put_claim_at(
        &mut self,
        peer: &Prefix,
        place: u32,
        identity: &Digest,
    ) -> Result<(), Self::Fault>;

    /// What is recorded of an enterprise under this code.
    fn enterprise(&self, id: &EnterpriseId) -> Result<Option<Enterprise>, Self::Fault>;
    /// The enterprise that was accredited last as this maker.
    fn enterprise_of(&self, maker: &Maker) -> Result<Option<EnterpriseId>, Self::Fault>;
    /// Replaces an enterprise, and its place under its maker.
    fn put_enterprise(&mut self, enterprise: Enterprise) -> Result<(), Self::Fault>;
    /// What is recorded of a model under this code.
    fn model(&self, id: &ModelId) -> Result<Option<Model>, Self::Fault>;
    /// Replaces a model.
    fn put_model(&mut self, model: Model) -> Result<(), Self::Fault>;
    /// Models of an enterprise, ascending.
    fn models_of(&self, id: &EnterpriseId) -> Result<Vec<Model>, Self::Fault>;
    /// A signing key.
    fn signer(&self, id: &KeyId) -> Result<Option<Signer>, Self::Fault>;
    /// Replaces a signing key.
    fn put_signer(&mut self, signer: Signer) -> Result<(), Self::Fault>;
    /// The certificates that are refused.
    fn deny_list(&self) -> Result<DenyList, Self::Fault>;
    /// Where the nodes' chains of audit stood.
    fn audit_anchors(&self) -> Result<AuditAnchors, Self::Fault>;
    /// Replaces them.
    fn put_audit_anchors(&mut self, anchors: AuditAnchors) -> Result<(), Self::Fault>;
    /// Replaces the list.
    fn put_deny_list(&mut self, list: DenyList) -> Result<(), Self::Fault>;

    /// What stands of a recall, one of ours or of a peer.
    fn recall(&self, id: &RecallId) -> Result<Option<Recall>, Self::Fault>;
    /// Replaces a recall and its place under each of its models; a withdrawn one leaves it, and an amended one leaves those
    /// that it names no more.
    fn put_recall(&mut self, recall: Recall) -> Result<(), Self::Fault>;
    /// The recalls that name a model and have not ended (in force, or proposed), ascending: what has ended is
    /// neither read again with every action on a robot, nor counted.
    fn recalls_of(&self, model: &ModelId) -> Result<Vec<Recall>, Self::Fault>;

    /// Custody of a robot that has no record here (asked for, permitted, in transit).
    fn loose_chain(&self, code: &Code) -> Result<Option<LooseChain>, Self::Fault>;
    /// Replaces or removes it.
    fn put_loose_chain(
        &mut self,
        code: &Code,
        chain: Option<LooseChain>,
    ) -> Result<(), Self::Fault>;
    /// What stands of a transfer, open or over.
    fn transfer(&self, id: &TransferId) -> Result<Option<Transfer>, Self::Fault>;
    /// Replaces a transfer, and what it is found under.
    fn put_transfer(&mut self, transfer: Transfer) -> Result<(), Self::Fault>;
    /// A transfer of a consignment that one country declared, one that is open before one that ended; none if nobody did.
    fn consignment(&self, from: &Prefix, ucr: &str) -> Result<Option<TransferId>, Self::Fault>;
    /// How many robots an enterprise offers a peer that wait for its answer, or for their departure.
    fn offers_of(&self, peer: &Prefix, enterprise: &EnterpriseId) -> Result<u64, Self::Fault>;
    /// Replaces it.
    fn put_offers_of(
        &mut self,
        peer: &Prefix,
        enterprise: &EnterpriseId,
        count: u64,
    ) -> Result<(), Self::Fault>;
    /// What a holder of keys told peers in the newest minute in which it told anything.
    fn told_by(&self, holder: &Holder) -> Result<Option<ToldBy>, Self::Fault>;
    /// Replaces it.
    fn put_told_by(&mut self, holder: &Holder, told: ToldBy) -> Result<(), Self::Fault>;
    /// What waits to be told of something.
    fn untold(&self, about: &Digest) -> Result<Option<Untold>, Self::Fault>;
    /// Replaces or removes it.
    fn put_untold(&mut self, about: &Digest, news: Option<Untold>) -> Result<(), Self::Fault>;
    /// Deadlines that a rule ends and that lie before a time, the earliest first.
    fn due(&self, rule: u16, before: TimeMs, count_max: usize) -> Result<Vec<Due>, Self::Fault>;
    /// Notes a deadline, or takes it away.
    fn put_due(&mut self, due: &Due, stands: bool) -> Result<(), Self::Fault>;

    /// What is kept of a peer, by its primary prefix.
    fn peer(&self, prefix: &Prefix) -> Result<Option<Peer>, Self::Fault>;
    /// Replaces a peer.
    fn put_peer(&mut self, peer: Peer) -> Result<(), Self::Fault>;
    /// All peers, ascending by prefix.
    fn peers(&self) -> Result<Vec<Peer>, Self::Fault>;
    /// Puts an own leaf into a peer's mailbox.
    fn post(&mut self, peer: &Prefix, sequence: u64, leaf_index: u64) -> Result<(), Self::Fault>;

    /// An item of a peer's mailbox that waits.
    fn parked(&self, peer: &Prefix, item: u64) -> Result<Option<Parked>, Self::Fault>;
    /// Replaces or removes it.
    fn put_parked(
        &mut self,
        peer: &Prefix,
        item: u64,
        parked: Option<Parked>,
    ) -> Result<(), Self::Fault>;
    /// Which items of a peer wait, the oldest first.
    fn parked_of(&self, peer: &Prefix) -> Result<Vec<ParkedPlace>, Self::Fault>;
    /// Replaces the list.
    fn put_parked_of(&mut self, peer: &Prefix, places: Vec<ParkedPlace>)
    -> Result<(), Self::Fault>;
    /// Which items wait for the record of a robot to move, by its subject key.
    fn parked_behind(&self, subject: &Digest) -> Result<Vec<ParkedPlace>, Self::Fault>;
    /// Replaces the list.
    fn put_parked_behind(
        &mut self,
        subject: &Digest,
        places: Vec<ParkedPlace>,
    ) -> Result<(), Self::Fault>;

    /// What was answered in a session, as far as its window goes.
    fn session(&self, id: u64) -> Result<Option<Session>, Self::Fault>;
    /// Replaces a session.
    fn put_session(&mut self, session: Session) -> Result<(), Self::Fault>;
    /// Sessions that a subject has open.
    fn sessions_of(&self, subject: &str) -> Result<Vec<Session>, Self::Fault>;
    /// Closes a session and forgets its answers.
    fn close_session(&mut self, id: u64) -> Result<(), Self::Fault>;
    /// The answer in a place of a session's ring; it may be an older request's.
    fn answer(
        &self,
        session: u64,
        place: u32,
        first_item: u32,
    ) -> Result<Option<StoredAnswer>, Self::Fault>;
    /// Stores an answer in its place, over the older one.
    fn put_answer(
        &mut self,
        session: u64,
        place: u32,
        first_item: u32,
        answer: StoredAnswer,
    ) -> Result<(), Self::Fault>;

    /// A leaf of this log.
    fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, Self::Fault>;
    /// Up to `count_max` leaves with `from <= index < to`, ascending.
    fn leaves(&self, from: u64, to: u64, count_max: usize) -> Result<Vec<LeafRecord>, Self::Fault>;
    /// As [`Ledger::leaves`], of each only what it changes in the state map.
    fn map_changes(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
    ) -> Result<Vec<MapChanges>, Self::Fault>;
    /// Appends a leaf.
    fn append(&mut self, index: u64, record: LeafRecord) -> Result<(), Self::Fault>;
    /// The newest leaf of a signing key or a peer, by the subject's key; all other records name their own.
    fn head_of(&self, key: &Digest) -> Result<Option<crate::log::head::Head>, Self::Fault>;
    /// Replaces it.
    fn put_head(&mut self, key: &Digest, head: crate::log::head::Head) -> Result<(), Self::Fault>;
    /// Keeps the envelope of the entry whose first leaf is at `index`; see [`crate::machine::whole_envelope`].
    fn put_envelope(&mut self, index: u64, envelope: Vec<u8>) -> Result<(), Self::Fault>;
    /// The subtrees of the tree that the leaf at `index` completed: itself first, then ascending by level.
    fn put_nodes(&mut self, index: u64, complete: &[Node]) -> Result<(), Self::Fault>;
    /// The hash of the leaf at `index`, as the tree has it.
    fn leaf_hash(&self, index: u64) -> Result<Option<Digest>, Self::Fault>;
    /// The hash of a complete subtree of the tree.
    fn subtree(&self, level: u8, index: u64) -> Result<Option<Digest>, Self::Fault>;
    /// A page of the map.
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault>;
    /// Replaces a page of the map.
    fn put_page(&mut self, path: &PagePath, page: Option<Page>) -> Result<(), Self::Fault>;

    /// Whether this node has verified exactly this signature before (at ingress). Saves work, never changes an answer.
    fn verified_before(&self, what: &Digest) -> bool;
}

/// What a leaf changes in the state map: keys and digests of their values.
pub type MapChanges = Vec<(Digest, Digest)>;

/// Custody of a robot without a record here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseChain {
    /// As far as links that were proven lead.
    pub chain: Chain,
    /// Newest leaf of the robot in this log, if there is one.
    pub head: Option<crate::log::head::Head>,
}
crate::canonical_struct!(LooseChain @ 1 { chain, head });
