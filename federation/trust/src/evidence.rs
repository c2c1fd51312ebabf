//! Evidence about one code out of one log: everything a verdict needs of that registry, under one signed checkpoint.
//!
//! ```text
//! [ frame, code, robot, model or null, [custody leaf…] ]
//! frame   [ version, origin, checkpoint note, map head, joined or null ]   of evidence of every kind: see [`Frame`]
//! robot   [1, proven leaf, map value, map proof]   the newest leaf of the robot, proven to be the newest
//!         [2, map proof]                           there is no such robot in this log
//!         [3, proven leaf]                         a leaf of the robot; whether it is the newest is not shown
//! model   [standing, map value, map proof]         approval, maker's standing and recalls in force
//! joined  [size, [hash…]]                          that this log extends the one of that size, which the asker knew
//! ```
//! [`build`] makes it from a registry's records, [`Evidence::verify`] turns it into a [`ProvenEvidence`], which nothing
//! else can make. What the proven facts mean for a purpose is in `verdict`.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Canonical, DecodeError, DecodeFault};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Link;
use carnet_domain::custody::foreign::{Proven, prove};
use carnet_domain::limits::List;
use carnet_domain::log::checkpoint::{NoteError, Origin, VerifiedCheckpoint};
use carnet_domain::log::leaf::{Kind, LEAF_VERSION, Leaf, SlotError, Subject};
use carnet_domain::log::map::{MapAnswer, MapProof, MapProofError, MapValue, RobotStatus};
use carnet_domain::machine::entry::ProvenLeaf;
use carnet_domain::record::event::{IdentityParts, Manufacture, Other, Software, Standing, slot};
use carnet_domain::record::keys::KeyHistory;
use carnet_domain::record::{ModelStanding, RobotKey};

mod build;
mod head;
mod subject;

pub use build::{BuildError, Published, build, join};
pub use head::{Frame, HeadOrder, Joined, LogHead, SeenHead};
pub use subject::{
    Newest, ProvenSubject, SubjectEvidence, SubjectProof, build_subject, parse_subject,
};

/// The version of the layout above.
pub const EVIDENCE_VERSION: u8 = 3;
/// The largest evidence in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 256 * 1024;
/// The most custody leaves beside the robot's newest one: the newest departures, admissions and returns.
pub const OWN_STEPS_MAX: usize = 8;

/// Slots of a robot that authorities are shown, abroad too: without owner, operator, personal part and custody secret, and without the
/// event, whose command names the same parties, what they agreed, and why.
pub const SLOTS_FOR_AUTHORITIES: &[u8] = &[0, 1, 2, 3, 4, 5, 8, 9, 12, 14, 15];
/// Slots of a robot that anybody is shown: all that a verdict and the recalls' predicates look at. Body and parts are digests,
/// the robot's key is a public one, and anybody reads all of them in the record: hidden, nobody could say whether they ended.
pub const SLOTS_FOR_ANYBODY: &[u8] = &[0, 1, 2, 3, 4, 5, 8, 9, 12, 15];

/// What the log says of the robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RobotProof {
    /// Its newest leaf, and the proof that it is the newest.
    Present {
        /// Its slots as far as they are shown, and its place in the log.
        proven: ProvenLeaf,
        /// What the map says of it.
        value: MapValue,
        /// The way from there to the map root.
        proof: MapProof,
    },
    /// There is no such robot.
    Absent {
        /// Proof of absence.
        proof: MapProof,
    },
    /// A leaf of it; there may be newer ones.
    Included {
        /// Its slots as far as they are shown, and its place in the log.
        proven: ProvenLeaf,
    },
}
carnet_domain::canonical_variants!(RobotProof {
    1 => Present { proven, value, proof },
    2 => Absent { proof },
    3 => Included { proven },
});

/// What the log says of the robot's model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelProof {
    /// Approval, maker's standing, recalls in force.
    pub standing: ModelStanding,
    /// What the map says of it; its facts are the digest of `standing`.
    pub value: MapValue,
    /// The way from there to the map root.
    pub proof: MapProof,
}
carnet_domain::canonical_struct!(ModelProof {
    standing,
    value,
    proof
});

