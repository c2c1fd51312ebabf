//! Registries in memory with a robot on its way between them, and the evidence each gives.

use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Agreement, Bundle, Suspension};
use carnet_domain::record::{Against, Predicate, RecallId, RecallNotice, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind};
use carnet_kit::evidence::known;
use carnet_kit::{Country, befriend, transfer};
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::evidence::{Evidence, Published, SLOTS_FOR_AUTHORITIES, build, join};
use carnet_trust::known::{Ground, Known, KnownRobot, key_of_maker, key_of_model, keys_of};
use carnet_trust::sieve::{Keys, SIEVE_BYTES_MAX, Sieve};
use carnet_trust::verdict::{EvidenceInput, Input, OWN_AGE_MAX, Purpose, Verdict, judge};

/// Two countries that recognise each other, with robot 1 of `86` registered there.
pub(crate) fn two() -> (Country, Country) {
    let mut a = Country::with_market("86");
    let mut b = Country::with_market("49");
    befriend(&mut a, &mut b);
    a.must("maker", a.register(1));
    (a, b)
}

pub(crate) fn act(country: &mut Country, who: &str, code: Code, action: Action) {
    country.must(
        who,
        Command::Act {
            code,
            expected_sequence: None,
            action,
        },
    );
}

pub(crate) fn hold(country: &mut Country, who: &str, code: Code, kind: HoldKind) {
    country.must(
        who,
        Command::SetHold {
            code,
            kind,
            reason: "why".into(),
        },
    );
}

/// Ends robot's life in the country that has custody.
pub(crate) fn scrap(country: &mut Country, code: Code) {
    let certificate = sha256(&[b"certificate"]);
    let outcome = EndOfLife::Scrapped;
    act(
        country,
        "recycler",
        code,
        Action::DeclareEndOfLife {
            outcome,
            certificate,
        },
    );
    act(
        country,
        "registrar",
        code,
        Action::ConfirmEndOfLife {
            certificate: sha256(&[b"certificate"]),
        },
    );
}

/// A recall that `86` issued.
pub(crate) fn recall_id(number: &str) -> RecallId {
    RecallId::parse(&format!("86/{number}")).expect("issuer and number")
}

pub(crate) fn recall(number: &str, severity: Severity, predicate: Predicate) -> RecallNotice {
    RecallNotice {
        id: recall_id(number),
        severity,
        predicate,
    }
}

pub(crate) fn open_recall(country: &mut Country, notice: RecallNotice) {
    let models = vec![country.model("0001", "100002")];
    country.must(
        "maker",
        Command::OpenRecall {
            notice,
            models,
            remedy: "replace".into(),
        },
    );
}

/// Offered, told to the other country, and not answered.
pub(crate) fn declare(a: &mut Country, b: &mut Country, code: Code, number: u8) {
    let declare = match a.declare(1, transfer(number), &b.prefix) {
        Command::DeclareExport {
            transfer,
            to,
            purpose,
            offer_until,
            agreement,
            papers,
            ..
        } => Command::DeclareExport {
            code,
            transfer,
            to,
            purpose,
            offer_until,
            agreement,
            papers,
        },
        other => other,
    };
    a.must("customs", declare);
    done(&a.deliver(b));
}

pub(crate) fn offer(a: &mut Country, b: &mut Country, code: Code, number: u8) {
    declare(a, b, code, number);
    let depart_by = b.clock.saturating_add(DurationMs::from_days(1));
    b.must(
        "customs",
        Command::PermitImport {
            transfer: transfer(number),
            depart_by,
            conditions: Vec::new(),
        },
    );
    done(&b.deliver(a));
}

pub(crate) fn depart(a: &mut Country, b: &mut Country, number: u8) {
    a.must(
        "customs",
        Command::Depart {
            transfer: transfer(number),
            place: "port".into(),
        },
    );
    done(&a.deliver(b));
}

