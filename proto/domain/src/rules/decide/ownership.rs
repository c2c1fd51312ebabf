//! How a robot changes hands: sold by who holds it, released by its owner, asked for with the secret of the release, and
//! given or not.
//!
//! The owner's side releases: a commitment to a secret, to whom, until when, and whether asking is enough. The gaining side
//! asks with the secret, which the owner gave it beside the registry. The owner approves, or rejects; who asked cancels; the
//! owner takes a release back; what nobody answered expires. Each is an end of its own. A commitment is over the robot and
//! the record's sequence, so a secret is good once, for one robot.
//!
//! What else makes somebody the owner or the holder, each where it is decided, with the parties that are asked for here:
//! * its first sale, and stock that moves: `Action::Sell` and `Action::Stock` in `decide::robot`; who goes on for its maker, or sells
//!   in its place, `Context::is_as_maker` and `inherited`;
//! * away for good: `DeclareExport`, by the owner's side or two persons of the border (`takes_two_to_give` in `decide::border`);
//! * here for good: `Admit`, for the consignee that the papers name or for whom two persons of the border say (`is_consignee` there),
//!   and what the record says then, `custody::admission::admitted`;
//! * home from abroad: nobody by that alone, for who owned it still does.

use super::{Context, OrFault, Stop, no};
use crate::bytes::code::Code;
use crate::bytes::digest::Digest;
use crate::bytes::time::TimeMs;
use crate::limits::{FIRST_WORDS_MAX, FIRST_WORDS_OF_ROLE_MAX, PROPOSED_TIME, RELEASE_MAX};
use crate::record::ledger::Ledger;
use crate::record::{
    Actor, Asking, Desk, FirstWord, Holder, OwnershipEnd, Party, PartyName, Pending, Release,
    ReleaseSecret, Robot, release_commitment,
};
use crate::rules::actions::{Deed, PARTIES, TRADERS};
use crate::rules::lifecycle::{ActionKind, State};
use crate::rules::parties::{are_two, stands_for};
use crate::rules::policy::Role;
use crate::rules::rejection::{Detail, Reason};

/// What a release states.
pub(super) struct Offered<'a> {
    pub(super) commitment: Digest,
    pub(super) to: &'a Option<PartyName>,
    pub(super) until: TimeMs,
    pub(super) asking: Asking,
    pub(super) reason: &'a str,
}

/// A request waits for its second party: what would decide over its head waits too, until the request expires.
pub(super) fn no_request<F>(robot: &Robot, now: TimeMs) -> Result<(), Stop<F>> {
    match &robot.pending {
        Pending::Asked { release, .. } if now <= release.until => {
            no(Reason::OwnershipRequestOpen, Detail::NOTHING)
        }
        _ => Ok(()),
    }
}

/// Whether an office's act in somebody's place has its second word, as [`agreed`] says.
pub(super) fn second_word<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    after: &mut Robot,
    act: Digest,
) -> Result<bool, Stop<L::Fault>> {
    no_request(after, cx.now)?;
    Ok(agreed(ledger, cx, &mut after.first_words, act)?.is_some())
}

/// Who gave the first word for an act of which this is the second: the same by another person, while the first may still do what it
/// said. Else this is the first one, which is kept and changes nothing.
pub(super) fn agreed<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    words: &mut Vec<FirstWord>,
    act: Digest,
) -> Result<Option<Actor>, Stop<L::Fault>> {
    agreed_in(ledger, cx, words, act, &[cx.signer.role])
}

