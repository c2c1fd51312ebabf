//! The registry's service in gRPC.

use std::pin::Pin;
use std::sync::Arc;

use carnet_domain::bytes::code::{CODE_LEN, EnterpriseId, ModelId};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::machine::entry::Request as SignedRequest;
use carnet_domain::record::RecallId;
use carnet_domain::record::transfer::Stage;
use carnet_domain::rules::command::TransferId;
use carnet_trust::identity::Unit;
use carnet_wire::convert;
use carnet_wire::limits::{CLIENT_REQUEST_BYTES_MAX, CLIENT_RESPONSE_BYTES_MAX, REQUEST_TIMEOUT};
use carnet_wire::registry::v1 as pb;
use carnet_wire::registry::v1::registry_server::{Registry, RegistryServer};
use carnet_wire::registry::v1::submit_stream_response::Outcome;
use carnet_wire::status::{ApiError, to_failure};
use futures::{Stream, StreamExt};
use tonic::{Request, Status, Streaming};

use super::submitting::{Asked, Done, Submitting};
use super::{Answer, answer, open, position};
use crate::edge::Pass;
use crate::service::bulk::{Bulk, Whole};
use crate::service::movements::{Counted, MovementsQuery};
use crate::service::query::{Beginning, Freshness, Provable, RecordName, RecordsQuery};
use crate::service::registry::{Covering, Named, Patience};
use crate::service::{Caller, RegistryService};
use crate::tls::PeerIdentity;

/// The service on the client plane.
pub struct GrpcRegistry {
    pub(crate) service: Arc<RegistryService>,
}

type SubmitStream = Pin<Box<dyn Stream<Item = Result<pb::SubmitStreamResponse, Status>> + Send>>;
type BulkStream = Pin<Box<dyn Stream<Item = Result<pb::BulkResponse, Status>> + Send>>;

