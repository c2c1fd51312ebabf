//! Verdicts over whole stories: registries, mail and evidence as on servers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::slots::SLOT_COUNT;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::Bundle;
use carnet_domain::record::{Predicate, Severity};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_kit::{Country, befriend, transfer};
use carnet_trust::evidence::{Evidence, RobotProof, SLOTS_FOR_ANYBODY};
use carnet_trust::known::{KnownHead, KnownRecall, KnownRegistry, Place, Source};
use carnet_trust::taken::TakenHead;
use carnet_trust::verdict::{
    EvidenceInput, Input, OWN_AGE_MAX, Purpose, ReasonCode, Value, Verdict, judge, leads_to,
};

use crate::cases::cases;
use crate::story::*;

fn codes(verdict: &Verdict) -> String {
    let reasons = verdict.reasons.iter().map(|reason| reason.code.to_string());
    let notes = verdict.notes.iter().map(|note| format!("({})", note.code));
    reasons.chain(notes).collect::<Vec<_>>().join(" ")
}

/// Every situation for every purpose.
fn table() -> String {
    let mut out = String::new();
    for (name, input, now) in cases() {
        let _ = writeln!(out, "{name}");
        for purpose in Purpose::ALL {
            let verdict = judge(*purpose, &input, now);
            let (value, codes) = (verdict.value.to_string(), codes(&verdict));
            let row = format!("  {:18} {value:13} {codes}", purpose.name());
            let _ = writeln!(out, "{}", row.trim_end());
        }
    }
    out
}

#[test]
fn the_table_of_verdicts_is_as_published() {
    let published = include_str!("verdicts.txt");
    let found = table();
    assert!(
        found == published,
        "tests/it/verdicts.txt differs; if meant, write:\n{found}"
    );
}

#[test]
fn every_reason_is_reached() {
    let mut reached = BTreeSet::new();
    for (_, input, now) in cases() {
        for purpose in Purpose::ALL {
            let verdict = judge(*purpose, &input, now);
            let all = verdict.reasons.into_iter().chain(verdict.notes);
            reached.extend(all.map(|reason| reason.code));
        }
    }
    reached.extend(crate::files::reached());
    let all: BTreeSet<ReasonCode> = ReasonCode::ALL.iter().copied().collect();
    let missing: Vec<_> = all.difference(&reached).collect();
    assert!(missing.is_empty(), "no situation reaches {missing:?}");
}

#[test]
fn the_value_is_that_of_the_worst_reason_and_reasons_are_in_order() {
    for (name, input, now) in cases() {
        for purpose in Purpose::ALL {
            let verdict = judge(*purpose, &input, now);
            let values: Vec<Value> = verdict.reasons.iter().map(|r| r.value).collect();
            assert!(values.is_sorted(), "{name}");
            let worst = values.first().copied().unwrap_or(Value::Valid);
            assert_eq!(verdict.value, worst, "{name}");
            assert!(verdict.notes.iter().all(|n| n.value == Value::Valid));
        }
    }
}

#[test]
fn only_valid_exits_with_zero() {
    let codes: Vec<String> = Value::ALL
        .iter()
        .map(|value| format!("{value} {}", value.exit_code()))
        .collect();
    assert_eq!(
        codes.join(", "),
        "INVALID 4, INDETERMINATE 5, STALE 5, VALID 0"
    );
}

#[test]
fn a_verdict_survives_its_canonical_bytes() {
    for (name, input, now) in cases() {
        let verdict = judge(Purpose::Operation, &input, now);
        let decoded = Verdict::from_bytes(&verdict.to_bytes());
        assert_eq!(decoded.as_ref(), Ok(&verdict), "{name}");
    }
}

/// The map of a registry says how a robot ended: its state is known though the slot that says it too is hidden.
#[test]
fn an_end_is_the_state_of_a_verdict_though_the_state_is_hidden() {
    let ended: Vec<_> = cases()
        .into_iter()
        .filter(|(name, ..)| name.contains("scrapped"))
        .collect();
    assert!(ended.len() >= 4, "at home and abroad");
    for (name, mut input, now) in ended {
        input.known = None;
        for hidden in [false, true] {
            if hidden {
                change(&mut input, |evidence| {
                    *evidence = evidence.clone().showing(&crate::cases::shown_without(8));
                });
            }
            let verdict = judge(Purpose::Operation, &input, now);
            assert_eq!(verdict.state, Some(State::Scrapped), "{name}, {hidden}");
        }
    }
}

