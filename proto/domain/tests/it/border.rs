//! Custody between registries, over the whole path: signed command, entry, leaf, mailbox, proof, and back.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::leaf::Subject;
use carnet_domain::machine::entry::{Body, MailBatch};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Ends, Holder, RecallDecision, RecallStatus, Setter, Severity};
use carnet_domain::rules::command::{Action, Command, Condition};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_kit::samples::recall_id;
use carnet_kit::{Country, agreed, befriend, samples, text, transfer};

use crate::rules::{act, check, scrap};

/// Two countries that recognise each other, with robot 1 of `86` registered.
pub(crate) fn two() -> (Country, Country) {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    a.must("maker", a.register(1));
    (a, b)
}

pub(crate) fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

fn tomorrow(country: &Country) -> TimeMs {
    country.clock.saturating_add(DurationMs::from_days(1))
}

pub(crate) fn permit(country: &Country, number: u8, conditions: Vec<Condition>) -> Command {
    Command::PermitImport {
        transfer: transfer(number),
        depart_by: tomorrow(country),
        conditions,
    }
}

pub(crate) fn depart(number: u8) -> Command {
    Command::Depart {
        transfer: transfer(number),
        place: "port".into(),
    }
}

pub(crate) fn admit(number: u8) -> Command {
    Command::Admit {
        transfer: transfer(number),
        place: "harbour".into(),
        importer: sha256(&[b"importer of record"]).into(),
        documents: Vec::new(),
        countersignature: None,
    }
}

/// The answers to a delivery, joined.
pub(crate) fn mail(from: &mut Country, to: &mut Country, expected: &str) {
    let answers: Vec<String> = from.deliver(to).iter().map(text).collect();
    assert_eq!(
        answers.join("; "),
        expected,
        "{} to {}",
        from.prefix,
        to.prefix
    );
}

pub(crate) fn phase(country: &Country, serial: u32, issuer: &str) -> String {
    let code = Country::unborn(issuer).code(serial);
    let Ok(robot) = country.ledger.robot(&code);
    let Ok(loose) = country.ledger.loose_chain(&code);
    let chain = robot.map(|r| r.custody).or(loose.map(|l| l.chain));
    match chain {
        None => "unknown".into(),
        Some(chain) => format!("{} {}", chain.phase.name(), chain.epoch),
    }
}

/// From offer to admission.
pub(crate) fn export(a: &mut Country, b: &mut Country, serial: u32, number: u8) {
    a.must("customs", a.declare(serial, transfer(number), &b.prefix));
    a.deliver(b);
    b.must("customs", permit(b, number, vec![]));
    b.deliver(a);
    a.must("customs", depart(number));
    a.deliver(b);
    let mut admission = admit(number);
    if let Command::Admit { importer, .. } = &mut admission {
        let id = b.enterprise("0001");
        *importer = carnet_domain::record::PartyName::Enterprise { id };
    }
    b.must("customs", admission);
    b.deliver(a);
}

#[test]
fn a_robot_crosses_the_border_in_four_steps() {
    let (mut a, mut b) = two();
    let offer = a.declare(1, transfer(1), &b.prefix);
    check(&mut a, "customs", offer, "done");
    assert_eq!(phase(&a, 1, "86"), "Offered 1");
    mail(&mut a, &mut b, "done");
    assert_eq!(phase(&b, 1, "86"), "Asked 1");
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted, "done");
    mail(&mut b, &mut a, "done");
    check(&mut a, "customs", depart(1), "done");
    assert_eq!(phase(&a, 1, "86"), "Released 1");
    mail(&mut a, &mut b, "done");
    assert_eq!(phase(&b, 1, "86"), "InTransit 1");
    check(&mut b, "customs", admit(1), "done");
    assert_eq!(phase(&b, 1, "86"), "Here 1");
    mail(&mut b, &mut a, "done");
    assert_eq!(phase(&a, 1, "86"), "Gone 1");
    let steps: Vec<&str> = a
        .ledger
        .movements(&a.code(1))
        .iter()
        .map(|movement| movement.step.name())
        .collect();
    assert_eq!(steps, ["Register", "Offer", "Accept", "Depart", "Admit"]);
}

#[test]
fn a_permit_is_good_once() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let at = b.clock;
    check(
        &mut b,
        "customs",
        admit(1),
        "AlreadyAdmitted: Admit at harbour on …",
    );
    let refused = text(&b.command("customs", admit(1)));
    let transfer = b.ledger.transfer(&transfer(1)).expect("infallible");
    let ending = transfer.and_then(|t| t.ending).expect("it ended");
    assert!(ending.at < at);
    let expected = format!("Admit at harbour on {} (leaf {})", ending.at, ending.leaf);
    assert_eq!(refused, format!("AlreadyAdmitted: {expected}"));
}

#[test]
fn a_refusal_is_answered_by_a_cancel_that_burns_the_epoch() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    let refuse = Command::RefuseImport {
        transfer: transfer(1),
        reason: "no papers".into(),
    };
    check(&mut b, "customs", refuse.clone(), "done");
    check(&mut b, "customs", refuse, "TransferEnded: Refuse on …");
    mail(&mut b, &mut a, "done");
    assert_eq!(phase(&a, 1, "86"), "Here 1");
    check(&mut a, "customs", depart(1), "TransferEnded: Cancel on …");
    // The cancel enters the trail of the one that refused, and changes nothing else there.
    mail(&mut a, &mut b, "done");
    assert_eq!(phase(&b, 1, "86"), "Elsewhere 1");
    let steps: Vec<&str> = b
        .ledger
        .movements(&a.code(1))
        .iter()
        .map(|movement| movement.step.name())
        .collect();
    assert_eq!(steps, ["Offer", "Refuse", "Cancel"]);
    check(&mut b, "customs", admit(1), "TransferEnded: Refuse on …");
    let again = a.declare(1, transfer(2), &b.prefix);
    check(&mut a, "customs", again, "done");
    assert_eq!(phase(&a, 1, "86"), "Offered 2");
    mail(&mut a, &mut b, "done");
    assert_eq!(phase(&b, 1, "86"), "Asked 2");
}

#[test]
fn a_cancelled_offer_burns_its_epoch_and_its_permit() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    let cancel = Command::CancelExport {
        transfer: transfer(1),
        reason: "sold at home".into(),
    };
    check(&mut a, "customs", cancel.clone(), "done");
    check(&mut a, "customs", cancel, "TransferEnded: Cancel on …");
    a.must("customs", a.declare(1, transfer(2), &b.prefix));
    // The accept of the cancelled offer crosses the new offer.
    mail(&mut b, &mut a, "nothing");
    check(&mut a, "customs", depart(2), "NotAccepted: transfer 0202…");
    mail(&mut a, &mut b, "done; done");
    assert_eq!(phase(&b, 1, "86"), "Asked 2");
    check(&mut b, "customs", admit(1), "TransferEnded: Cancel on …");
    let used = a.declare(1, transfer(1), &b.prefix);
    check(&mut a, "maker", used, "TransferOpen: transfer 0202…");
}

