//! The records of one registry: enterprises, signers, models, robots, recalls. What they are, and how each becomes the
//! sixteen slots of a leaf.
//!
//! Values only: what may be done with them is in `decide`, how they change in `event`.

pub mod accord;
pub mod event;
pub mod ledger;
pub mod transfer;

use crate::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder, tag};
use crate::bytes::signature::{KeyId, PublicKey};
use crate::bytes::time::TimeMs;
use crate::custody::Chain;
use crate::limits::{
    AI_MODELS_MAX, Alpha2, Bound, HOLDS_MAX, IDENTITY_PARTS_MAX, Identifier, Index, List, ListOf,
    MODELS_OF_RECALL_MAX, Maybe, Name, PARTS_MAX, PEERS_MAX, RECALLS_OF_MODEL_MAX,
    RECALLS_OF_ROBOT_MAX, ROLES_MAX, SEQUENCE_MAX, Sequence,
};
use crate::rules::lifecycle::{EndOfLife, HoldKind, State};
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Reason, Rejection, refuse};

/// The newest leaf of a subject in this log: what the next leaf names as `prev`, and what the map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The `seq` of that leaf.
    pub seq: u64,
    /// Its index in the log.
    pub leaf_index: u64,
    /// Its hash.
    pub leaf_hash: Digest,
    /// Index of the newest leaf of the subject's trail, up to this one: of a robot the custody steps, of a peer what the
    /// roots stated of it.
    pub step: Option<u64>,
    /// Where the leaf jumps to, and where that jumps to, and so on.
    pub jumps: Jumps,
}
crate::canonical_struct!(Head {
    seq: Sequence,
    leaf_index: Index,
    leaf_hash,
    step: Maybe<Index>,
    jumps
});

/// The `seq` that a leaf jumps to: its own, with the last hexadecimal digit that is not 0 set to 0. From 2345h to 2340h,
/// from there to 2300h. The first leaf jumps nowhere.
pub const fn jump_from(seq: u64) -> Option<u64> {
    match seq {
        0 => None,
        _ => Some(seq & !0xf_u64.rotate_left(seq.trailing_zeros() & !3)),
    }
}

/// The most jumps from a leaf to the first: a digit each.
pub const JUMPS_MAX: usize = 13;
const _: () = assert!(SEQUENCE_MAX.ilog2() as usize / 4 < JUMPS_MAX);

/// Leaf indices of one subject: where a leaf jumps to, where that one jumps to, and so on down to the first leaf. Any
/// earlier leaf is found by jumps, and by steps back where a jump leads too far: at most 314 of both among 2^24 leaves. Of a
/// subject with up to 16 leaves this is the index of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Jumps([Option<u64>; JUMPS_MAX]);

impl Jumps {
    /// Of the leaf after one with `seq` at `index` that has these.
    #[must_use]
    pub fn after(&self, seq: u64, index: u64) -> Self {
        let targets = |from| std::iter::successors(Some(from), |seq| jump_from(*seq));
        let known = targets(seq).zip([Some(index)].into_iter().chain(self.0).flatten());
        let next = seq.checked_add(1).and_then(jump_from);
        let kept = known
            .filter(|(seq, _)| next.is_some_and(|next| targets(next).any(|wanted| wanted == *seq)));
        let mut after = Self::default();
        for (place, (_, index)) in after.0.iter_mut().zip(kept) {
            *place = Some(index);
        }
        after
    }

    /// Where the leaf itself jumps to.
    pub fn nearest(&self) -> Option<u64> {
        self.0.first().copied().flatten()
    }
}

/// A list of leaf indices.
impl Canonical for Jumps {
    fn encode(&self, e: &mut Encoder) {
        e.array(self.0.iter().flatten().count());
        self.0.iter().flatten().for_each(|index| e.uint(*index));
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let indices: Vec<u64> = <ListOf<Index, JUMPS_MAX> as Bound<_>>::read(d)?;
        let mut jumps = Self::default();
        for (place, index) in jumps.0.iter_mut().zip(indices) {
            *place = Some(index);
        }
        Ok(jumps)
    }
}

/// A world-wide identifier of an enterprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdentifierScheme {
    /// Legal Entity Identifier, ISO 17442.
    Lei,
    /// Number in a national register.
    National,
    /// The name, where nothing better is known: shown as unverified.
    Name,
}
crate::canonical_enum!(IdentifierScheme { 1 => Lei, 2 => National, 3 => Name });

