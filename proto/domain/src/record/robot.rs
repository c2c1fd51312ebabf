//! One robot, and that one has ended.

use super::{
    Actor, FirstWord, Part, Party, Predicate, Recall, RecallId, Release, RobotKey, Setter,
};
use crate::bytes::code::{Code, EnterpriseId, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::time::TimeMs;
use crate::custody::{Chain, Phase};
use crate::limits::{
    AI_MODELS_MAX, CLAIMANTS_MAX, CLEARED_MAX, DECLARATION_AGAIN, DECLARATION_TIME,
    DECLARATIONS_MAX, Epoch, FIRST_WORDS_MAX, FORMER_PARTS_MAX, HOLDS_MAX, IDENTITY_PARTS_MAX,
    List, PARTS_MAX, RECALLS_OF_ROBOT_MAX, SEQUENCE_MAX, Sequence,
};
use crate::log::head::Head;
use crate::record::crossing::Purpose;
use crate::record::model::Firmware;
use crate::rules::lifecycle::{EndOfLife, HoldKind, State};
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Reason, Rejection, refuse};

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

impl Hold {
    /// As anybody may see it: that it stands, and who set it. Why is said in the leaf that set it, and in the record.
    #[must_use]
    pub fn without_reason(&self) -> Self {
        Self {
            reason: String::new(),
            ..self.clone()
        }
    }

    /// That it stands, and so refuses something.
    pub fn stands(&self) -> Detail {
        Detail::HoldStands {
            kind: self.kind,
            setter: self.setter.clone(),
            since: self.since,
        }
    }
}

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
    /// No step waits.
    Nothing {},
    /// An end of life was declared.
    EndOfLife {
        /// How it ends.
        outcome: EndOfLife,
        /// Who declared.
        by: Actor,
        /// Digest of the destruction certificate.
        certificate: Digest,
    },
    /// The owner released it; it may be asked for.
    Released {
        /// On what terms.
        release: Release,
    },
    /// Ownership was asked for.
    Asked {
        /// On what terms it was released.
        release: Release,
        /// The gaining owner.
        owner: Party,
        /// Who asked.
        by: Actor,
    },
}
crate::canonical_variants!(Pending {
    0 => Nothing {},
    1 => EndOfLife { outcome, by, certificate },
    3 => Released { release },
    4 => Asked { release, owner, by },
});

/// An end of life that a recycler declared who is nothing to the robot. It waits for its confirmation beside [`Pending`],
/// ties up nothing, and is not the last of its kind: each of a few recyclers may have declared one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// How it ends.
    pub outcome: EndOfLife,
    /// Who declared.
    pub by: Actor,
    /// Digest of the destruction certificate, by which it is confirmed.
    pub certificate: Digest,
    /// Log time of the declaration, or of its withdrawal.
    pub at: TimeMs,
    /// Withdrawn or rejected: kept for a day, so that nobody writes the same robot's record over and over.
    pub withdrawn: bool,
    /// How often the roots had moved log time: moved since, what has expired stays expired.
    pub clock: u64,
}
crate::canonical_struct!(Declared {
    outcome,
    by,
    certificate,
    at,
    withdrawn,
    clock: Sequence
});

impl Declared {
    /// Whether it takes its place at a time, and after as many moves of log time by the roots.
    pub fn is_kept(&self, now: TimeMs, clock: u64) -> bool {
        let time = match self.withdrawn {
            true => DECLARATION_AGAIN,
            false => DECLARATION_TIME,
        };
        // saturates: an instant beyond the last has not come
        clock == self.clock && now < self.at.saturating_add(time)
    }

    /// Whether it may be confirmed at a time, likewise.
    pub fn stands(&self, now: TimeMs, clock: u64) -> bool {
        !self.withdrawn && self.is_kept(now, clock)
    }
}

/// What never changes of a robot: the identity that the code's issuer vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which names the robot for ever.
    pub code: Code,
    /// Hash over maker and serial of the body.
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

/// On what ground a robot has a record here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Registered here, or admitted for good: who owns it is recorded here, wherever it is for a time.
    Resident {},
    /// Admitted for a time: who owns it is recorded elsewhere.
    Guest {
        /// Why it is here.
        purpose: Purpose,
    },
    /// Admitted by another country for good.
    Left {},
    /// Asked for and never admitted. The record is provisional: it binds reports to the robot, and nothing else.
    Asked {},
}
crate::canonical_variants!(Stay { 1 => Resident {}, 2 => Guest { purpose }, 3 => Left {}, 4 => Asked {} });

