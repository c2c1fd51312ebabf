//! One deed on every robot of a file: many commands under one signature, an answer a row.
//!
//! What this room promises: a row is done as the verb and its own cells say, or it is named with its line and the reason, and with
//! `--refused` its own bytes come back in a file that can be run again. A row that was done before is known by the robot's record,
//! not by the program's memory. What is shown once (the salt of a name, the secret of a release) is in the answers' file before
//! the command is sent. How a file is read is in [`crate::sheet`].

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use carnet_client::{ApiError, Client, ClientError};
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::custody::{Phase, Step};
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::{
    AgreementRef, PartyName, Pending, ReleaseSecret, Robot, release_commitment,
};
use carnet_domain::rules::command::{Action, Command, TransferId};
use carnet_domain::rules::lifecycle::State;
use carnet_trust::known::KnownRobot;
use clap::builder::ArgAction;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Act, HoldArgs, is_named};
use crate::Outcome;
use crate::bounded::read_bounded;
use crate::exit::{self, Failed};
use crate::export::{self, Declare};
use crate::output::{Format, say};
use crate::robot::import::{delimiter, mapping};
use crate::rows::{
    self, Books, READS_AT_ONCE, ROWS_AT_ONCE, Refused, SHOWN_MAX, Why, Words, progress,
};
use crate::settings::Settings;
use crate::sheet::{Cells, Reading, Sheet, Unreadable};
use crate::submit::{Write, merge, party};
use crate::{parse, recall, view};

/// The most rows of one file: all of them are judged before the first is sent, and kept until the last is answered.
const ROWS_MAX: usize = 100_000;
/// The most bytes of a file of answers that is gone on with: several for every row of the largest run.
const ANSWERS_BYTES_MAX: usize = 256 << 20;
const WORDS: Words = Words {
    call: "carnet robot each",
    done: "done",
    already: "already",
    passed_over: "robots whose record is as their row wants it",
};

const HELP: &str = "\
FILE is .csv, .tsv, .ndjson or .jsonl with a column `code`, or .txt with one code a line. Every other column is an option of the
verb, under its name (`owner`, `report`, `expected_sequence`, …): a cell says of its robot what the option behind the verb says of
all. An empty cell says nothing; `no` takes a flag of the verb away. Columns that are named otherwise are told by --map.

  carnet robot each delivered.txt stock --at 86-0002
  carnet robot each --answers sold.ndjson sold.csv sell              columns code, owner
  carnet robot each fleet.csv deploy --scenario warehouse            columns code, operator
  carnet robot each done.csv remedy 86/R-1                           columns code, report
  carnet robot each stolen.txt hold-set theft --reason \"reported\"
  carnet robot each truck.txt declare --to 49 --mrn 26CN000000000001
  carnet robot each truck.txt depart --place \"Shanghai Yangshan\"
  carnet robot each truck.csv admit --place Hamburg                  columns code, importer

`carnet robot each x.txt VERB --help` shows the options of a verb. They stand behind it, all others before FILE.";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct EachArgs {
    /// How the file was saved, if not as UTF-8: gb18030, big5, shift_jis, euc-kr, windows-1252, utf-16le, …
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// What stands between cells; default is what stands most often in the header.
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<char>,
    /// A column under another name: HEADER=COLUMN. HEADER=- passes a column over, *=- all that are not known. Repeatable.
    #[arg(long, value_name = "HEADER=COLUMN", value_parser = mapping)]
    map: Vec<(String, String)>,
    /// Send nothing if a single row is malformed.
    #[arg(long)]
    all_or_none: bool,
    /// A robot whose record is already as its row wants it is no failure: a run that was cut off can be repeated. What is only added
    /// to a record (inspect, repair, incident, training, correct) cannot be told from what was not: it is not resumed. Salts and secrets
    /// of the runs before are taken from --answers for rows that say the same; a row that was changed gets new ones.
    #[arg(long)]
    resume: bool,
    /// A new file for the rows that are not taken, as they stand; why stands beside it in FILE.why.ndjson. With --resume, one of an
    /// earlier run is moved aside.
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// A file for what became of each row, one JSON object a line, with the salts and secrets that are shown once. It is new, or
    /// with --resume goes on; nobody else can read it.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Judge the file, ask a node what the rules would answer now, and send nothing that could be executed.
    #[arg(long)]
    dry_run: bool,
    /// The file of robots.
    file: PathBuf,
    /// What is done, and its options for all rows.
    #[arg(
        value_name = "VERB",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    verb: Vec<String>,
}

/// A row as a call: the verb, the code, and what is said of it.
#[derive(Debug, Parser)]
#[command(name = "carnet robot each FILE", no_binary_name = true)]
struct Call {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, Subcommand)]
enum Deed {
    #[command(flatten)]
    Act(Act),
    /// Records that a recall was remedied.
    Remedy {
        /// The robot's code.
        #[arg(value_parser = parse::code)]
        code: Code,
        /// The recall: issuer/number, or the number of one of this registry.
        recall: String,
        /// Report: digest or file.
        #[arg(long)]
        report: String,
        #[command(flatten)]
        write: Write,
    },
    /// Offers a robot to another country.
    Declare(Box<Declare>),
    /// Releases a robot at the border, by its transfer that has a permit: from here on the importing country is responsible.
    Depart {
        /// The robot's code.
        #[arg(value_parser = parse::code)]
        code: Code,
        /// Office of exit.
        #[arg(long)]
        place: String,
        #[command(flatten)]
        write: Write,
    },
    /// Admits a robot at the border, by its transfer that has departed: the permit is consumed.
    Admit {
        /// The robot's code.
        #[arg(value_parser = parse::code)]
        code: Code,
        /// Office of entry.
        #[arg(long)]
        place: String,
        /// Importer of record: a person's name (kept as a salted commitment) or commitment, enterprise/ID or office/PREFIX/NAME.
        #[arg(long)]
        importer: String,
        /// Documents shown: digests or files.
        #[arg(long = "document")]
        documents: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Sets a hold.
    HoldSet(HoldArgs),
    /// Lifts a hold.
    HoldLift(HoldArgs),
}

impl Deed {
    fn write(&self) -> Write {
        match self {
            Self::Act(act) => act.on().write,
            Self::Remedy { write, .. } | Self::Depart { write, .. } | Self::Admit { write, .. } => {
                *write
            }
            Self::Declare(declare) => declare.write(),
            Self::HoldSet(hold) | Self::HoldLift(hold) => hold.write,
        }
    }

