//! Looks over the record headers of the MANIFEST (and of any write-ahead log) before RocksDB does.
//!
//! RocksDB's reader (seen in 11.8.1; facebook/rocksdb#13333 is like it) loops for ever when a record in the middle
//! claims to be of a kind written only into recycled logs, and takes a whole log for empty when its first record does.
//! One flipped bit makes that of an ordinary record. We recycle no logs, so such a record is damage.
//!
//! Layout: blocks of 32 KiB; a record is `crc (4) ‖ length (2, little-endian) ‖ kind (1) ‖ body`, never crosses a
//! block, and up to six bytes at the end of a block are padding. Everything else about a record is RocksDB's to judge.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::directory::{io, names};
use crate::fault::StorageFault;

const BLOCK_SIZE: usize = 32 << 10;
const HEADER_SIZE: usize = 7;
/// Kinds of records that only recycled logs have.
const RECYCLED_KINDS: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// Refuses a database directory in which a log has a record of a recycled kind.
pub(super) fn check(folder: &Path) -> Result<(), StorageFault> {
    for name in names(folder)? {
        if name.ends_with(".log") || name.starts_with("MANIFEST-") {
            let path = folder.join(&name);
            let file = File::open(&path).map_err(io("open", &path))?;
            if let Some(offset) = recycled(file).map_err(io("read", &path))? {
                let detail = format!(
                    "{name}: the record at byte {offset} is of a kind that is never written"
                );
                return Err(StorageFault::Corrupt {
                    what: "state database",
                    detail,
                });
            }
        }
    }
    Ok(())
}

/// Where the first record of a recycled kind begins. Ends at the first header that makes no sense.
fn recycled(mut file: File) -> std::io::Result<Option<usize>> {
    let mut block = Vec::with_capacity(BLOCK_SIZE);
    for number in 0.. {
        block.clear();
        (&mut file)
            .take(BLOCK_SIZE as u64)
            .read_to_end(&mut block)?;
        let mut at = 0;
        while let Some(&[_, _, _, _, low, high, kind]) =
            block.get(at..).and_then(|rest| rest.first_chunk())
        {
            if RECYCLED_KINDS.contains(&kind) {
                return Ok(Some(number * BLOCK_SIZE + at));
            }
            at += HEADER_SIZE + usize::from(u16::from_le_bytes([low, high]));
            if block.len() < at || kind == 0 {
                return Ok(None);
            }
        }
        if block.len() < BLOCK_SIZE {
            break;
        }
    }
    Ok(None)
}
