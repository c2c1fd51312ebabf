//! What is proven and cannot be taken yet waits, is tried again, and makes way in the end: nothing that an honest registry
//! said is lost because it came early, and nothing that a liar says grows without bound.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical, Encoder};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::custody::movement::EvidenceRef;
use carnet_domain::custody::{Doubt, Phase, Step};
use carnet_domain::limits::{
    MAIL_ITEM_BYTES_MAX, PARKED_BEHIND_MAX, PARKED_OF_PEER_MAX, PARKED_OF_ROBOT_MAX,
};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Kind, Slots, Subject, leaf_bytes_hash};
use carnet_domain::machine::entry::{Body, ItemAnswer, Knows, LargeItem};
use carnet_domain::record::event::slot;
use carnet_domain::record::keys::{GoodHead, KeyStep};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Peer, Statement};
use carnet_domain::record::{Parked, ParkedPlace};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::rejection::{Counted, Detail, Reason, Rejection};
use carnet_hostile::judge::{nack_at, nacked, reason_of, refused, unproven};
use carnet_hostile::liar::{
    kinds_since, last_leaf, lies, link, say, say_ended, say_of, step_slots,
};
use carnet_hostile::scene::{admit, d, depart, export, offer, permit, robot, three, two, waiting};
use carnet_kit::{Country, text, transfer};

use crate::chains::{onward, passed_on};

fn places(country: &Country, peer: &Prefix) -> Vec<ParkedPlace> {
    let Ok(places) = country.ledger.parked_of(peer);
    places
}

fn parked(country: &Country, place: &ParkedPlace) -> Parked {
    let Ok(parked) = country.ledger.parked(&place.peer, place.item);
    parked.expect("what is listed is kept")
}

/// The newest leaf of a country, which is a nack.
fn told(country: &Country) -> Rejection {
    nack_at(country, country.registry().tree.size() - 1).expect("a nack")
}

/// Takes all of what a liar says, a minute for as much as is answered in one.
fn hear(from: &mut Country, to: &mut Country) {
    for _ in 0..4 {
        let batch = lies(from, to);
        if batch.items.is_empty() {
            return;
        }
        to.apply(Body::Foreign { batch });
        to.advance(DurationMs::from_secs(61));
    }
    panic!("the feed goes on");
}

/// Says something of a kind that nobody knows.
fn say_unknown(liar: &mut Country, to: &Prefix) {
    let subject = Subject::jurisdiction(&liar.prefix);
    say_of(liar, 28, subject, Slots::new(), to);
}

/// How 49 answers so many leaves of a kind that it does not know: its last nack.
pub(crate) fn kept(count: usize) -> ItemAnswer {
    let (mut a, mut b) = two();
    (0..count).for_each(|_| say_unknown(&mut a, &b.prefix));
    hear(&mut a, &mut b);
    let rejection = told(&b);
    ItemAnswer::Refused { rejection }
}

/// Says something that is larger than any item may be.
fn say_much(liar: &mut Country, to: &Prefix) {
    let subject = Subject::jurisdiction(&liar.prefix);
    let mut slots = Slots::new();
    slots.values[usize::from(slot::EVENT)] = Some(vec![0; MAIL_ITEM_BYTES_MAX]);
    // Of a kind that there is: the rest of the mail comes as an honest registry sends it.
    say_of(liar, Kind::Hold.number(), subject, slots, to);
}

/// How 49 answers something of that size.
pub(crate) fn too_large() -> ItemAnswer {
    let (mut a, mut b) = two();
    say_much(&mut a, &b.prefix);
    a.close();
    let batch = a.mail(&b.prefix, 0, 0).expect("mail");
    let answers = b.apply(Body::Foreign { batch }).items;
    answers.into_iter().next().expect("an answer")
}

