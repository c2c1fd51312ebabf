//! The handle: all that the rest of a node sees of consensus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use carnet_store::compare::Mark;
use carnet_store::fault::FirstFault;
use carnet_store::log::RaftLog;
use carnet_store::machine::{StandsBefore, StateMachine};
use carnet_wire::status::Obstacle;
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};
use tokio::sync::{mpsc, watch};

use crate::campaign;
use crate::clock::Clock;
use crate::codec::Body;
use crate::compare::{MarksAnswer, MarksQuestion};
use crate::confirming::Confirming;
use crate::connector::{Connector, Purpose};
use crate::error::{AdminError, Fatal, ProposeError, ReadError, StartError};
use crate::fitness::NEARLY_UP_TO_DATE;
use crate::forward::{ForwardHandler, Forwarded};
use crate::gate::{Belongs, Gate};
use crate::going_on;
use crate::keeper;
use crate::log_store::LogStore;
use crate::member::Member;
use crate::messages::ForwardAnswer;
use crate::network::{Network, Peers};
use crate::plane::{Plane, Raft};
use crate::proposals::{Proposals, Proposed, leader_of};
use crate::queue::Behalf;
use crate::reads::{self, ReadPermit, Reads};
use crate::receiving::Receiving;
use crate::roster::RETIRED_MAX;
use crate::server::RaftService;
use crate::settings::Settings;
use crate::space::{self, Room};
use crate::state_machine::Machine;
use crate::status::{Role, Standing, Status, status};
use crate::timekeeper::{self, ClockOffset, Clocks, ConfirmedTime};
use crate::twins;
use crate::types::{Runtime, Types};

/// How many times the patience for a proposal an added learner may take to catch up before the caller is told.
const LEARNER_PATIENCE: u32 = 6;
/// The longest that a node which is to stop waits for another to lead.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// Where a node's consensus begins.
#[derive(Debug, Clone, Copy)]
pub struct Consensus;

/// A running node. Cheap to clone; the node runs until [`Handle::shutdown`].
#[derive(Clone)]
pub struct Handle {
    plane: Arc<Plane>,
    proposals: Arc<Proposals>,
    reads: Arc<Reads>,
    standing: watch::Receiver<Standing>,
    fatal: watch::Receiver<Option<Fatal>>,
    clocks: watch::Receiver<Clocks>,
    room: watch::Receiver<Room>,
    faults: FirstFault,
    patience: Duration,
}

