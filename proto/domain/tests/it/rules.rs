//! The rules of one registry: each test is a command and the answer expected, over the whole path of a signed entry.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::IDENTIFIER_BYTES_MAX;
use carnet_domain::log::leaf::{Kind, Leaf, Subject};
use carnet_domain::machine;
use carnet_domain::machine::entry::{Entry, ItemAnswer};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    ApprovalStatus, Desk, EnterpriseStatus, Holder, PartName, PartType, Party, Severity,
    part_identity,
};
use carnet_domain::rules::command::{Action, Command, Purpose};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_kit::memory::MemoryLedger;
use carnet_kit::{Country, samples, text};
use proptest::prelude::*;

/// One command of somebody, and its answer as text; an expectation that ends in `…` is a beginning. "waits": it is done as the first
/// of two words, and its answer says so.
pub(crate) fn check(country: &mut Country, who: &str, command: Command, expected: &str) {
    let said = command.name();
    let who = match expected {
        "done" | "waits" => country.whoever(who, &command),
        _ => match &command {
            // What else is wrong is told to who may give it away.
            Command::DeclareExport {
                code,
                purpose: Purpose::PermanentExport,
                ..
            } if who == "customs" && !expected.starts_with("NotYours") => country.giver(code),
            _ => who,
        },
    };
    let answer = match country.command(who, command) {
        ItemAnswer::Done { waits: true, .. } if expected == "waits" => "waits".to_owned(),
        answer => text(&answer),
    };
    let holds = match expected.strip_suffix('…') {
        Some(beginning) => answer.starts_with(beginning),
        None => answer == expected,
    };
    assert!(
        holds,
        "{who} at {}: {said}:\n {answer}\nexpected\n {expected}",
        country.prefix
    );
}

/// A life-cycle action on a robot of this country.
pub(crate) fn act(country: &Country, serial: u32, action: Action) -> Command {
    Command::Act {
        code: country.code(serial),
        expected_sequence: None,
        action,
    }
}

/// Both steps of an end of life.
pub(crate) fn scrap(country: &mut Country, code: Code) {
    let act = |action| Command::Act {
        code,
        expected_sequence: None,
        action,
    };
    country.must("recycler", act(declare_end()));
    country.must(
        "registrar",
        act(Action::ConfirmEndOfLife {
            certificate: sha256(&[b"certificate"]),
        }),
    );
}

fn declare_end() -> Action {
    Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: sha256(&[b"certificate"]),
    }
}

pub(crate) fn market() -> Country {
    let mut country = Country::with_market("86");
    country.must("maker", country.register(1));
    country
}

fn sell() -> Action {
    Action::Sell {
        owner: sha256(&[b"owner"]).into(),
    }
}

fn deploy() -> Action {
    Action::Deploy {
        operator: sha256(&[b"operator"]).into(),
        scenario: "warehouse".into(),
    }
}

fn state(country: &Country, serial: u32) -> State {
    let Ok(robot) = country.ledger.robot(&country.code(serial));
    robot.expect("a robot").state
}

#[test]
fn a_life_from_registration_to_scrap() {
    let mut x = market();
    let story: [(&str, Action, State); 8] = [
        ("maker", samples::stock_at_dealer(&x), State::InStock),
        ("dealer", sell(), State::Sold),
        ("operator", deploy(), State::Deployed),
        (
            "operator",
            Action::BeginMaintenance {
                note: "knee".into(),
                workshop: Some(x.enterprise("0001")),
            },
            State::Maintenance,
        ),
        (
            "service",
            Action::CompleteMaintenance {
                report: Digest::ZERO,
            },
            State::Deployed,
        ),
        (
            "operator",
            Action::Retire {
                reason: "old".into(),
            },
            State::Retired,
        ),
        ("recycler", declare_end(), State::Retired),
        (
            "registrar",
            Action::ConfirmEndOfLife {
                certificate: sha256(&[b"certificate"]),
            },
            State::Scrapped,
        ),
    ];
    for (who, action, after) in story {
        let command = act(&x, 1, action);
        check(&mut x, who, command, "done");
        assert_eq!(state(&x, 1), after);
    }
}

