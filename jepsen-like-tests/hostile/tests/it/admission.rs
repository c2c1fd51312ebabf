//! Admission: what an exporter is believed of a robot that comes, and what happens to it on the way.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::Step;
use carnet_domain::custody::admission::Fixed;
use carnet_domain::log::leaf::Kind;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Statement;
use carnet_domain::record::{Holder, Party, Robot, RobotKey};
use carnet_domain::rules::actions::Deed;
use carnet_domain::rules::command::{Action, Command, Purpose};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::rejection::{Detail, Reason, Rejection};
use carnet_hostile::judge::{nack_at, refused};
use carnet_hostile::liar::{last_said, lies, link, say, say_ended, standing};
use carnet_hostile::scene::{
    act, admit, bring, conclude, confirm_end, d, declare_end, depart, export, offer, offer_for,
    permit, robot, send_back, three, two,
};
use carnet_kit::{Country, agreed, agreement, text, transfer};

fn sell(code: Code) -> Command {
    act(
        code,
        Action::Sell {
            owner: d("the lawful owner").into(),
        },
    )
}

fn hold(code: Code, kind: HoldKind) -> Command {
    let reason = "why".to_owned();
    Command::SetHold { code, kind, reason }
}

/// Probe a01: who made what, where and when, and its key, is not another country's to say.
#[test]
fn a_robot_that_comes_home_is_the_one_that_left() {
    type Lie = fn(&mut Robot);
    let lies: [(Fixed, Lie); 4] = [
        (Fixed::Body, |robot| robot.identity.body = d("another body")),
        (Fixed::Manufacture, |robot| {
            robot.identity.manufactured = TimeMs(1);
        }),
        (Fixed::Origin, |robot| robot.identity.origin = "ZZ".into()),
        (Fixed::RobotKey, |robot| {
            let key = Country::unborn("49").key("mallory");
            let of = &robot.identity;
            robot.robot_key = Some(RobotKey::prove(&of.code, &of.body, &key));
        }),
    ];
    for (field, lie) in lies {
        let (mut a, mut b) = two();
        let code = a.code(1);
        export(&mut a, &mut b, code, 1);
        let old = robot(&a, &code);
        let mut lied = robot(&b, &code);
        lie(&mut lied);
        let Ok(()) = b.ledger.put_robot(lied);
        let home = offer(&b, &a, code, 2);
        b.must("customs", home);
        b.deliver(&mut a);
        let permit = permit(&a, 2, Vec::new());
        let detail = Detail::Differs { code, field };
        refused(&mut a, "customs", permit, Reason::DisclosureDiffers, detail);
        let now = robot(&a, &code);
        assert_eq!((now.identity, now.robot_key), (old.identity, old.robot_key));
        // The true body is not free for a second code.
        let mut registration = a.registration(7);
        registration.body = a.registration(1).body;
        let again = Command::Register { registration };
        let detail = Detail::BodyOf { code };
        refused(&mut a, "maker", again, Reason::BodyExists, detail);
    }
}

/// Probe a01, after the permit: the departure shows another robot than the offer did.
#[test]
fn a_departure_that_shows_another_robot_is_detained() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let home = offer(&b, &a, code, 2);
    b.must("customs", home);
    b.deliver(&mut a);
    a.must("customs", permit(&a, 2, Vec::new()));
    a.deliver(&mut b);
    let mut lied = robot(&b, &code);
    lied.identity.body = d("another body");
    let Ok(()) = b.ledger.put_robot(lied);
    b.must("customs", depart(2));
    b.deliver(&mut a);
    let detail = Detail::Differs {
        code,
        field: Fixed::Body,
    };
    refused(
        &mut a,
        "customs",
        admit(2),
        Reason::DisclosureDiffers,
        detail,
    );
    // It goes back to where it came from.
    a.must("customs", send_back(2));
}

/// Probe a02.
#[test]
fn a_theft_reported_on_the_way_home_stands_after_admission() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    a.must("regulator", hold(code, HoldKind::Theft));
    a.must("customs", admit(2));
    let holds = robot(&a, &code).holds;
    assert!(
        holds.iter().any(|hold| hold.kind == HoldKind::Theft),
        "{holds:?}"
    );
    let hold = holds[0].clone();
    let detail = Detail::HoldStands {
        kind: hold.kind,
        setter: hold.setter,
        since: hold.since,
    };
    let stock = act(code, Action::Stock { at: None });
    refused(&mut a, "customs", stock, Reason::Held, detail);
}

