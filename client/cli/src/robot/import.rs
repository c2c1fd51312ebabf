//! Robots from a file: every row is judged before the first is sent, and every refusal names its line.
//!
//! What this room promises: a row is registered as it stands, or it is named with its line and the reason, and with
//! `--refused` its own bytes come back in a file that can be imported again. One bad row does not stop the others. *Complete*
//! means that every row of the file was read and is registered. How a file is read is in [`crate::sheet`], what cells mean in
//! [`cells`].

mod cells;
mod registered;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use carnet_client::{ApiError, Client, ClientError};
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::{BodyName, IdentifierScheme};
use carnet_domain::rules::command::{Command, Registration};
use carnet_domain::rules::rejection::{Reason, Rejection};
use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};

use self::cells::{COLUMNS, Dates, Defaults};
use crate::Outcome;
use crate::exit::{self, Failed};
use crate::output::{Format, say};
use crate::parse;
use crate::rows::{
    self, Books, Kept, READS_AT_ONCE, ROWS_AT_ONCE, Refused, SHOWN_MAX, Why, Words, progress,
};
use crate::settings::Settings;
use crate::sheet::{Reading, Row, Rows, Sheet, Unreadable};

const WORDS: Words = Words {
    call: "carnet robot import",
    done: "registered",
    already: "already_registered",
    passed_over: "rows that are registered as they stand",
};

const COLUMNS_HELP: &str = "\
Columns of a CSV file, names of NDJSON (`carnet robot template` writes a file to begin with):
  code                required; hyphens and check digits are taken
  manufactured        required; 2026-05-01, or RFC 3339 with a time; other forms: --dates
  body_serial         the maker's serial of the body; default: the serial in the code
  site                where made
  origin              country of origin, two letters; default: the maker's country
  firmware            FAMILY:BUILD; default main:1
  parts               TYPE:SERIAL or TYPE:SERIAL:LOT, separated by spaces; compute and torso carry identity
  robot_key           KEY:PROOF, as `carnet robot prove-key` shows it
  prototype           true or false
  importers_filing    true or false
  maker_scheme, maker_country, maker_id      default: the options

The first line of a CSV file names its columns. `,`, `;`, tab and `|` are taken between them. A column that is named otherwise,
or is not wanted, is told by --map.";

#[derive(Debug, Args)]
#[command(after_help = COLUMNS_HELP)]
pub(crate) struct ImportArgs {
    /// The file; its ending says which form it has: .csv, .tsv, .ndjson or .jsonl.
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
    /// How the file was saved, if not as UTF-8: gb18030, big5, shift_jis, euc-kr, windows-1252, utf-16le, …
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// What stands between cells; default is what stands most often in the header.
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<char>,
    /// A column under another name: HEADER=COLUMN. HEADER=- passes a column over, *=- all that are not known. Repeatable.
    #[arg(long, value_name = "HEADER=COLUMN", value_parser = mapping)]
    map: Vec<(String, String)>,
    /// How dates are written.
    #[arg(long, value_enum, default_value = "iso")]
    dates: Dates,
    /// Send nothing if a single row is malformed.
    #[arg(long)]
    all_or_none: bool,
    /// A code that is registered already with the values of its row is no failure: an import that was cut off can be repeated.
    #[arg(long)]
    resume: bool,
    /// A new file for the rows that are not taken, as they stand; why stands beside it in FILE.why.ndjson.
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// Judge the file, ask the registry for the models and codes named, and send nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Which file to begin with.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct TemplateArgs {
    /// Of which form.
    #[arg(long, value_enum, default_value = "csv")]
    form: TemplateForm,
}

/// The forms of a file of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TemplateForm {
    /// A header and rows of cells.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A file with every column and two rows, to be filled in.