/// A way to make an input poorer or older.
type Less = (&'static str, fn(&mut Input));

/// Everything that can be taken from an input, and every way in which what it holds may be older. What speaks against a robot
/// stands in what the own country knows, and goes only with the whole of it.
const LESS: &[Less] = &[
    ("issuer", |input| input.issuer = None),
    ("issuer's evidence", |input| {
        if let Some(issuer) = &mut input.issuer {
            issuer.evidence = None;
        }
    }),
    ("custodians", |input| input.custodians.clear()),
    ("custodians' evidence", |input| {
        for custodian in &mut input.custodians {
            custodian.evidence = None;
        }
    }),
    ("model", |input| {
        change(input, |evidence| evidence.model = None)
    }),
    ("chain", |input| {
        change(input, |evidence| evidence.chain.clear());
    }),
    ("joined", |input| {
        change(input, |evidence| evidence.frame.joined = None)
    }),
    ("newest", |input| {
        change(input, |evidence| {
            if let RobotProof::Present { proven, .. } = evidence.robot.clone() {
                evidence.robot = RobotProof::Included { proven };
            }
        });
    }),
    ("state", |input| {
        change(input, |evidence| {
            *evidence = evidence.clone().showing(&crate::cases::shown_without(8));
        });
    }),
    ("everything known", |input| input.known = None),
    ("agreements", |input| {
        if let Some(known) = &mut input.known {
            known.agreements.clear();
        }
    }),
    ("age of what is known", |input| {
        if let Some(known) = &mut input.known {
            known.at = carnet_kit::beginning();
        }
        input.own_age_max = DurationMs(1);
    }),
    ("a pack instead of the store", |input| {
        if let Some(known) = &mut input.known {
            known.source = Source::Pack;
        }
    }),
    ("rows of what is known", |input| {
        if let Some(known) = &mut input.known {
            without_rows(known);
        }
    }),
    ("models in what is known", |input| {
        if let Some(known) = &mut input.known {
            without_models(known, false);
        }
    }),
    ("makers in what is known", |input| {
        if let Some(known) = &mut input.known {
            without_models(known, true);
        }
    }),
    ("room for all of a registry", |input| {
        let others = input.issuer.iter().chain(&input.custodians);
        let others: Vec<_> = others.map(|other| other.bundle.primary()).collect();
        if let Some(known) = &mut input.known {
            let is_own = |other: &_| *other == input.verifier;
            for other in others.into_iter().filter(|other| !is_own(other)) {
                known.registries.remove(&other);
                known.lacking.push(other);
            }
        }
    }),
    ("a part of what is known", |input| {
        if let Some(known) = &mut input.known {
            known.whole = false;
            known.robots.clear();
            known.others = None;
            known.recalls.clear();
        }
    }),
];

/// The input with each slot of every leaf hidden in turn: by all registries, by the issuer alone, and by the others alone.
fn hidden_slots(input: &Input) -> Vec<(String, Input)> {
    let every = 0..u8::try_from(SLOT_COUNT).expect("sixteen");
    let mut out = Vec::new();
    for hidden in every.clone() {
        let shown: Vec<u8> = every.clone().filter(|slot| *slot != hidden).collect();
        for (who, issuer, custodians) in [
            ("all", true, true),
            ("issuer", true, false),
            ("custodians", false, true),
        ] {
            let mut poorer = input.clone();
            let first = poorer.issuer.iter_mut().filter(|_| issuer);
            let others = poorer.custodians.iter_mut().filter(|_| custodians);
            show_only(first.chain(others), &shown);
            out.push((format!("slot {hidden} of {who}"), poorer));
        }
    }
    out
}

/// The input with each earlier custody step left out in turn, by each registry that shows some.
fn without_a_step(input: &Input) -> Vec<Input> {
    let mut out = Vec::new();
    let count = 1 + input.custodians.len();
    for party in 0..count {
        for left_out in 0.. {
            let mut poorer = input.clone();
            let mut parties = poorer.issuer.iter_mut().chain(&mut poorer.custodians);
            let bytes = parties.nth(party).and_then(|it| it.evidence.as_mut());
            let shown = bytes.as_ref().and_then(|it| Evidence::from_bytes(it).ok());
            let (Some(bytes), Some(mut evidence)) = (bytes, shown) else {
                break;
            };
            if left_out >= evidence.chain.len() {
                break;
            }
            evidence.chain.remove(left_out);
            *bytes = evidence.to_bytes();
            out.push(poorer);
        }
    }
    out
}

/// Shows nothing but these slots in all evidence that can be read.
fn show_only<'a>(parties: impl Iterator<Item = &'a mut EvidenceInput>, shown: &[u8]) {
    for bytes in parties.filter_map(|party| party.evidence.as_mut()) {
        if let Ok(evidence) = Evidence::from_bytes(bytes) {
            *bytes = evidence.showing(shown).to_bytes();
        }
    }
}

/// Whoever is no authority gets files that show less, and the same verdict by them.
#[test]
fn what_anybody_is_shown_gives_the_verdict_of_all_that_is_shown() {
    for (name, input, now) in cases() {
        let mut public = input.clone();
        let parties = public.issuer.iter_mut().chain(&mut public.custodians);
        show_only(parties, SLOTS_FOR_ANYBODY);
        for purpose in Purpose::ALL {
            let (all, anybody) = (judge(*purpose, &input, now), judge(*purpose, &public, now));
            assert_eq!(line(&all), line(&anybody), "{name}, {purpose:?}");
        }
    }
}

