//! The evidence file: everything a verdict needs, in one file that is verified without a network, decades later.
//!
//! ```text
//! [ content bytes, SHA-256(content bytes) ]
//! content  [ version, verifier, code, saved at, issuer or null, [custodian…] ]
//! party    [ registry, signed bundle or null, evidence bytes or null, taken or null ]
//! ```
//! Whoever bears the file brings what speaks for the robot. What may speak against it (suspensions, doubts, ended robots,
//! newest heads) and the agreements in force stand in the pack of the verifier's own country: without one there is no VALID.
//! Nothing in the file is believed but what the roots pinned by the verifier signed. The digest protects what no
//! signature covers, so that no byte of a file can be changed unnoticed; which field was changed is said by the
//! signature or proof that breaks.

use std::fmt;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical, DecodeError};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::List;
use carnet_domain::log::map::RobotStatus;
use carnet_domain::record::peer::{Bundle, Signed};

use crate::bundle::{BundleError, PinnedBundle};
use crate::evidence::ProvenEvidence;
use crate::pack::OpenedPack;
use crate::pins::Pins;
use crate::taken::{SignedTaking, TakenHead};
use crate::verdict::{
    EvidenceInput, Input, Purpose, Reason, ReasonCode, Value, Verdict, judge_with,
};

/// The version of the content.
pub const FILE_VERSION: u8 = 3;
/// The largest evidence file in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most custodians in one file.
pub const FILE_CUSTODIANS_MAX: usize = 8;

/// One registry in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileParty {
    /// Primary prefix.
    pub registry: Prefix,
    /// Its bundle, signed by its roots: for a verifier that pinned no more than those.
    pub bundle: Option<Signed>,
    /// Its evidence, if there is any.
    pub evidence: Option<Blob>,
    /// The word of whoever made the file that it took in the head of this evidence.
    pub taken: Option<SignedTaking>,
}
carnet_domain::canonical_struct!(FileParty {
    registry,
    bundle,
    evidence,
    taken
});

/// The content of an evidence file, nothing of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceFile {
    /// Of this form: [`FILE_VERSION`]; another one is not read.
    pub version: u8,
    /// For whom it was made: primary prefix. For people: a verifier judges for its own country.
    pub verifier: Prefix,
    /// About which code.
    pub code: Code,
    /// When it was saved, by the clock of whoever saved it: for people.
    pub saved_at: TimeMs,
    /// The registry that owns the code's prefix.
    pub issuer: Option<FileParty>,
    /// Registries that took custody since.
    pub custodians: Vec<FileParty>,
}
carnet_domain::canonical_struct!(EvidenceFile {
    version,
    verifier,
    code,
    saved_at,
    issuer,
    custodians: List<FILE_CUSTODIANS_MAX>
});

impl EvidenceFile {
    /// Whether a registry's evidence is in it: a file without any proves nothing.
    pub fn proves_something(&self) -> bool {
        let mut parties = self.issuer.iter().chain(&self.custodians);
        parties.any(|party| party.evidence.is_some())
    }

    /// Registries of other countries whose evidence is in it without the word of its maker that it took the head in: by a later pack
    /// nobody can say how that goes with what was taken in.
    pub fn not_taken_in(&self) -> Vec<Prefix> {
        let parties = self.issuer.iter().chain(&self.custodians);
        let others = parties.filter(|party| party.registry != self.verifier);
        let untaken = others.filter(|party| party.evidence.is_some() && party.taken.is_none());
        untaken.map(|party| party.registry).collect()
    }

    /// Reads a file; nothing of it is verified but its digest.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(bytes: &[u8]) -> Result<(Self, bool), FileError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(FileError::TooLong(bytes.len()));
        }
        let (content, digest) = <(Blob, Digest)>::from_bytes(bytes).map_err(FileError::Frame)?;
        // The version stands first, so that a newer file is not said to be a broken one.
        match content.0.get(1) {
            Some(version) if *version < 24 && *version != FILE_VERSION => {
                return Err(FileError::Version(*version));
            }
            _ => {}
        }
        let file = Self::from_bytes(&content.0).map_err(FileError::Content)?;
        if file.version != FILE_VERSION {
            return Err(FileError::Version(file.version));
        }
        Ok((file, sha256(&[&content.0]) == digest))
    }

    /// The bytes of the file.
    pub fn to_file(&self) -> Vec<u8> {
        let content = self.to_bytes();
        let digest = sha256(&[&content]);
        (Blob(content), digest).to_bytes()
    }
}

