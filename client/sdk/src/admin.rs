//! The admin plane: one node at a time for its state, the leader for changes.

use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::Answer;
use carnet_domain::record::peer::Signed;
use carnet_wire::admin::v1 as pb;
use carnet_wire::admin::v1::admin_client::AdminClient;
use carnet_wire::limits;
use carnet_wire::status::ApiError;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::client::Net;
use crate::dial::Dial;
use crate::error::ClientError;
use crate::retry::Intent;

pub use carnet_wire::admin::v1::{
    AuditAnchor, AuditStatus, CertificateStatus, CompareStatus, FeedStands, GetStatusResponse,
    Member, MemberProgress, OpenProposal, PeerStatus, PortStatus, SkipFile, StandsStill,
    VoterClock,
};

/// How long one node is given to tell its state, or its audit: the others are worth seeing even if it is gone.
const STATUS_DEADLINE: Duration = Duration::from_secs(3);
/// The same where it has to read everything that it keeps.
const DIGEST_DEADLINE: Duration = Duration::from_secs(5);

/// Who is to vote, and who is to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VotersWanted {
    /// Exactly these vote afterwards.
    pub voters: Vec<u64>,
    /// Every member that leaves for good: whoever votes now and is not to vote any more, and learners that are to go. Their
    /// ids are never used again.
    pub retire: Vec<u64>,
    /// How many voters are taken.
    pub fewest: Fewest,
}

/// How few voters a caller means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fewest {
    /// Three or more, so that one may fail.
    Three,
    /// Fewer too: one failure then stops all writes.
    Any,
}

/// A client of the admin plane.
pub struct Admin {
    endpoints: Vec<String>,
    dial: Arc<dyn Dial>,
    net: Net,
}

impl Admin {
    /// For these admin endpoints (`host:port`), with an identity of the admin plane.
    ///
    /// # Errors
    /// Without endpoints.
    pub fn new(
        endpoints: impl IntoIterator<Item = impl Into<String>>,
        dial: impl Dial + 'static,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        // One that is given twice is one node all the same.
        let mut seen = std::collections::BTreeSet::new();
        let endpoints = endpoints.into_iter().map(Into::into);
        let endpoints: Vec<String> = endpoints
            .filter(|one: &String| seen.insert(one.clone()))
            .collect();
        if endpoints.is_empty() {
            return Err(ClientError::Usage("no admin endpoint is given".into()));
        }
        let dial: Arc<dyn Dial> = Arc::new(dial);
        let net = Net::new(endpoints.clone(), Arc::clone(&dial), deadline);
        Ok(Self {
            endpoints,
            dial,
            net,
        })
    }

    /// Gives up so early while no node was ever reached; see [`crate::ClientBuilder::unreachable_after`].
    pub fn unreachable_after(mut self, patience: Duration) -> Self {
        self.net.unreachable_after(Some(patience));
        self
    }

    /// The endpoints given.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Makes the nodes named a cluster with this genesis. Any of them may be asked, and each again: they found the same
    /// cluster, and a log takes one genesis.
    ///
    /// # Errors
    /// As every write.
    pub async fn initialize(
        &self,
        members: Vec<Member>,
        genesis: &Signed,
    ) -> Result<Answer, ClientError> {
        let request = pb::InitializeRequest {
            members,
            genesis: genesis.to_bytes().into(),
        };
        let response = self
            .led(&|mut client: AdminClient<Channel>| {
                let request = request.clone();
                async move { client.initialize(request).await }
            })
            .await?;
        answer(&response.answer)
    }

