//! The roots of a country are replaced, while it runs, by the word of those before and of those after.

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::limits::ROOT_CHANGES_MAX;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::peer::{
    RootSignature, RootsChange, Signed, Statement, root_signing_bytes,
};
use carnet_kit::{Country, text};

fn keys(x: &Country, names: &[&str]) -> Vec<SecretKey> {
    names.iter().map(|name| x.key(name)).collect()
}

fn change(x: &Country, number: u64, roots: &[&str]) -> RootsChange {
    let public: Vec<PublicKey> = keys(x, roots).iter().map(SecretKey::public).collect();
    RootsChange {
        cluster: x.registry().cluster,
        number,
        roots: public,
        threshold: 2,
        reason: "root-0 was lost".into(),
    }
}

/// A statement with the signatures of some.
fn signed(x: &Country, statement: &Statement, by: &[&str]) -> Signed {
    let bytes = statement.to_bytes();
    let message = root_signing_bytes(&bytes);
    let sign = |key: &SecretKey| RootSignature {
        root: key.public(),
        signature: key.sign(&message),
    };
    Signed {
        signatures: keys(x, by).iter().map(sign).collect(),
        bytes: Blob(bytes),
    }
}

fn say(x: &mut Country, change: &RootsChange, by: &[&str]) -> String {
    let change = change.clone();
    let signed = signed(x, &Statement::Roots { change }, by);
    text(&x.apply(Body::Root { signed }).items[0])
}

const NEW: [&str; 3] = ["root-1", "root-2", "root-3"];

/// One is lost: the other two and the new one go on, and the lost one says nothing any more.
#[test]
fn lost_roots_are_replaced_by_the_others() {
    let mut x = Country::with_market("86");
    let to = change(&x, 1, &NEW);
    // Neither those before nor those after alone.
    for by in [
        ["root-0", "root-1"],
        ["root-2", "root-3"],
        ["root-1", "root-3"],
    ] {
        let said = say(&mut x, &to, &by);
        assert!(said.starts_with("StatementUnsigned"), "{by:?}: {said}");
    }
    assert_eq!(say(&mut x, &to, &["root-1", "root-2"]), "done");
    let registry = x.registry();
    assert_eq!(registry.roots, to.roots);
    assert_eq!(registry.root_leaves, [registry.tree.size() - 1]);
    // It is used up, and what the lost one signs is none.
    let again = say(&mut x, &to, &["root-1", "root-2"]);
    assert!(again.starts_with("StatementStale"), "{again}");
    let back = change(&x, 2, &["root-0", "root-1", "root-2"]);
    let said = say(&mut x, &back, &["root-0", "root-1"]);
    assert!(said.starts_with("StatementUnsigned"), "{said}");
    assert_eq!(
        say(&mut x, &back, &["root-3", "root-2", "root-1", "root-0"]),
        "done"
    );
}

/// What is stolen below the threshold replaces nothing, and a replacement is of one cluster and one number.
#[test]
fn a_replacement_states_what_it_may() {
    let mut x = Country::with_market("86");
    let honest = change(&x, 1, &NEW);
    let all = ["root-0", "root-1", "root-2", "root-3"];
    let cases: [(RootsChange, &str); 5] = [
        (
            RootsChange {
                number: 2,
                ..honest.clone()
            },
            "StatementStale",
        ),
        (
            RootsChange {
                cluster: [9; 16],
                ..honest.clone()
            },
            "WrongAudience",
        ),
        (
            RootsChange {
                threshold: 0,
                ..honest.clone()
            },
            "StatementUnsigned",
        ),
        (
            RootsChange {
                threshold: 4,
                ..honest.clone()
            },
            "StatementUnsigned",
        ),
        (change(&x, 1, &["root-1", "root-1", "root-2"]), "Malformed"),
    ];
    for (change, expected) in cases {
        let said = say(&mut x, &change, &all);
        assert!(said.starts_with(expected), "{expected}: {said}");
    }
    assert_eq!(x.registry().root_leaves.len(), 0);
}

#[test]
fn roots_are_replaced_so_often() {
    let mut x = Country::with_market("86");
    let sets: [&[&str]; 2] = [&NEW, &["root-0", "root-1", "root-2"]];
    let all = ["root-0", "root-1", "root-2", "root-3"];
    for number in 0..ROOT_CHANGES_MAX {
        let to = change(&x, number as u64 + 1, sets[number % 2]);
        assert_eq!(say(&mut x, &to, &all), "done", "{number}");
    }
    let to = change(&x, ROOT_CHANGES_MAX as u64 + 1, &NEW);
    let said = say(&mut x, &to, &all);
    assert!(
        said.starts_with("RecordFull: 64 replacements of the roots"),
        "{said}"
    );
}

/// Countries that do not exist are neither founded nor recognised; those for trying out are.
#[test]
fn a_prefix_of_letters_is_a_countrys() {
    for (prefix, expected) in [
        ("QQ", "Malformed: QQ is no country"),
        ("XA", "done"),
        ("FR", "done"),
        ("86", "done"),
    ] {
        let mut x = Country::unborn(prefix);
        let genesis = x.genesis();
        let signed = x.sign_statement(&Statement::Genesis { genesis });
        let said = text(&x.apply(Body::Root { signed }).items[0]);
        assert_eq!(said, expected, "{prefix}");
    }
    let mut x = Country::with_market("86");
    let bundle = Country::unborn("QQ").bundle();
    let fingerprint = carnet_domain::record::peer::Bundle::from_bytes(&bundle.bytes.0)
        .expect("a bundle")
        .fingerprint();
    let said = text(&x.state(&Statement::Recognise {
        bundle,
        fingerprint,
    }));
    assert_eq!(said, "Malformed: QQ is no country");
}
