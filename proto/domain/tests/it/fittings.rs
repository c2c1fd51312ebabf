//! In which robot a part is, on whose word: what somebody here says of a part that another makes keeps its maker from nothing.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::leaf::{Kind, Leaf};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Fitted, Fitting, PartName, PartType, PartyName};
use carnet_domain::rules::command::{Action, Command, Purpose, Registration};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, transfer};

use crate::arrival::{bring, offer};
use crate::border::{admit, export, permit, two};
use crate::rules::{check, scrap};

fn fitting(x: &Country, identity: &Digest) -> Option<Fitting> {
    let Ok(fitting) = x.ledger.part_holder(identity);
    fitting
}

/// A registration by the rival of 0003, with a compute unit and a battery of the maker of 0001: those of its robot `serial`.
fn takes(x: &mut Country, serial: u32) -> Registration {
    let approval = x.approval("0003", "100002");
    x.command("registrar", approval);
    let code = format!("{}0003100002{serial:017}", x.prefix);
    let mut registration = x.registration(serial);
    registration.code = Code::parse(&code).expect("a code");
    registration.body.maker = x.maker("0003");
    registration.identity_parts.truncate(1);
    registration
}

fn registers(registration: &Registration) -> Command {
    let registration = registration.clone();
    Command::Register { registration }
}

fn kinds(x: &Country, from: u64) -> Vec<Kind> {
    let Ok(leaves) = x.ledger.leaves(from, u64::MAX, usize::MAX);
    let leaves = leaves.iter().map(|record| Leaf::from_bytes(&record.leaf.0));
    leaves.map(|leaf| leaf.expect("ours").kind).collect()
}

fn on(code: Code, action: Action) -> Command {
    Command::Act {
        code,
        expected_sequence: None,
        action,
    }
}

#[test]
fn a_maker_has_its_own_serials_whatever_others_say() {
    let mut x = Country::with_market("86");
    let theirs = takes(&mut x, 5);
    x.must("rival", registers(&theirs));
    let compute = theirs.identity_parts[0].identity();
    let battery = theirs.parts[0].identity();
    for part in [compute, battery] {
        let said = fitting(&x, &part);
        assert_eq!(said, Some(Fitting::by(Fitted::Word, theirs.code)));
    }
    // Everybody else finds it taken.
    let spare = |kind, serial: &str, removed| Action::ReplacePart {
        removed,
        fitted: PartName {
            kind,
            maker: Country::unborn("86").maker("0001"),
            serial: serial.into(),
            lot: String::new(),
        },
    };
    let other = {
        let mut other = takes(&mut x, 6);
        other.code = Code::parse(&format!("86000310000200000000000000{:03}", 7)).expect("a code");
        other
    };
    x.must("rival", registers(&other));
    let again = on(
        other.code,
        spare(PartType::Compute, "S5", other.identity_parts[0].identity()),
    );
    check(&mut x, "rival", again, "PartInUse: …");
    // Its maker takes it, in whichever way, and the robot that was said to have it is marked.
    let size = x.registry().tree.size();
    let own = x.register(5);
    check(&mut x, "maker", own, "done");
    assert_eq!(kinds(&x, size), [Kind::Incident, Kind::Register]);
    let here = Some(Fitting::here(x.code(5)));
    assert_eq!(
        (fitting(&x, &compute), fitting(&x, &battery)),
        (here.clone(), here)
    );
    x.must("maker", x.register(8));
    let removed = x.registration(8).parts[0].identity();
    let fit = on(x.code(8), spare(PartType::Battery, "S6", removed));
    check(&mut x, "maker", fit, "done");
    let taken = fitting(&x, &other.parts[0].identity());
    assert_eq!(taken, Some(Fitting::here(x.code(8))));
    // What the maker fitted itself is nobody's to take, and it yields to nobody.
    let back = on(theirs.code, spare(PartType::Battery, "S6", battery));
    check(&mut x, "rival", back, "PartInUse: …");
    let twice = on(
        x.code(5),
        spare(
            PartType::Battery,
            "S6",
            x.registration(5).parts[0].identity(),
        ),
    );
    check(&mut x, "maker", twice, "PartInUse: …");
}

/// With its robot ends what the robot has of its own maker; of what another makes that is a claim, which binds no maker that is
/// accredited.
#[test]
fn the_end_of_a_robot_ends_no_serial_of_another_maker() {
    let mut x = Country::with_market("86");
    let theirs = takes(&mut x, 5);
    x.must("rival", registers(&theirs));
    scrap(&mut x, theirs.code);
    let compute = theirs.identity_parts[0].identity();
    let Ok(ends) = x.ledger.ends(&compute);
    let ends = ends.expect("claimed");
    assert_eq!((ends.proven, ends.claimed_by), (None, vec![x.prefix]));
    let Ok(ends) = x.ledger.ends(&theirs.body.identity());
    assert!(ends.expect("ended").proven.is_some());
    // To everybody else it is still in the robot that ended.
    let mut other = takes(&mut x, 5);
    other.code = Code::parse(&format!("86000310000200000000000000{:03}", 7)).expect("a code");
    other.body.serial = "OTHER".into();
    check(&mut x, "rival", registers(&other), "PartInUse: …");
    let own = x.register(5);
    check(&mut x, "maker", own, "done");
}