/// All that this registry keeps of one robot, whether it is here or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Robot {
    /// What never changes.
    pub identity: Identity,
    /// Parts that carry identity.
    pub identity_parts: Vec<Part>,
    /// Parts that carried its identity and were replaced: they stay bound to it, and end with it.
    pub former_parts: Vec<Digest>,
    /// Other tracked parts.
    pub parts: Vec<Part>,
    /// The robot's own key.
    pub robot_key: Option<RobotKey>,
    /// The build that was reported last.
    pub firmware: Firmware,
    /// Digests of its newest AI models, the newest last.
    pub ai_models: Vec<Digest>,
    /// Count and digest of the older ones; each stands in the leaf that recorded it.
    pub ai_models_before: Before,
    /// Intelligence level and safety class, as approved.
    pub level: u8,
    /// As approved of its model, 1 to 4.
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
    /// Who works on it while it is maintained.
    pub workshop: Option<EnterpriseId>,
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
    /// The row of the index of deadlines that stands for what is pending.
    pub due: Option<TimeMs>,
    /// The registrar who gave the person that owns it another desk than that desk gave: what is sold through it takes somebody
    /// else of an office too.
    pub desk_set_by: Option<Actor>,
    /// Whether another country ever admitted it: its body is bound to the code there, and stays so.
    pub admitted_abroad: bool,
    /// Ends of life that strangers declared, the oldest first.
    pub declared: Vec<Declared>,
    /// First words of offices, the oldest first.
    pub first_words: Vec<FirstWord>,
    /// Report of the newest inspection since it was retired, while that is one it passed.
    pub inspection: Option<Digest>,
    /// Custody here.
    pub custody: Chain,
    /// Drawn at registration, handed over with each offer.
    pub custody_secret: Digest,
    /// Newest leaf.
    pub head: Option<Head>,
    /// On what ground it has a record here.
    pub stay: Stay,
}
crate::canonical_struct!(Robot @ 1 {
    identity,
    identity_parts: List<IDENTITY_PARTS_MAX>,
    former_parts: List<FORMER_PARTS_MAX>,
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
    workshop,
    state,
    holds: List<HOLDS_MAX>,
    owed: List<RECALLS_OF_ROBOT_MAX>,
    remedied: List<RECALLS_OF_ROBOT_MAX>,
    pending,
    due,
    desk_set_by,
    admitted_abroad,
    declared: List<DECLARATIONS_MAX>,
    first_words: List<FIRST_WORDS_MAX>,
    inspection,
    custody,
    custody_secret,
    head,
    stay,
});

/// How a robot's record speaks against it: of a robot of which nothing does, an older word is as good as the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Against {
    /// A hold stands, an end of life is declared, or a recall is owed.
    Blocked,
    /// It was admitted for a time.
    Guest,
    /// It was scrapped or recycled.
    Ended,
    /// It is not here; or it is of this registry's own code, and out of service or annulled.
    Apart {
        /// Since which step its custody is known to have been so ([`Chain::moved_at`]): what is shown of before is an older word.
        epoch: u64,
    },
    /// It is under way to here, where it may be detained, or blocked while it is here for a time: no evidence of it shows all of
    /// that.
    Unshown,
    /// It is here for good under another registry's code: nothing speaks against it here, and everything where it is shown
    /// elsewhere.
    Settled,
    /// As [`Against::Settled`], but out of service or annulled.
    Idle,
}
crate::canonical_variants!(Against {
    1 => Blocked {},
    2 => Guest {},
    3 => Ended {},
    4 => Apart { epoch: Epoch },
    5 => Unshown {},
    6 => Settled {},
    7 => Idle {},
});

impl Pending {
    /// Until when it stands, where a rule ends it then.
    pub fn until(&self) -> Option<TimeMs> {
        match self {
            Self::Released { release } | Self::Asked { release, .. } => Some(release.until),
            Self::Nothing {} | Self::EndOfLife { .. } => None,
        }
    }
}

impl Robot {
    /// Gives it to an owner, who holds it too, and with it goes whatever is known of the side of the one before: the desk that was
    /// chosen for that one, what two were about to do in its place, its holds, what it released.
    pub fn give_to(&mut self, owner: Party) {
        let is_owners =
            |hold: &Hold| hold.kind == HoldKind::OwnerHold && hold.setter.role == Role::Owner;
        self.holds.retain(|hold| !is_owners(hold));
        self.desk_set_by = None;
        self.first_words = Vec::new();
        if !matches!(self.pending, Pending::EndOfLife { .. }) {
            self.pending = Pending::Nothing {};
        }
        self.holder = Some(owner.clone());
        self.owner = Some(owner);
    }

