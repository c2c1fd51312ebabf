//! Who owns, holds, operates, imports; who signs; who set a hold.

use super::Daily;
use crate::bytes::code::{EnterpriseId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::signature::{KeyId, PublicKey};
use crate::bytes::time::TimeMs;
use crate::limits::{Index, Maybe, Name, Sequence};
use crate::rules::policy::Role;

/// Whom a signing key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// One accredited here; each of its keys signs in one role.
    Enterprise {
        /// Which.
        id: EnterpriseId,
    },
    /// An office of the state, by its name: `registrar/hq`, `customs/hamburg`.
    Office {
        /// Which.
        name: String,
    },
}
crate::canonical_variants!(Holder { 1 => Enterprise { id }, 2 => Office { name: Name } });

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Enterprise { id } => write!(f, "enterprise {id}"),
            Self::Office { name } => write!(f, "office {name}"),
        }
    }
}

/// Where a natural person's mandate lies: who acts for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Desk {
    /// An enterprise: a dealer.
    Enterprise {
        /// Which.
        id: EnterpriseId,
    },
    /// An office of a country: a registrar, a customs office.
    Office {
        /// Of which country.
        prefix: Prefix,
        /// Within the country, such as `customs/hq`.
        name: String,
    },
}
crate::canonical_variants!(Desk { 1 => Enterprise { id }, 2 => Office { prefix, name: Name } });

impl Desk {
    /// The desk of a signer of the registry `here`.
    pub fn of(here: Prefix, holder: &Holder) -> Self {
        match holder {
            Holder::Enterprise { id } => Self::Enterprise { id: *id },
            Holder::Office { name } => Self::Office {
                prefix: here,
                name: name.clone(),
            },
        }
    }
}

impl std::fmt::Display for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Enterprise { id } => write!(f, "enterprise {id}"),
            Self::Office { prefix, name } => write!(f, "office {name} of {prefix}"),
        }
    }
}

/// Who owns, holds, operates or imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// One accredited here, or one of a peer, for which its country answers.
    Enterprise {
        /// Which.
        id: EnterpriseId,
    },
    /// An office of a country.
    Office {
        /// Of which country.
        prefix: Prefix,
        /// Within the country, such as `customs/hq`.
        name: String,
    },
    /// A natural person, of whom only a commitment is known, through the desk that has their mandate.
    Person {
        /// Commitment to the person.
        commitment: Digest,
        /// Who acts for them.
        desk: Desk,
        /// Since when, by log time.
        since: TimeMs,
    },
}
crate::canonical_variants!(Party {
    1 => Enterprise { id },
    2 => Office { prefix, name: Name },
    3 => Person { commitment, desk, since },
});

impl Party {
    /// Whether it is the same party, since whenever: of a person, through the same desk.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Person {
                    commitment, desk, ..
                },
                Self::Person {
                    commitment: others,
                    desk: theirs,
                    ..
                },
            ) => commitment == others && desk == theirs,
            (one, other) => one == other,
        }
    }
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Enterprise { id } => write!(f, "enterprise {id}"),
            Self::Office { prefix, name } => write!(f, "office {name} of {prefix}"),
            Self::Person {
                commitment, desk, ..
            } => write!(f, "person {commitment} at {desk}"),
        }
    }
}

/// A party as a command names it. The desk of a person is who gives the command, from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartyName {
    /// One accredited here, or one of a peer, for which its country answers.
    Enterprise {
        /// Which.
        id: EnterpriseId,
    },
    /// An office of a country.
    Office {
        /// Of which country.
        prefix: Prefix,
        /// Within the country, such as `customs/hq`.
        name: String,
    },
    /// A natural person.
    Person {
        /// Commitment to the person.
        commitment: Digest,
    },
}
crate::canonical_variants!(PartyName {
    1 => Enterprise { id },
    2 => Office { prefix, name: Name },
    3 => Person { commitment },
});

