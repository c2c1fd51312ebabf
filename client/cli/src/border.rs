//! `carnet border desk`: one prompt for a checkpoint. A code comes from a keyboard or a scanner, and one screen says whether the robot
//! may be relied on, what it is, which transfer it is of, and what to do next; it is admitted, detained or refused by its code.
//!
//! It judges nothing: the verdict is the registry's, and every answer is that of the rules.

use std::io::{self, BufRead, IsTerminal};

use carnet_client::{ApiError, Client, ClientError, MovementQuery, wall_time};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::limits::common_commodity;
use carnet_domain::record::PartyName;
use carnet_domain::record::transfer::{Stage, Transfer};
use carnet_domain::rules::command::{Command, Purpose};
use carnet_trust::verdict::{Purpose as AskedFor, Value as Verdicted};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::exit::{self, Failed};
use crate::output::{Format, print, say};
use crate::parse::{self, hyphened};
use crate::settings::Settings;
use crate::submit::party;
use crate::{Outcome, verify, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Border {
    /// Looks up code after code as they are typed or scanned, and admits, detains or refuses robots by their codes.
    ///
    /// One line each:
    ///   CODE                      look up a robot
    ///   admit [CODE] [DOCUMENT]   admit it; DOCUMENT is a digest or a file
    ///   detain [CODE] REASON      detain it
    ///   refuse [CODE] REASON      refuse its offer
    ///   return [CODE] REASON      send it back
    ///   permit [CODE]             permit its import for 30 days
    ///   quit
    /// Without a code the robot looked up last is meant. Ends at the end of its input; the exit code is 1 if anything was refused.
    #[command(verbatim_doc_comment)]
    Desk(Desk),
}

#[derive(Debug, Args)]
pub(crate) struct Desk {
    /// This office, as it is written into admissions.
    #[arg(long)]
    place: String,
    /// Importer of record where the papers name no consignee: a person's name (kept as a salted commitment) or commitment,
    /// enterprise/ID or office/PREFIX/NAME.
    #[arg(long)]
    importer: Option<String>,
}

/// What one line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Nothing,
    Quit,
    Look(Code),
    /// A deed, of which robot if it is said, and the rest of the line.
    Do(Deed, Option<Code>, String),
}

/// What is done at a desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Permit,
    Admit,
    Detain,
    Refuse,
    Return,
}

const DEEDS: [(&str, Deed); 5] = [
    ("permit", Deed::Permit),
    ("admit", Deed::Admit),
    ("detain", Deed::Detain),
    ("refuse", Deed::Refuse),
    ("return", Deed::Return),
];

impl Line {
    /// # Errors
    /// Neither a code nor a deed.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if text.is_empty() {
            return Ok(Self::Nothing);
        }
        if matches!(word, "quit" | "exit") {
            return Ok(Self::Quit);
        }
        if let Some((_, deed)) = DEEDS.iter().find(|(name, _)| *name == word) {
            let rest = rest.trim();
            let (first, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            return Ok(match parse::code(first) {
                Ok(code) => Self::Do(*deed, Some(code), behind.trim().to_owned()),
                Err(_) => Self::Do(*deed, None, rest.to_owned()),
            });
        }
        // A scanner may read a label in pieces.
        let joined: String = text.split_whitespace().collect();
        match parse::code(&joined) {
            Ok(code) => Ok(Self::Look(code)),
            Err(fault) => Err(format!(
                "{text:?}: no code ({fault}), and none of permit, admit, detain, refuse, return, quit"
            )),
        }
    }
}

