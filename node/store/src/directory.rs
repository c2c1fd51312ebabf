//! The state half of a data directory: whose it is, who has it open, and which state database in it counts.
//!
//! ```text
//! <root>/
//!   LOCK                 held (flock) by the one process that has the directory open
//!   CREATING             only while the directory is being made
//!   IDENTITY             CBOR [version, h'CBOR [cluster, node, incarnation, store]'] ‖ CRC-32, big-endian
//!   CURRENT              "state-<n> <floor, or -> <CRC-32 of what is before this space, 8 hex digits>\n"
//!   state-<n>/           a state database; every one that CURRENT does not name is a leftover
//!   snapshots/<i>.<k>/   checkpoints being streamed; all are leftovers at the start
//! ```
//!
//! The *floor* is the index of a record that was applied and durable in the current state. A database that opens with
//! less has lost a tail that RocksDB does not miss (a damaged length in its MANIFEST).
//!
//! Other rooms may keep their own names beside these. It deliberately knows nothing of what a database holds.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_domain::bytes::encoding::{Blob, Canonical};

use crate::fault::StorageFault;
use crate::identity::Identity;

/// Version of the layout above.
pub const LAYOUT_VERSION: u32 = 42;

const LOCK: &str = "LOCK";
const CREATING: &str = "CREATING";
const IDENTITY: &str = "IDENTITY";
const CURRENT: &str = "CURRENT";
const SNAPSHOTS: &str = "snapshots";
const STATE_PREFIX: &str = "state-";
/// Ending of a file that is not yet whole.
const UNFINISHED: &str = ".new";

/// Which state database counts, and how far it had come when that was last made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// Number in the name of its directory.
    pub number: u64,
    /// Index of a record that is in it, if any was ever known to be.
    pub floor: Option<u64>,
}

/// A data directory, locked.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    identity: Identity,
    /// What CURRENT says.
    current: Mutex<Current>,
    /// Given to the next state database or snapshot.
    next: AtomicU64,
    _lock: File,
}

impl Directory {
    /// Makes a data directory with a first state database, which `make_state` writes at the path it gets. If it was
    /// cut short, call it again.
    ///
    /// # Errors
    /// There is a node's data or anything unknown already, another process is at it, or the disk failed.
    pub fn create(
        root: &Path,
        identity: Identity,
        make_state: impl FnOnce(&Path) -> Result<(), StorageFault>,
    ) -> Result<Self, StorageFault> {
        std::fs::create_dir_all(root).map_err(io("create", root))?;
        let lock = lock(root)?;
        let names = names(root)?;
        if names.iter().any(|name| name == CREATING) {
            for name in names
                .iter()
                .filter(|name| *name != CREATING && is_ours(name))
            {
                remove(&root.join(name))?;
            }
        } else if let Some(name) = names
            .iter()
            .find(|name| *name != LOCK && *name != "lost+found")
        {
            return Err(StorageFault::Foreign(format!(
                "{} is not empty (it has `{name}`): a new node needs an empty data directory",
                root.display()
            )));
        }
        write_atomically(&root.join(CREATING), b"")?;
        let first = Current {
            number: 0,
            floor: None,
        };
        let directory = Self::of(root, identity, first, lock);
        make_state(&directory.state_path(0))?;
        directory.name_current(first)?;
        let stored = (LAYOUT_VERSION, Blob(identity.to_bytes()));
        write_atomically(&root.join(IDENTITY), &with_check(stored.to_bytes()))?;
        let marker = root.join(CREATING);
        std::fs::remove_file(&marker).map_err(io("remove", &marker))?;
        sync_directory(root)?;
        Ok(directory)
    }

    /// Opens the directory of `identity`, and removes what a crash left behind.
    ///
    /// # Errors
    /// It is not there, belongs to another cluster or node or a newer binary, is damaged, is open in another process,
    /// or the disk failed. Nothing is removed then.
    pub fn open(root: &Path, identity: Identity) -> Result<Self, StorageFault> {
        let shown = root.display();
        if root.join(CREATING).exists() {
            return Err(StorageFault::Foreign(format!(
                "{shown}: its making was cut short; make it again"
            )));
        }
        if !root.join(IDENTITY).exists() {
            return Err(StorageFault::Foreign(format!(
                "{shown} has no IDENTITY of node {}: a wiped disk is a new node and needs a new id",
                identity.node
            )));
        }
        let lock = lock(root)?;
        check_identity(root, identity)?;
        let current = read_current(root)?;
        let directory = Self::of(root, identity, current, lock);
        directory.clean(current.number)?;
        Ok(directory)
    }

