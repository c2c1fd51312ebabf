//! Custody: what a registry that lies about a robot's way can make of it.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::{Act, Chain, Folded, Permit, Phase, Step, Written, fold, propose};
use carnet_domain::limits::{EPOCH_FIRST_MAX, EPOCH_FOREIGN_MAX, EPOCH_MAX, EPOCH_STEP_MAX};
use carnet_domain::log::leaf::Kind;
use carnet_domain::machine::entry::{Body, MailBatch};
use carnet_domain::planted::Sound;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::rejection::{Detail, Lacking, Reason};
use carnet_hostile::judge::{entry_refused, nacked, reason_of, refused, unproven};
use carnet_hostile::liar::{last_leaf, last_said, lies, link, say, say_ended, step_slots};
use carnet_hostile::scene::{
    admit, confirm_end, declare_end, depart, export, offer, permit, prefix, recognised, robot,
    send_back, two, waiting,
};
use carnet_kit::{Country, agreed, transfer};

/// 86 has released robot 1 to 49, which has not read it yet.
fn released() -> (Country, Country, MailBatch) {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, Vec::new()));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    let batch = waiting(&mut a, &b);
    (a, b, batch)
}

/// Probe p02: everything signed is honest, and one number beside it is not.
#[test]
fn a_map_head_at_the_last_index_proves_nothing_and_stops_nobody() {
    let (_, mut b, good) = released();
    let leaf = good.items[0].proven.index;
    for index in [0, 1, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
        let mut batch = good.clone();
        let newest = batch.items[0].newest.as_mut().expect("a departure");
        newest.map_head.index = index;
        let detail = Detail::NotNewest { index: leaf };
        unproven(&mut b, batch, Reason::EvidenceBroken, detail);
    }
    b.apply(Body::Foreign { batch: good });
    b.must("customs", admit(1));
}

/// Probe `one_mail_item_of_a_recognised_peer_panics_every_replica`: a departure of a robot nobody offered, by a country with
/// which nothing was agreed.
#[test]
fn a_departure_out_of_nowhere_is_no_evidence() {
    let (mut a, mut b) = recognised();
    let code = a.code(7);
    let step = link(Step::Depart, 1, 1, &a.prefix, &b.prefix, Digest::ZERO);
    let slots = step_slots(&code, &step, &depart(1));
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    let good = lies(&mut a, &b);
    let leaf = good.items[0].proven.index;
    for index in [0, u64::MAX - 1, u64::MAX] {
        let mut batch = good.clone();
        let newest = batch.items[0].newest.as_mut().expect("a departure");
        newest.map_head.index = index;
        let detail = Detail::NotNewest { index: leaf };
        unproven(&mut b, batch, Reason::EvidenceBroken, detail);
    }
    let mut bare = good.clone();
    bare.items[0].newest = None;
    let what = Lacking::NewestProof;
    unproven(&mut b, bare, Reason::EvidenceBroken, Detail::Lacks { what });
}

/// 49 has robot 1 of 86 and offers it home at this epoch, which its own rules would not let it write.
fn offered_home_at(epoch: u64) -> (Country, Country, MailBatch) {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let prev = last_leaf(&b, &code);
    let step = link(Step::Offer, 2, epoch, &b.prefix, &a.prefix, prev);
    let home = offer(&b, &a, code, 2);
    let slots = step_slots(&code, &step, &home);
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    (a, b, batch)
}

/// Probes p03 and p03b: an epoch that leaves no next one moves nothing, and the robot's way home stays open.
#[test]
fn an_epoch_that_no_honest_chain_reaches_is_nacked() {
    let malformed = Detail::Slot {
        slot: slot::CUSTODY,
    };
    for epoch in [EPOCH_MAX + 1, u64::MAX - 1, u64::MAX] {
        let (mut a, _, batch) = offered_home_at(epoch);
        nacked(&mut a, batch, Reason::Malformed, malformed.clone());
    }
    for epoch in [EPOCH_FOREIGN_MAX + 1, EPOCH_MAX] {
        let (mut a, _, batch) = offered_home_at(epoch);
        let max = EPOCH_FOREIGN_MAX;
        let detail = Detail::EpochAbove { epoch, max };
        nacked(&mut a, batch, Reason::Malformed, detail);
    }
    for epoch in [EPOCH_STEP_MAX + 2, EPOCH_FOREIGN_MAX] {
        let (mut a, mut b, batch) = offered_home_at(epoch);
        let detail = Detail::EpochAhead {
            epoch,
            known: 1,
            max: EPOCH_STEP_MAX,
        };
        nacked(&mut a, batch, Reason::Malformed, detail);
        // Its registry goes on honestly.
        let code = a.code(1);
        let home = offer(&b, &a, code, 3);
        b.must("customs", home);
        b.deliver(&mut a);
        a.must("customs", permit(&a, 3, Vec::new()));
        a.deliver(&mut b);
        b.must("customs", depart(3));
        b.deliver(&mut a);
        a.must("customs", admit(3));
        a.deliver(&mut b);
        a.must("customs", a.declare(1, transfer(4), &b.prefix));
    }
}

