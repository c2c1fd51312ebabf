//! What a key leaves behind that turns out to be in other hands: what waits on its word, and heads of a log that it signed.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::mail;
use carnet_domain::limits::GIVEN_UP_MAX;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::keys::{GoodHead, KeyStep};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Peer, Signed, Statement, TakenHead, TimeChange};
use carnet_domain::record::{Asking, PartyName, Predicate, RecallDecision, RecallStatus, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind};
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, befriend, samples, text};

use crate::arrival::suspension;
use crate::border::two;
use crate::rules::{act, check, market};

fn peer(of: &Country, with: &Country) -> Peer {
    let Ok(peer) = of.ledger.peer(&with.prefix);
    peer.expect("a peer")
}

fn stolen(x: &Country, serial: u32) -> Command {
    Command::SetHold {
        code: x.code(serial),
        kind: HoldKind::Theft,
        reason: "from the hall".into(),
    }
}

/// The newest sealed head.
fn sealed(x: &mut Country) -> GoodHead {
    x.close();
    let sealed = x.registry().sealed.expect("sealed");
    GoodHead {
        size: sealed.size,
        root: sealed.root,
    }
}

/// A new log key, used from now on, and the end of the old one.
fn report(x: &mut Country, last_good: GoodHead) -> String {
    let steps = vec![
        x.add_log_key("log-2"),
        KeyStep::Activate {
            key: x.key("log-2").public(),
        },
        KeyStep::Compromise {
            key: x.key("log").public(),
            last_good,
        },
    ];
    let signed = x.order_keys(steps);
    text(&x.apply(Body::Root { signed }).items[0])
}

fn recognise(b: &mut Country, a: &mut Country) {
    let bundle = a.bundle();
    let fingerprint = sha256(&[&bundle.bytes.0]);
    let anew = Statement::Recognise {
        bundle,
        fingerprint,
        changes: Vec::new(),
    };
    assert_eq!(text(&b.state(&anew)), "done");
}

/// A thief of the log key had a peer take in a head, and an item with it; in the second case an honest head of the same size came too,
/// and nothing was read any more. Once the theft is reported and stated there, the country is read again from where its log is its own.
#[test]
fn after_a_theft_of_the_log_key_a_country_is_read_again() {
    for is_split in [false, true] {
        let (mut a, mut b) = two();
        a.must("maker", a.register(2));
        a.deliver(&mut b);
        let good = sealed(&mut a);
        let mut thief = a.clone();
        thief.must("maker", thief.register(8));
        // In the place of the first honest item that comes then.
        thief.must(
            "customs",
            thief.declare(8, carnet_kit::transfer(80), &b.prefix),
        );
        thief.deliver(&mut b);
        let (size, cursor) = (peer(&b, &a).size_seen, peer(&b, &a).cursor);
        assert!(size > good.size && cursor > 0, "the thief is believed");
        if is_split {
            let mut honest = a.clone();
            while honest.registry().tree.size() + 1 < size {
                honest.must("registrar", honest.accreditation("0007"));
                for number in 0..size {
                    if honest.registry().tree.size() + 1 >= size {
                        break;
                    }
                    let approval = honest.approval("0001", &format!("{}", 300_000 + number));
                    honest.must("registrar", approval);
                }
            }
            honest.deliver(&mut b);
            assert!(peer(&b, &a).split);
        }
        a.must("customs", a.declare(1, carnet_kit::transfer(1), &b.prefix));
        assert_eq!(report(&mut a, good), "done");
        a.close();
        recognise(&mut b, &mut a);
        let known = peer(&b, &a);
        assert_eq!((known.size_seen, known.root_seen), (good.size, good.root));
        assert_eq!((known.split, known.quarantined), (false, false));
        assert!(known.cursor < cursor, "what the thief took is read again");
        let said: Vec<String> = a.deliver(&mut b).iter().map(text).collect();
        assert_eq!(said, ["done"]);
        let Ok(robot) = b.ledger.robot(&a.code(1));
        assert!(robot.is_some(), "the honest offer");
        // What is of the thief is not read again.
        thief.must("registrar", stolen(&thief, 8));
        let said: Vec<String> = thief.deliver(&mut b).iter().map(text).collect();
        assert!(
            said.iter().all(|one| one.starts_with("EvidenceBroken")),
            "{said:?}"
        );
    }
}

