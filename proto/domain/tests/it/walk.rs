//! Random walks: custody alone over three registries, and whole registries over signed entries and proven mail; every
//! invariant after every step.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::custody::{Phase, Step};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_kit::world::{Fault, Move, Rules, World};
use carnet_kit::{Country, befriend};
use proptest::prelude::*;

use crate::rules::replay;

/// Seeds that are always walked; one that ever failed is added and stays.
const SEEDS: [u64; 6] = [1, 2, 3, 7, 86, 49];

/// xorshift64*: deterministic, from a seed that is not zero.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        high as usize % count
    }
}

fn hold(world: &World, seed: u64, step: usize, last: Option<Move>) {
    let at = || format!("seed {seed}, step {step}: {last:?}");
    assert!(world.at_most_one_custodian(), "C1 {}", at());
    assert!(world.only_the_responsible_claims(), "C2 {}", at());
    assert!(world.nothing_is_broken(), "{:?} {}", world.broken, at());
    assert!(world.somebody_can_go_on(), "C7 {}", at());
}

/// Walks custody alone; returns how many transfers were admitted.
fn walk(rules: Rules, seed: u64, steps: usize) -> usize {
    let mut dice = Dice::new(seed);
    let mut world = World::new(rules);
    for step in 0..steps {
        let moves = world.moves();
        let chosen = moves[dice.below(moves.len())];
        // Most walks would only offer and cancel: what ends a transfer early is tried less often.
        let early = matches!(chosen, Move::Cancel(_) | Move::Refuse(_) | Move::Return(_));
        if early && dice.below(12) != 0 {
            continue;
        }
        if let Some(after) = world.after(chosen) {
            world = after;
            hold(&world, seed, step, Some(chosen));
            if step.is_multiple_of(16) {
                assert!(
                    world.a_replay_changes_nothing(),
                    "C4 seed {seed}, step {step}"
                );
            }
        }
    }
    let admitted = |w: &&carnet_domain::custody::Written| w.link.step == Step::Admit;
    world
        .registries
        .iter()
        .flat_map(|r| &r.log)
        .filter(admitted)
        .count()
}

const THREE: Rules = Rules {
    registries: 3,
    epoch_max: u64::MAX,
    in_order: true,
    clocks: false,
    restore: false,
    lies_max: 0,
    planted: Fault::Nothing,
};

#[test]
fn custody_is_conserved_over_long_walks() {
    for seed in SEEDS {
        let admitted = walk(THREE, seed, 3_000);
        assert!(1 < admitted, "seed {seed}: {admitted} admissions");
    }
}

