//! `carnet movement`: where a robot has been, and what a checkpoint asks: what is expected, under way, overdue, detained, admitted.

use carnet_client::{Client, MovementQuery};
use carnet_domain::bytes::code::{Code, EnterpriseId, Prefix};
use carnet_domain::record::transfer::{Stage, Transfer};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::exit::Failed;
use crate::output::{Format, say, say_more};
use crate::pages::PAGE_SIZE;
use crate::parse::{self, When, hyphened};
use crate::settings::Settings;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Movement {
    /// Lists the custody movements of a robot, oldest first.
    List {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
    },
    /// Lists transfers by where they stand, since when, oldest first. Different filters must all hold.
    Query {
        #[command(flatten)]
        wanted: Box<Wanted>,
        /// At most this many.
        #[arg(long, default_value_t = 100, value_name = "COUNT")]
        limit: usize,
        /// Only how many there are.
        #[arg(long)]
        count: bool,
        /// As CSV, with a header.
        #[arg(long, conflicts_with = "count")]
        csv: bool,
    },
    /// Counts transfers by lane, month and where they stand.
    Statistics {
        #[command(flatten)]
        wanted: Box<Wanted>,
        /// As CSV, with a header.
        #[arg(long)]
        csv: bool,
    },
}

/// Which transfers.
#[derive(Debug, Default, Args)]
pub(crate) struct Wanted {
    /// Of robots whose code begins so: a code, a model, an enterprise, a country.
    #[arg(long, default_value = "", value_name = "CODE")]
    robots: String,
    /// Of a consignment, by its reference (UCR).
    #[arg(long, default_value = "", value_parser = parse::ucr)]
    ucr: String,
    /// From this country.
    #[arg(long)]
    from: Option<Prefix>,
    /// To this country.
    #[arg(long)]
    to: Option<Prefix>,
    /// Of an office of export or of entry, by its whole name.
    #[arg(long, default_value = "")]
    office: String,
    /// Of the office in the certificate of whoever asks.
    #[arg(long, conflicts_with = "office")]
    own_office: bool,
    /// Standing at: expected (offered or permitted), departed, in-transit, overdue, admitted, detained, refused, returned, cancelled,
    /// offered, permitted or lost. May be repeated.
    #[arg(long, value_delimiter = ',', value_parser = standing)]
    status: Vec<Standing>,
    /// Standing there since this time or a later one.
    #[arg(long, allow_hyphen_values = true)]
    since: Option<When>,
    /// Standing there since before this time.
    #[arg(long, allow_hyphen_values = true)]
    before: Option<When>,
    /// Declared here by this enterprise.
    #[arg(long, value_parser = parse::enterprise)]
    declarant: Option<EnterpriseId>,
}

/// A word of a checkpoint: where transfers stand, or that their time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    At(&'static [Stage]),
    Overdue,
}

fn standing(text: &str) -> Result<Standing, String> {
    Ok(match text {
        "expected" => Standing::At(&[Stage::Offered, Stage::Permitted]),
        "departed" => Standing::At(&[Stage::InTransit, Stage::Detained]),
        "offered" => Standing::At(&[Stage::Offered]),
        "permitted" => Standing::At(&[Stage::Permitted]),
        "in-transit" => Standing::At(&[Stage::InTransit]),
        "detained" => Standing::At(&[Stage::Detained]),
        "admitted" => Standing::At(&[Stage::Admitted]),
        "returned" => Standing::At(&[Stage::Returned]),
        "refused" => Standing::At(&[Stage::Refused]),
        "cancelled" => Standing::At(&[Stage::Cancelled]),
        "lost" => Standing::At(&[Stage::Lost]),
        "overdue" => Standing::Overdue,
        _ => return Err("none of the words that --help names".into()),
    })
}

impl Wanted {
    fn query(&self) -> MovementQuery {
        let stages = self.status.iter().filter_map(|status| match status {
            Standing::At(stages) => Some(stages.iter().copied()),
            Standing::Overdue => None,
        });
        MovementQuery {
            robots: self.robots.replace('-', "").to_ascii_uppercase(),
            ucr: self.ucr.clone(),
            from: self.from,
            to: self.to,
            office: self.office.clone(),
            stages: stages.flatten().collect(),
            since: self.since.map(When::resolve),
            before: self.before.map(When::resolve),
            declarant: self.declarant,
            overdue: self.status.contains(&Standing::Overdue),
            own_office: self.own_office,
        }
    }
}

