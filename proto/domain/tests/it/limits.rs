//! Rules that no other test would miss: each test here fails when the one rule that it is named after is taken out.

use carnet_domain::bytes::code::{Code, EnterpriseId, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::{Link, Step};
use carnet_domain::limits::{ADVANCE_MAX, COMMAND_BYTES_MAX, LOG_TIME_MAX};
use carnet_domain::limits::{
    AGREEMENT_BYTES_MAX, AGREEMENTS_OF_PEER_MAX, BUNDLE_BYTES_MAX, BUNDLE_LIST_MAX, CHAIN_MAX,
    CLAUSES_MAX, CONDITIONS_MAX, DOCUMENTS_MAX, ENTRY_READ_BYTES_MAX, ENTRY_ROWS_MAX,
    EPOCH_FOREIGN_MAX, FIRST_SIGNERS_MAX, HOLDS_MAX, HOLDS_OF_OTHERS_MAX, LATER_LEAVES_MAX,
    MAIL_ITEMS_MAX, MAP_CHANGES_MAX, MODELS_BY_ONE_MAX, MODELS_OF_ENTERPRISE_MAX, PEERS_MAX,
    PROPOSALS_MAX, RECALL_BINDS_MAX, RECALLS_OF_MODEL_BY_PARTIES_MAX, RECALLS_OF_MODEL_MAX,
    RECALLS_OF_ROBOT_MAX, REFUSAL_BYTES_MAX, ROLES_MAX, ROOT_SIGNATURES_MAX, SUPERVISORS_MAX,
    UNSEALED_MAX,
};
use carnet_domain::log::leaf::{Kind, Leaf, Slots, Subject, SubjectType};
use carnet_domain::log::map::RobotStatus;
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::{
    Body, ChainRun, ItemAnswer, MailBatch, MailItem, ProvenHead, Request,
};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Agreement, Bundle, Clause, Genesis, Signed, Statement};
use carnet_domain::record::{
    Enterprise, Hold, Model, Predicate, Recall, RecallId, RecallNotice, RecallStatus, Severity,
};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::policy::Role;
use carnet_kit::forge::Forged;
use carnet_kit::samples::recall_id;
use carnet_kit::{Country, agreed, agreement, befriend, beginning, text, transfer};

use crate::border::{admit, depart, export, permit, prefix, two};
use crate::bounds::{rests, robot, setter, take};
use crate::rules::{act, check};

/// Mail as a registry that lies hands it over: every slot of every leaf.
fn lies(from: &mut Country, to: &Country) -> MailBatch {
    from.close();
    let Ok(peer) = to.ledger.peer(&from.prefix);
    let peer = peer.expect("mail goes between peers");
    from.lying_mail(&to.prefix, peer.size_seen, peer.cursor)
}

/// What the newest leaf of a country says of a foreign statement that it did not believe.
fn nacked(country: &Country) -> String {
    said_at(country, country.registry().tree.size() - 1)
}

fn said_at(country: &Country, index: u64) -> String {
    let Ok(record) = country.ledger.leaf(index);
    let record = record.expect("a log has leaves");
    let leaf = Leaf::from_bytes(&record.leaf.0).expect("our own leaf");
    if leaf.kind != Kind::Nack {
        return format!("{:?}", leaf.kind);
    }
    let what = record.values[usize::from(slot::EVENT)].as_ref();
    let what = what.expect("a nack says why");
    let rejection =
        carnet_domain::rules::rejection::Rejection::from_bytes(&what.0).expect("a rejection");
    format!("{}: {}", rejection.reason.name(), rejection.detail)
}

/// 86 has departed robot 1 to 49, which has not read it yet.
fn departed() -> (Country, Country) {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    (a, b)
}

/// A leaf of robot 1 that a lying registry writes after the departure of the robot, which the map goes on to show.
fn forged_after_departure(a: &Country, kind: Kind) -> Forged {
    let code = a.code(1);
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    if kind == Kind::Custody {
        let cancel = Link {
            step: Step::Cancel,
            transfer: Some(transfer(1)),
            epoch: 1,
            from: Some(a.prefix),
            to: prefix("49"),
            prev: robot(a, &code).custody.link,
            agreement: Some(agreed(prefix("86"), prefix("49"))),
        };
        slots.set(slot::CUSTODY, &cancel);
        let what = Command::CancelExport {
            transfer: transfer(1),
            reason: "it never left".into(),
        };
        slots.set(slot::EVENT, &what);
    }
    Forged {
        kind: kind.number(),
        subject: Subject::robot(&code),
        slots,
        status: RobotStatus::Departed.number() as u8,
    }
}

/// The worst that could be missed: a robot would be admitted of which its registry says that it never left.
#[test]
fn a_departure_that_a_custody_step_follows_is_not_believed() {
    let (mut a, mut b) = departed();
    let to = b.prefix;
    a.forge(forged_after_departure(&a, Kind::Custody), &to);
    let batch = lies(&mut a, &b);
    let size = b.registry().tree.size();
    assert_eq!(take(&mut b, batch), "done; nothing", "the feed goes on");
    assert_eq!(
        said_at(&b, size),
        "NotReleased: a custody step follows the departure"
    );
    assert_ne!(crate::border::phase(&b, 1, "86"), "InTransit 1");
    // What may follow a departure does not stop it.
    let (mut a, mut b) = departed();
    a.forge(forged_after_departure(&a, Kind::Incident), &to);
    let batch = lies(&mut a, &b);
    assert_eq!(take(&mut b, batch), "done; nothing");
    assert_eq!(crate::border::phase(&b, 1, "86"), "InTransit 1");
}

#[test]
fn leaves_after_a_departure_are_of_the_robot_and_in_order() {
    let (mut a, b) = departed();
    let to = b.prefix;
    for _ in 0..3 {
        a.forge(forged_after_departure(&a, Kind::Incident), &to);
    }
    let good = lies(&mut a, &b);
    for broken in ["swapped", "first missing", "last missing", "another's"] {
        let (mut b, mut batch) = (b.clone(), good.clone());
        let newest = batch.items[0].newest.as_mut().expect("a departure");
        match broken {
            "swapped" => newest.later.swap(0, 1),
            "first missing" => drop(newest.later.remove(0)),
            "last missing" => drop(newest.later.pop()),
            _ => {
                let Ok(leaf) = a.ledger.leaf(0);
                newest.later[0] = leaf.expect("the genesis").leaf;
            }
        }
        let answer = take(&mut b, batch);
        assert!(answer.starts_with("EvidenceBroken: "), "{broken}: {answer}");
    }
}

#[test]
fn leaves_that_wait_for_a_seal_are_bounded() {
    let (mut a, mut b) = two();
    let unsealed = |country: &mut Country, unsealed: u64| {
        let mut registry = country.registry();
        registry.unsealed = unsealed;
        let Ok(()) = country.ledger.put_registry(registry);
    };
    unsealed(&mut a, UNSEALED_MAX - 1);
    a.must("maker", a.register(2));
    let answer = text(&a.command("maker", a.register(3)));
    assert_eq!(answer, "EntryFull");
    a.close();
    a.must("maker", a.register(3));
    // Mail waits too, and is not lost.
    b.must("maker", b.register(7));
    b.must("customs", b.declare(7, transfer(7), &a.prefix));
    unsealed(&mut a, UNSEALED_MAX);
    let answers = b.deliver(&mut a);
    assert_eq!(text(&answers[0]), "EntryFull");
    a.close();
    let answers = b.deliver(&mut a);
    assert_eq!(text(&answers[0]), "done");
}

#[test]
fn a_command_is_read_up_to_its_bytes() {
    let mut a = Country::with_market("86");
    let mut answer = |bytes: usize| {
        let item = Blob(Blob(vec![0; bytes - 3]).to_bytes());
        assert_eq!(item.0.len(), bytes);
        let mut request = a.request("maker", &[a.register(1)]);
        let mut header = carnet_domain::log::authority::SignedHeader::from_bytes(&request.header.0)
            .expect("the kit's own header");
        header.item_root = carnet_domain::log::authority::item_root([item.0.as_slice()]);
        request.header = Blob(header.to_bytes());
        request.signature = a.key("maker").sign(&header.signing_bytes());
        request.items = vec![item];
        text(&a.ask(request).items[0])
    };
    let over = COMMAND_BYTES_MAX + 1;
    assert_eq!(
        answer(over),
        format!("Malformed: {over} bytes, allowed are {COMMAND_BYTES_MAX}")
    );
    assert_eq!(answer(COMMAND_BYTES_MAX), "Malformed");
}