impl Consensus {
    /// Starts a node on what its log and state machine hold. It founds no cluster by itself: see
    /// [`Handle::initialize`]. Serve [`Handle::service`] on the Raft plane.
    ///
    /// # Errors
    /// The settings contradict themselves, or log and state cannot be brought together.
    pub async fn start(
        settings: Settings,
        log: Arc<dyn RaftLog>,
        machine: Arc<dyn StateMachine>,
        connector: Arc<dyn Connector>,
        clock: Arc<dyn Clock>,
    ) -> Result<Handle, StartError> {
        if settings.store.is_none() || settings.count.now() == 0 {
            let text = "a store id and a count of at least 1 are needed";
            return Err(StartError::Settings(text.to_owned()));
        }
        let config = Arc::new(settings.raft_config()?);
        let faults = FirstFault::default();
        let machine = Machine::open(machine, Arc::clone(&log), faults.clone(), settings.work)?;
        let (fatals, fatal) = watch::channel(None);
        let (doubts, asked) = mpsc::unbounded_channel();
        let gate = Arc::new(Gate::new(
            &settings,
            machine.roster(),
            Arc::clone(&log),
            fatals.clone(),
            doubts,
        ));
        if let Some(was) = gate.retired_store(settings.node) {
            return Err(StartError::Refused(format!(
                "node {} was retired with store {was}; a node id is never used again",
                settings.node
            )));
        }
        let peers = Arc::new(Peers::new(&settings, Arc::clone(&gate), connector));
        let starting = Raft::new(
            settings.node,
            config,
            Network(Arc::clone(&peers)),
            LogStore::new(Arc::clone(&log), faults.clone()),
            machine.clone(),
        );
        let raft = Runtime::scope(settings.seed, starting)
            .await
            .map_err(|fatal| match faults.get() {
                Some(fault) => StartError::Storage(fault),
                None => StartError::Recovery(fatal.to_string()),
            })?;

        // Until the core has answered once, its metrics say nothing of what it found on the disk; everything that comes in is
        // judged by them.
        raft.with_raft_state(|_| ())
            .await
            .map_err(|fatal| StartError::Recovery(fatal.to_string()))?;
        let known = status(&raft.metrics().borrow_watched()).members;
        if let Some(known) = known
            .get(&settings.node)
            .filter(|known| known.store != settings.store)
        {
            // The core must not go on in the background.
            if let Err(error) = raft.shutdown().await {
                tracing::warn!(%error, "the core did not end in order");
            }
            return Err(StartError::Refused(format!(
                "node {} is a member with store {}, not with {}",
                settings.node, known.store, settings.store
            )));
        }

        let (standings, standing) = watch::channel(Standing::default());
        tokio::spawn(keeper::observe(
            raft.clone(),
            faults.clone(),
            standings,
            Arc::clone(&gate),
        ));
        tokio::spawn(going_on::try_again(
            machine.clone(),
            settings.go_on_interval,
            standing.clone(),
            fatals,
        ));
        let stands = machine.stands();
        tokio::spawn(keeper::keep(
            raft.clone(),
            Arc::clone(&log),
            settings.clone(),
        ));
        let plane = Arc::new(Plane {
            raft: raft.clone(),
            machine,
            confirming: Confirming::new(Arc::clone(&peers)),
            peers,
            gate,
            log,
            clock,
            space: settings.space.clone(),
            forward: OnceLock::new(),
            seeds: AtomicU64::new(settings.seed ^ 0x5bd1_e995_7b93_4a11),
            receiving: Receiving::default(),
            campaigns: AtomicBool::new(true),
            progress: Mutex::default(),
            cannot_sign: AtomicBool::new(false),
        });
        tokio::spawn(twins::ask(
            Arc::downgrade(&plane),
            asked,
            settings.election_max,
        ));
        tokio::spawn(campaign::run(Arc::clone(&plane), settings.clone()));
        let (comparisons, clocks) = watch::channel(Clocks::default());
        let watched = timekeeper::watch(Arc::clone(&plane), settings.clone(), comparisons);
        // Under the runtime's seed, as whatever the core starts from a request is.
        tokio::spawn(Runtime::scope(
            settings.seed ^ 0x5851_f42d_4c95_7f2d,
            watched,
        ));
        let (rooms, room) = watch::channel(Room::default());
        tokio::spawn(space::watch(
            Arc::clone(&plane),
            settings.keep_interval,
            rooms,
        ));
        Ok(Handle {
            proposals: Arc::new(Proposals::start(
                raft,
                stands,
                faults.clone(),
                settings.proposals_kib_max,
                settings.propose_timeout,
            )),
            reads: Arc::new(Reads::start(
                Arc::clone(&plane),
                settings.reads_max,
                settings.read_timeout,
            )),
            plane,
            standing,
            room,
            fatal,
            clocks,
            faults,
            patience: settings.propose_timeout,
        })
    }
}

impl Handle {
    /// The gRPC service of the Raft plane.
    #[must_use]
    pub fn service(&self) -> RaftService {
        RaftService(Arc::clone(&self.plane))
    }

    /// Says who takes the requests that followers pass on. Until then, and ever after the first call, nothing changes
    /// it: they are refused, or taken by the first handler.
    pub fn set_forward_handler(&self, handler: Arc<dyn ForwardHandler>) {
        // A second handler is ignored, as documented.
        let _ = self.plane.forward.set(handler);
    }

    /// Proposes opaque bytes of the node's own and waits until they are committed and applied here.
    ///
    /// # Errors
    /// See [`ProposeError`]; only [`ProposeError::Unknown`] leaves open whether it happened.
    pub async fn propose(&self, proposal: Bytes) -> Result<Proposed, ProposeError> {
        self.propose_for(Behalf::Own, proposal).await
    }

    /// As [`Self::propose`], on somebody's behalf: it waits for its turn, and has no more than its part of the room.
    ///
    /// # Errors
    /// As [`Self::propose`].
    pub async fn propose_for(
        &self,
        behalf: Behalf,
        proposal: Bytes,
    ) -> Result<Proposed, ProposeError> {
        self.proposals.propose(behalf, proposal).await
    }