impl std::fmt::Display for PartyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Enterprise { id } => write!(f, "enterprise {id}"),
            Self::Office { prefix, name } => write!(f, "office {name} of {prefix}"),
            Self::Person { commitment } => write!(f, "person {commitment}"),
        }
    }
}

impl PartyName {
    /// The party, a person through `desk` since `since`.
    pub fn at(&self, desk: Desk, since: TimeMs) -> Party {
        match self {
            Self::Enterprise { id } => Party::Enterprise { id: *id },
            Self::Office { prefix, name } => Party::Office {
                prefix: *prefix,
                name: name.clone(),
            },
            Self::Person { commitment } => Party::Person {
                commitment: *commitment,
                desk,
                since,
            },
        }
    }
}

impl From<Digest> for PartyName {
    fn from(commitment: Digest) -> Self {
        Self::Person { commitment }
    }
}

/// Who took a step: one side of what needs two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The enterprise or office.
    pub holder: Holder,
    /// The person at the key, of an office.
    pub person: String,
    /// The key it signed with.
    pub key: KeyId,
}
crate::canonical_struct!(Actor {
    holder,
    person: Name,
    key
});

/// The first of two words of offices that act in somebody's place. It stands beside whatever waits, ties up nothing, and is one a
/// person: nobody ends by it what another proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstWord {
    /// How often the roots had moved log time: moved since, what has expired stays expired.
    pub clock: u64,
    /// Digest of what is to be done: the second person says the same.
    pub act: Digest,
    /// Who gave it.
    pub by: Actor,
    /// It expires then.
    pub until: TimeMs,
}
crate::canonical_struct!(FirstWord {
    clock: Sequence,
    act,
    by,
    until
});

/// A key that may sign commands. Its validity counts in leaf indices, not in clock time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The key's identifier.
    pub id: KeyId,
    /// By which its signatures are checked.
    pub public: PublicKey,
    /// Whose it is.
    pub holder: Holder,
    /// Which decides what it may do; another role takes another key.
    pub role: Role,
    /// Whose hand it is in: a name or a commitment. Of an office always; two keys of one person are one word.
    pub person: String,
    /// Leaf index of its addition.
    pub added: u64,
    /// Leaf index of its retirement.
    pub retired: Option<u64>,
    /// After a compromise: the last leaf index whose statements stand.
    pub compromised_after: Option<u64>,
    /// Of a key of an enterprise: the registrar who enrolled it alone, or enrolled so the key on whose word it is; none where two
    /// did. Nothing that is said of its enterprise ends that. Kept here alone, and in no leaf.
    pub enrolled_by: Option<Actor>,
    /// Ends of robots that it declared, or confirmed as no registrar. Kept here alone, and in no leaf.
    pub ends: Daily,
    /// The key of the same hand that it was enrolled to follow: it retires that one alone.
    pub instead: Option<KeyId>,
}
impl Signer {
    /// As one side of a step that needs two.
    pub fn side(&self) -> Actor {
        Actor {
            holder: self.holder.clone(),
            person: self.person.clone(),
            key: self.id,
        }
    }
}
crate::canonical_struct!(Signer @ 1 {
    id,
    public,
    holder,
    role,
    person: Name,
    added: Index,
    retired: Maybe<Index>,
    compromised_after: Maybe<Index>,
    enrolled_by,
    ends,
    instead
});

impl Signer {
    /// Whether it signs nothing any more.
    pub fn has_ended(&self) -> bool {
        self.retired.is_some() || self.compromised_after.is_some()
    }
}

/// Who set a hold, and so who lifts it: in which country, which party, in which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setter {
    /// The registry it was set in.
    pub prefix: Prefix,
    /// The enterprise or office, whoever of its signers it was.
    pub party: Holder,
    /// It signed as this: where a hold is lifted, the same role of the same party lifts it.
    pub role: Role,
}
crate::canonical_struct!(Setter {
    prefix,
    party,
    role
});

impl std::fmt::Display for Setter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} at {}", self.role.word(), self.party, self.prefix)
    }
}
