//! Evidence by itself: its frozen layout, what the builder refuses, and what each field is checked against.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::map::{MapEnd, MapProof, MapValue};
use carnet_domain::machine::entry::ProvenHead;
use carnet_domain::record::{ApprovalStatus, EnterpriseStatus, ModelStanding};
use carnet_kit::Country;
use carnet_trust::evidence::{
    BuildError, EVIDENCE_VERSION, Evidence, EvidenceError, Frame, Joined, ModelProof,
    ProvenEvidence, Published, RobotProof, SLOTS_FOR_AUTHORITIES, build,
};

use crate::story::*;

fn small(robot: RobotProof, model: Option<ModelProof>) -> Evidence {
    Evidence {
        frame: Frame {
            version: EVIDENCE_VERSION,
            origin: Origin {
                prefix: Prefix::parse("86").expect("a prefix"),
                incarnation: 0,
            },
            checkpoint: "note".into(),
            map_head: ProvenHead {
                index: 7,
                leaf: Blob(vec![0x80]),
                path: Vec::new(),
            },
            joined: None,
        },
        code: Code::parse("86000110000200000000000000001").expect("a code"),
        robot,
        model,
        chain: Vec::new(),
    }
}

#[test]
fn the_layout_of_evidence_is_frozen() {
    let proof = MapProof {
        siblings: Vec::new(),
        end: MapEnd::Empty,
    };
    let absent = RobotProof::Absent {
        proof: proof.clone(),
    };
    let model = ModelProof {
        standing: ModelStanding {
            approval: ApprovalStatus::Approved,
            enterprise: EnterpriseStatus::Active,
            level: 3,
            safety_class: 2,
            recalls: Vec::new(),
        },
        value: MapValue {
            status: 1,
            seq: 0,
            leaf_index: 5,
            leaf_hash: Digest([1; 32]),
            facts: Digest([2; 32]),
        },
        proof,
    };
    let frame = concat!(
        "8503",       // version
        "8262383600", // origin
        "646e6f7465", // checkpoint
        "8307418080", // map head
    );
    let rest = concat!(
        "781d3836303030313130303030323030303030303030303030303030303031", // code
        "82028280f6",                                                     // robot: absent
    );
    let head = format!("85{frame}f6{rest}");
    let one = concat!(
        "83",
        "850101030280", // standing
        "85010005",     // value
        "58200101010101010101010101010101010101010101010101010101010101010101", // its leaf
        "58200202020202020202020202020202020202020202020202020202020202020202", // its facts
        "8280f6",       // proof
    );
    let bytes = |evidence: Evidence| hex::encode(evidence.to_bytes());
    assert_eq!(
        bytes(small(absent.clone(), None)),
        format!("{head}f680"),
        "without a model"
    );
    assert_eq!(
        bytes(small(absent.clone(), Some(model))),
        format!("{head}{one}80"),
        "with a model"
    );
    let mut joined = small(absent, None);
    joined.frame.joined = Some(Joined {
        size: 5,
        path: vec![Digest([3; 32])],
    });
    let tail = "8205815820".to_owned() + &"03".repeat(32);
    assert_eq!(
        bytes(joined),
        format!("85{frame}{tail}{rest}f680"),
        "joined"
    );
}

fn verified(country: &Country, evidence: &Evidence) -> String {
    match evidence.verify(&country.registry().keys, &origin(country)) {
        Ok(proven) => format!("size {}", proven.size()),
        Err(error) => format!("{}: {error}", error.field()),
    }
}

#[test]
fn each_field_is_checked_by_itself() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let good = evidence(&mut a, code);
    a.must("maker", a.register(2));
    let second = a.code(2);
    let later = evidence(&mut a, second);
    let absent = a.code(3);
    let none = evidence(&mut a, absent);
    let size = good.frame.map_head.index + 1;
    assert_eq!(verified(&a, &good), format!("size {size}"));
    assert!(matches!(none.robot, RobotProof::Absent { .. }));

    let with = |change: &dyn Fn(&mut Evidence)| {
        let mut changed = good.clone();
        change(&mut changed);
        verified(&a, &changed)
    };
    let starts = |found: String, expected: &str| {
        assert!(found.starts_with(expected), "{found}\nnot {expected}");
    };
    starts(with(&|e| e.frame.origin.incarnation = 1), "origin: ");
    starts(
        with(&|e| e.frame.checkpoint = later.frame.checkpoint.clone()),
        "map_head: ",
    );
    starts(
        with(&|e| e.frame.map_head = later.frame.map_head.clone()),
        "map_head: ",
    );
    starts(
        with(&|e| e.frame.map_head.index -= 1),
        "map_head: map head: leaf",
    );
    starts(with(&|e| e.robot = later.robot.clone()), "robot: ");
    starts(with(&|e| e.robot = none.robot.clone()), "robot.proof: ");
    starts(
        with(&|e| e.code = second),
        "robot: robot: the leaf is of another subject",
    );
    starts(with(&|e| e.chain.reverse()), &format!("size {size}"));
    starts(
        with(&|e| e.chain.push(e.chain[0].clone())),
        "chain: custody leaf",
    );
    starts(
        with(&|e| {
            if let Some(model) = &mut e.model {
                model.standing.approval = ApprovalStatus::Suspended;
            }
        }),
        "model: model: the standing is not the one the map names",
    );
    starts(
        with(&|e| {
            if let RobotProof::Present { value, .. } = &mut e.robot {
                value.status = 1;
            }
        }),
        "robot: robot: the map has another value",
    );
    // An older leaf of the robot, included and open, is not its newest.
    let older = good.chain[0].clone();
    starts(
        with(&|e| {
            if let RobotProof::Present { proven, .. } = &mut e.robot {
                *proven = older.clone();
            }
        }),
        "robot: robot: the map shows another leaf as the newest",
    );
    // A robot that is there cannot be said to be absent.
    starts(
        with(&|e| {
            if let RobotProof::Present { proof, .. } = &e.robot {
                e.robot = RobotProof::Absent {
                    proof: proof.clone(),
                };
            }
        }),
        "robot: robot: said to be absent, the map has it",
    );
    // The builder's own departure stands in the chain once another leaf is the newest.
    assert_eq!(good.chain.len(), 1, "the departure");
}

