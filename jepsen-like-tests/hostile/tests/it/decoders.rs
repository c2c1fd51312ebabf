//! Every decoder under attack, and every way by which bytes reach `apply`, from a seed; for hours: `carnet-hostile decoders`.
//! What the coverage-guided fuzzer found is given to them again.

use std::collections::BTreeSet;

use carnet_hostile::decoders::{fuzz, samples_of, targets};
use carnet_hostile::{applies, corpus};

#[test]
fn no_decoder_panics_and_each_writes_what_it_read() {
    let targets = targets();
    let samples = samples_of(&targets);
    for target in &targets {
        let found = fuzz(target, &samples, 7, 4_000);
        assert!(
            found.broke.is_empty(),
            "{}: {:02x?}",
            target.name,
            found.broke
        );
        assert!(!target.samples.is_empty(), "{}", target.name);
        for sample in &target.samples {
            assert!((target.read)(sample), "{} takes its sample", target.name);
        }
    }
}

#[test]
fn a_decoder_that_breaks_is_found() {
    let mut targets = targets();
    let samples = samples_of(&targets);
    let target = targets.first_mut().expect("targets");
    target.read = |bytes| {
        assert!(bytes.len() % 7 != 3, "planted");
        true
    };
    assert!(!fuzz(target, &samples, 7, 400).broke.is_empty());
}

#[test]
fn what_reaches_apply_breaks_nothing() {
    let targets = applies::targets();
    let samples = samples_of(&targets);
    for target in &targets {
        for sample in &target.samples {
            assert!(
                (target.read)(sample),
                "{}: its sample is judged",
                target.name
            );
        }
        let found = fuzz(target, &samples, 7, 400);
        assert!(
            found.broke.is_empty(),
            "{}: {:02x?}",
            target.name,
            found.broke
        );
        assert!(found.taken > 30, "{}: {} judged", target.name, found.taken);
    }
}

/// A format that changes makes its corpus one of refusals, until the fuzzer has run again: one in twenty of all is taken still.
#[test]
fn what_the_fuzzer_found_breaks_nothing() {
    let (mut all, mut taken) = (0, 0);
    for target in corpus::targets() {
        let kept = corpus::kept(target.name).expect("every target has a corpus");
        assert!(!kept.is_empty(), "{} has a corpus", target.name);
        all += kept.len();
        taken += kept.iter().filter(|input| (target.read)(input)).count();
    }
    assert!(taken * 20 > all, "of {all} inputs {taken} are taken");
    assert!(taken < all, "and some are refused");
}

#[test]
fn every_corpus_is_of_a_target() {
    let files = std::fs::read_dir(corpus::folder()).expect("there are corpora");
    let files: BTreeSet<_> = files.map(|file| file.expect("listed").path()).collect();
    let targets = corpus::targets();
    let targets: BTreeSet<_> = targets.iter().map(|it| corpus::file(it.name)).collect();
    assert_eq!(files, targets);
}
