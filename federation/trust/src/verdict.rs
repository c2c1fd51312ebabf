//! The verdict: may this robot be relied on for this purpose, and why.
//!
//! One of four values, the reasons in order, the clause that allowed it and the age of everything it rests on. The
//! worst reason decides. INVALID needs positive proof; what is missing, hidden, unsupported or without a clause is
//! INDETERMINATE; a blocking fact under a head older than the maximum age is STALE, except a final state, which no time
//! undoes. VALID has one constructor, in `judge`, and it asks for every proof.
//!
//! Pure: online and offline give the same verdict from the same evidence and the same `now`.

use std::fmt;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::Text;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::rules::lifecycle::State;

use crate::bundle::PinnedBundle;
use crate::evidence::{EvidenceError, ProvenEvidence, parse};
use crate::known::Known;
use crate::taken::TakenHead;

mod custody;
mod examine;
mod facts;
mod own;
mod weigh;

pub use custody::leads_to;
pub use examine::judge;
pub(crate) use examine::judge_with;

/// Of the form in which a [`Verdict`] is written; another one is not read.
pub const VERDICT_VERSION: u8 = 1;
/// The oldest head of the verifier's own log that still counts as fresh, unless it says otherwise.
pub const OWN_AGE_MAX: DurationMs = DurationMs::from_days(1);
/// A checkpoint may be at most this far in the verifier's future.
pub const AHEAD_MAX: DurationMs = DurationMs::from_secs(300);

/// What the robot is to be relied on for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To be sold or put into use in the verifier's country; the robot is in its custody.
    MarketAccess,
    /// To be let into the verifier's country; the robot is in custody elsewhere.
    ImportPermit,
    /// At the border: released to the verifier's country, or already in its custody.
    BorderInspection,
    /// To work in the verifier's country; the robot is in its custody.
    Operation,
    /// To be bought second-hand, wherever it is.
    SecondHandPurchase,
}
carnet_domain::canonical_enum!(Purpose {
    1 => MarketAccess, 2 => ImportPermit, 3 => BorderInspection, 4 => Operation, 5 => SecondHandPurchase,
});

/// What a verdict says, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Proven not to be fit for the purpose, or the evidence is broken.
    Invalid,
    /// Something that is needed is not known.
    Indeterminate,
    /// Everything is there, but too old to rely on.
    Stale,
    /// Fit for the purpose, every proof given.
    Valid,
}
carnet_domain::canonical_enum!(Value { 1 => Invalid, 2 => Indeterminate, 3 => Stale, 4 => Valid });

impl Value {
    /// Exit code of a program that verifies: 0 VALID, 4 INVALID, 5 STALE or INDETERMINATE.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 4,
            Self::Indeterminate | Self::Stale => 5,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&upper(self.name()))
    }
}

