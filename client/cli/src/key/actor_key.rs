//! The key with which a person or desk signs commands, followed by another in one command, however often that is interrupted.
//!
//! Where everybody's files lie in one directory, whoever enrols keys gives it. Where they lie with their bearers, the bearer gives it: it
//! makes the new key, prints what is to be ordered, and given again goes on as far as that was.

use std::path::Path;
use std::time::Duration;

use carnet_client::keys::read_seed;
use carnet_client::wall_time;
use carnet_domain::bytes::code::{EnterpriseId, Prefix};
use carnet_domain::bytes::signature::{KeyId, PublicKey, SecretKey};
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::{Enrolment, Holder, Word};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
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

/// Whoever calls it (--as) enrols and retires keys: a registrar those of enterprises, two admins those of offices. Or it is the bearer,
/// whose part is to make the new key, to put it in its place once it is enrolled, and to retire the old one by it.
pub(crate) async fn run(actor: Actor, settings: &Settings) -> Result<Outcome, Failed> {
    let directory = settings.pki_dir()?;
    let registry = settings.registry()?;
    let client = client_name(registry, &actor.client)?;
    let stem = carnet_pki::client_stem(&client);
    its_files(directory, &actor, &stem)?;
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
    let step = carnet_pki::next_actor_key(directory, &client)?;
    let rotation = Rotation {
        actor,
        client,
        registry,
        directory,
        settings,
    };
    // Of admins each has another's confirmation, and so enrols a key of their own.
    match settings.is_who(&stem) && rotation.client.role() != Role::Admin {
        true => rotation.by_bearer(step).await,
        false => rotation.by_others(step).await,
    }
}

/// Refuses whoever has not the files of whom the key is, before anything is made: they lie with their bearer.
fn its_files(directory: &Path, actor: &Actor, stem: &str) -> Result<(), Failed> {
    let file = format!("clients/{stem}.actor.key");
    if directory.join(&file).exists() {
        return Ok(());
    }
    let reason = quoted(&actor.reason);
    Err(Failed {
        next: format!(
            "Nothing was made or sent. Where they are (--pki), their bearer gives: carnet --as {stem} key rotate actor {} --reason {reason}. That \
             makes the new key and prints the command that is to be given here.",
            actor.client
        ),
        ..Failed::usage(format!(
            "{}: there is no {file}: the files of {} lie with their bearer",
            directory.display(),
            actor.client
        ))
    })
}

struct Rotation<'a> {
    actor: Actor,
    client: ClientName,
    registry: Prefix,
    directory: &'a Path,
    settings: &'a Settings,
}

