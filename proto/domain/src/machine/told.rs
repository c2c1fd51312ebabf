//! How much one signer puts into the mailboxes of peers: counted before it is written.
//!
//! An offer is nothing but telling: over the part of who signed it is refused. Everything else is done at home whatever was told in
//! its minute, and is told now or when its turn comes: a published rule goes on in each line by the place of what waits, as long
//! as the minute has room. What waits is one row a thing (a robot's holds of a kind, a recall, an enterprise): said anew meanwhile,
//! it is told once, as it stands then, and taken back before anybody heard of it not at all: nobody fills a line by saying the same
//! again. Thefts, losses, stops, ends and new recalls wait in lines of their own. Every other step of a transfer stands on an offer
//! that was counted, and is written once.

use super::Run;
use crate::bytes::code::Prefix;
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::time::TimeMs;
use crate::custody::Step;
use crate::limits::{
    ALARMS_A_MINUTE_MAX, ALARMS_BYTES_MAX, OFFERS_MADE_A_MINUTE_MAX, OFFERS_MADE_BYTES_MAX,
    TOLD_A_MINUTE_MAX, TOLD_BYTES_MAX, next_own,
};
use crate::planted::Planted;
use crate::record::Holder;
use crate::record::due::{Due, DueSubject};
use crate::record::event::{After, Effect, Event, slots};
use crate::record::ledger::Ledger;
use crate::record::peer::Peer;
use crate::record::registry::Registry;
use crate::record::told::{Line, Minute, Told, ToldBy, Untold};
use crate::rules::command::{Action, Command};
use crate::rules::lifecycle::HoldKind;
use crate::rules::rejection::{Detail, Reason, Rejection};

/// What is offered one peer within a minute, by enterprises and by offices each.
const OFFERS: Told = Told {
    items: OFFERS_MADE_A_MINUTE_MAX,
    bytes: OFFERS_MADE_BYTES_MAX,
};

/// Peers that are offered something, with what was offered each in the minute by then.
type Offered = Vec<(Peer, Minute)>;

/// What is told to all within a minute, in a line.
fn max_of(line: Line) -> Told {
    match line.is_of_alarms() {
        true => Told {
            items: ALARMS_A_MINUTE_MAX,
            bytes: ALARMS_BYTES_MAX,
        },
        false => Told {
            items: TOLD_A_MINUTE_MAX,
            bytes: TOLD_BYTES_MAX,
        },
    }
}

