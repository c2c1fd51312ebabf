//! Keys of admins, registrars and regulators: two people, and never the last.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::PROPOSAL_TIME;
use carnet_domain::log::leaf::{Subject, SubjectType};
use carnet_domain::log::map::{MapEnd, MapValue, prove};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::Holder;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::offices::{Change, Profile};
use carnet_domain::record::peer::{Genesis, OfficeOrder, Statement};
use carnet_domain::record::reader::Whole;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, text};

use crate::rules::check;

fn add(x: &Country, name: &str, role: Role, person: &str) -> Command {
    x.enrolment(name, x.office(role.word()), role, person)
}

fn retire(x: &Country, name: &str) -> Command {
    Command::RetireSigner {
        public: x.key(name).public(),
        compromised_after: None,
        reason: "left".into(),
    }
}

fn reject(number: u64) -> Command {
    Command::RejectProposal {
        number,
        reason: "mistaken".into(),
    }
}

/// The number of what was proposed last.
fn newest(x: &Country) -> u64 {
    let proposals = x.registry().offices.proposals;
    proposals.last().expect("something waits").number
}

const SAME: &str = "SecondPartyRequired: the first step was taken by the same party";

#[test]
fn a_supervisor_is_added_by_two_admins_of_different_persons() {
    let mut x = Country::with_market("86");
    let second_key = add(&x, "admin-again", Role::Admin, "admin");
    x.must("admin", second_key.clone());
    x.must("admin-2", second_key);
    let new = add(&x, "regulator-2", Role::Regulator, "ruth");
    check(&mut x, "admin", new.clone(), "done");
    assert_eq!(x.registry().offices.proposals.len(), 1, "it is listed");
    let lift = Command::LiftHold {
        code: x.code(1),
        kind: carnet_domain::rules::lifecycle::HoldKind::Theft,
        reason: "x".into(),
    };
    let opening = x.opening("regulator-2", [9; 16]);
    let said = text(&x.apply(opening).items[0]);
    assert!(
        said.starts_with("SignerUnknown"),
        "not enrolled yet: {said}"
    );
    check(&mut x, "admin", new.clone(), SAME);
    // Another key of the same person is the same word.
    check(&mut x, "admin-again", new.clone(), SAME);
    // Another content is another proposal, and takes nothing from the first: a slip of the second admin is said again.
    let other = add(&x, "regulator-2", Role::Admin, "ruth");
    check(&mut x, "admin-2", other, "done");
    assert_eq!(x.registry().offices.proposals.len(), 2);
    check(&mut x, "admin-2", new.clone(), "done");
    assert!(x.registry().offices.proposals.is_empty());
    check(&mut x, "admin-2", new, "SignerExists…");
    check(&mut x, "regulator-2", lift, "RobotUnknown…");
}

#[test]
fn a_proposal_expires() {
    let mut x = Country::with_market("86");
    let new = add(&x, "regulator-2", Role::Regulator, "ruth");
    x.must("admin", new.clone());
    x.advance(PROPOSAL_TIME);
    x.advance(DurationMs::from_days(1));
    // The other's command is the first of two words again.
    x.must("admin-2", new.clone());
    assert_eq!(x.registry().offices.persons(Role::Regulator, None), 1);
    x.must("admin", new);
    assert_eq!(x.registry().offices.persons(Role::Regulator, None), 2);
}

#[test]
fn the_last_of_a_role_is_never_retired() {
    let mut x = Country::with_market("86");
    let roles = |role: &str| format!("LastOfRole: {role} would be left without …");
    for (name, role) in [
        ("registrar", "registrar"),
        ("regulator", "regulator"),
        // One admin without a second could add nobody.
        ("admin-2", "admin"),
    ] {
        let command = retire(&x, name);
        check(&mut x, "registrar", command.clone(), "RoleNotAllowed: …");
        check(&mut x, "admin", command, &roles(role));
    }
    let new = add(&x, "regulator-2", Role::Regulator, "ruth");
    x.must("admin", new.clone());
    x.must("admin-2", new);
    let command = retire(&x, "regulator");
    check(&mut x, "admin", command.clone(), "done");
    check(&mut x, "admin", command.clone(), SAME);
    assert_eq!(x.registry().offices.persons(Role::Regulator, None), 2);
    check(&mut x, "admin-2", command.clone(), "done");
    assert_eq!(x.registry().offices.persons(Role::Regulator, None), 1);
    check(&mut x, "admin-2", command, "SignerNotActive…");
}

