//! Peers: what a registry that lies can write into our log, and about whom.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical, Encoder};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::Step;
use carnet_domain::limits::{
    HOLDS_MAX, HOLDS_OF_PEER_MAX, MAIL_ITEM_BYTES_MAX, NACKS_A_MINUTE_MAX,
    NACKS_UNAGREED_A_MINUTE_MAX, OFFERS_OF_PEER_MAX, TEXT_BYTES_MAX,
};
use carnet_domain::log::leaf::{Kind, Leaf, Slots, Subject, SubjectType};
use carnet_domain::machine::entry::{Body, ItemAnswer, MailBatch};
use carnet_domain::record::event::{Standing, slot};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Peer, Signed, Statement};
use carnet_domain::record::{
    AgreementRef, Hold, Holder, Predicate, Recall, RecallNotice, RecallStatus, Setter, Severity,
};
use carnet_domain::rules::command::{Action, Command, TransferId};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::{Counted, Detail, Lacking, Reason};
use carnet_hostile::judge::{
    entry_refused, harmless, nacked, refused, statement_refused, unproven,
};
use carnet_hostile::liar::{last_said, lies, link, say, say_of, step_slots};
use carnet_hostile::scene::{
    conclude, d, depart, export, offer, permit, prefix, recognised, robot, take, three, two,
    waiting,
};
use carnet_kit::samples::{recall, recall_id};
use carnet_kit::{Country, agreed, agreement, text, transfer};

/// Probe f05: what a peer of a later version says is answered, and what stands behind it is read.
#[test]
fn a_leaf_of_a_later_kind_stops_no_feed() {
    let (mut a, mut b) = two();
    let mut slots = Slots::new();
    slots.set(slot::CODE, &"86".to_owned());
    let subject = Subject::jurisdiction(&prefix("86"));
    let to = b.prefix;
    say_of(&mut a, 28, subject, slots, &to);
    let batch = lies(&mut a, &b);
    let index = batch.items[0].proven.index;
    let detail = Detail::Unreadable { index };
    nacked(&mut b, batch, Reason::Parked, detail);
    a.must("maker", recall(&a, "R-1", Severity::StopUse));
    a.deliver(&mut b);
    let Ok(known) = b.ledger.recall(&recall_id(&a, "R-1"));
    assert_eq!(known.map(|r| r.status), Some(RecallStatus::InForce));
}

/// Probe f05, of a custody step whose event is a later command.
#[test]
fn a_step_by_a_later_command_stops_no_feed() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let step = link(Step::Offer, 1, 1, &a.prefix, &b.prefix, Digest::ZERO);
    let mut slots = step_slots(&code, &step, &depart(1));
    let mut e = Encoder::new();
    e.array(2);
    e.uint(27);
    e.bytes(&[1; 16]);
    slots.values[usize::from(slot::EVENT)] = Some(e.finish());
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    let batch = lies(&mut a, &b);
    let detail = Detail::Slot { slot: slot::EVENT };
    nacked(&mut b, batch, Reason::Parked, detail);
}

/// Proven leaves that lack what every one of their kind has: each is answered by what it lacks.
#[test]
fn a_step_that_does_not_say_what_it_is_is_nacked() {
    for (missing, what) in [
        (slot::CODE, Lacking::Code),
        (slot::CUSTODY, Lacking::Link),
        (slot::EVENT, Lacking::Event),
    ] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        let step = link(Step::Offer, 1, 1, &a.prefix, &b.prefix, Digest::ZERO);
        let event = offer(&a, &b, code, 1);
        let mut slots = step_slots(&code, &step, &event);
        slots.values[usize::from(missing)] = None;
        say(&mut a, Kind::Custody, &code, slots, &b.prefix);
        let batch = lies(&mut a, &b);
        nacked(&mut b, batch, Reason::Malformed, Detail::Lacks { what });
    }
    // The leaf is of one robot and names another.
    let (mut a, mut b) = two();
    let step = link(Step::Offer, 1, 1, &a.prefix, &b.prefix, Digest::ZERO);
    let event = offer(&a, &b, a.code(2), 1);
    let slots = step_slots(&a.code(2), &step, &event);
    let code = a.code(1);
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    let batch = lies(&mut a, &b);
    let what = Lacking::Subject;
    nacked(&mut b, batch, Reason::Malformed, Detail::Lacks { what });
}