/// Each slot that holds what ended hides it: then nothing is VALID, whichever registry on the way hides it.
#[test]
fn identities_that_are_hidden_are_never_valid() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let (input, now) = (asks(&mut b, &mut a, code), soon(&[&a, &b]));
    check(Purpose::Operation, &input, now, "VALID");
    let said = hidden_slots(&input).into_iter().map(|(what, poorer)| {
        let verdict = judge(Purpose::Operation, &poorer, now);
        (what, line(&verdict))
    });
    let said: BTreeMap<String, String> = said.collect();
    for slot in [2, 4, 5, 15] {
        for (who, registry) in [("issuer", "86"), ("custodians", "49")] {
            let expected = format!("body, parts and key in {registry}: slot {slot} is hidden");
            let found = &said[&format!("slot {slot} of {who}")];
            assert!(found.contains(&expected), "{found}");
            assert!(found.starts_with("INDETERMINATE"), "{found}");
        }
    }
    assert_eq!(said["slot 10 of all"], "VALID", "it is not looked at");
}

/// A hold more, in whichever phase and by whichever registry, makes no robot VALID that was not.
#[test]
fn a_hold_more_never_raises_a_verdict() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    type Step = fn(&mut Country, &mut Country, carnet_domain::bytes::code::Code);
    let phases: &[(&str, Step)] = &[
        ("at home", |_, _, _| {}),
        ("offered", |a, b, code| offer(a, b, code, 1)),
        ("released", |a, b, _| depart(a, b, 1)),
        ("admitted", |a, b, _| {
            admit(b, 1);
            done(&b.deliver(a));
        }),
        ("offered back", |a, b, code| offer(b, a, code, 2)),
        ("released home", |a, b, _| depart(b, a, 2)),
        ("home again", |a, b, _| {
            admit(a, 2);
            done(&a.deliver(b));
        }),
    ];
    let mut stood = 0;
    for (phase, step) in phases {
        step(&mut a, &mut b, code);
        for (kind, by_issuer) in HoldKind::ALL
            .iter()
            .flat_map(|kind| [(*kind, true), (*kind, false)])
        {
            let (mut one, mut other) = (a.clone(), b.clone());
            let whose = if by_issuer { &mut one } else { &mut other };
            let reason = "why".into();
            let set = Command::SetHold { code, kind, reason };
            let answered = whose.command("regulator", set);
            if carnet_kit::text(&answered) != "done" {
                continue;
            }
            stood += 1;
            for purpose in Purpose::ALL {
                let sees = |a: &Country, b: &Country| {
                    let (mut a, mut b) = (a.clone(), b.clone());
                    let now = soon(&[&a, &b]);
                    let mut home = at_home_too(&mut a, &mut b, code);
                    let alone = at_home(&mut a, code);
                    let there = asks(&mut b, &mut a, code);
                    home.own_age_max = OWN_AGE_MAX;
                    [home, alone, there].map(|input| judge(*purpose, &input, now))
                };
                for (before, after) in sees(&a, &b).iter().zip(sees(&one, &other)) {
                    let raised = after.value == Value::Valid && before.value != Value::Valid;
                    assert!(!raised, "{phase}, {kind:?}: {before}\n{after}");
                }
            }
        }
    }
    assert!(phases.len() < stood, "{stood} holds were set");
}

/// What the issuer has when it asks about its own code, with the other country's evidence.
fn at_home_too(a: &mut Country, b: &mut Country, code: carnet_domain::bytes::code::Code) -> Input {
    let mut input = at_home(a, code);
    input.custodians = vec![given_to(a, b, code)];
    input
}

/// Asks as a node does: the issuer, and then whoever each answer leads to.
fn walk(
    asker: &Country,
    countries: &mut [Country],
    code: carnet_domain::bytes::code::Code,
) -> Input {
    let mut parties: Vec<EvidenceInput> = Vec::new();
    let mut next = Some(code.prefix());
    while let Some(prefix) = next.filter(|next| !parties.iter().any(|it| it.bundle.owns(next))) {
        let shown = countries
            .iter_mut()
            .find(|country| country.prefix == prefix);
        let given = given_to(asker, shown.expect("one of them"), code);
        let bytes = given.evidence.as_ref().expect("evidence");
        let evidence = Evidence::from_bytes(bytes).expect("canonical");
        let keys = &given.bundle.bundle().keys;
        let proven = evidence
            .verify(keys, &given.bundle.origin())
            .expect("it holds");
        next = leads_to(&given.bundle, &proven);
        parties.push(given);
    }
    let issuer = parties.remove(0);
    Input {
        verifier: asker.prefix,
        code,
        issuer: Some(issuer),
        custodians: parties,
        known: Some(carnet_kit::evidence::known(asker)),
        own_age_max: OWN_AGE_MAX,
    }
}

