//! Signing keys: whose are enrolled, and what takes two admins.
//!
//! A key of an admin, registrar or regulator is added and retired by two admins of different persons, unless the registry is
//! a sandbox: the first command is a proposal, which expires; the same command by the other person is its confirmation. The
//! last key of such a role is never retired, nor are the admins ever one person. A key of customs, who are desks, is added by
//! two admins too.
//!
//! A key of an enterprise is retired by one registrar, one of customs by one admin. That it was in other hands two of them say: at the
//! first word it signs no more, at the second what waits on its word waits for nothing, and is said anew by who may.
//!
//! The first key of an enterprise is a registrar's to enrol. Once it may act, or is party to a robot, its further keys take its
//! own word, by a key that it has, or a second registrar: nobody becomes its hand alone.
//!
//! A key may be enrolled to follow another of the same hand: whoever has it then retires that one alone, and no more words are needed.
//!
//! What waits for its second word has a number, the index of the leaf that says it was proposed. Another person may reject it, but
//! nobody what is about themselves: whoever has stolen a key does not keep it by saying no.

use super::{Context, Decided, OrFault, Stop, no, standing};
use crate::bytes::signature::{KeyId, PublicKey, Signature};
use crate::bytes::time::TimeMs;
use crate::limits::{PROPOSAL_TIME, SUPERVISORS_MAX};
use crate::log::leaf::Kind;
use crate::record::denied::Bearer;
use crate::record::event::{After, Effect, Event};
use crate::record::ledger::Ledger;
use crate::record::offices::{Change, Profile, Proposal, is_office_of, supervises, takes_two};
use crate::record::{Actor, Daily, Enrolment, Holder, Signer, Word};
use crate::rules::actions::{Deed, Relation};
use crate::rules::command::Command;
use crate::rules::parties::are_two;
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Reason};

/// A key as a command enrols it.
pub(super) struct NewSigner<'a> {
    pub(super) enrolment: &'a Enrolment,
    pub(super) proof: &'a Signature,
    pub(super) word: Option<&'a Word>,
    /// The key of the same hand that it follows.
    pub(super) instead: Option<KeyId>,
    pub(super) reason: &'a str,
}

pub(super) fn add<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    new: &NewSigner<'_>,
) -> Decided<L::Fault> {
    let enrolment = new.enrolment;
    let (role, holder) = (enrolment.role, &enrolment.holder);
    let id = enrolment.public.key_id();
    let vouched_by = vouched(ledger, cx, new)?;
    // Offices are the administrator's, enterprises the registrar's.
    let (deed, fits) = match holder {
        Holder::Office { .. } => (Deed::AddOfficeSigner, !role.is_enterprise()),
        Holder::Enterprise { .. } => (Deed::AddEnterpriseSigner, role.is_enterprise()),
    };
    cx.allow(deed, None)?;
    if !fits {
        return no(
            Reason::RoleNotAllowed,
            Detail::NoRoleOf {
                role,
                holder: holder.clone(),
            },
        );
    }
    let mut engages = None;
    let at_once = match holder {
        Holder::Enterprise { id } => {
            let Some(enterprise) = ledger.enterprise(id).or_fault()? else {
                return no(Reason::EnterpriseUnknown, Detail::Enterprise { id: *id });
            };
            standing::<L::Fault>(&enterprise, cx.now)?;
            if !enterprise.roles.contains(&role) {
                return no(
                    Reason::EnterpriseLacksRole,
                    Detail::NotAccreditedAs { id: *id, role },
                );
            }
            engages = (!enterprise.engaged).then_some(*id);
            // Who may act is asked: else whoever enrols a key of it sells what it owns.
            vouched_by.is_some() || engages.is_some()
        }
        // Two people of an office are told apart by name.
        Holder::Office { .. } if enrolment.person.is_empty() => {
            return no(Reason::Malformed, Detail::NoPerson {});
        }
        // An office is of one kind: a key of another would be its desk, and the owner of what it owns.
        Holder::Office { name } if !is_office_of(name, role) => {
            let holder = holder.clone();
            return no(Reason::RoleNotAllowed, Detail::NoRoleOf { role, holder });
        }
        Holder::Office { .. } => !takes_two(role),
    };
    if let Some(known) = ledger.signer(&id).or_fault()? {
        return no(Reason::SignerExists, enrolled_as(&known));
    }
    // Who makes the first key alone makes the party, whoever accredited it; and a key on the word of one is of the same making.
    let enrolled_by = match vouched_by {
        Some(key) => key.enrolled_by,
        None => engages.map(|_| cx.side()),
    };
    let signer = Signer {
        enrolled_by,
        instead: new.instead,
        ..enrolled(enrolment, cx.next_leaf)
    };
    if supervising(&signer) && cx.registry.offices.supervisors.len() >= SUPERVISORS_MAX {
        return full(Counted::Supervisors, SUPERVISORS_MAX);
    }
    let change = Change::Add {
        enrolment: enrolment.clone(),
        proof: *new.proof,
        instead: new.instead,
    };
    let said = Said {
        change,
        reason: new.reason,
        at_once,
    };
    let mut events = settled(cx, command, signer, said)?;
    if let Some(event) = events.last_mut() {
        event.effects.extend(engages.map(Effect::Engaged));
    }
    Ok(events)
}

