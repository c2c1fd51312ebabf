//! Who supervises a registry: the active keys of admins, registrars and regulators, what one admin proposed of them, and which
//! nodes admins let leave the cluster.
//!
//! Values only: what takes two admins is in `rules::decide::{signers, members}`.

use crate::bytes::signature::{KeyId, PublicKey, Signature};
use crate::bytes::time::TimeMs;
use crate::limits::{
    Index, List, MEMBERS_CHANGED_MAX, Maybe, Name, PROPOSALS_MAX, SUPERVISORS_MAX,
};
use crate::record::{Actor, Enrolment, Holder, Signer};
use crate::rules::policy::Role;

/// How seriously a registry takes its own offices; stands in its genesis for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Supervisors are added and retired by two admins of different persons.
    Production,
    /// One admin does everything: for trying out. Shown wherever the registry shows itself.
    Sandbox,
}
crate::canonical_enum!(Profile { 1 => Production, 2 => Sandbox });

/// Whether keys of this role supervise: added and retired by two admins, and never retired to the last.
pub fn supervises(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Registrar | Role::Regulator)
}

/// An active key that supervises.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Supervisor {
    /// By its identifier.
    pub key: KeyId,
    /// Which decides whom it supervises.
    pub role: Role,
    /// Whose hand it is in.
    pub person: String,
}
crate::canonical_struct!(Supervisor {
    key,
    role,
    person: Name
});

/// Whether a key of this role in an office takes two admins: it supervises, or is the desk of persons and of what the office
/// owns.
pub fn takes_two(role: Role) -> bool {
    supervises(role) || role == Role::Customs
}

/// Whether an office is of a role: its name begins with it, as `customs/hamburg` does. So an office has keys of one role only,
/// and one that is named otherwise owns what it owns without keys.
pub fn is_office_of(name: &str, role: Role) -> bool {
    let rest = name.strip_prefix(role.word());
    let rest = rest.and_then(|rest| rest.strip_prefix('/'));
    !role.is_enterprise() && rest.is_some_and(|rest| !rest.is_empty())
}

/// What is proposed of a key that takes two words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is enrolled.
    Add {
        /// Which, whose, as what.
        enrolment: Enrolment,
        /// The key's own signature for it.
        proof: Signature,
        /// The key of the same hand that it follows, which its bearer then retires.
        instead: Option<KeyId>,
    },
    /// It signs nothing from then on.
    Retire {
        /// As it was enrolled.
        public: PublicKey,
        /// After a compromise: the last leaf index whose statements stand.
        compromised_after: Option<u64>,
    },
}
crate::canonical_variants!(Change {
    1 => Add { enrolment, proof, instead },
    2 => Retire { public, compromised_after: Maybe<Index> },
});

impl std::fmt::Display for Change {
    /// What happens, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add {
                enrolment, instead, ..
            } => {
                write!(
                    f,
                    "key {} is enrolled for {} as {}",
                    enrolment.public.key_id(),
                    enrolment.holder,
                    enrolment.role.word(),
                )?;
                if !enrolment.person.is_empty() {
                    write!(f, ", in the hand of {}", enrolment.person)?;
                }
                match instead {
                    Some(old) => write!(
                        f,
                        ": the rotation of key {old}, which the same hand then retires"
                    ),
                    None => Ok(()),
                }
            }
            Self::Retire {
                public,
                compromised_after: None,
            } => write!(
                f,
                "key {} is retired: it signs nothing more",
                public.key_id()
            ),
            Self::Retire {
                public,
                compromised_after: Some(leaf),
            } => write!(
                f,
                "key {} is reported compromised: it was in other hands after leaf {leaf}: it signs nothing more, and what waits on its word counts for nothing",
                public.key_id()
            ),
        }
    }
}

impl Change {
    /// What happens, in words, and whose key it is, as `about` says of it.
    pub fn told(&self, about: &Actor) -> String {
        let (person, holder) = (&about.person, &about.holder);
        match (self, person.is_empty()) {
            (Self::Add { .. }, _) => self.to_string(),
            (Self::Retire { .. }, true) => format!("{self} (it is one of {holder})"),
            (Self::Retire { .. }, false) => format!("{self} (it is that of {person}, {holder})"),
        }
    }

