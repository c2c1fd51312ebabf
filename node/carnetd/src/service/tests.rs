//! Lists in pages, against a node with a log.

use std::sync::Arc;

use bytes::Bytes;
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{COMMAND_BYTES_MAX, PROPOSAL_TIME};
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Slots, Subject, SubjectType};
use carnet_domain::log::stored::ShownLeaf;
use carnet_domain::machine::Question;
use carnet_domain::machine::entry::{Answer, Body, ItemAnswer, Request};
use carnet_domain::record::denied::Bearer;
use carnet_domain::record::event::{Standing, slot};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::past::Fate;
use carnet_domain::record::transfer::Stage;
use carnet_domain::record::{Enterprise, EnterpriseStatus, Model, PartyName, Recall, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::policy::{Query, Role};
use carnet_domain::rules::rejection::Reason;
use carnet_kit::forge::Forged;
use carnet_kit::{Country, befriend, samples, transfer};
use carnet_store::engine::KvEngine;
use carnet_store::records::Records;
use carnet_trust::evidence::{self, HeadOrder, LogHead};
use carnet_trust::identity::Plane;
use carnet_trust::known::KnownRobot;
use carnet_wire::status::ApiError;

use super::bulk::Bulk;
use super::cursor::Place;
use super::movements::MovementsQuery;
use super::query::{Beginning, Freshness, Provable, RecordName, RecordsQuery};
use super::records::{Reading, Record};
use super::registry::{Covering, Patience};
use super::{Caller, RegistryService};
use crate::audit::Chain;
use crate::house::House;
use crate::share::readers::Meter;

/// 86 with two makers, seven robots, three of them on their way to 44, and two recalls.
fn world() -> Country {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    for serial in 1..=7 {
        let register = a.register(serial);
        a.must("maker", register);
    }
    for serial in 1..=3 {
        let declare = a.declare(serial, transfer(serial as u8), &b.prefix);
        a.must("maker", declare);
    }
    // 4 stands at the dealer, and 5 was sold by it to the owner of 0003.
    for serial in [4, 5] {
        let stock = act(&a, serial, samples::stock_at_dealer(&a));
        a.must("maker", stock);
    }
    let owner = PartyName::Enterprise {
        id: a.enterprise("0003"),
    };
    let sell = act(&a, 5, Action::Sell { owner });
    a.must("dealer", sell);
    for number in ["R1", "R2"] {
        let recall = samples::recall(&a, number, Severity::Advisory);
        a.must("maker", recall);
    }
    a.must("registrar", a.approval("0003", "100009"));
    // What 44 says by leaves of a kind that nobody knows waits.
    for _ in 0..3 {
        let forged = Forged {
            kind: 28,
            subject: Subject::jurisdiction(&b.prefix),
            slots: Slots::new(),
            status: 1,
        };
        b.forge(forged, &a.prefix);
    }
    b.close();
    let Ok(known) = a.ledger.peer(&b.prefix);
    let known = known.expect("a peer");
    let batch = b.lying_mail(&a.prefix, known.size_seen, known.cursor);
    a.apply(Body::Foreign { batch });
    a.close();
    a
}

fn act(country: &Country, serial: u32, action: Action) -> Command {
    Command::Act {
        code: country.code(serial),
        expected_sequence: None,
        action,
    }
}

/// Who has a robot reads its history: of what happened while it was theirs what happened, of the rest where it stood. Of others'
/// robots nothing; and a refusal says for whom it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_robot_reads_its_history_as_far_as_it_was_theirs() {
    let country = world();
    let house = House::of(&country).await;
    let service = &house.registry;
    let told = async |role, unit: &str, serial| {
        let caller = Caller::from(house.client(role, unit, Plane::Client));
        let found = service
            .history(&caller, &country.code(serial), 0, 100)
            .await;
        let leaves = found.map_err(|error| error.to_string())?.value.leaves;
        let event = |shown: ShownLeaf| {
            let opened = shown.open().expect("a leaf");
            let event: Option<Command> = opened.slots().get(slot::EVENT).ok().flatten();
            let state: Option<Standing> = opened.slots().get(slot::STATE).ok().flatten();
            assert!(state.is_some(), "where it stands is shown to all of them");
            event.is_some()
        };
        Ok::<Vec<bool>, String>(leaves.into_iter().map(event).collect())
    };
    let maker = told(Role::Manufacturer, "0001", 5).await;
    assert_eq!(maker, Ok(vec![true, true, true]));
    assert_eq!(told(Role::Dealer, "0002", 4).await, Ok(vec![false, true]));
    assert_eq!(
        told(Role::Owner, "0003", 5).await,
        Ok(vec![false, false, true])
    );
    let strangers = told(Role::Dealer, "0002", 5).await.expect_err("sold");
    assert!(strangers.contains("is not of 860002"), "{strangers}");
    let role = told(Role::ForeignRegulator, "abroad", 5).await;
    let role = role.expect_err("not its role");
    assert!(
        role.contains(
            "foreign-regulator may not read the history of robots; that is for registrar, "
        ),
        "{role}"
    );
    house.close().await;
}

