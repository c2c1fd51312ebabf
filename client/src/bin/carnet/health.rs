//! The state of a cluster as its nodes tell it, and whether it takes writes.

use carnet_client::admin::{Admin, GetStatusResponse};
use carnet_client::wall_time;
use carnet_domain::time::TimeMs;
use serde_json::{Value, json};

use crate::exit::{self, Failed, chain};
use crate::{Outcome, view};

/// A node that lacks more log entries than this is worth a look.
const LAG_MAX: u64 = 10_000;

/// The one finding that degrades a cluster and leaves its writes alone: they wait for a proof that does not come.
const NOT_PUBLISHED: &str = "NOT_PUBLISHED";

/// What one endpoint answered.
pub(crate) struct Asked {
    pub(crate) endpoint: String,
    /// This machine's clock when the answer came.
    pub(crate) at: TimeMs,
    pub(crate) answer: Result<GetStatusResponse, String>,
}

impl Asked {
    fn status(&self) -> Option<&GetStatusResponse> {
        self.answer.as_ref().ok()
    }

    /// One line of it.
    pub(crate) fn in_short(&self) -> String {
        match &self.answer {
            Ok(status) if status.leader == 0 => format!("node {} knows no leader", status.node),
            Ok(status) => format!("node {} follows node {}", status.node, status.leader),
            Err(error) => format!("{}: {error}", self.endpoint),
        }
    }
}

/// Asks every endpoint for the state of its node.
pub(crate) async fn ask(admin: &Admin, with_digest: bool) -> Vec<Asked> {
    let mut asked = Vec::new();
    for endpoint in admin.endpoints() {
        let answer = admin.status(endpoint, with_digest).await;
        asked.push(Asked {
            endpoint: endpoint.clone(),
            at: wall_time(),
            answer: answer.map_err(|error| chain(&error)),
        });
    }
    asked
}

/// The node that leads: of several that believe it, the one of the newest term.
pub(crate) fn leader(asked: &[Asked]) -> Option<&GetStatusResponse> {
    let answered = asked.iter().filter_map(Asked::status);
    answered
        .filter(|status| status.role == "leader")
        .max_by_key(|status| status.term)
}

/// Something about the cluster that an operator should know.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Stable word.
    code: &'static str,
    text: String,
}

/// Whether a cluster takes writes and publishes them.
#[derive(Debug, PartialEq, Eq)]
struct Health {
    /// Why it does not; empty if it does.
    degraded: Vec<Finding>,
    /// What stops neither.
    warnings: Vec<Finding>,
}

impl Health {
    fn of(asked: &[Asked]) -> Self {
        let mut health = Self {
            degraded: Vec::new(),
            warnings: Vec::new(),
        };
        let leader = leader(asked);
        match leader {
            Some(leader) => health.of_leader(leader),
            None => health.without_leader(asked),
        }
        let silent: Vec<&Asked> = asked.iter().filter(|one| one.answer.is_err()).collect();
        for one in &silent {
            health.warn("NODE_SILENT", format!("{} does not answer", one.endpoint));
        }
        if asked.len() <= silent.len() * 2 {
            let text = format!(
                "{} of {} endpoints do not answer",
                silent.len(),
                asked.len()
            );
            health.degrade("NO_QUORUM", text);
        }
        for status in asked.iter().filter_map(Asked::status) {
            let leads = leader.is_some_and(|leader| leader.node == status.node);
            health.of_node(status, leads);
        }
        health
    }

    fn degrade(&mut self, code: &'static str, text: String) {
        self.degraded.push(Finding { code, text });
    }

    fn warn(&mut self, code: &'static str, text: String) {
        self.warnings.push(Finding { code, text });
    }

    fn without_leader(&mut self, asked: &[Asked]) {
        let answered = || asked.iter().filter_map(Asked::status);
        let by_term = answered().max_by_key(|status| (status.term, status.leader));
        let Some(newest) = by_term else {
            return;
        };
        let node = newest.leader;
        if newest.voters.is_empty() {
            let text = "no cluster is founded here, or the node was not taken in yet".to_owned();
            self.degrade("NO_CLUSTER", text);
        } else if node == 0 {
            self.degrade("NO_LEADER", "no node leads".to_owned());
        } else if asked.iter().any(|one| one.answer.is_err()) {
            let text = format!("node {node}, which leads by the others' word, does not answer");
            self.degrade("NO_LEADER", text);
        } else {
            let text = format!(
                "node {node} leads and was not asked: whether it takes writes is not known"
            );
            self.warn("LEADER_NOT_ASKED", text);
        }
    }