/// As [`agreed`], of an act of which each word may be in any of these roles.
pub(super) fn agreed_in<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    words: &mut Vec<FirstWord>,
    act: Digest,
    roles: &[Role],
) -> Result<Option<Actor>, Stop<L::Fault>> {
    let side = cx.side();
    // A word in another role stays what it is: nobody takes back what those of another office said.
    let mut stands: Vec<(FirstWord, bool)> = Vec::new();
    for word in std::mem::take(words) {
        let known = ledger.signer(&word.by.key).or_fault()?;
        let Some(known) = known.filter(|known| !known.has_ended()) else {
            continue;
        };
        if cx.now <= word.until && word.clock == cx.registry.time_statements {
            stands.push((word, roles.contains(&known.role)));
        }
    }
    let mut settled = None;
    if let Some((first, _)) = stands
        .iter()
        .find(|(one, counts)| *counts && one.act == act && are_two(&one.by, &side))
    {
        settled = Some(first.by.clone());
        stands.retain(|(one, counts)| !counts || one.act != act);
    } else {
        let mut same = stands
            .iter()
            .filter(|(one, counts)| *counts && one.act == act);
        if same.next().is_some() {
            return no(Reason::SecondPartyRequired, Detail::SameParty {});
        }
        // One a person: who says something else takes back what it said.
        stands.retain(|(one, _)| are_two(&one.by, &side));
        // Of each office so many: those of one leave room for those of another.
        let own = |(_, counts): &(FirstWord, bool)| *counts;
        if stands.iter().filter(|one| own(one)).count() >= FIRST_WORDS_OF_ROLE_MAX
            && let Some(oldest) = stands.iter().position(own)
        {
            stands.remove(oldest);
        }
        if stands.len() >= FIRST_WORDS_MAX {
            stands.remove(0);
        }
        let word = FirstWord {
            clock: cx.registry.time_statements,
            act,
            by: side,
            until: cx.now.checked_add(PROPOSED_TIME).unwrap_or(TimeMs::MAX),
        };
        stands.push((word, true));
    }
    *words = stands.into_iter().map(|(word, _)| word).collect();
    Ok(settled)
}

/// The new owner holds it too; who operated it as the old owner does no longer.
pub(super) fn hand_over(robot: &mut Robot, owner: Party) {
    let same = |operator: &Party| robot.owner.as_ref().is_some_and(|owner| owner.is(operator));
    if robot.operator.as_ref().is_some_and(same) {
        robot.operator = None;
    }
    robot.give_to(owner);
}

pub(super) fn release<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    after: &mut Robot,
    expected: Option<u64>,
    offered: &Offered<'_>,
) -> Result<(), Stop<L::Fault>> {
    no_request(after, cx.now)?;
    // In the place of an owner whose side may act no more, with a reason that stays. Who may act in stock sells.
    let deed = Deed::ReleaseOwnership;
    let in_stock = is_in_stock(after);
    match &after.owner {
        Some(owner) if !cx.is_side_of(owner) => {
            cx.in_place_of(ledger, deed, after, owner)?;
            if offered.reason.trim().is_empty() {
                return no(Reason::ReasonMissing, Detail::NOTHING);
            }
        }
        Some(_) if !in_stock => {}
        _ => {
            let (action, state) = (ActionKind::ReleaseOwnership, after.state);
            return no(
                Reason::TransitionNotAllowed,
                Detail::ActionIn { action, state },
            );
        }
    }
    let sequence = after.head.map_or(0, |head| head.seq);
    // The commitment is over the sequence: without it nobody could ask.
    if expected.is_none() {
        return no(Reason::SequenceMismatch, Detail::StandsAt { sequence });
    }
    let latest = cx.now.checked_add(RELEASE_MAX).unwrap_or(TimeMs::MAX);
    if offered.until <= cx.now || offered.until > latest {
        let until = offered.until;
        return no(
            Reason::DeadlinePassed,
            Detail::ReleaseUntil { until, latest },
        );
    }
    if let Some(to) = offered.to {
        cx.party(ledger, to, PARTIES)?;
    }
    after.pending = Pending::Released {
        release: Release {
            commitment: offered.commitment,
            sequence,
            to: offered.to.clone(),
            until: offered.until,
            asking: offered.asking,
            by: cx.side(),
        },
    };
    Ok(())
}

pub(super) fn request<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    after: &mut Robot,
    owner: &PartyName,
    secret: &ReleaseSecret,
) -> Result<(), Stop<L::Fault>> {
    no_request(after, cx.now)?;
    let Pending::Released { release } = &after.pending else {
        return no(Reason::NothingPending, Detail::NoRelease {});
    };
    let release = release.clone();
    let code = after.identity.code;
    // An owner whose side may act again releases it itself.
    if is_in_place(cx, after, &release) && owner_acts(ledger, cx, after)? {
        return no(Reason::NothingPending, Detail::NoRelease {});
    }
    // The secret first: who does not have it learns nothing of the release.
    if release_commitment(&code, release.sequence, secret) != release.commitment {
        return no(Reason::ReleaseCodeWrong, Detail::NOTHING);
    }
    in_time(cx, &release)?;
    cx.is_own(ledger, &release.by)?;
    if release.to.as_ref().is_some_and(|to| to != owner) {
        let detail = Detail::NoRelation {
            deed: Deed::RequestOwnership,
            code,
            holder: cx.signer.holder.clone(),
        };
        return no(Reason::NotYours, detail);
    }
    let (gaining, by) = (cx.party(ledger, owner, PARTIES)?, cx.side());
    if is_in_stock(after) {
        to_trader(ledger, cx, after, &gaining)?;
    }
    // One desk on both sides is one party: it needs a registrar. So does what a registrar released: another one.
    let of_owner = !is_in_place(cx, after, &release);
    let of_owner = of_owner && after.desk_set_by.is_none() && !is_of_office(cx, &release);
    let two = cx.are_two(ledger, &release.by, &by)?;
    if release.asking == Asking::Suffices && of_owner && two {
        hand_over(after, gaining);
    } else {
        after.pending = Pending::Asked {
            release,
            owner: gaining,
            by,
        };
    }
    Ok(())
}

