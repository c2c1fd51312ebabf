//! The roots' order to skip a log entry: who may give it, about what, and the one leaf that it leaves.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::SKIP_SIGNATURES_MAX;
use carnet_domain::log::authority::Envelope;
use carnet_domain::log::leaf::{Kind, Leaf, Subject};
use carnet_domain::machine;
use carnet_domain::machine::entry::Body;
use carnet_domain::machine::order::{Skip, entry_digest, judge};
use carnet_domain::record::AgreementRef;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{RootSignature, Signed, Statement, root_signing_bytes};
use carnet_kit::Country;
use carnet_kit::memory::MemoryLedger;

const AT: u64 = 77;
const POISON: &[u8] = b"not even canonical";

fn order(country: &Country) -> Skip {
    Skip {
        cluster: country.registry().cluster,
        log_index: AT,
        entry: entry_digest(POISON),
    }
}

fn signed_by(country: &Country, skip: &Skip, roots: &[&str]) -> Signed {
    let signatures = roots.iter().map(|root| skip.sign(&country.key(root)));
    Signed {
        signatures: signatures.collect(),
        ..skip.unsigned()
    }
}

/// What becomes of an order at the entry that stands at [`AT`]: the ledger after it, or the refusal.
fn skipped(country: &Country, signed: &Signed) -> Result<MemoryLedger, String> {
    let order = judge(signed, Some(&country.registry())).map_err(|error| error.to_string())?;
    let order = order
        .for_entry(AT, &entry_digest(POISON))
        .map_err(|error| error.to_string())?;
    let mut ledger = country.ledger.clone();
    let Ok(()) = machine::skip(&mut ledger, &order, POISON);
    Ok(ledger)
}

fn refused(country: &Country, signed: &Signed, expected: &str) {
    assert_eq!(
        skipped(country, signed).expect_err("a refusal"),
        expected,
        "{signed:?}"
    );
}

