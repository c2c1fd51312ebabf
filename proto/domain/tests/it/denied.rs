//! Certificates that are refused: which word revokes one, what always stays, and that the list stays small.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::{PROPOSALS_MAX, REVOKED_BY_ONE_MAX, REVOKED_MAX};
use carnet_domain::log::leaf::{Subject, SubjectType};
use carnet_domain::log::map::{MapEnd, MapValue, Page, PagePath, Pages, prove};
use carnet_domain::record::denied::{Bearer, Certificate, DenyList, Mark, Refused};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::decide::PROPOSAL_TIME;
use carnet_domain::rules::policy::Role;
use carnet_kit::Country;
use carnet_kit::samples::{client, refused};

use crate::rules::check;

const SAME: &str = "SecondPartyRequired: the first step was taken by the same party";

fn list(x: &Country) -> DenyList {
    let Ok(list) = x.ledger.deny_list();
    list
}

/// How many are refused, and how many wait for a second word.
fn counts(x: &Country) -> (usize, usize) {
    let list = list(x);
    (list.entries.len(), list.waiting.len())
}

fn of(bearer: Bearer, key: &str) -> Certificate {
    let key = sha256(&[key.as_bytes()]);
    Certificate {
        mark: Mark::Key { key },
        bearer,
    }
}

fn node(node: u64) -> Certificate {
    of(Bearer::Node { node }, "a node's")
}

fn admin(person: &str) -> Certificate {
    let (office, person) = ("hq".to_owned(), person.to_owned());
    of(Bearer::Admin { office, person }, "an admin's")
}

fn revoke(certificate: &Certificate) -> Command {
    revoke_as(refused(certificate.clone()))
}

fn revoke_as(refused: Refused) -> Command {
    let reason = "stolen".to_owned();
    Command::RevokeCertificate { refused, reason }
}

fn unrevoke(certificate: &Certificate) -> Command {
    Command::UnrevokeCertificate {
        certificate: certificate.clone(),
        reason: "found again".into(),
    }
}

#[test]
fn one_admin_revokes_and_gives_back_the_certificate_of_a_client() {
    let mut x = Country::with_market("86");
    let stolen = client("carnet://86/dealer/0003/ada");
    for who in ["registrar", "regulator", "customs", "dealer"] {
        check(&mut x, who, revoke(&stolen), "RoleNotAllowed: …");
        check(&mut x, who, unrevoke(&stolen), "RoleNotAllowed: …");
    }
    check(&mut x, "admin", unrevoke(&stolen), "NothingPending: …");
    check(&mut x, "admin", revoke(&stolen), "done");
    assert_eq!(counts(&x), (1, 0));
    check(&mut x, "admin-2", revoke(&stolen), "NothingChanges…");
    let list = list(&x);
    let by = &list.entries[0].by;
    assert_eq!(
        (by.person.as_str(), &list.entries[0].second),
        ("admin", &None)
    );
    let Bearer::Client { name } = &stolen.bearer else {
        panic!("a client's");
    };
    let found = list.refuses(&[stolen.mark], &stolen.bearer);
    assert_eq!(
        found.map(|one| one.reason.as_str()),
        Some("stolen"),
        "{name}"
    );
    check(&mut x, "admin-2", unrevoke(&stolen), "done");
    assert_eq!(counts(&x), (0, 0));
}

/// An entry that says it is of a client refuses no node, whoever's key it names: one admin cannot stop the cluster.
#[test]
fn an_entry_refuses_whom_it_names_and_nobody_else() {
    let mut x = Country::with_market("86");
    let (stolen, shared) = (client("ada"), node(1));
    let posing = Certificate {
        mark: shared.mark,
        bearer: stolen.bearer.clone(),
    };
    check(&mut x, "admin", revoke(&posing), "done");
    let list = list(&x);
    assert_eq!(list.refuses(&[shared.mark], &shared.bearer), None);
    assert!(
        list.refuses(&[stolen.mark, shared.mark], &stolen.bearer)
            .is_some()
    );
    assert_eq!(list.refuses(&[stolen.mark], &stolen.bearer), None);
    // Nor does it stand for the entry of the node, or take that back.
    check(&mut x, "admin", revoke(&shared), "done");
    check(&mut x, "admin-2", revoke(&shared), "done");
    assert_eq!(counts(&x), (2, 0));
    check(&mut x, "admin", unrevoke(&posing), "done");
    assert_eq!(counts(&x), (1, 0));
}

