//! What a "yes" changes: the record after, the leaf that will carry it, and its effects beside the record.
//!
//! An event is data. The machine turns each into one leaf and one set of writes; nothing is judged here.

use crate::bytes::code::{Code, EnterpriseId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder};
use crate::bytes::signature::KeyId;
use crate::bytes::time::TimeMs;
use crate::custody::Phase;
use crate::custody::movement::EvidenceRef;
use crate::custody::{Chain, Link};
use crate::limits::{
    AI_MODELS_MAX, Bound, DECLARATIONS_MAX, FIRST_WORDS_MAX, FORMER_PARTS_MAX, HOLDS_MAX,
    IDENTITY_PARTS_MAX, Index, List, Maybe, PARTS_MAX, PROPOSALS_MAX, RECALLS_OF_ROBOT_MAX,
    REVOKED_MAX,
};
use crate::log::head::Head;
use crate::log::leaf::{DisclosedSlots, SlotError};
use crate::log::leaf::{Kind, Slots, Subject, SubjectType};
use crate::log::map::{RobotStatus, SubjectStatus};
use crate::record::audited::AuditAnchors;
use crate::record::denied::{Certificate, DenyList};
use crate::record::offices::{Leaving, Proposal};
use crate::record::peer::Peer;
use crate::record::told::Untold;
use crate::record::transfer::Transfer;
use crate::record::{
    Actor, ApprovalStatus, Before, Daily, Ended, Enterprise, EnterpriseStatus, Firmware, Fitting,
    Hold, Identity, Model, Part, Party, Pending, Recall, RecallId, RecallStatus, Robot, RobotKey,
    Signer, Stay,
};
use crate::rules::lifecycle::{HoldKind, State};
use crate::rules::rejection::{Counted, Detail, Reason, Rejection, refuse};

/// The record as it stands after an event.
#[derive(Debug, Clone)]
pub enum After {
    /// A robot with a record here.
    Robot(Box<Robot>),
    /// A robot without one: only its custody is known.
    Loose(Code, Chain, Option<Head>),
    /// One that was accredited, or whose standing changed.
    Enterprise(Enterprise),
    /// One that was approved, or whose approval changed.
    Model(Model),
    /// A signing key, beside its holder.
    Signer(Signer),
    /// A proposal about a signing key.
    Proposal(Box<Proposal>),
    /// A proposal about a signing key that was taken back or rejected.
    Withdrawn(Box<Proposal>),
    /// A certificate, by the deny-list.
    Denied(Box<Denied>),
    /// What admins asked of the members of the cluster.
    Members(Box<Members>),
    /// Where the chains of audit of a node stand.
    Audited(Box<Audited>),
    /// One that was opened, amended, withdrawn or decided on.
    Recall(Recall),
    /// A peer, beside the jurisdiction.
    Peer(Box<Peer>),
    /// The jurisdiction itself.
    Jurisdiction(Prefix),
}

/// The deny-list after what was said of one certificate.
#[derive(Debug, Clone)]
pub struct Denied {
    /// The whole of it, as it stands then.
    pub list: DenyList,
    /// Which was named.
    pub certificate: Certificate,
    /// What the map shows of it: 1 refused, 2 asked for, 3 not refused any more.
    pub status: u64,
}

/// What is asked of the members of the cluster, after one thing was.
#[derive(Debug, Clone)]
pub struct Members {
    /// All that is asked.
    pub leaving: Vec<Leaving>,
    /// What the map shows of it: 1 agreed, 2 asked for, 3 asked for no more.
    pub status: u64,
}

/// Where all chains of audit stand, after what was said of those of one node.
#[derive(Debug, Clone)]
pub struct Audited {
    /// Of all nodes.
    pub anchors: AuditAnchors,
    /// Whose chains the leaf is about.
    pub node: u64,
}

