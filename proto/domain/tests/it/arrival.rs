//! What a robot is once it has arrived, and what binds it on the way: attacks on the table of `custody::admission`, on
//! agreements and on the purpose of a stay. Each test is an attack that once went through.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Link;
use carnet_domain::custody::admission::{Passage, admitted, approved};
use carnet_domain::log::leaf::{Kind, Leaf, Slots, Subject};
use carnet_domain::record::event::Standing;
use carnet_domain::record::event::{Yielded, slot};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Agreement, Signed, Statement};
use carnet_domain::record::{
    Actor, Asking, Fitting, Hold, Holder, PartName, PartyName, Pending, Robot, RobotKey, Setter,
    Stay,
};
use carnet_domain::rules::command::{Action, Command, Purpose};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_kit::forge::Forged;
use carnet_kit::{Country, agreed, agreement, befriend, text, transfer};

use crate::border::{admit, depart, export, permit, phase, prefix, two};
use crate::bounds::robot;
use crate::rules::check;

fn mail(from: &mut Country, to: &mut Country, expected: &str) {
    let answers: Vec<String> = from.deliver(to).iter().map(text).collect();
    assert_eq!(
        answers.join("; "),
        expected,
        "{} to {}",
        from.prefix,
        to.prefix
    );
}

/// The declaration by which a robot goes from one country to another, under an agreement of theirs.
pub(crate) fn offer(
    from: &Country,
    to: &Country,
    code: Code,
    number: u8,
    purpose: Purpose,
) -> Command {
    let mut declare = from.declare(1, transfer(number), &to.prefix);
    if let Command::DeclareExport {
        code: what,
        purpose: why,
        ..
    } = &mut declare
    {
        *what = code;
        *why = purpose;
    }
    declare
}

/// From the offer up to the departure.
pub(crate) fn bring(
    from: &mut Country,
    to: &mut Country,
    code: Code,
    number: u8,
    purpose: Purpose,
) {
    let declare = offer(from, to, code, number, purpose);
    from.must("customs", declare);
    from.deliver(to);
    to.must("customs", permit(to, number, vec![]));
    to.deliver(from);
    from.must("customs", depart(number));
    from.deliver(to);
}

fn set(code: Code, kind: HoldKind) -> Command {
    Command::SetHold {
        code,
        kind,
        reason: "reported".into(),
    }
}

fn on(code: Code, action: Action) -> Command {
    Command::Act {
        code,
        expected_sequence: None,
        action,
    }
}

fn holds(country: &Country, code: &Code) -> Vec<HoldKind> {
    robot(country, code)
        .holds
        .iter()
        .map(|hold| hold.kind)
        .collect()
}

/// A change that a country makes to its own record past its rules.
fn lie(country: &mut Country, code: &Code, change: impl FnOnce(&mut Robot)) {
    let mut told = robot(country, code);
    change(&mut told);
    let Ok(()) = country.ledger.put_robot(told);
}

fn send_back(number: u8) -> Command {
    Command::Return {
        transfer: transfer(number),
        reason: "x".into(),
    }
}

/// What never changes of a robot is not its exporter's to say, whoever issued it.
#[test]
fn a_disclosure_that_differs_is_held_at_the_border_and_its_sender_is_told() {
    type Change = fn(&mut Robot);
    let changes: [(&str, Change); 4] = [
        ("body", |r| r.identity.body = sha256(&[b"another body"])),
        ("manufacture", |r| r.identity.manufactured = TimeMs(1)),
        ("country of origin", |r| r.identity.origin = "ZZ".into()),
        ("robot key", |r| {
            let key = Country::unborn("49").key("mallory");
            let of = &r.identity;
            r.robot_key = Some(RobotKey::prove(&of.code, &of.body, &key));
        }),
    ];
    for (what, change) in changes {
        let (mut a, mut b) = two();
        export(&mut a, &mut b, 1, 1);
        let code = a.code(1);
        let before = robot(&a, &code);
        b.must("customs", offer(&b, &a, code, 2, Purpose::PermanentExport));
        b.deliver(&mut a);
        a.must("customs", permit(&a, 2, vec![]));
        a.deliver(&mut b);
        // Only after the permit: what was shown with the offer was true.
        lie(&mut b, &code, change);
        b.must("customs", depart(2));
        mail(&mut b, &mut a, "done");
        assert_eq!(phase(&a, 1, "86"), "InTransit 2");
        let differs = format!("DisclosureDiffers: the {what} of {}", code.display_form());
        check(&mut a, "customs", admit(2), &differs);
        let after = robot(&a, &code);
        assert_eq!(after.identity, before.identity);
        assert_eq!(after.robot_key, before.robot_key);
        assert_eq!(newest_kind(&a), Kind::Nack, "the sender is answered");
        let told = a.ledger.mailbox(&b.prefix, 0).len();
        mail(&mut a, &mut b, "nothing");
        assert_eq!(a.ledger.mailbox(&b.prefix, 0).len(), told);
        // It is nobody's prisoner.
        check(&mut a, "customs", send_back(2), "done");
        mail(&mut a, &mut b, "done");
        assert_eq!(phase(&b, 1, "86"), "Here 3");
    }
}

/// The first offer is all that an importer knows: the departure may not say something else.
#[test]
fn a_first_import_is_the_robot_that_was_offered() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    lie(&mut a, &code, |r| r.identity.body = sha256(&[b"another"]));
    a.must("customs", depart(1));
    mail(&mut a, &mut b, "done");
    check(
        &mut b,
        "customs",
        admit(1),
        "DisclosureDiffers: the body of …",
    );
    // Nor may the permit be asked for with a lie about a robot that was here before.
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    lie(&mut b, &code, |r| r.identity.origin = "ZZ".into());
    b.must("customs", offer(&b, &a, code, 2, Purpose::PermanentExport));
    mail(&mut b, &mut a, "done");
    let permitted = permit(&a, 2, vec![]);
    check(
        &mut a,
        "customs",
        permitted,
        "DisclosureDiffers: the country of origin …",
    );
}

fn newest_kind(country: &Country) -> Kind {
    let last = (0..country.registry().tree.size()).rev().find_map(|index| {
        let Ok(leaf) = country.ledger.leaf(index);
        let leaf = Leaf::from_bytes(&leaf?.leaf.0).ok()?;
        (leaf.kind != Kind::MapHead).then_some(leaf.kind)
    });
    last.expect("a log has leaves")
}

#[test]
fn level_and_class_are_the_issuers() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    lie(&mut b, &code, |r| (r.level, r.safety_class) = (1, 1));
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    check(&mut a, "customs", admit(2), "done");
    let home = robot(&a, &code);
    assert_eq!((home.level, home.safety_class), (3, 2));
    // The issuer's newest word is the other country's to take.
    lie(&mut a, &code, |r| r.level = 4);
    export(&mut a, &mut b, 1, 3);
    assert_eq!(robot(&b, &code).level, 4);
}

#[test]
fn what_is_reported_on_the_way_binds_on_arrival() {
    // On its way home, by the country that is responsible for it.
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    check(&mut a, "regulator", set(code, HoldKind::Theft), "done");
    check(&mut a, "customs", admit(2), "done");
    assert_eq!(holds(&a, &code), [HoldKind::Theft]);
    check(
        &mut a,
        "customs",
        on(code, Action::Stock { at: None }),
        "Held: Theft …",
    );
    // On its way abroad for the first time, by its issuer.
    let (mut a, mut b) = two();
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    a.must("regulator", set(code, HoldKind::Theft));
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", admit(1), "done");
    assert_eq!(holds(&b, &code), [HoldKind::Theft]);
    // Before it departed, once it is asked for.
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    a.must("regulator", set(code, HoldKind::Lost));
    mail(&mut a, &mut b, "done");
    assert_eq!(holds(&b, &code), [HoldKind::Lost]);
}

#[test]
fn a_first_import_in_transit_can_be_reported_stolen_and_ended() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    let incident = Action::RecordIncident {
        severity: 4,
        place: "sea".into(),
        findings: Digest::ZERO,
    };
    check(&mut b, "regulator", set(code, HoldKind::Lost), "done");
    check(&mut b, "registrar", on(code, incident), "done");
    let end = Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: Digest::ZERO,
    };
    check(&mut b, "registrar", on(code, end), "done");
    check(&mut b, "customs", admit(1), "done");
    let admitted = robot(&b, &code);
    assert!(matches!(admitted.pending, Pending::EndOfLife { .. }));
    assert_eq!(
        holds(&b, &code),
        [HoldKind::Lost, HoldKind::EndOfLifePending]
    );
}

/// A record that only an offer began blocks nothing, counts nowhere, and goes when nothing is asked for any more.
#[test]
fn a_provisional_record_takes_no_place() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    assert_eq!(robot(&b, &code).stay, Stay::Asked {});
    let Ok(count) = b.ledger.count_of_model(&code.model_id());
    assert_eq!(count, 0);
    for identity in robot(&b, &code).identities() {
        let Ok(holder) = b.ledger.part_holder(&identity);
        let holder = holder.map(|fitting| fitting.code);
        assert_eq!(holder, None);
    }
    check(
        &mut b,
        "regulator",
        set(code, HoldKind::Theft),
        "NotInCustody: …",
    );
    let stock = on(code, Action::Stock { at: None });
    check(&mut b, "registrar", stock, "NotInCustody: …");
    let refuse = Command::RefuseImport {
        transfer: transfer(1),
        reason: "x".into(),
    };
    b.must("customs", refuse);
    let Ok(record) = b.ledger.robot(&code);
    assert_eq!(record, None);
    let Ok(chain) = b.ledger.loose_chain(&code);
    assert!(chain.is_some(), "what is known of its custody stays");
    mail(&mut b, &mut a, "done");
    mail(&mut a, &mut b, "done");
    export(&mut a, &mut b, 1, 2);
    let Ok(count) = b.ledger.count_of_model(&code.model_id());
    assert_eq!(count, 1);
}

