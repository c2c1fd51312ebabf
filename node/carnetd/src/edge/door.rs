//! The door of a port: every request passes it before a byte of its body is read.
//!
//! Who asks, whether there is such a method, whether the role may call it, how many its certificate has in work and sends
//! a second: all is judged from certificate and path alone. A body is then read within its size, its time and the one
//! memory budget; an answer is counted until it is sent, and a connection whose other end does not let it out is closed.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use carnet_trust::identity::Plane;
use carnet_wire::limits::RETRY_AFTER_DEFAULT;
use carnet_wire::status::ApiError;
use http::{HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument, error_span, info, warn};

use super::counters::{EdgeCounters, Turned};
use super::memory::{Held, Memory};
use super::methods::{self, Counts, Late, Method, PIECE_TIMEOUT};
use crate::audit::{Audit, Kind, Note};
use crate::clock::Clock;
use crate::service::caller::{denied, spaced};
use crate::share::holder::Holder;
use crate::share::rates::{HOLDER_COUNT_MAX, Paces, Rate, Rates};
use crate::share::requests::{RequestId, RequestIds};
use crate::tls::{InWork, PeerIdentity};
use carnet_consensus::pool::{Pool, PoolLimits};

/// The header of an answer that holds the name of its request.
pub const REQUEST_HEADER: &str = "carnet-request";
/// Lines of the log about answers that are failures of one port: what is more is only counted.
const LINES: Rate = Rate {
    per_second: 10,
    burst: 50,
};
/// In the headers of an answer that is an error, its code, and what it says.
const GRPC_STATUS: &str = "grpc-status";
const GRPC_MESSAGE: &str = "grpc-message";

/// What a port takes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorLimits {
    /// Requests in work, of all certificates and of one.
    pub requests: PoolLimits,
    /// Requests a second of one certificate.
    pub rate: Rate,
    /// Bytes a second of one certificate, in all its requests; four times as many at once.
    pub bytes_per_second: u64,
}

impl DoorLimits {
    /// No limit that anybody reaches.
    pub fn unbounded() -> Self {
        Self {
            requests: PoolLimits {
                total: u64::MAX,
                each: u64::MAX,
            },
            rate: Rate {
                per_second: 1_000_000_000,
                burst: u32::MAX,
            },
            bytes_per_second: 1 << 40,
        }
    }
}

/// Where a port notes who was refused, and what names its requests.
#[derive(Clone)]
pub struct Notes {
    /// The chains of the node.
    pub audit: Arc<Audit>,
    /// What names requests.
    pub requests: RequestIds,
}

/// A layer around the services of one port. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inside>);

struct Inside {
    methods: &'static [Method],
    clock: Arc<dyn Clock>,
    counters: Arc<EdgeCounters>,
    notes: Notes,
    /// Lines of the log about answers that are failures.
    lines: Mutex<Rates<()>>,
    /// None on the Raft plane: its streams go on for ever and keep nothing.
    memory: Option<Memory>,
    requests: Mutex<Pool<Holder>>,
    rates: Mutex<Rates<Holder>>,
    bytes: Mutex<Paces<Holder>>,
    /// By the place of the method.
    shares: Vec<Mutex<Share>>,
}

/// What one method has beside the port's limits.
struct Share {
    pool: Option<Pool<Holder>>,
    rates: Option<Rates<Holder>>,
}

impl Door {
    /// Of a plane's port. Without memory nothing that is sent is counted.
    pub fn new(
        plane: Plane,
        limits: DoorLimits,
        memory: Option<Memory>,
        counters: Arc<EdgeCounters>,
        clock: Arc<dyn Clock>,
        notes: Notes,
    ) -> Self {
        let methods = methods::of(plane);
        let share = |method: &Method| {
            Mutex::new(Share {
                pool: method.share.map(Pool::new),
                rates: method.rate.map(|rate| Rates::new(rate, HOLDER_COUNT_MAX)),
            })
        };
        Self(Arc::new(Inside {
            methods,
            clock,
            counters,
            notes,
            lines: Mutex::new(Rates::new(LINES, 1)),
            memory,
            requests: Mutex::new(Pool::new(limits.requests)),
            rates: Mutex::new(Rates::new(limits.rate, HOLDER_COUNT_MAX)),
            bytes: Mutex::new(Paces::new(
                limits.bytes_per_second,
                limits.bytes_per_second.saturating_mul(4),
                HOLDER_COUNT_MAX,
            )),
            shares: methods.iter().map(share).collect(),
        }))
    }

