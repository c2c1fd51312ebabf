//! `carnet model`: type approvals.

use carnet_domain::bytes::code::ModelId;
use carnet_domain::record::{ApprovalStatus, Form, ModelFacts};
use carnet_domain::rules::command::Command;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::exit::Failed;
use crate::pages::{PAGE_SIZE, pages};
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::submit::{self, Sure, Write};
use crate::{Outcome, maker, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Approves a model.
    Approve(Box<Approve>),
    /// Shows a type approval.
    Get {
        /// The model's code, 12 characters: prefix 2, enterprise 4, model 6, as 86-0001-000002.
        id: ModelId,
    },
    /// Lists type approvals.
    List {
        /// Country or enterprise: the first characters of the codes.
        #[arg(default_value = "")]
        filter: String,
        /// At most this many.
        #[arg(long, default_value = "100")]
        limit: usize,
    },
    /// Suspends, reinstates or withdraws an approval. Withdrawn it stays so for ever: another person of the registrars or regulators
    /// says the same within seven days.
    Status {
        /// The model's code, 12 characters: prefix 2, enterprise 4, model 6, as 86-0001-000002.
        id: ModelId,
        /// approved, suspended or withdrawn.
        #[arg(value_parser = parse::approval_status)]
        status: ApprovalStatus,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The model's code, 12 characters: prefix 2, enterprise 4, model 6, as 86-0001-000002.
    id: ModelId,
    /// Product name.
    #[arg(long)]
    name: String,
    /// Certificate number of the approval.
    #[arg(long)]
    certificate: String,
    /// bipedal, wheeled or other.
    #[arg(long, default_value = "bipedal", value_parser = parse::form)]
    form: Form,
    /// Intelligence level, 1 to 5.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u8).range(1..=5))]
    level: u8,
    /// Safety class, 1 to 4.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u8).range(1..=4))]
    safety_class: u8,
    /// Standing height in cm; 0: not stated.
    #[arg(long, default_value = "0")]
    height_cm: u32,
    /// Mass in kg; 0: not stated.
    #[arg(long, default_value = "0")]
    mass_kg: u32,
    /// Degrees of freedom; 0: not stated.
    #[arg(long, default_value = "0")]
    degrees_of_freedom: u32,
    /// Battery energy in Wh; 0: not stated.
    #[arg(long, default_value = "0")]
    battery_wh: u32,
    /// The family of firmware that was approved, as robots of the model name theirs.
    #[arg(long, default_value = "main")]
    firmware_family: String,
    /// Commodity code under which it is declared at borders: 6 to 10 digits.
    #[arg(long, default_value = "", value_parser = parse::commodity)]
    commodity: String,
    /// Production may begin.
    #[arg(long, default_value = "2020-01-01", allow_hyphen_values = true)]
    production_from: When,
    /// Production must end.
    #[arg(long, default_value = "+3650d", allow_hyphen_values = true)]
    production_to: When,
    #[command(flatten)]
    write: Write,
}

pub(crate) async fn run(verb: Model, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Model::Approve(approve) => {
            let Approve { id, write, .. } = *approve;
            let command = Command::ApproveModel {
                id,
                production_from: approve.production_from.resolve(),
                production_to: approve.production_to.resolve(),
                facts: ModelFacts {
                    name: approve.name,
                    certificate: approve.certificate,
                    form: approve.form,
                    level: approve.level,
                    safety_class: approve.safety_class,
                    height_cm: approve.height_cm,
                    mass_kg: approve.mass_kg,
                    degrees_of_freedom: approve.degrees_of_freedom,
                    battery_wh: approve.battery_wh,
                    firmware_family: approve.firmware_family,
                    commodity: approve.commodity,
                },
            };
            submit::one(settings, write, command, json!({"model": id.to_string()})).await
        }
        Model::List { filter, limit } => {
            let client = settings.client()?;
            let filter = filter.replace('-', "").to_ascii_uppercase();
            let ask = async |token: String| {
                let told = client.unverified();
                told.models(&filter, PAGE_SIZE, &token).await
            };
            let mut listed = pages("models", limit, view::model, ask).await?;
            maker::with_makers(&client, &mut listed.value).await;
            Ok(listed)
        }
        Model::Get { id } => {
            let client = settings.client()?;
            let found = client.unverified().model(&id).await?;
            let mut shown = view::model(&found.value);
            shown["maker"] = maker::maker_shown(&client, &id.enterprise_id()).await;
            Ok(view::at(shown, found.position).into())
        }
        Model::Status {
            id,
            status,
            reason,
            sure,
            write,
        } => {
            if status == ApprovalStatus::Withdrawn {
                sure.confirm("To withdraw a type approval", &id.to_string(), write)?;
            }
            let command = Command::SetModelStatus { id, status, reason };
            submit::one(settings, write, command, json!({"model": id.to_string()})).await
        }
    }
}
