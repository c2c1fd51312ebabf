//! Where bytes end up: `apply` of what was decoded, on a country in the middle of its life.
//!
//! Whatever a signature or a proof would stop early is signed and proven again, so that any bytes reach the rules that their
//! author could sign. The country is the same for every input; nothing of one input is left to the next.

use std::sync::OnceLock;

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::limits::ROBOT_BYTES_MAX;
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::log::leaf::{SLOT_COUNT, Slots, Subject, SubjectType};
use carnet_domain::machine;
use carnet_domain::machine::entry::{Answer, Body, Entry, ItemAnswer, MailBatch, Request};
use carnet_domain::record::Severity;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Signed, Statement};
use carnet_domain::rules::command::{Command, Purpose};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::rejection::Reason;
use carnet_kit::forge::Forged;
use carnet_kit::{Country, agreement, befriend, samples};

use crate::decoders::Target;
use crate::program::SIGNERS;
use crate::scene;

/// A peer that lies, the country that is attacked, and what the peer has for it.
struct Stage {
    liar: Country,
    target: Country,
    mail: MailBatch,
    position: (u64, u64),
}

/// Robots in every phase of a crossing, both ways; a theft, a recall; everybody has a session.
fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let (mut liar, mut target) = (Country::with_market("86"), Country::with_market("49"));
        befriend(&mut liar, &mut target);
        for serial in 1..=8 {
            liar.must("maker", liar.register(serial));
            target.must("maker", target.register(serial));
        }
        cross(&mut liar, &mut target, 0);
        cross(&mut target, &mut liar, 10);
        for code in [target.code(5), liar.code(1)] {
            let theft = Command::SetHold {
                code,
                kind: HoldKind::Theft,
                reason: "stolen".into(),
            };
            target.must("registrar", theft);
        }
        target.must("recycler", scene::declare_end(target.code(6)));
        target.must("maker", samples::recall(&target, "R1", Severity::StopUse));
        target.close();
        for name in SIGNERS {
            target.session(name);
        }
        // Something of every kind that the liar has to say and the target has not read.
        let offer = scene::offer(&liar, &target, liar.code(5), 5);
        liar.must("customs", offer);
        liar.must("customs", scene::depart(4));
        liar.must("maker", samples::recall(&liar, "R2", Severity::Remedy));
        let mail = scene::waiting(&mut liar, &target);
        let Ok(peer) = target.ledger.peer(&liar.prefix);
        let position = peer.map_or((0, 0), |peer| (peer.size_seen, peer.cursor));
        (liar.entries, target.entries) = (Vec::new(), Vec::new());
        Stage {
            liar,
            target,
            mail,
            position,
        }
    })
}

/// Robots 1 to 4 on their way: admitted, released, offered, and permitted.
fn cross(from: &mut Country, to: &mut Country, first: u8) {
    let [admitted, released, asked, permitted] = [1, 2, 3, 4].map(|serial| from.code(serial));
    scene::export(from, to, admitted, first + 1);
    scene::bring(from, to, released, first + 2, Purpose::PermanentExport);
    let offer = scene::offer(from, to, asked, first + 3);
    from.must("customs", offer);
    let offer = scene::offer(from, to, permitted, first + 4);
    from.must("customs", offer);
    from.deliver(to);
    to.must("customs", scene::permit(to, first + 4, Vec::new()));
    to.deliver(from);
}

/// Whether an answer is one of the rules, and not of a decoder. What was answered can be written and read, and no record has
/// outgrown its bound.
fn judged(country: &Country, answer: &Answer) -> bool {
    let read = Answer::from_bytes(&answer.to_bytes());
    assert!(
        read.as_ref() == Ok(answer),
        "an answer is read as it was written"
    );
    let longest = country
        .ledger
        .robots()
        .map(|robot| robot.to_bytes().len())
        .max();
    assert!(
        longest.unwrap_or(0) <= ROBOT_BYTES_MAX,
        "no record outgrows its bound"
    );
    answer.items.iter().any(|item| {
        !matches!(item, ItemAnswer::Refused { rejection } if rejection.reason == Reason::Malformed)
    })
}