    /// Passes a request on to the leader, once, together with whom this node authenticated.
    ///
    /// # Errors
    /// See [`ProposeError`]; the leader may be this node by now, which is [`ProposeError::NotLeader`] with itself.
    pub async fn forward(&self, forwarded: Forwarded) -> Result<Bytes, ProposeError> {
        let known = self.status();
        let leader = known
            .standing
            .leader
            .and_then(|id| Some((id, known.members.get(&id)?.clone())));
        let Some((leader, member)) = leader.filter(|(id, _)| *id != known.node) else {
            return Err(ProposeError::NotLeader {
                leader: known.leader_address(),
            });
        };
        let envelope = self
            .plane
            .peers
            .envelope(leader, member.store, forwarded.to_body());
        let asked = self.plane.peers.call(
            leader,
            &member,
            Purpose::Forward,
            self.patience,
            |mut client| async move { client.forward(envelope).await },
        );
        match asked.await {
            Ok(body) => match ForwardAnswer::from_body(body) {
                Ok(ForwardAnswer(outcome)) => outcome,
                Err(error) => Err(ProposeError::Unknown(error.to_string())),
            },
            Err(error) => Err(ProposeError::Unknown(error.to_string())),
        }
    }

    /// Waits until reads of this node's state are linearizable with respect to everything acknowledged before the call.
    /// Works on the leader and on followers.
    ///
    /// # Errors
    /// No leader could confirm in time, or this node lags too far behind.
    pub async fn read_index(&self) -> Result<ReadPermit, ReadError> {
        self.reads.read_index().await
    }

    /// Waits until a leader with a quorum has taken this process for a member, and it has all that was committed then. Until
    /// that it may be an older copy of a node, or one that was removed, and what it holds may be long out of date: it should
    /// show nobody anything. Unlike [`Self::read_index`] it succeeds on a node that stands still before a record.
    ///
    /// # Errors
    /// Not in time; ask again.
    pub async fn taken_in(&self) -> Result<(), ReadError> {
        reads::taken_in(&self.plane, self.patience).await
    }

    /// Waits until this node holds at least the state it had before it was restarted. Call it once, before serving.
    ///
    /// # Errors
    /// The cluster was not reached in time.
    pub async fn wait_for_recovery(&self, patience: Duration) -> Result<(), ReadError> {
        let recovered = self.plane.raft.wait_for_recovery(Some(patience)).await;
        recovered
            .map(|_| ())
            .map_err(|error| ReadError::NoQuorum(error.to_string()))
    }

    /// Founds the cluster: this node founds alone, adds the others as learners, and makes them voters. By an operator, on
    /// one node. It can be repeated with the same members when it was interrupted, and does nothing when it is done.
    ///
    /// # Errors
    /// This node belongs to a cluster with other members, is not among the members, or one of them does not answer:
    /// nothing was founded then. See [`AdminError`] for the rest.
    pub async fn initialize(&self, members: BTreeMap<u64, Member>) -> Result<(), AdminError> {
        let own = self.plane.peers.node;
        let refused = |text: String| Err(AdminError::Refused(Obstacle::AlreadyFounded, text));
        if !members.contains_key(&own) {
            let text = format!("node {own} is not among the members");
            return Err(AdminError::Refused(Obstacle::Rule, text));
        }
        let now = self.status();
        let other = now.members.iter().find(|(id, member)| {
            members
                .get(id)
                .is_none_or(|named| (&named.raft, &named.api) != (&member.raft, &member.api))
        });
        if let Some((id, _)) = other {
            return refused(format!(
                "a cluster exists already, and node {id} is in it, or has other addresses there"
            ));
        }
        let voters: BTreeSet<u64> = members.keys().copied().collect();
        if now.voters == voters && !now.joint {
            return Ok(());
        }
        // Asked before anything is founded: a cluster of one would stay behind if another did not answer.
        let mut identified = BTreeMap::new();
        for (node, member) in members {
            if !now.members.contains_key(&node) {
                identified.insert(node, self.identified(node, member).await?);
            }
        }
        if let Some(member) = identified.remove(&own) {
            match self
                .plane
                .raft
                .initialize(BTreeMap::from([(own, member)]))
                .await
            {
                Ok(()) => {}
                Err(RaftError::APIError(InitializeError::NotAllowed(why))) => {
                    return refused(why.to_string());
                }
                Err(RaftError::APIError(InitializeError::NotInMembers(why))) => {
                    return refused(why.to_string());
                }
                Err(RaftError::Fatal(_)) => return Err(AdminError::Stopped),
            }
        }
        // Until everything is committed, the membership is still changing.
        let settled =
            |status: &Status| status.standing.leader.is_some() && status.committed >= status.last;
        let led = self.wait_status(settled, self.patience).await;
        led.map_err(|_| AdminError::Unknown("no leader yet; repeat it".to_owned()))?;
        for (node, member) in identified {
            // Asked again: somebody else may have founded with it meanwhile.
            let member = self.identified(node, member).await?;
            self.add_identified(node, member).await?;
        }
        self.change_membership(voters, Retired::Leave).await
    }

