//! What a run over several countries saw: every step that was asked for, every claim, and what each has at the end.

use std::collections::BTreeMap;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::movement::Movement;
use carnet_domain::custody::{Chain, Link, Step};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::command::TransferId;
use carnet_domain::rules::rejection::Reason;

use crate::border::Side;
use crate::history::Moment;

/// What came of asking for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It was written, as this leaf.
    Written(Digest),
    /// A lawful "no".
    Refused(Reason),
    /// It certainly did not happen.
    Failed,
    /// It may have happened.
    Unknown,
}

/// One step that was asked for, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which country was asked.
    pub side: Side,
    /// Which step.
    pub step: Step,
    /// Of which transfer.
    pub transfer: TransferId,
    /// When it was asked.
    pub began: Moment,
    /// When the outcome was known.
    pub ended: Moment,
    /// What came of it.
    pub came: Came,
}

/// A country said of a robot that it is responsible for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which robot.
    pub robot: Code,
    /// Which country.
    pub side: Side,
    /// Place in the robot's one chain: four to an epoch, and within it offered, in transit, in custody.
    pub place: u64,
    /// When the read began.
    pub began: Moment,
    /// When it was answered.
    pub ended: Moment,
}

/// One custody leaf, as its writer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLink {
    /// Hash of the leaf.
    pub leaf: Digest,
    /// The link in it.
    pub link: Link,
}

/// What one country has of one robot at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its custody, if there is a record.
    pub chain: Option<Chain>,
    /// The custody leaves of its own log.
    pub own: Vec<OwnLink>,
    /// Its trail.
    pub trail: Vec<Movement>,
}

/// What one country has at the end, when nothing is broken any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its prefix.
    pub prefix: Prefix,
    /// Every robot of the run, with an entry for each, known here or not.
    pub robots: BTreeMap<Code, Kept>,
    /// Every transfer.
    pub transfers: Vec<Transfer>,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Steps that were asked for.
    pub asked: Vec<Asked>,
    /// Claims that were read.
    pub claims: Vec<Claim>,
    /// Both countries at the end: A, B.
    pub ended: [Ended; 2],
}

impl Run {
    /// What a country has at the end.
    pub fn at(&self, side: Side) -> &Ended {
        &self.ended[usize::from(side == Side::B)]
    }
}