impl After {
    /// Without the record of a robot that was only asked for, once nothing is asked for any more. One that ended is kept.
    #[must_use]
    pub fn settled(self) -> Self {
        match self {
            Self::Robot(robot)
                if matches!(robot.custody.phase, Phase::Elsewhere {})
                    && robot.stay == (Stay::Asked {})
                    && !robot.state.is_final() =>
            {
                Self::Loose(robot.identity.code, robot.custody, robot.head)
            }
            after => after,
        }
    }
}

/// What an event changes beside its record.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A body, part or key is fitted in a robot; or it is free again, as far as the robot of the event holds it and is not bound
    /// to it for ever.
    Part(Digest, Option<Fitting>),
    /// The code of the record ends with this state, and what the index here binds to it by what was done here, or has in it by
    /// somebody's word. Of the rest of its body and identity parts it is only claimed.
    End(State),
    /// An identity ends by another registry's proven word.
    Ended(Digest, Box<Ended>),
    /// An identity ends by a word: by another registry's proven one, where it is in the robot by somebody's word here; or by its issuer's,
    /// where nothing shows that the issuer has it.
    EndedOnWord(Digest, Box<Ended>),
    /// Another registry claims that an identity ended.
    Claim(Digest, Box<Ended>),
    /// A peer's claim or word about an identity says nothing any more; of this registry's own prefix, nor does what was said of its end here.
    ClaimCleared(Prefix, Digest),
    /// An enterprise declared the end of another's robot.
    Declared(EnterpriseId),
    /// A key declared the end of a robot, or confirmed it.
    EndSaid(KeyId),
    /// An enterprise opened a recall.
    Recalled(EnterpriseId),
    /// A model of an enterprise was approved.
    Approved(EnterpriseId),
    /// An enterprise was made owner or holder of a robot, or got its first key.
    Engaged(EnterpriseId),
    /// A transfer moved.
    Transfer(Box<Transfer>),
    /// The leaf goes into this peer's mailbox.
    Tell(Prefix),
    /// The leaf goes into every peer's mailbox.
    TellAll,
    /// The leaf is told when it is the turn of what it is about.
    TellLater(Digest, Box<Untold>),
    /// What waits to be told of this is not told at all.
    TellNever(Digest),
    /// These models' standing changed: their map values are computed anew.
    Standing(Vec<crate::bytes::code::ModelId>),
    /// All models of this enterprise changed standing.
    StandingOf(EnterpriseId),
}

/// A custody link that the leaf carries, and the deadline that goes with it.
#[derive(Debug, Clone)]
pub struct LinkWritten {
    /// As it will stand in slot 12.
    pub link: Link,
    /// Offer: stands until. Accept: departure at the latest. Else zero.
    pub deadline: TimeMs,
    /// Office, or empty.
    pub place: String,
}

/// One event: one leaf.
#[derive(Debug, Clone)]
pub struct Event {
    /// Kind of the leaf.
    pub kind: Kind,
    /// Canonical bytes of what happened: slot 10.
    pub what: Vec<u8>,
    /// The record after.
    pub after: After,
    /// Custody step of our own, if it is one.
    pub link: Option<LinkWritten>,
    /// Whether it tells of a custody step of another registry, named by the evidence.
    pub foreign_step: bool,
    /// Foreign leaves it rests on: slot 14.
    pub evidence: Vec<EvidenceRef>,
    /// The leaf index that it corrects.
    pub corrects: Option<u64>,
    /// Effects beside the record.
    pub effects: Vec<Effect>,
    /// Whether it is the first of two words in somebody's place, and nothing is done yet.
    pub waits: bool,
}

impl Event {
    /// Whether it keeps a command as the first of two words, and does not do it yet.
    pub fn is_first_word(&self) -> bool {
        self.waits || matches!(self.after, After::Proposal(_))
    }

