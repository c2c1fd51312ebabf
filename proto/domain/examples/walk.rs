//! How fast the random walk over custody goes: `cargo run --release -p carnet-domain --example walk`. Every invariant is
//! judged after every step; the speed is printed and never asserted.
#![expect(
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a measurement reads a clock and prints"
)]

use std::time::Instant;

use carnet_kit::world::{Fault, Rules, World};

fn main() {
    let rules = Rules {
        registries: 3,
        epoch_max: 4,
        in_order: true,
        clocks: true,
        restore: false,
        lies_max: 0,
        planted: Fault::Nothing,
    };
    let begun = Instant::now();
    let (mut dice, mut moved, mut walks) = (0x9e37_79b9_7f4a_7c15_u64, 0u64, 0u64);
    while begun.elapsed().as_secs() < 5 {
        let mut world = World::new(rules);
        walks += 1;
        for _ in 0..200 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let moves = world.moves();
            let Some(after) = world.after(moves[dice as usize % moves.len()]) else {
                continue;
            };
            world = after;
            moved += 1;
            assert!(world.at_most_one_custodian(), "C1");
            assert!(world.only_the_responsible_claims(), "C2");
            assert!(world.nothing_is_broken(), "C3, C5, C6");
            assert!(world.a_replay_changes_nothing(), "C4");
            assert!(world.somebody_can_go_on(), "C7");
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let speed = moved as f64 / seconds;
    println!(
        "{walks} walks, {moved} steps in {seconds:.1} s: {speed:.0} steps/s, every invariant after every step"
    );
}
