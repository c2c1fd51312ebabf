//! Strangers, second parties, and a robot that changes hands. The strangers are enterprise 0003: accredited for everything,
//! and nothing to the robot.

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::{
    DECLARATION_AGAIN, DECLARATION_TIME, DECLARATIONS_A_DAY_MAX, DECLARATIONS_MAX, ENDS_A_DAY_MAX,
};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Statement, TimeChange};
use carnet_domain::record::{
    Actor, Asking, Desk, EnterpriseStatus, Holder, OwnershipEnd, Party, PartyName, Pending,
    ReleaseSecret, Robot, Severity,
};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind, State};
use carnet_domain::rules::parties::{registry_shown_to, shown_to};
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, befriend, samples, text, transfer};

use crate::border::{export, two};
use crate::rules::{act, check};

const STRANGERS: [(&str, Role); 7] = [
    ("x-dealer", Role::Dealer),
    ("x-owner", Role::Owner),
    ("x-owner-2", Role::Owner),
    ("x-operator", Role::Operator),
    ("x-recycler", Role::Recycler),
    ("x-declarant", Role::Declarant),
    ("x-service", Role::ServiceProvider),
];

/// A market with strangers, and robot 1 sold by the dealer (0002) to the fleet of enterprise 0002.
pub(crate) fn sold() -> Country {
    let mut x = Country::with_market("86");
    let id = x.enterprise("0003");
    for (name, role) in STRANGERS {
        let enrol = x.enrolment(name, Holder::Enterprise { id }, role, name);
        x.must("registrar", enrol);
    }
    x.must("maker", x.register(1));
    x.must("maker", act(&x, 1, samples::stock_at_dealer(&x)));
    let owner = enterprise(&x, "0002");
    x.must("dealer", act(&x, 1, Action::Sell { owner }));
    x
}

fn enterprise(x: &Country, code: &str) -> PartyName {
    PartyName::Enterprise {
        id: x.enterprise(code),
    }
}

fn robot(x: &Country) -> Robot {
    let Ok(robot) = x.ledger.robot(&x.code(1));
    robot.expect("registered")
}

fn owner(x: &Country) -> String {
    robot(x)
        .owner
        .map(|owner| owner.to_string())
        .unwrap_or_default()
}

fn ask(x: &Country, by: &str) -> Command {
    let action = Action::RequestOwnership {
        owner: enterprise(x, by),
        secret: samples::SECRET,
    };
    act(x, 1, action)
}

fn approve(x: &Country) -> Command {
    act(x, 1, Action::ApproveOwnership {})
}

fn end(x: &Country, end: OwnershipEnd) -> Command {
    let reason = "why".to_owned();
    act(x, 1, Action::EndOwnershipRequest { end, reason })
}

fn declare() -> Action {
    Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: sha256(&[b"certificate"]),
    }
}

/// Two keys of a stranger sold, took, scrapped and tied up anybody's robot.
#[test]
fn strangers_do_nothing_to_a_robot_of_others() {
    let mut x = sold();
    let before = robot(&x);
    let other = Country::unborn("49").prefix;
    let report = Digest::ZERO;
    let stock = Action::Stock {
        at: Some(x.enterprise("0003")),
    };
    let commands = [
        ("x-dealer", act(&x, 1, stock)),
        (
            "x-dealer",
            act(
                &x,
                1,
                Action::Sell {
                    owner: enterprise(&x, "0003"),
                },
            ),
        ),
        (
            "x-operator",
            act(
                &x,
                1,
                Action::Deploy {
                    operator: enterprise(&x, "0003"),
                    scenario: "theft".into(),
                },
            ),
        ),
        (
            "x-operator",
            act(
                &x,
                1,
                Action::Retire {
                    reason: "spite".into(),
                },
            ),
        ),
        ("x-service", act(&x, 1, Action::Repair { report })),
        (
            "x-service",
            act(
                &x,
                1,
                Action::ReplacePart {
                    removed: x.registration(1).parts[0].identity(),
                    fitted: samples::battery("NEW"),
                },
            ),
        ),
        (
            "x-service",
            act(
                &x,
                1,
                Action::BeginMaintenance {
                    note: "knee".into(),
                    workshop: None,
                },
            ),
        ),
        (
            "x-owner",
            act(
                &x,
                1,
                Action::RecordTraining {
                    data_set: report,
                    model: report,
                    place: "hall".into(),
                },
            ),
        ),
        ("x-declarant", x.declare(1, transfer(1), &other)),
        ("x-dealer", x.declare(1, transfer(1), &other)),
        (
            "x-owner",
            samples::release(&x, x.code(1), None, Asking::Suffices),
        ),
        ("x-owner", approve(&x)),
    ];
    for (who, command) in commands {
        check(&mut x, who, command, "NotYours: …");
    }
    let took = ask(&x, "0003");
    check(
        &mut x,
        "x-owner",
        took,
        "NothingPending: it is not released",
    );
    assert_eq!(robot(&x), before, "nothing was written");
}