/// Probe f08: an issuer's words about a robot abroad are few.
#[test]
fn an_issuers_holds_have_an_end() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let hold = |number: usize| Hold {
        kind: HoldKind::Theft,
        setter: Setter {
            prefix: prefix("86"),
            party: Holder::Office {
                name: format!("office {number}"),
            },
            role: Role::Regulator,
        },
        reason: "why".into(),
        since: TimeMs(1),
    };
    let suspend = Statement::Suspend {
        peer: a.prefix,
        agreement: agreed(a.prefix, b.prefix),
        number: 1,
        until: b.clock.saturating_add(DurationMs::from_days(9)),
        reason: "why".into(),
    };
    assert_eq!(text(&b.state(&suspend)), "done");
    for number in 0..60 {
        let mut slots = Slots::new();
        slots.set(slot::CODE, &code.as_str().to_owned());
        // The last one goes on and on.
        let words = if number == 59 { TEXT_BYTES_MAX + 1 } else { 3 };
        let set = Command::SetHold {
            code,
            kind: HoldKind::Theft,
            reason: "w".repeat(words),
        };
        slots.set(slot::EVENT, &set);
        let standing = Standing {
            state: State::Manufactured,
            holds: (0..=number).map(hold).collect(),
            owed: Vec::new(),
            remedied: Vec::new(),
        };
        slots.set(slot::STATE, &standing);
        say(&mut a, Kind::Hold, &code, slots, &b.prefix);
    }
    let batch = lies(&mut a, &b);
    let some = |from: usize, to: usize| MailBatch {
        items: batch.items[from..to].to_vec(),
        ..batch.clone()
    };
    take(&mut b, some(0, HOLDS_OF_PEER_MAX));
    let full = robot(&b, &code).to_bytes().len();
    let (what, max) = (Counted::Holds, HOLDS_OF_PEER_MAX as u64);
    let detail = Detail::Full { what, max };
    nacked(
        &mut b,
        some(HOLDS_OF_PEER_MAX, HOLDS_MAX),
        Reason::RecordFull,
        detail,
    );
    // More than a record holds, and a reason that goes on and on, are no holds at all.
    let slot = slot::STATE;
    let detail = Detail::Slot { slot };
    nacked(&mut b, some(HOLDS_MAX, 59), Reason::Malformed, detail);
    let slot = slot::EVENT;
    nacked(
        &mut b,
        some(59, 60),
        Reason::Malformed,
        Detail::Slot { slot },
    );
    assert_eq!(robot(&b, &code).holds.len(), HOLDS_OF_PEER_MAX);
    assert_eq!(robot(&b, &code).to_bytes().len(), full);
}

