//! Every decoder under attack, from a seed; for hours: `carnet-hostile decoders`.

use carnet_hostile::decoders::{fuzz, samples_of, targets};

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
