//! `carnet consignment`: many robots under one reference, with one declaration and one signature, each with its own answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use carnet_client::{Client, MovementQuery};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::limits::common_commodity;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::transfer::{Stage, Transfer};
use carnet_domain::rules::command::{Command, Condition, TransferId};
use carnet_wire::limits::ITEMS_MAX;
use clap::{Args, Subcommand};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::exit::{self, Failed};
use crate::export::{self, Terms};
use crate::output::{Format, say};
use crate::pages::PAGE_SIZE;
use crate::parse::{self, When, hyphened};
use crate::rows;
use crate::settings::Settings;
use crate::sheet::{Reading, Sheet};
use crate::submit::party;
use crate::{Outcome, import, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Consignment {
    /// Offers the robots of a file to another country under one reference and one declaration. Each is answered by itself.
    Declare(Box<Declare>),
    /// Permits the import of those that are offered.
    Permit {
        #[command(flatten)]
        which: Which,
        /// Departure at the latest.
        #[arg(long, default_value = "+30d", allow_hyphen_values = true)]
        depart_by: When,
        /// inspection, firmware-at-least:BUILD or document:DIGEST.
        #[arg(long = "condition", value_parser = import::condition)]
        conditions: Vec<Condition>,
        /// Commodity code of the import declaration: robots that were declared under another one are left out.
        #[arg(long, default_value = "", value_parser = parse::commodity)]
        commodity: String,
    },
    /// Releases those that are permitted: from here on the importing country is responsible.
    Depart {
        #[command(flatten)]
        which: Which,
        /// Office of exit.
        #[arg(long)]
        place: String,
    },
    /// Admits those that are under way. What was detained is admitted only where it is named, against a document.
    Admit {
        #[command(flatten)]
        which: Which,
        /// Office of entry.
        #[arg(long)]
        place: String,
        /// Importer of record: a person's name (kept as a salted commitment) or commitment, enterprise/ID or office/PREFIX/NAME.
        #[arg(long)]
        importer: String,
        /// Documents shown: digests or files.
        #[arg(long = "document")]
        documents: Vec<String>,
    },
    /// Detains those that are under way, whether or not they have come: each is admitted against a document of what was found.
    Detain {
        #[command(flatten)]
        which: Which,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Refuses those that are offered, or takes their permits back.
    Refuse {
        #[command(flatten)]
        which: Which,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Shows where each robot of a consignment stands.
    Show {
        #[command(flatten)]
        named: Named,
    },
}

/// Which consignment.
#[derive(Debug, Clone, Args)]
pub(crate) struct Named {
    /// Its reference (UCR), as it was declared.
    #[arg(value_parser = parse::ucr)]
    ucr: String,
    /// The country that declared it; needed only where two declared one under the same reference.
    #[arg(long)]
    from: Option<Prefix>,
}

/// Which consignment, and which robots of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    named: Named,
    /// Only this robot. May be repeated.
    #[arg(long = "robot", value_name = "CODE", value_parser = parse::code)]
    robots: Vec<Code>,
    /// Only the robots of a file: .txt with one code a line, or .csv, .tsv, .ndjson or .jsonl with a column `code`.
    #[arg(long, value_name = "FILE")]
    only: Option<PathBuf>,
    /// All but the robots of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "only")]
    except: Option<PathBuf>,
    /// Ask a node what the rules would answer now, and send nothing that could be executed.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Declare {
    /// The robots: .txt with one code a line, or .csv, .tsv, .ndjson or .jsonl with a column `code`; at most 10,000.
    file: PathBuf,
    /// Reference of the consignment (UCR), at most 35 of 0-9A-Z-./; default is drawn at random.
    #[arg(long, value_parser = parse::ucr)]
    ucr: Option<String>,
    #[command(flatten)]
    terms: Terms,
    /// Ask a node what the rules would answer now, and send nothing that could be executed.
    #[arg(long)]
    dry_run: bool,
}

/// One robot of a consignment, and what is sent of it.
struct Sent {
    code: Code,
    transfer: TransferId,
    command: Command,
}

pub(crate) async fn run(
    verb: Consignment,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    match verb {
        Consignment::Declare(declare) => declare_all(*declare, &client, settings, format).await,
        Consignment::Permit {
            which,
            depart_by,
            conditions,
            commodity,
        } => {
            let depart_by = depart_by.resolve();
            let make = |transfer: &Transfer| Command::PermitImport {
                transfer: transfer.id,
                depart_by,
                conditions: conditions.clone(),
            };
            let agrees = |transfer: &Transfer| agrees(&commodity, &transfer.papers.commodity);
            let step = Step {
                verb: "permit",
                at: &[Stage::Offered],
                where_named: &[],
            };
            answer(&client, &which, step, (agrees, make), format).await
        }
        Consignment::Depart { which, place } => {
            let make = |transfer: &Transfer| Command::Depart {
                transfer: transfer.id,
                place: place.clone(),
            };
            let step = Step {
                verb: "depart",
                at: &[Stage::Permitted],
                where_named: &[],
            };
            answer(&client, &which, step, (any, make), format).await
        }
        Consignment::Admit {
            which,
            place,
            importer,
            documents,
        } => {
            let (importer, kept) = party("importer", &importer)?;
            let documents = parse::digests(&documents)?;
            let make = |transfer: &Transfer| Command::Admit {
                transfer: transfer.id,
                place: place.clone(),
                importer: importer.clone(),
                documents: documents.clone(),
                countersignature: None,
            };
            let step = Step {
                verb: "admit",
                at: &[Stage::InTransit],
                where_named: &[Stage::Detained],
            };
            let mut outcome = answer(&client, &which, step, (any, make), format).await?;
            if let (Some(fields), Value::Object(kept)) = (outcome.value.as_object_mut(), kept) {
                fields.extend(kept);
            }
            Ok(outcome)
        }
        Consignment::Detain { which, reason } => {
            let make = |transfer: &Transfer| Command::Detain {
                transfer: transfer.id,
                reason: reason.clone(),
            };
            let step = Step {
                verb: "detain",
                at: &[Stage::InTransit],
                where_named: &[Stage::Detained],
            };
            answer(&client, &which, step, (any, make), format).await
        }
        Consignment::Refuse { which, reason } => {
            let make = |transfer: &Transfer| Command::RefuseImport {
                transfer: transfer.id,
                reason: reason.clone(),
            };
            let step = Step {
                verb: "refuse",
                at: &[Stage::Offered, Stage::Permitted],
                where_named: &[],
            };
            answer(&client, &which, step, (any, make), format).await
        }
        Consignment::Show { named } => {
            let found = transfers_of(&client, &named).await?;
            Ok(shown(&named.ucr, &found, format).into())
        }
    }
}

fn any(_: &Transfer) -> bool {
    true
}

/// Whether a commodity code is the one asked for, as far as every country reads it alike.
fn agrees(asked: &str, declared: &str) -> bool {
    asked.is_empty() || common_commodity(asked) == common_commodity(declared)
}

/// What a verb follows.
#[derive(Clone, Copy)]
struct Step {
    verb: &'static str,
    /// Where robots stand that it is for.
    at: &'static [Stage],
    /// Where they may stand beside that, if they are named one by one.
    where_named: &'static [Stage],
}

/// Every transfer of a consignment, by code.
async fn transfers_of(client: &Client, named: &Named) -> Result<Vec<Transfer>, Failed> {
    let query = MovementQuery {
        ucr: named.ucr.clone(),
        from: named.from,
        ..MovementQuery::default()
    };
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let told = client.unverified();
        let page = told.query_movements(&query, PAGE_SIZE, &token);
        let page = page.await?;
        found.extend(page.values);
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    if found.is_empty() {
        return Err(Failed {
            next: "Check the reference, and that the exporting country's mail has come (carnet peer get).".into(),
            ..Failed::verdict(
                exit::NOT_FOUND,
                format!("no consignment {} is known here", named.ucr),
            )
        });
    }
    // A robot that was offered again under it stands where its newest transfer does.
    found.sort_by_key(|transfer| (transfer.code, transfer.epoch));
    let mut newest: Vec<Transfer> = Vec::with_capacity(found.len());
    for transfer in found {
        match newest.last_mut() {
            Some(last) if last.code == transfer.code => *last = transfer,
            _ => newest.push(transfer),
        }
    }
    Ok(newest)
}

/// The robots of a file, each once, in its order.
fn codes_of(path: &Path) -> Result<Vec<Code>, Failed> {
    let reading = Reading {
        columns: &[("code", true)],
        map: vec![("*".to_owned(), "-".to_owned())],
        begins_row: Some(|cell| parse::code(cell).is_ok()),
        ..Reading::default()
    };
    let sheet = Sheet::open_or_codes(path, reading)?;
    let (mut codes, mut known) = (Vec::new(), BTreeSet::new());
    for row in sheet.rows()? {
        let row = row?;
        let wrong = |fault: String| {
            let text = format!("{}: line {}: {fault}", path.display(), row.line);
            Failed::usage(text)
        };
        let cells = row.cells.clone().map_err(wrong)?;
        let code = cells.get("code").ok_or_else(|| wrong("no code".into()))?;
        let code = parse::code(code).map_err(wrong)?;
        if !known.insert(code) {
            return Err(wrong("this robot stands in the file already".into()));
        }
        codes.push(code);
        if codes.len() > ITEMS_MAX as usize {
            let text = format!("a consignment has at most {ITEMS_MAX} robots");
            return Err(Failed::usage(text));
        }
    }
    match codes.is_empty() {
        true => Err(Failed::usage(format!(
            "{}: it names no robot",
            path.display()
        ))),
        false => Ok(codes),
    }
}

async fn declare_all(
    declare: Declare,
    client: &Client,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    let codes = codes_of(&declare.file)?;
    let terms = declare.terms;
    let agreement = match terms.lacks_agreement() {
        Some(to) => Some(export::agreement_with(client, to).await?),
        None => None,
    };
    let ucr = match declare.ucr.filter(|ucr| !ucr.is_empty()) {
        Some(ucr) => ucr,
        None => {
            let drawn: [u8; 8] = rand::rng().random();
            format!("{}-{}", settings.registry()?, hex::encode_upper(drawn))
        }
    };
    let (parts, kept) = terms.parts(agreement, &ucr)?;
    let sent: Vec<Sent> = codes
        .into_iter()
        .map(|code| {
            let transfer = TransferId(rand::rng().random());
            Sent {
                code,
                transfer,
                command: parts.command(code, transfer),
            }
        })
        .collect();
    let mut extra = json!({"ucr": ucr, "agreement": parts.agreement()});
    if let (Some(fields), Value::Object(kept)) = (extra.as_object_mut(), kept) {
        fields.extend(kept);
    }
    if declare.dry_run {
        return foreseen(client, "declare", &sent, extra).await;
    }
    send(client, "declare", sent, extra, format).await
}

/// Answers the robots of a consignment that stand where a verb is for, as far as they are asked for.
async fn answer(
    client: &Client,
    which: &Which,
    step: Step,
    (wanted, make): (impl Fn(&Transfer) -> bool, impl Fn(&Transfer) -> Command),
    format: Format,
) -> Result<Outcome, Failed> {
    let found = transfers_of(client, &which.named).await?;
    let mut only: BTreeSet<Code> = which.robots.iter().copied().collect();
    if let Some(path) = &which.only {
        only.extend(codes_of(path)?);
    }
    let except: BTreeSet<Code> = match &which.except {
        Some(path) => codes_of(path)?.into_iter().collect(),
        None => BTreeSet::new(),
    };
    let known: BTreeSet<Code> = found.iter().map(|transfer| transfer.code).collect();
    if let Some(code) = only
        .iter()
        .chain(&except)
        .find(|code| !known.contains(code))
    {
        return Err(Failed::usage(format!(
            "{} is none of consignment {}; nothing was sent",
            code.display_form(),
            which.named.ucr
        )));
    }
    let named = !only.is_empty();
    let is_asked = |transfer: &Transfer| {
        let code = &transfer.code;
        (!named || only.contains(code)) && !except.contains(code)
    };
    let (mut sent, mut left) = (Vec::new(), BTreeMap::<String, u64>::new());
    for transfer in &found {
        let stage = transfer.stage();
        let stands = step.at.contains(&stage) || (named && step.where_named.contains(&stage));
        let why = match (is_asked(transfer), stands, wanted(transfer)) {
            (false, ..) => "not asked for".to_owned(),
            (_, false, _) => hyphened(stage.name()),
            (.., false) => format!("declared as {}", transfer.papers.commodity),
            _ => {
                sent.push(Sent {
                    code: transfer.code,
                    transfer: transfer.id,
                    command: make(transfer),
                });
                continue;
            }
        };
        *left.entry(why).or_default() += 1;
    }
    let left: Value = left
        .iter()
        .map(|(why, count)| (why.clone(), json!(count.to_string())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let extra = json!({"ucr": which.named.ucr, "left_out": left});
    if sent.is_empty() {
        say(format!(
            "no robot of it stands where {} is for it: carnet consignment show {}",
            step.verb, which.named.ucr
        ));
    }
    if which.dry_run {
        return foreseen(client, step.verb, &sent, extra).await;
    }
    send(client, step.verb, sent, extra, format).await
}

/// What the rules would answer now.
async fn foreseen(
    client: &Client,
    verb: &str,
    sent: &[Sent],
    extra: Value,
) -> Result<Outcome, Failed> {
    let mut refused = Vec::new();
    for some in sent.chunks(rows::ROWS_AT_ONCE) {
        let commands: Vec<Command> = some.iter().map(|one| one.command.clone()).collect();
        let foreseen = client.unverified().foresee(&commands).await?;
        for (one, sent) in foreseen.into_iter().zip(some) {
            if let Some(rejection) = one.against() {
                refused.push(json!({
                    "code": sent.code.to_string(),
                    "reason": rejection.reason.name(),
                    "message": rejection.to_string(),
                }));
            }
        }
    }
    let code = match refused.is_empty() {
        true => 0,
        false => exit::ERROR,
    };
    let mut value = json!({
        "dry_run": true,
        "verb": verb,
        "robots": sent.len().to_string(),
        "would_be_refused": refused.len().to_string(),
        "robots_that_would_be_refused": refused,
    });
    if let (Some(fields), Value::Object(extra)) = (value.as_object_mut(), extra) {
        fields.extend(extra);
    }
    Ok(Outcome { value, code })
}

/// Sends all under as few signatures as they have room under, one where they fit, and says what became of each.
async fn send(
    client: &Client,
    verb: &str,
    sent: Vec<Sent>,
    extra: Value,
    format: Format,
) -> Result<Outcome, Failed> {
    let bar = rows::progress(sent.len() as u64, format);
    let commands: Vec<Command> = sent.iter().map(|one| one.command.clone()).collect();
    let mut answers: Vec<Option<ItemAnswer>> = vec![None; sent.len()];
    let (report, failure) = rows::send(client, commands.into_iter(), &bar, |index, answer| {
        let place = usize::try_from(index)
            .ok()
            .and_then(|at| answers.get_mut(at));
        if let Some(place) = place {
            *place = Some(answer.clone());
        }
    })
    .await;
    let (mut by_reason, mut rows) = (BTreeMap::<String, u64>::new(), Vec::new());
    for (one, answer) in sent.iter().zip(&answers) {
        let mut row = json!({"code": one.code.to_string(), "transfer": one.transfer.to_string()});
        match answer {
            Some(ItemAnswer::Done {
                leaf_index, waits, ..
            }) => {
                row["answer"] = if *waits { "proposed" } else { "done" }.into();
                row["leaf_index"] = leaf_index.to_string().into();
            }
            Some(ItemAnswer::Nothing {}) => row["answer"] = "nothing to do".into(),
            Some(ItemAnswer::Refused { rejection }) => {
                row["answer"] = "refused".into();
                row["reason"] = rejection.reason.name().into();
                row["message"] = rejection.to_string().into();
                row["next"] = rejection.next().into();
                *by_reason
                    .entry(rejection.reason.name().to_owned())
                    .or_default() += 1;
            }
            None => row["answer"] = "not answered".into(),
        }
        rows.push(row);
    }
    if let Some(error) = failure {
        let mut failed = Failed::from(error);
        if report.done > 0 && failed.effect == carnet_client::Effect::None {
            failed.effect = carnet_client::Effect::Happened;
        }
        failed.text = format!(
            "{}; {} of {} robots are answered",
            failed.text,
            report.answered,
            sent.len()
        );
        failed.next = match verb {
            "declare" => "Show the consignment, and declare those that it lacks.".into(),
            _ => "Run it again: robots that went on are left out.".into(),
        };
        return Err(failed);
    }
    let is_refused = |row: &&Value| row["answer"] == "refused";
    for row in rows.iter().filter(is_refused).take(rows::SHOWN_MAX) {
        say(format!("{}: {}", text(row, "code"), text(row, "message")));
    }
    let mut value = json!({
        "verb": verb,
        "robots": sent.len().to_string(),
        "done": (report.done - report.waiting).to_string(),
        "proposed": report.waiting.to_string(),
        "refused": report.refused.to_string(),
        "refused_by_reason": by_reason,
        "signatures": report.requests.to_string(),
        "log_index": report.position.log_index.to_string(),
        "complete": (report.refused == 0 && report.waiting == 0),
    });
    if let (Some(fields), Value::Object(extra)) = (value.as_object_mut(), extra) {
        fields.extend(extra);
    }
    if report.waiting > 0 {
        value["next"] = view::SECOND_OF_ROBOT.into();
    }
    if !format.is_for_people() {
        value["answers"] = rows.into();
    }
    let code = match report.refused == 0 && report.waiting == 0 && !sent.is_empty() {
        true => 0,
        false => exit::ERROR,
    };
    Ok(Outcome { value, code })
}

fn text<'v>(row: &'v Value, field: &str) -> &'v str {
    row[field].as_str().unwrap_or_default()
}

/// Where the robots of a consignment stand: counted, then one by one.
fn shown(ucr: &str, found: &[Transfer], format: Format) -> Value {
    let mut stages = BTreeMap::<Stage, u64>::new();
    for transfer in found {
        *stages.entry(transfer.stage()).or_default() += 1;
    }
    let rows: Vec<Value> = found.iter().map(view::movement_row).collect();
    if format.is_for_people() {
        let counts: Vec<String> = stages
            .iter()
            .map(|(stage, count)| format!("{count} {}", hyphened(stage.name())))
            .collect();
        say(format!(
            "consignment {ucr}: {} robots: {}",
            found.len(),
            counts.join(", ")
        ));
        return Value::Array(rows);
    }
    let stages: serde_json::Map<String, Value> = stages
        .iter()
        .map(|(stage, count)| (hyphened(stage.name()), count.to_string().into()))
        .collect();
    let first = found.first();
    json!({
        "ucr": ucr,
        "from": first.map(|it| it.from.to_string()),
        "to": first.map(|it| it.to.to_string()),
        "declared_by": first.and_then(|it| it.declared_by).map(|id| id.to_string()),
        "mrn": first.map(|it| it.papers.mrn.clone()),
        "robots": found.len().to_string(),
        "stages": stages,
        "transfers": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commodity_code_agrees_as_far_as_every_country_reads_it_alike() {
        assert!(agrees("", "950300"));
        assert!(agrees("8479509000", "84795010"));
        assert!(!agrees("847950", "950300"));
        assert!(!agrees("847950", ""));
    }

    #[test]
    fn a_robot_stands_once_in_a_consignment() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("truck.txt");
        let code = "86-0001-000002-00000000000000042";
        let written = |text: &str| std::fs::write(&path, text).expect("written");
        written(&format!("{code}\n86000110000200000000000000043\n"));
        assert_eq!(codes_of(&path).expect("two").len(), 2);
        written(&format!("{code}\n{code}\n"));
        let twice = codes_of(&path).expect_err("twice");
        assert!(twice.text.contains("line 2"), "{}", twice.text);
        written("\n");
        assert!(codes_of(&path).is_err());
    }
}