pub(crate) fn admit(b: &mut Country, number: u8) {
    b.must(
        "customs",
        Command::Admit {
            transfer: transfer(number),
            place: "harbour".into(),
            importer: sha256(&[b"importer of record"]).into(),
            documents: Vec::new(),
            countersignature: None,
        },
    );
}

/// From offer to admission, told to the exporter.
pub(crate) fn export(a: &mut Country, b: &mut Country, code: Code, number: u8) {
    offer(a, b, code, number);
    depart(a, b, number);
    admit(b, number);
    done(&b.deliver(a));
}

pub(crate) fn done(answers: &[ItemAnswer]) {
    for answer in answers {
        let text = carnet_kit::text(answer);
        assert!(
            matches!(text.as_str(), "done" | "nothing"),
            "a delivery was answered: {text}"
        );
    }
}

pub(crate) fn origin(country: &Country) -> Origin {
    Origin {
        prefix: country.prefix,
        incarnation: 0,
    }
}

/// Evidence about a code under the country's newest head.
pub(crate) fn evidence(country: &mut Country, code: Code) -> Evidence {
    evidence_showing(country, code, SLOTS_FOR_AUTHORITIES)
}

pub(crate) fn evidence_showing(country: &mut Country, code: Code, shown: &[u8]) -> Evidence {
    country.close();
    let registry = country.registry();
    let published = Published {
        origin: origin(country),
        checkpoint: &registry.checkpoint,
        size: registry.published.expect("the log is closed").size,
    };
    build(&country.ledger, &published, &code, shown).expect("evidence of a closed log")
}

pub(crate) fn pinned(country: &Country) -> PinnedBundle {
    pinned_as(country.bundle_of(1))
}

pub(crate) fn pinned_as(bundle: Bundle) -> PinnedBundle {
    PinnedBundle::of_state(bundle).expect("the bundle names a prefix")
}

/// What `country` shows `asker` of a code: joined to the head that the asker took in.
pub(crate) fn evidence_to(
    asker: &Country,
    country: &mut Country,
    code: Code,
    shown: &[u8],
) -> Evidence {
    let mut evidence = evidence_showing(country, code, shown);
    let Ok(peer) = asker.ledger.peer(&country.prefix);
    if let Some(peer) = peer {
        let registry = country.registry();
        let published = Published {
            origin: origin(country),
            checkpoint: &registry.checkpoint,
            size: registry.published.expect("the log is closed").size,
        };
        let joined = join(&country.ledger, &published, peer.size_seen);
        evidence.frame.joined = joined.expect("a log in memory");
    }
    evidence
}

/// What `country` answers when `asker` asks about a code.
pub(crate) fn given_to(asker: &Country, country: &mut Country, code: Code) -> EvidenceInput {
    let evidence = evidence_to(asker, country, code, SLOTS_FOR_AUTHORITIES);
    EvidenceInput::of(pinned(country), Some(evidence.to_bytes()))
}

pub(crate) fn given(country: &mut Country, code: Code) -> EvidenceInput {
    let asker = country.clone();
    given_to(&asker, country, code)
}

/// What the input knows, to be changed.
pub(crate) fn knows(input: &mut Input) -> &mut Known {
    input.known.as_mut().expect("something is known")
}

/// A suspension that lasts.
pub(crate) fn suspension(agreement: &Agreement) -> Suspension {
    Suspension {
        agreement: agreement.reference(),
        number: 1,
        until: TimeMs::MAX,
    }
}

/// What `verifier` has when it asks about a code of `issuer`: the issuer's evidence and its own.
pub(crate) fn asks(verifier: &mut Country, issuer: &mut Country, code: Code) -> Input {
    Input {
        verifier: verifier.prefix,
        code,
        issuer: Some(given_to(verifier, issuer, code)),
        custodians: vec![given(verifier, code)],
        known: Some(known(verifier)),
        own_age_max: OWN_AGE_MAX,
    }
}

