//! What the process takes from whoever started it, and what it does not: modes of files, and how many may be open.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit, setrlimit, umask};

use crate::run_error::RunError;

/// From now on every file that the process or a library in it makes is its owner's alone, every directory too, whatever
/// the shell or the supervisor says: owners of robots stand in the database, and RocksDB asks for no mode of its own.
pub fn keep_files_to_the_owner() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Closes a directory that somebody else may have made.
///
/// # Errors
/// It is not there, or not ours.
pub fn close_directory(path: &Path) -> Result<(), RunError> {
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|source| RunError::Io {
        what: format!("close {} to others", path.display()),
        source,
    })
}

/// Raises the number of files that may be open to as many as are allowed, and says how many that is. With the thousand
/// of many shells, a flood of one port would leave the others without a file to accept with.
pub fn raise_open_files() -> u64 {
    let mut files = getrlimit(Resource::Nofile);
    let most = files.maximum;
    let before = files.current;
    files.current = most;
    match setrlimit(Resource::Nofile, files) {
        Ok(()) => most.unwrap_or(u64::MAX),
        Err(_) => before.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use carnet_store::home;
    use carnet_store::identity::{Identity, StoreId};
    use carnet_store::log::DiskLogOptions;
    use carnet_store::rocks::RocksSettings;

    use super::*;

    fn modes(path: &Path, open: &mut Vec<String>) {
        let mode = std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            open.push(format!("{} {mode:o}", path.display()));
        }
        if path.is_dir() {
            for entry in std::fs::read_dir(path).expect("a directory") {
                modes(&entry.expect("an entry").path(), open);
            }
        }
    }

    #[test]
    fn whatever_the_umask_was_nobody_else_reads_a_data_directory() {
        umask(Mode::empty());
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("data");
        std::fs::create_dir(&root).expect("made by somebody else");
        keep_files_to_the_owner();
        let owner = home::Owner {
            cluster: [7; 16],
            node: 1,
            incarnation: 0,
        };
        let identity: Identity = owner.with(StoreId([3; 16]));
        home::make(
            &root,
            identity,
            &BTreeSet::from([1]),
            RocksSettings::default(),
        )
        .expect("made");
        close_directory(&root).expect("closed");
        let home = home::open(
            &root,
            owner,
            RocksSettings::default(),
            DiskLogOptions::default(),
        );
        drop(home.expect("opened"));
        let mut open = Vec::new();
        modes(&root, &mut open);
        assert_eq!(open, [""; 0]);
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("written");
        modes(&file, &mut open);
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn as_many_files_may_be_open_as_are_allowed() {
        let allowed = raise_open_files();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
        assert_eq!(now.maximum.unwrap_or(u64::MAX), allowed);
    }
}