#[test]
fn a_code_a_body_and_a_part_are_registered_once() {
    let mut x = market();
    let again = x.register(1);
    check(
        &mut x,
        "maker",
        again,
        "CodeExists: 86-0001-100002-00000000000000001",
    );
    let mut body = x.registration(2);
    body.body = x.registration(1).body;
    let taken = "BodyExists: the body is that of 86-0001-100002-00000000000000001";
    check(
        &mut x,
        "maker",
        Command::Register { registration: body },
        taken,
    );
    let mut part = x.registration(2);
    part.parts = x.registration(1).parts;
    let taken = "PartInUse: a battery is fitted in 86-0001-100002-00000000000000001";
    check(
        &mut x,
        "maker",
        Command::Register { registration: part },
        taken,
    );
}

#[test]
fn one_registration_does_not_name_an_identity_twice() {
    let mut x = market();
    let mut twice = x.registration(2);
    twice.identity_parts[1] = twice.identity_parts[0].clone();
    let refused = "PartInUse: a compute is named twice";
    check(
        &mut x,
        "maker",
        Command::Register {
            registration: twice,
        },
        refused,
    );
}

#[test]
fn who_may_register() {
    let mut x = market();
    let command = x.register(2);
    check(
        &mut x,
        "rival",
        command.clone(),
        "NotYours: 860001 is not of enterprise 860003",
    );
    check(
        &mut x,
        "service",
        command.clone(),
        "RoleNotAllowed: service-provider may not Register",
    );
    check(
        &mut x,
        "customs",
        command.clone(),
        "RoleNotAllowed: customs may not Register",
    );
    check(&mut x, "registrar", command, "done");
    let abroad = Country::unborn("49").register(3);
    check(
        &mut x,
        "registrar",
        abroad,
        "PrefixNotOurs: 49-0001-100002-00000000000000003 stands under 49",
    );
    let mut nobody = x.registration(3);
    nobody.code = Code::parse("86000910000200000000000000003").expect("a code");
    check(
        &mut x,
        "registrar",
        Command::Register {
            registration: nobody,
        },
        "EnterpriseUnknown: 860009",
    );
    let mut model = x.registration(3);
    model.code = Code::parse("86000110000900000000000000003").expect("a code");
    check(
        &mut x,
        "maker",
        Command::Register {
            registration: model,
        },
        "ModelUnknown: 860001100009",
    );
}

#[test]
fn an_enterprise_that_is_suspended_or_out_of_time_does_nothing() {
    let mut x = market();
    let status = |status| Command::SetEnterpriseStatus {
        id: Country::unborn("86").enterprise("0001"),
        status,
        reason: "audit".into(),
    };
    check(
        &mut x,
        "maker",
        status(EnterpriseStatus::Suspended),
        "RoleNotAllowed…",
    );
    check(
        &mut x,
        "registrar",
        status(EnterpriseStatus::Suspended),
        "done",
    );
    let second = x.register(2);
    check(
        &mut x,
        "maker",
        second.clone(),
        "ActorNotInStanding: enterprise 860001 is suspended, struck off or outside its accreditation",
    );
    let stock = act(&x, 1, samples::stock_at_dealer(&x));
    check(&mut x, "maker", stock.clone(), "ActorNotInStanding…");
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    x.must("registrar", stock.clone());
    x.must("registrar-2", stock);
    let sale = act(&x, 1, sell());
    check(
        &mut x,
        "dealer",
        sale,
        "EnterpriseNotActive: 860001 is Suspended",
    );
    check(
        &mut x,
        "registrar",
        status(EnterpriseStatus::Active),
        "done",
    );
    check(&mut x, "maker", second, "done");
    check(
        &mut x,
        "registrar",
        status(EnterpriseStatus::StruckOff),
        "done",
    );
    check(
        &mut x,
        "registrar",
        status(EnterpriseStatus::Active),
        "EnterpriseNotActive: 860001 is StruckOff",
    );
}

