//! `carnet agreement`: what two countries recognise of each other, drafted, signed by both and published.

use std::path::{Path, PathBuf};

use carnet_client::wall_time;
use carnet_domain::bytes::code::{ModelId, Prefix};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::peer::{
    Agreement as Agreed, Clause, Peer as TrustPeer, Signed, Statement,
};
use carnet_domain::record::{AgreementRef, Severity};
use carnet_domain::rules::command::Purpose;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::exit::Failed;
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::signed::{Roots, read, signatures, state, write, write_draft};
use crate::submit::merge;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Agreement {
    /// Drafts an agreement of two countries in a file, for both sides' roots to sign.
    Draft(Box<Draft>),
    /// Adds our roots' signatures to a draft.
    Sign {
        /// The draft; it is replaced.
        file: PathBuf,
    },
    /// Shows a draft and who signed it.
    Show {
        /// The draft, as `agreement draft` wrote it.
        file: PathBuf,
    },
    /// Puts an agreement that both sides signed into our log.
    Publish {
        /// The draft, with the signatures of both sides.
        file: PathBuf,
    },
    /// Lists the agreements that stand in our registry, each as it stands: in force, suspended, replaced, over.
    List {
        /// With one country alone, by its primary prefix.
        #[arg(long)]
        peer: Option<Prefix>,
    },
    /// Shows an agreement of our registry, with its clauses and how it stands.
    Get {
        /// The agreement and its version, as name:version.
        #[arg(value_parser = parse::agreement)]
        agreement: AgreementRef,
        /// With which country.
        #[arg(long)]
        peer: Prefix,
    },
    /// Ends the suspension of a version of an agreement before its time.
    Resume {
        /// The agreement and its version, as name:version.
        #[arg(value_parser = parse::agreement)]
        agreement: AgreementRef,
        /// With which country.
        #[arg(long)]
        peer: Prefix,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Suspends a version of an agreement: no new offers and permits. Immediate.
    Suspend {
        /// The agreement and its version, as name:version.
        #[arg(value_parser = parse::agreement)]
        agreement: AgreementRef,
        /// With which country.
        #[arg(long)]
        peer: Prefix,
        /// Counts up with every suspension of this version; default is one more than the last.
        #[arg(long)]
        number: Option<u32>,
        /// Until when; a time that has passed ends the suspension.
        #[arg(long, default_value = "+365d", allow_hyphen_values = true)]
        until: When,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// Its name, the same in all versions: 0-9, A-Z and single -.
    #[arg(long, value_parser = carnet_client::identity::canonical)]
    id: String,
    /// Counts up from 1.
    #[arg(long, default_value = "1")]
    version: u32,
    /// The two parties, separated by a comma.
    #[arg(long, value_delimiter = ',', required = true)]
    parties: Vec<Prefix>,
    /// In force from.
    #[arg(long, default_value = "-1m", allow_hyphen_values = true)]
    from: When,
    /// In force until.
    #[arg(long, default_value = "+365d", allow_hyphen_values = true)]
    to: When,
    /// A clause as recogniser=49,issuer=86[,levels=1-5][,classes=1-4][,purposes=P+P][,models=M+M][,age=24h][,severity=stop-use][,count=N].
    /// Without any, each side recognises everything of the other.
    #[arg(long = "clause", value_parser = clause)]
    clauses: Vec<Clause>,
}

pub(crate) async fn run(verb: Agreement, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Agreement::Draft(draft) => {
            let [a, b] = draft.parties.as_slice() else {
                return Err(Failed::usage("an agreement has two parties"));
            };
            let (low, high) = if a < b { (*a, *b) } else { (*b, *a) };
            if low == high {
                return Err(Failed::usage("an agreement has two different parties"));
            }
            let mut clauses = draft.clauses;
            if clauses.is_empty() {
                clauses = vec![everything(0, low, high), everything(0, high, low)];
            }
            for (number, clause) in (1..).zip(&mut clauses) {
                clause.number = number;
            }
            let agreement = Agreed {
                id: draft.id,
                version: draft.version,
                parties: (low, high),
                effective_from: draft.from.resolve(),
                effective_to: draft.to.resolve(),
                clauses,
            };
            let signed = Signed {
                bytes: Blob(agreement.to_bytes()),
                signatures: Vec::new(),
            };
            write_draft(&draft.file, &signed)?;
            Ok(shown(&agreement, &signed, &draft.file).into())
        }
        Agreement::Sign { file } => {
            let (mut signed, agreement) = read_agreement(&file)?;
            Roots::open(settings.pki_dir()?)?.add_to(&mut signed);
            write(&file, &signed.to_bytes())?;
            Ok(shown(&agreement, &signed, &file).into())
        }
        Agreement::Show { file } => {
            let (signed, agreement) = read_agreement(&file)?;
            Ok(shown(&agreement, &signed, &file).into())
        }
        Agreement::Publish { file } => {
            let (signed, agreement) = read_agreement(&file)?;
            let now = wall_time();
            let value = merge(
                view::agreement(&agreement),
                json!({"in_force": agreement.in_force(now)}),
            );
            state(settings, &Statement::Agree { agreement: signed }, value).await
        }
        Agreement::List { peer } => {
            let client = settings.client()?;
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = client.unverified().peers(0, &token).await?;
                let of = |one: &&TrustPeer| peer.is_none() || one.bundle.primary() == peer;
                rows.extend(page.values.iter().filter(of).flat_map(standing));
                token = page.next;
                if token.is_empty() {
                    return Ok(Value::Array(rows).into());
                }
            }
        }
        Agreement::Get { agreement, peer } => {
            let known = settings.client()?.unverified().peer(peer).await?.value;
            let mut all = known.agreements.iter();
            let Some(found) = all.find(|one| one.reference() == agreement) else {
                let text = format!("no agreement {agreement} with {peer} stands here");
                return Err(Failed {
                    next: "carnet agreement list shows those that do.".into(),
                    ..Failed::usage(text)
                });
            };
            let stands = json!({
                "peer": peer.to_string(),
                "stands": known.standing_of(found, wall_time()),
            });
            Ok(merge(stands, view::agreement(found)).into())
        }
        Agreement::Resume {
            agreement,
            peer,
            reason,
        } => {
            let known = settings.client()?.unverified().peer(peer).await?.value;
            if known.suspended_until(&agreement, wall_time()).is_none() {
                let text = format!("{agreement} with {peer} is not suspended");
                return Err(Failed {
                    next: "Nothing was sent: carnet agreement list shows how each stands.".into(),
                    ..Failed::usage(text)
                });
            }
            let value = json!({"agreement": agreement.to_string(), "stands": "resumed"});
            let number = next_of_all(settings, peer, &agreement).await?;
            let statement = Statement::Suspend {
                peer,
                agreement,
                number,
                // A time that has passed ends it.
                until: TimeMs(0),
                reason,
            };
            state(settings, &statement, value).await
        }
        Agreement::Suspend {
            agreement,
            peer,
            number,
            until,
            reason,
        } => {
            let number = match number {
                Some(number) => number,
                None => next_of_all(settings, peer, &agreement).await?,
            };
            let value = json!({"agreement": agreement.to_string(), "reason": reason});
            state(
                settings,
                &Statement::Suspend {
                    peer,
                    agreement,
                    number,
                    until: until.resolve(),
                    reason,
                },
                value,
            )
            .await
        }
    }
}