/// Why there is no verdict at all: the file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// More bytes than allowed.
    #[error("the file has {0} bytes, allowed are {FILE_BYTES_MAX}")]
    TooLong(usize),
    /// The outer frame is not canonical.
    #[error("the file is not an evidence file: {0}")]
    Frame(#[source] DecodeError),
    /// The content is not canonical.
    #[error("the content of the file is broken: {0}")]
    Content(#[source] DecodeError),
    /// A version that this program does not know.
    #[error("the file has version {0}, known is {FILE_VERSION}")]
    Version(u8),
    /// The content was changed and names another verifier or code than was asked for.
    #[error("the file is about {found}, asked was {expected}")]
    OtherCode {
        /// Asked for.
        expected: String,
        /// The code that the file is of.
        found: String,
    },
}

/// One step of the verification, for `--explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whether it held.
    pub held: bool,
    /// What was checked, and what was found.
    pub what: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.held { "ok  " } else { "FAIL" };
        write!(f, "{mark} {}", self.what)
    }
}

/// A verdict and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was found, and why.
    pub verdict: Verdict,
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// When the file says it was saved.
    pub saved_at: TimeMs,
    /// Countries whose pins the pack bears out ([`OpenedPack::borne_out`]).
    pub borne_out: Vec<Prefix>,
}

/// Verifies an evidence file and judges the robot in it, by what the pack of the verifier's own country says. `about` is the
/// code that was read off the robot, if one was.
///
/// # Errors
/// The file cannot be read. A file that can be read always gives a verdict.
pub fn verify_file(
    bytes: &[u8],
    pins: &Pins,
    pack: Option<&OpenedPack>,
    about: Option<&Code>,
    purpose: Purpose,
    now: TimeMs,
) -> Result<Report, FileError> {
    let (file, intact) = EvidenceFile::read(bytes)?;
    if let Some(expected) = about.filter(|about| **about != file.code) {
        return Err(FileError::OtherCode {
            expected: expected.display_form(),
            found: file.code.display_form(),
        });
    }
    let own = pins.own();
    let mut opening = Opening {
        pins,
        pack,
        steps: Vec::new(),
        reasons: Vec::new(),
    };
    opening.intact(intact);
    if file.verifier != own {
        let made = file.verifier;
        opening.held(format!("file: made for {made}, judged for {own}"));
    }
    if let Some(pack) = pack {
        let (at, peers) = (pack.known().at, pack.content().peers.len());
        opening.held(format!(
            "pack of {own}: of {at}, {peers} peers, signed by its log key"
        ));
    }
    opening.own_bundle(now);
    let issuer = file.issuer.as_ref();
    let issuer = issuer.and_then(|party| opening.party(party));
    let custodians = file.custodians.iter();
    let custodians = custodians.filter_map(|party| opening.party(party));
    let custodians = custodians.collect();
    let input = Input {
        verifier: own,
        code: file.code,
        issuer,
        custodians,
        known: pack.map(|pack| pack.known().clone()),
        own_age_max: pins.own_age_max(),
    };
    let Opening {
        mut steps, reasons, ..
    } = opening;
    steps.extend(explain(&input));
    let verdict = judge_with(purpose, &input, now, reasons);
    steps.push(Step {
        held: verdict.value == Value::Valid,
        what: format!("verdict {} for {}", verdict.value, purpose.name()),
    });
    Ok(Report {
        verdict,
        steps,
        saved_at: file.saved_at,
        borne_out: pack.map(|pack| pack.borne_out(pins)).unwrap_or_default(),
    })
}

/// A file being opened.
struct Opening<'a> {
    pins: &'a Pins,
    pack: Option<&'a OpenedPack>,
    steps: Vec<Step>,
    reasons: Vec<Reason>,
}

