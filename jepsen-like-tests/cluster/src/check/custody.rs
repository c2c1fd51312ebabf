//! Custody over a border: one chain a robot, one country at a time, and every acknowledged step in it.
//!
//! Judged by what both countries show at the end and by what was read meanwhile. The chain is built again here from the
//! links themselves, each of which names the leaf before it; nothing is taken from either country's word about where a
//! robot stands.

mod coverage;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::Step;
use carnet_domain::limits::{OFFERS_MADE_A_MINUTE_MAX, RESERVED_OF_A_MINUTE};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::command::TransferId;
use carnet_domain::rules::rejection::Reason;

use super::{Findings, Violation};
use crate::border::Side;
use crate::custody::{Asked, Came, Claim, Ended, OwnLink, Run};

pub use self::coverage::{Crossed, custody_covered};

/// Checks C1 (one claimant), C2 (one is responsible, and both agree), C3 (the chain has no gap), C4 (a step asked for
/// often is written once) and I2 (what was acknowledged is there).
pub fn custody_holds(run: &Run) -> Vec<Violation> {
    let mut findings = Findings::default();
    for code in run.at(Side::A).robots.keys() {
        OneRobot::new(run, code, &mut findings).check();
    }
    claims_follow_the_chain(&run.claims, &mut findings);
    steps_were_asked_for(run, &mut findings);
    transfers_end_alike(run, &mut findings);
    findings.0
}

/// A link and the country in whose log it stands.
#[derive(Clone, Copy)]
struct Placed<'a> {
    writer: Prefix,
    own: &'a OwnLink,
}

impl Placed<'_> {
    fn step(&self) -> Step {
        self.own.link.step
    }

    fn says(&self) -> String {
        let link = &self.own.link;
        let transfer = link
            .transfer
            .map_or_else(String::new, |id| format!(" of {id}"));
        format!(
            "{:?}{transfer} at epoch {} by {}",
            link.step, link.epoch, self.writer
        )
    }
}

struct OneRobot<'a> {
    code: &'a Code,
    sides: [&'a Ended; 2],
    links: Vec<Placed<'a>>,
    findings: &'a mut Findings,
}

impl<'a> OneRobot<'a> {
    fn new(run: &'a Run, code: &'a Code, findings: &'a mut Findings) -> Self {
        let sides = Side::BOTH.map(|side| run.at(side));
        let mut links = Vec::new();
        for side in sides {
            let own = side.robots.get(code).map_or(&[][..], |kept| &kept.own);
            let writer = side.prefix;
            links.extend(own.iter().map(|own| Placed { writer, own }));
        }
        Self {
            code,
            sides,
            links,
            findings,
        }
    }

    fn check(mut self) {
        self.each_step_is_written_once();
        if let Some((responsible, epoch)) = self.walk() {
            self.countries_agree(responsible, epoch);
        }
        for side in self.sides {
            self.trail_is_whole(side);
        }
    }

    fn fault(&mut self, invariant: &'static str, text: String) {
        let code = self.code;
        self.findings.add(invariant, format!("{code}: {text}"));
    }

    /// C4: whoever asked how often, a transfer has each of its steps once.
    fn each_step_is_written_once(&mut self) {
        let mut seen: BTreeSet<(Option<TransferId>, Step)> = BTreeSet::new();
        for placed in self.links.clone() {
            if !seen.insert((placed.own.link.transfer, placed.step())) {
                self.fault("C4", format!("written twice: {}", placed.says()));
            }
        }
    }

