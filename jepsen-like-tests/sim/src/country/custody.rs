//! What must hold of robots that cross from one simulated country to the other.

use std::collections::BTreeMap;

use carnet_domain::bytes::code::Code;
use carnet_domain::custody::Phase;
use carnet_store::applied;
use carnet_store::records::Records;

use crate::country::nation::Nation;
use crate::country::node::Place;

/// Where robots are that cross a border, by what two countries hold. Only as long as neither stands behind what it was once seen
/// to hold: with all its nodes down it may have less for a while than its log.
#[derive(Default)]
pub(crate) struct Custody {
    reached: BTreeMap<u64, u64>,
}

impl Custody {
    /// No robot is in custody of both.
    pub(crate) fn look(&mut self, nations: &[Nation], violations: &mut Vec<String>) {
        let mut newest = Vec::new();
        for (at, nation) in (0..).zip(nations) {
            let applied = |place: &&Place| {
                let applied = applied::load(&place.engine).ok();
                applied
                    .and_then(|applied| applied.last)
                    .map_or(0, |last| last.index)
            };
            let Some(place) = nation.places.iter().max_by_key(applied) else {
                return;
            };
            let (now, reached) = (applied(&place), self.reached.entry(at).or_default());
            if now < *reached {
                return;
            }
            *reached = now;
            newest.push(place);
        }
        for nation in nations {
            for crossing in nation.books.lock().last_crossings() {
                let code = &crossing.code;
                let holders: Vec<&Place> = newest
                    .iter()
                    .copied()
                    .filter(|place| in_custody(place, code))
                    .collect();
                if let [one, other] = holders[..] {
                    violations.push(format!(
                        "robot {code} is in custody of both {} and {}",
                        one.ground.kit.prefix, other.ground.kit.prefix
                    ));
                }
            }
        }
    }
}

fn in_custody(place: &Place, code: &Code) -> bool {
    let robot = Records(&place.engine).robot(code).ok().flatten();
    robot.is_some_and(|robot| robot.custody.in_custody())
}

/// Whether every robot that was brought across is there, on every node of both countries.
pub(crate) fn have_arrived(nations: &[Nation]) -> bool {
    let [one, other] = nations else {
        return true;
    };
    [(one, other), (other, one)].into_iter().all(|(from, to)| {
        let crossings = from.books.lock().crossings.clone();
        crossings.iter().all(|crossing| {
            let code = &crossing.code;
            let gone = |place: &Place| {
                let robot = Records(&place.engine).robot(code).ok().flatten();
                robot.is_some_and(|robot| matches!(robot.custody.phase, Phase::Gone { .. }))
            };
            from.members().iter().all(gone)
                && to.members().iter().all(|place| in_custody(place, code))
        })
    })
}
