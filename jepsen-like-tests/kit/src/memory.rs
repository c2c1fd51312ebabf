//! A registry's records in ordered maps: for tests, the model and the simulator. Fetches and carries; no rule is here.
//!
//! Two ledgers that applied the same entries are equal, and have the same [`MemoryLedger::digest`].

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical, Encoder};
use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Step;
use carnet_domain::custody::movement::Movement;
use carnet_domain::custody::trail::trail;
use carnet_domain::log::head::{Head, Jumps};
use carnet_domain::log::leaf::{Leaf, Subject, leaf_bytes_hash};
use carnet_domain::log::map::{Page, PageMap, PagePath};
use carnet_domain::log::merkle::Node;
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::{Members, Voters};
use carnet_domain::machine::standing_now;
use carnet_domain::record::ModelStanding;
use carnet_domain::record::audited::AuditAnchors;
use carnet_domain::record::denied::DenyList;
use carnet_domain::record::due::Due;
use carnet_domain::record::ledger::{Ledger, LooseChain, MapChanges};
use carnet_domain::record::peer::Peer;
use carnet_domain::record::reader::Reader;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::session::{Session, StoredAnswer};
use carnet_domain::record::told::{ToldBy, Untold};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{
    Claim, Ends, Enterprise, Fitting, Holder, Maker, Model, Parked, ParkedPlace, Recall, RecallId,
    Robot, Signer,
};
use carnet_domain::rules::command::TransferId;

/// All records of one registry. Reading never fails.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryLedger {
    registry: Option<Registry>,
    members: Members,
    robots: BTreeMap<Code, Robot>,
    part_holders: BTreeMap<Digest, Fitting>,
    counts: BTreeMap<ModelId, u64>,
    ends: BTreeMap<Digest, Ends>,
    claims: BTreeMap<(Prefix, Digest), Claim>,
    claims_of: BTreeMap<Prefix, u64>,
    claims_at: BTreeMap<(Prefix, u64), Digest>,
    enterprises: BTreeMap<EnterpriseId, Enterprise>,
    makers: BTreeMap<Digest, EnterpriseId>,
    models: BTreeMap<ModelId, Model>,
    signers: BTreeMap<KeyId, Signer>,
    deny_list: DenyList,
    audit_anchors: AuditAnchors,
    recalls: BTreeMap<RecallId, Recall>,
    loose_chains: BTreeMap<Code, LooseChain>,
    transfers: BTreeMap<TransferId, Transfer>,
    heads: BTreeMap<Digest, Head>,
    peers: BTreeMap<Prefix, Peer>,
    mailboxes: BTreeMap<(Prefix, u64), u64>,
    offers_of: BTreeMap<(Prefix, EnterpriseId), u64>,
    told_by: BTreeMap<Vec<u8>, ToldBy>,
    untold: BTreeMap<Digest, Untold>,
    due: BTreeSet<Due>,
    parked: BTreeMap<(Prefix, u64), Parked>,
    parked_of: BTreeMap<Prefix, Vec<ParkedPlace>>,
    parked_behind: BTreeMap<Digest, Vec<ParkedPlace>>,
    sessions: BTreeMap<u64, Session>,
    answers: BTreeMap<(u64, (u32, u32)), StoredAnswer>,
    leaves: BTreeMap<u64, LeafRecord>,
    histories: BTreeMap<(Digest, u64), u64>,
    envelopes: BTreeMap<u64, Vec<u8>>,
    nodes: BTreeMap<(u8, u64), Digest>,
    pages: PageMap,
}

impl MemoryLedger {
    /// Every key that has a record.
    pub fn signers(&self) -> impl Iterator<Item = &Signer> {
        self.signers.values()
    }

    /// Nothing: the state before a genesis, in a cluster whose voters are 1, 2 and 3.
    pub fn new() -> Self {
        Self {
            members: Members {
                voters: Voters(vec![BTreeSet::from([1, 2, 3])]),
                all: BTreeSet::from([1, 2, 3]),
            },
            ..Self::default()
        }
    }

