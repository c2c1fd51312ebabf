//! The roots of the own registry, replaced: drafted in a file, signed by a threshold of those before and of those after, and
//! submitted.

use std::path::PathBuf;

use carnet_domain::record::peer::{RootsChange, Statement};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::Settings;
use crate::draft::{Drafted, Of};
use crate::exit::Failed;
use crate::order::KeyText;

#[derive(Debug, Subcommand)]
pub(crate) enum Root {
    /// Replaces the roots, all or some: one was lost or stolen, or is old. A threshold of those before and of those after
    /// signs; whoever pinned the old ones follows with the next bundle, which both sign (`bundle export --former-root`).
    #[command(subcommand)]
    Rotate(Rotate),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rotate {
    /// Drafts the statement.
    Draft(Draft),
    #[command(flatten)]
    Drafted(Drafted),
}

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// A root from now on, all of them: 64 hexadecimal digits, or a .pub file. May be repeated.
    #[arg(long = "root", value_name = "KEY", required = true)]
    roots: Vec<KeyText>,
    /// How many of them sign.
    #[arg(long)]
    threshold: u8,
    /// Why.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(verb: Root, settings: &Settings) -> Result<Outcome, Failed> {
    let Root::Rotate(verb) = verb;
    match verb {
        Rotate::Draft(draft) => {
            let registry = settings.client()?.unverified().registry().await?.value;
            let roots: Result<Vec<_>, Failed> = draft.roots.iter().map(KeyText::read).collect();
            let roots = roots?;
            if draft.threshold == 0 || usize::from(draft.threshold) > roots.len() {
                return Err(Failed::usage(format!(
                    "--threshold {}: of {} roots",
                    draft.threshold,
                    roots.len()
                )));
            }
            let change = RootsChange {
                cluster: registry.cluster,
                number: registry.root_leaves.len() as u64 + 1,
                roots,
                threshold: draft.threshold,
                reason: draft.reason,
            };
            ROOTS.draft(&Statement::Roots { change }, &draft.file)
        }
        Rotate::Drafted(verb) => ROOTS.run(verb, settings).await,
    }
}

const ROOTS: Of = Of {
    what: "a replacement of the roots",
    says,
};

fn says(statement: &Statement) -> Option<Value> {
    let Statement::Roots { change } = statement else {
        return None;
    };
    let roots = change.roots.iter().map(ToString::to_string);
    Some(json!({
        "cluster": hex::encode(change.cluster),
        "number": change.number.to_string(),
        "roots": roots.collect::<Vec<_>>(),
        "threshold": change.threshold.to_string(),
        "reason": change.reason,
    }))
}