/// The record of a key that is enrolled at a leaf.
pub(crate) fn enrolled(enrolment: &Enrolment, index: u64) -> Signer {
    Signer {
        id: enrolment.public.key_id(),
        public: enrolment.public,
        holder: enrolment.holder.clone(),
        role: enrolment.role,
        person: enrolment.person.clone(),
        added: index,
        retired: None,
        compromised_after: None,
        enrolled_by: None,
        ends: Daily::default(),
        instead: None,
    }
}

/// As what a key is enrolled already.
pub(crate) fn enrolled_as(known: &Signer) -> Detail {
    Detail::EnrolledAs {
        key: known.id,
        holder: known.holder.clone(),
        role: known.role,
        ended: known.has_ended(),
    }
}

/// Refuses a key that is to follow what is no active key of the same hand: who has it would retire another's.
fn follows<L: Ledger>(
    ledger: &L,
    enrolment: &Enrolment,
    instead: Option<KeyId>,
) -> Result<(), Stop<L::Fault>> {
    let Some(key) = instead else {
        return Ok(());
    };
    // An enterprise is one party, whoever signs for it; of an office each person is one.
    let is_enterprise = matches!(enrolment.holder, Holder::Enterprise { .. });
    let of_same_hand = |old: &Signer| {
        (&old.holder, old.role) == (&enrolment.holder, enrolment.role)
            && (is_enterprise || old.person == enrolment.person)
    };
    let Some(old) = ledger.signer(&key).or_fault()?.filter(of_same_hand) else {
        return no(Reason::SignerUnknown, Detail::OfAnotherHand { key });
    };
    if old.has_ended() {
        return no(Reason::SignerNotActive, Detail::Key { key });
    }
    Ok(())
}

/// Refuses a key that did not sign for its own enrolment: nobody uses up the key of another. And the key, which is active, by which
/// its enterprise gives its word for it.
fn vouched<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    new: &NewSigner<'_>,
) -> Result<Option<Signer>, Stop<L::Fault>> {
    let (enrolment, me) = (new.enrolment, cx.me());
    let of = |key| Detail::NotSignedBy { key };
    follows(ledger, enrolment, new.instead)?;
    let mut vouched_by = None;
    if let Some(word) = new.word {
        let key = word.key;
        let known = ledger.signer(&key).or_fault()?;
        let is_of_it = |known: &Signer| {
            known.holder == enrolment.holder && matches!(known.holder, Holder::Enterprise { .. })
        };
        let Some(known) = known.filter(is_of_it) else {
            return no(Reason::SignerUnknown, Detail::Key { key });
        };
        if known.has_ended() {
            return no(Reason::SignerNotActive, Detail::Key { key });
        }
        if !enrolment.is_signed(&me, &known.public, &word.signature) {
            return no(Reason::BadSignature, of(key));
        }
        vouched_by = Some(known);
    }
    if !enrolment.is_signed(&me, &enrolment.public, new.proof) {
        return no(Reason::BadSignature, of(enrolment.public.key_id()));
    }
    Ok(vouched_by)
}

