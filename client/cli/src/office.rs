//! What offices do: enterprises, signing keys, type approvals.

use std::path::PathBuf;

use carnet_client::{ClientError, Page, identity, keys};
use carnet_domain::bytes::code::{EnterpriseCode, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::country::is_country;
use carnet_domain::bytes::signature::{KeyId, PublicKey, Signature};
use carnet_domain::record::offices::is_office_of;
use carnet_domain::record::{
    ApprovalStatus, Enrolment, EnterpriseStatus, Form, Holder, IdentifierScheme, Maker, ModelFacts,
    Party, Robot, Word,
};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::policy::Role;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::context::Settings;
use crate::exit::Failed;
use crate::order::{self, KeyText, Order, signature};
use crate::output::{say, say_more};
use crate::parse::{self, When};
use crate::submit::{self, Sure, Write};
use crate::{Outcome, view};

/// Who made or runs something, as the world knows them.
#[derive(Debug, Clone, Args)]
pub(crate) struct MakerArgs {
    /// Register of the identifier: lei, national or name.
    #[arg(long, default_value = "name", value_parser = parse::identifier_scheme)]
    pub(crate) maker_scheme: IdentifierScheme,
    /// ISO 3166-1 alpha-2 country of the register.
    #[arg(long)]
    pub(crate) maker_country: String,
    /// The identifier.
    #[arg(long)]
    pub(crate) maker_id: String,
}

/// Records asked for at a time.
const PAGE_SIZE: u32 = 1_000;

/// A list, page after page, up to the limit.
async fn pages<T>(
    what: &str,
    limit: usize,
    row: impl Fn(&T) -> Value,
    ask: impl AsyncFn(String) -> Result<Page<T>, ClientError>,
) -> Result<Outcome, Failed> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let page = ask(token).await?;
        let known = rows.len();
        rows.extend(page.values.iter().map(&row));
        token = page.next;
        if token.is_empty() || limit < rows.len() {
            return Ok(listed(what, rows, limit, known, &token));
        }
    }
}

/// Rows up to the limit, and a word if there are more. A server that lists no further than one page fills it and says so by
/// nothing: then that is said, too.
fn listed(what: &str, mut rows: Vec<Value>, limit: usize, known: usize, token: &str) -> Outcome {
    let page = rows.len().saturating_sub(known);
    let full = token.is_empty() && page == PAGE_SIZE as usize;
    if !token.is_empty() || limit < rows.len() || full {
        say_more(what, limit.min(rows.len()));
    }
    rows.truncate(limit);
    Value::Array(rows).into()
}

/// The one written form of a maker's identifier.
pub(crate) fn identifier(scheme: IdentifierScheme, text: &str) -> Result<String, String> {
    match scheme {
        IdentifierScheme::Name => identity::canonical_name(text),
        IdentifierScheme::Lei | IdentifierScheme::National => identity::canonical(text),
    }
}

impl MakerArgs {
    /// # Errors
    /// The identifier has no written form.
    pub(crate) fn maker(&self) -> Result<Maker, String> {
        Ok(Maker {
            scheme: self.maker_scheme,
            country: maker_country(&self.maker_country)?,
            identifier: identifier(self.maker_scheme, &self.maker_id)?,
        })
    }
}

/// A country of ISO 3166-1 in its written form.
///
/// # Errors
/// There is none of that code.
pub(crate) fn maker_country(text: &str) -> Result<String, String> {
    let code = text.trim().to_ascii_uppercase();
    match is_country(&code) {
        true => Ok(code),
        false => Err(format!(
            "--maker-country {text}: not a country of ISO 3166-1; write its two letters, as CN, DE or JP: that of the register in which \
             the maker is entered (--maker-scheme)"
        )),
    }
}

/// Refuses roles that no enterprise has: the registry would say no more than that.
fn of_enterprises(roles: &[Role]) -> Result<(), Failed> {
    let Some(role) = roles.iter().find(|role| !role.is_enterprise()) else {
        return Ok(());
    };
    let all = Role::ALL.iter().filter(|role| role.is_enterprise());
    let all: Vec<&str> = all.map(|role| role.word()).collect();
    Err(Failed {
        next:
            "Nothing was sent. Keys of offices are enrolled by an admin: carnet key add --office."
                .into(),
        ..Failed::usage(format!(
            "--role {}: a role of offices; an enterprise is accredited as {}",
            role.word(),
            all.join(", ")
        ))
    })
}

