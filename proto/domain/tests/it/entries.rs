//! Entries: sessions and exactly-once, signatures, stamps, statements of the roots, sealing and publishing.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::ANSWERS_PER_SESSION;
use carnet_domain::log::authority::SignedHeader;
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::log::leaf::{Leaf, leaf_seed};
use carnet_domain::machine::entry::{Body, Request, SessionOpening};
use carnet_domain::machine::{Contradiction, contradiction, is_answered, whole_envelope};
use carnet_domain::record::keys::KeySignature;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::{Action, Command};
use carnet_kit::{Country, text};

use crate::rules::{check, market};
use crate::values::d;

fn send(country: &mut Country, request: Request) -> String {
    let answer = country.ask(request);
    let texts: Vec<String> = answer.items.iter().map(text).collect();
    texts.join("; ")
}

#[test]
fn a_repeated_request_has_the_same_answer_and_no_second_effect() {
    let mut x = market();
    let commands = [x.register(2), x.register(2)];
    let request = x.request("maker", &commands);
    let first = x.ask(request.clone());
    assert_eq!(first.items.len(), 2);
    let size = x.registry().tree.size();
    x.advance(DurationMs::from_days(3)); // Past the time limit too: the outcome is known.
    let again = x.ask(request.clone());
    assert_eq!((again.at, &again.items), (first.at, &first.items));
    assert_eq!(x.registry().tree.size(), size);
    // That it has an answer is told of it, and of no other request under the same number.
    let header = SignedHeader::from_bytes(&request.header.0).expect("a header");
    let Ok(stored) = x.ledger.answer(header.session, header.sequence as u32, 0);
    let stored = stored.expect("it was answered");
    let answered = |header: &SignedHeader, request: &Digest| {
        let Ok(found) = is_answered(header, request, |_, _, _| {
            Ok::<_, std::convert::Infallible>(Some(stored.clone()))
        });
        found
    };
    assert!(answered(&header, &stored.request));
    assert!(!answered(&header, &d("another")));
    let next = SignedHeader {
        sequence: header.sequence + 1,
        ..header
    };
    assert!(!answered(&next, &stored.request));
    // With fewer items, or more: one item is not to ask for the answers of thousands.
    for count in [1, 3] {
        let mut cut = request.clone();
        let items = cut.items.iter().cycle().take(count).cloned().collect();
        cut.items = items;
        let refused = send(&mut x, cut);
        assert!(refused.starts_with("IdempotencyMismatch"), "{refused}");
    }
    let mut other = request;
    let mut header = SignedHeader::from_bytes(&other.header.0).expect("a header");
    header.not_after = TimeMs::MAX;
    other.header = Blob(header.to_bytes());
    assert_eq!(
        send(&mut x, other),
        "IdempotencyMismatch: request 2; IdempotencyMismatch: request 2"
    );
}

#[test]
fn a_number_below_the_window_is_never_executed() {
    let mut x = market();
    let register = [x.register(2)];
    let mut header = x.header("maker", &register);
    header.sequence = 5_000;
    let request = x.part("maker", &header, &register, 0, 1);
    assert_eq!(send(&mut x, request), "done");
    let register = [x.register(3)];
    let mut header = x.header("maker", &register);
    header.sequence = 5_000 - 1_024;
    let request = x.part("maker", &header, &register, 0, 1);
    assert_eq!(
        send(&mut x, request),
        "SessionExpired: request 3976, the newest is 5000"
    );
    header.sequence += 1;
    let request = x.part("maker", &header, &register, 0, 1);
    assert_eq!(send(&mut x, request), "done");
}