    fn of_leader(&mut self, leader: &GetStatusResponse) {
        let node = leader.node;
        if leader.quorum_lost {
            let text = format!("node {node} leads and hears no quorum of the voters");
            self.degrade("NO_QUORUM", text);
        }
        if !leader.writes_refused.is_empty() {
            self.degrade("TIME_STANDS_STILL", leader.writes_refused.clone());
        }
        if !leader.refuses.is_empty() {
            self.degrade("NO_ROOM", leader.refuses.clone());
        }
        if !leader.unpublished.is_empty() {
            let text = format!("node {node} leads: {}", leader.unpublished);
            self.degrade(NOT_PUBLISHED, text);
        }
        for warning in &leader.warnings {
            self.warn("DISK_LOW", warning.clone());
        }
        if leader.joint {
            let text = "a change of the voters is not finished: repeat it (carnet cluster voters)"
                .to_owned();
            self.warn("CHANGE_UNFINISHED", text);
        }
        for member in &leader.progress {
            let (node, term) = (member.node, leader.term);
            if !member.heard {
                let text = format!("node {node} has acknowledged nothing in term {term}");
                self.warn("NODE_BEHIND", text);
            } else if member.lag > LAG_MAX {
                let text = format!("node {node} lacks {} log entries", member.lag);
                self.warn("NODE_BEHIND", text);
            }
        }
    }

    fn of_node(&mut self, status: &GetStatusResponse, leads: bool) {
        let node = status.node;
        if let Some(stands) = &status.stands_still {
            let index = stands.log_index;
            let text = format!(
                "node {node} stands still before log entry {index}: runbook poisoned-entry"
            );
            if leads {
                self.degrade("STANDS_STILL", text);
            } else {
                self.warn("STANDS_STILL", text);
            }
        }
        if !leads && !status.unpublished.is_empty() {
            let text = format!("node {node} could not lead: {}", status.unpublished);
            self.warn("CANNOT_SIGN", text);
        }
        if status.clock_verdict == "off" {
            let behind = status.clock_behind_ms;
            let text = format!(
                "the clock of node {node} is {behind} ms behind what a quorum reads: runbook time"
            );
            self.warn("CLOCK_OFF", text);
        }
        for peer in status.peers.iter().filter(|peer| peer.quarantined && leads) {
            let text = format!("{} is quarantined: its log forked", peer.prefix);
            self.warn("PEER_QUARANTINED", text);
        }
    }

    fn word(&self) -> &'static str {
        match (self.degraded.is_empty(), self.warnings.is_empty()) {
            (false, _) => "degraded",
            (true, false) => "warning",
            (true, true) => "ok",
        }
    }

    fn code(&self) -> u8 {
        if self.degraded.is_empty() {
            0
        } else {
            exit::NOT_SERVED
        }
    }

    fn why(&self) -> Vec<Value> {
        let row = |finding: &Finding, stops_writes| json!({"code": finding.code, "stops_writes": stops_writes, "text": finding.text});
        let degraded = self
            .degraded
            .iter()
            .map(|finding| row(finding, finding.code != NOT_PUBLISHED));
        let warnings = self.warnings.iter().map(|finding| row(finding, false));
        degraded.chain(warnings).collect()
    }
}

/// `carnet cluster status`: how every node is, and whether the cluster takes writes.
pub(crate) async fn status(admin: &Admin, full: bool, digest: bool) -> Result<Outcome, Failed> {
    let asked = ask(admin, digest).await;
    Ok(shown(&asked, full || digest))
}

