//! Public keys and signatures as they are written on the command line: digits, or a file.

use std::path::{Path, PathBuf};

use carnet_client::keys;
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::signature::{PublicKey, Signature};
use carnet_domain::record::Enrolment;

use crate::exit::Failed;

/// A public key: 64 hexadecimal digits or a `.pub` file.
#[derive(Debug, Clone)]
pub(crate) struct KeyText(String);

impl std::str::FromStr for KeyText {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl KeyText {
    /// The key's own signature for its enrolment: as its holder made it, or made here where the secret key lies beside the
    /// `.pub` file.
    pub(crate) fn proof(
        &self,
        enrolment: &Enrolment,
        registry: &Prefix,
        given: Option<&str>,
    ) -> Result<Signature, Failed> {
        if let Some(text) = given {
            return signature(text);
        }
        let beside = self
            .0
            .strip_suffix(".pub")
            .map(|stem| format!("{stem}.key"));
        let beside = beside.filter(|path| Path::new(path).exists());
        let Some(path) = beside else {
            return Err(Failed::usage(
                "whoever has the key signs for it (carnet key prove); give that as --proof",
            ));
        };
        let key = keys::read_seed(Path::new(&path))?;
        Ok(enrolment.sign(registry, &key))
    }

    pub(crate) fn read(&self) -> Result<PublicKey, Failed> {
        read_key(&self.0)
    }
}

/// A signature in hexadecimal digits.
pub(crate) fn signature(text: &str) -> Result<Signature, Failed> {
    let mut bytes = [0; 64];
    match hex::decode_to_slice(text.trim(), &mut bytes) {
        Ok(()) => Ok(Signature(bytes)),
        Err(_) => Err(Failed::usage(format!(
            "{text:?}: a signature has 128 hexadecimal digits"
        ))),
    }
}

/// A public key: 64 hexadecimal digits, or the `.pub` file of that name.
pub(crate) fn read_key(text: &str) -> Result<PublicKey, Failed> {
    match keys::parse_seed(text) {
        Some(bytes) => PublicKey::enroll(bytes).map_err(Failed::usage),
        None => Ok(keys::read_public_key(Path::new(text))?),
    }
}

/// The log keys in a PKI directory: that of `keys/log.pub`, and each that is to follow it.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn log_keys_in(directory: &Path) -> Result<Vec<PublicKey>, Failed> {
    let folder = directory.join("keys");
    let mut found = vec![keys::read_public_key(&folder.join("log.pub"))?];
    let mut names: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort();
    for path in names {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("log-") && name.ends_with(".pub")) {
            let key = keys::read_public_key(&path)?;
            if !found.contains(&key) {
                found.push(key);
            }
        }
    }
    Ok(found)
}
