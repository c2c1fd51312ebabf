//! The cluster of a node: founding it, its state, its members, and statements of the roots.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use carnet_consensus::{
    AdminError, Clocks, Member, Retired, Role, Room, Standing, Status as RaftStatus,
};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::audit::AuditHead;
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::audited::AuditAnchors;
use carnet_domain::record::denied::{Bearer, DenyList, Revocation, Wanted};
use carnet_domain::record::keys::KeyRole;
use carnet_domain::record::offices::{Change as KeyChange, MembersChange as Agreed, Profile};
use carnet_domain::record::peer::{Signed, Statement};
use carnet_domain::record::registry::Registry;
use carnet_domain::rules::policy::Query;
use carnet_store::artefact::content_digest;
use carnet_store::engine::KvEngine;
use carnet_store::machine::StandsBefore;
use carnet_store::records::Records;
use carnet_store::registry::Progress;
use carnet_wire::limits::{REQUEST_TIMEOUT, VOTERS_MIN};
use carnet_wire::status::{ApiError, Obstacle};
use tokio::sync::watch;

use super::caller::Caller;
use super::{fault, refusal, storage};
use crate::audit::{Chain, Page, Stands};
use crate::certificates::Held;
use crate::compare::{Compare, Comparer};
use crate::gateway::{Gateway, Relation};
use crate::keyring::Keyring;
use crate::node::{Committed, Node};
use crate::share::Holder;
use crate::share::readers::Meter;
use crate::skip_files::SkipFile;
use crate::timekeeper;

/// The cluster as one node of it serves it. Cheap to clone.
#[derive(Clone)]
pub struct ClusterService {
    pub(crate) node: Arc<Node>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) skips: watch::Receiver<Vec<SkipFile>>,
    pub(crate) comparer: Arc<Comparer>,
}

/// The farthest that a genesis may have been made from this node's clock.
const GENESIS_AGE_MAX: DurationMs = DurationMs::from_secs(600);

/// Whether a status holds the digest of the whole state, which takes as long as reading it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digested {
    /// It does.
    Whole,
    /// It does not.
    No,
}

/// What a node says of itself and its cluster.
#[derive(Debug, Clone)]
pub struct ClusterStatus {
    /// Of its consensus.
    pub raft: RaftStatus,
    /// The log entry before which it stands still.
    pub stands: Option<StandsBefore>,
    /// The registry; none before the genesis.
    pub registry: Option<Registry>,
    /// How far its state has come.
    pub progress: Progress,
    /// Digest of the whole state, if asked for.
    pub digest: Option<[u8; 32]>,
    /// The voters' clocks.
    pub clocks: Clocks,
    /// Its own clock.
    pub clock: TimeMs,
    /// Why it refuses writes because of clocks; empty: it does not.
    pub writes_refused: String,
    /// Room on disks.
    pub room: Room,
    /// Whether the replicas hold the same.
    pub compare: Compare,
    /// The relations with peers.
    pub relations: Vec<Relation>,
    /// Items of each peer that wait here for a hand or for what they need.
    pub parked: BTreeMap<Prefix, u64>,
    /// The certificates that the node holds.
    pub certificates: Vec<Held>,
    /// How its chains of audit stand.
    pub audit: Vec<Stands>,
    /// Where the chains of all nodes stood, by the log.
    pub anchors: AuditAnchors,
    /// What the log says of this node's chains and they do not hold; empty: nothing.
    pub contradicted: String,
    /// What waits for a second person.
    pub proposals: Vec<OpenProposal>,
    /// Why it could not sign if it led: a log key in use that it does not hold, a seed that it cannot read; empty: nothing.
    pub log_key_missing: String,
    /// Nodes of this registry whose certificates it refuses, and that were given no other.
    pub refused: BTreeSet<u64>,
    /// Orders to skip a log entry.
    pub skip_files: Vec<SkipFile>,
    /// Why it answers no client and no peer yet; empty: it does.
    pub unavailable: String,
    /// Why what is sealed is not published; empty: it is.
    pub unpublished: String,
    /// As a leader: no quorum was heard for longer than the longest election timeout.
    pub quorum_lost: bool,
}

/// What one person asked for and a second has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenProposal {
    /// The index of the leaf that says it was proposed.
    pub number: u64,
    /// What would be done.
    pub what: &'static str,
    /// To which key or certificate.
    pub about: String,
    /// Who asked.
    pub by: String,
    /// When it is over.
    pub until: TimeMs,
}