/// Why. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReasonCode {
    /// The checkpoint was not signed by the key pinned.
    BadSignature,
    /// The evidence does not hold; the detail names the field.
    EvidenceBroken,
    /// The registry that owns the prefix has no such code.
    NotRegistered,
    /// Scrapped, recycled or annulled.
    FinalState,
    /// A hold that blocks this purpose.
    BlockingHold,
    /// A recall that blocks this purpose and was not remedied.
    RecallOpen,
    /// The type approval was withdrawn.
    ApprovalWithdrawn,
    /// The type approval is suspended.
    ApprovalSuspended,
    /// The maker is suspended or struck off.
    MakerNotActive,
    /// Custody is not where the purpose needs it, or the registries do not agree on it.
    CustodyMismatch,
    /// Evidence that is needed was not given.
    NoEvidence,
    /// A field that is needed is hidden.
    HiddenField,
    /// No agreement between verifier and issuer is in force.
    NoAgreement,
    /// No clause of the agreement covers such a robot for this purpose.
    NoClause,
    /// The registry that owns the prefix, or its log, is not pinned.
    UnknownRegistry,
    /// A checkpoint lies in the verifier's future.
    ClockAhead,
    /// A checkpoint, or the bundle it is judged by, is older than allowed.
    TooOld,
    /// The robot's leaf is not proven to be its newest.
    NewestNotProven,
    /// The registry showed two histories.
    PeerQuarantined,
    /// One stolen server can sign for this registry.
    SingleKey,
    /// Filed by an importer, not by the maker's country.
    ImportersFiling,
    /// The life-cycle state does not serve this purpose.
    NotInService,
    /// Of a version that this program does not know.
    Unsupported,
    /// The registry is a sandbox: one admin alone makes its offices.
    Sandbox,
    /// What the verifier's own country knows is missing, or not whole: save a pack.
    NoPack,
    /// The registry showed a smaller head of a later time: it was restored from a copy.
    RolledBack,
    /// The registry showed a head that does not extend the one before.
    OtherHistory,
    /// The head is older than one that was taken in: the server that answered lags.
    OlderHead,
    /// Nothing shows that the head extends the one that the own country knows.
    HeadNotJoined,
    /// The bundle was replaced by a newer one with another log key.
    Superseded,
    /// The bundle claims a prefix that is not pinned for its country.
    PrefixClaimed,
    /// The robot was admitted for a time: it is not sold where it is.
    HereForATime,
    /// The verifier's own country detained it at its border.
    Detained,
    /// A registry does not answer now: its last answer is used.
    DoesNotAnswer,
    /// Where the robot's newest transfer stands.
    InTransfer,
    /// A registry answers that it is overloaded: its last answer is used, or there is none.
    PeerOverloaded,
    /// The agreement that allows it is suspended: nothing new is offered or permitted by it.
    AgreementSuspended,
    /// The verifier's own country has let it in: who comes with it to the border presents it a second time.
    AdmittedHere,
}
carnet_domain::canonical_enum!(ReasonCode {
    1 => BadSignature, 2 => EvidenceBroken, 3 => NotRegistered, 4 => FinalState, 5 => BlockingHold, 6 => RecallOpen,
    7 => ApprovalWithdrawn, 8 => ApprovalSuspended, 9 => MakerNotActive, 10 => CustodyMismatch, 11 => NoEvidence,
    12 => HiddenField, 13 => NoAgreement, 14 => NoClause, 15 => UnknownRegistry, 16 => ClockAhead, 17 => TooOld,
    18 => NewestNotProven, 19 => PeerQuarantined, 20 => SingleKey, 21 => ImportersFiling, 22 => NotInService,
    23 => Unsupported, 24 => Sandbox, 25 => NoPack, 26 => RolledBack, 27 => OtherHistory, 28 => OlderHead,
    29 => HeadNotJoined, 30 => Superseded, 31 => PrefixClaimed, 32 => HereForATime,
    33 => Detained, 34 => DoesNotAnswer, 35 => InTransfer, 36 => PeerOverloaded, 37 => AgreementSuspended,
    38 => AdmittedHere,
});

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&upper(self.name()))
    }
}

/// `NotRegistered` as `NOT_REGISTERED`.
fn upper(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if 0 < i && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// The most bytes of a reason's particulars.
pub const REASON_BYTES_MAX: usize = 8 * 1024;

/// One reason: what, which value it argues for, and the particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What.
    pub code: ReasonCode,
    /// What it argues for; a note argues for nothing and stands at [`Value::Valid`].
    pub value: Value,
    /// Particulars, for people.
    pub detail: String,
}
carnet_domain::canonical_struct!(Reason {
    code,
    value,
    detail: Text<REASON_BYTES_MAX>
});

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

/// The clause that allowed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseUsed {
    /// Name of the agreement.
    pub agreement: String,
    /// Of that agreement, which was in force.
    pub version: u32,
    /// Within the agreement.
    pub number: u16,
}
carnet_domain::canonical_struct!(ClauseUsed {
    agreement,
    version,
    number
});

impl fmt::Display for ClauseUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            agreement,
            version,
            number,
        } = self;
        write!(
            f,
            "agreement {agreement}, version {version}, clause {number}"
        )
    }
}

/// A head that the verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointUsed {
    /// The log.
    pub origin: Origin,
    /// Tree size.
    pub size: u64,
    /// Log time of its map head.
    pub time: TimeMs,
    /// How old it was when the verdict was made; zero if it lay in the future.
    pub age: DurationMs,
    /// The age up to which it counts as fresh.
    pub age_max: DurationMs,
}
carnet_domain::canonical_struct!(CheckpointUsed {
    origin,
    size,
    time,
    age,
    age_max
});

impl fmt::Display for CheckpointUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin, size, time, ..
        } = self;
        write!(f, "{origin} size {size} at {time}, {} old", words(self.age))
    }
}

