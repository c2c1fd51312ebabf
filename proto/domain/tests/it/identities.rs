//! What names a robot in the world: whose serials it has, which of its parts carry identity, its key, its dates; and the
//! small print of texts.

use carnet_domain::bytes::code::{Code, EnterpriseCode};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::letters::FORBIDDEN;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::event::{Other, slot};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    AgreementRef, Ended, Ends, EnterpriseStatus, Firmware, IdentifierScheme, Maker, Part, PartName,
    PartType, RecallId, Robot, RobotKey, key_identity,
};
use carnet_domain::rules::command::{Action, Command, Registration};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_kit::{Country, befriend, transfer};

use crate::border::{depart, export, permit};
use crate::rules::{act, check, market, scrap};

fn register(registration: Registration) -> Command {
    Command::Register { registration }
}

/// What the rival of 0003 would register, of a model of its own.
fn of_rival(x: &mut Country, serial: u32) -> Registration {
    let approval = x.approval("0003", "100002");
    x.command("registrar", approval);
    let code = format!("{}0003100002{serial:017}", x.prefix);
    let maker = x.maker("0003");
    let mut registration = x.registration(serial);
    registration.code = Code::parse(&code).expect("a code");
    registration.body.maker = maker.clone();
    let parts = registration.identity_parts.iter_mut();
    for part in parts.chain(&mut registration.parts) {
        part.maker = maker.clone();
    }
    registration
}

#[test]
fn a_rival_takes_nobodys_serials() {
    let mut x = Country::with_market("86");
    let own = of_rival(&mut x, 1);
    let mut taken = own.clone();
    taken.body = x.registration(1).body;
    let another = "MakerDiffers: 860003 is another maker";
    check(&mut x, "rival", register(taken.clone()), another);
    // Nor under another register, another country, or by the registrar's hand.
    let other = |change: fn(&mut Maker)| {
        let mut registration = own.clone();
        change(&mut registration.body.maker);
        register(registration)
    };
    check(
        &mut x,
        "rival",
        other(|m| m.scheme = IdentifierScheme::Name),
        another,
    );
    check(&mut x, "rival", other(|m| m.country = "DE".into()), another);
    check(&mut x, "rival", other(|m| m.identifier.push('X')), another);
    check(&mut x, "registrar", register(taken), another);
    check(&mut x, "rival", register(own), "done");
    let first = x.register(1);
    check(&mut x, "maker", first, "done");
}

#[test]
fn an_importer_files_for_makers_that_are_not_accredited_and_registers_as_nobody() {
    let mut x = market();
    let own = x.register(2);
    let refused = "RoleNotAllowed: importer may not Register";
    check(&mut x, "importer", own, refused);
    let mut filed = x.registration(2);
    filed.importers_filing = true;
    let accredited = "MakerDiffers: the maker is accredited as 860001";
    check(&mut x, "importer", register(filed.clone()), accredited);
    filed.body.maker = x.maker("0003");
    let accredited = "MakerDiffers: the maker is accredited as 860003";
    check(&mut x, "importer", register(filed.clone()), accredited);
    check(
        &mut x,
        "maker",
        register(filed.clone()),
        "RoleNotAllowed: manufacturer may not FileImport",
    );
    filed.body.maker = Maker {
        scheme: IdentifierScheme::Name,
        country: "KZ".into(),
        identifier: "STEPPE-ROBOTICS".into(),
    };
    check(&mut x, "importer", register(filed.clone()), "done");
    // Whoever was struck off is accredited no more.
    x.must(
        "registrar",
        Command::SetEnterpriseStatus {
            id: x.enterprise("0003"),
            status: EnterpriseStatus::StruckOff,
            reason: "fraud".into(),
        },
    );
    let mut of_struck = x.registration(3);
    of_struck.importers_filing = true;
    of_struck.body.maker = x.maker("0003");
    check(&mut x, "importer", register(of_struck), "done");
}