/// Whether the rule of a line, by number, may tell something of what waits at a time. Any other rule waits for no room.
pub(super) fn has_room_to_tell(registry: &Registry, number: u16, now: TimeMs) -> bool {
    let line = Line::of_rule(number);
    line.is_none_or(|line| registry.told.has_room(line, now, max_of(line)))
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Counts what a command has us tell peers. An offer over the part of who signed is refused; other news over it waits.
    pub(super) fn tells(
        &mut self,
        holder: &Holder,
        command: &Command,
        events: &mut [Event],
    ) -> Result<Result<(), Rejection>, L::Fault> {
        let tells = |effect: &Effect| matches!(effect, Effect::Tell(_) | Effect::TellAll);
        if !events.iter().any(|event| event.effects.iter().any(tells)) {
            return Ok(Ok(()));
        }
        // Without peers there are no mailboxes.
        if self.ledger.peers()?.is_empty() {
            return Ok(Ok(()));
        }
        let known = self.ledger.told_by(holder)?.unwrap_or_default();
        let mut own = known.clone().at(self.now);
        let offered = match self.offers(&mut own, holder, events)? {
            Ok(offered) => offered,
            Err(rejection) => return Ok(Err(rejection)),
        };
        self.registry.told = self.registry.told.at(self.now);
        for event in events.iter_mut().filter(|event| event.link.is_none()) {
            self.news(&mut own, holder, command, event)?;
        }
        for (peer, told) in offered {
            self.ledger.put_peer(Peer { told, ..peer })?;
        }
        if own != known {
            self.ledger.put_told_by(holder, own)?;
        }
        Ok(Ok(()))
    }

    /// What is offered whom, with what was offered that peer in the minute by then; or what there is too much of.
    fn offers(
        &self,
        own: &mut ToldBy,
        holder: &Holder,
        events: &[Event],
    ) -> Result<Result<Offered, Rejection>, L::Fault> {
        let mut offered = Offered::new();
        for event in events.iter().filter(|event| is_offer(event)) {
            let more = by(event);
            for effect in &event.effects {
                let Effect::Tell(to) = effect else { continue };
                let Some(peer) = self.ledger.peer(to)? else {
                    continue;
                };
                let mut minute = peer.told.at(self.now);
                let so_far = own.offered(to);
                if let Some(what) = so_far.is_over(*minute.of(holder), more, OFFERS) {
                    let (to, own) = (Some(*to), so_far.items);
                    let detail = Detail::ToldInAMinute { to, own, what };
                    return Ok(Err(Rejection::new(Reason::MinuteLimit, detail)));
                }
                own.offer(*to, more);
                *minute.of(holder) = minute.of(holder).and(more);
                offered.push((peer, minute));
            }
        }
        Ok(Ok(offered))
    }

    /// Whether what an event tells is told at once or waits, which is then its effect.
    fn news(
        &mut self,
        own: &mut ToldBy,
        holder: &Holder,
        command: &Command,
        event: &mut Event,
    ) -> Result<(), L::Fault> {
        let to = event.effects.iter().find_map(|effect| match effect {
            Effect::TellAll => Some(None),
            Effect::Tell(to) => Some(Some(*to)),
            _ => None,
        });
        let Some(to) = to else { return Ok(()) };
        let (is_alarm, sort) = sort_of(command);
        let is_alarm = is_alarm || self.is_raised(command)?;
        let (line, more) = (Line::of(holder, is_alarm), by(event));
        let about = sha256(&[&event.subject().key().0, &sort]);
        let waits = self.ledger.untold(&about)?;
        let tells = |effect: &Effect| matches!(effect, Effect::Tell(_) | Effect::TellAll);
        let stands = hold_stands(self.registry.prefix, command, event);
        if let Some(waits) = &waits
            && let Some((epoch, 0)) = stands
            && waits.unheard == Some(epoch)
        {
            event.effects.retain(|effect| !tells(effect));
            event.effects.push(Effect::TellNever(about));
            return Ok(());
        }
        if waits.is_none() {
            let rest = self.registry.told.of(line).told;
            let told = *own.told_in(line);
            let over = told.is_over(rest, more, max_of(line));
            // Beyond its part nobody goes before those that wait, and all parts together take no more than half of their minute.
            let is_its_part =
                told.and(more).is_part_of(max_of(line)) && rest.and(more).leaves_half(max_of(line));
            if over.is_none()
                && (is_its_part || self.ledger.due(line.rule(), TimeMs::MAX, 1)?.is_empty())
            {
                *own.told_in(line) = told.and(more);
                let progress = self.registry.told.of(line);
                progress.told = progress.told.and(more);
                return Ok(());
            }
        }
        // Whoever has nothing waiting begins behind what was told last: one after the other, each once a turn.
        let served = self.registry.told.of(line).served;
        let place = next_own((*own.place_in(line)).max(served));
        let news = Untold {
            line,
            place,
            holder: holder.clone(),
            leaf: 0,
            told: more,
            to,
            unheard: match (command, stands) {
                (Command::SetHold { .. }, Some((epoch, 1))) => Some(epoch),
                _ => None,
            },
        };
        if waits.is_none_or(|waits| self.is_before(&news, &waits)) {
            *own.place_in(line) = place;
        }
        event.effects.retain(|effect| !tells(effect));
        event.effects.push(Effect::TellLater(about, Box::new(news)));
        Ok(())
    }

    /// Whether an amendment makes a recall graver than it is.
    fn is_raised(&self, command: &Command) -> Result<bool, L::Fault> {
        let Command::AmendRecall { notice, .. } = command else {
            return Ok(false);
        };
        let before = self.ledger.recall(&notice.id)?;
        Ok(before.is_some_and(|before| before.notice.severity < notice.severity))
    }

    /// Whether what is said now of something that waits is told before it: an alarm before a notice, else by whose turn comes first.
    fn is_before(&self, news: &Untold, waits: &Untold) -> bool {
        let mut told = self.registry.told;
        // saturates: who is served already waits for no turn
        let mut turns = |one: &Untold| one.place.saturating_sub(told.of(one.line).served);
        let (sooner, later) = (turns(news), turns(waits));
        match (news.line.is_of_alarms(), waits.line.is_of_alarms()) {
            (true, false) => true,
            (false, true) => false,
            _ => sooner < later,
        }
    }

    /// Puts a leaf where it waits to be told: in the better of its own place and that of what waits of the same thing already.
    pub(super) fn tell_later(
        &mut self,
        about: &Digest,
        news: &Untold,
        leaf: u64,
    ) -> Result<(), L::Fault> {
        let mut news = Untold {
            leaf,
            ..news.clone()
        };
        if let Some(before) = self.ledger.untold(about)? {
            self.ledger.put_due(&row(about, &before), false)?;
            let to = before.to.filter(|_| before.to == news.to);
            let unheard = before.unheard;
            let place = match self.is_before(&news, &before) {
                true => news.clone(),
                false => before,
            };
            let (told, leaf) = (news.told, news.leaf);
            news = Untold {
                told,
                leaf,
                to,
                unheard,
                ..place
            };
        }
        self.ledger.put_due(&row(about, &news), true)?;
        self.ledger.put_untold(about, Some(news))
    }

    /// What waits to be told of something was never so, for all that others know.
    pub(super) fn tell_never(&mut self, about: &Digest) -> Result<(), L::Fault> {
        let Some(news) = self.ledger.untold(about)? else {
            return Ok(());
        };
        self.ledger.put_due(&row(about, &news), false)?;
        self.ledger.put_untold(about, None)
    }

    /// Tells what waits in a line, as far as the minute has room.
    pub(super) fn tell_what_waits(&mut self, line: Line, most: usize) -> Result<(), L::Fault> {
        self.registry.told = self.registry.told.at(self.now);
        for due in self.ledger.due(line.rule(), TimeMs::MAX, most)? {
            let DueSubject::News { about } = due.subject else {
                self.ledger.put_due(&due, false)?;
                continue;
            };
            let Some(news) = self.ledger.untold(&about)? else {
                self.ledger.put_due(&due, false)?;
                continue;
            };
            let told = self.registry.told;
            if self.is_spent() || !told.has_room(line, self.now, max_of(line)) {
                break;
            }
            self.ledger.put_due(&due, false)?;
            self.ledger.put_untold(&about, None)?;
            match &news.to {
                Some(to) => self.tell(to, news.leaf)?,
                None => {
                    for peer in self.ledger.peers()? {
                        self.post(peer, news.leaf)?;
                    }
                }
            }
            let progress = self.registry.told.of(line);
            progress.told = progress.told.and(news.told);
            progress.served = news.place;
        }
        Ok(())
    }
}