/// Robot 1 of `86` is at `49`, which offers it home with an epoch.
fn offered_home(known: u64, epoch: u64) -> String {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let mut c = Country::with_market("81");
    befriend(&mut b, &mut c);
    // A cancel there, which both know.
    let (newest, link) = rests(&mut b, &c, &code, known);
    let mut here = robot(&a, &code);
    here.custody.epoch = known;
    here.custody.link = newest;
    here.custody.followed = Some(link);
    let Ok(()) = a.ledger.put_robot(here);
    let home = Command::DeclareExport {
        code,
        transfer: transfer(2),
        to: a.prefix,
        purpose: carnet_domain::rules::command::Purpose::PermanentExport,
        offer_until: b.clock.saturating_add(DurationMs::from_days(1)),
        agreement: agreed(prefix("86"), prefix("49")),
        papers: Default::default(),
    };
    // A registry that keeps the rules would not write what is above the bound; a record as it would be is shown.
    let record = {
        let mut there = robot(&b, &code);
        there.custody.epoch = 1;
        let Ok(()) = b.ledger.put_robot(there);
        b.must("customs", home.clone());
        let Ok(leaf) = b.ledger.leaf(b.registry().tree.size() - 1);
        leaf.expect("the offer")
    };
    let mut slots = Slots::new();
    slots.values = record
        .values
        .into_iter()
        .map(|value| value.map(|value| value.0))
        .collect::<Vec<_>>()
        .try_into()
        .expect("a leaf has 16 slots");
    let link = Link {
        step: Step::Offer,
        transfer: Some(transfer(2)),
        epoch,
        from: Some(b.prefix),
        to: a.prefix,
        prev: newest,
        agreement: Some(agreed(prefix("86"), prefix("49"))),
    };
    slots.set(slot::CUSTODY, &link);
    let to = a.prefix;
    b.forge(
        Forged {
            kind: Kind::Custody.number(),
            subject: Subject::robot(&code),
            slots,
            status: RobotStatus::InForce.number() as u8,
        },
        &to,
    );
    let mut batch = lies(&mut b, &a);
    // The honest offer is not handed over, so the lie is the next.
    let lie = batch.items.pop().expect("the lie");
    batch.items[0].proven = lie.proven;
    batch.items[0].newest = lie.newest;
    batch.items[0].chain = lie.chain;
    assert_eq!(take(&mut a, batch), "done");
    nacked(&a)
}

#[test]
fn no_epoch_is_believed_above_the_last_that_we_could_write() {
    let max = EPOCH_FOREIGN_MAX;
    assert_eq!(offered_home(max - 1, max), "Foreign");
    assert_eq!(
        offered_home(max, max + 1),
        format!("Malformed: epoch {}, believed are at most {max}", max + 1)
    );
}

#[test]
fn an_issuers_hold_is_counted_with_the_others() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let fill = |b: &mut Country, prefix: Prefix, count: usize| {
        let mut full = robot(b, &code);
        let hold = |i: usize| Hold {
            kind: HoldKind::SaleLock,
            setter: carnet_domain::record::Setter {
                prefix,
                ..setter(&format!("somebody {i}"))
            },
            reason: "why".into(),
            since: TimeMs(1),
        };
        full.holds = (0..count).map(hold).collect();
        let Ok(()) = b.ledger.put_robot(full);
    };
    let own = b.prefix;
    fill(&mut b, own, HOLDS_MAX);
    let stolen = Command::SetHold {
        code,
        kind: HoldKind::Theft,
        reason: "from the hall".into(),
    };
    a.must("registrar", stolen.clone());
    assert_eq!(a.deliver(&mut b).len(), 1, "the feed goes on");
    assert_eq!(nacked(&b), format!("RecordFull: {HOLDS_MAX} holds"));
    assert_eq!(robot(&b, &code).holds.len(), HOLDS_MAX);
    let lift = Command::LiftHold {
        code,
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    let again = |a: &mut Country, b: &mut Country| {
        a.must("registrar", lift.clone());
        a.must("registrar", stolen.clone());
        a.deliver(b);
        nacked(b)
    };
    fill(&mut b, own, HOLDS_MAX - 1);
    assert_eq!(again(&mut a, &mut b), "Foreign");
    assert_eq!(robot(&b, &code).holds.len(), HOLDS_MAX);
    // What other countries say, together, leaves room for what is said here.
    fill(&mut b, prefix("81"), HOLDS_OF_OTHERS_MAX);
    let others = format!("RecordFull: {HOLDS_OF_OTHERS_MAX} holds");
    assert_eq!(again(&mut a, &mut b), others);
    fill(&mut b, prefix("81"), HOLDS_OF_OTHERS_MAX - 1);
    assert_eq!(again(&mut a, &mut b), "Foreign");
}

