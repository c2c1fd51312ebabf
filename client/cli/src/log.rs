//! `carnet log`: the transparency log.

use carnet_client::{Pin, advance};
use carnet_domain::log::checkpoint::{Origin, peek};
use carnet_domain::record::keys::KeyHistory;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::Outcome;
use crate::exit::Failed;
use crate::key_text::{log_keys_in, read_key};
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Fetches the newest published checkpoint, and believes it only if it is signed and extends the one seen before.
    Checkpoint {
        /// The log key: 64 hexadecimal digits or a .pub file; default is each keys/log*.pub of --pki.
        #[arg(long)]
        log_key: Option<String>,
        /// Wait until the log is larger than this.
        #[arg(long, default_value = "0")]
        wait_above: u64,
        /// Print the signed note alone.
        #[arg(long)]
        text: bool,
    },
}

pub(crate) async fn run(verb: Log, settings: &Settings) -> Result<Outcome, Failed> {
    let Log::Checkpoint {
        log_key,
        wait_above,
        text,
    } = verb;
    let client = settings.client()?;
    let log_keys = match log_key {
        Some(text) => vec![read_key(&text)?],
        None => log_keys_in(settings.pki_dir()?)?,
    };
    let log_keys = KeyHistory::of_log_keys(log_keys);
    let origin = origin(&client).await?;
    let file = settings.pin_file(&origin);
    let local = |error: std::io::Error| Failed::local(format!("{}: {error}", file.display()));
    let pin = Pin::load(&file, &origin, &log_keys).map_err(local)?;
    let before = pin.as_ref().map_or(0, |pin| pin.size);
    let (note, consistency) = client.unverified().checkpoint(before, wait_above).await?;
    if note.is_empty() {
        return Err(
            carnet_client::ClientError::from(carnet_client::ApiError::not_found(
                "no checkpoint is published yet",
            ))
            .into(),
        );
    }
    let now = advance(pin.as_ref(), &origin, &log_keys, &note, &consistency)
        .map_err(carnet_client::ClientError::from)?;
    now.save(&file).map_err(local)?;
    if text {
        return Ok(Value::String(now.text.trim_end().to_owned()).into());
    }
    let value = json!({
        "origin": now.origin.to_string(),
        "size": now.size.to_string(),
        "root": now.root.to_string(),
        "seen_before": before.to_string(),
        "pinned_in": file.display().to_string(),
        "note": now.text,
    });
    Ok(value.into())
}

/// Which log the registry has now. Only its name: whether it is believed is decided under the log key.
async fn origin(client: &carnet_client::Client) -> Result<Origin, Failed> {
    let (note, _) = client.unverified().checkpoint(0, 0).await?;
    match peek(&note) {
        Ok(checkpoint) => Ok(checkpoint.origin),
        Err(_) if note.is_empty() => Err(carnet_client::ClientError::from(
            carnet_client::ApiError::not_found("no checkpoint is published yet"),
        )
        .into()),
        Err(error) => Err(carnet_client::ClientError::Protocol(error.to_string()).into()),
    }
}
