//! What comes as verified, and every lie of a node about it. The registry is a whole one in memory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carnet_client::{Client, ClientError, Log, PinError};
use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::mail::disclose;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::Subject;
use carnet_domain::log::map::RobotStatus;
use carnet_domain::log::stored::ShownLeaf;
use carnet_domain::record::keys::KeySignature;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Signed;
use carnet_domain::record::reader::Reader;
use carnet_domain::record::{EnterpriseStatus, RecallId, Severity};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::parties::HISTORY_SLOTS;
use carnet_kit::{Country, samples};
use carnet_trust::evidence::{
    Evidence, Newest, Published, RobotProof, SLOTS_FOR_ANYBODY, build, build_subject, join,
};
use carnet_trust::known::KnownHead;
use carnet_trust::pack::{PACK_VERSION, Pack};
use carnet_trust::pins::{self, Pins};
use carnet_trust::verdict::{OWN_AGE_MAX, Purpose};
use carnet_wire::registry::v1::{ProveRequest, RecordKind};

use crate::fake::Fake;

/// Longer ago than any kit.
const ANY_AGE: Duration = Duration::from_secs(400 * 365 * 24 * 3600);

/// A country with robots 1 and 2 and a recall, everything published.
fn country() -> Country {
    let mut country = Country::with_market("86");
    country.must("maker", country.register(1));
    country.must("maker", country.register(2));
    country.must(
        "maker",
        samples::recall(&country, "R-1", Severity::Advisory),
    );
    country.close();
    country
}

fn hold(country: &mut Country, serial: u32, kind: HoldKind) {
    let code = country.code(serial);
    let reason = "why".to_owned();
    country.must("regulator", Command::SetHold { code, kind, reason });
    country.close();
}

fn origin(country: &Country) -> Origin {
    Origin {
        prefix: country.prefix,
        incarnation: country.registry().incarnation,
    }
}

fn log(country: &Country) -> Log {
    Log::new(country.prefix, country.key("log").public())
}

fn builder(fake: &Fake, country: &Country) -> carnet_client::ClientBuilder {
    fake.builder(&["a"]).log(log(country)).age_max(ANY_AGE)
}

fn client(fake: &Fake, country: &Country) -> Client {
    builder(fake, country).build().expect("a client")
}

/// Evidence about a robot as an honest node gives it.
fn about(country: &Country, code: &Code, known_size: u64) -> Evidence {
    let registry = country.registry();
    let published = Published {
        origin: origin(country),
        checkpoint: &registry.checkpoint,
        size: registry.published.as_ref().expect("published").size,
    };
    let shown = build(&country.ledger, &published, code, SLOTS_FOR_ANYBODY);
    let mut shown = shown.expect("a closed log");
    shown.frame.joined = join(&country.ledger, &published, known_size).expect("a log in memory");
    shown
}

/// What an honest node answers.
fn honest(country: &Country, asked: &ProveRequest) -> Vec<u8> {
    let name = asked.name.as_str();
    let at = |head: Option<carnet_domain::log::head::Head>, facts| {
        head.map(|head| Newest {
            index: head.leaf_index,
            facts,
        })
    };
    let zero = carnet_domain::bytes::digest::Digest::ZERO;
    let (subject, newest) = match asked.kind() {
        RecordKind::Robot => {
            let code = Code::parse(name).expect("a code");
            return about(country, &code, asked.known_size).to_bytes();
        }
        RecordKind::Enterprise => {
            let id = EnterpriseId::parse(name).expect("an id");
            let Ok(found) = Ledger::enterprise(&country.ledger, &id);
            let newest = found.and_then(|found| at(found.head, zero));
            (Subject::enterprise(&id), newest)
        }
        RecordKind::Model => {
            let id = ModelId::parse(name).expect("an id");
            let Ok(found) = Reader::model(&country.ledger, &id);
            let newest = found.and_then(|(found, standing)| at(found.head, standing.digest()));
            (Subject::model(&id), newest)
        }
        _ => {
            let id = RecallId::parse(name).expect("an id");
            let Ok(found) = Ledger::recall(&country.ledger, &id);
            let newest = found.and_then(|found| at(found.head, zero));
            (id.subject(), newest)
        }
    };
    let registry = country.registry();
    let published = Published {
        origin: origin(country),
        checkpoint: &registry.checkpoint,
        size: registry.published.as_ref().expect("published").size,
    };
    let built = build_subject(&country.ledger, &published, subject, newest);
    let mut evidence = built.expect("a closed log");
    evidence.frame.joined =
        join(&country.ledger, &published, asked.known_size).expect("a log in memory");
    evidence.to_bytes()
}