/// Once, nobody could say who had looked a robot up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_read_everybody_s_is_noted_first_and_reads_nothing_if_that_fails() {
    let country = world();
    let house = House::of(&country).await;
    let service = &house.registry;
    let code = country.code(5);
    let caller = |role, unit: &str| Caller::from(house.client(role, unit, Plane::Client));
    let customs = caller(Role::Customs, "port");
    let maker = caller(Role::Manufacturer, "0001");
    let noted = async || {
        let page = house.node.audit.page(Chain::Reads, 0, 99).await;
        page.expect("read").lines
    };
    service.history(&maker, &code, 0, 9).await.expect("its own");
    service
        .verify(&customs, &code, "operation")
        .await
        .expect("public");
    assert_eq!(noted().await, Vec::<String>::new());
    service.history(&customs, &code, 0, 9).await.expect("read");
    let page = service.records(&customs, RecordsQuery::Peers, "", 9).await;
    page.expect("public");
    let robots = RecordsQuery::robots("8600").expect("a filter");
    service
        .records(&customs, robots, "", 9)
        .await
        .expect("read");
    let robot = RecordName::Robot(code);
    let got = service.record(&customs, &robot, Freshness::AsKnown).await;
    got.expect("read");
    let denied = service
        .history(&caller(Role::ForeignRegulator, "abroad"), &code, 0, 9)
        .await;
    denied.expect_err("not its role");
    let lines = noted().await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    let about = [code.to_string(), "robots 8600".to_owned(), code.to_string()];
    for (line, about) in lines.iter().zip(about) {
        assert!(line.contains(&about), "{about}: {line}");
        assert!(line.contains("carnet://86/customs/port/desk"), "{line}");
    }
    let admin = Caller::from(house.client(Role::Admin, "hq", Plane::Admin));
    house.cluster().take_snapshot(&admin).await.expect("taken");
    let acts = house.node.audit.page(Chain::Acts, 0, 99).await;
    let acts = acts.expect("read").lines;
    assert!(acts[0].contains("\"kind\":\"act\""), "{acts:?}");
    assert!(acts[1].contains("\"kind\":\"outcome\""), "{acts:?}");
    assert!(acts[1].contains("\"what\":\"done\""), "{acts:?}");
    let refused = house.cluster().transfer_leadership(&admin, 9).await;
    let refused = refused.expect_err("no voter").to_string();
    let acts = house.node.audit.page(Chain::Acts, 2, 99).await;
    let acts = acts.expect("read").lines;
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert!(acts[1].contains("refused: "), "{refused}: {acts:?}");
    assert_eq!(noted().await.len(), 3);

    // The file of the chain is gone, and something lies in its way.
    let folder = house.node.config.node.data_dir.join("audit");
    std::fs::remove_dir_all(&folder).expect("removed");
    std::fs::write(&folder, "in the way").expect("written");
    house.node.audit.look_again();
    let refused = service
        .history(&customs, &code, 0, 9)
        .await
        .expect_err("not noted");
    assert!(refused.to_string().contains("audit"), "{refused}");
    let refused = service.record(&customs, &robot, Freshness::AsKnown).await;
    assert_eq!(refused.expect_err("not noted").reason(), "UNAVAILABLE");
    // A change goes on: it may be what makes room on the disk.
    house.cluster().take_snapshot(&admin).await.expect("taken");
    // What is nobody else's, or public, is read all the same.
    service.history(&maker, &code, 0, 9).await.expect("its own");
    service
        .verify(&customs, &code, "operation")
        .await
        .expect("public");
    house.close().await;
}

/// Of a robot that was asked for here and refused no record is left, and yet a verdict says what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_here_is_known_to_have_been_asked_for() {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    a.must("maker", a.register(1));
    let declare = a.declare(1, transfer(1), &b.prefix);
    a.must("maker", declare);
    a.deliver(&mut b);
    let refuse = Command::RefuseImport {
        transfer: transfer(1),
        reason: "papers forged".into(),
    };
    b.must("customs", refuse);
    b.deliver(&mut a);
    a.deliver(&mut b);
    b.close();
    let code = a.code(1);
    let Ok(record) = b.ledger.robot(&code);
    assert!(record.is_none(), "it was never here");
    let house = House::of(&b).await;
    let view = house.node.state.engine().view().expect("a view");
    let found = crate::verify::refused_of(&Records(view.as_ref()), &code).expect("read");
    let row = KnownRobot::asked_for(&found.expect("it was asked for"));
    let words = row.transfer.as_ref().expect("a transfer").words(b.clock);
    assert!(words.contains("from 86 to 44 was"), "{words}");
    assert!(!row.tells_something(), "it speaks against nothing");
    drop(view);
    house.close().await;
}

/// Whoever goes on for a maker that is over lists what that one made, as it could.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_succeeds_a_maker_lists_what_it_made() {
    let mut country = world();
    let (id, successor) = (country.enterprise("0001"), country.enterprise("0003"));
    let reason = "bankrupt".to_owned();
    let succeed = Command::SucceedEnterprise {
        id,
        successor,
        reason: reason.clone(),
    };
    country.must("registrar", succeed);
    let status = EnterpriseStatus::StruckOff;
    let before = House::of(&country).await;
    let end = Command::SetEnterpriseStatus { id, status, reason };
    country.must("registrar", end);
    let after = House::of(&country).await;
    let query = || RecordsQuery::robots("860001100002").expect("a filter");
    for (house, expected) in [(before, 1), (after, 7)] {
        let rival = Caller::from(house.client(Role::Manufacturer, "0003", Plane::Client));
        let found = walk(&house.registry, &rival, &query(), 3).await;
        assert_eq!(found.expect("listed").0.len(), expected);
        house.close().await;
    }
}

