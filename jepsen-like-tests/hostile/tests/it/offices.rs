//! Offices and enterprises: what a role may, and whose word counts.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::{
    ApprovalStatus, Asking, EnterpriseStatus, Firmware, Holder, Pending, ReleaseSecret, Severity,
};
use carnet_domain::rules::actions::Deed;
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::{Detail, Reason};
use carnet_hostile::judge::{reason_of, refused};
use carnet_hostile::scene::{act, confirm_end, d, declare_end, robot, strangers, two};
use carnet_kit::samples::{SECRET, recall, recall_id, release, stock_at_dealer};
use carnet_kit::{Country, transfer};

/// Robot `serial` sold by the dealer, who acts for its owner.
fn sold(country: &mut Country, serial: u32) -> Code {
    country.must("maker", country.register(serial));
    let code = country.code(serial);
    country.must("maker", act(code, stock_at_dealer(country)));
    country.must("dealer", sell(code));
    code
}

fn sell(code: Code) -> Command {
    act(
        code,
        Action::Sell {
            owner: d("the lawful owner").into(),
        },
    )
}

/// What a stranger is told who does this to a robot.
fn no_relation(country: &Country, deed: Deed, code: Code) -> Detail {
    let holder = Holder::Enterprise {
        id: country.enterprise("0003"),
    };
    Detail::NoRelation { deed, code, holder }
}

fn ask(code: Code, owner: &str, secret: ReleaseSecret) -> Command {
    let owner = d(owner).into();
    act(code, Action::RequestOwnership { owner, secret })
}

/// Probe r03, of the maker itself: the first sale and every registration end with the accreditation.
#[test]
fn a_struck_off_maker_registers_nothing_and_sells_nothing() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    a.must("maker", act(a.code(1), Action::Stock { at: None }));
    let id = a.enterprise("0001");
    let status = EnterpriseStatus::StruckOff;
    let reason = "fraud".to_owned();
    a.must(
        "registrar",
        Command::SetEnterpriseStatus { id, status, reason },
    );
    let holder = Holder::Enterprise { id };
    let detail = Detail::Stands { holder };
    let sell = act(
        a.code(1),
        Action::Sell {
            owner: d("owner").into(),
        },
    );
    for command in [a.register(2), sell] {
        let reason = Reason::ActorNotInStanding;
        refused(&mut a, "maker", command, reason, detail.clone());
    }
}

/// An enterprise signs for itself: nobody in it becomes an office, enrols a key, approves, accredits or permits.
#[test]
fn a_party_does_nothing_that_is_an_offices() {
    let mut a = Country::with_market("86");
    let commands = [
        a.enrolment("mallory", a.office("customs"), Role::Customs, "mallory"),
        a.accreditation("0009"),
        a.approval("0001", "100009"),
        Command::SetModelStatus {
            id: a.model("0001", "100002"),
            status: ApprovalStatus::Approved,
            reason: "x".into(),
        },
    ];
    let deeds = [
        Deed::AddOfficeSigner,
        Deed::AccreditEnterprise,
        Deed::ApproveModel,
        Deed::SetModelStatus,
    ];
    for (command, deed) in commands.into_iter().zip(deeds) {
        for (who, role) in [
            ("maker", Role::Manufacturer),
            ("owner", Role::Owner),
            ("declarant", Role::Declarant),
        ] {
            let detail = Detail::RoleMayNotDo { role, deed };
            refused(&mut a, who, command.clone(), Reason::RoleNotAllowed, detail);
        }
    }
}

/// Probe r01.
#[test]
fn two_keys_of_a_stranger_take_nobodys_robot() {
    let mut a = Country::with_market("86");
    strangers(&mut a);
    let code = sold(&mut a, 1);
    let owner = robot(&a, &code).owner;
    let chosen = ReleaseSecret([9; 16]);
    let theirs = ask(code, "thief", chosen);
    let (reason, detail) = (Reason::NothingPending, Detail::NoRelease {});
    refused(&mut a, "x-owner", theirs.clone(), reason, detail);
    let opened = release(&a, code, None, Asking::Suffices);
    let detail = no_relation(&a, Deed::ReleaseOwnership, code);
    refused(&mut a, "x-owner", opened.clone(), Reason::NotYours, detail);
    // Nor is it had for the asking when its owner gives it to somebody else.
    a.must("owner", opened);
    let reason = Reason::ReleaseCodeWrong;
    refused(&mut a, "x-owner", theirs, reason, Detail::NOTHING);
    let approve = act(code, Action::ApproveOwnership {});
    let detail = no_relation(&a, Deed::ApproveOwnership, code);
    refused(&mut a, "x-buyer", approve, Reason::NotYours, detail);
    assert_eq!(robot(&a, &code).owner, owner);
}

/// Probes r02 and r24.
#[test]
fn two_keys_of_a_stranger_scrap_nobodys_robot() {
    let mut a = Country::with_market("86");
    strangers(&mut a);
    let code = sold(&mut a, 1);
    a.must("x-recycler", declare_end(code));
    let detail = no_relation(&a, Deed::ConfirmEndOfLife, code);
    refused(
        &mut a,
        "x-owner",
        confirm_end(code),
        Reason::NotYours,
        detail,
    );
    assert_eq!(robot(&a, &code).state, State::Sold);
}

