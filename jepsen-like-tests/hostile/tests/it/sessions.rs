//! Requests and sessions: what somebody with a certificate, and with or without an enrolled key, can do to others.

use carnet_domain::bytes::encoding::{Blob, Canonical, Encoder};
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::{ANSWERS_PER_SESSION, LOG_TIME_MAX};
use carnet_domain::log::authority::item_root;
use carnet_domain::machine::entry::{Body, Request, SessionOpening};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::rejection::{Detail, Reason};
use carnet_hostile::judge::{content, entry_refused, harmless, no, refused};
use carnet_hostile::scene::{act, d, tomorrow};
use carnet_kit::{Country, text};

fn inspect(country: &Country) -> Command {
    act(
        country.code(1),
        Action::Inspect {
            report: d("report"),
            passed: true,
        },
    )
}

/// Probe p01.
#[test]
fn a_request_that_begins_at_the_last_number_is_malformed() {
    let mut a = Country::with_market("86");
    for first in [1, 9_999, u32::MAX - 1, u32::MAX] {
        let command = inspect(&a);
        let mut request = a.request("owner", &[command]);
        request.first_item = first;
        let body = a.client_body(request);
        entry_refused(&mut a, body, Reason::Malformed, Detail::Items {});
    }
}

/// Probe r10: the session is named, the signature is the thief's.
#[test]
fn a_request_in_anothers_session_is_refused_and_burns_no_number() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let theirs = a.session("maker");
    let command = inspect(&a);
    let mut header = a.header("owner", std::slice::from_ref(&command));
    header.session = theirs;
    header.sequence = 1 << 40;
    let request = a.part("owner", &header, &[command], 0, 1);
    let highest = a.session_of("maker").map(|session| session.highest);
    // Under the thief's certificate, and under the victim's, which the thief does not have.
    for subject in ["owner", "maker"] {
        let subject = subject.to_owned();
        let request = request.clone();
        let body = Body::Actor { subject, request };
        let detail = Detail::Session { session: theirs };
        entry_refused(&mut a, body, Reason::SessionNotYours, detail);
    }
    assert_eq!(a.session_of("maker").map(|s| s.highest), highest);
    a.must("maker", a.register(2));
}

/// Probe `one_enterprise_ends_the_sessions_of_everybody`, and `endsessions` of the client's.
#[test]
fn nobody_moves_the_numbers_of_all_sessions_there_are() {
    let mut a = Country::with_market("86");
    let names = ["registrar", "regulator", "customs", "maker", "owner"];
    for name in names {
        a.session(name);
    }
    let mine = a.session("rival");
    for session in 0..=mine + 1 {
        let command = a.register(500);
        let mut header = a.header("rival", std::slice::from_ref(&command));
        (header.session, header.sequence) = (session, 1 << 40);
        if session == mine {
            continue;
        }
        let request = a.part("rival", &header, &[command], 0, 1);
        let subject = "rival".to_owned();
        let known = 1 <= session && session < mine;
        let reason = if known {
            Reason::SessionNotYours
        } else {
            Reason::SessionUnknown
        };
        let body = Body::Actor { subject, request };
        entry_refused(&mut a, body, reason, Detail::Session { session });
    }
    for name in names {
        let moved = a.session_of(name).map(|session| session.highest);
        assert!(moved < Some(1 << 40), "{name}");
    }
    a.must("maker", a.register(1));
}

/// Probe `junk` of the client's: every part would become an entry on every node; here it leaves nothing behind.
#[test]
fn a_key_that_nobody_enrolled_leaves_nothing_behind() {
    let mut a = Country::with_market("86");
    let key = SecretKey::from_seed(&[42; 32]);
    let id = key.public().key_id();
    let registry = a.registry();
    let opening = SessionOpening {
        prefix: a.prefix,
        incarnation: registry.incarnation,
        key: id,
        subject: "maker".into(),
        nonce: [7; 16],
        not_after: TimeMs::MAX,
    };
    let opening = opening.to_bytes();
    let body = Body::OpenSession {
        subject: "maker".into(),
        signature: key.sign(&SessionOpening::signing_bytes(&opening)),
        opening: Blob(opening),
    };
    entry_refused(&mut a, body, Reason::SignerUnknown, Detail::Key { key: id });
    // In a session that is open, too.
    let session = a.session("maker");
    for sequence in [1, 2, u64::from(u32::MAX)] {
        let commands: Vec<Command> = (1..40).map(|serial| a.register(serial)).collect();
        let mut header = a.header("maker", &commands);
        (header.key, header.session, header.sequence) = (id, session, sequence);
        let mut request = a.part("maker", &header, &commands, 0, commands.len());
        request.signature = key.sign(&header.signing_bytes());
        let body = a.client_body(request);
        entry_refused(&mut a, body, Reason::SignerUnknown, Detail::Key { key: id });
    }
    a.must("maker", a.register(1));
}