fn theirs(a: &Country, number: &str, models: Vec<carnet_domain::bytes::code::ModelId>) -> Recall {
    Recall {
        notice: RecallNotice {
            id: recall_id(a, number),
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
    }
}

fn tell_recall(a: &mut Country, to: &Prefix, recall: &Recall) {
    let name = recall.notice.id.to_string();
    let mut slots = Slots::new();
    slots.set(slot::CODE, &name);
    slots.set(slot::MODEL, recall);
    let forged = Forged {
        kind: Kind::Recall.number(),
        subject: Subject::new(SubjectType::Recall, name),
        slots,
        status: 1,
    };
    a.forge(forged, to);
}

/// Amended by its issuer, it is found by what it names now: what it names no more is blocked by it no more.
#[test]
fn a_foreign_recall_is_found_by_the_models_that_it_names_now() {
    let (mut a, mut b) = two();
    let (one, other) = (a.model("0001", "100002"), a.model("0001", "100003"));
    let to = b.prefix;
    for models in [vec![one], vec![other], vec![one, other], vec![one]] {
        let recall = theirs(&a, "R-1", models.clone());
        tell_recall(&mut a, &to, &recall);
        let batch = lies(&mut a, &b);
        assert_eq!(take(&mut b, batch), "done");
        assert_eq!(nacked(&b), "Foreign");
        for model in [one, other] {
            let Ok(found) = b.ledger.recalls_of(&model);
            assert_eq!(found.len(), usize::from(models.contains(&model)));
        }
        let Ok(known) = b.ledger.recall(&recall_id(&a, "R-1"));
        assert_eq!(known.map(|recall| recall.models), Some(models));
    }
}

#[test]
fn mail_stops_at_the_first_item_that_is_not_proven() {
    let (mut a, mut b) = two();
    for serial in 2..=4 {
        a.must("maker", a.register(serial));
    }
    for number in 1..=4 {
        let offer = a.declare(u32::from(number), transfer(number), &b.prefix);
        a.must("customs", offer);
    }
    a.close();
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let peer = peer.expect("a peer");
    let batch = a.mail(&b.prefix, peer.size_seen, peer.cursor);
    let mut batch = batch.expect("a closed log has mail");
    assert_eq!(batch.items.len(), 4);
    batch.items[1].proven.path.pop();
    let answers = b.apply(Body::Foreign { batch }).items;
    let answers: Vec<String> = answers.iter().map(text).collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(answers[0], "done");
    assert!(answers[1].starts_with("EvidenceBroken: "), "{answers:?}");
    let Ok(peer) = b.ledger.peer(&a.prefix);
    assert_eq!(peer.map(|peer| peer.cursor), Some(1));
    assert_eq!(a.deliver(&mut b).len(), 3, "the rest comes again");
}

/// A bundle of another country, changed, and signed by its roots.
fn bundle(of: &Country, change: impl Fn(&mut Bundle)) -> Statement {
    let mut bundle = of.bundle_of(1);
    change(&mut bundle);
    let bytes = bundle.to_bytes();
    let fingerprint = sha256(&[&bytes]);
    let bundle = Signed {
        signatures: of.root_signatures(&bytes),
        bytes: Blob(bytes),
    };
    Statement::Recognise {
        changes: Vec::new(),
        bundle,
        fingerprint,
    }
}

#[test]
fn peers_are_counted() {
    let mut a = Country::new("86");
    let b = Country::unborn("49");
    let two_letters = ('A'..='Z').flat_map(|one| ('A'..='Z').map(move |two| format!("{one}{two}")));
    let prefixes = two_letters.filter_map(|name| Prefix::parse(&name).ok());
    let one = |prefix: Prefix| carnet_domain::record::peer::Peer {
        under_way: 0,
        agreements_ended: Vec::new(),
        heads: Vec::new(),
        bundle: Bundle {
            prefixes: vec![prefix],
            ..b.bundle_of(1)
        },
        since: TimeMs(0),
        quarantined: false,
        split: false,
        fork: None,
        settled: vec![Digest::ZERO; carnet_domain::limits::SETTLED_OF_PEER_MAX],
        roots_replaced: vec![1 << 40; carnet_domain::limits::ROOTS_REPLACED_MAX],
        doubted: None,
        cursor: 0,
        size_seen: 0,
        root_seen: Digest::ZERO,
        time_seen: TimeMs(0),
        repaired: None,
        shown_at: TimeMs(0),
        outbox: 0,
        agreements: Vec::new(),
        suspended: Vec::new(),
        suspended_there: Vec::new(),
        note_seen: "x".repeat(carnet_domain::limits::NOTE_KEPT_BYTES_MAX),
        split_note: "x".repeat(carnet_domain::limits::NOTE_KEPT_BYTES_MAX),
        given_up: Vec::new(),
        roots_number: 0,
        heard: carnet_domain::record::peer::Heard::default(),
        limits: carnet_domain::record::contact::Allowed::default(),
        contact: carnet_domain::record::contact::Contact::Open,
        offers_open: 10_000,
        offers_made: 10_000,
        told: Default::default(),
        bundle_leaf: 0,
        agreement_leaves: Vec::new(),
    };
    let peers: Vec<_> = prefixes.take(PEERS_MAX).map(one).collect();
    assert_eq!(peers.len(), PEERS_MAX);
    for peer in &peers {
        let Ok(()) = a.ledger.put_peer(peer.clone());
    }
    let answer = text(&a.state(&bundle(&b, |_| {})));
    assert_eq!(answer, format!("RecordFull: {PEERS_MAX} peers"));
    // A peer that is known is renewed all the same.
    let is_real =
        |peer: &&carnet_domain::record::peer::Peer| peer.bundle.prefixes == [prefix("AD")];
    let known = peers.iter().find(is_real).expect("Andorra");
    let known = known.bundle.prefixes.clone();
    let renewed = bundle(&b, |bundle| {
        bundle.prefixes.clone_from(&known);
        bundle.sequence = 2;
    });
    assert_eq!(text(&a.state(&renewed)), "done");
    // And there was room for the last.
    let mut a = Country::new("86");
    for peer in &peers[1..] {
        let Ok(()) = a.ledger.put_peer(peer.clone());
    }
    assert_eq!(text(&a.state(&bundle(&b, |_| {}))), "done");
}

#[test]
fn a_bundle_names_each_prefix_and_root_once() {
    let mut a = Country::new("86");
    let b = Country::unborn("49");
    let twins = "Malformed: a prefix or a root is named twice";
    let twice = bundle(&b, |bundle| bundle.prefixes.push(bundle.prefixes[0]));
    assert_eq!(text(&a.state(&twice)), twins);
    let twice = bundle(&b, |bundle| bundle.roots.push(bundle.roots[0]));
    assert_eq!(text(&a.state(&twice)), twins);
    let more = bundle(&b, |bundle| bundle.prefixes.push(prefix("50")));
    assert_eq!(text(&a.state(&more)), "done");
}

#[test]
fn a_bundle_has_at_most_its_bytes() {
    let b = Country::unborn("49");
    let sized = |bytes: usize| {
        let fill = |last: usize| {
            bundle(&b, |bundle| {
                bundle.certificates = vec![Blob(vec![0; 4_000]); BUNDLE_LIST_MAX - 1];
                bundle.certificates.push(Blob(vec![0; last]));
            })
        };
        let size = |statement: &Statement| match statement {
            Statement::Recognise { bundle, .. } => bundle.bytes.0.len(),
            _ => 0,
        };
        let left = bytes - size(&fill(1_000));
        let filled = fill(1_000 + left);
        assert_eq!(size(&filled), bytes);
        filled
    };
    let answer = |bytes: usize| text(&Country::new("86").state(&sized(bytes)));
    let over = BUNDLE_BYTES_MAX + 1;
    assert_eq!(
        answer(over),
        format!("Malformed: {over} bytes, allowed are {BUNDLE_BYTES_MAX}")
    );
    assert_eq!(answer(BUNDLE_BYTES_MAX), "done");
}

/// An agreement signed by both.
fn signed(a: &Country, b: &Country, agreement: &Agreement) -> Statement {
    let bytes = agreement.to_bytes();
    let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
    let bytes = Blob(bytes);
    let agreement = Signed { bytes, signatures };
    Statement::Agree { agreement }
}

#[test]
fn an_agreement_has_at_most_its_bytes() {
    let (a, b) = two();
    let sized = |bytes: usize| {
        let fill = |models: usize| {
            let mut long = agreement(a.prefix, b.prefix, 2);
            let clause = long.clauses[0].clone();
            let clauses = (1..).map(|number| Clause {
                number,
                ..clause.clone()
            });
            long.clauses = clauses.take(CLAUSES_MAX).collect();
            let some = |clause: &mut Clause, count: usize| {
                clause.models = vec![a.model("0001", "100002"); count];
            };
            let full = models / 200;
            long.clauses[..full].iter_mut().for_each(|c| some(c, 200));
            some(&mut long.clauses[full], models % 200);
            long
        };
        // As many models as fit, and the name takes up the rest.
        let most = (0..2_000).rev().map(fill);
        let mut most = most.skip_while(|filled| filled.to_bytes().len() > bytes);
        let mut filled = most.next().expect("one fits");
        let left = bytes - filled.to_bytes().len();
        filled.id.push_str(&"X".repeat(left));
        assert_eq!(filled.to_bytes().len(), bytes);
        filled
    };
    let answer = |bytes: usize| text(&a.clone().state(&signed(&a, &b, &sized(bytes))));
    let over = AGREEMENT_BYTES_MAX + 1;
    assert_eq!(
        answer(over),
        format!("Malformed: {over} bytes, allowed are {AGREEMENT_BYTES_MAX}")
    );
    assert_eq!(answer(AGREEMENT_BYTES_MAX), "done");
}

/// A suspension outlives no agreement: the list of them would grow with every agreement that ran out.
#[test]
fn a_suspension_goes_with_the_agreement_that_ran_out() {
    let (mut a, b) = two();
    let brief = |a: &Country, number: usize| {
        let mut brief = agreement(a.prefix, b.prefix, 1);
        brief.id = format!("BRIEF-{number}");
        brief.effective_to = a.clock.saturating_add(DurationMs::from_secs(3_600));
        brief
    };
    let suspended = |a: &Country| -> Vec<String> {
        let Ok(peer) = a.ledger.peer(&b.prefix);
        let suspended = peer.expect("a peer").suspended;
        let names = suspended.into_iter().map(|one| one.agreement.id);
        names.collect()
    };
    for number in 0..40 {
        let one = brief(&a, number);
        let statement = signed(&a, &b, &one);
        assert_eq!(text(&a.state(&statement)), "done", "{number}");
        let suspend = Statement::Suspend {
            peer: b.prefix,
            agreement: one.reference(),
            number: 1,
            until: TimeMs::MAX,
            reason: "x".into(),
        };
        assert_eq!(text(&a.state(&suspend)), "done", "{number}");
        assert!(suspended(&a).contains(&one.id));
        a.advance(DurationMs::from_secs(3_601));
    }
    let kept = suspended(&a);
    assert!(!kept.contains(&"BRIEF-0".to_owned()), "{kept:?}");
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let stored = peer.expect("a peer").to_bytes();
    assert!(carnet_domain::record::peer::Peer::from_bytes(&stored).is_ok());
}

/// The enterprise as if so many models of it had been approved.
fn with_models(a: &mut Country, id: &EnterpriseId, models: u64) {
    let Ok(enterprise) = a.ledger.enterprise(id);
    let Ok(()) = a.ledger.put_enterprise(Enterprise {
        models,
        ..enterprise.expect("accredited")
    });
}

/// Once, one registrar used up in six requests all the models that a maker can ever have.
#[test]
fn one_registrar_leaves_a_maker_room_for_models_that_two_approve() {
    let mut a = Country::with_market("86");
    a.enrol_office("registrar-2", "registrar", Role::Registrar);
    let id = a.enterprise("0001");
    let models = |a: &Country| {
        let Ok(enterprise) = a.ledger.enterprise(&id);
        enterprise.expect("accredited").models
    };
    let before = models(&a);
    a.must("registrar", a.approval("0001", "200000"));
    assert_eq!(models(&a), before + 1, "each is counted");
    with_models(&mut a, &id, MODELS_BY_ONE_MAX as u64);
    let approval = a.approval("0001", "300000");
    let Command::ApproveModel { id: model, .. } = &approval else {
        panic!("an approval");
    };
    let model = *model;
    let approved = |a: &Country| {
        let Ok(known) = a.ledger.model(&model);
        known.is_some()
    };
    a.must("registrar", approval.clone());
    assert!(!approved(&a), "it waits");
    let same = "SecondPartyRequired: the first step was taken by the same party";
    assert_eq!(text(&a.command("registrar", approval.clone())), same);
    // What another says of it is all of it.
    let mut other = approval.clone();
    if let Command::ApproveModel { facts, .. } = &mut other {
        facts.level = 1 + facts.level % 5;
    }
    a.must("registrar-2", other);
    assert!(!approved(&a), "another approval waits");
    a.must("registrar-2", approval);
    assert!(approved(&a));
    assert_eq!(models(&a), MODELS_BY_ONE_MAX as u64 + 1);
    // Another maker's are its own.
    a.must("registrar", a.approval("0003", "300001"));
}

#[test]
fn models_of_an_enterprise_are_counted() {
    let mut a = Country::with_market("86");
    a.enrol_office("registrar-2", "registrar", Role::Registrar);
    let template = {
        let Ok(model) = a.ledger.model(&a.model("0001", "100002"));
        model.expect("approved")
    };
    for number in 0..MODELS_OF_ENTERPRISE_MAX - 2 {
        let id = a.model("0001", &format!("{:06}", 200_000 + number));
        let Ok(()) = a.ledger.put_model(Model {
            id,
            ..template.clone()
        });
    }
    let id = a.enterprise("0001");
    with_models(&mut a, &id, MODELS_OF_ENTERPRISE_MAX as u64 - 1);
    for who in ["registrar", "registrar-2"] {
        a.must(who, a.approval("0001", "300000"));
    }
    let answer = text(&a.command("registrar", a.approval("0001", "300001")));
    assert_eq!(
        answer,
        format!("RecordFull: {MODELS_OF_ENTERPRISE_MAX} models of {id}")
    );
    a.must("registrar", a.approval("0003", "300001"));
    // One leaf changes the standing of all of them, and of nothing else; and is read again.
    let suspend = Command::SetEnterpriseStatus {
        id,
        status: carnet_domain::record::EnterpriseStatus::Suspended,
        reason: "x".into(),
    };
    a.must("registrar", suspend);
    let Ok(leaf) = a.ledger.leaf(a.registry().tree.size() - 1);
    let leaf = leaf.expect("written");
    assert_eq!(leaf.map.len(), MAP_CHANGES_MAX);
    assert!(LeafRecord::from_bytes(&leaf.to_bytes()).is_ok());
}

/// A foreign recall whose clause has no limit, with robots of its model here.
#[test]
fn a_foreign_recall_binds_a_bounded_number_of_robots_by_itself() {
    for (count, expected) in [
        (RECALL_BINDS_MAX, RecallStatus::InForce),
        (RECALL_BINDS_MAX + 1, RecallStatus::Proposed),
    ] {
        let (mut a, mut b) = two();
        let mut unlimited = agreement(a.prefix, b.prefix, 2);
        for clause in &mut unlimited.clauses {
            clause.recall_count_max = u32::MAX;
        }
        let statement = signed(&a, &b, &unlimited);
        assert_eq!(text(&b.state(&statement)), "done");
        let template = robot(&a, &a.code(1));
        for serial in 1..=count {
            let mut robot = template.clone();
            robot.identity.code = a.code(serial);
            let Ok(()) = b.ledger.put_robot(robot);
        }
        a.must("maker", opened(&a, 1));
        a.deliver(&mut b);
        let Ok(recall) = b.ledger.recall(&recall_id(&a, "R-1"));
        assert_eq!(recall.map(|recall| recall.status), Some(expected));
    }
}

/// Whether a value is read from its own bytes.
fn is_read<T: Canonical>(value: &T) -> bool {
    T::from_bytes(&value.to_bytes()).is_ok()
}

#[test]
fn lists_are_read_up_to_their_bounds() {
    let mut a = Country::new("86");
    let b = Country::unborn("49");
    let roles = |count| match a.accreditation("0001") {
        Command::AccreditEnterprise {
            code,
            name,
            maker,
            valid_from,
            valid_to,
            ..
        } => Command::AccreditEnterprise {
            code,
            name,
            maker,
            roles: vec![carnet_domain::rules::policy::Role::Owner; count],
            valid_from,
            valid_to,
        },
        other => other,
    };
    let documents = |count| Command::Admit {
        transfer: transfer(1),
        place: String::new(),
        importer: Digest::ZERO.into(),
        documents: vec![Digest::ZERO; count],
        countersignature: None,
    };
    let conditions = |count| {
        let conditions = vec![carnet_domain::rules::command::Condition::Inspection {}; count];
        permit(&b, 1, conditions)
    };
    let signatures = |count| Signed {
        bytes: Blob(Vec::new()),
        signatures: vec![a.root_signatures(b"x")[0].clone(); count],
    };
    let signers = |count| {
        let mut genesis = a.genesis();
        genesis.signers = vec![genesis.signers[0].clone(); count];
        genesis
    };
    for (bound, read) in [
        (
            ROLES_MAX,
            &(|n| is_read(&roles(n))) as &dyn Fn(usize) -> bool,
        ),
        (DOCUMENTS_MAX, &|n| is_read(&documents(n))),
        (CONDITIONS_MAX, &|n| is_read(&conditions(n))),
        (ROOT_SIGNATURES_MAX, &|n| is_read(&signatures(n))),
        (FIRST_SIGNERS_MAX, &|n| is_read(&signers(n))),
    ] {
        assert!(read(0) && read(bound) && !read(bound + 1), "{bound}");
    }
    a.close();
    let (item, map_head) = one_item();
    let mail = |count| MailBatch {
        peer: a.prefix,
        checkpoint: a.registry().checkpoint,
        map_head: map_head.clone(),
        consistency: Vec::new(),
        items: vec![item.clone(); count],
        large: None,
    };
    assert!(is_read(&mail(MAIL_ITEMS_MAX)) && !is_read(&mail(MAIL_ITEMS_MAX + 1)));
    let chained = |count| {
        let run = ChainRun {
            checkpoint: String::new(),
            leaves: vec![item.proven.clone()],
        };
        MailItem {
            chain: vec![run; count],
            ..item.clone()
        }
    };
    assert!(is_read(&chained(CHAIN_MAX)) && !is_read(&chained(CHAIN_MAX + 1)));
}

/// Some item of some mailbox.
fn one_item() -> (MailItem, ProvenHead) {
    let (mut a, b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let mut batch = lies(&mut a, &b);
    (batch.items.swap_remove(0), batch.map_head)
}

#[test]
fn a_genesis_beyond_the_last_log_time_is_none() {
    let born_at = |time: TimeMs| {
        let mut unborn = Country::unborn("86");
        let genesis = Genesis {
            time,
            ..unborn.genesis()
        };
        text(&unborn.state_unrenewed(&Statement::Genesis { genesis }))
    };
    assert_eq!(
        born_at(TimeMs(LOG_TIME_MAX.0 + 1)),
        format!(
            "Malformed: {} is beyond the last log time",
            TimeMs(LOG_TIME_MAX.0 + 1)
        )
    );
    assert_eq!(
        born_at(TimeMs::MAX),
        format!("Malformed: {} is beyond the last log time", TimeMs::MAX)
    );
    assert_eq!(born_at(LOG_TIME_MAX), "done");
    assert_eq!(born_at(beginning()), "done");
    assert!(LOG_TIME_MAX.checked_add(ADVANCE_MAX).is_some());
}

/// 128 recalls that name a model.
fn many_recalls(a: &mut Country) {
    let model = a.model("0001", "100002");
    for number in 0..RECALLS_OF_MODEL_MAX {
        let recall = theirs(a, &format!("R-{number}"), vec![model]);
        let Ok(()) = a.ledger.put_recall(recall);
    }
}

/// A request that reads much and writes nothing: every item reads all recalls of the robot's model, and is refused.
#[test]
fn an_entry_reads_no_more_than_a_constant() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    many_recalls(&mut a);
    let remedied = Command::RemedyRecall {
        code: a.code(1),
        recall: recall_id(&a, "NONE"),
        report: Digest::ZERO,
    };
    let commands = vec![remedied; 10_000];
    let request = a.request("maker", &commands);
    let answers = a.ask(request).items;
    let refused = answers
        .iter()
        .take_while(|a| text(a) == "RecallUnknown: recall 86/NONE");
    let most = ENTRY_ROWS_MAX as usize / RECALLS_OF_MODEL_MAX;
    let count = refused.count();
    assert!(0 < count && count <= most, "{count} of {most}");
    assert_eq!(text(&answers[9_999]), "EntryFull");
}

/// Every newer version is for as long as the older, which nobody asks any more.
#[test]
fn a_version_that_a_newer_one_replaced_makes_way() {
    let (mut a, b) = two();
    let agree = |a: &mut Country, version: u32, days: u64| {
        let mut next = agreement(a.prefix, b.prefix, version);
        next.effective_to = beginning().saturating_add(DurationMs::from_days(days));
        let statement = signed(a, &b, &next);
        text(&a.state(&statement))
    };
    // Version 1 is for 3,650 days. No later one is for as long, so it may be asked for again.
    for version in 2..=60 {
        assert_eq!(agree(&mut a, version, 3_000), "done", "{version}");
    }
    let kept = |a: &Country| -> Vec<u32> {
        let Ok(peer) = a.ledger.peer(&b.prefix);
        let agreements = peer.expect("a peer").agreements;
        agreements.iter().map(|a| a.version).collect()
    };
    let newest: Vec<u32> = std::iter::once(1).chain(46..=60).collect();
    assert_eq!(kept(&a), newest);
    // Each for less than the one before: none replaces another.
    let (mut a, _) = two();
    for version in 2..=AGREEMENTS_OF_PEER_MAX as u32 {
        assert_eq!(agree(&mut a, version, 3_000 - u64::from(version)), "done");
    }
    let full = format!("RecordFull: {AGREEMENTS_OF_PEER_MAX} agreements with 49");
    assert_eq!(agree(&mut a, 100, 1_000), full);
    // Nor does one of another name, or one that is not yet in force.
    let mut other = agreement(a.prefix, b.prefix, 100);
    other.id = "OTHER".into();
    let statement = signed(&a, &b, &other);
    assert_eq!(text(&a.state(&statement)), full);
    let mut to_come = agreement(a.prefix, b.prefix, 100);
    to_come.effective_from = a.clock.saturating_add(DurationMs::from_days(1));
    let statement = signed(&a, &b, &to_come);
    assert_eq!(text(&a.state(&statement)), full);
}

fn opened(a: &Country, number: usize) -> Command {
    Command::OpenRecall {
        notice: RecallNotice {
            id: recall_id(a, &format!("R-{number}")),
            severity: Severity::Remedy,
            predicate: Predicate::all(),
        },
        models: vec![a.model("0001", "100002")],
        remedy: "x".into(),
    }
}

fn withdrawn(a: &Country, number: usize) -> Command {
    Command::WithdrawRecall {
        recall: recall_id(a, &format!("R-{number}")),
        reason: "x".into(),
    }
}

#[test]
fn a_recall_that_was_withdrawn_is_counted_no_more() {
    let mut a = Country::with_market("86");
    for number in 0..RECALLS_OF_MODEL_MAX + 10 {
        a.must("maker", opened(&a, number));
        a.must("maker", withdrawn(&a, number));
    }
    a.advance(DurationMs::from_days(1));
    for number in 1_000..1_000 + RECALLS_OF_MODEL_BY_PARTIES_MAX {
        a.must("maker", opened(&a, number));
    }
    let model = a.model("0001", "100002");
    let answer = text(&a.command("maker", opened(&a, 2_000)));
    let full = format!("RecordFull: {RECALLS_OF_MODEL_BY_PARTIES_MAX} recalls name {model}");
    assert_eq!(answer, full);
    // The regulator's share stands beside it, and a number is never used twice.
    let last = RECALLS_OF_MODEL_MAX - RECALLS_OF_MODEL_BY_PARTIES_MAX;
    for number in 3_000..3_000 + last {
        a.must("regulator", opened(&a, number));
    }
    let answer = text(&a.command("regulator", opened(&a, 4_000)));
    let full = format!("RecordFull: {RECALLS_OF_MODEL_MAX} recalls name {model}");
    assert_eq!(answer, full);
    a.must("maker", withdrawn(&a, 1_000));
    a.must("regulator", opened(&a, 4_000));
    let answer = text(&a.command("regulator", opened(&a, 1_000)));
    assert_eq!(answer, "RecallExists: recall 86/R-1000");
}

#[test]
fn foreign_recalls_of_a_model_are_counted_while_they_bind_or_wait() {
    let (mut a, mut b) = two();
    let to = b.prefix;
    let model = a.model("0001", "100002");
    let mut said = 0;
    let mut say = |b: &mut Country, number: usize, status: RecallStatus| {
        let mut recall = theirs(&a, &format!("R-{number}"), vec![model]);
        recall.status = status;
        // Said again word for word it would be nothing new.
        said += 1;
        recall.remedy = format!("remedy {said}");
        tell_recall(&mut a, &to, &recall);
        let batch = lies(&mut a, b);
        assert_eq!(take(b, batch), "done");
        nacked(b)
    };
    for number in 0..RECALLS_OF_MODEL_MAX {
        assert_eq!(say(&mut b, number, RecallStatus::InForce), "Foreign");
    }
    let full = format!("RecordFull: {RECALLS_OF_MODEL_MAX} recalls name {model}");
    assert_eq!(say(&mut b, 1_000, RecallStatus::InForce), full);
    // One that has ended, and one that is known, take no place.
    assert_eq!(say(&mut b, 2_000, RecallStatus::Withdrawn), "Foreign");
    assert_eq!(say(&mut b, 1, RecallStatus::InForce), "Foreign");
    assert_eq!(say(&mut b, 2_000, RecallStatus::InForce), full);
    assert_eq!(say(&mut b, 0, RecallStatus::Withdrawn), "Foreign");
    assert_eq!(say(&mut b, 2_000, RecallStatus::InForce), "Foreign");
    assert_eq!(say(&mut b, 0, RecallStatus::InForce), full);
    let Ok(found) = b.ledger.recalls_of(&model);
    assert_eq!(found.len(), RECALLS_OF_MODEL_MAX);
}

#[test]
fn a_robot_is_remedied_more_often_than_its_record_names() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let code = a.code(1);
    let issuer = a.prefix;
    let id = |number: String| RecallId { issuer, number };
    let remedied = |number: usize| Command::RemedyRecall {
        code,
        recall: id(format!("R-{number}")),
        report: Digest::ZERO,
    };
    // The first stays open, the others end once they are remedied.
    for number in 0..RECALLS_OF_ROBOT_MAX * 2 {
        a.must("maker", opened(&a, number));
        a.must("maker", remedied(number));
        // So many are not opened in a day.
        if number == RECALLS_OF_ROBOT_MAX {
            let stand = [0, number].map(|number| id(format!("R-{number}")));
            assert_eq!(robot(&a, &code).remedied, stand, "what ended made way");
            a.advance(DurationMs::from_days(1));
        }
        if number > 0 {
            a.must("maker", withdrawn(&a, number));
        }
    }
    let listed = robot(&a, &code).remedied;
    assert!(listed.len() <= RECALLS_OF_ROBOT_MAX, "{}", listed.len());
    assert!(
        listed.contains(&id("R-0".to_owned())),
        "still open: {listed:?}"
    );
    let answer = text(&a.command("maker", remedied(0)));
    assert_eq!(
        answer, "RecallUnknown: recall 86/R-0",
        "it is not owed again"
    );
    // Those that nobody here has heard of make way for one that is known.
    let mut full = robot(&a, &code);
    full.remedied = (0..RECALLS_OF_ROBOT_MAX)
        .map(|i| id(format!("T-{i}")))
        .collect();
    let Ok(()) = a.ledger.put_robot(full);
    a.must("maker", opened(&a, 1_000));
    a.must("maker", remedied(1_000));
    let listed = robot(&a, &code).remedied;
    assert_eq!(listed.len(), RECALLS_OF_ROBOT_MAX);
    assert!(listed.contains(&id("R-1000".to_owned())), "{listed:?}");
}

