//! `carnet export`: the exporting side of a transfer between countries.

use carnet_client::{Client, wall_time};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::AgreementRef;
use carnet_domain::rules::command::{Command, Papers, Purpose, TransferId};
use clap::{Args, Subcommand};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::Outcome;
use crate::exit::{self, Failed};
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::submit::{self, Write};

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Offers a robot to another country. Prints the transfer's number.
    Declare(Box<Declare>),
    /// Ends an offer before departure.
    Cancel {
        /// Its number, 32 hexadecimal digits, as `transfer list` shows it.
        #[arg(value_parser = parse::transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Releases a robot at the border: from here on the importing country is responsible.
    Depart {
        /// Its number, 32 hexadecimal digits, as `transfer list` shows it.
        #[arg(value_parser = parse::transfer_id)]
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
    /// The transfer's number; default is drawn at random.
    #[arg(long, value_parser = parse::transfer_id)]
    transfer: Option<TransferId>,
    /// Reference of the consignment that it goes with (UCR): at most 35 of 0-9A-Z-./.
    #[arg(long, default_value = "", value_parser = parse::ucr)]
    ucr: String,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    write: Write,
}

/// What is declared, of one robot or of many.
#[derive(Debug, Args)]
pub(crate) struct Terms {
    /// The importing country.
    #[arg(long)]
    to: Prefix,
    /// permanent-export, temporary-admission, repair-and-return, exhibition or transit.
    #[arg(long, default_value = "permanent-export", value_parser = parse::purpose)]
    purpose: Purpose,
    /// The offer stands until then.
    #[arg(long, default_value = "+30d", allow_hyphen_values = true)]
    offer_until: When,
    /// The agreement as name:version; default is the newest in force.
    #[arg(long, value_parser = parse::agreement)]
    agreement: Option<AgreementRef>,
    /// Movement reference number of the customs declaration.
    #[arg(long, default_value = "")]
    mrn: String,
    /// Commodity code: 6 to 10 digits, the first six those of the model's approval.
    #[arg(long, default_value = "", value_parser = parse::commodity)]
    commodity: String,
    /// Registration identifier of its product passport in the registry of the European Union.
    #[arg(long, default_value = "")]
    product_passport: String,
    /// The customs office where it leaves, as the papers name it.
    #[arg(long, default_value = "")]
    office_of_export: String,
    /// The customs office where it is to come in, as the papers name it.
    #[arg(long, default_value = "")]
    office_of_entry: String,
    /// Who is to have it there: enterprise/49-0001, office/49/NAME, or a person. For good, the other country admits it for another
    /// one, or for anybody where none is named, by two persons only.
    #[arg(long)]
    consignee: Option<String>,
    /// Documents: digests or files.
    #[arg(long = "document")]
    documents: Vec<String>,
}

/// What declarations of many robots have in common.
pub(crate) struct Parts {
    to: Prefix,
    purpose: Purpose,
    offer_until: TimeMs,
    agreement: AgreementRef,
    papers: Papers,
}

impl Parts {
    /// The declaration of one of them.
    pub(crate) fn command(&self, code: Code, transfer: TransferId) -> Command {
        Command::DeclareExport {
            code,
            transfer,
            to: self.to,
            purpose: self.purpose,
            offer_until: self.offer_until,
            agreement: self.agreement.clone(),
            papers: self.papers.clone(),
        }
    }

    /// Name and version of the agreement that it goes by.
    pub(crate) fn agreement(&self) -> String {
        self.agreement.to_string()
    }
}

impl Terms {
    /// Whose agreement has to be looked up.
    pub(crate) fn lacks_agreement(&self) -> Option<Prefix> {
        self.agreement.is_none().then_some(self.to)
    }

    /// What is declared of each, and what is kept of a person who is to have it; `agreement` where none is named.
    ///
    /// # Errors
    /// A document cannot be read, or there is no agreement.
    pub(crate) fn parts(
        self,
        agreement: Option<AgreementRef>,
        ucr: &str,
    ) -> Result<(Parts, Value), Failed> {
        let agreement = self.agreement.or(agreement);
        let agreement = agreement.ok_or_else(|| none_with(self.to))?;
        let (consignee, said) = match &self.consignee {
            None if self.purpose == Purpose::PermanentExport => {
                // Whoever admits it has to find a second person.
                let said = "not named: two persons of customs there say who is to have it";
                (None, json!({"consignee": said}))
            }
            None => (None, json!({})),
            Some(text) => {
                let (consignee, said) = submit::party("consignee", text)?;
                (Some(consignee), said)
            }
        };
        let papers = Papers {
            mrn: self.mrn,
            ucr: ucr.to_owned(),
            commodity: self.commodity,
            passport: self.product_passport,
            office_of_export: self.office_of_export,
            office_of_entry: self.office_of_entry,
            documents: parse::digests(&self.documents)?,
            consignee,
        };
        let parts = Parts {
            to: self.to,
            purpose: self.purpose,
            offer_until: self.offer_until.resolve(),
            agreement,
            papers,
        };
        Ok((parts, said))
    }
}

pub(crate) async fn run(verb: Export, settings: &Settings) -> Result<Outcome, Failed> {
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

/// The newest agreement in force with a country.
///
/// # Errors
/// There is none, or it cannot be read.
pub(crate) async fn agreement_with(client: &Client, to: Prefix) -> Result<AgreementRef, Failed> {
    let peer = client.unverified().peer(to).await.map_err(|error| {
        let mut failed = Failed::from(error);
        failed.next = "Name the agreement and its version with --agreement.".into();
        failed
    });
    let peer = peer?.value;
    let now = wall_time();
    let agreement = peer.agreement(now).ok_or_else(|| {
        let suspended = peer.in_force(now).find_map(|one| {
            let until = peer.suspended_until(&one.reference(), now)?;
            Some((one.reference(), until))
        });
        suspended.map_or_else(
            || none_with(to),
            |(agreement, until)| suspended_with(to, &agreement, until),
        )
    })?;
    Ok(agreement.reference())
}

/// The agreement is there, and nobody has to look for another.
fn suspended_with(to: Prefix, agreement: &AgreementRef, until: TimeMs) -> Failed {
    Failed {
        code: exit::ERROR,
        reason: "NO_AGREEMENT".into(),
        next: "Nothing was sent. The agreement stands and is suspended here: wait for that time, or have the roots resume it.".into(),
        ..Failed::usage(format!(
            "the agreement {agreement} with {to} is suspended until {until}"
        ))
    }
}

fn none_with(to: Prefix) -> Failed {
    Failed::usage(format!(
        "no agreement with {to} is in force; name one with --agreement"
    ))
}

impl Declare {
    pub(crate) fn write(&self) -> Write {
        self.write
    }

    /// Whose agreement has to be looked up.
    pub(crate) fn lacks_agreement(&self) -> Option<Prefix> {
        self.terms.lacks_agreement()
    }

    /// The command, and what is shown of it; `agreement` where none is named.
    ///
    /// # Errors
    /// A document cannot be read, or there is no agreement.
    pub(crate) fn command(
        self,
        agreement: Option<AgreementRef>,
    ) -> Result<(Command, Value), Failed> {
        let transfer = self
            .transfer
            .unwrap_or_else(|| TransferId(rand::rng().random()));
        let (parts, said) = self.terms.parts(agreement, &self.ucr)?;
        let shown = json!({
            "transfer": transfer.to_string(),
            "code": self.code.to_string(),
            "agreement": parts.agreement(),
        });
        Ok((
            parts.command(self.code, transfer),
            submit::merge(shown, said),
        ))
    }
}

async fn declare_export(declare: Declare, settings: &Settings) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    let agreement = match declare.lacks_agreement() {
        Some(to) => Some(agreement_with(&client, to).await?),
        None => None,
    };
    let write = declare.write;
    let (command, extra) = declare.command(agreement)?;
    submit::through(&client, write, command, extra).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, whoever named no agreement was told that there was none, and looked for another.
    #[test]
    fn a_suspended_agreement_is_said_to_be_one() {
        let to = Prefix::parse("86").expect("a prefix");
        let agreement = AgreementRef {
            id: "86-49".into(),
            version: 1,
        };
        let failed = suspended_with(to, &agreement, TimeMs(1_000));
        assert!(
            failed
                .text
                .starts_with("the agreement 86-49:1 with 86 is suspended until "),
            "{}",
            failed.text
        );
        assert_eq!(
            (failed.code, failed.reason.as_str()),
            (exit::ERROR, "NO_AGREEMENT")
        );
    }
}
