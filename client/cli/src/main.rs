//! `carnet`: the command line of a registry, for people and scripts.
//!
//! Verbs by noun. Data on stdout, talk on stderr, `-o json` everywhere, and an exit code for every kind of end.

mod agreement;
mod audit;
mod bench;
mod border;
mod bounded;
mod bundle;
mod cluster;
mod completions;
mod consignment;
mod context;
mod demo;
mod draft;
mod ends;
mod enterprise;
mod evidence;
mod exit;
mod export;
mod help;
mod import;
mod key;
mod key_text;
mod log;
mod mail;
mod maker;
mod member;
mod model;
mod movement;
mod offices;
mod output;
mod pack;
mod pages;
mod parse;
mod part;
mod peer;
mod pin;
mod pin_args;
mod pinned;
mod pki;
mod proposal;
mod recall;
mod robot;
mod root;
mod rows;
mod settings;
mod sheet;
mod signed;
mod submit;
mod transfer;
mod unprinted;
mod verify;
mod view;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};
use serde_json::Value;

use crate::exit::Failed;
use crate::output::Format;
use crate::settings::Global;

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  error; cluster status: unknown, no leader told
  2  the call makes no sense; nothing was sent
  3  not found
  4  the verdict is INVALID; audit: a chain was tampered with
  5  the verdict is STALE or INDETERMINATE
  6  nobody serves it now: no quorum, no room, log time or a log entry stands still; cluster status: degraded, or
     one more node lost stops all writes
  7  a file cannot be read: cut, empty, compressed, of another kind or too large

Times are RFC 3339, a date (2026-06-01) or relative (+30d, -2h). Digests are 64 hexadecimal digits or a file.
Codes: country 2, enterprise 4, model 6, serial 17 characters; under a prefix of digits all are digits, under one of
letters 0-9 and A-Z. A model code is the first 12 (86-0001-000002), a robot's code all 29
(86-0001-000002-00000000000000042). Hyphens are optional, and so are the two check digits that a label has behind it
(ISO/IEC 7064 MOD 97-10); given, they are checked. `carnet robot get CODE` shows the code with its hyphens.";

#[derive(Debug, Parser)]
#[command(name = "carnet", version, about = "A federated registry of humanoid robots", after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Where registries are, who one is there, and whose roots are believed.
    #[command(subcommand)]
    Context(context::Contexts),
    /// Keys and certificates of a jurisdiction.
    #[command(subcommand)]
    Pki(pki::Pki),
    /// The cluster of a registry: begin it, see it, change it.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Members of the cluster: add one, replace one whose disk is gone, let one leave.
    #[command(subcommand)]
    Member(member::Members),
    /// Enterprises and their accreditation.
    #[command(subcommand)]
    Enterprise(enterprise::Enterprise),
    /// Keys that sign commands.
    #[command(subcommand)]
    Key(key::Key),
    /// What one person proposed and another has to confirm.
    #[command(subcommand)]
    Proposal(proposal::Proposals),
    /// Roots of this registry.
    #[command(subcommand)]
    Root(root::Root),
    /// Type approvals.
    ///
    /// A model's code has 12 characters: prefix 2, enterprise 4, model 6, as 86-0001-000002. Under a prefix of digits all
    /// are digits, under one of letters 0-9 and A-Z. Hyphens are optional.
    #[command(subcommand)]
    Model(model::Model),
    /// Robots: register, look up, life cycle, holds.
    ///
    /// A robot's code has 29 characters: prefix 2, enterprise 4, model 6, serial 17, as 86-0001-000002-00000000000000042.
    /// Hyphens are optional. A label has two check digits behind it (ISO/IEC 7064 MOD 97-10 over the 29, letters as 10 to
    /// 35): with them it is 31 characters, and they are checked.
    #[command(subcommand)]
    Robot(robot::Robot),
    /// The exporting side of a transfer between countries.
    #[command(subcommand)]
    Export(export::Export),
    /// The importing side of a transfer between countries.
    #[command(subcommand)]
    Import(import::Import),
    /// Many robots that cross a border together: one declaration, one signature, an answer a robot.
    #[command(subcommand)]
    Consignment(Box<consignment::Consignment>),
    /// At a checkpoint: look up code after code, and admit, detain or refuse.
    #[command(subcommand)]
    Border(border::Border),
    /// Transfers between countries.
    #[command(subcommand)]
    Transfer(transfer::Transfer),
    /// Where robots have been, and what is expected at a checkpoint.
    #[command(subcommand)]
    Movement(movement::Movement),
    /// Recalls.
    #[command(subcommand)]
    Recall(recall::Recall),
    /// The verdict on a robot for a purpose, online or from an evidence file.
    Verify(Box<verify::Verify>),
    /// Evidence for later, without a network.
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    /// What our registry knows, for verdicts without a network.
    #[command(subcommand)]
    Pack(pack::Pack),
    /// The countries that were pinned on this machine.
    #[command(subcommand)]
    Pin(pin::PinVerb),
    /// What other countries need to believe this one.
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// Other countries' registries.
    #[command(subcommand)]
    Peer(peer::Peer),
    /// What other countries said that cannot be taken yet.
    #[command(subcommand)]
    Mail(mail::Mail),
    /// Who read, who was refused and who changed the cluster, as the nodes noted it.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Recognition agreements.
    #[command(subcommand)]
    Agreement(agreement::Agreement),
    /// The transparency log.
    #[command(subcommand)]
    Log(log::Log),
    /// Load, side by side with another system.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// The main job on this machine: three countries, one robot that crosses a border.
    Demo(Box<demo::Demo>),
    /// Writes what a shell needs to complete calls: into the folder where it looks for such files.
    Completions(completions::Completions),
}

