//! The evidence file: everything a verdict needs, in one file that is verified without a network, decades later.
//!
//! ```text
//! [ content bytes, SHA-256(content bytes) ]
//! content  [ version, verifier, code, saved at, issuer or null, [custodian…], [signed agreement…], [suspended…],
//!            [quarantined…] ]
//! party    [ signed bundle, evidence bytes or null ]
//! ```
//! Nothing in the file is believed but what the roots pinned by the verifier signed. The digest protects what no
//! signature covers, so that no byte of a file can be changed unnoticed; which field was changed is said by the
//! signature or proof that breaks.

use std::fmt;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical, DecodeError};
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::map::RobotStatus;
use carnet_domain::record::peer::{Agreement, Signed, signed_by_roots};

use crate::bundle::{BundleError, PinnedBundle};
use crate::evidence::{ProvenEvidence, parse};
use crate::verdict::{
    EvidenceInput, Input, Purpose, Reason, ReasonCode, Value, Verdict, judge_with,
};

/// The version of the content.
pub const FILE_VERSION: u8 = 1;
/// The largest evidence file in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One registry in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileParty {
    /// Its bundle, signed by its roots.
    pub bundle: Signed,
    /// Its evidence, if there is any.
    pub evidence: Option<Blob>,
}
carnet_domain::canonical_struct!(FileParty { bundle, evidence });

/// The content of an evidence file, nothing of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceFile {
    /// [`FILE_VERSION`].
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
    /// Agreements, each signed by the roots of both parties.
    pub agreements: Vec<Signed>,
    /// Suspended agreements, as `name:version`.
    pub suspended: Vec<String>,
    /// Primary prefixes of registries that showed two histories.
    pub quarantined: Vec<Prefix>,
}
carnet_domain::canonical_struct!(EvidenceFile {
    version,
    verifier,
    code,
    saved_at,
    issuer,
    custodians,
    agreements,
    suspended,
    quarantined
});

impl EvidenceFile {
    /// The bytes of the file.
    pub fn to_file(&self) -> Vec<u8> {
        let content = self.to_bytes();
        let digest = sha256(&[&content]);
        (Blob(content), digest).to_bytes()
    }
}

/// Roots of one country that the verifier has pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Primary prefix of the country.
    pub prefix: Prefix,
    /// Its root keys.
    pub roots: Vec<PublicKey>,
    /// How many of them sign.
    pub threshold: u8,
}

/// What a verifier without a network brings along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// Primary prefix of its own country. What the file says of that is not asked.
    pub own: Prefix,
    /// Countries, its own among them.
    pub countries: Vec<Pin>,
    /// Agreements that it knows to be suspended, beside those that the file names.
    pub suspended: Vec<String>,
    /// Registries that it knows to have shown two histories, beside those that the file names.
    pub quarantined: Vec<Prefix>,
    /// The oldest head of its own log that counts as fresh.
    pub own_age_max: DurationMs,
}

impl Pins {
    fn of(&self, prefix: &Prefix) -> Option<&Pin> {
        self.countries.iter().find(|pin| pin.prefix == *prefix)
    }
}

/// Why there is no verdict at all: the file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// More bytes than allowed.
    #[error("the file has {0} bytes, allowed are {FILE_BYTES_MAX}")]
    TooLong(usize),
    /// The outer frame is not canonical.
    #[error("the file is no evidence file: {0}")]
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
        /// Found.
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
    /// The verdict.
    pub verdict: Verdict,
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// When the file says it was saved.
    pub saved_at: TimeMs,
}

