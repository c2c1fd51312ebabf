//! The engine of the simulation: ordered maps in memory, which lose what was not synced when they crash.
//!
//! It runs the same `apply` as a node and hands over the same kind of snapshot (a manifest and files), so that the
//! simulation meets the same refusals. It has no disk that could fail.

use std::ops::Bound;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use imbl::OrdMap;
use sha2::{Digest, Sha256};

use carnet_domain::bytes::encoding::Canonical;

use crate::applied;
use crate::artefact::{
    Intake, MANIFEST_NAME, Manifest, ManifestFile, Shelf, StateEngine, StateSink, corrupt,
};
use crate::engine::{Batch, KvEngine, KvRead, Pair};
use crate::families::Family;
use crate::fault::StorageFault;
use crate::machine::{Applied, Snapshot, SnapshotFile, SnapshotSink};

/// An engine in memory. Clones are the same engine.
#[derive(Clone, Default)]
pub struct MemoryEngine {
    disk: Arc<RwLock<Disk>>,
}

#[derive(Default)]
struct Disk {
    now: Arc<Content>,
    durable: Arc<Content>,
}

/// All families at one moment. Maps share structure, so a copy costs nothing.
#[derive(Clone)]
struct Content {
    /// By the number of the family.
    families: Vec<OrdMap<Bytes, Bytes>>,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            families: vec![OrdMap::new(); Family::ALL.len()],
        }
    }
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses every write since the last sync, snapshot or install, as a power cut does at its worst.
    pub fn crash(&self) {
        self.change(|disk| disk.now = Arc::clone(&disk.durable));
    }

    fn now(&self) -> Arc<Content> {
        Arc::clone(&self.disk.read().unwrap_or_else(PoisonError::into_inner).now)
    }

    fn change(&self, act: impl FnOnce(&mut Disk)) {
        act(&mut self.disk.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Content {
    fn family(&self, family: Family) -> &OrdMap<Bytes, Bytes> {
        &self.families[family as usize]
    }
}

impl KvRead for Content {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        Ok(self.family(family).get(key).map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        let Some(range) = range(from, to) else {
            return Ok(Vec::new());
        };
        let pairs = self.family(family).range::<_, [u8]>(range);
        Ok(pairs
            .take(count_max)
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect())
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        let Some(range) = range(from, to) else {
            return Ok(None);
        };
        let pair = self.family(family).range::<_, [u8]>(range).next_back();
        Ok(pair.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }
}

impl KvRead for MemoryEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.now().get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        self.now().scan(family, from, to, count_max)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        self.now().last(family, from, to)
    }
}

impl KvEngine for MemoryEngine {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        self.change(|disk| {
            let content = Arc::make_mut(&mut disk.now);
            for (family, from, to) in batch.cleared {
                let Some(range) = range(&from, Some(&to)) else {
                    continue;
                };
                let map = &mut content.families[family as usize];
                let keys: Vec<Bytes> = map
                    .range::<_, [u8]>(range)
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in keys {
                    map.remove(&key);
                }
            }
            for (family, key, value) in batch.changes {
                let map = &mut content.families[family as usize];
                match value {
                    Some(value) => map.insert(key.into(), value.into()),
                    None => map.remove(&key[..]),
                };
            }
        });
        Ok(())
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        Ok(self.now())
    }
}

impl StateEngine for MemoryEngine {
    fn sync(&self) -> Result<(), StorageFault> {
        self.change(|disk| disk.durable = Arc::clone(&disk.now));
        Ok(())
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        self.sync()?;
        let content = self.now();
        let applied = applied::load(&*content)?;
        Ok(Arc::new(MemorySnapshot {
            content,
            applied,
            made: OnceLock::new(),
        }))
    }

    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault> {
        Ok(Box::new(MemorySink {
            engine: self.clone(),
            shelf: MemoryShelf::default(),
            intake: Some(Intake::default()),
            checked: None,
        }))
    }
}

/// From where and up to where.
type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

fn range<'a>(from: &'a [u8], to: Option<&'a [u8]>) -> Option<Range<'a>> {
    // A map refuses an inverted range by panicking.
    match to {
        Some(to) if to <= from => None,
        Some(to) => Some((Bound::Included(from), Bound::Excluded(to))),
        None => Some((Bound::Included(from), Bound::Unbounded)),
    }
}

struct MemorySnapshot {
    content: Arc<Content>,
    applied: Applied,
    made: OnceLock<Made>,
}

struct Made {
    files: Vec<SnapshotFile>,
    bytes: Vec<Bytes>,
}

