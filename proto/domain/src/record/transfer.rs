//! One transfer of a robot between two countries, as either of them keeps it.

use crate::bytes::code::{Code, EnterpriseId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::time::TimeMs;
use crate::custody::Step;
use crate::custody::movement::EvidenceRef;
use crate::limits::{CHAIN_MAX, CONDITIONS_MAX, Epoch, List, Maybe, Name, OFFER_LAPSES};
use crate::log::shown::ChainRun;
use crate::record::peer::Clause;
use crate::record::{AgreementRef, Robot};
use crate::rules::command::{Condition, Papers, Purpose, TransferId};
use crate::rules::rejection::Rejection;

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Admit, Return, Cancel or Refuse; the newest step where the end of the robot ended it.
    pub step: Step,
    /// Where.
    pub place: String,
    /// When, by the writer's log time.
    pub at: TimeMs,
    /// The writer's leaf.
    pub leaf: Digest,
}
crate::canonical_struct!(Ending {
    step,
    place,
    at,
    leaf
});

/// What is kept of one crossing, by the exporter and by the importer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its number.
    pub id: TransferId,
    /// The robot.
    pub code: Code,
    /// The exporter.
    pub from: Prefix,
    /// The importer.
    pub to: Prefix,
    /// Why.
    pub purpose: Purpose,
    /// Epoch of the offer.
    pub epoch: u64,
    /// The agreement that governs it to its end, and its version.
    pub agreement: AgreementRef,
    /// The clause that covers it, as it stood at the permit or the offer; none for a robot that comes home.
    pub clause: Option<Clause>,
    /// The offer stands until then.
    pub offer_until: TimeMs,
    /// What the customs of both sides know it by.
    pub papers: Papers,
    /// Conditions of the permit.
    pub conditions: Vec<Condition>,
    /// Departure at the latest; zero before the permit.
    pub depart_by: TimeMs,
    /// The importer's reason, if it refused.
    pub refused: Option<String>,
    /// The newest step.
    pub step: Step,
    /// When that was, by its writer's log time.
    pub step_at: TimeMs,
    /// The robot as the exporter disclosed it (at the importer only).
    pub robot: Option<Robot>,
    /// The newest leaf of the other party about it: what our next step rests on.
    pub evidence: Option<EvidenceRef>,
    /// At the importer the custody steps of the robot from its registration to the newest one of the exporter, as they were proven: what
    /// is shown of it when it goes on. At the exporter the step by which the importer sent it back. Empty once neither is needed.
    pub chain: Vec<ChainRun>,
    /// Other registries that had the robot before, the issuer of its code apart: they are told of its steps.
    pub passed: Vec<Prefix>,
    /// Why the robot may not be admitted as it was disclosed (at the importer only); it may be sent back.
    pub detained: Option<Rejection>,
    /// Which enterprise here offers it; none where an office does, or another country.
    pub declared_by: Option<EnterpriseId>,
    /// When a rule ends it, unless it went on.
    pub ends_at: TimeMs,
    /// Permitted here, and over: it takes no place among what is open, and its departure is still taken.
    pub lapsed: bool,
    /// Why an officer of the importer detained it, if one did: it is admitted against a report of what was found.
    pub stopped: Option<String>,
    /// How it ended.
    pub ending: Option<Ending>,
}
crate::canonical_struct!(Transfer @ 1 {
    id,
    code,
    from,
    to,
    purpose,
    epoch: Epoch,
    agreement,
    clause,
    offer_until,
    papers,
    conditions: List<CONDITIONS_MAX>,
    depart_by,
    refused,
    step,
    step_at,
    robot,
    evidence,
    chain: List<CHAIN_MAX>,
    passed: List<CHAIN_MAX>,
    detained,
    declared_by,
    ends_at,
    lapsed,
    stopped: Maybe<Name>,
    ending,
});

/// Where a transfer stands, as a checkpoint asks for it: one at a time, by what is recorded and no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Offered, without a permit.
    Offered,
    /// Permitted, and not departed.
    Permitted,
    /// Departed, and not arrived.
    InTransit,
    /// Under way, and not to be let in as it is: by a rule, or an officer.
    Detained,
    /// Admitted.
    Admitted,
    /// Sent back.
    Returned,
    /// Refused by the importer.
    Refused,
    /// Taken back by the exporter, or run out.
    Cancelled,
    /// Ended with the robot, on its way.
    Lost,
}
crate::canonical_enum!(Stage {
    1 => Offered, 2 => Permitted, 3 => InTransit, 4 => Detained, 5 => Admitted, 6 => Returned, 7 => Refused, 8 => Cancelled,
    9 => Lost,
});

impl Transfer {
    /// Where it stands.
    pub fn stage(&self) -> Stage {
        if let Some(ending) = &self.ending {
            return match ending.step {
                Step::Admit => Stage::Admitted,
                Step::Return => Stage::Returned,
                Step::Refuse => Stage::Refused,
                Step::Cancel if self.refused.is_some() => Stage::Refused,
                Step::Cancel => Stage::Cancelled,
                _ => Stage::Lost,
            };
        }
        match self.step {
            // It departed before it was refused: it is on its way all the same.
            Step::Depart | Step::Detain if self.detained.is_none() && self.stopped.is_none() => {
                Stage::InTransit
            }
            Step::Depart | Step::Detain => Stage::Detained,
            _ if self.refused.is_some() => Stage::Refused,
            Step::Accept => Stage::Permitted,
            _ => Stage::Offered,
        }
    }

    /// When it came to where it stands, by the log time of whoever wrote that step.
    pub fn stage_at(&self) -> TimeMs {
        self.ending
            .as_ref()
            .map_or(self.step_at, |ending| ending.at)
    }

    /// Until when it is expected to go on: the offer to be permitted, the robot to depart, and to arrive. `None` once it ended.
    pub fn expected_by(&self) -> Option<TimeMs> {
        match self.stage() {
            Stage::Offered => Some(self.offer_until),
            Stage::Permitted => Some(self.depart_by),
            // As long as a permit keeps its place.
            Stage::InTransit | Stage::Detained => Some(
                self.depart_by
                    .checked_add(OFFER_LAPSES)
                    .unwrap_or(TimeMs::MAX),
            ),
            _ => None,
        }
    }

    /// Whether it takes a place among what two countries offer each other: it waits for an answer, or for its departure.
    pub fn waits(&self) -> bool {
        let has_departed = matches!(self.step, Step::Depart | Step::Detain);
        self.ending.is_none() && !has_departed && !self.lapsed
    }

    /// Whether its robot is on its way, or may be: it departed and did not arrive, or was permitted here and its permit ran out.
    pub fn is_under_way(&self) -> bool {
        self.ending.is_none() && !self.waits()
    }
}
