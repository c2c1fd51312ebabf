//! When an enterprise may act, and as what: its accreditation has a beginning, an end and roles, and each is asked of who signs,
//! of who is named, and of who is acted for. And what each role may read. A check that is taken out fails here.

use std::fmt::Write as _;

use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    ApprovalStatus, Asking, Enterprise, EnterpriseStatus, Holder, PartyName, Severity,
};
use carnet_domain::rules::actions::Standing;
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::parties::standing_of;
use carnet_domain::rules::policy::{Permission, Query, Role, may_query};
use carnet_kit::{Country, befriend, samples, text, transfer};

use crate::border::prefix;
use crate::catalog;
use crate::rules::{act, check};

const DAY: DurationMs = DurationMs::from_days(1);

fn enterprise(x: &Country, code: &str) -> Enterprise {
    let Ok(found) = x.ledger.enterprise(&x.enterprise(code));
    found.expect("accredited")
}

fn change(x: &mut Country, code: &str, change: impl FnOnce(&mut Enterprise)) {
    let mut changed = enterprise(x, code);
    change(&mut changed);
    let Ok(()) = x.ledger.put_enterprise(changed);
}

/// Not yet begun, or over: both are outside.
const OUTSIDE: [fn(&mut Enterprise, TimeMs); 2] = [
    |it, now| it.valid_from = now.saturating_add(DAY),
    |it, now| it.valid_to = now,
];

/// Robot 1 made by 0001, in stock at the dealer 0002; robots 2 and 4 sold to the fleet of 0002, and 4 in use there.
fn stocked() -> Country {
    let (mut x, mut other) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut x, &mut other);
    for serial in [1, 2, 4] {
        x.must("maker", x.register(serial));
        x.must("maker", act(&x, serial, samples::stock_at_dealer(&x)));
    }
    for serial in [2, 4] {
        let owner = party(&x, "0002");
        x.must("dealer", act(&x, serial, Action::Sell { owner }));
    }
    let deploy = Action::Deploy {
        operator: party(&x, "0002"),
        scenario: "hall".into(),
    };
    x.must("owner", act(&x, 4, deploy));
    x
}

fn party(x: &Country, code: &str) -> PartyName {
    let id = x.enterprise(code);
    PartyName::Enterprise { id }
}

/// Every case that was answered otherwise, so that a check that is missing in one place does not hide that it is in another.
#[derive(Default)]
struct Cases(Vec<String>);

impl Cases {
    fn check(&mut self, mut x: Country, who: &str, command: &Command, expected: &str) {
        let said = text(&x.command(who, command.clone()));
        if !said.starts_with(expected) {
            let line = format!("{who}: {command:?}: {said}, expected {expected}");
            self.0.push(line);
        }
    }

    fn none_is_otherwise(&self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }
}

#[test]
fn an_accreditation_holds_from_its_first_instant_to_before_its_last() {
    let of = |status, now| {
        let x = Country::with_market("86");
        let it = Enterprise {
            status,
            valid_from: TimeMs(1_000),
            valid_to: TimeMs(2_000),
            ..enterprise(&x, "0001")
        };
        standing_of(&it, TimeMs(now))
    };
    for status in EnterpriseStatus::ALL {
        for now in [0, 999, 1_000, 1_999, 2_000, u64::MAX] {
            let good = *status == EnterpriseStatus::Active && matches!(now, 1_000 | 1_999);
            let expected = [Standing::Lost, Standing::Good][usize::from(good)];
            assert_eq!(of(*status, now), expected, "{status:?} at {now}");
        }
    }
}

#[test]
fn who_signs_outside_an_accreditation_does_only_its_duties() {
    for outside in OUTSIDE {
        let mut x = stocked();
        let register = x.register(3);
        let now = x.clock;
        change(&mut x, "0001", |it| outside(it, now));
        let lost = "ActorNotInStanding: enterprise 860001 is suspended, struck off or outside its accreditation";
        check(&mut x, "maker", register.clone(), lost);
        let update = samples::actions().into_iter();
        let update = update.filter(|one| matches!(one, Action::UpdateSoftware { .. }));
        for action in update {
            let command = act(&x, 1, action);
            check(&mut x, "service", command, lost);
        }
        // What it must do, it still does.
        let recall = samples::recall(&x, "R-1", Severity::Remedy);
        check(&mut x, "maker", recall, "done");
        change(&mut x, "0001", |it| {
            it.valid_from = TimeMs::EPOCH;
            it.valid_to = TimeMs::MAX;
        });
        check(&mut x, "maker", register, "done");
    }
}