#[test]
fn steps_out_of_order_are_refused() {
    let (mut a, mut b) = two();
    check(&mut a, "customs", depart(1), "TransferUnknown…");
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    check(&mut a, "customs", depart(1), "NotAccepted…");
    check(&mut a, "customs", admit(1), "TransferUnknown: 0101…");
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", admit(1), "NotReleased…");
    let send_back = Command::Return {
        transfer: transfer(1),
        reason: "broken".into(),
    };
    check(&mut b, "customs", send_back.clone(), "NotReleased…");
    b.must("customs", permit(&b, 1, vec![]));
    let twice = permit(&b, 1, vec![]);
    check(&mut b, "customs", twice, "AlreadyPermitted…");
    check(&mut b, "customs", admit(1), "NotReleased…");
    check(&mut b, "customs", depart(1), "TransferUnknown…");
    mail(&mut b, &mut a, "done");
    check(&mut a, "customs", depart(1), "done");
    check(&mut a, "customs", depart(1), "TransferEnded…");
    let cancel = Command::CancelExport {
        transfer: transfer(1),
        reason: "too late".into(),
    };
    check(&mut a, "customs", cancel, "TransferEnded…");
    let offer = a.declare(1, transfer(2), &b.prefix);
    check(&mut a, "customs", offer, "NotInCustody…");
    let stock = act(&a, 1, Action::Stock { at: None });
    check(&mut a, "maker", stock, "NotInCustody…");
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", admit(1), "done");
    check(&mut b, "customs", send_back, "TransferEnded…");
}

#[test]
fn what_comes_back_is_in_custody_at_home_with_the_next_epoch() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    a.must("customs", depart(1));
    mail(&mut a, &mut b, "done");
    let send_back = Command::Return {
        transfer: transfer(1),
        reason: "broken".into(),
    };
    // Whatever ran out: a return is always allowed.
    a.advance(DurationMs::from_days(40));
    b.advance(DurationMs::from_days(40));
    check(&mut b, "customs", send_back, "done");
    assert_eq!(phase(&b, 1, "86"), "Elsewhere 2");
    mail(&mut b, &mut a, "done");
    assert_eq!(phase(&a, 1, "86"), "Here 2");
    check(&mut b, "customs", admit(1), "TransferEnded: Return on …");
    export(&mut a, &mut b, 1, 3);
    assert_eq!(phase(&b, 1, "86"), "Here 3");
}

#[test]
fn deadlines_are_judged_by_the_log_time_of_who_acts() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    b.advance(DurationMs::from_days(2));
    let late = permit(&b, 1, vec![]);
    check(
        &mut b,
        "customs",
        late,
        "DeadlinePassed: the offer stands until …",
    );
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    a.must("maker", a.register(2));
    a.must("customs", a.declare(2, transfer(2), &c.prefix));
    mail(&mut a, &mut c, "done");
    c.must("customs", permit(&c, 2, vec![]));
    mail(&mut c, &mut a, "done");
    a.advance(DurationMs::from_days(2));
    check(
        &mut a,
        "customs",
        depart(2),
        "DeadlinePassed: departure was permitted until …",
    );
    let cancel = Command::CancelExport {
        transfer: transfer(2),
        reason: "too late".into(),
    };
    check(&mut a, "customs", cancel, "done");
    let mut past = a.declare(2, transfer(3), &c.prefix);
    if let Command::DeclareExport { offer_until, .. } = &mut past {
        *offer_until = TimeMs::EPOCH;
    }
    check(
        &mut a,
        "customs",
        past,
        "DeadlinePassed: the offer stands until …",
    );
}

#[test]
fn no_timer_undoes_a_release() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    a.must("customs", depart(1));
    mail(&mut a, &mut b, "done");
    a.advance(DurationMs::from_days(300));
    b.advance(DurationMs::from_days(300));
    mail(&mut a, &mut b, "");
    mail(&mut b, &mut a, "");
    assert_eq!(phase(&a, 1, "86"), "Released 1");
    check(&mut b, "customs", admit(1), "done");
}

#[test]
fn conditions_are_judged_at_admission() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    let paper = sha256(&[b"paper"]);
    let conditions = vec![
        Condition::FirmwareAtLeast { build: 10 },
        Condition::Document { digest: paper },
        Condition::Inspection {},
    ];
    b.must("customs", permit(&b, 1, conditions));
    mail(&mut b, &mut a, "done");
    a.must("customs", depart(1));
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", admit(1), "ConditionUnmet: document …");
    let with_papers = Command::Admit {
        transfer: transfer(1),
        place: "harbour".into(),
        importer: Digest::ZERO.into(),
        documents: vec![paper],
        countersignature: None,
    };
    check(&mut b, "customs", with_papers, "done");
}

#[test]
fn a_hold_set_after_the_offer_stops_the_departure() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    let theft = |set: bool| {
        let (code, kind, reason) = (a_code(), HoldKind::Theft, "reported".to_owned());
        match set {
            true => Command::SetHold { code, kind, reason },
            false => Command::LiftHold { code, kind, reason },
        }
    };
    fn a_code() -> carnet_domain::bytes::code::Code {
        Country::unborn("86").code(1)
    }
    check(&mut a, "regulator", theft(true), "done");
    check(
        &mut a,
        "customs",
        depart(1),
        "Held: Theft set by regulator office regulator/hq at 86 on …",
    );
    check(&mut a, "customs", theft(false), "HoldUnknown: Theft");
    check(&mut a, "regulator", theft(false), "done");
    check(&mut a, "customs", depart(1), "done");
}

#[test]
fn holds_that_do_not_stop_a_departure_travel_with_the_robot() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must(
        "regulator",
        Command::SetHold {
            code,
            kind: HoldKind::RegulatorStop,
            reason: "check".into(),
        },
    );
    let offer = a.declare(1, transfer(1), &b.prefix);
    check(&mut a, "customs", offer, "Held: RegulatorStop …");
    a.must(
        "regulator",
        Command::LiftHold {
            code,
            kind: HoldKind::RegulatorStop,
            reason: "checked".into(),
        },
    );
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.must(
        "registrar",
        Command::SetHold {
            code,
            kind: HoldKind::OwnerHold,
            reason: "dispute".into(),
        },
    );
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    a.must("customs", depart(1));
    mail(&mut a, &mut b, "done");
    b.must("customs", admit(1));
    let Ok(robot) = b.ledger.robot(&code);
    let holds: Vec<_> = robot
        .expect("admitted")
        .holds
        .into_iter()
        .map(|h| (h.kind, h.setter))
        .collect();
    assert_eq!(
        holds,
        [(
            HoldKind::OwnerHold,
            Setter {
                prefix: a.prefix,
                party: Holder::Office {
                    name: "registrar/hq".into()
                },
                role: Role::Registrar,
            }
        )]
    );
}

