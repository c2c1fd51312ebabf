//! In which robot a part is, on whose word: what somebody here says of a part that another makes keeps everybody from it but its
//! maker.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::limits::CLEARED_MAX;
use carnet_domain::log::leaf::{Kind, Leaf};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    ClearedFrom, EnterpriseStatus, Fitted, Fitting, Holder, PartName, PartType, PartyName,
};
use carnet_domain::rules::command::{Action, Command, Purpose, Registration};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, transfer};

use crate::arrival::{bring, offer};
use crate::border::{admit, depart, export, permit, two};
use crate::owners::accredit;
use crate::rules::{check, scrap};

fn fitting(x: &Country, identity: &Digest) -> Option<Fitting> {
    let Ok(fitting) = x.ledger.part_holder(identity);
    fitting
}

fn code_of(x: &Country, enterprise: &str, serial: u32) -> Code {
    Code::parse(&format!("{}{enterprise}100002{serial:017}", x.prefix)).expect("a code")
}

/// A row remembers from what it was cleared, the newest times: the oldest makes way, and more are not read.
#[test]
fn a_row_remembers_its_newest_clearings_and_the_oldest_makes_way() {
    let x = Country::with_market("86");
    let whose = Some(x.enterprise("0001"));
    let mut row = Fitting::word(x.code(1), whose);
    for serial in 1..=CLEARED_MAX as u32 + 1 {
        // Somebody takes it on a word, and that is cleared too.
        let taken = Fitting {
            cleared: row.cleared,
            ..Fitting::word(x.code(serial), whose)
        };
        row = taken.cleared();
    }
    let codes: Vec<Code> = row.cleared.iter().map(|one| one.code).collect();
    let newest: Vec<Code> = (2..=CLEARED_MAX as u32 + 1).map(|n| x.code(n)).collect();
    assert_eq!(codes, newest);
    assert_eq!(Fitting::from_bytes(&row.to_bytes()), Ok(row.clone()));
    row.cleared.extend(row.cleared.first().copied());
    assert!(Fitting::from_bytes(&row.to_bytes()).is_err());
}

/// A registration by the rival of 0003, with a compute unit and a battery of the maker of 0001: those of its robot `serial`.
fn takes(x: &mut Country, serial: u32) -> Registration {
    let approval = x.approval("0003", "100002");
    x.command("registrar", approval);
    let mut registration = x.registration(serial);
    registration.code = code_of(x, "0003", serial);
    registration.body.maker = x.maker("0003");
    registration.identity_parts.truncate(1);
    registration
}

/// A country whose makers stand on two persons' words.
fn market() -> Country {
    let mut x = Country::with_market("86");
    vouched(&mut x);
    x
}

/// Two of them.
fn pair() -> (Country, Country) {
    let (mut a, mut b) = two();
    vouched(&mut a);
    vouched(&mut b);
    (a, b)
}

fn vouched(x: &mut Country) {
    for code in ["0001", "0003"] {
        x.vouch(code);
    }
}

fn registers(registration: &Registration) -> Command {
    let registration = registration.clone();
    Command::Register { registration }
}

fn kinds(x: &Country, from: u64) -> Vec<Kind> {
    let Ok(leaves) = x.ledger.leaves(from, u64::MAX, usize::MAX);
    let leaves = leaves.iter().map(|record| Leaf::from_bytes(&record.leaf.0));
    leaves.map(|leaf| leaf.expect("ours").kind).collect()
}

fn on(code: Code, action: Action) -> Command {
    Command::Act {
        code,
        expected_sequence: None,
        action,
    }
}