/// Evidence as it was received: nothing of it is believed before [`Evidence::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Under which head of which log.
    pub frame: Frame,
    /// The code asked for.
    pub code: Code,
    /// What the log says of the robot.
    pub robot: RobotProof,
    /// Its model; only the registry that approved it can show it.
    pub model: Option<ModelProof>,
    /// This registry's own departures, admissions and returns of the robot, oldest first.
    pub chain: Vec<ProvenLeaf>,
}
carnet_domain::canonical_struct!(Evidence {
    frame,
    code,
    robot,
    model,
    chain: List<OWN_STEPS_MAX>
});

impl Evidence {
    /// The same evidence with nothing shown but these of the slots that it shows: it proves as much, of less.
    #[must_use]
    pub fn showing(mut self, slots: &[u8]) -> Self {
        let narrow = |leaf: &mut ProvenLeaf| leaf.disclosed = leaf.disclosed.narrowed(slots);
        match &mut self.robot {
            RobotProof::Present { proven, .. } | RobotProof::Included { proven } => narrow(proven),
            RobotProof::Absent { .. } => {}
        }
        self.chain.iter_mut().for_each(narrow);
        self
    }
}

/// What of the evidence does not hold. [`EvidenceError::field`] names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// More bytes than allowed.
    #[error("the evidence has {0} bytes, allowed are {EVIDENCE_BYTES_MAX}")]
    TooLong(usize),
    /// Not canonical bytes of evidence.
    #[error("the bytes are not evidence: {0}")]
    Decode(#[source] DecodeError),
    /// A version that this program does not know. Nothing is said about whether it holds.
    #[error("{what} of version {found}, known is {known}")]
    Unsupported {
        /// Evidence, or a leaf.
        what: &'static str,
        /// The version found.
        found: u8,
        /// The version known.
        known: u8,
    },
    /// The evidence is of another log.
    #[error("the evidence is of {found}, asked was {expected}")]
    OtherLog {
        /// The log asked for.
        expected: Origin,
        /// The log of the evidence.
        found: Origin,
    },
    /// The checkpoint was not signed by the log key, or is malformed.
    #[error("checkpoint: {0}")]
    Checkpoint(#[source] NoteError),
    /// The map head is not the last leaf under the checkpoint.
    #[error("map head: {0}")]
    MapHead(String),
    /// The robot's leaf is not included, or its slots are not its own.
    #[error("robot: {0}")]
    Robot(String),
    /// The map proof of the robot proves nothing.
    #[error("robot's map proof: {0}")]
    RobotMap(#[source] MapProofError),
    /// The map proof of the model proves nothing.
    #[error("model's map proof: {0}")]
    ModelMap(#[source] MapProofError),
    /// The standing of the model is not what the map says.
    #[error("model: {0}")]
    Model(String),
    /// The newest leaf of the subject is not what it should be.
    #[error("subject: {0}")]
    Subject(String),
    /// The map proof of the subject proves nothing.
    #[error("subject's map proof: {0}")]
    SubjectMap(#[source] MapProofError),
    /// A custody leaf is not what it should be.
    #[error("custody leaf {index}: {detail}")]
    Chain {
        /// Its index in the log.
        index: u64,
        /// What is wrong.
        detail: String,
    },
}

impl EvidenceError {
    /// The field of the evidence that broke.
    pub fn field(&self) -> &'static str {
        match self {
            Self::TooLong(_) | Self::Decode(_) => "evidence",
            Self::Unsupported { .. } => "version",
            Self::OtherLog { .. } => "origin",
            Self::Checkpoint(_) => "checkpoint",
            Self::MapHead(_) => "map_head",
            Self::Robot(_) => "robot",
            Self::RobotMap(_) => "robot.proof",
            Self::ModelMap(_) => "model.proof",
            Self::Model(_) => "model",
            Self::Subject(_) => "subject",
            Self::SubjectMap(_) => "subject.proof",
            Self::Chain { .. } => "chain",
        }
    }
}

/// A custody step that the registry itself wrote, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenLink {
    link: Link,
    leaf: Digest,
    index: u64,
    at: TimeMs,
}

impl ProvenLink {
    /// The step as it was written.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Hash of its leaf: what the next link names as `prev`.
    pub fn leaf(&self) -> &Digest {
        &self.leaf
    }

    /// Index of its leaf in the writer's log.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// When it was recorded, in the writer's log time.
    pub fn at(&self) -> TimeMs {
        self.at
    }
}

/// The robot as its leaf shows it.
#[derive(Debug, Clone)]
pub struct ProvenRobot {
    leaf: Proven,
    status: Option<RobotStatus>,
}

impl ProvenRobot {
    /// Its leaf, included under the checkpoint, with the slots that are shown.
    pub fn leaf(&self) -> &Proven {
        &self.leaf
    }

    /// Status in the map; `None` when the leaf is not proven to be the newest.
    pub fn status(&self) -> Option<RobotStatus> {
        self.status
    }

    /// State, holds, owed and remedied recalls; `None` when the registry keeps only the custody of the robot.
    ///
    /// # Errors
    /// When the slot is hidden, or of a newer form.
    pub fn standing(&self) -> Result<Option<Standing>, SlotError> {
        self.leaf.slots().get(slot::STATE)
    }

    /// Level, safety class, firmware and AI models.
    ///
    /// # Errors
    /// When the slot is hidden, or of a newer form.
    pub fn software(&self) -> Result<Option<Software>, SlotError> {
        self.leaf.slots().get(slot::SOFTWARE)
    }

    /// What never changes of it, as far as it is shown.
    pub fn fixed(&self) -> Fixed {
        let slots = self.leaf.slots();
        Fixed {
            body: slots.get(slot::BODY).ok().flatten(),
            key: slots.get(slot::ROBOT_KEY).ok().flatten(),
            manufacture: self.manufacture().ok().flatten(),
        }
    }

    /// When and where made, declared origin, importer's filing.
    ///
    /// # Errors
    /// When the slot is hidden, or of a newer form.
    pub fn manufacture(&self) -> Result<Option<Manufacture>, SlotError> {
        self.leaf.slots().get(slot::MANUFACTURE)
    }

    /// Parts that carry identity.
    ///
    /// # Errors
    /// When the slot is hidden, or of a newer form.
    pub fn identity_parts(&self) -> Result<Option<IdentityParts>, SlotError> {
        self.leaf.slots().get(slot::IDENTITY_PARTS)
    }

    /// Parts that do not carry identity.
    ///
    /// # Errors
    /// When the slot is hidden, or of a newer form.
    pub fn other(&self) -> Result<Option<Other>, SlotError> {
        self.leaf.slots().get(slot::OTHER)
    }

    /// The newest link of its custody chain that the registry knows of, whoever wrote it.
    ///
    /// # Errors
    /// When the slot is hidden, or of a newer form.
    pub fn link(&self) -> Result<Option<Link>, SlotError> {
        self.leaf.slots().get(slot::CUSTODY)
    }
}

/// What never changes of a robot and every registry keeps as the issuer vouches for it; none where it is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fixed {
    body: Option<Digest>,
    key: Option<RobotKey>,
    manufacture: Option<Manufacture>,
}

impl Fixed {
    /// What two registries show and show differently.
    pub fn differs(&self, other: &Self) -> Option<&'static str> {
        fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
            one.is_some() && other.is_some() && one != other
        }
        let all = [
            ("body", differ(&self.body, &other.body)),
            ("key", differ(&self.key, &other.key)),
            ("manufacture", differ(&self.manufacture, &other.manufacture)),
        ];
        all.into_iter()
            .find_map(|(what, differs)| differs.then_some(what))
    }
}

