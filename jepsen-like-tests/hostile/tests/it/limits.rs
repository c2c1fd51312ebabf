//! Every bound of `limits.rs` is reached by a test that is named here, and the three that nothing else reaches, here.

use carnet_domain::bytes::encoding::{Canonical, Decoder, Encoder};
use carnet_domain::limits::{
    Bound, INDEX_MAX, Index, LIST_COUNT_MAX, SEQUENCE_MAX, Sequence, UpTo,
};
use carnet_domain::rules::command::{Action, Command};
use carnet_hostile::scene::{act, two};

/// The bounds, and where they are reached: a test of `proto/domain/tests/it`, of this directory, or a relation that the
/// compiler holds.
const REACHED: &[(&str, &str)] = &[
    ("EPOCH_MAX", "an_epoch_is_read_up_to_its_bound"),
    (
        "EPOCH_FOREIGN_MAX",
        "an_epoch_that_no_honest_chain_reaches_is_nacked",
    ),
    (
        "EPOCH_STEP_MAX",
        "an_epoch_that_no_honest_chain_reaches_is_nacked",
    ),
    (
        "EPOCH_FIRST_MAX",
        "a_first_offer_at_the_last_epoch_is_nacked",
    ),
    ("INDEX_MAX", "numbers_are_read_up_to_their_bounds"),
    ("SEQUENCE_MAX", "numbers_are_read_up_to_their_bounds"),
    (
        "LIST_COUNT_MAX",
        "a_list_without_a_bound_of_its_own_has_one",
    ),
    (
        "TEXT_BYTES_MAX",
        "a_text_or_a_list_beyond_its_bound_is_malformed",
    ),
    ("IDENTIFIER_BYTES_MAX", "an_identity_has_one_spelling"),
    ("NAME_BYTES_MAX", "lists_are_read_up_to_their_bounds"),
    // Known to the rules alone: reached by what they do.
    (
        "FORK_STEPS_MAX",
        "a_fork_is_looked_for_among_the_last_steps_and_no_further",
    ),
    (
        "EPOCHS_TO_LEAVE",
        "a_robot_without_epochs_to_leave_with_is_not_permitted",
    ),
    (
        "PASSPORT_CHAIN_MAX",
        "a_chain_has_one_certificate_at_least_and_eight_at_most",
    ),
    // Of what a node keeps, and of what a certificate says: tried where they are read.
    (
        "AUDIT_TEXT_BYTES_MAX",
        "a_record_is_bounded_whatever_it_is_about",
    ),
    (
        "CERTIFICATE_SERIAL_BYTES_MAX",
        "the_list_of_revoked_certificates_is_read_whole_or_not_at_all",
    ),
    // Bytes of a chain, as they are reckoned: steps are what ends first.
    (
        "CHAIN_BYTES_MAX",
        "a_robot_of_a_third_country_is_not_offered_without_its_chain",
    ),
    ("CHAIN_BYTES_ABROAD_MAX", "a_long_chain_goes_home_only"),
    ("CHAIN_ABROAD_MAX", "a_long_chain_goes_home_only"),
    ("CHAIN_STEP_BYTES", "a_long_chain_goes_home_only"),
    ("JUMPS_MAX", "a_jump_goes_back_to_the_digit_before"),
    // So many of each of so many, both of which are reached.
    (
        "AUDIT_PLACES_IN_ALL_MAX",
        "places_reach_back_the_further_apart_the_older",
    ),
];