/// Once, one server's word, or bytes that it added, had any item passed over: a theft, an end of life.
#[test]
fn an_item_that_is_too_large_is_never_passed_over() {
    for whole in [true, false] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        say_much(&mut a, &b.prefix);
        let index = a.registry().tree.size() - 1;
        let declared = offer(&a, &b, code, 1);
        a.must("customs", declared);
        a.close();
        let known = |b: &Country| {
            let Ok(known) = b.ledger.peer(&a.prefix);
            known.expect("a peer")
        };
        let mail = |b: &Country| {
            let known = known(b);
            match whole {
                true => a.lying_mail(&b.prefix, known.size_seen, known.cursor),
                false => a
                    .mail(&b.prefix, known.size_seen, known.cursor)
                    .expect("mail"),
            }
        };
        let first = mail(&b);
        assert_eq!(first.large.is_some(), !whole);
        assert!(whole || first.to_bytes().len() < MAIL_ITEM_BYTES_MAX / 8);
        // Not as the log has it, it is nobody's word at all.
        if let Some(large) = first.large.clone() {
            for (index, leaf) in [(large.index, Digest::ZERO), (large.index - 1, large.leaf)] {
                let mut forged = first.clone();
                forged.large = Some(LargeItem {
                    index,
                    leaf,
                    ..large.clone()
                });
                let not_proven = Detail::NotProven { index };
                unproven(&mut b, forged, Reason::EvidenceBroken, not_proven);
            }
        }
        // Nothing is written, answered or moved, however often it comes, and whatever stands behind it.
        let size = b.registry().tree.size();
        for _ in 0..2 {
            let batch = mail(&b);
            let answers = b.apply(Body::Foreign { batch }).items;
            let [ItemAnswer::Refused { rejection }] = &answers[..] else {
                panic!("{answers:?}");
            };
            assert_eq!(rejection.reason, Reason::ItemTooLarge);
            let Detail::ItemBytes {
                index: told,
                bytes,
                max,
            } = rejection.detail
            else {
                panic!("{rejection}");
            };
            assert_eq!((told, max), (index, MAIL_ITEM_BYTES_MAX as u64));
            assert!(bytes > max, "{bytes}");
        }
        assert_eq!((known(&b).cursor, b.registry().tree.size()), (0, size));
        assert_eq!(places(&b, &a.prefix), []);
        let Ok(transfer) = b.ledger.transfer(&transfer(1));
        assert!(transfer.is_none(), "the offer behind it waits");
    }
}

/// An item that is none of those, called one by a server that shows it in short.
#[test]
fn a_small_item_that_a_server_calls_too_large_is_taken_from_the_next() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let declared = offer(&a, &b, code, 1);
    a.must("customs", declared);
    a.close();
    let honest = a.mail(&b.prefix, 0, 0).expect("mail");
    let mut lie = honest.clone();
    let item = lie.items.pop().expect("the offer");
    lie.large = Some(LargeItem {
        length: MAIL_ITEM_BYTES_MAX as u64 + 1,
        ..item.in_short()
    });
    let answers = b.apply(Body::Foreign { batch: lie }).items;
    let [ItemAnswer::Refused { rejection }] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(rejection.reason, Reason::ItemTooLarge);
    b.apply(Body::Foreign { batch: honest });
    let Ok(transfer) = b.ledger.transfer(&transfer(1));
    assert!(transfer.is_some(), "the offer was read");
}

fn doubtful(doubt: Doubt) -> Detail {
    Detail::Doubtful { doubt }
}