/// What a node lacks of the log keys in use, in words. It leads one day, and then nothing is published.
fn log_key_missing(registry: Option<&Registry>, keyring: &dyn Keyring) -> String {
    let held = keyring.log_keys();
    let used = registry.map(|registry| registry.keys.active(KeyRole::Log));
    let missing = used.into_iter().flatten();
    let missing = missing.filter(|entry| !held.contains(&entry.key));
    let missing = missing.map(|entry| format!("it does not hold the log key in use {}", entry.key));
    let all: Vec<String> = missing.chain(keyring.unread()).collect();
    all.join("; ")
}

/// Nodes of this registry that are revoked, but for those whose certificate another follows.
fn refused_nodes(denied: &DenyList) -> BTreeSet<u64> {
    let node = |entry: &Revocation| match entry.refused.certificate.bearer {
        Bearer::Node { node } if entry.refused.instead.is_none() => Some(node),
        _ => None,
    };
    denied.entries.iter().filter_map(node).collect()
}

/// The first words that are not over at log time: about keys of offices, about certificates, then about the members.
fn open_proposals(registry: &Registry, denied: &DenyList) -> Vec<OpenProposal> {
    let of_offices = registry.offices.proposals.iter().map(|one| OpenProposal {
        number: one.number,
        what: match one.change {
            KeyChange::Add { .. } => "add key",
            KeyChange::Retire { .. } => "retire key",
        },
        about: match one.about.person.as_str() {
            "" => format!("{} of {}", one.about.key, one.about.holder),
            person => format!("{} of {person}, {}", one.about.key, one.about.holder),
        },
        by: one.by.person.clone(),
        until: one.until,
    });
    let of_certificates = denied.waiting.iter().map(|one| OpenProposal {
        number: one.number,
        what: match one.wanted {
            Wanted::Revoke { .. } => "revoke certificate",
            Wanted::Unrevoke { .. } => "unrevoke certificate",
        },
        about: one.wanted.certificate().to_string(),
        by: one.by.person.clone(),
        until: one.until,
    });
    let leaving = registry.offices.leaving.iter();
    let of_members = leaving.filter(|one| one.second.is_none());
    let of_members = of_members.map(|one| OpenProposal {
        number: one.number,
        what: "change members",
        about: one.change.to_string(),
        by: one.by.person.clone(),
        until: one.until,
    });
    let all = of_offices.chain(of_certificates).chain(of_members);
    all.filter(|one| registry.log_time <= one.until).collect()
}

/// Whether fewer voters than three are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fewest {
    /// The caller says that they are.
    Meant,
    /// Nobody said so.
    Three,
}

/// A change of who votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersChange {
    /// Exactly these vote afterwards.
    pub voters: BTreeSet<u64>,
    /// Members that leave for good.
    pub retire: BTreeSet<u64>,
    /// How few may vote.
    pub fewest: Fewest,
}

impl fmt::Display for MembersChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |nodes: &BTreeSet<u64>| {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            nodes.join(", ")
        };
        write!(f, "voters {}", listed(&self.voters))?;
        if !self.retire.is_empty() {
            write!(f, "; leaves for good: {}", listed(&self.retire))?;
        }
        match self.fewest {
            Fewest::Meant if self.voters.len() < VOTERS_MIN => {
                f.write_str("; fewer than three are meant")
            }
            Fewest::Meant | Fewest::Three => Ok(()),
        }
    }
}

/// What is noted of a change that was made.
const DONE: &str = "done";

fn done(_: &u64) -> String {
    DONE.to_owned()
}

fn change_error(error: AdminError) -> ApiError {
    match error {
        AdminError::NotLeader { leader } => ApiError::NotLeader {
            leader: leader.map(|(_, address)| address),
        },
        AdminError::Refused(obstacle, text) => ApiError::ChangeRefused { obstacle, text },
        AdminError::Unknown(text) => ApiError::UnknownOutcome { text },
        AdminError::Stopped => ApiError::unavailable("this node stops"),
    }
}