#[test]
fn custody_is_conserved_when_mail_comes_in_any_order() {
    let rules = Rules {
        in_order: false,
        ..THREE
    };
    for seed in SEEDS {
        walk(rules, seed, 3_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn custody_is_conserved(seed: u64, registries in 2..=4u8, in_order: bool, clocks: bool) {
        walk(Rules { registries, in_order, clocks, ..THREE }, seed, 400);
    }
}

// ---- whole registries ----

/// Two countries, three robots of the first, and the next number of a transfer.
struct Federation {
    countries: [Country; 2],
    transfers: u16,
}

impl Federation {
    fn new() -> Self {
        let mut a = Country::with_market("86");
        let mut b = Country::with_market("49");
        befriend(&mut a, &mut b);
        for serial in 1..=3 {
            a.must("maker", a.register(serial));
        }
        Self {
            countries: [a, b],
            transfers: 0,
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        let at = dice.below(2);
        let other = self.countries[1 - at].prefix;
        let serial = 1 + dice.below(3) as u32;
        let code = Country::unborn("86").code(serial);
        let chosen = dice.below(12);
        let me = &mut self.countries[at];
        let open = me
            .ledger
            .robot(&code)
            .expect("infallible")
            .map(|robot| robot.custody);
        let loose = me
            .ledger
            .loose_chain(&code)
            .expect("infallible")
            .map(|loose| loose.chain);
        let open = open.or(loose).and_then(|chain| chain.open_transfer());
        let Some(command) = (match (chosen, open) {
            (0..=2, _) => return self.deliver(at, dice),
            (3, _) => {
                self.transfers += 1;
                let mut offer = me.declare(1, number(self.transfers), &other);
                if let Command::DeclareExport { code: what, .. } = &mut offer {
                    *what = code;
                }
                Some(offer)
            }
            (4 | 5, Some(transfer)) => Some(Command::PermitImport {
                transfer,
                depart_by: me.clock.saturating_add(DurationMs::from_days(1)),
                conditions: Vec::new(),
            }),
            (6 | 7, Some(transfer)) => Some(Command::Depart {
                transfer,
                place: "port".into(),
            }),
            (8, Some(transfer)) => Some(Command::Admit {
                transfer,
                place: "harbour".into(),
                importer: sha256(&[b"importer of record"]).into(),
                documents: Vec::new(),
                countersignature: None,
            }),
            (9, Some(transfer)) if dice.below(3) == 0 => Some(Command::Return {
                transfer,
                reason: "why".into(),
            }),
            (9, Some(transfer)) if dice.below(2) == 0 => Some(Command::RefuseImport {
                transfer,
                reason: "why".into(),
            }),
            (9, Some(transfer)) => Some(Command::CancelExport {
                transfer,
                reason: "why".into(),
            }),
            (10, _) if dice.below(4) == 0 => Some(Command::SetHold {
                code,
                kind: HoldKind::Theft,
                reason: "why".into(),
            }),
            (10, _) => Some(Command::LiftHold {
                code,
                kind: HoldKind::Theft,
                reason: "why".into(),
            }),
            _ => None,
        }) else {
            return;
        };
        let who = me.whoever("customs", &command);
        me.command(who, command);
    }

    /// Mail from one to the other: all of it, part of it, again from the beginning, or out of order.
    fn deliver(&mut self, from: usize, dice: &mut Dice) {
        let [a, b] = &mut self.countries;
        let (from, to) = if from == 0 { (a, b) } else { (b, a) };
        if dice.below(3) == 0 {
            from.close();
        }
        let Ok(peer) = to.ledger.peer(&from.prefix);
        let peer = peer.expect("a peer");
        let start = match dice.below(3) {
            0 => 0,
            _ => peer.cursor,
        };
        let Ok(mut batch) = from.mail(&to.prefix, peer.size_seen, start) else {
            return;
        };
        match dice.below(4) {
            0 => batch.items.reverse(),
            1 => batch.items.truncate(1),
            _ => {}
        }
        to.apply(Body::Foreign { batch });
    }

    fn hold(&self, seed: u64, step: usize) {
        let [a, b] = &self.countries;
        for serial in 1..=3 {
            let code = a.code(serial);
            let chains = [a, b].map(|country| {
                let Ok(robot) = country.ledger.robot(&code);
                let Ok(loose) = country.ledger.loose_chain(&code);
                robot.map(|r| r.custody).or(loose.map(|l| l.chain))
            });
            let count = |what: fn(&carnet_domain::custody::Chain) -> bool| {
                chains.iter().flatten().filter(|chain| what(chain)).count()
            };
            let at = format!("seed {seed}, step {step}, robot {serial}: {chains:?}");
            assert!(count(|chain| chain.in_custody()) <= 1, "C1 {at}");
            assert!(count(|chain| chain.is_responsible()) <= 1, "C2 {at}");
            let [first, _] = &chains;
            let first = first.as_ref().expect("the issuer always has a chain");
            assert!(
                first.is_responsible()
                    || !matches!(first.phase, Phase::Elsewhere {})
                    || first.epoch > 0,
                "C2 {at}"
            );
        }
        offers_have_dense_epochs(a, b, seed, step);
    }
}

fn number(transfers: u16) -> carnet_domain::rules::command::TransferId {
    let mut id = [0x7f; 16];
    id[..2].copy_from_slice(&transfers.to_be_bytes());
    carnet_domain::rules::command::TransferId(id)
}

/// C3 and C6, over what the two wrote themselves: the links of the chain, sorted by epoch, each name the one before.
fn offers_have_dense_epochs(a: &Country, b: &Country, seed: u64, step: usize) {
    for serial in 1..=3 {
        let code = a.code(serial);
        let mut steps: Vec<(u64, u8, Prefix)> = Vec::new();
        for country in [a, b] {
            let own = country.ledger.movements(&code).into_iter();
            for movement in own.filter(|m| m.writer == country.prefix) {
                let order = match movement.step {
                    Step::Register | Step::Return => 0,
                    Step::Offer => 1,
                    Step::Cancel | Step::Depart => 2,
                    Step::Admit => 3,
                    Step::Accept | Step::Refuse | Step::Detain => continue,
                };
                steps.push((movement.epoch, order, movement.writer));
            }
        }
        steps.sort();
        for pair in steps.windows(2) {
            let [(epoch, order, _), (next, after, _)] = pair else {
                continue;
            };
            let same = next == epoch && order < after && !(*order == 0 && *after == 1);
            let new = *next == epoch + 1 && *after <= 1 && *order != 1;
            assert!(
                same || new,
                "C3 seed {seed}, step {step}, robot {serial}: {steps:?}"
            );
        }
    }
}

#[test]
fn two_registries_conserve_custody_over_signed_entries_and_proven_mail() {
    for seed in SEEDS {
        let mut dice = Dice::new(seed);
        let mut federation = Federation::new();
        for step in 0..900 {
            federation.step(&mut dice);
            federation.hold(seed, step);
        }
        let done: usize = federation
            .countries
            .iter()
            .flat_map(|country| country.ledger.transfers())
            .filter(|transfer| {
                transfer
                    .ending
                    .as_ref()
                    .is_some_and(|end| end.step == Step::Admit)
            })
            .count();
        assert!(2 < done, "seed {seed}: {done} admissions");
        for country in &federation.countries {
            assert_eq!(replay(&country.entries).digest(), country.ledger.digest());
        }
    }
}
