//! The admin service: founding a cluster, its state, its members, and statements of the roots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use carnet_consensus::{AdminError, ClockOffset, ClockVerdict, Member, Role, Status as RaftStatus};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::leaf::LEAF_VERSION;
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::peer::{Signed, Statement};
use carnet_domain::rules::policy::Query;
use carnet_store::artefact::content_digest;
use carnet_store::identity::StoreId;
use carnet_store::records::Records;
use carnet_wire::admin::v1 as pb;
use carnet_wire::admin::v1::admin_server::Admin;
use carnet_wire::convert;
use carnet_wire::status::{ApiError, Obstacle};
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

/// Fewer voters are taken only from a caller who says that they are meant.
const VOTERS_MIN: usize = 3;
/// The farthest that a genesis may have been made from this node's clock.
const GENESIS_AGE_MAX: DurationMs = DurationMs::from_secs(600);

type Answer<T> = Result<Response<T>, Status>;

fn admin_error(error: AdminError) -> Status {
    status(match error {
        AdminError::NotLeader { leader } => ApiError::NotLeader {
            leader: leader.map(|(_, address)| address),
        },
        AdminError::Refused(obstacle, text) => ApiError::ChangeRefused { obstacle, text },
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

/// Log time begins with the genesis, and what it says stands in the log for ever: of two clocks that differ one is wrong.
fn judge_genesis_time(made: TimeMs, here: TimeMs) -> Result<(), ApiError> {
    if made.since(here).max(here.since(made)) <= GENESIS_AGE_MAX {
        return Ok(());
    }
    let minutes = GENESIS_AGE_MAX.as_ms() / 60_000;
    let text = format!(
        "it was made at {made}, and the clock of this node reads {here}: log time begins with it, so more than {minutes} \
         minutes are not taken. Set the clock that is wrong, and make it again"
    );
    Err(ApiError::invalid("genesis", text))
}

/// What a change of voters does to the members.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// These vote; whoever voted before and is not among them leaves.
    Voters(BTreeSet<u64>),
    /// These vote already, and these learners leave.
    Learners(BTreeSet<u64>),
}

/// Judges a change of voters by whom the caller named as leaving. Whether it can be done is for consensus to say.
fn judge_change(
    raft: &RaftStatus,
    request: &pb::ChangeMembersRequest,
) -> Result<Vec<Change>, ApiError> {
    let voters: BTreeSet<u64> = request.voters.iter().copied().collect();
    let retire: BTreeSet<u64> = request.retire.iter().copied().collect();
    if voters.is_empty() {
        return Err(ApiError::invalid("voters", "a cluster needs a voter"));
    }
    if let Some(both) = voters.intersection(&retire).next() {
        let text = format!("node {both} is to vote, and to leave for good");
        return Err(ApiError::invalid("retire", text));
    }
    let refused = |obstacle, text| Err(ApiError::ChangeRefused { obstacle, text });
    let unnamed: Vec<String> = raft
        .voters
        .iter()
        .filter(|node| !voters.contains(node) && !retire.contains(node))
        .map(ToString::to_string)
        .collect();
    if !unnamed.is_empty() {
        let text = format!(
            "node {} votes now and would leave for good, its id never to be used again; it is not named as leaving",
            unnamed.join(" and node ")
        );
        return refused(Obstacle::LeavesUnnamed, text);
    }
    let change = voters != raft.voters || raft.joint;
    if change && voters.len() < VOTERS_MIN && !request.fewer_than_three {
        let text = format!(
            "{} voters would be left: when one of them fails, nothing is written any more",
            voters.len()
        );
        return refused(Obstacle::FewVoters, text);
    }
    let learners: BTreeSet<u64> = retire
        .iter()
        .filter(|node| raft.members.contains_key(node) && !raft.voters.contains(node))
        .copied()
        .collect();
    let mut steps = Vec::new();
    if change {
        steps.push(Change::Voters(voters));
    }
    if !learners.is_empty() {
        steps.push(Change::Learners(learners));
    }
    Ok(steps)
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
        let compare = self.comparer.status();
        let low = room.low.iter();
        let low = low.map(|(node, space)| format!("node {node}: {space}"));
        let warnings = low.collect();
        let unavailable = self.node.refusal().map(|refusal| refusal.to_string());
        let unsettled = compare.unsettled.clone();
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
            compare: Some(compare_status(compare)),
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
            warnings,
            committed: raft.committed.unwrap_or(0),
            progress: member_progress(&raft),
            joint: raft.joint,
            quorum_lost: self.quorum_lost(&raft),
            clock_ms: self.node.clock.wall().as_ms(),
            unavailable: unavailable.unwrap_or_default(),
            unsettled: unsettled.unwrap_or_default(),
            unpublished: self.node.publication.said(
                self.node.clock.monotonic(),
                self.node.config.seal.unsigned(),
            ),
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
        let request = request.into_inner();
        let raft = self.node.raft.status();
        if raft.standing.role != Role::Leader {
            let leader = raft.leader_address().map(|(_, address)| address);
            return Err(status(ApiError::NotLeader { leader }));
        }
        for step in judge_change(&raft, &request).map_err(status)? {
            let done = match step {
                Change::Voters(voters) => {
                    let leave = carnet_consensus::Retired::Leave;
                    self.node.raft.change_membership(voters, leave).await
                }
                Change::Learners(learners) => self.node.raft.remove_learners(learners).await,
            };
            done.map_err(admin_error)?;
        }
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
            return judge_genesis_time(genesis.time, self.node.clock.wall());
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

    /// Never of a leader that is its own quorum: it has always just heard itself.
    fn quorum_lost(&self, raft: &RaftStatus) -> bool {
        let [_, longest] = self.node.config.raft.election();
        raft.standing.role == Role::Leader
            && raft.quorum_silence.is_some_and(|silence| silence > longest)
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

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_consensus::Standing;

    fn cluster(voters: &[u64], learners: &[u64], joint: bool) -> RaftStatus {
        let member = |node: &u64| (*node, Member::default());
        RaftStatus {
            node: 1,
            standing: Standing {
                role: Role::Leader,
                term: 7,
                leader: Some(1),
            },
            last: Some(90),
            committed: Some(90),
            applied: Some(90),
            snapshot: None,
            purged: None,
            voters: voters.iter().copied().collect(),
            joint,
            members: voters.iter().chain(learners).map(member).collect(),
            lag: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            silence: BTreeMap::new(),
            quorum_silence: None,
        }
    }

    /// Once, the clock of whoever founded was written into the log as it was: a year ahead, and every command was refused.
    #[test]
    fn a_genesis_of_another_hour_is_not_taken() {
        let here = TimeMs::from_ms(1_780_000_000_000);
        let apart = |ms: u64| [here.as_ms() - ms, here.as_ms() + ms].map(TimeMs::from_ms);
        for made in apart(GENESIS_AGE_MAX.as_ms()) {
            judge_genesis_time(made, here).expect("near enough");
        }
        for made in apart(GENESIS_AGE_MAX.as_ms() + 1) {
            let refused = judge_genesis_time(made, here).expect_err("another hour");
            assert!(
                refused.to_string().contains("clock that is wrong"),
                "{refused}"
            );
        }
    }

    fn check(raft: &RaftStatus, voters: &[u64], retire: &[u64], fewer: bool, expected: &str) {
        let request = pb::ChangeMembersRequest {
            voters: voters.to_vec(),
            retire: retire.to_vec(),
            fewer_than_three: fewer,
        };
        let outcome = match judge_change(raft, &request) {
            Ok(steps) => steps.iter().map(|step| format!("{step:?} ")).collect(),
            Err(ApiError::ChangeRefused { obstacle, .. }) => obstacle.word().to_owned(),
            Err(other) => other.reason().to_owned(),
        };
        assert_eq!(outcome.trim(), expected, "{voters:?} retire {retire:?}");
    }

    #[test]
    fn nobody_leaves_for_good_without_being_named() {
        let four = cluster(&[1, 2, 3], &[4], false);
        check(&four, &[2, 3, 4], &[], false, "LEAVES_UNNAMED");
        check(&four, &[2, 3, 4], &[1], false, "Voters({2, 3, 4})");
        check(&four, &[1, 2, 3, 4], &[], false, "Voters({1, 2, 3, 4})");
        check(&four, &[2, 3, 4], &[1, 2], false, "INVALID_ARGUMENT");
        check(&four, &[4, 2], &[1], true, "LEAVES_UNNAMED");
        check(&four, &[], &[1, 2, 3], true, "INVALID_ARGUMENT");
        // Both halves of a change that is under way count.
        let joint = cluster(&[1, 2, 3, 4], &[], true);
        check(&joint, &[2, 3, 4], &[], false, "LEAVES_UNNAMED");
    }

    #[test]
    fn fewer_than_three_voters_must_be_meant() {
        let three = cluster(&[1, 2, 3], &[], false);
        check(&three, &[1, 2], &[3], false, "FEW_VOTERS");
        check(&three, &[1, 2], &[3], true, "Voters({1, 2})");
        check(
            &cluster(&[1], &[2], false),
            &[1, 2],
            &[],
            false,
            "FEW_VOTERS",
        );
        check(&cluster(&[1], &[], false), &[1], &[], false, "");
    }

    #[test]
    fn asking_twice_changes_nothing() {
        let changed = cluster(&[2, 3, 4], &[], false);
        check(&changed, &[2, 3, 4], &[1], false, "");
        // One that was interrupted goes on.
        let joint = cluster(&[1, 2, 3, 4], &[], true);
        check(&joint, &[2, 3, 4], &[1], false, "Voters({2, 3, 4})");
    }

    #[test]
    fn a_learner_leaves_when_it_is_named() {
        let four = cluster(&[1, 2, 3], &[4, 5], false);
        check(&four, &[1, 2, 3], &[4], false, "Learners({4})");
        check(
            &four,
            &[1, 2, 5],
            &[3, 4],
            false,
            "Voters({1, 2, 5}) Learners({4})",
        );
    }
}