/// What a stranger declares ties up nothing and ends by a word of the owner.
#[test]
fn a_stranger_may_only_bring_a_robot_to_be_ended() {
    let mut x = sold();
    let declared = act(&x, 1, declare());
    let confirm = act(
        &x,
        1,
        Action::ConfirmEndOfLife {
            certificate: sha256(&[b"certificate"]),
        },
    );
    check(&mut x, "x-recycler", declared.clone(), "done");
    let head = robot(&x).head;
    // Said twice it is no more, and moves nothing.
    check(&mut x, "x-recycler", declared.clone(), "EndDeclared: on …");
    assert_eq!(robot(&x).head, head);
    assert!(robot(&x).holds.is_empty(), "nothing is tied up");
    assert_eq!(robot(&x).pending, Pending::Nothing {});
    check(&mut x, "x-owner", confirm.clone(), "NotYours: …");
    let deploy = Action::Deploy {
        operator: enterprise(&x, "0002"),
        scenario: "warehouse".into(),
    };
    let deploy = act(&x, 1, deploy);
    check(&mut x, "operator", deploy, "done");
    let withdraw = Action::WithdrawEndOfLife {
        reason: "never".into(),
    };
    let withdraw = act(&x, 1, withdraw);
    check(&mut x, "x-owner", withdraw.clone(), "NotYours: …");
    check(&mut x, "owner", withdraw, "done");
    // Its own recycler and its owner are one party.
    check(&mut x, "recycler", declared.clone(), "done");
    assert_eq!(robot(&x).holds.len(), 1);
    check(
        &mut x,
        "owner",
        confirm.clone(),
        "SecondPartyRequired: the first step was taken by the same party",
    );
    let withdraw = Action::WithdrawEndOfLife {
        reason: "once more".into(),
    };
    x.must("recycler", act(&x, 1, withdraw));
    // What its owner rejected is not said again on the same day.
    check(&mut x, "x-recycler", declared.clone(), "EndDeclared: …");
    check(&mut x, "owner", confirm.clone(), "NothingPending: …");
    x.advance(DECLARATION_AGAIN);
    check(&mut x, "x-recycler", declared, "done");
    check(&mut x, "owner", confirm, "done");
    assert_eq!(robot(&x).state, State::Scrapped);
}

#[test]
fn theft_lien_freeze_and_the_owners_hold_block_an_end_of_life() {
    for kind in [
        HoldKind::Theft,
        HoldKind::SaleLock,
        HoldKind::EvidenceFreeze,
        HoldKind::OwnerHold,
    ] {
        let mut x = sold();
        let (code, reason) = (x.code(1), "why".to_owned());
        let declared = act(&x, 1, declare());
        let confirm = act(
            &x,
            1,
            Action::ConfirmEndOfLife {
                certificate: sha256(&[b"certificate"]),
            },
        );
        x.must("x-recycler", declared.clone());
        let set = Command::SetHold { code, kind, reason };
        let mut setters = ["registrar", "regulator"].into_iter();
        let done = setters.any(|who| text(&x.command(who, set.clone())) == "done");
        assert!(done, "{kind:?} is set by one of them");
        check(&mut x, "registrar", confirm, "Held: …");
        check(&mut x, "recycler", declared, "Held: …");
    }
}

#[test]
fn whose_enterprise_has_no_standing_does_only_what_it_must() {
    let mut x = sold();
    for code in ["0001", "0002"] {
        let struck = Command::SetEnterpriseStatus {
            id: x.enterprise(code),
            status: EnterpriseStatus::StruckOff,
            reason: "fraud".into(),
        };
        x.must("registrar", struck);
    }
    let refused = "ActorNotInStanding: …";
    let retire = Action::Retire {
        reason: "old".into(),
    };
    let report = Digest::ZERO;
    for (who, action) in [
        ("owner", retire),
        ("service", Action::Repair { report }),
        ("recycler", declare()),
    ] {
        let command = act(&x, 1, action);
        check(&mut x, who, command, refused);
    }
    let second = x.register(2);
    check(&mut x, "maker", second, refused);
    let recall = samples::recall(&x, "R-1", Severity::Remedy);
    check(&mut x, "maker", recall, "done");
    let remedy = Command::RemedyRecall {
        code: x.code(1),
        recall: samples::recall_id(&x, "R-1"),
        report,
    };
    check(&mut x, "service", remedy, "done");
}

/// A workshop that the operator named works on the robot until maintenance is complete.
#[test]
fn a_workshop_works_on_what_it_was_given() {
    let mut x = sold();
    let deploy = Action::Deploy {
        operator: enterprise(&x, "0002"),
        scenario: "warehouse".into(),
    };
    x.must("operator", act(&x, 1, deploy));
    let begin = Action::BeginMaintenance {
        note: "knee".into(),
        workshop: Some(x.enterprise("0003")),
    };
    let report = Digest::ZERO;
    let repair = act(&x, 1, Action::Repair { report });
    let complete = act(&x, 1, Action::CompleteMaintenance { report });
    check(&mut x, "x-service", repair.clone(), "NotYours: …");
    x.must("operator", act(&x, 1, begin));
    check(&mut x, "x-service", repair.clone(), "done");
    check(&mut x, "x-service", complete, "done");
    check(&mut x, "x-service", repair, "NotYours: …");
}

