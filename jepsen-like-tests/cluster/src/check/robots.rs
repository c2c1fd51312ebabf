//! Robots are linearizable registers, and no acknowledged write is lost.
//!
//! The final history of a robot gives its writes their one order, so nothing is searched: the check is one pass over the
//! operations by time. Of every write it asks where it stands in that order, of every read which version it saw; then
//! real time decides: whoever asks after an answer was given sees at least what that answer showed.

use std::collections::BTreeMap;

use carnet_domain::bytes::digest::Digest;

use super::{Findings, Violation};
use crate::history::{Asked, FinalState, FinalVersion, Moment, Operation, Outcome, Refusal};

/// Checks every robot's history against its final state, and the log positions of all answers against real time.
pub fn robots_linearizable(operations: &[Operation], last: &FinalState) -> Vec<Violation> {
    let mut findings = Findings::default();
    let mut by_robot: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        by_robot
            .entry(&operation.robot)
            .or_default()
            .push(operation);
    }
    for (robot, operations) in by_robot {
        match last.get(robot) {
            Some(versions) => OneRobot::new(robot, versions, &operations, &mut findings).check(),
            None => findings.add("I2", format!("{robot} has no final state")),
        }
    }
    positions_follow_time(operations, &mut findings);
    findings.0
}

/// Where an operation stands in the order of a robot's versions: before registration 0, the write of version `n` at
/// `2n + 1`, its reads at `2n + 2`.
type Place = u64;

const fn write_place(number: u64) -> Place {
    2 * number + 1
}

const fn read_place(number: Option<u64>) -> Place {
    match number {
        Some(number) => 2 * number + 2,
        None => 0,
    }
}

struct OneRobot<'a> {
    robot: &'a str,
    versions: &'a [FinalVersion],
    operations: &'a [&'a Operation],
    /// The operation that wrote each version.
    writers: Vec<Option<&'a Operation>>,
    findings: &'a mut Findings,
}

