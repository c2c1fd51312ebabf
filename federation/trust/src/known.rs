//! What the verifier's own country knows, out of its own store or its own pack: agreements, suspensions, heads of other logs,
//! whom it doubts, and what it itself recorded about robots.
//!
//! Whoever wants a verdict never brings these: they would leave out what speaks against them. Data only; what it argues for is
//! in `verdict`.

use std::collections::BTreeMap;

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Step;
use carnet_domain::limits::{
    Epoch, HOLDS_MAX, Index, List, MODELS_OF_RECALL_MAX, Maybe, RECALLS_OF_ROBOT_MAX,
};
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::peer::{Agreement, Suspension};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{
    Against, ApprovalStatus, Ended, EnterpriseStatus, Hold, RecallId, RecallNotice, Robot, Stay,
};
use carnet_domain::rules::command::{Purpose, TransferId};
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::rejection::Reason;

use crate::sieve::Sieve;

/// Where it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the registry's own store, when the verdict was made.
    Store,
    /// In a pack, some time before. Nobody can be asked for what joins a newer head to the one in it.
    Pack,
}

/// What the verifier's own country knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where it was read.
    pub source: Source,
    /// As of when, by the registry's log time.
    pub at: TimeMs,
    /// Whether everything is there that the registry knows and a verdict asks for.
    pub whole: bool,
    /// Agreements with the peers concerned.
    pub agreements: Vec<Agreement>,
    /// The newest suspension of each version that was ever suspended.
    pub suspended: Vec<Suspension>,
    /// What is known of each registry, by its primary prefix.
    pub registries: BTreeMap<Prefix, KnownRegistry>,
    /// What the own registry recorded about robots: by the key of a code, a body, a part or a robot's key.
    pub robots: BTreeMap<Digest, KnownRobot>,
    /// Keys of which something is recorded that has no room in `robots`; see [`Known::told`].
    pub others: Option<Sieve>,
    /// Recalls that bind in the own country, and the models they touch.
    pub recalls: Vec<KnownRecall>,
    /// Models of the own country that are not approved.
    pub models: Vec<KnownModel>,
    /// Makers of the own country that are not active.
    pub makers: Vec<KnownMaker>,
    /// Registries of which not all is here that is known.
    pub lacking: Vec<Prefix>,
}

/// What is known of a registry beside its bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownRegistry {
    /// The newest head of its log that was taken in.
    pub head: Option<KnownHead>,
    /// Why its word is doubted.
    pub doubt: Option<Doubt>,
}

/// A head of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownHead {
    /// Tree size.
    pub size: u64,
    /// Tree root.
    pub root: Digest,
    /// Time of its map head; where that was not shown, a time that is not earlier.
    pub time: TimeMs,
}
carnet_domain::canonical_struct!(KnownHead {
    size: Index,
    root,
    time
});

/// Why a registry's word is doubted.
pub use carnet_domain::record::peer::LogDoubt as Doubt;

/// What the own registry recorded about a robot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownRobot {
    /// That it ended, and who says so.
    pub ended: Option<Ending>,
    /// Holds that stand in its record, whoever set them: what another registry told counts too.
    pub holds: Vec<Hold>,
    /// Recalls that it owes by this registry's record.
    pub owed: Vec<RecallId>,
    /// On what ground it has a record here.
    pub ground: Option<Ground>,
    /// How its record here speaks against it: then no older word of it counts.
    pub against: Option<Against>,
    /// Why it was detained at this registry's border, while it is on its way to here.
    pub detained: Option<Reason>,
    /// Where its newest transfer stands, unless it ended with an admission.
    pub transfer: Option<KnownTransfer>,
    /// Where it is by this registry's record; none where that says nothing of it.
    pub place: Option<Place>,
    /// Since which step of its custody that is known; none where it says nothing of it.
    pub epoch: Option<u64>,
}
carnet_domain::canonical_struct!(KnownRobot {
    ended,
    holds: List<HOLDS_MAX>,
    owed: List<RECALLS_OF_ROBOT_MAX>,
    ground,
    against,
    detained,
    transfer,
    place,
    epoch: Maybe<Epoch>
});

/// Where a robot is by the record of the registry that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In its custody.
    Here,
    /// Released to it: it is responsible, and has not admitted the robot.
    Coming,
    /// With another registry.
    Away,
}
carnet_domain::canonical_enum!(Place { 1 => Here, 2 => Coming, 3 => Away });

