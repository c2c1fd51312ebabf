//! What comes in cannot stop a replica, overflow a number, or make a record grow without bound. Each test is an input that
//! once did.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical, Decoder, Encoder};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::{Act, Chain, Folded, Link, Phase, Step, Written, fold, propose};
use carnet_domain::limits::{
    AGREEMENTS_OF_PEER_MAX, AI_MODELS_MAX, Bound, ENTRY_LEAF_BYTES_MAX, EPOCH_FIRST_MAX,
    EPOCH_FOREIGN_MAX, EPOCH_MAX, EPOCH_STEP_MAX, Epoch, FORMER_PARTS_MAX, HOLDS_MAX,
    HOLDS_OF_PEER_MAX, IDENTIFIER_BYTES_MAX, IDENTITY_PARTS_MAX, MAIL_ITEM_BYTES_MAX,
    MODELS_OF_RECALL_MAX, NAME_BYTES_MAX, PARTS_MAX, RECALLS_OF_MODEL_BY_PARTIES_MAX,
    RECALLS_OF_MODEL_MAX, RECALLS_OF_ROBOT_MAX, ROBOT_BYTES_MAX, TEXT_BYTES_MAX, UCR_LEN_MAX,
};
use carnet_domain::limits::{COMMAND_BYTES_MAX, ENTRY_BYTES_MAX};
use carnet_domain::log::leaf::{Kind, Slots, Subject, SubjectType};
use carnet_domain::machine::entry::{Body, ItemAnswer, MailBatch, Request};
use carnet_domain::planted::Sound;
use carnet_domain::record::event::{Standing, slot};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Signed, Statement};
use carnet_domain::record::{
    Before, Ends, Hold, Holder, Part, PartName, PartType, Predicate, Recall, RecallId,
    RecallNotice, RecallStatus, Robot, Setter, Severity,
};
use carnet_domain::rules::command::{Action, Command, Papers, Purpose, Registration};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Rejection;
use carnet_kit::forge::Forged;
use carnet_kit::samples::{self, recall_id};
use carnet_kit::{Country, agreed, agreement, befriend, text, transfer};

use crate::border::{admit, depart, export, permit, prefix, two, waiting};
use crate::rules::act;
use crate::values::d;

pub(crate) fn robot(country: &Country, code: &Code) -> Robot {
    let Ok(robot) = country.ledger.robot(code);
    robot.expect("the robot has a record here")
}

pub(crate) fn take(country: &mut Country, batch: MailBatch) -> String {
    let answer = country.apply(Body::Foreign { batch });
    answer.items.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// Takes a batch and expects that what it says is believed: an item that is nacked is answered "done" as well.
fn believe(country: &mut Country, batch: MailBatch) {
    assert_eq!(take(country, batch), "done");
    let kind = newest_kind(country);
    assert!(
        matches!(kind, Kind::Foreign | Kind::Recall),
        "{kind:?} is not belief"
    );
}

/// The newest leaf that a country wrote, by kind.
fn newest_kind(country: &Country) -> Kind {
    let Ok(leaf) = country.ledger.leaf(country.registry().tree.size() - 1);
    let bytes = leaf.expect("a log has leaves").leaf.0;
    carnet_domain::log::leaf::Leaf::from_bytes(&bytes)
        .expect("our own leaf")
        .kind
}

fn offer(from: &Country, to: &Country, code: Code, number: u8) -> Command {
    Command::DeclareExport {
        code,
        transfer: transfer(number),
        to: to.prefix,
        purpose: Purpose::PermanentExport,
        offer_until: from.clock.saturating_add(DurationMs::from_days(1)),
        agreement: agreed(from.prefix, to.prefix),
        papers: Papers::default(),
    }
}

#[test]
fn a_request_that_begins_at_the_last_number_is_refused() {
    let mut a = Country::with_market("86");
    let retire = act(&a, 1, Action::Retire { reason: "x".into() });
    for first in [1, 9_999, 10_000, u32::MAX - 1, u32::MAX] {
        let mut request = a.request("owner", std::slice::from_ref(&retire));
        request.first_item = first;
        let bytes = request.to_bytes();
        let answer = a.ask(request);
        assert_eq!(
            text(&answer.items[0]),
            "Malformed: the items are not those under the signature",
            "first item {first}"
        );
        // Where bytes are read, a number that no item can have is none.
        assert_eq!(
            Request::from_bytes(&bytes).is_ok(),
            first < 10_000,
            "{first}"
        );
    }
    a.close();
}

#[test]
fn a_map_head_at_the_last_index_proves_nothing() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    let good = waiting(&mut a, &b);
    for index in [0, 1, u64::MAX - 1, u64::MAX] {
        let mut batch = good.clone();
        let newest = batch.items[0].newest.as_mut().expect("a departure");
        newest.map_head.index = index;
        assert_eq!(
            take(&mut b, batch),
            format!(
                "EvidenceBroken: leaf {} is not proven to be the newest",
                good.items[0].proven.index
            ),
            "index {index}"
        );
    }
    believe(&mut b, good);
}