/// Wherever a robot stands on its way, also on one that was only offered, refused or taken back: who asks finds it, and finds what is
/// recorded against it.
#[test]
fn each_answer_leads_to_where_the_robot_is() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    type Step = fn(&mut Country, &mut Country, carnet_domain::bytes::code::Code);
    // Who is asked, and whether the importer is responsible, who then records what happens.
    let phases: &[(&str, Step, &str, bool)] = &[
        ("at home", |_, _, _| {}, "86", false),
        ("offered", |a, b, code| offer(a, b, code, 1), "86", false),
        ("released", |a, b, _| depart(a, b, 1), "86 49", true),
        (
            "admitted",
            |a, b, _| {
                admit(b, 1);
                done(&b.deliver(a));
            },
            "86 49",
            true,
        ),
        (
            "offered back",
            |a, b, code| declare(b, a, code, 2),
            "86 49",
            true,
        ),
        (
            "cancelled",
            |a, b, _| {
                let (transfer, reason) = (transfer(2), "not now".into());
                b.must("customs", Command::CancelExport { transfer, reason });
                done(&b.deliver(a));
            },
            "86 49",
            true,
        ),
        (
            "offered again",
            |a, b, code| offer(b, a, code, 3),
            "86 49",
            true,
        ),
        ("released home", |a, b, _| depart(b, a, 3), "86 49", false),
        (
            "home again",
            |a, b, _| {
                admit(a, 3);
                done(&a.deliver(b));
            },
            "86",
            false,
        ),
    ];
    for (phase, step, expected, abroad) in phases {
        step(&mut a, &mut b, code);
        for stolen in [false, true] {
            let mut all = [a.clone(), b.clone()];
            if stolen {
                let whose = &mut all[usize::from(*abroad)];
                hold(whose, "regulator", code, HoldKind::Theft);
            }
            for asker in all.clone() {
                let input = walk(&asker, &mut all, code);
                let asked = input.issuer.iter().chain(&input.custodians);
                let asked: Vec<String> = asked.map(|it| it.bundle.primary().to_string()).collect();
                assert_eq!(asked.join(" "), *expected, "{phase}");
                for purpose in Purpose::ALL {
                    let verdict = judge(*purpose, &input, soon(&[&all[0], &all[1]]));
                    let lost = |reason: &carnet_trust::verdict::Reason| {
                        reason.code == ReasonCode::NoEvidence
                    };
                    assert!(!verdict.reasons.iter().any(lost), "{phase}: {verdict}");
                    let invalid = verdict.value == Value::Invalid;
                    assert_eq!(invalid, stolen, "{phase}: {verdict}");
                }
            }
        }
    }
}

/// Changes all evidence that can be read.
fn change(input: &mut Input, change: fn(&mut Evidence)) {
    let parties = input.issuer.iter_mut().chain(&mut input.custodians);
    for bytes in parties.filter_map(|party| party.evidence.as_mut()) {
        if let Ok(mut evidence) = Evidence::from_bytes(bytes) {
            change(&mut evidence);
            *bytes = evidence.to_bytes();
        }
    }
}

/// That what is poorer or older never raised a verdict. What was proven against the robot may be lost with its proof: then
/// nothing is known. A fact that blocked may grow old: then one asks again. VALID is never reached either way.
fn never_raised(before: &Verdict, after: &Verdict, what: &str) {
    let aged = ["age", "later"].iter().any(|word| what.contains(word));
    let least = if aged {
        Value::Stale
    } else {
        Value::Indeterminate
    };
    let most = before.value.max(least);
    assert!(after.value <= most, "{what}: {before}\n{after}");
}

#[test]
fn removing_or_ageing_any_input_never_raises_a_verdict() {
    let mut seen = BTreeSet::new();
    for (name, input, now) in cases() {
        for purpose in Purpose::ALL {
            let before = judge(*purpose, &input, now);
            seen.insert(before.value);
            for (what, poorer) in hidden_slots(&input) {
                let after = judge(*purpose, &poorer, now);
                never_raised(&before, &after, &format!("{name}, {what} hidden"));
            }
            for poorer in without_a_step(&input) {
                let after = judge(*purpose, &poorer, now);
                never_raised(&before, &after, &format!("{name}, without a step"));
            }
            for (i, (what, less)) in LESS.iter().enumerate() {
                let mut poorer = input.clone();
                less(&mut poorer);
                let after = judge(*purpose, &poorer, now);
                never_raised(&before, &after, &format!("{name}, without {what}"));
                let later = judge(
                    *purpose,
                    &input,
                    now.saturating_add(DurationMs::from_days(3)),
                );
                never_raised(&before, &later, &format!("{name}, three days later"));
                for (other, less) in &LESS[i..] {
                    let mut poorest = poorer.clone();
                    less(&mut poorest);
                    let last = judge(*purpose, &poorest, now);
                    never_raised(&after, &last, &format!("{name}, without {what}, {other}"));
                }
            }
        }
    }
    assert_eq!(seen.len(), Value::ALL.len(), "every value is begun from");
}