/// What a command found, and how it ends.
#[derive(Debug)]
pub(crate) struct Outcome {
    value: Value,
    code: u8,
}

impl Outcome {
    /// What is printed is printed already.
    fn nothing() -> Self {
        Self {
            value: Value::Null,
            code: 0,
        }
    }
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Self {
        Self { value, code: 0 }
    }
}

fn main() -> ExitCode {
    let (program, call) = help::folded(std::env::args_os().collect());
    let read = program.try_get_matches_from(call).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, unprinted::verb_of(&matches)))
    });
    let (cli, verb) = match read {
        Ok(read) => read,
        Err(error) => return usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(cli.global.output, &Failed::machine(error)),
    };
    match runtime.block_on(run(cli.noun, &cli.global)) {
        Ok(Outcome {
            value: Value::Null,
            code,
        }) => ExitCode::from(code),
        Ok(outcome) => match output::print(cli.global.output, &outcome.value) {
            Ok(()) => ExitCode::from(outcome.code),
            Err(error) => {
                let error = unprinted::failed(&verb, &outcome.value, &error);
                failed(cli.global.output, &error)
            }
        },
        Err(error) => failed(cli.global.output, &error),
    }
}

fn failed(format: Format, error: &Failed) -> ExitCode {
    output::print_failed(format, error);
    ExitCode::from(error.code)
}

/// The form that a call which cannot be read asks for: what it says last counts, and the environment only if it says nothing.
fn form_asked_for(arguments: &[String], environment: Option<&str>) -> Format {
    let mut format = environment;
    let before = std::iter::once("").chain(arguments.iter().map(String::as_str));
    for (before, argument) in before.zip(arguments) {
        let joined = argument.strip_prefix("--output=").or_else(|| {
            let short = argument
                .strip_prefix("-o")
                .filter(|rest| !rest.is_empty())?;
            Some(short.strip_prefix('=').unwrap_or(short))
        });
        match (before, joined) {
            ("-o" | "--output", _) => format = Some(argument),
            (_, Some(joined)) => format = Some(joined),
            _ => {}
        }
    }
    match format {
        Some("json") => Format::Json,
        Some("yaml") => Format::Yaml,
        _ => Format::Table,
    }
}

/// Help goes to stdout and is no error; a wrong call is one, in the form asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let format = form_asked_for(&arguments, std::env::var("CARNET_OUTPUT").ok().as_deref());
    if error.use_stderr() && !format.is_for_people() {
        return failed(format, &Failed::usage(error.render().to_string().trim()));
    }
    // If the terminal is gone there is nobody to tell.
    drop(error.print());
    ExitCode::from(if error.use_stderr() { exit::USAGE } else { 0 })
}