#[test]
fn offers_need_a_peer_and_a_clause_in_force() {
    let (mut a, b) = two();
    let nobody = a.declare(1, transfer(1), &prefix("81"));
    check(&mut a, "maker", nobody, "PeerUnknown: 81");
    let mut other_version = a.declare(1, transfer(1), &b.prefix);
    if let Command::DeclareExport { agreement, .. } = &mut other_version {
        agreement.version = 2;
    }
    check(
        &mut a,
        "maker",
        other_version,
        "NoAgreement: asked for 49-86:2, in force is version 1",
    );
    let suspend = |number, until| carnet_domain::record::peer::Statement::Suspend {
        peer: b.prefix,
        agreement: agreed(a.prefix, b.prefix),
        number,
        until,
        reason: "dispute".into(),
    };
    let ends = tomorrow(&a);
    let (first, late) = (suspend(1, ends), suspend(1, TimeMs::MAX));
    let over = suspend(2, TimeMs(0));
    assert_eq!(text(&a.state(&first)), "done");
    assert!(text(&a.state(&late)).starts_with("StatementStale"));
    let offer = a.declare(1, transfer(1), &b.prefix);
    let suspended = format!("NoAgreement: 49-86:1 is suspended until {ends}");
    check(&mut a, "maker", offer.clone(), &suspended);
    assert_eq!(text(&a.state(&over)), "done");
    check(&mut a, "maker", offer, "done");
}

/// Only the version named is suspended; the next, once in force, is not.
#[test]
fn a_suspension_ends_and_is_of_one_version() {
    let (mut a, mut b) = two();
    let until = tomorrow(&a);
    let suspend = carnet_domain::record::peer::Statement::Suspend {
        peer: b.prefix,
        agreement: agreed(a.prefix, b.prefix),
        number: 1,
        until,
        reason: "dispute".into(),
    };
    assert_eq!(text(&a.state(&suspend)), "done");
    let mut second = a.declare(1, transfer(1), &b.prefix);
    check(&mut a, "maker", second.clone(), "NoAgreement…");
    let newer = carnet_kit::agreement(a.prefix, b.prefix, 2);
    agree(&mut a, &mut b, &newer);
    if let Command::DeclareExport { agreement, .. } = &mut second {
        agreement.version = 2;
    }
    check(&mut a, "maker", second, "done");
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let peer = peer.expect("a peer");
    let first = agreed(a.prefix, b.prefix);
    assert!(peer.is_suspended(&first, TimeMs(until.0 - 1)));
    assert!(!peer.is_suspended(&first, until));
    // The newer one suspended: the older does not come back, and is not suspended any more either.
    let suspend = carnet_domain::record::peer::Statement::Suspend {
        peer: b.prefix,
        agreement: newer.reference(),
        number: 1,
        until: TimeMs(until.0 + 2),
        reason: "dispute".into(),
    };
    assert_eq!(text(&a.state(&suspend)), "done");
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let peer = peer.expect("a peer");
    assert!(peer.agreement(until).is_none(), "neither");
    let after = peer.agreement(TimeMs(until.0 + 2));
    assert_eq!(after.map(|agreement| agreement.version), Some(2));
}

#[test]
fn a_recall_crosses_the_border_and_binds_within_its_clause() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let recall = |severity| carnet_kit::samples::recall(&Country::unborn("86"), "R-1", severity);
    check(
        &mut a,
        "maker",
        recall(carnet_domain::record::Severity::StopUse),
        "done",
    );
    mail(&mut a, &mut b, "done");
    let back = Command::DeclareExport {
        code: a.code(1),
        transfer: transfer(9),
        to: a.prefix,
        purpose: carnet_domain::rules::command::Purpose::PermanentExport,
        offer_until: tomorrow(&b),
        agreement: agreed(prefix("86"), prefix("49")),
        papers: Default::default(),
    };
    check(
        &mut b,
        "customs",
        back.clone(),
        "RecallOpen: recall 86/R-1 (StopUse)",
    );
    let remedy = Command::RemedyRecall {
        code: a.code(1),
        recall: recall_id(&a, "R-1"),
        report: Digest::ZERO,
    };
    check(&mut b, "service", remedy.clone(), "done");
    check(&mut b, "service", remedy, "RecallUnknown…");
    check(&mut b, "customs", back, "done");
}