#[test]
fn a_final_or_reserved_state_is_never_admitted() {
    for state in [
        State::Scrapped,
        State::Recycled,
        State::Annulled,
        State::Reserved,
    ] {
        let (mut a, mut b) = two();
        export(&mut a, &mut b, 1, 1);
        let code = a.code(1);
        b.must("customs", offer(&b, &a, code, 2, Purpose::PermanentExport));
        b.deliver(&mut a);
        a.must("customs", permit(&a, 2, vec![]));
        a.deliver(&mut b);
        b.must("customs", depart(2));
        // The departure as it would be, but for the state.
        retell(&mut b, &a, |slots| {
            let bytes = slots.values[usize::from(slot::STATE)]
                .take()
                .expect("shown");
            let mut standing =
                carnet_domain::record::event::Standing::from_bytes(&bytes).expect("a standing");
            standing.state = state;
            slots.set(slot::STATE, &standing);
        });
        b.close();
        let Ok(peer) = a.ledger.peer(&b.prefix);
        let peer = peer.expect("a peer");
        let batch = b.lying_mail(&a.prefix, peer.size_seen, peer.cursor);
        assert_eq!(crate::bounds::take(&mut a, batch), "done");
        assert_eq!(phase(&a, 1, "86"), "InTransit 2");
        check(&mut a, "customs", admit(2), "StateFinal: …");
        assert_eq!(robot(&a, &code).state, State::Manufactured);
        let mut again = a.registration(1);
        again.body.serial = "FRESH".into();
        again.identity_parts.clear();
        again.parts.clear();
        let again = Command::Register {
            registration: again,
        };
        check(&mut a, "maker", again, "CodeExists: …");
    }
}

/// Robot 1 of `86`: the newest leaf in the mailbox of `to`, told otherwise in a log that shows nothing else.
fn retell(from: &mut Country, to: &Country, change: impl FnOnce(&mut Slots)) {
    let (_, index) = *from.ledger.mailbox(&to.prefix, 0).last().expect("an item");
    let Ok(record) = from.ledger.leaf(index);
    let record = record.expect("a leaf");
    let mut slots = Slots::new();
    for (slot, value) in slots.values.iter_mut().zip(&record.values) {
        *slot = value.as_ref().map(|value| value.0.clone());
    }
    change(&mut slots);
    let code = Country::unborn("86").code(1);
    // Told in place of the true one: the cursor of `to` stands before that.
    let mut forked = from.clone();
    let Ok(peer) = forked.ledger.peer(&to.prefix);
    let mut peer = peer.expect("a peer");
    peer.outbox -= 1;
    let Ok(()) = forked.ledger.put_peer(peer);
    forked.forge(
        Forged {
            kind: Kind::Custody.number(),
            subject: Subject::robot(&code),
            slots,
            status: 7,
        },
        &to.prefix,
    );
    *from = forked;
}

#[test]
fn a_guest_is_neither_sold_nor_annulled_nor_sent_on_for_good() {
    let purposes = Purpose::ALL.iter().copied();
    for purpose in purposes.filter(|purpose| *purpose != Purpose::PermanentExport) {
        let (mut a, mut b) = two();
        let code = a.code(1);
        a.must("maker", on(code, Action::Stock { at: None }));
        let owner = sha256(&[b"owner"]).into();
        a.must("maker", on(code, Action::Sell { owner }));
        bring(&mut a, &mut b, code, 1, purpose);
        b.must("customs", admit(1));
        mail(&mut b, &mut a, "done");
        assert_eq!(robot(&b, &code).stay, Stay::Guest { purpose });
        let owner = sha256(&[b"buyer"]).into();
        let sell = on(code, Action::Sell { owner });
        let stays = format!(
            "HereForATime: {} was admitted for {}",
            code.display_form(),
            purpose.name()
        );
        check(&mut b, "dealer", sell, "NotYours: …");
        let ask = Action::RequestOwnership {
            owner: sha256(&[b"buyer"]).into(),
            secret: carnet_kit::samples::SECRET,
        };
        check(&mut b, "dealer", on(code, ask), &stays);
        let reason = "x".to_owned();
        let annul = on(code, Action::Annul { reason });
        check(&mut b, "registrar", annul, "PrefixNotOurs: …");
        let mut again = b.registration(1);
        again.body = a.registration(1).body;
        again.importers_filing = true;
        let again = Command::Register {
            registration: again,
        };
        check(&mut b, "importer", again, "BodyExists: …");
        let away = offer(&b, &a, code, 2, Purpose::PermanentExport);
        check(&mut b, "customs", away, &stays);
        // Its owner stays its owner at home, and it comes back as what it was.
        assert_eq!(robot(&a, &code).stay, Stay::Resident {});
        let holder = robot(&a, &code).holder;
        bring(&mut b, &mut a, code, 3, purpose);
        a.must("customs", admit(3));
        let home = robot(&a, &code);
        assert_eq!((home.holder, home.stay), (holder, Stay::Resident {}));
        // The body stays bound where the robot was.
        let mut again = b.registration(1);
        again.body = a.registration(1).body;
        again.importers_filing = true;
        let again = Command::Register {
            registration: again,
        };
        check(&mut b, "importer", again, "BodyExists: …");
    }
}

/// Another country's word does not change who owns a robot that left for a time.
#[test]
fn an_owner_is_not_replaced_while_a_robot_is_away_for_a_time() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let owner = sha256(&[b"owner"]).into();
    a.must("maker", on(code, Action::Stock { at: None }));
    a.must("maker", on(code, Action::Sell { owner }));
    let owner = robot(&a, &code).owner;
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    lie(&mut b, &code, |r| {
        r.owner = None;
        r.stay = Stay::Resident {};
    });
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    check(&mut a, "customs", admit(2), "done");
    assert_eq!(robot(&a, &code).owner, owner);
    assert!(owner.is_some());
    // One that left for good is its importer's when it comes back for good, and nobody else's.
    export(&mut a, &mut b, 1, 3);
    assert_eq!(robot(&a, &code).stay, Stay::Left {});
    bring(&mut b, &mut a, code, 4, Purpose::RepairAndReturn);
    a.must("customs", admit(4));
    assert_ne!(robot(&a, &code).owner, owner);
    let purpose = Purpose::RepairAndReturn;
    assert_eq!(robot(&a, &code).stay, Stay::Guest { purpose });
}

#[test]
fn a_robot_is_annulled_by_its_issuer_alone() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let annul = || on(code, Action::Annul { reason: "x".into() });
    check(&mut b, "registrar", annul(), "PrefixNotOurs: …");
    check(&mut a, "registrar", annul(), "NotInCustody: …");
    let body = robot(&b, &code).identity.body;
    let Ok(holder) = b.ledger.part_holder(&body);
    let holder = holder.map(|fitting| fitting.code);
    assert_eq!(holder, Some(code));
}

/// Other parts may be fitted elsewhere while the robot is away; body and identity parts may not.
#[test]
fn other_parts_are_free_after_the_departure_and_bound_again_after_a_return() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let battery = robot(&a, &code).parts[0].identity;
    let compute = robot(&a, &code).identity_parts[0].identity;
    let holder = |country: &Country, identity| {
        let Ok(holder) = country.ledger.part_holder(&identity);
        holder.map(|fitting| fitting.code)
    };
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    assert_eq!(holder(&a, battery), None);
    assert_eq!(holder(&a, compute), Some(code));
    b.must("customs", send_back(1));
    mail(&mut b, &mut a, "done");
    assert_eq!(holder(&a, battery), Some(code));
}

fn agree(countries: [&mut Country; 2], agreement: &Agreement) {
    let bytes = agreement.to_bytes();
    let signatures = countries
        .iter()
        .flat_map(|country| country.root_signatures(&bytes))
        .collect::<Vec<_>>();
    for country in countries {
        let agreement = Signed {
            bytes: Blob(bytes.clone()),
            signatures: signatures.clone(),
        };
        assert_eq!(
            text(&country.state(&Statement::Agree { agreement })),
            "done"
        );
    }
}

pub(crate) fn suspension(of: &Country, with: &Country, number: u32, until: TimeMs) -> Statement {
    Statement::Suspend {
        peer: with.prefix,
        agreement: agreed(of.prefix, with.prefix),
        number,
        until,
        reason: "x".into(),
    }
}

#[test]
fn our_own_robot_comes_home_under_an_agreement_too() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    let home = offer(&b, &a, code, 2, Purpose::PermanentExport);
    b.must("customs", home);
    mail(&mut b, &mut a, "done");
    assert_eq!(text(&a.state(&suspension(&a, &b, 1, TimeMs::MAX))), "done");
    let permitted = permit(&a, 2, vec![]);
    check(&mut a, "customs", permitted.clone(), "NoAgreement: …");
    assert_eq!(text(&a.state(&suspension(&a, &b, 2, TimeMs(0)))), "done");
    check(&mut a, "customs", permitted, "done");
}

