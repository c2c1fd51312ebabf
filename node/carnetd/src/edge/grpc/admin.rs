//! The admin service in gRPC.

use std::collections::BTreeMap;
use std::time::Duration;

use carnet_consensus::{ClockOffset, ClockVerdict, Member, Role, Status as RaftStatus};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::leaf::LEAF_VERSION;
use carnet_domain::record::audited::AuditAnchor;
use carnet_domain::record::peer::Signed;
use carnet_domain::rules::policy::Query;
use carnet_store::identity::StoreId;
use carnet_store::machine::StandsBefore;
use carnet_wire::admin::v1 as pb;
use carnet_wire::admin::v1::admin_server::{Admin, AdminServer};
use carnet_wire::convert;
use carnet_wire::limits::CLIENT_REQUEST_BYTES_MAX;
use carnet_wire::status::ApiError;
use tonic::Request;

use super::{Answer, answer, open_for};
use crate::audit::{Chain, Stands};
use crate::certificates::Held;
use crate::compare::Compare;
use crate::edge::EdgeCounters;
use crate::gateway::Relation;
use crate::node::Node;
use crate::service::ClusterService;
use crate::service::cluster::{ClusterStatus, Digested, Fewest, MembersChange, OpenProposal};
use crate::skip_files::SkipFile;

/// The service on the admin plane.
pub struct GrpcAdmin {
    pub(crate) service: ClusterService,
}

