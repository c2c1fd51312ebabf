//! Leaves: what is published of them is what stands in them.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::Step;
use carnet_domain::log::authority::Envelope;
use carnet_domain::log::leaf::{Expansion, Kind, Leaf, Subject, SubjectType, slot_names};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::Severity;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_hostile::liar::{lies, link, say, step_slots};
use carnet_hostile::scene::{d, export, offer, two};
use carnet_kit::Country;
use carnet_kit::samples::{recall, recall_id};

/// Probe x03: the authorisation of a statement of the roots is that of its published envelope.
#[test]
fn a_leaf_of_the_roots_commits_to_their_envelope() {
    let a = Country::new("86");
    let Ok(record) = a.ledger.leaf(0);
    let record = record.expect("the genesis");
    let leaf = Leaf::from_bytes(&record.leaf.0).expect("our own leaf");
    let body = Body::from_bytes(a.ledger.envelope(0).expect("kept")).expect("our own body");
    let Body::Root { signed } = body else {
        panic!("the genesis is of the roots");
    };
    let signatures = signed.signatures.iter();
    let envelope = Envelope::Root {
        statement: signed.bytes.clone(),
        signatures: signatures
            .map(|one| (one.root.key_id(), one.signature))
            .collect(),
    };
    let authority = envelope.authority(0).expect("class 3");
    let auth = Expansion::of(&record.seed).auth(authority.class(), authority.as_bytes());
    assert_eq!(leaf.auth, auth);
}

/// Probe x07: what a leaf says of a refusal is a number with arguments, and no words.
#[test]
fn a_nack_holds_no_words() {
    let (mut a, mut b) = two();
    let code = "33000110000200000000000000001".parse().expect("a code");
    let step = link(Step::Offer, 1, 1, &b.prefix, &a.prefix, d("x"));
    let event = offer(&b, &a, code, 1);
    let slots = step_slots(&code, &step, &event);
    say(&mut b, Kind::Custody, &code, slots, &a.prefix);
    let batch = lies(&mut b, &a);
    a.apply(Body::Foreign { batch });
    let Ok(record) = a.ledger.leaf(a.registry().tree.size() - 1);
    let values = record.expect("a leaf").values;
    let what = values[usize::from(slot::EVENT)].as_ref().expect("said");
    let said = Rejection::from_bytes(&what.0).expect("typed");
    assert_eq!(said.reason, Reason::NotInCustody);
    for words in [said.reason.name(), said.reason.text(), "offers", "chain"] {
        let found = what.0.windows(words.len()).any(|at| at == words.as_bytes());
        assert!(!found, "{words}");
    }
}

/// Probe x08: a slot that the published table calls null is null.
#[test]
fn slots_that_the_table_calls_null_are_null() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    a.must("maker", recall(&a, "R-1", Severity::StopUse));
    a.deliver(&mut b);
    let remedy = Command::RemedyRecall {
        code,
        recall: recall_id(&a, "R-1"),
        report: d("report"),
    };
    b.must("registrar", remedy);
    let mut seen = 0;
    for country in [&a, &b] {
        let subjects = [
            Subject::robot(&code),
            Subject::new(SubjectType::Recall, recall_id(&a, "R-1").to_string()),
            Subject::enterprise(&country.enterprise("0001")),
            Subject::model(&country.model("0001", "100002")),
            Subject::jurisdiction(&a.prefix),
            Subject::jurisdiction(&b.prefix),
        ];
        for subject in subjects {
            let names = slot_names(subject.kind);
            for index in country.ledger.history(&subject.key()) {
                let Ok(record) = country.ledger.leaf(index);
                let values = record.expect("a leaf").values;
                for (at, (name, value)) in names.iter().zip(&values).enumerate() {
                    assert!(name.is_some() || value.is_none(), "leaf {index}, slot {at}");
                    seen += usize::from(value.is_some());
                }
            }
        }
    }
    assert!(seen > 60, "{seen} slots");
}