/// From now on the node answers honestly of this country.
fn tells(fake: &Fake, country: &Country) {
    let country = country.clone();
    fake.state().prove = Some(Box::new(move |asked| honest(&country, asked)));
}

/// From now on the node answers this, whatever it is asked.
fn lies(fake: &Fake, evidence: &Evidence) {
    let bytes = evidence.to_bytes();
    fake.state().prove = Some(Box::new(move |_| bytes.clone()));
}

fn leaves_of(country: &Country, code: &Code) -> Vec<Vec<u8>> {
    let history = country.ledger.history(&Subject::robot(code).key());
    let shown = history.into_iter().map(|index| {
        let record = Reader::leaf(&country.ledger, index);
        let record = record.ok().flatten().expect("a leaf of the history");
        let disclosed = disclose(&record, HISTORY_SLOTS);
        let leaf = record.leaf;
        ShownLeaf { leaf, disclosed }.to_bytes()
    });
    shown.collect()
}

fn tells_history(fake: &Fake, leaves: Vec<Vec<u8>>) {
    fake.state().history = Some(Box::new(move || leaves.clone()));
}

/// What a read came to, in words; of an error the whole chain.
fn said<T>(read: Result<T, ClientError>) -> String {
    let Err(error) = read else {
        return "believed".to_owned();
    };
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn what_the_log_holds_is_read_with_its_proof() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    tells(&fake, &country);
    let client = client(&fake, &country);
    let code = country.code(1);
    let robot = client.robot(&code).await.expect("proven").into_value();
    let status = robot.robot().and_then(|robot| robot.status());
    assert_eq!(status, Some(RobotStatus::InForce));
    let none = client.robot(&country.code(99)).await.expect("proven");
    assert!(none.value().robot().is_none());

    let id = country.enterprise("0001");
    let maker = client.enterprise(&id).await.expect("proven").into_value();
    let maker = maker.expect("it is accredited");
    assert_eq!((maker.id, maker.status), (id, EnterpriseStatus::Active));
    let nobody = country.enterprise("9999");
    let nobody = client.enterprise(&nobody).await.expect("proven");
    assert!(nobody.value().is_none());
    let id = country.model("0001", "100002");
    let model = client.model(&id).await.expect("proven").into_value();
    assert_eq!(model.expect("it is approved").id, id);
    let id = samples::recall_id(&country, "R-1");
    let recall = client.recall(&id).await.expect("proven").into_value();
    assert_eq!(recall.expect("it was opened").notice.id, id);

    // The log goes on, and the client with it.
    let before = client.seen().expect("seen").value().size;
    hold(&mut country, 1, HoldKind::Theft);
    tells(&fake, &country);
    let robot = client.robot(&code).await.expect("proven").into_value();
    let status = robot.robot().and_then(|robot| robot.status());
    assert_eq!(status, Some(RobotStatus::Stopped));
    assert!(before < client.seen().expect("seen").value().size);
}