#[test]
fn a_maker_is_accredited_once() {
    let mut x = Country::with_market("86");
    let Command::AccreditEnterprise {
        name,
        roles,
        valid_from,
        valid_to,
        maker,
        ..
    } = x.accreditation("0003")
    else {
        unreachable!("it accredits");
    };
    let again = |from, to| Command::AccreditEnterprise {
        code: EnterpriseCode::parse("0009").expect("a code"),
        name: name.clone(),
        maker: maker.clone(),
        roles: roles.clone(),
        valid_from: from,
        valid_to: to,
    };
    let inverted = "RangeInverted: the accreditation";
    check(&mut x, "registrar", again(TimeMs(9), TimeMs(1)), inverted);
    check(&mut x, "registrar", again(TimeMs(9), TimeMs(9)), inverted);
    let known = "EnterpriseExists: the maker is accredited as 860003";
    check(&mut x, "registrar", again(valid_from, valid_to), known);
    x.must(
        "registrar",
        Command::SetEnterpriseStatus {
            id: x.enterprise("0003"),
            status: EnterpriseStatus::StruckOff,
            reason: "fraud".into(),
        },
    );
    check(&mut x, "registrar", again(valid_from, valid_to), "done");
    let mut approval = x.approval("0001", "100009");
    if let Command::ApproveModel {
        production_from,
        production_to,
        ..
    } = &mut approval
    {
        (*production_from, *production_to) = (TimeMs(2), TimeMs(1));
    }
    check(
        &mut x,
        "registrar",
        approval,
        "RangeInverted: the production",
    );
}

#[test]
fn a_part_that_carries_identity_stands_among_those_that_do() {
    let mut x = Country::with_market("86");
    let good = x.registration(1);
    let mut hidden = good.clone();
    hidden.parts.append(&mut hidden.identity_parts);
    let expected = "Malformed: a compute stands among the parts that carry no identity";
    check(&mut x, "maker", register(hidden), expected);
    for (kind, word) in [(PartType::Battery, "battery"), (PartType::Body, "body")] {
        let mut wrong = good.clone();
        wrong.identity_parts[1].kind = kind;
        let expected = format!("Malformed: a {word} stands among the parts that carry identity");
        check(&mut x, "maker", register(wrong), &expected);
    }
    let mut second_body = good.clone();
    second_body.parts[0].kind = PartType::Body;
    check(&mut x, "maker", register(second_body), "Malformed: a body…");
    check(&mut x, "maker", register(good), "done");
}

/// Robot 1 of a maker that two persons made.
fn vouched() -> Country {
    let mut x = Country::with_market("86");
    x.vouch("0001");
    x.must("maker", x.register(1));
    x
}

/// A country that lies hides them where they carry no identity: they end with the robot all the same.
#[test]
fn identity_parts_in_the_other_list_end_with_the_robot() {
    let mut x = vouched();
    let code = x.code(1);
    let mut robot = robot_of(&x, &code);
    robot.parts.append(&mut robot.identity_parts);
    let hidden: Vec<Digest> = robot.identities();
    assert_eq!(hidden.len(), 3, "body, compute, torso");
    let Ok(()) = x.ledger.put_robot(robot);
    scrap(&mut x, code);
    for identity in hidden {
        let Ok(ends) = x.ledger.ends(&identity);
        assert!(ends.is_some_and(|ends| ends.proven.is_some()));
        let Ok(holder) = x.ledger.part_holder(&identity);
        let holder = holder.map(|fitting| fitting.code);
        assert_eq!(holder, Some(code), "bound for ever");
    }
}

fn robot_of(x: &Country, code: &Code) -> Robot {
    let Ok(robot) = x.ledger.robot(code);
    robot.expect("a robot")
}

#[test]
fn one_key_is_of_one_robot_for_ever() {
    let mut x = Country::with_market("86");
    let with_key = |x: &Country, serial| x.with_key("robot", x.registration(serial));
    let taken = "KeyInUse: the key is that of 86-0001-100002-00000000000000001";
    let first = with_key(&x, 1);
    check(&mut x, "maker", register(first), "done");
    let second = with_key(&x, 2);
    check(&mut x, "maker", register(second.clone()), taken);
    let code = x.code(1);
    scrap(&mut x, code);
    check(
        &mut x,
        "maker",
        register(second),
        "IdentityEnded: robot key: …",
    );
}

