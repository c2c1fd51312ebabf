//! The roots of the own registry, replaced: drafted in a file, signed by a threshold of those before and of those after, and
//! submitted.

use std::path::{Path, PathBuf};

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::record::peer::{RootsChange, Signed, Statement};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::Settings;
use crate::exit::Failed;
use crate::order::KeyText;
use crate::trust::{Roots, read_statement, signatures, submit, write};

#[derive(Debug, Subcommand)]
pub(crate) enum Root {
    /// Replaces the roots, all or some: one was lost or stolen, or is old. A threshold of those before and of those after signs.
    #[command(subcommand)]
    Rotate(Rotate),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rotate {
    /// Drafts the statement.
    Draft(Draft),
    /// Adds signatures of root keys to a draft: of the old ones, and of the new ones.
    Sign {
        /// The draft; it is replaced.
        file: PathBuf,
        /// A root seed; default is every one in root/ of --pki.
        #[arg(long = "root", value_name = "FILE")]
        roots: Vec<PathBuf>,
    },
    /// Shows a draft and who signed it.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Puts a draft with enough signatures into the log. Whoever pinned the old roots follows with the next bundle, which both
    /// sign.
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
            let statement = Statement::Roots {
                change: change.clone(),
            };
            let signed = Signed {
                bytes: Blob(statement.to_bytes()),
                signatures: Vec::new(),
            };
            write(&draft.file, &signed.to_bytes())?;
            Ok(shown(&change, &signed).into())
        }
        Rotate::Sign { file, roots } => {
            let (mut signed, change) = read_draft(&file)?;
            Roots::of(&roots, settings)?.add_to(&mut signed);
            write(&file, &signed.to_bytes())?;
            Ok(shown(&change, &signed).into())
        }
        Rotate::Show { file } => {
            let (signed, change) = read_draft(&file)?;
            Ok(shown(&change, &signed).into())
        }
        Rotate::Submit { file } => {
            let (signed, change) = read_draft(&file)?;
            let value = shown(&change, &signed);
            submit(settings, &Statement::Roots { change }, &signed, value).await
        }
    }
}

fn read_draft(path: &Path) -> Result<(Signed, RootsChange), Failed> {
    let (signed, statement) = read_statement(path)?;
    match statement {
        Statement::Roots { change } => Ok((signed, change)),
        other => Err(Failed::usage(format!(
            "{}: not a replacement of the roots, but {}",
            path.display(),
            other.name()
        ))),
    }
}

fn shown(change: &RootsChange, signed: &Signed) -> Value {
    let roots = change.roots.iter().map(ToString::to_string);
    json!({
        "cluster": hex::encode(change.cluster),
        "number": change.number.to_string(),
        "roots": roots.collect::<Vec<_>>(),
        "threshold": change.threshold.to_string(),
        "reason": change.reason,
        "signatures": signatures(signed),
    })
}
