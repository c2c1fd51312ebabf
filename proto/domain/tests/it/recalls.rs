//! Recalls: which robots they match, who ends them, and what a robot owes when its attributes change.

use carnet_domain::bytes::code::Serial;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{
    MODELS_OF_RECALL_MAX, RECALLS_A_DAY_MAX, RECALLS_OF_MODEL_BY_PARTIES_MAX,
    RECALLS_OVER_MODELS_BY_PARTIES_MAX, RECALLS_OVER_MODELS_MAX,
};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{EnterpriseStatus, Firmware, Predicate, RecallNotice, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind};
use carnet_kit::{Country, samples, text};

use crate::border::{export, two};
use crate::rules::{act, check, market};

fn open(x: &Country, number: &str, predicate: Predicate) -> Command {
    Command::OpenRecall {
        notice: RecallNotice {
            id: samples::recall_id(x, number),
            severity: Severity::StopUse,
            predicate,
        },
        models: vec![x.model("0001", "100002")],
        remedy: "replace it".into(),
    }
}

fn withdraw(x: &Country, number: &str) -> Command {
    Command::WithdrawRecall {
        recall: samples::recall_id(x, number),
        reason: "no defect".into(),
    }
}

fn sale(x: &Country, serial: u32) -> Command {
    let owner = sha256(&[b"owner"]).into();
    act(x, serial, Action::Sell { owner })
}

/// Robots 1 and 2 in stock.
fn stocked() -> Country {
    let mut x = market();
    x.must("maker", x.register(2));
    for serial in [1, 2] {
        let stock = act(&x, serial, samples::stock_at_dealer(&x));
        x.must("maker", stock);
    }
    x
}

#[test]
fn who_issued_a_recall_withdraws_it() {
    let mut x = market();
    let all = Predicate::all;
    x.must("regulator", open(&x, "ORDER", all()));
    x.must("registrar", open(&x, "OFFICE", all()));
    x.must("maker", open(&x, "MAKER", all()));
    for number in ["ORDER", "OFFICE"] {
        let command = withdraw(&x, number);
        let expected = format!("NotYours: recall 86/{number} was opened by office …");
        for who in ["maker", "importer", "registrar"] {
            check(&mut x, who, command.clone(), &expected);
        }
        check(&mut x, "regulator", command, "done");
    }
    let command = withdraw(&x, "MAKER");
    let expected = "NotYours: recall 86/MAKER was opened by enterprise 860001";
    for who in ["registrar", "regulator"] {
        check(&mut x, who, command.clone(), expected);
    }
    check(&mut x, "rival", command.clone(), "NotYours…");
    check(&mut x, "maker", command, "done");
}

#[test]
fn a_serial_bound_is_a_whole_serial() {
    let serial = |text: &str| Serial::parse(text).ok();
    let padded = serial("00000000000108100");
    assert!(
        padded.is_some() && serial("108100").is_none(),
        "filled at the edge"
    );
    let within = Predicate {
        serial_from: padded,
        serial_to: serial("00000000000108200"),
        ..Predicate::all()
    };
    let x = Country::unborn("86");
    let of = |number| within.matches_but_for_parts(&x.code(number), 1, TimeMs(0));
    assert!(of(108_100) && of(108_150) && of(108_200));
    assert!(!of(108_099) && !of(108_201) && !of(1_081_000), "by number");
    // What is shorter never becomes a value: it would match nothing, in silence.
    let mut bytes = carnet_domain::bytes::encoding::Encoder::new();
    bytes.text("108100");
    assert!(Option::<Serial>::from_bytes(&bytes.finish()).is_err());
}

#[test]
fn a_recall_of_serials_stops_those_robots() {
    let mut x = stocked();
    let one = Predicate {
        serial_from: Some(x.code(1).serial()),
        serial_to: Some(x.code(1).serial()),
        ..Predicate::all()
    };
    x.must("maker", open(&x, "R-1", one));
    let (first, second) = (sale(&x, 1), sale(&x, 2));
    check(
        &mut x,
        "dealer",
        first,
        "RecallOpen: recall 86/R-1 (StopUse)",
    );
    check(&mut x, "dealer", second, "done");
}

