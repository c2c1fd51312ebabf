//! Forks of a robot's custody have an exit: the roots here say which of two leaves counts, and nobody else.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::custody::movement::EvidenceRef;
use carnet_domain::custody::{Link, Phase, Step};
use carnet_domain::limits::{
    MAIL_BYTES_A_MINUTE_MAX, MAIL_ITEMS_A_MINUTE_MAX, PARKED_OF_ROBOT_MAX, SETTLED_OF_PEER_MAX,
};
use carnet_domain::log::leaf::{Kind, Slots, leaf_bytes_hash};
use carnet_domain::machine::entry::{Body, ItemAnswer, MailItem};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Bundle, OpenFork, Peer, Statement};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::rejection::{Counted, Detail, Reason};
use carnet_hostile::judge::{harmless, nack_at, reason_of, statement_refused};
use carnet_hostile::liar::{kinds_since, last_leaf, last_said, lies, link, say, step_slots};
use carnet_hostile::scene::{admit, d, depart, export, offer, permit, robot, two};
use carnet_kit::{Country, text, transfer};

use crate::belief::{cancel, peer_of, recognise};

fn transfer_of(country: &Country, number: u8) -> Transfer {
    let Ok(found) = country.ledger.transfer(&transfer(number));
    found.expect("a transfer")
}

fn fork(b: &Country, a: &Country) -> OpenFork {
    peer_of(b, &a.prefix).fork.expect("a fork")
}

fn settle(a: &Country, fork: u64, counts: Digest) -> Statement {
    Statement::Settle {
        peer: a.prefix,
        fork,
        counts,
        reason: "both countries compared their logs".into(),
    }
}

fn hear(a: &mut Country, b: &mut Country) -> Vec<Kind> {
    let size = b.registry().tree.size();
    let batch = lies(a, b);
    b.apply(Body::Foreign { batch });
    kinds_since(b, size)
}

/// The offer of transfer 1 by 86 at 49, and then one of the same epoch: two leaves of which one can be.
pub(crate) fn offered_twice() -> (Country, Country) {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let mut slots = last_said(&a, &b.prefix);
    a.deliver(&mut b);
    let before = transfer_of(&b, 1).evidence.expect("the offer").link;
    let before = before.expect("a link").prev;
    let again = link(Step::Offer, 2, 1, &a.prefix, &b.prefix, before);
    slots.set(slot::CUSTODY, &again);
    slots.set(slot::EVENT, &offer(&a, &b, code, 2));
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    assert_eq!(hear(&mut a, &mut b), [Kind::ForkEvidence]);
    assert!(peer_of(&b, &a.prefix).quarantined);
    (a, b)
}

/// Puts a leaf that 86 said before into its mailbox once more, as the next item.
fn say_again(a: &mut Country, b: &mut Country, leaf: Digest) -> ItemAnswer {
    let known = peer_of(b, &a.prefix);
    a.close();
    let mut batch = a.lying_mail(&b.prefix, known.size_seen, 0);
    let said = |item: &MailItem| leaf_bytes_hash(&item.proven.leaf.0) == leaf;
    let mut item = batch.items.into_iter().find(said).expect("it was said");
    item.sequence = known.cursor;
    batch.items = vec![item];
    b.apply(Body::Foreign { batch }).items.remove(0)
}

/// The one that forked fills the places with a later step of its own, so that the oldest makes way; a registrar gives it up. It
/// is taken by neither.
#[test]
fn a_fork_is_decided_neither_by_full_places_nor_by_a_registrar() {
    let (mut a, mut b) = offered_twice();
    let code = a.code(1);
    let open = fork(&b, &a);
    let slots = step_slots(
        &code,
        &link(Step::Cancel, 1, 1, &a.prefix, &b.prefix, open.first),
        &cancel(1),
    );
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    let item = peer_of(&b, &a.prefix).cursor;
    assert_eq!(hear(&mut a, &mut b), [Kind::Nack]);
    let Ok(kept) = b.ledger.parked(&a.prefix, item);
    let cancelled = kept.expect("it waits").evidence.leaf;
    let discard = Command::DiscardParked {
        peer: a.prefix,
        item,
        reason: "not believed".into(),
    };
    assert_eq!(reason_of(&mut b, "registrar", discard), Reason::Parked);
    for _ in 0..=PARKED_OF_ROBOT_MAX {
        say_again(&mut a, &mut b, cancelled);
    }
    let Ok(first) = b.ledger.parked(&a.prefix, item);
    assert_eq!(first, None, "the oldest made way");
    assert_eq!(robot(&b, &code).custody.link, open.first);
    assert!(transfer_of(&b, 1).ending.is_none());
}

