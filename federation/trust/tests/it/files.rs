//! Evidence files: the same verdict as online, and no byte of one can be changed.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::peer::Signed;
use carnet_kit::Country;
use carnet_trust::evidence::Evidence;
use carnet_trust::offline::{
    EvidenceFile, FILE_VERSION, FileError, FileParty, Pin, Pins, Report, verify_file,
};
use carnet_trust::verdict::{Input, OWN_AGE_MAX, Purpose, Value, judge};

use crate::story::*;

fn pin(country: &Country) -> Pin {
    let bundle = country.bundle_of(1);
    Pin {
        prefix: country.prefix,
        roots: bundle.roots,
        threshold: bundle.threshold,
    }
}

fn pins(own: &Country, countries: &[&Country]) -> Pins {
    Pins {
        own: own.prefix,
        countries: countries.iter().map(|country| pin(country)).collect(),
        suspended: Vec::new(),
        quarantined: Vec::new(),
        own_age_max: OWN_AGE_MAX,
    }
}

fn party(country: &Country, evidence: Option<Vec<u8>>) -> FileParty {
    let bytes = country.bundle_of(1).to_bytes();
    FileParty {
        bundle: Signed {
            signatures: country.root_signatures(&bytes),
            bytes: Blob(bytes),
        },
        evidence: evidence.map(Blob),
    }
}

/// The file of a robot of `a` that was admitted by `b`, what it was made from, and when.
struct Saved {
    a: Country,
    b: Country,
    input: Input,
    file: EvidenceFile,
    now: TimeMs,
}

fn saved() -> Saved {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let input = asks(&mut b, &mut a, code);
    let now = soon(&[&a, &b]);
    let evidence = |input: Option<&carnet_trust::verdict::EvidenceInput>| {
        input.and_then(|input| input.evidence.clone())
    };
    let file = EvidenceFile {
        version: FILE_VERSION,
        verifier: b.prefix,
        code,
        saved_at: now,
        issuer: Some(party(&a, evidence(input.issuer.as_ref()))),
        custodians: vec![party(&b, evidence(input.custodians.first()))],
        agreements: vec![signed_agreement(&a, &b, &agreement(&a, &b))],
        suspended: Vec::new(),
        quarantined: Vec::new(),
    };
    Saved {
        a,
        b,
        input,
        file,
        now,
    }
}

fn verify(saved: &Saved, file: &[u8]) -> Result<Report, FileError> {
    let pins = pins(&saved.b, &[&saved.a, &saved.b]);
    verify_file(file, &pins, None, Purpose::Operation, saved.now)
}

/// Verdict and reasons, or why there is none.
fn outcome(found: Result<Report, FileError>) -> String {
    match found {
        Ok(report) => line(&report.verdict),
        Err(error) => error.to_string(),
    }
}

#[test]
fn online_and_offline_give_the_same_verdict() {
    let saved = saved();
    for purpose in Purpose::ALL {
        for later in [0, 7_200_000, 3 * 86_400_000] {
            let now = TimeMs(saved.now.0 + later);
            let pins = pins(&saved.b, &[&saved.a, &saved.b]);
            let file = saved.file.to_file();
            let offline = verify_file(&file, &pins, Some(&saved.file.code), *purpose, now);
            let offline = offline.expect("a file that can be read").verdict;
            assert_eq!(offline, judge(*purpose, &saved.input, now));
        }
    }
    assert_eq!(outcome(verify(&saved, &saved.file.to_file())), "VALID");
}

#[test]
fn every_step_of_a_good_file_is_explained() {
    let saved = saved();
    let report = verify(&saved, &saved.file.to_file()).expect("a file that can be read");
    let steps: Vec<String> = report.steps.iter().map(ToString::to_string).collect();
    assert!(report.steps.iter().all(|step| step.held), "{steps:#?}");
    for expected in [
        "ok   file: the digest holds",
        "ok   bundle of 86: sequence 1, signed by the pinned roots",
        "ok   agreement 49-86, version 1: signed by the roots of both parties",
        "ok   robot in 86: it is the newest, status Departed",
        "ok   robot in 49: it is the newest, status InForce",
        "ok   verdict VALID for Operation",
    ] {
        assert!(
            steps.iter().any(|step| step == expected),
            "{expected}\n{steps:#?}"
        );
    }
}

#[test]
fn no_byte_of_a_file_can_be_flipped() {
    let saved = saved();
    let file = saved.file.to_file();
    assert_eq!(outcome(verify(&saved, &file)), "VALID");
    let mut bytes = file.clone();
    for at in 0..file.len() {
        bytes[at] ^= 1 << (at % 8);
        match verify(&saved, &bytes) {
            Ok(report) => {
                let text = line(&report.verdict);
                assert_eq!(report.verdict.value, Value::Invalid, "byte {at}: {text}");
                let named = report.verdict.reasons.iter().all(|r| !r.detail.is_empty());
                assert!(named, "byte {at}: {text}");
                assert!(report.steps.iter().any(|step| !step.held), "byte {at}");
            }
            Err(error) => assert!(!error.to_string().is_empty(), "byte {at}"),
        }
        bytes[at] = file[at];
    }
}

