//! What one signer puts into the mailbox of a peer is counted where it is written: nobody here holds up what the others have
//! to tell, and an honest reader never falls behind an honest writer.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{
    LEAVES_A_MINUTE_MAX, MAIL_ITEMS_A_MINUTE_MAX, NACKS_A_MINUTE_MAX, OFFERS_A_MINUTE_MAX,
    OFFERS_MADE_A_MINUTE_MAX, OFFERS_MADE_BYTES_MAX, OFFERS_OF_PEER_MAX, REPORTS_A_MINUTE_MAX,
    TOLD_A_MINUTE_MAX, TOLD_BYTES_MAX,
};
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::told::{Minute, Told, ToldBy};
use carnet_domain::record::{ApprovalStatus, EnterpriseStatus, Holder, Severity};
use carnet_domain::rules::command::{Command, Purpose};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::rejection::Counted;
use carnet_kit::samples::recall;
use carnet_kit::{Country, text, transfer};

use crate::border::two;
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

/// Whether `to` takes the whole mailbox of `from` at once.
fn is_read(from: &mut Country, to: &mut Country) -> bool {
    from.close();
    let Ok(peer) = from.ledger.peer(&to.prefix);
    let outbox = peer.expect("a peer").outbox;
    let answers = from.deliver(to);
    let Ok(peer) = to.ledger.peer(&from.prefix);
    let refused = |answer: &ItemAnswer| matches!(answer, ItemAnswer::Refused { .. });
    peer.expect("a peer").cursor == outbox && !answers.iter().any(refused)
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

fn stolen(a: &Country, serial: u8) -> Command {
    Command::SetHold {
        code: a.code(u32::from(serial)),
        kind: HoldKind::Theft,
        reason: "from the hall".into(),
    }
}

#[test]
fn one_enterprise_offers_no_more_than_it_leaves_to_the_others() {
    let half = u8::try_from(OFFERS_MADE_A_MINUTE_MAX / 2).expect("it fits");
    let (mut a, mut b) = stocked(half + 4);
    next_minute(&mut a);
    let all = offers(&a, &b.prefix, 1..=half + 2);
    let said = asked(&mut a, "maker", &all);
    let over = format!("MinuteLimit: {half} told 49 in this minute, too many items");
    assert_eq!(said.last(), Some(&(over.clone(), 2)));
    // Offered and taken back, it was told all the same; the end of what was told is no new offer.
    let ends: Vec<Command> = (1..=half)
        .map(|number| Command::CancelExport {
            transfer: transfer(number),
            reason: String::new(),
        })
        .collect();
    let said = asked(&mut a, "maker", &ends);
    assert_eq!(said, [("done".to_owned(), usize::from(half))]);
    let again = a.declare(u32::from(half) + 1, transfer(200), &b.prefix);
    check(&mut a, "maker", again.clone(), &over);
    // An office has its own share, and what is reported goes on.
    let mut offices = a.declare(u32::from(half) + 3, transfer(201), &b.prefix);
    if let Command::DeclareExport { purpose, .. } = &mut offices {
        // For good, the owner's side declares it.
        *purpose = Purpose::Exhibition;
    }
    check(&mut a, "customs", offices, "done");
    let theft = stolen(&a, half + 4);
    check(&mut a, "registrar", theft, "done");
    assert!(is_read(&mut a, &mut b), "all of it is read at once");
    next_minute(&mut a);
    check(&mut a, "maker", again, "done");
}

#[test]
fn one_enterprise_tells_all_no_more_than_it_leaves_to_the_others() {
    let (mut a, mut b) = two();
    a.must("maker", recall(&a, "R1", Severity::StopUse));
    next_minute(&mut a);
    let half = TOLD_A_MINUTE_MAX / 2;
    let Command::OpenRecall { notice, models, .. } = recall(&a, "R1", Severity::StopUse) else {
        unreachable!("a recall");
    };
    let amended = |number: u64| Command::AmendRecall {
        notice: notice.clone(),
        models: models.clone(),
        remedy: format!("the {number}th remedy"),
        reason: "x".into(),
    };
    let many: Vec<Command> = (0..half + 3).map(amended).collect();
    let said = asked(&mut a, "maker", &many);
    let over = format!("MinuteLimit: {half} told everybody in this minute, too many items");
    assert_eq!(said.last(), Some(&(over, 3)));
    let theft = stolen(&a, 1);
    check(&mut a, "registrar", theft, "done");
    assert!(is_read(&mut a, &mut b));
    next_minute(&mut a);
    check(&mut a, "maker", amended(0), "done");
    // Where there are no peers there is nobody to spare.
    let mut alone = Country::with_market("86");
    alone.must("maker", recall(&alone, "R1", Severity::StopUse));
    next_minute(&mut alone);
    let said = asked(&mut alone, "maker", &many);
    assert_eq!(said, [("done".to_owned(), many.len())]);
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
    let news = 2 * TOLD_A_MINUTE_MAX;
    assert!(2 * offers <= OFFERS_A_MINUTE_MAX);
    assert!(2 * news <= REPORTS_A_MINUTE_MAX);
    // Of an offer of ours there is one more step of ours; of one to us a permit, its end, and an arrival.
    let steps = 2 * offers + 3 * OFFERS_A_MINUTE_MAX.min(offers);
    assert!(steps + news <= LEAVES_A_MINUTE_MAX);
    // A nack of what the reader said is read, and writes nothing there.
    assert!(steps + news + NACKS_A_MINUTE_MAX <= MAIL_ITEMS_A_MINUTE_MAX);
    // What rules end on one day was offered before, and is read in two minutes.
    const { assert!(OFFERS_OF_PEER_MAX <= 2 * LEAVES_A_MINUTE_MAX) };
}

#[test]
fn a_share_is_what_is_left_for_the_others() {
    let told = |items, bytes| Told { items, bytes };
    let max = told(10, 100);
    let over = |own, all, more| Told::is_over(own, all, more, max);
    assert_eq!(over(told(4, 4), told(4, 4), told(1, 1)), None);
    let items = Some(Counted::MailItems);
    assert_eq!(over(told(5, 5), told(5, 5), told(1, 1)), items);
    assert_eq!(over(told(0, 0), told(9, 9), told(1, 1)), None);
    assert_eq!(over(told(0, 0), told(10, 9), told(1, 1)), items);
    let bytes = Some(Counted::MailBytes);
    assert_eq!(over(told(1, 50), told(1, 50), told(1, 1)), bytes);
    assert_eq!(over(told(0, 0), told(1, 50), told(1, 51)), bytes);
    assert_eq!(over(told(0, 0), told(1, 50), told(1, 50)), None);
    assert!(OFFERS_MADE_BYTES_MAX.min(TOLD_BYTES_MAX) > 0);
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
    assert_eq!(by.offered(&to), told(2, 4));
    assert_eq!(by.at(TimeMs(at.0 + 60_000)).offered(&to), told(0, 0));
}