/// Who made something, as the world knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Which register the identifier is from.
    pub scheme: IdentifierScheme,
    /// ISO 3166-1 alpha-2 country, upper case.
    pub country: String,
    /// The identifier, in its one written form.
    pub identifier: String,
}
crate::canonical_struct!(Maker {
    scheme,
    country: Alpha2,
    identifier: Identifier
});

/// What kind of part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartType {
    /// The robot itself.
    Body,
    /// Main compute module: carries identity.
    Compute,
    /// Torso frame: carries identity.
    Torso,
    /// Battery.
    Battery,
    /// Joint actuator.
    Actuator,
    /// Hand.
    Hand,
    /// Sensor.
    Sensor,
}
crate::canonical_enum!(PartType { 1 => Body, 2 => Compute, 3 => Torso, 4 => Battery, 5 => Actuator, 6 => Hand, 7 => Sensor });

impl PartType {
    /// The word that goes into the identity.
    pub fn word(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Compute => "compute",
            Self::Torso => "torso",
            Self::Battery => "battery",
            Self::Actuator => "actuator",
            Self::Hand => "hand",
            Self::Sensor => "sensor",
        }
    }

    /// Whether the part carries the robot's identity and may never enter another robot after its end of life.
    pub fn carries_identity(self) -> bool {
        matches!(self, Self::Body | Self::Compute | Self::Torso)
    }
}

/// Identity of a body or part, unique in the world:
/// `SHA-256("carnet-part/1" ‖ CBOR[type, scheme, country, identifier, serial])`.
pub fn part_identity(kind: PartType, maker: &Maker, serial: &str) -> Digest {
    let mut e = Encoder::new();
    e.array(5);
    e.text(kind.word());
    maker.scheme.encode(&mut e);
    e.text(&maker.country);
    e.text(&maker.identifier);
    e.text(serial);
    sha256(&[tag::PART.as_bytes(), &e.finish()])
}

/// A part fitted in a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartType,
    /// Its identity.
    pub identity: Digest,
    /// Its lot, or empty.
    pub lot: String,
}
crate::canonical_struct!(Part {
    kind,
    identity,
    lot: Name
});

/// A body as a registration names it: whoever reads it hashes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyName {
    /// Who made it.
    pub maker: Maker,
    /// Its serial, in its one written form.
    pub serial: String,
}
crate::canonical_struct!(BodyName {
    maker,
    serial: Identifier
});

impl BodyName {
    /// Its identity.
    pub fn identity(&self) -> Digest {
        part_identity(PartType::Body, &self.maker, &self.serial)
    }
}

/// A part as a command names it: whoever reads it hashes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartName {
    /// What it is.
    pub kind: PartType,
    /// Who made it.
    pub maker: Maker,
    /// Its serial, in its one written form.
    pub serial: String,
    /// Its lot, or empty.
    pub lot: String,
}
crate::canonical_struct!(PartName {
    kind,
    maker,
    serial: Identifier,
    lot: Name
});

impl PartName {
    /// Its identity.
    pub fn identity(&self) -> Digest {
        part_identity(self.kind, &self.maker, &self.serial)
    }

    /// The part as a record keeps it.
    pub fn part(&self) -> Part {
        Part {
            kind: self.kind,
            identity: self.identity(),
            lot: self.lot.clone(),
        }
    }
}

/// Whether an enterprise may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnterpriseStatus {
    /// In good standing.
    Active,
    /// Suspended.
    Suspended,
    /// Struck off for ever.
    StruckOff,
}
crate::canonical_enum!(EnterpriseStatus { 1 => Active, 2 => Suspended, 3 => StruckOff });

/// An accredited enterprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enterprise {
    /// Its code under this registry's prefix.
    pub id: EnterpriseId,
    /// Legal name.
    pub name: String,
    /// World-wide identifier.
    pub maker: Maker,
    /// What it is accredited for.
    pub roles: Vec<Role>,
    /// Accreditation begins.
    pub valid_from: TimeMs,
    /// Accreditation ends.
    pub valid_to: TimeMs,
    /// Whether it may act.
    pub status: EnterpriseStatus,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Enterprise @ 1 {
    id,
    name,
    maker,
    roles: List<ROLES_MAX>,
    valid_from,
    valid_to,
    status,
    head
});