/// Everything of one country's robots, recognised by another.
fn everything(number: u16, recogniser: Prefix, issuer: Prefix) -> Clause {
    Clause {
        number,
        recogniser,
        issuer,
        models: Vec::new(),
        levels: (1..=5).collect(),
        safety_classes: (1..=4).collect(),
        purposes: Purpose::ALL.to_vec(),
        checkpoint_age_max: DurationMs::from_days(1),
        recall_severity_max: Severity::StopUse,
        recall_count_max: u32::MAX,
    }
}

fn range(text: &str) -> Result<Vec<u8>, String> {
    let number = |text: &str| {
        text.parse::<u8>()
            .map_err(|_| format!("{text:?} is not a number"))
    };
    match text.split_once('-') {
        Some((from, to)) => Ok((number(from)?..=number(to)?).collect()),
        None => text.split('+').map(number).collect(),
    }
}

fn clause(text: &str) -> Result<Clause, String> {
    let field = |name: &str| {
        text.split(',').find_map(|pair| {
            pair.split_once('=')
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value)
        })
    };
    const NAMES: [&str; 9] = [
        "recogniser",
        "issuer",
        "levels",
        "classes",
        "purposes",
        "models",
        "age",
        "severity",
        "count",
    ];
    for pair in text.split(',') {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !NAMES.contains(&name) {
            return Err(format!("{name:?} is none of {}", NAMES.join(", ")));
        }
    }
    let prefix = |name: &str| {
        let text = field(name).ok_or_else(|| format!("{name} is missing"))?;
        Prefix::parse(text).map_err(|error| format!("{name}: {error}"))
    };
    let mut clause = everything(0, prefix("recogniser")?, prefix("issuer")?);
    if let Some(text) = field("levels") {
        clause.levels = range(text)?;
    }
    if let Some(text) = field("classes") {
        clause.safety_classes = range(text)?;
    }
    if let Some(text) = field("purposes") {
        clause.purposes = text
            .split('+')
            .map(parse::purpose)
            .collect::<Result<_, _>>()?;
    }
    if let Some(text) = field("models") {
        let model = |text: &str| ModelId::parse(text).map_err(|error| format!("models: {error}"));
        clause.models = text.split('+').map(model).collect::<Result<_, _>>()?;
    }
    if let Some(text) = field("age") {
        clause.checkpoint_age_max = parse::duration(text)?;
    }
    if let Some(text) = field("severity") {
        clause.recall_severity_max = parse::severity(text)?;
    }
    if let Some(text) = field("count") {
        clause.recall_count_max = text
            .parse()
            .map_err(|_| format!("{text:?} is not a number"))?;
    }
    Ok(clause)
}

