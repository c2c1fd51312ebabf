//! The log key that is to follow another: made beside it, held by every node, and put in its place once the registry uses it alone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use carnet_client::keys::{public_text, read_public_key, read_seed, seed_text};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::files::{NewFiles, fault};
use crate::{PkiError, make};

/// Hexadecimal digits of a public key in the name of its file.
const PRINT_DIGITS: usize = 16;

/// A log key of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// Its seed, from the directory on.
    pub seed: PathBuf,
    /// Its public half.
    pub public: PublicKey,
    /// Whether it was made by this call.
    pub made: bool,
}

/// Makes the log key that is to follow: `keys/log-<print>.seed` and `.pub`. One that waits there already is given instead, so that
/// a call that was interrupted is given again.
///
/// # Errors
/// The directory has no log key, or the file system fails.
pub fn next_log_key(directory: &Path) -> Result<LogKey, PkiError> {
    let now = read_seed(&directory.join("keys/log.seed"))?.public();
    for name in following(directory)? {
        let seed = PathBuf::from(format!("keys/{name}.seed"));
        let public = read_seed(&directory.join(&seed))?.public();
        if public == now {
            continue;
        }
        let named = directory.join(format!("keys/{name}.pub"));
        if !named.exists() {
            let mut files = NewFiles::default();
            files.add(format!("keys/{name}.pub"), public_text(&public));
            files.write_into(directory)?;
        }
        let made = false;
        return Ok(LogKey { seed, public, made });
    }
    let drawn = make::seed()?;
    let public = SecretKey::from_seed(&drawn).public();
    let stem = format!("keys/log-{}", print(&public));
    let mut files = NewFiles::default();
    files.add(format!("{stem}.seed"), seed_text(&drawn));
    files.add(format!("{stem}.pub"), public_text(&public));
    files.write_into(directory)?;
    let seed = PathBuf::from(format!("{stem}.seed"));
    let made = true;
    Ok(LogKey { seed, public, made })
}

/// Moves a log key that is to be used no more from beside the first to `retired`; gives where it lies now. Nothing, where it does not
/// lie beside the first.
///
/// # Errors
/// The file system fails.
pub fn put_away_log_key(directory: &Path, key: &PublicKey) -> Result<Option<PathBuf>, PkiError> {
    for name in following(directory)? {
        let path = directory.join(format!("keys/{name}.seed"));
        if read_seed(&path)?.public() != *key {
            continue;
        }
        let stem = format!("retired/log-{}", print(key));
        let mut files = NewFiles::default();
        files.add(format!("{stem}.seed"), text_of(&path)?);
        files.add(format!("{stem}.pub"), public_text(key));
        files.replace_in(directory)?;
        for ending in ["pub", "seed"] {
            let path = directory.join(format!("keys/{name}.{ending}"));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(fault("remove", &path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        return Ok(Some(PathBuf::from(format!("{stem}.seed"))));
    }
    Ok(None)
}

/// Puts the log key that is used from now on in the place of the one before it: `keys/log.seed` and `log.pub` are its, and the one before
/// lies in `retired`. Gives what was moved there: nothing, where all of it was done before.
///
/// Every step leaves both keys readable, and the same call finishes what an interrupted one began.
///
/// # Errors
/// The directory does not hold that key, or the file system fails.
pub fn follow_log_key(directory: &Path, key: &PublicKey) -> Result<Vec<PathBuf>, PkiError> {
    let place = directory.join("keys/log.seed");
    let mut moved = Vec::new();
    let before = read_seed(&place)?;
    if before.public() != *key {
        let found = following(directory)?.into_iter().find_map(|name| {
            let path = directory.join(format!("keys/{name}.seed"));
            let seed = read_seed(&path).ok()?;
            (seed.public() == *key).then_some(path)
        });
        let found = found.ok_or_else(|| {
            PkiError::Plan(format!(
                "{} holds no seed of the log key {key}",
                directory.display()
            ))
        })?;
        let stem = format!("retired/log-{}", print(&before.public()));
        let mut files = NewFiles::default();
        // First: what is replaced is never lost.
        files.add(format!("{stem}.seed"), text_of(&place)?);
        files.add(format!("{stem}.pub"), public_text(&before.public()));
        files.add("keys/log.seed", text_of(&found)?);
        files.replace_in(directory)?;
        moved.push(PathBuf::from(format!("{stem}.seed")));
    }
    // After the seed: whoever finds the old half beside the new seed is told so by the next call, and this is done again.
    let public = directory.join("keys/log.pub");
    if !public.exists() || read_public_key(&public)? != *key {
        let mut files = NewFiles::default();
        files.add("keys/log.pub", public_text(key));
        files.replace_in(directory)?;
    }
    for ending in ["seed", "pub"] {
        let path = directory.join(format!("keys/log-{}.{ending}", print(key)));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(fault("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(moved)
}

/// The log keys beside the first, by the names of their files without the ending, in order.
pub(crate) fn following(directory: &Path) -> Result<Vec<String>, PkiError> {
    let keys = directory.join("keys");
    let mut names = Vec::new();
    for entry in fs::read_dir(&keys).map_err(fault("read", &keys))? {
        let name = entry.map_err(fault("read", &keys))?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".seed"));
        if let Some(stem) = stem.filter(|stem| stem.starts_with("log-")) {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

pub(crate) fn text_of(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(fault("read", path))
}

pub(crate) fn print(key: &PublicKey) -> String {
    key.to_string().chars().take(PRINT_DIGITS).collect()
}