/// By the leaf that was taken first nothing moves, and the other one is no evidence any more.
#[test]
fn a_fork_is_settled_by_the_leaf_that_was_taken() {
    let (mut a, mut b) = offered_twice();
    let code = a.code(1);
    let open = fork(&b, &a);
    let known = robot(&b, &code);
    assert_eq!((open.code, open.first), (code, known.custody.link));
    // Which of the two the robot's later steps rest on nobody has said: they wait.
    let slots = step_slots(
        &code,
        &link(Step::Cancel, 1, 1, &a.prefix, &b.prefix, open.first),
        &cancel(1),
    );
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    assert_eq!(hear(&mut a, &mut b), [Kind::Nack]);
    let nack = nack_at(&b, b.registry().tree.size() - 1).expect("a nack");
    assert_eq!(nack.reason, Reason::Parked);
    assert_eq!(nack.detail, Detail::Forked { code });

    let statement = settle(&a, open.recorded, open.first);
    let size = b.registry().tree.size();
    assert_eq!(text(&b.state(&statement)), "done");
    // And are read now.
    assert_eq!(kinds_since(&b, size), [Kind::Policy, Kind::Foreign]);
    let peer = peer_of(&b, &a.prefix);
    assert_eq!((peer.quarantined, &peer.fork), (false, &None));
    assert_eq!(peer.settled, [open.second]);
    assert!(transfer_of(&b, 1).ending.is_some());
    // New offers are taken again.
    a.must("maker", a.register(2));
    a.must("customs", a.declare(2, transfer(3), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 3, Vec::new()));
    // The other leaf, said again, quarantines nobody.
    let size = b.registry().tree.size();
    let answer = say_again(&mut a, &mut b, open.second);
    assert!(!matches!(answer, ItemAnswer::Refused { .. }), "{answer:?}");
    assert!(!kinds_since(&b, size).contains(&Kind::ForkEvidence));
    assert!(!peer_of(&b, &a.prefix).quarantined);
    // One statement settles one fork, once.
    let detail = Detail::ForkAt {
        peer: a.prefix,
        leaf: None,
    };
    statement_refused(&mut b, &statement, Reason::StatementStale, detail);
}

/// By the other leaf its transfer is over, and the country that wrote it goes on from there.
#[test]
fn a_fork_is_settled_by_the_other_leaf() {
    let (mut a, mut b) = offered_twice();
    let code = a.code(1);
    let open = fork(&b, &a);
    assert_eq!(peer_of(&b, &a.prefix).offers_open, 1);
    let size = b.registry().tree.size();
    assert_eq!(
        text(&b.state(&settle(&a, open.recorded, open.second))),
        "done"
    );
    // What moved the robot's chain shows by which leaf of theirs.
    let moved = kinds_since(&b, size);
    let at = moved.iter().position(|kind| *kind == Kind::Foreign);
    let at = size + at.expect("a step") as u64;
    let Ok(record) = b.ledger.leaf(at);
    let values = record.expect("a leaf").values;
    let shown = values[usize::from(slot::EVIDENCE)].clone();
    let shown = Vec::<EvidenceRef>::from_bytes(&shown.expect("evidence").0).expect("a list");
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].leaf, open.second);
    let peer = peer_of(&b, &a.prefix);
    assert_eq!((peer.quarantined, peer.offers_open), (false, 0));
    assert_eq!(peer.settled, [open.first]);
    assert!(transfer_of(&b, 1).ending.is_some());
    let Ok(chain) = b.ledger.loose_chain(&code);
    let chain = chain.expect("a chain").chain;
    assert_eq!((chain.link, chain.epoch), (open.second, 1));
    assert_eq!(chain.phase, Phase::Elsewhere {});
    assert_eq!(chain.responsible_abroad(), Some(a.prefix));
    // Nothing of the first offer goes on.
    let late = permit(&b, 1, Vec::new());
    let reason = reason_of(&mut b, "customs", late);
    assert_eq!(reason, Reason::TransferEnded);
    // The next offer names the cancel of the second, and is taken.
    let gone = link(Step::Cancel, 2, 1, &a.prefix, &b.prefix, open.second);
    let slots = step_slots(&code, &gone, &cancel(2));
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    hear(&mut a, &mut b);
    assert!(!peer_of(&b, &a.prefix).quarantined);
}

