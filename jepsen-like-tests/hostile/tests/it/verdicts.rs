//! Verdicts that lies would make VALID: with another's prefix, with a key that was replaced, with an older head, and with what the
//! bearer of a file leaves out.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Bundle, Signed};
use carnet_domain::rules::command::{self, Action, Command};
use carnet_domain::rules::lifecycle::EndOfLife;
use carnet_domain::rules::policy::Role;
use carnet_hostile::scene::{bring, two};
use carnet_kit::evidence::{forged, known};
use carnet_kit::{Country, befriend, transfer};
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::evidence::{Evidence, Published, SLOTS_FOR_AUTHORITIES, build};
use carnet_trust::known::KnownRobot;
use carnet_trust::offline::{EvidenceFile, FILE_VERSION, FileError, FileParty, verify_file};
use carnet_trust::pins::{Pin, PinError, Pins};
use carnet_trust::verdict::{EvidenceInput, Input, OWN_AGE_MAX, Purpose, Value, Verdict, judge};

fn signed(by: &Country, bundle: &Bundle) -> Signed {
    let bytes = bundle.to_bytes();
    Signed {
        signatures: by.root_signatures(&bytes),
        bytes: Blob(bytes),
    }
}

fn pin(country: &Country) -> Pin {
    Pin::of_bundle(&signed(country, &country.bundle_of(1))).expect("signed by its roots")
}

/// What a country shows of a code now.
fn shown(country: &mut Country, code: &Code) -> Evidence {
    country.close();
    let registry = country.registry();
    let published = Published {
        origin: Origin {
            prefix: country.prefix,
            incarnation: 0,
        },
        checkpoint: &registry.checkpoint,
        size: registry.published.expect("it is closed").size,
    };
    build(&country.ledger, &published, code, SLOTS_FOR_AUTHORITIES).expect("evidence")
}

fn soon(country: &Country) -> TimeMs {
    country.clock.saturating_add(DurationMs::from_secs(60))
}

/// 86 with a robot, 49 that lies, and 81, which verifies and recognises both.
struct Scene {
    a: Country,
    liar: Country,
    own: Country,
    code: Code,
    like: Evidence,
}

fn scene() -> Scene {
    let mut a = Country::with_market("86");
    let mut liar = Country::with_market("49");
    let mut own = Country::with_market("81");
    befriend(&mut a, &mut own);
    befriend(&mut liar, &mut own);
    a.must("maker", a.register(1));
    let code = a.code(1);
    let like = shown(&mut a, &code);
    Scene {
        a,
        liar,
        own,
        code,
        like,
    }
}

impl Scene {
    fn online(&self, bundle: Bundle, evidence: &Evidence) -> Verdict {
        // What we were told of a robot that was never here, as a node looks it up by its code.
        let mut known = known(&self.own);
        let key = Subject::robot(&self.code).key();
        let Ok(ends) = self.own.ledger.ends(&key);
        if let Some(ended) = ends.as_ref().and_then(|ends| ends.shown()) {
            known.robots.insert(key, KnownRobot::ended(ended));
        }
        let input = Input {
            verifier: self.own.prefix,
            code: self.code,
            issuer: Some(EvidenceInput::of(
                PinnedBundle::of_state(bundle).expect("it names a prefix"),
                Some(evidence.to_bytes()),
            )),
            custodians: Vec::new(),
            known: Some(known),
            own_age_max: OWN_AGE_MAX,
        };
        judge(Purpose::ImportPermit, &input, soon(&self.own))
    }

    fn offline(&self, pins: &Pins, by: &Country, bundle: &Bundle, evidence: &Evidence) -> Verdict {
        let file = EvidenceFile {
            version: FILE_VERSION,
            verifier: self.own.prefix,
            code: self.code,
            saved_at: soon(&self.own),
            issuer: Some(FileParty {
                registry: by.prefix,
                bundle: Some(signed(by, bundle)),
                evidence: Some(Blob(evidence.to_bytes())),
                taken: None,
            }),
            custodians: Vec::new(),
        };
        let (purpose, now) = (Purpose::ImportPermit, soon(&self.own));
        let report = verify_file(&file.to_file(), pins, None, None, purpose, now);
        report.expect("a file that can be read").verdict
    }
}

