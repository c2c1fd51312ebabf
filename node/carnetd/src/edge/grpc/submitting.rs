//! A stream of requests: many in work at a time, each answered when its own answer is there.
//!
//! Nothing here knows a request: what becomes of each is the caller's. What is kept is the order of the end. Every request
//! that was taken is answered before the stream ends, so whoever sees it end with a status knows that the others were never
//! taken. Each request is a task of its own, which comes to its end whether or not anybody reads answers; for a client that
//! reads none, nothing more is taken, and after a while its answers are dropped.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use carnet_wire::limits::SUBMIT_STREAM_REQUESTS_MAX;
use carnet_wire::registry::v1::{SubmitStreamRequest, SubmitStreamResponse};
use carnet_wire::status::ApiError;
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::edge::memory::Held;
use crate::edge::methods::{PIECE_TIMEOUT, STREAM_IDLE};
use crate::tls::owed::Owed;

/// Answers that wait to be sent; the rest waits with its own task, and not for ever.
const UNSENT_MAX: usize = 32;

/// The answer to one request, to come.
pub(super) type Answering = BoxFuture<'static, Done>;

/// An answer, and its bytes until it is sent.
pub(super) struct Done {
    pub(super) answer: SubmitStreamResponse,
    pub(super) held: Option<Held>,
}

/// What becomes of a request.
pub(super) enum Asked {
    InWork(Answering),
    /// Not let in; nothing more is read for so long.
    Refused(SubmitStreamResponse, Duration),
}

/// The answers to a stream of requests.
pub(super) struct Submitting<R, A> {
    requests: R,
    /// Has one of them done, by its number.
    ask: A,
    /// How many were taken.
    taken: u64,
    /// Taken and not answered.
    waiting: usize,
    /// Dropped with the stream, and what is in work with it.
    in_work: JoinSet<()>,
    answers: mpsc::Receiver<Done>,
    sends: mpsc::Sender<Done>,
    refused: Option<SubmitStreamResponse>,
    /// Until when no more are taken.
    rests: Option<Pin<Box<Sleep>>>,
    /// An answer was dropped because nobody read it.
    unread: Arc<AtomicBool>,
    /// Why no more are taken.
    over: Option<Result<(), Status>>,
    idle: Pin<Box<Sleep>>,
    /// When the transport asked for an answer last.
    asked: Arc<Mutex<Instant>>,
    /// Dropped with the stream.
    _watch: JoinSet<()>,
}

/// A transport that has room for an answer asks for it, at the latest when the stream is idle. One that does not ask for longer has a
/// caller who lets nothing out, and the stream would keep its method's share for as long as the connection lives: that ends.
async fn watched(asked: Arc<Mutex<Instant>>, owed: Owed) {
    loop {
        tokio::time::sleep(PIECE_TIMEOUT).await;
        if lock(&asked).elapsed() > STREAM_IDLE + PIECE_TIMEOUT {
            owed.unread();
            return;
        }
    }
}

fn lock(asked: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    // An instant is whole whenever it is there.
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R, A> Submitting<R, A>
where
    R: Stream<Item = Result<SubmitStreamRequest, Status>> + Unpin,
    A: FnMut(u64, SubmitStreamRequest) -> Asked + Unpin,
{
    /// `owed` is of the connection that the answers go by.
    pub(super) fn new(requests: R, ask: A, owed: Owed) -> Self {
        let (sends, answers) = mpsc::channel(UNSENT_MAX);
        let asked = Arc::new(Mutex::new(Instant::now()));
        let mut watch = JoinSet::new();
        watch.spawn(watched(Arc::clone(&asked), owed));
        Self {
            requests,
            ask,
            taken: 0,
            waiting: 0,
            in_work: JoinSet::new(),
            answers,
            sends,
            refused: None,
            rests: None,
            unread: Arc::default(),
            over: None,
            idle: Box::pin(tokio::time::sleep(STREAM_IDLE)),
            asked,
            _watch: watch,
        }
    }

    /// Takes what has come, as far as there is room.
    fn take(&mut self, cx: &mut Context<'_>) {
        while self.over.is_none()
            && self.refused.is_none()
            && self.waiting < SUBMIT_STREAM_REQUESTS_MAX
        {
            if let Some(rests) = &mut self.rests {
                if rests.poll_unpin(cx).is_pending() {
                    return;
                }
                self.rests = None;
            }
            match self.requests.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(request))) => {
                    self.taken = self.taken.wrapping_add(1);
                    match (self.ask)(self.taken, request) {
                        Asked::InWork(answering) => self.begin(answering),
                        Asked::Refused(answer, rest) => {
                            self.refused = Some(answer);
                            self.rests = Some(Box::pin(tokio::time::sleep(rest)));
                        }
                    }
                }
                Poll::Ready(Some(Err(status))) => self.over = Some(Err(status)),
                Poll::Ready(None) => self.over = Some(Ok(())),
                Poll::Pending => return,
            }
        }
    }

    fn begin(&mut self, answering: Answering) {
        self.waiting += 1;
        let (sends, unread) = (self.sends.clone(), Arc::clone(&self.unread));
        self.in_work.spawn(async move {
            let done = answering.await;
            if sends.send_timeout(done, PIECE_TIMEOUT).await.is_err() {
                unread.store(true, Ordering::Relaxed);
            }
        });
    }

    /// Ends it at once: of what was taken something will have no answer.
    fn give_up(&mut self, text: &str) {
        self.in_work.abort_all();
        self.waiting = 0;
        let text = text.to_owned();
        self.over = Some(Err(ApiError::UnknownOutcome { text }.to_status()));
    }
}