#[test]
fn a_key_that_is_freed_by_an_annulment_serves_again() {
    let mut x = Country::with_market("86");
    let with_key = |x: &Country, serial| x.with_key("robot", x.registration(serial));
    let first = register(with_key(&x, 1));
    x.must("maker", first);
    let annul = Action::Annul {
        reason: "in error".into(),
    };
    let annul = act(&x, 1, annul);
    check(&mut x, "registrar", annul, "done");
    let second = register(with_key(&x, 2));
    check(&mut x, "maker", second, "done");
}

/// Another country's registration with the key that the first one's robots have, by whoever has the key itself.
fn same_key(first: &Country, registration: Registration) -> Registration {
    let (code, body) = (registration.code, registration.body.identity());
    Registration {
        robot_key: Some(RobotKey::prove(&code, &body, &first.key("robot"))),
        ..registration
    }
}

#[test]
fn the_key_of_a_robot_from_abroad_is_taken_here_too() {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    let first = a.with_key("robot", a.registration(1));
    a.must("maker", register(first));
    export(&mut a, &mut b, 1, 1);
    let second = same_key(&a, b.registration(1));
    let code = a.code(1);
    let taken = format!("KeyInUse: the key is that of {}", code.display_form());
    check(&mut b, "maker", register(second), &taken);
}

#[test]
fn no_robot_is_made_in_the_future() {
    let mut x = Country::with_market("86");
    let made = |x: &Country, at| Registration {
        manufactured: at,
        ..x.registration(1)
    };
    let soon = x.clock.saturating_add(DurationMs::from_days(1));
    let later = made(&x, soon);
    check(&mut x, "maker", register(later), "MadeLater: made on …");
    // Nothing that is not a date stops the registry.
    let never = made(&x, TimeMs::MAX);
    check(&mut x, "maker", register(never), "OutsideProduction…");
    let now = made(&x, x.clock);
    check(&mut x, "maker", register(now), "done");
}

#[test]
fn countries_that_do_not_exist_are_refused() {
    let mut x = Country::with_market("86");
    for country in ["XX", "ZZ", "UK", "cn", "", "CHN", "86"] {
        let mut origin = x.registration(1);
        origin.origin = country.into();
        check(&mut x, "maker", register(origin), "Malformed");
        let mut part = x.registration(1);
        part.parts[0].maker.country = country.into();
        check(&mut x, "maker", register(part), "Malformed");
    }
}

#[test]
fn no_text_hides_what_it_says() {
    let mut x = market();
    let code = x.code(1);
    let texts = |letter: char| {
        let hold = Command::SetHold {
            code,
            kind: HoldKind::Review,
            reason: format!("all{letter}right"),
        };
        let note = Action::BeginMaintenance {
            note: format!("{letter}"),
            workshop: None,
        };
        let firmware = Firmware {
            family: format!("fw{letter}"),
            build: 1,
        };
        [
            ("registrar", hold),
            ("service", act(&market(), 1, note)),
            (
                "service",
                act(&market(), 1, Action::UpdateSoftware { firmware }),
            ),
        ]
    };
    for (first, last) in FORBIDDEN {
        for letter in [*first, *last] {
            for (who, command) in texts(letter) {
                check(&mut x, who, command, "Malformed");
            }
        }
    }
    let Command::AccreditEnterprise {
        code,
        maker,
        roles,
        valid_from,
        valid_to,
        ..
    } = x.accreditation("0009")
    else {
        unreachable!("it accredits");
    };
    let named = |name: &str| Command::AccreditEnterprise {
        code,
        name: name.into(),
        maker: maker.clone(),
        roles: roles.clone(),
        valid_from,
        valid_to,
    };
    check(&mut x, "registrar", named("a\u{202e}b"), "Malformed");
    check(
        &mut x,
        "registrar",
        named("宇树科技 – Müller & Söhne"),
        "done",
    );
}