impl Place {
    fn of(robot: &Robot) -> Option<Self> {
        let (custody, reserved) = (&robot.custody, robot.state == State::Reserved);
        let place = match (custody.in_custody(), custody.is_responsible()) {
            (true, _) => Self::Here,
            (false, true) => Self::Coming,
            (false, false) => Self::Away,
        };
        // A code that is only reserved has no chain yet.
        (!reserved).then_some(place)
    }
}

/// Where a transfer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTransfer {
    /// Its number.
    pub id: TransferId,
    /// The exporter.
    pub from: Prefix,
    /// The importer.
    pub to: Prefix,
    /// The newest step.
    pub step: Step,
    /// When that was, by its writer's log time.
    pub at: TimeMs,
    /// Until when it waits for the next: an offer for its permit, a permit for the departure.
    pub until: Option<TimeMs>,
}
carnet_domain::canonical_struct!(KnownTransfer {
    id,
    from,
    to,
    step,
    at,
    until
});

impl KnownTransfer {
    fn of(transfer: &Transfer) -> Option<Self> {
        let admitted = |step| step == Step::Admit;
        let ending = transfer.ending.as_ref();
        let (step, at) = ending.map_or((transfer.step, transfer.step_at), |it| (it.step, it.at));
        let until = match step {
            Step::Offer => Some(transfer.offer_until),
            Step::Accept => Some(transfer.depart_by),
            _ => None,
        };
        (!admitted(step)).then(|| Self {
            id: transfer.id,
            from: transfer.from,
            to: transfer.to,
            step,
            at,
            until: until.filter(|_| ending.is_none()),
        })
    }

    /// The step and what is waited for, in words.
    pub fn words(&self, now: TimeMs) -> String {
        let Self {
            id, from, to, at, ..
        } = self;
        let stands = match self.step {
            Step::Register | Step::Offer => "was offered",
            Step::Accept => "was permitted",
            Step::Refuse => "was refused",
            Step::Cancel => "was cancelled",
            Step::Depart => "departed",
            Step::Detain => "was detained",
            Step::Admit => "was admitted",
            Step::Return => "was returned",
        };
        let until = match self.until {
            Some(until) if until < now => format!(", ran out at {until}"),
            Some(until) => format!(", until {until}"),
            None => String::new(),
        };
        format!("transfer {id} from {from} to {to} {stands} at {at}{until}")
    }
}

/// The end of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The robot that ended: of another one it says that one of the two is not what it seems.
    pub code: Code,
    /// Which.
    pub state: State,
    /// The registry that recorded it.
    pub by: Prefix,
}
carnet_domain::canonical_struct!(Ending { code, state, by });

impl Ending {
    /// As it is recorded.
    pub fn of(ended: &Ended) -> Self {
        Self {
            code: ended.code,
            state: ended.state,
            by: ended.by,
        }
    }
}

/// On what ground a robot has a record in the own registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Registered here or admitted for good: who owns it stands here.
    Resident {},
    /// Admitted for a time: who owns it stands elsewhere.
    Guest {
        /// Why it is here.
        purpose: Purpose,
    },
    /// Admitted by another country for good, or never admitted here.
    Elsewhere {},
}
carnet_domain::canonical_variants!(Ground { 1 => Resident {}, 2 => Guest { purpose }, 3 => Elsewhere {} });

impl KnownRobot {
    /// What the record of a robot says, in the registry of `me`, with its newest transfer ([`KnownRobot::transfer_of`]).
    pub fn of(robot: &Robot, transfer: Option<&Transfer>, me: &Prefix) -> Self {
        let detained = transfer.filter(|transfer| transfer.ending.is_none());
        let detained = detained.and_then(|transfer| transfer.detained.as_ref());
        let ended = robot.state.is_final().then_some(Ending {
            code: robot.identity.code,
            state: robot.state,
            by: *me,
        });
        Self {
            ended: ended.filter(|_| robot.custody.is_responsible()),
            holds: robot.holds.iter().map(Hold::without_reason).collect(),
            owed: robot.owed.clone(),
            ground: Some(match robot.stay {
                Stay::Resident {} => Ground::Resident {},
                Stay::Guest { purpose } => Ground::Guest { purpose },
                Stay::Left {} | Stay::Asked {} => Ground::Elsewhere {},
            }),
            against: robot.against(me),
            detained: detained.map(|why| why.reason),
            transfer: transfer.and_then(KnownTransfer::of),
            place: Place::of(robot),
            epoch: Place::of(robot).map(|_| robot.custody.moved_at()),
        }
    }

