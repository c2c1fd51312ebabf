//! Where `carnet pki init` puts what a node needs.

use std::io;
use std::path::{Path, PathBuf};

use carnet_trust::identity::Plane;

/// The files of one node in the folder `pki_dir` that `carnet pki init` made.
/// ```text
/// root/roots.crt                                 the roots of the jurisdiction, PEM: who is believed
/// nodes/<id>/{raft,client,federation,admin}.crt  what the node shows on each plane, PEM, with its authority
/// nodes/<id>/{raft,client,federation,admin}.key  PKCS #8 in PEM, mode 0600
/// keys/{log,witness,passport}.seed               signing keys, 64 hexadecimal digits, mode 0600
/// keys/log-….seed                                log keys that are to follow that of log.seed, or came before it
/// keys/passport.crt                              the certificate of the passport key, PEM
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiPaths {
    folder: PathBuf,
    id: u64,
}

impl PkiPaths {
    /// The files of node `id` in the folder `pki_dir`.
    pub fn new(pki_dir: &Path, id: u64) -> Self {
        Self {
            folder: pki_dir.to_owned(),
            id,
        }
    }

    /// The root certificates of the jurisdiction: a caller of any plane of ours chains to one of them.
    pub fn roots(&self) -> PathBuf {
        self.folder.join("root/roots.crt")
    }

    /// The certificate the node shows on a plane, with its authority.
    pub fn certificate(&self, plane: Plane) -> PathBuf {
        self.of_node(plane, "crt")
    }

    /// The key of that certificate.
    pub fn key(&self, plane: Plane) -> PathBuf {
        self.of_node(plane, "key")
    }

    /// The seed of a signing key, by the word of its role.
    pub fn seed(&self, word: &str) -> PathBuf {
        self.folder.join(format!("keys/{word}.seed"))
    }

    /// The folder of the signing keys.
    pub fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// The seeds of log keys that are to follow that of `log.seed`, or came before it: `log-….seed`, by name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn other_log_seeds(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.keys())? {
            let name = entry?.file_name();
            let is_seed = |name: &str| name.starts_with("log-") && name.ends_with(".seed");
            if name.to_str().is_some_and(is_seed) {
                found.push(self.keys().join(name));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The certificate of the passport key.
    pub fn passport_certificate(&self) -> PathBuf {
        self.folder.join("keys/passport.crt")
    }

    /// Every file a node reads that is not a signing key.
    pub fn certificates_and_keys(&self) -> Vec<PathBuf> {
        let of_planes = Plane::ALL
            .iter()
            .flat_map(|plane| [self.certificate(*plane), self.key(*plane)]);
        [self.roots(), self.passport_certificate()]
            .into_iter()
            .chain(of_planes)
            .collect()
    }

    fn of_node(&self, plane: Plane, ending: &str) -> PathBuf {
        let file = format!("nodes/{}/{}.{ending}", self.id, plane.word());
        self.folder.join(file)
    }
}
