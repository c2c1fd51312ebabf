//! The room on the file systems that this node writes to: read here, judged in consensus.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use carnet_consensus::{DiskSpace, Space};

use crate::config::{Config, Profile};

/// The largest watermark that is not configured, in production.
const WATERMARK_BYTES_MAX: u64 = 2 << 30;
/// The same in a sandbox, where disks are small and data is not missed.
const SANDBOX_WATERMARK_BYTES_MAX: u64 = 64 << 20;
/// Below this share of a file system there is too little, if no amount is configured: one in so many.
const SHARE: u64 = 10;

/// The folders of a node's data, each of which may be a file system of its own.
pub(crate) struct DataDisk {
    folders: Vec<PathBuf>,
    /// Bytes; `None` for the rule of the profile.
    watermark: Option<u64>,
    watermark_max: u64,
}

impl DataDisk {
    /// The disks of the log, of the state, and of the small files beside them, without which nothing is signed.
    pub(crate) fn new(config: &Config) -> Self {
        let data = &config.node.data_dir;
        Self {
            folders: vec![data.join("log"), data.join("state"), data.clone()],
            watermark: config.storage.free_mib_min.map(|mib| mib << 20),
            watermark_max: match config.node.profile {
                Profile::Production => WATERMARK_BYTES_MAX,
                Profile::Sandbox => SANDBOX_WATERMARK_BYTES_MAX,
            },
        }
    }

    /// The same rule for a folder that is not a data directory yet.
    pub(crate) fn at(self, folder: &Path) -> Self {
        if self.folders.iter().all(|folder| folder.exists()) {
            return self;
        }
        Self {
            folders: vec![folder.to_owned()],
            ..self
        }
    }

    fn watermark(&self, total_bytes: u64) -> u64 {
        self.watermark
            .unwrap_or_else(|| (total_bytes / SHARE).min(self.watermark_max))
    }
}

impl DiskSpace for DataDisk {
    fn read(&self) -> Result<Space, String> {
        let mut fullest: Option<Space> = None;
        let mut systems = BTreeSet::new();
        for folder in &self.folders {
            let shown = |error: std::io::Error| format!("{}: {error}", folder.display());
            // Read twice, one file system may differ from itself: it goes by its first folder.
            if !systems.insert(std::fs::metadata(folder).map_err(shown)?.dev()) {
                continue;
            }
            let found = rustix::fs::statvfs(folder).map_err(|error| shown(error.into()))?;
            // What an unprivileged user may still write: blocks kept back for root are no room for us.
            let space = Space {
                free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
                watermark_bytes: self.watermark(found.f_blocks.saturating_mul(found.f_frsize)),
                path: folder.display().to_string(),
            };
            let above =
                |space: &Space| i128::from(space.free_bytes) - i128::from(space.watermark_bytes);
            if fullest
                .as_ref()
                .is_none_or(|fullest| above(&space) < above(fullest))
            {
                fullest = Some(space);
            }
        }
        fullest.ok_or_else(|| "no folder is known".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(watermark: Option<u64>, folder: &str) -> DataDisk {
        DataDisk {
            folders: vec![PathBuf::from(folder)],
            watermark,
            watermark_max: WATERMARK_BYTES_MAX,
        }
    }

    #[test]
    fn the_watermark_is_a_tenth_but_not_more_than_two_gib() {
        let unset = disk(None, "/");
        assert_eq!(unset.watermark(1 << 30), (1 << 30) / 10);
        assert_eq!(unset.watermark(1 << 40), 2 << 30);
        assert_eq!(disk(Some(5), "/").watermark(1 << 40), 5);
        assert_eq!(disk(Some(0), "/").watermark(1 << 40), 0);
    }

    #[test]
    fn the_room_of_a_folder_is_that_of_its_file_system() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        let none = disk(Some(0), &path).read().expect("a folder");
        assert!(!none.is_low(), "{none:?}");
        let all = disk(Some(u64::MAX), &path).read().expect("a folder");
        assert!(all.is_low(), "{all:?}");
        assert_eq!(all.path, path);
    }

    #[test]
    fn log_state_and_the_small_files_beside_them_are_watched() {
        let text = "[node]\nprefix = \"86\"\nid = 1\ndata_dir = \"/d\"\npki_dir = \"/p\"\n\
                    [listen]\nraft = \"[::1]:1\"\nclient = \"[::1]:2\"\nadmin = \"[::1]:3\"\nfederation = \"[::1]:4\"\n";
        let config = Config::parse(text, Path::new("node.toml")).expect("a configuration");
        let watched = DataDisk::new(&config).folders;
        let expected = ["/d/log", "/d/state", "/d"].map(PathBuf::from);
        assert_eq!(watched, expected);
    }

    #[test]
    fn a_folder_that_is_gone_is_named() {
        let why = disk(None, "/nowhere/at/all").read().expect_err("nothing");
        assert!(why.starts_with("/nowhere/at/all: "), "{why}");
    }
}