/// The list leaves out what may be large, and is for those whom it concerns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_listed_without_its_bytes() {
    let house = House::of(&world()).await;
    let service = &house.registry;
    for (role, unit) in [
        (Role::Registrar, "hq"),
        (Role::Regulator, "market"),
        (Role::Auditor, "audit"),
        (Role::Admin, "hq"),
    ] {
        let caller = Caller::from(house.client(role, unit, Plane::Client));
        let query = RecordsQuery::parked("").expect("a filter");
        let page = service.records(&caller, query, "", 10).await;
        let page = page.expect("a page").value;
        assert_eq!(page.records.len(), 3, "{role:?}");
        for record in page.records {
            let Record::Parked(record) = record else {
                panic!("{record:?} is no item that waits")
            };
            assert_eq!(record.bytes, None);
            assert!(record.length > 0);
        }
    }
    for (role, unit) in [(Role::Customs, "port"), (Role::Manufacturer, "0001")] {
        let caller = Caller::from(house.client(role, unit, Plane::Client));
        let query = RecordsQuery::parked("").expect("a filter");
        let refused = service.records(&caller, query, "", 10).await;
        let refused = refused.expect_err("not theirs").reason();
        assert_eq!(refused, "PERMISSION_DENIED", "{role:?}");
    }
    house.close().await;
}

fn name(record: &Record) -> String {
    match record {
        Record::Robot(robot) => robot.identity.code.to_string(),
        Record::Enterprise(record) => record.id.to_string(),
        Record::Model(record) => record.id.to_string(),
        Record::Recall(record) => record.notice.id.to_string(),
        Record::Transfer(record) => hex::encode(record.id.0),
        Record::Peer(record) => record.bundle.name.clone(),
        Record::Parked(record) => format!("{}/{:015}", record.peer, record.item),
        Record::Proposal(record) => record.number.to_string(),
        Record::Registry(_) | Record::DenyList(_) | Record::Signed(_) => {
            unreachable!("there is no list of these")
        }
    }
}

/// The names on all pages, and how many pages there were.
async fn walk(
    service: &RegistryService,
    caller: &Caller,
    query: &RecordsQuery,
    size: usize,
) -> Result<(Vec<String>, usize), ApiError> {
    let (mut names, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = service
            .records(caller, query.clone(), &token, size)
            .await?
            .value;
        assert!(page.records.len() <= size, "a page of at most {size}");
        pages += 1;
        names.extend(page.records.iter().map(name));
        if page.next.is_empty() {
            return Ok((names, pages));
        }
        assert_ne!(page.next, token, "it goes on");
        token = page.next;
    }
}

fn queries() -> Vec<(RecordsQuery, usize)> {
    let robots = |filter| RecordsQuery::robots(filter).expect("a filter");
    vec![
        (robots(""), 7),
        (robots("8"), 7),
        (robots("86"), 7),
        (robots("860001100002"), 7),
        (robots("860003"), 0),
        (RecordsQuery::enterprises("").expect("a filter"), 3),
        (RecordsQuery::models("").expect("a filter"), 2),
        (RecordsQuery::models("860003").expect("a filter"), 1),
        (RecordsQuery::recalls("").expect("a filter"), 2),
        (RecordsQuery::recalls("860001100002").expect("a filter"), 2),
        (RecordsQuery::transfers("").expect("a filter"), 3),
        (RecordsQuery::transfers("860001").expect("a filter"), 3),
        (RecordsQuery::transfers("860003").expect("a filter"), 0),
        (RecordsQuery::peers("").expect("a filter"), 1),
        (RecordsQuery::parked("").expect("a filter"), 3),
        (RecordsQuery::parked("44").expect("a filter"), 3),
        (RecordsQuery::parked("81").expect("a filter"), 0),
    ]
}