impl ClusterService {
    /// Founds the cluster of these members, and writes its genesis. Its answer, in canonical bytes.
    ///
    /// # Errors
    /// Not the caller's to do, a genesis of another cluster or hour, a store that was made to join, or refused by the rules.
    pub async fn initialize(
        &self,
        caller: &Caller,
        genesis: Signed,
        members: BTreeMap<u64, Member>,
    ) -> Result<Bytes, ApiError> {
        let came = |committed: &Committed| match committed.answer.items.first() {
            Some(ItemAnswer::Refused { rejection }) => format!("refused: {rejection}"),
            _ => DONE.to_owned(),
        };
        let founding = self.found(genesis, members);
        let about = "initialize".to_owned();
        let committed = self.node.act(caller, about, founding, came).await?;
        match committed.answer.items.first() {
            Some(ItemAnswer::Done { .. }) => Ok(committed.bytes),
            _ => Err(refusal(&committed)),
        }
    }

    async fn found(
        &self,
        genesis: Signed,
        members: BTreeMap<u64, Member>,
    ) -> Result<Committed, ApiError> {
        self.judge_genesis(&genesis)?;
        let own = self.node.config.node.id;
        if !members.contains_key(&own) {
            let text = format!("node {own}, which is asked, is not among them");
            return Err(ApiError::invalid("members", text));
        }
        // A store that is to join a cluster would found a second one under the same identity.
        if self.node.raft.status().voters.is_empty() && !self.node.founds {
            let text = format!(
                "the store of node {own} was made to join a cluster, not to found one: `carnetd init --join` did not name \
                 {own} itself"
            );
            return Err(ApiError::invalid("members", text));
        }
        // Until the genesis is in the log the founding may be unfinished: it goes on where it was interrupted.
        if self.node.state.registry().map_err(storage)?.is_none() {
            let founded = self.node.raft.initialize(members).await;
            founded.map_err(change_error)?;
        }
        // Founding elects a leader, which may be another node: the caller is told where to go on.
        let patience = REQUEST_TIMEOUT / 2;
        let led = self
            .node
            .raft
            .wait_status(|status| status.standing.leader.is_some(), patience)
            .await;
        led.map_err(ApiError::unavailable)?;
        self.node.propose(Body::Root { signed: genesis }).await
    }

    /// What this node says of itself and its cluster.
    ///
    /// # Errors
    /// Not the caller's to ask, or a read failed.
    pub async fn status(
        &self,
        caller: &Caller,
        digested: Digested,
    ) -> Result<ClusterStatus, ApiError> {
        caller.may(Query::ClusterStatus)?;
        self.look(&caller.holder(), digested).await
    }

    /// As [`Self::status`], for whoever may ask: its reads are the holder's.
    ///
    /// # Errors
    /// A read failed.
    pub async fn look(
        &self,
        holder: &Holder,
        digested: Digested,
    ) -> Result<ClusterStatus, ApiError> {
        let raft = self.node.raft.status();
        let registry = self.node.state.registry().map_err(storage)?;
        let digest = match digested {
            Digested::No => None,
            Digested::Whole => Some(self.digest().await?),
        };
        let (peers, parked, anchors, denied) = match &registry {
            Some(_) => {
                let node = Arc::clone(&self.node);
                let read = move |meter: &Meter| {
                    let metered = meter.over(node.state.engine());
                    let records = Records(&metered);
                    let peers = records.peers().map_err(storage)?;
                    let mut parked = BTreeMap::new();
                    for peer in peers.iter().filter_map(|peer| peer.bundle.primary()) {
                        let places = records.parked_of(&peer).map_err(storage)?;
                        parked.insert(peer, places.len() as u64);
                    }
                    let anchors = records.audit_anchors().map_err(storage)?;
                    let denied = records.deny_list().map_err(storage)?;
                    Ok((peers, parked, anchors, denied))
                };
                self.node.readers.read(holder, read).await?
            }
            None => (
                Vec::new(),
                BTreeMap::new(),
                AuditAnchors::default(),
                DenyList::default(),
            ),
        };
        let proposals = registry.as_ref();
        let proposals = proposals.map(|registry| open_proposals(registry, &denied));
        let log_time = registry.as_ref().map_or(TimeMs(0), |known| known.log_time);
        let node = Arc::clone(&self.node);
        let certificates = self.node.work.run(move || node.certificates()).await;
        let certificates = certificates.map_err(fault("the certificates were not read"))?;
        let unavailable = self.node.refusal().map(|refusal| refusal.to_string());
        Ok(ClusterStatus {
            stands: self.node.raft.stands_before(),
            progress: self.node.progress(),
            digest,
            clocks: self.node.raft.clocks().borrow().clone(),
            clock: self.node.clock.wall(),
            writes_refused: timekeeper::refusal(&self.node),
            room: self.node.raft.room().borrow().clone(),
            compare: self.comparer.status(),
            relations: self.gateway.relations(&peers, log_time),
            parked,
            certificates,
            audit: self.node.audit.stands(),
            proposals: proposals.unwrap_or_default(),
            refused: refused_nodes(&denied),
            log_key_missing: log_key_missing(registry.as_ref(), self.node.keyring.as_ref()),
            anchors,
            contradicted: self.node.contradicted.said(),
            skip_files: self.skips.borrow().clone(),
            unavailable: unavailable.unwrap_or_default(),
            unpublished: self.node.publication.said(
                self.node.clock.monotonic(),
                self.node.config.seal.unsigned(),
            ),
            quorum_lost: self.quorum_lost(&raft),
            registry,
            raft,
        })
    }