/// The fault: the other country went on offering what nobody there might permit, and nothing on its side said so.
#[test]
fn what_is_suspended_there_is_known_here_and_stops_new_offers_alone() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    let stands = |of: &Country, with: &Country| {
        let Ok(peer) = of.ledger.peer(&with.prefix);
        let peer = peer.expect("a peer");
        peer.standing_of(&peer.agreements[0], of.clock)
    };
    assert_eq!(text(&b.state(&suspension(&b, &a, 1, TimeMs::MAX))), "done");
    mail(&mut b, &mut a, "nothing");
    let said = stands(&a, &b);
    assert!(
        said.contains(&format!(" suspended by {} until ", b.prefix)),
        "{said}"
    );
    a.must("maker", a.register(2));
    let declare = a.declare(2, transfer(2), &b.prefix);
    check(&mut a, "customs", declare.clone(), "NoAgreement: …");
    // What it says of its own suspension binds no permit here, nor an offer made before.
    assert!(!stands(&b, &a).contains(" suspended by "), "its own");
    assert_eq!(text(&b.state(&suspension(&b, &a, 2, TimeMs(0)))), "done");
    mail(&mut b, &mut a, "nothing");
    assert!(!stands(&a, &b).contains("suspended"));
    check(&mut a, "customs", declare, "done");
    // Of a version that does not stand here nothing is kept, and an older word takes nothing back.
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let mut peer = peer.expect("a peer");
    let known = peer.suspended_there.clone();
    let older = carnet_domain::record::peer::Suspension {
        number: 1,
        until: TimeMs::MAX,
        ..known[0].clone()
    };
    peer.suspended_by_it(older.clone());
    let mut unknown = older;
    unknown.agreement.version = 9;
    peer.suspended_by_it(unknown);
    assert_eq!(peer.suspended_there, known);
}

/// What a suspension stops is new: an open transfer goes on to its end, under what it named.
#[test]
fn an_open_transfer_goes_on_whatever_is_agreed_or_suspended_since() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    // A new version that excludes everything does not end an offer made before it.
    let mut none = agreement(a.prefix, b.prefix, 2);
    none.clauses.clear();
    agree([&mut a, &mut b], &none);
    b.must("customs", permit(&b, 1, vec![]));
    mail(&mut b, &mut a, "done");
    for (country, with) in [(&mut a, prefix("49")), (&mut b, prefix("86"))] {
        for version in 1..=2 {
            let mut named = agreed(prefix("86"), prefix("49"));
            named.version = version;
            let suspend = Statement::Suspend {
                peer: with,
                agreement: named,
                number: 1,
                until: TimeMs::MAX,
                reason: "x".into(),
            };
            assert_eq!(text(&country.state(&suspend)), "done");
        }
    }
    check(&mut a, "customs", depart(1), "done");
    mail(&mut a, &mut b, "nothing; nothing; done");
    check(&mut b, "customs", admit(1), "done");
    mail(&mut b, &mut a, "nothing; nothing; done");
    // A new offer is stopped.
    a.must("maker", a.register(2));
    let next = a.declare(2, transfer(2), &b.prefix);
    check(&mut a, "maker", next, "NoAgreement: …");
}

/// An offer under a version that a newer one had replaced here already is not kept.
#[test]
fn an_offer_names_the_newest_version_when_it_comes() {
    let (mut a, mut b) = two();
    let newer = agreement(a.prefix, b.prefix, 2);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    agree([&mut a, &mut b], &newer);
    mail(&mut a, &mut b, "done");
    assert_eq!(newest_kind(&b), Kind::Nack);
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted, "TransferUnknown: …");
}

#[test]
fn every_clause_that_covers_a_robot_is_tried() {
    let (mut a, mut b) = two();
    let mut two_clauses = agreement(a.prefix, b.prefix, 2);
    let clauses = &mut two_clauses.clauses;
    let ours = clauses.iter().find(|clause| clause.recogniser == b.prefix);
    let mut repair = ours.expect("a clause").clone();
    for clause in clauses.iter_mut() {
        clause.purposes = vec![Purpose::PermanentExport];
    }
    repair.number = 9;
    repair.purposes = vec![Purpose::RepairAndReturn];
    clauses.push(repair);
    agree([&mut a, &mut b], &two_clauses);
    let under = |command| match command {
        Command::DeclareExport {
            code,
            transfer,
            to,
            purpose,
            offer_until,
            mut agreement,
            papers,
        } => {
            agreement.version = 2;
            Command::DeclareExport {
                code,
                transfer,
                to,
                purpose,
                offer_until,
                agreement,
                papers,
            }
        }
        other => other,
    };
    let code = a.code(1);
    let shown = under(offer(&a, &b, code, 1, Purpose::Exhibition));
    check(&mut a, "customs", shown, "ClauseExcludes: clause …");
    let repaired = under(offer(&a, &b, code, 1, Purpose::RepairAndReturn));
    check(&mut a, "customs", repaired, "done");
    mail(&mut a, &mut b, "done");
    let permitted = permit(&b, 1, vec![]);
    check(&mut b, "customs", permitted, "done");
    let Ok(kept) = b.ledger.transfer(&transfer(1));
    let clause = kept
        .and_then(|kept| kept.clause)
        .map(|clause| clause.number);
    assert_eq!(clause, Some(9));
}

/// Slots 10 and 12 are signed together: one that says another transfer, agreement or step than the other is nobody's offer.
#[test]
fn a_leaf_whose_event_is_not_its_links_moves_nothing() {
    type Change = fn(&mut Slots, Link);
    let changes: [Change; 4] = [
        |slots, mut link| {
            link.agreement = Some(agreed(prefix("49"), prefix("81")));
            slots.set(slot::CUSTODY, &link);
        },
        |slots, mut link| {
            link.transfer = Some(transfer(9));
            slots.set(slot::CUSTODY, &link);
        },
        |slots, _| slots.set(slot::EVENT, &depart(1)),
        |slots, _| {
            let a = Country::unborn("86");
            let other = a.declare(2, transfer(1), &prefix("49"));
            slots.set(slot::EVENT, &other);
        },
    ];
    for change in changes {
        let (mut a, mut b) = two();
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        retell(&mut a, &b, |slots| {
            let link = slots.values[usize::from(slot::CUSTODY)].as_ref();
            let link = Link::from_bytes(link.expect("shown")).expect("a link");
            change(slots, link);
        });
        a.close();
        let Ok(peer) = b.ledger.peer(&a.prefix);
        let batch = a.lying_mail(&b.prefix, peer.expect("a peer").size_seen, 0);
        assert_eq!(crate::bounds::take(&mut b, batch), "done");
        assert_eq!(newest_kind(&b), Kind::Nack);
        assert_eq!(phase(&b, 1, "86"), "unknown");
    }
}

/// Two countries with two agreements: the recall binds by whichever lets it.
#[test]
fn a_recall_binds_by_any_clause_of_any_agreement() {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    let mut other = agreement(a.prefix, b.prefix, 3);
    other.id = "OTHER".into();
    for clause in &mut other.clauses {
        clause.recall_count_max = 0;
    }
    agree([&mut a, &mut b], &other);
    a.must("maker", a.register(1));
    export(&mut a, &mut b, 1, 1);
    let severity = carnet_domain::record::Severity::StopUse;
    a.must("maker", carnet_kit::samples::recall(&a, "R-1", severity));
    mail(&mut a, &mut b, "done");
    let Ok(recall) = b.ledger.recall(&carnet_kit::samples::recall_id(&a, "R-1"));
    let status = recall.map(|recall| recall.status);
    assert_eq!(status, Some(carnet_domain::record::RecallStatus::InForce));
}

/// Two histories of one size: both signed notes are kept, and either can be checked with nothing but the log key.
#[test]
fn a_fork_is_kept_with_both_notes_and_nothing_after_it_is_read() {
    use carnet_domain::custody::foreign::Fork;
    use carnet_domain::log::checkpoint::{Origin, open};
    let (mut a, mut b) = two();
    let mut other = a.clone();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    other.must("customs", other.declare(1, transfer(2), &b.prefix));
    mail(&mut a, &mut b, "done");
    let forked = crate::border::waiting(&mut other, &b);
    let size = b.registry().tree.size();
    assert!(crate::border::offer_batch(&mut b, forked).starts_with("PeerQuarantined: "));
    let Ok(leaf) = b.ledger.leaf(size);
    let event = leaf.expect("the evidence").values[usize::from(slot::EVENT)].clone();
    let fork = Fork::from_bytes(&event.expect("what it is").0).expect("a fork");
    let origin = Origin {
        prefix: a.prefix,
        incarnation: 0,
    };
    let key = a.key("log").public();
    for (note, root) in [(&fork.seen_note, fork.seen), (&fork.shown_note, fork.shown)] {
        let checkpoint = open(note, &key, &origin).expect("a signed note");
        assert_eq!((checkpoint.size(), checkpoint.root()), (fork.size, &root));
    }
    // A recall after it waits with the rest.
    let severity = carnet_domain::record::Severity::StopUse;
    a.must("maker", carnet_kit::samples::recall(&a, "R-1", severity));
    mail(&mut a, &mut b, "PeerQuarantined: 86");
    let Ok(recall) = b.ledger.recall(&carnet_kit::samples::recall_id(&a, "R-1"));
    assert_eq!(recall, None);
}

#[test]
fn mail_under_a_bundle_that_has_expired_waits_unread() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let mut peer = peer.expect("a peer");
    let valid_to = peer.bundle.valid_to;
    let until = b.registry().log_time;
    peer.bundle.valid_to = until;
    let Ok(()) = b.ledger.put_peer(peer);
    let expired = format!("BundleExpired: the bundle of 86 was valid until {until}");
    mail(&mut a, &mut b, &expired);
    let away = b.declare(1, transfer(9), &a.prefix);
    b.must("maker", b.register(1));
    check(&mut b, "customs", away, "BundleExpired: …");
    // It was read by nobody, and is there when a newer one comes.
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let mut peer = peer.expect("a peer");
    assert_eq!((peer.cursor, peer.size_seen), (0, 0));
    peer.bundle.valid_to = valid_to;
    let Ok(()) = b.ledger.put_peer(peer);
    mail(&mut a, &mut b, "done");
}