#[test]
fn every_sufficient_set_of_roots_leaves_the_same_bytes() {
    let country = Country::with_market("86");
    let skip = order(&country);
    let mut forged = skip.sign(&country.key("root-2"));
    forged.root = country.key("stranger").public();
    let sets = [
        signed_by(&country, &skip, &["root-0", "root-1"]),
        signed_by(&country, &skip, &["root-2", "root-1"]),
        signed_by(&country, &skip, &["root-0", "root-1", "root-2", "root-0"]),
        Signed {
            signatures: [
                vec![forged],
                signed_by(&country, &skip, &["root-0", "root-2"]).signatures,
            ]
            .concat(),
            ..skip.unsigned()
        },
    ];
    let ledgers: Vec<MemoryLedger> = sets
        .iter()
        .map(|signed| skipped(&country, signed).expect("the threshold signed"))
        .collect();
    assert!(ledgers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(ledgers[0].digest(), ledgers[3].digest());
}

#[test]
fn a_skipped_entry_leaves_one_leaf_about_the_jurisdiction_and_changes_nothing_else() {
    let country = Country::with_market("86");
    let skip = order(&country);
    let before = country.registry();
    let after = skipped(&country, &signed_by(&country, &skip, &["root-0", "root-1"]))
        .expect("the threshold signed");
    let Ok(registry) = after.registry();
    let registry = registry.expect("a registry");
    assert_eq!(registry.tree.size(), before.tree.size() + 1);
    assert_eq!(registry.unsealed, before.unsealed + 1);
    assert_eq!(registry.log_time, before.log_time);

    let Ok(record) = after.leaf(before.tree.size());
    let record = record.expect("its leaf");
    let leaf = Leaf::from_bytes(&record.leaf.0).expect("canonical");
    let own = before.own_head.expect("the genesis");
    assert_eq!(leaf.kind, Kind::Policy);
    assert_eq!(Kind::Policy.number(), 25);
    assert_eq!(leaf.key, Subject::jurisdiction(&country.prefix).key());
    assert_eq!((leaf.seq, leaf.prev), (own.seq + 1, own.leaf_hash));
    assert_eq!(leaf.t_ms, before.log_time);
    // Class 3 commits to the root-signed bytes as they are kept: the order without its signatures.
    let kept = Envelope::Root {
        statement: Blob(skip.to_bytes()),
        signatures: Vec::new(),
    };
    assert_eq!(record.class, 3);
    let authority = kept.authority(0).expect("one statement");
    assert_eq!(leaf.auth, authority.auth(&record.seed));
    let told = record.values[usize::from(slot::EVENT)].clone();
    assert_eq!(told, Some(Blob(skip.to_bytes())));

    // Beside leaf and registry nothing differs: the same leaf written by hand gives the same ledger.
    let mut rest = after.clone();
    let Ok(()) = rest.put_registry(before);
    assert_ne!(rest, country.ledger, "the leaf itself is there");
    assert_eq!(
        rest.robots().collect::<Vec<_>>(),
        country.ledger.robots().collect::<Vec<_>>()
    );
}

#[test]
fn an_order_that_is_not_this_registrys_is_refused() {
    let country = Country::with_market("86");
    let skip = order(&country);
    let both = ["root-0", "root-1"];
    let foreign = Skip {
        cluster: [7; 16],
        ..skip.clone()
    };
    let own = hex::encode(skip.cluster);
    refused(
        &country,
        &signed_by(&country, &foreign, &both),
        &format!("meant for cluster {}, this is {own}", "07".repeat(16)),
    );
    let unsigned = "not signed by 2 of the 3 roots";
    refused(&country, &skip.unsigned(), unsigned);
    refused(&country, &signed_by(&country, &skip, &["root-0"]), unsigned);
    refused(
        &country,
        &signed_by(&country, &skip, &["root-0", "root-0", "root-0"]),
        unsigned,
    );
    refused(
        &country,
        &signed_by(&country, &skip, &["root-0", "log", "registrar"]),
        unsigned,
    );
    let neighbour = Country::new("49");
    refused(&country, &signed_by(&neighbour, &skip, &both), unsigned);
    // The signature is over the bytes that came, not over what they mean.
    let moved = Skip {
        log_index: AT + 1,
        ..skip.clone()
    };
    let swapped = Signed {
        signatures: signed_by(&country, &moved, &both).signatures,
        ..skip.unsigned()
    };
    refused(&country, &swapped, unsigned);
    refused(
        &country,
        &signed_by(&country, &skip, &["root-0"; SKIP_SIGNATURES_MAX + 1]),
        "17 signatures, allowed are 16",
    );
    let error = judge(&signed_by(&country, &skip, &both), None).expect_err("no roots");
    assert_eq!(
        error.to_string(),
        "no roots are known before the genesis is applied: nothing can be skipped"
    );
}

#[test]
fn an_order_is_about_one_index_and_one_entry() {
    let country = Country::with_market("86");
    let skip = order(&country);
    let both = ["root-0", "root-1"];
    for index in [0, AT - 1, AT + 1, u64::MAX] {
        let other = Skip {
            log_index: index,
            ..skip.clone()
        };
        refused(
            &country,
            &signed_by(&country, &other, &both),
            &format!("about log entry {index}, not {AT}"),
        );
    }
    let other = Skip {
        entry: Digest::ZERO,
        ..skip.clone()
    };
    let here = entry_digest(POISON);
    refused(
        &country,
        &signed_by(&country, &other, &both),
        &format!(
            "log entry {AT} has digest {here}, the order names {}",
            Digest::ZERO
        ),
    );
}

#[test]
fn an_order_and_a_statement_of_the_roots_are_never_taken_for_each_other() {
    let mut country = Country::with_market("86");
    let skip = order(&country);
    // Signed as a statement: the domain string differs.
    let as_statement = Signed {
        signatures: country.root_signatures(&skip.to_bytes()),
        ..skip.unsigned()
    };
    refused(&country, &as_statement, "not signed by 2 of the 3 roots");
    // An order in the log is no statement, whoever signed it in whichever way.
    for signed in [
        as_statement,
        signed_by(&country, &skip, &["root-0", "root-1", "root-2"]),
    ] {
        let answer = country.apply(Body::Root { signed });
        let text = carnet_kit::text(&answer.items[0]);
        assert!(text.starts_with("Malformed"), "{text}");
    }
    // A statement is no order, even with an order's signatures over it.
    let statement = Statement::Suspend {
        peer: Prefix::parse("49").expect("a prefix"),
        agreement: AgreementRef::parse("49-86:1").expect("name and version"),
        number: 1,
        until: TimeMs::MAX,
        reason: "why".into(),
    }
    .to_bytes();
    let root = country.key("root-0");
    let message = root_signing_bytes(&statement);
    let signed = Signed {
        bytes: Blob(statement),
        signatures: vec![RootSignature {
            root: root.public(),
            signature: root.sign(&message),
        }],
    };
    let error = judge(&signed, Some(&country.registry())).expect_err("no order");
    assert!(error.to_string().starts_with("not an order"), "{error}");
}