    /// C1, C3: follows the chain from the registration by the leaf that each link names. Gives who is responsible at its
    /// end, and the epoch.
    fn walk(&mut self) -> Option<(Prefix, u64)> {
        let first = self.only("the chain begins", |placed| placed.step() == Step::Register)?;
        let Some(first) = first else {
            self.fault("C3", "nobody registered it".to_owned());
            return None;
        };
        let mut passed = BTreeSet::from([first.own.leaf]);
        let (mut at, mut responsible, mut epoch) = (first.own.leaf, first.writer, 0);
        let on_chain = |step: Step| !matches!(step, Step::Accept | Step::Refuse | Step::Detain);
        loop {
            let here = at;
            let next = self.only(&format!("after leaf {here}"), |placed| {
                placed.own.link.prev == here && on_chain(placed.step())
            })?;
            let Some(next) = next else { break };
            if !passed.insert(next.own.leaf) {
                self.fault("C3", format!("the chain bites its tail: {}", next.says()));
                return None;
            }
            self.continues(&next, responsible, epoch);
            let link = &next.own.link;
            (at, epoch) = (next.own.leaf, link.epoch);
            responsible = match link.step {
                Step::Depart => link.to,
                Step::Return => link.from.unwrap_or(responsible),
                _ => responsible,
            };
        }
        for placed in self.links.clone() {
            let link = &placed.own.link;
            let held = if on_chain(link.step) {
                passed.contains(&placed.own.leaf)
            } else {
                passed.contains(&link.prev)
            };
            if !held {
                let text = format!("not of the one chain: {}", placed.says());
                self.fault("C3", text);
            }
        }
        Some((responsible, epoch))
    }

    /// The one link that fits, if any; `None` if there are several, which is a fork.
    fn only(
        &mut self,
        where_to: &str,
        fits: impl Fn(&Placed<'a>) -> bool,
    ) -> Option<Option<Placed<'a>>> {
        let found: Vec<Placed<'a>> = self.links.iter().filter(|p| fits(p)).copied().collect();
        if let [one, other, ..] = found.as_slice() {
            let text = format!("{where_to}: {} and {}", one.says(), other.says());
            self.fault("C1", text);
            return None;
        }
        Some(found.first().copied())
    }

    /// Whether a link may follow where `responsible` was responsible at `epoch`: written by the one whose turn it is,
    /// with the next epoch, and a departure only upon a permit.
    fn continues(&mut self, next: &Placed<'a>, responsible: Prefix, epoch: u64) {
        let link = &next.own.link;
        let burns = matches!(link.step, Step::Offer | Step::Return);
        if link.epoch != epoch + u64::from(burns) {
            self.fault("C3", format!("after epoch {epoch}: {}", next.says()));
        }
        if next.writer != responsible || link.writer() != responsible {
            let text = format!("{responsible} was responsible: {}", next.says());
            self.fault("C1", text);
        }
        let permitted = || {
            self.links.iter().any(|placed| {
                placed.step() == Step::Accept
                    && placed.own.link.prev == link.prev
                    && placed.writer == link.to
            })
        };
        if link.step == Step::Depart && !permitted() {
            self.fault("C3", format!("without a permit: {}", next.says()));
        }
    }

    /// C2: the country at the end of the chain says so, and the other, if it has a record, says the same.
    fn countries_agree(&mut self, responsible: Prefix, epoch: u64) {
        let mut claimants = 0;
        for side in self.sides {
            let chain = side
                .robots
                .get(self.code)
                .and_then(|kept| kept.chain.as_ref());
            let Some(chain) = chain else { continue };
            claimants += usize::from(chain.is_responsible());
            let says = if chain.is_responsible() {
                Some(side.prefix)
            } else {
                chain.responsible_abroad()
            };
            if says != Some(responsible) || chain.epoch != epoch {
                let says = says.map_or_else(|| "nobody".to_owned(), |prefix| prefix.to_string());
                let text = format!(
                    "{responsible} is responsible at epoch {epoch}, {} says {says} at epoch {}",
                    side.prefix, chain.epoch
                );
                self.fault("C2", text);
            }
        }
        if claimants != 1 {
            self.fault(
                "C2",
                format!("{claimants} countries say that they are responsible"),
            );
        }
    }