#[test]
fn an_answer_stands_until_the_request_that_takes_its_place_and_is_never_anothers() {
    let mut x = market();
    let older = [x.register(2)];
    let mut header = x.header("maker", &older);
    header.sequence = 5_000;
    let older = x.part("maker", &header, &older, 0, 1);
    assert_eq!(send(&mut x, older.clone()), "done");
    let newer = [x.register(3)];
    let mut header = x.header("maker", &newer);
    header.sequence = 5_000 + 1_023;
    let newest_before = x.part("maker", &header, &newer, 0, 1);
    assert_eq!(send(&mut x, newest_before), "done");
    assert_eq!(send(&mut x, older.clone()), "done", "the stored answer");
    let size = x.registry().tree.size();
    let newer = [x.register(4)];
    let mut header = x.header("maker", &newer);
    header.sequence = 5_000 + 1_024;
    let newer = x.part("maker", &header, &newer, 0, 1);
    assert_eq!(send(&mut x, newer.clone()), "done");
    assert_eq!(
        send(&mut x, older),
        "SessionExpired: request 5000, the newest is 6024"
    );
    assert_eq!(send(&mut x, newer), "done", "the stored answer");
    assert_eq!(x.registry().tree.size(), size + 1);
}

#[test]
fn an_item_is_kept_once_and_the_envelope_is_whole_with_its_leaves() {
    let mut x = market();
    let commands = [x.register(2), x.register(3), x.register(2)];
    let request = x.request("maker", &commands);
    let body = x.client_body(request);
    let first = x.registry().tree.size();
    let answer = x.apply(body.clone());
    let texts: Vec<String> = answer.items.iter().map(text).collect();
    assert_eq!(texts[..2], ["done", "done"]);
    assert!(texts[2].starts_with("CodeExists"), "{texts:?}");
    let kept = x.ledger.envelope(first).expect("an envelope").to_vec();
    assert!(
        kept.len() + 2 * commands[0].to_bytes().len() <= body.to_bytes().len(),
        "what stands in a leaf is not kept again"
    );
    let kept = Body::from_bytes(&kept).expect("a body");
    let Ok(leaves) = x.ledger.leaves(first, x.registry().tree.size(), 10);
    assert_eq!(whole_envelope(kept.clone(), &leaves), Some(body));
    assert_eq!(
        whole_envelope(kept, &leaves[1..]),
        None,
        "a leaf is missing"
    );
}

/// The genesis too: its leaf and those of the first signers count from 0, and so do the leaves of a request.
#[test]
fn a_leaf_has_the_seed_of_its_place_in_its_entry() {
    let mut x = market();
    let request = x.request("maker", &[x.register(2), x.register(3)]);
    assert_eq!(send(&mut x, request), "done; done");
    let Ok(leaves) = x.ledger.leaves(0, u64::MAX, usize::MAX);
    let mut entries = x.entries.iter();
    let mut entry = entries.next().expect("the genesis");
    let mut most = 0_u32;
    for (index, record) in (0..).zip(leaves) {
        let ordinal = u32::try_from(index - record.envelope).expect("few leaves an entry");
        while leaf_seed(&entry.stamp.seed, ordinal) != record.seed {
            entry = entries.next().expect("an entry whose leaf this is");
        }
        most = most.max(ordinal);
    }
    assert!(most > 0, "some entry wrote several");
}

#[test]
fn a_subject_has_sixteen_sessions_and_the_oldest_makes_way() {
    let mut x = market();
    let open = |x: &mut Country, nonce: u8| {
        let body = x.opening("maker", [nonce; 16]);
        x.apply(body).session.expect("a session")
    };
    let first = x.session("maker");
    let second = open(&mut x, 2);
    assert_eq!(open(&mut x, 2), second, "one nonce is one session");
    for nonce in 3..=17 {
        open(&mut x, nonce);
    }
    let Ok(session) = x.ledger.session(first);
    assert_eq!(session, None);
    let register = x.register(2);
    check(&mut x, "maker", register, "SessionUnknown…");
}

#[test]
fn what_is_late_or_meant_for_another_registry_is_refused() {
    let mut x = market();
    let register = [x.register(2)];
    let mut header = x.header("maker", &register);
    header.not_after = TimeMs(1);
    let request = x.part("maker", &header, &register, 0, 1);
    assert!(send(&mut x, request).starts_with("CommandExpired: until 1970-01-01"));
    let mut elsewhere = x.header("maker", &register);
    elsewhere.prefix = crate::border::prefix("49");
    let request = x.part("maker", &elsewhere, &register, 0, 1);
    assert_eq!(
        send(&mut x, request),
        "WrongAudience: meant for 49/0, this is 86/0"
    );
    let mut restored = x.header("maker", &register);
    restored.incarnation = 1;
    let request = x.part("maker", &restored, &register, 0, 1);
    assert_eq!(
        send(&mut x, request),
        "WrongAudience: meant for 86/1, this is 86/0"
    );
}

