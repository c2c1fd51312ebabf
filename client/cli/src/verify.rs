//! Verdicts: asked of a registry, or judged here from an evidence file without any network.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_client::{Client, ClientError, JudgedFile, VERDICTS_AT_ONCE, wall_time};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_trust::bundle::{BUNDLE_FILE_BYTES_MAX, of_file};
use carnet_trust::offline::{
    EvidenceFile, FILE_BYTES_MAX, FileError, Report, describe, verify_file,
};
use carnet_trust::pack::{OpenedPack, PACK_BYTES_MAX, Pack as Content, PackError};
use carnet_trust::pins::{Pin, Pins};
use carnet_trust::sieve::Sieve;
use carnet_trust::verdict::{OWN_AGE_MAX, Purpose, ReasonCode, Value as Verdicted, Verdict};
use clap::{Args, Subcommand};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::bounded::read_bounded;
use crate::cluster::read_key;
use crate::context::Settings;
use crate::exit::{self, Failed, chain};
use crate::output::say;
use crate::parse::{self, When, hyphened};
use crate::pinned::remember;
use crate::sheet::{Reading, Row, Sheet};
use crate::submit::merge;
use crate::trust::write;
use crate::{Outcome, view};

/// Which robot, for what, and what is believed.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The robot; with --file optional: the code that was read off it.
    #[arg(value_parser = parse::code, required_unless_present_any = ["file", "codes"])]
    code: Option<Code>,
    /// Many robots: .txt with one code a line, or .csv, .tsv, .ndjson or .jsonl with a column `code`. A verdict a row, and the worst
    /// is the exit code.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["code", "file", "save", "explain"])]
    codes: Option<PathBuf>,
    /// market-access, import-permit, border-inspection, operation or second-hand-purchase.
    #[arg(long, default_value = "market-access", value_parser = purpose)]
    purpose: Purpose,
    /// Judge this evidence file, without a network.
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    pins: PinArgs,
    /// What our own registry knows, as carnet pack save wrote it: without it no file is VALID.
    #[arg(long, value_name = "PACK", requires = "file")]
    pack: Option<PathBuf>,
    /// Judge the file as of this time. A registry judges as of now.
    #[arg(long, allow_hyphen_values = true, requires = "file")]
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
    /// A bundle whose fingerprint was compared: its roots are pinned. Once a country. Default is what `carnet context add` pinned.
    #[arg(long = "pin", value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    /// Root keys of a country as PREFIX=KEY[,KEY…]; a key is 64 hexadecimal digits or a .pub file.
    #[arg(long = "root", value_name = "ROOTS")]
    roots: Vec<String>,
    /// The verifier's own country, one of those pinned by bundle. It is never guessed: it is said here, or was to `carnet context add`.
    #[arg(long)]
    own: Option<Prefix>,
    /// The oldest head of our own log, and the oldest pack, that counts as fresh.
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
    pub(crate) fn pins(&self, settings: &Settings) -> Result<Option<Pins>, Failed> {
        let said = !self.bundles.is_empty() || !self.roots.is_empty() || self.own.is_some();
        // All of it or nothing: what a call says and what the context has are no one set that anybody compared.
        let (bundles, own) = match said {
            true => (self.bundles.as_slice(), self.own),
            false => settings.pinned(),
        };
        let mut pins = Vec::new();
        for path in bundles {
            pins.push(pin_of_bundle(path)?);
        }
        for text in &self.roots {
            pins.push(pin_of_text(text)?);
        }
        if pins.is_empty() {
            return match own {
                None => Ok(None),
                Some(own) => Err(Failed::usage(format!(
                    "--own {own}: nothing is pinned (--pin BUNDLE or --root PREFIX=KEY)"
                ))),
            };
        }
        let own = own.ok_or_else(|| {
            Failed::usage(
                "for which country? (--own PREFIX: the verifier's own, which is pinned too)",
            )
        })?;
        let age = self.own_age.unwrap_or(OWN_AGE_MAX);
        let pins = Pins::new(own, pins, age);
        pins.map(Some).map_err(|error| Failed::usage(chain(&error)))
    }

    /// Pins where there must be some.
    pub(crate) fn needed(&self, settings: &Settings) -> Result<Pins, Failed> {
        let pins = self.pins(settings)?;
        pins.ok_or_else(|| {
            Failed::usage("whose roots are pinned? (--pin BUNDLE or --root PREFIX=KEY)")
        })
    }
}