    /// The command, and what the person should keep of it, where the record stands like this.
    fn command(self, settings: &Settings, stands: Stands) -> Result<(Command, Value), Failed> {
        let nothing = |command| Ok((command, json!({})));
        let Stands {
            sequence,
            transfer,
            agreement,
            ..
        } = stands;
        let transfer = transfer.ok_or_else(|| {
            Failed::usage("no transfer of it is open here (carnet movement list shows its steps)")
        });
        match self {
            Self::Act(act) => {
                let on = act.on();
                let expected_sequence = on.expected_sequence.or(sequence);
                let (action, kept) = act.action(&on.code, expected_sequence)?;
                let command = Command::Act {
                    code: on.code,
                    expected_sequence,
                    action,
                };
                Ok((command, kept))
            }
            Self::Remedy {
                code,
                recall,
                report,
                ..
            } => nothing(Command::RemedyRecall {
                code,
                recall: recall::named(&recall, settings)?,
                report: parse::digest_of(&report)?,
            }),
            Self::Declare(declare) => declare.command(agreement),
            Self::Depart { place, .. } => nothing(Command::Depart {
                transfer: transfer?,
                place,
            }),
            Self::Admit {
                place,
                importer,
                documents,
                ..
            } => {
                let (importer, kept) = party("importer", &importer)?;
                let command = Command::Admit {
                    transfer: transfer?,
                    place,
                    importer,
                    documents: parse::digests(&documents)?,
                    countersignature: None,
                };
                Ok((command, kept))
            }
            Self::HoldSet(HoldArgs {
                code, kind, reason, ..
            }) => nothing(Command::SetHold { code, kind, reason }),
            Self::HoldLift(HoldArgs {
                code, kind, reason, ..
            }) => nothing(Command::LiftHold { code, kind, reason }),
        }
    }
}

/// The verb with its options for all rows.
struct Verb {
    words: Vec<String>,
    /// Columns, and whether each is a flag.
    columns: Vec<(&'static str, bool)>,
    parser: clap::Command,
}

impl Verb {
    fn of(words: &[String]) -> Result<Self, Failed> {
        let name = words.first().map(String::as_str).unwrap_or_default();
        let parser = Call::command().mut_subcommands(|verb| verb.args_override_self(true));
        let Some(found) = parser.find_subcommand(name) else {
            let known = parser.get_subcommands().map(clap::Command::get_name);
            let known: Vec<&str> = known.filter(|name| *name != "help").collect();
            return Err(Failed::usage(format!(
                "{name:?} is nothing that is done with robots of a file; there are {}",
                known.join(", ")
            )));
        };
        if let Some(other) = words.iter().find(|word| stands_before(word)) {
            return Err(Failed::usage(format!(
                "{other} stands before FILE: behind the verb are the verb's own options"
            )));
        }
        let mut columns = vec![("code", false)];
        for option in found.get_arguments() {
            let own = !matches!(
                option.get_id().as_str(),
                "dry_run" | "published" | "yes" | "help"
            );
            if let Some(long) = option.get_long().filter(|_| own) {
                let flag = matches!(option.get_action(), ArgAction::SetTrue);
                // A process runs one file: its few names of columns stay.
                columns.push((long.replace('-', "_").leak(), flag));
            }
        }
        Ok(Self {
            words: words.to_vec(),
            columns,
            parser,
        })
    }

    /// What the verb and the cells of a row say of its robot, in words.
    fn said(&self, code: &str, cells: &Cells) -> Result<Vec<String>, String> {
        let mut words = self.words.clone();
        words.insert(1.min(words.len()), code.to_owned());
        let options = self.columns.iter().filter(|(name, _)| *name != "code");
        for (name, flag) in options {
            let Some(cell) = cells.get(name) else {
                continue;
            };
            let long = name.replace('_', "-");
            match (flag, cell.to_ascii_lowercase().as_str()) {
                (false, _) => words.push(format!("--{long}={cell}")),
                (true, "true" | "yes" | "1") => words.push(format!("--{long}")),
                // What the verb says of all is not said of this one.
                (true, "false" | "no" | "0") => {
                    let flag = format!("--{long}");
                    words.retain(|word| *word != flag);
                }
                (true, _) => return Err(format!("{name}: write true or false, not {cell:?}")),
            }
        }
        Ok(words)
    }