    /// An event with nothing beside its record.
    pub fn new(kind: Kind, what: &impl Canonical, after: After) -> Self {
        // A command with its texts.
        let mut bytes = Encoder::with_capacity(640);
        what.encode(&mut bytes);
        Self {
            kind,
            what: bytes.finish(),
            after,
            link: None,
            foreign_step: false,
            evidence: Vec::new(),
            corrects: None,
            effects: Vec::new(),
            waits: false,
        }
    }

    /// With one more effect.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Whether the leaf is one of the trail of its subject: custody steps of a robot, what the roots stated of a peer.
    pub fn is_of_trail(&self) -> bool {
        let of_roots = matches!(self.kind, Kind::TrustList | Kind::Agreement);
        self.link.is_some() || self.foreign_step || of_roots
    }

    /// Refuses a record that has gathered more than is kept: what is written must be read again, here and by a peer.
    ///
    /// # Errors
    /// [`Reason::RecordFull`], with the list.
    pub fn fits(&self) -> Result<(), Rejection> {
        let full = |what: Counted, max: usize| {
            let max = max as u64;
            refuse(Reason::RecordFull, Detail::Full { what, max })
        };
        let robot = |robot: &Robot| {
            let lists = [
                (
                    Counted::IdentityParts,
                    robot.identity_parts.len(),
                    IDENTITY_PARTS_MAX,
                ),
                (
                    Counted::FormerParts,
                    robot.former_parts.len(),
                    FORMER_PARTS_MAX,
                ),
                (Counted::Parts, robot.parts.len(), PARTS_MAX),
                (Counted::AiModels, robot.ai_models.len(), AI_MODELS_MAX),
                (Counted::Holds, robot.holds.len(), HOLDS_MAX),
                (Counted::OwedRecalls, robot.owed.len(), RECALLS_OF_ROBOT_MAX),
                (
                    Counted::RemediedRecalls,
                    robot.remedied.len(),
                    RECALLS_OF_ROBOT_MAX,
                ),
                (
                    Counted::Declarations,
                    robot.declared.len(),
                    DECLARATIONS_MAX,
                ),
                (Counted::Proposals, robot.first_words.len(), FIRST_WORDS_MAX),
            ];
            match lists.into_iter().find(|(_, count, max)| count > max) {
                Some((what, _, max)) => full(what, max),
                None => Ok(()),
            }
        };
        // A robot that a transfer discloses was read from slots whose lists have the same bounds.
        match &self.after {
            After::Robot(after) => robot(after),
            After::Denied(denied) if denied.list.entries.len() > REVOKED_MAX => {
                full(Counted::Revocations, REVOKED_MAX)
            }
            After::Denied(denied) if denied.list.waiting.len() > PROPOSALS_MAX => {
                full(Counted::Proposals, PROPOSALS_MAX)
            }
            // Few, and rarely written: each is read as whoever reads it next will.
            After::Enterprise(after) => reads(after),
            After::Model(after) => reads(after),
            After::Signer(after) => reads(after),
            After::Recall(after) => reads(after),
            After::Loose(..)
            | After::Denied(_)
            | After::Members(_)
            | After::Proposal(_)
            | After::Withdrawn(_)
            | After::Audited(_)
            | After::Peer(_)
            | After::Jurisdiction(_) => Ok(()),
        }
    }

    /// The subject of the leaf.
    pub fn subject(&self) -> Subject {
        match &self.after {
            After::Robot(robot) => Subject::robot(&robot.identity.code),
            After::Loose(code, ..) => Subject::robot(code),
            After::Enterprise(enterprise) => Subject::enterprise(&enterprise.id),
            After::Model(model) => Subject::model(&model.id),
            After::Signer(signer) => Subject::new(SubjectType::Office, signer.id.to_string()),
            After::Proposal(proposal) | After::Withdrawn(proposal) => {
                Subject::new(SubjectType::Office, proposal.change.key().to_string())
            }
            After::Denied(denied) => {
                Subject::new(SubjectType::Office, denied.certificate.subject_name())
            }
            After::Members(_) => Subject::new(SubjectType::Office, "members".to_owned()),
            After::Audited(audited) => {
                Subject::new(SubjectType::Office, format!("audit/{}", audited.node))
            }
            After::Recall(recall) => recall.notice.id.subject(),
            After::Peer(peer) => Subject::new(
                SubjectType::Peer,
                peer.bundle
                    .primary()
                    .map(|p| p.as_str().to_owned())
                    .unwrap_or_default(),
            ),
            After::Jurisdiction(prefix) => Subject::jurisdiction(prefix),
        }
    }
}

