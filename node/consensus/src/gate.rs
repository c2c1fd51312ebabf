//! Who may say what on the Raft plane. Judged before a message reaches the core, so before anything is persisted.
//!
//! A certificate proves a node id. That is not enough to be obeyed: the node may have left, may run on another disk than
//! the one that keeps its promises, or on a copy of it. Every frame shows (node, store, start, nonce), and
//!
//! * a node that left is refused for good, with whatever store it comes back: node ids are never used again;
//! * a node that is known, as voter or learner of any configuration from the last committed one to the end of the log,
//!   is refused under another store, and when a later process of its store was heard;
//! * another process of a known store, however high its count, is not believed before the address of that member was asked
//!   who runs there (`twins`): while the process that was heard before answers, it is the store, and the other is a copy;
//! * votes count only on a store that knows a configuration, and from members: a learner may have been promoted by records
//!   that this node has yet to see, and a node that was not does not ask;
//! * a node that is neither known nor retired may ask for votes, append and send snapshots (these under a committed vote of
//!   a term not below this node's) only when no leader was heard for as long as an election waits: a node that was away
//!   learns a leader it does not know in no other way, and may be the one whose vote that leader needs; one that was not
//!   away needs no stranger. On a store without a configuration only the nodes named at its making may append.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use carnet_store::identity::{Run, StoreId};
use carnet_store::log::{RaftLog, Vote};
use carnet_wire::raft::v1::Envelope;
use openraft::ServerState;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::codec::{Body, Undecodable, take_u8};
use crate::error::Fatal;
use crate::refusals::Refusals;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::status::quorum_silence;
use crate::types::{RaftStoredMembership, Types, our_vote};

/// The farthest a message may move this node's term at once. Elections raise it by one; a term near the last one would
/// leave no room for the next election.
pub(crate) const TERM_STEP_MAX: u64 = 1 << 20;
/// Highest count of a store.
const START_MAX: u64 = 1 << 48;
/// The farthest a new process may be above what was heard of its store: two years of writing, minute by minute.
pub(crate) const START_STEP_MAX: u64 = 1 << 20;
/// By how much the count of a process rises before it is noted anew.
const NOTED_EVERY: u64 = 16;

/// Who sent a frame, as far as the frame shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) node: u64,
    pub(crate) store: StoreId,
    pub(crate) run: Run,
}

impl Sender {
    /// `None` if the store is not one.
    pub(crate) fn of(envelope: &Envelope) -> Option<Sender> {
        let store = StoreId(envelope.store[..].try_into().ok()?);
        let run = Run {
            start: envelope.start,
            nonce: envelope.nonce,
        };
        let valid = !store.is_none() && (1..=START_MAX).contains(&run.start);
        valid.then_some(Sender {
            node: envelope.from,
            store,
            run,
        })
    }
}

/// What is asked of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A vote or pre-vote for the sender.
    Vote(Vote),
    /// Appends or a snapshot, of the sender as leader.
    Lead(Vote),
    /// A leader hands over, or has something to tell its follower.
    Follow(Vote),
    /// Something between members: a read index, a clock, a forwarded request.
    Member,
    /// Which store this is.
    Identify,
}

/// What this node knows of the cluster at one moment.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) committed: Arc<RaftStoredMembership>,
    pub(crate) effective: Arc<RaftStoredMembership>,
    pub(crate) vote: Vote,
    /// How long ago a quorum last answered this node as leader; `None` if it does not lead.
    pub(crate) silence: Option<Duration>,
}

impl Ground {
    pub(crate) fn of(metrics: &openraft::RaftMetrics<Types>) -> Ground {
        Ground {
            committed: Arc::clone(&metrics.committed_membership_config),
            effective: Arc::clone(&metrics.membership_config),
            vote: our_vote(&metrics.vote),
            silence: quorum_silence(metrics).filter(|_| metrics.state == ServerState::Leader),
        }
    }

    /// The last committed configuration and what follows it in the log: there is at most one after it.
    fn configurations(&self) -> [&RaftStoredMembership; 2] {
        [&self.committed, &self.effective]
    }

    pub(crate) fn is_founded(&self) -> bool {
        self.configurations()
            .iter()
            .any(|one| one.nodes().next().is_some())
    }

    fn stores(&self, node: u64) -> BTreeSet<StoreId> {
        self.configurations()
            .iter()
            .filter_map(|one| Some(one.get_node(&node)?.store))
            .collect()
    }
}

