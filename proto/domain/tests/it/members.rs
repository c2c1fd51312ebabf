//! Nodes that leave the cluster for good: whose words let them, and for how long.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::{MEMBERS_CHANGED_MAX, PROPOSAL_TIME, PROPOSALS_MAX};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::offices::{MembersChange, Offices, Profile};
use carnet_domain::record::peer::{Statement, TimeChange};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, text};

use crate::rules::check;

const SAME: &str = "SecondPartyRequired: the first step was taken by the same party";

fn change(voters: &[u64], retire: &[u64]) -> MembersChange {
    MembersChange {
        voters: voters.to_vec(),
        retire: retire.to_vec(),
    }
}

fn asked(change: &MembersChange) -> Command {
    Command::ChangeMembers {
        change: change.clone(),
        reason: "its disk is gone".into(),
    }
}

/// Whether whoever leads makes this change.
fn agreed(x: &Country, change: &MembersChange) -> bool {
    let registry = x.registry();
    registry.offices.agreed(change, registry.log_time)
}

fn reject(number: u64) -> Command {
    Command::RejectProposal {
        number,
        reason: "not ours".into(),
    }
}

/// Once, whoever had the certificate of one admin took the nodes away one after the other, and the quorum with them.
#[test]
fn a_node_leaves_for_good_on_the_words_of_two_admins() {
    let mut x = Country::with_market("86");
    let gone = change(&[1, 2, 4], &[3]);
    for who in ["registrar", "regulator", "customs", "maker"] {
        check(&mut x, who, asked(&gone), "RoleNotAllowed: …");
    }
    check(&mut x, "admin", asked(&gone), "done");
    assert!(!agreed(&x, &gone), "one asked");
    check(&mut x, "admin", asked(&gone), SAME);
    assert!(!agreed(&x, &gone), "one asked twice");
    // What another agrees to is all of it: who leaves, and who votes then.
    for other in [change(&[1, 4], &[2, 3]), change(&[1, 2], &[3])] {
        check(&mut x, "admin-2", asked(&other), "done");
        assert!(!agreed(&x, &other) && !agreed(&x, &gone));
    }
    check(&mut x, "admin-2", asked(&gone), "done");
    assert!(agreed(&x, &gone));
    check(&mut x, "admin", asked(&gone), "NothingChanges…");
    let registry = x.registry();
    let Some(asked) = registry.offices.asked(&gone, registry.log_time) else {
        panic!("it is kept");
    };
    let second = asked.second.as_ref().map(|by| by.person.as_str());
    assert_eq!(
        (asked.by.person.as_str(), second),
        ("admin", Some("admin-2"))
    );
}

#[test]
fn a_change_is_asked_for_in_one_way_only() {
    let mut x = Country::with_market("86");
    for odd in [
        change(&[], &[3]),
        change(&[1, 2], &[]),
        change(&[2, 1], &[3]),
        change(&[1, 2], &[4, 3]),
        change(&[1, 1, 2], &[3]),
        change(&[1, 2, 3], &[3]),
    ] {
        check(&mut x, "admin", asked(&odd), "Malformed");
    }
    let silent = Command::ChangeMembers {
        change: change(&[1, 2], &[3]),
        reason: " ".into(),
    };
    check(&mut x, "admin", silent, "ReasonMissing");
}

#[test]
fn a_change_names_no_more_nodes_than_it_may() {
    let of = |count: usize| {
        let voters: Vec<u64> = (1..=count as u64).collect();
        Command::from_bytes(&asked(&change(&voters, &[1_000])).to_bytes())
    };
    assert!(of(MEMBERS_CHANGED_MAX).is_ok());
    assert!(of(MEMBERS_CHANGED_MAX + 1).is_err());
}

#[test]
fn what_is_agreed_is_over_in_time_and_with_either_admin() {
    let mut x = Country::with_market("86");
    let gone = change(&[1, 2, 4], &[3]);
    let both = |x: &mut Country| {
        x.must("admin", asked(&gone));
        x.must("admin-2", asked(&gone));
        assert!(agreed(x, &gone));
    };
    both(&mut x);
    x.advance(PROPOSAL_TIME);
    x.advance(DurationMs(1));
    x.must("maker", x.register(1));
    assert!(!agreed(&x, &gone), "it expired");
    both(&mut x);
    // Either takes it back, as before the second word.
    let number = x.registry().offices.leaving[0].number;
    check(&mut x, "registrar", reject(number), "RoleNotAllowed: …");
    check(&mut x, "admin-2", reject(number), "done");
    assert!(!agreed(&x, &gone));
    check(&mut x, "admin-2", reject(number), "NothingPending: …");
    both(&mut x);
    // The word of an admin who is none any more is none.
    let key = x.key("admin-3").public();
    let enrolled = x.enrolment("admin-3", x.office("admin"), Role::Admin, "admin-3");
    x.must("admin", enrolled.clone());
    x.must("admin-2", enrolled);
    let other = change(&[1, 2, 5], &[3]);
    x.must("admin", asked(&other));
    x.must("admin-3", asked(&other));
    assert!(agreed(&x, &other));
    let retire = Command::RetireSigner {
        public: key,
        compromised_after: None,
        reason: "left".into(),
    };
    x.must("admin", retire.clone());
    x.must("admin-2", retire);
    assert!(!agreed(&x, &other), "its second is no admin");
    assert!(agreed(&x, &gone));
}

/// What was asked at a time that is to come again was never, and what expired stays expired.
#[test]
fn what_is_agreed_does_not_outlive_a_clock_that_ran_ahead() {
    let mut x = Country::with_market("86");
    let gone = change(&[1, 2, 4], &[3]);
    let before = x.registry().log_time;
    x.advance(DurationMs::from_days(30));
    x.must("admin", asked(&gone));
    x.must("admin-2", asked(&gone));
    let change = TimeChange {
        cluster: x.registry().cluster,
        number: 1,
        from: x.registry().log_time,
        to: before,
    };
    let said = x.state_unrenewed(&Statement::RepairTime { change });
    assert_eq!(text(&said), "done");
    assert!(!agreed(&x, &gone));
}

#[test]
fn questions_about_members_are_bounded_and_nobody_keeps_the_other_from_asking() {
    let mut x = Country::with_market("86");
    let gone = change(&[1, 2, 4], &[3]);
    x.must("admin-2", asked(&gone));
    for node in 0..=PROPOSALS_MAX as u64 {
        x.must("admin", asked(&change(&[1, 2], &[100 + node])));
    }
    let offices = x.registry().offices.clone();
    assert_eq!(offices.leaving.len(), PROPOSALS_MAX);
    assert_eq!(Offices::from_bytes(&offices.to_bytes()), Ok(offices));
    check(&mut x, "admin", asked(&gone), "done");
    assert!(agreed(&x, &gone), "it was kept");
}

#[test]
fn in_a_sandbox_one_word_is_enough() {
    let mut x = Country::with_market("86");
    let mut registry = x.registry();
    registry.offices.profile = Profile::Sandbox;
    let Ok(()) = x.ledger.put_registry(registry);
    let gone = change(&[1, 2, 4], &[3]);
    check(&mut x, "admin", asked(&gone), "done");
    assert!(agreed(&x, &gone));
}