impl Opening<'_> {
    fn held(&mut self, what: String) {
        self.steps.push(Step { held: true, what });
    }

    fn failed(&mut self, code: ReasonCode, value: Value, detail: String) {
        self.steps.push(Step {
            held: false,
            what: detail.clone(),
        });
        self.reasons.push(Reason {
            code,
            value,
            detail,
        });
    }

    fn intact(&mut self, intact: bool) {
        match intact {
            true => self.held("file: the digest holds".into()),
            false => self.failed(
                ReasonCode::EvidenceBroken,
                Value::Invalid,
                "file: the digest differs, the file was changed".into(),
            ),
        }
    }

    /// The own country's bundle says which key signs the pack. One that ended proves nothing new, like that of any other.
    fn own_bundle(&mut self, now: TimeMs) {
        let own = self.pins.own();
        let bundle = self.pins.of(&own).and_then(|pin| pin.bundle());
        let valid_to = bundle.map(|bundle| bundle.bundle().valid_to);
        if let Some(valid_to) = valid_to.filter(|valid_to| *valid_to < now) {
            let detail = format!("the bundle of {own} was valid until {valid_to}");
            self.failed(ReasonCode::TooOld, Value::Stale, detail);
        }
    }

    /// A registry's evidence with the newest bundle that is believed of it.
    fn party(&mut self, party: &FileParty) -> Option<EvidenceInput> {
        let registry = party.registry;
        match self.bundle(party) {
            Ok((bundle, how)) => {
                let sequence = bundle.bundle().sequence;
                self.held(format!("bundle of {registry}: sequence {sequence}, {how}"));
                let evidence = party.evidence.as_ref().map(|evidence| evidence.0.clone());
                let mut given = EvidenceInput::of(bundle, evidence);
                given.taken = self.taken(party);
                // Once, for the verdict and for what is told of it.
                let proven = given.evidence.as_ref();
                given.proven = proven.and_then(|bytes| given.verified(bytes).ok());
                Some(given)
            }
            Err(Doubtful {
                code,
                value,
                detail,
            }) => {
                self.failed(code, value, detail);
                None
            }
        }
    }

    /// The own country's word that it took in the head of a party's evidence. Another country's word about a third is not looked
    /// at: whoever made the file for another verifier said it to that one.
    fn taken(&mut self, party: &FileParty) -> Option<TakenHead> {
        let signed = party.taken.as_ref()?;
        let (own, registry) = (self.pins.own(), party.registry);
        let bundle = self.pins.of(&own).and_then(|pin| pin.bundle())?;
        let taken = TakenHead::verify(bundle, signed);
        if let Some(taken) = &taken {
            self.held(format!(
                "head of {registry}: taken in by {own} at {}",
                taken.at()
            ));
        }
        taken
    }

    /// The newest bundle of a registry: the one pinned, the one in the pack, or the one in the file when it is newer than both.
    fn bundle(&self, party: &FileParty) -> Result<(PinnedBundle, &'static str), Doubtful> {
        let registry = party.registry;
        if let Some(why) = self.pack.and_then(|pack| pack.unfollowed(&registry)) {
            return Err(Doubtful {
                code: ReasonCode::UnknownRegistry,
                value: Value::Indeterminate,
                detail: format!("bundle of {registry}: {why}"),
            });
        }
        let pin = self.pins.of(&registry);
        let pinned = pin.and_then(|pin| pin.bundle());
        let packed = self.pack.and_then(|pack| pack.bundle(&registry));
        let known = match (pinned, packed) {
            (Some(pinned), Some(packed)) if newer(packed, pinned) => Some((packed, PACKED)),
            (Some(pinned), _) => Some((pinned, PINNED)),
            (None, packed) => packed.map(|packed| (packed, PACKED)),
        };
        let Some(signed) = &party.bundle else {
            let known = known.map(|(bundle, how)| (bundle.clone(), how));
            return known.ok_or_else(|| unknown_registry(registry));
        };
        let (roots, threshold) = match (known, pin) {
            (Some((bundle, _)), _) => (&bundle.bundle().roots[..], bundle.bundle().threshold),
            (None, Some(pin)) => pin.roots(),
            (None, None) => return Err(unknown_registry(registry)),
        };
        let shown = match PinnedBundle::by_roots(signed, roots, threshold) {
            Ok(shown) => shown,
            // Roots that were replaced signed the one before: it adds nothing to the one that is known.
            Err(BundleError::Unsigned { .. }) if known.is_some_and(|(b, _)| older(signed, b)) => {
                return superseded(registry, known, signed);
            }
            Err(error) => return Err(broken(error)),
        };
        if shown.primary() != registry {
            let other = shown.primary();
            let detail = format!("bundle: it is of {other}, shown as that of {registry}");
            return Err(Doubtful::broken(detail));
        }
        let owned = match (known, pin) {
            (Some((bundle, _)), _) => &bundle.bundle().prefixes[..],
            (None, Some(pin)) => pin.prefixes(),
            (None, None) => &[],
        };
        // Who speaks for which prefix was compared; the bearer's file makes nobody speak for more.
        let claims = &shown.bundle().prefixes;
        if let Some(prefix) = claims.iter().find(|prefix| !owned.contains(prefix)) {
            return Err(Doubtful {
                code: ReasonCode::PrefixClaimed,
                value: Value::Indeterminate,
                detail: format!(
                    "bundle: {registry} claims prefix {prefix}, which is not pinned for it"
                ),
            });
        }
        match known {
            Some((bundle, _)) if !newer(&shown, bundle) => superseded(registry, known, signed),
            _ => Ok((shown, "signed by the pinned roots")),
        }
    }
}

