//! One stream of requests to each server: many under way at a time, answered in any order.
//!
//! What comes back is what a call of its own would have come to, so whoever retries need not know that there is a stream.
//! A stream that breaks says of each request whether it was sent: what was not sent did not happen, and of what was sent and
//! not answered the outcome is as unknown as that of a call whose connection broke.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use carnet_wire::limits::SUBMIT_STREAM_REQUESTS_MAX;
use carnet_wire::registry::v1 as pb;
use carnet_wire::registry::v1::submit_stream_response::Outcome;
use carnet_wire::status::{ApiError, Effect, of_failure};
use futures::Stream;
use tokio::sync::{Notify, mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::call::{failure_of, registry};
use crate::clock::now;
use crate::retry::Failure;

/// A request given up after so long makes way for a stream that nothing stands in.
const SLOW: Duration = Duration::from_secs(1);

/// The streams of a client, by address.
#[derive(Default)]
pub(crate) struct Streams(Mutex<BTreeMap<String, Line>>);

/// The near end of a stream.
#[derive(Clone)]
struct Line {
    calls: mpsc::Sender<Call>,
    shared: Arc<Shared>,
}

/// What became of one request, as the server said, or as the stream broke.
type Answered = Result<pb::SubmitResponse, Status>;

/// A request that waits to be sent.
struct Call {
    request: Bytes,
    answer: oneshot::Sender<Answered>,
}

/// What both directions of a stream know.
#[derive(Default)]
struct Shared {
    inside: Mutex<Inside>,
    /// Somebody who waited for an answer gave up.
    given_up: Notify,
}

#[derive(Default)]
struct Inside {
    /// How many requests were sent: none before the server took the stream.
    sent: u64,
    /// Who waits for the answer to one that was.
    waiting: BTreeMap<u64, oneshot::Sender<Answered>>,
    /// No more is put on it.
    retired: bool,
    /// How it ended.
    over: Option<Status>,
}

/// What became of a request that was put on a stream.
enum Fate {
    Answered(Answered),
    /// The stream was over before.
    NotSent(Status),
}

impl Streams {
    /// Asks a server for one request to be executed, on the stream that leads there.
    pub(crate) fn ask<'a>(
        &'a self,
        address: &str,
        channel: Channel,
        request: &Bytes,
    ) -> impl Future<Output = Result<Response<pb::SubmitResponse>, Status>> + Send + use<'a> {
        let (address, request) = (address.to_owned(), request.clone());
        async move {
            let (line, is_new) = self.line(&address, &channel);
            let mut fate = line.ask(request.clone()).await;
            if let (Fate::NotSent(_), false) = (&fate, is_new) {
                // It was ended at the other side, most often because nothing was asked for long.
                let (line, _) = self.line(&address, &channel);
                fate = line.ask(request).await;
            }
            match fate {
                Fate::Answered(answered) => answered.map(Response::new),
                Fate::NotSent(status) => Err(status),
            }
        }
    }

    /// The stream to a server, and whether it is opened by this.
    fn line(&self, address: &str, channel: &Channel) -> (Line, bool) {
        let mut lines = lock(&self.0);
        if let Some(line) = lines.get(address).filter(|line| line.is_open()) {
            return (line.clone(), false);
        }
        let (calls, waiting) = mpsc::channel(SUBMIT_STREAM_REQUESTS_MAX);
        let shared = Arc::<Shared>::default();
        let line = Line {
            calls,
            shared: Arc::clone(&shared),
        };
        lines.insert(address.to_owned(), line.clone());
        // It ends when the last near end is dropped and everything is answered, or nobody waits.
        tokio::spawn(run(channel.clone(), waiting, shared));
        (line, true)
    }
}

impl Line {
    fn is_open(&self) -> bool {
        let inside = self.shared.lock();
        !inside.retired && inside.over.is_none() && !self.calls.is_closed()
    }

    async fn ask(self, request: Bytes) -> Fate {
        let Self { calls, shared } = self;
        let (answer, mut answered) = oneshot::channel();
        let mut patience = Patience {
            shared: Some(Arc::clone(&shared)),
            begun: now(),
        };
        let came = match calls.send(Call { request, answer }).await {
            Ok(()) => {
                // The other side is told the end of a stream when nobody can put anything on it.
                drop(calls);
                (&mut answered).await.ok()
            }
            Err(_) => None,
        };
        patience.shared = None;
        match came {
            Some(answered) => Fate::Answered(answered),
            None => Fate::NotSent(shared.why_not_sent()),
        }
    }
}

