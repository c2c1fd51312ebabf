//! Every situation that a verdict distinguishes, each with its input and the verifier's time.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::keys::KeyHistory;
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::{Bundle, Clause, Signed, Statement};
use carnet_domain::record::{
    ApprovalStatus, EnterpriseStatus, Hold, Holder, Predicate, Setter, Severity,
};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_kit::{Country, befriend, text, transfer};
use carnet_trust::evidence::{Evidence, RobotProof, SLOTS_FOR_AUTHORITIES};
use carnet_trust::known::{Doubt, Ending, Ground, KnownRecall, KnownRobot, Source};
use carnet_trust::verdict::{EvidenceInput, Input, OWN_AGE_MAX};

use crate::story::*;

/// A situation: its name, what the verifier has, and its time.
pub(crate) type Case = (&'static str, Input, TimeMs);

const LATER: DurationMs = DurationMs::from_days(30);

/// All of them, in the order of the published table.
pub(crate) fn cases() -> Vec<Case> {
    let mut out = at_home_cases();
    out.extend(abroad_cases());
    out.extend(custody_cases());
    out.extend(recall_cases());
    out.extend(standing_cases());
    out.extend(broken_cases());
    out.extend(known_cases());
    out
}

fn old(name: &'static str, case: &Case) -> Case {
    let (_, input, now) = case;
    (name, input.clone(), now.saturating_add(LATER))
}

fn at_home_cases() -> Vec<Case> {
    let (mut a, _) = two();
    let code = a.code(1);
    let mut out = Vec::new();
    let absent = a.code(99);
    let input = at_home(&mut a, absent);
    out.push(("home, not registered", input, soon(&[&a])));
    out.push(old("home, not registered, old head", &out[0]));
    a.must("maker", a.register(2));
    a.must("maker", Command::Reserve { code: a.code(3) });
    let reserved = a.code(3);
    let input = at_home(&mut a, reserved);
    out.push(("home, reserved", input, soon(&[&a])));
    let input = at_home(&mut a, code);
    let mut toy = input.clone();
    if let Some(issuer) = &mut toy.issuer {
        issuer.bundle = pinned_as(Bundle {
            profile: Profile::Sandbox,
            ..a.bundle_of(1)
        });
    }
    out.push(("home, manufactured", input, soon(&[&a])));
    out.push(("home, manufactured, of a sandbox", toy, soon(&[&a])));
    hold(&mut a, "regulator", code, HoldKind::Theft);
    let input = at_home(&mut a, code);
    out.push(("home, stolen", input, soon(&[&a])));
    out.push(old("home, stolen, old head", &out[out.len() - 1]));
    let second = a.code(2);
    hold(&mut a, "regulator", second, HoldKind::SaleLock);
    let input = at_home(&mut a, second);
    out.push(("home, sale lock", input, soon(&[&a])));
    a.must("maker", a.register(7));
    let seventh = a.code(7);
    hold(&mut a, "regulator", seventh, HoldKind::Review);
    let input = at_home(&mut a, seventh);
    out.push(("home, under review", input, soon(&[&a])));
    a.must("maker", a.register(6));
    let sixth = a.code(6);
    scrap(&mut a, sixth);
    let input = at_home(&mut a, sixth);
    out.push(("home, scrapped", input, soon(&[&a])));
    out.push(old("home, scrapped, old head", &out[out.len() - 1]));
    a.must("maker", a.register(4));
    let fourth = a.code(4);
    let stock = carnet_kit::samples::stock_at_dealer(&a);
    act(&mut a, "maker", fourth, stock);
    act(
        &mut a,
        "dealer",
        fourth,
        Action::Sell {
            owner: nothing().into(),
        },
    );
    act(
        &mut a,
        "owner",
        fourth,
        Action::Retire {
            reason: "worn".into(),
        },
    );
    let input = at_home(&mut a, fourth);
    out.push(("home, retired", input, soon(&[&a])));
    out
}

fn abroad_cases() -> Vec<Case> {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let input = asks(&mut b, &mut a, code);
    let now = soon(&[&a, &b]);
    let mut out = vec![("admitted", input.clone(), now)];
    out.push(old("admitted, old heads", &out[0]));
    let before = TimeMs(now.0 - DurationMs::from_days(2).0);
    out.push(("admitted, heads in the future", input.clone(), before));

    let mut changed = input.clone();
    knows(&mut changed).agreements.clear();
    out.push(("admitted, no agreement", changed, now));
    let mut changed = input.clone();
    knows(&mut changed).agreements[0]
        .clauses
        .retain(|c| c.recogniser != b.prefix);
    out.push(("admitted, no clause", changed, now));
    let mut changed = input.clone();
    for clause in &mut knows(&mut changed).agreements[0].clauses {
        clause.purposes = vec![carnet_domain::rules::command::Purpose::Transit];
    }
    out.push(("admitted, clause for transit only", changed, now));
    let mut changed = input.clone();
    let known = knows(&mut changed);
    known.suspended = vec![suspension(&known.agreements[0])];
    out.push(("admitted, agreement suspended", changed, now));
    let mut changed = input.clone();
    let known = knows(&mut changed);
    let mut newer = known.agreements[0].clone();
    newer.version += 1;
    known.suspended = vec![suspension(&newer)];
    known.agreements.push(newer);
    out.push(("admitted, newer version suspended", changed, now));
    let mut changed = input.clone();
    changed.issuer = None;
    out.push(("admitted, issuer not pinned", changed, now));
    let mut changed = input.clone();
    changed.issuer = changed.custodians.first().cloned();
    out.push(("admitted, another registry as issuer", changed, now));
    let mut changed = input.clone();
    changed.issuer.as_mut().expect("an issuer").evidence = None;
    out.push(("admitted, no evidence of the issuer", changed, now));
    let mut changed = input.clone();
    changed.custodians.clear();
    out.push(("admitted, no evidence of the custodian", changed, now));
    let mut changed = input.clone();
    doubt(&mut changed, a.prefix, Doubt::Fork);
    out.push(("admitted, issuer showed two histories", changed, now));
    let mut changed = input.clone();
    let mut bundle = a.bundle_of(2);
    bundle.valid_to = carnet_kit::beginning();
    changed.issuer.as_mut().expect("an issuer").bundle = pinned_as(bundle);
    out.push(("admitted, issuer's bundle expired", changed, now));

    let changed = with_issuer(&input, |evidence| evidence.model = None);
    out.push(("admitted, model not shown", changed, now));
    let changed = with_issuer(&input, |evidence| {
        if let RobotProof::Present { proven, .. } = evidence.robot.clone() {
            evidence.robot = RobotProof::Included { proven };
        }
    });
    out.push(("admitted, issuer's newest not proven", changed, now));
    let mut changed = input.clone();
    let shown: Vec<u8> = shown_without(8);
    let hidden = evidence_showing(&mut b, code, &shown);
    changed.custodians[0].evidence = Some(hidden.to_bytes());
    out.push(("admitted, state hidden", changed, soon(&[&a, &b])));
    let shown = shown_without(12);
    let mut changed = input;
    let hidden = evidence_to(&b, &mut a, code, &shown);
    changed.issuer.as_mut().expect("an issuer").evidence = Some(hidden.to_bytes());
    out.push(("admitted, custody hidden", changed, soon(&[&a, &b])));
    out
}

pub(crate) fn shown_without(slot: u8) -> Vec<u8> {
    let all = SLOTS_FOR_AUTHORITIES.iter().copied();
    all.filter(|shown| *shown != slot).collect()
}

/// The input with the issuer's evidence changed.
pub(crate) fn with_issuer(input: &Input, change: impl FnOnce(&mut Evidence)) -> Input {
    let mut input = input.clone();
    if let Some(EvidenceInput {
        evidence: Some(bytes),
        ..
    }) = &mut input.issuer
    {
        let mut evidence = Evidence::from_bytes(bytes).expect("evidence");
        change(&mut evidence);
        *bytes = evidence.to_bytes();
    }
    input
}

fn custody_cases() -> Vec<Case> {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let mut out = Vec::new();
    let input = asks(&mut b, &mut a, code);
    out.push(("still with the issuer", input, soon(&[&a, &b])));
    offer(&mut a, &mut b, code, 1);
    let input = asks(&mut b, &mut a, code);
    out.push(("permitted, not released", input, soon(&[&a, &b])));
    let ahead = given(&mut b, code);
    depart(&mut a, &mut b, 1);
    let mut input = asks(&mut b, &mut a, code);
    out.push(("released to the verifier", input.clone(), soon(&[&a, &b])));
    input.custodians = vec![ahead];
    out.push(("released, unknown to the verifier", input, soon(&[&a, &b])));
    let mut home = at_home(&mut a, code);
    home.custodians = vec![given_to(&a, &mut b, code)];
    out.push(("home code, in transit abroad", home, soon(&[&a, &b])));
    admit(&mut b, 1);
    let input = asks(&mut b, &mut a, code);
    out.push((
        "admitted, not told to the issuer yet",
        input,
        soon(&[&a, &b]),
    ));
    done(&b.deliver(&mut a));
    let mut home = at_home(&mut a, code);
    home.custodians = vec![given_to(&a, &mut b, code)];
    out.push(("home code, abroad", home, soon(&[&a, &b])));
    hold(&mut b, "regulator", code, HoldKind::Theft);
    let input = asks(&mut b, &mut a, code);
    out.push(("admitted, stolen there", input, soon(&[&a, &b])));

    let (mut a, mut b) = two();
    export(&mut a, &mut b, code, 1);
    let early = given(&mut a, code);
    offer(&mut b, &mut a, code, 2);
    let input = asks(&mut b, &mut a, code);
    out.push(("admitted, offered back", input, soon(&[&a, &b])));
    depart(&mut b, &mut a, 2);
    let mut home = at_home(&mut a, code);
    home.custodians = vec![given_to(&a, &mut b, code)];
    out.push(("home code, released home", home, soon(&[&a, &b])));
    let mut input = asks(&mut b, &mut a, code);
    input.issuer = Some(early);
    out.push(("released back, issuer's old word", input, soon(&[&a, &b])));
    admit(&mut a, 2);
    let home = at_home(&mut a, code);
    out.push(("home code, back home", home, soon(&[&a, &b])));
    done(&a.deliver(&mut b));
    let input = asks(&mut b, &mut a, code);
    out.push(("came home, its importer asks", input, soon(&[&a, &b])));

    let (mut a, mut b) = two();
    export(&mut a, &mut b, code, 1);
    let mut c = Country::with_market("33");
    befriend(&mut b, &mut c);
    befriend(&mut a, &mut c);
    scrap(&mut b, code);
    let mut input = asks(&mut b, &mut a, code);
    out.push(("scrapped abroad", input.clone(), soon(&[&a, &b])));
    out.push(old("scrapped abroad, old heads", &out[out.len() - 1]));
    // The same word of a registry that the chain does not lead to is not believed.
    input.custodians = vec![given(&mut c, code)];
    out.push((
        "custodian not shown, stranger instead",
        input,
        soon(&[&a, &b, &c]),
    ));

    let (mut a, mut b) = two();
    let mut c = Country::with_market("33");
    befriend(&mut a, &mut c);
    offer(&mut a, &mut b, code, 1);
    depart(&mut a, &mut b, 1);
    b.must(
        "customs",
        Command::Return {
            transfer: transfer(1),
            reason: "papers".into(),
        },
    );
    done(&b.deliver(&mut a));
    let home = at_home(&mut a, code);
    out.push(("home code, returned", home, soon(&[&a, &b])));
    let mut input = asks(&mut c, &mut a, code);
    input.custodians.clear();
    out.push(("a third country asks", input, soon(&[&a, &b, &c])));
    out
}

fn recall_cases() -> Vec<Case> {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let mut out = Vec::new();
    open_recall(&mut a, recall("R-1", Severity::Advisory, Predicate::all()));
    let input = asks(&mut b, &mut a, code);
    out.push(("advisory recall", input, soon(&[&a, &b])));
    let elsewhere = Predicate {
        build_from: 11,
        ..Predicate::all()
    };
    open_recall(&mut a, recall("R-2", Severity::StopUse, elsewhere));
    let input = asks(&mut b, &mut a, code);
    out.push(("recall of other builds", input, soon(&[&a, &b])));
    let mut hidden = asks(&mut b, &mut a, code);
    let shown = shown_without(9);
    hidden.custodians[0].evidence = Some(evidence_showing(&mut b, code, &shown).to_bytes());
    out.push(("recall, software hidden", hidden, soon(&[&a, &b])));
    let lot = Predicate {
        part_lot: "L1".into(),
        ..Predicate::all()
    };
    open_recall(&mut a, recall("R-3", Severity::Remedy, lot));
    let input = asks(&mut b, &mut a, code);
    out.push(("remedy owed", input.clone(), soon(&[&a, &b])));
    out.push(old("remedy owed, old heads", &out[out.len() - 1]));
    let mut graver = input;
    for clause in &mut knows(&mut graver).agreements[0].clauses {
        clause.recall_severity_max = Severity::Advisory;
    }
    out.push((
        "remedy owed, graver than the clause binds",
        graver,
        soon(&[&a, &b]),
    ));
    open_recall(&mut a, recall("R-4", Severity::StopUse, Predicate::all()));
    let input = asks(&mut b, &mut a, code);
    out.push(("stop-use recall", input, soon(&[&a, &b])));
    done(&a.deliver(&mut b));
    for number in ["R-3", "R-4"] {
        b.must(
            "registrar",
            Command::RemedyRecall {
                code,
                recall: recall_id(number),
                report: nothing(),
            },
        );
    }
    let input = asks(&mut b, &mut a, code);
    out.push(("recalls remedied", input, soon(&[&a, &b])));
    out
}

fn standing_cases() -> Vec<Case> {
    let mut out = Vec::new();
    for (name, status) in [
        ("approval suspended", ApprovalStatus::Suspended),
        ("approval withdrawn", ApprovalStatus::Withdrawn),
    ] {
        let (mut a, mut b) = two();
        let code = a.code(1);
        export(&mut a, &mut b, code, 1);
        a.must(
            "regulator",
            Command::SetModelStatus {
                id: a.model("0001", "100002"),
                status,
                reason: "test".into(),
            },
        );
        let input = asks(&mut b, &mut a, code);
        out.push((name, input, soon(&[&a, &b])));
    }
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    a.must(
        "registrar",
        Command::SetEnterpriseStatus {
            id: a.enterprise("0001"),
            status: EnterpriseStatus::StruckOff,
            reason: "bankrupt".into(),
        },
    );
    let input = asks(&mut b, &mut a, code);
    out.push(("maker struck off", input, soon(&[&a, &b])));

    let mut a = Country::with_market("86");
    let mut registration = a.registration(5);
    registration.importers_filing = true;
    registration.body.maker.identifier = "MAKER-WITHOUT-REGISTRY".into();
    a.must("importer", Command::Register { registration });
    let code = a.code(5);
    let input = at_home(&mut a, code);
    out.push(("home, importer's filing", input, soon(&[&a])));
    out
}

fn broken_cases() -> Vec<Case> {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let input = asks(&mut b, &mut a, code);
    let now = soon(&[&a, &b]);
    let mut out = Vec::new();
    let mut bundle = a.bundle_of(1);
    bundle.keys = KeyHistory::at_genesis(&bundle.roots, a.key("another").public());
    let mut changed = input.clone();
    changed.issuer.as_mut().expect("an issuer").bundle = pinned_as(bundle);
    out.push(("signed by another key", changed, now));
    let mut bundle = a.bundle_of(1);
    bundle.incarnation = 1;
    let mut changed = input.clone();
    changed.issuer.as_mut().expect("an issuer").bundle = pinned_as(bundle);
    out.push(("another incarnation of the log", changed, now));
    let changed = with_issuer(&input, |evidence| evidence.frame.version = 9);
    out.push(("evidence of a newer version", changed, now));
    let changed = with_issuer(&input, |evidence| {
        if let Some(model) = &mut evidence.model {
            model.standing.safety_class += 1;
        }
    });
    out.push(("model's standing changed", changed, now));
    let mut changed = input.clone();
    changed.code = a.code(2);
    out.push(("evidence about another code", changed, now));
    let mut changed = input;
    changed.issuer.as_mut().expect("an issuer").evidence = Some(b"nothing".to_vec());
    out.push(("not evidence at all", changed, now));

    a.must("maker", a.register(2));
    let second = a.code(2);
    let mut input = at_home(&mut a, code);
    let other = evidence(&mut a, second);
    input = with_issuer(&input, |evidence| evidence.robot = other.robot);
    input.own_age_max = OWN_AGE_MAX;
    out.push(("home, another robot's leaf", input, soon(&[&a])));
    out
}

/// Lets the verifier doubt a registry.
pub(crate) fn doubt(input: &mut Input, registry: Prefix, doubt: Doubt) {
    let known = knows(input).registries.entry(registry).or_default();
    known.doubt = Some(doubt);
}

/// A report of theft by the police of a country.
pub(crate) fn stolen(prefix: Prefix) -> Hold {
    Hold {
        kind: HoldKind::Theft,
        setter: Setter {
            prefix,
            party: Holder::Office {
                name: "police/hamburg".into(),
            },
            role: Role::Regulator,
        },
        reason: String::new(),
        since: carnet_kit::beginning(),
    }
}

/// What the verifier's own country knows, and what of it is missing or old.
fn known_cases() -> Vec<Case> {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let input = asks(&mut b, &mut a, code);
    let now = soon(&[&a, &b]);
    let mut out: Vec<Case> = Vec::new();
    let mut push = |name, change: &dyn Fn(&mut Input)| {
        let mut changed = input.clone();
        change(&mut changed);
        out.push((name, changed, now));
    };
    push("admitted, nothing known", &|input| input.known = None);
    push("admitted, not everything known", &|input| {
        knows(input).whole = false;
    });
    push("admitted, known long ago", &|input| {
        knows(input).at = carnet_kit::beginning();
        input.own_age_max = DurationMs(1);
    });
    push("admitted, known in the future", &|input| {
        knows(input).at = now.saturating_add(LATER);
    });
    push("admitted, issuer showed another history", &|input| {
        doubt(input, a.prefix, Doubt::OtherHistory);
    });
    push("admitted, issuer was restored", &|input| {
        doubt(input, a.prefix, Doubt::RolledBack);
    });
    let head = |input: &mut Input, change: &dyn Fn(&mut carnet_trust::known::KnownHead)| {
        let known = knows(input).registries.get_mut(&a.prefix);
        let head = known.and_then(|known| known.head.as_mut());
        change(head.expect("a head was taken in"));
    };
    push("admitted, issuer's server lags", &|input| {
        head(input, &|head| {
            head.size = 1 << 20;
            head.time = now;
        });
    });
    push("admitted, issuer's smaller head is later", &|input| {
        head(input, &|head| {
            head.size = 1 << 20;
            head.time = carnet_kit::beginning();
        });
    });
    push("admitted, issuer's head does not extend", &|input| {
        head(input, &|head| head.root = Digest([1; 32]));
    });
    push("admitted, issuer's head is not joined", &|input| {
        *input = with_issuer(input, |evidence| evidence.frame.joined = None);
    });
    push("admitted, head not in the pack", &|input| {
        let known = knows(input);
        known.source = Source::Pack;
        known.registries.clear();
    });
    let key = Subject::robot(&code).key();
    let ending = Ending {
        code,
        state: State::Scrapped,
        by: a.prefix,
    };
    push("admitted, its end is known here", &|input| {
        knows(input).robots.entry(key).or_default().ended = Some(ending);
    });
    let Ok(Some(robot)) = carnet_domain::record::ledger::Ledger::robot(&b.ledger, &code) else {
        unreachable!("it was admitted");
    };
    let part = robot.identity_parts[0].identity;
    push("admitted, a part of it ended with another", &|input| {
        let code = Country::unborn("86").code(9);
        let of_another = Ending { code, ..ending };
        knows(input).robots.entry(part).or_default().ended = Some(of_another);
    });
    let stolen = stolen(b.prefix);
    push("admitted, stolen by our own record", &|input| {
        let own = knows(input).robots.entry(key).or_default();
        own.holds.push(stolen.clone());
    });
    push(
        "admitted, stolen by our own record, issuer silent",
        &|input| {
            let own = knows(input).robots.entry(key).or_default();
            own.holds.push(stolen.clone());
            input.issuer.as_mut().expect("an issuer").evidence = None;
        },
    );
    push("admitted, issuer does not answer any more", &|input| {
        let silent = carnet_trust::verdict::Silent {
            since: Some(carnet_kit::beginning()),
            cause: carnet_trust::verdict::SilentCause::NoAnswer,
            why: "refused".into(),
        };
        input.issuer.as_mut().expect("an issuer").silent = Some(silent);
    });
    let overloaded = |since| carnet_trust::verdict::Silent {
        since,
        cause: carnet_trust::verdict::SilentCause::Overloaded,
        why: "try again in 900 ms".into(),
    };
    push("admitted, issuer is overloaded", &|input| {
        let issuer = input.issuer.as_mut().expect("an issuer");
        issuer.silent = Some(overloaded(Some(carnet_kit::beginning())));
    });
    push(
        "admitted, issuer is overloaded and was never heard",
        &|input| {
            let issuer = input.issuer.as_mut().expect("an issuer");
            issuer.evidence = None;
            issuer.silent = Some(overloaded(None));
        },
    );
    push("admitted, detained by our own border", &|input| {
        let own = knows(input).robots.entry(key).or_default();
        own.detained = Some(Reason::DisclosureDiffers);
    });
    push("admitted, recalled by our own regulator", &|input| {
        knows(input).recalls.push(KnownRecall {
            notice: recall("R-9", Severity::StopUse, Predicate::all()),
            models: vec![code.model_id()],
        });
    });
    push("admitted for a time", &|input| {
        let guest = KnownRobot {
            ground: Some(Ground::Guest {
                purpose: carnet_domain::rules::command::Purpose::Exhibition,
            }),
            ..KnownRobot::default()
        };
        knows(input).robots.insert(key, guest);
    });
    let mut c = Country::with_market("33");
    befriend(&mut a, &mut c);
    let mut third = asks(&mut c, &mut a, code);
    third.custodians = vec![given_to(&c, &mut b, code)];
    out.push(("a third country asks, admitted", third, soon(&[&a, &b, &c])));
    out.extend(passed_on_cases());
    out
}

/// 33 has an agreement with 49 alone, which lets robots of 86 pass; of 86 it knows the bundle.
fn passed_on_cases() -> Vec<Case> {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("33");
    befriend(&mut b, &mut c);
    let bundle = a.bundle();
    let statement = Statement::Recognise {
        changes: Vec::new(),
        fingerprint: sha256(&[&bundle.bytes.0]),
        bundle,
    };
    assert_eq!(text(&c.state(&statement)), "done");
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let mut passing = carnet_kit::agreement(c.prefix, b.prefix, 2);
    let clause = passing.clauses[0].clone();
    passing.clauses.push(Clause {
        number: 9,
        recogniser: c.prefix,
        issuer: code.prefix(),
        ..clause
    });
    let bytes = passing.to_bytes();
    let signatures = [b.root_signatures(&bytes), c.root_signatures(&bytes)].concat();
    let agreed = Statement::Agree {
        agreement: Signed {
            bytes: Blob(bytes),
            signatures,
        },
    };
    let mut permits = |name: &'static str, c: &mut Country| {
        let mut input = asks(c, &mut a, code);
        input.custodians = vec![given_to(c, &mut b, code)];
        let now = soon(&[&a, &b, &*c]);
        (name, input, now)
    };
    let refused = permits("passed on, no clause for thirds", &mut c);
    assert_eq!(text(&c.state(&agreed)), "done");
    let passed = permits("passed on, by a clause for thirds", &mut c);
    vec![refused, passed]
}