#[test]
fn a_range_that_ends_before_it_begins_is_refused() {
    let mut x = market();
    let all = Predicate::all;
    let inverted = [
        (
            "serials",
            Predicate {
                serial_from: Some(x.code(2).serial()),
                serial_to: Some(x.code(1).serial()),
                ..all()
            },
        ),
        (
            "builds",
            Predicate {
                build_from: 2,
                build_to: 1,
                ..all()
            },
        ),
        (
            "manufacture dates",
            Predicate {
                made_from: TimeMs(2),
                made_to: TimeMs(1),
                ..all()
            },
        ),
    ];
    for (what, predicate) in inverted {
        let command = open(&x, "R-1", predicate);
        check(
            &mut x,
            "maker",
            command,
            &format!("RangeInverted: the {what}"),
        );
    }
    let one = Predicate {
        build_from: 1,
        build_to: 1,
        ..all()
    };
    let command = open(&x, "R-1", one);
    check(&mut x, "maker", command, "done");
}

#[test]
fn a_lot_is_looked_for_among_all_parts_and_has_one_form() {
    for list in ["identity", "other"] {
        let mut x = Country::with_market("86");
        let mut registration = x.registration(1);
        match list {
            "identity" => registration.identity_parts[0].lot = "BAD-LOT".into(),
            _ => registration.parts[0].lot = "BAD-LOT".into(),
        }
        x.must("maker", Command::Register { registration });
        let stock = act(&x, 1, samples::stock_at_dealer(&x));
        x.must("maker", stock);
        let lot = |lot: &str| Predicate {
            part_lot: lot.into(),
            ..Predicate::all()
        };
        for spelt in [
            "bad-lot",
            "BAD LOT",
            "BAD--LOT",
            " BAD-LOT",
            "BAD\u{2010}LOT",
        ] {
            let command = open(&x, "R-1", lot(spelt));
            check(&mut x, "maker", command, "Malformed");
        }
        x.must("maker", open(&x, "R-1", lot("BAD-LOT")));
        let sale = sale(&x, 1);
        check(
            &mut x,
            "dealer",
            sale,
            "RecallOpen: recall 86/R-1 (StopUse)",
        );
    }
}

/// What a robot was told to owe of recalls that are not known here yet outlives a change of its firmware.
#[test]
fn owed_recalls_that_are_unknown_here_stay_owed() {
    let (mut a, mut b) = two();
    // 86 opens a recall of the old firmware; the robot owes it when it gets the new one.
    let old = Predicate {
        build_to: 10,
        ..Predicate::all()
    };
    let advisory = Command::OpenRecall {
        notice: RecallNotice {
            id: samples::recall_id(&a, "R-1"),
            severity: Severity::Advisory,
            predicate: old,
        },
        models: vec![a.model("0001", "100002")],
        remedy: "look".into(),
    };
    a.must("maker", advisory);
    let update = |build| Action::UpdateSoftware {
        firmware: Firmware {
            family: "fw".into(),
            build,
        },
    };
    let newer = act(&a, 1, update(11));
    a.must("maker", newer);
    let code = a.code(1);
    let owed = |x: &Country| {
        let Ok(robot) = x.ledger.robot(&code);
        robot.expect("a robot").owed
    };
    assert_eq!(owed(&a), [samples::recall_id(&a, "R-1")]);
    export(&mut a, &mut b, 1, 1);
    // A country that has not heard of it: its record is taken away.
    let Ok(()) = b.ledger.put_recall(unknown(&a));
    assert_eq!(owed(&b), owed(&a));
    let newest = Command::Act {
        code,
        expected_sequence: None,
        action: update(12),
    };
    check(&mut b, "service", newest.clone(), "done");
    assert_eq!(owed(&b), owed(&a), "not known here, or waiting here");
    // What is known to have ended is owed no more.
    a.must("maker", withdraw(&a, "R-1"));
    assert_eq!(
        a.deliver(&mut b).iter().map(text).collect::<Vec<_>>(),
        ["done"]
    );
    check(&mut b, "service", newest, "done");
    assert_eq!(owed(&b), []);
}

/// A recall as it stands while it waits for the regulator here.
fn unknown(a: &Country) -> carnet_domain::record::Recall {
    let Ok(recall) = a.ledger.recall(&samples::recall_id(a, "R-1"));
    carnet_domain::record::Recall {
        status: carnet_domain::record::RecallStatus::Proposed,
        head: None,
        ..recall.expect("opened")
    }
}

