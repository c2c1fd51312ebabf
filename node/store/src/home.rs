//! The data directory of one node as a whole: made once, by an operator's word, and from then on only opened.
//!
//! ```text
//! <root>/
//!   identity     whose directory it is, text as below
//!   log/         the Raft log; its sentinel carries the store id and a count that rises
//!   state/       the state; its IDENTITY carries the whole identity
//!   retired      written by an operator: stores that left for good, one `node store` a line (`identity::read_retired`)
//!   MAKING       only while the directory is being made; nothing in it was ever used while this is there
//! ```
//! ```text
//! carnet node directory 2
//! cluster 00112233445566778899aabbccddeeff
//! node 3
//! incarnation 0
//! store ffeeddccbbaa99887766554433221100
//! join 1 2 3                nodes from which the store takes its first configuration, ascending
//! crc 89abcdef              crc32 of the lines above
//! ```
//!
//! A node that forgot what it voted for can elect a second leader, and published writes are gone. So an empty directory
//! is never a reason to begin anew: opening makes nothing, and refuses by name whatever is missing or somebody else's.
//! An older copy of the whole directory cannot be told from inside; the other nodes tell it by the count.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;

use crate::directory::{io, names, sync_directory, write_atomically};
use crate::fault::StorageFault;
use crate::identity::{Identity, StoreId};
use crate::log::{DiskLog, DiskLogOptions};
use crate::rocks::RocksSettings;
use crate::state::SwappableEngine;

/// The most nodes a new store can name.
pub const JOIN_COUNT_MAX: usize = 1024;

const HEADER: &str = "carnet node directory 2";
const IDENTITY: &str = "identity";
const LOG: &str = "log";
const STATE: &str = "state";
const MAKING: &str = "MAKING";
/// What a file system puts into its root by itself.
const LOST_AND_FOUND: &str = "lost+found";

/// Whom a directory must belong to. Its store is only known from the directory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The 16 bytes that its cluster is known by.
    pub cluster: [u8; 16],
    /// Its id within the cluster, from 1 on.
    pub node: u64,
    /// The life of the cluster.
    pub incarnation: u64,
}

impl Owner {
    /// The owner's directory with this store.
    pub fn with(self, store: StoreId) -> Identity {
        Identity {
            cluster: self.cluster,
            node: self.node,
            incarnation: self.incarnation,
            store,
        }
    }
}

/// What a node keeps on disk, opened and counted as started.
pub struct Home {
    /// Whose it is.
    pub identity: Identity,
    /// From whom it takes its first configuration.
    pub join: BTreeSet<u64>,
    /// The state database, of whichever generation is current.
    pub state: SwappableEngine,
    /// The log; [`DiskLog::count`] is what the others know it by.
    pub log: DiskLog,
}

/// Makes the directory of a new store. If it was cut short, call it again.
///
/// # Errors
/// Anything is there already, another process is at it, or the disk failed.
///
/// # Panics
/// The store has no id, or the node ids to join are none or more than [`JOIN_COUNT_MAX`].
pub fn make(
    root: &Path,
    identity: Identity,
    join: &BTreeSet<u64>,
    settings: RocksSettings,
) -> Result<(), StorageFault> {
    assert!(!identity.store.is_none(), "a store has an id");
    assert!(
        (1..=JOIN_COUNT_MAX).contains(&join.len()),
        "a new store names the nodes it takes its first configuration from"
    );
    std::fs::create_dir_all(root).map_err(io("create", root))?;
    let _held = hold(root)?;
    let making = root.join(MAKING);
    if making.exists() {
        for name in [IDENTITY, &format!("{IDENTITY}.new"), LOG, STATE] {
            remove(&root.join(name))?;
        }
    }
    refuse_unless_empty(root)?;
    let marker = File::create(&making).and_then(|marker| marker.sync_all());
    marker.map_err(io("create", &making))?;
    sync_directory(root)?;
    drop(SwappableEngine::create(
        &root.join(STATE),
        identity,
        settings,
    )?);
    DiskLog::create(&root.join(LOG), identity.store)?;
    write_atomically(&root.join(IDENTITY), text(&identity, join).as_bytes())?;
    std::fs::remove_file(&making).map_err(io("remove", &making))?;
    sync_directory(root)?;
    let parent = root
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync_directory(parent.unwrap_or(Path::new(".")))
}

