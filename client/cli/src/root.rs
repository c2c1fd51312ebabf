//! The roots of the own registry, replaced: drafted in a file, signed by a threshold of those before and of those after, and
//! submitted.

use std::path::PathBuf;

use carnet_domain::record::peer::{RootsChange, Statement};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::draft::{Drafted, Of};
use crate::exit::Failed;
use crate::key_text::KeyText;
use crate::settings::Settings;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Root {
    /// Lists the roots in force, by the fingerprints of their keys, and how many of them sign.
    List,
    /// Replaces the roots, all or some: one was lost or stolen, or is old. A threshold of those before and of those after
    /// signs; whoever pinned the old ones follows with the next bundle, which both sign (`bundle export --former-root`), or later
    /// with the file of this statement (`peer add --root-change`). Keep it, and give it to every peer.
    #[command(subcommand, after_help = WAY)]
    Rotate(Rotate),
}

/// The whole way: every line is a call.
const WAY: &str = "\
The whole way, for one root that follows another (PKI is the directory of `carnet pki init`):
  carnet pki root next                                          next/root.seed and next/root.pub
  carnet root rotate draft --file r.cbor --root next/root.pub --threshold 1 --reason \"root-1 is old\"
  carnet root rotate sign r.cbor --root PKI/root/root-1.seed    a threshold of those before
  carnet root rotate sign r.cbor --root next/root.seed          and of those after
  carnet root rotate submit r.cbor                                it asks, or give --yes
  carnet bundle export --file our.bundle --name NAME --federation-endpoints HOST:PORT --roots-of r.cbor --root next/root.seed --former-root PKI/root/root-1.seed
Roots that stay are named in the draft too, by their .pub files. What peers pinned follows with that bundle: they check its
fingerprint and state it (`carnet peer add`), and so do we. Then next/root.seed takes the place of PKI/root/root-1.seed, which is
what signs unless --root says otherwise. PKI/root/root-1.crt and roots.crt stay as they are: the certificates of nodes and clients
stand under them.";

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
    let verb = match verb {
        Root::List => {
            let found = settings.client()?.unverified().registry().await?;
            let registry = found.value;
            let roots = registry.roots.iter();
            let value = json!({
                "roots": roots.map(view::key_print).collect::<Vec<_>>(),
                "threshold": registry.threshold,
                "replaced": registry.root_leaves.len(),
                "bundle_sequence": registry.bundle.map(|own| own.sequence.to_string()),
            });
            return Ok(view::at(value, found.position).into());
        }
        Root::Rotate(verb) => verb,
    };
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
            ROOTS.draft(&Statement::Roots { change }, &draft.file, settings)
        }
        Rotate::Drafted(verb) => ROOTS.run(verb, settings).await,
    }
}

const ROOTS: Of = Of {
    what: "a replacement of the roots",
    says,
    ends: |statement| match statement {
        Statement::Roots { change } => {
            Some(("To replace the roots", format!("roots/{}", change.number)))
        }
        _ => None,
    },
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
