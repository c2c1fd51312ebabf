//! What a peer is believed on its word alone: no epoch, no movement of somebody else's robot, no end that it only heard, and
//! no more of its claims than leave room for what stands behind them.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::foreign::CustodyFork;
use carnet_domain::custody::movement::EvidenceRef;
use carnet_domain::custody::{Doubt, Link, Step};
use carnet_domain::limits::{
    CLAIMS_A_MINUTE_MAX, EPOCH_FOREIGN_MAX, EPOCH_STEP_MAX, EPOCHS_TO_LEAVE, OFFERS_OF_PEER_MAX,
};
use carnet_domain::log::checkpoint::{NoteLine, Origin};
use carnet_domain::log::leaf::{Kind, Slots, Subject, SubjectType};
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::event::slot;
use carnet_domain::record::keys::KeyHistory;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Bundle, Clause, LogDoubt, Peer, Signed, Statement, TimeChange};
use carnet_domain::record::{
    Holder, Party, Predicate, Recall, RecallNotice, RecallStatus, Severity,
};
use carnet_domain::rules::command::{Command, Purpose};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::rejection::{Counted, Detail, Reason};
use carnet_hostile::judge::{nack_at, nacked, refused, statement_refused, unproven};
use carnet_hostile::liar::{
    kinds_since, last_leaf, last_said, lies, link, say, say_ended, say_of, standing, step_slots,
};
use carnet_hostile::scene::{
    admit, bring, conclude, confirm_end, d, declare_end, depart, export, offer, permit, robot,
    three, two, waiting,
};
use carnet_kit::samples::recall_id;
use carnet_kit::{Country, agreed, agreement, text, transfer};

pub(crate) fn peer_of(country: &Country, prefix: &Prefix) -> Peer {
    let Ok(peer) = country.ledger.peer(prefix);
    peer.expect("a peer")
}

fn doubtful(doubt: Doubt) -> Detail {
    Detail::Doubtful { doubt }
}

pub(crate) fn cancel(number: u8) -> Command {
    Command::CancelExport {
        transfer: transfer(number),
        reason: "x".into(),
    }
}

/// `from` and `to` would pass on robots of `issuer`.
fn pass_on(from: &mut Country, to: &mut Country, issuer: Prefix) {
    let mut both = agreement(from.prefix, to.prefix, 2);
    let clause = both.clauses[0].clone();
    for (number, recogniser) in [(3, from.prefix), (4, to.prefix)] {
        both.clauses.push(Clause {
            number,
            recogniser,
            issuer,
            ..clause.clone()
        });
    }
    conclude(from, to, &both);
}

fn onward(from: &Country, to: &Country, code: Code, number: u8) -> Command {
    let mut onward = offer(from, to, code, number);
    if let Command::DeclareExport { agreement, .. } = &mut onward {
        agreement.version = 2;
    }
    onward
}

/// An offer of a robot of ours that names a link which we were never told moves nothing, however far ahead.
#[test]
fn no_epoch_is_taken_on_trust() {
    for ahead in [1, 2, 3, 65, EPOCH_STEP_MAX] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        export(&mut a, &mut b, code, 1);
        let step = link(Step::Offer, 2, 1 + ahead, &b.prefix, &a.prefix, d("x"));
        let slots = step_slots(&code, &step, &offer(&b, &a, code, 2));
        say(&mut b, Kind::Custody, &code, slots, &a.prefix);
        let batch = lies(&mut b, &a);
        let detail = Detail::ChainUnbound { code };
        unproven(&mut a, batch, Reason::EvidenceBroken, detail);
        assert_eq!(robot(&a, &code).custody.epoch, 1);
    }
}

/// What it must not cost: an honest offer home after offers to others that came to nothing names a link known here.
#[test]
fn a_robot_comes_home_after_offers_to_others() {
    let (mut a, mut b, mut c) = three();
    pass_on(&mut b, &mut c, a.prefix);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    for number in [2, 3] {
        let declared = onward(&b, &c, code, number);
        b.must("customs", declared);
        b.deliver(&mut c);
        b.deliver(&mut a);
        b.must("customs", cancel(number));
    }
    b.deliver(&mut a);
    let known = robot(&a, &code).custody;
    assert_eq!((known.epoch, known.link), (3, last_leaf(&b, &code)));
    bring(&mut b, &mut a, code, 4, Purpose::PermanentExport);
    a.must("customs", admit(4));
    assert_eq!(robot(&a, &code).custody.epoch, 4);
}

/// The issuer is told of a step between two others what the link says, and not what they agreed, who gains and why: no byte of the mail
/// says it, and the step is followed all the same.
#[test]
fn a_step_between_two_others_shows_its_issuer_the_link_alone() {
    const NUMBER: &[u8] = b"MRN-OF-THEIRS";
    let (mut a, mut b, mut c) = three();
    pass_on(&mut b, &mut c, a.prefix);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let mut declared = onward(&b, &c, code, 2);
    if let Command::DeclareExport { papers, .. } = &mut declared {
        papers.mrn = String::from_utf8_lossy(NUMBER).into_owned();
    }
    b.must("customs", declared);
    let mut tells = |to: &Country| {
        let bytes = waiting(&mut b, to).to_bytes();
        bytes.windows(NUMBER.len()).any(|part| part == NUMBER)
    };
    assert!(tells(&c), "whom it is offered to");
    assert!(!tells(&a), "its issuer");
    b.deliver(&mut a);
    let known = robot(&a, &code).custody;
    assert_eq!((known.epoch, known.link), (2, last_leaf(&b, &code)));
    assert_eq!(event_of::<Link>(&a, &code).map(|it| it.epoch), Some(2));
}

