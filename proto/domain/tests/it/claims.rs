//! Claims of peers that an identity has ended: what they block, how many are kept, who clears them.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::Chain;
use carnet_domain::limits::{CLAIMANTS_MAX, CLAIMS_OF_PEER_MAX};
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{BodyName, Ends, IdentifierScheme, Maker, Robot};
use carnet_domain::rules::command::{Command, Registration};
use carnet_domain::rules::lifecycle::State;
use carnet_kit::{Country, befriend, text};

use crate::border::{export, prefix, two};
use crate::rules::{check, scrap};

/// A country that lies: it writes the body of another under a code, as a record of its own, and scraps it.
fn claims(liar: &mut Country, code: Code, body: Digest) {
    liar.command("maker", liar.register(900));
    let Ok(record) = liar.ledger.robot(&liar.code(900));
    let mut forged: Robot = record.expect("registered");
    forged.identity.code = code;
    forged.identity.body = body;
    forged.identity_parts.clear();
    forged.head = None;
    let Ok(()) = liar.ledger.put_robot(forged);
    scrap(liar, code);
}

fn deliver(from: &mut Country, to: &mut Country) {
    let answers = from.deliver(to);
    assert!(
        answers
            .iter()
            .all(|answer| text(answer) != "EvidenceBroken")
    );
}

fn of_third(serial: u32) -> Code {
    Code::parse(&format!("33000110000200000{serial:012}")).expect("a code")
}

/// Every peer may claim an end, and this registry of a robot that was shown to it.
#[test]
fn an_end_is_claimed_by_every_peer_at_most() {
    let by = |count: usize| Ends {
        claimed_by: vec![prefix("33"); count],
        ..Ends::default()
    };
    let most = by(CLAIMANTS_MAX);
    assert_eq!(Ends::from_bytes(&most.to_bytes()), Ok(most));
    assert!(Ends::from_bytes(&by(CLAIMANTS_MAX + 1).to_bytes()).is_err());
}

fn claimed(x: &Country, identity: &Digest) -> bool {
    let Ok(ends) = x.ledger.ends(identity);
    ends.is_some_and(|ends| !ends.claimed_by.is_empty())
}

fn steppe() -> Maker {
    Maker {
        scheme: IdentifierScheme::Name,
        country: "KZ".into(),
        identifier: "STEPPE-ROBOTICS".into(),
    }
}

/// The importer's filing of a robot of a maker without a registry.
fn filed(x: &Country, serial: u32) -> Registration {
    Registration {
        body: BodyName {
            maker: steppe(),
            serial: format!("S{serial}"),
        },
        importers_filing: true,
        ..x.registration(serial)
    }
}

#[test]
fn no_claim_takes_a_serial_from_its_maker() {
    let (mut a, mut b) = two();
    // Of a third country's code, and as the issuer of a code of its own.
    let bodies = [120, 121].map(|serial| a.registration(serial).body.identity());
    claims(&mut b, of_third(1), bodies[0]);
    claims(&mut b, Country::unborn("49").code(7), bodies[1]);
    deliver(&mut b, &mut a);
    for body in &bodies {
        assert!(claimed(&a, body), "an alarm, and no end");
    }
    for serial in [120, 121] {
        let register = a.register(serial);
        check(&mut a, "maker", register, "done");
    }
}

