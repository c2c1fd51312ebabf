//! Whether a node can be relied upon, and why not: pure, over what was seen.
//!
//! Ready is a node that would serve the next caller well: it is with the others under a leader with a quorum, it is not far
//! behind, its clock, disk, certificates for callers and nodes, and signing key are good. What is wrong without hurting a caller
//! (a passport's certificate, an authority, the audit) is a number and an alert, and never takes a node away from its callers. One that is not is for load balancers to pass over and for
//! people to look at; it goes on doing what it can.

use std::fmt;

use carnet_consensus::{ClockVerdict, Role};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::contact::Contact;

use crate::service::cluster::ClusterStatus;

/// Log entries that a node may lack before it is called behind.
pub const BEHIND_ENTRIES_MAX: u64 = 10_000;
/// A peer that has shown nothing for so long is silent: one that lives shows its head far more often.
pub const PEER_SILENT: DurationMs = DurationMs::from_secs(60);
/// A feed that stands at one item for so long has stopped.
pub const FEED_STOPPED: DurationMs = DurationMs::from_secs(60);

/// Why a node is not ready. The words are those of `carnet cluster status` where both say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// No cluster is founded here.
    NoCluster,
    /// The others have not taken this process in.
    NodeUnavailable,
    /// No leader is known.
    NoLeader,
    /// It leads and hears no quorum.
    NoQuorum,
    /// It lacks too many log entries.
    NodeBehind,
    /// It stands still before a log entry.
    StandsStill,
    /// Replicas differ, and no majority is known.
    ReplicasDiffer,
    /// The disk is below its watermark.
    DiskLow,
    /// It leads and takes no commands for want of room.
    NoRoom,
    /// Its clock differs from those of the others by more than is allowed.
    ClockOff,
    /// Writes are refused because of clocks.
    TimeStandsStill,
    /// It could not sign and publish.
    CannotSign,
    /// Its certificate for callers, or for the other nodes, has ended.
    CertificateEnded,
    /// Another certificate that it holds has ended, or a file of one cannot be read.
    OtherCertificateEnded,
    /// It does not hold a log key that is in use, or cannot read a seed: when it leads, nothing is published.
    LogKeyMissing,
    /// A certificate in use is not the one that lies there: that was not taken up, and what is in use will end.
    CertificateNotTaken,
    /// Its audit cannot be written: reads that it should note are refused.
    AuditFails,
    /// A peer answers that it is overloaded, and nothing else.
    PeerOverloaded,
    /// Its audit is not what the log says it was.
    AuditContradicts,
    /// A peer has not been heard for long.
    PeerSilent,
    /// Mail of a peer stands.
    PeerFeedStopped,
    /// A peer's word is doubted.
    PeerDoubted,
    /// A peer signed two histories: nothing new is begun with it until the roots settle it.
    PeerQuarantined,
}