#[test]
fn only_what_was_signed_is_executed() {
    let mut x = market();
    let commands = [x.register(2), x.register(3), x.register(4), x.register(5)];
    let header = x.header_in_parts("maker", &commands, 2);
    let good = x.part("maker", &header, &commands, 2, 2);
    let mut item = good.clone();
    item.items[0] = Blob(x.register(9).to_bytes());
    assert!(
        send(&mut x, item).starts_with("Malformed: the items are not those under the signature")
    );
    let mut place = good.clone();
    place.first_item = 0;
    assert!(send(&mut x, place).starts_with("Malformed"));
    let mut proof = good.clone();
    proof.range_proof[0].0[0] ^= 1;
    assert!(send(&mut x, proof).starts_with("Malformed"));
    let mut signature = good.clone();
    signature.signature.0[40] ^= 1;
    assert!(send(&mut x, signature).starts_with("BadSignature"));
    let mut swapped = x.header("maker", &commands);
    swapped.kind = 12;
    let swapped = x.part("maker", &swapped, &commands, 0, 4);
    assert_eq!(
        send(&mut x, swapped),
        ["Malformed: the header says 12, the item is Register"; 4].join("; ")
    );
    assert_eq!(send(&mut x, good), "done; done");
    let Ok(second) = x.ledger.robot(&x.code(2));
    assert_eq!(second, None, "only the part that came is done");
    let first = x.part("maker", &header, &commands, 0, 2);
    assert_eq!(send(&mut x, first), "done; done");
}

/// Corrections may be said over and over: one item that came in two parts would be written twice.
#[test]
fn no_item_comes_in_two_parts() {
    let mut x = market();
    let code = x.code(1);
    let Ok(robot) = x.ledger.robot(&code);
    let corrects = robot.and_then(|robot| robot.head).expect("registered");
    let corrects = corrects.leaf_index;
    let note = |note: &str| {
        let note = note.to_owned();
        let action = Action::Correct { corrects, note };
        let expected_sequence = None;
        Command::Act {
            code,
            expected_sequence,
            action,
        }
    };
    let commands = ["a", "b", "c", "d", "e"].map(note);
    let header = x.header_in_parts("registrar", &commands, 2);
    let whole = x.part("registrar", &header, &commands, 2, 2);
    let first = send(&mut x, whole.clone());
    let size = x.registry().tree.size();
    for (first, count) in [
        (1, 1),
        (2, 1),
        (3, 1),
        (3, 2),
        (1, 2),
        (0, 4),
        (0, 5),
        (0, 1),
    ] {
        let cut = x.part("registrar", &header, &commands, first, count);
        let said = send(&mut x, cut);
        let none = said.starts_with("Malformed: the items are not those under the signature");
        let other = said.starts_with("IdempotencyMismatch");
        assert!(none || (other && first == 2), "{first} {count}: {said}");
    }
    assert_eq!(x.registry().tree.size(), size, "nothing is written twice");
    assert_eq!(send(&mut x, whole), first);
    let last = x.part("registrar", &header, &commands, 4, 1);
    assert_eq!(send(&mut x, last), "done");
    // Nor in two requests under one number, cut otherwise and signed both times.
    for (part_items, first, count) in [(4, 0, 4), (1, 3, 1), (5, 0, 5), (4, 4, 1)] {
        let mut other = header.clone();
        other.part_items = part_items;
        let other = x.part("registrar", &other, &commands, first, count);
        let said = send(&mut x, other);
        assert!(
            said.starts_with("IdempotencyMismatch"),
            "{part_items}: {said}"
        );
    }
    let mut once = x.header_in_parts("registrar", &commands, 5);
    let whole = x.part("registrar", &once, &commands, 0, 5);
    assert_eq!(send(&mut x, whole), ["done"; 5].join("; "));
    once.part_items = 2;
    let part = x.part("registrar", &once, &commands, 2, 2);
    assert!(send(&mut x, part).starts_with("IdempotencyMismatch"));
    let mut none = header;
    none.part_items = 0;
    none.sequence += 2;
    let none = x.part("registrar", &none, &commands, 0, 5);
    assert!(send(&mut x, none).starts_with("Malformed"));
}

