//! Reads the files of keys, certificates and roots that `carnet-pki` writes. Makes none.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_trust::identity::{ClusterId, IdentityError};
use carnet_trust::roots::{PinnedRoots, RootCertificate};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

/// The longest file of one key, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 4096;

/// The longest file of certificates, or of anything else that is read here, in bytes.
const CHAIN_FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where the identity of the cluster stands in a directory of keys.
pub const CLUSTER_FILE: &str = "cluster";

/// Why a file of keys or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system failed.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which could not be read.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it must.
    #[error("{}: {fault}", path.display())]
    Content {
        /// Whose content is refused.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
}

impl KeyFileError {
    /// Says what is wrong with the content of a file.
    pub fn content(path: &Path, fault: impl ToString) -> Self {
        Self::Content {
            path: path.to_owned(),
            fault: fault.to_string(),
        }
    }
}

/// The identity of the cluster in a directory that `init` made.
///
/// # Errors
/// When the file cannot be read or holds no cluster's identity.
pub fn read_cluster(directory: &Path) -> Result<ClusterId, KeyFileError> {
    let path = directory.join(CLUSTER_FILE);
    let text = read_text(&path)?;
    text.strip_suffix('\n')
        .unwrap_or(&text)
        .parse()
        .map_err(|error: IdentityError| KeyFileError::content(&path, error))
}

/// What a seed file holds: 64 hexadecimal digits and a line end.
pub fn seed_text(seed: &[u8; 32]) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex::encode(seed));
    // Room for all of it: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(digits.len() + 1));
    text.push_str(&digits);
    text.push('\n');
    text
}

/// Reads the text of a seed file: 64 hexadecimal digits and perhaps a newline. `None` if it is something else.
pub fn parse_seed(text: &str) -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim_end(), &mut seed)
        .ok()
        .map(|()| seed)
}

/// What a file of a public key begins with. A seed and a public key are both 64 hexadecimal digits: without it one in the place of
/// the other would be read without a word, and a secret key shown to everybody.
const PUBLIC_MARK: &str = "carnet-public-key/1 ";

/// What a file of a public key holds: its mark, 64 hexadecimal digits, and a line end.
pub fn public_text(key: &PublicKey) -> String {
    format!("{PUBLIC_MARK}{key}\n")
}

/// Reads a signing key from a seed file (`*.seed`, `*.actor.key`).
///
/// # Errors
/// When the file cannot be read or is not 64 hexadecimal digits. The message never shows the content.
pub fn read_seed(path: &Path) -> Result<SecretKey, KeyFileError> {
    let text = Zeroizing::new(read_text(path)?);
    if text.starts_with(PUBLIC_MARK) {
        let why = "a public key: whoever reads it would have the secret key too";
        return Err(KeyFileError::content(path, why));
    }
    if ends_with(path, &["pub"]) {
        let why = "a public key by its name: whoever reads it would have the secret key too";
        return Err(KeyFileError::content(path, why));
    }
    let seed = parse_seed(&text).map(Zeroizing::new);
    let seed =
        seed.ok_or_else(|| KeyFileError::content(path, "not a seed of 64 hexadecimal digits"))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Reads a public key from a `.pub` file.
///
/// # Errors
/// When the file cannot be read or does not hold an acceptable Ed25519 key. Digits alone are refused: they may be a secret key. The
/// message never shows the content.
pub fn read_public_key(path: &Path) -> Result<PublicKey, KeyFileError> {
    let text = Zeroizing::new(read_text(path)?);
    let Some(digits) = text.strip_prefix(PUBLIC_MARK) else {
        let why = match parse_seed(&text).map(Zeroizing::new) {
            Some(_) => {
                "64 digits that do not say what they are: a secret key reads the same, and as a public one it would be shown to everybody"
            }
            None => "not a file of a public key",
        };
        return Err(KeyFileError::content(path, why));
    };
    let bytes = parse_seed(digits);
    let bytes =
        bytes.ok_or_else(|| KeyFileError::content(path, "not a key of 64 hexadecimal digits"))?;
    PublicKey::enroll(bytes).map_err(|e| KeyFileError::content(path, e))
}

/// Whether a file is named as one of these.
fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.contains(&ending))
}

