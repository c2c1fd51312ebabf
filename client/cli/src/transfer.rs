//! `carnet transfer`: transfers between countries, both those that go on and those that ended.

use carnet_client::{ApiError, Client, ClientError, wall_time};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Step;
use carnet_domain::record::transfer::Transfer as Record;
use carnet_domain::rules::command::TransferId;
use clap::{Args, Subcommand};
use futures::StreamExt;
use serde_json::Value;

use crate::exit::Failed;
use crate::output::{Format, say};
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Transfer {
    /// Shows a transfer.
    Get {
        /// Its number.
        #[arg(value_parser = parse::transfer_id)]
        transfer: TransferId,
    },
    /// Lists transfers, by the time of their newest step. Different filters must all hold; of one that is given several times, one
    /// value must. A table shows the columns that people look at first; --wide and -o json show all.
    List(Wanted),
}

/// Which transfers.
#[derive(Debug, Default, Args)]
pub(crate) struct Wanted {
    /// Of robots whose code begins so: a code, a model, an enterprise, a country.
    #[arg(default_value = "", hide_default_value = true)]
    robots: String,
    /// Only those that have not ended.
    #[arg(long)]
    open: bool,
    /// Only those whose time is over and that nobody ended: an offer without a permit, a permit without a departure.
    #[arg(long)]
    overdue: bool,
    /// Only those of an office of export or of entry, or a part of its name. May be repeated.
    #[arg(long)]
    office: Vec<String>,
    /// Only with this movement reference number. May be repeated.
    #[arg(long)]
    mrn: Vec<String>,
    /// Only those that stand at a step: offer, accept, refuse, cancel, depart, detain, admit or return. May be repeated.
    #[arg(long, value_delimiter = ',', value_parser = step)]
    step: Vec<Step>,
    /// Only those from or to a country. May be repeated.
    #[arg(long, value_delimiter = ',')]
    with: Vec<Prefix>,
    /// Only those whose newest step was at this time or later.
    #[arg(long, allow_hyphen_values = true)]
    since: Option<When>,
    /// Only those whose newest step was before this time.
    #[arg(long, allow_hyphen_values = true)]
    before: Option<When>,
    /// Only those of robots that are detained, or on which a hold lies, where they are on their way to here.
    #[arg(long)]
    detained: bool,
    /// At most this many, the newest ones; default is all.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Every column in the table, not only those that people look at first.
    #[arg(long)]
    wide: bool,
}

pub(crate) async fn run(
    verb: Transfer,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    match verb {
        Transfer::Get { transfer } => {
            let found = client.unverified().transfer(transfer).await?;
            let mut shown = view::transfer(&found.value);
            let here = settings.registry()?;
            shown["detained"] = detained(&client, here, &found.value).await?;
            shown["overdue"] = is_overdue(&found.value, wall_time()).into();
            shown["agreement"] = agreement_of(&client, here, &found.value).await?.into();
            Ok(view::at(shown, found.position).into())
        }
        Transfer::List(wanted) => {
            let rows = list(&client, settings.registry()?, &wanted).await?;
            let rows = match format.is_for_people() && !wanted.wide && format != Format::Wide {
                true => narrow(rows),
                false => rows,
            };
            Ok(Value::Array(rows).into())
        }
    }
}

fn step(text: &str) -> Result<Step, String> {
    let named = |step: &&Step| parse::hyphened(step.name()) == text;
    Step::ALL.iter().find(named).copied().ok_or_else(|| {
        let all: Vec<String> = Step::ALL
            .iter()
            .map(|step| parse::hyphened(step.name()))
            .collect();
        format!("one of {}", all.join(", "))
    })
}

impl Wanted {
    /// Whether a transfer is one of those, as far as its own record says.
    fn has(&self, transfer: &Record, now: TimeMs) -> bool {
        let (step, at) = newest(transfer);
        let part = |name: &String, of: &String| name.to_lowercase().contains(&of.to_lowercase());
        let papers = &transfer.papers;
        let office = is_one(&self.office, |office| {
            part(&papers.office_of_entry, office) || part(&papers.office_of_export, office)
        });
        (!self.open || transfer.ending.is_none())
            && (!self.overdue || is_overdue(transfer, now))
            && office
            && is_one(&self.mrn, |mrn| papers.mrn == *mrn)
            && is_one(&self.step, |wanted| *wanted == step)
            && is_one(&self.with, |with| {
                transfer.from == *with || transfer.to == *with
            })
            && self.since.is_none_or(|since| at >= since.resolve())
            && self.before.is_none_or(|before| at < before.resolve())
    }
}

/// Whether one of the values holds, or none is given.
fn is_one<T>(values: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(holds)
}

