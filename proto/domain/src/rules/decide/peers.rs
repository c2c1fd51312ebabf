//! The contact with a peer: paused and resumed, and how much of it is read within a minute. Whom there is contact with at all is for
//! the roots to state.

use super::{Context, Decided, OrFault, no};
use crate::bytes::code::Prefix;
use crate::log::leaf::Kind;
use crate::record::contact::{Allowed, Contact};
use crate::record::event::{After, Event};
use crate::record::ledger::Ledger;
use crate::record::peer::Peer;
use crate::rules::actions::Deed;
use crate::rules::command::Command;
use crate::rules::rejection::{Detail, Reason};

/// Pauses the contact or resumes it. One that the roots ended goes on by their word alone.
pub(super) fn set_contact<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    prefix: &Prefix,
    (contact, reason): (Contact, &str),
) -> Decided<L::Fault> {
    if contact == Contact::Ended {
        return no(Reason::Malformed, Detail::NOTHING);
    }
    cx.allow(Deed::SetContact, None)?;
    change(ledger, command, prefix, reason, |peer| Peer {
        contact,
        ..peer
    })
}

/// Sets how much is read of a peer within a minute.
pub(super) fn limit<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    prefix: &Prefix,
    (limits, reason): (&Allowed, &str),
) -> Decided<L::Fault> {
    cx.allow(Deed::LimitPeer, None)?;
    let limits = limits.clone();
    change(ledger, command, prefix, reason, |peer| Peer {
        limits,
        ..peer
    })
}

fn change<L: Ledger>(
    ledger: &L,
    command: &Command,
    prefix: &Prefix,
    reason: &str,
    changed: impl FnOnce(Peer) -> Peer,
) -> Decided<L::Fault> {
    let prefix = *prefix;
    if reason.trim().is_empty() {
        return no(Reason::ReasonMissing, Detail::NOTHING);
    }
    let Some(peer) = ledger.peer(&prefix).or_fault()? else {
        return no(Reason::PeerUnknown, Detail::Prefix { prefix });
    };
    if peer.contact == Contact::Ended {
        return no(Reason::ContactPaused, Detail::Prefix { prefix });
    }
    let after = changed(peer.clone());
    if after == peer {
        return no(Reason::NothingChanges, Detail::Prefix { prefix });
    }
    let after = After::Peer(Box::new(after));
    Ok(vec![Event::new(Kind::Policy, command, after)])
}