/// A liar shows the issuer the command of a step between two others all the same: our leaf says the link, as of an honest one.
#[test]
fn our_leaf_of_a_step_between_two_others_says_its_link() {
    let (mut a, mut b, c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let step = link(
        Step::Offer,
        7,
        2,
        &b.prefix,
        &c.prefix,
        last_leaf(&b, &code),
    );
    let slots = step_slots(&code, &step, &offer(&b, &c, code, 7));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(robot(&a, &code).custody.epoch, 2);
    assert_eq!(event_of::<Link>(&a, &code), Some(step));
}

/// An offer to us that is refused, from a registry in quarantine, is a link of the chain all the same: our leaf of it says the command,
/// as of any step in a transfer of ours.
#[test]
fn our_leaf_of_a_refused_offer_to_us_says_its_command() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let peer = peer_of(&a, &b.prefix);
    let Ok(()) = a.ledger.put_peer(Peer {
        quarantined: true,
        ..peer
    });
    let declared = offer(&b, &a, code, 2);
    b.must("customs", declared.clone());
    b.deliver(&mut a);
    let known = robot(&a, &code).custody;
    assert_eq!((known.epoch, known.link), (2, last_leaf(&b, &code)));
    assert_eq!(event_of::<Command>(&a, &code), Some(declared));
}

/// What slot 10 of the newest leaf of a robot holds, if it is one of these.
fn event_of<T: Canonical>(country: &Country, code: &Code) -> Option<T> {
    let head = country.ledger.last_leaf(&Subject::robot(code).key());
    let Ok(record) = country
        .ledger
        .leaf(head.expect("a leaf about it").leaf_index);
    let values = record.expect("a leaf of the log").values;
    let value = values[usize::from(slot::EVENT)].as_ref()?;
    T::from_bytes(&value.0).ok()
}

/// The same: an offer home that was not taken is a link all the same, and the next one names its end.
#[test]
fn a_robot_comes_home_after_an_offer_that_was_not_taken() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let full = |a: &mut Country, count| {
        let mut peer = peer_of(a, &Country::unborn("49").prefix);
        peer.offers_open = count;
        let Ok(()) = a.ledger.put_peer(peer);
    };
    full(&mut a, OFFERS_OF_PEER_MAX);
    let home = offer(&b, &a, code, 2);
    b.must("customs", home);
    let size = a.registry().tree.size();
    b.deliver(&mut a);
    assert_eq!(kinds_since(&a, size), [Kind::Foreign, Kind::Nack]);
    full(&mut a, 0);
    b.must("customs", cancel(2));
    b.deliver(&mut a);
    bring(&mut b, &mut a, code, 3, Purpose::PermanentExport);
    a.must("customs", admit(3));
}

/// The issuer may have moved its robot between others, of which nobody else is told.
#[test]
fn an_issuer_offers_a_robot_again_after_it_was_elsewhere() {
    let (mut a, mut b, mut c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    a.must("customs", admit(2));
    a.deliver(&mut b);
    export(&mut a, &mut c, code, 3);
    bring(&mut c, &mut a, code, 4, Purpose::PermanentExport);
    a.must("customs", admit(4));
    a.deliver(&mut c);
    bring(&mut a, &mut b, code, 5, Purpose::PermanentExport);
    b.must("customs", admit(5));
}

/// No offer over one that is open, its issuer's neither.
#[test]
fn an_open_offer_is_not_offered_over() {
    for permitted in [false, true] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        let mut slots = last_said(&a, &b.prefix);
        a.deliver(&mut b);
        if permitted {
            b.must("customs", permit(&b, 1, Vec::new()));
        }
        let prev = last_leaf(&a, &code);
        let step = link(Step::Offer, 2, 3, &a.prefix, &b.prefix, prev);
        slots.set(slot::CUSTODY, &step);
        slots.set(slot::EVENT, &offer(&a, &b, code, 2));
        say(&mut a, Kind::Custody, &code, slots, &b.prefix);
        let batch = lies(&mut a, &b);
        let detail = doubtful(Doubt::OutOfOrder);
        nacked(&mut b, batch, Reason::TransferEnded, detail);
        assert_eq!(peer_of(&b, &a.prefix).offers_open, 1);
    }
}

/// What could never leave again is not permitted to come.
#[test]
fn a_robot_without_epochs_to_leave_with_is_not_permitted() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    let mut asked = robot(&b, &code);
    asked.custody.epoch = EPOCH_FOREIGN_MAX - EPOCHS_TO_LEAVE + 1;
    let Ok(()) = b.ledger.put_robot(asked);
    let detail = Detail::Full {
        what: Counted::Epochs,
        max: EPOCH_FOREIGN_MAX - EPOCHS_TO_LEAVE,
    };
    let permit = permit(&b, 1, Vec::new());
    refused(&mut b, "customs", permit, Reason::RecordFull, detail);
}

