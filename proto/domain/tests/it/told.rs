//! What one signer puts into the mailbox of a peer is counted where it is written: nobody here holds up what the others have
//! to tell, and an honest reader never falls behind an honest writer.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{
    ALARMS_A_MINUTE_MAX, ALARMS_BYTES_MAX, LEAVES_A_MINUTE_MAX, MAIL_BYTES_A_MINUTE_MAX,
    MAIL_ITEMS_A_MINUTE_MAX, NACKS_A_MINUTE_MAX, OFFERS_A_MINUTE_MAX, OFFERS_MADE_A_MINUTE_MAX,
    OFFERS_MADE_BYTES_MAX, OFFERS_OF_PEER_MAX, PARTS_OF_A_MINUTE, REPORTS_A_MINUTE_MAX,
    RESERVED_OF_A_MINUTE, TOLD_A_MINUTE_MAX, TOLD_BYTES_MAX,
};
use carnet_domain::log::leaf::{EntrySeed, Leaf, Subject};
use carnet_domain::machine::entry::{Body, Entry, ItemAnswer, Stamp};
use carnet_domain::machine::order::{Skip, entry_digest, judge};
use carnet_domain::machine::{self, RULES};
use carnet_domain::record::due::DueSubject;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Signed;
use carnet_domain::record::told::{Line, Minute, Told, ToldBy};
use carnet_domain::record::{ApprovalStatus, EnterpriseStatus, Holder, Severity};
use carnet_domain::rules::command::{Command, Purpose};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::rejection::Counted;
use carnet_kit::samples::{recall, recall_id};
use carnet_kit::{Country, text, transfer};

use crate::border::{export, two};
use crate::rules::check;

/// Waits for the beginning of a minute: the next entries are all of one.
fn next_minute(country: &mut Country) {
    let past = country.clock.0 % 60_000;
    country.advance(DurationMs(60_000 - past));
}

/// The answers to commands of one request, each said once with how often it follows itself.
fn asked(country: &mut Country, who: &str, commands: &[Command]) -> Vec<(String, usize)> {
    let request = country.request(who, commands);
    let mut said: Vec<(String, usize)> = Vec::new();
    for answer in country.ask(request).items.iter().map(text) {
        match said.last_mut() {
            Some((last, count)) if *last == answer => *count += 1,
            _ => said.push((answer, 1)),
        }
    }
    said
}

/// Whether `to` takes the whole mailbox of `from` within one minute, in as many messages as it takes.
fn is_read(from: &mut Country, to: &mut Country) -> bool {
    from.close();
    let Ok(peer) = from.ledger.peer(&to.prefix);
    let outbox = peer.expect("a peer").outbox;
    let refused = |answer: &ItemAnswer| matches!(answer, ItemAnswer::Refused { .. });
    for _ in 0..9 {
        let answers = from.deliver(to);
        let Ok(peer) = to.ledger.peer(&from.prefix);
        if answers.iter().any(refused) {
            return false;
        }
        if peer.expect("a peer").cursor == outbox {
            return true;
        }
    }
    false
}

/// 86 with robots 2 to `last` beside robot 1.
fn stocked(last: u8) -> (Country, Country) {
    let (mut a, b) = two();
    let more: Vec<Command> = (2..=u32::from(last))
        .map(|serial| a.register(serial))
        .collect();
    let done = vec![("done".to_owned(), more.len())];
    assert_eq!(asked(&mut a, "maker", &more), done);
    (a, b)
}

fn offers(a: &Country, to: &Prefix, serials: std::ops::RangeInclusive<u8>) -> Vec<Command> {
    let offer = |serial| a.declare(u32::from(serial), transfer(serial), to);
    serials.map(offer).collect()
}

fn stolen(a: &Country, serial: u32) -> Command {
    Command::SetHold {
        code: a.code(serial),
        kind: HoldKind::Theft,
        reason: "from the hall".into(),
    }
}