/// Whether a node knows a configuration, and the asker in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Nowhere yet, and it was made to join the asker.
    Nowhere,
    WithAsker,
    Elsewhere,
    /// Nowhere yet, and it was made to join others.
    ToOthers,
}

impl Body for Belongs {
    fn encode(&self, to: &mut BytesMut) {
        to.put_u8(match self {
            Belongs::Nowhere => 0,
            Belongs::WithAsker => 1,
            Belongs::Elsewhere => 2,
            Belongs::ToOthers => 3,
        });
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        match take_u8(from)? {
            0 => Ok(Belongs::Nowhere),
            1 => Ok(Belongs::WithAsker),
            2 => Ok(Belongs::Elsewhere),
            3 => Ok(Belongs::ToOthers),
            _ => Err(Undecodable("whom a node belongs to")),
        }
    }
}

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the frame names no store, or no start of it")]
    Nameless,
    #[error("node {0} is this node itself")]
    Myself(u64),
    #[error(
        "node {node} was retired; it was a member with store {was}, and a node id is never used again"
    )]
    Retired { node: u64, was: StoreId },
    #[error(
        "node {node} is a member with store {known}, not with {shown}: a replaced or emptied disk needs a new node id"
    )]
    OtherStore {
        node: u64,
        known: StoreId,
        shown: StoreId,
    },
    #[error(
        "store {store} of node {node} was at {seen} in its count, and this process shows {shown}: one of the two runs on a \
         copy. {WAY_OUT}"
    )]
    Copy {
        node: u64,
        store: StoreId,
        seen: u64,
        shown: u64,
    },
    #[error(
        "another process of store {store} answers at the address of node {node}: this one runs on a copy. {WAY_OUT}"
    )]
    Twin { node: u64, store: StoreId },
    #[error("another process of node {0} than before: who runs at its address is being asked")]
    Doubted(u64),
    #[error(
        "node {node} shows {shown} in its count, more than {START_STEP_MAX} above the {seen} that was heard"
    )]
    FarStart { node: u64, seen: u64, shown: u64 },
    #[error("this node's store is {mine}, and the message is for store {meant}")]
    WrongStore { mine: StoreId, meant: StoreId },
    #[error("this store knows no configuration and votes for nobody")]
    NoConfiguration,
    #[error("node {0} is not among those this store may join")]
    NotJoined(u64),
    #[error("node {0} is not a member")]
    NoMember(u64),
    #[error("node {node} is not a member, and its term {shown} is below this node's {mine}")]
    OldTerm { node: u64, shown: u64, mine: u64 },
    #[error("term {shown} is more than {TERM_STEP_MAX} above this node's {mine}")]
    FarTerm { shown: u64, mine: u64 },
    #[error("node {0} is not a member, and this node hears its leader")]
    LeaderHeard(u64),
    #[error("node {0} is not the leader this node follows")]
    NotFollowed(u64),
    #[error("this node has stopped: it was refused, or its log went back")]
    Stopped,
    #[error("the start of another store cannot be noted on this node's disk")]
    Unnoted,
}

/// What an operator does about a store that was refused for its count.
const WAY_OUT: &str = "See the runbook copies-and-exit-code-4";

/// The first byte of the details of a status whose addressee must stop.
const RETIRED: u8 = 1;
const OTHER_STORE: u8 = 2;
const COPY: u8 = 3;

impl Refusal {
    /// Whether it ends by itself, soon, and says nothing about the sender.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Refusal::Doubted(_))
    }

    pub(crate) fn to_status(self) -> Status {
        let (code, details): (Code, &'static [u8]) = match self {
            Refusal::Retired { .. } => (Code::PermissionDenied, &[RETIRED]),
            Refusal::OtherStore { .. } => (Code::PermissionDenied, &[OTHER_STORE]),
            Refusal::Copy { .. } | Refusal::Twin { .. } => (Code::PermissionDenied, &[COPY]),
            Refusal::Nameless => (Code::InvalidArgument, &[]),
            Refusal::WrongStore { .. } => (Code::FailedPrecondition, &[]),
            Refusal::Stopped | Refusal::Unnoted | Refusal::Doubted(_) => (Code::Unavailable, &[]),
            Refusal::Myself(_)
            | Refusal::NoConfiguration
            | Refusal::NotJoined(_)
            | Refusal::NoMember(_)
            | Refusal::OldTerm { .. }
            | Refusal::FarTerm { .. }
            | Refusal::FarStart { .. }
            | Refusal::LeaderHeard(_)
            | Refusal::NotFollowed(_) => (Code::PermissionDenied, &[]),
        };
        Status::with_details(code, self.to_string(), details.into())
    }
}

