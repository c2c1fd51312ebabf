//! What one registrar does alone, however many commands it takes, never moves a robot from who owns or holds it: a small walk
//! over all of them, each followed by everything that accomplices can do.

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::machine::{Question, foresee};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    Asking, Desk, EnterpriseStatus, Holder, Party, PartyName, ReleaseSecret,
};
use carnet_domain::rules::command::{Action, Command, TransferId};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind};
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, befriend, samples, text};

use crate::owners::accredit;
use crate::rules::{act, check};

fn enterprise(x: &Country, code: &str) -> PartyName {
    PartyName::Enterprise {
        id: x.enterprise(code),
    }
}

fn person() -> Digest {
    sha256(&[b"somebody"])
}

/// Owner and holder of robot 1, and whether it ended.
fn whose(x: &Country) -> (Option<Party>, Option<Party>, bool) {
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let robot = robot.expect("registered");
    (robot.owner, robot.holder, robot.state.is_final())
}

/// The enrolment of a key of the registrar's own making, without anybody's word.
fn without_word(x: &Country, name: &str, code: &str, role: Role) -> Command {
    let id = x.enterprise(code);
    let mut enrol = x.enrolment(name, Holder::Enterprise { id }, role, name);
    if let Command::AddSigner { word, .. } = &mut enrol {
        *word = None;
    }
    enrol
}

fn status(x: &Country, code: &str, status: EnterpriseStatus) -> Command {
    Command::SetEnterpriseStatus {
        id: x.enterprise(code),
        status,
        reason: "why".into(),
    }
}

fn release(x: &Country, reason: &str) -> Command {
    let mut release = samples::release(x, x.code(1), None, Asking::Suffices);
    if let Command::Act {
        action: Action::ReleaseOwnership { reason: said, .. },
        ..
    } = &mut release
    {
        *said = reason.into();
    }
    release
}

fn ask(x: &Country, code: &str, secret: ReleaseSecret) -> Command {
    let owner = enterprise(x, code);
    act(x, 1, Action::RequestOwnership { owner, secret })
}

/// What the registrar may think of, against `victim`.
fn office(x: &Country, victim: &str) -> Vec<Command> {
    let retire = |name: &str| Command::RetireSigner {
        public: x.key(name).public(),
        compromised_after: None,
        reason: "lost".into(),
    };
    let narrowed = Command::AmendEnterprise {
        id: x.enterprise(victim),
        name: "x".into(),
        roles: vec![Role::Recycler],
        valid_from: carnet_domain::bytes::time::TimeMs::EPOCH,
        valid_to: x.clock,
        reason: "why".into(),
    };
    let desk = Desk::Enterprise {
        id: x.enterprise("0005"),
    };
    vec![
        status(x, victim, EnterpriseStatus::Suspended),
        status(x, victim, EnterpriseStatus::Active),
        status(x, victim, EnterpriseStatus::StruckOff),
        narrowed,
        without_word(x, "stolen-owner", victim, Role::Owner),
        without_word(x, "stolen-dealer", victim, Role::Dealer),
        retire("dealer"),
        retire("owner"),
        release(x, "the owner is gone"),
        act(x, 1, Action::ApproveOwnership {}),
        act(
            x,
            1,
            Action::Stock {
                at: Some(x.enterprise("0005")),
            },
        ),
        act(
            x,
            1,
            Action::ChangeDesk {
                person: person(),
                desk,
                reason: "bankrupt".into(),
            },
        ),
        act(
            x,
            1,
            Action::Annul {
                reason: "why".into(),
            },
        ),
    ]
}

/// Everything that the registrar's accomplices may do: an enterprise of theirs, and keys that the registrar enrolled.
fn accomplices(x: &mut Country) {
    for who in ["0005-dealer", "0005-owner", "stolen-owner", "stolen-dealer"] {
        let owner = enterprise(x, "0005");
        let asked = ask(x, "0005", samples::SECRET);
        let commands = [
            act(x, 1, Action::Sell { owner }),
            release(x, ""),
            asked,
            act(x, 1, Action::ApproveOwnership {}),
        ];
        for command in commands {
            // Whose key is not enrolled has no session.
            let known = x.ledger.signers().any(|one| one.person == who);
            if known {
                x.command(who, command);
            }
        }
    }
}

/// Robot 1 with a registrar's accomplice beside it: in stock, or sold to an enterprise, a person, or one without a key.
fn begun(owner: Option<PartyName>) -> Country {
    let mut x = Country::with_market("86");
    accredit(&mut x, "0005", &[Role::Dealer, Role::Owner]);
    x.must("registrar", x.accreditation("0006"));
    x.must("maker", x.register(1));
    let stock = act(&x, 1, samples::stock_at_dealer(&x));
    x.must("maker", stock);
    if let Some(owner) = owner {
        let sell = act(&x, 1, Action::Sell { owner });
        x.must("dealer", sell);
    }
    x
}