/// A row can be as large as a record may grow.
#[test]
fn an_entry_reads_no_more_bytes_than_a_constant() {
    let mut a = Country::with_market("86");
    too_much(&mut a);
    let code = a.code(1);
    let size = robot(&a, &code).to_bytes().len();
    let remedied = Command::RemedyRecall {
        code,
        recall: recall_id(&a, "NONE"),
        report: Digest::ZERO,
    };
    let request = a.request("maker", &vec![remedied; 4_000]);
    let texts = answers(&mut a, &request);
    let read = count(&texts, "RecallUnknown: recall 86/NONE");
    let most = ENTRY_READ_BYTES_MAX as usize / size + 1;
    assert!(0 < read && read <= most, "{read} of {most}");
    assert_eq!(texts[3_999], "EntryFull");
}

/// Robot 1 with a large record, and a request about it that one entry has no room for: each item writes the record into
/// a leaf of its own.
fn too_much(a: &mut Country) -> Request {
    a.must("maker", a.register(1));
    let mut large = robot(a, &a.code(1));
    let hold = |i: usize| Hold {
        kind: HoldKind::Lost,
        setter: setter(&format!("{i:0128}")),
        reason: "x".repeat(512),
        since: TimeMs(1),
    };
    large.holds = (0..HOLDS_MAX).map(hold).collect();
    large.remedied = (0..RECALLS_OF_ROBOT_MAX)
        .map(|i| recall_id(a, &format!("{i:064}")))
        .collect();
    let Ok(()) = a.ledger.put_robot(large);
    let incident = Action::RecordIncident {
        severity: 1,
        place: "hall".into(),
        findings: Digest::ZERO,
    };
    let commands = vec![act(a, 1, incident); 2_500];
    a.request("registrar", &commands)
}