/// The newest step of a transfer, its end included.
fn newest(transfer: &Record) -> (Step, TimeMs) {
    let ending = transfer.ending.as_ref();
    ending.map_or((transfer.step, transfer.step_at), |it| (it.step, it.at))
}

/// Whether it waits in vain: the time of its offer or permit is over, and nothing ended it.
fn is_overdue(transfer: &Record, now: TimeMs) -> bool {
    let until = match transfer.step {
        Step::Offer => transfer.offer_until,
        Step::Accept => transfer.depart_by,
        _ => return false,
    };
    transfer.ending.is_none() && until < now
}

/// The agreement that a transfer goes by, and how it stands here today: what is under way goes on under one that is suspended.
async fn agreement_of(client: &Client, here: Prefix, transfer: &Record) -> Result<String, Failed> {
    let named = &transfer.agreement;
    let other = if transfer.from == here {
        transfer.to
    } else {
        transfer.from
    };
    let peer = match client.unverified().peer(other).await {
        Ok(found) => found.value,
        // No peer, or not for this caller to see.
        Err(_) => return Ok(named.to_string()),
    };
    let mut all = peer.agreements.iter();
    let found = all.find(|one| one.reference() == *named);
    Ok(found.map_or_else(
        || named.to_string(),
        |one| peer.standing_of(one, wall_time()),
    ))
}

/// Robots whose records are read at a time.
const READS_AT_ONCE: usize = 16;

/// What of a row people look at first.
const NARROW: [&str; 10] = [
    "transfer",
    "code",
    "from",
    "to",
    "step",
    "step_at",
    "office_of_entry",
    "detained",
    "refused",
    "overdue",
];

/// Rows without the columns that a narrow screen has no room for, and without those that say nothing of any row.
fn narrow(mut rows: Vec<Value>) -> Vec<Value> {
    let says = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && *value != "";
    let columns = NARROW.iter().copied();
    let kept: Vec<&str> = columns
        .filter(|name| rows.iter().any(|row| row.get(*name).is_some_and(says)))
        .collect();
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.retain(|name, _| kept.contains(&name.as_str()));
    }
    rows
}

/// The newest of those, as many as are wanted, in their order, and how many older ones are left out.
fn newest_of<T>(mut rows: Vec<T>, limit: Option<usize>) -> (Vec<T>, usize) {
    let older = rows.len().saturating_sub(limit.unwrap_or(usize::MAX));
    (rows.split_off(older), older)
}

