//! Robots from a file: every row is judged before the first is sent, and every refusal names its line.
//!
//! ```text
//! CSV: a header line, then one robot a line. NDJSON: one object a line with the same names.
//! code                  required; hyphens and check digits are taken
//! manufactured          required; RFC 3339 or a date
//! body_serial           default: the serial in the code
//! site                  default: empty
//! origin                alpha-2; default: the maker's country
//! firmware              FAMILY:BUILD; default main:1
//! parts                 TYPE:SERIAL[:LOT] separated by spaces; compute and torso carry identity
//! robot_key             64 hexadecimal digits
//! prototype             true or false
//! importers_filing      true or false
//! maker_scheme, maker_country, maker_id      default: the flags
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use carnet_client::{BulkEvent, BulkReport, identity, keys};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::{BodyName, Firmware, IdentifierScheme, Maker, key_identity};
use carnet_domain::rules::command::{Command, Registration};
use carnet_domain::rules::rejection::{Reason, Rejection};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::Settings;
use crate::exit::{self, Failed};
use crate::office::identifier;
use crate::output::{Format, say};
use crate::parse;
use crate::robot::{firmware, part_text, sort_parts};

/// Bad rows and refusals that are shown one by one; more are counted.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file; its ending says which form it has: .csv, .ndjson or .jsonl.
    file: PathBuf,
    /// Register of the makers' identifiers, where a row does not say.
    #[arg(long, default_value = "name", value_parser = parse::identifier_scheme)]
    maker_scheme: IdentifierScheme,
    /// The makers' country, where a row does not say.
    #[arg(long)]
    maker_country: Option<String>,
    /// The makers' identifier, where a row does not say.
    #[arg(long)]
    maker_id: Option<String>,
    /// Send the good rows even if others are malformed.
    #[arg(long)]
    skip_malformed: bool,
    /// A code that is registered already is no failure: an import that was cut off can be repeated.
    #[arg(long)]
    resume: bool,
    /// Where refused rows are written, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// Judge the file, and send nothing; shows how the first bodies are written.
    #[arg(long)]
    dry_run: bool,
}

/// One row as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Row {
    code: String,
    manufactured: String,
    body_serial: Option<String>,
    site: Option<String>,
    origin: Option<String>,
    firmware: Option<String>,
    parts: Option<String>,
    robot_key: Option<String>,
    prototype: Option<bool>,
    importers_filing: Option<bool>,
    maker_scheme: Option<String>,
    maker_country: Option<String>,
    maker_id: Option<String>,
}

/// What rows fall back to.
#[derive(Debug, Clone)]
struct Defaults {
    scheme: IdentifierScheme,
    country: Option<String>,
    id: Option<String>,
}

/// Which row names a body, a part or a key first: two rows that meet are one thing in the world, or a mistake.
#[derive(Debug, Default)]
struct Seen(BTreeMap<Digest, u64>);

impl Seen {
    fn first(&mut self, line: u64, registration: &Registration) -> Result<(), String> {
        let parts = registration
            .identity_parts
            .iter()
            .chain(&registration.parts);
        let named = std::iter::once(("body_serial", registration.body.identity()))
            .chain(parts.map(|part| ("parts", part.identity())))
            .chain(
                registration
                    .robot_key
                    .as_ref()
                    .map(|key| ("robot_key", key_identity(key))),
            );
        for (field, identity) in named {
            if let Some(other) = self.0.insert(identity, line) {
                self.0.insert(identity, other);
                return Err(format!("{field}: the same as in line {other}"));
            }
        }
        Ok(())
    }
}

/// A row that is not a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BadRow {
    line: u64,
    fault: String,
}

type Parsed = (u64, Result<Registration, BadRow>);