/// Slot numbers of the kinds about a robot.
pub mod slot {
    /// The robot's code.
    pub const CODE: u8 = 0;
    /// The model that the code names.
    pub const MODEL: u8 = 1;
    /// Body identity.
    pub const BODY: u8 = 2;
    /// Manufacture, origin, importer's filing.
    pub const MANUFACTURE: u8 = 3;
    /// Parts that carry identity: they end with the robot.
    pub const IDENTITY_PARTS: u8 = 4;
    /// The robot's own public key, where it has one.
    pub const ROBOT_KEY: u8 = 5;
    /// Owner, holder of record, importer of record.
    pub const OWNER: u8 = 6;
    /// Operator and scenario.
    pub const USE: u8 = 7;
    /// State, holds, owed and remedied recalls.
    pub const STATE: u8 = 8;
    /// Level, safety class, firmware, AI models.
    pub const SOFTWARE: u8 = 9;
    /// What was done: the command, or the link of a step between two others.
    pub const EVENT: u8 = 10;
    /// Custody link.
    pub const CUSTODY: u8 = 12;
    /// Custody secret.
    pub const SECRET: u8 = 13;
    /// Foreign evidence.
    pub const EVIDENCE: u8 = 14;
    /// Correction and other parts.
    pub const OTHER: u8 = 15;
}

/// Slot 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manufacture {
    /// When.
    pub at: TimeMs,
    /// Where.
    pub site: String,
    /// Declared country of origin.
    pub origin: String,
    /// Filed by an importer.
    pub importers_filing: bool,
}
crate::canonical_struct!(Manufacture {
    at,
    site,
    origin,
    importers_filing
});

/// Slot 4.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentityParts(pub Vec<Part>);

impl Canonical for IdentityParts {
    fn encode(&self, e: &mut Encoder) {
        self.0.encode(e);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        List::<IDENTITY_PARTS_MAX>::read(d).map(Self)
    }
}

/// Slot 6.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holding {
    /// Whose the robot is; none before it was sold.
    pub owner: Option<Party>,
    /// Holder of record.
    pub holder: Option<Party>,
    /// Importer of record.
    pub importer: Option<Party>,
}
crate::canonical_struct!(Holding {
    owner,
    holder,
    importer
});

/// Slot 7.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Use {
    /// Who answers for its use; none while it is in none.
    pub operator: Option<Party>,
    /// Usage scenario.
    pub scenario: String,
}
crate::canonical_struct!(Use { operator, scenario });

/// Slot 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Life-cycle state.
    pub state: State,
    /// The marks that stand on it, with who set each.
    pub holds: Vec<Hold>,
    /// What must be remedied before it goes on.
    pub owed: Vec<RecallId>,
    /// What was, as far as it is kept.
    pub remedied: Vec<RecallId>,
}
crate::canonical_struct!(Standing {
    state,
    holds: List<HOLDS_MAX>,
    owed: List<RECALLS_OF_ROBOT_MAX>,
    remedied: List<RECALLS_OF_ROBOT_MAX>
});

/// Slot 9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Software {
    /// Intelligence level.
    pub level: u8,
    /// As approved of its model, 1 to 4.
    pub safety_class: u8,
    /// The build that was reported last.
    pub firmware: Firmware,
    /// Digests of the newest AI models, the newest last.
    pub ai_models: Vec<Digest>,
    /// Count and digest of the older ones.
    pub ai_models_before: Before,
}
crate::canonical_struct!(Software {
    level,
    safety_class,
    firmware,
    ai_models: List<AI_MODELS_MAX>,
    ai_models_before
});

