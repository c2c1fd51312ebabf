//! The client itself: endpoints, channels, deadline, and the loop around every call.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::machine::entry::SessionOpening;
use carnet_trust::verdict::OWN_AGE_MAX;
use carnet_wire::limits;
use carnet_wire::registry::v1 as pb;
use carnet_wire::registry::v1::registry_client::RegistryClient;
use carnet_wire::status::ApiError;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use rand::Rng;
use tokio::sync::Semaphore;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::call::{failure_of, registry};
use crate::clock::{now, wall_time};
use crate::dial::Dial;
use crate::error::ClientError;
use crate::heads::{Heads, Log};
use crate::picker::{Picker, Seen};
use crate::pin::Pin;
use crate::retry::{Backoff, Failure, Intent, Next, judge};
use crate::session::{MemorySessions, OpenSession, Sessions};
use crate::signer::Signer;
use crate::stream::Streams;
use crate::tls::Refusal;

/// The least time an attempt after the first is given. One that cannot be answered before the deadline would only make an
/// unknown outcome of one that is certain.
const ATTEMPT_MIN: Duration = Duration::from_millis(100);
/// How long a server may show no life while it is asked something, unless the caller says otherwise.
const SILENT_FOR: Duration = Duration::from_secs(2);

/// Where an answer stands in the registry's Raft log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Identity of the cluster.
    pub cluster: [u8; 16],
    /// Raft log index of the entry, or the applied index at which a read was served.
    pub log_index: u64,
    /// The node that answered.
    pub node: u64,
}

impl Position {
    pub(crate) fn of(wire: Option<pb::Position>) -> Result<Self, ClientError> {
        let Some(wire) = wire else {
            return Ok(Self::default());
        };
        let cluster = match wire.cluster.len() {
            0 => [0; 16],
            _ => wire.cluster[..]
                .try_into()
                .map_err(|_| ClientError::Protocol("position.cluster".into()))?,
        };
        Ok(Self {
            cluster,
            log_index: wire.log_index,
            node: wire.node,
        })
    }
}

/// What a client is made of.
pub struct ClientBuilder {
    endpoints: Vec<String>,
    dial: Arc<dyn Dial>,
    signer: Option<Arc<dyn Signer>>,
    sessions: Arc<dyn Sessions>,
    deadline: Duration,
    attempt: Duration,
    backoff: Backoff,
    unreachable_after: Option<Duration>,
    silence: Duration,
    log: Option<Log>,
    seen: Option<Pin>,
    age_max: DurationMs,
}

impl ClientBuilder {
    /// Believes this log, and what is proven under it. Without one, a client writes, and asks for what nodes say
    /// ([`Client::unverified`]).
    pub fn log(mut self, log: Log) -> Self {
        self.log = Some(log);
        self
    }

    /// Begins from a head that was seen before ([`Client::seen`], [`Pin::load`]): a log that does not go on from it is refused.
    pub fn seen(mut self, seen: Pin) -> Self {
        self.seen = Some(seen);
        self
    }

    /// The oldest head under which anything is believed, by this machine's clock. Default one day.
    pub fn age_max(mut self, age_max: Duration) -> Self {
        let ms = u64::try_from(age_max.as_millis()).unwrap_or(u64::MAX);
        self.age_max = DurationMs(ms);
        self
    }

