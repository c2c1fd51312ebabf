//! The engine of a node: RocksDB with every family of [`Family::ALL`], its options, and views that do not move.
//!
//! One directory is one database; its options are in `settings`. Which directory is current, and how one database takes the place of another, is in
//! `directory` and `state`. RocksDB's types stop here.
//!
//! There is no write-ahead log: the Raft log is one already, and it keeps every record that the newest snapshot does not
//! hold. What is lost with the memory of a node is applied again (at most the write buffers full, about a second).
//! Why the families cannot diverge: memtables of all families are flushed together (`atomic_flush`), so a crash loses
//! whole batches from the end, never one family's part. See `decisions/0002-no-write-ahead-log.md`.

mod framing;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamily, DB, ErrorKind, FlushOptions, Options, ReadOptions, WriteBatch, WriteOptions,
};

use crate::engine::{Batch, KvEngine, KvRead, Pair};
use crate::families::Family;
use crate::fault::{FirstFault, StorageFault};

pub use settings::{RocksSettings, RocksShared};

self_cell::self_cell! {
    /// A database with the handles of its families, so that none is looked up by name for every read.
    struct Base {
        owner: DB,
        #[covariant]
        dependent: Handles,
    }
}

/// By family, in the order of [`Family::ALL`]; `None` for one that was not opened.
struct Handles<'a>([Option<&'a ColumnFamily>; Family::ALL.len()]);

/// An open database and what becomes of its directory. Fields drop in this order: the database closes first.
struct Opened {
    base: Base,
    home: Home,
    /// Why a write failed once. Nothing is written after it: the world on disk is unknown.
    poisoned: OnceLock<String>,
    /// Where damage that a read meets is told: whoever reads may answer an error and go on, the process must not.
    damage: FirstFault,
    /// Of a read of the newest state: made once, not for every read.
    newest: ReadOptions,
}

struct Home {
    path: PathBuf,
    retired: AtomicBool,
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Acquire)
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            // The next start removes it.
            tracing::warn!(path = %self.path.display(), %error, "replaced state directory not removed");
        }
    }
}

/// The families of one RocksDB database.
#[derive(Clone)]
pub struct RocksEngine {
    opened: Arc<Opened>,
}

impl RocksEngine {
    /// Makes an empty database with every family.
    ///
    /// # Errors
    /// Something is there already, or the disk failed. A crash in here leaves a directory that [`RocksEngine::open`]
    /// may refuse: name it as current only afterwards.
    pub fn create(path: &Path, shared: &RocksShared) -> Result<Self, StorageFault> {
        let mut options = shared.database();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_error_if_exists(true);
        let db = DB::open_cf_descriptors(&options, path, shared.descriptors(Family::ALL))
            .map_err(fault("create"))?;
        Ok(Self::of(db, path, shared))
    }

    /// Opens a database that [`RocksEngine::create`] or a snapshot made.
    ///
    /// # Errors
    /// It is not there, a family is missing or unknown, a check failed, or the disk failed.
    pub fn open(path: &Path, shared: &RocksShared) -> Result<Self, StorageFault> {
        let options = shared.database();
        check_families(&options, path)?;
        let db = DB::open_cf_descriptors(&options, path, shared.descriptors(Family::ALL))
            .map_err(fault("open"))?;
        Ok(Self::of(db, path, shared))
    }

    /// Opens some families of a database without writing anything to its directory. All must be there; a read of one
    /// that was not asked for fails. (Opening one family takes a tenth of the time of opening all.)
    ///
    /// # Errors
    /// As [`RocksEngine::open`].
    pub fn open_read_only(
        path: &Path,
        shared: &RocksShared,
        families: &[Family],
    ) -> Result<Self, StorageFault> {
        let options = shared.database();
        check_families(&options, path)?;
        let asked = shared.descriptors(families);
        let db = DB::open_cf_descriptors_read_only(&options, path, asked, false)
            .map_err(fault("open read-only"))?;
        Ok(Self::of(db, path, shared))
    }

