//! Robots that cross a border: both sides of a transfer, and what is seen of it.

use carnet_client::{ApiError, Client, ClientError, wall_time};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Step;
use carnet_domain::custody::admission::owed_after;
use carnet_domain::record::transfer::Transfer as Record;
use carnet_domain::record::{AgreementRef, Recall, RecallId, Robot};
use carnet_domain::rules::command::{Command, Condition, Papers, Purpose, TransferId};
use clap::{Args, Subcommand};
use futures::StreamExt;
use rand::Rng;
use serde_json::{Value, json};

use crate::context::Settings;
use crate::exit::Failed;
use crate::output::{Format, say};
use crate::parse::{self, When};
use crate::submit::{self, Write, merge, party};
use crate::{Outcome, view};

fn transfer_id(text: &str) -> Result<TransferId, String> {
    TransferId::parse(text).ok_or_else(|| "a transfer number has 32 hexadecimal digits".into())
}

fn condition(text: &str) -> Result<Condition, String> {
    match text.split_once(':') {
        None if text == "inspection" => Ok(Condition::Inspection {}),
        Some(("firmware-at-least", build)) => {
            let build = build
                .parse()
                .map_err(|_| format!("{build:?} is no build number"))?;
            Ok(Condition::FirmwareAtLeast { build })
        }
        Some(("document", digest)) => {
            let digest = Digest::parse(digest).map_err(|error| error.to_string())?;
            Ok(Condition::Document { digest })
        }
        _ => Err("one of inspection, firmware-at-least:BUILD, document:DIGEST".into()),
    }
}

