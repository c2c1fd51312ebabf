//! The admin service: founding a cluster, its state, its members, and statements of the roots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use carnet_consensus::{AdminError, ClockOffset, ClockVerdict, Member};
use carnet_domain::accord::{Signed, Statement};
use carnet_domain::encoding::Canonical;
use carnet_domain::entry::{Body, ItemAnswer};
use carnet_domain::leaf::LEAF_VERSION;
use carnet_domain::policy::Query;
use carnet_store::artefact::content_digest;
use carnet_store::identity::StoreId;
use carnet_store::records::Records;
use carnet_wire::admin::v1 as pb;
use carnet_wire::admin::v1::admin_server::Admin;
use carnet_wire::convert;
use carnet_wire::status::ApiError;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::registry::{refusal, status, storage};
use crate::compare::{Compare, Comparer};
use crate::gateway::Gateway;
use crate::ingress;
use crate::node::Node;
use crate::skip_files::SkipFile;
use crate::timekeeper;

/// The service of one node.
pub struct AdminService {
    pub(crate) node: Arc<Node>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) skips: watch::Receiver<Vec<SkipFile>>,
    pub(crate) comparer: Arc<Comparer>,
}

type Answer<T> = Result<Response<T>, Status>;

fn admin_error(error: AdminError) -> Status {
    status(match error {
        AdminError::NotLeader { leader } => ApiError::NotLeader {
            leader: leader.map(|(_, address)| address),
        },
        AdminError::Refused(text) => ApiError::DidNotHappen { text },
        AdminError::Unknown(text) => ApiError::UnknownOutcome { text },
        AdminError::Stopped => ApiError::unavailable("this node stops"),
    })
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

#[tonic::async_trait]
impl Admin for AdminService {
    async fn initialize(
        &self,
        request: Request<pb::InitializeRequest>,
    ) -> Answer<pb::InitializeResponse> {
        ingress::may_ask(request.extensions(), Query::ClusterChange).map_err(status)?;
        let message = request.into_inner();
        let signed: Signed = convert::canonical("genesis", &message.genesis).map_err(status)?;
        self.judge_genesis(&signed).map_err(status)?;
        let members: BTreeMap<u64, Member> = message.members.iter().map(member).collect();
        if !members.contains_key(&self.node.config.node.id) {
            let own = self.node.config.node.id;
            return Err(status(ApiError::invalid(
                "members",
                format!("node {own}, which is asked, is not among them"),
            )));
        }
        // A store that is to join a cluster would found a second one under the same identity.
        if self.node.raft.status().voters.is_empty() && !self.node.founds {
            let own = self.node.config.node.id;
            let text = format!(
                "the store of node {own} was made to join a cluster, not to found one: `carnetd init --join` did not name \
                 {own} itself"
            );
            return Err(status(ApiError::invalid("members", text)));
        }
        // Until the genesis is in the log the founding may be unfinished: it goes on where it was interrupted.
        if self.node.state.registry().map_err(storage)?.is_none() {
            self.node
                .raft
                .initialize(members)
                .await
                .map_err(admin_error)?;
        }
        // Founding elects a leader, which may be another node: the caller is told where to go on.
        let patience = carnet_wire::limits::REQUEST_TIMEOUT / 2;
        let led = self
            .node
            .raft
            .wait_status(|status| status.standing.leader.is_some(), patience)
            .await;
        led.map_err(|error| status(ApiError::unavailable(error)))?;
        let committed = self
            .node
            .propose(Body::Root { signed })
            .await
            .map_err(status)?;
        match committed.answer.items.first() {
            Some(ItemAnswer::Done { .. }) => Ok(Response::new(pb::InitializeResponse {
                answer: committed.bytes,
            })),
            _ => Err(status(refusal(&committed))),
        }
    }

    async fn get_status(
        &self,
        request: Request<pb::GetStatusRequest>,
    ) -> Answer<pb::GetStatusResponse> {
        ingress::may_ask(request.extensions(), Query::ClusterStatus).map_err(status)?;
        let raft = self.node.raft.status();
        let registry = self.node.state.registry().map_err(storage)?;
        let digest = if request.get_ref().with_digest {
            let view =
                carnet_store::engine::KvEngine::view(self.node.state.engine()).map_err(storage)?;
            let digest = tokio::task::spawn_blocking(move || content_digest(view.as_ref())).await;
            digest
                .map_err(|error| status(ApiError::internal(error)))?
                .map_err(storage)?
                .to_vec()
        } else {
            Vec::new()
        };
        let progress = self.node.progress();
        let clocks = self.node.raft.clocks().borrow().clone();
        let (verdict, clock_behind_ms) = match clocks.verdict {
            ClockVerdict::Unknown => ("unknown", 0),
            ClockVerdict::Agreed { offset_ms } => ("agreed", offset_ms),
            ClockVerdict::Off { offset_ms, .. } => ("off", offset_ms),
            ClockVerdict::Disagreement => ("disagreement", 0),
        };
        let room = self.node.raft.room().borrow().clone();
        let peers = match &registry {
            Some(_) => Records(self.node.state.engine()).peers().map_err(storage)?,
            None => Vec::new(),
        };
        Ok(Response::new(pb::GetStatusResponse {
            node: raft.node,
            role: format!("{:?}", raft.standing.role).to_lowercase(),
            term: raft.standing.term,
            leader: raft.standing.leader.unwrap_or(0),
            last_log: raft.last.unwrap_or(0),
            applied: raft.applied.unwrap_or(0),
            snapshot: raft.snapshot.unwrap_or(0),
            purged: raft.purged.unwrap_or(0),
            members: raft
                .members
                .iter()
                .map(|(node, member)| pb::Member {
                    node: *node,
                    raft_address: member.raft.clone(),
                    client_address: member.api.clone(),
                })
                .collect(),
            voters: raft.voters.iter().copied().collect(),
            prefix: self.node.prefix().to_string(),
            incarnation: registry.as_ref().map_or(0, |registry| registry.incarnation),
            log_time_ms: progress.log_time.as_ms(),
            tree_size: progress.size,
            published_size: progress.published,
            peers: self.gateway.statuses(&peers),
            state_digest: digest.into(),
            leaf_version: u32::from(LEAF_VERSION),
            cluster: self.node.cluster.to_vec().into(),
            stands_still: self
                .node
                .raft
                .stands_before()
                .map(|stands| pb::StandsStill {
                    log_index: stands.position.index,
                    entry: stands.digest.0.to_vec().into(),
                    why: stands.why,
                    cluster: registry
                        .as_ref()
                        .map_or_else(Vec::new, |registry| registry.cluster.to_vec())
                        .into(),
                }),
            skip_files: self.skip_files(),
            compare: Some(compare_status(self.comparer.status())),
            ceiling_ms: progress.ceiling.as_ms(),
            clocks: clocks.offsets.iter().map(voter_clock).collect(),
            clock_verdict: verdict.into(),
            clock_behind_ms,
            writes_refused: timekeeper::refusal(&self.node),
            time_statements: registry
                .as_ref()
                .map_or(0, |registry| registry.time_statements),
            refuses: room.refusal.clone().unwrap_or_default(),
            disk_free: room.own.as_ref().map_or(0, |space| space.free_bytes),
            disk_watermark: room.own.as_ref().map_or(0, |space| space.watermark_bytes),
            warnings: room
                .low
                .iter()
                .map(|(node, space)| format!("node {node}: {space}"))
                .collect(),
        }))
    }

    async fn submit_statement(
        &self,
        request: Request<pb::SubmitStatementRequest>,
    ) -> Answer<pb::SubmitStatementResponse> {
        ingress::may_ask(request.extensions(), Query::ClusterChange).map_err(status)?;
        let signed: Signed =
            convert::canonical("signed", &request.get_ref().signed).map_err(status)?;
        self.judge_genesis(&signed).map_err(status)?;
        let committed = self
            .node
            .propose(Body::Root { signed })
            .await
            .map_err(status)?;
        Ok(Response::new(pb::SubmitStatementResponse {
            answer: committed.bytes,
        }))
    }

    async fn add_learner(
        &self,
        request: Request<pb::AddLearnerRequest>,
    ) -> Answer<pb::ChangeResponse> {
        ingress::may_ask(request.extensions(), Query::ClusterChange).map_err(status)?;
        let message = request.into_inner().member;
        let message =
            message.ok_or_else(|| status(ApiError::invalid("member", "a member is needed")))?;
        let (node, member) = member(&message);
        self.node
            .raft
            .add_learner(node, member)
            .await
            .map_err(admin_error)?;
        Ok(self.changed())
    }

    async fn change_members(
        &self,
        request: Request<pb::ChangeMembersRequest>,
    ) -> Answer<pb::ChangeResponse> {
        ingress::may_ask(request.extensions(), Query::ClusterChange).map_err(status)?;
        let voters: BTreeSet<u64> = request.into_inner().voters.into_iter().collect();
        if voters.is_empty() {
            return Err(status(ApiError::invalid(
                "voters",
                "a cluster needs a voter",
            )));
        }
        self.node
            .raft
            .change_membership(voters, carnet_consensus::Retired::Leave)
            .await
            .map_err(admin_error)?;
        Ok(self.changed())
    }

    async fn take_snapshot(
        &self,
        request: Request<pb::TakeSnapshotRequest>,
    ) -> Answer<pb::ChangeResponse> {
        ingress::may_ask(request.extensions(), Query::ClusterChange).map_err(status)?;
        self.node
            .raft
            .trigger_snapshot()
            .await
            .map_err(admin_error)?;
        Ok(self.changed())
    }

    async fn transfer_leadership(
        &self,
        request: Request<pb::TransferLeadershipRequest>,
    ) -> Answer<pb::TransferLeadershipResponse> {
        ingress::may_ask(request.extensions(), Query::ClusterChange).map_err(status)?;
        let to = request.into_inner().to;
        let led = self.node.raft.hand_over(to).await.map_err(admin_error)?;
        Ok(Response::new(pb::TransferLeadershipResponse {
            leader: led.leader.unwrap_or(0),
            term: led.term,
        }))
    }
}

impl AdminService {
    /// A genesis for another cluster would be taken by the log once and for all, and refused by every node at its next
    /// start. Whatever is no genesis is judged where it is applied.
    fn judge_genesis(&self, signed: &Signed) -> Result<(), ApiError> {
        let Ok(Statement::Genesis { genesis }) = Statement::from_bytes(&signed.bytes.0) else {
            return Ok(());
        };
        let named = (genesis.cluster, genesis.incarnation);
        let ours = (self.node.cluster, self.node.incarnation);
        if named == ours {
            return Ok(());
        }
        let text = |(cluster, incarnation): ([u8; 16], u64)| {
            format!("cluster {} incarnation {incarnation}", hex::encode(cluster))
        };
        let fault = format!(
            "it names {}, the certificates of this node name {}",
            text(named),
            text(ours)
        );
        Err(ApiError::invalid("genesis", fault))
    }

    fn skip_files(&self) -> Vec<pb::SkipFile> {
        let files = self.skips.borrow();
        files
            .iter()
            .map(|file| pb::SkipFile {
                name: file.name.clone(),
                verdict: file.verdict.clone(),
            })
            .collect()
    }

    fn changed(&self) -> Response<pb::ChangeResponse> {
        Response::new(pb::ChangeResponse {
            log_index: self.node.raft.status().applied.unwrap_or(0),
        })
    }
}