fn answers(a: &mut Country, request: &Request) -> Vec<String> {
    let request = request.clone();
    let answer = a.ask(request);
    answer.items.iter().map(text).collect()
}

fn count(answers: &[String], what: &str) -> usize {
    answers.iter().filter(|answer| *answer == what).count()
}

#[test]
fn what_found_no_room_in_its_entry_is_executed_when_it_is_asked_again() {
    let mut a = Country::with_market("86");
    let request = too_much(&mut a);
    let before = a.registry().tree.size();
    let mut executed = 0;
    let mut asked = 0;
    while executed < 2_500 {
        let from = a.registry().tree.size();
        let answer = a.ask(request.clone());
        let texts: Vec<String> = answer.items.iter().map(text).collect();
        let done = count(&texts, "done");
        assert!(done > executed, "{done} after {executed}");
        assert_eq!(count(&texts, "EntryFull"), 2_500 - done);
        assert_eq!(a.registry().tree.size() - from, (done - executed) as u64);
        // What is kept of this entry still gives its whole body.
        let leaves: Vec<LeafRecord> = (from..a.registry().tree.size())
            .map(|index| {
                let Ok(leaf) = a.ledger.leaf(index);
                leaf.expect("written")
            })
            .collect();
        let kept = a.ledger.envelope(from).expect("kept");
        let kept = Body::from_bytes(kept).expect("our own body");
        let whole = carnet_domain::machine::whole_envelope(kept, &leaves).expect("every leaf");
        let expected = a.client_body(request.clone());
        assert!(whole == expected, "the envelope of the entry at {from}");
        executed = done;
        asked += 1;
    }
    assert!(asked > 1, "one entry had room for all");
    // Each exactly once, and what is answered stays answered.
    assert_eq!(a.registry().tree.size() - before, 2_500);
    let last = a.ask(request.clone());
    let leaf = |leaf_index: u64| {
        let Ok(record) = a.ledger.leaf(leaf_index);
        let bytes = record.expect("written").leaf.0;
        let leaf = Leaf::from_bytes(&bytes).expect("our own leaf");
        ItemAnswer::Done {
            leaf_index,
            leaf_hash: carnet_domain::log::leaf::leaf_bytes_hash(&bytes),
            sequence: leaf.seq,
            waits: false,
        }
    };
    let expected: Vec<ItemAnswer> = (before..before + 2_500).map(leaf).collect();
    assert!(last.items == expected, "each item's own leaf");
    assert_eq!(a.registry().tree.size() - before, 2_500);
}