pub(crate) fn template(args: TemplateArgs) -> Value {
    // A robot of which everything is said, and one of which only what is required is.
    let full = [
        "86-0001-100002-00000000000000001",
        "2026-05-01",
        "S-0001",
        "Wuhan",
        "CN",
        "main:1",
        "compute:C-0001 battery:B-0001:LOT-7",
        "",
        "false",
        "false",
        "name",
        "CN",
        "Example Robotics",
    ];
    let plain = [
        "86-0001-100002-00000000000000002",
        "2026-05-01T10:00:00+08:00",
    ];
    let columns = || COLUMNS.iter().map(|(name, _)| *name);
    let text = match args.form {
        TemplateForm::Csv => {
            let empty = vec![""; COLUMNS.len() - plain.len()];
            let lines = [
                columns().collect::<Vec<_>>().join(","),
                full.join(","),
                [plain.as_slice(), &empty].concat().join(","),
            ];
            lines.join("\n")
        }
        TemplateForm::Ndjson => {
            let object = |cells: &[&str]| {
                let filled = columns().zip(cells).filter(|(_, cell)| !cell.is_empty());
                let fields: serde_json::Map<String, Value> = filled
                    .map(|(name, cell)| (name.to_owned(), Value::from(*cell)))
                    .collect();
                Value::Object(fields).to_string()
            };
            [object(&full), object(&plain)].join("\n")
        }
    };
    text.into()
}

pub(crate) fn mapping(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((header, column)) if !header.is_empty() => {
            Ok((header.to_owned(), column.trim().to_owned()))
        }
        _ => Err(format!("{text:?}: write HEADER=COLUMN")),
    }
}

pub(crate) fn delimiter(text: &str) -> Result<char, String> {
    let mut letters = text.chars();
    match (text, letters.next(), letters.next()) {
        ("\\t" | "tab", _, _) => Ok('\t'),
        (_, Some(letter), None) if letter != '"' && !letter.is_alphanumeric() => Ok(letter),
        _ => Err(
            "write one character other than a letter, a digit or a quote, or \"tab\"".to_owned(),
        ),
    }
}

impl ImportArgs {
    fn reading(&self) -> Reading {
        Reading {
            columns: COLUMNS,
            encoding: self.encoding.clone(),
            delimiter: self.delimiter,
            map: self.map.clone(),
            begins_row: Some(|cell| parse::code(cell).is_ok()),
        }
    }

    fn defaults(&self) -> Defaults {
        Defaults {
            scheme: self.maker_scheme,
            country: self.maker_country.clone(),
            id: self.maker_id.clone(),
            dates: self.dates,
        }
    }
}

/// Which row names a code, a body, a part or a key first: two rows that meet are one thing in the world, or a mistake.
#[derive(Debug, Default)]
struct Seen {
    codes: BTreeMap<Code, u64>,
    things: BTreeMap<Digest, u64>,
}

impl Seen {
    fn first(&mut self, line: u64, registration: &Registration) -> Result<(), String> {
        let same = |field: &str, other: u64| Err(format!("{field}: the same as in line {other}"));
        if let Some(other) = self.codes.get(&registration.code) {
            return same("code", *other);
        }
        let parts = registration
            .identity_parts
            .iter()
            .chain(&registration.parts);
        let named: Vec<(&str, Digest)> =
            std::iter::once(("body_serial", registration.body.identity()))
                .chain(parts.map(|part| ("parts", part.identity())))
                .chain(
                    registration
                        .robot_key
                        .as_ref()
                        .map(|key| ("robot_key", key.identity())),
                )
                .collect();
        // A row that is refused takes nothing: the next one may name the same things rightly.
        for (at, (field, identity)) in named.iter().enumerate() {
            if let Some(other) = self.things.get(identity) {
                return same(field, *other);
            }
            if named.iter().take(at).any(|(_, before)| before == identity) {
                return Err(format!("{field}: named twice in this row"));
            }
        }
        self.codes.insert(registration.code, line);
        self.things
            .extend(named.into_iter().map(|(_, identity)| (identity, line)));
        Ok(())
    }
}

/// The rows of a file as robots.
struct Robots {
    rows: Rows,
    defaults: Defaults,
    seen: Seen,
}

/// One row: a robot, or what is wrong with it.
struct Judged {
    line: u64,
    bytes: Range<u64>,
    robot: Result<Registration, String>,
}

impl Robots {
    fn of(rows: Rows, defaults: Defaults) -> Self {
        Self {
            rows,
            defaults,
            seen: Seen::default(),
        }
    }

