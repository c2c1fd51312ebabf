//! Log time by the roots: on after a long outage, or back after clocks that ran ahead. Drafted in a file, signed by the
//! roots one after the other, and submitted.

use std::path::{Path, PathBuf};

use carnet_client::wall_time;
use carnet_domain::accord::{Signed, Statement, TimeChange};
use carnet_domain::encoding::{Blob, Canonical};
use carnet_domain::time::TimeMs;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::context::Settings;
use crate::exit::{Failed, chain};
use crate::parse::When;
use crate::submit::merge;
use crate::trust::{Roots, read, signatures, submit, write};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Time {
    /// Drafts: log time goes on, further than a quorum of clocks may move it. After an outage of more than an hour.
    Advance(Draft),
    /// Drafts: log time falls back. After the clocks of a quorum ran ahead.
    Repair(Draft),
    /// Adds our roots' signatures to a draft.
    Sign {
        /// The draft; it is replaced.
        file: PathBuf,
    },
    /// Shows a draft and who signed it.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Puts a draft with enough signatures into the log.
    Submit {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// Log time after it. Check this machine's clock first.
    #[arg(long, default_value = "+0s", allow_hyphen_values = true)]
    to: When,
}

pub(crate) async fn run(verb: Time, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Time::Advance(draft) => {
            drafted(draft, settings, |change| Statement::AdvanceTime { change }).await
        }
        Time::Repair(draft) => {
            drafted(draft, settings, |change| Statement::RepairTime { change }).await
        }
        Time::Sign { file } => {
            let (mut signed, statement) = read_draft(&file)?;
            for ours in Roots::open(settings.pki_dir()?)?.signatures(&signed.bytes.0) {
                signed.signatures.retain(|other| other.root != ours.root);
                signed.signatures.push(ours);
            }
            write(&file, &signed.to_bytes())?;
            Ok(shown(&statement, &signed, &file).into())
        }
        Time::Show { file } => {
            let (signed, statement) = read_draft(&file)?;
            Ok(shown(&statement, &signed, &file).into())
        }
        Time::Submit { file } => {
            let (signed, statement) = read_draft(&file)?;
            submit(settings, &statement, &signed, change_of(&statement)).await
        }
    }
}

async fn drafted(
    draft: Draft,
    settings: &Settings,
    statement: impl Fn(TimeChange) -> Statement,
) -> Result<Outcome, Failed> {
    let change = from_status(settings, draft.to.resolve()).await?;
    let statement = statement(change);
    let (from, to) = (change.from, change.to);
    let backwards = matches!(statement, Statement::RepairTime { .. });
    if from == to || backwards != (to < from) {
        return Err(Failed::usage(format!(
            "log time is {from}; from there to {to} is not what the verb says (this machine reads {})",
            wall_time()
        )));
    }
    let signed = Signed {
        bytes: Blob(statement.to_bytes()),
        signatures: Vec::new(),
    };
    write(&draft.file, &signed.to_bytes())?;
    Ok(shown(&statement, &signed, &draft.file).into())
}

/// What the next statement about time must say, by the node that has applied most.
async fn from_status(settings: &Settings, to: TimeMs) -> Result<TimeChange, Failed> {
    let admin = settings.admin()?;
    let mut newest = None;
    let mut error = None;
    for endpoint in admin.endpoints() {
        match admin.status(endpoint, false).await {
            Ok(status) => {
                let newer = newest.as_ref().is_none_or(
                    |known: &carnet_client::admin::GetStatusResponse| {
                        known.applied < status.applied
                    },
                );
                if newer {
                    newest = Some(status);
                }
            }
            Err(why) => error = Some(why),
        }
    }
    let Some(status) = newest else {
        return Err(match error {
            Some(error) => error.into(),
            None => Failed::usage("no admin endpoint is given"),
        });
    };
    let cluster = <[u8; 16]>::try_from(&status.cluster[..])
        .map_err(|_| Failed::local("the node names no cluster"))?;
    Ok(TimeChange {
        cluster,
        number: status.time_statements + 1,
        from: TimeMs(status.log_time_ms),
        to,
    })
}

fn read_draft(path: &Path) -> Result<(Signed, Statement), Failed> {
    let wrong = |error: carnet_domain::encoding::DecodeError| {
        Failed::usage(format!("{}: {}", path.display(), chain(&error)))
    };
    let signed = Signed::from_bytes(&read(path)?).map_err(wrong)?;
    match Statement::from_bytes(&signed.bytes.0).map_err(wrong)? {
        statement @ (Statement::AdvanceTime { .. } | Statement::RepairTime { .. }) => {
            Ok((signed, statement))
        }
        other => Err(Failed::usage(format!(
            "{}: not a statement about time, but {}",
            path.display(),
            other.name()
        ))),
    }
}

fn change_of(statement: &Statement) -> Value {
    match statement {
        Statement::AdvanceTime { change } | Statement::RepairTime { change } => json!({
            "cluster": hex::encode(change.cluster),
            "number": change.number.to_string(),
            "from": view::time(change.from),
            "to": view::time(change.to),
        }),
        _ => Value::Null,
    }
}

fn shown(statement: &Statement, signed: &Signed, file: &Path) -> Value {
    let more = json!({
        "statement": crate::parse::hyphened(statement.name()),
        "signatures": signatures(signed),
        "file": file.display().to_string(),
    });
    merge(change_of(statement), more)
}