/// What an enterprise here offered a peer in the minute, set to a number of items.
fn has_offered(a: &mut Country, to: &Prefix, items: u64) {
    let id = a.enterprise("0001");
    let holder = Holder::Enterprise { id };
    let Ok(own) = a.ledger.told_by(&holder);
    let mut own = own.unwrap_or_default().at(a.clock);
    own.offer(*to, Told { items, bytes: 0 });
    let Ok(()) = a.ledger.put_told_by(&holder, own);
    let Ok(peer) = a.ledger.peer(to);
    let mut peer = peer.expect("a peer");
    peer.told = peer.told.at(a.clock);
    let all = peer.told.of(&holder);
    *all = all.and(Told { items, bytes: 0 });
    let Ok(()) = a.ledger.put_peer(peer);
}

/// What an order to skip took the row of does not wait any more: what is said of the same thing later is told.
#[test]
fn news_whose_row_was_skipped_are_not_silent_for_ever() {
    let (mut a, b) = two();
    next_minute(&mut a);
    let mut registry = a.registry();
    registry.told = registry.told.at(a.clock);
    registry.told.offices_alarms.told = Told {
        items: ALARMS_A_MINUTE_MAX,
        bytes: 0,
    };
    let Ok(()) = a.ledger.put_registry(registry);
    a.must("registrar", stolen(&a, 1));
    next_minute(&mut a);
    let number = Line::OfficesAlarms.rule();
    let stamp = Stamp {
        at: a.clock,
        seed: EntrySeed([1; 32]),
    };
    let body = Body::Rule { number, cursor: 0 };
    let entry = Entry { stamp, body }.to_bytes();
    // The first has rules end one row an entry, the second takes the row out.
    for index in [77, 78] {
        let skip = Skip {
            cluster: a.registry().cluster,
            log_index: index,
            entry: entry_digest(&entry),
        };
        let signatures = ["root-0", "root-1"].map(|root| skip.sign(&a.key(root)));
        let signed = Signed {
            signatures: signatures.to_vec(),
            ..skip.unsigned()
        };
        let order = judge(&signed, Some(&a.registry())).expect("the threshold signed");
        let order = order.for_entry(index, &entry_digest(&entry));
        let Ok(()) = machine::skip(&mut a.ledger, &order.expect("its entry"), &entry);
    }
    let outbox = |a: &Country| {
        let Ok(peer) = a.ledger.peer(&b.prefix);
        peer.expect("a peer").outbox
    };
    let before = outbox(&a);
    a.must("customs", stolen(&a, 1));
    next_minute(&mut a);
    for number in RULES {
        a.apply(Body::Rule { number, cursor: 0 });
    }
    assert_eq!(outbox(&a), before + 1);
}

#[test]
fn a_truck_is_offered_at_once() {
    let (mut a, mut b) = stocked(250);
    next_minute(&mut a);
    let all = offers(&a, &b.prefix, 1..=250);
    let said = asked(&mut a, "maker", &all);
    assert_eq!(said, [("done".to_owned(), 250)]);
    assert!(is_read(&mut a, &mut b), "all of it is read at once");
}

#[test]
fn one_enterprise_offers_no_more_than_it_leaves_to_the_others() {
    let (mut a, mut b) = stocked(6);
    next_minute(&mut a);
    has_offered(&mut a, &b.prefix, 998);
    let all = offers(&a, &b.prefix, 1..=4);
    let said = asked(&mut a, "maker", &all);
    let over = "MinuteLimit: 1000 told 49 in this minute, too many items";
    assert_eq!(said, [("done".to_owned(), 2), (over.to_owned(), 2)]);
    // Offered and taken back, it was told all the same; the end of what was told is no new offer.
    let ends: Vec<Command> = (1..=2)
        .map(|number| Command::CancelExport {
            transfer: transfer(number),
            reason: String::new(),
        })
        .collect();
    let said = asked(&mut a, "maker", &ends);
    assert_eq!(said, [("done".to_owned(), 2)]);
    let again = a.declare(3, transfer(200), &b.prefix);
    check(&mut a, "maker", again.clone(), over);
    // An office has its own part, and what is reported goes on.
    let mut offices = a.declare(5, transfer(201), &b.prefix);
    if let Command::DeclareExport { purpose, .. } = &mut offices {
        // For good, the owner's side declares it.
        *purpose = Purpose::Exhibition;
    }
    check(&mut a, "customs", offices, "done");
    let theft = stolen(&a, 6);
    check(&mut a, "registrar", theft, "done");
    assert!(is_read(&mut a, &mut b), "all of it is read at once");
    next_minute(&mut a);
    check(&mut a, "maker", again, "done");
}