impl Row {
    fn registration(self, defaults: &Defaults) -> Result<Registration, String> {
        let field = |name: &str, fault: String| format!("{name}: {fault}");
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let code = parse::code(&self.code).map_err(|fault| field("code", fault))?;
        let scheme = match filled(self.maker_scheme) {
            Some(text) => {
                parse::identifier_scheme(&text).map_err(|fault| field("maker_scheme", fault))?
            }
            None => defaults.scheme,
        };
        let required = |name: &str, value: Option<String>, default: &Option<String>| {
            filled(value)
                .or_else(|| default.clone())
                .map(|text| text.trim().to_ascii_uppercase())
                .ok_or_else(|| field(name, "missing; give it in the row or as a flag".into()))
        };
        let maker = Maker {
            scheme,
            country: required("maker_country", self.maker_country, &defaults.country)?,
            identifier: identifier(scheme, &required("maker_id", self.maker_id, &defaults.id)?)
                .map_err(|fault| field("maker_id", fault))?,
        };
        let body_serial = filled(self.body_serial).unwrap_or_else(|| code.serial().to_string());
        let parts = filled(self.parts).unwrap_or_default();
        let parts = parts
            .split_whitespace()
            .map(part_text)
            .collect::<Result<Vec<_>, _>>();
        let (identity_parts, parts) =
            sort_parts(&parts.map_err(|fault| field("parts", fault))?, &maker);
        let firmware = match filled(self.firmware) {
            Some(text) => firmware(&text).map_err(|fault| field("firmware", fault))?,
            None => Firmware {
                family: "main".into(),
                build: 1,
            },
        };
        let robot_key = match filled(self.robot_key) {
            None => None,
            Some(text) => {
                let bytes = keys::parse_seed(&text)
                    .ok_or_else(|| field("robot_key", "expected 64 hexadecimal digits".into()))?;
                Some(
                    PublicKey::enroll(bytes)
                        .map_err(|error| field("robot_key", error.to_string()))?,
                )
            }
        };
        Ok(Registration {
            code,
            body: BodyName {
                maker: maker.clone(),
                serial: identity::canonical(&body_serial)
                    .map_err(|fault| field("body_serial", fault))?,
            },
            manufactured: parse::instant(&self.manufactured)
                .map_err(|fault| field("manufactured", fault))?,
            site: filled(self.site).unwrap_or_default(),
            origin: filled(self.origin)
                .unwrap_or_else(|| maker.country.clone())
                .to_ascii_uppercase(),
            prototype: self.prototype.unwrap_or(false),
            importers_filing: self.importers_filing.unwrap_or(false),
            identity_parts,
            parts,
            robot_key,
            firmware,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Ndjson,
}

fn form_of(path: &Path) -> Result<Form, Failed> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(Form::Csv),
        Some("ndjson" | "jsonl") => Ok(Form::Ndjson),
        _ => Err(Failed::usage(format!(
            "{}: the ending must be .csv, .ndjson or .jsonl",
            path.display()
        ))),
    }
}

/// The rows of a file, lazily: a file may be larger than memory.
fn rows(
    form: Form,
    reader: impl BufRead + 'static,
    defaults: Defaults,
) -> Box<dyn Iterator<Item = Parsed>> {
    let mut seen = Seen::default();
    let mut judge = move |line: u64, row: Result<Row, String>| {
        let registration = row.and_then(|row| {
            let registration = row.registration(&defaults)?;
            seen.first(line, &registration)?;
            Ok(registration)
        });
        (line, registration.map_err(|fault| BadRow { line, fault }))
    };
    match form {
        Form::Csv => {
            let reader = csv::ReaderBuilder::new()
                .trim(csv::Trim::All)
                .from_reader(reader);
            let mut rows = reader.into_deserialize::<Row>();
            Box::new(std::iter::from_fn(move || {
                let row = rows.next()?;
                let line = match &row {
                    Ok(_) => rows.reader().position().line().saturating_sub(1),
                    Err(error) => error.position().map_or(0, csv::Position::line),
                };
                Some(judge(line, row.map_err(|error| csv_fault(&error))))
            }))
        }
        Form::Ndjson => {
            let lines = (1..).zip(reader.lines());
            let filled =
                lines.filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
            Box::new(filled.map(move |(line, text)| {
                let row = text.map_err(|error| error.to_string());
                judge(
                    line,
                    row.and_then(|text| {
                        serde_json::from_str(&text).map_err(|error| error.to_string())
                    }),
                )
            }))
        }
    }
}

fn csv_fault(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} columns, the header has {expected_len}")
        }
        _ => error.to_string(),
    }
}