fn says(verdict: &Verdict, reason: &str) {
    let text = verdict.to_string();
    assert_ne!(verdict.value, Value::Valid, "{text}");
    assert!(text.contains(reason), "{text}");
}

#[test]
fn a_pinned_country_does_not_speak_for_anothers_prefix() {
    let scene = scene();
    let all = vec![pin(&scene.own), pin(&scene.a), pin(&scene.liar)];
    let pins = Pins::new(scene.own.prefix, all, OWN_AGE_MAX).expect("pins");
    let lie = forged(
        &scene.liar,
        &scene.liar.key("log"),
        &scene.like,
        soon(&scene.own),
    );
    for prefix in [scene.a.prefix, scene.own.prefix] {
        let mut bundle = scene.liar.bundle_of(2);
        bundle.prefixes.push(prefix);
        let verdict = scene.offline(&pins, &scene.liar, &bundle, &lie);
        says(&verdict, "PREFIX_CLAIMED");
        // Nor is such a bundle pinned beside the other.
        let greedy = Pin::of_bundle(&signed(&scene.liar, &bundle)).expect("signed by its roots");
        let all = vec![pin(&scene.own), pin(&scene.a), greedy];
        let found = Pins::new(scene.own.prefix, all, OWN_AGE_MAX);
        assert!(matches!(found, Err(PinError::Overlap { .. })), "{prefix}");
    }
}

#[test]
fn a_log_key_proves_nothing_after_its_rotation() {
    let scene = scene();
    let mut later = scene.a.clone();
    later.rotate_log("log", "log-2");
    let rotated = later.bundle_of(2);
    let newest = Pin::of_bundle(&signed(&scene.a, &rotated)).expect("signed by its roots");
    let all = vec![pin(&scene.own), newest];
    let pins = Pins::new(scene.own.prefix, all, OWN_AGE_MAX).expect("pins");
    let lie = forged(&scene.a, &scene.a.key("log"), &scene.like, soon(&scene.own));
    let verdict = scene.offline(&pins, &scene.a, &scene.a.bundle_of(1), &lie);
    says(&verdict, "SUPERSEDED");
    // Online the newest bundle is the one in force.
    says(&scene.online(rotated, &lie), "SUPERSEDED");
}

#[test]
fn an_older_head_hides_no_end_that_we_were_told() {
    let mut scene = scene();
    let before = scene.like.clone();
    assert_eq!(
        scene.online(scene.a.bundle_of(1), &before).value,
        Value::Valid
    );
    let code = scene.code;
    let certificate = sha256(&[b"certificate"]);
    for (who, action) in [
        (
            "recycler",
            Action::DeclareEndOfLife {
                outcome: EndOfLife::Scrapped,
                certificate,
            },
        ),
        ("registrar", Action::ConfirmEndOfLife { certificate }),
    ] {
        let command = Command::Act {
            code,
            expected_sequence: None,
            action,
        };
        scene.a.must(who, command);
    }
    scene.a.deliver(&mut scene.own);
    // A server of 86 that lags, or lies, shows the head before the end.
    let verdict = scene.online(scene.a.bundle_of(1), &before);
    says(&verdict, "FINAL_STATE");
    says(&verdict, "OLDER_HEAD");
    assert_eq!(verdict.value, Value::Invalid);
}