/// A permit and an admission by the one mailbox before the offer and the departure by the other, and an end of life behind
/// them. Without the permit, the departure waits for it.
#[test]
fn a_step_that_comes_before_the_one_it_follows_waits_for_it() {
    let (mut a, mut b, mut c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let (b_is, c_is) = (b.prefix, c.prefix);
    let offered = link(Step::Offer, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
    let slots = step_slots(&code, &offered, &offer(&b, &c, code, 7));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let departed = link(Step::Depart, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
    let slots = step_slots(&code, &departed, &depart(7));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let accepted = link(Step::Accept, 7, 2, &b_is, &c_is, departed.prev);
    let slots = step_slots(&code, &accepted, &permit(&c, 7, Vec::new()));
    say(&mut c, Kind::Custody, &code, slots, &a.prefix);
    let admitted = link(Step::Admit, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
    let slots = step_slots(&code, &admitted, &admit(7));
    say(&mut c, Kind::Custody, &code, slots, &a.prefix);

    let (size, batch) = (a.registry().tree.size(), lies(&mut c, &a));
    a.apply(Body::Foreign { batch });
    for (at, detail) in [
        (size, doubtful(Doubt::AnotherBefore)),
        (size + 1, doubtful(Doubt::AnotherBefore)),
    ] {
        let expected = Rejection::new(Reason::Parked, detail);
        assert_eq!(nack_at(&a, at).expect("a nack"), expected);
    }
    say_ended(&mut c, &code, d("another body"), &a.prefix);
    let item = places(&a, &c_is)[0].item;
    let batch = lies(&mut c, &a);
    nacked(&mut a, batch, Reason::Parked, Detail::Behind { item });
    assert_eq!(robot(&a, &code).custody.responsible_abroad(), Some(b_is));

    let batch = lies(&mut b, &a);
    let size = a.registry().tree.size();
    a.apply(Body::Foreign { batch });
    assert_eq!(kinds_since(&a, size), [Kind::Foreign; 5]);
    let known = robot(&a, &code);
    assert_eq!(known.custody.responsible_abroad(), Some(c_is));
    assert_eq!(known.state, State::Scrapped);
    assert_eq!(places(&a, &c_is), []);
    let Ok(behind) = a.ledger.parked_behind(&Subject::robot(&code).key());
    assert_eq!(behind, []);
}

/// Between an offer and its departure there is no place for another link: a departure that names another one before it is
/// contradicted, and waits for nothing.
#[test]
fn a_departure_of_the_epoch_that_names_another_before_it_does_not_wait() {
    let (mut a, mut b, c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let (b_is, c_is) = (b.prefix, c.prefix);
    let offered = link(Step::Offer, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
    let slots = step_slots(&code, &offered, &offer(&b, &c, code, 7));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    hear(&mut b, &mut a);
    let known = robot(&a, &code);
    assert_eq!(known.custody.epoch, 2);
    let departed = link(Step::Depart, 7, 2, &b_is, &c_is, d("unheard"));
    let slots = step_slots(&code, &departed, &depart(7));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(places(&a, &b_is), []);
    assert_eq!(robot(&a, &code).custody, known.custody);
}

/// A departure behind an offer that cannot be read waits with it, and is no departure of an unknown transfer.
#[test]
fn a_departure_behind_an_offer_that_cannot_be_read_waits_with_it() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let known = robot(&a, &code);
    let home = link(
        Step::Offer,
        2,
        2,
        &b.prefix,
        &a.prefix,
        last_leaf(&b, &code),
    );
    let mut slots = step_slots(&code, &home, &offer(&b, &a, code, 2));
    let mut e = Encoder::new();
    e.array(2);
    e.uint(999);
    e.bytes(&[1; 16]);
    slots.values[usize::from(slot::EVENT)] = Some(e.finish());
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    let detail = Detail::Slot { slot: slot::EVENT };
    nacked(&mut a, batch, Reason::Parked, detail);
    let left = link(
        Step::Cancel,
        2,
        2,
        &b.prefix,
        &a.prefix,
        last_leaf(&b, &code),
    );
    let what = Command::CancelExport {
        transfer: transfer(2),
        reason: "x".into(),
    };
    let slots = step_slots(&code, &left, &what);
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let item = places(&a, &b.prefix)[0].item;
    let batch = lies(&mut b, &a);
    nacked(&mut a, batch, Reason::Parked, Detail::Behind { item });
    // So does a step in a transfer of ours that moves nothing.
    let before = known.custody.link;
    let again = link(Step::Accept, 1, 1, &a.prefix, &b.prefix, before);
    let slots = step_slots(&code, &again, &permit(&b, 1, Vec::new()));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    nacked(&mut a, batch, Reason::Parked, Detail::Behind { item });
    assert_eq!(robot(&a, &code), known);
}

/// The oldest about one robot makes way, and others keep their places.
#[test]
fn of_one_robot_and_of_one_peer_the_oldest_makes_way() {
    let (mut a, mut b, c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let (a_is, b_is, c_is) = (a.prefix, b.prefix, c.prefix);
    say_unknown(&mut b, &a_is);
    for epoch in 0..=PARKED_OF_ROBOT_MAX as u64 {
        let step = link(Step::Offer, 7, 10 + epoch, &b_is, &c_is, d("unheard"));
        let slots = step_slots(&code, &step, &offer(&b, &c, code, 7));
        say(&mut b, Kind::Custody, &code, slots, &a_is);
    }
    hear(&mut b, &mut a);
    let full = |max: usize| {
        let (what, max) = (Counted::Parked, max as u64);
        Rejection::new(Reason::ParkedOver, Detail::Full { what, max })
    };
    assert_eq!(told(&a), full(PARKED_OF_ROBOT_MAX));
    let first = places(&a, &b_is)[0];
    assert_eq!(first.subject, Digest::ZERO, "what is of no robot stays");
    let of_robot = Subject::robot(&code).key();
    let epochs = |a: &Country| {
        let places = places(a, &b_is).into_iter();
        let links = places
            .filter(|place| place.subject == of_robot)
            .filter_map(|place| parked(a, &place).evidence.link);
        links.map(|link| link.epoch).collect::<Vec<_>>()
    };
    let last = 10 + PARKED_OF_ROBOT_MAX as u64;
    assert_eq!(epochs(&a), (11..=last).collect::<Vec<_>>());

    (places(&a, &b_is).len()..PARKED_OF_PEER_MAX).for_each(|_| say_unknown(&mut b, &a_is));
    hear(&mut b, &mut a);
    assert_eq!(places(&a, &b_is)[0], first);
    say_unknown(&mut b, &a_is);
    hear(&mut b, &mut a);
    assert_eq!(told(&a), full(PARKED_OF_PEER_MAX));
    assert_eq!(places(&a, &b_is).len(), PARKED_OF_PEER_MAX);
    let Ok(gone) = a.ledger.parked(&b_is, first.item);
    assert_eq!(gone, None);
    // Whose list is full is kept all the same, and no list grows further.
    let crowd = |item| ParkedPlace {
        peer: c_is,
        item,
        ..first
    };
    let crowd: Vec<_> = (0..PARKED_BEHIND_MAX as u64).map(crowd).collect();
    let Ok(()) = a.ledger.put_parked_behind(&of_robot, crowd.clone());
    let step = link(Step::Offer, 7, 99, &b_is, &c_is, d("unheard"));
    let slots = step_slots(&code, &step, &offer(&b, &c, code, 7));
    say(&mut b, Kind::Custody, &code, slots, &a_is);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(epochs(&a).last(), Some(&99));
    let Ok(behind) = a.ledger.parked_behind(&of_robot);
    assert_eq!(behind, crowd);
}

/// What could not be read is read when the level is raised; what still cannot be is tried once a level.
#[test]
fn what_waits_is_tried_again_when_the_level_is_raised() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let mut batch = waiting(&mut a, &b);
    let item = batch.items.remove(0);
    b.apply(Body::Foreign { batch });
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let peer = peer.expect("a peer");
    // As if the offer had been written by a kind of command that level 1 does not know.
    let place = ParkedPlace {
        peer: a.prefix,
        item: item.sequence,
        subject: Subject::robot(&a.code(1)).key(),
        level: Level::FIRST,
    };
    let origin = Origin {
        prefix: a.prefix,
        incarnation: peer.bundle.incarnation,
    };
    let waits = Parked {
        peer: a.prefix,
        item: item.sequence,
        evidence: EvidenceRef {
            origin: origin.to_string(),
            index: item.proven.index,
            leaf: leaf_bytes_hash(&item.proven.leaf.0),
            at: None,
            link: None,
        },
        subject: place.subject,
        code: Some(a.code(1)),
        why: Detail::Slot { slot: slot::EVENT },
        since: b.clock,
        size: peer.size_seen,
        root: peer.root_seen,
        note: peer.note_seen.clone(),
        length: item.to_bytes().len() as u64,
        bytes: Some(Blob(item.to_bytes())),
    };
    let cursor = item.sequence + 1;
    let Ok(()) = b.ledger.put_peer(Peer { cursor, ..peer });
    let Ok(()) = b.ledger.put_parked(&a.prefix, item.sequence, Some(waits));
    let Ok(()) = b.ledger.put_parked_of(&a.prefix, vec![place]);
    let Ok(()) = b.ledger.put_parked_behind(&place.subject, vec![place]);
    say_unknown(&mut a, &b.prefix);
    hear(&mut a, &mut b);
    assert_eq!(places(&b, &a.prefix).len(), 2);

    let level = Level::FIRST.next().expect("a level");
    let knows = |node| Knows { node, level };
    let seen = (1..=3).map(knows).collect();
    b.apply(Body::RaiseLevel { to: level, seen });
    let left = places(&b, &a.prefix);
    assert_eq!(left.len(), 1, "the offer was taken: {left:?}");
    assert_eq!((left[0].subject, left[0].level), (Digest::ZERO, level));
    let phase = robot(&b, &a.code(1)).custody.phase;
    assert!(matches!(phase, Phase::Asked { .. }), "{phase:?}");
    // Its bytes were counted when it came, and are not again; it is one of the minute in which it is taken.
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let heard = peer.expect("a peer").heard;
    assert_eq!((heard.offers, heard.items, heard.bytes), (1, 1, 0));
    // And it goes on as one that was taken at once.
    b.must("customs", permit(&b, 1, Vec::new()));
}

fn retry(peer: Prefix, item: u64) -> Command {
    Command::RetryParked { peer, item }
}

fn discard(peer: Prefix, item: u64) -> Command {
    let reason = "nobody will ever know this kind".into();
    Command::DiscardParked { peer, item, reason }
}

/// 86 keeps one item of 49 that says nothing here.
pub(crate) fn one_kept() -> (Country, Country, u64) {
    let (mut a, mut b) = two();
    say_unknown(&mut b, &a.prefix);
    hear(&mut b, &mut a);
    let item = places(&a, &b.prefix)[0].item;
    (a, b, item)
}

/// How 49 answers an item that was given up by hand: its nack.
pub(crate) fn given_up() -> ItemAnswer {
    let (mut a, b, item) = one_kept();
    a.must("registrar", discard(b.prefix, item));
    let rejection = told(&a);
    ItemAnswer::Refused { rejection }
}

/// Who is no registrar does neither; a retry of what says nothing still changes nothing.
#[test]
fn what_still_cannot_be_read_waits_on() {
    let (mut a, b, item) = one_kept();
    let Some(Parked { why, length, .. }) =
        places(&a, &b.prefix).first().map(|place| parked(&a, place))
    else {
        panic!("one waits")
    };
    assert!(length > 0);
    refused(
        &mut a,
        "registrar",
        retry(b.prefix, item),
        Reason::Parked,
        why,
    );
    for who in ["admin", "customs", "regulator", "maker"] {
        let reason = reason_of(&mut a, who, retry(b.prefix, item));
        assert_eq!(reason, Reason::RoleNotAllowed, "{who}");
        let reason = reason_of(&mut a, who, discard(b.prefix, item));
        assert_eq!(reason, Reason::RoleNotAllowed, "{who}");
    }
    let nowhere = Prefix::parse("81").expect("a prefix");
    let reason = reason_of(&mut a, "registrar", retry(nowhere, item));
    assert_eq!(reason, Reason::PeerUnknown);
    let other = Detail::Item {
        peer: b.prefix,
        item: item + 1,
    };
    let command = retry(b.prefix, item + 1);
    refused(&mut a, "registrar", command, Reason::NotParked, other);
    assert_eq!(places(&a, &b.prefix).len(), 1);
}

/// Given up by hand it is answered for good, to its sender, with the reason; and once.
#[test]
fn what_is_discarded_is_told_to_its_sender_and_is_gone() {
    let (mut a, b, item) = one_kept();
    let peer = b.prefix;
    let unsaid = Command::DiscardParked {
        peer,
        item,
        reason: " ".into(),
    };
    let reason = reason_of(&mut a, "registrar", unsaid);
    assert_eq!(reason, Reason::ReasonMissing);
    let Ok(before) = a.ledger.peer(&peer);
    let outbox = before.expect("a peer").outbox;
    a.must("registrar", discard(peer, item));
    let reason = "nobody will ever know this kind".to_owned();
    let said = Rejection::new(Reason::Discarded, Detail::GivenUp { item, reason });
    assert_eq!(told(&a), said);
    let mail = a.ledger.mailbox(&peer, outbox);
    let told_at: Vec<u64> = mail.iter().map(|(_, index)| *index).collect();
    assert_eq!(told_at, [a.registry().tree.size() - 1]);
    assert_eq!(places(&a, &peer), []);
    let Ok(gone) = a.ledger.parked(&peer, item);
    assert_eq!(gone, None);
    let detail = Detail::Item { peer, item };
    for command in [discard(peer, item), retry(peer, item)] {
        refused(
            &mut a,
            "registrar",
            command,
            Reason::NotParked,
            detail.clone(),
        );
    }
}

/// A place that somebody freed is used, and nothing older makes way.
#[test]
fn full_parking_has_room_again_once_something_was_discarded() {
    let (mut a, mut b) = two();
    let peer = b.prefix;
    (0..PARKED_OF_PEER_MAX).for_each(|_| say_unknown(&mut b, &a.prefix));
    hear(&mut b, &mut a);
    let first = places(&a, &peer)[0];
    let last = places(&a, &peer)[PARKED_OF_PEER_MAX - 1];
    a.must("registrar", discard(peer, last.item));
    say_unknown(&mut b, &a.prefix);
    hear(&mut b, &mut a);
    assert_eq!(told(&a).reason, Reason::Parked);
    assert_eq!(places(&a, &peer).len(), PARKED_OF_PEER_MAX);
    assert_eq!(places(&a, &peer)[0], first);
}

/// Liars fill every place behind a robot, so that an honest step is not tried by itself: it is tried by hand, and taken,
/// whatever the liars' items say. What can be taken is also taken where somebody would discard it.
#[test]
fn what_liars_keep_from_being_tried_is_taken_by_hand() {
    for by in [retry, discard] {
        let (mut a, mut b, mut c) = three();
        let code = a.code(1);
        export(&mut a, &mut b, code, 1);
        let (a_is, b_is, c_is) = (a.prefix, b.prefix, c.prefix);
        let of_robot = Subject::robot(&code).key();
        let crowd = |item| ParkedPlace {
            peer: Prefix::parse("44").expect("a prefix"),
            item,
            subject: of_robot,
            level: Level::FIRST,
        };
        let crowd: Vec<_> = (0..PARKED_BEHIND_MAX as u64).map(crowd).collect();
        let offered = link(Step::Offer, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
        let slots = step_slots(&code, &offered, &offer(&b, &c, code, 7));
        say(&mut b, Kind::Custody, &code, slots, &a_is);
        let departed = link(Step::Depart, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
        let slots = step_slots(&code, &departed, &depart(7));
        say(&mut b, Kind::Custody, &code, slots, &a_is);
        let accepted = link(Step::Accept, 7, 2, &b_is, &c_is, departed.prev);
        let slots = step_slots(&code, &accepted, &permit(&c, 7, Vec::new()));
        say(&mut c, Kind::Custody, &code, slots, &a_is);
        let admitted = link(Step::Admit, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
        let slots = step_slots(&code, &admitted, &admit(7));
        say(&mut c, Kind::Custody, &code, slots, &a_is);

        let Ok(()) = a.ledger.put_parked_behind(&of_robot, crowd.clone());
        let batch = lies(&mut c, &a);
        a.apply(Body::Foreign { batch });
        let batch = lies(&mut b, &a);
        a.apply(Body::Foreign { batch });
        let of_c: Vec<u64> = places(&a, &c_is).iter().map(|place| place.item).collect();
        let of_b: Vec<u64> = places(&a, &b_is).iter().map(|place| place.item).collect();
        assert_eq!((of_c.len(), of_b.len()), (2, 1), "nobody was tried");
        // Out of turn it waits on.
        let reason = reason_of(&mut a, "registrar", retry(c_is, of_c[1]));
        assert_eq!(reason, Reason::Parked);
        for (peer, item) in [(c_is, of_c[0]), (b_is, of_b[0]), (c_is, of_c[1])] {
            a.must("registrar", by(peer, item));
        }
        assert_eq!(robot(&a, &code).custody.responsible_abroad(), Some(c_is));
        assert_eq!((places(&a, &c_is), places(&a, &b_is)), (vec![], vec![]));
        let Ok(behind) = a.ledger.parked_behind(&of_robot);
        assert_eq!(behind, crowd);
    }
}

/// What waited behind an item that is given up goes on: the link is followed as far as it can be read.
#[test]
fn what_waits_behind_what_is_discarded_goes_on() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let (a_is, b_is) = (a.prefix, b.prefix);
    let home = link(Step::Offer, 2, 2, &b_is, &a_is, last_leaf(&b, &code));
    let mut slots = step_slots(&code, &home, &offer(&b, &a, code, 2));
    let mut e = Encoder::new();
    e.array(2);
    e.uint(999);
    e.bytes(&[1; 16]);
    slots.values[usize::from(slot::EVENT)] = Some(e.finish());
    say(&mut b, Kind::Custody, &code, slots, &a_is);
    let left = link(Step::Cancel, 2, 2, &b_is, &a_is, last_leaf(&b, &code));
    let what = Command::CancelExport {
        transfer: transfer(2),
        reason: "x".into(),
    };
    let slots = step_slots(&code, &left, &what);
    say(&mut b, Kind::Custody, &code, slots, &a_is);
    hear(&mut b, &mut a);
    let item = places(&a, &b_is)[0].item;
    assert_eq!(places(&a, &b_is).len(), 2);
    a.must("registrar", discard(b_is, item));
    assert_eq!(places(&a, &b_is), []);
    let known = robot(&a, &code);
    assert_eq!(known.custody.responsible_abroad(), Some(b_is));
    assert_eq!(known.custody.link, last_leaf(&b, &code));
}

/// A thief of the exporter's key told its departure before it was permitted, and that waited. Once, the honest permit had it taken after
/// the theft was told: the issuer took the robot for departed, and the exporter's own cancel for a second word.
#[test]
fn what_waits_of_a_thief_is_forgotten_once_the_theft_is_told() {
    let (mut a, mut b, mut c, code) = passed_on();
    b.must("customs", onward(&b, &c, code, 2));
    b.deliver(&mut c);
    b.deliver(&mut a);
    b.close();
    let good = b.registry().sealed.expect("sealed");
    let good = GoodHead {
        size: good.size,
        root: good.root,
    };
    let mut thief = b.clone();
    let mut step = link(
        Step::Depart,
        2,
        2,
        &b.prefix,
        &c.prefix,
        last_leaf(&b, &code),
    );
    step.agreement.as_mut().expect("named").version = 2;
    let slots = step_slots(&code, &step, &depart(2));
    say(&mut thief, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut thief, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(places(&a, &b.prefix).len(), 1, "it waits");
    let steps = vec![
        b.add_log_key("log-2"),
        KeyStep::Activate {
            key: b.key("log-2").public(),
        },
        KeyStep::Compromise {
            key: b.key("log").public(),
            last_good: good,
        },
    ];
    let signed = b.order_keys(steps);
    b.apply(Body::Root { signed });
    b.close();
    let bundle = b.bundle();
    let anew = Statement::Recognise {
        fingerprint: sha256(&[&bundle.bytes.0]),
        bundle,
        changes: Vec::new(),
    };
    for knows in [&mut a, &mut c] {
        assert_eq!(text(&knows.state(&anew)), "done");
    }
    assert!(places(&a, &b.prefix).is_empty(), "it is forgotten");
    b.deliver(&mut a);
    c.must("customs", permit(&c, 2, Vec::new()));
    c.deliver(&mut a);
    b.must(
        "customs",
        Command::CancelExport {
            transfer: transfer(2),
            reason: String::new(),
        },
    );
    b.deliver(&mut a);
    let Ok(known) = a.ledger.peer(&b.prefix);
    assert!(!known.expect("a peer").quarantined, "the victim");
    let phase = robot(&a, &code).custody.phase;
    assert!(matches!(phase, Phase::Gone { to, .. } if to == b.prefix));
}
