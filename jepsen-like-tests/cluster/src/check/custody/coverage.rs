//! Whether enough happened at the border for a verdict to mean anything.

use std::collections::{BTreeMap, BTreeSet};

use carnet_domain::custody::Step;

use crate::border::Side;
use crate::check::Coverage;
use crate::custody::{Asked, Came, Run};

/// What a run must have had at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    /// Robots that went abroad and came back.
    pub both_ways: usize,
    /// Transfers by their ending.
    pub endings: BTreeMap<Step, usize>,
    /// Steps that were asked for again after they had been written, and refused.
    pub repeated: usize,
    /// Steps that were written although their answer was lost, before anybody was told so.
    pub lost_answers: usize,
    /// Faults by kind, each at least so often.
    pub faults: BTreeMap<&'static str, usize>,
}

/// What is missing; empty when the run may be judged. Before and after each fault a robot must have been admitted.
pub fn custody_covered(run: &Run, coverage: &Coverage, needed: &Crossed) -> Vec<String> {
    let mut missing = Vec::new();
    let mut least = |what: &str, found: usize, needed: usize| {
        if found < needed {
            missing.push(format!("{found} {what}, {needed} needed"));
        }
    };
    least(
        "robots went and came back",
        both_ways(run),
        needed.both_ways,
    );
    for (step, count) in &needed.endings {
        let ended = |ending: Option<Step>| ending == Some(*step);
        let found = run.at(Side::A).transfers.iter();
        let found = found.filter(|t| ended(t.ending.as_ref().map(|ending| ending.step)));
        least(
            &format!("transfers ended with {step:?}"),
            found.count(),
            *count,
        );
    }
    least(
        "steps refused for the second time",
        repeated(run),
        needed.repeated,
    );
    least(
        "steps written whose answer was lost",
        lost_answers(run),
        needed.lost_answers,
    );
    for (kind, count) in &needed.faults {
        let found = coverage.effects.get(kind).copied().unwrap_or(0);
        least(&format!("times {kind} with its effect"), found, *count);
    }
    let admitted =
        |asked: &&Asked| asked.step == Step::Admit && matches!(asked.came, Came::Written(_));
    for moment in &coverage.fault_moments {
        let before = run.asked.iter().filter(admitted).any(|a| a.ended < *moment);
        let after = run.asked.iter().filter(admitted).any(|a| *moment < a.began);
        if !before || !after {
            let side = if before { "after" } else { "before" };
            missing.push(format!(
                "no robot was admitted {side} the fault at {moment} ns"
            ));
        }
    }
    missing
}

/// Robots that both countries admitted.
fn both_ways(run: &Run) -> usize {
    let admitted = |side: Side| -> BTreeSet<_> {
        let by = run.at(side).robots.iter();
        by.filter(|(_, kept)| kept.own.iter().any(|own| own.link.step == Step::Admit))
            .map(|(code, _)| *code)
            .collect()
    };
    admitted(Side::A).intersection(&admitted(Side::B)).count()
}

fn repeated(run: &Run) -> usize {
    let key = |asked: &Asked| (asked.side, asked.transfer, asked.step);
    let written: BTreeSet<_> = run
        .asked
        .iter()
        .filter(|asked| matches!(asked.came, Came::Written(_)))
        .map(key)
        .collect();
    let again =
        |asked: &&Asked| matches!(asked.came, Came::Refused(_)) && written.contains(&key(asked));
    run.asked.iter().filter(again).count()
}

/// Steps that nobody was told of: only a look at the registry showed them.
fn lost_answers(run: &Run) -> usize {
    let key = |asked: &Asked| (asked.side, asked.transfer, asked.step);
    let told = |came: Came| matches!(came, Came::Written(_));
    let acknowledged: BTreeSet<_> = run.asked.iter().filter(|a| told(a.came)).map(key).collect();
    let written: BTreeSet<_> = Side::BOTH
        .into_iter()
        .flat_map(|side| {
            let own = run.at(side).robots.values().flat_map(|kept| &kept.own);
            own.filter_map(move |own| Some((side, own.link.transfer?, own.link.step)))
        })
        .collect();
    let lost = run.asked.iter().filter(|asked| asked.came == Came::Unknown);
    let lost: BTreeSet<_> = lost.map(key).collect();
    lost.iter()
        .filter(|key| written.contains(key) && !acknowledged.contains(key))
        .count()
}