    /// Signs commands with this key; without one, the client only reads.
    pub fn signer(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Keeps sessions elsewhere than in memory.
    pub fn sessions(mut self, sessions: Arc<dyn Sessions>) -> Self {
        self.sessions = sessions;
        self
    }

    /// The longest a call may take over all attempts. Default 30 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The longest one attempt may take. Default 4 s.
    pub fn attempt_timeout(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// Waiting times between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Gives up so early while no node was ever reached and each was tried. Default: only at the deadline, as it is right for a
    /// program that runs on while nodes start again.
    pub fn unreachable_after(mut self, patience: Duration) -> Self {
        self.unreachable_after = Some(patience);
        self
    }

    /// How long a server that is asked something may show no life: in the second half of it, it is asked who it is, and if it does not
    /// even say that, the next is asked. One that works on an answer says it at once, and has the whole attempt. Default 2 s.
    pub fn silent_after(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// The client. Nothing is connected yet.
    ///
    /// # Errors
    /// Without endpoints, or with a head seen before that is not of the log that is believed.
    pub fn build(self) -> Result<Client, ClientError> {
        if self.endpoints.is_empty() {
            return Err(no_endpoint());
        }
        let picker = Picker::new(self.endpoints, rand::rng().random());
        Ok(Client(Arc::new(Inner {
            net: Net {
                picker: Mutex::new(picker),
                channels: Mutex::new(BTreeMap::new()),
                dial: self.dial,
                deadline: self.deadline,
                attempt: self.attempt,
                backoff: self.backoff,
                follow_hints: true,
                unreachable_after: self.unreachable_after,
                reached: AtomicBool::new(false),
                silence: Some(self.silence),
                probes: Mutex::default(),
                streams: Streams::default(),
            },
            under_way: Semaphore::new(limits::SUBMIT_STREAM_REQUESTS_MAX),
            signer: self.signer,
            sessions: self.sessions,
            opening: tokio::sync::Mutex::new(()),
            log_time: Mutex::new(TimeMs(0)),
            heads: Heads::new(self.log, self.seen, self.age_max)?,
        })))
    }
}

/// A client of one registry. Cheap to clone; clones share connections and session.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) net: Net,
    pub(crate) signer: Option<Arc<dyn Signer>>,
    sessions: Arc<dyn Sessions>,
    opening: tokio::sync::Mutex<()>,
    log_time: Mutex<TimeMs>,
    /// Requests that are signed and have no answer: a server takes no more of one stream.
    pub(crate) under_way: Semaphore,
    pub(crate) heads: Heads,
}

impl Client {
    /// Begins a client of the registry behind these endpoints (`host:port`, client plane).
    pub fn builder(
        endpoints: impl IntoIterator<Item = impl Into<String>>,
        dial: impl Dial + 'static,
    ) -> ClientBuilder {
        ClientBuilder {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            dial: Arc::new(dial),
            signer: None,
            sessions: Arc::new(MemorySessions::default()),
            deadline: limits::CALL_DEADLINE,
            attempt: limits::ATTEMPT_TIMEOUT,
            backoff: Backoff::default(),
            unreachable_after: None,
            silence: SILENT_FOR,
            log: None,
            seen: None,
            age_max: OWN_AGE_MAX,
        }
    }

    pub(crate) async fn read<T, F, Fut>(&self, make: F) -> Result<T, ClientError>
    where
        F: Fn(RegistryClient<Channel>) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        self.0
            .net
            .call(Intent::Read, self.0.net.attempt, &|channel| {
                make(registry(channel))
            })
            .await
            .outcome
    }

    /// The open session (opened if there is none) and a number nobody had before.
    pub(crate) async fn number(&self) -> Result<(OpenSession, u64), ClientError> {
        let state = |source| ClientError::State {
            file: "the session file".into(),
            source,
        };
        if let Some(number) = self.0.sessions.number().map_err(state)? {
            return Ok(number);
        }
        let _one_at_a_time = self.0.opening.lock().await;
        if let Some(number) = self.0.sessions.number().map_err(state)? {
            return Ok(number);
        }
        let session = self.open_session().await?;
        self.0.sessions.keep(session).map_err(state)?;
        let number = self.0.sessions.number().map_err(state)?;
        number.ok_or_else(|| ClientError::Usage("the session store forgets what it keeps".into()))
    }

    pub(crate) fn forget_session(&self, id: u64) -> Result<(), ClientError> {
        let state = |source| ClientError::State {
            file: "the session file".into(),
            source,
        };
        self.0.sessions.forget(id).map_err(state)
    }

    async fn open_session(&self) -> Result<OpenSession, ClientError> {
        let Some(signer) = &self.0.signer else {
            return Err(no_key());
        };
        let response = self.ask_for_session(Default::default()).await?;
        let prefix = carnet_wire::convert::prefix("prefix", &response.prefix)
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.saw_log_time(TimeMs(response.log_time_ms));
        let key = signer.public();
        // One nonce over all attempts: a repetition opens the same session, so not knowing the outcome does no harm.
        let opening = SessionOpening {
            prefix,
            incarnation: response.incarnation,
            key: key.key_id(),
            subject: response.subject,
            nonce: rand::rng().random(),
            not_after: self.now().saturating_add(lifetime()),
        };
        let opening = opening.to_bytes();
        let signature = signer
            .sign_as(&key, &SessionOpening::signing_bytes(&opening))
            .await?;
        let request = pb::OpenSessionRequest {
            opening: opening.into(),
            signature: Bytes::copy_from_slice(&signature.0),
        };
        let response = self.ask_for_session(request).await?;
        self.saw_log_time(TimeMs(response.log_time_ms));
        Ok(OpenSession {
            id: response.session,
            prefix,
            incarnation: response.incarnation,
        })
    }

    /// Which registry answers here, and which life of it, by its own word: what is signed for it names them.
    pub(crate) async fn audience(&self) -> Result<(Prefix, u64), ClientError> {
        let response = self.ask_for_session(Default::default()).await?;
        let prefix = carnet_wire::convert::prefix("prefix", &response.prefix)
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.saw_log_time(TimeMs(response.log_time_ms));
        Ok((prefix, response.incarnation))
    }

    async fn ask_for_session(
        &self,
        request: pb::OpenSessionRequest,
    ) -> Result<pb::OpenSessionResponse, ClientError> {
        let make = |channel| {
            let mut client = registry(channel);
            let request = request.clone();
            async move { client.open_session(Request::new(request)).await }
        };
        let net = &self.0.net;
        net.call(Intent::Read, net.attempt, &make).await.outcome
    }

    pub(crate) fn saw_log_time(&self, at: TimeMs) {
        let mut seen = lock(&self.0.log_time);
        *seen = at.max(*seen);
    }

    /// The time that limits of new commands count from: never before log time as far as it is known. A node says it, and what is signed
    /// until then can be put into the log until then: it is believed for an hour beyond this machine's clock, or beyond the time of
    /// a proven head.
    pub(crate) fn now(&self) -> TimeMs {
        let known = wall_time().max(self.0.heads.time_proven());
        // saturates: nothing is later than the last instant
        let believed = known.saturating_add(LOG_TIME_AHEAD_MAX);
        known.max(*lock(&self.0.log_time)).min(believed)
    }
}

/// How far a node's word of log time is believed to go before what is known of it: as far as a quorum moves it at once.
const LOG_TIME_AHEAD_MAX: DurationMs = DurationMs::from_secs(3_600);

/// Endpoints of one plane and the loop around a call.
pub(crate) struct Net {
    picker: Mutex<Picker>,
    channels: Mutex<BTreeMap<String, Channel>>,
    dial: Arc<dyn Dial>,
    pub(crate) deadline: Duration,
    pub(crate) attempt: Duration,
    backoff: Backoff,
    /// Whether a leader's address in an error is one of this plane.
    follow_hints: bool,
    unreachable_after: Option<Duration>,
    /// Whether any node ever answered anything.
    reached: AtomicBool,
    /// How long a server may show no life; none where there is nothing that it could be asked meanwhile.
    silence: Option<Duration>,
    /// By address, whether a server shows life: one question for all calls that wait for it.
    probes: Mutex<BTreeMap<String, Probe>>,
    /// By address, the stream of requests.
    pub(crate) streams: Streams,
}

/// Whether a server said who it is.
type Probe = Shared<BoxFuture<'static, bool>>;

/// What a call came to.
pub(crate) struct Called<T> {
    pub(crate) outcome: Result<T, ClientError>,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Whether an attempt before the last may have been executed.
    pub(crate) uncertain: bool,
}

/// What is known of a call while it is being retried.
#[derive(Debug)]
pub(crate) struct Tries {
    begun: Instant,
    pub(crate) attempts: u32,
    pub(crate) uncertain: bool,
    /// Servers that refused an attempt for the certificate alone, and why.
    refused: BTreeMap<String, Refusal>,
    /// Servers to which there was no connection.
    absent: BTreeSet<String>,
    /// What a node said that was up: more telling than that another was down.
    told: Option<ApiError>,
}

impl Net {
    /// For the admin plane: hints name client endpoints and are not followed.
    pub(crate) fn new(endpoints: Vec<String>, dial: Arc<dyn Dial>, deadline: Duration) -> Self {
        Self {
            picker: Mutex::new(Picker::new(endpoints, rand::rng().random())),
            channels: Mutex::new(BTreeMap::new()),
            dial,
            deadline,
            attempt: limits::ATTEMPT_TIMEOUT.min(deadline),
            backoff: Backoff::default(),
            follow_hints: false,
            unreachable_after: None,
            reached: AtomicBool::new(false),
            silence: None,
            probes: Mutex::default(),
            streams: Streams::default(),
        }
    }