#[test]
fn a_mailbox_sequence_at_the_last_number_is_refused() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let mut batch = waiting(&mut a, &b);
    batch.items[0].sequence = u64::MAX;
    assert_eq!(
        take(&mut b, batch.clone()),
        format!("EvidenceGap: item {}, expected 0", u64::MAX)
    );
    assert!(MailBatch::from_bytes(&batch.to_bytes()).is_err());
    // Even where the cursor stands there.
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let mut peer = peer.expect("a peer");
    peer.cursor = u64::MAX;
    let Ok(()) = b.ledger.put_peer(peer);
    assert_eq!(
        take(&mut b, batch),
        format!("EvidenceBroken: item {} has no successor", u64::MAX)
    );
}

/// Robot 1 of `86` is at `49`, which lies about its epoch and offers it home.
fn offered_with_epoch(epoch: u64) -> (Country, Country, String) {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let mut lied = robot(&b, &code);
    lied.custody.epoch = epoch - 1;
    let Ok(()) = b.ledger.put_robot(lied);
    let home = offer(&b, &a, code, 2);
    // A registry that keeps the rules refuses to write what is above the bound; one that lies writes it.
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::EVENT, &home);
    slots.set(
        slot::CUSTODY,
        &Link {
            step: Step::Offer,
            transfer: Some(transfer(2)),
            epoch,
            from: Some(b.prefix),
            to: a.prefix,
            prev: Digest::ZERO,
            agreement: Some(agreed(prefix("86"), prefix("49"))),
        },
    );
    let to = a.prefix;
    b.forge(
        Forged {
            kind: Kind::Custody.number(),
            subject: Subject::robot(&code),
            slots,
            status: 7,
        },
        &to,
    );
    b.close();
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let peer = peer.expect("a peer");
    let batch = b.lying_mail(&to, peer.size_seen, peer.cursor);
    let answers = take(&mut a, batch);
    (a, b, answers)
}

#[test]
fn a_foreign_epoch_out_of_range_is_answered_and_moves_nothing() {
    for epoch in [
        1 + EPOCH_STEP_MAX + 1,
        EPOCH_FOREIGN_MAX,
        EPOCH_FOREIGN_MAX + 1,
        EPOCH_MAX,
        EPOCH_MAX + 1,
        u64::MAX - 1,
        u64::MAX,
    ] {
        let (a, _, answers) = offered_with_epoch(epoch);
        assert_eq!(answers, "done", "epoch {epoch}");
        assert_eq!(newest_kind(&a), Kind::Nack, "epoch {epoch}");
        assert_eq!(robot(&a, &a.code(1)).custody.epoch, 1);
    }
}

#[test]
fn a_foreign_epoch_out_of_range_leaves_the_robot_its_way_home() {
    let (mut a, mut b, _) = offered_with_epoch(u64::MAX);
    let code = a.code(1);
    let mut honest = robot(&b, &code);
    honest.custody.epoch = 1;
    let Ok(()) = b.ledger.put_robot(honest);
    for country in [&a, &b] {
        assert!(country.registry().tree.size() > 0);
    }
    let home = offer(&b, &a, code, 3);
    b.must("customs", home);
    b.deliver(&mut a);
    a.must("customs", permit(&a, 3, vec![]));
    a.deliver(&mut b);
    b.must("customs", depart(3));
    b.deliver(&mut a);
    a.must("customs", admit(3));
    a.deliver(&mut b);
    a.must("customs", a.declare(1, transfer(4), &b.prefix));
    assert_eq!(robot(&a, &code).custody.epoch, 3);
}

/// A robot's move from one country to another, every step believed.
fn moves(from: &mut Country, to: &mut Country, code: Code, number: u8) {
    let declared = offer(from, to, code, number);
    from.must("customs", declared);
    let batch = waiting(from, to);
    believe(to, batch);
    to.must("customs", permit(to, number, vec![]));
    to.deliver(from);
    from.must("customs", depart(number));
    let batch = waiting(from, to);
    believe(to, batch);
    to.must("customs", admit(number));
    to.deliver(from);
}

/// Sets the epoch that a country knows of a robot.
fn set_epoch(country: &mut Country, code: &Code, epoch: u64) {
    let mut lied = robot(country, code);
    lied.custody.epoch = epoch;
    let Ok(()) = country.ledger.put_robot(lied);
}