/// Whom a signing key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// An enterprise.
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
        /// Its name.
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
    /// An enterprise.
    Enterprise {
        /// Which.
        id: EnterpriseId,
    },
    /// An office of a country.
    Office {
        /// Of which country.
        prefix: Prefix,
        /// Its name.
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
    /// An enterprise.
    Enterprise {
        /// Which.
        id: EnterpriseId,
    },
    /// An office of a country.
    Office {
        /// Of which country.
        prefix: Prefix,
        /// Its name.
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

/// A key that may sign commands. Its validity counts in leaf indices, not in clock time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The key's identifier.
    pub id: KeyId,
    /// The key.
    pub public: PublicKey,
    /// Whose it is.
    pub holder: Holder,
    /// In which role it signs.
    pub role: Role,
    /// Leaf index of its addition.
    pub added: u64,
    /// Leaf index of its retirement.
    pub retired: Option<u64>,
    /// After a compromise: the last leaf index whose statements stand.
    pub compromised_after: Option<u64>,
}
crate::canonical_struct!(Signer @ 1 {
    id,
    public,
    holder,
    role,
    added: Index,
    retired: Maybe<Index>,
    compromised_after: Maybe<Index>
});

/// Shape of a robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Walks on two legs.
    Bipedal,
    /// Rolls on wheels.
    Wheeled,
    /// Anything else, or not known.
    Other,
}
crate::canonical_enum!(Form { 1 => Bipedal, 2 => Wheeled, 3 => Other });

/// Whether a type approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApprovalStatus {
    /// In force.
    Approved,
    /// Suspended.
    Suspended,
    /// Withdrawn for ever.
    Withdrawn,
}
crate::canonical_enum!(ApprovalStatus { 1 => Approved, 2 => Suspended, 3 => Withdrawn });

/// Facts of a model. Zero means "not stated" in every number but the level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// Product name.
    pub name: String,
    /// Certificate number of the approval.
    pub certificate: String,
    /// Shape.
    pub form: Form,
    /// Intelligence level, 1 to 5.
    pub level: u8,
    /// Safety class, 1 to 4.
    pub safety_class: u8,
    /// Standing height in cm.
    pub height_cm: u32,
    /// Mass in kg.
    pub mass_kg: u32,
    /// Degrees of freedom, a lower bound.
    pub degrees_of_freedom: u32,
    /// Battery energy in Wh.
    pub battery_wh: u32,
    /// Firmware family.
    pub firmware_family: String,
}
crate::canonical_struct!(ModelFacts {
    name,
    certificate,
    form,
    level,
    safety_class,
    height_cm,
    mass_kg,
    degrees_of_freedom,
    battery_wh,
    firmware_family,
});

/// A type approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its code.
    pub id: ModelId,
    /// Its facts.
    pub facts: ModelFacts,
    /// Production may begin.
    pub production_from: TimeMs,
    /// Production must end.
    pub production_to: TimeMs,
    /// Whether it stands.
    pub status: ApprovalStatus,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Model @ 1 {
    id,
    facts,
    production_from,
    production_to,
    status,
    head
});

/// What the map shows of a model: its approval, its maker's standing, and every recall in force that touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStanding {
    /// The approval.
    pub approval: ApprovalStatus,
    /// Its maker.
    pub enterprise: EnterpriseStatus,
    /// Intelligence level.
    pub level: u8,
    /// Safety class.
    pub safety_class: u8,
    /// Recalls in force, ascending.
    pub recalls: Vec<RecallNotice>,
}
crate::canonical_struct!(ModelStanding {
    approval,
    enterprise,
    level,
    safety_class,
    recalls: List<RECALLS_OF_MODEL_MAX>
});

impl ModelStanding {
    /// The digest that stands in the map.
    pub fn digest(&self) -> Digest {
        sha256(&[&self.to_bytes()])
    }
}

/// How grave a recall is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information.
    Advisory,
    /// A remedy is owed; no transfer and no export before it.
    Remedy,
    /// No operation before the remedy.
    StopUse,
}
crate::canonical_enum!(Severity { 1 => Advisory, 2 => Remedy, 3 => StopUse });

/// Which robots of the models named a recall matches. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// First serial, or empty for no bound.
    pub serial_from: String,
    /// Last serial, or empty for no bound.
    pub serial_to: String,
    /// First firmware build.
    pub build_from: u32,
    /// Last firmware build.
    pub build_to: u32,
    /// First manufacture date.
    pub made_from: TimeMs,
    /// Last manufacture date.
    pub made_to: TimeMs,
    /// Part lot, or empty for any.
    pub part_lot: String,
}
crate::canonical_struct!(Predicate {
    serial_from: Name,
    serial_to: Name,
    build_from,
    build_to,
    made_from,
    made_to,
    part_lot: Name
});

