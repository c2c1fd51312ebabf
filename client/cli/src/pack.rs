//! `carnet pack`: what our registry knows, for verdicts without a network.

use std::path::{Path, PathBuf};

use carnet_client::wall_time;
use carnet_trust::pack::{OpenedPack, PACK_BYTES_MAX, Pack as Content, PackError};
use carnet_trust::pins::Pins;
use carnet_trust::sieve::Sieve;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::bounded::read_bounded;
use crate::exit::{Failed, chain};
use crate::parse::hyphened;
use crate::pin_args::PinArgs;
use crate::pinned::remember;
use crate::settings::Settings;
use crate::signed::write;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Pack {
    /// Saves what our registry knows and an offline verdict needs: agreements, suspensions, heads of other logs, ended robots.
    ///
    /// With --pin and --own it is opened under what is pinned before it is written.
    Save {
        /// Where to.
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        pins: PinArgs,
    },
    /// Shows a pack, once it is found to be signed by our own log key.
    Show {
        /// The pack.
        file: PathBuf,
        #[command(flatten)]
        pins: PinArgs,
    },
}

pub(crate) async fn run(verb: Pack, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Pack::Save { file, pins } => {
            let client = settings.client()?;
            let pins = pins.pins(settings)?;
            let pins = pins.map(|pins| settings.compared(pins)).transpose()?;
            let bytes = client.unverified().pack().await?.value;
            let (content, opened) = match &pins {
                Some(pins) => {
                    let pack = OpenedPack::open(&bytes, pins).map_err(|e| refused_pack(&e))?;
                    remember(pins, &pack.borne_out(pins), settings.state_dir())?;
                    (pack.content().clone(), Some(pack))
                }
                None => (
                    carnet_trust::pack::peek(&bytes).map_err(|e| refused_pack(&e))?,
                    None,
                ),
            };
            write(&file, &bytes)?;
            Ok(saved(&file, bytes.len(), &content, opened.as_ref()).into())
        }
        Pack::Show { file, pins } => {
            let pins = settings.compared(pins.needed(settings)?)?;
            let pack = open_pack(&file, &pins)?;
            remember(&pins, &pack.borne_out(&pins), settings.state_dir())?;
            let content = pack.content();
            let peers = pack.bundles().map(|bundle| {
                let known = pack.known().registries.get(&bundle.primary());
                let known = known.cloned().unwrap_or_default();
                json!({
                    "peer": bundle.primary().to_string(),
                    "sequence": bundle.bundle().sequence.to_string(),
                    "head": known.head.map(|head| head.size.to_string()),
                    "doubt": known.doubt.map(|doubt| hyphened(doubt.name())),
                })
            });
            let peers: Vec<Value> = peers.collect();
            let agreements = pack.known().agreements.iter();
            let agreements: Vec<String> = agreements
                .map(|agreement| agreement.reference().to_string())
                .collect();
            let suspended = pack.known().suspended.iter();
            let suspended: Vec<Value> = suspended
                .map(|one| json!({"agreement": one.agreement.to_string(), "until": view::time(one.until)}))
                .collect();
            Ok(json!({
                "registry": content.registry.to_string(),
                "at": view::time(content.at),
                "age_s": wall_time().since(content.at).as_ms() / 1_000,
                "whole": content.whole,
                "peers": peers,
                "not_followed": not_followed(&pack),
                "agreements": agreements,
                "suspended": suspended,
                "robots_and_parts": content.robots.len(),
                "robots_and_parts_without_a_row": pack.known().others.as_ref().map_or(0, Sieve::count),
                "models_not_in_force": content.models.len(),
                "recalls": content.recalls.len(),
            })
            .into())
        }
    }
}

/// Opens the pack in a file.
pub(crate) fn open_pack(path: &Path, pins: &Pins) -> Result<OpenedPack, Failed> {
    let bytes = read_bounded(path, PACK_BYTES_MAX)?;
    OpenedPack::open(&bytes, pins).map_err(|error| {
        let mut failed = refused_pack(&error);
        failed.text = format!("{}: {}", path.display(), failed.text);
        failed
    })
}

fn refused_pack(error: &PackError) -> Failed {
    let text = chain(error);
    match error {
        PackError::TooLong(_) | PackError::Decode(_) | PackError::Version(_) => {
            Failed::unreadable(text)
        }
        PackError::OtherCountry { .. }
        | PackError::NoLogKey(_)
        | PackError::Unsigned(_)
        | PackError::Incarnation { .. }
        | PackError::Others(_)
        | PackError::Pins(_) => Failed::usage(text),
    }
}

/// What was saved, so that nobody finds out at the border.
fn saved(file: &Path, bytes: usize, content: &Content, opened: Option<&OpenedPack>) -> Value {
    let mut value = json!({
        "file": file.display().to_string(),
        "bytes": bytes,
        "registry": content.registry.to_string(),
        "at": view::time(content.at),
        "whole": content.whole,
        "peers": content.peers.len(),
        "opened": match opened {
            Some(_) => "under the log key that is pinned",
            None => "no: this is what the server says (--pin and --own open it)",
        },
    });
    if !content.whole {
        value["warning"] =
            json!("it does not hold everything that is known: no verdict by it is VALID");
    }
    if let Some(pack) = opened {
        value["not_followed"] = not_followed(pack);
    }
    value
}

/// The countries of which the pack is not used, and why.
fn not_followed(pack: &OpenedPack) -> Value {
    let all = pack.all_unfollowed();
    let all =
        all.map(|(prefix, why)| json!({"country": prefix.to_string(), "why": why.to_string()}));
    Value::Array(all.collect())
}