/// Where bounds are defined.
const DEFINED: [&str; 17] = [
    include_str!("../../../../proto/domain/src/limits.rs"),
    include_str!("../../../../proto/domain/src/bytes/encoding.rs"),
    include_str!("../../../../proto/domain/src/custody/foreign.rs"),
    include_str!("../../../../proto/domain/src/custody/parking.rs"),
    include_str!("../../../../proto/domain/src/log/authority.rs"),
    include_str!("../../../../proto/domain/src/log/checkpoint.rs"),
    include_str!("../../../../proto/domain/src/log/leaf.rs"),
    include_str!("../../../../proto/domain/src/log/map.rs"),
    include_str!("../../../../proto/domain/src/log/merkle.rs"),
    include_str!("../../../../proto/domain/src/log/passport.rs"),
    include_str!("../../../../proto/domain/src/machine/entry.rs"),
    include_str!("../../../../proto/domain/src/machine/order.rs"),
    include_str!("../../../../proto/domain/src/machine/reading.rs"),
    include_str!("../../../../proto/domain/src/rules/decide/border.rs"),
    include_str!("../../../../proto/domain/src/rules/decide/ownership.rs"),
    include_str!("../../../../proto/domain/src/rules/decide/robot.rs"),
    include_str!("../../../../proto/domain/src/rules/decide/signers.rs"),
];

/// Numbers there that bound nothing.
const NO_BOUNDS: &[&str] = &[
    "ALG_ED25519",
    "FANOUT",
    "LEAF_VERSION",
    // A key has as many places of four bits: no page lies deeper.
    "PAGE_DEPTH_MAX",
    "RECORD_VERSION",
    "SLOT_COUNT",
];

/// The sources that hold the tests named.
const SOURCES: [&str; 40] = [
    include_str!("../../../../node/store/tests/it/found.rs"),
    include_str!("peers.rs"),
    include_str!("../../../../proto/domain/tests/it/members.rs"),
    include_str!("../../../../proto/domain/tests/it/proposals.rs"),
    include_str!("../../../../proto/domain/tests/it/stolen.rs"),
    include_str!("chains.rs"),
    include_str!("../../../../proto/domain/tests/it/contact.rs"),
    include_str!("../../../../proto/domain/tests/it/keys.rs"),
    include_str!("../../../../proto/domain/tests/it/audited.rs"),
    include_str!("../../../../proto/domain/tests/it/fittings.rs"),
    include_str!("../../../../node/carnetd/src/audit/tests.rs"),
    include_str!("../../../../node/carnetd/src/tls/denied.rs"),
    include_str!("../../../../proto/domain/src/log/head.rs"),
    include_str!("../../../../proto/domain/tests/it/denied.rs"),
    include_str!("belief.rs"),
    include_str!("reached.rs"),
    include_str!("sessions.rs"),
    include_str!("../../../../proto/domain/tests/it/canonical.rs"),
    include_str!("../../../../proto/domain/tests/it/clocks.rs"),
    include_str!("../../../../proto/domain/tests/it/offices.rs"),
    include_str!("../../../../proto/domain/tests/it/passport.rs"),
    include_str!("../../../../proto/domain/tests/it/skip.rs"),
    include_str!("../../../../proto/domain/tests/it/alone.rs"),
    include_str!("../../../../proto/domain/tests/it/told.rs"),
    include_str!("../../../../proto/domain/tests/it/roots.rs"),
    include_str!("../../../../proto/domain/tests/it/accreditation.rs"),
    include_str!("../../../../proto/domain/tests/it/due.rs"),
    include_str!("forks.rs"),
    include_str!("../../../../proto/domain/tests/it/arrival.rs"),
    include_str!("../../../../proto/domain/tests/it/claims.rs"),
    include_str!("../../../../proto/domain/tests/it/holds.rs"),
    include_str!("../../../../proto/domain/tests/it/bounds.rs"),
    include_str!("../../../../proto/domain/tests/it/limits.rs"),
    include_str!("custody.rs"),
    include_str!("limits.rs"),
    include_str!("parking.rs"),
    include_str!("../../../../proto/domain/tests/it/meter.rs"),
    include_str!("../../../../proto/domain/tests/it/rules.rs"),
    include_str!("../../../../proto/domain/tests/it/parties.rs"),
    include_str!("../../../../proto/domain/tests/it/recalls.rs"),
];