pub(crate) async fn run(
    verb: Border,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    let Border::Desk(desk) = verb;
    let client = settings.client()?;
    let here = settings.registry()?;
    let (mut last, mut refused) = (None, false);
    let asks = io::stdin().is_terminal() && format.is_for_people();
    let mut lines = io::stdin().lock().lines();
    loop {
        if asks {
            say("code, or permit, admit, detain, refuse, return:");
        }
        let Some(line) = lines.next() else { break };
        let line = line.map_err(|error| Failed::machine(format!("standard input: {error}")))?;
        let done = match Line::parse(&line) {
            Ok(Line::Nothing) => continue,
            Ok(Line::Quit) => break,
            Err(fault) => Err(Failed::usage(fault)),
            Ok(Line::Look(code)) => {
                last = Some(code);
                looked_up(&client, here, &code).await
            }
            Ok(Line::Do(deed, code, rest)) => match code.or(last) {
                None => Err(Failed::usage("no robot was looked up yet: give its code")),
                Some(code) => {
                    last = Some(code);
                    did(&client, here, &desk, deed, &code, &rest).await
                }
            },
        };
        match done {
            Ok(value) => shown(format, &value)?,
            // One that is refused ends nobody's day.
            Err(failed) => {
                refused = true;
                match format.is_for_people() {
                    true => say(format!(
                        "REFUSED   {}\n          {}",
                        failed.text, failed.next
                    )),
                    false => shown(
                        format,
                        &json!({"error": failed.reason, "message": failed.text, "next": failed.next}),
                    )?,
                }
            }
        }
    }
    let code = match refused {
        true => exit::ERROR,
        false => 0,
    };
    Ok(Outcome {
        value: Value::Null,
        code,
    })
}

/// One robot on one screen; for programs one object a line.
fn shown(format: Format, value: &Value) -> Result<(), Failed> {
    let printed = match format {
        Format::Json => print(Format::Table, &Value::String(value.to_string())),
        Format::Yaml => print(format, value),
        Format::Table | Format::Wide => print(format, &Value::String(screen(value))),
    };
    printed.map_err(Failed::machine)
}

/// The lines of a screen that say something.
fn screen(value: &Value) -> String {
    let mut lines = Vec::new();
    for (name, field) in value.as_object().into_iter().flatten() {
        let text = match field {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => continue,
            Value::Array(items) => {
                let items = items.iter().map(|item| item.as_str().unwrap_or_default());
                items.collect::<Vec<_>>().join("; ")
            }
            other => other.to_string(),
        };
        let name = match name.as_str() {
            "verdict" | "next" | "answer" => name.to_ascii_uppercase(),
            name => name.replace('_', " "),
        };
        lines.push(format!("{name:<11} {text}"));
    }
    lines.join("\n")
}

/// The newest transfer of a robot that concerns this country.
async fn newest(client: &Client, code: &Code) -> Result<Option<Transfer>, Failed> {
    let query = MovementQuery {
        robots: code.to_string(),
        ..MovementQuery::default()
    };
    let (mut found, mut token) = (None::<Transfer>, String::new());
    loop {
        let page = client
            .unverified()
            .query_movements(&query, 0, &token)
            .await?;
        for transfer in page.values {
            if found
                .as_ref()
                .is_none_or(|known| known.epoch <= transfer.epoch)
            {
                found = Some(transfer);
            }
        }
        token = page.next;
        if token.is_empty() {
            return Ok(found);
        }
    }
}