/// Evidence that holds under a checkpoint of the log key given. Only [`Evidence::verify`] makes one.
#[derive(Debug, Clone)]
pub struct ProvenEvidence {
    code: Code,
    head: LogHead,
    robot: Option<ProvenRobot>,
    model: Option<ModelStanding>,
    links: Vec<ProvenLink>,
}

impl ProvenEvidence {
    /// The robot that was asked for.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        self.checkpoint().origin()
    }

    /// The log head that all of it is proven under.
    pub fn head(&self) -> &LogHead {
        &self.head
    }

    /// The signed size and root that all of it is proven under.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        self.head.checkpoint()
    }

    /// Tree size of the checkpoint.
    pub fn size(&self) -> u64 {
        self.head.size()
    }

    /// Time of the checkpoint: the `t_ms` of its map head.
    pub fn time(&self) -> TimeMs {
        self.head.time()
    }

    /// The robot; `None` when it is proven that this log has none of the code.
    pub fn robot(&self) -> Option<&ProvenRobot> {
        self.robot.as_ref()
    }

    /// The body, parts and key that the robot's leaf shows: what ends with it. Whether that is all of them, says
    /// [`ProvenEvidence::identities_hidden`].
    pub fn identities(&self) -> Vec<Digest> {
        self.identity_slots()
            .into_iter()
            .filter_map(Result::ok)
            .flatten()
            .collect()
    }

    /// Why it is not known what else ends with the robot: a slot that holds such identities is not shown, or cannot be read.
    /// Each slot has a salt of its own, so whoever bears evidence may take any of them away, and the leaf still proves.
    pub fn identities_hidden(&self) -> Option<SlotError> {
        self.identity_slots().into_iter().find_map(Result::err)
    }

    /// What each slot says that holds identities: the body, the parts in whichever list, the key.
    fn identity_slots(&self) -> Vec<Result<Vec<Digest>, SlotError>> {
        let Some(robot) = &self.robot else {
            return Vec::new();
        };
        let slots = robot.leaf.slots();
        let body = slots.get::<Digest>(slot::BODY);
        let key = slots.get::<RobotKey>(slot::ROBOT_KEY);
        // Whose key it is, only the key itself says: of a copy nobody knows which robot answers with it.
        let of = body.as_ref().ok().copied().flatten();
        let key = key.and_then(|key| match (key, of) {
            (Some(key), Some(body)) if !key.is_of(&self.code, &body) => Err(unproven_key()),
            (key, _) => Ok(key),
        });
        let parts = robot.identity_parts().map(|parts| {
            let parts = parts.into_iter().flat_map(|parts| parts.0);
            parts.map(|part| part.identity).collect()
        });
        let others = robot.other().map(|other| {
            let others = other.into_iter().flat_map(|other| other.parts);
            let identity = others.filter(|part| part.kind.carries_identity());
            identity.map(|part| part.identity).collect()
        });
        vec![
            body.map(|body| body.into_iter().collect()),
            key.map(|key| key.as_ref().map(RobotKey::identity).into_iter().collect()),
            parts,
            others,
        ]
    }

    /// The model's standing, when shown.
    pub fn model(&self) -> Option<&ModelStanding> {
        self.model.as_ref()
    }

    /// Custody steps that this registry wrote, as far as shown, oldest first.
    pub fn links(&self) -> &[ProvenLink] {
        &self.links
    }

    /// Whether it says the same of the robot as other evidence of this log, under whichever head: its newest leaf is the same, and is
    /// proven to be the newest, and so is what is said of its model and its custody.
    pub fn says_as(&self, other: &Self) -> bool {
        let newest = |it: &Self| {
            let robot = it.robot.as_ref();
            robot.map(|robot| (robot.leaf.hash(), robot.status))
        };
        let of_one = self.code == other.code && self.origin() == other.origin();
        let proven = newest(self).is_none_or(|(_, status)| status.is_some());
        of_one
            && proven
            && newest(self) == newest(other)
            && self.model == other.model
            && self.links == other.links
    }

    /// How its head goes with one that was seen before: see [`LogHead::against`].
    pub fn against(&self, size: u64, root: &Digest, time: TimeMs) -> HeadOrder {
        self.head.against(size, root, time)
    }
}

