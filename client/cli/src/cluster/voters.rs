//! A change of the voters: what it would do is shown before it is done, and whoever leaves for good is named.

use std::collections::BTreeSet;

use carnet_client::admin::{Fewest, GetStatusResponse, VotersWanted};
use carnet_wire::limits::VOTERS_MIN;
use clap::Args;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cluster::health::{self, Asked};
use crate::cluster::leaving::{self, Changed};
use crate::exit::Failed;
use crate::output::{say, table};
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(crate) struct Voters {
    /// Who votes afterwards: every node, those that vote already too.
    #[arg(required = true, value_delimiter = ',')]
    nodes: Vec<u64>,
    /// A node that leaves the cluster for good, its id never to be used again. Each must be named; a learner may be.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    retire: Vec<u64>,
    /// Fewer than three voters are meant: one failure then stops all writes.
    #[arg(long)]
    fewer_than_three: bool,
    /// Only show what would change.
    #[arg(long)]
    preview: bool,
    /// Why a node leaves, for the other admin who has to agree.
    #[arg(long, default_value = "the voters change")]
    reason: String,
}

pub(crate) async fn run(verb: Voters, settings: &Settings) -> Result<Outcome, Failed> {
    let admin = settings.admin()?;
    let asked = health::ask(&admin, false).await;
    let leader = health::leader(&asked).ok_or_else(|| no_leader(&asked))?;
    let plan = Plan::of(leader, &verb)?;
    if verb.preview {
        return Ok(plan.shown().into());
    }
    say(table(&plan.shown()));
    if plan.changes_nothing() {
        return Ok(plan.outcome("nothing to change", None).into());
    }
    plan.judge(&verb)?;
    let fewest = if verb.fewer_than_three {
        Fewest::Any
    } else {
        Fewest::Three
    };
    let wanted = VotersWanted {
        voters: plan.voters.iter().copied().collect(),
        retire: verb.retire.clone(),
        fewest,
    };
    match leaving::change(settings, &admin, wanted, verb.reason).await? {
        Changed::At(index) => Ok(plan.outcome("changed", Some(index)).into()),
        Changed::Waits(waits) => Ok(waits.into()),
    }
}

pub(crate) fn no_leader(asked: &[Asked]) -> Failed {
    let said: Vec<String> = asked.iter().map(Asked::in_short).collect();
    let unasked = health::not_asked(asked);
    let unasked = match unasked.is_empty() {
        true => String::new(),
        false => format!("; no endpoint given answered for node {}", listed(&unasked)),
    };
    Failed::not_served(
        "NO_LEADER",
        format!("no node asked leads: {}{unasked}", said.join("; ")),
        "Give the admin endpoints of all nodes; if none leads, see that a majority of them runs (carnet cluster status).",
    )
}

/// Refuses to hand leadership to whom it cannot be handed, before anybody is asked to.
///
/// # Errors
/// No node asked leads, or the node is no voter.
pub(crate) fn judge_heir(asked: &[Asked], to: u64) -> Result<(), Failed> {
    let leader = health::leader(asked).ok_or_else(|| no_leader(asked))?;
    if leader.voters.contains(&to) {
        return Ok(());
    }
    let voters: Vec<String> = leader.voters.iter().map(ToString::to_string).collect();
    let text = format!(
        "node {to} is not a voter; voters are {}. Leadership stays with node {}",
        voters.join(", "),
        leader.node
    );
    Err(Failed {
        next: "Nothing was asked for: name a voter (carnet member list).".into(),
        ..Failed::usage(text)
    })
}

/// What a change does.
struct Plan {
    before: BTreeSet<u64>,
    voters: BTreeSet<u64>,
    stay: BTreeSet<u64>,
    join: BTreeSet<u64>,
    /// For good.
    leave: BTreeSet<u64>,
    unnamed: BTreeSet<u64>,
    unfinished: bool,
    warnings: Vec<String>,
}

impl Plan {
    fn of(leader: &GetStatusResponse, verb: &Voters) -> Result<Self, Failed> {
        let voters: BTreeSet<u64> = verb.nodes.iter().copied().collect();
        let retire: BTreeSet<u64> = verb.retire.iter().copied().collect();
        let before: BTreeSet<u64> = leader.voters.iter().copied().collect();
        let members: BTreeSet<u64> = leader.members.iter().map(|member| member.node).collect();
        if let Some(both) = voters.intersection(&retire).next() {
            let text = format!("node {both} stands among the voters and under --retire");
            return Err(Failed::usage(text));
        }
        let leaving: BTreeSet<u64> = before.difference(&voters).copied().collect();
        let learners = retire
            .intersection(&members)
            .filter(|node| !before.contains(node));
        let leave: BTreeSet<u64> = leaving.iter().chain(learners).copied().collect();
        let changes = before != voters || leader.joint || !leave.is_empty();
        // A change that is made already is asked for in the same words, with a node that left meanwhile.
        if let Some(stranger) = retire.difference(&members).next().filter(|_| changes) {
            let text = format!("--retire {stranger}: no node of this id is in the cluster");
            return Err(Failed::usage(text));
        }
        let mut plan = Self {
            stay: before.intersection(&voters).copied().collect(),
            join: voters.difference(&before).copied().collect(),
            unnamed: leaving.difference(&retire).copied().collect(),
            leave,
            unfinished: leader.joint,
            warnings: Vec::new(),
            before,
            voters,
        };
        plan.warnings = plan.warned(leader, &members);
        Ok(plan)
    }

