//! What is due: every deadline that a rule ends stands in one index, and a record says which of its rows still counts.
//!
//! A row is written when the deadline is set and taken away when it is due, when what it is of ends, and when that gets another
//! deadline: nobody fills the index with what is over. Whoever leads proposes [`crate::machine::entry::Body::Rule`] while
//! something is due; nothing due, nothing done. Each end is a leaf of its own, of class 2: the same on every replica, and told to
//! whom it concerns.

use super::told::has_room_to_tell;
use super::{Authorised, Run, refused, rule};
use crate::bytes::code::Code;
use crate::bytes::time::TimeMs;
use crate::custody::{Act, Phase, Step, propose};
use crate::limits::{DUE_MAX, OFFER_LAPSES, OFFER_MAX};
use crate::log::leaf::Kind;
use crate::machine::entry::ItemAnswer;
use crate::planted::Planted;
use crate::record::due::{Due, DueSubject};
use crate::record::event::{After, Event};
use crate::record::ledger::Ledger;
use crate::record::registry::Registry;
use crate::record::told::Line;
use crate::record::transfer::Transfer;
use crate::record::{OwnershipEnd, Pending, Robot};
use crate::rules::command::{Action, Command, TransferId};
use crate::rules::decide::{Stop, held, step_event};
use crate::rules::rejection::{Detail, Reason};

/// The rules that end what is due.
pub const DUE_RULES: [u16; 2] = [rule::OFFER_OVER, rule::RELEASE_OVER];
/// All rules that whoever leads has run while there is something for them: those, and the lines of what waits to be told.
pub const RULES: [u16; 6] = [rule::OFFER_OVER, rule::RELEASE_OVER, 7, 8, 9, 10];