#[test]
fn names_of_recalls_and_agreements_have_one_form() {
    let parsed = |text| RecallId::parse(text).is_some();
    assert!(parsed("86/R-1") && parsed("DE/2026"));
    for text in [
        "86/", "86/r-1", "86/R--1", "86/R 1", "de/R-1", "86/R\n1", "86", "8/R", "86/-",
    ] {
        assert!(!parsed(text), "{text:?}");
    }
    assert!(AgreementRef::parse("49-86:1").is_some());
    for text in [
        "49-86:+1", "49-86:01", "49-86:", ":1", "a:1", "49-86", "49-86:1 ", "A B:1", "A:-1",
    ] {
        assert_eq!(AgreementRef::parse(text), None, "{text:?}");
    }
    let one = |number: &str| RecallId {
        issuer: Country::unborn("86").prefix,
        number: number.into(),
    };
    for number in ["", "r-1", "R\u{202e}1", "R/1"] {
        let bytes = one(number).to_bytes();
        assert!(RecallId::from_bytes(&bytes).is_err(), "{number:?}");
    }
    let named = |id: &str| AgreementRef {
        id: id.into(),
        version: 1,
    };
    for id in ["", "a", "A:1", "A\r"] {
        assert!(
            AgreementRef::from_bytes(&named(id).to_bytes()).is_err(),
            "{id:?}"
        );
    }
}

#[test]
fn an_incident_is_of_a_grade() {
    let mut x = market();
    for (severity, expected) in [
        (0, "Malformed"),
        (1, "done"),
        (4, "done"),
        (5, "Malformed"),
        (255, "Malformed"),
    ] {
        let incident = Action::RecordIncident {
            severity,
            place: "hall".into(),
            findings: Digest::ZERO,
        };
        let incident = act(&x, 1, incident);
        check(&mut x, "maker", incident, expected);
    }
}

/// A robot of 86, sold, in use, and retired.
fn retired() -> Country {
    let mut x = market();
    for (who, action) in [
        ("maker", carnet_kit::samples::stock_at_dealer(&x)),
        (
            "dealer",
            Action::Sell {
                owner: sha256(&[b"owner"]).into(),
            },
        ),
        (
            "operator",
            Action::Retire {
                reason: "unsafe".into(),
            },
        ),
    ] {
        let action = act(&x, 1, action);
        x.must(who, action);
    }
    x
}

#[test]
fn nothing_returns_to_service_but_by_the_inspection_that_it_passed() {
    let mut x = retired();
    let report = |name: &str| sha256(&[name.as_bytes()]);
    let go = |x: &mut Country, who: &str, action: Action, expected: &str| {
        let command = act(x, 1, action);
        check(x, who, command, expected);
    };
    let inspect = |name, passed| Action::Inspect {
        report: report(name),
        passed,
    };
    let back = |name| Action::ReturnToService {
        report: report(name),
    };
    go(&mut x, "dealer", back("one"), "InspectionMissing");
    go(&mut x, "service", inspect("one", false), "done");
    go(&mut x, "dealer", back("one"), "InspectionMissing");
    go(&mut x, "service", inspect("two", true), "done");
    go(&mut x, "dealer", back("one"), "InspectionMissing");
    // A later one that it did not pass counts, not the earlier one.
    go(&mut x, "service", inspect("three", false), "done");
    go(&mut x, "dealer", back("two"), "InspectionMissing");
    go(&mut x, "service", inspect("four", true), "done");
    go(&mut x, "dealer", back("four"), "done");
    // What it passed before it was retired again says nothing of now.
    go(&mut x, "service", inspect("five", true), "done");
    let retire = Action::Retire {
        reason: "again".into(),
    };
    go(&mut x, "operator", retire, "done");
    for name in ["four", "five"] {
        go(&mut x, "dealer", back(name), "InspectionMissing");
    }
}