/// Sizes say nothing of histories: the thief chose heads smaller than the last good one, and what the honest log had in the places of
/// his items was never read.
#[test]
fn what_stands_where_a_thief_was_believed_is_read_again() {
    let (mut a, mut b) = two();
    a.must("maker", a.register(2));
    a.deliver(&mut b);
    let mut thief = a.clone();
    thief.must(
        "customs",
        thief.declare(2, carnet_kit::transfer(80), &b.prefix),
    );
    a.must("customs", a.declare(1, carnet_kit::transfer(1), &b.prefix));
    for serial in 10..40 {
        a.must("maker", a.register(serial));
    }
    let good = sealed(&mut a);
    thief.deliver(&mut b);
    b.advance(DurationMs::from_secs(3_600));
    thief.must("maker", thief.register(3));
    thief.must(
        "customs",
        thief.declare(3, carnet_kit::transfer(81), &b.prefix),
    );
    thief.deliver(&mut b);
    let known = peer(&b, &a);
    assert!(known.size_seen < good.size && known.cursor == 2);
    assert_eq!(report(&mut a, good), "done");
    a.close();
    recognise(&mut b, &mut a);
    assert_eq!(
        peer(&b, &a).cursor,
        0,
        "none of its heads is of another key"
    );
    let said: Vec<String> = a.deliver(&mut b).iter().map(text).collect();
    assert_eq!(said, ["done"]);
    let Ok(robot) = b.ledger.robot(&a.code(1));
    assert!(robot.is_some(), "the honest offer");
}

/// Before a head of another key nothing of the thief's lies.
#[test]
fn what_is_given_up_begins_at_the_newest_head_of_another_key() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, carnet_kit::transfer(1), &b.prefix));
    a.deliver(&mut b);
    a.rotate_log("log", "log-2");
    recognise(&mut b, &mut a);
    for serial in [8, 9] {
        b.advance(DurationMs::from_secs(3_600));
        a.must("maker", a.register(serial));
        let number = u8::try_from(serial).expect("small");
        let offer = a.declare(serial, carnet_kit::transfer(number), &b.prefix);
        a.must("customs", offer);
        a.deliver(&mut b);
    }
    let good = sealed(&mut a);
    let mut thief = a.clone();
    thief.must("maker", thief.register(7));
    thief.must(
        "customs",
        thief.declare(7, carnet_kit::transfer(70), &b.prefix),
    );
    thief.deliver(&mut b);
    let before = b.registry().tree.size();
    let steps = vec![
        a.add_log_key("log-3"),
        KeyStep::Activate {
            key: a.key("log-3").public(),
        },
        KeyStep::Compromise {
            key: a.key("log-2").public(),
            last_good: good,
        },
    ];
    let signed = a.order_keys(steps);
    assert_eq!(text(&a.apply(Body::Root { signed }).items[0]), "done");
    a.close();
    recognise(&mut b, &mut a);
    let known = peer(&b, &a);
    assert_eq!(known.cursor, 0, "of the first head of the old key on");
    let [stretch] = known.given_up[..] else {
        panic!("one stretch: {:?}", known.given_up);
    };
    assert_eq!(stretch.to, before);
    assert!(known.is_given_up(before - 1) && !known.is_given_up(before));
    assert!(!known.is_given_up(stretch.from.wrapping_sub(1)));
    assert_eq!(Peer::from_bytes(&known.to_bytes()), Ok(known));
}

/// What the regulator here decided of some words stands when mail is read again and the words before them come first.
#[test]
fn what_was_decided_of_a_recall_stands_when_it_is_read_again() {
    for decision in [RecallDecision::Decline, RecallDecision::Accept] {
        let (mut a, mut b) = two();
        let mut strict = carnet_kit::agreement(a.prefix, b.prefix, 2);
        for clause in &mut strict.clauses {
            clause.recall_severity_max = Severity::Advisory;
        }
        let bytes = strict.to_bytes();
        let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
        for x in [&mut a, &mut b] {
            let agreement = Signed {
                bytes: Blob(bytes.clone()),
                signatures: signatures.clone(),
            };
            assert_eq!(text(&x.state(&Statement::Agree { agreement })), "done");
        }
        a.must("maker", samples::recall(&a, "R-1", Severity::Remedy));
        a.deliver(&mut b);
        let mut amended = samples::amendment(&a, "R-1", Predicate::all());
        if let Command::AmendRecall { notice, remedy, .. } = &mut amended {
            notice.severity = Severity::Remedy;
            *remedy = "replace it by the new one".into();
        }
        a.must("maker", amended);
        a.deliver(&mut b);
        let id = samples::recall_id(&a, "R-1");
        let known = |b: &Country| {
            let Ok(recall) = b.ledger.recall(&id);
            recall.expect("known")
        };
        assert_eq!(known(&b).status, RecallStatus::Proposed);
        b.must(
            "regulator",
            Command::DecideRecall {
                recall: id.clone(),
                decision,
                reason: "none of these is here".into(),
            },
        );
        let decided = known(&b);
        let good = sealed(&mut a);
        let mut thief = a.clone();
        thief.must("maker", samples::recall(&thief, "R-9", Severity::Remedy));
        thief.deliver(&mut b);
        assert_eq!(report(&mut a, good), "done");
        a.close();
        recognise(&mut b, &mut a);
        let before = peer(&b, &a).cursor;
        a.deliver(&mut b);
        assert!(before < peer(&b, &a).cursor, "it is read again");
        let after = known(&b);
        assert_eq!(
            (after.status, after.bound.clone(), after.words()),
            (decided.status, decided.bound.clone(), decided.words())
        );
    }
}