#[test]
fn a_claim_stops_an_importers_filing_until_a_registrar_clears_it() {
    let (mut a, mut b) = two();
    let body = filed(&a, 5).body.identity();
    claims(&mut b, of_third(1), body);
    deliver(&mut b, &mut a);
    let register = Command::Register {
        registration: filed(&a, 5),
    };
    check(
        &mut a,
        "importer",
        register.clone(),
        "IdentityEnded: body: 33-…",
    );
    let clear = |peer: &str, identity, reason: &str| Command::ClearClaim {
        peer: prefix(peer),
        identity,
        reason: reason.into(),
    };
    let why = "seen at the border";
    check(&mut a, "customs", clear("49", body, why), "RoleNotAllowed…");
    check(
        &mut a,
        "registrar",
        clear("81", body, why),
        "PeerUnknown: 81",
    );
    check(
        &mut a,
        "registrar",
        clear("49", sha256(&[b"x"]), why),
        "ClaimUnknown: 49",
    );
    check(&mut a, "registrar", clear("49", body, " "), "ReasonMissing");
    check(&mut a, "registrar", clear("49", body, why), "done");
    check(
        &mut a,
        "registrar",
        clear("49", body, why),
        "ClaimUnknown: 49",
    );
    // The peer says it again, of another code: it was heard once.
    claims(&mut b, of_third(2), body);
    deliver(&mut b, &mut a);
    assert!(!claimed(&a, &body));
    check(&mut a, "importer", register, "done");
}

#[test]
fn a_proven_end_is_cleared_by_nobody() {
    let (mut a, mut b) = two();
    // By a maker that two persons made.
    a.vouch("0001");
    a.must("maker", a.register(2));
    export(&mut a, &mut b, 2, 1);
    let code = a.code(2);
    scrap(&mut b, code);
    deliver(&mut b, &mut a);
    let body = a.registration(2).body.identity();
    for identity in [body, Subject::robot(&code).key()] {
        let clear = Command::ClearClaim {
            peer: b.prefix,
            identity,
            reason: "x".into(),
        };
        check(&mut a, "registrar", clear, "ClaimUnknown: 49");
        let Ok(ends) = a.ledger.ends(&identity);
        let proven = ends.and_then(|ends| ends.proven);
        assert_eq!(proven.map(|end| end.state), Some(State::Scrapped));
    }
}

#[test]
fn of_the_claims_of_a_peer_the_oldest_makes_way() {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    let bodies = [1, 2, 3].map(|number| sha256(&[b"body", &[number]]));
    claims(&mut b, of_third(1), bodies[0]);
    claims(&mut c, of_third(1), bodies[0]);
    deliver(&mut b, &mut a);
    deliver(&mut c, &mut a);
    let Ok(count) = a.ledger.claims_of(&b.prefix);
    assert_eq!(count, 2, "the code and the body");
    // As many as are kept: the next takes the place of the first, the one after it that of the second.
    let full = CLAIMS_OF_PEER_MAX;
    let Ok(()) = a.ledger.put_claims_of(&b.prefix, full);
    claims(&mut b, of_third(2), bodies[1]);
    deliver(&mut b, &mut a);
    let Ok(count) = a.ledger.claims_of(&b.prefix);
    assert_eq!(count, full + 2, "counted");
    for identity in [bodies[0], Subject::robot(&of_third(1)).key()] {
        let Ok(gone) = a.ledger.claim(&b.prefix, &identity);
        assert_eq!(gone, None);
        let Ok(ends) = a.ledger.ends(&identity);
        assert_eq!(ends.expect("of the other peer").claimed_by, [c.prefix]);
    }
    assert!(claimed(&a, &bodies[1]));
    // The feed goes on.
    claims(&mut b, of_third(3), bodies[2]);
    deliver(&mut b, &mut a);
    assert!(claimed(&a, &bodies[2]));
}

/// Claims never keep a robot from being admitted or sent back: see the hostile tests; here, that one is not even an end.
#[test]
fn the_issuer_of_a_code_ends_no_body_that_it_does_not_have() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let body = a.registration(1).body.identity();
    claims(&mut b, Country::unborn("49").code(70), body);
    deliver(&mut b, &mut a);
    let Ok(ends) = a.ledger.ends(&body);
    assert_eq!(ends.and_then(|ends| ends.proven), None);
    let Ok(robot) = a.ledger.robot(&a.code(1));
    let robot = robot.expect("a robot");
    assert!(!robot.state.is_final() && robot.custody != Chain::unknown());
}
