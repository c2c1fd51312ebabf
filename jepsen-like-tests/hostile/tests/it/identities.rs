//! Identities: who may name which body, part, key and date.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::Phase;
use carnet_domain::log::leaf::{Kind, Slots, Subject};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{PartType, RobotKey};
use carnet_domain::rules::actions::Deed;
use carnet_domain::rules::command::{Action, Command, Registration};
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::{Detail, Lacking, Ranged, Reason};
use carnet_hostile::judge::{nacked, refused};
use carnet_hostile::liar::{lies, say, say_ended, standing};
use carnet_hostile::scene::{act, d, export, offer, robot, two};
use carnet_kit::Country;

/// Probe `a_peer_takes_our_recall_number_and_our_makers_serials`, by a rival at home.
#[test]
fn a_rival_registers_no_body_of_another_maker() {
    let mut a = Country::with_market("86");
    a.must("registrar", a.approval("0003", "100003"));
    let mut registration = a.registration(7);
    registration.code = Code::parse("86000310000300000000000000007").expect("a code");
    let theirs = Command::Register { registration };
    let id = a.enterprise("0003");
    let detail = Detail::NotMakerOf { id };
    refused(&mut a, "rival", theirs, Reason::MakerDiffers, detail);
    a.must("maker", a.register(7));
}

/// Probe x05.
#[test]
fn the_key_of_an_importer_does_not_register_as_the_maker() {
    let mut a = Country::with_market("86");
    let command = a.register(1);
    let detail = Detail::RoleMayNotDo {
        role: Role::Importer,
        deed: Deed::Register,
    };
    refused(&mut a, "importer", command, Reason::RoleNotAllowed, detail);
    // Nor does it file what a maker here made.
    let mut registration = a.registration(1);
    registration.importers_filing = true;
    let filed = Command::Register { registration };
    let id = a.enterprise("0001");
    let detail = Detail::MakerOf { id };
    refused(&mut a, "importer", filed, Reason::MakerDiffers, detail);
}

/// Probe r07.
#[test]
fn identity_parts_are_named_among_their_own() {
    let mut a = Country::with_market("86");
    let mut registration = a.registration(1);
    let hidden = std::mem::take(&mut registration.identity_parts);
    let part = hidden[0].kind;
    registration.parts.extend(hidden);
    let command = Command::Register { registration };
    let identity = false;
    let detail = Detail::PartListed { part, identity };
    refused(&mut a, "maker", command, Reason::Malformed, detail);
    let mut registration = a.registration(1);
    registration.identity_parts.append(&mut registration.parts);
    let command = Command::Register { registration };
    let (part, identity) = (PartType::Battery, true);
    let detail = Detail::PartListed { part, identity };
    refused(&mut a, "maker", command, Reason::Malformed, detail);
}

/// Probe r16.
#[test]
fn one_robot_key_is_of_one_robot() {
    let mut a = Country::with_market("86");
    let with_key = |serial| {
        let registration = a.with_key("robot", a.registration(serial));
        Command::Register { registration }
    };
    let (first, second) = (with_key(1), with_key(2));
    a.must("maker", first);
    let detail = Detail::KeyOf { code: a.code(1) };
    refused(&mut a, "maker", second, Reason::KeyInUse, detail);
}

/// What everybody is shown of a robot is not enough to register another one under its key: neither the key nor its signature for
/// the robot that it is in.
#[test]
fn a_key_that_was_copied_is_of_no_other_robot() {
    let (mut a, mut b) = two();
    let genuine = b.with_key("robot", b.registration(5));
    let code = genuine.code;
    b.must(
        "maker",
        Command::Register {
            registration: genuine.clone(),
        },
    );
    let taken = |code| Detail::KeyUnsigned { code };
    let copied = Registration {
        robot_key: genuine.robot_key,
        ..a.registration(2)
    };
    let detail = taken(copied.code);
    let command = Command::Register {
        registration: copied.clone(),
    };
    refused(&mut a, "maker", command, Reason::KeyNotProven, detail);
    // Nor does another key sign for it.
    let public = genuine.robot_key.expect("it has a key").public;
    let bytes = RobotKey::signing_bytes(&copied.code, &copied.body.identity(), &public);
    let proof = a.key("maker").sign(&bytes);
    let forged = Registration {
        robot_key: Some(RobotKey { public, proof }),
        ..copied
    };
    let detail = taken(forged.code);
    let command = Command::Register {
        registration: forged,
    };
    refused(&mut a, "maker", command, Reason::KeyNotProven, detail);
    // The same key and code, another body.
    let other = Registration {
        body: b.registration(6).body,
        ..genuine
    };
    let mut c = Country::with_market("49");
    let command = Command::Register {
        registration: other,
    };
    let detail = taken(code);
    refused(&mut c, "maker", command, Reason::KeyNotProven, detail);
    // The genuine one arrives.
    export(&mut b, &mut a, code, 1);
    assert_eq!(robot(&a, &code).custody.phase, Phase::Here {});
}