#[tokio::test]
async fn a_history_is_whole_from_its_first_leaf_to_the_newest_that_is_published() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    let code = country.code(1);
    let country_before = country.clone();
    hold(&mut country, 1, HoldKind::Theft);
    hold(&mut country, 1, HoldKind::SaleLock);
    tells(&fake, &country);
    let client = client(&fake, &country);
    let whole = leaves_of(&country, &code);
    assert_eq!(whole.len(), 3);
    tells_history(&fake, whole.clone());
    let read = client.history(&code).await.expect("proven").into_value();
    assert_eq!(read.len(), 3);
    let registration = client.registration(&code).await.expect("proven");
    let registration = registration.into_value().expect("it was registered here");
    assert_eq!(registration.code, code);

    // What is committed and not published yet is cut off.
    let mut ahead = country.clone();
    let kind = HoldKind::EvidenceFreeze;
    let reason = "why".to_owned();
    ahead.must("regulator", Command::SetHold { code, kind, reason });
    tells_history(&fake, leaves_of(&ahead, &code));
    let read = client.history(&code).await.expect("proven").into_value();
    assert_eq!(read.len(), 3);

    let other = leaves_of(&country, &country.code(2));
    let without = |at: usize| {
        let mut leaves = whole.clone();
        leaves.remove(at);
        leaves
    };
    // Another second leaf, as the same registry might have written it.
    let mut branch = country_before;
    hold(&mut branch, 1, HoldKind::Lost);
    let mut replaced = whole.clone();
    replaced[1] = leaves_of(&branch, &code).remove(1);
    let table = [
        (
            replaced,
            "leaf 2 of the history: it does not name the one before",
        ),
        (without(0), "leaf 0 of the history: it has another number"),
        (without(1), "leaf 1 of the history: it has another number"),
        (
            without(2),
            "leaf 2 of the history: the newest leaf is another",
        ),
        (other, "leaf 0 of the history: it is of another subject"),
    ];
    for (leaves, expected) in table {
        tells_history(&fake, leaves);
        let found = said(client.history(&code).await);
        assert_eq!(found, format!("the answer is not proven: {expected}"));
    }
    // Pages that go on without a leaf would go on for ever.
    tells_history(&fake, Vec::new());
    let proven = said(client.history(&code).await);
    let told = said(client.unverified().history(&code).await);
    for found in [proven, told] {
        assert!(found.contains("do not advance"), "{found}");
    }
}

/// The newest head is held to what every head is: to what was written, to its age, and to the head seen before.
#[tokio::test]
async fn a_head_alone_is_judged_as_every_head_is() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    tells(&fake, &country);
    let day = fake.builder(&["a"]).log(log(&country)).build();
    let found = said(day.expect("a client").head().await);
    assert!(found.contains("are not believed"), "{found}");
    let client = client(&fake, &country);
    let size = country.registry().published.expect("published").size;
    let head = client.head().await.expect("proven").into_value();
    assert_eq!(head.size, size);
    let found = said(client.head_above(size).await);
    let expected = format!("one of at least {} was", size + 1);
    assert!(found.contains(&expected), "{found}");
    fake.state().executed = size;
    client.submit_one(country.register(7)).await.expect("done");
    let found = said(client.head().await);
    assert!(found.contains(&expected), "{found}");
    hold(&mut country, 1, HoldKind::Theft);
    tells(&fake, &country);
    let head = client.head().await.expect("proven").into_value();
    assert!(size < head.size);
}

/// One node says of a write that it made the log larger than it is: a head of later shows that it did not, and reads go on.
#[tokio::test]
async fn a_false_size_does_not_end_proven_reads() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    tells(&fake, &country);
    let client = client(&fake, &country);
    let code = country.code(1);
    fake.state().executed = 1 << 40;
    client.submit_one(country.register(7)).await.expect("done");
    let found = said(client.robot(&code).await);
    assert!(found.contains("one of at least"), "{found}");
    // Of before the write: it may be that it is not in it yet.
    hold(&mut country, 1, HoldKind::Theft);
    tells(&fake, &country);
    assert!(said(client.robot(&code).await).contains("one of at least"));
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = u64::try_from(since.expect("after 1970").as_millis()).expect("it fits");
    country.clock = TimeMs(now + 3_600_000);
    hold(&mut country, 1, HoldKind::SaleLock);
    tells(&fake, &country);
    assert_eq!(said(client.robot(&code).await), "believed");
}

/// What was kept of a log is verified again, and which life of it is believed says whoever pins it.
#[tokio::test]
async fn a_head_that_was_kept_is_of_the_log_that_is_pinned_or_not_used() {
    let (fake, country) = (Fake::start(&["a"]), country());
    tells(&fake, &country);
    let code = country.code(1);
    let first = client(&fake, &country);
    assert_eq!(said(first.robot(&code).await), "believed");
    let kept = first.seen().expect("seen").into_value();
    // Its numbers are those that are signed, whatever else it says.
    let mut changed = kept.clone();
    changed.size += 1_000;
    let client = builder(&fake, &country).seen(changed).build();
    let client = client.expect("a client");
    assert_eq!(client.seen().expect("seen").into_value(), kept);
    assert_eq!(said(client.robot(&code).await), "believed");
    let mut broken = kept.clone();
    broken.text = broken
        .text
        .replace("carnet", "Carnet")
        .replacen('1', "2", 1);
    let built = builder(&fake, &country).seen(broken).build();
    assert!(said(built).contains("not signed by the log key"));
    // Another life is pinned than that of the head that was kept: the old server of the old one is not believed.
    let restored = builder(&fake, &country).log(log(&country).of_life(1));
    let restored = restored.seen(kept).build().expect("a client");
    assert!(restored.seen().is_none());
    let found = said(restored.robot(&code).await);
    assert!(found.contains("asked was"), "{found}");
}

