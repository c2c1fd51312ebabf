//! What holds of a country after every step, whoever signs and whatever a peer says: the invariants of custody.

use std::collections::{BTreeMap, BTreeSet};

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::{Chain, Phase, Step};
use carnet_domain::log::leaf::{Kind, Leaf, Subject};
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::rejection::Reason;
use carnet_kit::Country;

/// Custody and state of every robot as they stood, and the size of the log then.
#[derive(Debug, Clone, Default)]
pub struct Held {
    robots: BTreeMap<Code, (Chain, State)>,
    size: u64,
}

impl Held {
    /// As a country stands now.
    pub fn of(country: &Country) -> Self {
        let robots = country.ledger.robots();
        let robots = robots.map(|robot| {
            let stands = (robot.custody.clone(), robot.state);
            (robot.identity.code, stands)
        });
        Self {
            robots: robots.collect(),
            size: country.registry().tree.size(),
        }
    }

    /// Holds what became of it since to the invariants.
    ///
    /// # Errors
    /// The invariant that does not hold, and of which robot.
    pub fn then(&self, country: &Country) -> Result<Self, String> {
        let now = Self::of(country);
        for (code, (chain, state)) in &now.robots {
            let broken = |what: &str| format!("{what}: {code} is {chain:?}, {state:?}");
            own_links(country, code).map_err(&broken)?;
            let Some((before, state_before)) = self.robots.get(code) else {
                continue;
            };
            if chain.epoch < before.epoch {
                return Err(broken("C3 an epoch goes back"));
            }
            let own = own_steps(country, code);
            let last = own.last().map(|(step, _)| *step);
            let gave = matches!(last, Some(Step::Depart | Step::Return));
            if before.is_responsible() && !chain.is_responsible() && !gave {
                return Err(broken("C2 nobody else takes a robot"));
            }
            // By our own hand, or sent back; it may have gone on within the same step.
            let movements = country.ledger.movements(code);
            let came = movements.iter().rev().take(4).any(|one| {
                let own = one.writer == country.prefix;
                match one.step {
                    Step::Register | Step::Admit => own,
                    Step::Return => !own,
                    _ => false,
                }
            });
            if !before.in_custody() && chain.in_custody() && !came {
                return Err(broken("C1 nothing brings a robot but a step"));
            }
            if state_before.is_final() && state_before != state {
                return Err(broken("C11 an end is final"));
            }
            let by_peer = before.is_responsible() && state_before != state;
            if by_peer && !self.was_done_here(country, code) {
                return Err(broken("C10 a peer changes no robot that is here"));
            }
        }
        Ok(now)
    }

    /// Whether a leaf about the robot was written since that is not merely a peer's word.
    fn was_done_here(&self, country: &Country, code: &Code) -> bool {
        let key = Subject::robot(code).key();
        let mut since = self.size..country.registry().tree.size();
        since.any(|index| {
            let Ok(record) = country.ledger.leaf(index);
            let leaf = record.and_then(|record| Leaf::from_bytes(&record.leaf.0).ok());
            leaf.is_some_and(|leaf| {
                let word = matches!(leaf.kind, Kind::Foreign | Kind::Incident | Kind::Nack);
                leaf.key == key && !word
            })
        })
    }
}

/// The steps of a robot that the country wrote itself, with their epochs, oldest first.
fn own_steps(country: &Country, code: &Code) -> Vec<(Step, u64)> {
    let mut own: Vec<_> = country
        .ledger
        .movements(code)
        .into_iter()
        .filter(|movement| movement.writer == country.prefix)
        .map(|movement| (movement.leaf_index, (movement.step, movement.epoch)))
        .collect();
    own.sort_by_key(|(index, _)| *index);
    own.into_iter().map(|(_, step)| step).collect()
}