async fn list(client: &Client, here: Prefix, wanted: &Wanted) -> Result<Vec<Value>, Failed> {
    let filter = wanted.robots.replace('-', "").to_ascii_uppercase();
    let now = wall_time();
    let mut found: Vec<Record> = Vec::new();
    let mut token = String::new();
    loop {
        let page = client.unverified().transfers(&filter, 0, &token).await?;
        let some = page.values.into_iter();
        found.extend(some.filter(|transfer| wanted.has(transfer, now)));
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    // Their numbers are drawn at random, and say nothing of their order.
    found.sort_by_key(|transfer| (newest(transfer).1, transfer.id));
    if !wanted.detained {
        // Records are read for what is shown alone.
        let (newest, older) = newest_of(found, wanted.limit);
        say_older(older);
        found = newest;
    }
    let rows = futures::stream::iter(&found).map(|transfer| async move {
        let mut row = view::transfer_row(transfer);
        row["detained"] = detained(client, here, transfer).await?;
        row["overdue"] = is_overdue(transfer, now).into();
        Ok::<_, Failed>(row)
    });
    let rows: Vec<_> = rows.buffered(READS_AT_ONCE).collect().await;
    let rows: Result<Vec<Value>, Failed> = rows.into_iter().collect();
    let rows = rows?.into_iter();
    let kept = rows.filter(|row| !wanted.detained || !row["detained"].is_null());
    let kept: Vec<Value> = kept.collect();
    if !wanted.detained {
        return Ok(kept);
    }
    let (newest, older) = newest_of(kept, wanted.limit);
    say_older(older);
    Ok(newest)
}

fn say_older(count: usize) {
    if count > 0 {
        say(format!("{count} older ones are left out (--limit)"));
    }
}

/// Why a robot that is on its way to here is not let in: the rule that says so, and the holds that lie on it. Nothing if it is, or is
/// of no transfer to here that goes on.
async fn detained(client: &Client, here: Prefix, transfer: &Record) -> Result<Value, Failed> {
    if transfer.to != here || transfer.ending.is_some() {
        return Ok(Value::Null);
    }
    let mut why: Vec<String> = transfer.detained.iter().map(ToString::to_string).collect();
    match client.unverified().robot(&transfer.code).await {
        Ok(robot) => {
            let holds = robot.value.holds.iter();
            why.extend(
                holds.map(|hold| {
                    format!("{} by {}", parse::hyphened(hold.kind.name()), hold.setter)
                }),
            );
        }
        Err(ClientError::Api(ApiError::NotFound { .. })) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(match why.is_empty() {
        true => Value::Null,
        false => why.join("; ").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::time::DurationMs;
    use carnet_domain::rules::command::Papers;
    use carnet_kit::Country;
    use carnet_kit::befriend;
    use carnet_kit::transfer;
    use serde_json::json;

    /// An offer of robot 1 to 44, as 86 has it, and of which nothing is known yet there.
    fn offered() -> (Record, TimeMs) {
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
        befriend(&mut a, &mut b);
        a.must("maker", a.register(1));
        let declare = a.declare(1, transfer(1), &b.prefix);
        a.must("maker", declare);
        let found = a.ledger.transfers().next().cloned();
        (found.expect("an offer"), a.clock)
    }

    #[test]
    fn a_list_of_transfers_is_of_an_office_a_state_and_a_time() {
        let (offer, now) = offered();
        let offer = Record {
            papers: Papers {
                office_of_entry: "Hamburg Waltershof".into(),
                mrn: "24DE1".into(),
                ..offer.papers
            },
            step_at: now,
            ..offer
        };
        let has = |wanted: Wanted| wanted.has(&offer, now);
        let all = Wanted::default;
        assert!(has(all()));
        let office = |name: &str| {
            let office = vec![name.to_owned()];
            Wanted { office, ..all() }
        };
        assert!(has(office("hamburg")) && !has(office("Bremen")));
        let mrn = |text: &str| {
            let mrn = vec![text.to_owned()];
            Wanted { mrn, ..all() }
        };
        assert!(has(mrn("24DE1")) && !has(mrn("24DE")));
        let at = |word: &str| {
            let step = vec![step(word).expect("a step")];
            Wanted { step, ..all() }
        };
        assert!(has(at("offer")) && !has(at("depart")));
        assert!(step("gone").is_err());
        let with = |prefix: &str| {
            let with = vec![Prefix::parse(prefix).expect("a prefix")];
            Wanted { with, ..all() }
        };
        assert!(has(with("44")) && !has(with("49")));
        let since: When = now.to_string().parse().expect("a time");
        assert!(has(Wanted {
            since: Some(since),
            ..all()
        }));
        assert!(!has(Wanted {
            before: Some(since),
            ..all()
        }));
        // One of what is said of a filter, and all filters.
        let steps = |words: &[&str]| {
            let step = words
                .iter()
                .map(|word| step(word).expect("a step"))
                .collect();
            Wanted { step, ..all() }
        };
        assert!(has(steps(&["depart", "offer"])) && !has(steps(&["depart", "admit"])));
        assert!(!has(Wanted {
            since: Some(since),
            ..office("Bremen")
        }));
    }

    #[test]
    fn what_waits_in_vain_is_overdue_and_what_ended_is_not() {
        let (offer, now) = offered();
        let overdue = Wanted {
            overdue: true,
            ..Wanted::default()
        };
        let late = offer.offer_until.saturating_add(DurationMs::from_days(1));
        assert!(!overdue.has(&offer, now) && overdue.has(&offer, late));
        let departed = Record {
            step: Step::Depart,
            ..offer.clone()
        };
        assert!(!overdue.has(&departed, late));
        let permitted = Record {
            step: Step::Accept,
            depart_by: late,
            ..offer
        };
        assert!(!overdue.has(&permitted, late));
        assert!(overdue.has(&permitted, late.saturating_add(DurationMs::from_days(1))));
    }

    #[test]
    fn a_list_is_narrow_and_of_the_newest() {
        let row = |step: &str, detained: Value| {
            json!({"transfer": "0", "code": "86", "purpose": "transit", "step": step, "mrn": "", "office_of_entry": "",
                   "detained": detained, "overdue": false})
        };
        let rows = narrow(vec![
            row("offer", Value::Null),
            row("depart", "theft".into()),
        ]);
        let columns = |row: &Value| {
            let fields = row.as_object().expect("an object");
            fields.keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(columns(&rows[0]), "transfer code step detained");
        assert_eq!(newest_of(vec![1, 2, 3], Some(2)), (vec![2, 3], 1));
        assert_eq!(newest_of(vec![1, 2], Some(5)), (vec![1, 2], 0));
        assert_eq!(newest_of(vec![1, 2], None), (vec![1, 2], 0));
        for call in [
            "--step depart --step accept",
            "--office Hamburg --office Bremen --limit 20 --wide",
        ] {
            let words = "carnet transfer list ".to_owned() + call;
            let parsed = <crate::Cli as clap::Parser>::try_parse_from(words.split(' '));
            assert!(parsed.is_ok(), "{call}");
        }
    }
}