#[test]
fn a_command_signed_by_another_key_is_refused() {
    let mut x = market();
    let register = [x.register(2)];
    let header = x.header("maker", &register);
    let request = x.part("rival", &header, &register, 0, 1);
    assert_eq!(send(&mut x, request), "BadSignature");
}

#[test]
fn time_never_goes_back_by_a_stamp() {
    let mut x = market();
    let time = x.registry().log_time;
    let register = x.register(2);
    x.clock = TimeMs(7);
    check(&mut x, "maker", register, "done");
    assert_eq!(x.registry().log_time, time);
    let Ok(robot) = x.ledger.robot(&x.code(2));
    let index = robot
        .and_then(|robot| robot.head)
        .expect("a leaf")
        .leaf_index;
    let Ok(leaf) = x.ledger.leaf(index);
    let leaf = Leaf::from_bytes(&leaf.expect("a leaf").leaf.0).expect("a leaf");
    assert_eq!(leaf.t_ms, time);
}

// ---- statements of the roots ----

#[test]
fn a_registry_begins_once_and_with_its_genesis() {
    let mut x = Country::unborn("86");
    let answer = x.apply(Body::Seal {});
    assert_eq!(text(&answer.items[0]), "NotInitialised");
    let genesis = carnet_domain::record::peer::Statement::Genesis {
        genesis: x.genesis(),
    };
    let mut unsigned = x.sign_statement(&genesis);
    unsigned.signatures.pop();
    let answer = x.apply(Body::Root { signed: unsigned });
    assert_eq!(text(&answer.items[0]), "StatementUnsigned");
    assert_eq!(text(&x.state(&genesis)), "done");
    assert_eq!(text(&x.state(&genesis)), "AlreadyInitialised");
}

#[test]
fn bundles_are_signed_newer_and_without_overlap() {
    use carnet_domain::record::peer::{Signed, Statement};
    let (mut x, other) = (Country::new("86"), Country::new("49"));
    let recognise = |bundle: &carnet_domain::record::peer::Bundle, by: &Country| {
        let bytes = bundle.to_bytes();
        Statement::Recognise {
            changes: Vec::new(),
            fingerprint: bundle.fingerprint(),
            bundle: Signed {
                signatures: by.root_signatures(&bytes),
                bytes: Blob(bytes),
            },
        }
    };
    let first = other.bundle_of(2);
    let forged = recognise(&first, &x);
    assert_eq!(text(&x.state(&forged)), "StatementUnsigned: bundle of 49");
    let Statement::Recognise { bundle, .. } = recognise(&first, &other) else {
        unreachable!()
    };
    let wrong = Statement::Recognise {
        changes: Vec::new(),
        bundle,
        fingerprint: Digest::ZERO,
    };
    assert!(text(&x.state(&wrong)).starts_with("StatementUnsigned: the bundle's fingerprint is"));
    assert_eq!(text(&x.state(&recognise(&first, &other))), "done");
    assert_eq!(
        text(&x.state(&recognise(&first, &other))),
        "StatementStale: sequence 2, known is 2"
    );
    let mut ours = other.bundle_of(3);
    ours.prefixes.push(x.prefix);
    assert_eq!(
        text(&x.state(&recognise(&ours, &other))),
        "PrefixOverlap: 86"
    );
    let mut theirs = Country::new("81").bundle_of(1);
    theirs.prefixes.push(other.prefix);
    let third = Country::new("81");
    assert_eq!(
        text(&x.state(&recognise(&theirs, &third))),
        "PrefixOverlap: 49"
    );
    let mut unsigned = x.sign_statement(&recognise(&other.bundle_of(4), &other));
    unsigned.signatures.truncate(1);
    let answer = x.apply(Body::Root { signed: unsigned });
    assert_eq!(text(&answer.items[0]), "StatementUnsigned: statement 2");
    let agree = carnet_kit::agreement(x.prefix, other.prefix, 1);
    let bytes = agree.to_bytes();
    let one_side = Statement::Agree {
        agreement: Signed {
            signatures: x.root_signatures(&bytes),
            bytes: Blob(bytes),
        },
    };
    assert_eq!(
        text(&x.state(&one_side)),
        "StatementUnsigned: the agreement lacks the roots of 49"
    );
}