#[test]
fn a_robot_changes_hands_by_release_secret_and_approval() {
    let mut x = sold();
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    check(&mut x, "owner", release, "done");
    let wrong = Action::RequestOwnership {
        owner: enterprise(&x, "0003"),
        secret: ReleaseSecret([8; 16]),
    };
    let wrong = act(&x, 1, wrong);
    check(&mut x, "x-owner", wrong, "ReleaseCodeWrong");
    // What the owner released is not taken back by who only wants to scrap it.
    let declared = act(&x, 1, declare());
    check(&mut x, "x-recycler", declared, "done");
    assert!(matches!(robot(&x).pending, Pending::Released { .. }));
    // Nobody asks for another enterprise.
    let asked = ask(&x, "0003");
    check(&mut x, "dealer", asked.clone(), "NotYours: …");
    check(&mut x, "x-owner", asked.clone(), "done");
    check(&mut x, "x-owner", asked.clone(), "OwnershipRequestOpen");
    let sale = x.declare(1, transfer(1), &Country::unborn("49").prefix);
    check(&mut x, "customs", sale, "OwnershipRequestOpen");
    let approval = approve(&x);
    check(&mut x, "x-owner-2", approval.clone(), "NotYours: …");
    check(&mut x, "owner", approval.clone(), "done");
    assert_eq!(owner(&x), "enterprise 860003");
    assert_eq!(robot(&x).holder, robot(&x).owner, "who owns it holds it");
    check(
        &mut x,
        "x-owner",
        approval,
        "NothingPending: no request for ownership is open",
    );
    // A secret is good once.
    check(
        &mut x,
        "x-owner",
        asked,
        "NothingPending: it is not released",
    );
    let again = samples::release(&x, x.code(1), None, Asking::Waits);
    check(&mut x, "owner", again, "NotYours: …");
}

#[test]
fn asking_is_enough_where_the_release_says_so() {
    let mut x = sold();
    let to = Some(enterprise(&x, "0003"));
    let release = samples::release(&x, x.code(1), to, Asking::Suffices);
    x.must("owner", release);
    // Named is another.
    let asked = ask(&x, "0001");
    check(&mut x, "maker", asked, "NotYours: …");
    let asked = ask(&x, "0003");
    check(&mut x, "x-owner", asked, "done");
    assert_eq!(owner(&x), "enterprise 860003");
}

/// One desk on both sides is one party: a registrar is the other.
#[test]
fn one_desk_on_both_sides_needs_a_registrar() {
    let mut x = sold();
    let person = |name: &str| PartyName::from(sha256(&[name.as_bytes()]));
    let release = samples::release(&x, x.code(1), None, Asking::Suffices);
    x.must("owner", release);
    let asked = Action::RequestOwnership {
        owner: person("buyer"),
        secret: samples::SECRET,
    };
    x.must("dealer", act(&x, 1, asked));
    assert_eq!(owner(&x), "enterprise 860002", "asking was not enough");
    let approval = approve(&x);
    check(
        &mut x,
        "owner",
        approval.clone(),
        "SecondPartyRequired: the first step was taken by the same party",
    );
    // Nor is the registrar another party who made that enterprise alone.
    let same = "SecondPartyRequired: the first step was taken by the same party";
    check(&mut x, "registrar", approval.clone(), same);
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    check(&mut x, "registrar-2", approval, "done");
    assert!(matches!(robot(&x).owner, Some(Party::Person { .. })));
}

#[test]
fn each_end_is_of_who_it_belongs_to() {
    let mut x = sold();
    let [rejected, cancelled, expired] = [
        OwnershipEnd::Rejected,
        OwnershipEnd::Cancelled,
        OwnershipEnd::Expired,
    ]
    .map(|kind| end(&x, kind));
    let nothing = "NothingPending: no request for ownership is open";
    let open = "OwnershipRequestOpen";
    check(&mut x, "owner", cancelled.clone(), nothing);
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", release);
    check(&mut x, "owner", rejected.clone(), nothing);
    check(&mut x, "owner", expired.clone(), open);
    check(&mut x, "owner", cancelled.clone(), "done");
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", release);
    x.must("x-owner", ask(&x, "0003"));
    check(&mut x, "owner", cancelled.clone(), "NotYours: …");
    check(&mut x, "x-owner", rejected.clone(), "NotYours: …");
    check(&mut x, "x-owner", cancelled, "done");
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", release);
    x.must("x-owner", ask(&x, "0003"));
    check(&mut x, "owner", rejected, "done");
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", release);
    x.must("x-owner", ask(&x, "0003"));
    x.advance(DurationMs::from_days(31));
    let approval = approve(&x);
    check(&mut x, "owner", approval, "DeadlinePassed: until …");
    check(&mut x, "x-owner", expired, "done");
    assert_eq!(robot(&x).pending, Pending::Nothing {});
}

