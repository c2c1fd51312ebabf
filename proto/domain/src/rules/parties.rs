//! What a signer is to a robot, and when two signers are two parties.
//!
//! A party is an enterprise, an office, or a natural person; for a person the desk counts that has their mandate. Two keys of
//! one enterprise are one party, and so one word.

use crate::bytes::code::{EnterpriseId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::time::TimeMs;
use crate::record::event::{Holding, Use};
use crate::record::offices::Offices;
use crate::record::registry::Registry;
use crate::record::{
    Actor, Declared, Desk, Enterprise, EnterpriseStatus, Hold, Holder, Party, Pending, Robot,
    Signer, Stay,
};
use crate::rules::actions::{Judgement, Relation, Standing, ever_in};
use crate::rules::command::CommandKind;
use crate::rules::policy::{Role, is_authority};
use crate::rules::rejection::{Detail, Reason, Rejection};

/// How a signer stands for a party: as itself, or as the desk of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The signer's own enterprise or office is the party.
    Itself,
    /// The party is a person, and the signer is of the desk that acts for them.
    Person,
}

/// How a signer of the registry `here` stands for a party; `None` when it does not.
pub fn stands_for(here: Prefix, holder: &Holder, party: &Party) -> Option<For> {
    let itself = match (party, holder) {
        (Party::Enterprise { id }, Holder::Enterprise { id: own }) => id == own,
        (Party::Office { prefix, name }, Holder::Office { name: own }) => {
            *prefix == here && name == own
        }
        (Party::Enterprise { .. } | Party::Office { .. }, _) => false,
        (Party::Person { desk, .. }, holder) => {
            return (*desk == Desk::of(here, holder)).then_some(For::Person);
        }
    };
    itself.then_some(For::Itself)
}

/// Everything that a signer of the registry `here` is to a robot; nothing is [`Relation::None`].
pub fn relations(here: Prefix, holder: &Holder, robot: &Robot) -> Vec<Relation> {
    gathered(here, holder, robot, &robot.holder)
}

/// As [`relations`], of what is the owner's to do: where there is an owner, who merely holds it is nothing. Nor is who has a
/// robot for a time that stands in stock elsewhere.
pub fn relations_of_owner(here: Prefix, holder: &Holder, robot: &Robot) -> Vec<Relation> {
    let held_by = match robot.owner {
        Some(_) => &None,
        None if matches!(robot.stay, Stay::Guest { .. }) => &None,
        None => &robot.holder,
    };
    gathered(here, holder, robot, held_by)
}

fn gathered(
    here: Prefix,
    holder: &Holder,
    robot: &Robot,
    held_by: &Option<Party>,
) -> Vec<Relation> {
    let mut found = to_maker(holder, &robot.identity.code.enterprise_id());
    found.retain(|relation| *relation != Relation::None);
    let mut add = |party: &Option<Party>, itself, person| {
        let stands = party
            .as_ref()
            .and_then(|party| stands_for(here, holder, party));
        found.extend(stands.map(|stands| match (stands, holder) {
            (For::Itself, Holder::Enterprise { .. }) => itself,
            // An office that owns does what it does as the desk of a person.
            (For::Itself, Holder::Office { .. }) | (For::Person, _) => person,
        }));
    };
    add(held_by, Relation::Holder, Relation::Desk);
    add(&robot.owner, Relation::Owner, Relation::Desk);
    add(&robot.operator, Relation::Operator, Relation::Operator);
    let own = match holder {
        Holder::Enterprise { id } => Some(id),
        Holder::Office { .. } => None,
    };
    if own.is_some() && robot.workshop.as_ref() == own {
        found.push(Relation::Workshop);
    }
    if is_pending(holder, &robot.pending) {
        found.push(Relation::Pending);
    }
    // Beside what waits, not part of it: a stranger's word opens and ends nothing of others.
    if robot.declared.iter().any(|one| one.by.holder == *holder) {
        found.push(Relation::Declarer);
    }
    if found.is_empty() {
        found.push(Relation::None);
    }
    found
}

fn is_pending(holder: &Holder, pending: &Pending) -> bool {
    match pending {
        Pending::Nothing {} => false,
        Pending::EndOfLife { by, .. } | Pending::Asked { by, .. } => by.holder == *holder,
        Pending::Released { release } => release.by.holder == *holder,
    }
}

/// What a signer is to what an enterprise makes: its robots, models and recalls of them.
pub fn to_maker(holder: &Holder, maker: &EnterpriseId) -> Vec<Relation> {
    match holder {
        Holder::Enterprise { id } if id == maker => vec![Relation::Maker],
        Holder::Enterprise { .. } => vec![Relation::None],
        Holder::Office { .. } => vec![Relation::Office],
    }
}

