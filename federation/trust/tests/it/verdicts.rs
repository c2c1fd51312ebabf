//! Verdicts over whole stories: registries, mail and evidence as on servers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::Bundle;
use carnet_trust::verdict::{Input, Purpose, ReasonCode, Value, Verdict, judge};

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

/// The input with one thing less, for each thing.
fn poorer(input: &Input) -> Vec<Input> {
    let mut out = Vec::new();
    let mut push = |change: &dyn Fn(&mut Input)| {
        let mut less = input.clone();
        change(&mut less);
        out.push(less);
    };
    push(&|input| input.issuer = None);
    push(&|input| input.agreements.clear());
    push(&|input| input.custodians.clear());
    push(&|input| {
        if let Some(issuer) = &mut input.issuer {
            issuer.evidence = None;
        }
    });
    push(&|input| {
        for custodian in &mut input.custodians {
            custodian.evidence = None;
        }
    });
    push(&|input| *input = crate::cases::with_issuer(input, |evidence| evidence.model = None));
    push(&|input| *input = crate::cases::with_issuer(input, |evidence| evidence.chain.clear()));
    out
}

#[test]
fn removing_an_input_never_brings_a_verdict_nearer_to_valid() {
    for (name, input, now) in cases() {
        for purpose in Purpose::ALL {
            let before = judge(*purpose, &input, now).value;
            for (i, less) in poorer_of(&input).into_iter().enumerate() {
                let after = judge(*purpose, &less, now);
                // What was proven against the robot may be lost with its proof; then nothing is known.
                let most = before.max(Value::Indeterminate);
                assert!(
                    after.value <= most,
                    "{name}, {purpose:?}, without {i}: {before}\n{after}"
                );
            }
        }
    }
}

/// Evidence that does not decode cannot be made poorer.
fn poorer_of(input: &Input) -> Vec<Input> {
    let readable = |bytes: &[u8]| carnet_trust::evidence::Evidence::from_bytes(bytes).is_ok();
    let issuer = input.issuer.as_ref().and_then(|i| i.evidence.as_deref());
    match issuer {
        Some(bytes) if !readable(bytes) => Vec::new(),
        _ => poorer(input),
    }
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
    let bytes = input.issuer.as_mut().and_then(|i| i.evidence.as_mut());
    let bytes = bytes.expect("evidence");
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    let verdict = judge(Purpose::Operation, &input, soon(&[&a, &b]));
    assert_eq!(verdict.value, Value::Invalid);
    let detail = &verdict.reasons[0].detail;
    assert!(detail.starts_with("86: chain: custody leaf"), "{detail}");
}

/// One history of the exporter departs at one time, another at another: the admission names one of them.
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
                    admission that names this departure";
    let input = asks(&mut b, &mut a, code);
    check(Purpose::Operation, &input, soon(&[&a, &b]), expected);
    // Nor is what that registry says of the robot's end.
    scrap(&mut b, code);
    let input = asks(&mut b, &mut a, code);
    check(Purpose::Operation, &input, soon(&[&a, &b]), expected);
}
