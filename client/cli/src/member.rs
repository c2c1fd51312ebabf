//! Members of the cluster, one task a command: each says what it does, does it through, and may be given again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use carnet_client::admin::{Admin, Fewest, GetStatusResponse, Member, VotersWanted};
use carnet_wire::limits::VOTERS_MIN;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Outcome;
use crate::cluster::health;
use crate::cluster::leaving::{self, Changed};
use crate::cluster::voters::no_leader;
use crate::exit::Failed;
use crate::output::say;
use crate::parse;
use crate::settings::Settings;
use crate::submit::{Sure, Write};

/// Between two looks at how far a node has come.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A node that lacks no more than this is given the vote: it has the rest before the change is through.
const NEARLY: u64 = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Members {
    /// Shows the members: who votes, who leads, how far each has come.
    ///
    ///   carnet --context cn --as admin-hq-anna member list
    List,
    /// Adds a node that runs on a directory made by `carnetd init --join`; with --vote it votes once it holds what is committed.
    ///
    ///   carnet member add 4=10.0.0.4:7101,10.0.0.4:7102 --vote
    Add {
        /// The node as ID=RAFT_HOST:PORT,CLIENT_HOST:PORT.
        #[arg(value_parser = parse::member)]
        node: Member,
        /// Give it the vote as soon as it has caught up.
        #[arg(long)]
        vote: bool,
        #[command(flatten)]
        patience: Patience,
    },
    /// Gives a learner the vote, as soon as it has caught up.
    ///
    ///   carnet member promote 4
    Promote {
        /// The id of the node, as `member list` shows it.
        node: u64,
        #[command(flatten)]
        patience: Patience,
    },
    /// Puts a new node in the place of one whose disk or machine is gone: added, caught up, given the vote, and the old one retired
    /// for good, in one change.
    ///
    /// The new node has an id that was never used, certificates of its own, and runs on a directory made by `carnetd init --join`.
    /// In earnest another admin agrees first: the command says by which number (`carnet proposal approve`), and is given again.
    ///
    ///   carnet member replace 3 --by 4=10.0.0.4:7101,10.0.0.4:7102
    Replace {
        /// The node that leaves for good.
        old: u64,
        /// The node that comes, as ID=RAFT_HOST:PORT,CLIENT_HOST:PORT.
        #[arg(long, value_parser = parse::member)]
        by: Member,
        #[command(flatten)]
        patience: Patience,
        #[command(flatten)]
        sure: Sure,
    },
    /// Lets a member leave for good: its id is never used again. In earnest another admin agrees first, as with `replace`.
    ///
    /// Below three voters it wants --yes, not a typed number alone: one failure then stops all writes.
    ///
    ///   carnet member remove 5
    Remove {
        /// The id of the node, as `member list` shows it.
        node: u64,
        #[command(flatten)]
        sure: Sure,
    },
}

/// How long a node is waited for.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Patience {
    /// Seconds until the node must have caught up. What was done until then stands, and the command may be given again.
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    wait: u64,
}

pub(crate) async fn run(verb: Members, settings: &Settings) -> Result<Outcome, Failed> {
    let admin = settings.admin()?;
    match verb {
        Members::List => Ok(listed(&leader(&admin).await?).into()),
        Members::Add {
            node,
            vote,
            patience,
        } => {
            let id = node.node;
            add(&admin, node).await?;
            match vote {
                true => promoted((settings, &admin), id, None, patience).await,
                false => Ok(json!({"node": id.to_string(), "is": "learner"}).into()),
            }
        }
        Members::Promote { node, patience } => {
            promoted((settings, &admin), node, None, patience).await
        }
        Members::Replace {
            old,
            by,
            patience,
            sure,
        } => {
            let new = by.node;
            if old == new {
                return Err(Failed::usage(format!(
                    "node {new} cannot take its own place: a new disk is a new node, under an id that was never used"
                )));
            }
            let status = leader(&admin).await?;
            let knows = |node| status.members.iter().any(|one| one.node == node);
            // Given again when it is done: there is nothing of the old one left.
            if !knows(old) && !status.voters.contains(&new) {
                return Err(nothing_to_replace(old, &by));
            }
            if knows(old) {
                sure.confirm(RETIRE, &old.to_string(), Write::default())?;
            }
            add(&admin, by).await?;
            promoted((settings, &admin), new, Some(old), patience).await
        }
        Members::Remove { node, sure } => removed((settings, &admin), node, sure).await,
    }
}

/// What cannot be undone.
const RETIRE: &str =
    "To retire a node: its id is never used again, and its directory never opened, which";