/// Whether it is for sale: its owner, if it has one, sells it.
fn is_in_stock(robot: &Robot) -> bool {
    matches!(robot.state, State::Manufactured | State::InStock)
}

/// Whether a release was given in the owner's place.
fn is_in_place(cx: &Context<'_>, robot: &Robot, release: &Release) -> bool {
    let mut owner = robot.owner.iter();
    owner.any(|owner| stands_for(cx.me(), &release.by.holder, owner).is_none())
}

/// Whether the owner's side may act now.
fn owner_acts<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &Robot,
) -> Result<bool, Stop<L::Fault>> {
    match &robot.owner {
        Some(owner) => cx.acts(ledger, owner, PARTIES),
        None => Ok(false),
    }
}

/// Whether an office released it, as the desk of a person: where offices act, two persons do. In a sandbox one may be all there is.
fn is_of_office(cx: &Context<'_>, release: &Release) -> bool {
    cx.is_in_earnest() && matches!(release.by.holder, Holder::Office { .. })
}

/// What is in stock goes to who may sell it, and asks for market access then.
fn to_trader<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &Robot,
    gaining: &Party,
) -> Result<(), Stop<L::Fault>> {
    if let Party::Enterprise { id } = gaining {
        return cx.can_act(ledger, id, TRADERS);
    }
    let (action, state) = (ActionKind::RequestOwnership, robot.state);
    no(
        Reason::TransitionNotAllowed,
        Detail::ActionIn { action, state },
    )
}

/// Another desk acts for a person, wherever the record names them at the desk that signs, or for a registrar at any. A desk
/// that can never act is none; what the old one released of theirs is released no more.
pub(super) fn change_desk<F>(
    cx: &Context<'_>,
    after: &mut Robot,
    person: &Digest,
    desk: &Desk,
    reason: &str,
) -> Result<(), Stop<F>> {
    let mine = Desk::of(cx.me(), &cx.signer.holder);
    let any = cx.signer.role == Role::Registrar;
    let is_theirs = |party: &Party| match party {
        Party::Person {
            commitment, desk, ..
        } => commitment == person && (any || *desk == mine),
        Party::Enterprise { .. } | Party::Office { .. } => false,
    };
    let moved = PartyName::from(*person).at(desk.clone(), cx.now);
    let of_owner = after.owner.as_ref().is_some_and(is_theirs);
    let own = after
        .owner
        .as_ref()
        .is_some_and(|owner| cx.is_side_of(owner));
    let mut changed = false;
    for party in [
        &mut after.owner,
        &mut after.holder,
        &mut after.importer,
        &mut after.operator,
    ] {
        if party.as_ref().is_some_and(is_theirs) {
            *party = Some(moved.clone());
            changed = true;
        }
    }
    if !changed {
        return no(Reason::TransitionNotAllowed, Detail::NoSuchPerson {});
    }
    if any && reason.trim().is_empty() {
        return no(Reason::ReasonMissing, Detail::NOTHING);
    }
    // Nor is a desk that an office gives its own person's word alone.
    let by_office = cx.is_in_earnest() && matches!(cx.signer.holder, Holder::Office { .. });
    if of_owner && (by_office || any && !own) {
        after.desk_set_by = Some(cx.side());
    }
    if of_owner && !matches!(after.pending, Pending::EndOfLife { .. }) {
        after.pending = Pending::Nothing {};
    }
    Ok(())
}

/// Refuses who may not ask for this party, whatever was released.
pub(super) fn may_ask<F>(cx: &Context<'_>, code: &Code, owner: &PartyName) -> Result<(), Stop<F>> {
    if may_gain(cx, owner) {
        return Ok(());
    }
    let detail = Detail::NoRelation {
        deed: Deed::RequestOwnership,
        code: *code,
        holder: cx.signer.holder.clone(),
    };
    no(Reason::NotYours, detail)
}

