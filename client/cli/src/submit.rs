//! One command submitted and shown; the options that every write has.

use std::io::{self, IsTerminal};

use carnet_client::{Client, ClientError, Effect, Foreseen, Trace};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::{Answer, ItemAnswer};
use carnet_domain::record::PartyName;
use carnet_domain::rules::command::Command;
use serde_json::{Value, json};

use crate::exit::{self, Failed};
use crate::output::say;
use crate::parse::{self, Committed, hyphened};
use crate::settings::Settings;
use crate::{Outcome, view};

/// Options of every write.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Write {
    /// Show what would be sent, ask a node what the rules would answer to it now, and send nothing that could be executed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Answer only when a signed checkpoint covers the change; exit code 6 if none did in time, though it is committed.
    #[arg(long)]
    pub(crate) published: bool,
}

/// For what cannot be undone.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Sure {
    /// Do it without asking: it cannot be undone.
    #[arg(long)]
    yes: bool,
}

impl Sure {
    /// Whether `--yes` was given.
    pub(crate) fn is_said(self) -> bool {
        self.yes
    }

    /// Whether it was said before. Of many things nobody is asked one by one.
    ///
    /// # Errors
    /// It was not.
    pub(crate) fn said(self) -> Result<(), Failed> {
        match self.yes {
            true => Ok(()),
            false => Err(Failed::usage(
                "this cannot be undone; say --yes behind the verb if all of them are meant",
            )),
        }
    }

    /// Has the person type the name of what is meant, unless it was said before or nothing is sent.
    ///
    /// # Errors
    /// Nobody can be asked, or something else was typed.
    pub(crate) fn confirm(self, what: &str, name: &str, write: Write) -> Result<(), Failed> {
        if self.yes || write.dry_run {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failed::usage(format!(
                "{what} cannot be undone; say --yes if {name} is meant"
            )));
        }
        say(format!(
            "{what} cannot be undone. Type {name} if that is meant:"
        ));
        let mut typed = String::new();
        io::stdin()
            .read_line(&mut typed)
            .map_err(|error| Failed::machine(format!("standard input: {error}")))?;
        match typed.trim() == name {
            true => Ok(()),
            false => Err(Failed::usage(format!(
                "{:?} is not {name}; nothing was sent",
                typed.trim()
            ))),
        }
    }
}

/// Submits a command and shows what it wrote; `extra` is shown beside it.
pub(crate) async fn one(
    settings: &Settings,
    write: Write,
    command: Command,
    extra: Value,
) -> Result<Outcome, Failed> {
    if write.dry_run && !settings.has_endpoints() {
        say("no endpoint is given: the registry was not asked");
        return Ok(merge(shown(&command), extra).into());
    }
    let client = settings.client()?;
    let done = through(&client, write, command, extra).await;
    done.map_err(|failed| by_whose_key(failed, settings))
}

/// Says of a key that is not enrolled in which file it lies: its number stands nowhere else.
fn by_whose_key(failed: Failed, settings: &Settings) -> Failed {
    match settings.actor_file() {
        Some(file) if failed.reason == "SIGNER_UNKNOWN" => Failed {
            text: format!("{}; this signed with {}", failed.text, file.display()),
            ..failed
        },
        _ => failed,
    }
}

/// As [`one`], with a client at hand.
pub(crate) async fn through(
    client: &Client,
    write: Write,
    command: Command,
    extra: Value,
) -> Result<Outcome, Failed> {
    if write.dry_run {
        return foreseen(client, &command, extra).await;
    }
    let commands = [command];
    let submitted = if write.published {
        client.submit_published(&commands).await
    } else {
        client.submit(&commands).await
    };
    let submitted = match submitted {
        Ok(submitted) => submitted,
        Err(error) if error.effect() == Effect::Unknown => {
            return learned(client, &commands[0], error, extra).await;
        }
        Err(error) => return Err(error.into()),
    };
    let mut value = view::done(&submitted.single()?);
    if value.get("next").is_some() {
        value["next"] = view::second_word(&commands[0]).into();
    }
    value["log_index"] = submitted.position.log_index.to_string().into();
    if !write.published {
        return Ok(merge(value, extra).into());
    }
    Ok(published(merge(value, extra), submitted.checkpoint.clone()))
}