    /// C4: a trail shows every step of both countries once, and nothing that its writer does not have. A permit or
    /// refusal that came after the offer had been cancelled is the one thing that an exporter need not show.
    fn trail_is_whole(&mut self, side: &Ended) {
        let Some(kept) = side.robots.get(self.code) else {
            return;
        };
        let mut seen: BTreeMap<Digest, usize> = BTreeMap::new();
        for movement in &kept.trail {
            *seen.entry(movement.leaf).or_default() += 1;
            let written = self.links.iter().any(|placed| {
                let link = &placed.own.link;
                (
                    placed.own.leaf,
                    placed.writer,
                    link.step,
                    link.transfer,
                    link.epoch,
                ) == (
                    movement.leaf,
                    movement.writer,
                    movement.step,
                    movement.transfer,
                    movement.epoch,
                )
            });
            if !written {
                let (me, step, writer) = (side.prefix, movement.step, movement.writer);
                let text =
                    format!("the trail of {me} shows a {step:?} that {writer} does not have");
                self.fault("C4", text);
            }
        }
        let cancelled: BTreeSet<Option<TransferId>> = self
            .links
            .iter()
            .filter(|placed| placed.step() == Step::Cancel)
            .map(|placed| placed.own.link.transfer)
            .collect();
        for placed in self.links.clone() {
            let link = &placed.own.link;
            let overtaken = matches!(link.step, Step::Accept | Step::Refuse)
                && cancelled.contains(&link.transfer);
            // A registration is told to nobody.
            let own_only = link.step == Step::Register || overtaken;
            let needed = !own_only || placed.writer == side.prefix;
            let me = side.prefix;
            match seen.get(&placed.own.leaf) {
                Some(1) => {}
                None if !needed => {}
                None => self.fault("C4", format!("not in the trail of {me}: {}", placed.says())),
                Some(times) => {
                    let text = format!("{times} times in the trail of {me}: {}", placed.says());
                    self.fault("C4", text);
                }
            }
        }
    }
}

/// C1 in real time: each place of a robot's chain has one claimant, and once a claim was answered nobody answers one
/// that is earlier in the chain.
fn claims_follow_the_chain(claims: &[Claim], findings: &mut Findings) {
    let mut by_robot: BTreeMap<&Code, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        by_robot.entry(&claim.robot).or_default().push(claim);
    }
    for (code, claims) in by_robot {
        let mut claimants: BTreeMap<u64, Side> = BTreeMap::new();
        for claim in &claims {
            let first = *claimants.entry(claim.place).or_insert(claim.side);
            if first != claim.side {
                let epoch = claim.place / 4;
                findings.add(
                    "C1",
                    format!("{code}: both countries claim it at epoch {epoch}"),
                );
            }
        }
        let mut by_end = claims.clone();
        by_end.sort_by_key(|claim| claim.ended);
        let mut by_begin = claims;
        by_begin.sort_by_key(|claim| claim.began);
        let (mut newest, mut answered): (Option<&Claim>, _) = (None, by_end.iter().peekable());
        for claim in by_begin {
            while let Some(before) = answered.next_if(|before| before.ended < claim.began) {
                newest = Some(newest.filter(|n| before.place < n.place).unwrap_or(before));
            }
            if let Some(newest) = newest.filter(|newest| claim.place < newest.place) {
                findings.add(
                    "C1",
                    format!(
                        "{code}: {:?} claims it at place {} after {:?} was seen to have it at place {}",
                        claim.side, claim.place, newest.side, newest.place
                    ),
                );
            }
        }
    }
}