/// However often a key is stolen, every leaf that was given up stays so, in few stretches.
#[test]
fn stretches_that_are_given_up_are_few_and_forget_no_leaf() {
    let (mut a, b) = two();
    let mut known = peer(&b, &a);
    let (bundle, good) = (known.bundle.clone(), sealed(&mut a));
    let theft = |number: u64| (number * 100, number * 100 + 10);
    for number in 0..2 * GIVEN_UP_MAX as u64 {
        let (from, to) = theft(number);
        known.size_seen = 1;
        known.note_seen = "signed by nobody".into();
        known.heads = vec![TakenHead {
            size: 1,
            cursor: 0,
            at: TimeMs(1),
            key: a.key("log").public(),
            leaf: from,
        }];
        assert!(known.take_back(&bundle, good, to));
    }
    assert_eq!(known.given_up.len(), GIVEN_UP_MAX);
    for number in 0..2 * GIVEN_UP_MAX as u64 {
        let (from, to) = theft(number);
        assert!((from..to).all(|leaf| known.is_given_up(leaf)), "{number}");
    }
    assert!(!known.is_given_up(theft(2 * GIVEN_UP_MAX as u64).0));
    assert_eq!(Peer::from_bytes(&known.to_bytes()), Ok(known));
}

/// Once, the honest log's own step was the second half of a fork of which the thief's was the first: the victim was quarantined by the
/// very bundle that told of the theft, and everybody was told.
#[test]
fn what_a_thief_said_is_no_evidence_against_his_victim() {
    let (mut a, mut b) = two();
    a.deliver(&mut b);
    let good = sealed(&mut a);
    let mut thief = a.clone();
    thief.must(
        "customs",
        thief.declare(1, carnet_kit::transfer(80), &b.prefix),
    );
    thief.deliver(&mut b);
    a.must("customs", a.declare(1, carnet_kit::transfer(1), &b.prefix));
    let mut untold = (a.clone(), b.clone());
    assert_eq!(report(&mut a, good), "done");
    a.close();
    recognise(&mut b, &mut a);
    a.deliver(&mut b);
    let known = peer(&b, &a);
    assert_eq!((known.quarantined, known.fork), (false, None));
    // A robot that is released twice under a key in use is evidence as before.
    let (twin, c) = (&mut untold.0, &mut untold.1);
    twin.deliver(c);
    assert!(peer(c, twin).quarantined || peer(c, twin).split);
}

/// A log with two histories, both of other keys, is left by no theft.
#[test]
fn a_theft_of_another_key_lets_nobody_off_who_showed_two_histories() {
    let (mut a, mut b) = two();
    let early = sealed(&mut a);
    a.rotate_log("log", "log-2");
    recognise(&mut b, &mut a);
    a.deliver(&mut b);
    let mut twin = a.clone();
    twin.clock = twin.clock.saturating_add(carnet_kit::STEP);
    let grow = |x: &mut Country, serial| {
        x.must("maker", x.register(serial));
        let number = u8::try_from(serial).expect("small");
        let offer = x.declare(serial, carnet_kit::transfer(number), &b.prefix);
        x.must("customs", offer);
        x.close();
    };
    grow(&mut a, 4);
    grow(&mut twin, 5);
    a.deliver(&mut b);
    twin.deliver(&mut b);
    let known = peer(&b, &a);
    assert!(known.split && !known.split_note.is_empty());
    let step = KeyStep::Compromise {
        key: twin.key("log").public(),
        last_good: early,
    };
    let signed = twin.order_keys(vec![step]);
    assert_eq!(text(&twin.apply(Body::Root { signed }).items[0]), "done");
    twin.close();
    recognise(&mut b, &mut twin);
    let after = peer(&b, &a);
    assert_eq!((after.split, after.quarantined), (true, true));
    assert_eq!(
        (after.size_seen, after.root_seen, after.cursor),
        (known.size_seen, known.root_seen, known.cursor)
    );
}