    /// What is known of a robot without a record here: that it was asked for, and what became of that.
    pub fn asked_for(transfer: &Transfer) -> Self {
        Self {
            transfer: KnownTransfer::of(transfer),
            ..Self::default()
        }
    }

    /// The number of the newest transfer of a robot that its record names.
    pub fn transfer_of(robot: &Robot) -> Option<TransferId> {
        let newest = robot.custody.newest().and_then(|link| link.transfer);
        robot.custody.open_transfer().or(newest)
    }

    /// An identity of which nothing is known but its end.
    pub fn ended(ended: &Ended) -> Self {
        Self {
            ended: Some(Ending::of(ended)),
            ..Self::default()
        }
    }

    /// Whether it counts against the robot by itself, whatever else is shown of it.
    pub fn binds(&self) -> bool {
        let guest = matches!(self.ground, Some(Ground::Guest { .. }));
        let held = !self.holds.is_empty() || !self.owed.is_empty();
        held || guest || self.ended.is_some() || self.detained.is_some()
    }

    /// Whether it may speak against a robot where it is: then no older word of it counts.
    pub fn speaks_against(&self) -> bool {
        let against = self.against.filter(|against| *against != Against::Settled);
        self.binds() || against.is_some()
    }

    /// Whether a verdict may ask for it: a pack keeps nothing else.
    pub fn tells_something(&self) -> bool {
        self.binds() || self.against.is_some()
    }
}

/// What there may be beside the rows of [`Known::robots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing: what is not found was not recorded.
    Nothing,
    /// Something was recorded, or the key was found by mistake.
    Perhaps,
}

/// In a set of others an epoch stands as it is, and as the sixteens of it, and so on. An offer and its cancel spend one: of epochs alone
/// a holder could put as many as are looked for between an older word and the step that it hides, within a minute.
pub const EPOCH_SCALES: [u64; 4] = [1, 16, 256, 4_096];
/// How many beyond the one shown are looked for of each scale: some 65,000 epochs, of which a robot spends at most 25 a minute.
pub const EPOCHS_ASKED: u64 = 16;

/// That the own record knows a later custody step than what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// Of this epoch.
    Recorded(u64),
    /// By a set of others, which finds by mistake too.
    Perhaps,
}

/// The key under which a set of others says that no older word of a robot counts. It is another than that of the robot itself,
/// under which stands what binds by itself: a robot that came and went again is no worse for it where it is now.
pub fn key_of_record(robot: &Digest) -> Digest {
    sha256(&[b"record of", &robot.0])
}

/// The key under which a set of others says that something is recorded of a robot that no evidence of it shows: that it is here for
/// a time, or was detained.
pub fn key_of_unshown(robot: &Digest) -> Digest {
    sha256(&[b"unshown of", &robot.0])
}

/// The key under which a set of others says since which step of its custody a robot is known to be elsewhere: of an epoch by a scale,
/// that is how many times the scale it is.
fn key_of_epoch(robot: &Digest, scale: u64, scaled: u64) -> Digest {
    let (scale, scaled) = (scale.to_be_bytes(), scaled.to_be_bytes());
    sha256(&[b"epoch of", &robot.0, &scale, &scaled])
}

/// An epoch by a scale, rounded down.
fn scaled(epoch: u64, scale: u64) -> u64 {
    epoch.checked_div(scale).unwrap_or(epoch)
}

/// The key under which a set of others says that a robot of another registry's code is in custody here, wherever it is shown.
pub fn key_of_here(robot: &Digest) -> Digest {
    sha256(&[b"here", &robot.0])
}

/// As [`key_of_here`], of some robots of a maker: which of them, has no room.
pub fn key_of_maker_here(maker: &EnterpriseId) -> Digest {
    sha256(&[b"here of", maker.as_str().as_bytes()])
}

/// The keys under which a set of others names a robot whose record speaks against it so.
pub fn keys_of(robot: &Digest, against: Against) -> Vec<Digest> {
    let (record, unshown) = (key_of_record(robot), key_of_unshown(robot));
    match against {
        Against::Blocked => vec![*robot, record],
        Against::Guest | Against::Unshown => vec![*robot, record, unshown],
        Against::Ended => vec![*robot],
        // A robot that came and went again is no worse for it: only an older word of ours about it is not used.
        Against::Apart { epoch } => {
            let of_scale = |scale: u64| key_of_epoch(robot, scale, scaled(epoch, scale));
            let epochs = EPOCH_SCALES.into_iter().map(of_scale);
            std::iter::once(record).chain(epochs).collect()
        }
        // Nothing speaks against it where it is.
        Against::Settled => vec![key_of_here(robot)],
        Against::Idle => vec![record, key_of_here(robot)],
    }
}