/// Probe r13: one entry that ends the registry's time.
#[test]
fn no_entry_moves_log_time_to_the_end_of_time() {
    let mut a = Country::with_market("86");
    for to in [TimeMs(LOG_TIME_MAX.0 + 1), TimeMs(u64::MAX)] {
        let body = Country::confirmation(to);
        let detail = Detail::BeyondTime { to };
        entry_refused(&mut a, body, Reason::Malformed, detail);
    }
    // And one that clocks would confirm, but no roots.
    let (log_time, to) = (a.registry().log_time, LOG_TIME_MAX);
    let before = content(&a);
    let answer = a.apply_unrenewed(Country::confirmation(to));
    let detail = Detail::ClocksAhead { log_time, to };
    assert_eq!(answer.items, vec![no(Reason::TimeNeedsRoots, detail)]);
    assert_eq!((content(&a), a.registry().log_time), (before, log_time));
    a.must("maker", a.register(1));
}

/// Probe x04: what a session keeps of bulk requests.
#[test]
fn the_answers_of_a_session_take_few_bytes() {
    let mut a = Country::with_market("86");
    let commands: Vec<Command> = (1..=500).map(|serial| a.register(serial)).collect();
    let request = a.request("maker", &commands);
    let answer = a.ask(request);
    assert!(answer.items.iter().all(|item| text(item) == "done"));
    let session = a.session_of("maker").expect("open");
    let place = (session.highest % ANSWERS_PER_SESSION) as u32;
    let Ok(stored) = a.ledger.answer(session.id, place, 0);
    let bytes = stored.expect("kept").to_bytes().len();
    // A bit an item and a run of leaves, and no item's answer by itself.
    assert!(bytes < 500, "{bytes} bytes for 500 items");
}

/// Probe x09: a command of a later version is read by what the level knows, whatever binary applies it.
#[test]
fn a_command_of_a_later_version_is_malformed_at_this_level() {
    let mut a = Country::with_market("86");
    for number in [33, 63, 255, 65_535] {
        let mut e = Encoder::new();
        e.array(2);
        e.uint(number);
        e.text("x");
        let item = e.finish();
        let like = a.register(1);
        let mut header = a.header("registrar", &[like]);
        header.kind = number as u16;
        header.item_root = item_root([item.as_slice()]);
        let request = Request {
            header: Blob(header.to_bytes()),
            signature: a.key("registrar").sign(&header.signing_bytes()),
            first_item: 0,
            items: vec![Blob(item)],
            range_proof: Vec::new(),
        };
        let body = a.client_body(request);
        entry_refused(&mut a, body, Reason::Malformed, Detail::NOTHING);
    }
}

/// A request that was answered is answered again and not executed, whatever came in between.
#[test]
fn a_replayed_request_has_its_first_answer() {
    let mut a = Country::with_market("86");
    let command = a.register(1);
    let request = a.request("maker", &[command]);
    let body = a.client_body(request);
    let first = a.apply(body.clone());
    assert_eq!(text(&first.items[0]), "done");
    a.must("registrar", a.accreditation("0009"));
    for _ in 0..3 {
        assert_eq!(harmless(&mut a, body.clone()), first.items);
    }
    // Its number with other bytes is not.
    let other = a.register(2);
    let session = a.session("maker");
    let mut header = a.header("maker", std::slice::from_ref(&other));
    header.sequence = 1;
    let request = a.part("maker", &header, &[other], 0, 1);
    assert_eq!(header.session, session);
    let body = a.client_body(request);
    let detail = Detail::Request { request: 1 };
    entry_refused(&mut a, body, Reason::IdempotencyMismatch, detail);
}

/// A signed request lives until its time limit, and not beyond.
#[test]
fn a_request_kept_back_is_refused_after_its_time_limit() {
    let mut a = Country::with_market("86");
    let command = a.register(1);
    let request = a.request("maker", &[command]);
    let body = a.client_body(request);
    let until = tomorrow(&a);
    a.advance(carnet_domain::bytes::time::DurationMs::from_days(2));
    let now = a.clock;
    let detail = Detail::ValidUntil { until, now };
    entry_refused(&mut a, body, Reason::CommandExpired, detail);
    let code = a.code(1);
    let detail = Detail::Code { code };
    let stock = act(code, Action::Stock { at: None });
    refused(&mut a, "maker", stock, Reason::RobotUnknown, detail);
}
