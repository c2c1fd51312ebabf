//! Evidence about an enterprise, a model, a recall: what holds, and what does not when any part of it is another.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::leaf::Subject;
use carnet_domain::log::merkle::inclusion_proof;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::reader::Whole;
use carnet_domain::record::{Enterprise, EnterpriseStatus};
use carnet_domain::rules::command::Command;
use carnet_kit::Country;
use carnet_trust::evidence::{
    BuildError, Newest, Published, SubjectEvidence, SubjectProof, build_subject, parse_subject,
};

use crate::story::origin;

fn built(country: &Country, code: &str) -> Result<SubjectEvidence, String> {
    let id = country.enterprise(code);
    let Ok(found) = Ledger::enterprise(&country.ledger, &id);
    let newest = found.and_then(|found| found.head).map(|head| Newest {
        index: head.leaf_index,
        facts: Digest::ZERO,
    });
    let registry = country.registry();
    let published = Published {
        origin: origin(country),
        checkpoint: &registry.checkpoint,
        size: registry.published.as_ref().expect("published").size,
    };
    let subject = Subject::enterprise(&id);
    build_subject(&country.ledger, &published, subject, newest)
        .map_err(|error: BuildError<_>| error.to_string())
}

fn verified(country: &Country, evidence: &SubjectEvidence) -> String {
    let again = parse_subject(&evidence.to_bytes()).expect("canonical");
    match again.verify(&country.registry().keys, &origin(country)) {
        Err(error) => format!("{}: {error}", error.field()),
        Ok(proven) => match proven.record::<Enterprise>() {
            Ok(Some(record)) => format!("{} {:?}", record.id, record.status),
            Ok(None) => "absent".to_owned(),
            Err(error) => error.to_string(),
        },
    }
}

#[test]
fn a_subject_is_proven_or_proven_to_be_absent_and_nothing_between() {
    let mut country = Country::with_market("86");
    country.close();
    let before = built(&country, "0001").expect("a closed log");
    let id = country.enterprise("0001");
    let status = EnterpriseStatus::Suspended;
    let reason = "why".to_owned();
    let suspend = Command::SetEnterpriseStatus { id, status, reason };
    country.must("registrar", suspend);
    assert!(
        built(&country, "0001").is_err(),
        "records of another moment"
    );
    country.close();
    let good = built(&country, "0001").expect("a closed log");
    let other = built(&country, "0002").expect("a closed log");
    let none = built(&country, "9999").expect("a closed log");
    assert_eq!(verified(&country, &good), "860001 Suspended");
    assert_eq!(verified(&country, &none), "absent");

    let with = |change: &dyn Fn(&mut SubjectEvidence)| {
        let mut changed = good.clone();
        change(&mut changed);
        verified(&country, &changed)
    };
    let starts = |found: String, expected: &str| {
        assert!(found.starts_with(expected), "{found}\nnot {expected}");
    };
    starts(with(&|e| e.frame.origin.incarnation = 1), "origin: ");
    starts(
        with(&|e| e.frame.checkpoint = before.frame.checkpoint.clone()),
        "map_head: ",
    );
    starts(
        with(&|e| e.frame.map_head = before.frame.map_head.clone()),
        "map_head: ",
    );
    starts(
        with(&|e| e.subject = other.subject.clone()),
        "subject: subject: the leaf is of another subject",
    );
    starts(
        with(&|e| e.found = other.found.clone()),
        "subject: subject: the leaf is of another subject",
    );
    starts(with(&|e| e.found = none.found.clone()), "subject");
    // The leaf of before the suspension is in the log, and not the newest.
    let (SubjectProof::Present { proven: older, .. }, SubjectProof::Present { proof, value, .. }) =
        (before.found.clone(), good.found.clone())
    else {
        panic!("it is there");
    };
    let mut older = older;
    older.path = inclusion_proof(
        &Whole(&country.ledger),
        older.index,
        good.frame.map_head.index + 1,
    )
    .expect("a log in memory");
    let swapped = SubjectProof::Present {
        proven: older,
        value: value.clone(),
        proof: proof.clone(),
    };
    starts(
        with(&|e| e.found = swapped.clone()),
        "subject: subject: the map shows another leaf as the newest",
    );
    starts(
        with(&|e| {
            e.found = SubjectProof::Absent {
                proof: proof.clone(),
            };
        }),
        "subject: subject: said to be absent, the map has it",
    );
    starts(
        with(&|e| {
            if let SubjectProof::Present { value, .. } = &mut e.found {
                value.status = 1;
            }
        }),
        "subject: subject: the map has another value",
    );
    // Hidden is not absent.
    starts(
        with(&|e| {
            if let SubjectProof::Present { proven, .. } = &mut e.found {
                proven.disclosed = proven.disclosed.narrowed(&[slot::CODE]);
            }
        }),
        "slot 1 is hidden",
    );
}