impl<'a> OneRobot<'a> {
    fn new(
        robot: &'a str,
        versions: &'a [FinalVersion],
        operations: &'a [&'a Operation],
        findings: &'a mut Findings,
    ) -> Self {
        let writers = vec![None; versions.len()];
        Self {
            robot,
            versions,
            operations,
            writers,
            findings,
        }
    }

    fn check(mut self) {
        self.find_writers();
        self.acknowledged_writes_are_there();
        let placed: Vec<(&Operation, Place)> = self
            .operations
            .iter()
            .filter_map(|operation| Some((*operation, self.place(operation)?)))
            .collect();
        self.places_follow_time(&placed);
        for operation in self.operations {
            if let Outcome::Refused(refusal) = operation.outcome {
                self.refusal_was_possible(operation, refusal);
            }
        }
    }

    /// Every version was written by exactly one operation that did not certainly fail (I3).
    fn find_writers(&mut self) {
        let mut by_value: BTreeMap<u32, &Operation> = BTreeMap::new();
        for operation in self.operations {
            if let Some(value) = operation.asked.value() {
                by_value.insert(value, operation);
            }
        }
        let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
        for (number, version) in self.versions.iter().enumerate() {
            let value = version.value;
            if let Some(first) = seen.insert(value, number) {
                self.fault(
                    "I3",
                    format!(
                        "the write of {value} took effect twice, as versions {first} and {number}"
                    ),
                );
            }
            let Some(writer) = by_value.get(&value) else {
                self.fault(
                    "I3",
                    format!("version {number} has the value {value} that nobody wrote"),
                );
                continue;
            };
            match writer.outcome {
                Outcome::Written { .. } | Outcome::Unknown => self.writers[number] = Some(writer),
                Outcome::Refused(_) | Outcome::Failed | Outcome::Seen { .. } => {
                    let text = format!(
                        "version {number} was written by an operation that was told it did not happen: {writer:?}"
                    );
                    self.fault("I3", text);
                }
            }
        }
    }

    /// What was acknowledged is in the final history, as it was acknowledged (I2, I4).
    fn acknowledged_writes_are_there(&mut self) {
        for operation in self.operations {
            let (Outcome::Written { version, .. }, Some(value)) =
                (operation.outcome, operation.asked.value())
            else {
                continue;
            };
            match self.version(version.number) {
                None => {
                    let text = format!(
                        "the acknowledged write of {value} as version {} is lost",
                        version.number
                    );
                    self.fault("I2", text);
                }
                Some(kept) if kept.value != value || kept.leaf != version.leaf => {
                    let text = format!(
                        "version {} was acknowledged as {value} in leaf {}, and is {} in leaf {}",
                        version.number, version.leaf, kept.value, kept.leaf
                    );
                    self.fault("I4", text);
                }
                Some(_) => {}
            }
            let allowed = match operation.asked {
                Asked::Register { .. } => version.number == 0,
                Asked::Update {
                    expected: Some(expected),
                    ..
                } => version.number == expected + 1,
                Asked::Update { expected: None, .. } => version.number != 0,
                Asked::Read => true,
            };
            if !allowed {
                let text = format!(
                    "{:?} was acknowledged as version {}",
                    operation.asked, version.number
                );
                self.fault("I1", text);
            }
        }
    }

    /// Where an operation stands, if its outcome says so.
    fn place(&mut self, operation: &Operation) -> Option<Place> {
        match operation.outcome {
            Outcome::Written { version, .. } => Some(write_place(version.number)),
            Outcome::Seen { found: None, .. } => Some(read_place(None)),
            Outcome::Seen {
                found: Some((version, value)),
                ..
            } => {
                let kept = self.version(version.number).copied();
                if kept
                    != Some(FinalVersion {
                        leaf: version.leaf,
                        value,
                    })
                {
                    self.fault(
                        "I4",
                        format!("a read saw version {version:?} = {value}, which is now {kept:?}"),
                    );
                }
                Some(read_place(Some(version.number)))
            }
            Outcome::Refused(_) | Outcome::Failed => None,
            // It stands where the final history shows it, but nobody was told: as a predecessor it binds nobody.
            Outcome::Unknown => {
                let number = self
                    .versions
                    .iter()
                    .position(|v| Some(v.value) == operation.asked.value())?;
                Some(write_place(number as u64))
            }
        }
    }

    /// One pass by time: nothing that began after an answer was given stands before that answer (I1, I8).
    fn places_follow_time(&mut self, placed: &[(&Operation, Place)]) {
        let mut ends: Vec<(Moment, Place, &Operation)> = placed
            .iter()
            .filter(|(operation, _)| operation.outcome != Outcome::Unknown)
            .map(|(operation, place)| (operation.ended, *place, *operation))
            .collect();
        ends.sort_by_key(|(ended, ..)| *ended);
        let mut begins: Vec<&(&Operation, Place)> = placed.iter().collect();
        begins.sort_by_key(|(operation, _)| operation.began);
        let mut ends = ends.into_iter().peekable();
        let mut highest: Option<(Place, &Operation)> = None;
        for (operation, place) in begins {
            while let Some((_, ended_place, ended)) =
                ends.next_if(|(ended, ..)| *ended < operation.began)
            {
                if highest.is_none_or(|(highest, _)| highest < ended_place) {
                    highest = Some((ended_place, ended));
                }
            }
            if let Some((highest, earlier)) = highest
                && *place < highest
            {
                let text = format!(
                    "{operation:?} came after the answer to {earlier:?} and stands before it"
                );
                self.fault("I1", text);
            }
        }
        self.reads_follow_writes(placed);
    }

    /// No read ends before the write it saw was asked.
    fn reads_follow_writes(&mut self, placed: &[(&Operation, Place)]) {
        for (operation, _) in placed {
            let Outcome::Seen {
                found: Some((version, _)),
                ..
            } = operation.outcome
            else {
                continue;
            };
            let writer = usize::try_from(version.number)
                .ok()
                .and_then(|at| *self.writers.get(at)?);
            if let Some(writer) = writer
                && operation.ended < writer.began
            {
                self.fault(
                    "I1",
                    format!("{operation:?} saw {writer:?}, which was asked later"),
                );
            }
        }
    }

    /// A refusal says what state the robot was in at some moment of the call; that state must have been possible.
    fn refusal_was_possible(&mut self, operation: &Operation, refusal: Refusal) {
        let possible = match (refusal, operation.asked) {
            (Refusal::Exists, Asked::Register { .. }) => self.begun_by(0, operation.ended),
            (Refusal::Unknown, _) => !self.done_by(0, operation.began),
            // It certainly had the version named during the whole call.
            (
                Refusal::OtherVersion,
                Asked::Update {
                    expected: Some(expected),
                    ..
                },
            ) => {
                !self.done_by(expected, operation.began)
                    || self.begun_by(expected + 1, operation.ended)
            }
            (Refusal::Exists | Refusal::OtherVersion, _) => false,
            // That nothing in the load gives cause for another one is told beside, with its reason (I11).
            (Refusal::Late | Refusal::Other, _) => true,
        };
        if !possible {
            self.fault(
                "I1",
                format!("{operation:?} was refused in a state the robot was not in"),
            );
        }
    }

    /// Whether version `number` may have been written before `moment`.
    fn begun_by(&self, number: u64, moment: Moment) -> bool {
        self.writer(number)
            .is_some_and(|writer| writer.began <= moment)
    }

    /// Whether version `number` was certainly written before `moment`.
    fn done_by(&self, number: u64, moment: Moment) -> bool {
        let known = |o: &&Operation| match o.outcome {
            Outcome::Written { version, .. } => number <= version.number,
            Outcome::Seen {
                found: Some((version, _)),
                ..
            } => number <= version.number,
            _ => false,
        };
        self.operations
            .iter()
            .copied()
            .filter(known)
            .any(|operation| operation.ended < moment)
    }

    fn writer(&self, number: u64) -> Option<&'a Operation> {
        let at = usize::try_from(number).ok()?;
        *self.writers.get(at)?
    }

    fn version(&self, number: u64) -> Option<&'a FinalVersion> {
        self.versions.get(usize::try_from(number).ok()?)
    }

    fn fault(&mut self, invariant: &'static str, text: String) {
        self.findings
            .add(invariant, format!("{}: {text}", self.robot));
    }
}