#[test]
fn production_has_a_period_and_an_approval() {
    let mut x = market();
    let mut early = x.approval("0001", "100003");
    if let Command::ApproveModel {
        production_from, ..
    } = &mut early
    {
        *production_from = x.clock;
    }
    x.must("registrar", early);
    let mut first = x.registration(3);
    first.code = Code::parse("86000110000300000000000000003").expect("a code");
    first.manufactured = TimeMs(5);
    check(
        &mut x,
        "maker",
        Command::Register {
            registration: first.clone(),
        },
        "OutsideProduction: 860001100003 is produced from …",
    );
    first.manufactured = x.clock;
    check(
        &mut x,
        "maker",
        Command::Register {
            registration: first,
        },
        "done",
    );
    let suspend = |status| Command::SetModelStatus {
        id: Country::unborn("86").model("0001", "100002"),
        status,
        reason: "test".into(),
    };
    check(
        &mut x,
        "regulator",
        suspend(ApprovalStatus::Withdrawn),
        "done",
    );
    let second = x.register(2);
    check(
        &mut x,
        "maker",
        second,
        "ModelNotApproved: 860001100002 is Withdrawn",
    );
    check(
        &mut x,
        "registrar",
        suspend(ApprovalStatus::Approved),
        "ModelNotApproved: 860001100002 is Withdrawn",
    );
    let again = x.approval("0001", "100002");
    check(&mut x, "registrar", again, "ModelExists: 860001100002");
}

#[test]
fn a_reserved_code_is_not_in_service_and_is_registered_once() {
    let mut x = market();
    let reserve = Command::Reserve { code: x.code(5) };
    check(&mut x, "maker", reserve.clone(), "done");
    check(
        &mut x,
        "maker",
        reserve,
        "CodeExists: 86-0001-100002-00000000000000005",
    );
    let Ok(robot) = x.ledger.robot(&x.code(5));
    let status = carnet_domain::record::event::robot_status(&robot.expect("reserved"));
    assert_eq!(status, carnet_domain::log::map::RobotStatus::Reserved);
    let stock = act(&x, 5, Action::Stock { at: None });
    check(
        &mut x,
        "maker",
        stock,
        "TransitionNotAllowed: Stock in state Reserved",
    );
    let register = x.register(5);
    check(&mut x, "maker", register, "done");
    let steps = x.ledger.history(&Subject::robot(&x.code(5)).key());
    assert_eq!(
        steps.len(),
        2,
        "one chain of leaves from the reservation on"
    );
}

#[test]
fn an_annulled_code_stays_burned_and_its_body_is_free() {
    let mut x = market();
    let annul = act(
        &x,
        1,
        Action::Annul {
            reason: "twice".into(),
        },
    );
    check(
        &mut x,
        "maker",
        annul.clone(),
        "RoleNotAllowed: manufacturer may not Annul",
    );
    check(&mut x, "registrar", annul, "done");
    let again = x.register(1);
    check(&mut x, "maker", again, "CodeExists…");
    let mut other = x.registration(1);
    other.code = x.code(2);
    check(
        &mut x,
        "maker",
        Command::Register {
            registration: other,
        },
        "done",
    );
}

