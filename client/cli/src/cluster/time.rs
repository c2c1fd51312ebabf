//! Log time by the roots: on after a long outage, or back after clocks that ran ahead. Drafted in a file, signed by the
//! roots one after the other, and submitted.

use std::path::PathBuf;

use carnet_client::wall_time;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::peer::{Statement, TimeChange};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cluster::health::{self, Asked};
use crate::draft::{Drafted, Of, ends_nothing};
use crate::exit::Failed;
use crate::output::{say, table};
use crate::parse::When;
use crate::settings::Settings;
use crate::submit::merge;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Time {
    /// Drafts: log time goes on, further than a quorum of clocks may move it. After an outage of more than an hour.
    ///
    /// Shows what would be drafted and every clock it is compared with; writes the draft with --yes.
    Advance(Draft),
    /// Drafts: log time falls back. After the clocks of a quorum ran ahead.
    ///
    /// Shows what would be drafted and every clock it is compared with; writes the draft with --yes.
    Repair(Draft),
    #[command(flatten)]
    Drafted(Drafted),
}

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// Log time after it. Check this machine's clock first.
    #[arg(long, default_value = "+0s", allow_hyphen_values = true)]
    to: When,
    /// Write the draft, after what is shown was read.
    #[arg(long)]
    yes: bool,
    /// Write it although it does not follow from the clocks that were read.
    #[arg(long)]
    force: bool,
}

/// A clock is right if it is this near to most others and to this machine's, as for the registry itself.
const TOLERANCE: DurationMs = DurationMs::from_secs(2);
/// Log time after a statement stands this near to the clocks.
const NEAR: DurationMs = DurationMs::from_secs(60);

pub(crate) async fn run(verb: Time, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Time::Advance(draft) => {
            drafted(draft, settings, |change| Statement::AdvanceTime { change }).await
        }
        Time::Repair(draft) => {
            drafted(draft, settings, |change| Statement::RepairTime { change }).await
        }
        Time::Drafted(verb) => TIME.run(verb, settings).await,
    }
}

const TIME: Of = Of {
    what: "a statement about time",
    says,
    ends: ends_nothing,
};

async fn drafted(
    draft: Draft,
    settings: &Settings,
    statement: impl Fn(TimeChange) -> Statement,
) -> Result<Outcome, Failed> {
    let asked = health::ask(&settings.admin()?, false).await;
    let here = wall_time();
    let to = draft.to.resolve();
    let change = change_from(&asked, to)?;
    let statement = statement(change);
    let backwards = matches!(statement, Statement::RepairTime { .. });
    if change.from == to || backwards != (to < change.from) {
        let from = change.from;
        let nothing = if backwards {
            "not ahead of it: there is nothing to set back"
        } else {
            "not behind it: there is nothing to move on"
        };
        return Err(Failed::usage(format!(
            "asked for is {to} (this machine reads {here}), and log time is {from}, {nothing}"
        )));
    }
    let readings: Vec<Reading> = asked.iter().map(Reading::of).collect();
    let mut doubts = doubts(&statement, change, &readings);
    let answered = asked.iter().filter_map(Asked::status);
    doubts.extend(told_apart(
        answered.map(|status| (status.node, status.time_statements)),
    ));
    let shown = preview(&statement, change, here, &readings, &doubts);
    if !doubts.is_empty() && !draft.force {
        say(table(&shown));
        return Err(Failed {
            next: "Set the clocks that are off, and ask all nodes (--admin-endpoints). --force drafts it all the same.".into(),
            ..Failed::usage(format!("nothing was drafted: {}", doubts.join("; ")))
        });
    }
    if !draft.yes {
        let next = json!({"drafted": false, "next": "compare the clocks above with a third one, then repeat it with --yes"});
        return Ok(merge(shown, next).into());
    }
    say(table(&shown));
    TIME.draft(&statement, &draft.file, settings)
}

/// What the next statement about time must say, by the node that has applied most.
fn change_from(asked: &[Asked], to: TimeMs) -> Result<TimeChange, Failed> {
    let answered = asked.iter().filter_map(|one| one.answer.as_ref().ok());
    let Some(status) = answered.max_by_key(|status| status.applied) else {
        let said: Vec<String> = asked.iter().map(Asked::in_short).collect();
        return Err(Failed::not_served(
            "UNREACHABLE",
            format!("no node answers: {}", said.join("; ")),
            "Check the admin endpoints and that the nodes run, then repeat.",
        ));
    };
    let cluster = <[u8; 16]>::try_from(&status.cluster[..])
        .map_err(|_| Failed::local("the node names no cluster"))?;
    Ok(TimeChange {
        cluster,
        number: status.time_statements + 1,
        from: TimeMs(status.log_time_ms),
        to,
    })
}

