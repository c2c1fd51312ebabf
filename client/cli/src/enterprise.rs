//! `carnet enterprise`: enterprises and their accreditation.

use carnet_domain::bytes::code::{EnterpriseCode, EnterpriseId};
use carnet_domain::record::{EnterpriseStatus, Party, Robot};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::policy::Role;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::exit::Failed;
use crate::maker::MakerArgs;
use crate::output::say;
use crate::pages::{LOOKED_MAX, PAGE_SIZE, pages};
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::submit::{self, Sure, Write};
use crate::{Outcome, view};

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
        /// Prefix and enterprise code: 86-0001; the code alone, as `enterprise add` takes it, is one of the registry that is asked.
        id: String,
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
    /// Suspends, reinstates or strikes off an enterprise. Struck off it stays so for ever: another person of the registrars says the
    /// same within seven days.
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

pub(crate) async fn run(verb: Enterprise, settings: &Settings) -> Result<Outcome, Failed> {
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
            let id = of_registry(&id, settings)?;
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

/// Letters of the code of an enterprise inside its country.
const CODE_LETTERS: usize = 4;

/// An enterprise by its whole id, or by its code in the registry that is asked.
fn of_registry(text: &str, settings: &Settings) -> Result<EnterpriseId, Failed> {
    let whole = match text.trim().chars().count() == CODE_LETTERS {
        true => format!("{}{}", settings.registry()?, text.trim()),
        false => text.to_owned(),
    };
    parse::enterprise(&whole).map_err(Failed::usage)
}

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

#[cfg(test)]
mod tests {
    use super::*;

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