impl Predicate {
    /// Matches every robot of the models.
    pub fn all() -> Self {
        Self {
            serial_from: String::new(),
            serial_to: String::new(),
            build_from: 0,
            build_to: u32::MAX,
            made_from: TimeMs(0),
            made_to: TimeMs::MAX,
            part_lot: String::new(),
        }
    }

    /// Whether a robot with these attributes is matched.
    pub fn matches(&self, code: &Code, build: u32, made: TimeMs, parts: &[Part]) -> bool {
        let serial = &code.as_str()[12..];
        let from = self.serial_from.is_empty() || serial >= self.serial_from.as_str();
        let to = self.serial_to.is_empty() || serial <= self.serial_to.as_str();
        from && to
            && (self.build_from..=self.build_to).contains(&build)
            && self.made_from <= made
            && made <= self.made_to
            && (self.part_lot.is_empty() || parts.iter().any(|part| part.lot == self.part_lot))
    }
}

/// Which recall, in the world: the registry that issued it, and its number there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecallId {
    /// The registry that issued it.
    pub issuer: Prefix,
    /// Its number there.
    pub number: String,
}
crate::canonical_struct!(RecallId {
    issuer,
    number: Name
});

impl RecallId {
    /// From `issuer/number`.
    pub fn parse(text: &str) -> Option<Self> {
        let (issuer, number) = text.split_once('/')?;
        Some(Self {
            issuer: Prefix::parse(issuer).ok()?,
            number: number.to_owned(),
        })
    }
}

impl std::fmt::Display for RecallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.issuer, self.number)
    }
}

/// Which agreement with a peer, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgreementRef {
    /// The agreement's name.
    pub id: String,
    /// Which version.
    pub version: u32,
}
crate::canonical_struct!(AgreementRef { id: Name, version });

impl AgreementRef {
    /// From `name:version`.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, version) = text.rsplit_once(':')?;
        Some(Self {
            id: id.to_owned(),
            version: version.parse().ok()?,
        })
    }
}

impl std::fmt::Display for AgreementRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.id, self.version)
    }
}

/// A recall as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallNotice {
    /// Which.
    pub id: RecallId,
    /// How grave.
    pub severity: Severity,
    /// Which robots.
    pub predicate: Predicate,
}
crate::canonical_struct!(RecallNotice {
    id,
    severity,
    predicate
});

/// Whether a recall binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecallStatus {
    /// It binds.
    InForce,
    /// A foreign recall beyond what a clause lets bind by itself: waits for the regulator here.
    Proposed,
    /// Withdrawn.
    Withdrawn,
}
crate::canonical_enum!(RecallStatus { 1 => InForce, 2 => Proposed, 3 => Withdrawn });

impl RecallStatus {
    /// Whether it binds nobody any more, and counts towards no limit.
    pub fn has_ended(self) -> bool {
        match self {
            Self::InForce | Self::Proposed => false,
            Self::Withdrawn => true,
        }
    }
}

/// A recall campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Number, severity and predicate.
    pub notice: RecallNotice,
    /// The models it touches, ascending.
    pub models: Vec<ModelId>,
    /// What to do.
    pub remedy: String,
    /// Log time it was opened (here, for a foreign one: applied).
    pub opened: TimeMs,
    /// Whether it binds.
    pub status: RecallStatus,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Recall @ 1 {
    notice,
    models: List<MODELS_OF_RECALL_MAX>,
    remedy,
    opened,
    status,
    head
});

/// Who set a hold, and so who lifts it: in which country, which party, in which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setter {
    /// The registry it was set in.
    pub prefix: Prefix,
    /// The enterprise or office, whoever of its signers it was.
    pub party: Holder,
    /// In which role.
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

/// A hold that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Which.
    pub kind: HoldKind,
    /// Who set it.
    pub setter: Setter,
    /// Why, in the setter's words; empty for one that a step of the life cycle sets.
    pub reason: String,
    /// When.
    pub since: TimeMs,
}
crate::canonical_struct!(Hold {
    kind,
    setter,
    reason,
    since
});

/// Firmware of a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Family.
    pub family: String,
    /// Build number; recalls range over it.
    pub build: u32,
}
crate::canonical_struct!(Firmware { family, build });