pub(super) fn retire<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    public: &PublicKey,
    (compromised_after, reason): (Option<u64>, &str),
) -> Decided<L::Fault> {
    let key = public.key_id();
    let found = ledger.signer(&key).or_fault()?;
    // Whoever enrolled the signer's key said with it that this one goes.
    let is_followed = cx.signer.instead == Some(key) && compromised_after.is_none();
    let deed = match found.as_ref().map(|signer| &signer.holder) {
        Some(Holder::Enterprise { .. }) => Deed::RetireEnterpriseSigner,
        Some(Holder::Office { .. }) => Deed::RetireOfficeSigner,
        None if cx.signer.role == Role::Admin => Deed::RetireOfficeSigner,
        None => Deed::RetireEnterpriseSigner,
    };
    match is_followed {
        true => cx.judged(Deed::RetireFollowed, &[Relation::Pending], || {
            Detail::NOTHING
        })?,
        false => cx.allow(deed, None)?,
    }
    let Some(signer) = found else {
        return no(Reason::SignerUnknown, Detail::Key { key });
    };
    // Of a key that was retired it may come out later that it was in other hands, and since earlier than was thought.
    let is_worse = match (signer.compromised_after, compromised_after) {
        (None, Some(_)) => true,
        (Some(known), Some(since)) => since < known,
        (_, None) => false,
    };
    if signer.retired.is_some() && !is_worse {
        return no(Reason::SignerNotActive, Detail::RetiredAlready { key });
    }
    if supervising(&signer) && signer.retired.is_none() {
        let offices = &cx.registry.offices;
        let in_earnest = offices.profile == Profile::Production && signer.role == Role::Admin;
        let least = if in_earnest { 2 } else { 1 };
        if offices.persons(signer.role, Some(&key)) < least {
            return no(Reason::LastOfRole, Detail::LastOf { role: signer.role });
        }
    }
    let signer_stands = signer.retired.is_none();
    let retired = Signer {
        retired: signer.retired.or(Some(cx.next_leaf)),
        compromised_after,
        ..signer
    };
    let change = Change::Retire {
        public: *public,
        compromised_after,
    };
    // It signs no more from now on; that what it signed falls takes two.
    let is_of_enterprise = matches!(retired.holder, Holder::Enterprise { .. });
    // So does what a desk of customs signed: that it signs no more is one admin's.
    let falls = compromised_after.is_some()
        && !supervising(&retired)
        && (is_of_enterprise || takes_two(retired.role));
    let stops = falls && signer_stands;
    let at_once = is_followed || !(supervising(&retired) || falls);
    let kind = match retired.holder {
        Holder::Enterprise { .. } => Kind::Enterprise,
        Holder::Office { .. } => Kind::Office,
    };
    let stopped = Signer {
        compromised_after: None,
        ..retired.clone()
    };
    let said = Said {
        change,
        reason,
        at_once,
    };
    let mut events = settled(cx, command, retired, said)?;
    if let (true, [only]) = (stops, events.as_mut_slice())
        && let After::Proposal(proposal) = &mut only.after
    {
        // Its leaf comes behind that of the key.
        // saturates: a leaf has no such index (`INDEX_MAX`).
        proposal.number = cx.next_leaf.saturating_add(1);
        let now = Event::new(kind, command, After::Signer(stopped));
        events.insert(0, now);
    }
    Ok(events)
}