/// Slot 15.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// The leaf index that the event corrects.
    pub corrects: Option<u64>,
    /// Parts that do not carry identity.
    pub parts: Vec<Part>,
}
crate::canonical_struct!(Other { corrects: Maybe<Index>, parts: List<PARTS_MAX> });

/// Slot 10 of the alarm about a robot of which another country showed what is somebody else's. Who has it now is not said:
/// the history of one robot tells nobody of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yielded {
    /// The robot of the alarm.
    pub code: Code,
    /// The body, part or key that was shown of it.
    pub identity: Digest,
}
crate::canonical_struct!(Yielded @ 1 { code, identity });

/// Slot 15 of a leaf that says that something was proposed, and waits for its second word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// The key or certificate that it is about, and whose it is.
    pub about: Option<Actor>,
    /// Who proposed.
    pub by: Actor,
    /// It expires then.
    pub until: TimeMs,
    /// The number of the proposal before it, of whatever kind.
    pub before: Option<u64>,
}
crate::canonical_struct!(Proposed @ 1 {
    about,
    by,
    until,
    before: Maybe<Index>
});

/// What the leaf of a proposal says of it beside the command.
fn proposed(after: &After) -> Option<Proposed> {
    match after {
        After::Proposal(one) => Some(Proposed {
            about: Some(one.about.clone()),
            by: one.by.clone(),
            until: one.until,
            before: one.before,
        }),
        // The one that was taken up last.
        After::Denied(denied) => denied.list.waiting.last().map(|one| Proposed {
            about: None,
            by: one.by.clone(),
            until: one.until,
            before: one.before,
        }),
        After::Members(members) => members.leaving.last().map(|one| Proposed {
            about: None,
            by: one.by.clone(),
            until: one.until,
            before: one.before,
        }),
        _ => None,
    }
}

/// The sixteen slots of an event's leaf: the record after it, and the event.
pub fn slots(event: &Event) -> Slots {
    let mut slots = Slots::new();
    match &event.after {
        After::Robot(robot) => robot_slots(&mut slots, robot, event),
        other => {
            slots.set(slot::CODE, &event.subject().name);
            match other {
                After::Loose(code, chain, _) => {
                    slots.set(slot::CODE, &code.as_str().to_owned());
                    slots.set(
                        slot::CUSTODY,
                        &event
                            .link
                            .as_ref()
                            .map(|w| w.link.clone())
                            .or_else(|| chain.shown.clone()),
                    );
                }
                After::Enterprise(enterprise) => slots.set(
                    slot::MODEL,
                    &Enterprise {
                        engaged: false,
                        vouched_by: None,
                        declared: Daily::default(),
                        recalled: Daily::default(),
                        models: 0,
                        named_by: None,
                        seconded_by: None,
                        first_words: Vec::new(),
                        keys: 0,
                        head: None,
                        ..enterprise.clone()
                    },
                ),
                After::Model(model) => slots.set(
                    slot::MODEL,
                    &Model {
                        recalls: Digest::ZERO,
                        first_words: Vec::new(),
                        head: None,
                        ..model.clone()
                    },
                ),
                After::Signer(signer) => slots.set(
                    slot::MODEL,
                    &Signer {
                        enrolled_by: None,
                        ends: Daily::default(),
                        ..signer.clone()
                    },
                ),
                After::Denied(denied) => {
                    let entry = denied.list.entry(&denied.certificate);
                    slots.set(slot::MODEL, &entry.cloned());
                }
                After::Audited(audited) => {
                    slots.set(slot::MODEL, &audited.anchors.of(audited.node).cloned());
                }
                After::Recall(recall) => slots.set(
                    slot::MODEL,
                    &Recall {
                        bound: None,
                        decided: None,
                        head: None,
                        ..recall.clone()
                    },
                ),
                // The statement itself is the event.
                After::Proposal(_)
                | After::Withdrawn(_)
                | After::Members(_)
                | After::Peer(_)
                | After::Robot(_)
                | After::Jurisdiction(_) => {}
            }
        }
    }
    if event.is_first_word()
        && let Some(first) = proposed(&event.after)
    {
        slots.set(slot::OTHER, &first);
    }
    slots.values[usize::from(slot::EVENT)] = Some(event.what.clone());
    if !event.evidence.is_empty() {
        slots.set(slot::EVIDENCE, &event.evidence);
    }
    slots
}

