//! Exactly once, or said to be unknown.

use std::time::Duration;

use carnet_client::{ApiError, BulkEvent, ClientError, Effect, wall_time};
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::rejection::Reason;

use crate::fake::{Fake, Mood};

/// For tests that wait it out, with the clock stopped: it passes only while nobody has anything to do.
const DEADLINE: Duration = Duration::from_secs(2);

fn code() -> Code {
    Code::parse("86000110000200000000000000001").expect("a code")
}

fn reserve(serial: u32) -> Command {
    Command::Reserve {
        code: Code::parse(&format!("860001100002{serial:017}")).expect("a code"),
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_executed_once() {
    let fake = Fake::start(&["a"]);
    fake.moods([Mood::LoseAnswer, Mood::LoseAnswer]);
    let submitted = fake
        .client(&["a"])
        .submit(&[reserve(1), reserve(2)])
        .await
        .expect("an answer");
    assert_eq!(submitted.attempts, 3);
    assert_eq!(submitted.answer.items.len(), 2);
    assert_eq!(fake.state().executed, 2);
}

#[tokio::test]
async fn every_request_has_its_own_number_in_one_session() {
    let fake = Fake::start(&["a"]);
    let client = fake.client(&["a"]);
    for serial in 0..5 {
        client.submit_one(reserve(serial)).await.expect("done");
    }
    assert_eq!(fake.state().executed, 5);
    assert_eq!(fake.state().sessions, 1);
}

#[tokio::test]
async fn the_leader_named_is_asked_next_and_remembered() {
    let fake = Fake::start(&["a", "b"]);
    fake.moods([Mood::Say(ApiError::NotLeader {
        leader: Some("b".into()),
    })]);
    // Only one endpoint is configured; the other is learned.
    let client = fake.client(&["a"]);
    client.submit_one(reserve(1)).await.expect("done");
    client.submit_one(reserve(2)).await.expect("done");
    assert_eq!(fake.state().arrived, ["a", "b", "b"]);
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over() {
    let fake = Fake::start(&["b"]);
    let client = fake.client(&["a", "c", "b"]);
    client.submit_one(reserve(1)).await.expect("done");
    assert_eq!(fake.state().executed, 1);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_a_write_is_unknown() {
    let fake = Fake::start(&["a"]);
    let client = fake
        .builder(&["a"])
        .deadline(DEADLINE)
        .build()
        .expect("a client");
    client
        .submit_one(reserve(1))
        .await
        .expect("the session is open");
    fake.state().always = Some(Mood::LoseAnswer);
    let error = client.submit(&[reserve(2)]).await.expect_err("no answer");
    assert!(
        matches!(error, ClientError::UnknownOutcome { .. }),
        "{error}"
    );
    assert_eq!(error.effect(), Effect::Unknown);
    assert!(!error.is_retryable());
    assert_eq!(fake.state().executed, 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_did_not_happen() {
    let fake = Fake::start(&["a"]);
    let client = fake
        .builder(&["x", "y"])
        .deadline(DEADLINE)
        .build()
        .expect("a client");
    let error = client
        .submit(&[reserve(1)])
        .await
        .expect_err("nobody there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert_eq!(error.effect(), Effect::None);
    assert!(error.is_retryable());
}

/// A person waits for the answer; thirty seconds told no more than three.
#[tokio::test(start_paused = true)]
async fn that_nobody_is_there_is_said_early_and_only_then() {
    let early = Duration::from_secs(3);
    let took = async |fake: &Fake, endpoints: &[&str]| {
        let client = fake
            .builder(endpoints)
            .unreachable_after(early)
            .deadline(early * 10)
            .build()
            .expect("a client");
        let begun = tokio::time::Instant::now();
        let error = client.submit_one(reserve(1)).await.expect_err("no answer");
        (error, begun.elapsed())
    };
    let (error, elapsed) = took(&Fake::start(&[]), &["x", "y", "z"]).await;
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(elapsed <= early, "{elapsed:?}");
    // A node that answers without being able to serve is somebody: an election passes.
    let fake = Fake::start(&["a"]);
    fake.state().always = Some(Mood::Say(ApiError::unavailable("an election")));
    let (_, elapsed) = took(&fake, &["a", "x"]).await;
    assert!(early * 9 < elapsed, "{elapsed:?}");
}

/// A node that takes the connection and answers nothing was waited for as long as a whole attempt, by every read.
#[tokio::test(start_paused = true)]
async fn a_node_that_shows_no_life_is_left_for_the_next_and_said_to_be_silent() {
    let (early, code) = (Duration::from_secs(3), code());
    let asks = async |fake: &Fake, endpoints: &[&str]| {
        let client = fake
            .builder(endpoints)
            .unreachable_after(early)
            .silent_after(early / 3)
            .deadline(early * 10)
            .build()
            .expect("a client");
        let begun = tokio::time::Instant::now();
        let reads = client.unverified();
        let answers = (0..3).map(|_| reads.robot(&code));
        let answers = futures::future::join_all(answers).await;
        (answers, begun.elapsed())
    };
    let fake = Fake::start(&["b"]).with_silent("a");
    // Where a client begins is a matter of chance.
    for _ in 0..16 {
        let (answers, took) = asks(&fake, &["a", "b"]).await;
        for answer in answers {
            assert_eq!(answer.expect_err("not there").reason(), "NOT_FOUND");
        }
        assert!(took < early, "{took:?}");
    }
    // Where all are, it is said early, and what was seen of them.
    let fake = Fake::start(&[])
        .with_silent("a")
        .with_silent("b")
        .with_silent("c");
    let (answers, took) = asks(&fake, &["a", "b", "c"]).await;
    for answer in answers {
        let error = answer.expect_err("nobody answers");
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("no sign of life"), "{error}");
    }
    assert!(took <= early + early / 10, "{took:?}");
    // One that is slow and alive has its whole attempt.
    let fake = Fake::start(&["a"]);
    fake.state().slow = Some(early);
    // Two seconds later than it was called silent, and asked once all the same.
    let (answers, took) = asks(&fake, &["a"]).await;
    for answer in answers {
        assert_eq!(answer.expect_err("not there").reason(), "NOT_FOUND");
    }
    assert_eq!(took, early);
    assert_eq!(fake.state().arrived.len(), 3, "each asked once");
}

#[tokio::test(start_paused = true)]
async fn no_quorum_is_told_from_an_unknown_outcome() {
    let fake = Fake::start(&["a"]);
    let client = fake
        .builder(&["a"])
        .deadline(DEADLINE)
        .build()
        .expect("a client");
    fake.state().always = Some(Mood::Say(ApiError::unavailable("no quorum")));
    let error = client.submit(&[reserve(1)]).await.expect_err("no quorum");
    assert!(
        matches!(error, ClientError::Api(ApiError::Unavailable { .. })),
        "{error}"
    );
    assert_eq!(error.effect(), Effect::None);
}

#[tokio::test]
async fn a_final_refusal_is_not_repeated() {
    let fake = Fake::start(&["a"]);
    fake.moods([Mood::Say(ApiError::denied("auditors change nothing"))]);
    let error = fake
        .client(&["a"])
        .submit(&[reserve(1)])
        .await
        .expect_err("denied");
    assert_eq!(error.reason(), "PERMISSION_DENIED");
    assert_eq!(fake.state().arrived.len(), 1);
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_leaves_the_outcome_open() {
    let fake = Fake::start(&["a"]);
    fake.moods([
        Mood::LoseAnswer,
        Mood::Say(ApiError::denied("revoked meanwhile")),
    ]);
    let error = fake
        .client(&["a"])
        .submit(&[reserve(1)])
        .await
        .expect_err("denied");
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(fake.state().executed, 1);
}

#[tokio::test]
async fn a_lost_session_is_opened_anew_before_anything_was_executed() {
    // Not ours: a session that was kept from before certificate or key were replaced.
    // Taken: a session kept in a directory that was copied or restored gives numbers that were given before.
    for reason in [
        Reason::SessionUnknown,
        Reason::SessionNotYours,
        Reason::IdempotencyMismatch,
    ] {
        let fake = Fake::start(&["a"]);
        fake.moods([Mood::Refuse(reason)]);
        let done = fake.client(&["a"]).submit_one(reserve(1)).await;
        assert!(done.is_ok(), "{done:?}");
        assert_eq!(fake.state().sessions, 2);
        assert_eq!(fake.state().executed, 1);
    }
}

/// Log time may stand ahead of every clock for a while, and a kept session says nothing about it.
#[tokio::test]
async fn a_command_whose_time_is_over_by_log_time_is_signed_anew_once() {
    let ahead = wall_time().saturating_add(DurationMs(1_800_000));
    for bulk in [false, true] {
        let fake = Fake::start(&["a"]);
        let client = fake.client(&["a"]);
        fake.moods([Mood::Expired(ahead)]);
        let submit = async || match bulk {
            false => client.submit_one(reserve(1)).await.map(|_| 1),
            true => {
                let sent = client.submit_bulk([reserve(1)], |_| {}).await;
                sent.map(|report| report.done)
                    .map_err(|failed| failed.source)
            }
        };
        assert_eq!(submit().await.ok(), Some(1), "bulk: {bulk}");
        assert_eq!(fake.state().executed, 1);
        assert!(fake.state().not_after > ahead);
        fake.moods([Mood::Expired(ahead), Mood::Expired(ahead)]);
        let executed = fake.state().executed;
        assert_ne!(
            submit().await.ok(),
            Some(1),
            "it is asked twice, not for ever"
        );
        assert_eq!(fake.state().executed, executed);
    }
}

/// Once, a node that said a log time of the year 2999 held what was signed then, and could have it executed until then.
#[tokio::test]
async fn no_node_says_for_how_long_a_command_may_be_executed() {
    let hour = DurationMs::from_secs(3_600);
    let fake = Fake::start(&["a"]);
    let client = fake.client(&["a"]);
    let begun = wall_time();
    fake.moods([Mood::Expired(TimeMs(32_472_144_000_000))]);
    assert!(client.submit_one(reserve(1)).await.is_ok());
    let not_after = fake.state().not_after;
    assert!(
        not_after > begun.saturating_add(hour),
        "some of it is believed"
    );
    let latest = wall_time().saturating_add(hour).saturating_add(hour);
    assert!(not_after < latest, "{not_after}");
}

#[tokio::test]
async fn a_session_lost_after_an_answer_was_lost_is_not_repeated() {
    let fake = Fake::start(&["a"]);
    fake.moods([Mood::LoseAnswer, Mood::Refuse(Reason::SessionExpired)]);
    let error = fake
        .client(&["a"])
        .submit_one(reserve(1))
        .await
        .expect_err("unknown");
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(
        fake.state().executed,
        1,
        "a new number would have executed it twice"
    );
}

/// A part after the first may have been executed, and a new number would execute it twice.
#[tokio::test]
async fn a_bulk_whose_time_is_over_after_an_answer_was_lost_is_not_repeated() {
    let ahead = wall_time().saturating_add(DurationMs(1_800_000));
    let fake = Fake::start(&["a"]);
    fake.moods([Mood::LoseAnswer, Mood::Expired(ahead)]);
    let client = fake.client(&["a"]);
    let failure = client
        .submit_bulk([reserve(1)], |_| {})
        .await
        .expect_err("unknown");
    assert_eq!(failure.source.effect(), Effect::Unknown);
    assert_eq!(fake.state().executed, 1);
}

#[tokio::test]
async fn a_bulk_resumes_and_reports_every_command_once() {
    let fake = Fake::start(&["a", "b"]);
    // Items of about 50 bytes: 12,000 make two requests of several messages each.
    fake.moods([
        Mood::BreakAfter(1),
        Mood::LoseAnswer,
        Mood::Say(ApiError::NotLeader {
            leader: Some("b".into()),
        }),
    ]);
    let client = fake.client(&["a", "b"]);
    let mut seen = vec![0u32; 12_000];
    let mut resumed = 0;
    let report = client
        .submit_bulk((0..12_000).map(reserve), |event| match event {
            BulkEvent::Answered { index, .. } => seen[index as usize] += 1,
            BulkEvent::Resumed { .. } => resumed += 1,
        })
        .await
        .expect("complete");
    assert!(seen.iter().all(|count| *count == 1));
    assert_eq!(
        (report.done, report.requests, report.streams, resumed),
        (12_000, 2, 5, 3)
    );
    assert_eq!(fake.state().executed, 12_000);
}

/// Once, the last rows of an ordinary file were called refused: a log entry had done as much as one may before it came to them.
#[tokio::test]
async fn what_found_no_room_in_its_entry_is_sent_again() {
    let fake = Fake::start(&["a"]);
    fake.moods([Mood::Room(2), Mood::Room(4)]);
    let mut answers = vec![0u32; 6];
    let report = fake
        .client(&["a"])
        .submit_bulk((0..6).map(reserve), |event| {
            if let BulkEvent::Answered { index, .. } = event {
                answers[index as usize] += 1;
            }
        })
        .await
        .expect("complete");
    assert_eq!((report.done, report.refused), (6, 0));
    assert_eq!((report.requests, report.streams), (1, 3));
    assert_eq!(answers, [1; 6], "each once");
    // Where nothing advances, that is the answer: nobody is asked for ever.
    fake.state().always = Some(Mood::Room(0));
    let report = fake.client(&["a"]).submit_bulk([reserve(9)], |_| {}).await;
    let report = report.expect("answered");
    assert_eq!((report.done, report.refused, report.streams), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_bulk_that_fails_says_from_where() {
    let fake = Fake::start(&["a"]);
    let client = fake
        .builder(&["a"])
        .deadline(DEADLINE)
        .build()
        .expect("a client");
    client
        .submit_one(reserve(99_999))
        .await
        .expect("the session is open");
    fake.state().always = Some(Mood::LoseAnswer);
    let failure = client
        .submit_bulk((0..10).map(reserve), |_| {})
        .await
        .expect_err("no answer");
    assert_eq!(failure.unknown_from, 0);
    assert_eq!(failure.source.effect(), Effect::Unknown);
}

#[tokio::test]
async fn a_read_finds_another_node() {
    let fake = Fake::start(&["a", "b"]);
    fake.moods([
        Mood::Say(ApiError::internal("disk")),
        Mood::Say(ApiError::unavailable("starting")),
    ]);
    let code = Code::parse("86000110000200000000000000001").expect("a code");
    let error = fake
        .client(&["a", "b"])
        .unverified()
        .robot(&code)
        .await
        .expect_err("not there");
    assert_eq!(error.reason(), "NOT_FOUND");
    assert_eq!(fake.state().arrived.len(), 3);
}

#[tokio::test]
async fn a_command_that_no_registry_reads_is_refused_with_its_fault() {
    let fake = Fake::start(&["a"]);
    let country = carnet_kit::Country::unborn("86");
    let accredit = |change: &dyn Fn(&mut carnet_domain::record::Maker)| {
        let mut command = country.accreditation("0009");
        if let Command::AccreditEnterprise { maker, .. } = &mut command {
            change(maker);
        }
        command
    };
    for (command, expected) in [
        (
            accredit(&|maker| maker.country = "XX".into()),
            "not a country",
        ),
        (
            accredit(&|maker| maker.identifier = "x".repeat(70_000)),
            "70",
        ),
    ] {
        let error = fake.client(&["a"]).submit(&[command]).await;
        let text = error.expect_err("malformed").to_string();
        assert!(
            text.starts_with("command 0 is none that a registry takes: "),
            "{text}"
        );
        assert!(text.contains(expected), "{text}");
    }
    assert!(fake.state().arrived.is_empty(), "nothing was sent");
}

#[tokio::test]
async fn commands_of_two_kinds_are_not_one_request() {
    let fake = Fake::start(&["a"]);
    let other = Command::WithdrawRecall {
        recall: carnet_domain::record::RecallId::parse("86/R1").expect("issuer and number"),
        reason: String::new(),
    };
    let error = fake
        .client(&["a"])
        .submit(&[reserve(1), other])
        .await
        .expect_err("two kinds");
    assert_eq!(error.reason(), "USAGE");
    assert_eq!(error.effect(), Effect::None);
}
