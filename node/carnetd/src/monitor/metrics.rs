//! The numbers of a node in the text format of Prometheus: every name begins with `carnet_`, every unit is a base unit.
//!
//! Labels come from closed lists, and from what the registry bounds: members, and peers by prefix. Never a code, an address or
//! a certificate.

use std::sync::atomic::AtomicU64;

use carnet_consensus::{ClockVerdict, Role};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Seen;
use super::readiness::{self, Code};
use crate::gateway::Relation;

/// What the answer says that it is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Every name begins with it.
const PREFIX: &str = "carnet";

const ROLES: [(Role, &str); 5] = [
    (Role::Learner, "learner"),
    (Role::Follower, "follower"),
    (Role::Candidate, "candidate"),
    (Role::Leader, "leader"),
    (Role::Stopped, "stopped"),
];

type Labels = Vec<(&'static str, String)>;

/// A page of metrics while it is written.
struct Page(Registry);

impl Page {
    fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        rows: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        self.gauges(name, help, value.map(|value| (Labels::new(), value)));
    }

    fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        rows: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn seconds(&mut self, name: &'static str, help: &'static str, value: f64) {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }
}

/// What was seen, as one page.
pub fn text(seen: &Seen, now: TimeMs) -> String {
    let mut page = Page(Registry::with_prefix(PREFIX));
    of_program(&mut page, seen, now);
    of_cluster(&mut page, seen);
    of_log(&mut page, seen);
    of_machine(&mut page, seen);
    of_audit(&mut page, seen);
    of_edge(&mut page, seen);
    of_peers(&mut page, seen);
    let mut out = String::new();
    // A String takes whatever is written to it.
    let _ = encode(&mut out, &page.0);
    out
}

fn one(key: &'static str, value: impl ToString) -> Labels {
    vec![(key, value.to_string())]
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Counts and indices are far below 2^53, up to which every integer is a double.
#[expect(
    clippy::cast_precision_loss,
    reason = "what a monitor draws is no proof"
)]
fn number(value: u64) -> f64 {
    value as f64
}

fn seconds(of: DurationMs) -> f64 {
    number(of.as_ms()) / 1_000.0
}

fn of_program(page: &mut Page, seen: &Seen, now: TimeMs) {
    let status = &seen.status;
    let version = one("version", env!("CARGO_PKG_VERSION"));
    page.gauges("build", "The program, always 1", [(version, 1.0)]);
    page.gauge(
        "up_seconds",
        "How long the process runs",
        Some(seen.up.as_secs_f64()),
    );
    let level = status.registry.as_ref().map(|registry| registry.level);
    let level = level.map(|level| f64::from(level.number()));
    page.gauge("feature_level", "Feature level of the registry", level);
    let known = f64::from(Level::KNOWN.number());
    page.gauge(
        "feature_level_known",
        "Feature level that the program knows",
        Some(known),
    );
    let hindrances = readiness::hindrances(status, now);
    let is = |code: Code| hindrances.iter().any(|found| found.code == code);
    let own = !hindrances.iter().any(|found| found.code.is_of_callers());
    page.gauge("ready", "Whether the node is ready", Some(flag(own)));
    let all = Some(flag(
        !hindrances
            .iter()
            .any(|found| found.code.is_of_callers_or_peers()),
    ));
    page.gauge("ready_federation", "Whether it is, its peers included", all);
    let rows = Code::ALL.map(|code| (one("code", code.word()), flag(is(code))));
    page.gauges(
        "hindrance",
        "What is wrong: 1 for each; some of it leaves the node ready",
        rows,
    );
    let memory = seen.resident_bytes.map(number);
    page.gauge("resident_memory_bytes", "Memory of the process", memory);
}