async fn run(noun: Noun, global: &Global) -> Result<Outcome, Failed> {
    let noun = match noun {
        // Before there is any to be read.
        Noun::Context(verb) => return context::run(verb, global),
        Noun::Completions(wanted) => return completions::run(&wanted),
        noun => noun,
    };
    let settings = global.settings()?;
    match noun {
        Noun::Context(verb) => context::run(verb, global),
        Noun::Completions(wanted) => completions::run(&wanted),
        Noun::Pki(verb) => pki::run(verb, &settings).await,
        Noun::Cluster(verb) => cluster::run(verb, &settings).await,
        Noun::Member(verb) => member::run(verb, &settings).await,
        Noun::Log(verb) => log::run(verb, &settings).await,
        Noun::Enterprise(verb) => enterprise::run(verb, &settings).await,
        Noun::Key(verb) => key::run(verb, &settings).await,
        Noun::Proposal(verb) => proposal::run(verb, &settings).await,
        Noun::Root(verb) => root::run(verb, &settings).await,
        Noun::Model(verb) => model::run(verb, &settings).await,
        Noun::Robot(verb) => robot::run(verb, &settings, global.output).await,
        Noun::Export(verb) => export::run(verb, &settings).await,
        Noun::Import(verb) => import::run(verb, &settings).await,
        Noun::Transfer(verb) => transfer::run(verb, &settings, global.output).await,
        Noun::Consignment(verb) => consignment::run(*verb, &settings, global.output).await,
        Noun::Border(verb) => border::run(verb, &settings, global.output).await,
        Noun::Movement(verb) => movement::run(verb, &settings, global.output).await,
        Noun::Recall(verb) => recall::run(verb, &settings).await,
        Noun::Verify(verify) => verify::run(*verify, &settings).await,
        Noun::Evidence(verb) => evidence::run(verb, &settings).await,
        Noun::Pack(verb) => pack::run(verb, &settings).await,
        Noun::Pin(verb) => pin::run(&verb, settings.state_dir()),
        Noun::Bench(verb) => bench::run(verb, &settings).await,
        Noun::Demo(demo) => demo::run(*demo, global.output).await,
        Noun::Bundle(verb) => bundle::run(verb, &settings).await,
        Noun::Peer(verb) => peer::run(verb, &settings).await,
        Noun::Mail(verb) => mail::run(verb, &settings).await,
        Noun::Audit(verb) => audit::run(verb, &settings).await,
        Noun::Agreement(verb) => agreement::run(verb, &settings).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// A verb's option of the same id would be filled from the global one, environment included.
    #[test]
    fn no_verb_shadows_a_global_option() {
        fn own(command: &clap::Command, path: &str, globals: &[String], clashes: &mut Vec<String>) {
            for verb in command.get_subcommands() {
                let path = format!("{path} {}", verb.get_name());
                let ids = verb.get_arguments().map(|arg| arg.get_id().to_string());
                clashes.extend(
                    ids.filter(|id| globals.contains(id))
                        .map(|id| format!("{path}: {id}")),
                );
                own(verb, &path, globals, clashes);
            }
        }
        let command = Cli::command();
        let globals: Vec<String> = command
            .get_arguments()
            .map(|arg| arg.get_id().to_string())
            .collect();
        let mut clashes = Vec::new();
        own(&command, "carnet", &globals, &mut clashes);
        assert_eq!(clashes, Vec::<String>::new());
    }

    /// The nouns and verbs are an interface that scripts rely on.
    #[test]
    fn nouns_and_verbs_stay() {
        let mut text = String::new();
        for noun in Cli::command().get_subcommands() {
            let verbs: Vec<&str> = noun
                .get_subcommands()
                .map(clap::Command::get_name)
                .collect();
            text += format!("{}: {}", noun.get_name(), verbs.join(" ")).trim_end();
            text.push('\n');
        }
        assert_eq!(text, include_str!("verbs.txt"));
    }

    /// Whoever looks for `carnet peer add` opens `peer.rs`: each noun has the file of its name, with each of its verbs; a word that
    /// has verbs of its own may have them in a file below. Other files hold no verbs, but for `draft.rs`, whose verbs several nouns share.
    #[test]
    fn every_noun_has_the_file_of_its_name_with_its_verbs() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
        let this = read(&folder.join("main.rs"));
        let variant = |verb: &str| {
            let pieces = verb.split('-').map(|piece| {
                let (first, rest) = piece.split_at(1);
                first.to_uppercase() + rest
            });
            pieces.collect::<String>()
        };
        let (mut faults, mut nouns) = (Vec::new(), Vec::new());
        for noun in Cli::command().get_subcommands() {
            let name = noun.get_name();
            nouns.push(name.to_owned());
            let held = [format!("({name}::"), format!("(Box<{name}::")];
            let of_noun = held.map(|held| variant(name) + &held);
            if !of_noun.iter().any(|held| this.contains(held)) {
                faults.push(format!("{name}: `Noun` takes it from another file"));
            }
            let text = read(&folder.join(format!("{name}.rs")));
            for verb in noun.get_subcommands() {
                let begins = format!("    {}", variant(verb.get_name()));
                let is_there = text.lines().any(|line| {
                    let rest = line.strip_prefix(&begins);
                    rest.is_some_and(|rest| rest.starts_with([',', '(', ' ']))
                });
                if !is_there {
                    faults.push(format!("{name} {}: not in {name}.rs", verb.get_name()));
                }
            }
        }
        for entry in std::fs::read_dir(&folder).expect("sources") {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let has_verbs = read(&path)
                .lines()
                .any(|line| line.starts_with("#[derive(") && line.contains("Subcommand"));
            if has_verbs && !nouns.contains(&stem.into()) && !path.ends_with("main.rs") {
                faults.push(format!("{}: verbs, and it is no noun's", path.display()));
            }
        }
        faults.retain(|fault| !fault.contains("/draft.rs:"));
        assert_eq!(faults, Vec::<String>::new());
        assert!(nouns.len() > 20, "{nouns:?}");
    }

    /// The calls that a text shows: in backticks, behind a prompt, or at the beginning of a line.
    fn calls(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        // A call in backticks may go over the end of a line; what stands in a block is lines.
        let prose: Vec<&str> = text.split("```").step_by(2).collect();
        for piece in prose
            .join(" ")
            .replace('\n', " ")
            .split('`')
            .skip(1)
            .step_by(2)
        {
            found.extend(piece.trim().strip_prefix("carnet ").map(str::to_owned));
        }
        for line in text.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let Some(call) = line.strip_prefix("carnet ") else {
                continue;
            };
            // What stands behind it explains it.
            let call = call.split("  ").next().unwrap_or_default();
            found.push(call.split(" #").next().unwrap_or_default().to_owned());
        }
        found
    }

    /// What is wrong with a call, as far as a part of one can be judged: its noun, its verb, and the names of its options.
    fn fault(program: &clap::Command, call: &str) -> Option<String> {
        let mut at = program;
        let mut options = false;
        let mut words = call.split_whitespace();
        while let Some(word) = words.next() {
            // What stands behind a file of robots is judged as a call for each.
            if at.get_name() == "each" && !word.starts_with('-') {
                return None;
            }
            let word = word.trim_end_matches([',', '.', ':', ';', ')']);
            if let Some(option) = word.strip_prefix("--") {
                let name = option.split('=').next().unwrap_or_default();
                let mut global = program.get_arguments();
                if name == option && global.any(|one| one.get_long() == Some(name)) {
                    // Its value is no noun.
                    words.next();
                }
                let here = at.get_arguments().chain(program.get_arguments());
                if name != "help" && !here.into_iter().any(|one| one.get_long() == Some(name)) {
                    return Some(format!("{} has no option --{name}", at.get_name()));
                }
                options = true;
            } else if let Some(verb) = at.find_subcommand(word) {
                at = verb;
            } else if at.has_subcommands()
                && !options
                && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            {
                // An option before the noun has a value behind it, and is judged no further.
                return Some(format!("{} has no {word}", at.get_name()));
            }
        }
        None
    }

    /// Runbooks are read at three in the morning: a command in them that is not there helps nobody. Nor does one in a help text.
    #[test]
    fn every_call_that_is_shown_is_one() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut texts = Vec::new();
        for file in [
            "README.md",
            "client/README.md",
            "node/README.md",
            "federation/README.md",
        ] {
            let text = std::fs::read_to_string(root.join(file)).expect("a file");
            texts.push((file.to_owned(), text));
        }
        for entry in std::fs::read_dir(root.join("deploy/runbooks")).expect("runbooks") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a runbook");
            texts.push((path.display().to_string(), text));
        }
        fn helps(command: &clap::Command, texts: &mut Vec<(String, String)>) {
            let help = command.clone().render_long_help().to_string();
            texts.push((format!("help of {}", command.get_name()), help));
            for verb in command.get_subcommands() {
                helps(verb, texts);
            }
        }
        let program = help::program();
        helps(&program, &mut texts);
        let (mut count, mut faults) = (0, Vec::new());
        for (place, text) in &texts {
            for call in calls(text) {
                count += 1;
                let fault = fault(&program, &call);
                faults.extend(fault.map(|fault| format!("{place}: carnet {call}: {fault}")));
            }
        }
        assert_eq!(faults, Vec::<String>::new());
        assert!(count > 80, "only {count} calls were found");
        assert!(fault(&program, "cluster healthy").is_some());
        assert!(fault(&program, "bundle export --sequense 2").is_some());
    }

    /// What customs and regulators read says of each reason what the program says.
    #[test]
    fn the_reasons_in_the_guide_are_those_of_the_rules() {
        use carnet_domain::rules::rejection::Reason;
        let guide = include_str!("../../../federation/README.md");
        let (mut told, mut faults) = (0, Vec::new());
        let rows = guide.lines().filter(|line| line.starts_with("| `"));
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[1].trim_matches('`');
            let Some(reason) = Reason::ALL.iter().find(|reason| reason.name() == name) else {
                continue;
            };
            told += 1;
            if cells[2..4] != [reason.text(), reason.remedy()] {
                faults.push(format!("{name}: {row}"));
            }
        }
        assert_eq!(faults, Vec::<String>::new());
        assert!(told > 30, "{told}");
    }

    /// The help says that times may be relative: one that lies behind begins with a hyphen.
    #[test]
    fn a_time_may_lie_behind_wherever_one_is_said() {
        for call in [
            "agreement suspend X:1 --peer 49 --reason x --until -1m",
            "bundle export --file x --name x --valid-to -1d",
            "export declare 86-0001-000002-00000000000000042 --to 49 --offer-until -1d",
            "import permit 00000000000000000000000000000001 --depart-by -1d",
            "enterprise amend 86-0001 --reason x --valid-to -1d",
            "transfer list --since -2d --before -1d",
        ] {
            let words = std::iter::once("carnet").chain(call.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{call}");
        }
    }

    #[test]
    fn help_shows_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for line in [
            "0  done",
            "4  the verdict is INVALID",
            "6  nobody serves it now",
            "7  a file cannot be read",
        ] {
            assert!(help.contains(line), "{line}");
        }
    }

    /// An example in a help text that is refused helps nobody.
    #[test]
    fn the_codes_in_the_help_are_codes() {
        let help = Cli::command().render_long_help().to_string();
        let example = "86-0001-000002-00000000000000042";
        assert!(help.contains(example), "{help}");
        let code = crate::parse::code(example).expect("a code");
        assert_eq!(code.display_form(), example);
        let labelled = code.with_suffix();
        assert_eq!(labelled.chars().filter(|c| *c != '-').count(), 31);
        assert_eq!(crate::parse::code(&labelled), Ok(code));
        let wrong = format!("{}{}", &labelled[..labelled.len() - 1], 'X');
        assert!(crate::parse::code(&wrong).is_err());
        let model = carnet_domain::bytes::code::ModelId::parse("86-0001-000002");
        assert_eq!(model, Ok(code.model_id()));
    }

    #[test]
    fn a_call_that_cannot_be_read_is_answered_in_the_form_asked_for() {
        let form = |call: &str, environment| {
            let arguments: Vec<String> = call.split(' ').map(str::to_owned).collect();
            form_asked_for(&arguments, environment)
        };
        let asks = |call: &str, environment| form(call, environment) == Format::Json;
        assert_eq!(form("robot get -o yaml", None), Format::Yaml);
        assert_eq!(form("robot get", Some("yaml")), Format::Yaml);
        for call in [
            "-o json",
            "--output json",
            "-ojson",
            "-o=json",
            "--output=json",
            "-o table -o json",
        ] {
            assert!(asks(call, None), "{call}");
        }
        // A file of that name is no form.
        for call in ["robot get json", "-o table", "-o json -o table"] {
            assert!(!asks(call, None), "{call}");
        }
        assert!(asks("robot get", Some("json")) && !asks("-o table", Some("json")));
    }

    #[test]
    fn every_verb_takes_the_output_format() {
        let parsed = Cli::try_parse_from([
            "carnet",
            "robot",
            "get",
            "86000110000200000000000000042",
            "-o",
            "json",
        ]);
        assert_eq!(parsed.expect("parsed").global.output, Format::Json);
    }
}