#[test]
fn no_beginning_of_a_file_is_a_file() {
    let saved = saved();
    let file = saved.file.to_file();
    for length in 0..file.len() {
        let found = verify(&saved, &file[..length]);
        assert!(matches!(found, Err(FileError::Frame(_))), "{length} bytes");
    }
    let longer = [&file[..], &[0]].concat();
    assert!(matches!(verify(&saved, &longer), Err(FileError::Frame(_))));
}

/// A forger who makes the digest of the file anew is caught by signature or proof.
#[test]
fn no_byte_of_the_evidence_can_be_flipped() {
    let Saved { mut input, now, .. } = saved();
    let issuer = input.issuer.clone().and_then(|issuer| issuer.evidence);
    let good = issuer.expect("the issuer's evidence");
    let mut bytes = good.clone();
    for at in 0..good.len() {
        bytes[at] ^= 1 << (at % 8);
        if let Some(issuer) = &mut input.issuer {
            issuer.evidence = Some(bytes.clone());
        }
        let verdict = judge(Purpose::Operation, &input, now);
        let text = line(&verdict);
        assert!(verdict.value < Value::Stale, "byte {at}: {text}");
        assert!(text.contains("86: "), "byte {at}: {text}");
        bytes[at] = good[at];
    }
}

#[test]
fn what_broke_is_named() {
    let saved = saved();
    let forged = |change: &dyn Fn(&mut EvidenceFile)| {
        let mut file = saved.file.clone();
        change(&mut file);
        outcome(verify(&saved, &file.to_file()))
    };
    let evidence = |change: &dyn Fn(&mut Evidence)| {
        forged(&|file| {
            if let Some(FileParty {
                evidence: Some(bytes),
                ..
            }) = &mut file.issuer
            {
                let mut evidence = Evidence::from_bytes(&bytes.0).expect("evidence");
                change(&mut evidence);
                bytes.0 = evidence.to_bytes();
            }
        })
    };
    let starts = |found: String, expected: &str| {
        assert!(found.starts_with(expected), "{found}\nnot {expected}");
    };
    starts(
        evidence(&|e| e.checkpoint = e.checkpoint.replace("\n\n", "A\n\n")),
        "INVALID | EVIDENCE_BROKEN: 86: checkpoint: ",
    );
    starts(
        evidence(&|e| e.map_head.leaf.0[60] ^= 1),
        "INVALID | EVIDENCE_BROKEN: 86: map_head: ",
    );
    starts(
        evidence(&|e| e.origin.prefix = saved.b.prefix),
        "INVALID | EVIDENCE_BROKEN: 86: origin: ",
    );
    starts(
        forged(&|file| file.custodians[0].bundle.signatures[0].signature.0[0] ^= 1),
        "INVALID | BAD_SIGNATURE: bundle: ",
    );
    starts(
        forged(&|file| file.agreements[0].signatures.truncate(3)),
        "INVALID | BAD_SIGNATURE: agreement 49-86, version 1: not signed by the roots of 49",
    );
    starts(
        forged(&|file| file.agreements.clear()),
        "INDETERMINATE | NO_AGREEMENT: ",
    );
    starts(
        forged(&|file| file.version = 7),
        "the file has version 7, known is 1",
    );
}

#[test]
fn a_file_cannot_say_for_whom_it_is_judged() {
    let saved = saved();
    let mut file = saved.file.clone();
    // Whoever pretends to be the issuer's own country needs no clause; the verifier knows better.
    file.verifier = saved.a.prefix;
    file.agreements.clear();
    let found = outcome(verify(&saved, &file.to_file()));
    assert!(found.starts_with("INDETERMINATE | NO_AGREEMENT"), "{found}");
}

#[test]
fn what_the_verifier_knows_beside_the_file_counts() {
    let saved = saved();
    let mut known = pins(&saved.b, &[&saved.a, &saved.b]);
    known.quarantined = vec![saved.a.prefix];
    let file = saved.file.to_file();
    let report = verify_file(&file, &known, None, Purpose::Operation, saved.now);
    let found = outcome(report);
    assert!(
        found.starts_with("INDETERMINATE | PEER_QUARANTINED"),
        "{found}"
    );

    let only = pins(&saved.b, &[&saved.b]);
    let report = verify_file(&file, &only, None, Purpose::Operation, saved.now);
    let found = outcome(report);
    assert!(
        found.starts_with("INDETERMINATE | UNKNOWN_REGISTRY"),
        "{found}"
    );
}

#[test]
fn a_file_about_another_robot_is_refused() {
    let saved = saved();
    let other: Code = saved.a.code(2);
    let pins = pins(&saved.b, &[&saved.a, &saved.b]);
    let found = verify_file(
        &saved.file.to_file(),
        &pins,
        Some(&other),
        Purpose::Operation,
        saved.now,
    );
    assert_eq!(
        found.map(|report| report.verdict.value),
        Err(FileError::OtherCode {
            expected: other.display_form(),
            found: saved.file.code.display_form(),
        })
    );
}
