//! Somebody may go on with every robot: whatever became of who owns or holds it, whoever it was admitted for.

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    Asking, Desk, EnterpriseStatus, Holder, OwnershipEnd, Party, PartyName, Pending, Robot,
};
use carnet_domain::rules::command::{Action, Command, Purpose};
use carnet_domain::rules::lifecycle::{EndOfLife, State};
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, samples, text, transfer};

use crate::border::{admit, depart, export, permit, two};
use crate::rules::{act, check};

fn robot(x: &Country) -> Robot {
    let Ok(robot) = x.ledger.robot(&Country::unborn("86").code(1));
    robot.expect("registered")
}

fn on(action: Action) -> Command {
    act(&Country::unborn("86"), 1, action)
}

fn person() -> Digest {
    sha256(&[b"somebody"])
}

fn enterprise(x: &Country, code: &str) -> PartyName {
    PartyName::Enterprise {
        id: x.enterprise(code),
    }
}

/// An enterprise that is accredited for some roles only, with a key in each, named after it and the role.
pub(crate) fn accredit(x: &mut Country, code: &str, roles: &[Role]) {
    let mut accreditation = x.accreditation(code);
    if let Command::AccreditEnterprise { roles: all, .. } = &mut accreditation {
        *all = roles.to_vec();
    }
    x.must("registrar", accreditation);
    for role in roles {
        enrol(x, code, *role);
    }
}

fn enrol(x: &mut Country, code: &str, role: Role) {
    let name = format!("{code}-{}", role.word());
    let add = x.enrolment(
        &name,
        Holder::Enterprise {
            id: x.enterprise(code),
        },
        role,
        &name,
    );
    x.must("registrar", add);
}

fn ask(x: &Country, code: &str) -> Command {
    on(Action::RequestOwnership {
        owner: enterprise(x, code),
        secret: samples::SECRET,
    })
}

fn deploy(operator: PartyName) -> Command {
    on(Action::Deploy {
        operator,
        scenario: "hall".into(),
    })
}

fn registrars_release(x: &Country, asking: Asking) -> Command {
    let mut release = samples::release(x, Country::unborn("86").code(1), None, asking);
    if let Command::Act {
        action: Action::ReleaseOwnership { reason, .. },
        ..
    } = &mut release
    {
        *reason = "its owner was struck off".into();
    }
    release
}

/// Robot 1 of 86, registered; sold to `owner` by the dealer where there is one.
fn begun(owner: Option<PartyName>) -> Country {
    let mut x = Country::with_market("86");
    accredit(&mut x, "0005", &[Role::Dealer, Role::Owner]);
    x.enrol_office("regulator-2", "regulator", Role::Regulator);
    x.must("maker", x.register(1));
    x.must("maker", on(samples::stock_at_dealer(&x)));
    if let Some(owner) = owner {
        x.must("dealer", on(Action::Sell { owner }));
    }
    x
}

fn strike(x: &mut Country, status: EnterpriseStatus) {
    let struck = Command::SetEnterpriseStatus {
        id: x.enterprise("0002"),
        status,
        reason: "fraud".into(),
    };
    x.must("registrar", struck);
}