    async fn digest(&self) -> Result<[u8; 32], ApiError> {
        let view = KvEngine::view(self.node.state.engine()).map_err(storage)?;
        let digest = move || content_digest(view.as_ref());
        let digest = self.node.work.run(digest).await;
        digest
            .map_err(fault("the digest was not computed"))?
            .map_err(storage)
    }

    /// Records of one of this node's chains of audit after a number, as they lie in its files.
    ///
    /// # Errors
    /// Not the caller's to ask, no such chain, or a file cannot be read.
    pub async fn audit(
        &self,
        caller: &Caller,
        chain: &str,
        after: u64,
        count: usize,
    ) -> Result<(Page, AuditHead), ApiError> {
        let words = || {
            format!(
                "a chain is needed: {}",
                Chain::ALL.map(Chain::word).join(" or ")
            )
        };
        let found = Chain::parse(chain).ok_or_else(|| ApiError::invalid("chain", words()));
        let about = format!("{chain} after {after}");
        self.node.admit(caller, Query::ReadAudit, about).await?;
        let chain = found?;
        let page = self.node.audit.page(chain, after, count).await?;
        let stands = self.node.audit.stands();
        let stands = stands.iter().find(|stands| stands.chain == chain);
        Ok((page, stands.map(|stands| stands.head).unwrap_or_default()))
    }

    /// Proposes what the roots signed. Its answer, in canonical bytes.
    ///
    /// # Errors
    /// Not the caller's to do, a genesis of another cluster or hour, or not proposed.
    pub async fn submit_statement(
        &self,
        caller: &Caller,
        signed: Signed,
    ) -> Result<Bytes, ApiError> {
        caller.may(Query::ClusterChange)?;
        self.node.leads()?;
        let stated = async {
            self.judge_genesis(&signed)?;
            self.node.propose(Body::Root { signed }).await
        };
        let about = "a statement of the roots".to_owned();
        let came = |committed: &Committed| match committed.answer.items.first() {
            Some(ItemAnswer::Refused { rejection }) => format!("refused: {rejection}"),
            _ => DONE.to_owned(),
        };
        let committed = self.node.act(caller, about, stated, came).await?;
        Ok(committed.bytes)
    }

    /// Adds a node that learns and does not vote. The log index that is applied here then; so the others.
    ///
    /// # Errors
    /// Not the caller's to do, refused, or not known; so the others.
    pub async fn add_learner(
        &self,
        caller: &Caller,
        (node, member): (u64, Member),
    ) -> Result<u64, ApiError> {
        caller.may(Query::ClusterChange)?;
        self.node.leads()?;
        let about = format!("add learner {node} at {}", member.raft);
        let adding = async {
            let added = self.node.raft.add_learner(node, member).await;
            added.map_err(change_error)?;
            Ok(self.applied())
        };
        self.node.act(caller, about, adding, done).await
    }

    /// Changes who votes and who belongs to the cluster.
    ///
    /// # Errors
    /// As [`Self::add_learner`], or somebody would leave whom the caller did not name, or on whom two admins did not agree.
    pub async fn change_members(
        &self,
        caller: &Caller,
        change: &MembersChange,
    ) -> Result<u64, ApiError> {
        caller.may(Query::ClusterChange)?;
        self.node.leads()?;
        let changing = async {
            let raft = self.node.raft.status();
            let steps = judge_change(&raft, change)?;
            if leaves(&raft, change) {
                // What was taken back before this call is no word any more.
                self.node.linearize().await?;
                judge_words(
                    self.node.state.registry().map_err(storage)?.as_ref(),
                    change,
                )?;
            }
            for step in steps {
                let done = match step {
                    Change::Voters(voters) => {
                        self.node
                            .raft
                            .change_membership(voters, Retired::Leave)
                            .await
                    }
                    Change::Learners(learners) => self.node.raft.remove_learners(learners).await,
                };
                done.map_err(change_error)?;
            }
            Ok(self.applied())
        };
        self.node
            .act(caller, change.to_string(), changing, done)
            .await
    }