#[tokio::test]
async fn a_node_that_lies_is_not_believed() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    let code = country.code(1);
    let early = about(&country, &code, 0);
    let other = about(&country, &country.code(2), 0);
    let mut branch = country.clone();
    hold(&mut country, 1, HoldKind::Theft);
    tells(&fake, &country);
    let client = client(&fake, &country);
    client.robot(&code).await.expect("proven");
    let seen = client.seen().expect("seen").into_value();

    // Another history of the same size, and a larger one that pretends to go on from what was seen.
    hold(&mut branch, 1, HoldKind::SaleLock);
    let fork = about(&branch, &code, 0);
    assert_eq!(fork.frame.map_head.index + 1, seen.size, "of one size");
    hold(&mut branch, 2, HoldKind::SaleLock);
    let longer_fork = about(&branch, &code, seen.size);
    let mut country_later = country.clone();
    hold(&mut country_later, 2, HoldKind::Theft);
    let later = about(&country_later, &code, seen.size);
    let not_joined = about(&country_later, &code, 0);
    let not_newest = {
        let RobotProof::Present { proven, .. } = later.robot.clone() else {
            panic!("the robot is there");
        };
        let robot = RobotProof::Included { proven };
        Evidence {
            robot,
            ..later.clone()
        }
    };
    let hidden = Evidence {
        code: country.code(2),
        ..later.clone()
    };
    let mut stranger = Country::with_market("86");
    stranger.must("maker", stranger.register(1));
    stranger.close();
    let resigned = {
        let mut resigned = later.clone();
        let size = resigned.frame.map_head.index + 1;
        let note =
            carnet_domain::log::checkpoint::peek(&resigned.frame.checkpoint).expect("a note");
        assert_eq!(note.size, size);
        resigned.frame.checkpoint = note.sign(&SecretKey::from_seed(&[9; 32])).into_text();
        resigned
    };
    let small = seen.size - 2;
    let table = [
        (
            &early,
            format!(
                "the head shown has {small} leaves, one of at least {} was",
                seen.size
            ),
        ),
        (&fork, "the log is forked".to_owned()),
        (&longer_fork, "the log is forked".to_owned()),
        (
            &not_joined,
            "nothing shows that the head goes on".to_owned(),
        ),
        (
            &hidden,
            "the evidence does not hold: robot: the leaf is of".to_owned(),
        ),
        (
            &resigned,
            "the evidence does not hold: checkpoint".to_owned(),
        ),
    ];
    for (lie, expected) in table {
        lies(&fake, lie);
        let found = said(client.robot(&code).await);
        let expected = format!("the answer is not proven: {expected}");
        assert!(found.starts_with(&expected), "{found}\nnot {expected}");
        assert_eq!(
            client.seen().map(|seen| seen.into_value()),
            Some(seen.clone())
        );
    }
    lies(&fake, &other);
    let fresh = builder(&fake, &country).build().expect("a client");
    let found = said(fresh.robot(&code).await);
    assert!(found.contains("the evidence is about"), "{found}");
    // Evidence of another form, or none at all, is no evidence.
    fake.state().prove = Some(Box::new(|_| vec![0x80]));
    let found = said(client.robot(&code).await);
    assert!(found.contains("the bytes are not evidence"), "{found}");
    lies(&fake, &later);
    let id = country.enterprise("0001");
    let found = said(client.enterprise(&id).await);
    assert!(found.contains("the bytes are not evidence"), "{found}");
    // A leaf that is in the log, and may not be the newest, is no answer, whatever the head.
    lies(&fake, &not_newest);
    let found = said(client.robot(&code).await);
    let expected = "the answer is not proven: the leaf shown is not proven to be the newest";
    assert_eq!(found, expected);
    // The truth still is.
    lies(&fake, &later);
    assert_eq!(said(client.robot(&code).await), "believed");
}