/// There is no place to take: what was wanted of the new node is another command.
fn nothing_to_replace(old: u64, by: &Member) -> Failed {
    let Member {
        node,
        raft_address,
        client_address,
    } = by;
    Failed {
        next: format!(
            "Nothing was changed. If node {old} has left already, add the new one with the vote: carnet member add \
             {node}={raft_address},{client_address} --vote. carnet member list shows who is there."
        ),
        ..Failed::usage(format!(
            "node {old} is not a member: it has left, or never was one"
        ))
    }
}

async fn leader(admin: &Admin) -> Result<GetStatusResponse, Failed> {
    let asked = health::ask(admin, false).await;
    health::leader(&asked)
        .cloned()
        .ok_or_else(|| no_leader(&asked))
}

fn listed(status: &GetStatusResponse) -> Value {
    let rows = status.members.iter().map(|member| {
        let progress = status.progress.iter().find(|one| one.node == member.node);
        let is = match (status.voters.contains(&member.node), status.leader) {
            (true, leader) if leader == member.node => "leader",
            (true, _) => "voter",
            (false, _) => "learner",
        };
        let lag = match progress {
            _ if member.node == status.node => Some("0".to_owned()),
            Some(progress) if progress.heard => Some(progress.lag.to_string()),
            _ => None,
        };
        json!({
            "node": member.node.to_string(),
            "is": is,
            "raft": member.raft_address,
            "client": member.client_address,
            "lag": lag,
            "silent_ms": progress.and_then(|one| one.silence_ms).map(|ms| ms.to_string()),
        })
    });
    Value::Array(rows.collect())
}

/// Adds a node, unless it is a member at these addresses already; at others it is for the registry to refuse.
async fn add(admin: &Admin, node: Member) -> Result<(), Failed> {
    let status = leader(admin).await?;
    if status.members.contains(&node) {
        say(format!("node {} is a member already", node.node));
        return Ok(());
    }
    say(format!("adding node {}", node.node));
    admin.add_learner(node).await?;
    Ok(())
}

/// Waits until a member has caught up and gives it the vote; with `instead_of` that node leaves for good in the same change.
async fn promoted(
    at: (&Settings, &Admin),
    node: u64,
    instead_of: Option<u64>,
    patience: Patience,
) -> Result<Outcome, Failed> {
    let status = caught_up(at.1, node, Duration::from_secs(patience.wait)).await?;
    let mut voters: BTreeSet<u64> = status.voters.iter().copied().collect();
    voters.insert(node);
    let members: BTreeSet<u64> = status.members.iter().map(|one| one.node).collect();
    let gone = instead_of.filter(|old| members.contains(old));
    if let Some(old) = instead_of {
        voters.remove(&old);
    }
    let mut changed = changed(at, &status, voters, gone, Fewest::Any).await?;
    if changed.value.get("state").is_some() {
        return Ok(changed);
    }
    // Who is asked by nobody may lead tomorrow.
    changed.value["next"] = format!(
        "Put the endpoints of node {node} into your contexts, and those of a node that left out of them: carnet --admin-endpoints … context \
         change NAME."
    )
    .into();
    Ok(changed)
}

async fn removed(at: (&Settings, &Admin), node: u64, sure: Sure) -> Result<Outcome, Failed> {
    let status = leader(at.1).await?;
    let mut voters: BTreeSet<u64> = status.voters.iter().copied().collect();
    let votes = voters.remove(&node);
    if !status.members.iter().any(|one| one.node == node) {
        return Ok(done("nothing to change: it is not a member", &voters, None, None).into());
    }
    if votes && voters.len() < VOTERS_MIN && !sure.is_said() {
        let text = format!(
            "nothing was changed: {} voters would be left, and when one of them fails nothing is written any more",
            voters.len()
        );
        return Err(Failed {
            next: format!("If that is meant: carnet member remove {node} --yes"),
            ..Failed::usage(text)
        });
    }
    sure.confirm(RETIRE, &node.to_string(), Write::default())?;
    let fewest = if sure.is_said() {
        Fewest::Any
    } else {
        Fewest::Three
    };
    changed(at, &status, voters, Some(node), fewest).await
}

async fn changed(
    (settings, admin): (&Settings, &Admin),
    status: &GetStatusResponse,
    voters: BTreeSet<u64>,
    gone: Option<u64>,
    fewest: Fewest,
) -> Result<Outcome, Failed> {
    let before: BTreeSet<u64> = status.voters.iter().copied().collect();
    if before == voters && gone.is_none() && !status.joint {
        return Ok(done("nothing to change", &voters, None, None).into());
    }
    let wanted = VotersWanted {
        voters: voters.iter().copied().collect(),
        retire: gone.into_iter().collect(),
        fewest,
    };
    let reason = match gone {
        Some(node) => format!("node {node} is to leave"),
        None => "the voters change".to_owned(),
    };
    match leaving::change(settings, admin, wanted, reason).await? {
        Changed::At(index) => Ok(done("changed", &voters, gone, Some(index)).into()),
        Changed::Waits(waits) => Ok(waits.into()),
    }
}