/// Probe a03.
#[test]
fn a_theft_the_issuer_reports_in_transit_binds_at_the_importer() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    a.must("regulator", hold(code, HoldKind::Theft));
    a.deliver(&mut b);
    b.must("customs", admit(1));
    assert!(robot(&b, &code).custody.is_responsible());
    let holds = robot(&b, &code).holds;
    assert!(
        holds.iter().any(|hold| hold.kind == HoldKind::Theft),
        "{holds:?}"
    );
}

/// Probe a04.
#[test]
fn an_end_declared_in_transit_is_pending_after_admission() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    a.must("recycler", declare_end(code));
    a.must("customs", admit(2));
    let here = robot(&a, &code);
    // Who declared it is a stranger to it here: it was exported for good.
    assert_eq!(here.declared.len(), 1);
    assert!(here.custody.in_custody() && !here.state.is_final());
    a.must("registrar", confirm_end(code));
    assert_eq!(robot(&a, &code).state, State::Scrapped);
}

/// Probe a08: a final or reserved state is never admitted.
#[test]
fn a_robot_departed_in_a_final_or_reserved_state_is_not_admitted() {
    for state in [
        State::Scrapped,
        State::Recycled,
        State::Annulled,
        State::Reserved,
    ] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        export(&mut a, &mut b, code, 1);
        let home = offer(&b, &a, code, 2);
        b.must("customs", home);
        b.deliver(&mut a);
        a.must("customs", permit(&a, 2, Vec::new()));
        a.deliver(&mut b);
        // Its own rules would not depart it so: the leaf is forged.
        let mut slots = last_said(&b, &a.prefix);
        let at = robot(&b, &code).custody;
        let step = link(Step::Depart, 2, at.epoch, &b.prefix, &a.prefix, at.link);
        slots.set(slot::CUSTODY, &step);
        slots.set(slot::EVENT, &depart(2));
        slots.set(slot::STATE, &standing(state));
        say(&mut b, Kind::Custody, &code, slots, &a.prefix);
        let (batch, size) = (lies(&mut b, &a), a.registry().tree.size());
        a.apply(Body::Foreign { batch });
        let detail = Detail::RobotIs { code, state };
        // It departed, and its sender is told that it does not arrive so.
        let told = Rejection::new(Reason::StateFinal, detail.clone());
        assert_eq!(a.registry().tree.size(), size + 2);
        assert_eq!(nack_at(&a, size + 1), Ok(told));
        refused(&mut a, "customs", admit(2), Reason::StateFinal, detail);
        assert!(!robot(&a, &code).custody.in_custody(), "{state:?}");
    }
}

/// Probe r19: what happens between two countries is recorded by who is responsible.
#[test]
fn of_a_first_import_in_transit_theft_incident_and_end_are_recorded() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    let incident = Action::RecordIncident {
        severity: 4,
        place: "at sea".into(),
        findings: d("findings"),
    };
    b.must("regulator", act(code, incident));
    b.must("recycler", declare_end(code));
    b.must("regulator", hold(code, HoldKind::Theft));
    let there = robot(&b, &code);
    let holds: Vec<HoldKind> = there.holds.iter().map(|hold| hold.kind).collect();
    assert_eq!(holds, [HoldKind::Theft]);
    assert_eq!(there.declared.len(), 1);
}

/// Probe r17: only the issuer annuls, and a body stays bound to its code.
#[test]
fn the_country_of_stay_does_not_annul_and_register_anew() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let annul = act(code, Action::Annul { reason: "x".into() });
    let detail = Detail::IssuerAnnuls { code };
    refused(&mut b, "registrar", annul, Reason::PrefixNotOurs, detail);
    assert_eq!(robot(&b, &code).state, State::Sold);
    let mut registration = b.registration(1);
    registration.body = a.registration(1).body;
    registration.importers_filing = true;
    let again = Command::Register { registration };
    let detail = Detail::BodyOf { code };
    refused(&mut b, "importer", again, Reason::BodyExists, detail);
}

/// Probe r18.
#[test]
fn a_robot_that_only_visits_is_not_sold() {
    for why in [
        Purpose::Exhibition,
        Purpose::Transit,
        Purpose::TemporaryAdmission,
        Purpose::RepairAndReturn,
    ] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        bring(&mut a, &mut b, code, 1, why);
        b.must("customs", admit(1));
        for (who, id) in [("dealer", "0002"), ("importer", "0001"), ("maker", "0001")] {
            let id = b.enterprise(id);
            let detail = Detail::NoRelation {
                deed: Deed::Sell,
                code,
                holder: Holder::Enterprise { id },
            };
            refused(&mut b, who, sell(code), Reason::NotYours, detail);
        }
        // Nor by whom a record here calls its owner: what a stay is for stops it, and no relation.
        let mut held = b.clone();
        let mut guest = robot(&held, &code);
        let id = held.enterprise("0002");
        guest.owner = Some(Party::Enterprise { id });
        guest.state = State::InStock;
        let Ok(()) = held.ledger.put_robot(guest);
        let detail = Detail::AdmittedFor { code, purpose: why };
        refused(
            &mut held,
            "dealer",
            sell(code),
            Reason::HereForATime,
            detail,
        );
        assert_eq!(robot(&b, &code).owner, robot(&a, &code).owner, "{why:?}");
    }
}