#[test]
fn certificates_of_nodes_and_admins_take_two_admins_of_different_persons() {
    let mut x = Country::with_market("86");
    let again = x.enrolment("admin-again", x.office("admin"), Role::Admin, "admin");
    x.must("admin", again.clone());
    x.must("admin-2", again);
    let peer = Bearer::Peer {
        prefix: x.prefix,
        node: 7,
    };
    for certificate in [node(1), admin("admin"), of(peer, "a peer's")] {
        let before = counts(&x).0;
        check(&mut x, "admin", revoke(&certificate), "done");
        assert_eq!(counts(&x), (before, 1), "asked for");
        check(&mut x, "admin", revoke(&certificate), SAME);
        check(&mut x, "admin-again", revoke(&certificate), SAME);
        // Another content is another question.
        let replaced = Refused {
            replaced: true,
            ..refused(certificate.clone())
        };
        check(&mut x, "admin-2", revoke_as(replaced.clone()), "done");
        assert_eq!(counts(&x), (before, 2));
        check(&mut x, "admin-2", revoke(&certificate), "done");
        assert_eq!(counts(&x), (before + 1, 0), "both are settled");
        // That it was replaced is said later, too, and by two.
        check(&mut x, "admin", revoke_as(replaced.clone()), "done");
        check(&mut x, "admin-2", revoke_as(replaced), "done");
        assert_eq!(counts(&x), (before + 1, 0));
        check(&mut x, "admin", unrevoke(&certificate), "done");
        check(&mut x, "admin", unrevoke(&certificate), SAME);
        assert_eq!(counts(&x), (before + 1, 1), "still refused");
        check(&mut x, "admin-2", unrevoke(&certificate), "done");
        assert_eq!(counts(&x), (before, 0));
    }
}

#[test]
fn whoever_asked_for_it_takes_that_back_alone_and_a_question_expires() {
    let mut x = Country::with_market("86");
    let certificate = node(1);
    check(&mut x, "admin", revoke(&certificate), "done");
    check(
        &mut x,
        "admin-2",
        unrevoke(&certificate),
        "NothingPending: …",
    );
    check(&mut x, "admin", unrevoke(&certificate), "done");
    assert_eq!(counts(&x), (0, 0));
    check(&mut x, "admin", revoke(&certificate), "done");
    x.advance(PROPOSAL_TIME);
    x.advance(DurationMs::from_days(1));
    check(&mut x, "admin-2", revoke(&certificate), "done");
    assert_eq!(counts(&x), (0, 1), "a first word again");
}

/// The voters of the kit are three.
#[test]
fn a_quorum_of_the_voters_and_an_admin_always_stay() {
    let mut x = Country::with_market("86");
    let both = |x: &mut Country, command: Command| {
        x.must("admin", command.clone());
        x.must("admin-2", command);
    };
    both(&mut x, revoke(&node(1)));
    let few = "QuorumNeeded: 1 of 3 voters would be left";
    check(&mut x, "admin", revoke(&node(2)), few);
    // One that votes not is nobody's quorum.
    both(&mut x, revoke(&node(9)));
    // Another certificate of a node that is out takes nobody more.
    both(&mut x, revoke(&of(Bearer::Node { node: 1 }, "another")));
    let replaced = Refused {
        replaced: true,
        ..refused(node(2))
    };
    both(&mut x, revoke_as(replaced));
    check(&mut x, "admin", revoke(&node(3)), few);

    both(&mut x, revoke(&admin("admin")));
    let last = "LastOfRole: admin would be left without …";
    check(&mut x, "admin", revoke(&admin("admin-2")), last);
    let replaced = Refused {
        replaced: true,
        ..refused(admin("admin-2"))
    };
    both(&mut x, revoke_as(replaced));
    // Nobody's keys sign for them.
    both(&mut x, revoke(&admin("somebody")));
}

