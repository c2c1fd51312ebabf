//! Which store this is: drawn once, when a data directory is made, and never again.
//!
//! A node id says who takes part; a store id says with which disk. The two together are what the other members know: a
//! replaced, wiped or foreign disk under a known node id shows another store id and is not that member.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carnet_domain::{canonical_struct, canonical_struct_of_one};

use crate::fault::StorageFault;

/// 16 random bytes that name a data directory.
///
/// Text form: 32 lower-case hexadecimal digits. [`StoreId::NONE`] (zeros) stands for "not known" and is never valid as
/// the store of a sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreId(pub [u8; 16]);

canonical_struct_of_one!(StoreId);

/// Whose data a directory holds. No part of it ever changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, drawn by `carnet pki init`.
    pub cluster: [u8; 16],
    /// The node's id, never reused inside the cluster: a wiped disk is a new node.
    pub node: u64,
    /// Counts restores: a cluster restored from a backup continues under a higher one.
    pub incarnation: u64,
    /// The store, drawn when the directory was made.
    pub store: StoreId,
}

canonical_struct!(Identity {
    cluster,
    node,
    incarnation,
    store,
});

impl Identity {
    /// The first part in which this directory is not the one expected, for a refusal: `node 3, not to node 4`.
    pub(crate) fn difference(&self, expected: &Identity) -> Option<String> {
        let hex = |bytes: [u8; 16]| StoreId(bytes);
        if self.cluster != expected.cluster {
            let (found, expected) = (hex(self.cluster), hex(expected.cluster));
            return Some(format!("cluster {found}, not to cluster {expected}"));
        }
        if self.node != expected.node {
            return Some(format!("node {}, not to node {}", self.node, expected.node));
        }
        if self.incarnation != expected.incarnation {
            let (found, expected) = (self.incarnation, expected.incarnation);
            return Some(format!(
                "incarnation {found}, not to incarnation {expected}"
            ));
        }
        if self.store != expected.store {
            return Some(format!(
                "store {}, not to store {}",
                self.store, expected.store
            ));
        }
        None
    }
}

impl StoreId {
    /// No store: nobody's.
    pub const NONE: StoreId = StoreId([0; 16]);

    /// Whether this names a store at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == StoreId::NONE
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One life of a store: the process that was started on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The store's count when the process showed it: it rises with every start, with every vote, and while the log is
    /// written.
    pub start: u64,
    /// Drawn by the process.
    pub nonce: u64,
}

/// The count of a store as it stands now, shared by the log, which raises it, and whoever shows it.
///
/// It is on stable storage before it is shown: the next start begins above it.
#[derive(Debug, Clone)]
pub struct Count(Arc<AtomicU64>);

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        Self(Arc::new(AtomicU64::new(count)))
    }
}

impl Count {
    /// As others know the log by it now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Shows a higher count, which is on stable storage.
    pub fn show(&self, count: u64) {
        self.0.fetch_max(count, Ordering::SeqCst);
    }
}

/// Name of the file in a data directory that says which stores have left for good, one `node store` a line.
///
/// The list is replicated; the file is for a node that lags behind: together with a removed server it would be an old
/// majority, which no log can tell from a real one. It is read before a port is opened.
pub const RETIRED_FILE: &str = "retired";

/// Reads [`RETIRED_FILE`] of a data directory; none is an empty list. Empty lines and those that begin with `#` say
/// nothing.
///
/// # Errors
/// A line is not a node id and a store id, or the disk failed.
pub fn read_retired(directory: &Path) -> Result<BTreeSet<(u64, StoreId)>, StorageFault> {
    let path = directory.join(RETIRED_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(source) => {
            return Err(StorageFault::Io {
                what: "read the list of retired stores",
                path,
                source,
            });
        }
    };
    let mut retired = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line
            .split_once(char::is_whitespace)
            .and_then(|(node, store)| Some((node.parse().ok()?, store.trim().parse().ok()?)));
        retired.insert(pair.ok_or_else(|| {
            StorageFault::Foreign(format!(
                "{}, line {number}: {line:?} is not `node store`",
                path.display()
            ))
        })?);
    }
    Ok(retired)
}

/// Text that is not a store id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a store id: 32 lower-case hexadecimal digits are expected")]
pub struct NotAStoreId;

impl FromStr for StoreId {
    type Err = NotAStoreId;

    fn from_str(text: &str) -> Result<StoreId, NotAStoreId> {
        let digit = |letter: u8| match letter {
            b'0'..=b'9' => Ok(letter - b'0'),
            b'a'..=b'f' => Ok(letter - b'a' + 10),
            _ => Err(NotAStoreId),
        };
        let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| NotAStoreId)?;
        let mut store = [0; 16];
        for (byte, pair) in store.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? * 16 + digit(pair[1])?;
        }
        Ok(StoreId(store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_id_has_one_text() {
        let text = "00112233445566778899aabbccddeeff";
        let store: StoreId = text.parse().expect("a store id");
        assert_eq!(store.to_string(), text);
        for wrong in [
            "",
            "00",
            "00112233445566778899AABBCCDDEEFF",
            &format!("{text}0"),
            "+0112233445566778899aabbccddeeff",
        ] {
            assert_eq!(wrong.parse::<StoreId>(), Err(NotAStoreId), "{wrong}");
        }
    }

    #[test]
    fn the_list_of_retired_stores_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(
            read_retired(directory.path()).expect("none"),
            BTreeSet::new()
        );
        let path = directory.path().join(RETIRED_FILE);
        let store = "00112233445566778899aabbccddeeff";
        fs::write(&path, format!("# gone\n\n3 {store}\n")).expect("written");
        let expected = BTreeSet::from([(3, store.parse().expect("a store id"))]);
        assert_eq!(read_retired(directory.path()).expect("read"), expected);
        fs::write(&path, format!("3 {store}\n3\n")).expect("written");
        let refused = read_retired(directory.path()).expect_err("half a line");
        assert!(refused.to_string().contains("line 2"), "{refused}");
    }
}
