//! The stored form of any value: a version byte and what belongs to the family.

use std::fmt;

use carnet_domain::bytes::encoding::{Canonical, Encoder};
use carnet_domain::record::reader::ReadError;

use crate::families::Family;
use crate::fault::StorageFault;
use crate::keys;

/// Version byte of every record.
pub const RECORD_VERSION: u8 = 1;

/// The stored form of a record.
pub fn to_stored(record: &impl Canonical) -> Vec<u8> {
    let mut e = Encoder::with_capacity(1_024);
    e.raw(&[RECORD_VERSION]);
    record.encode(&mut e);
    e.finish()
}

/// The stored form of what is no record: an index entry, a tile, a page, an envelope.
pub fn plain_to_stored(value: &[u8]) -> Vec<u8> {
    [&[RECORD_VERSION], value].concat()
}

/// The record of its stored form.
///
/// # Errors
/// As [`plain_of_stored`], or bytes that are not canonical.
pub fn of_stored<T: Canonical>(
    family: Family,
    key: &[u8],
    bytes: &[u8],
) -> Result<T, StorageFault> {
    let bytes = plain_of_stored(family, key, bytes)?;
    T::from_bytes(bytes).map_err(|error| corrupt(family, key, error))
}

/// What stands behind the version.
///
/// # Errors
/// Another version, or no byte at all. A newer program writes another version only from a level on that the registry's own
/// record tells of: in any other record it is damage.
pub fn plain_of_stored<'b>(
    family: Family,
    key: &[u8],
    bytes: &'b [u8],
) -> Result<&'b [u8], StorageFault> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, rest)) => Ok(rest),
        Some((version, _)) if *version > RECORD_VERSION && key == keys::REGISTRY => {
            Err(StorageFault::Newer(format!(
                "the registry's record has version {version}, this binary knows {RECORD_VERSION}; use a newer binary"
            )))
        }
        Some((version, _)) => Err(corrupt(
            family,
            key,
            format!("version {version} was never written"),
        )),
        None => Err(corrupt(family, key, "an empty record")),
    }
}

/// Damage of the value of a key.
pub(crate) fn corrupt(family: Family, key: &[u8], detail: impl fmt::Display) -> StorageFault {
    let shown: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    StorageFault::Corrupt {
        what: family.name(),
        detail: format!("key {shown}: {detail}"),
    }
}

/// Why the store has not what a proof is made from: it failed, or what it must have is missing, and then it is damaged.
pub fn fault_of(error: ReadError<StorageFault>) -> StorageFault {
    let what = match error {
        ReadError::Store(fault) => return fault,
        ReadError::LeafMissing(_) | ReadError::LeafDamaged { .. } => Family::Entries,
        ReadError::NodeMissing(..) => Family::Tree,
        ReadError::PageMissing(_) => Family::Map,
    };
    StorageFault::Corrupt {
        what: what.name(),
        detail: error.to_string(),
    }
}
