//! A registry that lies, for the core: it writes any leaf into its own log, changes what a true leaf says, replays,
//! reorders, equivocates and floods. Whatever a peer can check of it holds.
//!
//! The client that lies is in [`crate::program`], the bytes in between in [`crate::extremes`].

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::{Link, Step};
use carnet_domain::log::leaf::{Kind, Leaf, Slots, Subject};
use carnet_domain::machine::entry::MailBatch;
use carnet_domain::record::event::{Standing, slot};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::State;
use carnet_kit::forge::Forged;
use carnet_kit::{Country, agreed, transfer};

/// The status that the map shows of a departed robot.
pub const DEPARTED: u8 = 7;

/// Everything a liar has for a country that it has not applied, every slot shown.
///
/// # Panics
/// When they are no peers.
pub fn lies(from: &mut Country, to: &Country) -> MailBatch {
    from.close();
    let Ok(peer) = to.ledger.peer(&from.prefix);
    let peer = peer.expect("lies are told to a peer");
    from.lying_mail(&to.prefix, peer.size_seen, peer.cursor)
}

/// Writes a leaf about a robot that no rule asked for, and tells it to `to`.
pub fn say(liar: &mut Country, kind: Kind, code: &Code, slots: Slots, to: &Prefix) {
    say_of(liar, kind.number(), Subject::robot(code), slots, to);
}

/// As [`say`], about anything and of any kind, known or not.
pub fn say_of(liar: &mut Country, kind: u64, subject: Subject, slots: Slots, to: &Prefix) {
    let status = DEPARTED;
    liar.forge(
        Forged {
            kind,
            subject,
            slots,
            status,
        },
        to,
    );
}

/// The slots of the newest leaf that a country has for another's mailbox.
///
/// # Panics
/// When there is none.
pub fn last_said(country: &Country, to: &Prefix) -> Slots {
    let mailbox = country.ledger.mailbox(to, 0);
    let (_, index) = mailbox.last().expect("something was said");
    let Ok(record) = country.ledger.leaf(*index);
    let mut slots = Slots::new();
    let values = record.expect("a leaf of the log").values;
    for (slot, value) in slots.values.iter_mut().zip(values) {
        *slot = value.map(|bytes| bytes.0);
    }
    slots
}

/// Says something once more: the leaf of an index stands once more in the mailbox.
///
/// # Panics
/// When they are no peers.
pub fn tell_again(liar: &mut Country, index: u64, to: &Prefix) {
    let Ok(peer) = liar.ledger.peer(to);
    let mut peer = peer.expect("lies are told to a peer");
    let Ok(()) = liar.ledger.post(to, peer.outbox, index);
    peer.outbox += 1;
    let Ok(()) = liar.ledger.put_peer(peer);
}

/// The hash of a robot's newest leaf at a country.
///
/// # Panics
/// When there is none.
pub fn last_leaf(country: &Country, code: &Code) -> Digest {
    let head = country.ledger.last_leaf(&Subject::robot(code).key());
    head.expect("a leaf about the robot").leaf_hash
}

/// Says that a robot with this body has been scrapped.
pub fn say_ended(liar: &mut Country, code: &Code, body: Digest, to: &Prefix) {
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::BODY, &body);
    slots.set(slot::STATE, &standing(State::Scrapped));
    say(liar, Kind::LifeCycle, code, slots, to);
}

/// A standing without holds and recalls.
pub fn standing(state: State) -> Standing {
    Standing {
        state,
        holds: Vec::new(),
        owed: Vec::new(),
        remedied: Vec::new(),
    }
}

/// A link of transfer `number` from one country to another.
pub fn link(step: Step, number: u8, epoch: u64, from: &Prefix, to: &Prefix, prev: Digest) -> Link {
    Link {
        step,
        transfer: Some(transfer(number)),
        epoch,
        from: Some(*from),
        to: *to,
        prev,
        agreement: Some(agreed(*from, *to)),
    }
}

/// A custody leaf: link and event, and nothing of the robot.
pub fn step_slots(code: &Code, link: &Link, event: &Command) -> Slots {
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::CUSTODY, link);
    slots.set(slot::EVENT, event);
    slots
}

/// How often each kind of leaf stands in a country's log from an index on.
///
/// # Panics
/// When our own leaf does not decode.
pub fn kinds_since(country: &Country, from: u64) -> Vec<Kind> {
    let Ok(leaves) = country.ledger.leaves(from, u64::MAX, usize::MAX);
    let leaves = leaves.iter().map(|record| Leaf::from_bytes(&record.leaf.0));
    leaves
        .map(|leaf| leaf.expect("our own leaf").kind)
        .collect()
}
