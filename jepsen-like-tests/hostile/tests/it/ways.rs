//! Ways that lead round somebody: what a chain shows of steps that were not told, and what it does not.

use carnet_domain::bytes::code::Code;
use carnet_domain::custody::{Doubt, Phase, Step};
use carnet_domain::log::leaf::{Kind, Slots, leaf_bytes_hash};
use carnet_domain::machine::entry::{ChainRun, ProvenLeaf};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::transfer::{Ending, Transfer};
use carnet_domain::rules::command::{Command, Purpose};
use carnet_domain::rules::rejection::{Detail, Reason};
use carnet_hostile::judge::nacked;
use carnet_hostile::liar::{kinds_since, last_leaf, last_said, lies, link, say, step_slots};
use carnet_hostile::scene::{
    admit, bring, depart, export, offer, permit, recognition, robot, three, waiting,
};
use carnet_kit::{Country, befriend, text, transfer};

use crate::chains::{accepts_thirds, goes_on, onward, phase};

fn cancelled(number: u8) -> Command {
    Command::CancelExport {
        transfer: transfer(number),
        reason: String::new(),
    }
}

/// A robot of 86 that 49 has, offers to 81 and offers no more, and gives to 44; 81 heard of the offer alone. Beside it what 86 disclosed of
/// it, and 49's departure with the head that it was shown under.
struct Elsewhere {
    issuer: Country,
    third: Country,
    asked: Country,
    code: Code,
    disclosed: Slots,
    departed: (String, ProvenLeaf),
}

fn elsewhere() -> Elsewhere {
    let (mut issuer, mut holder, mut asked) = three();
    let mut third = Country::with_market("44");
    for other in [&mut issuer, &mut holder, &mut asked] {
        befriend(other, &mut third);
    }
    accepts_thirds(&mut holder, &mut asked, &issuer);
    accepts_thirds(&mut holder, &mut third, &issuer);
    let code = issuer.code(1);
    issuer.must("customs", offer(&issuer, &holder, code, 1));
    let disclosed = last_said(&issuer, &holder.prefix);
    issuer.deliver(&mut holder);
    holder.must("customs", permit(&holder, 1, Vec::new()));
    holder.deliver(&mut issuer);
    issuer.must("customs", depart(1));
    issuer.deliver(&mut holder);
    holder.must("customs", admit(1));
    holder.deliver(&mut issuer);
    holder.must("customs", onward(&holder, &asked, code, 2));
    holder.deliver(&mut asked);
    holder.must("customs", cancelled(2));
    holder.deliver(&mut asked);
    goes_on(&mut holder, &mut third, code, 3);
    let told = waiting(&mut holder, &issuer);
    let departed = told.items.last().expect("a departure").proven.clone();
    holder.deliver(&mut issuer);
    third.deliver(&mut issuer);
    issuer.deliver(&mut asked);
    Elsewhere {
        issuer,
        third,
        asked,
        code,
        disclosed,
        departed: (told.checkpoint, departed),
    }
}

/// That whoever had a robot gave it to somebody does not say that its issuer has it.
#[test]
fn a_departure_to_another_country_gives_its_issuer_no_robot() {
    let mut of = elsewhere();
    let (liar, asked, code) = (&mut of.issuer, &mut of.asked, of.code);
    let (me, to) = (liar.prefix, asked.prefix);
    let (note, departed) = of.departed;
    let gone = leaf_bytes_hash(&departed.leaf.0);
    let offered = link(Step::Offer, 90, 4, &me, &to, gone);
    let event = offer(liar, asked, code, 90);
    say(
        liar,
        Kind::Custody,
        &code,
        step_slots(&code, &offered, &event),
        &to,
    );
    let taken_back = link(Step::Cancel, 90, 4, &me, &to, last_leaf(liar, &code));
    let slots = step_slots(&code, &taken_back, &cancelled(90));
    say(liar, Kind::Custody, &code, slots, &to);
    let again = link(Step::Offer, 91, 5, &me, &to, last_leaf(liar, &code));
    let mut slots: Slots = of.disclosed;
    slots.set(slot::CUSTODY, &again);
    slots.set(slot::EVENT, &offer(liar, asked, code, 91));
    say(liar, Kind::Custody, &code, slots, &to);
    let mut batch = lies(liar, asked);
    let count = batch.items.len();
    let own = batch.items[count - 3..count - 1].iter();
    let own = own.map(|item| item.proven.clone()).collect();
    let mut last = batch.items.pop().expect("an offer");
    let Ok(peer) = asked.ledger.peer(&me);
    last.sequence = peer.expect("a peer").cursor;
    last.chain = vec![
        ChainRun {
            checkpoint: note,
            leaves: vec![departed],
        },
        ChainRun {
            checkpoint: String::new(),
            leaves: own,
        },
    ];
    batch.items = vec![last];
    let doubt = Doubt::AnotherBefore;
    nacked(
        asked,
        batch,
        Reason::TransferEnded,
        Detail::Doubtful { doubt },
    );
    assert!(matches!(phase(&of.third, &code), Phase::Here {}));
}

