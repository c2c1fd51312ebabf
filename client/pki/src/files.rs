//! Writes new files; never overwrites.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::PkiError;

/// Files to be written, relative to one directory.
#[derive(Default)]
pub(super) struct NewFiles {
    /// Many of them are keys: what was in them is cleared when this goes.
    files: Vec<(PathBuf, Zeroizing<String>)>,
}

impl NewFiles {
    pub(super) fn add(&mut self, path: impl Into<PathBuf>, content: impl Into<Zeroizing<String>>) {
        self.files.push((path.into(), content.into()));
    }

    /// Writes everything into a new directory beside the final one and renames it, so that it appears at once.
    pub(super) fn write_new_directory(&self, directory: &Path) -> Result<usize, PkiError> {
        if let Some(found) = first_entry(directory)? {
            return Err(PkiError::Exists(found));
        }
        let mut part = directory.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        if part.exists() {
            return Err(PkiError::Exists(part));
        }
        make_directory(&part)?;
        let written = self.write_all(&part).and_then(|()| {
            fs::rename(&part, directory).map_err(fault("rename to", directory))?;
            sync_directory(directory.parent().unwrap_or(Path::new(".")))
        });
        if written.is_err() {
            // Half a directory of keys is of no use to anybody; what failed is reported below.
            let _ = fs::remove_dir_all(&part);
        }
        written.map(|()| self.files.len())
    }

    /// Writes everything into an existing directory, if none of it is there.
    pub(super) fn write_into(&self, directory: &Path) -> Result<usize, PkiError> {
        let existing = self
            .files
            .iter()
            .map(|(path, _)| directory.join(path))
            .find(|path| path.exists());
        if let Some(path) = existing {
            return Err(PkiError::Exists(path));
        }
        self.write_all(directory)?;
        Ok(self.files.len())
    }

    /// Replaces files of a directory, each as a whole; what is not there yet is made. A crash in between leaves some old and some
    /// new ones, and the same again finishes it.
    pub(super) fn replace_in(&self, directory: &Path) -> Result<usize, PkiError> {
        let beside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".new");
            PathBuf::from(name)
        };
        for (path, content) in &self.files {
            let path = directory.join(path);
            make_directory(path.parent().unwrap_or(directory))?;
            let new = beside(&path);
            match fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(fault("remove", &new)(error));
                }
                // Of a call that was interrupted.
                Ok(()) | Err(_) => {}
            }
            write_new(&new, content)?;
        }
        for (path, _) in &self.files {
            let path = directory.join(path);
            fs::rename(beside(&path), &path).map_err(fault("replace", &path))?;
            sync_directory(path.parent().unwrap_or(directory))?;
        }
        Ok(self.files.len())
    }

    fn write_all(&self, directory: &Path) -> Result<(), PkiError> {
        for (path, content) in &self.files {
            let path = directory.join(path);
            let parent = path.parent().unwrap_or(directory);
            make_directory(parent)?;
            write_new(&path, content)?;
            sync_directory(parent)?;
        }
        sync_directory(directory)
    }
}

fn write_new(path: &Path, content: &str) -> Result<(), PkiError> {
    let opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = opened.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => PkiError::Exists(path.to_owned()),
        _ => fault("create", path)(e),
    })?;
    file.write_all(content.as_bytes())
        .map_err(fault("write", path))?;
    file.sync_all().map_err(fault("write", path))
}

fn make_directory(path: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(fault("create", path))
}

fn sync_directory(path: &Path) -> Result<(), PkiError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(fault("sync", path))
}

fn first_entry(directory: &Path) -> Result<Option<PathBuf>, PkiError> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            Some(entry) => Ok(Some(entry.map_err(fault("read", directory))?.path())),
            None => Ok(None),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fault("read", directory)(e)),
    }
}

pub(super) fn fault(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::Io { act, path, source }
}
