//! What is foreseen is what happens, for every command, signer and deed, and leaves nothing behind.

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::machine::{Question, foresee};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_kit::{Country, samples};

fn question(country: &Country, who: &str, commands: &[Command]) -> Question {
    Question {
        prefix: country.prefix,
        incarnation: country.registry().incarnation,
        key: country.key(who).public().key_id(),
        not_after: country.clock.saturating_add(DurationMs::from_days(1)),
        items: commands.iter().map(|one| Blob(one.to_bytes())).collect(),
    }
}

/// Why each would be refused; nothing if it would not.
fn foreseen(country: &Country, question: &Question, at: TimeMs) -> Vec<Option<Rejection>> {
    let mut tried = country.ledger.clone();
    let Ok(answer) = foresee(&mut tried, question, at);
    let items = answer.expect("there is a genesis").items;
    items.into_iter().map(refusal).collect()
}

fn refusal(answer: ItemAnswer) -> Option<Rejection> {
    match answer {
        ItemAnswer::Refused { rejection } => Some(rejection),
        ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => None,
    }
}

#[test]
fn what_is_foreseen_is_what_happens() {
    let mut country = Country::with_market("86");
    country.must("maker", country.register(1));
    let code = country.code(1);
    let acts = samples::actions().into_iter().map(|action| Command::Act {
        code,
        expected_sequence: None,
        action,
    });
    let commands: Vec<Command> = samples::commands(&country)
        .into_iter()
        .chain(acts)
        .collect();
    let (mut refused, mut done) = (0, 0);
    for who in [
        "registrar",
        "admin",
        "customs",
        "regulator",
        "maker",
        "dealer",
        "owner",
    ] {
        for command in &commands {
            let asked = question(&country, who, std::slice::from_ref(command));
            let before = country.ledger.digest();
            // The kit applies a request a moment later than it was asked: nothing here ends within that.
            let expected = foreseen(&country, &asked, country.clock);
            assert_eq!(country.ledger.digest(), before, "{who}: {}", command.name());
            let happened = refusal(country.clone().command(who, command.clone()));
            match &happened {
                Some(_) => refused += 1,
                None => done += 1,
            }
            let reason = |one: &Option<Rejection>| one.as_ref().map(|one| one.reason);
            let expected: Vec<_> = expected.iter().map(reason).collect();
            assert_eq!(expected, [reason(&happened)], "{who}: {}", command.name());
        }
    }
    assert!(refused > 100 && done > 10, "{refused} refused, {done} done");
}

/// The salts of what is tried are known to everybody: with the hash of a leaf, hidden slots could be guessed.
#[test]
fn no_leaf_is_told_of_what_would_be_done() {
    let country = Country::with_market("86");
    let asked = question(&country, "maker", &[country.register(1)]);
    let Ok(answer) = foresee(&mut country.ledger.clone(), &asked, country.clock);
    let done = ItemAnswer::Done {
        leaf_index: 0,
        leaf_hash: carnet_domain::bytes::digest::Digest::ZERO,
        sequence: 0,
        waits: false,
    };
    assert_eq!(answer.expect("there is a genesis").items, [done]);
}

#[test]
fn commands_are_tried_one_after_the_other() {
    let country = Country::with_market("86");
    let (one, other) = (country.register(1), country.register(2));
    let asked = question(&country, "maker", &[one.clone(), other, one]);
    let reasons: Vec<_> = foreseen(&country, &asked, country.clock)
        .iter()
        .map(|one| one.as_ref().map(|one| one.reason))
        .collect();
    assert_eq!(reasons, [None, None, Some(Reason::CodeExists)]);
}

#[test]
fn who_may_not_sign_is_told_so_and_so_is_who_asks_too_late() {
    let mut country = Country::with_market("86");
    let command = [country.register(1)];
    let reason = |country: &Country, asked: &Question| {
        let answers = foreseen(country, asked, country.clock);
        answers[0].as_ref().map(|one| one.reason)
    };
    let stranger = question(&country, "nobody", &command);
    assert_eq!(reason(&country, &stranger), Some(Reason::SignerUnknown));
    let late = Question {
        not_after: TimeMs(1),
        ..question(&country, "maker", &command)
    };
    assert_eq!(reason(&country, &late), Some(Reason::CommandExpired));
    let asked = question(&country, "maker", &command);
    assert_eq!(reason(&country, &asked), None);
    let retire = Command::RetireSigner {
        public: country.key("maker").public(),
        compromised_after: None,
        reason: "left".into(),
    };
    country.must("registrar", retire);
    assert_eq!(reason(&country, &asked), Some(Reason::SignerNotActive));
}

#[test]
fn a_question_is_never_a_command() {
    let mut country = Country::with_market("86");
    let command = [country.register(1)];
    let asked = question(&country, "maker", &command).to_bytes();
    let header = country.header("maker", &command);
    assert_ne!(Question::signing_bytes(&asked), header.signing_bytes());
    let read = carnet_domain::log::authority::SignedHeader::from_bytes(&asked);
    assert!(read.is_err(), "{read:?}");
}