/// Whoever signs for less than the roots, names another leaf, another fork, or a log with two histories.
#[test]
fn a_fork_is_settled_by_the_roots_alone_and_by_one_of_its_leaves() {
    let (a, mut b) = offered_twice();
    let open = fork(&b, &a);
    let (first, second) = (open.first, open.second);
    let statement = settle(&a, open.recorded, d("another leaf"));
    let detail = Detail::NeitherLeaf { first, second };
    statement_refused(&mut b, &statement, Reason::Malformed, detail);
    let statement = settle(&a, open.recorded + 1, first);
    let leaf = Some(open.recorded);
    let peer = a.prefix;
    let detail = Detail::ForkAt { peer, leaf };
    statement_refused(&mut b, &statement, Reason::StatementStale, detail);
    // One root of two.
    let mut signed = b.sign_statement(&settle(&a, open.recorded, first));
    signed.signatures.truncate(1);
    let answer = harmless(&mut b, Body::Root { signed }).remove(0);
    assert!(text(&answer).starts_with("StatementUnsigned"), "{answer:?}");
    // Those of the country that wrote both.
    let signed = a.sign_statement(&settle(&a, open.recorded, first));
    let answer = harmless(&mut b, Body::Root { signed }).remove(0);
    assert!(text(&answer).starts_with("StatementUnsigned"), "{answer:?}");
    let known = peer_of(&b, &a.prefix);
    let Ok(()) = b.ledger.put_peer(Peer {
        split: true,
        ..known
    });
    let statement = settle(&a, open.recorded, first);
    let detail = Detail::Prefix { prefix: a.prefix };
    statement_refused(&mut b, &statement, Reason::PeerQuarantined, detail);
}

/// How 49 answers the settlement by a leaf that our own admission speaks against.
pub(crate) fn against_what_was_done_here() -> ItemAnswer {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let mut slots = last_said(&a, &b.prefix);
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, Vec::new()));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    a.deliver(&mut b);
    b.must("customs", admit(1));
    let evidence: Option<EvidenceRef> = transfer_of(&b, 1).evidence;
    let departed: Link = evidence.expect("the departure").link.expect("a link");
    let cancelled = link(Step::Cancel, 1, 1, &a.prefix, &b.prefix, departed.prev);
    slots.set(slot::CUSTODY, &cancelled);
    slots.set(slot::EVENT, &cancel(1));
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    assert_eq!(hear(&mut a, &mut b), [Kind::ForkEvidence]);
    let open = fork(&b, &a);
    let statement = settle(&a, open.recorded, open.second);
    let answer = b.state(&statement);
    let step = Step::Cancel;
    statement_refused(
        &mut b,
        &statement,
        Reason::NotSettled,
        Detail::SettledBy { step },
    );
    // By the first it is, and the robot stays.
    assert_eq!(
        text(&b.state(&settle(&a, open.recorded, open.first))),
        "done"
    );
    assert_eq!(robot(&b, &code).custody.phase, Phase::Here {});
    answer
}

#[test]
fn what_rests_on_the_first_leaf_is_not_taken_away() {
    let answer = against_what_was_done_here();
    assert!(text(&answer).starts_with("NotSettled"), "{answer:?}");
}