    /// Says who votes, and who is a member, from here on.
    pub fn set_members(&mut self, members: Members) {
        self.members = members;
    }

    /// Says who votes, among the members there are.
    pub fn set_voters(&mut self, voters: Voters) {
        self.members.all.extend(voters.0.iter().flatten());
        self.members.voters = voters;
    }

    /// The mailbox for a peer from a sequence on: sequence and own leaf index, ascending.
    pub fn mailbox(&self, peer: &Prefix, from: u64) -> Vec<(u64, u64)> {
        let range = (*peer, from)..=(*peer, u64::MAX);
        let items = self.mailboxes.range(range);
        items
            .map(|((_, sequence), leaf)| (*sequence, *leaf))
            .collect()
    }

    /// The trail of a robot, in the order its steps were seen.
    ///
    /// # Panics
    /// When a leaf of it is damaged.
    pub fn movements(&self, code: &Code) -> Vec<Movement> {
        let Some(me) = self.registry.as_ref().map(|registry| registry.prefix) else {
            return Vec::new();
        };
        let newest = self.head_of_robot(code).and_then(|head| head.step);
        trail(self, me, newest, usize::MAX).expect("the leaves of a trail tell of custody steps")
    }

    /// The newest leaf of a robot, with or without a record here.
    pub fn head_of_robot(&self, code: &Code) -> Option<Head> {
        let robot = self.robots.get(code).and_then(|robot| robot.head);
        let loose = || self.loose_chains.get(code).and_then(|loose| loose.head);
        robot.or_else(loose)
    }

    /// The newest leaf of any subject, by its key, those among them that no rule wrote.
    pub fn last_leaf(&self, key: &Digest) -> Option<Head> {
        let range = (*key, 0)..=(*key, u64::MAX);
        let ((_, seq), leaf_index) = self.histories.range(range).next_back()?;
        let record = self.leaves.get(leaf_index)?;
        Some(Head {
            seq: *seq,
            leaf_index: *leaf_index,
            leaf_hash: leaf_bytes_hash(&record.leaf.0),
            step: None,
            jumps: Jumps::default(),
        })
    }

    /// The index of a subject's leaf, by the subject's key and the leaf's `seq`.
    pub fn leaf_of(&self, key: &Digest, seq: u64) -> Option<u64> {
        self.histories.get(&(*key, seq)).copied()
    }

    /// Appends a leaf, in its place in the history of its subject.
    pub(crate) fn append_as(&mut self, index: u64, key: Digest, seq: u64, record: LeafRecord) {
        self.leaves.insert(index, record);
        self.histories.insert((key, seq), index);
    }

    /// Leaf indices of a subject, by its key, oldest first.
    pub fn history(&self, key: &Digest) -> Vec<u64> {
        let range = (*key, 0)..=(*key, u64::MAX);
        self.histories.range(range).map(|(_, leaf)| *leaf).collect()
    }

    /// Every robot with a record here, ascending by code.
    pub fn robots(&self) -> impl Iterator<Item = &Robot> {
        self.robots.values()
    }

    /// Every recall, ascending.
    pub fn recalls(&self) -> impl Iterator<Item = &Recall> {
        self.recalls.values()
    }

    /// Every model, ascending.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }

    /// Every transfer, ascending by number.
    pub fn transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.transfers.values()
    }

    /// The envelope of the entry whose first leaf is at an index.
    pub fn envelope(&self, index: u64) -> Option<&[u8]> {
        self.envelopes.get(&index).map(Vec::as_slice)
    }

    /// SHA-256 over the canonical bytes of every table in order: equal for equal ledgers.
    pub fn digest(&self) -> Digest {
        let pages = self.pages.iter();
        let pages: BTreeMap<Vec<u8>, Blob> = pages
            .map(|(path, page)| (path.to_bytes(), Blob(page.to_bytes())))
            .collect();
        let pages = pages.into_iter().map(|(path, page)| (Blob(path), page));
        let mut e = Encoder::new();
        self.registry.encode(&mut e);
        self.deny_list.encode(&mut e);
        self.audit_anchors.encode(&mut e);
        self.encode_records(&mut e);
        table(&mut e, self.heads.iter());
        table(&mut e, self.peers.iter());
        table(&mut e, self.mailboxes.iter());
        table(&mut e, self.offers_of.iter());
        let told: Vec<(Blob, &ToldBy)> = self
            .told_by
            .iter()
            .map(|(holder, told)| (Blob(holder.clone()), told))
            .collect();
        table(&mut e, told.iter().map(|(holder, told)| (holder, *told)));
        table(&mut e, self.untold.iter());
        table(&mut e, self.due.iter().map(|due| (due, &0u64)));
        table(&mut e, self.parked.iter());
        table(&mut e, self.parked_of.iter());
        table(&mut e, self.parked_behind.iter());
        table(&mut e, self.sessions.iter());
        table(&mut e, self.answers.iter());
        table(&mut e, self.leaves.iter());
        table(&mut e, self.histories.iter());
        let envelopes = self.envelopes.iter();
        let envelopes: Vec<(u64, Blob)> = envelopes.map(|(k, v)| (*k, Blob(v.clone()))).collect();
        table(&mut e, envelopes.iter().map(|(k, v)| (k, v)));
        table(&mut e, self.nodes.iter());
        let pages: Vec<(Blob, Blob)> = pages.collect();
        table(&mut e, pages.iter().map(|(k, v)| (k, v)));
        sha256(&[&e.finish()])
    }

    /// As [`Self::digest`], over what the rules decide on and no log, map, mailbox, session or peer: equal when a
    /// statement was noted and nothing believed.
    pub fn records_digest(&self) -> Digest {
        let mut e = Encoder::new();
        self.encode_records(&mut e);
        sha256(&[&e.finish()])
    }

    fn encode_records(&self, e: &mut Encoder) {
        table(e, self.robots.iter());
        table(e, self.part_holders.iter());
        table(e, self.counts.iter());
        table(e, self.ends.iter());
        table(e, self.claims.iter());
        table(e, self.claims_of.iter());
        table(e, self.claims_at.iter());
        table(e, self.enterprises.iter());
        table(e, self.makers.iter());
        table(e, self.models.iter());
        table(e, self.signers.iter());
        table(e, self.recalls.iter());
        table(e, self.loose_chains.iter());
        table(e, self.transfers.iter());
    }
}

fn table<'a, K: Canonical + 'a, V: Canonical + 'a>(
    e: &mut Encoder,
    rows: impl ExactSizeIterator<Item = (&'a K, &'a V)>,
) {
    e.array(rows.len());
    for (key, value) in rows {
        key.encode(e);
        value.encode(e);
    }
}

impl Ledger for MemoryLedger {
    type Fault = Infallible;

    fn registry(&self) -> Result<Option<Registry>, Infallible> {
        Ok(self.registry.clone())
    }
    fn put_registry(&mut self, registry: Registry) -> Result<(), Infallible> {
        self.registry = Some(registry);
        Ok(())
    }
    fn members(&self) -> Result<Members, Infallible> {
        Ok(self.members.clone())
    }