/// Verifies an evidence file and judges the robot in it. `about` is the code that was read off the robot, if one was.
///
/// # Errors
/// The file cannot be read. A file that can be read always gives a verdict.
pub fn verify_file(
    bytes: &[u8],
    pins: &Pins,
    about: Option<&Code>,
    purpose: Purpose,
    now: TimeMs,
) -> Result<Report, FileError> {
    if FILE_BYTES_MAX < bytes.len() {
        return Err(FileError::TooLong(bytes.len()));
    }
    let (content, digest) = <(Blob, Digest)>::from_bytes(bytes).map_err(FileError::Frame)?;
    let file = EvidenceFile::from_bytes(&content.0).map_err(FileError::Content)?;
    if file.version != FILE_VERSION {
        return Err(FileError::Version(file.version));
    }
    if let Some(expected) = about.filter(|about| **about != file.code) {
        return Err(FileError::OtherCode {
            expected: expected.display_form(),
            found: file.code.display_form(),
        });
    }
    let mut opening = Opening {
        pins,
        steps: Vec::new(),
        reasons: Vec::new(),
    };
    opening.intact(sha256(&[&content.0]) == digest);
    if file.verifier != pins.own {
        let (made, own) = (file.verifier, pins.own);
        opening.held(format!("file: made for {made}, judged for {own}"));
    }
    let quarantined = [&file.quarantined[..], &pins.quarantined].concat();
    let issuer = file.issuer.as_ref();
    let issuer = issuer.and_then(|party| opening.party(party, &quarantined));
    let custodians = file.custodians.iter();
    let custodians = custodians.filter_map(|party| opening.party(party, &quarantined));
    let custodians = custodians.collect();
    let agreements = file.agreements.iter();
    let agreements = agreements.filter_map(|signed| opening.agreement(signed));
    let agreements = agreements.collect();
    let input = Input {
        verifier: pins.own,
        code: file.code,
        issuer,
        custodians,
        agreements,
        suspended: [file.suspended, pins.suspended.clone()].concat(),
        own_age_max: pins.own_age_max,
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
    })
}

/// A file being opened.
struct Opening<'a> {
    pins: &'a Pins,
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

    /// A registry's bundle, if the pinned roots of that country signed it.
    fn party(&mut self, party: &FileParty, quarantined: &[Prefix]) -> Option<EvidenceInput> {
        let bundle = match self.bundle(&party.bundle) {
            Ok(bundle) => bundle,
            Err((code, value, detail)) => {
                self.failed(code, value, detail);
                return None;
            }
        };
        let (primary, sequence) = (bundle.primary(), bundle.bundle().sequence);
        self.held(format!(
            "bundle of {primary}: sequence {sequence}, signed by the pinned roots"
        ));
        Some(EvidenceInput {
            quarantined: quarantined.contains(&primary),
            evidence: party.evidence.as_ref().map(|evidence| evidence.0.clone()),
            bundle,
        })
    }

    fn bundle(&self, signed: &Signed) -> Result<PinnedBundle, (ReasonCode, Value, String)> {
        let broken = |error: BundleError| {
            let code = match &error {
                BundleError::Unsigned { .. } => ReasonCode::BadSignature,
                _ => ReasonCode::EvidenceBroken,
            };
            (code, Value::Invalid, format!("bundle: {error}"))
        };
        let claimed = carnet_domain::record::peer::Bundle::from_bytes(&signed.bytes.0)
            .map_err(|error| broken(BundleError::Decode(error)))?;
        let primary = claimed
            .primary()
            .ok_or_else(|| broken(BundleError::NoPrefix))?;
        let Some(pin) = self.pins.of(&primary) else {
            let detail = format!("bundle: no roots are pinned for {primary}");
            return Err((ReasonCode::UnknownRegistry, Value::Indeterminate, detail));
        };
        PinnedBundle::by_roots(signed, &pin.roots, pin.threshold).map_err(broken)
    }

    /// An agreement, if the pinned roots of both parties signed it.
    fn agreement(&mut self, signed: &Signed) -> Option<Agreement> {
        let agreement = match Agreement::from_bytes(&signed.bytes.0) {
            Ok(agreement) => agreement,
            Err(error) => {
                let detail = format!("agreement: not canonical: {error}");
                self.failed(ReasonCode::EvidenceBroken, Value::Invalid, detail);
                return None;
            }
        };
        let name = format!("agreement {}, version {}", agreement.id, agreement.version);
        for party in [agreement.parties.0, agreement.parties.1] {
            let Some(pin) = self.pins.of(&party) else {
                let detail = format!("{name}: no roots are pinned for {party}");
                self.failed(ReasonCode::UnknownRegistry, Value::Indeterminate, detail);
                return None;
            };
            let (bytes, signatures) = (&signed.bytes.0, &signed.signatures);
            if !signed_by_roots(&pin.roots, pin.threshold, bytes, signatures) {
                let detail = format!("{name}: not signed by the roots of {party}");
                self.failed(ReasonCode::BadSignature, Value::Invalid, detail);
                return None;
            }
        }
        self.held(format!("{name}: signed by the roots of both parties"));
        Some(agreement)
    }
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
    let origin = given.bundle.origin();
    let verified =
        parse(bytes).and_then(|found| found.verify(&given.bundle.bundle().log_key, &origin));
    match verified {
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
