//! gRPC reflection: what can be called on a plane and with what messages, for tools that have no schema at hand. Of each plane its own
//! service alone; the messages are published anyway, in `proto/schema`.

use carnet_trust::identity::Plane;
use carnet_wire::schema::DESCRIPTORS;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

/// The service that a plane shows, by its full name; `None` for planes that machines alone speak on.
fn shown(plane: Plane) -> Option<&'static str> {
    match plane {
        Plane::Client => Some("carnet.registry.v1.Registry"),
        Plane::Admin => Some("carnet.admin.v1.Admin"),
        Plane::Federation | Plane::Raft => None,
    }
}

/// The service on a plane, if it has one.
///
/// # Panics
/// Never: the descriptors were compiled with this program, and a test reads them.
pub fn service(plane: Plane) -> Option<ServerReflectionServer<impl ServerReflection>> {
    let name = shown(plane)?;
    let built = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .with_service_name(name)
        .build_v1();
    Some(built.expect("invariant: the compiled descriptors are readable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use tokio_stream::StreamExt;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    /// What a tool that lists services and describes one is answered, over a connection.
    #[tokio::test]
    async fn a_tool_without_a_schema_finds_every_method_of_the_plane() {
        for plane in [Plane::Client, Plane::Admin] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port");
            let address = listener.local_addr().expect("an address");
            let schema = service(plane).expect("a schema");
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let server = tonic::transport::Server::builder().add_service(schema);
            let serving = tokio::spawn(server.serve_with_incoming(incoming));
            let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
                .expect("an address")
                .connect()
                .await
                .expect("connected");
            let mut client = ServerReflectionClient::new(channel);
            let name = shown(plane).expect("a service").to_owned();
            let asked = [
                MessageRequest::ListServices(String::new()),
                MessageRequest::FileContainingSymbol(name.clone()),
            ];
            let asked = asked.map(|request| ServerReflectionRequest {
                host: String::new(),
                message_request: Some(request),
            });
            let answers = client
                .server_reflection_info(tokio_stream::iter(asked))
                .await
                .expect("answered");
            let answers: Vec<_> = answers.into_inner().collect().await;
            let mut listed = BTreeSet::new();
            let mut files = Vec::new();
            for answer in answers {
                match answer.expect("an answer").message_response {
                    Some(MessageResponse::ListServicesResponse(found)) => {
                        listed.extend(found.service.into_iter().map(|one| one.name));
                    }
                    Some(MessageResponse::FileDescriptorResponse(found)) => {
                        files.extend(found.file_descriptor_proto);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(
                listed,
                BTreeSet::from([name.clone()]),
                "its own service alone"
            );
            // Names stand in a descriptor as they are.
            let described = |method: &str| {
                let method = method.as_bytes();
                files
                    .iter()
                    .any(|file| file.windows(method.len()).any(|at| at == method))
            };
            for method in crate::edge::methods::of(plane) {
                let Some(method) = method.path.strip_prefix(&format!("/{name}/")) else {
                    continue;
                };
                assert!(described(method), "{plane}: {method}");
            }
            serving.abort();
        }
    }

    #[test]
    fn people_see_the_schema_of_their_plane_and_machines_none() {
        for plane in Plane::ALL {
            let is_for_people = matches!(plane, Plane::Client | Plane::Admin);
            assert_eq!(service(*plane).is_some(), is_for_people, "{plane}");
        }
    }
}
