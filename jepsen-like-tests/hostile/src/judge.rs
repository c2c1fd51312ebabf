//! How an attack is judged: the exact reason, and a content that is what it was.
//!
//! A refused entry may move log time, the session it came in, and how far a peer's log was read; nothing else. A foreign
//! statement that is not believed appends one nack beside that. Texts are for people: only typed reasons are compared.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::leaf::{Kind, Leaf};
use carnet_domain::machine::entry::{Body, ItemAnswer, MailBatch};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Heard, Peer, Statement};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::rejection::{Detail, Reason, Rejection};
use carnet_kit::Country;

/// Digest over everything that a country keeps but log time and its ceiling, sessions with their answers, and how far the
/// logs of peers were read, with what was counted on the way.
///
/// # Panics
/// Before the genesis.
pub fn content(country: &Country) -> Digest {
    let mut ledger = country.ledger.clone();
    let mut registry = country.registry();
    for session in 0..registry.next_session {
        let Ok(()) = ledger.close_session(session);
    }
    registry.next_session = 0;
    (registry.log_time, registry.ceiling) = (TimeMs(0), TimeMs(0));
    let Ok(()) = ledger.put_registry(registry);
    let Ok(peers) = ledger.peers();
    for peer in peers {
        let unread = Peer {
            cursor: 0,
            size_seen: 0,
            root_seen: Digest::ZERO,
            time_seen: TimeMs(0),
            shown_at: TimeMs(0),
            note_seen: String::new(),
            heard: Heard::default(),
            ..peer
        };
        let Ok(()) = ledger.put_peer(unread);
    }
    ledger.digest()
}

/// Applies an entry that must change nothing, and answers what was answered.
///
/// # Panics
/// When it changed something.
pub fn harmless(country: &mut Country, body: Body) -> Vec<ItemAnswer> {
    let before = content(country);
    let answer = country.apply(body);
    assert_eq!(
        content(country),
        before,
        "a refusal changes nothing: {:?}",
        answer.items
    );
    answer.items
}

/// A lawful "no".
pub fn no(reason: Reason, detail: Detail) -> ItemAnswer {
    let rejection = Rejection::new(reason, detail);
    ItemAnswer::Refused { rejection }
}

/// An entry is refused for exactly this reason and changes nothing.
///
/// # Panics
/// When it is not.
pub fn entry_refused(country: &mut Country, body: Body, reason: Reason, detail: Detail) {
    let answers = harmless(country, body);
    assert!(!answers.is_empty(), "an entry is answered");
    for answer in answers {
        assert_eq!(answer, no(reason, detail.clone()));
    }
}

/// A command of somebody is refused for exactly this reason and changes nothing.
///
/// # Panics
/// When it is not.
pub fn refused(country: &mut Country, who: &str, command: Command, reason: Reason, detail: Detail) {
    let request = country.request(who, &[command]);
    let body = country.client_body(request);
    entry_refused(country, body, reason, detail);
}

/// A command of somebody is refused, by a rule that is still being chosen, and changes nothing. Answers the reason.
///
/// # Panics
/// When it is done.
pub fn reason_of(country: &mut Country, who: &str, command: Command) -> Reason {
    let request = country.request(who, &[command]);
    let body = country.client_body(request);
    match harmless(country, body).as_slice() {
        [ItemAnswer::Refused { rejection }] => rejection.reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// A statement of the roots is refused for exactly this reason and changes nothing.
///
/// # Panics
/// When it is not.
pub fn statement_refused(country: &mut Country, said: &Statement, reason: Reason, detail: Detail) {
    let signed = country.sign_statement(said);
    entry_refused(country, Body::Root { signed }, reason, detail);
}

/// What the nack at a leaf index says, or why there is none.
///
/// # Panics
/// When our own leaf does not decode.
pub fn nack_at(country: &Country, index: u64) -> Result<Rejection, Kind> {
    let Ok(record) = country.ledger.leaf(index);
    let record = record.expect("a leaf of the log");
    let leaf = Leaf::from_bytes(&record.leaf.0).expect("our own leaf");
    if leaf.kind != Kind::Nack {
        return Err(leaf.kind);
    }
    let what = record.values[usize::from(slot::EVENT)].as_ref();
    let what = what.expect("a nack says why");
    Ok(Rejection::from_bytes(&what.0).expect("a nack holds a rejection"))
}

/// Every item of a batch is proven and not believed: one nack each with exactly this reason, no record changes, and the
/// feed goes on.
///
/// # Panics
/// When it is not so.
pub fn nacked(country: &mut Country, batch: MailBatch, reason: Reason, detail: Detail) {
    let (records, size) = (
        country.ledger.records_digest(),
        country.registry().tree.size(),
    );
    let (from, count) = (batch.peer, batch.items.len());
    let last = batch.items.last().map(|item| item.sequence);
    let answer = country.apply(Body::Foreign { batch });
    assert_eq!(
        country.ledger.records_digest(),
        records,
        "a nack changes no record: {:?}",
        answer.items
    );
    assert_eq!(
        country.registry().tree.size(),
        size + count as u64,
        "one nack an item: {:?}",
        answer.items
    );
    for index in size..size + count as u64 {
        let expected = Rejection::new(reason, detail.clone());
        assert_eq!(nack_at(country, index), Ok(expected));
    }
    let Ok(peer) = country.ledger.peer(&from);
    assert_eq!(
        peer.map(|peer| peer.cursor),
        last.map(|last| last + 1),
        "the feed goes on"
    );
}

/// A batch of mail is not proven: it is answered with exactly this reason, changes nothing, and is asked for again.
///
/// # Panics
/// When it is not so.
pub fn unproven(country: &mut Country, batch: MailBatch, reason: Reason, detail: Detail) {
    let Ok(before) = country.ledger.peer(&batch.peer);
    let from = batch.peer;
    let answers = harmless(country, Body::Foreign { batch });
    assert_eq!(answers.last(), Some(&no(reason, detail)));
    let Ok(after) = country.ledger.peer(&from);
    assert_eq!(
        after.map(|peer| peer.cursor),
        before.map(|peer| peer.cursor),
        "the cursor stays"
    );
}