#[test]
fn a_recall_above_the_clause_waits_for_the_regulator() {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    let mut strict = carnet_kit::agreement(a.prefix, b.prefix, 2);
    for clause in &mut strict.clauses {
        clause.recall_count_max = 0;
    }
    agree(&mut a, &mut b, &strict);
    a.must("maker", a.register(1));
    let version = |mut command| {
        if let Command::DeclareExport { agreement, .. } = &mut command {
            agreement.version = 2;
        }
        command
    };
    a.must("customs", version(a.declare(1, transfer(1), &b.prefix)));
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    a.must("customs", depart(1));
    mail(&mut a, &mut b, "done");
    b.must("customs", admit(1));
    let recall = carnet_kit::samples::recall(&a, "R-1", carnet_domain::record::Severity::Remedy);
    a.must("maker", recall);
    mail(&mut a, &mut b, "done");
    let id = recall_id(&a, "R-1");
    let status = |b: &Country| {
        let Ok(recall) = b.ledger.recall(&id);
        recall.expect("told").status
    };
    assert_eq!(status(&b), RecallStatus::Proposed);
    let mut back = version(b.declare(1, transfer(9), &a.prefix));
    if let Command::DeclareExport { code, .. } = &mut back {
        *code = a.code(1);
    }
    check(&mut b.clone(), "customs", back.clone(), "done");
    // Nobody else decides it, nor without a reason.
    let decide = |recall: &carnet_domain::record::RecallId, decision, reason: &str| {
        let (recall, reason) = (recall.clone(), reason.into());
        Command::DecideRecall {
            recall,
            decision,
            reason,
        }
    };
    let accept = decide(&id, RecallDecision::Accept, "seen here too");
    check(&mut b, "registrar", accept.clone(), "RoleNotAllowed: …");
    let silent = decide(&id, RecallDecision::Accept, " ");
    check(&mut b, "regulator", silent, "ReasonMissing");
    let other = decide(&recall_id(&a, "R-2"), RecallDecision::Accept, "x");
    check(&mut b, "regulator", other, "RecallUnknown: recall 86/R-2");
    // Of a recall of its own it decides by no such word.
    check(&mut a, "regulator", accept.clone(), "RecallUnknown: …");
    check(&mut b, "regulator", accept.clone(), "done");
    assert_eq!(status(&b), RecallStatus::Accepted);
    check(&mut b, "regulator", accept, "NothingChanges: …");
    check(
        &mut b,
        "customs",
        back.clone(),
        "RecallOpen: recall 86/R-1 (Remedy)",
    );
    // Said again word for word, it is no news; said otherwise it is asked anew, and binds meanwhile as it was accepted.
    let amended = |severity| Command::AmendRecall {
        notice: carnet_domain::record::RecallNotice {
            id: recall_id(&Country::unborn("86"), "R-1"),
            severity,
            predicate: carnet_domain::record::Predicate::all(),
        },
        models: vec![Country::unborn("86").model("0001", "100002")],
        remedy: "replace the battery".into(),
        reason: "x".into(),
    };
    a.must("maker", amended(Severity::StopUse));
    mail(&mut a, &mut b, "done");
    assert_eq!(status(&b), RecallStatus::Proposed);
    check(
        &mut b,
        "customs",
        back.clone(),
        "RecallOpen: recall 86/R-1 (Remedy)",
    );
    let decline = decide(&id, RecallDecision::Decline, "none of these is here");
    check(&mut b, "regulator", decline.clone(), "done");
    assert_eq!(status(&b), RecallStatus::Declined);
    check(
        &mut b,
        "customs",
        back.clone(),
        "RecallOpen: recall 86/R-1 (Remedy)",
    );
    a.must("maker", amended(Severity::Remedy));
    mail(&mut a, &mut b, "done");
    assert_eq!(status(&b), RecallStatus::Proposed);
    // What an agreement lets bind is not the regulator's to decide.
    let mut wide = carnet_kit::agreement(a.prefix, b.prefix, 3);
    wide.clauses
        .iter_mut()
        .for_each(|it| it.recall_count_max = 9);
    agree(&mut a, &mut b, &wide);
    a.must("maker", amended(Severity::StopUse));
    mail(&mut a, &mut b, "done");
    assert_eq!(status(&b), RecallStatus::InForce);
    check(
        &mut b,
        "regulator",
        decline,
        "NothingPending: recall 86/R-1",
    );
}

/// What was declined does not come back by being said once more, nor by a country that says it is accepted here.
#[test]
fn what_the_regulator_declined_stays_so_until_its_issuer_says_something_else() {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    let mut strict = carnet_kit::agreement(a.prefix, b.prefix, 2);
    for clause in &mut strict.clauses {
        clause.recall_severity_max = Severity::Remedy;
    }
    agree(&mut a, &mut b, &strict);
    let id = recall_id(&a, "R-1");
    a.must("maker", samples::recall(&a, "R-1", Severity::StopUse));
    mail(&mut a, &mut b, "done");
    let decline = Command::DecideRecall {
        recall: id.clone(),
        decision: RecallDecision::Decline,
        reason: "none of these is here".into(),
    };
    b.must("regulator", decline);
    let said = |a: &mut Country, b: &mut Country, status| {
        let Ok(recall) = a.ledger.recall(&id);
        let mut recall = recall.expect("its own");
        recall.status = status;
        recall.by = Holder::Office {
            name: format!("{status:?}"),
        };
        let mut slots = carnet_domain::log::leaf::Slots::new();
        slots.set(carnet_domain::record::event::slot::CODE, &id.to_string());
        slots.set(carnet_domain::record::event::slot::MODEL, &recall);
        let forged = carnet_kit::forge::Forged {
            kind: carnet_domain::log::leaf::Kind::Recall.number(),
            subject: id.subject(),
            slots,
            status: 1,
        };
        a.forge(forged, &b.prefix);
        mail(a, b, "done");
        let Ok(known) = b.ledger.recall(&id);
        known.expect("told")
    };
    let again = said(&mut a, &mut b, RecallStatus::InForce);
    assert_eq!(
        (again.status, again.binding()),
        (RecallStatus::Declined, None)
    );
    let theirs = said(&mut a, &mut b, RecallStatus::Accepted);
    assert_eq!(
        (theirs.status, theirs.binding()),
        (RecallStatus::Proposed, None)
    );
    a.must(
        "maker",
        Command::WithdrawRecall {
            recall: id.clone(),
            reason: "done".into(),
        },
    );
    mail(&mut a, &mut b, "done");
    let Ok(known) = b.ledger.recall(&id);
    assert_eq!(known.expect("told").status, RecallStatus::Withdrawn);
}

/// What bound is not set free by its issuer saying that it is graver, or of other models.
#[test]
fn a_recall_that_gets_graver_than_its_clause_binds_as_before_until_that_is_decided() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let mut strict = carnet_kit::agreement(a.prefix, b.prefix, 2);
    for clause in &mut strict.clauses {
        clause.recall_severity_max = Severity::Remedy;
    }
    agree(&mut a, &mut b, &strict);
    let Command::OpenRecall { notice, models, .. } =
        carnet_kit::samples::recall(&a, "R-1", Severity::Remedy)
    else {
        panic!("a recall");
    };
    let amended = |severity, models: &[carnet_domain::bytes::code::ModelId]| {
        let mut notice = notice.clone();
        notice.severity = severity;
        Command::AmendRecall {
            notice,
            models: models.to_vec(),
            remedy: "replace it".into(),
            reason: "graver".into(),
        }
    };
    let mut agreed = agreed(prefix("86"), prefix("49"));
    agreed.version = 2;
    let back = Command::DeclareExport {
        code: a.code(1),
        transfer: transfer(9),
        to: a.prefix,
        purpose: carnet_domain::rules::command::Purpose::PermanentExport,
        offer_until: tomorrow(&b),
        agreement: agreed,
        papers: Default::default(),
    };
    a.must(
        "maker",
        carnet_kit::samples::recall(&a, "R-1", Severity::Remedy),
    );
    mail(&mut a, &mut b, "done");
    let bound = "RecallOpen: recall 86/R-1 (Remedy)";
    check(&mut b, "customs", back.clone(), bound);
    a.must("registrar", a.approval("0001", "100003"));
    a.deliver(&mut b);
    let other = [a.model("0001", "100003")];
    let id = recall_id(&a, "R-1");
    for (severity, named) in [
        (Severity::StopUse, &models[..]),
        (Severity::StopUse, &other),
        (Severity::StopUse, &models),
    ] {
        a.must("maker", amended(severity, named));
        mail(&mut a, &mut b, "done");
        let Ok(recall) = b.ledger.recall(&id);
        let recall = recall.expect("told");
        assert_eq!(recall.status, RecallStatus::Proposed);
        assert_eq!(recall.notice.severity, Severity::StopUse);
        assert_eq!(recall.binding(), Some((&notice, &models[..])));
        check(&mut b, "customs", back.clone(), bound);
        let Ok(model) = b.ledger.recalls_of(&models[0]);
        assert_eq!(model.len(), 1, "found under what it binds");
    }
    // Within the clause it binds as it is said now.
    a.must("maker", amended(Severity::Advisory, &models));
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", back.clone(), "done");
    let Ok(recall) = b.ledger.recall(&id);
    assert_eq!(recall.expect("told").bound, None);
    // And what never bound does not bind when it is said again.
    a.must("maker", amended(Severity::StopUse, &models));
    mail(&mut a, &mut b, "done");
    let withdraw = Command::WithdrawRecall {
        recall: id.clone(),
        reason: "done".into(),
    };
    a.must("maker", withdraw);
    mail(&mut a, &mut b, "done");
    let Ok(recall) = b.ledger.recall(&id);
    assert_eq!(recall.expect("told").binding(), None);
    let Ok(model) = b.ledger.recalls_of(&models[0]);
    assert_eq!(model, []);
}