/// The one that has it by what is proven is heard all the same, and so is the issuer once it has it again.
#[test]
fn a_robot_that_was_handed_on_comes_from_whoever_has_it() {
    let mut of = elsewhere();
    let (issuer, third, asked, code) = (&mut of.issuer, &mut of.third, &mut of.asked, of.code);
    third.must("customs", offer(third, issuer, code, 4));
    third.deliver(issuer);
    issuer.must("customs", permit(issuer, 4, Vec::new()));
    issuer.deliver(third);
    third.must("customs", depart(4));
    third.deliver(issuer);
    issuer.must("customs", admit(4));
    issuer.deliver(third);
    issuer.must("customs", offer(issuer, asked, code, 5));
    issuer.deliver(asked);
    assert!(matches!(phase(asked, &code), Phase::Asked { .. }));
}

/// What ended a release may be told by the way home alone, where whoever took it in is heard no more.
#[test]
fn a_robot_comes_home_from_behind_a_country_that_fell_silent() {
    let (mut a, mut b, mut c) = three();
    accepts_thirds(&mut b, &mut c, &a);
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    b.must("customs", admit(1));
    // From here on 86 hears nothing of 49.
    goes_on(&mut b, &mut c, code, 2);
    assert!(matches!(phase(&a, &code), Phase::Released { .. }));
    c.must("customs", offer(&c, &a, code, 3));
    let size = a.registry().tree.size();
    c.deliver(&mut a);
    // Its permit and admission waited for what they rest on, which the way home told.
    let told = kinds_since(&a, size);
    let moved = told.iter().filter(|kind| **kind == Kind::Foreign).count();
    assert_eq!(moved, 1, "{told:?}");
    assert!(
        told.iter()
            .all(|kind| matches!(kind, Kind::Foreign | Kind::Nack))
    );
    assert!(matches!(phase(&a, &code), Phase::Asked { .. }));
    assert!(robot(&a, &code).admitted_abroad);
    let Ok(released) = a.ledger.transfer(&transfer(1));
    let ending = released.and_then(|it: Transfer| it.ending);
    assert!(matches!(
        ending,
        Some(Ending {
            step: Step::Admit,
            ..
        })
    ));
    a.must("customs", permit(&a, 3, Vec::new()));
    a.deliver(&mut c);
    c.must("customs", depart(3));
    c.deliver(&mut a);
    a.must("customs", admit(3));
    assert!(matches!(phase(&a, &code), Phase::Here {}));
    // What 49 says of it at last is known, and no news.
    let (size, records) = (a.registry().tree.size(), phase(&a, &code));
    b.deliver(&mut a);
    let told = kinds_since(&a, size);
    assert!(told.iter().all(|kind| *kind == Kind::Nack), "{told:?}");
    assert_eq!(phase(&a, &code), records);
    let Ok(peer) = a.ledger.peer(&b.prefix);
    assert!(!peer.expect("a peer").quarantined);
}

/// What an offer that was permitted came to may be told by the chain of the next one.
#[test]
fn an_offer_that_ended_unheard_holds_up_no_other() {
    let (mut a, mut b, mut c) = three();
    accepts_thirds(&mut b, &mut c, &a);
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    a.deliver(&mut c);
    b.must("customs", onward(&b, &c, code, 2));
    b.deliver(&mut c);
    c.must("customs", permit(&c, 2, Vec::new()));
    // 81 hears no more of 49, which takes the offer back and sends the robot home.
    b.must("customs", cancelled(2));
    bring(&mut b, &mut a, code, 3, Purpose::PermanentExport);
    a.must("customs", admit(3));
    assert!(matches!(phase(&c, &code), Phase::Permitted { .. }));
    a.must("customs", offer(&a, &c, code, 4));
    a.deliver(&mut c);
    assert!(matches!(phase(&c, &code), Phase::Asked { transfer: of, .. } if of == transfer(4)));
    let Ok(taken_back) = c.ledger.transfer(&transfer(2));
    let ending = taken_back.and_then(|it: Transfer| it.ending);
    let ending = ending.expect("it is over");
    assert_eq!(ending.step, Step::Cancel);
}

/// The steps of a country stand under its head of today, whoever showed them to it.
#[test]
fn a_robot_that_was_here_twice_goes_on_after_our_key_made_way() {
    let (mut a, mut b, mut c) = three();
    accepts_thirds(&mut b, &mut c, &a);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    goes_on(&mut b, &mut c, code, 2);
    goes_on(&mut c, &mut b, code, 3);
    b.rotate_log("log", "log-2");
    let anew = recognition(&mut b);
    for other in [&mut a, &mut c] {
        assert_eq!(text(&other.state(&anew)), "done");
    }
    b.must("customs", onward(&b, &c, code, 4));
    b.deliver(&mut c);
    assert!(matches!(phase(&c, &code), Phase::Asked { .. }));
}
