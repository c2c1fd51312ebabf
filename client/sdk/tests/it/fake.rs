//! A registry of one or more nodes in memory: executes every request once, and misbehaves as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use carnet_client::tls::TlsError;
use carnet_client::{Backoff, Client, ClientBuilder, Dial, FileSigner};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::authority::{SignedHeader, verify_header_in_log};
use carnet_domain::machine::Question;
use carnet_domain::machine::entry::{Answer, ItemAnswer, Request as Signed};
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_wire::registry::v1::registry_server::{Registry, RegistryServer};
use carnet_wire::registry::v1::submit_stream_response::Outcome;
use carnet_wire::registry::v1::*;
use carnet_wire::status::{ApiError, to_failure};
use futures::stream::BoxStream;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

pub(crate) const SEED: [u8; 32] = [7; 32];

/// What a node does with the next request.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// Executes it and loses the answer.
    LoseAnswer,
    /// Refuses before executing.
    Say(ApiError),
    /// Answers a lawful "no" of the session.
    Refuse(Reason),
    /// Says that the command's time is over: log time is this.
    Expired(TimeMs),
    /// Bulk: executes all and breaks the stream after so many answers.
    BreakAfter(usize),
    /// Bulk: says that the log entry of a part had room for so many items.
    Room(usize),
}

/// Evidence for a question.
pub(crate) type Proves = Box<dyn FnMut(&ProveRequest) -> Vec<u8> + Send>;
/// The leaves of a history, oldest first.
pub(crate) type ShowsHistory = Box<dyn FnMut() -> Vec<Vec<u8>> + Send>;

#[derive(Default)]
pub(crate) struct State {
    /// What comes next, whatever the node.
    pub(crate) moods: VecDeque<Mood>,
    /// What it does when nothing stands in `moods`.
    pub(crate) always: Option<Mood>,
    /// Requests that arrived, by node.
    pub(crate) arrived: Vec<String>,
    /// Items executed.
    pub(crate) executed: u64,
    /// Streams of requests that were opened.
    pub(crate) streams: usize,
    /// What is said instead of opening one.
    pub(crate) refuse_streams: Option<ApiError>,
    /// After so many answers a stream is ended, as one that was asked nothing for long.
    pub(crate) stream_ends_after: Option<u64>,
    /// Answers what was never asked, and twice.
    pub(crate) babbles: bool,
    /// Sessions opened.
    pub(crate) sessions: u64,
    /// What is answered to questions for evidence, if anything.
    pub(crate) prove: Option<Proves>,
    /// How long it works on an answer to a question for a record.
    pub(crate) slow: Option<Duration>,
    /// The pack, if there is one.
    pub(crate) pack: Option<Vec<u8>>,
    /// How often the pack was asked for.
    pub(crate) packs: usize,
    /// How often a verdict was asked for, and of how many calls each second one is told to come again.
    pub(crate) verdicts: usize,
    pub(crate) too_often: usize,
    /// What is answered to questions for a history, if anything.
    pub(crate) history: Option<ShowsHistory>,
    /// How many items of a question find room in one answer.
    pub(crate) room: usize,
    /// Until when the last request executed was good.
    pub(crate) not_after: TimeMs,
    answers: BTreeMap<(u64, u64, u32), (Digest, Answer)>,
}

/// The shared state and a dialler to its nodes.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    doors: Arc<BTreeMap<String, mpsc::UnboundedSender<DuplexStream>>>,
}

impl Fake {
    /// Starts nodes of these names on the current runtime.
    pub(crate) fn start(nodes: &[&str]) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let mut doors = BTreeMap::new();
        for node in nodes {
            let (door, mut visitors) = mpsc::unbounded_channel::<DuplexStream>();
            let incoming = futures::stream::poll_fn(move |cx| {
                visitors
                    .poll_recv(cx)
                    .map(|v| v.map(Ok::<_, std::io::Error>))
            });
            let service = Node {
                name: (*node).to_owned(),
                state: Arc::clone(&state),
            };
            tokio::spawn(
                Server::builder()
                    .add_service(RegistryServer::new(service))
                    .serve_with_incoming(incoming),
            );
            doors.insert((*node).to_owned(), door);
        }
        Self {
            state,
            doors: Arc::new(doors),
        }
    }

    /// A node of this name besides that takes every connection and never says anything, as a process that was stopped.
    pub(crate) fn with_silent(mut self, node: &str) -> Self {
        let (door, mut visitors) = mpsc::unbounded_channel::<DuplexStream>();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Some(visitor) = visitors.recv().await {
                held.push(visitor);
            }
        });
        let mut doors = BTreeMap::clone(&self.doors);
        doors.insert(node.to_owned(), door);
        self.doors = Arc::new(doors);
        self
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a lock")
    }

    pub(crate) fn moods(&self, moods: impl IntoIterator<Item = Mood>) {
        self.state().moods = moods.into_iter().collect();
    }

    pub(crate) fn builder(&self, endpoints: &[&str]) -> ClientBuilder {
        Client::builder(endpoints.iter().copied(), self.clone())
            .signer(Arc::new(FileSigner::new(SecretKey::from_seed(&SEED))))
            .backoff(Backoff {
                base: Duration::from_millis(1),
                most: Duration::from_millis(2),
            })
    }

    pub(crate) fn client(&self, endpoints: &[&str]) -> Client {
        self.builder(endpoints).build().expect("a client")
    }
}

