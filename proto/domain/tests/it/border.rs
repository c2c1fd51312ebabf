//! Custody between registries, over the whole path: signed command, entry, leaf, mailbox, proof, and back.

use carnet_domain::code::Prefix;
use carnet_domain::command::{Action, Command, Condition};
use carnet_domain::custody::Phase;
use carnet_domain::digest::{Digest, sha256};
use carnet_domain::entry::{Body, ItemAnswer, MailBatch};
use carnet_domain::kit::{Country, befriend, text, transfer};
use carnet_domain::leaf::Subject;
use carnet_domain::ledger::Ledger;
use carnet_domain::lifecycle::{EndOfLife, HoldKind, State};
use carnet_domain::time::{DurationMs, TimeMs};

use crate::rules::{check, scrap};

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
        importer: sha256(&[b"importer of record"]),
        documents: Vec::new(),
    }
}

/// The answers to a delivery, joined.
fn mail(from: &mut Country, to: &mut Country, expected: &str) {
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
    b.must("customs", admit(number));
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
