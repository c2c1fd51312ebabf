//! What one registrar does alone, however many commands it takes, never moves a robot from who owns or holds it: a small walk
//! over all of them, each followed by everything that accomplices can do.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::Phase;
use carnet_domain::limits::{FIRST_WORDS_MAX, FIRST_WORDS_OF_ROLE_MAX};
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::machine::{Question, foresee};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    ApprovalStatus, Asking, Desk, EnterpriseStatus, Holder, Maker, PartName, Party, PartyName,
    Pending, ReleaseSecret, Severity,
};
use carnet_domain::rules::command::{Action, Command, Papers, Purpose, TransferId};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, befriend, samples, text};

use crate::owners::accredit;
use crate::rules::act;

/// As [`crate::rules::check`], by nobody but who is named.
fn check(x: &mut Country, who: &str, command: Command, expected: &str) {
    let answer = text(&x.command(who, command.clone()));
    let holds = match expected.strip_suffix('…') {
        Some(beginning) => answer.starts_with(beginning),
        None => answer == expected,
    };
    assert!(holds, "{who}: {command:?}: {answer}, expected {expected}");
}

fn enterprise(x: &Country, code: &str) -> PartyName {
    PartyName::Enterprise {
        id: x.enterprise(code),
    }
}

fn person() -> Digest {
    sha256(&[b"somebody"])
}