#[test]
fn the_rest_of_a_request_is_judged_when_it_is_executed() {
    let mut a = Country::with_market("86");
    let request = too_much(&mut a);
    let first = answers(&mut a, &request);
    let done = count(&first, "done");
    assert!(0 < done && done < 2_500, "{done}");
    let size = a.registry().tree.size();
    // Cut otherwise, signed otherwise: not the request that was asked.
    let mut cut = request.clone();
    cut.items.pop();
    let mut other = request.clone();
    other.signature.0[0] ^= 1;
    for wrong in [&cut, &other] {
        let texts = answers(&mut a, wrong);
        assert!(texts.iter().all(|t| t.starts_with("IdempotencyMismatch")));
    }
    // Too late: what was done stays done, the rest never is.
    let mut late = a.clone();
    late.advance(DurationMs::from_days(2));
    let texts = answers(&mut late, &request);
    assert_eq!(texts.len(), 2_500);
    assert_eq!(count(&texts, "done"), done);
    assert!(
        texts[done].starts_with("CommandExpired: "),
        "{}",
        texts[done]
    );
    assert_eq!(late.registry().tree.size(), size);
    // The key was retired meanwhile.
    let mut retired = a.clone();
    retired.enrol_office("registrar-2", "registrar", Role::Registrar);
    let before = retired.registry().tree.size();
    let retire = Command::RetireSigner {
        public: retired.key("registrar").public(),
        compromised_after: None,
        reason: "x".into(),
    };
    retired.must("admin", retire.clone());
    retired.must("admin-2", retire);
    let texts = answers(&mut retired, &request);
    assert_eq!(count(&texts, "done"), done);
    assert!(
        texts[done].starts_with("SignerNotActive: "),
        "{}",
        texts[done]
    );
    assert_eq!(retired.registry().tree.size(), before + 2);
    // And all is as it was for who asks in time.
    let texts = answers(&mut a, &request);
    assert!(count(&texts, "done") > done);
}

