//! A stream of requests: many in work at a time, each answered when its own answer is there.
//!
//! Nothing here knows a request: what becomes of each is the caller's. What is kept is the order of the end. Every request
//! that was taken is answered before the stream ends, so whoever sees it end with a status knows that the others were never
//! taken. Answers are made when the transport asks for them: for a client that reads none, nothing more is read.

use std::pin::Pin;
use std::task::{Context, Poll};

use carnet_wire::limits::SUBMIT_STREAM_REQUESTS_MAX;
use carnet_wire::registry::v1::{SubmitStreamRequest, SubmitStreamResponse};
use carnet_wire::status::ApiError;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::edge::methods::STREAM_IDLE;

/// The answer to one request, to come.
pub(super) type Answering = BoxFuture<'static, SubmitStreamResponse>;

/// The answers to a stream of requests.
pub(super) struct Submitting<R, A> {
    requests: R,
    /// Has one of them done, by its number.
    ask: A,
    /// How many were taken.
    taken: u64,
    in_work: FuturesUnordered<Answering>,
    /// Why no more are taken.
    over: Option<Result<(), Status>>,
    idle: Pin<Box<Sleep>>,
}

impl<R, A> Submitting<R, A>
where
    R: Stream<Item = Result<SubmitStreamRequest, Status>> + Unpin,
    A: FnMut(u64, SubmitStreamRequest) -> Answering + Unpin,
{
    pub(super) fn new(requests: R, ask: A) -> Self {
        Self {
            requests,
            ask,
            taken: 0,
            in_work: FuturesUnordered::new(),
            over: None,
            idle: Box::pin(tokio::time::sleep(STREAM_IDLE)),
        }
    }

    /// Takes what has come, as far as there is room.
    fn take(&mut self, cx: &mut Context<'_>) {
        while self.over.is_none() && self.in_work.len() < SUBMIT_STREAM_REQUESTS_MAX {
            match self.requests.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(request))) => {
                    self.taken = self.taken.wrapping_add(1);
                    self.in_work.push((self.ask)(self.taken, request));
                }
                Poll::Ready(Some(Err(status))) => self.over = Some(Err(status)),
                Poll::Ready(None) => self.over = Some(Ok(())),
                Poll::Pending => break,
            }
        }
    }
}

