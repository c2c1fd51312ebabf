//! Custody beside `decide`: a step that was written moves the chain and ends its transfer.

use super::Run;
use crate::custody::{Chain, Folded, Step, Written, fold};
use crate::log::head::Head;
use crate::log::leaf::Subject;
use crate::planted::Planted;
use crate::record::event::{After, Effect, Event};
use crate::record::ledger::Ledger;
use crate::record::transfer::{Ending, Transfer};

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Moves the chain of the record over the step that the leaf carries.
    pub(super) fn take_custody(&self, event: &mut Event, head: &Head) {
        let Some(written) = &event.link else {
            return;
        };
        let me = self.registry.prefix;
        let step = Written {
            writer: me,
            link: written.link.clone(),
            leaf: head.leaf_hash,
            at: self.now,
            deadline: written.deadline,
        };
        let chain = match &mut event.after {
            After::Robot(robot) => &mut robot.custody,
            After::Loose(_, chain, _) => chain,
            _ => return,
        };
        match fold(me, chain, &step, self.planted) {
            Folded::Moved(next) => *chain = next,
            Folded::Replay | Folded::Doubtful(_) => {
                // `propose` allowed it, so `fold` must move: a reserved code that is registered begins its chain.
                assert!(
                    written.link.step == Step::Register,
                    "a step that was proposed moves the chain"
                );
                *chain = Chain {
                    epoch: 0,
                    link: head.leaf_hash,
                    shown: Some(written.link.clone()),
                    followed: None,
                    phase: crate::custody::Phase::Here {},
                };
            }
        }
        let after = std::mem::replace(&mut event.after, After::Jurisdiction(me));
        event.after = after.settled();
    }

    /// Marks a transfer as ended by one of our own steps.
    pub(super) fn end_transfer(&self, transfer: &mut Transfer, event: &Event, head: &Head) {
        let Some(written) = &event.link else { return };
        let chain = match &event.after {
            After::Robot(robot) => Some(&robot.custody),
            After::Loose(_, chain, _) => Some(chain),
            _ => None,
        };
        // A permit that was taken back goes on until its cancel.
        if chain.is_some_and(|chain| chain.open_transfer() == Some(transfer.id)) {
            return;
        }
        if matches!(
            written.link.step,
            Step::Admit | Step::Return | Step::Cancel | Step::Refuse
        ) {
            transfer.ending = Some(Ending {
                step: written.link.step,
                place: written.place.clone(),
                at: self.now,
                leaf: head.leaf_hash,
            });
        }
    }

    /// Ends the open transfer of a robot whose code ends: no step of it will come, and it takes no place among what is open.
    pub(super) fn end_with_its_robot(
        &mut self,
        event: &Event,
        subject: &Subject,
        head: &Head,
    ) -> Result<(), L::Fault> {
        let ends = event.effects.iter().any(|effect| match effect {
            Effect::End(_) => true,
            Effect::Ended(identity, _) => *identity == subject.key(),
            _ => false,
        });
        let chain = match &event.after {
            After::Robot(robot) => &robot.custody,
            After::Loose(_, chain, _) => chain,
            _ => return Ok(()),
        };
        let Some(open) = chain.open_transfer().filter(|_| ends) else {
            return Ok(());
        };
        let known = self.ledger.transfer(&open)?;
        let Some(mut transfer) = known.filter(|known| known.ending.is_none()) else {
            return Ok(());
        };
        transfer.ending = Some(Ending {
            step: transfer.step,
            place: String::new(),
            at: self.now,
            leaf: head.leaf_hash,
        });
        self.count_offer(&transfer)?;
        self.ledger.put_transfer(transfer)
    }

    /// Counts a robot that another country offers us, or we it, from its offer until it departs or stays, and from then until it
    /// has arrived.
    pub(super) fn count_offer(&mut self, transfer: &Transfer) -> Result<(), L::Fault> {
        let before = self.ledger.transfer(&transfer.id)?;
        let waited = before.as_ref().is_some_and(Transfer::waits);
        let left = before.as_ref().is_some_and(Transfer::is_under_way);
        let (waits, leaves) = (transfer.waits(), transfer.is_under_way());
        if let Some(before) = before.filter(|_| waited && !waits) {
            self.forget_deadline(&before)?;
        }
        let moved = |count: u64, was: bool, is: bool| {
            let moved = match (was, is) {
                (false, true) => count.checked_add(1),
                (true, false) => count.checked_sub(1),
                _ => Some(count),
            };
            moved.expect("what ends was counted when it began")
        };
        if (waited, left) == (waits, leaves) {
            return Ok(());
        }
        let to_us = transfer.to == self.registry.prefix;
        let other = if to_us { transfer.from } else { transfer.to };
        if let Some(enterprise) = transfer.declared_by.filter(|_| waited != waits) {
            let count = self.ledger.offers_of(&other, &enterprise)?;
            self.ledger
                .put_offers_of(&other, &enterprise, moved(count, waited, waits))?;
        }
        let Some(mut peer) = self.ledger.peer(&other)? else {
            return Ok(());
        };
        let count = match to_us {
            true => &mut peer.offers_open,
            false => &mut peer.offers_made,
        };
        *count = moved(*count, waited, waits);
        peer.under_way = moved(peer.under_way, left, leaves);
        self.ledger.put_peer(peer)
    }
}