/// Probe f10: agreements are named with their peer, so a suspension hits the one it names.
#[test]
fn a_suspension_is_of_one_peer_one_id_and_one_version() {
    let (mut a, b, c) = three();
    for (other, version) in [(&b, 2), (&c, 3)] {
        let mut same = agreement(a.prefix, other.prefix, version);
        same.id = "MUTUAL-RECOGNITION".into();
        let bytes = same.to_bytes();
        let signatures = [a.root_signatures(&bytes), other.root_signatures(&bytes)].concat();
        let bytes = Blob(bytes);
        let agreement = Signed { bytes, signatures };
        let answer = a.state(&Statement::Agree { agreement });
        assert!(matches!(
            answer,
            carnet_domain::machine::entry::ItemAnswer::Done { .. }
        ));
    }
    let until = a.clock.saturating_add(DurationMs::from_days(9));
    let suspend = |peer, version, number| Statement::Suspend {
        peer,
        agreement: AgreementRef {
            id: "MUTUAL-RECOGNITION".into(),
            version,
        },
        number,
        until,
        reason: "81 lies".into(),
    };
    // The version of the other peer is none of this one.
    let agreement = AgreementRef {
        id: "MUTUAL-RECOGNITION".into(),
        version: 2,
    };
    let said = suspend(c.prefix, 2, 1);
    let detail = Detail::Agreement { agreement };
    statement_refused(&mut a, &said, Reason::NoAgreement, detail);
    assert!(matches!(
        a.state(&suspend(c.prefix, 3, 1)),
        carnet_domain::machine::entry::ItemAnswer::Done { .. }
    ));
    let suspended = |prefix| {
        let Ok(peer) = a.ledger.peer(&prefix);
        peer.expect("a peer").suspended.len()
    };
    assert_eq!((suspended(b.prefix), suspended(c.prefix)), (0, 1));
    // The same word again is not a newer one.
    let said = suspend(c.prefix, 3, 1);
    let detail = Detail::VersionKnown { new: 1, known: 1 };
    statement_refused(&mut a, &said, Reason::StatementStale, detail);
}

/// Probe f14: a recall that names one model over and over.
#[test]
fn a_recall_names_a_model_once() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let model = a.model("0001", "100002");
    let mut say_recall = |models: Vec<_>, number: &str| {
        let id = recall_id(&a, number);
        let said = Recall {
            notice: RecallNotice {
                id: id.clone(),
                severity: Severity::StopUse,
                predicate: Predicate::all(),
            },
            models,
            remedy: "x".into(),
            opened: TimeMs(0),
            by: Holder::Office {
                name: "regulator/hq".into(),
            },
            status: RecallStatus::InForce,
            bound: None,
            decided: None,
            head: None,
        };
        let mut slots = Slots::new();
        slots.set(slot::CODE, &id.to_string());
        slots.set(slot::MODEL, &said);
        let subject = Subject::new(SubjectType::Recall, id.to_string());
        say_of(&mut a, Kind::Recall.number(), subject, slots, &b.prefix);
        lies(&mut a, &b)
    };
    let batch = say_recall(vec![model; 2], "R-1");
    nacked(&mut b, batch, Reason::Malformed, Detail::ModelsInOrder {});
}

/// Probe f14, beyond what a list may hold.
#[test]
fn a_recall_of_37000_models_is_answered_and_costs_nothing() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let id = recall_id(&a, "R-1");
    let said = Recall {
        notice: RecallNotice {
            id: id.clone(),
            severity: Severity::StopUse,
            predicate: Predicate::all(),
        },
        models: vec![a.model("0001", "100002"); 37_000],
        remedy: "x".into(),
        opened: TimeMs(0),
        by: Holder::Office {
            name: "regulator/hq".into(),
        },
        status: RecallStatus::InForce,
        bound: None,
        decided: None,
        head: None,
    };
    let mut slots = Slots::new();
    slots.set(slot::CODE, &id.to_string());
    slots.set(slot::MODEL, &said);
    let subject = Subject::new(SubjectType::Recall, id.to_string());
    say_of(&mut a, Kind::Recall.number(), subject, slots, &b.prefix);
    let batch = lies(&mut a, &b);
    let item = batch.items.last().expect("the recall");
    let detail = Detail::ItemBytes {
        index: item.proven.index,
        bytes: item.to_bytes().len() as u64,
        max: MAIL_ITEM_BYTES_MAX as u64,
    };
    unproven(&mut b, batch, Reason::ItemTooLarge, detail);
}

/// Probe r20: a peer that goes on claiming does not make an optimistic writer fail for ever.
#[test]
fn claims_of_a_peer_move_no_robot_in_our_custody() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let body = robot(&a, &code).identity.body;
    for _ in 0..3 {
        let seen = robot(&a, &code).head.map(|head| head.seq);
        carnet_hostile::liar::say_ended(&mut b, &code, body, &a.prefix);
        let batch = lies(&mut b, &a);
        let detail = Detail::EndedOurs {
            peer: b.prefix,
            code,
        };
        nacked(&mut a, batch, Reason::NotInCustody, detail);
        let inspect = Command::Act {
            code,
            expected_sequence: seen,
            action: Action::Inspect {
                report: d("report"),
                passed: true,
            },
        };
        a.must("maker", inspect);
    }
}

