//! Whether a command is allowed, and what it changes: pure, total, deterministic.
//!
//! The first reason in precedence is answered. Reads go through a [`Ledger`]; nothing is written here.

mod border;
mod denied;
mod members;
mod owed;
mod ownership;
mod peers;
mod recall;
mod robot;
mod signers;

use crate::bytes::code::{Code, EnterpriseCode, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::Canonical;
use crate::bytes::time::TimeMs;
use crate::limits::{MODELS_BY_ONE_MAX, MODELS_OF_ENTERPRISE_MAX, PROPOSED_TIME, SUCCESSIONS_MAX};
use crate::log::leaf::Kind;
use crate::record::event::{After, Effect, Event};
use crate::record::ledger::Ledger;
use crate::record::offices::Profile;
use crate::record::registry::Registry;
use crate::record::{
    Actor, ApprovalStatus, Clearing, Daily, Desk, Enterprise, EnterpriseStatus, Fitted, Fitting,
    Holder, Maker, Model, ModelFacts, Naming, Party, PartyName, Robot, Setter, Signer,
    recalls_digest,
};
use crate::rules::actions::{Deed, Judgement, PARTIES, Relation, Standing, TRADERS, judge};
use crate::rules::command::Command;
use crate::rules::parties::{
    are_two, relations, relations_of_owner, standing_of, stands_for, to_maker,
};
use crate::rules::policy::Role;
use crate::rules::rejection::{Detail, Listed, Ranged, Reason, Rejection};

pub(crate) use border::{Held, bound_elsewhere, cancel_after_refusal, held, newest, step_event};
pub use owed::blocked_by_recall;
use recall::Stated;
pub(crate) use recall::touched;
use signers::NewSigner;
pub(crate) use signers::{enrolled, enrolled_as};

/// Why there are no events: a lawful "no", or the medium failed.
#[derive(Debug)]
pub enum Stop<F> {
    /// A lawful "no".
    Refused(Rejection),
    /// The medium failed.
    Fault(F),
}

impl<F> From<Rejection> for Stop<F> {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

/// Events, or why not.
pub type Decided<F> = Result<Vec<Event>, Stop<F>>;

/// Events whose records can be kept; see [`Event::fits`].
pub(crate) fn fitting<F>(events: Vec<Event>) -> Decided<F> {
    for event in &events {
        event.fits()?;
    }
    Ok(events)
}

/// A lawful "no".
pub(crate) fn no<T, F>(reason: Reason, detail: Detail) -> Result<T, Stop<F>> {
    Err(Stop::Refused(Rejection::new(reason, detail)))
}

/// Carries a fault of the medium through `?`.
pub(crate) trait OrFault<T, F> {
    /// The value, or the fault as a stop.
    fn or_fault(self) -> Result<T, Stop<F>>;
}

impl<T, F> OrFault<T, F> for Result<T, F> {
    fn or_fault(self) -> Result<T, Stop<F>> {
        self.map_err(Stop::Fault)
    }
}

/// What a decision stands on beside the records: the registry, log time, the signer, and the next leaf index.
pub struct Context<'a> {
    /// As it stands before this command.
    pub registry: &'a Registry,
    /// Log time of the entry.
    pub now: TimeMs,
    /// Who signed; active at this entry.
    pub signer: &'a Signer,
    /// Whether the signer's enterprise may act in the signer's role.
    pub standing: Standing,
    /// Index of the next leaf.
    pub next_leaf: u64,
}

impl Context<'_> {
    /// This registry's prefix.
    pub fn me(&self) -> Prefix {
        self.registry.prefix
    }

    /// Whether the registry takes its offices in earnest: it is no sandbox, in which one person may be all there is.
    pub(crate) fn is_in_earnest(&self) -> bool {
        self.registry.offices.profile == Profile::Production
    }

    /// Who signed, as one side of a step that needs two.
    pub fn side(&self) -> Actor {
        self.signer.side()
    }

    /// Refuses the second step to who took the first.
    pub(crate) fn second_to<L: Ledger>(
        &self,
        ledger: &L,
        first: &Actor,
    ) -> Result<(), Stop<L::Fault>> {
        self.is_own(ledger, first)?;
        if self.are_two(ledger, first, &self.side())? {
            return Ok(());
        }
        no(Reason::SecondPartyRequired, Detail::SameParty {})
    }

    /// Refuses to go on with what was said by a key that turned out to be in other hands: it is said anew, by whoever may.
    pub(crate) fn is_own<L: Ledger>(
        &self,
        ledger: &L,
        first: &Actor,
    ) -> Result<(), Stop<L::Fault>> {
        let key = first.key;
        let known = ledger.signer(&key).or_fault()?;
        match known.is_some_and(|known| known.compromised_after.is_some()) {
            true => no(Reason::SignerNotActive, Detail::Key { key }),
            false => Ok(()),
        }
    }

    /// Whether two who act are two parties, and neither is a person of an office with an enterprise that stands on the word of that
    /// person alone, or whose key that person enrolled alone: whoever makes the second party is not one of two.
    pub(crate) fn are_two<L: Ledger>(
        &self,
        ledger: &L,
        one: &Actor,
        other: &Actor,
    ) -> Result<bool, Stop<L::Fault>> {
        if !are_two(one, other) {
            return Ok(false);
        }
        let (office, id, key) = match (&one.holder, &other.holder) {
            (Holder::Office { .. }, Holder::Enterprise { id }) => (one, id, &other.key),
            (Holder::Enterprise { id }, Holder::Office { .. }) => (other, id, &one.key),
            _ => return Ok(true),
        };
        if !self.is_in_earnest() {
            return Ok(true);
        }
        let enterprise = ledger.enterprise(id).or_fault()?;
        let vouched_by = enterprise.and_then(|enterprise| enterprise.vouched_by);
        let signer = ledger.signer(key).or_fault()?;
        let enrolled_by = signer.and_then(|signer| signer.enrolled_by);
        let mut makers = [vouched_by, enrolled_by].into_iter().flatten();
        Ok(makers.all(|by| by.person != office.person))
    }

    /// Whether one person of an office made an enterprise that signs what it is: accredited it, or gave it a role, with nobody beside
    /// them, and enrolled the key with which it signs. In a sandbox one may be all there is.
    pub(crate) fn is_made_by_one(&self, enterprise: &Enterprise) -> bool {
        let makers = (&enterprise.vouched_by, &self.signer.enrolled_by);
        let (Some(vouched), Some(enrolled)) = makers else {
            return false;
        };
        self.is_in_earnest() && vouched.person == enrolled.person
    }

    /// Who signed, as the setter of a hold.
    pub fn actor(&self) -> Setter {
        Setter {
            prefix: self.me(),
            party: self.signer.holder.clone(),
            role: self.signer.role,
        }
    }

    /// A party that the command names; a person's desk is who signed. Refuses one that cannot be: an enterprise of ours that
    /// is not accredited, was struck off, or is in none of `roles`, in which it would act; a country that is no peer.
    pub(crate) fn party<L: Ledger>(
        &self,
        ledger: &L,
        named: &PartyName,
        roles: &[Role],
    ) -> Result<Party, Stop<L::Fault>> {
        match named {
            PartyName::Enterprise { id } if id.prefix() == self.me() => {
                let Some(enterprise) = ledger.enterprise(id).or_fault()? else {
                    return no(Reason::EnterpriseUnknown, Detail::Enterprise { id: *id });
                };
                if enterprise.status == EnterpriseStatus::StruckOff {
                    let status = enterprise.status;
                    let detail = Detail::EnterpriseIs { id: *id, status };
                    return no(Reason::EnterpriseNotActive, detail);
                }
                one_of::<L::Fault>(&enterprise, roles)?;
            }
            PartyName::Enterprise { id } => self.of_peer(ledger, id.prefix())?,
            PartyName::Office { prefix, .. } if *prefix != self.me() => {
                self.of_peer(ledger, *prefix)?;
            }
            PartyName::Office { .. } | PartyName::Person { .. } => {}
        }
        Ok(named.at(Desk::of(self.me(), &self.signer.holder), self.now))
    }

    /// Refuses an enterprise of ours that is named and cannot be, before the state of what it is named for is judged.
    pub(crate) fn can_be<L: Ledger>(
        &self,
        ledger: &L,
        named: &PartyName,
        roles: &[Role],
    ) -> Result<(), Stop<L::Fault>> {
        match named {
            PartyName::Enterprise { id } if id.prefix() == self.me() => {
                self.party(ledger, named, roles).map(drop)
            }
            PartyName::Enterprise { .. } | PartyName::Office { .. } | PartyName::Person { .. } => {
                Ok(())
            }
        }
    }

    /// Refuses an enterprise of ours that may not act now, or is in none of `roles`.
    pub(crate) fn can_act<L: Ledger>(
        &self,
        ledger: &L,
        id: &EnterpriseId,
        roles: &[Role],
    ) -> Result<(), Stop<L::Fault>> {
        let Some(enterprise) = ledger.enterprise(id).or_fault()? else {
            return no(Reason::EnterpriseUnknown, Detail::Enterprise { id: *id });
        };
        standing::<L::Fault>(&enterprise, self.now)?;
        one_of(&enterprise, roles)
    }

    fn of_peer<L: Ledger>(&self, ledger: &L, prefix: Prefix) -> Result<(), Stop<L::Fault>> {
        let peers = ledger.peers().or_fault()?;
        if peers
            .iter()
            .any(|peer| peer.bundle.prefixes.contains(&prefix))
        {
            return Ok(());
        }
        no(Reason::PeerUnknown, Detail::Prefix { prefix })
    }

    /// Refuses a signer who may do this to nothing: before the subject is read.
    pub(crate) fn allow_role<F>(&self, deed: Deed) -> Result<(), Stop<F>> {
        self.judged(deed, Relation::ALL, || Detail::NOTHING)
    }

    /// Refuses a signer who may not do this to what an enterprise makes, or to nobody's in particular.
    pub(crate) fn allow<F>(&self, deed: Deed, maker: Option<&EnterpriseId>) -> Result<(), Stop<F>> {
        let holder = &self.signer.holder;
        let relations = match (maker, holder) {
            (Some(maker), _) => to_maker(holder, maker),
            (None, Holder::Office { .. }) => vec![Relation::Office],
            (None, Holder::Enterprise { .. }) => vec![Relation::None],
        };
        let detail = || Detail::NotOf {
            owner: maker.copied(),
            holder: holder.clone(),
        };
        self.judged(deed, &relations, detail)
    }

    /// Refuses a signer who may not do this to this robot.
    pub(crate) fn allow_on<F>(&self, deed: Deed, robot: &Robot) -> Result<(), Stop<F>> {
        let holder = &self.signer.holder;
        let relations = match deed.is_of_owner() {
            true => relations_of_owner(self.me(), holder, robot),
            false => relations(self.me(), holder, robot),
        };
        self.allow_as(deed, robot, &relations)
    }

    /// As [`Self::allow_on`], of an open transfer, to which the enterprise that declared it is a party.
    pub(crate) fn allow_on_transfer<F>(
        &self,
        deed: Deed,
        robot: &Robot,
        declared_by: Option<EnterpriseId>,
    ) -> Result<(), Stop<F>> {
        let holder = &self.signer.holder;
        let mut relations = relations_of_owner(self.me(), holder, robot);
        if declared_by.is_some_and(|id| *holder == Holder::Enterprise { id }) {
            relations.push(Relation::Pending);
        }
        self.allow_as(deed, robot, &relations)
    }

    /// As [`Self::allow_on`], where whoever goes on for the maker is the maker: what is done in the maker's name is not one registrar's
    /// to give to whom she names.
    pub(crate) fn allow_on_for_maker<L: Ledger>(
        &self,
        ledger: &L,
        deed: Deed,
        robot: &Robot,
    ) -> Result<(), Stop<L::Fault>> {
        let mut relations = relations(self.me(), &self.signer.holder, robot);
        let maker = robot.identity.code.enterprise_id();
        if self.is_as_maker(ledger, &maker)? {
            relations.push(Relation::Maker);
        }
        self.allow_as(deed, robot, &relations)
    }

    /// As [`Self::allow`], of what is a maker's, where whoever goes on for it is the maker.
    pub(crate) fn allow_for_maker<L: Ledger>(
        &self,
        ledger: &L,
        deed: Deed,
        maker: &EnterpriseId,
    ) -> Result<(), Stop<L::Fault>> {
        match &self.signer.holder {
            Holder::Enterprise { id } if self.is_as_maker(ledger, maker)? => {
                self.allow(deed, Some(id))
            }
            _ => self.allow(deed, Some(maker)),
        }
    }

    /// Whether the signer goes on for a maker that is over, and two persons named who does.
    pub(crate) fn is_as_maker<L: Ledger>(
        &self,
        ledger: &L,
        maker: &EnterpriseId,
    ) -> Result<bool, Stop<L::Fault>> {
        Ok(self.goes_on_for(ledger, maker)? && self.two_named(ledger, maker, |_| true)?)
    }

    /// Whether the signer is of the enterprise that was named to go on for one of ours that is over.
    fn goes_on_for<L: Ledger>(
        &self,
        ledger: &L,
        id: &EnterpriseId,
    ) -> Result<bool, Stop<L::Fault>> {
        let Holder::Enterprise { id: own } = &self.signer.holder else {
            return Ok(false);
        };
        if id == own || id.prefix() != self.me() || ledger.enterprise(id).or_fault()?.is_none() {
            return Ok(false);
        }
        Ok(answers_for(ledger, id, self.now)?.id == *own)
    }

    /// Whether an enterprise, and whoever went on for it and is over too, is over as is asked, and two persons named who goes on
    /// for it. In a sandbox one may be all there is.
    fn two_named<L: Ledger>(
        &self,
        ledger: &L,
        id: &EnterpriseId,
        is_over: impl Fn(&Enterprise) -> bool,
    ) -> Result<bool, Stop<L::Fault>> {
        let mut at = *id;
        for _ in 0..SUCCESSIONS_MAX {
            let Some(found) = ledger.enterprise(&at).or_fault()? else {
                return Ok(false);
            };
            let Some(next) = found.successor.filter(|_| found.is_over(self.now)) else {
                return Ok(true);
            };
            let two = stands(ledger, &found.named_by)? && stands(ledger, &found.seconded_by)?;
            if !is_over(&found) || !two && self.is_in_earnest() {
                return Ok(false);
            }
            at = next;
        }
        Ok(true)
    }

    /// A robot as it is to the signer: what an enterprise that was struck off still held, and nobody bought, is held by who goes on
    /// for it, so that it is sold. One registrar moves no robot: two named that one, whoever struck the first off.
    pub(crate) fn inherited<L: Ledger>(
        &self,
        ledger: &L,
        robot: Robot,
    ) -> Result<Robot, Stop<L::Fault>> {
        let held_by = match (&robot.owner, &robot.holder) {
            (None, Some(Party::Enterprise { id })) => *id,
            _ => return Ok(robot),
        };
        let struck_off = |found: &Enterprise| found.status == EnterpriseStatus::StruckOff;
        if !self.goes_on_for(ledger, &held_by)? || !self.two_named(ledger, &held_by, struck_off)? {
            return Ok(robot);
        }
        let own = match &self.signer.holder {
            Holder::Enterprise { id } => Some(Party::Enterprise { id: *id }),
            Holder::Office { .. } => None,
        };
        Ok(Robot {
            holder: own,
            ..robot
        })
    }

    /// As [`Self::allow_on`], of something that is the owner's to do for once.
    pub(crate) fn allow_as_owner<F>(&self, deed: Deed, robot: &Robot) -> Result<(), Stop<F>> {
        let relations = relations_of_owner(self.me(), &self.signer.holder, robot);
        self.allow_as(deed, robot, &relations)
    }

    /// Refuses a desk that a registrar chose alone what takes the robot from its owner for good: two of the owner's side never
    /// said so. An office of the border or the registry does it instead.
    pub(crate) fn not_by_a_chosen_desk<F>(&self, robot: &Robot) -> Result<(), Stop<F>> {
        let for_owner = robot.owner.as_ref().is_some_and(|it| self.is_side_of(it));
        if robot.desk_set_by.is_some() && for_owner {
            return no(Reason::SecondPartyRequired, Detail::SameParty {});
        }
        Ok(())
    }

    fn allow_as<F>(
        &self,
        deed: Deed,
        robot: &Robot,
        relations: &[Relation],
    ) -> Result<(), Stop<F>> {
        let detail = || Detail::NoRelation {
            deed,
            code: robot.identity.code,
            holder: self.signer.holder.clone(),
        };
        self.judged(deed, relations, detail)
    }

    /// Whether the signer stands for a party.
    pub(crate) fn is_side_of(&self, party: &Party) -> bool {
        stands_for(self.me(), &self.signer.holder, party).is_some()
    }

    /// Whether somebody of this registry may act for a party now, in one of `roles`. Of an office it is not known here whether anybody signs for
    /// it, so that a registrar stands in for it with a reason as for one that may act no more.
    pub(crate) fn acts<L: Ledger>(
        &self,
        ledger: &L,
        party: &Party,
        roles: &[Role],
    ) -> Result<bool, Stop<L::Fault>> {
        let id = match party {
            Party::Enterprise { id } => id,
            Party::Person {
                desk: Desk::Enterprise { id },
                ..
            } => id,
            Party::Person {
                desk: Desk::Office { prefix, .. },
                ..
            } => return Ok(*prefix == self.me()),
            Party::Office { .. } => return Ok(false),
        };
        let known = ledger.enterprise(id).or_fault()?;
        Ok(known.is_some_and(|known| {
            standing_of(&known, self.now) == Standing::Good && is_one_of(&known, roles)
        }))
    }

    /// Refuses a registrar who acts in the place of a party that may act itself.
    pub(crate) fn in_place_of<L: Ledger>(
        &self,
        ledger: &L,
        deed: Deed,
        robot: &Robot,
        party: &Party,
    ) -> Result<(), Stop<L::Fault>> {
        // In a role in which it could: one that was narrowed to others has what nobody signs for.
        let roles = match deed {
            Deed::Stock => TRADERS,
            _ => PARTIES,
        };
        if !self.acts(ledger, party, roles)? {
            return Ok(());
        }
        // An office may see whose it is.
        let side = match party {
            Party::Enterprise { id } => Desk::Enterprise { id: *id },
            Party::Office { prefix, name } => Desk::Office {
                prefix: *prefix,
                name: name.clone(),
            },
            Party::Person { desk, .. } => desk.clone(),
        };
        let detail = Detail::ForSide {
            deed,
            code: robot.identity.code,
            side,
            holder: self.signer.holder.clone(),
        };
        no(Reason::NotYours, detail)
    }

    fn judged<F>(
        &self,
        deed: Deed,
        relations: &[Relation],
        detail: impl FnOnce() -> Detail,
    ) -> Result<(), Stop<F>> {
        let role = self.signer.role;
        match judge(deed, role, relations, self.standing) {
            Judgement::May => Ok(()),
            Judgement::NotTheRole => {
                no(Reason::RoleNotAllowed, Detail::RoleMayNotDo { role, deed })
            }
            Judgement::NotInStanding => {
                let holder = self.signer.holder.clone();
                no(Reason::ActorNotInStanding, Detail::Stands { holder })
            }
            Judgement::NotTheSubject => no(Reason::NotYours, detail()),
        }
    }
}

