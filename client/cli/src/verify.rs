//! Verdicts: asked of a registry, or judged here from an evidence file without any network.

use std::path::{Path, PathBuf};

use carnet_client::wall_time;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::peer::Bundle;
use carnet_trust::bundle::of_file;
use carnet_trust::offline::{Pin, Pins, Report, verify_file};
use carnet_trust::verdict::{OWN_AGE_MAX, Purpose, Value as Verdicted, Verdict};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cluster::read_key;
use crate::context::Settings;
use crate::exit::{self, Failed, chain};
use crate::parse::{self, When, hyphened};
use crate::submit::merge;
use crate::{Outcome, view};

/// Which robot, for what, and what is believed.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The robot; with --file optional: the code that was read off it.
    #[arg(value_parser = parse::code, required_unless_present = "file")]
    code: Option<Code>,
    /// market-access, import-permit, border-inspection, operation or second-hand-purchase.
    #[arg(long, default_value = "market-access", value_parser = purpose)]
    purpose: Purpose,
    /// Judge this evidence file, without a network.
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    pins: PinArgs,
    /// Judge as of this time.
    #[arg(long, allow_hyphen_values = true)]
    at: Option<When>,
    /// Show every step of the verification.
    #[arg(long)]
    explain: bool,
    /// Keep the evidence in a file, for later.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    save: Option<PathBuf>,
}

/// The roots that a verifier has compared and pinned.
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// A bundle whose fingerprint was compared: its roots are pinned. Once a country.
    #[arg(long = "pin", value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    /// Root keys of a country as PREFIX=KEY[,KEY…]; a key is 64 hexadecimal digits or a .pub file.
    #[arg(long = "root", value_name = "ROOTS")]
    roots: Vec<String>,
    /// The verifier's own country; default is --prefix, else the first one pinned.
    #[arg(long)]
    own: Option<Prefix>,
    /// An agreement known to be suspended, as name:version.
    #[arg(long)]
    suspended: Vec<String>,
    /// The oldest head of our own log that counts as fresh.
    #[arg(long, value_parser = parse::duration)]
    own_age: Option<DurationMs>,
}

fn purpose(text: &str) -> Result<Purpose, String> {
    Purpose::from_name(text).ok_or_else(|| {
        let all: Vec<String> = Purpose::ALL
            .iter()
            .map(|purpose| hyphened(purpose.name()))
            .collect();
        format!("one of {}", all.join(", "))
    })
}

impl PinArgs {
    fn pins(&self, prefix: Option<Prefix>) -> Result<Option<Pins>, Failed> {
        let mut countries = Vec::new();
        for path in &self.bundles {
            countries.push(pin_of_bundle(path)?);
        }
        for text in &self.roots {
            countries.push(pin_of_text(text)?);
        }
        let Some(first) = countries.first() else {
            return Ok(None);
        };
        Ok(Some(Pins {
            own: self.own.or(prefix).unwrap_or(first.prefix),
            countries,
            suspended: self.suspended.clone(),
            quarantined: Vec::new(),
            own_age_max: self.own_age.unwrap_or(OWN_AGE_MAX),
        }))
    }
}

