//! Disks whose power can be cut: what was not synced is gone, what was synced is there.
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

use crate::patience::Broken;
use crate::skip::skip;

/// Size of a disk as its file system sees it. The file is sparse: it takes what was written.
const DISK_BYTES: u64 = 1 << 30;
/// Size of the disk that is tried first.
const TRIAL_BYTES: u64 = 16 << 20;

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
        run(tool("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
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
