//! The server side: who is answered, and how much a slow reader costs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::MailBatch;
use carnet_kit::{Country, befriend};
use carnet_peering::home::Home;
use carnet_peering::server::{
    Caller, FederationService, FollowStream, INQUIRY_BURST, STREAMS_PER_PEER_MAX,
};
use carnet_peering::status::Board;
use carnet_wire::federation::v1 as pb;
use carnet_wire::federation::v1::federation_server::Federation;
use carnet_wire::status::ApiError;
use futures::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::world::{World, settle, two};

struct Served {
    world: Arc<World>,
    service: FederationService,
    board: Arc<Board>,
    stop: CancellationToken,
}

/// 86, which recognises 44.
fn served() -> Served {
    let (world, _, _) = two();
    let (board, stop) = (Arc::new(Board::new()), CancellationToken::new());
    let home = Arc::clone(&world) as Arc<dyn Home>;
    let service = FederationService::new(home, Arc::clone(&board), stop.clone());
    Served {
        world,
        service,
        board,
        stop,
    }
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).unwrap()
}

fn asking(cursor: u64, known_size: u64) -> pb::FollowRequest {
    pb::FollowRequest {
        prefix: "44".into(),
        to: "86".into(),
        incarnation: 0,
        cursor,
        known_size,
    }
}

fn from<T>(caller: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller(prefix(caller)));
    request
}

impl Served {
    async fn follow(&self, asked: pb::FollowRequest) -> FollowStream {
        let answer = self.service.follow(from("44", asked)).await;
        answer.unwrap().into_inner()
    }

    async fn refused(&self, request: Request<pb::FollowRequest>) -> ApiError {
        match self.service.follow(request).await {
            Ok(_) => panic!("it was answered"),
            Err(status) => ApiError::of_status(&status),
        }
    }
}

async fn next(stream: &mut FollowStream) -> MailBatch {
    let message = stream.next().await.unwrap().unwrap();
    MailBatch::from_bytes(&message.batch).unwrap()
}

fn sequences(batch: &MailBatch) -> Vec<u64> {
    batch.items.iter().map(|item| item.sequence).collect()
}