    /// Adds a member without a vote and waits until it has nearly caught up. The node is asked for its store; one that
    /// knows no configuration must have been told at its making that it joins this node.
    ///
    /// # Errors
    /// The node was retired, is known with another store, or does not answer: nothing was changed then. See
    /// [`AdminError`] for the rest.
    pub async fn add_learner(&self, node: u64, member: Member) -> Result<(), AdminError> {
        if self.status().standing.role != Role::Leader {
            return Err(AdminError::NotLeader {
                leader: self.status().leader_address(),
            });
        }
        self.applies()?;
        if let Some(known) = self.status().members.get(&node)
            && (&known.raft, &known.api) != (&member.raft, &member.api)
        {
            let text = format!(
                "node {node} is a member at {} and {}; the address of a member is not changed by adding it again",
                known.raft, known.api
            );
            return Err(AdminError::Refused(Obstacle::OtherAddress, text));
        }
        let member = self.identified(node, member).await?;
        self.add_identified(node, member).await
    }

    /// Asks a node who it is and whom it belongs to, for a node that belongs to no cluster yet; in words. A node that refuses
    /// this one for good stops it: see [`Handle::fatal`].
    ///
    /// # Errors
    /// It does not answer, or refuses; in words.
    pub async fn ask_who(&self, node: u64, raft_address: &str) -> Result<String, String> {
        let member = Member {
            raft: raft_address.to_owned(),
            ..Member::default()
        };
        let asked = self.plane.peers.identify(node, &member, self.patience);
        match asked.await {
            Ok((_, Belongs::WithAsker)) => Ok("it knows this node as a member".to_owned()),
            Ok((_, Belongs::Nowhere)) => Ok("it belongs to no cluster either".to_owned()),
            Ok((_, Belongs::ToOthers)) => {
                Ok("it belongs to no cluster either, and was made to join others".to_owned())
            }
            Ok((_, Belongs::Elsewhere)) => {
                Ok("it belongs to a cluster of which this node is not a member".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn add_identified(&self, node: u64, member: Member) -> Result<(), AdminError> {
        let added = self.plane.raft.add_learner(node, member, false).await;
        // It has caught up when it holds the very record that made it a member. openraft would be content with a few
        // thousand records less, which is the whole log of a young registry.
        let made = Some(added.map_err(admin_error)?.log_id.index);
        let settled = |status: &Status| {
            status.has_acknowledged(node, made) || status.standing.role != Role::Leader
        };
        let patience = LEARNER_PATIENCE * self.patience;
        match self.wait_status(settled, patience).await {
            Ok(status) if status.standing.role == Role::Leader => Ok(()),
            Ok(_) => Err(AdminError::Unknown(format!(
                "node {node} is a member; this node leads no more, and does not know whether it has caught up"
            ))),
            // It waits for the learner to catch up, which a learner that refuses never does.
            Err(_) => Err(AdminError::Unknown(format!(
                "node {node} is a member, and has not caught up yet: {}",
                lacks(&self.status(), node)
            ))),
        }
    }

    /// The member with the store that the node itself says it has.
    async fn identified(&self, node: u64, member: Member) -> Result<Member, AdminError> {
        let plane = &self.plane;
        let refused = |obstacle, text: String| Err(AdminError::Refused(obstacle, text));
        if let Some(was) = plane.gate.retired_store(node) {
            let text =
                format!("node {node} was retired with store {was}; a node id is never used again");
            return refused(Obstacle::Retired, text);
        }
        let store = if node == plane.peers.node {
            plane.peers.store
        } else {
            match plane.peers.identify(node, &member, self.patience).await {
                // Two clusters that take nodes from each other would be two histories of one country.
                Ok((_, Belongs::Elsewhere)) => {
                    let text = format!(
                        "node {node} belongs to a cluster already, in which this node is not: ask a node of that cluster to \
                         take this one in"
                    );
                    return refused(Obstacle::OtherCluster, text);
                }
                // It would refuse every record, and be a member all the same.
                Ok((_, Belongs::ToOthers)) => {
                    let text = format!(
                        "node {node} was made to join others: node {}, which leads, is not among those that it was told",
                        plane.peers.node
                    );
                    return refused(Obstacle::NotJoined, text);
                }
                Ok((store, _)) => store,
                Err(error) => {
                    let text = format!("node {node} does not say its store: {error}");
                    return refused(Obstacle::NotThere, text);
                }
            }
        };
        let known = self.status().members.get(&node).map(|known| known.store);
        let named = Some(member.store).filter(|named| !named.is_none());
        if let Some(expected) = known.or(named).filter(|expected| *expected != store) {
            let text = format!("node {node} has store {store}, and {expected} was expected");
            return refused(Obstacle::OtherStore, text);
        }
        Ok(Member { store, ..member })
    }

    /// Makes exactly these members the voters, through a joint membership. Former voters become learners if `retired`
    /// says so, and leave otherwise. Call it again with the same voters if it was interrupted.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn change_membership(
        &self,
        voters: BTreeSet<u64>,
        retired: Retired,
    ) -> Result<(), AdminError> {
        self.applies()?;
        self.room_for_retired()?;
        self.may_vote(&voters).await?;
        self.begin_change(voters, retired).await
    }

    /// As [`Self::change_membership`], whether or not the new voters are there.
    ///
    /// # Errors
    /// See [`AdminError`].
    #[cfg(any(test, feature = "testing"))]
    pub async fn change_membership_unseen(
        &self,
        voters: BTreeSet<u64>,
        retired: Retired,
    ) -> Result<(), AdminError> {
        self.begin_change(voters, retired).await
    }

    /// Whether these can be the voters. A change that has begun binds both halves: with voters of whom a quorum is down,
    /// nothing would be written any more, and nothing could be taken back. And every vote that is new must be of a node that
    /// holds what was committed when it was asked for: an empty one would count as a copy that is not there.
    async fn may_vote(&self, voters: &BTreeSet<u64>) -> Result<(), AdminError> {
        let known = self.status();
        if known.standing.role != Role::Leader {
            return Err(AdminError::NotLeader {
                leader: known.leader_address(),
            });
        }
        let refused = |obstacle, text| Err(AdminError::Refused(obstacle, text));
        let strangers = listed(
            voters
                .iter()
                .filter(|node| !known.members.contains_key(node)),
        );
        if !strangers.is_empty() {
            let text = format!("node {strangers} is not a member of the cluster");
            return refused(Obstacle::NotMember, text);
        }
        let silent = self.silent(&known, voters).await;
        let promoted: BTreeSet<u64> = voters.difference(&known.voters).copied().collect();
        let absent = listed(silent.intersection(&promoted));
        if !absent.is_empty() {
            let text = format!("node {absent}, which is to get a vote, does not answer");
            return refused(Obstacle::NotThere, text);
        }
        let near = |voter: &&u64| {
            known
                .lag
                .get(*voter)
                .is_none_or(|lag| *lag <= NEARLY_UP_TO_DATE)
        };
        let there = voters.difference(&silent).filter(near).count();
        if there <= voters.len() / 2 {
            let text = format!(
                "of the voters asked for, node {} does not answer or is far behind: the others are not a quorum, and nothing \
                 could be written, nor this be taken back",
                listed(
                    voters
                        .iter()
                        .filter(|node| silent.contains(node) || !near(node))
                )
            );
            return refused(Obstacle::NoQuorum, text);
        }
        let caught_up = |status: &Status| {
            promoted
                .iter()
                .all(|node| status.has_acknowledged(*node, known.committed))
                || status.standing.role != Role::Leader
        };
        match self.wait_status(caught_up, self.patience).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let now = self.status();
                let lacking: Vec<String> = promoted
                    .iter()
                    .filter(|node| !now.has_acknowledged(**node, known.committed))
                    .map(|node| lacks(&now, *node))
                    .collect();
                refused(Obstacle::Behind, lacking.join("; "))
            }
        }
    }

    /// Which of these do not say who they are when they are asked.
    async fn silent(&self, known: &Status, voters: &BTreeSet<u64>) -> BTreeSet<u64> {
        let (peers, patience) = (&self.plane.peers, self.patience);
        let asked = voters.iter().map(|voter| async move {
            let there = *voter == peers.node
                || match known.members.get(voter) {
                    Some(member) => peers.identify(*voter, member, patience).await.is_ok(),
                    None => false,
                };
            (!there).then_some(*voter)
        });
        let found = futures::future::join_all(asked).await;
        found.into_iter().flatten().collect()
    }

    async fn begin_change(
        &self,
        voters: BTreeSet<u64>,
        retired: Retired,
    ) -> Result<(), AdminError> {
        let change = ChangeMembers::ReplaceAllVoters(voters);
        let retain = retired == Retired::StayAsLearners;
        self.plane
            .raft
            .change_membership(change, retain)
            .await
            .map(|_| ())
            .map_err(admin_error)
    }

    /// Removes members that have no vote.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn remove_learners(&self, nodes: BTreeSet<u64>) -> Result<(), AdminError> {
        self.applies()?;
        self.room_for_retired()?;
        let change = ChangeMembers::RemoveNodes(nodes);
        self.plane
            .raft
            .change_membership(change, false)
            .await
            .map(|_| ())
            .map_err(admin_error)
    }