    fn robot(&self, code: &Code) -> Result<Option<Robot>, Infallible> {
        Ok(self.robots.get(code).cloned())
    }
    #[expect(clippy::arithmetic_side_effects, reason = "robots in memory")]
    fn put_robot(&mut self, robot: Robot) -> Result<(), Infallible> {
        let (code, counted) = (robot.identity.code, robot.is_counted());
        let before = self.robots.insert(code, robot);
        if counted && !before.is_some_and(|before| before.is_counted()) {
            *self.counts.entry(code.model_id()).or_default() += 1;
        }
        Ok(())
    }
    fn drop_robot(&mut self, code: &Code) -> Result<(), Infallible> {
        self.robots.remove(code);
        Ok(())
    }
    fn part_holder(&self, identity: &Digest) -> Result<Option<Fitting>, Infallible> {
        Ok(self.part_holders.get(identity).cloned())
    }
    fn put_part_holder(
        &mut self,
        identity: &Digest,
        holder: Option<&Fitting>,
    ) -> Result<(), Infallible> {
        match holder {
            Some(fitting) => self.part_holders.insert(*identity, fitting.clone()),
            None => self.part_holders.remove(identity),
        };
        Ok(())
    }
    fn count_of_model(&self, model: &ModelId) -> Result<u64, Infallible> {
        Ok(self.counts.get(model).copied().unwrap_or(0))
    }

    fn ends(&self, identity: &Digest) -> Result<Option<Ends>, Infallible> {
        Ok(self.ends.get(identity).cloned())
    }
    fn put_ends(&mut self, identity: &Digest, ends: Ends) -> Result<(), Infallible> {
        self.ends.insert(*identity, ends);
        Ok(())
    }
    fn claim(&self, peer: &Prefix, identity: &Digest) -> Result<Option<Claim>, Infallible> {
        Ok(self.claims.get(&(*peer, *identity)).cloned())
    }
    fn put_claim(
        &mut self,
        peer: &Prefix,
        identity: &Digest,
        claim: Option<Claim>,
    ) -> Result<(), Infallible> {
        match claim {
            Some(claim) => self.claims.insert((*peer, *identity), claim),
            None => self.claims.remove(&(*peer, *identity)),
        };
        Ok(())
    }
    fn claims_of(&self, peer: &Prefix) -> Result<u64, Infallible> {
        Ok(self.claims_of.get(peer).copied().unwrap_or(0))
    }
    fn put_claims_of(&mut self, peer: &Prefix, count: u64) -> Result<(), Infallible> {
        self.claims_of.insert(*peer, count);
        Ok(())
    }
    fn claim_at(&self, peer: &Prefix, place: u32) -> Result<Option<Digest>, Infallible> {
        Ok(self.claims_at.get(&(*peer, u64::from(place))).copied())
    }
    fn put_claim_at(
        &mut self,
        peer: &Prefix,
        place: u32,
        identity: &Digest,
    ) -> Result<(), Infallible> {
        self.claims_at.insert((*peer, u64::from(place)), *identity);
        Ok(())
    }

    fn enterprise(&self, id: &EnterpriseId) -> Result<Option<Enterprise>, Infallible> {
        Ok(self.enterprises.get(id).cloned())
    }
    fn enterprise_of(&self, maker: &Maker) -> Result<Option<EnterpriseId>, Infallible> {
        Ok(self.makers.get(&maker.digest()).copied())
    }
    fn put_enterprise(&mut self, enterprise: Enterprise) -> Result<(), Infallible> {
        self.makers.insert(enterprise.maker.digest(), enterprise.id);
        self.enterprises.insert(enterprise.id, enterprise);
        Ok(())
    }
    fn model(&self, id: &ModelId) -> Result<Option<Model>, Infallible> {
        Ok(self.models.get(id).cloned())
    }
    fn put_model(&mut self, model: Model) -> Result<(), Infallible> {
        self.models.insert(model.id, model);
        Ok(())
    }
    fn models_of(&self, id: &EnterpriseId) -> Result<Vec<Model>, Infallible> {
        let models = self.models.values();
        Ok(models
            .filter(|model| model.id.enterprise_id() == *id)
            .cloned()
            .collect())
    }
    fn signer(&self, id: &KeyId) -> Result<Option<Signer>, Infallible> {
        Ok(self.signers.get(id).cloned())
    }
    fn put_signer(&mut self, signer: Signer) -> Result<(), Infallible> {
        self.signers.insert(signer.id, signer);
        Ok(())
    }