/// What is remembered as settled is bounded: the oldest makes way.
#[test]
fn settled_leaves_are_counted() {
    let (a, mut b) = offered_twice();
    let open = fork(&b, &a);
    let known = peer_of(&b, &a.prefix);
    let old: Vec<Digest> = (0..SETTLED_OF_PEER_MAX)
        .map(|n| d(&n.to_string()))
        .collect();
    let Ok(()) = b.ledger.put_peer(Peer {
        settled: old.clone(),
        ..known
    });
    b.state(&settle(&a, open.recorded, open.first));
    let settled = peer_of(&b, &a.prefix).settled;
    assert_eq!(settled.len(), SETTLED_OF_PEER_MAX);
    assert_eq!(settled.first(), old.get(1));
    assert_eq!(settled.last(), Some(&open.second));
}

/// An older life of a log was closed: only a higher one ends what was signed twice.
#[test]
fn no_older_life_of_a_log_is_taken() {
    let (a, mut b) = offered_twice();
    let of = |sequence, incarnation| Bundle {
        incarnation,
        ..a.bundle_of(sequence)
    };
    let newer = recognise(&a, &of(2, 2));
    assert_eq!(text(&b.state(&newer)), "done");
    assert!(!peer_of(&b, &a.prefix).quarantined);
    let older = recognise(&a, &of(3, 1));
    let detail = Detail::LifeKnown { new: 1, known: 2 };
    statement_refused(&mut b, &older, Reason::StatementStale, detail);
}

/// What changes nothing is counted: the same leaf under new numbers, again and again, makes the feed wait; and it costs
/// no walk through the robot's trail.
#[test]
fn what_changes_nothing_is_counted_too() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    let cursor = peer_of(&b, &a.prefix).cursor;
    let offered = transfer_of(&b, 1).evidence.expect("the offer").leaf;
    let answer = say_again(&mut a, &mut b, offered);
    assert_eq!(answer, ItemAnswer::Nothing {});
    let heard = peer_of(&b, &a.prefix).heard;
    assert!(heard.items >= 1 && heard.bytes > 0, "{heard:?}");
    let known = peer_of(&b, &a.prefix);
    assert_eq!(known.cursor, cursor + 1);
    let mut full = known.clone();
    full.heard.items = MAIL_ITEMS_A_MINUTE_MAX;
    full.heard.minute = b.clock.0 / 60_000;
    let Ok(()) = b.ledger.put_peer(full);
    let answer = say_again(&mut a, &mut b, offered);
    let ItemAnswer::Refused { rejection } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(rejection.reason, Reason::PeerPaused);
    let (peer, what, max) = (a.prefix, Counted::MailItems, MAIL_ITEMS_A_MINUTE_MAX);
    assert_eq!(rejection.detail, Detail::InAMinute { peer, what, max });
    assert_eq!(peer_of(&b, &a.prefix).cursor, known.cursor, "it waits");
    b.advance(DurationMs::from_secs(61));
    assert_eq!(say_again(&mut a, &mut b, offered), ItemAnswer::Nothing {});
    // The same of their bytes.
    let mut full = peer_of(&b, &a.prefix);
    full.heard.bytes = MAIL_BYTES_A_MINUTE_MAX;
    let Ok(()) = b.ledger.put_peer(full);
    let answer = say_again(&mut a, &mut b, offered);
    let ItemAnswer::Refused { rejection } = answer else {
        panic!("{answer:?}")
    };
    let (what, max) = (Counted::MailBytes, MAIL_BYTES_A_MINUTE_MAX);
    assert_eq!(rejection.detail, Detail::InAMinute { peer, what, max });
}

/// A robot of ours at 86, which offers it home, and in the same epoch once more.
struct Forked {
    /// 86, where it is.
    a: Country,
    /// Whose robot it is, and who has the evidence.
    b: Country,
    code: Code,
    /// Of the second offer.
    slots: Slots,
    epoch: u64,
    open: OpenFork,
}