/// Everything that one country has for another, batch by batch, as it is handed over: honest mail, read from its bytes.
fn deliver_all(from: &mut Country, to: &mut Country) {
    for _ in 0..100 {
        from.close();
        let Ok(peer) = to.ledger.peer(&from.prefix);
        let peer = peer.expect("a peer");
        let batch = from.mail(&to.prefix, peer.size_seen, peer.cursor);
        let batch = batch.expect("a closed log has mail");
        if batch.items.is_empty() {
            return;
        }
        let batch = MailBatch::from_bytes(&batch.to_bytes()).expect("within every bound");
        let answers = take(to, batch);
        assert!(!answers.contains("Evidence"), "{answers}");
    }
    panic!("the mail of {} has no end", from.prefix);
}

fn phase(country: &Country, code: &Code) -> String {
    let Ok(robot) = country.ledger.robot(code);
    let Ok(loose) = country.ledger.loose_chain(code);
    let chain = robot.map(|r| r.custody).or(loose.map(|l| l.chain));
    chain.expect("known").phase.name().to_owned()
}

/// Robot 2 crosses, whatever was said of robot 1.
fn robot_2_crosses(a: &mut Country, b: &mut Country) {
    a.must("maker", a.register(2));
    a.must("customs", a.declare(2, transfer(2), &b.prefix));
    deliver_all(a, b);
    b.must("customs", permit(b, 2, vec![]));
    deliver_all(b, a);
    a.must("customs", depart(2));
    deliver_all(a, b);
    b.must("customs", admit(2));
    deliver_all(b, a);
    assert_eq!(phase(b, &a.code(2)), "Here");
    assert_eq!(phase(a, &a.code(2)), "Gone");
}

/// A departure with more leaves behind it than are read stops no other robot; the registrar is shown why it did not arrive.
#[test]
fn a_buried_departure_stops_no_feed() {
    for (count, arrived, said) in [
        (LATER_LEAVES_MAX, "InTransit", "Foreign".to_owned()),
        (
            LATER_LEAVES_MAX + 1,
            "Permitted",
            format!(
                "RecordFull: {} leaves follow the departure, at most {LATER_LEAVES_MAX} are read",
                LATER_LEAVES_MAX + 1
            ),
        ),
    ] {
        let (mut a, mut b) = departed();
        let to = b.prefix;
        for _ in 0..count {
            a.forge(forged_after_departure(&a, Kind::Incident), &to);
        }
        let size = b.registry().tree.size();
        deliver_all(&mut a, &mut b);
        assert_eq!(said_at(&b, size), said);
        assert_eq!(phase(&b, &a.code(1)), arrived);
        robot_2_crosses(&mut a, &mut b);
        let answer = text(&b.command("customs", admit(1)));
        assert_eq!(answer == "done", arrived == "InTransit", "{answer}");
    }
}

/// How many leaves follow is the registry's word, not the follower's guess.
#[test]
fn a_departure_is_buried_only_by_its_own_map() {
    let (mut a, b) = departed();
    let to = b.prefix;
    a.forge(forged_after_departure(&a, Kind::Incident), &to);
    let good = lies(&mut a, &b);
    for broken in ["hidden", "counted up"] {
        let (mut b, mut batch) = (b.clone(), good.clone());
        let newest = batch.items[0].newest.as_mut().expect("a departure");
        newest.later.clear();
        if broken == "counted up" {
            newest.value.seq += LATER_LEAVES_MAX as u64 + 1;
        }
        let index = batch.items[0].proven.index;
        let said = format!("EvidenceBroken: leaf {index} is not proven to be the newest");
        assert_eq!(take(&mut b, batch), said, "{broken}");
    }
}

/// Nobody can bury the departure of a robot that is under way: not its own offices, and no third country.
#[test]
fn of_a_robot_under_way_nothing_is_said_over_and_over() {
    let (mut a, mut b) = departed();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    let code = a.code(1);
    let head = |a: &Country| robot(a, &code).head.expect("it has leaves").seq;
    let before = head(&a);
    let correct = |a: &Country| {
        let note = Action::Correct {
            corrects: robot(a, &code).head.expect("it has leaves").leaf_index,
            note: "x".into(),
        };
        act(a, 1, note)
    };
    let (set, lift) = (
        Command::SetHold {
            code,
            kind: HoldKind::Theft,
            reason: "x".into(),
        },
        Command::LiftHold {
            code,
            kind: HoldKind::Theft,
            reason: "x".into(),
        },
    );
    let under_way = format!("TransferOpen: transfer {} to 49 is under way", transfer(1));
    assert_eq!(text(&a.command("registrar", correct(&a))), under_way);
    a.must("registrar", set.clone());
    assert_eq!(text(&a.command("registrar", lift.clone())), under_way);
    let answer = text(&a.command("registrar", set));
    assert!(answer.starts_with("HoldExists"), "{answer}");
    // 81 says again and again that it has accepted the robot from 49.
    for number in 0..20 {
        let mut slots = Slots::new();
        slots.set(slot::CODE, &code.as_str().to_owned());
        let link = Link {
            step: Step::Accept,
            transfer: Some(transfer(100 + number)),
            epoch: 2,
            from: Some(b.prefix),
            to: c.prefix,
            prev: Digest::ZERO,
            agreement: Some(agreed(b.prefix, c.prefix)),
        };
        slots.set(slot::CUSTODY, &link);
        slots.set(slot::EVENT, &permit(&c, 100 + number, vec![]));
        let forged = Forged {
            kind: Kind::Custody.number(),
            subject: Subject::robot(&code),
            slots,
            status: RobotStatus::Departed.number() as u8,
        };
        c.forge(forged, &a.prefix);
    }
    let batch = lies(&mut c, &a);
    assert_eq!(batch.items.len(), 20);
    take(&mut a, batch);
    // Some of them wait for the offer that they would follow; the rest makes way.
    assert_eq!(nacked(&a), "ParkedOver: 8 items that wait");
    assert_eq!(head(&a), before + 1, "the alarm alone");
    deliver_all(&mut a, &mut b);
    b.must("customs", admit(1));
    deliver_all(&mut b, &mut a);
    // It has arrived.
    a.must("registrar", lift);
    a.must("registrar", correct(&a));
}

/// What a lying registry can write into a leaf of its own log, each proven like a true one.
#[test]
fn no_proven_leaf_stops_a_feed() {
    let bytes = |text: &str| Some(text.to_owned().to_bytes());
    type Change = (&'static str, fn(&mut Forged, Option<Vec<u8>>));
    let changes: [Change; 9] = [
        ("no code", |f, _| f.slots.values[0] = None),
        ("another's code", |f, x| f.slots.values[0] = x),
        ("no link", |f, _| f.slots.values[12] = None),
        ("a link that is none", |f, x| f.slots.values[12] = x),
        ("no event", |f, _| f.slots.values[10] = None),
        ("an event that is none", |f, x| f.slots.values[10] = x),
        ("an offer that declares nothing", |f, _| {
            let what = Command::WithdrawRecall {
                recall: RecallId {
                    issuer: prefix("86"),
                    number: "X".into(),
                },
                reason: "x".into(),
            };
            f.slots.set(slot::EVENT, &what);
        }),
        ("a robot without a state", |f, _| f.slots.values[8] = None),
        ("a kind that nobody knows", |f, _| f.kind = 999),
    ];
    for (name, change) in changes {
        let (mut a, mut b) = two();
        let (code, to) = (a.code(1), b.prefix);
        // A true offer, taken from a copy of the country, as a template.
        let mut copy = a.clone();
        copy.must("customs", copy.declare(1, transfer(1), &to));
        let Ok(record) = copy.ledger.leaf(copy.registry().tree.size() - 1);
        let values = record.expect("the offer").values.into_iter();
        let mut slots = Slots::new();
        let values: Vec<_> = values.map(|value| value.map(|value| value.0)).collect();
        slots.values = values.try_into().expect("a leaf has 16 slots");
        let mut forged = Forged {
            kind: Kind::Custody.number(),
            subject: Subject::robot(&code),
            slots,
            status: RobotStatus::InForce.number() as u8,
        };
        change(&mut forged, bytes(a.code(9).as_str()));
        let forged_kind = forged.kind;
        a.forge(forged, &to);
        let batch = lies(&mut a, &b);
        assert_eq!(take(&mut b, batch), "done", "{name}");
        let said = nacked(&b);
        let expected = match forged_kind {
            999 => "Parked: ",
            _ => "Malformed: ",
        };
        assert!(said.starts_with(expected), "{name}: {said}");
        let Ok(known) = b.ledger.transfer(&transfer(1));
        assert_eq!(known, None, "{name}");
        robot_2_crosses(&mut a, &mut b);
    }
}

/// What is hidden is not proven: another node of the peer may show it, so nothing is consumed.
#[test]
fn a_custody_leaf_that_hides_what_it_says_is_not_consumed() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let good = lies(&mut a, &b);
    for hidden in [slot::CODE, slot::CUSTODY, slot::EVENT, slot::STATE] {
        let mut batch = good.clone();
        let proven = &mut batch.items[0].proven;
        let Ok(record) = a.ledger.leaf(proven.index);
        let shown: Vec<u8> = (0..16).filter(|slot| *slot != hidden).collect();
        proven.disclosed =
            carnet_domain::custody::mail::disclose(&record.expect("the offer"), &shown);
        let answer = take(&mut b, batch);
        assert!(answer.starts_with("EvidenceBroken: "), "{hidden}: {answer}");
        let Ok(peer) = b.ledger.peer(&a.prefix);
        assert_eq!(peer.map(|peer| peer.cursor), Some(0), "{hidden}");
    }
    assert_eq!(take(&mut b, good), "done");
    assert_eq!(phase(&b, &a.code(1)), "Asked");
}