fn done(done: &str, voters: &BTreeSet<u64>, gone: Option<u64>, index: Option<u64>) -> Value {
    let voters: Vec<String> = voters.iter().map(ToString::to_string).collect();
    json!({
        "done": done,
        "voters": voters,
        "retired": gone.map(|node| node.to_string()),
        "log_index": index.map(|index| index.to_string()),
    })
}

/// The leader's status once it says that a member lacks next to nothing.
async fn caught_up(
    admin: &Admin,
    node: u64,
    patience: Duration,
) -> Result<GetStatusResponse, Failed> {
    let begun = Instant::now();
    let mut said = String::new();
    loop {
        let status = leader(admin).await?;
        let text = match lacks(&status, node)? {
            Lacks::Little => return Ok(status),
            Lacks::Entries(lag) => format!("node {node} lacks {lag} log entries"),
            Lacks::Everything => format!("node {node} has acknowledged nothing yet"),
        };
        if patience < begun.elapsed() {
            return Err(Failed::not_served(
                "NODE_BEHIND",
                format!("{text}; it was not given the vote"),
                "See that the node runs and reaches the leader (its log), then give the same command again: what is done stays done.",
            ));
        }
        if said != text {
            say(&text);
            said = text;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How much a member lacks.
#[derive(Debug, PartialEq, Eq)]
enum Lacks {
    Little,
    Entries(u64),
    Everything,
}

fn lacks(status: &GetStatusResponse, node: u64) -> Result<Lacks, Failed> {
    if node == status.node || status.voters.contains(&node) {
        return Ok(Lacks::Little);
    }
    if !status.members.iter().any(|one| one.node == node) {
        let text = format!("node {node} is not a member: add it first (carnet member add)");
        return Err(Failed::usage(text));
    }
    let progress = status.progress.iter().find(|one| one.node == node);
    Ok(match progress.filter(|one| one.heard) {
        Some(progress) if progress.lag <= NEARLY => Lacks::Little,
        Some(progress) => Lacks::Entries(progress.lag),
        None => Lacks::Everything,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_client::admin::MemberProgress;

    fn status(lag: Option<u64>) -> GetStatusResponse {
        let member = |node| Member {
            node,
            ..Member::default()
        };
        GetStatusResponse {
            node: 1,
            leader: 1,
            voters: vec![1, 2, 3],
            members: [1, 2, 3, 4].map(member).to_vec(),
            progress: vec![MemberProgress {
                node: 4,
                heard: lag.is_some(),
                acknowledged: 0,
                lag: lag.unwrap_or(0),
                silence_ms: None,
            }],
            ..GetStatusResponse::default()
        }
    }

    #[test]
    fn a_node_votes_when_it_lacks_next_to_nothing_and_not_before_it_said_so() {
        let said = |lag, node| lacks(&status(lag), node).expect("a member");
        assert_eq!(said(Some(0), 4), Lacks::Little);
        assert_eq!(said(Some(NEARLY), 4), Lacks::Little);
        assert_eq!(said(Some(NEARLY + 1), 4), Lacks::Entries(NEARLY + 1));
        // The leader counts no lag of whom it has not heard: an empty log would look like a whole one.
        assert_eq!(said(None, 4), Lacks::Everything);
        assert_eq!(said(None, 2), Lacks::Little, "it votes already");
        assert!(lacks(&status(None), 9).is_err());
    }

    #[test]
    fn whoever_replaces_what_has_left_is_told_what_to_do_instead() {
        let by = crate::parse::member("4=10.0.0.4:7101,10.0.0.4:7102").expect("a member");
        let next = nothing_to_replace(3, &by).next;
        let command = "carnet member add 4=10.0.0.4:7101,10.0.0.4:7102 --vote";
        assert!(next.contains(command), "{next}");
    }

    #[test]
    fn members_are_shown_by_what_they_are() {
        let rows = listed(&status(Some(7)));
        let is = |at: usize| (rows[at]["is"].clone(), rows[at]["lag"].clone());
        assert_eq!(is(0), (json!("leader"), json!("0")));
        assert_eq!(is(1), (json!("voter"), json!(null)));
        assert_eq!(is(3), (json!("learner"), json!("7")));
    }
}