#[test]
fn a_maker_has_its_own_serials_whatever_others_say() {
    let mut x = market();
    let theirs = takes(&mut x, 5);
    x.must("rival", registers(&theirs));
    let compute = theirs.identity_parts[0].identity();
    let battery = theirs.parts[0].identity();
    for part in [compute, battery] {
        let said = fitting(&x, &part);
        let rival = Some(x.enterprise("0003"));
        assert_eq!(said, Some(Fitting::word(theirs.code, rival)));
    }
    // Everybody else finds it taken.
    let spare = |kind, serial: &str, removed| Action::ReplacePart {
        removed,
        fitted: PartName {
            kind,
            maker: Country::unborn("86").maker("0001"),
            serial: serial.into(),
            lot: String::new(),
        },
    };
    let other = {
        let mut other = takes(&mut x, 6);
        other.code = Code::parse(&format!("86000310000200000000000000{:03}", 7)).expect("a code");
        other
    };
    x.must("rival", registers(&other));
    let again = on(
        other.code,
        spare(PartType::Compute, "S5", other.identity_parts[0].identity()),
    );
    check(&mut x, "rival", again, "PartInUse: …");
    // Its maker takes it, in whichever way, and the robot that was said to have it is marked.
    let size = x.registry().tree.size();
    let own = x.register(5);
    check(&mut x, "registrar", own.clone(), "PartInUse: …");
    check(&mut x, "maker", own, "done");
    assert_eq!(kinds(&x, size), [Kind::Incident, Kind::Register]);
    let here = Some(Fitting::here(x.code(5)));
    assert_eq!(
        (fitting(&x, &compute), fitting(&x, &battery)),
        (here.clone(), here)
    );
    x.must("maker", x.register(8));
    let removed = x.registration(8).parts[0].identity();
    let fit = on(x.code(8), spare(PartType::Battery, "S6", removed));
    check(&mut x, "maker", fit, "done");
    let taken = fitting(&x, &other.parts[0].identity());
    assert_eq!(taken, Some(Fitting::here(x.code(8))));
    // What the maker fitted itself is nobody's to take, and it yields to nobody.
    let back = on(theirs.code, spare(PartType::Battery, "S6", battery));
    check(&mut x, "rival", back, "PartInUse: …");
    let twice = on(
        x.code(5),
        spare(
            PartType::Battery,
            "S6",
            x.registration(5).parts[0].identity(),
        ),
    );
    check(&mut x, "maker", twice, "PartInUse: …");
}

/// With its robot ends what the robot has of its own maker; of what another makes it is said here, which binds everybody but that
/// maker, and falls with that one's own deed.
#[test]
fn the_end_of_a_robot_ends_no_serial_of_another_maker() {
    let mut x = market();
    let theirs = takes(&mut x, 5);
    x.must("rival", registers(&theirs));
    scrap(&mut x, theirs.code);
    let compute = theirs.identity_parts[0].identity();
    let Ok(ends) = x.ledger.ends(&compute);
    let ends = ends.expect("said");
    assert_eq!((&ends.proven, &ends.claimed_by), (&None, &vec![]));
    assert_eq!(ends.said.map(|end| end.code), Some(theirs.code));
    let Ok(ends) = x.ledger.ends(&theirs.body.identity());
    assert!(ends.expect("ended").proven.is_some());
    // To everybody else it is still in the robot that ended.
    let mut other = takes(&mut x, 5);
    other.code = Code::parse(&format!("86000310000200000000000000{:03}", 7)).expect("a code");
    other.body.serial = "OTHER".into();
    check(&mut x, "rival", registers(&other), "IdentityEnded: …");
    let own = x.register(5);
    check(&mut x, "maker", own, "done");
    let Ok(ends) = x.ledger.ends(&compute);
    assert_eq!(ends.expect("said once").shown(), None);
    scrap(&mut x, Country::unborn("86").code(5));
    let Ok(ends) = x.ledger.ends(&compute);
    assert!(ends.expect("ended").proven.is_some());
}

fn clear(x: &Country, identity: Digest, reason: &str) -> Command {
    Command::ClearClaim {
        peer: x.prefix,
        identity,
        reason: reason.to_owned(),
    }
}

/// Two persons clear a row, whether its robot is in stock, owned, stolen or at its end: no serial is anybody's for good, and nobody
/// frees the compute unit of a stolen robot alone.
#[test]
fn two_registrars_clear_what_was_only_said() {
    for case in ["stock", "owned", "stolen", "ended"] {
        let mut x = market();
        let theirs = takes(&mut x, 5);
        let code = theirs.code;
        x.must("rival", registers(&theirs));
        match case {
            "owned" => {
                let id = x.enterprise("0003");
                x.must("rival", on(code, Action::Stock { at: None }));
                let owner = PartyName::Enterprise { id };
                x.must("rival", on(code, Action::Sell { owner }));
            }
            "stolen" => x.must("registrar", stolen(code)),
            "ended" => scrap(&mut x, code),
            _ => {}
        }
        let compute = theirs.identity_parts[0].identity();
        let mistyped = clear(&x, compute, "mistyped");
        check(&mut x, "maker", mistyped.clone(), "RoleNotAllowed: …");
        let reasonless = clear(&x, compute, " ");
        check(&mut x, "registrar", reasonless, "ReasonMissing");
        let body = clear(&x, theirs.body.identity(), "x");
        check(&mut x, "registrar", body, "ClaimUnknown: …");
        check(&mut x, "registrar", mistyped.clone(), "waits");
        let row = fitting(&x, &compute).expect("it stands");
        assert!(row.clearing.is_some() && row.by == Fitted::Word, "{case}");
        let alone = "SecondPartyRequired: …";
        check(&mut x, "registrar", mistyped.clone(), alone);
        check(&mut x, "registrar-2", mistyped, "done");
        assert_eq!(
            fitting(&x, &compute).map(|row| row.by),
            Some(Fitted::Cleared)
        );
        let Ok(ends) = x.ledger.ends(&compute);
        assert_eq!(ends.as_ref().and_then(|ends| ends.shown()), None, "{case}");
    }
}

