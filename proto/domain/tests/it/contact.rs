//! The contact with a peer: paused, resumed, ended, and how much of it is read.

use carnet_domain::limits::OFFERS_A_MINUTE_MAX;
use carnet_domain::record::contact::{Allowed, Contact};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Peer, Statement};
use carnet_domain::rules::command::Command;
use carnet_kit::{Country, text, transfer};

use crate::border::{mail, two};
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
        reason: "the treaty ended".into(),
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