impl Dial for Fake {
    fn dial(&self, address: &str) -> Result<Channel, TlsError> {
        let door = self.doors.get(address).cloned();
        let connector = tower::service_fn(move |_| {
            let door = door.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(1 << 20);
                let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                door.ok_or_else(refused)?
                    .send(theirs)
                    .map_err(|_| refused())?;
                Ok::<_, std::io::Error>(TokioIo::new(ours))
            }
        });
        Ok(Endpoint::from_static("http://node").connect_with_connector_lazy(connector))
    }
}

#[derive(Clone)]
struct Node {
    name: String,
    state: Arc<Mutex<State>>,
}

fn key() -> PublicKey {
    SecretKey::from_seed(&SEED).public()
}

impl State {
    fn mood(&mut self, node: &str) -> Option<Mood> {
        self.arrived.push(node.to_owned());
        self.moods.pop_front().or_else(|| self.always.clone())
    }

    /// Executes once by session, number and first item; a repetition gives the stored answer.
    fn execute(
        &mut self,
        header: &[u8],
        signature: &Signature,
        first: u32,
        items: Vec<Blob>,
    ) -> Result<Answer, Status> {
        let verified = verify_header_in_log(header, signature, &key(), false)
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        let SignedHeader {
            session,
            sequence,
            item_count,
            not_after,
            ..
        } = *verified.header();
        self.not_after = not_after;
        if items.len() == item_count as usize {
            verified
                .items(first, items.clone(), &[])
                .map_err(|e| Status::invalid_argument(e.to_string()))?;
        }
        let digest = carnet_domain::bytes::digest::sha256(&[header, &signature.0]);
        if let Some((seen, answer)) = self.answers.get(&(session, sequence, first)) {
            let same = *seen == digest;
            return Ok(if same {
                answer.clone()
            } else {
                refused(Reason::IdempotencyMismatch)
            });
        }
        let done = items.iter().map(|item| {
            self.executed += 1;
            ItemAnswer::Done {
                leaf_index: self.executed,
                leaf_hash: carnet_domain::bytes::digest::sha256(&[&item.0]),
                sequence: 0,
                waits: false,
            }
        });
        let items = done.collect();
        let answer = Answer {
            at: TimeMs(1_000),
            size: self.executed,
            session: None,
            items,
        };
        self.answers
            .insert((session, sequence, first), (digest, answer.clone()));
        Ok(answer)
    }
}

fn refused(reason: Reason) -> Answer {
    let items = vec![ItemAnswer::Refused {
        rejection: Rejection::from(reason),
    }];
    Answer {
        at: TimeMs(1_000),
        size: 0,
        session: None,
        items,
    }
}

fn expired(at: TimeMs) -> Answer {
    Answer {
        at,
        ..refused(Reason::CommandExpired)
    }
}

fn lost() -> Status {
    Status::unavailable("connection reset")
}

impl Node {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a lock")
    }
}