    /// The list of those who left is bounded, and never shrinks.
    fn room_for_retired(&self) -> Result<(), AdminError> {
        let leaving_max = self.status().members.len();
        if self.plane.gate.retired_count() + leaving_max > RETIRED_MAX {
            let text =
                format!("{RETIRED_MAX} stores have left this cluster: it takes no more changes");
            return Err(AdminError::Refused(Obstacle::RetiredFull, text));
        }
        Ok(())
    }

    /// Hands leadership to another voter and waits until somebody else leads. Asked of the heir itself once it leads, it
    /// answers at once.
    ///
    /// # Errors
    /// This node does not lead; the heir is no voter, does not answer, or lacks too much of the log; nobody else leads yet,
    /// which may still happen; this node has stopped.
    pub async fn hand_over(&self, to: u64) -> Result<Standing, AdminError> {
        let known = self.status();
        if known.standing.role != Role::Leader {
            return Err(AdminError::NotLeader {
                leader: known.leader_address(),
            });
        }
        if to == known.node {
            return Ok(known.standing);
        }
        let lag = known.lag.get(&to).copied().unwrap_or(u64::MAX);
        let why = match known.members.get(&to) {
            Some(member) if known.voters.contains(&to) => {
                let there = self.plane.peers.identify(to, member, self.patience).await;
                match there {
                    Err(_) => Some((Obstacle::NotThere, "does not answer".to_owned())),
                    Ok(_) if lag > NEARLY_UP_TO_DATE => {
                        Some((Obstacle::Behind, "is far behind in the log".to_owned()))
                    }
                    Ok(_) => None,
                }
            }
            _ => Some((
                Obstacle::Rule,
                format!("is not a voter; voters are {:?}", known.voters),
            )),
        };
        if let Some((obstacle, why)) = why {
            let text = format!("node {to} {why}; leadership stays with node {}", known.node);
            return Err(AdminError::Refused(obstacle, text));
        }
        let mut standing = self.standing();
        self.transfer_leadership(to).await?;
        let other = |seen: &Standing| {
            seen.role == Role::Stopped || seen.leader.is_some_and(|leader| leader != known.node)
        };
        match tokio::time::timeout(self.patience, standing.wait_for(other)).await {
            Ok(Ok(seen)) if seen.role == Role::Stopped => Err(AdminError::Stopped),
            Ok(Ok(seen)) => Ok(*seen),
            Ok(Err(_)) => Err(AdminError::Stopped),
            Err(_) => Err(AdminError::Unknown(format!(
                "node {to} was told to take over, and nobody else leads yet"
            ))),
        }
    }