/// A third country moves no robot that it never had.
#[test]
fn a_third_country_writes_no_movement_of_a_robot_it_never_had() {
    let (mut a, mut b, mut c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let known = robot(&a, &code);
    let (b_is, c_is) = (b.prefix, c.prefix);
    let prev = known.custody.link;
    let other = || Command::Return {
        transfer: transfer(7),
        reason: "x".into(),
    };
    let steps = [
        link(Step::Return, 7, 2, &b_is, &c_is, prev),
        link(Step::Admit, 7, 1, &b_is, &c_is, prev),
        link(Step::Accept, 7, 1, &b_is, &c_is, prev),
        link(Step::Refuse, 7, 1, &b_is, &c_is, prev),
        link(Step::Depart, 7, 1, &c_is, &b_is, prev),
        link(Step::Offer, 7, 2, &c_is, &b_is, prev),
        // In the name of who has it.
        link(Step::Offer, 7, 2, &b_is, &c_is, prev),
        link(Step::Depart, 7, 1, &b_is, &c_is, prev),
    ];
    let count = steps.len() as u64;
    for step in steps {
        let event = match step.step {
            Step::Return => other(),
            Step::Admit => admit(7),
            Step::Accept => permit(&c, 7, Vec::new()),
            Step::Refuse => Command::RefuseImport {
                transfer: transfer(7),
                reason: "x".into(),
            },
            Step::Depart => depart(7),
            _ => {
                let mut event = offer(&b, &c, code, 7);
                if let Command::DeclareExport { to, agreement, .. } = &mut event {
                    *to = step.to;
                    *agreement = agreed(b_is, c_is);
                }
                event
            }
        };
        let slots = step_slots(&code, &step, &event);
        say(&mut c, Kind::Custody, &code, slots, &a.prefix);
    }
    let batch = lies(&mut c, &a);
    let detail = Detail::NeitherHas { code };
    let size = a.registry().tree.size();
    nacked(&mut a, batch, Reason::NotInCustody, detail);
    assert_eq!(a.registry().tree.size(), size + count);
    assert_eq!(robot(&a, &code), known);
    // Who has it offers it to a third one by one event, and names another.
    let step = link(Step::Offer, 8, 2, &b_is, &c_is, last_leaf(&b, &code));
    let slots = step_slots(&code, &step, &depart(8));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    let size = a.registry().tree.size();
    a.apply(Body::Foreign { batch });
    // It is its link, and the next one will name it; what it says beside is not the issuer's to read.
    assert_eq!(kinds_since(&a, size), [Kind::Foreign]);
    // Home it comes as it would have.
    let reason = robot(&a, &code).custody;
    assert_eq!((reason.epoch, reason.responsible_abroad()), (2, Some(b_is)));
}

/// Whoever hears an end of somebody else's robot tells nobody; the issuer does.
#[test]
fn an_end_is_told_on_by_the_issuer_alone() {
    let (mut a, mut b, c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    a.must("customs", admit(2));
    a.deliver(&mut b);
    let before = b.ledger.mailbox(&c.prefix, 0).len();
    let ours = a.ledger.mailbox(&c.prefix, 0).len();
    a.must("recycler", declare_end(code));
    a.must("registrar", confirm_end(code));
    a.deliver(&mut b);
    assert_eq!(robot(&b, &code).state, State::Scrapped);
    assert_eq!(b.ledger.mailbox(&c.prefix, 0).len(), before);
    assert!(a.ledger.mailbox(&c.prefix, 0).len() > ours);
}

/// An end that is proven here changes nothing when it is told once more: it is neither judged nor claimed again.
#[test]
fn an_end_that_is_told_again_is_nothing() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    a.must("customs", admit(2));
    a.deliver(&mut b);
    a.must("recycler", declare_end(code));
    a.must("registrar", confirm_end(code));
    let slots = last_said(&a, &b.prefix);
    a.deliver(&mut b);
    assert_eq!(robot(&b, &code).state, State::Scrapped);
    say(&mut a, Kind::LifeCycle, &code, slots, &b.prefix);
    let (size, batch) = (b.registry().tree.size(), lies(&mut a, &b));
    b.apply(Body::Foreign { batch });
    assert_eq!(kinds_since(&b, size), []);
}

/// An end that its sender only heard is no claim of its own.
#[test]
fn an_end_that_was_heard_is_no_claim() {
    let (mut a, mut b) = two();
    let code = Code::parse("33000110000200000000000000001").expect("a code");
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::BODY, &d("body"));
    slots.set(slot::STATE, &standing(State::Scrapped));
    say(&mut b, Kind::Foreign, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    let size = a.registry().tree.size();
    a.apply(Body::Foreign { batch });
    assert_eq!(a.registry().tree.size(), size);
    let Ok(ends) = a.ledger.ends(&d("body"));
    assert_eq!(ends, None);
}

/// Claims over their number are left out, and what stands behind them is read in the same minute.
#[test]
fn a_theft_behind_a_flood_of_claims_is_read() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let many = 3 * CLAIMS_A_MINUTE_MAX;
    for number in 0..many {
        let code = Code::parse(&format!("33000110000200000000000000{number:03}")).expect("a code");
        say_ended(&mut a, &code, d(&number.to_string()), &b.prefix);
    }
    a.must(
        "regulator",
        Command::SetHold {
            code,
            kind: HoldKind::Theft,
            reason: "why".into(),
        },
    );
    let batch = lies(&mut a, &b);
    let at = TimeMs((b.clock.0 / 60_000 + 1) * 60_000);
    b.advance(DurationMs(at.0 - b.clock.0));
    let size = b.registry().tree.size();
    b.apply(Body::Foreign { batch });
    let holds = robot(&b, &code).holds;
    assert!(holds.iter().any(|hold| hold.kind == HoldKind::Theft));
    let kinds = kinds_since(&b, size);
    let count = |kind| kinds.iter().filter(|other| **other == kind).count() as u64;
    assert_eq!(count(Kind::Incident), CLAIMS_A_MINUTE_MAX);
    // At most a leaf for each, and one for the theft.
    assert!(kinds.len() as u64 <= many + 1, "{} leaves", kinds.len());
}

/// Junk lines under the name of the log do not push its own signature out of what is kept.
#[test]
fn the_signature_of_a_note_is_kept_whatever_stands_beside_it() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let mut batch = lies(&mut a, &b);
    let junk = "AAAAA".repeat(30);
    for _ in 0..9 {
        batch.checkpoint += &format!("\u{2014} carnet/86/0 {}\n", &junk[..148]);
    }
    let note = batch.checkpoint.clone();
    b.apply(Body::Foreign { batch });
    let kept = peer_of(&b, &a.prefix).note_seen;
    let origin = Origin {
        prefix: a.prefix,
        incarnation: 0,
    };
    let key = a.key("log").public();
    carnet_domain::log::checkpoint::open(&note, &key, &origin).expect("the note is good");
    carnet_domain::log::checkpoint::open(&kept, &key, &origin).expect("what is kept is signed");
    let lines = kept.lines().filter(|line| NoteLine::parse(line).is_ok());
    assert_eq!(lines.count(), 1);
}