fn open(path: &Path, defaults: &Defaults) -> Result<Box<dyn Iterator<Item = Parsed>>, Failed> {
    let form = form_of(path)?;
    let file =
        File::open(path).map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
    Ok(rows(form, BufReader::new(file), defaults.clone()))
}

/// What a first pass over the file found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Survey {
    good: u64,
    /// The first bodies, as they are registered.
    made: Vec<Value>,
    bad_count: u64,
    bad: Vec<BadRow>,
}

fn survey(rows: impl Iterator<Item = Parsed>) -> Survey {
    let mut survey = Survey::default();
    for (line, row) in rows {
        match row {
            Ok(registration) => {
                survey.good += 1;
                if survey.made.len() < SHOWN_MAX {
                    survey.made.push(body(line, &registration.body));
                }
            }
            Err(bad) => {
                survey.bad_count += 1;
                if survey.bad.len() < SHOWN_MAX {
                    survey.bad.push(bad);
                }
            }
        }
    }
    survey
}

/// What was made of the spelling of a row's body.
fn body(line: u64, body: &BodyName) -> Value {
    let maker = &body.maker;
    json!({
        "line": line.to_string(),
        "maker": format!("{}:{}:{}", maker.scheme.name().to_ascii_lowercase(), maker.country, maker.identifier),
        "serial": body.serial,
    })
}

pub(crate) async fn run(
    args: ImportArgs,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    let defaults = Defaults {
        scheme: args.maker_scheme,
        country: args.maker_country.clone(),
        id: args.maker_id.clone(),
    };
    let survey = survey(open(&args.file, &defaults)?);
    let malformed = survey
        .bad
        .iter()
        .map(|bad| json!({"line": bad.line.to_string(), "fault": bad.fault}));
    let malformed: Vec<Value> = malformed.collect();
    if 0 < survey.bad_count && !args.skip_malformed {
        for bad in &survey.bad {
            say(format!("line {}: {}", bad.line, bad.fault));
        }
        let text = format!(
            "{} of {} rows are malformed; nothing was sent",
            survey.bad_count,
            survey.bad_count + survey.good
        );
        let mut failed = Failed::usage(text);
        failed.next = "Correct the rows, or send the good ones with --skip-malformed.".into();
        return Err(failed);
    }
    if args.dry_run {
        let value = json!({
            "dry_run": true,
            "rows": survey.good.to_string(),
            "malformed": survey.bad_count.to_string(),
            "malformed_rows": malformed,
            "first_bodies": survey.made,
        });
        return Ok(value.into());
    }
    let client = settings.client()?;
    let progress = progress(survey.good, format);
    let mut refusals = Refusals::new(args.refused.as_deref(), args.resume)?;
    let mut lines = LineBook::default();
    let started = std::time::Instant::now();
    // The iterator is read a request ahead of its answers, so lines are remembered until they are answered.
    let shared = std::cell::RefCell::new(&mut lines);
    let good = open(&args.file, &defaults)?.filter_map(|(line, row)| Some((line, row.ok()?)));
    let commands = good.map(|(line, registration)| {
        shared
            .borrow_mut()
            .sent(line, registration.code.to_string());
        Command::Register { registration }
    });
    let ended = client
        .submit_bulk(commands, |event| match event {
            BulkEvent::Answered { index, answer } => {
                progress.inc(1);
                let (line, code) = shared.borrow_mut().answered(index);
                if let ItemAnswer::Refused { rejection } = answer {
                    refusals.add(line, &code, rejection);
                }
            }
            BulkEvent::Resumed { attempts, failure } => {
                progress.suspend(|| say(format!("sending again (attempt {attempts}): {failure}")));
            }
        })
        .await;
    progress.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let (report, failure) = match ended {
        Ok(report) => (report, None),
        Err(failure) => (failure.report, Some(failure.source)),
    };
    let mut value = shown(&report, &refusals, survey.bad_count, &malformed, seconds);
    if let Some(error) = failure {
        let line = lines.first_unanswered();
        say(format!(
            "stopped after {} answers, at line {line}",
            report.answered
        ));
        let mut failed = Failed::from(error);
        failed.text = format!("{}; rows from line {line} on are not answered", failed.text);
        failed.next =
            "Run the import again with --resume: rows that are registered already are passed over."
                .into();
        return Err(failed);
    }
    for refusal in &refusals.shown {
        say(format!(
            "line {}: {}",
            refusal["line"].as_str().unwrap_or("?"),
            refusal["message"].as_str().unwrap_or("")
        ));
    }
    let code = if refusals.count == 0 && survey.bad_count == 0 {
        0
    } else {
        exit::ERROR
    };
    value["complete"] = (code == 0).into();
    Ok(Outcome { value, code })
}