/// An agreement signed by both, stated in both logs.
fn agree(a: &mut Country, b: &mut Country, agreement: &carnet_domain::record::peer::Agreement) {
    use carnet_domain::bytes::encoding::Blob;
    use carnet_domain::record::peer::{Signed, Statement};
    let bytes = agreement.to_bytes();
    let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
    for country in [a, b] {
        let agreement = Signed {
            bytes: Blob(bytes.clone()),
            signatures: signatures.clone(),
        };
        assert_eq!(
            text(&country.state(&Statement::Agree { agreement })),
            "done"
        );
    }
}

fn three() -> (Country, Country, Country) {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    befriend(&mut b, &mut c);
    (a, b, c)
}

#[test]
fn an_end_of_life_abroad_ends_code_and_body_everywhere() {
    let (mut a, mut b, mut c) = three();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    scrap(&mut b, code);
    for (from, to) in [(0, 1), (0, 2), (1, 2)] {
        let mut all: [&mut Country; 3] = [&mut b, &mut a, &mut c];
        let [one, two] = all
            .get_disjoint_mut([from, to])
            .expect("two different countries");
        one.deliver(two);
    }
    for country in [&a, &b, &c] {
        let registration = a.registration(1);
        for identity in [
            Subject::robot(&code).key(),
            registration.body.identity(),
            registration.identity_parts[0].identity(),
        ] {
            let Ok(ends) = country.ledger.ends(&identity);
            let ends = ends.unwrap_or_default();
            // Where the robot never was, nobody knows whose body it is: the two registries' word stands as a claim.
            if country.prefix == c.prefix && identity != Subject::robot(&code).key() {
                assert_eq!(
                    ends.claimed_by,
                    [b.prefix, a.prefix],
                    "at {}",
                    country.prefix
                );
                continue;
            }
            // Where it was admitted, its identity parts are what its exporter showed.
            let part = identity == registration.identity_parts[0].identity();
            if country.prefix == b.prefix && part {
                assert_eq!((ends.proven, ends.claimed_by), (None, vec![b.prefix]));
                continue;
            }
            // The body of a robot that came ended by word: its maker, if it were here, would know better.
            let ended = ends.shown().map(|end| end.state);
            assert_eq!(ended, Some(State::Scrapped), "at {}", country.prefix);
        }
    }
    // The body may not come back under another code, at home or abroad.
    let mut again = a.registration(7);
    again.body = a.registration(1).body;
    check(
        &mut a,
        "maker",
        Command::Register {
            registration: again,
        },
        "IdentityEnded: body: 86-0001-100002-00000000000000001 was Scrapped at 49 on …",
    );
    let mut abroad = c.registration(7);
    abroad.identity_parts[0] = a.registration(1).identity_parts[0].clone();
    check(
        &mut c,
        "maker",
        Command::Register {
            registration: abroad,
        },
        "IdentityEnded: identity part: 86-0001-100002-00000000000000001 was Scrapped at 49 on …",
    );
    let inspect = Action::Inspect {
        report: Digest::ZERO,
        passed: true,
    };
    let inspect = act(&a, 1, inspect);
    check(&mut a, "registrar", inspect, "StateFinal…");
}

#[test]
fn an_end_of_life_by_a_country_that_never_had_the_robot_is_a_claim() {
    let (mut a, mut b, mut c) = three();
    export(&mut a, &mut b, 1, 1);
    // A country that lies: it enters another body, which is the same as ours, under its own code, and scraps it.
    c.must("maker", c.register(5));
    let code = c.code(5);
    let Ok(record) = c.ledger.robot(&code);
    let mut forged = record.expect("registered");
    forged.identity.body = a.registration(1).body.identity();
    let Ok(()) = c.ledger.put_robot(forged);
    scrap(&mut c, code);
    mail(&mut c, &mut a, "done");
    let Ok(body) = a.ledger.ends(&a.registration(1).body.identity());
    let claimed = Ends {
        claimed_by: vec![c.prefix],
        ..Ends::default()
    };
    assert_eq!(body, Some(claimed), "an alarm, not an end");
    let Ok(robot) = a.ledger.robot(&a.code(1));
    assert_eq!(robot.map(|robot| robot.state), Some(State::Manufactured));
}

#[test]
fn another_country_cannot_burn_a_code_of_ours() {
    let (mut a, mut b) = two();
    let code = a.code(77);
    // `49` lies: it writes a record for a code of `86` that was never registered, and scraps it.
    b.must("maker", b.register(5));
    let Ok(record) = b.ledger.robot(&b.code(5));
    let mut forged = record.expect("registered");
    forged.identity.code = code;
    forged.identity.body = sha256(&[b"no body of anybody"]);
    forged.head = None;
    let Ok(()) = b.ledger.put_robot(forged);
    scrap(&mut b, code);
    mail(&mut b, &mut a, "done");
    let Ok(ended) = a.ledger.ends(&Subject::robot(&code).key());
    assert_eq!(ended, None);
    let register = a.register(77);
    check(&mut a, "maker", register, "done");
}