// ---- the log ----

#[test]
fn a_size_is_published_when_it_was_sealed_and_signed() {
    let mut x = market();
    let registry = x.registry();
    let signature = x.key("log").sign(b"anything");
    let key = x.key("log").public();
    let publish = |size, root| Body::Publish {
        size,
        root,
        signatures: vec![KeySignature { key, signature }],
    };
    let answer = x.apply(publish(registry.tree.size(), registry.tree.root()));
    assert!(text(&answer.items[0]).starts_with("NotSealed"));
    x.seal();
    let sealed = x.registry().sealed.expect("sealed");
    let answer = x.apply(publish(sealed.size, sealed.root));
    assert!(text(&answer.items[0]).starts_with("BadSignature"));
    assert_eq!(text(&x.publish().expect("sealed").items[0]), "nothing");
    assert!(text(&x.publish().expect("sealed").items[0]).starts_with("NotSealed"));
    let size = x.registry().tree.size();
    assert_eq!(text(&x.seal().items[0]), "nothing");
    assert_eq!(
        x.registry().tree.size(),
        size,
        "nothing new, nothing sealed"
    );
}

/// What a replica at `registry` says of a checkpoint with this root, signed by this key.
fn contradicted(x: &Country, key: &str, size: u64, root: Digest) -> Option<Contradiction> {
    let registry = x.registry();
    let origin = Origin {
        prefix: registry.prefix,
        incarnation: registry.incarnation,
    };
    let body = Checkpoint { origin, size, root }.body();
    let signature = x.key(key).sign(body.as_bytes());
    let publish = Body::Publish {
        size,
        root,
        signatures: vec![KeySignature {
            key: x.key(key).public(),
            signature,
        }],
    };
    contradiction(&registry, &publish)
}

#[test]
fn only_another_root_of_the_same_size_signed_by_the_log_is_a_contradiction() {
    let mut x = market();
    x.seal();
    let old = x.registry().sealed.expect("sealed");
    let other = d("another root");
    assert_eq!(contradicted(&x, "log", old.size, old.root), None);
    assert_eq!(
        contradicted(&x, "maker", old.size, other),
        None,
        "not the log's key"
    );
    assert_eq!(
        contradicted(&x, "log", old.size - 1, other),
        None,
        "never sealed"
    );
    let found = Contradiction {
        size: old.size,
        own: old.root,
        named: other,
    };
    assert_eq!(contradicted(&x, "log", old.size, other), Some(found));

    // Published, and another size sealed since: the root of either is known.
    x.publish().expect("sealed");
    let registration = x.register(77);
    x.command("maker", registration);
    x.seal();
    let new = x.registry().sealed.expect("sealed");
    assert_eq!(
        contradicted(&x, "log", old.size, old.root),
        None,
        "late, and honest"
    );
    assert_eq!(contradicted(&x, "log", old.size, other), Some(found));
    let found = Contradiction {
        size: new.size,
        own: new.root,
        named: other,
    };
    assert_eq!(contradicted(&x, "log", new.size, other), Some(found));
    // What is neither the newest sealed size nor the published one is a latecomer, whatever it says.
    x.publish().expect("sealed");
    assert_eq!(contradicted(&x, "log", old.size, other), None, "forgotten");
}

