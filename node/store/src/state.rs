//! The state of a node: the current RocksDB database of a data directory, its snapshots, and its replacement.
//!
//! A snapshot is a checkpoint (hard links); hashing its files waits until somebody reads the manifest, so that taking
//! one holds up nothing. A received snapshot is written beside the current database, checked from the first to the
//! last byte, opened, and then named current; the replaced one is removed when its last reader is gone.
//!
//! A crash may come between any two steps of the replacement. What the next start finds:
//!
//! 1. Pieces are written (`write`): `state-<n>` is a folder that CURRENT does not name, a leftover, and is removed.
//! 2. All files are there, synced, hashed, the database opened and read through (`check`): still a leftover. Nothing that a
//!    sender said counts before.
//! 3. CURRENT is being replaced (`finish`): it names the old or the new database, whole, for the file is written beside and
//!    renamed. With the name goes the floor: a database that opens with less than it was named with has lost a tail.
//! 4. CURRENT names the new one, and this process still reads the old: readers that began before go on in what they began
//!    with. The start removes the old one as a leftover.
//! 5. The log is purged up to the snapshot only by what consensus writes after `finish` returned. A log that reaches further back
//!    than the state needs is read from the state's position on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use carnet_domain::bytes::encoding::Canonical;

use crate::applied;
use crate::artefact::{
    Intake, MANIFEST_NAME, Manifest, ManifestFile, Shelf, StateEngine, StateSink, corrupt,
};
use crate::directory::{Current, Directory, io, names, sync_directory};
use crate::engine::{Batch, KvEngine, KvRead, Pair};
use crate::families::Family;
use crate::fault::{FirstFault, StorageFault};
use crate::identity::Identity;
use crate::machine::{Applied, Snapshot, SnapshotFile, SnapshotSink};
use crate::rocks::{RocksEngine, RocksSettings, RocksShared};

/// Bytes hashed at a time.
const HASH_CHUNK: usize = 1 << 20;

/// The engine of a data directory. Clones are the same engine.
#[derive(Clone)]
pub struct SwappableEngine {
    home: Arc<StateHome>,
}

struct StateHome {
    current: RwLock<RocksEngine>,
    shared: RocksShared,
    directory: Directory,
}

impl SwappableEngine {
    /// Makes the data directory of a new node, with an empty database.
    ///
    /// # Errors
    /// As [`Directory::create`].
    pub fn create(
        root: &Path,
        identity: Identity,
        settings: RocksSettings,
    ) -> Result<Self, StorageFault> {
        let shared = RocksShared::new(settings);
        let mut made = None;
        let directory = Directory::create(root, identity, |path| {
            made = Some(RocksEngine::create(path, &shared)?);
            Ok(())
        })?;
        let current = made.ok_or_else(|| StorageFault::Invariant("no database was made".into()))?;
        Ok(Self::of(directory, shared, current))
    }

    /// Opens the data directory of a known node.
    ///
    /// # Errors
    /// As [`Directory::open`] and [`RocksEngine::open`].
    pub fn open(
        root: &Path,
        identity: Identity,
        settings: RocksSettings,
    ) -> Result<Self, StorageFault> {
        let shared = RocksShared::new(settings);
        let directory = Directory::open(root, identity)?;
        let Current { number, floor } = directory.current();
        let path = directory.state_path(number);
        let current = RocksEngine::open(&path, &shared)?;
        check_floor(applied::load(&current)?.last.map(|last| last.index), floor)?;
        Ok(Self::of(directory, shared, current))
    }

    fn of(directory: Directory, shared: RocksShared, current: RocksEngine) -> Self {
        Self {
            home: Arc::new(StateHome {
                current: RwLock::new(current),
                shared,
                directory,
            }),
        }
    }

    /// The database that counts now.
    pub fn current(&self) -> RocksEngine {
        self.home.current()
    }

    /// The first damage that a read met, of this database or of one that took its place.
    pub fn damage(&self) -> &FirstFault {
        self.home.shared.damage()
    }

    /// The data directory.
    pub fn directory(&self) -> &Directory {
        &self.home.directory
    }
}

fn check_floor(reached: Option<u64>, floor: Option<u64>) -> Result<(), StorageFault> {
    match (reached, floor) {
        (reached, Some(floor)) if reached < Some(floor) => {
            let reached = reached.map_or("nothing".to_owned(), |index| format!("record {index}"));
            let detail = format!("record {floor} was durable in it, and it has come to {reached}");
            Err(StorageFault::Corrupt {
                what: "state database",
                detail,
            })
        }
        _ => Ok(()),
    }
}