    fn warned(&self, leader: &GetStatusResponse, members: &BTreeSet<u64>) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: String| warnings.push(text);
        if self.voters.len() < VOTERS_MIN && !self.changes_nothing() {
            warn(format!(
                "{} voters: when one of them fails, nothing is written any more",
                self.voters.len()
            ));
        } else if self.voters.len().is_multiple_of(2) {
            warn(format!(
                "{} voters: no more of them may fail than of {}",
                self.voters.len(),
                self.voters.len().saturating_sub(1)
            ));
        }
        for node in &self.join {
            let progress = leader.progress.iter().find(|one| one.node == *node);
            match progress {
                _ if !members.contains(node) => warn(format!(
                    "node {node} is not a member: it is added first (carnet cluster add-learner)"
                )),
                Some(progress) if progress.heard && progress.lag == 0 => {}
                Some(progress) if progress.heard => {
                    warn(format!("node {node} lacks {} log entries", progress.lag));
                }
                _ => warn(format!(
                    "node {node} has acknowledged nothing in term {}: it may hold nothing",
                    leader.term
                )),
            }
        }
        if self.leave.contains(&leader.node) {
            warn(format!(
                "node {} leads, and leaves: another is elected",
                leader.node
            ));
        }
        warnings
    }

    fn changes_nothing(&self) -> bool {
        self.before == self.voters && self.leave.is_empty() && !self.unfinished
    }

    /// What is asked for must be meant.
    fn judge(&self, verb: &Voters) -> Result<(), Failed> {
        let mut lacking: Vec<String> = Vec::new();
        for node in &self.unnamed {
            lacking.push(format!("--retire {node}"));
        }
        if self.voters.len() < VOTERS_MIN && self.before != self.voters && !verb.fewer_than_three {
            lacking.push("--fewer-than-three".to_owned());
        }
        if lacking.is_empty() {
            return Ok(());
        }
        let leaving = match listed(&self.unnamed) {
            nodes if nodes.is_empty() => "fewer than three voters would be left".to_owned(),
            nodes => format!("node {nodes} would leave for good, its id never to be used again"),
        };
        let nodes: Vec<String> = self.voters.iter().map(ToString::to_string).collect();
        let mut given: Vec<String> = verb
            .retire
            .iter()
            .map(|n| format!("--retire {n}"))
            .collect();
        if verb.fewer_than_three {
            given.push("--fewer-than-three".to_owned());
        }
        given.extend(lacking);
        Err(Failed {
            next: format!(
                "If that is meant: carnet cluster voters {} {}",
                nodes.join(" "),
                given.join(" ")
            ),
            ..Failed::usage(format!("nothing was changed: {leaving}"))
        })
    }

    fn shown(&self) -> Value {
        json!({
            "stay": rows(&self.stay),
            "join": rows(&self.join),
            "leave_for_good": rows(&self.leave),
            "quorum_before": quorum(self.before.len()),
            "quorum_after": quorum(self.voters.len()),
            "unfinished_change": self.unfinished,
            "warnings": self.warnings,
        })
    }

    fn outcome(&self, done: &str, index: Option<u64>) -> Value {
        json!({
            "done": done,
            "voters": rows(&self.voters),
            "retired": rows(&self.leave),
            "log_index": index.map(|index| index.to_string()),
        })
    }
}

fn rows(nodes: &BTreeSet<u64>) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

fn listed(nodes: &BTreeSet<u64>) -> String {
    rows(nodes).join(" and node ")
}

