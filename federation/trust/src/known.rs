//! What the verifier's own country knows, out of its own store or its own pack: agreements, suspensions, heads of other logs,
//! whom it doubts, and what it itself recorded about robots.
//!
//! Whoever wants a verdict never brings these: they would leave out what speaks against them. Data only; what it argues for is
//! in `verdict`.

use std::collections::BTreeMap;

use carnet_domain::bytes::code::{ModelId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::{HOLDS_MAX, Index, List, MODELS_OF_RECALL_MAX, RECALLS_OF_ROBOT_MAX};
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::peer::{Agreement, Suspension};
use carnet_domain::record::{Ended, RecallId, RecallNotice, Robot, Stay};
use carnet_domain::rules::command::Purpose;
use carnet_domain::rules::lifecycle::{HoldKind, State};

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
    /// Recalls that bind in the own country, and the models they touch.
    pub recalls: Vec<KnownRecall>,
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

/// Why a registry's word is doubted. It stays until people have spoken with that country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// It signed two roots for one size.
    Fork,
    /// It showed a head that does not extend the one before.
    OtherHistory,
    /// It showed a smaller head of a later time: it was restored from a copy.
    RolledBack,
}
carnet_domain::canonical_enum!(Doubt { 1 => Fork, 2 => OtherHistory, 3 => RolledBack });

/// What the own registry recorded about a robot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownRobot {
    /// That it ended, and who says so.
    pub ended: Option<Ending>,
    /// Holds that stand in its record, whoever set them: what another registry told counts too.
    pub holds: Vec<HoldKind>,
    /// Recalls that it owes by this registry's record.
    pub owed: Vec<RecallId>,
    /// On what ground it has a record here.
    pub ground: Option<Ground>,
}
carnet_domain::canonical_struct!(KnownRobot {
    ended,
    holds: List<HOLDS_MAX>,
    owed: List<RECALLS_OF_ROBOT_MAX>,
    ground
});

/// The end of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Which.
    pub state: State,
    /// The registry that recorded it.
    pub by: Prefix,
}
carnet_domain::canonical_struct!(Ending { state, by });

impl Ending {
    /// As it is recorded.
    pub fn of(ended: &Ended) -> Self {
        Self {
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
    /// What the record of a robot says, in the registry of `me`.
    pub fn of(robot: &Robot, me: &Prefix) -> Self {
        let ended = robot.state.is_final().then_some(Ending {
            state: robot.state,
            by: *me,
        });
        Self {
            ended: ended.filter(|_| robot.custody.is_responsible()),
            holds: robot.holds.iter().map(|hold| hold.kind).collect(),
            owed: robot.owed.clone(),
            ground: Some(match robot.stay {
                Stay::Resident {} => Ground::Resident {},
                Stay::Guest { purpose } => Ground::Guest { purpose },
                Stay::Left {} | Stay::Asked {} => Ground::Elsewhere {},
            }),
        }
    }

    /// An identity of which nothing is known but its end.
    pub fn ended(ended: &Ended) -> Self {
        Self {
            ended: Some(Ending::of(ended)),
            ..Self::default()
        }
    }

    /// Whether it may speak against a robot: a pack keeps nothing else.
    pub fn tells_something(&self) -> bool {
        let guest = matches!(self.ground, Some(Ground::Guest { .. }));
        self.ended.is_some() || !self.holds.is_empty() || !self.owed.is_empty() || guest
    }
}

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
            recalls: Vec::new(),
        }
    }

    /// What the own registry recorded about a code.
    pub fn robot(&self, code: &carnet_domain::bytes::code::Code) -> Option<&KnownRobot> {
        self.robots.get(&Subject::robot(code).key())
    }
}