#[test]
fn what_ended_in_transit_is_neither_admitted_nor_sent_back() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let home = Command::DeclareExport {
        code,
        transfer: transfer(2),
        to: a.prefix,
        purpose: carnet_domain::rules::command::Purpose::PermanentExport,
        offer_until: tomorrow(&b),
        agreement: agreed(prefix("86"), prefix("49")),
        papers: Default::default(),
    };
    check(&mut b, "customs", home, "done");
    mail(&mut b, &mut a, "done");
    a.must("customs", permit(&a, 2, vec![]));
    mail(&mut a, &mut b, "done");
    b.must("customs", depart(2));
    mail(&mut b, &mut a, "done");
    assert_eq!(phase(&a, 1, "86"), "InTransit 2");
    scrap(&mut a, code);
    check(&mut a, "customs", admit(2), "IdentityEnded…");
    let send_back = Command::Return {
        transfer: transfer(2),
        reason: "wreck".into(),
    };
    check(&mut a, "customs", send_back, "IdentityEnded…");
    mail(&mut a, &mut b, "done");
    let Ok(robot) = b.ledger.robot(&code);
    assert_eq!(robot.map(|robot| robot.state), Some(State::Scrapped));
}

#[test]
fn a_robot_comes_home_without_a_clause() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    travel(&mut b, &mut a, 2);
    assert_eq!(phase(&a, 1, "86"), "Here 2");
    assert_eq!(phase(&b, 1, "86"), "Gone 2");
    export(&mut a, &mut b, 1, 3);
    assert_eq!(phase(&b, 1, "86"), "Here 3");
}

/// Robot 1 of `86` from one country to another, whoever issued it.
fn travel(from: &mut Country, to: &mut Country, number: u8) {
    let offer = Command::DeclareExport {
        code: Country::unborn("86").code(1),
        transfer: transfer(number),
        to: to.prefix,
        purpose: carnet_domain::rules::command::Purpose::PermanentExport,
        offer_until: tomorrow(from),
        agreement: agreed(prefix("86"), prefix("49")),
        papers: Default::default(),
    };
    from.must("customs", offer);
    from.deliver(to);
    to.must("customs", permit(to, number, vec![]));
    to.deliver(from);
    from.must("customs", depart(number));
    from.deliver(to);
    to.must("customs", admit(number));
    to.deliver(from);
}

#[test]
fn a_country_may_not_offer_what_it_never_had() {
    let (mut a, mut b, mut c) = three();
    export(&mut a, &mut b, 1, 1);
    // `81` writes a record it has no right to: that of `49`.
    let Ok(record) = b.ledger.robot(&a.code(1));
    let Ok(()) = c.ledger.put_robot(carnet_domain::record::Robot {
        head: None,
        ..record.expect("admitted at 49")
    });
    let mut offer = c.declare(1, transfer(2), &a.prefix);
    if let Command::DeclareExport { code, .. } = &mut offer {
        *code = a.code(1);
    }
    c.must("customs", offer);
    let size = a.registry().tree.size();
    mail(&mut c, &mut a, "done");
    let Ok(leaf) = a.ledger.leaf(size);
    let leaf = leaf.and_then(|leaf| carnet_domain::log::leaf::Leaf::from_bytes(&leaf.leaf.0).ok());
    assert_eq!(
        leaf.map(|leaf| leaf.kind),
        Some(carnet_domain::log::leaf::Kind::Nack)
    );
    assert_eq!(phase(&a, 1, "86"), "Gone 1");
    let permitted = permit(&a, 2, vec![]);
    check(&mut a, "customs", permitted, "TransferUnknown…");
}

#[test]
fn a_robot_goes_home_before_it_goes_on() {
    let (mut a, mut b, mut c) = three();
    export(&mut a, &mut b, 1, 1);
    let mut onward = b.declare(1, transfer(2), &c.prefix);
    if let Command::DeclareExport { code, .. } = &mut onward {
        *code = a.code(1);
    }
    // No clause between 49 and 81 covers robots of 86.
    check(
        &mut b,
        "customs",
        onward,
        "ClauseExcludes: no clause of 49-81:1 …",
    );
    travel(&mut b, &mut a, 3);
    export(&mut a, &mut c, 1, 4);
    assert_eq!(phase(&c, 1, "86"), "Here 3");
}

#[test]
fn a_registry_that_was_rolled_back_is_not_believed() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let mut old = b.clone();
    travel(&mut b, &mut a, 2);
    let mut offer = old.declare(1, transfer(3), &a.prefix);
    if let Command::DeclareExport { code, .. } = &mut offer {
        *code = a.code(1);
    }
    old.must("customs", offer);
    old.close();
    let batch = old.mail(&a.prefix, 0, 0).expect("mail");
    let answer = offer_batch(&mut a, batch);
    assert!(
        answer.starts_with("EvidenceBroken: checkpoint of size"),
        "{answer}"
    );
    assert_eq!(phase(&a, 1, "86"), "Here 2");
}

#[test]
fn an_alarm_after_the_departure_does_not_stop_the_mail() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    a.must("customs", depart(1));
    let stolen = Command::SetHold {
        code: a.code(1),
        kind: HoldKind::Theft,
        reason: "the lorry is missing".into(),
    };
    a.must("registrar", stolen);
    mail(&mut a, &mut b, "done; done");
    check(&mut b, "customs", admit(1), "done");
}

#[test]
fn the_issuers_theft_report_reaches_the_custodian_and_is_lifted_by_the_issuer() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let set = |kind| Command::SetHold {
        code,
        kind,
        reason: "reported".into(),
    };
    let lift = Command::LiftHold {
        code,
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    check(&mut a, "regulator", set(HoldKind::Review), "NotInCustody…");
    check(&mut a, "regulator", set(HoldKind::Theft), "done");
    b.advance(DurationMs::from_secs(61));
    mail(&mut a, &mut b, "done");
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let heard = peer.expect("a peer").heard;
    assert_eq!((heard.offers, heard.holds), (0, 1), "of this minute");
    let home = home(&b, 2);
    let held = "Held: Theft set by regulator office regulator/hq at 86 on …";
    check(&mut b, "customs", home.clone(), held);
    check(&mut b, "registrar", lift.clone(), "HoldUnknown: Theft");
    check(&mut a, "regulator", lift, "done");
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", home, "done");
}

/// Two offices of the issuer report the same robot. One takes its report back; the other's goes on blocking.
#[test]
fn a_report_of_the_issuer_is_lifted_abroad_by_the_office_that_set_it() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let reason = || "reported".to_owned();
    let kind = HoldKind::Lost;
    let set = || Command::SetHold {
        code,
        kind,
        reason: reason(),
    };
    let lift = || Command::LiftHold {
        code,
        kind,
        reason: reason(),
    };
    a.must("regulator", set());
    a.must("customs", set());
    a.must("regulator", lift());
    mail(&mut a, &mut b, "done; done; done");
    let setters = |b: &Country| -> Vec<String> {
        let Ok(robot) = b.ledger.robot(&code);
        let holds = robot.expect("admitted").holds.into_iter();
        holds.map(|hold| hold.setter.to_string()).collect()
    };
    assert_eq!(setters(&b), ["customs office customs/hq at 86"]);
    a.must("customs", lift());
    mail(&mut a, &mut b, "done");
    assert_eq!(setters(&b), [""; 0]);
}