/// Owner and holder of robot 1, whether it ended, and whether it is offered abroad.
fn whose(x: &Country) -> (Option<Party>, Option<Party>, bool, bool) {
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let robot = robot.expect("registered");
    let is_here = matches!(robot.custody.phase, Phase::Here {});
    // What nobody owns yet may have been registered in error.
    let annulled = robot.owner.is_none() && robot.state == State::Annulled;
    let ended = robot.state.is_final() && !annulled;
    (robot.owner, robot.holder, ended, !is_here)
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

/// Roles of enterprises.
fn roles() -> Vec<Role> {
    let all = Role::ALL.iter().copied();
    all.filter(|role| role.is_enterprise()).collect()
}

fn certificate() -> Digest {
    sha256(&[b"certificate"])
}

/// As [`accomplices`], in every role there is: everything by which a robot leaves its owner here, sold, given, taken abroad for good
/// or ended.
fn accomplices_in_every_role(x: &mut Country, abroad: &Prefix) {
    let of = |code: &str| {
        let name = |role: &Role| format!("{code}-{}", role.word());
        roles().iter().map(name).collect::<Vec<String>>()
    };
    let names = [of("0005"), of("0006")].concat();
    let outcome = EndOfLife::Scrapped;
    for (place, who) in names.iter().enumerate() {
        // Whose key is not enrolled has no session.
        if !x.ledger.signers().any(|one| one.person == *who) {
            continue;
        }
        let certificate = certificate();
        let owner = enterprise(x, &who[..4]);
        let transfer = TransferId([place as u8 + 1; 16]);
        let commands = [
            act(x, 1, Action::Sell { owner }),
            act(
                x,
                1,
                Action::Stock {
                    at: Some(x.enterprise("0005")),
                },
            ),
            release(x, ""),
            ask(x, &who[..4], samples::SECRET),
            act(x, 1, Action::ApproveOwnership {}),
            x.declare(1, transfer, abroad),
            act(
                x,
                1,
                Action::DeclareEndOfLife {
                    outcome,
                    certificate,
                },
            ),
            act(x, 1, Action::ConfirmEndOfLife { certificate }),
        ];
        for command in commands {
            x.command(who, command);
        }
    }
}

/// Every pair of what the registrar does of all that ends, moves or makes a robot leave, with everything that enterprises of hers
/// do after each.
fn nothing_ends(owner: Option<PartyName>) {
    let mut x = begun(owner);
    accredit_in_every_role(&mut x);
    let mut abroad = Country::with_market("49");
    befriend(&mut x, &mut abroad);
    let mut tried = 0;
    for first in offices(&x) {
        let mut once = x.clone();
        let name = first.name();
        // Whom two struck off is prey like another.
        let struck = matches!(&first, Command::SetEnterpriseStatus { status, .. } if *status == EnterpriseStatus::StruckOff);
        let who = match struck {
            true => once.whoever("registrar", &first),
            false => "registrar",
        };
        if text(&once.command(who, first)) != "done" {
            continue;
        }
        accomplices_in_every_role(&mut once, &abroad.prefix);
        is_as_before(&x, &once, &[name]);
        for second in offices(&once) {
            let mut twice = once.clone();
            let then = second.name();
            if text(&twice.command("registrar", second)) != "done" {
                continue;
            }
            tried += 1;
            accomplices_in_every_role(&mut twice, &abroad.prefix);
            is_as_before(&x, &twice, &[name, then]);
        }
    }
    assert!(tried > 50, "{tried} pairs were taken");
}

/// 0005 with a key in every role, all by one registrar.
fn accredit_in_every_role(x: &mut Country) {
    let id = x.enterprise("0005");
    let amended = Command::AmendEnterprise {
        id,
        name: "accomplices".into(),
        roles: roles(),
        valid_from: TimeMs::EPOCH,
        valid_to: TimeMs::MAX,
        reason: "more roles".into(),
    };
    x.must("registrar", amended);
    for role in roles() {
        let name = format!("0005-{}", role.word());
        if !x.ledger.signers().any(|one| one.person == name) {
            let enrol = x.enrolment(&name, Holder::Enterprise { id }, role, &name);
            x.must("registrar", enrol);
        }
    }
}

/// As [`office`], with what ends a robot, and with who is made to end it.
fn offices(x: &Country) -> Vec<Command> {
    let mut all = office(x, "0002");
    let (outcome, certificate) = (EndOfLife::Scrapped, certificate());
    all.extend([
        act(
            x,
            1,
            Action::DeclareEndOfLife {
                outcome,
                certificate,
            },
        ),
        act(x, 1, Action::ConfirmEndOfLife { certificate }),
        without_word(x, "0006-recycler", "0006", Role::Recycler),
        without_word(x, "0006-owner", "0006", Role::Owner),
    ]);
    all
}

fn is_as_before(before: &Country, after: &Country, done: &[&str]) {
    let (before, after) = (whose(before), whose(after));
    let person = |party: &Option<Party>| match party {
        // Another desk is no other owner.
        Some(Party::Person { commitment, .. }) => Some(*commitment),
        _ => None,
    };
    let same = |one: &Option<Party>, other: &Option<Party>| {
        one == other || person(one).is_some() && person(one) == person(other)
    };
    assert!(
        same(&before.0, &after.0) && same(&before.1, &after.1) && before.2 == after.2 && !after.3,
        "{done:?}: {before:?} became {after:?}"
    );
}

#[test]
fn one_registrar_with_accomplices_in_every_role_ends_no_robot_of_an_enterprise() {
    let owner = enterprise(&Country::unborn("86"), "0002");
    nothing_ends(Some(owner));
}

#[test]
fn one_registrar_with_accomplices_in_every_role_ends_no_robot_of_a_person() {
    nothing_ends(Some(PartyName::from(person())));
}

#[test]
fn one_registrar_with_accomplices_in_every_role_ends_no_robot_in_stock() {
    nothing_ends(None);
}

/// A step, which may be refused, by its name.
type Tried = (&'static str, fn(&mut Country, &Maker));

/// What one registrar, who made a shell, may do to the serials of others.
const TO_SERIALS: [Tried; 8] = [
    ("a shell is made their maker", |x, maker| {
        let mut accreditation = x.accreditation("0007");
        if let Command::AccreditEnterprise { maker: named, .. } = &mut accreditation {
            *named = maker.clone();
        }
        x.command("registrar", accreditation);
        let enrol = without_word(x, "0007-manufacturer", "0007", Role::Manufacturer);
        x.command("registrar", enrol);
        let approval = x.approval("0007", "100002");
        x.command("registrar", approval);
    }),
    ("the shell registers them", |x, maker| {
        by_known(x, "0007-manufacturer", squat(x, "0007", maker, maker));
    }),
    ("another shell fits them", |x, maker| {
        let own = x.maker("0005");
        by_known(x, "0005-manufacturer", squat(x, "0005", &own, maker));
    }),
    ("the registrar registers them", |x, maker| {
        let own = x.maker("0005");
        let mut squat = squat(x, "0005", &own, maker);
        if let Command::Register { registration } = &mut squat {
            registration.code = code_under(x, "0005", 78);
            registration.body.serial = "S78".into();
        }
        x.command("registrar", squat);
    }),
    ("an importer files them", |x, maker| {
        let mut filed = squat(x, "0005", maker, maker);
        if let Command::Register { registration } = &mut filed {
            registration.code = code_under(x, "0005", 79);
            registration.importers_filing = true;
        }
        by_known(x, "0005-importer", filed);
    }),
    ("what has them is scrapped", |x, _| {
        let (outcome, certificate) = (EndOfLife::Scrapped, certificate());
        for code in squats(x) {
            let on = |action| Command::Act {
                code,
                expected_sequence: None,
                action,
            };
            let declare = Action::DeclareEndOfLife {
                outcome,
                certificate,
            };
            by_known(x, "0005-recycler", on(declare));
            for who in [
                "registrar",
                "0007-manufacturer",
                "0005-manufacturer",
                "owner",
            ] {
                by_known(x, who, on(Action::ConfirmEndOfLife { certificate }));
            }
        }
    }),
    ("their rows are cleared", |x, maker| {
        for identity in serials(x, maker) {
            let peer = x.prefix;
            let reason = "mistyped".to_owned();
            let clear = Command::ClearClaim {
                peer,
                identity,
                reason,
            };
            x.command("registrar", clear);
        }
    }),
    ("what has them is annulled", |x, _| {
        for code in squats(x) {
            let annul = Command::Act {
                code,
                expected_sequence: None,
                action: Action::Annul {
                    reason: "why".into(),
                },
            };
            x.command("registrar", annul);
        }
    }),
];

fn code_under(x: &Country, enterprise: &str, serial: u32) -> Code {
    Code::parse(&format!("{}{enterprise}100002{serial:017}", x.prefix)).expect("a code")
}

fn squats(x: &Country) -> [Code; 4] {
    let of = |(enterprise, serial)| code_under(x, enterprise, serial);
    [("0007", 77), ("0005", 77), ("0005", 78), ("0005", 79)].map(of)
}

/// The registration, under `enterprise`, of a robot with a body of `body` and compute unit and battery of `maker`, who made robot 77
/// with them.
fn squat(x: &Country, enterprise: &str, body: &Maker, maker: &Maker) -> Command {
    let mut registration = x.registration(77);
    registration.code = code_under(x, enterprise, 77);
    registration.body.maker = body.clone();
    registration.identity_parts.truncate(1);
    for part in registration
        .identity_parts
        .iter_mut()
        .chain(&mut registration.parts)
    {
        part.maker = maker.clone();
    }
    Command::Register { registration }
}

/// Body, compute unit and battery.
fn serials(x: &Country, maker: &Maker) -> Vec<Digest> {
    let Command::Register { registration } = squat(x, "0001", maker, maker) else {
        unreachable!("a registration");
    };
    let parts = registration
        .identity_parts
        .iter()
        .chain(&registration.parts);
    let parts = parts.map(PartName::identity);
    std::iter::once(registration.body.identity())
        .chain(parts)
        .collect()
}

/// By who has a session: whose key is not enrolled has none.
fn by_known(x: &mut Country, who: &str, command: Command) {
    if x.ledger.signers().any(|one| one.person == who) {
        x.command(who, command);
    }
}

/// One registrar, with shells of hers, takes no serial from who makes it, in whatever order: a maker that two persons made registers
/// it all the same, whether it was here all along or comes later, and its end is proven by nobody but that one.
#[test]
fn one_registrar_with_shells_takes_no_serial_from_its_maker() {
    let mut x = Country::with_market("86");
    x.vouch("0001");
    x.must("registrar", x.accreditation("0005"));
    x.must("registrar", x.approval("0005", "100002"));
    accredit_in_every_role(&mut x);
    let late = x.maker("0009");
    let mut proven = 0;
    for maker in [x.maker("0001"), late.clone()] {
        let mut reached = vec![x.clone()];
        for _ in 0..3 {
            let steps = |from: &Country| {
                TO_SERIALS.map(|(_, step)| {
                    let mut then = from.clone();
                    step(&mut then, &maker);
                    then
                })
            };
            reached = reached.iter().flat_map(steps).collect();
        }
        for mut then in reached {
            let is_proven = |identity: &Digest| {
                let Ok(ends) = then.ledger.ends(identity);
                ends.is_some_and(|ends| ends.proven.is_some())
            };
            proven += serials(&then, &maker)
                .iter()
                .filter(|it| is_proven(it))
                .count();
            let mut own = squat(&then, "0001", &maker, &maker);
            if maker == late {
                // Two strike off whoever poses as it.
                let struck = status(&then, "0007", EnterpriseStatus::StruckOff);
                then.command("registrar", struck.clone());
                then.command("registrar-2", struck);
                let mut accreditation = then.accreditation("0009");
                if let Command::AccreditEnterprise { roles, .. } = &mut accreditation {
                    *roles = vec![Role::Manufacturer];
                }
                then.must("registrar-2", accreditation);
                let enrol = without_word(&then, "0009-manufacturer", "0009", Role::Manufacturer);
                then.must("registrar", enrol);
                let approval = then.approval("0009", "100002");
                then.must("registrar", approval);
                own = squat(&then, "0009", &maker, &maker);
                check(&mut then, "0009-manufacturer", own, "done");
            } else {
                check(&mut then, "maker", own, "done");
            }
        }
    }
    assert_eq!(proven, 0, "ends that one person proved");
}

/// Robot 1 of an owner, three registrars, and 0006, whom the first one accredited: without a key.
fn three_registrars() -> Country {
    let mut x = begun(Some(enterprise(&Country::unborn("86"), "0002")));
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    x.enrol_office("registrar-3", "registrar", Role::Registrar);
    x
}

/// What is said of 0006 anew.
fn stated(x: &Country, roles: Vec<Role>) -> Command {
    Command::AmendEnterprise {
        id: x.enterprise("0006"),
        name: "a recycler".into(),
        roles,
        valid_from: TimeMs::EPOCH,
        valid_to: TimeMs::MAX,
        reason: "seen".into(),
    }
}

/// Whether each confirms the end that a recycler's key of 0006 declares.
fn ends(x: &Country, recycler: &str, expected: [(&str, bool); 3]) {
    let (outcome, certificate) = (EndOfLife::Scrapped, certificate());
    let mut x = x.clone();
    let declared = Action::DeclareEndOfLife {
        outcome,
        certificate,
    };
    let declared = act(&x, 1, declared);
    check(&mut x, recycler, declared, "done");
    let confirm = act(&x, 1, Action::ConfirmEndOfLife { certificate });
    // The owner is another party always.
    check(&mut x.clone(), "owner", confirm.clone(), "done");
    for (who, two) in expected {
        let said = if two {
            "done"
        } else {
            "SecondPartyRequired: …"
        };
        check(&mut x.clone(), who, confirm.clone(), said);
    }
}

/// Whom one registrar accredited, or gave a role, is one party with that registrar, until another one states its accreditation. The
/// key that signs is one that two made here, so that nothing else counts.
#[test]
fn a_recycler_of_one_registrar_is_no_second_party_to_that_one() {
    let mut made = three_registrars();
    let first = without_word(&made, "0006-owner", "0006", Role::Owner);
    made.must("registrar-3", first);
    let key = without_word(&made, "0006-recycler", "0006", Role::Recycler);
    made.must("registrar-2", key.clone());
    made.must("registrar-3", key);
    let say = |x: &Country, [one, other, third]: [bool; 3]| {
        let all = [
            ("registrar", one),
            ("registrar-2", other),
            ("registrar-3", third),
        ];
        ends(x, "0006-recycler", all);
    };
    say(&made, [false, true, true]);
    let mut x = made.clone();
    let again = stated(&x, roles());
    x.must("registrar", again.clone());
    say(&x, [false, true, true]);
    x.must("registrar-2", again);
    say(&x, [true, true, true]);
    // What the second one adds is that one's word.
    let mut x = made.clone();
    let less = stated(&x, vec![Role::Owner]);
    x.must("registrar", less);
    let more = stated(&x, vec![Role::Owner, Role::Recycler]);
    x.must("registrar-2", more);
    say(&x, [true, false, true]);
    // Proposed or further keys, of whatever words, say nothing of it.
    let mut x = made;
    let proposed = without_word(&x, "proposed", "0006", Role::Owner);
    x.must("registrar-2", proposed);
    say(&x, [false, true, true]);
    let id = x.enterprise("0006");
    let further = x.enrolment("further", Holder::Enterprise { id }, Role::Owner, "further");
    x.must("registrar-2", further);
    say(&x, [false, true, true]);
}

/// Who made the key that signs made the party that signs, whoever accredited it and whatever others say of it since: its period, its
/// name, its roles, other keys. Two who make a key make one that is nobody's.
#[test]
fn a_key_of_one_registrar_is_no_second_party_to_that_one() {
    let say = |x: &Country, key: &str, [one, other, third]: [bool; 3]| {
        let all = [
            ("registrar", one),
            ("registrar-2", other),
            ("registrar-3", third),
        ];
        ends(x, key, all);
    };
    let mut x = three_registrars();
    let first = without_word(&x, "0006-recycler", "0006", Role::Recycler);
    x.must("registrar-2", first);
    // Who accredited it alone, and who made its key alone.
    say(&x, "0006-recycler", [false, false, true]);
    // A third one who prolongs its period says of its key nothing.
    let mut renewed = x.clone();
    let again = stated(&x, roles());
    renewed.must("registrar-3", again);
    say(&renewed, "0006-recycler", [true, false, true]);
    // Stated by two before it had a key.
    let mut early = three_registrars();
    let again = stated(&early, roles());
    early.must("registrar-2", again);
    let first = without_word(&early, "0006-recycler", "0006", Role::Recycler);
    early.must("registrar-2", first);
    say(&early, "0006-recycler", [true, false, true]);
    // A key on its word is of its making, whoever brings it.
    let id = renewed.enterprise("0006");
    let holder = Holder::Enterprise { id };
    let mut further = renewed.clone();
    let on_word = further.enrolment("further", holder, Role::Recycler, "further");
    further.must("registrar-3", on_word);
    say(&further, "further", [true, false, true]);
    // One that two made is nobody's.
    let by_two = without_word(&renewed, "of-two", "0006", Role::Recycler);
    renewed.must("registrar-2", by_two.clone());
    say(&renewed, "0006-recycler", [true, false, true]);
    renewed.must("registrar", by_two);
    say(&renewed, "of-two", [true, true, true]);
    say(&renewed, "0006-recycler", [true, false, true]);
}

/// What a maker held that another registrar struck off, and what is owed of its robots, goes to nobody by what one registrar says:
/// neither where nobody was named to go on for it, nor where two named another.
#[test]
fn one_registrar_moves_nothing_of_a_maker_that_is_over() {
    for named in [false, true] {
        let mut x = Country::with_market("86");
        x.enrol_office("registrar-2", "registrar", Role::Registrar);
        x.enrol_office("registrar-3", "registrar", Role::Registrar);
        accredit(&mut x, "0005", &roles());
        x.must("registrar-2", x.accreditation("0006"));
        x.must("maker", x.register(1));
        x.must("maker", samples::recall(&x, "R-1", Severity::StopUse));
        let struck = status(&x, "0001", EnterpriseStatus::StruckOff);
        x.must("registrar-3", struck);
        if named {
            for who in ["registrar-2", "registrar-3"] {
                let honest = succession(&x, "0001", "0003");
                x.must(who, honest);
            }
        }
        let begun = x;
        let owed = |x: &Country| {
            let Ok(robot) = x.ledger.robot(&x.code(1));
            robot.expect("registered").remedied
        };
        let accomplice = |x: &mut Country| {
            let owner = enterprise(x, "0005");
            let at = Some(x.enterprise("0005"));
            let commands = [
                act(x, 1, Action::Stock { at }),
                act(x, 1, Action::Sell { owner }),
                Command::RemedyRecall {
                    code: x.code(1),
                    recall: samples::recall_id(x, "R-1"),
                    report: certificate(),
                },
            ];
            for who in ["0005-manufacturer", "0005-dealer", "0005-workshop"] {
                for command in &commands {
                    x.command(who, command.clone());
                }
            }
        };
        let all = |x: &Country| {
            let mut all = office(x, "0001");
            // What has no owner may be annulled: it was registered in error.
            all.retain(|one| {
                !matches!(
                    one,
                    Command::Act {
                        action: Action::Annul { .. },
                        ..
                    }
                )
            });
            all.extend(["0005", "0006", "0003"].map(|next| succession(x, "0001", next)));
            all.extend(["0005", "0006"].map(|next| succession(x, "0003", next)));
            all
        };
        let mut tried = 0;
        let mut walked = vec![(begun.clone(), Vec::new())];
        for _ in 0..3 {
            let mut next = Vec::new();
            for (x, done) in walked {
                for command in all(&x) {
                    let mut then = x.clone();
                    let name = format!("{command:?}");
                    if text(&then.command("registrar", command)) != "done" {
                        continue;
                    }
                    tried += 1;
                    let mut done: Vec<String> = done.clone();
                    done.push(name);
                    let mut after = then.clone();
                    accomplice(&mut after);
                    assert_eq!(whose(&begun), whose(&after), "{done:?}");
                    assert_eq!(owed(&after), [], "{done:?}");
                    next.push((then, done));
                }
            }
            walked = next;
        }
        assert!(tried > 50, "{tried} sequences were taken");
    }
}

fn succession(x: &Country, code: &str, next: &str) -> Command {
    Command::SucceedEnterprise {
        id: x.enterprise(code),
        successor: x.enterprise(next),
        reason: "it goes on".into(),
    }
}

/// Customs give nobody's robot away for good: the owner does. Where that side may act no more, two of the border do, and the first word
/// is no offer.
#[test]
fn customs_alone_declare_nobodys_permanent_export() {
    let owner = enterprise(&Country::unborn("86"), "0002");
    for owner in [Some(owner), Some(PartyName::from(person())), None] {
        let mut x = begun(owner);
        x.enrol_office("customs-2", "customs", Role::Customs);
        let mut abroad = Country::with_market("49");
        befriend(&mut x, &mut abroad);
        let export =
            |x: &Country, number: u8| x.declare(1, TransferId([number; 16]), &abroad.prefix);
        let command = export(&x, 1);
        check(&mut x, "customs", command.clone(), "NotYours: …");
        // For a time they still do: it comes back.
        let mut there = x.clone();
        let mut for_a_time = command.clone();
        if let Command::DeclareExport { purpose, .. } = &mut for_a_time {
            *purpose = Purpose::Exhibition;
        }
        check(&mut there, "customs", for_a_time, "done");
        // Its own side.
        let giver = x.giver(&x.code(1));
        check(&mut x.clone(), giver, command.clone(), "done");
        // Nobody of that side may act any more.
        for code in ["0001", "0002"] {
            let struck = status(&x, code, EnterpriseStatus::StruckOff);
            x.must("registrar", struck);
        }
        check(&mut x, "customs", command, "done");
        assert!(!whose(&x).3, "the first word is no offer");
        let command = export(&x, 2);
        check(&mut x, "customs", command.clone(), "SecondPartyRequired: …");
        check(&mut x, "customs-2", command, "done");
        assert!(whose(&x).3);
        // The word is used up.
        let reason = "not now".to_owned();
        let transfer = TransferId([2; 16]);
        x.must("customs", Command::CancelExport { transfer, reason });
        let command = export(&x, 3);
        check(&mut x, "customs-2", command, "done");
        assert!(!whose(&x).3, "a first word anew");
    }
}

/// Whoever acts for a person counts as the person does: the first key of their new desk is no longer one registrar's.
#[test]
fn one_registrar_becomes_no_desk_of_a_person() {
    let mut x = begun(Some(PartyName::from(person())));
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let desk = Desk::Enterprise {
        id: x.enterprise("0006"),
    };
    let change = Action::ChangeDesk {
        person: person(),
        desk,
        reason: "it closes".into(),
    };
    let change = act(&x, 1, change);
    // Whoever enrols its first key would be the desk.
    check(&mut x, "owner", change.clone(), "EnterpriseNotActive: …");
    let first = without_word(&x, "0006-dealer", "0006", Role::Dealer);
    check(&mut x, "registrar", first, "done");
    check(&mut x, "owner", change, "done");
    let retire = Command::RetireSigner {
        public: x.key("0006-dealer").public(),
        compromised_after: None,
        reason: "lost".into(),
    };
    check(&mut x, "registrar", retire, "done");
    let enrol = without_word(&x, "0006-owner", "0006", Role::Owner);
    check(&mut x, "registrar", enrol.clone(), "done");
    let known = |x: &Country| {
        let Ok(known) = x.ledger.signer(&x.key("0006-owner").public().key_id());
        known.is_some()
    };
    assert!(!known(&x), "the first word enrols nothing");
    check(&mut x, "registrar-2", enrol, "done");
    assert!(known(&x));
}

/// Where an office is the desk, what it signs is one of two words of offices: it neither sells the person's robot alone, nor through a
/// desk that it gives instead.
#[test]
fn an_office_that_is_the_desk_gives_nothing_away_alone() {
    let mut x = begun(Some(PartyName::from(person())));
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let mut abroad = Country::with_market("49");
    befriend(&mut x, &mut abroad);
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let mut robot = robot.expect("registered");
    let desk = Desk::of(x.prefix, &x.office("registrar"));
    robot.owner = Some(PartyName::from(person()).at(desk, x.clock));
    robot.holder.clone_from(&robot.owner);
    let Ok(()) = x.ledger.put_robot(robot);
    let mut sold = x.clone();
    let released = release(&sold, "");
    check(&mut sold, "registrar", released, "done");
    let asked = ask(&sold, "0005", samples::SECRET);
    check(&mut sold, "0005-owner", asked, "done");
    let before = whose(&x);
    assert_eq!(whose(&sold), before, "asking is not enough");
    let approve = act(&sold, 1, Action::ApproveOwnership {});
    check(
        &mut sold,
        "registrar",
        approve.clone(),
        "SecondPartyRequired: …",
    );
    check(&mut sold, "registrar-2", approve, "done");
    assert_ne!(whose(&sold), before);
    let desk = Desk::Enterprise {
        id: x.enterprise("0005"),
    };
    let change = Action::ChangeDesk {
        person: person(),
        desk,
        reason: "nearer".into(),
    };
    let change = act(&x, 1, change);
    check(&mut x, "registrar", change, "done");
    let export = x.declare(1, TransferId([1; 16]), &abroad.prefix);
    check(&mut x, "0005-owner", export, "SecondPartyRequired: …");
}

/// A first word stands beside what waits: it ends no release, and no other registrar's word, whatever one registrar says meanwhile.
#[test]
fn a_first_word_ends_nothing_of_others() {
    let mut x = begun(None);
    for name in ["registrar-2", "registrar-3"] {
        x.enrol_office(name, "registrar", Role::Registrar);
    }
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let mut robot = robot.expect("registered");
    let id = x.enterprise("0002");
    robot.owner = Some(Party::Enterprise { id });
    let Ok(()) = x.ledger.put_robot(robot);
    let annul = |reason: &str| {
        let reason = reason.to_owned();
        act(&Country::unborn("86"), 1, Action::Annul { reason })
    };
    let struck = status(&x, "0002", EnterpriseStatus::StruckOff);
    x.must("registrar", struck);
    let in_place = release(&x, "the owner is gone");
    x.must("registrar-2", in_place);
    check(&mut x, "registrar", annul("error"), "done");
    for other in ["a", "b", "c", "d", "e"] {
        check(&mut x, "registrar-3", annul(other), "done");
    }
    let Ok(robot) = x.ledger.robot(&x.code(1));
    let robot = robot.expect("registered");
    assert!(
        matches!(robot.pending, Pending::Released { .. }),
        "{robot:?}"
    );
    assert_eq!(robot.first_words.len(), 2, "one a person");
    let mut full = x.clone();
    for number in 0..FIRST_WORDS_OF_ROLE_MAX {
        let name = format!("more-{number}");
        full.enrol_office(&name, "registrar", Role::Registrar);
        check(&mut full, &name, annul(&name), "done");
    }
    let Ok(robot) = full.ledger.robot(&full.code(1));
    assert_eq!(
        robot.expect("registered").first_words.len(),
        FIRST_WORDS_OF_ROLE_MAX
    );
    check(&mut x, "registrar-2", annul("error"), "done");
    assert!(whose(&x).2, "two said the same");
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
        let ended = before.2 != after.2;
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
    // Two of the border may.
    x.enrol_office("customs-2", "customs", Role::Customs);
    check(&mut x, "customs", export.clone(), "done");
    check(&mut x, "customs-2", export, "done");
    assert!(whose(&x).3);
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
                instead: None,
                reason: String::new(),
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
    // By two: one could make that nobody signs for the owner, and undo it.
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    let first = x.command("registrar", lift("the owner is gone"));
    assert!(
        matches!(first, ItemAnswer::Done { waits: true, .. }),
        "{first:?}"
    );
    let in_place = release(&x, "the owner is gone");
    check(&mut x, "registrar", in_place, "Held: …");
    check(&mut x, "registrar-2", lift("the owner is gone"), "done");
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
    // The registrar made who asks.
    check(
        &mut x,
        "registrar",
        approve.clone(),
        "SecondPartyRequired: …",
    );
    check(&mut x, "regulator", approve.clone(), "NotYours: …");
    check(&mut x, "owner", approve, "done");
}

/// What is for ever takes two persons: one alone strikes nobody off, withdraws no approval, and has nothing fall that a key signed,
/// in whatever order it is said, and by whatever comes between.
#[test]
fn one_person_ends_no_enterprise_no_approval_and_no_word() {
    let is = |x: &Country| {
        let Ok(enterprise) = x.ledger.enterprise(&x.enterprise("0001"));
        let Ok(model) = x.ledger.model(&x.model("0001", "100002"));
        let Ok(signer) = x.ledger.signer(&x.key("dealer").public().key_id());
        let signer = signer.expect("enrolled");
        (
            enterprise.expect("accredited").status,
            model.expect("approved").status,
            (signer.retired.is_some(), signer.compromised_after),
        )
    };
    let mut x = Country::with_market("86");
    for name in ["registrar-2", "registrar-3"] {
        x.enrol_office(name, "registrar", Role::Registrar);
    }
    let struck = status(&x, "0001", EnterpriseStatus::StruckOff);
    let suspended = status(&x, "0001", EnterpriseStatus::Suspended);
    let active = status(&x, "0001", EnterpriseStatus::Active);
    let withdrawn = Command::SetModelStatus {
        id: x.model("0001", "100002"),
        status: ApprovalStatus::Withdrawn,
        reason: "why".into(),
    };
    let compromised = Command::RetireSigner {
        public: x.key("dealer").public(),
        compromised_after: Some(0),
        reason: "stolen".into(),
    };
    let finals = [&struck, &withdrawn, &compromised];
    let waits = |x: &mut Country, who: &str, command: &Command| {
        let answer = x.command(who, command.clone());
        let waits = matches!(answer, ItemAnswer::Done { waits: true, .. });
        assert!(waits, "{who}: {command:?}: {answer:?}");
    };
    let stands = (EnterpriseStatus::Active, ApprovalStatus::Approved);
    x.session("dealer");
    for command in finals {
        waits(&mut x, "registrar", command);
        check(
            &mut x,
            "registrar",
            command.clone(),
            "SecondPartyRequired: …",
        );
        check(&mut x, "registrar", suspended.clone(), "done");
        check(
            &mut x,
            "registrar",
            command.clone(),
            "SecondPartyRequired: …",
        );
        check(&mut x, "registrar", active.clone(), "done");
    }
    // The key signs no more from its first word on.
    assert_eq!(is(&x), (stands.0, stands.1, (true, None)));
    let sell = Action::Sell {
        owner: person().into(),
    };
    let sale = act(&x, 1, sell);
    check(&mut x, "dealer", sale, "SignerNotActive: …");
    // A word that ran out is none.
    x.advance(DurationMs::from_days(8));
    for command in finals {
        waits(&mut x, "registrar-2", command);
    }
    assert_eq!(is(&x), (stands.0, stands.1, (true, None)));
    for command in finals {
        check(&mut x, "registrar-3", command.clone(), "done");
    }
    let over = (EnterpriseStatus::StruckOff, ApprovalStatus::Withdrawn);
    assert_eq!(is(&x), (over.0, over.1, (true, Some(0))));
    // An approval falls by one of each office too.
    let mut x = Country::with_market("86");
    waits(&mut x, "regulator", &withdrawn);
    check(&mut x, "registrar", withdrawn, "done");
    assert_eq!(is(&x).1, ApprovalStatus::Withdrawn);
}

/// The second word of the border says all that the first said that makes a difference abroad, and no word of another office takes the
/// first one back.
#[test]
fn the_second_word_of_the_border_is_the_same_word() {
    let (mut a, b) = crate::border::two();
    for name in ["customs-2", "customs-3"] {
        a.enrol_office(name, "customs", Role::Customs);
    }
    let suspended = status(&a, "0001", EnterpriseStatus::Suspended);
    a.must("registrar", suspended);
    let to = |number: u8, edit: fn(&mut Papers)| {
        let mut export = a.declare(1, carnet_kit::transfer(number), &b.prefix);
        if let Command::DeclareExport { papers, .. } = &mut export {
            let id = b.enterprise("0001");
            papers.consignee = Some(PartyName::Enterprise { id });
            edit(papers);
        }
        export
    };
    let honest = to(1, |_| ());
    let others: [fn(&mut Papers); 7] = [
        |papers| papers.consignee = None,
        |papers| papers.mrn = "another".into(),
        |papers| papers.ucr = "ANOTHER".into(),
        |papers| papers.commodity = "84795099".into(),
        |papers| papers.passport = "another".into(),
        |papers| papers.office_of_entry = "another".into(),
        |papers| papers.documents = vec![certificate()],
    ];
    let others = others.map(|edit| to(2, edit));
    let waits = |x: &mut Country, who: &str, command: &Command| {
        let answer = x.command(who, command.clone());
        assert!(
            matches!(answer, ItemAnswer::Done { waits: true, .. }),
            "{who}: {command:?}: {answer:?}"
        );
    };
    waits(&mut a, "customs", &honest);
    for other in &others {
        waits(&mut a.clone(), "customs-2", other);
    }
    // Registrars have words of their own at the same robot.
    for code in ["0005", "0006", "0007"] {
        accredit(&mut a, code, &[Role::Dealer]);
    }
    for (number, name) in [
        "registrar-2",
        "registrar-3",
        "registrar-4",
        "registrar-5",
        "registrar-6",
    ]
    .iter()
    .enumerate()
    {
        a.enrol_office(name, "registrar", Role::Registrar);
        let code = ["0002", "0003", "0005", "0006", "0007"][number];
        let at = Some(a.enterprise(code));
        let stock = act(&a, 1, Action::Stock { at });
        a.command(name, stock);
    }
    let Ok(robot) = a.ledger.robot(&a.code(1));
    let words = robot.expect("registered").first_words.len();
    assert_eq!(words, FIRST_WORDS_OF_ROLE_MAX + 1, "with that of customs");
    assert!(words <= FIRST_WORDS_MAX);
    let answer = a.command("customs-2", honest);
    assert!(
        matches!(answer, ItemAnswer::Done { waits: false, .. }),
        "{answer:?}"
    );
}

/// Whom a robot was sold to abroad, the side says that gave it away: one key of customs there makes nobody else its owner, and two
/// persons do, where the papers are no longer right.
#[test]
fn one_key_of_customs_admits_a_robot_for_nobody_but_its_consignee() {
    let (mut a, mut b) = crate::border::two();
    b.enrol_office("customs-2", "customs", Role::Customs);
    let (honest, accomplice) = (enterprise(&b, "0003"), enterprise(&b, "0002"));
    let unnamed = b.clone();
    let arrives = |a: &mut Country, b: &mut Country, consignee: Option<PartyName>| {
        let mut declared = a.declare(1, carnet_kit::transfer(1), &b.prefix);
        if let Command::DeclareExport { papers, .. } = &mut declared {
            papers.consignee = consignee;
        }
        a.must("customs", declared);
        a.deliver(b);
        b.must("customs", crate::border::permit(b, 1, vec![]));
        b.deliver(a);
        a.must("customs", crate::border::depart(1));
        a.deliver(b);
    };
    let (mut other, mut nobodys) = (a.clone(), unnamed);
    arrives(&mut other, &mut nobodys, None);
    arrives(&mut a, &mut b, Some(honest.clone()));
    let admitted = |for_whom: &PartyName| {
        let mut admission = crate::border::admit(1);
        if let Command::Admit { importer, .. } = &mut admission {
            *importer = for_whom.clone();
        }
        admission
    };
    let owner = |b: &Country| {
        let Ok(robot) = b.ledger.robot(&Country::unborn("86").code(1));
        robot
            .and_then(|robot| robot.owner)
            .map(|owner| owner.to_string())
    };
    let mut one = b.clone();
    let first_word = |b: &mut Country, for_whom: &PartyName| {
        let answer = b.command("customs", admitted(for_whom));
        assert!(matches!(answer, ItemAnswer::Done { waits: true, .. }));
        assert_eq!(owner(b), None, "a word, and no admission");
    };
    first_word(&mut one, &accomplice);
    // Where nobody was named, whoever is.
    first_word(&mut nobodys, &honest);
    check(&mut nobodys, "customs-2", admitted(&honest), "done");
    assert_eq!(owner(&nobodys), Some(honest.to_string()));
    check(
        &mut one,
        "customs",
        admitted(&accomplice),
        "SecondPartyRequired: …",
    );
    // The other's word is for the consignee: one is enough for that.
    let mut right = one.clone();
    check(&mut right, "customs-2", admitted(&honest), "done");
    assert_eq!(owner(&right), Some(honest.to_string()));
    check(&mut one, "customs-2", admitted(&accomplice), "done");
    assert_eq!(owner(&one), Some(accomplice.to_string()));
    check(&mut b, "customs", admitted(&honest), "done");
    assert_eq!(owner(&b), Some(honest.to_string()));
}