/// A request that nobody answers stood in the way of everything for ever.
#[test]
fn a_request_that_has_expired_stands_in_the_way_of_nothing() {
    let mut x = sold();
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", release);
    x.must("x-owner", ask(&x, "0003"));
    let declared = act(&x, 1, declare());
    check(&mut x, "recycler", declared.clone(), "OwnershipRequestOpen");
    x.advance(DurationMs::from_days(31));
    check(&mut x, "recycler", declared, "done");
}

#[test]
fn a_release_has_an_end_and_names_where_the_record_stands() {
    let mut x = sold();
    let release = |x: &Country, days| {
        let mut release = samples::release(x, x.code(1), None, Asking::Waits);
        if let Command::Act {
            action: Action::ReleaseOwnership { until, .. },
            ..
        } = &mut release
        {
            *until = x.clock.saturating_add(DurationMs::from_days(days));
        }
        release
    };
    let long = release(&x, 100);
    check(&mut x, "owner", long, "DeadlinePassed: until …");
    let mut blind = release(&x, 1);
    if let Command::Act {
        expected_sequence, ..
    } = &mut blind
    {
        *expected_sequence = None;
    }
    check(
        &mut x,
        "owner",
        blind,
        "SequenceMismatch: the record stands at sequence 2",
    );
    let late = release(&x, 1);
    x.advance(DurationMs::from_days(2));
    check(&mut x, "owner", late, "DeadlinePassed: until …");
}

/// Owner, holder, operator, workshop and what waits were everybody's to read, and the custody secret with them.
#[test]
fn a_robot_is_shown_to_each_as_far_as_it_is_theirs() {
    let mut x = sold();
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", release);
    // As after a change of desk: who chose it says that a person owns the robot.
    let desk_set_by = Some(Actor {
        key: x.key("registrar").public().key_id(),
        holder: x.office("registrar/hq"),
        person: "registrar".into(),
    });
    let whole = Robot {
        desk_set_by,
        ..robot(&x)
    };
    assert_ne!(whole.custody_secret, Digest::ZERO);
    let seen = |role, enterprise: Option<&str>| {
        let id = enterprise.map(|code| x.enterprise(code));
        shown_to(x.prefix, role, id, &whole)
    };
    for role in Role::ALL {
        let hidden = seen(*role, None).custody_secret;
        assert_eq!(hidden, Digest::ZERO, "{role:?}");
    }
    let without_secret = Robot {
        custody_secret: Digest::ZERO,
        ..whole.clone()
    };
    for (role, enterprise) in [
        (Role::Registrar, None),
        (Role::Customs, None),
        (Role::ForeignRegulator, None),
        (Role::Owner, Some("0002")),
        (Role::Manufacturer, Some("0001")),
    ] {
        assert_eq!(seen(role, enterprise), without_secret, "{role:?}");
    }
    for (role, enterprise) in [
        (Role::Anonymous, None),
        (Role::Dealer, Some("0003")),
        (Role::Owner, Some("0003")),
    ] {
        let shown = seen(role, enterprise);
        let parties = [
            &shown.owner,
            &shown.holder,
            &shown.operator,
            &shown.importer,
        ];
        assert_eq!(parties, [&None; 4], "{role:?}");
        assert_eq!(shown.pending, Pending::Nothing {}, "{role:?}");
        assert_eq!(shown.desk_set_by, None, "{role:?}");
        assert_eq!(shown.state, whole.state, "{role:?}");
    }
    let registry = x.registry();
    let seen = registry_shown_to(Role::Manufacturer, &registry).offices;
    assert_eq!(
        (seen.supervisors.len(), seen.profile),
        (0, registry.offices.profile)
    );
    assert_eq!(registry_shown_to(Role::Auditor, &registry), registry);
}

/// Ownership moved in stock and was sold over; a first owner came without the market's leave.
#[test]
fn the_first_owner_comes_by_a_sale_and_who_owns_sells() {
    let mut x = Country::with_market("86");
    x.must("maker", x.register(1));
    x.must("maker", act(&x, 1, samples::stock_at_dealer(&x)));
    let release = samples::release(&x, x.code(1), None, Asking::Suffices);
    check(&mut x, "dealer", release, "NotYours: …");
    // Imported for good: the importer owns it, a dealer has it in stock.
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let on = |action| Command::Act {
        code: Country::unborn("86").code(1),
        expected_sequence: None,
        action,
    };
    let stock = on(samples::stock_at_dealer(&b));
    check(&mut b, "importer", stock, "done");
    let release = samples::release(&b, a.code(1), None, Asking::Suffices);
    check(
        &mut b,
        "importer",
        release,
        "TransitionNotAllowed: ReleaseOwnership in state InStock",
    );
    let sell = |by: &str| {
        on(Action::Sell {
            owner: enterprise(&Country::unborn("49"), by),
        })
    };
    check(&mut b, "dealer", sell("0002"), "NotYours: …");
    check(&mut b, "importer", sell("0002"), "done");
}