    /// Judges a request by its path and certificate.
    fn enter<B>(&self, request: &Request<B>) -> Result<Entered, Status> {
        let inside = &self.0;
        let identity = request.extensions().get::<PeerIdentity>();
        let identity = identity.ok_or_else(|| ApiError::Unauthenticated {
            text: "the connection proved nobody".into(),
        })?;
        let holder = identity.holder().clone();
        let path = request.uri().path();
        let found = inside
            .methods
            .iter()
            .enumerate()
            .find(|(_, method)| method.path == path);
        let Some((at, method)) = found else {
            self.turn(Turned::Method, identity, &"");
            return Err(Status::unimplemented("there is no such call on this port"));
        };
        let role = identity.client().map(|client| client.name().role());
        if !methods::may(method.callers, role) {
            self.turn(Turned::Role, identity, &method.path);
            let name = spaced(method.path.rsplit('/').next().unwrap_or_default());
            let refused = match role {
                Some(role) => denied(role, &name, methods::callers(method.callers)),
                None => ApiError::denied(format!("a node may not {name}")),
            };
            return Err(refused.to_status());
        }
        let now = inside.clock.monotonic();
        if let Err(retry_after) = lock(&inside.rates).take(&holder, now) {
            self.turn(Turned::RequestRate, identity, &method.path);
            return Err(ApiError::Overloaded { retry_after }.to_status());
        }
        let busy = |_| {
            self.turn(Turned::Requests, identity, &method.path);
            let retry_after = RETRY_AFTER_DEFAULT;
            ApiError::Overloaded { retry_after }.to_status()
        };
        {
            let mut share = lock(&inside.shares[at]);
            if let Some(rates) = &mut share.rates
                && let Err(retry_after) = rates.take(&holder, now)
            {
                self.turn(Turned::RequestRate, identity, &method.path);
                return Err(ApiError::Overloaded { retry_after }.to_status());
            }
            if let Some(pool) = &mut share.pool {
                pool.take(&holder, 1).map_err(busy)?;
            }
        }
        // From here on dropping it gives everything back.
        let mut entered = Entered {
            door: self.clone(),
            at,
            holder,
            has_place: false,
            held: None,
            in_work: None,
            identity: identity.clone(),
        };
        // Of a stream of requests it is these that have places.
        if method.counts == Counts::Call {
            lock(&inside.requests)
                .take(&entered.holder, 1)
                .map_err(busy)?;
            entered.has_place = true;
        }
        let memory = inside.memory.as_ref();
        entered.held = memory.map(|memory| Arc::new(memory.hold(entered.holder.clone())));
        entered.in_work = Some(identity.connection().begin());
        Ok(entered)
    }

    /// An answer that is an error names its request, and what an operator may be asked about is in the log under that name. Who was
    /// refused is noted first.
    async fn named(
        &self,
        mut response: Response<Body>,
        request: &RequestId,
        who: &PeerIdentity,
        method: &str,
    ) -> Response<Body> {
        let code = response.headers().get(GRPC_STATUS);
        let code = code.and_then(|code| code.to_str().ok()?.parse::<i32>().ok());
        let Some(code) = code.map(Code::from).filter(|code| *code != Code::Ok) else {
            return response;
        };
        let said = response.headers().get(GRPC_MESSAGE);
        let said = said
            .and_then(|said| said.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let about = said.replace("%20", " ");
        if !self.note((code, &about), request, who, method).await {
            return response;
        }
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(request.as_str()) {
            headers.insert(REQUEST_HEADER, value);
        }
        if let Ok(value) = HeaderValue::from_str(&format!("{said} (request {request})")) {
            headers.insert(GRPC_MESSAGE, value);
        }
        response
    }

    /// Notes who was refused, and has what an operator may be asked about in the log; whether the caller is told the name of
    /// the request.
    async fn note(
        &self,
        (code, said): (Code, &str),
        request: &RequestId,
        who: &PeerIdentity,
        method: &str,
    ) -> bool {
        let who = who.to_string();
        match code {
            Code::PermissionDenied => {
                let note = Note {
                    kind: Kind::Denied,
                    who: &who,
                    what: method,
                    about: said,
                    request: request.as_str(),
                };
                self.0.notes.audit.denied(&note).await;
            }
            Code::Internal | Code::Unknown | Code::DataLoss => {
                warn!(%request, %who, method, ?code, said, "answered with an error");
            }
            Code::Unavailable | Code::DeadlineExceeded
                if lock(&self.0.lines)
                    .take(&(), self.0.clock.monotonic())
                    .is_ok() =>
            {
                info!(%request, %who, method, ?code, said, "answered with an error");
            }
            Code::Unavailable | Code::DeadlineExceeded => {}
            // What is wrong is the caller's to see.
            _ => return false,
        }
        true
    }

    /// The path in the table, or none.
    fn method(&self, path: &str) -> &'static str {
        let found = self.0.methods.iter().find(|method| method.path == path);
        found.map_or("", |method| method.path)
    }

