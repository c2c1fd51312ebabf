//! The key with which a person or desk signs commands, followed by another.
//!
//! ```text
//! clients/<stem>.actor.next.{key,pub}   made, and not in use yet
//! clients/<stem>.actor.old.pub          replaced, and to be retired by the registry
//! retired/<stem>-actor-<print>.{key,pub}
//! ```
//! Every step leaves files by which the next call finds how far the one before it came.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use carnet_client::keys::{public_text, read_public_key, read_seed, seed_text};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_trust::identity::ClientName;

use crate::files::{NewFiles, fault};
use crate::log_key::{print, text_of};
use crate::request::is_of_client;
use crate::{PkiError, client_stem, make};

/// How far a client's key is on its way to be followed by another.
pub enum ActorStep {
    /// Another is made: it is to be enrolled, and then put in the place of the one in use.
    Enrol {
        /// The one in use.
        now: SecretKey,
        /// The one that follows.
        next: SecretKey,
    },
    /// Another has taken its place: it is to be retired.
    Retire {
        /// The one before.
        old: PublicKey,
    },
}

/// Makes the key that is to follow, unless one was made before, or tells that all that is left is to retire the one before.
///
/// # Errors
/// The client has no key there, or the file system fails.
pub fn next_actor_key(directory: &Path, client: &ClientName) -> Result<ActorStep, PkiError> {
    let stem = format!("clients/{}.actor", client_stem(client));
    is_of_client(
        directory,
        &format!("clients/{}", client_stem(client)),
        client,
    )?;
    let replaced = directory.join(format!("{stem}.old.pub"));
    let next = directory.join(format!("{stem}.next.key"));
    if replaced.exists() {
        let old = read_public_key(&replaced)?;
        // By one file of several no step is known: cut short between two of them, the key in use is still the one that is to be retired.
        if in_use(directory, &stem)? == old && next.exists() {
            follow_actor_key(directory, client)?;
        }
        if in_use(directory, &stem)? != old {
            return Ok(ActorStep::Retire { old });
        }
        // Nothing follows it: it is begun anew.
        remove(&replaced)?;
    }
    let now = read_seed(&directory.join(format!("{stem}.key")))?;
    if !next.exists() {
        let seed = make::seed()?;
        let mut files = NewFiles::default();
        files.add(format!("{stem}.next.key"), seed_text(&seed));
        files.write_into(directory)?;
    }
    let next = read_seed(&next)?;
    Ok(ActorStep::Enrol { now, next })
}

/// How long ago the key before the one in use was replaced, if that is finished and known: by the time of its file in `retired`.
///
/// # Errors
/// The file system fails.
pub fn actor_key_rotated(
    directory: &Path,
    client: &ClientName,
    now: TimeMs,
) -> Result<Option<DurationMs>, PkiError> {
    let name = client_stem(client);
    let under_way = |ending: &str| {
        directory
            .join(format!("clients/{name}.actor.{ending}"))
            .exists()
    };
    if under_way("next.key") || under_way("old.pub") {
        return Ok(None);
    }
    let retired = directory.join("retired");
    let entries = match fs::read_dir(&retired) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault("read", &retired)(error)),
    };
    let mut newest = None;
    for entry in entries {
        let entry = entry.map_err(fault("read", &retired))?;
        let file = entry.file_name();
        // A print has no hyphen: `ada` is not `ada-actor`.
        let print = file
            .to_str()
            .and_then(|file| file.strip_prefix(&format!("{name}-actor-")))
            .and_then(|rest| rest.strip_suffix(".pub"));
        if print.is_some_and(|print| !print.contains('-')) {
            let written = entry.metadata().and_then(|found| found.modified());
            newest = newest.max(Some(written.map_err(fault("read", &retired))?));
        }
    }
    let at = newest.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let at = at.and_then(|at| u64::try_from(at.as_millis()).ok());
    Ok(at.map(|at| now.since(TimeMs(at))))
}

/// Puts the key that follows in the place of the one in use, which goes to `retired` and is to be retired by the registry.
///
/// # Errors
/// There is none that follows, or the file system fails.
pub fn follow_actor_key(directory: &Path, client: &ClientName) -> Result<PublicKey, PkiError> {
    let name = client_stem(client);
    let stem = format!("clients/{name}.actor");
    let (place, next) = (
        directory.join(format!("{stem}.key")),
        directory.join(format!("{stem}.next.key")),
    );
    let (old, new) = (read_seed(&place)?.public(), read_seed(&next)?.public());
    if old != new {
        let retired = format!("retired/{name}-actor-{}", print(&old));
        let mut files = NewFiles::default();
        // In this order: what is replaced is never lost, and what is to be retired is known before it is out of use.
        files.add(format!("{retired}.key"), text_of(&place)?);
        files.add(format!("{retired}.pub"), public_text(&old));
        files.add(format!("{stem}.old.pub"), public_text(&old));
        files.add(format!("{stem}.pub"), public_text(&new));
        files.add(format!("{stem}.key"), text_of(&next)?);
        files.replace_in(directory)?;
    }
    remove(&next)?;
    Ok(old)
}

/// Notes that the registry has retired the key before.
///
/// # Errors
/// The file system fails.
pub fn retired_actor_key(directory: &Path, client: &ClientName) -> Result<(), PkiError> {
    let stem = format!("clients/{}.actor", client_stem(client));
    let next = directory.join(format!("{stem}.next.key"));
    // One that is in its place is there twice; any other is the only one of its kind.
    if next.exists() && read_seed(&next)?.public() == in_use(directory, &stem)? {
        remove(&next)?;
    }
    remove(&directory.join(format!("{stem}.old.pub")))
}

fn in_use(directory: &Path, stem: &str) -> Result<PublicKey, PkiError> {
    Ok(read_seed(&directory.join(format!("{stem}.key")))?.public())
}

fn remove(path: &Path) -> Result<(), PkiError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(fault("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