fn shown(asked: &[Asked], full: bool) -> Outcome {
    let health = Health::of(asked);
    let leader = leader(asked);
    let nodes: Vec<Value> = asked
        .iter()
        .map(|one| match &one.answer {
            Ok(status) if full => view::status(&one.endpoint, status, leader),
            Ok(status) => view::status_row(&one.endpoint, status, leader),
            Err(error) => {
                json!({"endpoint": one.endpoint, "role": "unreachable", "error": error})
            }
        })
        .collect();
    let mut value = json!({"state": health.word(), "why": health.why()});
    match nodes.as_slice() {
        // A single node in full is read line by line.
        [only] if full => value["node"] = only.clone(),
        _ => value["nodes"] = Value::Array(nodes),
    }
    Outcome {
        value,
        code: health.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_client::admin::{MemberProgress, StandsStill};

    fn node(node: u64, role: &str) -> GetStatusResponse {
        let progress = |node| MemberProgress {
            node,
            heard: true,
            acknowledged: 50,
            lag: 0,
        };
        GetStatusResponse {
            node,
            role: role.into(),
            term: 3,
            leader: 1,
            voters: vec![1, 2, 3],
            progress: if role == "leader" {
                vec![progress(2), progress(3)]
            } else {
                Vec::new()
            },
            clock_verdict: "agreed".into(),
            ..GetStatusResponse::default()
        }
    }

    fn asked(answers: Vec<Result<GetStatusResponse, String>>) -> Vec<Asked> {
        let number = (1..).zip(answers);
        number
            .map(|(at, answer)| Asked {
                endpoint: format!("node-{at}:7103"),
                at: TimeMs(0),
                answer,
            })
            .collect()
    }

    fn three(change: impl Fn(&mut GetStatusResponse)) -> Vec<Asked> {
        let mut leader = node(1, "leader");
        change(&mut leader);
        asked(vec![
            Ok(leader),
            Ok(node(2, "follower")),
            Ok(node(3, "follower")),
        ])
    }

    fn check(asked: &[Asked], expected: &str, code: u8) {
        let health = Health::of(asked);
        let codes: Vec<&str> = health
            .degraded
            .iter()
            .chain(&health.warnings)
            .map(|finding| finding.code)
            .collect();
        let found = format!("{} {}", health.word(), codes.join(" "));
        assert_eq!(found.trim(), expected);
        assert_eq!(health.code(), code, "{expected}");
        assert_eq!(shown(asked, false).code, code, "{expected}");
    }

    #[test]
    fn a_cluster_that_takes_writes_is_fine() {
        check(&three(|_| {}), "ok", 0);
        let down = || Err("no connection".to_owned());
        let one_down = asked(vec![Ok(node(1, "leader")), down(), Ok(node(3, "follower"))]);
        check(&one_down, "warning NODE_SILENT", 0);
        check(
            &asked(vec![Ok(node(2, "follower"))]),
            "warning LEADER_NOT_ASKED",
            0,
        );
    }

    /// Once, it ended with 0 while every write was refused.
    #[test]
    fn a_cluster_that_refuses_writes_is_degraded_and_says_why() {
        check(
            &three(|leader| leader.quorum_lost = true),
            "degraded NO_QUORUM",
            6,
        );
        let clocks = three(|leader| leader.writes_refused = "no quorum of clocks".into());
        check(&clocks, "degraded TIME_STANDS_STILL", 6);
        let disks = three(|leader| {
            leader.refuses = "node 2 and node 3".into();
            leader.warnings = vec!["node 2: 1 MiB".into(), "node 3: 1 MiB".into()];
        });
        check(&disks, "degraded NO_ROOM DISK_LOW DISK_LOW", 6);
        let unsigned = three(|leader| leader.unpublished = "size 7: no key".into());
        check(&unsigned, "degraded NOT_PUBLISHED", 6);
        assert_eq!(
            shown(&unsigned, false).value["why"][0]["stops_writes"],
            false
        );
        let poisoned = three(|leader| leader.stands_still = Some(StandsStill::default()));
        check(&poisoned, "degraded STANDS_STILL", 6);
        let follower = || GetStatusResponse {
            leader: 0,
            ..node(2, "follower")
        };
        let down = || Err("no connection".to_owned());
        check(
            &asked(vec![Ok(follower()), Ok(follower())]),
            "degraded NO_LEADER",
            6,
        );
        check(
            &asked(vec![Ok(follower()), down(), down()]),
            "degraded NO_LEADER NO_QUORUM NODE_SILENT NODE_SILENT",
            6,
        );
        check(
            &asked(vec![down(), down()]),
            "degraded NO_QUORUM NODE_SILENT NODE_SILENT",
            6,
        );
        check(
            &asked(vec![
                down(),
                Ok(node(2, "follower")),
                Ok(node(3, "follower")),
            ]),
            "degraded NO_LEADER NODE_SILENT",
            6,
        );
        let empty = GetStatusResponse {
            voters: Vec::new(),
            ..follower()
        };
        check(&asked(vec![Ok(empty)]), "degraded NO_CLUSTER", 6);
    }

    #[test]
    fn what_needs_a_look_is_said_and_stops_nothing() {
        let behind = three(|leader| leader.progress[0].heard = false);
        check(&behind, "warning NODE_BEHIND", 0);
        let joint = three(|leader| leader.joint = true);
        check(&joint, "warning CHANGE_UNFINISHED", 0);
        let mut off = three(|_| {});
        off[1].answer = Ok(GetStatusResponse {
            clock_verdict: "off".into(),
            stands_still: Some(StandsStill::default()),
            ..node(2, "follower")
        });
        check(&off, "warning STANDS_STILL CLOCK_OFF", 0);
        let mut unable = three(|_| {});
        unable[1].answer = Ok(GetStatusResponse {
            unpublished: "size 7: no key".into(),
            ..node(2, "follower")
        });
        check(&unable, "warning CANNOT_SIGN", 0);
    }

    /// A leader that was cut off believes in itself for a while.
    #[test]
    fn of_two_leaders_the_newer_term_counts() {
        let mut old = node(1, "leader");
        old.writes_refused = "long ago".into();
        let new = GetStatusResponse {
            term: 4,
            leader: 2,
            ..node(2, "leader")
        };
        check(
            &asked(vec![Ok(old), Ok(new), Ok(node(3, "follower"))]),
            "ok",
            0,
        );
    }

    #[test]
    fn a_single_node_in_full_is_no_table() {
        let one = asked(vec![Ok(node(1, "leader"))]);
        assert!(shown(&one, true).value["node"].is_object());
        assert!(shown(&one, false).value["nodes"].is_array());
    }
}
