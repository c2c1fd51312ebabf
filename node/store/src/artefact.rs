//! What a snapshot looks like outside a database: a manifest and files, and how they are taken in.
//!
//! The manifest is the first file. It names the position, the membership, the families, and every other file with size
//! and SHA-256. The side that takes in believes nothing else: an extra, missing, cut or altered file is refused before
//! the database in it is opened. Who signs a manifest, and who may send one, is decided elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use carnet_domain::bytes::encoding::{ARRAY_COUNT_MAX, Blob, Canonical};
use carnet_domain::canonical_struct;
use carnet_domain::limits::List;

use crate::engine::{Batch, KvEngine, KvRead, Pair};
use crate::families::Family;
use crate::fault::StorageFault;
use crate::machine::{Applied, LogPosition, Snapshot, SnapshotSink};

/// Name of the manifest among the files.
pub const MANIFEST_NAME: &str = "carnet-manifest";
/// Of the form in which the manifest is written; another one is not read.
pub const MANIFEST_VERSION: u32 = 1;
/// The largest manifest taken in, in bytes.
pub const MANIFEST_SIZE_MAX: usize = 16 << 20;
/// The longest file name, in bytes.
pub const NAME_SIZE_MAX: usize = 128;

/// An engine whose whole content can be handed over, or replaced by another's.
pub trait StateEngine: KvEngine {
    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// The disk failed.
    fn sync(&self) -> Result<(), StorageFault>;

    /// A snapshot of this moment. What was written before is durable afterwards. Call it while nothing writes.
    ///
    /// # Errors
    /// The disk failed.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault>;

    /// Begins to take in a snapshot. After its `finish`, this engine reads and writes the new content; views taken
    /// before keep the old. Call `finish` while nothing writes.
    ///
    /// # Errors
    /// The disk failed.
    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault>;
}

/// An engine that is chosen when the program begins: the one of a data directory on a machine, one in memory in the simulation.
pub type NodeEngine = Arc<dyn StateEngine>;

impl KvRead for NodeEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.as_ref().get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        self.as_ref().scan(family, from, to, count_max)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        self.as_ref().last(family, from, to)
    }

    fn damaged(&self, fault: &StorageFault) {
        self.as_ref().damaged(fault);
    }
}

impl KvEngine for NodeEngine {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        self.as_ref().write(batch)
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        self.as_ref().view()
    }
}

impl StateEngine for NodeEngine {
    fn sync(&self) -> Result<(), StorageFault> {
        self.as_ref().sync()
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        self.as_ref().snapshot()
    }

    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault> {
        self.as_ref().receive()
    }
}

/// A sink whose content can be read before it replaces anything.
pub trait StateSink: SnapshotSink {
    /// What was received; `None` before [`SnapshotSink::check`] has succeeded.
    fn content(&self) -> Option<&dyn KvRead>;
}

/// What the first file of a snapshot says about the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`] of the writer.
    pub version: u32,
    /// The last record applied.
    pub last: Option<LogPosition>,
    /// The last membership applied.
    pub membership: Option<(LogPosition, Blob)>,
    /// Name of every column family.
    pub families: Vec<String>,
    /// Every other file, in the order in which they are sent.
    pub files: Vec<ManifestFile>,
}

/// Name, size and digest of a file, as [`Manifest`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Plain file name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

canonical_struct!(Manifest {
    version,
    last,
    membership,
    families,
    files: List<{ ARRAY_COUNT_MAX as usize }>
});
canonical_struct!(ManifestFile { name, size, sha256 });

impl Manifest {
    /// The manifest of a state of this binary's families.
    pub fn new(applied: &Applied, files: Vec<ManifestFile>) -> Self {
        let membership = applied.membership.as_ref();
        Self {
            version: MANIFEST_VERSION,
            last: applied.last,
            membership: membership.map(|(position, bytes)| (*position, Blob(bytes.to_vec()))),
            families: Family::ALL
                .iter()
                .map(|family| family.name().to_owned())
                .collect(),
            files,
        }
    }

    /// How far the state had come.
    pub fn applied(&self) -> Applied {
        let membership = self.membership.clone();
        Applied {
            last: self.last,
            membership: membership.map(|(position, Blob(bytes))| (position, bytes.into())),
        }
    }