/// Every state in which a robot has an owner, and every way in which its owner's side can act no more: a registrar releases,
/// another person approves, and the new owner goes on. Before, nobody could do anything but retire and scrap it.
#[test]
fn whoever_can_act_no_more_is_stood_in_for_in_every_state() {
    let office = PartyName::Office {
        prefix: Country::unborn("86").prefix,
        name: "fire/north".into(),
    };
    let owners = [
        enterprise(&Country::unborn("86"), "0002"),
        PartyName::from(person()),
        office,
    ];
    let lost = [EnterpriseStatus::Suspended, EnterpriseStatus::StruckOff];
    let states = [
        State::Sold,
        State::Deployed,
        State::Maintenance,
        State::Retired,
    ];
    for owner in &owners {
        for status in lost {
            for state in states {
                let mut x = begun(Some(owner.clone()));
                let is_office = matches!(owner, PartyName::Office { .. });
                if state != State::Sold && !is_office {
                    let operator = enterprise(&x, "0002");
                    x.must("dealer", deploy(operator));
                }
                let note = "knee".to_owned();
                let workshop = None;
                match state {
                    State::Maintenance if !is_office => {
                        x.must("dealer", on(Action::BeginMaintenance { note, workshop }))
                    }
                    State::Retired if !is_office => {
                        x.must("dealer", on(Action::Retire { reason: note }));
                    }
                    _ => {}
                }
                strike(&mut x, status);
                let case = format!("{owner:?} {status:?} {state:?}");
                let release = registrars_release(&x, Asking::Suffices);
                assert_eq!(text(&x.command("registrar", release)), "done", "{case}");
                let asked = ask(&x, "0005");
                assert_eq!(text(&x.command("0005-owner", asked)), "done", "{case}");
                assert!(matches!(robot(&x).pending, Pending::Asked { .. }), "{case}");
                let approve = on(Action::ApproveOwnership {});
                let said = text(&x.command("registrar", approve.clone()));
                assert!(said.starts_with("SecondPartyRequired"), "{case}: {said}");
                assert_eq!(text(&x.command("regulator", approve)), "done", "{case}");
                let new = Party::Enterprise {
                    id: x.enterprise("0005"),
                };
                assert_eq!(robot(&x).owner, Some(new), "{case}");
                if robot(&x).state == State::Sold {
                    let operator = enterprise(&x, "0005");
                    x.must("0005-owner", deploy(operator));
                }
            }
        }
    }
}

/// Who may act is not stood in for, and a registrar says why.
#[test]
fn a_registrar_releases_nothing_of_who_may_act() {
    let mut x = begun(Some(enterprise(&Country::unborn("86"), "0002")));
    let release = registrars_release(&x, Asking::Waits);
    check(&mut x, "registrar", release.clone(), "NotYours: …");
    x.advance(DurationMs::from_days(1));
    strike(&mut x, EnterpriseStatus::Suspended);
    let silent = samples::release(&x, x.code(1), None, Asking::Waits);
    check(&mut x, "registrar", silent, "ReasonMissing");
    check(&mut x, "regulator", release.clone(), "RoleNotAllowed: …");
    check(&mut x, "registrar", release, "done");
}

/// An owner that may act again is asked itself: what was released in its place, before, is nobody's to ask for nor an office's to give.
#[test]
fn what_was_released_for_an_owner_who_may_act_again_is_given_by_that_owner() {
    let mut x = begun(Some(enterprise(&Country::unborn("86"), "0002")));
    strike(&mut x, EnterpriseStatus::Suspended);
    // By one who did not make that owner what it is.
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let release = registrars_release(&x, Asking::Waits);
    x.must("registrar-2", release);
    let asked = ask(&x, "0005");
    let approve = on(Action::ApproveOwnership {});
    let mut meant = x.clone();
    meant.must("0005-owner", asked.clone());
    let mut lost = meant.clone();
    check(&mut lost, "regulator", approve.clone(), "done");
    strike(&mut x, EnterpriseStatus::Active);
    let none = "NothingPending: …";
    check(&mut x, "0005-owner", asked, none);
    // It was asked for while the owner could not answer.
    strike(&mut meant, EnterpriseStatus::Active);
    for who in ["regulator", "regulator-2"] {
        check(&mut meant, who, approve.clone(), "NotYours: …");
    }
    let mut given = meant.clone();
    check(&mut given, "owner", approve, "done");
    let rejected = on(Action::EndOwnershipRequest {
        end: OwnershipEnd::Rejected,
        reason: "it is ours".into(),
    });
    check(&mut meant, "owner", rejected, "done");
    let own = Party::Enterprise {
        id: meant.enterprise("0002"),
    };
    assert_eq!(robot(&meant).owner, Some(own));
}