/// A key that did not sign for the robot that shows it.
fn unproven_key() -> SlotError {
    let fault = DecodeFault::Invalid("the robot key did not sign for this robot".into());
    let source = DecodeError { offset: 0, fault };
    SlotError::Decode {
        slot: slot::ROBOT_KEY,
        source,
    }
}

/// Reads evidence.
///
/// # Errors
/// Too many bytes, not canonical, or of a version not known.
pub fn parse(bytes: &[u8]) -> Result<Evidence, EvidenceError> {
    framed(bytes, |evidence: &Evidence| &evidence.frame)
}

/// Evidence of either kind, in a frame of a version that is known.
fn framed<T: Canonical>(bytes: &[u8], frame: impl Fn(&T) -> &Frame) -> Result<T, EvidenceError> {
    if bytes.len() > EVIDENCE_BYTES_MAX {
        return Err(EvidenceError::TooLong(bytes.len()));
    }
    let evidence = T::from_bytes(bytes).map_err(EvidenceError::Decode)?;
    match frame(&evidence).version {
        EVIDENCE_VERSION => Ok(evidence),
        found => Err(EvidenceError::Unsupported {
            what: "evidence",
            found,
            known: EVIDENCE_VERSION,
        }),
    }
}

impl Evidence {
    /// Verifies everything that is shown under the log's keys.
    ///
    /// # Errors
    /// The first field that does not hold.
    pub fn verify(
        &self,
        keys: &KeyHistory,
        origin: &Origin,
    ) -> Result<ProvenEvidence, EvidenceError> {
        let head = self.frame.verify(keys, origin)?;
        self.verify_under(head)
    }