/// Judges one command.
///
/// # Errors
/// A lawful "no" with the first reason in precedence, or a fault of the medium.
pub fn decide<L: Ledger>(ledger: &L, cx: &Context<'_>, command: &Command) -> Decided<L::Fault> {
    match command {
        Command::AccreditEnterprise {
            code,
            name,
            maker,
            roles,
            valid_from,
            valid_to,
        } => accredit(
            ledger,
            cx,
            command,
            (code, maker),
            &Terms {
                name,
                roles,
                from: *valid_from,
                to: *valid_to,
            },
        ),
        Command::SetEnterpriseStatus { id, status, .. } => {
            set_enterprise_status(ledger, cx, command, id, *status)
        }
        Command::AmendEnterprise {
            id,
            name,
            roles,
            valid_from,
            valid_to,
            ..
        } => {
            let amended = Terms {
                name,
                roles,
                from: *valid_from,
                to: *valid_to,
            };
            amend_enterprise(ledger, cx, command, id, &amended)
        }
        Command::SucceedEnterprise { id, successor, .. } => {
            succeed_enterprise(ledger, cx, command, id, successor)
        }
        Command::AddSigner {
            enrolment,
            proof,
            word,
            instead,
            reason,
        } => {
            let new = NewSigner {
                enrolment,
                proof,
                word: word.as_ref(),
                instead: *instead,
                reason,
            };
            signers::add(ledger, cx, command, &new)
        }
        Command::RetireSigner {
            public,
            compromised_after,
            reason,
        } => signers::retire(ledger, cx, command, public, (*compromised_after, reason)),
        Command::RejectProposal { number, .. } => {
            cx.allow(Deed::RejectProposal, None)?;
            match cx.registry.offices.numbered(*number) {
                Some(proposal) => signers::reject(ledger, cx, command, proposal),
                None if members::is_asked(cx, *number) => members::reject(cx, command, *number),
                None => denied::reject(ledger, cx, command, *number),
            }
        }
        Command::ChangeMembers { change, reason } => members::change(cx, command, change, reason),
        Command::RevokeCertificate { refused, reason } => {
            denied::revoke(ledger, cx, command, refused, reason)
        }
        Command::UnrevokeCertificate {
            certificate,
            reason,
        } => denied::unrevoke(ledger, cx, command, certificate, reason),
        Command::ApproveModel {
            id,
            facts,
            production_from,
            production_to,
        } => approve_model(
            ledger,
            cx,
            command,
            id,
            facts,
            *production_from,
            *production_to,
        ),
        Command::SetModelStatus { id, status, .. } => {
            set_model_status(ledger, cx, command, id, *status)
        }
        Command::Reserve { code } => robot::reserve(ledger, cx, command, code),
        Command::Register { registration } => robot::register(ledger, cx, command, registration),
        Command::Act {
            code,
            expected_sequence,
            action,
        } => robot::act(ledger, cx, command, code, *expected_sequence, action),
        Command::SetHold { code, kind, reason } => {
            robot::set_hold(ledger, cx, command, code, *kind, reason)
        }
        Command::LiftHold { code, kind, reason } => {
            robot::lift_hold(ledger, cx, command, code, *kind, reason)
        }
        Command::DeclareExport { .. } => border::declare_export(ledger, cx, command),
        Command::CancelExport { transfer, .. } => {
            border::cancel_export(ledger, cx, command, transfer)
        }
        Command::PermitImport {
            transfer,
            depart_by,
            conditions,
        } => border::permit_import(ledger, cx, command, transfer, *depart_by, conditions),
        Command::RefuseImport { transfer, reason } => {
            border::refuse_import(ledger, cx, command, transfer, reason)
        }
        Command::Depart { transfer, place } => border::depart(ledger, cx, command, transfer, place),
        Command::Admit {
            transfer,
            place,
            importer,
            documents,
            countersignature,
        } => {
            if countersignature.is_some() {
                // Nobody would have verified it.
                return no(Reason::Malformed, Detail::NOTHING);
            }
            border::admit(ledger, cx, command, transfer, place, importer, documents)
        }
        Command::Return { transfer, .. } => border::send_back(ledger, cx, command, transfer),
        Command::Detain { transfer, reason } => {
            border::detain(ledger, cx, command, transfer, reason)
        }
        Command::OpenRecall {
            notice,
            models,
            remedy,
        } => recall::open(
            ledger,
            cx,
            command,
            &Stated {
                notice,
                models,
                remedy,
            },
        ),
        Command::AmendRecall {
            notice,
            models,
            remedy,
            ..
        } => recall::amend(
            ledger,
            cx,
            command,
            &Stated {
                notice,
                models,
                remedy,
            },
        ),
        Command::WithdrawRecall { recall, .. } => recall::withdraw(ledger, cx, command, recall),
        Command::DecideRecall {
            recall,
            decision,
            reason,
        } => recall::decide_foreign(ledger, cx, command, recall, (*decision, reason)),
        Command::ClearClaim {
            peer,
            identity,
            reason,
        } => clear_claim(ledger, cx, command, peer, identity, reason),
        Command::RetryParked { peer, item } => {
            cx.allow(Deed::RetryParked, None)?;
            waiting(ledger, peer, *item)
        }
        Command::DiscardParked { peer, item, reason } => {
            cx.allow(Deed::DiscardParked, None)?;
            let events = waiting(ledger, peer, *item)?;
            if reason.trim().is_empty() {
                return no(Reason::ReasonMissing, Detail::NOTHING);
            }
            Ok(events)
        }
        Command::SetContact {
            peer,
            contact,
            reason,
        } => peers::set_contact(ledger, cx, command, peer, (*contact, reason)),
        Command::LimitPeer {
            peer,
            limits,
            reason,
        } => peers::limit(ledger, cx, command, peer, (limits, reason)),
        Command::RemedyRecall { code, recall, .. } => {
            recall::remedy(ledger, cx, command, code, recall)
        }
    }
}

