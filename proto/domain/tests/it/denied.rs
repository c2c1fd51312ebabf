//! Certificates that are refused: which word revokes one, what always stays, and that the list stays small.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::{
    CERTIFICATE_NAME_BYTES_MAX, FORGOTTEN_AFTER, NAME_BYTES_MAX, PROPOSAL_TIME, PROPOSALS_MAX,
    REVOKED_BY_ONE_MAX, REVOKED_MAX, TEXT_BYTES_MAX,
};
use carnet_domain::log::leaf::{Subject, SubjectType};
use carnet_domain::log::map::{MapEnd, MapValue, prove};
use carnet_domain::machine::entry::Answer;
use carnet_domain::record::denied::{Bearer, Certificate, DenyList, Mark, Refused};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Statement, TimeChange};
use carnet_domain::record::reader::Whole;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::{Detail, Reason, Rejection};
use carnet_kit::samples::{client, refused};
use carnet_kit::{Country, text};

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
    check(&mut x, "admin", revoke(&shared), "waits");
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
    let other = Some(sha256(&[b"another"]));
    for certificate in [node(1), admin("admin"), of(peer, "a peer's")] {
        let before = counts(&x).0;
        check(&mut x, "admin", revoke(&certificate), "done");
        assert_eq!(counts(&x), (before, 1), "asked for");
        check(&mut x, "admin", revoke(&certificate), SAME);
        check(&mut x, "admin-again", revoke(&certificate), SAME);
        // Another content is another question.
        let replaced = Refused {
            instead: other,
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
    let other = Some(sha256(&[b"the next"]));
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
        instead: other,
        ..refused(node(2))
    };
    both(&mut x, revoke_as(replaced));
    check(&mut x, "admin", revoke(&node(3)), few);

    both(&mut x, revoke(&admin("admin")));
    let last = "LastOfRole: admin would be left without …";
    check(&mut x, "admin", revoke(&admin("admin-2")), last);
    let replaced = Refused {
        instead: other,
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
    let other = Some(sha256(&[b"the next"]));
    let replaced = |number: usize| {
        let bearer = Bearer::Node {
            node: number as u64,
        };
        revoke_as(Refused {
            instead: other,
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

/// In whichever order it fills, the list is one that every node reads: what two decided first leaves the less for one.
#[test]
fn the_list_is_bounded_whichever_entries_came_first() {
    let mut x = Country::with_market("86");
    let other = Some(sha256(&[b"the next"]));
    let by_two = REVOKED_MAX - REVOKED_BY_ONE_MAX + 1;
    for number in 0..by_two {
        let bearer = Bearer::Node {
            node: number as u64,
        };
        let replaced = revoke_as(Refused {
            instead: other,
            ..refused(of(bearer, "a node's"))
        });
        x.must("admin", replaced.clone());
        x.must("admin-2", replaced);
    }
    for number in by_two..REVOKED_MAX {
        x.must("admin", revoke(&client(&format!("client {number}"))));
    }
    let full = format!("RecordFull: {REVOKED_MAX} revoked certificates");
    let more = revoke(&client("one more"));
    check(&mut x, "admin", more, &full);
    let Ok(list) = x.ledger.deny_list();
    assert_eq!(list.entries.len(), REVOKED_MAX);
    assert_eq!(DenyList::from_bytes(&list.to_bytes()), Ok(list));
}

/// A first word that has expired is none, also when the roots set log time back to before.
#[test]
fn a_first_word_that_expired_stays_expired() {
    let mut x = Country::with_market("86");
    x.must("admin", revoke(&node(50)));
    let before = x.registry().log_time;
    x.advance(PROPOSAL_TIME);
    x.advance(DurationMs(1));
    x.must("maker", x.register(1));
    let change = TimeChange {
        cluster: x.registry().cluster,
        number: 1,
        from: x.registry().log_time,
        to: before,
    };
    let said = x.state_unrenewed(&Statement::RepairTime { change });
    assert_eq!(text(&said), "done");
    x.clock = before;
    x.must("admin-2", revoke(&node(50)));
    assert_eq!(counts(&x), (0, 1), "it is a first word again");
    x.must("admin", revoke(&node(50)));
    assert_eq!(counts(&x), (1, 0));
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

/// The status that the map has of a certificate: 1 refused, 2 asked for, 3 not refused.
fn map_status(x: &mut Country, certificate: &Certificate) -> Option<u8> {
    x.seal();
    let key = Subject::new(SubjectType::Office, certificate.subject_name()).key();
    let Ok(head) = x.ledger.head_of(&key);
    let head = head.expect("a leaf");
    let end = prove(&Whole(&x.ledger), &key).expect("in memory").end;
    (1..=3).find(|status| {
        let value = MapValue {
            status: *status,
            seq: head.seq,
            leaf_index: head.leaf_index,
            leaf_hash: head.leaf_hash,
            facts: carnet_domain::bytes::digest::Digest::ZERO,
        };
        let value = value.digest();
        end == MapEnd::Leaf { key, value }
    })
}

#[test]
fn the_map_shows_what_is_refused() {
    let mut x = Country::with_market("86");
    let certificate = node(1);
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
        assert_eq!(map_status(&mut x, &certificate), Some(status), "{said}");
    }
    // A question that is rejected leaves what stood before it.
    let rejected = |x: &mut Country, question: Command| {
        x.must("admin", question);
        let Ok(list) = x.ledger.deny_list();
        let number = list.waiting[0].number;
        let reason = "a mistake".to_owned();
        x.must("admin", Command::RejectProposal { number, reason });
        map_status(x, &certificate)
    };
    assert_eq!(rejected(&mut x, revoke(&certificate)), Some(3));
    x.must("admin", revoke(&certificate));
    x.must("admin-2", revoke(&certificate));
    assert_eq!(rejected(&mut x, unrevoke(&certificate)), Some(1));
}

/// A stored answer that nobody can read stopped every node that was asked for it: the longest that the rules can say is read again.
#[test]
fn the_longest_refusal_is_read_again() {
    let mut x = Country::with_market("86");
    let longest = client(&"x".repeat(NAME_BYTES_MAX));
    let request = x.request("admin", &[unrevoke(&longest)]);
    let answer = x.ask(request.clone());
    let bytes = answer.to_bytes();
    assert_eq!(
        Answer::from_bytes(&bytes).as_ref(),
        Ok(&answer),
        "the answer"
    );
    // Asked again, it is told again.
    assert_eq!(x.ask(request).items, answer.items);
    // One byte more is no name.
    let longer = unrevoke(&client(&"x".repeat(NAME_BYTES_MAX + 1)));
    check(&mut x, "admin", longer, "Malformed…");
}

/// What a detail says beyond the bounds it is read by is left out, whoever made it. The texts among the arguments are named here:
/// one that is added is looked at.
#[test]
fn a_refusal_that_could_not_be_read_again_keeps_its_reason_alone() {
    let long = |size: usize| {
        let reason = "x".repeat(size);
        Rejection::new(Reason::Discarded, Detail::GivenUp { item: 1, reason })
    };
    let fits = long(TEXT_BYTES_MAX);
    assert_eq!(fits.clone().readable(), fits);
    let alone = Rejection::from(Reason::Discarded);
    assert_eq!(long(TEXT_BYTES_MAX + 1).readable(), alone);
    let texts = Detail::TABLE.iter().filter(|(_, _, arguments)| {
        let mut types = arguments.iter().map(|(_, kind)| kind);
        types.any(|kind| *kind == "String")
    });
    let texts: Vec<&str> = texts.map(|(_, name, _)| *name).collect();
    // Of papers a form with bounds of its own was read.
    let bounded = ["CommodityOf", "ConsignmentTo"];
    let free: Vec<&str> = texts
        .into_iter()
        .filter(|it| !bounded.contains(it))
        .collect();
    assert_eq!(free, ["TransferEnding", "GivenUp"]);
}

/// That a node goes on is believed of another key that is not refused itself, and of nothing else.
#[test]
fn a_certificate_in_its_place_must_stand() {
    let mut x = Country::with_market("86");
    let key = |name: &str| sha256(&[name.as_bytes()]);
    let both = |x: &mut Country, command: Command| {
        x.must("admin", command.clone());
        x.must("admin-2", command);
    };
    let of_node = |id: u64, old: &str, new: &str| {
        revoke_as(Refused {
            instead: Some(key(new)),
            ..refused(of(Bearer::Node { node: id }, old))
        })
    };
    both(&mut x, revoke(&node(1)));
    let few = "QuorumNeeded: 1 of 3 voters would be left";
    check(&mut x, "admin", of_node(2, "old", "old"), few);
    both(&mut x, of_node(2, "old", "new"));
    // Then the new one, as whoever names the node and not the file does it.
    check(
        &mut x,
        "admin",
        revoke(&of(Bearer::Node { node: 2 }, "new")),
        few,
    );
    check(&mut x, "admin", of_node(2, "new", "old"), few);
    both(&mut x, of_node(2, "new", "newest"));
    check(
        &mut x,
        "admin",
        revoke(&of(Bearer::Node { node: 2 }, "newest")),
        few,
    );
    // What another bearer's entry says of the same key is nothing to it.
    let posing = Bearer::Client {
        name: "newest".into(),
    };
    check(&mut x, "admin", revoke(&of(posing, "newest")), "done");
    both(&mut x, of_node(3, "third", "third's next"));
}

/// A person whom no certificate can name may be whoever is out.
#[test]
fn an_admin_whom_the_register_names_by_a_commitment_may_be_the_one_who_is_out() {
    let last = "LastOfRole: admin would be left without …";
    for (hidden, expected) in [
        ("ab".repeat(32), last),
        ("a".repeat(CERTIFICATE_NAME_BYTES_MAX + 1), last),
        ("a".repeat(CERTIFICATE_NAME_BYTES_MAX), "done"),
    ] {
        let mut x = Country::with_market("86");
        let third = x.enrolment("admin-3", x.office("admin"), Role::Admin, &hidden);
        x.must("admin", third.clone());
        x.must("admin-2", third);
        let both = |x: &mut Country, command: Command| {
            x.must("admin", command.clone());
            x.must("admin-3", command);
        };
        both(&mut x, revoke(&admin("admin-2")));
        both(&mut x, revoke(&admin("cora")));
        // Who is left is the one by name; the other may be cora, unless a certificate can name it.
        check(&mut x, "admin", revoke(&admin("admin")), expected);
    }
}

#[test]
fn a_first_word_about_an_entry_is_taken_back_by_who_gave_it() {
    let mut x = Country::with_market("86");
    let certificate = node(1);
    for who in ["admin", "admin-2"] {
        x.must(who, revoke(&certificate));
    }
    check(&mut x, "admin", unrevoke(&certificate), "done");
    assert_eq!(counts(&x), (1, 1));
    check(&mut x, "admin", revoke(&certificate), "done");
    assert_eq!(counts(&x), (1, 0), "the question is taken back");
    let other = revoke_as(Refused {
        instead: Some(sha256(&[b"another"])),
        ..refused(certificate.clone())
    });
    check(&mut x, "admin", other, "done");
    check(&mut x, "admin", unrevoke(&certificate), "done");
    assert_eq!(counts(&x), (1, 0), "and so is another entry");
}

/// Log time that ran ahead forgets nothing that the roots would have back.
#[test]
fn an_entry_is_kept_after_its_certificate_expired_while_there_is_room() {
    let mut x = Country::with_market("86");
    let until = x
        .registry()
        .log_time
        .saturating_add(DurationMs::from_days(2));
    let soon = Refused {
        not_after: until,
        ..refused(client("ada"))
    };
    check(&mut x, "admin", revoke_as(soon), "done");
    x.advance(DurationMs::from_days(30));
    check(&mut x, "admin", revoke(&client("bea")), "done");
    assert_eq!(counts(&x).0, 2);
    x.advance(FORGOTTEN_AFTER);
    check(&mut x, "admin", revoke(&client("cora")), "done");
    assert_eq!(counts(&x).0, 2);
}