#[test]
fn a_remedy_is_of_a_recall_that_is_owed() {
    let mut x = stocked();
    let remedy = Command::RemedyRecall {
        code: x.code(1),
        recall: samples::recall_id(&x, "R-1"),
        report: Digest::ZERO,
    };
    check(
        &mut x,
        "service",
        remedy.clone(),
        "RecallUnknown: recall 86/R-1",
    );
    x.must("regulator", open(&x, "R-1", Predicate::all()));
    check(&mut x, "service", remedy, "done");
}

#[test]
fn a_remedy_asks_the_table_of_holds_like_every_action() {
    for kind in [HoldKind::EvidenceFreeze, HoldKind::EndOfLifePending] {
        let mut x = stocked();
        x.must("regulator", open(&x, "R-1", Predicate::all()));
        let remedy = Command::RemedyRecall {
            code: x.code(1),
            recall: samples::recall_id(&x, "R-1"),
            report: Digest::ZERO,
        };
        if kind == HoldKind::EvidenceFreeze {
            x.must(
                "regulator",
                Command::SetHold {
                    code: x.code(1),
                    kind,
                    reason: "court".into(),
                },
            );
        } else {
            let declare = Action::DeclareEndOfLife {
                outcome: EndOfLife::Scrapped,
                certificate: Digest::ZERO,
            };
            let declare = act(&x, 1, declare);
            x.must("recycler", declare);
        }
        let expected = format!("Held: {} …", kind.name());
        check(&mut x, "service", remedy, &expected);
    }
}

#[test]
fn the_regulator_ends_the_recall_of_an_enterprise_that_acts_no_more() {
    let mut x = market();
    x.must("maker", open(&x, "R-1", Predicate::all()));
    let command = withdraw(&x, "R-1");
    check(&mut x, "regulator", command.clone(), "NotYours…");
    x.must(
        "registrar",
        Command::SetEnterpriseStatus {
            id: x.enterprise("0001"),
            status: EnterpriseStatus::StruckOff,
            reason: "fraud".into(),
        },
    );
    check(&mut x, "registrar", command.clone(), "NotYours…");
    check(&mut x, "regulator", command, "done");
}

/// Opened and withdrawn again, thousands of them filled what every verifier carries.
#[test]
fn an_enterprise_opens_so_many_recalls_a_day() {
    let mut x = market();
    let Ok(enterprise) = x.ledger.enterprise(&x.enterprise("0001"));
    let mut enterprise = enterprise.expect("accredited");
    for _ in 1..RECALLS_A_DAY_MAX {
        enterprise.recalled = enterprise.recalled.and(x.clock);
    }
    let Ok(()) = x.ledger.put_enterprise(enterprise);
    x.must("maker", open(&x, "R-1", Predicate::all()));
    x.must("maker", withdraw(&x, "R-1"));
    let one_more = open(&x, "R-2", Predicate::all());
    let full = format!("DailyLimit: {RECALLS_A_DAY_MAX} recalls opened");
    check(&mut x, "maker", one_more.clone(), &full);
    // The regulator is not kept from it, and tomorrow the maker is not.
    let order = open(&x, "R-3", Predicate::all());
    check(&mut x, "regulator", order, "done");
    x.advance(DurationMs::from_days(1));
    check(&mut x, "maker", one_more, "done");
}

/// One maker's hundred recalls over hundreds of models made every further one cost seconds on every replica.
#[test]
fn recalls_are_counted_over_all_the_models_of_one() {
    let mut x = market();
    let more: Vec<Command> = (0..MODELS_OF_RECALL_MAX - 1)
        .map(|number| x.approval("0001", &format!("{:06}", 200_000 + number)))
        .collect();
    let request = x.request("registrar", &more);
    x.ask(request);
    let Ok(models) = x.ledger.models_of(&x.enterprise("0001"));
    let models: Vec<_> = models.into_iter().map(|model| model.id).collect();
    assert_eq!(models.len(), MODELS_OF_RECALL_MAX);
    let over = |x: &Country, number: usize| {
        let mut command = open(x, &format!("R-{number}"), Predicate::all());
        if let Command::OpenRecall { models: all, .. } = &mut command {
            all.clone_from(&models);
        }
        command
    };
    let by_parties = RECALLS_OVER_MODELS_BY_PARTIES_MAX / MODELS_OF_RECALL_MAX;
    for number in 0..by_parties {
        let command = over(&x, number);
        x.must("maker", command);
    }
    let command = over(&x, by_parties);
    let full = format!("RecordFull: {RECALLS_OVER_MODELS_BY_PARTIES_MAX} recalls over models");
    check(&mut x, "maker", command, &full);
    let of_one = open(&x, "ONE", Predicate::all());
    check(&mut x, "maker", of_one, "done");
    // What an enterprise has used up, the regulator has not.
    let command = over(&x, by_parties + 1);
    check(&mut x, "regulator", command, "done");
    for number in by_parties + 2..RECALLS_OVER_MODELS_MAX / MODELS_OF_RECALL_MAX {
        let command = over(&x, number);
        x.must("regulator", command);
    }
    let command = over(&x, 99);
    let full = format!("RecordFull: {RECALLS_OVER_MODELS_MAX} recalls over models");
    check(&mut x, "regulator", command, &full);
}