/// What was released of a robot is over when it leaves: sent back at the border, long after, it is nobody's to ask for, whatever log
/// time says by then.
#[test]
fn a_release_ends_when_the_robot_leaves() {
    let (mut a, mut b) = two();
    a.must("maker", on(samples::stock_at_dealer(&a)));
    let owner = enterprise(&a, "0002");
    a.must("dealer", on(Action::Sell { owner }));
    let release = samples::release(&a, a.code(1), None, Asking::Suffices);
    a.must("owner", release);
    assert!(matches!(robot(&a).pending, Pending::Released { .. }));
    let mut declared = a.declare(1, transfer(1), &b.prefix);
    if let Command::DeclareExport { purpose, .. } = &mut declared {
        *purpose = Purpose::Exhibition;
    }
    a.must("customs", declared);
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    assert_eq!(robot(&a).pending, Pending::Nothing {});
    assert_eq!(robot(&a).due, None);
    a.deliver(&mut b);
    let back = Command::Return {
        transfer: transfer(1),
        reason: "no papers".into(),
    };
    b.must("customs", back);
    b.deliver(&mut a);
    assert!(robot(&a).custody.in_custody());
    let asked = ask(&a, "0003");
    check(&mut a, "buyer", asked, "NothingPending: …");
}

/// Its desk may act no more: a registrar gives the person another, and the old one's releases are over.
#[test]
fn a_person_gets_another_desk() {
    let mut x = begun(Some(PartyName::from(person())));
    x.must("dealer", deploy(PartyName::from(person())));
    let release = samples::release(&x, x.code(1), None, Asking::Suffices);
    x.must("dealer", release);
    strike(&mut x, EnterpriseStatus::StruckOff);
    let change = |x: &Country, code: &str, reason: &str| {
        on(Action::ChangeDesk {
            person: person(),
            desk: Desk::Enterprise {
                id: x.enterprise(code),
            },
            reason: reason.into(),
        })
    };
    let own = change(&x, "0005", "bankrupt");
    check(&mut x, "dealer", own.clone(), "ActorNotInStanding: …");
    check(&mut x, "0005-owner", own.clone(), "NotYours: …");
    let lost = change(&x, "0002", "bankrupt");
    check(&mut x, "registrar", lost, "EnterpriseNotActive: …");
    // Accredited, and without a key, or without any that still signs.
    x.must("registrar", x.accreditation("0007"));
    let keyless = change(&x, "0007", "bankrupt");
    let none = "EnterpriseNotActive: 860007 has no key that signs: …";
    check(&mut x, "registrar", keyless.clone(), none);
    let mut retired = x.clone();
    enrol(&mut retired, "0007", Role::Owner);
    check(&mut retired.clone(), "registrar", keyless.clone(), "done");
    let retire = Command::RetireSigner {
        public: retired.key("0007-owner").public(),
        compromised_after: None,
        reason: "lost".into(),
    };
    retired.must("registrar", retire);
    check(&mut retired, "registrar", keyless, none);
    let silent = change(&x, "0005", " ");
    check(&mut x, "registrar", silent, "ReasonMissing");
    check(&mut x, "registrar", own.clone(), "done");
    let at_new = |party: &Option<Party>| match party {
        Some(Party::Person { desk, .. }) => {
            *desk
                == Desk::Enterprise {
                    id: Country::unborn("86").enterprise("0005"),
                }
        }
        _ => false,
    };
    let now = robot(&x);
    assert!(at_new(&now.owner) && at_new(&now.holder) && at_new(&now.operator));
    assert_eq!(
        now.pending,
        Pending::Nothing {},
        "what the old desk released"
    );
    let asked = ask(&x, "0003");
    check(&mut x, "buyer", asked, "NothingPending: …");
    // The new desk acts, and passes the mandate on.
    let back = change(&x, "0003", "");
    check(&mut x, "buyer", back.clone(), "NotYours: …");
    check(&mut x, "0005-owner", back, "done");
    check(&mut x, "0005-owner", own, "NotYours: …");
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    check(&mut x, "buyer", release, "done");
}