#[test]
fn a_prototype_becomes_no_product_by_being_retired() {
    let mut x = Country::with_market("86");
    let mut registration = x.registration(1);
    registration.prototype = true;
    x.must("maker", Command::Register { registration });
    let retire = Action::Retire {
        reason: "old".into(),
    };
    let retire = act(&x, 1, retire);
    check(
        &mut x,
        "maker",
        retire,
        "TransitionNotAllowed: Retire in state Development",
    );
}

/// Whatever stands on a robot, its body was rid of by an annulment.
#[test]
fn what_something_stands_on_is_not_annulled() {
    for kind in HoldKind::ALL {
        if *kind == HoldKind::EndOfLifePending {
            continue;
        }
        let mut x = Country::with_market("86");
        x.must("maker", x.register(1));
        let (code, reason) = (x.code(1), "why".to_owned());
        let kind = *kind;
        let mut setters = ["registrar", "customs", "regulator"].into_iter();
        let set = Command::SetHold { code, kind, reason };
        let set_by = setters.find(|who| text(&x.command(who, set.clone())) == "done");
        if set_by.is_none() {
            continue;
        }
        let annul = Action::Annul {
            reason: "twice".into(),
        };
        let annul = act(&x, 1, annul);
        check(&mut x, "registrar", annul, "Held: …");
    }
    let mut x = Country::with_market("86");
    x.must("maker", x.register(1));
    x.must("maker", samples::recall(&x, "R-1", Severity::Remedy));
    let annul = Action::Annul {
        reason: "twice".into(),
    };
    let annul = act(&x, 1, annul);
    check(&mut x, "registrar", annul, "RecallOpen: …");
}

/// A typing error made an owner that could never act.
#[test]
fn a_party_that_cannot_be_gets_nothing() {
    let mut x = Country::with_market("86");
    x.must("maker", x.register(1));
    x.must("maker", act(&x, 1, samples::stock_at_dealer(&x)));
    let nobody = enterprise(&x, "0999");
    let abroad = enterprise(&Country::unborn("49"), "0001");
    let office = PartyName::Office {
        prefix: Country::unborn("49").prefix,
        name: "customs/hq".into(),
    };
    for (owner, expected) in [
        (nobody.clone(), "EnterpriseUnknown: 860999"),
        (abroad, "PeerUnknown: 49"),
        (office, "PeerUnknown: 49"),
    ] {
        let sale = act(&x, 1, Action::Sell { owner });
        check(&mut x, "dealer", sale, expected);
    }
    let mut x = sold();
    let deploy = Action::Deploy {
        operator: nobody.clone(),
        scenario: "x".into(),
    };
    let deploy = act(&x, 1, deploy);
    check(&mut x, "operator", deploy, "EnterpriseUnknown: 860999");
    let release = samples::release(&x, x.code(1), Some(nobody), Asking::Waits);
    check(&mut x, "owner", release, "EnterpriseUnknown: 860999");
}

/// Of a peer no enterprise or office is known here: its country answers for it.
#[test]
fn a_party_of_a_peer_gets_what_one_of_ours_gets() {
    let (mut x, mut y) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut x, &mut y);
    let office = PartyName::Office {
        prefix: y.prefix,
        name: "customs/hq".into(),
    };
    for (serial, owner) in [(1, enterprise(&y, "0001")), (2, office)] {
        x.must("maker", x.register(serial));
        x.must("maker", act(&x, serial, samples::stock_at_dealer(&x)));
        x.must("dealer", act(&x, serial, Action::Sell { owner }));
        let Ok(robot) = x.ledger.robot(&x.code(serial));
        let owner = robot.and_then(|robot| robot.owner).expect("it was sold");
        let of = match &owner {
            Party::Enterprise { id } => id.prefix(),
            Party::Office { prefix, .. } => *prefix,
            Party::Person { .. } => x.prefix,
        };
        assert_eq!(of, y.prefix, "{owner:?}");
    }
}

#[test]
fn an_owner_holds_its_own_robot_and_no_other() {
    let mut x = sold();
    let set = |kind| Command::SetHold {
        code: Country::unborn("86").code(1),
        kind,
        reason: "lent".into(),
    };
    check(&mut x, "x-owner", set(HoldKind::OwnerHold), "NotYours: …");
    check(&mut x, "owner", set(HoldKind::Theft), "RoleNotAllowed: …");
    check(&mut x, "owner", set(HoldKind::OwnerHold), "done");
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    check(&mut x, "owner", release, "Held: …");
    let lift = Command::LiftHold {
        code: x.code(1),
        kind: HoldKind::OwnerHold,
        reason: "back".into(),
    };
    check(&mut x, "x-owner", lift.clone(), "NotYours: …");
    check(&mut x, "owner", lift, "done");
}

