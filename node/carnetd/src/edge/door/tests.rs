//! Requests at a door with a stub behind it: what is refused unread, what is bounded, and what is given back.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use carnet_domain::bytes::time::TimeMs;
use carnet_trust::chain::verify_client;
use carnet_wire::limits::{CLIENT_REQUEST_BYTES_MAX, FRAME_BYTES_MAX};
use futures::stream::{self, Stream};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tonic::Code;

use super::*;
use crate::forge::{Country, NOW, Sketch};
use crate::tls::Who;

const BULK: &str = "/carnet.registry.v1.Registry/SubmitBulk";
const STREAM: &str = "/carnet.registry.v1.Registry/SubmitStream";
const RECORD: &str = "/carnet.registry.v1.Registry/GetRecord";
const VERIFY: &str = "/carnet.registry.v1.Registry/Verify";
const KIB: usize = 1024;

struct Still(AtomicU64);

impl Clock for Still {
    fn wall(&self) -> TimeMs {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A body of what a stream gives, piece by piece.
struct Streamed<S>(S);

impl<S: Stream<Item = Bytes> + Unpin> http_body::Body for Streamed<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let piece = self.0.poll_next_unpin(cx);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

fn body(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    Body::new(Streamed(Box::pin(pieces)))
}

/// So many pieces of so many bytes, each made when it is read.
fn pieces(count: usize, size: usize) -> impl Stream<Item = Bytes> + Send {
    stream::iter(0..count).map(move |_| Bytes::from(vec![0; size]))
}

/// Gives a stream back as it comes. Reads any other request whole, waits until it may go on, and answers with as many bytes.
#[derive(Clone)]
struct Stub {
    go: watch::Receiver<bool>,
    /// Of the last call, what lets its messages in.
    pass: Arc<Mutex<Option<Pass>>>,
}

impl Service<Request<Body>> for Stub {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answering<Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut go = self.go.clone();
        let pass = request.extensions().get::<Pass>().cloned();
        let is_stream = pass.is_some();
        *lock(&self.pass) = pass;
        Box::pin(async move {
            let mut body = request.into_body();
            if is_stream {
                return Ok(Response::new(body));
            }
            let size = match whole(&mut body).await {
                Ok(bytes) => bytes,
                Err(status) => return Ok(status.into_http()),
            };
            let _ = go.wait_for(|go| *go).await;
            Ok(Response::new(self::body(pieces(1, size))))
        })
    }
}

/// The same pieces, and how many of them were read.
fn counted(
    pieces: impl Stream<Item = Bytes> + Send,
) -> (impl Stream<Item = Bytes> + Send, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let counted = pieces.inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (counted, read)
}

async fn whole(body: &mut Body) -> Result<usize, Status> {
    let mut size = 0;
    loop {
        let next = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(body), cx));
        match next.await {
            Some(Ok(frame)) => size += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(status)) => return Err(status),
            None => return Ok(size),
        }
    }
}

/// Nothing can be written there: a refusal is answered all the same.
fn notes(clock: &Arc<Still>) -> Notes {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let nowhere = std::path::Path::new("/proc/nowhere");
    Notes {
        audit: Arc::new(Audit::open(nowhere, clock, carnet_consensus::Work::Inline)),
        requests: RequestIds::new([0x7f, 0x3a, 0]),
    }
}

struct Scene {
    guarded: Guarded<Stub>,
    memory: Memory,
    counters: Arc<EdgeCounters>,
    clock: Arc<Still>,
    country: Country,
    go: watch::Sender<bool>,
}

impl Scene {
    fn new(requests: PoolLimits, rate: Rate) -> Self {
        let memory = PoolLimits {
            total: 1024 * KIB as u64,
            each: 256 * KIB as u64,
        };
        Self::with(requests, rate, memory)
    }