/// Has a country show that its offer of a robot to another one was cancelled at an epoch, and know the same.
pub(crate) fn rests(
    country: &mut Country,
    to: &Country,
    code: &Code,
    epoch: u64,
) -> (Digest, Link) {
    let link = Link {
        step: Step::Cancel,
        transfer: Some(transfer(99)),
        epoch,
        from: Some(country.prefix),
        to: to.prefix,
        prev: d("an offer"),
        agreement: Some(agreed(country.prefix, to.prefix)),
    };
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::CUSTODY, &link);
    let subject = Subject::robot(code);
    let forged = Forged {
        kind: Kind::Custody.number(),
        subject: subject.clone(),
        slots,
        status: 1,
    };
    country.forge(forged, &to.prefix);
    let leaf = country.ledger.last_leaf(&subject.key()).expect("forged");
    let mut lied = robot(country, code);
    lied.custody = Chain {
        epoch,
        link: leaf.leaf_hash,
        shown: Some(link.clone()),
        followed: None,
        phase: Phase::Here {},
    };
    let head = lied.head.as_mut().expect("it has leaves");
    head.step = Some(leaf.leaf_index);
    let Ok(()) = country.ledger.put_robot(lied);
    (leaf.leaf_hash, link)
}

#[test]
fn an_epoch_moved_by_a_lie_is_not_taken_by_who_knows_the_link_before() {
    for epoch in [3, EPOCH_STEP_MAX + 1] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        moves(&mut a, &mut b, code, 1);
        // It names our link, and an epoch that does not follow it.
        set_epoch(&mut b, &code, epoch - 1);
        let home = offer(&b, &a, code, 2);
        b.must("customs", home);
        let batch = waiting(&mut b, &a);
        assert_eq!(take(&mut a, batch), "done");
        assert_eq!(newest_kind(&a), Kind::Nack);
        assert_eq!(robot(&a, &code).custody.epoch, 1);
    }
}

#[test]
fn the_first_epoch_of_a_robot_is_believed_up_to_its_bound() {
    for (epoch, kind) in [
        (EPOCH_FIRST_MAX, Kind::Foreign),
        (EPOCH_FIRST_MAX + 1, Kind::Nack),
    ] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        let mut c = Country::with_market("81");
        befriend(&mut a, &mut c);
        rests(&mut a, &c, &code, epoch - 1);
        let declared = offer(&a, &b, code, 1);
        a.must("customs", declared);
        let batch = waiting(&mut a, &b);
        assert_eq!(take(&mut b, batch), "done", "epoch {epoch}");
        assert_eq!(newest_kind(&b), kind, "epoch {epoch}");
    }
}