/// However large records are, whoever may see them comes to the end: a page has at least one of those it looks at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_any_bytes_show_everything_once_and_look_through_no_more() {
    let country = world();
    let house = House::of(&country).await;
    let registrar = Caller::from(house.client(Role::Registrar, "hq", Plane::Client));
    let meter = Meter::default();
    let metered = meter.over(house.node.state.engine());
    let reading = |page_bytes_max| Reading {
        records: Records(&metered),
        here: country.prefix,
        place: Place {
            cluster: house.node.cluster,
            incarnation: 0,
        },
        caller: &registrar,
        page_bytes_max,
    };
    for (query, count) in queries() {
        let permitted = registrar.may(query.query()).expect("permitted");
        for bytes in [1, 1_500] {
            let (mut names, mut token, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let before = meter.bytes();
                let page = reading(bytes).page(query.clone(), &token, 1_000, permitted);
                let page = page.expect("a page");
                let fit: usize = page.records.iter().map(|one| one.to_bytes().len()).sum();
                assert!(page.records.len() <= 1 || fit <= bytes, "{query:?}: {fit}");
                let read = meter.bytes() - before;
                assert!(read < 64 << 10, "{query:?}: {read} bytes read");
                names.extend(page.records.iter().map(name));
                pages += 1;
                if page.next.is_empty() {
                    break;
                }
                token = page.next;
            }
            names.dedup();
            assert_eq!(names.len(), count, "{query:?} by {bytes} bytes");
            assert!(bytes > 1 || pages >= count, "{query:?}: {pages} pages");
        }
    }
    let code = country.code(1);
    let (mut seen, mut from) = (Vec::new(), Some(0));
    while let Some(next) = from {
        let all = registrar.may(Query::History).expect("an authority");
        let part = reading(1).history(&code, next, 1_000, all);
        let part = part.expect("a part");
        assert_eq!(part.leaves.len(), 1);
        seen.extend(part.leaves);
        from = part.next;
    }
    let whole = house.registry.history(&registrar, &code, 0, 1_000).await;
    let whole = whole.expect("a history").value;
    assert_eq!((&seen, None), (&whole.leaves, whole.next));
    assert!(1 < seen.len());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_any_size_show_everything_once_and_say_when_more_follows() {
    let country = world();
    let house = House::of(&country).await;
    let service = &house.registry;
    let caller = |role, unit| Caller::from(house.client(role, unit, Plane::Client));
    let registrar = caller(Role::Registrar, "hq");
    for (query, count) in queries() {
        let (all, pages) = walk(service, &registrar, &query, 1_000)
            .await
            .expect("listed");
        assert_eq!((all.len(), pages), (count, 1), "{query:?}: {all:?}");
        let mut sorted = all.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(all, sorted, "{query:?}: each once, by name");
        for size in 1..=4 {
            let (found, pages) = walk(service, &registrar, &query, size)
                .await
                .expect("listed");
            assert_eq!(found, all, "{query:?} by {size}");
            assert_eq!(
                pages,
                all.len().div_ceil(size).max(1),
                "{query:?} by {size}"
            );
        }
    }

    // One's own alone, whatever is asked for: what one made, has, owns or operates.
    let rival = caller(Role::Manufacturer, "0003");
    let maker = caller(Role::Manufacturer, "0001");
    let dealer = caller(Role::Dealer, "0002");
    let buyer = caller(Role::Owner, "0003");
    let foreign = caller(Role::ForeignRegulator, "abroad");
    let robots = |filter| RecordsQuery::robots(filter).expect("a filter");
    let transfers = |filter| RecordsQuery::transfers(filter).expect("a filter");
    for (caller, query, expected) in [
        (&rival, robots(""), Ok(0)),
        (&rival, robots("860001"), Ok(1)),
        (&rival, robots("86"), Ok(1)),
        (&rival, robots("860001100001"), Ok(0)),
        (&rival, transfers(""), Ok(0)),
        (&rival, transfers("860001"), Ok(0)),
        (&maker, robots(""), Ok(7)),
        (&maker, robots("860001100002"), Ok(7)),
        (&maker, robots("860003"), Ok(0)),
        (&maker, transfers(""), Ok(3)),
        (&buyer, robots(""), Ok(1)),
        (&dealer, robots(""), Ok(1)),
        (&dealer, robots("860001"), Ok(1)),
        (&dealer, transfers(""), Ok(0)),
        (&foreign, robots(""), Err("PERMISSION_DENIED")),
        (&foreign, transfers(""), Err("PERMISSION_DENIED")),
    ] {
        let found = walk(service, caller, &query, 2).await;
        let found = found.map(|(names, _)| names.len());
        let found = found.map_err(|error| error.reason());
        assert_eq!(found, expected, "{} {query:?}", caller.name());
    }

    // A token goes on with its own query and no other, whoever shows it.
    let first = service.records(&registrar, robots(""), "", 2).await;
    let token = first.expect("listed").value.next;
    let elsewhere = [
        (&registrar, robots("86"), token.as_str()),
        (&registrar, transfers(""), token.as_str()),
        (&maker, robots(""), token.as_str()),
        (&registrar, robots(""), "00"),
        (&registrar, robots(""), &token[..token.len() - 2]),
    ];
    for (caller, query, token) in elsewhere {
        let refused = service.records(caller, query, token, 2).await;
        let refused = refused.expect_err("of another query");
        assert!(refused.to_string().starts_with("page_token: "), "{refused}");
    }
    // A name that was put in by hand begins there, and shows what its caller may list anyway.
    let forged = super::cursor::Place {
        cluster: country.genesis().cluster,
        incarnation: 0,
    };
    let after: Code = country.code(5);
    let forged = forged.token(&robots(""), after.as_str());
    let page = service.records(&registrar, robots(""), &forged, 9).await;
    assert_eq!(page.expect("listed").value.records.len(), 2);
    house.close().await;
}