/// The key under which a set of others says that not all is in the pack that speaks against robots of a model: its recalls, or
/// its approval.
pub fn key_of_model(model: &ModelId) -> Digest {
    sha256(&[b"model", model.as_str().as_bytes()])
}

/// As [`key_of_model`], of all robots of a maker.
pub fn key_of_maker(maker: &EnterpriseId) -> Digest {
    sha256(&[b"maker", maker.as_str().as_bytes()])
}

/// A model of the own country that is not approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownModel {
    /// Which.
    pub id: ModelId,
    /// Its type approval.
    pub approval: ApprovalStatus,
}
carnet_domain::canonical_struct!(KnownModel { id, approval });

/// A maker of the own country that is not active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMaker {
    /// Which.
    pub id: EnterpriseId,
    /// Its standing.
    pub status: EnterpriseStatus,
    /// Who was named to go on for it.
    pub successor: Option<EnterpriseId>,
}
carnet_domain::canonical_struct!(KnownMaker {
    id,
    status,
    successor
});

/// A recall that binds in the own country.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRecall {
    /// What it says.
    pub notice: RecallNotice,
    /// The models it touches.
    pub models: Vec<ModelId>,
}
carnet_domain::canonical_struct!(KnownRecall {
    notice,
    models: List<MODELS_OF_RECALL_MAX>
});

impl Known {
    /// Nothing but the time: what a registry without peers knows.
    pub fn nothing(source: Source, at: TimeMs) -> Self {
        Self {
            source,
            at,
            whole: true,
            agreements: Vec::new(),
            suspended: Vec::new(),
            registries: BTreeMap::new(),
            robots: BTreeMap::new(),
            others: None,
            recalls: Vec::new(),
            models: Vec::new(),
            makers: Vec::new(),
            lacking: Vec::new(),
        }
    }

    /// Whether something may have been recorded under a key that has no row.
    pub fn told(&self, key: &Digest) -> Told {
        match &self.others {
            Some(others) if !self.robots.contains_key(key) && others.may_hold(key) => Told::Perhaps,
            _ => Told::Nothing,
        }
    }

    /// Whether the record of a robot may speak against it: then no older word of it counts.
    pub fn may_speak_against(&self, code: &Code) -> bool {
        let key = Subject::robot(code).key();
        let row = self.robots.get(&key);
        let told = |key| self.told(&key) == Told::Perhaps;
        row.is_some_and(KnownRobot::speaks_against) || told(key) || told(key_of_record(&key))
    }

    /// An epoch later than one, at which the own record may have seen the custody of a robot move. Of a robot without a row the next
    /// [`EPOCHS_ASKED`] of each of [`EPOCH_SCALES`] are looked for.
    pub fn later_epoch(&self, code: &Code, shown: u64) -> Option<Later> {
        let robot = Subject::robot(code).key();
        if let Some(row) = self.robots.get(&robot) {
            return row
                .epoch
                .filter(|epoch| shown < *epoch)
                .map(Later::Recorded);
        }
        let is_apart = self.told(&key_of_record(&robot)) == Told::Perhaps;
        let is_later = |scale: u64| {
            let at = scaled(shown, scale);
            let mut next = (1..=EPOCHS_ASKED).filter_map(|more| at.checked_add(more));
            next.any(|later| self.told(&key_of_epoch(&robot, scale, later)) == Told::Perhaps)
        };
        (is_apart && EPOCH_SCALES.into_iter().any(is_later)).then_some(Later::Perhaps)
    }

    /// Whether something may be known of a code's model or maker that has no room here.
    pub fn told_of_model(&self, code: &Code) -> Told {
        let model = code.model_id();
        let keys = [key_of_model(&model), key_of_maker(&model.enterprise_id())];
        match keys.iter().any(|key| self.told(key) == Told::Perhaps) {
            true => Told::Perhaps,
            false => Told::Nothing,
        }
    }

    /// Whether a robot of another registry's code that has no row may be in custody here.
    pub fn may_be_here(&self, code: &Code) -> bool {
        let robot = Subject::robot(code).key();
        let keys = [
            key_of_here(&robot),
            key_of_maker_here(&code.enterprise_id()),
        ];
        keys.iter().any(|key| self.told(key) == Told::Perhaps)
    }

    /// What the own registry recorded about a code.
    pub fn robot(&self, code: &Code) -> Option<&KnownRobot> {
        self.robots.get(&Subject::robot(code).key())
    }
}