/// What two registrars cleared is not taken again by the enterprise whose word it was, in whichever robot, but by everybody else; and
/// two of them say that it may.
#[test]
fn what_was_cleared_is_not_taken_again_by_whose_word_it_was() {
    let mut x = market();
    accredit(&mut x, "0007", &[Role::Manufacturer]);
    x.vouch("0007");
    let approval = x.approval("0007", "100002");
    x.must("registrar", approval);
    let theirs = takes(&mut x, 5);
    x.must("rival", registers(&theirs));
    let cleared = clear(&x, theirs.identity_parts[0].identity(), "never seen");
    let both = |x: &mut Country| {
        x.must("registrar", cleared.clone());
        x.must("registrar-2", cleared.clone());
    };
    both(&mut x);
    // Nor does the end of the robot from which it was cleared make it free, or ended.
    let mut ended = x.clone();
    scrap(&mut ended, theirs.code);
    for x in [&mut x, &mut ended] {
        let mut other = takes(x, 6);
        other.identity_parts = theirs.identity_parts.clone();
        let refused = "PartInUse: two registrars cleared this compute from …";
        check(x, "rival", registers(&other), refused);
        let mut third = other.clone();
        third.code = code_of(x, "0007", 7);
        third.body.maker = x.maker("0007");
        check(
            &mut x.clone(),
            "0007-manufacturer",
            registers(&third),
            "done",
        );
        let own = x.register(5);
        check(&mut x.clone(), "maker", own, "done");
        // Whoever took it between, and had it cleared too, does not bring the first one back in.
        let mut between = x.clone();
        between.must("0007-manufacturer", registers(&third));
        both(&mut between);
        let mut again = third.clone();
        again.code = code_of(&between, "0007", 8);
        again.body.serial = "OTHER".into();
        check(
            &mut between,
            "0007-manufacturer",
            registers(&again),
            refused,
        );
        check(&mut between, "rival", registers(&other), refused);
        both(x);
        check(x, "rival", registers(&other), "done");
    }
}

/// Of more clearings than a row remembers, the oldest makes way.
#[test]
fn a_row_remembers_so_many_clearings() {
    let x = Country::unborn("86");
    let all: Vec<ClearedFrom> = (0..=CLEARED_MAX as u32)
        .map(|number| ClearedFrom {
            code: x.code(number),
            said_by: x.enterprise(&format!("{number:04}")),
        })
        .collect();
    let mut row = Fitting::shown(x.code(99));
    for ClearedFrom { code, said_by } in &all {
        let said = Fitting::word(*code, Some(*said_by));
        row = Fitting {
            cleared: row.cleared,
            ..said
        }
        .cleared();
    }
    assert_eq!(row.cleared, all[1..]);
    let elsewhere = x.code(99);
    let out = |at: &ClearedFrom| row.keeps_out(&elsewhere, Some(at.said_by));
    assert_eq!((out(&all[0]), out(&all[1])), (None, Some(all[1])));
    assert_eq!(row.keeps_out(&all[1].code, None), Some(all[1]));
    assert_eq!(row.cleared().cleared, []);
}

fn stolen(code: Code) -> Command {
    Command::SetHold {
        code,
        kind: HoldKind::Theft,
        reason: "gone".into(),
    }
}

/// How a compute unit came into a robot of the rival's.
const ORIGINS: [&str; 4] = ["own", "bought", "bought from nobody here", "replaced"];

/// A robot of the rival's, 0003, with a compute unit that came into it so.
fn robot_with(x: &mut Country, origin: &str) -> (Code, PartName) {
    let mut theirs = takes(x, 5);
    match origin {
        "own" => theirs.identity_parts[0].maker = x.maker("0003"),
        "bought from nobody here" => theirs.identity_parts[0].maker.identifier = "33-0001".into(),
        _ => {}
    }
    x.must("rival", registers(&theirs));
    let mut part = theirs.identity_parts[0].clone();
    if origin == "replaced" {
        let removed = part.identity();
        part.serial = "NEW".into();
        let fitted = part.clone();
        x.must(
            "rival",
            on(theirs.code, Action::ReplacePart { removed, fitted }),
        );
    }
    (theirs.code, part)
}