    fn of(db: DB, path: &Path, shared: &RocksShared) -> Self {
        let home = Home {
            path: path.to_owned(),
            retired: AtomicBool::new(false),
        };
        let base = Base::new(db, |db| {
            Handles(std::array::from_fn(|at| {
                db.cf_handle(Family::ALL[at].name())
            }))
        });
        Self {
            opened: Arc::new(Opened {
                base,
                home,
                poisoned: OnceLock::new(),
                damage: shared.damage().clone(),
                newest: ReadOptions::default(),
            }),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.opened.home.path
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// The disk failed. Nothing can be written after that: a second sync could claim what the first lost.
    pub fn sync(&self) -> Result<(), StorageFault> {
        let families = self.opened.base.borrow_dependent().0;
        let families: Vec<&ColumnFamily> = families.into_iter().flatten().collect();
        self.guarded("sync", |db| {
            db.flush_cfs_opt(&families, &FlushOptions::default())
        })
    }

    /// Writes all families into `path` (which must not exist) as a database of its own, by hard links. What was
    /// written before is durable afterwards, there and here.
    ///
    /// # Errors
    /// The disk failed.
    pub fn checkpoint(&self, path: &Path) -> Result<(), StorageFault> {
        self.guarded("checkpoint", |db| {
            Checkpoint::new(db)?.create_checkpoint(path)
        })
    }

    /// Reads every pair of every family past the cache, so that each checksum on disk is checked. Slow.
    ///
    /// # Errors
    /// The first damage found.
    pub fn scrub(&self) -> Result<Scrubbed, StorageFault> {
        let mut found = Scrubbed::default();
        for &family in Family::ALL {
            let mut options = ReadOptions::default();
            options.fill_cache(false);
            options.set_verify_checksums(true);
            let mut at = self
                .opened
                .db()
                .raw_iterator_cf_opt(self.opened.handle(family)?, options);
            at.seek_to_first();
            while let Some((key, value)) = at.item() {
                found.pair_count += 1;
                found.size += (key.len() + value.len()) as u64;
                at.next();
            }
            at.status().map_err(fault("scrub"))?;
        }
        Ok(found)
    }

    /// Removes the directory once the last reader of this database is gone.
    pub(crate) fn retire(&self) {
        self.opened.home.retired.store(true, Ordering::Release);
    }

    fn guarded(
        &self,
        what: &'static str,
        act: impl FnOnce(&DB) -> Result<(), rocksdb::Error>,
    ) -> Result<(), StorageFault> {
        if let Some(first) = self.opened.poisoned.get() {
            let detail = format!("an earlier write failed: {first}");
            return Err(StorageFault::Database { what, detail });
        }
        act(self.opened.db()).map_err(|error| {
            self.opened.poisoned.get_or_init(|| error.to_string());
            fault(what)(error)
        })
    }
}

impl std::fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksEngine({})", self.path().display())
    }
}

/// What [`RocksEngine::scrub`] read without fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scrubbed {
    /// Pairs over all families.
    pub pair_count: u64,
    /// Bytes of their keys and values.
    pub size: u64,
}

impl KvRead for RocksEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        get(&self.opened, &self.opened.newest, family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        scan(
            &self.opened,
            ReadOptions::default(),
            family,
            from,
            to,
            count_max,
        )
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        last(&self.opened, ReadOptions::default(), family, from, to)
    }
}

impl KvEngine for RocksEngine {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        // A key, a value, and what RocksDB writes between them.
        let size = |(_, key, value): &(Family, Vec<u8>, Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len) + 16
        };
        let range_size = |(_, from, to): &(Family, Vec<u8>, Vec<u8>)| from.len() + to.len() + 16;
        let size = 16
            + batch.cleared.iter().map(range_size).sum::<usize>()
            + batch.changes.iter().map(size).sum::<usize>();
        let mut changes = WriteBatch::with_capacity_bytes(size);
        // First: a later write of the same batch into a cleared range stays.
        for (family, from, to) in &batch.cleared {
            // RocksDB refuses an inverted range, and with it the batch.
            if from < to {
                changes.delete_range_cf(self.opened.handle(*family)?, from, to);
            }
        }
        for (family, key, value) in &batch.changes {
            let family = self.opened.handle(*family)?;
            match value {
                Some(value) => changes.put_cf(family, key, value),
                None => changes.delete_cf(family, key),
            }
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.guarded("write", |db| db.write_opt(changes, &options))
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        Ok(Arc::new(View(Held::new(
            Arc::clone(&self.opened),
            |opened| opened.db().snapshot(),
        ))))
    }
}

type DbSnapshot<'a> = rocksdb::Snapshot<'a>;

self_cell::self_cell! {
    /// A RocksDB snapshot with the database it borrows from.
    struct Held {
        owner: Arc<Opened>,
        #[not_covariant]
        dependent: DbSnapshot,
    }
}

/// A moment of a database; keeps the database (and its directory) alive.
struct View(Held);