/// What stands in stock at one who may act no more goes to another dealer by a registrar's word; nobody else's does.
#[test]
fn stock_is_moved_by_who_has_it_and_for_who_may_act_no_more() {
    let mut x = begun(None);
    let to = |x: &Country, code: &str| {
        on(Action::Stock {
            at: Some(x.enterprise(code)),
        })
    };
    let moved = to(&x, "0005");
    check(&mut x, "registrar", moved.clone(), "NotYours: …");
    check(&mut x, "maker", moved.clone(), "NotYours: …");
    accredit(&mut x, "0006", &[Role::Owner, Role::ServiceProvider]);
    let at_owner = to(&x, "0006");
    check(&mut x, "dealer", at_owner, "EnterpriseLacksRole: …");
    strike(&mut x, EnterpriseStatus::StruckOff);
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    check(&mut x, "registrar", moved.clone(), "done");
    check(&mut x, "registrar-2", moved, "done");
    let owner = PartyName::from(person());
    check(&mut x, "0005-dealer", on(Action::Sell { owner }), "done");
}

/// A robot that was imported by a dealer who was then struck off has an owner, and nobody could sell it.
#[test]
fn stock_with_an_owner_who_may_act_no_more_goes_to_who_sells() {
    let (mut a, mut b) = two();
    accredit(&mut b, "0005", &[Role::Dealer]);
    accredit(&mut b, "0006", &[Role::Owner]);
    export(&mut a, &mut b, 1, 1);
    assert_eq!(robot(&b).state, State::Manufactured);
    let own = registrars_release(&b, Asking::Waits);
    check(&mut b, "importer", own.clone(), "TransitionNotAllowed: …");
    check(&mut b, "registrar", own.clone(), "NotYours: …");
    let struck = Command::SetEnterpriseStatus {
        id: b.enterprise("0001"),
        status: EnterpriseStatus::StruckOff,
        reason: "fraud".into(),
    };
    b.must("registrar", struck);
    check(&mut b, "registrar", own, "done");
    let asked = ask(&b, "0006");
    check(&mut b, "0006-owner", asked, "EnterpriseLacksRole: …");
    let asked = ask(&b, "0005");
    check(&mut b, "0005-dealer", asked, "done");
    check(&mut b, "regulator", on(Action::ApproveOwnership {}), "done");
    let stock = on(Action::Stock { at: None });
    check(&mut b, "0005-dealer", stock, "done");
    let owner = PartyName::from(person());
    check(&mut b, "0005-dealer", on(Action::Sell { owner }), "done");
}

fn import(b: &mut Country, a: &mut Country, purpose: Purpose, importer: PartyName) -> String {
    let mut offer = a.declare(1, transfer(1), &b.prefix);
    if let Command::DeclareExport { purpose: why, .. } = &mut offer {
        *why = purpose;
    }
    a.must("customs", offer);
    a.deliver(b);
    b.must("customs", permit(b, 1, vec![]));
    b.deliver(a);
    a.must("customs", depart(1));
    a.deliver(b);
    let mut admission = admit(1);
    if let Command::Admit {
        importer: named, ..
    } = &mut admission
    {
        *named = importer;
    }
    let who = b.whoever("customs", &admission);
    let said = text(&b.command(who, admission));
    b.deliver(a);
    said
}

/// Whoever a new robot is imported for has it deployed in the end: from stock by a sale, or as its owner.
#[test]
fn what_is_admitted_for_good_comes_to_be_used() {
    let importers: [(&str, PartyName, &str); 3] = [
        (
            "0001",
            enterprise(&Country::unborn("49"), "0001"),
            "importer",
        ),
        (
            "0006",
            enterprise(&Country::unborn("49"), "0006"),
            "0006-operator",
        ),
        ("person", PartyName::from(person()), "customs"),
    ];
    for stocked in [false, true] {
        for (name, importer, who) in &importers {
            let (mut a, mut b) = two();
            accredit(&mut b, "0006", &[Role::Operator]);
            if stocked {
                a.must("maker", on(Action::Stock { at: None }));
            }
            let purpose = Purpose::PermanentExport;
            assert_eq!(import(&mut b, &mut a, purpose, importer.clone()), "done");
            let in_stock = matches!(robot(&b).state, State::Manufactured | State::InStock);
            assert_eq!(in_stock, *name == "0001", "{name}");
            if in_stock {
                let at = None;
                b.must("importer", on(Action::Stock { at }));
                let owner = importer.clone();
                b.must("importer", on(Action::Sell { owner }));
            }
            check(&mut b, who, deploy(importer.clone()), "done");
            assert_eq!(robot(&b).state, State::Deployed, "{name}");
        }
    }
}