    fn judge(&mut self, row: Row) -> Judged {
        let Row { line, bytes, cells } = row;
        let robot = cells.and_then(|cells| {
            let registration = cells::registration(&cells, &self.defaults)?;
            self.seen.first(line, &registration)?;
            Ok(registration)
        });
        Judged { line, bytes, robot }
    }
}

impl Iterator for Robots {
    type Item = Result<Judged, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.map(|row| self.judge(row)))
    }
}

/// What a first pass over the file found.
struct Survey {
    good: u64,
    /// The first bodies, as they are registered.
    made: Vec<Value>,
    bad_count: u64,
    bad: Vec<Value>,
    /// Of all that was read: a second pass must read the same.
    digest: Digest,
    head: Range<u64>,
}

fn survey(mut robots: Robots) -> Result<Survey, Unreadable> {
    let head = robots.rows.head();
    let (mut good, mut made, mut bad_count, mut bad) = (0, Vec::new(), 0, Vec::new());
    for judged in &mut robots {
        let judged = judged?;
        match judged.robot {
            Ok(registration) => {
                good += 1;
                if made.len() < SHOWN_MAX {
                    made.push(body(judged.line, &registration.body));
                }
            }
            Err(fault) => {
                bad_count += 1;
                if bad.len() < SHOWN_MAX {
                    bad.push(json!({"line": judged.line.to_string(), "message": fault}));
                }
            }
        }
    }
    if good + bad_count == 0 {
        return Err(Unreadable("the file has a header and no row".into()));
    }
    Ok(Survey {
        good,
        made,
        bad_count,
        bad,
        digest: robots.rows.digest(),
        head,
    })
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
    let unreadable = |fault: Unreadable| rows::unreadable(&WORDS, fault);
    let sheet = Sheet::open(&args.file, args.reading()).map_err(unreadable)?;
    let robots = || {
        let rows = sheet.rows().map_err(unreadable)?;
        Ok::<_, Failed>(Robots::of(rows, args.defaults()))
    };
    let survey = survey(robots()?).map_err(unreadable)?;
    if 0 < survey.bad_count && (args.all_or_none || survey.good == 0) {
        let (good, bad) = (survey.good, survey.bad_count);
        let kept = match &args.refused {
            Some(path) if !args.dry_run => {
                let refused = Refused::into(path, &sheet, &survey.head, args.resume.into())?;
                malformed(robots()?, refused, &sheet).map_err(unreadable)?
            }
            _ => Ok(None),
        };
        return Err(rows::nothing_sent(&WORDS, (good, bad), &survey.bad, kept));
    }
    if args.dry_run {
        return foresee(&args, settings, robots()?, &survey).await;
    }
    let client = settings.client()?;
    let refused = match &args.refused {
        Some(path) => Refused::into(path, &sheet, &survey.head, args.resume.into())?,
        None => Refused::nowhere(),
    };
    let bar = progress(survey.good, format);
    let started = std::time::Instant::now();
    // The iterator is read a request ahead of its answers, so what is sent is remembered until it is answered.
    let pass = RefCell::new(Pass {
        sheet: &sheet,
        robots: robots()?,
        refused,
        open: BTreeMap::new(),
        sent: 0,
        malformed: 0,
        exist: BTreeMap::new(),
        resume: args.resume,
        broken: None,
    });
    let commands = std::iter::from_fn(|| pass.borrow_mut().next_command());
    let (report, failure) = rows::send(&client, commands, &bar, |index, answer| {
        pass.borrow_mut().answered(index, answer);
    })
    .await;
    let mut pass = pass.into_inner();
    let seconds = started.elapsed().as_secs_f64();
    let mut books = Books {
        report,
        rows: survey.good + survey.bad_count,
        first_unanswered: pass.open.first_key_value().map(|(_, sent)| sent.line),
        ..Books::default()
    };
    // The compared rows come from the file once more: what was sent is not kept.
    let compared = match &failure {
        None if !pass.exist.is_empty() => compare(&client, &mut pass, robots()?).await,
        _ => Ok(0),
    };
    let changed = failure.is_none() && pass.robots.rows.digest() != survey.digest;
    let broken = pass.broken.take();
    let kept = books.take(pass.refused, pass.malformed);
    if let Some(error) = failure {
        return Err(books.stopped(&WORDS, error, &kept));
    }
    match compared {
        Ok(already) => books.already = already,
        Err(error) => return Err(books.not_compared(&WORDS, error)),
    }
    let unread = match (broken, changed) {
        (Some(Unreadable(fault)), _) => Some(fault),
        (None, true) => Some("the file changed while it was read".to_owned()),
        (None, false) => None,
    };
    let extra = json!({
        "streams": report.streams.to_string(),
        "seconds": format!("{seconds:.3}"),
        "per_second": format!("{:.0}", report.answered as f64 / seconds.max(1e-9)),
    });
    let faults = unread
        .map(|fault| ("not_read", fault))
        .into_iter()
        .collect();
    Ok(books.shown(&WORDS, kept, faults, extra, format))
}