fn or_none<T>(found: Result<T, ClientError>) -> Result<Option<T>, Failed> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn looked_up(client: &Client, here: Prefix, code: &Code) -> Result<Value, Failed> {
    let told = client.unverified();
    let model_id = code.model_id();
    let (verdict, transfer, robot, model) = tokio::join!(
        verify::told(client, code, AskedFor::BorderInspection),
        newest(client, code),
        told.robot(code),
        told.model(&model_id),
    );
    let transfer = transfer?;
    let robot = or_none(robot)?.map(|found| found.value);
    let model = or_none(model)?.map(|found| found.value);
    let (words, value) = match &verdict {
        Ok(verdict) => {
            let why: Vec<&str> = verdict
                .reasons
                .iter()
                .map(|why| why.detail.as_str())
                .collect();
            (in_words(verdict.value, &why), Some(verdict.value))
        }
        Err(failed) => (format!("NOT JUDGED: {}", failed.text), None),
    };
    let holds: Vec<String> = robot
        .iter()
        .flat_map(|robot| &robot.holds)
        .map(|hold| format!("{} by {}", hyphened(hold.kind.name()), hold.setter))
        .collect();
    let stands = Standing {
        here,
        verdict: value,
        held: !holds.is_empty(),
    };
    let permit = transfer.as_ref().filter(|it| it.depart_by.0 > 0).map(|it| {
        let conditions: Vec<String> = it.conditions.iter().map(ToString::to_string).collect();
        match conditions.is_empty() {
            true => format!("departs by {}", it.depart_by),
            false => format!("departs by {}; {}", it.depart_by, conditions.join("; ")),
        }
    });
    let office = transfer.as_ref().map(|it| {
        let or = |office: &str| match office {
            "" => "not named".to_owned(),
            office => office.to_owned(),
        };
        let papers = &it.papers;
        format!(
            "entry {}, export {}",
            or(&papers.office_of_entry),
            or(&papers.office_of_export)
        )
    });
    let approved = model.as_ref().map(|model| model.facts.commodity.as_str());
    Ok(json!({
        "code": code.display_form(),
        "verdict": words,
        "state": robot.as_ref().map(|robot| hyphened(robot.state.name())),
        "model": model.as_ref().map_or_else(
            || format!("{model_id} (approved in {})", code.prefix()),
            |model| format!("{} {model_id}, {}", model.facts.name, hyphened(model.status.name())),
        ),
        "holds": holds,
        "transfer": transfer.as_ref().map(|it| format!(
            "{} from {} to {}, {}, {} since {}",
            it.id, it.from, it.to, hyphened(it.purpose.name()), hyphened(it.stage().name()), it.stage_at(),
        )),
        "consignment": transfer.as_ref().map(|it| it.papers.ucr.clone()),
        "permit": permit,
        "office": office,
        "mrn": transfer.as_ref().map(|it| it.papers.mrn.clone()),
        "commodity": transfer.as_ref().map(|it| commodity(&it.papers.commodity, approved)),
        "product_passport": transfer.as_ref().map(|it| it.papers.passport.clone()),
        "detained": transfer.as_ref().and_then(|it| {
            let rule = it.detained.as_ref().map(ToString::to_string);
            it.stopped.clone().or(rule)
        }),
        "next": next(&stands, transfer.as_ref()),
    }))
}

/// A verdict as one says it at a border.
fn in_words(value: Verdicted, why: &[&str]) -> String {
    let said = match value {
        Verdicted::Valid => "VALID: the robot is what its code says, and nothing speaks against it",
        Verdicted::Invalid => "INVALID: it is proven that the robot may not be let through",
        Verdicted::Stale => "STALE: what is known is too old to rely on",
        Verdicted::Indeterminate => "INDETERMINATE: not enough is known to rely on it",
    };
    match why.is_empty() {
        true => said.to_owned(),
        false => format!("{said} ({})", why.join("; ")),
    }
}

/// What customs law asks: whether code, commodity code and model agree.
fn commodity(declared: &str, approved: Option<&str>) -> String {
    match (declared, approved) {
        ("", _) => String::new(),
        (declared, None) => format!(
            "{declared} (of a model of another country, whose registry compared it with the approval)"
        ),
        (declared, Some("")) => format!("{declared} (the approval names none)"),
        (declared, Some(approved)) if common_commodity(declared) == common_commodity(approved) => {
            format!("{declared} (agrees with the approval)")
        }
        (declared, Some(approved)) => format!("{declared}, APPROVED AS {approved}"),
    }
}

/// What a desk knows beside the transfer.
struct Standing {
    here: Prefix,
    verdict: Option<Verdicted>,
    held: bool,
}