/// Every sequence of at most `left` commands of the registrar, with the accomplices' after each.
fn walk(x: &Country, victim: &str, left: usize, done: &mut Vec<&'static str>, tried: &mut usize) {
    let before = whose(x);
    for command in office(x, victim) {
        let mut then = x.clone();
        let name = command.name();
        if text(&then.command("registrar", command)) != "done" {
            continue;
        }
        *tried += 1;
        done.push(name);
        accomplices(&mut then);
        let moved = |party: &Option<Party>| match party {
            // Another desk is no other owner.
            Some(Party::Person { commitment, .. }) => Some(*commitment),
            _ => None,
        };
        let after = whose(&then);
        let same = |one: &Option<Party>, other: &Option<Party>| {
            one == other || moved(one).is_some() && moved(one) == moved(other)
        };
        // What nobody owns yet may have been registered in error.
        let ended = before.2 != after.2 && before.0.is_some();
        assert!(
            same(&before.0, &after.0) && same(&before.1, &after.1) && !ended,
            "{done:?}: {before:?} became {after:?}"
        );
        if left > 1 {
            walk(&then, victim, left - 1, done, tried);
        }
        done.pop();
    }
}

fn nothing_moves(owner: Option<PartyName>, victim: &str) {
    let x = begun(owner);
    let mut tried = 0;
    walk(&x, victim, 3, &mut Vec::new(), &mut tried);
    assert!(tried > 50, "{tried} sequences were taken");
}

#[test]
fn one_registrar_moves_no_robot_of_an_enterprise() {
    let owner = enterprise(&Country::unborn("86"), "0002");
    nothing_moves(Some(owner), "0002");
}

#[test]
fn one_registrar_moves_no_robot_of_a_person() {
    nothing_moves(Some(PartyName::from(person())), "0002");
}

#[test]
fn one_registrar_moves_no_robot_in_stock() {
    nothing_moves(None, "0002");
}

/// It was made owner before it had a key: its first key is no longer a registrar's alone.
#[test]
fn one_registrar_moves_no_robot_of_who_has_no_key() {
    let owner = enterprise(&Country::unborn("86"), "0006");
    nothing_moves(Some(owner), "0006");
}

/// A desk that she chose gives the robot neither abroad for good nor to a recycler; an office of the border still may.
#[test]
fn a_desk_that_one_registrar_chose_takes_no_robot_from_its_owner() {
    let mut x = begun(Some(PartyName::from(person())));
    let mut abroad = Country::with_market("49");
    befriend(&mut x, &mut abroad);
    let desk = Desk::Enterprise {
        id: x.enterprise("0005"),
    };
    let change = Action::ChangeDesk {
        person: person(),
        desk,
        reason: "bankrupt".into(),
    };
    let change = act(&x, 1, change);
    x.must("registrar", change);
    let export = x.declare(1, TransferId([1; 16]), &abroad.prefix);
    let refused = "SecondPartyRequired: …";
    check(&mut x, "0005-owner", export.clone(), refused);
    let certificate = sha256(&[b"certificate"]);
    let declare = Action::DeclareEndOfLife {
        outcome: EndOfLife::Scrapped,
        certificate,
    };
    let declare = act(&x, 1, declare);
    x.must("recycler", declare);
    let confirm = act(&x, 1, Action::ConfirmEndOfLife { certificate });
    check(&mut x, "0005-owner", confirm, refused);
    check(&mut x, "customs", export, "done");
}

/// The first of two words is answered as what it is, foreseen and told again alike: nothing was done yet.
#[test]
fn the_first_word_is_answered_as_one_that_waits() {
    let waits = |items: &[ItemAnswer]| -> Vec<bool> {
        let waits = |item: &ItemAnswer| matches!(item, ItemAnswer::Done { waits: true, .. });
        items.iter().map(waits).collect()
    };
    let mut x = begun(None);
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let suspended = status(&x, "0002", EnterpriseStatus::Suspended);
    x.must("registrar", suspended);
    let at = Some(x.enterprise("0005"));
    let stock = act(&x, 1, Action::Stock { at });
    let asked = Question {
        prefix: x.prefix,
        incarnation: x.registry().incarnation,
        key: x.key("registrar").public().key_id(),
        not_after: x.clock.saturating_add(DurationMs::from_days(1)),
        items: vec![Blob(stock.to_bytes())],
    };
    let Ok(foreseen) = foresee(&mut x.ledger.clone(), &asked, x.clock);
    assert_eq!(waits(&foreseen.expect("a genesis").items), [true]);
    // The same person's second is refused, and none that waits.
    let request = x.request("registrar", &[stock.clone(), stock.clone()]);
    let first = x.ask(request.clone());
    assert_eq!(waits(&first.items), [true, false]);
    assert_eq!(x.ask(request).items, first.items, "told again");
    assert_eq!(waits(&[x.command("registrar-2", stock)]), [false]);
    let key = x.enrolment("customs-2", x.office("customs"), Role::Customs, "another");
    assert_eq!(waits(&[x.command("admin", key.clone())]), [true]);
    assert_eq!(waits(&[x.command("admin-2", key)]), [false]);
}

