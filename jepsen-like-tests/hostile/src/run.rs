//! Runs programs and judges them: what broke, and how deep the attacks came.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use carnet_domain::machine::entry::{Answer, ItemAnswer};
use carnet_domain::rules::rejection::{Counted, Detail, Reason};

use crate::program::{Attack, Manner, Program, play};
use crate::replicas::{answer, apart, at_once, rules_alone};

/// Steps of one program.
pub const STEPS: usize = 60;
/// The least share of attacks, in percent, that must come past decoder and signature: below it the harness is broken,
/// whatever else it says.
pub const RULES_PERCENT_MIN: u64 = 35;

/// How far an attack came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The bytes were not of the type.
    Decoder,
    /// A signature, a session or a proof stopped it.
    Signature,
    /// The rules judged it.
    Rules,
}

impl Stage {
    /// Where the answer to an attack was given.
    fn of(answer: &Answer) -> Self {
        let stages = answer.items.iter().map(|item| match item {
            ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => Self::Rules,
            ItemAnswer::Refused { rejection } => match rejection.reason {
                Reason::Malformed => Self::Decoder,
                Reason::WrongAudience
                | Reason::SessionUnknown
                | Reason::SessionExpired
                | Reason::IdempotencyMismatch
                | Reason::CommandExpired
                | Reason::SignerUnknown
                | Reason::SignerNotActive
                | Reason::BadSignature
                | Reason::StatementUnsigned
                | Reason::PeerUnknown
                | Reason::EvidenceBroken
                | Reason::EvidenceGap
                | Reason::ClockAhead
                | Reason::NotSealed => Self::Signature,
                _ => Self::Rules,
            },
        });
        stages.max().unwrap_or(Self::Rules)
    }
}

/// What came of programs.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Programs run.
    pub programs: u64,
    /// Entries applied.
    pub entries: u64,
    /// Attacks by kind and stage.
    pub stages: BTreeMap<(Attack, Stage), u64>,
    /// Answers to attacks, by what attacked and by reason.
    pub answers: BTreeMap<(Attack, String), u64>,
    /// Bounds that were met, by the name of what is counted.
    pub limits: BTreeMap<&'static str, u64>,
    /// What broke: seed and words.
    pub failures: Vec<(u64, String)>,
}

impl Report {
    /// How many attacks were answered.
    pub fn attacks(&self) -> u64 {
        self.stages.values().sum()
    }

    /// The share of attacks that the rules judged, in percent.
    pub fn rules_percent(&self) -> u64 {
        let all = self.attacks();
        let judged: u64 = self
            .stages
            .iter()
            .filter(|((_, stage), _)| *stage == Stage::Rules)
            .map(|(_, count)| count)
            .sum();
        (judged * 100).checked_div(all).unwrap_or(0)
    }

    /// How often an attack was answered so.
    pub fn answered(&self, attack: Attack, reason: &str) -> u64 {
        let key = (attack, reason.to_owned());
        self.answers.get(&key).copied().unwrap_or(0)
    }

    /// How often anything was answered so.
    pub fn answered_at_all(&self, reason: Reason) -> u64 {
        let of_it = self
            .answers
            .iter()
            .filter(|((_, name), _)| name == reason.name());
        of_it.map(|(_, count)| count).sum()
    }

    /// The reasons that no attack was answered with, in their order.
    pub fn never_answered(&self) -> Vec<Reason> {
        let all = Reason::ALL.iter().copied();
        all.filter(|reason| self.answered_at_all(*reason) == 0)
            .collect()
    }

    /// What is counted and was never full.
    pub fn never_full(&self) -> Vec<Counted> {
        let all = Counted::ALL.iter().copied();
        all.filter(|what| !self.limits.contains_key(what.name()))
            .collect()
    }

    /// What attacked at all.
    fn kinds(&self) -> Vec<Attack> {
        let came = |attack: &Attack| self.stages.keys().any(|(one, _)| one == attack);
        Attack::ALL.into_iter().filter(came).collect()
    }

    /// Whether the attacks came deep enough for "nothing broke" to mean something.
    pub fn is_deep(&self) -> bool {
        self.rules_percent() >= RULES_PERCENT_MIN
    }