/// What to do next, in the words of the prompt.
fn next(stands: &Standing, transfer: Option<&Transfer>) -> String {
    let Some(transfer) = transfer else {
        return "no transfer of it is known here: keep it, and ask the exporting country for its declaration".into();
    };
    let invalid = stands.verdict == Some(Verdicted::Invalid);
    let comes = transfer.to == stands.here;
    match (transfer.stage(), comes) {
        (Stage::Offered, true) if invalid || stands.held => "refuse REASON".into(),
        (Stage::Offered, true) => "permit, or refuse REASON".into(),
        (Stage::Offered, false) => format!("wait for the permit of {}", transfer.to),
        (Stage::Permitted, true) => format!(
            "wait: {} has not released it; if it is here, keep it",
            transfer.from
        ),
        (Stage::Permitted, false) => format!(
            "release it: carnet export depart {} --place OFFICE",
            transfer.id
        ),
        (Stage::InTransit, true) if invalid || stands.held => "detain REASON".into(),
        (Stage::InTransit, true) if transfer.conditions.is_empty() => "admit".into(),
        (Stage::InTransit, true) => "admit DOCUMENT, which the permit asks for".into(),
        (Stage::Detained, true) if transfer.detained.is_some() => {
            "return REASON: it cannot be admitted as it was disclosed".into()
        }
        (Stage::Detained, true) => "admit DOCUMENT with what was found, or return REASON".into(),
        (Stage::InTransit | Stage::Detained, false) => {
            format!("nothing: {} is responsible for it", transfer.to)
        }
        (Stage::Admitted, true) => {
            let ending = transfer.ending.as_ref();
            let place = ending.map_or(String::new(), |ending| ending.place.clone());
            format!(
                "it was admitted before, at {place:?}: shown again, keep it (a permit is good once)"
            )
        }
        (Stage::Lost, _) => "keep it: its life ended on the way".into(),
        (Stage::Admitted, false) => format!("nothing: it is in {}", transfer.to),
        (Stage::Returned | Stage::Refused | Stage::Cancelled, _) => {
            "that transfer is over: to cross, it is declared anew".into()
        }
    }
}

/// Whom a robot is admitted for: whom its papers name, else whom this desk was told.
fn importer_of(desk: &Desk, transfer: &Transfer) -> Result<(PartyName, Value), Failed> {
    if let Some(named) = &transfer.papers.consignee {
        return Ok((named.clone(), json!({})));
    }
    match &desk.importer {
        Some(text) => party("importer", text),
        None => Err(Failed::usage(
            "the papers name no consignee: start the desk with --importer",
        )),
    }
}