/// Probe `an_offer_at_the_last_epoch_is_taken`: of a robot never heard of.
#[test]
fn a_first_offer_at_the_last_epoch_is_nacked() {
    for epoch in [EPOCH_FIRST_MAX + 1, EPOCH_FOREIGN_MAX] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        let mut slots = last_said(&a, &b.prefix);
        let prev = robot(&a, &code).custody.link;
        let step = link(Step::Offer, 1, epoch, &a.prefix, &b.prefix, prev);
        slots.set(slot::CUSTODY, &step);
        // The lie alone is told: the honest offer before it was never sent.
        let Ok(peer) = a.ledger.peer(&b.prefix);
        let mut peer = peer.expect("a peer");
        peer.outbox = 0;
        let Ok(()) = a.ledger.put_peer(peer);
        say(&mut a, Kind::Custody, &code, slots, &b.prefix);
        let batch = lies(&mut a, &b);
        let max = EPOCH_FIRST_MAX;
        let detail = Detail::EpochFirst { epoch, max };
        nacked(&mut b, batch, Reason::Malformed, detail);
        let id = transfer(1);
        let detail = Detail::Transfer { transfer: id };
        let permit = permit(&b, 1, Vec::new());
        refused(&mut b, "customs", permit, Reason::TransferUnknown, detail);
    }
}

/// Probe x01: what is proposed always moves the chain of who proposed it.
#[test]
fn every_step_that_is_proposed_moves_the_chain() {
    let (me, other) = (prefix("49"), prefix("86"));
    let d = carnet_hostile::scene::d;
    let (id, agreement) = (transfer(1), agreed(me, other));
    let offered = |permit| Phase::Offered {
        transfer: id,
        to: other,
        offer: d("offer"),
        agreement: agreement.clone(),
        permit,
    };
    let permit = Permit {
        leaf: d("permit"),
        depart_by: TimeMs(100),
    };
    let phases = [
        Phase::Elsewhere {},
        Phase::Here {},
        offered(None),
        offered(Some(permit)),
        Phase::Released {
            transfer: id,
            to: other,
            depart: d("depart"),
            agreement: agreement.clone(),
        },
        Phase::Gone {
            transfer: id,
            to: other,
            admit: d("admit"),
        },
        Phase::Asked {
            transfer: id,
            from: other,
            offer: d("offer"),
            offer_until: TimeMs(100),
            agreement: agreement.clone(),
        },
        Phase::Permitted {
            transfer: id,
            from: other,
            offer: d("offer"),
            depart_by: TimeMs(100),
            agreement: agreement.clone(),
        },
        Phase::InTransit {
            transfer: id,
            from: other,
            depart: d("depart"),
            agreement: agreement.clone(),
        },
    ];
    let acts = [
        Act::Offer {
            transfer: transfer(2),
            to: other,
            agreement,
        },
        Act::Cancel,
        Act::Accept,
        Act::Refuse,
        Act::Depart,
        Act::Admit,
        Act::Return,
    ];
    let mut moved = 0;
    for phase in &phases {
        for epoch in [0, 1, 7, EPOCH_FOREIGN_MAX - 1, EPOCH_FOREIGN_MAX, u64::MAX] {
            for act in &acts {
                for now in [0, 100, 101] {
                    let chain = Chain {
                        epoch,
                        link: d("link"),
                        shown: None,
                        followed: None,
                        phase: phase.clone(),
                    };
                    let Ok(link) = propose(me, &chain, act, TimeMs(now)) else {
                        continue;
                    };
                    let written = Written {
                        writer: me,
                        link,
                        leaf: d("leaf"),
                        at: TimeMs(now),
                        deadline: TimeMs(0),
                    };
                    let folded = fold(me, &chain, &written, Sound);
                    assert!(
                        matches!(folded, Folded::Moved(_)),
                        "{phase:?} {act:?} {epoch} {now}: {folded:?}"
                    );
                    moved += 1;
                }
            }
        }
    }
    assert!(moved > 100, "{moved} steps were proposed");
}

/// Probe f04: the robot is ours by its chain, whatever its issuer says of its end.
#[test]
fn the_issuer_does_not_end_a_robot_in_our_custody() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let body = robot(&a, &code).identity.body;
    carnet_hostile::liar::say_ended(&mut a, &code, body, &b.prefix);
    let batch = lies(&mut a, &b);
    let detail = Detail::EndedOurs {
        peer: a.prefix,
        code,
    };
    nacked(&mut b, batch, Reason::NotInCustody, detail);
    assert_eq!(robot(&b, &code).state, State::Sold);
}

