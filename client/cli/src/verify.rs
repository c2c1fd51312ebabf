//! `carnet verify`: the verdict on a robot, asked of a registry, or judged here from an evidence file without any network.

use std::path::{Path, PathBuf};

use carnet_client::{Client, ClientError, JudgedFile, VERDICTS_AT_ONCE, wall_time};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_trust::offline::{FILE_BYTES_MAX, FileError, Report, verify_file};
use carnet_trust::pins::Pins;
use carnet_trust::verdict::{Purpose, Value as Verdicted, Verdict};
use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::bounded::read_bounded;
use crate::evidence::save;
use crate::exit::{self, Failed, chain};
use crate::output::say;
use crate::pack::open_pack;
use crate::parse::{self, When, hyphened};
use crate::pin_args::PinArgs;
use crate::pinned::remember;
use crate::settings::Settings;
use crate::sheet::{Reading, Row, Sheet};
use crate::submit::merge;
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
    #[arg(long, default_value = "market-access", value_parser = parse::verdict_purpose)]
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
    // Whoever opens a gate by the exit code would open it for a list that was lost on the way.
    if rows.is_empty() {
        let text = format!("{}: it names no robot", path.display());
        return Err(Failed::unreadable(text));
    }
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
        let some = some_judged(&client, some, purpose, pins).await;
        // Verdicts that are there are not thrown away for what came later.
        if let Some(failed) = some.failed.filter(|_| judged.is_empty()) {
            return Err(failed);
        }
        judged.extend(some.rows);
        if let Some(pins) = pins {
            remember(pins, &some.borne_out, settings.state_dir())?;
        }
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

/// What came of some rows.
struct Judged {
    /// As they are shown, in their order, with their exit codes.
    rows: Vec<(Value, u8)>,
    /// Countries whose pins the pack bears out.
    borne_out: Vec<Prefix>,
    /// Why none of them was judged, if so: each says it.
    failed: Option<Failed>,
}

/// Verdicts on some rows. With pins they rest on one pack.
async fn some_judged(
    client: &Client,
    rows: Vec<Named>,
    purpose: Purpose,
    pins: Option<&Pins>,
) -> Judged {
    let (mut borne_out, mut failed) = (Vec::new(), None);
    let codes: Vec<Code> = rows
        .iter()
        .filter_map(|row| row.code.as_ref().ok().copied())
        .collect();
    let verdicts: Vec<Result<Verdict, Failed>> = match pins {
        Some(pins) => match client.verify_all_here(&codes, purpose, pins).await {
            Ok(judged) => {
                let mut verdict = |judged: Result<JudgedFile, ClientError>| {
                    let report = judged?.0.into_value();
                    borne_out.extend(report.borne_out);
                    Ok(report.verdict)
                };
                judged.into_iter().map(&mut verdict).collect()
            }
            Err(error) => {
                let error = Failed::from(error);
                let each = codes.iter().map(|_| Err(Failed::usage(error.text.clone())));
                let each = each.collect();
                failed = Some(error);
                each
            }
        },
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
    let rows = shown.collect();
    borne_out.sort_unstable();
    borne_out.dedup();
    Judged {
        rows,
        borne_out,
        failed,
    }
}

/// What a server says of a robot.
pub(crate) async fn told(
    client: &Client,
    code: &Code,
    purpose: Purpose,
) -> Result<Verdict, Failed> {
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
    let worst = codes.max_by_key(|code| order(*code));
    // Nothing is no yes.
    worst.unwrap_or(exit::NOT_CERTAIN)
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

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_trust::offline::EvidenceFile;

    #[test]
    fn of_many_the_worst_is_the_exit_code() {
        let worst = |codes: &[u8]| worst(codes.iter().copied());
        assert_eq!(worst(&[]), exit::NOT_CERTAIN);
        assert_eq!(worst(&[0]), 0);
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
        let statement = crate::signed::read_statement(&path).map(drop);
        assert_eq!(statement.expect_err("cut").code, exit::UNREADABLE);
        let long = crate::signed::read_statement(&folder.path().join("large")).map(drop);
        assert_eq!(long.expect_err("too long").code, exit::UNREADABLE);
        assert_eq!(
            save(&path, b"nothing").expect_err("proves nothing").code,
            exit::NOT_CERTAIN
        );
    }
}
