//! Sessions and request numbers, so that a repeated request is executed once.
//!
//! A program that runs on keeps its session in memory. One that starts for every call (the command line) keeps it in a
//! file, because a certificate may have only sixteen sessions open.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use carnet_domain::bytes::code::Prefix;
use serde::{Deserialize, Serialize};

/// How often a request is signed anew for a fresh session before the caller is told.
pub(crate) const SESSIONS_TRIED_MAX: u32 = 3;

/// A session that the registry has opened for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSession {
    /// Its number.
    pub id: u64,
    /// Primary prefix of the registry.
    pub prefix: Prefix,
    /// Incarnation of the registry.
    pub incarnation: u64,
}

/// Where sessions are kept between requests.
pub trait Sessions: Send + Sync {
    /// The open session and a request number that nobody had before; `None` if no session is open.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    fn number(&self) -> io::Result<Option<(OpenSession, u64)>>;

    /// Keeps a session just opened, with the first request number to give.
    ///
    /// # Errors
    /// When the state cannot be written.
    fn keep(&self, session: OpenSession) -> io::Result<()>;

    /// Forgets a session that the registry does not know any more.
    ///
    /// # Errors
    /// When the state cannot be written.
    fn forget(&self, id: u64) -> io::Result<()>;
}

/// Sessions of a program that runs on.
#[derive(Debug, Default)]
pub struct MemorySessions(Mutex<Option<(OpenSession, u64)>>);

impl MemorySessions {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(OpenSession, u64)>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Sessions for MemorySessions {
    fn number(&self) -> io::Result<Option<(OpenSession, u64)>> {
        let mut state = self.lock();
        Ok(state.as_mut().map(|(session, next)| {
            let number = *next;
            *next += 1;
            (*session, number)
        }))
    }

    fn keep(&self, session: OpenSession) -> io::Result<()> {
        *self.lock() = Some((session, 1));
        Ok(())
    }

    fn forget(&self, id: u64) -> io::Result<()> {
        let mut state = self.lock();
        if state.is_some_and(|(session, _)| session.id == id) {
            *state = None;
        }
        Ok(())
    }
}

/// A session in a file that several processes share under a lock. A number is on disk before it is used.
#[derive(Debug)]
pub struct FileSessions(PathBuf);

#[derive(Serialize, Deserialize)]
struct Stored {
    session: String,
    prefix: String,
    incarnation: String,
    next: String,
}

impl FileSessions {
    /// The file is made when the first session is kept.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where the numbers are kept.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self
            .0
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            private_folder(folder)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.0)?;
        file.lock()?;
        Ok(file)
    }
}

/// Makes a folder, and those above it, that nobody else looks into, whatever the umask is; one that is there stays as it is.
///
/// # Errors
/// When it cannot be made.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A file that was cut off holds no session: opening another one is safe, using a number twice is not.
fn load(file: &mut File) -> io::Result<Option<(OpenSession, u64)>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let Ok(stored) = serde_json::from_str::<Stored>(&text) else {
        return Ok(None);
    };
    let parsed = || {
        let prefix = Prefix::parse(&stored.prefix).ok()?;
        let session = OpenSession {
            id: stored.session.parse().ok()?,
            prefix,
            incarnation: stored.incarnation.parse().ok()?,
        };
        Some((session, stored.next.parse().ok()?))
    };
    Ok(parsed())
}

fn store(file: &mut File, state: Option<(OpenSession, u64)>) -> io::Result<()> {
    let text = match state {
        Some((session, next)) => serde_json::to_string(&Stored {
            session: session.id.to_string(),
            prefix: session.prefix.to_string(),
            incarnation: session.incarnation.to_string(),
            next: next.to_string(),
        })?,
        None => String::new(),
    };
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

impl Sessions for FileSessions {
    fn number(&self) -> io::Result<Option<(OpenSession, u64)>> {
        let mut file = self.open()?;
        let Some((session, next)) = load(&mut file)? else {
            return Ok(None);
        };
        store(&mut file, Some((session, next + 1)))?;
        Ok(Some((session, next)))
    }

    fn keep(&self, session: OpenSession) -> io::Result<()> {
        let mut file = self.open()?;
        store(&mut file, Some((session, 1)))
    }

    fn forget(&self, id: u64) -> io::Result<()> {
        let mut file = self.open()?;
        match load(&mut file)? {
            Some((session, _)) if session.id != id => Ok(()),
            _ => store(&mut file, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: u64) -> OpenSession {
        OpenSession {
            id,
            prefix: Prefix::new("86").expect("a prefix"),
            incarnation: 1,
        }
    }

    fn check(sessions: &dyn Sessions) {
        assert_eq!(sessions.number().expect("read"), None);
        sessions.keep(session(7)).expect("write");
        assert_eq!(sessions.number().expect("read"), Some((session(7), 1)));
        assert_eq!(sessions.number().expect("read"), Some((session(7), 2)));
        sessions.forget(6).expect("write");
        assert_eq!(sessions.number().expect("read"), Some((session(7), 3)));
        sessions.forget(7).expect("write");
        assert_eq!(sessions.number().expect("read"), None);
    }

    #[test]
    fn a_number_is_never_given_twice() {
        check(&MemorySessions::default());
        let folder = tempfile::tempdir().expect("a folder");
        check(&FileSessions::new(folder.path().join("state/session.json")));
    }

    #[test]
    fn nobody_else_looks_into_what_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state/session.json");
        FileSessions::new(&path).keep(session(7)).expect("write");
        let mode = |path: &Path| {
            let about = std::fs::metadata(path).expect("there");
            about.permissions().mode() & 0o777
        };
        assert_eq!(mode(&folder.path().join("state")), 0o700);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn two_processes_share_one_row_of_numbers() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("session.json");
        let (one, other) = (FileSessions::new(&path), FileSessions::new(&path));
        one.keep(session(9)).expect("write");
        let numbers: Vec<u64> = (0..4)
            .map(|n| if n % 2 == 0 { &one } else { &other })
            .map(|sessions| sessions.number().expect("read").expect("open").1)
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }

    #[test]
    fn a_damaged_file_holds_no_session() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("session.json");
        std::fs::write(&path, "{\"session\":\"7\"").expect("write");
        assert_eq!(FileSessions::new(&path).number().expect("read"), None);
    }
}