    /// The state of the node behind one endpoint.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(
        &self,
        endpoint: &str,
        with_digest: bool,
    ) -> Result<GetStatusResponse, ClientError> {
        let make = |channel| {
            let mut client = admin(channel);
            async move {
                client
                    .get_status(pb::GetStatusRequest { with_digest })
                    .await
            }
        };
        let deadline = match with_digest {
            true => DIGEST_DEADLINE,
            false => STATUS_DEADLINE,
        };
        self.only(endpoint, deadline.min(self.net.deadline))
            .call(Intent::Read, self.net.attempt, &make)
            .await
            .outcome
    }

    /// Records of a chain of the audit of the node behind one endpoint, after a number: the lines, whether there are more, and how
    /// the chain stands. The question is noted there.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn audit(
        &self,
        endpoint: &str,
        chain: &str,
        after: u64,
    ) -> Result<(Vec<String>, bool, AuditStatus), ClientError> {
        let request = pb::QueryAuditRequest {
            chain: chain.to_owned(),
            after,
            count: u32::MAX,
        };
        let make = |channel| {
            let mut client = admin(channel);
            let request = request.clone();
            async move { client.query_audit(request).await }
        };
        let answer = self
            .asked(endpoint)
            .call(Intent::Read, self.net.attempt, &make)
            .await
            .outcome?;
        Ok((answer.lines, answer.more, answer.stands.unwrap_or_default()))
    }

    /// Puts a root-signed statement into the log. Repeating it is harmless: a statement counts once.
    ///
    /// # Errors
    /// As every write; a lawful "no" stands in the answer.
    pub async fn submit_statement(&self, signed: &Signed) -> Result<Answer, ClientError> {
        let request = pb::SubmitStatementRequest {
            signed: signed.to_bytes().into(),
        };
        let response = self
            .led(&|mut client: AdminClient<Channel>| {
                let request = request.clone();
                async move { client.submit_statement(request).await }
            })
            .await?;
        answer(&response.answer)
    }

    /// Adds a node that follows without a vote. The log index of the change.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_learner(&self, member: Member) -> Result<u64, ClientError> {
        let request = pb::AddLearnerRequest {
            member: Some(member),
        };
        let response = self
            .led(&|mut client: AdminClient<Channel>| {
                let request = request.clone();
                async move { client.add_learner(request).await }
            })
            .await?;
        Ok(response.log_index)
    }

    /// Sets the voters. The log index of the change. Asking again for what is so already changes nothing.
    ///
    /// # Errors
    /// As every write.
    pub async fn change_members(&self, wanted: VotersWanted) -> Result<u64, ClientError> {
        let request = pb::ChangeMembersRequest {
            voters: wanted.voters,
            retire: wanted.retire,
            fewer_than_three: wanted.fewest == Fewest::Any,
        };
        let response = self
            .led(&|mut client: AdminClient<Channel>| {
                let request = request.clone();
                async move { client.change_members(request).await }
            })
            .await?;
        Ok(response.log_index)
    }

    /// Takes a snapshot of the node behind one endpoint now and purges its log below. The log index it covers.
    ///
    /// # Errors
    /// When the node refuses or does not answer.
    pub async fn take_snapshot(&self, endpoint: &str) -> Result<u64, ClientError> {
        let make = |channel| {
            let mut client = admin(channel);
            async move { client.take_snapshot(pb::TakeSnapshotRequest {}).await }
        };
        let response = self
            .only(endpoint, self.net.deadline)
            .call(Intent::Write, limits::REQUEST_TIMEOUT, &make)
            .await
            .outcome?;
        Ok(response.log_index)
    }

    /// Hands leadership to another voter. Who leads then, and in which term.
    ///
    /// # Errors
    /// As every write; also when that voter cannot lead.
    pub async fn transfer_leadership(&self, to: u64) -> Result<(u64, u64), ClientError> {
        let response = self
            .led(&|mut client: AdminClient<Channel>| {
                let request = pb::TransferLeadershipRequest { to };
                async move { client.transfer_leadership(request).await }
            })
            .await?;
        Ok((response.leader, response.term))
    }

    /// Has whoever leads do something.
    async fn led<T, F, Fut>(&self, make: &F) -> Result<T, ClientError>
    where
        F: Fn(AdminClient<Channel>) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let called = self
            .net
            .call(Intent::Write, limits::REQUEST_TIMEOUT, &|channel| {
                make(admin(channel))
            })
            .await;
        called.outcome.map_err(none_leads)
    }

    /// One node alone, for what it is asked.
    fn asked(&self, endpoint: &str) -> Net {
        self.only(endpoint, STATUS_DEADLINE.min(self.net.deadline))
    }

    fn only(&self, endpoint: &str, deadline: Duration) -> Net {
        Net::new(vec![endpoint.to_owned()], Arc::clone(&self.dial), deadline)
    }
}

/// Only a leader makes changes, and where its admin port is nobody tells: a node knows the others' client addresses.
fn none_leads(error: ClientError) -> ClientError {
    match error {
        ClientError::Api(ApiError::NotLeader {
            leader: Some(address),
        }) => ClientError::Usage(format!(
            "none of the nodes asked leads; the one whose clients call {address} does: give the admin endpoints of all nodes"
        )),
        other => other,
    }
}

fn admin(channel: Channel) -> AdminClient<Channel> {
    AdminClient::new(channel).max_decoding_message_size(limits::CLIENT_RESPONSE_BYTES_MAX)
}

fn answer(bytes: &[u8]) -> Result<Answer, ClientError> {
    Answer::from_bytes(bytes)
        .map_err(|error| ClientError::Protocol(format!("the answer is not canonical: {error}")))
}