fn digests(texts: &[String]) -> Result<Vec<Digest>, Failed> {
    texts.iter().map(|text| parse::digest_of(text)).collect()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Offers a robot to another country. Prints the transfer's number.
    Declare(Box<Declare>),
    /// Ends an offer before departure.
    Cancel {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Releases a robot at the border: from here on the importing country is responsible.
    Depart {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Office of exit.
        #[arg(long)]
        place: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Declare {
    /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
    #[arg(value_parser = parse::code)]
    code: Code,
    /// The importing country.
    #[arg(long)]
    to: Prefix,
    /// permanent-export, temporary-admission, repair-and-return, exhibition or transit.
    #[arg(long, default_value = "permanent-export", value_parser = parse::purpose)]
    purpose: Purpose,
    /// The offer stands until then.
    #[arg(long, default_value = "+30d", allow_hyphen_values = true)]
    offer_until: When,
    /// The agreement as name:version; default is the newest in force.
    #[arg(long, value_parser = parse::agreement)]
    agreement: Option<AgreementRef>,
    /// The transfer's number; default is drawn at random.
    #[arg(long, value_parser = transfer_id)]
    transfer: Option<TransferId>,
    /// Movement reference number of the customs declaration.
    #[arg(long, default_value = "")]
    mrn: String,
    /// Commodity code.
    #[arg(long, default_value = "")]
    commodity: String,
    /// Office of export.
    #[arg(long, default_value = "")]
    office_of_export: String,
    /// Office of entry.
    #[arg(long, default_value = "")]
    office_of_entry: String,
    /// Documents: digests or files.
    #[arg(long = "document")]
    documents: Vec<String>,
    #[command(flatten)]
    write: Write,
}

pub(crate) async fn export(verb: Export, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Export::Declare(declare) => declare_export(*declare, settings).await,
        Export::Cancel {
            transfer,
            reason,
            write,
        } => {
            let extra = json!({"transfer": transfer.to_string()});
            submit::one(
                settings,
                write,
                Command::CancelExport { transfer, reason },
                extra,
            )
            .await
        }
        Export::Depart {
            transfer,
            place,
            write,
        } => {
            let extra = json!({"transfer": transfer.to_string()});
            submit::one(settings, write, Command::Depart { transfer, place }, extra).await
        }
    }
}

async fn declare_export(declare: Declare, settings: &Settings) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    let agreement = match declare.agreement {
        Some(agreement) => agreement,
        None => {
            let peer = client.unverified().peer(declare.to).await.map_err(|error| {
                let mut failed = Failed::from(error);
                failed.next = "Name the agreement and its version with --agreement.".into();
                failed
            });
            let peer = peer?.value;
            let agreement = peer.agreement(wall_time()).ok_or_else(|| {
                Failed::usage(format!(
                    "no agreement with {} is in force; name one with --agreement",
                    declare.to
                ))
            })?;
            agreement.reference()
        }
    };
    let transfer = declare
        .transfer
        .unwrap_or_else(|| TransferId(rand::rng().random()));
    let command = Command::DeclareExport {
        code: declare.code,
        transfer,
        to: declare.to,
        purpose: declare.purpose,
        offer_until: declare.offer_until.resolve(),
        agreement: agreement.clone(),
        papers: Papers {
            mrn: declare.mrn,
            commodity: declare.commodity,
            office_of_export: declare.office_of_export,
            office_of_entry: declare.office_of_entry,
            documents: digests(&declare.documents)?,
        },
    };
    let extra = json!({
        "transfer": transfer.to_string(),
        "code": declare.code.to_string(),
        "agreement": agreement.to_string(),
    });
    submit::through(&client, declare.write, command, extra).await
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Permits the import of a robot that was offered.
    Permit {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Departure at the latest.
        #[arg(long, default_value = "+30d", allow_hyphen_values = true)]
        depart_by: When,
        /// inspection, firmware-at-least:BUILD or document:DIGEST.
        #[arg(long = "condition", value_parser = condition)]
        conditions: Vec<Condition>,
        #[command(flatten)]
        write: Write,
    },
    /// Refuses an offer, or takes a permit back: the exporting country answers with its cancel, or has released the robot already.
    Refuse {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Admits a robot at the border: the permit is consumed.
    Admit {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Office of entry.
        #[arg(long)]
        place: String,
        /// Importer of record: a person's name (kept as a salted commitment) or commitment, enterprise/ID or office/PREFIX/NAME.
        #[arg(long)]
        importer: String,
        /// Documents shown: digests or files.
        #[arg(long = "document")]
        documents: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Sends a robot in transit back.
    Return {
        /// The transfer.
        #[arg(value_parser = transfer_id)]
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

pub(crate) async fn import(verb: Import, settings: &Settings) -> Result<Outcome, Failed> {
    let (command, transfer, write, extra) = match verb {
        Import::Permit {
            transfer,
            depart_by,
            conditions,
            write,
        } => {
            let depart_by = depart_by.resolve();
            (
                Command::PermitImport {
                    transfer,
                    depart_by,
                    conditions,
                },
                transfer,
                write,
                json!({}),
            )
        }
        Import::Refuse {
            transfer,
            reason,
            write,
        } => (
            Command::RefuseImport { transfer, reason },
            transfer,
            write,
            json!({}),
        ),
        Import::Admit {
            transfer,
            place,
            importer,
            documents,
            write,
        } => {
            let (importer, extra) = party("importer", &importer)?;
            let documents = digests(&documents)?;
            let command = Command::Admit {
                transfer,
                place,
                importer,
                documents,
                countersignature: None,
            };
            (command, transfer, write, extra)
        }
        Import::Return {
            transfer,
            reason,
            write,
        } => (
            Command::Return { transfer, reason },
            transfer,
            write,
            json!({}),
        ),
    };
    let admits =
        matches!(command, Command::Admit { .. }) && (!write.dry_run || settings.has_endpoints());
    let permits = matches!(command, Command::PermitImport { .. }) && settings.has_endpoints();
    let extra = merge(json!({"transfer": transfer.to_string()}), extra);
    let asked = write.dry_run;
    let mut outcome = submit::one(settings, write, command, extra).await?;
    if permits && let Some(doubt) = doubt_of(settings, transfer).await {
        outcome.value["peer_doubted"] = doubt.into();
    }
    if admits {
        let admission = match asked {
            true => Admission::Foreseen,
            false => Admission::Done,
        };
        let (holds, owed) = lies_on(settings, transfer, admission).await;
        outcome.value["holds"] = holds;
        outcome.value["recalls_owed"] = owed;
    }
    Ok(outcome)
}

/// Why the word of the country that offers a robot is doubted here, if it is. Who may not read it is told nothing.
async fn doubt_of(settings: &Settings, transfer: TransferId) -> Option<String> {
    let client = settings.client().ok()?;
    let client = client.unverified();
    let from = client.transfer(transfer).await.ok()?.value.from;
    let doubt = client.peer(from).await.ok()?.value.doubted?;
    let doubt = parse::hyphened(doubt.name());
    say(format!(
        "the word of {from} is doubted ({doubt}): what it says of the robot may not hold (runbook doubted-peer)"
    ));
    Some(doubt)
}

/// Whether a robot was admitted, or only looked at before it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Foreseen,
    Done,
}

/// Holds and recalls that lie on a robot which was just admitted, or would be: an officer at the border must not learn of them from
/// the record a day later.
async fn lies_on(
    settings: &Settings,
    transfer: TransferId,
    admission: Admission,
) -> (Value, Value) {
    let read = async {
        let client = settings.client()?;
        let told = client.unverified();
        let transfer = told.transfer(transfer).await?.value;
        let robot = told.robot(&transfer.code).await?.value;
        let mut known = Vec::new();
        let mut token = String::new();
        let model = transfer.code.model_id();
        loop {
            let page = told.recalls(model.as_str(), 0, &token).await?;
            known.extend(page.values);
            token = page.next;
            if token.is_empty() {
                break;
            }
        }
        let owed = match admission {
            Admission::Done => robot.owed.clone(),
            Admission::Foreseen => would_owe(&transfer, &robot, &known)?,
        };
        let owed: Vec<String> = owed.iter().map(|id| recall_text(id, &known)).collect();
        Ok::<_, Failed>((robot, owed))
    };
    let admitted = match admission {
        Admission::Foreseen => "would be admitted",
        Admission::Done => "is admitted",
    };
    match read.await {
        Ok((robot, owed)) => {
            let holds: Vec<String> = robot
                .holds
                .iter()
                .map(|hold| parse::hyphened(hold.kind.name()))
                .collect();
            for (what, list) in [("held", &holds), ("owes recalls", &owed)] {
                if !list.is_empty() {
                    say(format!(
                        "the robot {admitted} and {what}: {}",
                        list.join(", ")
                    ));
                }
            }
            (holds.into(), owed.into())
        }
        // It is admitted, whatever this reader may see.
        Err(failed) => {
            let unknown = Value::from(format!("not known: {}", failed.text));
            (unknown.clone(), unknown)
        }
    }
}

/// What a robot would owe once it is admitted: of what was disclosed of it, and by the recalls of its model that are known here.
fn would_owe(transfer: &Record, here: &Robot, known: &[Recall]) -> Result<Vec<RecallId>, Failed> {
    let Some(disclosed) = &transfer.robot else {
        // An empty list would say that it owes nothing.
        return Err(Failed::local(
            "what the other country shows of the robot is not shown to this reader",
        ));
    };
    let sides = (transfer.to, transfer.from);
    Ok(owed_after(sides, known, here, disclosed))
}

/// A recall and how grave it is. Of one that was only told of, nobody here knows.
fn recall_text(id: &RecallId, known: &[Recall]) -> String {
    let mut recalls = known.iter();
    match recalls.find(|recall| recall.notice.id == *id) {
        Some(recall) => format!("{id} {}", parse::hyphened(recall.notice.severity.name())),
        None => format!("{id} (its notice is not known here yet)"),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Transfer {
    /// Shows a transfer.
    Get {
        /// Its number.
        #[arg(value_parser = transfer_id)]
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

pub(crate) async fn transfer(
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
            Ok(view::at(shown, found.position).into())
        }
        Transfer::List(wanted) => {
            let rows = list(&client, settings.registry()?, &wanted).await?;
            let rows = match format == Format::Table && !wanted.wide {
                true => narrow(rows),
                false => rows,
            };
            Ok(Value::Array(rows).into())
        }
    }
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

#[derive(Debug, Subcommand)]
pub(crate) enum Movement {
    /// Lists the custody movements of a robot, oldest first.
    List {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
    },
}

pub(crate) async fn movement(verb: Movement, settings: &Settings) -> Result<Outcome, Failed> {
    let Movement::List { code } = verb;
    let found = settings.client()?.unverified().movements(&code).await?;
    let trail = found.value;
    if trail.older_left_out {
        say("older movements may be left out: these are the newest");
    }
    Ok(Value::Array(trail.movements.iter().map(view::movement).collect()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::time::DurationMs;
    use carnet_kit::{Country, befriend, transfer};

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

    /// Once, a look before the admission showed no recall, and the admission itself did.
    #[test]
    fn what_is_foreseen_to_be_owed_is_what_is_owed_then() {
        use carnet_domain::record::Severity;
        use carnet_domain::record::ledger::Ledger as _;
        use carnet_kit::samples::recall;
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("49"));
        befriend(&mut a, &mut b);
        a.must("maker", a.register(1));
        for (number, severity) in [("R-1", Severity::Advisory), ("R-2", Severity::Advisory)] {
            let open = recall(&a, number, severity);
            a.must("maker", open);
        }
        a.must("customs", a.declare(1, transfer(1), &b.prefix));
        a.deliver(&mut b);
        let permit = Command::PermitImport {
            transfer: transfer(1),
            depart_by: b.clock.saturating_add(DurationMs::from_days(1)),
            conditions: Vec::new(),
        };
        b.must("customs", permit);
        b.deliver(&mut a);
        let depart = Command::Depart {
            transfer: transfer(1),
            place: "harbour".into(),
        };
        a.must("customs", depart);
        let withdraw = Command::WithdrawRecall {
            recall: carnet_kit::samples::recall_id(&a, "R-1"),
            reason: "no fault".into(),
        };
        a.must("maker", withdraw);
        a.deliver(&mut b);
        let code = a.code(1);
        let here = |b: &Country| {
            let Ok(robot) = b.ledger.robot(&code);
            robot.expect("known")
        };
        let found: Vec<Recall> = b.ledger.recalls().cloned().collect();
        let moved = b.ledger.transfers().next().cloned().expect("on its way");
        let foreseen = would_owe(&moved, &here(&b), &found).expect("shown");
        let id = b.enterprise("0001");
        let admit = Command::Admit {
            transfer: transfer(1),
            place: "harbour".into(),
            importer: carnet_domain::record::PartyName::Enterprise { id },
            documents: Vec::new(),
            countersignature: None,
        };
        b.must("customs", admit);
        assert_eq!(foreseen, here(&b).owed);
        assert_eq!(foreseen, [carnet_kit::samples::recall_id(&a, "R-2")]);
        assert_eq!(recall_text(&foreseen[0], &found), "86/R-2 advisory");
        let hidden = Record {
            robot: None,
            ..moved
        };
        assert!(
            would_owe(&hidden, &here(&b), &found).is_err(),
            "not: it owes nothing"
        );
    }
}