    fn of(root: &Path, identity: Identity, current: Current, lock: File) -> Self {
        let next = AtomicU64::new(current.number + 1);
        Self {
            root: root.to_owned(),
            identity,
            current: Mutex::new(current),
            next,
            _lock: lock,
        }
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whose it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The state database that counts.
    pub fn current(&self) -> Current {
        *self.locked()
    }

    /// Makes a state database the one that counts. It must be complete and durable.
    ///
    /// # Errors
    /// The disk failed: either the old one or the new one counts at the next start.
    pub fn name_current(&self, current: Current) -> Result<(), StorageFault> {
        self.write_current(&mut self.locked(), current)
    }

    /// Notes that the record at `floor` is durable in state database `number`. Without effect if another one counts by
    /// now, or more was noted before.
    ///
    /// # Errors
    /// The disk failed.
    pub fn raise_floor(&self, number: u64, floor: Option<u64>) -> Result<(), StorageFault> {
        let mut current = self.locked();
        if current.number != number || floor <= current.floor {
            return Ok(());
        }
        self.write_current(&mut current, Current { number, floor })
    }

    fn locked(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_current(&self, held: &mut Current, current: Current) -> Result<(), StorageFault> {
        sync_directory(&self.root)?;
        write_atomically(&self.root.join(CURRENT), current_line(current).as_bytes())?;
        *held = current;
        Ok(())
    }

    /// The place of a state database.
    pub fn state_path(&self, number: u64) -> PathBuf {
        self.root.join(format!("{STATE_PREFIX}{number}"))
    }

    /// A number no state database of this directory has.
    pub fn next_state(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A place for a snapshot of the state after `index`; its parent is there, itself is not.
    ///
    /// # Errors
    /// The disk failed.
    pub fn next_snapshot(&self, index: Option<u64>) -> Result<PathBuf, StorageFault> {
        let parent = self.root.join(SNAPSHOTS);
        std::fs::create_dir_all(&parent).map_err(io("create", &parent))?;
        let index = index.map_or("none".to_owned(), |index| index.to_string());
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(parent.join(format!("{index}.{serial}")))
    }

    fn clean(&self, current: u64) -> Result<(), StorageFault> {
        let mut removed = false;
        for name in names(&self.root)? {
            let state = name
                .strip_prefix(STATE_PREFIX)
                .and_then(|n| n.parse::<u64>().ok());
            let ours = [IDENTITY, CURRENT]
                .iter()
                .any(|file| name == format!("{file}{UNFINISHED}"));
            if name == SNAPSHOTS || ours || state.is_some_and(|n| n != current) {
                tracing::info!(%name, "leftover removed");
                remove(&self.root.join(name))?;
                removed = true;
            }
        }
        if removed {
            sync_directory(&self.root)?;
        }
        Ok(())
    }
}

/// The new content of a file, durable beside the old one, which still counts.
///
/// Dropped, it is a leftover: the next replacement of the same file writes over it, and nothing reads it.
#[derive(Debug)]
#[must_use = "the old content counts until the new one is put in place"]
pub struct Replacement {
    unfinished: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Writes and syncs the new content beside the old one.
    ///
    /// # Errors
    /// The disk failed. Do not try again: a second fsync may report what the first lost as written.
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self, StorageFault> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        let mut file = File::create(&unfinished).map_err(io("create", &unfinished))?;
        file.write_all(bytes).map_err(io("write", &unfinished))?;
        file.sync_all().map_err(io("sync", &unfinished))?;
        Ok(Self {
            unfinished,
            path: path.to_owned(),
        })
    }

    /// Makes the new content the one that counts, durably.
    ///
    /// # Errors
    /// The disk failed: the old or the new content counts.
    pub fn put_in_place(self) -> Result<(), StorageFault> {
        std::fs::rename(&self.unfinished, &self.path).map_err(io("rename", &self.path))?;
        sync_directory(self.path.parent().unwrap_or(Path::new(".")))
    }
}

/// Replaces a file so that after a crash either the old or the new content is there, whole: write, fsync, rename,
/// fsync of the directory.
///
/// # Errors
/// The disk failed. Do not try again: a second fsync may report what the first lost as written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StorageFault> {
    Replacement::write(path, bytes)?.put_in_place()
}

/// Makes the names in a directory durable.
///
/// # Errors
/// The disk failed.
pub fn sync_directory(path: &Path) -> Result<(), StorageFault> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(io("sync", path))
}