    /// The call that words are.
    fn call(&self, mut words: Vec<String>, kept: Option<&Value>) -> Result<Deed, String> {
        // Who is meant was committed to in an earlier run, with a salt that stands in the answers' file.
        for (name, commitment) in kept.and_then(Value::as_object).into_iter().flatten() {
            if let (Some(field), Some(text)) =
                (name.strip_suffix("_commitment"), commitment.as_str())
            {
                words.push(format!("--{field}={text}"));
            }
        }
        let matches = self.parser.clone().try_get_matches_from(words);
        let call = matches.and_then(|matches| Call::from_arg_matches(&matches));
        call.map(|call| call.deed).map_err(|error| plain(&error))
    }
}

/// Names what a row says: what is kept of another row, or of another verb, is not of this one.
fn row_digest(words: &[String]) -> Digest {
    sha256(&[&serde_json::to_vec(words).unwrap_or_default()])
}

/// Whether a word is an option of the program or of this command, not of a verb.
fn stands_before(word: &str) -> bool {
    let program = crate::Cli::command();
    let robot = program.find_subcommand("robot");
    let each = robot.and_then(|robot| robot.find_subcommand("each"));
    let own = each.into_iter().flat_map(clap::Command::get_arguments);
    let name = word.split('=').next().unwrap_or_default();
    let is = |option: &clap::Arg| {
        let long = option.get_long().map(|long| format!("--{long}"));
        let short = option.get_short().map(|short| format!("-{short}"));
        [long, short].iter().flatten().any(|known| known == name)
    };
    name == "--published" || program.get_arguments().chain(own).any(is)
}

/// What clap says, in one line and without the usage of a call that nobody typed.
fn plain(error: &clap::Error) -> String {
    let all = error.render().to_string();
    let said = all.lines().map(str::trim);
    let said = said.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
    let said = said.join(" ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}

/// A row that can be sent.
struct Ready {
    line: u64,
    bytes: Range<u64>,
    code: Code,
    command: Command,
}

/// The rows of a file: what is sent, and what was wrong.
#[derive(Default)]
struct Rows {
    ready: Vec<Ready>,
    bad: Vec<(Range<u64>, Why)>,
}

/// What became of rows, in a file.
#[derive(Default)]
struct Answers {
    path: Option<PathBuf>,
    file: Option<File>,
    /// What earlier runs committed to, by what the row said.
    before: BTreeMap<String, Value>,
    /// The same by robot, whatever its row said: a secret shows by itself what it is of.
    of_robot: BTreeMap<String, Vec<Value>>,
    /// How many bytes of the file are whole lines.
    whole: u64,
}

impl Answers {
    /// Reads what earlier runs left. Nothing is written before the first answer: a run that is refused leaves nothing.
    fn open(path: Option<&Path>, resume: bool) -> Result<Self, Failed> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let mut answers = Self {
            path: Some(path.to_owned()),
            ..Self::default()
        };
        // A device or a pipe has nothing of earlier runs, and reading it would wait for somebody.
        if std::fs::metadata(path).is_ok_and(|kind| !kind.is_file()) {
            return Ok(answers);
        }
        let text = match std::fs::metadata(path) {
            Ok(about) if about.len() > 0 => read_bounded(path, ANSWERS_BYTES_MAX)?,
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(answers),
            Err(error) => return Err(answers.fault(&error)),
        };
        if !resume && !text.is_empty() {
            return Err(Failed {
                next: "Nothing was sent. Say --resume to go on with that run, or name a new file for the answers of another.".into(),
                ..Failed::usage(format!("{}: has answers of an earlier run", path.display()))
            });
        }
        // The last line of a run that was killed may be cut; what it says was not sent.
        let whole = text.iter().rposition(|byte| *byte == b'\n');
        answers.whole = whole.map_or(0, |at| at as u64 + 1);
        let lines = text.get(..whole.unwrap_or_default()).unwrap_or_default();
        let mut old = 0_u64;
        for line in lines.split(|byte| *byte == b'\n') {
            let Ok(said) = serde_json::from_slice::<Value>(line) else {
                continue;
            };
            let Some(kept) = said.get("keep") else {
                continue;
            };
            if let Some(code) = said["code"].as_str() {
                let of_robot = answers.of_robot.entry(code.to_owned()).or_default();
                of_robot.push(kept.clone());
            }
            match said["row"].as_str() {
                Some(row) => drop(answers.before.insert(row.to_owned(), kept.clone())),
                None => old += 1,
            }
        }
        if old > 0 {
            say(format!(
                "{}: {old} salts or secrets are of an older program, which did not say of what row: names are committed to anew, secrets of \
                 releases are found by their robots",
                path.display()
            ));
        }
        Ok(answers)
    }

    fn fault(&self, error: &dyn std::fmt::Display) -> Failed {
        let path = self.path.as_deref().unwrap_or(Path::new("answers"));
        Failed::local(format!("{}: {error}", path.display()))
    }

    /// The file, behind its last whole line. Whoever reads its secrets asks for the robots.
    fn make(&mut self) -> Result<(), Failed> {
        let (Some(path), None) = (&self.path, &self.file) else {
            return Ok(());
        };
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let open = || -> std::io::Result<File> {
            let file = options.open(path)?;
            if file.metadata()?.is_file() {
                file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
                file.set_len(self.whole)?;
            }
            Ok(file)
        };
        self.file = Some(open().map_err(|error| self.fault(&error))?);
        Ok(())
    }

    /// What was kept for a row that said this.
    fn kept(&self, row: &Digest) -> Option<&Value> {
        self.before.get(&row.to_string())
    }

    /// Whether the secret of a release was kept.
    fn opens(&self, code: &Code, lock: &(Digest, u64)) -> bool {
        let kept = self.of_robot.get(code.as_str());
        let mut kept = kept.into_iter().flatten();
        kept.any(|kept| opens(kept, code, lock))
    }

    fn write(&mut self, line: u64, code: &Code, what: Value) -> Result<(), String> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let row = json!({"line": line.to_string(), "code": code.to_string()});
        writeln!(file, "{}", merge(row, what)).map_err(|error| error.to_string())
    }

    /// Has the machine keep what was written: what is shown once is on the disk before it is sent.
    fn sync(&self) -> Result<(), Failed> {
        let file = self
            .file
            .as_ref()
            .filter(|file| file.metadata().is_ok_and(|it| it.is_file()));
        let synced = file.map_or(Ok(()), File::sync_all);
        synced.map_err(|error| self.fault(&error))
    }
}

/// Whether what was kept has the secret of a release.
fn opens(kept: &Value, code: &Code, (commitment, sequence): &(Digest, u64)) -> bool {
    let secret = kept["secret"].as_str().and_then(ReleaseSecret::parse);
    secret.is_some_and(|secret| release_commitment(code, *sequence, &secret) == *commitment)
}

/// Whether something is shown once.
fn is_secret(kept: &Value) -> bool {
    let fields = kept.as_object().into_iter().flatten();
    let once = |name: &str| name == "secret" || name.ends_with("_salt");
    fields
        .into_iter()
        .any(|(name, value)| once(name) && !value.is_null())
}

pub(crate) async fn run(
    args: EachArgs,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    if args
        .verb
        .iter()
        .any(|word| word == "--help" || word == "-h")
    {
        let help = Call::command().try_get_matches_from(&args.verb);
        return Ok(Value::from(
            help.err()
                .map_or(String::new(), |help| help.render().to_string()),
        )
        .into());
    }
    let verb = Verb::of(&args.verb)?;
    let columns: Vec<(&'static str, bool)> = verb
        .columns
        .iter()
        .map(|(name, _)| (*name, *name == "code"))
        .collect();
    let reading = Reading {
        columns: columns.leak(),
        encoding: args.encoding.clone(),
        delimiter: args.delimiter,
        map: args.map.clone(),
        begins_row: Some(|cell| parse::code(cell).is_ok()),
    };
    let unreadable = |fault: Unreadable| rows::unreadable(&WORDS, fault);
    let sheet = Sheet::open_or_codes(&args.file, reading).map_err(unreadable)?;
    let mut read = sheet.rows().map_err(unreadable)?;
    let head = read.head();
    let mut answers = match args.dry_run {
        true => Answers::default(),
        false => Answers::open(args.answers.as_deref(), args.resume)?,
    };
    let client = settings.client()?;
    let mut all = Rows::default();
    let (mut lines, mut digests) = (BTreeMap::new(), BTreeMap::new());
    let mut calls = Vec::new();
    for row in &mut read {
        let row = row.map_err(unreadable)?;
        if calls.len() + all.bad.len() >= ROWS_MAX {
            return Err(Failed::usage(format!(
                "{}: more than {ROWS_MAX} rows; split the file",
                args.file.display()
            )));
        }
        let judged = row.cells.and_then(|cells| {
            let code = cells.get("code").ok_or("code: missing")?;
            let code = parse::code(code).map_err(|fault| format!("code: {fault}"))?;
            let words = verb.said(code.as_str(), &cells)?;
            let digest = row_digest(&words);
            let deed = verb.call(words, answers.kept(&digest))?;
            if let Some(other) = lines.insert(code, row.line) {
                return Err(format!("code: the same as in line {other}"));
            }
            digests.insert(code, digest);
            Ok((code, deed))
        });
        match judged {
            Ok((code, deed)) => calls.push((row.line, row.bytes, code, deed)),
            Err(fault) => all.bad.push((row.bytes, Why::malformed(row.line, &fault))),
        }
    }
    if let Some((.., deed)) = calls.first() {
        may_be_many(deed)?;
    }
    let (mut told_once, mut kept_lines) = (false, Vec::new());
    let mut there = Vec::new();
    let stands = stands(&client, &calls).await?;
    for ((line, bytes, code, deed), stands) in calls.into_iter().zip(stands) {
        // Another secret for what is released already would open nothing, and of another release nobody here has the secret.
        if let Some(lock) = stands.released.filter(|_| args.resume) {
            if !answers.opens(&code, &lock) {
                let fault = "released already, with a secret that is not in the answers";
                all.bad.push((bytes, Why::malformed(line, fault)));
                continue;
            }
            there.push((line, code));
            continue;
        }
        match deed.command(settings, stands) {
            Ok((command, kept)) => {
                if is_secret(&kept) {
                    told_once = true;
                    kept_lines.push((line, code, kept));
                }
                all.ready.push(Ready {
                    line,
                    bytes,
                    code,
                    command,
                });
            }
            Err(failed) => all.bad.push((bytes, Why::malformed(line, &failed.text))),
        }
    }
    if args.resume {
        there.extend(pass_over(&client, &mut all).await?);
    }
    if told_once && args.answers.is_none() && !args.dry_run {
        return Err(Failed::usage(
            "names are kept as salted commitments, and releases with a secret, which are shown once: say where to with --answers FILE",
        ));
    }
    all.bad.sort_by_key(|(_, why)| why.line);
    if (all.ready.is_empty() && there.is_empty()) || (args.all_or_none && !all.bad.is_empty()) {
        let bad: Vec<Value> = all.bad.iter().map(|(_, why)| why.shown()).collect();
        let good = (all.ready.len() + there.len()) as u64;
        let kept = match &args.refused {
            Some(path) if !args.dry_run => {
                let mut refused = Refused::into(path, &sheet, &head, args.resume.into())?;
                for (bytes, why) in all.bad {
                    refused.add(&sheet, &bytes, why);
                }
                refused.finish().2
            }
            _ => Ok(None),
        };
        let counts = (good, bad.len() as u64);
        return Err(rows::nothing_sent(&WORDS, counts, &bad, kept));
    }
    if args.dry_run {
        return foresee(&client, &all).await;
    }
    let mut refused = match &args.refused {
        Some(path) => Refused::into(path, &sheet, &head, args.resume.into())?,
        None => Refused::nowhere(),
    };
    answers.make()?;
    for (line, code) in &there {
        let wrote = answers.write(*line, code, json!({"answer": "already"}));
        wrote.map_err(Failed::local)?;
    }
    for (line, code, kept) in kept_lines {
        let row = digests.get(&code).map(ToString::to_string);
        let kept = json!({ "row": row, "keep": kept });
        answers.write(line, &code, kept).map_err(Failed::local)?;
    }
    answers.sync()?;
    for (bytes, why) in all.bad.drain(..) {
        refused.add(&sheet, &bytes, why);
    }
    let malformed = refused.count;
    let bar = progress(all.ready.len() as u64, format);
    let mut again = Vec::new();
    let mut told = Ok(());
    let mut open: Vec<bool> = vec![true; all.ready.len()];
    let commands = all.ready.iter().map(|row| row.command.clone());
    let (report, failure) = rows::send(&client, commands, &bar, |index, answer| {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(row) = all.ready.get(index) else {
            return;
        };
        open[index] = false;
        if args.resume && matches!(answer, ItemAnswer::Refused { .. }) {
            again.push((index, answer.clone()));
            return;
        }
        let wrote = answers.write(row.line, &row.code, shown(answer));
        told = std::mem::replace(&mut told, Ok(())).and(wrote);
        if let Some(why) = refusal(row, answer) {
            refused.add(&sheet, &row.bytes, why);
        }
    })
    .await;
    let mut books = Books {
        report,
        rows: (all.ready.len() + there.len()) as u64 + malformed,
        already: there.len() as u64,
        ..Books::default()
    };
    let states = futures::stream::iter(again.iter().map(|(index, _)| &all.ready[*index]));
    let states = states.map(|row| is_as_wanted(&client, row));
    let states: Vec<_> = states.buffered(READS_AT_ONCE).collect().await;
    for ((index, answer), state) in again.iter().zip(states) {
        let row = &all.ready[*index];
        let (what, why) = match state {
            Ok(true) => (json!({"answer": "already"}), None),
            Ok(false) => (shown(answer), refusal(row, answer)),
            Err(error) => (shown(answer), Some(not_compared(row, &error))),
        };
        books.already += u64::from(why.is_none());
        let wrote = answers.write(row.line, &row.code, what);
        told = told.and(wrote);
        if let Some(why) = why {
            refused.add(&sheet, &row.bytes, why);
        }
    }
    let kept = books.take(refused, malformed);
    let first_open = open.iter().position(|open| *open);
    let first_open = first_open.and_then(|at| all.ready.get(at));
    books.first_unanswered = first_open.map(|row| row.line);
    if let Some(error) = failure {
        return Err(books.stopped(&WORDS, error, &kept));
    }
    let mut extra = json!({
        "verb": args.verb.first(),
        "proposed": report.waiting.to_string(),
    });
    if report.waiting > 0 {
        extra["next"] = view::SECOND_OF_ROBOT.into();
    }
    let faults = told.err().map(|fault| ("answers_fault", fault));
    let faults = faults.into_iter().collect();
    Ok(books.shown(&WORDS, kept, faults, extra, format))
}

/// Refuses what one does with robots one by one.
fn may_be_many(deed: &Deed) -> Result<(), Failed> {
    let Write { dry_run, published } = deed.write();
    if dry_run || published {
        return Err(Failed::usage(
            "--dry-run stands before FILE; --published is for one robot",
        ));
    }
    match deed {
        Deed::Act(act) => act.said_sure(),
        _ => Ok(()),
    }
}

/// Where a record stands, of what a command names.
#[derive(Debug, Clone, Default)]
struct Stands {
    sequence: Option<u64>,
    /// Its open transfer, else its newest.
    transfer: Option<TransferId>,
    /// The newest agreement in force with the country that it is offered to.
    agreement: Option<AgreementRef>,
    /// The commitment to the secret of its release, and the sequence that it is of.
    released: Option<(Digest, u64)>,
}

/// Where the record of each robot stands: read only for releases, which commit to it, and for steps of a transfer, which name it.
async fn stands(
    client: &Client,
    calls: &[(u64, Range<u64>, Code, Deed)],
) -> Result<Vec<Stands>, Failed> {
    // Each country is looked up once.
    let mut agreements = BTreeMap::new();
    for (.., deed) in calls {
        if let Deed::Declare(declare) = deed
            && let Some(to) = declare.lacks_agreement()
            && !agreements.contains_key(&to)
        {
            agreements.insert(to, export::agreement_with(client, to).await?);
        }
    }
    let agreements = &agreements;
    let reads = futures::stream::iter(calls).map(|(.., code, deed)| async move {
        match deed {
            Deed::Act(Act::ReleaseOwnership { .. }) | Deed::Depart { .. } | Deed::Admit { .. } => {}
            Deed::Declare(declare) => {
                let agreement = declare.lacks_agreement();
                let agreement = agreement.and_then(|to| agreements.get(&to).cloned());
                return Ok(Stands {
                    agreement,
                    ..Stands::default()
                });
            }
            _ => return Ok(Stands::default()),
        }
        match client.unverified().robot(code).await {
            Ok(found) => Ok(Stands {
                sequence: Some(found.value.head.map_or(0, |head| head.seq)),
                // One that is done is named too: the registry says so, and a run that was cut off can be repeated.
                transfer: KnownRobot::transfer_of(&found.value),
                agreement: None,
                released: match found.value.pending {
                    Pending::Released { release } => Some((release.commitment, release.sequence)),
                    _ => None,
                },
            }),
            // The registry refuses it, by its reason.
            Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(Stands::default()),
            Err(error) => Err(Failed::from(error)),
        }
    });
    let found: Vec<_> = reads.buffered(READS_AT_ONCE).collect().await;
    found.into_iter().collect()
}

fn shown(answer: &ItemAnswer) -> Value {
    match answer {
        ItemAnswer::Done {
            leaf_index,
            sequence,
            waits,
            ..
        } => json!({
            "answer": if *waits { "proposed" } else { "done" },
            "leaf_index": leaf_index.to_string(),
            "sequence": sequence.to_string(),
        }),
        ItemAnswer::Nothing {} => json!({"answer": "nothing to do"}),
        ItemAnswer::Refused { rejection } => json!({
            "answer": "refused",
            "reason": rejection.reason.name(),
            "message": rejection.to_string(),
            "next": rejection.next(),
        }),
    }
}

fn refusal(row: &Ready, answer: &ItemAnswer) -> Option<Why> {
    match answer {
        ItemAnswer::Refused { rejection } => Some(Why::refused(row.line, &row.code, rejection)),
        ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => None,
    }
}

fn not_compared(row: &Ready, error: &ClientError) -> Why {
    Why::not_compared(row.line, &row.code, &exit::chain(error))
}

/// Passes over what the registry would do a second time, and the record shows done. Gives those rows.
async fn pass_over(client: &Client, rows: &mut Rows) -> Result<Vec<(u64, Code)>, Failed> {
    if let Some(row) = rows.ready.iter().find(|row| is_only_added(&row.command)) {
        return Err(Failed::usage(format!(
            "line {}: a repair, an inspection, an incident, a training and a correction are recorded as often as they are sent, and \
             nothing tells one that was from one that was not: leave out the rows whose robots show it (carnet robot history), and \
             send the others without --resume",
            row.line
        )));
    }
    let ready = std::mem::take(&mut rows.ready);
    let states = futures::stream::iter(&ready).map(|row| async move {
        match is_done_twice(&row.command) {
            true => is_as_wanted(client, row).await,
            false => Ok(false),
        }
    });
    let states: Vec<_> = states.buffered(READS_AT_ONCE).collect().await;
    let mut there = Vec::new();
    for (row, state) in ready.into_iter().zip(states) {
        match state? {
            true => there.push((row.line, row.code)),
            false => rows.ready.push(row),
        }
    }
    Ok(there)
}

/// Whether the registry does it again of a robot of which it was done, and the record says that it was.
fn is_done_twice(command: &Command) -> bool {
    let Command::Act { action, .. } = command else {
        return false;
    };
    matches!(action, Action::Stock { .. } | Action::UpdateSoftware { .. })
}

/// Whether it only adds to what was recorded.
fn is_only_added(command: &Command) -> bool {
    let Command::Act { action, .. } = command else {
        return false;
    };
    matches!(
        action,
        Action::Repair { .. }
            | Action::Inspect { .. }
            | Action::RecordIncident { .. }
            | Action::RecordTraining { .. }
            | Action::Correct { .. }
    )
}

/// Whether the record of a robot is as a row wants it, whoever made it so.
async fn is_as_wanted(client: &Client, row: &Ready) -> Result<bool, ClientError> {
    match client.unverified().robot(&row.code).await {
        Ok(found) => Ok(is_so(&found.value, &row.command)),
        Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether nothing is left to be done of a command.
fn is_so(robot: &Robot, command: &Command) -> bool {
    match command {
        Command::RemedyRecall { recall, .. } => robot.remedied.contains(recall),
        Command::SetHold { kind, .. } => robot.holds.iter().any(|hold| hold.kind == *kind),
        Command::LiftHold { kind, .. } => robot.holds.iter().all(|hold| hold.kind != *kind),
        Command::DeclareExport { to, .. } => match &robot.custody.phase {
            Phase::Offered { to: offered, .. } => offered == to,
            _ => false,
        },
        Command::Depart { transfer, .. } => match &robot.custody.phase {
            Phase::Released {
                transfer: known, ..
            }
            | Phase::Gone {
                transfer: known, ..
            } => known == transfer,
            _ => false,
        },
        Command::Admit { transfer, .. } => {
            let newest = robot.custody.newest();
            let admitted = newest.filter(|link| link.step == Step::Admit);
            admitted.and_then(|link| link.transfer) == Some(*transfer)
        }
        Command::Act { action, .. } => is_done(robot, action),
        _ => false,
    }
}

pub(super) fn is_done(robot: &Robot, action: &Action) -> bool {
    let settled = robot.pending == Pending::Nothing {};
    match action {
        Action::Stock { at } => {
            let at = at.map(|id| PartyName::Enterprise { id });
            let there = at.is_none_or(|at| is_named(&robot.holder, &at));
            robot.state == State::InStock && settled && there
        }
        Action::Sell { owner } => robot.state == State::Sold && is_named(&robot.owner, owner),
        Action::Deploy { operator, scenario } | Action::Redeploy { operator, scenario } => {
            let used = robot.scenario == *scenario && is_named(&robot.operator, operator);
            robot.state == State::Deployed && used
        }
        Action::BeginMaintenance { workshop, .. } => {
            robot.state == State::Maintenance && robot.workshop == *workshop
        }
        Action::Retire { .. } => robot.state == State::Retired,
        Action::UpdateSoftware { firmware } => robot.firmware == *firmware,
        Action::DeclareEndOfLife { certificate, .. } => {
            matches!(&robot.pending, Pending::EndOfLife { certificate: known, .. } if known == certificate)
                || robot
                    .declared
                    .iter()
                    .any(|one| one.certificate == *certificate)
        }
        Action::ConfirmEndOfLife { .. } => robot.state.is_final(),
        Action::ReleaseOwnership { commitment, .. } => {
            matches!(&robot.pending, Pending::Released { release } if release.commitment == *commitment)
        }
        _ => false,
    }
}

/// Says what the rules would answer now, and sends nothing.
async fn foresee(client: &Client, rows: &Rows) -> Result<Outcome, Failed> {
    let commands: Vec<Command> = rows.ready.iter().map(|row| row.command.clone()).collect();
    let (mut refused, mut count, mut wait) = (Vec::new(), 0_u64, 0_u64);
    for (some, rows) in commands
        .chunks(ROWS_AT_ONCE)
        .zip(rows.ready.chunks(ROWS_AT_ONCE))
    {
        let foreseen = client.unverified().foresee(some).await?;
        for (one, row) in foreseen.into_iter().zip(rows) {
            wait += u64::from(one == carnet_client::Foreseen::Waits);
            let Some(rejection) = one.against() else {
                continue;
            };
            count += 1;
            if refused.len() < SHOWN_MAX {
                refused.push(Why::refused(row.line, &row.code, &rejection).shown());
            }
        }
    }
    let shown = rows.bad.iter().take(SHOWN_MAX);
    let bad: Vec<Value> = shown.map(|(_, why)| why.shown()).collect();
    let value = json!({
        "dry_run": true,
        "registry_asked": true,
        "rows": (rows.ready.len() + rows.bad.len()).to_string(),
        "malformed": rows.bad.len().to_string(),
        "malformed_rows": bad,
        "would_wait_for_a_second_word": wait.to_string(),
        "would_be_refused": count.to_string(),
        "rows_that_would_be_refused": refused,
    });
    let code = match count == 0 && rows.bad.is_empty() {
        true => 0,
        false => exit::ERROR,
    };
    Ok(Outcome { value, code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::digest::sha256;

    const CODE: &str = "86000110000200000000000000001";

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn verb(text: &str) -> Verb {
        Verb::of(&words(text)).expect("a verb")
    }

    fn cells(verb: &Verb, said: &[(&str, &str)]) -> Cells {
        let column = |name: &str| {
            let found = verb.columns.iter().find(|(known, _)| *known == name);
            found.expect("a column").0
        };
        let cells = said.iter();
        cells
            .map(|(name, text)| (column(name), (*text).to_owned()))
            .collect()
    }

    /// What a row does, or what is wrong with it.
    fn done(verb: &Verb, said: &[(&str, &str)], kept: Option<&Value>) -> Result<Command, String> {
        let deed = verb.call(verb.said(CODE, &cells(verb, said))?, kept)?;
        let settings = crate::Cli::try_parse_from(["carnet", "--prefix", "86", "demo"])
            .expect("a call")
            .global
            .settings()
            .expect("settings");
        let command = deed.command(&settings, Stands::default());
        command
            .map(|(command, _)| command)
            .map_err(|failed| failed.text)
    }

    fn action(command: Result<Command, String>) -> Action {
        match command.expect("a command") {
            Command::Act { code, action, .. } => {
                assert_eq!(code.as_str(), CODE);
                action
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cell_says_of_one_what_an_option_says_of_all() {
        let all = verb("stock --at 86-0002");
        let at = |id: &str| {
            let at = Some(parse::enterprise(id).expect("an enterprise"));
            Action::Stock { at }
        };
        assert_eq!(action(done(&all, &[], None)), at("860002"));
        assert_eq!(action(done(&all, &[("at", "86-0003")], None)), at("860003"));
        let none = verb("stock");
        assert_eq!(action(done(&none, &[], None)), Action::Stock { at: None });
        let missing = done(&verb("sell"), &[], None).expect_err("no owner");
        assert!(missing.contains("--owner"), "{missing}");
        let wrong = done(&none, &[("at", "86-00")], None).expect_err("no enterprise");
        assert!(wrong.contains("86-00"), "{wrong}");
    }

    /// A truck of robots went over a border one by one.
    #[test]
    fn robots_of_a_file_cross_a_border() {
        let transfer = TransferId([7; 16]);
        let agreement = parse::agreement("treaty:1").expect("an agreement");
        let stands = Stands {
            transfer: Some(transfer),
            agreement: Some(agreement.clone()),
            ..Stands::default()
        };
        let said = |text: &str, named: &[(&str, &str)], stands: &Stands| {
            let verb = verb(text);
            let deed = verb.call(verb.said(CODE, &cells(&verb, named))?, None)?;
            let settings = crate::Cli::try_parse_from(["carnet", "--prefix", "86", "demo"])
                .expect("a call")
                .global
                .settings()
                .expect("settings");
            let command = deed.command(&settings, stands.clone());
            command.map_err(|failed| failed.text)
        };
        let (declared, _) =
            said("declare --to 49", &[("mrn", "26CN1")], &stands).expect("a command");
        let Command::DeclareExport {
            code,
            to,
            agreement: named,
            papers,
            ..
        } = declared
        else {
            panic!("{declared:?}");
        };
        assert_eq!((code.as_str(), to.to_string()), (CODE, "49".to_owned()));
        assert_eq!((named, papers.mrn.as_str()), (agreement, "26CN1"));
        let (departed, _) = said("depart --place Port", &[], &stands).expect("a command");
        let place = "Port".to_owned();
        assert_eq!(departed, Command::Depart { transfer, place });
        let named = [("importer", "enterprise/490001")];
        let (admitted, _) = said("admit --place Port", &named, &stands).expect("a command");
        assert!(matches!(admitted, Command::Admit { transfer: found, .. } if found == transfer));
        let none = said("depart --place Port", &[], &Stands::default()).expect_err("none");
        assert!(none.contains("no transfer of it is open"), "{none}");
        let none = said("declare --to 49", &[], &Stands::default()).expect_err("none");
        assert!(none.contains("no agreement with 49"), "{none}");
    }

    #[test]
    fn a_flag_is_a_word_in_a_cell() {
        let report = "ab".repeat(32);
        let inspect = verb(&format!("inspect --report {report}"));
        let passed = |cell: &str| match action(done(&inspect, &[("failed", cell)], None)) {
            Action::Inspect { passed, .. } => passed,
            other => panic!("{other:?}"),
        };
        assert!(passed("no") && !passed("TRUE"));
        let all_failed = verb(&format!("inspect --failed --report {report}"));
        for (cell, passed) in [("no", true), ("false", true), ("yes", false)] {
            let said = action(done(&all_failed, &[("failed", cell)], None));
            assert!(
                matches!(said, Action::Inspect { passed: found, .. } if found == passed),
                "{cell}: {said:?}"
            );
        }
        let odd = done(&inspect, &[("failed", "perhaps")], None);
        assert!(odd.expect_err("neither").contains("true or false"));
    }

    #[test]
    fn recalls_and_holds_are_done_with_many_too() {
        let report = "ab".repeat(32);
        let remedy = done(&verb("remedy R-1"), &[("report", &report)], None);
        assert!(
            matches!(&remedy, Ok(Command::RemedyRecall { recall, .. }) if recall.to_string() == "86/R-1"),
            "{remedy:?}"
        );
        let held = done(&verb("hold-set theft"), &[("reason", "reported")], None);
        assert!(
            matches!(&held, Ok(Command::SetHold { reason, .. }) if reason == "reported"),
            "{held:?}"
        );
    }

    /// The second run of a sale by name means the person of the first, whose salt was kept.
    #[test]
    fn who_was_committed_to_is_not_committed_to_anew() {
        let sell = verb("sell");
        let commitment = sha256(&[b"Li Wei"]);
        let kept = json!({"owner_commitment": commitment.to_string(), "owner_salt": "00"});
        let again = action(done(&sell, &[("owner", "Li Wei")], Some(&kept)));
        let owner = PartyName::from(commitment);
        assert_eq!(again, Action::Sell { owner });
    }

    /// Of a release whose secret nobody here has, a row is not done.
    #[test]
    fn a_release_is_done_only_for_who_kept_its_secret() {
        let code = parse::code(CODE).expect("a code");
        let secret = ReleaseSecret([7; 16]);
        let lock = (release_commitment(&code, 3, &secret), 3);
        let kept = |secret: ReleaseSecret| json!({"secret": secret.to_string()});
        assert!(opens(&kept(secret), &code, &lock));
        assert!(!opens(&kept(ReleaseSecret([8; 16])), &code, &lock));
        assert!(!opens(&json!({}), &code, &lock));
        // An older program did not say of which row it was.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answers.ndjson");
        let line = json!({"line": "2", "code": CODE, "keep": kept(secret)});
        std::fs::write(&path, format!("{line}\n")).expect("written");
        let answers = Answers::open(Some(&path), true).expect("read");
        assert!(answers.opens(&code, &lock) && answers.before.is_empty());
        let another = parse::code("86000110000200000000000000002").expect("a code");
        assert!(!answers.opens(&another, &lock));
    }

    #[test]
    fn options_of_the_program_are_not_taken_for_the_verbs() {
        for call in [
            "stock -o json",
            "stock --dry-run",
            "stock --resume",
            "stock --pki=x",
            "stock --published",
        ] {
            let refused = Verb::of(&words(call)).err().expect("refused");
            assert!(
                refused.text.contains("before FILE"),
                "{call}: {}",
                refused.text
            );
        }
        let unknown = Verb::of(&words("get")).err().expect("no deed");
        assert!(unknown.text.contains("sell") && unknown.text.contains("remedy"));
    }

    /// Once, a repeated run stocked 1,500 robots again, and recorded each inspection twice.
    #[test]
    fn what_would_be_done_twice_is_compared_or_not_resumed() {
        let deed = |call: &str| done(&verb(call), &[], None).expect("a command");
        let report = "ab".repeat(32);
        let inspect = deed(&format!("inspect --report {report}"));
        assert!(is_only_added(&inspect) && !is_done_twice(&inspect));
        let stock = deed("stock");
        assert!(is_done_twice(&stock) && !is_only_added(&stock));
        let retire = deed("retire --reason x");
        assert!(!is_only_added(&retire) && !is_done_twice(&retire));
    }

    #[test]
    fn what_cannot_be_undone_is_said_for_all() {
        let certificate = "ab".repeat(32);
        let sure = |call: &str| {
            let verb = verb(call);
            let words = verb.said(CODE, &Cells::new()).expect("words");
            let deed = verb.call(words, None).expect("a call");
            may_be_many(&deed).is_ok()
        };
        assert!(!sure(&format!("confirm-eol --certificate {certificate}")));
        assert!(sure(&format!(
            "confirm-eol --certificate {certificate} --yes"
        )));
        assert!(!sure("annul --reason x"));
        assert!(sure("retire --reason x"));
    }

    #[test]
    fn a_file_that_has_to_be_unpacked_is_unreadable_whatever_its_name() {
        for name in ["x.csv.gz", "x.zip", "x.txt.xz"] {
            let refused = Sheet::open_or_codes(Path::new(name), Reading::default());
            let failed = Failed::from(refused.expect_err("packed"));
            assert_eq!(failed.code, exit::UNREADABLE, "{name}: {}", failed.text);
        }
        let other = Sheet::open(Path::new("x.doc"), Reading::default());
        assert_eq!(
            Failed::from(other.expect_err("of no form")).code,
            exit::USAGE
        );
    }

    #[test]
    fn a_list_of_codes_is_a_file_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("codes.TXT");
        std::fs::write(&path, format!("{CODE}\r\n\r\n 86-0001\r\n")).expect("written");
        let sheet = Sheet::open_or_codes(&path, Reading::default()).expect("read");
        let rows = sheet.rows().expect("rows").map(|row| row.expect("a row"));
        let found: Vec<(u64, String)> = rows
            .map(|row| (row.line, row.cells.expect("cells")["code"].clone()))
            .collect();
        assert_eq!(found, [(1, CODE.to_owned()), (3, "86-0001".to_owned())]);
        assert!(Sheet::open(&path, Reading::default()).is_err());
    }

    #[test]
    fn salts_are_in_the_answers_before_anything_is_sent_and_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answers.ndjson");
        let code = parse::code(CODE).expect("a code");
        let kept = json!({"owner_commitment": "ab", "owner_salt": "cd"});
        assert!(
            is_secret(&kept) && !is_secret(&json!({"owner_commitment": "ab", "owner_salt": null}))
        );
        let mut first = Answers::open(Some(&path), false).expect("new");
        assert!(!path.exists(), "a run that is refused leaves nothing");
        first.make().expect("made");
        let sell = verb("sell");
        let row_of = |verb: &Verb, owner: &str| {
            let words = verb.said(CODE, &cells(verb, &[("owner", owner)]));
            row_digest(&words.expect("words"))
        };
        let row = row_of(&sell, "Li Wie");
        first
            .write(2, &code, json!({ "row": row.to_string(), "keep": kept }))
            .expect("written");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "secrets are in it");
        drop(first);
        let refused = Answers::open(Some(&path), false).err().expect("there");
        assert!(refused.text.contains("an earlier run"), "{}", refused.text);
        assert!(refused.next.contains("--resume"), "{}", refused.next);
        // As a kill leaves it: the last line is cut.
        let mut file = OpenOptions::new().append(true).open(&path).expect("open");
        file.write_all(b"{\"line\":\"3\",\"co").expect("written");
        let mut again = Answers::open(Some(&path), true).expect("goes on");
        again.make().expect("made");
        assert_eq!(again.kept(&row), Some(&kept));
        // A name that was corrected, or another verb, is another row.
        assert_eq!(again.kept(&row_of(&sell, "Wang Fang")), None);
        let request = verb(&format!("request-ownership --secret {}", "ab".repeat(16)));
        assert_eq!(again.kept(&row_of(&request, "Li Wie")), None);
        again
            .write(3, &code, json!({"answer": "done"}))
            .expect("written");
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(text.lines().count(), 2, "{text}");
        for line in text.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_bare_name_is_one_in_a_row_as_in_a_call() {
        let sell = verb("sell");
        for name in ["Li Wei", "李伟", "person/Room 7"] {
            let said = action(done(&sell, &[("owner", name)], None));
            let person = matches!(
                &said,
                Action::Sell {
                    owner: PartyName::Person { .. }
                }
            );
            assert!(person, "{name}: {said:?}");
        }
    }
}