#[test]
fn holds_block_what_their_table_says_and_only_their_setter_lifts_them() {
    let mut x = market();
    x.must("maker", act(&x, 1, samples::stock_at_dealer(&x)));
    let code = x.code(1);
    let reason = || "why".to_owned();
    let set = |kind| Command::SetHold {
        code,
        kind,
        reason: reason(),
    };
    let lift = |kind| Command::LiftHold {
        code,
        kind,
        reason: reason(),
    };
    check(&mut x, "registrar", set(HoldKind::SaleLock), "done");
    check(
        &mut x,
        "registrar",
        set(HoldKind::SaleLock),
        "HoldExists: SaleLock",
    );
    let sale = act(&x, 1, sell());
    check(
        &mut x,
        "dealer",
        sale.clone(),
        "Held: SaleLock set by registrar office registrar/hq at 86 on …",
    );
    check(
        &mut x,
        "customs",
        lift(HoldKind::SaleLock),
        "HoldUnknown: SaleLock",
    );
    check(
        &mut x,
        "dealer",
        set(HoldKind::Lost),
        "RoleNotAllowed: dealer may not SetHold",
    );
    check(
        &mut x,
        "regulator",
        set(HoldKind::EndOfLifePending),
        "TransitionNotAllowed: an end of life is declared by a recycler, not set as a hold",
    );
    check(&mut x, "registrar", lift(HoldKind::SaleLock), "done");
    check(&mut x, "dealer", sale, "done");
}

#[test]
fn an_optimistic_writer_is_told_that_the_record_moved() {
    let mut x = market();
    let at = |sequence| Command::Act {
        code: Country::unborn("86").code(1),
        expected_sequence: Some(sequence),
        action: Action::Stock { at: None },
    };
    check(
        &mut x,
        "maker",
        at(1),
        "SequenceMismatch: the record stands at sequence 0",
    );
    check(&mut x, "maker", at(0), "done");
    check(
        &mut x,
        "maker",
        at(0),
        "SequenceMismatch: the record stands at sequence 1",
    );
}

#[test]
fn an_end_of_life_takes_two_signers_and_may_be_withdrawn_before() {
    let mut x = market();
    let declare = act(&x, 1, declare_end());
    let confirm = act(
        &x,
        1,
        Action::ConfirmEndOfLife {
            certificate: sha256(&[b"certificate"]),
        },
    );
    let withdraw = act(
        &x,
        1,
        Action::WithdrawEndOfLife {
            reason: "error".into(),
        },
    );
    check(
        &mut x,
        "registrar",
        confirm.clone(),
        "NothingPending: no end of life is declared",
    );
    check(
        &mut x,
        "maker",
        declare.clone(),
        "RoleNotAllowed: manufacturer may not DeclareEndOfLife",
    );
    check(&mut x, "registrar", declare.clone(), "done");
    check(
        &mut x,
        "registrar",
        confirm.clone(),
        "SecondPartyRequired: the first step was taken by the same party",
    );
    let stock = act(&x, 1, Action::Stock { at: None });
    check(&mut x, "maker", stock, "Held: EndOfLifePending set by …");
    check(
        &mut x,
        "recycler",
        declare.clone(),
        "Held: EndOfLifePending set by …",
    );
    check(&mut x, "registrar", withdraw.clone(), "done");
    check(
        &mut x,
        "registrar",
        withdraw,
        "NothingPending: no end of life is declared",
    );
    check(&mut x, "recycler", declare, "done");
    check(
        &mut x,
        "recycler",
        confirm.clone(),
        "RoleNotAllowed: recycler may not ConfirmEndOfLife",
    );
    check(&mut x, "registrar", confirm, "done");
    assert_eq!(state(&x, 1), State::Scrapped);
}

#[test]
fn recycling_needs_a_retired_robot() {
    let mut x = market();
    let recycle = Action::DeclareEndOfLife {
        outcome: EndOfLife::Recycled,
        certificate: Digest::ZERO,
    };
    let command = act(&x, 1, recycle);
    check(
        &mut x,
        "recycler",
        command,
        "TransitionNotAllowed: Recycled from Manufactured",
    );
}