/// The fault: one admin enrolled a customs key in the registrar's office, and that was the desk of all its persons.
#[test]
fn an_office_that_says_whose_it_is_has_keys_of_no_other_role() {
    let mut x = Country::with_market("86");
    for (office, role) in [
        ("registrar", Role::Customs),
        ("registrar", Role::Auditor),
        ("regulator", Role::Registrar),
        ("customs", Role::Admin),
    ] {
        let enrol = x.enrolment("eve", x.office(office), role, "eve");
        check(&mut x, "admin", enrol, "RoleNotAllowed: …");
    }
    // Nor has one that does not say it: it owns what it owns without keys.
    for name in ["police/north", "shanghai", "customs", "customs/"] {
        let name = name.to_owned();
        let enrol = x.enrolment("chen", Holder::Office { name }, Role::Customs, "chen");
        check(&mut x, "admin", enrol, "RoleNotAllowed: …");
    }
    let enrol = x.enrolment("chen", x.office("customs"), Role::Customs, "chen");
    check(&mut x, "admin", enrol, "done");
}

/// Who is a desk is enrolled by two admins, and an office names whose hand a key is in.
#[test]
fn a_customs_officer_is_enrolled_by_two_admins_by_name() {
    let mut x = Country::with_market("86");
    let nameless = add(&x, "customs-2", Role::Customs, "");
    check(
        &mut x,
        "admin",
        nameless,
        "Malformed: a key of an office names whose hand it is in",
    );
    let named = add(&x, "customs-2", Role::Customs, "carla");
    check(&mut x, "admin", named.clone(), "done");
    check(&mut x, "admin", named.clone(), SAME);
    check(&mut x, "admin-2", named, "done");
    let gone = retire(&x, "customs-2");
    check(&mut x, "admin", gone, "done");
}

/// Whether the map shows a key in this state: 1 in force, 2 proposed, 3 not.
fn shows(x: &Country, name: &str, status: u8) -> bool {
    let id = x.key(name).public().key_id();
    let key = Subject::new(SubjectType::Office, id.to_string()).key();
    let Ok(head) = x.ledger.head_of(&key);
    let head = head.expect("a leaf");
    let value = MapValue {
        status,
        seq: head.seq,
        leaf_index: head.leaf_index,
        leaf_hash: head.leaf_hash,
        facts: Digest::ZERO,
    };
    let proof = prove(&Whole(&x.ledger), &key).expect("in memory");
    let value = value.digest();
    proof.end == MapEnd::Leaf { key, value }
}

/// The fault: one admin's proposal about a key that had been retired showed it in force.
#[test]
fn the_map_shows_a_key_as_its_record_is_whatever_is_proposed_of_it() {
    let mut x = Country::with_market("86");
    let new = add(&x, "regulator-2", Role::Regulator, "ruth");
    let first = retire(&x, "regulator-2");
    let worse = Command::RetireSigner {
        public: x.key("regulator-2").public(),
        compromised_after: Some(0),
        reason: "stolen".into(),
    };
    let withdraw = reject(0);
    for (who, command, status) in [
        ("admin", new.clone(), 2),
        ("admin", withdraw.clone(), 3),
        ("admin", new.clone(), 2),
        ("admin-2", new, 1),
        ("admin", first.clone(), 1),
        ("admin", withdraw.clone(), 1),
        ("admin", first.clone(), 1),
        ("admin-2", first, 3),
        ("admin", worse.clone(), 3),
        ("admin", withdraw, 3),
        ("admin", worse.clone(), 3),
        ("admin-2", worse, 3),
    ] {
        let said = command.name();
        let command = match command {
            Command::RejectProposal { .. } => reject(newest(&x)),
            command => command,
        };
        check(&mut x, who, command, "done");
        x.seal();
        assert!(shows(&x, "regulator-2", status), "{said}: not {status}");
    }
}