fn pin_of_bundle(path: &Path) -> Result<Pin, Failed> {
    let wrong = |text: String| Failed::usage(format!("{}: {text}", path.display()));
    let bytes = read_bounded(path, BUNDLE_FILE_BYTES_MAX)?;
    let unreadable = |text: String| Failed::unreadable(format!("{}: {text}", path.display()));
    let signed = of_file(&bytes).map_err(|error| unreadable(chain(&error)))?;
    Pin::of_bundle(&signed).map_err(|error| wrong(chain(&error)))
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
    Pin::of_roots(prefix, roots, threshold)
        .map_err(|error| Failed::usage(format!("--root: {}", chain(&error))))
}

pub(crate) async fn run(verify: Verify, settings: &Settings) -> Result<Outcome, Failed> {
    if let Some(file) = &verify.file {
        let pins = settings.compared(verify.pins.needed(settings)?)?;
        let now = verify.at.map_or_else(wall_time, When::resolve);
        let bytes = read_bounded(file, FILE_BYTES_MAX)?;
        let pack = verify.pack.as_ref().map(|pack| open_pack(pack, &pins));
        let pack = pack.transpose()?;
        let about = verify.code.as_ref();
        let report = verify_file(&bytes, &pins, pack.as_ref(), about, verify.purpose, now);
        if let Ok(report) = &report {
            remember(&pins, &report.borne_out, settings.state_dir())?;
        }
        return judged(report, verify.explain);
    }
    let pins = verify.pins.pins(settings)?;
    let pins = pins.map(|pins| settings.compared(pins)).transpose()?;
    if let Some(codes) = &verify.codes {
        return many(codes, verify.purpose, pins.as_ref(), settings).await;
    }
    let Some(code) = verify.code else {
        return Err(Failed::usage("which robot?"));
    };
    let client = settings.client()?;
    if let Some(pins) = pins {
        // What the server says is not asked: its evidence is judged here, under what is pinned here, with the pack that the own
        // log key signed.
        let (report, file) = client
            .verify_here_with_file(&code, verify.purpose, &pins)
            .await?;
        remember(&pins, &report.value().borne_out, settings.state_dir())?;
        if let Some(path) = &verify.save {
            save(path, &file)?;
        }
        return judged(Ok(report.into_value()), verify.explain);
    }
    let found = client
        .unverified()
        .verify(&code, verify.purpose.name())
        .await?;
    let (verdict, file) = found.value;
    if let Some(path) = &verify.save {
        save(path, &file)?;
    }
    let verdict = Verdict::from_bytes(&verdict).map_err(|error| {
        carnet_client::ClientError::Protocol(format!("the verdict is not canonical: {error}"))
    })?;
    let value = merge(
        shown(&verdict),
        json!({
            "judged_by": format!("the registry of {}", verdict.verifier),
            "verified_here": "nothing: this is what the server says (pin bundles with --pin and --own to have it proven)",
        }),
    );
    Ok(Outcome {
        value,
        code: code_of(verdict.value),
    })
}

/// Verdicts that one pack is opened for.
const JUDGED_AT_ONCE: usize = 256;
/// The columns of a file of codes.
const COLUMNS: &[(&str, bool)] = &[("code", true)];

/// A verdict on every robot of a file: what a truck brings.
async fn many(
    path: &Path,
    purpose: Purpose,
    pins: Option<&Pins>,
    settings: &Settings,
) -> Result<Outcome, Failed> {
    let reading = Reading {
        columns: COLUMNS,
        // Whatever else stands in the file is somebody else's matter.
        map: vec![("*".to_owned(), "-".to_owned())],
        begins_row: Some(|cell| parse::code(cell).is_ok()),
        ..Reading::default()
    };
    let sheet = Sheet::open_or_codes(path, reading)?;
    let rows: Vec<Row> = sheet.rows()?.collect::<Result<_, _>>()?;
    let client = settings.client()?;
    match pins {
        Some(_) => say("judged on this machine, under what is pinned"),
        None => say(
            "this is what the server says; pin bundles with --pin and --own to have it judged here",
        ),
    }
    let mut judged = Vec::new();
    let mut rows = rows.into_iter().map(Named::of).peekable();
    while rows.peek().is_some() {
        let some: Vec<Named> = rows.by_ref().take(JUDGED_AT_ONCE).collect();
        judged.extend(some_judged(&client, some, purpose, pins).await?);
    }
    let code = worst(judged.iter().map(|(_, code)| *code));
    let value = Value::Array(judged.into_iter().map(|(row, _)| row).collect());
    Ok(Outcome { value, code })
}

/// A row and the code in it.
struct Named {
    line: u64,
    text: String,
    code: Result<Code, Failed>,
}

