//! Hand-made histories, good and bad, and a search by definition to compare with.

use super::*;
use crate::history::Version;

fn leaf(value: u32) -> Digest {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&value.to_be_bytes());
    Digest(bytes)
}

/// One operation on the robot `r`, in the words of the tests below:
/// `began ended register|update value [if version] -> version N at INDEX | version N = VALUE at INDEX | absent at INDEX |
/// exists | unknown | other-version | failed | ?`.
fn operation(line: &str) -> Operation {
    let (asked, outcome) = line.split_once(" -> ").expect("an arrow");
    let asked: Vec<&str> = asked.split_whitespace().collect();
    let outcome: Vec<&str> = outcome.split_whitespace().collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let value = |text: &str| text.parse::<u32>().expect("a value");
    let asking = match &asked[2..] {
        ["register", v] => Asked::Register { value: value(v) },
        ["update", v] => Asked::Update {
            value: value(v),
            expected: None,
        },
        ["update", v, "if", e] => Asked::Update {
            value: value(v),
            expected: Some(number(e)),
        },
        ["read"] => Asked::Read,
        other => panic!("not a question: {other:?}"),
    };
    let outcome = match outcome.as_slice() {
        ["version", n, "at", index] => {
            let written = asking.value().expect("a write");
            let version = Version {
                number: number(n),
                leaf: leaf(written),
            };
            Outcome::Written {
                version,
                log_index: number(index),
            }
        }
        ["version", n, "=", v, "at", index] => {
            let version = Version {
                number: number(n),
                leaf: leaf(value(v)),
            };
            Outcome::Seen {
                found: Some((version, value(v))),
                log_index: Some(number(index)),
            }
        }
        ["absent", "at", index] => Outcome::Seen {
            found: None,
            log_index: Some(number(index)),
        },
        ["exists"] => Outcome::Refused(Refusal::Exists),
        ["unknown"] => Outcome::Refused(Refusal::Unknown),
        ["other-version"] => Outcome::Refused(Refusal::OtherVersion),
        ["failed"] => Outcome::Failed,
        ["?"] => Outcome::Unknown,
        other => panic!("not an outcome: {other:?}"),
    };
    Operation {
        client: 0,
        robot: "r".into(),
        asked: asking,
        began: number(asked[0]),
        ended: number(asked[1]),
        outcome,
    }
}

/// A history, the values of the robot's versions at the end, and the numbers of the invariants it breaks.
fn check(history: &str, last: &[u32], expected: &[&str]) {
    let operations: Vec<Operation> = history
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(operation)
        .collect();
    let versions = last
        .iter()
        .map(|value| FinalVersion {
            leaf: leaf(*value),
            value: *value,
        })
        .collect();
    let found = robots_linearizable(&operations, &FinalState::from([("r".to_owned(), versions)]));
    let numbers: Vec<&str> = found.iter().map(|violation| violation.invariant).collect();
    assert_eq!(numbers, expected, "{found:#?}");
}

#[test]
fn a_run_without_faults_is_linearizable() {
    check(
        "0 1 read -> absent at 3
         2 4 register 10 -> version 0 at 5
         5 6 read -> version 0 = 10 at 5
         7 9 update 11 -> version 1 at 6
         8 12 update 12 if 1 -> version 2 at 7
         13 14 update 13 if 0 -> other-version
         15 16 register 14 -> exists
         17 18 read -> version 2 = 12 at 8",
        &[10, 11, 12],
        &[],
    );
}

#[test]
fn concurrent_reads_may_see_either_side_of_a_write() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 10 update 11 -> version 1 at 6
         3 4 read -> version 0 = 10 at 5
         5 6 read -> version 1 = 11 at 6
         3 9 read -> version 0 = 10 at 5",
        &[10, 11],
        &[],
    );
}

#[test]
fn an_unknown_write_may_have_happened_late_or_not_at_all() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> ?
         4 5 update 12 -> ?
         6 7 read -> version 0 = 10 at 6
         8 9 read -> version 1 = 11 at 8",
        &[10, 11],
        &[],
    );
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> version 1 at 6",
        &[10],
        &["I2"],
    );
}

