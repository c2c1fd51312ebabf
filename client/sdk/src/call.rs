//! One call of a server: what makes it, and what its error status means.

use carnet_wire::limits;
use carnet_wire::registry::v1::registry_client::RegistryClient;
use carnet_wire::status::ApiError;
use tonic::Status;
use tonic::transport::Channel;

use crate::retry::Failure;

pub(crate) fn registry(channel: Channel) -> RegistryClient<Channel> {
    RegistryClient::new(channel)
        .max_decoding_message_size(limits::CLIENT_RESPONSE_BYTES_MAX)
        .max_encoding_message_size(limits::CLIENT_REQUEST_BYTES_MAX)
}

/// What an error status of an attempt means: a connection that was never made is told from an answer that was lost.
pub(crate) fn failure_of(status: &Status) -> Failure {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(refused) = crate::tls::refused_chain(error) {
            return Failure::Connect(format!("the server's certificate is refused: {refused}"));
        }
        if let Some(refused) = crate::tls::refused_by_server(error) {
            return Failure::Refused(refused);
        }
        // A request that never left this side: its connection was at its end when it was to be sent.
        if let Some(ended) = error.downcast_ref::<hyper::Error>()
            && ended.is_canceled()
        {
            return Failure::Connect("it ended before the request was sent".to_owned());
        }
        if error.downcast_ref::<tonic::ConnectError>().is_some() {
            return Failure::Connect(deepest(error));
        }
        source = error.source();
    }
    // What a server says comes without a cause of this side.
    match std::error::Error::source(status) {
        Some(cause) => Failure::Lost(deepest(cause)),
        None => Failure::Api(ApiError::of_status(status)),
    }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