    /// Reads and judges a manifest that came from elsewhere.
    ///
    /// # Errors
    /// It is not canonical, newer than this binary, names a file twice or by a path, or misses a family.
    pub fn parse(bytes: &[u8]) -> Result<Self, StorageFault> {
        let this = Self::from_bytes(bytes).map_err(|e| corrupt(e.to_string()))?;
        if this.version != MANIFEST_VERSION {
            return Err(StorageFault::Foreign(format!(
                "the snapshot has format {}; this binary knows {MANIFEST_VERSION}",
                this.version
            )));
        }
        let mut names = BTreeSet::from([MANIFEST_NAME]);
        for file in &this.files {
            plain_name(&file.name)?;
            if !names.insert(&file.name) {
                return Err(corrupt(format!("file {} is named twice", file.name)));
            }
        }
        let families = this
            .families
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>();
        if let Some(missing) = Family::ALL
            .iter()
            .find(|family| !families.contains(family.name()))
        {
            return Err(corrupt(format!("family {} is missing", missing.name())));
        }
        if families.len() != Family::ALL.len() || this.families.len() != families.len() {
            return Err(StorageFault::Foreign(
                "the snapshot has a family that this binary does not know".into(),
            ));
        }
        Ok(this)
    }
}

/// Where the bytes of a snapshot go while it is taken in. One file is open at a time.
pub(crate) trait Shelf {
    /// Begins a new file.
    fn begin(&mut self, name: &str) -> Result<(), StorageFault>;
    /// Adds to it.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageFault>;
    /// Ends it: it is whole and its hash was right. It must be durable afterwards.
    fn end(&mut self) -> Result<(), StorageFault>;
}

/// Checks what comes in, piece by piece, against the manifest at its head.
#[derive(Default)]
pub(crate) struct Intake {
    manifest_bytes: Vec<u8>,
    manifest: Option<Manifest>,
    /// Files of the manifest that are whole.
    done_count: usize,
    open: Option<OpenFile>,
    /// A piece was refused: nothing after it is believed.
    refused: bool,
}

struct OpenFile {
    size: u64,
    hash: Sha256,
}