/// Whether something is named twice.
pub(crate) fn has_twins<T: Ord>(list: &[T]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    !list.iter().all(|one| seen.insert(one))
}

/// What an accreditation says of an enterprise, when it is given and when it is stated anew.
struct Terms<'a> {
    name: &'a str,
    roles: &'a [Role],
    from: TimeMs,
    to: TimeMs,
}

impl Terms<'_> {
    /// Refuses terms that nothing can be.
    fn well_formed<F>(&self) -> Result<(), Stop<F>> {
        if has_twins(self.roles) {
            return no(Reason::Malformed, Detail::Twice { what: Listed::Role });
        }
        if self.name.trim().is_empty() {
            return no(Reason::Malformed, Detail::NoName {});
        }
        // It ends before the last instant that is named.
        if self.to <= self.from {
            let what = Ranged::Accreditation;
            return no(Reason::RangeInverted, Detail::Inverted { what });
        }
        Ok(())
    }

    /// Refuses roles that no enterprise has.
    fn of_enterprises<F>(&self) -> Result<(), Stop<F>> {
        if self.roles.iter().any(|role| !role.is_enterprise()) || self.roles.is_empty() {
            return no(Reason::EnterpriseLacksRole, Detail::RolesOfEnterprises {});
        }
        Ok(())
    }
}

