//! Deadlines end by a rule of the log, at log time, each by a leaf; nothing due, nothing done.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::{Phase, Step};
use carnet_domain::limits::{DUE_MAX, OFFER_LAPSES, OFFER_MAX, OFFERS_OF_PEER_MAX};
use carnet_domain::log::leaf::{Kind, Leaf};
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::machine::rule;
use carnet_domain::record::due::{Due, DueSubject};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Peer, Statement, TimeChange};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{Asking, OwnershipEnd, Pending, Robot};
use carnet_domain::rules::command::{Action, Command};
use carnet_kit::{Country, samples, text, transfer};

use crate::border::{admit, depart, permit, two};
use crate::rules::check;

const DAY: DurationMs = DurationMs::from_days(1);

/// Runs a rule at a country and answers how many leaves it wrote.
fn run(country: &mut Country, number: u16) -> u64 {
    let size = country.registry().tree.size();
    let answer = country.apply(Body::Rule { number, cursor: 0 });
    assert!(
        !matches!(answer.items[0], ItemAnswer::Refused { .. }),
        "{answer:?}"
    );
    country.registry().tree.size() - size
}

fn over(country: &mut Country) -> u64 {
    run(country, rule::OFFER_OVER)
}

fn peer(country: &Country, prefix: &Prefix) -> Peer {
    let Ok(peer) = country.ledger.peer(prefix);
    peer.expect("a peer")
}

fn transfer_of(country: &Country, number: u8) -> Transfer {
    let Ok(found) = country.ledger.transfer(&transfer(number));
    found.expect("a transfer")
}

fn robot(country: &Country, of: &Country, serial: u32) -> Robot {
    let Ok(robot) = country.ledger.robot(&of.code(serial));
    robot.expect("a robot")
}

/// Kinds of leaves from an index on.
fn kinds(country: &Country, from: u64) -> Vec<Kind> {
    let Ok(leaves) = country.ledger.leaves(from, u64::MAX, usize::MAX);
    let leaves = leaves.iter().map(|record| Leaf::from_bytes(&record.leaf.0));
    leaves
        .map(|leaf| leaf.expect("our own leaf").kind)
        .filter(|kind| *kind != Kind::MapHead)
        .collect()
}

/// Delivers both ways until nothing is new, and says whether anybody was told of a doubt.
fn settle_mail(a: &mut Country, b: &mut Country) {
    for _ in 0..3 {
        let (size_a, size_b) = (a.registry().tree.size(), b.registry().tree.size());
        a.deliver(b);
        b.deliver(a);
        assert!(!kinds(a, size_a).contains(&Kind::Nack), "86 doubts");
        assert!(!kinds(b, size_b).contains(&Kind::Nack), "49 doubts");
    }
}

