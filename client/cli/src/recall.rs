//! Recalls: opened, amended, withdrawn, remedied robot by robot.

use carnet_client::identity;
use carnet_domain::bytes::code::{Code, ModelId, Serial};
use carnet_domain::record::{
    Predicate, Recall as RecallRecord, RecallDecision, RecallId, RecallNotice, Robot, Severity,
};
use carnet_domain::rules::command::Command;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::exit::Failed;
use crate::output::say;
use crate::pages::LOOKED_MAX;
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::submit::{self, Sure, Write};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Recall {
    /// Opens a recall. It binds at its commit, however many robots match; the answer says how many do now, with --dry-run
    /// before anything is sent.
    Open(Box<Open>),
    /// Amends a recall, as the side that opened it: what is not said stays as it is. It binds as amended from its commit; what
    /// was remedied stays remedied. With --dry-run the answer says how many robots match before and after.
    Amend(Box<Amend>),
    /// Withdraws a recall, for good: its number is used.
    Withdraw {
        /// Its number, or issuer/number.
        recall: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        write: Write,
    },
    /// Lets a recall of another country bind here that is beyond what the agreement lets bind by itself: `recall list` shows it as
    /// proposed. As the regulator; it counts until its issuer says something else, and may be declined later.
    Accept(Decided),
    /// Lets it not bind here; what bound of it before goes on.
    Decline(Decided),
    /// Records that a robot's recall was remedied. Of many robots: `carnet robot each FILE remedy RECALL`.
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
    /// Says how far a recall has come: how many robots it matches or matched, how many owe it and how many were remedied.
    /// Whoever may list the robots of its models may ask.
    Progress {
        /// Its number, or issuer/number.
        recall: String,
        /// Name the robots that owe it, as many as this.
        #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "1000")]
        owing: Option<usize>,
    },
    /// Lists recalls.
    List {
        /// Only those of a model.
        #[arg(long)]
        model: Option<ModelId>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Decided {
    /// issuer/number.
    recall: String,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    write: Write,
}

#[derive(Debug, Args)]
pub(crate) struct Open {
    /// Its number, as whoever recalls counts its recalls.
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
    /// Last manufacture date, which is in it to its last moment (UTC).
    #[arg(long, allow_hyphen_values = true, value_parser = parse::last)]
    made_to: Option<When>,
    /// Part lot; looked for among all parts of a robot.
    #[arg(long, default_value = "", value_parser = parse::lot)]
    part_lot: String,
    #[command(flatten)]
    write: Write,
}

#[derive(Debug, Args)]
pub(crate) struct Amend {
    /// Its number, or issuer/number.
    recall: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// The models it touches from now on, separated by commas.
    #[arg(long = "model", value_delimiter = ',')]
    models: Vec<ModelId>,
    /// advisory, remedy or stop-use.
    #[arg(long, value_parser = parse::severity)]
    severity: Option<Severity>,
    /// What to do.
    #[arg(long)]
    remedy: Option<String>,
    /// Forget serials, builds, dates and lot as they are: every robot of the models, but for what is said beside this.
    #[arg(long)]
    every_robot: bool,
    /// First serial; zeros on the left may be left out.
    #[arg(long, value_parser = parse::serial)]
    serial_from: Option<Serial>,
    /// Last serial, likewise.
    #[arg(long, value_parser = parse::serial)]
    serial_to: Option<Serial>,
    /// First firmware build.
    #[arg(long)]
    build_from: Option<u32>,
    /// Last firmware build.
    #[arg(long)]
    build_to: Option<u32>,
    /// First manufacture date.
    #[arg(long, allow_hyphen_values = true)]
    made_from: Option<When>,
    /// Last manufacture date, which is in it to its last moment (UTC).
    #[arg(long, allow_hyphen_values = true, value_parser = parse::last)]
    made_to: Option<When>,
    /// Part lot; looked for among all parts of a robot.
    #[arg(long, value_parser = parse::lot)]
    part_lot: Option<String>,
    #[command(flatten)]
    write: Write,
}

impl Amend {
    /// The predicate from now on.
    fn predicate(&self, before: &Predicate) -> Predicate {
        let from = match self.every_robot {
            true => Predicate::all(),
            false => before.clone(),
        };
        Predicate {
            serial_from: self.serial_from.or(from.serial_from),
            serial_to: self.serial_to.or(from.serial_to),
            build_from: self.build_from.unwrap_or(from.build_from),
            build_to: self.build_to.unwrap_or(from.build_to),
            made_from: self.made_from.map_or(from.made_from, When::resolve),
            made_to: self.made_to.map_or(from.made_to, When::resolve),
            part_lot: self.part_lot.clone().unwrap_or(from.part_lot),
        }
    }
}

async fn decide(
    decided: Decided,
    decision: RecallDecision,
    settings: &Settings,
) -> Result<Outcome, Failed> {
    let Decided {
        recall,
        reason,
        write,
    } = decided;
    let recall = named(&recall, settings)?;
    let extra = json!({"recall": recall.to_string()});
    let command = Command::DecideRecall {
        recall,
        decision,
        reason,
    };
    submit::one(settings, write, command, extra).await
}

async fn amend(amend: Amend, settings: &Settings) -> Result<Outcome, Failed> {
    let id = named(&amend.recall, settings)?;
    let before = settings.client()?.unverified().recall(&id).await?.value;
    let predicate = amend.predicate(&before.notice.predicate);
    in_order(&predicate)?;
    let mut models = match amend.models.is_empty() {
        true => before.models.clone(),
        false => amend.models,
    };
    models.sort();
    models.dedup();
    let mut extra = json!({"recall": id.to_string(), "models": models.len().to_string()});
    for (key, models, predicate) in [
        (
            "robots_matched_before",
            &before.models,
            &before.notice.predicate,
        ),
        ("robots_matched", &models, &predicate),
    ] {
        let matched = matched(settings, models, predicate).await;
        extra[key] = matched.unwrap_or_else(Value::from);
    }
    let command = Command::AmendRecall {
        notice: RecallNotice {
            id,
            severity: amend.severity.unwrap_or(before.notice.severity),
            predicate,
        },
        models,
        remedy: amend.remedy.unwrap_or(before.remedy),
        reason: amend.reason,
    };
    submit::one(settings, amend.write, command, extra).await
}

/// Refuses a range that ends before it begins.
fn in_order(predicate: &Predicate) -> Result<(), Failed> {
    match predicate.inverted() {
        Some(range) => {
            let text = format!("{} end before they begin", range.word());
            Err(Failed::usage(text))
        }
        None => Ok(()),
    }
}

pub(crate) fn named(text: &str, settings: &Settings) -> Result<RecallId, Failed> {
    match RecallId::parse(text) {
        Some(id) => Ok(id),
        None => Ok(RecallId {
            issuer: settings.registry()?,
            number: identity::canonical(text).map_err(Failed::usage)?,
        }),
    }
}

/// How far a recall has come.
#[derive(Debug, Default)]
struct Progress {
    looked: u64,
    owed: u64,
    remedied: u64,
    ended: u64,
    owing: Vec<String>,
}

impl Progress {
    /// Counts a robot of one of its models; names it while there is room.
    fn count(&mut self, recall: &RecallRecord, robot: &Robot, named_max: usize) {
        self.looked += 1;
        if robot.remedied.contains(&recall.notice.id) {
            self.remedied += 1;
        } else if robot.owes(recall) && robot.state.is_final() {
            self.ended += 1;
        } else if robot.owes(recall) {
            self.owed += 1;
            if self.owing.len() < named_max {
                self.owing.push(robot.identity.code.display_form());
            }
        }
    }

    fn shown(self, recall: &RecallRecord, list: bool) -> Value {
        let count = |number: u64| number.to_string();
        let mut value = json!({
            "recall": recall.notice.id.to_string(),
            "robots_looked_at": count(self.looked),
            "robots_matched": count(self.owed + self.remedied + self.ended),
            "robots_owing": count(self.owed),
            "robots_remedied": count(self.remedied),
            "robots_ended_unremedied": count(self.ended),
        });
        if list {
            value["owing"] = self.owing.into();
        }
        value
    }
}

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
            let page = client
                .unverified()
                .robots(model.as_str(), 1_000, &token)
                .await;
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
            in_order(&predicate)?;
            let mut extra = json!({"recall": number, "models": models.len().to_string()});
            let matched = matched(settings, &models, &predicate).await;
            extra["robots_matched"] = matched.unwrap_or_else(Value::from);
            if extra["robots_matched"] == "0" {
                say("no robot matches it now: compare models, serials, builds, dates and lot");
            }
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
        Recall::Amend(args) => amend(*args, settings).await,
        Recall::Withdraw {
            recall,
            reason,
            sure,
            write,
        } => {
            let recall = named(&recall, settings)?;
            sure.confirm("To withdraw a recall", &recall.to_string(), write)?;
            let extra = json!({"recall": recall.to_string()});
            submit::one(
                settings,
                write,
                Command::WithdrawRecall { recall, reason },
                extra,
            )
            .await
        }
        Recall::Accept(decided) => decide(decided, RecallDecision::Accept, settings).await,
        Recall::Decline(decided) => decide(decided, RecallDecision::Decline, settings).await,
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
            let found = settings.client()?.unverified().recall(&id).await?;
            Ok(view::at(view::recall(&found.value), found.position).into())
        }
        Recall::Progress { recall, owing } => {
            let id = named(&recall, settings)?;
            let client = settings.client()?;
            let client = client.unverified();
            let recall = client.recall(&id).await?.value;
            let mut progress = Progress::default();
            for model in &recall.models {
                let mut token = String::new();
                loop {
                    let page = client.robots(model.as_str(), 1_000, &token).await?;
                    for robot in &page.values {
                        progress.count(&recall, robot, owing.unwrap_or(0));
                    }
                    token = page.next;
                    if token.is_empty() {
                        break;
                    }
                }
            }
            Ok(progress.shown(&recall, owing.is_some()).into())
        }
        Recall::List { model } => {
            let client = settings.client()?;
            let filter = model.map(|id| id.to_string()).unwrap_or_default();
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = client.unverified().recalls(&filter, 0, &token).await?;
                rows.extend(page.values.iter().map(view::recall));
                token = page.next;
                if token.is_empty() {
                    return Ok(Value::Array(rows).into());
                }
            }
        }
    }
}
