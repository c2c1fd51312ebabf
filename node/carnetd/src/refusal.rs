//! What the others of a cluster said when they refused this store for good, kept in its data directory.
//!
//! The reason may be gone at the next start: the count of starts of an older copy outgrows what the others have heard, and
//! it would be taken for the store itself, with votes and records that it has forgotten. So no later start gets past it.

use std::path::{Path, PathBuf};

use carnet_store::directory::Replacement;
use carnet_store::fault::StorageFault;
use tracing::error;

fn file(data: &Path) -> PathBuf {
    data.join("refused")
}

/// Refuses to start on a store that was refused before.
///
/// # Errors
/// [`StorageFault::Foreign`] with what was said then, and what to do.
pub fn judge(data: &Path) -> Result<(), StorageFault> {
    let path = file(data);
    let said = match std::fs::read_to_string(&path) {
        Ok(said) => said,
        Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // Whatever it says, that it is there says enough.
        Err(unread) => unread.to_string(),
    };
    Err(StorageFault::Foreign(format!(
        "the others refused this store for good: {}. If another process runs on the same store, that one is the node: delete \
         this directory. Otherwise the node is to be replaced by a new one under an id that was never used. What \
         they said is kept in {}",
        said.trim_end(),
        path.display(),
    )))
}

/// Keeps what was said for every later start.
pub fn keep(data: &Path, said: &str) {
    let path = file(data);
    if path.exists() {
        return;
    }
    let kept = Replacement::write(&path, format!("{said}\n").as_bytes())
        .and_then(Replacement::put_in_place);
    if let Err(cause) = kept {
        error!(path = %path.display(), %cause, "the refusal is not kept: a later start will not know of it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_refused_once_does_not_start_again() {
        let data = tempfile::tempdir().expect("a directory");
        judge(data.path()).expect("never refused");
        keep(
            data.path(),
            "node 2 refuses this node: one of the two runs on a copy",
        );
        keep(data.path(), "something later");
        let Err(StorageFault::Foreign(text)) = judge(data.path()) else {
            panic!("it starts");
        };
        assert!(text.contains("one of the two runs on a copy"), "{text}");
        assert!(text.contains("never used"), "{text}");
    }
}
