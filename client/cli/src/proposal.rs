//! What one person proposed and another has to confirm: keys, certificates, and nodes that leave. Each has a number, the index
//! of the leaf that says it was proposed.
//!
//! To approve is to give the same command: what is signed is all of it, not its number, so that no node has one thing shown and
//! another signed.

use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::Actor;
use carnet_domain::record::denied::{Waiting, Wanted};
use carnet_domain::record::offices::{Change, Leaving, Proposal};
use carnet_domain::record::past::{Asked, Fate, PastProposal};
use carnet_domain::rules::command::Command;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::exit::{self, Failed};
use crate::output::say;
use crate::pages::pages;
use crate::settings::Settings;
use crate::submit::{self, Sure, Write};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Proposals {
    /// Lists what waits for a second person: what happens when it is approved, who proposed it, when it ends.
    List {
        /// What ended too, the newest first: what became of it, by whom and why.
        #[arg(long)]
        ended: bool,
        /// With --ended, the most that are shown.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows one of them, also after its end: what became of it, by whom and why.
    Get {
        /// Its number.
        number: u64,
    },
    /// Gives the second word: what was proposed is done. By another person of the same role.
    ///
    /// Several numbers are done one after the other; the first that is refused ends it:
    ///
    ///   carnet proposal approve 73 74 75 76
    Approve {
        /// Their numbers, as the list shows them.
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        /// Why; default is the reason that was given.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        write: Write,
    },
    /// Ends it without doing it: your own is taken back, another's is rejected. Nobody rejects what is about themselves.
    Reject {
        /// Their numbers, as the list shows them.
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

/// What is to be done once two admins agree on a change of the members.
const AGREED: &str = "Whoever asked for it gives the same command again (carnet member replace, carnet member remove, carnet cluster voters): within \
                      seven days it is made.";
/// Proposals that ended are asked for so many at a time: each is read from several leaves.
const ASKED_AT_ONCE: u32 = 100;

/// One that waits, wherever it is kept.
enum Open {
    Office(Proposal),
    Certificate(Waiting),
    Members(Leaving),
}

impl Open {
    fn number(&self) -> u64 {
        match self {
            Self::Office(one) => one.number,
            Self::Certificate(one) => one.number,
            Self::Members(one) => one.number,
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Office(one) => one.change.told(&one.about),
            Self::Certificate(one) => one.wanted.to_string(),
            Self::Members(one) => one.change.to_string(),
        }
    }

    fn by(&self) -> &Actor {
        match self {
            Self::Office(one) => &one.by,
            Self::Certificate(one) => &one.by,
            Self::Members(one) => &one.by,
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Office(one) => &one.reason,
            Self::Certificate(one) => &one.reason,
            Self::Members(one) => &one.reason,
        }
    }

    fn until(&self) -> TimeMs {
        match self {
            Self::Office(one) => one.until,
            Self::Certificate(one) => one.until,
            Self::Members(one) => one.until,
        }
    }

    /// Whether what is done cannot be undone by the same two.
    fn is_final(&self) -> bool {
        match self {
            Self::Office(one) => match &one.change {
                Change::Add { .. } => false,
                Change::Retire { .. } => true,
            },
            Self::Certificate(_) => false,
            Self::Members(_) => true,
        }
    }

    /// The command that is its second word.
    fn command(&self, reason: Option<String>) -> Command {
        let reason = reason.unwrap_or_else(|| self.reason().to_owned());
        match self {
            Self::Office(one) => match one.change.clone() {
                Change::Add {
                    enrolment,
                    proof,
                    instead,
                } => Command::AddSigner {
                    enrolment,
                    proof,
                    word: None,
                    instead,
                    reason,
                },
                Change::Retire {
                    public,
                    compromised_after,
                } => Command::RetireSigner {
                    public,
                    compromised_after,
                    reason,
                },
            },
            Self::Certificate(one) => match one.wanted.clone() {
                Wanted::Revoke { refused } => Command::RevokeCertificate { refused, reason },
                Wanted::Unrevoke { certificate } => Command::UnrevokeCertificate {
                    certificate,
                    reason,
                },
            },
            Self::Members(one) => Command::ChangeMembers {
                change: one.change.clone(),
                reason,
            },
        }
    }

    fn is_over(&self, now: TimeMs) -> bool {
        self.until() < now
    }

    fn row(&self, now: TimeMs) -> Value {
        let state = match self {
            _ if self.is_over(now) => "expired",
            Self::Members(one) if one.second.is_some() => "agreed",
            _ => "open",
        };
        json!({
            "proposal": self.number().to_string(),
            "state": state,
            "what": self.what(),
            "reason": self.reason(),
            "by": self.by().person,
            "of": self.by().holder.to_string(),
            "until": view::time(self.until()),
        })
    }
}

/// Everything that waits, by number, and the log time that it is judged by.
async fn open(settings: &Settings) -> Result<(Vec<Open>, TimeMs), Failed> {
    let client = settings.client()?;
    let registry = client.unverified().registry().await?.value;
    let denied = client.unverified().deny_list().await?.value;
    let offices = registry.offices.proposals.into_iter().map(Open::Office);
    let certificates = denied.waiting.into_iter().map(Open::Certificate);
    let members = registry.offices.leaving.into_iter().map(Open::Members);
    let mut all: Vec<Open> = offices.chain(certificates).chain(members).collect();
    all.sort_by_key(Open::number);
    Ok((all, registry.log_time))
}

async fn numbered(settings: &Settings, number: u64) -> Result<(Open, TimeMs), Failed> {
    let (all, now) = open(settings).await?;
    let found = all.into_iter().find(|one| one.number() == number);
    match found {
        Some(one) => Ok((one, now)),
        None => Err(over(&ever(settings, number).await?)),
    }
}

/// What was proposed under a number, whatever became of it.
async fn ever(settings: &Settings, number: u64) -> Result<PastProposal, Failed> {
    let client = settings.client()?;
    let found = client.unverified().proposal(number).await;
    found.map(|told| told.value).map_err(|error| {
        let failed = Failed::from(error);
        match failed.code {
            exit::NOT_FOUND => Failed {
                text: format!("nothing was proposed under the number {number}"),
                next: "carnet proposal list shows what waits, and with --ended what did.".into(),
                ..failed
            },
            _ => failed,
        }
    })
}

/// What is said of one that ended to whoever would still decide it.
fn over(one: &PastProposal) -> Failed {
    let (number, until) = (one.number, one.until);
    let text = match (&one.end, one.fate) {
        (Some(end), fate) => {
            let by = end.by.as_ref();
            let by = by.map_or("the roots".to_owned(), |by| by.person.clone());
            let why = match end.reason.as_str() {
                "" => String::new(),
                reason => format!(": {reason}"),
            };
            let what = fate_word(fate);
            format!("proposal {number} was {what} by {by} on {}{why}", end.at)
        }
        (None, Fate::Expired) => {
            format!("proposal {number} expired on {until}: nothing more becomes of it")
        }
        (None, fate) => format!("proposal {number} was {}", fate_word(fate)),
    };
    Failed {
        next: "If it is still meant, give the command anew: that is the first word, and another person gives the second.".into(),
        ..Failed::usage(text)
    }
}

fn fate_word(fate: Fate) -> &'static str {
    match fate {
        Fate::Open => "open",
        Fate::Done => "done",
        Fate::Rejected => "rejected",
        Fate::TakenBack => "taken back",
        Fate::Expired => "expired",
        Fate::Overtaken => "overtaken",
    }
}

/// A proposal, ended or not, in a row.
fn past_row(one: &PastProposal) -> Value {
    let what = match &one.asked {
        Asked::Key { change, about } => change.told(about),
        Asked::Certificate { wanted } => wanted.to_string(),
        Asked::Members { change } => change.to_string(),
    };
    let end = one.end.as_ref();
    let ended_by = end.map(|end| {
        let by = end.by.as_ref();
        by.map_or("the roots".to_owned(), |by| by.person.clone())
    });
    json!({
        "proposal": one.number.to_string(),
        "state": fate_word(one.fate),
        "what": what,
        "reason": one.reason,
        "by": one.by.person,
        "of": one.by.holder.to_string(),
        "at": view::time(one.at),
        "until": view::time(one.until),
        "ended_by": ended_by,
        "ended_at": end.map(|end| view::time(end.at)),
        "ended_reason": end.map(|end| end.reason.clone()),
        "ended_leaf": end.map(|end| end.leaf.to_string()),
    })
}

pub(crate) async fn run(verb: Proposals, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Proposals::List { ended: true, limit } => {
            let client = settings.client()?;
            let told = client.unverified();
            let ask = async |token: String| told.proposals(ASKED_AT_ONCE, &token).await;
            pages("proposals", limit, past_row, ask).await
        }
        Proposals::List { ended: false, .. } => {
            let (all, now) = open(settings).await?;
            let rows = all.iter().map(|one| one.row(now));
            Ok(Value::Array(rows.collect()).into())
        }
        Proposals::Get { number } => Ok(past_row(&ever(settings, number).await?).into()),
        Proposals::Approve {
            numbers,
            reason,
            sure,
            write,
        } => {
            let ended = async |number| {
                let (one, now) = numbered(settings, number).await?;
                not_over(&one, now)?;
                let by = &one.by().person;
                say(format!("{} (proposed by {by}): {}", number, one.what()));
                if one.is_final() {
                    sure.confirm("What is proposed", &number.to_string(), write)?;
                }
                let extra = json!({"proposal": number.to_string(), "what": one.what()});
                let command = one.command(reason.clone());
                let mut done = submit::one(settings, write, command, extra).await?;
                if matches!(one, Open::Members(_)) {
                    done.value["next"] = AGREED.into();
                }
                Ok(approved(done, number))
            };
            each(&numbers, ended).await
        }
        Proposals::Reject {
            numbers,
            reason,
            write,
        } => {
            let ended = async |number| {
                let (one, now) = numbered(settings, number).await?;
                not_over(&one, now)?;
                let extra = json!({"proposal": number.to_string(), "what": one.what()});
                let reason = reason.clone();
                let command = Command::RejectProposal { number, reason };
                submit::one(settings, write, command, extra).await
            };
            each(&numbers, ended).await
        }
    }
}

/// One answer for one number, a row each for several. What was done stays done where a later one is refused.
async fn each(
    numbers: &[u64],
    mut ended: impl AsyncFnMut(u64) -> Result<Outcome, Failed>,
) -> Result<Outcome, Failed> {
    if let [only] = numbers {
        return ended(*only).await;
    }
    let (mut rows, mut code) = (Vec::new(), 0);
    for number in numbers {
        match ended(*number).await {
            Ok(done) => {
                code = code.max(done.code);
                rows.push(done.value);
            }
            Err(failed) => {
                let done: Vec<String> = numbers
                    .iter()
                    .take(rows.len())
                    .map(ToString::to_string)
                    .collect();
                return Err(Failed {
                    text: format!("proposal {number}: {}", failed.text),
                    next: match done.is_empty() {
                        true => failed.next,
                        false => format!("{} Done before it: {}.", failed.next, done.join(", ")),
                    },
                    ..failed
                });
            }
        }
    }
    let value = Value::Array(rows);
    Ok(Outcome { value, code })
}

fn not_over(one: &Open, now: TimeMs) -> Result<(), Failed> {
    if !one.is_over(now) {
        return Ok(());
    }
    let text = format!(
        "proposal {} expired on {}: nothing more becomes of it",
        one.number(),
        one.until()
    );
    Err(Failed {
        next: "If it is still meant, give the command anew: that is the first word, and another person gives the second.".into(),
        ..Failed::usage(text)
    })
}

/// Between the look and the word it may have ended: then the word was the first of another one.
fn approved(mut done: Outcome, number: u64) -> Outcome {
    if done.value["state"] == "proposed" {
        done.value["next"] = format!(
            "Proposal {number} had ended meanwhile, and this is the first word of another one: see carnet proposal list, and reject it \
             if it is not meant."
        )
        .into();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::record::Holder;

    fn open(change: Change) -> Open {
        let country = carnet_kit::Country::new("86");
        Open::Office(Proposal {
            number: 7,
            about: Actor {
                holder: Holder::Office {
                    name: "customs/port".into(),
                },
                person: "karl".into(),
                key: change.key(),
            },
            before: None,
            change,
            reason: "fraud".into(),
            by: Actor {
                holder: Holder::Office {
                    name: "registrar/hq".into(),
                },
                person: "anna".into(),
                key: country.key("registrar").public().key_id(),
            },
            until: TimeMs(1_000),
        })
    }

    #[test]
    fn what_waits_is_said_in_words_and_when_it_has_expired() {
        let public = carnet_kit::Country::new("86").key("maker").public();
        let worse = open(Change::Retire {
            public,
            compromised_after: Some(3),
        });
        assert!(worse.is_final());
        assert_eq!(worse.row(TimeMs(1_000))["state"], "open");
        let row = worse.row(TimeMs(1_001));
        assert_eq!(row["state"], "expired");
        let what = format!(
            "key {} is reported compromised: it was in other hands after leaf 3: it signs nothing more, and what waits on its word counts for nothing (it is that of karl, office customs/port)",
            public.key_id()
        );
        assert_eq!(row["what"], what);
        assert_eq!(
            (&row["by"], &row["reason"]),
            (&json!("anna"), &json!("fraud"))
        );
        let failed = not_over(&worse, TimeMs(1_001)).expect_err("expired");
        assert!(failed.text.contains("expired"), "{}", failed.text);
        assert!(not_over(&worse, TimeMs(1_000)).is_ok());
        // The second word is the same command, with the reason of the first where none is given.
        let Command::RetireSigner { reason, .. } = worse.command(None) else {
            panic!("another command");
        };
        assert_eq!(reason, "fraud");
    }

    /// Once, one that was rejected a second ago was as one that never was.
    #[test]
    fn what_ended_is_told_with_who_said_so_and_why() {
        let Open::Office(one) = open(Change::Retire {
            public: carnet_kit::Country::new("86").key("maker").public(),
            compromised_after: None,
        }) else {
            panic!("of an office");
        };
        let by = Actor {
            person: "eve".into(),
            ..one.by.clone()
        };
        let past = |fate, end: Option<&str>| PastProposal {
            number: 7,
            asked: Asked::Key {
                change: one.change.clone(),
                about: one.about.clone(),
            },
            reason: one.reason.clone(),
            by: one.by.clone(),
            at: TimeMs(1),
            until: one.until,
            before: None,
            fate,
            end: end.map(|reason| carnet_domain::record::past::EndedBy {
                leaf: 9,
                at: TimeMs(2),
                by: Some(by.clone()),
                reason: reason.into(),
            }),
        };
        let rejected = past(Fate::Rejected, Some("who is fay?"));
        let said = over(&rejected).text;
        assert!(
            said.starts_with("proposal 7 was rejected by eve on "),
            "{said}"
        );
        assert!(said.ends_with(": who is fay?"), "{said}");
        let row = past_row(&rejected);
        assert_eq!(
            (&row["state"], &row["ended_by"], &row["ended_reason"]),
            (&json!("rejected"), &json!("eve"), &json!("who is fay?"))
        );
        let what = row["what"].as_str().expect("a text");
        assert!(
            what.ends_with("(it is that of karl, office customs/port)"),
            "{what}"
        );
        let expired = over(&past(Fate::Expired, None)).text;
        assert!(expired.contains("nothing more becomes of it"), "{expired}");
    }

    #[tokio::test]
    async fn several_are_done_one_after_the_other_until_one_is_refused() {
        let ended = async |number: u64| match number {
            9 => Err(Failed::usage("expired")),
            _ => Ok(Outcome::from(json!({"proposal": number}))),
        };
        let all = each(&[7, 8], ended).await.expect("done");
        assert_eq!(all.value, json!([{"proposal": 7}, {"proposal": 8}]));
        let one = each(&[7], ended).await.expect("done");
        assert_eq!(one.value, json!({"proposal": 7}), "as before");
        let failed = each(&[7, 8, 9, 10], ended).await.expect_err("refused");
        assert_eq!(failed.text, "proposal 9: expired");
        assert!(
            failed.next.ends_with("Done before it: 7, 8."),
            "{}",
            failed.next
        );
    }
}