    /// Takes a snapshot on this node.
    ///
    /// # Errors
    /// As [`Self::add_learner`].
    pub async fn take_snapshot(&self, caller: &Caller) -> Result<u64, ApiError> {
        caller.may(Query::ClusterChange)?;
        let taking = async {
            let taken = self.node.raft.trigger_snapshot().await;
            taken.map_err(change_error)?;
            Ok(self.applied())
        };
        let about = "take a snapshot".to_owned();
        self.node.act(caller, about, taking, done).await
    }

    /// Hands leadership over to a voter. Who leads then.
    ///
    /// # Errors
    /// As [`Self::add_learner`].
    pub async fn transfer_leadership(
        &self,
        caller: &Caller,
        to: u64,
    ) -> Result<Standing, ApiError> {
        caller.may(Query::ClusterChange)?;
        self.node.leads()?;
        let handing = async { self.node.raft.hand_over(to).await.map_err(change_error) };
        let about = format!("hand leadership to node {to}");
        let led = |standing: &Standing| match standing.leader {
            Some(leader) => format!("done: node {leader} leads"),
            None => DONE.to_owned(),
        };
        self.node.act(caller, about, handing, led).await
    }

    /// A genesis for another cluster would be taken by the log once and for all, and refused by every node at its next
    /// start. Whatever is no genesis is judged where it is applied.
    fn judge_genesis(&self, signed: &Signed) -> Result<(), ApiError> {
        let Ok(Statement::Genesis { genesis }) = Statement::from_bytes(&signed.bytes.0) else {
            return Ok(());
        };
        let named = (genesis.cluster, genesis.incarnation);
        let ours = (self.node.cluster, self.node.incarnation);
        if named == ours {
            return judge_genesis_time(genesis.time, self.node.clock.wall());
        }
        let text = |(cluster, incarnation): ([u8; 16], u64)| {
            format!("cluster {} incarnation {incarnation}", hex::encode(cluster))
        };
        let fault = format!(
            "it names {}, the certificates of this node name {}",
            text(named),
            text(ours)
        );
        Err(ApiError::invalid("genesis", fault))
    }

    /// Never of a leader that is its own quorum: it has always just heard itself.
    fn quorum_lost(&self, raft: &RaftStatus) -> bool {
        let [_, longest] = self.node.config.raft.election();
        raft.standing.role == Role::Leader
            && raft.quorum_silence.is_some_and(|silence| silence > longest)
    }

    fn applied(&self) -> u64 {
        self.node.raft.status().applied.unwrap_or(0)
    }
}

/// Log time begins with the genesis, and what it says stands in the log for ever: of two clocks that differ one is wrong.
fn judge_genesis_time(made: TimeMs, here: TimeMs) -> Result<(), ApiError> {
    if made.since(here).max(here.since(made)) <= GENESIS_AGE_MAX {
        return Ok(());
    }
    let minutes = GENESIS_AGE_MAX.as_ms() / 60_000;
    let text = format!(
        "it was made at {made}, and the clock of this node reads {here}: log time begins with it, so more than {minutes} \
         minutes are not taken. Set the clock that is wrong, and make it again"
    );
    Err(ApiError::invalid("genesis", text))
}

/// What a change of voters does to the members.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// These vote; whoever voted before and is not among them leaves.
    Voters(BTreeSet<u64>),
    /// These vote already, and these learners leave.
    Learners(BTreeSet<u64>),
}