/// Probe `offers_and_nacks_of_a_peer_without_an_agreement`, of robots that are not its own: where one is agreed, they are not its to offer.
#[test]
fn a_peer_offers_only_robots_of_its_own_or_that_it_holds() {
    let (mut a, mut b) = two();
    let code = Code::parse("33000110000200000000000000001").expect("a code");
    let step = link(Step::Offer, 1, 1, &a.prefix, &b.prefix, Digest::ZERO);
    let event = offer(&a, &b, code, 1);
    let slots = step_slots(&code, &step, &event);
    say(&mut a, Kind::Custody, &code, slots, &b.prefix);
    let batch = lies(&mut a, &b);
    let detail = Detail::OffersWithoutChain {
        peer: a.prefix,
        code,
    };
    nacked(&mut b, batch, Reason::NotInCustody, detail);
}

/// Probe `offers_and_nacks_of_a_peer_without_an_agreement`, of its own robots: no offer takes a record, a transfer or a place, and a few
/// are answered in a minute.
#[test]
fn an_offer_under_no_agreement_in_force_is_not_kept() {
    let (mut a, mut b) = two();
    let asked = agreed(a.prefix, b.prefix);
    let offered = 100;
    for serial in 2..=offered {
        a.must("maker", a.register(serial));
    }
    for number in 1..=offered as u8 {
        let declared = a.declare(u32::from(number), transfer(number), &b.prefix);
        a.must("customs", declared);
    }
    let batch = waiting(&mut a, &b);
    let one = MailBatch {
        items: batch.items[..1].to_vec(),
        ..batch.clone()
    };
    // One that was suspended, one that a newer one replaced, and none.
    let until = b.clock.saturating_add(DurationMs::from_days(9));
    let suspend = Statement::Suspend {
        peer: a.prefix,
        agreement: asked.clone(),
        number: 1,
        until,
        reason: "a dispute".into(),
    };
    let mut suspended = b.clone();
    assert_eq!(text(&suspended.state(&suspend)), "done");
    let detail = Detail::AgreementSuspended {
        agreement: asked.clone(),
        until,
    };
    nacked(&mut suspended, one.clone(), Reason::NoAgreement, detail);
    let mut replaced = b.clone();
    let newer = agreement(a.prefix, b.prefix, 2);
    conclude(&mut a.clone(), &mut replaced, &newer);
    let newest = |newest| Detail::AgreementInForce {
        asked: asked.clone(),
        newest,
    };
    let reason = Reason::NoAgreement;
    nacked(&mut replaced, one.clone(), reason, newest(Some(2)));
    known_of(&mut b, &a.prefix, |peer| {
        peer.agreements.clear();
        peer.agreement_leaves.clear();
    });
    let minute = b.clock.0 / 60_000 + 1;
    b.clock = TimeMs(minute * 60_000);
    nacked(&mut b, one, reason, newest(None));
    let size = b.registry().tree.size();
    let answers = take(&mut b, batch);
    let (peer, what, max) = (a.prefix, Counted::Nacks, NACKS_UNAGREED_A_MINUTE_MAX);
    let detail = Detail::InAMinute { peer, what, max };
    let paused = carnet_hostile::judge::no(Reason::PeerPaused, detail);
    assert_eq!(answers.last(), Some(&paused));
    assert_eq!(b.registry().tree.size(), size + max - 1);
    assert_eq!(b.ledger.transfers().count(), 0);
    let Ok(known) = b.ledger.robot(&a.code(1));
    assert_eq!(known, None);
    let Ok(known) = b.ledger.peer(&peer);
    assert_eq!(known.expect("a peer").offers_open, 0);
}