#[tokio::test]
async fn an_answer_about_another_enterprise_is_none() {
    let (fake, country) = (Fake::start(&["a"]), country());
    let client = client(&fake, &country);
    let told = country.clone();
    fake.state().prove = Some(Box::new(move |asked| {
        let name = told.enterprise("0002").to_string();
        let asked = ProveRequest {
            name,
            ..asked.clone()
        };
        honest(&told, &asked)
    }));
    let found = said(client.enterprise(&country.enterprise("0001")).await);
    let expected = "the answer is not proven: the evidence is about 860002, asked was 860001";
    assert_eq!(found, expected);
}

#[tokio::test]
async fn an_old_head_is_believed_nothing_under() {
    let (fake, country) = (Fake::start(&["a"]), country());
    tells(&fake, &country);
    let code = country.code(1);
    let day = fake.builder(&["a"]).log(log(&country)).build();
    let found = said(day.expect("a client").robot(&code).await);
    assert!(found.contains("are not believed"), "{found}");
    let any = client(&fake, &country).robot(&code).await;
    assert_eq!(said(any), "believed");
}

#[tokio::test]
async fn what_was_written_is_covered_or_the_answer_is_none() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    tells(&fake, &country);
    let client = client(&fake, &country);
    let code = country.code(1);
    let size = country.registry().published.expect("published").size;
    assert_eq!(said(client.robot_covering(&code, size).await), "believed");
    let found = said(client.robot_covering(&code, size + 1).await);
    assert!(
        found.contains(&format!("one of at least {} was", size + 1)),
        "{found}"
    );
    hold(&mut country, 1, HoldKind::Theft);
    tells(&fake, &country);
    assert_eq!(
        said(client.robot_covering(&code, size + 1).await),
        "believed"
    );

    // The fake counts what it executes as leaves: after so many commands, the same head covers too little.
    let newest = country.registry().published.expect("published").size;
    fake.state().executed = newest;
    client.submit_one(country.register(7)).await.expect("done");
    let found = said(client.robot(&code).await);
    assert!(
        found.contains(&format!("one of at least {} was", newest + 1)),
        "{found}"
    );
}

#[tokio::test]
async fn what_finds_no_room_is_asked_again_and_each_command_is_answered_once() {
    let (fake, country) = (Fake::start(&["a"]), country());
    let client = fake.client(&["a"]);
    // The fake refuses commands of an even number of bytes.
    let commands: Vec<Command> = (1..=9)
        .map(|number| Command::WithdrawRecall {
            recall: samples::recall_id(&country, "R-1"),
            reason: "x".repeat(number % 4),
        })
        .collect();
    let expected: Vec<bool> = commands
        .iter()
        .map(|command| command.to_bytes().len() % 2 == 0)
        .collect();
    for room in [1, 2, 4, 8, 9, 100] {
        fake.state().room = room;
        fake.state().arrived.clear();
        let told = client.unverified().foresee(&commands).await;
        let refused: Vec<bool> = told
            .expect("told")
            .into_iter()
            .map(|one| one.against().is_some())
            .collect();
        assert_eq!(refused, expected, "room for {room}");
        assert_eq!(fake.state().arrived.len(), commands.len().div_ceil(room));
    }
    assert_eq!(fake.state().sessions, 0, "no session is opened");
    assert_eq!(fake.state().executed, 0);
}

#[tokio::test]
async fn without_a_log_nothing_is_asked_and_another_life_is_refused() {
    let (fake, country) = (Fake::start(&["a"]), country());
    tells(&fake, &country);
    let code = country.code(1);
    let found = fake.client(&["a"]).robot(&code).await;
    assert!(matches!(found, Err(ClientError::NotPinned)));
    assert!(fake.state().arrived.is_empty());
    let other = builder(&fake, &country)
        .log(log(&country).of_life(7))
        .build();
    let found = said(other.expect("a client").robot(&code).await);
    assert!(found.contains("asked was"), "{found}");
}