/// What a peer has us write within a minute is bounded by kind; the rest of its mail waits for the next.
#[test]
fn the_mail_of_a_peer_pauses_at_its_limits() {
    use carnet_domain::limits::NACKS_A_MINUTE_MAX;
    let (mut a, mut b) = two();
    for number in 0..3_000_u32 {
        let code = Code::parse(&format!("3300011000020000000000000{number:04}")).expect("a code");
        let event = offer(&b, &a, code, 1, Purpose::Transit);
        let link = Link {
            step: carnet_domain::custody::Step::Offer,
            transfer: Some(transfer(1)),
            epoch: 1,
            from: Some(b.prefix),
            to: a.prefix,
            prev: Digest::ZERO,
            agreement: Some(agreed(a.prefix, b.prefix)),
        };
        let mut slots = Slots::new();
        slots.set(slot::CODE, &code.as_str().to_owned());
        slots.set(slot::CUSTODY, &link);
        slots.set(slot::EVENT, &event);
        let forged = Forged {
            kind: Kind::Custody.number(),
            subject: Subject::robot(&code),
            slots,
            status: 7,
        };
        b.forge(forged, &prefix("86"));
    }
    b.close();
    let take = |a: &mut Country| {
        let Ok(peer) = a.ledger.peer(&b.prefix);
        let peer = peer.expect("a peer");
        let batch = b.lying_mail(&a.prefix, peer.size_seen, peer.cursor);
        crate::bounds::take(a, batch)
    };
    let at = TimeMs((a.clock.0 / 60_000 + 1) * 60_000);
    a.advance(carnet_domain::bytes::time::DurationMs(at.0 - a.clock.0));
    // All but so many were said before.
    let left = 1_400;
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let mut peer = peer.expect("a peer");
    peer.heard.minute = at.0 / 60_000;
    peer.heard.nacks = NACKS_A_MINUTE_MAX - left;
    let Ok(()) = a.ledger.put_peer(peer);
    let size = a.registry().tree.size();
    for _ in 0..3 {
        let answer = take(&mut a);
        let paused = format!("PeerPaused: 49: {NACKS_A_MINUTE_MAX} nacks in a minute");
        assert!(answer.ends_with(&paused), "{answer}");
        assert_eq!(a.registry().tree.size(), size + left);
    }
    a.advance(carnet_domain::bytes::time::DurationMs::from_secs(60));
    take(&mut a);
    assert_eq!(a.registry().tree.size(), size + 3_000, "the rest");
}

#[test]
fn offers_are_counted_while_they_are_open() {
    let open = |country: &Country, with: &Country| {
        let Ok(peer) = country.ledger.peer(&with.prefix);
        peer.expect("a peer").offers_open
    };
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    assert_eq!((open(&a, &b), open(&b, &a)), (0, 1));
    let refuse = Command::RefuseImport {
        transfer: transfer(1),
        reason: "x".into(),
    };
    b.must("customs", refuse);
    assert_eq!(open(&b, &a), 0);
    mail(&mut b, &mut a, "done");
    mail(&mut a, &mut b, "done");
    assert_eq!(open(&b, &a), 0);
    let code = a.code(1);
    bring(&mut a, &mut b, code, 2, Purpose::PermanentExport);
    assert_eq!(open(&b, &a), 0, "what is on its way waits for nobody");
    b.must("customs", admit(2));
    assert_eq!(open(&b, &a), 0);
    // At the limit an offer is refused, and what stands behind it is read all the same: what makes room is among it.
    b.deliver(&mut a);
    a.must("maker", a.register(2));
    a.must("customs", a.declare(2, transfer(3), &b.prefix));
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let mut peer = peer.expect("a peer");
    peer.offers_open = carnet_domain::limits::OFFERS_OF_PEER_MAX;
    let Ok(()) = b.ledger.put_peer(peer.clone());
    a.must("maker", a.register(3));
    let theft = Command::SetHold {
        code,
        kind: HoldKind::Theft,
        reason: "seen abroad".into(),
    };
    a.must("registrar", theft);
    mail(&mut a, &mut b, "done; done");
    let second = a.code(2);
    let Ok(record) = b.ledger.robot(&second);
    assert_eq!(record, None, "it is not asked for");
    let stolen = robot(&b, &code).holds;
    assert!(stolen.iter().any(|hold| hold.kind == HoldKind::Theft));
}

/// Without a clause in force an issuer's word about a robot that it has not is shown, and binds nothing.
#[test]
fn an_issuers_word_binds_under_a_clause_alone() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    no_clause(&mut a, &mut b);
    a.must("regulator", set(code, HoldKind::Theft));
    mail(&mut a, &mut b, "done");
    assert_eq!(newest_kind(&b), Kind::Incident);
    assert_eq!(holds(&b, &code), []);
}

/// From now on nothing is agreed between two countries: the newest version has no clause.
fn no_clause(a: &mut Country, b: &mut Country) {
    let mut none = agreement(a.prefix, b.prefix, 2);
    none.clauses.clear();
    agree([a, b], &none);
}

/// A suspension stops new offers and permits. What an issuer says of its own robots binds as before: two countries in dispute
/// still hear of thefts, orders, recalls and ends.
#[test]
fn a_suspension_unsays_no_theft_no_recall_and_no_end() {
    use carnet_domain::record::{RecallStatus, Severity};
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    export(&mut a, &mut b, 1, 1);
    a.must("maker", a.register(2));
    export(&mut a, &mut b, 2, 2);
    for at in [&mut b, &mut c] {
        let suspend = suspension(at, &a, 1, TimeMs::MAX);
        assert_eq!(text(&at.state(&suspend)), "done");
    }
    assert_eq!(text(&a.state(&suspension(&a, &b, 1, TimeMs::MAX))), "done");
    // What is new is stopped.
    a.must("maker", a.register(3));
    let next = a.declare(3, transfer(3), &b.prefix);
    check(&mut a, "maker", next, "NoAgreement: …");
    let code = a.code(1);
    a.must("regulator", set(code, HoldKind::Theft));
    mail(&mut a, &mut b, "nothing; done");
    assert_eq!(holds(&b, &code), [HoldKind::Theft]);
    // What its custodian orders needs a clause at its issuer.
    b.must("regulator", set(code, HoldKind::RegulatorStop));
    mail(&mut b, &mut a, "nothing; done");
    assert!(holds(&a, &code).contains(&HoldKind::RegulatorStop));
    let recall = carnet_kit::samples::recall(&a, "R-1", Severity::StopUse);
    a.must("maker", recall);
    mail(&mut a, &mut b, "done");
    let Ok(known) = b.ledger.recall(&carnet_kit::samples::recall_id(&a, "R-1"));
    assert_eq!(known.expect("told").status, RecallStatus::InForce);
    // Of an end in a country that it never heard of, its issuer alone tells the third one: that is its word, and shown as an end.
    crate::rules::scrap(&mut b, a.code(2));
    b.deliver(&mut a);
    a.deliver(&mut c);
    let Ok(ends) = c.ledger.ends(&Subject::robot(&a.code(2)).key());
    let ends = ends.expect("it is kept");
    assert_eq!(
        (ends.shown().map(|end| end.by), &ends.proven),
        (Some(a.prefix), &None)
    );
}

/// A third country's word about a body, under a code of its own, strands no robot between two others.
#[test]
fn another_countrys_body_does_not_stop_a_robot_at_the_border() {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut b, &mut c);
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    let mut theirs = c.registration(5);
    theirs.body = a.registration(1).body;
    theirs.importers_filing = true;
    c.must(
        "importer",
        Command::Register {
            registration: theirs,
        },
    );
    let ended = c.code(5);
    crate::rules::scrap(&mut c, ended);
    c.deliver(&mut b);
    let (mut sent, mut back) = (b.clone(), a.clone());
    check(&mut sent, "customs", send_back(1), "done");
    mail(&mut sent, &mut back, "done");
    check(&mut b, "customs", admit(1), "done");
}

/// Nothing is written of a robot whose end is proven, not even that it is not wanted.
#[test]
fn no_step_follows_an_end() {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    b.must("customs", offer(&b, &a, code, 2, Purpose::PermanentExport));
    mail(&mut b, &mut a, "done");
    let key = Subject::robot(&code).key();
    let ended = carnet_domain::record::Ended {
        code,
        state: State::Scrapped,
        by: b.prefix,
        at: b.clock,
        leaf: Digest::ZERO,
    };
    let ends = carnet_domain::record::Ends {
        proven: Some(ended),
        ..Default::default()
    };
    let Ok(()) = a.ledger.put_ends(&key, ends);
    let refuse = Command::RefuseImport {
        transfer: transfer(2),
        reason: "x".into(),
    };
    let permitted = permit(&a, 2, vec![]);
    for command in [refuse, permitted, admit(2), send_back(2)] {
        check(&mut a, "customs", command, "IdentityEnded: …");
    }
}

/// A code has one spelling in a leaf.
#[test]
fn a_second_spelling_of_a_code_is_no_code() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let code = a.code(1);
    retell(&mut a, &b, |slots| {
        slots.set(slot::CODE, &code.display_form())
    });
    a.close();
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let batch = a.lying_mail(&b.prefix, peer.expect("a peer").size_seen, 0);
    assert_eq!(crate::bounds::take(&mut b, batch), "done");
    assert_eq!(newest_kind(&b), Kind::Nack);
    assert_eq!(phase(&b, 1, "86"), "unknown");
}