#[test]
fn our_own_epochs_end_with_a_refusal() {
    let me = prefix("86");
    let here = |epoch| Chain {
        epoch,
        link: d("link"),
        shown: None,
        followed: None,
        phase: Phase::Here {},
    };
    let export = Act::Offer {
        transfer: transfer(1),
        to: prefix("49"),
        agreement: agreed(prefix("86"), prefix("49")),
    };
    let last = propose(me, &here(EPOCH_FOREIGN_MAX - 1), &export, TimeMs(0));
    assert_eq!(last.expect("the last epoch").epoch, EPOCH_FOREIGN_MAX);
    for epoch in [EPOCH_FOREIGN_MAX, EPOCH_MAX, EPOCH_MAX + 1, u64::MAX] {
        let no = propose(me, &here(epoch), &export, TimeMs(0)).expect_err("no epoch is left");
        assert_eq!(no.reason.name(), "RecordFull", "{epoch}");
        let transit = Chain {
            phase: Phase::InTransit {
                transfer: transfer(1),
                from: prefix("49"),
                depart: d("depart"),
                agreement: agreed(prefix("86"), prefix("49")),
            },
            ..here(epoch)
        };
        let no = propose(me, &transit, &Act::Return, TimeMs(0)).expect_err("no epoch is left");
        assert_eq!(no.reason.name(), "RecordFull", "{epoch}");
        // A link is folded at any epoch without overflow.
        for step in [
            Step::Offer,
            Step::Cancel,
            Step::Depart,
            Step::Admit,
            Step::Return,
        ] {
            for at in [0, epoch, u64::MAX] {
                for (from, to) in [("86", "49"), ("49", "86")] {
                    let link = Link {
                        step,
                        transfer: Some(transfer(1)),
                        epoch: at,
                        from: Some(prefix(from)),
                        to: prefix(to),
                        prev: d("depart"),
                        agreement: Some(agreed(prefix("86"), prefix("49"))),
                    };
                    let written = Written {
                        writer: link.writer(),
                        link,
                        leaf: d("leaf"),
                        at: TimeMs(u64::MAX),
                        deadline: TimeMs(u64::MAX),
                    };
                    for chain in [&transit, &here(epoch)] {
                        if let Folded::Moved(moved) = fold(me, chain, &written, Sound) {
                            assert!(chain.epoch <= moved.epoch);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_epoch_is_read_up_to_its_bound() {
    let read = |epoch: u64| <Epoch as Bound<u64>>::read(&mut Decoder::new(&epoch.to_bytes()));
    assert_eq!(read(EPOCH_MAX), Ok(EPOCH_MAX));
    let error = read(EPOCH_MAX + 1).expect_err("above the bound");
    assert_eq!(
        error.to_string(),
        format!(
            "byte 0: at most {EPOCH_MAX} is allowed here, found {}",
            EPOCH_MAX + 1
        )
    );
}

#[test]
fn training_without_end_keeps_a_record_of_one_size() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let code = a.code(1);
    let model = |i: u32| sha256(&[b"model", &i.to_be_bytes()]);
    let size = |a: &Country| robot(a, &code).to_bytes().len();
    let mut before = Before::NOTHING;
    let mut full = 0;
    for i in 0..100 {
        let training = Action::RecordTraining {
            data_set: d("data"),
            model: model(i),
            place: "plant".into(),
        };
        a.must("maker", act(&a, 1, training));
        if i as usize >= AI_MODELS_MAX {
            let left = model(i - AI_MODELS_MAX as u32);
            before = before.and(&left).expect("few");
        }
        let now = robot(&a, &code);
        assert_eq!(now.ai_models_before, before, "after {i}");
        assert_eq!(now.ai_models.last(), Some(&model(i)));
        if i as usize == AI_MODELS_MAX {
            full = size(&a);
        }
    }
    assert_eq!(before.count, 100 - AI_MODELS_MAX as u64);
    assert!(size(&a) <= full + 8, "{} after {full}", size(&a));
}

#[test]
fn holds_are_counted() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let code = a.code(1);
    let set = |kind| Command::SetHold {
        code,
        kind,
        reason: "why".into(),
    };
    let mut filled = robot(&a, &code);
    let hold = |i: usize| Hold {
        kind: HoldKind::SaleLock,
        setter: setter(&format!("somebody {i}")),
        reason: "x".repeat(TEXT_BYTES_MAX),
        since: TimeMs(1),
    };
    filled.holds = (0..HOLDS_MAX - 1).map(hold).collect();
    let Ok(()) = a.ledger.put_robot(filled.clone());
    a.must("registrar", set(HoldKind::Theft));
    filled.holds = (0..HOLDS_MAX).map(hold).collect();
    let Ok(()) = a.ledger.put_robot(filled);
    let answer = text(&a.command("registrar", set(HoldKind::Theft)));
    assert_eq!(answer, format!("RecordFull: {HOLDS_MAX} holds"));
}

#[test]
fn an_issuers_holds_are_few_and_its_words_are_bounded() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let to = b.prefix;
    for (number, reason) in [
        "x".to_owned(),
        "x".repeat(TEXT_BYTES_MAX),
        "x".repeat(TEXT_BYTES_MAX + 1),
    ]
    .iter()
    .cycle()
    .take(60)
    .enumerate()
    {
        let mut slots = Slots::new();
        slots.set(slot::CODE, &code.as_str().to_owned());
        let kind = if number % 2 == 0 {
            HoldKind::Theft
        } else {
            HoldKind::Lost
        };
        slots.set(
            slot::EVENT,
            &Command::SetHold {
                code,
                kind,
                reason: reason.clone(),
            },
        );
        // Leaf by leaf it shows more offices, and those of others beside them.
        let hold = |prefix: &str, office: usize| Hold {
            kind,
            setter: Setter {
                prefix: Prefix::parse(prefix).expect("a prefix"),
                ..setter(&format!("office {office}"))
            },
            reason: reason.clone(),
            since: TimeMs(1),
        };
        let own = (0..=number / 12).map(|office| hold("86", office));
        let standing = Standing {
            state: State::Manufactured,
            holds: own.chain([hold("49", 0), hold("81", 0)]).collect(),
            owed: Vec::new(),
            remedied: Vec::new(),
        };
        slots.set(slot::STATE, &standing);
        let subject = Subject::robot(&code);
        a.forge(
            Forged {
                kind: Kind::Hold.number(),
                subject,
                slots,
                status: 7,
            },
            &to,
        );
    }
    a.deliver(&mut b);
    let holds = robot(&b, &code).holds;
    assert_eq!(holds.len(), HOLDS_OF_PEER_MAX);
    assert!(holds.iter().all(|hold| hold.setter.prefix == a.prefix));
}

#[test]
fn a_recall_names_each_model_once_and_not_too_many() {
    let mut a = Country::with_market("86");
    let id = recall_id(&a, "R-1");
    let recall = |models| Command::OpenRecall {
        notice: RecallNotice {
            id: id.clone(),
            severity: Severity::StopUse,
            predicate: Predicate::all(),
        },
        models,
        remedy: "x".into(),
    };
    let model = a.model("0001", "100002");
    let twice = recall(vec![model; 2]);
    assert_eq!(
        text(&a.command("maker", twice)),
        "Malformed: a model is named twice"
    );
    let many = recall(vec![model; MODELS_OF_RECALL_MAX + 1]);
    let answer = text(&a.command("maker", many));
    assert_eq!(answer, "Malformed");
}

#[test]
fn recalls_of_a_model_are_counted_and_the_last_are_for_the_regulator() {
    let mut a = Country::with_market("86");
    let (model, issuer) = (a.model("0001", "100002"), a.prefix);
    let recall = |number: usize| Command::OpenRecall {
        notice: RecallNotice {
            id: RecallId {
                issuer,
                number: format!("R-{number}"),
            },
            severity: Severity::Advisory,
            predicate: Predicate::all(),
        },
        models: vec![model],
        remedy: "x".into(),
    };
    for number in 0..RECALLS_OF_MODEL_BY_PARTIES_MAX {
        a.must("maker", recall(number));
    }
    let full = format!("RecordFull: {RECALLS_OF_MODEL_BY_PARTIES_MAX} recalls name {model}");
    assert_eq!(text(&a.command("maker", recall(1_000))), full);
    for number in RECALLS_OF_MODEL_BY_PARTIES_MAX..RECALLS_OF_MODEL_MAX {
        a.must("regulator", recall(number));
    }
    let full = format!("RecordFull: {RECALLS_OF_MODEL_MAX} recalls name {model}");
    assert_eq!(text(&a.command("regulator", recall(1_000))), full);
}

#[test]
fn a_foreign_recall_that_names_a_model_15000_times_is_answered() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let model = a.model("0001", "100002");
    // As large as an item may be; a larger one is refused whole.
    let models = [vec![model; 15_000], vec![model; 2], Vec::new()];
    let to = b.prefix;
    for (at, models) in models.into_iter().enumerate() {
        let id = recall_id(&a, &format!("R-{at}"));
        let recall = Recall {
            notice: RecallNotice {
                id: id.clone(),
                severity: Severity::StopUse,
                predicate: Predicate::all(),
            },
            models,
            remedy: "x".into(),
            by: a.office("regulator"),
            opened: TimeMs(0),
            status: RecallStatus::InForce,
            bound: None,
            decided: None,
            head: None,
        };
        let mut slots = Slots::new();
        slots.set(slot::CODE, &id.to_string());
        slots.set(slot::MODEL, &recall);
        let subject = Subject::new(SubjectType::Recall, id.to_string());
        a.forge(
            Forged {
                kind: Kind::Recall.number(),
                subject,
                slots,
                status: 1,
            },
            &to,
        );
        let batch = waiting(&mut a, &b);
        assert_eq!(take(&mut b, batch), "done", "{id}");
        assert_eq!(newest_kind(&b), Kind::Nack, "{id}");
        let Ok(known) = b.ledger.recall(&id);
        assert_eq!(known, None);
    }
}

#[test]
fn a_clause_without_limit_binds_no_more_than_is_counted() {
    let (mut a, mut b) = two();
    let mut unlimited = agreement(a.prefix, b.prefix, 2);
    for clause in &mut unlimited.clauses {
        clause.recall_count_max = u32::MAX;
    }
    let bytes = unlimited.to_bytes();
    let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
    let agreement = Signed {
        bytes: Blob(bytes),
        signatures,
    };
    let answer = b.state(&Statement::Agree { agreement });
    assert_eq!(text(&answer), "done");
    let model = a.model("0001", "100002");
    a.must(
        "maker",
        Command::OpenRecall {
            notice: RecallNotice {
                id: recall_id(&a, "R-1"),
                severity: Severity::Remedy,
                predicate: Predicate::all(),
            },
            models: vec![model],
            remedy: "x".into(),
        },
    );
    let batch = waiting(&mut a, &b);
    believe(&mut b, batch);
    let Ok(recall) = b.ledger.recall(&recall_id(&a, "R-1"));
    assert_eq!(recall.map(|r| r.status), Some(RecallStatus::InForce));
}

#[test]
fn a_text_or_a_list_beyond_its_bound_is_malformed() {
    let mut a = Country::with_market("86");
    let code = a.code(1);
    let mut long = |reason: usize| {
        let hold = Command::SetHold {
            code,
            kind: HoldKind::Theft,
            reason: "x".repeat(reason),
        };
        text(&a.command("registrar", hold))
    };
    assert!(long(TEXT_BYTES_MAX).starts_with("RobotUnknown"));
    let answer = long(TEXT_BYTES_MAX + 1);
    assert_eq!(answer, "Malformed");
    let mut fitted = |identity: usize, other: usize| {
        let part = |kind, i: usize| PartName {
            kind,
            serial: format!("P{i}"),
            lot: "L".into(),
            ..samples::battery("P")
        };
        let registration = Registration {
            identity_parts: (0..identity).map(|i| part(PartType::Torso, i)).collect(),
            parts: (0..other).map(|i| part(PartType::Battery, i)).collect(),
            ..a.registration(identity as u32 * 1_000 + other as u32)
        };
        text(&a.command("maker", Command::Register { registration }))
    };
    assert_eq!(fitted(IDENTITY_PARTS_MAX, PARTS_MAX), "done");
    for (identity, other) in [(IDENTITY_PARTS_MAX + 1, 0), (0, PARTS_MAX + 1)] {
        let answer = fitted(identity, other);
        assert_eq!(answer, "Malformed");
    }
}

pub(crate) fn setter(office: &str) -> Setter {
    Setter {
        prefix: Prefix::parse("86").expect("a prefix"),
        party: Holder::Office {
            name: office.into(),
        },
        role: Role::Regulator,
    }
}

/// What is committed of a refusal is numbers and what came in: no word of the program that refused.
#[test]
fn a_refusal_holds_no_words_of_its_own() {
    let mut a = Country::with_market("86");
    let unknown = Command::WithdrawRecall {
        recall: recall_id(&a, &"E".repeat(IDENTIFIER_BYTES_MAX)),
        reason: String::new(),
    };
    let ItemAnswer::Refused { rejection } = a.command("regulator", unknown) else {
        panic!("there is no such recall");
    };
    let mut bytes = Encoder::new();
    bytes.array(2);
    bytes.uint(52);
    bytes.array(2);
    bytes.uint(68);
    bytes.array(2);
    bytes.text("86");
    bytes.text(&"E".repeat(IDENTIFIER_BYTES_MAX));
    assert_eq!(rejection.to_bytes(), bytes.finish());
    assert_eq!(Rejection::from_bytes(&rejection.to_bytes()), Ok(rejection));
}

/// Robot 1 with every list full but that of its holds, and the holds.
fn full_robot(country: &Country) -> (Robot, Vec<Hold>) {
    let filled = |what: &str, i: usize, width: usize| {
        format!("{what}{i:0width$}", width = width - what.len())
    };
    let name = |what: &str, i: usize| filled(what, i, IDENTIFIER_BYTES_MAX);
    let part = |kind: PartType, i: usize| Part {
        kind,
        identity: sha256(&[kind.word().as_bytes(), &i.to_be_bytes()]),
        lot: name("LOT", i),
    };
    let long = "x".repeat(TEXT_BYTES_MAX);
    let mut full = robot(country, &country.code(1));
    full.identity.site.clone_from(&long);
    full.identity.origin.clone_from(&long);
    full.scenario.clone_from(&long);
    full.firmware.family.clone_from(&long);
    full.identity_parts = (0..IDENTITY_PARTS_MAX)
        .map(|i| part(PartType::Torso, i))
        .collect();
    full.former_parts = (0..FORMER_PARTS_MAX)
        .map(|i| sha256(&[b"former", &i.to_be_bytes()]))
        .collect();
    full.parts = (0..PARTS_MAX).map(|i| part(PartType::Battery, i)).collect();
    full.ai_models = (0..AI_MODELS_MAX)
        .map(|i| sha256(&[&i.to_be_bytes()]))
        .collect();
    full.remedied = (0..RECALLS_OF_ROBOT_MAX)
        .map(|i| recall_id(country, &name("R", i)))
        .collect();
    full.owed = (0..RECALLS_OF_ROBOT_MAX)
        .map(|i| recall_id(country, &name("S", i)))
        .collect();
    let holds = (0..HOLDS_MAX).map(|i| Hold {
        kind: HoldKind::Lost,
        setter: setter(&filled("office", i, NAME_BYTES_MAX)),
        reason: long.clone(),
        since: TimeMs::MAX,
    });
    (full, holds.collect())
}

#[test]
fn an_entry_does_no_more_than_a_constant() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let (mut full, holds) = full_robot(&a);
    full.holds = holds;
    let Ok(()) = a.ledger.put_robot(full);
    let incident = Action::RecordIncident {
        severity: 1,
        place: "hall".into(),
        findings: d("findings"),
    };
    // A small request about a large record: each item writes the record into a leaf of its own.
    let commands = vec![act(&a, 1, incident); 2_000];
    let request = a.request("registrar", &commands);
    assert!(request.to_bytes().len() <= ENTRY_BYTES_MAX);
    let before = a.registry().tree.size();
    let answer = a.ask(request);
    let written = a.registry().tree.size() - before;
    assert_eq!(text(&answer.items[0]), "done");
    assert_eq!(text(&answer.items[1_999]), "EntryFull");
    let bytes: usize = (before..before + written)
        .map(|index| {
            let Ok(leaf) = a.ledger.leaf(index);
            leaf.map_or(0, |leaf| leaf.to_bytes().len())
        })
        .sum();
    // What stands beside the leaf and its values in its record is not counted.
    let beside = 512 * written as usize;
    let most = ENTRY_LEAF_BYTES_MAX as usize + 2 * ROBOT_BYTES_MAX + beside;
    assert!(bytes <= most, "{bytes} of {most}");
    a.must("registrar", commands[0].clone());
}

#[test]
fn the_fullest_record_fits_into_a_mail_item_and_an_entry() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let long = "x".repeat(TEXT_BYTES_MAX);
    let (full, holds) = full_robot(&a);
    let Ok(()) = a.ledger.put_robot(full.clone());
    let mut offer = a.declare(1, transfer(1), &b.prefix);
    if let Command::DeclareExport { papers, .. } = &mut offer {
        papers.documents = vec![d("paper"); 32];
        papers.mrn.clone_from(&long);
        papers.ucr = "X".repeat(UCR_LEN_MAX);
        papers.commodity = "8479500000".into();
        papers.passport = "x".repeat(NAME_BYTES_MAX);
    }
    assert!(offer.to_bytes().len() <= COMMAND_BYTES_MAX);
    a.must("customs", offer);
    let within = |batch: &MailBatch| {
        let size = batch.to_bytes().len();
        assert!(size <= ENTRY_BYTES_MAX / 2, "{size}");
        let items = batch.items.iter().map(|item| item.to_bytes().len());
        assert!(items.max() <= Some(MAIL_ITEM_BYTES_MAX));
    };
    let batch = waiting(&mut a, &b);
    within(&batch);
    believe(&mut b, batch);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    // Any hold blocks an offer; these came after it, and do not stop the departure.
    let mut held = robot(&a, &code);
    held.holds = holds;
    let size = held.to_bytes().len();
    assert!(size <= ROBOT_BYTES_MAX, "{size}");
    let Ok(()) = a.ledger.put_robot(held);
    a.must("customs", depart(1));
    let batch = waiting(&mut a, &b);
    within(&batch);
    // It is read, and detained: so many holds of one country are not taken over.
    assert_eq!(take(&mut b, batch), "done");
    let Ok(known) = b.ledger.transfer(&transfer(1));
    let disclosed = known.and_then(|t| t.robot).expect("the offer disclosed it");
    assert_eq!(disclosed.parts, full.parts);
    assert_eq!(disclosed.holds.len(), HOLDS_MAX);
}

#[test]
fn agreements_that_ran_out_make_way_and_others_are_counted() {
    let (mut a, b) = two();
    let agree = |a: &mut Country, number: u32, days: u64| {
        let mut next = agreement(a.prefix, b.prefix, 1);
        next.id = format!("{number}");
        next.effective_to = a.clock.saturating_add(DurationMs::from_days(days));
        let bytes = next.to_bytes();
        let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
        let agreement = Signed {
            bytes: Blob(bytes),
            signatures,
        };
        text(&a.state(&Statement::Agree { agreement }))
    };
    for number in 2..=AGREEMENTS_OF_PEER_MAX as u32 {
        assert_eq!(agree(&mut a, number, u64::from(number)), "done");
    }
    let full = format!("RecordFull: {AGREEMENTS_OF_PEER_MAX} agreements with 49");
    assert_eq!(agree(&mut a, 100, 10), full);
    a.advance(DurationMs::from_days(5));
    assert_eq!(agree(&mut a, 100, 10), "done");
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let agreements = peer.expect("a peer").agreements;
    let ids: Vec<&str> = agreements.iter().map(|a| a.id.as_str()).collect();
    assert!(
        !ids.contains(&"2") && ids.contains(&"49-86") && ids.contains(&"100"),
        "{ids:?}"
    );
}

#[test]
fn an_office_name_that_fits_makes_a_setter_that_fits() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let begins = "regulator/";
    let holder = Holder::Office {
        name: format!("{begins}{}", "o".repeat(NAME_BYTES_MAX - begins.len())),
    };
    let role = carnet_domain::rules::policy::Role::Regulator;
    let enrol = a.enrolment("far", holder, role, "far");
    a.must("admin", enrol.clone());
    a.must("admin-2", enrol);
    let hold = Command::SetHold {
        code: a.code(1),
        kind: HoldKind::RegulatorStop,
        reason: "x".repeat(TEXT_BYTES_MAX),
    };
    a.must("far", hold);
    let stored = robot(&a, &a.code(1)).to_bytes();
    assert!(Robot::from_bytes(&stored).is_ok());
}