/// The map says what became of the robot, whoever wrote what came after.
#[test]
fn a_departure_is_believed_only_while_the_map_shows_it() {
    let (mut a, mut b) = departed();
    let to = b.prefix;
    let mut forged = forged_after_departure(&a, Kind::Incident);
    forged.status = RobotStatus::InForce.number() as u8;
    a.forge(forged, &to);
    let size = b.registry().tree.size();
    deliver_all(&mut a, &mut b);
    let status = RobotStatus::InForce.number();
    let said = format!("NotReleased: after the departure the map shows status {status}");
    assert_eq!(said_at(&b, size), said);
    assert_eq!(phase(&b, &a.code(1)), "Permitted");
    robot_2_crosses(&mut a, &mut b);
}

/// What follows a departure but is not sealed yet is not shown with it: the map does not know of it.
#[test]
fn a_departure_is_shown_with_what_is_published() {
    let (mut a, mut b) = departed();
    a.close();
    let stolen = Command::SetHold {
        code: a.code(1),
        kind: HoldKind::Theft,
        reason: "x".into(),
    };
    a.must("registrar", stolen);
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let peer = peer.expect("a peer");
    let batch = a.mail(&b.prefix, peer.size_seen, peer.cursor);
    let batch = batch.expect("a closed log has mail");
    assert_eq!(take(&mut b, batch), "done");
    assert_eq!(phase(&b, &a.code(1)), "InTransit");
}

/// A session keeps the answers of a thousand requests, and each of them could hold thousands of long refusals.
#[test]
fn refusals_beyond_what_is_kept_of_a_request_have_no_detail() {
    let mut x = Country::with_market("86");
    let unknown = act(&x, 9, Action::Retire { reason: "x".into() });
    let commands = vec![unknown; 5_000];
    let request = x.request("maker", &commands);
    let answer = x.ask(request.clone());
    let refusals = answer.items.iter().map(|item| match item {
        ItemAnswer::Refused { rejection } => rejection.clone(),
        other => panic!("{other:?}"),
    });
    let rejections: Vec<_> = refusals.collect();
    let first = rejections[0].clone();
    let told = rejections.iter().filter(|it| **it == first).count();
    assert_eq!(told, REFUSAL_BYTES_MAX / first.to_bytes().len());
    let bare = |it: &carnet_domain::rules::rejection::Rejection| it.detail.is_empty();
    assert!(!bare(&first) && rejections[told..].iter().all(bare));
    assert!(rejections.iter().all(|it| it.reason == first.reason));
    assert_eq!(x.ask(request).items, answer.items, "told again alike");
}

/// A step of a transfer between two others, written by a country that names itself as the importer.
fn meddled(a: &Country, c: &Country, step: Step, what: &Command) -> Forged {
    let code = a.code(1);
    let custody = robot(a, &code).custody;
    let link = Link {
        step,
        transfer: Some(transfer(1)),
        epoch: custody.epoch + u64::from(step == Step::Return),
        from: Some(a.prefix),
        to: c.prefix,
        prev: custody.link,
        agreement: Some(agreed(a.prefix, c.prefix)),
    };
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::EVENT, what);
    slots.set(slot::CUSTODY, &link);
    Forged {
        kind: Kind::Custody.number(),
        subject: Subject::robot(&code),
        slots,
        status: RobotStatus::Departed.number() as u8,
    }
}

/// Found by the model of a registry that lies: whoever knew the number of a transfer could take the importer's place.
#[test]
fn a_third_country_takes_no_part_in_a_transfer_between_two_others() {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    let mut nothing_comes_of = |a: &mut Country, step: Step, what: Command| {
        let before = robot(a, &a.code(1));
        c.forge(meddled(a, &c, step, &what), &a.prefix);
        let batch = lies(&mut c, a);
        take(a, batch);
        assert_eq!(robot(a, &a.code(1)).custody, before.custody, "{step:?}");
        let said = nacked(a);
        assert!(
            said.ends_with("the open transfer is between others"),
            "{step:?}: {said}"
        );
    };
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let accept = permit(&a, 1, vec![]);
    nothing_comes_of(&mut a, Step::Accept, accept);
    let reason = String::new();
    let transfer_one = transfer(1);
    let refuse = Command::RefuseImport {
        transfer: transfer_one,
        reason: reason.clone(),
    };
    nothing_comes_of(&mut a, Step::Refuse, refuse);
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    nothing_comes_of(&mut a, Step::Admit, admit(1));
    let back = Command::Return {
        transfer: transfer_one,
        reason,
    };
    nothing_comes_of(&mut a, Step::Return, back);
    a.deliver(&mut b);
    b.must("customs", admit(1));
}

#[test]
fn supervisors_and_proposals_are_counted() {
    let enrol = |x: &Country, number: usize| {
        x.enrolment(
            &format!("regulator-{number}"),
            x.office("regulator"),
            Role::Regulator,
            &format!("person-{number}"),
        )
    };
    let mut a = Country::with_market("86");
    for number in a.registry().offices.supervisors.len()..SUPERVISORS_MAX {
        let new = enrol(&a, number);
        a.must("admin", new.clone());
        a.must("admin-2", new);
    }
    assert_eq!(a.registry().offices.supervisors.len(), SUPERVISORS_MAX);
    let more = enrol(&a, SUPERVISORS_MAX);
    check(
        &mut a,
        "admin",
        more,
        "RecordFull: 64 keys of admins, registrars and regulators",
    );
    let mut b = Country::with_market("86");
    for number in 0..PROPOSALS_MAX {
        let new = enrol(&b, number);
        b.must("admin", new);
    }
    // The oldest of who proposed most makes way, and what the other says is heard.
    let first = enrol(&b, 0);
    let more = enrol(&b, PROPOSALS_MAX);
    check(&mut b, "admin", more.clone(), "done");
    let kept = b.registry().offices.proposals;
    assert_eq!(kept.len(), PROPOSALS_MAX);
    check(&mut b, "admin-2", first, "done");
    let kept = b.registry().offices.proposals;
    assert_eq!(kept.len(), PROPOSALS_MAX, "a first word again");
    let by = kept.last().map(|one| one.by.person.clone());
    assert_ne!(by, kept.first().map(|one| one.by.person.clone()));
    check(&mut b, "admin-2", more.clone(), "done");
    assert_eq!(
        b.registry().offices.proposals.len(),
        PROPOSALS_MAX - 1,
        "the second word"
    );
    // What has expired makes room.
    b.advance(DurationMs::from_days(8));
    let new = enrol(&b, PROPOSALS_MAX + 1);
    check(&mut b, "admin", new, "done");
    assert_eq!(b.registry().offices.proposals.len(), 1);
}