/// However many statements follow, the bundle and the agreements in force are found as they were signed.
#[test]
fn what_the_roots_stated_is_found_behind_any_number_of_statements() {
    let (mut a, mut b) = two();
    let newer = agreement(a.prefix, b.prefix, 2);
    agree([&mut a, &mut b], &newer);
    for number in 1..=1_050 {
        let answer = a.state(&suspension(&a, &b, number, TimeMs(0)));
        assert_eq!(text(&answer), "done");
    }
    let bundle = b.bundle();
    let fingerprint = sha256(&[&bundle.bytes.0]);
    let renewed = Statement::Recognise {
        changes: Vec::new(),
        bundle: bundle.clone(),
        fingerprint,
    };
    assert_eq!(text(&a.state(&renewed)), "done");
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let peer = peer.expect("a peer");
    let stated = |index: u64| {
        let Ok(leaf) = a.ledger.leaf(index);
        let event = leaf.expect("a leaf").values[usize::from(slot::EVENT)].clone();
        Statement::from_bytes(&event.expect("an event").0).expect("a statement")
    };
    assert_eq!(stated(peer.bundle_leaf), renewed);
    assert_eq!(peer.agreement_leaves.len(), peer.agreements.len());
    for (agreement, index) in peer.agreements.iter().zip(&peer.agreement_leaves) {
        let Statement::Agree { agreement: signed } = stated(*index) else {
            panic!("leaf {index} states an agreement");
        };
        assert_eq!(signed.bytes.0, agreement.to_bytes());
    }
}

/// Each kind is counted for itself, up to its limit and not one more; the next minute begins anew.
#[test]
fn each_kind_of_mail_has_its_own_limit_in_a_minute() {
    use carnet_domain::limits::{
        CLAIMS_A_MINUTE_MAX, LEAVES_A_MINUTE_MAX, NACKS_A_MINUTE_MAX, OFFERS_A_MINUTE_MAX,
        REPORTS_A_MINUTE_MAX,
    };
    use carnet_domain::record::contact::Allowed;
    use carnet_domain::record::peer::Heard;
    use carnet_domain::rules::rejection::Counted;
    type Place = fn(&mut Heard) -> &mut u64;
    let kinds: [(Place, Counted, u64); 5] = [
        (|h| &mut h.offers, Counted::Offers, OFFERS_A_MINUTE_MAX),
        (|h| &mut h.holds, Counted::Holds, REPORTS_A_MINUTE_MAX),
        (|h| &mut h.nacks, Counted::Nacks, NACKS_A_MINUTE_MAX),
        (|h| &mut h.claims, Counted::Claims, CLAIMS_A_MINUTE_MAX),
        (|h| &mut h.leaves, Counted::Leaves, LEAVES_A_MINUTE_MAX),
    ];
    let (at, all) = (TimeMs(60_000 * 7 + 59_999), Allowed::default());
    for (place, what, max) in kinds {
        let (mut most, mut one) = (Heard::default(), Heard::default());
        *place(&mut most) = max;
        *place(&mut one) = 1;
        let full = Heard::default()
            .and(&most, &all, at)
            .expect("up to the limit");
        assert_eq!(full.minute, 7);
        assert_eq!(full.and(&one, &all, at), Err((what, max)));
        let next = full
            .and(&one, &all, TimeMs(at.0 + 1))
            .expect("the next minute");
        assert_eq!((*place(&mut next.clone()), next.minute), (1, 8));
        *place(&mut one) = u64::MAX;
        assert_eq!(
            full.and(&one, &all, at),
            Err((what, max)),
            "nothing overflows"
        );
    }
}

/// A registry that shows another past, other terms or another epoch than the chain known here moves nothing.
#[test]
fn a_link_that_does_not_follow_the_one_known_here_is_nacked() {
    use carnet_domain::custody::Doubt;
    use carnet_domain::rules::rejection::{Detail, Reason, Rejection};
    type Change = fn(&mut Link);
    let changes: [(Change, Option<Doubt>); 2] = [
        // Nothing that could be shown leads there.
        (|link| link.prev = sha256(&[b"another past"]), None),
        (|link| link.epoch = 4, Some(Doubt::EpochOff)),
    ];
    for (change, doubt) in changes {
        let (mut a, mut b) = two();
        export(&mut a, &mut b, 1, 1);
        let code = a.code(1);
        b.must("customs", offer(&b, &a, code, 2, Purpose::PermanentExport));
        retell(&mut b, &a, |slots| {
            let link = slots.values[usize::from(slot::CUSTODY)].as_ref();
            let mut link = Link::from_bytes(&link.expect("shown").clone()).expect("a link");
            change(&mut link);
            slots.set(slot::CUSTODY, &link);
        });
        b.close();
        let Ok(peer) = a.ledger.peer(&b.prefix);
        let peer = peer.expect("a peer");
        let batch = b.lying_mail(&a.prefix, peer.size_seen, peer.cursor);
        let index = a.registry().tree.size();
        let taken = crate::bounds::take(&mut a, batch);
        assert_eq!(phase(&a, 1, "86"), "Gone 1");
        let Some(doubt) = doubt else {
            assert!(taken.starts_with("EvidenceBroken: "), "{taken}");
            continue;
        };
        assert_eq!(taken, "done");
        let Ok(leaf) = a.ledger.leaf(index);
        let said = leaf.expect("a nack").values[usize::from(slot::EVENT)].clone();
        let said = Rejection::from_bytes(&said.expect("what it says").0);
        let expected = Rejection::new(Reason::TransferEnded, Detail::Doubtful { doubt });
        assert_eq!(said, Ok(expected));
    }
}

/// The agreement that an offer named governs the transfer to its end: a departure under another is no departure.
#[test]
fn a_departure_under_another_agreement_is_no_departure() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    retell(&mut a, &b, |slots| {
        let link = slots.values[usize::from(slot::CUSTODY)].as_ref();
        let mut link = Link::from_bytes(&link.expect("shown").clone()).expect("a link");
        link.agreement.as_mut().expect("named").version = 2;
        slots.set(slot::CUSTODY, &link);
    });
    a.close();
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let peer = peer.expect("a peer");
    let batch = a.lying_mail(&b.prefix, peer.size_seen, peer.cursor);
    assert_eq!(crate::bounds::take(&mut b, batch), "done");
    assert_eq!(newest_kind(&b), Kind::Nack);
    assert_eq!(phase(&b, 1, "86"), "Permitted 1");
}

fn recall(of: &Country, number: &str, build_to: u32) -> Command {
    let severity = carnet_domain::record::Severity::StopUse;
    let mut open = carnet_kit::samples::recall(of, number, severity);
    if let Command::OpenRecall { notice, .. } = &mut open {
        notice.predicate.build_to = build_to;
    }
    open
}

/// What an exporter says was remedied is believed of what is owed by what is known here: nobody remedies a recall before
/// it is issued, and no list of invented ones takes the place of a real one.
#[test]
fn recalls_that_an_exporter_invents_are_neither_remedied_nor_owed() {
    use carnet_domain::limits::RECALLS_OF_ROBOT_MAX;
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    a.must("maker", recall(&a, "R-1", u32::MAX));
    a.must("maker", recall(&a, "R-2", 0));
    let id = |number: &str| carnet_kit::samples::recall_id(&Country::unborn("86"), number);
    let other = |number: &str| carnet_kit::samples::recall_id(&Country::unborn("49"), number);
    let invented = |of: &dyn Fn(&str) -> carnet_domain::record::RecallId, count: usize| {
        let ids = (0..count).map(|number| of(&format!("X-{number:03}")));
        ids.collect::<Vec<_>>()
    };
    lie(&mut b, &code, |r| {
        r.remedied = invented(&id, RECALLS_OF_ROBOT_MAX - 2);
        r.remedied.extend([id("R-1"), id("R-2")]);
        r.owed = invented(&other, RECALLS_OF_ROBOT_MAX);
    });
    bring(&mut b, &mut a, code, 2, Purpose::RepairAndReturn);
    check(&mut a, "customs", admit(2), "done");
    let home = robot(&a, &code);
    // It matched the one, which was remedied; the other never asked for anything.
    assert_eq!((home.remedied, home.owed), (vec![id("R-1")], vec![]));
    a.must("maker", recall(&a, "X-000", u32::MAX));
    let away = offer(&a, &b, code, 3, Purpose::Exhibition);
    check(&mut a, "customs", away, "RecallOpen: …");
}

/// An issuer may say of its own recalls what it likes, as many as a list has; one that is known here still finds room.
#[test]
fn recalls_that_are_not_known_here_make_way() {
    use carnet_domain::limits::RECALLS_OF_ROBOT_MAX;
    let (mut a, mut b) = two();
    let code = a.code(1);
    let id = |number: &str| carnet_kit::samples::recall_id(&Country::unborn("86"), number);
    lie(&mut a, &code, |r| {
        let ids = 0..RECALLS_OF_ROBOT_MAX;
        r.owed = ids.map(|number| id(&format!("X-{number:03}"))).collect();
    });
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    a.must("maker", recall(&a, "R-1", u32::MAX));
    mail(&mut a, &mut b, "done");
    check(&mut b, "customs", admit(1), "done");
    let admitted = robot(&b, &code);
    assert_eq!(admitted.owed.len(), RECALLS_OF_ROBOT_MAX);
    assert!(admitted.owed.contains(&id("R-1")));
}

/// Once matched, always owed: another build abroad is no remedy.
#[test]
fn what_matched_a_robot_is_owed_whatever_was_changed_abroad() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    let build = robot(&a, &code).firmware.build;
    a.must("maker", recall(&a, "R-1", build));
    lie(&mut b, &code, |r| r.firmware.build += 1);
    bring(&mut b, &mut a, code, 2, Purpose::RepairAndReturn);
    check(&mut a, "customs", admit(2), "done");
    let home = robot(&a, &code);
    assert_eq!(home.firmware.build, build + 1);
    let id = carnet_kit::samples::recall_id(&a, "R-1");
    assert_eq!(home.owed, [id]);
    let away = offer(&a, &b, code, 3, Purpose::Exhibition);
    check(&mut a, "customs", away, "RecallOpen: …");
}