/// Keeps every row of which nothing was sent because it is malformed.
fn malformed(robots: Robots, mut refused: Refused, sheet: &Sheet) -> Result<Kept, Unreadable> {
    for judged in robots {
        let Judged { line, bytes, robot } = judged?;
        if let Err(fault) = robot {
            refused.add(sheet, &bytes, Why::malformed(line, &fault));
        }
    }
    Ok(refused.finish().2)
}

/// The pass in which rows are sent.
struct Pass<'a> {
    sheet: &'a Sheet,
    robots: Robots,
    refused: Refused,
    /// What was sent and is not answered, by its place among all that was sent.
    open: BTreeMap<u64, Sent>,
    sent: u64,
    malformed: u64,
    /// Rows refused that may be registered already, with `--resume`: because of their code, or because of who asks, which is judged
    /// before the code is looked for.
    exist: BTreeMap<u64, Rejection>,
    resume: bool,
    /// Why the file was not read to its end.
    broken: Option<Unreadable>,
}

struct Sent {
    line: u64,
    bytes: Range<u64>,
    code: Code,
}

impl Pass<'_> {
    fn next_command(&mut self) -> Option<Command> {
        loop {
            let Judged { line, bytes, robot } = match self.robots.next()? {
                Ok(judged) => judged,
                Err(error) => {
                    self.broken = Some(error);
                    return None;
                }
            };
            match robot {
                Ok(registration) => {
                    let code = registration.code;
                    self.open.insert(self.sent, Sent { line, bytes, code });
                    self.sent += 1;
                    return Some(Command::Register { registration });
                }
                Err(fault) => {
                    self.malformed += 1;
                    self.refused
                        .add(self.sheet, &bytes, Why::malformed(line, &fault));
                }
            }
        }
    }

    fn answered(&mut self, index: u64, answer: &ItemAnswer) {
        let Some(sent) = self.open.remove(&index) else {
            return;
        };
        if let ItemAnswer::Refused { rejection } = answer {
            let perhaps = matches!(
                rejection.reason,
                Reason::CodeExists | Reason::ActorNotInStanding | Reason::EnterpriseNotActive
            );
            if self.resume && perhaps {
                self.exist.insert(sent.line, rejection.clone());
                return;
            }
            self.refused.add(
                self.sheet,
                &sent.bytes,
                Why::refused(sent.line, &sent.code, rejection),
            );
        }
    }
}