fn of_cluster(page: &mut Page, seen: &Seen) {
    let raft = &seen.status.raft;
    let roles = ROLES.map(|(role, word)| (one("role", word), flag(raft.standing.role == role)));
    page.gauges(
        "raft_role",
        "What the node does in its cluster: 1 for its role",
        roles,
    );
    page.gauge("raft_term", "Term", Some(number(raft.standing.term)));
    let led = Some(flag(raft.standing.leader.is_some()));
    page.gauge("raft_leader_known", "Whether the node knows a leader", led);
    let count = |count: usize| Some(number(count as u64));
    page.gauge("raft_voters", "Voters", count(raft.voters.len()));
    page.gauge(
        "raft_members",
        "Voters and learners",
        count(raft.members.len()),
    );
    page.gauge(
        "raft_change_unfinished",
        "Whether a change of voters was begun and not finished",
        Some(flag(raft.joint)),
    );
    let lags = raft
        .lag
        .iter()
        .map(|(node, lag)| (one("node", node), number(*lag)));
    page.gauges(
        "member_lag_entries",
        "On the leader: log entries that a member lacks",
        lags,
    );
    let silence = raft
        .silence
        .iter()
        .map(|(node, since)| (one("node", node), since.as_secs_f64()));
    page.gauges(
        "member_silence_seconds",
        "On the leader: since a member answered",
        silence,
    );
    let quorum = raft.quorum_silence.map(|since| since.as_secs_f64());
    page.gauge(
        "quorum_silence_seconds",
        "On the leader: since a quorum answered",
        quorum,
    );
}

fn of_log(page: &mut Page, seen: &Seen) {
    let (raft, progress) = (&seen.status.raft, &seen.status.progress);
    let index = |index: Option<u64>| Some(number(index.unwrap_or(0)));
    page.gauge("log_last_index", "Last log entry", index(raft.last));
    page.gauge(
        "log_committed_index",
        "Last committed log entry, as far as the node knows",
        index(raft.committed),
    );
    page.gauge(
        "log_applied_index",
        "Last applied log entry",
        index(raft.applied),
    );
    page.gauge(
        "log_snapshot_index",
        "Last log entry of the newest snapshot",
        index(raft.snapshot),
    );
    page.gauge(
        "log_purged_index",
        "Last purged log entry",
        index(raft.purged),
    );
    let lag = Some(number(readiness::lag(&seen.status)));
    page.gauge("apply_lag_entries", "Committed and not applied", lag);
    page.gauge(
        "tree_leaves",
        "Leaves of the log",
        Some(number(progress.size)),
    );
    page.gauge(
        "sealed_leaves",
        "Leaves under the newest seal",
        Some(number(progress.sealed)),
    );
    page.gauge(
        "published_leaves",
        "Leaves under the newest published head",
        Some(number(progress.published)),
    );
    page.gauge(
        "seal_age_seconds",
        "Since the newest seal",
        seen.sealed_ago.map(seconds),
    );
    page.gauge(
        "publication_age_seconds",
        "Age of the newest published head",
        seen.published_ago.map(seconds),
    );
    page.gauge(
        "callers_waiting",
        "Callers that wait for a published proof",
        Some(number(seen.waiting as u64)),
    );
    let rows = seen.proposals.iter();
    let rows = rows.map(|(outcome, count)| (one("outcome", outcome.word()), *count));
    page.counters(
        "proposals",
        "Proposals of this node by what became of them",
        rows,
    );
    let (done, refused) = seen.items;
    let rows = [
        (one("answer", "done"), done),
        (one("answer", "refused"), refused),
    ];
    page.counters(
        "items",
        "Items of committed proposals by the answer of the rules",
        rows,
    );
}

fn of_machine(page: &mut Page, seen: &Seen) {
    let status = &seen.status;
    page.gauge(
        "log_bytes",
        "The Raft log on the disk",
        Some(number(seen.bytes.log)),
    );
    page.gauge(
        "state_bytes",
        "The state on the disk",
        Some(number(seen.bytes.state)),
    );
    let own = status.room.own.as_ref();
    page.gauge(
        "disk_free_bytes",
        "Free on the fullest file system of the node",
        own.map(|space| number(space.free_bytes)),
    );
    page.gauge(
        "disk_watermark_bytes",
        "What should be free there",
        own.map(|space| number(space.watermark_bytes)),
    );
    let offset = match status.clocks.verdict {
        ClockVerdict::Agreed { offset_ms } | ClockVerdict::Off { offset_ms, .. } => {
            let size = number(offset_ms.unsigned_abs()) / 1_000.0;
            Some(if offset_ms < 0 { -size } else { size })
        }
        ClockVerdict::Unknown | ClockVerdict::Disagreement => None,
    };
    page.gauge(
        "clock_offset_seconds",
        "What a quorum reads, minus the node's clock",
        offset,
    );
    let ends = status.certificates.iter().map(|held| {
        let end = held.not_after.map_or(0, TimeMs::as_ms);
        (one("certificate", &held.what), number(end / 1_000))
    });
    page.gauges(
        "certificate_not_after_timestamp_seconds",
        "The last second of a certificate; 0: it cannot be read",
        ends,
    );
}