fn shown(
    report: &BulkReport,
    refusals: &Refusals,
    bad: u64,
    malformed: &[Value],
    seconds: f64,
) -> Value {
    json!({
        "registered": report.done.to_string(),
        "refused": refusals.count.to_string(),
        "already_registered": refusals.already.to_string(),
        "malformed": bad.to_string(),
        "requests": report.requests.to_string(),
        "streams": report.streams.to_string(),
        "seconds": format!("{seconds:.3}"),
        "per_second": format!("{:.0}", report.answered as f64 / seconds.max(1e-9)),
        "log_index": report.position.log_index.to_string(),
        "refused_rows": refusals.shown,
        "malformed_rows": malformed,
    })
}

fn progress(count: u64, format: Format) -> ProgressBar {
    let visible = format == Format::Table && std::io::stderr().is_terminal();
    let target = if visible {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(count), target);
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} robots  {per_sec}  {eta} left",
    ) {
        bar.set_style(style);
    }
    bar
}

/// Lines of the rows sent, until they are answered. Answers may come in any order inside a request.
#[derive(Debug, Default)]
struct LineBook {
    next: u64,
    open: BTreeMap<u64, (u64, String)>,
}

impl LineBook {
    fn sent(&mut self, line: u64, code: String) {
        self.open.insert(self.next, (line, code));
        self.next += 1;
    }

    fn answered(&mut self, index: u64) -> (u64, String) {
        self.open.remove(&index).unwrap_or_default()
    }

    fn first_unanswered(&self) -> u64 {
        self.open
            .first_key_value()
            .map_or(0, |(_, (line, _))| *line)
    }
}

/// Refused rows: the first are shown, all are counted, and written to a file if one was named.
struct Refusals {
    count: u64,
    already: u64,
    resume: bool,
    shown: Vec<Value>,
    file: Option<std::io::BufWriter<File>>,
}

impl Refusals {
    fn new(path: Option<&Path>, resume: bool) -> Result<Self, Failed> {
        let file = match path {
            Some(path) => {
                let file = File::create(path)
                    .map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
                Some(std::io::BufWriter::new(file))
            }
            None => None,
        };
        Ok(Self {
            count: 0,
            already: 0,
            resume,
            shown: Vec::new(),
            file,
        })
    }

