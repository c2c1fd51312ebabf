//! How much one signer puts into the mailboxes of peers: counted before it is written, refused over its share.
//!
//! Counted are offers, orders not to use a robot that its issuer is told of, and what is told to everybody. Every other step of a
//! transfer stands on an offer that was counted, and is written once. Over the share of who signed an order stands here and is
//! not told, until the robot goes home; a theft, a loss or an end is told all the same.

use super::Run;
use crate::bytes::code::Prefix;
use crate::custody::Step;
use crate::limits::{
    OFFERS_MADE_A_MINUTE_MAX, OFFERS_MADE_BYTES_MAX, TOLD_A_MINUTE_MAX, TOLD_BYTES_MAX,
};
use crate::planted::Planted;
use crate::record::Holder;
use crate::record::event::{Effect, Event, slots};
use crate::record::ledger::Ledger;
use crate::record::peer::Peer;
use crate::record::told::{Minute, Told};
use crate::rules::command::{Action, Command};
use crate::rules::lifecycle::HoldKind;
use crate::rules::rejection::{Detail, Reason, Rejection};

/// What is offered one peer within a minute, by enterprises and by offices each.
const OFFERS: Told = Told {
    items: OFFERS_MADE_A_MINUTE_MAX,
    bytes: OFFERS_MADE_BYTES_MAX,
};

/// What is told to all within a minute, by enterprises and by offices each.
const ALL: Told = Told {
    items: TOLD_A_MINUTE_MAX,
    bytes: TOLD_BYTES_MAX,
};

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Counts what a command has us tell peers, or refuses it over the share of who signed.
    pub(super) fn tells(
        &mut self,
        holder: &Holder,
        events: &mut [Event],
    ) -> Result<Result<(), Rejection>, L::Fault> {
        let (to_all, offers) = said(events);
        if to_all.items == 0 && offers.is_empty() {
            return Ok(Ok(()));
        }
        // Without peers there are no mailboxes.
        if self.ledger.peers()?.is_empty() {
            return Ok(Ok(()));
        }
        let known = self.ledger.told_by(holder)?.unwrap_or_default();
        let mut own = known.at(self.now);
        let mut all = self.registry.told.at(self.now);
        let over = |own: Told, to: Option<Prefix>, what| {
            let own = own.items;
            let detail = Detail::ToldInAMinute { to, own, what };
            Ok(Err(Rejection::new(Reason::MinuteLimit, detail)))
        };
        if to_all.items > 0
            && let Some(what) = own.all.is_over(*all.of(holder), to_all, ALL)
        {
            return over(own.all, None, what);
        }
        let mut offered: Vec<(Peer, Minute)> = Vec::new();
        for (to, more) in offers {
            let Some(peer) = self.ledger.peer(&to)? else {
                continue;
            };
            let mut minute = peer.told.at(self.now);
            let so_far = own.offered(&to);
            if let Some(what) = so_far.is_over(*minute.of(holder), more, OFFERS) {
                if events.iter().any(is_offer) {
                    return over(so_far, Some(to), what);
                }
                for event in events.iter_mut().filter(|event| event.link.is_none()) {
                    event
                        .effects
                        .retain(|effect| !matches!(effect, Effect::Tell(_)));
                }
                return Ok(Ok(()));
            }
            own.offer(to, more);
            *minute.of(holder) = minute.of(holder).and(more);
            offered.push((peer, minute));
        }
        if to_all.items > 0 {
            own.all = own.all.and(to_all);
            *all.of(holder) = all.of(holder).and(to_all);
            self.registry.told = all;
        }
        for (peer, told) in offered {
            self.ledger.put_peer(Peer { told, ..peer })?;
        }
        self.ledger.put_told_by(holder, own)?;
        Ok(Ok(()))
    }
}

fn is_offer(event: &Event) -> bool {
    let link = event.link.as_ref();
    link.is_some_and(|written| written.link.step == Step::Offer)
}

/// Whether a command is done and told whatever else was told in its minute.
pub(super) fn waits_for_nobody(command: &Command) -> bool {
    match command {
        Command::SetHold { kind, .. } => matches!(kind, HoldKind::Theft | HoldKind::Lost),
        Command::Act { action, .. } => matches!(action, Action::ConfirmEndOfLife { .. }),
        _ => false,
    }
}

/// What events tell everybody, and what they offer whom.
fn said(events: &[Event]) -> (Told, Vec<(Prefix, Told)>) {
    let (mut to_all, mut offers) = (Told::default(), Vec::new());
    for event in events {
        let counts = event.link.is_none() || is_offer(event);
        for effect in &event.effects {
            match effect {
                Effect::TellAll => to_all = to_all.and(by(event)),
                Effect::Tell(to) if counts => offers.push((*to, by(event))),
                _ => {}
            }
        }
    }
    (to_all, offers)
}

/// What the leaf of an event tells.
fn by(event: &Event) -> Told {
    let slots = slots(event);
    let values = slots.values.iter().flatten();
    Told {
        items: 1,
        bytes: values.map(|value| value.len() as u64).sum(),
    }
}