/// Judges a change of voters by whom the caller named as leaving. Whether it can be done is for consensus to say.
fn judge_change(raft: &RaftStatus, asked: &MembersChange) -> Result<Vec<Change>, ApiError> {
    let (voters, retire) = (asked.voters.clone(), &asked.retire);
    if voters.is_empty() {
        return Err(ApiError::invalid("voters", "a cluster needs a voter"));
    }
    if let Some(both) = voters.intersection(retire).next() {
        let text = format!("node {both} is to vote, and to leave for good");
        return Err(ApiError::invalid("retire", text));
    }
    let refused = |obstacle, text| Err(ApiError::ChangeRefused { obstacle, text });
    let unnamed: Vec<String> = raft
        .voters
        .iter()
        .filter(|node| !voters.contains(node) && !retire.contains(node))
        .map(ToString::to_string)
        .collect();
    if !unnamed.is_empty() {
        let text = format!(
            "node {} votes now and would leave for good, its id never to be used again; it is not named as leaving",
            unnamed.join(" and node ")
        );
        return refused(Obstacle::LeavesUnnamed, text);
    }
    let change = voters != raft.voters || raft.joint;
    if change && voters.len() < VOTERS_MIN && asked.fewest != Fewest::Meant {
        let text = format!(
            "{} voters would be left: when one of them fails, nothing is written any more",
            voters.len()
        );
        return refused(Obstacle::FewVoters, text);
    }
    let learners: BTreeSet<u64> = retire
        .iter()
        .filter(|node| raft.members.contains_key(node) && !raft.voters.contains(node))
        .copied()
        .collect();
    let mut steps = Vec::new();
    if change {
        steps.push(Change::Voters(voters));
    }
    if !learners.is_empty() {
        steps.push(Change::Learners(learners));
    }
    Ok(steps)
}

/// Whether a member leaves for good by a change. Whoever votes no more is named as leaving: see [`judge_change`].
fn leaves(raft: &RaftStatus, asked: &MembersChange) -> bool {
    let mut retire = asked.retire.iter();
    retire.any(|node| raft.members.contains_key(node))
}

