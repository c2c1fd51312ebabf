//! What all nodes and desks of a simulated country stand on: its keys, its certificates, the folder of its machines, and what
//! its log key ever signed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::record::peer::{Bundle, Signed, Statement};
use carnet_kit::{Country as Kit, agreement, beginning};
use carnet_trust::identity::Plane;
use rcgen::KeyPair;
use tempfile::TempDir;

use crate::country::forge::{self, Held, Sketch};
use crate::history::Shared;
use crate::site::Script;

/// Ports, the same on every host.
pub(crate) const RAFT: u16 = 7101;
pub(crate) const CLIENT: u16 = 7102;
pub(crate) const ADMIN: u16 = 7103;
pub(crate) const FEDERATION: u16 = 7104;

/// After the last entry of the founding, so that no node's clock stands before the log.
const AFTER_FOUNDING_MS: u64 = 10_000;

pub(crate) struct Ground {
    /// Its nodes have the numbers from 1 to this.
    pub(crate) nodes: u64,
    /// Keys, and the commands that people sign.
    pub(crate) kit: Kit,
    pub(crate) certificates: forge::Country,
    /// The entries of the founding: offices, enterprises, an approved model.
    pub(crate) script: Arc<Script>,
    folder: TempDir,
    /// The node that left for good, or is about to; 0: none.
    left: AtomicU64,
    /// By its size, every head that the log key signed: its text.
    signed: Mutex<BTreeMap<u64, String>>,
}

impl Ground {
    /// Countries that are to be founded by so many nodes each, every two of them peers.
    pub(crate) fn of(prefixes: &[&str], nodes: u64) -> std::io::Result<Vec<Arc<Self>>> {
        let mut kits: Vec<Kit> = prefixes
            .iter()
            .map(|prefix| Kit::with_market(prefix))
            .collect();
        let certificates: Vec<forge::Country> = prefixes
            .iter()
            .map(|prefix| forge::Country::new(prefix))
            .collect();
        let bundles: Vec<Signed> = kits
            .iter()
            .zip(&certificates)
            .map(|(kit, certificates)| bundle(kit, certificates, nodes))
            .collect();
        for one in 0..kits.len() {
            for other in (0..kits.len()).filter(|other| *other != one) {
                let statement = Statement::Recognise {
                    bundle: bundles[other].clone(),
                    fingerprint: sha256(&[&bundles[other].bytes.0]),
                    changes: Vec::new(),
                };
                kits[one].state(&statement);
                let agreement = agreement(kits[one].prefix, kits[other].prefix, 1).to_bytes();
                let signatures =
                    [&kits[one], &kits[other]].map(|kit| kit.root_signatures(&agreement));
                let agreement = Signed {
                    bytes: Blob(agreement),
                    signatures: signatures.concat(),
                };
                kits[one].state(&Statement::Agree { agreement });
            }
        }
        let grounds = kits.into_iter().zip(certificates);
        grounds
            .map(|(kit, certificates)| Self::new(kit, certificates, nodes).map(Arc::new))
            .collect()
    }

    fn new(kit: Kit, certificates: forge::Country, nodes: u64) -> std::io::Result<Self> {
        let ground = Self {
            nodes,
            certificates,
            script: Arc::new(Script::of(&kit)),
            folder: tempfile::tempdir()?,
            left: AtomicU64::new(0),
            signed: Mutex::default(),
            kit,
        };
        let pki = ground.pki();
        for folder in ["root", "keys"] {
            std::fs::create_dir_all(pki.join(folder))?;
        }
        std::fs::write(pki.join("root/roots.crt"), &ground.certificates.root.pem)?;
        for node in 1..=nodes {
            ground.certify(node)?;
        }
        Ok(ground)
    }

    /// The certificates of a node, and its data directory.
    fn certify(&self, node: u64) -> std::io::Result<()> {
        let folder = self.pki().join(format!("nodes/{node}"));
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(self.data(node))?;
        let cluster: String = self.cluster().iter().map(|b| format!("{b:02x}")).collect();
        let prefix = self.kit.prefix;
        for plane in [Plane::Raft, Plane::Client, Plane::Admin, Plane::Federation] {
            let uri = format!("carnet://{prefix}/node/{plane}/{node}/{cluster}");
            let held = self.issue(&uri, plane);
            let authority = self.certificates.authority(plane);
            let chain = format!("{}{}", held.pem, authority.pem);
            std::fs::write(folder.join(format!("{plane}.crt")), &chain)?;
            let key: &KeyPair = &held.key;
            let secret = folder.join(format!("{plane}.key"));
            std::fs::write(&secret, key.serialize_pem())?;
            let owners = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&secret, owners)?;
            std::fs::write(self.pki().join("keys/passport.crt"), &chain)?;
        }
        Ok(())
    }

    /// A certificate of a plane for whoever has this name.
    pub(crate) fn issue(&self, uri: &str, plane: Plane) -> Held {
        let (held, _) = self.certificates.issue(plane, &Sketch::leaf(uri, plane));
        held
    }

    /// A node is to leave for good.
    pub(crate) fn leaves(&self, node: u64) {
        self.left.store(node, Ordering::Relaxed);
    }

    /// The node that left for good, or is about to.
    pub(crate) fn left(&self) -> Option<u64> {
        let left = self.left.load(Ordering::Relaxed);
        (left != 0).then_some(left)
    }

    pub(crate) fn cluster(&self) -> [u8; 16] {
        self.kit.genesis().cluster
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin {
            prefix: self.kit.prefix,
            incarnation: 0,
        }
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    pub(crate) fn data(&self, node: u64) -> PathBuf {
        self.folder.path().join(format!("node-{node}"))
    }

    /// How far clocks here are beyond those of a simulation that begins with the kit.
    pub(crate) fn ahead_ms(&self) -> u64 {
        self.kit.clock.since(beginning()).as_ms() + AFTER_FOUNDING_MS
    }

    /// Notes what the log key signs. Two heads of one size are what no key of a log ever signs.
    pub(crate) fn signs(&self, node: u64, bytes: &[u8], history: &Shared) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let size = text.lines().nth(1).and_then(|line| line.parse().ok());
        let Some(size) = size else {
            return;
        };
        let mut signed = self.signed();
        history.note(format!("{} signs size {size}", host(&self.kit, node)));
        let known = signed.entry(size).or_insert_with(|| text.clone());
        if *known != text {
            let why = format!("two heads of size {size} were signed: {known:?} and {text:?}");
            history.lock().violations.push(why);
        }
    }

    pub(crate) fn signed(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a node's host.
pub(crate) fn host(kit: &Kit, node: u64) -> String {
    format!("node-{}-{node}", kit.prefix.as_str().to_lowercase())
}

/// What a country tells others of itself.
fn bundle(kit: &Kit, certificates: &forge::Country, nodes: u64) -> Signed {
    let endpoint = |node| format!("{}:{FEDERATION}", host(kit, node));
    let bundle = Bundle {
        certificates: vec![Blob(certificates.root.der.to_vec())],
        endpoints: (1..=nodes).map(endpoint).collect(),
        ..kit.bundle_of(1)
    };
    let bytes = bundle.to_bytes();
    Signed {
        signatures: kit.root_signatures(&bytes),
        bytes: Blob(bytes),
    }
}

impl Script {
    /// The log of a country of the kit.
    fn of(kit: &Kit) -> Self {
        let entries = kit.entries.iter();
        Self {
            entries: entries.map(|entry| Bytes::from(entry.to_bytes())).collect(),
            codes: Vec::new(),
            next: 0.into(),
        }
    }
}