/// What an admin proposed who is none any more waits for nobody.
#[test]
fn the_word_of_a_retired_admin_is_none() {
    let mut x = Country::with_market("86");
    let third = add(&x, "admin-3", Role::Admin, "third");
    x.must("admin", third.clone());
    x.must("admin-2", third);
    let new = add(&x, "regulator-2", Role::Regulator, "ruth");
    x.must("admin-3", new.clone());
    let gone = retire(&x, "admin-3");
    x.must("admin", gone.clone());
    x.must("admin-2", gone);
    x.must("admin", new);
    assert_eq!(x.registry().offices.persons(Role::Regulator, None), 1);
}

fn begin(change: impl Fn(&mut Genesis)) -> (Country, String) {
    let mut x = Country::unborn("86");
    let mut genesis = x.genesis();
    change(&mut genesis);
    let signed = x.sign_statement(&Statement::Genesis { genesis });
    let said = text(&x.apply(Body::Root { signed }).items[0]);
    (x, said)
}

#[test]
fn a_registry_in_earnest_begins_with_two_admins() {
    let two =
        "SecondPartyRequired: a registry in earnest begins with two admins of different persons";
    let one_admin = |genesis: &mut Genesis| {
        genesis.signers.truncate(2);
    };
    assert_eq!(begin(one_admin).1, two);
    let one_person = |genesis: &mut Genesis| {
        for signer in &mut genesis.signers {
            signer.person = "the same".into();
        }
    };
    assert_eq!(begin(one_person).1, two);
    let (mut x, said) = begin(|genesis| {
        genesis.signers.truncate(2);
        genesis.profile = Profile::Sandbox;
    });
    assert_eq!(said, "done");
    let new = add(&x, "regulator", Role::Regulator, "ruth");
    check(&mut x, "admin", new, "done");
    assert_eq!(x.registry().offices.persons(Role::Regulator, None), 1);
    let last = retire(&x, "admin");
    check(&mut x, "admin", last, "LastOfRole: …");
}

fn order(x: &Country, number: u64, changes: Vec<Change>) -> Statement {
    Statement::Offices {
        order: OfficeOrder {
            cluster: x.registry().cluster,
            number,
            changes,
            reason: "the second admin lost the key".into(),
        },
    }
}

fn enrolled(x: &Country, name: &str, role: Role, person: &str) -> Change {
    x.addition(name, role.word(), role, person)
}

fn retired(x: &Country, name: &str) -> Change {
    Change::Retire {
        public: x.key(name).public(),
        compromised_after: None,
    }
}

/// Of two admins one lost the key: the other alone could enrol and retire nobody, for ever.
#[test]
fn the_roots_give_a_country_its_second_admin_again() {
    let mut x = Country::with_market("86");
    let say = |x: &mut Country, number, changes: Vec<Change>| {
        let statement = order(x, number, changes);
        text(&x.state(&statement))
    };
    let lost = retired(&x, "admin-2");
    let new = enrolled(&x, "admin-3", Role::Admin, "third");
    // Nothing that leaves too few, nothing of enterprises, nothing twice.
    let last = "LastOfRole: admin would be left …";
    let customs = enrolled(&x, "maker-2", Role::Manufacturer, "m");
    let nameless = enrolled(&x, "admin-4", Role::Admin, "");
    let same = enrolled(&x, "admin-4", Role::Admin, "admin");
    for (changes, expected) in [
        (vec![lost.clone()], last),
        (vec![lost.clone(), same], last),
        (vec![retired(&x, "registrar")], "LastOfRole: registrar …"),
        (vec![customs], "RoleNotAllowed: …"),
        (vec![retired(&x, "maker")], "RoleNotAllowed: …"),
        (vec![nameless], "Malformed: a key of an office …"),
        (
            vec![new.clone(), new.clone()],
            "Malformed: a key is named twice",
        ),
        (vec![], "Malformed"),
        (vec![retired(&x, "nobody")], "SignerUnknown: …"),
        (
            vec![enrolled(&x, "admin", Role::Admin, "a")],
            "SignerExists: …",
        ),
    ] {
        let said = say(&mut x, 1, changes);
        let holds = match expected.strip_suffix('…') {
            Some(beginning) => said.starts_with(beginning),
            None => said == expected,
        };
        assert!(holds, "{said}, expected {expected}");
    }
    let both = vec![lost, new];
    assert!(
        say(&mut x, 2, both.clone())
            .starts_with("StatementStale: statement 2 …".trim_end_matches('…'))
    );
    let mut elsewhere = order(&x, 1, both.clone());
    if let Statement::Offices { order } = &mut elsewhere {
        order.cluster = [9; 16];
    }
    assert!(text(&x.state(&elsewhere)).starts_with("WrongAudience"));
    assert_eq!(say(&mut x, 1, both.clone()), "done");
    assert!(say(&mut x, 1, both).starts_with("StatementStale"), "once");
    let new = add(&x, "regulator-2", Role::Regulator, "ruth");
    check(&mut x, "admin-2", new.clone(), "SignerNotActive…");
    check(&mut x, "admin", new.clone(), "done");
    check(&mut x, "admin-3", new, "done");
    assert_eq!(x.registry().offices.persons(Role::Regulator, None), 2);
}