/// Each with the enterprise that is outside its accreditation.
#[test]
fn nobody_is_named_who_is_outside_an_accreditation() {
    let mut cases = Cases::default();
    for outside in OUTSIDE {
        let x = stocked();
        let id = x.enterprise("0001");
        let sell = Action::Sell {
            owner: party(&x, "0003"),
        };
        let begin = Action::BeginMaintenance {
            note: "knee".into(),
            workshop: Some(id),
        };
        let enrol = x.enrolment("new", Holder::Enterprise { id }, Role::Manufacturer, "new");
        let at_maker = Action::Stock { at: Some(id) };
        let of_maker: [(&str, Command); 6] = [
            ("registrar", x.approval("0001", "100003")),
            ("registrar", enrol),
            ("registrar", x.register(3)),
            ("dealer", act(&x, 1, sell)),
            ("operator", act(&x, 4, begin)),
            ("dealer", act(&x, 1, at_maker)),
        ];
        for (who, command) in of_maker {
            let mut lapsed = x.clone();
            let now = lapsed.clock;
            change(&mut lapsed, "0001", |it| outside(it, now));
            let refused = "EnterpriseNotActive: 860001 is accredited from ";
            cases.check(lapsed, who, &command, refused);
            cases.check(x.clone(), who, &command, "done");
        }
    }
    cases.none_is_otherwise();
}

/// A registrar and the regulator stand in for an enterprise that may not act now, and for no other.
#[test]
fn somebody_stands_in_for_an_enterprise_outside_its_accreditation() {
    let mut cases = Cases::default();
    for outside in OUTSIDE {
        let mut x = stocked();
        x.must("maker", samples::recall(&x, "R-1", Severity::Advisory));
        let withdraw = Command::WithdrawRecall {
            recall: samples::recall_id(&x, "R-1"),
            reason: "no defect".into(),
        };
        let move_stock = act(&x, 1, Action::Stock { at: None });
        let mut release = samples::release(&x, x.code(2), None, Asking::Waits);
        if let Command::Act {
            action: Action::ReleaseOwnership { reason, .. },
            ..
        } = &mut release
        {
            *reason = "the owner is gone".into();
        }
        let acts = [
            ("regulator", withdraw, "0001"),
            ("registrar", move_stock, "0002"),
            ("registrar", release, "0002"),
        ];
        for (who, command, whose) in acts {
            cases.check(x.clone(), who, &command, "NotYours");
            let mut lapsed = x.clone();
            let now = lapsed.clock;
            change(&mut lapsed, whose, |it| outside(it, now));
            cases.check(lapsed, who, &command, "done");
        }
    }
    cases.none_is_otherwise();
}

/// Each with the role that the enterprise is not accredited in any more.
#[test]
fn nobody_is_named_as_what_they_are_not_accredited_for() {
    let x = stocked();
    let id = x.enterprise("0001");
    let enrol = x.enrolment("new", Holder::Enterprise { id }, Role::Manufacturer, "new");
    let sell = |owner: &str| Action::Sell {
        owner: party(&x, owner),
    };
    let deploy = |operator: &str| Action::Deploy {
        operator: party(&x, operator),
        scenario: "hall".into(),
    };
    let begin = Action::BeginMaintenance {
        note: "knee".into(),
        workshop: Some(id),
    };
    let at_maker = Action::Stock { at: Some(id) };
    let as_maker = "860001 is not accredited as manufacturer";
    let as_none = "860001 is none of ";
    let named = [
        ("registrar", enrol, as_maker),
        ("registrar", x.register(3), as_maker),
        ("dealer", act(&x, 1, sell("0002")), as_maker),
        ("dealer", act(&x, 1, sell("0001")), as_none),
        ("owner", act(&x, 2, deploy("0001")), as_none),
        ("operator", act(&x, 4, begin), as_none),
        ("dealer", act(&x, 1, at_maker), as_none),
    ];
    let mut cases = Cases::default();
    for (who, command, expected) in named {
        let mut without = x.clone();
        change(&mut without, "0001", |it| it.roles = vec![Role::Recycler]);
        let expected = format!("EnterpriseLacksRole: {expected}");
        cases.check(without, who, &command, &expected);
        cases.check(x.clone(), who, &command, "done");
    }
    cases.none_is_otherwise();
}