#[test]
fn an_acknowledged_write_replaced_by_another_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> version 1 at 6
         4 5 update 12 -> ?",
        &[10, 12],
        &["I4"],
    );
}

#[test]
fn a_stale_read_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> version 1 at 6
         4 5 read -> version 0 = 10 at 6",
        &[10, 11],
        &["I1"],
    );
}

#[test]
fn a_stale_read_from_a_replica_that_lags_is_found_by_its_position_too() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> version 1 at 6
         4 5 read -> version 0 = 10 at 5",
        &[10, 11],
        &["I1", "I1"],
    );
}

#[test]
fn reads_that_go_back_are_found_although_the_write_is_unknown() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 30 update 11 -> ?
         4 5 read -> version 1 = 11 at 6
         6 7 read -> version 0 = 10 at 6",
        &[10, 11],
        &["I1"],
    );
}

#[test]
fn a_read_of_what_was_never_kept_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> ?
         4 5 read -> version 1 = 11 at 6",
        &[10],
        &["I4"],
    );
}

#[test]
fn a_read_of_the_future_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 read -> version 1 = 11 at 6
         4 5 update 11 -> version 1 at 7",
        &[10, 11],
        &["I1", "I1"],
    );
}

#[test]
fn a_failed_write_that_happened_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> failed",
        &[10, 11],
        &["I3"],
    );
}

#[test]
fn a_write_that_happened_twice_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> version 1 at 6",
        &[10, 11, 11],
        &["I3"],
    );
}

#[test]
fn a_value_from_nowhere_is_found() {
    check("0 1 register 10 -> version 0 at 5", &[10, 99], &["I3"]);
}

#[test]
fn a_conditional_write_upon_another_version_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> version 1 at 6
         4 5 update 12 if 0 -> version 2 at 7",
        &[10, 11, 12],
        &["I1"],
    );
}

#[test]
fn two_registrations_of_one_code_are_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 register 11 -> version 1 at 6",
        &[10, 11],
        &["I1"],
    );
}

#[test]
fn a_robot_refused_as_unknown_after_its_registration_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> unknown",
        &[10],
        &["I1"],
    );
}

#[test]
fn a_code_refused_as_taken_that_nobody_took_is_found() {
    check("0 1 register 10 -> exists", &[], &["I1"]);
}

#[test]
fn a_condition_refused_although_it_held_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 if 0 -> other-version",
        &[10],
        &["I1"],
    );
}

#[test]
fn a_log_position_that_goes_back_is_found() {
    check(
        "0 1 register 10 -> version 0 at 5
         2 3 update 11 -> version 1 at 4",
        &[10, 11],
        &["I1"],
    );
}

#[test]
fn a_robot_without_final_state_is_lost() {
    let operations = [operation("0 1 register 10 -> version 0 at 5")];
    let found = robots_linearizable(&operations, &FinalState::new());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].invariant, "I2");
}

/// The definition itself, by search: is there an order of the operations that a register could have had, that respects
/// real time, and that ends in the final versions?
mod search {
    use super::*;

    fn explain(pending: &[Operation], done: u32, versions: &[FinalVersion], state: usize) -> bool {
        let is_done = |at: usize| done & (1 << at) != 0;
        let must = |o: &Operation| !matches!(o.outcome, Outcome::Unknown | Outcome::Failed);
        let all = pending
            .iter()
            .enumerate()
            .all(|(at, o)| is_done(at) || !must(o));
        if all && state == versions.len() {
            return true;
        }
        (0..pending.len()).any(|at| {
            let next = &pending[at];
            let earlier = |(other, o): (usize, &Operation)| {
                other != at && !is_done(other) && must(o) && o.ended < next.began
            };
            if is_done(at) || pending.iter().enumerate().any(earlier) {
                return false;
            }
            step(next, versions, state)
                .is_some_and(|state| explain(pending, done | 1 << at, versions, state))
        })
    }