impl GrpcAdmin {
    /// The service on a server, with its limits.
    pub fn into_server(self) -> AdminServer<Self> {
        AdminServer::new(self).max_decoding_message_size(CLIENT_REQUEST_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl Admin for GrpcAdmin {
    async fn initialize(
        &self,
        request: Request<pb::InitializeRequest>,
    ) -> Answer<pb::InitializeResponse> {
        let founded = async {
            let (caller, message) = open_for(request, Query::ClusterChange)?;
            let genesis: Signed = convert::canonical("genesis", &message.genesis)?;
            let members = message.members.iter().map(member).collect();
            let answer = self.service.initialize(&caller, genesis, members).await?;
            Ok(pb::InitializeResponse { answer })
        };
        answer(founded.await)
    }

    async fn get_status(
        &self,
        request: Request<pb::GetStatusRequest>,
    ) -> Answer<pb::GetStatusResponse> {
        let status = async {
            let (caller, message) = open_for(request, Query::ClusterStatus)?;
            let digested = match message.with_digest {
                true => Digested::Whole,
                false => Digested::No,
            };
            let status = self.service.status(&caller, digested).await?;
            Ok(status_message(&self.service.node, status))
        };
        answer(status.await)
    }

    async fn submit_statement(
        &self,
        request: Request<pb::SubmitStatementRequest>,
    ) -> Answer<pb::SubmitStatementResponse> {
        let submitted = async {
            let (caller, message) = open_for(request, Query::ClusterChange)?;
            let signed = convert::canonical("signed", &message.signed)?;
            let answer = self.service.submit_statement(&caller, signed).await?;
            Ok(pb::SubmitStatementResponse { answer })
        };
        answer(submitted.await)
    }

    async fn add_learner(
        &self,
        request: Request<pb::AddLearnerRequest>,
    ) -> Answer<pb::ChangeResponse> {
        let changed = async {
            let (caller, message) = open_for(request, Query::ClusterChange)?;
            let added = message.member.as_ref().map(member);
            let added = added.ok_or_else(|| ApiError::invalid("member", "a member is needed"))?;
            let log_index = self.service.add_learner(&caller, added).await?;
            Ok(pb::ChangeResponse { log_index })
        };
        answer(changed.await)
    }

    async fn change_members(
        &self,
        request: Request<pb::ChangeMembersRequest>,
    ) -> Answer<pb::ChangeResponse> {
        let changed = async {
            let (caller, message) = open_for(request, Query::ClusterChange)?;
            let change = MembersChange {
                voters: message.voters.into_iter().collect(),
                retire: message.retire.into_iter().collect(),
                fewest: match message.fewer_than_three {
                    true => Fewest::Meant,
                    false => Fewest::Three,
                },
            };
            let log_index = self.service.change_members(&caller, &change).await?;
            Ok(pb::ChangeResponse { log_index })
        };
        answer(changed.await)
    }

    async fn take_snapshot(
        &self,
        request: Request<pb::TakeSnapshotRequest>,
    ) -> Answer<pb::ChangeResponse> {
        let taken = async {
            let (caller, pb::TakeSnapshotRequest {}) = open_for(request, Query::ClusterChange)?;
            let log_index = self.service.take_snapshot(&caller).await?;
            Ok(pb::ChangeResponse { log_index })
        };
        answer(taken.await)
    }

    async fn transfer_leadership(
        &self,
        request: Request<pb::TransferLeadershipRequest>,
    ) -> Answer<pb::TransferLeadershipResponse> {
        let led = async {
            let (caller, message) = open_for(request, Query::ClusterChange)?;
            let led = self
                .service
                .transfer_leadership(&caller, message.to)
                .await?;
            Ok(pb::TransferLeadershipResponse {
                leader: led.leader.unwrap_or(0),
                term: led.term,
            })
        };
        answer(led.await)
    }

    async fn query_audit(
        &self,
        request: Request<pb::QueryAuditRequest>,
    ) -> Answer<pb::QueryAuditResponse> {
        let read = async {
            let (caller, message) = open_for(request, Query::ReadAudit)?;
            let pb::QueryAuditRequest {
                chain,
                after,
                count,
            } = message;
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let (page, head) = self.service.audit(&caller, &chain, after, count).await?;
            Ok(pb::QueryAuditResponse {
                lines: page.lines,
                more: page.more,
                stands: Some(pb::AuditStatus {
                    chain,
                    number: head.number,
                    hash: head.hash.0.to_vec().into(),
                    failing: String::new(),
                }),
            })
        };
        answer(read.await)
    }
}

fn member(message: &pb::Member) -> (u64, Member) {
    (
        message.node,
        Member {
            raft: message.raft_address.clone(),
            api: message.client_address.clone(),
            // The node that is added says itself which store it has.
            store: StoreId::NONE,
        },
    )
}

fn status_message(node: &Node, status: ClusterStatus) -> pb::GetStatusResponse {
    let ClusterStatus {
        raft,
        stands,
        registry,
        progress,
        digest,
        clocks,
        clock,
        writes_refused,
        room,
        compare,
        relations,
        parked,
        certificates,
        audit,
        anchors,
        contradicted,
        proposals,
        refused,
        log_key_missing,
        skip_files,
        unavailable,
        unpublished,
        quorum_lost,
    } = status;
    let (verdict, clock_behind_ms) = match clocks.verdict {
        ClockVerdict::Unknown => ("unknown", 0),
        ClockVerdict::Agreed { offset_ms } => ("agreed", offset_ms),
        ClockVerdict::Off { offset_ms, .. } => ("off", offset_ms),
        ClockVerdict::Disagreement => ("disagreement", 0),
    };
    let low = room.low.iter();
    let warnings = low.map(|(node, space)| format!("node {node}: {space}"));
    let registry = registry.as_ref();
    let cluster = registry.map_or_else(Vec::new, |registry| registry.cluster.to_vec());
    pb::GetStatusResponse {
        node: raft.node,
        role: format!("{:?}", raft.standing.role).to_lowercase(),
        term: raft.standing.term,
        leader: raft.standing.leader.unwrap_or(0),
        last_log: raft.last.unwrap_or(0),
        applied: raft.applied.unwrap_or(0),
        snapshot: raft.snapshot.unwrap_or(0),
        purged: raft.purged.unwrap_or(0),
        members: members(&raft),
        voters: raft.voters.iter().copied().collect(),
        prefix: node.prefix().to_string(),
        incarnation: registry.map_or(0, |registry| registry.incarnation),
        log_time_ms: progress.log_time.as_ms(),
        tree_size: progress.size,
        published_size: progress.published,
        peers: relations
            .into_iter()
            .map(|relation| peer_status(relation, &parked))
            .collect(),
        state_digest: digest
            .map_or_else(Vec::new, |digest| digest.to_vec())
            .into(),
        leaf_version: u32::from(LEAF_VERSION),
        cluster: node.cluster.to_vec().into(),
        stands_still: stands.map(|stands| stands_still(stands, cluster)),
        skip_files: skip_files.into_iter().map(skip_file).collect(),
        unsettled: compare.unsettled.clone().unwrap_or_default(),
        compare: Some(compare_status(compare)),
        ceiling_ms: progress.ceiling.as_ms(),
        clocks: clocks.offsets.iter().map(voter_clock).collect(),
        clock_verdict: verdict.into(),
        clock_behind_ms,
        writes_refused,
        time_statements: registry.map_or(0, |registry| registry.time_statements),
        refuses: room.refusal.clone().unwrap_or_default(),
        disk_free: room.own.as_ref().map_or(0, |space| space.free_bytes),
        disk_watermark: room.own.as_ref().map_or(0, |space| space.watermark_bytes),
        warnings: warnings.collect(),
        committed: raft.committed.unwrap_or(0),
        progress: member_progress(&raft),
        joint: raft.joint,
        quorum_lost,
        clock_ms: clock.as_ms(),
        unavailable,
        unpublished,
        ports: node.ports().iter().map(|port| port_status(port)).collect(),
        certificates: certificates.into_iter().map(certificate).collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        audit: audit.into_iter().map(audit_status).collect(),
        audit_anchors: anchors.nodes.iter().map(audit_anchor).collect(),
        audit_contradicts: contradicted,
        proposals: proposals.into_iter().map(open_proposal).collect(),
        refused_nodes: refused.into_iter().collect(),
        log_key_missing,
        log_keys: node
            .keyring
            .log_keys()
            .iter()
            .map(|key| key.as_bytes().to_vec().into())
            .collect(),
        level: registry.map_or(0, |registry| u32::from(registry.level.number())),
    }
}

fn audit_anchor(anchor: &AuditAnchor) -> pb::AuditAnchor {
    let chains = Chain::ALL.into_iter().zip(anchor.heads.all());
    pb::AuditAnchor {
        node: anchor.node,
        chains: chains
            .map(|(chain, head)| pb::AuditStatus {
                chain: chain.word().into(),
                number: head.number,
                hash: head.hash.0.to_vec().into(),
                failing: String::new(),
            })
            .collect(),
        leaf: anchor.leaf,
        at_ms: anchor.at.as_ms(),
    }
}

fn open_proposal(proposal: OpenProposal) -> pb::OpenProposal {
    pb::OpenProposal {
        number: proposal.number,
        what: proposal.what.to_owned(),
        about: proposal.about,
        by: proposal.by,
        until_ms: proposal.until.as_ms(),
    }
}

fn audit_status(stands: Stands) -> pb::AuditStatus {
    pb::AuditStatus {
        chain: stands.chain.word().into(),
        number: stands.head.number,
        hash: stands.head.hash.0.to_vec().into(),
        failing: stands.failing,
    }
}

fn certificate(held: Held) -> pb::CertificateStatus {
    pb::CertificateStatus {
        what: held.what,
        path: held.path.display().to_string(),
        not_after_ms: held.not_after.map(TimeMs::as_ms),
        not_taken: held.not_taken,
    }
}

fn port_status(port: &EdgeCounters) -> pb::PortStatus {
    let turned = port.all().filter(|(_, count)| *count > 0);
    pb::PortStatus {
        plane: port.plane().to_string(),
        accepted: port.accepted(),
        turned: turned
            .map(|(why, count)| pb::TurnedAway {
                reason: why.word().into(),
                count,
            })
            .collect(),
    }
}

fn members(raft: &RaftStatus) -> Vec<pb::Member> {
    let message = |(node, member): (&u64, &Member)| pb::Member {
        node: *node,
        raft_address: member.raft.clone(),
        client_address: member.api.clone(),
    };
    raft.members.iter().map(message).collect()
}

fn peer_status(relation: Relation, parked: &BTreeMap<Prefix, u64>) -> pb::PeerStatus {
    pb::PeerStatus {
        parked: parked.get(&relation.peer).copied().unwrap_or(0),
        prefix: relation.peer.to_string(),
        name: relation.name,
        cursor: relation.cursor,
        outbox: relation.outbox,
        acknowledged: relation.acknowledged,
        last_contact_ms: relation.last_contact.as_ms(),
        contacts: relation.contacts,
        overloaded_ms: relation.overloaded.map(|since| since.as_ms()),
        checkpoint_size: relation.checkpoint_size,
        checkpoint_age_ms: relation.checkpoint_age.as_ms(),
        quarantined: relation.quarantined,
        last_error: relation.last_error,
        doubt: relation.doubt.to_owned(),
        errors_in_a_row: relation.errors_in_a_row,
        stands: relation.stands.map(|(item, since, why)| pb::FeedStands {
            item,
            since_ms: since.as_ms(),
            why,
        }),
        bundle_ends_ms: relation.bundle_ends.as_ms(),
        contact: relation.contact.name().to_lowercase(),
        agreements: relation.agreements,
    }
}

fn stands_still(stands: StandsBefore, cluster: Vec<u8>) -> pb::StandsStill {
    pb::StandsStill {
        log_index: stands.position.index,
        entry: stands.digest.0.to_vec().into(),
        why: stands.why,
        cluster: cluster.into(),
    }
}

fn skip_file(file: SkipFile) -> pb::SkipFile {
    pb::SkipFile {
        name: file.name,
        verdict: file.verdict,
    }
}

fn compare_status(compare: Compare) -> pb::CompareStatus {
    let (mark, voters) = compare.content.unzip();
    pb::CompareStatus {
        agreed_size: compare.agreed_size,
        content_size: mark.as_ref().map_or(0, |mark| mark.size),
        content_log_index: mark.as_ref().map_or(0, |mark| mark.index),
        content_digest: mark.and_then(|mark| mark.digest).unwrap_or_default(),
        content_voters: voters.unwrap_or_default(),
    }
}

fn voter_clock(clock: &ClockOffset) -> pb::VoterClock {
    pb::VoterClock {
        node: clock.node,
        offset_ms: clock.offset_ms,
        round_trip_ms: clock.round_trip_ms,
    }
}

fn member_progress(raft: &RaftStatus) -> Vec<pb::MemberProgress> {
    if raft.standing.role != Role::Leader {
        return Vec::new();
    }
    let others = raft.members.keys().filter(|node| **node != raft.node);
    let progress = others.map(|node| {
        let acknowledged = raft.acknowledged.get(node).copied();
        pb::MemberProgress {
            node: *node,
            heard: acknowledged.is_some(),
            acknowledged: acknowledged.unwrap_or(0),
            lag: raft.lag.get(node).copied().unwrap_or(u64::MAX),
            silence_ms: raft.silence.get(node).map(in_ms),
        }
    });
    progress.collect()
}

fn in_ms(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