impl Intake {
    /// Takes a piece of a file; files come in the order of the manifest.
    pub(crate) fn piece(
        &mut self,
        shelf: &mut impl Shelf,
        name: &str,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StorageFault> {
        if self.refused {
            return Err(corrupt("a piece of it was refused before".into()));
        }
        let taken = self.take(shelf, name, offset, bytes);
        self.refused = taken.is_err();
        taken
    }

    /// Ends the intake: every file of the manifest is there and right.
    pub(crate) fn finish(mut self, shelf: &mut impl Shelf) -> Result<Manifest, StorageFault> {
        if self.refused {
            return Err(corrupt("a piece of it was refused before".into()));
        }
        self.ensure_manifest()?;
        self.close(shelf)?;
        self.pass_empty(shelf, None)?;
        let manifest = self
            .manifest
            .ok_or_else(|| corrupt("there is no manifest".into()))?;
        match manifest.files.get(self.done_count) {
            Some(file) => Err(corrupt(format!("file {} is missing", file.name))),
            None => Ok(manifest),
        }
    }

    fn take(
        &mut self,
        shelf: &mut impl Shelf,
        name: &str,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StorageFault> {
        plain_name(name)?;
        if name == MANIFEST_NAME {
            let contiguous = self.manifest.is_none() && offset == self.manifest_bytes.len() as u64;
            if !contiguous {
                return Err(corrupt("a piece of the manifest is out of order".into()));
            }
            if MANIFEST_SIZE_MAX < self.manifest_bytes.len() + bytes.len() {
                return Err(corrupt(format!(
                    "the manifest is larger than {MANIFEST_SIZE_MAX} bytes"
                )));
            }
            self.manifest_bytes.extend_from_slice(bytes);
            return Ok(());
        }
        self.ensure_manifest()?;
        let open_name = self
            .open
            .as_ref()
            .and_then(|_| self.expected())
            .map(|file| file.name.clone());
        if open_name.as_deref() != Some(name) {
            self.close(shelf)?;
            self.pass_empty(shelf, Some(name))?;
            if self.expected().is_none_or(|file| file.name != name) {
                return Err(corrupt(format!("file {name} was not expected here")));
            }
            shelf.begin(name)?;
            self.open = Some(OpenFile {
                size: 0,
                hash: Sha256::new(),
            });
        }
        let size_max = self.expected().map_or(0, |file| file.size);
        let Some(open) = &mut self.open else {
            return Err(corrupt(format!("file {name} is not open")));
        };
        if offset != open.size {
            return Err(corrupt(format!(
                "file {name}: expected byte {}, got byte {offset}",
                open.size
            )));
        }
        if size_max - open.size < bytes.len() as u64 {
            return Err(corrupt(format!(
                "file {name} is longer than {size_max} bytes"
            )));
        }
        open.hash.update(bytes);
        open.size += bytes.len() as u64;
        shelf.append(bytes)
    }

    fn ensure_manifest(&mut self) -> Result<(), StorageFault> {
        if self.manifest.is_none() {
            let bytes = std::mem::take(&mut self.manifest_bytes);
            self.manifest = Some(Manifest::parse(&bytes)?);
        }
        Ok(())
    }

    /// The file that is open, or comes next.
    fn expected(&self) -> Option<&ManifestFile> {
        self.manifest.as_ref()?.files.get(self.done_count)
    }

    fn close(&mut self, shelf: &mut impl Shelf) -> Result<(), StorageFault> {
        let (Some(open), Some(file)) = (self.open.take(), self.expected()) else {
            return Ok(());
        };
        if open.size != file.size {
            return Err(corrupt(format!(
                "file {} was cut: {} of {} bytes",
                file.name, open.size, file.size
            )));
        }
        if open.hash.finalize()[..] != file.sha256 {
            return Err(corrupt(format!("file {} was altered", file.name)));
        }
        shelf.end()?;
        self.done_count += 1;
        Ok(())
    }

    /// Makes the empty files before `name`: a stream need not carry them.
    fn pass_empty(
        &mut self,
        shelf: &mut impl Shelf,
        name: Option<&str>,
    ) -> Result<(), StorageFault> {
        while let Some(file) = self
            .expected()
            .filter(|file| file.size == 0 && Some(file.name.as_str()) != name)
        {
            shelf.begin(&file.name)?;
            self.open = Some(OpenFile {
                size: 0,
                hash: Sha256::new(),
            });
            self.close(shelf)?;
        }
        Ok(())
    }
}

/// SHA-256 over all pairs of all families: equal for replicas at the same position. Reads everything.
///
/// The bytes hashed are, for each family in the order of [`Family::ALL`]: each pair as `len(key) ‖ key ‖ len(value) ‖
/// value` with 8-byte big-endian lengths, then `0xff` eight times.
///
/// # Errors
/// The disk failed.
pub fn content_digest(read: &(impl KvRead + ?Sized)) -> Result<[u8; 32], StorageFault> {
    let digest = content_digest_paced(read, |_| true)?;
    digest.ok_or_else(|| StorageFault::Invariant("a digest that nobody stopped has no end".into()))
}

/// As [`content_digest`]; `go_on` is called after every page with its size in bytes. It may take its time, and `false` ends
/// the reading without a digest.
///
/// # Errors
/// The disk failed.
pub fn content_digest_paced(
    read: &(impl KvRead + ?Sized),
    mut go_on: impl FnMut(usize) -> bool,
) -> Result<Option<[u8; 32]>, StorageFault> {
    const PAGE_COUNT: usize = 1_000;
    let mut hash = Sha256::new();
    for &family in Family::ALL {
        let mut from = Vec::new();
        loop {
            let page = read.scan(family, &from, None, PAGE_COUNT)?;
            let mut size = 0;
            for (key, value) in &page {
                for part in [key, value] {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                    size += part.len();
                }
            }
            if !go_on(size) {
                return Ok(None);
            }
            match page.into_iter().nth(PAGE_COUNT - 1) {
                // The least key after the last one of the page.
                Some((key, _)) => from = [&key[..], &[0]].concat(),
                None => break,
            }
        }
        hash.update([0xff; 8]);
    }
    Ok(Some(hash.finalize().into()))
}

pub(crate) fn corrupt(detail: String) -> StorageFault {
    StorageFault::Corrupt {
        what: "snapshot",
        detail,
    }
}

/// A file name that cannot leave its directory, whatever the file system thinks of it.
fn plain_name(name: &str) -> Result<(), StorageFault> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    let first = name.bytes().next();
    if name.len() <= NAME_SIZE_MAX && name.bytes().all(plain) && first.is_some_and(|c| c != b'.') {
        return Ok(());
    }
    Err(corrupt(format!("{name:?} is not a plain file name")))
}