    fn turn(&self, why: Turned, identity: &PeerIdentity, detail: &dyn fmt::Display) {
        let now = self.0.clock.monotonic();
        self.0.counters.turn(why, now, identity, detail);
    }
}

fn lock<T>(cell: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every change is whole when it is made, so a poisoned lock holds a whole value.
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that was let in, until its answer is whole.
struct Entered {
    door: Door,
    at: usize,
    holder: Holder,
    has_place: bool,
    held: Option<Arc<Held>>,
    in_work: Option<InWork>,
    identity: PeerIdentity,
}

impl Entered {
    fn method(&self) -> &'static Method {
        &self.door.0.methods[self.at]
    }

    fn late(&self, after: Duration) -> Status {
        let method = self.method();
        self.door
            .turn(Turned::RequestTime, &self.identity, &method.path);
        let text = format!("it took longer than {} s", after.as_secs());
        match method.late {
            Late::Unknown => ApiError::UnknownOutcome { text },
            Late::Nothing => ApiError::unavailable(text),
        }
        .to_status()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let inside = &self.door.0;
        if let Some(pool) = &mut lock(&inside.shares[self.at]).pool {
            pool.give_back(&self.holder, 1);
        }
        if self.has_place {
            lock(&inside.requests).give_back(&self.holder, 1);
        }
    }
}

/// What lets the requests of a stream in, one by one, by the limits of those that come alone. Its handler finds it among the
/// extensions of the call. Cheap to clone.
#[derive(Clone)]
pub struct Pass {
    door: Door,
    at: usize,
    identity: PeerIdentity,
    held: Option<Arc<Held>>,
    /// Of the messages that have come whole and were not let in yet, how many bytes each has on the wire.
    whole: Arc<Mutex<VecDeque<usize>>>,
}

/// A request of a stream that was let in, until this is dropped.
pub struct Place {
    pass: Pass,
    request: RequestId,
    held: Option<Held>,
    has_place: bool,
}

impl Pass {
    /// The next request of the stream, whose bytes count until its place is dropped.
    ///
    /// # Errors
    /// The certificate has its share of requests in work, or has sent too many of late: after how long the next one may be let
    /// in.
    pub fn enter(&self) -> Result<Place, Duration> {
        let inside = &self.door.0;
        let size = lock(&self.whole).pop_front().unwrap_or_default();
        let mut place = Place {
            pass: self.clone(),
            request: inside.notes.requests.draw(),
            held: self.held.as_ref().map(|held| held.part(size)),
            has_place: false,
        };
        let holder = self.identity.holder();
        let now = inside.clock.monotonic();
        let rated = lock(&inside.rates).take(holder, now);
        if let Err(retry_after) = rated {
            self.turn(Turned::RequestRate);
            return Err(retry_after);
        }
        let taken = lock(&inside.requests).take(holder, 1);
        if taken.is_err() {
            self.turn(Turned::Requests);
            return Err(RETRY_AFTER_DEFAULT);
        }
        place.has_place = true;
        Ok(place)
    }

    fn turn(&self, why: Turned) {
        let method = &self.door.0.methods[self.at];
        self.door.turn(why, &self.identity, &method.path);
    }
}

impl Place {
    /// What the request is called.
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// The request is over: from now on the bytes of its answer count, until what is returned is dropped.
    pub fn answered(mut self, size: usize) -> Option<Held> {
        let held = self.held.take().map(|held| held.part(0));
        if let Some(held) = &held {
            held.charge(size);
        }
        held
    }