/// The row of what waits, in its line: its time is its place.
fn row(about: &Digest, news: &Untold) -> Due {
    Due {
        rule: news.line.rule(),
        at: TimeMs(news.place),
        subject: DueSubject::News { about: *about },
    }
}

fn is_offer(event: &Event) -> bool {
    let link = event.link.as_ref();
    link.is_some_and(|written| written.link.step == Step::Offer)
}

/// How many holds of the kind that a command sets or lifts stand after it, of those that were set here, and the epoch of the robot; of
/// one that is here.
fn hold_stands(me: Prefix, command: &Command, event: &Event) -> Option<(u64, usize)> {
    let (Command::SetHold { kind, .. } | Command::LiftHold { kind, .. }) = command else {
        return None;
    };
    let After::Robot(robot) = &event.after else {
        return None;
    };
    let stand = robot.holds.iter();
    let stand = stand.filter(|hold| hold.kind == *kind && hold.setter.prefix == me);
    let is_here = robot.custody.is_responsible();
    is_here.then(|| (robot.custody.epoch, stand.count()))
}

/// Whether what a command tells is an alarm, and of which sort: of one thing and sort the newest says all that those before it said.
fn sort_of(command: &Command) -> (bool, [u8; 2]) {
    match command {
        Command::SetHold { kind, .. } | Command::LiftHold { kind, .. } => {
            let is_alarm = matches!(
                kind,
                HoldKind::Theft | HoldKind::Lost | HoldKind::RegulatorStop
            );
            (is_alarm, [2, *kind as u8])
        }
        Command::Act { action, .. } => match action {
            Action::ConfirmEndOfLife { .. } => (true, [3, 0]),
            _ => (false, [4, 0]),
        },
        Command::OpenRecall { .. } => (true, [5, 0]),
        Command::AmendRecall { .. } | Command::WithdrawRecall { .. } => (false, [5, 0]),
        _ => (false, [1, 0]),
    }
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