/// A resident comes home as what it can have become abroad: nobody there puts it in stock again, nor a retired one in
/// service.
#[test]
fn a_resident_comes_home_in_a_state_that_it_can_have_come_to() {
    let cases = [
        (State::Deployed, State::InStock, State::Deployed),
        (State::Sold, State::Manufactured, State::Sold),
        (State::Retired, State::Deployed, State::Retired),
        (State::InStock, State::Sold, State::InStock),
        (State::Development, State::Deployed, State::Development),
        (State::Sold, State::Deployed, State::Deployed),
        (State::Deployed, State::Retired, State::Retired),
    ];
    for (left, shown, home) in cases {
        let (mut a, mut b) = two();
        let code = a.code(1);
        bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
        b.must("customs", admit(1));
        b.deliver(&mut a);
        lie(&mut a, &code, |r| r.state = left);
        lie(&mut b, &code, |r| r.state = State::Sold);
        let declare = offer(&b, &a, code, 2, Purpose::RepairAndReturn);
        b.must("customs", declare);
        lie(&mut b, &code, |r| r.state = shown);
        b.deliver(&mut a);
        a.must("customs", permit(&a, 2, vec![]));
        a.deliver(&mut b);
        b.must("customs", depart(2));
        mail(&mut b, &mut a, "done");
        check(&mut a, "customs", admit(2), "done");
        assert_eq!(robot(&a, &code).state, home, "{left:?} shown as {shown:?}");
    }
}

/// What the country that is responsible on the way reports stands where the robot is sent back to.
#[test]
fn a_theft_reported_on_the_way_survives_the_return() {
    // At a first import, and on the way home; told by mail before the return, and shown by the return alone.
    for home in [false, true] {
        for told in [true, false] {
            let (mut x, mut y) = two();
            let code = x.code(1);
            if home {
                export(&mut x, &mut y, 1, 1);
                std::mem::swap(&mut x, &mut y);
            }
            bring(&mut x, &mut y, code, 2, Purpose::PermanentExport);
            check(&mut y, "customs", set(code, HoldKind::Theft), "done");
            if told {
                mail(&mut y, &mut x, "done");
                assert_eq!(holds(&x, &code), [HoldKind::Theft]);
                check(&mut y, "customs", send_back(2), "done");
                mail(&mut y, &mut x, "done");
            } else {
                check(&mut y, "customs", send_back(2), "done");
                // As if the report itself were lost.
                let Ok(peer) = x.ledger.peer(&y.prefix);
                let mut without = peer.expect("a peer");
                let skipped = without.cursor;
                let batch = {
                    y.close();
                    y.lying_mail(&x.prefix, without.size_seen, skipped + 1)
                };
                without.cursor += 1;
                let Ok(()) = x.ledger.put_peer(without);
                assert_eq!(crate::bounds::take(&mut x, batch), "done");
            }
            assert_eq!(holds(&x, &code), [HoldKind::Theft], "{home} {told}");
            let away = offer(&x, &y, code, 3, Purpose::PermanentExport);
            check(&mut x, "customs", away, "Held: Theft …");
        }
    }
}

/// What was reported there before and is lifted on the way is lifted here.
#[test]
fn a_hold_that_is_lifted_on_the_way_is_lifted_after_the_return() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    check(&mut b, "customs", set(code, HoldKind::Lost), "done");
    mail(&mut b, &mut a, "done");
    assert_eq!(holds(&a, &code), [HoldKind::Lost]);
    let lift = Command::LiftHold {
        code,
        kind: HoldKind::Lost,
        reason: "found".into(),
    };
    check(&mut b, "customs", lift, "done");
    check(&mut b, "customs", send_back(1), "done");
    mail(&mut b, &mut a, "done; done");
    assert_eq!(holds(&a, &code), []);
}

/// While a robot is admitted abroad its custodian is heard too.
#[test]
fn a_custodian_reports_a_theft_of_a_robot_that_it_did_not_issue() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    mail(&mut b, &mut a, "done");
    check(&mut b, "customs", set(code, HoldKind::Theft), "done");
    mail(&mut b, &mut a, "done");
    assert_eq!(holds(&a, &code), [HoldKind::Theft]);
}

/// What the regulator abroad stops, the country that made it hears at once, and not when the robot comes home.
#[test]
fn an_order_abroad_not_to_use_a_robot_is_told_to_its_issuer() {
    let lift = |code| Command::LiftHold {
        code,
        kind: HoldKind::RegulatorStop,
        reason: "mended".into(),
    };
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    mail(&mut b, &mut a, "done");
    let stop = set(code, HoldKind::RegulatorStop);
    check(&mut b, "regulator", stop.clone(), "done");
    mail(&mut b, &mut a, "done");
    assert_eq!(holds(&a, &code), [HoldKind::RegulatorStop]);
    let setter = &robot(&a, &code).holds[0].setter;
    assert_eq!((setter.prefix, setter.role), (b.prefix, Role::Regulator));
    // At home nobody lifts it while the robot is there; who set it does, and is heard.
    check(
        &mut a,
        "regulator",
        lift(code),
        "HoldUnknown: RegulatorStop",
    );
    assert_eq!(holds(&a, &code), [HoldKind::RegulatorStop]);
    check(&mut b, "regulator", lift(code), "done");
    mail(&mut b, &mut a, "done");
    assert_eq!(holds(&a, &code), []);
    // Of a robot of its own a country tells nobody this way.
    let own = b.register(7);
    let own_code = b.code(7);
    b.must("maker", own);
    check(
        &mut b,
        "regulator",
        set(own_code, HoldKind::RegulatorStop),
        "done",
    );
    mail(&mut b, &mut a, "");
    // Without a clause in force it is an alarm: shown, and nothing more.
    no_clause(&mut a, &mut b);
    check(&mut b, "regulator", stop, "done");
    mail(&mut b, &mut a, "done");
    assert_eq!(holds(&a, &code), []);
    let alarm = a.registry().tree.size() - 1;
    let Ok(Some(leaf)) = a.ledger.leaf(alarm) else {
        panic!("the alarm has a leaf");
    };
    let leaf = Leaf::from_bytes(&leaf.leaf.0).expect("a leaf");
    assert_eq!(leaf.kind, Kind::Incident);
}

/// Holds that an importer invents take no more room than its own are given, and none in the name of an office here.
#[test]
fn what_a_return_shows_is_bounded_and_never_ours() {
    use carnet_domain::limits::HOLDS_OF_PEER_MAX;
    use carnet_domain::record::{Hold, Setter};
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    check(&mut b, "customs", set(code, HoldKind::Review), "done");
    lie(&mut b, &code, |r| {
        let model = r.holds[0].clone();
        let by = |prefix: &str, number: u8| Hold {
            setter: Setter {
                prefix: Country::unborn(prefix).prefix,
                party: carnet_domain::record::Holder::Office {
                    name: format!("office/{number}"),
                },
                ..model.setter.clone()
            },
            ..model.clone()
        };
        r.holds = (0..10)
            .flat_map(|n| [by("86", n), by("49", n), by("33", n)])
            .collect();
    });
    check(&mut b, "customs", send_back(1), "done");
    mail(&mut b, &mut a, "done");
    let held = robot(&a, &code).holds;
    assert_eq!(held.len(), HOLDS_OF_PEER_MAX);
    assert!(held.iter().all(|hold| hold.setter.prefix == b.prefix));
}

/// An end of life that waits for its second signer is not sent back, where nobody would know of it.
#[test]
fn a_robot_whose_end_waits_is_not_sent_back() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    let end = Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: Digest::ZERO,
    };
    check(&mut b, "registrar", on(code, end), "done");
    check(&mut b, "customs", send_back(1), "Held: EndOfLifePending …");
    // Declared by mistake, at the border too, it is taken back there.
    let mistaken = Action::WithdrawEndOfLife {
        reason: "another robot".into(),
    };
    check(&mut b, "registrar", on(code, mistaken), "done");
    check(&mut b, "customs", send_back(1), "done");
}

/// What carries the identity of a robot is not its exporter's to say.
#[test]
fn identity_parts_come_home_as_they_are_known_here() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let before = robot(&a, &code).identity_parts;
    let squatted = carnet_domain::bytes::digest::sha256(&[b"the body of a robot not made yet"]);
    export(&mut a, &mut b, 1, 1);
    lie(&mut b, &code, |r| {
        let part = r.identity_parts[0].clone();
        let other = carnet_domain::record::Part {
            identity: squatted,
            ..part
        };
        r.parts.push(other.clone());
        r.identity_parts = vec![other];
    });
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    check(&mut a, "customs", admit(2), "done");
    let home = robot(&a, &code);
    assert_eq!(home.identity_parts, before);
    assert!(home.parts.iter().all(|part| part.identity != squatted));
    let Ok(holder) = a.ledger.part_holder(&squatted);
    let holder = holder.map(|fitting| fitting.code);
    assert_eq!(holder, None);
}

/// As [`bring`], and between permit and departure the body becomes another robot's at the importer.
fn bring_to(from: &mut Country, to: &mut Country, code: Code, (body, ours): (&Digest, &Fitting)) {
    let declare = offer(from, to, code, 1, Purpose::PermanentExport);
    from.must("customs", declare);
    from.deliver(to);
    to.must("customs", permit(to, 1, vec![]));
    to.deliver(from);
    let Ok(()) = to.ledger.put_part_holder(body, Some(ours));
    from.must("customs", depart(1));
    from.deliver(to);
}

