//! Whose directory this is: cluster, node and incarnation, written once and checked at every start.
//!
//! A node id is never reused: a wiped disk is a new id. So a node either claims a directory that holds nothing yet,
//! under an id that was never used, or opens one that says exactly who it is; the caller says which of the two it means.
//!
//! ```text
//! carnet node directory 1
//! cluster 00112233445566778899aabbccddeeff
//! node 3
//! incarnation 1
//! crc 89abcdef            crc32 of the lines above
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::sentinel::fault;
use crate::fault::StorageFault;

/// Name of the file in a data directory.
pub const FILE_NAME: &str = "identity";

const HEADER: &str = "carnet node directory 1";

/// Who keeps its data in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's uuid, drawn when it was founded.
    pub cluster: [u8; 16],
    /// The node's id, never reused inside the cluster.
    pub node: u64,
    /// Counts restores: a cluster restored from a backup continues under a higher one.
    pub incarnation: u64,
}

/// Writes the identity into a directory that has none. The directory is created if needed.
///
/// # Errors
/// The directory already belongs to somebody, or the disk failed.
pub fn claim(directory: &Path, identity: &Identity) -> Result<(), StorageFault> {
    fs::create_dir_all(directory)
        .map_err(|source| fault("create data directory", directory, source))?;
    let path = directory.join(FILE_NAME);
    if path.exists() {
        return Err(StorageFault::Foreign(format!(
            "{} already belongs to a node",
            directory.display()
        )));
    }
    let draft = directory.join("identity.new");
    let mut file =
        File::create(&draft).map_err(|source| fault("create identity", &draft, source))?;
    file.write_all(text(identity).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|source| fault("write identity", &draft, source))?;
    fs::rename(&draft, &path).map_err(|source| fault("rename identity", &path, source))?;
    sync_directory(directory)
}

/// Reads the identity of a directory; `None` if it has none.
///
/// # Errors
/// The file is damaged or of a newer format, or the disk failed.
pub fn read(directory: &Path) -> Result<Option<Identity>, StorageFault> {
    let path = directory.join(FILE_NAME);
    let found = match fs::read_to_string(&path) {
        Ok(found) => found,
        Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(fault("read identity", &path, source)),
    };
    match parse(&found) {
        Some(identity) if text(&identity) == found => Ok(Some(identity)),
        _ => Err(StorageFault::Corrupt {
            what: "identity",
            detail: path.display().to_string(),
        }),
    }
}

/// Checks that a directory belongs to exactly this node.
///
/// # Errors
/// It belongs to nobody or to another cluster, node or incarnation, it is damaged, or the disk failed.
pub fn verify(directory: &Path, expected: &Identity) -> Result<(), StorageFault> {
    match read(directory)? {
        Some(found) if found == *expected => Ok(()),
        Some(found) => Err(StorageFault::Foreign(format!(
            "{} belongs to node {} incarnation {} of cluster {}, not to node {} incarnation {} of cluster {}",
            directory.display(),
            found.node,
            found.incarnation,
            hex(&found.cluster),
            expected.node,
            expected.incarnation,
            hex(&expected.cluster),
        ))),
        None => Err(StorageFault::Foreign(format!(
            "{} is empty, but node {} is known to its cluster: a wiped disk needs a new node id",
            directory.display(),
            expected.node,
        ))),
    }
}

pub(super) fn sync_directory(directory: &Path) -> Result<(), StorageFault> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|source| fault("sync directory", directory, source))
}

fn text(identity: &Identity) -> String {
    let body = format!(
        "{HEADER}\ncluster {}\nnode {}\nincarnation {}\n",
        hex(&identity.cluster),
        identity.node,
        identity.incarnation
    );
    let crc = crc32fast::hash(body.as_bytes());
    format!("{body}crc {crc:08x}\n")
}

fn parse(found: &str) -> Option<Identity> {
    let mut lines = found.lines();
    if lines.next()? != HEADER {
        return None;
    }
    let digits = lines.next()?.strip_prefix("cluster ")?.as_bytes();
    let mut cluster = [0; 16];
    for (byte, pair) in cluster.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let node = lines.next()?.strip_prefix("node ")?.parse().ok()?;
    let incarnation = lines.next()?.strip_prefix("incarnation ")?.parse().ok()?;
    Some(Identity {
        cluster,
        node,
        incarnation,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Identity = Identity {
        cluster: [7; 16],
        node: 3,
        incarnation: 2,
    };

    #[test]
    fn a_claimed_directory_opens_for_its_node_only() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(
            verify(directory.path(), &WHO).is_err(),
            "an empty directory under a known id"
        );
        claim(directory.path(), &WHO).expect("claimed");
        verify(directory.path(), &WHO).expect("ours");
        let strangers = [
            Identity { node: 4, ..WHO },
            Identity {
                cluster: [8; 16],
                ..WHO
            },
            Identity {
                incarnation: 3,
                ..WHO
            },
        ];
        for stranger in strangers {
            assert!(
                matches!(
                    verify(directory.path(), &stranger),
                    Err(StorageFault::Foreign(_))
                ),
                "{stranger:?}"
            );
        }
        assert!(claim(directory.path(), &WHO).is_err(), "claimed twice");
    }

    #[test]
    fn any_changed_letter_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        claim(directory.path(), &WHO).expect("claimed");
        let path = directory.path().join(FILE_NAME);
        let whole = fs::read(&path).expect("readable");
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            fs::write(&path, &broken).expect("written");
            assert!(read(directory.path()).is_err(), "byte {at}");
        }
    }
}
