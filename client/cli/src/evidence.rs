//! `carnet evidence`: evidence for later, in a file that is verified without a network.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_client::Client;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_trust::offline::{EvidenceFile, FILE_BYTES_MAX, describe};
use carnet_trust::verdict::{Purpose, ReasonCode, Verdict};
use clap::Subcommand;
use serde_json::json;

use crate::bounded::read_bounded;
use crate::exit::{self, Failed, chain};
use crate::parse;
use crate::settings::Settings;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// Saves everything a verdict needs in one file that is verified without a network.
    Save {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
        /// Where to.
        #[arg(long)]
        file: PathBuf,
        /// What for.
        #[arg(long, default_value = "market-access", value_parser = parse::verdict_purpose)]
        purpose: Purpose,
    },
    /// Says in words what a file contains. It judges nothing.
    Show {
        /// The evidence, as `evidence save` or `verify --save` wrote it.
        file: PathBuf,
    },
}

pub(crate) async fn run(verb: Evidence, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Evidence::Save {
            code,
            file,
            purpose,
        } => {
            let client = settings.client()?;
            let (evidence, not_taken_in) = taken_in(&client, &code, purpose).await?;
            save(&file, &evidence)?;
            let mut value = json!({
                "code": code.to_string(),
                "file": file.display().to_string(),
                "bytes": evidence.len(),
            });
            if let Some(warning) = warning_of(&not_taken_in) {
                value["warning"] = json!(warning);
            }
            Ok(value.into())
        }
        Evidence::Show { file } => {
            let bytes = read_bounded(&file, FILE_BYTES_MAX)?;
            let (content, intact) = EvidenceFile::read(&bytes).map_err(|error| {
                Failed::unreadable(format!("{}: {}", file.display(), chain(&error)))
            })?;
            let says = describe(&content, intact);
            let says: Vec<String> = says.iter().map(ToString::to_string).collect();
            Ok(json!({
                "code": content.code.to_string(),
                "saved_at": view::time(content.saved_at),
                "made_for": content.verifier.to_string(),
                "judged": "nothing: this is what the file says of itself (carnet verify --file judges it)",
                "says": says,
            })
            .into())
        }
    }
}

/// How often a file is asked for again whose heads our registry did not take in, and how long after.
const TAKEN_IN_TRIES_MAX: usize = 6;

const TAKEN_IN_PAUSE: Duration = Duration::from_secs(2);

/// Evidence for later, and the countries under whose heads in it nothing is good for longer than our registry has them for its newest.
/// Heads are taken in some seconds apart, so that it is asked for again a few times.
async fn taken_in(
    client: &Client,
    code: &Code,
    purpose: Purpose,
) -> Result<(Vec<u8>, Vec<Prefix>), Failed> {
    let mut again = 1..TAKEN_IN_TRIES_MAX;
    loop {
        let found = client.unverified().verify(code, purpose.name()).await?;
        let (verdict, file) = found.value;
        let left = not_taken_in(&file);
        if left.is_empty() || !may_be_taken_in(&verdict) || again.next().is_none() {
            return Ok((file, left));
        }
        tokio::time::sleep(TAKEN_IN_PAUSE).await;
    }
}

fn not_taken_in(file: &[u8]) -> Vec<Prefix> {
    let read = EvidenceFile::read(file);
    read.map_or_else(|_| Vec::new(), |(file, _)| file.not_taken_in())
}

/// Whether it helps to ask once more: not where a country is silent, or its word is doubted.
fn may_be_taken_in(verdict: &[u8]) -> bool {
    let Ok(verdict) = Verdict::from_bytes(verdict) else {
        return false;
    };
    let mut said = verdict.reasons.iter().chain(&verdict.notes);
    !said.any(|reason| {
        matches!(
            reason.code,
            ReasonCode::DoesNotAnswer
                | ReasonCode::PeerOverloaded
                | ReasonCode::NoEvidence
                | ReasonCode::OtherHistory
                | ReasonCode::RolledBack
                | ReasonCode::PeerQuarantined
        )
    })
}

fn warning_of(not_taken_in: &[Prefix]) -> Option<String> {
    let names: Vec<String> = not_taken_in.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| {
        format!(
            "our registry did not take in the head of {} in it: with a pack that is saved later it may be STALE; save it again a little later",
            names.join(", ")
        )
    })
}

/// Writes evidence, unless it proves nothing.
pub(crate) fn save(path: &Path, file: &[u8]) -> Result<(), Failed> {
    let read = EvidenceFile::read(file);
    if !read.is_ok_and(|(file, _)| file.proves_something()) {
        let mut failed = Failed::not_served(
            "NO_EVIDENCE",
            format!(
                "{}: no registry gave evidence, nothing was written",
                path.display()
            ),
            "Repeat when the registry of the robot's prefix can be reached (carnet peer list).",
        );
        failed.code = exit::NOT_CERTAIN;
        return Err(failed);
    }
    std::fs::write(path, file)
        .map_err(|error| Failed::local(format!("{}: {error}", path.display())))
}