impl Code {
    /// Every one, in the order declared.
    pub const ALL: [Self; 23] = [
        Self::NoCluster,
        Self::NodeUnavailable,
        Self::NoLeader,
        Self::NoQuorum,
        Self::NodeBehind,
        Self::StandsStill,
        Self::ReplicasDiffer,
        Self::DiskLow,
        Self::NoRoom,
        Self::ClockOff,
        Self::TimeStandsStill,
        Self::CannotSign,
        Self::CertificateEnded,
        Self::OtherCertificateEnded,
        Self::LogKeyMissing,
        Self::CertificateNotTaken,
        Self::AuditFails,
        Self::PeerOverloaded,
        Self::AuditContradicts,
        Self::PeerSilent,
        Self::PeerFeedStopped,
        Self::PeerDoubted,
        Self::PeerQuarantined,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoCluster => "NO_CLUSTER",
            Self::NodeUnavailable => "NODE_UNAVAILABLE",
            Self::NoLeader => "NO_LEADER",
            Self::NoQuorum => "NO_QUORUM",
            Self::NodeBehind => "NODE_BEHIND",
            Self::StandsStill => "STANDS_STILL",
            Self::ReplicasDiffer => "REPLICAS_DIFFER",
            Self::DiskLow => "DISK_LOW",
            Self::NoRoom => "NO_ROOM",
            Self::ClockOff => "CLOCK_OFF",
            Self::TimeStandsStill => "TIME_STANDS_STILL",
            Self::CannotSign => "CANNOT_SIGN",
            Self::CertificateEnded => "CERTIFICATE_ENDED",
            Self::OtherCertificateEnded => "OTHER_CERTIFICATE_ENDED",
            Self::LogKeyMissing => "LOG_KEY_MISSING",
            Self::CertificateNotTaken => "CERTIFICATE_NOT_TAKEN",
            Self::AuditFails => "AUDIT_FAILS",
            Self::PeerOverloaded => "PEER_OVERLOADED",
            Self::AuditContradicts => "AUDIT_CONTRADICTS",
            Self::PeerSilent => "PEER_SILENT",
            Self::PeerFeedStopped => "PEER_FEED_STOPPED",
            Self::PeerDoubted => "PEER_DOUBTED",
            Self::PeerQuarantined => "PEER_QUARANTINED",
        }
    }

    /// Whose it is.
    pub fn whose(self) -> Whose {
        match self {
            Self::NoCluster
            | Self::NodeUnavailable
            | Self::NodeBehind
            | Self::StandsStill
            | Self::ReplicasDiffer
            | Self::DiskLow
            | Self::ClockOff
            | Self::CertificateEnded => Whose::Node,
            Self::NoLeader
            | Self::NoQuorum
            | Self::NoRoom
            | Self::TimeStandsStill
            | Self::CannotSign => Whose::Cluster,
            Self::PeerSilent
            | Self::PeerFeedStopped
            | Self::PeerDoubted
            | Self::PeerQuarantined => Whose::Peers,
            Self::OtherCertificateEnded
            | Self::LogKeyMissing
            | Self::CertificateNotTaken
            | Self::AuditFails
            | Self::PeerOverloaded
            | Self::AuditContradicts => Whose::Nobody,
        }
    }

    /// Whether `/readyz` says no for it.
    pub fn is_of_callers(self) -> bool {
        matches!(self.whose(), Whose::Node | Whose::Cluster)
    }

    /// Whether `/readyz/federation` says no for it.
    pub fn is_of_callers_or_peers(self) -> bool {
        self.whose() != Whose::Nobody
    }
}

/// Whose a hindrance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This node's: another may do better.
    Node,
    /// The cluster's: every node says it at once.
    Cluster,
    /// Other jurisdictions': a node serves its own all the same.
    Peers,
    /// No caller's: it is for people to look at.
    Nobody,
}

/// One reason why a node is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// Which.
    pub code: Code,
    /// What exactly, for people, in one line.
    pub text: String,
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.word(), self.text)
    }
}

/// Everything that keeps a node from being ready, in the order of the codes.
pub fn hindrances(status: &ClusterStatus, now: TimeMs) -> Vec<Hindrance> {
    let mut found = Vec::new();
    let mut find = |code, text: String| {
        // Whoever reads it reads lines.
        let text = text.replace('\n', " ");
        found.push(Hindrance { code, text });
    };
    of_cluster(status, &mut find);
    of_machine(status, now, &mut find);
    of_peers(status, &mut find);
    found.sort_by_key(|hindrance| hindrance.code);
    found
}

fn of_cluster(status: &ClusterStatus, find: &mut impl FnMut(Code, String)) {
    let raft = &status.raft;
    if raft.voters.is_empty() {
        let text = "no cluster is founded here, or the node was not taken in yet";
        return find(Code::NoCluster, text.to_owned());
    }
    if !status.unavailable.is_empty() {
        find(Code::NodeUnavailable, status.unavailable.clone());
    }
    if raft.standing.leader.is_none() {
        find(Code::NoLeader, "no node leads".to_owned());
    }
    if status.quorum_lost {
        let text = "this node leads and hears no quorum of the voters";
        find(Code::NoQuorum, text.to_owned());
    }
    let lag = lag(status);
    if lag > BEHIND_ENTRIES_MAX {
        find(Code::NodeBehind, format!("{lag} log entries to apply"));
    }
    if let Some(stands) = &status.stands {
        let index = stands.position.index;
        let text = format!("before log entry {index}: runbook poisoned-entry");
        find(Code::StandsStill, text);
    }
    if let Some(unsettled) = &status.compare.unsettled {
        find(Code::ReplicasDiffer, unsettled.clone());
    }
}

/// Entries that are committed, as far as this node knows, and not applied here.
pub fn lag(status: &ClusterStatus) -> u64 {
    let applied = status.raft.applied.unwrap_or(0);
    status
        .raft
        .committed
        .and_then(|committed| committed.checked_sub(applied))
        .unwrap_or(0)
}

