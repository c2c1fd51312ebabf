//! Mailbox batches: what is shown to whom, and where a batch ends.

use carnet_domain::custody::mail::{MailError, batch, slots_shown};
use carnet_domain::custody::{Link, Step};
use carnet_domain::log::leaf::Kind;
use carnet_domain::machine::entry::MailBatch;
use carnet_domain::record::ledger::Ledger;
use carnet_kit::{Country, befriend, transfer};

use crate::border::{admit, depart, permit, prefix, two};

/// Mailbox sequence and slots shown of each item.
fn shown(batch: &MailBatch) -> Vec<(u64, Vec<u8>)> {
    let slots = |item: &carnet_domain::machine::entry::MailItem| {
        item.proven.disclosed.shown().collect::<Vec<u8>>()
    };
    let items = batch.items.iter();
    items.map(|item| (item.sequence, slots(item))).collect()
}

fn sequences(batch: &MailBatch) -> Vec<u64> {
    batch.items.iter().map(|item| item.sequence).collect()
}

fn link(from: &str, to: &str) -> Link {
    Link {
        step: Step::Offer,
        transfer: Some(transfer(1)),
        epoch: 1,
        from: Some(prefix(from)),
        to: prefix(to),
        prev: carnet_domain::bytes::digest::Digest::ZERO,
        agreement: Some(carnet_kit::agreed(prefix(from), prefix(to))),
    }
}

#[test]
fn only_the_parties_of_a_transfer_see_owner_and_secret() {
    let all: Vec<u8> = (0..16).collect();
    let crossing = link("86", "49");
    for party in ["86", "49"] {
        assert_eq!(
            slots_shown(Kind::Custody, Some(&crossing), &prefix(party)),
            all
        );
    }
    let others = slots_shown(Kind::Custody, Some(&crossing), &prefix("81"));
    assert_eq!(others, [0, 1, 2, 3, 4, 5, 8, 9, 12, 14, 15]);
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Custody) {
        let shown = slots_shown(*kind, Some(&crossing), &prefix("49"));
        assert!(
            [6, 7, 11, 13].iter().all(|slot| !shown.contains(slot)),
            "{kind:?}"
        );
    }
}

#[test]
fn what_is_not_published_is_not_handed_over() {
    let (mut a, b) = two();
    let unpublished = a.mail(&b.prefix, 0, 0);
    assert_eq!(unpublished, Err(MailError::NothingPublished));
    a.close();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let early = a.mail(&b.prefix, 0, 0).expect("mail");
    assert_eq!(sequences(&early), [0u64; 0]);
    a.seal();
    let sealed = a.mail(&b.prefix, 0, 0).expect("mail");
    assert_eq!(sequences(&sealed), [0u64; 0]);
    a.publish();
    let published = a.mail(&b.prefix, 0, 0).expect("mail");
    assert_eq!(shown(&published), [(0, (0..16).collect())]);
    let size = a.registry().published.expect("published").size;
    let ahead = a.mail(&b.prefix, size + 1, 0);
    assert!(matches!(ahead, Err(MailError::FollowerAhead { .. })));
}

#[test]
fn a_departure_waits_until_the_map_it_needs_is_published() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    a.close();
    a.must("maker", a.register(2));
    a.seal();
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let peer = peer.expect("a peer");
    let waiting = a.mail(&b.prefix, peer.size_seen, 1).expect("mail");
    assert_eq!(
        sequences(&waiting),
        [0u64; 0],
        "the stored map is newer than the checkpoint"
    );
    a.publish();
    a.deliver(&mut b);
    b.must("customs", admit(1));
    let secret = |country: &Country| {
        let Ok(robot) = country.ledger.robot(&a.code(1));
        robot.expect("a robot").custody_secret
    };
    assert_eq!(secret(&a), secret(&b), "the secret is handed over");
}

#[test]
fn a_batch_is_bounded_and_goes_on_where_it_ended() {
    let (mut a, mut b) = two();
    for serial in 2..=4 {
        a.must("maker", a.register(serial));
    }
    for serial in 1..=4u8 {
        a.must(
            "customs",
            a.declare(serial.into(), transfer(serial), &b.prefix),
        );
    }
    a.close();
    let part = |from: u64, bytes_max| {
        let items = a.ledger.mailbox(&b.prefix, from);
        batch(&a.ledger, &a.registry(), &b.prefix, 0, items, bytes_max).expect("mail")
    };
    assert_eq!(sequences(&part(0, 0)), [0], "at least one");
    assert_eq!(sequences(&part(1, usize::MAX)), [1, 2, 3]);
    let one = carnet_domain::bytes::encoding::Canonical::to_bytes(&part(0, 0).items[0]).len();
    assert_eq!(sequences(&part(0, 2 * one + one / 2)), [0, 1]);
    a.deliver(&mut b);
    let Ok(peer) = b.ledger.peer(&a.prefix);
    assert_eq!(peer.expect("a peer").cursor, 4);
}

#[test]
fn a_theft_goes_to_every_peer_without_the_owner() {
    let (mut a, _) = two();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    a.must(
        "regulator",
        carnet_domain::rules::command::Command::SetHold {
            code: a.code(1),
            kind: carnet_domain::rules::lifecycle::HoldKind::Theft,
            reason: "reported".into(),
        },
    );
    a.close();
    for peer in ["49", "81"] {
        let mail = a.mail(&prefix(peer), 0, 0).expect("mail");
        assert_eq!(shown(&mail), [(0, vec![0, 1, 2, 4, 8, 10, 12, 14])]);
    }
}
