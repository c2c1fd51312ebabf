//! Where [`Applied`] lies in the state database: family `meta`, keys `applied` and `membership`.
//!
//! Both are written in the batch of the data they speak of, so that no crash can part them. The value is an array
//! `[version, …]`; a newer version than this binary knows stops the node.

use bytes::Bytes;

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::canonical_struct;

use crate::engine::{Batch, KvRead};
use crate::families::Family;
use crate::fault::StorageFault;
use crate::machine::{Applied, LogPosition};

/// Key of the last applied position in [`Family::Meta`].
pub const APPLIED_KEY: &[u8] = b"applied";
/// Key of the last applied membership in [`Family::Meta`].
pub const MEMBERSHIP_KEY: &[u8] = b"membership";
/// Version of both values.
pub const VALUE_VERSION: u8 = 1;

canonical_struct!(LogPosition { term, node, index });

/// Reads how far the state of `read` has come; the default of an empty database.
///
/// # Errors
/// The disk failed, a value is not canonical, or a newer binary wrote it.
pub fn load(read: &(impl KvRead + ?Sized)) -> Result<Applied, StorageFault> {
    let last = value::<Option<LogPosition>>(read, APPLIED_KEY)?.flatten();
    let membership = value::<(LogPosition, Blob)>(read, MEMBERSHIP_KEY)?;
    let membership = membership.map(|(position, Blob(bytes))| (position, Bytes::from(bytes)));
    if membership
        .as_ref()
        .is_some_and(|(position, _)| last < Some(*position))
    {
        return Err(StorageFault::Invariant(
            "the membership is newer than the applied position".into(),
        ));
    }
    Ok(Applied { last, membership })
}

/// Adds `applied` to the batch of the data it speaks of.
pub fn store(batch: &mut Batch, applied: &Applied) {
    batch.put(
        Family::Meta,
        APPLIED_KEY.to_vec(),
        (VALUE_VERSION, applied.last).to_bytes(),
    );
    if let Some((position, bytes)) = &applied.membership {
        let value = (VALUE_VERSION, (*position, Blob(bytes.to_vec())));
        batch.put(Family::Meta, MEMBERSHIP_KEY.to_vec(), value.to_bytes());
    } else {
        batch.delete(Family::Meta, MEMBERSHIP_KEY.to_vec());
    }
}

fn value<T: Canonical>(
    read: &(impl KvRead + ?Sized),
    key: &[u8],
) -> Result<Option<T>, StorageFault> {
    let Some(bytes) = read.get(Family::Meta, key)? else {
        return Ok(None);
    };
    // `[version, …]` of two elements: the version is the second byte while it is below 24.
    match bytes.get(1) {
        Some(&version) if VALUE_VERSION < version && version < 24 => {
            let name = String::from_utf8_lossy(key);
            return Err(StorageFault::Foreign(format!(
                "`{name}` in the state database has version {version}; this binary knows {VALUE_VERSION}: run a newer one"
            )));
        }
        _ => {}
    }
    let (version, value) = <(u8, T)>::from_bytes(&bytes).map_err(|e| StorageFault::Corrupt {
        what: "applied position",
        detail: e.to_string(),
    })?;
    if version != VALUE_VERSION {
        let detail = format!("version {version} was never written");
        return Err(StorageFault::Corrupt {
            what: "applied position",
            detail,
        });
    }
    Ok(Some(value))
}