/// A recall said again word for word writes nothing.
#[test]
fn a_recall_said_again_is_no_leaf() {
    let (mut a, mut b) = two();
    let id = recall_id(&a, "R-1");
    let mut said = Recall {
        notice: RecallNotice {
            id: id.clone(),
            severity: Severity::StopUse,
            predicate: Predicate::all(),
        },
        models: vec![a.model("0001", "100002")],
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
    let (mut leaves, mut opened) = (Vec::new(), Vec::new());
    for remedy in ["x", "x", "x", "y", "y"] {
        said.remedy = remedy.into();
        let mut slots = Slots::new();
        slots.set(slot::CODE, &id.to_string());
        slots.set(slot::MODEL, &said);
        let subject = Subject::new(SubjectType::Recall, id.to_string());
        say_of(&mut a, Kind::Recall.number(), subject, slots, &b.prefix);
        let batch = lies(&mut a, &b);
        let size = b.registry().tree.size();
        b.apply(Body::Foreign { batch });
        leaves.push(b.registry().tree.size() - size);
        let Ok(known) = b.ledger.recall(&id);
        opened.push(known.expect("a recall").opened);
    }
    assert_eq!(leaves, [1, 0, 0, 1, 0]);
    // Nor does what is said of it later change since when it is known.
    assert!(opened.iter().all(|at| *at == opened[0]), "{opened:?}");
}

pub(crate) fn recognise(by: &Country, bundle: &Bundle) -> Statement {
    let bytes = bundle.to_bytes();
    let fingerprint = bundle.fingerprint();
    let signatures = by.root_signatures(&bytes);
    let bytes = Blob(bytes);
    let bundle = Signed { bytes, signatures };
    Statement::Recognise {
        changes: Vec::new(),
        bundle,
        fingerprint,
    }
}

/// A bundle whose own roots could never sign the next one is not taken.
#[test]
fn a_bundle_that_its_own_roots_cannot_follow_is_not_recognised() {
    let (a, mut b) = two();
    let good = a.bundle_of(2);
    let out_of_reach = [
        Bundle {
            threshold: good.roots.len() as u8 + 1,
            ..good.clone()
        },
        Bundle {
            roots: Vec::new(),
            keys: KeyHistory::at_genesis(&[], a.key("log").public()),
            ..good.clone()
        },
        Bundle {
            threshold: 0,
            ..good.clone()
        },
    ];
    for bundle in out_of_reach {
        let statement = recognise(&a, &bundle);
        let detail = Detail::BundleOf { peer: a.prefix };
        statement_refused(&mut b, &statement, Reason::StatementUnsigned, detail);
    }
    let answer = b.state(&recognise(&a, &good));
    assert!(
        matches!(answer, ItemAnswer::Done { .. }),
        "{}",
        text(&answer)
    );
}

/// Another life of a log is no fork of the one before.
#[test]
fn a_new_incarnation_begins_anew() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    let known = peer_of(&b, &a.prefix);
    assert!(known.size_seen > 0 && known.cursor > 0);
    let bundle = Bundle {
        incarnation: 1,
        ..a.bundle_of(2)
    };
    let answer = b.state(&recognise(&a, &bundle));
    assert!(
        matches!(answer, ItemAnswer::Done { .. }),
        "{}",
        text(&answer)
    );
    let known = peer_of(&b, &a.prefix);
    assert_eq!((known.cursor, known.size_seen), (0, 0));
    assert_eq!(
        (known.root_seen, known.note_seen),
        (Digest::ZERO, String::new())
    );
    assert!(!known.agreements.is_empty(), "what was agreed stands");
}

/// Who offers asks the same bound as who is asked.
#[test]
fn no_more_is_offered_than_the_other_country_takes() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    assert_eq!(peer_of(&a, &b.prefix).offers_made, 1);
    a.must("customs", cancel(1));
    let mut peer = peer_of(&a, &b.prefix);
    assert_eq!(peer.offers_made, 0);
    peer.offers_made = OFFERS_OF_PEER_MAX;
    let Ok(()) = a.ledger.put_peer(peer.clone());
    let again = a.declare(1, transfer(2), &b.prefix);
    let (what, max) = (Counted::Offers, OFFERS_OF_PEER_MAX);
    let detail = Detail::Full { what, max };
    refused(&mut a, "maker", again, Reason::RecordFull, detail);
    peer.offers_made = 0;
    let Ok(()) = a.ledger.put_peer(peer);
    let code = a.code(1);
    export(&mut a, &mut b, code, 2);
    assert_eq!(peer_of(&a, &b.prefix).offers_made, 0);
}

/// A robot that ends on the way takes no place among what is open.
#[test]
fn the_end_of_a_robot_ends_its_transfer() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    // What is on its way takes none.
    assert_eq!(peer_of(&b, &a.prefix).offers_open, 0);
    assert_eq!(peer_of(&a, &b.prefix).offers_made, 0);
    b.must("recycler", declare_end(code));
    b.must("registrar", confirm_end(code));
    assert_eq!(peer_of(&b, &a.prefix).offers_open, 0);
    b.deliver(&mut a);
    assert_eq!(robot(&a, &code).state, State::Scrapped);
    assert_eq!(peer_of(&a, &b.prefix).offers_made, 0);
    let Ok(ended) = b.ledger.transfer(&transfer(1));
    assert!(ended.expect("a transfer").ending.is_some());
}