impl StateHome {
    /// Notes how far a database has come, now that it is durable.
    fn note(&self, engine: &RocksEngine, reached: &Applied) -> Result<(), StorageFault> {
        let current = self.directory.current();
        if engine.path() != self.directory.state_path(current.number) {
            return Ok(());
        }
        self.directory
            .raise_floor(current.number, reached.last.map(|last| last.index))
    }

    fn current(&self) -> RocksEngine {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl KvRead for SwappableEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.current().get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        self.current().scan(family, from, to, count_max)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        self.current().last(family, from, to)
    }

    fn damaged(&self, fault: &StorageFault) {
        self.damage().note_damage(fault);
    }
}

impl KvEngine for SwappableEngine {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        self.current().write(batch)
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        self.current().view()
    }
}

impl StateEngine for SwappableEngine {
    fn sync(&self) -> Result<(), StorageFault> {
        let engine = self.current();
        // Read before the sync: what is written in between may not be in it.
        let reached = applied::load(&engine)?;
        engine.sync()?;
        self.home.note(&engine, &reached)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        Ok(Arc::new(RocksSnapshot::take(&self.current(), &self.home)?))
    }

    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault> {
        Ok(Box::new(RocksSink::begin(Arc::clone(&self.home))?))
    }
}

/// A directory of ours that goes when its owner does.
struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            // The next start removes it.
            tracing::warn!(path = %self.path.display(), %error, "scratch directory not removed");
        }
    }
}

/// A checkpoint. Its directory is removed when the last holder drops it.
struct RocksSnapshot {
    folder: Scratch,
    applied: Applied,
    files: Vec<SnapshotFile>,
    /// Made by the first who reads it: hashing reads every byte.
    manifest: Mutex<Option<Bytes>>,
}

impl RocksSnapshot {
    fn take(engine: &RocksEngine, home: &StateHome) -> Result<Self, StorageFault> {
        let live = applied::load(engine)?;
        let path = home
            .directory
            .next_snapshot(live.last.map(|last| last.index))?;
        let folder = Scratch {
            path: path.clone(),
            kept: false,
        };
        engine.checkpoint(&path)?;
        #[cfg(feature = "planted")]
        if home.shared.settings().snapshot_misses_a_column_family {
            forget_family(&path, &home.shared, Family::Index)?;
        }
        let applied = applied::load(&RocksEngine::open_read_only(
            &path,
            &home.shared,
            &[Family::Meta],
        )?)?;
        if applied != live {
            return Err(StorageFault::Invariant(
                "the state moved while its snapshot was taken".into(),
            ));
        }
        home.note(engine, &applied)?;
        let mut listed = Vec::new();
        for name in names(&path)? {
            let place = path.join(&name);
            let size = std::fs::metadata(&place)
                .map_err(io("measure", &place))?
                .len();
            listed.push(ManifestFile {
                name,
                size,
                sha256: [0; 32],
            });
        }
        // A hash has a fixed size, so the size of the manifest is known before its content.
        let manifest = Manifest::new(&applied, listed);
        let first = SnapshotFile {
            name: MANIFEST_NAME.to_owned(),
            size: manifest.to_bytes().len() as u64,
        };
        let rest = manifest.files.iter().map(|file| SnapshotFile {
            name: file.name.clone(),
            size: file.size,
        });
        let files = std::iter::once(first).chain(rest).collect();
        Ok(Self {
            folder,
            applied,
            files,
            manifest: Mutex::new(None),
        })
    }

    fn manifest(&self) -> Result<Bytes, StorageFault> {
        let mut made = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = &*made {
            return Ok(bytes.clone());
        }
        let mut listed = Vec::new();
        for file in &self.files[1..] {
            let mut hash = Sha256::new();
            let mut offset = 0;
            while offset < file.size {
                let chunk = self.read_file(file, offset, HASH_CHUNK)?;
                hash.update(&chunk);
                offset += chunk.len() as u64;
            }
            let sha256 = hash.finalize().into();
            listed.push(ManifestFile {
                name: file.name.clone(),
                size: file.size,
                sha256,
            });
        }
        let bytes = Bytes::from(Manifest::new(&self.applied, listed).to_bytes());
        assert_eq!(
            self.files[0].size,
            bytes.len() as u64,
            "the manifest has the size that was announced"
        );
        *made = Some(bytes.clone());
        Ok(bytes)
    }

    fn read_file(
        &self,
        file: &SnapshotFile,
        offset: u64,
        size: usize,
    ) -> Result<Bytes, StorageFault> {
        let path = self.folder.path.join(&file.name);
        let size = file.size.saturating_sub(offset).min(size as u64) as usize;
        let mut out = vec![0; size];
        let from = File::open(&path).map_err(io("open", &path))?;
        from.read_exact_at(&mut out, offset)
            .map_err(io("read", &path))?;
        Ok(out.into())
    }
}