/// What a list no longer names: how many there were, and the digest that commits to them in order,
/// `SHA-256(digest before ‖ the one that left)`, from zero on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// How many.
    pub count: u64,
    /// The digest over them.
    pub digest: Digest,
}
crate::canonical_struct!(Before {
    count: Sequence,
    digest
});

impl Before {
    /// Nothing has left the list.
    pub const NOTHING: Self = Self {
        count: 0,
        digest: Digest::ZERO,
    };

    /// With one more; `None` when there are too many to count.
    pub fn and(self, left: &Digest) -> Option<Self> {
        let count = self.count.checked_add(1)?;
        (count <= SEQUENCE_MAX).then(|| Self {
            count,
            digest: sha256(&[&self.digest.0, &left.0]),
        })
    }
}

/// A step that waits for its second party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// Nothing.
    Nothing {},
    /// An end of life was declared.
    EndOfLife {
        /// How it ends.
        outcome: EndOfLife,
        /// Who declared.
        by: KeyId,
        /// Digest of the destruction certificate.
        certificate: Digest,
    },
    /// Ownership was asked for.
    Ownership {
        /// The gaining owner.
        owner: Party,
        /// SHA-256 of the seller's release code.
        release_code: Digest,
        /// Who asked.
        by: KeyId,
    },
}
crate::canonical_variants!(Pending {
    0 => Nothing {},
    1 => EndOfLife { outcome, by, certificate },
    2 => Ownership { owner, release_code, by },
});

/// What never changes of a robot: the identity that the code's issuer vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The code.
    pub code: Code,
    /// Body identity.
    pub body: Digest,
    /// When made.
    pub manufactured: TimeMs,
    /// Where made.
    pub site: String,
    /// Declared country of origin, alpha-2.
    pub origin: String,
    /// Filed by an importer because the maker's country has no registry.
    pub importers_filing: bool,
}
crate::canonical_struct!(Identity {
    code,
    body,
    manufactured,
    site,
    origin,
    importers_filing
});

/// One robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Robot {
    /// What never changes.
    pub identity: Identity,
    /// Parts that carry identity.
    pub identity_parts: Vec<Part>,
    /// Other tracked parts.
    pub parts: Vec<Part>,
    /// The robot's own key.
    pub robot_key: Option<PublicKey>,
    /// Firmware.
    pub firmware: Firmware,
    /// Digests of its newest AI models, the newest last.
    pub ai_models: Vec<Digest>,
    /// Count and digest of the older ones; each stands in the leaf that recorded it.
    pub ai_models_before: Before,
    /// Intelligence level and safety class, as approved.
    pub level: u8,
    /// Safety class.
    pub safety_class: u8,
    /// The owner; none before the first sale.
    pub owner: Option<Party>,
    /// Holder of record: the maker, then who had it put in stock, then who it was sold to.
    pub holder: Option<Party>,
    /// Importer of record of the newest admission for good.
    pub importer: Option<Party>,
    /// The operator; none while there is none.
    pub operator: Option<Party>,
    /// Usage scenario.
    pub scenario: String,
    /// Life-cycle state.
    pub state: State,
    /// Holds, in the order they were set.
    pub holds: Vec<Hold>,
    /// Recalls owed and not remedied, ascending. Written when an attribute changes or a remedy is recorded.
    pub owed: Vec<RecallId>,
    /// Recalls remedied, ascending.
    pub remedied: Vec<RecallId>,
    /// A step that waits for its second party.
    pub pending: Pending,
    /// Custody here.
    pub custody: Chain,
    /// Drawn at registration, handed over with each offer.
    pub custody_secret: Digest,
    /// Newest leaf.
    pub head: Option<Head>,
}
crate::canonical_struct!(Robot @ 1 {
    identity,
    identity_parts: List<IDENTITY_PARTS_MAX>,
    parts: List<PARTS_MAX>,
    robot_key,
    firmware,
    ai_models: List<AI_MODELS_MAX>,
    ai_models_before,
    level,
    safety_class,
    owner,
    holder,
    importer,
    operator,
    scenario,
    state,
    holds: List<HOLDS_MAX>,
    owed: List<RECALLS_OF_ROBOT_MAX>,
    remedied: List<RECALLS_OF_ROBOT_MAX>,
    pending,
    custody,
    custody_secret,
    head,
});