    /// The key that it is about.
    pub fn key(&self) -> KeyId {
        match self {
            Self::Add { enrolment, .. } => enrolment.public.key_id(),
            Self::Retire { public, .. } => public.key_id(),
        }
    }
}

/// What one admin proposed of a key of an office, or one registrar of a key of an enterprise, and another confirms by giving the
/// same command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its number: the index of the leaf that says it was proposed.
    pub number: u64,
    /// What.
    pub change: Change,
    /// The key that it is about, and whose it is.
    pub about: Actor,
    /// Why, where the command says it; else empty.
    pub reason: String,
    /// Who proposed.
    pub by: Actor,
    /// It expires then.
    pub until: TimeMs,
    /// The number of the proposal before it, of whatever kind, ended or not.
    pub before: Option<u64>,
}
crate::canonical_struct!(Proposal {
    number: Index,
    change,
    about,
    reason: Name,
    by,
    until,
    before: Maybe<Index>
});

/// A change of the members of the cluster by which nodes leave it for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersChange {
    /// Exactly these nodes vote afterwards; ascending.
    pub voters: Vec<u64>,
    /// These leave, their numbers never to be used again; ascending.
    pub retire: Vec<u64>,
}
crate::canonical_struct!(MembersChange {
    voters: List<MEMBERS_CHANGED_MAX>,
    retire: List<MEMBERS_CHANGED_MAX>
});

impl std::fmt::Display for MembersChange {
    /// What happens, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listed = |nodes: &[u64]| {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            nodes.join(", ")
        };
        write!(
            f,
            "node {} leaves the cluster for good, its number never to be used again; then exactly these vote: {}",
            listed(&self.retire),
            listed(&self.voters)
        )
    }
}

/// What one admin asked of the members, or two: whoever changes them is obeyed only where two did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Its number: the index of the leaf that says it was asked for.
    pub number: u64,
    /// What.
    pub change: MembersChange,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: Actor,
    /// Who agreed; in a sandbox whoever asked. Nobody yet: it waits.
    pub second: Option<Actor>,
    /// It expires then, agreed or not.
    pub until: TimeMs,
    /// The number of the proposal before it, of whatever kind, ended or not.
    pub before: Option<u64>,
}
crate::canonical_struct!(Leaving {
    number: Index,
    change,
    reason: Name,
    by,
    second,
    until,
    before: Maybe<Index>
});

/// The offices of a registry that supervise it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offices {
    /// How seriously they are taken.
    pub profile: Profile,
    /// Active keys, ascending.
    pub supervisors: Vec<Supervisor>,
    /// Open proposals, oldest first; at most one of a change.
    pub proposals: Vec<Proposal>,
    /// What was asked of the members of the cluster, oldest first; at most one of a change.
    pub leaving: Vec<Leaving>,
    /// The number of the newest proposal, also of a certificate: its leaf names the one before it, and so on to the first.
    pub newest: Option<u64>,
}
crate::canonical_struct!(Offices {
    profile,
    supervisors: List<SUPERVISORS_MAX>,
    proposals: List<PROPOSALS_MAX>,
    leaving: List<PROPOSALS_MAX>,
    newest: Maybe<Index>
});

impl Offices {
    /// Of a registry without any.
    pub fn none(profile: Profile) -> Self {
        Self {
            profile,
            supervisors: Vec::new(),
            proposals: Vec::new(),
            leaving: Vec::new(),
            newest: None,
        }
    }

    /// What was asked of the members in these words, agreed or not, unless it has expired or was the word of an admin who is none
    /// any more.
    pub fn asked(&self, change: &MembersChange, now: TimeMs) -> Option<&Leaving> {
        let mut open = self.leaving.iter().filter(|one| now <= one.until);
        let stands = |by: &Actor| self.has(Role::Admin, &by.key);
        open.find(|one| {
            one.change == *change && stands(&one.by) && one.second.as_ref().is_none_or(stands)
        })
    }