/// What somebody here fitted is in its robot for whoever comes with it, of which maker it may be: the compute unit of a stolen robot,
/// or of one that ended, comes in under no other code, and is registered under none.
#[test]
fn a_part_that_a_robot_here_has_comes_in_under_no_other_code() {
    for (ended, origin) in [false, true]
        .into_iter()
        .flat_map(|it| ORIGINS.map(|one| (it, one)))
    {
        let (mut a, mut b) = pair();
        let (taken, part) = robot_with(&mut b, origin);
        let compute = part.identity();
        match ended {
            true => scrap(&mut b, taken),
            false => b.must("registrar", stolen(taken)),
        }
        let (bodies, parts) = match ended {
            true => ("IdentityEnded: …", "IdentityEnded: …"),
            false => ("BodyExists: …", "PartInUse: …"),
        };
        // At home in another robot of whoever had it, and in one of another maker.
        let mut other = takes(&mut b, 6);
        other.identity_parts = vec![part.clone()];
        check(&mut b, "rival", registers(&other), parts);
        let mut other = b.registration(6);
        other.identity_parts = vec![part.clone()];
        let by_maker = origin == "bought" || origin == "replaced";
        let own = if by_maker { "done" } else { parts };
        check(&mut b.clone(), "maker", registers(&other), own);
        // It comes back from abroad in the body of another.
        let mut other = a.registration(77);
        other.identity_parts = vec![part];
        a.must("maker", registers(&other));
        let code = a.code(77);
        let declared = offer(&a, &b, code, 1, Purpose::PermanentExport);
        a.must("customs", declared);
        a.deliver(&mut b);
        let asked = permit(&b, 1, vec![]);
        check(&mut b, "customs", asked.clone(), bodies);
        let stands = fitting(&b, &compute).map(|it| it.code);
        assert_eq!(stands, Some(taken), "{origin}");
        // Who looks at it finds a serial that was mistyped: two say so, unless its maker fitted it.
        let mistyped = clear(&b, compute, "mistyped");
        if origin == "own" {
            check(&mut b, "registrar", mistyped, "ClaimUnknown: …");
            continue;
        }
        b.must("registrar", mistyped.clone());
        b.must("registrar-2", mistyped);
        check(&mut b, "customs", asked, "done");
    }
}

/// Whoever is nobody here, was struck off, or comes to be accredited later: what was said of its parts is somebody's word all the
/// same, which yields to it alone.
#[test]
fn a_makers_end_frees_its_parts_for_nobody() {
    let mut x = market();
    let theirs = takes(&mut x, 5);
    x.must("rival", registers(&theirs));
    let struck = Command::SetEnterpriseStatus {
        id: x.enterprise("0001"),
        status: EnterpriseStatus::StruckOff,
        reason: "bankrupt".into(),
    };
    x.must("registrar", struck);
    let mut other = takes(&mut x, 6);
    let removed = other.identity_parts[0].identity();
    x.must("rival", registers(&other));
    other.code = code_of(&x, "0003", 7);
    other.body.serial = "OTHER".into();
    other.parts.clear();
    other.identity_parts = theirs.identity_parts.clone();
    check(&mut x, "rival", registers(&other), "PartInUse: …");
    let fitted = theirs.identity_parts[0].clone();
    let fit = Action::ReplacePart { removed, fitted };
    let sixth = code_of(&x, "0003", 6);
    check(&mut x, "rival", on(sixth, fit), "PartInUse: …");
    // Of who is nobody yet.
    let mut early = takes(&mut x, 8);
    early.identity_parts[0].maker = x.maker("0007");
    early.parts.clear();
    x.must("rival", registers(&early));
    let compute = early.identity_parts[0].identity();
    assert_eq!(fitting(&x, &compute).map(|row| row.by), Some(Fitted::Word));
    accredit(&mut x, "0007", &[Role::Manufacturer]);
    x.vouch("0007");
    let approval = x.approval("0007", "100002");
    x.must("registrar", approval);
    let mut own = early.clone();
    own.code = code_of(&x, "0007", 8);
    own.body.maker = x.maker("0007");
    check(&mut x, "0007-manufacturer", registers(&own), "done");
    assert_eq!(fitting(&x, &compute), Some(Fitting::here(own.code)));
}

