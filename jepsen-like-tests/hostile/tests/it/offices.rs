//! Offices and enterprises: what a role may, and whose word counts.

use carnet_domain::record::{ApprovalStatus, EnterpriseStatus, Holder};
use carnet_domain::rules::command::Action;
use carnet_domain::rules::command::{Command, CommandKind};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::{Detail, Reason};
use carnet_hostile::judge::refused;
use carnet_hostile::scene::{act, d};
use carnet_kit::Country;

/// Probe r03, of the maker itself: the first sale and every registration end with the accreditation.
#[test]
fn a_struck_off_maker_registers_nothing_and_sells_nothing() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    a.must("maker", act(a.code(1), Action::Stock {}));
    let id = a.enterprise("0001");
    let status = EnterpriseStatus::StruckOff;
    let reason = "fraud".to_owned();
    a.must(
        "registrar",
        Command::SetEnterpriseStatus { id, status, reason },
    );
    let detail = Detail::EnterpriseIs { id, status };
    let sell = act(
        a.code(1),
        Action::Sell {
            owner: d("owner").into(),
        },
    );
    for command in [a.register(2), sell] {
        let reason = Reason::EnterpriseNotActive;
        refused(&mut a, "maker", command, reason, detail.clone());
    }
}

/// An enterprise signs for itself: nobody in it becomes an office, enrols a key, approves, accredits or permits.
#[test]
fn a_party_does_nothing_that_is_an_offices() {
    let mut a = Country::with_market("86");
    let public = a.key("mallory").public();
    let commands = [
        Command::AddSigner {
            public,
            holder: Holder::Office {
                name: "customs/hq".into(),
            },
            role: Role::Customs,
        },
        a.accreditation("0009"),
        a.approval("0001", "100009"),
        Command::SetModelStatus {
            id: a.model("0001", "100002"),
            status: ApprovalStatus::Approved,
            reason: "x".into(),
        },
    ];
    let kinds = [
        CommandKind::AddSigner,
        CommandKind::AccreditEnterprise,
        CommandKind::ApproveModel,
        CommandKind::SetModelStatus,
    ];
    for (command, kind) in commands.into_iter().zip(kinds) {
        for (who, role) in [
            ("maker", Role::Manufacturer),
            ("owner", Role::Owner),
            ("declarant", Role::Declarant),
        ] {
            let detail = Detail::RoleMayNot {
                role,
                command: kind,
            };
            refused(&mut a, who, command.clone(), Reason::RoleNotAllowed, detail);
        }
    }
}
