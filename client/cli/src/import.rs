//! `carnet import`: the importing side of a transfer between countries. (`carnet robot import` is in `robot/import.rs`.)

use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::admission::owed_after;
use carnet_domain::record::transfer::Transfer as Record;
use carnet_domain::record::{Recall, RecallId, Robot};
use carnet_domain::rules::command::{Command, Condition, TransferId};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::Outcome;
use crate::exit::Failed;
use crate::output::say;
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::submit::{self, Write, merge, party};

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Permits the import of a robot that was offered.
    Permit {
        /// Its number, 32 hexadecimal digits, as `transfer list` shows it.
        #[arg(value_parser = parse::transfer_id)]
        transfer: TransferId,
        /// Departure at the latest.
        #[arg(long, default_value = "+30d", allow_hyphen_values = true)]
        depart_by: When,
        /// inspection, firmware-at-least:BUILD or document:DIGEST.
        #[arg(long = "condition", value_parser = condition)]
        conditions: Vec<Condition>,
        #[command(flatten)]
        write: Write,
    },
    /// Refuses an offer, or takes a permit back: the exporting country answers with its cancel, or has released the robot already.
    Refuse {
        /// Its number, 32 hexadecimal digits, as `transfer list` shows it.
        #[arg(value_parser = parse::transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Admits a robot at the border: the permit is consumed.
    Admit {
        /// Its number, 32 hexadecimal digits, as `transfer list` shows it.
        #[arg(value_parser = parse::transfer_id)]
        transfer: TransferId,
        /// Office of entry.
        #[arg(long)]
        place: String,
        /// Importer of record: a person's name (kept as a salted commitment) or commitment, enterprise/ID or office/PREFIX/NAME.
        #[arg(long)]
        importer: String,
        /// Documents shown: digests or files.
        #[arg(long = "document")]
        documents: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Sends a robot in transit back.
    Return {
        /// Its number, 32 hexadecimal digits, as `transfer list` shows it.
        #[arg(value_parser = parse::transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

pub(crate) async fn run(verb: Import, settings: &Settings) -> Result<Outcome, Failed> {
    let (command, transfer, write, extra) = match verb {
        Import::Permit {
            transfer,
            depart_by,
            conditions,
            write,
        } => {
            let depart_by = depart_by.resolve();
            (
                Command::PermitImport {
                    transfer,
                    depart_by,
                    conditions,
                },
                transfer,
                write,
                json!({}),
            )
        }
        Import::Refuse {
            transfer,
            reason,
            write,
        } => (
            Command::RefuseImport { transfer, reason },
            transfer,
            write,
            json!({}),
        ),
        Import::Admit {
            transfer,
            place,
            importer,
            documents,
            write,
        } => {
            let (importer, extra) = party("importer", &importer)?;
            let documents = parse::digests(&documents)?;
            let command = Command::Admit {
                transfer,
                place,
                importer,
                documents,
                countersignature: None,
            };
            (command, transfer, write, extra)
        }
        Import::Return {
            transfer,
            reason,
            write,
        } => (
            Command::Return { transfer, reason },
            transfer,
            write,
            json!({}),
        ),
    };
    let admits =
        matches!(command, Command::Admit { .. }) && (!write.dry_run || settings.has_endpoints());
    let permits = matches!(command, Command::PermitImport { .. }) && settings.has_endpoints();
    let extra = merge(json!({"transfer": transfer.to_string()}), extra);
    let asked = write.dry_run;
    let mut outcome = submit::one(settings, write, command, extra).await?;
    if permits && let Some(doubt) = doubt_of(settings, transfer).await {
        outcome.value["peer_doubted"] = doubt.into();
    }
    if admits {
        let admission = match asked {
            true => Admission::Foreseen,
            false => Admission::Done,
        };
        let (holds, owed) = lies_on(settings, transfer, admission).await;
        outcome.value["holds"] = holds;
        outcome.value["recalls_owed"] = owed;
    }
    Ok(outcome)
}

pub(crate) fn condition(text: &str) -> Result<Condition, String> {
    match text.split_once(':') {
        None if text == "inspection" => Ok(Condition::Inspection {}),
        Some(("firmware-at-least", build)) => {
            let build = build
                .parse()
                .map_err(|_| format!("{build:?} is not a build number; write digits alone"))?;
            Ok(Condition::FirmwareAtLeast { build })
        }
        Some(("document", digest)) => {
            let digest = Digest::parse(digest).map_err(|error| error.to_string())?;
            Ok(Condition::Document { digest })
        }
        _ => Err("one of inspection, firmware-at-least:BUILD, document:DIGEST".into()),
    }
}

/// Why the word of the country that offers a robot is doubted here, if it is. Who may not read it is told nothing.
async fn doubt_of(settings: &Settings, transfer: TransferId) -> Option<String> {
    let client = settings.client().ok()?;
    let client = client.unverified();
    let from = client.transfer(transfer).await.ok()?.value.from;
    let doubt = client.peer(from).await.ok()?.value.doubted?;
    let doubt = parse::hyphened(doubt.name());
    say(format!(
        "the word of {from} is doubted ({doubt}): what it says of the robot may not hold (runbook doubted-peer)"
    ));
    Some(doubt)
}

/// Whether a robot was admitted, or only looked at before it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Foreseen,
    Done,
}

/// Holds and recalls that lie on a robot which was just admitted, or would be: an officer at the border must not learn of them from
/// the record a day later.
async fn lies_on(
    settings: &Settings,
    transfer: TransferId,
    admission: Admission,
) -> (Value, Value) {
    let read = async {
        let client = settings.client()?;
        let told = client.unverified();
        let transfer = told.transfer(transfer).await?.value;
        let robot = told.robot(&transfer.code).await?.value;
        let mut known = Vec::new();
        let mut token = String::new();
        let model = transfer.code.model_id();
        loop {
            let page = told.recalls(model.as_str(), 0, &token).await?;
            known.extend(page.values);
            token = page.next;
            if token.is_empty() {
                break;
            }
        }
        let owed = match admission {
            Admission::Done => robot.owed.clone(),
            Admission::Foreseen => would_owe(&transfer, &robot, &known)?,
        };
        let owed: Vec<String> = owed.iter().map(|id| recall_text(id, &known)).collect();
        Ok::<_, Failed>((robot, owed))
    };
    let admitted = match admission {
        Admission::Foreseen => "would be admitted",
        Admission::Done => "is admitted",
    };
    match read.await {
        Ok((robot, owed)) => {
            let holds: Vec<String> = robot
                .holds
                .iter()
                .map(|hold| parse::hyphened(hold.kind.name()))
                .collect();
            for (what, list) in [("held", &holds), ("owes recalls", &owed)] {
                if !list.is_empty() {
                    say(format!(
                        "the robot {admitted} and {what}: {}",
                        list.join(", ")
                    ));
                }
            }
            (holds.into(), owed.into())
        }
        // It is admitted, whatever this reader may see.
        Err(failed) => {
            let unknown = Value::from(format!("not known: {}", failed.text));
            (unknown.clone(), unknown)
        }
    }
}

/// What a robot would owe once it is admitted: of what was disclosed of it, and by the recalls of its model that are known here.
fn would_owe(transfer: &Record, here: &Robot, known: &[Recall]) -> Result<Vec<RecallId>, Failed> {
    let Some(disclosed) = &transfer.robot else {
        // An empty list would say that it owes nothing.
        return Err(Failed::local(
            "what the other country shows of the robot is not shown to this reader",
        ));
    };
    let sides = (transfer.to, transfer.from);
    Ok(owed_after(sides, known, here, disclosed))
}

/// A recall and how grave it is. Of one that was only told of, nobody here knows.
fn recall_text(id: &RecallId, known: &[Recall]) -> String {
    let mut recalls = known.iter();
    match recalls.find(|recall| recall.notice.id == *id) {
        Some(recall) => format!("{id} {}", parse::hyphened(recall.notice.severity.name())),
        None => format!("{id} (its notice is not known here yet)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::time::DurationMs;
    use carnet_kit::Country;
    use carnet_kit::befriend;
    use carnet_kit::transfer;

    /// Once, a look before the admission showed no recall, and the admission itself did.
    #[test]
    fn what_is_foreseen_to_be_owed_is_what_is_owed_then() {
        use carnet_domain::record::Severity;
        use carnet_domain::record::ledger::Ledger as _;
        use carnet_kit::samples::recall;
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("49"));
        befriend(&mut a, &mut b);
        a.must("maker", a.register(1));
        for (number, severity) in [("R-1", Severity::Advisory), ("R-2", Severity::Advisory)] {
            let open = recall(&a, number, severity);
            a.must("maker", open);
        }
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        a.deliver(&mut b);
        let permit = Command::PermitImport {
            transfer: transfer(1),
            depart_by: b.clock.saturating_add(DurationMs::from_days(1)),
            conditions: Vec::new(),
        };
        b.must("customs", permit);
        b.deliver(&mut a);
        let depart = Command::Depart {
            transfer: transfer(1),
            place: "harbour".into(),
        };
        a.must("customs", depart);
        let withdraw = Command::WithdrawRecall {
            recall: carnet_kit::samples::recall_id(&a, "R-1"),
            reason: "no fault".into(),
        };
        a.must("maker", withdraw);
        a.deliver(&mut b);
        let code = a.code(1);
        let here = |b: &Country| {
            let Ok(robot) = b.ledger.robot(&code);
            robot.expect("known")
        };
        let found: Vec<Recall> = b.ledger.recalls().cloned().collect();
        let moved = b.ledger.transfers().next().cloned().expect("on its way");
        let foreseen = would_owe(&moved, &here(&b), &found).expect("shown");
        let id = b.enterprise("0001");
        let admit = Command::Admit {
            transfer: transfer(1),
            place: "harbour".into(),
            importer: carnet_domain::record::PartyName::Enterprise { id },
            documents: Vec::new(),
            countersignature: None,
        };
        b.must("customs", admit);
        assert_eq!(foreseen, here(&b).owed);
        assert_eq!(foreseen, [carnet_kit::samples::recall_id(&a, "R-2")]);
        assert_eq!(recall_text(&foreseen[0], &found), "86/R-2 advisory");
        let hidden = Record {
            robot: None,
            ..moved
        };
        assert!(
            would_owe(&hidden, &here(&b), &found).is_err(),
            "not: it owes nothing"
        );
    }
}