    fn add(&mut self, line: u64, code: &str, rejection: &Rejection) {
        if self.resume && rejection.reason == Reason::CodeExists {
            self.already += 1;
            return;
        }
        self.count += 1;
        let row = json!({
            "line": line.to_string(),
            "code": code,
            "reason": rejection.reason.name(),
            "message": rejection.to_string(),
            "next": rejection.reason.remedy(),
        });
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{row}")
        {
            say(format!("refused rows cannot be written: {error}"));
            self.file = None;
        }
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            scheme: IdentifierScheme::Name,
            country: Some("CN".into()),
            id: Some("Unitree".into()),
        }
    }

    fn check(form: Form, text: &'static str) -> Vec<(u64, Result<String, String>)> {
        let rows = rows(form, BufReader::new(text.as_bytes()), defaults());
        rows.map(|(line, row)| {
            (
                line,
                row.map(|r| r.code.to_string()).map_err(|bad| bad.fault),
            )
        })
        .collect()
    }

    const CODE_1: &str = "86000110000200000000000000001";
    const CODE_2: &str = "86000110000200000000000000002";

    #[test]
    fn csv_rows_are_told_by_their_line() {
        let text = "code,manufactured,parts\n\
            86-0001-100002-00000000000000001,2026-05-01,compute:C1 battery:B1:L7\n\
            86-0001-10000X-00000000000000009,2026-05-01,\n\
            86000110000200000000000000002,yesterday,\n\
            86000110000200000000000000002,2026-05-01,wheel:1\n\
            86000110000200000000000000002,2026-05-01\n\
            86000110000200000000000000002,2026-05-01,\n";
        let found = check(Form::Csv, text);
        let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
        assert_eq!(found[0].1, Ok(CODE_1.into()));
        let fault = |at: usize| found[at].1.clone().expect_err("a fault");
        assert!(
            fault(1).starts_with("code: model segment, position 13"),
            "{}",
            fault(1)
        );
        assert!(fault(2).starts_with("manufactured: "), "{}", fault(2));
        assert!(fault(3).starts_with("parts: one of "), "{}", fault(3));
        assert_eq!(fault(4), "2 columns, the header has 3");
        assert_eq!(found[5].1, Ok(CODE_2.into()));
    }

    #[test]
    fn a_misspelt_column_is_refused() {
        let found = check(
            Form::Csv,
            "code,manufactured,firmwear\n86000110000200000000000000001,2026-05-01,x\n",
        );
        let fault = found[0].1.clone().expect_err("a fault");
        assert!(fault.contains("firmwear"), "{fault}");
    }

    #[test]
    fn ndjson_takes_the_same_names() {
        let text = "{\"code\":\"86000110000200000000000000001\",\"manufactured\":\"2026-05-01\",\"prototype\":true}\n\
            \n\
            {\"code\":\"86000110000200000000000000002\"\n\
            {\"code\":\"86000110000200000000000000002\",\"manufactured\":\"2026-05-01T10:00:00Z\"}\n";
        let found = check(Form::Ndjson, text);
        assert_eq!(
            found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [1, 3, 4]
        );
        assert_eq!(found[0].1, Ok(CODE_1.into()));
        assert!(found[1].1.is_err());
        assert_eq!(found[2].1, Ok(CODE_2.into()));
    }

    #[test]
    fn the_body_is_the_same_however_the_row_writes_it() {
        let of = |row: Row| row.registration(&defaults()).expect("a robot").body;
        let plain = || Row {
            code: CODE_1.into(),
            manufactured: "2026-05-01".into(),
            ..Row::default()
        };
        let spelt = Row {
            body_serial: Some(" 00000000000000001 ".into()),
            maker_id: Some("UNITREE".into()),
            ..plain()
        };
        assert_eq!(of(plain()), of(spelt));
        let other = Row {
            maker_country: Some("DE".into()),
            ..plain()
        };
        assert_ne!(of(plain()), of(other));
    }

    #[test]
    fn rows_that_meet_in_the_world_are_shown_to_each_other() {
        let text = "code,manufactured,body_serial,parts\n\
            86000110000200000000000000001,2026-05-01,s 1,battery:B1\n\
            86000110000200000000000000002,2026-05-01,S-1,\n\
            86000110000200000000000000003,2026-05-01,S-3,battery:b1\n\
            86000110000200000000000000004,2026-05-01,S-4,battery:B4\n";
        let found = check(Form::Csv, text);
        let fault = |at: usize| found[at].1.clone().expect_err("a fault");
        assert!(found[0].1.is_ok() && found[3].1.is_ok());
        assert_eq!(fault(1), "body_serial: the same as in line 2");
        assert_eq!(fault(2), "parts: the same as in line 2");
    }

    #[test]
    fn a_resumed_import_passes_over_what_is_there() {
        let mut refusals = Refusals::new(None, true).expect("no file");
        refusals.add(2, CODE_1, &Rejection::from(Reason::CodeExists));
        refusals.add(3, CODE_2, &Rejection::from(Reason::ModelNotApproved));
        assert_eq!((refusals.already, refusals.count), (1, 1));
        assert_eq!(refusals.shown[0]["line"], "3");
    }
}