    /// See [`ClientBuilder::unreachable_after`].
    pub(crate) fn unreachable_after(&mut self, patience: Option<Duration>) {
        self.unreachable_after = patience;
    }

    /// Asks until an answer, a final refusal, or the deadline. `make` must send the same bytes every time.
    pub(crate) async fn call<T, F, Fut>(
        &self,
        intent: Intent,
        attempt: Duration,
        make: &F,
    ) -> Called<T>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let give_up_at = now() + self.deadline;
        let make = |_: &str, channel| make(channel);
        self.call_until(give_up_at, intent, attempt, &make).await
    }

    /// As [`Self::call`], until an instant; `make` is told the address that the channel leads to.
    pub(crate) async fn call_until<T, F, Fut>(
        &self,
        give_up_at: Instant,
        intent: Intent,
        attempt: Duration,
        make: &F,
    ) -> Called<T>
    where
        F: Fn(&str, Channel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut tries = Tries::begin();
        loop {
            let left = give_up_at.saturating_duration_since(now());
            let (address, channel) = match self.pick() {
                Ok(picked) => picked,
                Err(error) => return tries.end(Err(error)),
            };
            let asking = tokio::time::timeout(attempt.min(left), make(&address, channel.clone()));
            let answered = tokio::select! {
                biased;
                answered = asking => answered.map_err(|_| Failure::TimedOut),
                silence = self.falls_silent(intent, &address, channel) => Err(Failure::Silent(silence)),
            };
            let failure = match answered {
                Ok(Ok(response)) => {
                    self.report(&address, &Seen::Served);
                    self.reached.store(true, Ordering::Relaxed);
                    tries.attempts += 1;
                    return tries.end(Ok(response.into_inner()));
                }
                Ok(Err(status)) => failure_of(&status),
                Err(failure) => failure,
            };
            if let Some(error) = self
                .failed(&mut tries, &address, &failure, intent, give_up_at)
                .await
            {
                return tries.end(Err(error));
            }
        }
    }