/// Over all robots: the log has one order, so whoever asks after an answer was given is answered at no lower log index
/// (a write: at a higher one), and two writes never share a leaf.
fn positions_follow_time(operations: &[Operation], findings: &mut Findings) {
    let position = |operation: &Operation| match operation.outcome {
        Outcome::Written { log_index, .. } => Some(log_index),
        Outcome::Seen { log_index, .. } => log_index,
        _ => None,
    };
    let mut ends: Vec<(Moment, u64)> = operations
        .iter()
        .filter_map(|operation| Some((operation.ended, position(operation)?)))
        .collect();
    ends.sort_unstable();
    let mut ends = ends.into_iter().peekable();
    let mut begins: Vec<&Operation> = operations.iter().collect();
    begins.sort_by_key(|operation| operation.began);
    let mut highest = 0;
    let mut leaves: BTreeMap<Digest, &Operation> = BTreeMap::new();
    for operation in begins {
        while let Some((_, index)) = ends.next_if(|(ended, _)| *ended < operation.began) {
            highest = highest.max(index);
        }
        let Some(index) = position(operation) else {
            continue;
        };
        let least = match operation.outcome {
            Outcome::Written { .. } => highest + 1,
            _ => highest,
        };
        if index < least {
            findings.add(
                "I1",
                format!("{operation:?} began when log index {highest} had been answered"),
            );
        }
        if let Outcome::Written { version, .. } = operation.outcome
            && let Some(other) = leaves.insert(version.leaf, operation)
        {
            findings.add("I4", format!("{operation:?} and {other:?} share a leaf"));
        }
    }
}

#[cfg(test)]
mod tests;
