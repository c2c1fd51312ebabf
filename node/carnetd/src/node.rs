//! One running node as its services see it: state, Raft, clock, keys, and the one way to propose.
//!
//! No rule is here: what may be done is decided by the domain, in `apply`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{Behalf, Handle, ProposeError, Proposed, ReadError, Work};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::leaf::EntrySeed;
use carnet_domain::machine::entry::{Answer, Body, Entry, Stamp};
use carnet_domain::rules::policy::{Query, is_noted};
use carnet_store::artefact::NodeEngine;
use carnet_store::registry::{Progress, Published, RegistryState};
use carnet_wire::status::{ApiError, Effect};

use crate::audit::{self, Audit, Contradicted, Kind, Note};
use crate::certificates::{self, Held};
use crate::clock::Clock;
use crate::config::Config;
use crate::edge::EdgeCounters;
use crate::keyring::Keyring;
use crate::outcomes::Outcomes;
use crate::publication::Publication;
use crate::service::Caller;
use crate::service::caller::Permitted;
use crate::share::{Readers, RequestIds};
use crate::signatures::Signatures;
use crate::timekeeper::{self, Timekeeper};
use crate::tls::PlaneTls;
use crate::world::{Chance, Means};

/// What a node says that no quorum has taken in since it was started.
const NOT_YET: &str = "this node is not yet with the others: since its start no leader with a quorum has taken it in, and what it \
                       holds may be out of date";
/// Between two attempts to learn whether this node takes part.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What the services of a node share.
pub struct Node {
    /// Its configuration.
    pub config: Config,
    /// Identity of its cluster.
    pub cluster: [u8; 16],
    /// Which life of the cluster it is in, counted by restores.
    pub incarnation: u64,
    /// Whether its store was made to found the cluster: `carnetd init --join` named the node itself.
    pub founds: bool,
    /// Its replicated state.
    pub state: Arc<RegistryState<NodeEngine>>,
    /// Its consensus.
    pub raft: Handle,
    /// Which this process reads the time from, and nobody else.
    pub clock: Arc<dyn Clock>,
    /// Its randomness.
    pub chance: Arc<dyn Chance>,
    /// Where what waits for the disk is done.
    pub work: Work,
    /// What it remembers about log time.
    pub time: Timekeeper,
    /// What keeps it from publishing.
    pub publication: Publication,
    /// The threads that read its state for callers.
    pub readers: Readers,
    /// The signatures of requests that wait to be checked.
    pub signatures: Signatures,
    /// What became of its proposals.
    pub outcomes: Outcomes,
    /// Who read and did what on it.
    pub audit: Arc<Audit>,
    /// The signing keys that it holds.
    pub keyring: Arc<dyn Keyring>,
    /// What the log says of that and it does not hold.
    pub contradicted: Contradicted,
    /// What names its requests.
    pub requests: RequestIds,
    /// Callers that wait for a checkpoint: the leader seals at once while there are any.
    waiting: AtomicUsize,
    /// Whether the others have taken this process in, once.
    open: AtomicBool,
    /// Another replica has another state, and no majority is known.
    doubted: AtomicBool,
    /// What came to the ports that are open.
    ports: Mutex<Vec<Arc<EdgeCounters>>>,
    /// Its identity on each plane.
    planes: Mutex<Vec<PlaneTls>>,
}

/// An answer and where it stands.
pub struct Committed {
    /// What the rules answered, item by item.
    pub answer: Answer,
    /// Its canonical bytes, as every replica computed them.
    pub bytes: Bytes,
    /// Raft log index.
    pub log_index: u64,
}

impl Node {
    /// A node of these parts.
    pub fn new(
        config: Config,
        (cluster, incarnation): ([u8; 16], u64),
        founds: bool,
        state: Arc<RegistryState<NodeEngine>>,
        raft: Handle,
        (means, keyring): (Means, Arc<dyn Keyring>),
    ) -> Self {
        let Means {
            clock,
            chance,
            work,
        } = means;
        let mut process = [0; 3];
        chance.fill(&mut process);
        let audit = Audit::open(&config.node.data_dir, Arc::clone(&clock), work);
        Self {
            audit: Arc::new(audit),
            keyring,
            contradicted: Contradicted::default(),
            requests: RequestIds::new(process),
            readers: Readers::of_this_machine(Arc::clone(&clock), work),
            config,
            cluster,
            incarnation,
            founds,
            state,
            raft,
            clock,
            chance,
            work,
            time: Timekeeper::default(),
            publication: Publication::default(),
            signatures: Signatures::new(work),
            outcomes: Outcomes::default(),
            waiting: AtomicUsize::new(0),
            open: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            ports: Mutex::default(),
            planes: Mutex::default(),
        }
    }

