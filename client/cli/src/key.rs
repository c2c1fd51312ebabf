//! `carnet key`: keys that sign commands, and whose they are.

mod actor_key;
mod log_key;
mod order;

use std::path::PathBuf;

use carnet_client::keys;
use carnet_domain::bytes::code::{EnterpriseId, Prefix};
use carnet_domain::bytes::signature::{KeyId, PublicKey, Signature};
use carnet_domain::record::offices::is_office_of;
use carnet_domain::record::{Enrolment, Holder, Word};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use clap::{Args, Subcommand};
use serde_json::json;

use self::order::Order;
use crate::exit::Failed;
use crate::key_text::{KeyText, signature};
use crate::parse;
use crate::settings::Settings;
use crate::submit::{self, Sure, Write};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Enrols a signing key. A further key of an enterprise takes the enterprise's word, or a second registrar who gives the same
    /// command; a key of an office takes a second admin, but for auditors. In a sandbox (`carnet key offices`) one word is enough.
    Add {
        /// The key: 64 hexadecimal digits, or a .pub file.
        public: KeyText,
        #[command(flatten)]
        whose: Whose,
        /// The key's own signature, as whoever has it made it with `carnet key prove`. Not needed where the secret key lies
        /// beside the .pub file.
        #[arg(long, value_name = "SIGNATURE")]
        proof: Option<String>,
        /// The enterprise's word for a further key of its own, as `carnet key prove --of` printed it.
        #[arg(long, value_name = "KEY_ID:SIGNATURE")]
        word: Option<String>,
        /// The key of the same hand that it follows: whoever has the new one then retires that one alone. `carnet key rotate actor`
        /// prints it.
        #[arg(long, value_name = "KEY_ID", value_parser = key_id)]
        instead: Option<KeyId>,
        /// Why: whoever says yes to it reads that.
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Signs for the enrolment of a key: with the key itself, or with --of as one that its enterprise has already.
    ///
    /// The signature is good in one registry, for one holder, role and person. The registry is the one of --prefix, else of the
    /// context, else of the enterprise; the answer names it. Nobody is asked.
    Prove {
        /// The secret key that signs: a .actor.key file.
        secret: PathBuf,
        #[command(flatten)]
        whose: Whose,
        /// The further key of the same enterprise that is to be enrolled: 64 hexadecimal digits, or a .pub file.
        #[arg(long, value_name = "KEY")]
        of: Option<KeyText>,
    },
    /// Shows whether the registry is a sandbox, the active keys of admins, registrars and regulators, and what one admin
    /// proposed of them and a second has not confirmed.
    Offices,
    /// Shows every key that the registry has and had for its roots and its log: since when, until when, and why.
    History,
    /// Lets a key follow another while everything runs.
    #[command(subcommand)]
    Rotate(Rotate),
    /// An order of the roots about keys of offices, where a lost key leaves too few admins for two words.
    #[command(subcommand)]
    Order(Order),
    /// Retires a signing key, or reports it compromised. That takes two: at the first word it signs no more (a key of an admin,
    /// registrar or regulator: at the second), at the second what waits on its word counts for nothing.
    Retire {
        /// The key: 64 hexadecimal digits, or a .pub file.
        public: KeyText,
        /// The last leaf index whose statements stand, if it was compromised.
        #[arg(long)]
        compromised_after: Option<u64>,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        write: Write,
    },
}

/// Whose a key is, and as what.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// The role in which it signs.
    #[arg(long, value_parser = parse::role)]
    role: Role,
    /// The enterprise it belongs to, with its prefix: 86-0001. Keys of offices take --office instead.
    #[arg(long, conflicts_with = "office", required_unless_present = "office", value_parser = parse::enterprise)]
    enterprise: Option<EnterpriseId>,
    /// The office it belongs to, by its role first: customs/hamburg.
    #[arg(long, requires = "person")]
    office: Option<String>,
    /// Whose hand it is in: a name or a commitment. Two keys of one person are one word.
    #[arg(long, default_value = "", hide_default_value = true)]
    person: String,
}