/// It was put into use later than it was sold, through the same desk: the same person, who has nothing to do with it any more.
#[test]
fn who_operated_as_the_old_owner_does_no_longer() {
    let mut x = sold();
    let person = || PartyName::Person {
        commitment: carnet_domain::bytes::digest::sha256(&[b"somebody"]),
    };
    x.must("maker", x.register(2));
    x.must("maker", act(&x, 2, samples::stock_at_dealer(&x)));
    x.must("dealer", act(&x, 2, Action::Sell { owner: person() }));
    let deploy = Action::Deploy {
        operator: person(),
        scenario: "home".into(),
    };
    x.must("dealer", act(&x, 2, deploy));
    let release = samples::release(&x, x.code(2), None, Asking::Suffices);
    x.must("dealer", release);
    let ask = Action::RequestOwnership {
        owner: enterprise(&x, "0003"),
        secret: samples::SECRET,
    };
    x.must("x-owner", act(&x, 2, ask));
    let Ok(robot) = x.ledger.robot(&x.code(2));
    let robot = robot.expect("registered");
    assert_eq!(
        robot.owner.map(|owner| owner.to_string()).as_deref(),
        Some("enterprise 860003")
    );
    assert_eq!(robot.operator, None);
}

fn recycler(x: &mut Country, code: &str) -> String {
    x.must("registrar", x.accreditation(code));
    let name = format!("{code}-recycler");
    let enrol = x.enrolment(
        &name,
        Holder::Enterprise {
            id: x.enterprise(code),
        },
        Role::Recycler,
        &name,
    );
    x.must("registrar", enrol);
    name
}

fn end_by(certificate: &str) -> (Action, Action) {
    let certificate = sha256(&[certificate.as_bytes()]);
    let outcome = EndOfLife::Scrapped;
    (
        Action::DeclareEndOfLife {
            outcome,
            certificate,
        },
        Action::ConfirmEndOfLife { certificate },
    )
}

/// One stranger's declaration replaced another's, wiped the owner's release, and was posted to every country each time.
#[test]
fn what_strangers_declare_takes_nobodys_place() {
    let mut x = sold();
    let mut other = Country::with_market("49");
    carnet_kit::befriend(&mut x, &mut other);
    let names: Vec<String> = (0..=DECLARATIONS_MAX)
        .map(|number| recycler(&mut x, &format!("1{number:03}")))
        .collect();
    let release = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", release);
    let posted = x.ledger.mailbox(&other.prefix, 0).len();
    for (number, name) in names.iter().enumerate() {
        let declared = act(&x, 1, end_by(&format!("paper {number}")).0);
        let expected = match number < DECLARATIONS_MAX {
            true => "done",
            false => "RecordFull: 4 declarations by strangers",
        };
        check(&mut x, name, declared, expected);
    }
    assert_eq!(robot(&x).declared.len(), DECLARATIONS_MAX);
    assert!(matches!(robot(&x).pending, Pending::Released { .. }));
    assert_eq!(x.ledger.mailbox(&other.prefix, 0).len(), posted);
    // It is sold on all the same, and nothing vanished: the new owner sees what was declared, and confirms one by its paper.
    let asked = ask(&x, "0003");
    x.must("x-owner", asked);
    let confirm = act(&x, 1, end_by("paper 2").1);
    check(&mut x, "owner", confirm.clone(), "OwnershipRequestOpen");
    x.must("owner", approve(&x));
    assert_eq!(robot(&x).declared.len(), DECLARATIONS_MAX);
    let unknown = act(&x, 1, end_by("paper 9").1);
    check(&mut x, "x-owner", unknown, "NothingPending: …");
    check(&mut x, "x-owner", confirm, "done");
    assert_eq!(robot(&x).state, State::Scrapped);
    assert!(robot(&x).declared.is_empty());
}

/// The fault: by its declaration a recycler that also trades was party to whatever waited, and ended it.
#[test]
fn who_declared_as_a_stranger_ends_nothing_of_others() {
    let mut x = sold();
    let none = "NotYours: …";
    x.must("x-recycler", act(&x, 1, declare()));
    for withdrawn in [false, true] {
        if withdrawn {
            let back = Action::WithdrawEndOfLife {
                reason: "mistaken".into(),
            };
            x.must("x-recycler", act(&x, 1, back));
        }
        x.must(
            "owner",
            samples::release(&x, x.code(1), None, Asking::Waits),
        );
        for who in ["x-dealer", "x-owner", "x-operator"] {
            for how in OwnershipEnd::ALL {
                let command = end(&x, *how);
                check(&mut x, who, command, none);
            }
        }
        let asked = Action::RequestOwnership {
            owner: enterprise(&x, "0001"),
            secret: samples::SECRET,
        };
        x.must("maker", act(&x, 1, asked));
        for who in ["x-dealer", "x-owner", "x-operator"] {
            for how in OwnershipEnd::ALL {
                let command = end(&x, *how);
                check(&mut x, who, command, none);
            }
            let command = approve(&x);
            check(&mut x, who, command, none);
        }
        // Each side still ends its own.
        let cancelled = end(&x, OwnershipEnd::Cancelled);
        check(&mut x, "owner", cancelled.clone(), none);
        let rejected = end(&x, OwnershipEnd::Rejected);
        match withdrawn {
            false => check(&mut x, "owner", rejected, "done"),
            true => check(&mut x, "maker", cancelled, "done"),
        }
    }
}