/// What was committed, and whether a signed checkpoint covers it too.
fn published(mut value: Value, checkpoint: Option<String>) -> Outcome {
    value["published"] = checkpoint.is_some().into();
    match checkpoint {
        Some(checkpoint) => {
            value["checkpoint"] = checkpoint.into();
            value.into()
        }
        None => {
            value["not_published"] = "it is committed and stands; no signed checkpoint covers it yet: carnet cluster status says \
                                      why, and carnet log checkpoint shows the newest"
                .into();
            let code = exit::NOT_SERVED;
            Outcome { value, code }
        }
    }
}

/// The outcome was lost: what the records show of it.
async fn learned(
    client: &Client,
    command: &Command,
    error: ClientError,
    extra: Value,
) -> Result<Outcome, Failed> {
    match client.unverified().trace(command).await {
        Ok(Trace::Shown) => Ok(merge(
            json!({"done": true, "learned": "the answer was lost; the record shows it"}),
            extra,
        )
        .into()),
        Ok(Trace::Other) => {
            let mut failed = Failed::from(error);
            failed.effect = Effect::None;
            failed.text = format!("{}; the record there says something else", failed.text);
            Err(failed)
        }
        Ok(Trace::NotShown | Trace::CannotTell) | Err(_) => Err(error.into()),
    }
}

/// What would be sent, and what the registry's records say against it.
async fn foreseen(client: &Client, command: &Command, extra: Value) -> Result<Outcome, Failed> {
    let told = client.unverified();
    let against = told.foresee(std::slice::from_ref(command)).await?;
    let foreseen = against.into_iter().next();
    let mut value = merge(shown(command), extra);
    value["registry_asked"] = true.into();
    let refused = matches!(foreseen, Some(Foreseen::Refused(_)));
    value["would_be_refused"] = refused.into();
    let mut code = 0;
    if foreseen == Some(Foreseen::Waits) {
        value["state"] = "proposed".into();
        value["next"] = view::second_word(command).into();
    }
    if let Some(Foreseen::Refused(rejection)) = foreseen {
        value["reason"] = rejection.reason.name().into();
        value["message"] = rejection.to_string().into();
        value["next"] = rejection.next().into();
        code = exit::ERROR;
    }
    Ok(Outcome { value, code })
}

fn shown(command: &Command) -> Value {
    let bytes = command.to_bytes();
    json!({"dry_run": true, "command": hyphened(command.name()), "bytes": bytes.len(), "canonical": hex::encode(bytes)})
}

/// The fields of both.
pub(crate) fn merge(mut value: Value, extra: Value) -> Value {
    if let (Some(fields), Value::Object(extra)) = (value.as_object_mut(), extra) {
        fields.extend(extra);
    }
    value
}

/// A party as people write it, and what they should keep: `enterprise/ID`, `office/PREFIX/NAME`, or a person's name (kept as a
/// salted commitment) or commitment. `person/` before a name says that it is one, whatever it looks like; without it a person has
/// a name of letters, so that no mistyped enterprise or office becomes somebody.
pub(crate) fn party(field: &str, text: &str) -> Result<(PartyName, Value), Failed> {
    if let Some(id) = text.strip_prefix("enterprise/") {
        let id = parse::enterprise(id).map_err(Failed::usage)?;
        return Ok((PartyName::Enterprise { id }, json!({})));
    }
    if let Some(office) = text.strip_prefix("office/") {
        let named = office.split_once('/');
        let (prefix, name) =
            named.ok_or_else(|| Failed::usage(format!("{text:?}: write office/PREFIX/NAME")))?;
        let office = PartyName::Office {
            prefix: Prefix::parse(prefix).map_err(Failed::usage)?,
            name: name.to_owned(),
        };
        return Ok((office, json!({})));
    }
    let name = text.strip_prefix("person/").unwrap_or(text).trim();
    if name.is_empty() {
        return Err(Failed::usage(format!("--{field}: nobody is named")));
    }
    // An enterprise that became a person by a spelling would lose what it owns.
    if name == text.trim() && parse::enterprise(name).is_ok() {
        return Err(Failed::usage(format!(
            "--{field} {name}: write enterprise/{name} for the enterprise, person/{name} for a person of that name"
        )));
    }
    let is_said = name != text.trim();
    if !is_said && !is_name(name) && Digest::parse(name).is_err() {
        return Err(Failed::usage(format!(
            "--{field} {name}: write enterprise/ID, office/PREFIX/NAME, or person/{name} for a person of that name"
        )));
    }
    let committed = parse::commit(name);
    let person = PartyName::from(committed.commitment);
    Ok((person, commitment(field, &committed)))
}