#[test]
fn a_correction_is_of_a_leaf_of_the_robot() {
    let mut x = market();
    x.must("maker", x.register(2));
    let own = robot_of(&x, &x.code(1))
        .head
        .expect("it has leaves")
        .leaf_index;
    let of_other = robot_of(&x, &x.code(2))
        .head
        .expect("it has leaves")
        .leaf_index;
    let correct = |x: &Country, corrects| {
        let note = "it was blue".into();
        act(x, 1, Action::Correct { corrects, note })
    };
    for index in [0, of_other, x.registry().tree.size(), 1 << 40] {
        let expected =
            format!("LeafNotItsOwn: leaf {index} is none of 86-0001-100002-00000000000000001");
        let command = correct(&x, index);
        check(&mut x, "registrar", command, &expected);
    }
    let command = correct(&x, own);
    let from = x.registry().tree.size();
    check(&mut x, "registrar", command, "done");
    // Whoever reads the log sees which leaf is corrected.
    let Ok(leaves) = x.ledger.leaves(from, u64::MAX, 1);
    let value = leaves[0].values[usize::from(slot::OTHER)]
        .as_ref()
        .expect("a value");
    let other = Other::from_bytes(&value.0).expect("canonical");
    assert_eq!(other.corrects, Some(own));
}

fn fit(x: &Country, serial: u32, removed: Digest, fitted: &PartName) -> Command {
    let fitted = fitted.clone();
    act(x, serial, Action::ReplacePart { removed, fitted })
}

fn holder(x: &Country, identity: Digest) -> Option<Code> {
    let Ok(holder) = x.ledger.part_holder(&identity);
    holder.map(|fitting| fitting.code)
}

/// A part of the kit's maker that no registration names.
fn spare(x: &Country, kind: PartType, serial: &str) -> PartName {
    PartName {
        kind,
        maker: x.maker("0001"),
        serial: serial.into(),
        lot: String::new(),
    }
}

#[test]
fn a_replaced_identity_part_stays_bound_and_ends_with_its_robot() {
    let mut x = vouched();
    let code = x.code(1);
    let old = x.registration(1).identity_parts[0].clone();
    let new = spare(&x, PartType::Compute, "NEW");
    let command = fit(&x, 1, old.identity(), &new);
    check(&mut x, "service", command, "done");
    assert_eq!(holder(&x, old.identity()), Some(code));
    let mut other = x.registration(2);
    other.identity_parts[0] = old.clone();
    let taken = "PartInUse: a compute is fitted in 86-0001-100002-00000000000000001";
    check(&mut x, "maker", register(other), taken);
    // Into its own robot it may come back, and out again.
    let back = fit(&x, 1, new.identity(), &old);
    check(&mut x, "service", back, "done");
    let twice = fit(&x, 1, old.identity(), &old);
    check(&mut x, "service", twice, taken);
    let out = fit(&x, 1, old.identity(), &new);
    check(&mut x, "service", out, "done");
    scrap(&mut x, code);
    for part in [old, new] {
        let Ok(ends) = x.ledger.ends(&part.identity());
        assert!(ends.is_some_and(|ends| ends.proven.is_some()));
    }
}

#[test]
fn what_a_stolen_robot_is_known_by_stays_in_it() {
    let mut x = market();
    let stolen = Command::SetHold {
        code: x.code(1),
        kind: HoldKind::Theft,
        reason: "gone".into(),
    };
    check(&mut x, "registrar", stolen, "done");
    let parts = x.registration(1);
    let new = spare(&x, PartType::Compute, "NEW");
    let compute = fit(&x, 1, parts.identity_parts[0].identity(), &new);
    check(&mut x, "service", compute, "Held: Theft set by registrar …");
    let new = spare(&x, PartType::Battery, "NEW");
    let battery = fit(&x, 1, parts.parts[0].identity(), &new);
    check(&mut x, "service", battery, "done");
}

/// A record that came from a lying country names what is another robot's, or its own body as a battery.
fn lying(x: &mut Country, change: impl Fn(&mut Robot)) {
    let mut robot = robot_of(x, &x.code(1));
    change(&mut robot);
    let Ok(()) = x.ledger.put_robot(robot);
}