pub(crate) async fn run(
    verb: Movement,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    match verb {
        Movement::List { code } => {
            let found = client.unverified().movements(&code).await?;
            let trail = found.value;
            if trail.older_left_out {
                say("older movements may be left out: these are the newest");
            }
            Ok(Value::Array(trail.movements.iter().map(view::movement).collect()).into())
        }
        Movement::Query { wanted, count, .. } if count => {
            let counts = client.unverified().count_movements(&wanted.query()).await?;
            let count: u64 = counts.iter().map(|row| row.count).sum();
            Ok(json!({"count": count.to_string()}).into())
        }
        Movement::Query {
            wanted, limit, csv, ..
        } => {
            let (found, more) = some(&client, &wanted.query(), limit).await?;
            if more {
                say_more("transfers", limit);
            }
            let rows: Vec<Value> = found.iter().map(view::movement_row).collect();
            printed(rows, csv, format)
        }
        Movement::Statistics { wanted, csv } => {
            let counts = client.unverified().count_movements(&wanted.query()).await?;
            let row = |row: &carnet_client::MovementCount| {
                json!({
                    "from": row.from.to_string(),
                    "to": row.to.to_string(),
                    "month": row.month,
                    "status": hyphened(row.stage.name()),
                    "count": row.count.to_string(),
                })
            };
            printed(counts.iter().map(row).collect(), csv, format)
        }
    }
}

/// The first of the transfers asked for, and whether more follow.
///
/// # Errors
/// As every read.
pub(crate) async fn some(
    client: &Client,
    query: &MovementQuery,
    limit: usize,
) -> Result<(Vec<Transfer>, bool), Failed> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let left = limit.saturating_sub(found.len()).saturating_add(1); // saturates: a count of rows
        let size = u32::try_from(left).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
        let told = client.unverified();
        let page = told.query_movements(query, size, &token);
        let page = page.await?;
        found.extend(page.values);
        token = page.next;
        if token.is_empty() || limit < found.len() {
            let more = limit < found.len();
            found.truncate(limit);
            return Ok((found, more));
        }
    }
}

/// Rows as they are asked for.
fn printed(rows: Vec<Value>, csv: bool, _: Format) -> Result<Outcome, Failed> {
    if !csv {
        return Ok(Value::Array(rows).into());
    }
    let text = csv_of(&rows).map_err(Failed::machine)?;
    Ok(Value::String(text).into())
}

/// Rows as CSV: the columns of the first, which all have.
fn csv_of(rows: &[Value]) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let first = rows.first().and_then(Value::as_object);
    let columns: Vec<&String> = first.into_iter().flat_map(|row| row.keys()).collect();
    writer
        .write_record(columns.iter().map(|name| name.as_bytes()))
        .map_err(|error| error.to_string())?;
    for row in rows {
        let cell = |name: &&String| match &row[name.as_str()] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        writer
            .write_record(&cells)
            .map_err(|error| error.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_checkpoint_is_a_query() {
        let query = |words: &[&str]| {
            let status = words.iter().map(|word| standing(word).expect("a word"));
            let status = status.collect();
            Wanted {
                status,
                ..Wanted::default()
            }
            .query()
        };
        let expected = query(&["expected", "overdue"]);
        assert_eq!(expected.stages, [Stage::Offered, Stage::Permitted]);
        assert!(expected.overdue && !query(&["departed"]).overdue);
        for stage in Stage::ALL {
            assert_eq!(query(&[&hyphened(stage.name())]).stages, [*stage]);
        }
        assert!(standing("gone").is_err());
    }

    #[test]
    fn rows_as_csv_have_their_columns_and_quotes() {
        let rows = [
            json!({"a": "x,y", "b": null}),
            json!({"a": "\"z\"", "b": true}),
        ];
        assert_eq!(
            csv_of(&rows),
            Ok("a,b\n\"x,y\",\n\"\"\"z\"\"\",true".to_owned())
        );
        assert!(
            csv_of(&[]).is_ok_and(|text| !text.contains(',')),
            "no columns of nothing"
        );
    }
}