#[test]
fn parts_are_replaced_one_for_one_and_never_from_a_scrapped_robot() {
    let mut x = market();
    x.must("maker", x.register(2));
    let old = x.registration(1).parts[0].clone();
    let fitted = samples::battery("NEW");
    let replace = |removed, fitted: &PartName| {
        act(
            &Country::unborn("86"),
            1,
            Action::ReplacePart {
                removed,
                fitted: fitted.clone(),
            },
        )
    };
    check(
        &mut x,
        "service",
        replace(fitted.identity(), &fitted),
        "PartNotFitted: no such battery is fitted",
    );
    let taken = x.registration(2).parts[0].clone();
    check(
        &mut x,
        "service",
        replace(old.identity(), &taken),
        "PartInUse: a battery is fitted in 86-0001-100002-00000000000000002",
    );
    check(&mut x, "service", replace(old.identity(), &fitted), "done");
    check(
        &mut x,
        "service",
        replace(old.identity(), &fitted),
        "PartInUse: a battery is fitted in 86-0001-100002-00000000000000001",
    );
    // The old battery is free, so is that of a scrapped robot; its torso is not.
    let code = x.code(2);
    let torso = x.registration(2).identity_parts[1].clone();
    scrap(&mut x, code);
    let own = x.registration(1).identity_parts[1].identity();
    check(
        &mut x,
        "service",
        replace(own, &torso),
        "IdentityEnded: part: 86-0001-100002-00000000000000002 was Scrapped at 86 on …",
    );
    check(&mut x, "service", replace(fitted.identity(), &old), "done");
    check(&mut x, "service", replace(old.identity(), &taken), "done");
}

#[test]
fn a_recall_binds_at_its_commit_until_it_is_remedied_or_withdrawn() {
    let mut x = market();
    x.must("maker", x.register(2));
    for serial in [1, 2] {
        x.must("maker", act(&x, serial, samples::stock_at_dealer(&x)));
    }
    let recall = samples::recall(&x, "R-1", Severity::Remedy);
    check(
        &mut x,
        "rival",
        recall.clone(),
        "NotYours: 860001 is not of enterprise 860003",
    );
    check(&mut x, "maker", recall.clone(), "done");
    check(&mut x, "maker", recall, "RecallExists: recall 86/R-1");
    let sale = |serial| act(&Country::unborn("86"), serial, sell());
    check(
        &mut x,
        "dealer",
        sale(1),
        "RecallOpen: recall 86/R-1 (Remedy)",
    );
    let export = x.declare(1, carnet_kit::transfer(1), &crate::border::prefix("49"));
    check(
        &mut x,
        "customs",
        export,
        "RecallOpen: recall 86/R-1 (Remedy)",
    );
    let recall = samples::recall_id(&x, "R-1");
    let remedy = |serial| Command::RemedyRecall {
        code: Country::unborn("86").code(serial),
        recall: recall.clone(),
        report: Digest::ZERO,
    };
    check(&mut x, "service", remedy(1), "done");
    check(&mut x, "service", remedy(1), "RecallUnknown: recall 86/R-1");
    check(&mut x, "dealer", sale(1), "done");
    check(&mut x, "dealer", sale(2), "RecallOpen…");
    let withdraw = Command::WithdrawRecall {
        recall: samples::recall_id(&x, "R-1"),
        reason: "no defect".into(),
    };
    check(&mut x, "maker", withdraw.clone(), "done");
    check(&mut x, "maker", withdraw, "RecallUnknown: recall 86/R-1");
    check(&mut x, "dealer", sale(2), "done");
}

#[test]
fn a_recall_once_matched_is_owed_after_the_attribute_changes() {
    let mut x = market();
    x.must("maker", act(&x, 1, samples::stock_at_dealer(&x)));
    let mut recall = samples::recall(&x, "R-1", Severity::StopUse);
    if let Command::OpenRecall { notice, .. } = &mut recall {
        notice.predicate.part_lot = "L1".into();
    }
    x.must("maker", recall);
    let replace = Action::ReplacePart {
        removed: x.registration(1).parts[0].identity(),
        fitted: samples::battery("NEW"),
    };
    x.must("service", act(&x, 1, replace));
    let sale = act(&x, 1, sell());
    let open = "RecallOpen: recall 86/R-1 (StopUse)";
    check(&mut x, "dealer", sale.clone(), open);
    x.must(
        "maker",
        Command::WithdrawRecall {
            recall: samples::recall_id(&x, "R-1"),
            reason: "no defect".into(),
        },
    );
    check(&mut x, "dealer", sale, "done");
}