#[test]
fn a_robot_frees_and_ends_nothing_of_another() {
    let part = |kind, identity| Part {
        kind,
        identity,
        lot: String::new(),
    };
    let mut x = market();
    x.must("maker", x.register(2));
    let theirs = x.registration(2);
    let body = theirs.body.identity();
    let compute = theirs.identity_parts[0].identity();
    lying(&mut x, |robot| {
        robot.parts.push(part(PartType::Battery, body));
        robot.identity_parts.push(part(PartType::Compute, compute));
    });
    let new = spare(&x, PartType::Battery, "NEW");
    let command = fit(&x, 1, body, &new);
    check(&mut x, "service", command, "done");
    lying(&mut x, |robot| {
        robot.parts.push(part(PartType::Battery, body))
    });
    let code = x.code(1);
    scrap(&mut x, code);
    for identity in [body, compute] {
        assert_eq!(holder(&x, identity), Some(x.code(2)));
        let Ok(ends) = x.ledger.ends(&identity);
        assert_eq!(ends, None);
    }
    // Nor its own body, listed as a battery.
    let mut x = market();
    let body = x.registration(1).body.identity();
    lying(&mut x, |robot| {
        robot.parts.push(part(PartType::Battery, body))
    });
    let code = x.code(1);
    scrap(&mut x, code);
    assert_eq!(holder(&x, body), Some(code));
}

#[test]
fn a_part_that_went_to_another_robot_meanwhile_stays_there() {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    for serial in [1, 2] {
        a.must("maker", a.register(serial));
    }
    let parts = |x: &Country, serial| x.registration(serial).parts[0].clone();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    a.deliver(&mut b);
    // Its battery is free here now, and is fitted in another robot; then the first is sent back.
    let battery = parts(&a, 1);
    let command = fit(&a, 2, parts(&a, 2).identity(), &battery);
    check(&mut a, "service", command, "done");
    let back = Command::Return {
        transfer: transfer(1),
        reason: "papers".into(),
    };
    b.must("customs", back);
    b.deliver(&mut a);
    let new = spare(&a, PartType::Battery, "NEW");
    let command = fit(&a, 1, battery.identity(), &new);
    check(&mut a, "service", command, "done");
    assert_eq!(holder(&a, battery.identity()), Some(a.code(2)));
    let mut third = a.registration(3);
    third.parts[0] = battery;
    let taken = "PartInUse: a battery is fitted in 86-0001-100002-00000000000000002";
    check(&mut a, "maker", register(third), taken);
}

#[test]
fn the_key_of_a_robot_that_ended_abroad_is_not_registered_anew() {
    let mut x = Country::with_market("86");
    let registration = x.with_key("robot", x.registration(2));
    // Known to have ended abroad, in no index here.
    let ended = Ended {
        code: Country::unborn("49").code(9),
        state: State::Scrapped,
        by: Country::unborn("49").prefix,
        at: x.clock,
        leaf: Digest::ZERO,
    };
    let identity = key_identity(&x.key("robot").public());
    let ends = Ends {
        proven: Some(ended),
        ..Ends::default()
    };
    let Ok(()) = x.ledger.put_ends(&identity, ends);
    check(
        &mut x,
        "maker",
        register(registration),
        "IdentityEnded: robot key: 49-…",
    );
}

/// As its registry tells of it: the robot was never here, so that its key's end is a claim. A key is drawn, and claimed by
/// nobody before it is shown.
#[test]
fn the_key_of_a_robot_that_was_never_here_is_not_registered_anew() {
    let (mut a, mut b) = crate::border::two();
    let made = a.with_key("robot", a.registration(2));
    a.must("maker", register(made));
    let code = a.code(2);
    scrap(&mut a, code);
    a.deliver(&mut b);
    let anew = same_key(&a, b.registration(1));
    check(
        &mut b,
        "maker",
        register(anew),
        "IdentityEnded: robot key: 86-…",
    );
}