/// Compares the rows whose codes exist with what is registered. How many are the same; the others are refused.
async fn compare(client: &Client, pass: &mut Pass<'_>, robots: Robots) -> Result<u64, ClientError> {
    let exist = std::mem::take(&mut pass.exist);
    let rows = robots
        .filter_map(Result::ok)
        .filter(|row| exist.contains_key(&row.line));
    let rows = rows.filter_map(|row| Some((row.line, row.bytes, row.robot.ok()?)));
    let compared = futures::stream::iter(rows).map(|(line, bytes, registration)| async move {
        let found = match registered::differences(client, &registration).await {
            Ok(differences) => Ok(Some(differences)),
            Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        };
        found.map(|differences| (line, bytes, registration.code, differences))
    });
    let mut compared = compared.buffered(READS_AT_ONCE);
    let mut already = 0;
    while let Some(found) = compared.next().await {
        let (line, bytes, code, differences) = found?;
        let Some(differences) = differences else {
            if let Some(rejection) = exist.get(&line) {
                let why = Why::refused(line, &code, rejection);
                pass.refused.add(pass.sheet, &bytes, why);
            }
            continue;
        };
        if differences.is_empty() {
            already += 1;
            continue;
        }
        let why = Why {
            line,
            code: Some(code.to_string()),
            reason: "REGISTERED_OTHERWISE".into(),
            message: format!("the code is registered with other values: {}", differences.join("; ")),
            next: "Find out which values are right; a wrong one there is corrected by an action on the robot, in the row by \
                   editing it."
                .into(),
        };
        pass.refused.add(pass.sheet, &bytes, why);
    }
    Ok(already)
}

/// Says what an import would come to, and sends nothing.
async fn foresee(
    args: &ImportArgs,
    settings: &Settings,
    robots: Robots,
    survey: &Survey,
) -> Result<Outcome, Failed> {
    let mut value = json!({
        "dry_run": true,
        "rows": (survey.good + survey.bad_count).to_string(),
        "malformed": survey.bad_count.to_string(),
        "malformed_rows": survey.bad,
        "first_bodies": survey.made,
    });
    let mut would = Vec::new();
    let mut count = 0_u64;
    if settings.has_endpoints() {
        let client = settings.client()?;
        let rows = robots.filter_map(Result::ok);
        let rows = rows.filter_map(|row| Some((row.line, row.robot.ok()?)));
        let asked = Asked {
            client: &client,
            resume: args.resume,
        };
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let some: Vec<_> = rows.by_ref().take(ROWS_AT_ONCE).collect();
            for (line, code, reason, message) in asked.judge(some).await? {
                count += 1;
                if would.len() < SHOWN_MAX {
                    would.push(json!({"line": line.to_string(), "code": code.to_string(), "reason": reason, "message": message}));
                }
            }
        }
        value["would_be_refused"] = count.to_string().into();
        value["rows_that_would_be_refused"] = would.into();
    } else {
        say("no endpoint is given: the registry was not asked for models and codes");
    }
    value["registry_asked"] = settings.has_endpoints().into();
    let code = if count == 0 && survey.bad_count == 0 {
        0
    } else {
        exit::ERROR
    };
    Ok(Outcome { value, code })
}

/// Whom a dry run asks.
struct Asked<'a> {
    client: &'a Client,
    resume: bool,
}

/// A row that would be refused: its line, its code, the reason and what it says.
type Foreseen = (u64, Code, String, String);

impl Asked<'_> {
    /// The rows that the rules would refuse now, by a node's word.
    async fn judge(&self, rows: Vec<(u64, Registration)>) -> Result<Vec<Foreseen>, ClientError> {
        let commands: Vec<Command> = rows
            .iter()
            .map(|(_, robot)| Command::Register {
                registration: robot.clone(),
            })
            .collect();
        let answers = self.client.unverified().foresee(&commands).await?;
        let mut out = Vec::new();
        for ((line, robot), against) in rows.into_iter().zip(answers) {
            let Some(rejection) = against.against() else {
                continue;
            };
            let mut message = rejection.to_string();
            if rejection.reason == Reason::CodeExists {
                match self.registered(&robot).await? {
                    None if self.resume => continue,
                    None => message = "registered already, with the same values".to_owned(),
                    Some(differences) => {
                        message = format!("registered already, with other values: {differences}");
                    }
                }
            }
            out.push((
                line,
                robot.code,
                rejection.reason.name().to_owned(),
                message,
            ));
        }
        Ok(out)
    }

    /// What differs from the registration that is there; none when it is the same.
    async fn registered(&self, robot: &Registration) -> Result<Option<String>, ClientError> {
        let differences = registered::differences(self.client, robot).await?;
        Ok(Some(differences.join("; ")).filter(|text| !text.is_empty()))
    }
}