    /// Notes a failure as that of a call of its own; names the request in it where an operator may be asked about it.
    pub async fn failed(&self, status: Status) -> Status {
        let Pass {
            door, at, identity, ..
        } = &self.pass;
        let method = &door.0.methods[*at];
        let (code, said) = (status.code(), status.message());
        let named = door.note((code, said), &self.request, identity, method.path);
        if !named.await {
            return status;
        }
        let said = format!("{said} (request {})", self.request);
        Status::with_details(code, said, Bytes::copy_from_slice(status.details()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.has_place {
            let inside = &self.pass.door.0;
            lock(&inside.requests).give_back(self.pass.identity.holder(), 1);
        }
    }
}

impl<S> Layer<S> for Door {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            door: self.clone(),
        }
    }
}

/// The services of a port behind its door.
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    door: Door,
}

type Answering<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = self.door.0.notes.requests.draw();
        let entered = match self.door.enter(&request) {
            Ok(entered) => entered,
            // The body goes unread, and with it what the connection let the caller send.
            Err(refused) => {
                let door = self.door.clone();
                let identity = request.extensions().get::<PeerIdentity>().cloned();
                // Of the table: a path that it does not have is the caller's invention.
                let method = door.method(request.uri().path());
                return Box::pin(async move {
                    let refused = refused.into_http();
                    let Some(identity) = identity else {
                        return Ok(refused);
                    };
                    Ok(door.named(refused, &id, &identity, method).await)
                });
            }
        };
        let method = entered.method();
        let mut request = request;
        request.extensions_mut().insert(id.clone());
        let mut framing = None;
        if method.counts == Counts::Messages {
            let whole = Arc::<Mutex<VecDeque<usize>>>::default();
            framing = Some(Framing::new(Arc::clone(&whole)));
            request.extensions_mut().insert(Pass {
                door: self.door.clone(),
                at: entered.at,
                identity: entered.identity.clone(),
                held: entered.held.clone(),
                whole,
            });
        }
        let identity = entered.identity.clone();
        let span = error_span!("request", %id, method = method.path);
        let door = self.door.clone();
        let request = request.map(|body| {
            Body::new(Asked {
                body,
                left: method.request_bytes_max,
                framing,
                held: entered.held.clone(),
                timer: Box::pin(tokio::time::sleep(PIECE_TIMEOUT)),
                waits: None,
                door: self.door.clone(),
                identity: entered.identity.clone(),
            })
        });
        let answering = self.inner.call(request).instrument(span);
        Box::pin(async move {
            let answered = match method.timeout {
                None => answering.await,
                Some(timeout) => match tokio::time::timeout(timeout, answering).await {
                    Ok(answered) => answered,
                    Err(_) => Ok(entered.late(timeout).into_http()),
                },
            };
            let response = door.named(answered?, &id, &identity, method.path).await;
            Ok(response.map(|body| Body::new(Answer::new(body, entered))))
        })
    }
}

/// Where the messages of a stream end, by what stands before each: a byte, and its length in four more.
struct Framing {
    head: [u8; 5],
    /// Bytes of the head that have come.
    of_head: usize,
    /// Bytes of the message that are still to come.
    left: usize,
    whole: Arc<Mutex<VecDeque<usize>>>,
}

impl Framing {
    fn new(whole: Arc<Mutex<VecDeque<usize>>>) -> Self {
        Self {
            head: [0; 5],
            of_head: 0,
            left: 0,
            whole,
        }
    }

    fn is_in_the_middle(&self) -> bool {
        self.of_head > 0
    }

    fn came(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.of_head < self.head.len() {
                self.head[self.of_head] = bytes[0];
                self.of_head += 1;
                bytes = &bytes[1..];
                if self.of_head < self.head.len() {
                    continue;
                }
                let [_, a, b, c, d] = self.head;
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            } else {
                let part = bytes.len().min(self.left);
                self.left -= part;
                bytes = &bytes[part..];
            }
            if self.left == 0 {
                let [_, a, b, c, d] = self.head;
                let size = u32::from_be_bytes([a, b, c, d]) as usize;
                lock(&self.whole).push_back(size.saturating_add(self.head.len()));
                self.of_head = 0;
            }
        }
    }
}

/// The body of a request as it comes.
struct Asked {
    body: Body,
    /// Bytes that may still come.
    left: Option<usize>,
    /// Where each message is a request.
    framing: Option<Framing>,
    held: Option<Arc<Held>>,
    timer: Pin<Box<Sleep>>,
    /// Until when no more is read: what the transport holds meanwhile is bounded by its windows.
    waits: Option<Pin<Box<Sleep>>>,
    door: Door,
    identity: PeerIdentity,
}