fn accredit<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    (code, maker): (&EnterpriseCode, &Maker),
    terms: &Terms<'_>,
) -> Decided<L::Fault> {
    terms.well_formed::<L::Fault>()?;
    cx.allow(Deed::AccreditEnterprise, None)?;
    let id = EnterpriseId::new(cx.me(), *code).or_else(|_| {
        no(
            Reason::PrefixNotOurs,
            Detail::EnterpriseCode { code: *code },
        )
    })?;
    if ledger.enterprise(&id).or_fault()?.is_some() {
        return no(Reason::EnterpriseExists, Detail::Enterprise { id });
    }
    if let Some(other) = ledger.enterprise_of(maker).or_fault()? {
        // One that was struck off comes back under a new code, if it does.
        let known = ledger.enterprise(&other).or_fault()?;
        if known.is_some_and(|known| known.status != EnterpriseStatus::StruckOff) {
            return no(Reason::EnterpriseExists, Detail::MakerOf { id: other });
        }
    }
    terms.of_enterprises::<L::Fault>()?;
    let enterprise = Enterprise {
        id,
        name: terms.name.to_owned(),
        maker: maker.clone(),
        roles: terms.roles.to_vec(),
        valid_from: terms.from,
        valid_to: terms.to,
        status: EnterpriseStatus::Active,
        successor: None,
        engaged: false,
        vouched_by: Some(cx.side()),
        declared: Daily::default(),
        recalled: Daily::default(),
        models: 0,
        named_by: None,
        seconded_by: None,
        first_words: Vec::new(),
        keys: 0,
        head: None,
    };
    Ok(vec![Event::new(
        Kind::Enterprise,
        command,
        After::Enterprise(enterprise),
    )])
}