/// The amendment of a recall to these models and this predicate, to be remedied before the next transfer.
fn amended(x: &Country, number: &str, models: &[&str], predicate: Predicate) -> Command {
    let mut command = samples::amendment(x, number, predicate);
    if let Command::AmendRecall { models: named, .. } = &mut command {
        *named = models.iter().map(|one| x.model("0001", one)).collect();
    }
    command
}

fn serials(x: &Country, from: u32, to: u32) -> Predicate {
    Predicate {
        serial_from: Some(x.code(from).serial()),
        serial_to: Some(x.code(to).serial()),
        ..Predicate::all()
    }
}

/// Serials of the robots that cannot be sold.
fn stopped(x: &Country) -> Vec<u32> {
    let stops = |serial: &u32| text(&x.clone().command("dealer", sale(x, *serial))) != "done";
    [1, 2].into_iter().filter(stops).collect()
}

#[test]
fn a_recall_binds_as_it_was_amended_last() {
    let mut x = stocked();
    x.must("registrar", x.approval("0001", "100003"));
    x.must("maker", open(&x, "R-1", serials(&x, 1, 1)));
    assert_eq!(stopped(&x), [1]);
    for (from, to, expected) in [(1, 2, &[1, 2][..]), (2, 2, &[2]), (1, 1, &[1]), (3, 9, &[])] {
        let command = amended(&x, "R-1", &["100002"], serials(&x, from, to));
        check(&mut x, "maker", command, "done");
        assert_eq!(stopped(&x), expected);
    }
    // Other models: what it names no more is free, and what it names again is not.
    for (models, expected) in [
        (&["100002"][..], &[1, 2][..]),
        (&["100003"], &[]),
        (&["100003", "100002"], &[1, 2]),
    ] {
        let command = amended(&x, "R-1", models, Predicate::all());
        check(&mut x, "maker", command, "done");
        assert_eq!(stopped(&x), expected, "{models:?}");
        for model in ["100002", "100003"] {
            let Ok(found) = x.ledger.recalls_of(&x.model("0001", model));
            assert_eq!(found.len(), usize::from(models.contains(&model)));
        }
    }
    // Less grave, it is for information.
    let mut command = amended(&x, "R-1", &["100002"], Predicate::all());
    if let Command::AmendRecall { notice, .. } = &mut command {
        notice.severity = Severity::Advisory;
    }
    check(&mut x, "maker", command, "done");
    assert_eq!(stopped(&x), [0_u32; 0]);
}

/// A recall that names the model of a robot no more is owed no more from the next change of the robot on, and one that the regulator
/// declined.
#[test]
fn what_binds_a_robot_no_more_is_owed_no_more() {
    let mut x = crate::rules::market();
    let approval = x.approval("0001", "100003");
    x.must("registrar", approval);
    let notice = RecallNotice {
        id: samples::recall_id(&x, "R-1"),
        severity: Severity::Advisory,
        predicate: Predicate::all(),
    };
    let models = |names: &[&str]| names.iter().map(|name| x.model("0001", name)).collect();
    let (both, other) = (models(&["100002", "100003"]), models(&["100003"]));
    let (open, amend) = (
        Command::OpenRecall {
            notice: notice.clone(),
            models: both,
            remedy: "r".into(),
        },
        Command::AmendRecall {
            notice: notice.clone(),
            models: other,
            remedy: "r".into(),
            reason: "not that model".into(),
        },
    );
    let updated = |build| Action::UpdateSoftware {
        firmware: Firmware {
            family: "fw".into(),
            build,
        },
    };
    let owed = |x: &Country| {
        let Ok(robot) = x.ledger.robot(&x.code(1));
        robot.expect("a robot").owed
    };
    x.must("maker", open);
    x.must("maker", act(&x, 1, updated(17)));
    assert_eq!(owed(&x), std::slice::from_ref(&notice.id));
    x.must("maker", amend);
    let mut stocked = x.clone();
    x.must("maker", act(&x, 1, updated(18)));
    assert_eq!(owed(&x), []);
    // Whatever is done of it.
    let stock = act(&stocked, 1, Action::Stock { at: None });
    stocked.must("maker", stock);
    assert_eq!(owed(&stocked), []);
}