#[test]
fn a_recall_names_approved_models_of_its_maker() {
    let mut x = market();
    let mut empty = samples::recall(&x, "R-1", Severity::Advisory);
    if let Command::OpenRecall { models, .. } = &mut empty {
        models.clear();
    }
    check(&mut x, "registrar", empty, "PredicateEmpty: recall 86/R-1");
    let abroad = samples::recall(&Country::unborn("49"), "R-1", Severity::Advisory);
    check(&mut x, "registrar", abroad, "PrefixNotOurs: 49");
    let mut theirs = samples::recall(&x, "R-1", Severity::Advisory);
    if let Command::OpenRecall { models, .. } = &mut theirs {
        *models = vec![Country::unborn("49").model("0001", "100002")];
    }
    check(
        &mut x,
        "registrar",
        theirs,
        "PrefixNotOurs: 490001100002 stands under 49",
    );
}

#[test]
fn offices_are_added_by_an_admin_and_enterprises_by_a_registrar() {
    let mut x = market();
    let office = x.enrolment("new", x.office("customs"), Role::Customs, "new");
    let here = Country::unborn("86");
    let of_enterprise = |role| {
        let id = here.enterprise("0001");
        here.enrolment("new", Holder::Enterprise { id }, role, "new")
    };
    check(
        &mut x,
        "registrar",
        office.clone(),
        "RoleNotAllowed: registrar may not AddOfficeSigner",
    );
    check(
        &mut x,
        "admin",
        of_enterprise(Role::Dealer),
        "RoleNotAllowed: admin may not AddEnterpriseSigner",
    );
    check(
        &mut x,
        "registrar",
        of_enterprise(Role::Customs),
        "RoleNotAllowed…",
    );
    check(&mut x, "admin", office.clone(), "done");
    check(&mut x, "admin-2", office.clone(), "done");
    check(&mut x, "admin", office, "SignerExists…");
    let retire = Command::RetireSigner {
        public: x.key("maker").public(),
        compromised_after: Some(3),
        reason: "stolen".into(),
    };
    check(&mut x, "registrar", retire.clone(), "done");
    // It signs no more from now on; that what it signed falls takes another one.
    check(&mut x, "registrar", retire, "SecondPartyRequired: …");
    let register = x.register(2);
    check(&mut x, "maker", register.clone(), "SignerNotActive…");
    // Whose key is not enrolled opens no session, and has no use for another's.
    let opening = x.opening("nobody", [7; 16]);
    let said = text(&x.apply(opening).items[0]);
    assert!(said.starts_with("SignerUnknown: "), "{said}");
    let commands = [register];
    let mut header = x.header("nobody", &commands);
    (header.session, header.sequence) = (x.session("registrar"), 900);
    let request = x.part("nobody", &header, &commands, 0, 1);
    let said = text(&x.ask(request).items[0]);
    assert!(said.starts_with("SignerUnknown: "), "{said}");
}

/// Everything that was applied, applied again to an empty ledger.
pub(crate) fn replay(entries: &[Entry]) -> MemoryLedger {
    let mut ledger = MemoryLedger::new();
    for entry in entries {
        // Through its bytes, as a log keeps it.
        let entry = Entry::from_bytes(&entry.to_bytes()).expect("an entry has one form");
        let Ok(_) = machine::apply(&mut ledger, &entry);
    }
    ledger
}

#[test]
fn the_same_entries_give_the_same_bytes() {
    let (mut a, mut b) = crate::border::two();
    crate::border::export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    scrap(&mut b, code);
    b.deliver(&mut a);
    for country in [a, b] {
        let again = replay(&country.entries);
        assert!(again == country.ledger);
        assert_eq!(again.digest(), country.ledger.digest());
    }
}

