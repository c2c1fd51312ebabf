//! How a verdict comes about: every input is opened, the robot is located, every fact argues for a value.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::ModelStanding;
use carnet_domain::record::event::Standing;
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::{Agreement, Clause, KeyringKind};
use carnet_domain::rules::lifecycle::State;

use super::custody::Party;
use super::{
    AHEAD_MAX, CheckpointUsed, ClauseUsed, EvidenceInput, Input, Purpose, Reason, ReasonCode,
    Silent, SilentCause, VERDICT_VERSION, Value, Verdict, facts, words,
};
use crate::bundle::PinnedBundle;
use crate::evidence::{EvidenceError, ProvenEvidence};

/// Judges a robot for a purpose from what is given, at the verifier's time `now`.
pub fn judge(purpose: Purpose, input: &Input, now: TimeMs) -> Verdict {
    judge_with(purpose, input, now, Vec::new())
}

/// As [`judge`], with reasons that were found while the input was opened.
pub(crate) fn judge_with(
    purpose: Purpose,
    input: &Input,
    now: TimeMs,
    reasons: Vec<Reason>,
) -> Verdict {
    let mut case = Case {
        purpose,
        input,
        now,
        reasons,
        notes: Vec::new(),
        clause: None,
        state: None,
        custodian: None,
        heads: Vec::new(),
        own_said: false,
        of_heads: Vec::new(),
        way: None,
    };
    let proofs = case.examine();
    if !case.own_said {
        case.own_record_alone();
    }
    case.close(proofs)
}

/// Everything that VALID rests on. Only [`Case::examine`] makes one, at its very end.
struct Proofs {
    _issuer: ProvenEvidence,
    _model: ModelStanding,
    _standing: Standing,
    _allowed: Allowed,
}

/// Why the robot may be relied on here at all.
enum Allowed {
    /// A clause of an agreement in force.
    ByClause,
    /// The verifier's own code.
    AtHome,
}

/// The one constructor of [`Value::Valid`].
fn valid(_: &Proofs) -> Value {
    Value::Valid
}

/// How old a head is, and what that means.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) fresh: bool,
}

pub(super) struct Case<'a> {
    pub(super) purpose: Purpose,
    pub(super) input: &'a Input,
    pub(super) now: TimeMs,
    pub(super) reasons: Vec<Reason>,
    pub(super) notes: Vec<Reason>,
    pub(super) clause: Option<ClauseUsed>,
    pub(super) state: Option<State>,
    pub(super) custodian: Option<carnet_domain::bytes::code::Prefix>,
    /// Heads in the order issuer, custodians; `None` for what could not be opened.
    pub(super) heads: Vec<Option<CheckpointUsed>>,
    /// How each registry's head goes with the one known.
    pub(super) of_heads: Vec<(Prefix, Reason)>,
    /// The registries on the way to the robot, once they are known.
    pub(super) way: Option<Vec<Prefix>>,
    /// Whether what the own country recorded of the robot was weighed.
    pub(super) own_said: bool,
}

impl<'a> Case<'a> {
    pub(super) fn argue(&mut self, code: ReasonCode, value: Value, detail: impl Into<String>) {
        let list = match value {
            Value::Valid => &mut self.notes,
            _ => &mut self.reasons,
        };
        let reason = Reason {
            code,
            value,
            detail: detail.into(),
        };
        if !list.contains(&reason) {
            list.push(reason);
        }
    }

    pub(super) fn unknown(&mut self, code: ReasonCode, detail: impl Into<String>) {
        self.argue(code, Value::Indeterminate, detail);
    }

    /// A fact that blocks: proof while its head is fresh, a reason to ask again when it is not.
    pub(super) fn block(&mut self, code: ReasonCode, seen: Seen, detail: impl Into<String>) {
        let value = if seen.fresh {
            Value::Invalid
        } else {
            Value::Stale
        };
        self.argue(code, value, detail);
    }