impl MemorySnapshot {
    fn made(&self) -> &Made {
        self.made.get_or_init(|| {
            let bodies = Family::ALL
                .iter()
                .map(|&family| (file_name(family), pack(self.content.family(family))));
            let (listed, mut bytes): (Vec<_>, Vec<_>) = bodies
                .map(|(name, body)| {
                    let sha256 = Sha256::digest(&body).into();
                    (
                        ManifestFile {
                            name,
                            size: body.len() as u64,
                            sha256,
                        },
                        Bytes::from(body),
                    )
                })
                .unzip();
            let manifest = Manifest::new(&self.applied, listed);
            let first = Bytes::from(manifest.to_bytes());
            let mut files = vec![SnapshotFile {
                name: MANIFEST_NAME.to_owned(),
                size: first.len() as u64,
            }];
            files.extend(manifest.files.into_iter().map(|file| SnapshotFile {
                name: file.name,
                size: file.size,
            }));
            bytes.insert(0, first);
            Made { files, bytes }
        })
    }
}

impl Snapshot for MemorySnapshot {
    fn applied(&self) -> &Applied {
        &self.applied
    }

    fn files(&self) -> &[SnapshotFile] {
        &self.made().files
    }

    fn read(&self, file: usize, offset: u64, size: usize) -> Result<Bytes, StorageFault> {
        let bytes = self.made().bytes.get(file);
        let bytes = bytes
            .ok_or_else(|| StorageFault::Invariant(format!("the snapshot has no file {file}")))?;
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        Ok(bytes.slice(from..from.saturating_add(size).min(bytes.len())))
    }
}

struct MemorySink {
    engine: MemoryEngine,
    shelf: MemoryShelf,
    intake: Option<Intake>,
    checked: Option<(Content, Applied)>,
}

impl StateSink for MemorySink {
    fn content(&self) -> Option<&dyn KvRead> {
        let (content, _) = self.checked.as_ref()?;
        Some(content)
    }
}

impl SnapshotSink for MemorySink {
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageFault> {
        let intake = self.intake.as_mut();
        let intake = intake.ok_or_else(|| corrupt("a piece came after its end".into()))?;
        intake.piece(&mut self.shelf, name, offset, bytes)
    }

    fn check(&mut self) -> Result<Applied, StorageFault> {
        let intake = self.intake.take();
        let intake = intake.ok_or_else(|| corrupt("it was refused before".into()))?;
        let manifest = intake.finish(&mut self.shelf)?;
        let mut content = Content::default();
        for &family in Family::ALL {
            let name = file_name(family);
            let file = self.shelf.files.iter().find(|(found, _)| *found == name);
            let (_, body) =
                file.ok_or_else(|| corrupt(format!("family {} is missing", family.name())))?;
            content.families[family as usize] = unpack(body)
                .ok_or_else(|| corrupt(format!("file {name} is not ascending pairs")))?;
        }
        if self.shelf.files.len() != Family::ALL.len() {
            return Err(corrupt("it has a file of no family".into()));
        }
        let applied = applied::load(&content)?;
        if applied != manifest.applied() {
            return Err(corrupt(
                "the state in it has come to another position than the manifest says".into(),
            ));
        }
        self.checked = Some((content, applied.clone()));
        Ok(applied)
    }

    fn finish(mut self: Box<Self>) -> Result<Applied, StorageFault> {
        if self.checked.is_none() {
            self.check()?;
        }
        let Some((content, applied)) = self.checked.take() else {
            return Err(StorageFault::Invariant("a checked snapshot is kept".into()));
        };
        let content = Arc::new(content);
        self.engine.change(|disk| {
            *disk = Disk {
                now: Arc::clone(&content),
                durable: content,
            }
        });
        Ok(applied)
    }
}

#[derive(Default)]
struct MemoryShelf {
    files: Vec<(String, Vec<u8>)>,
}

impl Shelf for MemoryShelf {
    fn begin(&mut self, name: &str) -> Result<(), StorageFault> {
        self.files.push((name.to_owned(), Vec::new()));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageFault> {
        let open = self.files.last_mut();
        let (_, body) = open.ok_or_else(|| StorageFault::Invariant("no file is open".into()))?;
        body.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), StorageFault> {
        Ok(())
    }
}

fn file_name(family: Family) -> String {
    format!("{}.pairs", family.name())
}

/// `len(key) ‖ key ‖ len(value) ‖ value` for each pair, ascending; lengths are 4 bytes, big-endian.
fn pack(map: &OrdMap<Bytes, Bytes>) -> Vec<u8> {
    let mut out = Vec::new();
    for part in map.iter().flat_map(|(key, value)| [key, value]) {
        let size =
            u32::try_from(part.len()).unwrap_or_else(|_| panic!("a key or value is below 4 GiB"));
        out.extend(size.to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

fn unpack(mut body: &[u8]) -> Option<OrdMap<Bytes, Bytes>> {
    let mut part = || -> Option<Bytes> {
        let (size, rest) = body.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        body = rest;
        Some(Bytes::copy_from_slice(part))
    };
    let mut map = OrdMap::new();
    let mut before: Option<Bytes> = None;
    while let Some(key) = part() {
        if before.as_ref().is_some_and(|before| key <= *before) {
            return None;
        }
        map.insert(key.clone(), part()?);
        before = Some(key);
    }
    body.is_empty().then_some(map)
}