/// Four recyclers of one hand kept a fifth from a robot, however often its owner sent them away.
#[test]
fn a_rejected_declaration_makes_way_for_another_recycler() {
    let mut x = sold();
    let fifth = act(&x, 1, declare());
    let names: Vec<String> = (0..=DECLARATIONS_MAX)
        .map(|number| recycler(&mut x, &format!("1{number:03}")))
        .collect();
    let (last, first) = names.split_last().expect("some");
    for name in first {
        x.must(name, act(&x, 1, declare()));
    }
    check(&mut x, last, fifth.clone(), "RecordFull: …");
    let reject = Action::WithdrawEndOfLife {
        reason: "not theirs".into(),
    };
    x.must("owner", act(&x, 1, reject));
    check(&mut x, last, fifth.clone(), "done");
    // Who was rejected waits its day all the same.
    let again = first.last().expect("some");
    check(&mut x, again, fifth, "EndDeclared: …");
    assert_eq!(robot(&x).declared.len(), DECLARATIONS_MAX);
}

/// The fault: one registrar gave a person another desk, the desk released, and the robot was somebody else's.
#[test]
fn a_desk_that_a_registrar_chose_sells_with_a_second_word() {
    let person = || PartyName::Person {
        commitment: sha256(&[b"somebody"]),
    };
    let mut x = sold();
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    x.must(
        "owner",
        samples::release(&x, x.code(1), None, Asking::Suffices),
    );
    let ask_for = |owner| Action::RequestOwnership {
        owner,
        secret: samples::SECRET,
    };
    x.must("maker", act(&x, 1, ask_for(person())));
    let to = |desk| Action::ChangeDesk {
        person: sha256(&[b"somebody"]),
        desk,
        reason: "asked for".into(),
    };
    let office = Desk::of(x.prefix, &x.office("registrar"));
    let friend = Desk::Enterprise {
        id: x.enterprise("0003"),
    };
    for (desk, releases) in [(office, "registrar"), (friend.clone(), "buyer")] {
        let mut x = x.clone();
        x.must("registrar", act(&x, 1, to(desk)));
        let release = samples::release(&x, x.code(1), None, Asking::Suffices);
        x.must(releases, release);
        let gaining = enterprise(&x, "0002");
        x.must("owner", act(&x, 1, ask_for(gaining)));
        let asked = robot(&x);
        assert!(matches!(asked.pending, Pending::Asked { .. }), "{releases}");
        let approve = approve(&x);
        for who in ["registrar", releases] {
            check(&mut x, who, approve.clone(), "SecondPartyRequired: …");
        }
        check(&mut x, "registrar-2", approve, "done");
        assert_eq!(owner(&x), "enterprise 860002");
        assert_eq!(robot(&x).desk_set_by, None, "it has another owner");
    }
    // The desk's own choice is the desk's.
    x.must("maker", act(&x, 1, to(friend)));
    let release = samples::release(&x, x.code(1), None, Asking::Suffices);
    x.must("buyer", release);
    let gaining = enterprise(&x, "0002");
    x.must("owner", act(&x, 1, ask_for(gaining)));
    assert_eq!(owner(&x), "enterprise 860002");
}

/// Who declares the end of a stranger's robot sees no more of it than before.
#[test]
fn a_declaration_shows_nothing_to_who_makes_it() {
    let mut x = sold();
    x.must("x-recycler", act(&x, 1, declare()));
    let whole = robot(&x);
    let id = |code: &str| Some(x.enterprise(code));
    let seen = shown_to(x.prefix, Role::Recycler, id("0003"), &whole);
    assert_eq!((seen.owner, seen.holder), (None, None));
    assert_eq!(seen.declared.len(), 1, "its own");
    let seen = shown_to(x.prefix, Role::Recycler, id("0001"), &whole);
    assert_eq!(seen.declared.len(), 1, "the maker is something to it");
    let seen = shown_to(x.prefix, Role::Recycler, id("0999"), &whole);
    assert!(seen.declared.is_empty());
}

#[test]
fn a_strangers_declaration_lapses() {
    let mut x = sold();
    x.must("x-recycler", act(&x, 1, declare()));
    x.advance(DECLARATION_TIME);
    let confirm = act(&x, 1, end_by("certificate").1);
    check(&mut x, "owner", confirm, "NothingPending: …");
    let again = act(&x, 1, declare());
    check(&mut x, "x-recycler", again, "done");
    assert_eq!(robot(&x).declared.len(), 1);
}

