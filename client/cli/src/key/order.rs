//! An order of the roots about keys of offices: where a lost key leaves too few admins for two words. Drafted in a file,
//! signed by the roots one after the other, and submitted.

use std::path::PathBuf;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::record::offices::Change;
use carnet_domain::record::peer::{OfficeOrder, Statement};
use carnet_domain::record::{Enrolment, Holder};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::draft::{Drafted, Of, ends_nothing};
use crate::exit::Failed;
use crate::key_text::KeyText;
use crate::settings::Settings;
use crate::{Outcome, parse};

#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Drafts an order that enrols and retires keys of offices; what it leaves must run the registry: two admins of
    /// different persons, and of the other roles one, where there was one.
    Draft(Draft),
    #[command(flatten)]
    Drafted(Drafted),
}

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// A key to enrol: KEY,ROLE,OFFICE,PERSON,PROOF, the key as 64 hexadecimal digits or a .pub file, the proof as its holder
    /// made it with `carnet key prove`; it may be left out where the secret key lies beside the .pub file. May be repeated.
    #[arg(long, value_name = "KEY,ROLE,OFFICE,PERSON[,PROOF]")]
    add: Vec<String>,
    /// A key to retire: 64 hexadecimal digits, or a .pub file. May be repeated.
    #[arg(long, value_name = "KEY")]
    retire: Vec<KeyText>,
    /// Why.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(verb: Order, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Order::Draft(draft) => {
            let registry = settings.client()?.unverified().registry().await?.value;
            let added = draft.add.iter().map(|text| added(text, &registry.prefix));
            let retired = draft.retire.iter().map(|key| {
                Ok(Change::Retire {
                    public: key.read()?,
                    compromised_after: None,
                })
            });
            let changes: Vec<Change> = added.chain(retired).collect::<Result<_, Failed>>()?;
            let order = OfficeOrder {
                cluster: registry.cluster,
                number: registry.office_statements + 1,
                changes,
                reason: draft.reason,
            };
            ORDER.draft(&Statement::Offices { order }, &draft.file, settings)
        }
        Order::Drafted(verb) => ORDER.run(verb, settings).await,
    }
}

fn added(text: &str, registry: &Prefix) -> Result<Change, Failed> {
    let words: Vec<&str> = text.splitn(5, ',').collect();
    let (key, role, office, person, proof) = match words[..] {
        [key, role, office, person] => (key, role, office, person, None),
        [key, role, office, person, proof] => (key, role, office, person, Some(proof)),
        _ => {
            return Err(Failed::usage(format!(
                "{text:?}: write KEY,ROLE,OFFICE,PERSON, and PROOF where the secret key lies elsewhere"
            )));
        }
    };
    let Ok(key) = key.parse::<KeyText>();
    let enrolment = Enrolment {
        public: key.read()?,
        holder: Holder::Office {
            name: office.to_owned(),
        },
        role: parse::role(role).map_err(Failed::usage)?,
        person: person.to_owned(),
    };
    let proof = key.proof(&enrolment, registry, proof)?;
    Ok(Change::Add {
        enrolment,
        proof,
        instead: None,
    })
}

const ORDER: Of = Of {
    what: "an order about offices",
    says,
    ends: ends_nothing,
};

fn says(statement: &Statement) -> Option<Value> {
    let Statement::Offices { order } = statement else {
        return None;
    };
    let change = |change: &Change| match change {
        Change::Add {
            enrolment, instead, ..
        } => json!({
            "instead": instead.map(|key| key.to_string()),
            "enrol": enrolment.public.to_string(),
            "of": enrolment.holder.to_string(),
            "role": enrolment.role.word(),
            "person": enrolment.person,
        }),
        // Every field: what is signed is what is shown, whoever drafted it.
        Change::Retire {
            public,
            compromised_after,
        } => json!({
            "retire": public.to_string(),
            "compromised_after_leaf": compromised_after.map(|leaf| leaf.to_string()),
        }),
    };
    Some(json!({
        "cluster": hex::encode(order.cluster),
        "number": order.number.to_string(),
        "changes": order.changes.iter().map(change).collect::<Vec<_>>(),
        "reason": order.reason,
    }))
}
