//! Exhaustive model checking of custody and mailbox: every order of every step of a few registries and one robot.
//!
//! The transitions are those of `carnet_kit::world`, which calls `custody::{propose, fold, follow}` as a registry
//! does; nothing of the protocol is written down a second time here. Mail may come late, never, twice and, in one
//! variant, in any order; clocks may pass every deadline; a crash changes nothing, because a registry keeps no custody
//! outside the batch that carries its applied index.
//!
//! That world is small enough to be explored far, and has a shorter rule of what is believed and a mailbox of its own.
//! [`countries`] has neither: whole registries, moved by `machine::apply` alone, not as far. Of two registries both are taken
//! every way side by side; of three the world does not park what comes too early, and whole registries are explored instead.

pub mod countries;

use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

use carnet_domain::bytes::digest::sha256;
use carnet_domain::custody::Phase;
use carnet_kit::world::{Move, Rules, World};
use stateright::{Checker, Model, Property};

/// A world that can be fingerprinted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State(pub World);

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bytes().hash(state);
    }
}

/// Custody of one robot under these rules.
#[derive(Debug, Clone, Copy)]
pub struct Custody {
    /// What may happen.
    pub rules: Rules,
    /// Whether the exploration must also reach what makes it worth while: admissions, returns, burned epochs.
    pub reaches: bool,
}

/// At most one registry has the robot in custody.
pub const C1: &str = "C1 at most one custodian";
/// Nobody believes to be responsible but the one that is.
pub const C2: &str = "C2 only the responsible claims";
/// Every step continues the one chain, undoes no release, uses no epoch twice.
pub const C356: &str = "C3, C5, C6 no step breaks the chain";
/// A link that was applied changes nothing when it comes again.
pub const C4: &str = "C4 a replay changes nothing";
/// When all mail is delivered, somebody can bring an open transfer nearer to its end.
pub const C7: &str = "C7 somebody can go on";

impl Model for Custody {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![State(World::new(self.rules))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        actions.extend(state.0.moves());
    }

    fn next_state(&self, state: &State, action: Move) -> Option<State> {
        state.0.after(action).map(State)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all: Vec<Property<Self>> = vec![
            Property::always(C1, |_, s: &State| s.0.at_most_one_custodian()),
            Property::always(C2, |_, s: &State| s.0.only_the_responsible_claims()),
            Property::always(C356, |_, s: &State| s.0.nothing_is_broken()),
            Property::always(C4, |_, s: &State| s.0.a_replay_changes_nothing()),
            Property::always(C7, |_, s: &State| s.0.somebody_can_go_on()),
        ];
        if self.reaches {
            all.extend([
                Property::sometimes("admitted abroad", |_, s: &State| {
                    let there = &s.0.registries[usize::from(s.0.truth.whose)];
                    s.0.truth.whose != 0 && matches!(there.chain.phase, Phase::Here {})
                }),
                Property::sometimes("sent back and offered again", |_, s: &State| {
                    s.0.truth.offers.len() == 2 && s.0.truth.offers.contains_key(&3)
                }),
                Property::sometimes("burned and offered again", |_, s: &State| {
                    s.0.truth.offers.len() == 2
                        && s.0.truth.offers.contains_key(&2)
                        && s.0.truth.whose == 0
                }),
                Property::sometimes("came home", |_, s: &State| {
                    s.0.registries[0].chain.in_custody()
                        && s.0.registries[1..].iter().any(|r| {
                            matches!(r.chain.phase, Phase::Released { .. } | Phase::Gone { .. })
                        })
                }),
            ]);
        }
        all
    }
}

/// What an exploration saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
}

/// Explores everything and insists on every property.
///
/// # Panics
/// When a property does not hold; the message is the shortest counterexample.
pub fn holds(rules: Rules) -> Explored {
    let model = Custody {
        rules,
        reaches: true,
    };
    let checker = model.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    Explored {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
    }
}

/// As [`holds`], with a registry that lies: what holds of the others as long as the liar was never given the robot, and that
/// it comes to be believed, rightly or not.
///
/// # Panics
/// As [`holds`].
pub fn holds_against_a_liar(rules: Rules) -> Explored {
    let checker = Lied(rules).checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    Explored {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
    }
}

/// Custody of one robot where the last registry lies.
#[derive(Debug, Clone, Copy)]
struct Lied(Rules);

impl Model for Lied {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![State(World::new(self.0))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        actions.extend(state.0.moves());
    }

    fn next_state(&self, state: &State, action: Move) -> Option<State> {
        state.0.after(action).map(State)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(C1, |_, s: &State| s.0.at_most_one_custodian()),
            Property::always(C2, |_, s: &State| s.0.only_the_responsible_claims()),
            Property::always(C356, |_, s: &State| s.0.nothing_is_broken()),
            Property::sometimes("a lie moves a chain", |_, s: &State| s.0.believed_a_lie),
            Property::sometimes("a liar is given the robot", |_, s: &State| s.0.tainted),
            Property::sometimes("an honest one has it from another", |_, s: &State| {
                s.0.rules.registries == 2
                    || !s.0.tainted && s.0.truth.whose != 0 && s.0.believed_a_lie
            }),
        ]
    }
}

/// The shortest way to break a property, or `None` when it holds. Breadth first and exact, which the checker's own
/// search, working in blocks, is not.
pub fn counterexample(rules: Rules, property: fn(&World) -> bool) -> Option<Vec<Move>> {
    let first = World::new(rules);
    let mut seen = BTreeSet::from([sha256(&[&first.to_bytes()])]);
    let mut ways = VecDeque::from([(first, Vec::new())]);
    while let Some((world, way)) = ways.pop_front() {
        if !property(&world) {
            return Some(way);
        }
        for step in world.moves() {
            let Some(after) = world.after(step) else {
                continue;
            };
            if seen.insert(sha256(&[&after.to_bytes()])) {
                let mut way = way.clone();
                way.push(step);
                ways.push_back((after, way));
            }
        }
    }
    None
}