#[test]
fn nothing_due_nothing_done() {
    let (mut a, b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let before = a.ledger.records_digest();
    assert_eq!(over(&mut a), 0);
    assert_eq!(run(&mut a, rule::RELEASE_OVER), 0);
    a.advance(DurationMs(2 * DAY.0));
    // An entry that names a place of a scan is not of these rules.
    let number = rule::OFFER_OVER;
    let answer = a.apply(Body::Rule { number, cursor: 1 });
    assert_eq!(answer.items, [ItemAnswer::Nothing {}]);
    assert_eq!(a.ledger.records_digest(), before);
}

/// A row that ends nothing any more is looked at once.
#[test]
fn a_row_of_nothing_goes() {
    let mut a = Country::with_market("86");
    let row = Due {
        rule: rule::OFFER_OVER,
        at: TimeMs(1),
        subject: DueSubject::Transfer { id: transfer(9) },
    };
    let Ok(()) = a.ledger.put_due(&row, true);
    assert_eq!(over(&mut a), 0);
    let Ok(left) = a.ledger.due(rule::OFFER_OVER, TimeMs::MAX, 10);
    assert_eq!(left, []);
}

/// Whoever is first: the exporter cancels what nobody permitted, the importer refuses what it did not answer, and neither
/// doubts the other.
#[test]
fn an_offer_that_nobody_permits_is_over_on_both_sides() {
    for first in ["exporter", "importer", "both"] {
        let (mut a, mut b) = two();
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        a.deliver(&mut b);
        for country in [&mut a, &mut b] {
            country.advance(DurationMs(DAY.0 + 60_000));
        }
        if first != "importer" {
            assert_eq!(over(&mut a), 1, "{first}");
            assert_eq!(over(&mut a), 0, "{first}: once");
        }
        if first != "exporter" {
            assert_eq!(over(&mut b), 1, "{first}");
        }
        settle_mail(&mut a, &mut b);
        // What the other one ended is over here too.
        assert_eq!((over(&mut a), over(&mut b)), (0, 0), "{first}");
        assert_eq!(peer(&a, &b.prefix).offers_made, 0, "{first}");
        assert_eq!(peer(&b, &a.prefix).offers_open, 0, "{first}");
        assert_eq!(robot(&a, &a, 1).custody.phase, Phase::Here {}, "{first}");
        let ending = transfer_of(&a, 1).ending.expect("over");
        assert_eq!(ending.step, Step::Cancel, "{first}");
        a.must("customs", a.declare(1, transfer(2), &b.prefix));
        settle_mail(&mut a, &mut b);
        b.must("customs", permit(&b, 2, Vec::new()));
        settle_mail(&mut a, &mut b);
        a.must("customs", depart(2));
    }
}

/// A permit whose date is that of the offer takes its row over: the offer's end does not take it away.
#[test]
fn a_permit_until_the_day_of_its_offer_ends_on_that_day() {
    let (mut a, mut b) = two();
    let offer = a.declare(1, transfer(1), &b.prefix);
    let Command::DeclareExport { offer_until, .. } = offer else {
        unreachable!("an offer");
    };
    a.must("customs", offer);
    a.deliver(&mut b);
    let permit = Command::PermitImport {
        transfer: transfer(1),
        depart_by: offer_until,
        conditions: Vec::new(),
    };
    b.must("customs", permit);
    b.deliver(&mut a);
    assert_eq!(transfer_of(&a, 1).ends_at, offer_until);
    a.advance(DurationMs(2 * DAY.0));
    assert_eq!(over(&mut a), 1);
    assert_eq!(
        transfer_of(&a, 1).ending.map(|it| it.step),
        Some(Step::Cancel)
    );
    assert_eq!(peer(&a, &b.prefix).offers_made, 0);
}

/// A permit that has run out is cancelled by the exporter. The importer keeps it, and no place for it: a departure in time
/// whose mail is late is still taken.
#[test]
fn a_permit_that_has_run_out_takes_no_place_and_its_late_departure_is_taken() {
    for departs in [false, true] {
        let (mut a, mut b) = two();
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        a.deliver(&mut b);
        b.must("customs", permit(&b, 1, Vec::new()));
        b.deliver(&mut a);
        if departs {
            a.must("customs", depart(1));
            assert_eq!(peer(&a, &b.prefix).offers_made, 0, "it is on its way");
        }
        a.advance(DurationMs(DAY.0 * 2));
        b.advance(DurationMs(DAY.0 * 2));
        // The offer's own date does not end what was permitted.
        assert_eq!((over(&mut a), over(&mut b)), (u64::from(!departs), 0));
        assert_eq!(peer(&b, &a.prefix).offers_open, 1);
        b.advance(OFFER_LAPSES);
        assert_eq!(over(&mut b), 0, "no leaf");
        assert_eq!(peer(&b, &a.prefix).offers_open, 0);
        let phase = transfer_of(&b, 1);
        assert!(phase.lapsed && phase.ending.is_none());
        settle_mail(&mut a, &mut b);
        assert_eq!(peer(&b, &a.prefix).offers_open, 0);
        match departs {
            true => b.must("customs", admit(1)),
            false => assert!(transfer_of(&b, 1).ending.is_some()),
        }
        assert_eq!(peer(&b, &a.prefix).offers_open, 0);
    }
}

/// Sixty-four at most, the earliest first, and the rest by the next entry.
#[test]
fn one_entry_ends_as_many_as_it_may() {
    let (mut a, b) = two();
    let count = DUE_MAX as u32 + 6;
    for serial in 2..=count {
        a.must("maker", a.register(serial));
    }
    for serial in 1..=count {
        let number = serial as u8;
        a.must("customs", a.declare(serial, transfer(number), &b.prefix));
    }
    assert_eq!(peer(&a, &b.prefix).offers_made, u64::from(count));
    a.advance(DurationMs(2 * DAY.0));
    assert_eq!(over(&mut a), DUE_MAX as u64);
    assert!(transfer_of(&a, 1).ending.is_some());
    assert!(transfer_of(&a, count as u8).ending.is_none());
    assert_eq!(over(&mut a), 6);
    assert_eq!(over(&mut a), 0);
    assert_eq!(peer(&a, &b.prefix).offers_made, 0);
}

/// A date in another century takes no place for ever.
#[test]
fn no_offer_stands_longer_than_a_year() {
    let (mut a, b) = two();
    let latest = a.clock.saturating_add(OFFER_MAX);
    let until = |at: TimeMs| match a.declare(1, transfer(1), &b.prefix) {
        Command::DeclareExport {
            code,
            transfer,
            to,
            purpose,
            agreement,
            papers,
            ..
        } => Command::DeclareExport {
            code,
            transfer,
            to,
            purpose,
            offer_until: at,
            agreement,
            papers,
        },
        _ => unreachable!("an offer"),
    };
    let (far, near) = (until(latest.saturating_add(DAY)), until(latest));
    check(&mut a, "maker", far, "DeadlinePassed: until …");
    check(&mut a, "customs", near, "done");
}

/// One enterprise never has more places than are left for all others, whatever it declares; a newcomer finds one.
#[test]
fn one_enterprise_takes_no_border() {
    let (mut a, b) = two();
    for serial in 2..=4 {
        a.must("maker", a.register(serial));
    }
    for serial in 3..=4 {
        let stock = crate::rules::act(&a, serial, samples::stock_at_dealer(&a));
        a.must("maker", stock);
    }
    a.must("maker", a.declare(1, transfer(1), &b.prefix));
    let maker = a.enterprise("0001");
    let own = |a: &Country| {
        let Ok(own) = a.ledger.offers_of(&b.prefix, &maker);
        own
    };
    assert_eq!(own(&a), 1);
    // As if many more of it waited.
    let half = OFFERS_OF_PEER_MAX / 2;
    let fill = |a: &mut Country, mine: u64, all: u64| {
        let Ok(()) = a.ledger.put_offers_of(&b.prefix, &maker, mine);
        let known = peer(a, &b.prefix);
        let Ok(()) = a.ledger.put_peer(Peer {
            offers_made: all,
            ..known
        });
    };
    fill(&mut a, half, half);
    let more = a.declare(2, transfer(2), &b.prefix);
    let said = format!("RecordFull: {half} offers of one enterprise that wait for an answer");
    check(&mut a, "maker", more.clone(), &said);
    fill(&mut a, half - 1, half - 1);
    check(&mut a, "maker", more, "done");
    assert_eq!(own(&a), half);
    // Whoever has none finds the last place.
    fill(&mut a, half, OFFERS_OF_PEER_MAX - 1);
    let third = a.declare(3, transfer(3), &b.prefix);
    check(&mut a, "dealer", third, "done");
    let said = format!("RecordFull: {OFFERS_OF_PEER_MAX} offers");
    let fourth = a.declare(4, transfer(4), &b.prefix);
    check(&mut a, "customs", fourth, &said);
    // What is cancelled gives its place back.
    let cancel = Command::CancelExport {
        transfer: transfer(1),
        reason: "x".into(),
    };
    a.must("customs", cancel);
    assert_eq!(own(&a), half - 1);
}

/// The same release, ended by the rule, stays ended when the roots set the clock back; and they wait for what is due.
#[test]
fn what_expired_stays_expired_when_time_is_repaired() {
    let mut a = crate::parties::sold();
    let release = samples::release(&a, a.code(1), None, Asking::Waits);
    a.must("owner", release);
    let pending = |a: &Country| robot(a, a, 1).pending;
    assert!(matches!(pending(&a), Pending::Released { .. }));
    let before = a.registry().log_time;
    assert_eq!(run(&mut a, rule::RELEASE_OVER), 0);
    a.advance(DurationMs::from_days(31));
    let change = |a: &Country| TimeChange {
        cluster: a.registry().cluster,
        number: 1,
        from: a.registry().log_time,
        to: before,
    };
    let repair = Statement::RepairTime { change: change(&a) };
    let said = text(&a.state_unrenewed(&repair));
    assert!(said.starts_with("DueFirst: "), "{said}");
    assert_eq!(run(&mut a, rule::RELEASE_OVER), 1);
    assert_eq!(pending(&a), Pending::Nothing {});
    let repair = Statement::RepairTime { change: change(&a) };
    assert_eq!(text(&a.state_unrenewed(&repair)), "done");
    a.clock = before;
    assert_eq!(pending(&a), Pending::Nothing {});
}

/// The fault: an order to skip an entry that runs a rule left the row at which the rules broke due, and the leader ran into it again
/// each second. The first order lets rules end one row an entry, the second takes out the one that the entry then names; no other
/// deadline is lost.
#[test]
fn a_skipped_rule_leaves_its_row_behind() {
    let mut a = with_three_offers();
    a.advance(DurationMs::from_days(2));
    let before = offers_due(&a);
    assert_eq!(before.len(), 3);
    let entry = ends_offers(a.clock);
    skip_it(&mut a, &entry);
    assert_eq!(offers_due(&a), before, "which row it was is not known yet");
    // One row an entry: the next is the one at which the rules break.
    assert_eq!(run(&mut a, rule::OFFER_OVER), 1);
    assert_eq!(offers_due(&a), before[1..]);
    skip_it(&mut a, &entry);
    assert_eq!(offers_due(&a), before[2..], "taken out, and nothing else");
    assert_eq!(run(&mut a, rule::OFFER_OVER), 1);
    assert_eq!(offers_due(&a), []);
}

/// A leader calls a row due by its own clock, which may be before any entry has moved log time: the second order finds the row all
/// the same. And where nothing breaks any more, an entry ends as many rows as ever.
#[test]
fn a_row_that_breaks_is_found_while_log_time_is_before_it() {
    let mut a = with_three_offers();
    let before = offers_due(&a);
    let last = before.iter().map(|row| row.at).max().expect("rows");
    let at = last.checked_add(DAY).expect("a time");
    let mut registry = a.registry();
    assert!(registry.log_time < before[0].at, "log time is before it");
    registry.ceiling = at;
    let Ok(()) = a.ledger.put_registry(registry);
    let entry = ends_offers(at);
    skip_it(&mut a, &entry);
    assert_eq!(offers_due(&a), before, "which row it was is not known yet");
    assert!(a.registry().due_singly);
    skip_it(&mut a, &entry);
    assert_eq!(offers_due(&a), before[1..], "taken out, and nothing else");
    assert!(!a.registry().due_singly);
    // Once more, and this time nothing breaks in the end.
    skip_it(&mut a, &entry);
    a.clock = at;
    let ended = [run(&mut a, rule::OFFER_OVER), run(&mut a, rule::OFFER_OVER)];
    assert_eq!((ended, offers_due(&a).len()), ([1, 1], 0));
    assert!(!a.registry().due_singly);
}

/// A country that offers three robots to another.
fn with_three_offers() -> Country {
    let (mut a, b) = two();
    for (serial, number) in [(1, 1), (2, 2), (3, 3)] {
        if serial != 1 {
            a.must("maker", a.register(serial));
        }
        let declared = a.declare(serial, transfer(number), &b.prefix);
        a.must("maker", declared);
    }
    a
}

/// Rows of offers whose time will be over.
fn offers_due(a: &Country) -> Vec<Due> {
    let Ok(rows) = a.ledger.due(rule::OFFER_OVER, TimeMs::MAX, 9);
    rows
}

/// An entry that ends them.
fn ends_offers(at: TimeMs) -> Vec<u8> {
    let entry = carnet_domain::machine::entry::Entry {
        stamp: carnet_domain::machine::entry::Stamp {
            at,
            seed: carnet_domain::log::leaf::EntrySeed([7; 32]),
        },
        body: Body::Rule {
            number: rule::OFFER_OVER,
            cursor: 0,
        },
    };
    entry.to_bytes()
}

fn skip_it(a: &mut Country, entry: &[u8]) {
    let order = carnet_domain::machine::order::Skip {
        cluster: a.registry().cluster,
        log_index: 7,
        entry: order_digest(entry),
    };
    let signed = carnet_domain::record::peer::Signed {
        signatures: vec![order.sign(&a.key("root-0")), order.sign(&a.key("root-1"))],
        ..order.unsigned()
    };
    let order = carnet_domain::machine::order::judge(&signed, Some(&a.registry()));
    let order = order.expect("signed").for_entry(7, &order_digest(entry));
    let order = order.expect("about this entry");
    let Ok(()) = carnet_domain::machine::skip(&mut a.ledger, &order, entry);
}

fn order_digest(entry: &[u8]) -> carnet_domain::bytes::digest::Digest {
    carnet_domain::machine::order::entry_digest(entry)
}

/// What is replaced or over keeps no row: nobody fills the index by saying the same thing anew.
#[test]
fn what_is_over_leaves_no_row() {
    let rows = |country: &Country, number: u16| {
        let Ok(rows) = country.ledger.due(number, TimeMs::MAX, 99);
        rows.len()
    };
    let mut a = crate::parties::sold();
    for _ in 0..3 {
        let release = samples::release(&a, a.code(1), None, Asking::Waits);
        a.must("owner", release);
        assert_eq!(rows(&a, rule::RELEASE_OVER), 1);
    }
    let taken_back = Command::Act {
        code: a.code(1),
        expected_sequence: None,
        action: Action::EndOwnershipRequest {
            end: OwnershipEnd::Cancelled,
            reason: String::new(),
        },
    };
    a.must("owner", taken_back);
    assert_eq!(rows(&a, rule::RELEASE_OVER), 0);
    let (mut a, mut b) = two();
    let cancel = |number| Command::CancelExport {
        transfer: transfer(number),
        reason: "x".into(),
    };
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    assert_eq!(rows(&a, rule::OFFER_OVER), 1);
    a.must("customs", cancel(1));
    assert_eq!(rows(&a, rule::OFFER_OVER), 0);
    a.must("customs", a.declare(1, transfer(2), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 2, vec![]));
    b.deliver(&mut a);
    assert_eq!(
        (rows(&a, rule::OFFER_OVER), rows(&b, rule::OFFER_OVER)),
        (1, 1)
    );
    a.must("customs", depart(2));
    a.deliver(&mut b);
    assert_eq!(
        (rows(&a, rule::OFFER_OVER), rows(&b, rule::OFFER_OVER)),
        (0, 0)
    );
}