/// The processes of other stores.
#[derive(Default)]
struct Processes {
    /// The one that is believed, by node and store.
    believed: BTreeMap<(u64, StoreId), Believed>,
    /// Another one that wants to be: one a store, so that there is one question at a time.
    doubted: BTreeMap<(u64, StoreId), (Sender, Doubt)>,
}

#[derive(Clone, Copy)]
struct Believed {
    run: Run,
    /// Its count on this node's disk.
    noted: u64,
}

/// What is known of a process that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// The address of its node is being asked.
    Asked,
    /// Another one answers there.
    Copy,
}

/// Who was found at the address of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Another process than the one that was asked about.
    Copy,
    /// The process itself, or nobody.
    Itself,
}

/// The gate of one node.
pub(crate) struct Gate {
    node: u64,
    store: StoreId,
    join: BTreeSet<u64>,
    /// What the operator's file says.
    retired: BTreeSet<(u64, StoreId)>,
    /// What the applied records say.
    roster: Arc<RwLock<Roster>>,
    log: Arc<dyn RaftLog>,
    processes: Mutex<Processes>,
    /// Who is to be asked about.
    doubts: mpsc::UnboundedSender<Sender>,
    /// The last transfer of leadership that a leader announced: its vote, and to whom.
    transfer: Mutex<Option<(Vote, u64)>>,
    /// When a member was last heard as leader.
    heard: Mutex<Option<Instant>>,
    /// How long a leader that is silent still keeps strangers out.
    patience: Duration,
    fatal: watch::Sender<Option<Fatal>>,
    /// Whether this node was asked to stop: that its core ends is no failure then.
    ending: AtomicBool,
    pub(crate) refusals: Refusals,
}

impl Gate {
    pub(crate) fn new(
        settings: &Settings,
        roster: Arc<RwLock<Roster>>,
        log: Arc<dyn RaftLog>,
        fatal: watch::Sender<Option<Fatal>>,
        doubts: mpsc::UnboundedSender<Sender>,
    ) -> Gate {
        let believe = |(key, run): ((u64, StoreId), Run)| {
            let noted = run.start;
            (key, Believed { run, noted })
        };
        let processes = Processes {
            believed: log.starts().into_iter().map(believe).collect(),
            ..Processes::default()
        };
        Gate {
            node: settings.node,
            store: settings.store,
            join: settings.join.clone(),
            retired: settings.retired.clone(),
            roster,
            processes: Mutex::new(processes),
            doubts,
            log,
            transfer: Mutex::default(),
            heard: Mutex::default(),
            patience: settings.election_max,
            fatal,
            ending: AtomicBool::new(false),
            refusals: Refusals::default(),
        }
    }

    /// Whether a message may reach the core. What is refused changes nothing but the log of this process.
    pub(crate) fn admit(&self, ground: &Ground, sender: &Sender, ask: Ask) -> Result<(), Status> {
        self.judge(ground, sender, ask).map_err(|refusal| {
            if !refusal.passes() {
                self.refusals.note(sender.node, "refused", &refusal);
            }
            refusal.to_status()
        })
    }

    /// Whose this node is, as it tells somebody who asks.
    pub(crate) fn belongs(&self, ground: &Ground, asker: &Sender) -> Belongs {
        if ground.stores(asker.node).contains(&asker.store) {
            Belongs::WithAsker
        } else if ground.is_founded() {
            Belongs::Elsewhere
        } else if self.join.contains(&asker.node) {
            Belongs::Nowhere
        } else {
            Belongs::ToOthers
        }
    }

    /// Whether a frame is meant for this store.
    pub(crate) fn addressed(
        &self,
        from: u64,
        to_store: &[u8],
        founded: bool,
    ) -> Result<(), Refusal> {
        if to_store.is_empty() || to_store == self.store.0 {
            return Ok(());
        }
        let meant = StoreId(to_store.try_into().map_err(|_| Refusal::Nameless)?);
        // A store without configuration that is known under another name is a new disk under an old node id.
        if !founded && self.join.contains(&from) {
            self.stop(Fatal::OtherStore {
                by: from,
                text: Refusal::OtherStore {
                    node: self.node,
                    known: meant,
                    shown: self.store,
                }
                .to_string(),
            });
        }
        Err(Refusal::WrongStore {
            mine: self.store,
            meant,
        })
    }