    fn with(requests: PoolLimits, rate: Rate, memory: PoolLimits) -> Self {
        let clock = Arc::new(Still(AtomicU64::new(0)));
        let counters = Arc::new(EdgeCounters::new(Plane::Client));
        let memory = Memory::new(memory);
        let door = Door::new(
            Plane::Client,
            DoorLimits {
                requests,
                rate,
                bytes_per_second: 10 * KIB as u64 * KIB as u64,
            },
            Some(memory.clone()),
            Arc::clone(&counters),
            Arc::clone(&clock) as Arc<dyn Clock>,
            notes(&clock),
        );
        let (go, may_go) = watch::channel(true);
        Self {
            guarded: door.layer(Stub {
                go: may_go,
                pass: Arc::default(),
            }),
            memory,
            counters,
            clock,
            country: Country::new("86"),
            go,
        }
    }

    fn wide() -> Self {
        let requests = PoolLimits {
            total: 1_000,
            each: 1_000,
        };
        Self::new(requests, DoorLimits::unbounded().rate)
    }

    /// With as much memory as nobody here fills.
    fn roomy() -> Self {
        let all = PoolLimits {
            total: 1 << 30,
            each: 1 << 30,
        };
        Self::with(all, DoorLimits::unbounded().rate, all)
    }

    fn somebody(&self, name: &str) -> PeerIdentity {
        let uri = format!("carnet://86/{name}");
        let sketch = Sketch::leaf(&uri, Plane::Client);
        let (_, chain) = self.country.issue(Plane::Client, &sketch);
        let roots = self.country.pinned();
        let prefix = self.country.prefix;
        let client = verify_client(&chain, &roots, prefix, Plane::Client, NOW).expect("a client");
        let remote = "127.0.0.1:1".parse().expect("an address");
        PeerIdentity::new(Who::Client(client), remote)
    }

    /// A call with so many pieces of a kibibyte; what became of it, the answer unread, and how many pieces were read.
    async fn call(
        &self,
        who: &PeerIdentity,
        path: &str,
        kib: usize,
    ) -> (Code, Response<Body>, usize) {
        let (counted, read) = counted(pieces(kib, KIB));
        let response = self.begin(who, path, body(counted)).await;
        let code = code(&response);
        (code, response, read.load(Ordering::SeqCst))
    }