/// Whoever gives up after long tells the stream, by dropping this.
struct Patience {
    shared: Option<Arc<Shared>>,
    begun: Instant,
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            if now().saturating_duration_since(self.begun) >= SLOW {
                shared.lock().retired = true;
            }
            shared.given_up.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        lock(&self.inside)
    }

    /// Hands an answer to whoever waits for it, if anybody does.
    fn answered(&self, message: pb::SubmitStreamResponse) {
        let Some(waits) = self.lock().waiting.remove(&message.number) else {
            return;
        };
        // Whoever gave up meanwhile is told nothing.
        let _ = waits.send(match message.outcome {
            Some(Outcome::Answer(answer)) => Ok(answer),
            Some(Outcome::Failure(failure)) => Err(of_failure(failure)),
            None => Err(Status::unknown("an answer without an outcome")),
        });
    }

    /// Tells everybody who waits how the stream ended; from now on nothing is sent.
    fn end(&self, status: Status) {
        let waiting = {
            let mut inside = self.lock();
            inside.over = Some(status.clone());
            std::mem::take(&mut inside.waiting)
        };
        // Whoever waits was sent. That nothing happened is believed of the registry alone, which says so when it has answered
        // all that it took; a connection that broke and a proxy know nothing of it.
        let said = match ApiError::of_ours(&status) {
            Some(_) => status,
            None => Status::unknown(format!("the stream broke: {}", status.message())),
        };
        for waits in waiting.into_values() {
            let _ = waits.send(Err(said.clone()));
        }
    }

    /// The status of a request that was never sent: how the stream ended, but for what that leaves open.
    fn why_not_sent(&self) -> Status {
        let over = self.lock().over.clone();
        let plain = || ApiError::unavailable("the stream ended before the request was sent");
        let Some(over) = over else {
            return plain().to_status();
        };
        let says = match failure_of(&over) {
            Failure::Connect(_) | Failure::Refused(_) => true,
            Failure::Api(error) => error.effect() == Effect::None,
            Failure::TimedOut | Failure::Silent(_) | Failure::Lost(_) => false,
        };
        match says {
            true => over,
            false => plain().to_status(),
        }
    }

    /// Ends when nothing more is put on the stream and nobody waits for an answer of it.
    async fn is_of_no_use(&self) {
        loop {
            self.given_up.notified().await;
            let mut inside = self.lock();
            if inside.retired {
                inside.waiting.retain(|_, waits| !waits.is_closed());
                if inside.waiting.is_empty() {
                    return;
                }
            }
        }
    }
}

/// The requests of a stream as they are sent: not before the server took the stream, so that of a stream that was never taken
/// none was sent.
struct Sending {
    taken: Option<oneshot::Receiver<()>>,
    calls: mpsc::Receiver<Call>,
    shared: Arc<Shared>,
}

impl Stream for Sending {
    type Item = pb::SubmitStreamRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(taken) = &mut self.taken {
            // Dropped, the stream was refused.
            if std::task::ready!(Pin::new(taken).poll(cx)).is_err() {
                return Poll::Ready(None);
            }
            self.taken = None;
        }
        loop {
            let Some(call) = std::task::ready!(self.calls.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            if call.answer.is_closed() {
                continue;
            }
            let mut inside = self.shared.lock();
            // Whoever waits for one that is put on an ended stream would wait for ever.
            if inside.over.is_some() {
                return Poll::Ready(None);
            }
            inside.sent += 1;
            let number = inside.sent;
            inside.waiting.insert(number, call.answer);
            let request = call.request;
            return Poll::Ready(Some(pb::SubmitStreamRequest { request }));
        }
    }
}

/// A stream from its beginning to its end.
async fn run(channel: Channel, calls: mpsc::Receiver<Call>, shared: Arc<Shared>) {
    let (take, taken) = oneshot::channel();
    let sending = Sending {
        taken: Some(taken),
        calls,
        shared: Arc::clone(&shared),
    };
    let status = tokio::select! {
        ended = converse(channel, (sending, take), &shared) => ended.err(),
        () = shared.is_of_no_use() => None,
    };
    // A server that ends a stream on its own says why; without that, what was sent may have been executed.
    let silent = || Status::unknown("the stream ended without an answer");
    shared.end(status.unwrap_or_else(silent));
}

async fn converse(
    channel: Channel,
    (sending, take): (Sending, oneshot::Sender<()>),
    shared: &Shared,
) -> Result<(), Status> {
    let mut client = registry(channel);
    let mut answers = client.submit_stream(sending).await?.into_inner();
    // It is gone if the connection broke in between.
    let _ = take.send(());
    while let Some(message) = answers.message().await? {
        shared.answered(message);
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
