//! What waits for its second word has a number, and another person may say no to it; nobody to what is about themselves.

use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::PROPOSAL_TIME;
use carnet_domain::record::denied::Bearer;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, text};

fn reject(number: u64) -> Command {
    Command::RejectProposal {
        number,
        reason: "not so".into(),
    }
}

fn retire(x: &Country, name: &str, compromised_after: Option<u64>) -> Command {
    Command::RetireSigner {
        public: x.key(name).public(),
        compromised_after,
        reason: "stolen".into(),
    }
}

fn numbers(x: &Country) -> Vec<u64> {
    let proposals = x.registry().offices.proposals;
    proposals.iter().map(|one| one.number).collect()
}

fn market() -> Country {
    let mut x = Country::with_market("86");
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    x
}

/// Said by somebody as it is, whatever the kit takes for granted.
fn say(x: &mut Country, who: &str, command: Command) -> String {
    text(&x.command(who, command))
}

fn compromised(x: &Country, name: &str) -> Option<u64> {
    let Ok(signer) = x.ledger.signer(&x.key(name).public().key_id());
    signer.expect("enrolled").compromised_after
}

#[test]
fn a_proposal_has_the_number_of_the_leaf_that_says_so() {
    let mut x = market();
    // Of an active key the first leaf is that it signs no more; of one that signs none, the proposal.
    for (after, leaves) in [(3, 1), (2, 0)] {
        let worse = retire(&x, "maker", Some(after));
        let number = x.registry().tree.size() + leaves;
        assert_eq!(say(&mut x, "registrar", worse.clone()), "done");
        assert_eq!(numbers(&x), [number]);
        assert_eq!(x.registry().tree.size(), number + 1, "it is the last leaf");
        let reason = &x.registry().offices.proposals[0].reason;
        assert_eq!(reason, "stolen");
        assert_eq!(say(&mut x, "registrar-2", worse), "done");
        assert_eq!(compromised(&x, "maker"), Some(after));
        assert!(numbers(&x).is_empty());
    }
}

#[test]
fn another_person_says_no_but_not_about_themselves() {
    let mut x = market();
    let worse = retire(&x, "maker", Some(3));
    assert_eq!(say(&mut x, "registrar", worse.clone()), "done");
    let number = numbers(&x)[0];
    assert_eq!(
        say(&mut x, "admin", reject(number)),
        "RoleNotAllowed: it was proposed by office registrar/hq, and somebody else of that role says no to it"
    );
    assert_eq!(say(&mut x, "registrar-2", reject(number)), "done");
    assert!(numbers(&x).is_empty());
    // It is over: the same word is a first one.
    assert_eq!(say(&mut x, "registrar-2", worse), "done");
    assert_eq!(compromised(&x, "maker"), None);
    // A thief of one key does not keep it by saying no to its end.
    let third = x.enrolment("admin-3", x.office("admin"), Role::Admin, "third");
    x.must("admin", third.clone());
    x.must("admin-2", third);
    let gone = retire(&x, "admin-3", None);
    assert_eq!(say(&mut x, "admin", gone.clone()), "done");
    let number = *numbers(&x).last().expect("it waits");
    assert_eq!(
        say(&mut x, "admin-3", reject(number)),
        "SecondPartyRequired: it is about whoever signs this"
    );
    assert_eq!(say(&mut x, "admin-2", gone), "done");
}

#[test]
fn a_first_word_about_a_certificate_is_rejected_by_its_number_too() {
    let mut x = market();
    let (office, person) = ("hq".to_owned(), "admin-2".to_owned());
    let mut refused = carnet_kit::samples::refused(carnet_kit::samples::client("ada"));
    refused.certificate.bearer = Bearer::Admin { office, person };
    refused.instead = Some(carnet_domain::bytes::digest::sha256(&[b"another"]));
    let revoke = Command::RevokeCertificate {
        refused,
        reason: "stolen".into(),
    };
    assert_eq!(say(&mut x, "admin", revoke.clone()), "done");
    let Ok(list) = x.ledger.deny_list();
    let waiting = &list.waiting[0];
    assert_eq!((waiting.reason.as_str(), list.entries.len()), ("stolen", 0));
    let number = waiting.number;
    assert_eq!(
        say(&mut x, "admin-2", reject(number)),
        "SecondPartyRequired: it is about whoever signs this"
    );
    assert_eq!(say(&mut x, "admin", reject(number)), "done");
    let Ok(list) = x.ledger.deny_list();
    assert_eq!((list.waiting.len(), list.entries.len()), (0, 0));
    assert!(say(&mut x, "admin", reject(number)).starts_with("NothingPending: proposal "));
    assert_eq!(say(&mut x, "admin-2", revoke), "done", "a first word again");
}

#[test]
fn nothing_becomes_of_what_expired() {
    let mut x = market();
    let worse = retire(&x, "maker", Some(3));
    assert_eq!(say(&mut x, "registrar", worse.clone()), "done");
    let number = numbers(&x)[0];
    x.advance(PROPOSAL_TIME);
    x.advance(DurationMs::from_days(1));
    assert!(say(&mut x, "registrar-2", reject(number)).starts_with("DeadlinePassed: until "));
    // It stands in the list as one that expired, until the next makes it go.
    assert_eq!(numbers(&x), [number]);
    assert_eq!(say(&mut x, "registrar-2", worse), "done");
    assert_eq!(compromised(&x, "maker"), None, "a first word again");
    assert_ne!(numbers(&x), [number]);
}