    /// As [`Self::verify`], where a head was verified before: one that is shown again, by the same bytes, is judged by the keys
    /// anew, and its signature is not computed again. Whatever is verified is remembered in its place.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_again(
        &self,
        seen: &mut Option<SeenHead>,
        keys: &KeyHistory,
        origin: &Origin,
    ) -> Result<ProvenEvidence, EvidenceError> {
        let again = seen.as_ref();
        let again = again.and_then(|seen| seen.again(&self.frame, keys, origin));
        let head = match again {
            Some(head) => head,
            None => {
                let head = self.frame.verify(keys, origin)?;
                *seen = Some(SeenHead::of(&self.frame, &head));
                head
            }
        };
        self.verify_under(head)
    }

    fn verify_under(&self, head: LogHead) -> Result<ProvenEvidence, EvidenceError> {
        let robot = self.verify_robot(head.checkpoint(), head.map_root())?;
        let model = self.verify_model(head.map_root())?;
        let links = self.verify_links(head.checkpoint(), robot.as_ref())?;
        Ok(ProvenEvidence {
            code: self.code,
            head,
            robot,
            model,
            links,
        })
    }

    fn verify_robot(
        &self,
        checkpoint: &VerifiedCheckpoint,
        map_root: &Digest,
    ) -> Result<Option<ProvenRobot>, EvidenceError> {
        let key = Subject::robot(&self.code).key();
        let broken = |detail: &str| Err(EvidenceError::Robot(detail.to_owned()));
        match &self.robot {
            RobotProof::Absent { proof } => match proof.verify(map_root, &key) {
                Ok(MapAnswer::Absent) => Ok(None),
                Ok(MapAnswer::Present(_)) => broken("said to be absent, the map has it"),
                Err(error) => Err(EvidenceError::RobotMap(error)),
            },
            RobotProof::Included { proven } => {
                let leaf = self.verify_leaf_of_robot(checkpoint, proven)?;
                Ok(Some(ProvenRobot { leaf, status: None }))
            }
            RobotProof::Present {
                proven,
                value,
                proof,
            } => {
                let leaf = self.verify_leaf_of_robot(checkpoint, proven)?;
                match proof.verify(map_root, &key) {
                    Ok(MapAnswer::Present(digest)) if digest == value.digest() => {}
                    Ok(_) => return broken("the map has another value"),
                    Err(error) => return Err(EvidenceError::RobotMap(error)),
                }
                if !newest_by_map(value, &leaf) {
                    return broken("the map shows another leaf as the newest");
                }
                let Some(status) = RobotStatus::from_number(u64::from(value.status)) else {
                    return Err(EvidenceError::Unsupported {
                        what: "status in the map",
                        found: value.status,
                        known: RobotStatus::ALL.len() as u8,
                    });
                };
                Ok(Some(ProvenRobot {
                    leaf,
                    status: Some(status),
                }))
            }
        }
    }

    /// A leaf of the robot, included, whose slots open it.
    fn verify_leaf_of_robot(
        &self,
        checkpoint: &VerifiedCheckpoint,
        proven: &ProvenLeaf,
    ) -> Result<Proven, EvidenceError> {
        let leaf = prove(proven, checkpoint.size(), checkpoint.root())
            .map_err(|why| EvidenceError::Robot(why.to_string()))?;
        known_version(leaf.leaf())?;
        if leaf.leaf().key != Subject::robot(&self.code).key() {
            return Err(EvidenceError::Robot(
                "the leaf is of another subject".into(),
            ));
        }
        match leaf.slots().get::<String>(slot::CODE) {
            Ok(Some(text)) if text != self.code.as_str() => Err(EvidenceError::Robot(format!(
                "slot {} names {text}",
                slot::CODE
            ))),
            _ => Ok(leaf),
        }
    }

    fn verify_model(&self, map_root: &Digest) -> Result<Option<ModelStanding>, EvidenceError> {
        let Some(model) = &self.model else {
            return Ok(None);
        };
        let broken = |detail: &str| Err(EvidenceError::Model(detail.to_owned()));
        let key = Subject::model(&self.code.model_id()).key();
        match model.proof.verify(map_root, &key) {
            Ok(MapAnswer::Present(digest)) if digest == model.value.digest() => {}
            Ok(MapAnswer::Present(_)) => return broken("the map has another value"),
            Ok(MapAnswer::Absent) => return broken("the map has no such model"),
            Err(error) => return Err(EvidenceError::ModelMap(error)),
        }
        if model.value.facts != model.standing.digest() {
            return broken("the standing is not the one the map names");
        }
        Ok(Some(model.standing.clone()))
    }

    fn verify_links(
        &self,
        checkpoint: &VerifiedCheckpoint,
        robot: Option<&ProvenRobot>,
    ) -> Result<Vec<ProvenLink>, EvidenceError> {
        let mut links = Vec::new();
        let mut before = None;
        for shown in &self.chain {
            let broken = |detail: &str| EvidenceError::Chain {
                index: shown.index,
                detail: detail.to_owned(),
            };
            let proven = prove(shown, checkpoint.size(), checkpoint.root())
                .map_err(|why| broken(&why.to_string()))?;
            known_version(proven.leaf())?;
            if before.is_some_and(|before| shown.index <= before) {
                return Err(broken("not in the order of the log"));
            }
            before = Some(shown.index);
            let link = self.own_link(&proven);
            links.push(link.ok_or_else(|| broken("no custody step of the robot by this log"))?);
        }
        links.extend(robot.and_then(|robot| self.own_link(&robot.leaf)));
        Ok(links)
    }

    /// The custody step that a leaf is, if this registry wrote it about this robot.
    fn own_link(&self, proven: &Proven) -> Option<ProvenLink> {
        let leaf = proven.leaf();
        let of_robot = leaf.key == Subject::robot(&self.code).key();
        let carries = matches!(leaf.kind, Kind::Custody | Kind::Register);
        let link: Option<Link> = proven.slots().get(slot::CUSTODY).ok().flatten();
        let own = |link: &Link| of_robot && carries && link.writer() == self.frame.origin.prefix;
        link.filter(own).map(|link| ProvenLink {
            link,
            leaf: proven.hash(),
            index: proven.index(),
            at: leaf.t_ms,
        })
    }
}