/// What another country showed of a robot is its maker's to take, and nobody's by a word, whatever became of the robot since: two
/// registrars clear it first.
#[test]
fn a_part_that_came_with_a_robot_is_nobodys_by_a_word() {
    for case in ["living", "stolen", "ended"] {
        let (mut a, mut b) = pair();
        let mut shown = a.registration(9);
        shown.identity_parts = vec![b.registration(9).identity_parts[0].clone()];
        a.must("maker", registers(&shown));
        let code = a.code(9);
        bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
        b.must("customs", admit(1));
        match case {
            "stolen" => b.must("registrar", stolen(code)),
            "ended" => scrap(&mut b, code),
            _ => {}
        }
        let mut theirs = takes(&mut b, 9);
        theirs.parts.clear();
        check(&mut b, "rival", registers(&theirs), "PartInUse: …");
        let mut cleared = b.clone();
        let mistyped = clear(&b, theirs.identity_parts[0].identity(), "mistyped");
        // Of a robot that ended, what is claimed of it is cleared before.
        let words: &[&str] = match case {
            "ended" => &["registrar", "registrar", "registrar-2"],
            _ => &["registrar", "registrar-2"],
        };
        for who in words {
            cleared.must(who, mistyped.clone());
        }
        check(&mut cleared, "rival", registers(&theirs), "done");
        let own = b.register(9);
        check(&mut b, "maker", own, "done");
    }
}

/// A serial that was mistyped, and is its maker's by now, keeps no robot of which it was said from coming home: in service, or ended
/// with the robot that truly has it.
#[test]
fn a_robot_comes_home_as_it_went() {
    for ended in [false, true] {
        comes_home(ended);
    }
}

fn comes_home(ended: bool) {
    let (mut a, mut b) = pair();
    let mut mistyped = a.registration(9);
    mistyped.identity_parts[0].maker = a.maker("0003");
    a.must("maker", registers(&mistyped));
    let mut own = takes(&mut a, 9);
    own.identity_parts = vec![mistyped.identity_parts[0].clone()];
    own.parts.clear();
    a.must("rival", registers(&own));
    let code = a.code(9);
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    if ended {
        scrap(&mut a, own.code);
    }
    let declared = offer(&b, &a, code, 2, Purpose::Exhibition);
    b.must("customs", declared);
    b.deliver(&mut a);
    let asked = permit(&a, 2, vec![]);
    check(&mut a, "customs", asked, "done");
    a.deliver(&mut b);
    b.must("customs", depart(2));
    b.deliver(&mut a);
    check(&mut a, "customs", admit(2), "done");
    let compute = own.identity_parts[0].identity();
    assert_eq!(fitting(&a, &compute), Some(Fitting::here(own.code)));
}

/// What an importer files of a foreign maker's bodies is its word: it ends none for good, two registrars clear it, and the maker that
/// is accredited later has its own.
#[test]
fn a_filed_body_is_the_importers_word() {
    let mut x = market();
    let files = |x: &Country, serial| {
        let mut filed = takes(&mut x.clone(), serial);
        filed.importers_filing = true;
        filed.body.maker = x.maker("0007");
        filed.parts.clear();
        filed.identity_parts.clear();
        filed
    };
    accredit(&mut x, "0006", &[Role::Importer]);
    let approval = x.approval("0006", "100002");
    x.must("registrar", approval);
    let mut filed = files(&x, 5);
    filed.code = code_of(&x, "0006", 5);
    let body = filed.body.identity();
    x.must("0006-importer", registers(&filed));
    let said = Some(Fitting::word(filed.code, Some(x.enterprise("0006"))));
    assert_eq!(fitting(&x, &body), said);
    let mut ended = x.clone();
    scrap(&mut ended, filed.code);
    for (mut x, refused) in [(x, "BodyExists: …"), (ended, "IdentityEnded: …")] {
        let mut other = filed.clone();
        other.code = code_of(&x, "0006", 6);
        check(&mut x, "0006-importer", registers(&other), refused);
        let Ok(ends) = x.ledger.ends(&body);
        assert_eq!(ends.and_then(|ends| ends.proven), None);
        // The maker itself.
        let mut later = x.clone();
        accredit(&mut later, "0007", &[Role::Manufacturer]);
        later.vouch("0007");
        let approval = later.approval("0007", "100002");
        later.must("registrar", approval);
        let mut own = filed.clone();
        own.importers_filing = false;
        own.code = code_of(&later, "0007", 5);
        check(&mut later, "0007-manufacturer", registers(&own), "done");
        assert_eq!(fitting(&later, &body), Some(Fitting::here(own.code)));
        let Ok(ends) = later.ledger.ends(&body);
        assert_eq!(ends.as_ref().and_then(|ends| ends.shown()), None);
        // Or two registrars.
        let mistyped = clear(&x, body, "mistyped");
        x.must("registrar", mistyped.clone());
        x.must("registrar-2", mistyped);
        assert_eq!(fitting(&x, &body).map(|row| row.by), Some(Fitted::Cleared));
    }
}