/// The planted fault of a copy that leaves a family out, or copies it before it was filled: the database opens, its
/// manifest names every family and every hash is right. A family that is missing by name would be refused.
#[cfg(feature = "planted")]
fn forget_family(path: &Path, shared: &RocksShared, family: Family) -> Result<(), StorageFault> {
    let copy = RocksEngine::open(path, shared)?;
    let mut batch = Batch::default();
    for (key, _) in copy.scan(family, &[], None, usize::MAX)? {
        batch.delete(family, key);
    }
    copy.write(batch)?;
    copy.sync()
}

impl Snapshot for RocksSnapshot {
    fn applied(&self) -> &Applied {
        &self.applied
    }

    fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    fn read(&self, file: usize, offset: u64, size: usize) -> Result<Bytes, StorageFault> {
        match self.files.get(file) {
            None => Err(StorageFault::Invariant(format!(
                "the snapshot has no file {file}"
            ))),
            Some(_) if file == 0 => {
                let bytes = self.manifest()?;
                let from = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                Ok(bytes.slice(from..from.saturating_add(size).min(bytes.len())))
            }
            Some(listed) => self.read_file(listed, offset, size),
        }
    }
}

/// A database that is being received. Dropped before `finish`, it leaves nothing.
struct RocksSink {
    home: Arc<StateHome>,
    number: u64,
    intake: Option<Intake>,
    /// The received database once it was checked. Closed before its folder goes: fields are dropped in this order.
    checked: Option<(RocksEngine, Applied)>,
    shelf: FolderShelf,
}

impl RocksSink {
    fn begin(home: Arc<StateHome>) -> Result<Self, StorageFault> {
        let number = home.directory.next_state();
        let path = home.directory.state_path(number);
        std::fs::create_dir(&path).map_err(io("create", &path))?;
        let shelf = FolderShelf {
            folder: Scratch { path, kept: false },
            open: None,
        };
        Ok(Self {
            home,
            number,
            intake: Some(Intake::default()),
            checked: None,
            shelf,
        })
    }
}

impl StateSink for RocksSink {
    fn content(&self) -> Option<&dyn KvRead> {
        let (engine, _) = self.checked.as_ref()?;
        Some(engine)
    }
}

impl SnapshotSink for RocksSink {
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageFault> {
        let intake = self.intake.as_mut();
        let intake = intake.ok_or_else(|| corrupt("a piece came after its end".into()))?;
        intake.piece(&mut self.shelf, name, offset, bytes)
    }

    fn check(&mut self) -> Result<Applied, StorageFault> {
        let intake = self.intake.take();
        let intake = intake.ok_or_else(|| corrupt("it was refused before".into()))?;
        let manifest = intake.finish(&mut self.shelf)?;
        let path = self.shelf.folder.path.clone();
        sync_directory(&path)?;
        let engine = RocksEngine::open(&path, &self.home.shared)?;
        // The sender hashed what lay on its disk; damage that was there before is found only by reading it all.
        engine.scrub()?;
        let applied = applied::load(&engine)?;
        if applied != manifest.applied() {
            return Err(corrupt(
                "the database in it has come to another position than the manifest says".into(),
            ));
        }
        self.checked = Some((engine, applied.clone()));
        Ok(applied)
    }

    fn finish(mut self: Box<Self>) -> Result<Applied, StorageFault> {
        if self.checked.is_none() {
            self.check()?;
        }
        let Some((engine, applied)) = self.checked.take() else {
            return Err(StorageFault::Invariant("a checked snapshot is kept".into()));
        };
        // From here on the pointer may name it, whatever fails.
        self.shelf.folder.kept = true;
        let floor = applied.last.map(|last| last.index);
        self.home.directory.name_current(Current {
            number: self.number,
            floor,
        })?;
        let mut current = self
            .home
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut *current, engine);
        drop(current);
        replaced.retire();
        Ok(applied)
    }
}

struct FolderShelf {
    folder: Scratch,
    open: Option<(PathBuf, File)>,
}

impl Shelf for FolderShelf {
    fn begin(&mut self, name: &str) -> Result<(), StorageFault> {
        let path = self.folder.path.join(name);
        let file = File::create_new(&path).map_err(io("create", &path))?;
        self.open = Some((path, file));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageFault> {
        use std::io::Write;
        match &mut self.open {
            Some((path, file)) => file.write_all(bytes).map_err(io("write", path)),
            None => Err(StorageFault::Invariant("no file is open".into())),
        }
    }

    fn end(&mut self) -> Result<(), StorageFault> {
        match self.open.take() {
            Some((path, file)) => file.sync_all().map_err(io("sync", &path)),
            None => Err(StorageFault::Invariant("no file is open".into())),
        }
    }
}
