//! The stored view and the ledger in memory show a peer the same bytes.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::mail;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::machine::entry::MailBatch;
use carnet_kit::{Country, MAIL_BYTES_MAX, befriend, transfer};
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::{Published, RegistryState};
use carnet_trust::evidence::{self, SLOTS_FOR_AUTHORITIES};

use super::*;

/// 86 with a robot offered to 44.
fn country() -> Country {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    let register = a.register(1);
    a.must("maker", register);
    let declare = a.declare(1, transfer(1), &b.prefix);
    a.must("maker", declare);
    a.close();
    a
}

fn apply(state: &RegistryState<MemoryEngine>, country: &Country, from: usize) {
    let record = |(index, entry): (usize, &carnet_domain::machine::entry::Entry)| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index: index as u64 + 1,
        },
        payload: Payload::Entry(entry.to_bytes().into()),
    };
    let entries = country.entries.iter().enumerate().skip(from);
    state
        .apply(entries.map(record).collect())
        .expect("memory does not fail");
}

fn stored(country: &Country) -> (RegistryState<MemoryEngine>, Published) {
    let state = RegistryState::open(MemoryEngine::new()).expect("memory does not fail");
    apply(&state, country, 0);
    let published = state.published().expect("it was published");
    (state, published)
}

fn mailed(published: &Published, to: Prefix) -> MailBatch {
    let reader = records_of(published);
    let items = reader.mail(&to, 0, 256).expect("mail");
    let registry = registry_of(published);
    mail::batch(&reader, &registry, &to, 0, items, MAIL_BYTES_MAX).expect("a batch")
}

#[test]
fn a_batch_is_the_same_from_disk_and_from_memory() {
    let country = country();
    let (_, published) = stored(&country);
    let to = Prefix::parse("44").expect("a prefix");
    let batch = mailed(&published, to);
    assert_eq!(batch.items.len(), 1);
    assert_eq!(batch, country.mail(&to, 0, 0).expect("a batch"));
}

#[test]
fn evidence_is_the_same_from_disk_and_from_memory() {
    let country = country();
    let (_, published) = stored(&country);
    let head = evidence::Published {
        origin: Origin {
            prefix: country.prefix,
            incarnation: 0,
        },
        checkpoint: &published.checkpoint,
        size: published.size,
    };
    let reader = records_of(&published);
    for serial in [1, 2] {
        let code = country.code(serial);
        let one = evidence::build(&reader, &head, &code, SLOTS_FOR_AUTHORITIES);
        let other = evidence::build(&country.ledger, &head, &code, SLOTS_FOR_AUTHORITIES);
        let one = one.expect("evidence").to_bytes();
        assert_eq!(one, other.expect("evidence").to_bytes());
    }
}

#[test]
fn what_comes_after_the_publication_is_not_seen() {
    let mut country = country();
    let (state, published) = stored(&country);
    let to = Prefix::parse("44").expect("a prefix");
    let before = mailed(&published, to);
    let applied = country.entries.len();
    let register = country.register(2);
    country.must("maker", register);
    let declare = country.declare(2, transfer(2), &to);
    country.must("maker", declare);
    country.seal();
    apply(&state, &country, applied);
    let published = state.published().expect("it was published");
    assert_eq!(mailed(&published, to), before);
    let applied = country.entries.len();
    country.publish();
    apply(&state, &country, applied);
    let published = state.published().expect("it was published");
    assert_eq!(mailed(&published, to).items.len(), 2);
}

#[test]
fn a_state_that_stands_at_its_seal_serves_it_at_once_after_a_start() {
    let country = country();
    let engine = MemoryEngine::new();
    let state = RegistryState::open(engine.clone()).expect("memory does not fail");
    apply(&state, &country, 0);
    let before = state.published().expect("it was published");
    let started = RegistryState::open(engine).expect("memory does not fail");
    let after = started.published().expect("served without a new seal");
    assert_eq!(after.checkpoint, before.checkpoint);
    let to = Prefix::parse("44").expect("a prefix");
    assert_eq!(mailed(&after, to), mailed(&before, to));
}

#[test]
fn a_seal_that_was_not_published_before_a_start_is_served_when_it_is() {
    let mut country = country();
    let register = country.register(2);
    country.must("maker", register);
    country.seal();
    let engine = MemoryEngine::new();
    let state = RegistryState::open(engine.clone()).expect("memory does not fail");
    apply(&state, &country, 0);
    let started = RegistryState::open(engine).expect("memory does not fail");
    let applied = country.entries.len();
    country.publish();
    apply(&started, &country, applied);
    let size = started.published().map(|published| published.size);
    assert_eq!(size, Some(country.registry().tree.size()));
}