/// Out of its robot and in again a part is what it was: the first word for its clearing stands, whose word it is stands, and what its
/// maker fitted is its maker's deed. What was cleared does not come into that robot again by anybody else.
#[test]
fn a_part_that_comes_back_is_what_it_was() {
    let mut x = market();
    let theirs = takes(&mut x, 5);
    let mut ours = takes(&mut x, 6);
    ours.identity_parts[0].maker = x.maker("0003");
    ours.parts.clear();
    for robot in [&theirs, &ours] {
        x.must("rival", registers(robot));
    }
    let workshop = |x: &mut Country, code: Code, part: &PartName| {
        let spare = PartName {
            serial: "SPARE".into(),
            ..part.clone()
        };
        for (removed, fitted) in [(part, &spare), (&spare, part)] {
            let (removed, fitted) = (removed.identity(), fitted.clone());
            let replaced = on(code, Action::ReplacePart { removed, fitted });
            check(x, "rival", replaced, "done");
        }
    };
    // Whose deed it is.
    let own = &ours.identity_parts[0];
    workshop(&mut x, ours.code, own);
    assert_eq!(fitting(&x, &own.identity()), Some(Fitting::here(ours.code)));
    // Whose word it is, and what is said against it.
    let compute = &theirs.identity_parts[0];
    let identity = compute.identity();
    let mistyped = clear(&x, identity, "mistyped");
    x.must("registrar", mistyped.clone());
    let said = fitting(&x, &identity);
    workshop(&mut x, theirs.code, compute);
    assert_eq!(fitting(&x, &identity), said);
    x.must("registrar-2", mistyped);
    let removed = identity;
    let fitted = PartName {
        serial: "OTHER".into(),
        ..compute.clone()
    };
    x.must(
        "rival",
        on(
            theirs.code,
            Action::ReplacePart {
                removed,
                fitted: fitted.clone(),
            },
        ),
    );
    let (removed, fitted) = (fitted.identity(), compute.clone());
    let back = on(theirs.code, Action::ReplacePart { removed, fitted });
    let refused = "PartInUse: two registrars cleared this compute from …";
    check(&mut x, "rival", back.clone(), refused);
    // Nor by who never said anything of it.
    accredit(&mut x, "0006", &[Role::Dealer, Role::ServiceProvider]);
    let at = Some(x.enterprise("0006"));
    x.must("rival", on(theirs.code, Action::Stock { at }));
    check(&mut x, "0006-service-provider", back, refused);
}

/// One registrar who accredits a shell as the supplier of a stolen robot's compute unit, enrols its key and approves its model frees the
/// unit no more than anybody: it is a maker that one person made. What it fits of its own two clear.
#[test]
fn one_registrar_makes_no_maker_that_takes_a_part() {
    let mut x = market();
    let mut theirs = takes(&mut x, 5);
    theirs.identity_parts[0].maker = x.maker("0007");
    theirs.parts.clear();
    x.must("rival", registers(&theirs));
    x.must("registrar-2", stolen(theirs.code));
    accredit(&mut x, "0007", &[Role::Manufacturer]);
    let approval = x.approval("0007", "100002");
    x.must("registrar", approval);
    let mut shell = theirs.clone();
    shell.code = code_of(&x, "0007", 9);
    shell.body.maker = x.maker("0007");
    shell.body.serial = "NEW".into();
    let mut own = shell.clone();
    own.identity_parts[0].serial = "ITS-OWN".into();
    let unit = theirs.identity_parts[0].identity();
    let taken = "PartInUse: a compute is fitted in …";
    check(&mut x, "0007-manufacturer", registers(&shell), taken);
    let stands = fitting(&x, &unit).map(|row| row.code);
    assert_eq!(stands, Some(theirs.code));
    // What was said of its end does not fall with its deed.
    let mut ended = x.clone();
    let lift = Command::LiftHold {
        code: theirs.code,
        kind: HoldKind::Theft,
        reason: "found".into(),
    };
    ended.must("registrar-2", lift);
    scrap(&mut ended, theirs.code);
    let refused = "IdentityEnded: …";
    check(&mut ended, "0007-manufacturer", registers(&shell), refused);
    // Serials that nobody has are its own, until two say otherwise.
    x.must("0007-manufacturer", registers(&own));
    let identity = own.identity_parts[0].identity();
    let id = x.enterprise("0007");
    assert_eq!(
        fitting(&x, &identity),
        Some(Fitting::made_by_one(own.code, id))
    );
    let mut squatted = x.clone();
    for who in ["registrar", "registrar-2"] {
        squatted.must(who, clear(&squatted, identity, "it never made one"));
    }
    assert_eq!(
        fitting(&squatted, &identity).map(|row| row.by),
        Some(Fitted::Cleared)
    );
    // Once a second one says that it is the maker, it takes what is its own.
    x.vouch("0007");
    shell.code = code_of(&x, "0007", 10);
    shell.body.serial = "NEXT".into();
    check(&mut x, "0007-manufacturer", registers(&shell), "done");
    assert_eq!(fitting(&x, &unit), Some(Fitting::here(shell.code)));
}