/// Nor does it stand again when the roots set log time back.
#[test]
fn a_strangers_declaration_that_lapsed_stays_so() {
    let mut x = sold();
    x.must("x-recycler", act(&x, 1, declare()));
    let before = x.registry().log_time;
    x.advance(DECLARATION_TIME);
    let confirm = act(&x, 1, end_by("certificate").1);
    check(&mut x, "owner", confirm.clone(), "NothingPending: …");
    let change = TimeChange {
        cluster: x.registry().cluster,
        number: 1,
        from: x.registry().log_time,
        to: before,
    };
    let said = x.state_unrenewed(&Statement::RepairTime { change });
    assert_eq!(text(&said), "done");
    x.clock = before;
    check(&mut x, "owner", confirm, "NothingPending: …");
    let again = act(&x, 1, declare());
    check(&mut x, "x-recycler", again, "done");
}

/// A recycler without customers of its own wrote every robot's record there is.
#[test]
fn a_recycler_declares_so_many_ends_of_others_a_day() {
    let mut x = sold();
    let max = u32::try_from(DECLARATIONS_A_DAY_MAX).expect("small");
    let all: Vec<Command> = (2..=max + 2).map(|serial| x.register(serial)).collect();
    let request = x.request("maker", &all);
    x.ask(request);
    for serial in 2..max + 2 {
        x.must("x-recycler", act(&x, serial, declare()));
    }
    let one_more = act(&x, max + 2, declare());
    check(
        &mut x,
        "x-recycler",
        one_more.clone(),
        "DailyLimit: 200 declarations by strangers",
    );
    x.advance(DECLARATION_AGAIN);
    check(&mut x, "x-recycler", one_more, "done");
}

/// Two stolen keys, of whoever declares and of whoever confirms, end so many robots a day, and no fleet. A registrar is one of the
/// two for more, whose declarations count too.
#[test]
fn one_key_ends_so_many_robots_a_day() {
    let spent = |x: &mut Country, who: &str, left: u64| {
        let Ok(signer) = x.ledger.signer(&x.key(who).public().key_id());
        let mut signer = signer.expect("enrolled");
        signer.ends.day = x.clock.0 / DurationMs::from_days(1).0;
        signer.ends.count = ENDS_A_DAY_MAX - left;
        let Ok(()) = x.ledger.put_signer(signer);
    };
    let over = "DailyLimit: 1000 ends declared or confirmed by one key";
    let mut begun = sold();
    begun.enrol_office("registrar-2", "registrar", Role::Registrar);
    let confirm = act(&begun, 1, end_by("certificate").1);
    // Of the owner's side, declared by a stranger.
    let mut x = begun.clone();
    x.must("x-recycler", act(&x, 1, declare()));
    spent(&mut x, "owner", 0);
    check(&mut x, "owner", confirm.clone(), over);
    let mut tomorrow = x.clone();
    tomorrow.advance(DurationMs::from_days(1));
    check(&mut tomorrow, "owner", confirm.clone(), "done");
    spent(&mut x, "owner", 1);
    check(&mut x, "owner", confirm.clone(), "done");
    let Ok(signer) = x.ledger.signer(&x.key("owner").public().key_id());
    assert_eq!(signer.expect("enrolled").ends.on(x.clock), ENDS_A_DAY_MAX);
    // Declared by a registrar, it is confirmed above that; a registrar who declares counts.
    let mut x = begun;
    spent(&mut x, "owner", 0);
    spent(&mut x, "registrar", 0);
    let declared = act(&x, 1, declare());
    check(&mut x, "registrar", declared.clone(), over);
    check(&mut x, "registrar-2", declared, "done");
    check(&mut x, "owner", confirm, "done");
}

/// Why a hold was set stood in the slot that anybody is shown.
#[test]
fn nobody_else_reads_why_a_hold_was_set() {
    let mut x = sold();
    let set = Command::SetHold {
        code: x.code(1),
        kind: HoldKind::Theft,
        reason: "case 4711, Jane Doe".into(),
    };
    x.must("registrar", set);
    let whole = robot(&x);
    assert_eq!(whole.holds[0].reason, "case 4711, Jane Doe");
    let seen = shown_to(x.prefix, Role::Owner, Some(x.enterprise("0003")), &whole);
    assert_eq!(seen.holds[0], whole.holds[0].without_reason());
    let seen = shown_to(x.prefix, Role::Customs, None, &whole);
    assert_eq!(seen.holds, whole.holds);
    let head = whole.head.expect("registered");
    let Ok(leaf) = x.ledger.leaf(head.leaf_index);
    let leaf = leaf.expect("its newest");
    let slot = leaf.values[usize::from(slot::STATE)]
        .clone()
        .expect("shown");
    let reason = b"4711";
    assert!(!slot.0.windows(reason.len()).any(|at| at == reason));
}