fn robot_slots(slots: &mut Slots, robot: &Robot, event: &Event) {
    let identity = &robot.identity;
    slots.set(slot::CODE, &identity.code.as_str().to_owned());
    slots.set(slot::MODEL, &identity.code.model_id().as_str().to_owned());
    slots.set(slot::BODY, &identity.body);
    slots.set(
        slot::MANUFACTURE,
        &Manufacture {
            at: identity.manufactured,
            site: identity.site.clone(),
            origin: identity.origin.clone(),
            importers_filing: identity.importers_filing,
        },
    );
    slots.set(slot::IDENTITY_PARTS, &robot.identity_parts);
    slots.set(slot::ROBOT_KEY, &robot.robot_key);
    slots.set(
        slot::OWNER,
        &Holding {
            owner: robot.owner.clone(),
            holder: robot.holder.clone(),
            importer: robot.importer.clone(),
        },
    );
    slots.set(
        slot::USE,
        &Use {
            operator: robot.operator.clone(),
            scenario: robot.scenario.clone(),
        },
    );
    slots.set(
        slot::STATE,
        &Standing {
            state: robot.state,
            // Anybody is shown this slot.
            holds: robot.holds.iter().map(Hold::without_reason).collect(),
            owed: robot.owed.clone(),
            remedied: robot.remedied.clone(),
        },
    );
    slots.set(
        slot::SOFTWARE,
        &Software {
            level: robot.level,
            safety_class: robot.safety_class,
            firmware: robot.firmware.clone(),
            ai_models: robot.ai_models.clone(),
            ai_models_before: robot.ai_models_before,
        },
    );
    slots.set(
        slot::CUSTODY,
        &event
            .link
            .as_ref()
            .map(|w| w.link.clone())
            .or_else(|| robot.custody.shown.clone()),
    );
    slots.set(slot::SECRET, &robot.custody_secret);
    slots.set(
        slot::OTHER,
        &Other {
            corrects: event.corrects,
            parts: robot.parts.clone(),
        },
    );
}

/// A robot as another registry disclosed it, with nothing known of it here yet.
///
/// # Errors
/// When a slot that a release must show is hidden or of another type.
pub fn robot_of_slots(code: &Code, slots: &DisclosedSlots) -> Result<Robot, SlotError> {
    fn need<T: Canonical>(slots: &DisclosedSlots, slot: u8) -> Result<T, SlotError> {
        slots.get(slot)?.ok_or(SlotError::Hidden(slot))
    }
    let made: Manufacture = need(slots, slot::MANUFACTURE)?;
    let holding: Holding = need(slots, slot::OWNER)?;
    let used: Use = need(slots, slot::USE)?;
    let standing: Standing = need(slots, slot::STATE)?;
    let software: Software = need(slots, slot::SOFTWARE)?;
    let other: Other = need(slots, slot::OTHER)?;
    let robot_key: Option<RobotKey> = slots.get(slot::ROBOT_KEY)?;
    Ok(Robot {
        identity: Identity {
            code: *code,
            body: need(slots, slot::BODY)?,
            manufactured: made.at,
            site: made.site,
            origin: made.origin,
            importers_filing: made.importers_filing,
        },
        identity_parts: slots
            .get::<IdentityParts>(slot::IDENTITY_PARTS)?
            .unwrap_or_default()
            .0,
        former_parts: Vec::new(),
        parts: other.parts,
        robot_key,
        firmware: software.firmware,
        ai_models: software.ai_models,
        ai_models_before: software.ai_models_before,
        level: software.level,
        safety_class: software.safety_class,
        owner: holding.owner,
        holder: holding.holder,
        importer: holding.importer,
        operator: used.operator,
        scenario: used.scenario,
        workshop: None,
        state: standing.state,
        holds: standing.holds,
        owed: standing.owed,
        remedied: standing.remedied,
        pending: Pending::Nothing {},
        due: None,
        desk_set_by: None,
        first_words: Vec::new(),
        admitted_abroad: false,
        declared: Vec::new(),
        inspection: None,
        custody: Chain::unknown(),
        custody_secret: need(slots, slot::SECRET)?,
        head: None,
        stay: Stay::Asked {},
    })
}