/// Who operates a resident at home is not another country's to say.
#[test]
fn a_resident_comes_home_to_its_operator() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let party = |name: &str| Party::Enterprise {
        id: a.enterprise(name),
    };
    let (ours, theirs) = (party("0002"), party("0001"));
    let mut at_home = robot(&a, &code);
    at_home.operator = Some(ours.clone());
    let Ok(()) = a.ledger.put_robot(at_home);
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    let mut lied = robot(&b, &code);
    lied.operator = Some(theirs);
    let Ok(()) = b.ledger.put_robot(lied);
    bring(&mut b, &mut a, code, 2, Purpose::RepairAndReturn);
    a.must("customs", admit(2));
    assert_eq!(robot(&a, &code).operator, Some(ours));
}

/// Design 09 §18: two leaves of one registry of which one alone can be are kept, and quarantine it.
#[test]
fn a_registry_that_writes_two_steps_of_which_one_can_be_is_quarantined() {
    type Says = fn(&mut Country, &mut Country) -> (Step, Command, u64);
    let (offer_twice, depart_and_cancel, cancel_and_depart): (Says, Says, Says) = (
        |a, b| (Step::Offer, offer(a, b, a.code(1), 2), 1),
        |a, b| {
            b.must("customs", permit(b, 1, Vec::new()));
            b.deliver(a);
            a.must("customs", depart(1));
            a.deliver(b);
            b.must("customs", admit(1));
            (Step::Cancel, cancel(1), 1)
        },
        |a, b| {
            a.must("customs", cancel(1));
            a.deliver(b);
            (Step::Depart, depart(1), 1)
        },
    );
    for says in [offer_twice, depart_and_cancel, cancel_and_depart] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        let mut slots = last_said(&a, &b.prefix);
        a.deliver(&mut b);
        let offered = {
            let Ok(transfer) = b.ledger.transfer(&transfer(1));
            let evidence = transfer.and_then(|transfer| transfer.evidence);
            evidence.expect("the offer").leaf
        };
        let (step, event, epoch) = says(&mut a, &mut b);
        let number = if step == Step::Offer { 2 } else { 1 };
        let link = link(step, number, epoch, &a.prefix, &b.prefix, offered);
        slots.set(slot::CUSTODY, &link);
        slots.set(slot::EVENT, &event);
        say(&mut a, Kind::Custody, &code, slots, &b.prefix);
        // Its log is one: what stands behind is read, and no new offer is taken.
        let (another, third) = (a.code(9), a.code(8));
        say_ended(&mut a, &another, d("x"), &b.prefix);
        let new = carnet_hostile::liar::link(Step::Offer, 8, 1, &a.prefix, &b.prefix, d("x"));
        let slots = step_slots(&third, &new, &offer(&a, &b, third, 8));
        say(&mut a, Kind::Custody, &third, slots, &b.prefix);
        let batch = lies(&mut a, &b);
        let size = b.registry().tree.size();
        b.apply(Body::Foreign { batch });
        let kinds = [Kind::ForkEvidence, Kind::Foreign, Kind::Nack];
        assert_eq!(kinds_since(&b, size), kinds, "{step:?}");
        let prefix = a.prefix;
        let detail = Detail::Prefix { prefix };
        let last = nack_at(&b, size + 2).expect("a nack");
        assert_eq!(
            (last.reason, &last.detail),
            (Reason::PeerQuarantined, &detail)
        );
        let Ok(record) = b.ledger.leaf(size);
        let values = record.expect("the evidence").values;
        let of = |slot: u8| values[usize::from(slot)].clone().expect("a value").0;
        let both = Vec::<EvidenceRef>::from_bytes(&of(slot::EVIDENCE)).expect("two leaves");
        assert_eq!(both.len(), 2);
        assert_ne!(both[0].leaf, both[1].leaf);
        assert!(both.iter().all(|leaf| leaf.link.is_some()));
        let fork = CustodyFork::from_bytes(&of(slot::EVENT)).expect("a fork");
        assert_eq!((fork.peer, fork.code), (a.prefix, code));
        let declared = b.declare(1, transfer(9), &a.prefix);
        b.must("maker", b.register(1));
        refused(&mut b, "maker", declared, Reason::PeerQuarantined, detail);
        // A new life of its log, by its roots and ours, ends that.
        let bundle = Bundle {
            incarnation: 1,
            ..a.bundle_of(2)
        };
        let answer = b.state(&recognise(&a, &bundle));
        assert!(matches!(answer, ItemAnswer::Done { .. }));
        assert!(!peer_of(&b, &a.prefix).quarantined);
    }
}