/// C5, C6: in one epoch a country offers once, ends its offer once, and takes in once; and its epochs rise.
fn own_links(country: &Country, code: &Code) -> Result<(), &'static str> {
    let mut seen = BTreeSet::new();
    let mut highest = 0;
    for (step, epoch) in own_steps(country, code) {
        let class = match step {
            Step::Register => 0,
            Step::Offer => 1,
            Step::Cancel | Step::Depart => 2,
            Step::Admit | Step::Return => 3,
            Step::Accept | Step::Refuse | Step::Detain => continue,
        };
        if !seen.insert((class, epoch)) {
            return Err("C6 an epoch is used twice");
        }
        if epoch < highest {
            return Err("C3 an own epoch goes back");
        }
        highest = epoch;
    }
    Ok(())
}

/// C7: every transfer that is open can be brought to its end by one party alone: the country takes its offer back, refuses or
/// sends back, or waits for whoever it released the robot to.
///
/// # Errors
/// A transfer that nobody here can end.
pub fn can_be_ended(country: &Country) -> Result<(), String> {
    let open = |transfer: &&Transfer| transfer.ending.is_none();
    for transfer in country.ledger.transfers().filter(open) {
        let id = transfer.id;
        let Ok(robot) = country.ledger.robot(&transfer.code);
        let Ok(loose) = country.ledger.loose_chain(&transfer.code);
        let chain = robot.map(|robot| robot.custody);
        let Some(chain) = chain.or(loose.map(|loose| loose.chain)) else {
            continue;
        };
        // Of one that was overtaken nothing is left to end.
        if chain.open_transfer() != Some(id) {
            continue;
        }
        let reason = "why".to_owned();
        let command = match &chain.phase {
            Phase::Offered { .. } => Command::CancelExport {
                transfer: id,
                reason,
            },
            Phase::Asked { .. } | Phase::Permitted { .. } => Command::RefuseImport {
                transfer: id,
                reason,
            },
            Phase::InTransit { .. } => Command::Return {
                transfer: id,
                reason,
            },
            _ => continue,
        };
        let said = command.name();
        let answer = country.clone().command("customs", command);
        let ends = match &answer {
            ItemAnswer::Done { .. } => true,
            // It ended where it is; its end waits for a second word; its peer is asked already; or its customs may not sign, or used up
            // the numbers of the session that is asked in.
            ItemAnswer::Refused { rejection } => matches!(
                rejection.reason,
                Reason::IdentityEnded
                    | Reason::StateFinal
                    | Reason::Held
                    | Reason::NothingPending
                    | Reason::RecordFull
                    | Reason::SignerNotActive
                    | Reason::SessionExpired
                    | Reason::IdempotencyMismatch
            ),
            ItemAnswer::Nothing {} => false,
        };
        if !ends {
            let (code, phase) = (transfer.code, &chain.phase);
            return Err(format!("C7 {code} in {phase:?}: {said} is {answer:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{export, two};

    fn changed(change: impl Fn(&mut carnet_domain::record::Robot)) -> Result<(), String> {
        let (mut a, _) = two();
        let before = Held::of(&a);
        let Ok(robot) = a.ledger.robot(&a.code(1));
        let mut robot = robot.expect("a record");
        change(&mut robot);
        let Ok(()) = a.ledger.put_robot(robot);
        before.then(&a).map(drop)
    }

    /// The invariants see what they are for: a country whose records are changed behind the rules.
    #[test]
    fn a_country_that_is_not_as_it_should_be_is_noticed() {
        let starts = |result: Result<(), String>, with: &str| {
            let words = result.expect_err(with);
            assert!(words.starts_with(with), "{words}");
        };
        assert_eq!(changed(|_| {}), Ok(()));
        starts(
            changed(|robot| robot.custody.phase = Phase::Elsewhere {}),
            "C2",
        );
        starts(changed(|robot| robot.state = State::Scrapped), "C10");
        let (mut a, mut b) = two();
        let code = a.code(1);
        export(&mut a, &mut b, code, 1);
        let before = Held::of(&a);
        let Ok(robot) = a.ledger.robot(&code);
        let mut robot = robot.expect("a record");
        robot.custody.phase = Phase::Here {};
        let Ok(()) = a.ledger.put_robot(robot.clone());
        starts(before.then(&a).map(drop), "C1");
        robot.custody.epoch = 0;
        let Ok(()) = a.ledger.put_robot(robot);
        starts(before.then(&a).map(drop), "C3");
    }
}