#[test]
fn records_of_another_moment_give_no_evidence() {
    let (mut a, _) = two();
    let code = a.code(1);
    a.close();
    let registry = a.registry();
    let published = |size| Published {
        origin: origin(&a),
        checkpoint: &registry.checkpoint,
        size,
    };
    let size = registry.published.as_ref().map_or(0, |sealed| sealed.size);
    let built = |country: &Country, size| {
        build(
            &country.ledger,
            &published(size),
            &code,
            SLOTS_FOR_AUTHORITIES,
        )
        .map(|_| ())
    };
    assert_eq!(built(&a, size), Ok(()));
    assert_eq!(built(&a, 0), Err(BuildError::NothingPublished));
    // A leaf that was appended since is not covered by the head that is published.
    let mut ahead = a.clone();
    hold(
        &mut ahead,
        "regulator",
        code,
        carnet_domain::rules::lifecycle::HoldKind::Theft,
    );
    assert_eq!(built(&ahead, size), Err(BuildError::Moved("robot")));
    // Neither is a map that was sealed since.
    ahead.seal();
    assert_eq!(built(&ahead, size), Err(BuildError::Moved("map")));
}

/// What is remembered of a head stands in for its signature, and for nothing else.
#[test]
fn a_head_that_is_shown_again_is_judged_as_one_that_is_shown_first() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let absent = a.code(3);
    let (good, none) = (evidence(&mut a, code), evidence(&mut a, absent));
    a.must("maker", a.register(2));
    let later = evidence(&mut a, code);
    let (keys, of_b) = (a.registry().keys.clone(), b.registry().keys.clone());
    let of = origin(&a);
    let said = |verified: Result<ProvenEvidence, EvidenceError>| match verified {
        Ok(proven) => format!("{:?}", (proven.head(), proven.identities().len())),
        Err(error) => error.to_string(),
    };
    let mut seen = None;
    for shown in [&good, &none, &later, &good, &later, &later] {
        let again = said(shown.verify_again(&mut seen, &keys, &of));
        assert_eq!(again, said(shown.verify(&keys, &of)));
        assert!(seen.is_some());
    }
    let mut spoiled: Vec<Evidence> = Vec::new();
    let mut with = |change: &dyn Fn(&mut Evidence)| {
        let mut other = later.clone();
        change(&mut other);
        spoiled.push(other);
    };
    with(&|one| one.frame.checkpoint.insert(0, 'x'));
    with(&|one| one.frame.checkpoint = good.frame.checkpoint.clone());
    with(&|one| one.frame.map_head = good.frame.map_head.clone());
    with(&|one| one.frame.map_head.index += 1);
    with(&|one| one.frame.map_head.path[0].0[0] ^= 1);
    with(&|one| one.frame.map_head.leaf.0[9] ^= 1);
    with(&|one| one.frame.origin = origin(&b));
    with(&|one| one.code = absent);
    with(&|one| one.robot = none.robot.clone());
    for (at, shown) in spoiled.iter().enumerate() {
        let mut remembers = seen.clone();
        let first = said(shown.verify(&keys, &of));
        let again = said(shown.verify_again(&mut remembers, &keys, &of));
        assert_eq!(again, first, "{at}");
        assert!(shown.verify(&keys, &of).is_err(), "{at}");
    }
    // Nor is it of every log by every key.
    let mut remembers = seen.clone();
    assert!(later.verify_again(&mut remembers, &of_b, &of).is_err());
    assert!(
        later
            .verify_again(&mut remembers, &keys, &origin(&b))
            .is_err()
    );
}