/// Without an agreement nothing is permitted and nothing offered.
#[test]
fn nothing_crosses_a_border_without_an_agreement() {
    let (mut a, b) = recognised();
    let declared = a.declare(1, transfer(1), &b.prefix);
    let detail = Detail::AgreementInForce {
        asked: agreed(a.prefix, b.prefix),
        newest: None,
    };
    refused(&mut a, "maker", declared, Reason::NoAgreement, detail);
}

/// Equivocation: two roots of one size, both signed. The leaf and both notes are kept, and nothing new is believed.
#[test]
fn a_registry_that_shows_two_histories_is_quarantined_by_its_own_signatures() {
    let (mut a, mut b) = two();
    a.must("maker", a.register(2));
    let mut other = a.clone();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    other.must("customs", other.declare(2, transfer(2), &b.prefix));
    a.deliver(&mut b);
    let forked = waiting(&mut other, &b);
    let (seen, shown) = (a.registry().sealed, other.registry().sealed);
    let (seen, shown) = (seen.expect("sealed"), shown.expect("sealed"));
    let size = b.registry().tree.size();
    let answer = b.apply(Body::Foreign {
        batch: forked.clone(),
    });
    let detail = Detail::TwoRoots {
        peer: a.prefix,
        size: seen.size,
        seen: seen.root,
        shown: shown.root,
    };
    let no = carnet_hostile::judge::no(Reason::PeerQuarantined, detail.clone());
    assert_eq!(answer.items, vec![no.clone()]);
    let kinds = carnet_hostile::liar::kinds_since(&b, size);
    assert_eq!(kinds, vec![Kind::ForkEvidence]);
    // Told again, it is not written again.
    let answers = harmless(&mut b, Body::Foreign { batch: forked });
    assert_eq!(answers, vec![no]);
    let peer = Detail::Prefix { prefix: a.prefix };
    let permit = permit(&b, 1, Vec::new());
    refused(
        &mut b,
        "customs",
        permit,
        Reason::PeerQuarantined,
        peer.clone(),
    );
    b.must("maker", b.register(1));
    let declared = b.declare(1, transfer(9), &a.prefix);
    refused(&mut b, "maker", declared, Reason::PeerQuarantined, peer);
}

/// Whoever sits on the wire changes a byte: nothing is believed, and nothing but a good batch moves anything.
#[test]
fn a_byte_changed_on_the_wire_changes_nothing() {
    let (mut a, b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let good = waiting(&mut a, &b);
    let bytes = good.to_bytes();
    let (mut read, mut judged) = (0, std::collections::BTreeSet::new());
    for at in (0..bytes.len()).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let Ok(batch) = carnet_domain::machine::entry::MailBatch::from_bytes(&bytes) else {
            continue;
        };
        read += 1;
        let mut b = b.clone();
        for answer in harmless(&mut b, Body::Foreign { batch }) {
            let carnet_domain::machine::entry::ItemAnswer::Refused { rejection } = answer else {
                panic!("byte {at}: {answer:?}");
            };
            judged.insert(rejection.reason);
        }
    }
    assert!(read > 50, "{read} batches were read");
    let expected = [
        Reason::PeerUnknown,
        Reason::EvidenceBroken,
        Reason::EvidenceGap,
    ];
    assert!(
        judged.iter().all(|reason| expected.contains(reason)),
        "{judged:?}"
    );
    assert!(judged.contains(&Reason::EvidenceBroken));
}

/// A stranger, and a peer in another's name.
#[test]
fn mail_in_anothers_name_is_not_read() {
    let (mut a, mut b) = two();
    let mut stranger = Country::with_market("33");
    stranger.must("maker", stranger.register(1));
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let mut batch = waiting(&mut a, &b);
    batch.peer = stranger.prefix;
    let detail = Detail::Prefix {
        prefix: stranger.prefix,
    };
    let body = Body::Foreign {
        batch: batch.clone(),
    };
    entry_refused(&mut b, body, Reason::PeerUnknown, detail);
    // The note of one peer under the name of another.
    let c = Country::with_market("81");
    let mut third = c.clone();
    carnet_kit::befriend(&mut third, &mut b);
    batch.peer = third.prefix;
    let body = Body::Foreign { batch };
    entry_refused(&mut b, body, Reason::EvidenceBroken, Detail::Checkpoint {});
}

