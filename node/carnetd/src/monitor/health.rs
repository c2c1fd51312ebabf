//! gRPC health on the client plane, for balancers that stand before it: ready or not, by the same rule as `/readyz`.
//!
//! One question, one answer. The stream of the protocol is not served: whoever watches asks again.

use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::Monitor;

/// Services that may be asked about; the empty name is the node.
const SERVICES: [&str; 2] = ["", "carnet.registry.v1.Registry"];

/// The service on the client plane.
pub struct GrpcHealth {
    pub(crate) monitor: Monitor,
}

impl GrpcHealth {
    /// The service on a server.
    pub fn into_server(self) -> HealthServer<Self> {
        HealthServer::new(self)
    }
}

#[tonic::async_trait]
impl Health for GrpcHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        if !SERVICES.contains(&service.as_str()) {
            return Err(Status::not_found("there is no such service here"));
        }
        let status = match self.monitor.is_ready().await {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        Ok(Response::new(HealthCheckResponse {
            status: status.into(),
        }))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask again with Check"))
    }
}
