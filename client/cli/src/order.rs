//! An order of the roots about keys of offices: where a lost key leaves too few admins for two words. Drafted in a file,
//! signed by the roots one after the other, and submitted.

use std::path::{Path, PathBuf};

use carnet_client::keys;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::record::Holder;
use carnet_domain::record::offices::Change;
use carnet_domain::record::peer::{OfficeOrder, Signed, Statement};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::Settings;
use crate::exit::Failed;
use crate::parse;
use crate::trust::{Roots, read_statement, signatures, submit, write};

#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Drafts an order that enrols and retires keys of offices; what it leaves must run the registry: two admins of
    /// different persons, and of the other roles one, where there was one.
    Draft(Draft),
    /// Adds signatures of root keys to a draft.
    Sign {
        /// The draft; it is replaced.
        file: PathBuf,
        /// A root seed; default is every one in root/ of --pki.
        #[arg(long = "root", value_name = "FILE")]
        roots: Vec<PathBuf>,
    },
    /// Shows a draft and who signed it.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Puts a draft with enough signatures into the log.
    Submit {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// A key to enrol: KEY,ROLE,OFFICE,PERSON, the key as 64 hexadecimal digits or a .pub file. May be repeated.
    #[arg(long, value_name = "KEY,ROLE,OFFICE,PERSON")]
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
            let added = draft.add.iter().map(|text| added(text));
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
            let signed = Signed {
                bytes: Blob(
                    Statement::Offices {
                        order: order.clone(),
                    }
                    .to_bytes(),
                ),
                signatures: Vec::new(),
            };
            write(&draft.file, &signed.to_bytes())?;
            Ok(shown(&order, &signed).into())
        }
        Order::Sign { file, roots } => {
            let (mut signed, order) = read_draft(&file)?;
            Roots::of(&roots, settings)?.add_to(&mut signed);
            write(&file, &signed.to_bytes())?;
            Ok(shown(&order, &signed).into())
        }
        Order::Show { file } => {
            let (signed, order) = read_draft(&file)?;
            Ok(shown(&order, &signed).into())
        }
        Order::Submit { file } => {
            let (signed, order) = read_draft(&file)?;
            let value = shown(&order, &signed);
            submit(settings, &Statement::Offices { order }, &signed, value).await
        }
    }
}

fn added(text: &str) -> Result<Change, Failed> {
    let words: Vec<&str> = text.splitn(4, ',').collect();
    let [key, role, office, person] = words[..] else {
        return Err(Failed::usage(format!(
            "{text:?}: write KEY,ROLE,OFFICE,PERSON"
        )));
    };
    let Ok(key) = key.parse::<KeyText>();
    Ok(Change::Add {
        public: key.read()?,
        holder: Holder::Office {
            name: office.to_owned(),
        },
        role: parse::role(role).map_err(Failed::usage)?,
        person: person.to_owned(),
    })
}

fn read_draft(path: &Path) -> Result<(Signed, OfficeOrder), Failed> {
    let (signed, statement) = read_statement(path)?;
    match statement {
        Statement::Offices { order } => Ok((signed, order)),
        other => Err(Failed::usage(format!(
            "{}: not an order about offices, but {}",
            path.display(),
            other.name()
        ))),
    }
}

fn shown(order: &OfficeOrder, signed: &Signed) -> Value {
    let change = |change: &Change| match change {
        Change::Add {
            public,
            holder,
            role,
            person,
        } => json!({
            "enrol": public.to_string(),
            "of": holder.to_string(),
            "role": role.word(),
            "person": person,
        }),
        Change::Retire { public, .. } => json!({ "retire": public.to_string() }),
    };
    json!({
        "cluster": hex::encode(order.cluster),
        "number": order.number.to_string(),
        "changes": order.changes.iter().map(change).collect::<Vec<_>>(),
        "reason": order.reason,
        "signatures": signatures(signed),
    })
}

/// A public key: 64 hexadecimal digits or a `.pub` file.
#[derive(Debug, Clone)]
pub(crate) struct KeyText(String);

impl std::str::FromStr for KeyText {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl KeyText {
    pub(crate) fn read(&self) -> Result<PublicKey, Failed> {
        if let Some(bytes) = keys::parse_seed(&self.0) {
            return PublicKey::enroll(bytes).map_err(Failed::usage);
        }
        Ok(keys::read_public_key(&PathBuf::from(&self.0))?)
    }
}