    fn deny_list(&self) -> Result<DenyList, Infallible> {
        Ok(self.deny_list.clone())
    }
    fn audit_anchors(&self) -> Result<AuditAnchors, Infallible> {
        Ok(self.audit_anchors.clone())
    }
    fn put_audit_anchors(&mut self, anchors: AuditAnchors) -> Result<(), Infallible> {
        self.audit_anchors = anchors;
        Ok(())
    }
    fn put_deny_list(&mut self, list: DenyList) -> Result<(), Infallible> {
        self.deny_list = list;
        Ok(())
    }

    fn recall(&self, id: &RecallId) -> Result<Option<Recall>, Infallible> {
        Ok(self.recalls.get(id).cloned())
    }
    fn put_recall(&mut self, recall: Recall) -> Result<(), Infallible> {
        self.recalls.insert(recall.notice.id.clone(), recall);
        Ok(())
    }
    fn recalls_of(&self, model: &ModelId) -> Result<Vec<Recall>, Infallible> {
        let recalls = self.recalls.values();
        Ok(recalls
            .filter(|recall| recall.found_under().contains(model))
            .cloned()
            .collect())
    }

    fn loose_chain(&self, code: &Code) -> Result<Option<LooseChain>, Infallible> {
        Ok(self.loose_chains.get(code).cloned())
    }
    fn put_loose_chain(
        &mut self,
        code: &Code,
        chain: Option<LooseChain>,
    ) -> Result<(), Infallible> {
        match chain {
            Some(chain) => self.loose_chains.insert(*code, chain),
            None => self.loose_chains.remove(code),
        };
        Ok(())
    }
    fn transfer(&self, id: &TransferId) -> Result<Option<Transfer>, Infallible> {
        Ok(self.transfers.get(id).cloned())
    }
    fn consignment(&self, from: &Prefix, ucr: &str) -> Result<Option<TransferId>, Infallible> {
        let all = self.transfers.values();
        let of_it = all.filter(|one| one.from == *from && one.papers.ucr == ucr);
        let found = of_it.min_by_key(|one| (one.stage(), one.stage_at(), one.id));
        Ok(found.map(|one| one.id))
    }

    fn put_transfer(&mut self, transfer: Transfer) -> Result<(), Infallible> {
        self.transfers.insert(transfer.id, transfer);
        Ok(())
    }

    fn peer(&self, prefix: &Prefix) -> Result<Option<Peer>, Infallible> {
        Ok(self.peers.get(prefix).cloned())
    }
    fn put_peer(&mut self, peer: Peer) -> Result<(), Infallible> {
        if let Some(prefix) = peer.bundle.primary() {
            self.peers.insert(prefix, peer);
        }
        Ok(())
    }
    fn peers(&self) -> Result<Vec<Peer>, Infallible> {
        Ok(self.peers.values().cloned().collect())
    }
    fn post(&mut self, peer: &Prefix, sequence: u64, leaf_index: u64) -> Result<(), Infallible> {
        self.mailboxes.insert((*peer, sequence), leaf_index);
        Ok(())
    }