/// The fault: with its maker's accreditation ended every sold robot that was not in use yet, or had been retired once.
#[test]
fn a_robot_that_was_sold_is_put_into_use_whatever_became_of_its_maker() {
    let x = stocked();
    let deploy = Action::Deploy {
        operator: party(&x, "0002"),
        scenario: "hall".into(),
    };
    let deploy = act(&x, 2, deploy);
    let mut struck = x.clone();
    change(&mut struck, "0001", |it| {
        it.status = EnterpriseStatus::StruckOff;
    });
    check(&mut struck, "owner", deploy.clone(), "done");
    for outside in OUTSIDE {
        let mut lapsed = x.clone();
        let now = lapsed.clock;
        change(&mut lapsed, "0001", |it| outside(it, now));
        check(&mut lapsed, "owner", deploy.clone(), "done");
    }
    // Its model is asked all the same.
    let mut suspended = x;
    let id = suspended.model("0001", "100002");
    let status = ApprovalStatus::Suspended;
    let reason = "defect".into();
    let suspend = Command::SetModelStatus { id, status, reason };
    suspended.must("registrar", suspend);
    check(&mut suspended, "owner", deploy, "ModelNotApproved: …");
}

#[test]
fn a_number_of_a_transfer_is_used_once() {
    let mut x = stocked();
    x.must("maker", x.register(3));
    x.must("customs", x.declare(1, transfer(1), &prefix("49")));
    let same = x.declare(2, transfer(1), &prefix("49"));
    let giver = x.giver(&x.code(2));
    let used = format!("TransferExists: transfer {}", transfer(1));
    check(&mut x, giver, same.clone(), &used);
    // Its end gives the number back to nobody.
    let cancel = Command::CancelExport {
        transfer: transfer(1),
        reason: "sold at home".into(),
    };
    x.must("customs", cancel);
    check(&mut x, giver, same, &used);
    let again = x.declare(1, transfer(1), &prefix("49"));
    check(&mut x, giver, again, &used);
    let other = x.declare(2, transfer(2), &prefix("49"));
    check(&mut x, "customs", other, "done");
}

/// A line for each query: who may make it of anything, and who of what is their enterprise's.
#[test]
fn the_published_table_of_queries_is_the_code() {
    let mut out = String::new();
    for query in Query::ALL {
        let of = |wanted| {
            let roles = Role::ALL.iter();
            let roles = roles.filter(|role| may_query(**role, *query) == wanted);
            let words: Vec<_> = roles.map(|role| role.word()).collect();
            match words.is_empty() {
                true => "-".to_owned(),
                false => words.join(","),
            }
        };
        let (any, own) = (of(Permission::Any), of(Permission::Own));
        let _ = writeln!(out, "{query:?} any {any} own {own}");
    }
    catalog::check("vectors/queries.txt", &out);
}

/// What is not public is neither anybody's nor a stranger's, and the cluster is changed by its admins alone.
#[test]
fn what_is_not_public_is_asked_by_those_whom_it_concerns() {
    use Query as Q;
    let public = [
        Q::GetEnterprise,
        Q::GetModel,
        Q::ListRecalls,
        Q::Verify,
        Q::LogProof,
    ];
    for query in Query::ALL {
        let nobody = may_query(Role::Anonymous, *query) == Permission::No;
        assert_eq!(nobody, !public.contains(query), "{query:?}");
    }
    for role in Role::ALL {
        for query in [Q::ListRobots, Q::History, Q::Movements, Q::ListTransfers] {
            let all = may_query(*role, query) == Permission::Any;
            assert!(!(all && role.is_enterprise()), "{role:?} {query:?}");
        }
        let changes = may_query(*role, Q::ClusterChange) == Permission::Any;
        assert_eq!(changes, *role == Role::Admin, "{role:?}");
        let sees = may_query(*role, Q::ClusterStatus) != Permission::No;
        assert!(!(sees && role.is_enterprise()), "{role:?}");
    }
}