impl Named {
    fn of(row: Row) -> Self {
        let line = row.line;
        let cells = row.cells.map_err(Failed::usage);
        let text = cells.as_ref().ok().and_then(|cells| cells.get("code"));
        let text = text.cloned().unwrap_or_default();
        let code = cells.and_then(|cells| match cells.get("code") {
            Some(text) => parse::code(text).map_err(Failed::usage),
            None => Err(Failed::usage("code: missing")),
        });
        Self { line, text, code }
    }
}

/// Verdicts on some rows, in their order. With pins they rest on one pack.
async fn some_judged(
    client: &Client,
    rows: Vec<Named>,
    purpose: Purpose,
    pins: Option<&Pins>,
) -> Result<Vec<(Value, u8)>, Failed> {
    let codes: Vec<Code> = rows
        .iter()
        .filter_map(|row| row.code.as_ref().ok().copied())
        .collect();
    let verdicts: Vec<Result<Verdict, Failed>> = match pins {
        Some(pins) => {
            let judged = client.verify_all_here(&codes, purpose, pins).await?;
            let verdict = |judged: Result<JudgedFile, ClientError>| {
                let (report, _) = judged?;
                Ok(report.into_value().verdict)
            };
            judged.into_iter().map(verdict).collect()
        }
        None => {
            let asked: Vec<_> = codes
                .iter()
                .map(|code| told(client, code, purpose))
                .collect();
            let asked = futures::stream::iter(asked).buffered(VERDICTS_AT_ONCE);
            asked.collect().await
        }
    };
    let mut verdicts = verdicts.into_iter();
    let shown = rows.into_iter().map(|row| {
        let verdict = match row.code {
            Ok(_) => verdicts
                .next()
                .unwrap_or_else(|| Err(Failed::usage("it has no verdict"))),
            Err(failed) => Err(failed),
        };
        row_shown(row.line, &row.text, verdict)
    });
    Ok(shown.collect())
}

/// What a server says of a robot.
async fn told(client: &Client, code: &Code, purpose: Purpose) -> Result<Verdict, Failed> {
    let found = client.unverified().verify(code, purpose.name()).await?;
    let (verdict, _) = found.value;
    Verdict::from_bytes(&verdict).map_err(|error| {
        let text = format!("the verdict is not canonical: {error}");
        Failed::from(ClientError::Protocol(text))
    })
}

/// The exit code of many: what could not be judged counts most, then INVALID, then what is not certain.
fn worst(codes: impl Iterator<Item = u8>) -> u8 {
    let order = |code: u8| match code {
        0 => 0,
        exit::NOT_CERTAIN => 1,
        exit::INVALID => 2,
        _ => 3,
    };
    codes.max_by_key(|code| order(*code)).unwrap_or_default()
}

fn row_shown(line: u64, named: &str, verdict: Result<Verdict, Failed>) -> (Value, u8) {
    match verdict {
        Ok(verdict) => {
            let why = verdict.reasons.iter().chain(&verdict.notes);
            let why: Vec<String> = why
                .map(|reason| format!("{} {}", reason.code, reason.detail))
                .collect();
            let value = json!({
                "line": line.to_string(),
                "code": verdict.code.to_string(),
                "verdict": verdict.value.to_string(),
                "why": why,
                "state": verdict.state.map(|state| hyphened(state.name())),
                "custodian": verdict.custodian.map(|prefix| prefix.to_string()),
            });
            (value, code_of(verdict.value))
        }
        Err(failed) => {
            let value = json!({
                "line": line.to_string(),
                "code": named,
                "verdict": null,
                "why": [failed.text],
                "state": null,
                "custodian": null,
            });
            (value, exit::ERROR)
        }
    }
}

