//! Many commands under way on one stream, and a stream that breaks, babbles, ends or is refused.

use std::time::Duration;

use carnet_client::{ApiError, Client, ClientError, Effect};
use carnet_domain::bytes::code::Code;
use carnet_domain::rules::command::Command;
use carnet_wire::limits::SUBMIT_STREAM_REQUESTS_MAX;
use futures::future::join_all;

use crate::fake::{Fake, Mood};

fn reserve(serial: usize) -> Command {
    Command::Reserve {
        code: Code::parse(&format!("860001100002{serial:017}")).expect("a code"),
    }
}

async fn submit(client: &Client, count: usize) -> Vec<Result<(), ClientError>> {
    let submitted = (0..count).map(|serial| async move {
        let submitted = client.submit_one(reserve(serial)).await;
        submitted.map(|done| assert!(done.leaf.is_some()))
    });
    join_all(submitted).await
}

#[tokio::test]
async fn many_commands_share_one_stream_and_each_has_its_own_answer() {
    let fake = Fake::start(&["a"]);
    let client = fake.client(&["a"]);
    let count = 10 * SUBMIT_STREAM_REQUESTS_MAX;
    for outcome in submit(&client, count).await {
        outcome.expect("done");
    }
    let state = fake.state();
    assert_eq!(
        (state.executed, state.streams, state.sessions),
        (count as u64, 1, 1)
    );
}

#[tokio::test]
async fn each_command_is_answered_with_what_it_wrote() {
    let fake = Fake::start(&["a"]);
    let client = fake.client(&["a"]);
    let submitted = (0..100).map(|serial| {
        let client = &client;
        async move {
            let command = reserve(serial);
            let done = client.submit_one(command.clone()).await.expect("done");
            let bytes = carnet_domain::bytes::encoding::Canonical::to_bytes(&command);
            let hash = carnet_domain::bytes::digest::sha256(&[&bytes]);
            assert_eq!(done.leaf.map(|(_, leaf)| leaf), Some(hash));
        }
    });
    join_all(submitted).await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again_and_what_was_under_way_is_executed_once() {
    let fake = Fake::start(&["a"]);
    let client = fake.client(&["a"]);
    client.submit_one(reserve(1_000)).await.expect("a session");
    fake.moods([Mood::LoseAnswer, Mood::LoseAnswer, Mood::LoseAnswer]);
    for outcome in submit(&client, 100).await {
        outcome.expect("done");
    }
    let state = fake.state();
    assert_eq!((state.executed, state.streams), (101, 4));
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_on_a_broken_stream_is_unknown_when_nobody_answers_any_more() {
    let fake = Fake::start(&["a"]);
    let client = fake
        .builder(&["a"])
        .deadline(Duration::from_secs(2))
        .build()
        .expect("a client");
    client.submit_one(reserve(1_000)).await.expect("a session");
    fake.state().always = Some(Mood::LoseAnswer);
    let error = submit(&client, 1).await.remove(0).expect_err("no answer");
    assert!(
        matches!(error, ClientError::UnknownOutcome { .. }),
        "{error}"
    );
    assert_eq!(error.effect(), Effect::Unknown);
}

#[tokio::test]
async fn a_stream_that_the_server_ended_costs_no_attempt() {
    let fake = Fake::start(&["a"]);
    fake.state().stream_ends_after = Some(2);
    let client = fake.client(&["a"]);
    for serial in 0..6 {
        let submitted = client.submit(&[reserve(serial)]).await.expect("done");
        assert_eq!(submitted.attempts, 1, "{serial}");
    }
    assert_eq!(fake.state().executed, 6);
    assert_eq!(fake.state().streams, 3);
}

#[tokio::test]
async fn what_is_answered_twice_or_was_never_asked_changes_nothing() {
    let fake = Fake::start(&["a"]);
    fake.state().babbles = true;
    let client = fake.client(&["a"]);
    for outcome in submit(&client, 200).await {
        outcome.expect("done");
    }
    assert_eq!(fake.state().executed, 200);
}

#[tokio::test]
async fn a_refusal_of_the_stream_is_that_of_each_command_and_nothing_else_is_tried() {
    let fake = Fake::start(&["a"]);
    fake.state().refuse_streams = Some(ApiError::denied("not for auditors"));
    let client = fake.client(&["a"]);
    for outcome in submit(&client, 3).await {
        let error = outcome.expect_err("refused");
        assert!(
            matches!(error, ClientError::Api(ApiError::PermissionDenied { .. })),
            "{error}"
        );
        assert_eq!(error.effect(), Effect::None);
    }
    let state = fake.state();
    assert_eq!(state.executed, 0);
    assert!(
        state.arrived.is_empty(),
        "no command went another way: {:?}",
        state.arrived
    );
}

#[tokio::test(start_paused = true)]
async fn to_a_server_that_does_not_know_the_call_nothing_goes_another_way() {
    let fake = Fake::start(&["a"]);
    fake.state().refuse_streams = Some(ApiError::unavailable("the server does not know this call"));
    let client = fake
        .builder(&["a"])
        .deadline(Duration::from_secs(2))
        .build()
        .expect("a client");
    let error = client.submit_one(reserve(1)).await.expect_err("refused");
    assert_eq!(error.effect(), Effect::None);
    assert!(fake.state().arrived.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_left_for_another_and_its_commands_are_executed_once() {
    let fake = Fake::start(&["b"]).with_silent("a");
    let client = fake.client(&["a", "b"]);
    for outcome in submit(&client, 20).await {
        outcome.expect("done");
    }
    assert_eq!(fake.state().executed, 20);
}