    fn begin(&self, who: &PeerIdentity, path: &str, body: Body) -> Pending {
        let mut request = Request::new(body);
        *request.uri_mut() = path.parse().expect("a path");
        request.extensions_mut().insert(who.clone());
        let answering = self.guarded.clone().call(request);
        Box::pin(async move {
            match answering.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}

type Pending = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

fn code(response: &Response<Body>) -> Code {
    let status = response.headers().get(Status::GRPC_STATUS);
    status.map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}

#[tokio::test]
async fn a_role_that_signs_nothing_sends_no_bulk_and_not_a_byte_of_it_is_read() {
    let scene = Scene::wide();
    let auditor = scene.somebody("auditor/court/a");
    let mut codes = Vec::new();
    for _ in 0..150 {
        let (code, _, read) = scene.call(&auditor, BULK, 100).await;
        assert_eq!(read, 0);
        codes.push(code);
    }
    assert_eq!(codes, vec![Code::PermissionDenied; 150]);
    assert_eq!(
        (scene.counters.turned(Turned::Role), scene.memory.used()),
        (150, 0)
    );
    let maker = scene.somebody("manufacturer/0001/line");
    assert_eq!(scene.call(&maker, BULK, 100).await.0, Code::Ok);
    assert_eq!(
        scene.call(&auditor, RECORD, 1).await.0,
        Code::Ok,
        "it reads"
    );
}

/// Once, a caller was told that a node was at fault, and nobody found the line of its log.
#[tokio::test]
async fn an_error_names_its_request_and_a_refusal_is_noted_under_that_name() {
    let data = tempfile::tempdir().expect("a folder");
    let mut scene = Scene::wide();
    let clock = Arc::clone(&scene.clock) as Arc<dyn Clock>;
    let work = carnet_consensus::Work::Inline;
    let audit = Arc::new(Audit::open(data.path(), Arc::clone(&clock), work));
    let door = Door::new(
        Plane::Client,
        DoorLimits::unbounded(),
        None,
        Arc::clone(&scene.counters),
        clock,
        Notes {
            audit: Arc::clone(&audit),
            requests: RequestIds::new([0x7f, 0x3a, 0]),
        },
    );
    scene.guarded.door = door;
    let auditor = scene.somebody("auditor/court/a");
    assert_eq!(scene.call(&auditor, RECORD, 1).await.0, Code::Ok);
    let (code, response, _) = scene.call(&auditor, BULK, 1).await;
    assert_eq!(code, Code::PermissionDenied);
    let header = |name: &str| {
        let value = response.headers().get(name).map(|value| value.to_str());
        value.expect("there").expect("a text").to_owned()
    };
    assert_eq!(header(REQUEST_HEADER), "7f3a00-2");
    let status = Status::from_header_map(response.headers()).expect("an error");
    let said = status.message();
    assert!(said.contains("auditor may not submit bulk"), "{said}");
    assert!(said.ends_with("(request 7f3a00-2)"), "{said}");
    let noted = audit.page(crate::audit::Chain::Denied, 0, 9).await;
    let noted = noted.expect("read").lines;
    assert_eq!(noted.len(), 1);
    for part in [
        "\"who\":\"carnet://86/auditor/court/a\"",
        "\"what\":\"/carnet.registry.v1.Registry/SubmitBulk\"",
        "\"request\":\"7f3a00-2\"",
        "\"kind\":\"denied\"",
    ] {
        assert!(noted[0].contains(part), "{part}: {}", noted[0]);
    }
    // A path that there is not is the caller's invention, and nobody's refusal.
    let invented = scene
        .call(&auditor, "/carnet.registry.v1.Registry/x", 1)
        .await;
    assert_eq!(invented.0, Code::Unimplemented);
    let noted = audit.page(crate::audit::Chain::Denied, 0, 9).await;
    assert_eq!(noted.expect("read").lines.len(), 1);
    let acts = audit.page(crate::audit::Chain::Acts, 0, 9).await;
    assert_eq!(acts.expect("read").lines.len(), 0);
}

#[tokio::test]
async fn a_method_that_is_not_of_the_plane_does_not_exist() {
    let scene = Scene::wide();
    let maker = scene.somebody("manufacturer/0001/line");
    for path in [
        "/carnet.admin.v1.Admin/Initialize",
        "/carnet.registry.v1.Registry/getrecord",
        "/",
    ] {
        let (code, _, read) = scene.call(&maker, path, 9).await;
        assert_eq!((code, read), (Code::Unimplemented, 0), "{path}");
    }
    assert_eq!(scene.counters.turned(Turned::Method), 3);
}

#[tokio::test]
async fn one_certificate_fills_its_part_of_the_memory_and_no_more() {
    // A quarter of a mebibyte is its share; pieces are a kibibyte, three requests at once.
    for (kib, refused) in [(85, 0), (86, 1), (850, 3)] {
        let scene = Scene::wide();
        scene.go.send_replace(false);
        let greedy = scene.somebody("manufacturer/0001/line");
        let calls: Vec<_> = (0..3)
            .map(|_| tokio::spawn(scene.begin(&greedy, BULK, body(pieces(kib, KIB)))))
            .collect();
        while scene.counters.turned(Turned::Memory) < refused {
            tokio::task::yield_now().await;
        }
        assert!(scene.memory.used() <= 256 * KIB as u64);
        scene.go.send_replace(true);
        let other = scene.somebody("manufacturer/0002/line");
        assert_eq!(scene.call(&other, BULK, 200).await.0, Code::Ok);
        let mut codes = Vec::new();
        for call in calls {
            codes.push(code(&call.await.expect("an answer")));
        }
        let overloaded = codes
            .iter()
            .filter(|code| **code == Code::ResourceExhausted)
            .count();
        assert_eq!(overloaded as u64, refused, "{kib}");
        assert_eq!(scene.memory.used(), 0, "{kib}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_counts_until_it_is_sent() {
    let scene = Scene::wide();
    let maker = scene.somebody("manufacturer/0001/line");
    let (_, response, _) = scene.call(&maker, BULK, 100).await;
    let mut body = response.into_body();
    let next = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx));
    let frame = next.await.expect("a frame").expect("data");
    assert_eq!(scene.memory.used(), 200 * KIB as u64, "request and answer");
    drop(body);
    assert_eq!(scene.memory.used(), 100 * KIB as u64, "the answer");
    drop(frame);
    assert_eq!(scene.memory.used(), 0);
}

#[tokio::test]
async fn answers_that_a_reader_leaves_lying_are_its_share_and_no_more() {
    let scene = Scene::wide();
    let reader = scene.somebody("operator/0001/fleet");
    let mut lying = Vec::new();
    let mut cut = 0;
    for _ in 0..50 {
        let (_, response, _) = scene.call(&reader, RECORD, 20).await;
        let mut body = response.into_body();
        let next = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx));
        match next.await.expect("a piece") {
            Ok(frame) => lying.push(frame),
            Err(status) => cut += u64::from(status.code() == Code::ResourceExhausted),
        }
        assert!(scene.memory.used() <= 256 * KIB as u64);
    }
    assert_eq!((lying.len(), cut), (11, 39));
    let other = scene.somebody("operator/0002/fleet");
    assert_eq!(scene.call(&other, RECORD, 100).await.0, Code::Ok);
    lying.clear();
    assert_eq!(scene.memory.used(), 0);
}

#[tokio::test]
async fn a_request_with_too_many_bytes_is_cut() {
    // A mebibyte and what framing adds, in pieces of a kibibyte and one of what is left.
    let most = CLIENT_REQUEST_BYTES_MAX + FRAME_BYTES_MAX;
    assert!(most.is_multiple_of(KIB));
    for (kib, over, passes) in [
        (most / KIB - 1, 0, true),
        (most / KIB, 0, true),
        (most / KIB, 1, false),
        (10 * most / KIB, 0, false),
    ] {
        let scene = Scene::roomy();
        let maker = scene.somebody("manufacturer/0001/line");
        let (counted, read) = counted(pieces(kib, KIB));
        let rest = pieces(usize::from(over > 0), over);
        let answer = scene.begin(&maker, RECORD, body(counted.chain(rest))).await;
        assert_eq!(code(&answer) == Code::Ok, passes, "{kib} KiB and {over}");
        assert!(
            read.load(Ordering::SeqCst) <= most / KIB + 1,
            "no more is read"
        );
    }
}

#[tokio::test]
async fn requests_in_work_are_shared_and_given_back() {
    let each = 6;
    let limits = PoolLimits { total: 16, each };
    for asked in [each - 1, each, each + 1, 10 * each] {
        let scene = Scene::new(limits, DoorLimits::unbounded().rate);
        scene.go.send_replace(false);
        let greedy = scene.somebody("manufacturer/0001/line");
        let nothing = || body(stream::empty());
        let calls: Vec<_> = (0..asked)
            .map(|_| tokio::spawn(scene.begin(&greedy, RECORD, nothing())))
            .collect();
        let refused = asked.saturating_sub(each);
        while scene.counters.turned(Turned::Requests) < refused {
            tokio::task::yield_now().await;
        }
        let other = scene.somebody("manufacturer/0002/line");
        let honest = tokio::spawn(scene.begin(&other, RECORD, nothing()));
        scene.go.send_replace(true);
        assert_eq!(code(&honest.await.expect("an answer")), Code::Ok);
        let mut ok = 0;
        for call in calls {
            ok += u64::from(code(&call.await.expect("an answer")) == Code::Ok);
        }
        assert_eq!(ok, asked - refused, "{asked}");
        assert_eq!(scene.counters.turned(Turned::Requests), refused);
        // All are given back.
        for _ in 0..asked {
            assert_eq!(scene.call(&greedy, RECORD, 0).await.0, Code::Ok);
        }
    }
}

#[tokio::test]
async fn verdicts_are_rationed_by_certificate_and_nobody_pays_for_another() {
    let scene = Scene::wide();
    let (greedy, other) = (
        scene.somebody("customs/port/a"),
        scene.somebody("customs/port/b"),
    );
    for (at_ms, asked, expected) in [(0, 99, 99), (0, 1, 1), (0, 1, 0), (1_000, 200, 20)] {
        scene.clock.0.store(at_ms, Ordering::SeqCst);
        let mut ok = 0;
        for _ in 0..asked {
            ok += usize::from(scene.call(&greedy, VERIFY, 0).await.0 == Code::Ok);
        }
        assert_eq!(ok, expected, "{asked} at {at_ms}");
    }
    for _ in 0..100 {
        assert_eq!(scene.call(&other, VERIFY, 0).await.0, Code::Ok);
    }
    assert_eq!(scene.counters.turned(Turned::RequestRate), 181);
}

#[tokio::test]
async fn a_rate_above_the_limit_is_refused_for_its_certificate_alone() {
    let rate = Rate {
        per_second: 5,
        burst: 10,
    };
    for (asked, expected) in [(9, 9), (10, 10), (11, 10), (100, 10)] {
        let scene = Scene::new(DoorLimits::unbounded().requests, rate);
        let greedy = scene.somebody("operator/0001/fleet");
        let mut ok = 0;
        for _ in 0..asked {
            ok += usize::from(scene.call(&greedy, RECORD, 0).await.0 == Code::Ok);
        }
        assert_eq!(ok, expected, "{asked}");
        let other = scene.somebody("operator/0002/fleet");
        assert_eq!(scene.call(&other, RECORD, 0).await.0, Code::Ok);
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_sends_too_fast_waits_and_another_does_not() {
    let scene = Scene::wide();
    let greedy = scene.somebody("manufacturer/0001/line");
    let begun = Instant::now();
    // Forty mebibytes at once, then ten a second.
    for sent in 1..=160 {
        assert_eq!(scene.call(&greedy, BULK, 256).await.0, Code::Ok);
        assert_eq!(
            begun.elapsed(),
            Duration::ZERO,
            "{sent} quarters of a mebibyte"
        );
    }
    // The door's clock stands still, so that each wait is the whole of what is owed.
    assert_eq!(scene.call(&greedy, BULK, 1).await.0, Code::Ok);
    assert!(Duration::ZERO < begun.elapsed());
    let waited = Instant::now();
    let other = scene.somebody("manufacturer/0002/line");
    assert_eq!(scene.call(&other, BULK, 200).await.0, Code::Ok);
    assert_eq!(waited.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_in_the_middle_or_waits_for_ever_is_cut_off() {
    let scene = Scene::wide();
    let maker = scene.somebody("manufacturer/0001/line");
    let stopped = pieces(3, KIB).chain(stream::pending());
    let response = scene.begin(&maker, BULK, body(stopped)).await;
    assert_ne!(code(&response), Code::Ok);
    drop(response);
    scene.go.send_replace(false);
    let (code, response, _) = scene.call(&maker, RECORD, 1).await;
    assert_eq!(code, Code::Unavailable);
    drop(response);
    assert_eq!(scene.counters.turned(Turned::RequestTime), 2);
    assert_eq!(scene.memory.used(), 0);
}

/// Pieces that each come a little before, at, or after the time that a piece has.
#[tokio::test(start_paused = true)]
async fn a_piece_has_its_time_and_not_more() {
    let little = Duration::from_millis(1);
    for (pause, passes) in [
        (PIECE_TIMEOUT - little, true),
        (PIECE_TIMEOUT + little, false),
        (10 * PIECE_TIMEOUT, false),
    ] {
        let scene = Scene::wide();
        let maker = scene.somebody("manufacturer/0001/line");
        let slow = pieces(1, KIB).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            piece
        });
        let answer = scene.begin(&maker, BULK, body(slow)).await;
        assert_eq!(code(&answer) == Code::Ok, passes, "{pause:?}");
        let cut = u64::from(!passes);
        assert_eq!(scene.counters.turned(Turned::RequestTime), cut, "{pause:?}");
    }
}

/// A piece of an answer that its other end does not let out is owed by its connection, which is closed when that takes too long.
#[tokio::test(start_paused = true)]
async fn an_answer_is_owed_until_it_is_sent() {
    let scene = Scene::wide();
    let maker = scene.somebody("manufacturer/0001/line");
    let (code, response, _) = scene.call(&maker, RECORD, 12).await;
    assert_eq!(code, Code::Ok);
    let mut body = response.into_body();
    let piece = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx));
    let piece = piece.await.expect("a piece").expect("counted");
    let owed = maker.connection().owed();
    assert!(!owed.is_overdue());
    tokio::time::advance(crate::tls::owed::LET_OUT_WITHIN).await;
    assert!(owed.is_overdue());
    drop(piece);
    assert!(!owed.is_overdue());
}

/// Once, questions of some bytes each had gigabytes sent in one stream.
#[tokio::test]
async fn the_schema_is_not_answered_without_end() {
    let scene = Scene::roomy();
    let auditor = scene.somebody("auditor/court/a");
    let (code, _, _) = scene.call(&auditor, methods::REFLECTION, 16).await;
    assert_eq!(code, Code::Ok);
    let (code, response, _) = scene.call(&auditor, methods::REFLECTION, 17).await;
    assert_ne!(code, Code::Ok);
    drop(response);
    let entered = Request::builder().uri(methods::REFLECTION);
    let entered = entered.extension(auditor.clone()).body(()).expect("a call");
    let entered = scene.guarded.door.enter(&entered).expect("let in");
    let mut answer = Answer::new(body(pieces(usize::MAX, KIB)), entered);
    let mut sent = 0;
    let status = loop {
        let next =
            std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut answer), cx));
        match next.await.expect("more") {
            Ok(frame) => sent += frame.data_ref().map_or(0, Bytes::len),
            Err(status) => break status,
        }
    };
    assert_eq!(sent, methods::SCHEMA_ANSWER_BYTES_MAX);
    assert_eq!(status.code(), Code::ResourceExhausted);
}