impl Node {
    /// One request: what it comes to, and whether nobody is told.
    fn one(&self, request: &[u8]) -> (Result<SubmitResponse, Status>, bool) {
        let signed = match Signed::from_bytes(request) {
            Ok(signed) => signed,
            Err(error) => return (Err(Status::invalid_argument(error.to_string())), false),
        };
        let mut state = self.state();
        let mood = state.mood(&self.name);
        let mut execute = || {
            state.execute(
                &signed.header.0,
                &signed.signature,
                signed.first_item,
                signed.items.clone(),
            )
        };
        let is_lost = matches!(mood, Some(Mood::LoseAnswer | Mood::BreakAfter(_)));
        let answer = match mood {
            Some(Mood::Say(error)) => Err(error.to_status()),
            Some(Mood::Refuse(reason)) => Ok(refused(reason)),
            Some(Mood::Expired(at)) => Ok(expired(at)),
            None | Some(Mood::LoseAnswer | Mood::BreakAfter(_) | Mood::Room(_)) => execute(),
        };
        let answered = answer.map(|answer| SubmitResponse {
            answer: answer.to_bytes().into(),
            position: None,
            checkpoint: String::new(),
        });
        (answered, is_lost)
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Registry for Node {
    async fn open_session(
        &self,
        request: Request<OpenSessionRequest>,
    ) -> Answered<OpenSessionResponse> {
        let mut state = self.state();
        let mut session = 0;
        if !request.get_ref().opening.is_empty() {
            state.sessions += 1;
            session = state.sessions;
        }
        Ok(Response::new(OpenSessionResponse {
            session,
            prefix: "86".into(),
            incarnation: 1,
            ..Default::default()
        }))
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Answered<SubmitResponse> {
        let (answered, is_lost) = self.one(&request.into_inner().request);
        match is_lost {
            true => Err(lost()),
            false => answered.map(Response::new),
        }
    }

    type SubmitStreamStream = BoxStream<'static, Result<SubmitStreamResponse, Status>>;

    async fn submit_stream(
        &self,
        request: Request<Streaming<SubmitStreamRequest>>,
    ) -> Answered<Self::SubmitStreamStream> {
        self.state().streams += 1;
        let refused = self.state().refuse_streams.clone();
        if let Some(error) = refused {
            return Err(error.to_status());
        }
        let (node, mut requests) = (self.clone(), request.into_inner());
        let (sends, mut answers) = mpsc::channel(4);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok(Some(message)) = requests.message().await {
                number += 1;
                let (answered, is_lost) = node.one(&message.request);
                if is_lost {
                    let _ = sends.send(Err(lost())).await;
                    return;
                }
                let outcome = match answered {
                    Ok(answer) => Outcome::Answer(answer),
                    Err(status) => Outcome::Failure(to_failure(&status)),
                };
                let mut said = vec![SubmitStreamResponse {
                    number,
                    outcome: Some(outcome),
                }];
                let (babbles, ends_after) = {
                    let state = node.state();
                    (state.babbles, state.stream_ends_after)
                };
                if babbles {
                    // Of a request that was never sent, and twice of one that was.
                    let mut other = said[0].clone();
                    other.number += 1_000;
                    said.extend([said[0].clone(), other]);
                }
                for answer in said {
                    let _ = sends.send(Ok(answer)).await;
                }
                if ends_after == Some(number) {
                    let idle = ApiError::unavailable("nothing was asked for long");
                    let _ = sends.send(Err(idle.to_status())).await;
                    return;
                }
            }
        });
        let answers = futures::stream::poll_fn(move |cx| answers.poll_recv(cx));
        Ok(Response::new(Box::pin(answers)))
    }

    type SubmitBulkStream = BoxStream<'static, Result<BulkResponse, Status>>;

    async fn submit_bulk(
        &self,
        request: Request<Streaming<BulkRequest>>,
    ) -> Answered<Self::SubmitBulkStream> {
        let mut messages = request.into_inner();
        let mut items: Vec<Blob> = Vec::new();
        let (mut header, mut signature) = (Bytes::new(), Bytes::new());
        while let Some(message) = messages.message().await? {
            if !message.header.is_empty() {
                (header, signature) = (message.header, message.signature);
            }
            items.extend(message.items.iter().map(|bytes| Blob(bytes.to_vec())));
        }
        let signature = carnet_wire::convert::signature("signature", &signature)?;
        let mut state = self.state();
        let mood = state.mood(&self.name);
        if let Some(Mood::Say(error)) = &mood {
            return Err(error.to_status());
        }
        if let Some(Mood::Expired(at)) = mood {
            let answer = expired(at).to_bytes().into();
            let refused = BulkResponse {
                first_item: 0,
                answer,
                position: None,
            };
            return Ok(Response::new(Box::pin(futures::stream::iter([Ok(
                refused,
            )]))));
        }
        let signed = SignedHeader::from_bytes(&header)
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        let mut out = Vec::new();
        let mut first = 0;
        for items in items.chunks(signed.part_items.max(1) as usize) {
            let count = items.len() as u32;
            let mut answer = state.execute(&header, &signature, first, items.to_vec())?;
            if let Some(Mood::Room(room)) = mood {
                for item in answer.items.iter_mut().skip(room) {
                    let rejection = Rejection::from(Reason::EntryFull);
                    *item = ItemAnswer::Refused { rejection };
                }
            }
            out.push(Ok(BulkResponse {
                first_item: first,
                answer: answer.to_bytes().into(),
                position: None,
            }));
            first += count;
        }
        match mood {
            Some(Mood::BreakAfter(count)) => {
                out.truncate(count);
                out.push(Err(lost()));
            }
            Some(Mood::LoseAnswer) => return Err(lost()),
            _ => {}
        }
        Ok(Response::new(Box::pin(futures::stream::iter(out))))
    }

    async fn foresee(&self, request: Request<ForeseeRequest>) -> Answered<ForeseeResponse> {
        let asked = Question::from_bytes(&request.get_ref().question);
        let asked = asked.map_err(|e| Status::invalid_argument(e.to_string()))?;
        let mut state = self.state();
        state.arrived.push(self.name.clone());
        let room = state.room;
        let items = asked.items.iter().enumerate().map(|(at, item)| {
            let reason = match at {
                at if at >= room => Reason::EntryFull,
                _ if item.0.len() % 2 == 0 => Reason::CodeExists,
                _ => return ItemAnswer::Nothing {},
            };
            let rejection = Rejection::from(reason);
            ItemAnswer::Refused { rejection }
        });
        let answer = Answer {
            at: TimeMs(1_000),
            size: 0,
            session: None,
            items: items.collect(),
        };
        Ok(Response::new(ForeseeResponse {
            answer: answer.to_bytes().into(),
            position: None,
        }))
    }

    async fn get_record(&self, _: Request<GetRecordRequest>) -> Answered<GetRecordResponse> {
        let slow = self.state().slow;
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
        let mut state = self.state();
        let (mood, pack) = (state.mood(&self.name), state.pack.clone());
        state.packs += 1;
        match (mood, pack) {
            (Some(Mood::Say(error)), _) => Err(error.to_status()),
            (_, Some(pack)) => Ok(Response::new(GetRecordResponse {
                record: pack.into(),
                position: None,
            })),
            _ => Err(ApiError::not_found("nothing here").to_status()),
        }
    }

    async fn list_records(&self, _: Request<ListRecordsRequest>) -> Answered<ListRecordsResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn list_history(
        &self,
        request: Request<ListHistoryRequest>,
    ) -> Answered<ListHistoryResponse> {
        let shown = self.state().history.as_mut().map(|shown| shown());
        let leaves = shown.unwrap_or_default();
        // An empty page that says that more follows.
        let next_sequence = match leaves.is_empty() {
            true => request.get_ref().from_sequence + 1,
            false => 0,
        };
        Ok(Response::new(ListHistoryResponse {
            leaves: leaves.into_iter().map(Bytes::from).collect(),
            next_sequence,
            position: None,
        }))
    }

    async fn list_movements(
        &self,
        _: Request<ListMovementsRequest>,
    ) -> Answered<ListMovementsResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn query_movements(
        &self,
        _: Request<QueryMovementsRequest>,
    ) -> Answered<QueryMovementsResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn count_movements(
        &self,
        _: Request<CountMovementsRequest>,
    ) -> Answered<CountMovementsResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn get_checkpoint(
        &self,
        _: Request<GetCheckpointRequest>,
    ) -> Answered<GetCheckpointResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn prove(&self, request: Request<ProveRequest>) -> Answered<ProveResponse> {
        let mut state = self.state();
        state.arrived.push(self.name.clone());
        let shown = state.prove.as_mut().map(|prove| prove(request.get_ref()));
        let evidence = shown.unwrap_or_default().into();
        Ok(Response::new(ProveResponse { evidence }))
    }

    async fn verify(&self, _: Request<VerifyRequest>) -> Answered<VerifyResponse> {
        let mut state = self.state();
        state.verdicts += 1;
        if state.verdicts.is_multiple_of(2) && state.too_often > 0 {
            state.too_often -= 1;
            let retry_after = Duration::from_millis(1);
            return Err(ApiError::Overloaded { retry_after }.to_status());
        }
        Ok(Response::new(Default::default()))
    }
}