/// A departure travels with the leaves that follow it, of which a mail item holds a bounded number.
#[test]
fn a_third_country_that_repeats_claims_keeps_no_robot_from_arriving() {
    let (mut a, mut b) = two();
    let mut third = Country::with_market("81");
    befriend(&mut a, &mut third);
    let (code, to) = (a.code(1), b.prefix);
    a.must("customs", a.declare(1, transfer(1), &to));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    let mut claims = Slots::new();
    claims.set(slot::CODE, &code.as_str().to_owned());
    let standing = Standing {
        state: State::Scrapped,
        holds: vec![],
        owed: vec![],
        remedied: vec![],
    };
    claims.set(slot::STATE, &standing);
    let before = a.registry().tree.size();
    for _ in 0..20 {
        let forged = Forged {
            kind: Kind::LifeCycle.number(),
            subject: Subject::robot(&code),
            slots: claims.clone(),
            status: 7,
        };
        third.forge(forged, &a.prefix);
    }
    let answers = third.deliver(&mut a);
    assert_eq!(answers.len(), 20, "every claim is read");
    let written = a.registry().tree.size() - before;
    assert_eq!(written, 1, "one leaf for all of them");
    a.deliver(&mut b);
    b.must("customs", admit(1));
}

/// Two registries each say, of a robot that neither has, that it was scrapped.
#[test]
fn a_claim_stands_beside_another_registrys_and_replaces_only_its_own() {
    let (mut a, mut b) = two();
    let mut third = Country::with_market("81");
    befriend(&mut a, &mut third);
    let code = Code::parse("33000110000200000000000000009").expect("a code");
    let body = a.registration(5).body.identity();
    let mut leaves = Vec::new();
    for liar in [&mut third, &mut b] {
        for at in 1..=3_u64 {
            let mut slots = Slots::new();
            slots.set(slot::CODE, &code.as_str().to_owned());
            slots.set(slot::BODY, &body);
            let standing = Standing {
                state: State::Scrapped,
                holds: vec![],
                owed: vec![],
                remedied: vec![],
            };
            slots.set(slot::STATE, &standing);
            slots.set(slot::EVENT, &at);
            let forged = Forged {
                kind: Kind::LifeCycle.number(),
                subject: Subject::robot(&code),
                slots,
                status: 5,
            };
            liar.forge(forged, &a.prefix);
        }
        liar.deliver(&mut a);
        let Ok(claim) = a.ledger.claim(&liar.prefix, &body);
        leaves.push(claim.map(|claim| (claim.said.by, claim.said.leaf)));
    }
    let Ok(ends) = a.ledger.ends(&body);
    let claimed = Ends {
        claimed_by: vec![b.prefix, third.prefix],
        ..Ends::default()
    };
    assert_eq!(ends, Some(claimed));
    assert!(leaves.iter().all(Option::is_some) && leaves[0] != leaves[1]);
    // The first registry's word was not touched by the second's.
    let Ok(first) = a.ledger.claim(&third.prefix, &body);
    assert_eq!(
        first.map(|claim| (claim.said.by, claim.said.leaf)),
        leaves[0]
    );
    // Neither takes a serial from its maker.
    a.must("maker", a.register(5));
}

/// `81` opens a recall under the number that `86` uses later.
#[test]
fn a_recalls_number_is_its_issuers_alone() {
    let (mut a, mut b) = two();
    let mut third = Country::with_market("81");
    befriend(&mut b, &mut third);
    let open = |country: &Country, severity| samples::recall(country, "R-1", severity);
    third.must("maker", open(&third, Severity::Advisory));
    third.deliver(&mut b);
    a.must("maker", open(&a, Severity::StopUse));
    a.deliver(&mut b);
    let recall = |issuer: &Country| {
        let Ok(recall) = b.ledger.recall(&recall_id(issuer, "R-1"));
        recall.map(|recall| (recall.notice.severity, recall.status))
    };
    let binding = |severity| Some((severity, RecallStatus::InForce));
    assert_eq!(recall(&third), binding(Severity::Advisory));
    assert_eq!(recall(&a), binding(Severity::StopUse));
    // Nobody opens a recall in another's name.
    let mut squatted = open(&b, Severity::Advisory);
    if let Command::OpenRecall { notice, .. } = &mut squatted {
        notice.id = recall_id(&a, "R-2");
    }
    let answer = text(&b.command("maker", squatted));
    assert_eq!(answer, "PrefixNotOurs: 86");
}
