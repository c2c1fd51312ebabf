//! The contact with a peer: paused, resumed, ended, and how much of it is read.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{
    AGREEMENTS_ENDED_MAX, AGREEMENTS_OF_PEER_MAX, HEADS_OF_PEER_MAX, OFFERS_A_MINUTE_MAX,
};
use carnet_domain::machine::RULES;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::contact::{Allowed, Contact};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Clause, Peer, Signed, Statement, TakenHead};
use carnet_domain::record::{AgreementRef, PartyName};
use carnet_domain::rules::command::Command;
use carnet_kit::{Country, agreement, befriend, text, transfer};

use crate::border::{admit, depart, export, mail, permit, two};
use crate::rules::check;

fn peer(of: &Country, with: &Country) -> Peer {
    let Ok(peer) = of.ledger.peer(&with.prefix);
    peer.expect("a peer")
}

fn set(with: &Country, contact: Contact) -> Command {
    Command::SetContact {
        peer: with.prefix,
        contact,
        reason: "why".into(),
    }
}

fn end(with: &Country, sequence: u64) -> Statement {
    Statement::EndPeer {
        peer: with.prefix,
        sequence,
        stranded: 0,
        reason: "the treaty ended".into(),
    }
}

/// Robots that are under way hold the end of a contact up as those that are offered do, unless the roots give them up by their number.
#[test]
fn a_contact_ends_with_robots_under_way_by_their_number_alone() {
    let (mut a, mut b) = two();
    let giver = a.giver(&a.code(1));
    a.must(giver, a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    a.deliver(&mut b);
    let counts = |x: &Country, with: &Country| {
        let known = peer(x, with);
        (known.offers_open + known.offers_made, known.under_way)
    };
    assert_eq!((counts(&a, &b), counts(&b, &a)), ((0, 1), (0, 1)));
    for (x, with) in [(&a, &b), (&b, &a)] {
        let sequence = peer(x, with).bundle.sequence;
        let said = text(&x.clone().state(&end(with, sequence)));
        let open = format!("TransferOpen: 1 offers with {} are open", with.prefix);
        assert_eq!(said, open);
        let mut given_up = end(with, sequence);
        if let Statement::EndPeer { stranded, .. } = &mut given_up {
            *stranded = 1;
        }
        assert_eq!(text(&x.clone().state(&given_up)), "done");
    }
    let mut admission = admit(1);
    if let Command::Admit { importer, .. } = &mut admission {
        let id = b.enterprise("0001");
        *importer = PartyName::Enterprise { id };
    }
    b.must("customs", admission);
    b.deliver(&mut a);
    assert_eq!((counts(&a, &b), counts(&b, &a)), ((0, 0), (0, 0)));
    let sequence = peer(&a, &b).bundle.sequence;
    assert_eq!(text(&a.state(&end(&b, sequence))), "done");
}

/// A permit that ran out is under way until its end: its departure is still taken.
#[test]
fn a_permit_that_ran_out_holds_an_end_up_until_it_is_given_up() {
    let (mut a, mut b) = two();
    let giver = a.giver(&a.code(1));
    a.must(giver, a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.advance(DurationMs::from_days(120));
    for number in RULES {
        b.apply(Body::Rule { number, cursor: 0 });
    }
    let known = peer(&b, &a);
    assert_eq!((known.offers_open, known.under_way), (0, 1));
    let mut ended = end(&a, known.bundle.sequence);
    assert!(text(&b.state(&ended)).starts_with("TransferOpen"));
    if let Statement::EndPeer { stranded, .. } = &mut ended {
        *stranded = 1;
    }
    assert_eq!(text(&b.state(&ended)), "done");
}

/// What waits of a peer is not taken while the contact with it is ended, whatever would have it tried again.
#[test]
fn what_waits_of_a_peer_waits_on_while_there_is_no_contact() {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    befriend(&mut b, &mut c);
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let mut wide = agreement(b.prefix, c.prefix, 2);
    for clause in wide.clauses.clone() {
        let (number, issuer) = (clause.number + 2, a.prefix);
        wide.clauses.push(Clause {
            number,
            issuer,
            ..clause
        });
    }
    let bytes = wide.to_bytes();
    let signatures = [b.root_signatures(&bytes), c.root_signatures(&bytes)].concat();
    for x in [&mut b, &mut c] {
        let agreement = Signed {
            bytes: Blob(bytes.clone()),
            signatures: signatures.clone(),
        };
        assert_eq!(text(&x.state(&Statement::Agree { agreement })), "done");
    }
    let mut on = b.declare(1, transfer(2), &c.prefix);
    if let Command::DeclareExport {
        agreement,
        code: what,
        ..
    } = &mut on
    {
        agreement.version = 2;
        *what = code;
    }
    b.must("customs", on);
    b.deliver(&mut c);
    c.must("customs", permit(&c, 2, vec![]));
    c.deliver(&mut b);
    b.must("customs", depart(2));
    b.deliver(&mut c);
    c.must("customs", admit(2));
    c.deliver(&mut a);
    let waits = |a: &Country| {
        let Ok(parked) = a.ledger.parked_of(&c.prefix);
        parked.len()
    };
    let before = waits(&a);
    assert!(before > 0, "its steps wait for those before them");
    let mut open = a.clone();
    check(&mut a, "admin", set(&c, Contact::Paused), "done");
    b.clone().deliver(&mut open);
    assert!(waits(&open) < before, "what they waited for came");
    b.deliver(&mut a);
    assert_eq!(waits(&a), before);
}

/// Whatever the roots stated once is done once: each statement, again after every other one, changes nothing.
#[test]
fn no_statement_of_the_roots_is_done_twice() {
    let (mut a, mut b) = two();
    let agreed = |a: &Country, b: &Country, version| {
        let bytes = agreement(a.prefix, b.prefix, version).to_bytes();
        let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
        let agreement = Signed {
            bytes: Blob(bytes),
            signatures,
        };
        Statement::Agree { agreement }
    };
    let recognise = |_: &Country, b: &mut Country| {
        let bundle = b.bundle();
        let fingerprint = sha256(&[&bundle.bytes.0]);
        Statement::Recognise {
            bundle,
            fingerprint,
            changes: Vec::new(),
        }
    };
    let suspend = |a: &Country, b: &Country, version, number| Statement::Suspend {
        peer: b.prefix,
        agreement: AgreementRef {
            id: agreement(a.prefix, b.prefix, version).id,
            version,
        },
        number,
        until: TimeMs::MAX,
        reason: "a dispute".into(),
    };
    let end_now = |a: &Country, b: &mut Country| end(b, peer(a, b).bundle.sequence);
    type Next<'a> = &'a dyn Fn(&Country, &mut Country) -> Statement;
    let story: [Next<'_>; 9] = [
        &|a, b| suspend(a, b, 1, 1),
        &|a, b| agreed(a, b, 2),
        &|a, b| suspend(a, b, 2, 1),
        &end_now,
        &recognise,
        &|a, b| agreed(a, b, 3),
        &end_now,
        &recognise,
        &|a, b| agreed(a, b, 4),
    ];
    let mut said = vec![a.sign_statement(&agreed(&a, &b, 1))];
    for next in story {
        let statement = next(&a, &mut b);
        let signed = a.sign_statement(&statement);
        let answer = text(
            &a.apply(Body::Root {
                signed: signed.clone(),
            })
            .items[0],
        );
        assert_eq!(answer, "done", "{statement:?}");
        said.push(signed);
        for signed in &said {
            let body = Body::Root {
                signed: signed.clone(),
            };
            let answer = text(&a.clone().apply(body).items[0]);
            assert_ne!(answer, "done", "again, after {statement:?}");
        }
    }
}

#[test]
fn while_contact_is_paused_nothing_is_read_and_nothing_begins() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    check(
        &mut b,
        "customs",
        set(&a, Contact::Paused),
        "RoleNotAllowed: …",
    );
    check(
        &mut b,
        "admin",
        set(&a, Contact::Open),
        "NothingChanges: 86",
    );
    check(&mut b, "admin", set(&a, Contact::Ended), "Malformed");
    let mut silent = set(&a, Contact::Paused);
    if let Command::SetContact { reason, .. } = &mut silent {
        reason.clear();
    }
    check(&mut b, "admin", silent, "ReasonMissing");
    check(&mut b, "admin", set(&a, Contact::Paused), "done");
    mail(&mut a, &mut b, "ContactPaused: 86");
    assert_eq!(peer(&b, &a).cursor, 0, "it waits");
    b.must("maker", b.register(1));
    let offer = b.declare(1, transfer(2), &a.prefix);
    check(&mut b, "customs", offer.clone(), "ContactPaused: 86");
    // Nothing is lost, and nobody but an office resumes it.
    check(&mut b, "registrar", set(&a, Contact::Open), "done");
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", offer, "done");
}

#[test]
fn the_roots_end_a_contact_with_nothing_under_way_and_begin_it_anew() {
    let (mut a, mut b) = two();
    let sequence = peer(&a, &b).bundle.sequence;
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let said = text(&a.state(&end(&b, sequence)));
    assert_eq!(said, "TransferOpen: 1 offers with 49 are open");
    let cancel = Command::CancelExport {
        transfer: transfer(1),
        reason: "off".into(),
    };
    a.must("customs", cancel);
    assert!(text(&a.state(&end(&b, sequence + 1))).starts_with("StatementStale"));
    assert_eq!(text(&a.state(&end(&b, sequence))), "done");
    assert!(text(&a.state(&end(&b, sequence))).starts_with("NothingChanges"));
    let known = peer(&a, &b);
    assert_eq!((known.contact, known.agreements.len()), (Contact::Ended, 0));
    // No office resumes what the roots ended.
    check(&mut a, "admin", set(&b, Contact::Open), "ContactPaused: 49");
    let offer = a.declare(1, transfer(2), &b.prefix);
    check(&mut a, "customs", offer, "ContactPaused: 49");
    let bundle = b.bundle();
    let fingerprint = carnet_domain::bytes::digest::sha256(&[&bundle.bytes.0]);
    let anew = Statement::Recognise {
        bundle,
        fingerprint,
        changes: Vec::new(),
    };
    assert_eq!(text(&a.state(&anew)), "done");
    assert_eq!(peer(&a, &b).contact, Contact::Open);
    // An old statement ends no contact that began since.
    assert!(text(&a.state(&end(&b, sequence))).starts_with("StatementStale"));
}

#[test]
fn a_limit_holds_mail_back_and_one_item_is_read_all_the_same() {
    let (mut a, mut b) = two();
    let limit = |with: &Country, offers| Command::LimitPeer {
        peer: with.prefix,
        limits: Allowed {
            offers,
            ..Allowed::default()
        },
        reason: "a flood".into(),
    };
    check(
        &mut b,
        "registrar",
        limit(&a, OFFERS_A_MINUTE_MAX),
        "NothingChanges: 86",
    );
    check(
        &mut b,
        "registrar",
        limit(&a, OFFERS_A_MINUTE_MAX + 1),
        "Malformed",
    );
    check(&mut b, "registrar", limit(&a, 0), "done");
    for serial in 2..=3 {
        a.must("maker", a.register(serial));
    }
    for serial in 1..=3 {
        let number = transfer(u8::try_from(serial).expect("small"));
        a.must("customs", a.declare(serial, number, &b.prefix));
    }
    let said: Vec<String> = a.deliver(&mut b).iter().map(text).collect();
    assert_eq!(said[0], "done", "{said:?}");
    assert!(said[1].starts_with("PeerPaused: 86: 0 "), "{said:?}");
    assert_eq!(peer(&b, &a).cursor, 1);
    check(&mut b, "registrar", limit(&a, 2), "done");
    let said: Vec<String> = a.deliver(&mut b).iter().map(text).collect();
    assert_eq!(said[0], "done", "{said:?}");
    assert!(said[1].starts_with("PeerPaused: 86: 2 "), "{said:?}");
}

/// Which versions stood is remembered of so many agreements by name: a further name finds no room, and a newer version of one does.
#[test]
fn agreements_that_ended_are_remembered_by_name() {
    let (mut a, mut b) = two();
    let agree = |a: &mut Country, b: &Country, name: usize, version: u32| {
        let mut agreed = agreement(a.prefix, b.prefix, version);
        agreed.id = format!("TREATY-{name}");
        let bytes = agreed.to_bytes();
        let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
        let agreement = Signed {
            bytes: Blob(bytes),
            signatures,
        };
        text(&a.state(&Statement::Agree { agreement }))
    };
    // The one that the kit agreed has a name too.
    for name in 1..AGREEMENTS_ENDED_MAX {
        if name % (AGREEMENTS_OF_PEER_MAX - 1) == 0 {
            let sequence = peer(&a, &b).bundle.sequence;
            assert_eq!(text(&a.state(&end(&b, sequence))), "done");
            let bundle = b.bundle();
            let fingerprint = sha256(&[&bundle.bytes.0]);
            let anew = Statement::Recognise {
                bundle,
                fingerprint,
                changes: Vec::new(),
            };
            assert_eq!(text(&a.state(&anew)), "done");
        }
        assert_eq!(agree(&mut a, &b, name, 1), "done", "{name}");
    }
    assert!(agree(&mut a, &b, AGREEMENTS_ENDED_MAX, 1).starts_with("RecordFull"));
    assert!(agree(&mut a, &b, 1, 1).starts_with("StatementStale"));
    assert_eq!(agree(&mut a, &b, 1, 2), "done");
    let stored = peer(&a, &b).to_bytes();
    assert!(Peer::from_bytes(&stored).is_ok());
}

/// Heads to go back to are few, whatever was read, and of every age there is one.
#[test]
fn heads_that_were_taken_in_are_kept_the_denser_the_newer() {
    let (a, b) = two();
    let mut known = peer(&a, &b);
    let minutes = 1 << 16;
    let taken = |size: u64, minute: u64| TakenHead {
        size,
        cursor: size,
        at: TimeMs(minute * 60_000),
        key: b.key("log").public(),
        leaf: size,
    };
    for minute in 0..minutes {
        known.note_head(taken(minute, minute));
    }
    assert!(known.heads.len() <= HEADS_OF_PEER_MAX);
    assert!(known.heads.is_sorted_by_key(|head| head.size));
    for age in 0..15_u64 {
        let of_age = |at: TimeMs| (minutes - at.0 / 60_000).ilog2() as u64 == age;
        assert!(
            known.heads.iter().any(|head| of_age(head.at)),
            "2^{age} minutes"
        );
    }
    // Log time that was set back makes no more of them.
    for minute in 0..1_000 {
        known.note_head(taken(minutes + minute, minute));
    }
    assert!(known.heads.len() <= HEADS_OF_PEER_MAX);
    assert_eq!(Peer::from_bytes(&known.to_bytes()), Ok(known));
}