    /// Ends when a server that was asked to read something shows no life: a process that was stopped keeps its connections, and so does
    /// a machine behind which nothing is left. Writes have their whole attempt: what is given up early is not known to have failed.
    async fn falls_silent(&self, intent: Intent, address: &str, channel: Channel) -> Duration {
        if let (Intent::Read, Some(silence)) = (intent, self.silence) {
            tokio::time::sleep(silence / 2).await;
            let probe = self.probe(address, channel, silence / 2);
            if !probe.await {
                return silence;
            }
        }
        std::future::pending().await
    }

    /// Whether a server says who it is within a time.
    fn probe(&self, address: &str, channel: Channel, patience: Duration) -> Probe {
        let mut probes = lock(&self.probes);
        if let Some(probe) = probes.get(address).filter(|probe| probe.peek().is_none()) {
            return probe.clone();
        }
        // A task of its own: it goes on if whoever asked first has its answer.
        let asked = tokio::spawn(async move {
            let mut client = registry(channel);
            let asked = client.open_session(pb::OpenSessionRequest::default());
            tokio::time::timeout(patience, asked).await.is_ok()
        });
        let probe = asked.map(|said| said.unwrap_or(true)).boxed().shared();
        probes.insert(address.to_owned(), probe.clone());
        probe
    }

    /// Counts a failed attempt, waits, and says whether it was the last.
    pub(crate) async fn failed(
        &self,
        tries: &mut Tries,
        address: &str,
        failure: &Failure,
        intent: Intent,
        give_up_at: Instant,
    ) -> Option<ClientError> {
        let seen = match seen_of(failure) {
            Seen::NotLeader(_) if !self.follow_hints => Seen::NotLeader(None),
            seen => seen,
        };
        self.report(address, &seen);
        tries.attempts += 1;
        if matches!(failure, Failure::Api(_) | Failure::Lost(_)) {
            self.reached.store(true, Ordering::Relaxed);
        }
        let (hinted, not_before) = match judge(failure, intent) {
            Next::GiveUp(error) => {
                // A final refusal of a repetition says nothing of the attempts before it.
                return Some(if tries.uncertain {
                    tries.unknown(failure)
                } else {
                    ClientError::Api(error)
                });
            }
            Next::Again {
                may_have_happened,
                leader,
                not_before,
            } => {
                tries.uncertain |= may_have_happened;
                (
                    self.follow_hints && leader.is_some() && tries.attempts < 4,
                    not_before,
                )
            }
        };
        let random = rand::rng().random::<f64>();
        let wait = if hinted {
            Duration::ZERO
        } else {
            self.backoff.wait(tries.attempts, random)
        };
        let wait = wait.max(not_before);
        // That another leads is no reason while the one that leads gave one.
        if let Failure::Api(error) = failure
            && (tries.told.is_none() || !matches!(error, ApiError::NotLeader { .. }))
        {
            tries.told = Some(error.clone());
        }
        let nobody_there = self.unreachable_after.is_some_and(|patience| {
            !self.reached.load(Ordering::Relaxed)
                && self.endpoint_count() <= tries.attempts as usize
                && tries.begun + patience <= now() + wait
        });
        match failure {
            Failure::Refused(why) => drop(tries.refused.insert(address.to_owned(), *why)),
            Failure::Connect(_) => drop(tries.absent.insert(address.to_owned())),
            _ => {}
        }
        let let_in_nowhere = tries.is_refused_by_all_of(self.endpoint_count());
        if nobody_there || let_in_nowhere || give_up_at <= now() + wait + ATTEMPT_MIN {
            let refused = tries.refused.values().next().copied();
            return Some(match (tries.uncertain, tries.told.take(), refused) {
                (true, ..) => tries.unknown(failure),
                (false, Some(error), _) => ClientError::Api(error),
                (false, None, Some(why)) => ClientError::CertificateRefused { why },
                (false, None, None) => ClientError::Unreachable {
                    attempts: tries.attempts,
                    last: failure.to_string(),
                },
            });
        }
        tokio::time::sleep(wait).await;
        None
    }