/// One node's clock.
struct Reading {
    node: String,
    at: Option<TimeMs>,
    /// Milliseconds ahead of this machine's clock; what the answer took on its way is in it.
    ahead_ms: i64,
    verdict: String,
}

impl Reading {
    fn of(asked: &Asked) -> Self {
        match &asked.answer {
            Ok(status) => {
                let at = TimeMs(status.clock_ms);
                Self {
                    node: status.node.to_string(),
                    at: Some(at),
                    ahead_ms: ahead_ms(at, asked.at),
                    verdict: status.clock_verdict.clone(),
                }
            }
            Err(error) => Self {
                node: asked.endpoint.clone(),
                at: None,
                ahead_ms: 0,
                verdict: error.clone(),
            },
        }
    }
}

fn ahead_ms(one: TimeMs, other: TimeMs) -> i64 {
    let (one, other) = (i128::from(one.as_ms()), i128::from(other.as_ms()));
    i64::try_from(one - other).unwrap_or(if one < other { i64::MIN } else { i64::MAX })
}

/// Why a statement does not follow from the clocks that were read; empty if it does.
fn doubts(statement: &Statement, change: TimeChange, readings: &[Reading]) -> Vec<String> {
    let mut doubts = Vec::new();
    for reading in readings {
        let node = &reading.node;
        match reading.at {
            None => doubts.push(format!("{node} was not read: {}", reading.verdict)),
            Some(_) if reading.verdict != "agreed" => {
                doubts.push(format!(
                    "node {node} says of its clock: {}",
                    reading.verdict
                ));
            }
            Some(_) if reading.ahead_ms.unsigned_abs() > TOLERANCE.as_ms() * 2 => {
                doubts.push(format!(
                    "node {node} reads {:+} ms beside this machine",
                    reading.ahead_ms
                ));
            }
            Some(_) => {}
        }
    }
    let mut read: Vec<TimeMs> = readings.iter().filter_map(|reading| reading.at).collect();
    read.sort_unstable();
    let Some(middle) = read.get(read.len() / 2).copied() else {
        return doubts;
    };
    if ahead_ms(change.to, middle).unsigned_abs() > NEAR.as_ms() {
        doubts.push(format!(
            "log time would be {}, and the nodes read {middle}",
            change.to
        ));
    }
    let back = matches!(statement, Statement::RepairTime { .. });
    if back && change.from <= middle.saturating_add(TOLERANCE) {
        doubts.push(format!(
            "log time is {}, which is not ahead of the {middle} that the nodes read: there is nothing to repair",
            change.from
        ));
    }
    doubts
}

/// Nodes that say another number of statements about time than the others: the next one is never drafted by the word of one.
fn told_apart(told: impl Iterator<Item = (u64, u64)>) -> Option<String> {
    let told: Vec<(u64, u64)> = told.collect();
    let (_, first) = *told.first()?;
    if told.iter().all(|(_, count)| *count == first) {
        return None;
    }
    let said: Vec<String> = told
        .iter()
        .map(|(node, count)| format!("node {node} {count}"))
        .collect();
    Some(format!(
        "the nodes do not say the same number of statements about time: {}",
        said.join(", ")
    ))
}

fn preview(
    statement: &Statement,
    change: TimeChange,
    here: TimeMs,
    readings: &[Reading],
    doubts: &[String],
) -> Value {
    let moved = ahead_ms(change.to, change.from) / 1_000;
    let effect = if moved < 0 {
        format!(
            "log time falls back by {} s; what ended while it was ahead stays ended",
            -moved
        )
    } else {
        format!("log time goes on by {moved} s; deadlines in between are passed")
    };
    let clocks = readings.iter().map(|reading| {
        json!({
            "node": reading.node,
            "reads": reading.at.map(view::time),
            "beside_this_machine_ms": reading.at.map(|_| reading.ahead_ms.to_string()),
            "clock": reading.verdict,
        })
    });
    json!({
        "statement": crate::parse::hyphened(statement.name()),
        "number": change.number.to_string(),
        "from": view::time(change.from),
        "to": view::time(change.to),
        "effect": effect,
        "this_machine_reads": view::time(here),
        "clocks": clocks.collect::<Vec<_>>(),
        "doubts": doubts,
    })
}