/// What is malformed takes no place in the log, and nothing of the request that it came in does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_command_is_not_proposed() {
    let mut country = Country::with_market("86");
    let register = country.register(1);
    country.must("maker", register);
    let subject = "carnet://86/manufacturer/0001/desk";
    let opening = country.opening_under(subject, "maker", [9; 16]);
    let session = country.apply(opening).session.expect("opened");
    let house = House::of(&country).await;
    let maker = Caller::from(house.client(Role::Manufacturer, "0001", Plane::Client));
    let before = house.node.raft.status().last;
    let fine = country.register(2).to_bytes();
    let other_kind = Command::Reserve {
        code: country.code(3),
    };
    let cases = [
        (vec![fine.clone(), Vec::new()], "request.items[1]"),
        (vec![fine[..fine.len() - 1].to_vec()], "request.items[0]"),
        (vec![[&fine[..], &[0]].concat()], "request.items[0]"),
        (
            vec![fine.clone(), other_kind.to_bytes()],
            "request.items[1]",
        ),
        (vec![vec![0; COMMAND_BYTES_MAX + 1]], "request.items[0]"),
    ];
    let kind = country.register(2).kind().number() as u16;
    for (sequence, (items, field)) in (1..).zip(cases) {
        let items: Vec<Blob> = items.into_iter().map(Blob).collect();
        let header = SignedHeader {
            session,
            sequence,
            kind,
            item_count: items.len() as u32,
            part_items: items.len() as u32,
            item_root: item_root(items.iter().map(|item| item.0.as_slice())),
            ..country.header("maker", &[])
        };
        let signature = country.key("maker").sign(&header.signing_bytes());
        let request = Request {
            header: Blob(header.to_bytes()),
            signature,
            first_item: 0,
            items: items.clone(),
            range_proof: Vec::new(),
        };
        let refused = house
            .registry
            .submit(&maker, request, Patience::Committed)
            .await;
        let refused = refused.expect_err("malformed");
        assert!(refused.to_string().starts_with(field), "{refused}");
        let node = Arc::clone(&house.node);
        let header = Bytes::from(header.to_bytes());
        let mut bulk = Bulk::begin(node, &maker, header, signature)
            .await
            .expect("signed");
        let items: Vec<Bytes> = items.into_iter().map(|item| item.0.into()).collect();
        bulk.take(&items).expect("as many as the header says");
        let refused = bulk.whole().err().expect("malformed");
        assert!(refused.to_string().starts_with(field), "{refused}");
    }
    assert_eq!(
        house.node.raft.status().last,
        before,
        "nothing was proposed"
    );

    // The same session and number, and a command: it is taken.
    let items = vec![Blob(fine)];
    let header = SignedHeader {
        session,
        sequence: 1,
        kind,
        item_count: 1,
        part_items: 1,
        item_root: item_root(items.iter().map(|item| item.0.as_slice())),
        ..country.header("maker", &[])
    };
    let request = Request {
        header: Blob(header.to_bytes()),
        signature: country.key("maker").sign(&header.signing_bytes()),
        first_item: 0,
        items,
        range_proof: Vec::new(),
    };
    let done = house
        .registry
        .submit(&maker, request, Patience::Committed)
        .await;
    let answer = Answer::from_bytes(&done.expect("proposed").value.answer).expect("an answer");
    assert!(
        matches!(answer.items[..], [ItemAnswer::Done { .. }]),
        "{answer:?}"
    );
    house.close().await;
}

/// The next request of somebody in a session that was opened under another certificate than the kit's.
fn signed(
    country: &mut Country,
    who: &str,
    (session, sequence): (u64, u64),
    command: &Command,
) -> Request {
    let items = vec![Blob(command.to_bytes())];
    let header = SignedHeader {
        session,
        sequence,
        kind: command.kind().number() as u16,
        item_count: 1,
        part_items: 1,
        item_root: item_root(items.iter().map(|item| item.0.as_slice())),
        ..country.header(who, &[])
    };
    Request {
        header: Blob(header.to_bytes()),
        signature: country.key(who).sign(&header.signing_bytes()),
        first_item: 0,
        items,
        range_proof: Vec::new(),
    }
}

/// What an enterprise that may not act sends takes no place in the log, but what it still must do; nor does anything by a key
/// that has ended. What was answered before is told again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_act_is_not_proposed() {
    for struck in [false, true] {
        let mut country = Country::with_market("86");
        let subject = "carnet://86/manufacturer/0001/desk";
        let opening = country.opening_under(subject, "maker", [9; 16]);
        let session = country.apply(opening).session.expect("opened");
        // Answered while it might act.
        let register = country.register(1);
        let before = signed(&mut country, "maker", (session, 1), &register);
        let first = country.ask(before.clone());
        assert!(matches!(first.items[..], [ItemAnswer::Done { .. }]));
        let ends = match struck {
            true => Command::SetEnterpriseStatus {
                id: country.enterprise("0001"),
                status: EnterpriseStatus::StruckOff,
                reason: "why".into(),
            },
            false => Command::RetireSigner {
                public: country.key("maker").public(),
                compromised_after: None,
                reason: "why".into(),
            },
        };
        country.must("registrar", ends);
        let register = country.register(2);
        let fresh = signed(&mut country, "maker", (session, 2), &register);
        let recall = samples::recall(&country, "R-1", Severity::Advisory);
        let duty = signed(&mut country, "maker", (session, 3), &recall);
        let opening = country.opening_under(subject, "maker", [8; 16]);
        let house = House::of(&country).await;
        let maker = Caller::from(house.client(Role::Manufacturer, "0001", Plane::Client));
        let last = || house.node.raft.status().last;
        let submit = |request: &Request| {
            let request = request.clone();
            house.registry.submit(&maker, request, Patience::Committed)
        };
        let answered = |done: super::At<super::registry::Submitted>| {
            Answer::from_bytes(&done.value.answer).expect("an answer")
        };
        let expected = match struck {
            true => Reason::ActorNotInStanding,
            false => Reason::SignerNotActive,
        };
        let is_refused = |refused: &ApiError| matches!(refused, ApiError::Rejected { number, .. } if *number == expected.number());
        let size = last();
        let refused = submit(&fresh).await.map(answered);
        let refused = refused.expect_err("it may not act");
        assert!(is_refused(&refused), "{refused}");
        let node = Arc::clone(&house.node);
        let header = Bytes::from(fresh.header.0.clone());
        let bulk = Bulk::begin(node, &maker, header, fresh.signature).await;
        let refused = bulk.err().expect("it may not act");
        assert!(is_refused(&refused), "{refused}");
        assert_eq!(last(), size, "nothing was proposed");

        let again = submit(&before).await.map(answered).expect("told again");
        assert_eq!(again.items, first.items);
        // A recall is what an enterprise still must do; an ended key does nothing.
        let duty = submit(&duty).await.map(answered);
        match struck {
            true => assert!(
                matches!(duty.expect("taken").items[..], [ItemAnswer::Done { .. }]),
                "a duty"
            ),
            false => assert!(is_refused(&duty.expect_err("an ended key"))),
        }
        let Body::OpenSession {
            opening, signature, ..
        } = opening
        else {
            panic!("{opening:?} opens no session")
        };
        let opened = house
            .registry
            .open_session(&maker, &opening.0, signature)
            .await;
        match struck {
            true => assert!(opened.is_ok(), "for what it must do"),
            false => assert!(is_refused(&opened.map(|_| ()).expect_err("an ended key"))),
        }
        house.close().await;
    }
}