impl<R, A> Stream for Submitting<R, A>
where
    R: Stream<Item = Result<SubmitStreamRequest, Status>> + Unpin,
    A: FnMut(u64, SubmitStreamRequest) -> Asked + Unpin,
{
    type Item = Result<SubmitStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        *lock(&this.asked) = Instant::now();
        loop {
            if this.unread.load(Ordering::Relaxed) && this.over.is_none() {
                this.give_up("answers were not read");
            }
            this.take(cx);
            if let Some(refused) = this.refused.take() {
                return Poll::Ready(Some(Ok(refused)));
            }
            while let Poll::Ready(Some(ended)) = this.in_work.poll_join_next(cx) {
                if ended.is_err_and(|error| error.is_panic()) {
                    this.give_up("a request broke off on the server");
                }
            }
            if this.waiting > 0 {
                let Some(Done { answer, held }) = std::task::ready!(this.answers.poll_recv(cx))
                else {
                    return Poll::Ready(None);
                };
                drop(held);
                this.waiting -= 1;
                this.idle.as_mut().reset(Instant::now() + STREAM_IDLE);
                return Poll::Ready(Some(Ok(answer)));
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

    type Waiting = Arc<Mutex<Vec<(u64, oneshot::Sender<Go>)>>>;

    const REST: Duration = Duration::from_secs(3);

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Go {
        On,
        Break,
    }

    /// A stream whose requests wait until they are let go, and what comes to it.
    struct Scene {
        sends: mpsc::UnboundedSender<Result<SubmitStreamRequest, Status>>,
        read: Arc<AtomicUsize>,
        waiting: Waiting,
        /// Held by each that is in work, and twice besides.
        places: Arc<()>,
        owed: Owed,
        answers: Pin<Box<dyn Stream<Item = Result<SubmitStreamResponse, Status>>>>,
    }

    fn scene() -> Scene {
        scene_refusing(&[])
    }

    fn scene_refusing(refuse: &'static [u64]) -> Scene {
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
        let of_all = Arc::new(());
        let places = Arc::clone(&of_all);
        let ask = move |number, _| -> Asked {
            let answer = move || SubmitStreamResponse {
                number,
                outcome: Some(Outcome::Failure(SubmitFailure::default())),
            };
            if refuse.contains(&number) {
                return Asked::Refused(answer(), REST);
            }
            let (go, gone) = oneshot::channel();
            waits.lock().expect("a lock").push((number, go));
            let place = Arc::clone(&places);
            Asked::InWork(Box::pin(async move {
                let gone = gone.await;
                drop(place);
                assert!(gone != Ok(Go::Break), "it breaks");
                let answer = answer();
                Done { answer, held: None }
            }))
        };
        let owed = Owed::default();
        Scene {
            sends,
            read,
            waiting,
            places: of_all,
            owed: owed.clone(),
            answers: Box::pin(Submitting::new(requests, ask, owed)),
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
            self.tell(number, Go::On);
        }

        fn tell(&self, number: u64, what: Go) {
            let mut waiting = self.waiting.lock().expect("a lock");
            let at = waiting.iter().position(|(one, _)| *one == number);
            let (_, go) = waiting.remove(at.expect("in work"));
            go.send(what).expect("it waits");
        }

        /// What comes now, when everybody has done what it can.
        async fn now(&mut self) -> Option<Option<Result<u64, Code>>> {
            for _ in 0..20 {
                let next = tokio::task::unconstrained(self.answers.next());
                if let Some(came) = next.now_or_never() {
                    return Some(came.map(|came| {
                        came.map(|answer| answer.number)
                            .map_err(|status| status.code())
                    }));
                }
                tokio::task::yield_now().await;
            }
            None
        }

        fn in_work(&self) -> usize {
            Arc::strong_count(&self.places) - 2
        }

        fn read(&self) -> usize {
            self.read.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn each_is_answered_when_its_own_answer_is_there() {
        let mut scene = scene();
        scene.send(3);
        assert_eq!(scene.now().await, None);
        scene.let_go(3);
        assert_eq!(scene.now().await, Some(Some(Ok(3))));
        scene.let_go(1);
        assert_eq!(scene.now().await, Some(Some(Ok(1))));
        assert_eq!(scene.now().await, None);
    }

    #[tokio::test]
    async fn of_a_hundred_thousand_requests_no_more_are_read_than_have_room() {
        let mut scene = scene();
        scene.send(100_000);
        assert_eq!(scene.now().await, None);
        assert_eq!(scene.read(), SUBMIT_STREAM_REQUESTS_MAX);
        assert_eq!(scene.now().await, None);
        assert_eq!(scene.read(), SUBMIT_STREAM_REQUESTS_MAX);
        scene.let_go(7);
        assert_eq!(scene.now().await, Some(Some(Ok(7))));
        assert_eq!(scene.now().await, None);
        assert_eq!(scene.read(), SUBMIT_STREAM_REQUESTS_MAX + 1);
    }

    /// Once, everything that was taken stood still with its place and its bytes for as long as nobody read.
    #[tokio::test(start_paused = true)]
    async fn for_who_reads_no_answers_what_was_taken_comes_to_its_end_and_nothing_more_is_taken() {
        let mut scene = scene();
        scene.send(100);
        assert_eq!(scene.now().await, None);
        assert_eq!(scene.in_work(), 100);
        scene.send(1_000);
        for number in 1..=100 {
            scene.let_go(number);
        }
        // Nobody asks for an answer.
        tokio::time::sleep(2 * PIECE_TIMEOUT).await;
        assert_eq!((scene.in_work(), scene.read()), (0, 100));
        let mut said = Vec::new();
        while let Some(Some(answer)) = scene.now().await {
            said.push(answer);
        }
        // What was dropped has no answer, so nothing is said of the rest but that it is not known.
        assert_eq!(said.last(), Some(&Err(Code::DeadlineExceeded)));
    }

    /// Once, an open stream whose caller let nothing out kept its place among its method's for as long as the connection lived.
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_asks_for_answers_ends_its_connection() {
        let mut read = scene();
        let unread = scene();
        let over = tokio::time::timeout(2 * STREAM_IDLE, read.answers.next());
        assert!(over.await.is_ok(), "it is idle, and ends");
        assert!(!read.owed.is_overdue(), "whoever reads owes nothing");
        assert!(
            unread.owed.is_overdue() || {
                tokio::time::sleep(STREAM_IDLE).await;
                unread.owed.is_overdue()
            }
        );
        // One that is gone says nothing any more.
        let gone = scene();
        let owed = gone.owed.clone();
        drop(gone);
        tokio::time::sleep(3 * STREAM_IDLE).await;
        assert!(!owed.is_overdue());
    }

    #[tokio::test]
    async fn a_request_that_breaks_ends_the_stream_and_its_outcome_is_not_known() {
        let mut scene = scene();
        scene.send(2);
        assert_eq!(scene.now().await, None);
        scene.tell(1, Go::Break);
        let expected = Some(Some(Err(Code::DeadlineExceeded)));
        assert_eq!(scene.now().await, expected);
        assert_eq!(scene.now().await, Some(None));
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_request_that_is_not_let_in_nothing_is_read_for_a_while() {
        let mut scene = scene_refusing(&[2]);
        scene.send(5);
        assert_eq!(scene.now().await, Some(Some(Ok(2))));
        assert_eq!(scene.now().await, None);
        assert_eq!(scene.read(), 2);
        tokio::time::advance(REST).await;
        assert_eq!(scene.now().await, None);
        assert_eq!(scene.read(), 5);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_ends_when_what_was_taken_is_answered() {
        let mut scene = scene();
        scene.send(2);
        let broken = Err(Status::aborted("broken off"));
        scene.sends.send(broken).expect("open");
        scene.send(1);
        assert_eq!(scene.now().await, None);
        scene.let_go(2);
        assert_eq!(scene.now().await, Some(Some(Ok(2))));
        assert_eq!(scene.now().await, None);
        scene.let_go(1);
        assert_eq!(scene.now().await, Some(Some(Ok(1))));
        assert_eq!(scene.now().await, Some(Some(Err(Code::Aborted))));
        assert_eq!(scene.now().await, Some(None));
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
        assert_eq!(busy.now().await, Some(Some(Ok(1))));
        assert_eq!(busy.now().await, None);
    }
}
