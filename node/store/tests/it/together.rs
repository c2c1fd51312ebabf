//! Signatures of a run are checked together; what each request is answered is what it is answered alone.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::{Answer, ItemAnswer, Request};
use carnet_domain::record::Holder;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_kit::Country;
use carnet_store::artefact::content_digest;
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::RegistryState;

use crate::voters::membership;

type State = RegistryState<MemoryEngine>;

fn state() -> (State, MemoryEngine) {
    let engine = MemoryEngine::new();
    let state = RegistryState::open(engine.clone()).expect("opens");
    (state, engine)
}

/// Everything that a country did, after the members of its cluster.
fn records(country: &Country) -> Vec<LogRecord> {
    let entries = country.entries.iter();
    let entries = entries.map(|entry| Payload::Entry(entry.to_bytes().into()));
    let payloads = std::iter::once(membership(&[&carnet_kit::VOTERS])).chain(entries);
    let record = |(index, payload)| LogRecord {
        position: LogPosition {
            term: 1,
            node: 1,
            index,
        },
        payload,
    };
    (1..).zip(payloads).map(record).collect()
}

/// The reasons that `asked` are answered, `None` for done: by one replica that has them as one run and by one that has
/// them singly, which agree in every byte.
fn answers(country: &mut Country, asked: Vec<Request>) -> Vec<Option<Reason>> {
    let count = asked.len();
    for request in asked {
        country.ask(request);
    }
    let records = records(country);
    let first = records.len() - count;
    let (whole, whole_engine) = state();
    let (singly, singly_engine) = state();
    for state in [&whole, &singly] {
        state.apply(records[..first].to_vec()).expect("applies");
    }
    let of_run = whole.apply(records[first..].to_vec()).expect("applies");
    let mut of_each = Vec::new();
    for record in &records[first..] {
        of_each.extend(singly.apply(vec![record.clone()]).expect("applies"));
    }
    assert_eq!(of_run, of_each);
    assert_eq!(
        content_digest(&whole_engine).expect("a digest"),
        content_digest(&singly_engine).expect("a digest"),
    );
    let reason = |bytes: &bytes::Bytes| {
        let answer = Answer::from_bytes(bytes).expect("an answer");
        match answer.items.as_slice() {
            [ItemAnswer::Done { .. }] => None,
            [ItemAnswer::Refused { rejection }] => Some(rejection.reason),
            other => panic!("one item has one answer: {other:?}"),
        }
    };
    of_run.iter().map(reason).collect()
}

fn registrations(country: &mut Country, name: &str, serials: std::ops::Range<u32>) -> Vec<Request> {
    let request = |serial| {
        let command = country.register(serial);
        country.request(name, &[command])
    };
    serials.map(request).collect()
}

#[test]
fn a_signature_that_does_not_hold_is_refused_alone_wherever_it_stands_in_a_run() {
    const COUNT: usize = 9;
    for bad in [vec![], vec![0], vec![4], vec![8], vec![2, 3]] {
        let mut country = Country::with_market("86");
        let mut asked = registrations(&mut country, "maker", 1..1 + COUNT as u32);
        for at in &bad {
            asked[*at].signature.0[40] ^= 1;
        }
        let expected: Vec<_> = (0..COUNT)
            .map(|at| bad.contains(&at).then_some(Reason::BadSignature))
            .collect();
        assert_eq!(answers(&mut country, asked), expected, "{bad:?}");
    }
}

#[test]
fn a_key_enrolled_or_retired_within_a_run_counts_from_there() {
    let mut country = Country::with_market("86");
    country.session("registrar");
    let public = country.key("maker").public();
    let mut asked = registrations(&mut country, "maker", 1..6);
    let retire = Command::RetireSigner {
        public,
        compromised_after: None,
        reason: "left".into(),
    };
    asked.insert(3, country.request("registrar", &[retire]));
    let inactive = Some(Reason::SignerNotActive);
    let expected = vec![None, None, None, None, inactive, inactive];
    assert_eq!(answers(&mut country, asked), expected);

    let mut country = Country::with_market("86");
    country.session("registrar");
    let mut asked = registrations(&mut country, "maker", 1..6);
    let enrol = country.enrolment(
        "second",
        Holder::Enterprise {
            id: country.enterprise("0001"),
        },
        Role::Manufacturer,
        "second",
    );
    asked.insert(0, country.request("registrar", &[enrol]));
    // The session is the maker's: the same party and subject, another key of it.
    let command = country.register(9);
    let mut header = country.header("maker", std::slice::from_ref(&command));
    header.key = country.key("second").public().key_id();
    asked.push(country.part("second", &header, &[command], 0, 1));
    assert_eq!(answers(&mut country, asked), vec![None; 7]);
}
