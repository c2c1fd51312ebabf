//! The offices whose keys lie in a PKI directory: the first signers of a registry.

use std::path::{Path, PathBuf};

use carnet_client::{keys, wall_time};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::record::Holder;
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::FirstSigner;
use carnet_domain::rules::policy::Role;
use carnet_trust::chain::verify_client;
use carnet_trust::identity::Plane;

use crate::exit::Failed;

/// In earnest from two admins of different persons on.
pub(crate) fn profile_of(signers: &[FirstSigner]) -> Profile {
    let admins = signers.iter().filter(|signer| signer.role == Role::Admin);
    let persons: std::collections::BTreeSet<&str> =
        admins.map(|signer| signer.person.as_str()).collect();
    if persons.len() < 2 {
        Profile::Sandbox
    } else {
        Profile::Production
    }
}

/// Every office of the state that has a command-signing key in the directory, by its certificate.
pub(crate) fn office_signers(directory: &Path, prefix: Prefix) -> Result<Vec<FirstSigner>, Failed> {
    let roots = keys::read_roots(&directory.join("root/roots.crt"))?;
    let folder = directory.join("clients");
    let fault = |error: std::io::Error| Failed::local(format!("{}: {error}", folder.display()));
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fault)? {
        names.push(entry.map_err(fault)?.path());
    }
    names.sort();
    let mut signers = Vec::new();
    for path in names {
        let text = path.to_string_lossy();
        let Some(stem) = text.strip_suffix(".actor.pub") else {
            continue;
        };
        let certificate = keys::read_chain(Path::new(&format!("{stem}.crt")))?;
        let verified = verify_client(&certificate, &roots, prefix, Plane::Client, wall_time())
            .map_err(|error| Failed::local(format!("{stem}.crt: {error}")))?;
        let name = verified.name();
        if name.role().is_enterprise() {
            continue;
        }
        signers.push(FirstSigner {
            public: keys::read_public_key(&path)?,
            holder: Holder::Office {
                name: format!("{}/{}", name.role().word(), name.unit()),
            },
            role: name.role(),
            person: name.name().to_string(),
        });
    }
    Ok(signers)
}
