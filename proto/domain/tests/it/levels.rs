//! Versions and the feature level: what a registry does not know yet is unknown to it, whatever the binary knows; and the
//! places that a later level fills are empty now.

use carnet_domain::bytes::encoding::{Canonical, Encoder};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::signature::Signature;
use carnet_domain::log::leaf::{Kind, Leaf};
use carnet_domain::machine::entry::{Body, Knows};
use carnet_domain::record::Robot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_kit::{Country, text, transfer};

use crate::border::{admit, depart, permit, two};

fn level(number: u16) -> Level {
    Level::new(number).expect("a level")
}

/// A schema as it is after two levels.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Old {},
    New { number: u64 },
}
carnet_domain::canonical_variants!(Said { 1 => Old {}, 2 => New { number } since 2 });

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Old,
    New,
}
carnet_domain::canonical_enum!(Word { 1 => Old, 2 => New since 2 });

#[test]
fn what_a_higher_level_brought_is_as_unknown_as_what_nobody_knows() {
    let new = Said::New { number: 7 }.to_bytes();
    assert_eq!(
        Said::from_bytes_at(&new, level(2)),
        Ok(Said::New { number: 7 })
    );
    let unknown = Said::from_bytes_at(&new, level(1)).expect_err("unknown at level 1");
    let mut nobody = Encoder::new();
    nobody.array(2);
    nobody.uint(3);
    nobody.uint(7);
    let nobody = Said::from_bytes_at(&nobody.finish(), level(2)).expect_err("unknown to all");
    assert_eq!(unknown.offset, nobody.offset);
    assert_eq!(unknown.to_string().replace('2', "3"), nobody.to_string());
    let old = Said::Old {}.to_bytes();
    assert_eq!(Said::from_bytes_at(&old, level(1)), Ok(Said::Old {}));

    let new = Word::New.to_bytes();
    assert_eq!(Word::from_bytes_at(&new, level(2)), Ok(Word::New));
    assert!(Word::from_bytes_at(&new, level(1)).is_err());
    assert_eq!(Word::ALL, [Word::Old, Word::New]);
}

#[test]
fn a_record_of_another_version_is_not_read() {
    let x = Country::with_market("86");
    let command = x.register(1).to_bytes();
    // `[1, 11, registration]`.
    assert_eq!(command[..3], [0x83, 1, 11]);
    let mut later = command.clone();
    later[1] = 2;
    let error = Command::from_bytes(&later).expect_err("no version of ours");
    assert_eq!(error.to_string(), "byte 1: 2 is not a version of Command");
    let mut x = x;
    x.must("maker", x.register(1));
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let mut bytes = robot.expect("registered").to_bytes();
    assert!(Robot::from_bytes(&bytes).is_ok());
    bytes[1] = 2;
    assert!(Robot::from_bytes(&bytes).is_err());
}

fn raise(to: u16, seen: &[(u64, u16)]) -> Body {
    let seen = seen.iter();
    let seen = seen.map(|(node, knows)| Knows {
        node: *node,
        level: level(*knows),
    });
    Body::RaiseLevel {
        to: level(to),
        seen: seen.collect(),
    }
}

#[test]
fn the_level_is_raised_by_one_when_every_member_knows_it() {
    let mut x = Country::with_market("86");
    assert_eq!(x.registry().level, Level::FIRST);
    let mut no = |body: Body| text(&x.apply(body).items[0]);
    let all = [(1, 2), (2, 2), (3, 2)];
    assert_eq!(
        no(raise(1, &all)),
        "LevelRefused: the level is 1, asked for is 1"
    );
    assert_eq!(
        no(raise(3, &all)),
        "LevelRefused: the level is 1, asked for is 3"
    );
    assert_eq!(
        no(raise(2, &[(1, 2), (2, 1), (3, 2)])),
        "LevelRefused: node 2 knows level 1"
    );
    assert_eq!(
        no(raise(2, &[(1, 2), (3, 2), (4, 2)])),
        "LevelRefused: node 2 knows nothing that it said"
    );
    for twice in [
        &[(1, 2), (1, 2), (2, 2), (3, 2)][..],
        &[(3, 2), (2, 2), (1, 2)],
    ] {
        assert!(no(raise(2, twice)).starts_with("Malformed"), "{twice:?}");
    }
    let size = x.registry().tree.size();
    assert_eq!(
        text(&x.apply(raise(2, &[(1, 3), (2, 2), (3, 2)])).items[0]),
        "done"
    );
    assert_eq!(x.registry().level, level(2));
    assert_eq!(x.registry().tree.size(), size + 1);
    let Ok(record) = x.ledger.leaf(size);
    let leaf = Leaf::from_bytes(&record.expect("written").leaf.0).expect("our own leaf");
    assert_eq!(leaf.kind, Kind::Policy);
    // Once: the next is 3.
    assert_eq!(
        text(&x.apply(raise(2, &all)).items[0]),
        "LevelRefused: the level is 2, asked for is 2"
    );
}

/// A learner counts: it will have to apply what comes after.
#[test]
fn a_learner_that_does_not_know_the_level_keeps_it_down() {
    let mut x = Country::with_market("86");
    let Ok(mut members) = x.ledger.members();
    members.all.insert(9);
    x.ledger.set_members(members);
    let voters = raise(2, &[(1, 2), (2, 2), (3, 2)]);
    assert_eq!(
        text(&x.apply(voters).items[0]),
        "LevelRefused: node 9 knows nothing that it said"
    );
    let all = raise(2, &[(1, 2), (2, 2), (3, 2), (9, 2)]);
    assert_eq!(text(&x.apply(all).items[0]), "done");
}

#[test]
fn a_rule_that_is_not_published_runs_by_no_entry() {
    let mut x = Country::with_market("86");
    for number in [0, 1, 2, 3, 4, 11, u16::MAX] {
        let body = Body::Rule { number, cursor: 0 };
        let expected = format!("RuleUnknown: rule {number}");
        assert_eq!(text(&x.apply(body).items[0]), expected);
    }
}

#[test]
fn places_of_a_later_level_are_empty() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, vec![]));
    b.deliver(&mut a);
    a.must("customs", depart(1));
    a.deliver(&mut b);
    let mut signed = admit(1);
    if let Command::Admit {
        countersignature, ..
    } = &mut signed
    {
        *countersignature = Some(Signature([7; 64]));
    }
    assert_eq!(text(&b.command("customs", signed)), "Malformed");
    b.must("customs", admit(1));
}