fn says(statement: &Statement) -> Option<Value> {
    let (Statement::AdvanceTime { change } | Statement::RepairTime { change }) = statement else {
        return None;
    };
    Some(json!({
        "cluster": hex::encode(change.cluster),
        "number": change.number.to_string(),
        "from": view::time(change.from),
        "to": view::time(change.to),
        "statement": crate::parse::hyphened(statement.name()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_client::admin::GetStatusResponse;

    const NOON: u64 = 1_780_000_000_000;

    /// Once, the node that said to have applied most said which statement the roots sign next.
    #[test]
    fn a_node_that_counts_statements_otherwise_is_a_doubt() {
        let told = |counts: &[u64]| told_apart((1..).zip(counts.iter().copied()));
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[2]), None);
        assert_eq!(told(&[2, 2, 2]), None);
        let doubt = told(&[2, 900, 2]).expect("one of them lies, or lags");
        assert!(doubt.contains("node 2 900"), "{doubt}");
    }

    fn asked(clocks_ms: &[(i64, &str)]) -> Vec<Reading> {
        let numbered = (1..).zip(clocks_ms);
        let asked = numbered.map(|(node, (ahead_ms, verdict))| Asked {
            endpoint: format!("node-{node}:7103"),
            at: TimeMs(NOON),
            answer: Ok(GetStatusResponse {
                node,
                clock_ms: NOON.saturating_add_signed(*ahead_ms),
                clock_verdict: (*verdict).to_owned(),
                ..GetStatusResponse::default()
            }),
        });
        asked.map(|one| Reading::of(&one)).collect()
    }

    fn check(back: bool, from_ms: i64, to_ms: i64, clocks: &[(i64, &str)], expected: &[&str]) {
        let change = TimeChange {
            cluster: [7; 16],
            number: 1,
            from: TimeMs(NOON.saturating_add_signed(from_ms)),
            to: TimeMs(NOON.saturating_add_signed(to_ms)),
        };
        let statement = if back {
            Statement::RepairTime { change }
        } else {
            Statement::AdvanceTime { change }
        };
        let found = doubts(&statement, change, &asked(clocks));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, words) in found.iter().zip(expected) {
            assert!(found.contains(words), "{found}");
        }
    }

    const RIGHT: [(i64, &str); 3] = [(0, "agreed"), (40, "agreed"), (-900, "agreed")];
    const HOUR: i64 = 3_600_000;

    /// Once, it asked nothing and would have set right log time back.
    #[test]
    fn log_time_that_is_not_ahead_is_not_repaired() {
        check(true, HOUR, 0, &RIGHT, &[]);
        check(true, 900, 0, &RIGHT, &["nothing to repair"]);
        check(
            true,
            -HOUR,
            -2 * HOUR,
            &RIGHT,
            &["the nodes read", "nothing to repair"],
        );
    }

    #[test]
    fn a_draft_needs_clocks_that_agree_with_each_other_and_with_it() {
        check(false, -2 * HOUR, 0, &RIGHT, &[]);
        check(false, -2 * HOUR, HOUR, &RIGHT, &["the nodes read"]);
        let one_off = [(0, "agreed"), (9_000, "off"), (10, "agreed")];
        check(true, HOUR, 0, &one_off, &["node 2 says of its clock: off"]);
        // All the same, and not what this machine reads.
        let all_off = [(HOUR, "agreed"), (HOUR, "agreed"), (HOUR, "agreed")];
        let doubts = ["beside this machine"; 3];
        check(false, -HOUR, HOUR, &all_off, &doubts);
    }

    #[test]
    fn a_node_that_was_not_read_is_a_doubt() {
        let silent = Asked {
            endpoint: "node-3:7103".into(),
            at: TimeMs(NOON),
            answer: Err("no connection".into()),
        };
        let change = TimeChange {
            cluster: [7; 16],
            number: 1,
            from: TimeMs(NOON + 3_600_000),
            to: TimeMs(NOON),
        };
        let mut readings = asked(&RIGHT[..2]);
        readings.push(Reading::of(&silent));
        let found = doubts(&Statement::RepairTime { change }, change, &readings);
        assert_eq!(found, ["node-3:7103 was not read: no connection"]);
    }
}