/// The step by which a robot left last is left out of what its issuer shows, and an older one leads to a country that had it once: the
/// newest step, which the leaf itself shows, names who has it.
#[test]
fn a_step_that_is_left_out_leads_nowhere_else() {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("33");
    befriend(&mut a, &mut c);
    let code = a.code(1);
    export(&mut a, &mut c, code, 1);
    let once = given_to(&a, &mut c, code);
    offer(&mut c, &mut a, code, 2);
    depart(&mut c, &mut a, 2);
    admit(&mut a, 2);
    done(&a.deliver(&mut c));
    export(&mut a, &mut b, code, 3);
    declare(&mut b, &mut a, code, 4);
    let mut input = at_home(&mut a, code);
    input.custodians = vec![given_to(&a, &mut b, code)];
    let (purpose, now) = (Purpose::SecondHandPurchase, soon(&[&a, &b, &c]));
    check(purpose, &input, now, "VALID");
    let mut lie = crate::cases::with_issuer(&input, |evidence| {
        let left_out = evidence.chain.pop();
        assert!(left_out.is_some(), "its last step is shown");
    });
    lie.custodians = vec![once];
    let verdict = judge(purpose, &lie, now);
    let said = line(&verdict);
    let expected =
        "CUSTODY_MISMATCH: 86 shows the robot as with 49, where no step that is shown leads";
    assert!(said.contains(expected), "{said}");
}

/// Whoever shows an older word of either registry, of any moment of a robot's life, gains nothing by it: what the verifier's pack
/// knows is of now.
#[test]
fn an_older_word_never_raises_a_verdict() {
    type Step = fn(&mut Country, &mut Country, carnet_domain::bytes::code::Code);
    let steps: &[Step] = &[
        |_, _, _| {},
        |a, b, code| offer(a, b, code, 1),
        |a, b, _| depart(a, b, 1),
        |a, b, _| {
            admit(b, 1);
            done(&b.deliver(a));
        },
        |a, b, code| {
            hold(b, "regulator", code, HoldKind::Review);
            done(&b.deliver(a));
        },
        |a, b, code| {
            let kind = HoldKind::Review;
            b.must(
                "regulator",
                Command::LiftHold {
                    code,
                    kind,
                    reason: "found".into(),
                },
            );
            offer(b, a, code, 2);
        },
        |a, b, _| depart(b, a, 2),
        |a, b, _| {
            admit(a, 2);
            done(&a.deliver(b));
        },
        |a, b, code| {
            hold(a, "regulator", code, HoldKind::Theft);
            done(&a.deliver(b));
        },
        |a, b, code| {
            let kind = HoldKind::Theft;
            a.must(
                "regulator",
                Command::LiftHold {
                    code,
                    kind,
                    reason: "found".into(),
                },
            );
            scrap(a, code);
            done(&a.deliver(b));
        },
    ];
    // After which of them custody stands in which epoch.
    const EPOCHS: [u64; 10] = [0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
    assert_eq!(steps.len(), EPOCHS.len());
    let (mut a, mut b) = two();
    let code = a.code(1);
    let mut words: Vec<[EvidenceInput; 2]> = Vec::new();
    let (mut judged, mut passed_on) = (0, 0);
    for step in steps {
        step(&mut a, &mut b, code);
        words.push([given(&mut a, code), given(&mut b, code)]);
        let now = soon(&[&a, &b]);
        for (verifier, other) in [(&a, &b), (&b, &a)] {
            let mut known = carnet_kit::evidence::known(verifier);
            known.source = Source::Pack;
            for country in [verifier, other] {
                let published = country.registry().published.expect("the log is closed");
                let head = carnet_trust::known::KnownHead {
                    size: published.size,
                    root: published.root,
                    time: published.at,
                };
                known.registries.entry(country.prefix).or_default().head = Some(head);
            }
            let input = |issuer: &EvidenceInput, custodian: &EvidenceInput| Input {
                verifier: verifier.prefix,
                code,
                issuer: Some(issuer.clone()),
                custodians: vec![custodian.clone()],
                known: Some(known.clone()),
                own_age_max: OWN_AGE_MAX,
            };
            for purpose in Purpose::ALL {
                let newest = words.last().expect("of now");
                let before = judge(*purpose, &input(&newest[0], &newest[1]), now);
                // Words of one moment, which the verifier's country itself passed on then, and said so: they are worth no more than
                // all words of now.
                for (at, then) in words.iter().enumerate() {
                    let passed = |issuer: &EvidenceInput, custodian: &EvidenceInput| {
                        let mut passed = input(issuer, custodian);
                        let parties = passed.issuer.iter_mut().chain(&mut passed.custodians);
                        for party in parties.filter(|it| it.bundle.owns(&other.prefix)) {
                            let word = crate::files::taken(verifier, other, Some(party));
                            party.taken = TakenHead::verify(&pinned(verifier), &word);
                            assert!(party.taken.is_some(), "its own word");
                        }
                        judge(*purpose, &passed, now)
                    };
                    let of_now = passed(&newest[0], &newest[1]);
                    let of_then = passed(&then[0], &then[1]);
                    let valid = of_then.value == Value::Valid;
                    passed_on += usize::from(valid);
                    // Of a hold that the other registry keeps to itself the clause says how late it may be seen; of nothing else.
                    let shows = format!("{} shows ", other.prefix);
                    let untold = |reason: &carnet_trust::verdict::Reason| {
                        reason.code == ReasonCode::BlockingHold && reason.detail.starts_with(&shows)
                    };
                    // Nor of what became of a robot where it went from the verifier, before it moved on: of that the record says nothing.
                    let row = known.robot(&code);
                    let left = row.is_some_and(|row| row.place == Some(Place::Away));
                    let since = left && EPOCHS[at] == EPOCHS[words.len() - 1];
                    assert!(
                        !valid || since || of_now.reasons.iter().all(untold),
                        "words {at} of {}, passed on: {of_then}\n{of_now}",
                        words.len()
                    );
                }
                for (at, [issuer, _]) in words.iter().enumerate() {
                    for (then, [_, custodian]) in words.iter().enumerate() {
                        let after = judge(*purpose, &input(issuer, custodian), now);
                        let what = format!("words {at} and {then} of {}, of an age", words.len());
                        never_raised(&before, &after, &what);
                        let valid = after.value == Value::Valid;
                        assert!(!valid || before.value == Value::Valid, "{what}: {after}");
                        judged += 1;
                    }
                }
            }
        }
    }
    assert!(judged > 1_000, "{judged} were judged");
    assert!(passed_on > 20, "{passed_on} words of then were VALID");
}

/// A robot that was here and went home is judged by no word of its issuer of before it came, though it is at home by both: as the row
/// says, and as the set does. Whoever sells a second body with its plate would show that one.
#[test]
fn a_word_of_before_a_robot_came_and_went_is_older_than_the_own_record() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    let before = given_to(&b, &mut a, code);
    let word = crate::files::taken(&b, &a, Some(&before));
    export(&mut a, &mut b, code, 1);
    offer(&mut b, &mut a, code, 2);
    depart(&mut b, &mut a, 2);
    admit(&mut a, 2);
    done(&a.deliver(&mut b));
    let mut input = asks(&mut b, &mut a, code);
    let now = soon(&[&a, &b]);
    let known = knows(&mut input);
    known.source = Source::Pack;
    let published = a.registry().published.expect("the log is closed");
    known.registries.entry(a.prefix).or_default().head = Some(KnownHead {
        size: published.size,
        root: published.root,
        time: published.at,
    });
    check(Purpose::ImportPermit, &input, now, "VALID");
    let mut older = input.clone();
    let mut before = before;
    before.taken = TakenHead::verify(&pinned(&b), &word);
    older.issuer = Some(before);
    let expected = "INDETERMINATE | CUSTODY_MISMATCH: 49 recorded a step of its custody of epoch 2, and 86 shows it as of epoch 0: ask \
                    for newer evidence";
    check(Purpose::ImportPermit, &older, now, expected);
    for input in [&mut input, &mut older] {
        crate::story::without_rows(knows(input));
    }
    check(Purpose::ImportPermit, &input, now, "VALID");
    let said = line(&judge(Purpose::ImportPermit, &older, now));
    let expected = "INDETERMINATE | NO_PACK: 49 recorded a later step of the custody of the robot";
    assert!(said.starts_with(expected), "{said}");
}