    /// Notes with which identity it shows itself on its planes.
    pub fn shows(&self, planes: Vec<PlaneTls>) {
        *self.planes.lock().unwrap_or_else(PoisonError::into_inner) = planes;
    }

    /// The certificates that it holds: on its planes those that are in use.
    pub fn certificates(&self) -> Vec<Held> {
        let planes = self.planes.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = planes.iter().map(|tls| (tls.plane(), tls.shown()));
        let shown: Vec<_> = shown.collect();
        drop(planes);
        certificates::held(&self.config.pki(), &shown)
    }

    /// Notes whether this node's state is in doubt: another replica has another one, and no majority is known.
    pub fn doubt(&self, doubted: bool) {
        self.doubted.store(doubted, Ordering::Relaxed);
    }

    /// What a caller may see when it makes a query about something, once it is noted, where it has to be, who asked.
    ///
    /// # Errors
    /// Its role may not make it, or a read cannot be noted.
    pub async fn admit(
        &self,
        caller: &Caller,
        query: Query,
        about: String,
    ) -> Result<Permitted, ApiError> {
        let permitted = caller.may(query)?;
        if is_noted(caller.role(), query) {
            let note = Note {
                kind: audit::kind(query),
                who: &caller.subject(),
                what: query.words(),
                about: &about,
                request: caller.request().as_str(),
            };
            match (self.audit.note(&note).await, note.kind) {
                (Ok(()), _) => {}
                // Whoever changes so much pushes out what it did before.
                (Err(error @ ApiError::Overloaded { .. }), _) => return Err(error),
                // It may be what makes room on a full disk, and the members and the log show what came of it.
                (Err(error), Kind::Act) => {
                    let Note {
                        who,
                        about,
                        request,
                        ..
                    } = note;
                    tracing::error!(%error, who, about, request, "a change of the cluster goes on without being noted");
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(permitted)
    }

    /// Has a caller change the cluster: noted before it is done, and what came of it before that is answered. What this node cannot do
    /// because another leads is no act: whoever asks goes on to the other.
    ///
    /// # Errors
    /// As [`Self::admit`], and what the change says.
    pub async fn act<T>(
        &self,
        caller: &Caller,
        about: String,
        change: impl Future<Output = Result<T, ApiError>>,
        came: impl FnOnce(&T) -> String,
    ) -> Result<T, ApiError> {
        self.admit(caller, Query::ClusterChange, about.clone())
            .await?;
        let done = change.await;
        let came = match &done {
            Ok(done) => came(done),
            Err(error) if error.effect() == Effect::Unknown => format!("unknown: {error}"),
            Err(error) => format!("refused: {error}"),
        };
        let note = Note {
            kind: Kind::Outcome,
            who: &caller.subject(),
            what: &came,
            about: &about,
            request: caller.request().as_str(),
        };
        if let Err(error) = self.audit.note(&note).await {
            // It is done, or is not: the answer says so all the same.
            tracing::error!(%error, about, came, "what came of a change of the cluster is not noted");
        }
        done
    }

    /// Refuses what only a leader does, and says who leads.
    ///
    /// # Errors
    /// This node does not lead.
    pub fn leads(&self) -> Result<(), ApiError> {
        let raft = self.raft.status();
        // Where no cluster is founded the change itself says so.
        if raft.standing.role == carnet_consensus::Role::Leader || raft.voters.is_empty() {
            return Ok(());
        }
        let leader = raft.leader_address().map(|(_, address)| address);
        Err(ApiError::NotLeader { leader })
    }

    /// Notes a port that opens, so that what comes to it can be asked for.
    pub fn note_port(&self, counters: Arc<EdgeCounters>) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.push(counters);
    }

    /// What came to the ports that are open.
    pub fn ports(&self) -> Vec<Arc<EdgeCounters>> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.clone()
    }

    /// Prefix of the jurisdiction.
    pub fn prefix(&self) -> Prefix {
        self.config.node.prefix
    }

    /// Whether this node believes that it leads. Only a committed proposal or a read index proves it.
    pub fn seems_leader(&self) -> bool {
        self.raft.standing().borrow().role == carnet_consensus::Role::Leader
    }

    /// Whether clients and peers may be answered: once this process has learned from the cluster that it takes part. Until
    /// then it may be an older copy of this node, whose newest head is one that the world has long seen replaced.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// What clients and peers are told until then.
    pub fn refusal(&self) -> Option<ApiError> {
        (!self.is_open()).then(|| ApiError::unavailable(NOT_YET))
    }

    /// Opens the node to clients and peers as soon as the others have taken it in.
    pub async fn open_when_taken_in(&self) {
        while self.raft.taken_in().await.is_err() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        self.open.store(true, Ordering::Relaxed);
        tracing::info!("this node is with the others: clients and peers are answered");
    }

    /// How many callers wait for a checkpoint.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Stamps a body with this node's clock and fresh randomness, and proposes it.
    ///
    /// # Errors
    /// As the API answers it; only an unknown outcome leaves open whether it happened.
    pub async fn propose(&self, body: Body) -> Result<Committed, ApiError> {
        let proposed = self.propose_uncounted(body).await;
        match &proposed {
            Ok(committed) => self.outcomes.committed(&committed.answer),
            Err(error) => self.outcomes.failed(error),
        }
        proposed
    }

    async fn propose_uncounted(&self, body: Body) -> Result<Committed, ApiError> {
        self.not_skipped(&body)?;
        if let Body::Root { signed } = &body {
            crate::ingress::verify_statement(self, signed).await?;
        }
        if is_load(&body)
            && let Some(text) = self.raft.room().borrow().refusal.clone()
        {
            return Err(ApiError::NoRoom { text });
        }
        let at = timekeeper::stamp(self, &body).await?;
        let body = self.not_breaking(body, at).await?;
        self.propose_stamped(body, at).await
    }

    /// Refuses mail at which the rules still panic, of a peer of which the roots had mail skipped. Its feed stands still
    /// and this log goes on; a repaired program takes it.
    async fn not_breaking(&self, body: Body, at: TimeMs) -> Result<Body, ApiError> {
        let Body::Foreign { batch } = &body else {
            return Ok(body);
        };
        let peer = batch.peer;
        let Some(index) = self.state.skipped_mail_of(peer) else {
            return Ok(body);
        };
        let stamp = Stamp {
            at,
            seed: EntrySeed([0; 32]),
        };
        let state = Arc::clone(&self.state);
        let tried = self.work.run(move || {
            let entry = Entry { stamp, body };
            state.breaks_on(&entry).map(|breaks| (breaks, entry.body))
        });
        match tried.await {
            Ok(Ok((false, body))) => Ok(body),
            Ok(Ok((true, _))) => Err(ApiError::invalid(
                "batch",
                format!(
                    "the roots had log entry {index} skipped, mail of {peer}, and this program cannot apply its mail yet: see the runbook poisoned-entry"
                ),
            )),
            Ok(Err(fault)) => Err(ApiError::unavailable(fault)),
            Err(error) => Err(ApiError::unavailable(error)),
        }
    }

    /// Proposes a body with a stamp that was judged before.
    ///
    /// # Errors
    /// As [`Self::propose`].
    pub(crate) async fn propose_stamped(
        &self,
        body: Body,
        at: TimeMs,
    ) -> Result<Committed, ApiError> {
        let mut seed = [0; 32];
        self.chance.fill(&mut seed);
        let behalf = behalf(&body);
        let entry = Entry {
            stamp: Stamp {
                at,
                seed: EntrySeed(seed),
            },
            body,
        };
        let Proposed {
            position,
            answer: bytes,
        } = self
            .raft
            .propose_for(behalf, Bytes::from(entry.to_bytes_at_once()))
            .await
            .map_err(propose_error)?;
        if bytes.is_empty() {
            let text = format!(
                "log entry {} was skipped by order of the roots",
                position.index
            );
            return Err(ApiError::DidNotHappen { text });
        }
        let answer = Answer::from_bytes(&bytes)
            .map_err(crate::told::fault("an answer of the log is unreadable"))?;
        Ok(Committed {
            answer,
            bytes,
            log_index: position.index,
        })
    }

    /// Refuses what stopped this log once: whoever did not hear what became of it sends it again. Seals, publications and
    /// time are this node's own, and equal bytes of theirs are another step.
    fn not_skipped(&self, body: &Body) -> Result<(), ApiError> {
        match body {
            Body::Seal {}
            | Body::Publish { .. }
            | Body::AdvanceTime { .. }
            | Body::Rule { .. }
            | Body::Doubt { .. }
            | Body::Audit { .. }
            | Body::RaiseLevel { .. } => Ok(()),
            Body::Root { .. }
            | Body::OpenSession { .. }
            | Body::Actor { .. }
            | Body::Foreign { .. } => match self.state.was_skipped(|| body.to_bytes()) {
                None => Ok(()),
                Some(index) => Err(ApiError::invalid(
                    "request",
                    format!("the roots had log entry {index} skipped, and this is the same again"),
                )),
            },
        }
    }

    /// Waits until this node's state is at least as new as every write that was acknowledged before now.
    ///
    /// # Errors
    /// No leader with a quorum, this node lags, or its state is in doubt.
    pub async fn linearize(&self) -> Result<u64, ApiError> {
        #[cfg(feature = "planted")]
        if self.config.planted == Some(crate::planted::Planted::FollowerServesLocalRead) {
            return Ok(self.state.progress().borrow().applied);
        }
        if self.doubted.load(Ordering::Relaxed) {
            return Err(ApiError::unavailable(
                "this node's state differs from another's, and no majority is known yet",
            ));
        }
        match self.raft.read_index().await {
            Ok(permit) => Ok(permit.index()),
            Err(ReadError::Overloaded) => Err(ApiError::Overloaded {
                retry_after: carnet_wire::limits::RETRY_AFTER_DEFAULT,
            }),
            Err(ReadError::StandsStill(text)) => Err(ApiError::StandsStill { text }),
            Err(error @ (ReadError::NoQuorum(_) | ReadError::Lagging | ReadError::Stopped)) => {
                Err(ApiError::unavailable(error))
            }
        }
    }

    /// Waits until the published size is at least `size`, within `patience`.
    ///
    /// # Errors
    /// It took longer.
    pub async fn published_at_least(
        &self,
        size: u64,
        patience: Duration,
    ) -> Result<Published, ApiError> {
        let _waiting = Waiting::begin(&self.waiting);
        let mut progress = self.state.progress();
        let reached = async {
            loop {
                if let Some(published) = self
                    .state
                    .published()
                    .filter(|published| size <= published.size)
                {
                    return Ok(published);
                }
                progress
                    .changed()
                    .await
                    .map_err(|_| ApiError::unavailable("this node stops"))?;
            }
        };
        tokio::time::timeout(patience, reached)
            .await
            .unwrap_or_else(|_| {
                let now = self.state.progress().borrow().published;
                Err(ApiError::unavailable(format!(
                    "published is size {now}, asked for {size}"
                )))
            })
    }

    /// How far this node has come.
    pub fn progress(&self) -> Progress {
        self.state.progress().borrow().clone()
    }
}

/// Whether a body is refused while disks are nearly full. What keeps the log alive is not: seals keep heads fresh and log
/// time moving, and the roots may have to change something to make room.
fn is_load(body: &Body) -> bool {
    match body {
        Body::OpenSession { .. } | Body::Actor { .. } | Body::Foreign { .. } => true,
        Body::Root { .. }
        | Body::AdvanceTime { .. }
        | Body::Seal {}
        | Body::Publish { .. }
        | Body::Rule { .. }
        | Body::Doubt { .. }
        | Body::Audit { .. }
        | Body::RaiseLevel { .. } => false,
    }
}

/// Whose turn in the log a body takes. Seals, publications and time are what everybody waits for, and what the roots signed
/// may be what ends a flood: nobody's requests stand before them.
fn behalf(body: &Body) -> Behalf {
    match body {
        Body::Seal {}
        | Body::Publish { .. }
        | Body::AdvanceTime { .. }
        | Body::Rule { .. }
        | Body::Doubt { .. }
        | Body::Audit { .. }
        | Body::RaiseLevel { .. }
        | Body::Root { .. } => Behalf::Own,
        Body::Foreign { batch } => Behalf::Peer(batch.peer.as_str().into()),
        Body::OpenSession { subject, .. } | Body::Actor { subject, .. } => {
            Behalf::Caller(subject.as_str().into())
        }
    }
}

/// What the API answers when a proposal was not answered.
pub fn propose_error(error: ProposeError) -> ApiError {
    match error {
        ProposeError::NotLeader { leader } => ApiError::NotLeader {
            leader: leader.map(|(_, address)| address),
        },
        ProposeError::TooLarge { size } => ApiError::TooLarge {
            text: format!(
                "a log entry of {size} bytes, allowed are {}",
                carnet_domain::limits::ENTRY_BYTES_MAX
            ),
        },
        ProposeError::Overloaded => ApiError::Overloaded {
            retry_after: carnet_wire::limits::RETRY_AFTER_DEFAULT,
        },
        ProposeError::Unknown(text) => ApiError::UnknownOutcome { text },
        ProposeError::Stopped => ApiError::unavailable("this node stops"),
        ProposeError::StandsStill(text) => ApiError::StandsStill { text },
        ProposeError::Refused(text) => ApiError::DidNotHappen { text },
    }
}

/// Counts a waiting caller for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
