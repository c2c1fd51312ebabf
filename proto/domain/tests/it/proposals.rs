//! What waits for its second word has a number, and another person may say no to it; nobody to what is about themselves.

use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::{CERTIFICATE_TIME_MAX, PROPOSAL_TIME};
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

/// A key of the same office and hand, to follow another; proven by itself.
fn follows(x: &Country, name: &str, old: &str, person: &str) -> Command {
    let mut command = x.enrolment(name, x.office("registrar"), Role::Registrar, person);
    if let Command::AddSigner {
        instead, reason, ..
    } = &mut command
    {
        *instead = Some(x.key(old).public().key_id());
        *reason = "a year old".into();
    }
    command
}

/// The fault: an office's key took four words of admins to be followed by another, and its bearer could say none of them.
#[test]
fn whoever_has_the_key_that_follows_retires_the_one_before_alone() {
    let mut x = market();
    let add = follows(&x, "registrar-2b", "registrar-2", "registrar-2");
    assert_eq!(say(&mut x, "admin", add.clone()), "done");
    let proposal = x.registry().offices.proposals[0].clone();
    assert_eq!(
        (proposal.reason.as_str(), proposal.about.person.as_str()),
        ("a year old", "registrar-2")
    );
    let what = proposal.change.to_string();
    let old = x.key("registrar-2").public().key_id();
    assert!(
        what.contains(&format!("the rotation of key {old}")),
        "{what}"
    );
    // It is no key yet, and says nothing of another.
    let gone = retire(&x, "registrar-2", None);
    assert_eq!(
        say(&mut x, "registrar", gone.clone()),
        "RoleNotAllowed: registrar may not RetireOfficeSigner"
    );
    assert_eq!(say(&mut x, "admin-2", add), "done");
    // Not that of another hand, nor what would make its words fall.
    let other = retire(&x, "registrar", None);
    assert_eq!(
        say(&mut x, "registrar-2b", other),
        "RoleNotAllowed: registrar may not RetireOfficeSigner"
    );
    let worse = retire(&x, "registrar-2", Some(3));
    assert_eq!(
        say(&mut x, "registrar-2b", worse),
        "RoleNotAllowed: registrar may not RetireOfficeSigner"
    );
    // The old one does not turn on the new one.
    let new = retire(&x, "registrar-2b", None);
    assert_eq!(
        say(&mut x, "registrar-2", new),
        "RoleNotAllowed: registrar may not RetireOfficeSigner"
    );
    assert_eq!(say(&mut x, "registrar-2b", gone.clone()), "done");
    let Ok(signer) = x.ledger.signer(&old);
    assert!(signer.expect("known").retired.is_some());
    assert!(say(&mut x, "registrar-2b", gone).starts_with("SignerNotActive: "));
    assert!(x.registry().offices.proposals.is_empty());
}

#[test]
fn a_key_follows_an_active_one_of_the_same_hand() {
    let mut x = market();
    let of_another = follows(&x, "registrar-2b", "registrar", "registrar-2");
    let unknown = follows(&x, "registrar-2b", "nobody", "registrar-2");
    for command in [of_another, unknown] {
        let said = say(&mut x, "admin", command);
        assert!(said.starts_with("SignerUnknown: "), "{said}");
    }
    let gone = retire(&x, "registrar-2", None);
    assert_eq!(say(&mut x, "admin", gone.clone()), "done");
    assert_eq!(say(&mut x, "admin-2", gone), "done");
    let of_none = follows(&x, "registrar-2b", "registrar-2", "registrar-2");
    let said = say(&mut x, "admin", of_none);
    assert!(said.starts_with("SignerNotActive: "), "{said}");
    // Whoever enrols a key again is told as what it is enrolled.
    let again = x.enrolment(
        "registrar",
        x.office("registrar"),
        Role::Registrar,
        "registrar",
    );
    let said = say(&mut x, "admin", again);
    let expected = "is enrolled for office registrar/hq as registrar";
    assert!(
        said.starts_with("SignerExists: ") && said.ends_with(expected),
        "{said}"
    );
}

#[test]
fn each_proposal_names_the_one_before_it_of_whatever_kind() {
    let mut x = market();
    let newest = |x: &Country| x.registry().offices.newest;
    let first = newest(&x);
    assert!(first.is_some(), "that of the market's second registrar");
    let worse = retire(&x, "maker", Some(3));
    assert_eq!(say(&mut x, "registrar", worse), "done");
    let of_key = numbers(&x)[0];
    assert_eq!(x.registry().offices.proposals[0].before, first);
    assert_eq!(newest(&x), Some(of_key));
    let (office, person) = ("hq".to_owned(), "admin-2".to_owned());
    let mut refused = carnet_kit::samples::refused(carnet_kit::samples::client("ada"));
    refused.certificate.bearer = Bearer::Admin { office, person };
    refused.instead = Some(carnet_domain::bytes::digest::sha256(&[b"another"]));
    let template = refused.clone();
    let revoke = |not_after| Command::RevokeCertificate {
        refused: carnet_domain::record::denied::Refused {
            not_after,
            ..template.clone()
        },
        reason: "stolen".into(),
    };
    // What lasts for ever would never make way.
    let now = x.registry().log_time;
    let latest = now.saturating_add(CERTIFICATE_TIME_MAX);
    let day = DurationMs::from_days(1);
    let beyond = say(&mut x, "admin", revoke(latest.saturating_add(day)));
    assert!(beyond.starts_with("DeadlinePassed: until "), "{beyond}");
    refused.not_after = latest;
    assert_eq!(say(&mut x, "admin", revoke(refused.not_after)), "done");
    let Ok(list) = x.ledger.deny_list();
    let waiting = &list.waiting[0];
    assert_eq!(
        (waiting.before, newest(&x)),
        (Some(of_key), Some(waiting.number))
    );
    // Its end is no proposal.
    let number = waiting.number;
    assert_eq!(say(&mut x, "admin", reject(number)), "done");
    assert_eq!(newest(&x), Some(number));
}