/// A shell that one registrar made as the maker of somebody's serials scraps its robot, so as to prove their end: it is that one
/// person's word, which the maker that two made takes no notice of, and which two registrars clear.
#[test]
fn the_end_of_what_one_person_fitted_proves_nothing() {
    let mut x = market();
    accredit(&mut x, "0007", &[Role::Manufacturer]);
    let approval = x.approval("0007", "100002");
    x.must("registrar", approval);
    let mut squatted = x.registration(9);
    squatted.code = code_of(&x, "0007", 9);
    squatted.body.maker = x.maker("0007");
    squatted.identity_parts.truncate(1);
    squatted.identity_parts[0].maker = x.maker("0007");
    squatted.parts.clear();
    x.must("0007-manufacturer", registers(&squatted));
    scrap(&mut x, squatted.code);
    let (body, unit) = (
        squatted.body.identity(),
        squatted.identity_parts[0].identity(),
    );
    for identity in [body, unit] {
        let Ok(ends) = x.ledger.ends(&identity);
        let ends = ends.expect("said");
        assert_eq!(ends.proven, None);
        assert_eq!(ends.said.map(|end| end.code), Some(squatted.code));
    }
    // A maker does not bring back what it scrapped itself, whoever vouches for it since.
    let mut again = squatted.clone();
    again.code = code_of(&x, "0007", 10);
    check(
        &mut x,
        "0007-manufacturer",
        registers(&again),
        "IdentityEnded: …",
    );
    let mut vouched = x.clone();
    vouched.vouch("0007");
    check(
        &mut vouched,
        "0007-manufacturer",
        registers(&again),
        "BodyExists: …",
    );
    // The true one comes, once two have struck the shell off.
    let struck = Command::SetEnterpriseStatus {
        id: x.enterprise("0007"),
        status: EnterpriseStatus::StruckOff,
        reason: "a shell".into(),
    };
    x.must("registrar", struck);
    let mut accreditation = x.accreditation("0008");
    if let Command::AccreditEnterprise { maker, roles, .. } = &mut accreditation {
        *maker = x.maker("0007");
        *roles = vec![Role::Manufacturer];
    }
    x.must("registrar-2", accreditation);
    let id = x.enterprise("0008");
    let role = Role::Manufacturer;
    let enrol = x.enrolment("0008-maker", Holder::Enterprise { id }, role, "0008-maker");
    x.must("registrar", enrol);
    let approval = x.approval("0008", "100002");
    x.must("registrar", approval);
    again.code = code_of(&x, "0008", 9);
    let mut cleared = x.clone();
    check(&mut x, "0008-maker", registers(&again), "done");
    assert_eq!(fitting(&x, &unit), Some(Fitting::here(again.code)));
    for identity in [body, unit] {
        let Ok(ends) = x.ledger.ends(&identity);
        assert_eq!(ends.expect("said once").shown(), None);
    }
    // Or two say so.
    for identity in [body, unit] {
        for who in ["registrar", "registrar-2"] {
            cleared.must(who, clear(&cleared, identity, "it never made one"));
        }
        let Ok(ends) = cleared.ledger.ends(&identity);
        assert_eq!(ends.expect("said once").shown(), None);
    }
}