impl Scene {
    /// A stream of which so many requests of a kibibyte have come, and so many bytes of the next; and what lets them in.
    fn stream(&self, who: &PeerIdentity, whole_ones: usize, rest: usize) -> (Response<Body>, Pass) {
        let message = [
            vec![0],
            (KIB as u32 - 5).to_be_bytes().to_vec(),
            vec![7; KIB - 5],
        ]
        .concat();
        let came = [message.repeat(whole_ones), message[..rest].to_vec()].concat();
        // In pieces that end in the middle of a message, of what stands before one, and of nothing.
        let pieces: Vec<Bytes> = came.chunks(1_021).map(Bytes::copy_from_slice).collect();
        let more_may_follow = stream::iter(pieces).chain(stream::pending());
        let begun = self.begin(who, STREAM, body(more_may_follow));
        let mut stream = begun.now_or_never().expect("it begins at once");
        let read = whole(stream.body_mut()).now_or_never();
        assert!(read.is_none(), "it goes on");
        let pass = lock(&self.guarded.inner.pass).take();
        (stream, pass.expect("a stream of requests"))
    }
}

#[tokio::test]
async fn a_role_that_signs_nothing_opens_no_stream_of_requests() {
    let scene = Scene::wide();
    let auditor = scene.somebody("auditor/court/a");
    let (code, _, read) = scene.call(&auditor, STREAM, 100).await;
    assert_eq!((code, read), (Code::PermissionDenied, 0));
    let maker = scene.somebody("manufacturer/0001/line");
    assert_eq!(scene.call(&maker, RECORD, 1).await.0, Code::Ok);
    assert!(lock(&scene.guarded.inner.pass).is_none(), "one request");
}