/// A slip of an admin waited for a week, and for anybody who confirms what he is shown.
#[test]
fn who_proposed_takes_it_back() {
    let mut x = Country::with_market("86");
    let new = add(&x, "regulator-2", Role::Admin, "ruth");
    check(&mut x, "admin", reject(0), "NothingPending: proposal 0");
    check(&mut x, "admin", new.clone(), "done");
    let withdraw = reject(newest(&x));
    check(
        &mut x,
        "registrar",
        withdraw.clone(),
        "RoleNotAllowed: it was proposed by …",
    );
    check(&mut x, "maker", withdraw.clone(), "RoleNotAllowed: …");
    check(&mut x, "admin", withdraw.clone(), "done");
    assert!(x.registry().offices.proposals.is_empty());
    // The other's word is a first one now.
    check(&mut x, "admin-2", new.clone(), "done");
    assert_eq!(x.registry().offices.proposals.len(), 1);
    check(&mut x, "admin", new, "done");
    check(&mut x, "admin", withdraw, "NothingPending: …");
}

#[test]
fn a_registry_is_of_a_country_that_there_is() {
    for country in ["XX", "UK", "cn", "CHN", ""] {
        let named = |genesis: &mut Genesis| genesis.country = country.into();
        assert_eq!(begin(named).1, "Malformed", "{country:?}");
    }
    assert_eq!(begin(|genesis| genesis.country = "GB".into()).1, "done");
}

/// A compromise that came out after the key was retired could be recorded nowhere.
#[test]
fn a_compromise_is_recorded_of_a_key_that_was_retired() {
    let mut x = Country::with_market("86");
    let retire = |x: &Country, name: &str, after| Command::RetireSigner {
        public: x.key(name).public(),
        compromised_after: after,
        reason: "found in other hands".into(),
    };
    let record = |x: &Country| {
        let Ok(signer) = x.ledger.signer(&x.key("dealer").public().key_id());
        let signer = signer.expect("enrolled");
        (signer.retired, signer.compromised_after)
    };
    let plain = retire(&x, "dealer", None);
    check(&mut x, "registrar", plain.clone(), "done");
    let (retired, none) = record(&x);
    assert!(retired.is_some() && none.is_none());
    check(&mut x, "registrar", plain.clone(), "SignerNotActive: …");
    // It takes two registrars: what a key signed is not one person's to let fall.
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    for (who, after, expected) in [
        ("registrar", 9, "done"),
        ("registrar", 9, SAME),
        ("registrar-2", 9, "done"),
        ("registrar", 9, "SignerNotActive: …"),
        ("registrar", 10, "SignerNotActive: …"),
        ("registrar", 3, "done"),
        ("registrar-2", 3, "done"),
    ] {
        let later = retire(&x, "dealer", Some(after));
        check(&mut x, who, later, expected);
    }
    assert_eq!(record(&x), (retired, Some(3)));
    check(&mut x, "registrar", plain, "SignerNotActive: …");
    // Of a key that supervised it takes two admins, as its retirement did, and leaves nobody too few.
    let new = add(&x, "regulator-2", Role::Regulator, "ruth");
    x.must("admin", new.clone());
    x.must("admin-2", new);
    for after in [None, Some(5)] {
        let gone = retire(&x, "regulator", after);
        check(&mut x, "admin", gone.clone(), "done");
        check(&mut x, "admin", gone.clone(), SAME);
        check(&mut x, "admin-2", gone, "done");
    }
}