/// Opens the directory of `owner` and counts the start, durably. Makes nothing.
///
/// # Errors
/// It holds nothing, it or one of its halves belongs to another cluster, node, incarnation or store, a part of it is
/// missing or damaged, it is open in another process, or the disk failed.
pub fn open(
    root: &Path,
    owner: Owner,
    settings: RocksSettings,
    options: DiskLogOptions,
) -> Result<Home, StorageFault> {
    let (identity, join) = look(root, owner)?;
    // The state first: it holds the lock of the whole directory.
    let state = SwappableEngine::open(&root.join(STATE), identity, settings)?;
    let log = DiskLog::open(&root.join(LOG), identity.store, options)?;
    Ok(Home {
        identity,
        join,
        state,
        log,
    })
}

/// Whose directory it is and from whom it takes its first configuration, as far as that shows without opening it: for a
/// check before a start, which may run beside the node.
///
/// # Errors
/// As [`open`], but for what is in the database and the log.
pub fn look(root: &Path, owner: Owner) -> Result<(Identity, BTreeSet<u64>), StorageFault> {
    let (identity, join) = read(root, owner)?;
    if let Some(difference) = identity.difference(&owner.with(identity.store)) {
        return Err(StorageFault::Foreign(format!(
            "{} belongs to {difference}",
            root.display()
        )));
    }
    for (half, what, other) in [(LOG, "Raft log", STATE), (STATE, "state", LOG)] {
        if !root.join(half).is_dir() {
            return Err(StorageFault::Foreign(format!(
                "{}: the {what} of node {} ({half}) is gone, its {other} is there: without it the node would break promises \
                 it has made. {REPLACE}",
                root.display(),
                identity.node
            )));
        }
    }
    Ok((identity, join))
}

/// What an operator does about a lost disk.
const REPLACE: &str = "A lost or replaced disk is a new node (runbook replace-a-node): give the machine a node id that was never \
                       used, with certificates of its own, run `carnetd init --join <ids of the present nodes>` for it, start \
                       it, and let it take the old one's place: `carnet member replace OLD --by NEW=RAFT,CLIENT`";

fn read(root: &Path, owner: Owner) -> Result<(Identity, BTreeSet<u64>), StorageFault> {
    let foreign = |text: String| Err(StorageFault::Foreign(format!("{} {text}", root.display())));
    let there = if root.exists() {
        names(root)?
    } else {
        Vec::new()
    };
    let is_there = |name: &str| there.iter().any(|there| there == name);
    if is_there(MAKING) {
        return foreign("was never finished: `carnetd init` was cut short; run it again".into());
    }
    if is_there(IDENTITY) {
        let path = root.join(IDENTITY);
        let found = std::fs::read_to_string(&path);
        return judge(&found.map_err(io("read", &path))?, &path);
    }
    let node = owner.node;
    if is_there(LOG) || is_there(STATE) {
        return foreign(format!(
            "has data, but no file `{IDENTITY}` that says whose: it was removed, or an older program made the directory. \
             {REPLACE}"
        ));
    }
    match there.iter().find(|name| *name != LOST_AND_FOUND) {
        Some(name) => foreign(format!(
            "is not the data directory of a node (it has `{name}`): run `carnetd init` on an empty one if node {node} is new, \
             under an id that was never used"
        )),
        None => foreign(format!(
            "holds no data of node {node}: run `carnetd init` if this is a new node under an id that was never used. {REPLACE}"
        )),
    }
}