/// Parties that exist and can never act as what they are named as.
#[test]
fn nobody_owns_who_could_not_act_as_an_owner() {
    let mut x = begun(None);
    accredit(&mut x, "0006", &[Role::ServiceProvider, Role::Recycler]);
    let shop = enterprise(&x, "0006");
    let owner = shop.clone();
    check(
        &mut x,
        "dealer",
        on(Action::Sell { owner }),
        "EnterpriseLacksRole: 860006 is none of manufacturer, importer, dealer, operator, owner",
    );
    let owner = enterprise(&x, "0002");
    x.must("dealer", on(Action::Sell { owner }));
    check(&mut x, "dealer", deploy(shop), "EnterpriseLacksRole: …");
    // As an importer for good no more than by a sale; for repair it may be named.
    for (purpose, expected) in [
        (Purpose::PermanentExport, "EnterpriseLacksRole"),
        (Purpose::RepairAndReturn, "done"),
    ] {
        let (mut a, mut b) = two();
        accredit(&mut b, "0006", &[Role::ServiceProvider]);
        let shop = enterprise(&b, "0006");
        let said = import(&mut b, &mut a, purpose, shop);
        assert!(said.starts_with(expected), "{purpose:?}: {said}");
    }
}

/// Who merely holds what has an owner: a consignee sold, ended and exported it.
#[test]
fn a_holder_is_nothing_to_what_is_the_owners() {
    let (mut a, mut b) = two();
    accredit(&mut b, "0006", &[Role::Dealer, Role::Owner, Role::Recycler]);
    export(&mut a, &mut b, 1, 1);
    let at = Some(b.enterprise("0006"));
    b.must("importer", on(Action::Stock { at }));
    let owner = enterprise(&b, "0006");
    check(
        &mut b,
        "0006-dealer",
        on(Action::Sell { owner }),
        "NotYours: …",
    );
    let at = Some(b.enterprise("0002"));
    check(
        &mut b,
        "0006-dealer",
        on(Action::Stock { at }),
        "NotYours: …",
    );
    let mut offer = Country::unborn("86").declare(1, transfer(2), &a.prefix);
    if let Command::DeclareExport {
        to,
        offer_until,
        agreement,
        ..
    } = &mut offer
    {
        *to = a.prefix;
        *offer_until = b.clock.saturating_add(DurationMs::from_days(1));
        *agreement = carnet_kit::agreed(a.prefix, b.prefix);
    }
    check(&mut b, "0006-dealer", offer.clone(), "NotYours: …");
    let declared = on(Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: sha256(&[b"certificate"]),
    });
    b.must("recycler", declared);
    let confirm = on(Action::ConfirmEndOfLife {
        certificate: sha256(&[b"certificate"]),
    });
    check(&mut b, "0006-dealer", confirm, "NotYours: …");
    let withdraw = on(Action::WithdrawEndOfLife {
        reason: "no".into(),
    });
    check(&mut b, "0006-dealer", withdraw.clone(), "NotYours: …");
    check(&mut b, "importer", withdraw, "done");
    // For a time a consignee may show it abroad.
    if let Command::DeclareExport { purpose, .. } = &mut offer {
        *purpose = Purpose::Exhibition;
    }
    check(&mut b, "0006-dealer", offer.clone(), "done");
    // What it declared it takes back, and what its owner declared it does not.
    let cancel = |number| Command::CancelExport {
        transfer: transfer(number),
        reason: "why".into(),
    };
    check(&mut b, "0006-dealer", cancel(2), "done");
    if let Command::DeclareExport { transfer: id, .. } = &mut offer {
        *id = transfer(3);
    }
    check(&mut b, "importer", offer, "done");
    check(&mut b, "0006-dealer", cancel(3), "NotYours: …");
    check(&mut b, "importer", cancel(3), "done");
}