/// A fault of the operating system at a path.
pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StorageFault {
    move |source| StorageFault::of_io(what, path, source)
}

/// The names in a directory, sorted.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, StorageFault> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io("list", path))? {
        let entry = entry.map_err(io("list", path))?;
        out.push(entry.file_name().to_string_lossy().into_owned());
    }
    out.sort_unstable();
    Ok(out)
}

fn read(path: &Path) -> Result<Vec<u8>, StorageFault> {
    std::fs::read(path).map_err(io("read", path))
}

fn remove(path: &Path) -> Result<(), StorageFault> {
    let done = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.map_err(io("remove", path)),
    }
}

fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    [IDENTITY, CURRENT, SNAPSHOTS, CREATING].contains(&name) || name.starts_with(STATE_PREFIX)
}

fn lock(root: &Path) -> Result<File, StorageFault> {
    let path = root.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageFault::Busy(root.display().to_string())),
        Err(TryLockError::Error(error)) => Err(io("lock", &path)(error)),
    }
}

fn check_identity(root: &Path, expected: Identity) -> Result<(), StorageFault> {
    let shown = root.display();
    let corrupt = |detail: String| StorageFault::Corrupt {
        what: IDENTITY,
        detail,
    };
    let bytes = read(&root.join(IDENTITY))?;
    let body = without_check(&bytes).ok_or_else(|| corrupt("its check does not match".into()))?;
    let (version, Blob(body)) =
        <(u32, Blob)>::from_bytes(body).map_err(|e| corrupt(e.to_string()))?;
    if version != LAYOUT_VERSION {
        return Err(StorageFault::Foreign(format!(
            "{shown} has layout {version}; this binary knows {LAYOUT_VERSION}"
        )));
    }
    let found = Identity::from_bytes(&body).map_err(|e| corrupt(e.to_string()))?;
    match found.difference(&expected) {
        Some(difference) => Err(StorageFault::Foreign(format!(
            "{shown} belongs to {difference}"
        ))),
        None => Ok(()),
    }
}

fn read_current(root: &Path) -> Result<Current, StorageFault> {
    let corrupt = |detail: String| StorageFault::Corrupt {
        what: CURRENT,
        detail,
    };
    let text = read(&root.join(CURRENT))?;
    let current = parse_current(&text).ok_or_else(|| corrupt("its check does not match".into()))?;
    let path = root.join(format!("{STATE_PREFIX}{}", current.number));
    match path.is_dir() {
        true => Ok(current),
        false => Err(corrupt(format!(
            "it names {}, which is not there",
            path.display()
        ))),
    }
}

fn current_line(current: Current) -> String {
    let floor = current
        .floor
        .map_or("-".to_owned(), |floor| floor.to_string());
    let said = format!("{STATE_PREFIX}{} {floor}", current.number);
    format!("{said} {:08x}\n", crc32fast::hash(said.as_bytes()))
}

fn parse_current(text: &[u8]) -> Option<Current> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let number = words.next()?.strip_prefix(STATE_PREFIX)?.parse().ok()?;
    let floor = match words.next()? {
        "-" => None,
        floor => Some(floor.parse().ok()?),
    };
    let current = Current { number, floor };
    (text == current_line(current)).then_some(current)
}

/// Small stored bytes with their CRC-32 behind them, big-endian.
#[must_use]
pub fn with_check(mut body: Vec<u8>) -> Vec<u8> {
    let check = crc32fast::hash(&body);
    body.extend(check.to_be_bytes());
    body
}

/// What was given to [`with_check`]; `None` if the bytes are not what it gave back.
#[must_use]
pub fn without_check(bytes: &[u8]) -> Option<&[u8]> {
    let (body, check) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(body).to_be_bytes() == *check).then_some(body)
}