/// A registry that shows the key of somebody else's robot as that of one of its own.
#[test]
fn a_peer_neither_holds_nor_ends_a_robot_by_its_copied_key() {
    let (mut a, mut b) = two();
    let registration = a.with_key("robot", a.registration(2));
    a.must("maker", Command::Register { registration });
    let copied = robot(&a, &a.code(2)).robot_key.expect("it has a key");
    b.must("maker", b.register(5));
    let theirs = b.code(5);
    let mut lied = robot(&b, &theirs);
    lied.robot_key = Some(copied);
    let Ok(()) = b.ledger.put_robot(lied);
    // It is not asked for here.
    let offered = offer(&b, &a, theirs, 1);
    b.must("customs", offered);
    b.deliver(&mut a);
    let Ok(record) = a.ledger.robot(&theirs);
    assert_eq!(record, None);
    // It does not end the key, nor claim it.
    for code in [theirs, b.code(70_000)] {
        let mut slots = Slots::new();
        slots.set(slot::CODE, &code.as_str().to_owned());
        slots.set(slot::BODY, &d("body"));
        slots.set(slot::ROBOT_KEY, &copied);
        slots.set(slot::STATE, &standing(State::Scrapped));
        say(&mut b, Kind::LifeCycle, &code, slots, &a.prefix);
    }
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    let Ok(ends) = a.ledger.ends(&Subject::robot(&b.code(70_000)).key());
    assert!(ends.is_some(), "the code is claimed to have ended");
    let Ok(ends) = a.ledger.ends(&copied.identity());
    assert_eq!(ends, None);
    let code = a.code(2);
    export(&mut a, &mut b, code, 2);
}

/// Probe r25.
#[test]
fn nothing_was_made_in_the_future() {
    let mut a = Country::with_market("86");
    for later in [DurationMs(60_000), DurationMs::from_days(3_000)] {
        let mut registration = a.registration(9);
        registration.manufactured = a.clock.saturating_add(later);
        let made = registration.manufactured;
        a.session("maker");
        let now = a.clock;
        let command = Command::Register { registration };
        let detail = Detail::MadeAt { made, now };
        refused(&mut a, "maker", command, Reason::MadeLater, detail);
    }
}

/// Probe r22: what no command can say.
#[test]
fn what_cannot_be_is_not_said() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    for severity in [0, 5, 255] {
        let incident = Action::RecordIncident {
            severity,
            place: "hall".into(),
            findings: d("findings"),
        };
        let command = act(a.code(1), incident);
        refused(&mut a, "maker", command, Reason::Malformed, Detail::NOTHING);
    }
    let mut registration = a.registration(3);
    registration.origin = "not a country".into();
    let command = Command::Register { registration };
    refused(&mut a, "maker", command, Reason::Malformed, Detail::NOTHING);
    for named in ["\u{202e}", "\0", "\u{7}", "x\ny", "\u{2066}x"] {
        let mut accreditation = a.accreditation("0009");
        if let Command::AccreditEnterprise { name, .. } = &mut accreditation {
            *name = named.to_owned();
        }
        refused(
            &mut a,
            "registrar",
            accreditation,
            Reason::Malformed,
            Detail::NOTHING,
        );
    }
    let mut accreditation = a.accreditation("0009");
    if let Command::AccreditEnterprise {
        valid_from,
        valid_to,
        ..
    } = &mut accreditation
    {
        (*valid_from, *valid_to) = (TimeMs(9), TimeMs(1));
    }
    let what = Ranged::Accreditation;
    let detail = Detail::Inverted { what };
    refused(
        &mut a,
        "registrar",
        accreditation,
        Reason::RangeInverted,
        detail,
    );
}

/// Probe f01: a claim blocks no registration by the accredited maker.
#[test]
fn a_peer_takes_no_serial_of_our_maker() {
    let (mut a, mut b) = two();
    let theirs = Code::parse("33000110000200000000000000120").expect("a code");
    let body = a.registration(120).body.identity();
    say_ended(&mut b, &theirs, body, &a.prefix);
    // Also as the issuer of the code.
    let own = b.code(70_000);
    let body = a.registration(121).body.identity();
    say_ended(&mut b, &own, body, &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    for serial in [120, 121] {
        let body = a.registration(serial).body.identity();
        let Ok(ends) = a.ledger.ends(&body);
        assert_eq!(ends.expect("an alarm").claimed_by, [b.prefix]);
    }
    a.must("maker", a.register(120));
    a.must("maker", a.register(121));
}

/// Probe f18: slot 0 holds the one spelling of a code.
#[test]
fn a_second_spelling_of_a_code_in_a_leaf_is_no_code() {
    let (mut a, mut b) = two();
    let code = Code::parse("33000110000200000000000000001").expect("a code");
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.display_form());
    slots.set(slot::BODY, &d("body"));
    slots.set(slot::STATE, &standing(State::Scrapped));
    say(&mut b, Kind::LifeCycle, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    let what = Lacking::Code;
    nacked(&mut a, batch, Reason::Malformed, Detail::Lacks { what });
    let Ok(ends) = a.ledger.ends(&Subject::robot(&code).key());
    assert_eq!(ends, None);
}

/// Probe r16, of a day on which the model was not made yet, or no more.
#[test]
fn nothing_is_registered_that_was_made_outside_its_production() {
    let mut a = Country::with_market("86");
    let model = a.model("0001", "100002");
    let Ok(known) = a.ledger.model(&model);
    let mut known = known.expect("it is approved");
    let now = a.clock;
    (known.production_from, known.production_to) = (TimeMs(now.0 - 20), TimeMs(now.0 - 10));
    let Ok(()) = a.ledger.put_model(known);
    for (made, registers) in [(21, false), (20, true), (10, true), (9, false)] {
        let mut country = a.clone();
        let registration = Registration {
            manufactured: TimeMs(now.0 - made),
            ..country.registration(1)
        };
        let register = Command::Register { registration };
        if registers {
            country.must("maker", register);
            continue;
        }
        let detail = Detail::ProducedFrom {
            id: model,
            from: TimeMs(now.0 - 20),
            to: TimeMs(now.0 - 10),
        };
        let reason = Reason::OutsideProduction;
        refused(&mut country, "maker", register, reason, detail);
    }
}