fn judged(report: Result<Report, FileError>, explain: bool) -> Result<Outcome, Failed> {
    let report = report.map_err(|error| match error {
        FileError::OtherCode { .. } => Failed {
            next: "There is no verdict on another robot: name the code that the file is of, or fetch the file of this one.".into(),
            ..Failed::verdict(exit::INVALID, chain(&error))
        },
        FileError::TooLong(_)
        | FileError::Frame(_)
        | FileError::Content(_)
        | FileError::Version(_) => Failed::unreadable(chain(&error)),
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
    /// Says in words what a file contains. It judges nothing.
    Show {
        /// The file.
        file: PathBuf,
    },
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
fn save(path: &Path, file: &[u8]) -> Result<(), Failed> {
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

pub(crate) async fn evidence(verb: Evidence, settings: &Settings) -> Result<Outcome, Failed> {
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

pub(crate) async fn pack(verb: Pack, settings: &Settings) -> Result<Outcome, Failed> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_worst_is_the_exit_code() {
        let worst = |codes: &[u8]| worst(codes.iter().copied());
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(&[0, exit::NOT_CERTAIN, 0]), exit::NOT_CERTAIN);
        assert_eq!(worst(&[exit::INVALID, exit::NOT_CERTAIN]), exit::INVALID);
        assert_eq!(worst(&[exit::INVALID, exit::ERROR, 0]), exit::ERROR);
    }

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

    /// Settings of a call that says nothing, in no context.
    fn nowhere() -> Settings {
        use clap::Parser as _;
        let call = crate::Cli::try_parse_from(["carnet", "--config", "/dev/null", "demo"]);
        call.expect("a call").global.settings().expect("settings")
    }

    fn pinned(own: Option<&str>, roots: &[String]) -> PinArgs {
        PinArgs {
            bundles: vec![],
            roots: roots.to_vec(),
            own: own.map(|own| Prefix::parse(own).expect("a prefix")),
            own_age: None,
        }
    }

    #[test]
    fn an_offline_verdict_needs_pinned_roots() {
        assert!(
            pinned(None, &[])
                .pins(&nowhere())
                .expect("no pins")
                .is_none()
        );
        assert_eq!(
            pinned(None, &[]).needed(&nowhere()).expect_err("none").code,
            exit::USAGE
        );
        assert_eq!(pin_of_text("86").expect_err("no keys").code, exit::USAGE);
    }

    /// The own country decides whose agreements and whose word count: it is said, and pinned.
    #[test]
    fn the_own_country_is_never_guessed() {
        let key = |byte: u8| {
            let key = carnet_domain::bytes::signature::SecretKey::from_seed(&[byte; 32]);
            key.public().to_string()
        };
        let roots = [format!("86={}", key(1)), format!("49={}", key(2))];
        for (own, expected) in [
            (None, "for which country?"),
            (Some("81"), "81, the verifier's own country, is not pinned"),
        ] {
            let failed = pinned(own, &roots)
                .pins(&nowhere())
                .expect_err("not said, or not pinned");
            assert!(failed.text.starts_with(expected), "{}", failed.text);
            assert_eq!(failed.code, exit::USAGE);
        }
        assert!(
            pinned(Some("49"), &roots)
                .pins(&nowhere())
                .expect("pins")
                .is_some()
        );
        let twice = [roots[0].clone(), roots[0].clone()];
        let failed = pinned(Some("86"), &twice)
            .pins(&nowhere())
            .expect_err("twice");
        assert!(failed.text.contains("pinned twice"), "{}", failed.text);
    }

    /// A file that is not what it should be says nothing about the robot: never INVALID, and a large one is not read.
    #[test]
    fn a_file_that_cannot_be_read_is_unreadable() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence");
        let large = std::fs::File::create(folder.path().join("large")).expect("a file");
        large.set_len(1 << 30).expect("a sparse file");
        let large = read_bounded(&folder.path().join("large"), FILE_BYTES_MAX);
        assert_eq!(large.expect_err("too large").code, exit::UNREADABLE);
        for (what, bytes) in [
            ("empty", &b""[..]),
            ("compressed", &[0x1f, 0x8b, 8, 0][..]),
            ("an archive", &b"PK\x03\x04"[..]),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let found = read_bounded(&path, FILE_BYTES_MAX).expect_err(what);
            assert_eq!(found.code, exit::UNREADABLE, "{what}");
        }
        let itself = read_bounded(folder.path(), FILE_BYTES_MAX);
        assert_eq!(itself.expect_err("a folder").code, exit::UNREADABLE);
        for (what, error) in [
            ("cut", EvidenceFile::read(&[0x82]).map(drop)),
            (
                "of another kind",
                EvidenceFile::read(b"-----BEGIN").map(drop),
            ),
        ] {
            let report = error.map(|()| unreachable!("{what}"));
            let failed = judged(report, false).map(|_| ()).expect_err(what);
            assert_eq!(failed.code, exit::UNREADABLE, "{what}");
        }
        // What the roots signed is read as everything else: a file that is none says nothing of them.
        std::fs::write(&path, [0x82]).expect("written");
        let statement = crate::trust::read_statement(&path).map(drop);
        assert_eq!(statement.expect_err("cut").code, exit::UNREADABLE);
        let long = crate::trust::read_statement(&folder.path().join("large")).map(drop);
        assert_eq!(long.expect_err("too long").code, exit::UNREADABLE);
        assert_eq!(
            save(&path, b"nothing").expect_err("proves nothing").code,
            exit::NOT_CERTAIN
        );
    }
}