fn set_enterprise_status<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &EnterpriseId,
    status: EnterpriseStatus,
) -> Decided<L::Fault> {
    cx.allow(Deed::SetEnterpriseStatus, None)?;
    let enterprise = not_struck_off(ledger, id)?;
    if enterprise.status == status {
        let id = *id;
        return no(Reason::NothingChanges, Detail::EnterpriseIs { id, status });
    }
    let mut after = enterprise;
    // For ever: one alone takes nobody's livelihood for good. To suspend, and to end a suspension, is one's.
    if status == EnterpriseStatus::StruckOff && cx.is_in_earnest() {
        let act = sha256(&[b"carnet-strike-off/1", &id.to_bytes()]);
        if ownership::agreed(ledger, cx, &mut after.first_words, act)?.is_none() {
            return first_word(Kind::Enterprise, command, After::Enterprise(after));
        }
    }
    let after = After::Enterprise(Enterprise { status, ..after });
    Ok(vec![
        Event::new(Kind::Enterprise, command, after)
            .effect(Effect::StandingOf(*id))
            .effect(Effect::TellAll),
    ])
}

/// States an accreditation anew. Keys in a role that it has no more act no more, but for what they must; see
/// [`crate::rules::parties::standing_in`].
fn amend_enterprise<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &EnterpriseId,
    amended: &Terms<'_>,
) -> Decided<L::Fault> {
    amended.well_formed::<L::Fault>()?;
    cx.allow(Deed::AmendEnterprise, None)?;
    let enterprise = not_struck_off(ledger, id)?;
    amended.of_enterprises::<L::Fault>()?;
    let is_new = |role: &Role| !enterprise.roles.contains(role);
    let first = enterprise.vouched_by.clone();
    let vouched_by = match amended.roles.iter().any(is_new) {
        // A role is one person's word until another says it too.
        true => Some(cx.side()),
        false => first.filter(|by| by.person == cx.signer.person),
    };
    let after = Enterprise {
        vouched_by,
        name: amended.name.to_owned(),
        roles: amended.roles.to_vec(),
        valid_from: amended.from,
        valid_to: amended.to,
        ..enterprise.clone()
    };
    if after == enterprise {
        return no(Reason::NothingChanges, Detail::Enterprise { id: *id });
    }
    let event = Event::new(Kind::Enterprise, command, After::Enterprise(after));
    Ok(vec![event.effect(Effect::TellAll)])
}