    fn judge(&self, ground: &Ground, sender: &Sender, ask: Ask) -> Result<(), Refusal> {
        let node = sender.node;
        if self.fatal.borrow().is_some() {
            return Err(Refusal::Stopped);
        }
        if node == self.node {
            return Err(Refusal::Myself(node));
        }
        if let Some(was) = self.retired_store(node) {
            return Err(Refusal::Retired { node, was });
        }
        let stores = ground.stores(node);
        let known = stores.contains(&sender.store);
        if let Some(other) = stores.first().filter(|_| !known) {
            return Err(Refusal::OtherStore {
                node,
                known: *other,
                shown: sender.store,
            });
        }
        let joined = !ground.is_founded() && self.join.contains(&node);
        self.hear(sender, known || joined, ask)?;
        match ask {
            Ask::Identify => Ok(()),
            Ask::Member if known => Ok(()),
            Ask::Member => Err(Refusal::NoMember(node)),
            Ask::Vote(_) if !ground.is_founded() => Err(Refusal::NoConfiguration),
            Ask::Vote(_) if !known && self.hears_a_leader(ground) => {
                Err(Refusal::LeaderHeard(node))
            }
            Ask::Vote(vote) => near(vote, ground.vote),
            Ask::Follow(_) if !known && !joined => Err(Refusal::NoMember(node)),
            Ask::Follow(vote) if vote != ground.vote => Err(Refusal::NotFollowed(node)),
            Ask::Follow(_) => Ok(()),
            // Its first term may be any: a store that was never in a cluster has none to compare with.
            Ask::Lead(_) if joined => Ok(()),
            Ask::Lead(_) if !ground.is_founded() => Err(Refusal::NotJoined(node)),
            Ask::Lead(vote) if known => {
                near(vote, ground.vote)?;
                if vote.term >= ground.vote.term {
                    let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                    *heard = Some(Instant::now());
                }
                Ok(())
            }
            Ask::Lead(vote) if vote.term < ground.vote.term => Err(Refusal::OldTerm {
                node,
                shown: vote.term,
                mine: ground.vote.term,
            }),
            Ask::Lead(_) if self.hears_a_leader(ground) => Err(Refusal::LeaderHeard(node)),
            Ask::Lead(vote) => near(vote, ground.vote),
        }
    }

    /// When a member was last heard as leader.
    pub(crate) fn heard(&self) -> Option<Instant> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a leader that this node knows is in office: itself, or one that it heard.
    fn hears_a_leader(&self, ground: &Ground) -> bool {
        ground
            .silence
            .is_some_and(|silence| silence < self.patience)
            || self.heard().is_some_and(|at| at.elapsed() < self.patience)
    }

    /// The store with which a node was retired. By node id: a node that left does not come back with a new disk either.
    pub(crate) fn retired_store(&self, node: u64) -> Option<StoreId> {
        let roster = self.roster.read().unwrap_or_else(PoisonError::into_inner);
        let of_node = (node, StoreId::NONE)..=(node, StoreId([0xff; 16]));
        let found = self
            .retired
            .range(of_node.clone())
            .chain(roster.retired.range(of_node))
            .next();
        found.map(|(_, store)| *store)
    }

    pub(crate) fn retired_count(&self) -> usize {
        let roster = self.roster.read().unwrap_or_else(PoisonError::into_inner);
        roster.retired.len()
    }

    /// Compares the process with what was heard of its store, and notes a later one of a node that belongs here.
    fn hear(&self, sender: &Sender, belongs: bool, ask: Ask) -> Result<(), Refusal> {
        let Sender { node, store, run } = *sender;
        let mut processes = self.processes();
        let Some(Believed { run: seen, noted }) = processes.believed.get(&(node, store)).copied()
        else {
            return if belongs {
                self.believe(&mut processes, sender)
            } else {
                Ok(())
            };
        };
        if seen.nonce == run.nonce {
            if run.start >= noted.saturating_add(NOTED_EVERY) {
                return self.believe(&mut processes, sender);
            }
            // Frames overtake each other: a lower count of the same process says nothing.
            if run.start > seen.start {
                let believed = Believed { run, noted };
                processes.believed.insert((node, store), believed);
            }
            return Ok(());
        }
        if run.start <= seen.start {
            return Err(Refusal::Copy {
                node,
                store,
                seen: seen.start,
                shown: run.start,
            });
        }
        if run.start - seen.start > START_STEP_MAX {
            return Err(Refusal::FarStart {
                node,
                seen: seen.start,
                shown: run.start,
            });
        }
        if !belongs {
            return Ok(());
        }
        match processes.doubted.get(&(node, store)) {
            Some((doubted, Doubt::Copy)) if doubted.run.nonce == run.nonce => {
                return Err(Refusal::Twin { node, store });
            }
            Some((_, Doubt::Asked)) => {}
            _ => {
                let doubted = (*sender, Doubt::Asked);
                processes.doubted.insert((node, store), doubted);
                // Nobody takes questions any more only when this node is stopping.
                let _ = self.doubts.send(*sender);
            }
        }
        // Two that doubt each other must be able to ask each other.
        if ask == Ask::Identify {
            return Ok(());
        }
        Err(Refusal::Doubted(node))
    }