/// A session that was opened with one key served whoever could name its number.
#[test]
fn a_session_is_opened_by_a_signed_word_for_one_subject_and_one_party() {
    let mut x = market();
    let open = |x: &mut Country, body: Body| {
        let answer = x.apply(body);
        (answer.session, text(&answer.items[0]))
    };
    let honest = x.opening("maker", [1; 16]);
    let changed = |change: &dyn Fn(&mut String, &mut SessionOpening)| {
        let Body::OpenSession {
            mut subject,
            opening,
            ..
        } = honest.clone()
        else {
            panic!("an opening");
        };
        let mut opening = SessionOpening::from_bytes(&opening.0).expect("an opening");
        change(&mut subject, &mut opening);
        let bytes = opening.to_bytes();
        let key = x.key("maker");
        Body::OpenSession {
            subject,
            signature: key.sign(&SessionOpening::signing_bytes(&bytes)),
            opening: Blob(bytes),
        }
    };
    let elsewhere = changed(&|_, opening| opening.incarnation += 1);
    let late = changed(&|_, opening| opening.not_after = TimeMs(1));
    let moved = changed(&|subject, _| *subject = "rival".into());
    let stranger = x.key("stranger").public().key_id();
    let unknown = changed(&|_, opening| opening.key = stranger);
    let rival = x.key("rival").public().key_id();
    let forged = changed(&|_, opening| opening.key = rival);
    for (body, expected) in [
        (elsewhere, "WrongAudience: meant for 86/1, this is 86/0"),
        (late, "CommandExpired: "),
        (unknown, "SignerUnknown: "),
        (forged, "BadSignature"),
        (moved, "SessionNotYours"),
    ] {
        let (session, said) = open(&mut x, body);
        assert_eq!(session, None, "{said}");
        assert!(said.starts_with(expected), "{said}");
    }
    let mut broken = honest.clone();
    if let Body::OpenSession { opening, .. } = &mut broken {
        opening.0.push(0);
    }
    assert_eq!(open(&mut x, broken), (None, "Malformed".to_owned()));
    let (session, _) = open(&mut x, honest.clone());
    let session = session.expect("opened");
    assert_eq!(open(&mut x, honest).0, Some(session), "repeated");

    // Another certificate, and another party's signer, under the same session.
    let commands = [x.register(2)];
    let mut header = x.header("maker", &commands);
    header.session = session;
    let request = x.part("maker", &header, &commands, 0, 1);
    let not_yours = format!("SessionNotYours: session {session}");
    let stolen = Body::Actor {
        subject: "rival".into(),
        request: request.clone(),
    };
    assert_eq!(text(&x.apply(stolen).items[0]), not_yours);
    let mut others = x.header("registrar", &commands);
    others.session = session;
    let others = x.part("registrar", &others, &commands, 0, 1);
    assert_eq!(send(&mut x, others), not_yours);
    assert_eq!(send(&mut x, request.clone()), "done");
    // Nor are its answers told to another.
    let stolen = Body::Actor {
        subject: "rival".into(),
        request,
    };
    assert_eq!(text(&x.apply(stolen).items[0]), not_yours);
}

/// An answer took fifty bytes an item.
#[test]
fn an_answer_is_kept_in_a_bit_an_item() {
    let mut x = market();
    let commands: Vec<_> = (2..=1_001).map(|serial| x.register(serial)).collect();
    let mut commands = commands;
    commands[500] = x.register(1);
    let request = x.request("maker", &commands);
    let header = SignedHeader::from_bytes(&request.header.0).expect("a header");
    let first = x.ask(request.clone());
    let place = (header.sequence % ANSWERS_PER_SESSION) as u32;
    let Ok(stored) = x.ledger.answer(header.session, place, 0);
    let stored = stored.expect("kept");
    assert_eq!(stored.runs.len(), 1);
    let size = stored.to_bytes().len();
    assert!(size < 1_000 / 8 + 160, "{size} bytes");
    let size = x.registry().tree.size();
    let again = x.ask(request);
    assert_eq!(again.items, first.items);
    assert_eq!(x.registry().tree.size(), size);
}