/// The same of who takes in: it admitted a robot, and sends it back. What may be said twice is no fork.
#[test]
fn an_admission_and_a_return_of_one_departure_are_a_fork() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let admitted = last_said(&b, &a.prefix);
    let link_of = |slots: &Slots| {
        let bytes = slots.values[usize::from(slot::CUSTODY)].as_ref();
        Link::from_bytes(bytes.expect("shown")).expect("a link")
    };
    // The same words in another leaf: the permit is a side leaf, and excludes nothing.
    let mut aside = admitted.clone();
    let its = link_of(&admitted);
    let accept = Link {
        step: Step::Accept,
        ..its.clone()
    };
    aside.set(slot::CUSTODY, &accept);
    aside.set(slot::EVENT, &permit(&b, 1, Vec::new()));
    say(&mut b, Kind::Custody, &code, aside, &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    assert!(!peer_of(&a, &b.prefix).quarantined);
    let mut returned = admitted;
    let back = Link {
        step: Step::Return,
        epoch: 2,
        ..its
    };
    returned.set(slot::CUSTODY, &back);
    let event = Command::Return {
        transfer: transfer(1),
        reason: "x".into(),
    };
    returned.set(slot::EVENT, &event);
    say(&mut b, Kind::Custody, &code, returned, &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    assert!(peer_of(&a, &b.prefix).quarantined);
    assert_eq!(
        robot(&a, &code).custody.responsible_abroad(),
        Some(b.prefix)
    );
}

/// The depart of transfer 2 under its offer, as if it had been permitted.
fn depart_unpermitted(b: &mut Country, a: &Country, code: Code, offer: Digest) {
    let step = link(Step::Depart, 2, 2, &b.prefix, &a.prefix, offer);
    let slots = step_slots(&code, &step, &depart(2));
    say(b, Kind::Custody, &code, slots, &a.prefix);
}

fn refuse(number: u8) -> Command {
    Command::RefuseImport {
        transfer: transfer(number),
        reason: "x".into(),
    }
}

/// A departure home that nobody here permitted makes nobody responsible, whether its offer was refused or not taken.
#[test]
fn a_departure_to_us_that_was_not_permitted_moves_nothing() {
    for taken in [true, false] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        export(&mut a, &mut b, code, 1);
        let full = if taken { 0 } else { OFFERS_OF_PEER_MAX };
        let mut peer = peer_of(&a, &b.prefix);
        peer.offers_open = full;
        let Ok(()) = a.ledger.put_peer(peer);
        let home = offer(&b, &a, code, 2);
        b.must("customs", home);
        let offered = last_leaf(&b, &code);
        b.deliver(&mut a);
        if taken {
            a.must("customs", refuse(2));
        }
        let before = robot(&a, &code).custody;
        assert_eq!(before.responsible_abroad(), Some(b.prefix));
        depart_unpermitted(&mut b, &a, code, offered);
        let batch = lies(&mut b, &a);
        let detail = doubtful(Doubt::WithoutOurPermit);
        nacked(&mut a, batch, Reason::TransferEnded, detail);
        assert_eq!(robot(&a, &code).custody, before, "taken: {taken}");
    }
}