#[test]
fn the_list_is_bounded_and_what_expired_makes_way() {
    let mut x = Country::with_market("86");
    let until = x
        .registry()
        .log_time
        .saturating_add(DurationMs::from_days(2));
    let numbered = |number: usize| client(&format!("client {number}"));
    let soon = |number: usize| Refused {
        not_after: until,
        ..refused(numbered(number))
    };
    for number in 0..REVOKED_BY_ONE_MAX {
        x.must("admin", revoke_as(soon(number)));
    }
    let more = revoke(&numbered(REVOKED_BY_ONE_MAX));
    let full = format!("RecordFull: {REVOKED_BY_ONE_MAX} revoked certificates");
    check(&mut x, "admin", more.clone(), &full);
    // What two decide has room of its own: whoever fills the list keeps no stolen node in.
    let replaced = |number: usize| {
        let bearer = Bearer::Node {
            node: number as u64,
        };
        revoke_as(Refused {
            replaced: true,
            ..refused(of(bearer, "a node's"))
        })
    };
    for number in 0..REVOKED_MAX - REVOKED_BY_ONE_MAX {
        x.must("admin", replaced(number));
        x.must("admin-2", replaced(number));
    }
    let full_of_all = format!("RecordFull: {REVOKED_MAX} revoked certificates");
    check(&mut x, "admin", replaced(REVOKED_MAX), &full_of_all);
    x.advance(DurationMs::from_days(3));
    check(&mut x, "admin", more, "done");
    assert_eq!(counts(&x).0, REVOKED_MAX - REVOKED_BY_ONE_MAX + 1);
    let late = "DeadlinePassed: until …";
    check(&mut x, "admin", revoke_as(soon(0)), late);
}

/// As many questions as are kept: the oldest of whoever asked the most makes way.
#[test]
fn questions_are_bounded_and_nobody_keeps_the_other_from_asking() {
    let mut x = Country::with_market("86");
    x.must("admin-2", revoke(&node(50)));
    for number in 0..PROPOSALS_MAX as u64 {
        x.must("admin", revoke(&node(100 + number)));
    }
    assert_eq!(counts(&x), (0, PROPOSALS_MAX));
    check(&mut x, "admin", revoke(&node(50)), "done");
    assert_eq!(counts(&x), (1, PROPOSALS_MAX - 1), "it was kept");
}

/// The pages of the map as a ledger keeps them.
struct MapOf<'a>(&'a Country);

impl Pages for MapOf<'_> {
    type Fault = std::convert::Infallible;

    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Fault> {
        Ledger::page(&self.0.ledger, path)
    }
}

#[test]
fn the_map_shows_what_is_refused() {
    let mut x = Country::with_market("86");
    let certificate = node(1);
    let key = Subject::new(SubjectType::Office, certificate.to_string()).key();
    for (who, command, status) in [
        ("admin", revoke(&certificate), 2),
        ("admin", unrevoke(&certificate), 3),
        ("admin", revoke(&certificate), 2),
        ("admin-2", revoke(&certificate), 1),
        ("admin", unrevoke(&certificate), 1),
        ("admin-2", unrevoke(&certificate), 3),
    ] {
        let said = command.name();
        check(&mut x, who, command, "done");
        x.seal();
        let Ok(head) = x.ledger.head_of(&key);
        let head = head.expect("a leaf");
        let value = MapValue {
            status,
            seq: head.seq,
            leaf_index: head.leaf_index,
            leaf_hash: head.leaf_hash,
            facts: carnet_domain::bytes::digest::Digest::ZERO,
        };
        let proof = prove(&MapOf(&x), &key).expect("in memory");
        let value = value.digest();
        assert_eq!(
            proof.end,
            MapEnd::Leaf { key, value },
            "{said}: not {status}"
        );
    }
}
