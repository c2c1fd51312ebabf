//! Robots that cross a border: both sides of a transfer, and what is seen of it.

use carnet_client::wall_time;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::record::AgreementRef;
use carnet_domain::rules::command::{Command, Condition, Papers, Purpose, TransferId};
use clap::{Args, Subcommand};
use rand::Rng;
use serde_json::{Value, json};

use crate::context::Settings;
use crate::exit::Failed;
use crate::output::say;
use crate::parse::{self, When};
use crate::submit::{self, Write, merge, party};
use crate::{Outcome, view};

fn transfer_id(text: &str) -> Result<TransferId, String> {
    TransferId::parse(text).ok_or_else(|| "a transfer number has 32 hexadecimal digits".into())
}

fn condition(text: &str) -> Result<Condition, String> {
    match text.split_once(':') {
        None if text == "inspection" => Ok(Condition::Inspection {}),
        Some(("firmware-at-least", build)) => {
            let build = build
                .parse()
                .map_err(|_| format!("{build:?} is no build number"))?;
            Ok(Condition::FirmwareAtLeast { build })
        }
        Some(("document", digest)) => {
            let digest = Digest::parse(digest).map_err(|error| error.to_string())?;
            Ok(Condition::Document { digest })
        }
        _ => Err("one of inspection, firmware-at-least:BUILD, document:DIGEST".into()),
    }
}