/// The leaves that wait to be told, by line.
fn waiting(a: &Country) -> [usize; 4] {
    [7, 8, 9, 10].map(|number| {
        let Ok(due) = a.ledger.due(number, TimeMs::MAX, usize::MAX);
        due.len()
    })
}

/// Runs the rules of all lines, as often as a leader would within a minute, and says how much was told to 49.
fn tell(a: &mut Country, to: &Prefix) -> u64 {
    let outbox = |a: &Country| {
        let Ok(peer) = a.ledger.peer(to);
        peer.expect("a peer").outbox
    };
    let before = outbox(a);
    for number in RULES {
        for _ in 0..8 {
            let answer = a.apply(Body::Rule { number, cursor: 0 });
            assert_eq!(answer.items, [ItemAnswer::Nothing {}]);
        }
    }
    outbox(a) - before
}

fn amended(a: &Country, number: u64) -> Command {
    let Command::OpenRecall { notice, models, .. } = recall(a, "R1", Severity::StopUse) else {
        unreachable!("a recall");
    };
    Command::AmendRecall {
        notice,
        models,
        remedy: format!("the {number}th remedy"),
        reason: "x".into(),
    }
}

fn is_stolen(x: &Country, of: &Country, serial: u32) -> bool {
    let Ok(robot) = x.ledger.robot(&of.code(serial));
    let robot = robot.expect("a robot");
    robot.holds.iter().any(|hold| hold.kind == HoldKind::Theft)
}

#[test]
fn what_is_said_again_and_again_is_told_once() {
    let (mut a, mut b) = two();
    a.must("maker", recall(&a, "R1", Severity::StopUse));
    next_minute(&mut a);
    let outbox = |a: &Country, b: &Country| {
        let Ok(peer) = a.ledger.peer(&b.prefix);
        peer.expect("a peer").outbox
    };
    let before = outbox(&a, &b);
    let many: Vec<Command> = (0..TOLD_A_MINUTE_MAX + 20)
        .map(|number| amended(&a, number))
        .collect();
    let count = many.len();
    // Every one of them is done here.
    let said = asked(&mut a, "maker", &many);
    assert_eq!(said, [("done".to_owned(), count)]);
    assert_eq!(outbox(&a, &b) - before, TOLD_A_MINUTE_MAX / 5 * 4);
    assert_eq!(waiting(&a), [0, 0, 1, 0]);
    // No room for more within this minute.
    assert_eq!(tell(&mut a, &b.prefix), 0);
    next_minute(&mut a);
    assert_eq!(tell(&mut a, &b.prefix), 1);
    assert_eq!((waiting(&a), tell(&mut a, &b.prefix)), ([0; 4], 0));
    assert!(is_read(&mut a, &mut b));
    let Ok(told) = b.ledger.recall(&recall_id(&a, "R1"));
    let last = format!("the {}th remedy", count - 1);
    assert_eq!(told.expect("told").remedy, last);
    // Where there are no peers there is nobody to spare.
    let mut alone = Country::with_market("86");
    alone.must("maker", recall(&alone, "R1", Severity::StopUse));
    next_minute(&mut alone);
    let said = asked(&mut alone, "maker", &many);
    assert_eq!(
        (said, waiting(&alone)),
        (vec![("done".to_owned(), count)], [0; 4])
    );
}