    fn offers_of(&self, peer: &Prefix, enterprise: &EnterpriseId) -> Result<u64, Infallible> {
        let count = self.offers_of.get(&(*peer, *enterprise));
        Ok(count.copied().unwrap_or(0))
    }
    fn put_offers_of(
        &mut self,
        peer: &Prefix,
        enterprise: &EnterpriseId,
        count: u64,
    ) -> Result<(), Infallible> {
        match count {
            0 => self.offers_of.remove(&(*peer, *enterprise)),
            _ => self.offers_of.insert((*peer, *enterprise), count),
        };
        Ok(())
    }
    fn told_by(&self, holder: &Holder) -> Result<Option<ToldBy>, Infallible> {
        Ok(self.told_by.get(&holder.to_bytes()).cloned())
    }
    fn put_told_by(&mut self, holder: &Holder, told: ToldBy) -> Result<(), Infallible> {
        self.told_by.insert(holder.to_bytes(), told);
        Ok(())
    }
    fn untold(&self, about: &Digest) -> Result<Option<Untold>, Infallible> {
        Ok(self.untold.get(about).cloned())
    }
    fn put_untold(&mut self, about: &Digest, news: Option<Untold>) -> Result<(), Infallible> {
        match news {
            Some(news) => self.untold.insert(*about, news),
            None => self.untold.remove(about),
        };
        Ok(())
    }
    fn due(&self, rule: u16, before: TimeMs, count_max: usize) -> Result<Vec<Due>, Infallible> {
        let due = self.due.iter();
        let due = due.filter(|due| due.rule == rule && due.at < before);
        Ok(due.take(count_max).copied().collect())
    }
    fn put_due(&mut self, due: &Due, stands: bool) -> Result<(), Infallible> {
        match stands {
            true => self.due.insert(*due),
            false => self.due.remove(due),
        };
        Ok(())
    }

    fn parked(&self, peer: &Prefix, item: u64) -> Result<Option<Parked>, Infallible> {
        Ok(self.parked.get(&(*peer, item)).cloned())
    }
    fn put_parked(
        &mut self,
        peer: &Prefix,
        item: u64,
        parked: Option<Parked>,
    ) -> Result<(), Infallible> {
        match parked {
            Some(parked) => self.parked.insert((*peer, item), parked),
            None => self.parked.remove(&(*peer, item)),
        };
        Ok(())
    }
    fn parked_of(&self, peer: &Prefix) -> Result<Vec<ParkedPlace>, Infallible> {
        Ok(self.parked_of.get(peer).cloned().unwrap_or_default())
    }
    fn put_parked_of(&mut self, peer: &Prefix, places: Vec<ParkedPlace>) -> Result<(), Infallible> {
        self.parked_of.insert(*peer, places);
        Ok(())
    }
    fn parked_behind(&self, subject: &Digest) -> Result<Vec<ParkedPlace>, Infallible> {
        Ok(self.parked_behind.get(subject).cloned().unwrap_or_default())
    }
    fn put_parked_behind(
        &mut self,
        subject: &Digest,
        places: Vec<ParkedPlace>,
    ) -> Result<(), Infallible> {
        match places.is_empty() {
            true => self.parked_behind.remove(subject),
            false => self.parked_behind.insert(*subject, places),
        };
        Ok(())
    }

    fn session(&self, id: u64) -> Result<Option<Session>, Infallible> {
        Ok(self.sessions.get(&id).cloned())
    }
    fn put_session(&mut self, session: Session) -> Result<(), Infallible> {
        self.sessions.insert(session.id, session);
        Ok(())
    }
    fn sessions_of(&self, subject: &str) -> Result<Vec<Session>, Infallible> {
        let sessions = self.sessions.values();
        Ok(sessions
            .filter(|session| session.subject == subject)
            .cloned()
            .collect())
    }
    fn close_session(&mut self, id: u64) -> Result<(), Infallible> {
        self.sessions.remove(&id);
        self.answers.retain(|(session, _), _| *session != id);
        Ok(())
    }
    fn answer(
        &self,
        session: u64,
        place: u32,
        first_item: u32,
    ) -> Result<Option<StoredAnswer>, Infallible> {
        Ok(self.answers.get(&(session, (place, first_item))).cloned())
    }
    fn put_answer(
        &mut self,
        session: u64,
        place: u32,
        first_item: u32,
        answer: StoredAnswer,
    ) -> Result<(), Infallible> {
        self.answers.insert((session, (place, first_item)), answer);
        Ok(())
    }

    fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, Infallible> {
        Ok(self.leaves.get(&index).cloned())
    }
    fn leaves(&self, from: u64, to: u64, count_max: usize) -> Result<Vec<LeafRecord>, Infallible> {
        let found = self.leaves.range(from..to.max(from));
        Ok(found
            .take(count_max)
            .map(|(_, record)| record.clone())
            .collect())
    }
    fn map_changes(
        &self,
        from: u64,
        to: u64,
        count_max: usize,
    ) -> Result<Vec<MapChanges>, Infallible> {
        let Ok(leaves) = Ledger::leaves(self, from, to, count_max);
        Ok(leaves.into_iter().map(|leaf| leaf.map).collect())
    }
    fn append(&mut self, index: u64, record: LeafRecord) -> Result<(), Infallible> {
        let leaf = Leaf::from_bytes(&record.leaf.0);
        let leaf = leaf.expect("invariant: the rules append leaves that decode");
        self.append_as(index, leaf.key, leaf.seq, record);
        Ok(())
    }
    fn head_of(&self, key: &Digest) -> Result<Option<Head>, Infallible> {
        Ok(self.heads.get(key).copied())
    }
    fn put_head(&mut self, key: &Digest, head: Head) -> Result<(), Infallible> {
        self.heads.insert(*key, head);
        Ok(())
    }
    fn put_envelope(&mut self, index: u64, envelope: Vec<u8>) -> Result<(), Infallible> {
        self.envelopes.insert(index, envelope);
        Ok(())
    }
    fn put_nodes(&mut self, _: u64, complete: &[Node]) -> Result<(), Infallible> {
        let nodes = complete
            .iter()
            .map(|node| ((node.level, node.index), node.hash));
        self.nodes.extend(nodes);
        Ok(())
    }
    fn leaf_hash(&self, index: u64) -> Result<Option<Digest>, Infallible> {
        Ok(self.nodes.get(&(0, index)).copied())
    }
    fn subtree(&self, level: u8, index: u64) -> Result<Option<Digest>, Infallible> {
        Ok(self.nodes.get(&(level, index)).copied())
    }
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Infallible> {
        Ok(self.pages.get(path).cloned())
    }
    fn put_page(&mut self, path: &PagePath, page: Option<Page>) -> Result<(), Infallible> {
        match page {
            Some(page) => self.pages.insert(*path, page),
            None => self.pages.remove(path),
        };
        Ok(())
    }

    fn verified_before(&self, _: &Digest) -> bool {
        false
    }
}

/// A ledger in memory reads its newest state: build under its own published head only while nothing follows it.
impl Reader for MemoryLedger {
    type Fault = Infallible;
    fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, Infallible> {
        Ok(self.leaves.get(&index).cloned())
    }
    fn newest_of(&self, code: &Code) -> Result<Option<u64>, Infallible> {
        // A leaf that no rule wrote is in no record, and in the log nonetheless.
        let newest = self.last_leaf(&Subject::robot(code).key());
        Ok(newest.map(|head| head.leaf_index))
    }
    fn node(&self, level: u8, index: u64) -> Result<Option<Digest>, Infallible> {
        Ok(self.nodes.get(&(level, index)).copied())
    }
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Infallible> {
        Ok(self.pages.get(path).cloned())
    }
    fn transfer(&self, id: &TransferId) -> Result<Option<Transfer>, Infallible> {
        Ok(self.transfers.get(id).cloned())
    }

    fn model(&self, id: &ModelId) -> Result<Option<(Model, ModelStanding)>, Self::Fault> {
        let Some(model) = Ledger::model(self, id)? else {
            return Ok(None);
        };
        let standing = standing_now(self, &model)?;
        Ok(Some((model, standing)))
    }

    fn own_steps(&self, code: &Code, _: usize) -> Result<Vec<(Step, u64)>, Self::Fault> {
        let registry = Ledger::registry(self)?;
        let me = registry.map(|registry| registry.prefix);
        let movements = self.movements(code).into_iter();
        let own = movements.filter(|movement| Some(movement.writer) == me);
        Ok(own.map(|own| (own.step, own.leaf_index)).collect())
    }
}
