//! The program as people see it: every verb with its examples, and the options of the connection folded away.

use clap::{Command, CommandFactory};

use crate::Cli;

const EXAMPLES: &str = include_str!("examples.txt");

/// Under this heading stand the options that every call has.
const CONNECTION: &str = "Connection";
/// Shows them with the help of a verb.
const ALL: &str = "--all";

const FOLDED: &str = "Options of the connection and the context (--endpoints, --pki, --as, --context, …): carnet --help, or --help --all.";

/// An example: the call, and what it is for.
fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = EXAMPLES.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once("  # ").unwrap_or((line, "")))
}

/// The words of a call as a shell cuts them. What is written to a file is none of them.
pub(crate) fn words(call: &str) -> Vec<String> {
    let mut out = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for letter in call.chars() {
        match (quote, letter) {
            (Some(end), letter) if end == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => out.extend(word.take()),
            (None, '>') => return out,
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    out.extend(word);
    out
}

/// The verb that a call is of, as the path to it.
fn path_of(program: &Command, call: &[String]) -> Vec<String> {
    let (mut at, mut path) = (program, Vec::new());
    for word in call.iter().skip(1) {
        let found = at.get_subcommands().find(|verb| verb.get_name() == word);
        if let Some(verb) = found {
            path.push(word.clone());
            at = verb;
        } else if !path.is_empty() {
            // What stands behind the verb is its own.
            break;
        }
    }
    path
}

/// The program, its verbs with their examples.
pub(crate) fn program() -> Command {
    let plain = Cli::command();
    let mut of_verbs: Vec<(Vec<String>, String)> = Vec::new();
    for (call, what) in examples() {
        let path = path_of(&plain, &words(call));
        let line = match what {
            "" => format!("  {call}\n"),
            what => format!("  {call}\n      {what}\n"),
        };
        match of_verbs.iter_mut().find(|(known, _)| *known == path) {
            Some((_, text)) => *text += &line,
            None => of_verbs.push((path, line)),
        }
    }
    of_verbs
        .into_iter()
        .fold(plain, |program, (path, text)| with(program, &path, &text))
}

/// The command with examples at the end of the help of one of its verbs.
fn with(command: Command, path: &[String], text: &str) -> Command {
    let Some((next, rest)) = path.split_first() else {
        let before = command.get_after_help().map(ToString::to_string);
        let before = before.map_or(String::new(), |before| format!("{before}\n\n"));
        return command.after_help(format!("{before}Examples:\n{}", text.trim_end()));
    };
    command.mut_subcommand(next, |verb| with(verb, rest, text))
}

/// The program and the words of its call, as help is to be shown: what all calls have in common is folded away behind that of a verb.
pub(crate) fn folded(mut call: Vec<std::ffi::OsString>) -> (Command, Vec<std::ffi::OsString>) {
    let program = program();
    let asks = |word: &std::ffi::OsString| word == "--help" || word == "-h";
    let is_help = call.iter().any(asks) || call.get(1).is_some_and(|word| word == "help");
    if !is_help {
        return (program, call);
    }
    let texts: Vec<String> = call
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let before = call.len();
    call.retain(|word| word != ALL);
    let of_program =
        path_of(&program, &texts).is_empty() && texts.get(1).is_none_or(|word| word != "help");
    match before > call.len() || of_program {
        true => (program, call),
        false => (fold(program), call),
    }
}

fn fold(program: Command) -> Command {
    fn footed(command: Command) -> Command {
        let before = command.get_after_help().map(ToString::to_string);
        let before = before.map_or(String::new(), |before| format!("{before}\n\n"));
        command
            .after_help(format!("{before}{FOLDED}"))
            .mut_subcommands(footed)
    }
    let is_common = |arg: &clap::Arg| arg.get_help_heading() == Some(CONNECTION);
    footed(program).mut_args(|arg| match is_common(&arg) {
        true => arg.hide(true),
        false => arg,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &Command, path: &[String], out: &mut Vec<Vec<String>>) {
        let verbs: Vec<&Command> = command
            .get_subcommands()
            .filter(|verb| verb.get_name() != "help")
            .collect();
        if verbs.is_empty() {
            out.push(path.to_vec());
        }
        for verb in verbs {
            let path = [path, &[verb.get_name().to_owned()]].concat();
            leaves(verb, &path, out);
        }
    }

    /// An example that is refused helps nobody, and a verb without one is guessed at.
    #[test]
    fn every_verb_has_an_example_that_is_taken() {
        let program = program();
        let mut all = Vec::new();
        leaves(&program, &[], &mut all);
        assert!(all.len() > 100, "{} verbs", all.len());
        let (mut shown, mut faults) = (Vec::new(), Vec::new());
        for (call, _) in examples() {
            let words = words(call);
            let taken = program.clone().try_get_matches_from(&words);
            faults.extend(taken.err().map(|error| format!("{call}: {error}")));
            shown.push(path_of(&program, &words));
        }
        assert_eq!(faults, Vec::<String>::new());
        let missing: Vec<_> = all.iter().filter(|path| !shown.contains(path)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    fn help(call: &str) -> String {
        let call = call.split(' ').map(std::ffi::OsString::from).collect();
        let (program, call) = folded(call);
        let shown = program.try_get_matches_from(call).expect_err("help");
        shown.render().to_string()
    }

    #[test]
    fn the_help_of_a_verb_is_its_own_and_names_the_rest() {
        for call in [
            "carnet robot get --help",
            "carnet robot get -h",
            "carnet help robot get",
        ] {
            let text = help(call);
            assert!(!text.contains("--endpoints <"), "{text}");
            assert!(
                text.contains("--help --all") && text.contains("--stale"),
                "{text}"
            );
            assert!(
                text.contains("Examples:\n  carnet robot get 86-0001"),
                "{text}"
            );
        }
        for call in [
            "carnet --help",
            "carnet robot get --help --all",
            "carnet robot get --all -h",
        ] {
            assert!(help(call).contains("--endpoints <"), "{call}");
        }
        // What stands there already stays.
        assert!(help("carnet robot import --help").contains("Columns of a CSV file"));
    }

    #[test]
    fn a_call_is_cut_as_a_shell_cuts_it() {
        assert_eq!(words("a --b \"c d\" 'e f' > g"), ["a", "--b", "c d", "e f"]);
        assert_eq!(words("a \"\" b"), ["a", "", "b"]);
    }
}