const PINNED: &str = "as pinned";
const PACKED: &str = "as the pack has it";

/// What is doubtful about a bundle.
struct Doubtful {
    code: ReasonCode,
    value: Value,
    detail: String,
}

impl Doubtful {
    fn broken(detail: String) -> Self {
        Self {
            code: ReasonCode::EvidenceBroken,
            value: Value::Invalid,
            detail,
        }
    }
}

fn broken(error: BundleError) -> Doubtful {
    let detail = format!("bundle: {error}");
    match error {
        // Anybody can add one to a file, and a country replaces its roots: it says nothing of the robot.
        BundleError::Unsigned { .. } => Doubtful {
            code: ReasonCode::BadSignature,
            value: Value::Indeterminate,
            detail,
        },
        _ => Doubtful::broken(detail),
    }
}

fn unknown_registry(registry: Prefix) -> Doubtful {
    Doubtful {
        code: ReasonCode::UnknownRegistry,
        value: Value::Indeterminate,
        detail: format!("bundle: no roots are pinned for {registry}"),
    }
}

fn newer(one: &PinnedBundle, other: &PinnedBundle) -> bool {
    one.bundle().sequence > other.bundle().sequence
}

fn older(signed: &Signed, known: &PinnedBundle) -> bool {
    let shown = Bundle::from_bytes(&signed.bytes.0);
    shown.is_ok_and(|shown| shown.sequence < known.bundle().sequence)
}