    /// What came of a question about a process. One that is no copy is believed from now on, and the one before it no more.
    pub(crate) fn judged(&self, sender: &Sender, found: Found) {
        let mut processes = self.processes();
        let key = (sender.node, sender.store);
        match found {
            Found::Copy => {
                processes.doubted.insert(key, (*sender, Doubt::Copy));
            }
            Found::Itself => {
                processes.doubted.remove(&key);
                // Not noted, it is doubted again with its next frame.
                let _ = self.believe(&mut processes, sender);
            }
        }
    }

    /// Notes a process. Synced before anything that it says is believed: seldom, at its start and as its count rises.
    fn believe(&self, processes: &mut Processes, sender: &Sender) -> Result<(), Refusal> {
        let Sender { node, store, run } = *sender;
        self.log.note_start(node, store, run).map_err(|cause| {
            tracing::error!(node, %cause, "cannot note the start of another store");
            Refusal::Unnoted
        })?;
        let noted = run.start;
        processes
            .believed
            .insert((node, store), Believed { run, noted });
        Ok(())
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares a peer that answered with what was heard of its store.
    pub(crate) fn hear_answer(&self, sender: &Sender) -> Result<(), Refusal> {
        self.hear(sender, true, Ask::Member)
    }

    /// A leader announced that it hands over.
    pub(crate) fn note_transfer(&self, leader: Vote, to: u64) {
        *self.transfer.lock().unwrap_or_else(PoisonError::into_inner) = Some((leader, to));
    }

    /// Whether the leader this node follows has handed over to this candidate.
    pub(crate) fn transferred_to(&self, ground: &Ground, candidate: u64) -> bool {
        let transfer = *self.transfer.lock().unwrap_or_else(PoisonError::into_inner);
        ground.vote.committed && transfer == Some((ground.vote, candidate))
    }

    /// A peer refused this node. If it said that this store must not take part, the node stops.
    pub(crate) fn refused_by(&self, by: u64, status: &Status) {
        let text = status.message().to_owned();
        match status.details().first() {
            Some(&RETIRED) => self.stop(Fatal::Retired { by, text }),
            Some(&OTHER_STORE) => self.stop(Fatal::OtherStore { by, text }),
            Some(&COPY) => self.stop(Fatal::Copy { by, text }),
            _ => {}
        }
    }

    /// This node was asked to stop.
    pub(crate) fn ending(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// The core has ended, by itself or because it was asked to.
    pub(crate) fn end(&self, why: Fatal) {
        if self.ending.load(Ordering::Relaxed) {
            self.fatal.send_if_modified(|before| {
                let first = before.is_none();
                before.get_or_insert(why);
                first
            });
        } else {
            self.stop(why);
        }
    }

    /// The node takes part no more; the first reason stands.
    pub(crate) fn stop(&self, why: Fatal) {
        stop(&self.fatal, why);
    }
}

/// Publishes why a node stops, unless it has stopped already.
pub(crate) fn stop(fatal: &watch::Sender<Option<Fatal>>, why: Fatal) {
    fatal.send_if_modified(|before| {
        let first = before.is_none();
        if first {
            tracing::error!(%why, "this node takes part no more");
            *before = Some(why);
        }
        first
    });
}

/// Whether a vote is no farther ahead than any election brings it.
pub(crate) fn near(vote: Vote, mine: Vote) -> Result<(), Refusal> {
    if vote.term > mine.term.saturating_add(TERM_STEP_MAX) {
        return Err(Refusal::FarTerm {
            shown: vote.term,
            mine: mine.term,
        });
    }
    Ok(())
}