/// A robot that changed since it was matched owes while its model is named; and what was remedied is not owed again.
#[test]
fn what_was_remedied_stays_remedied_and_what_was_owed_stays_owed() {
    let mut x = stocked();
    let old = Predicate {
        build_to: 10,
        ..Predicate::all()
    };
    x.must("maker", open(&x, "R-1", old.clone()));
    let update = Action::UpdateSoftware {
        firmware: Firmware {
            family: "fw".into(),
            build: 11,
        },
    };
    x.must("maker", act(&x, 1, update));
    let Ok(robot) = x.ledger.robot(&x.code(1));
    assert_eq!(robot.map(|robot| robot.firmware.build), Some(11));
    let remedy = Command::RemedyRecall {
        code: x.code(2),
        recall: samples::recall_id(&x, "R-1"),
        report: Digest::ZERO,
    };
    x.must("service", remedy);
    assert_eq!(stopped(&x), [1]);
    let older = Predicate {
        build_to: 9,
        ..Predicate::all()
    };
    for predicate in [older, old, Predicate::all()] {
        x.must("maker", amended(&x, "R-1", &["100002"], predicate));
        assert_eq!(stopped(&x), [1]);
    }
    x.must("registrar", x.approval("0001", "100003"));
    x.must("maker", amended(&x, "R-1", &["100003"], Predicate::all()));
    assert_eq!(stopped(&x), [0_u32; 0], "its model is named no more");
}

#[test]
fn who_issued_a_recall_amends_it() {
    let mut x = market();
    let all = Predicate::all;
    x.must("regulator", open(&x, "ORDER", all()));
    x.must("registrar", open(&x, "OFFICE", all()));
    x.must("maker", open(&x, "MAKER", all()));
    let amend = |x: &Country, number: &str| samples::amendment(x, number, all());
    for number in ["ORDER", "OFFICE"] {
        let command = amend(&x, number);
        let expected = format!("NotYours: recall 86/{number} was opened by office …");
        for who in ["maker", "importer", "registrar"] {
            check(&mut x, who, command.clone(), &expected);
        }
        check(&mut x, "regulator", command, "done");
        let Ok(known) = x.ledger.recall(&samples::recall_id(&x, number));
        let by = known.expect("opened").by.to_string();
        assert!(
            by.starts_with("office "),
            "amended by another, it is still whose it was: {by}"
        );
    }
    let command = amend(&x, "MAKER");
    let expected = "NotYours: recall 86/MAKER was opened by enterprise 860001";
    for who in ["registrar", "regulator"] {
        check(&mut x, who, command.clone(), expected);
    }
    check(&mut x, "rival", command.clone(), "NotYours…");
    check(&mut x, "dealer", command.clone(), "RoleNotAllowed…");
    check(&mut x, "maker", command.clone(), "done");
    // To no models of others, whoever acts in the maker's place; and what ended is amended no more.
    x.must("registrar", x.approval("0003", "100009"));
    let mut over = command.clone();
    if let Command::AmendRecall { models, .. } = &mut over {
        models.push(x.model("0003", "100009"));
    }
    check(&mut x, "maker", over.clone(), "NotYours…");
    let strike = Command::SetEnterpriseStatus {
        id: x.enterprise("0001"),
        status: EnterpriseStatus::StruckOff,
        reason: "fraud".into(),
    };
    x.must("registrar", strike);
    check(&mut x, "registrar", command.clone(), "NotYours…");
    check(&mut x, "regulator", over, "NotYours…");
    check(&mut x, "regulator", command.clone(), "NothingChanges: …");
    let mut other = command.clone();
    if let Command::AmendRecall { remedy, .. } = &mut other {
        remedy.push('s');
    }
    check(&mut x, "regulator", other, "done");
    x.must("regulator", withdraw(&x, "MAKER"));
    check(
        &mut x,
        "regulator",
        command,
        "RecallUnknown: recall 86/MAKER",
    );
    let unknown = amend(&x, "NONE");
    check(
        &mut x,
        "regulator",
        unknown,
        "RecallUnknown: recall 86/NONE",
    );
}