/// A body that another robot here has is found out when the departure comes, and its sender is told.
#[test]
fn a_body_that_another_robot_has_is_held_at_the_border() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let body = robot(&a, &code).identity.body;
    b.must("maker", b.register(1));
    let ours = Fitting::here(b.code(1));
    bring_to(&mut a, &mut b, code, (&body, &ours));
    assert_eq!(newest_kind(&b), Kind::Nack);
    check(&mut b, "customs", admit(1), "BodyExists: …");
    check(&mut b, "customs", send_back(1), "done");
}

/// Nothing is offered of a code whose end is proven, and a record that ended is not written over.
#[test]
fn an_offer_of_what_ended_is_nacked() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let key = Subject::robot(&code).key();
    let ended = carnet_domain::record::Ended {
        code,
        state: State::Scrapped,
        by: a.prefix,
        at: a.clock,
        leaf: Digest::ZERO,
    };
    let ends = carnet_domain::record::Ends {
        proven: Some(ended),
        ..Default::default()
    };
    let Ok(()) = b.ledger.put_ends(&key, ends);
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    mail(&mut a, &mut b, "done");
    assert_eq!(newest_kind(&b), Kind::Nack);
    assert_eq!(phase(&b, 1, "86"), "unknown");
}

/// A release given before a journey would give away the robot of whoever owns it after that.
#[test]
fn a_release_does_not_outlive_a_journey() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    a.must("maker", on(code, carnet_kit::samples::stock_at_dealer(&a)));
    let owner = PartyName::Enterprise {
        id: a.enterprise("0002"),
    };
    a.must("dealer", on(code, Action::Sell { owner }));
    let release = carnet_kit::samples::release(&a, code, None, Asking::Suffices);
    a.must("owner", release);
    assert!(matches!(robot(&a, &code).pending, Pending::Released { .. }));
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    a.must("customs", admit(2));
    assert_eq!(robot(&a, &code).pending, Pending::Nothing {});
}

/// A guest is worked on by who has it here, and by nobody else: for repair that is a workshop.
#[test]
fn a_guest_is_worked_on_by_who_has_it_here() {
    for purpose in [Purpose::RepairAndReturn, Purpose::Exhibition] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        bring(&mut a, &mut b, code, 1, purpose);
        let Command::Admit {
            transfer,
            place,
            documents,
            countersignature,
            ..
        } = admit(1)
        else {
            panic!("an admission");
        };
        let admit = |id| Command::Admit {
            transfer,
            place: place.clone(),
            importer: PartyName::Enterprise { id },
            documents: documents.clone(),
            countersignature,
        };
        crate::owners::accredit(&mut b, "0006", &[Role::Declarant]);
        if purpose == Purpose::RepairAndReturn {
            let forwarder = admit(b.enterprise("0006"));
            check(&mut b, "customs", forwarder, "EnterpriseLacksRole: …");
        }
        let admit = admit(b.enterprise("0001"));
        b.must("customs", admit);
        let report = sha256(&[b"report"]);
        let repair = on(code, Action::Repair { report });
        check(&mut b, "rival", repair.clone(), "NotYours: …");
        check(&mut b, "service", repair, "done");
        // Who has it here for a time ends nothing that is another's.
        let declared = on(
            code,
            Action::DeclareEndOfLife {
                outcome: EndOfLife::Scrapped,
                certificate: sha256(&[b"certificate"]),
            },
        );
        b.must("recycler", declared);
        let confirm = on(
            code,
            Action::ConfirmEndOfLife {
                certificate: sha256(&[b"certificate"]),
            },
        );
        check(&mut b, "importer", confirm, "NotYours: …");
    }
}

/// A hold that nobody here could lift: it is not taken with an offer, and not admitted with a departure.
#[test]
fn an_end_that_waits_abroad_is_not_taken_from_there() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let mut honest = a.clone();
    honest.must("customs", a.declare(1, transfer(1), &b.prefix));
    let Ok(record) = honest.ledger.leaf(honest.registry().tree.size() - 1);
    let values = record.expect("the offer").values.into_iter();
    let mut slots = Slots::new();
    slots.values = values
        .map(|value| value.map(|value| value.0))
        .collect::<Vec<_>>()
        .try_into()
        .expect("a leaf has 16 slots");
    let told = robot(&a, &code);
    let hold = |kind| Hold {
        kind,
        setter: Setter {
            prefix: prefix("33"),
            party: Holder::Office { name: "x".into() },
            role: Role::Registrar,
        },
        reason: String::new(),
        since: TimeMs(0),
    };
    let standing = Standing {
        state: told.state,
        holds: vec![hold(HoldKind::EndOfLifePending), hold(HoldKind::Review)],
        owed: told.owed,
        remedied: told.remedied,
    };
    slots.set(slot::STATE, &standing);
    let forged = Forged {
        kind: Kind::Custody.number(),
        subject: Subject::robot(&code),
        slots,
        status: 7,
    };
    let to = b.prefix;
    a.forge(forged, &to);
    a.close();
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let peer = peer.expect("a peer");
    let batch = a.lying_mail(&to, peer.size_seen, peer.cursor);
    b.apply(carnet_domain::machine::entry::Body::Foreign { batch });
    let kinds = |robot: Robot| robot.holds.iter().map(|hold| hold.kind).collect::<Vec<_>>();
    assert_eq!(kinds(robot(&b, &code)), [HoldKind::Review]);
}

/// Two disclosures, each within the bound, would together leave our own offices no room.
#[test]
fn holds_that_stand_here_take_the_room_of_holds_that_are_shown() {
    let (a, b) = two();
    let hold = |by: &str, number: usize| Hold {
        kind: HoldKind::Review,
        setter: Setter {
            prefix: prefix(by),
            party: Holder::Office {
                name: format!("x{number}"),
            },
            role: Role::Registrar,
        },
        reason: String::new(),
        since: TimeMs(0),
    };
    let eight = |by| (0..8).map(move |number| hold(by, number));
    let (mut here, mut shown) = (robot(&a, &a.code(1)), robot(&a, &a.code(1)));
    let detained = |here: &Robot, shown: &Robot| {
        let found = carnet_domain::custody::admission::detained(b.prefix, here, shown);
        found.map(|rejection| rejection.reason.name())
    };
    shown.holds = eight("35").chain(eight("36")).collect();
    assert_eq!(detained(&here, &shown), None);
    here.holds = eight("33").chain(eight("34")).collect();
    assert_eq!(detained(&here, &shown), Some("RecordFull"));
    shown.holds.clone_from(&here.holds);
    assert_eq!(
        detained(&here, &shown),
        None,
        "shown again they are the same"
    );
}

/// Bodies as another country may name them: as parts that carry no identity, as identity parts, and one as a compute unit
/// among the other parts.
fn show(record: &mut Robot, bodies: &[Digest]) {
    use carnet_domain::record::{Part, PartType};
    let part = |kind| {
        move |identity: &Digest| Part {
            kind,
            identity: *identity,
            lot: String::new(),
        }
    };
    let third = bodies.len() / 3;
    let (batteries, rest) = bodies.split_at(third);
    let (torsos, hidden) = rest.split_at(third);
    record.parts = batteries.iter().map(part(PartType::Battery)).collect();
    record
        .parts
        .extend(hidden.iter().map(part(PartType::Compute)));
    record.identity_parts = torsos.iter().map(part(PartType::Torso)).collect();
}

fn holder(country: &Country, identity: &Digest) -> Option<Fitting> {
    let Ok(fitting) = country.ledger.part_holder(identity);
    fitting
}

/// What an exporter lists as parts of a robot keeps no maker from its own serials, and the robot of which it was
/// shown carries an alarm.
#[test]
fn a_row_that_was_shown_yields_to_the_maker() {
    for leaves_again in [false, true] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        let serials = 20..26;
        let bodies: Vec<Digest> = serials
            .clone()
            .map(|serial| b.registration(serial).body.identity())
            .collect();
        lie(&mut a, &code, |r| show(r, &bodies));
        bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
        check(&mut b, "customs", admit(1), "done");
        for body in &bodies {
            assert_eq!(holder(&b, body), Some(Fitting::shown(code)));
        }
        let body = robot(&b, &code).identity.body;
        assert_eq!(holder(&b, &body), Some(Fitting::word(code, None)));
        b.deliver(&mut a);
        if leaves_again {
            bring(&mut b, &mut a, code, 2, Purpose::Exhibition);
            a.must("customs", admit(2));
            a.deliver(&mut b);
        }
        let before = robot(&b, &code).head.expect("a leaf").seq;
        for serial in serials {
            let made = b.register(serial);
            check(&mut b, "maker", made, "done");
            let made = b.registration(serial).body.identity();
            let own = Fitting::made_by_one(b.code(serial), b.enterprise("0001"));
            assert_eq!(holder(&b, &made), Some(own));
        }
        let alarms = robot(&b, &code).head.expect("a leaf").seq - before;
        // What is not bound for ever was free after the departure.
        assert_eq!(alarms, if leaves_again { 4 } else { 6 });
        // The history of the one robot says nothing of the other: neither its code nor its parts.
        let head = robot(&b, &code).head.expect("a leaf");
        let Ok(record) = b.ledger.leaf(head.leaf_index);
        let values = record.expect("the alarm").values;
        let what = values[usize::from(slot::EVENT)].clone().expect("a value");
        let what = Yielded::from_bytes(&what.0).expect("a value of its own");
        assert_eq!(what.code, code);
        assert!(bodies.contains(&what.identity));
    }
}

