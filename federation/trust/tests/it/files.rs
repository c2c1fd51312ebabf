//! Evidence files: judged offline with pins and a pack, they give the verdict that is given online; no byte of one can be
//! changed; and what the bearer leaves out, adds or makes older never makes a robot VALID.

use std::collections::BTreeSet;

use carnet_domain::bytes::code::{Code, EnterpriseId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::keys::KeySignature;
use carnet_domain::record::peer::{
    Bundle, RootSignature, RootsChange, Signed, Statement, root_signing_bytes,
};
use carnet_domain::record::{Against, RecallId, RecallNotice};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::rejection::Reason;
use carnet_kit::evidence::{forged, known};
use carnet_kit::{Country, befriend};
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::evidence::{Evidence, HeadOrder};
use carnet_trust::known::{
    Doubt, Ending, Known, KnownHead, KnownMaker, KnownModel, KnownRobot, Later, Source,
    key_of_maker, key_of_model, key_of_record, keys_of,
};
use carnet_trust::offline::{
    EvidenceFile, FILE_VERSION, FileError, FileParty, Report, verify_file,
};
use carnet_trust::pack::{OpenedPack, PACK_VERSION, Pack, PackError, PackPeer, Unfollowed};
use carnet_trust::pins::{Pin, PinError, Pins};
use carnet_trust::sieve::{Keys, SIEVE_BYTES_MAX, Sieve};
use carnet_trust::taken::{SignedTaking, TakenHead, Taking};
use carnet_trust::verdict::{EvidenceInput, Input, OWN_AGE_MAX, Purpose, ReasonCode, Value, judge};

use crate::story::*;

fn signed(country: &Country, bundle: &Bundle) -> Signed {
    let bytes = bundle.to_bytes();
    Signed {
        signatures: country.root_signatures(&bytes),
        bytes: Blob(bytes),
    }
}

fn pin(country: &Country) -> Pin {
    Pin::of_bundle(&signed(country, &country.bundle_of(1))).expect("signed by its roots")
}

fn pins(own: &Country, countries: &[&Country]) -> Pins {
    let pinned = countries.iter().map(|country| pin(country)).collect();
    Pins::new(own.prefix, pinned, OWN_AGE_MAX).expect("a set without contradiction")
}

fn party(country: &Country, evidence: Option<Vec<u8>>) -> FileParty {
    FileParty {
        registry: country.prefix,
        bundle: Some(signed(country, &country.bundle_of(1))),
        evidence: evidence.map(Blob),
        taken: None,
    }
}

/// The pack of a country that has these peers.
fn pack_of(country: &Country, peers: &[&Country]) -> Pack {
    let known = known(country);
    let peer = |peer: &&Country| {
        let of_peer = known.registries[&peer.prefix].clone();
        let with = |agreement: &&carnet_domain::record::peer::Agreement| {
            [agreement.parties.0, agreement.parties.1].contains(&peer.prefix)
        };
        PackPeer {
            bundle: signed(peer, &peer.bundle_of(1)),
            replaced: Vec::new(),
            head: of_peer.head,
            doubt: of_peer.doubt,
            agreements: known.agreements.iter().filter(with).cloned().collect(),
            suspended: Vec::new(),
        }
    };
    let published = country.registry().published.expect("a closed log");
    let telling = known
        .robots
        .iter()
        .filter(|(_, robot)| robot.tells_something());
    Pack {
        version: PACK_VERSION,
        registry: country.prefix,
        incarnation: 0,
        at: known.at,
        whole: true,
        head: Some(carnet_trust::known::KnownHead {
            size: published.size,
            root: published.root,
            time: published.at,
        }),
        peers: peers.iter().map(peer).collect(),
        lacking: known.lacking.clone(),
        robots: telling.map(|(key, robot)| (*key, robot.clone())).collect(),
        others: None,
        recalls: known.recalls.clone(),
        models: known.models.clone(),
        makers: known.makers.clone(),
    }
}

fn signed_by(key: &SecretKey, message: &[u8]) -> KeySignature {
    KeySignature {
        key: key.public(),
        signature: key.sign(message),
    }
}

fn signed_pack(pack: &Pack, key: &SecretKey) -> Vec<u8> {
    let content = pack.to_bytes();
    let signature = signed_by(key, &Pack::message(&content));
    Pack::to_file(content, vec![signature])
}

/// What `own` says of the head of evidence of `of` that it passes on: that it is the one it knows, or extends it.
pub(crate) fn taken(own: &Country, of: &Country, given: Option<&EvidenceInput>) -> SignedTaking {
    let evidence = given.and_then(|given| given.evidence.as_ref());
    let evidence = Evidence::from_bytes(evidence.expect("evidence")).expect("canonical");
    let proven = evidence.verify(&of.registry().keys, &origin(of));
    let proven = proven.expect("it holds");
    let known = KnownHead {
        size: proven.size(),
        root: *proven.checkpoint().root(),
        time: proven.time(),
    };
    let taking = Taking::of(own.prefix, 0, (1, own.clock), &proven, &known).expect("the same head");
    let signatures = vec![signed_by(&own.key("log"), &taking.message())];
    SignedTaking { taking, signatures }
}

/// The file of a robot of `a` that was admitted by `b`, `b`'s pack, what both were made from, and when.
struct Saved {
    a: Country,
    b: Country,
    input: Input,
    file: EvidenceFile,
    pack: Pack,
    now: TimeMs,
}

fn saved() -> Saved {
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let mut input = asks(&mut b, &mut a, code);
    // A pack that was saved after the evidence: what it knows is at least as new.
    done(&a.deliver(&mut b));
    input.known = Some(known(&b));
    let now = soon(&[&a, &b]);
    let evidence = |input: Option<&EvidenceInput>| input.and_then(|input| input.evidence.clone());
    let file = EvidenceFile {
        version: FILE_VERSION,
        verifier: b.prefix,
        code,
        saved_at: now,
        issuer: Some(FileParty {
            taken: Some(taken(&b, &a, input.issuer.as_ref())),
            ..party(&a, evidence(input.issuer.as_ref()))
        }),
        custodians: vec![party(&b, evidence(input.custodians.first()))],
    };
    let pack = pack_of(&b, &[&a]);
    Saved {
        a,
        b,
        input,
        file,
        pack,
        now,
    }
}

impl Saved {
    fn pins(&self) -> Pins {
        pins(&self.b, &[&self.a, &self.b])
    }

    fn open(&self, pack: &Pack) -> OpenedPack {
        let bytes = signed_pack(pack, &self.b.key("log"));
        OpenedPack::open(&bytes, &self.pins()).expect("a pack")
    }
}

fn verify(saved: &Saved, file: &[u8]) -> Result<Report, FileError> {
    let pack = saved.open(&saved.pack);
    verify_file(
        file,
        &saved.pins(),
        Some(&pack),
        None,
        Purpose::Operation,
        saved.now,
    )
}

/// Verdict and reasons, or why there is none.
fn outcome(found: Result<Report, FileError>) -> String {
    match found {
        Ok(report) => line(&report.verdict),
        Err(error) => error.to_string(),
    }
}

fn starts(found: String, expected: &str) {
    assert!(found.starts_with(expected), "{found}\nnot {expected}");
}

#[test]
fn online_and_offline_give_the_same_verdict() {
    let mut saved = saved();
    if let Some(known) = &mut saved.input.known {
        known.source = Source::Pack;
        let head = saved.pack.head;
        let own = known.registries.entry(saved.b.prefix).or_default();
        own.head = head;
    }
    let signed = saved.file.issuer.as_ref().and_then(|it| it.taken.clone());
    if let Some(issuer) = &mut saved.input.issuer {
        let word = signed.and_then(|signed| TakenHead::verify(&pinned(&saved.b), &signed));
        assert!(word.is_some(), "signed by the own log key");
        issuer.taken = word;
    }
    let pack = saved.open(&saved.pack);
    for purpose in Purpose::ALL {
        for later in [0, 7_200_000, 3 * 86_400_000] {
            let now = TimeMs(saved.now.0 + later);
            let file = saved.file.to_file();
            let about = Some(&saved.file.code);
            let offline = verify_file(&file, &saved.pins(), Some(&pack), about, *purpose, now);
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
        "ok   bundle of 86: sequence 1, as pinned",
        "ok   robot in 86: it is the newest, status Departed",
        "ok   robot in 49: it is the newest, status InForce",
        "ok   verdict VALID for Operation",
    ] {
        assert!(
            steps.iter().any(|step| step == expected),
            "{expected}\n{steps:#?}"
        );
    }
    assert!(
        steps.iter().any(|step| step.starts_with("ok   pack of 49")),
        "{steps:#?}"
    );
}

#[test]
fn no_byte_of_a_file_can_be_flipped() {
    let saved = saved();
    let file = saved.file.to_file();
    assert_eq!(outcome(verify(&saved, &file)), "VALID");
    let (pins, pack) = (saved.pins(), saved.open(&saved.pack));
    let mut bytes = file.clone();
    for at in 0..file.len() {
        bytes[at] ^= 1 << (at % 8);
        let (purpose, now) = (Purpose::Operation, saved.now);
        match verify_file(&bytes, &pins, Some(&pack), None, purpose, now) {
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
    let read = |bytes: &[u8]| EvidenceFile::read(bytes);
    for length in 0..file.len() {
        let found = read(&file[..length]);
        assert!(matches!(found, Err(FileError::Frame(_))), "{length} bytes");
    }
    let longer = [&file[..], &[0]].concat();
    assert!(matches!(read(&longer), Err(FileError::Frame(_))));
}

/// A forger who makes the digest of the file anew is caught by signature or proof.
#[test]
fn no_byte_of_the_evidence_can_be_flipped() {
    let Saved { input, now, .. } = saved();
    // What joins it to an older head is looked at only when it is larger.
    let mut input = crate::cases::with_issuer(&input, |evidence| evidence.frame.joined = None);
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
    starts(
        evidence(&|e| e.frame.checkpoint = e.frame.checkpoint.replace("\n\n", "A\n\n")),
        "INVALID | EVIDENCE_BROKEN: 86: checkpoint: ",
    );
    starts(
        evidence(&|e| e.frame.map_head.leaf.0[60] ^= 1),
        "INVALID | EVIDENCE_BROKEN: 86: map_head: ",
    );
    starts(
        evidence(&|e| e.frame.origin.prefix = saved.b.prefix),
        "INVALID | EVIDENCE_BROKEN: 86: origin: ",
    );
    // Whoever adds a bundle that nobody signed proves nothing against a robot.
    for found in [
        forged(&|file| {
            let bundle = file.custodians[0].bundle.as_mut().expect("a bundle");
            bundle.signatures[0].signature.0[0] ^= 1;
        }),
        forged(&|file| file.custodians[0].registry = saved.a.prefix),
    ] {
        assert!(found.starts_with("INDETERMINATE | "), "{found}");
        assert!(found.contains("BAD_SIGNATURE: bundle: "), "{found}");
    }
    starts(
        forged(&|file| file.version = 7),
        "the file has version 7, known is 3",
    );
}

#[test]
fn a_file_cannot_say_for_whom_it_is_judged() {
    let saved = saved();
    let mut file = saved.file.clone();
    // Whoever pretends to be the issuer's own country needs no clause; the verifier knows better.
    file.verifier = saved.a.prefix;
    let mut pack = saved.pack.clone();
    pack.peers[0].agreements.clear();
    let (pins, pack) = (saved.pins(), saved.open(&pack));
    let (purpose, now) = (Purpose::Operation, saved.now);
    let found = verify_file(&file.to_file(), &pins, Some(&pack), None, purpose, now);
    starts(outcome(found), "INDETERMINATE | NO_AGREEMENT");
}

#[test]
fn a_file_about_another_robot_is_refused() {
    let saved = saved();
    let other: Code = saved.a.code(2);
    let found = verify_file(
        &saved.file.to_file(),
        &saved.pins(),
        None,
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

/// A file without the pack of the own country is never VALID: whoever bears it left out what speaks against the robot.
#[test]
fn pins_and_evidence_alone_are_not_enough() {
    let saved = saved();
    let file = saved.file.to_file();
    for purpose in Purpose::ALL {
        let found = verify_file(&file, &saved.pins(), None, None, *purpose, saved.now);
        let verdict = found.expect("a file that can be read").verdict;
        let codes: Vec<_> = verdict.reasons.iter().map(|reason| reason.code).collect();
        assert!(codes.contains(&ReasonCode::NoPack), "{verdict}");
        assert_eq!(verdict.value, Value::Indeterminate, "{verdict}");
    }
}

/// What the pack knows and a bearer does not say.
fn packs(saved: &Saved) -> Vec<(&'static str, Pack, Purpose, &'static str)> {
    let mut out = Vec::new();
    let mut push = |name, purpose, expected, change: &dyn Fn(&mut Pack)| {
        let mut pack = saved.pack.clone();
        change(&mut pack);
        out.push((name, pack, purpose, expected));
    };
    let (import, operation) = (Purpose::ImportPermit, Purpose::Operation);
    push(
        "suspended",
        import,
        "INDETERMINATE | NO_AGREEMENT",
        &|pack| {
            let peer = &mut pack.peers[0];
            peer.suspended = vec![suspension(&peer.agreements[0])];
        },
    );
    push(
        "a later version without a clause",
        operation,
        "INDETERMINATE | NO_CLAUSE",
        &|pack| {
            let agreements = &mut pack.peers[0].agreements;
            let mut newer = agreements[0].clone();
            newer.version += 1;
            newer.clauses.clear();
            agreements.push(newer);
        },
    );
    push(
        "quarantined",
        operation,
        "INDETERMINATE | PEER_QUARANTINED",
        &|pack| pack.peers[0].doubt = Some(Doubt::Fork),
    );
    push(
        "restored",
        operation,
        "INDETERMINATE | ROLLED_BACK",
        &|pack| pack.peers[0].doubt = Some(Doubt::RolledBack),
    );
    let ended = KnownRobot {
        ended: Some(Ending {
            code: saved.file.code,
            state: State::Scrapped,
            by: saved.a.prefix,
        }),
        ..KnownRobot::default()
    };
    let key = Subject::robot(&saved.file.code).key();
    push("ended", operation, "INVALID | FINAL_STATE", &|pack| {
        pack.robots = vec![(key, ended.clone())];
    });
    let held = KnownRobot {
        holds: vec![crate::cases::stolen(saved.b.prefix)],
        ..KnownRobot::default()
    };
    push("stolen", operation, "INVALID | BLOCKING_HOLD", &|pack| {
        pack.robots = vec![(key, held.clone())];
    });
    push("old", operation, "STALE | TOO_OLD", &|pack| {
        pack.at = TimeMs(pack.at.0 - DurationMs::from_days(2).0);
    });
    push("not whole", operation, "INDETERMINATE | NO_PACK", &|pack| {
        pack.whole = false
    });
    push(
        "the peer is none any more",
        operation,
        "INDETERMINATE | NO_AGREEMENT",
        &|pack| pack.peers.clear(),
    );
    push("detained", operation, "INVALID | DETAINED", &|pack| {
        let detained = KnownRobot {
            detained: Some(Reason::DisclosureDiffers),
            ..KnownRobot::default()
        };
        pack.robots = vec![(key, detained)];
    });
    let others = |pack: &mut Pack, key: Digest| {
        let mut keys = Keys::salted(pack.salt());
        keys.add(&key);
        pack.robots.clear();
        pack.others = keys.pack(SIEVE_BYTES_MAX);
    };
    push(
        "something without a row",
        operation,
        "INDETERMINATE | NO_PACK",
        &|pack| others(pack, key),
    );
    let model = saved.file.code.model_id();
    for (name, key) in [
        ("a model without room", key_of_model(&model)),
        ("a maker without room", key_of_maker(&model.enterprise_id())),
    ] {
        push(name, operation, "INDETERMINATE | NO_PACK", &|pack| {
            others(pack, key)
        });
    }
    push(
        "a peer without room",
        operation,
        "INDETERMINATE | NO_PACK",
        &|pack| pack.lacking = vec![saved.a.prefix],
    );
    out
}

#[test]
fn what_the_pack_knows_counts_whatever_the_bearer_says() {
    let saved = saved();
    let file = saved.file.to_file();
    for (name, pack, purpose, expected) in packs(&saved) {
        let pack = saved.open(&pack);
        let found = verify_file(&file, &saved.pins(), Some(&pack), None, purpose, saved.now);
        let found = outcome(found);
        let (value, reason) = expected.split_once(" | ").expect("value and reason");
        assert!(found.starts_with(value), "{name}: {found}");
        assert!(found.contains(reason), "{name}: {found}");
    }
}

/// The file of a robot of `own` at home, and what is verified with it later: the pack that `own` makes then, changed.
struct OwnFile {
    own: Country,
    code: Code,
    file: Vec<u8>,
}

impl OwnFile {
    fn of(mut own: Country, code: Code) -> Self {
        let input = at_home(&mut own, code);
        let issuer = party(&own, input.issuer.and_then(|issuer| issuer.evidence));
        let file = EvidenceFile {
            version: FILE_VERSION,
            verifier: own.prefix,
            code,
            saved_at: own.clock,
            issuer: Some(issuer),
            custodians: Vec::new(),
        };
        Self {
            own,
            code,
            file: file.to_file(),
        }
    }

    /// What the file is worth by the pack made after `then`.
    fn after(
        &self,
        then: &dyn Fn(&mut Country, Code),
        change: &dyn Fn(&mut Pack),
        purpose: Purpose,
    ) -> String {
        let mut own = self.own.clone();
        // Something is always written, of others too.
        own.must("maker", own.register(77));
        then(&mut own, self.code);
        own.close();
        let mut pack = pack_of(&own, &[]);
        change(&mut pack);
        let pins = pins(&own, &[&own]);
        let pack = OpenedPack::open(&signed_pack(&pack, &own.key("log")), &pins).expect("a pack");
        let now = soon(&[&own]);
        outcome(verify_file(
            &self.file,
            &pins,
            Some(&pack),
            None,
            purpose,
            now,
        ))
    }
}

fn own_file() -> OwnFile {
    let (a, _) = two();
    let code = a.code(1);
    OwnFile::of(a, code)
}

/// The file of this morning is judged by the pack of noon, which names what was recorded in between.
#[test]
fn own_evidence_from_before_the_pack_is_judged_by_what_the_pack_names() {
    let file = own_file();
    let purpose = Purpose::SecondHandPurchase;
    let after = |then: &dyn Fn(&mut Country, Code)| file.after(then, &|_| {}, purpose);
    assert_eq!(after(&|_, _| {}), "VALID", "nothing was recorded of it");
    starts(
        after(&|own, code| hold(own, "regulator", code, HoldKind::Theft)),
        "INVALID | BLOCKING_HOLD: 86 recorded Theft",
    );
    starts(
        after(&|own, code| scrap(own, code)),
        "INVALID | FINAL_STATE",
    );
    let declared = |pack: &mut Pack| {
        let mut hold = crate::cases::stolen(pack.registry);
        hold.kind = HoldKind::EndOfLifePending;
        let row = KnownRobot {
            holds: vec![hold],
            ..KnownRobot::default()
        };
        pack.robots = vec![(Subject::robot(&file.code).key(), row)];
    };
    starts(
        file.after(&|_, _| {}, &declared, purpose),
        "INVALID | BLOCKING_HOLD: 86 recorded EndOfLifePending",
    );
    starts(
        after(&|own, _| {
            own.must(
                "regulator",
                Command::SetModelStatus {
                    id: own.model("0001", "100002"),
                    status: carnet_domain::record::ApprovalStatus::Withdrawn,
                    reason: "test".into(),
                },
            );
        }),
        "INVALID | APPROVAL_WITHDRAWN",
    );
    // A recall since: whether a part was fitted since that it names, the file does not show.
    let lot = carnet_domain::record::Predicate {
        part_lot: "LOT-OF-NONE".into(),
        ..carnet_domain::record::Predicate::all()
    };
    let notice = recall("R-1", carnet_domain::record::Severity::StopUse, lot);
    starts(
        after(&|own, _| open_recall(own, notice.clone())),
        "STALE | OLDER_HEAD: ",
    );
    // One of before, which the file names with the model and which the robot does not owe, is none since.
    let (mut a, _) = two();
    let code = a.code(1);
    open_recall(&mut a, notice.clone());
    let before = OwnFile::of(a, code);
    assert_eq!(before.after(&|_, _| {}, &|_| {}, purpose), "VALID");
    // It left the country, or was retired: what the file says of it is not so any more.
    let (mut a, mut b) = two();
    let code = a.code(1);
    let left = OwnFile::of(a.clone(), code);
    export(&mut a, &mut b, code, 1);
    let found = left.after(&|own, _| *own = a.clone(), &|_| {}, Purpose::Operation);
    starts(found, "STALE | OLDER_HEAD: ");
}

/// Where there are too many robots for a row each, one of the set is not judged by older evidence; the others are.
#[test]
fn a_robot_without_a_row_is_found_in_the_set() {
    let file = own_file();
    let stolen = |own: &mut Country, code: Code| hold(own, "regulator", code, HoldKind::Theft);
    let robot = Subject::robot(&file.code).key();
    for key in [robot, key_of_record(&robot)] {
        let full = |pack: &mut Pack| {
            let mut keys = Keys::salted(pack.salt());
            keys.add(&key);
            pack.robots.clear();
            pack.others = keys.pack(SIEVE_BYTES_MAX);
        };
        let found = file.after(&stolen, &full, Purpose::Operation);
        starts(found, "STALE | OLDER_HEAD: ");
    }
    let others = |pack: &mut Pack| {
        let mut keys = Keys::salted(pack.salt());
        (0..100_000_u32)
            .for_each(|n| keys.add(&carnet_domain::bytes::digest::sha256(&[&n.to_be_bytes()])));
        pack.others = keys.pack(SIEVE_BYTES_MAX);
        let set = pack
            .others
            .as_ref()
            .map(|others| Sieve::open(pack.salt(), others));
        assert!(set.expect("packed").expect("opened").one_in() > 100_000);
    };
    let found = file.after(&|_, _| {}, &others, Purpose::Operation);
    assert_eq!(found, "VALID");
}

/// Of an own code the set says no less than the rows: what the evidence does not show for it, is asked online.
#[test]
fn what_no_evidence_shows_of_an_own_robot_is_not_lost_with_its_row() {
    let (mut clear, _) = two();
    let code = clear.code(1);
    let mut held = clear.clone();
    hold(&mut held, "regulator", code, HoldKind::SaleLock);
    let robot = Subject::robot(&code).key();
    let mut said = Vec::new();
    for (what, own) in [("clear", &mut clear), ("held", &mut held)] {
        let file = OwnFile::of(own.clone(), code);
        own.close();
        for against in [
            Against::Blocked,
            Against::Guest,
            Against::Ended,
            Against::Apart { epoch: 0 },
            Against::Unshown,
        ] {
            let mut pack = pack_of(own, &[]);
            let mut keys = Keys::salted(pack.salt());
            keys_of(&robot, against)
                .iter()
                .for_each(|key| keys.add(key));
            pack.robots.clear();
            pack.others = keys.pack(SIEVE_BYTES_MAX);
            let pins = pins(own, &[own]);
            let pack = OpenedPack::open(&signed_pack(&pack, &own.key("log")), &pins);
            let (pack, now) = (pack.expect("a pack"), soon(&[own]));
            let found = verify_file(
                &file.file,
                &pins,
                Some(&pack),
                None,
                Purpose::Operation,
                now,
            );
            let value = found.expect("a file that can be read").verdict.value;
            said.push(format!("{what} {against:?} {value}"));
        }
    }
    assert_eq!(
        said,
        [
            "clear Blocked INDETERMINATE",
            "clear Guest INDETERMINATE",
            "clear Ended INDETERMINATE",
            "clear Apart { epoch: 0 } VALID",
            "clear Unshown INDETERMINATE",
            "held Blocked VALID",
            "held Guest INDETERMINATE",
            "held Ended VALID",
            "held Apart { epoch: 0 } VALID",
            "held Unshown INDETERMINATE",
        ]
    );
}

/// An offer and its cancel spend an epoch: seventeen of them hid the step by which a robot went from a desk with a full pack.
#[test]
fn a_later_step_is_found_however_many_epochs_were_spent_before_it() {
    let (a, _) = two();
    let code = a.code(1);
    let robot = Subject::robot(&code).key();
    let moved_at = |epoch: u64| {
        let mut keys = Keys::salted(7);
        keys_of(&robot, Against::Apart { epoch })
            .iter()
            .for_each(|key| keys.add(key));
        let packed = keys.pack(SIEVE_BYTES_MAX).expect("few");
        let mut known = Known::nothing(Source::Pack, TimeMs(1));
        known.others = Some(Sieve::open(7, &packed).expect("a set"));
        known
    };
    for shown in [0, 3, 15, 1_000, 70_001] {
        for more in [1, 15, 16, 17, 34, 255, 256, 300, 4_095, 5_000, 60_000] {
            let known = moved_at(shown + more);
            let found = known.later_epoch(&code, shown);
            assert_eq!(found, Some(Later::Perhaps), "{shown} and {more}");
        }
        // What is shown as of that step, or of a later one, is no older word.
        let known = moved_at(shown);
        for later in [0, 1, 16, 5_000] {
            assert_eq!(known.later_epoch(&code, shown + later), None);
        }
    }
}

/// Of another registry only a head counts that our own is known to have taken in: the one in the pack, or one of which it says so.
#[test]
fn a_peers_head_counts_when_our_own_country_took_it_in() {
    let saved = saved();
    let file = |change: &dyn Fn(&mut FileParty)| {
        let mut file = saved.file.clone();
        file.issuer.iter_mut().for_each(change);
        file.to_file()
    };
    let with_head = |size: Option<u64>| {
        let mut pack = saved.pack.clone();
        if let (Some(size), Some(head)) = (size, pack.peers[0].head.as_mut()) {
            head.size = size;
            head.root = nothing();
        }
        pack
    };
    let says = |pack: &Pack, file: &[u8]| {
        let pack = saved.open(pack);
        let (purpose, now) = (Purpose::Operation, saved.now);
        outcome(verify_file(
            file,
            &saved.pins(),
            Some(&pack),
            None,
            purpose,
            now,
        ))
    };
    let silent = file(&|issuer| issuer.taken = None);
    let whole = saved.file.to_file();
    for (size, without) in [
        (1 << 20, "STALE | OLDER_HEAD: "),
        (2, "INDETERMINATE | HEAD_NOT_JOINED: "),
    ] {
        let pack = with_head(Some(size));
        assert_eq!(says(&pack, &whole), "VALID", "{size}");
        starts(says(&pack, &silent), without);
        // Another's word, or our word about another head, is none.
        let theirs = file(&|issuer| {
            let key = saved.a.key("log");
            let word = issuer.taken.as_mut().expect("our word");
            word.signatures = vec![signed_by(&key, &word.taking.message())];
        });
        let another = file(&|issuer| {
            let key = saved.b.key("log");
            let word = issuer.taken.as_mut().expect("our word");
            word.taking.root = nothing();
            word.signatures = vec![signed_by(&key, &word.taking.message())];
        });
        let later_life = file(&|issuer| {
            let key = saved.b.key("log");
            let word = issuer.taken.as_mut().expect("our word");
            word.taking.incarnation = 1;
            word.signatures = vec![signed_by(&key, &word.taking.message())];
        });
        for lie in [theirs, another, later_life] {
            starts(says(&pack, &lie), without);
        }
    }
    // Of two roots of one size, our word for one does not make the other good.
    let mut pack = saved.pack.clone();
    let size = Evidence::from_bytes(
        &saved
            .file
            .issuer
            .as_ref()
            .and_then(|i| i.evidence.clone())
            .expect("evidence")
            .0,
    )
    .expect("canonical")
    .frame
    .map_head
    .index
        + 1;
    pack.peers[0].head = Some(KnownHead {
        size,
        root: nothing(),
        time: saved.now,
    });
    starts(says(&pack, &whole), "INDETERMINATE | OTHER_HISTORY: ");
}

/// What only extends the head that is known, is not taken in: two histories may both do so.
#[test]
fn only_the_head_that_is_known_is_said_to_be_taken_in() {
    let (mut a, b) = two();
    let code = a.code(1);
    // Its mail told one head; both histories go on from there, as they like.
    done(&a.deliver(&mut b.clone()));
    let Ok(Some(peer)) = carnet_domain::record::ledger::Ledger::peer(&b.ledger, &a.prefix) else {
        unreachable!("they are peers");
    };
    let known = KnownHead {
        size: peer.size_seen,
        root: peer.root_seen,
        time: b.clock,
    };
    let (mut true_one, mut other) = (a.clone(), a.clone());
    hold(&mut true_one, "regulator", code, HoldKind::Theft);
    other.must("maker", other.register(2));
    for history in [&mut true_one, &mut other] {
        let slots = carnet_trust::evidence::SLOTS_FOR_AUTHORITIES;
        let evidence = evidence_to(&b, history, code, slots);
        let keys = history.registry().keys;
        let proven = evidence.verify(&keys, &origin(history));
        let proven = proven.expect("it holds");
        let order = proven.against(known.size, &known.root, known.time);
        assert_eq!(order, HeadOrder::Extends);
        let said = |known: &KnownHead| Taking::of(b.prefix, 0, (1, b.clock), &proven, known);
        assert_eq!(said(&known), None);
        let same = KnownHead {
            size: proven.size(),
            root: *proven.checkpoint().root(),
            time: b.clock,
        };
        assert!(said(&same).is_some());
    }
}

/// The own bundle says which key signs the pack: one that ended is as old as that of any other country.
#[test]
fn an_own_bundle_that_ended_makes_every_verdict_stale() {
    let saved = saved();
    let mut bundle = saved.b.bundle_of(2);
    bundle.valid_to = TimeMs(saved.now.0 - 1);
    let own = Pin::of_bundle(&signed(&saved.b, &bundle)).expect("signed by its roots");
    let pins = Pins::new(saved.b.prefix, vec![pin(&saved.a), own], OWN_AGE_MAX).expect("pins");
    let pack = OpenedPack::open(&signed_pack(&saved.pack, &saved.b.key("log")), &pins);
    let pack = pack.expect("a pack");
    // Also of a robot of which the own country shows nothing.
    let mut file = saved.file.clone();
    file.custodians.clear();
    for (file, purpose) in [
        (&saved.file, Purpose::Operation),
        (&file, Purpose::ImportPermit),
    ] {
        let found = verify_file(
            &file.to_file(),
            &pins,
            Some(&pack),
            None,
            purpose,
            saved.now,
        );
        let found = outcome(found);
        assert!(!found.starts_with("VALID"), "{found}");
        assert!(
            found.contains("TOO_OLD: the bundle of 49 was valid until"),
            "{found}"
        );
    }
}

/// A recall that the file names and that was amended since counts as the pack has it, whichever of its words was changed.
#[test]
fn a_recall_that_was_amended_since_counts_as_amended() {
    use carnet_domain::record::{Predicate, Severity};
    let (mut a, mut b) = two();
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    // Each word of a predicate, so that this robot is not meant; and one that is only for information.
    let (before, after) = (a.code(0).serial(), a.code(2).serial());
    let changes: [&dyn Fn(&mut Predicate); 7] = [
        &|not| not.serial_from = Some(after),
        &|not| not.serial_to = Some(before),
        &|not| not.build_from = 11,
        &|not| not.build_to = 9,
        &|not| not.made_from = TimeMs::MAX,
        &|not| not.made_to = TimeMs(0),
        &|not| not.part_lot = "LOT-OF-NONE".into(),
    ];
    let mut first = vec![recall("R-0", Severity::Advisory, Predicate::all())];
    for (at, change) in changes.iter().enumerate() {
        let mut predicate = Predicate::all();
        change(&mut predicate);
        first.push(recall(&format!("N-{at}"), Severity::StopUse, predicate));
    }
    for notice in &first {
        open_recall(&mut a, notice.clone());
    }
    done(&a.deliver(&mut b));
    let input = asks(&mut b, &mut a, code);
    let now = soon(&[&a, &b]);
    let says = |amended: Option<&RecallId>| {
        let mut input = input.clone();
        let known = input.known.as_mut().expect("a pack");
        let recalls = known.recalls.iter_mut().map(|recall| &mut recall.notice);
        for notice in recalls.filter(|notice| amended == Some(&notice.id)) {
            *notice = RecallNotice {
                id: notice.id.clone(),
                severity: Severity::StopUse,
                predicate: Predicate::all(),
            };
        }
        line(&judge(Purpose::SecondHandPurchase, &input, now))
    };
    assert_eq!(says(None), "VALID");
    for notice in &first {
        let expected = format!("INVALID | RECALL_OPEN: recall {}, ", notice.id);
        starts(says(Some(&notice.id)), &expected);
    }
}

/// What the own country knows of its models counts beside what older evidence of it shows.
#[test]
fn a_pack_with_a_model_that_fell_is_believed() {
    let file = own_file();
    let fallen = |pack: &mut Pack| {
        pack.makers.push(KnownMaker {
            id: file.code.model_id().enterprise_id(),
            status: carnet_domain::record::EnterpriseStatus::StruckOff,
            successor: EnterpriseId::parse("860003").ok(),
        });
    };
    let found = file.after(&|_, _| {}, &fallen, Purpose::MarketAccess);
    starts(
        found,
        "INVALID | MAKER_NOT_ACTIVE: the maker is StruckOff; 860003 was named to go on for it",
    );
    let fallen = |pack: &mut Pack| {
        pack.models.push(KnownModel {
            id: file.code.model_id(),
            approval: carnet_domain::record::ApprovalStatus::Withdrawn,
        });
    };
    let found = file.after(&|_, _| {}, &fallen, Purpose::MarketAccess);
    starts(found, "INVALID | APPROVAL_WITHDRAWN");
}

/// A hold that the issuer told us stands in our record, and our pack repeats it, whatever older word of his the bearer shows.
#[test]
fn holds_that_a_peer_told_us_count() {
    let mut saved = saved();
    hold(&mut saved.a, "regulator", saved.file.code, HoldKind::Theft);
    done(&saved.a.deliver(&mut saved.b));
    let pack = saved.open(&pack_of(&saved.b, &[&saved.a]));
    let key = Subject::robot(&saved.file.code).key();
    let holds = pack.known().robots[&key].holds.iter();
    let holds: Vec<_> = holds.map(|hold| (hold.kind, hold.setter.prefix)).collect();
    assert_eq!(holds, [(HoldKind::Theft, saved.a.prefix)]);
    let (operation, now) = (Purpose::Operation, saved.now);
    let file = saved.file.to_file();
    let found = verify_file(&file, &saved.pins(), Some(&pack), None, operation, now);
    // Who set it is named, not who shows it: that is whom to call.
    let expected = "INVALID | BLOCKING_HOLD: 49 recorded Theft, set by regulator office";
    let found = outcome(found);
    assert!(
        found.starts_with(expected) && found.contains(" at 86, since "),
        "{found}"
    );
}

#[test]
fn a_pack_is_opened_only_under_the_own_log_key() {
    let saved = saved();
    let (pins, bytes) = (saved.pins(), signed_pack(&saved.pack, &saved.b.key("log")));
    let text = |bytes: &[u8], pins: &Pins| match OpenedPack::open(bytes, pins) {
        Ok(pack) => format!("of {}", pack.known().at),
        Err(error) => error.to_string(),
    };
    assert!(text(&bytes, &pins).starts_with("of 2026"), "opened");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(OpenedPack::open(&changed, &pins).is_err(), "byte {at}");
        assert!(OpenedPack::open(&bytes[..at], &pins).is_err(), "{at} bytes");
    }
    // The peer's log key, and a pack of the peer, whose word about itself would be the only one.
    let other = signed_pack(&saved.pack, &saved.a.key("log"));
    assert_eq!(
        text(&other, &pins),
        "the pack is not signed by the log key in the pinned bundle of 49"
    );
    let theirs = Pack {
        registry: saved.a.prefix,
        ..saved.pack.clone()
    };
    assert_eq!(
        text(&signed_pack(&theirs, &saved.a.key("log")), &pins),
        "the pack is of 86, the verifier's own country is 49"
    );
    let bundle = saved.b.bundle_of(1);
    let by_roots = Pin::of_roots(saved.b.prefix, bundle.roots, 2).expect("roots");
    let by_roots = Pins::new(saved.b.prefix, vec![by_roots], OWN_AGE_MAX).expect("pins");
    assert!(matches!(
        OpenedPack::open(&bytes, &by_roots),
        Err(PackError::NoLogKey(_))
    ));
    // A peer that speaks for the verifier's own prefix is not believed; the others are.
    let mut greedy = saved.pack.clone();
    let mut bundle = saved.a.bundle_of(2);
    bundle.prefixes.push(saved.b.prefix);
    greedy.peers[0].bundle = signed(&saved.a, &bundle);
    let found = OpenedPack::open(&signed_pack(&greedy, &saved.b.key("log")), &pins);
    let found = found.expect("opened");
    assert!(matches!(
        found.unfollowed(&saved.a.prefix),
        Some(Unfollowed::Prefix(PinError::Overlap { .. }))
    ));
    assert!(found.bundle(&saved.a.prefix).is_none());
}

/// A country replaces its roots, and later renews its bundle by the new ones alone: whoever pinned the old ones follows what the own
/// country recognised. Who cannot follow has no verdict on that country's robots, and all on others.
#[test]
fn roots_that_were_replaced_are_followed_by_the_pack() {
    let saved = saved();
    let old = saved.a.bundle_of(1);
    let roots = |seed: u8| [1_u8, 2, 3].map(|one| SecretKey::from_seed(&[seed + one; 32]));
    let bundle = |sequence: u64, keys: &[SecretKey; 3]| Bundle {
        roots: keys.iter().map(SecretKey::public).collect(),
        ..saved.a.bundle_of(sequence)
    };
    let by = |bundle: &Bundle, keys: &[SecretKey]| {
        let bytes = bundle.to_bytes();
        let sign = |key: &SecretKey| RootSignature {
            root: key.public(),
            signature: key.sign(&root_signing_bytes(&bytes)),
        };
        Signed {
            signatures: keys.iter().map(sign).collect(),
            bytes: Blob(bytes),
        }
    };
    let (second, third) = (roots(40), roots(50));
    let both = |bundle: &Bundle, before: Option<&[SecretKey; 3]>, after: &[SecretKey; 3]| {
        let mut signed = by(bundle, after);
        match before {
            Some(before) => signed.signatures.extend(by(bundle, before).signatures),
            None => signed
                .signatures
                .extend(saved.a.root_signatures(&bundle.to_bytes())),
        }
        signed
    };
    let steps = vec![
        signed(&saved.a, &old),
        both(&bundle(2, &second), None, &second),
        both(&bundle(4, &third), Some(&second), &third),
    ];
    let newest = by(&bundle(5, &third), &third);
    let pack = |replaced: Vec<Signed>| {
        let mut pack = saved.pack.clone();
        pack.peers[0].bundle = newest.clone();
        pack.peers[0].replaced = replaced;
        signed_pack(&pack, &saved.b.key("log"))
    };
    let pinned = |signed: &Signed| {
        let pin_of = Pin::of_bundle(signed).expect("signed by its roots");
        Pins::new(saved.b.prefix, vec![pin_of, pin(&saved.b)], OWN_AGE_MAX).expect("pins")
    };
    let mut file = saved.file.clone();
    file.issuer.as_mut().expect("an issuer").bundle = Some(newest.clone());
    let says = |pins: &Pins, pack: &[u8]| {
        let pack = OpenedPack::open(pack, pins).expect("the pack of the own country");
        let (purpose, now) = (Purpose::Operation, saved.now);
        let found = verify_file(&file.to_file(), pins, Some(&pack), None, purpose, now);
        let found = found.expect("a file that can be read");
        let borne_out = found.borne_out.contains(&saved.a.prefix);
        (line(&found.verdict), borne_out)
    };
    let whole = pack(steps.clone());
    for at_the_time in [&steps[0], &steps[1], &steps[2], &newest] {
        let found = says(&pinned(at_the_time), &whole);
        assert_eq!(found, ("VALID".to_owned(), true));
    }
    // As its own log states it, where no bundle was signed by both.
    let change = RootsChange {
        cluster: [1; 16],
        number: 1,
        roots: third.iter().map(SecretKey::public).collect(),
        threshold: old.threshold,
        reason: "lost".into(),
    };
    let bytes = Statement::Roots { change }.to_bytes();
    let mut stated = Signed {
        signatures: saved.a.root_signatures(&bytes),
        bytes: Blob(bytes.clone()),
    };
    stated
        .signatures
        .extend(third.iter().map(|key| RootSignature {
            root: key.public(),
            signature: key.sign(&root_signing_bytes(&bytes)),
        }));
    let found = says(
        &pinned(&signed(&saved.a, &old)),
        &pack(vec![steps[0].clone(), stated]),
    );
    assert_eq!(found, ("VALID".to_owned(), true));
    let unknown = "UNKNOWN_REGISTRY: bundle of 86: the roots that are pinned for it do not lead";
    let forger = pinned(&by(&bundle(9, &roots(60)), &roots(60)));
    let first = pinned(&steps[0]);
    let beside = |sequence: u64, of: &Bundle| {
        let own = SecretKey::from_seed(&[77; 32]);
        let mut forged = Bundle {
            sequence,
            threshold: 1,
            ..of.clone()
        };
        forged.roots.push(own.public());
        pinned(&by(&forged, &[own]))
    };
    let fewer = pinned(&by(
        &Bundle {
            threshold: 1,
            ..bundle(5, &third)
        },
        &third[..1],
    ));
    // Out of order, with one left out, or without any: nothing leads there.
    let turned = steps.iter().rev().cloned().collect();
    for (pins, pack) in [
        (&forger, &whole),
        (&first, &pack(turned)),
        (&first, &pack(vec![steps[0].clone(), steps[2].clone()])),
        (&first, &pack(Vec::new())),
        // A forger's roots beside true ones, of which one signs: they are no set that ever was its. Nor are true ones in a set of
        // fewer, or of which fewer sign.
        (&beside(1 << 40, &old), &whole),
        (&beside(0, &old), &whole),
        (&beside(1 << 40, &old), &pack(steps[..1].to_vec())),
        (&fewer, &whole),
        // Roots that were replaced signed on: of a later number than what replaced them.
        (&pinned(&signed(&saved.a, &saved.a.bundle_of(99))), &whole),
    ] {
        let (found, borne_out) = says(pins, pack);
        assert!(found.contains(unknown), "{found}");
        assert!(found.starts_with("INDETERMINATE") && !borne_out, "{found}");
    }
    // A robot of the own country has its verdict by the same pack.
    let own = {
        let mut own = saved.b.clone();
        own.must("maker", own.register(5));
        let code = own.code(5);
        OwnFile::of(own, code)
    };
    let mut pack_then = pack_of(&own.own, &[]);
    pack_then.peers = vec![PackPeer {
        bundle: newest.clone(),
        ..saved.pack.peers[0].clone()
    }];
    let opened = OpenedPack::open(&signed_pack(&pack_then, &own.own.key("log")), &first);
    let opened = opened.expect("a pack");
    assert!(opened.unfollowed(&saved.a.prefix).is_some());
    let (purpose, now) = (Purpose::MarketAccess, soon(&[&own.own]));
    let found = verify_file(&own.file, &first, Some(&opened), None, purpose, now);
    assert_eq!(outcome(found), "VALID");
    // Without a pack it is not known whose the new roots are: nothing against the robot.
    let found = verify_file(&file.to_file(), &first, None, None, purpose, saved.now);
    let found = outcome(found);
    assert!(found.starts_with("INDETERMINATE"), "{found}");
    assert!(
        found.contains("BAD_SIGNATURE: bundle: fewer than"),
        "{found}"
    );
}

#[test]
fn pins_are_one_set_without_contradiction() {
    let (a, b, c) = (
        Country::with_market("86"),
        Country::with_market("49"),
        Country::with_market("81"),
    );
    let claims = |country: &Country, also: Prefix| {
        let mut bundle = country.bundle_of(1);
        bundle.prefixes.push(also);
        Pin::of_bundle(&signed(country, &bundle)).expect("signed by its roots")
    };
    let text = |own: &Country, pins: Vec<Pin>| match Pins::new(own.prefix, pins, OWN_AGE_MAX) {
        Ok(_) => "pinned".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(text(&b, vec![pin(&a), pin(&b)]), "pinned");
    assert_eq!(
        text(&b, vec![pin(&a), pin(&a), pin(&b)]),
        "86 is pinned twice; pin its newest bundle only"
    );
    for order in [
        vec![pin(&a), claims(&c, a.prefix), pin(&b)],
        vec![claims(&c, a.prefix), pin(&a), pin(&b)],
    ] {
        starts(text(&b, order), "8");
    }
    assert_eq!(
        text(&b, vec![pin(&b), claims(&c, b.prefix)]),
        "49 and 81 both claim prefix 49"
    );
    assert_eq!(
        text(&b, vec![pin(&a)]),
        "49, the verifier's own country, is not pinned"
    );
    let roots = a.bundle_of(1).roots;
    for threshold in [0, 4] {
        let found = Pin::of_roots(a.prefix, roots.clone(), threshold);
        assert!(matches!(found, Err(PinError::Threshold { .. })));
    }
    // Signed by others than the roots that it names.
    let stolen = signed(&b, &a.bundle_of(1));
    assert!(matches!(Pin::of_bundle(&stolen), Err(PinError::Bundle(_))));
}

/// The six ways that ended in VALID and must not, as far as a file goes them.
fn lies() -> Vec<(&'static str, String, ReasonCode)> {
    let mut out = Vec::new();
    let mut push = |name, code, found: Result<Report, FileError>| {
        out.push((name, outcome(found), code));
    };
    // 49 and 86 are peers of 81; the robot is of 86, which stayed silent or scrapped it long ago.
    let mut a = Country::with_market("86");
    let mut hostile = Country::with_market("49");
    let mut own = Country::with_market("81");
    befriend(&mut a, &mut own);
    befriend(&mut hostile, &mut own);
    a.must("maker", a.register(1));
    let code = a.code(1);
    let like = evidence(&mut a, code);
    done(&a.deliver(&mut own));
    done(&hostile.deliver(&mut own));
    let ours = {
        own.close();
        let pack = pack_of(&own, &[&a, &hostile]);
        signed_pack(&pack, &own.key("log"))
    };
    let now = soon(&[&a, &own, &hostile]);
    let all = pins(&own, &[&own, &a, &hostile]);
    let pack = OpenedPack::open(&ours, &all).expect("our pack");
    let file = |issuer: FileParty| {
        EvidenceFile {
            version: FILE_VERSION,
            verifier: own.prefix,
            code,
            saved_at: now,
            issuer: Some(issuer),
            custodians: Vec::new(),
        }
        .to_file()
    };
    let import = Purpose::ImportPermit;
    let honest = file(party(&a, Some(like.to_bytes())));
    let found = verify_file(&honest, &all, Some(&pack), None, import, now);
    assert_eq!(outcome(found), "VALID", "the honest file");

    for (name, prefix) in [
        ("a country claims another's prefix", a.prefix),
        ("a country claims the verifier's own prefix", own.prefix),
    ] {
        let mut bundle = hostile.bundle_of(7);
        bundle.prefixes.push(prefix);
        let lie = forged(&hostile, &hostile.key("log"), &like, now);
        let issuer = FileParty {
            registry: hostile.prefix,
            bundle: Some(signed(&hostile, &bundle)),
            evidence: Some(Blob(lie.to_bytes())),
            taken: None,
        };
        let found = verify_file(&file(issuer), &all, Some(&pack), None, import, now);
        push(name, ReasonCode::PrefixClaimed, found);
    }

    // 86 rotated its log key; the old one was stolen.
    let mut later = a.clone();
    later.rotate_log("log", "log-2");
    let rotated = later.bundle_of(2);
    let newer = Pin::of_bundle(&signed(&a, &rotated)).expect("signed by its roots");
    let newer = Pins::new(own.prefix, vec![pin(&own), newer], OWN_AGE_MAX).expect("pins");
    let lie = forged(&a, &a.key("log"), &like, now);
    let stolen = file(party(&a, Some(lie.to_bytes())));
    let found = verify_file(&stolen, &newer, Some(&pack), None, import, now);
    push(
        "a log key after its rotation",
        ReasonCode::Superseded,
        found,
    );
    // Before the rotation is known, a log that the stolen key makes now is not the one that was taken in.
    let found = verify_file(&stolen, &all, Some(&pack), None, import, now);
    push("a stolen log key", ReasonCode::RolledBack, found);
    // No pack at all: what was left out is not missed.
    let found = verify_file(&stolen, &all, None, None, import, now);
    push("a stolen log key, no pack", ReasonCode::NoPack, found);
    out
}

#[test]
fn no_lie_in_a_file_is_valid() {
    for (name, found, code) in lies() {
        assert!(found.contains(&code.to_string()), "{name}: {found}");
        assert!(!found.starts_with("VALID"), "{name}: {found}");
    }
}

/// The reasons that the situations here reach.
pub(crate) fn reached() -> BTreeSet<ReasonCode> {
    lies().into_iter().map(|(_, _, code)| code).collect()
}

/// Repeated signatures and long lists cost no more than they are allowed to be long: the file is not read at all.
#[test]
fn lists_in_a_file_are_bounded() {
    let saved = saved();
    let mut file = saved.file.clone();
    let bundle = file.custodians[0].bundle.as_mut().expect("a bundle");
    let one = bundle.signatures[0].clone();
    bundle.signatures = vec![one; 10_000];
    assert!(matches!(
        EvidenceFile::read(&file.to_file()),
        Err(FileError::Content(_))
    ));
    let mut file = saved.file.clone();
    while file.custodians.len() <= carnet_trust::offline::FILE_CUSTODIANS_MAX {
        file.custodians.push(saved.file.custodians[0].clone());
    }
    assert!(matches!(
        EvidenceFile::read(&file.to_file()),
        Err(FileError::Content(_))
    ));
    let long = vec![0; carnet_trust::offline::FILE_BYTES_MAX + 1];
    assert!(matches!(
        EvidenceFile::read(&long),
        Err(FileError::TooLong(_))
    ));
    let long = vec![0; carnet_trust::pack::PACK_BYTES_MAX + 1];
    let found = OpenedPack::open(&long, &saved.pins());
    assert!(matches!(found, Err(PackError::TooLong(_))));
    let mut pack = saved.pack.clone();
    pack.robots = vec![(nothing(), KnownRobot::default()); carnet_trust::pack::PACK_ROBOTS_MAX + 1];
    let found = OpenedPack::open(&signed_pack(&pack, &saved.b.key("log")), &saved.pins());
    assert!(matches!(found, Err(PackError::Decode(_))), "robots");
    let mut pack = saved.pack.clone();
    let recall = carnet_trust::known::KnownRecall {
        notice: recall(
            "R-1",
            carnet_domain::record::Severity::Remedy,
            carnet_domain::record::Predicate::all(),
        ),
        models: Vec::new(),
    };
    pack.recalls = vec![recall; carnet_trust::pack::PACK_RECALLS_MAX + 1];
    let found = OpenedPack::open(&signed_pack(&pack, &saved.b.key("log")), &saved.pins());
    assert!(matches!(found, Err(PackError::Decode(_))), "recalls");
}

/// Whoever saves a file for a place without a network learns there and then whether it is good with a later pack.
#[test]
fn a_file_says_whose_heads_were_not_taken_in() {
    let mut file = saved().file;
    assert_eq!(file.not_taken_in(), [], "our own need nobody's word");
    let issuer = file.issuer.as_mut().expect("an issuer");
    issuer.taken = None;
    let of = issuer.registry;
    assert_eq!(file.not_taken_in(), [of]);
    file.issuer.as_mut().expect("an issuer").evidence = None;
    assert_eq!(file.not_taken_in(), [], "who shows nothing has no head");
}

/// A robot that was admitted for a time after the pack was made: on what ground it is here stands in no evidence.
#[test]
fn a_guest_that_came_after_the_pack_is_not_sold() {
    use carnet_domain::rules::command::Purpose as Why;
    let (mut a, mut b) = two();
    let code = a.code(1);
    // Something of 86 is known before.
    done(&a.deliver(&mut b));
    b.close();
    let old = pack_of(&b, &[&a]);
    let size = old.head.expect("a head").size;
    let declare = match a.declare(1, carnet_kit::transfer(1), &b.prefix) {
        Command::DeclareExport {
            code,
            transfer,
            to,
            offer_until,
            agreement,
            papers,
            ..
        } => Command::DeclareExport {
            code,
            transfer,
            to,
            purpose: Why::Exhibition,
            offer_until,
            agreement,
            papers,
        },
        other => other,
    };
    b.advance(DurationMs::from_secs(3_600));
    a.advance(DurationMs::from_secs(3_600));
    a.must("customs", declare);
    done(&a.deliver(&mut b));
    let depart_by = b.clock.saturating_add(DurationMs::from_days(1));
    b.must(
        "customs",
        Command::PermitImport {
            transfer: carnet_kit::transfer(1),
            depart_by,
            conditions: Vec::new(),
        },
    );
    done(&b.deliver(&mut a));
    depart(&mut a, &mut b, 1);
    admit(&mut b, 1);
    done(&b.deliver(&mut a));
    let mut input = asks(&mut b, &mut a, code);
    done(&a.deliver(&mut b));
    b.close();
    let new = pack_of(&b, &[&a]);
    // Own evidence, joined to the head in the old pack: anybody may ask a server to prove it so.
    let mut own = evidence(&mut b, code);
    let registry = b.registry();
    let published = carnet_trust::evidence::Published {
        origin: origin(&b),
        checkpoint: &registry.checkpoint,
        size: registry.published.expect("closed").size,
    };
    own.frame.joined = carnet_trust::evidence::join(&b.ledger, &published, size).expect("joined");
    let now = soon(&[&a, &b]);
    let given = input.issuer.take();
    let file = EvidenceFile {
        version: FILE_VERSION,
        verifier: b.prefix,
        code,
        saved_at: now,
        issuer: Some(FileParty {
            taken: Some(taken(&b, &a, given.as_ref())),
            ..party(&a, given.as_ref().and_then(|given| given.evidence.clone()))
        }),
        custodians: vec![party(&b, Some(own.to_bytes()))],
    };
    let pins = pins(&b, &[&a, &b]);
    // Made while log time stood ahead, which the roots set back since.
    let ahead = Pack {
        at: now,
        ..old.clone()
    };
    for (what, pack) in [("old", &old), ("new", &new), ("of a time ahead", &ahead)] {
        let bytes = signed_pack(pack, &b.key("log"));
        let pack = OpenedPack::open(&bytes, &pins).expect("a pack");
        for purpose in [Purpose::MarketAccess, Purpose::SecondHandPurchase] {
            let found = verify_file(&file.to_file(), &pins, Some(&pack), None, purpose, now);
            let value = found.expect("a file that can be read").verdict.value;
            assert_ne!(value, Value::Valid, "{what} {purpose:?}");
        }
    }
}

/// The seed of a key that made way lies in folders that nobody guards as before: once, it signed packs of today, and whoever carries a
/// robot left out of one what the true one says against it.
#[test]
fn a_retired_log_key_signs_no_pack_of_later() {
    let saved = saved();
    let mut later = saved.b.clone();
    later.rotate_log("log", "log-2");
    let keys = later.registry().keys;
    let end = keys.all().iter().find_map(|key| key.end);
    let end = end.expect("one ended");
    let newest = Pin::of_bundle(&signed(&saved.b, &later.bundle_of(2)));
    let newest = newest.expect("signed by its roots");
    let pins = Pins::new(saved.b.prefix, vec![pin(&saved.a), newest], OWN_AGE_MAX).expect("pins");
    let opened = |at: TimeMs, key: &str| {
        let pack = Pack {
            at,
            ..saved.pack.clone()
        };
        OpenedPack::open(&signed_pack(&pack, &later.key(key)), &pins).map(drop)
    };
    let after = soon(&[&saved.a, &later]);
    assert!(end.at < after);
    let refused = opened(after, "log").expect_err("of later than its end");
    assert!(matches!(refused, PackError::Unsigned(_)), "{refused}");
    opened(saved.pack.at, "log").expect("of its time");
    opened(after, "log-2").expect("of the key that followed");
}

/// As of a pack: the word of the own country that it took in a head of another.
#[test]
fn a_retired_log_key_says_of_no_head_of_later_that_it_was_taken_in() {
    let saved = saved();
    let mut later = saved.b.clone();
    later.rotate_log("log", "log-2");
    let after = soon(&[&saved.a, &later]);
    let own = PinnedBundle::by_roots(
        &signed(&saved.b, &later.bundle_of(2)),
        &later.registry().roots,
        later.registry().threshold,
    )
    .expect("signed by its roots");
    let issuer = saved.file.issuer.clone().expect("a party");
    let word = issuer.taken.expect("taken in").taking;
    let said = |at: TimeMs, key: &str| {
        let taking = Taking { at, ..word.clone() };
        let signature = later.key(key).sign(&taking.message());
        let key = later.key(key).public();
        let signatures = vec![KeySignature { key, signature }];
        TakenHead::verify(&own, &SignedTaking { taking, signatures }).is_some()
    };
    assert!(said(word.at, "log"));
    assert!(!said(after, "log"));
    assert!(said(after, "log-2"));
}
