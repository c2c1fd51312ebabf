//! Members of the cluster that leave it for good: which word lets them.
//!
//! One admin founds the cluster and adds nodes to it. That a node leaves for good takes two admins of different persons: whoever has
//! stolen one certificate takes no node away, and no quorum. The first command asks, the same by the other person agrees; from
//! then on, until it expires, the leader makes exactly that change of the members. Either takes it back by its number.

use super::signers::{in_time, may_reject};
use super::{Context, Decided, Stop, has_twins, no};
use crate::bytes::time::TimeMs;
use crate::limits::PROPOSAL_TIME;
use crate::log::leaf::Kind;
use crate::record::event::{After, Event, Members};
use crate::record::offices::{Leaving, MembersChange};
use crate::rules::actions::Deed;
use crate::rules::command::Command;
use crate::rules::parties::are_two;
use crate::rules::rejection::{Detail, Reason};

/// The first of two words, or the second.
pub(super) fn change<F>(
    cx: &Context<'_>,
    command: &Command,
    change: &MembersChange,
    reason: &str,
) -> Decided<F> {
    cx.allow(Deed::ChangeMembers, None)?;
    well_formed(change)?;
    if reason.trim().is_empty() {
        return no(Reason::ReasonMissing, Detail::NOTHING);
    }
    let offices = &cx.registry.offices;
    let by = cx.side();
    let (asked, second) = match offices.asked(change, cx.now) {
        Some(first) if first.second.is_some() => {
            return no(Reason::NothingChanges, Detail::NOTHING);
        }
        Some(first) if cx.is_in_earnest() && !are_two(&first.by, &by) => {
            return no(Reason::SecondPartyRequired, Detail::SameParty {});
        }
        Some(first) => (Some(first), Some(by.clone())),
        None => (None, (!cx.is_in_earnest()).then(|| by.clone())),
    };
    let is_agreed = second.is_some();
    let leaving = Leaving {
        number: asked.map_or(cx.next_leaf, |first| first.number),
        change: change.clone(),
        reason: reason.to_owned(),
        by: asked.map_or(by, |first| first.by.clone()),
        second,
        before: asked.map_or(offices.newest, |first| first.before),
        until: cx.now.checked_add(PROPOSAL_TIME).unwrap_or(TimeMs::MAX),
    };
    let members = Members {
        leaving: offices.leaving_with(leaving, cx.now),
        status: if is_agreed { 1 } else { 2 },
    };
    let mut event = Event::new(Kind::Office, command, After::Members(Box::new(members)));
    event.waits = !is_agreed;
    Ok(vec![event])
}

/// Whether a number is that of something asked of the members.
pub(super) fn is_asked(cx: &Context<'_>, number: u64) -> bool {
    let mut leaving = cx.registry.offices.leaving.iter();
    leaving.any(|one| one.number == number)
}

/// Ends what was asked of the members, agreed or not: nobody is obeyed who changes them so.
pub(super) fn reject<F>(cx: &Context<'_>, command: &Command, number: u64) -> Decided<F> {
    let offices = &cx.registry.offices;
    let Some(asked) = offices.leaving.iter().find(|one| one.number == number) else {
        return no(Reason::NothingPending, Detail::Proposal { number });
    };
    in_time(cx, asked.until)?;
    may_reject(cx, &asked.by, None)?;
    let members = Members {
        leaving: offices.leaving_without(number),
        status: 3,
    };
    let after = After::Members(Box::new(members));
    Ok(vec![Event::new(Kind::Office, command, after)])
}

/// Refuses a change by which nobody leaves, or votes and leaves, or is named twice: each is asked for in one way only.
fn well_formed<F>(change: &MembersChange) -> Result<(), Stop<F>> {
    let MembersChange { voters, retire } = change;
    let both = [voters.as_slice(), retire.as_slice()].concat();
    let is_sorted = voters.is_sorted() && retire.is_sorted();
    if voters.is_empty() || retire.is_empty() || !is_sorted || has_twins(&both) {
        return no(Reason::Malformed, Detail::NOTHING);
    }
    Ok(())
}