/// What a country has when it asks about its own code, with the robot at home.
pub(crate) fn at_home(country: &mut Country, code: Code) -> Input {
    Input {
        verifier: country.prefix,
        code,
        issuer: Some(given(country, code)),
        custodians: Vec::new(),
        known: Some(known(country)),
        own_age_max: OWN_AGE_MAX,
    }
}

/// A little after everything that the countries did.
pub(crate) fn soon(countries: &[&Country]) -> TimeMs {
    let latest = countries.iter().map(|c| c.clock).max();
    latest
        .expect("a country")
        .saturating_add(DurationMs::from_secs(10))
}

/// Value and reasons on one line.
pub(crate) fn line(verdict: &Verdict) -> String {
    let reasons = verdict.reasons.iter().map(ToString::to_string);
    let all: Vec<String> = std::iter::once(verdict.value.to_string())
        .chain(reasons)
        .collect();
    all.join(" | ")
}

pub(crate) fn check(purpose: Purpose, input: &Input, now: TimeMs, expected: &str) -> Verdict {
    let verdict = judge(purpose, input, now);
    assert_eq!(line(&verdict), expected, "{purpose:?}\n{verdict}");
    verdict
}

/// As [`check`] for operation, of a verdict that says more.
pub(crate) fn check_begins(input: &Input, now: TimeMs, expected: &str) -> Verdict {
    let verdict = judge(Purpose::Operation, input, now);
    let found = line(&verdict);
    assert!(found.starts_with(expected), "{found}\nnot {expected}");
    verdict
}

/// A digest that nothing has.
pub(crate) fn nothing() -> Digest {
    sha256(&[b"nothing"])
}

const SALT: u64 = 7;

fn in_a_set(known: &mut Known, keys: Keys) {
    if keys.added() > 0 {
        let packed = keys.pack(SIEVE_BYTES_MAX).expect("it has room");
        known.others = Some(Sieve::open(SALT, &packed).expect("a set"));
    }
}

/// What is known when no recall, no model and no maker that fell has room: the models or the makers move into the set.
pub(crate) fn without_models(known: &mut Known, by_maker: bool) {
    let mut keys = Keys::salted(SALT);
    let mut model = |id: &ModelId| match by_maker {
        true => keys.add(&key_of_maker(&id.enterprise_id())),
        false => keys.add(&key_of_model(id)),
    };
    for recall in std::mem::take(&mut known.recalls) {
        recall.models.iter().for_each(&mut model);
    }
    for fallen in std::mem::take(&mut known.models) {
        model(&fallen.id);
    }
    if by_maker {
        for maker in std::mem::take(&mut known.makers) {
            keys.add(&key_of_maker(&maker.id));
        }
    }
    in_a_set(known, keys);
}

/// What is known when no row has room: what the rows say moves into the set, under the keys that a pack gives it.
pub(crate) fn without_rows(known: &mut Known) {
    let mut keys = Keys::salted(SALT);
    for (key, row) in std::mem::take(&mut known.robots) {
        // Nothing that a row can say may be left out here.
        let KnownRobot {
            ended,
            holds,
            owed,
            ground,
            against,
            detained,
            transfer: _,
            // Of a code of another registry that is here, `against` says it.
            place: _,
            // Of a robot that is elsewhere, so does `against`.
            epoch: _,
        } = row;
        let blocked = !holds.is_empty() || !owed.is_empty();
        let guest = matches!(ground, Some(Ground::Guest { .. }));
        let said = [
            against,
            ended.map(|_| Against::Ended),
            blocked.then_some(Against::Blocked),
            guest.then_some(Against::Guest),
            detained.map(|_| Against::Unshown),
        ];
        for against in said.into_iter().flatten() {
            keys_of(&key, against).iter().for_each(|key| keys.add(key));
        }
    }
    in_a_set(known, keys);
}