    /// Hands leadership over before this node stops, if it leads and another voter is there with nearly all of the log:
    /// without that nobody leads for as long as an election waits. Takes a few seconds at most.
    pub async fn leave_office(&self) {
        let known = self.status();
        if known.standing.role != Role::Leader {
            return;
        }
        // Whoever does not answer is no heir, and whoever is hindered the last.
        let (_, fitness) = timekeeper::round(&self.plane, LEAVE_PATIENCE).await;
        let others = fitness.iter().filter(|(voter, _)| **voter != known.node);
        let near = others.filter_map(|(voter, fitness)| {
            let lag = known
                .lag
                .get(voter)
                .filter(|lag| **lag <= NEARLY_UP_TO_DATE)?;
            Some((fitness.hindrance, *lag, *voter))
        });
        let Some((_, _, heir)) = near.min() else {
            return;
        };
        match tokio::time::timeout(LEAVE_PATIENCE, self.hand_over(heir)).await {
            Ok(Ok(led)) => tracing::info!(leader = led.leader, "leadership is handed over"),
            Ok(Err(error)) => tracing::warn!(heir, %error, "leadership is not handed over"),
            Err(_) => tracing::warn!(heir, "leadership is not handed over in time"),
        }
    }

    /// Hands leadership to another voter, if this node leads. Watch [`Handle::standing`] for the outcome.
    ///
    /// # Errors
    /// This node has stopped.
    pub async fn transfer_leadership(&self, to: u64) -> Result<(), AdminError> {
        self.plane.hand_over(to).await
    }