/// A duration in the two largest units.
pub(crate) fn words(duration: DurationMs) -> String {
    let secs = duration.as_ms() / 1000;
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, _) => format!("{minutes} min {} s", secs % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A verdict. Made by [`judge`]; one that was decoded is what somebody else says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Of this form: [`VERDICT_VERSION`]; another one is not read.
    pub version: u8,
    /// The robot that is judged.
    pub code: Code,
    /// What it is judged for.
    pub purpose: Purpose,
    /// Who asks: primary prefix of the verifier's country.
    pub verifier: Prefix,
    /// The value: that of the worst reason.
    pub value: Value,
    /// Reasons, the worst first.
    pub reasons: Vec<Reason>,
    /// What is shown and lowers nothing.
    pub notes: Vec<Reason>,
    /// The clause that allowed it; none at home.
    pub clause: Option<ClauseUsed>,
    /// Life-cycle state, as far as known.
    pub state: Option<State>,
    /// The registry that is responsible for the robot, as far as known.
    pub custodian: Option<Prefix>,
    /// Head of the issuer's log.
    pub issuer_checkpoint: Option<CheckpointUsed>,
    /// Heads of the custodians' logs, in the order given.
    pub custodian_checkpoints: Vec<CheckpointUsed>,
    /// When it was made, by the verifier's clock.
    pub judged_at: TimeMs,
}
carnet_domain::canonical_struct!(Verdict {
    version,
    code,
    purpose,
    verifier,
    value,
    reasons,
    notes,
    clause,
    state,
    custodian,
    issuer_checkpoint,
    custodian_checkpoints,
    judged_at
});

/// Several lines: the value first, then reasons, notes, clause and the age of every head.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, purpose) = (self.code.display_form(), self.purpose.name());
        writeln!(
            f,
            "{} {code} for {purpose} in {}",
            self.value, self.verifier
        )?;
        for reason in &self.reasons {
            writeln!(f, "  {} {reason}", reason.value)?;
        }
        for note in &self.notes {
            writeln!(f, "  note {note}")?;
        }
        if let Some(clause) = &self.clause {
            writeln!(f, "  by {clause}")?;
        }
        if let Some(state) = self.state {
            writeln!(f, "  state {}", state.name())?;
        }
        if let Some(custodian) = self.custodian {
            writeln!(f, "  responsible is {custodian}")?;
        }
        let heads = self.issuer_checkpoint.iter();
        for head in heads.chain(&self.custodian_checkpoints) {
            writeln!(f, "  head {head}")?;
        }
        write!(f, "  judged at {}", self.judged_at)
    }
}

/// Evidence of one registry, with the bundle it is judged by.
#[derive(Debug, Clone)]
pub struct EvidenceInput {
    /// The registry's bundle.
    pub bundle: PinnedBundle,
    /// Canonical evidence, if there is any.
    pub evidence: Option<Vec<u8>>,
    /// What was proven by it, where it was verified before; of another key or log it is not used.
    pub proven: Option<ProvenEvidence>,
    /// The verifier's own country's word that it took in the head of that evidence.
    pub taken: Option<TakenHead>,
    /// That the registry does not answer now, if so.
    pub silent: Option<Silent>,
}

impl EvidenceInput {
    /// Evidence as it was given, with nobody's word about it.
    pub fn of(bundle: PinnedBundle, evidence: Option<Vec<u8>>) -> Self {
        Self {
            bundle,
            evidence,
            proven: None,
            taken: None,
            silent: None,
        }
    }

    /// What is proven by the evidence that is given: verified before, or now.
    ///
    /// # Errors
    /// It does not hold.
    pub(crate) fn verified(&self, bytes: &[u8]) -> Result<ProvenEvidence, EvidenceError> {
        let (keys, origin) = (&self.bundle.bundle().keys, self.bundle.origin());
        let proven = self.proven.as_ref();
        match proven.filter(|proven| proven.head().is_of(keys, &origin)) {
            Some(proven) => Ok(proven.clone()),
            None => parse(bytes)?.verify(keys, &origin),
        }
    }
}

/// A registry was asked and gave no evidence: what it gave before is used, if it ever gave any here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// When what is used came.
    pub since: Option<TimeMs>,
    /// Whether anybody was there.
    pub cause: SilentCause,
    /// What its endpoints said, for people.
    pub why: String,
}

/// Why a registry gave no evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilentCause {
    /// None of its endpoints answered, or not with evidence.
    NoAnswer,
    /// It answered that it is overloaded, as often as it was asked.
    Overloaded,
}

/// What a verdict is made from.
#[derive(Debug, Clone)]
pub struct Input {
    /// Primary prefix of the verifier's country.
    pub verifier: Prefix,
    /// The robot that was judged.
    pub code: Code,
    /// The registry that owns the code's prefix, if it is pinned.
    pub issuer: Option<EvidenceInput>,
    /// Registries that took custody since; the verifier's own is one of them when the robot is here.
    pub custodians: Vec<EvidenceInput>,
    /// What the verifier's own country knows, from its store or its pack.
    pub known: Option<Known>,
    /// The oldest own head, and the oldest own knowledge, that counts as fresh; [`OWN_AGE_MAX`] unless the verifier says
    /// otherwise.
    pub own_age_max: DurationMs,
}
