//! Holds: who sets which, who lifts whose, and that none outlasts a journey because nobody can lift it.

use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::{HOLDS_OF_OTHERS_MAX, HOLDS_OF_PEER_MAX};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Hold, Holder, Setter};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::{HoldKind, lifts_others, sets};
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, befriend, text, transfer};

use crate::border::{admit, depart, export, permit, two};
use crate::rules::{check, market};

fn set(kind: HoldKind) -> Command {
    Command::SetHold {
        code: Country::unborn("86").code(1),
        kind,
        reason: "because".into(),
    }
}

fn lift(kind: HoldKind, reason: &str) -> Command {
    Command::LiftHold {
        code: Country::unborn("86").code(1),
        kind,
        reason: reason.into(),
    }
}

fn holds(x: &Country) -> Vec<Hold> {
    let Ok(robot) = x.ledger.robot(&Country::unborn("86").code(1));
    robot.expect("a robot").holds
}

fn told(from: &mut Country, to: &mut Country) -> String {
    let answers = from.deliver(to);
    answers.iter().map(text).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_table_says_who_sets_which_hold() {
    let may = |role| -> Vec<HoldKind> {
        let kinds = HoldKind::ALL.iter().copied();
        kinds.filter(|kind| sets(role, *kind)).collect()
    };
    use HoldKind as H;
    assert_eq!(
        may(Role::Registrar),
        [
            H::OwnerHold,
            H::SaleLock,
            H::Theft,
            H::Lost,
            H::EvidenceFreeze,
            H::Review
        ]
    );
    assert_eq!(
        may(Role::Customs),
        [H::Theft, H::Lost, H::EvidenceFreeze, H::Review]
    );
    let regulator = [
        H::SaleLock,
        H::RegulatorStop,
        H::Theft,
        H::Lost,
        H::EvidenceFreeze,
        H::Review,
    ];
    assert_eq!(may(Role::Regulator), regulator);
    assert_eq!(may(Role::Owner), [H::OwnerHold]);
    for role in Role::ALL {
        let lifted = HoldKind::ALL
            .iter()
            .filter(|kind| lifts_others(*role, **kind));
        let count = if *role == Role::Regulator {
            HoldKind::ALL.len() - 1
        } else {
            0
        };
        assert_eq!(lifted.count(), count, "{role:?}");
    }
    let mut x = market();
    for (who, role) in [
        ("registrar", Role::Registrar),
        ("customs", Role::Customs),
        ("regulator", Role::Regulator),
    ] {
        for kind in HoldKind::ALL
            .iter()
            .filter(|kind| **kind != H::EndOfLifePending)
        {
            let command = set(*kind);
            let expected = match sets(role, *kind) {
                true => "done".to_owned(),
                false => format!(
                    "RoleNotAllowed: {} may not set {}",
                    role.word(),
                    kind.name()
                ),
            };
            check(&mut x, who, command, &expected);
        }
    }
}

#[test]
fn a_hold_is_lifted_by_its_setter_and_on_record_by_the_regulator() {
    let mut x = market();
    x.must("registrar", set(HoldKind::Review));
    x.must("customs", set(HoldKind::Review));
    check(&mut x, "customs", lift(HoldKind::Review, "seen"), "done");
    check(
        &mut x,
        "customs",
        lift(HoldKind::Review, "seen"),
        "HoldUnknown: Review",
    );
    let silent = lift(HoldKind::Review, "  ");
    check(&mut x, "regulator", silent, "ReasonMissing: Review");
    assert_eq!(holds(&x).len(), 1);
    let order = lift(HoldKind::Review, "court order 7/26");
    check(&mut x, "regulator", order, "done");
    assert_eq!(holds(&x), []);
    // Its own first, and what others set only by another word.
    x.must("registrar", set(HoldKind::Theft));
    x.must("regulator", set(HoldKind::Theft));
    check(&mut x, "regulator", lift(HoldKind::Theft, "found"), "done");
    assert_eq!(holds(&x).len(), 1, "that of the registrar");
}

/// 86 offers its robot, sets a hold that does not stop it, and it is admitted at 49.
fn travelled(kind: HoldKind) -> (Country, Country) {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.must("registrar", set(kind));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    a.deliver(&mut b);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    assert_eq!(holds(&b).len(), 1, "it travels");
    (a, b)
}

const TRAVELLING: [HoldKind; 3] = [HoldKind::Review, HoldKind::Lost, HoldKind::OwnerHold];

#[test]
fn the_setter_lifts_a_hold_that_travelled() {
    for kind in TRAVELLING {
        let (mut a, mut b) = travelled(kind);
        check(
            &mut b,
            "registrar",
            lift(kind, "no"),
            &format!("HoldUnknown: {}", kind.name()),
        );
        // Another office of the country that set it changes nothing there.
        let none = format!("HoldUnknown: {}", kind.name());
        if kind != HoldKind::OwnerHold {
            check(&mut a, "customs", lift(kind, "no"), &none);
        }
        check(&mut a, "registrar", lift(kind, "done"), "done");
        assert_eq!(told(&mut a, &mut b), "done");
        assert_eq!(holds(&b), [], "{kind:?}");
        assert_eq!(holds(&a), [], "{kind:?}");
        // Said twice, it changes nothing, and nobody is told.
        check(&mut a, "registrar", lift(kind, "done"), &none);
    }
}

#[test]
fn the_regulator_of_the_country_of_stay_lifts_it_on_record() {
    for kind in TRAVELLING {
        let (_, mut b) = travelled(kind);
        check(
            &mut b,
            "regulator",
            lift(kind, ""),
            &format!("ReasonMissing: {}", kind.name()),
        );
        check(
            &mut b,
            "regulator",
            lift(kind, "the owner is known here"),
            "done",
        );
        assert_eq!(holds(&b), [], "{kind:?}");
    }
}

/// A hold that was set where the robot only stayed: that country is not its issuer, and lifts it all the same.
#[test]
fn a_country_of_stay_lifts_its_hold_after_the_robot_went_home() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let mut home = b.declare(1, transfer(2), &a.prefix);
    if let Command::DeclareExport { code: of, .. } = &mut home {
        *of = code;
    }
    b.must("customs", home);
    b.must("registrar", set(HoldKind::Review));
    b.deliver(&mut a);
    a.must("customs", permit(&a, 2, vec![]));
    a.deliver(&mut b);
    b.must("customs", depart(2));
    b.deliver(&mut a);
    a.must("customs", admit(2));
    a.deliver(&mut b);
    assert_eq!(holds(&a).len(), 1, "it came along");
    check(&mut b, "registrar", lift(HoldKind::Review, "done"), "done");
    assert_eq!(told(&mut b, &mut a), "done");
    assert_eq!(holds(&a), []);
}