/// Before which time the rows of a rule are for it to end; none are while what waits to be told finds no room.
pub fn due_before(registry: &Registry, number: u16, now: TimeMs) -> TimeMs {
    match Line::of_rule(number) {
        // Their times are places.
        Some(_) if has_room_to_tell(registry, number, now) => TimeMs::MAX,
        Some(_) => TimeMs(0),
        None => now,
    }
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Runs a published rule. None of them scans, so that none has a cursor.
    pub(super) fn rule(&mut self, number: u16, cursor: u64) -> Result<ItemAnswer, L::Fault> {
        if !RULES.contains(&number) {
            return Ok(refused(Reason::RuleUnknown, Detail::Rule { number }));
        }
        let mut answer = ItemAnswer::Nothing {};
        if cursor != 0 {
            return Ok(answer);
        }
        let most = match self.registry.due_singly {
            true => 1,
            false => DUE_MAX,
        };
        match Line::of_rule(number) {
            Some(line) => self.tell_what_waits(line, most)?,
            None => answer = self.end_what_is_due(number, most)?,
        }
        if self.registry.due_singly && !self.is_anything_left()? {
            // The row that broke is gone, or breaks no more.
            self.registry.due_singly = false;
        }
        Ok(answer)
    }

    fn end_what_is_due(&mut self, number: u16, most: usize) -> Result<ItemAnswer, L::Fault> {
        let mut answer = ItemAnswer::Nothing {};
        for due in self.ledger.due(number, self.now, most)? {
            if self.is_spent() {
                break;
            }
            self.ledger.put_due(&due, false)?;
            let event = match &due.subject {
                DueSubject::Transfer { id } => self.offer_over(id, due.at)?,
                DueSubject::Robot { code } => self.release_over(code, due.at)?,
                DueSubject::News { .. } => None,
            };
            if let Some(event) = event {
                let system = Authorised::system(number, &due.subject);
                answer = self.record_all(vec![event], &system)?;
            }
        }
        Ok(answer)
    }

    fn is_anything_left(&self) -> Result<bool, L::Fault> {
        for number in RULES {
            let before = match Line::of_rule(number) {
                Some(_) => TimeMs::MAX,
                None => self.now,
            };
            if !self.ledger.due(number, before, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something was due before a time and has not ended.
    pub(super) fn is_due(&self, before: TimeMs) -> Result<bool, L::Fault> {
        for number in DUE_RULES {
            if !self.ledger.due(number, before, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes when a rule ends a transfer that goes on no further: from its offer, and anew from its permit.
    pub(super) fn note_deadline(&mut self, transfer: &mut Transfer) -> Result<(), L::Fault> {
        let before = self.ledger.transfer(&transfer.id)?;
        let said = match transfer.step {
            Step::Offer => transfer.offer_until,
            Step::Accept => transfer.depart_by,
            _ => return Ok(()),
        };
        let moved = before
            .as_ref()
            .is_none_or(|before| before.step != transfer.step);
        if !moved || transfer.ending.is_some() {
            return Ok(());
        }
        // Whatever was agreed, it takes no place for ever.
        let latest = self.now.checked_add(OFFER_MAX).unwrap_or(TimeMs::MAX);
        let mut at = said.min(latest);
        if transfer.step == Step::Accept && transfer.to == self.registry.prefix {
            // A departure in time may come late: its mail may have to wait.
            at = at.checked_add(OFFER_LAPSES).unwrap_or(TimeMs::MAX);
        }
        if let Some(before) = before.filter(Transfer::waits) {
            self.forget_deadline(&before)?;
        }
        transfer.ends_at = at;
        let due = Due {
            rule: rule::OFFER_OVER,
            at,
            subject: DueSubject::Transfer { id: transfer.id },
        };
        self.ledger.put_due(&due, true)
    }

    /// Takes the row of a transfer away that goes on no further.
    pub(super) fn forget_deadline(&mut self, before: &Transfer) -> Result<(), L::Fault> {
        let due = Due {
            rule: rule::OFFER_OVER,
            at: before.ends_at,
            subject: DueSubject::Transfer { id: before.id },
        };
        self.ledger.put_due(&due, false)
    }

    /// Notes when a rule ends what is pending of a robot, in the place of what was noted before: one robot has one row.
    pub(super) fn note_release(&mut self, robot: &mut Robot) -> Result<(), L::Fault> {
        let until = robot.pending.until();
        if robot.due == until {
            return Ok(());
        }
        let row = |at| Due {
            rule: rule::RELEASE_OVER,
            at,
            subject: DueSubject::Robot {
                code: robot.identity.code,
            },
        };
        if let Some(at) = robot.due {
            self.ledger.put_due(&row(at), false)?;
        }
        if let Some(at) = until {
            self.ledger.put_due(&row(at), true)?;
        }
        robot.due = until;
        Ok(())
    }

    /// An offer of ours that nobody permitted, or whose permit has run out, is cancelled; one to us that was not answered is
    /// refused; what we permitted and nobody released waits for its departure, and takes no place any more.
    fn offer_over(&mut self, id: &TransferId, at: TimeMs) -> Result<Option<Event>, L::Fault> {
        let known = self.ledger.transfer(id)?;
        let stands = |known: &Transfer| known.ending.is_none() && known.ends_at == at;
        let Some(mut transfer) = known.filter(stands) else {
            return Ok(None);
        };
        let code = transfer.code;
        let here = match held(&self.ledger, &code) {
            Ok(here) => here,
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Refused(_)) => return Ok(None),
        };
        if here.chain.open_transfer() != Some(*id) {
            return Ok(None);
        }
        // Why is in the leaf's authority: the rule and the transfer. What is committed holds no text of ours.
        let reason = String::new();
        let transfer_id = *id;
        let (act, command) = match here.chain.phase {
            Phase::Offered { .. } => {
                let transfer = transfer_id;
                (Act::Cancel, Command::CancelExport { transfer, reason })
            }
            Phase::Asked { .. } => {
                transfer.refused = Some(String::new());
                let transfer = transfer_id;
                (Act::Refuse, Command::RefuseImport { transfer, reason })
            }
            Phase::Permitted { .. } => {
                transfer.lapsed = true;
                self.count_offer(&transfer)?;
                self.ledger.put_transfer(transfer)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        let Ok(link) = propose(self.registry.prefix, &here.chain, &act, self.now) else {
            return Ok(None);
        };
        let after = here.after(&code);
        let event = step_event(&command, after, link, TimeMs(0), "", transfer, self.now);
        Ok(Some(event))
    }

    /// A release, or the request that answers it, has expired. Of a robot that is not here it waits until it is read: what
    /// is not in custody has no event here.
    fn release_over(&mut self, code: &Code, at: TimeMs) -> Result<Option<Event>, L::Fault> {
        let Some(robot) = self.ledger.robot(code)? else {
            return Ok(None);
        };
        let stands = robot.pending.until() == Some(at);
        if !stands || robot.state.is_final() || !robot.custody.in_custody() {
            return Ok(None);
        }
        let command = Command::Act {
            code: *code,
            expected_sequence: None,
            action: Action::EndOwnershipRequest {
                end: OwnershipEnd::Expired,
                reason: String::new(),
            },
        };
        let after = After::Robot(Box::new(Robot {
            pending: Pending::Nothing {},
            ..robot
        }));
        Ok(Some(Event::new(Kind::Ownership, &command, after)))
    }
}