/// A body that somebody abroad filed, mistyped or on purpose, and that was admitted here keeps its maker at home from nothing, and two
/// registrars clear it.
#[test]
fn a_filing_abroad_keeps_no_maker_from_its_serials() {
    let (mut a, mut b) = pair();
    accredit(&mut b, "0006", &[Role::Importer]);
    let approval = b.approval("0006", "100002");
    b.must("registrar", approval);
    let mut filed = b.registration(7);
    filed.code = Code::parse(&format!("490006100002{:017}", 7)).expect("a code");
    filed.importers_filing = true;
    filed.body.maker = a.maker("0001");
    filed.identity_parts.clear();
    filed.parts.clear();
    b.must("0006-importer", registers(&filed));
    bring(&mut b, &mut a, filed.code, 1, Purpose::Exhibition);
    a.must("customs", admit(1));
    let body = filed.body.identity();
    assert_eq!(fitting(&a, &body), Some(Fitting::word(filed.code, None)));
    let mut cleared = a.clone();
    for who in ["registrar", "registrar-2"] {
        cleared.must(who, clear(&cleared, body, "mistyped"));
    }
    let own = a.register(7);
    check(&mut a, "maker", own, "done");
    assert_eq!(fitting(&a, &body), Some(Fitting::here(a.code(7))));
}

/// A robot of ours that ends abroad ends what is said to be in it, for every verdict, as at home: until two clear it.
#[test]
fn what_is_said_to_be_in_a_robot_ends_with_it_abroad_too() {
    let (mut a, mut b) = pair();
    let mut bought = a.registration(9);
    bought.identity_parts[0].maker = a.maker("0003");
    a.must("maker", registers(&bought));
    let code = a.code(9);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    b.must("customs", admit(1));
    b.deliver(&mut a);
    scrap(&mut b, code);
    b.deliver(&mut a);
    let compute = bought.identity_parts[0].identity();
    let Ok(ends) = a.ledger.ends(&compute);
    let ends = ends.expect("it ended");
    assert_eq!(ends.proven, None);
    assert_eq!(ends.said.map(|end| end.by), Some(b.prefix));
    // Its maker has it all the same.
    let mut own = takes(&mut a, 9);
    own.identity_parts = vec![bought.identity_parts[0].clone()];
    own.parts.clear();
    check(&mut a, "rival", registers(&own), "done");
    let Ok(ends) = a.ledger.ends(&compute);
    assert_eq!(ends.expect("said once").shown(), None);
}

/// What another country has admitted is known there by its code and its body: neither is free again here.
#[test]
fn what_was_admitted_elsewhere_is_not_annulled() {
    let (mut a, mut b) = pair();
    let code = a.code(1);
    let annul = || {
        let reason = "wrong model".to_owned();
        on(code, Action::Annul { reason })
    };
    // Offered, and even departed and sent back, it was admitted nowhere.
    bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
    let back = Command::Return {
        transfer: transfer(1),
        reason: "x".into(),
    };
    b.must("customs", back);
    b.deliver(&mut a);
    let mut never = market();
    never.ledger = a.ledger.clone();
    check(&mut never, "registrar", annul(), "done");
    bring(&mut a, &mut b, code, 2, Purpose::Exhibition);
    b.must("customs", admit(2));
    b.deliver(&mut a);
    bring(&mut b, &mut a, code, 3, Purpose::Exhibition);
    a.must("customs", admit(3));
    b.deliver(&mut a);
    let refused = "TransitionNotAllowed: another country has admitted …";
    check(&mut a, "registrar", annul(), refused);
}

/// Nor does its issuer annul it while it is here for a time and another country's.
#[test]
fn a_guest_is_not_annulled_by_who_issued_its_code() {
    let (mut a, mut b) = pair();
    export(&mut a, &mut b, 1, 1);
    let code = a.code(1);
    bring(&mut b, &mut a, code, 2, Purpose::RepairAndReturn);
    a.must("customs", admit(2));
    let reason = "x".to_owned();
    let annul = on(code, Action::Annul { reason });
    check(&mut a, "registrar", annul, "HereForATime: …");
}

/// A body that another robot has here is said before it travels, not when it stands at the border.
#[test]
fn a_body_that_is_known_is_not_permitted() {
    let (mut a, mut b) = pair();
    let code = a.code(1);
    let body = a.registration(1).body.identity();
    let other = b.code(9);
    let Ok(()) = b.ledger.put_part_holder(&body, Some(&Fitting::here(other)));
    let declared = offer(&a, &b, code, 1, Purpose::Exhibition);
    a.must("customs", declared);
    a.deliver(&mut b);
    let asked = permit(&b, 1, vec![]);
    check(&mut b, "customs", asked, "BodyExists: …");
}