/// The kinds of the leaves of a robot, in order.
fn kinds(country: &Country, serial: u32) -> Vec<Kind> {
    let history = country
        .ledger
        .history(&Subject::robot(&country.code(serial)).key());
    let leaf = |index: &u64| {
        let Ok(record) = country.ledger.leaf(*index);
        Leaf::from_bytes(&record.expect("a leaf").leaf.0)
            .expect("a leaf")
            .kind
    };
    history.iter().map(leaf).collect()
}

#[test]
fn nothing_follows_scrapped() {
    let mut x = market();
    let code = x.code(1);
    scrap(&mut x, code);
    let before = kinds(&x, 1);
    for command in samples::commands(&x) {
        for who in [
            "registrar",
            "maker",
            "customs",
            "regulator",
            "service",
            "recycler",
            "owner",
        ] {
            x.command(who, command.clone());
        }
    }
    let correct = |action: &Action| matches!(action, Action::Correct { .. });
    for action in samples::actions()
        .into_iter()
        .filter(|action| !correct(action))
    {
        for who in [
            "registrar",
            "maker",
            "service",
            "recycler",
            "owner",
            "dealer",
        ] {
            let command = act(&x, 1, action.clone());
            assert!(matches!(
                x.command(who, command),
                ItemAnswer::Refused { .. }
            ));
        }
    }
    assert_eq!(kinds(&x, 1), before);
    assert_eq!(state(&x, 1), State::Scrapped);
}

/// An actor and a command about one of three robots; most make little sense.
fn step() -> impl Strategy<Value = (&'static str, usize, u32, bool)> {
    let who = prop::sample::select(vec![
        "registrar",
        "admin",
        "customs",
        "regulator",
        "maker",
        "rival",
        "dealer",
        "service",
        "recycler",
        "operator",
        "owner",
        "buyer",
    ]);
    let count = samples::actions().len() + samples::commands(&Country::unborn("86")).len();
    (who, 0..count, 1..=3u32, any::<bool>())
}