/// I2, I3: every acknowledged step is there, and every step that is there was asked for and not certainly refused.
fn steps_were_asked_for(run: &Run, findings: &mut Findings) {
    let mut written: BTreeMap<(Side, TransferId, Step), Digest> = BTreeMap::new();
    let mut refused: BTreeSet<TransferId> = BTreeSet::new();
    for side in Side::BOTH {
        for own in run.at(side).robots.values().flat_map(|kept| &kept.own) {
            let Some(transfer) = own.link.transfer else {
                continue;
            };
            written.insert((side, transfer, own.link.step), own.leaf);
            if own.link.step == Step::Refuse {
                refused.insert(transfer);
            }
        }
    }
    let mut open: BTreeSet<(Side, TransferId, Step)> = BTreeSet::new();
    for asked in &run.asked {
        let Asked {
            side,
            transfer,
            step,
            came,
            ..
        } = asked;
        let key = (*side, *transfer, *step);
        match came {
            Came::Written(leaf) if written.get(&key) != Some(leaf) => findings.add(
                "I2",
                format!("{step:?} of {transfer} at {side:?} was acknowledged as leaf {leaf} and is not there"),
            ),
            Came::Written(_) | Came::Unknown => {
                open.insert(key);
            }
            // An office that offered as many as it may within a minute waits for the next.
            Came::Refused(Reason::MinuteLimit)
                if *step == Step::Offer && offers_of(&written, *side) >= OFFERS_OF_ONE_A_MINUTE => {}
            Came::Refused(reason) if !may_meet(*reason) => findings.add(
                "I11",
                format!("{step:?} of {transfer} at {side:?} was refused with {}", reason.name()),
            ),
            Came::Refused(_) | Came::Failed => {}
        }
    }
    for (side, transfer, step) in written.into_keys() {
        // The exporter cancels by itself what the importer refused.
        let by_itself = step == Step::Cancel && refused.contains(&transfer);
        if !by_itself && !open.contains(&(side, transfer, step)) {
            let text =
                format!("{step:?} of {transfer} at {side:?} is there, and nobody was told so");
            findings.add("I3", text);
        }
    }
}

/// What one office may offer one country within a minute.
const OFFERS_OF_ONE_A_MINUTE: usize =
    (OFFERS_MADE_A_MINUTE_MAX / RESERVED_OF_A_MINUTE * 4) as usize;

fn offers_of(written: &BTreeMap<(Side, TransferId, Step), Digest>, side: Side) -> usize {
    let of = |(at, _, step): &&(Side, TransferId, Step)| *at == side && *step == Step::Offer;
    written.keys().filter(of).count()
}

/// Whether officers who ask for a step twice, at the same time, and again after a lost answer may be refused for this: every
/// other reason says something of the robot or of them that was never so.
fn may_meet(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotInCustody
            | Reason::TransferOpen
            | Reason::TransferUnknown
            | Reason::TransferExists
            | Reason::AlreadyAdmitted
            | Reason::AlreadyPermitted
            | Reason::TransferEnded
            | Reason::NotReleased
            | Reason::CommandExpired
            | Reason::SessionExpired
    )
}

/// C2: both countries know the same transfers, and each says of every one that it ended, and how.
fn transfers_end_alike(run: &Run, findings: &mut Findings) {
    let ends = |side: Side| -> BTreeMap<TransferId, Option<Step>> {
        let end = |transfer: &Transfer| {
            let step = transfer.ending.as_ref().map(|ending| ending.step);
            // A refusal ends an offer at the importer, the cancel that answers it at the exporter.
            (
                transfer.id,
                step.map(|step| {
                    if step == Step::Refuse {
                        Step::Cancel
                    } else {
                        step
                    }
                }),
            )
        };
        run.at(side).transfers.iter().map(end).collect()
    };
    let (a, b) = (ends(Side::A), ends(Side::B));
    let all: BTreeSet<&TransferId> = a.keys().chain(b.keys()).collect();
    for id in all {
        let (at_a, at_b) = (a.get(id).copied().flatten(), b.get(id).copied().flatten());
        if at_a.is_none() || at_a != at_b {
            findings.add(
                "C2",
                format!("transfer {id} ended {at_a:?} in A and {at_b:?} in B"),
            );
        }
    }
}