fn of_machine(status: &ClusterStatus, now: TimeMs, find: &mut impl FnMut(Code, String)) {
    if let Some(space) = status.room.own.as_ref().filter(|space| space.is_low()) {
        find(Code::DiskLow, format!("{space}: runbook full-disk"));
    }
    if let Some(refusal) = &status.room.refusal {
        find(Code::NoRoom, format!("{refusal}: runbook full-disk"));
    }
    match status.clocks.verdict {
        ClockVerdict::Off { offset_ms, .. } => {
            let text = format!("a quorum reads {offset_ms:+} ms beside its clock: runbook time");
            find(Code::ClockOff, text);
        }
        ClockVerdict::Disagreement => {
            let text = "no quorum of the voters' clocks agrees: runbook time";
            find(Code::ClockOff, text.to_owned());
        }
        ClockVerdict::Unknown | ClockVerdict::Agreed { .. } => {}
    }
    if !status.writes_refused.is_empty() {
        find(Code::TimeStandsStill, status.writes_refused.clone());
    }
    if !status.unpublished.is_empty() {
        find(Code::CannotSign, status.unpublished.clone());
    }
    if !status.log_key_missing.is_empty() {
        let text = format!("{}: runbook log-key", status.log_key_missing);
        find(Code::LogKeyMissing, text);
    }
    for stands in status
        .audit
        .iter()
        .filter(|stands| !stands.failing.is_empty())
    {
        let (chain, why) = (stands.chain.word(), &stands.failing);
        find(Code::AuditFails, format!("{chain}: {why}: runbook audit"));
    }
    if !status.contradicted.is_empty() {
        let text = format!("{}: runbook audit", status.contradicted);
        find(Code::AuditContradicts, text);
    }
    for held in &status.certificates {
        let (what, path) = (&held.what, held.path.display());
        // Of an authority the file is all there is.
        if held.not_taken && !what.contains("-authority") {
            let text = format!(
                "{what}: {path} is not what is in use, and was not taken up: runbook renew-certificates"
            );
            find(Code::CertificateNotTaken, text);
        }
        // A file may be in the middle of being replaced; what is in use was read before.
        let code = match what.as_str() {
            "raft" | "client" if held.not_after.is_some() => Code::CertificateEnded,
            _ => Code::OtherCertificateEnded,
        };
        match held.not_after {
            None => find(code, format!("{what}: {path} cannot be read")),
            Some(end) if end < now => {
                let text = format!("{what}: {path} ended at {end}: runbook renew-certificates");
                find(code, text);
            }
            Some(_) => {}
        }
    }
}

fn of_peers(status: &ClusterStatus, find: &mut impl FnMut(Code, String)) {
    // Only the leader follows, so only it knows of contacts; each node knows itself what it doubts.
    let leads = status.raft.standing.role == Role::Leader;
    for relation in &status.relations {
        let peer = relation.peer;
        if !relation.doubt.is_empty() {
            let text = format!("{peer}: {}: runbook doubted-peer", relation.doubt);
            find(Code::PeerDoubted, text);
        }
        if relation.quarantined {
            let text = format!("{peer} signed what contradicts itself: runbook peer-in-quarantine");
            find(Code::PeerQuarantined, text);
        }
        // Whoever paused it knows that it is silent.
        if !leads || relation.contact != Contact::Open {
            continue;
        }
        let silent = relation.contacts == 0 || relation.last_contact > PEER_SILENT;
        let seconds = relation.last_contact.as_ms() / 1_000;
        if silent
            && relation
                .overloaded
                .is_some_and(|since| since <= PEER_SILENT)
        {
            let text = format!("{peer} answers that it is overloaded: runbook silent-peer");
            find(Code::PeerOverloaded, text);
        } else if relation.contacts == 0 {
            let text = format!("{peer} has not answered since this node leads");
            find(Code::PeerSilent, text);
        } else if silent {
            find(
                Code::PeerSilent,
                format!("{peer} has not answered for {seconds} s"),
            );
        }
        if let Some((item, since, why)) = &relation.stands
            && *since > FEED_STOPPED
        {
            let text = format!("mail of {peer} stands at item {item}: {why}: runbook stopped-feed");
            find(Code::PeerFeedStopped, text);
        }
    }
}

/// The body for whoever asks, and whether it is a yes.
pub fn told<'a>(hindrances: impl Iterator<Item = &'a Hindrance>) -> (bool, String) {
    let lines: Vec<String> = hindrances.map(ToString::to_string).collect();
    match lines.as_slice() {
        [] => (true, "ready\n".to_owned()),
        lines => (false, format!("not ready\n{}\n", lines.join("\n"))),
    }
}