async fn did(
    client: &Client,
    here: Prefix,
    desk: &Desk,
    deed: Deed,
    code: &Code,
    rest: &str,
) -> Result<Value, Failed> {
    let transfer = newest(client, code).await?;
    let transfer = transfer.filter(|it| it.to == here).ok_or_else(|| {
        Failed::usage(format!(
            "no transfer of {} to here is known",
            code.display_form()
        ))
    })?;
    let reason = || match rest {
        "" => Err(Failed::usage("say why, behind the word")),
        reason => Ok(reason.to_owned()),
    };
    let id = transfer.id;
    let mut kept = json!({});
    let command = match deed {
        Deed::Permit => Command::PermitImport {
            transfer: id,
            depart_by: wall_time().saturating_add(DurationMs::from_days(30)), // saturates: a time of this machine
            conditions: Vec::new(),
        },
        Deed::Admit => {
            let (importer, said) = importer_of(desk, &transfer)?;
            kept = said;
            let documents: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            let documents: Vec<Digest> = parse::digests(&documents)?;
            Command::Admit {
                transfer: id,
                place: desk.place.clone(),
                importer,
                documents,
                countersignature: None,
            }
        }
        Deed::Detain => Command::Detain {
            transfer: id,
            reason: reason()?,
        },
        Deed::Refuse => Command::RefuseImport {
            transfer: id,
            reason: reason()?,
        },
        Deed::Return => Command::Return {
            transfer: id,
            reason: reason()?,
        },
    };
    let submitted = client.submit(&[command]).await?;
    let done = view::done(&submitted.single()?);
    let word = match deed {
        Deed::Permit => "permitted",
        Deed::Admit => "admitted",
        Deed::Detain => "detained",
        Deed::Refuse => "refused its import",
        Deed::Return => "sent back",
    };
    let waits = done.get("next").is_some();
    let mut value = json!({
        "code": code.display_form(),
        "answer": match waits {
            true => "waits for a second person of the border".to_owned(),
            false => word.to_owned(),
        },
        "transfer": id.to_string(),
        "leaf": done.get("leaf_index").cloned().unwrap_or_default(),
    });
    if transfer.purpose != Purpose::PermanentExport && deed == Deed::Admit {
        value["purpose"] = format!("for a time: {}", hyphened(transfer.purpose.name())).into();
    }
    if let (Some(fields), Value::Object(kept)) = (value.as_object_mut(), kept) {
        fields.extend(kept);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_kit::{Country, befriend, transfer as number};

    const CODE: &str = "86-0001-100002-00000000000000001";

    #[test]
    fn a_line_is_a_code_or_a_deed_on_one() {
        let code = parse::code(CODE).expect("a code");
        let line = |text: &str| Line::parse(text).expect("a line");
        assert_eq!(line(CODE), Line::Look(code));
        // As a scanner may give it.
        assert_eq!(line("86 0001 100002 00000000000000001\r"), Line::Look(code));
        assert_eq!(line("  "), Line::Nothing);
        assert_eq!(line("quit"), Line::Quit);
        let detain = |code, why: &str| Line::Do(Deed::Detain, code, why.to_owned());
        assert_eq!(line("detain another plate"), detain(None, "another plate"));
        let named = format!("detain {CODE} another plate");
        assert_eq!(line(&named), detain(Some(code), "another plate"));
        assert_eq!(line("admit"), Line::Do(Deed::Admit, None, String::new()));
        assert!(Line::parse("addmit").is_err());
        assert!(Line::parse("86-0001").is_err());
    }

    #[test]
    fn what_to_do_next_follows_from_where_it_stands() {
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
        befriend(&mut a, &mut b);
        a.must("maker", a.register(1));
        a.must("maker", a.declare(1, number(1), &b.prefix));
        let offer = a.ledger.transfers().next().cloned().expect("an offer");
        let stands = |here: &Country, verdict| Standing {
            here: here.prefix,
            verdict: Some(verdict),
            held: false,
        };
        let at = |here: &Country, verdict, transfer: &Transfer| {
            next(&stands(here, verdict), Some(transfer))
        };
        assert_eq!(at(&b, Verdicted::Valid, &offer), "permit, or refuse REASON");
        assert_eq!(at(&b, Verdicted::Invalid, &offer), "refuse REASON");
        assert!(at(&a, Verdicted::Valid, &offer).contains("permit of 44"));
        let departed = Transfer {
            step: carnet_domain::custody::Step::Depart,
            ..offer.clone()
        };
        assert_eq!(at(&b, Verdicted::Valid, &departed), "admit");
        assert_eq!(at(&b, Verdicted::Invalid, &departed), "detain REASON");
        let stopped = Transfer {
            stopped: Some("why".into()),
            ..departed
        };
        assert!(at(&b, Verdicted::Valid, &stopped).starts_with("admit DOCUMENT"));
        assert!(next(&stands(&b, Verdicted::Valid), None).contains("keep it"));
    }

    #[test]
    fn code_commodity_and_model_agree_or_it_is_said() {
        assert!(commodity("8479509000", Some("847950")).contains("agrees"));
        assert!(commodity("950300", Some("847950")).contains("APPROVED AS 847950"));
        assert!(commodity("847950", None).contains("another country"));
        assert_eq!(commodity("", Some("847950")), "");
    }
}
