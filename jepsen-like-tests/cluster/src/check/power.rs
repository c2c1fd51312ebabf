//! After a loss of all power, everything that was acknowledged before it is there.

use std::collections::BTreeSet;

use carnet_domain::bytes::digest::Digest;

use super::{Findings, Violation};
use crate::history::{FinalState, Moment, Operation, Outcome};

/// Looks for the leaf of every write that was acknowledged before a cut. `cuts` are the moments at which the last
/// process was gone. (That it is also at its place is what `robots_linearizable` checks.)
pub fn acknowledged_before_a_cut(
    operations: &[Operation],
    last: &FinalState,
    cuts: &[Moment],
) -> Vec<Violation> {
    let mut findings = Findings::default();
    let kept: BTreeSet<Digest> = last.values().flatten().map(|kept| kept.leaf).collect();
    for operation in operations {
        let Outcome::Written { version, .. } = operation.outcome else {
            continue;
        };
        let Some(cut) = cuts.iter().find(|cut| operation.ended < **cut) else {
            continue;
        };
        if !kept.contains(&version.leaf) {
            findings.add(
                "I10",
                format!(
                    "{operation:?} was acknowledged before the power cut at {cut} ns and is gone"
                ),
            );
        }
    }
    findings.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Asked, FinalVersion, Version};

    const ROBOT: &str = "a";

    fn write(leaf: u8, ended: Moment) -> Operation {
        let version = Version {
            number: 0,
            leaf: Digest([leaf; 32]),
        };
        Operation {
            client: 0,
            robot: ROBOT.into(),
            asked: Asked::Register { value: 1 },
            began: ended - 1,
            ended,
            outcome: Outcome::Written {
                version,
                log_index: 1,
            },
        }
    }

    fn check(operations: &[Operation], kept: &[u8], cuts: &[Moment], expected: &[Moment]) {
        let version = |leaf: &u8| FinalVersion {
            leaf: Digest([*leaf; 32]),
            value: 1,
        };
        let last = FinalState::from([(ROBOT.to_owned(), kept.iter().map(version).collect())]);
        let found = acknowledged_before_a_cut(operations, &last, cuts);
        let cut = |moment: &Moment| format!("power cut at {moment} ns");
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, moment) in found.iter().zip(expected) {
            assert!(
                found.invariant == "I10" && found.text.contains(&cut(moment)),
                "{found}"
            );
        }
    }

    #[test]
    fn what_is_there_was_not_lost() {
        check(&[write(1, 5), write(2, 15)], &[1, 2], &[10, 20], &[]);
    }

    #[test]
    fn a_write_lost_in_a_cut_is_found_under_that_cut() {
        check(&[write(1, 5), write(2, 15)], &[1], &[10, 20], &[20]);
        check(&[write(1, 5), write(2, 15)], &[2], &[10, 20], &[10]);
    }

    #[test]
    fn a_write_that_was_not_acknowledged_may_be_gone() {
        let unknown = Operation {
            outcome: Outcome::Unknown,
            ..write(1, 5)
        };
        check(&[unknown], &[], &[10], &[]);
    }

    #[test]
    fn a_write_lost_after_the_last_cut_is_not_the_cuts_doing() {
        check(&[write(1, 15)], &[], &[10], &[]);
    }
}
