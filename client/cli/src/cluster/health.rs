//! The state of a cluster as its nodes tell it, and whether it takes writes.

use std::collections::BTreeSet;

use carnet_client::admin::{Admin, GetStatusResponse, MemberProgress, OpenProposal};
use carnet_client::wall_time;
use carnet_domain::bytes::time::TimeMs;
use carnet_wire::status::CONTACT_PAUSED;
use serde_json::{Value, json};

use crate::exit::{self, Failed, chain};
use crate::{Outcome, view};

/// A node that lacks more log entries than this is worth a look.
const LAG_MAX: u64 = 10_000;

/// A member that has not answered its leader for so long, in milliseconds, is called silent: many heartbeats.
const SILENT_MS: u64 = 5_000;

/// The same where an endpoint does not answer whoever asks here either: still several heartbeats.
const SILENT_TO_BOTH_MS: u64 = 1_500;

/// A peer that has shown nothing for so long, in milliseconds, is called silent: one that lives shows its head far more often.
const PEER_SILENT_MS: u64 = 60_000;

/// A feed that stands at one item for so long, in milliseconds, is called stopped: what only sends too much goes on within a
/// minute, and so does one whose leader changed.
const PEER_STOPPED_MS: u64 = 60_000;

/// From so many days before it ends, a certificate is named; it takes people to make another.
const CERTIFICATE_DAYS: u64 = 30;

/// From so many, it is a matter for this week.
const CERTIFICATE_DAYS_SOON: u64 = 14;

/// From so many, it is a matter for today.
const CERTIFICATE_DAYS_FEW: u64 = 7;

/// Days before the end of a peer's bundle from which it is named, then named as urgent, and as most urgent.
const BUNDLE_DAYS: [u64; 3] = [30, 14, 7];

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// Log time that is further ahead than this, in milliseconds, was not moved by clocks that are right now: two of them agree
/// within two seconds.
const AHEAD_MS_MAX: u64 = 4_000;

/// What degrades a cluster and leaves its writes alone: they wait for a proof that does not come.
const NOT_PUBLISHED: &str = "NOT_PUBLISHED";

/// Likewise: they go on until one more voter is lost.
const QUORUM_AT_RISK: &str = "QUORUM_AT_RISK";

/// What one endpoint answered.
pub(crate) struct Asked {
    pub(crate) endpoint: String,
    /// This machine's clock when the answer came.
    pub(crate) at: TimeMs,
    pub(crate) answer: Result<GetStatusResponse, String>,
}

