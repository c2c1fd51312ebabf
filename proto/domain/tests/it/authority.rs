//! Every leaf of a log commits to what authorised it by the published formula, and fills no slot that the published
//! table calls null. Both are computed here a second time, from what is stored.

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::log::authority::Envelope;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Kind, Leaf, Subject, SubjectType, slot_names};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::Body;
use carnet_domain::machine::{rule, whole_envelope};
use carnet_domain::record::Severity;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_kit::{Country, transfer};

use crate::border::{export, offer_batch, two, waiting};

/// Leaves by kind of what two countries go through together: export, refusal with its cancel, recall, fork.
fn story() -> [Country; 2] {
    let (mut a, mut b) = two();
    export(&mut a, &mut b, 1, 1);
    a.must("maker", a.register(2));
    a.must("customs", a.declare(2, transfer(2), &b.prefix));
    a.deliver(&mut b);
    let refuse = Command::RefuseImport {
        transfer: transfer(2),
        reason: "no papers".into(),
    };
    b.must("customs", refuse);
    b.deliver(&mut a);
    a.deliver(&mut b);
    let recall = carnet_kit::samples::recall(&a, "R-1", Severity::Advisory);
    a.must("maker", recall);
    a.deliver(&mut b);
    // The same robot is offered in one history and not in the other.
    let mut other = a.clone();
    a.must("customs", a.declare(2, transfer(3), &b.prefix));
    a.deliver(&mut b);
    other.must("customs", other.declare(2, transfer(4), &b.prefix));
    let forked = waiting(&mut other, &b);
    let answer = offer_batch(&mut b, forked);
    assert!(answer.starts_with("PeerQuarantined"), "{answer}");
    a.close();
    b.close();
    [a, b]
}

fn leaves(country: &Country) -> Vec<LeafRecord> {
    let Ok(leaves) = country.ledger.leaves(0, u64::MAX, usize::MAX);
    leaves
}

/// The envelopes that a leaf may rest on, by what is kept of its entry: one, or one for each item of a batch.
fn envelopes(country: &Country, index: u64, record: &LeafRecord) -> Vec<Envelope> {
    let kept = country.ledger.envelope(record.envelope);
    let kept = kept.map(|bytes| Body::from_bytes(bytes).expect("a body"));
    match (record.class, kept) {
        (0, Some(kept)) => {
            let Ok(all) = country.ledger.leaves(record.envelope, u64::MAX, usize::MAX);
            let of_entry = |leaf: &LeafRecord| leaf.envelope == record.envelope && leaf.class == 0;
            let all: Vec<LeafRecord> = all.into_iter().filter(of_entry).collect();
            let Some(Body::Actor { request, .. }) = whole_envelope(kept, &all) else {
                panic!("leaf {index} has no whole envelope");
            };
            vec![Envelope::Actor {
                header: request.header,
                signature: request.signature,
                first_item: request.first_item,
                items: request.items,
                range_proof: request.range_proof,
            }]
        }
        (1, Some(Body::Foreign { batch })) => {
            let incarnation = 0;
            let origin = Origin {
                prefix: batch.peer,
                incarnation,
            };
            let checkpoint = Blob(batch.checkpoint.clone().into_bytes());
            let size = batch.checkpoint.lines().nth(1).expect("a size");
            let alone = Envelope::Foreign {
                origin: origin.to_string(),
                checkpoint: checkpoint.clone(),
                index: size.parse().expect("a number"),
                leaf: None,
                path: Vec::new(),
                disclosed: None,
            };
            let of_item = |item: carnet_domain::machine::entry::MailItem| Envelope::Foreign {
                origin: origin.to_string(),
                checkpoint: checkpoint.clone(),
                index: item.proven.index,
                leaf: Some(item.proven.leaf),
                path: item.proven.path,
                disclosed: Some(item.proven.disclosed),
            };
            batch
                .items
                .into_iter()
                .map(of_item)
                .chain([alone])
                .collect()
        }
        (2, _) => {
            let of = |rule, cause: Vec<u8>| Envelope::System {
                rule,
                cause: Blob(cause),
            };
            let cancels = (1..=4).map(|n| of(rule::CANCEL_AFTER_REFUSAL, transfer(n).to_bytes()));
            let head = of(rule::MAP_HEAD, index.to_bytes());
            cancels.chain([head]).collect()
        }
        (3, Some(Body::Root { signed })) => {
            let signatures = signed.signatures.iter();
            vec![Envelope::Root {
                statement: signed.bytes.clone(),
                signatures: signatures.map(|s| (s.root.key_id(), s.signature)).collect(),
            }]
        }
        (class, kept) => panic!("leaf {index} of class {class} rests on {kept:?}"),
    }
}

#[test]
fn every_leaf_commits_to_its_envelope_as_published() {
    let mut kinds = std::collections::BTreeSet::new();
    for country in &story() {
        for (index, record) in (0u64..).zip(&leaves(country)) {
            let leaf = Leaf::from_bytes(&record.leaf.0).expect("a leaf");
            kinds.insert((record.class, leaf.kind));
            let committed = envelopes(country, index, record).iter().any(|envelope| {
                assert_eq!(envelope.class(), record.class);
                let authority = envelope.authority(record.item).expect("its item");
                authority.auth(&record.seed) == leaf.auth
            });
            let name = leaf.kind.name();
            assert!(committed, "leaf {index} of {}, {name}", country.prefix);
        }
    }
    for kind in [
        (3, Kind::Genesis),
        (3, Kind::TrustList),
        (3, Kind::Agreement),
        (0, Kind::Register),
        (1, Kind::Foreign),
        (1, Kind::ForkEvidence),
        (2, Kind::Custody),
        (2, Kind::MapHead),
    ] {
        assert!(kinds.contains(&kind), "{kind:?} is not in the story");
    }
}

#[test]
fn slots_that_the_published_table_calls_null_are_null() {
    let mut kinds = std::collections::BTreeSet::new();
    for country in &story() {
        // The letter of a subject stands in its key only: try them all.
        for record in leaves(country) {
            let leaf = Leaf::from_bytes(&record.leaf.0).expect("a leaf");
            let named = record.values.first().and_then(Option::as_ref);
            let Some(name) = named else {
                assert!(
                    record.values.iter().all(Option::is_none) && leaf.kind == Kind::MapHead,
                    "a leaf that names no subject"
                );
                continue;
            };
            let name = String::from_bytes(&name.0).expect("a name");
            let of = |kind: &&SubjectType| Subject::new(**kind, name.clone()).key() == leaf.key;
            let subject = SubjectType::ALL.iter().find(of).expect("its subject");
            kinds.insert(*subject);
            for (slot, (name, value)) in slot_names(*subject).iter().zip(&record.values).enumerate()
            {
                let kind = leaf.kind.name();
                assert!(
                    name.is_some() || value.is_none(),
                    "slot {slot} of {kind} about {subject:?}"
                );
            }
        }
    }
    for subject in [
        SubjectType::Robot,
        SubjectType::Enterprise,
        SubjectType::Model,
        SubjectType::Office,
        SubjectType::Recall,
        SubjectType::Peer,
        SubjectType::Jurisdiction,
    ] {
        assert!(kinds.contains(&subject), "{subject:?} is not in the story");
    }
}