    /// Asks for a snapshot now.
    ///
    /// # Errors
    /// This node has stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), AdminError> {
        self.plane
            .raft
            .trigger()
            .snapshot()
            .await
            .map_err(|_| AdminError::Stopped)
    }

    /// Purges the log up to an index, as far as a snapshot holds it.
    ///
    /// # Errors
    /// This node has stopped.
    pub async fn purge(&self, upto: u64) -> Result<(), AdminError> {
        self.plane
            .raft
            .trigger()
            .purge_log(upto)
            .await
            .map_err(|_| AdminError::Stopped)
    }

    /// What this node says about itself, as of now.
    #[must_use]
    pub fn status(&self) -> Status {
        let known = {
            let metrics = self.plane.raft.metrics();
            let metrics = metrics.borrow_watched();
            status(&metrics)
        };
        self.truly_applied(known)
    }

    /// The record before which this node's state machine stands still, if it does.
    #[must_use]
    pub fn stands_before(&self) -> Option<StandsBefore> {
        self.plane.machine.stands().borrow().clone()
    }

    /// As [`Self::stands_before`], now and on every change.
    #[must_use]
    pub fn stands(&self) -> watch::Receiver<Option<StandsBefore>> {
        self.plane.machine.stands()
    }

    /// openraft takes for applied what is kept back while the machine stands still.
    fn truly_applied(&self, known: Status) -> Status {
        match self.stands_before() {
            Some(stands) => Status {
                applied: stands.position.index.checked_sub(1),
                ..known
            },
            None => known,
        }
    }

    /// A change of members is answered when it is applied: a leader that stands still refuses it at once.
    fn applies(&self) -> Result<(), AdminError> {
        match self.stands_before() {
            Some(stands) if self.standing.borrow().role == Role::Leader => Err(
                AdminError::Refused(Obstacle::StandsStill, stands.to_string()),
            ),
            _ => Ok(()),
        }
    }

    /// This node's place in the cluster, now and on every change.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits until this node has applied a record.
    ///
    /// # Errors
    /// It did not in time, or has stopped.
    pub async fn wait_applied(&self, index: u64, patience: Duration) -> Result<(), ReadError> {
        let applied = self
            .plane
            .raft
            .wait(Some(patience))
            .applied_index_at_least(Some(index), "applied")
            .await;
        applied.map_err(|_| ReadError::Lagging)?;
        match self.stands_before() {
            Some(stands) if stands.position.index <= index => {
                Err(ReadError::StandsStill(stands.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Waits until this node's status is as wished.
    ///
    /// # Errors
    /// It was not in time, or the node has stopped.
    pub async fn wait_status(
        &self,
        wished: impl Fn(&Status) -> bool + Send,
        patience: Duration,
    ) -> Result<Status, ReadError> {
        let reached = self
            .plane
            .raft
            .wait(Some(patience))
            .metrics(
                move |metrics| wished(&self.truly_applied(status(metrics))),
                "status",
            )
            .await;
        reached
            .map(|metrics| self.truly_applied(status(&metrics)))
            .map_err(|_| ReadError::Lagging)
    }

    /// What is known about the room on the disks. A leader whose [`Room::refusal`] is set should take no load; what keeps
    /// the log alive may be proposed all the same.
    #[must_use]
    pub fn room(&self) -> watch::Receiver<Room> {
        self.room.clone()
    }

    /// Ends when the node can go on no more, with the reason; the process must then exit. It may be started again unless
    /// the reason [is final](Fatal::is_final).
    pub async fn fatal(&self) -> Fatal {
        let mut fatal = self.fatal.clone();
        let core = async {
            match fatal.wait_for(Option::is_some).await {
                Ok(why) => why.clone(),
                Err(_) => None,
            }
        };
        tokio::select! {
            biased;
            fault = self.faults.noted() => Fatal::Storage(fault),
            why = core => why.unwrap_or_else(|| Fatal::Core("the core is gone".to_owned())),
        }
    }

    /// From now on this node says that it could not sign what is sealed: another voter is to lead, if one can.
    pub fn cannot_sign(&self) {
        self.plane.cannot_sign.store(true, Ordering::Relaxed);
    }

    /// From now on it says that it could.
    pub fn can_sign(&self) {
        self.plane.cannot_sign.store(false, Ordering::Relaxed);
    }

    /// The voters' clocks as they were last compared; they are every few seconds.
    #[must_use]
    pub fn clocks(&self) -> watch::Receiver<Clocks> {
        self.clocks.clone()
    }

    /// The clocks of all voters that answer, this node's included.
    pub async fn voter_clocks(&self, patience: Duration) -> Vec<ClockOffset> {
        timekeeper::voter_clocks(&self.plane, patience).await
    }

    /// The time that a quorum of voters confirms, as evidence that the registry can judge.
    ///
    /// # Errors
    /// What was read, when too few answered or no quorum agrees.
    pub async fn confirmed_time(&self, patience: Duration) -> Result<ConfirmedTime, Clocks> {
        timekeeper::confirmed_time(&self.plane, patience).await
    }

    /// Asks a voter or learner for the marks of its state above a size, once it has applied `index` or after a short wait;
    /// `None` if it does not answer within `patience`. Of this node itself nothing is asked: its state is at hand.
    pub async fn marks_of(
        &self,
        node: u64,
        above: u64,
        index: u64,
        patience: Duration,
    ) -> Option<Vec<Mark>> {
        let peers = &self.plane.peers;
        let member = self.status().members.get(&node)?.clone();
        if node == peers.node {
            return None;
        }
        let question = MarksQuestion { above, index }.to_body();
        let envelope = peers.envelope(node, member.store, question);
        let asked = peers.call(
            node,
            &member,
            Purpose::Compare,
            patience,
            |mut client| async move { client.compare(envelope).await },
        );
        let answer = MarksAnswer::from_body(asked.await.ok()?);
        let MarksAnswer(marks) = answer
            .inspect_err(|error| tracing::warn!(node, %error, "a peer's marks cannot be read"))
            .ok()?;
        Some(marks)
    }

    /// Stops the node and waits until its core has ended.
    pub async fn shutdown(&self) {
        self.plane.gate.ending();
        if let Err(error) = self.plane.raft.shutdown().await {
            tracing::warn!(%error, "the core did not end in order");
        }
    }
}

/// What becomes of voters that lose their vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// They stay members without a vote.
    StayAsLearners,
    /// They leave the cluster.
    Leave,
}

/// Node ids as one says them: `2`, `2 and node 3`.
fn listed<'a>(nodes: impl Iterator<Item = &'a u64>) -> String {
    let nodes: Vec<String> = nodes.map(ToString::to_string).collect();
    nodes.join(" and node ")
}

/// How far a member is behind, in words.
fn lacks(status: &Status, node: u64) -> String {
    let committed = status.committed.unwrap_or(0);
    match status.acknowledged.get(&node) {
        Some(acknowledged) => format!(
            "node {node} holds the log up to {acknowledged}, and it is committed up to {committed}"
        ),
        None => format!(
            "node {node} has acknowledged nothing in term {}, and the log is committed up to {committed}",
            status.standing.term
        ),
    }
}

fn admin_error(error: RaftError<Types, ClientWriteError<Types>>) -> AdminError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => AdminError::NotLeader {
            leader: leader_of(&forward),
        },
        RaftError::APIError(ClientWriteError::ChangeMembershipError(why)) => {
            let obstacle = match &why {
                ChangeMembershipError::InProgress(_) => Obstacle::Unfinished,
                ChangeMembershipError::UncommittedLeaderLog(_) => Obstacle::Unfinished,
                ChangeMembershipError::EmptyMembership(_)
                | ChangeMembershipError::NodeMetadataChanged(_)
                | ChangeMembershipError::UnsupportedMembershipTransition(_) => Obstacle::Rule,
                ChangeMembershipError::LearnerNotFound(_) => Obstacle::NotMember,
            };
            AdminError::Refused(obstacle, why.to_string())
        }
        RaftError::APIError(ClientWriteError::PreconditionFailed(why)) => {
            AdminError::Refused(Obstacle::Rule, why.to_string())
        }
        RaftError::APIError(other) => AdminError::Unknown(other.to_string()),
        RaftError::Fatal(fatal) => AdminError::Unknown(fatal.to_string()),
    }
}