/// A second body bears the plate of a robot that is here, and its issuer shows it as never departed: an old file, or a registry that
/// was restored from a copy and lives on. The own record says where the robot is, as a row or in the set.
#[test]
fn a_robot_that_is_here_is_nowhere_else_whoever_shows_it() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    offer(&mut a, &mut b, code, 1);
    let mut copy = a.clone();
    depart(&mut a, &mut b, 1);
    // On its way: no word of its issuer leaves it there.
    let coming = b.clone();
    admit(&mut b, 1);
    let settled = b.clone();
    let mut idle = b.clone();
    let Ok(retired) = idle.ledger.robot(&code);
    let mut retired = retired.expect("it was admitted");
    retired.state = carnet_domain::rules::lifecycle::State::Retired;
    let Ok(()) = idle.ledger.put_robot(retired);
    copy.must("maker", copy.register(2));
    copy.must("maker", copy.register(3));
    for (what, own, expected) in [
        (
            "coming",
            &coming,
            "49 recorded that the robot was released to it",
        ),
        ("settled", &settled, "49 has the robot in its own custody"),
        ("idle", &idle, "49 has the robot in its own custody"),
    ] {
        let mut input = Input {
            verifier: own.prefix,
            code,
            issuer: Some(given_to(own, &mut copy, code)),
            custodians: Vec::new(),
            known: Some(carnet_kit::evidence::known(own)),
            own_age_max: OWN_AGE_MAX,
        };
        // Its new life has not been heard of yet.
        knows(&mut input).registries.clear();
        let now = soon(&[own, &copy]);
        let mut in_set = input.clone();
        without_rows(knows(&mut in_set));
        for purpose in [Purpose::ImportPermit, Purpose::SecondHandPurchase] {
            let found = line(&judge(purpose, &input, now));
            assert!(found.starts_with("INDETERMINATE"), "{what}: {found}");
            assert!(found.contains(expected), "{what}: {found}");
            let found = line(&judge(purpose, &in_set, now));
            assert!(found.starts_with("INDETERMINATE"), "{what}: {found}");
            assert!(found.contains("NO_PACK"), "{what}: {found}");
        }
        // Without that record, the word of the issuer would do.
        let key = carnet_domain::log::leaf::Subject::robot(&code).key();
        knows(&mut input).robots.remove(&key);
        check(Purpose::ImportPermit, &input, now, "VALID");
    }
    // What another country shows as ours, and we have no record of.
    let mut input = asks(&mut settled.clone(), &mut a.clone(), code);
    let key = carnet_domain::log::leaf::Subject::robot(&code).key();
    knows(&mut input).robots.remove(&key);
    let now = soon(&[&a, &settled]);
    let found = line(&judge(Purpose::Operation, &input, now));
    assert!(
        found.contains("49 has no such robot in its custody"),
        "{found}"
    );
}