/// What its makers' robots are asked for their maker's life: in these roles.
const MAKERS: &[Role] = &[Role::Manufacturer, Role::Importer];

/// Names who answers for what an enterprise made, so that its end is not that of its customers' robots. It is followed from when the
/// first is over. For sales of others one word is enough; remedies in its name, and what the first still held, wait until another
/// person names the same one. It may be named anew: by one person where one named it, and by two where two did.
fn succeed_enterprise<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &EnterpriseId,
    successor: &EnterpriseId,
) -> Decided<L::Fault> {
    cx.allow(Deed::SucceedEnterprise, None)?;
    let Some(enterprise) = ledger.enterprise(id).or_fault()? else {
        return no(Reason::EnterpriseUnknown, Detail::Enterprise { id: *id });
    };
    let Some(next) = ledger.enterprise(successor).or_fault()? else {
        let id = *successor;
        return no(Reason::EnterpriseUnknown, Detail::Enterprise { id });
    };
    standing::<L::Fault>(&next, cx.now)?;
    one_of::<L::Fault>(&enterprise, MAKERS)?;
    let as_maker = |role: &&Role| enterprise.roles.contains(role) && !next.roles.contains(role);
    if let Some(role) = MAKERS.iter().find(as_maker) {
        let (id, role) = (*successor, *role);
        return no(
            Reason::EnterpriseLacksRole,
            Detail::NotAccreditedAs { id, role },
        );
    }
    // Whoever follows the successors from anywhere comes to an end.
    let mut at = Some(next);
    for _ in 0..SUCCESSIONS_MAX {
        let Some(known) = at else { break };
        if known.id == *id {
            let id = *successor;
            return no(Reason::SuccessionCircular, Detail::Enterprise { id });
        }
        at = match known.successor {
            Some(next) => ledger.enterprise(&next).or_fault()?,
            None => None,
        };
    }
    let first = match &enterprise.named_by {
        Some(named) if enterprise.successor == Some(*successor) => {
            ledger.signer(&named.key).or_fault()?
        }
        _ => None,
    };
    // The word of a key that was taken from its holder, or of one who is no registrar any more, is none.
    let offices = &cx.registry.offices;
    let first = first.filter(|first| offices.has(Role::Registrar, &first.id));
    let seconded = stands(ledger, &enterprise.seconded_by)?;
    let naming = |key| Naming {
        key,
        leaf: cx.next_leaf,
    };
    let mut waits = false;
    let after = match first {
        Some(first) => {
            if seconded || !are_two(&first.side(), &cx.side()) {
                return no(Reason::NothingChanges, Detail::Enterprise { id: *id });
            }
            Enterprise {
                seconded_by: Some(naming(cx.signer.id)),
                ..enterprise
            }
        }
        // What two said is not undone by one.
        None if enterprise.seconded_by.is_some() && cx.is_in_earnest() => {
            let mut after = enterprise;
            let act = sha256(&[&(*id, *successor).to_bytes()]);
            match ownership::agreed(ledger, cx, &mut after.first_words, act)? {
                Some(first) => Enterprise {
                    successor: Some(*successor),
                    named_by: Some(naming(first.key)),
                    seconded_by: Some(naming(cx.signer.id)),
                    ..after
                },
                None => {
                    waits = true;
                    after
                }
            }
        }
        // Nobody's word for another one counts for this one.
        None => Enterprise {
            successor: Some(*successor),
            named_by: Some(naming(cx.signer.id)),
            seconded_by: None,
            ..enterprise
        },
    };
    let mut event = Event::new(Kind::Enterprise, command, After::Enterprise(after));
    event.waits = waits;
    if !waits {
        event.effects.push(Effect::TellAll);
    }
    Ok(vec![event])
}

/// Whether a successor was named by a word that stands: whatever was signed by a key after it was in other hands is nobody's.
fn stands<L: Ledger>(ledger: &L, named: &Option<Naming>) -> Result<bool, Stop<L::Fault>> {
    let Some(named) = named else {
        return Ok(false);
    };
    let known = ledger.signer(&named.key).or_fault()?;
    Ok(known.is_some_and(|known| {
        let last = known.compromised_after;
        last.is_none_or(|last| named.leaf <= last)
    }))
}

/// The enterprise, unless it was struck off.
fn not_struck_off<L: Ledger>(ledger: &L, id: &EnterpriseId) -> Result<Enterprise, Stop<L::Fault>> {
    let Some(enterprise) = ledger.enterprise(id).or_fault()? else {
        return no(Reason::EnterpriseUnknown, Detail::Enterprise { id: *id });
    };
    let status = enterprise.status;
    if status == EnterpriseStatus::StruckOff {
        let detail = Detail::EnterpriseIs { id: *id, status };
        return no(Reason::EnterpriseNotActive, detail);
    }
    Ok(enterprise)
}

/// Who answers today for what an enterprise made: itself, or who was named to go on when it was over.
fn answers_for<L: Ledger>(
    ledger: &L,
    id: &EnterpriseId,
    now: TimeMs,
) -> Result<Enterprise, Stop<L::Fault>> {
    let known = |id: &EnterpriseId| match ledger.enterprise(id).or_fault()? {
        Some(enterprise) => Ok(enterprise),
        None => no(Reason::EnterpriseUnknown, Detail::Enterprise { id: *id }),
    };
    let mut found = known(id)?;
    for _ in 0..SUCCESSIONS_MAX {
        match found.successor {
            Some(next) if found.is_over(now) => found = known(&next)?,
            _ => break,
        }
    }
    Ok(found)
}