impl Whose {
    fn enrolment(self, public: PublicKey) -> Result<Enrolment, Failed> {
        let role = self.role;
        let holder = match (self.enterprise, self.office) {
            (Some(id), _) => Holder::Enterprise { id },
            (None, Some(name)) if !is_office_of(&name, role) => {
                let text = format!(
                    "{name:?}: an office is named by the role of its keys first: {}/PLACE",
                    role.word()
                );
                return Err(Failed::usage(text));
            }
            (None, Some(name)) => Holder::Office { name },
            (None, None) => return Err(Failed::usage("whose key? (--enterprise or --office)")),
        };
        Ok(Enrolment {
            public,
            holder,
            role,
            person: self.person,
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rotate {
    /// The log key: heads are signed with both while one follows the other, so that whoever knows either believes them.
    #[command(subcommand, after_help = log_key::WAY)]
    Log(log_key::RotateLog),
    /// The key with which a person or desk signs commands: a new one is made, enrolled, put in the place of the old one, and that is
    /// retired.
    Actor(Box<actor_key::Actor>),
}

pub(crate) async fn run(verb: Key, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Key::Add {
            public: named,
            whose,
            proof,
            word: vouched,
            instead,
            reason,
            write,
        } => {
            let public = named.read()?;
            let enrolment = whose.enrolment(public)?;
            let registry = registry_of(&enrolment, settings)?;
            let proof = named.proof(&enrolment, &registry, proof.as_deref())?;
            proven(&enrolment, &registry, &proof)?;
            let extra = json!({"key": public.to_string(), "key_id": public.key_id().to_string()});
            let command = Command::AddSigner {
                enrolment: enrolment.clone(),
                proof,
                word: vouched.as_deref().map(word_of).transpose()?,
                instead,
                reason,
            };
            let done = submit::one(settings, write, command, extra).await;
            let done = done.map_err(|failed| enrolled_before(failed, &enrolment))?;
            Ok(last_word(done, write, "enrolled"))
        }
        Key::Prove { secret, whose, of } => {
            let key = keys::read_seed(&secret)?;
            let public = match &of {
                Some(of) => of.read()?,
                None => key.public(),
            };
            let enrolment = whose.enrolment(public)?;
            let registry = registry_of(&enrolment, settings)?;
            let signature = hex::encode(enrolment.sign(&registry, &key).0);
            let mut shown = json!({
                "registry": registry.to_string(),
                "key": public.to_string(),
                "key_id": public.key_id().to_string(),
            });
            match of {
                None => shown["proof"] = signature.into(),
                Some(_) => {
                    shown["word"] = format!("{}:{signature}", key.public().key_id()).into();
                }
            }
            Ok(shown.into())
        }
        Key::Offices => {
            let client = settings.client()?;
            let found = client.unverified().registry().await?;
            let denied = client.unverified().deny_list().await?;
            let mut shown = view::offices(&found.value.offices);
            if let Some(proposals) = shown["proposals"].as_array_mut() {
                proposals.extend(denied.value.waiting.iter().map(view::waiting));
            }
            Ok(view::at(shown, found.position).into())
        }
        Key::Order(verb) => order::run(verb, settings).await,
        Key::History => log_key::history(settings).await,
        Key::Rotate(Rotate::Log(verb)) => log_key::run(verb, settings).await,
        Key::Rotate(Rotate::Actor(actor)) => actor_key::run(*actor, settings).await,
        Key::Retire {
            public,
            compromised_after,
            reason,
            sure,
            write,
        } => {
            let public = public.read()?;
            sure.confirm("To retire a key", &public.key_id().to_string(), write)?;
            let extra = json!({"key_id": public.key_id().to_string()});
            let command = Command::RetireSigner {
                public,
                compromised_after,
                reason,
            };
            let done = submit::one(settings, write, command, extra).await?;
            Ok(last_word(done, write, "retired"))
        }
    }
}

/// The registry that a key is to sign in: none takes keys of another's enterprises.
fn registry_of(enrolment: &Enrolment, settings: &Settings) -> Result<Prefix, Failed> {
    let Holder::Enterprise { id } = &enrolment.holder else {
        return settings.registry().map_err(|failed| Failed {
            text: format!(
                "which registry is it for? (--prefix or --context) {}",
                failed.text
            ),
            ..failed
        });
    };
    let own = id.prefix();
    match settings.names_registry() {
        false => Ok(own),
        true => match settings.registry()? {
            registry if registry == own => Ok(own),
            registry => Err(Failed::usage(format!(
                "{id} is an enterprise of {own}, and this would be for the registry of {registry}: name that one with --prefix \
                 or --context"
            ))),
        },
    }
}

/// Refuses a signature that is not the key's for this: the registry would say no more than that it is not.
fn proven(enrolment: &Enrolment, registry: &Prefix, proof: &Signature) -> Result<(), Failed> {
    if enrolment.is_signed(registry, &enrolment.public, proof) {
        return Ok(());
    }
    let (holder, role) = (&enrolment.holder, enrolment.role.word());
    let person = match enrolment.person.as_str() {
        "" => "no person".to_owned(),
        person => format!("the person {person:?}"),
    };
    let mut failed = Failed::usage(format!(
        "--proof: the key did not sign for the registry of {registry}, {holder}, {role} and {person}"
    ));
    failed.next = "Nothing was sent. Whoever has the key makes the proof anew (carnet key prove), with the same --role, --enterprise \
                   or --office, --person and --prefix as here."
        .into();
    Err(failed)
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::parse(text).map_err(|error| format!("{text:?}: {error}"))
}

/// Says of a key that is enrolled for whom this command names that there is nothing to do.
fn enrolled_before(failed: Failed, enrolment: &Enrolment) -> Failed {
    let as_asked = format!(
        "is enrolled for {} as {}",
        enrolment.holder,
        enrolment.role.word()
    );
    match failed.reason == "SIGNER_EXISTS" && failed.text.ends_with(&as_asked) {
        true => Failed {
            next: "There is nothing to do: it signs already. It is one of the first keys, or was added before.".into(),
            ..failed
        },
        false => failed,
    }
}

/// The word of an enterprise, as `carnet key prove --of` prints it: KEY_ID:SIGNATURE.
fn word_of(text: &str) -> Result<Word, Failed> {
    let parts = text.split_once(':');
    let key = parts.and_then(|(key, _)| KeyId::parse(key).ok());
    match (key, parts) {
        (Some(key), Some((_, text))) => Ok(Word {
            key,
            signature: signature(text)?,
        }),
        _ => Err(Failed::usage(format!("{text:?}: write KEY_ID:SIGNATURE"))),
    }
}

/// Says what a key is now, unless it was the first of two words, which waits for another person.
fn last_word(mut done: Outcome, write: Write, state: &str) -> Outcome {
    if !write.dry_run && done.value.get("state").is_none() {
        done.value["state"] = state.into();
    }
    done
}