#[tokio::test]
async fn the_bytes_of_a_stream_are_given_back_request_by_request() {
    let scene = Scene::wide();
    let maker = scene.somebody("manufacturer/0001/line");
    let (stream, pass) = scene.stream(&maker, 3, 100);
    assert_eq!(scene.memory.used(), 3 * KIB as u64 + 100);
    let mut places: Vec<Place> = (0..3).map(|_| pass.enter().expect("let in")).collect();
    drop(places.remove(1));
    assert_eq!(scene.memory.used(), 2 * KIB as u64 + 100);
    // The answer counts until it is sent, and the request no more.
    let answer = places.remove(0).answered(30);
    assert_eq!(scene.memory.used(), KIB as u64 + 130);
    drop(answer);
    drop(stream);
    assert_eq!(scene.memory.used(), KIB as u64 + 100);
    drop(pass);
    drop(places);
    assert_eq!(scene.memory.used(), 0);
}

#[tokio::test]
async fn the_requests_of_a_stream_have_the_places_and_the_rate_of_requests_that_come_alone() {
    let requests = PoolLimits { total: 8, each: 4 };
    let scene = Scene::new(requests, DoorLimits::unbounded().rate);
    let maker = scene.somebody("manufacturer/0001/line");
    let (_stream, pass) = scene.stream(&maker, 0, 0);
    // The stream itself has none.
    let mut places: Vec<Place> = (0..4).map(|_| pass.enter().expect("let in")).collect();
    assert!(pass.enter().is_err());
    // Nor does a call of its own find a place; another certificate does.
    assert_eq!(
        scene.call(&maker, RECORD, 0).await.0,
        Code::ResourceExhausted
    );
    let other = scene.somebody("manufacturer/0002/line");
    assert_eq!(scene.call(&other, RECORD, 0).await.0, Code::Ok);
    places.pop();
    assert!(pass.enter().is_ok());
    drop(places);
    let rate = Rate {
        per_second: 10,
        burst: 10,
    };
    let scene = Scene::new(DoorLimits::unbounded().requests, rate);
    let maker = scene.somebody("manufacturer/0001/line");
    let (_stream, pass) = scene.stream(&maker, 0, 0);
    for _ in 0..9 {
        assert!(pass.enter().is_ok(), "the tenth is the stream itself");
    }
    assert!(pass.enter().is_err());
    scene.clock.0.fetch_add(1_000, Ordering::SeqCst);
    assert!(pass.enter().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_silent_between_requests_and_not_in_the_middle_of_one() {
    let scene = Scene::wide();
    let maker = scene.somebody("manufacturer/0001/line");
    let (mut stream, pass) = scene.stream(&maker, 2, 0);
    let long = tokio::time::timeout(10 * PIECE_TIMEOUT, whole(stream.body_mut()));
    assert!(long.await.is_err(), "it goes on");
    drop((pass, stream));
    let (mut stream, _pass) = scene.stream(&maker, 2, 3);
    let cut = whole(stream.body_mut()).await;
    assert_eq!(cut.map_err(|status| status.code()), Err(Code::Aborted));
    assert_eq!(scene.counters.turned(Turned::RequestTime), 1);
}

#[tokio::test]
async fn a_refused_request_of_a_stream_is_noted_as_one_that_came_alone() {
    let data = tempfile::tempdir().expect("a folder");
    let mut scene = Scene::wide();
    let clock = Arc::clone(&scene.clock) as Arc<dyn Clock>;
    let work = carnet_consensus::Work::Inline;
    let audit = Arc::new(Audit::open(data.path(), Arc::clone(&clock), work));
    scene.guarded.door = Door::new(
        Plane::Client,
        DoorLimits::unbounded(),
        None,
        Arc::clone(&scene.counters),
        clock,
        Notes {
            audit: Arc::clone(&audit),
            requests: RequestIds::new([0x7f, 0x3a, 0]),
        },
    );
    let maker = scene.somebody("manufacturer/0001/line");
    let (_stream, pass) = scene.stream(&maker, 0, 0);
    let place = pass.enter().expect("let in");
    assert_eq!(place.request().as_str(), "7f3a00-2");
    let denied = ApiError::denied("manufacturer may not recall").to_status();
    let told = place.failed(denied).await;
    assert!(told.message().ends_with("(request 7f3a00-2)"), "{told}");
    assert!(matches!(
        ApiError::of_status(&told),
        ApiError::PermissionDenied { .. }
    ));
    let noted = audit.page(crate::audit::Chain::Denied, 0, 9).await;
    let noted = noted.expect("read").lines;
    assert_eq!(noted.len(), 1);
    assert!(noted[0].contains("SubmitStream"), "{}", noted[0]);
    // What is wrong with a request is its sender's to see.
    let wrong = ApiError::invalid("request", "no canonical bytes").to_status();
    let told = place.failed(wrong).await;
    assert!(!told.message().contains("(request"), "{told}");
}