/// Refuses a record that could not be read again: an encoder knows no bounds.
fn reads<T: Canonical>(record: &T) -> Result<(), Rejection> {
    // level: what the rules wrote by the level is only looked at for its bounds.
    match T::from_bytes(&record.to_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => refuse(Reason::RecordFull, Detail::NOTHING),
    }
}

/// The status that the map shows of a robot: the first that holds, in the published order.
pub fn robot_status(robot: &Robot) -> RobotStatus {
    let stopped = |hold: &Hold| {
        matches!(
            hold.kind,
            HoldKind::Theft
                | HoldKind::SaleLock
                | HoldKind::RegulatorStop
                | HoldKind::EvidenceFreeze
        )
    };
    match robot.state {
        State::Scrapped => RobotStatus::Scrapped,
        State::Recycled => RobotStatus::Recycled,
        State::Annulled => RobotStatus::Annulled,
        // A reserved code has no chain yet: it is not departed.
        state if state != State::Reserved && !robot.custody.is_responsible() => {
            RobotStatus::Departed
        }
        _ if robot
            .holds
            .iter()
            .any(|h| h.kind == HoldKind::EndOfLifePending) =>
        {
            RobotStatus::EndOfLifePending
        }
        _ if robot.holds.iter().any(stopped) => RobotStatus::Stopped,
        _ if matches!(robot.custody.phase, Phase::InTransit { .. }) => RobotStatus::Released,
        State::Reserved => RobotStatus::Reserved,
        _ => RobotStatus::InForce,
    }
}

/// The status that the map shows of a robot without a record here.
pub fn loose_status(chain: &Chain) -> RobotStatus {
    match chain.phase {
        Phase::InTransit { .. } => RobotStatus::Released,
        _ => RobotStatus::Departed,
    }
}

/// The status that the map shows of an enterprise.
pub fn enterprise_status(status: EnterpriseStatus) -> SubjectStatus {
    match status {
        EnterpriseStatus::Active => SubjectStatus::InForce,
        EnterpriseStatus::Suspended => SubjectStatus::Suspended,
        EnterpriseStatus::StruckOff => SubjectStatus::Ended,
    }
}

/// The status that the map shows of a model.
pub fn model_status(status: ApprovalStatus) -> SubjectStatus {
    match status {
        ApprovalStatus::Approved => SubjectStatus::InForce,
        ApprovalStatus::Suspended => SubjectStatus::Suspended,
        ApprovalStatus::Withdrawn => SubjectStatus::Ended,
    }
}

/// The status that the map shows of a recall.
pub fn recall_status(status: RecallStatus) -> SubjectStatus {
    match status {
        RecallStatus::InForce | RecallStatus::Accepted => SubjectStatus::InForce,
        RecallStatus::Proposed | RecallStatus::Declined => SubjectStatus::Suspended,
        RecallStatus::Withdrawn => SubjectStatus::Ended,
    }
}
