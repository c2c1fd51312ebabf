//! The roots of a country are replaced, while it runs, by the word of those before and of those after.

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{ROOT_CHANGES_MAX, ROOTS_REPLACED_MAX};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{
    Bundle, RootSignature, RootsChange, Signed, Statement, root_signing_bytes,
};
use carnet_kit::{Country, befriend, text};

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
        ("QQ", "Malformed: QQ is not the code of a country"),
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
        changes: Vec::new(),
        bundle,
        fingerprint,
    }));
    assert_eq!(said, "Malformed: QQ is not the code of a country");
}

/// A bundle of a country, changed and signed by some of its keys.
fn bundle_by(of: &Country, sequence: u64, roots: &[&str], by: &[&str], valid_to: TimeMs) -> Signed {
    let bundle = Bundle {
        roots: keys(of, roots).iter().map(SecretKey::public).collect(),
        valid_to,
        ..of.bundle_of(sequence)
    };
    let bytes = bundle.to_bytes();
    let message = root_signing_bytes(&bytes);
    let sign = |key: &SecretKey| RootSignature {
        root: key.public(),
        signature: key.sign(&message),
    };
    Signed {
        signatures: keys(of, by).iter().map(sign).collect(),
        bytes: Blob(bytes),
    }
}

/// Two replacements, the bundle after the first has run out, and nobody can sign for the roots that stand here: the replacements
/// themselves, as the other country's log has them, lead to those who signed the bundle that is valid now. Nothing less does.
#[test]
fn two_replacements_that_a_peer_slept_through_are_followed() {
    let (mut x, mut y) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut x, &mut y);
    const LAST: [&str; 3] = ["root-4", "root-5", "root-6"];
    let first = change(&x, 1, &NEW);
    let second = change(&x, 2, &LAST);
    let statement = |change: &RootsChange| Statement::Roots {
        change: change.clone(),
    };
    let steps = [
        signed(
            &x,
            &statement(&first),
            &["root-0", "root-1", "root-2", "root-3"],
        ),
        signed(
            &x,
            &statement(&second),
            &["root-1", "root-3", "root-4", "root-6"],
        ),
    ];
    let mut after = Vec::new();
    for step in &steps {
        let body = Body::Root {
            signed: step.clone(),
        };
        assert_eq!(text(&x.apply(body).items[0]), "done");
        after.push(x.clone());
    }
    let Ok(peer) = y.ledger.peer(&x.prefix);
    let pinned = peer.expect("a peer").bundle;
    y.advance(DurationMs::from_days(400));
    let now = y.registry().log_time;
    // saturates: a time of the kit
    let later = now.saturating_add(DurationMs::from_days(90));
    // The bundle between the two, which both sets signed, ran out unread.
    let between = bundle_by(&after[0], 2, &NEW, &["root-1", "root-2"], TimeMs(now.0 - 1));
    let newest = bundle_by(&x, 3, &LAST, &["root-4", "root-5"], later);
    let Ok(before) = y.ledger.peer(&x.prefix);
    let before_leaf = before.expect("a peer").bundle_leaf;
    let mut recognise = |bundle: &Signed, changes: &[Signed]| {
        let read = Bundle::from_bytes(&bundle.bytes.0).expect("a bundle");
        text(&y.state(&Statement::Recognise {
            bundle: bundle.clone(),
            fingerprint: read.fingerprint(),
            changes: changes.to_vec(),
        }))
    };
    let unsigned = "StatementUnsigned: bundle of 86";
    assert!(recognise(&between, &steps[..1]).starts_with("StatementStale"));
    assert_eq!(recognise(&newest, &[]), unsigned);
    assert_eq!(recognise(&newest, &steps[..1]), unsigned);
    assert_eq!(recognise(&newest, &steps[1..]), unsigned);
    let [one, two] = steps.clone();
    assert_eq!(recognise(&newest, &[two.clone(), one.clone()]), unsigned);
    assert_eq!(
        recognise(&newest, &[one.clone(), one.clone(), two.clone()]),
        unsigned
    );
    // A replacement that only those before, or only those after, have signed.
    for half in [["root-0", "root-1"], ["root-2", "root-3"]] {
        let half = signed(&x, &statement(&first), &half);
        assert_eq!(recognise(&newest, &[half, two.clone()]), unsigned);
    }
    // One of another cluster in between, and one that left out a number.
    for other in [
        RootsChange {
            cluster: [9; 16],
            ..second.clone()
        },
        RootsChange {
            number: 3,
            ..second.clone()
        },
    ] {
        let other = signed(
            &x,
            &statement(&other),
            &["root-1", "root-3", "root-4", "root-6"],
        );
        assert_eq!(recognise(&newest, &[one.clone(), other]), unsigned);
    }
    // A statement of another kind is none.
    let other = x.sign_statement(&Statement::Recognise {
        bundle: newest.clone(),
        fingerprint: carnet_domain::bytes::digest::Digest::ZERO,
        changes: Vec::new(),
    });
    assert_eq!(recognise(&newest, &[other]), unsigned);
    assert_eq!(recognise(&newest, &steps), "done");
    let Ok(peer) = y.ledger.peer(&x.prefix);
    let peer = peer.expect("a peer");
    assert_ne!(peer.bundle.roots, pinned.roots);
    // Where it stands, and where those of before do, so that whoever pinned them is led on.
    assert_eq!(peer.roots_replaced, [before_leaf, peer.bundle_leaf]);
    assert_eq!(peer.bundle.roots, second.roots);
}

