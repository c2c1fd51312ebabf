//! Disks whose power can be cut and that can be filled up: what was not synced is gone, what was synced is there.
//!
//! A disk is a sparse file with an ext4 file system, mounted through a loop device. A cut shuts the file system down
//! without writing its journal (`EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`, which `xfs_io` knows for every file system that
//! has it): from then on nothing reaches the disk, and after the next mount only what was synced, or what the kernel had
//! written by itself, is there.
//!
//! Not here: a device that loses what it has reported as flushed, and sectors that are torn. Needs root, loop devices,
//! `mkfs.ext4`, `mount` and `xfs_io`; a harness that is killed leaves its mounts behind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

use crate::patience::Broken;
use crate::skip::skip;

/// Size of a disk as its file system sees it. The file is sparse: it takes what was written.
const DISK_BYTES: u64 = 1 << 30;
/// Size of the disk that is tried first.
const TRIAL_BYTES: u64 = 16 << 20;

/// The file that takes room on a disk.
const BALLAST: &str = "ballast";
/// Room taken at once at first; halved down to a block towards the end.
const BALLAST_PIECE_BYTES: u64 = 64 << 20;
const BLOCK_BYTES: u64 = 4096;

/// An ext4 file system in a file. Dropping it unmounts it.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    folder: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes the file and its file system, and mounts it at the folder, which is made.
    ///
    /// # Errors
    /// One of the tools failed.
    pub fn make(image: PathBuf, folder: PathBuf) -> Result<Self, Broken> {
        Self::make_sized(image, folder, DISK_BYTES)
    }

    fn make_sized(image: PathBuf, folder: PathBuf, size: u64) -> Result<Self, Broken> {
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(size))
            .map_err(Broken::at(image.display().to_string()))?;
        std::fs::create_dir_all(&folder).map_err(Broken::at(folder.display().to_string()))?;
        // No blocks are kept back for root, as which the nodes of the harness run: full is full.
        run(tool("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let mut disk = Self {
            image,
            folder,
            mounted: false,
        };
        disk.mount()?;
        Ok(disk)
    }

    /// Mounts it; the journal is replayed as after a loss of power.
    ///
    /// # Errors
    /// `mount` failed.
    pub fn mount(&mut self) -> Result<(), Broken> {
        run(tool("mount")
            .args(["-o", "loop,noatime"])
            .arg(&self.image)
            .arg(&self.folder))?;
        self.mounted = true;
        Ok(())
    }

    /// Takes room with a file of the harness's own until about so many bytes are free, or none.
    ///
    /// # Errors
    /// The file system does not say how much there is, or refuses for another reason than that it is full.
    pub fn fill(&self, leave_bytes: u64) -> Result<(), Broken> {
        let path = self.folder.join(BALLAST);
        let broken = |error: String| Broken::new(format!("{}: {error}", path.display()));
        let ballast = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| broken(error.to_string()))?;
        let mut piece = BALLAST_PIECE_BYTES;
        while piece >= BLOCK_BYTES {
            let found = statvfs(&self.folder).map_err(|error| broken(error.to_string()))?;
            let free = found.blocks_available() * found.fragment_size();
            if free < leave_bytes + piece {
                piece /= 2;
                continue;
            }
            let from = ballast
                .metadata()
                .map_err(|error| broken(error.to_string()))?
                .len();
            let (from, size) = (offset(from)?, offset(piece)?);
            match fallocate(&ballast, FallocateFlags::empty(), from, size) {
                Ok(()) => {}
                Err(Errno::ENOSPC) => piece /= 2,
                Err(error) => return Err(broken(error.to_string())),
            }
        }
        Ok(())
    }

    /// Gives back what [`Disk::fill`] took.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn empty(&self) -> Result<(), Broken> {
        let path = self.folder.join(BALLAST);
        std::fs::remove_file(&path).map_err(Broken::at(path.display().to_string()))
    }

    /// Unmounts it. It fails for as long as a process has a file of it open.
    ///
    /// # Errors
    /// `umount` failed.
    pub fn unmount(&mut self) -> Result<(), Broken> {
        run(tool("umount").arg(&self.folder))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            // Somebody still has a file open: it goes when that one does, and nobody is left to be told.
            let _ = run(tool("umount").arg("--lazy").arg(&self.folder));
        }
    }
}

