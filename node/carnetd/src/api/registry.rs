//! The registry service: commands in, records and proofs out.

use std::pin::Pin;
use std::sync::Arc;

use carnet_domain::bytes::code::{EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::Signature;
use carnet_domain::log::merkle::consistency_proof;
use carnet_domain::machine::entry::{Body, ItemAnswer, Request as ActorRequest};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{RecallId, Robot};
use carnet_domain::rules::command::TransferId;
use carnet_domain::rules::parties::{registry_shown_to, shown_to};
use carnet_domain::rules::policy::{Permission, Query, is_authority};
use carnet_store::fault::StorageFault;
use carnet_store::keys;
use carnet_store::records::Records;
use carnet_trust::chain::VerifiedClient;
use carnet_trust::evidence::{SLOTS_FOR_ANYBODY, SLOTS_FOR_AUTHORITIES};
use carnet_wire::convert;
use carnet_wire::limits::{CHECKPOINT_WAIT_MAX, ITEMS_MAX};
use carnet_wire::registry::v1 as pb;
use carnet_wire::registry::v1::registry_server::Registry;
use carnet_wire::status::ApiError;
use futures::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::bulk;
use crate::ingress;
use crate::node::{Committed, Node};
use crate::verify::Verifier;

/// The service of one node.
pub struct RegistryService {
    pub(crate) node: Arc<Node>,
    pub(crate) verifier: Arc<Verifier>,
}

type Answer<T> = Result<Response<T>, Status>;
type BulkStream = Pin<Box<dyn Stream<Item = Result<pb::BulkResponse, Status>> + Send>>;

pub(crate) fn status(error: ApiError) -> Status {
    error.to_status()
}

pub(crate) fn storage(error: StorageFault) -> Status {
    tracing::error!(%error, "a read failed");
    ApiError::internal("a read of the state failed").to_status()
}

fn malformed(field: &str, error: impl std::fmt::Display) -> Status {
    ApiError::invalid(field, error.to_string()).to_status()
}

fn no_genesis() -> Status {
    status(ApiError::unavailable("the registry has no genesis yet"))
}

#[tonic::async_trait]
impl Registry for RegistryService {
    async fn open_session(
        &self,
        request: Request<pb::OpenSessionRequest>,
    ) -> Answer<pb::OpenSessionResponse> {
        let caller = ingress::caller(request.extensions())
            .map_err(status)?
            .clone();
        let message = request.into_inner();
        if message.opening.is_empty() {
            // Whoever signs an opening asks before what the registry is called and how late it is there.
            let registry = self.node.state.registry().map_err(storage)?;
            let registry = registry.ok_or_else(no_genesis)?;
            return Ok(Response::new(pb::OpenSessionResponse {
                session: 0,
                prefix: registry.prefix.to_string(),
                incarnation: registry.incarnation,
                log_time_ms: registry.log_time.as_ms(),
                position: None,
                subject: caller.name().to_string(),
            }));
        }
        let signature = convert::array::<64>("signature", &message.signature).map_err(status)?;
        let signature = Signature(signature);
        ingress::verify_opening(&self.node, &caller, &message.opening, &signature)
            .await
            .map_err(status)?;
        let body = Body::OpenSession {
            subject: caller.name().to_string(),
            opening: Blob(message.opening.to_vec()),
            signature,
        };
        let committed = self.node.propose(body).await.map_err(status)?;
        let Some(session) = committed.answer.session else {
            return Err(status(refusal(&committed)));
        };
        let registry = self.node.state.registry().map_err(storage)?;
        let registry = registry.ok_or_else(no_genesis)?;
        Ok(Response::new(pb::OpenSessionResponse {
            session,
            prefix: registry.prefix.to_string(),
            incarnation: registry.incarnation,
            log_time_ms: committed.answer.at.as_ms(),
            position: Some(self.node.position(committed.log_index)),
            subject: caller.name().to_string(),
        }))
    }

    async fn submit(&self, request: Request<pb::SubmitRequest>) -> Answer<pb::SubmitResponse> {
        let caller = ingress::caller(request.extensions())
            .map_err(status)?
            .clone();
        let message = request.into_inner();
        let actor: ActorRequest =
            convert::canonical("request", &message.request).map_err(status)?;
        if actor.items.is_empty() || (ITEMS_MAX as usize) < actor.items.len() {
            return Err(malformed(
                "request.items",
                format!("{} items, allowed are 1 to {ITEMS_MAX}", actor.items.len()),
            ));
        }
        let header = ingress::header(&caller, &actor.header.0).map_err(status)?;
        ingress::verify(&self.node, &caller, &header, &actor)
            .await
            .map_err(status)?;
        let committed = self
            .node
            .propose(Body::Actor {
                subject: caller.name().to_string(),
                request: actor,
            })
            .await
            .map_err(status)?;
        let mut response = pb::SubmitResponse {
            answer: committed.bytes.clone(),
            position: Some(self.node.position(committed.log_index)),
            checkpoint: String::new(),
        };
        if message.wait_published {
            // The command is committed whatever becomes of the wait: the answer is given, without a checkpoint.
            if let Ok(published) = self
                .node
                .published_at_least(committed.answer.size, CHECKPOINT_WAIT_MAX)
                .await
            {
                response.checkpoint = published.checkpoint;
            }
        }
        Ok(Response::new(response))
    }

    type SubmitBulkStream = BulkStream;

    async fn submit_bulk(
        &self,
        request: Request<Streaming<pb::BulkRequest>>,
    ) -> Answer<BulkStream> {
        let caller = ingress::caller(request.extensions())
            .map_err(status)?
            .clone();
        let stream = bulk::submit(Arc::clone(&self.node), caller, request.into_inner())
            .await
            .map_err(status)?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn get_record(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Answer<pb::GetRecordResponse> {
        let kind = request.get_ref().kind();
        let (caller, permission) =
            ingress::may_ask(request.extensions(), query_of(kind)).map_err(status)?;
        let message = request.into_inner();
        let index = if message.stale_ok {
            self.node.progress().applied
        } else {
            self.node.linearize().await.map_err(status)?
        };
        let records = Records(self.node.state.engine());
        let name = &message.name;
        let record = match kind {
            pb::RecordKind::Robot => {
                let code = convert::code("name", name).map_err(status)?;
                records
                    .robot(&code)
                    .map_err(storage)?
                    .map(|robot| self.shown(&caller, &robot).to_bytes())
            }
            pb::RecordKind::Enterprise => {
                let id = EnterpriseId::parse(name).map_err(|error| malformed("name", error))?;
                records
                    .enterprise(&id)
                    .map_err(storage)?
                    .map(|record| record.to_bytes())
            }
            pb::RecordKind::Model => {
                let id = ModelId::parse(name).map_err(|error| malformed("name", error))?;
                records
                    .model(&id)
                    .map_err(storage)?
                    .map(|record| record.to_bytes())
            }
            pb::RecordKind::Recall => {
                let id = RecallId::parse(name)
                    .ok_or_else(|| malformed("name", "issuer/number is needed"))?;
                records
                    .recall(&id)
                    .map_err(storage)?
                    .map(|record| record.to_bytes())
            }
            pb::RecordKind::Transfer => {
                let id = TransferId::parse(name)
                    .ok_or_else(|| malformed("name", "32 hexadecimal digits are needed"))?;
                let transfer = records.transfer(&id).map_err(storage)?;
                if let Some(transfer) = &transfer {
                    ingress::may_see(&caller, permission, Some(transfer.code.enterprise_id()))
                        .map_err(status)?;
                }
                transfer.map(|record| self.transfer_shown(&caller, record).to_bytes())
            }
            pb::RecordKind::Peer => {
                let prefix = Prefix::parse(name).map_err(|error| malformed("name", error))?;
                records
                    .peer(&prefix)
                    .map_err(storage)?
                    .map(|record| record.to_bytes())
            }
            pb::RecordKind::Registry => records
                .registry()
                .map_err(storage)?
                .map(|record| registry_shown_to(caller.name().role(), &record).to_bytes()),
            pb::RecordKind::SignedRecord => {
                let code = convert::code("name", name).map_err(status)?;
                self.verifier.signed_record(&code).await.map_err(status)?
            }
            pb::RecordKind::Unspecified => {
                return Err(malformed("kind", "a kind of record is needed"));
            }
        };
        let record =
            record.ok_or_else(|| status(ApiError::not_found(format!("{kind:?} {name}"))))?;
        Ok(Response::new(pb::GetRecordResponse {
            record: record.into(),
            position: Some(self.node.position(index)),
        }))
    }

    async fn list_records(
        &self,
        request: Request<pb::ListRecordsRequest>,
    ) -> Answer<pb::ListRecordsResponse> {
        let kind = request.get_ref().kind();
        let query = match kind {
            pb::RecordKind::Robot => Query::ListRobots,
            pb::RecordKind::Transfer => Query::ListTransfers,
            other => query_of(other),
        };
        let (caller, permission) = ingress::may_ask(request.extensions(), query).map_err(status)?;
        let message = request.into_inner();
        let size = convert::page_size(message.page_size).map_err(status)?;
        let index = self.node.linearize().await.map_err(status)?;
        let records = Records(self.node.state.engine());
        let token = decode_token(&message.page_token).map_err(status)?;
        let (list, next): (Vec<Vec<u8>>, Option<Vec<u8>>) = match kind {
            pb::RecordKind::Robot => {
                let filter = match (permission, caller.name().enterprise()) {
                    (Permission::Own, Some(own)) if !message.filter.starts_with(own.as_str()) => {
                        own.to_string()
                    }
                    _ => message.filter.clone(),
                };
                let mut found = records
                    .robots_under(&filter, token.as_deref(), size + 1)
                    .map_err(storage)?;
                let next = (size < found.len()).then(|| found.pop()).flatten();
                let next = next.map(|robot| keys::robot(&robot.identity.code));
                let shown = found
                    .iter()
                    .map(|robot| self.shown(&caller, robot).to_bytes());
                (shown.collect(), next)
            }
            pb::RecordKind::Transfer => {
                let from = token
                    .as_deref()
                    .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
                    .map(TransferId);
                let mut found = records
                    .transfers(from.as_ref(), size + 1)
                    .map_err(storage)?;
                let next = (size < found.len())
                    .then(|| found.pop())
                    .flatten()
                    .map(|transfer| transfer.id.0.to_vec());
                found.retain(|t| {
                    ingress::may_see(&caller, permission, Some(t.code.enterprise_id())).is_ok()
                });
                let shown = found
                    .into_iter()
                    .map(|transfer| self.transfer_shown(&caller, transfer).to_bytes());
                (shown.collect(), next)
            }
            pb::RecordKind::Recall => {
                let found = match ModelId::parse(&message.filter) {
                    Ok(model) => records.recalls_of(&model),
                    Err(_) => records.recalls(size),
                };
                (
                    found
                        .map_err(storage)?
                        .iter()
                        .map(Canonical::to_bytes)
                        .collect(),
                    None,
                )
            }
            pb::RecordKind::Enterprise => (
                records
                    .enterprises(size)
                    .map_err(storage)?
                    .iter()
                    .map(Canonical::to_bytes)
                    .collect(),
                None,
            ),
            pb::RecordKind::Model => {
                let found = records
                    .models_under(&message.filter, size)
                    .map_err(storage)?;
                (found.iter().map(Canonical::to_bytes).collect(), None)
            }
            pb::RecordKind::Peer => (
                records
                    .peers()
                    .map_err(storage)?
                    .iter()
                    .map(Canonical::to_bytes)
                    .collect(),
                None,
            ),
            pb::RecordKind::Registry
            | pb::RecordKind::SignedRecord
            | pb::RecordKind::Unspecified => {
                return Err(malformed("kind", "there is no list of this kind"));
            }
        };
        Ok(Response::new(pb::ListRecordsResponse {
            records: list.into_iter().map(Into::into).collect(),
            next_page_token: next.map(hex::encode).unwrap_or_default(),
            position: Some(self.node.position(index)),
        }))
    }

    async fn list_history(
        &self,
        request: Request<pb::ListHistoryRequest>,
    ) -> Answer<pb::ListHistoryResponse> {
        let (caller, permission) =
            ingress::may_ask(request.extensions(), Query::History).map_err(status)?;
        let message = request.into_inner();
        let code = convert::code("code", &message.code).map_err(status)?;
        ingress::may_see(&caller, permission, Some(code.enterprise_id())).map_err(status)?;
        let size = convert::page_size(message.page_size).map_err(status)?;
        let index = self.node.linearize().await.map_err(status)?;
        let records = Records(self.node.state.engine());
        let newest = records.head_of_robot(&code).map_err(storage)?;
        let leaves = records
            .history(newest, message.from_sequence, size)
            .map_err(storage)?;
        let end = message.from_sequence.saturating_add(leaves.len() as u64);
        let sequence = match newest {
            Some(head) if end <= head.seq => end,
            _ => 0,
        };
        let leaves = leaves.iter().map(|(_, leaf)| leaf.to_bytes().into());
        let leaves = leaves.collect();
        let position = Some(self.node.position(index));
        Ok(Response::new(pb::ListHistoryResponse {
            leaves,
            next_sequence: sequence,
            position,
        }))
    }

    async fn list_movements(
        &self,
        request: Request<pb::ListMovementsRequest>,
    ) -> Answer<pb::ListMovementsResponse> {
        let (caller, permission) =
            ingress::may_ask(request.extensions(), Query::Movements).map_err(status)?;
        let code = convert::code("code", &request.get_ref().code).map_err(status)?;
        ingress::may_see(&caller, permission, Some(code.enterprise_id())).map_err(status)?;
        let index = self.node.linearize().await.map_err(status)?;
        let movements = Records(self.node.state.engine())
            .movements(&code)
            .map_err(storage)?;
        Ok(Response::new(pb::ListMovementsResponse {
            movements: movements
                .iter()
                .map(|movement| movement.to_bytes().into())
                .collect(),
            position: Some(self.node.position(index)),
        }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Answer<pb::GetCheckpointResponse> {
        ingress::may_ask(request.extensions(), Query::LogProof).map_err(status)?;
        let message = request.into_inner();
        let least = message.pinned_size.max(
            message
                .wait_above_size
                .saturating_add(u64::from(message.wait_above_size > 0)),
        );
        let published = self
            .node
            .published_at_least(least, CHECKPOINT_WAIT_MAX)
            .await
            .map_err(status)?;
        let consistency = match message.pinned_size {
            0 => Vec::new(),
            pinned => consistency_proof(&Records(published.view.as_ref()), pinned, published.size)
                .map_err(storage)?,
        };
        Ok(Response::new(pb::GetCheckpointResponse {
            checkpoint: published.checkpoint,
            consistency: convert::of_digests(&consistency),
        }))
    }

    async fn prove(&self, request: Request<pb::ProveRequest>) -> Answer<pb::ProveResponse> {
        let (caller, _) =
            ingress::may_ask(request.extensions(), Query::LogProof).map_err(status)?;
        let message = request.into_inner();
        let code = convert::code("code", &message.code).map_err(status)?;
        let published = self
            .node
            .published_at_least(message.size_min.max(1), CHECKPOINT_WAIT_MAX)
            .await
            .map_err(status)?;
        let evidence = self.verifier.evidence(&published, &code).map_err(status)?;
        let evidence = evidence.showing(slots_for(&caller));
        Ok(Response::new(pb::ProveResponse {
            evidence: evidence.to_bytes().into(),
        }))
    }

    async fn verify(&self, request: Request<pb::VerifyRequest>) -> Answer<pb::VerifyResponse> {
        let (caller, _) = ingress::may_ask(request.extensions(), Query::Verify).map_err(status)?;
        let message = request.into_inner();
        let code = convert::code("code", &message.code).map_err(status)?;
        let index = self.node.progress().applied;
        let (verdict, file) = self
            .verifier
            .verify(&code, &message.purpose, slots_for(&caller))
            .await
            .map_err(status)?;
        Ok(Response::new(pb::VerifyResponse {
            verdict: verdict.into(),
            evidence: file.into(),
            position: Some(self.node.position(index)),
        }))
    }
}

impl RegistryService {
    fn shown(&self, caller: &VerifiedClient, robot: &Robot) -> Robot {
        let name = caller.name();
        shown_to(self.node.prefix(), name.role(), name.enterprise(), robot)
    }

    fn transfer_shown(&self, caller: &VerifiedClient, transfer: Transfer) -> Transfer {
        let robot = transfer.robot.as_ref();
        Transfer {
            robot: robot.map(|robot| self.shown(caller, robot)),
            ..transfer
        }
    }
}

/// The slots of a robot that a caller may see proven.
fn slots_for(caller: &VerifiedClient) -> &'static [u8] {
    match is_authority(caller.name().role()) {
        true => SLOTS_FOR_AUTHORITIES,
        false => SLOTS_FOR_ANYBODY,
    }
}

fn query_of(kind: pb::RecordKind) -> Query {
    match kind {
        pb::RecordKind::Robot => Query::GetRobot,
        pb::RecordKind::Enterprise => Query::GetEnterprise,
        pb::RecordKind::Model => Query::GetModel,
        pb::RecordKind::Recall => Query::ListRecalls,
        pb::RecordKind::Transfer => Query::ListTransfers,
        // Who is recognised, and by which agreement, is public: verdicts cite it.
        pb::RecordKind::Peer
        | pb::RecordKind::Registry
        | pb::RecordKind::SignedRecord
        | pb::RecordKind::Unspecified => Query::LogProof,
    }
}

fn decode_token(token: &str) -> Result<Option<Vec<u8>>, ApiError> {
    if token.is_empty() {
        return Ok(None);
    }
    hex::decode(token)
        .map(Some)
        .map_err(|_| ApiError::invalid("page_token", "not a token of this registry"))
}

/// The refusal that an answer of one item holds.
pub(crate) fn refusal(committed: &Committed) -> ApiError {
    match committed.answer.items.first() {
        Some(ItemAnswer::Refused { rejection }) => ApiError::Rejected {
            number: rejection.reason.number(),
            text: rejection.to_string(),
        },
        _ => ApiError::internal("an answer without an outcome"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        assert!(decode_token("zz").is_err());
        assert_eq!(decode_token("").expect("no token"), None);
        assert_eq!(decode_token("0aff").expect("a token"), Some(vec![10, 255]));
    }
}
