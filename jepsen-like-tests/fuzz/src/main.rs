//! The coverage-guided fuzzer: one target of `carnet_hostile::corpus`, which `CARNET_FUZZ` names, under libFuzzer.
//!
//! `fuzz.sh` builds and runs it. What libFuzzer changes in bits and bytes is changed every second time in form: a number, a
//! length or a repetition of the canonical encoding, which bytes hit by chance too rarely.
#![no_main]

use std::sync::OnceLock;

use carnet_hostile::corpus;
use carnet_hostile::decoders::{Target, changed, samples_of};
use carnet_hostile::seeded::Seeded;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

struct Fuzzing {
    target: Target,
    others: Vec<Vec<u8>>,
}

fn fuzzing() -> &'static Fuzzing {
    static FUZZING: OnceLock<Fuzzing> = OnceLock::new();
    FUZZING.get_or_init(|| {
        let name = std::env::var("CARNET_FUZZ").unwrap_or_default();
        let mut targets = corpus::targets();
        let others = samples_of(&targets);
        let at = targets.iter().position(|target| target.name == name);
        let at = at.unwrap_or_else(|| panic!("CARNET_FUZZ names no target: {name:?}"));
        Fuzzing {
            target: targets.swap_remove(at),
            others,
        }
    })
}

fuzz_target!(|bytes: &[u8]| {
    (fuzzing().target.read)(bytes);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Seeded::new(u64::from(seed));
    if random.one_in(2) {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut bytes = data[..size].to_vec();
    for _ in 0..=random.below(3) {
        bytes = changed(bytes, &fuzzing().others, &mut random);
    }
    let size = bytes.len().min(max_size);
    data[..size].copy_from_slice(&bytes[..size]);
    size
});