impl Asked {
    /// Whether there is something that has to come.
    fn is_in_the_middle(&self) -> bool {
        match &self.framing {
            Some(framing) => framing.is_in_the_middle(),
            None => self.held.is_some(),
        }
    }

    fn take(&mut self, size: usize) -> Result<(), Status> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(size).ok_or_else(|| {
                let text = "the request has more bytes than this call takes".to_owned();
                ApiError::TooLarge { text }.to_status()
            })?;
        }
        let Some(held) = &self.held else {
            return Ok(());
        };
        let inside = &self.door.0;
        let wait = lock(&inside.bytes).came(
            self.identity.holder(),
            size as u64,
            inside.clock.monotonic(),
        );
        if !wait.is_zero() {
            self.waits = Some(Box::pin(tokio::time::sleep(wait)));
        }
        held.grow(size).map_err(|_| {
            self.door.turn(Turned::Memory, &self.identity, &"");
            let retry_after = RETRY_AFTER_DEFAULT;
            ApiError::Overloaded { retry_after }.to_status()
        })
    }
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(waits) = &mut self.waits {
            std::task::ready!(waits.as_mut().poll(cx));
            self.waits = None;
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.timer.as_mut().reset(Instant::now() + PIECE_TIMEOUT);
                let size = frame.data_ref().map_or(0, Bytes::len);
                if let (Some(framing), Some(bytes)) = (&mut self.framing, frame.data_ref()) {
                    framing.came(bytes);
                }
                if let Err(status) = self.take(size) {
                    return Poll::Ready(Some(Err(status)));
                }
            }
            // On the Raft plane silence is part of a stream; everybody else has something to say.
            Poll::Pending if self.is_in_the_middle() && self.timer.as_mut().poll(cx).is_ready() => {
                self.door.turn(Turned::RequestTime, &self.identity, &"");
                let text = "the request stopped in the middle".to_owned();
                let status = ApiError::DidNotHappen { text }.to_status();
                return Poll::Ready(Some(Err(status)));
            }
            Poll::Ready(Some(Err(_)) | None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer as it goes.
struct Answer {
    body: Body,
    /// `None` once the answer is whole.
    entered: Option<Entered>,
    memory: Option<Memory>,
    holder: Holder,
    /// Bytes that may still go.
    left: Option<usize>,
    timer: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Answer {
    fn new(body: Body, entered: Entered) -> Self {
        let every = entered.method().answers_every;
        Self {
            body,
            memory: entered.door.0.memory.clone(),
            holder: entered.holder.clone(),
            left: entered.method().answer_bytes_max,
            timer: every.map(|every| (every, Box::pin(tokio::time::sleep(every)))),
            entered: Some(entered),
        }
    }

    /// A piece of the answer, counted, and owed by its connection until it is sent. What was read can be read again, so without room
    /// it is not sent; what was done has to be told.
    fn counted(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Status> {
        let (Some(memory), Some(entered)) = (&self.memory, &self.entered) else {
            return Ok(frame);
        };
        let bytes = match frame.into_data() {
            Err(trailers) => return Ok(trailers),
            Ok(bytes) => bytes,
        };
        let (method, retry_after) = (entered.method(), RETRY_AFTER_DEFAULT);
        let turned = |why| {
            entered.door.turn(why, &entered.identity, &method.path);
            ApiError::Overloaded { retry_after }.to_status()
        };
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(bytes.len())
                .ok_or_else(|| turned(Turned::RequestRate))?;
        }
        let bytes = match method.late {
            Late::Unknown => memory.charged(&self.holder, bytes),
            Late::Nothing => memory
                .fitted(&self.holder, bytes)
                .map_err(|_| turned(Turned::Memory))?,
        };
        Ok(Frame::data(entered.identity.connection().owed().owe(bytes)))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some((every, timer)) = &mut self.timer {
                    timer.as_mut().reset(Instant::now() + *every);
                }
                Poll::Ready(Some(self.counted(frame)))
            }
            Poll::Pending => {
                if let Some((every, timer)) = &mut self.timer
                    && timer.as_mut().poll(cx).is_ready()
                {
                    let every = *every;
                    let status = self.entered.take().map(|entered| entered.late(every));
                    return Poll::Ready(status.map(Err));
                }
                Poll::Pending
            }
            over @ Poll::Ready(None | Some(Err(_))) => {
                self.entered = None;
                over
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