/// Ends what is proposed of a key: its proposer takes it back, another person of the same role rejects it.
pub(super) fn reject<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    proposal: &Proposal,
) -> Decided<L::Fault> {
    in_time(cx, proposal.until)?;
    let about = match &proposal.change {
        Change::Retire { public, .. } => {
            let known = ledger.signer(&public.key_id()).or_fault()?;
            known.map(|known| known.person)
        }
        Change::Add { .. } => None,
    };
    may_reject(cx, &proposal.by, about.as_deref())?;
    let after = After::Withdrawn(Box::new(proposal.clone()));
    Ok(vec![Event::new(Kind::Office, command, after)])
}

/// Refuses what has expired: nothing more becomes of it.
pub(super) fn in_time<F>(cx: &Context<'_>, until: TimeMs) -> Result<(), Stop<F>> {
    if until < cx.now {
        let now = cx.now;
        return no(Reason::DeadlinePassed, Detail::ValidUntil { until, now });
    }
    Ok(())
}

/// Refuses to reject what is proposed of oneself, or by those of another role: each decides about its own.
pub(super) fn may_reject<F>(
    cx: &Context<'_>,
    by: &Actor,
    about: Option<&str>,
) -> Result<(), Stop<F>> {
    if !are_two(by, &cx.side()) {
        return Ok(());
    }
    let of_role =
        matches!(&by.holder, Holder::Office { name } if is_office_of(name, cx.signer.role));
    if !of_role {
        let by = by.holder.clone();
        return no(Reason::RoleNotAllowed, Detail::ProposedBy { by });
    }
    if about == Some(cx.signer.person.as_str()) {
        return no(Reason::SecondPartyRequired, Detail::AboutOneself {});
    }
    Ok(())
}

/// The person of a bearer whose certificate another admin asks to be refused.
pub(super) fn person_of(bearer: &Bearer) -> Option<&str> {
    match bearer {
        Bearer::Admin { person, .. } => Some(person),
        Bearer::Client { .. } | Bearer::Node { .. } | Bearer::Peer { .. } => None,
    }
}

fn supervising(signer: &Signer) -> bool {
    supervises(signer.role) && matches!(signer.holder, Holder::Office { .. })
}

fn full<T, F>(what: Counted, max: usize) -> Result<T, Stop<F>> {
    let max = max as u64;
    no(Reason::RecordFull, Detail::Full { what, max })
}

/// What a command says of a key that may take two words.
struct Said<'a> {
    change: Change,
    /// Why, where the command says it.
    reason: &'a str,
    /// Whether one word is enough.
    at_once: bool,
}

/// The change of a key: at once, or as the first of two words. Both are of one role: admins' about offices, registrars' about
/// enterprises.
fn settled<F>(cx: &Context<'_>, command: &Command, signer: Signer, said: Said<'_>) -> Decided<F> {
    let (kind, role) = match signer.holder {
        Holder::Enterprise { .. } => (Kind::Enterprise, Role::Registrar),
        Holder::Office { .. } => (Kind::Office, Role::Admin),
    };
    let offices = &cx.registry.offices;
    let at_once = said.at_once || offices.profile == Profile::Sandbox;
    let first = offices.proposal(&said.change, cx.now);
    // The word of an admin who is none any more is none.
    let same = first.filter(|first| offices.has(role, &first.by.key));
    match same {
        Some(first) if !at_once && !are_two(&first.by, &cx.side()) => {
            return no(Reason::SecondPartyRequired, Detail::SameParty {});
        }
        None if !at_once => {
            let proposal = Proposal {
                number: cx.next_leaf,
                about: signer.side(),
                before: offices.newest,
                change: said.change,
                reason: said.reason.to_owned(),
                by: cx.side(),
                until: cx.now.checked_add(PROPOSAL_TIME).unwrap_or(TimeMs::MAX),
            };
            let after = After::Proposal(Box::new(proposal));
            return Ok(vec![Event::new(kind, command, after)]);
        }
        _ => {}
    }
    Ok(vec![Event::new(kind, command, After::Signer(signer))])
}