fn entry(bytes: &[u8]) -> bool {
    let Ok(entry) = Entry::from_bytes(bytes) else {
        return false;
    };
    let mut target = stage().target.clone();
    let Ok(answer) = machine::apply(&mut target.ledger, &entry);
    judged(&target, &answer)
}

/// The number of who signs, and what is signed.
type Signing = (u64, Blob);

fn command(bytes: &[u8]) -> bool {
    let Ok((who, item)) = Signing::from_bytes(bytes) else {
        return false;
    };
    let who = SIGNERS[(who % SIGNERS.len() as u64) as usize];
    let mut target = stage().target.clone();
    // What decodes is signed as a command of its kind; what does not is signed all the same.
    let like = Command::from_bytes(&item.0)
        .unwrap_or_else(|_| scene::act(target.code(7), carnet_kit::samples::actions().remove(0)));
    let header = SignedHeader {
        item_root: item_root([item.0.as_slice()]),
        ..target.header(who, &[like])
    };
    let request = Request {
        signature: target.key(who).sign(&header.signing_bytes()),
        header: Blob(header.to_bytes()),
        first_item: 0,
        items: vec![item],
        range_proof: Vec::new(),
    };
    let answer = target.ask(request);
    judged(&target, &answer)
}

fn statement(bytes: &[u8]) -> bool {
    let Ok(mut statement) = Statement::from_bytes(bytes) else {
        return false;
    };
    let Stage { liar, target, .. } = stage();
    let mut target = target.clone();
    match &mut statement {
        Statement::Recognise {
            fingerprint,
            bundle,
            changes,
        } => {
            for change in changes {
                change.signatures = liar.root_signatures(&change.bytes.0);
            }
            *fingerprint = sha256(&[&bundle.bytes.0]);
            bundle.signatures = liar.root_signatures(&bundle.bytes.0);
        }
        Statement::Agree { agreement } => {
            let by = [liar, &target].map(|one| one.root_signatures(&agreement.bytes.0));
            agreement.signatures = by.concat();
        }
        _ => {}
    }
    let signed = target.sign_statement(&statement);
    let answer = target.apply(Body::Root { signed });
    judged(&target, &answer)
}

fn mail(bytes: &[u8]) -> bool {
    let Ok(batch) = MailBatch::from_bytes(bytes) else {
        return false;
    };
    let mut target = stage().target.clone();
    let answer = target.apply(Body::Foreign { batch });
    judged(&target, &answer)
}

/// A leaf: its kind and the status that the map shows of it, and its slots, the first of which names its subject.
type Said = ((u64, u64), Vec<Option<Blob>>);

fn leaf(bytes: &[u8]) -> bool {
    let Ok(((kind, status), values)) = Said::from_bytes(bytes) else {
        return false;
    };
    if values.len() > SLOT_COUNT || values.iter().all(Option::is_none) {
        return false;
    }
    let mut slots = Slots::new();
    for (slot, value) in slots.values.iter_mut().zip(values) {
        *slot = value.map(|value| value.0);
    }
    let name = slots.values[0]
        .as_deref()
        .and_then(|bytes| String::from_bytes(bytes).ok())
        .unwrap_or_default();
    let subject = match carnet_domain::bytes::code::Code::parse(&name) {
        Ok(code) => Subject::robot(&code),
        Err(_) => Subject::new(SubjectType::Recall, name),
    };
    let Stage {
        liar,
        target,
        position: (size, cursor),
        ..
    } = stage();
    let (mut liar, mut target) = (liar.clone(), target.clone());
    let to = target.prefix;
    // In place of the honest mail that waits, so that it is what is read next.
    let Ok(peer) = liar.ledger.peer(&to);
    let mut peer = peer.expect("they are peers");
    peer.outbox = *cursor;
    let Ok(()) = liar.ledger.put_peer(peer);
    let forged = Forged {
        kind,
        subject,
        slots,
        status: status as u8,
    };
    liar.forge(forged, &to);
    liar.close();
    let mut batch = liar.lying_mail(&to, *size, *cursor);
    batch.items.truncate(1);
    let answer = target.apply(Body::Foreign { batch });
    judged(&target, &answer)
}