/// The declaration by which robot 1 of `86` goes home.
fn home(from: &Country, number: u8) -> Command {
    Command::DeclareExport {
        code: Country::unborn("86").code(1),
        transfer: transfer(number),
        to: prefix("86"),
        purpose: carnet_domain::rules::command::Purpose::PermanentExport,
        offer_until: tomorrow(from),
        agreement: agreed(prefix("86"), prefix("49")),
        papers: Default::default(),
    }
}

#[test]
fn a_part_replaced_abroad_is_free_at_home_after_the_return() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let old = a.registration(1).parts[0].clone();
    let fitted = carnet_kit::samples::battery("NEW");
    let replace = Action::ReplacePart {
        removed: old.identity(),
        fitted: fitted.clone(),
    };
    let replace = act(&a, 1, replace);
    check(&mut b, "service", replace, "done");
    travel(&mut b, &mut a, 2);
    let holder = |identity| {
        let Ok(holder) = a.ledger.part_holder(&identity);
        holder.map(|fitting| fitting.code)
    };
    assert_eq!(holder(old.identity()), None);
    assert_eq!(holder(fitted.identity()), Some(a.code(1)));
}

/// What left with the robot and was taken out of it abroad is another robot's by the time it comes home, and stays that one's.
#[test]
fn a_part_replaced_abroad_that_is_in_another_robot_by_then_stays_there() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let old = a.registration(1).parts[0].clone();
    let replace = Action::ReplacePart {
        removed: old.identity(),
        fitted: carnet_kit::samples::battery("NEW"),
    };
    let replace = act(&a, 1, replace);
    check(&mut b, "service", replace, "done");
    let mut registration = a.registration(2);
    registration.parts = vec![old.clone()];
    a.must("maker", Command::Register { registration });
    travel(&mut b, &mut a, 2);
    let Ok(after) = a.ledger.part_holder(&old.identity());
    assert_eq!(after.map(|row| row.code), Some(a.code(2)));
}

/// The batch that is waiting for `to`.
pub(crate) fn waiting(from: &mut Country, to: &Country) -> MailBatch {
    from.close();
    let Ok(peer) = to.ledger.peer(&from.prefix);
    let peer = peer.expect("a peer");
    from.mail(&to.prefix, peer.size_seen, peer.cursor)
        .expect("mail")
}

/// Applies a batch at the time of the log, so that nothing but the batch can change anything.
pub(crate) fn offer_batch(country: &mut Country, batch: MailBatch) -> String {
    country.clock = country.registry().log_time;
    let answer = country.apply(Body::Foreign { batch });
    answer.items.iter().map(text).collect::<Vec<_>>().join("; ")
}

#[test]
fn mail_delivered_twice_or_out_of_order_changes_nothing() {
    let (mut a, mut b) = two();
    a.must("maker", a.register(2));
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.must("customs", a.declare(2, transfer(2), &b.prefix));
    let batch = waiting(&mut a, &b);
    let empty = MailBatch {
        items: Vec::new(),
        ..batch.clone()
    };
    offer_batch(&mut b, empty);
    let before = b.ledger.digest();
    let mut swapped = batch.clone();
    swapped.items.reverse();
    swapped.items.truncate(1);
    let gap = "EvidenceGap: item 1, expected 0";
    assert_eq!(offer_batch(&mut b, swapped), gap);
    assert_eq!(b.ledger.digest(), before);
    assert_eq!(offer_batch(&mut b, batch.clone()), "done; done");
    let after = b.ledger.digest();
    assert_ne!(after, before);
    assert_eq!(offer_batch(&mut b, batch), "nothing; nothing");
    assert_eq!(b.ledger.digest(), after);
}

/// What an inquiry showed is entered like mail that has no items, and says when it was made.
#[test]
fn a_head_without_mail_is_taken_in_with_the_time_of_its_map_head() {
    let (mut a, mut b) = two();
    a.must("maker", a.register(2));
    a.close();
    let Ok(before) = b.ledger.peer(&a.prefix);
    let before = before.expect("a peer");
    let mut head = a
        .mail(&b.prefix, before.size_seen, before.cursor)
        .expect("mail");
    head.items.clear();
    b.advance(DurationMs::from_secs(60));
    let at = b.registry().log_time;
    for broken in [
        &(|batch: &mut MailBatch| batch.map_head.index -= 1) as &dyn Fn(&mut MailBatch),
        &|batch| batch.map_head.path.clear(),
        &|batch| batch.map_head.leaf = carnet_domain::bytes::encoding::Blob(vec![0]),
    ] {
        let mut other = head.clone();
        broken(&mut other);
        let answer = offer_batch(&mut b, other);
        assert!(
            answer.starts_with("EvidenceBroken") || answer.is_empty(),
            "{answer}"
        );
        let Ok(after) = b.ledger.peer(&a.prefix);
        assert_eq!(after.as_ref(), Some(&before), "nothing of it is believed");
    }
    offer_batch(&mut b, head.clone());
    let Ok(after) = b.ledger.peer(&a.prefix);
    let after = after.expect("a peer");
    let published = a.registry().published.expect("a closed log");
    assert_eq!(
        (after.size_seen, after.time_seen),
        (published.size, published.at)
    );
    assert!(after.shown_at >= at);
    assert_eq!(after.cursor, before.cursor);
    // Said again it says nothing new.
    b.advance(DurationMs::from_secs(60));
    offer_batch(&mut b, head);
    let Ok(again) = b.ledger.peer(&a.prefix);
    assert_eq!(again.expect("a peer").shown_at, after.shown_at);
    // Nor does mail, which comes as often as the peer likes.
    a.must("customs", a.declare(2, transfer(1), &b.prefix));
    b.advance(DurationMs::from_secs(60));
    a.deliver(&mut b);
    let Ok(mailed) = b.ledger.peer(&a.prefix);
    let mailed = mailed.expect("a peer");
    assert!(mailed.size_seen > after.size_seen && mailed.cursor > after.cursor);
    assert_eq!(mailed.shown_at, after.shown_at);
}