    /// How its record in the registry of `me` speaks against it, the gravest first. One that is not in service yet is not among
    /// these: no older word says more of it. Nor is one of an own code that is at home: no word but its own leads elsewhere.
    pub fn against(&self, me: &Prefix) -> Option<Against> {
        let declared = matches!(self.pending, Pending::EndOfLife { .. });
        let coming = matches!(self.custody.phase, Phase::InTransit { .. });
        let blocked = declared || !(self.holds.is_empty() && self.owed.is_empty());
        let guest = matches!(self.stay, Stay::Guest { .. });
        if coming || (blocked && guest) {
            return Some(Against::Unshown);
        }
        if blocked {
            return Some(Against::Blocked);
        }
        if guest {
            return Some(Against::Guest);
        }
        let here = self.custody.in_custody();
        let at_home = here && self.stay == Stay::Resident {};
        let of_another = here && self.identity.code.prefix() != *me;
        match self.state {
            // A reserved code has no chain yet.
            State::Reserved => None,
            State::Development
            | State::Manufactured
            | State::InStock
            | State::Sold
            | State::Deployed
            | State::Maintenance
                if at_home =>
            {
                of_another.then_some(Against::Settled)
            }
            State::Recycled | State::Scrapped => Some(Against::Ended),
            _ if of_another => Some(Against::Idle),
            State::Development
            | State::Manufactured
            | State::InStock
            | State::Sold
            | State::Deployed
            | State::Maintenance
            | State::Retired
            | State::Annulled => Some(Against::Apart {
                epoch: self.custody.moved_at(),
            }),
        }
    }

    /// Whether it counts as a robot of its model here: one that was only asked for does not.
    pub fn is_counted(&self) -> bool {
        self.stay != Stay::Asked {}
    }

    /// Whether a recall in force names its model and matches it, or matched it once, and was not remedied.
    pub fn owes(&self, recall: &Recall) -> bool {
        let id = &recall.notice.id;
        recall.binding().is_some_and(|(notice, models)| {
            models.contains(&self.identity.code.model_id())
                && !self.remedied.contains(id)
                && (self.owed.contains(id) || self.is_matched(&notice.predicate))
        })
    }

    /// Whether a predicate matches it, as it is now.
    pub fn is_matched(&self, predicate: &Predicate) -> bool {
        predicate.matches_but_for_parts(
            &self.identity.code,
            self.firmware.build,
            self.identity.manufactured,
        ) && predicate.names_lot_of(self.identity_parts.iter().chain(&self.parts))
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

    /// Every identity that ends with the robot: body, parts that carry identity in whichever list another registry put
    /// them, and its own key.
    pub fn identities(&self) -> Vec<Digest> {
        let others = self.parts.iter();
        let hidden = others.filter(|part| part.kind.carries_identity());
        let parts = self.identity_parts.iter().chain(hidden);
        std::iter::once(self.identity.body)
            .chain(parts.map(|part| part.identity))
            .chain(self.former_parts.iter().copied())
            .chain(self.robot_key.as_ref().map(RobotKey::identity))
            .collect()
    }
}

/// On whose word a row of the index stands. It says nothing of who may take the part: that is asked of who comes with it, once,
/// by `decisions/0013-whose-word-a-row-of-a-part-is.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitted {
    /// The part's own maker registered or fitted it here; or it is the key of a robot. Of a maker that is that on the word of one person,
    /// the row names it: two clear it then.
    Here,
    /// Somebody here fitted what another makes, or filed its body, whether that one is accredited here or nobody here; or it is the body of
    /// a robot that was admitted here, which its issuer alone may know. Such a row keeps
    /// everybody from it, at the border too, but not its maker, who alone knows which serials there are.
    Word,
    /// Another country showed it when the robot came, and nobody here registered or fitted it. Such a row keeps no maker from
    /// its own serials and no robot from its own body.
    Shown,
    /// Two registrars cleared it from the robot that it names. Such a row keeps out whom and what it remembers ([`ClearedFrom`]), and
    /// nobody else.
    Cleared,
}
crate::canonical_enum!(Fitted { 1 => Here, 2 => Word, 3 => Shown, 4 => Cleared });

/// The first of two words by which a row is cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearing {
    /// How often the roots had moved log time: moved since, what has expired stays expired.
    pub clock: u64,
    /// Who gave it.
    pub by: Actor,
    /// It expires then.
    pub until: TimeMs,
}
crate::canonical_struct!(Clearing {
    clock: Sequence,
    by,
    until
});

/// In which robot a body, a part or a key is, as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitting {
    /// The robot.
    pub code: Code,
    /// On what it stands.
    pub by: Fitted,
    /// The enterprise whose word it is, and the maker that one person made; none of an office, and none that is needed otherwise.
    pub said_by: Option<EnterpriseId>,
    /// That a registrar wants it cleared: it takes another person.
    pub clearing: Option<Clearing>,
    /// From what it was cleared, on whose word it was there, the newest last; of more than [`CLEARED_MAX`] the oldest makes way. Whoever
    /// takes the part next does not take that away, but for its maker.
    pub cleared: Vec<ClearedFrom>,
}
crate::canonical_struct!(Fitting @ 1 { code, by, said_by, clearing, cleared: List<CLEARED_MAX> });