fn of_audit(page: &mut Page, seen: &Seen) {
    let all = || seen.status.audit.iter();
    let numbers = all().map(|one_of| (one("chain", one_of.chain.word()), one_of.head.number));
    page.counters(
        "audit_records",
        "Records of a chain of the audit since its beginning",
        numbers,
    );
    let failing = all().map(|one_of| {
        let fails = flag(!one_of.failing.is_empty());
        (one("chain", one_of.chain.word()), fails)
    });
    page.gauges(
        "audit_failing",
        "Whether a chain of the audit cannot be written",
        failing,
    );
}

fn of_edge(page: &mut Page, seen: &Seen) {
    let accepted = seen
        .ports
        .iter()
        .map(|port| (one("plane", port.plane()), port.accepted()));
    page.counters(
        "connections_accepted",
        "Connections that proved who they are",
        accepted,
    );
    let turned = seen.ports.iter().flat_map(|port| {
        port.all().map(|(why, count)| {
            let labels = vec![
                ("plane", port.plane().to_string()),
                ("reason", why.word().to_owned()),
            ];
            (labels, count)
        })
    });
    page.counters(
        "turned_away",
        "Connections and requests turned away or cut",
        turned,
    );
    let readers = &seen.readers;
    page.gauge(
        "reads_waiting",
        "Reads that wait for their turn",
        Some(number(readers.waiting)),
    );
    page.counters(
        "reads",
        "Reads that had their turn",
        [(Labels::new(), readers.begun)],
    );
    page.seconds(
        "reads_waited_seconds",
        "How long reads waited for their turn, together",
        readers.waited.as_secs_f64(),
    );
}

fn of_peers(page: &mut Page, seen: &Seen) {
    let status = &seen.status;
    let mut gauges = |name, help, value: &dyn Fn(&Relation) -> Option<f64>| {
        let rows = status.relations.iter();
        let rows = rows.filter_map(|one_of| Some((one("peer", one_of.peer), value(one_of)?)));
        page.gauges(name, help, rows.collect::<Vec<_>>());
    };
    gauges(
        "peer_contacts",
        "How often a peer was heard since this node leads",
        &|peer| Some(number(peer.contacts)),
    );
    gauges(
        "peer_last_contact_seconds",
        "Since a peer was heard; known on the leader",
        &|peer| (peer.contacts > 0).then(|| seconds(peer.last_contact)),
    );
    gauges(
        "peer_head_age_seconds",
        "Age of the newest head that a peer showed",
        &|peer| (peer.checkpoint_age.as_ms() > 0).then(|| seconds(peer.checkpoint_age)),
    );
    gauges(
        "peer_mailbox_items",
        "Items for a peer that it has not acknowledged to this node",
        &|peer| Some(number(peer.outbox.saturating_sub(peer.acknowledged))),
    );
    gauges(
        "peer_errors_in_a_row",
        "Errors since something of a peer was taken",
        &|peer| Some(number(peer.errors_in_a_row)),
    );
    gauges(
        "peer_feed_stopped_seconds",
        "For how long mail of a peer has stood at one item",
        &|peer| {
            Some(
                peer.stands
                    .as_ref()
                    .map_or(0.0, |(_, since, _)| seconds(*since)),
            )
        },
    );
    gauges(
        "peer_parked_items",
        "Items of a peer that wait for a hand, or for what they need",
        &|peer| Some(number(status.parked.get(&peer.peer).copied().unwrap_or(0))),
    );
    gauges(
        "peer_doubted",
        "Whether this node doubts a peer's word",
        &|peer| Some(flag(!peer.doubt.is_empty())),
    );
    gauges(
        "peer_quarantined",
        "Whether a peer is quarantined",
        &|peer| Some(flag(peer.quarantined)),
    );
}
