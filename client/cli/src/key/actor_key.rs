//! The key with which a person or desk signs commands, followed by another in one command, however often that is interrupted.

use std::time::Duration;

use carnet_client::wall_time;
use carnet_domain::bytes::code::EnterpriseId;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::{Enrolment, Holder, Word};
use carnet_domain::rules::command::Command;
use carnet_pki::ActorStep;
use carnet_trust::identity::ClientName;
use clap::Args;
use serde_json::json;

use crate::exit::Failed;
use crate::output::say;
use crate::pki::certificates::client_name;
use crate::settings::Settings;
use crate::submit::{self, Write};
use crate::{Outcome, parse};

/// Who gives the command again within this time may mean the rotation that was finished.
const ROTATED_LATELY: DurationMs = DurationMs::from_days(1);

#[derive(Debug, Args)]
pub(crate) struct Actor {
    /// Whose: ROLE/UNIT/NAME, as in `pki list`. Its files are in clients/ of --pki.
    client: String,
    /// Whose hand it is in; default is NAME for an office, and nobody for an enterprise.
    #[arg(long)]
    person: Option<String>,
    /// How long programs that hold the old key have to take up the new one, before the old one is retired: those of ours look at the
    /// file every second, and what was signed before has to be in the log.
    #[arg(long, default_value = "30s", value_parser = parse::duration)]
    grace: DurationMs,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Begin another rotation, although one was finished within the last day.
    #[arg(long)]
    again: bool,
}

/// Whoever calls it (--as) enrols and retires keys: a registrar those of enterprises, two admins those of offices.
pub(crate) async fn run(actor: Actor, settings: &Settings) -> Result<Outcome, Failed> {
    let directory = settings.pki_dir()?;
    let registry = settings.registry()?;
    let client = client_name(registry, &actor.client)?;
    // The second of two gives the same command, and the first then gives it once more: what is done is not begun anew.
    if let Some(ago) = carnet_pki::actor_key_rotated(directory, &client, wall_time())?
        && ago < ROTATED_LATELY
        && !actor.again
    {
        return Ok(json!({
            "client": actor.client,
            "state": "done already",
            "rotated": format!("{} minutes ago", ago.as_ms() / 60_000),
            "next": "Nothing was changed. If another rotation is meant: --again.",
        })
        .into());
    }
    let old = match carnet_pki::next_actor_key(directory, &client)? {
        ActorStep::Retire { old } => old,
        ActorStep::Enrol { now, next } => {
            let enrolment = enrolment(&client, next.public(), actor.person.as_deref())?;
            let word = matches!(enrolment.holder, Holder::Enterprise { .. }).then(|| Word {
                key: now.public().key_id(),
                signature: enrolment.sign(&registry, &now),
            });
            let proof = enrolment.sign(&registry, &next);
            let command = Command::AddSigner {
                enrolment,
                proof,
                word,
            };
            let enrolled = |failed: &Failed| failed.reason == "SIGNER_EXISTS";
            if let Some(mut waits) = step(settings, command, enrolled).await? {
                waits.value["rotation"] = format!(
                    "step 1 of 2, the new key of {} is enrolled: {}",
                    actor.client, actor.reason
                )
                .into();
                waits.value["next"] = format!(
                    "Another person enrols it: carnet proposal approve, or this same command. Then this same command retires the old key {}, \
                     which takes two again.",
                    now.public().key_id()
                )
                .into();
                return Ok(waits);
            }
            carnet_pki::follow_actor_key(directory, &client)?;
            say(format!(
                "the new key is enrolled and in its place; the old one is retired in {} s",
                actor.grace.as_ms() / 1_000
            ));
            now.public()
        }
    };
    tokio::time::sleep(Duration::from_millis(actor.grace.as_ms())).await;
    let command = Command::RetireSigner {
        public: old,
        compromised_after: None,
        reason: actor.reason,
    };
    // Not where it is the caller's own key that is retired.
    let already = format!("{} is retired already", old.key_id());
    let retired = |failed: &Failed| failed.text.contains(&already);
    if let Some(mut waits) = step(settings, command, retired).await? {
        waits.value["rotation"] =
            format!("step 2 of 2, the old key of {} is retired", actor.client).into();
        waits.value["next"] = "The new key signs already. Another person retires the old one: carnet proposal approve, or this same command; \
                               then this same command says that it is done."
            .into();
        return Ok(waits);
    }
    carnet_pki::retired_actor_key(directory, &client)?;
    Ok(json!({
        "client": actor.client,
        "retired": old.to_string(),
        "retired_key_id": old.key_id().to_string(),
        "state": "rotated",
    })
    .into())
}

/// Has a step done, or finds that it was done before. What waits for a second person is shown: the same command by that one goes on from there.
async fn step(
    settings: &Settings,
    command: Command,
    done_before: impl Fn(&Failed) -> bool,
) -> Result<Option<Outcome>, Failed> {
    let done = submit::one(settings, Write::default(), command, json!({})).await;
    match done {
        Ok(done) if done.value.get("state").is_some() => Ok(Some(done)),
        Ok(_) => Ok(None),
        Err(failed) if done_before(&failed) => Ok(None),
        Err(failed) => Err(failed),
    }
}

/// As whom the key is enrolled: as the one before it was.
fn enrolment(
    client: &ClientName,
    public: PublicKey,
    person: Option<&str>,
) -> Result<Enrolment, Failed> {
    let (role, unit) = (client.role(), client.unit());
    let holder = if role.is_enterprise() {
        let id = format!("{}{unit}", client.prefix());
        let id: EnterpriseId = parse::enterprise(&id).map_err(Failed::usage)?;
        Holder::Enterprise { id }
    } else {
        let name = format!("{}/{unit}", role.word());
        Holder::Office { name }
    };
    let person = match (person, &holder) {
        (Some(person), _) => person.to_owned(),
        (None, Holder::Office { .. }) => client.name().to_string(),
        (None, Holder::Enterprise { .. }) => String::new(),
    };
    Ok(Enrolment {
        public,
        holder,
        role,
        person,
    })
}