/// Refuses an enterprise that may not act at `now`.
fn standing<F>(enterprise: &Enterprise, now: TimeMs) -> Result<(), Stop<F>> {
    if enterprise.status != EnterpriseStatus::Active {
        return no(
            Reason::EnterpriseNotActive,
            Detail::EnterpriseIs {
                id: enterprise.id,
                status: enterprise.status,
            },
        );
    }
    if standing_of(enterprise, now) == Standing::Lost {
        let (from, to) = (enterprise.valid_from, enterprise.valid_to);
        return no(
            Reason::EnterpriseNotActive,
            Detail::AccreditedFrom {
                id: enterprise.id,
                from,
                to,
            },
        );
    }
    Ok(())
}

/// Whether an enterprise is accredited in one of these roles.
pub(crate) fn is_one_of(enterprise: &Enterprise, roles: &[Role]) -> bool {
    roles.iter().any(|role| enterprise.roles.contains(role))
}

/// Refuses an enterprise that could never act as what it is named as: it is none of these.
fn one_of<F>(enterprise: &Enterprise, roles: &[Role]) -> Result<(), Stop<F>> {
    if is_one_of(enterprise, roles) {
        return Ok(());
    }
    let (id, roles) = (enterprise.id, roles.to_vec());
    no(
        Reason::EnterpriseLacksRole,
        Detail::AccreditedAsNone { id, roles },
    )
}

fn approve_model<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &ModelId,
    facts: &ModelFacts,
    production_from: TimeMs,
    production_to: TimeMs,
) -> Decided<L::Fault> {
    if !(1..=5).contains(&facts.level) || !(1..=4).contains(&facts.safety_class) {
        return no(
            Reason::Malformed,
            Detail::LevelOrClass {
                level: facts.level,
                safety_class: facts.safety_class,
            },
        );
    }
    in_order(production_from, production_to, Ranged::Production)?;
    cx.allow(Deed::ApproveModel, None)?;
    if id.prefix() != cx.me() {
        return no(Reason::PrefixNotOurs, Detail::ModelStandsUnder { id: *id });
    }
    let Some(enterprise) = ledger.enterprise(&id.enterprise_id()).or_fault()? else {
        return no(
            Reason::EnterpriseUnknown,
            Detail::Enterprise {
                id: id.enterprise_id(),
            },
        );
    };
    standing::<L::Fault>(&enterprise, cx.now)?;
    // Who makes nothing, nor files what others make, has no models.
    one_of::<L::Fault>(&enterprise, MAKERS)?;
    if ledger.model(id).or_fault()?.is_some() {
        return no(Reason::ModelExists, Detail::Model { id: *id });
    }
    if enterprise.models >= MODELS_OF_ENTERPRISE_MAX as u64 {
        return no(
            Reason::RecordFull,
            Detail::ModelsOf {
                id: id.enterprise_id(),
                max: MODELS_OF_ENTERPRISE_MAX as u64,
            },
        );
    }
    // A model is never taken out: whoever has one key leaves the maker room for more, which two approve.
    if enterprise.models >= MODELS_BY_ONE_MAX as u64 && cx.is_in_earnest() {
        let act = sha256(&[b"carnet-approve-model/1", &command.to_bytes()]);
        let mut after = enterprise;
        let words = &mut after.first_words;
        if ownership::agreed(ledger, cx, words, act)?.is_none() {
            return first_word(Kind::Enterprise, command, After::Enterprise(after));
        }
    }
    let model = Model {
        id: *id,
        facts: facts.clone(),
        production_from,
        production_to,
        status: ApprovalStatus::Approved,
        suspended_by: None,
        recalls: recalls_digest(&[]),
        first_words: Vec::new(),
        head: None,
    };
    let event = Event::new(Kind::Model, command, After::Model(model));
    Ok(vec![event.effect(Effect::Approved(id.enterprise_id()))])
}

fn set_model_status<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &ModelId,
    status: ApprovalStatus,
) -> Decided<L::Fault> {
    cx.allow(Deed::SetModelStatus, None)?;
    let Some(model) = ledger.model(id).or_fault()? else {
        return no(Reason::ModelUnknown, Detail::Model { id: *id });
    };
    if model.status == ApprovalStatus::Withdrawn {
        return no(
            Reason::ModelNotApproved,
            Detail::ModelIs {
                id: *id,
                status: model.status,
            },
        );
    }
    let regulators = model.suspended_by == Some(Role::Regulator);
    if regulators && status == ApprovalStatus::Approved && cx.signer.role != Role::Regulator {
        let (owner, holder) = (Some(id.enterprise_id()), cx.signer.holder.clone());
        return no(Reason::NotYours, Detail::NotOf { owner, holder });
    }
    let suspended_by = match status {
        ApprovalStatus::Suspended if regulators => model.suspended_by,
        ApprovalStatus::Suspended => Some(cx.signer.role),
        ApprovalStatus::Approved | ApprovalStatus::Withdrawn => None,
    };
    // A regulator may take a suspension over, which another then does not end.
    if model.status == status && model.suspended_by == suspended_by {
        let id = *id;
        return no(Reason::NothingChanges, Detail::ModelIs { id, status });
    }
    let mut after = model;
    if status == ApprovalStatus::Withdrawn && cx.is_in_earnest() {
        let act = sha256(&[b"carnet-withdraw-model/1", &id.to_bytes()]);
        let words = &mut after.first_words;
        if ownership::agreed_in(ledger, cx, words, act, APPROVERS)?.is_none() {
            return first_word(Kind::Model, command, After::Model(after));
        }
    }
    let after = After::Model(Model {
        status,
        suspended_by,
        ..after
    });
    Ok(vec![
        Event::new(Kind::Model, command, after).effect(Effect::TellAll),
    ])
}

/// Who ends an approval: two of them, of one office or of both.
const APPROVERS: &[Role] = &[Role::Registrar, Role::Regulator];

/// The first of two words: it is kept, and changes nothing.
fn first_word<F>(kind: Kind, command: &Command, after: After) -> Decided<F> {
    let mut event = Event::new(kind, command, after);
    event.waits = true;
    Ok(vec![event])
}

