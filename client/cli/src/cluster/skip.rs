//! The order of the roots to skip a log entry before which the nodes of a cluster stand still.
//!
//! Prepared where the cluster is reached, signed where the root keys are, which is nowhere near it, and put as a file on
//! every node. The runbook `poisoned-entry` says when.

use std::path::{Path, PathBuf};

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::verify;
use carnet_domain::machine::order::{Skip, signing_bytes};
use carnet_domain::record::peer::{RootSignature, Signed};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::exit::{Failed, chain};
use crate::output::say;
use crate::settings::Settings;
use crate::signed::{Roots, of_own_cluster, read, write};
use crate::submit::merge;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum SkipVerb {
    /// Writes the unsigned order about the entry before which the nodes stand still; asks every admin endpoint given.
    Prepare {
        /// Where to.
        #[arg(long)]
        file: PathBuf,
    },
    /// Adds signatures of root keys to an order.
    Sign {
        /// The order; it is replaced.
        file: PathBuf,
        /// A root seed; default is every one in root/ of --pki.
        #[arg(long = "root", value_name = "FILE")]
        roots: Vec<PathBuf>,
    },
    /// Puts the signatures of several copies of an order into one.
    Combine {
        /// Where to.
        #[arg(long)]
        file: PathBuf,
        /// Copies of the order, each with the signatures of one root or more.
        #[arg(required = true)]
        copies: Vec<PathBuf>,
    },
    /// Shows an order and who signed it.
    Show {
        /// The order, signed or not.
        file: PathBuf,
    },
}

pub(crate) async fn run(verb: SkipVerb, settings: &Settings) -> Result<Outcome, Failed> {
    let (file, signed, skip) = match verb {
        SkipVerb::Prepare { file } => {
            let skip = prepare(settings).await?;
            (file, skip.unsigned(), skip)
        }
        SkipVerb::Sign { file, roots } => {
            let (mut signed, skip) = read_order(&file)?;
            of_own_cluster(settings, &skip.cluster)?;
            for key in Roots::of(&roots, settings)?.into_keys() {
                add(&mut signed, skip.sign(&key));
            }
            (file, signed, skip)
        }
        SkipVerb::Combine { file, copies } => {
            let (signed, skip) = combine(&copies)?;
            (file, signed, skip)
        }
        SkipVerb::Show { file } => {
            let (signed, skip) = read_order(&file)?;
            return Ok(shown(&skip, &signed, &file).into());
        }
    };
    write(&file, &signed.to_bytes())?;
    Ok(shown(&skip, &signed, &file).into())
}

fn do_not(text: String) -> Failed {
    Failed {
        next: "Do not skip: see which case it is in the runbook poisoned-entry.".into(),
        ..Failed::usage(text)
    }
}

/// The order about the one entry before which nodes stand still.
async fn prepare(settings: &Settings) -> Result<Skip, Failed> {
    let admin = settings.admin()?;
    let mut found: Option<Skip> = None;
    for endpoint in admin.endpoints() {
        let status = match admin.status(endpoint, false).await {
            Ok(status) => status,
            Err(error) => {
                say(format!("{endpoint}: {}", chain(&error)));
                continue;
            }
        };
        let Some(stands) = &status.stands_still else {
            let applied = status.applied;
            say(format!(
                "{endpoint}: does not stand still; it has applied log entry {applied}"
            ));
            continue;
        };
        let digest = <[u8; 32]>::try_from(&stands.entry[..]);
        let digest = digest.map_err(|_| Failed::local(format!("{endpoint}: no digest")))?;
        let cluster = <[u8; 16]>::try_from(&stands.cluster[..]).map_err(|_| {
            do_not(format!(
                "{endpoint}: it stands still before its genesis, so no roots are known that could order anything"
            ))
        })?;
        let skip = Skip {
            cluster,
            log_index: stands.log_index,
            entry: Digest(digest),
        };
        match &found {
            Some(other) if *other != skip => {
                return Err(do_not(format!(
                    "{endpoint}: it stands before log entry {} {}, another before {} {}; they do not have the same log or the same past: do not skip",
                    skip.log_index, skip.entry, other.log_index, other.entry
                )));
            }
            _ => found = Some(skip),
        }
    }
    found.ok_or_else(|| Failed {
        next: "Nothing is to be skipped; if nodes were not asked, give the admin endpoints of all."
            .into(),
        ..Failed::usage("no node asked stands still before a log entry")
    })
}

/// One signature a root, in the order of their keys.
fn add(signed: &mut Signed, signature: RootSignature) {
    signed.signatures.retain(|have| have.root != signature.root);
    signed.signatures.push(signature);
    signed.signatures.sort_by_key(|have| have.root);
}

fn combine(copies: &[PathBuf]) -> Result<(Signed, Skip), Failed> {
    let mut all: Option<(Signed, Skip)> = None;
    for copy in copies {
        let (signed, skip) = read_order(copy)?;
        match &mut all {
            None => all = Some((signed, skip)),
            Some((_, first)) if *first != skip => {
                return Err(Failed::usage(format!(
                    "{}: it is about another entry than the first copy",
                    copy.display()
                )));
            }
            Some((into, _)) => {
                for signature in signed.signatures {
                    add(into, signature);
                }
            }
        }
    }
    all.ok_or_else(|| Failed::usage("no copies"))
}

fn read_order(path: &Path) -> Result<(Signed, Skip), Failed> {
    let wrong = |error: carnet_domain::bytes::encoding::DecodeError| {
        Failed::unreadable(format!(
            "{}: not an order to skip an entry: {error}",
            path.display()
        ))
    };
    let signed = Signed::from_bytes(&read(path)?).map_err(wrong)?;
    let skip = Skip::from_bytes(&signed.bytes.0).map_err(wrong)?;
    Ok((signed, skip))
}

fn shown(skip: &Skip, signed: &Signed, file: &Path) -> Value {
    let message = signing_bytes(&signed.bytes.0);
    let rows = signed
        .signatures
        .iter()
        .map(|s| view::signature(&s.root, verify(&s.root, &message, &s.signature).is_ok()));
    let about = json!({
        "cluster": hex::encode(skip.cluster),
        "log_index": skip.log_index.to_string(),
        "entry": skip.entry.to_string(),
    });
    let more = json!({"signatures": rows.collect::<Vec<_>>(), "file": file.display().to_string()});
    merge(about, more)
}
