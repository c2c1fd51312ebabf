//! Certificates that are refused before their time: which word revokes one, and what always stays.
//!
//! One admin revokes and un-revokes the certificate of a client at once. Of an admin or a node it takes two admins of different
//! persons, and what is left is a quorum of the voters and an admin: whoever has stolen one key cannot lock the others out.

use std::collections::BTreeSet;

use super::signers::{in_time, may_reject, person_of};
use super::{Context, Decided, OrFault, Stop, no};
use crate::bytes::time::TimeMs;
use crate::limits::{
    CERTIFICATE_NAME_BYTES_MAX, CERTIFICATE_TIME_MAX, PROPOSAL_TIME, REVOKED_BY_ONE_MAX,
    REVOKED_MAX,
};
use crate::log::leaf::Kind;
use crate::record::Actor;
use crate::record::denied::{
    Asked, Bearer, Certificate, DenyList, Refused, Revocation, Waiting, Wanted,
};
use crate::record::event::{After, Denied, Event};
use crate::record::ledger::Ledger;
use crate::rules::actions::Deed;
use crate::rules::command::Command;
use crate::rules::parties::are_two;
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Reason};

pub(super) fn revoke<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    refused: &Refused,
    reason: &str,
) -> Decided<L::Fault> {
    cx.allow(Deed::RevokeCertificate, None)?;
    let mut list = ledger.deny_list().or_fault()?;
    list.forget(cx.now);
    let certificate = &refused.certificate;
    enough_left(ledger, cx, &list, refused)?;
    let wanted = Wanted::Revoke {
        refused: refused.clone(),
    };
    let words = words::<L::Fault>(cx, &list, &wanted)?;
    if refused.not_after < cx.now {
        let (until, now) = (refused.not_after, cx.now);
        return no(Reason::DeadlinePassed, Detail::ValidUntil { until, now });
    }
    let latest = cx
        .now
        .checked_add(CERTIFICATE_TIME_MAX)
        .unwrap_or(TimeMs::MAX);
    if refused.not_after > latest {
        let until = refused.not_after;
        return no(Reason::DeadlinePassed, Detail::EndsBefore { until, latest });
    }
    if list.entry(certificate).is_none() {
        full(&mut list, &certificate.bearer, cx.now)?;
    }
    if list.entry(certificate).map(|known| &known.refused) == Some(refused) {
        // Whoever asked that it be refused no more takes that back alone.
        if list.withdraw(certificate, &cx.side().person, Asked::Unrevoke) {
            return Ok(changed(command, list, certificate, 1));
        }
        return no(Reason::NothingChanges, Detail::NOTHING);
    }
    match words {
        Words::First => Ok(asked(cx, command, list, wanted, reason)),
        Words::Last { first } => {
            let second = first.is_some().then(|| cx.side());
            list.revoke(Revocation {
                refused: refused.clone(),
                reason: reason.to_owned(),
                at: cx.now,
                by: first.unwrap_or_else(|| cx.side()),
                second,
            });
            Ok(changed(command, list, certificate, 1))
        }
    }
}

pub(super) fn unrevoke<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    certificate: &Certificate,
    reason: &str,
) -> Decided<L::Fault> {
    cx.allow(Deed::UnrevokeCertificate, None)?;
    let mut list = ledger.deny_list().or_fault()?;
    list.forget(cx.now);
    // Whoever asked for it, or for another entry of it, takes that back alone.
    let withdrawn = list.withdraw(certificate, &cx.side().person, Asked::Revoke);
    match (list.entry(certificate).is_some(), withdrawn) {
        (true, true) => return Ok(changed(command, list, certificate, 1)),
        (false, true) => return Ok(changed(command, list, certificate, 3)),
        (false, false) => {
            let certificate = certificate.clone();
            return no(Reason::NothingPending, Detail::Certificate { certificate });
        }
        (true, false) => {}
    }
    let wanted = Wanted::Unrevoke {
        certificate: certificate.clone(),
    };
    match words::<L::Fault>(cx, &list, &wanted)? {
        Words::First => Ok(asked(cx, command, list, wanted, reason)),
        Words::Last { .. } => {
            list.unrevoke(certificate);
            Ok(changed(command, list, certificate, 3))
        }
    }
}

/// Ends what one admin asked of a certificate: takes it back, or rejects it.
pub(super) fn reject<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    number: u64,
) -> Decided<L::Fault> {
    let mut list = ledger.deny_list().or_fault()?;
    let Some(waiting) = list.numbered(number).cloned() else {
        return no(Reason::NothingPending, Detail::Proposal { number });
    };
    in_time(cx, waiting.until)?;
    let certificate = waiting.wanted.certificate().clone();
    may_reject(cx, &waiting.by, person_of(&certificate.bearer))?;
    list.close(number);
    let status = match list.entry(&certificate) {
        Some(_) => 1,
        None => 3,
    };
    Ok(changed(command, list, &certificate, status))
}

/// Which of two words this is, where it takes two.
enum Words {
    First,
    Last { first: Option<Actor> },
}