    /// The endpoint to ask now and a channel to it.
    pub(crate) fn pick(&self) -> Result<(String, Channel), ClientError> {
        let address = lock(&self.picker).pick(now()).map(str::to_owned);
        let address = address.ok_or_else(no_endpoint)?;
        let mut channels = lock(&self.channels);
        if let Some(channel) = channels.get(&address) {
            return Ok((address, channel.clone()));
        }
        let channel = self.dial.dial(&address)?;
        channels.insert(address.clone(), channel.clone());
        Ok((address, channel))
    }

    fn endpoint_count(&self) -> usize {
        lock(&self.picker).count()
    }

    pub(crate) fn report(&self, address: &str, seen: &Seen) {
        lock(&self.picker).report(address, seen, now());
    }
}

impl Tries {
    pub(crate) fn begin() -> Self {
        Self {
            begun: now(),
            attempts: 0,
            uncertain: false,
            refused: BTreeMap::new(),
            absent: BTreeSet::new(),
            told: None,
        }
    }

    /// Whether this certificate is let in nowhere. One server may be wrong, of its clock or of its roots; not all that there are. That it
    /// is revoked stands in the log of them all: those to which there is no connection are not waited for.
    fn is_refused_by_all_of(&self, endpoint_count: usize) -> bool {
        let revoked = self.refused.values().any(|why| *why == Refusal::Revoked);
        let refused = |address: &&String| self.refused.contains_key(*address);
        let absent = match revoked {
            true => self.absent.iter().filter(|one| !refused(one)).count(),
            false => 0,
        };
        endpoint_count <= self.refused.len() + absent && !self.refused.is_empty()
    }

    fn unknown(&self, failure: &Failure) -> ClientError {
        // What a node said that was up tells more than that another gave no answer, or does not lead.
        let last = match (failure, &self.told) {
            (
                Failure::TimedOut
                | Failure::Silent(_)
                | Failure::Lost(_)
                | Failure::Connect(_)
                | Failure::Refused(_),
                Some(told),
            )
            | (Failure::Api(ApiError::NotLeader { .. }), Some(told)) => told.to_string(),
            _ => failure.to_string(),
        };
        ClientError::UnknownOutcome {
            attempts: self.attempts,
            last,
        }
    }

    fn end<T>(self, outcome: Result<T, ClientError>) -> Called<T> {
        Called {
            outcome,
            attempts: self.attempts,
            uncertain: self.uncertain,
        }
    }
}

fn seen_of(failure: &Failure) -> Seen {
    match failure {
        Failure::Api(ApiError::NotLeader { leader }) => Seen::NotLeader(leader.clone()),
        Failure::Api(ApiError::Overloaded { retry_after }) => Seen::Busy(*retry_after),
        Failure::Api(error) if !error.is_retryable() => Seen::Served,
        Failure::Connect(_)
        | Failure::Refused(_)
        | Failure::Lost(_)
        | Failure::TimedOut
        | Failure::Silent(_)
        | Failure::Api(_) => Seen::Failed,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a signed request or opening may be under way.
pub(crate) fn lifetime() -> DurationMs {
    DurationMs(limits::COMMAND_LIFETIME.as_millis() as u64)
}

pub(crate) fn no_key() -> ClientError {
    ClientError::NoSigner
}

fn no_endpoint() -> ClientError {
    ClientError::Usage("no endpoint is given".into())
}