    /// The number of versions after an operation upon a robot with `state` versions, if it can happen there.
    fn step(o: &Operation, versions: &[FinalVersion], state: usize) -> Option<usize> {
        let number = state.checked_sub(1).map(|n| n as u64);
        let writes = || {
            let fits = match o.asked {
                Asked::Register { .. } => state == 0,
                Asked::Update {
                    expected: Some(e), ..
                } => number == Some(e),
                Asked::Update { expected: None, .. } => state != 0,
                Asked::Read => false,
            };
            let next = versions.get(state)?;
            (fits && Some(next.value) == o.asked.value()).then_some(state + 1)
        };
        match o.outcome {
            Outcome::Written { version, .. } => writes().filter(|_| version.number == state as u64),
            Outcome::Unknown => writes(),
            Outcome::Seen { found, .. } => {
                let here = number.map(|n| (n, versions[state - 1].value));
                (found.map(|(version, value)| (version.number, value)) == here).then_some(state)
            }
            Outcome::Refused(Refusal::Exists) => (state != 0).then_some(state),
            Outcome::Refused(Refusal::Unknown) => (state == 0).then_some(state),
            Outcome::Refused(Refusal::OtherVersion) => match o.asked {
                Asked::Update {
                    expected: Some(e), ..
                } => (number.is_some() && number != Some(e)).then_some(state),
                _ => None,
            },
            Outcome::Refused(Refusal::Late | Refusal::Other) => Some(state),
            Outcome::Failed => None,
        }
    }

    /// Small random histories, right and wrong ones. Refusals are left out: of them the fast check only claims that it
    /// finds some wrong ones.
    fn history(seed: u64) -> (Vec<Operation>, Vec<FinalVersion>) {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let version_count = 1 + draw(3);
        let versions: Vec<FinalVersion> = (0..version_count as u32)
            .map(|n| FinalVersion {
                leaf: leaf(10 + n),
                value: 10 + n,
            })
            .collect();
        let mut operations = Vec::new();
        for n in 0..version_count {
            let value = 10 + n as u32;
            let asked = if n == 0 {
                Asked::Register { value }
            } else {
                Asked::Update {
                    value,
                    expected: None,
                }
            };
            let version = Version {
                number: n,
                leaf: leaf(value),
            };
            let outcome = match draw(4) {
                0 => Outcome::Unknown,
                _ => Outcome::Written {
                    version,
                    log_index: 0,
                },
            };
            operations.push((asked, outcome));
        }
        for _ in 0..1 + draw(4) {
            let found = draw(version_count + 1).checked_sub(1).map(|n| {
                let value = 10 + n as u32;
                (
                    Version {
                        number: n,
                        leaf: leaf(value),
                    },
                    value,
                )
            });
            operations.push((
                Asked::Read,
                Outcome::Seen {
                    found,
                    log_index: None,
                },
            ));
        }
        let operations = operations
            .into_iter()
            .map(|(asked, outcome)| {
                let began = draw(12) * 2;
                Operation {
                    client: 0,
                    robot: "r".into(),
                    asked,
                    began,
                    ended: began + 1 + 2 * draw(5),
                    outcome,
                }
            })
            .collect();
        (operations, versions)
    }

    #[test]
    fn the_fast_check_agrees_with_the_search() {
        let (mut good, mut bad) = (0, 0);
        for seed in 1..20_000 {
            let (operations, versions) = history(seed);
            let by_search = explain(&operations, 0, &versions, 0);
            let last = FinalState::from([("r".to_owned(), versions)]);
            let mut found = robots_linearizable(&operations, &last);
            // Positions are all alike here; only the order of the robot itself is compared.
            found.retain(|violation| !violation.text.contains("log index"));
            assert_eq!(
                found.is_empty(),
                by_search,
                "seed {seed}: {operations:#?} {found:#?}"
            );
            if by_search { good += 1 } else { bad += 1 }
        }
        assert!(
            1_000 < good && 1_000 < bad,
            "{good} good and {bad} bad histories"
        );
    }
}