/// Whether a value of the map names this leaf as the newest of its subject.
fn newest_by_map(value: &MapValue, leaf: &Proven) -> bool {
    value.leaf_hash == leaf.hash()
        && value.leaf_index == leaf.index()
        && value.seq == leaf.leaf().seq
}

fn known_version(leaf: &Leaf) -> Result<(), EvidenceError> {
    match leaf.version {
        LEAF_VERSION => Ok(()),
        found => Err(EvidenceError::Unsupported {
            what: "leaf",
            found,
            known: LEAF_VERSION,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one registry does not show contradicts nothing; what two show must be the same.
    #[test]
    fn two_registries_show_one_robot() {
        let body = |number: u8| Fixed {
            body: Some(Digest([number; 32])),
            ..Fixed::default()
        };
        let made = |at: u64, origin: &str| Fixed {
            manufacture: Some(Manufacture {
                at: TimeMs(at),
                site: "works".into(),
                origin: origin.into(),
                importers_filing: false,
            }),
            ..Fixed::default()
        };
        let key = |number: u8| {
            let seed = carnet_domain::bytes::signature::SecretKey::from_seed(&[number; 32]);
            Fixed {
                key: Some(RobotKey {
                    public: seed.public(),
                    proof: seed.sign(b"any"),
                }),
                ..Fixed::default()
            }
        };
        assert_eq!(body(1).differs(&body(1)), None);
        assert_eq!(body(1).differs(&Fixed::default()), None);
        assert_eq!(Fixed::default().differs(&body(1)), None);
        assert_eq!(body(1).differs(&body(2)), Some("body"));
        assert_eq!(key(1).differs(&key(2)), Some("key"));
        assert_eq!(key(1).differs(&key(1)), None);
        assert_eq!(made(1, "CN").differs(&made(1, "CN")), None);
        assert_eq!(made(1, "CN").differs(&made(2, "CN")), Some("manufacture"));
        assert_eq!(made(1, "CN").differs(&made(1, "DE")), Some("manufacture"));
    }
}