/// From which robot a part was cleared, and on whose word it was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClearedFrom {
    /// The robot: nobody but the part's maker fits it there again.
    pub code: Code,
    /// The enterprise: it does not fit it anywhere again.
    pub said_by: EnterpriseId,
}
crate::canonical_struct!(ClearedFrom { code, said_by });

impl Fitting {
    /// Registered or fitted here; or body or key of a robot that was admitted here.
    pub fn here(code: Code) -> Self {
        Self::by(Fitted::Here, code)
    }

    /// Registered or fitted here by its maker, which is that on the word of one person.
    pub fn made_by_one(code: Code, maker: EnterpriseId) -> Self {
        Self {
            said_by: Some(maker),
            ..Self::here(code)
        }
    }

    /// As another country showed it.
    pub fn shown(code: Code) -> Self {
        Self::by(Fitted::Shown, code)
    }

    /// On the word of an enterprise, or of an office.
    pub fn word(code: Code, said_by: Option<EnterpriseId>) -> Self {
        Self {
            said_by,
            ..Self::by(Fitted::Word, code)
        }
    }

    fn by(by: Fitted, code: Code) -> Self {
        Self {
            code,
            by,
            said_by: None,
            clearing: None,
            cleared: Vec::new(),
        }
    }

    /// As it stays when two registrars cleared it: whose word it was is remembered, beside those before. One that was cleared already
    /// keeps out nobody any more.
    #[must_use]
    pub fn cleared(&self) -> Self {
        let mut cleared = match self.by {
            Fitted::Cleared => Vec::new(),
            Fitted::Here | Fitted::Word | Fitted::Shown => self.cleared.clone(),
        };
        if let (Some(said_by), false) = (self.said_by, self.by == Fitted::Cleared) {
            if cleared.len() >= CLEARED_MAX {
                cleared.remove(0);
            }
            let code = self.code;
            cleared.push(ClearedFrom { code, said_by });
        }
        Self {
            cleared,
            ..Self::by(Fitted::Cleared, self.code)
        }
    }

    /// From what it was cleared that keeps an enterprise, or an office, from fitting it in a robot.
    pub fn keeps_out(&self, robot: &Code, by: Option<EnterpriseId>) -> Option<ClearedFrom> {
        let mut cleared = self.cleared.iter();
        let found = cleared.find(|it| Some(it.said_by) == by || it.code == *robot);
        found.copied()
    }

    /// On what it stands that the part is in this robot; nothing where it is in another. What a maker fitted that one person made is
    /// that person's word: the end of the robot proves nothing of the serial.
    pub fn of(&self, code: &Code) -> Option<Fitted> {
        let by = match (self.by, self.said_by) {
            (Fitted::Here, Some(_)) => Fitted::Word,
            (by, _) => by,
        };
        (self.code == *code).then_some(by)
    }

    /// Whether it keeps a robot out that comes from abroad with the part: whatever was done or said here does, for nobody's word is
    /// better there.
    pub fn stands_at_the_border(&self) -> bool {
        match self.by {
            Fitted::Here | Fitted::Word => true,
            Fitted::Shown | Fitted::Cleared => false,
        }
    }
}

/// That a code, body or part has ended, and who says so. What a registry says without proof of its custody is a claim: it
/// refuses new registrations and changes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The code it belonged to.
    pub code: Code,
    /// How that robot ended.
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

/// A peer's claim that an identity has ended, as it is kept. One that a registrar cleared stays, so that the same peer does not
/// bring it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What the peer said.
    pub said: Ended,
    /// Cleared by a registrar: it says nothing any more.
    pub cleared: bool,
}
crate::canonical_struct!(Claim @ 1 { said, cleared });

/// What is known of the end of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ends {
    /// Of the registry that had custody, proven under its head; it blocks for good.
    pub proven: Option<Ended>,
    /// That the robot ended which has it by somebody's word here, as [`Fitted::Word`] has it: its maker's own deed ends that, and so do two
    /// registrars. Or that its issuer says so of a robot of which nothing shows here that the issuer has it: a registrar ends that. Every
    /// verdict shows it as it does a proven one.
    pub said: Option<Ended>,
    /// Peers that claim one, ascending, but for claims that were cleared; each claim is kept by peer and identity.
    pub claimed_by: Vec<Prefix>,
}
crate::canonical_struct!(Ends @ 1 { proven, said, claimed_by: List<CLAIMANTS_MAX> });

impl Ends {
    /// The end that every verdict shows, whatever it stands on here; what a peer claims is none.
    pub fn shown(&self) -> Option<&Ended> {
        self.proven.as_ref().or(self.said.as_ref())
    }
}