/// What a node proves of a subject, and under which size, in words.
async fn proven(
    service: &RegistryService,
    caller: &Caller,
    name: RecordName,
    known: Option<u64>,
) -> Result<(String, LogHead), ApiError> {
    let registry = service.node.state.registry().ok().flatten();
    let registry = registry.expect("founded");
    let (keys, origin) = (
        registry.keys,
        Origin {
            prefix: registry.prefix,
            incarnation: registry.incarnation,
        },
    );
    let shown = service
        .prove(caller, &Provable::of(name)?, Covering::AtLeast(0), known)
        .await?
        .to_bytes();
    if let Ok(evidence) = evidence::parse(&shown) {
        let found = evidence.verify(&keys, &origin).expect("it holds");
        let robot = found.robot().and_then(|robot| robot.status());
        return Ok((format!("{robot:?}"), found.head().clone()));
    }
    let evidence = evidence::parse_subject(&shown).expect("evidence of either form");
    let found = evidence.verify(&keys, &origin).expect("it holds");
    let of_kind = match found.subject().kind {
        SubjectType::Enterprise => found
            .record::<Enterprise>()
            .map(|one| format!("{:?}", one.map(|one| one.status))),
        SubjectType::Model => found
            .record::<Model>()
            .map(|one| format!("{:?}", one.map(|one| one.status))),
        _ => found
            .record::<Recall>()
            .map(|one| format!("{:?}", one.map(|one| one.status))),
    };
    Ok((of_kind.expect("shown"), found.head().clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_has_leaves_of_its_own_is_proven_and_the_rest_is_refused() {
    let country = world();
    let house = House::of(&country).await;
    let caller = |role, unit| Caller::from(house.client(role, unit, Plane::Client));
    let registrar = caller(Role::Registrar, "hq");
    let robot = |serial| RecordName::Robot(country.code(serial));
    let enterprise = |code| RecordName::Enterprise(country.enterprise(code));
    let model = |code| RecordName::Model(country.model("0001", code));
    let recall = |number| RecordName::Recall(samples::recall_id(&country, number));
    let table = [
        (robot(1), "Some(InForce)"),
        (robot(99), "None"),
        (enterprise("0001"), "Some(Active)"),
        (enterprise("9999"), "None"),
        (model("100002"), "Some(Approved)"),
        (model("999999"), "None"),
        (recall("R1"), "Some(InForce)"),
        (recall("R9"), "None"),
    ];
    for (name, expected) in table {
        let found = proven(&house.registry, &registrar, name.clone(), None).await;
        let (found, head) = found.expect("proven");
        assert_eq!(found, expected, "{name}");
        // From a head that the caller knows, the proof leads there.
        let known = head.size() - 1;
        let (_, joined) = proven(&house.registry, &registrar, name, Some(known))
            .await
            .expect("proven");
        let other = carnet_domain::bytes::digest::Digest::ZERO;
        let order = joined.against(known, &other, TimeMs::MAX);
        assert_eq!(
            order,
            HeadOrder::OtherHistory,
            "it is joined, to another root"
        );
    }
    let rest = [
        RecordName::Registry,
        RecordName::Peer(country.prefix),
        RecordName::Transfer(transfer(1)),
        RecordName::Pack,
        RecordName::DenyList,
        RecordName::Proposal(1),
    ];
    for name in rest {
        let refused = proven(&house.registry, &registrar, name, None).await;
        assert_eq!(refused.expect_err("none").reason(), "INVALID_ARGUMENT");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_by_the_rules_and_nothing_is_proposed() {
    let country = world();
    let house = House::of(&country).await;
    let caller = |role, unit| Caller::from(house.client(role, unit, Plane::Client));
    let (maker, rival) = (
        caller(Role::Manufacturer, "0001"),
        caller(Role::Manufacturer, "0003"),
    );
    let before = house.node.raft.status().last;
    let commands = [
        country.register(1),
        country.register(8),
        country.register(8),
    ];
    let question = Question {
        prefix: country.prefix,
        incarnation: 0,
        key: country.key("maker").public().key_id(),
        not_after: country.clock.saturating_add(DurationMs::from_days(1)),
        items: commands.iter().map(|one| Blob(one.to_bytes())).collect(),
    };
    let bytes = question.to_bytes();
    let signature = country.key("maker").sign(&Question::signing_bytes(&bytes));
    let answer = house.registry.foresee(&maker, &bytes, signature).await;
    let items = answer.expect("answered").value.items;
    let reasons: Vec<_> = items
        .iter()
        .map(|item| match item {
            ItemAnswer::Refused { rejection } => Some(rejection.reason),
            _ => None,
        })
        .collect();
    assert_eq!(
        reasons,
        [Some(Reason::CodeExists), None, Some(Reason::CodeExists)]
    );

    let refused = |answer: Result<super::At<Answer>, ApiError>| {
        let error = answer.map(|at| at.value).expect_err("refused");
        error.reason().to_owned()
    };
    let service = &house.registry;
    let other = service.foresee(&rival, &bytes, signature).await;
    assert_eq!(refused(other), "PERMISSION_DENIED");
    let auditor = caller(Role::Auditor, "audit");
    let other = service.foresee(&auditor, &bytes, signature).await;
    assert_eq!(refused(other), "PERMISSION_DENIED");
    let forged = country.key("rival").sign(&Question::signing_bytes(&bytes));
    let other = service.foresee(&maker, &bytes, forged).await;
    assert_eq!(refused(other), "INVALID_ARGUMENT");
    // Signed under the tag of a command, it is no question.
    let as_command = country.key("maker").sign(&bytes);
    let other = service.foresee(&maker, &bytes, as_command).await;
    assert_eq!(refused(other), "INVALID_ARGUMENT");
    let elsewhere = Question {
        incarnation: 1,
        ..question
    };
    let elsewhere = elsewhere.to_bytes();
    let signed = country
        .key("maker")
        .sign(&Question::signing_bytes(&elsewhere));
    let other = service.foresee(&maker, &elsewhere, signed).await;
    assert!(refused(other).contains("REJECTED"));
    assert_eq!(house.node.raft.status().last, before, "nothing is proposed");
    house.close().await;
}

/// All that a query finds, over pages of a size.
async fn found(
    service: &RegistryService,
    caller: &Caller,
    query: &MovementsQuery,
    size: usize,
) -> Vec<(u8, Stage)> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = service.transfers_found(caller, query.clone(), &token, size);
        let page = page.await.expect("a page").value;
        assert!(page.records.len() <= size);
        for record in page.records {
            let Record::Transfer(transfer) = record else {
                panic!("{record:?} is no transfer");
            };
            all.push((transfer.id.0[0], transfer.stage()));
        }
        token = page.next;
        if token.is_empty() {
            return all;
        }
    }
}

/// 86, of whose robots 1 and 2 go to 44 as one consignment, 3 alone and was taken back; and what its customs ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_asks_by_stage_office_consignment_and_declarant_in_pages() {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    for serial in 1..=3 {
        a.must("maker", a.register(serial));
        let mut declare = a.declare(serial, transfer(serial as u8), &b.prefix);
        if let (Command::DeclareExport { papers, .. }, true) = (&mut declare, serial < 3) {
            papers.ucr = "UCR-1".into();
            papers.office_of_export = "Shanghai".into();
        }
        a.must("maker", declare);
    }
    let cancel = Command::CancelExport {
        transfer: transfer(3),
        reason: "sold at home".into(),
    };
    a.must("maker", cancel);
    a.close();
    let house = House::of(&a).await;
    let service = &house.registry;
    let customs = Caller::from(house.client(Role::Customs, "port", Plane::Client));
    let all = MovementsQuery::default;
    let offered = |id| (id, Stage::Offered);
    let everything = [offered(1), offered(2), (3, Stage::Cancelled)];
    // No page leaves one out or shows one twice, however small it is.
    for size in [1, 2, 100] {
        assert_eq!(found(service, &customs, &all(), size).await, everything);
    }
    let code = a.code(2);
    let begins = |text: &str| Beginning::parse(text, 29).expect("a beginning");
    let queries = [
        (
            "stage",
            MovementsQuery {
                stages: vec![Stage::Cancelled],
                ..all()
            },
            vec![(3, Stage::Cancelled)],
        ),
        (
            "office",
            MovementsQuery {
                office: "shanghai".into(),
                ..all()
            },
            vec![offered(1), offered(2)],
        ),
        // Who declared it is found without being named.
        (
            "consignment",
            MovementsQuery {
                ucr: "UCR-1".into(),
                ..all()
            },
            vec![offered(1), offered(2)],
        ),
        (
            "another",
            MovementsQuery {
                ucr: "UCR-2".into(),
                ..all()
            },
            Vec::new(),
        ),
        (
            "robot",
            MovementsQuery {
                robots: begins(code.as_str()),
                ..all()
            },
            vec![offered(2)],
        ),
        (
            "model",
            MovementsQuery {
                robots: begins(code.model_id().as_str()),
                ..all()
            },
            everything.to_vec(),
        ),
        (
            "enterprise",
            MovementsQuery {
                robots: begins("860002"),
                ..all()
            },
            Vec::new(),
        ),
        (
            "lane",
            MovementsQuery {
                from: Some(a.prefix),
                to: Some(b.prefix),
                ..all()
            },
            everything.to_vec(),
        ),
        (
            "back",
            MovementsQuery {
                from: Some(b.prefix),
                to: Some(a.prefix),
                ..all()
            },
            Vec::new(),
        ),
        (
            "declarant",
            MovementsQuery {
                declarant: Some(a.enterprise("0001")),
                ..all()
            },
            everything.to_vec(),
        ),
        (
            "overdue",
            MovementsQuery {
                overdue: true,
                ..all()
            },
            Vec::new(),
        ),
        (
            "later",
            MovementsQuery {
                since: TimeMs(a.clock.0 + 1),
                ..all()
            },
            Vec::new(),
        ),
        (
            "before",
            MovementsQuery {
                before: Some(TimeMs(1)),
                ..all()
            },
            Vec::new(),
        ),
    ];
    for (what, query, expected) in queries {
        assert_eq!(
            found(service, &customs, &query, 1).await,
            expected,
            "{what}"
        );
        // What is counted is what is found.
        let counted = service.transfers_counted(&customs, query, "").await;
        let (counts, next) = counted.expect("counted").value;
        let sum: u64 = counts.iter().map(|row| row.count).sum();
        assert_eq!((sum, next.as_str()), (expected.len() as u64, ""), "{what}");
    }
    let counted = service.transfers_counted(&customs, all(), "").await;
    let (counts, _) = counted.expect("counted").value;
    let rows: Vec<(Stage, u64)> = counts.iter().map(|row| (row.stage, row.count)).collect();
    assert_eq!(rows, [(Stage::Offered, 2), (Stage::Cancelled, 1)]);
    assert_eq!(counts[0].month.len(), "2026-11".len());
    // An enterprise is shown its own; a token goes on with its own query alone.
    let maker = Caller::from(house.client(Role::Manufacturer, "0001", Plane::Client));
    assert_eq!(found(service, &maker, &all(), 9).await, everything);
    let stranger = Caller::from(house.client(Role::Dealer, "0002", Plane::Client));
    assert_eq!(found(service, &stranger, &all(), 9).await, Vec::new());
    let none = service.transfers_counted(&stranger, all(), "").await;
    assert_eq!(none.expect("counted").value.0, Vec::new());
    let first = service.transfers_found(&customs, all(), "", 1).await;
    let token = first.expect("a page").value.next;
    let other = MovementsQuery {
        stages: vec![Stage::Offered],
        ..all()
    };
    let refused = service.transfers_found(&customs, other, &token, 1).await;
    let refused = refused.expect_err("of another query").to_string();
    assert!(refused.contains("another query"), "{refused}");
    house.close().await;
}

/// The fault: a proposal that was rejected a second ago was as one that never was, and who said no, and why, nobody could read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_two_is_read_by_its_number_after_its_end() {
    let mut a = Country::with_market("86");
    let say = |a: &mut Country, who: &str, command: Command| {
        let said = carnet_kit::text(&a.command(who, command));
        assert_eq!(said, "done", "{who}");
        a.registry().offices.newest.expect("a proposal")
    };
    let add = |a: &Country, name: &str| a.enrolment(name, a.office("customs"), Role::Customs, name);
    let reject = |number| Command::RejectProposal {
        number,
        reason: "who is fay?".into(),
    };
    let command = add(&a, "done");
    let done = say(&mut a, "admin", command.clone());
    say(&mut a, "admin-2", command);
    let command = add(&a, "fay");
    let rejected = say(&mut a, "admin", command.clone());
    say(&mut a, "admin-2", reject(rejected));
    // Proposed anew, it is another one.
    let taken_back = say(&mut a, "admin", command.clone());
    say(&mut a, "admin", reject(taken_back));
    let bearer = Bearer::Node { node: 9 };
    let mut refused = samples::refused(samples::client("x"));
    refused.certificate.bearer = bearer;
    let revoke = Command::RevokeCertificate {
        refused: refused.clone(),
        reason: "lost".into(),
    };
    let of_certificate = say(&mut a, "admin", revoke.clone());
    say(&mut a, "admin-2", revoke);
    let expired = say(&mut a, "admin", command.clone());
    a.advance(PROPOSAL_TIME);
    a.advance(DurationMs::from_days(1));
    let open = say(&mut a, "admin", command);
    let house = House::of(&a).await;
    let service = &house.registry;
    let admin = Caller::from(house.client(Role::Admin, "hq", Plane::Client));
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let query = RecordsQuery::proposals("").expect("no filter");
        let page = service.records(&admin, query, &token, 2).await;
        let page = page.expect("a page").value;
        for record in page.records {
            let Record::Proposal(one) = record else {
                panic!("{record:?} is not a proposal");
            };
            found.push(*one);
        }
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    let rows: Vec<_> = found.iter().map(|one| (one.number, one.fate)).collect();
    let expected = [
        (open, Fate::Open),
        (expired, Fate::Expired),
        (of_certificate, Fate::Done),
        (taken_back, Fate::TakenBack),
        (rejected, Fate::Rejected),
        (done, Fate::Done),
    ];
    assert_eq!(rows.get(..expected.len()), Some(&expected[..]));
    let get = async |number| {
        let name = RecordName::Proposal(number);
        service.record(&admin, &name, Freshness::Newest).await
    };
    let Record::Proposal(one) = get(rejected).await.expect("read").value else {
        panic!("a proposal");
    };
    let end = one.end.as_ref().expect("it ended by a leaf");
    assert_eq!(
        (one.by.person.as_str(), end.reason.as_str()),
        ("admin", "who is fay?")
    );
    let by = end.by.as_ref().map(|by| by.person.as_str());
    assert_eq!(by, Some("admin-2"));
    assert!(one.at <= end.at);
    for number in [0, rejected + 1, u64::MAX] {
        let none = get(number).await.expect_err("none").reason();
        assert_eq!(none, "NOT_FOUND", "{number}");
    }
    // As the list of what is refused: for those who run the cluster.
    let dealer = Caller::from(house.client(Role::Dealer, "0002", Plane::Client));
    let query = RecordsQuery::proposals("").expect("no filter");
    let refused = service.records(&dealer, query, "", 2).await;
    assert_eq!(
        refused.expect_err("not theirs").reason(),
        "PERMISSION_DENIED"
    );
    house.close().await;
}
