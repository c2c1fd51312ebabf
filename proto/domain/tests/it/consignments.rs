//! Many robots under one reference, what their papers must agree with, and a robot that an officer detains on its way.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::transfer::{Stage, Transfer};
use carnet_domain::rules::command::{Command, Papers, Purpose};
use carnet_kit::{Country, transfer};

use crate::border::{admit, depart, mail, permit, two};
use crate::rules::check;

const UCR: &str = "6CN86-2026-000001";

/// A declaration with other papers.
fn with(command: Command, change: impl FnOnce(&mut Papers)) -> Command {
    let mut command = command;
    if let Command::DeclareExport { papers, .. } = &mut command {
        change(papers);
    }
    command
}

fn in_consignment(country: &Country, serial: u32, to: &Country) -> Command {
    let number = u8::try_from(serial).expect("few robots");
    let declare = country.declare(serial, transfer(number), &to.prefix);
    with(declare, |papers| papers.ucr = UCR.into())
}

fn stage(country: &Country, number: u8) -> Stage {
    let Ok(known) = country.ledger.transfer(&transfer(number));
    known.expect("a transfer").stage()
}

fn detain(number: u8) -> Command {
    Command::Detain {
        transfer: transfer(number),
        reason: "another serial on the plate".into(),
    }
}

#[test]
fn nobody_adds_a_robot_to_the_consignment_of_another() {
    let (mut a, mut b) = two();
    a.must("maker", a.register(2));
    a.must("maker", a.register(3));
    let first = in_consignment(&a, 1, &b);
    check(&mut a, "maker", first, "done");
    let own = in_consignment(&a, 2, &b);
    check(&mut a, "maker", own, "done");
    let mut of_another = in_consignment(&a, 3, &b);
    // Customs gives nobody's robot away for good; to a fair it sends one.
    if let Command::DeclareExport { purpose, .. } = &mut of_another {
        *purpose = Purpose::Exhibition;
    }
    let refused = "ConsignmentDiffers: consignment 6CN86-2026-000001 goes to 49, for whoever declared it first";
    check(&mut a, "customs", of_another.clone(), refused);
    // While one is open, and no longer.
    let cancelled = |number: u8| Command::CancelExport {
        transfer: transfer(number),
        reason: String::new(),
    };
    check(&mut a, "maker", cancelled(1), "done");
    check(&mut a, "customs", of_another.clone(), refused);
    check(&mut a, "maker", cancelled(2), "done");
    check(&mut a, "customs", of_another, "done");
    // The same reference of another country is another consignment.
    b.must("maker", b.register(1));
    let theirs = with(b.declare(1, transfer(9), &a.prefix), |papers| {
        papers.ucr = UCR.into();
    });
    check(&mut b, "customs", theirs, "done");
}

#[test]
fn the_commodity_code_is_that_of_the_approval() {
    let (mut a, b) = two();
    let declare = |code: &str| {
        let declare = a.declare(1, transfer(1), &b.prefix);
        with(declare, |papers| papers.commodity = code.into())
    };
    let (toy, robot) = (declare("950300"), declare("8479509000"));
    let refused = "CommodityDiffers: declared as 950300, approved as 847950";
    check(&mut a, "maker", toy, refused);
    // What follows the sixth digit is each country's own.
    check(&mut a, "maker", robot, "done");
}

#[test]
fn a_robot_detained_on_its_way_is_admitted_against_a_report_or_sent_back() {
    let (mut a, mut b) = two();
    let declare = a.declare(1, transfer(1), &b.prefix);
    check(&mut a, "maker", declare, "done");
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", detain(1), "NotReleased: …");
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted, "done");
    mail(&mut b, &mut a, "done");
    check(&mut a, "customs", depart(1), "done");
    mail(&mut a, &mut b, "done");
    assert_eq!(
        (stage(&a, 1), stage(&b, 1)),
        (Stage::InTransit, Stage::InTransit)
    );
    check(&mut a, "customs", detain(1), "TransferUnknown: …");
    check(&mut b, "customs", detain(1), "done");
    check(&mut b, "customs", detain(1), "HoldExists: transfer 0101…");
    mail(&mut b, &mut a, "done");
    assert_eq!(
        (stage(&a, 1), stage(&b, 1)),
        (Stage::Detained, Stage::Detained)
    );
    let known = |of: &Country| {
        let Ok(known) = of.ledger.transfer(&transfer(1));
        known.expect("a transfer")
    };
    // It departed, and takes no place among what is offered.
    for one in [&a, &b] {
        assert!(known(one).is_under_way(), "{}", one.prefix);
    }
    // Whoever detains it again and again fills no trail of it elsewhere.
    let (mut told, mut liar) = (a.clone(), b.clone());
    let stopped = None;
    let Ok(()) = liar.ledger.put_transfer(Transfer {
        stopped,
        ..known(&b)
    });
    check(&mut liar, "customs", detain(1), "done");
    let size = told.registry().tree.size();
    mail(&mut liar, &mut told, "nothing");
    assert_eq!(told.registry().tree.size(), size);
    check(
        &mut b,
        "customs",
        admit(1),
        "ConditionUnmet: transfer 0101…",
    );
    let mut back = b.clone();
    let sent = Command::Return {
        transfer: transfer(1),
        reason: "not what it says".into(),
    };
    check(&mut back, "customs", sent, "done");
    assert_eq!(stage(&back, 1), Stage::Returned);
    let mut looked_into = admit(1);
    if let Command::Admit { documents, .. } = &mut looked_into {
        documents.push(sha256(&[b"what was found"]));
    }
    check(&mut b, "customs", looked_into, "done");
    mail(&mut b, &mut a, "done");
    assert_eq!(
        (stage(&a, 1), stage(&b, 1)),
        (Stage::Admitted, Stage::Admitted)
    );
}

#[test]
fn a_transfer_stands_at_one_stage_at_a_time() {
    let (mut a, mut b) = two();
    let declare = a.declare(1, transfer(1), &b.prefix);
    check(&mut a, "maker", declare, "done");
    mail(&mut a, &mut b, "done");
    assert_eq!(
        (stage(&a, 1), stage(&b, 1)),
        (Stage::Offered, Stage::Offered)
    );
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted, "done");
    assert_eq!(stage(&b, 1), Stage::Permitted);
    let mut taken_back = a.clone();
    let cancel = Command::CancelExport {
        transfer: transfer(1),
        reason: "sold at home".into(),
    };
    check(&mut taken_back, "maker", cancel, "done");
    assert_eq!(stage(&taken_back, 1), Stage::Cancelled);
    let refuse = Command::RefuseImport {
        transfer: transfer(1),
        reason: "no papers".into(),
    };
    check(&mut b, "customs", refuse, "done");
    assert_eq!(stage(&b, 1), Stage::Refused);
    mail(&mut b, &mut a, "done; done");
    assert_eq!(stage(&a, 1), Stage::Refused);
}