fn read_agreement(path: &Path) -> Result<(Signed, Agreed), Failed> {
    let wrong = |error: carnet_domain::bytes::encoding::DecodeError| {
        Failed::unreadable(format!("{}: {error}", path.display()))
    };
    let signed = Signed::from_bytes(&read(path)?).map_err(wrong)?;
    let agreement = Agreed::from_bytes(&signed.bytes.0).map_err(wrong)?;
    Ok((signed, agreement))
}

fn shown(agreement: &Agreed, signed: &Signed, file: &Path) -> Value {
    let more = json!({"signatures": signatures(signed), "file": file.display().to_string()});
    merge(view::agreement(agreement), more)
}

/// How each agreement with a peer stands.
fn standing(peer: &TrustPeer) -> Vec<Value> {
    let now = wall_time();
    let row = |one: &Agreed| {
        json!({
            "peer": peer.bundle.primary().map(|prefix| prefix.to_string()),
            "agreement": one.reference().to_string(),
            "stands": peer.standing_of(one, now),
            "from": view::time(one.effective_from),
            "to": view::time(one.effective_to),
            "clauses": one.clauses.len(),
        })
    };
    peer.agreements.iter().map(row).collect()
}

/// How often a version may have been suspended by the word of one node.
const SUSPENSIONS_BELIEVED_MAX: u32 = 1_000;
/// By how many the endpoints may differ: one that lags knows fewer.
const SUSPENSIONS_APART_MAX: u32 = 16;

/// The number of the next suspension of a version, as every endpoint that answers tells it.
async fn next_of_all(
    settings: &Settings,
    peer: Prefix,
    agreement: &AgreementRef,
) -> Result<u32, Failed> {
    let (mut told, mut failed) = (Vec::new(), None);
    for (_, alone) in settings.each_endpoint() {
        match alone.client()?.unverified().peer(peer).await {
            Ok(known) => told.push(last_number(&known.value, agreement)),
            Err(error) => failed = Some(error),
        }
    }
    match (told.as_slice(), failed) {
        ([], Some(error)) => Err(error.into()),
        (told, _) => next_number(told),
    }
}

/// The number of the last suspension of a version.
fn last_number(peer: &TrustPeer, agreement: &AgreementRef) -> u32 {
    let mut known = peer.suspended.iter();
    let last = known.find(|one| one.agreement == *agreement);
    last.map_or(0, |last| last.number)
}

/// One above the highest told. The roots sign it, and a version with the last number there is could never be resumed.
fn next_number(told: &[u32]) -> Result<u32, Failed> {
    let highest = told.iter().copied().max().unwrap_or_default();
    let lowest = told.iter().copied().min().unwrap_or_default();
    let is_apart = highest.saturating_sub(lowest) > SUSPENSIONS_APART_MAX;
    if is_apart || highest > SUSPENSIONS_BELIEVED_MAX {
        return Err(Failed {
            next: "Nothing was signed. Ask people who know, or another node (--endpoints); `carnet agreement suspend` takes a --number."
                .into(),
            ..Failed::usage(format!(
                "the nodes say that the last suspension of this version has number {lowest} to {highest}"
            ))
        });
    }
    // saturates: it is far below the last number
    Ok(highest.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, a node that said a number had the roots sign the last one there is: that version was never resumed.
    #[test]
    fn the_number_of_a_suspension_is_not_the_word_of_one_node() {
        let next = |told: &[u32]| next_number(told).ok();
        assert_eq!(next(&[0]), Some(1));
        assert_eq!(next(&[3, 3, 2]), Some(4));
        assert_eq!(next(&[3, 3, 20]), None);
        assert_eq!(next(&[u32::MAX - 1]), None);
        assert_eq!(next(&[u32::MAX - 1, 3]), None);
    }

    #[test]
    fn a_clause_is_read_field_by_field() {
        let read = clause(
            "recogniser=49,issuer=86,levels=1-3,classes=2+4,purposes=exhibition+transit,age=2h,severity=remedy,count=10",
        );
        let clause = read.expect("a clause");
        assert_eq!(clause.levels, [1, 2, 3]);
        assert_eq!(clause.safety_classes, [2, 4]);
        assert_eq!(clause.purposes, [Purpose::Exhibition, Purpose::Transit]);
        assert_eq!(clause.checkpoint_age_max, DurationMs::from_secs(7_200));
        assert_eq!(
            (clause.recall_severity_max, clause.recall_count_max),
            (Severity::Remedy, 10)
        );
    }

    #[test]
    fn a_misspelt_field_never_widens_a_clause() {
        assert!(
            clause("recogniser=49,issuer=86,level=1")
                .expect_err("misspelt")
                .contains("\"level\"")
        );
        assert!(
            clause("recogniser=49")
                .expect_err("no issuer")
                .contains("issuer is missing")
        );
    }
}
