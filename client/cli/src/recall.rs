//! Recalls: opened, withdrawn, remedied robot by robot.

use carnet_client::identity;
use carnet_domain::bytes::code::{Code, ModelId, Serial};
use carnet_domain::record::{Predicate, RecallId, RecallNotice, Severity};
use carnet_domain::rules::command::Command;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::context::Settings;
use crate::exit::Failed;
use crate::parse::{self, When};
use crate::submit::{self, Write};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Recall {
    /// Opens a recall. It binds at its commit, however many robots match; the answer says how many do now, with --dry-run
    /// before anything is sent.
    Open(Box<Open>),
    /// Withdraws a recall.
    Withdraw {
        /// Its number, or issuer/number.
        recall: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Records that a robot's recall was remedied.
    Remedy {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
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
    /// Shows a recall.
    Get {
        /// Its number, or issuer/number.
        recall: String,
    },
    /// Lists recalls.
    List {
        /// Only those of a model.
        #[arg(long)]
        model: Option<ModelId>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Open {
    /// Its number.
    number: String,
    /// Models it touches, separated by commas.
    #[arg(long = "model", value_delimiter = ',', required = true)]
    models: Vec<ModelId>,
    /// advisory, remedy or stop-use.
    #[arg(long, value_parser = parse::severity)]
    severity: Severity,
    /// What to do.
    #[arg(long)]
    remedy: String,
    /// First serial; zeros on the left may be left out.
    #[arg(long, value_parser = parse::serial)]
    serial_from: Option<Serial>,
    /// Last serial, likewise.
    #[arg(long, value_parser = parse::serial)]
    serial_to: Option<Serial>,
    /// First firmware build.
    #[arg(long, default_value = "0")]
    build_from: u32,
    /// Last firmware build.
    #[arg(long, default_value = "4294967295")]
    build_to: u32,
    /// First manufacture date.
    #[arg(long, allow_hyphen_values = true)]
    made_from: Option<When>,
    /// Last manufacture date.
    #[arg(long, allow_hyphen_values = true)]
    made_to: Option<When>,
    /// Part lot; looked for among all parts of a robot.
    #[arg(long, default_value = "", value_parser = parse::lot)]
    part_lot: String,
    #[command(flatten)]
    write: Write,
}

fn named(text: &str, settings: &Settings) -> Result<RecallId, Failed> {
    match RecallId::parse(text) {
        Some(id) => Ok(id),
        None => Ok(RecallId {
            issuer: settings.registry()?,
            number: identity::canonical(text).map_err(Failed::usage)?,
        }),
    }
}

/// The most robots that are looked through to say how many a recall matches.
const LOOKED_MAX: u64 = 100_000;

/// How many robots of the models a recall matches now, or why that cannot be said.
async fn matched(
    settings: &Settings,
    models: &[ModelId],
    predicate: &Predicate,
) -> Result<Value, String> {
    let unknown = |why: String| format!("not counted: {why}");
    let client = settings.client().map_err(|failed| unknown(failed.text))?;
    let (mut looked, mut count) = (0_u64, 0_u64);
    for model in models {
        let mut token = String::new();
        loop {
            let page = client.robots(model.as_str(), 1_000, &token).await;
            let page = page.map_err(|error| unknown(error.to_string()))?;
            looked += page.values.len() as u64;
            let robots = page.values.iter();
            count += robots
                .filter(|robot| !robot.state.is_final() && robot.is_matched(predicate))
                .count() as u64;
            token = page.next;
            if token.is_empty() {
                break;
            }
            if looked >= LOOKED_MAX {
                return Ok(format!("{count} of the first {looked} robots").into());
            }
        }
    }
    Ok(count.to_string().into())
}

pub(crate) async fn run(verb: Recall, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Recall::Open(open) => {
            let all = Predicate::all();
            let number = identity::canonical(&open.number).map_err(Failed::usage)?;
            let write = open.write;
            let predicate = Predicate {
                serial_from: open.serial_from,
                serial_to: open.serial_to,
                build_from: open.build_from,
                build_to: open.build_to,
                made_from: open.made_from.map_or(all.made_from, When::resolve),
                made_to: open.made_to.map_or(all.made_to, When::resolve),
                part_lot: open.part_lot,
            };
            let mut models = open.models;
            models.sort();
            models.dedup();
            if let Some(range) = predicate.inverted() {
                let text = format!("{} end before they begin", range.word());
                return Err(Failed::usage(text));
            }
            let mut extra = json!({"recall": number, "models": models.len().to_string()});
            let matched = matched(settings, &models, &predicate).await;
            extra["robots_matched"] = matched.unwrap_or_else(Value::from);
            let notice = RecallNotice {
                id: RecallId {
                    issuer: settings.registry()?,
                    number,
                },
                severity: open.severity,
                predicate,
            };
            let command = Command::OpenRecall {
                notice,
                models,
                remedy: open.remedy,
            };
            submit::one(settings, write, command, extra).await
        }
        Recall::Withdraw {
            recall,
            reason,
            write,
        } => {
            let recall = named(&recall, settings)?;
            let extra = json!({"recall": recall.to_string()});
            submit::one(
                settings,
                write,
                Command::WithdrawRecall { recall, reason },
                extra,
            )
            .await
        }
        Recall::Remedy {
            code,
            recall,
            report,
            write,
        } => {
            let report = parse::digest_of(&report)?;
            let recall = named(&recall, settings)?;
            let extra = json!({"code": code.to_string(), "recall": recall.to_string()});
            submit::one(
                settings,
                write,
                Command::RemedyRecall {
                    code,
                    recall,
                    report,
                },
                extra,
            )
            .await
        }
        Recall::Get { recall } => {
            let id = named(&recall, settings)?;
            let found = settings.client()?.recall(&id).await?;
            Ok(view::at(view::recall(&found.value), found.position).into())
        }
        Recall::List { model } => {
            let client = settings.client()?;
            let filter = model.map(|id| id.to_string()).unwrap_or_default();
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = client.recalls(&filter, 0, &token).await?;
                rows.extend(page.values.iter().map(view::recall));
                token = page.next;
                if token.is_empty() {
                    return Ok(Value::Array(rows).into());
                }
            }
        }
    }
}