    fn close(mut self, proofs: Option<Proofs>) -> Verdict {
        for (registry, reason) in std::mem::take(&mut self.of_heads) {
            let counts = self.way.as_ref().is_none_or(|way| way.contains(&registry));
            if counts && !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
        let worst = self.reasons.iter().map(|reason| reason.value).min();
        let value = match (worst, &proofs) {
            (Some(worst), _) => worst,
            (None, Some(proofs)) => valid(proofs),
            (None, None) => {
                self.unknown(ReasonCode::NoEvidence, "a proof is missing");
                Value::Indeterminate
            }
        };
        self.reasons
            .sort_by_key(|reason| (reason.value, reason.code));
        self.notes.sort_by_key(|note| note.code);
        let mut heads = self.heads.into_iter();
        Verdict {
            version: VERDICT_VERSION,
            code: self.input.code,
            purpose: self.purpose,
            verifier: self.input.verifier,
            value,
            reasons: self.reasons,
            notes: self.notes,
            clause: self.clause,
            state: self.state,
            custodian: self.custodian,
            issuer_checkpoint: heads.next().flatten(),
            custodian_checkpoints: heads.flatten().collect(),
            judged_at: self.now,
        }
    }

    fn examine(&mut self) -> Option<Proofs> {
        let input = self.input;
        self.knowledge();
        self.identities(None);
        // Custodians are opened first, so that what is broken there is said even when the issuer is not known.
        let custodians: Vec<_> = input.custodians.iter().map(|c| (c, self.open(c))).collect();
        let Some(issuer) = &input.issuer else {
            let prefix = input.code.prefix();
            self.unknown(
                ReasonCode::UnknownRegistry,
                format!("no registry is pinned for prefix {prefix}"),
            );
            return None;
        };
        if !issuer.bundle.issues(&input.code) {
            let (primary, prefix) = (issuer.bundle.primary(), input.code.prefix());
            self.unknown(
                ReasonCode::UnknownRegistry,
                format!("{primary} does not own prefix {prefix}"),
            );
            return None;
        }
        let proven = self.open(issuer);
        let home = issuer.bundle.owns(&input.verifier);
        let standing = proven.as_ref().and_then(ProvenEvidence::model).cloned();
        let allowed = self.allow(home, &issuer.bundle, standing.as_ref());
        let clause = allowed.as_ref().and_then(|(_, clause)| *clause);
        let seen = proven
            .as_ref()
            .map(|proven| self.see(&issuer.bundle, proven, clause));
        if seen.is_none() {
            self.heads.push(None);
        }
        let mut parties = Vec::new();
        let mut all_seen = Vec::new();
        for (given, opened) in &custodians {
            if let Some(proven) = opened {
                all_seen.push(self.see(&given.bundle, proven, clause));
                let bundle = &given.bundle;
                parties.push(Party { bundle, proven });
            }
        }
        let (proven, seen) = (proven?, seen?);
        let bundle = &issuer.bundle;
        parties.insert(
            0,
            Party {
                bundle,
                proven: &proven,
            },
        );
        all_seen.insert(0, seen);
        if proven.robot().is_none() {
            let registry = issuer.bundle.primary();
            self.dated(&[0], &parties, &all_seen);
            self.block(
                ReasonCode::NotRegistered,
                seen,
                format!("{registry} has no such code"),
            );
            return None;
        }
        if self.state.is_none() {
            parties
                .iter()
                .for_each(|party| self.identities(Some(party)));
        }
        let located = self.follow(&parties, &all_seen);
        self.way = located.as_ref().map(|located| {
            let on_way = located.path.iter().map(|at| &parties[*at]);
            on_way.map(|party| party.bundle.primary()).collect()
        });
        self.model(standing.as_ref(), seen);
        self.own_models();
        let located = located?;
        self.identities_shown(&parties, &located.path);
        self.identity_agrees(&parties, &located.path);
        let record = &parties[located.record];
        let robot = record.proven.robot()?;
        let shown = self.state(record, robot, all_seen[located.record]);
        if located.record != located.responsible {
            let (party, seen) = (&parties[located.responsible], all_seen[located.responsible]);
            self.holds_on_the_way(party, shown.as_ref(), seen);
        }
        if let (Some(model), Some(shown)) = (&standing, &shown) {
            self.recalls(&model.recalls, shown, robot, seen, clause.filter(|_| !home));
            self.own_recalls(model, shown, robot);
        }
        self.own_record(&parties, &all_seen, shown.as_ref());
        self.filing(robot);
        self.place(&parties, &located);
        self.where_recorded(&parties, &located);
        self.in_transfer();
        self.admitted(&parties);
        self.detained(&parties, &all_seen);
        self.ground(&parties, &located);
        input.known.as_ref()?;
        Some(Proofs {
            _issuer: proven.clone(),
            _model: standing?,
            _standing: shown?,
            _allowed: allowed?.0,
        })
    }

    /// Reads and verifies the evidence of one registry.
    fn open(&mut self, given: &EvidenceInput) -> Option<ProvenEvidence> {
        let registry = given.bundle.primary();
        self.doubted(&registry);
        self.known_of(&given.bundle);
        if given.bundle.bundle().keyring == KeyringKind::File {
            self.argue(
                ReasonCode::SingleKey,
                Value::Valid,
                format!("one server of {registry} can sign alone"),
            );
        }
        if given.bundle.bundle().profile == Profile::Sandbox {
            self.argue(
                ReasonCode::Sandbox,
                Value::Valid,
                format!("{registry} is a sandbox: one admin alone makes its offices"),
            );
        }
        let Some(bytes) = &given.evidence else {
            let (code, detail) = match &given.silent {
                Some(Silent { cause, why, .. }) => {
                    let (code, how) = silence(*cause);
                    let code = code.unwrap_or(ReasonCode::NoEvidence);
                    (code, format!("{registry} {how}: {why}"))
                }
                None => {
                    let detail = format!("no evidence of {registry} was given");
                    (ReasonCode::NoEvidence, detail)
                }
            };
            self.unknown(code, detail);
            return None;
        };
        if let Some(Silent {
            since: Some(since),
            cause,
            why,
        }) = &given.silent
        {
            let (code, how) = silence(*cause);
            let code = code.unwrap_or(ReasonCode::DoesNotAnswer);
            let detail = format!("{registry} {how}, its answer of {since} is used: {why}");
            self.argue(code, Value::Valid, detail);
        }
        match given.verified(bytes) {
            Ok(proven) if *proven.code() == self.input.code => {
                let before = self.reasons.len();
                self.head(&registry, &proven, given.taken.as_ref());
                // How its head goes with the one known counts where it is needed to find the robot: whoever shows it where it is
                // not might as well have left it out.
                let said = self.reasons.split_off(before);
                self.of_heads
                    .extend(said.into_iter().map(|reason| (registry, reason)));
                Some(proven)
            }
            Ok(proven) => {
                let other = proven.code().display_form();
                self.argue(
                    ReasonCode::EvidenceBroken,
                    Value::Invalid,
                    format!("{registry}: code: the evidence is about {other}"),
                );
                None
            }
            Err(error) => {
                let (code, value) = weight(&error);
                self.argue(
                    code,
                    value,
                    format!("{registry}: {}: {error}", error.field()),
                );
                None
            }
        }
    }

    /// The clause that allows it, or that it is a code of our own.
    fn allow(
        &mut self,
        home: bool,
        issuer: &PinnedBundle,
        model: Option<&ModelStanding>,
    ) -> Option<(Allowed, Option<&'a Clause>)> {
        if home {
            return Some((Allowed::AtHome, None));
        }
        let (me, other) = (self.input.verifier, issuer.primary());
        // That nothing is known is said already.
        let known = self.input.known.as_ref()?;
        // By the log time of what is known, as the registry itself judges an offer: an old pack ends no suspension.
        let until = |a: &Agreement| {
            let reference = a.reference();
            let mut suspended = known.suspended.iter();
            let found = suspended.find(|one| one.agreement == reference && known.at < one.until);
            found.map(|one| one.until)
        };
        let suspended = |a: &Agreement| self.purpose == Purpose::ImportPermit && until(a).is_some();
        let between = |a: &Agreement| {
            let (one, two) = a.parties;
            (one == me && issuer.owns(&two)) || (two == me && issuer.owns(&one))
        };
        // One with a country that had the robot since lets those of others pass, where a clause of ours in it names their issuer.
        let passes = |a: &Agreement| {
            let (one, two) = a.parties;
            let mut on_way = self.input.custodians.iter();
            let other = if one == me { two } else { one };
            (one == me || two == me)
                && on_way.any(|had| had.bundle.owns(&other) && !had.bundle.owns(&me))
                && a.clauses
                    .iter()
                    .any(|clause| clause.recogniser == me && issuer.owns(&clause.issuer))
        };
        let in_force = || {
            let all = known.agreements.iter();
            all.filter(|a| (between(a) || passes(a)) && a.in_force(self.now))
        };
        // A version that is suspended brings no older one back.
        let is_newest =
            |a: &&Agreement| !in_force().any(|other| other.id == a.id && a.version < other.version);
        let usable = || in_force().filter(|a| is_newest(a) && !suspended(a));
        let Some(newest) = usable().max_by_key(|a| a.version) else {
            let rests = in_force().filter(is_newest).find_map(|a| {
                let (agreement, version, until) = (&a.id, a.version, until(a)?);
                Some(format!(
                    ": {agreement}, version {version}, is suspended until {until}"
                ))
            });
            let why = rests.unwrap_or_default();
            self.unknown(
                ReasonCode::NoAgreement,
                format!("no agreement between {me} and {other} is in force{why}"),
            );
            return None;
        };
        let Some(model) = model else {
            // Which clause covers it depends on the model; that it is not shown is said elsewhere.
            return None;
        };
        let id = self.input.code.model_id();
        // Two countries may have several agreements: the clause that allows it decides, in whichever it stands.
        let mut clauses = usable().flat_map(|a| a.clauses.iter().map(move |clause| (a, clause)));
        let allowing = clauses.find(|(_, clause)| {
            clause.recogniser == me
                && issuer.owns(&clause.issuer)
                && clause.covers(&id, model.level, model.safety_class)
                && facts::clause_serves(&clause.purposes, self.purpose)
        });
        let Some((agreement, clause)) = allowing else {
            let (agreement, version) = (&newest.id, newest.version);
            let (level, class) = (model.level, model.safety_class);
            self.unknown(
                ReasonCode::NoClause,
                format!(
                    "agreement {agreement}, version {version}: no clause of {me} covers model {id}, level {level}, \
                     safety class {class}, for {}",
                    self.purpose.name()
                ),
            );
            return None;
        };
        let (rests, reference) = (until(agreement), agreement.reference());
        self.clause = Some(ClauseUsed {
            agreement: agreement.id.clone(),
            version: agreement.version,
            number: clause.number,
        });
        if let Some(until) = rests {
            let (agreement, version) = (&reference.id, reference.version);
            self.argue(
                ReasonCode::AgreementSuspended,
                Value::Valid,
                format!(
                    "agreement {agreement}, version {version}, is suspended until {until}: nothing new is offered or permitted by it"
                ),
            );
        }
        Some((Allowed::ByClause, Some(clause)))
    }

    /// Notes a head and how old it is.
    fn see(
        &mut self,
        bundle: &PinnedBundle,
        proven: &ProvenEvidence,
        clause: Option<&Clause>,
    ) -> Seen {
        let own = bundle.owns(&self.input.verifier);
        let age_max: DurationMs = match clause {
            Some(clause) if !own => clause.checkpoint_age_max,
            _ => self.input.own_age_max,
        };
        let age = self.now.since(proven.time());
        self.heads.push(Some(CheckpointUsed {
            origin: *proven.origin(),
            size: proven.size(),
            time: proven.time(),
            age,
            age_max,
        }));
        Seen {
            fresh: age <= age_max,
        }
    }

    /// What the age of heads and bundles on the way argues for.
    pub(super) fn dated(&mut self, path: &[usize], parties: &[Party<'_>], seen: &[Seen]) {
        for at in path {
            let (bundle, proven) = (parties[*at].bundle, parties[*at].proven);
            let registry = bundle.primary();
            let time = proven.time();
            // saturates: nothing is later than the last instant
            if self.now.saturating_add(AHEAD_MAX) < time {
                self.unknown(
                    ReasonCode::ClockAhead,
                    format!(
                        "the head of {registry} is of {time}, here it is {}",
                        self.now
                    ),
                );
            }
            if !seen[*at].fresh {
                let age = words(self.now.since(time));
                self.argue(
                    ReasonCode::TooOld,
                    Value::Stale,
                    format!("the head of {registry} is {age} old"),
                );
            }
            let valid_to = bundle.bundle().valid_to;
            if valid_to < self.now {
                self.argue(
                    ReasonCode::TooOld,
                    Value::Stale,
                    format!("the bundle of {registry} was valid until {valid_to}"),
                );
            }
            if proven.robot().is_some_and(|robot| robot.status().is_none()) {
                self.argue(
                    ReasonCode::NewestNotProven,
                    Value::Stale,
                    format!("{registry} may have a newer leaf of the robot"),
                );
            }
        }
    }
}

/// The code of a registry that gave no evidence, where it has one of its own, and how it is said.
fn silence(cause: SilentCause) -> (Option<ReasonCode>, &'static str) {
    match cause {
        SilentCause::NoAnswer => (None, "does not answer"),
        SilentCause::Overloaded => (
            Some(ReasonCode::PeerOverloaded),
            "answers that it is overloaded",
        ),
    }
}

/// What evidence that does not hold argues for.
fn weight(error: &EvidenceError) -> (ReasonCode, Value) {
    use carnet_domain::log::checkpoint::NoteError;
    match error {
        EvidenceError::Unsupported { .. } => (ReasonCode::Unsupported, Value::Indeterminate),
        // A log that was restored since our bundle: the bundle is what is missing.
        EvidenceError::OtherLog { expected, found } if expected.prefix == found.prefix => {
            (ReasonCode::UnknownRegistry, Value::Indeterminate)
        }
        EvidenceError::Checkpoint(NoteError::Signature | NoteError::Unsigned(_)) => {
            (ReasonCode::BadSignature, Value::Invalid)
        }
        // The log may be in order, and the key that signed this head has ended: it proves nothing new.
        EvidenceError::Checkpoint(
            NoteError::KeyTooNew { .. }
            | NoteError::KeyRetired { .. }
            | NoteError::KeyCompromised { .. },
        ) => (ReasonCode::Superseded, Value::Indeterminate),
        _ => (ReasonCode::EvidenceBroken, Value::Invalid),
    }
}