/// The known bundle instead of an older one in the file, unless the log was replaced since, or its keys do not go on: each head is
/// held to the keys of its time by the known one, and what an old key signs proves nothing new.
fn superseded(
    registry: Prefix,
    known: Option<(&PinnedBundle, &'static str)>,
    signed: &Signed,
) -> Result<(PinnedBundle, &'static str), Doubtful> {
    let (known, how) = known.ok_or_else(|| unknown_registry(registry))?;
    let shown = Bundle::from_bytes(&signed.bytes.0);
    let shown = shown.map_err(|error| broken(BundleError::Decode(error)))?;
    let now = known.bundle();
    if shown.keys.leads_to(&now.keys) && shown.incarnation == now.incarnation {
        return Ok((known.clone(), how));
    }
    Err(Doubtful {
        code: ReasonCode::Superseded,
        value: Value::Indeterminate,
        detail: format!(
            "bundle: that of {registry} has sequence {}, known is {}: its log was replaced, or has other keys, and proves nothing new",
            shown.sequence, now.sequence
        ),
    })
}

/// What a file contains, in words, for whoever has nothing pinned: each part held against the keys that the file itself names.
/// That says what the file claims and whether it hangs together, not whether it is true.
pub fn describe(file: &EvidenceFile, intact: bool) -> Vec<Step> {
    let step = |held, what: String| Step { held, what };
    let mut out = vec![
        step(true, format!("about robot {}", file.code.display_form())),
        step(
            true,
            format!(
                "saved at {} for a verifier of {}",
                file.saved_at, file.verifier
            ),
        ),
        step(
            intact,
            match intact {
                true => "nothing was changed since: its digest holds".into(),
                false => "it was changed since: its digest differs".into(),
            },
        ),
    ];
    let issuer = file.issuer.iter().map(|party| ("issuer", party));
    let custodians = file.custodians.iter().map(|party| ("custodian", party));
    for (role, party) in issuer.chain(custodians) {
        let registry = party.registry;
        let Some(signed) = &party.bundle else {
            let shown = match party.evidence {
                Some(_) => "evidence, to be judged by the bundle that the verifier pinned",
                None => "no evidence",
            };
            out.push(step(true, format!("{role} {registry}: {shown}")));
            continue;
        };
        match crate::pins::Pin::of_bundle(signed) {
            Ok(pin) => {
                let bundle = pin.bundle().cloned();
                let names: Vec<String> = pin.prefixes().iter().map(ToString::to_string).collect();
                out.push(step(
                    true,
                    format!(
                        "{role} {registry}: a bundle for {}, signed by the roots that it names itself",
                        names.join(", ")
                    ),
                ));
                let evidence = party.evidence.as_ref().map(|bytes| bytes.0.clone());
                let given = bundle.map(|bundle| EvidenceInput::of(bundle, evidence));
                out.extend(given.iter().flat_map(explain_one));
            }
            Err(error) => {
                let why = match &error {
                    crate::pins::PinError::Bundle(inner) => inner.to_string(),
                    other => other.to_string(),
                };
                out.push(step(false, format!("{role} {registry}: {why}")));
            }
        }
    }
    if !file.proves_something() {
        out.push(step(
            false,
            "there is no evidence in it: it proves nothing".into(),
        ));
    }
    out
}

/// What the evidence of each registry shows, step by step.
pub fn explain(input: &Input) -> Vec<Step> {
    let parties = input.issuer.iter().chain(&input.custodians);
    parties.flat_map(explain_one).collect()
}

fn explain_one(given: &EvidenceInput) -> Vec<Step> {
    let registry = given.bundle.primary();
    let failed = |what: String| vec![Step { held: false, what }];
    let Some(bytes) = &given.evidence else {
        return failed(format!("evidence of {registry}: none"));
    };
    match given.verified(bytes) {
        Ok(proven) => {
            let steps = proven_steps(&proven).into_iter();
            steps.map(|what| Step { held: true, what }).collect()
        }
        Err(error) => failed(format!(
            "evidence of {registry}: {}: {error}",
            error.field()
        )),
    }
}

fn proven_steps(proven: &ProvenEvidence) -> Vec<String> {
    let (origin, size, time) = (proven.origin(), proven.size(), proven.time());
    let registry = origin.prefix;
    let mut out = vec![
        format!("checkpoint of {origin}, size {size}: signed by its log key"),
        format!("map head of {registry}: the last leaf under it, of {time}"),
    ];
    match proven.robot() {
        None => out.push(format!("robot in {registry}: proven to be absent")),
        Some(robot) => {
            let (index, hash) = (robot.leaf().index(), robot.leaf().hash());
            let shown = robot.leaf().slots().shown().count();
            out.push(format!(
                "robot in {registry}: leaf {index} {hash} is included, {shown} slots shown open it"
            ));
            if let Ok(Some(shown)) = robot.standing() {
                let holds: Vec<&str> = shown.holds.iter().map(|hold| hold.kind.name()).collect();
                let holds = match holds.is_empty() {
                    true => "no hold".into(),
                    false => format!("held: {}", holds.join(", ")),
                };
                let owed = shown.owed.len();
                out.push(format!(
                    "robot in {registry}: state {}, {holds}, {owed} recalls owed",
                    shown.state.name()
                ));
            }
            if let Some(status) = robot.status() {
                let name = RobotStatus::name(status);
                out.push(format!(
                    "robot in {registry}: it is the newest, status {name}"
                ));
            }
        }
    }
    if let Some(model) = proven.model() {
        let (approval, recalls) = (model.approval.name(), model.recalls.len());
        out.push(format!(
            "model in {registry}: approval {approval}, maker {}, {recalls} recalls in force, as the map names them",
            model.enterprise.name()
        ));
    }
    for own in proven.links() {
        let (link, at) = (own.link(), own.at());
        let (step, epoch, to) = (link.step.name(), link.epoch, link.to);
        out.push(format!(
            "custody in {registry}: {step}, epoch {epoch}, to {to}, at {at}"
        ));
    }
    out
}