/// Whether a text is a name without question: letters, with what stands between the parts of one.
fn is_name(text: &str) -> bool {
    let between = |c: char| matches!(c, ' ' | '.' | ',' | '-' | '\'' | '’' | '·');
    text.chars().all(|c| c.is_alphabetic() || between(c)) && text.chars().any(char::is_alphabetic)
}

/// A commitment with what opens it, to be kept by whoever gave the value.
fn commitment(name: &str, committed: &Committed) -> Value {
    let salt = committed.salt.map(hex::encode);
    let mut out = serde_json::Map::new();
    out.insert(
        format!("{name}_commitment"),
        committed.commitment.to_string().into(),
    );
    if salt.is_some() {
        let keep = "Keep the salt with the name: it is shown once, and without it nobody can show whom the commitment means.";
        out.insert(format!("{name}_keep"), keep.into());
    }
    out.insert(format!("{name}_salt"), salt.into());
    Value::Object(out)
}

/// Shows what a statement did, or the lawful "no".
pub(crate) fn accepted(answer: &Answer, value: Value) -> Result<Outcome, Failed> {
    match answer.items.first() {
        Some(ItemAnswer::Refused { rejection }) => {
            Err(carnet_client::ClientError::Refused(rejection.clone()).into())
        }
        _ => Ok(value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_becomes_a_person_by_a_spelling() {
        let error = |text: &str| party("owner", text).expect_err("refused").text;
        assert!(error("86-0004").contains("enterprise/86-0004"));
        assert!(error("860004").contains("person/860004"));
        assert!(error(" ").contains("nobody"));
        assert!(error("person/").contains("nobody"));
        let named = |text: &str| party("owner", text).expect("a party").0;
        let enterprise = PartyName::Enterprise {
            id: parse::enterprise("860004").expect("an enterprise"),
        };
        assert_eq!(named("enterprise/86-0004"), enterprise);
        assert_eq!(named("enterprise/860004"), enterprise);
        assert!(!matches!(
            named("person/860004"),
            PartyName::Enterprise { .. }
        ));
        assert!(!matches!(named("Ada"), PartyName::Enterprise { .. }));
        for typed in [
            "enterprize/86-0011",
            "Enterprise/86-0011",
            "customs/shanghai",
            "person:x",
            "86-001",
            "office:86",
        ] {
            assert!(error(typed).contains("person/"), "{typed}");
        }
        for person in [
            "Li Wei",
            "Anne-Marie O’Neill",
            "李伟",
            "person/Room 7",
            &"ab".repeat(32),
        ] {
            assert!(
                matches!(named(person), PartyName::Person { .. }),
                "{person}"
            );
        }
    }

    #[test]
    fn what_cannot_be_undone_is_asked_or_said() {
        let write = |dry_run| Write {
            dry_run,
            published: false,
        };
        assert!(
            Sure { yes: true }
                .confirm("This", "86", write(false))
                .is_ok()
        );
        assert!(
            Sure { yes: false }
                .confirm("This", "86", write(true))
                .is_ok()
        );
        // Tests have no terminal to be asked at.
        let error = Sure { yes: false }
            .confirm("This", "86", write(false))
            .expect_err("asked");
        assert_eq!(error.code, exit::USAGE);
        assert!(
            error.text.contains("--yes if 86 is meant"),
            "{}",
            error.text
        );
    }

    /// Once, it said "done" of a change that no checkpoint covered, after the wait for one had run out.
    #[test]
    fn a_change_that_is_not_covered_is_not_called_published() {
        let done = || json!({"done": true});
        let covered = published(done(), Some("note".to_owned()));
        assert_eq!(
            (covered.code, &covered.value["published"]),
            (0, &json!(true))
        );
        assert_eq!(covered.value["checkpoint"], "note");
        let waits = published(done(), None);
        assert_eq!(waits.code, exit::NOT_SERVED);
        assert_eq!(
            (&waits.value["done"], &waits.value["published"]),
            (&json!(true), &json!(false))
        );
        let why = waits.value["not_published"].as_str().expect("a text");
        assert!(why.starts_with("it is committed and stands"), "{why}");
    }
}