/// Reads the certificates of a PEM file, in order.
///
/// # Errors
/// When the file cannot be read, is not PEM, or holds none.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, KeyFileError> {
    let text = read_text(path)?;
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| KeyFileError::content(path, format!("not PEM: {e}")))?;
    if chain.is_empty() {
        return Err(KeyFileError::content(path, "there is no certificate in it"));
    }
    Ok(chain)
}

/// Reads and pins every root certificate of a PEM file. Whoever names the file has compared what is in it.
///
/// # Errors
/// When the file cannot be read or a certificate in it is not a root.
pub fn read_roots(path: &Path) -> Result<PinnedRoots, KeyFileError> {
    let mut roots = PinnedRoots::new();
    for der in read_chain(path)? {
        let root = RootCertificate::from_der(&der).map_err(|e| KeyFileError::content(path, e))?;
        roots
            .pin(root.prefix(), root.fingerprint(), root)
            .map_err(|e| KeyFileError::content(path, e))?;
    }
    Ok(roots)
}

fn read_text(path: &Path) -> Result<String, KeyFileError> {
    let bytes = read_bounded(path, CHAIN_FILE_BYTES_MAX);
    let text = bytes.and_then(|bytes| {
        let text = std::str::from_utf8(&bytes).map(str::to_owned);
        text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    });
    text.map_err(|source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Reads a file of at most so many bytes. Of a longer one nothing is given: it is no key and no certificate, and may have no end.
///
/// # Errors
/// When it cannot be read, is no regular file, or is longer.
pub fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let too_long = || {
        let text = format!("it is longer than the {bytes_max} bytes that such a file has at most");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
    };
    let file = fs::File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        let text = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if about.len() > bytes_max {
        return too_long();
    }
    // Room for all of it: what grows leaves copies behind. It may grow while it is read.
    let room = usize::try_from(bytes_max.min(about.len() + 1)).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > bytes_max {
        true => too_long(),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, certificates of others were read to the end of the file, whatever its size.
    #[test]
    fn a_file_that_is_too_long_or_none_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.crt");
        let file = fs::File::create(&path).expect("made");
        file.set_len(CHAIN_FILE_BYTES_MAX)
            .expect("as long as one may be");
        let read = read_chain(&path).expect_err("no certificate");
        assert!(matches!(read, KeyFileError::Content { .. }), "{read:?}");
        file.set_len(1 << 40).expect("a sparse one");
        for refused in [read_chain(&path).map(drop), read_seed(&path).map(drop)] {
            let refused = refused.expect_err("too long");
            assert!(matches!(refused, KeyFileError::Io { .. }), "{refused:?}");
        }
        assert!(read_chain(folder.path()).is_err(), "a folder");
    }

    /// Under whatever name: it was once taken by its ending alone.
    #[test]
    fn no_key_is_read_in_the_place_of_the_other_half() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SecretKey::from_seed(&[7; 32]);
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        // As a public key these bytes would be taken: the half of all seeds is a point of the curve.
        let seed = (1..=u8::MAX).find(|byte| PublicKey::enroll([*byte; 32]).is_ok());
        let seed = seed_text(&[seed.expect("one"); 32]);
        for name in ["x.actor.key", "x.seed", "x.txt", "x", "x.pub"] {
            let secret = put(name, &seed);
            let refused = read_public_key(&secret).expect_err(name).to_string();
            assert!(!refused.contains(seed.trim()), "{refused}");
            if name != "x.pub" {
                assert!(read_seed(&secret).is_ok(), "{name}");
            }
        }
        for name in ["x.actor.pub", "x.actor.key", "alone"] {
            let public = put(name, &public_text(&key.public()));
            assert_eq!(read_public_key(&public).expect("a key"), key.public());
            assert!(read_seed(&public).is_err(), "{name}");
        }
        let secret = put("y.actor.key", &seed_text(&[7; 32]));
        assert_eq!(read_seed(&secret).expect("a key").public(), key.public());
        assert!(read_public_key(&put("z.pub", "carnet-public-key/1 12")).is_err());
    }
}