/// Nor does it keep a part out of the robot into which it is fitted here.
#[test]
fn a_row_that_was_shown_yields_to_a_part_that_is_fitted() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    b.must("maker", b.register(1));
    let named = b.registration(1);
    let spare = |of: &PartName, serial: &str| PartName {
        serial: serial.into(),
        ..of.clone()
    };
    let (battery, compute) = (&named.parts[0], &named.identity_parts[0]);
    let pairs = [
        (battery.identity(), spare(battery, "NEXT")),
        (compute.identity(), spare(compute, "NEXT")),
    ];
    let mut strange = spare(battery, "STRANGE");
    strange.maker.identifier = "NOBODY".into();
    let shown = [
        pairs[0].1.identity(),
        strange.identity(),
        pairs[1].1.identity(),
    ];
    lie(&mut a, &code, |r| show(r, &shown));
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    check(&mut b, "customs", admit(1), "done");
    let before = robot(&b, &code).head.expect("a leaf").seq;
    let ours = b.code(1);
    let fit = |removed, fitted| on(ours, Action::ReplacePart { removed, fitted });
    let expected = "PartInUse: …";
    check(
        &mut b,
        "service",
        fit(battery.identity(), strange),
        expected,
    );
    for (removed, fitted) in pairs {
        let identity = fitted.identity();
        check(&mut b, "service", fit(removed, fitted), "done");
        let own = Fitting::made_by_one(ours, b.enterprise("0001"));
        assert_eq!(holder(&b, &identity), Some(own));
    }
    let alarms = robot(&b, &code).head.expect("a leaf").seq - before;
    assert_eq!(alarms, 2);
    // What is fitted here does not yield.
    b.must("maker", b.register(2));
    let taken = spare(battery, "NEXT");
    let other = b.code(2);
    let again = Action::ReplacePart {
        removed: b.registration(2).parts[0].identity(),
        fitted: taken,
    };
    check(&mut b, "service", on(other, again), expected);
}

/// And what it does not give away: who is not accredited as the maker takes nothing.
#[test]
fn a_row_that_was_shown_stands_against_everybody_but_the_maker() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let mut filed = b.registration(30);
    filed.importers_filing = true;
    filed.body.maker.identifier = "NOBODY".into();
    filed.identity_parts.clear();
    filed.parts.clear();
    let body = filed.body.identity();
    lie(&mut a, &code, |r| show(r, &[body, body, body]));
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    let filed = Command::Register {
        registration: filed,
    };
    check(&mut b, "importer", filed, "BodyExists: …");
}

/// Nor does it keep a third country's robots out.
#[test]
fn a_row_that_was_shown_yields_to_the_robot_whose_body_it_is() {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut c, &mut b);
    c.must("maker", c.register(1));
    let (code, theirs) = (a.code(1), c.code(1));
    let them = robot(&c, &theirs);
    let named = them.identities();
    assert!(named.len() >= 3, "body and identity parts");
    lie(&mut a, &code, |r| show(r, &named));
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    let before = robot(&b, &code).head.expect("a leaf").seq;
    // It comes after the other one, and both orders of permit and departure are the same.
    bring(&mut c, &mut b, theirs, 2, Purpose::Exhibition);
    assert_ne!(newest_kind(&b), Kind::Nack, "it is not held at the border");
    check(&mut b, "customs", admit(2), "done");
    let body = them.identity.body;
    assert_eq!(holder(&b, &body), Some(Fitting::word(theirs, None)));
    let alarms = robot(&b, &code).head.expect("a leaf").seq - before;
    assert_eq!(alarms, 1);
    // A body that is bound here does not yield.
    let mut d = Country::with_market("33");
    befriend(&mut d, &mut b);
    d.must("maker", d.register(1));
    let code = d.code(1);
    lie(&mut d, &code, |r| r.identity.body = body);
    d.must("customs", offer(&d, &b, code, 3, Purpose::Exhibition));
    d.deliver(&mut b);
    let asked = permit(&b, 3, vec![]);
    check(&mut b, "customs", asked, "BodyExists: …");
}

/// The end of a robot ends what is bound to it here, and of what was shown with it nothing for good.
#[test]
fn the_end_of_a_robot_ends_no_body_that_was_only_shown_with_it() {
    for admitted in [false, true] {
        let (mut a, mut b) = two();
        let mut c = Country::with_market("81");
        befriend(&mut c, &mut b);
        c.must("maker", c.register(1));
        let (code, theirs) = (a.code(1), c.code(1));
        let future = b.registration(40).body.identity();
        let body = robot(&c, &theirs).identity.body;
        lie(&mut a, &code, |r| show(r, &[future, body, d40(&b)]));
        bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
        if admitted {
            b.must("customs", admit(1));
        }
        let end = Action::DeclareEndOfLife {
            outcome: EndOfLife::Scrapped,
            certificate: Digest::ZERO,
        };
        b.must("recycler", on(code, end));
        b.must(
            "registrar",
            on(
                code,
                Action::ConfirmEndOfLife {
                    certificate: Digest::ZERO,
                },
            ),
        );
        let proven = |b: &Country, identity: &Digest| {
            let Ok(ends) = b.ledger.ends(identity);
            ends.is_some_and(|ends| ends.proven.is_some())
        };
        assert!(proven(&b, &Subject::robot(&code).key()));
        let its_body = robot(&b, &code).identity.body;
        let Ok(ends) = b.ledger.ends(&its_body);
        let ended = ends.is_some_and(|ends| ends.shown().is_some());
        assert_eq!(ended, admitted, "bound at the admission");
        for shown in [future, body, d40(&b)] {
            assert!(!proven(&b, &shown));
        }
        let made = b.register(40);
        check(&mut b, "maker", made, "done");
        bring(&mut c, &mut b, theirs, 2, Purpose::Exhibition);
        check(&mut b, "customs", admit(2), "done");
    }
}

/// A second body of the maker of `b`.
fn d40(b: &Country) -> Digest {
    b.registration(41).body.identity()
}

/// By the issuer's word from abroad.
#[test]
fn an_issuer_ends_no_body_that_it_only_showed() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let future = b.registration(40).body.identity();
    lie(&mut a, &code, |r| show(r, &[future, d40(&b), d40(&b)]));
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    bring(&mut b, &mut a, code, 2, Purpose::Exhibition);
    a.must("customs", admit(2));
    a.deliver(&mut b);
    let end = Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate: Digest::ZERO,
    };
    a.must("recycler", on(code, end));
    a.must(
        "registrar",
        on(
            code,
            Action::ConfirmEndOfLife {
                certificate: Digest::ZERO,
            },
        ),
    );
    lie(&mut a, &code, |r| show(r, &[future, d40(&b), future]));
    mail(&mut a, &mut b, "done");
    assert_eq!(robot(&b, &code).state, State::Scrapped);
    let made = b.register(40);
    check(&mut b, "maker", made, "done");
    let made = b.register(41);
    check(&mut b, "maker", made, "done");
}

/// What held a robot at the border when it departed holds it no longer once it is gone.
#[test]
fn a_detention_ends_with_its_cause() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let body = robot(&a, &code).identity.body;
    b.must("maker", b.register(1));
    let ours = Fitting::here(b.code(1));
    bring_to(&mut a, &mut b, code, (&body, &ours));
    check(&mut b, "customs", admit(1), "BodyExists: …");
    let Ok(()) = b.ledger.put_part_holder(&body, None);
    check(&mut b, "customs", admit(1), "done");
}

#[test]
fn who_used_a_robot_abroad_is_kept_of_a_guest_and_of_none_that_came_for_good() {
    let (a, b) = two();
    let disclosed = Robot {
        operator: robot(&a, &a.code(1)).holder,
        scenario: "warehouse".to_owned(),
        ..robot(&a, &a.code(1))
    };
    let importer = disclosed.holder.clone().expect("the maker holds it");
    for purpose in Purpose::ALL.iter().copied() {
        let passage = Passage {
            me: b.prefix,
            from: a.prefix,
            purpose,
            importer: &importer,
            trades: true,
            recalls: &[],
        };
        let here = Robot {
            stay: Stay::Asked {},
            ..robot(&a, &a.code(1))
        };
        let robot = admitted(passage, here, disclosed.clone());
        let kept = (robot.operator.is_some(), robot.scenario.as_str());
        let expected = match purpose {
            Purpose::PermanentExport => (false, ""),
            _ => (true, "warehouse"),
        };
        assert_eq!(kept, expected, "{purpose:?}");
    }
}

/// Who chose the desk of one owner chose nothing for the next: when a robot comes home for good, nobody asks who that was.
#[test]
fn a_chosen_desk_is_of_one_owner_alone() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, 1, 1);
    let chosen = Actor {
        key: a.key("registrar").public().key_id(),
        holder: a.office("registrar/hq"),
        person: "registrar".into(),
    };
    lie(&mut a, &code, |r| r.desk_set_by = Some(chosen));
    bring(&mut b, &mut a, code, 2, Purpose::PermanentExport);
    check(&mut a, "customs", admit(2), "done");
    let home = robot(&a, &code);
    assert_eq!((home.stay, home.desk_set_by), (Stay::Resident {}, None));
}

/// Level and class bind as the issuer's registry says: nobody's word on the way counts, and its own is known at home.
#[test]
fn the_issuers_word_alone_changes_what_a_robot_is_approved_as() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let of = |level, safety_class| Robot {
        level,
        safety_class,
        ..robot(&a, &a.code(1))
    };
    let (here, shown) = (of(1, 1), of(5, 4));
    for (me, from, expected) in [
        ("86", "49", (1, 1)),
        ("49", "86", (5, 4)),
        ("49", "81", (1, 1)),
    ] {
        let found = approved(prefix(me), prefix(from), &here, &shown);
        assert_eq!(found, expected, "{me} from {from}");
    }
}