impl Robot {
    /// Whether a recall in force matches it, or matched it once, and was not remedied.
    pub fn owes(&self, recall: &Recall) -> bool {
        let id = &recall.notice.id;
        let matches = || {
            recall.models.contains(&self.identity.code.model_id())
                && recall.notice.predicate.matches(
                    &self.identity.code,
                    self.firmware.build,
                    self.identity.manufactured,
                    &self.parts,
                )
        };
        recall.status == RecallStatus::InForce
            && !self.remedied.contains(id)
            && (self.owed.contains(id) || matches())
    }

    /// Names a new AI model. The oldest makes way to [`Before`] when there are [`AI_MODELS_MAX`]: a robot is trained more
    /// often than its record could say, and every training stays in its leaf.
    ///
    /// # Errors
    /// [`Reason::RecordFull`] after 2^48 of them.
    pub fn add_ai_model(&mut self, model: Digest) -> Result<(), Rejection> {
        while self.ai_models.len() >= AI_MODELS_MAX {
            let oldest = self.ai_models.remove(0);
            let Some(before) = self.ai_models_before.and(&oldest) else {
                let detail = Detail::Full {
                    what: Counted::AiModels,
                    max: SEQUENCE_MAX,
                };
                return refuse(Reason::RecordFull, detail);
            };
            self.ai_models_before = before;
        }
        self.ai_models.push(model);
        Ok(())
    }

    /// Every identity that ends with the robot: body and identity-bearing parts.
    pub fn identities(&self) -> Vec<Digest> {
        std::iter::once(self.identity.body)
            .chain(self.identity_parts.iter().map(|p| p.identity))
            .collect()
    }
}

/// That a code, body or part has ended, and who says so. What a registry says without proof of its custody is a claim: it
/// refuses new registrations and changes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The code it belonged to.
    pub code: Code,
    /// Which end.
    pub state: State,
    /// The registry that recorded it.
    pub by: Prefix,
    /// When that registry recorded it.
    pub at: TimeMs,
    /// The leaf of that registry.
    pub leaf: Digest,
}
crate::canonical_struct!(Ended @ 1 {
    code,
    state,
    by,
    at,
    leaf
});

/// What is known of the end of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ends {
    /// Its proven end.
    pub proven: Option<Ended>,
    /// Peers that claim one, ascending; each claim is kept by peer and identity.
    pub claimed_by: Vec<Prefix>,
}
crate::canonical_struct!(Ends @ 1 { proven, claimed_by: List<PEERS_MAX> });

#[cfg(test)]
mod tests {
    use super::*;

    /// The `seq` of every leaf that is jumped to, from a leaf on.
    fn chain(seq: u64) -> Vec<u64> {
        let after = std::iter::successors(jump_from(seq), |seq| jump_from(*seq));
        after.collect()
    }

    #[test]
    fn a_jump_goes_back_to_the_digit_before() {
        for (seq, expected) in [
            (0, vec![]),
            (1, vec![0]),
            (0x10, vec![0]),
            (0x2345, vec![0x2340, 0x2300, 0x2000, 0]),
            (0x2005, vec![0x2000, 0]),
            (SEQUENCE_MAX, vec![0]),
        ] {
            assert_eq!(chain(seq), expected, "from {seq:x}");
        }
        assert!(chain(SEQUENCE_MAX - 1).len() < JUMPS_MAX);
    }

    /// With the leaf of `seq` at index 3·seq, a head always holds the indices of its chain.
    #[test]
    fn a_head_holds_where_its_leaf_jumps_to() {
        let mut jumps = Jumps::default();
        for seq in 0..70_000 {
            let expected: Vec<u64> = chain(seq).iter().map(|seq| 3 * seq).collect();
            let found: Vec<u64> = jumps.0.iter().flatten().copied().collect();
            assert_eq!(found, expected, "of {seq}");
            assert_eq!(jumps.nearest(), expected.first().copied());
            jumps = jumps.after(seq, 3 * seq);
        }
        assert_eq!(Jumps::from_bytes(&jumps.to_bytes()), Ok(jumps));
    }

    #[test]
    fn every_leaf_is_few_reads_away() {
        let reads = |from: u64, to: u64| {
            let (mut at, mut count) = (from, 0);
            while at > to {
                at = match jump_from(at) {
                    Some(jump) if jump >= to => jump,
                    _ => at - 1,
                };
                count += 1;
            }
            count
        };
        let newest = 10_000_000;
        let all = (0..newest).step_by(997).chain(0..5_000);
        let most = all.map(|to| reads(newest, to)).max().expect("some");
        assert!(most <= 314, "{most}");
        assert_eq!(reads(0xff_ffff, 1), 314);
        assert_eq!(reads(newest, 0), 5);
    }
}