/// The body of a function of a source: up to the line that closes it.
fn body<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let begun = source.find(&format!("fn {name}("))?;
    let rest = &source[begun..];
    Some(&rest[..rest.find("\n}\n").unwrap_or(rest.len())])
}

fn has_word(text: &str, word: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|one| one == word)
}

#[test]
fn every_bound_is_reached_by_a_test_that_names_it() {
    let types = ["u8", "u16", "u32", "u64", "usize", "DurationMs", "TimeMs"];
    let lines = DEFINED.iter().flat_map(|source| source.lines());
    let bounds = lines.filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let (name, rest) = line.strip_prefix("const ")?.split_once(": ")?;
        let is_number = types
            .iter()
            .any(|one| rest.starts_with(&format!("{one} =")));
        (is_number && !NO_BOUNDS.contains(&name)).then_some(name)
    });
    let missing: Vec<&str> = bounds
        .filter(|bound| {
            let listed = REACHED.iter().find(|(name, _)| name == bound);
            let in_test = |name: &str| SOURCES.iter().any(|source| body(source, name).is_some());
            // A test that is not listed names the bound itself.
            let named = SOURCES.iter().any(|source| {
                let code = source.split("\n\n").skip(2);
                code.into_iter().any(|piece| has_word(piece, bound))
            });
            !listed.map_or(named, |(_, test)| in_test(test))
        })
        .collect();
    assert!(missing.is_empty(), "no test reaches {missing:?}");
}

/// The last number that is read, and the first that is not.
#[test]
fn numbers_are_read_up_to_their_bounds() {
    fn edge<const MAX: u64>() {
        let read =
            |number: u64| <UpTo<MAX> as Bound<u64>>::read(&mut Decoder::new(&number.to_bytes()));
        assert_eq!(read(MAX), Ok(MAX));
        assert!(read(MAX + 1).is_err(), "{}", MAX + 1);
    }
    edge::<INDEX_MAX>();
    edge::<SEQUENCE_MAX>();
    let index = |number: u64| <Index as Bound<u64>>::read(&mut Decoder::new(&number.to_bytes()));
    let sequence =
        |number: u64| <Sequence as Bound<u64>>::read(&mut Decoder::new(&number.to_bytes()));
    assert!(index(INDEX_MAX).is_ok() && index(INDEX_MAX + 1).is_err());
    assert!(sequence(SEQUENCE_MAX).is_ok() && sequence(SEQUENCE_MAX + 1).is_err());
    // And where they stand: a correction of a leaf, and the record's sequence that somebody saw.
    let (a, _) = two();
    let note = || "n".to_owned();
    let correct = |corrects| {
        let note = note();
        act(a.code(1), Action::Correct { corrects, note }).to_bytes()
    };
    assert!(Command::from_bytes(&correct(INDEX_MAX)).is_ok());
    assert!(Command::from_bytes(&correct(INDEX_MAX + 1)).is_err());
    let seen = |sequence| {
        let command = Command::Act {
            code: a.code(1),
            expected_sequence: Some(sequence),
            action: Action::Stock { at: None },
        };
        command.to_bytes()
    };
    assert!(Command::from_bytes(&seen(SEQUENCE_MAX)).is_ok());
    assert!(Command::from_bytes(&seen(SEQUENCE_MAX + 1)).is_err());
}

/// A list of numbers, whose schema says nothing.
#[test]
fn a_list_without_a_bound_of_its_own_has_one() {
    let read = |count: usize| {
        let mut e = Encoder::new();
        e.array(count);
        (0..count).for_each(|_| e.uint(1));
        Vec::<u64>::from_bytes(&e.finish())
    };
    assert_eq!(
        read(LIST_COUNT_MAX).map(|list| list.len()),
        Ok(LIST_COUNT_MAX)
    );
    assert!(read(LIST_COUNT_MAX + 1).is_err());
}