#[tokio::test]
async fn two_histories_that_are_shown_at_once_are_not_both_believed() {
    let (fake, mut one) = (Fake::start(&["a"]), country());
    let mut other = one.clone();
    hold(&mut one, 1, HoldKind::Theft);
    hold(&mut other, 1, HoldKind::SaleLock);
    hold(&mut other, 2, HoldKind::SaleLock);
    let code = one.code(1);
    let client = client(&fake, &one);
    let size = one.registry().published.expect("published").size;
    let (first, second) = (one.clone(), other.clone());
    let mut count = 0;
    fake.state().prove = Some(Box::new(move |asked| {
        count += 1;
        // Whoever saw one of the two is told the other.
        match asked.known_size {
            0 if count == 1 => honest(&first, asked),
            0 => honest(&second, asked),
            known if known == size => honest(&second, asked),
            _ => honest(&first, asked),
        }
    }));
    // Both are asked before either is answered: neither is asked to go on from the other.
    let (a, b) = tokio::join!(client.robot(&code), client.robot(&code));
    let (a, b) = (said(a), said(b));
    let believed = [&a, &b].into_iter().filter(|said| *said == "believed");
    assert_eq!(believed.count(), 1, "{a}; {b}");
}

/// Two histories are told, also to whoever waits for a head that covers a write: a node that answers well afterwards hides none.
#[tokio::test]
async fn a_fork_is_told_whatever_was_written_before() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    let code = country.code(1);
    let mut branch = country.clone();
    hold(&mut country, 1, HoldKind::Theft);
    tells(&fake, &country);
    let client = client(&fake, &country);
    assert_eq!(said(client.robot(&code).await), "believed");
    let seen = client.seen().expect("seen").into_value();
    hold(&mut branch, 1, HoldKind::SaleLock);
    hold(&mut branch, 2, HoldKind::SaleLock);
    let fork = about(&branch, &code, seen.size);
    fake.state().executed = seen.size;
    client.submit_one(country.register(7)).await.expect("done");
    let (mut first, told) = (true, country.clone());
    fake.state().prove = Some(Box::new(move |asked| match std::mem::take(&mut first) {
        true => fork.to_bytes(),
        false => honest(&told, asked),
    }));
    match client.robot(&code).await {
        Err(ClientError::NotProven(PinError::OtherHistory { before, now })) => {
            assert_eq!(before, seen.text);
            assert_ne!(before, now, "both are evidence");
        }
        other => panic!("{}", said(other)),
    }
}

/// What a country's pack is made of, as far as its head is concerned.
fn pack_of(country: &Country) -> Vec<u8> {
    let registry = country.registry();
    let head = registry.published.as_ref().map(|published| KnownHead {
        size: published.size,
        root: published.root,
        time: published.at,
    });
    let pack = Pack {
        version: PACK_VERSION,
        registry: country.prefix,
        incarnation: registry.incarnation,
        at: registry.log_time,
        whole: true,
        head,
        peers: Vec::new(),
        lacking: Vec::new(),
        robots: Vec::new(),
        others: None,
        recalls: Vec::new(),
        models: Vec::new(),
        makers: Vec::new(),
    };
    let content = pack.to_bytes();
    let signature = KeySignature {
        key: country.key("log").public(),
        signature: country.key("log").sign(&Pack::message(&content)),
    };
    Pack::to_file(content, vec![signature])
}

fn pins(country: &Country) -> Pins {
    let bytes = country.bundle_of(1).to_bytes();
    let signed = Signed {
        signatures: country.root_signatures(&bytes),
        bytes: Blob(bytes),
    };
    let pin = pins::Pin::of_bundle(&signed).expect("signed by its roots");
    Pins::new(country.prefix, vec![pin], OWN_AGE_MAX).expect("pins")
}

