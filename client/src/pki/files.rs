//! Writes new files and reads them back; never overwrites.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_trust::identity::{ClusterId, IdentityError};
use carnet_trust::roots::{PinnedRoots, RootCertificate};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::PkiError;

/// Files to be written, relative to one directory.
#[derive(Default)]
pub(super) struct NewFiles {
    files: Vec<(PathBuf, String)>,
}

impl NewFiles {
    pub(super) fn add(&mut self, path: impl Into<PathBuf>, content: impl Into<String>) {
        self.files.push((path.into(), content.into()));
    }

    /// Writes everything into a new directory beside the final one and renames it, so that it appears at once.
    pub(super) fn write_new_directory(&self, directory: &Path) -> Result<usize, PkiError> {
        if let Some(found) = first_entry(directory)? {
            return Err(PkiError::Exists(found));
        }
        let mut part = directory.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        if part.exists() {
            return Err(PkiError::Exists(part));
        }
        make_directory(&part)?;
        let written = self.write_all(&part).and_then(|()| {
            fs::rename(&part, directory).map_err(fault("rename to", directory))?;
            sync_directory(directory.parent().unwrap_or(Path::new(".")))
        });
        if written.is_err() {
            // Half a directory of keys is of no use to anybody; what failed is reported below.
            let _ = fs::remove_dir_all(&part);
        }
        written.map(|()| self.files.len())
    }

    /// Writes everything into an existing directory, if none of it is there.
    pub(super) fn write_into(&self, directory: &Path) -> Result<usize, PkiError> {
        let existing = self
            .files
            .iter()
            .map(|(path, _)| directory.join(path))
            .find(|path| path.exists());
        if let Some(path) = existing {
            return Err(PkiError::Exists(path));
        }
        self.write_all(directory)?;
        Ok(self.files.len())
    }

    fn write_all(&self, directory: &Path) -> Result<(), PkiError> {
        for (path, content) in &self.files {
            let path = directory.join(path);
            let parent = path.parent().unwrap_or(directory);
            make_directory(parent)?;
            write_new(&path, content)?;
            sync_directory(parent)?;
        }
        sync_directory(directory)
    }
}

fn write_new(path: &Path, content: &str) -> Result<(), PkiError> {
    let opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = opened.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => PkiError::Exists(path.to_owned()),
        _ => fault("create", path)(e),
    })?;
    file.write_all(content.as_bytes())
        .map_err(fault("write", path))?;
    file.sync_all().map_err(fault("write", path))
}

fn make_directory(path: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(fault("create", path))
}

fn sync_directory(path: &Path) -> Result<(), PkiError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(fault("sync", path))
}

fn first_entry(directory: &Path) -> Result<Option<PathBuf>, PkiError> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            Some(entry) => Ok(Some(entry.map_err(fault("read", directory))?.path())),
            None => Ok(None),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fault("read", directory)(e)),
    }
}

pub(super) fn fault(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::Io { act, path, source }
}

pub(super) fn content(path: &Path, fault: impl ToString) -> PkiError {
    PkiError::Content {
        path: path.to_owned(),
        fault: fault.to_string(),
    }
}

pub(super) fn read_text(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(fault("read", path))
}

/// The identity of the cluster in a directory that `init` made.
///
/// # Errors
/// When the file cannot be read or holds no cluster's identity.
pub fn read_cluster(directory: &Path) -> Result<ClusterId, PkiError> {
    let path = directory.join(super::CLUSTER_FILE);
    let text = read_text(&path)?;
    text.strip_suffix('\n')
        .unwrap_or(&text)
        .parse()
        .map_err(|error: IdentityError| content(&path, error))
}

/// The text of a seed file.
pub fn seed_text(seed: &[u8; 32]) -> String {
    format!("{}\n", hex::encode(seed))
}

/// Reads the text of a seed file: 64 hexadecimal digits and perhaps a newline. `None` if it is something else.
pub fn parse_seed(text: &str) -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim_end(), &mut seed)
        .ok()
        .map(|()| seed)
}

/// Reads a signing key from a seed file (`*.seed`, `*.actor.key`).
///
/// # Errors
/// When the file cannot be read or is not 64 hexadecimal digits. The message never shows the content.
pub fn read_seed(path: &Path) -> Result<SecretKey, PkiError> {
    let seed = parse_seed(&read_text(path)?);
    let seed = seed.ok_or_else(|| content(path, "not a seed of 64 hexadecimal digits"))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Reads a public key from a `.pub` file.
///
/// # Errors
/// When the file cannot be read or does not hold an acceptable Ed25519 key.
pub fn read_public_key(path: &Path) -> Result<PublicKey, PkiError> {
    let bytes = parse_seed(&read_text(path)?);
    let bytes = bytes.ok_or_else(|| content(path, "not a key of 64 hexadecimal digits"))?;
    PublicKey::enroll(bytes).map_err(|e| content(path, e))
}

/// Reads the certificates of a PEM file, in order.
///
/// # Errors
/// When the file cannot be read, is not PEM, or holds none.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let text = read_text(path)?;
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| content(path, format!("not PEM: {e}")))?;
    if chain.is_empty() {
        return Err(content(path, "there is no certificate in it"));
    }
    Ok(chain)
}

/// Reads and pins every root certificate of a PEM file. Whoever names the file has compared what is in it.
///
/// # Errors
/// When the file cannot be read or a certificate in it is not a root.
pub fn read_roots(path: &Path) -> Result<PinnedRoots, PkiError> {
    let mut roots = PinnedRoots::new();
    for der in read_chain(path)? {
        let root = RootCertificate::from_der(&der).map_err(|e| content(path, e))?;
        roots
            .pin(root.prefix(), root.fingerprint(), root)
            .map_err(|e| content(path, e))?;
    }
    Ok(roots)
}