fn digests(texts: &[String]) -> Result<Vec<Digest>, Failed> {
    texts.iter().map(|text| parse::digest_of(text)).collect()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Offers a robot to another country. Prints the transfer's number.
    Declare(Box<Declare>),
    /// Ends an offer before departure.
    Cancel {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Releases a robot at the border: from here on the importing country is responsible.
    Depart {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Office of exit.
        #[arg(long)]
        place: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Declare {
    /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
    #[arg(value_parser = parse::code)]
    code: Code,
    /// The importing country.
    #[arg(long)]
    to: Prefix,
    /// permanent-export, temporary-admission, repair-and-return, exhibition or transit.
    #[arg(long, default_value = "permanent-export", value_parser = parse::purpose)]
    purpose: Purpose,
    /// The offer stands until then.
    #[arg(long, default_value = "+30d")]
    offer_until: When,
    /// The agreement as name:version; default is the newest in force.
    #[arg(long, value_parser = parse::agreement)]
    agreement: Option<AgreementRef>,
    /// The transfer's number; default is drawn at random.
    #[arg(long, value_parser = transfer_id)]
    transfer: Option<TransferId>,
    /// Movement reference number of the customs declaration.
    #[arg(long, default_value = "")]
    mrn: String,
    /// Commodity code.
    #[arg(long, default_value = "")]
    commodity: String,
    /// Office of export.
    #[arg(long, default_value = "")]
    office_of_export: String,
    /// Office of entry.
    #[arg(long, default_value = "")]
    office_of_entry: String,
    /// Documents: digests or files.
    #[arg(long = "document")]
    documents: Vec<String>,
    #[command(flatten)]
    write: Write,
}

pub(crate) async fn export(verb: Export, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Export::Declare(declare) => declare_export(*declare, settings).await,
        Export::Cancel {
            transfer,
            reason,
            write,
        } => {
            let extra = json!({"transfer": transfer.to_string()});
            submit::one(
                settings,
                write,
                Command::CancelExport { transfer, reason },
                extra,
            )
            .await
        }
        Export::Depart {
            transfer,
            place,
            write,
        } => {
            let extra = json!({"transfer": transfer.to_string()});
            submit::one(settings, write, Command::Depart { transfer, place }, extra).await
        }
    }
}

async fn declare_export(declare: Declare, settings: &Settings) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    let agreement = match declare.agreement {
        Some(agreement) => agreement,
        None => {
            let peer = client.unverified().peer(declare.to).await.map_err(|error| {
                let mut failed = Failed::from(error);
                failed.next = "Name the agreement and its version with --agreement.".into();
                failed
            });
            let peer = peer?.value;
            let agreement = peer.agreement(wall_time()).ok_or_else(|| {
                Failed::usage(format!(
                    "no agreement with {} is in force; name one with --agreement",
                    declare.to
                ))
            })?;
            agreement.reference()
        }
    };
    let transfer = declare
        .transfer
        .unwrap_or_else(|| TransferId(rand::rng().random()));
    let command = Command::DeclareExport {
        code: declare.code,
        transfer,
        to: declare.to,
        purpose: declare.purpose,
        offer_until: declare.offer_until.resolve(),
        agreement: agreement.clone(),
        papers: Papers {
            mrn: declare.mrn,
            commodity: declare.commodity,
            office_of_export: declare.office_of_export,
            office_of_entry: declare.office_of_entry,
            documents: digests(&declare.documents)?,
        },
    };
    let extra = json!({
        "transfer": transfer.to_string(),
        "code": declare.code.to_string(),
        "agreement": agreement.to_string(),
    });
    submit::through(&client, declare.write, command, extra).await
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Permits the import of a robot that was offered.
    Permit {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Departure at the latest.
        #[arg(long, default_value = "+30d")]
        depart_by: When,
        /// inspection, firmware-at-least:BUILD or document:DIGEST.
        #[arg(long = "condition", value_parser = condition)]
        conditions: Vec<Condition>,
        #[command(flatten)]
        write: Write,
    },
    /// Refuses an offer, or takes a permit back: the exporting country answers with its cancel, or has released the robot already.
    Refuse {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Admits a robot at the border: the permit is consumed.
    Admit {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
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
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

pub(crate) async fn import(verb: Import, settings: &Settings) -> Result<Outcome, Failed> {
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
            let documents = digests(&documents)?;
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
    let admits = matches!(command, Command::Admit { .. }) && !write.dry_run;
    let extra = merge(json!({"transfer": transfer.to_string()}), extra);
    let mut outcome = submit::one(settings, write, command, extra).await?;
    if admits {
        let (holds, owed) = lies_on(settings, transfer).await;
        outcome.value["holds"] = holds;
        outcome.value["recalls_owed"] = owed;
    }
    Ok(outcome)
}

/// Holds and recalls that lie on a robot which was just admitted: an officer at the border must not learn of them from the
/// record a day later.
async fn lies_on(settings: &Settings, transfer: TransferId) -> (Value, Value) {
    let read = async {
        let client = settings.client()?;
        let client = client.unverified();
        let code = client.transfer(transfer).await?.value.code;
        let robot = client.robot(&code).await?.value;
        let mut owed = Vec::new();
        for recall in &robot.owed {
            let severity = client.recall(recall).await?.value.notice.severity;
            owed.push(format!("{recall} {}", parse::hyphened(severity.name())));
        }
        Ok::<_, Failed>((robot, owed))
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
                        "the robot is admitted and {what}: {}",
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

#[derive(Debug, Subcommand)]
pub(crate) enum Transfer {
    /// Shows a transfer.
    Get {
        /// Its number.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
    },
    /// Lists transfers.
    List {
        /// Only those that have not ended.
        #[arg(long)]
        open: bool,
    },
}

pub(crate) async fn transfer(verb: Transfer, settings: &Settings) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    match verb {
        Transfer::Get { transfer } => {
            let found = client.unverified().transfer(transfer).await?;
            Ok(view::at(view::transfer(&found.value), found.position).into())
        }
        Transfer::List { open } => {
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = client.unverified().transfers(0, &token).await?;
                let wanted = page
                    .values
                    .iter()
                    .filter(|transfer| !open || transfer.ending.is_none());
                rows.extend(wanted.map(view::transfer_row));
                token = page.next;
                if token.is_empty() {
                    return Ok(Value::Array(rows).into());
                }
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Movement {
    /// Lists the custody movements of a robot, oldest first.
    List {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
    },
}

pub(crate) async fn movement(verb: Movement, settings: &Settings) -> Result<Outcome, Failed> {
    let Movement::List { code } = verb;
    let found = settings.client()?.unverified().movements(&code).await?;
    let trail = found.value;
    if trail.older_left_out {
        say("older movements may be left out: these are the newest");
    }
    Ok(Value::Array(trail.movements.iter().map(view::movement).collect()).into())
}