impl Rotation<'_> {
    /// All files are at hand: the new key is enrolled by whoever calls, and retires the old one itself where that would take two again.
    async fn by_others(&self, step: ActorStep) -> Result<Outcome, Failed> {
        let old = match step {
            ActorStep::Retire { old } => old,
            ActorStep::Enrol { now, next } => {
                let (enrolment, command) = self.addition(&now, &next)?;
                let enrolled = |failed: &Failed| failed.reason == "SIGNER_EXISTS";
                let key = next.public().key_id();
                if let Some(mut waits) = self.step(command, key, enrolled).await? {
                    waits.value["client"] = self.actor.client.clone().into();
                    waits.value["rotation"] = format!(
                        "step 1 of 2, the new key of {} is to be enrolled: {}",
                        self.actor.client, self.actor.reason
                    )
                    .into();
                    let number = waits.value["proposal"].as_str().unwrap_or("NUMBER");
                    waits.value["next"] = format!(
                        "Another admin: carnet proposal approve {number}. Then this same command puts the key in its place and retires the old key {}; \
                         that takes nobody's word any more.",
                        now.public().key_id()
                    )
                    .into();
                    return Ok(waits);
                }
                self.taken_up(&enrolment)?;
                now.public()
            }
        };
        self.wait().await;
        let retire = self.retirement(old);
        let already = retired_already(old);
        let done_before = |failed: &Failed| failed.text.contains(&already);
        // Of an office by the new key itself, whose files are here too: those who enrolled it have said so.
        if !self.client.role().is_enterprise() {
            let bearer = self
                .settings
                .as_client(self.directory, &carnet_pki::client_stem(&self.client));
            match submit::one(&bearer, Write::default(), retire.clone(), json!({})).await {
                Ok(_) => return self.finished(old),
                Err(failed) if done_before(&failed) => return self.finished(old),
                // It was enrolled in another way.
                Err(failed) if failed.reason == "ROLE_NOT_ALLOWED" => {}
                Err(failed) => return Err(failed),
            }
        }
        if let Some(mut waits) = self.step(retire, old.key_id(), done_before).await? {
            waits.value["client"] = self.actor.client.clone().into();
            waits.value["rotation"] = format!(
                "step 2 of 2, the old key of {} is to be retired",
                self.actor.client
            )
            .into();
            waits.value["next"] = "The new key signs already. Another admin retires the old one: carnet proposal approve; then this same command says \
                                   that it is done."
                .into();
            return Ok(waits);
        }
        self.finished(old)
    }

    /// The bearer alone is here: what is to be ordered is printed, and once it was, the new key is put in its place and retires the old one.
    async fn by_bearer(&self, step: ActorStep) -> Result<Outcome, Failed> {
        let old = match step {
            ActorStep::Retire { old } => old,
            ActorStep::Enrol { now, next } => {
                let (enrolment, command) = self.addition(&now, &next)?;
                let stem = carnet_pki::client_stem(&self.client);
                let file = self
                    .directory
                    .join(format!("clients/{stem}.actor.next.key"));
                if self.stands(&file, now.public()).await? == Stands::Unknown {
                    return Ok(self.order(&now, &next, &command));
                }
                self.taken_up(&enrolment)?;
                now.public()
            }
        };
        self.wait().await;
        let retired = submit::one(
            self.settings,
            Write::default(),
            self.retirement(old),
            json!({}),
        );
        match retired.await {
            Ok(_) => self.finished(old),
            Err(failed) if failed.text.contains(&retired_already(old)) => self.finished(old),
            // It was enrolled as any key, and not to follow this one: then others retire it.
            Err(failed) if failed.reason == "ROLE_NOT_ALLOWED" => {
                let file = self.old_file(&old)?;
                match self.stands(&file, old).await? {
                    Stands::Ended => self.finished(old),
                    Stands::Unknown | Stands::Signs => Ok(json!({
                        "client": self.actor.client,
                        "state": "taken up",
                        "rotation": format!("step 2 of 2, the old key {} is to be retired", old.key_id()),
                        "order": format!("carnet key retire {old} --reason {}", quoted(&self.actor.reason)),
                        "next": "The new key signs. It was not enrolled to follow the old one (--instead): whoever enrols such keys gives the order above, \
                                 and a second says yes where it takes two. Then this same command says that it is done.",
                    })
                    .into()),
                }
            }
            Err(failed) => Err(failed),
        }
    }

    /// What the bearer made, and the one command that makes it a key of the registry.
    fn order(&self, now: &SecretKey, next: &SecretKey, command: &Command) -> Outcome {
        let Command::AddSigner {
            enrolment,
            proof,
            word,
            instead,
            reason,
        } = command
        else {
            return json!({}).into();
        };
        let mut order = format!("carnet key add {}", next.public());
        order += &format!(" --role {}", enrolment.role.word());
        match &enrolment.holder {
            Holder::Office { name } => order += &format!(" --office {name}"),
            Holder::Enterprise { id } => order += &format!(" --enterprise {id}"),
        }
        if !enrolment.person.is_empty() {
            order += &format!(" --person {}", quoted(&enrolment.person));
        }
        if let Some(old) = instead {
            order += &format!(" --instead {old}");
        }
        order += &format!(" --proof {}", hex::encode(proof.0));
        if let Some(word) = word {
            order += &format!(" --word {}:{}", word.key, hex::encode(word.signature.0));
        }
        order += &format!(" --reason {}", quoted(reason));
        let by = match enrolment.role.is_enterprise() {
            true => "A registrar gives it",
            false => {
                "An admin gives it, and another says yes: carnet proposal approve with the number that it tells"
            }
        };
        json!({
            "client": self.actor.client,
            "state": "to be ordered",
            "rotation": "step 1 of 2, the new key is made and lies here; nothing of it is secret below",
            "new_key": next.public().to_string(),
            "new_key_id": next.public().key_id().to_string(),
            "old_key_id": now.public().key_id().to_string(),
            "order": order,
            "next": format!("Send the order. {by}. Then this same command puts the new key in its place and retires the old one."),
        })
        .into()
    }

    /// The new key as the one before it was enrolled, and the command that enrols it to follow that one.
    fn addition(&self, now: &SecretKey, next: &SecretKey) -> Result<(Enrolment, Command), Failed> {
        let enrolment = enrolment(&self.client, next.public(), self.actor.person.as_deref())?;
        let word = matches!(enrolment.holder, Holder::Enterprise { .. }).then(|| Word {
            key: now.public().key_id(),
            signature: enrolment.sign(&self.registry, now),
        });
        let command = Command::AddSigner {
            proof: enrolment.sign(&self.registry, next),
            enrolment: enrolment.clone(),
            word,
            instead: Some(now.public().key_id()),
            reason: self.actor.reason.clone(),
        };
        Ok((enrolment, command))
    }

    fn retirement(&self, old: PublicKey) -> Command {
        Command::RetireSigner {
            public: old,
            compromised_after: None,
            reason: self.actor.reason.clone(),
        }
    }

    /// Puts the new key in its place.
    fn taken_up(&self, enrolment: &Enrolment) -> Result<(), Failed> {
        carnet_pki::follow_actor_key(self.directory, &self.client)?;
        say(format!(
            "the new key {} is enrolled and in its place",
            enrolment.public.key_id()
        ));
        Ok(())
    }

    async fn wait(&self) {
        let grace = self.actor.grace.as_ms();
        if grace > 0 {
            say(format!(
                "the old key is retired in {} s; interrupted, this same command goes on",
                grace / 1_000
            ));
        }
        tokio::time::sleep(Duration::from_millis(grace)).await;
    }

    fn finished(&self, old: PublicKey) -> Result<Outcome, Failed> {
        carnet_pki::retired_actor_key(self.directory, &self.client)?;
        Ok(json!({
            "client": self.actor.client,
            "retired": old.to_string(),
            "retired_key_id": old.key_id().to_string(),
            "state": "rotated",
        })
        .into())
    }

    /// Where the replaced key was kept.
    fn old_file(&self, old: &PublicKey) -> Result<std::path::PathBuf, Failed> {
        let stem = carnet_pki::client_stem(&self.client);
        let folder = self.directory.join("retired");
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| Failed::local(format!("{}: {error}", folder.display())))?;
        let of_it = |path: &std::path::PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| {
                name.starts_with(&format!("{stem}-actor-")) && name.ends_with(".key")
            }) && read_seed(path).is_ok_and(|seed| seed.public() == *old)
        };
        let mut paths = entries.flatten().map(|entry| entry.path());
        paths.find(of_it).ok_or_else(|| {
            Failed::local(format!(
                "{}: the key {} that was replaced is not there",
                folder.display(),
                old.key_id()
            ))
        })
    }

    /// What a key is to the registry: a question is signed with it, by which nothing is done.
    async fn stands(&self, file: &Path, old: PublicKey) -> Result<Stands, Failed> {
        let client = self.settings.client_signing_with(file)?;
        let question = [self.retirement(old)];
        match client.unverified().foresee(&question).await {
            Ok(_) => Ok(Stands::Signs),
            Err(error) => match error.reason().as_str() {
                "SIGNER_UNKNOWN" => Ok(Stands::Unknown),
                "SIGNER_NOT_ACTIVE" => Ok(Stands::Ended),
                _ => Err(error.into()),
            },
        }
    }

    /// Has a step done, or finds that it was done before. What waits for a second person is shown, also to who gave the first word and
    /// gives it again: not knowing whether it came is no fault.
    async fn step(
        &self,
        command: Command,
        key: KeyId,
        done_before: impl Fn(&Failed) -> bool,
    ) -> Result<Option<Outcome>, Failed> {
        let done = submit::one(self.settings, Write::default(), command, json!({})).await;
        match done {
            Ok(done) if done.value.get("state").is_some() => Ok(Some(done)),
            Ok(_) => Ok(None),
            Err(failed) if done_before(&failed) => Ok(None),
            Err(failed) if failed.reason == "SECOND_PARTY_REQUIRED" => {
                let client = self.settings.client()?;
                let registry = client.unverified().registry().await?.value;
                let mut waiting = registry.offices.proposals.iter();
                let Some(one) = waiting.rfind(|one| one.change.key() == key) else {
                    return Err(failed);
                };
                Ok(Some(
                    json!({
                        "done": false,
                        "state": "proposed",
                        "proposal": one.number.to_string(),
                        "until": crate::view::time(one.until),
                    })
                    .into(),
                ))
            }
            Err(failed) => Err(failed),
        }
    }
}