/// A leaf that is not under the checkpoint is nobody's statement.
#[test]
fn a_leaf_that_is_not_in_the_log_is_asked_for_again() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let good = waiting(&mut a, &b);
    let index = good.items[0].proven.index;
    let mut batch = good.clone();
    batch.items[0].proven.path.reverse();
    let detail = Detail::NotProven { index };
    unproven(&mut b, batch, Reason::EvidenceBroken, detail);
    let mut batch = good.clone();
    batch.items[0].proven.index = index + 1;
    let detail = Detail::NotProven { index: index + 1 };
    unproven(&mut b, batch, Reason::EvidenceBroken, detail);
    // Under a consistency proof that proves nothing, no leaf is looked at.
    b.apply(Body::Foreign { batch: good });
    a.must(
        "customs",
        Command::CancelExport {
            transfer: transfer(1),
            reason: "x".into(),
        },
    );
    let mut batch = waiting(&mut a, &b);
    batch.consistency = vec![d("x"); 3];
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let (from, to) = (
        peer.expect("a peer").size_seen,
        carnet_domain::log::checkpoint::peek(&batch.checkpoint)
            .expect("a note")
            .size,
    );
    let detail = Detail::Inconsistent { from, to };
    unproven(&mut b, batch, Reason::EvidenceBroken, detail);
}

/// Probe f11: items of a peer whose bundle ran out wait unread.
#[test]
fn mail_under_an_expired_bundle_waits_unread() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let batch = waiting(&mut a, &b);
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let mut peer = peer.expect("a peer");
    let until = b.registry().log_time;
    peer.bundle.valid_to = until;
    let Ok(()) = b.ledger.put_peer(peer);
    b.advance(DurationMs::from_days(1));
    let detail = Detail::BundleUntil {
        peer: a.prefix,
        until,
    };
    unproven(&mut b, batch, Reason::BundleExpired, detail);
}

/// Probe f13: of a peer whose log forked only what the last common checkpoint proves is believed.
#[test]
fn nothing_new_of_a_registry_that_forked_binds() {
    let (mut a, mut b) = two();
    a.must("maker", a.register(2));
    let there = a.code(2);
    export(&mut a, &mut b, there, 7);
    let mut other = a.clone();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    other.must("customs", other.declare(1, transfer(2), &b.prefix));
    a.deliver(&mut b);
    let forked = waiting(&mut other, &b);
    b.apply(Body::Foreign { batch: forked });
    a.must("maker", recall(&a, "R-1", Severity::StopUse));
    let stolen = Command::SetHold {
        code: there,
        kind: HoldKind::Theft,
        reason: "why".into(),
    };
    a.must("regulator", stolen);
    let batch = waiting(&mut a, &b);
    let detail = Detail::Prefix { prefix: a.prefix };
    unproven(&mut b, batch, Reason::PeerQuarantined, detail);
    assert_eq!(b.ledger.recall(&recall_id(&a, "R-1")), Ok(None));
    assert_eq!(robot(&b, &there).holds, []);
}

/// What is known of a peer, changed past the rules.
fn known_of(country: &mut Country, of: &Prefix, change: impl FnOnce(&mut Peer)) {
    let Ok(peer) = country.ledger.peer(of);
    let mut peer = peer.expect("a peer");
    change(&mut peer);
    let Ok(()) = country.ledger.put_peer(peer);
}

/// What is left of a bound when the attacks on it begin.
const LEFT: u64 = 100;