fn refuse_unless_empty(root: &Path) -> Result<(), StorageFault> {
    let there = names(root)?;
    let Some(name) = there
        .iter()
        .find(|name| *name != LOST_AND_FOUND && *name != MAKING)
    else {
        return Ok(());
    };
    let path = root.join(IDENTITY);
    let owned = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| judge(&text, &path).ok());
    Err(StorageFault::Foreign(match owned {
        Some((identity, _)) => format!(
            "{} is already the data directory of node {} (store {}, cluster {}); nothing was changed",
            root.display(),
            identity.node,
            identity.store,
            StoreId(identity.cluster)
        ),
        None => format!(
            "{} is not empty (it has `{name}`): a new store needs an empty data directory; nothing was changed",
            root.display()
        ),
    }))
}

/// The directory itself, locked for as long as it is open: two makings at once would remove each other's files.
fn hold(root: &Path) -> Result<File, StorageFault> {
    let held = File::open(root).map_err(io("open", root))?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(TryLockError::WouldBlock) => Err(StorageFault::Foreign(format!(
            "{} is being made by another process",
            root.display()
        ))),
        Err(TryLockError::Error(error)) => Err(io("lock", root)(error)),
    }
}

fn remove(path: &Path) -> Result<(), StorageFault> {
    let done = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(io("remove", path)),
    }
}

fn text(identity: &Identity, join: &BTreeSet<u64>) -> String {
    let join: Vec<String> = join.iter().map(ToString::to_string).collect();
    let body = format!(
        "{HEADER}\ncluster {}\nnode {}\nincarnation {}\nstore {}\njoin {}\n",
        StoreId(identity.cluster),
        identity.node,
        identity.incarnation,
        identity.store,
        join.join(" "),
    );
    let crc = crc32fast::hash(body.as_bytes());
    format!("{body}crc {crc:08x}\n")
}

fn judge(found: &str, path: &Path) -> Result<(Identity, BTreeSet<u64>), StorageFault> {
    let header = found.lines().next().unwrap_or_default();
    if header != HEADER && header.starts_with("carnet node directory ") {
        return Err(StorageFault::Foreign(format!(
            "{} says \"{header}\"; this program knows \"{HEADER}\"",
            path.display()
        )));
    }
    match parse(found) {
        // One identity has one text: whatever the parser overlooked shows here.
        Some((identity, join)) if text(&identity, &join) == found => Ok((identity, join)),
        _ => Err(StorageFault::Corrupt {
            what: "identity",
            detail: path.display().to_string(),
        }),
    }
}

fn parse(found: &str) -> Option<(Identity, BTreeSet<u64>)> {
    let mut lines = found.lines().skip(1);
    let StoreId(cluster) = lines.next()?.strip_prefix("cluster ")?.parse().ok()?;
    let node = lines.next()?.strip_prefix("node ")?.parse().ok()?;
    let incarnation = lines.next()?.strip_prefix("incarnation ")?.parse().ok()?;
    let store: StoreId = lines.next()?.strip_prefix("store ")?.parse().ok()?;
    let join = lines.next()?.strip_prefix("join ")?.split(' ');
    let join = join.take(JOIN_COUNT_MAX).map(|id| id.parse().ok());
    let identity = Identity {
        cluster,
        node,
        incarnation,
        store,
    };
    Some((identity, join.collect::<Option<_>>()?)).filter(|_| !store.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Identity = Identity {
        cluster: [7; 16],
        node: 3,
        incarnation: 2,
        store: StoreId([0xab; 16]),
    };

    #[test]
    fn any_changed_letter_of_the_identity_is_noticed() {
        let join = BTreeSet::from([1, 2, 30]);
        let whole = text(&WHO, &join);
        let path = Path::new("identity");
        assert_eq!(judge(&whole, path).expect("whole"), (WHO, join));
        for at in 0..whole.len() {
            let mut broken = whole.clone().into_bytes();
            broken[at] ^= 1;
            let broken = String::from_utf8(broken).expect("ASCII");
            assert!(judge(&broken, path).is_err(), "byte {at}");
        }
        for cut in 0..whole.len() {
            assert!(judge(&whole[..cut], path).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_store_without_an_id_is_nobodys() {
        let nobody = Identity {
            store: StoreId::NONE,
            ..WHO
        };
        assert!(judge(&text(&nobody, &BTreeSet::from([1])), Path::new("identity")).is_err());
    }
}