/// Nor does a departure to a country that did not say that it takes the robot; once it says so, it is responsible.
#[test]
fn a_departure_to_who_did_not_permit_it_moves_nothing() {
    let (mut a, mut b, mut c) = three();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let (b_is, c_is) = (b.prefix, c.prefix);
    let step = link(Step::Offer, 7, 2, &b_is, &c_is, last_leaf(&b, &code));
    let slots = step_slots(&code, &step, &offer(&b, &c, code, 7));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let offered = last_leaf(&b, &code);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    let step = link(Step::Depart, 7, 2, &b_is, &c_is, offered);
    let slots = step_slots(&code, &step, &depart(7));
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    let detail = doubtful(Doubt::OutOfOrder);
    nacked(&mut a, batch, Reason::Parked, detail);
    assert_eq!(robot(&a, &code).custody.responsible_abroad(), Some(b_is));
    // In the name of the one to whom it was offered, by who offers it.
    let step = link(Step::Accept, 7, 2, &b_is, &c_is, offered);
    let accepts = step_slots(&code, &step, &permit(&c, 7, Vec::new()));
    say(&mut b, Kind::Custody, &code, accepts.clone(), &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(robot(&a, &code).custody.responsible_abroad(), Some(b_is));
    say(&mut c, Kind::Custody, &code, accepts, &a.prefix);
    let batch = lies(&mut c, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(robot(&a, &code).custody.responsible_abroad(), Some(c_is));
}

/// What it must not cost: an offer that was permitted and then cancelled is followed to its end.
#[test]
fn an_offer_between_others_that_was_permitted_is_cancelled() {
    let (mut a, mut b, mut c) = three();
    pass_on(&mut b, &mut c, a.prefix);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let declared = onward(&b, &c, code, 2);
    b.must("customs", declared);
    b.deliver(&mut a);
    let mut step = link(
        Step::Accept,
        2,
        2,
        &b.prefix,
        &c.prefix,
        last_leaf(&b, &code),
    );
    step.agreement.as_mut().expect("an agreement").version = 2;
    let slots = step_slots(&code, &step, &permit(&c, 2, Vec::new()));
    say(&mut c, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut c, &a);
    a.apply(Body::Foreign { batch });
    assert_eq!(robot(&a, &code).custody.followed, Some(step));
    b.must("customs", cancel(2));
    bring(&mut b, &mut a, code, 3, Purpose::PermanentExport);
    a.must("customs", admit(3));
}

/// The Cancel that answers a refusal is a step like any other, and told to the issuer.
#[test]
fn the_issuer_hears_of_the_cancel_that_answers_a_refusal() {
    let (mut a, mut b, mut c) = three();
    pass_on(&mut b, &mut c, a.prefix);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let declared = onward(&b, &c, code, 2);
    b.must("customs", declared);
    let mut step = link(
        Step::Refuse,
        2,
        2,
        &b.prefix,
        &c.prefix,
        last_leaf(&b, &code),
    );
    step.agreement.as_mut().expect("an agreement").version = 2;
    let slots = step_slots(&code, &step, &refuse(2));
    say(&mut c, Kind::Custody, &code, slots, &b.prefix);
    let batch = lies(&mut c, &b);
    b.apply(Body::Foreign { batch });
    b.deliver(&mut a);
    let known = robot(&a, &code).custody;
    assert_eq!((known.epoch, known.link), (2, last_leaf(&b, &code)));
    assert_eq!(known.newest().map(|link| link.step), Some(Step::Cancel));
    bring(&mut b, &mut a, code, 3, Purpose::PermanentExport);
    a.must("customs", admit(3));
}

/// What is under way with a country that is quarantined ends by what it proves; nothing new goes there.
#[test]
fn what_is_under_way_with_a_quarantined_country_comes_to_its_end() {
    let (mut a, mut b) = two();
    let (code, second, third) = (a.code(1), a.code(2), a.code(3));
    for serial in [2, 3] {
        a.must("maker", a.register(serial));
    }
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    for (code, number) in [(second, 2), (third, 3)] {
        let declared = offer(&a, &b, code, number);
        a.must("customs", declared);
    }
    a.deliver(&mut b);
    b.must("customs", permit(&b, 2, Vec::new()));
    b.deliver(&mut a);
    let mut peer = peer_of(&a, &b.prefix);
    peer.quarantined = true;
    let Ok(()) = a.ledger.put_peer(peer);
    let prefix = b.prefix;
    let detail = Detail::Prefix { prefix };
    refused(
        &mut a,
        "customs",
        depart(2),
        Reason::PeerQuarantined,
        detail.clone(),
    );
    a.must("customs", cancel(2));
    b.must("customs", permit(&b, 3, Vec::new()));
    b.must("customs", admit(1));
    let size = a.registry().tree.size();
    b.deliver(&mut a);
    assert_eq!(kinds_since(&a, size), [Kind::Nack, Kind::Foreign]);
    let said = nack_at(&a, size).expect("a nack");
    assert_eq!(
        (said.reason, said.detail),
        (Reason::PeerQuarantined, detail)
    );
    assert_eq!(robot(&a, &code).custody.open_transfer(), None);
    // It does not bring the one home by a new offer, and the next one still finds its link.
    let home = offer(&b, &a, code, 4);
    b.must("customs", home);
    b.deliver(&mut a);
    let known = robot(&a, &code).custody;
    assert_eq!((known.epoch, known.link), (2, last_leaf(&b, &code)));
    assert_eq!(known.open_transfer(), None);
}

/// What a country said while an agreement stood it takes back whatever became of that: a hold that could not be lifted any
/// more would lie on the robot for ever, and each word about it would be one more alarm.
#[test]
fn a_country_takes_back_its_word_whatever_became_of_the_agreement() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let (kind, reason) = (HoldKind::Theft, "why".to_owned());
    let set = Command::SetHold {
        code,
        kind,
        reason: reason.clone(),
    };
    a.must("regulator", set);
    a.deliver(&mut b);
    let stolen = |b: &Country| {
        let holds = robot(b, &code).holds;
        holds.iter().any(|hold| hold.kind == HoldKind::Theft)
    };
    assert!(stolen(&b));
    let suspend = Statement::Suspend {
        peer: a.prefix,
        agreement: carnet_kit::agreed(a.prefix, b.prefix),
        number: 1,
        until: b.clock.saturating_add(DurationMs::from_days(9)),
        reason: "a dispute".into(),
    };
    let answer = b.state(&suspend);
    assert!(matches!(answer, ItemAnswer::Done { .. }), "{answer:?}");
    a.must("regulator", Command::LiftHold { code, kind, reason });
    let (size, said) = (b.registry().tree.size(), last_said(&a, &b.prefix));
    a.deliver(&mut b);
    assert_eq!(kinds_since(&b, size), [Kind::Foreign]);
    assert!(!stolen(&b));
    // Said again it is nothing.
    say(&mut a, Kind::Hold, &code, said, &b.prefix);
    let (size, batch) = (b.registry().tree.size(), lies(&mut a, &b));
    b.apply(Body::Foreign { batch });
    assert_eq!(kinds_since(&b, size), []);
}

/// What a node here saw of a peer's log is kept by all of them, whatever is said later, until both countries' roots have spoken:
/// then only what is seen under the newer bundle counts.
#[test]
fn a_doubt_stays_until_the_roots_state_a_newer_bundle() {
    let (a, mut b) = two();
    let sequence = peer_of(&b, &a.prefix).bundle.sequence;
    let doubted = |b: &Country| peer_of(b, &a.prefix).doubted;
    let doubt = |b: &mut Country, peer, sequence, doubt| {
        let said = Body::Doubt {
            peer,
            sequence,
            doubt,
        };
        let size = b.registry().tree.size();
        let answer = b.apply(said).items.remove(0);
        assert_eq!(b.registry().tree.size(), size, "it is no evidence: no leaf");
        text(&answer)
    };
    assert_eq!(
        doubt(&mut b, a.prefix, sequence + 1, LogDoubt::RolledBack),
        "nothing"
    );
    assert_eq!(doubted(&b), None, "of a bundle that nobody stated");
    doubt(&mut b, a.prefix, sequence, LogDoubt::RolledBack);
    doubt(&mut b, a.prefix, sequence, LogDoubt::OtherHistory);
    assert_eq!(doubted(&b), Some(LogDoubt::RolledBack), "no milder one");
    // What it signed twice is graver than what it lost, and hides behind nothing.
    doubt(&mut b, a.prefix, sequence, LogDoubt::Fork);
    doubt(&mut b, a.prefix, sequence, LogDoubt::RolledBack);
    assert_eq!(doubted(&b), Some(LogDoubt::Fork), "the graver stays");
    let stranger = Country::unborn("81").prefix;
    let found = doubt(&mut b, stranger, sequence, LogDoubt::Fork);
    assert!(found.contains("PeerUnknown"), "{found}");
    let answer = b.state(&recognise(&a, &a.bundle_of(sequence + 1)));
    assert!(
        matches!(answer, ItemAnswer::Done { .. }),
        "{}",
        text(&answer)
    );
    assert_eq!(doubted(&b), None);
    doubt(&mut b, a.prefix, sequence, LogDoubt::RolledBack);
    assert_eq!(doubted(&b), None, "a word that came late");
    doubt(&mut b, a.prefix, sequence + 1, LogDoubt::OtherHistory);
    assert_eq!(doubted(&b), Some(LogDoubt::OtherHistory));
}

/// That no way is shown to a head is nobody's word, and may be a disk of one server: it is over with the first head that goes on from the
/// one taken in. What was rolled back stays.
#[test]
fn a_doubt_that_nobody_signed_ends_with_the_next_head_that_goes_on() {
    let (mut a, mut b) = two();
    a.deliver(&mut b);
    let sequence = peer_of(&b, &a.prefix).bundle.sequence;
    for (doubt, after) in [
        (LogDoubt::OtherHistory, None),
        (LogDoubt::RolledBack, Some(LogDoubt::RolledBack)),
    ] {
        let peer = a.prefix;
        b.apply(Body::Doubt {
            peer,
            sequence,
            doubt,
        });
        // The same head again goes on to nowhere.
        let known = peer_of(&b, &peer);
        let same = a.mail(&b.prefix, known.size_seen, 0).expect("mail");
        b.apply(Body::Foreign { batch: same });
        assert_eq!(peer_of(&b, &peer).doubted, Some(doubt));
        let serial = 150 + u32::from(doubt == LogDoubt::RolledBack);
        a.must("maker", a.register(serial));
        a.deliver(&mut b);
        assert_eq!(peer_of(&b, &peer).doubted, after);
    }
}

/// What a country showed before its roots set its clock back is of a later time than what follows, whether it was seen here or not: the
/// statement says up to when.
#[test]
fn heads_of_before_a_repair_are_of_no_later_time() {
    let (mut a, mut b) = two();
    a.deliver(&mut b);
    let to = a.registry().log_time;
    a.advance(DurationMs(3_000_000));
    a.must("maker", a.register(150));
    a.close();
    let from = a.registry().log_time;
    assert!(peer_of(&b, &a.prefix).time_seen < from, "never seen here");
    let change = TimeChange {
        cluster: a.registry().cluster,
        number: 1,
        from,
        to,
    };
    let answer = a.state_unrenewed(&Statement::RepairTime { change });
    assert_eq!(text(&answer), "done");
    a.clock = to;
    a.deliver(&mut b);
    let known = peer_of(&b, &a.prefix);
    assert_eq!(
        (known.size_seen, known.time_seen),
        (a.registry().tree.size(), from)
    );
    // What another says of its own time says nothing of this one's.
    assert!(peer_of(&a, &b.prefix).time_seen < from);
}

/// A broken way that is shown first is no cover for a rollback that is shown next: the head that goes on ends the one alone.
#[test]
fn a_milder_doubt_takes_no_graver_one_along() {
    for graver in [LogDoubt::RolledBack, LogDoubt::Fork] {
        let (mut a, mut b) = two();
        a.deliver(&mut b);
        let (peer, sequence) = (a.prefix, peer_of(&b, &a.prefix).bundle.sequence);
        for doubt in [LogDoubt::OtherHistory, graver, LogDoubt::OtherHistory] {
            b.apply(Body::Doubt {
                peer,
                sequence,
                doubt,
            });
        }
        a.must("maker", a.register(150));
        a.deliver(&mut b);
        assert_eq!(peer_of(&b, &peer).doubted, Some(graver));
    }
}

/// A registry keeps the bundle by which everybody else knows it, as its roots signed it: its own and no other, and only a newer one.
#[test]
fn the_own_bundle_is_stated_by_the_own_roots() {
    let (mut a, b) = two();
    let stated = |a: &Country| a.registry().bundle.map(|bundle| bundle.sequence);
    let refusal = |a: &mut Country, statement: &Statement| text(&a.state(statement));
    assert_eq!(stated(&a), None);
    let good = a.bundle_of(3);
    let lies = [
        Bundle {
            keys: KeyHistory::at_genesis(&good.roots, a.key("another").public()),
            ..good.clone()
        },
        Bundle {
            incarnation: 1,
            ..good.clone()
        },
        Bundle {
            prefixes: vec![a.prefix, b.prefix],
            ..good.clone()
        },
        Bundle {
            threshold: 1,
            ..good.clone()
        },
    ];
    for lie in &lies {
        let statement = recognise(&a, lie);
        let found = refusal(&mut a, &statement);
        assert!(found.contains("PrefixOverlap"), "{found}");
    }
    let found = refusal(&mut a, &recognise(&b, &good));
    assert!(found.contains("StatementUnsigned"), "{found}");
    assert_eq!(stated(&a), None);
    let size = a.registry().tree.size();
    let statement = recognise(&a, &good);
    assert_eq!(refusal(&mut a, &statement), "done");
    assert_eq!(stated(&a), Some(3));
    let leaf = a.registry().bundle.expect("stated").leaf;
    assert_eq!(leaf, size, "it is read as it was signed");
    let Ok(leaf) = a.ledger.leaf(leaf);
    let event = leaf.and_then(|leaf| leaf.values[usize::from(slot::EVENT)].clone());
    assert_eq!(
        event.map(|event| Statement::from_bytes(&event.0)),
        Some(Ok(statement))
    );
    for (sequence, expected) in [(3, "StatementStale"), (2, "StatementStale"), (4, "done")] {
        let bundle = a.bundle_of(sequence);
        let statement = recognise(&a, &bundle);
        let found = refusal(&mut a, &statement);
        assert!(found.contains(expected), "{sequence}: {found}");
    }
    assert_eq!(stated(&a), Some(4));
    // Another prefix of its own: every peer takes that, and so does it.
    let more = Bundle {
        prefixes: vec![a.prefix, Prefix::parse("50").expect("a prefix")],
        ..a.bundle_of(5)
    };
    let statement = recognise(&a, &more);
    assert_eq!(refusal(&mut a, &statement), "done");
    assert_eq!(stated(&a), Some(5));
    // And is nobody else's from then on.
    let theirs = Bundle {
        prefixes: vec![b.prefix, Prefix::parse("50").expect("a prefix")],
        ..b.bundle_of(9)
    };
    let found = refusal(&mut a, &recognise(&b, &theirs));
    assert!(found.contains("PrefixOverlap"), "{found}");
    assert!(
        a.ledger.peer(&a.prefix) == Ok(None),
        "it is no peer of its own"
    );
}