fn pin_of_bundle(path: &Path) -> Result<Pin, Failed> {
    let wrong = |text: String| Failed::usage(format!("{}: {text}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let signed = of_file(&bytes).map_err(|error| wrong(chain(&error)))?;
    let bundle = Bundle::from_bytes(&signed.bytes.0).map_err(|error| wrong(error.to_string()))?;
    let prefix = bundle
        .primary()
        .ok_or_else(|| wrong("the bundle names no prefix".into()))?;
    Ok(Pin {
        prefix,
        roots: bundle.roots,
        threshold: bundle.threshold,
    })
}

fn pin_of_text(text: &str) -> Result<Pin, Failed> {
    let (prefix, keys) = text
        .split_once('=')
        .ok_or_else(|| Failed::usage(format!("--root {text:?}: write PREFIX=KEY[,KEY…]")))?;
    let prefix =
        Prefix::parse(prefix).map_err(|error| Failed::usage(format!("--root: {error}")))?;
    let roots = keys
        .split(',')
        .map(read_key)
        .collect::<Result<Vec<_>, _>>()?;
    let threshold = if roots.len() == 1 { 1 } else { 2 };
    Ok(Pin {
        prefix,
        roots,
        threshold,
    })
}

pub(crate) async fn run(verify: Verify, settings: &Settings) -> Result<Outcome, Failed> {
    let pins = verify.pins.pins(settings.prefix())?;
    let now = verify.at.map_or_else(wall_time, When::resolve);
    if let Some(file) = &verify.file {
        let pins = pins.ok_or_else(|| {
            Failed::usage("whose roots are pinned? (--pin BUNDLE or --root PREFIX=KEY)")
        })?;
        let bytes = std::fs::read(file)
            .map_err(|error| Failed::usage(format!("{}: {error}", file.display())))?;
        return judged(
            verify_file(&bytes, &pins, verify.code.as_ref(), verify.purpose, now),
            verify.explain,
        );
    }
    let Some(code) = verify.code else {
        return Err(Failed::usage("which robot?"));
    };
    let found = settings
        .client()?
        .verify(&code, verify.purpose.name())
        .await?;
    let (verdict, file) = found.value;
    if let Some(path) = &verify.save {
        std::fs::write(path, &file)
            .map_err(|error| Failed::local(format!("{}: {error}", path.display())))?;
    }
    if let Some(pins) = pins {
        // What the server says is not asked: the same evidence is judged here, under the roots pinned here.
        return judged(
            verify_file(&file, &pins, Some(&code), verify.purpose, now),
            verify.explain,
        );
    }
    let verdict = Verdict::from_bytes(&verdict).map_err(|error| {
        carnet_client::ClientError::Protocol(format!("the verdict is not canonical: {error}"))
    })?;
    let value = merge(
        shown(&verdict),
        json!({"judged_by": format!("the registry of {}", verdict.verifier)}),
    );
    Ok(Outcome {
        value,
        code: code_of(verdict.value),
    })
}

fn judged(
    report: Result<Report, carnet_trust::offline::FileError>,
    explain: bool,
) -> Result<Outcome, Failed> {
    let report = report.map_err(|error| {
        let mut failed = Failed::verdict(exit::INVALID, chain(&error));
        failed.next = "Fetch the evidence again; a file that was changed proves nothing.".into();
        failed
    })?;
    let mut value = merge(
        shown(&report.verdict),
        json!({"judged_by": "this machine", "saved_at": view::time(report.saved_at)}),
    );
    if explain {
        let steps = report
            .steps
            .iter()
            .map(|step| json!({"held": step.held, "step": step.what}));
        value["steps"] = steps.collect();
    }
    Ok(Outcome {
        value,
        code: code_of(report.verdict.value),
    })
}

fn code_of(value: Verdicted) -> u8 {
    match value {
        Verdicted::Valid => 0,
        Verdicted::Invalid => exit::INVALID,
        Verdicted::Stale | Verdicted::Indeterminate => exit::NOT_CERTAIN,
    }
}

fn shown(verdict: &Verdict) -> Value {
    let reason = |reason: &carnet_trust::verdict::Reason| json!({"reason": reason.code.to_string(), "value": reason.value.to_string(), "detail": reason.detail});
    let head = |head: &carnet_trust::verdict::CheckpointUsed| {
        json!({
            "origin": head.origin.to_string(),
            "size": head.size.to_string(),
            "time": view::time(head.time),
            "age_s": head.age.as_ms() / 1_000,
            "age_max_s": head.age_max.as_ms() / 1_000,
        })
    };
    let heads = verdict
        .issuer_checkpoint
        .iter()
        .chain(&verdict.custodian_checkpoints);
    json!({
        "verdict": verdict.value.to_string(),
        "code": verdict.code.to_string(),
        "purpose": hyphened(verdict.purpose.name()),
        "verifier": verdict.verifier.to_string(),
        "reasons": verdict.reasons.iter().map(reason).collect::<Vec<_>>(),
        "notes": verdict.notes.iter().map(reason).collect::<Vec<_>>(),
        "clause": verdict.clause.as_ref().map(ToString::to_string),
        "state": verdict.state.map(|state| hyphened(state.name())),
        "custodian": verdict.custodian.map(|prefix| prefix.to_string()),
        "heads": heads.map(head).collect::<Vec<_>>(),
        "judged_at": view::time(verdict.judged_at),
    })
}

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
        #[arg(long, default_value = "market-access", value_parser = purpose)]
        purpose: Purpose,
    },
}

pub(crate) async fn evidence(verb: Evidence, settings: &Settings) -> Result<Outcome, Failed> {
    let Evidence::Save {
        code,
        file,
        purpose,
    } = verb;
    let found = settings.client()?.verify(&code, purpose.name()).await?;
    let (_, evidence) = found.value;
    std::fs::write(&file, &evidence)
        .map_err(|error| Failed::local(format!("{}: {error}", file.display())))?;
    Ok(json!({"code": code.to_string(), "file": file.display().to_string(), "bytes": evidence.len()}).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_exit_code() {
        let codes: Vec<(&str, u8)> = Verdicted::ALL
            .iter()
            .map(|value| (value.name(), code_of(*value)))
            .collect();
        assert_eq!(
            codes,
            [
                ("Invalid", 4),
                ("Indeterminate", 5),
                ("Stale", 5),
                ("Valid", 0)
            ]
        );
    }

    #[test]
    fn an_offline_verdict_needs_pinned_roots() {
        let none = PinArgs {
            bundles: vec![],
            roots: vec![],
            own: None,
            suspended: vec![],
            own_age: None,
        };
        assert!(none.pins(None).expect("no pins").is_none());
        assert_eq!(pin_of_text("86").expect_err("no keys").code, exit::USAGE);
    }
}