/// Of more replacements than are kept the first make way, and each that is kept stands in its order.
#[test]
fn of_replaced_roots_the_newest_are_kept() {
    let (mut x, mut y) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut x, &mut y);
    const OLD: [&str; 3] = ["root-0", "root-1", "root-2"];
    // saturates: a time of the kit
    let later = y.clock.saturating_add(DurationMs::from_days(90));
    let prefix = x.prefix;
    let peer = |y: &Country| {
        let Ok(peer) = y.ledger.peer(&prefix);
        peer.expect("a peer")
    };
    let mut stood = vec![peer(&y).bundle_leaf];
    for number in 1..=ROOTS_REPLACED_MAX as u64 + 2 {
        let roots = if number % 2 == 1 { NEW } else { OLD };
        let replacing = Statement::Roots {
            change: change(&x, number, &roots),
        };
        // Two are of both sets, and sign for either.
        let both = ["root-1", "root-2"];
        let replacing = signed(&x, &replacing, &both);
        let body = Body::Root {
            signed: replacing.clone(),
        };
        assert_eq!(text(&x.apply(body).items[0]), "done", "{number}");
        let bundle = bundle_by(&x, number + 1, &roots, &both, later);
        let read = Bundle::from_bytes(&bundle.bytes.0).expect("a bundle");
        let said = text(&y.state(&Statement::Recognise {
            fingerprint: read.fingerprint(),
            bundle,
            changes: vec![replacing],
        }));
        assert_eq!(said, "done", "{number}");
        stood.push(peer(&y).bundle_leaf);
        let newest = stood.len().saturating_sub(ROOTS_REPLACED_MAX); // saturates: few are all kept
        assert_eq!(peer(&y).roots_replaced, stood[newest..], "{number}");
    }
}

/// Roots that came back are not led on to those between by the statements of then: whoever still has those roots' keys would sign.
#[test]
fn a_replacement_of_roots_is_followed_once() {
    let (mut x, mut y) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut x, &mut y);
    const OLD: [&str; 3] = ["root-0", "root-1", "root-2"];
    // saturates: a time of the kit
    let later = y.clock.saturating_add(DurationMs::from_days(90));
    let both = ["root-1", "root-2"];
    // Too few of the old ones, and enough of the new.
    let between = ["root-2", NEW[2]];
    let replaced = |x: &mut Country, number: u64, roots: &[&str]| {
        let change = change(x, number, roots);
        let replacing = signed(x, &Statement::Roots { change }, &both);
        let body = Body::Root {
            signed: replacing.clone(),
        };
        assert_eq!(text(&x.apply(body).items[0]), "done", "{number}");
        replacing
    };
    let mut recognise = |x: &Country, sequence: u64, by: &[&str], changes: Vec<Signed>| {
        let roots: &[&str] = if sequence == 2 { &OLD } else { &NEW };
        let bundle = bundle_by(x, sequence, roots, by, later);
        let read = Bundle::from_bytes(&bundle.bytes.0).expect("a bundle");
        text(&y.state(&Statement::Recognise {
            fingerprint: read.fingerprint(),
            bundle,
            changes,
        }))
    };
    let way = vec![replaced(&mut x, 1, &NEW), replaced(&mut x, 2, &OLD)];
    assert_eq!(recognise(&x, 2, &both, way.clone()), "done");
    // Whoever has those keys writes the bundle that follows as its country would.
    let third = replaced(&mut x, 3, &NEW);
    let unsigned = "StatementUnsigned: bundle of 86";
    assert_eq!(recognise(&x, 3, &between, way[..1].to_vec()), unsigned);
    // The whole way is no less than what comes behind those that were followed.
    let way = [way, vec![third]].concat();
    assert_eq!(recognise(&x, 3, &between, way), "done");
    // Without any the roots are those that are known.
    assert_eq!(recognise(&x, 4, &between, Vec::new()), "done");
}

/// Whoever recognises a country for the first time has compared its newest bundle, and nothing leads there.
#[test]
fn replacements_of_roots_lead_on_from_some_that_are_known() {
    let (mut x, mut y) = (Country::with_market("86"), Country::with_market("49"));
    let step = Statement::Roots {
        change: change(&x, 1, &NEW),
    };
    let step = signed(&x, &step, &["root-0", "root-1", "root-2"]);
    let bundle = x.bundle();
    let fingerprint = Bundle::from_bytes(&bundle.bytes.0)
        .expect("a bundle")
        .fingerprint();
    let said = text(&y.state(&Statement::Recognise {
        bundle,
        fingerprint,
        changes: vec![step],
    }));
    assert_eq!(said, "Malformed");
}