impl GrpcRegistry {
    /// The service on a server, with its limits.
    pub fn into_server(self) -> RegistryServer<Self> {
        RegistryServer::new(self)
            .max_decoding_message_size(CLIENT_REQUEST_BYTES_MAX)
            .max_encoding_message_size(CLIENT_RESPONSE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl Registry for GrpcRegistry {
    async fn open_session(
        &self,
        request: Request<pb::OpenSessionRequest>,
    ) -> Answer<pb::OpenSessionResponse> {
        let opened = async {
            let (caller, message) = open(request)?;
            if message.opening.is_empty() {
                let named = self.service.named()?;
                return Ok(opened(&caller, 0, &named, None));
            }
            let signature = convert::signature("signature", &message.signature)?;
            let session = self
                .service
                .open_session(&caller, &message.opening, signature)
                .await?;
            let at = position(&self.service.node, session.log_index);
            let session = session.value;
            Ok(opened(&caller, session.session, &session.registry, at))
        };
        answer(opened.await)
    }

    async fn submit(&self, request: Request<pb::SubmitRequest>) -> Answer<pb::SubmitResponse> {
        let submitted = async {
            let (caller, message) = open(request)?;
            let request: SignedRequest = convert::canonical("request", &message.request)?;
            let patience = match message.wait_published {
                true => Patience::Published,
                false => Patience::Committed,
            };
            let submitted = self.service.submit(&caller, request, patience).await?;
            Ok(pb::SubmitResponse {
                answer: submitted.value.answer,
                position: position(&self.service.node, submitted.log_index),
                checkpoint: submitted.value.checkpoint.unwrap_or_default(),
            })
        };
        answer(submitted.await)
    }

    type SubmitStreamStream = SubmitStream;

    async fn submit_stream(
        &self,
        request: Request<Streaming<pb::SubmitStreamRequest>>,
    ) -> Answer<SubmitStream> {
        let pass = request.extensions().get::<Pass>().cloned();
        let identity = request.extensions().get::<PeerIdentity>();
        let owed = identity.map(|identity| identity.connection().owed().clone());
        let owed = owed.unwrap_or_default();
        let opened = open(request).map(|(caller, requests)| {
            let service = Arc::clone(&self.service);
            let ask = move |number, message: pb::SubmitStreamRequest| {
                submit_one(&service, &caller, pass.as_ref(), (number, message))
            };
            Box::pin(Submitting::new(requests, ask, owed)) as SubmitStream
        });
        answer(opened)
    }

    async fn foresee(&self, request: Request<pb::ForeseeRequest>) -> Answer<pb::ForeseeResponse> {
        let foreseen = async {
            let (caller, message) = open(request)?;
            let signature = convert::signature("signature", &message.signature)?;
            let foreseen = self
                .service
                .foresee(&caller, &message.question, signature)
                .await?;
            Ok(pb::ForeseeResponse {
                answer: convert::to_bytes(&foreseen.value),
                position: position(&self.service.node, foreseen.log_index),
            })
        };
        answer(foreseen.await)
    }

    type SubmitBulkStream = BulkStream;

    async fn submit_bulk(
        &self,
        request: Request<Streaming<pb::BulkRequest>>,
    ) -> Answer<BulkStream> {
        let submitted = async {
            let (caller, stream) = open(request)?;
            let answers = self.read_bulk(&caller, stream).await?.submit();
            let node = Arc::clone(&self.service.node);
            let answers = answers.map(move |part| match part {
                Ok(part) => Ok(pb::BulkResponse {
                    first_item: part.value.first_item,
                    answer: part.value.answer,
                    position: position(&node, part.log_index),
                }),
                Err(error) => Err(Status::from(error)),
            });
            Ok(Box::pin(answers) as BulkStream)
        };
        answer(submitted.await)
    }

    async fn get_record(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Answer<pb::GetRecordResponse> {
        let found = async {
            let (caller, message) = open(request)?;
            let name = record_name(message.kind(), &message.name)?;
            let freshness = match message.stale_ok {
                true => Freshness::AsKnown,
                false => Freshness::Newest,
            };
            let found = self.service.record(&caller, &name, freshness).await?;
            Ok(pb::GetRecordResponse {
                record: found.value.to_bytes().into(),
                position: position(&self.service.node, found.log_index),
            })
        };
        answer(found.await)
    }

    async fn list_records(
        &self,
        request: Request<pb::ListRecordsRequest>,
    ) -> Answer<pb::ListRecordsResponse> {
        let listed = async {
            let (caller, message) = open(request)?;
            let query = records_query(message.kind(), &message.filter)?;
            let size = convert::page_size(message.page_size)?;
            let page = self
                .service
                .records(&caller, query, &message.page_token, size)
                .await?;
            let records = page.value.records.iter();
            Ok(pb::ListRecordsResponse {
                records: records.map(|record| record.to_bytes().into()).collect(),
                next_page_token: page.value.next,
                position: position(&self.service.node, page.log_index),
            })
        };
        answer(listed.await)
    }

    async fn list_history(
        &self,
        request: Request<pb::ListHistoryRequest>,
    ) -> Answer<pb::ListHistoryResponse> {
        let listed = async {
            let (caller, message) = open(request)?;
            let code = convert::code("code", &message.code)?;
            let size = convert::page_size(message.page_size)?;
            let history = self
                .service
                .history(&caller, &code, message.from_sequence, size)
                .await?;
            let leaves = history.value.leaves.iter();
            Ok(pb::ListHistoryResponse {
                leaves: leaves.map(convert::to_bytes).collect(),
                next_sequence: history.value.next.unwrap_or(0),
                position: position(&self.service.node, history.log_index),
            })
        };
        answer(listed.await)
    }

    async fn list_movements(
        &self,
        request: Request<pb::ListMovementsRequest>,
    ) -> Answer<pb::ListMovementsResponse> {
        let listed = async {
            let (caller, message) = open(request)?;
            let code = convert::code("code", &message.code)?;
            let movements = self.service.movements(&caller, &code).await?;
            Ok(pb::ListMovementsResponse {
                older_left_out: movements.value.older_left_out,
                movements: movements
                    .value
                    .movements
                    .iter()
                    .map(convert::to_bytes)
                    .collect(),
                position: position(&self.service.node, movements.log_index),
            })
        };
        answer(listed.await)
    }

    async fn query_movements(
        &self,
        request: Request<pb::QueryMovementsRequest>,
    ) -> Answer<pb::QueryMovementsResponse> {
        let found = async {
            let (caller, message) = open(request)?;
            let query = movements_query(&caller, message.query.unwrap_or_default())?;
            let size = convert::page_size(message.page_size)?;
            let token = message.page_token;
            let page = self.service.transfers_found(&caller, query, &token, size);
            let page = page.await?;
            let records = page.value.records.iter();
            Ok(pb::QueryMovementsResponse {
                transfers: records.map(|record| record.to_bytes().into()).collect(),
                next_page_token: page.value.next,
                position: position(&self.service.node, page.log_index),
            })
        };
        answer(found.await)
    }

    async fn count_movements(
        &self,
        request: Request<pb::CountMovementsRequest>,
    ) -> Answer<pb::CountMovementsResponse> {
        let found = async {
            let (caller, message) = open(request)?;
            let query = movements_query(&caller, message.query.unwrap_or_default())?;
            let token = message.page_token;
            let counted = self.service.transfers_counted(&caller, query, &token);
            let counted = counted.await?;
            let (counts, next_page_token) = counted.value;
            let row = |it: Counted| pb::MovementCount {
                from: it.from.to_string(),
                to: it.to.to_string(),
                month: it.month,
                stage: it.stage.name().to_owned(),
                count: it.count,
            };
            Ok(pb::CountMovementsResponse {
                counts: counts.into_iter().map(row).collect(),
                next_page_token,
                position: position(&self.service.node, counted.log_index),
            })
        };
        answer(found.await)
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Answer<pb::GetCheckpointResponse> {
        let found = async {
            let (caller, message) = open(request)?;
            let above = Some(message.wait_above_size).filter(|size| *size > 0);
            let found = self
                .service
                .checkpoint(&caller, message.pinned_size, above)
                .await?;
            Ok(pb::GetCheckpointResponse {
                checkpoint: found.note,
                consistency: convert::of_digests(&found.consistency),
            })
        };
        answer(found.await)
    }

    async fn prove(&self, request: Request<pb::ProveRequest>) -> Answer<pb::ProveResponse> {
        let proven = async {
            let (caller, message) = open(request)?;
            let what = Provable::of(record_name(message.kind(), &message.name)?)?;
            let known = Some(message.known_size).filter(|size| *size > 0);
            let covering = match message.exact {
                true => Covering::Exactly(message.size_min),
                false => Covering::AtLeast(message.size_min),
            };
            let evidence = self.service.prove(&caller, &what, covering, known).await?;
            Ok(pb::ProveResponse {
                evidence: evidence.to_bytes().into(),
            })
        };
        answer(proven.await)
    }

    async fn verify(&self, request: Request<pb::VerifyRequest>) -> Answer<pb::VerifyResponse> {
        let judged = async {
            let (caller, message) = open(request)?;
            let code = convert::code("code", &message.code)?;
            let judged = self
                .service
                .verify(&caller, &code, &message.purpose)
                .await?;
            Ok(pb::VerifyResponse {
                verdict: judged.value.verdict.into(),
                evidence: judged.value.evidence.into(),
                position: position(&self.service.node, judged.log_index),
            })
        };
        answer(judged.await)
    }
}

impl GrpcRegistry {
    /// Reads a bulk request to its end. Its header stands in the first message and is judged before the second is read:
    /// whoever may not send it cannot make this node hold its items.
    async fn read_bulk(
        &self,
        caller: &Caller,
        mut stream: Streaming<pb::BulkRequest>,
    ) -> Result<Whole, ApiError> {
        let lost = |status: Status| ApiError::DidNotHappen {
            text: format!("the request broke off: {}", status.message()),
        };
        let first = stream.message().await.map_err(lost)?;
        let first = first.ok_or_else(|| ApiError::invalid("header", "the request is empty"))?;
        let signature = convert::signature("signature", &first.signature)?;
        let node = Arc::clone(&self.service.node);
        let mut bulk = Bulk::begin(node, caller, first.header, signature).await?;
        bulk.take(&first.items)?;
        while let Some(message) = stream.message().await.map_err(lost)? {
            bulk.take(&message.items)?;
        }
        bulk.whole()
    }
}

/// One request of a stream, to its end: by the rules and within the time of one that comes alone.
fn submit_one(
    service: &Arc<RegistryService>,
    caller: &Caller,
    pass: Option<&Pass>,
    (number, message): (u64, pb::SubmitStreamRequest),
) -> Asked {
    let failed = move |status: &Status| pb::SubmitStreamResponse {
        number,
        outcome: Some(Outcome::Failure(to_failure(status))),
    };
    let place = match pass.map(Pass::enter).transpose() {
        Ok(place) => place,
        Err(retry_after) => {
            let refused = ApiError::Overloaded { retry_after }.to_status();
            return Asked::Refused(failed(&refused), retry_after);
        }
    };
    let request = place.as_ref().map(|place| place.request().clone());
    let caller = caller.clone().asking(request.unwrap_or_default());
    let service = Arc::clone(service);
    Asked::InWork(Box::pin(async move {
        let submitted = async {
            let request: SignedRequest = convert::canonical("request", &message.request)?;
            drop(message);
            service.submit(&caller, request, Patience::Committed).await
        };
        let submitted = tokio::time::timeout(REQUEST_TIMEOUT, submitted).await;
        let submitted = submitted.unwrap_or_else(|_| {
            let text = format!("it took longer than {} s", REQUEST_TIMEOUT.as_secs());
            Err(ApiError::UnknownOutcome { text })
        });
        let (answer, size) = match (submitted, &place) {
            (Ok(submitted), _) => {
                let answer = submitted.value.answer;
                let size = answer.len();
                let answer = pb::SubmitStreamResponse {
                    number,
                    outcome: Some(Outcome::Answer(pb::SubmitResponse {
                        answer,
                        position: position(&service.node, submitted.log_index),
                        checkpoint: String::new(),
                    })),
                };
                (answer, size)
            }
            (Err(error), None) => (failed(&error.to_status()), 0),
            (Err(error), Some(place)) => {
                let status = place.failed(error.to_status()).await;
                (failed(&status), status.message().len())
            }
        };
        let held = place.and_then(|place| place.answered(size));
        Done { answer, held }
    }))
}

fn opened(
    caller: &Caller,
    session: u64,
    registry: &Named,
    at: Option<pb::Position>,
) -> pb::OpenSessionResponse {
    pb::OpenSessionResponse {
        session,
        prefix: registry.prefix.to_string(),
        incarnation: registry.incarnation,
        log_time_ms: registry.log_time.as_ms(),
        position: at,
        subject: caller.subject(),
    }
}

fn record_name(kind: pb::RecordKind, name: &str) -> Result<RecordName, ApiError> {
    let malformed = |error: &str| ApiError::invalid("name", error);
    Ok(match kind {
        pb::RecordKind::Robot => RecordName::Robot(convert::code("name", name)?),
        pb::RecordKind::Enterprise => {
            let id = EnterpriseId::parse(name);
            RecordName::Enterprise(id.map_err(|error| malformed(&error.to_string()))?)
        }
        pb::RecordKind::Model => {
            let id = ModelId::parse(name);
            RecordName::Model(id.map_err(|error| malformed(&error.to_string()))?)
        }
        pb::RecordKind::Recall => RecordName::Recall(
            RecallId::parse(name).ok_or_else(|| malformed("issuer/number is needed"))?,
        ),
        pb::RecordKind::Transfer => RecordName::Transfer(
            TransferId::parse(name).ok_or_else(|| malformed("32 hexadecimal digits are needed"))?,
        ),
        pb::RecordKind::Peer => RecordName::Peer(convert::prefix("name", name)?),
        pb::RecordKind::Registry => RecordName::Registry,
        pb::RecordKind::SignedRecord => RecordName::SignedRecord(convert::code("name", name)?),
        pb::RecordKind::Pack => RecordName::Pack,
        pb::RecordKind::DenyList => RecordName::DenyList,
        pb::RecordKind::Proposal => {
            let number = name.parse::<u64>().ok().filter(|at| at.to_string() == name);
            RecordName::Proposal(
                number.ok_or_else(|| malformed("the number of a proposal is needed"))?,
            )
        }
        pb::RecordKind::Parked => {
            return Err(ApiError::invalid("kind", "what waits is listed, not named"));
        }
        pb::RecordKind::Unspecified => {
            return Err(ApiError::invalid("kind", "a kind of record is needed"));
        }
    })
}

fn movements_query(
    caller: &Caller,
    message: pb::MovementQuery,
) -> Result<MovementsQuery, ApiError> {
    let prefix = |field: &str, text: &str| match text {
        "" => Ok(None),
        text => convert::prefix(field, text).map(Some),
    };
    let stage = |text: &String| {
        let named = |stage: &&Stage| stage.name() == text;
        let found = Stage::ALL.iter().find(named).copied();
        found.ok_or_else(|| ApiError::invalid("stages", format!("{text:?} is none")))
    };
    let declarant = match message.declarant.as_str() {
        "" => None,
        text => {
            let id = EnterpriseId::parse(text);
            Some(id.map_err(|error| ApiError::invalid("declarant", error))?)
        }
    };
    let office = match (message.own_office, caller.name().unit()) {
        (false, _) => message.office,
        (true, Unit::Office(name)) => name.as_str().to_owned(),
        (true, _) => return Err(ApiError::invalid("own_office", "the caller is no office")),
    };
    MovementsQuery {
        robots: Beginning::parse(&message.robots, CODE_LEN)?,
        ucr: message.ucr,
        from: prefix("from", &message.from)?,
        to: prefix("to", &message.to)?,
        office,
        stages: message.stages.iter().map(stage).collect::<Result<_, _>>()?,
        since: TimeMs(message.since_ms),
        before: Some(TimeMs(message.before_ms)).filter(|it| it.0 > 0),
        declarant,
        overdue: message.overdue,
    }
    .checked()
}

fn records_query(kind: pb::RecordKind, filter: &str) -> Result<RecordsQuery, ApiError> {
    match kind {
        pb::RecordKind::Robot => RecordsQuery::robots(filter),
        pb::RecordKind::Enterprise => RecordsQuery::enterprises(filter),
        pb::RecordKind::Model => RecordsQuery::models(filter),
        pb::RecordKind::Recall => RecordsQuery::recalls(filter),
        pb::RecordKind::Transfer => RecordsQuery::transfers(filter),
        pb::RecordKind::Peer => RecordsQuery::peers(filter),
        pb::RecordKind::Parked => RecordsQuery::parked(filter),
        pb::RecordKind::Proposal => RecordsQuery::proposals(filter),
        pb::RecordKind::Registry
        | pb::RecordKind::SignedRecord
        | pb::RecordKind::Pack
        | pb::RecordKind::DenyList
        | pb::RecordKind::Unspecified => {
            Err(ApiError::invalid("kind", "there is no list of this kind"))
        }
    }
}