/// A robot as somebody may see it. The custody secret is nobody's to see; who owns, holds, imported, operates and repairs it,
/// and what waits for its second party, is for authorities and for those who are something to the robot.
pub fn shown_to(
    here: Prefix,
    role: Role,
    enterprise: Option<EnterpriseId>,
    robot: &Robot,
) -> Robot {
    let own = enterprise.map(|id| Holder::Enterprise { id });
    let without_secret = Robot {
        custody_secret: Digest::ZERO,
        ..robot.clone()
    };
    // Who declared the end of a stranger's robot learns nothing by it.
    let declared: Vec<Declared> = robot.declared.clone();
    let declared = declared.into_iter();
    let declared = declared.filter(|one| Some(&one.by.holder) == own.as_ref());
    let stranger = Robot {
        declared: Vec::new(),
        ..without_secret.clone()
    };
    let related = own
        .as_ref()
        .is_some_and(|own| relations(here, own, &stranger) != [Relation::None]);
    if is_authority(role) || related {
        return without_secret;
    }
    Robot {
        owner: None,
        holder: None,
        importer: None,
        operator: None,
        workshop: None,
        pending: Pending::Nothing {},
        declared: declared.collect(),
        due: None,
        desk_set_by: None,
        first_words: Vec::new(),
        admitted_abroad: false,
        holds: robot.holds.iter().map(Hold::without_reason).collect(),
        ..without_secret
    }
}

/// Whether a robot is an enterprise's own: made, held, owned, operated or worked on by it, itself or for a person.
pub fn is_own(here: Prefix, enterprise: EnterpriseId, robot: &Robot) -> bool {
    let holder = Holder::Enterprise { id: enterprise };
    let mut found = relations(here, &holder, robot).into_iter();
    found.any(|relation| !matches!(relation, Relation::None | Relation::Declarer))
}

/// The slots that the history of a robot shows an enterprise which did not make it: of what happened while it was theirs all that
/// authorities see, of what happened before and after what anybody sees. `holding` and `used` are those of the leaf.
pub fn history_slots(
    here: Prefix,
    enterprise: EnterpriseId,
    holding: &Holding,
    used: &Use,
) -> &'static [u8] {
    let holder = Holder::Enterprise { id: enterprise };
    let parties = [&holding.owner, &holding.holder, &used.operator];
    let mut parties = parties.into_iter().flatten();
    match parties.any(|party| stands_for(here, &holder, party).is_some()) {
        true => HISTORY_SLOTS,
        false => HISTORY_SLOTS_FOR_ANYBODY,
    }
}

/// The slots of a robot's leaves that anybody is shown: all but who has, owns and uses it, what happened, and the evidence.
const HISTORY_SLOTS_FOR_ANYBODY: &[u8] = &[0, 1, 2, 3, 4, 5, 8, 9, 12, 15];

/// The slots of a robot's leaves that its history shows authorities and its maker, who see all but the custody secret, as
/// [`shown_to`] shows them the record.
pub const HISTORY_SLOTS: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15];

/// The state of the registry as somebody may see it: who supervises it is for authorities.
pub fn registry_shown_to(role: Role, registry: &Registry) -> Registry {
    let mut shown = registry.clone();
    if !is_authority(role) {
        shown.offices = Offices::none(registry.offices.profile);
    }
    shown
}

/// Whether an enterprise may act at a time.
pub fn standing_of(enterprise: &Enterprise, now: TimeMs) -> Standing {
    let active = enterprise.status == EnterpriseStatus::Active;
    if active && enterprise.valid_from <= now && now < enterprise.valid_to {
        Standing::Good
    } else {
        Standing::Lost
    }
}

/// Whether an enterprise may act in a role at a time: while it is accredited for it.
pub fn standing_in(enterprise: &Enterprise, role: Role, now: TimeMs) -> Standing {
    match enterprise.roles.contains(&role) {
        true => standing_of(enterprise, now),
        false => Standing::Lost,
    }
}

/// Whether a signer's enterprise may act at a time in the signer's role; an office always may.
pub fn standing_of_signer(
    signer: &Signer,
    enterprise: Option<&Enterprise>,
    now: TimeMs,
) -> Standing {
    match (&signer.holder, enterprise) {
        (Holder::Office { .. }, _) => Standing::Good,
        (Holder::Enterprise { .. }, Some(enterprise)) => standing_in(enterprise, signer.role, now),
        (Holder::Enterprise { .. }, None) => Standing::Lost,
    }
}

/// Why nothing of a kind that a signer signs is executed at a time, whatever it is about: its key has ended, or its enterprise
/// may not act. `None` where the rest decides. It is what `apply` answers; asked before, so that it takes no place in the log.
pub fn barred(
    signer: &Signer,
    enterprise: Option<&Enterprise>,
    kind: CommandKind,
    now: TimeMs,
) -> Option<Rejection> {
    if signer.has_ended() {
        let detail = Detail::Key { key: signer.id };
        return Some(Rejection::new(Reason::SignerNotActive, detail));
    }
    let standing = standing_of_signer(signer, enterprise, now);
    match ever_in(signer.role, kind, standing) {
        Judgement::NotInStanding => {
            let holder = signer.holder.clone();
            let detail = Detail::Stands { holder };
            Some(Rejection::new(Reason::ActorNotInStanding, detail))
        }
        // A role that never may is refused by its certificate.
        Judgement::May | Judgement::NotTheSubject | Judgement::NotTheRole => None,
    }
}

/// Whether two who act are two parties: two enterprises, an office and an enterprise, or two people of offices.
pub fn are_two(one: &Actor, other: &Actor) -> bool {
    match (&one.holder, &other.holder) {
        (Holder::Enterprise { id: one }, Holder::Enterprise { id: other }) => one != other,
        (Holder::Office { .. }, Holder::Office { .. }) => one.person != other.person,
        (Holder::Enterprise { .. }, Holder::Office { .. })
        | (Holder::Office { .. }, Holder::Enterprise { .. }) => true,
    }
}