#[test]
fn a_flipped_bit_of_a_batch_changes_nothing() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    let batch = waiting(&mut a, &b);
    assert!(batch.items[0].newest.is_some());
    let empty = MailBatch {
        items: Vec::new(),
        ..batch.clone()
    };
    offer_batch(&mut b, empty);
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let batch = a
        .mail(&b.prefix, peer.expect("a peer").size_seen, 1)
        .expect("mail");
    let before = b.ledger.clone();
    let bytes = batch.to_bytes();
    let mut read = 0;
    for (at, bit) in (0..bytes.len()).flat_map(|at| [(at, 0x01), (at, 0x20)]) {
        let mut flipped = bytes.clone();
        flipped[at] ^= bit;
        if let Ok(flipped) = MailBatch::from_bytes(&flipped) {
            read += 1;
            let answer = offer_batch(&mut b, flipped);
            assert!(b.ledger == before, "byte {at}: {answer}");
        }
    }
    assert!(1_000 < read, "most flips decode: {read}");
    assert_eq!(offer_batch(&mut b, batch), "done");
}

#[test]
fn two_histories_of_one_size_are_kept_as_evidence() {
    let (mut a, mut b) = two();
    let mut other = a.clone();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    other.must("customs", other.declare(1, transfer(2), &b.prefix));
    mail(&mut a, &mut b, "done");
    let forked = waiting(&mut other, &b);
    let answer = offer_batch(&mut b, forked.clone());
    assert!(
        answer.starts_with("PeerQuarantined: 86 showed two roots of size"),
        "{answer}"
    );
    let size = b.registry().tree.size();
    offer_batch(&mut b, forked);
    assert_eq!(b.registry().tree.size(), size, "one fork is one leaf");
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted, "PeerQuarantined: 86");
}

#[test]
fn an_older_checkpoint_is_no_evidence() {
    let (mut a, mut b) = two();
    let old = waiting(&mut a, &b);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    let answer = offer_batch(&mut b, old);
    assert!(
        answer.starts_with("EvidenceBroken: checkpoint of size"),
        "{answer}"
    );
}

#[test]
fn mail_of_a_stranger_is_refused() {
    let (mut a, mut b) = two();
    let mut batch = waiting(&mut a, &b);
    batch.peer = prefix("33");
    let before = b.ledger.digest();
    assert_eq!(offer_batch(&mut b, batch), "PeerUnknown: 33");
    assert_eq!(b.ledger.digest(), before);
}

/// What is stolen after the offer is not asked for: an officer who permits it would let it come.
#[test]
fn what_may_not_depart_is_not_permitted() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    let code = a.code(1);
    let theft = |reason: &str| Command::SetHold {
        code,
        kind: HoldKind::Theft,
        reason: reason.into(),
    };
    a.must("customs", theft("reported this morning"));
    mail(&mut a, &mut b, "done");
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted.clone(), "Held: …");
    let found = Command::LiftHold {
        code,
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    a.must("customs", found);
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", permitted, "done");
    // A recall that stops use, the same.
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    let stop = samples::recall(&a, "R-1", Severity::StopUse);
    a.must("regulator", stop);
    mail(&mut a, &mut b, "done");
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted, "RecallOpen: …");
}

/// Its own robot a country takes home whatever lies on it: a stolen one most of all.
#[test]
fn ones_own_robot_comes_home_with_what_lies_on_it() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    a.must("customs", depart(1));
    mail(&mut a, &mut b, "done");
    b.must("customs", admit(1));
    let code = a.code(1);
    let home = Command::DeclareExport {
        code,
        transfer: transfer(2),
        to: a.prefix,
        purpose: carnet_domain::rules::command::Purpose::PermanentExport,
        offer_until: tomorrow(&b),
        agreement: agreed(a.prefix, b.prefix),
        papers: Default::default(),
    };
    b.must("customs", home);
    b.deliver(&mut a);
    let (kind, reason) = (HoldKind::Theft, "stolen before it left".to_owned());
    a.must("registrar", Command::SetHold { code, kind, reason });
    a.must("customs", permit(&a, 2, vec![]));
}

/// A permit is taken back once, and binds until the exporter has cancelled; a departure before that goes its way.
#[test]
fn a_permit_is_taken_back() {
    let refuse = || Command::RefuseImport {
        transfer: transfer(1),
        reason: "the papers were another robot's".into(),
    };
    for departs in [false, true] {
        let (mut a, mut b) = two();
        let (a_is, b_is) = (a.prefix, b.prefix);
        let open = |x: &Country, with: &Prefix| {
            let Ok(peer) = x.ledger.peer(with);
            peer.map(|peer| (peer.offers_open, peer.offers_made))
        };
        a.must("customs", a.declare(1, transfer(1), &b_is));
        mail(&mut a, &mut b, "done");
        b.must("customs", permit(&b, 1, vec![]));
        mail(&mut b, &mut a, "done");
        if departs {
            a.must("customs", depart(1));
        }
        check(&mut b, "customs", refuse(), "done");
        check(&mut b, "customs", refuse(), "NothingPending: …");
        let again = permit(&b, 1, vec![]);
        check(&mut b, "customs", again, "AlreadyPermitted: …");
        assert_eq!(open(&b, &a_is), Some((1, 0)));
        mail(&mut b, &mut a, if departs { "nothing" } else { "done" });
        if departs {
            mail(&mut a, &mut b, "done");
            check(&mut b, "customs", refuse(), "NothingPending: …");
            check(&mut b, "customs", admit(1), "done");
        } else {
            check(&mut a, "customs", depart(1), "TransferEnded…");
            assert_eq!(open(&a, &b_is), Some((0, 0)));
            mail(&mut a, &mut b, "done");
            check(&mut b, "customs", refuse(), "TransferEnded…");
            check(&mut b, "customs", admit(1), "TransferEnded…");
            a.must("customs", a.declare(1, transfer(2), &b_is));
            mail(&mut a, &mut b, "done");
            b.must("customs", permit(&b, 2, vec![]));
        }
    }
}

/// Who is refused because the robot is elsewhere reads where, and what departed is said to have departed.
#[test]
fn a_refusal_says_where_the_robot_is() {
    let (mut a, mut b) = two();
    let declare = a.declare(1, transfer(1), &prefix("49"));
    a.must("customs", declare);
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    a.deliver(&mut b);
    let review = Command::SetHold {
        code: a.code(1),
        kind: HoldKind::Review,
        reason: "papers".into(),
    };
    let said = text(&a.command("customs", review));
    assert!(
        said.starts_with("NotInCustody") && said.contains("departed to 49"),
        "{said}"
    );
    let refuse = Command::RefuseImport {
        transfer: transfer(1),
        reason: "too late".into(),
    };
    let said = text(&b.command("customs", refuse));
    assert!(
        said.starts_with("AlreadyPermitted") && said.contains("in transit"),
        "{said}"
    );
}