/// Shuts all these disks down as nearly at once as processes can be started.
///
/// # Errors
/// One could not be shut down.
pub fn shut_down<'a>(disks: impl IntoIterator<Item = &'a Disk>) -> Result<(), Broken> {
    let strike = |disk: &Disk| {
        tool("xfs_io")
            .args(["-x", "-c", "shutdown"])
            .arg(&disk.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Broken::at("xfs_io"))
    };
    let struck = disks.into_iter().map(strike).collect::<Vec<_>>();
    struck.into_iter().try_for_each(|child| succeeded(child?))
}

/// Whether disks can be made and filled here. If not, the test is skipped, and `false` is the answer.
pub fn disks_can_be_filled(test: &str) -> bool {
    match fill_trial() {
        Ok(()) => true,
        Err(error) => {
            skip(
                test,
                &format!("no disk that can be filled (root, loop devices): {error}"),
            );
            false
        }
    }
}

/// Makes a disk, fills it, and looks whether there is no room, and room again afterwards.
fn fill_trial() -> Result<(), Broken> {
    let folder = tempfile::Builder::new()
        .prefix("carnet-disk-")
        .tempdir()
        .map_err(Broken::at("temporary folder"))?;
    let disk = Disk::make_sized(
        folder.path().join("disk"),
        folder.path().join("mounted"),
        TRIAL_BYTES,
    )?;
    let file = disk.folder.join("file");
    disk.fill(0)?;
    let full = std::fs::write(&file, [1; 64 << 10]);
    disk.empty()?;
    std::fs::write(&file, [1; 64 << 10]).map_err(Broken::at("write to a disk with room"))?;
    match full {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        other => Err(Broken::new(format!("a full disk took a file: {other:?}"))),
    }
}

/// Whether disks can be made and cut here. If not, the test is skipped, and `false` is the answer.
pub fn power_can_be_cut(test: &str) -> bool {
    match trial() {
        Ok(()) => true,
        Err(error) => {
            skip(
                test,
                &format!("no disk whose power can be cut (root, loop devices, xfsprogs): {error}"),
            );
            false
        }
    }
}

/// Makes a disk, and looks whether a cut loses what was not synced and nothing else.
fn trial() -> Result<(), Broken> {
    let folder = tempfile::Builder::new()
        .prefix("carnet-power-")
        .tempdir()
        .map_err(Broken::at("temporary folder"))?;
    let mut disk = Disk::make_sized(
        folder.path().join("disk"),
        folder.path().join("mounted"),
        TRIAL_BYTES,
    )?;
    let (kept, lost) = (disk.folder.join("kept"), disk.folder.join("lost"));
    let written = std::fs::write(&kept, "synced")
        .and_then(|()| std::fs::File::open(&kept)?.sync_all())
        .and_then(|()| std::fs::File::open(&disk.folder)?.sync_all())
        .and_then(|()| std::fs::write(&lost, "not synced"));
    written.map_err(Broken::at("write to the disk"))?;
    shut_down([&disk])?;
    disk.unmount()?;
    disk.mount()?;
    match (std::fs::read_to_string(&kept), lost.exists()) {
        (Ok(text), false) if text == "synced" => Ok(()),
        found => Err(Broken::new(format!(
            "after a cut: synced {:?}, not synced is there: {}",
            found.0, found.1
        ))),
    }
}

fn offset(bytes: u64) -> Result<i64, Broken> {
    i64::try_from(bytes).map_err(Broken::at("a size"))
}

/// Tools of the administrator are not on everybody's path.
fn tool(name: &str) -> Command {
    let found = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists());
    Command::new(found.unwrap_or_else(|| PathBuf::from(name)))
}

fn run(command: &mut Command) -> Result<(), Broken> {
    let started = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Broken::at(format!("{command:?}")))?;
    succeeded(started).map_err(Broken::at(format!("{command:?}")))
}

fn succeeded(child: Child) -> Result<(), Broken> {
    let output = child.wait_with_output().map_err(Broken::at("wait"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(Broken::new(format!("{}: {}", output.status, said.trim()))),
    }
}
