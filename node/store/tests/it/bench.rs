//! What the tests share: engines on a scratch directory, content to write, snapshots as values that can be altered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carnet_domain::bytes::encoding::Canonical;
use carnet_store::applied;
use carnet_store::artefact::{Manifest, StateEngine};
use carnet_store::engine::{Batch, KvRead};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::identity::{Identity, StoreId};
use carnet_store::machine::{Applied, LogPosition, Snapshot, SnapshotSink};
use carnet_store::memory::MemoryEngine;
use carnet_store::rocks::RocksSettings;
use carnet_store::state::SwappableEngine;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) const IDENTITY: Identity = Identity {
    cluster: [7; 16],
    node: 3,
    incarnation: 0,
    store: StoreId([0x5a; 16]),
};

/// Small, so that tests flush and compact.
pub(crate) fn small() -> RocksSettings {
    RocksSettings {
        cache_bytes: 2 << 20,
        write_buffers_bytes: 2 << 20,
        open_files_max: 64,
        ..RocksSettings::default()
    }
}

/// A node's data directory that goes with the test.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a scratch directory"),
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn create(&self) -> SwappableEngine {
        SwappableEngine::create(&self.root(), IDENTITY, small()).expect("a new directory")
    }

    pub(crate) fn open(&self) -> Result<SwappableEngine, StorageFault> {
        SwappableEngine::open(&self.root(), IDENTITY, small())
    }

    /// The names in the data directory.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.root())
    }
}

pub(crate) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).expect("a directory");
    let mut out: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    out.sort();
    out
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new directory");
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a copy");
        }
    }
}

/// Runs a check on an engine of each kind.
pub(crate) fn on_each(check: impl Fn(&dyn StateEngine)) {
    check(&MemoryEngine::new());
    let disk = Disk::new();
    check(&disk.create());
}

/// Runs a check on two engines of each kind.
pub(crate) fn on_each_pair(check: impl Fn(&dyn StateEngine, &dyn StateEngine)) {
    check(&MemoryEngine::new(), &MemoryEngine::new());
    let (left, right) = (Disk::new(), Disk::new());
    check(&left.create(), &right.create());
}

pub(crate) fn position(index: u64) -> LogPosition {
    LogPosition {
        term: 2,
        node: 3,
        index,
    }
}

pub(crate) fn reached(index: u64) -> Applied {
    Applied {
        last: Some(position(index)),
        membership: Some((position(0), vec![1, 2, 3].into())),
    }
}

/// A batch that writes into every family, with the applied position `index` in it, as `apply` does.
pub(crate) fn step(index: u64) -> Batch {
    let mut batch = Batch::default();
    for &family in Family::ALL {
        let key = format!("key-{index:06}-{}", family.name());
        let value = format!(
            "{}:{index}:{}",
            family.name(),
            "x".repeat((index % 200) as usize)
        );
        batch.put(family, key.into_bytes(), value.into_bytes());
    }
    applied::store(&mut batch, &reached(index));
    batch
}

/// Pairs by family and key.
pub(crate) type Content = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

/// Everything an engine holds.
pub(crate) fn content(read: &(impl KvRead + ?Sized)) -> Result<Content, StorageFault> {
    let mut out = BTreeMap::new();
    for &family in Family::ALL {
        for (key, value) in read.scan(family, b"", None, usize::MAX)? {
            out.insert((family, key), value);
        }
    }
    Ok(out)
}

/// The files of a snapshot in order, to be altered.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// Reads a whole snapshot in pieces of an odd size.
pub(crate) fn files_of(snapshot: &dyn Snapshot) -> Files {
    const PIECE: usize = 1_013;
    let mut out = Files::new();
    for (index, file) in snapshot.files().iter().enumerate() {
        let mut body = Vec::new();
        loop {
            let piece = snapshot
                .read(index, body.len() as u64, PIECE)
                .expect("a readable snapshot");
            body.extend_from_slice(&piece);
            if piece.len() < PIECE {
                break;
            }
        }
        assert_eq!(
            file.size,
            body.len() as u64,
            "file {} has the size announced",
            file.name
        );
        out.push((file.name.clone(), body));
    }
    out
}

/// Sends files to an engine.
pub(crate) fn install(engine: &dyn StateEngine, files: &Files) -> Result<Applied, StorageFault> {
    install_into(engine.receive()?, files)
}

pub(crate) fn install_into(
    mut sink: Box<dyn SnapshotSink>,
    files: &Files,
) -> Result<Applied, StorageFault> {
    for (name, body) in files {
        let mut offset = 0;
        for piece in body.chunks(700) {
            sink.write(name, offset, piece)?;
            offset += piece.len() as u64;
        }
    }
    sink.finish()
}

pub(crate) fn manifest_of(files: &Files) -> Manifest {
    Manifest::from_bytes(&files[0].1).expect("a manifest first")
}

/// Puts a manifest at the head that tells the truth about the other files, changed by `lie`.
pub(crate) fn with_manifest(mut files: Files, lie: impl FnOnce(&mut Manifest)) -> Files {
    let mut manifest = manifest_of(&files);
    manifest.files = files[1..]
        .iter()
        .map(|(name, body)| carnet_store::artefact::ManifestFile {
            name: name.clone(),
            size: body.len() as u64,
            sha256: Sha256::digest(body).into(),
        })
        .collect();
    lie(&mut manifest);
    files[0].1 = manifest.to_bytes();
    files
}
