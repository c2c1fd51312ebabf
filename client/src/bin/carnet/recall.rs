//! Recalls: opened, withdrawn, remedied robot by robot.

use carnet_domain::bytes::code::{Code, ModelId, Prefix};
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
    /// Opens a recall. It binds at its commit, however many robots match.
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
    /// First serial.
    #[arg(long, default_value = "")]
    serial_from: String,
    /// Last serial.
    #[arg(long, default_value = "")]
    serial_to: String,
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
    /// Part lot.
    #[arg(long, default_value = "")]
    part_lot: String,
    #[command(flatten)]
    write: Write,
}

/// The registry spoken to: it issues the recalls that are named by number alone.
fn own(settings: &Settings) -> Result<Prefix, Failed> {
    let prefix = settings.prefix();
    prefix.ok_or_else(|| Failed::usage("which registry is meant? say --prefix"))
}

fn named(text: &str, settings: &Settings) -> Result<RecallId, Failed> {
    match RecallId::parse(text) {
        Some(id) => Ok(id),
        None => Ok(RecallId {
            issuer: own(settings)?,
            number: text.to_owned(),
        }),
    }
}

pub(crate) async fn run(verb: Recall, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Recall::Open(open) => {
            let all = Predicate::all();
            let (number, write) = (open.number.clone(), open.write);
            let predicate = Predicate {
                serial_from: open.serial_from.to_ascii_uppercase(),
                serial_to: open.serial_to.to_ascii_uppercase(),
                build_from: open.build_from,
                build_to: open.build_to,
                made_from: open.made_from.map_or(all.made_from, When::resolve),
                made_to: open.made_to.map_or(all.made_to, When::resolve),
                part_lot: open.part_lot,
            };
            let mut models = open.models;
            models.sort();
            models.dedup();
            let notice = RecallNotice {
                id: RecallId {
                    issuer: own(settings)?,
                    number: open.number,
                },
                severity: open.severity,
                predicate,
            };
            let command = Command::OpenRecall {
                notice,
                models,
                remedy: open.remedy,
            };
            submit::one(settings, write, command, json!({"recall": number})).await
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
