//! What is said of a call whose outcome cannot be printed: whether it took effect, and whatever is shown once.

use std::io;

use carnet_client::Effect;
use clap::ArgMatches;
use serde_json::Value;

use crate::exit::Failed;
use crate::output::{say, shown_once};

/// The calls that change nothing, neither a registry nor a file. Of any other it is said that it is done.
const READS: &[&str] = &[
    "agreement get",
    "agreement list",
    "agreement show",
    "audit query",
    "audit verify",
    "bundle show",
    "cluster health",
    "cluster status",
    "cluster time show",
    "completions",
    "context list",
    "enterprise get",
    "enterprise list",
    "evidence show",
    "key history",
    "key offices",
    "key order show",
    "key rotate log show",
    "log checkpoint",
    "mail parked",
    "member list",
    "model get",
    "model list",
    "movement list",
    "pack show",
    "peer get",
    "peer list",
    "pin list",
    "pki list",
    "proposal get",
    "proposal list",
    "recall get",
    "recall list",
    "recall progress",
    "robot get",
    "robot history",
    "robot lifecycle",
    "robot list",
    "robot template",
    "root list",
    "root rotate show",
    "transfer get",
    "transfer list",
    "verify",
];

/// The words of a call that lead to its verb: `robot import`.
pub(crate) fn verb_of(call: &ArgMatches) -> String {
    let (mut at, mut words) = (call, Vec::new());
    while let Some((word, below)) = at.subcommand() {
        words.push(word);
        at = below;
    }
    words.join(" ")
}

/// Says what is shown once where it is still read, and gives the error: a call that ended well is not to be repeated because nobody
/// saw its outcome.
pub(crate) fn failed(verb: &str, outcome: &Value, error: &io::Error) -> Failed {
    for (name, text) in shown_once(outcome) {
        say(format!("shown once: {name} {text}"));
    }
    let effect = effect_of(verb, outcome);
    let next = match effect {
        Effect::None => {
            "Nothing was changed: see where the output goes (a full disk?), and repeat it."
        }
        Effect::Happened | Effect::Unknown => {
            "It is done: do not repeat it. See where the output goes (a full disk?), and read what it wrote where it is kept."
        }
    };
    Failed {
        reason: "NOT_PRINTED".into(),
        effect,
        next: next.into(),
        ..Failed::local(format!("the outcome could not be printed: {error}"))
    }
}

fn effect_of(verb: &str, outcome: &Value) -> Effect {
    match (&outcome["dry_run"], &outcome["took_effect"]) {
        (Value::Bool(true), _) | (_, Value::Bool(false)) => Effect::None,
        (_, Value::Bool(true)) => Effect::Happened,
        _ if READS.contains(&verb) => Effect::None,
        _ => Effect::Happened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use serde_json::json;

    #[test]
    fn every_call_that_changes_nothing_is_one_that_there_is() {
        let program = crate::Cli::command();
        for read in READS {
            let found = read
                .split(' ')
                .try_fold(&program, |at, word| at.find_subcommand(word));
            let found = found.unwrap_or_else(|| panic!("{read}: there is no such call"));
            assert!(!found.has_subcommands(), "{read}");
        }
    }

    #[test]
    fn a_call_is_named_by_its_verbs_alone() {
        let named = |call: &str| {
            let matches = crate::Cli::command().try_get_matches_from(call.split(' '));
            verb_of(&matches.expect("a call"))
        };
        assert_eq!(named("carnet --as robot robot list"), "robot list");
        assert_eq!(
            named("carnet verify 86-0001-000002-00000000000000042"),
            "verify"
        );
        assert_eq!(named("carnet root rotate show list"), "root rotate show");
    }

    /// Once, an import and a sale on a full disk said "took effect: no", scripts repeated them, and the secret of a release was lost.
    #[test]
    fn what_cannot_be_printed_took_effect_all_the_same() {
        let effect = |verb: &str, outcome: Value| {
            failed(verb, &outcome, &io::Error::from(io::ErrorKind::StorageFull)).effect
        };
        assert_eq!(
            effect("robot stock", json!({"log_index": "7"})),
            Effect::Happened
        );
        assert_eq!(
            effect("robot stock", json!({"dry_run": true})),
            Effect::None
        );
        assert_eq!(effect("robot get", json!({"code": "86"})), Effect::None);
        let import = |took: bool| effect("robot import", json!({"took_effect": took}));
        assert_eq!(
            (import(true), import(false)),
            (Effect::Happened, Effect::None)
        );
        let secret = json!([{"secret": "ab", "owner_salt": "cd", "to_salt": null, "code": "86"}]);
        let said = shown_once(&secret);
        let said: Vec<_> = said
            .iter()
            .map(|(name, text)| format!("{name} {text}"))
            .collect();
        assert_eq!(said, ["secret ab", "owner_salt cd"]);
    }
}