/// Probe r21: every covering clause is tried.
#[test]
fn a_second_clause_that_names_the_purpose_allows_it() {
    let (mut a, mut b) = two();
    let mut two_clauses = agreement(a.prefix, b.prefix, 2);
    let mut repair = two_clauses.clauses.clone();
    repair.retain(|clause| clause.recogniser == b.prefix);
    for clause in &mut two_clauses.clauses {
        clause.purposes = vec![Purpose::PermanentExport];
    }
    let mut repair = repair.remove(0);
    repair.number = 9;
    repair.purposes = vec![Purpose::RepairAndReturn];
    two_clauses.clauses.push(repair);
    conclude(&mut a, &mut b, &two_clauses);
    let mut declared = offer_for(&a, &b, a.code(1), 1, Purpose::RepairAndReturn);
    if let Command::DeclareExport { agreement, .. } = &mut declared {
        agreement.version = 2;
    }
    a.must("customs", declared);
}

/// Probe f10: an open transfer goes on to its end under the version that it names.
#[test]
fn a_new_version_of_the_agreement_does_not_end_open_transfers() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    let newer = agreement(a.prefix, b.prefix, 2);
    conclude(&mut a, &mut b, &newer);
    b.must("customs", permit(&b, 1, Vec::new()));
}

/// Probe f10: the version that was suspended is stopped, and the next one is not.
#[test]
fn a_suspended_version_stops_no_newer_one() {
    let (mut a, mut b) = two();
    let named = agreed(a.prefix, b.prefix);
    let until = a.clock.saturating_add(DurationMs::from_days(9));
    let suspend = Statement::Suspend {
        peer: b.prefix,
        agreement: named.clone(),
        number: 1,
        until,
        reason: "why".into(),
    };
    assert_eq!(text(&a.state(&suspend)), "done");
    let mut declared = a.declare(1, transfer(1), &b.prefix);
    let detail = Detail::AgreementSuspended {
        agreement: named,
        until,
    };
    let reason = Reason::NoAgreement;
    refused(&mut a, "maker", declared.clone(), reason, detail);
    let newer = agreement(a.prefix, b.prefix, 2);
    conclude(&mut a, &mut b, &newer);
    if let Command::DeclareExport { agreement, .. } = &mut declared {
        agreement.version = 2;
    }
    a.must("maker", declared);
    a.deliver(&mut b);
    let Ok(offered) = b.ledger.transfer(&transfer(1));
    assert_eq!(offered.map(|it| it.agreement.version), Some(2));
}

/// Probe a06: the setter lifts, also from abroad.
#[test]
fn a_hold_that_travels_is_lifted_by_its_setter() {
    for kind in [HoldKind::Review, HoldKind::Lost, HoldKind::OwnerHold] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        a.must("maker", act(code, Action::Stock { at: None }));
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        a.must("registrar", hold(code, kind));
        a.deliver(&mut b);
        b.must("customs", permit(&b, 1, Vec::new()));
        b.deliver(&mut a);
        a.must("customs", depart(1));
        a.deliver(&mut b);
        b.must("customs", admit(1));
        b.deliver(&mut a);
        let reason = "done".to_owned();
        a.must("registrar", Command::LiftHold { code, kind, reason });
        a.deliver(&mut b);
        assert!(robot(&b, &code).holds.is_empty(), "{kind:?}");
    }
}

/// Probe f02: a claim about a body does not strand a robot between two others.
#[test]
fn a_claim_of_a_third_country_strands_no_robot_in_transit() {
    let (mut a, mut b, mut c) = three();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    let body = robot(&a, &code).identity.body;
    let theirs = c.code(5);
    say_ended(&mut c, &theirs, body, &b.prefix);
    let batch = lies(&mut c, &b);
    b.apply(Body::Foreign { batch });
    let Ok(ends) = b.ledger.ends(&body);
    assert_eq!(ends.expect("an alarm").claimed_by, [c.prefix]);
    b.clone().must("customs", send_back(1));
    b.must("customs", admit(1));
}