/// What a key is to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It is not enrolled.
    Unknown,
    /// It signs.
    Signs,
    /// It was retired.
    Ended,
}

fn retired_already(old: PublicKey) -> String {
    format!("{} is retired already", old.key_id())
}

/// A word as a shell takes it: in quotes, where it is more than letters.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_word_to_the_shell() {
        for (text, expected) in [
            ("a year old", "'a year old'"),
            ("bert's", "'bert'\\''s'"),
            ("plain-1", "plain-1"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    /// Once, an admin who has nobody's files was told to check the permissions of one that was never there.
    #[test]
    fn whoever_has_not_the_files_is_told_who_gives_the_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let actor = Actor {
            client: "registrar/hq/bert".into(),
            person: None,
            grace: DurationMs(0),
            reason: "a year old".into(),
            again: false,
        };
        let failed = its_files(folder.path(), &actor, "registrar-hq-bert").expect_err("not there");
        assert!(
            failed.text.contains("lie with their bearer"),
            "{}",
            failed.text
        );
        let way = "carnet --as registrar-hq-bert key rotate actor registrar/hq/bert --reason 'a year old'";
        assert!(failed.next.contains(way), "{}", failed.next);
        let clients = folder.path().join("clients");
        std::fs::create_dir(&clients).expect("made");
        std::fs::write(clients.join("registrar-hq-bert.actor.key"), "").expect("written");
        assert!(its_files(folder.path(), &actor, "registrar-hq-bert").is_ok());
    }
}
