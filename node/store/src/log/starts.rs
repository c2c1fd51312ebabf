//! The last process of each other store, as this node has heard it: by it a copy of a store is told from the store.
//!
//! Written anew, and synced, when another node was restarted, so that seldom; a few lines.
//!
//! ```text
//! carnet starts 1
//! 3 00112233445566778899aabbccddeeff 7 0123456789abcdef      node, store, start, nonce
//! crc 89abcdef                                               crc32 of the lines above
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::sentinel::fault;
use crate::directory::sync_directory;
use crate::fault::StorageFault;
use crate::identity::{Run, StoreId};

const FILE_NAME: &str = "starts";
const HEADER: &str = "carnet starts 1";

type Book = BTreeMap<(u64, StoreId), Run>;

/// The file, and what it says.
pub(super) struct Starts {
    directory: PathBuf,
    book: Mutex<Book>,
}

impl Starts {
    /// Reads the file of a log directory; a directory without one has heard nobody yet.
    pub(super) fn open(directory: &Path) -> Result<Starts, StorageFault> {
        let path = directory.join(FILE_NAME);
        let book = match fs::read_to_string(&path) {
            Ok(found) => parse(&found)
                .filter(|book| text(book) == found)
                .ok_or_else(|| StorageFault::Corrupt {
                    what: "starts of other stores",
                    detail: path.display().to_string(),
                })?,
            Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => Book::new(),
            Err(source) => return Err(fault("read the starts of other stores", &path, source)),
        };
        Ok(Starts {
            directory: directory.to_owned(),
            book: Mutex::new(book),
        })
    }

    pub(super) fn all(&self) -> Book {
        self.book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes a process; synced when it returns. Nothing changes if it fails.
    pub(super) fn note(&self, node: u64, store: StoreId, run: Run) -> Result<(), StorageFault> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = book.clone();
        next.insert((node, store), run);
        let draft = self.directory.join("starts.new");
        let path = self.directory.join(FILE_NAME);
        File::create(&draft)
            .and_then(|mut file| {
                file.write_all(text(&next).as_bytes())?;
                file.sync_all()
            })
            .map_err(|source| fault("write the starts of other stores", &draft, source))?;
        fs::rename(&draft, &path)
            .map_err(|source| fault("rename the starts of other stores", &path, source))?;
        sync_directory(&self.directory)?;
        *book = next;
        Ok(())
    }
}

fn text(book: &Book) -> String {
    let mut body = format!("{HEADER}\n");
    for ((node, store), Run { start, nonce }) in book {
        // Writing to a string cannot fail.
        let _ = writeln!(body, "{node} {store} {start} {nonce:016x}");
    }
    let crc = crc32fast::hash(body.as_bytes());
    let _ = writeln!(body, "crc {crc:08x}");
    body
}

fn parse(found: &str) -> Option<Book> {
    let mut lines = found.lines();
    if lines.next()? != HEADER {
        return None;
    }
    let mut book = Book::new();
    for line in lines {
        let mut words = line.split(' ');
        let node = words.next()?;
        if node == "crc" {
            break;
        }
        let store = words.next()?.parse().ok()?;
        let start = words.next()?.parse().ok()?;
        let nonce = u64::from_str_radix(words.next()?, 16).ok()?;
        book.insert((node.parse().ok()?, store), Run { start, nonce });
    }
    Some(book)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    #[test]
    fn what_was_noted_is_there_after_a_restart_and_any_changed_letter_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let starts = Starts::open(directory.path()).expect("opens");
        for start in 1..=3 {
            let run = Run {
                start,
                nonce: 40 + start,
            };
            starts.note(3, STORE, run).expect("noted");
        }
        starts
            .note(
                2,
                StoreId([8; 16]),
                Run {
                    start: 1,
                    nonce: u64::MAX,
                },
            )
            .expect("noted");
        let again = Starts::open(directory.path()).expect("opens").all();
        assert_eq!(again, starts.all());
        assert_eq!(
            again.get(&(3, STORE)),
            Some(&Run {
                start: 3,
                nonce: 43
            })
        );

        let path = directory.path().join(FILE_NAME);
        let whole = fs::read(&path).expect("readable");
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            fs::write(&path, &broken).expect("written");
            assert!(Starts::open(directory.path()).is_err(), "byte {at}");
        }
    }
}