fn words<F>(cx: &Context<'_>, list: &DenyList, wanted: &Wanted) -> Result<Words, Stop<F>> {
    if !wanted.certificate().bearer.takes_two() || !cx.is_in_earnest() {
        return Ok(Words::Last { first: None });
    }
    let offices = &cx.registry.offices;
    // The word of an admin who is none any more is none.
    let first = list.first(wanted);
    let first = first.filter(|first| {
        first.clock == cx.registry.time_statements && offices.has(Role::Admin, &first.by.key)
    });
    match first {
        None => Ok(Words::First),
        Some(first) if !are_two(&first.by, &cx.side()) => {
            no(Reason::SecondPartyRequired, Detail::SameParty {})
        }
        Some(first) => Ok(Words::Last {
            first: Some(first.by.clone()),
        }),
    }
}

/// Refuses one more entry than is kept, once what has expired made way.
fn full<F>(list: &mut DenyList, bearer: &Bearer, now: TimeMs) -> Result<(), Stop<F>> {
    let full = |list: &DenyList| {
        // Whoever revokes: the list is read by this bound. What one admin may fill leaves room for what two decide.
        let of_one = !bearer.takes_two() && list.count_by_one() >= REVOKED_BY_ONE_MAX;
        match list.entries.len() >= REVOKED_MAX {
            true => Some(REVOKED_MAX),
            false => of_one.then_some(REVOKED_BY_ONE_MAX),
        }
    };
    if full(list).is_some() {
        list.make_room(now);
    }
    match full(list) {
        Some(max) => {
            let (what, max) = (Counted::Revocations, max as u64);
            no(Reason::RecordFull, Detail::Full { what, max })
        }
        None => Ok(()),
    }
}

/// Refuses what would leave no admin, or less than a quorum of the voters, with a certificate that is taken.
fn enough_left<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    list: &DenyList,
    refused: &Refused,
) -> Result<(), Stop<L::Fault>> {
    let mut after = list.clone();
    after.revoke(Revocation {
        refused: refused.clone(),
        reason: String::new(),
        at: cx.now,
        by: cx.side(),
        second: None,
    });
    match &refused.certificate.bearer {
        Bearer::Admin { office, person } => {
            let out = after.admins_out();
            let is_out = out.contains(&(office.as_str(), person.as_str()));
            if is_out && !admin_left(cx, &out) {
                return no(Reason::LastOfRole, Detail::LastOf { role: Role::Admin });
            }
        }
        Bearer::Node { node } => {
            let voters = ledger.members().or_fault()?.voters;
            let all: BTreeSet<u64> = voters.0.iter().flatten().copied().collect();
            let out = after.nodes_out();
            let left: BTreeSet<u64> = all.difference(&out).copied().collect();
            let counts = all.contains(node) && out.contains(node);
            if counts && !voters.have_quorum(&left) {
                let detail = Detail::VotersLeft {
                    left: left.len() as u64,
                    of: all.len() as u64,
                };
                return no(Reason::QuorumNeeded, detail);
            }
        }
        Bearer::Client { .. } | Bearer::Peer { .. } => {}
    }
    Ok(())
}

/// Whether an admin is left of those whose keys sign. A person whom the register names as no certificate can, by a commitment or
/// with spaces, may be anybody who is out.
fn admin_left(cx: &Context<'_>, out: &BTreeSet<(&str, &str)>) -> bool {
    let supervisors = cx.registry.offices.supervisors.iter();
    let admins = supervisors.filter(|one| one.role == Role::Admin);
    let persons: BTreeSet<&str> = admins.map(|one| one.person.as_str()).collect();
    let names: BTreeSet<&str> = out.iter().map(|(_, person)| *person).collect();
    let (named, others): (Vec<&str>, Vec<&str>) =
        persons.iter().partition(|person| is_name(person));
    if named.iter().any(|person| !names.contains(person)) {
        return true;
    }
    let strangers = names.iter().filter(|name| !persons.contains(*name));
    strangers.count() < others.len()
}

/// Whether a certificate can name a person so: see the names in certificates.
fn is_name(person: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    person.len() <= CERTIFICATE_NAME_BYTES_MAX && person.bytes().all(allowed)
}

fn asked(
    cx: &Context<'_>,
    command: &Command,
    mut list: DenyList,
    wanted: Wanted,
    reason: &str,
) -> Vec<Event> {
    let certificate = wanted.certificate().clone();
    let status = if list.entry(&certificate).is_some() {
        1
    } else {
        2
    };
    list.ask(Waiting {
        number: cx.next_leaf,
        reason: reason.to_owned(),
        wanted,
        by: cx.side(),
        until: cx.now.checked_add(PROPOSAL_TIME).unwrap_or(TimeMs::MAX),
        clock: cx.registry.time_statements,
        before: cx.registry.offices.newest,
    });
    let mut events = changed(command, list, &certificate, status);
    for event in &mut events {
        event.waits = true;
    }
    events
}

fn changed(
    command: &Command,
    list: DenyList,
    certificate: &Certificate,
    status: u64,
) -> Vec<Event> {
    let denied = Denied {
        list,
        certificate: certificate.clone(),
        status,
    };
    let after = After::Denied(Box::new(denied));
    vec![Event::new(Kind::Office, command, after)]
}