    /// Takes another report in.
    pub fn add(&mut self, other: Self) {
        self.programs += other.programs;
        self.entries += other.entries;
        for (key, count) in other.stages {
            *self.stages.entry(key).or_default() += count;
        }
        for (key, count) in other.answers {
            *self.answers.entry(key).or_default() += count;
        }
        for (what, count) in other.limits {
            *self.limits.entry(what).or_default() += count;
        }
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} programs, {} entries", self.programs, self.entries)?;
        writeln!(out, "attack          decoder  signature  rules")?;
        for attack in self.kinds() {
            let count = |stage| self.stages.get(&(attack, stage)).copied().unwrap_or(0);
            writeln!(
                out,
                "{:<15} {:>7} {:>10} {:>6}",
                format!("{attack:?}"),
                count(Stage::Decoder),
                count(Stage::Signature),
                count(Stage::Rules)
            )?;
        }
        for attack in self.kinds() {
            let of_it = |((by, reason), count): (&(Attack, String), &u64)| {
                (*by == attack).then(|| (*count, reason.clone()))
            };
            let mut answers: Vec<(u64, String)> = self.answers.iter().filter_map(of_it).collect();
            answers.sort_by(|one, other| other.cmp(one));
            let all: u64 = answers.iter().map(|(count, _)| count).sum();
            let shares = answers.iter().map(|(count, reason)| {
                let percent = (count * 100).checked_div(all).unwrap_or(0);
                format!("{reason} {percent} %")
            });
            let shares: Vec<String> = shares.collect();
            writeln!(out, "{attack:?}: {all} answers: {}", shares.join(", "))?;
        }
        writeln!(
            out,
            "{} % of {} attacks reached the rules",
            self.rules_percent(),
            self.attacks()
        )?;
        let never: Vec<&str> = self.never_answered().iter().map(|one| one.name()).collect();
        writeln!(out, "never answered: {}", never.join(", "))?;
        let never: Vec<&str> = self.never_full().iter().map(|one| one.name()).collect();
        writeln!(out, "never full: {}", never.join(", "))?;
        for (seed, words) in &self.failures {
            writeln!(out, "FAILED seed {seed}: {words}")?;
        }
        Ok(())
    }
}

/// Runs the program of one seed.
pub fn run(seed: u64, manner: Manner) -> Report {
    let mut report = Report {
        programs: 1,
        ..Report::default()
    };
    let program = play(seed, STEPS, manner);
    report.entries = program.log.len() as u64;
    if let Err(words) = judge(&program, &mut report) {
        report.failures.push((seed, words));
    }
    report
}

fn judge(program: &Program, report: &mut Report) -> Result<(), String> {
    if let Some(panic) = &program.panic {
        return Err(format!("panic at {panic}"));
    }
    if let Some(broken) = &program.broken {
        return Err(broken.clone());
    }
    let folder = tempfile::TempDir::new().map_err(|error| error.to_string())?;
    let alone = caught("the rules alone", || Ok(rules_alone(program)))?;
    let whole = caught("the replica in one chunk", || {
        at_once(program).map_err(|fault| format!("{fault:?}"))
    })?;
    let apart = caught("the replica in pieces", || {
        apart(program, folder.path()).map_err(|fault| format!("{fault:?}"))
    })?;
    for (at, logged) in program.log.iter().enumerate() {
        let (one, other) = (&whole.answers[at], &apart.answers[at]);
        let by_rules = alone[at].as_ref().unwrap_or(one);
        if one != other || one != by_rules {
            let words = |bytes: &[u8]| format!("{:?}", answer(bytes));
            return Err(format!(
                "entry {at} ({:?}) is answered differently: {} | {} | {}",
                logged.attack,
                words(one),
                words(other),
                words(by_rules)
            ));
        }
        let Some(attack) = logged.attack else {
            continue;
        };
        let Some(answer) = answer(one) else {
            return Err(format!("the answer to entry {at} cannot be read"));
        };
        *report
            .stages
            .entry((attack, Stage::of(&answer)))
            .or_default() += 1;
        for item in answer.items.iter().take(4) {
            let reason = match item {
                ItemAnswer::Done { .. } => "Done".to_owned(),
                ItemAnswer::Nothing {} => "Nothing".to_owned(),
                ItemAnswer::Refused { rejection } => {
                    if let Detail::Full { what, .. } | Detail::InAMinute { what, .. } =
                        &rejection.detail
                    {
                        *report.limits.entry(what.name()).or_default() += 1;
                    }
                    rejection.reason.name().to_owned()
                }
            };
            *report.answers.entry((attack, reason)).or_default() += 1;
        }
    }
    if whole.content != apart.content {
        return Err("the replicas' content differs".into());
    }
    Ok(())
}

fn caught<T>(what: &str, run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| format!("{what}: {error}")),
        Err(payload) => {
            let words = payload.downcast_ref::<String>().cloned().or_else(|| {
                payload
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
            });
            Err(format!("{what} panicked: {}", words.unwrap_or_default()))
        }
    }
}