/// A third country takes back nothing that it did not set.
#[test]
fn a_stranger_lifts_no_hold() {
    let (mut a, mut b) = travelled(HoldKind::Review);
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    befriend(&mut b, &mut c);
    let Ok(record) = b.ledger.robot(&a.code(1));
    // It lies: it writes a record of the robot, and lifts what it says it set.
    let mut forged = record.expect("a robot");
    forged.head = None;
    forged.holds.clear();
    let Ok(()) = c.ledger.put_robot(forged);
    check(&mut c, "registrar", set(HoldKind::Review), "done");
    check(&mut c, "registrar", lift(HoldKind::Review, "x"), "done");
    c.deliver(&mut b);
    assert_eq!(holds(&b).len(), 1);
}

#[test]
fn a_hold_on_a_code_set_aside_is_not_registered_over() {
    let mut x = Country::with_market("86");
    let code = x.code(1);
    x.must("maker", Command::Reserve { code });
    check(&mut x, "regulator", set(HoldKind::RegulatorStop), "done");
    let register = x.register(1);
    check(
        &mut x,
        "maker",
        register.clone(),
        "Held: RegulatorStop set by regulator …",
    );
    check(
        &mut x,
        "regulator",
        lift(HoldKind::RegulatorStop, "checked"),
        "done",
    );
    check(&mut x, "maker", register, "done");
}

fn invented(prefix: &str, count: usize) -> Vec<Hold> {
    let setter = |number: usize| Setter {
        prefix: crate::border::prefix(prefix),
        party: Holder::Office {
            name: format!("x{number:02}"),
        },
        role: Role::Registrar,
    };
    let hold = |number| Hold {
        kind: HoldKind::Review,
        setter: setter(number),
        reason: "x".into(),
        since: TimeMs(1),
    };
    (0..count).map(hold).collect()
}

/// 86 offers robot 1 to 49 and departs it with these holds in its record, whoever set them.
fn shows(a: &mut Country, b: &mut Country, holds: Vec<Hold>) {
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(b);
    b.must("customs", permit(b, 1, vec![]));
    b.deliver(a);
    let Ok(robot) = a.ledger.robot(&a.code(1));
    let mut robot = robot.expect("a robot");
    robot.holds = holds;
    let Ok(()) = a.ledger.put_robot(robot);
    a.must("customs", depart(1));
    a.deliver(b);
}

#[test]
fn no_disclosure_fills_a_record_with_holds() {
    let (mut a, mut b) = two();
    shows(&mut a, &mut b, invented("33", HOLDS_OF_PEER_MAX + 1));
    let full = format!("RecordFull: {HOLDS_OF_PEER_MAX} holds");
    check(&mut b, "customs", admit(1), &full);
    // What is known of it here goes on being said, and it may be sent back.
    check(&mut b, "customs", set(HoldKind::Theft), "done");
    let back = Command::Return {
        transfer: transfer(1),
        reason: "holds".into(),
    };
    check(&mut b, "customs", back, "done");
    // Of many countries: as many as leave room for the offices here.
    let (mut a, mut b) = two();
    let many = ["33", "34", "35"].map(|prefix| invented(prefix, HOLDS_OF_PEER_MAX));
    shows(&mut a, &mut b, many.concat());
    check(&mut b, "customs", admit(1), &full);
    let (mut a, mut b) = two();
    let many = ["33", "34"].map(|prefix| invented(prefix, HOLDS_OF_PEER_MAX));
    shows(&mut a, &mut b, many.concat());
    check(&mut b, "customs", admit(1), "done");
    assert_eq!(holds(&b).len(), HOLDS_OF_OTHERS_MAX);
    check(&mut b, "registrar", set(HoldKind::Theft), "done");
    check(
        &mut b,
        "regulator",
        lift(HoldKind::Review, "nobody is known who set it"),
        "done",
    );
    assert_eq!(holds(&b).len(), 1);
}

#[test]
fn another_country_shows_no_hold_in_the_name_of_an_office_here() {
    let (mut a, mut b) = two();
    shows(&mut a, &mut b, invented("49", 1));
    check(&mut b, "customs", admit(1), "done");
    assert_eq!(holds(&b), []);
}