/// Whether the signer may ask for this party: itself, a person whose desk it becomes, or as a registrar anybody.
fn may_gain(cx: &Context<'_>, owner: &PartyName) -> bool {
    match (owner, &cx.signer.holder) {
        (PartyName::Person { .. }, _) => true,
        (PartyName::Enterprise { id }, Holder::Enterprise { id: own }) => id == own,
        (PartyName::Office { prefix, name }, Holder::Office { name: own }) => {
            *prefix == cx.me() && name == own
        }
        (_, Holder::Office { .. }) => cx.signer.role == Role::Registrar,
        (PartyName::Office { .. }, Holder::Enterprise { .. }) => false,
    }
}

fn in_time<F>(cx: &Context<'_>, release: &Release) -> Result<(), Stop<F>> {
    if release.until < cx.now {
        let (until, now) = (release.until, cx.now);
        return no(Reason::DeadlinePassed, Detail::ValidUntil { until, now });
    }
    Ok(())
}

pub(super) fn approve<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    after: &mut Robot,
) -> Result<(), Stop<L::Fault>> {
    let Pending::Asked { release, owner, by } = &after.pending else {
        return no(Reason::NothingPending, Detail::NoOwnershipRequest {});
    };
    in_time(cx, release)?;
    cx.is_own(ledger, &release.by)?;
    cx.second_to(ledger, by)?;
    // Where the owner's side may approve, no office does: but what was given by a desk that an office chose, or by one desk to
    // itself. What was given in its place, while its side may act no more: one that may act again is asked.
    let for_office = after.desk_set_by.is_some() || !cx.are_two(ledger, &release.by, by)?;
    let for_office = for_office && !is_in_place(cx, after, release);
    if let Some(owner) = after.owner.as_ref().filter(|owner| !cx.is_side_of(owner))
        && !for_office
    {
        cx.in_place_of(ledger, Deed::ApproveOwnership, after, owner)?;
    }
    // What was released in the owner's place takes a third: who released it does not also give it.
    if is_in_place(cx, after, release) || is_of_office(cx, release) {
        cx.second_to(ledger, &release.by)?;
    }
    // Nor who chose the desk that released it.
    if let Some(set_by) = &after.desk_set_by {
        cx.second_to(ledger, &release.by)?;
        cx.second_to(ledger, set_by)?;
    }
    let owner = owner.clone();
    hand_over(after, owner);
    Ok(())
}

/// Ends a release or a request without a change, by the one whose end it is.
pub(super) fn end<F>(
    cx: &Context<'_>,
    after: &mut Robot,
    end: OwnershipEnd,
) -> Result<(), Stop<F>> {
    let (release, asked_by) = match &after.pending {
        Pending::Released { release } => (release, None),
        Pending::Asked { release, by, .. } => (release, Some(by)),
        Pending::Nothing {} | Pending::EndOfLife { .. } => {
            return no(Reason::NothingPending, Detail::NoOwnershipRequest {});
        }
    };
    let asked_here = asked_by.is_some_and(|by| !are_two(by, &cx.side()));
    // Who released it, the owner, or a registrar: said of each, so that no other relation to the robot lets anybody in.
    let holder = &cx.signer.holder;
    let of_owner = after.owner.iter().any(|owner| cx.is_side_of(owner));
    let gives = of_owner || release.by.holder == *holder || cx.signer.role == Role::Registrar;
    let whose = match (end, asked_by) {
        // A request is rejected by the other side, a release is taken back by its own.
        (OwnershipEnd::Rejected, Some(_)) => gives && !asked_here,
        (OwnershipEnd::Rejected, None) => {
            return no(Reason::NothingPending, Detail::NoOwnershipRequest {});
        }
        (OwnershipEnd::Cancelled, Some(_)) => asked_here,
        (OwnershipEnd::Cancelled, None) => gives,
        (OwnershipEnd::Expired, _) if release.until < cx.now => true,
        (OwnershipEnd::Expired, _) => {
            return no(Reason::OwnershipRequestOpen, Detail::NOTHING);
        }
    };
    if !whose {
        let detail = Detail::NoRelation {
            deed: Deed::EndOwnershipRequest,
            code: after.identity.code,
            holder: cx.signer.holder.clone(),
        };
        return no(Reason::NotYours, detail);
    }
    after.pending = Pending::Nothing {};
    Ok(())
}