/// Every set of what can be taken away, from one robot of which everything is known: each step downward of the lattice.
#[test]
fn no_way_down_the_lattice_goes_up() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let mut input = asks(&mut b, &mut a, code);
    // A recall that blocks nothing: where its model has no room, nobody can tell.
    let known = input.known.as_mut().expect("what 49 knows");
    known.recalls.push(KnownRecall {
        notice: recall("R-1", Severity::Advisory, Predicate::all()),
        models: vec![code.model_id()],
    });
    let now = soon(&[&a, &b]);
    let values = lattice(Purpose::Operation, &input, now, LESS);
    let valid = values.values().filter(|v| v.value == Value::Valid).count();
    assert!(
        values[&0].value == Value::Valid && valid < 1 << 4,
        "{valid} are VALID"
    );
}

/// The same from other robots: one that came home, one that is here for a time, one that was detained, one that is held here. Of
/// what can be taken away, what each verdict rests on.
#[test]
fn no_way_down_goes_up_from_other_robots() {
    let scenes = [
        ("came home, its importer asks", Purpose::SecondHandPurchase),
        ("came home, its importer asks", Purpose::ImportPermit),
        ("admitted for a time", Purpose::SecondHandPurchase),
        ("admitted for a time", Purpose::Operation),
        ("admitted, detained by our own border", Purpose::Operation),
        ("admitted, stolen by our own record", Purpose::Operation),
        ("home code, released home", Purpose::BorderInspection),
    ];
    let named = [
        "issuer's evidence",
        "custodians",
        "chain",
        "joined",
        "newest",
        "state",
        "a pack instead of the store",
        "rows of what is known",
        "a part of what is known",
    ];
    let less = LESS.iter().filter(|(name, _)| named.contains(name));
    let less: Vec<Less> = less.copied().collect();
    assert_eq!(less.len(), named.len());
    let all = cases();
    let mut begun = BTreeSet::new();
    for (scene, purpose) in scenes {
        let found = all.iter().find(|(name, ..)| *name == scene);
        let (_, input, now) = found.expect("a case");
        begun.insert(lattice(purpose, input, *now, &less)[&0].value);
    }
    assert!(begun.len() >= 3, "{begun:?}");
}

/// The verdict of every set of what can be taken away; that of a larger set never stands above that of a smaller one.
fn lattice(purpose: Purpose, input: &Input, now: TimeMs, all: &[Less]) -> BTreeMap<u32, Verdict> {
    let mut values = BTreeMap::new();
    for set in 0_u32..1 << all.len() {
        let mut poorer = input.clone();
        for (_, (_, less)) in all.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1) {
            less(&mut poorer);
        }
        let verdict = judge(purpose, &poorer, now);
        for at in (0..all.len()).filter(|at| set >> at & 1 == 1) {
            let richer: &Verdict = &values[&(set & !(1 << at))];
            never_raised(richer, &verdict, all[at].0);
        }
        values.insert(set, verdict);
    }
    values
}

#[test]
fn a_robot_that_was_admitted_is_valid_by_a_clause() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let input = asks(&mut b, &mut a, code);
    let verdict = check(Purpose::MarketAccess, &input, soon(&[&a, &b]), "VALID");
    let expected = "\
VALID 86-0001-100002-00000000000000001 for MarketAccess in 49
  note SINGLE_KEY: one server of 49 can sign alone
  note SINGLE_KEY: one server of 86 can sign alone
  by agreement 49-86, version 1, clause 2
  state Sold
  responsible is 49";
    let shown = verdict.to_string();
    assert!(shown.starts_with(expected), "{shown}");
    assert_eq!(verdict.custodian_checkpoints.len(), 1);
    assert!(verdict.issuer_checkpoint.is_some());
    // A country that makes its offices by one admin says so in its bundle, and every verdict on it says so.
    let mut input = input;
    let toy = Bundle {
        profile: Profile::Sandbox,
        ..a.bundle_of(9)
    };
    let issuer = input.issuer.as_mut().expect("of the issuer");
    issuer.bundle = pinned_as(toy);
    let shown = check(Purpose::MarketAccess, &input, soon(&[&a, &b]), "VALID").to_string();
    let note = "\n  note SANDBOX: 86 is a sandbox: one admin alone makes its offices\n";
    assert!(shown.contains(note), "{shown}");
}

