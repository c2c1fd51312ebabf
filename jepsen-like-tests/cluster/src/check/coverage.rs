//! Whether enough happened for a verdict to mean anything.

use std::collections::BTreeMap;

use crate::history::{Asked, Operation, Outcome};

/// What a run must have had at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Writes that took effect.
    pub writes: usize,
    /// Reads that were answered.
    pub reads: usize,
    /// Faults by kind, each with its effect at least so often.
    pub faults: BTreeMap<&'static str, usize>,
}

/// What a run had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Faults that were installed, by kind.
    pub faults: BTreeMap<&'static str, usize>,
    /// Those of them whose effect was seen: a fault that changed nothing tried nothing.
    pub effects: BTreeMap<&'static str, usize>,
    /// Moments at which a fault began: operations must have been answered on both sides of each.
    pub fault_moments: Vec<u64>,
}

impl Coverage {
    /// Notes a fault that was installed.
    pub fn fault(&mut self, kind: &'static str, at: u64) {
        *self.faults.entry(kind).or_default() += 1;
        self.fault_moments.push(at);
    }

    /// Notes that a fault had its effect.
    pub fn effect(&mut self, kind: &'static str) {
        *self.effects.entry(kind).or_default() += 1;
    }
}

/// What is missing; empty when the run may be judged.
pub fn covered(operations: &[Operation], coverage: &Coverage, needed: &Needed) -> Vec<String> {
    let mut missing = Vec::new();
    let writes = |o: &&Operation| matches!(o.outcome, Outcome::Written { .. });
    let reads =
        |o: &&Operation| matches!((o.asked, o.outcome), (Asked::Read, Outcome::Seen { .. }));
    let counts = [
        (
            "writes that took effect",
            operations.iter().filter(writes).count(),
            needed.writes,
        ),
        (
            "reads answered",
            operations.iter().filter(reads).count(),
            needed.reads,
        ),
    ];
    for (what, found, least) in counts {
        if found < least {
            missing.push(format!("{found} {what}, {least} needed"));
        }
    }
    for (kind, least) in &needed.faults {
        let counted = |by: &BTreeMap<&str, usize>| by.get(kind).copied().unwrap_or(0);
        let (installed, found) = (counted(&coverage.faults), counted(&coverage.effects));
        if found < *least {
            missing.push(format!(
                "fault {kind} had its effect {found} times ({installed} installed), {least} needed"
            ));
        }
    }
    for moment in &coverage.fault_moments {
        let before = operations.iter().filter(writes).any(|o| o.ended < *moment);
        let after = operations.iter().filter(writes).any(|o| *moment < o.began);
        if !before || !after {
            let side = if before { "after" } else { "before" };
            missing.push(format!(
                "no write took effect {side} the fault at {moment} ns"
            ));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Version;
    use carnet_domain::bytes::digest::Digest;

    fn write(began: u64) -> Operation {
        let version = Version {
            number: 0,
            leaf: Digest([0; 32]),
        };
        Operation {
            client: 0,
            robot: "a".into(),
            asked: Asked::Register { value: 1 },
            began,
            ended: began + 1,
            outcome: Outcome::Written {
                version,
                log_index: 1,
            },
        }
    }

    fn check(operations: &[Operation], fault_at: Option<u64>, expected: &[&str]) {
        let mut coverage = Coverage::default();
        if let Some(at) = fault_at {
            coverage.fault("kill", at);
            coverage.effect("kill");
        }
        let needed = Needed {
            writes: 2,
            reads: 0,
            faults: BTreeMap::from([("kill", 1)]),
        };
        assert_eq!(covered(operations, &coverage, &needed), expected);
    }

    #[test]
    fn enough_is_enough() {
        check(&[write(1), write(20)], Some(10), &[]);
    }

    #[test]
    fn a_run_without_its_fault_is_no_run() {
        check(
            &[write(1), write(20)],
            None,
            &["fault kill had its effect 0 times (0 installed), 1 needed"],
        );
    }

    #[test]
    fn a_fault_without_an_effect_does_not_count() {
        let mut coverage = Coverage::default();
        coverage.fault("kill", 10);
        let needed = Needed {
            writes: 2,
            reads: 0,
            faults: BTreeMap::from([("kill", 1)]),
        };
        let missing = covered(&[write(1), write(20)], &coverage, &needed);
        assert_eq!(
            missing,
            ["fault kill had its effect 0 times (1 installed), 1 needed"]
        );
    }

    #[test]
    fn a_run_with_too_few_operations_is_no_run() {
        check(
            &[write(1)],
            Some(10),
            &[
                "1 writes that took effect, 2 needed",
                "no write took effect after the fault at 10 ns",
            ],
        );
    }

    #[test]
    fn operations_that_all_came_before_the_fault_do_not_count() {
        check(
            &[write(1), write(2)],
            Some(10),
            &["no write took effect after the fault at 10 ns"],
        );
    }

    #[test]
    fn unknown_writes_are_no_writes() {
        let unknown = Operation {
            outcome: Outcome::Unknown,
            ..write(20)
        };
        check(
            &[write(1), unknown],
            Some(10),
            &[
                "1 writes that took effect, 2 needed",
                "no write took effect after the fault at 10 ns",
            ],
        );
    }
}