impl View {
    fn read<T>(
        &self,
        act: impl FnOnce(&Opened, ReadOptions) -> Result<T, StorageFault>,
    ) -> Result<T, StorageFault> {
        self.0.with_dependent(|opened, snapshot| {
            let mut options = ReadOptions::default();
            options.set_snapshot(snapshot);
            act(opened, options)
        })
    }
}

impl KvRead for View {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.read(|opened, options| get(opened, &options, family, key))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        self.read(|opened, options| scan(opened, options, family, from, to, count_max))
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        self.read(|opened, options| last(opened, options, family, from, to))
    }

    fn damaged(&self, fault: &StorageFault) {
        self.0.borrow_owner().damage.note_damage(fault);
    }
}

fn get(
    opened: &Opened,
    options: &ReadOptions,
    family: Family,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StorageFault> {
    let found = opened
        .db()
        .get_pinned_cf_opt(opened.handle(family)?, key, options)
        .map_err(|error| opened.unreadable("read", error))?;
    Ok(found.map(|value| value.to_vec()))
}

fn scan(
    opened: &Opened,
    mut options: ReadOptions,
    family: Family,
    from: &[u8],
    to: Option<&[u8]>,
    count_max: usize,
) -> Result<Vec<Pair>, StorageFault> {
    if count_max == 0 || to.is_some_and(|to| to <= from) {
        return Ok(Vec::new());
    }
    if let Some(to) = to {
        options.set_iterate_upper_bound(to);
    }
    let mut at = opened
        .db()
        .raw_iterator_cf_opt(opened.handle(family)?, options);
    let mut out = Vec::new();
    at.seek(from);
    while let Some((key, value)) = at.item() {
        out.push((key.to_vec(), value.to_vec()));
        if out.len() == count_max {
            return Ok(out);
        }
        at.next();
    }
    at.status()
        .map_err(|error| opened.unreadable("scan", error))?;
    Ok(out)
}

fn last(
    opened: &Opened,
    mut options: ReadOptions,
    family: Family,
    from: &[u8],
    to: Option<&[u8]>,
) -> Result<Option<Pair>, StorageFault> {
    if to.is_some_and(|to| to <= from) {
        return Ok(None);
    }
    options.set_iterate_lower_bound(from);
    if let Some(to) = to {
        options.set_iterate_upper_bound(to);
    }
    let mut at = opened
        .db()
        .raw_iterator_cf_opt(opened.handle(family)?, options);
    at.seek_to_last();
    let found = at.item().map(|(key, value)| (key.to_vec(), value.to_vec()));
    at.status()
        .map_err(|error| opened.unreadable("scan", error))?;
    Ok(found)
}

impl Opened {
    fn db(&self) -> &DB {
        self.base.borrow_owner()
    }

    /// Tells damage to the process besides the reader.
    fn unreadable(&self, what: &'static str, error: rocksdb::Error) -> StorageFault {
        let found = fault(what)(error);
        self.damage.note_damage(&found);
        found
    }

    fn handle(&self, family: Family) -> Result<&ColumnFamily, StorageFault> {
        // Opening a database checked that every family is there; only a read-only one may be without.
        self.base.borrow_dependent().0[family as usize]
            .ok_or_else(|| StorageFault::Invariant(format!("family {} is not open", family.name())))
    }
}

/// Judges what opening would not refuse. RocksDB opens a database that misses a family without a word, and would make it anew, empty.
fn check_families(options: &Options, path: &Path) -> Result<(), StorageFault> {
    framing::check(path)?;
    let found = DB::list_cf(options, path).map_err(fault("list families"))?;
    if let Some(missing) = Family::ALL
        .iter()
        .find(|family| !found.iter().any(|name| name == family.name()))
    {
        let detail = format!("family {} is missing", missing.name());
        return Err(StorageFault::Corrupt {
            what: "state database",
            detail,
        });
    }
    let known =
        |name: &str| name == "default" || Family::ALL.iter().any(|family| family.name() == name);
    match found.iter().find(|name| !known(name)) {
        Some(name) => Err(StorageFault::Foreign(format!(
            "the state database has a family `{name}` that this binary does not know"
        ))),
        None => Ok(()),
    }
}

fn fault(what: &'static str) -> impl Fn(rocksdb::Error) -> StorageFault {
    move |error| match error.kind() {
        ErrorKind::Corruption => StorageFault::Corrupt {
            what: "state database",
            detail: format!("{what}: {error}"),
        },
        _ => StorageFault::Database {
            what,
            detail: error.to_string(),
        },
    }
}