#[test]
fn a_registrar_clears_what_was_only_said() {
    let mut x = Country::with_market("86");
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let theirs = takes(&mut x, 5);
    let (code, me) = (theirs.code, x.prefix);
    x.must("rival", registers(&theirs));
    let clear = |identity, reason: &str| Command::ClearClaim {
        peer: me,
        identity,
        reason: reason.to_owned(),
    };
    let compute = theirs.identity_parts[0].identity();
    let battery = theirs.parts[0].identity();
    check(&mut x, "maker", clear(compute, "mine"), "RoleNotAllowed: …");
    check(&mut x, "registrar", clear(compute, " "), "ReasonMissing");
    check(
        &mut x,
        "registrar",
        clear(compute, "not its maker's"),
        "done",
    );
    assert_eq!(fitting(&x, &compute), None);
    let body = clear(theirs.body.identity(), "x");
    check(&mut x, "registrar", body, "ClaimUnknown: …");
    // Of a robot that somebody owns, two say so.
    let id = x.enterprise("0003");
    x.must("rival", on(code, Action::Stock { at: None }));
    let owner = PartyName::Enterprise { id };
    x.must("rival", on(code, Action::Sell { owner }));
    check(&mut x, "registrar", clear(battery, "it is not"), "done");
    let said = fitting(&x, &battery).expect("it stands");
    assert!(said.clearing.is_some());
    let alone = "SecondPartyRequired: …";
    check(&mut x, "registrar", clear(battery, "it is not"), alone);
    check(&mut x, "registrar-2", clear(battery, "it is not"), "done");
    assert_eq!(fitting(&x, &battery), None);
}

/// What somebody here fitted is in its robot for whoever comes with it, of which maker it may be: the compute unit of a stolen robot,
/// or of one that ended, comes in under no other code.
#[test]
fn a_part_that_a_robot_here_has_comes_in_under_no_other_code() {
    for ended in [false, true] {
        for makers_own in [false, true] {
            let (mut a, mut b) = two();
            let mut theirs = takes(&mut b, 5);
            if !makers_own {
                // Bought from somebody who is nobody here.
                theirs.identity_parts = vec![a.registration(78).identity_parts[0].clone()];
            }
            b.must("rival", registers(&theirs));
            let compute = theirs.identity_parts[0].identity();
            match ended {
                true => scrap(&mut b, theirs.code),
                false => {
                    let set = Command::SetHold {
                        code: theirs.code,
                        kind: HoldKind::Theft,
                        reason: "gone".into(),
                    };
                    b.must("registrar", set);
                }
            }
            // It comes back from abroad in the body of another.
            let mut other = a.registration(77);
            other.identity_parts = vec![theirs.identity_parts[0].clone()];
            a.must(
                "maker",
                Command::Register {
                    registration: other,
                },
            );
            let code = a.code(77);
            let declared = offer(&a, &b, code, 1, Purpose::PermanentExport);
            a.must("customs", declared);
            a.deliver(&mut b);
            let asked = permit(&b, 1, vec![]);
            let refused = match ended && !makers_own {
                true => "IdentityEnded: …",
                false => "BodyExists: …",
            };
            check(&mut b, "customs", asked, refused);
            let stands = fitting(&b, &compute).map(|it| it.code);
            assert_eq!(stands, Some(theirs.code));
        }
    }
}

/// What another country has admitted is known there by its code and its body: neither is free again here.
#[test]
fn what_was_admitted_elsewhere_is_not_annulled() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let annul = || {
        let reason = "wrong model".to_owned();
        on(code, Action::Annul { reason })
    };
    // Offered, and even departed and sent back, it was admitted nowhere.
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    let back = Command::Return {
        transfer: transfer(1),
        reason: "x".into(),
    };
    b.must("customs", back);
    b.deliver(&mut a);
    let mut never = Country::with_market("86");
    never.ledger = a.ledger.clone();
    check(&mut never, "registrar", annul(), "done");
    bring(&mut a, &mut b, code, 2, Purpose::Exhibition);
    b.must("customs", admit(2));
    b.deliver(&mut a);
    bring(&mut b, &mut a, code, 3, Purpose::Exhibition);
    a.must("customs", admit(3));
    b.deliver(&mut a);
    let refused = "TransitionNotAllowed: another country has admitted …";
    check(&mut a, "registrar", annul(), refused);
}

/// Nor does its issuer annul it while it is here for a time and another country's.
#[test]
fn a_guest_is_not_annulled_by_who_issued_its_code() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    bring(&mut b, &mut a, code, 2, Purpose::RepairAndReturn);
    a.must("customs", admit(2));
    let reason = "x".to_owned();
    let annul = on(code, Action::Annul { reason });
    check(&mut a, "registrar", annul, "HereForATime: …");
}

/// A body that another robot has here is said before it travels, not when it stands at the border.
#[test]
fn a_body_that_is_known_is_not_permitted() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let body = a.registration(1).body.identity();
    let other = b.code(9);
    let Ok(()) = b.ledger.put_part_holder(&body, Some(&Fitting::here(other)));
    let declared = offer(&a, &b, code, 1, Purpose::Exhibition);
    a.must("customs", declared);
    a.deliver(&mut b);
    let asked = permit(&b, 1, vec![]);
    check(&mut b, "customs", asked, "BodyExists: …");
}