/// The pack is the log key's word like every head: it covers what was seen and written, goes on from it, and is not old.
#[tokio::test]
async fn a_pack_is_held_to_what_was_seen_and_written() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    let (code, pins) = (country.code(1), pins(&country));
    let (early, branch) = (pack_of(&country), country.clone());
    hold(&mut country, 1, HoldKind::Theft);
    tells(&fake, &country);
    let client = client(&fake, &country);
    let gives = |pack: Vec<u8>| fake.state().pack = Some(pack);
    gives(early.clone());
    assert_eq!(
        said(client.pack(&pins).await),
        "believed",
        "nothing was seen"
    );
    assert_eq!(said(client.robot(&code).await), "believed");
    let seen = client.seen().expect("seen").into_value().size;
    let older = format!("one of at least {seen} was");
    let found = said(client.pack(&pins).await);
    assert!(found.contains(&older), "{found}");
    let judged = client.verify_here(&code, Purpose::Operation, &pins).await;
    let found = said(judged);
    assert!(found.contains(&older), "{found}");
    gives(pack_of(&country));
    assert_eq!(said(client.pack(&pins).await), "believed");
    // Other histories: of the size seen, and of one that the log has passed since.
    let mut other = branch.clone();
    hold(&mut other, 1, HoldKind::SaleLock);
    gives(pack_of(&other));
    let found = said(client.pack(&pins).await);
    assert!(found.contains("the log is forked"), "{found}");
    hold(&mut other, 2, HoldKind::SaleLock);
    gives(pack_of(&other));
    for kind in [HoldKind::SaleLock, HoldKind::Lost] {
        hold(&mut country, 2, kind);
    }
    let passed = country.clone();
    tells(&fake, &passed);
    let found = said(client.pack(&pins).await);
    assert!(found.contains("the log is forked"), "{found}");
    // One that is larger than what was seen, and that the log goes on from.
    hold(&mut country, 1, HoldKind::Lost);
    gives(pack_of(&country));
    hold(&mut country, 1, HoldKind::SaleLock);
    tells(&fake, &country);
    assert_eq!(said(client.pack(&pins).await), "believed");
    // A write that it does not cover.
    let size = country.registry().published.expect("published").size;
    gives(pack_of(&country));
    fake.state().executed = size;
    client.submit_one(country.register(7)).await.expect("done");
    let found = said(client.pack(&pins).await);
    let older = format!("one of at least {} was", size + 1);
    assert!(found.contains(&older), "{found}");
    let day = fake.builder(&["a"]).log(log(&country)).build();
    let found = said(day.expect("a client").pack(&pins).await);
    assert!(found.contains("are not believed"), "{found}");
}

/// A truck of 200 fetched the pack 200 times, and what a node was asked too often was no verdict.
#[tokio::test]
async fn many_verdicts_rest_on_one_pack_and_wait_their_turn() {
    let (fake, country) = (Fake::start(&["a"]), country());
    let pins = pins(&country);
    fake.state().pack = Some(pack_of(&country));
    fake.state().too_often = 40;
    let client = client(&fake, &country);
    let codes: Vec<_> = (1..=200).map(|serial| country.code(serial)).collect();
    let judged = client.verify_all_here(&codes, Purpose::Operation, &pins);
    let judged = judged.await.expect("a pack");
    assert_eq!(judged.len(), codes.len());
    for row in judged {
        // What this server shows is no file: it is judged, each by itself.
        let found = row.expect_err("no file").to_string();
        assert!(!found.contains("OVERLOADED"), "{found}");
    }
    let state = fake.state();
    assert_eq!((state.packs, state.verdicts), (1, 240));
}

/// A registry that publishes faster than it is asked: a pack was never compared with what had been seen.
#[tokio::test]
async fn a_pack_is_compared_in_a_log_that_never_stands_still() {
    let (fake, mut country) = (Fake::start(&["a"]), country());
    let (code, pins) = (country.code(1), pins(&country));
    tells(&fake, &country);
    let client = client(&fake, &country);
    assert_eq!(said(client.robot(&code).await), "believed");
    hold(&mut country, 1, HoldKind::Theft);
    fake.state().pack = Some(pack_of(&country));
    let mut shown = vec![country];
    fake.state().prove = Some(Box::new(move |asked| {
        let size = |country: &Country| country.registry().published.expect("published").size;
        let before = shown.iter().find(|it| size(it) == asked.size_min);
        if let Some(before) = before.filter(|_| asked.exact) {
            return honest(before, asked);
        }
        let mut now = shown.last().expect("one").clone();
        let serial = 100 + u32::try_from(shown.len()).expect("few");
        now.must("maker", now.register(serial));
        now.close();
        let answer = honest(&now, asked);
        shown.push(now);
        answer
    }));
    assert_eq!(said(client.pack(&pins).await), "believed");
}
