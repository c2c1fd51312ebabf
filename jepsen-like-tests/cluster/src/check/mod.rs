//! Judges a run by what its clients saw. Pure: a history in, a verdict out.
//!
//! A checker that was never seen to refuse proves nothing: each has hand-made bad histories in its tests.

mod answers;
mod coverage;
mod custody;
mod epochs;
mod heads;
mod power;
mod replicas;
mod robots;

use std::fmt;

pub use self::answers::{Breaks, is_explained};
pub use self::coverage::{Coverage, Needed, covered};
pub use self::custody::{Crossed, custody_covered, custody_holds};
pub use self::epochs::epochs_stay_burned;
pub use self::heads::{Head, Proofs, heads_consistent};
pub use self::power::acknowledged_before_a_cut;
pub use self::replicas::{Look, replicas_equal};
pub use self::robots::robots_linearizable;

/// The verdict on a run. Only `Holds` counts as holding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every invariant held, and enough happened to say so.
    Holds,
    /// An invariant was broken.
    Violated(Vec<Violation>),
    /// The run does not allow a judgement.
    HarnessBroken(Vec<String>),
}

/// One broken invariant and who saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number in the list of invariants (I1, I2, …); I11: an answer that no fault explains.
    pub invariant: &'static str,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.text)
    }
}

impl Verdict {
    /// The verdict from all that was found; a violation outweighs a broken harness.
    pub fn of(violations: Vec<Violation>, missing: Vec<String>) -> Self {
        if !violations.is_empty() {
            Self::Violated(violations)
        } else if !missing.is_empty() {
            Self::HarnessBroken(missing)
        } else {
            Self::Holds
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More lines than this tell a reader nothing new.
        const LINE_COUNT_MAX: usize = 20;
        let (word, lines): (&str, Vec<String>) = match self {
            Self::Holds => return f.write_str("holds"),
            Self::Violated(all) => ("violated", all.iter().map(ToString::to_string).collect()),
            Self::HarnessBroken(all) => ("harness broken", all.clone()),
        };
        write!(f, "{word}, {} times", lines.len())?;
        lines
            .iter()
            .take(LINE_COUNT_MAX)
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Collects violations of a checker.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, invariant: &'static str, text: String) {
        self.0.push(Violation { invariant, text });
    }
}
