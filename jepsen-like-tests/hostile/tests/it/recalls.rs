//! Recalls: whose number, whose models.

use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Holder, Predicate, RecallStatus, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::rejection::{Detail, Reason};
use carnet_hostile::judge::refused;
use carnet_hostile::scene::{act, d, export, three};
use carnet_kit::Country;
use carnet_kit::samples::{recall, recall_id};

/// Probes f03 and `a_peer_takes_our_recall_number`: a number is its issuer's.
#[test]
fn a_recall_number_is_nobodys_but_its_issuers() {
    let (mut a, mut b, mut c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    // 81 takes the number first, with a recall that binds nobody.
    c.must("maker", recall(&c, "86-2026-001", Severity::Advisory));
    c.deliver(&mut b);
    a.must("maker", recall(&a, "86-2026-001", Severity::StopUse));
    a.deliver(&mut b);
    let id = recall_id(&a, "86-2026-001");
    let Ok(known) = b.ledger.recall(&id);
    let known = known.expect("the true recall stands");
    assert_eq!(known.status, RecallStatus::InForce);
    assert_eq!(known.notice.severity, Severity::StopUse);
    let deploy = act(
        code,
        Action::Deploy {
            operator: d("buyer").into(),
            scenario: "hall".into(),
        },
    );
    let detail = Detail::RecallOpen {
        recall: id,
        severity: Severity::StopUse,
    };
    refused(&mut b, "customs", deploy, Reason::RecallOpen, detail);
    // The regulator of 49 has a number of its own, whoever used it elsewhere.
    c.must("maker", recall(&c, "49-1", Severity::Advisory));
    c.deliver(&mut b);
    b.must("regulator", recall(&b, "49-1", Severity::StopUse));
    // And nobody opens one in another's name.
    let theirs = recall(&a, "86-2026-002", Severity::StopUse);
    let detail = Detail::Prefix { prefix: a.prefix };
    refused(&mut b, "regulator", theirs, Reason::PrefixNotOurs, detail);
}

/// Probe r05: a recall is ended by the side that opened it.
#[test]
fn a_maker_does_not_withdraw_the_regulators_recall() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    a.must("regulator", recall(&a, "REG-1", Severity::StopUse));
    let id = recall_id(&a, "REG-1");
    let withdraw = || Command::WithdrawRecall {
        recall: id.clone(),
        reason: "we do not agree".into(),
    };
    let detail = Detail::OpenedBy {
        recall: id.clone(),
        by: Holder::Office {
            name: "regulator/hq".into(),
        },
    };
    refused(&mut a, "maker", withdraw(), Reason::NotYours, detail);
    a.must("regulator", withdraw());
}

/// A recall of some robots of the approved model, and the sale of one that it matches.
fn binds(change_registration: fn(&mut Country) -> Command, predicate: fn(&Country) -> Predicate) {
    let mut a = Country::with_market("86");
    let register = change_registration(&mut a);
    a.must("maker", register);
    let code = a.code(3);
    a.must("maker", act(code, Action::Stock { at: None }));
    let mut opened = recall(&a, "R-1", Severity::StopUse);
    if let Command::OpenRecall { notice, .. } = &mut opened {
        notice.predicate = predicate(&a);
    }
    a.must("maker", opened);
    let sell = act(
        code,
        Action::Sell {
            owner: d("buyer").into(),
        },
    );
    let detail = Detail::RecallOpen {
        recall: recall_id(&a, "R-1"),
        severity: Severity::StopUse,
    };
    refused(&mut a, "maker", sell, Reason::RecallOpen, detail);
}

/// Probe r06: lots are looked for in every list of parts.
#[test]
fn a_recall_by_lot_finds_every_part() {
    let with_lot = |a: &mut Country| {
        let mut registration = a.registration(3);
        registration.identity_parts[0].lot = "BAD-COMPUTE".into();
        Command::Register { registration }
    };
    let by_lot = |_: &Country| Predicate {
        part_lot: "BAD-COMPUTE".into(),
        ..Predicate::all()
    };
    binds(with_lot, by_lot);
}

/// Probe r06: a bound of serials is a serial of a code, and so has its leading zeros.
#[test]
fn a_recall_by_serial_finds_what_lies_between() {
    let between = |a: &Country| Predicate {
        serial_from: Some(a.code(1).serial()),
        serial_to: Some(a.code(5).serial()),
        ..Predicate::all()
    };
    binds(|a| a.register(3), between);
}