/// What two registrars do is done: the same things, with the second word.
#[test]
fn two_registrars_go_on_in_somebodys_place() {
    let mut x = begun(None);
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let suspended = status(&x, "0002", EnterpriseStatus::Suspended);
    x.must("registrar", suspended);
    let stock = act(
        &x,
        1,
        Action::Stock {
            at: Some(x.enterprise("0005")),
        },
    );
    let holder = whose(&x).1;
    check(&mut x, "registrar", stock.clone(), "done");
    assert_eq!(whose(&x).1, holder, "the first word changes nothing");
    check(&mut x, "registrar", stock.clone(), "SecondPartyRequired: …");
    check(&mut x, "registrar-2", stock, "done");
    let sold = act(
        &x,
        1,
        Action::Sell {
            owner: PartyName::from(person()),
        },
    );
    check(&mut x, "0005-dealer", sold, "done");
    // A key of who may act: by its own word, or by two registrars.
    let enrol = without_word(&x, "further", "0005", Role::Dealer);
    check(&mut x, "registrar", enrol.clone(), "done");
    let Ok(known) = x.ledger.signer(&x.key("further").public().key_id());
    assert_eq!(known, None, "the first word enrols nothing");
    check(&mut x, "registrar", enrol.clone(), "SecondPartyRequired: …");
    check(&mut x, "registrar-2", enrol, "done");
    let id = x.enterprise("0005");
    let own = x.enrolment("another", Holder::Enterprise { id }, Role::Owner, "another");
    check(&mut x, "registrar", own, "done");
    let Ok(known) = x.ledger.signer(&x.key("another").public().key_id());
    assert!(known.is_some(), "with the enterprise's word at once");
}

/// The word is of a key that the enterprise has, over this very key.
#[test]
fn the_word_for_a_key_is_its_own_enterprises() {
    let mut x = begun(None);
    let id = x.enterprise("0005");
    let honest = x.enrolment("new", Holder::Enterprise { id }, Role::Owner, "new");
    let changed = |change: &dyn Fn(&mut Command)| {
        let mut command = honest.clone();
        change(&mut command);
        command
    };
    let other = x.enrolment("new", Holder::Enterprise { id }, Role::Dealer, "new");
    let of_another = x.enrolment(
        "new",
        Holder::Enterprise {
            id: x.enterprise("0002"),
        },
        Role::Owner,
        "new",
    );
    let word_of = |from: &Command| match from {
        Command::AddSigner { word, .. } => *word,
        _ => None,
    };
    let cases = [
        (
            changed(&|it| set_word(it, word_of(&other))),
            "BadSignature: …",
        ),
        (
            changed(&|it| set_word(it, word_of(&of_another))),
            "SignerUnknown: …",
        ),
        (changed(&|it| set_role(it, Role::Dealer)), "BadSignature: …"),
    ];
    for (command, expected) in cases {
        check(&mut x, "registrar", command, expected);
    }
    let gone = Command::RetireSigner {
        public: x.key("0005-dealer").public(),
        compromised_after: None,
        reason: "lost".into(),
    };
    x.must("registrar", gone);
    check(&mut x, "registrar", honest, "SignerNotActive: …");
}

fn set_word(command: &mut Command, to: Option<carnet_domain::record::Word>) {
    if let Command::AddSigner { word, .. } = command {
        *word = to;
    }
}

fn set_role(command: &mut Command, to: Role) {
    if let Command::AddSigner { enrolment, .. } = command {
        enrolment.role = to;
    }
}

