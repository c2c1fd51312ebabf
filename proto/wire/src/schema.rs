//! What the schemas say of themselves, for whoever has to go through all calls: the tests of what each role is shown.

use prost::Message;
use prost_types::FileDescriptorSet;

/// Every schema, as a `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schema.bin"));

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Method {
    /// Full name of its service.
    pub service: String,
    /// Within the service, as the schema writes it.
    pub name: String,
}

impl Method {
    /// Its path in HTTP/2.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.service, self.name)
    }
}

/// Every call of every service of ours, in the order of the schemas.
///
/// # Panics
/// Never: the set was written by the same build.
pub fn methods() -> Vec<Method> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("written by the build");
    let mut found = Vec::new();
    for file in &set.file {
        if !file.package().starts_with("carnet.") {
            continue;
        }
        for service in &file.service {
            let full = format!("{}.{}", file.package(), service.name());
            found.extend(service.method.iter().map(|method| Method {
                service: full.clone(),
                name: method.name().to_owned(),
            }));
        }
    }
    found
}

/// A message as it stands on the wire.
pub fn to_wire(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_found() {
        let mut services: Vec<String> =
            methods().into_iter().map(|method| method.service).collect();
        services.dedup();
        let expected = [
            "carnet.admin.v1.Admin",
            "carnet.federation.v1.Federation",
            "carnet.raft.v1.Raft",
            "carnet.registry.v1.Registry",
        ];
        assert_eq!(services, expected);
        let verify = Method {
            service: "carnet.registry.v1.Registry".into(),
            name: "Verify".into(),
        };
        assert!(methods().contains(&verify));
        assert_eq!(verify.path(), "/carnet.registry.v1.Registry/Verify");
    }
}