fn command_of(country: &Country, which: usize, serial: u32) -> Command {
    let actions = samples::actions();
    match actions.get(which) {
        Some(action) => act(country, serial, action.clone()),
        None => {
            let mut command = samples::commands(country).swap_remove(which - actions.len());
            match &mut command {
                Command::Register { registration } => *registration = country.registration(serial),
                Command::Reserve { code }
                | Command::SetHold { code, .. }
                | Command::LiftHold { code, .. }
                | Command::RemedyRecall { code, .. }
                | Command::DeclareExport { code, .. } => *code = country.code(serial),
                _ => {}
            }
            command
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is asked in whatever order: no panic, and after an end of life no leaf but a correction.
    #[test]
    fn after_an_end_of_life_only_corrections(steps in prop::collection::vec(step(), 1..60)) {
        let mut x = market();
        let mut ended = [false; 4];
        for (who, which, serial, seal) in steps {
            let count = kinds(&x, serial).len();
            let command = command_of(&x, which, serial);
            let correction = matches!(&command, Command::Act { action: Action::Correct { .. }, .. });
            x.command(who, command);
            if seal {
                x.close();
            }
            let at = serial as usize;
            prop_assert!(!ended[at] || correction || kinds(&x, serial).len() == count);
            let Ok(robot) = x.ledger.robot(&x.code(serial));
            let over = robot.is_some_and(|robot| robot.state.is_end_of_life());
            prop_assert!(over || !ended[at], "an end of life is final");
            ended[at] = over;
        }
        prop_assert_eq!(replay(&x.entries).digest(), x.ledger.digest());
    }
}

/// Six spellings of a serial were six robots: a spelling is now one, and every other is no value.
#[test]
fn an_identity_has_one_spelling() {
    let mut x = market();
    let good = x.registration(2);
    let spelt = |serial: &str| {
        let mut registration = good.clone();
        registration.body.serial = serial.into();
        Command::Register { registration }
    };
    let long = "A".repeat(IDENTIFIER_BYTES_MAX + 1);
    for other in [
        "",
        "s2",
        " S2",
        "S2 ",
        "S--2",
        "-S2",
        "S2-",
        "S\u{2010}2",
        "\u{ff33}2",
        "S_2",
        "S.2",
        &long,
    ] {
        check(&mut x, "maker", spelt(other), "Malformed");
    }
    for (country, identifier) in [
        ("cn", "A"),
        ("CHN", "A"),
        ("X1", "A"),
        ("XX", "A"),
        ("CN", "a"),
        ("CN", "A B"),
    ] {
        let mut registration = good.clone();
        registration.parts[0].maker.country = country.into();
        registration.parts[0].maker.identifier = identifier.into();
        check(
            &mut x,
            "maker",
            Command::Register { registration },
            "Malformed",
        );
    }
    let longest = spelt(&long[1..]).to_bytes();
    assert!(Command::from_bytes(&longest).is_ok(), "the longest");
    check(&mut x, "maker", spelt("S-2"), "done");
    // The digest is the domain's own: nobody names the hash of another spelling.
    let Ok(robot) = x.ledger.robot(&x.code(2));
    let body = robot.map(|robot| robot.identity.body);
    let maker = good.body.maker.clone();
    assert_eq!(body, Some(part_identity(PartType::Body, &maker, "S-2")));
}

/// Holder of record: the maker, who puts it in stock, who buys it. A person stands behind the desk that sold.
#[test]
fn a_robot_has_a_holder_of_record_and_a_person_has_a_desk() {
    let mut x = market();
    let dealer = |x: &Country| match x.ledger.signer(&x.key("dealer").public().key_id()) {
        Ok(Some(signer)) => signer.holder,
        Ok(None) => panic!("the dealer signs"),
    };
    let Holder::Enterprise { id } = dealer(&x) else {
        panic!("a dealer is an enterprise");
    };
    let held = |x: &Country| {
        let Ok(robot) = x.ledger.robot(&x.code(1));
        let robot = robot.expect("registered");
        (robot.owner, robot.holder)
    };
    let maker = x.code(1).enterprise_id();
    assert_eq!(held(&x), (None, Some(Party::Enterprise { id: maker })));
    x.must("maker", act(&x, 1, samples::stock_at_dealer(&x)));
    assert_eq!(held(&x), (None, Some(Party::Enterprise { id })));
    x.must("dealer", act(&x, 1, sell()));
    let buyer = Some(Party::Person {
        commitment: sha256(&[b"owner"]),
        desk: Desk::Enterprise { id },
        since: x.registry().log_time,
    });
    assert_eq!(held(&x), (buyer.clone(), buyer));
    // What slot 6 says is read back the same, by a country that it is shown to.
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let stored = robot.expect("sold").to_bytes();
    assert!(carnet_domain::record::Robot::from_bytes(&stored).is_ok());
}

/// A registrar reinstated what the regulator had suspended.
#[test]
fn what_the_regulator_suspended_the_regulator_reinstates() {
    let mut x = market();
    let set = |status| Command::SetModelStatus {
        id: Country::unborn("86").model("0001", "100002"),
        status,
        reason: "falls over".into(),
    };
    let (suspended, approved) = (ApprovalStatus::Suspended, ApprovalStatus::Approved);
    check(&mut x, "registrar", set(suspended), "done");
    check(&mut x, "registrar", set(approved), "done");
    check(&mut x, "regulator", set(suspended), "done");
    // Suspended again by another, it is still the regulator's.
    check(&mut x, "registrar", set(suspended), "NothingChanges: …");
    check(&mut x, "registrar", set(approved), "NotYours: …");
    check(&mut x, "regulator", set(approved), "done");
    check(&mut x, "registrar", set(suspended), "done");
    check(&mut x, "regulator", set(approved), "done");
}