/// Refuses to let members leave unless two admins agreed on exactly this. In a sandbox, and before the genesis, one is obeyed.
fn judge_words(registry: Option<&Registry>, asked: &MembersChange) -> Result<(), ApiError> {
    let Some(registry) = registry.filter(|one| one.offices.profile == Profile::Production) else {
        return Ok(());
    };
    let change = Agreed {
        voters: asked.voters.iter().copied().collect(),
        retire: asked.retire.iter().copied().collect(),
    };
    if registry.offices.agreed(&change, registry.log_time) {
        return Ok(());
    }
    let text = format!("two admins have not agreed on this: {change}");
    Err(ApiError::ChangeRefused {
        obstacle: Obstacle::TwoAdmins,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(voters: &[u64], learners: &[u64], joint: bool) -> RaftStatus {
        let member = |node: &u64| (*node, Member::default());
        RaftStatus {
            node: 1,
            standing: Standing {
                role: Role::Leader,
                term: 7,
                leader: Some(1),
            },
            last: Some(90),
            committed: Some(90),
            applied: Some(90),
            snapshot: None,
            purged: None,
            voters: voters.iter().copied().collect(),
            joint,
            members: voters.iter().chain(learners).map(member).collect(),
            lag: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            silence: BTreeMap::new(),
            quorum_silence: None,
        }
    }

    /// Once, the clock of whoever founded was written into the log as it was: a year ahead, and every command was refused.
    #[test]
    fn a_genesis_of_another_hour_is_not_taken() {
        let here = TimeMs::from_ms(1_780_000_000_000);
        let apart = |ms: u64| [here.as_ms() - ms, here.as_ms() + ms].map(TimeMs::from_ms);
        for made in apart(GENESIS_AGE_MAX.as_ms()) {
            judge_genesis_time(made, here).expect("near enough");
        }
        for made in apart(GENESIS_AGE_MAX.as_ms() + 1) {
            let refused = judge_genesis_time(made, here).expect_err("another hour");
            assert!(
                refused.to_string().contains("clock that is wrong"),
                "{refused}"
            );
        }
    }

    fn check(raft: &RaftStatus, voters: &[u64], retire: &[u64], fewer: bool, expected: &str) {
        let change = MembersChange {
            voters: voters.iter().copied().collect(),
            retire: retire.iter().copied().collect(),
            fewest: if fewer { Fewest::Meant } else { Fewest::Three },
        };
        let outcome = match judge_change(raft, &change) {
            Ok(steps) => steps.iter().map(|step| format!("{step:?} ")).collect(),
            Err(ApiError::ChangeRefused { obstacle, .. }) => obstacle.word().to_owned(),
            Err(other) => other.reason().to_owned(),
        };
        assert_eq!(outcome.trim(), expected, "{voters:?} retire {retire:?}");
    }

    #[test]
    fn nobody_leaves_for_good_without_being_named() {
        let four = cluster(&[1, 2, 3], &[4], false);
        check(&four, &[2, 3, 4], &[], false, "LEAVES_UNNAMED");
        check(&four, &[2, 3, 4], &[1], false, "Voters({2, 3, 4})");
        check(&four, &[1, 2, 3, 4], &[], false, "Voters({1, 2, 3, 4})");
        check(&four, &[2, 3, 4], &[1, 2], false, "INVALID_ARGUMENT");
        check(&four, &[4, 2], &[1], true, "LEAVES_UNNAMED");
        check(&four, &[], &[1, 2, 3], true, "INVALID_ARGUMENT");
        // Both halves of a change that is under way count.
        let joint = cluster(&[1, 2, 3, 4], &[], true);
        check(&joint, &[2, 3, 4], &[], false, "LEAVES_UNNAMED");
    }

    /// Once, whoever had one admin's certificate took the nodes away, voters and learners, one after the other.
    #[test]
    fn nobody_leaves_for_good_on_the_word_of_one_admin() {
        let mut country = carnet_kit::Country::new("86");
        let wanted = |voters: &[u64], retire: &[u64]| MembersChange {
            voters: voters.iter().copied().collect(),
            retire: retire.iter().copied().collect(),
            fewest: Fewest::Meant,
        };
        let four = cluster(&[1, 2, 3], &[4], false);
        assert!(!leaves(&four, &wanted(&[1, 2, 3, 4], &[])), "it grows");
        assert!(!leaves(&four, &wanted(&[1, 2, 3], &[9])), "it has left");
        let gone = wanted(&[1, 2, 4], &[3]);
        for leaving in [&gone, &wanted(&[1], &[2, 3]), &wanted(&[1, 2, 3], &[4])] {
            assert!(leaves(&four, leaving), "{leaving}");
        }
        let judged = |country: &carnet_kit::Country, change: &MembersChange| match judge_words(
            Some(&country.registry()),
            change,
        ) {
            Ok(()) => Ok(()),
            Err(ApiError::ChangeRefused { obstacle, .. }) => Err(obstacle),
            Err(other) => panic!("{other}"),
        };
        let two = Err(Obstacle::TwoAdmins);
        let command = carnet_domain::rules::command::Command::ChangeMembers {
            change: Agreed {
                voters: vec![1, 2, 4],
                retire: vec![3],
            },
            reason: "its disk is gone".into(),
        };
        assert_eq!(judged(&country, &gone), two);
        country.must("admin", command.clone());
        assert_eq!(judged(&country, &gone), two);
        country.must("admin-2", command);
        assert_eq!(judged(&country, &gone), Ok(()));
        for other in [wanted(&[1, 2, 4], &[3, 5]), wanted(&[1, 2], &[3])] {
            assert_eq!(judged(&country, &other), two, "{other}");
        }
        let mut trial = country.registry();
        trial.offices.profile = Profile::Sandbox;
        trial.offices.leaving.clear();
        assert!(judge_words(Some(&trial), &gone).is_ok(), "a sandbox");
        assert!(judge_words(None, &gone).is_ok(), "before the genesis");
    }

    #[test]
    fn fewer_than_three_voters_must_be_meant() {
        let three = cluster(&[1, 2, 3], &[], false);
        check(&three, &[1, 2], &[3], false, "FEW_VOTERS");
        check(&three, &[1, 2], &[3], true, "Voters({1, 2})");
        check(
            &cluster(&[1], &[2], false),
            &[1, 2],
            &[],
            false,
            "FEW_VOTERS",
        );
        check(&cluster(&[1], &[], false), &[1], &[], false, "");
    }

    #[test]
    fn asking_twice_changes_nothing() {
        let changed = cluster(&[2, 3, 4], &[], false);
        check(&changed, &[2, 3, 4], &[1], false, "");
        // One that was interrupted goes on.
        let joint = cluster(&[1, 2, 3, 4], &[], true);
        check(&joint, &[2, 3, 4], &[1], false, "Voters({2, 3, 4})");
    }

    #[test]
    fn a_learner_leaves_when_it_is_named() {
        let four = cluster(&[1, 2, 3], &[4, 5], false);
        check(&four, &[1, 2, 3], &[4], false, "Learners({4})");
        check(
            &four,
            &[1, 2, 5],
            &[3, 4],
            false,
            "Voters({1, 2, 5}) Learners({4})",
        );
    }
}