impl Asked {
    pub(crate) fn status(&self) -> Option<&GetStatusResponse> {
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

/// Asks every endpoint for the state of its node, all at once: what they say is then of one moment.
pub(crate) async fn ask(admin: &Admin, with_digest: bool) -> Vec<Asked> {
    let one = |endpoint: &String| {
        let endpoint = endpoint.clone();
        async move {
            let answer = admin.status(&endpoint, with_digest).await;
            Asked {
                at: wall_time(),
                answer: answer.map_err(|error| chain(&error)),
                endpoint,
            }
        }
    };
    futures::future::join_all(admin.endpoints().iter().map(one)).await
}

/// The node that leads: of several that believe it, the one of the newest term.
pub(crate) fn leader(asked: &[Asked]) -> Option<&GetStatusResponse> {
    let answered = asked.iter().filter_map(Asked::status);
    answered
        .filter(|status| status.role == "leader")
        .max_by_key(|status| status.term)
}

/// The voters, by whoever applied most of the log, of which no endpoint answered.
pub(crate) fn not_asked(asked: &[Asked]) -> BTreeSet<u64> {
    let answered = || asked.iter().filter_map(Asked::status);
    let newest = leader(asked).or_else(|| answered().max_by_key(|status| status.applied));
    let voters = newest.into_iter().flat_map(|status| &status.voters);
    let heard: BTreeSet<u64> = answered().map(|status| status.node).collect();
    voters
        .filter(|node| !heard.contains(node))
        .copied()
        .collect()
}

/// Something about the cluster that an operator should know.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Stable word.
    code: &'static str,
    text: String,
}

/// Whether a cluster takes writes and publishes them.
#[derive(Debug, PartialEq, Eq, Default)]
struct Health {
    /// Why it does not; empty if it does.
    degraded: Vec<Finding>,
    /// Why that is not known; empty if it is.
    unknown: Vec<Finding>,
    /// What stops neither.
    warnings: Vec<Finding>,
}

impl Health {
    fn of(asked: &[Asked]) -> Self {
        let mut health = Self {
            degraded: Vec::new(),
            unknown: Vec::new(),
            warnings: Vec::new(),
        };
        let leader = leader(asked);
        let silent = asked.iter().filter(|one| one.answer.is_err()).count();
        match leader {
            Some(leader) => health.of_leader(leader, silence_max(silent)),
            None => health.without_leader(asked),
        }
        for one in asked {
            if let Err(error) = &one.answer {
                let text = format!("{} does not answer: {error}", one.endpoint);
                health.warn("ENDPOINT_SILENT", text);
            }
        }
        // Without a leader it is said already that it may be one of those.
        let unasked = not_asked(asked);
        if leader.is_some() && unasked.len() > silent {
            let nodes: Vec<String> = unasked.iter().map(ToString::to_string).collect();
            let text = format!(
                "no endpoint given is that of voter {}: give the admin endpoints of all nodes, or put them into the context (carnet \
                 --admin-endpoints … context change), for when one of them leads",
                nodes.join(", ")
            );
            health.warn("VOTER_NOT_ASKED", text);
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

    fn cannot_tell(&mut self, code: &'static str, text: String) {
        self.unknown.push(Finding { code, text });
    }

    fn warn(&mut self, code: &'static str, text: String) {
        self.warnings.push(Finding { code, text });
    }

    fn without_leader(&mut self, asked: &[Asked]) {
        let answered = || asked.iter().filter_map(Asked::status);
        let by_term = answered().max_by_key(|status| (status.term, status.leader));
        let Some(newest) = by_term else {
            let text = "no endpoint answers: the nodes may serve others".to_owned();
            return self.cannot_tell("NOBODY_ANSWERS", text);
        };
        let node = newest.leader;
        if newest.voters.is_empty() {
            let text = "no cluster is founded here, or the node was not taken in yet".to_owned();
            self.degrade("NO_CLUSTER", text);
        } else if node == 0 {
            self.degrade("NO_LEADER", "no node leads".to_owned());
        } else {
            let text = format!(
                "node {node} leads by the others' word, and did not answer or was not asked: give the admin endpoints of all \
                 nodes, or ask again"
            );
            self.cannot_tell("LEADER_NOT_HEARD", text);
        }
    }

    fn of_leader(&mut self, leader: &GetStatusResponse, silence_max: u64) {
        let node = leader.node;
        if leader.quorum_lost {
            let text = format!("node {node} leads and hears no quorum of the voters");
            self.degrade("NO_QUORUM", text);
        }
        // Without a quorum there is none of their clocks either.
        if !leader.writes_refused.is_empty() && !leader.quorum_lost {
            self.degrade("TIME_STANDS_STILL", leader.writes_refused.clone());
        }
        if !leader.refuses.is_empty() {
            self.degrade("NO_ROOM", leader.refuses.clone());
        }
        if !leader.unpublished.is_empty() {
            let text = format!("node {node} leads: {}", leader.unpublished);
            self.degrade(NOT_PUBLISHED, text);
        }
        self.of_quorum(leader, silence_max);
        if let Some(ahead_ms) = ahead_ms(leader).filter(|ahead_ms| *ahead_ms > AHEAD_MS_MAX) {
            let text = format!(
                "log time is {ahead_ms} ms ahead of what a quorum of clocks reads, and stands still until they have come up to it; \
                 writes go on, with deadlines judged by it: wait, or have the roots set it back (runbook time)"
            );
            self.warn("LOG_TIME_AHEAD", text);
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
            let silence_ms = member.silence_ms.filter(|ms| *ms > silence_max);
            let lacks = silence_ms.is_some() || !member.heard || member.lag > 0;
            if lacks && leader.refused_nodes.contains(&node) {
                let text = format!(
                    "the certificates of node {node} are refused: it is revoked, and no node hears it (carnet pki list --server). Give it \
                     others, or another node its place (carnet member replace)"
                );
                self.warn("NODE_REFUSED", text);
            } else if let Some(silence_ms) = silence_ms {
                let seconds = silence_ms / 1_000;
                let text = format!("node {node} has not answered the leader for {seconds} s");
                self.warn("NODE_SILENT", text);
            } else if is_silent(member, silence_max) {
                let text = format!("node {node} has not answered the leader of term {term} at all");
                self.warn("NODE_SILENT", text);
            } else if !member.heard {
                let text = format!("node {node} has acknowledged nothing in term {term}");
                self.warn("NODE_BEHIND", text);
            } else if member.lag > LAG_MAX {
                let text = format!("node {node} lacks {} log entries", member.lag);
                self.warn("NODE_BEHIND", text);
            }
        }
    }

    /// Whether the next voter that is lost stops all writes. A registry of one node is meant so; two are worse than one.
    fn of_quorum(&mut self, leader: &GetStatusResponse, silence_max: u64) {
        let voters = leader.voters.len();
        let silent: Vec<String> = leader
            .progress
            .iter()
            .filter(|member| leader.voters.contains(&member.node))
            .filter(|member| is_silent(member, silence_max))
            .map(|member| member.node.to_string())
            .collect();
        let quorum = voters / 2 + 1;
        let left = voters.saturating_sub(silent.len());
        if voters >= 2 && left <= quorum && !leader.quorum_lost {
            let why = match silent.is_empty() {
                true => "there are no more: carnet member add --vote".to_owned(),
                false => format!("silent: {}; runbook replace-a-node", silent.join(", ")),
            };
            let text = format!(
                "{left} of {voters} voters answer the leader, and {quorum} are needed: one more that is lost stops all writes ({why})"
            );
            self.degrade(QUORUM_AT_RISK, text);
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
        if !status.unavailable.is_empty() {
            let text = format!("node {node}: {}", status.unavailable);
            self.warn("NODE_UNAVAILABLE", text);
        }
        if !status.unsettled.is_empty() {
            let text = format!("node {node}: {}", status.unsettled);
            self.warn("REPLICAS_DIFFER", text);
        }
        if !leads && !status.unpublished.is_empty() {
            let text = format!("node {node} could not lead: {}", status.unpublished);
            self.warn("CANNOT_SIGN", text);
        }
        // Of every node: the day it leads it is too late.
        if !status.log_key_missing.is_empty() {
            let text = format!("node {node}: {} (runbook log-key)", status.log_key_missing);
            self.warn("LOG_KEY_MISSING", text);
        }
        if status.clock_verdict == "off" {
            let behind = status.clock_behind_ms;
            let text = format!(
                "the clock of node {node} is {behind} ms behind what a quorum reads: runbook time"
            );
            self.warn("CLOCK_OFF", text);
        }
        for stands in status
            .audit
            .iter()
            .filter(|stands| !stands.failing.is_empty())
        {
            let (chain, why) = (&stands.chain, &stands.failing);
            let text = format!(
                "node {node}: its audit ({chain}) cannot be written, and reads that it should note are refused: {why} (runbook audit)"
            );
            self.warn("AUDIT_FAILS", text);
        }
        if !status.audit_contradicts.is_empty() {
            let why = &status.audit_contradicts;
            let text = format!(
                "node {node}: its audit is not what the log says it was: {why} (runbook audit)"
            );
            self.warn("AUDIT_CONTRADICTS", text);
        }
        self.of_certificates(status);
        // What a node saw of a peer, it alone knows: each says what it doubts.
        for peer in status.peers.iter().filter(|peer| !peer.doubt.is_empty()) {
            let (prefix, doubt) = (&peer.prefix, &peer.doubt);
            let text = format!("node {node} doubts {prefix}: {doubt} (runbook doubted-peer)");
            self.warn("PEER_DOUBTED", text);
        }
        for peer in status.peers.iter().filter(|_| leads) {
            let prefix = &peer.prefix;
            // Whoever paused it knows that it is silent.
            if !matches!(peer.contact.as_str(), "" | "open") {
                let text = format!(
                    "contact with {prefix} is {} (carnet peer get)",
                    peer.contact
                );
                self.warn("PEER_PAUSED", text);
                continue;
            }
            // It is there and says no: nobody has to wait for its silence.
            if peer.errors_in_a_row > 0 && peer.last_error.contains(CONTACT_PAUSED) {
                let text = format!(
                    "{prefix} lets us in no more: {} (ask its office; runbook pause-a-peer)",
                    peer.last_error
                );
                self.warn("PEER_PAUSES_US", text);
                continue;
            }
            let seconds = peer.last_contact_ms / 1_000;
            let silent = match peer.contacts {
                0 => format!("{prefix} has not answered since node {node} began to follow it"),
                _ if peer.last_contact_ms > PEER_SILENT_MS => {
                    format!("{prefix} has not answered for {seconds} s")
                }
                _ => continue,
            };
            if peer.overloaded_ms.is_some_and(|ms| ms <= PEER_SILENT_MS) {
                let text = format!("{prefix} answers that it is overloaded (runbook silent-peer)");
                self.warn("PEER_OVERLOADED", text);
                continue;
            }
            let why = match peer.last_error.as_str() {
                "" => String::new(),
                error => format!(": {error}"),
            };
            self.warn("PEER_SILENT", silent + &why);
        }
        // One that answers, again and again, with what is not taken is not silent.
        for peer in status.peers.iter().filter(|_| leads) {
            let Some(stands) = &peer.stands else { continue };
            if stands.since_ms > PEER_STOPPED_MS {
                let (prefix, item, why) = (&peer.prefix, stands.item, &stands.why);
                let (seconds, tries) = (stands.since_ms / 1_000, peer.errors_in_a_row);
                let text = format!(
                    "mail of {prefix} has stood at item {item} for {seconds} s, {tries} tries: {why} (runbook stopped-feed)"
                );
                self.warn("PEER_FEED_STOPPED", text);
            }
        }
        for peer in status.peers.iter().filter(|peer| peer.parked > 0 && leads) {
            let (prefix, parked) = (&peer.prefix, peer.parked);
            let text = format!(
                "{parked} items of {prefix} wait for a hand, or for what they need (carnet mail parked)"
            );
            self.warn("MAIL_PARKED", text);
        }
        for peer in status.peers.iter().filter(|_| leads) {
            for one in peer
                .agreements
                .iter()
                .filter(|one| one.contains(" suspended "))
            {
                let text = format!("{}: agreement {one} (carnet agreement list)", peer.prefix);
                self.warn("AGREEMENT_SUSPENDED", text);
            }
        }
        // A new one is made by that country's roots, and compared by people: it takes days.
        let ends = status
            .peers
            .iter()
            .filter(|peer| peer.bundle_ends_ms > 0 && leads);
        for peer in ends {
            let (prefix, at) = (&peer.prefix, TimeMs(peer.bundle_ends_ms));
            let next = "ask for its new one, compare the fingerprint, carnet peer add";
            let Some(left_ms) = at.as_ms().checked_sub(status.log_time_ms) else {
                let text = format!(
                    "the bundle of {prefix} was good until {at}: nothing of {prefix} is read, and no verdict about its robots is VALID; {next}"
                );
                self.warn("PEER_BUNDLE_ENDED", text);
                continue;
            };
            let days = left_ms / DAY_MS;
            let urgent = match days {
                days if days >= BUNDLE_DAYS[0] => continue,
                days if days >= BUNDLE_DAYS[1] => "",
                days if days >= BUNDLE_DAYS[2] => ", soon",
                _ => ", at once",
            };
            let text =
                format!("the bundle of {prefix} ends in {days} days, at {at}{urgent}: {next}");
            self.warn("PEER_BUNDLE_ENDS", text);
        }
        for peer in status.peers.iter().filter(|peer| peer.quarantined && leads) {
            let text = format!(
                "{} is quarantined: it signed what contradicts itself",
                peer.prefix
            );
            self.warn("PEER_QUARANTINED", text);
        }
    }

    /// Of each file the certificate that ends first: an authority and what it signed mostly end together.
    fn of_certificates(&mut self, status: &GetStatusResponse) {
        let node = status.node;
        for one in &status.certificates {
            let (what, path) = (&one.what, &one.path);
            if one.not_taken && !what.contains("-authority") {
                let text = format!(
                    "node {node}: its {what} certificate in use is not the one that lies there, which was not taken up: {path}; its log \
                     says why (runbook renew-certificates)"
                );
                self.warn("CERTIFICATE_NOT_TAKEN", text);
            }
            let Some(days) = view::days_left(one, status.clock_ms) else {
                let text = format!("node {node}: its {what} certificate cannot be read: {path}");
                self.warn("CERTIFICATE_UNREADABLE", text);
                continue;
            };
            let ended = one.not_after_ms.is_some_and(|end| end < status.clock_ms);
            let (code, text) = match days {
                _ if ended => (
                    "CERTIFICATE_ENDED",
                    format!(
                        "node {node}: its {what} certificate has ended: {path} (runbook renew-certificates)"
                    ),
                ),
                days if days < CERTIFICATE_DAYS_FEW => (
                    "CERTIFICATE_ENDS",
                    format!(
                        "node {node}: its {what} certificate ends in {days} days, renew it now: {path} (runbook renew-certificates)"
                    ),
                ),
                days if days < CERTIFICATE_DAYS_SOON => (
                    "CERTIFICATE_ENDS",
                    format!(
                        "node {node}: its {what} certificate ends in {days} days, renew it this week: {path} (runbook renew-certificates)"
                    ),
                ),
                days if days < CERTIFICATE_DAYS => (
                    "CERTIFICATE_ENDS",
                    format!(
                        "node {node}: its {what} certificate ends in {days} days: {path} (runbook renew-certificates)"
                    ),
                ),
                _ => continue,
            };
            self.warn(code, text);
        }
    }

    fn word(&self) -> &'static str {
        if !self.degraded.is_empty() {
            "degraded"
        } else if !self.unknown.is_empty() {
            "unknown"
        } else if !self.warnings.is_empty() {
            "warning"
        } else {
            "ok"
        }
    }

    /// The words of what was found, the gravest first, each once.
    fn codes(&self) -> String {
        let mut codes: Vec<&str> = Vec::new();
        let all = self.degraded.iter().chain(&self.unknown);
        for finding in all.chain(&self.warnings) {
            if !codes.contains(&finding.code) {
                codes.push(finding.code);
            }
        }
        codes.join(", ")
    }

    fn code(&self) -> u8 {
        match self.word() {
            "degraded" => exit::NOT_SERVED,
            "unknown" => exit::ERROR,
            _ => 0,
        }
    }

    fn why(&self) -> Vec<Value> {
        let row = |finding: &Finding, stops_writes: Option<bool>| json!({"code": finding.code, "stops_writes": stops_writes, "text": finding.text});
        let degraded = self.degraded.iter().map(|finding| {
            row(
                finding,
                Some(![NOT_PUBLISHED, QUORUM_AT_RISK].contains(&finding.code)),
            )
        });
        let unknown = self.unknown.iter().map(|finding| row(finding, None));
        let warnings = self
            .warnings
            .iter()
            .map(|finding| row(finding, Some(false)));
        degraded.chain(unknown).chain(warnings).collect()
    }
}

/// From how many milliseconds on a member is called silent, by how many endpoints are.
fn silence_max(silent: usize) -> u64 {
    match silent {
        0 => SILENT_MS,
        _ => SILENT_TO_BOTH_MS,
    }
}

/// Whether a member answers its leader no longer, or never has: one that was away when this leader was elected has no last
/// answer to count from.
fn is_silent(member: &MemberProgress, silence_max: u64) -> bool {
    match member.silence_ms {
        Some(ms) => ms > silence_max,
        None => !member.heard,
    }
}

/// How far log time is ahead of what a quorum of the voters' clocks reads; `None` if it is not, or no quorum agrees.
fn ahead_ms(status: &GetStatusResponse) -> Option<u64> {
    if !matches!(status.clock_verdict.as_str(), "agreed" | "off") {
        return None;
    }
    let now_ms = status.clock_ms.checked_add_signed(status.clock_behind_ms)?;
    status.log_time_ms.checked_sub(now_ms)
}

/// `carnet cluster status`: how every node is, and whether the cluster takes writes.
pub(crate) async fn status(admin: &Admin, full: bool, digest: bool) -> Result<Outcome, Failed> {
    let asked = ask(admin, digest).await;
    Ok(shown(&asked, full || digest))
}

/// `carnet cluster health`: a line a node, and the exit code that says how the cluster is.
pub(crate) async fn health(admin: &Admin) -> Result<Outcome, Failed> {
    Ok(in_lines(&ask(admin, false).await))
}

fn in_lines(asked: &[Asked]) -> Outcome {
    let health = Health::of(asked);
    let leader = leader(asked);
    let line = |one: &Asked| match &one.answer {
        Ok(status) => {
            let mut of = Health::default();
            let leads = leader.is_some_and(|leader| leader.node == status.node);
            if leads {
                of.of_leader(status, SILENT_MS);
            }
            of.of_node(status, leads);
            json!({
                "endpoint": one.endpoint,
                "node": status.node.to_string(),
                "role": status.role,
                "state": of.word(),
                "why": of.codes(),
            })
        }
        Err(_) => json!({
            "endpoint": one.endpoint,
            "node": Value::Null,
            "role": "unreachable",
            "state": "unknown",
            "why": "ENDPOINT_SILENT",
        }),
    };
    let nodes: Vec<Value> = asked.iter().map(line).collect();
    let value = json!({"state": health.word(), "why": health.codes(), "nodes": nodes});
    Outcome {
        value,
        code: health.code(),
    }
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
    let proposals = proposals(asked, leader);
    if !proposals.is_empty() {
        value["proposals"] = Value::Array(proposals);
    }
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

/// What waits for a second person, as the leader has it; else whoever has applied most.
fn proposals(asked: &[Asked], leader: Option<&GetStatusResponse>) -> Vec<Value> {
    let newest = || {
        let answered = asked.iter().filter_map(Asked::status);
        answered.max_by_key(|status| status.applied)
    };
    let status = leader.or_else(newest);
    let proposals = status.into_iter().flat_map(|status| &status.proposals);
    let row = |one: &OpenProposal| {
        json!({
            "proposal": one.number.to_string(),
            "proposed": one.what,
            "about": one.about,
            "by": one.by,
            "until": view::time(TimeMs(one.until_ms)),
        })
    };
    proposals.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_client::admin::{CertificateStatus, FeedStands, PeerStatus, StandsStill};

    /// Once, that a certificate was to be refused, and waited for a second admin, stood only in the list of certificates.
    #[test]
    fn what_waits_for_a_second_person_is_shown() {
        let quiet = shown(&three(|_| {}), false).value;
        assert_eq!(quiet.get("proposals"), None);
        let asked = three(|leader| {
            leader.proposals = vec![OpenProposal {
                number: 7,
                what: "revoke certificate".into(),
                about: "key/ab of admin/hq/anna".into(),
                by: "bert".into(),
                until_ms: 5_000,
            }];
        });
        let found = shown(&asked, false);
        let first = &found.value["proposals"][0];
        assert_eq!(first["proposed"], "revoke certificate");
        assert_eq!(first["about"], "key/ab of admin/hq/anna");
        assert_eq!((&first["by"], found.code), (&"bert".into(), 0));
    }

    fn node(node: u64, role: &str) -> GetStatusResponse {
        let progress = |node| MemberProgress {
            node,
            heard: true,
            acknowledged: 50,
            lag: 0,
            silence_ms: Some(300),
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
            .chain(&health.unknown)
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
        check(&one_down, "warning ENDPOINT_SILENT", 0);
        // The leader hears a quorum, whoever else can be asked from here.
        let two_down = asked(vec![down(), Ok(node(1, "leader")), down()]);
        check(&two_down, "warning ENDPOINT_SILENT ENDPOINT_SILENT", 0);
    }

    /// Once, it said "ok" of a country that no longer heard its peer, and of one whose word it did not believe.
    #[test]
    fn a_peer_that_is_silent_or_doubted_is_named() {
        let peer = |change: fn(&mut PeerStatus)| {
            three(move |leader| {
                let mut peer = PeerStatus {
                    prefix: "86".into(),
                    contacts: 5,
                    last_contact_ms: 900,
                    ..PeerStatus::default()
                };
                change(&mut peer);
                leader.peers = vec![peer];
            })
        };
        check(&peer(|_| {}), "ok", 0);
        check(&peer(|it| it.contacts = 0), "warning PEER_SILENT", 0);
        let overloaded = |it: &mut PeerStatus| {
            it.contacts = 0;
            it.overloaded_ms = Some(1_000);
        };
        check(&peer(overloaded), "warning PEER_OVERLOADED", 0);
        check(
            &peer(|it| it.last_contact_ms = 61_000),
            "warning PEER_SILENT",
            0,
        );
        check(
            &peer(|it| it.doubt = "why".into()),
            "warning PEER_DOUBTED",
            0,
        );
        // Its bundle ends.
        let ends = |at_ms| {
            let mut asked = peer(|_| {});
            if let Ok(leader) = &mut asked[0].answer {
                leader.log_time_ms = 100 * DAY_MS;
                leader.clock_ms = 100 * DAY_MS;
                leader.peers[0].bundle_ends_ms = at_ms;
            }
            asked
        };
        let said = |asked: &[Asked]| {
            let value = shown(asked, false).value;
            let all = value["why"].as_array().cloned().unwrap_or_default();
            let of_bundle =
                |one: &&Value| one["text"].as_str().is_some_and(|it| it.contains("bundle"));
            let found = all.iter().find(of_bundle).map(|one| one["text"].clone());
            found.map_or_else(String::new, |text| {
                text.as_str().unwrap_or_default().to_owned()
            })
        };
        assert_eq!(said(&ends(0)), "", "a node that does not say");
        assert_eq!(said(&ends(130 * DAY_MS)), "");
        for (left_days, expected) in [
            (29, "in 29 days, at "),
            (13, ", soon: "),
            (6, ", at once: "),
        ] {
            let text = said(&ends((100 + left_days) * DAY_MS + 5));
            assert!(text.contains(expected), "{left_days}: {text}");
        }
        let over = said(&ends(100 * DAY_MS - 1));
        assert!(over.contains("nothing of 86 is read"), "{over}");
        let stands = |since_ms| {
            let mut asked = peer(|_| {});
            if let Ok(leader) = &mut asked[0].answer {
                leader.peers[0].errors_in_a_row = 9;
                leader.peers[0].stands = Some(FeedStands {
                    item: 7,
                    since_ms,
                    why: "refused here: no".into(),
                });
            }
            asked
        };
        check(&stands(60_000), "ok", 0);
        check(&stands(60_001), "warning PEER_FEED_STOPPED", 0);
        let why = &shown(&stands(61_000), false).value["why"][0]["text"];
        assert_eq!(
            why,
            "mail of 86 has stood at item 7 for 61 s, 9 tries: refused here: no (runbook stopped-feed)"
        );
        // A follower follows nobody, and knows of no contacts.
        let mut asked = three(|_| {});
        if let Ok(follower) = &mut asked[1].answer {
            follower.peers = vec![PeerStatus::default()];
        }
        check(&asked, "ok", 0);
    }

    /// Once, it ended with 0 although the next failure would have stopped the country.
    #[test]
    fn a_quorum_without_a_voter_to_spare_is_at_risk() {
        let silent = |leader: &mut GetStatusResponse, node: u64| {
            let member = leader
                .progress
                .iter_mut()
                .find(|member| member.node == node);
            member.expect("a member").silence_ms = Some(6_000);
        };
        let one = three(|leader| silent(leader, 3));
        check(&one, "degraded QUORUM_AT_RISK NODE_SILENT", 6);
        assert_eq!(shown(&one, false).value["why"][0]["stops_writes"], false);
        // The machine of the last leader is gone: the one elected since never heard it.
        let never = three(|leader| {
            leader.progress[1].heard = false;
            leader.progress[1].silence_ms = None;
        });
        check(&never, "degraded QUORUM_AT_RISK NODE_SILENT", 6);
        // A learner is nobody's quorum, and of five voters one may be lost; of two, none.
        let learner = three(|leader| {
            leader.voters = vec![1, 2];
            silent(leader, 3);
        });
        check(&learner, "degraded QUORUM_AT_RISK NODE_SILENT", 6);
        let why = shown(&learner, false).value["why"].to_string();
        assert!(
            why.contains("there are no more: carnet member add"),
            "{why}"
        );
        let alone = three(|leader| {
            leader.voters = vec![1];
            leader.progress.clear();
        });
        check(&alone, "ok", 0);
        let five = three(|leader| {
            leader.voters = vec![1, 2, 3, 4, 5];
            silent(leader, 3);
        });
        check(&five, "warning NODE_SILENT VOTER_NOT_ASKED", 0);
    }

    /// Once, it ended with 0 while every write was refused.
    #[test]
    fn a_cluster_that_refuses_writes_is_degraded_and_says_why() {
        let alone = three(|leader| {
            leader.quorum_lost = true;
            leader.writes_refused = "nobody tells its clock".into();
        });
        check(&alone, "degraded NO_QUORUM", 6);
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
            "degraded NO_LEADER ENDPOINT_SILENT ENDPOINT_SILENT",
            6,
        );
        let empty = GetStatusResponse {
            voters: Vec::new(),
            ..follower()
        };
        check(&asked(vec![Ok(empty)]), "degraded NO_CLUSTER", 6);
    }

    /// Once, an expired certificate of whoever asked was called a lost quorum.
    #[test]
    fn what_nobody_told_is_not_called_an_outage() {
        let down = || Err("no connection".to_owned());
        let follower = || Ok(node(2, "follower"));
        let nobody = "unknown NOBODY_ANSWERS ENDPOINT_SILENT ENDPOINT_SILENT";
        check(&asked(vec![down(), down()]), nobody, 1);
        check(&asked(vec![follower()]), "unknown LEADER_NOT_HEARD", 1);
        let without = asked(vec![down(), follower(), Ok(node(3, "follower"))]);
        check(&without, "unknown LEADER_NOT_HEARD ENDPOINT_SILENT", 1);
        assert!(shown(&without, false).value["why"][0]["stops_writes"].is_null());
    }

    /// Once, a voter that was dead and not asked was not missed: one failure more would have stopped the country.
    #[test]
    fn a_member_that_the_leader_does_not_hear_is_missed() {
        let mut leader = node(1, "leader");
        leader.progress[1].silence_ms = Some(5_001);
        let asked_two = asked(vec![Ok(leader), Ok(node(2, "follower"))]);
        check(
            &asked_two,
            "degraded QUORUM_AT_RISK NODE_SILENT VOTER_NOT_ASKED",
            6,
        );
        let mut apart = three(|_| {});
        apart[2].answer = Ok(GetStatusResponse {
            unavailable: "not yet with the others".into(),
            unsettled: "replicas differ".into(),
            ..node(3, "follower")
        });
        check(&apart, "warning NODE_UNAVAILABLE REPLICAS_DIFFER", 0);
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
        let ahead = |log_time_ms, behind, verdict: &str| {
            three(|leader| {
                leader.log_time_ms = log_time_ms;
                leader.clock_ms = 1_000_000;
                leader.clock_behind_ms = behind;
                leader.clock_verdict = verdict.into();
            })
        };
        check(&ahead(1_004_000, 0, "agreed"), "ok", 0);
        check(&ahead(1_004_001, 0, "agreed"), "warning LOG_TIME_AHEAD", 0);
        check(&ahead(1_004_001, 1, "agreed"), "ok", 0);
        check(
            &ahead(1_000_000, -4_001, "off"),
            "warning LOG_TIME_AHEAD CLOCK_OFF",
            0,
        );
        check(&ahead(999_999, 0, "agreed"), "ok", 0);
        // Nobody knows by which clock.
        check(&ahead(u64::MAX, 0, "disagreement"), "ok", 0);
        check(&ahead(u64::MAX, i64::MIN, "off"), "warning CLOCK_OFF", 0);
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

    /// Once, a certificate that ended tomorrow was seen nowhere.
    #[test]
    fn a_certificate_that_ends_soon_is_named() {
        const DAY: u64 = 86_400_000;
        let with = |left_ms: Option<i64>| {
            three(move |leader| {
                leader.clock_ms = 100 * DAY;
                leader.certificates = vec![CertificateStatus {
                    what: "raft".into(),
                    path: "pki/nodes/1/raft.crt".into(),
                    not_after_ms: left_ms.map(|ms| (100 * DAY).checked_add_signed(ms).unwrap_or(0)),
                    not_taken: false,
                }];
            })
        };
        let day = DAY as i64;
        check(&with(Some(30 * day)), "ok", 0);
        check(&with(Some(30 * day - 1)), "warning CERTIFICATE_ENDS", 0);
        check(&with(Some(0)), "warning CERTIFICATE_ENDS", 0);
        check(&with(Some(-1)), "warning CERTIFICATE_ENDED", 0);
        check(&with(None), "warning CERTIFICATE_UNREADABLE", 0);
        let text = |left| shown(&with(Some(left)), false).value["why"][0]["text"].to_string();
        assert!(
            text(6 * day).contains("6 days, renew it now"),
            "{}",
            text(6 * day)
        );
        assert!(!text(8 * day).contains("now"), "{}", text(8 * day));
        assert!(text(13 * day).contains("this week"), "{}", text(13 * day));
        assert!(!text(14 * day).contains("week"), "{}", text(14 * day));
        // A renewal that was not taken up: the one in use ends all the same.
        let waits = three(|leader| {
            leader.clock_ms = 100 * DAY;
            leader.certificates = vec![CertificateStatus {
                what: "raft".into(),
                path: "pki/nodes/1/raft.crt".into(),
                not_after_ms: Some(200 * DAY),
                not_taken: true,
            }];
        });
        check(&waits, "warning CERTIFICATE_NOT_TAKEN", 0);
        assert_eq!(
            shown(&with(Some(6 * day)), false).value["nodes"][0]["certificate_days"],
            "6"
        );
    }

    #[test]
    fn health_is_a_line_a_node_and_the_code_of_the_whole() {
        let mut asked = three(|leader| leader.quorum_lost = true);
        asked[1].answer = Err("no connection".into());
        if let Ok(third) = &mut asked[2].answer {
            third.clock_verdict = "off".into();
        }
        let lines = in_lines(&asked);
        assert_eq!(lines.code, 6);
        let why: Vec<&str> = (0..3)
            .filter_map(|at| lines.value["nodes"][at]["why"].as_str())
            .collect();
        assert_eq!(why, ["NO_QUORUM", "ENDPOINT_SILENT", "CLOCK_OFF"]);
        assert_eq!(lines.value["why"], "NO_QUORUM, ENDPOINT_SILENT, CLOCK_OFF");
        assert_eq!(in_lines(&three(|_| {})).value["nodes"][0]["state"], "ok");
    }

    #[test]
    fn mail_that_waits_for_a_hand_is_named_by_the_leader() {
        let parked = three(|leader| {
            leader.peers = vec![PeerStatus {
                contacts: 1,
                parked: 3,
                ..PeerStatus::default()
            }];
        });
        check(&parked, "warning MAIL_PARKED", 0);
    }

    #[test]
    fn a_single_node_in_full_is_no_table() {
        let one = asked(vec![Ok(node(1, "leader"))]);
        assert!(shown(&one, true).value["node"].is_object());
        assert!(shown(&one, false).value["nodes"].is_array());
    }

    /// Once, a follower without the log key in use was fine until it led, and then nothing was published.
    #[test]
    fn a_node_that_could_not_sign_is_named_before_it_leads() {
        let mut lacks = three(|_| {});
        lacks[2].answer = Ok(GetStatusResponse {
            log_key_missing: "it does not hold the log key in use ab".into(),
            ..node(3, "follower")
        });
        check(&lacks, "warning LOG_KEY_MISSING", 0);
    }

    /// Once, it said "ok" of five voters of which two were asked by nobody; the day one of those led, every command failed.
    #[test]
    fn a_voter_that_no_endpoint_is_of_is_named() {
        let five = three(|leader| leader.voters = vec![1, 2, 3, 4, 5]);
        check(&five, "warning VOTER_NOT_ASKED", 0);
        let text = shown(&five, false).value["why"][0]["text"].to_string();
        assert!(text.contains("voter 4, 5"), "{text}");
        // An endpoint that does not answer may be any of theirs.
        let down = || Err("no connection".to_owned());
        let mut with_silent = three(|leader| leader.voters = vec![1, 2, 3, 4]);
        with_silent.push(asked(vec![down()]).remove(0));
        check(&with_silent, "warning ENDPOINT_SILENT", 0);
    }

    /// Once, that one of three is gone was said after many seconds, though neither its leader nor whoever asked heard it.
    #[test]
    fn a_voter_that_neither_the_leader_nor_we_hear_is_silent_sooner() {
        let mut leader = node(1, "leader");
        leader.progress[1].silence_ms = Some(1_600);
        let fine = asked(vec![
            Ok(leader.clone()),
            Ok(node(2, "follower")),
            Ok(node(3, "follower")),
        ]);
        check(&fine, "ok", 0);
        let gone = asked(vec![
            Ok(leader),
            Ok(node(2, "follower")),
            Err("no connection".to_owned()),
        ]);
        check(
            &gone,
            "degraded QUORUM_AT_RISK NODE_SILENT ENDPOINT_SILENT",
            6,
        );
    }

    /// Once, a node that was revoked while it ran was one that "has not answered".
    #[test]
    fn a_node_whose_certificates_are_refused_is_said_to_be_revoked() {
        let revoked = three(|leader| {
            leader.voters = vec![1, 2];
            leader.refused_nodes = vec![3];
            leader.progress[1].lag = 11;
        });
        check(&revoked, "degraded QUORUM_AT_RISK NODE_REFUSED", 6);
        // With another certificate it follows again.
        let renewed = three(|leader| leader.refused_nodes = vec![3]);
        check(&renewed, "ok", 0);
    }

    #[test]
    fn a_peer_that_paused_us_is_not_waited_for_until_it_is_silent() {
        let with = |error: &str| {
            let error = error.to_owned();
            three(move |leader| {
                leader.peers = vec![PeerStatus {
                    prefix: "86".into(),
                    contacts: 5,
                    last_contact_ms: 900,
                    errors_in_a_row: 2,
                    last_error: error.clone(),
                    ..PeerStatus::default()
                }];
            })
        };
        let paused = format!("refused: contact with 49 {CONTACT_PAUSED} 86, or was ended");
        check(&with(&paused), "warning PEER_PAUSES_US", 0);
        check(&with("no connection"), "ok", 0);
    }
}