/// How many of how many must be up for a write, and how many may fail.
fn quorum(voters: usize) -> String {
    let needed = voters / 2 + 1;
    let spare = voters.saturating_sub(needed);
    format!("{needed} of {voters}; {spare} may fail")
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_client::admin::{Member, MemberProgress};

    fn leader(voters: &[u64], learners: &[u64]) -> GetStatusResponse {
        let nodes = voters.iter().chain(learners);
        GetStatusResponse {
            node: 1,
            role: "leader".into(),
            term: 5,
            voters: voters.to_vec(),
            members: nodes
                .clone()
                .map(|node| Member {
                    node: *node,
                    ..Member::default()
                })
                .collect(),
            progress: nodes
                .filter(|node| **node != 1)
                .map(|node| MemberProgress {
                    node: *node,
                    heard: true,
                    acknowledged: 90,
                    lag: 0,
                    silence_ms: None,
                })
                .collect(),
            ..GetStatusResponse::default()
        }
    }

    fn verb(nodes: &[u64], retire: &[u64]) -> Voters {
        Voters {
            nodes: nodes.to_vec(),
            retire: retire.to_vec(),
            fewer_than_three: false,
            preview: false,
            reason: "the voters change".into(),
        }
    }

    fn plan(nodes: &[u64], retire: &[u64]) -> Result<Plan, Failed> {
        Plan::of(&leader(&[1, 2, 3], &[4]), &verb(nodes, retire))
    }

    fn refused(nodes: &[u64], retire: &[u64]) -> String {
        let outcome = plan(nodes, retire).and_then(|plan| plan.judge(&verb(nodes, retire)));
        let failed = outcome.expect_err("refused");
        format!("{} | {}", failed.text, failed.next)
    }

    #[test]
    fn a_replacement_is_shown_with_who_leaves_for_good() {
        let shown = table(&plan(&[2, 3, 4], &[1]).expect("a plan").shown());
        let expected = "\
stay               2, 3
join               4
leave_for_good     1
quorum_before      2 of 3; 1 may fail
quorum_after       2 of 3; 1 may fail
unfinished_change  no
warnings           node 1 leads, and leaves: another is elected";
        assert_eq!(shown, expected);
    }

    #[test]
    fn whoever_leaves_must_be_named() {
        assert_eq!(
            refused(&[2, 3, 4], &[]),
            "nothing was changed: node 1 would leave for good, its id never to be used again | If that is meant: carnet \
             cluster voters 2 3 4 --retire 1"
        );
        assert_eq!(
            refused(&[1, 4], &[3]),
            "nothing was changed: node 2 would leave for good, its id never to be used again | If that is meant: carnet \
             cluster voters 1 4 --retire 3 --retire 2 --fewer-than-three"
        );
        assert!(refused(&[1, 2, 3], &[3]).contains("under --retire"));
        assert!(refused(&[1, 2, 3, 4], &[9]).contains("no node of this id"));
        let meant = plan(&[2, 3, 4], &[1]).expect("a plan");
        assert!(meant.judge(&verb(&[2, 3, 4], &[1])).is_ok());
    }

    #[test]
    fn what_is_so_already_is_not_asked_for() {
        let again = Plan::of(&leader(&[2, 3, 4], &[]), &verb(&[2, 3, 4], &[1]));
        assert!(again.expect("a plan").changes_nothing());
        let mut under_way = leader(&[1, 2, 3, 4], &[]);
        under_way.joint = true;
        let again = Plan::of(&under_way, &verb(&[2, 3, 4], &[1]));
        assert!(!again.expect("a plan").changes_nothing());
    }

    #[test]
    fn a_node_that_holds_nothing_is_warned_of() {
        let mut empty = leader(&[1, 2, 3], &[4]);
        empty.progress[2].heard = false;
        let plan = Plan::of(&empty, &verb(&[1, 2, 3, 4, 5], &[])).expect("a plan");
        assert_eq!(
            plan.warnings,
            [
                "node 4 has acknowledged nothing in term 5: it may hold nothing",
                "node 5 is not a member: it is added first (carnet cluster add-learner)"
            ]
        );
    }

    /// Once, a hand-over to a node that never was took half a minute, and its outcome was "unknown".
    #[test]
    fn whom_leadership_cannot_be_handed_is_said_before_anybody_is_asked() {
        let asked = |status: GetStatusResponse| {
            vec![Asked {
                endpoint: "n1:7103".into(),
                at: carnet_domain::bytes::time::TimeMs(0),
                answer: Ok(status),
            }]
        };
        let led = asked(leader(&[1, 2, 3], &[4]));
        assert!(judge_heir(&led, 2).is_ok());
        for no_voter in [4, 9] {
            let failed = judge_heir(&led, no_voter).expect_err("no voter");
            assert!(
                failed.text.contains("voters are 1, 2, 3"),
                "{}",
                failed.text
            );
            assert_eq!(failed.effect, carnet_client::Effect::None);
        }
        let mut followed = leader(&[1, 2, 3], &[]);
        followed.role = "follower".into();
        followed.leader = 2;
        let failed = judge_heir(&asked(followed), 2).expect_err("nobody leads");
        assert!(failed.text.contains("node 2 and node 3"), "{}", failed.text);
    }
}
