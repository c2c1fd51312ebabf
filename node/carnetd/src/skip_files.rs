//! Orders of the roots to skip a log entry, as files in the folder `skip` of the data directory.
//!
//! The name of a file tells the entry it is about (`entry-N.cbor`). A bounded number is read: first those whose names tell
//! entries that this node has not reached, nearest first, so that old orders, which stay in the folder, hide no new one.
//!
//! The only files that a running node reads again. What they mean is judged by the domain and the store; here they are
//! read, handed over, and what becomes of each is told: in the log when it changes, and in the status.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::order::SkipError;
use carnet_domain::record::peer::Signed;
use carnet_store::artefact::StateEngine;
use carnet_store::registry::RegistryState;
use carnet_store::skips::{OrderError, OrderStanding};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::node::Node;
use crate::run_error::RunError;

/// Files read at the most.
const FILES_MAX: usize = 64;
/// The largest file, in bytes.
const SKIP_BYTES_MAX: u64 = 64 * 1024;
/// Between two looks into the folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file and what this node makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipFile {
    /// Its name in the folder.
    pub name: String,
    /// What becomes of it, in one line.
    pub verdict: String,
}

/// The folder, and what was found in it at the last look.
pub struct SkipFiles {
    folder: PathBuf,
    seen: watch::Sender<Vec<SkipFile>>,
}

impl SkipFiles {
    /// The folder in a data directory; it is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(data_dir: &Path) -> Result<Self, RunError> {
        let folder = data_dir.join("skip");
        std::fs::create_dir_all(&folder).map_err(|source| RunError::Io {
            what: format!("create {}", folder.display()),
            source,
        })?;
        Ok(Self {
            folder,
            seen: watch::Sender::new(Vec::new()),
        })
    }

    /// What was found at the last look; changes wake the receiver.
    pub fn seen(&self) -> watch::Receiver<Vec<SkipFile>> {
        self.seen.subscribe()
    }

    /// Hands over every order there is now, and says what becomes of each.
    pub fn look<E: StateEngine>(&mut self, state: &RegistryState<E>) {
        let applied = state.progress().borrow().applied;
        let (read, left_out) = self.read(applied);
        let orders = read.values().filter_map(|read| read.as_ref().ok()).cloned();
        state.set_orders(orders.collect());
        let judged = read.into_iter().map(|(name, read)| {
            let told = match read {
                Ok(signed) => tell(state.judge_order(&signed)),
                Err(why) => Told::Wrong(why),
            };
            (name, told)
        });
        let left_out = (left_out > 0).then(|| (format!("{left_out} more"), Told::LeftOut));
        let found: Vec<SkipFile> = judged
            .chain(left_out)
            .map(|(name, told)| {
                self.say(&name, &told);
                SkipFile {
                    name,
                    verdict: told.text(),
                }
            })
            .collect();
        self.seen.send_if_modified(|seen| {
            let changed = *seen != found;
            *seen = found;
            changed
        });
    }

    /// Looks into the folder for as long as the node runs.
    pub async fn watch(mut self, node: Arc<Node>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let state = Arc::clone(&node.state);
            let looked = node.work.run(move || {
                self.look(&state);
                self
            });
            match looked.await {
                Ok(files) => self = files,
                // The runtime is stopping.
                Err(_) => return,
            }
        }
    }

    /// In the log only what is new.
    fn say(&self, name: &str, told: &Told) {
        let text = told.text();
        let before = self.seen.borrow();
        if before
            .iter()
            .any(|file| file.name == name && file.verdict == text)
        {
            return;
        }
        match told {
            Told::Waits | Told::Followed => info!(file = name, "order to skip a log entry: {text}"),
            Told::Ignored(_) | Told::LeftOut => {
                warn!(file = name, "order to skip a log entry: {text}")
            }
            Told::Wrong(_) => error!(file = name, "order to skip a log entry: {text}"),
        }
    }

    /// What is in the files that matter most, by name, and how many are left out.
    fn read(&self, applied: u64) -> (BTreeMap<String, Result<Signed, String>>, usize) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return (BTreeMap::new(), 0);
        };
        let name = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let mut chosen: BTreeMap<(Urgency, PathBuf), String> = BTreeMap::new();
        let mut left_out: usize = 0;
        let paths = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            // Opening a pipe would wait for its other end.
            .filter(|path| path.extension() == Some(OsStr::new("cbor")) && path.is_file());
        for path in paths {
            let name = name(&path);
            chosen.insert((Urgency::of(&name, applied), path), name);
            if chosen.len() > FILES_MAX {
                chosen.pop_last();
                left_out = left_out.saturating_add(1);
            }
        }
        let read = chosen
            .into_iter()
            .map(|((_, path), name)| (name, read(&path)))
            .collect();
        (read, left_out)
    }
}

/// How much a file matters, by its name; the first matters most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Its name tells an entry that is not reached, so many ahead.
    Ahead(u64),
    /// Its name tells none.
    Unnamed,
    /// Its name tells an entry that was reached, so many ago.
    Behind(u64),
}

impl Urgency {
    fn of(name: &str, applied: u64) -> Self {
        let stem = name.strip_suffix(".cbor").unwrap_or(name);
        let letters = stem.trim_end_matches(|letter: char| letter.is_ascii_digit());
        match stem.strip_prefix(letters).map(str::parse::<u64>) {
            Some(Ok(index)) if letters.ends_with('-') => match index.checked_sub(applied) {
                None | Some(0) => Self::Behind(applied.saturating_sub(index)),
                Some(ahead) => Self::Ahead(ahead),
            },
            _ => Self::Unnamed,
        }
    }
}

fn read(path: &Path) -> Result<Signed, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(SKIP_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > SKIP_BYTES_MAX {
        return Err(format!("it is larger than {SKIP_BYTES_MAX} bytes"));
    }
    Signed::from_bytes(&bytes).map_err(|error| format!("it is not an order: {error}"))
}

/// What becomes of a file.
enum Told {
    Waits,
    Followed,
    /// Not now, and perhaps not here.
    Ignored(String),
    /// Whoever put it there must know.
    Wrong(String),
    /// There are too many.
    LeftOut,
}

fn tell(judged: Result<OrderStanding, OrderError>) -> Told {
    match judged {
        Ok(OrderStanding::Waits) => Told::Waits,
        Ok(OrderStanding::Followed) => Told::Followed,
        Err(OrderError::Order(error @ SkipError::NoRoots)) => Told::Ignored(error.to_string()),
        Err(OrderError::Order(error)) => Told::Wrong(error.to_string()),
        Err(error @ (OrderError::AppliedOtherwise { .. } | OrderError::Storage(_))) => {
            Told::Wrong(error.to_string())
        }
    }
}

impl Told {
    fn text(&self) -> String {
        match self {
            Self::Waits => "it will be followed when its entry is reached".to_owned(),
            Self::Followed => "its entry was skipped".to_owned(),
            Self::Ignored(why) => format!("not followed: {why}"),
            Self::Wrong(why) => format!("refused: {why}"),
            Self::LeftOut => format!(
                "not read: {FILES_MAX} files are, first those named entry-N.cbor whose entry is not reached. Take away what \
                 lies behind"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