/// What an amendment takes away: keys in these roles act no more from then on.
fn taken_away(before: &[Role], after: &[Role]) -> Vec<&'static str> {
    let gone = before.iter().filter(|role| !after.contains(role));
    gone.map(|role| role.word()).collect()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Enterprise {
    /// Accredits an enterprise under this registry's prefix.
    Add {
        /// The four characters allotted.
        code: EnterpriseCode,
        /// Legal name.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        maker: MakerArgs,
        /// Roles, separated by commas: manufacturer, importer, dealer, service-provider, recycler, operator, owner, declarant.
        #[arg(long = "role", value_delimiter = ',', required = true, value_parser = parse::role)]
        roles: Vec<Role>,
        /// Accreditation begins.
        #[arg(long, default_value = "-1d", allow_hyphen_values = true)]
        valid_from: When,
        /// Accreditation ends.
        #[arg(long, default_value = "+1825d", allow_hyphen_values = true)]
        valid_to: When,
        #[command(flatten)]
        write: Write,
    },
    /// Shows an enterprise.
    Get {
        /// Prefix and enterprise code: 86-0001.
        #[arg(value_parser = parse::enterprise)]
        id: EnterpriseId,
    },
    /// Lists enterprises.
    List {
        /// At most this many.
        #[arg(long, default_value = "100")]
        limit: usize,
    },
    /// Renews, widens, narrows or renames an accreditation. What is not given stays as it is.
    Amend {
        /// Prefix and enterprise code: 86-0001.
        #[arg(value_parser = parse::enterprise)]
        id: EnterpriseId,
        /// Legal name from now on.
        #[arg(long)]
        name: Option<String>,
        /// Roles from now on, all of them, separated by commas. Keys in a role that is left out may act no more.
        #[arg(long = "role", value_delimiter = ',', value_parser = parse::role)]
        roles: Option<Vec<Role>>,
        /// Accreditation ends.
        #[arg(long, allow_hyphen_values = true)]
        valid_to: Option<When>,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Names who answers for the robots of an enterprise once its own accreditation is over, so that they are sold and used on. What it
    /// still held when it was struck off is the successor's to stock and sell, and the remedies of what it made its to record, once
    /// another registrar named the same one. One whom two named is replaced by two.
    Succeed {
        /// Prefix and enterprise code: 86-0001.
        #[arg(value_parser = parse::enterprise)]
        id: EnterpriseId,
        /// Who goes on: accredited for all that the first makes or files as.
        #[arg(long, value_parser = parse::enterprise)]
        by: EnterpriseId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Suspends, reinstates or strikes off an enterprise.
    Status {
        /// Prefix and enterprise code: 86-0001.
        #[arg(value_parser = parse::enterprise)]
        id: EnterpriseId,
        /// active, suspended or struck-off.
        #[arg(value_parser = parse::enterprise_status)]
        status: EnterpriseStatus,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        write: Write,
    },
}

pub(crate) async fn enterprise(verb: Enterprise, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Enterprise::Add {
            code,
            name,
            maker,
            roles,
            valid_from,
            valid_to,
            write,
        } => {
            of_enterprises(&roles)?;
            let (valid_from, valid_to) = (valid_from.resolve(), valid_to.resolve());
            let command = Command::AccreditEnterprise {
                code,
                name,
                maker: maker.maker().map_err(Failed::usage)?,
                roles,
                valid_from,
                valid_to,
            };
            // As every other command takes it: with the prefix.
            let id = settings.registry().map(|prefix| format!("{prefix}{code}"));
            let shown = json!({"enterprise": id.unwrap_or_else(|_| code.to_string())});
            submit::one(settings, write, command, shown).await
        }
        Enterprise::List { limit } => {
            let client = settings.client()?;
            let ask = async |token: String| {
                let told = client.unverified();
                told.enterprises(PAGE_SIZE, &token).await
            };
            pages("enterprises", limit, view::enterprise, ask).await
        }
        Enterprise::Get { id } => {
            let found = settings.client()?.unverified().enterprise(&id).await?;
            Ok(view::at(view::enterprise(&found.value), found.position).into())
        }
        Enterprise::Amend {
            id,
            name,
            roles,
            valid_to,
            reason,
            write,
        } => {
            if name.is_none() && roles.is_none() && valid_to.is_none() {
                return Err(Failed::usage(
                    "nothing is amended: give --name, --role or --valid-to",
                ));
            }
            of_enterprises(roles.as_deref().unwrap_or_default())?;
            // The command states all of it: what is not given is as it stands now.
            let now = settings.client()?.unverified().enterprise(&id).await?.value;
            let gone = taken_away(&now.roles, roles.as_deref().unwrap_or(&now.roles));
            if !gone.is_empty() {
                say(format!(
                    "{id} is {} no more then: its keys in that role act no more, but for what they must; what it makes and holds stays",
                    gone.join(", ")
                ));
            }
            let command = Command::AmendEnterprise {
                id,
                name: name.unwrap_or(now.name),
                roles: roles.unwrap_or(now.roles),
                valid_from: now.valid_from,
                valid_to: valid_to.map_or(now.valid_to, |when| when.resolve()),
                reason,
            };
            let shown = json!({"enterprise": id.to_string(), "roles_taken_away": gone});
            submit::one(settings, write, command, shown).await
        }
        Enterprise::Succeed {
            id,
            by,
            reason,
            write,
        } => {
            let command = Command::SucceedEnterprise {
                id,
                successor: by,
                reason,
            };
            let shown = json!({"enterprise": id.to_string(), "successor": by.to_string()});
            submit::one(settings, write, command, shown).await
        }
        Enterprise::Status {
            id,
            status,
            reason,
            sure,
            write,
        } => {
            let mut extra = json!({"enterprise": id.to_string()});
            if status == EnterpriseStatus::StruckOff {
                sure.confirm("To strike off an enterprise", &id.to_string(), write)?;
                if write.dry_run && settings.has_endpoints() {
                    extra = submit::merge(extra, left_behind(settings, id).await?);
                }
            }
            let command = Command::SetEnterpriseStatus { id, status, reason };
            submit::one(settings, write, command, extra).await
        }
    }
}

/// The most robots that are looked through to say how many are such: what an enterprise leaves behind, what a recall matches.
pub(crate) const LOOKED_MAX: u64 = 100_000;

/// What an end of an enterprise leaves to others: who goes on, and what it made and still holds unsold.
async fn left_behind(settings: &Settings, id: EnterpriseId) -> Result<Value, Failed> {
    let client = settings.client()?;
    let client = client.unverified();
    let successor = client.enterprise(&id).await?.value.successor;
    let own = Some(Party::Enterprise { id });
    let (mut looked, mut unsold, mut elsewhere) = (0_u64, 0_u64, 0_u64);
    let mut token = String::new();
    loop {
        let page = client.robots(id.as_str(), PAGE_SIZE, &token).await?;
        looked += page.values.len() as u64;
        for robot in &page.values {
            match is_unsold(robot) {
                true if robot.holder == own => unsold += 1,
                true => elsewhere += 1,
                false => {}
            }
        }
        token = page.next;
        if token.is_empty() || looked >= LOOKED_MAX {
            break;
        }
    }
    let whole = token.is_empty();
    let count = |number: u64| match whole {
        true => number.to_string(),
        false => format!("{number} of the first {looked}"),
    };
    Ok(json!({
        "robots_it_made": if whole { looked.to_string() } else { format!("more than {looked}") },
        "robots_it_holds_unsold": count(unsold),
        "robots_others_hold_unsold": count(elsewhere),
        "successor": successor.map(|id| id.to_string()),
        "note": LEFT_BEHIND,
    }))
}

/// What becomes of what an enterprise that is struck off made.
const LEFT_BEHIND: &str = "its keys sign no more but for recalls and remedies; none of its unsold robots is sold or put into use, whoever holds it, \
                           before a successor is named (carnet enterprise succeed); what it holds itself is the successor's to stock and sell \
                           once two registrars named that one, until then two registrars stock it elsewhere; what is sold already is used on";

/// Whether a robot was made and nobody has bought it.
fn is_unsold(robot: &Robot) -> bool {
    robot.owner.is_none() && !robot.state.is_final() && robot.state != State::Reserved
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
    /// An order of the roots about keys of offices, where a lost key leaves too few admins for two words.
    #[command(subcommand)]
    Order(Order),
    /// Takes back what you proposed of a key, before a second admin confirmed it.
    Withdraw {
        /// The key: 64 hexadecimal digits, or a .pub file.
        public: KeyText,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Retires a signing key, or reports it compromised.
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

pub(crate) async fn key(verb: Key, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Key::Add {
            public: named,
            whose,
            proof,
            word: vouched,
            write,
        } => {
            let public = named.read()?;
            let enrolment = whose.enrolment(public)?;
            let registry = registry_of(&enrolment, settings)?;
            let proof = named.proof(&enrolment, &registry, proof.as_deref())?;
            proven(&enrolment, &registry, &proof)?;
            let extra = json!({"key": public.to_string(), "key_id": public.key_id().to_string()});
            let command = Command::AddSigner {
                enrolment,
                proof,
                word: vouched.as_deref().map(word_of).transpose()?,
            };
            let done = submit::one(settings, write, command, extra).await?;
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
            let found = settings.client()?.unverified().registry().await?;
            Ok(view::at(view::offices(&found.value.offices), found.position).into())
        }
        Key::Order(verb) => order::run(verb, settings).await,
        Key::Withdraw {
            public,
            reason,
            write,
        } => {
            let public = public.read()?;
            let extra = json!({"key_id": public.key_id().to_string()});
            let command = Command::WithdrawProposal { public, reason };
            submit::one(settings, write, command, extra).await
        }
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

/// Says what a key is now, unless it was the first of two words, which waits for another person.
fn last_word(mut done: Outcome, write: Write, state: &str) -> Outcome {
    if !write.dry_run && done.value.get("state").is_none() {
        done.value["state"] = state.into();
    }
    done
}

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
    /// Suspends, reinstates or withdraws an approval.
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
    /// Firmware family.
    #[arg(long, default_value = "main")]
    firmware_family: String,
    /// Production may begin.
    #[arg(long, default_value = "2020-01-01", allow_hyphen_values = true)]
    production_from: When,
    /// Production must end.
    #[arg(long, default_value = "+3650d", allow_hyphen_values = true)]
    production_to: When,
    #[command(flatten)]
    write: Write,
}

pub(crate) async fn model(verb: Model, settings: &Settings) -> Result<Outcome, Failed> {
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
            pages("models", limit, view::model, ask).await
        }
        Model::Get { id } => {
            let found = settings.client()?.unverified().model(&id).await?;
            Ok(view::at(view::model(&found.value), found.position).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_that_is_none_says_what_to_write() {
        assert_eq!(maker_country(" de ").as_deref(), Ok("DE"));
        for wrong in ["XX", "86", "", "DEU"] {
            let said = maker_country(wrong).expect_err(wrong);
            assert!(said.contains("two letters, as CN"), "{said}");
        }
    }

    #[test]
    fn an_enterprise_is_given_no_role_of_an_office() {
        assert!(of_enterprises(&[Role::Dealer, Role::Owner]).is_ok());
        let failed = of_enterprises(&[Role::Dealer, Role::Customs]).expect_err("an office's");
        assert!(
            failed.text.contains("customs: a role of offices"),
            "{}",
            failed.text
        );
        assert!(
            failed.text.contains("manufacturer, importer"),
            "{}",
            failed.text
        );
    }

    #[test]
    fn an_amendment_says_which_roles_go() {
        let before = [Role::Manufacturer, Role::Dealer, Role::Operator];
        assert_eq!(
            taken_away(&before, &[Role::Dealer]),
            ["manufacturer", "operator"]
        );
        assert!(taken_away(&before, &before).is_empty());
    }

    /// Once, a robot that stood at a dealer was said to be the successor's to sell.
    #[test]
    fn what_a_struck_off_maker_leaves_is_counted_wherever_it_stands() {
        use carnet_domain::record::ledger::Ledger as _;
        let mut country = carnet_kit::Country::with_market("86");
        country.must("maker", country.register(1));
        let Ok(robot) = country.ledger.robot(&country.code(1));
        let robot = robot.expect("made");
        assert!(is_unsold(&robot));
        let sold = Robot {
            owner: robot.holder.clone(),
            ..robot.clone()
        };
        let reserved = Robot {
            state: State::Reserved,
            ..robot.clone()
        };
        let ended = Robot {
            state: State::Scrapped,
            ..robot
        };
        assert!(![sold, reserved, ended].iter().any(is_unsold));
        assert!(LEFT_BEHIND.contains("whoever holds it"), "{LEFT_BEHIND}");
    }
}