#[test]
fn reasons_say_what_broke() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let mut input = asks(&mut b, &mut a, code);
    input = crate::cases::with_issuer(&input, |evidence| evidence.frame.joined = None);
    let bytes = input.issuer.as_mut().and_then(|i| i.evidence.as_mut());
    let bytes = bytes.expect("evidence");
    let at = bytes.len() - 41;
    bytes[at] ^= 1;
    let verdict = judge(Purpose::Operation, &input, soon(&[&a, &b]));
    assert_eq!(verdict.value, Value::Invalid);
    let detail = &verdict.reasons[0].detail;
    assert!(detail.starts_with("86: chain: custody leaf"), "{detail}");
}

/// One history of the exporter departs at one time, another at another: the admission names one of them.
/// What was verified before is not verified again, and counts for its own key and log alone.
#[test]
fn evidence_that_was_verified_is_not_read_again() {
    let (mut a, b) = two();
    let code = a.code(1);
    let input = at_home(&mut a, code);
    let given = input.issuer.as_ref().expect("its own");
    let bytes = given.evidence.as_ref().expect("evidence");
    let evidence = Evidence::from_bytes(bytes).expect("evidence");
    let proven = evidence.verify(&given.bundle.bundle().keys, &given.bundle.origin());
    let mut once = input.clone();
    let issuer = once.issuer.as_mut().expect("its own");
    issuer.proven = Some(proven.expect("it holds"));
    issuer.evidence = Some(vec![0]);
    let (purpose, now) = (Purpose::SecondHandPurchase, soon(&[&a]));
    let verdict = judge(purpose, &once, now);
    assert_eq!(line(&verdict), "VALID");
    assert_eq!(verdict, judge(purpose, &input, now));
    let issuer = once.issuer.as_mut().expect("its own");
    issuer.bundle = pinned_as(Bundle {
        keys: b.bundle_of(1).keys,
        ..a.bundle_of(1)
    });
    let found = line(&judge(purpose, &once, now));
    assert!(found.starts_with("INVALID | EVIDENCE_BROKEN"), "{found}");
}

/// While publication is late, a node's evidence of its own log is older than its records, which it must not overlook: a robot that
/// was retired was VALID there, where a pack of the same second said STALE.
#[test]
fn a_node_holds_its_own_older_evidence_to_its_records() {
    let (mut a, _) = two();
    let code = a.code(1);
    let input = at_home(&mut a, code);
    let judged = |purpose, then: &dyn Fn(&mut Country)| {
        let mut own = a.clone();
        own.must("maker", own.register(77));
        then(&mut own);
        let registry = own.registry();
        let mut input = input.clone();
        let mut known = carnet_kit::evidence::known(&own);
        let head = KnownHead {
            size: registry.tree.size(),
            root: registry.tree.root(),
            time: registry.log_time,
        };
        let head = Some(head);
        known
            .registries
            .insert(own.prefix, KnownRegistry { head, doubt: None });
        input.known = Some(known);
        line(&judge(purpose, &input, soon(&[&own])))
    };
    let after = |then: &dyn Fn(&mut Country)| judged(Purpose::SecondHandPurchase, then);
    let sold = |then: &dyn Fn(&mut Country)| judged(Purpose::MarketAccess, then);
    assert_eq!(after(&|_| {}), "VALID");
    let retire = |own: &mut Country| {
        let Ok(robot) = own.ledger.robot(&code);
        let mut robot = robot.expect("registered");
        robot.state = State::Retired;
        let Ok(()) = own.ledger.put_robot(robot);
    };
    let found = after(&retire);
    assert!(found.starts_with("STALE | OLDER_HEAD"), "{found}");
    let suspend = |own: &mut Country| {
        let status = Command::SetEnterpriseStatus {
            id: own.enterprise("0001"),
            status: carnet_domain::record::EnterpriseStatus::StruckOff,
            reason: "x".into(),
        };
        own.must("registrar", status);
    };
    let found = sold(&suspend);
    assert!(found.starts_with("INVALID | MAKER_NOT_ACTIVE"), "{found}");
}

#[test]
fn an_admission_that_names_another_departure_is_not_believed() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    offer(&mut a, &mut b, code, 1);
    let (mut other, mut witness) = (a.clone(), b.clone());
    other.clock = other.clock.saturating_add(DurationMs::from_secs(60));
    depart(&mut other, &mut b, 1);
    admit(&mut b, 1);
    depart(&mut a, &mut witness, 1);
    let expected = "INDETERMINATE | CUSTODY_MISMATCH: 86 shows the robot as departed to 49, which shows no \
                    admission that names this departure | OTHER_HISTORY: the 27 leaves of 86 do not extend the 27 \
                    that are known";
    let input = asks(&mut b, &mut a, code);
    check(Purpose::Operation, &input, soon(&[&a, &b]), expected);
    // Nor is what that registry says of the robot's end; what the verifier itself recorded is.
    scrap(&mut b, code);
    let input = asks(&mut b, &mut a, code);
    let after = check_begins(
        &input,
        soon(&[&a, &b]),
        "INVALID | FINAL_STATE: its code ended: 49 recorded Scrapped",
    );
    assert_eq!(
        after.reasons.len(),
        3,
        "nothing of it by the custodian's evidence: {after}"
    );
}