/// Probe f07: nacks are counted by peer and minute.
#[test]
fn a_peer_does_not_write_our_log_full_with_nonsense() {
    let (mut a, mut b) = two();
    for number in 0..500_u32 {
        let code = Code::parse(&format!("33000110000200000000000000{number:03}")).expect("a code");
        let step = link(Step::Offer, 1, 1, &b.prefix, &a.prefix, Digest::ZERO);
        let event = offer(&b, &a, code, 1);
        let slots = step_slots(&code, &step, &event);
        say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    }
    let minute = a.clock.0 / 60_000 + 1;
    a.clock = TimeMs(minute * 60_000);
    known_of(&mut a, &b.prefix, |peer| {
        peer.heard.minute = minute;
        peer.heard.nacks = NACKS_A_MINUTE_MAX - LEFT;
    });
    let size = a.registry().tree.size();
    for _ in 0..3 {
        let batch = lies(&mut b, &a);
        let answer = a.apply(Body::Foreign { batch }).items.pop();
        let Some(ItemAnswer::Refused { rejection }) = answer else {
            panic!("the mail pauses: {answer:?}");
        };
        let (peer, what, max) = (b.prefix, Counted::Nacks, NACKS_A_MINUTE_MAX);
        assert_eq!(rejection.reason, Reason::PeerPaused);
        assert_eq!(rejection.detail, Detail::InAMinute { peer, what, max });
        assert_eq!(a.registry().tree.size(), size + LEFT);
    }
}

/// Probe f16: offers of one peer are counted.
#[test]
fn offers_of_a_peer_have_an_end() {
    let (mut a, mut b) = two();
    b.must("maker", b.register(1));
    let declared = b.declare(1, transfer(1), &a.prefix);
    b.must("customs", declared);
    let first = last_said(&b, &a.prefix);
    let offered = 300_u32;
    for number in 0..offered {
        let code = b.code(10 + number);
        let mut slots = first.clone();
        let registered = carnet_domain::custody::Link::register(b.prefix);
        slots.set(slot::CODE, &code.as_str().to_owned());
        slots.set(slot::CUSTODY, &registered);
        say(&mut b, Kind::Register, &code, slots.clone(), &a.prefix);
        let prev = carnet_hostile::liar::last_leaf(&b, &code);
        let mut step = link(Step::Offer, 1, 1, &b.prefix, &a.prefix, prev);
        let mut id = [9; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let id = TransferId(id);
        step.transfer = Some(id);
        let mut event = offer(&b, &a, code, 1);
        if let Command::DeclareExport { transfer, .. } = &mut event {
            *transfer = id;
        }
        slots.set(slot::CODE, &code.as_str().to_owned());
        slots.set(slot::CUSTODY, &step);
        slots.set(slot::EVENT, &event);
        say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    }
    b.close();
    known_of(&mut a, &b.prefix, |peer| {
        peer.offers_open = OFFERS_OF_PEER_MAX - LEFT;
    });
    let size = a.registry().tree.size();
    let mut answers = Vec::new();
    for _ in 0..10 {
        let Ok(peer) = a.ledger.peer(&b.prefix);
        let peer = peer.expect("a peer");
        let batch = b.lying_mail(&a.prefix, peer.size_seen, peer.cursor);
        answers.extend(a.apply(Body::Foreign { batch }).items);
    }
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let peer = peer.expect("a peer");
    assert_eq!(peer.offers_open, OFFERS_OF_PEER_MAX);
    assert_eq!(a.ledger.transfers().count() as u64, LEFT);
    // The rest is answered by a number each, and stops nothing.
    assert_eq!(peer.cursor, 2 * u64::from(offered) + 1);
    let nacks = (size..a.registry().tree.size()).filter(|index| kind_of(&a, *index) == Kind::Nack);
    assert_eq!(nacks.count() as u64, u64::from(offered) + 1 - LEFT);
}

fn kind_of(country: &Country, index: u64) -> Kind {
    let Ok(leaf) = country.ledger.leaf(index);
    let leaf = leaf.expect("a leaf").leaf;
    Leaf::from_bytes(&leaf.0).expect("a leaf").kind
}