#[tokio::test]
async fn nobody_is_served_who_is_not_who_he_says_and_known_here() {
    let served = served();
    let with = |change: fn(&mut pb::FollowRequest)| {
        let mut asked = asking(0, 0);
        change(&mut asked);
        asked
    };
    let cases = [
        (
            Request::new(asking(0, 0)),
            "UNAUTHENTICATED: not authenticated: the connection proved no jurisdiction",
        ),
        (
            from("44", with(|asked| asked.prefix = "81".into())),
            "PERMISSION_DENIED: not allowed: the certificate is of 44, the request says 81",
        ),
        (
            from("81", with(|asked| asked.prefix = "81".into())),
            "PERMISSION_DENIED: not allowed: 81 is not a peer of 86: its trust bundle has not been recognised here",
        ),
        (
            from("44", with(|asked| asked.to = "81".into())),
            "INVALID_ARGUMENT: to: this is 86, the request is for 81",
        ),
        (
            from("44", with(|asked| asked.incarnation = 3)),
            "INVALID_ARGUMENT: incarnation: this log has incarnation 0, the request is for 3; fetch the newest trust bundle",
        ),
    ];
    for (request, expected) in cases {
        let error = served.refused(request).await;
        assert_eq!(format!("{}: {error}", error.reason()), expected);
    }
    assert_eq!(served.world.batches.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_first_batch_comes_at_once_and_consistency_begins_where_items_were_sent() {
    let served = served();
    let mut stream = served.follow(asking(0, 0)).await;
    let first = next(&mut stream).await;
    assert_eq!(sequences(&first), Vec::<u64>::new());
    assert_eq!(first.consistency, []);

    served.world.offer(0..2, prefix("44"));
    served.world.publish();
    let second = next(&mut stream).await;
    assert_eq!(sequences(&second), [0, 1]);
    // The peer applied nothing yet, so nothing is to be proven consistent.
    assert_eq!(second.consistency, []);
    // After the items there is the head alone, for the next in line.
    let size = *served.world.published.borrow();

    served.world.offer(2..3, prefix("44"));
    served.world.publish();
    let third = next(&mut stream).await;
    assert_eq!(sequences(&third), [2]);
    let later = *served.world.published.borrow();
    let root = |batch: &MailBatch| {
        carnet_domain::log::checkpoint::peek(&batch.checkpoint)
            .unwrap()
            .root
    };
    let proven = carnet_domain::log::merkle::verify_consistency(
        size,
        &root(&second),
        later,
        &root(&third),
        &third.consistency,
    );
    assert_eq!(proven, Ok(()));
    settle().await;
    assert!(stream.next().now_or_never().is_none(), "nothing twice");
}

#[tokio::test]
async fn a_stream_begins_at_the_cursor_and_notes_what_is_acknowledged() {
    let served = served();
    served.world.offer(0..5, prefix("44"));
    served.world.publish();
    let mut stream = served.follow(asking(3, 0)).await;
    assert_eq!(sequences(&next(&mut stream).await), [3, 4]);
    let status = served.board.of(prefix("44")).unwrap();
    assert_eq!((status.served_acknowledged, status.served_next), (3, 5));
    assert_eq!(status.served_streams, 1);
    drop(stream);
    settle().await;
    assert_eq!(served.board.of(prefix("44")).unwrap().served_streams, 0);
}

#[tokio::test]
async fn who_does_not_read_costs_two_batches() {
    let served = served();
    let mut stream = served.follow(asking(0, 0)).await;
    settle().await;
    let before = served.world.batches.load(Ordering::SeqCst);
    for serial in 0..50 {
        served.world.offer(serial..serial + 1, prefix("44"));
        served.world.publish();
        settle().await;
    }
    let made = served.world.batches.load(Ordering::SeqCst) - before;
    assert!(made <= 2, "{made} batches were made for nobody");
    let mut seen = Vec::new();
    while seen.len() < 50 {
        seen.extend(sequences(&next(&mut stream).await));
    }
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn streams_of_one_peer_are_counted_and_given_back() {
    let served = served();
    let mut open = Vec::new();
    for _ in 0..STREAMS_PER_PEER_MAX {
        open.push(served.follow(asking(0, 0)).await);
    }
    let error = served.refused(from("44", asking(0, 0))).await;
    assert_eq!(error.reason(), "OVERLOADED");
    open.pop();
    settle().await;
    open.push(served.follow(asking(0, 0)).await);
}

#[tokio::test]
async fn a_peer_that_knows_more_than_is_published_is_told_so() {
    let served = served();
    let mut stream = served.follow(asking(0, 1_000)).await;
    let status = stream.next().await.unwrap().unwrap_err();
    let error = ApiError::of_status(&status);
    assert!(
        error
            .to_string()
            .starts_with("unavailable: 1000 leaves are known"),
        "{error}"
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn streams_end_when_the_node_stops() {
    let served = served();
    let mut stream = served.follow(asking(0, 0)).await;
    next(&mut stream).await;
    served.stop.cancel();
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn before_the_first_checkpoint_a_stream_waits() {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    let world = World::new(a);
    let home = Arc::clone(&world) as Arc<dyn Home>;
    let service = FederationService::new(home, Arc::default(), CancellationToken::new());
    let answer = service.follow(from("44", asking(0, 0))).await;
    let mut stream = answer.unwrap().into_inner();
    settle().await;
    assert!(stream.next().now_or_never().is_none());
    world.publish();
    assert_eq!(sequences(&next(&mut stream).await), Vec::<u64>::new());
}

#[tokio::test]
async fn inquiries_over_the_rate_are_shed() {
    let served = served();
    *served.world.evidence.lock().unwrap() = Some(b"evidence".to_vec());
    let code = served.world.country.lock().unwrap().code(1);
    let ask_for = |for_authority| {
        let message = pb::InquireRequest {
            prefix: "44".into(),
            to: "86".into(),
            code: code.display_form(),
            purpose: "import-permit".into(),
            known_size: 0,
            for_authority,
        };
        served.service.inquire(from("44", message))
    };
    let ask = || ask_for(false);
    for _ in 0..INQUIRY_BURST / 2 {
        assert_eq!(&ask().await.unwrap().into_inner().evidence[..], b"evidence");
    }
    let error = ApiError::of_status(&ask().await.unwrap_err());
    // What is kept for its authorities is counted apart.
    for _ in 0..INQUIRY_BURST / 2 {
        assert!(ask_for(true).await.is_ok());
    }
    assert!(ask_for(true).await.is_err());
    let ApiError::Overloaded { retry_after } = error else {
        panic!("{error}");
    };
    let wait = u64::try_from(retry_after.as_millis()).unwrap();
    served.world.time_ms.fetch_add(wait, Ordering::SeqCst);
    assert!(ask().await.is_ok());
    assert!(ask().await.is_err());
}

#[tokio::test]
async fn an_inquiry_says_why_and_about_what() {
    let served = served();
    let code = served.world.country.lock().unwrap().code(1).display_form();
    let cases = [
        (code.as_str(), "", "purpose"),
        (code.as_str(), "because I can\n", "purpose"),
        ("8600", "import-permit", "code"),
    ];
    for (code, purpose, expected) in cases {
        let message = pb::InquireRequest {
            prefix: "44".into(),
            to: "86".into(),
            code: code.into(),
            purpose: purpose.into(),
            known_size: 0,
            for_authority: false,
        };
        let status = served.service.inquire(from("44", message)).await;
        match ApiError::of_status(&status.unwrap_err()) {
            ApiError::InvalidArgument { field, .. } => assert_eq!(field, expected),
            other => panic!("{other}"),
        }
    }
}