/// Replay and reordering: what was read is not read again, and what comes too early waits.
#[test]
fn mail_replayed_or_out_of_order_moves_nothing() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let first = waiting(&mut a, &b);
    b.apply(Body::Foreign {
        batch: first.clone(),
    });
    // Again: nothing.
    let answers = carnet_hostile::judge::harmless(
        &mut b,
        Body::Foreign {
            batch: first.clone(),
        },
    );
    assert_eq!(
        answers,
        vec![carnet_domain::machine::entry::ItemAnswer::Nothing {}]
    );
    b.must("customs", permit(&b, 1, Vec::new()));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    // The departure under the number after its own.
    let mut early = waiting(&mut a, &b);
    early.items[0].sequence += 1;
    let (item, expected) = (early.items[0].sequence, early.items[0].sequence - 1);
    let detail = Detail::ItemExpected { item, expected };
    unproven(&mut b, early, Reason::EvidenceGap, detail);
    a.deliver(&mut b);
    b.must("customs", admit(1));
    // Under its old checkpoint nothing more is said.
    let size = carnet_domain::log::checkpoint::peek(&first.checkpoint)
        .expect("a note")
        .size;
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let seen = peer.expect("a peer").size_seen;
    let detail = Detail::Smaller { size, seen };
    let body = Body::Foreign { batch: first };
    entry_refused(&mut b, body, Reason::EvidenceBroken, detail);
}

/// Probe r27, of our own robot: after its end no custody step is written.
#[test]
fn a_robot_that_ended_is_not_offered_and_not_departed() {
    let (mut a, b) = two();
    let code = a.code(1);
    a.must("recycler", declare_end(code));
    a.must("registrar", confirm_end(code));
    let state = State::Scrapped;
    let again = a.declare(1, transfer(1), &b.prefix);
    let detail = Detail::RobotIs { code, state };
    refused(&mut a, "maker", again, Reason::StateFinal, detail);
}

/// A link that names another hash than the one before it is not followed.
#[test]
fn a_departure_that_does_not_follow_its_offer_is_nacked() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, Vec::new()));
    let mut slots = last_said(&a, &b.prefix);
    let prev = carnet_hostile::scene::d("another offer");
    let step = link(Step::Depart, 1, 1, &a.prefix, &b.prefix, prev);
    slots.set(slot::CUSTODY, &step);
    slots.set(slot::EVENT, &depart(1));
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    let batch = lies(&mut a, &b);
    let records = b.ledger.records_digest();
    b.apply(Body::Foreign { batch });
    assert_eq!(b.ledger.records_digest(), records);
    let said = carnet_hostile::judge::nack_at(&b, b.registry().tree.size() - 1);
    let said = said.expect("a nack");
    assert_eq!(said.reason, Reason::TransferEnded);
    assert!(matches!(said.detail, Detail::Doubtful { .. }), "{said:?}");
    let step = admit(1);
    let reason = carnet_hostile::judge::reason_of(&mut b, "customs", step);
    assert_eq!(reason, Reason::NotReleased);
}

/// A flood of offers of one robot in one epoch, under ever new numbers: the first stands, and no other is taken.
#[test]
fn offers_over_an_open_offer_are_evidence() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let first = last_said(&a, &b.prefix);
    a.deliver(&mut b);
    let open = b.ledger.transfers().count();
    for number in 2..40 {
        let mut slots = first.clone();
        let prev = last_leaf(&a, &code);
        let step = link(Step::Offer, number, 1, &a.prefix, &b.prefix, prev);
        slots.set(slot::CUSTODY, &step);
        let event = offer(&a, &b, code, number);
        slots.set(slot::EVENT, &event);
        say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    }
    let batch = lies(&mut a, &b);
    let size = b.registry().tree.size();
    b.apply(Body::Foreign { batch });
    assert_eq!(b.ledger.transfers().count(), open);
    // Two offers of one epoch: the first that comes is kept as evidence, and the others are not taken.
    let kinds = carnet_hostile::liar::kinds_since(&b, size);
    assert_eq!(kinds[0], Kind::ForkEvidence);
    assert!(kinds[1..].iter().all(|kind| *kind == Kind::Nack));
    let permit = permit(&b, 1, Vec::new());
    let reason = reason_of(&mut b, "customs", permit);
    assert_eq!(reason, Reason::PeerQuarantined);
}

/// A transfer that nobody offered has no next step.
#[test]
fn a_return_of_what_never_came_is_refused() {
    let (_, mut b) = two();
    let id = transfer(9);
    for step in [admit(9), send_back(9)] {
        let detail = Detail::Transfer { transfer: id };
        refused(&mut b, "customs", step, Reason::TransferUnknown, detail);
    }
}

/// Probe r27: nothing follows an end, no refusal either.
#[test]
fn no_step_is_written_for_a_robot_that_ended_while_it_was_offered() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let home = offer(&b, &a, code, 2);
    b.must("customs", home);
    b.deliver(&mut a);
    let body = robot(&a, &code).identity.body;
    say_ended(&mut b, &code, body, &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(robot(&a, &code).state, State::Scrapped);
    let reason = "x".to_owned();
    let refuse = Command::RefuseImport {
        transfer: transfer(2),
        reason,
    };
    let steps = [refuse, permit(&a, 2, Vec::new()), admit(2), send_back(2)];
    let reasons = steps.map(|step| reason_of(&mut a, "customs", step));
    assert_eq!(reasons, [Reason::IdentityEnded; 4]);
}
