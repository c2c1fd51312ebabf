//! Log time: what lifts its ceiling, and the two statements of the roots that move it further, or back.
//!
//! Log time is moved by stamps, and a stamp above the ceiling is refused. A quorum of the voters' clocks lifts the ceiling
//! to ten seconds above what it reads, so one bad clock moves nothing; and at most an hour at once, so that all clocks
//! together cannot carry a registry into another year. Beyond that hour, and back, only the roots move it.

use std::collections::BTreeSet;

use super::{Run, refused};
use crate::bytes::encoding::Canonical;
use crate::bytes::level::Level;
use crate::bytes::time::TimeMs;
use crate::limits::{ADVANCE_MAX, CEILING_AHEAD, LOG_TIME_MAX, PROPOSAL_TIME, READINGS_MAX};
use crate::log::leaf::Kind;
use crate::machine::entry::{Body, ClockReading, ItemAnswer};
use crate::planted::Planted;
use crate::record::event::{After, Effect, Event};
use crate::record::ledger::Ledger;
use crate::record::peer::{Statement, TimeChange};
use crate::rules::rejection::{Detail, Reason, Rejection, refuse};

/// Whether an entry is about log time itself: it is not held down by the ceiling, and its stamp counts for nothing.
///
/// `level` is the registry's: a statement of a later one says nothing about time, on every binary.
pub fn is_about_time(body: &Body, level: Level) -> bool {
    match body {
        Body::AdvanceTime { .. } => true,
        Body::Root { signed } => matches!(
            Statement::from_bytes_at(&signed.bytes.0, level),
            Ok(Statement::AdvanceTime { .. } | Statement::RepairTime { .. })
        ),
        _ => false,
    }
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// A quorum of clocks confirms a time: it becomes log time if it is later, and the ceiling stands above it.
    pub(super) fn advance_time(
        &mut self,
        to: TimeMs,
        readings: &[ClockReading],
    ) -> Result<ItemAnswer, L::Fault> {
        if readings.len() > READINGS_MAX {
            let detail = Detail::Count {
                count: readings.len() as u64,
                max: READINGS_MAX as u64,
            };
            return Ok(refused(Reason::Malformed, detail));
        }
        if !readings.is_sorted_by(|one, next| one.node < next.node) {
            return Ok(refused(Reason::Malformed, Detail::ReadingsOrder {}));
        }
        if to > LOG_TIME_MAX {
            return Ok(refused(Reason::Malformed, Detail::BeyondTime { to }));
        }
        let confirming: BTreeSet<u64> = readings
            .iter()
            .filter(|reading| reading.confirms(to))
            .map(|reading| reading.node)
            .collect();
        if !self.ledger.members()?.voters.have_quorum(&confirming) {
            let detail = Detail::ClocksSay {
                to,
                readings: readings.to_vec(),
            };
            return Ok(refused(Reason::ClocksDisagree, detail));
        }
        let log_time = self.registry.log_time;
        // saturates: no time is later than the last instant
        if to > log_time.saturating_add(ADVANCE_MAX) {
            let detail = Detail::ClocksAhead { log_time, to };
            return Ok(refused(Reason::TimeNeedsRoots, detail));
        }
        self.set_time(log_time.max(to), to);
        Ok(ItemAnswer::Nothing {})
    }

    /// The roots move log time.
    pub(super) fn change_time(
        &mut self,
        statement: &Statement,
        change: &TimeChange,
    ) -> Result<Event, Rejection> {
        let TimeChange {
            cluster,
            number,
            from,
            to,
        } = *change;
        let log_time = self.registry.log_time;
        let next = self.registry.time_statements.checked_add(1);
        if cluster != self.registry.cluster {
            return refuse(Reason::WrongAudience, Detail::OtherCluster {});
        }
        if next != Some(number) {
            let applied = self.registry.time_statements;
            return refuse(
                Reason::StatementStale,
                Detail::TimeNumber { number, applied },
            );
        }
        // The roots decided on what they saw. Log time goes on while they sign, but not for ever.
        let apart = from.since(log_time).max(log_time.since(from));
        if apart > ADVANCE_MAX {
            return refuse(Reason::StatementStale, Detail::TimeFrom { from, log_time });
        }
        let moves = match statement {
            Statement::RepairTime { .. } => to < log_time && to < from,
            _ => to > log_time && to > from,
        };
        if !moves {
            return refuse(
                Reason::StatementStale,
                Detail::TimeFromTo { from, to, log_time },
            );
        }
        if to > LOG_TIME_MAX {
            return refuse(Reason::Malformed, Detail::BeyondTime { to });
        }
        self.registry.time_statements = number;
        // What expired stays expired, and what was proposed at a time that is to come again was never.
        let latest = to.checked_add(PROPOSAL_TIME).unwrap_or(TimeMs::MAX);
        let proposals = &mut self.registry.offices.proposals;
        proposals.retain(|one| log_time <= one.until && one.until <= latest);
        let leaving = &mut self.registry.offices.leaving;
        leaving.retain(|one| log_time <= one.until && one.until <= latest);
        self.set_time(to, to);
        let after = After::Jurisdiction(self.registry.prefix);
        Ok(Event::new(Kind::Policy, statement, after).effect(Effect::TellAll))
    }

    fn set_time(&mut self, log_time: TimeMs, confirmed: TimeMs) {
        self.now = log_time;
        self.registry.log_time = log_time;
        // Set, not only lifted: where log time ran ahead, it stands still until the clocks have come up to it.
        // saturates: no stamp is later than the last instant
        self.registry.ceiling = confirmed.saturating_add(CEILING_AHEAD);
    }
}