impl<R, A> Stream for Submitting<R, A>
where
    R: Stream<Item = Result<SubmitStreamRequest, Status>> + Unpin,
    A: FnMut(u64, SubmitStreamRequest) -> Answering + Unpin,
{
    type Item = Result<SubmitStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            this.take(cx);
            match this.in_work.poll_next_unpin(cx) {
                Poll::Ready(Some(answer)) => {
                    this.idle.as_mut().reset(Instant::now() + STREAM_IDLE);
                    return Poll::Ready(Some(Ok(answer)));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {}
            }
            match this.over.take() {
                Some(over) => {
                    // Whoever asks again is told that it is over.
                    this.over = Some(Ok(()));
                    return Poll::Ready(over.err().map(Err));
                }
                None => {
                    std::task::ready!(this.idle.poll_unpin(cx));
                    let text = format!("nothing was asked for {} s", STREAM_IDLE.as_secs());
                    this.over = Some(Err(ApiError::unavailable(text).to_status()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use carnet_wire::registry::v1::SubmitFailure;
    use carnet_wire::registry::v1::submit_stream_response::Outcome;
    use tokio::sync::{mpsc, oneshot};
    use tonic::Code;

    use super::*;

    type Waiting = Arc<Mutex<Vec<(u64, oneshot::Sender<()>)>>>;

    /// A stream whose requests wait until they are let go, and what comes to it.
    struct Scene {
        sends: mpsc::UnboundedSender<Result<SubmitStreamRequest, Status>>,
        read: Arc<AtomicUsize>,
        waiting: Waiting,
        answers: Pin<Box<dyn Stream<Item = Result<SubmitStreamResponse, Status>>>>,
    }

    fn scene() -> Scene {
        let (sends, mut came) = mpsc::unbounded_channel();
        let (read, waiting) = (Arc::new(AtomicUsize::new(0)), Waiting::default());
        let count = Arc::clone(&read);
        let requests = futures::stream::poll_fn(move |cx| {
            let polled = came.poll_recv(cx);
            if matches!(polled, Poll::Ready(Some(_))) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            polled
        });
        let waits = Arc::clone(&waiting);
        let ask = move |number, _| -> Answering {
            let (go, gone) = oneshot::channel();
            waits.lock().expect("a lock").push((number, go));
            Box::pin(async move {
                let _ = gone.await;
                let failure = SubmitFailure::default();
                SubmitStreamResponse {
                    number,
                    outcome: Some(Outcome::Failure(failure)),
                }
            })
        };
        Scene {
            sends,
            read,
            waiting,
            answers: Box::pin(Submitting::new(requests, ask)),
        }
    }

    impl Scene {
        fn send(&self, count: usize) {
            for _ in 0..count {
                let request = SubmitStreamRequest::default();
                self.sends.send(Ok(request)).expect("open");
            }
        }

        /// Lets the one of this number go.
        fn let_go(&self, number: u64) {
            let mut waiting = self.waiting.lock().expect("a lock");
            let at = waiting.iter().position(|(one, _)| *one == number);
            let (_, go) = waiting.remove(at.expect("in work"));
            go.send(()).expect("it waits");
        }

        /// What comes now, without waiting.
        fn now(&mut self) -> Option<Option<Result<u64, Code>>> {
            let next = tokio::task::unconstrained(self.answers.next());
            let came = next.now_or_never()?;
            Some(came.map(|came| {
                came.map(|answer| answer.number)
                    .map_err(|status| status.code())
            }))
        }

        fn read(&self) -> usize {
            self.read.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn each_is_answered_when_its_own_answer_is_there() {
        let mut scene = scene();
        scene.send(3);
        assert_eq!(scene.now(), None);
        scene.let_go(3);
        assert_eq!(scene.now(), Some(Some(Ok(3))));
        scene.let_go(1);
        assert_eq!(scene.now(), Some(Some(Ok(1))));
        assert_eq!(scene.now(), None);
    }

    #[tokio::test]
    async fn of_a_hundred_thousand_requests_no_more_are_read_than_have_room() {
        let mut scene = scene();
        scene.send(100_000);
        assert_eq!(scene.now(), None);
        assert_eq!(scene.read(), SUBMIT_STREAM_REQUESTS_MAX);
        assert_eq!(scene.now(), None);
        assert_eq!(scene.read(), SUBMIT_STREAM_REQUESTS_MAX);
        scene.let_go(7);
        assert_eq!(scene.now(), Some(Some(Ok(7))));
        assert_eq!(scene.now(), None);
        assert_eq!(scene.read(), SUBMIT_STREAM_REQUESTS_MAX + 1);
    }

    #[tokio::test]
    async fn who_reads_no_answers_is_read_no_further() {
        let mut scene = scene();
        scene.send(1);
        assert_eq!(scene.now(), None);
        // Nobody asks for an answer: however many come, none is taken.
        scene.let_go(1);
        scene.send(1_000);
        assert_eq!(scene.read(), 1);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_ends_when_what_was_taken_is_answered() {
        let mut scene = scene();
        scene.send(2);
        let broken = Err(Status::aborted("broken off"));
        scene.sends.send(broken).expect("open");
        scene.send(1);
        assert_eq!(scene.now(), None);
        scene.let_go(2);
        assert_eq!(scene.now(), Some(Some(Ok(2))));
        assert_eq!(scene.now(), None);
        scene.let_go(1);
        assert_eq!(scene.now(), Some(Some(Ok(1))));
        assert_eq!(scene.now(), Some(Some(Err(Code::Aborted))));
        assert_eq!(scene.now(), Some(None));
        assert_eq!(scene.read(), 3, "nothing behind the break is taken");
    }

    #[tokio::test]
    async fn who_ends_the_stream_has_every_answer_and_no_status() {
        let Scene {
            sends,
            waiting,
            mut answers,
            ..
        } = scene();
        sends
            .send(Ok(SubmitStreamRequest::default()))
            .expect("open");
        drop(sends);
        assert!(answers.next().now_or_never().is_none());
        waiting.lock().expect("a lock").clear();
        let first = answers.next().await.expect("an answer").expect("no status");
        assert_eq!(first.number, 1);
        assert!(answers.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_asks_nothing_ends_and_one_that_waits_for_an_answer_does_not() {
        let mut quiet = scene();
        let over = quiet.answers.next().await.expect("a status");
        let over = over.expect_err("a status");
        let error = ApiError::of_status(&over);
        assert_eq!(error.effect(), carnet_wire::status::Effect::None);
        let mut busy = scene();
        busy.send(1);
        let longer = tokio::time::timeout(2 * STREAM_IDLE, busy.answers.next());
        assert!(longer.await.is_err(), "it waits");
        busy.let_go(1);
        assert_eq!(busy.now(), Some(Some(Ok(1))));
        assert_eq!(busy.now(), None);
    }
}