    /// Whether the members may be changed so: two admins agreed, who are admins still, and it has not expired.
    pub fn agreed(&self, change: &MembersChange, now: TimeMs) -> bool {
        let asked = self.asked(change, now);
        asked.is_some_and(|asked| asked.second.is_some())
    }

    /// What was asked of the members, with this in place of what was asked in the same words, and without what has expired. Where
    /// there is no room, the oldest makes way of whoever has asked the most.
    #[must_use]
    pub fn leaving_with(&self, leaving: Leaving, now: TimeMs) -> Vec<Leaving> {
        let mut all = self.leaving.clone();
        all.retain(|one| now <= one.until && one.change != leaving.change);
        all.push(leaving);
        while all.len() > PROPOSALS_MAX {
            let persons: Vec<&str> = all.iter().map(|one| one.by.person.as_str()).collect();
            let oldest = makes_way(&persons);
            all.remove(oldest);
        }
        all
    }

    /// The same without what is asked for under a number.
    #[must_use]
    pub fn leaving_without(&self, number: u64) -> Vec<Leaving> {
        let others = self.leaving.iter().filter(|one| one.number != number);
        others.cloned().collect()
    }

    /// The proposal of a change, if it has not expired.
    pub fn proposal(&self, change: &Change, now: TimeMs) -> Option<&Proposal> {
        let mut open = self.proposals.iter().filter(|one| now <= one.until);
        open.find(|one| one.change == *change)
    }

    /// Whether a key is active in a role that supervises.
    pub fn has(&self, role: Role, key: &KeyId) -> bool {
        let mut supervisors = self.supervisors.iter();
        supervisors.any(|one| one.key == *key && one.role == role)
    }

    /// How many different persons hold active keys of a role, without one key.
    pub fn persons(&self, role: Role, without: Option<&KeyId>) -> usize {
        let of_role = self.supervisors.iter().filter(|one| one.role == role);
        let others = of_role.filter(|one| Some(&one.key) != without);
        let persons: std::collections::BTreeSet<&str> =
            others.map(|one| one.person.as_str()).collect();
        persons.len()
    }

    /// Follows the record of a key: what was proposed of it is settled.
    pub fn follow(&mut self, signer: &Signer) {
        self.proposals.retain(|one| one.change.key() != signer.id);
        self.supervisors.retain(|one| one.key != signer.id);
        let office = matches!(signer.holder, Holder::Office { .. });
        if office && supervises(signer.role) && signer.retired.is_none() {
            self.supervisors.push(Supervisor {
                key: signer.id,
                role: signer.role,
                person: signer.person.clone(),
            });
            self.supervisors.sort();
        }
    }

    /// What is proposed under a number, expired or not.
    pub fn numbered(&self, number: u64) -> Option<&Proposal> {
        self.proposals.iter().find(|one| one.number == number)
    }

    /// Ends a proposal: its proposer took it back, another person rejected it, or it is done.
    pub fn close(&mut self, number: u64) {
        self.proposals.retain(|one| one.number != number);
    }

    /// Takes a proposal up, in place of an older one of the same change and of those that expired. Where there is no room, the
    /// oldest makes way of whoever has proposed the most: no admin keeps the others from proposing.
    pub fn propose(&mut self, proposal: Proposal, now: TimeMs) {
        self.proposals
            .retain(|one| now <= one.until && one.change != proposal.change);
        self.proposals.push(proposal);
        while self.proposals.len() > PROPOSALS_MAX {
            let persons = self.proposals.iter().map(|one| one.by.person.as_str());
            let oldest = makes_way(&persons.collect::<Vec<_>>());
            self.proposals.remove(oldest);
        }
    }
}

/// Which of what persons proposed makes way, the oldest first: the oldest of whoever has proposed the most.
pub(crate) fn makes_way(persons: &[&str]) -> usize {
    let of = |person: &str| persons.iter().filter(|one| **one == person).count();
    let counts: Vec<usize> = persons.iter().map(|person| of(person)).collect();
    let most = counts.iter().max();
    let oldest = counts.iter().position(|count| Some(count) == most);
    oldest.unwrap_or(0)
}