/// Nothing is taken back of a country whose newest head is of another key.
#[test]
fn a_theft_that_touches_no_head_taken_in_takes_nothing_back() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, carnet_kit::transfer(1), &b.prefix));
    a.deliver(&mut b);
    let good = sealed(&mut a);
    a.rotate_log("log", "log-2");
    recognise(&mut b, &mut a);
    a.must("maker", a.register(9));
    a.must("customs", a.declare(9, carnet_kit::transfer(9), &b.prefix));
    a.deliver(&mut b);
    let before = peer(&b, &a);
    let step = KeyStep::Compromise {
        key: a.key("log").public(),
        last_good: good,
    };
    let signed = a.order_keys(vec![step]);
    assert_eq!(text(&a.apply(Body::Root { signed }).items[0]), "done");
    a.close();
    recognise(&mut b, &mut a);
    let after = peer(&b, &a);
    assert_eq!(
        (after.size_seen, after.root_seen, after.cursor),
        (before.size_seen, before.root_seen, before.cursor)
    );
}

/// A key that made way has no head to show as the newest: whoever kept it begins no history with a new peer.
#[test]
fn a_key_that_made_way_shows_no_new_peer_a_head() {
    let mut b = Country::with_market("86");
    b.close();
    let mut thief = b.clone();
    for serial in 1..=6 {
        b.must("maker", b.register(serial));
    }
    b.close();
    b.rotate_log("log", "log-2");
    b.advance(DurationMs::from_days(400));
    b.must("maker", b.register(9));
    b.close();
    let mut c = Country::with_market("49");
    befriend(&mut c, &mut b);
    b.close();
    thief.must("maker", thief.register(8));
    thief.close();
    let registry = thief.registry();
    let batch = mail::batch(&thief.ledger, &registry, &c.prefix, 0, [], 1_000_000);
    let body = Body::Foreign {
        batch: batch.expect("mail"),
    };
    let said: Vec<String> = c.apply(body).items.iter().map(text).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("EvidenceBroken"), "{said:?}");
    assert_eq!(peer(&c, &b).size_seen, 0);
    b.must("customs", b.declare(1, carnet_kit::transfer(1), &c.prefix));
    let said: Vec<String> = b.deliver(&mut c).iter().map(text).collect();
    assert_eq!(said, ["done"]);
}

/// The last good head of a stolen key is one of this log, and may turn out to be an earlier one.
#[test]
fn a_last_good_head_is_one_of_this_log() {
    let mut x = Country::with_market("86");
    let earlier = sealed(&mut x);
    x.must("maker", x.register(1));
    let right = sealed(&mut x);
    let wrong = GoodHead {
        root: sha256(&[b"mistyped, or the thief's"]),
        ..right
    };
    let elsewhere = GoodHead {
        size: right.size - 1,
        ..right
    };
    for head in [wrong, elsewhere] {
        assert!(report(&mut x.clone(), head).starts_with("NotSealed"));
    }
    assert_eq!(report(&mut x, right), "done");
    let again = |x: &mut Country, last_good| {
        let step = KeyStep::Compromise {
            key: x.key("log").public(),
            last_good,
        };
        let signed = x.order_keys(vec![step]);
        text(&x.apply(Body::Root { signed }).items[0])
    };
    assert!(again(&mut x, right).starts_with("SignerNotActive"));
    assert_eq!(again(&mut x, earlier), "done");
    assert!(again(&mut x, right).starts_with("SignerNotActive"));
}