/// The slots of everything that the liar ever told the target, as leaves to be told anew.
fn leaves() -> Vec<Vec<u8>> {
    let Stage { liar, target, .. } = stage();
    let told = liar.ledger.mailbox(&target.prefix, 0).into_iter();
    let mut records = told.filter_map(|(_, index)| {
        let Ok(record) = liar.ledger.leaf(index);
        record
    });
    let mut out = Vec::new();
    for record in &mut records {
        let leaf = carnet_domain::log::leaf::Leaf::from_bytes(&record.leaf.0);
        let kind = leaf.expect("a leaf of an honest log").kind.number();
        let said: Said = ((kind, u64::from(crate::liar::DEPARTED)), record.values);
        out.push(said.to_bytes());
    }
    out
}

/// Every way by which bytes reach `apply`, with samples.
///
/// # Panics
/// When the kit's own story does not go as told.
pub fn targets() -> Vec<Target> {
    let Stage {
        liar, target, mail, ..
    } = stage();
    let (mut liar, mut target) = (liar.clone(), target.clone());
    let mut commands: Vec<Command> = samples::commands(&target);
    for serial in [1, 5, 6, 7, 8] {
        let code = target.code(serial);
        commands.extend(
            samples::actions()
                .into_iter()
                .map(|it| scene::act(code, it)),
        );
    }
    commands.push(target.register(9));
    commands.push(target.declare(7, carnet_kit::transfer(9), &liar.prefix));
    for number in [2, 3, 4, 11, 12, 13, 14] {
        commands.extend([
            scene::permit(&target, number, Vec::new()),
            scene::depart(number),
            scene::admit(number),
            scene::send_back(number),
        ]);
    }
    let signings = commands.iter().map(|command| {
        let usual = crate::program::usual_signer(command);
        let at = SIGNERS.iter().position(|name| *name == usual);
        let signing: Signing = (at.unwrap_or(0) as u64, Blob(command.to_bytes()));
        signing.to_bytes()
    });
    let signings: Vec<Vec<u8>> = signings.collect();
    let recognise = Statement::Recognise {
        changes: vec![liar.sign_statement(&Statement::Genesis {
            genesis: liar.genesis(),
        })],
        bundle: liar.bundle(),
        fingerprint: sha256(&[b"written anew"]),
    };
    let agreed = agreement(liar.prefix, target.prefix, 2).to_bytes();
    let suspend = Statement::Suspend {
        peer: liar.prefix,
        agreement: carnet_kit::agreed(liar.prefix, target.prefix),
        number: 1,
        until: carnet_domain::bytes::time::TimeMs::MAX,
        reason: "x".into(),
    };
    let agree = Statement::Agree {
        agreement: Signed {
            bytes: Blob(agreed),
            signatures: Vec::new(),
        },
    };
    let settle = Statement::Settle {
        peer: liar.prefix,
        fork: 1,
        counts: scene::d("leaf"),
        reason: "x".into(),
    };
    target.command("maker", target.register(10));
    target.state(&suspend);
    target.close();
    let mut entries: Vec<Vec<u8>> = target.entries.iter().map(Canonical::to_bytes).collect();
    let foreign = Entry {
        stamp: target.entries[0].stamp.clone(),
        body: Body::Foreign {
            batch: mail.clone(),
        },
    };
    entries.push(foreign.to_bytes());
    let of = |name, read: fn(&[u8]) -> bool, samples| Target {
        name,
        read,
        samples,
    };
    vec![
        of("apply entry", entry, entries),
        of("apply command", command, signings),
        of(
            "apply statement",
            statement,
            [recognise, agree, suspend, settle]
                .iter()
                .map(Canonical::to_bytes)
                .collect(),
        ),
        of("apply mail", self::mail, vec![mail.to_bytes()]),
        of("apply leaf", leaf, leaves()),
    ]
}