/// The compute unit that a robot here had by somebody's word, bought from a maker that is nobody here, ended with that robot: in another
/// one, which comes from abroad, it is shown as ended, until two registrars clear it.
#[test]
fn what_was_said_to_be_in_an_ended_robot_is_shown_of_another() {
    let mut scene = scene();
    let bundle = |scene: &Scene| scene.a.bundle_of(1);
    assert_eq!(
        scene.online(bundle(&scene), &scene.like).value,
        Value::Valid
    );
    scene
        .own
        .enrol_office("registrar-2", "registrar", Role::Registrar);
    let mut registration = scene.own.registration(5);
    let bought = scene.a.registration(1).identity_parts[0].clone();
    let identity = bought.identity();
    registration.identity_parts[0] = bought;
    let code = registration.code;
    scene.own.must("maker", Command::Register { registration });
    assert_eq!(
        scene.online(bundle(&scene), &scene.like).value,
        Value::Valid
    );
    let certificate = sha256(&[b"certificate"]);
    let outcome = EndOfLife::Scrapped;
    let declared = Action::DeclareEndOfLife {
        outcome,
        certificate,
    };
    let confirmed = Action::ConfirmEndOfLife { certificate };
    for (who, action) in [("recycler", declared), ("registrar-2", confirmed)] {
        let command = Command::Act {
            code,
            expected_sequence: None,
            action,
        };
        scene.own.must(who, command);
    }
    // Which of the two has it nobody knows: neither is it free of doubt, nor ended by what somebody says of another robot.
    let verdict = scene.online(bundle(&scene), &scene.like);
    says(&verdict, "said of two");
    assert_eq!(verdict.value, Value::Indeterminate);
    for who in ["registrar", "registrar-2"] {
        let cleared = Command::ClearClaim {
            peer: scene.own.prefix,
            identity,
            reason: "mistyped".into(),
        };
        scene.own.must(who, cleared);
    }
    assert_eq!(
        scene.online(bundle(&scene), &scene.like).value,
        Value::Valid
    );
}

#[test]
fn a_bearers_file_alone_is_never_valid() {
    let scene = scene();
    let all = vec![pin(&scene.own), pin(&scene.a)];
    let pins = Pins::new(scene.own.prefix, all, OWN_AGE_MAX).expect("pins");
    let verdict = scene.offline(&pins, &scene.a, &scene.a.bundle_of(1), &scene.like);
    says(&verdict, "NO_PACK");
    assert_eq!(verdict.value, Value::Indeterminate);
}

#[test]
fn repeated_signatures_and_parties_are_not_read() {
    let scene = scene();
    let mut bundle = signed(&scene.a, &scene.a.bundle_of(1));
    let one = bundle.signatures[0].clone();
    bundle.signatures = vec![one; 40_000];
    let party = FileParty {
        registry: scene.a.prefix,
        bundle: Some(bundle),
        evidence: None,
        taken: None,
    };
    let bare = FileParty {
        bundle: None,
        ..party.clone()
    };
    let file = |issuer: &FileParty, custodians: Vec<FileParty>| EvidenceFile {
        version: FILE_VERSION,
        verifier: scene.own.prefix,
        code: scene.code,
        saved_at: soon(&scene.own),
        issuer: Some(issuer.clone()),
        custodians,
    };
    for file in [
        file(&party, Vec::new()),
        file(&bare, vec![bare.clone(); 9_000]),
    ] {
        let found = EvidenceFile::read(&file.to_file());
        assert!(matches!(found, Err(FileError::Content(_))));
    }
}

/// Whom a robot was released to detains it: that is the same release, and says nothing against it but that.
#[test]
fn a_robot_that_is_detained_was_released_to_whoever_detained_it() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, command::Purpose::PermanentExport);
    let judged = |a: &mut Country, b: &mut Country| {
        let of = |country: &mut Country| {
            let evidence = shown(country, &code);
            let bundle = PinnedBundle::of_state(country.bundle_of(1)).expect("it names a prefix");
            EvidenceInput::of(bundle, Some(evidence.to_bytes()))
        };
        let input = Input {
            verifier: b.prefix,
            code,
            issuer: Some(of(a)),
            custodians: vec![of(b)],
            known: Some(known(b)),
            own_age_max: OWN_AGE_MAX,
        };
        judge(Purpose::BorderInspection, &input, soon(b)).to_string()
    };
    let before = judged(&mut a, &mut b);
    assert!(!before.contains("CUSTODY_MISMATCH"), "{before}");
    let detained = Command::Detain {
        transfer: transfer(1),
        reason: "another serial on the plate".into(),
    };
    b.must("customs", detained);
    let after = judged(&mut a, &mut b);
    assert!(!after.contains("CUSTODY_MISMATCH"), "{after}");
    assert!(after.contains("DETAINED"), "{after}");
    b.deliver(&mut a);
    let told = judged(&mut a, &mut b);
    assert!(!told.contains("CUSTODY_MISMATCH"), "{told}");
}
