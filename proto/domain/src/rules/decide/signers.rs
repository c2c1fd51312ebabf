//! Signing keys: whose are enrolled, and what takes two admins.
//!
//! A key of an admin, registrar or regulator is added and retired by two admins of different persons, unless the registry is
//! a sandbox: the first command is a proposal, which expires; the same command by the other person is its confirmation. The
//! last key of such a role is never retired, nor are the admins ever one person.

use super::{Context, Decided, OrFault, Stop, no, standing};
use crate::bytes::signature::PublicKey;
use crate::bytes::time::{DurationMs, TimeMs};
use crate::limits::SUPERVISORS_MAX;
use crate::log::leaf::Kind;
use crate::record::event::{After, Event};
use crate::record::ledger::Ledger;
use crate::record::offices::{Change, Profile, Proposal, supervises};
use crate::record::{Holder, Signer};
use crate::rules::actions::Deed;
use crate::rules::command::Command;
use crate::rules::parties::are_two;
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Reason};

/// How long a proposal waits for the second admin.
pub const PROPOSAL_TIME: DurationMs = DurationMs::from_days(7);

/// A key as a command enrols it.
pub(super) struct NewSigner<'a> {
    pub(super) public: &'a PublicKey,
    pub(super) holder: &'a Holder,
    pub(super) role: Role,
    pub(super) person: &'a str,
}

pub(super) fn add<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    new: &NewSigner<'_>,
) -> Decided<L::Fault> {
    let (role, holder) = (new.role, new.holder);
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
    match holder {
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
        }
        // Two people of an office are told apart by name.
        Holder::Office { .. } if new.person.is_empty() => {
            return no(Reason::Malformed, Detail::NoPerson {});
        }
        // An office is of one kind: a key of another would be its desk, and the owner of what it owns.
        Holder::Office { name } if is_of_another(name, role) => {
            let holder = holder.clone();
            return no(Reason::RoleNotAllowed, Detail::NoRoleOf { role, holder });
        }
        Holder::Office { .. } => {}
    }
    let id = new.public.key_id();
    if ledger.signer(&id).or_fault()?.is_some() {
        return no(Reason::SignerExists, Detail::Key { key: id });
    }
    let signer = Signer {
        id,
        public: *new.public,
        holder: holder.clone(),
        role,
        person: new.person.to_owned(),
        added: cx.next_leaf,
        retired: None,
        compromised_after: None,
    };
    if supervising(&signer) && cx.registry.offices.supervisors.len() >= SUPERVISORS_MAX {
        return full(Counted::Supervisors, SUPERVISORS_MAX);
    }
    let change = Change::Add {
        public: *new.public,
        holder: holder.clone(),
        role,
        person: new.person.to_owned(),
    };
    settled(cx, command, signer, change)
}

pub(super) fn retire<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    public: &PublicKey,
    compromised_after: Option<u64>,
) -> Decided<L::Fault> {
    let key = public.key_id();
    let found = ledger.signer(&key).or_fault()?;
    let deed = match found.as_ref().map(|signer| &signer.holder) {
        Some(Holder::Enterprise { .. }) => Deed::RetireEnterpriseSigner,
        Some(Holder::Office { .. }) => Deed::RetireOfficeSigner,
        None if cx.signer.role == Role::Admin => Deed::RetireOfficeSigner,
        None => Deed::RetireEnterpriseSigner,
    };
    cx.allow(deed, None)?;
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
    let retired = Signer {
        retired: signer.retired.or(Some(cx.next_leaf)),
        compromised_after,
        ..signer
    };
    let change = Change::Retire {
        public: *public,
        compromised_after,
    };
    settled(cx, command, retired, change)
}

/// Takes back what the signer's person proposed of a key, before another confirmed it.
pub(super) fn withdraw<F>(cx: &Context<'_>, command: &Command, public: &PublicKey) -> Decided<F> {
    cx.allow(Deed::WithdrawProposal, None)?;
    let key = public.key_id();
    let side = cx.side();
    let mut open = cx.registry.offices.proposals.iter();
    let own =
        open.find(|one| cx.now <= one.until && one.change.key() == key && !are_two(&one.by, &side));
    let Some(own) = own else {
        return no(Reason::NothingPending, Detail::Key { key });
    };
    let after = After::Withdrawn(Box::new(own.clone()));
    Ok(vec![Event::new(Kind::Office, command, after)])
}

/// Whether an office says by the first part of its name that it is of another role.
fn is_of_another(office: &str, role: Role) -> bool {
    let kind = office.split('/').next();
    let mut roles = Role::ALL.iter();
    let said = roles.find(|said| Some(said.word()) == kind);
    said.is_some_and(|said| *said != role)
}

fn supervising(signer: &Signer) -> bool {
    supervises(signer.role) && matches!(signer.holder, Holder::Office { .. })
}

fn full<T, F>(what: Counted, max: usize) -> Result<T, Stop<F>> {
    let max = max as u64;
    no(Reason::RecordFull, Detail::Full { what, max })
}

/// The change of a key: at once, or as the first of two words.
fn settled<F>(cx: &Context<'_>, command: &Command, signer: Signer, change: Change) -> Decided<F> {
    let kind = match signer.holder {
        Holder::Enterprise { .. } => Kind::Enterprise,
        Holder::Office { .. } => Kind::Office,
    };
    let offices = &cx.registry.offices;
    let at_once = !supervising(&signer) || offices.profile == Profile::Sandbox;
    let first = offices.proposal(&change, cx.now);
    // The word of an admin who is none any more is none.
    let admins = |first: &&Proposal| {
        let mut supervisors = offices.supervisors.iter();
        supervisors.any(|one| one.key == first.by.key && one.role == Role::Admin)
    };
    let same = first.filter(admins);
    match same {
        Some(first) if !at_once && !are_two(&first.by, &cx.side()) => {
            return no(Reason::SecondPartyRequired, Detail::SameParty {});
        }
        None if !at_once => {
            let proposal = Proposal {
                change,
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