/// Probe r24: what blocks an end, whoever declares it.
#[test]
fn a_stolen_robot_is_not_scrapped() {
    for kind in [
        HoldKind::Theft,
        HoldKind::OwnerHold,
        HoldKind::SaleLock,
        HoldKind::EvidenceFreeze,
    ] {
        let mut a = Country::with_market("86");
        let code = sold(&mut a, 1);
        let reason = "why".to_owned();
        let hold = Command::SetHold { code, kind, reason };
        let office = match kind {
            HoldKind::OwnerHold => "registrar",
            _ => "regulator",
        };
        a.must(office, hold);
        let stands = robot(&a, &code).holds.remove(0);
        let detail = Detail::HoldStands {
            kind,
            setter: stands.setter,
            since: stands.since,
        };
        refused(&mut a, "recycler", declare_end(code), Reason::Held, detail);
    }
}

/// Probe r03.
#[test]
fn signers_of_a_struck_off_enterprise_only_remedy() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let code = a.code(1);
    a.must("maker", act(code, stock_at_dealer(&a)));
    a.must("maker", recall(&a, "R-1", Severity::StopUse));
    let status = EnterpriseStatus::StruckOff;
    for enterprise in ["0001", "0002"] {
        let id = a.enterprise(enterprise);
        let reason = "fraud".to_owned();
        a.must(
            "registrar",
            Command::SetEnterpriseStatus { id, status, reason },
        );
    }
    let report = d("report");
    let repair = act(code, Action::Repair { report });
    for (who, enterprise, command) in [
        ("dealer", "0002", sell(code)),
        ("recycler", "0002", declare_end(code)),
        ("service", "0001", repair),
        ("owner", "0002", confirm_end(code)),
    ] {
        let id = a.enterprise(enterprise);
        let holder = Holder::Enterprise { id };
        let detail = Detail::Stands { holder };
        refused(&mut a, who, command, Reason::ActorNotInStanding, detail);
    }
    let recall = recall_id(&a, "R-1");
    a.must(
        "service",
        Command::RemedyRecall {
            code,
            recall,
            report,
        },
    );
}

/// Probe r22: an end that one recycler declared no other one takes back.
#[test]
fn an_end_is_not_withdrawn_by_another_recycler() {
    let mut a = Country::with_market("86");
    strangers(&mut a);
    a.must("maker", a.register(1));
    let code = a.code(1);
    a.must("maker", act(code, stock_at_dealer(&a)));
    a.must("recycler", declare_end(code));
    let reason = "why".to_owned();
    let withdraw = act(code, Action::WithdrawEndOfLife { reason });
    let reason = reason_of(&mut a, "x-recycler", withdraw);
    assert_eq!(reason, Reason::NotYours);
    assert!(matches!(
        robot(&a, &code).pending,
        Pending::EndOfLife { .. }
    ));
}

/// Probe r04.
#[test]
fn the_last_admin_registrar_and_regulator_stay() {
    let mut a = Country::with_market("86");
    for (whom, role) in [
        ("admin", Role::Admin),
        ("registrar", Role::Registrar),
        ("regulator", Role::Regulator),
    ] {
        let public = a.key(whom).public();
        let retire = Command::RetireSigner {
            public,
            compromised_after: None,
            reason: "x".into(),
        };
        let detail = Detail::LastOf { role };
        refused(&mut a, "admin", retire.clone(), Reason::LastOfRole, detail);
        let detail = Detail::RoleMayNotDo {
            role: Role::Registrar,
            deed: Deed::RetireOfficeSigner,
        };
        refused(&mut a, "registrar", retire, Reason::RoleNotAllowed, detail);
    }
}

/// Probe r09.
#[test]
fn a_declarant_of_no_relation_ties_up_nobodys_robot() {
    let (mut a, b) = two();
    strangers(&mut a);
    let code = sold(&mut a, 2);
    let declared = a.declare(2, transfer(9), &b.prefix);
    let detail = no_relation(&a, Deed::DeclareExport, code);
    refused(&mut a, "x-declarant", declared, Reason::NotYours, detail);
}

/// Probe r22: work on a robot by somebody of no relation.
#[test]
fn a_stranger_neither_deploys_nor_updates_nor_trains() {
    let mut a = Country::with_market("86");
    strangers(&mut a);
    let code = sold(&mut a, 1);
    let deploy = Action::Deploy {
        operator: d("x").into(),
        scenario: "x".into(),
    };
    let update = Action::UpdateSoftware {
        firmware: Firmware {
            family: "fw".into(),
            build: 11,
        },
    };
    let training = Action::RecordTraining {
        data_set: d("x"),
        model: d("x"),
        place: "x".into(),
    };
    for (who, action) in [
        ("x-operator", deploy),
        ("x-owner", update.clone()),
        ("x-service", update),
        ("x-owner", training),
    ] {
        let detail = no_relation(&a, Deed::of(&action), code);
        refused(&mut a, who, act(code, action), Reason::NotYours, detail);
    }
}

/// Probe r25: a request for ownership ends.
#[test]
fn a_request_for_ownership_has_an_end() {
    let mut a = Country::with_market("86");
    let code = sold(&mut a, 1);
    a.must("owner", release(&a, code, None, Asking::Waits));
    a.must("buyer", ask(code, "gaining", SECRET));
    let reason = Reason::OwnershipRequestOpen;
    refused(
        &mut a,
        "recycler",
        declare_end(code),
        reason,
        Detail::NOTHING,
    );
    a.advance(DurationMs::from_days(400));
    a.must("recycler", declare_end(code));
}