/// The second offer is to `to`; to its home, if that is none.
fn forked_on_its_way_home(to: Option<Prefix>) -> Forked {
    let (mut a, mut b) = two();
    b.must("maker", b.register(1));
    let code = b.code(1);
    export(&mut b, &mut a, code, 1);
    let home = offer(&a, &b, code, 2);
    a.must("customs", home);
    let mut slots = last_said(&a, &b.prefix);
    a.deliver(&mut b);
    let first = transfer_of(&b, 2).evidence.expect("the offer").link;
    let first = first.expect("a link");
    let (epoch, prev) = (first.epoch, first.prev);
    let to = to.unwrap_or(b.prefix);
    let again = link(Step::Offer, 3, epoch, &a.prefix, &to, prev);
    slots.set(slot::CUSTODY, &again);
    slots.set(slot::EVENT, &offer(&a, &b, code, 3));
    say(&mut a, Kind::Custody, &code, slots.clone(), &b.prefix);
    assert_eq!(hear(&mut a, &mut b), [Kind::ForkEvidence]);
    let open = fork(&b, &a);
    Forked {
        a,
        b,
        code,
        slots,
        epoch,
        open,
    }
}

/// A step that is another country's to write is nobody's word in the log of the one that forked: behind the fork it waits nowhere, so that
/// no full place has it followed, and a settlement goes on by none of it.
#[test]
fn behind_a_fork_nobody_signs_for_others() {
    for third in [false, true] {
        let to = third.then(|| Country::unborn("81").prefix);
        let Forked {
            mut a,
            mut b,
            code,
            epoch,
            open,
            ..
        } = forked_on_its_way_home(to);
        let to = to.unwrap_or(b.prefix);
        let accepted = link(Step::Accept, 3, epoch, &a.prefix, &to, open.second);
        let item = peer_of(&b, &a.prefix).cursor;
        let slots = step_slots(&code, &accepted, &permit(&b, 3, Vec::new()));
        say(&mut a, Kind::Custody, &code, slots, &b.prefix);
        let forged = last_leaf(&a, &code);
        hear(&mut a, &mut b);
        let peer = peer_of(&b, &a.prefix);
        assert_eq!(peer.cursor, item + 1, "it is read");
        let Ok(waits) = b.ledger.parked(&a.prefix, item);
        assert_eq!(waits, None, "third: {third}");
        for _ in 0..=PARKED_OF_ROBOT_MAX {
            say_again(&mut a, &mut b, forged);
        }
        let statement = settle(&a, open.recorded, open.second);
        assert_eq!(text(&b.state(&statement)), "done");
        let known = robot(&b, &code).custody;
        assert_eq!(known.link, open.second, "third: {third}");
    }
}

/// A robot of ours at 86, which offers it home, and home again in the same epoch: then cancels and offers, over and over. However
/// many of those steps wait, whichever leaf counts, none is lost: the chain goes on to the newest.
#[test]
fn steps_behind_a_fork_are_not_lost_however_many() {
    for by_second in [false, true] {
        let Forked {
            mut a,
            mut b,
            code,
            mut slots,
            mut epoch,
            open,
        } = forked_on_its_way_home(None);
        let (mut newest, mut number) = match by_second {
            true => (open.second, 3),
            false => (open.first, 2),
        };
        for _ in 0..=PARKED_OF_ROBOT_MAX {
            let cancelled = link(Step::Cancel, number, epoch, &a.prefix, &b.prefix, newest);
            let step = step_slots(&code, &cancelled, &cancel(number));
            say(&mut a, Kind::Custody, &code, step, &b.prefix);
            newest = last_leaf(&a, &code);
            hear(&mut a, &mut b);
            (number, epoch) = (number + 2, epoch + 1);
            let offered = link(Step::Offer, number, epoch, &a.prefix, &b.prefix, newest);
            slots.set(slot::CUSTODY, &offered);
            slots.set(slot::EVENT, &offer(&a, &b, code, number));
            say(&mut a, Kind::Custody, &code, slots.clone(), &b.prefix);
            newest = last_leaf(&a, &code);
            hear(&mut a, &mut b);
        }
        let counts = match by_second {
            true => open.second,
            false => open.first,
        };
        let statement = settle(&a, open.recorded, counts);
        assert_eq!(text(&b.state(&statement)), "done");
        let known = robot(&b, &code).custody;
        assert_eq!(known.link, newest, "{by_second}: {known:?}");
        assert_eq!(known.epoch, epoch);
        // The newest of them is an offer to us as any other, and the robot comes home by it.
        let asked = permit(&b, number, Vec::new());
        assert_eq!(text(&b.command("customs", asked)), "done", "{by_second}");
    }
}
