//! Custody beside `decide`: a step that was written moves the chain and ends its transfer.

use super::Run;
use crate::custody::{Chain, Folded, Step, Written, fold};
use crate::log::head::Head;
use crate::record::event::{After, Event};
use crate::record::ledger::Ledger;
use crate::record::transfer::{Ending, Transfer};

impl<L: Ledger> Run<'_, L> {
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
        match fold(me, chain, &step, self.planted.custody) {
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
                    followed: false,
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

    /// Counts a robot that another country offers us, from its offer to its end.
    pub(super) fn count_offer(&mut self, transfer: &Transfer) -> Result<(), L::Fault> {
        if transfer.to != self.registry.prefix {
            return Ok(());
        }
        let before = self.ledger.transfer(&transfer.id)?;
        let was_open = before.is_some_and(|before| before.ending.is_none());
        let is_open = transfer.ending.is_none();
        if was_open == is_open {
            return Ok(());
        }
        let Some(mut peer) = self.ledger.peer(&transfer.from)? else {
            return Ok(());
        };
        let moved = match is_open {
            true => peer.offers_open.checked_add(1),
            false => peer.offers_open.checked_sub(1),
        };
        peer.offers_open = moved.expect("what ends was counted when it began");
        self.ledger.put_peer(peer)
    }
}