/// A theft is one at home at once, however much was told already: it is told within the minute, or as soon as one has room.
#[test]
fn a_theft_waits_for_nobody_at_home_and_is_told_in_the_end() {
    let (mut a, mut b) = stocked(3);
    for serial in 1..=3u8 {
        export(&mut a, &mut b, u32::from(serial), serial);
    }
    next_minute(&mut a);
    // Amendments take nothing of it.
    let many: Vec<Command> = (0..300).map(|number| amended(&a, number)).collect();
    a.must("maker", recall(&a, "R1", Severity::StopUse));
    asked(&mut a, "maker", &many);
    let before = waiting(&a);
    a.must("registrar", stolen(&a, 1));
    assert_eq!(waiting(&a), before, "told at once");
    // The whole minute of alarms of offices is used up: by eight in turn, or by one.
    let registry = |a: &mut Country, items| {
        let mut registry = a.registry();
        registry.told = registry.told.at(a.clock);
        registry.told.offices_alarms.told = Told { items, bytes: 0 };
        let Ok(()) = a.ledger.put_registry(registry);
    };
    registry(&mut a, ALARMS_A_MINUTE_MAX);
    a.must("registrar", stolen(&a, 2));
    assert!(is_stolen(&a, &a, 2));
    assert_eq!(waiting(&a)[1], 1);
    let lifted = Command::LiftHold {
        code: a.code(2),
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    // Lifted and set again it waits once, in its place, and what is told is how it stands then.
    a.must("registrar", lifted);
    a.must("registrar", stolen(&a, 3));
    a.must("registrar", stolen(&a, 2));
    assert_eq!(waiting(&a)[1], 2);
    next_minute(&mut a);
    tell(&mut a, &b.prefix);
    assert_eq!(waiting(&a)[1], 0);
    assert!(is_read(&mut a, &mut b));
    assert!((1..=3).all(|serial| is_stolen(&b, &a, serial)));
    // What was lifted after it was told waits behind nothing.
    let lifted = Command::LiftHold {
        code: a.code(3),
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    a.must("registrar", lifted);
    assert!(is_read(&mut a, &mut b));
    assert!(!is_stolen(&b, &a, 3));
}

/// One key can say a great deal, and take it back: what it said closes nobody's mail, and is undone as fast as it was done.
#[test]
fn what_is_taken_back_before_it_was_told_is_not_told() {
    let (mut a, mut b) = stocked(250);
    export(&mut a, &mut b, 250, 1);
    next_minute(&mut a);
    let holds = |set: bool, serials: std::ops::RangeInclusive<u32>| -> Vec<Command> {
        let code = |serial| a.code(serial);
        let one = |serial| match set {
            true => stolen(&a, serial),
            false => Command::LiftHold {
                code: code(serial),
                kind: HoldKind::Theft,
                reason: "in error".into(),
            },
        };
        serials.map(one).collect()
    };
    let (set, lifted) = (holds(true, 1..=250), holds(false, 1..=250));
    let said = asked(&mut a, "customs", &set);
    assert_eq!(said, [("done".to_owned(), 250)]);
    // Four fifths of the minute, and what stays within a part.
    let told = usize::try_from(ALARMS_A_MINUTE_MAX / 5 * 4).expect("it fits");
    assert_eq!(waiting(&a), [0, 250 - told, 0, 0]);
    let said = asked(&mut a, "customs", &lifted);
    assert_eq!(said, [("done".to_owned(), 250)]);
    // Of the one that is abroad its country may have seen it: it hears that it is over. The others that were told hear it, too.
    assert_eq!(waiting(&a), [0, told + 1, 0, 0]);
    // Others are not behind them.
    a.must("registrar", stolen(&a, 7));
    next_minute(&mut a);
    for _ in 0..2 {
        tell(&mut a, &b.prefix);
        assert!(is_read(&mut a, &mut b));
        next_minute(&mut a);
    }
    assert_eq!(waiting(&a), [0; 4]);
    assert!(!is_stolen(&b, &a, 250));
}

/// A stop over the minute is told to the issuer later, and so is its end: nothing that was told is taken back untold.
#[test]
fn a_stop_over_the_minute_is_told_later_and_so_is_its_lift() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let kind = HoldKind::RegulatorStop;
    let (set, lift) = (
        Command::SetHold {
            code,
            kind,
            reason: "recall".into(),
        },
        Command::LiftHold {
            code,
            kind,
            reason: "mended".into(),
        },
    );
    let stands = |a: &Country| {
        let Ok(robot) = a.ledger.robot(&code);
        let robot = robot.expect("a robot");
        robot.holds.iter().any(|hold| hold.kind == kind)
    };
    for (command, after) in [(set, true), (lift, false)] {
        next_minute(&mut b);
        let mut registry = b.registry();
        registry.told = registry.told.at(b.clock);
        registry.told.offices_alarms.told.items = ALARMS_A_MINUTE_MAX;
        let Ok(()) = b.ledger.put_registry(registry);
        check(&mut b, "regulator", command, "done");
        assert_eq!((stands(&b), waiting(&b)), (after, [0, 1, 0, 0]));
        assert!(is_read(&mut b, &mut a));
        assert_eq!(stands(&a), !after, "not told yet");
        next_minute(&mut b);
        assert_eq!(tell(&mut b, &a.prefix), 1);
        assert!(is_read(&mut b, &mut a));
        assert_eq!((stands(&a), waiting(&b)), (after, [0; 4]));
    }
}

/// A country of 40 robots, and its neighbour: the minute of its offices is full, and a registrar has said of 39 that they are stolen.
fn fleet_waits() -> (Country, Country) {
    let (mut a, b) = stocked(40);
    next_minute(&mut a);
    let mut registry = a.registry();
    registry.told = registry.told.at(a.clock);
    registry.told.offices_alarms.told.items = ALARMS_A_MINUTE_MAX;
    let Ok(()) = a.ledger.put_registry(registry);
    let many: Vec<Command> = (1..=39).map(|serial| stolen(&a, serial)).collect();
    asked(&mut a, "registrar", &many);
    (a, b)
}

/// The ninth of nine who tell as much as they can is told as soon as the first: whoever waits has one turn after the other.
#[test]
fn nobody_in_a_line_goes_before_another_twice() {
    let (mut a, _) = fleet_waits();
    a.must("customs", stolen(&a, 40));
    let Ok(rows) = a.ledger.due(8, TimeMs::MAX, 99);
    assert_eq!(rows.len(), 40);
    let place = |serial: u32| {
        let mut rows = rows.iter().enumerate();
        rows.find_map(|(place, row)| {
            let DueSubject::News { about } = row.subject else {
                return None;
            };
            let Ok(news) = a.ledger.untold(&about);
            let Ok(leaf) = a.ledger.leaf(news?.leaf);
            let leaf = Leaf::from_bytes(&leaf?.leaf.0).ok()?;
            (leaf.key == Subject::robot(&a.code(serial)).key()).then_some(place)
        })
    };
    assert!(place(40).expect("it waits") <= 1, "{:?}", place(40));
}

/// What two say of one thing waits in the better of their places: behind whoever reported a whole fleet, an office's own first word is
/// not.
#[test]
fn a_word_on_what_waits_already_waits_no_longer_than_its_own_would() {
    let (mut a, b) = fleet_waits();
    let theirs = |a: &Country, code| {
        let Ok(rows) = a.ledger.due(8, TimeMs::MAX, 99);
        let place = rows.iter().position(|row| {
            let DueSubject::News { about } = row.subject else {
                return false;
            };
            let Ok(news) = a.ledger.untold(&about);
            let Ok(leaf) = a.ledger.leaf(news.expect("it waits").leaf);
            let leaf = Leaf::from_bytes(&leaf.expect("written").leaf.0);
            leaf.is_ok_and(|leaf| leaf.key == Subject::robot(&code).key())
        });
        (place.expect("it waits"), rows.len())
    };
    let last = a.code(39);
    assert_eq!(theirs(&a, last), (38, 39));
    a.must("customs", stolen(&a, 39));
    let (place, rows) = theirs(&a, last);
    assert!(place <= 1, "{place}");
    assert_eq!(rows, 39, "one row a thing");
    // What is said of it anew by who waits longer moves nothing back.
    let lifted = Command::LiftHold {
        code: last,
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    a.must("registrar", lifted);
    assert_eq!(theirs(&a, last), (place, 39));
    next_minute(&mut a);
    tell(&mut a, &b.prefix);
    assert_eq!(waiting(&a), [0; 4]);
}

/// Two offices report and take back what they reported in every order, in full minutes and in others: abroad it stands in the end as
/// it stands at home.
#[test]
fn a_theft_stands_abroad_as_it_stands_at_home_in_whatever_order_it_was_told() {
    let (mut begun, mut abroad) = two();
    export(&mut begun, &mut abroad, 1, 1);
    let code = begun.code(1);
    let setters = |x: &Country| {
        let Ok(robot) = x.ledger.robot(&code);
        let holds = robot.expect("a robot").holds.into_iter();
        let holds = holds.filter(|hold| hold.kind == HoldKind::Theft);
        let mut by: Vec<String> = holds.map(|hold| hold.setter.to_string()).collect();
        by.sort();
        by
    };
    let lifted = Command::LiftHold {
        code,
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    let steps = [
        ("registrar", stolen(&begun, 1)),
        ("customs", stolen(&begun, 1)),
        ("registrar", lifted.clone()),
        ("customs", lifted),
    ];
    // Four steps of four, told at once or waiting, by the bits of a number.
    for order in 0..256_usize {
        for waits in [0b0000, 0b1111, 0b0001, 0b1110, 0b0110_usize] {
            let (mut a, mut b) = (begun.clone(), abroad.clone());
            for place in 0..4 {
                next_minute(&mut a);
                if waits >> place & 1 == 1 {
                    let mut registry = a.registry();
                    registry.told = registry.told.at(a.clock);
                    registry.told.offices_alarms.told.items = ALARMS_A_MINUTE_MAX;
                    let Ok(()) = a.ledger.put_registry(registry);
                }
                let (who, command) = &steps[order >> (2 * place) & 3];
                a.command(who, command.clone());
            }
            next_minute(&mut a);
            for number in RULES {
                a.apply(Body::Rule { number, cursor: 0 });
            }
            assert_eq!(waiting(&a), [0; 4]);
            is_read(&mut a, &mut b);
            assert_eq!(
                setters(&b),
                setters(&a),
                "order {order:08b}, waits {waits:04b}"
            );
        }
    }
}

/// An amendment by which a recall becomes graver is an alarm, and what waits of it becomes one.
#[test]
fn a_recall_that_becomes_a_stop_waits_among_alarms() {
    let (mut a, _) = two();
    a.must("maker", recall(&a, "R1", Severity::Advisory));
    next_minute(&mut a);
    let mut registry = a.registry();
    registry.told = registry.told.at(a.clock);
    registry.told.enterprises_alarms.told.items = ALARMS_A_MINUTE_MAX;
    registry.told.enterprises_notices.told.items = TOLD_A_MINUTE_MAX;
    let Ok(()) = a.ledger.put_registry(registry);
    let amended = |severity, remedy: &str| {
        let Command::OpenRecall { notice, models, .. } =
            recall(&Country::unborn("86"), "R1", severity)
        else {
            unreachable!("a recall");
        };
        Command::AmendRecall {
            notice,
            models,
            remedy: remedy.into(),
            reason: "worse than it seemed".into(),
        }
    };
    a.must("maker", amended(Severity::Advisory, "look at the battery"));
    assert_eq!(waiting(&a), [0, 0, 1, 0]);
    a.must("maker", amended(Severity::StopUse, "take it out"));
    assert_eq!(waiting(&a), [1, 0, 0, 0]);
    // It waits there whatever is said of it then.
    a.must("maker", amended(Severity::StopUse, "take the battery out"));
    assert_eq!(waiting(&a), [1, 0, 0, 0]);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let (mut a, _) = two();
    a.must("maker", recall(&a, "R1", Severity::StopUse));
    let Command::OpenRecall {
        notice,
        models,
        remedy,
    } = recall(&a, "R1", Severity::StopUse)
    else {
        unreachable!("a recall");
    };
    let same = Command::AmendRecall {
        notice,
        models,
        remedy,
        reason: "x".into(),
    };
    let Ok(enterprise) = a.ledger.enterprise(&a.enterprise("0001"));
    let enterprise = enterprise.expect("accredited");
    let (reason, id) = (|| "x".to_owned(), enterprise.id);
    let amended = Command::AmendEnterprise {
        id,
        name: enterprise.name.clone(),
        roles: enterprise.roles.clone(),
        valid_from: enterprise.valid_from,
        valid_to: enterprise.valid_to,
        reason: reason(),
    };
    let stands = Command::SetEnterpriseStatus {
        id,
        status: EnterpriseStatus::Active,
        reason: reason(),
    };
    let approved = Command::SetModelStatus {
        id: a.code(1).model_id(),
        status: ApprovalStatus::Approved,
        reason: reason(),
    };
    let size = a.registry().tree.size();
    check(&mut a, "maker", same, "NothingChanges: recall …");
    check(&mut a, "registrar", amended, "NothingChanges: …");
    check(&mut a, "registrar", stands, "NothingChanges: …");
    check(&mut a, "registrar", approved, "NothingChanges: …");
    assert_eq!(a.registry().tree.size(), size);
}

/// The sums of what an honest registry writes, against what an honest reader takes; those of two minutes of the writer within
/// one of the reader are held by the compiler, beside the limits.
#[test]
fn what_is_written_within_a_minute_is_read_within_a_minute() {
    let offers = 2 * OFFERS_MADE_A_MINUTE_MAX;
    let news = 2 * (ALARMS_A_MINUTE_MAX + TOLD_A_MINUTE_MAX);
    assert!(2 * offers <= OFFERS_A_MINUTE_MAX);
    assert!(2 * news <= REPORTS_A_MINUTE_MAX);
    let bytes = OFFERS_MADE_BYTES_MAX + ALARMS_BYTES_MAX + TOLD_BYTES_MAX;
    assert!(2 * 2 * bytes <= MAIL_BYTES_A_MINUTE_MAX / 2);
    // Of an offer of ours there is one more step of ours; of one to us a permit, its end, and an arrival.
    let steps = 2 * offers + 3 * OFFERS_A_MINUTE_MAX.min(offers);
    assert!(steps + news <= LEAVES_A_MINUTE_MAX);
    // A nack of what the reader said is read, and writes nothing there.
    assert!(steps + news + NACKS_A_MINUTE_MAX <= MAIL_ITEMS_A_MINUTE_MAX);
    // What rules end on one day was offered before, and is read in two minutes.
    const { assert!(OFFERS_OF_PEER_MAX <= 2 * LEAVES_A_MINUTE_MAX) };
}

#[test]
fn a_part_is_everybodys_and_beyond_it_one_takes_what_is_left() {
    let told = |items, bytes| Told { items, bytes };
    let max = told(100, 1_000);
    let over = |own, all, more| Told::is_over(own, all, more, max);
    assert_eq!(over(told(79, 0), told(79, 0), told(1, 1)), None);
    let items = Some(Counted::MailItems);
    assert_eq!(over(told(80, 0), told(80, 0), told(1, 1)), items);
    // A fiftieth each, while there is any.
    assert_eq!(over(told(1, 1), told(98, 9), told(1, 1)), None);
    assert_eq!(over(told(2, 1), told(98, 9), told(1, 1)), items);
    assert_eq!(over(told(0, 0), told(100, 9), told(1, 1)), items);
    let bytes = Some(Counted::MailBytes);
    assert_eq!(over(told(1, 0), told(1, 800), told(1, 21)), bytes);
    assert_eq!(over(told(1, 0), told(1, 800), told(1, 20)), None);
    let no_end = over(told(1, 0), told(1, u64::MAX), told(1, u64::MAX));
    assert_eq!(no_end, bytes);
    // Ten parts are kept.
    assert_eq!(PARTS_OF_A_MINUTE / RESERVED_OF_A_MINUTE, 10);
    // Another minute, before or after, begins anew.
    let holder = Holder::Office {
        name: "customs/hq".into(),
    };
    let at = TimeMs(60_000 * 7);
    let mut minute = Minute::default().at(at);
    *minute.of(&holder) = told(3, 3);
    assert_eq!(*minute.at(TimeMs(at.0 + 59_999)).of(&holder), told(3, 3));
    assert_eq!(*minute.at(TimeMs(at.0 + 60_000)).of(&holder), told(0, 0));
    assert_eq!(*minute.at(TimeMs(at.0 - 1)).of(&holder), told(0, 0));
    let to = Prefix::parse("49").expect("a prefix");
    let mut by = ToldBy::default().at(at);
    by.offer(to, told(1, 2));
    by.offer(to, told(1, 2));
    by.notices_place = 3;
    assert_eq!(by.offered(&to), told(2, 4));
    let later = by.at(TimeMs(at.0 + 60_000));
    assert_eq!((later.offered(&to), later.notices_place), (told(0, 0), 3));
}