#[test]
fn an_amendment_is_judged_like_a_recall() {
    let mut x = stocked();
    x.must("maker", open(&x, "R-1", Predicate::all()));
    let all = Predicate::all;
    let inverted = Predicate {
        build_from: 2,
        build_to: 1,
        ..all()
    };
    for (models, predicate, expected) in [
        (&[][..], all(), "PredicateEmpty: …"),
        (&["100002", "100002"], all(), "Malformed: …"),
        (&["100777"], all(), "ModelUnknown: …"),
        (&["100002"], inverted, "RangeInverted: the builds"),
    ] {
        let who = if models.is_empty() {
            "regulator"
        } else {
            "maker"
        };
        let number = if models.is_empty() { "R-2" } else { "R-1" };
        if models.is_empty() {
            x.must("regulator", open(&x, number, all()));
        }
        let command = amended(&x, number, models, predicate);
        check(&mut x, who, command, expected);
    }
    assert_eq!(stopped(&x), [1, 2], "as it was");
}

/// A recall counts once under a model, however often it is amended, and comes under no model that is full.
#[test]
fn an_amendment_takes_no_second_place() {
    let mut x = market();
    x.must("registrar", x.approval("0001", "100003"));
    for number in 0..RECALLS_OF_MODEL_BY_PARTIES_MAX {
        x.must("maker", open(&x, &format!("R-{number}"), Predicate::all()));
    }
    let again = amended(&x, "R-0", &["100002"], serials(&x, 1, 1));
    check(&mut x, "maker", again, "done");
    let away = amended(&x, "R-0", &["100003"], Predicate::all());
    check(&mut x, "maker", away, "done");
    x.must("maker", open(&x, "NEXT", Predicate::all()));
    let back = amended(&x, "R-0", &["100002", "100003"], Predicate::all());
    check(&mut x, "maker", back, "RecordFull: …");
}

/// One entry recalculates the models that a recall left with those that it came to.
#[test]
fn an_amendment_touches_no_more_models_than_a_recall_names() {
    let mut x = market();
    let more: Vec<Command> = (0..MODELS_OF_RECALL_MAX)
        .map(|number| x.approval("0001", &format!("{:06}", 200_000 + number)))
        .collect();
    let request = x.request("registrar", &more);
    x.ask(request);
    let names: Vec<String> = (0..MODELS_OF_RECALL_MAX)
        .map(|number| format!("{:06}", 200_000 + number))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    x.must("maker", open(&x, "R-1", Predicate::all()));
    let all = amended(&x, "R-1", &names, Predicate::all());
    let full = format!("RecordFull: {MODELS_OF_RECALL_MAX} models before and after the amendment");
    check(&mut x, "maker", all, &full);
    let most = amended(&x, "R-1", &names[1..], Predicate::all());
    check(&mut x, "maker", most, "done");
}

/// What an issuer says last is what its peers hold.
#[test]
fn peers_are_told_of_an_amendment() {
    let (mut a, mut b) = two();
    a.must("maker", open(&a, "R-1", serials(&a, 1, 1)));
    a.deliver(&mut b);
    let known = |x: &Country| {
        let Ok(recall) = x.ledger.recall(&samples::recall_id(&a, "R-1"));
        let recall = recall.expect("told");
        (recall.notice, recall.models, recall.remedy)
    };
    let before = known(&b);
    let mut later = a.clone();
    later.must("maker", amended(&a, "R-1", &["100002"], serials(&a, 2, 9)));
    let answers = later.deliver(&mut b);
    assert_eq!(answers.iter().map(text).collect::<Vec<_>>(), ["done"]);
    assert_ne!(known(&b), before);
    assert_eq!(known(&b), known(&later));
}