/// Refuses a period without an instant in it.
fn in_order<F>(from: TimeMs, to: TimeMs, what: Ranged) -> Result<(), Stop<F>> {
    if to < from {
        return no(Reason::RangeInverted, Detail::Inverted { what });
    }
    Ok(())
}

fn clear_claim<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    prefix: &Prefix,
    identity: &Digest,
    reason: &str,
) -> Decided<L::Fault> {
    cx.allow(Deed::ClearClaim, None)?;
    let own = *prefix == cx.me();
    let row = ledger.part_holder(identity).or_fault()?.filter(|_| own);
    let claim = ledger.claim(prefix, identity).or_fault()?;
    let claim = claim.filter(|claim| !claim.cleared);
    // Whatever its maker did not write can be cleared: one mistyped serial is nobody's for good.
    let can_be = |row: &Fitting| match row.by {
        Fitted::Here => row.said_by.is_some(),
        Fitted::Word => true,
        Fitted::Shown => claim.is_none(),
        // Until it keeps out nobody.
        Fitted::Cleared => !row.cleared.is_empty(),
    };
    if let Some(row) = row.filter(can_be) {
        return clear_row(ledger, cx, command, identity, (row, reason));
    }
    // Of what another country showed of a robot that ended here, the end is our own claim.
    let after = match ledger.peer(prefix).or_fault()? {
        Some(peer) => After::Peer(Box::new(peer)),
        None if *prefix == cx.me() => After::Jurisdiction(*prefix),
        None => return no(Reason::PeerUnknown, Detail::Prefix { prefix: *prefix }),
    };
    // Or what an issuer says that it did itself to a robot that it has not.
    let ends = ledger.ends(identity).or_fault()?;
    let said = ends.and_then(|ends| ends.said);
    let its_word = !own && said.is_some_and(|said| said.by == *prefix);
    if claim.is_none() && !its_word {
        return no(Reason::ClaimUnknown, Detail::Prefix { prefix: *prefix });
    }
    if reason.trim().is_empty() {
        return no(Reason::ReasonMissing, Detail::NOTHING);
    }
    let event = Event::new(Kind::Incident, command, after);
    Ok(vec![event.effect(Effect::ClaimCleared(*prefix, *identity))])
}

/// Clears a row that its maker did not write, and what was said here of the end of the part. Two persons say so, whoever owns the
/// robot: what is in it is somebody's, or was stolen, or has ended. It stays as one that was cleared: whose word it was does not
/// say it again, until two persons clear that too.
fn clear_row<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    identity: &Digest,
    (fitting, reason): (Fitting, &str),
) -> Decided<L::Fault> {
    if reason.trim().is_empty() {
        return no(Reason::ReasonMissing, Detail::NOTHING);
    }
    let robot = known(ledger, &fitting.code)?;
    robot::not_under_way(&robot)?;
    let first = fitting.clearing.as_ref().filter(|first| {
        cx.now <= first.until
            && first.clock == cx.registry.time_statements
            && cx.registry.offices.has(Role::Registrar, &first.by.key)
    });
    let settled = match first {
        _ if !cx.is_in_earnest() => true,
        Some(first) => {
            cx.second_to(ledger, &first.by)?;
            true
        }
        None => false,
    };
    let after = After::Robot(Box::new(robot));
    let event = Event::new(Kind::Incident, command, after);
    if !settled {
        let until = cx.now.checked_add(PROPOSED_TIME).unwrap_or(TimeMs::MAX);
        let by = cx.side();
        let clock = cx.registry.time_statements;
        let clearing = Some(Clearing { clock, by, until });
        let first = Fitting {
            clearing,
            ..fitting
        };
        let mut event = event.effect(Effect::Part(*identity, Some(first)));
        event.waits = true;
        return Ok(vec![event]);
    }
    // With what was claimed of it when its robot ended.
    let event = event.effect(Effect::Part(*identity, Some(fitting.cleared())));
    Ok(vec![event.effect(Effect::ClaimCleared(cx.me(), *identity))])
}

/// The enterprises of ours whose word a change made count at a robot, as party to it or as desk of a person who is, and that were party
/// to nothing before.
pub(crate) fn engaged<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    before: Option<&Robot>,
    after: &Robot,
) -> Result<Vec<Effect>, Stop<L::Fault>> {
    let known = before.map(acting).unwrap_or_default();
    let mut found = Vec::new();
    for id in acting(after) {
        if !known.contains(&id)
            && id.prefix() == cx.me()
            && let Some(enterprise) = ledger.enterprise(&id).or_fault()?
            && !enterprise.engaged
        {
            found.push(Effect::Engaged(id));
        }
    }
    Ok(found)
}

/// The enterprises that act for the parties of a robot, each once.
fn acting(robot: &Robot) -> Vec<EnterpriseId> {
    let mut found = Vec::new();
    for party in [
        &robot.owner,
        &robot.holder,
        &robot.importer,
        &robot.operator,
    ] {
        let id = match party {
            Some(
                Party::Enterprise { id }
                | Party::Person {
                    desk: Desk::Enterprise { id },
                    ..
                },
            ) => *id,
            _ => continue,
        };
        if !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

/// Whether an item of a peer waits. What it says is the peer's word: `custody::parking` makes the events of it.
fn waiting<L: Ledger>(ledger: &L, peer: &Prefix, item: u64) -> Decided<L::Fault> {
    if ledger.peer(peer).or_fault()?.is_none() {
        return no(Reason::PeerUnknown, Detail::Prefix { prefix: *peer });
    }
    if ledger.parked(peer, item).or_fault()?.is_none() {
        let peer = *peer;
        return no(Reason::NotParked, Detail::Item { peer, item });
    }
    Ok(Vec::new())
}

/// The robot with this code, or a refusal.
pub(crate) fn known<L: Ledger>(
    ledger: &L,
    code: &Code,
) -> Result<crate::record::Robot, Stop<L::Fault>> {
    match ledger.robot(code).or_fault()? {
        Some(robot) => Ok(robot),
        None => no(Reason::RobotUnknown, Detail::Code { code: *code }),
    }
}