/// What waits on the word of a key that was in other hands waits for nothing: an end, a release, a request.
#[test]
fn what_waits_on_a_word_of_a_stolen_key_is_not_gone_on_with() {
    let mut x = market();
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    x.must("maker", act(&x, 1, Action::Stock { at: None }));
    let owner = PartyName::Enterprise {
        id: x.enterprise("0003"),
    };
    x.must("maker", act(&x, 1, Action::Sell { owner }));
    let steal = |x: &mut Country, name: &str| {
        let retire = Command::RetireSigner {
            public: x.key(name).public(),
            compromised_after: Some(0),
            reason: "stolen".into(),
        };
        for who in ["registrar", "registrar-2"] {
            x.must(who, retire.clone());
        }
    };
    let certificate = sha256(&[b"certificate"]);
    let mut ended = x.clone();
    let declare = Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate,
    };
    let declare = act(&x, 1, declare);
    ended.must("recycler", declare);
    let confirm = act(&x, 1, Action::ConfirmEndOfLife { certificate });
    check(&mut ended.clone(), "buyer", confirm.clone(), "done");
    steal(&mut ended, "recycler");
    check(&mut ended, "buyer", confirm, "SignerNotActive: …");
    for asking in [Asking::Suffices, Asking::Waits] {
        let mut released = x.clone();
        let release = samples::release(&x, x.code(1), None, asking);
        released.must("buyer", release);
        let owner = PartyName::Enterprise {
            id: x.enterprise("0002"),
        };
        let secret = samples::SECRET;
        let ask = act(&x, 1, Action::RequestOwnership { owner, secret });
        let approve = act(&x, 1, Action::ApproveOwnership {});
        let mut asked = released.clone();
        check(&mut asked, "owner", ask.clone(), "done");
        steal(&mut released, "buyer");
        check(&mut released, "owner", ask, "SignerNotActive: …");
        if asking == Asking::Waits {
            steal(&mut asked, "owner");
            check(&mut asked, "buyer", approve, "SignerNotActive: …");
        }
    }
    // Of a desk of customs two admins say so: at the first word it signs no more.
    let retire = Command::RetireSigner {
        public: x.key("customs").public(),
        compromised_after: Some(0),
        reason: "stolen".into(),
    };
    let is = |x: &Country| {
        let Ok(signer) = x.ledger.signer(&x.key("customs").public().key_id());
        let signer = signer.expect("enrolled");
        (signer.retired.is_some(), signer.compromised_after)
    };
    x.must("admin", retire.clone());
    assert_eq!(is(&x), (true, None));
    check(&mut x, "admin", retire.clone(), "SecondPartyRequired: …");
    x.must("admin-2", retire);
    assert_eq!(is(&x), (true, Some(0)));
}

/// What was proposed at a time that is to come again was never: it would stand for as long as the clock ran ahead.
#[test]
fn a_proposal_of_a_clock_that_ran_ahead_is_none() {
    let mut x = Country::with_market("86");
    let change = |x: &Country, to: TimeMs| {
        let registry = x.registry();
        TimeChange {
            cluster: registry.cluster,
            number: registry.time_statements + 1,
            from: registry.log_time,
            to,
        }
    };
    let before = x.enrolment(
        "registrar-8",
        x.office("registrar"),
        Role::Registrar,
        "eight",
    );
    x.must("admin", before.clone());
    let begun = x.registry().log_time;
    let ahead = begun.saturating_add(DurationMs::from_days(3));
    let advance = Statement::AdvanceTime {
        change: change(&x, ahead),
    };
    assert_eq!(text(&x.state(&advance)), "done");
    x.clock = x.registry().log_time;
    let enrol = x.enrolment(
        "registrar-9",
        x.office("registrar"),
        Role::Registrar,
        "nine",
    );
    x.must("admin", enrol.clone());
    let repair = Statement::RepairTime {
        change: change(&x, begun),
    };
    assert_eq!(text(&x.state(&repair)), "done");
    x.clock = begun;
    let active = |x: &Country, name: &str| {
        let offices = x.registry().offices;
        offices.supervisors.iter().any(|one| one.person == name)
    };
    x.must("admin-2", enrol);
    assert!(!active(&x, "nine"), "it is a first word");
    // What is of before the clock went wrong, and has not expired, stands.
    x.must("admin-2", before);
    assert!(active(&x, "eight"));
}

/// A thief says it under a number that no later word reaches: it goes with the rest that he said.
#[test]
fn a_suspension_that_a_thief_told_is_forgotten() {
    let (mut a, mut b) = two();
    let good = sealed(&mut a);
    let mut thief = a.clone();
    let said = suspension(&thief, &b, u32::MAX, TimeMs::MAX);
    assert_eq!(text(&thief.state(&said)), "done");
    thief.deliver(&mut b);
    assert_eq!(peer(&b, &a).suspended_there.len(), 1);
    assert_eq!(report(&mut a, good), "done");
    a.close();
    recognise(&mut b, &mut a);
    assert_eq!(peer(&b, &a).suspended_there, []);
}