/// The fault: whoever saw a public key in a proposal enrolled it as something else, and it was used up for ever.
#[test]
fn nobody_enrols_a_key_that_he_does_not_have() {
    let mut x = begun(None);
    let honest = x.enrolment(
        "anna-2",
        x.office("registrar"),
        Role::Registrar,
        "registrar-2",
    );
    x.must("admin", honest.clone());
    let Command::AddSigner {
        enrolment, proof, ..
    } = honest.clone()
    else {
        panic!("an enrolment");
    };
    // Her proof is of her office alone, and nobody else has another.
    let id = x.enterprise("0006");
    for (who, holder, role) in [
        ("admin-2", x.office("auditor"), Role::Auditor),
        ("registrar", Holder::Enterprise { id }, Role::Owner),
    ] {
        let mut burnt = enrolment.clone();
        (burnt.holder, burnt.role) = (holder, role);
        for proof in [proof, burnt.sign(&x.prefix, &x.key("admin-2"))] {
            let burn = Command::AddSigner {
                enrolment: burnt.clone(),
                proof,
                word: None,
            };
            check(&mut x, who, burn, "BadSignature: …");
        }
    }
    check(&mut x, "admin-2", honest, "done");
    let Ok(known) = x.ledger.signer(&enrolment.public.key_id());
    assert_eq!(known.map(|known| known.role), Some(Role::Registrar));
    // A proof is good in one registry.
    let abroad = Country::with_market("49");
    let foreign = abroad.enrolment("x", abroad.office("auditor"), Role::Auditor, "x");
    check(&mut x, "admin", foreign, "BadSignature: …");
}

/// What is an owner's in stock is not one registrar's to end.
#[test]
fn a_robot_with_an_owner_is_annulled_by_two() {
    let mut x = begun(None);
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let mut robot = robot.expect("registered");
    let id = x.enterprise("0002");
    robot.owner = Some(Party::Enterprise { id });
    let Ok(()) = x.ledger.put_robot(robot);
    let annul = |reason: &str| {
        let reason = reason.to_owned();
        act(&Country::unborn("86"), 1, Action::Annul { reason })
    };
    check(&mut x, "registrar", annul("error"), "done");
    check(
        &mut x,
        "registrar",
        annul("error"),
        "SecondPartyRequired: …",
    );
    // Another reason is another act.
    check(&mut x, "registrar-2", annul("other"), "done");
    assert!(!whose(&x).2, "two first words");
    check(&mut x, "registrar", annul("other"), "done");
    assert!(whose(&x).2);
}

/// An owner's hold is the owner's: the next desk lifts it, and a registrar where nobody signs for the owner any more.
#[test]
fn an_owners_hold_is_lifted_by_who_stands_for_the_owner() {
    let here = Country::unborn("86");
    let code = here.code(1);
    let kind = HoldKind::OwnerHold;
    let reason = "asked for".to_owned();
    let set = Command::SetHold { code, kind, reason };
    let lift = |reason: &str| Command::LiftHold {
        code,
        kind,
        reason: reason.into(),
    };
    let mut x = begun(Some(PartyName::from(person())));
    check(&mut x, "owner", set.clone(), "done");
    check(&mut x, "0005-owner", lift("x"), "NotYours: …");
    check(&mut x, "registrar", lift("x"), "HoldUnknown: …");
    let struck = status(&x, "0002", EnterpriseStatus::StruckOff);
    x.must("registrar", struck);
    let desk = Desk::Enterprise {
        id: x.enterprise("0005"),
    };
    let change = Action::ChangeDesk {
        person: person(),
        desk,
        reason: "bankrupt".into(),
    };
    let change = act(&x, 1, change);
    check(&mut x, "registrar", change, "done");
    check(&mut x, "registrar", lift("x"), "HoldUnknown: …");
    check(&mut x, "0005-owner", lift("x"), "done");
    let mut x = begun(Some(enterprise(&here, "0002")));
    check(&mut x, "owner", set, "done");
    let struck = status(&x, "0002", EnterpriseStatus::StruckOff);
    x.must("registrar", struck);
    let in_place = release(&x, "the owner is gone");
    check(&mut x, "registrar", in_place, "Held: …");
    check(&mut x, "registrar", lift(" "), "ReasonMissing: …");
    check(&mut x, "registrar", lift("the owner is gone"), "done");
    let in_place = release(&x, "the owner is gone");
    check(&mut x, "registrar", in_place, "done");
}

/// Where the owner's side may approve, no office does it for them.
#[test]
fn an_office_approves_nothing_in_the_place_of_who_may() {
    let here = Country::unborn("86");
    let mut x = begun(Some(enterprise(&here, "0002")));
    let waits = samples::release(&x, x.code(1), None, Asking::Waits);
    x.must("owner", waits);
    let asked = ask(&x, "0005", samples::SECRET);
    x.must("0005-owner", asked);
    let approve = act(&x, 1, Action::ApproveOwnership {});
    for office in ["registrar", "regulator"] {
        check(&mut x, office, approve.clone(), "NotYours: …");
    }
    check(&mut x, "owner", approve, "done");
}
